"""How close `axolotl-cft generate` comes to concurrency ÷ latency, and what limits it at the end.

    python benchmarks/generate.py [--concurrency 64] [--latency 1.0] [--rounds 20]

A fault-free chat-completions endpoint (real HTTP on 127.0.0.1) runs in a process of its own. The
peer is the least that you could write by hand: the `openai` client behind a semaphore, which checks
nothing and keeps nothing. Both ask for the same prompts in one run; ours checks every answer and
has it on the disk (fsync) before the next request of that worker.
"""

import argparse
import asyncio
import contextlib
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import openai
from loopback_llm import Loopback, serve
from rich.console import Console
from rich.table import Table

from axolotl_cft.generation.answers import Answers
from axolotl_cft.generation.instructions import TEXT_ADAPT_CFT
from axolotl_cft.generation.prompting import PromptPlan
from axolotl_cft.generation.run import Endpoint
from axolotl_cft.generation.workers import ask_all
from axolotl_cft.host.tokens import Tokens

PLAN = PromptPlan(TEXT_ADAPT_CFT, None, 42, Tokens(), 3000)


def run_server(latency: float, pipe: Connection) -> None:
    with serve(Loopback(latency=latency)) as server:
        pipe.send(server.url)
        pipe.recv()


def ours(url: str, texts: list[str], concurrency: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        endpoint = Endpoint("m", url, timeout=60, patience=0, max_output_tokens=512)
        with contextlib.closing(Answers(Path(folder) / "answers.sqlite")) as answers:
            ask_all(
                map(partial(PLAN.job, endpoint.keys()), texts),
                answers,
                endpoint.clients,
                concurrency=concurrency,
                attempts=1,
                show=lambda meter: None,
            )
            assert len(answers) == len(texts)


def bare_client(url: str, texts: list[str], concurrency: int) -> None:
    async def main() -> None:
        client = openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0, timeout=60)
        gate = asyncio.Semaphore(concurrency)

        async def ask(text: str) -> str | None:
            async with gate:
                messages = [{"role": "user", "content": PLAN.message(text, text)}]
                completion = await client.chat.completions.create(
                    model="m", messages=messages, max_tokens=512
                )
                return completion.choices[0].message.content

        async with client:
            answers = await asyncio.gather(*map(ask, texts))
        assert all(answers)

    asyncio.run(main())


def rate(
    side: Callable[[str, list[str], int], None], latency: float, texts: list[str], concurrency: int
) -> float:
    """Answers per second, on a server process of its own, after a warm-up of one round."""
    here, there = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=run_server, args=(latency, there))
    process.start()
    try:
        url = here.recv()
        side(url, [f"warm-up {i}" for i in range(concurrency)], concurrency)
        begin = time.perf_counter()
        side(url, texts, concurrency)
        return len(texts) / (time.perf_counter() - begin)
    finally:
        here.send("stop")
        process.join(10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--latency", type=float, default=1.0, help="seconds")
    parser.add_argument("--rounds", type=int, default=20, help="requests of each worker")
    options = parser.parse_args()
    count = options.concurrency * options.rounds
    texts = [f"Text {i}. " + "Cells keep order while blood flows. " * 40 for i in range(count)]
    table = Table(title=f"{count:,} prompts, {options.concurrency} requests at once, answers/s")
    for heading in (
        "latency",
        "concurrency ÷ latency",
        "ours",
        "bare openai client",
        "ours ÷ bare",
    ):
        table.add_column(heading, justify="right")
    shares = []
    for latency in (options.latency, 0.0):
        measured = [rate(side, latency, texts, options.concurrency) for side in (ours, bare_client)]
        bound = options.concurrency / latency if latency else None
        table.add_row(
            f"{latency:g} s",
            f"{bound:.1f}" if bound else "none",
            *(f"{value:.1f}" for value in measured),
            f"{measured[0] / measured[1]:.3f}",
        )
        if bound:
            shares.append(measured[0] / bound)
    console = Console()
    console.print(table)
    console.print(f"With latency, ours reaches {shares[0]:.1%} of concurrency ÷ latency.")
    console.print("Without latency, the last row is the rate at which the client is the limit.")


if __name__ == "__main__":
    main()
