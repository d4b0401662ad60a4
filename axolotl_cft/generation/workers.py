"""Ask every job of a run, a bounded number at a time; each answer is durable before the next."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from axolotl_cft.errors import CFTError
from axolotl_cft.generation.answers import Answer, Answers
from axolotl_cft.generation.breaker import Breaker, HopelessError
from axolotl_cft.generation.faults import RefusedError
from axolotl_cft.generation.instructions import ask_again
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
        message: the user message.
        judge: turns a reply into a verdict.
        judged_by: see `Answer`.
        prior: an answer that is there and cannot be used.
    """

    key: str
    message: str
    judge: Callable[[Reply], Verdict]
    judged_by: str = ""
    prior: Answer | None = None

    @property
    def request(self) -> str:
        """The message, with what was wrong with an answer that was not given up."""
        if self.prior is None or self.prior.reject is None or self.prior.final:
            return self.message
        return ask_again(self.message, self.prior.reject)

    def attempts_left(self, attempts: int) -> int:
        """How often to ask, of so many times in all; one that was given up is begun anew."""
        spent = self.prior.attempts if self.prior and not self.prior.final else 0
        return max(1, attempts - spent)


@dataclass
class Meter:
    """What this process has done so far, for the progress bar.

    Attributes:
        settled: answers stored, rejected ones included.
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
    answers: Answers,
    make_clients: Callable[[], Clients],
    *,
    concurrency: int,
    attempts: int,
    show: Callable[[Meter], None],
    proven: bool = False,
) -> None:
    """Settle every job and store its answer.

    Jobs are taken from the iterable one by one as requests become free, so that it may read a
    corpus of any size. Whatever stops this, all that was settled is stored; what was asked for in
    vain are the jobs under way, `concurrency` at most, with all their attempts.

    Args:
        jobs: distinct.
        answers: where the answers go.
        make_clients: makes the endpoints' clients inside the event loop.
        concurrency: requests in flight at once.
        attempts: how often one job is asked before it is rejected.
        show: told about the state a few times a second and at the end.
        proven: whether an earlier session of the run got a usable answer.

    Raises:
        HopelessError: too many answers could not be used.
        CFTError: the endpoint refused for good or did not recover, or an answer cannot be kept.
    """
    try:
        asyncio.run(
            _ask_all(iter(jobs), answers, make_clients, concurrency, attempts, show, proven)
        )
    except HopelessError:
        raise
    except CFTError as exc:
        if not (kept := len(answers)):
            raise
        raise CFTError(
            f"{exc}. The {kept} answers so far are kept in {answers.path}: the same command "
            "continues from there"
        ) from exc


async def _ask_all(
    jobs: Iterator[Job],
    answers: Answers,
    make_clients: Callable[[], Clients],
    concurrency: int,
    attempts: int,
    show: Callable[[Meter], None],
    proven: bool,
) -> None:
    clients, meter, commits = make_clients(), Meter(), _Commits(answers)
    clients.proven, breaker = proven, Breaker(proven)
    counted = 0  # retries that are stored

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
            answer = await _settle(job, clients, attempts, meter, breaker)
            # What any request was sent again since the last one, so that the sum survives a kill.
            retries, counted = clients.retries - counted, clients.retries
            await commits.commit(replace(answer, retries=answer.retries + retries))
            meter.settled += 1
            breaker.settle(answer.reject)

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
    """Stores answers, with one write for those that arrive together.

    An answer that comes while a write is under way waits for the next one: a disk that syncs a
    hundred times a second does not hold 64 requests back.
    """

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._waiting: list[Answer] = []
        self._writing = asyncio.Lock()
        self._failed: BaseException | None = None

    async def commit(self, answer: Answer) -> None:
        """Return once the answer is on the disk.

        Raises:
            CFTError: it is not, or an answer before it is not.
        """
        self._waiting.append(answer)
        async with self._writing:
            if self._failed is not None:  # this answer was in the same write, or comes after it
                raise self._failed
            batch, self._waiting = self._waiting, []
            try:
                if batch:
                    await asyncio.to_thread(self._answers.store, batch)
            except CFTError as exc:
                self._failed = exc
                raise


async def _settle(
    job: Job, clients: Clients, attempts: int, meter: Meter, breaker: Breaker
) -> Answer:
    """Ask until an answer can be used, the attempts are spent, or asking is in vain."""
    tokens_in = tokens_out = asked = 0
    request, verdict, kind = job.request, Verdict("", "it was not asked"), None
    by = "no endpoint"
    for asked in range(1, job.attempts_left(attempts) + 1):
        meter.asked_again += asked > 1
        try:
            reply, client = await clients.ask(request)
        except RefusedError as exc:
            verdict, kind = Verdict(verdict.answer, exc.reason), exc.kind
            break
        verdict, by = job.judge(reply), f"{reply.model} at {client.url}"
        tokens_in, tokens_out = tokens_in + reply.tokens_in, tokens_out + reply.tokens_out
        meter.tokens += reply.tokens_in + reply.tokens_out
        if verdict.complaint is None or breaker.tripped:
            break
        request = ask_again(job.message, verdict.complaint)
    breaker.note(verdict.complaint, kind)
    meter.rejected += verdict.complaint is not None
    before = job.prior or Answer(job.key, "", attempts=0)
    return Answer(
        job.key,
        verdict.answer,
        verdict.complaint,
        judged_by=job.judged_by,
        attempts=before.attempts + asked,
        tokens_in=before.tokens_in + tokens_in,
        tokens_out=before.tokens_out + tokens_out,
        retries=before.retries,
        answered_by=by,
    )
