"""Answers from the files of a batch, judged like any other.

    {"custom_id": "9f…", "response": {"status_code": 200, "body": {…}}, "error": null}
    {"custom_id": "9f…", "response": null, "error": {"code": "batch_expired", "message": "…"}}

Lines come in any order and may be doubled, of another run, or cut off; a line that was taken once
is known by its content, so that taking a file again, or a longer copy of it, changes nothing.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from axolotl_cft.errors import CFTError
from axolotl_cft.generation.answers import Answer, Answers
from axolotl_cft.generation.completions import read_completion
from axolotl_cft.generation.faults import WRONG_FOR_ALL, one_line, scope_of_status
from axolotl_cft.generation.hiding import HIDDEN, hide_secrets, redact
from axolotl_cft.generation.run import Progress
from axolotl_cft.generation.verdicts import Reply, Verdict
from axolotl_cft.generation.wanted import Wanted
from axolotl_cft.generation.workers import Job, Meter

_AT_ONCE = 1000
"""Lines whose answers are stored with one write."""

BY = "in a batch"
"""Where an endpoint's address would stand."""


ALIKE = 20
"""If so many refusals and nothing else are in a file, it is the service that failed, not the
texts."""


@dataclass
class _Found:
    """What is in files.

    Attributes:
        lines: key -> what came for it: the line's digest, and a reply or a refusal.
        failed: what failed lines say, and how many do.
        unreadable: lines that are none of a batch.
    """

    lines: dict[str, list[tuple[str, Reply | Verdict]]] = field(default_factory=dict)
    failed: Counter[str] = field(default_factory=Counter)
    unreadable: int = 0

    def add(self, other: "_Found") -> None:
        """Add what is in another file."""
        for key, came in other.lines.items():
            self.lines.setdefault(key, []).extend(came)
        self.failed.update(other.failed)
        self.unreadable += other.unreadable


def take(
    paths: Sequence[Path], wanted: Wanted, answers: Answers, attempts: int, progress: Progress
) -> tuple[str, set[str]]:
    """Judge and store what files hold of what is wanted.

    Args:
        paths: output or error files of batches.
        wanted: what is wanted.
        answers: where the answers go.
        attempts: how often one answer is asked for before it is given up.
        progress: shows the judging.

    Returns:
        What was found, in words, and the keys of what was new.

    Raises:
        CFTError: a file cannot be read, or holds no line of a batch's answers.
    """
    found = _Found()
    for path in paths:
        found.add(_read(path))
    mine = found.lines.keys() & {key for key in wanted.keys if key}
    new = answers.unknown_lines(digest for key in mine for digest, _ in found.lines[key])
    taken: dict[str, Answer] = {}
    with progress(f"{wanted.label} from {_named(paths)}", len(mine), 0) as show:
        seen = 0
        for some in _batched(wanted.jobs(mine)):
            _take_some(some, found, new, answers, attempts, taken)
            seen += len(some)
            show(Meter(seen))
    usable = sum(answer.usable for answer in taken.values())
    counts = {
        "usable answers": usable,
        "answers that cannot be used": len(taken) - usable,
        "answers known before": len(mine) - len(taken),
        "answers to other requests": len(found.lines) - len(mine),
        f"failed lines (most often: {_commonest(found.failed)})": found.failed.total(),
        "lines that are none of a batch": found.unreadable,
    }
    return f"{_named(paths)}: {_in_words(counts)}", set(taken)


def _take_some(
    jobs: Sequence[Job],
    found: _Found,
    new: set[str],
    answers: Answers,
    attempts: int,
    taken: dict[str, Answer],
) -> None:
    """Judge the new lines of some jobs, and store them with one write."""
    latest, digests = answers.read(job.key for job in jobs), []
    for job in jobs:
        for digest, came in found.lines[job.key]:
            if digest in new:
                new.remove(digest)
                digests.append(digest)
                latest[job.key] = _judged(job, came, latest.get(job.key), attempts)
                taken[job.key] = latest[job.key]
    answers.store([latest[key] for key in latest if key in taken], digests)


def _named(paths: Sequence[Path]) -> str:
    return str(paths[0]) if len(paths) == 1 else f"{len(paths)} files"


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
    """The answer that a line makes of the one before it.

    A usable one stays, and what else was billed for it is counted. A refusal is final, as it is at
    an endpoint: the next would be the same.
    """
    reply = came if isinstance(came, Reply) else Reply("")
    before = before or Answer(job.key, "", "it was not asked", attempts=0)
    billed = replace(
        before,
        tokens_in=before.tokens_in + reply.tokens_in,
        tokens_out=before.tokens_out + reply.tokens_out,
    )
    if before.usable:
        return billed
    verdict, asked = job.judge(came) if isinstance(came, Reply) else came, before.attempts + 1
    final = verdict.complaint is None or isinstance(came, Verdict) or asked >= attempts
    return replace(
        billed,
        text=verdict.answer,
        reject=verdict.complaint,
        final=final,
        judged_by=job.judged_by,
        attempts=asked,
        answered_by=f"{reply.model} {BY}" if reply.model else BY,
    )


def _read(path: Path) -> _Found:
    """What is in a file.

    Raises:
        CFTError: it cannot be read, or is no file of answers.
    """
    found, requests = _Found(), 0
    try:
        with path.open("rb") as file:
            for line in file:
                if line.strip():
                    requests += _note(line, found)
    except OSError as exc:
        raise CFTError(f"cannot read {path}: {exc.strerror}") from exc
    if requests and not found.lines:
        raise CFTError(f"{path} holds requests: name the output file of their batch")
    if found.unreadable and not found.lines and not found.failed:
        raise CFTError(f"{path} holds no line of a batch: name the output file of one")
    came = [reply for replies in found.lines.values() for _, reply in replies]
    if len(came) >= ALIKE and all(isinstance(reply, Verdict) for reply in came):
        found.failed.update(str(reply.complaint) for reply in came if isinstance(reply, Verdict))
        found.lines.clear()
    return found


def _note(line: bytes, found: _Found) -> bool:
    """Note what a line holds; tells whether it is a request."""
    try:
        content = json.loads(line.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError):
        content = None
    key = content.get("custom_id") if isinstance(content, dict) else None
    if not isinstance(key, str):
        found.unreadable += 1
        return False
    if "body" in content and "response" not in content:
        found.failed["it is a request, not an answer"] += 1
        return True
    came = _what_came(content)
    if isinstance(came, str):
        found.failed[came] += 1
        return False
    told = json.dumps(content, sort_keys=True).encode()
    digest = hashlib.blake2b(told, digest_size=16).hexdigest()
    found.lines.setdefault(key, []).append((digest, came))
    return False


def _what_came(line: dict[str, Any]) -> Reply | Verdict | str:
    """The reply in a line; a verdict where the text was refused; else why there is none."""
    response, error = line.get("response"), line.get("error")
    if isinstance(error, dict) and not any(error.values()):
        error = None
    if not isinstance(response, dict):
        return _words(error) or "without a word"
    status, body = str(response.get("status_code", 200)), _unpacked(response.get("body"))
    if status != "200" or error:
        # As at an endpoint: one text was refused, unless the next would be too. Where the service
        # itself said nothing, it is a job that broke down.
        code = int(status) if status.isdigit() else 0
        refused = 400 <= code < 500 and code not in WRONG_FOR_ALL
        words = f"{status}: {_words(body) or _words(error) or 'without a word'}"
        if refused and scope_of_status(code, None) is None and _words(body):
            return Verdict("", f"the endpoint refused it with {words}")
        return words
    return read_completion(_object(body)) or "a response that is no chat completion"


def _unpacked(body: Any) -> Any:
    """A body that was written as a text, as JSON."""
    try:
        return json.loads(body) if isinstance(body, str) else body
    except (ValueError, RecursionError):
        return body


def _words(error: Any) -> str:
    """What an error says, wherever services put it, without a key that they repeat."""
    while isinstance(error, dict):
        error = error.get("error") or error.get("message") or error.get("code")
    return one_line(redact(error, _keys(error))) if isinstance(error, str) else ""


def _keys(words: str) -> set[str]:
    """What in an error's words looks like a key."""
    return {word for word in _WORDS.findall(words) if hide_secrets(word) == HIDDEN}


_WORDS = re.compile(r"[^\s,;'\"()]+")


def _object(body: Any) -> Any:
    """A JSON value whose fields are attributes, as the client's own objects have them."""
    return json.loads(json.dumps(body), object_hook=lambda fields: SimpleNamespace(**fields))
