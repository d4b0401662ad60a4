"""Ask every job of a run, a bounded number at a time; each answer is durable before the next."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from axolotl_cft.errors import CFTError
from axolotl_cft.generation.breaker import Breaker, HopelessError
from axolotl_cft.generation.faults import RefusedError
from axolotl_cft.generation.instructions import ask_again
from axolotl_cft.generation.journal import Entry, Journal
from axolotl_cft.generation.sharing import Clients
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
        cut: characters shown of a text that was cut to fit the request; None where all of it is.
    """

    key: str
    request: str
    judge: Callable[[Reply], Verdict]
    cut: int | None = None


@dataclass
class Meter:
    """What this process has done so far, for the progress bar.

    Attributes:
        settled: answers in the journal, rejected ones included.
        tokens: in and out, as the endpoint bills them.
        asked_again: answers that could not be used and were asked for once more.
        rejected: answers given up on after the last attempt.
        retries: requests sent again because of faults in the connection or the server.
        waiting: what the run waits for at the moment, in a few words, if for anything.
        lost: sentences about endpoints that were given up.
    """

    settled: int = 0
    tokens: int = 0
    asked_again: int = 0
    rejected: int = 0
    retries: int = 0
    waiting: str = ""
    lost: list[str] = field(default_factory=list)


def ask_all(
    jobs: Iterable[Job],
    journal: Journal,
    make_clients: Callable[[], Clients],
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
        make_clients: makes the endpoints' clients inside the event loop.
        concurrency: requests in flight at once.
        attempts: how often one job is asked before it is rejected.
        show: told about the state a few times a second and at the end.

    Raises:
        HopelessError: too many answers could not be used.
        CFTError: the endpoint refused for good or did not recover, or an answer cannot be kept.
    """
    try:
        asyncio.run(_ask_all(iter(jobs), journal, make_clients, concurrency, attempts, show))
    except HopelessError:
        raise
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
    make_clients: Callable[[], Clients],
    concurrency: int,
    attempts: int,
    show: Callable[[Meter], None],
) -> None:
    clients, meter, commits = make_clients(), Meter(), _Commits(journal)
    clients.proven = any("reject" not in entry for entry in journal.entries.values())
    breaker = Breaker(clients.proven)
    counted = 0  # retries that are in the journal

    making = asyncio.Lock()

    async def next_job() -> Job | None:
        # In a thread: making the job of a long text must not hold up the answers to others.
        async with making:
            return await asyncio.to_thread(next, jobs, None)

    async def work(delay: float) -> None:
        nonlocal counted
        await asyncio.sleep(delay)
        while (job := await next_job()) is not None:
            if breaker.tripped:
                return  # the worker that saw it first stops the run once its answer is kept
            entry = await _settle(job, clients, attempts, meter, breaker)
            # What any request was sent again since the last entry, so that the sum survives a kill.
            entry["retries"], counted = clients.retries - counted, clients.retries
            await commits.commit(entry)
            meter.settled += 1
            breaker.settle(entry.get("reject"))

    def tell() -> None:
        meter.retries, meter.waiting, meter.lost = clients.retries, clients.waiting(), clients.lost
        show(meter)

    async def report() -> None:
        while True:
            tell()
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
        await clients.close()
        tell()


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


async def _settle(
    job: Job, clients: Clients, attempts: int, meter: Meter, breaker: Breaker
) -> Entry:
    """Ask until an answer can be used, the attempts are spent, or asking is in vain."""
    entry: Entry = {"key": job.key, "attempts": 0, "tokens_in": 0, "tokens_out": 0}
    request, verdict, kind = job.request, Verdict("", "it was not asked"), None
    while verdict.complaint is not None and entry["attempts"] < attempts:
        if entry["attempts"]:
            meter.asked_again += 1
            request = ask_again(job.request, verdict.complaint)
        entry["attempts"] += 1
        try:
            reply, client = await clients.ask(request)
        except RefusedError as exc:
            verdict, kind = Verdict(verdict.answer, exc.reason), exc.kind
            entry.setdefault("by", "no endpoint")
            break
        verdict = job.judge(reply)
        entry["tokens_in"] += reply.tokens_in
        entry["tokens_out"] += reply.tokens_out
        entry["by"] = f"{reply.model} at {client.url}"
        meter.tokens += reply.tokens_in + reply.tokens_out
        if breaker.tripped:
            break
    breaker.note(verdict.complaint, kind)
    entry["answer"] = verdict.answer
    if job.cut is not None:
        entry["cut"] = job.cut
    if verdict.complaint is not None:
        entry["reject"] = verdict.complaint
        meter.rejected += 1
    return entry
