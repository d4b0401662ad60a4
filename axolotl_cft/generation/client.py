"""One endpoint: one request, one `Reply` or one fault, through the `openai` client.

Nothing is sent twice here: when to send again, and where to, is the business of `sharing.py`, for
all requests together. The client's own retries are off.
"""

import asyncio
import importlib
import os
import re
from collections.abc import Mapping
from typing import Any

from axolotl_cft.errors import CFTError
from axolotl_cft.generation.address import OPENAI_URL, read_address
from axolotl_cft.generation.completions import further_fields, messages_of, read_completion
from axolotl_cft.generation.faults import (
    WRONG_FOR_ALL,
    Fault,
    RefusedError,
    Scope,
    UnusableError,
    is_not_http,
    local_trouble,
    one_line,
    read_retry_after,
    scope_of_break,
    scope_of_status,
)
from axolotl_cft.generation.hiding import redact, secrets_in
from axolotl_cft.generation.verdicts import Reply

# OpenAI's 429 for one text that takes more tokens than a whole minute allows.
_TOO_LARGE = re.compile(r"request too large|must be reduced", re.IGNORECASE)


class Client:
    """Asks one model at one endpoint; belongs to one event loop.

    Attributes:
        url: the endpoint, `…/v1`, without password and query.
        model: the model's name there.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None,
        *,
        timeout: float,
        max_output_tokens: int,
        request: Mapping[str, Any],
    ) -> None:
        """Set up the connection pool; nothing is sent.

        Args:
            model: the model's name at the endpoint.
            base_url: the endpoint; None for OpenAI's own. A user and a password in it are sent as
                basic authentication, its query with every request.
            timeout: seconds from sending a request to the last byte of its answer.
            max_output_tokens: bound on an answer, reasoning included.
            request: further fields of the request body; they win over ours.

        Raises:
            CFTError: the `openai` package or the key is missing, the key, the URL or the fields
                cannot be sent.
        """
        openai, address = _import_openai(), read_address(base_url or OPENAI_URL)
        self.url, self.model = address.url, model
        self._timeout = timeout
        self._body = further_fields(request, max_output_tokens, official=self.url == OPENAI_URL)
        key = _api_key(needed=self.url == OPENAI_URL and not address.headers)
        self._secrets = {*address.secrets, *secrets_in(request), *([key] if key else ())}
        self._client = openai.AsyncOpenAI(
            api_key=key or "none",
            base_url=address.url,
            default_query=address.query,
            default_headers=address.headers,
            timeout=None,  # ours is over the whole answer; the client's is for each piece of it
            max_retries=0,
            http_client=_transport(openai),
        )
        # Reached here, since the client imports it on first use, for seconds on a busy machine:
        # what is measured from the first request on would begin with that.
        self._create = self._client.chat.completions.create

    async def ask(self, message: str) -> Reply:
        """Ask one question, once.

        Raises:
            Fault: there was no answer, but there may be one later.
            RefusedError: the endpoint does not want this text.
            UnusableError: the endpoint answers no text.
            CFTError: the trouble is on this machine.
        """
        openai = _import_openai()
        try:
            # Not the client's timeout: a server that sends a byte a second would never reach it.
            reply = read_completion(await asyncio.wait_for(self._complete(message), self._timeout))
        except asyncio.TimeoutError as exc:
            words = f"gave no whole answer within {self._timeout:g} s (the timeout)"
            raise Fault(words, Scope.REQUEST) from exc
        except openai.APIStatusError as exc:
            raise self._of_status(exc) from exc
        except (ValueError, openai.APIResponseValidationError):
            reply = None
        except Exception as exc:
            raise self._of_break(exc) from exc
        if reply is None:
            raise Fault("sent a reply that is not a chat completion", Scope.REQUEST, foreign=True)
        return reply

    async def _complete(self, message: str) -> Any:
        return await self._create(
            model=self.model, messages=messages_of(message), extra_body=self._body
        )

    def _of_status(self, exc: Any) -> Exception:
        """The fault behind an HTTP status that is no success."""
        status, wait = exc.status_code, read_retry_after(exc.response.headers)
        said = f"{status}: {self._shown(_words(exc)) or 'without a word'}"
        refusal = RefusedError(f"the endpoint refused it with {said}", f"refused with {status}")
        scope = scope_of_status(status, wait)
        if status == 429 and _TOO_LARGE.search(_words(exc)):
            return refusal
        if status in WRONG_FOR_ALL or status < 400 or _out_of_money(exc):
            tip = f" (it was asked at {self.url}/chat/completions)" if status in (404, 405) else ""
            why = f"{self.url} refused the request with {said}{tip}"
            return UnusableError(why, refusal if status == 403 else None)
        if scope is None:
            return refusal
        return Fault(f"answered {said}", scope, wait)

    def _of_break(self, exc: Exception) -> Exception:
        """The fault behind a connection that could not be made or did not last."""
        cause = exc.__cause__ or exc
        if not _is_transports(exc):
            return exc
        if trouble := local_trouble(exc):
            return CFTError(f"{self.url} could not be asked: {trouble}")
        said = self._shown(str(cause)) or type(cause).__name__
        if is_not_http(exc):
            return Fault(f"sent what is not HTTP ({said})", Scope.REQUEST, foreign=True)
        return Fault(f"gave no answer ({said})", scope_of_break(exc))

    def _shown(self, words: str) -> str:
        """A server's words as a message may show them: what is cut off is no secret's end."""
        return one_line(redact(words, self._secrets))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def _import_openai() -> Any:
    try:
        return importlib.import_module("openai")
    except ImportError as exc:
        raise CFTError(
            "the openai package is missing: install it with `pip install axolotl-cft[generate]`"
        ) from exc


def _transport(openai: Any) -> Any:
    """The client's HTTP layer: aiohttp's takes half the CPU time per request of httpx's own."""
    try:
        return openai.DefaultAioHttpClient(timeout=None)
    except (AttributeError, RuntimeError):  # an older client, or aiohttp is not installed
        return openai.DefaultAsyncHttpxClient(timeout=None)


def _api_key(needed: bool) -> str:
    """The key, which may be empty.

    Raises:
        CFTError: it is needed and not set, or no header can carry it.
    """
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    if not key and needed:
        raise CFTError("OPENAI_API_KEY is not set: set it, or give the base URL of a local server")
    if wrong := [place for place, char in enumerate(key, 1) if not "!" <= char <= "~"]:
        raise CFTError(
            f"OPENAI_API_KEY cannot be sent: character {wrong[0]} is no letter, digit or sign of "
            "ASCII; copy the key again"
        )
    return key


def _is_transports(exc: Exception) -> bool:
    """Whether the HTTP layers raised it; aiohttp's own come through for what is not HTTP."""
    layers = ("openai", "aiohttp", "httpx", "httpx2", "httpcore", "httpcore2")
    return isinstance(exc, OSError) or type(exc).__module__.split(".")[0] in layers


def _out_of_money(exc: Any) -> bool:
    """A 429 that no waiting mends: OpenAI's for an account without credit."""
    return "insufficient_quota" in (getattr(exc, "code", None), getattr(exc, "type", None))


def _words(exc: Any) -> str:
    """What the server said about an error."""
    body = exc.body if isinstance(exc.body, dict) else {}
    return str(body.get("message") or body.get("detail") or exc.response.text or exc.message)
