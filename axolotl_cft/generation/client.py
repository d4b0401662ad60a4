"""The endpoint: one question, one `Reply`, through the `openai` client.

Waiting and asking again after 408, 409, 429, 5xx, timeouts and broken connections is the client's
own (openai/_base_client.py::_should_retry, _calculate_retry_timeout: exponential with jitter, at
most 8 s, or as long as Retry-After says, up to 120 s). What it lacks is here: replies that are not
chat completions, a count of what was sent again, and errors in the server's own words.
"""

import asyncio
import importlib
import os
from collections.abc import Mapping
from typing import Any

from axolotl_cft.errors import CFTError
from axolotl_cft.generation.verdicts import Reply
from axolotl_cft.host.tokens import well_formed

OPENAI_URL = "https://api.openai.com/v1"


class Client:
    """Asks one model at one endpoint; belongs to one event loop.

    Attributes:
        url: the endpoint, `…/v1`.
        retries: requests sent again so far, whatever the reason.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None,
        *,
        timeout: float,
        max_retries: int,
        max_output_tokens: int,
        request: Mapping[str, Any],
    ) -> None:
        """Set up the connection pool; nothing is sent.

        Args:
            model: the model's name at the endpoint.
            base_url: the endpoint; None for OpenAI's own.
            timeout: seconds to wait for an answer.
            max_retries: how often one request is sent again before the run stops.
            max_output_tokens: bound on an answer, reasoning included.
            request: further fields of the request body; they win over ours.

        Raises:
            CFTError: the `openai` package or the key is missing.
        """
        openai = _import_openai()
        self.url = (base_url or OPENAI_URL).rstrip("/")
        self.retries = 0
        self._model, self._max_retries, self._timeout = model, max_retries, timeout
        # OpenAI's own models reject the older name; most other servers know only that one.
        limit = "max_completion_tokens" if self.url == OPENAI_URL else "max_tokens"
        bounded = {"max_tokens", "max_completion_tokens"} & request.keys()
        self._body = dict(request) if bounded else {limit: max_output_tokens, **request}
        self._client = openai.AsyncOpenAI(
            api_key=_api_key(self.url),
            base_url=self.url,
            timeout=timeout,
            max_retries=max_retries,
            http_client=_transport(openai, {"request": [self._count]}),
        )

    async def _count(self, request: Any) -> None:
        """Event hook of httpx: count a request that the client sends again."""
        self.retries += request.headers.get("x-stainless-retry-count", "0") != "0"

    async def ask(self, message: str) -> Reply:
        """Ask one question.

        Raises:
            CFTError: the server refuses for good, or does not recover within the retries.
        """
        for attempt in range(self._max_retries + 1):
            if attempt:
                self.retries += 1
                await asyncio.sleep(min(0.5 * 2 ** (attempt - 1), 8.0))
            if (reply := _read(await self._complete(message))) is not None:
                return reply
        raise CFTError(
            f"{self.url} sent {self._max_retries + 1} replies to one request that are not chat "
            "completions: is this an OpenAI-compatible endpoint?"
        )

    async def _complete(self, message: str) -> Any:
        """The parsed reply; None where it was not JSON."""
        openai = _import_openai()
        try:
            return await self._client.chat.completions.create(
                model=self._model,
                messages=[{"role": "user", "content": well_formed(message)}],
                extra_body=self._body,
            )
        except openai.APIStatusError as exc:
            kept = "kept answering" if _is_passing(exc.status_code) else "refused the request with"
            raise CFTError(f"{self.url} {kept} {exc.status_code}: {_words(exc)}") from exc
        except openai.APIConnectionError as exc:  # timeouts among them
            cause = exc.__cause__ or exc
            raise CFTError(
                f"{self.url} gave no answer ({str(cause) or type(cause).__name__}): check the "
                f"address and the server, or wait longer (the timeout is {self._timeout:g} s)"
            ) from exc
        except (ValueError, openai.APIResponseValidationError):
            return None

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


def _transport(openai: Any, event_hooks: dict[str, list[Any]]) -> Any:
    """The client's HTTP layer: aiohttp's takes half the CPU time per request of httpx's own."""
    try:
        return openai.DefaultAioHttpClient(event_hooks=event_hooks)
    except (AttributeError, RuntimeError):  # an older client, or aiohttp is not installed
        return openai.DefaultAsyncHttpxClient(event_hooks=event_hooks)


def _api_key(url: str) -> str:
    key = os.environ.get("OPENAI_API_KEY")
    if not key and url == OPENAI_URL:
        raise CFTError("OPENAI_API_KEY is not set: set it, or give the base URL of a local server")
    return key or "none"


def _is_passing(status: int) -> bool:
    return status in (408, 409, 429) or status >= 500


def _words(exc: Any) -> str:
    """What the server said about an error, in one line of at most 500 characters."""
    body = exc.body if isinstance(exc.body, dict) else {}
    words = body.get("message") or exc.response.text or exc.message
    wait = exc.response.headers.get("retry-after")
    asked = f" (Retry-After: {wait})" if wait else ""
    return " ".join(str(words).split())[:500] + asked


def _read(completion: Any) -> Reply | None:
    """The first choice of a chat completion; None if the object is not one."""
    try:
        choice = completion.choices[0]
        content, refusal = choice.message.content, getattr(choice.message, "refusal", None)
    except (AttributeError, IndexError, TypeError):
        return None
    usage = getattr(completion, "usage", None)
    return Reply(
        text=well_formed(refusal or (content if isinstance(content, str) else "")),
        finish="refusal" if refusal else choice.finish_reason or "stop",
        tokens_in=getattr(usage, "prompt_tokens", 0) or 0,
        tokens_out=getattr(usage, "completion_tokens", 0) or 0,
        model=getattr(completion, "model", None) or "",
    )
