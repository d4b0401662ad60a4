"""Ask every job of a run, a bounded number at a time; each answer is durable before the next."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from axolotl_cft.errors import CFTError
from axolotl_cft.generation.client import Client
from axolotl_cft.generation.instructions import ask_again
from axolotl_cft.generation.journal import Entry, Journal
from axolotl_cft.generation.verdicts import Reply, Verdict

_STAGGER = 0.004
"""Seconds between the workers' first requests: about what the client needs for one. A server that
takes equally long for all would else send its replies in bursts, round after round."""


@dataclass(frozen=True)
class Job:
    """One answer to obtain.

    Attributes:
        key: what it is stored under.
        request: the user message.
        judge: turns a reply into a verdict.
        cut: whether the text was cut to fit the request.
    """

    key: str
    request: str
    judge: Callable[[Reply], Verdict]
    cut: bool = False


@dataclass
class Meter:
    """What this process has done so far, for the progress bar.

    Attributes:
        settled: answers in the journal, rejected ones included.
        tokens: in and out, as the endpoint bills them.
        asked_again: answers that could not be used and were asked for once more.
        rejected: answers given up on after the last attempt.
        retries: requests sent again because of faults in the connection or the server.
    """

    settled: int = 0
    tokens: int = 0
    asked_again: int = 0
    rejected: int = 0
    retries: int = 0


def ask_all(
    jobs: Iterable[Job],
    journal: Journal,
    make_client: Callable[[], Client],
    *,
    concurrency: int,
    attempts: int,
    show: Callable[[Meter], None],
) -> None:
    """Settle every job and store it in the journal.

    Jobs are taken from the iterable one by one as requests become free, so that it may read a
    corpus of any size. Whatever stops this, all that was settled is in the journal, and no more
    than `concurrency` answers were asked for in vain.

    Args:
        jobs: distinct, and not in the journal yet.
        journal: where the answers go.
        make_client: makes the client inside the event loop.
        concurrency: requests in flight at once.
        attempts: how often one job is asked before it is rejected.
        show: told about the state a few times a second and at the end.

    Raises:
        CFTError: the endpoint refused for good or did not recover.
    """
    try:
        asyncio.run(_ask_all(iter(jobs), journal, make_client, concurrency, attempts, show))
    except CFTError as exc:
        if not journal.entries:
            raise
        raise CFTError(
            f"{exc}. The {len(journal.entries)} answers so far are kept in {journal.path}: the "
            "same command continues from there"
        ) from exc


async def _ask_all(
    jobs: Iterator[Job],
    journal: Journal,
    make_client: Callable[[], Client],
    concurrency: int,
    attempts: int,
    show: Callable[[Meter], None],
) -> None:
    client, meter, commits = make_client(), Meter(), _Commits(journal)

    async def work(delay: float) -> None:
        await asyncio.sleep(delay)
        for job in jobs:  # shared: every worker takes the next one
            entry = await _settle(job, client, attempts, meter)
            # What any request was sent again since the last entry, so that the sum survives a kill.
            entry["retries"], meter.retries = client.retries - meter.retries, client.retries
            await commits.commit(entry)
            meter.settled += 1

    async def report() -> None:
        while True:
            show(meter)
            await asyncio.sleep(0.2)

    reporter = asyncio.create_task(report())
    workers = [asyncio.create_task(work(i * _STAGGER)) for i in range(concurrency)]
    try:
        done, _ = await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in (reporter, *workers):
            task.cancel()
        await asyncio.gather(reporter, *workers, return_exceptions=True)
        await client.close()
        show(meter)


class _Commits:
    """Writes to the journal, shared by what arrives together.

    An entry that comes while a write is under way waits for the next one: a disk that syncs a
    hundred times a second does not hold 64 requests back.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._waiting: list[Entry] = []
        self._writing = asyncio.Lock()

    async def commit(self, entry: Entry) -> None:
        """Return once the entry is on the disk."""
        self._waiting.append(entry)
        async with self._writing:
            batch, self._waiting = self._waiting, []
            if batch:
                await asyncio.to_thread(self._journal.append, batch)


async def _settle(job: Job, client: Client, attempts: int, meter: Meter) -> Entry:
    """Ask until an answer can be used or the attempts are spent."""
    entry: Entry = {"key": job.key, "attempts": 0, "tokens_in": 0, "tokens_out": 0}
    request, verdict = job.request, Verdict("", "it was not asked")
    while verdict.complaint is not None and entry["attempts"] < attempts:
        if entry["attempts"]:
            meter.asked_again += 1
            request = ask_again(job.request, verdict.complaint)
        reply = await client.ask(request)
        verdict = job.judge(reply)
        entry["attempts"] += 1
        entry["tokens_in"] += reply.tokens_in
        entry["tokens_out"] += reply.tokens_out
        entry["by"] = f"{reply.model} at {client.url}"
        meter.tokens += reply.tokens_in + reply.tokens_out
    entry["answer"] = verdict.answer
    if job.cut:
        entry["cut"] = True
    if verdict.complaint is not None:
        entry["reject"] = verdict.complaint
        meter.rejected += 1
    return entry
