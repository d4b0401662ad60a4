"""A chat-completions endpoint on 127.0.0.1 that answers by the text alone and can misbehave.

Real HTTP over real sockets (aiohttp), in a thread of the test's process. What goes wrong, and
when, is fixed by the text and by how often it was asked before, so every run is repeatable.
"""

import asyncio
import hashlib
import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

GOOD, RATE_LIMITED, FAILING, GARBLED, CUT, REFUSING, PERMANENT = (
    "good",
    "429",
    "500",
    "broken JSON",
    "cut connection",
    "refusal",
    "401",
)
FAULTS = (RATE_LIMITED, FAILING, GARBLED, CUT, REFUSING)

RESET, DRIP, KEEP_ALIVE, WEB_PAGE, PROXY_PAGE = (
    "reset in the middle of an answer",
    "a byte at a time, for ever",
    "blank lines before the answer, for ever",
    "200 with a page of HTML",
    "502 with a page of HTML",
)
PAGE = "<html><head><title>502 Bad Gateway</title><style>p {}</style></head><body>nginx</body>"

# mood -> status and error, in the words of vendors and servers
ERRORS: dict[str, tuple[int, dict[str, Any]]] = {
    "content filter": (
        400,
        {"message": "The response was filtered", "code": "content_filter", "status": 400},
    ),
    "context length": (
        400,
        {"message": "maximum context length is 8192 tokens, got 9001", "type": "BadRequestError"},
    ),
    "413": (413, {"message": "Payload Too Large"}),
    "422": (422, {"message": "Input should be a valid string"}),
    "402": (402, {"message": "Insufficient Balance"}),
    "403": (403, {"message": "Country not supported"}),
    "404": (404, {"message": "The model `m` does not exist"}),
    "no credit": (429, {"message": "You exceeded your quota", "code": "insufficient_quota"}),
    "503": (503, {"message": "overloaded"}),
    FAILING: (500, {"message": "overloaded"}),
    RATE_LIMITED: (429, {"message": "slow down", "code": "rate_limit"}),
    PERMANENT: (401, {"message": "Incorrect API key provided: sk-nope", "code": "key"}),
}
REFUSED = ("content filter", "context length", "413", "422")


def text_of(request: str) -> str:
    """The text that a request is about, after the name of the strategy that is to be applied."""
    if document := re.search(r"<document>\n(.*)\n</document>", request, re.DOTALL):
        strategy = re.match(r"Here's a learning strategy:\n(.*)", request)
        return f"{strategy[1]}: {document[1]}" if strategy else document[1]
    match = re.search(r"<(text|question)>\n(.*?)\n</\1>", request, re.DOTALL)
    return match[2] if match else request


def prompt_for(text: str) -> str:
    """The contextual prompt that the endpoint writes for a text."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"Look closely at topic {digest}. Ask yourself how its parts depend on each other."


def passage_for(question: str) -> str:
    """The educational text that the endpoint writes for a question."""
    digest = hashlib.sha256(question.encode()).hexdigest()[:8]
    return "\n\n".join(f"Paragraph {i} on {digest}: " + "cells keep order. " * 12 for i in range(3))


STRATEGIES = ("Timeline", "Quiz", "Song")


def strategies_for(document: str) -> str:
    """The strategies that the endpoint names for a document."""
    digest = hashlib.sha256(document.encode()).hexdigest()[:8]
    named = (f"## {name}\nFor {digest}, step by step:\n1. Read.\n2. Write." for name in STRATEGIES)
    return "Here are some strategies.\n\n" + "\n\n".join(named)


def reading_for(task: str) -> str:
    """The text that the endpoint writes by a strategy ("Quiz: …")."""
    digest = hashlib.sha256(task.encode()).hexdigest()[:8]
    return f"# {task.partition(':')[0]} {digest}\n\n- What keeps cells in order? Their parts do."


def answer_for(request: str) -> str:
    """The good answer to a request."""
    text = text_of(request)
    if "<document>" in request:
        return (reading_for if request.startswith("Here's") else strategies_for)(text)
    return passage_for(text) if "<question>" in request else prompt_for(text)


@dataclass
class Limit:
    """A limit on requests: a bucket that fills evenly.

    Attributes:
        per_second: answers that it allows.
        burst: how many may come at once.
        strict: whether requests that are turned away count too, as they do at some vendors.
    """

    per_second: float
    burst: float = 8.0
    strict: bool = False
    turned_away: int = 0
    _level: float = 0.0
    _seen: float = field(default_factory=time.monotonic)

    def allows(self) -> bool:
        now = time.monotonic()
        self._level = max(0.0, self._level - (now - self._seen) * self.per_second)
        self._seen = now
        if fits := self._level + 1 <= self.burst:
            self._level += 1
        else:
            self.turned_away += 1
            self._level = min(self.burst, self._level + self.strict)
        return fits


@dataclass
class Loopback:
    """A running endpoint.

    Attributes:
        latency: seconds before any reply.
        retry_after: what it sends with a 429; nothing if None.
        behave: (text, how often it was asked before) -> one of the words above, another word for
            an answer, or a whole reply as JSON.
        limit: on all requests; those beyond get a 429 at once.
        on_request: called with each request's text, before anything is sent.
        asked: text -> number of requests.
        requests: every request body.
        keys: the Authorization headers seen.
        paths: the paths asked for, with their queries.
        busiest: most requests under way at once.
        host: the address to listen on.
        port: the port; 0 for any that is free.
    """

    latency: float = 0.0
    retry_after: str | None = "0.05"
    behave: Callable[[str, int], str | dict[str, Any]] = lambda text, before: GOOD
    limit: Limit | None = None
    on_request: Callable[[str], None] = lambda text: None
    asked: Counter[str] = field(default_factory=Counter)
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    paths: set[str] = field(default_factory=set)
    busiest: int = 0
    host: str = "127.0.0.1"
    port: int = 0
    _open: int = 0

    @property
    def url(self) -> str:
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}/v1"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        message = body["messages"][-1]["content"]
        text = text_of(message)
        before = self.asked[text]
        self.asked[text] += 1
        self.requests.append(body)
        self.keys.add(request.headers.get("Authorization", ""))
        self.paths.add(request.path_qs)
        self.on_request(text)
        self._open += 1
        self.busiest = max(self.busiest, self._open)
        try:
            if self.limit and not self.limit.allows():
                return self._error(RATE_LIMITED)
            if self.latency:
                await asyncio.sleep(self.latency)
            mood = self.behave(text, before)
            if mood in (RESET, DRIP, KEEP_ALIVE):
                return await self._trickle(request, prompt_for(text), str(mood))
            return self._reply(request, message, text, mood)
        finally:
            self._open -= 1

    def _reply(
        self, request: web.Request, message: str, text: str, mood: str | dict[str, Any]
    ) -> web.Response:
        good = answer_for(message)
        if isinstance(mood, dict):
            return web.json_response(mood)
        if mood == GOOD:
            return web.json_response(completion(good))
        if mood == REFUSING:
            return web.json_response(completion("I'm sorry, but I can't help with that request."))
        if mood in ERRORS:
            return self._error(mood)
        if mood == GARBLED:
            half = json.dumps(completion(good))[:40]
            return web.Response(text=half, content_type="application/json")
        if mood in (WEB_PAGE, PROXY_PAGE):
            status = 200 if mood == WEB_PAGE else 502
            return web.Response(text=PAGE, status=status, content_type="text/html")
        if mood == CUT:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return web.json_response(completion(mood))  # any other word is the answer itself

    def _error(self, mood: str) -> web.Response:
        status, error = ERRORS[mood]
        told = status == 429 and self.retry_after is not None
        headers = {"Retry-After": str(self.retry_after)} if told else {}
        return web.json_response({"error": error}, status=status, headers=headers)

    async def _trickle(self, request: web.Request, good: str, mood: str) -> web.StreamResponse:
        """Begin an answer, and do not come to its end."""
        body = json.dumps(completion(good)).encode()
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.content_length = 1000 * len(body)
        await response.prepare(request)
        assert request.transport is not None
        if mood == RESET:
            await response.write(body[:50])
            request.transport.abort()
            return response
        for byte in body * 1000:
            await response.write(b"\n" if mood == KEEP_ALIVE else bytes([byte]))
            await asyncio.sleep(0.02)
            if request.transport is None or request.transport.is_closing():
                break  # the client has hung up
        return response


async def _cancel_all() -> None:
    """End what a stopped loop left behind: handlers of connections that were cut."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


def completion(content: str, finish: str = "stop") -> dict[str, Any]:
    """A chat completion as vLLM and OpenAI send it."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": "loopback-1",
        "choices": [
            {
                "index": 0,
                "finish_reason": finish,
                "message": {"role": "assistant", "content": content},
            }
        ],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
    }


@contextmanager
def serve(loopback: Loopback) -> Iterator[Loopback]:
    """Run the endpoint in a thread until the block ends."""
    loop = asyncio.new_event_loop()
    app = web.Application(client_max_size=1 << 26)
    app.router.add_post("/{base:.*}/chat/completions", loopback.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    started = threading.Event()

    async def start() -> None:
        await runner.setup()
        site = web.TCPSite(runner, loopback.host, loopback.port, backlog=1024, reuse_address=True)
        await site.start()
        loopback.port = runner.addresses[0][1]
        started.set()

    def run() -> None:
        loop.run_until_complete(start())
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield loopback
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.run_until_complete(_cancel_all())
        loop.close()


def free_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def serve_bytes(greeting: bytes) -> Iterator[str]:
    """A server of another protocol: it says a few bytes to whoever comes, and hangs up.

    Yields:
        The base URL that somebody might take it for.
    """
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)

    def run() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(greeting)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)
