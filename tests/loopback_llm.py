"""A chat-completions endpoint on 127.0.0.1 that answers by the text alone and can misbehave.

Real HTTP over real sockets (aiohttp), in a thread of the test's process. What goes wrong, and
when, is fixed by the text and by how often it was asked before, so every run is repeatable.
"""

import asyncio
import hashlib
import json
import re
import threading
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


def text_of(request: str) -> str:
    """The text that a request is about."""
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


@dataclass
class Loopback:
    """A running endpoint.

    Attributes:
        latency: seconds before any reply.
        retry_after: what it sends with a 429.
        behave: (text, how often it was asked before) -> one of the words above.
        on_request: called with each request's text, before anything is sent.
        asked: text -> number of requests.
        requests: every request body.
        keys: the Authorization headers seen.
        busiest: most requests under way at once.
    """

    latency: float = 0.0
    retry_after: str = "0.05"
    behave: Callable[[str, int], str] = lambda text, before: GOOD
    on_request: Callable[[str], None] = lambda text: None
    asked: Counter[str] = field(default_factory=Counter)
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    busiest: int = 0
    port: int = 0
    _open: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        message = body["messages"][-1]["content"]
        text = text_of(message)
        before = self.asked[text]
        self.asked[text] += 1
        self.requests.append(body)
        self.keys.add(request.headers.get("Authorization", ""))
        self.on_request(text)
        self._open += 1
        self.busiest = max(self.busiest, self._open)
        try:
            if self.latency:
                await asyncio.sleep(self.latency)
            return self._reply(request, message, text, self.behave(text, before))
        finally:
            self._open -= 1

    def _reply(self, request: web.Request, message: str, text: str, mood: str) -> web.Response:
        good = passage_for(text) if "<question>" in message else prompt_for(text)
        if mood == GOOD:
            return web.json_response(completion(good))
        if mood == REFUSING:
            return web.json_response(completion("I'm sorry, but I can't help with that request."))
        if mood == RATE_LIMITED:
            error = {"error": {"message": "slow down", "code": "rate_limit"}}
            return web.json_response(error, status=429, headers={"Retry-After": self.retry_after})
        if mood == FAILING:
            return web.json_response({"error": {"message": "overloaded"}}, status=500)
        if mood == GARBLED:
            half = json.dumps(completion(good))[:40]
            return web.Response(text=half, content_type="application/json")
        if mood == PERMANENT:
            error = {"error": {"message": "Incorrect API key provided: sk-nope", "code": "key"}}
            return web.json_response(error, status=401)
        if mood == CUT:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return web.json_response(completion(mood))  # any other word is the answer itself


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
    app.router.add_post("/v1/chat/completions", loopback.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    started = threading.Event()

    async def start() -> None:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
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
