"""Requests written to files, in the form of OpenAI's batches, which `vllm run-batch` reads too.

    {"custom_id": "9f…", "method": "POST", "url": "/v1/chat/completions", "body": {…}}

The `custom_id` is the answer's key: answers come back in any order, from any export.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from axolotl_cft.errors import CFTError
from axolotl_cft.files import open_whole
from axolotl_cft.generation.address import OPENAI_URL, read_address
from axolotl_cft.generation.answers import Answers
from axolotl_cft.generation.completions import further_fields, messages_of
from axolotl_cft.generation.hiding import secrets_in
from axolotl_cft.generation.run import Closing, Endpoint, Progress
from axolotl_cft.generation.wanted import Wanted, settle, standing
from axolotl_cft.generation.workers import Job

MOST_REQUESTS = 50_000
"""In a file, as OpenAI takes it."""

MOST_BYTES = 200 * 10**6
"""The same."""


@dataclass(frozen=True)
class BatchExport:
    """Write the requests to a file in place of sending them.

    Attributes:
        path: the first file; further ones are numbered (`requests.2.jsonl`).
    """

    path: Path


@dataclass(frozen=True)
class BatchImport:
    """Take answers from files in place of asking for them.

    Attributes:
        paths: outputs of batches, error files among them.
    """

    paths: Sequence[Path]


Batch = BatchExport | BatchImport


class MissingAnswersError(CFTError):
    """The files do not hold all that is wanted."""


@dataclass(frozen=True)
class Obtained:
    """How far a run has come.

    Attributes:
        whole: whether all that is wanted is settled.
        said: a sentence about what was done, if there is something to say.
    """

    whole: bool
    said: str = ""


def obtain(
    wanted: Wanted,
    answers: Answers,
    endpoint: Endpoint,
    closing: Closing,
    progress: Progress,
    batch: Batch | None,
) -> Obtained:
    """Have what is wanted settled by an endpoint, or exchange it by files.

    Raises:
        MissingAnswersError: the files do not hold all of it.
        CFTError: the endpoint or a file cannot be used.
    """
    if batch is None:
        settle(wanted, answers, endpoint, closing.retry_rejects, progress)
        return Obtained(True)
    if isinstance(batch, BatchExport):
        return _export(batch.path, wanted, answers, endpoint, closing.retry_rejects, progress)
    from axolotl_cft.generation.batch_answers import take

    said, taken = take(batch.paths, wanted, answers, endpoint.attempts, progress)
    now = standing(wanted, answers, closing.retry_rejects, progress)
    # What these files had given up is not what an earlier run gave up.
    left = [
        key for key, answer in now.left.items() if not (answer and answer.final and key in taken)
    ]
    if left:
        raise MissingAnswersError(
            f"{said}. {len(left):,} of {len(now.left) + len(now.settled):,} answers are still "
            "missing, so no rows were written"
        )
    return Obtained(True, said)


def refuse_exported(batch: Batch | None) -> None:
    """Refuse to export to files that are there, before anything is read.

    Raises:
        CFTError: names the file.
    """
    if not isinstance(batch, BatchExport):
        return
    path = batch.path
    further = re.compile(rf"{re.escape(path.stem)}\.\d+{re.escape(path.suffix)}")
    names = sorted(path.parent.iterdir()) if path.parent.is_dir() else []
    there = [file for file in names if file.name == path.name or further.fullmatch(file.name)]
    if there:
        raise CFTError(
            f"{there[0]} is there already: a batch under way, or half of an export that was "
            "stopped; name another file, or remove it"
        )


def _export(
    path: Path,
    wanted: Wanted,
    answers: Answers,
    endpoint: Endpoint,
    retry_rejects: bool,
    progress: Progress,
) -> Obtained:
    """Write a request for each answer that is not there."""
    if hidden := [name for name, value in endpoint.request.items() if secrets_in({name: value})]:
        raise CFTError(
            f"the further field {hidden[0]} holds a key or a password, which would stand in the "
            "file of requests: leave it out"
        )
    now = standing(wanted, answers, retry_rejects, progress)
    if not now.left:
        return Obtained(True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with progress(f"{wanted.label}, written as requests", None, 0):
        parts = _write(path, _lines(now.jobs(wanted), endpoint))
    more = f" to {_numbered(path, parts)}" if parts > 1 else ""
    return Obtained(
        False,
        f"{len(now.left):,} requests written: {path}{more}. Until their answers are imported, "
        "another export or run would ask for them once more.",
    )


def _lines(jobs: Iterable[Job], endpoint: Endpoint) -> Iterator[bytes]:
    urls = [endpoint.base_url] if isinstance(endpoint.base_url, str) else endpoint.base_url
    official = not urls or any(read_address(url).url == OPENAI_URL for url in urls)
    fields = further_fields(endpoint.request, endpoint.max_output_tokens, official)
    for job in jobs:
        body = {"model": endpoint.named_model(), "messages": messages_of(job.request), **fields}
        line = {"custom_id": job.key, "method": "POST", "url": "/v1/chat/completions", "body": body}
        yield json.dumps(line, ensure_ascii=False).encode() + b"\n"


def _write(path: Path, lines: Iterable[bytes]) -> int:
    """Write lines to as many files as they need, which appear when the last is whole."""
    parts = requests = size = 0
    with ExitStack() as stack:
        for line in lines:
            if parts == 0 or requests == MOST_REQUESTS or size + len(line) > MOST_BYTES:
                parts, requests, size = parts + 1, 0, 0
                file = stack.enter_context(open_whole(_numbered(path, parts)))
            file.write(line)
            requests, size = requests + 1, size + len(line)
    return parts


def _numbered(path: Path, part: int) -> Path:
    return path if part == 1 else path.with_name(f"{path.stem}.{part}{path.suffix}")
