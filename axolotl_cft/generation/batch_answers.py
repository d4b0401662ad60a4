"""Answers from the files of a batch, judged like any other.

    {"custom_id": "9f…", "response": {"status_code": 200, "body": {…}}, "error": null}
    {"custom_id": "9f…", "response": null, "error": {"code": "batch_expired", "message": "…"}}

Lines come in any order and may be doubled, of another run, or cut off; a line that was taken once
is known by its content, so that taking a file again, or a longer copy of it, changes nothing.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from axolotl_cft.errors import CFTError
from axolotl_cft.generation.answers import Answer, Answers
from axolotl_cft.generation.completions import read_completion
from axolotl_cft.generation.faults import WRONG_FOR_ALL, one_line, scope_of_status
from axolotl_cft.generation.run import Progress
from axolotl_cft.generation.verdicts import Reply, Verdict
from axolotl_cft.generation.wanted import Wanted
from axolotl_cft.generation.workers import Job, Meter

_AT_ONCE = 1000
"""Lines whose answers are stored with one write."""

BY = "in a batch"
"""Where an endpoint's address would stand."""


@dataclass
class _Found:
    """What is in a file.

    Attributes:
        lines: key -> what came for it: the line's digest, and a reply or a refusal.
        failed: what failed lines say, and how many do.
        unreadable: lines that are none of a batch.
    """

    lines: dict[str, list[tuple[str, Reply | Verdict]]] = field(default_factory=dict)
    failed: Counter[str] = field(default_factory=Counter)
    unreadable: int = 0


def take(path: Path, wanted: Wanted, answers: Answers, attempts: int, progress: Progress) -> str:
    """Judge and store what a file holds of what is wanted.

    Args:
        path: a batch's output or error file.
        wanted: what is wanted.
        answers: where the answers go.
        attempts: how often one answer is asked for before it is given up.
        progress: shows the judging.

    Returns:
        What was found, in words.

    Raises:
        CFTError: the file cannot be read, or holds no line of a batch.
    """
    found = _read(path)
    if found.unreadable and not found.lines and not found.failed:
        raise CFTError(f"{path} holds no line of a batch: name the output file of one")
    mine = found.lines.keys() & {key for key in wanted.keys if key}
    new = answers.unknown_lines(digest for key in mine for digest, _ in found.lines[key])
    taken: dict[str, Answer] = {}
    with progress(f"{wanted.label} from {path.name}", len(mine), 0) as show:
        seen = 0
        for some in _batched(wanted.jobs(mine)):
            latest, digests = answers.read(job.key for job in some), []
            for job in some:
                for digest, came in found.lines[job.key]:
                    if digest in new:
                        new.remove(digest)
                        latest[job.key] = _judged(job, came, latest.get(job.key), attempts)
                        digests.append(digest)
                        taken[job.key] = latest[job.key]
            answers.store([latest[key] for key in latest if key in taken], digests)
            seen += len(some)
            show(Meter(seen))
    usable = sum(answer.usable for answer in taken.values())
    return f"{path}: " + _in_words(
        {
            "usable answers": usable,
            "answers that cannot be used": len(taken) - usable,
            "answers known before": len(mine) - len(taken),
            "answers to other requests": len(found.lines) - len(mine),
            f"failed lines (most often: {_commonest(found.failed)})": found.failed.total(),
            "lines that are none of a batch": found.unreadable,
        }
    )


def _in_words(counts: dict[str, int]) -> str:
    said = [f"{count:,} {what}" for what, count in counts.items() if count]
    return ", ".join(said) or "nothing"


def _commonest(failed: Counter[str]) -> str:
    return failed.most_common(1)[0][0] if failed else ""


def _batched(jobs: Iterator[Job]) -> Iterator[list[Job]]:
    some: list[Job] = []
    for job in jobs:
        some.append(job)
        if len(some) == _AT_ONCE:
            yield some
            some = []
    if some:
        yield some


def _judged(job: Job, came: Reply | Verdict, before: Answer | None, attempts: int) -> Answer:
    """The answer that a line makes of the one before it; a usable one stays."""
    reply = came if isinstance(came, Reply) else Reply("")
    verdict = job.judge(came) if isinstance(came, Reply) else came
    before = before or Answer(job.key, "", "it was not asked", attempts=0)
    billed = replace(
        before,
        attempts=before.attempts + 1,
        tokens_in=before.tokens_in + reply.tokens_in,
        tokens_out=before.tokens_out + reply.tokens_out,
    )
    if before.usable:
        return billed
    return replace(
        billed,
        text=verdict.answer,
        reject=verdict.complaint,
        final=verdict.complaint is None or billed.attempts >= attempts,
        judged_by=job.judged_by,
        answered_by=f"{reply.model} {BY}" if reply.model else BY,
    )


def _read(path: Path) -> _Found:
    found = _Found()
    try:
        with path.open("rb") as file:
            for line in file:
                if line.strip():
                    _note(line, found)
    except OSError as exc:
        raise CFTError(f"cannot read {path}: {exc.strerror}") from exc
    return found


def _note(line: bytes, found: _Found) -> None:
    """Note what a line holds."""
    try:
        content = json.loads(line)
    except ValueError:
        content = None
    key = content.get("custom_id") if isinstance(content, dict) else None
    if not isinstance(key, str):
        found.unreadable += 1
        return
    came = _what_came(content)
    if isinstance(came, str):
        found.failed[came] += 1
        return
    told = json.dumps(content, sort_keys=True).encode()
    digest = hashlib.blake2b(told, digest_size=16).hexdigest()
    found.lines.setdefault(key, []).append((digest, came))


def _what_came(line: dict[str, Any]) -> Reply | Verdict | str:
    """The reply in a line; a verdict where the text was refused; else why there is none."""
    response = line.get("response")
    if not isinstance(response, dict):
        return _words(line.get("error")) or "without a word"
    status, body = response.get("status_code", 200), response.get("body")
    if status != 200 or line.get("error"):
        words = f"{status}: {_words(body) or _words(line.get('error')) or 'without a word'}"
        # As at an endpoint: one text was refused, unless the next would be too.
        refused = type(status) is int and 400 <= status < 500 and status not in WRONG_FOR_ALL
        if refused and scope_of_status(status, None) is None:
            return Verdict("", f"the endpoint refused it with {words}")
        return words
    reply = read_completion(_object(body))
    return reply or "a response that is no chat completion"


def _words(error: Any) -> str:
    """What an error says, wherever services put it."""
    while isinstance(error, dict):
        error = error.get("error") or error.get("message") or error.get("code")
    return one_line(error) if isinstance(error, str) else ""


def _object(body: Any) -> Any:
    """A JSON value whose fields are attributes, as the client's own objects have them."""
    return json.loads(json.dumps(body), object_hook=lambda fields: SimpleNamespace(**fields))
