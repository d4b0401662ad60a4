"""Options about where answers are kept, and about batches, that `generate` and `educate` share."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from axolotl_cft.errors import CFTError
from axolotl_cft.generation.run import ANSWERS_FILE

if TYPE_CHECKING:
    from axolotl_cft.generation.batch import Batch


@dataclass(frozen=True)
class AnswerFiles:
    """Where answers are kept, and what they are exchanged by in place of an endpoint."""

    answers: Path | None
    export_batch: Path | None
    import_batch: tuple[Path, ...]

    @property
    def batch(self) -> "Batch | None":
        """The exchange that is wanted, if any."""
        from axolotl_cft.generation.batch import BatchExport, BatchImport

        if self.export_batch and self.import_batch:
            raise click.UsageError("--export-batch and --import-batch are two steps: take one")
        if self.export_batch:
            return BatchExport(self.export_batch)
        return BatchImport(self.import_batch) if self.import_batch else None


ANSWER_OPTIONS = (
    click.option(
        "--answers",
        type=click.Path(path_type=Path, dir_okay=False),
        help="File in which every answer is kept as it arrives (SQLite). An answer is found again "
        "for the same model, --request, instruction and text, in any corpus, and is not paid for "
        f"twice. Default: {ANSWERS_FILE} in the output folder.",
    ),
    click.option(
        "--export-batch",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Write the requests whose answers are missing to this file, in OpenAI's batch format "
        "(which `vllm run-batch` reads too), and send none. Beyond 50,000 requests or 200 MB there "
        "are more files, FILE.2.jsonl and so on.",
    ),
    click.option(
        "--import-batch",
        multiple=True,
        type=click.Path(path_type=Path, dir_okay=False, exists=True),
        help="Take answers from a batch's output file (several times: from several). They pass the "
        "same checks; what is missing then, --export-batch writes again.",
    ),
)


@contextlib.contextmanager
def naming_the_next_batch(batch: "Batch | None") -> Iterator[None]:
    """Add to an import that leaves answers missing what the user can do about it."""
    from axolotl_cft.generation.batch import MissingAnswersError

    try:
        yield
    except MissingAnswersError as exc:
        raise CFTError(
            f"{exc}: --export-batch writes their requests, and without it and --import-batch the "
            "endpoint is asked for them"
        ) from exc


LIMIT = click.option(
    "--limit",
    type=click.IntRange(1),
    help="Take the first rows alone, to see what comes of them; they are written to a folder of "
    "their own in the output folder. Without it, the run goes on with the rest.",
)
