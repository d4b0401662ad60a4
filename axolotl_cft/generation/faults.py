"""What can go wrong with a request, and whom that concerns: the text, the endpoint, or nobody."""

import errno
import math
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from enum import Enum

WRONG_FOR_ALL = frozenset({401, 402, 403, 404, 405, 407})
"""Statuses about the key, the account or the address: the next text would get the same."""

OUT_OF_SERVICE = frozenset({502, 503, 504, 529})
"""Statuses of an endpoint that answers nobody; 529 is Anthropic's for being overloaded."""

UNREACHABLE = frozenset(
    {errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN}
)


class Scope(Enum):
    """What a fault that may pass says about the requests that come next."""

    LIMIT = "they come too fast"
    ENDPOINT = "they will fail too, for a while"
    REQUEST = "nothing"


class Fault(Exception):
    """A request got no answer, and may be sent again.

    Attributes:
        words: what happened, as a predicate of the endpoint ("answered 503: overloaded").
        scope: what it says about other requests.
        wait: seconds that the endpoint asked for, or None.
        foreign: whether no chat-completions endpoint would say that.
    """

    def __init__(
        self, words: str, scope: Scope, wait: float | None = None, foreign: bool = False
    ) -> None:
        super().__init__(words)
        self.words, self.scope, self.wait, self.foreign = words, scope, wait, foreign


class RefusedError(Exception):
    """The endpoint will not answer this text, whatever it does with others.

    Attributes:
        reason: what is written into the rejects file.
        kind: the same for all texts that were refused in the same way.
    """

    def __init__(self, reason: str, kind: str) -> None:
        super().__init__(reason)
        self.reason, self.kind = reason, kind


class UnusableError(Exception):
    """The endpoint will answer no text at all: the key, the account or the address is wrong.

    Attributes:
        refusal: what it is instead where the endpoint has answered others, if it may be about this
            text: a moderator and a firewall, too, answer 403.
    """

    def __init__(self, words: str, refusal: RefusedError | None = None) -> None:
        super().__init__(words)
        self.refusal = refusal


def scope_of_status(status: int, wait: float | None) -> Scope | None:
    """What a status says about other requests; None where sending it again is in vain."""
    if status == 429:
        return Scope.LIMIT
    if status in OUT_OF_SERVICE or (status >= 500 and wait):
        return Scope.ENDPOINT
    return Scope.REQUEST if status in (408, 409, 425) or status >= 500 else None


def scope_of_break(exc: BaseException) -> Scope:
    """What a broken connection says about other requests."""
    unreachable = any(
        isinstance(cause, socket.gaierror)
        or (isinstance(cause, OSError) and cause.errno in UNREACHABLE)
        for cause in causes(exc)
    )
    return Scope.ENDPOINT if unreachable else Scope.REQUEST


def local_trouble(exc: BaseException) -> str | None:
    """The sentence about an error that is this machine's and not the endpoint's, if it is one."""
    for cause in causes(exc):
        if isinstance(cause, OSError) and cause.errno in (errno.EMFILE, errno.ENFILE):
            return (
                "this machine lets the process open no more connections: lower the concurrency, "
                "or raise the limit on open files (ulimit -n)"
            )
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted here: {cause.verify_message}"
    return None


def is_not_http(exc: BaseException) -> bool:
    """Whether what came back was bytes of another protocol."""
    # aiohttp's and httpcore's classes; by name, since neither needs to be installed.
    foreign = ("BadHttpMessage", "BadStatusLine", "ClientResponseError", "RemoteProtocolError")
    hung_up = ("disconnected", "closed connection")  # httpcore calls that a protocol error, too
    return any(
        type(cause).__name__ in foreign and not any(word in str(cause) for word in hung_up)
        for cause in causes(exc)
    )


def causes(exc: BaseException | None) -> Iterator[BaseException]:
    """An exception and what led to it, the outermost first."""
    while exc is not None:
        yield exc
        # aiohttp keeps the system's error in an attribute.
        inner = getattr(exc, "os_error", None)
        if isinstance(inner, OSError):
            yield inner
        exc = exc.__cause__ or exc.__context__


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a response asks to wait, from `retry-after-ms` or `Retry-After` (RFC 9110).

    A date is taken relative to the response's own `Date`, so that clocks need not agree.

    Returns:
        A finite positive number; None where nothing usable is said.

    Example:
        >>> read_retry_after({"retry-after": "2"})
        2.0
    """
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            wait = float(headers[name]) / unit
        except (KeyError, ValueError):
            continue
        if math.isfinite(wait) and wait > 0:
            return wait
    then = _read_date(headers.get("retry-after"))
    if then is None:
        return None
    now = _read_date(headers.get("date")) or datetime.now(timezone.utc)
    wait = (then - now).total_seconds()
    return wait if wait > 0 else None


def _read_date(text: str | None) -> datetime | None:
    try:
        date = parsedate_to_datetime(text or "")
    except (TypeError, ValueError, OverflowError):  # an offset of more hours than a date has
        return None
    return date if date.tzinfo else date.replace(tzinfo=timezone.utc)


def one_line(words: str, most: int = 400) -> str:
    """A server's words in one line; of a page of HTML, its text."""
    if words.lstrip().startswith("<"):
        words = re.sub(r"(?is)<(script|style)\b.*?</\1>|<[^>]*>", " ", words)
    line = " ".join(words.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
