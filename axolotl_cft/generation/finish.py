"""How a run ends: the rows, the rejects file, and the ledger `generation.json`."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from axolotl_cft.corpus.readers import refuse_foreign
from axolotl_cft.corpus.writers import ROW_FILES, Corpus, write_rows
from axolotl_cft.errors import CFTError
from axolotl_cft.files import digest_file, write_atomic
from axolotl_cft.generation.answers import Answer
from axolotl_cft.generation.earlier_journal import JOURNAL
from axolotl_cft.generation.likeness import likeness_in_words, likeness_of
from axolotl_cft.generation.run import ANSWERS_FILE, Closing
from axolotl_cft.records import GENERATION_FILE, AnswerCounts, GenerationLedger

REJECTS = "rejects.jsonl"


class RejectsError(CFTError):
    """Rows have no usable answer, and nothing was said about what becomes of them.

    Attributes:
        reasons: what was wrong with the answers.
        folder: of the list of them, and of the ledger.
    """

    def __init__(self, sentence: str, reasons: Iterable[str], folder: Path) -> None:
        super().__init__(sentence)
        self.reasons, self.folder = frozenset(reasons), folder


@dataclass(frozen=True)
class Written:
    """What a run adds to the rows of a corpus.

    Attributes:
        columns: the new columns; a row with a key and without a value in one of them is unusable.
        beside: more new columns, which decide nothing.
        keys: for each row, the keys of the answers that decide about it; none where it needs none.
        keep: for each row, whether it is wanted at all.
        prompts: the usable prompts.
        cut: how many texts were shortened for the request.
    """

    columns: Mapping[str, Sequence[Any]]
    beside: Mapping[str, Sequence[Any]]
    keys: Sequence[Collection[str]]
    keep: Sequence[bool]
    prompts: Sequence[str]
    cut: int = 0

    @property
    def unusable(self) -> list[bool]:
        """For each row, whether it needs an answer that it has not got."""
        values = zip(*self.columns.values(), strict=True)
        return [bool(k) and None in row for k, row in zip(self.keys, values, strict=True)]


@dataclass(frozen=True)
class Outcome:
    """What a run ended with.

    Attributes:
        said: sentences about it.
        rows: the file of the rows; None where requests were written in their place.
    """

    said: str
    rows: Path | None = None


def refuse_other_rows(folder: Path, corpus: str, command: str) -> None:
    """Refuse an output folder with the rows of another corpus or command, before anybody is asked.

    Raises:
        CFTError: names both, or the ledger cannot be read; or rows are there without one.
    """
    refuse_foreign(folder, (GENERATION_FILE, ANSWERS_FILE, JOURNAL), ROW_FILES)
    if not (folder / GENERATION_FILE).is_file():
        return
    described = GenerationLedger.read(folder / GENERATION_FILE).model_extra or {}
    before = described.get("corpus") or described.get("items")
    # The same corpus may be given by another path, or by the same one on another machine.
    if before and before != corpus and Path(str(before)).resolve() != Path(corpus).resolve():
        raise CFTError(
            f"{folder} holds the rows of {before}: use another output folder for {corpus}, and "
            f"--answers {folder / ANSWERS_FILE} for its answers"
        )
    if (wrote := described.get("command", command)) != command:
        raise CFTError(
            f"{folder} holds what {wrote} made of {corpus}: use another output folder for {command}"
        )


def count_answers(answers: Iterable[Answer], cut: int) -> AnswerCounts:
    """Counts over distinct answers."""
    answers = list(answers)
    usable = sum(answer.usable for answer in answers)
    return AnswerCounts(
        accepted=usable,
        rejected=len(answers) - usable,
        asked_again=sum(answer.attempts - 1 for answer in answers),
        cut_texts=cut,
        tokens_in=sum(answer.tokens_in for answer in answers),
        tokens_out=sum(answer.tokens_out for answer in answers),
        retries=sum(answer.retries for answer in answers),
        answered_by=dict(sorted(Counter(answer.answered_by for answer in answers).items())),
    )


def write_rejects(
    path: Path, keys: Sequence[Collection[str]], answers: Mapping[str, Answer]
) -> int:
    """List the answers that were given up, each with its rows (from 0), reason and last answer.

    Args:
        path: the file; removed where nothing was rejected.
        keys: each row's keys, none for a row that needs no answer.
        answers: by key.

    Returns:
        The number of rows without a usable answer.
    """
    rows: dict[str, list[int]] = {}
    for row, its_keys in enumerate(keys):
        for key in dict.fromkeys(its_keys):
            if not answers[key].usable:
                rows.setdefault(key, []).append(row)
    if not rows:
        path.unlink(missing_ok=True)
        return 0
    lines = [
        {
            "rows": rows[key],
            "reason": answers[key].reject,
            "attempts": answers[key].attempts,
            "answer": answers[key].text,
            "key": key,
        }
        for key in rows
    ]
    write_atomic(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    return len({row for its_rows in rows.values() for row in its_rows})


def finish(
    corpus: Corpus,
    folder: Path,
    written: Written,
    answers: Mapping[str, Answer],
    closing: Closing,
    described: Mapping[str, Any],
    said: Iterable[str] = (),
) -> Outcome:
    """Write rejects, rows and ledger.

    Args:
        corpus: the rows that came in.
        folder: receives the three files.
        written: what the rows get.
        answers: all that are wanted, by key.
        closing: what becomes of rows without a usable answer.
        described: the run, for the ledger.
        said: what there is to say already.

    Returns:
        What was written, and whether prompts are nearly all alike.

    Raises:
        RejectsError: rows are unusable and must not be dropped.
    """
    path = folder / f"corpus.{closing.format_ or corpus.format}"
    rejected = write_rejects(folder / REJECTS, written.keys, answers)
    unusable, total = written.unusable, len(written.keys)
    likeness = likeness_of(written.prompts)
    counts = count_answers(answers.values(), written.cut)
    ledger = partial(
        GenerationLedger,
        **{**described, "fallback": closing.fallback},
        rows_in=total,
        rows_rejected=rejected,
        rows_dropped=total - sum(written.keep) + sum(unusable),
        answers=counts,
        likeness=likeness,
        cost=closing.cost(counts.tokens_in, counts.tokens_out),
    )
    if any(unusable) and not closing.drop_rejects:
        ledger(output=None).write(folder / GENERATION_FILE)
        raise RejectsError(
            f"{sum(unusable)} of {total} rows got no usable answer, so {path} was not written "
            f"({folder / REJECTS} gives the reasons)",
            (answer.reject for answer in answers.values() if answer.reject is not None),
            folder,
        )
    kept = [wanted and not bad for wanted, bad in zip(written.keep, unusable, strict=True)]
    write_rows(corpus, path, {**written.columns, **written.beside}, kept)
    ledger(output=path.name, sha256=digest_file(path)).write(folder / GENERATION_FILE)
    dropped = f", {total - sum(kept):,} left out" if not all(kept) else ""
    stand_ins = rejected - sum(unusable)
    from_pool = f", {stand_ins:,} with a prompt of the pool" if stand_ins else ""
    alike = likeness_in_words(likeness)
    done = f"{sum(kept):,} rows written{from_pool}{dropped}: {path}"
    sentences = [*said, done, f"{alike}." if alike else ""]
    return Outcome("\n".join(filter(None, sentences)), path)
