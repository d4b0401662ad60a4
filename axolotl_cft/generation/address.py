"""The address of an endpoint: what is sent to it, and what of it may be shown (pure)."""

import base64
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit, urlunsplit

from axolotl_cft.errors import CFTError

OPENAI_URL = "https://api.openai.com/v1"


@dataclass(frozen=True)
class Address:
    """A base URL, taken apart.

    Attributes:
        url: scheme, host, port and path; messages and files name the endpoint by it.
        query: goes with every request, such as `api-version`.
        headers: `Authorization`, where the URL holds a user or a password.
        secrets: what must not be shown: the password and the values of the query, as they are and
            as a URL holds them.
    """

    url: str
    query: dict[str, str] = field(default_factory=dict, repr=False)
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    secrets: frozenset[str] = field(default=frozenset(), repr=False)


def read_address(base_url: str) -> Address:
    """Take a base URL apart.

    Raises:
        CFTError: it is no http or https URL; the sentence shows it only if it holds no secret.

    Example:
        >>> read_address("https://me:pw@host/v1?api-version=2").url
        'https://host/v1'
    """
    text = base_url.strip()
    shown = f" {text!r}" if not {"@", "?"} & set(text) else ""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise CFTError(
            f"the base URL{shown} is no address of an endpoint: write it like "
            "http://localhost:8000/v1"
        )
    login, _, host = parts.netloc.rpartition("@")
    user, _, password = (unquote(part) for part in login.partition(":"))
    fields = parse_qsl(parts.query, keep_blank_values=True)
    headers, hidden = {}, {*(value for _, value in fields), password or user}
    secrets = {form(value) for value in hidden for form in (str, _quote, quote, quote_plus)}
    secrets |= {pair.partition("=")[2] for pair in parts.query.split("&")}
    if login:
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        headers["Authorization"] = f"Basic {token}"
        secrets |= {token, login, login.partition(":")[2]}
    url = urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
    return Address(url, dict(fields), headers, frozenset(secrets - {""}))


_quote = partial(quote, safe="")
