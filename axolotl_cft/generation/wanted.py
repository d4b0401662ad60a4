"""Which answers a run wants, which of them are there, and what it takes to have the rest."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from axolotl_cft.errors import CFTError
from axolotl_cft.generation.answers import Answer, Answers
from axolotl_cft.generation.run import Endpoint, Progress
from axolotl_cft.generation.verdicts import TOO_LONG, Reply
from axolotl_cft.generation.workers import Job, Meter, ask_all

_AT_ONCE = 1000
"""Answers that are judged again between two writes."""


@dataclass(frozen=True)
class Wanted:
    """Answers of one kind that a run wants.

    Attributes:
        label: what they are, for the progress.
        keys: what they are stored under; None is nothing, and equal keys are one answer.
        makers: gives each key and how to make its job, in the order to ask; the jobs are made as
            they are needed, so that it may read a corpus of any size. Called more than once.
        judged_by: see `Answer`.
    """

    label: str
    keys: Sequence[str | None]
    makers: Callable[[], Iterable[tuple[str | None, Callable[[], Job]]]]
    judged_by: str = ""

    def jobs(self, keys: Iterable[str]) -> Iterator[Job]:
        """The jobs of some of the keys, each once."""
        left = set(keys)
        for key, make in self.makers() if left else ():
            if key in left:
                left.remove(key)
                yield make()
            if not left:
                return


@dataclass(frozen=True)
class Standing:
    """What is there of what is wanted.

    Attributes:
        settled: usable answers, and those given up.
        left: keys without one, with an answer that cannot be used if there is one.
    """

    settled: dict[str, Answer]
    left: dict[str, Answer | None]

    @property
    def proven(self) -> bool:
        """Whether there is a usable answer."""
        return any(answer.usable for answer in self.settled.values())

    def jobs(self, wanted: Wanted) -> Iterator[Job]:
        """The jobs of what is left."""
        for job in wanted.jobs(self.left):
            yield replace(job, prior=self.left[job.key])


def standing(wanted: Wanted, answers: Answers, retry_rejects: bool, progress: Progress) -> Standing:
    """See what is there; answers that were measured with another tokenizer are judged again.

    Args:
        wanted: what is wanted.
        answers: where they are.
        retry_rejects: whether one that was given up counts as none.
        progress: shows the judging.
    """
    keys = dict.fromkeys(key for key in wanted.keys if key is not None)
    found = answers.read(keys)
    found |= _judge_again(wanted, answers, found, progress)

    def is_settled(answer: Answer | None) -> bool:
        return answer is not None and (answer.usable or (answer.final and not retry_rejects))

    settled = {key: answer for key, answer in found.items() if is_settled(answer)}
    return Standing(settled, {key: found.get(key) for key in keys if key not in settled})


def _judge_again(
    wanted: Wanted, answers: Answers, found: dict[str, Answer], progress: Progress
) -> dict[str, Answer]:
    """Answers that another tokenizer or budget decided about, judged anew.

    What passes now is stored so. A usable answer that does not pass is only not used: it stays
    where it is until there is another, for whoever counts as before.
    """
    others = {
        key: answer
        for key, answer in found.items()
        if answer.judged_by != wanted.judged_by
        and (answer.usable or str(answer.reject).startswith(TOO_LONG))
    }
    judged: dict[str, Answer] = {}
    passed: list[Answer] = []
    if not others:
        return judged
    with progress(f"{wanted.label}, judged again", len(others), 0) as show:
        for job in wanted.jobs(others):
            answer = others[job.key]
            complaint = job.judge(Reply(answer.text)).complaint
            final = complaint is None or (answer.final and not answer.usable)
            judged[job.key] = replace(
                answer, reject=complaint, final=final, judged_by=job.judged_by
            )
            if complaint is None:
                passed.append(judged[job.key])
            if len(passed) == _AT_ONCE or len(judged) == len(others):
                answers.store(passed)
                passed.clear()
            show(Meter(len(judged)))
    return judged


def settle(
    wanted: Wanted, answers: Answers, endpoint: Endpoint, retry_rejects: bool, progress: Progress
) -> None:
    """Ask an endpoint for what is not there.

    Args:
        wanted: what is wanted.
        answers: where the answers are and go.
        endpoint: whom to ask.
        retry_rejects: whether an answer given up on earlier counts as none.
        progress: shows how many are settled.

    Raises:
        CFTError: the endpoint refused for good or did not recover, or the user stopped the run.
    """
    now = standing(wanted, answers, retry_rejects, progress)
    if not now.left:
        return
    from axolotl_cft.corpus.language import load_identifier

    load_identifier()  # not in the event loop, where it would hold up all requests
    with progress(wanted.label, len(now.settled) + len(now.left), len(now.settled)) as show:
        try:
            ask_all(
                now.jobs(wanted),
                answers,
                endpoint.clients,
                concurrency=endpoint.concurrency,
                attempts=endpoint.attempts,
                show=show,
                proven=now.proven,
            )
        except KeyboardInterrupt:
            raise CFTError(
                f"stopped; {len(answers)} answers are kept in {answers.path}, and the same command "
                "continues from there"
            ) from None
