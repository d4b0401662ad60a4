"""Contextual prompts for the texts of a corpus, written by an LLM (the paper's TextAdaptCFT).

parts = open_corpus("corpus.jsonl", Field("text"), split="train", streamed=False)
plan = CorpusPromptOptions(config=Path("my.yml")).plan()  # a prompt for each chunk of training
endpoint = Endpoint("qwen3", "http://localhost:8000/v1")
generate(Corpus("corpus.jsonl", parts), Path("prompts"), plan, endpoint)
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from axolotl_cft.core.choice import CUT_SUFFIX, SHOWN_SUFFIX
from axolotl_cft.corpus.writers import Corpus
from axolotl_cft.errors import CFTError
from axolotl_cft.generation.answers import Answers, Keys
from axolotl_cft.generation.batch import Batch, obtain, refuse_exported
from axolotl_cft.generation.earlier_journal import take_over
from axolotl_cft.generation.finish import Outcome, Written, finish, refuse_other_rows
from axolotl_cft.generation.portions import (
    Portions,
    divide,
    earlier_keys,
    makers,
    prompts_of,
    share_shown,
    stand_ins,
)
from axolotl_cft.generation.prompting import PromptPlan
from axolotl_cft.generation.run import (
    ANSWERS_FILE,
    PROMPT_COLUMN,
    Closing,
    Endpoint,
    Estimate,
    Progress,
    identity_of,
    unseen,
)
from axolotl_cft.generation.wanted import Wanted
from axolotl_cft.generation.workers import Job

CUT_COLUMN = PROMPT_COLUMN + CUT_SUFFIX
SHOWN_COLUMN = PROMPT_COLUMN + SHOWN_SUFFIX


def generate(
    corpus: Corpus,
    output_dir: Path,
    plan: PromptPlan,
    endpoint: Endpoint,
    closing: Closing | None = None,
    progress: Progress = unseen,
    *,
    answers: Path | None = None,
    batch: Batch | None = None,
) -> Outcome:
    """Have prompts written for every text, and write the same rows with more columns.

    `PROMPT_COLUMN` holds a prompt, or a list of one for each chunk of training, with `CUT_COLUMN`
    to say which cut they are for; `SHOWN_COLUMN` holds the share of the text that the LLM was
    shown. Stopped, by whatever, the same call goes on where it was.

    Args:
        corpus: the rows.
        output_dir: receives the rows and `generation.json`.
        plan: how prompts are asked for.
        endpoint: whom to ask.
        closing: what becomes of rejected answers.
        progress: shows how far the run is.
        answers: where the answers are kept; None for `ANSWERS_FILE` in the output folder.
        batch: files to write the requests to, or to read the answers from, in place of asking.

    Returns:
        What was written.

    Raises:
        CFTError: the corpus cannot be read or has such a column already, the endpoint refused,
            the folder holds another corpus's rows, or rows have no usable answer.
    """
    closing, keys = closing or Closing(), endpoint.keys()
    folder = corpus.folder_in(output_dir)
    refuse_other_rows(folder, corpus.name, "generate")
    refuse_exported(batch)
    pool = closing.pool()
    # Opened first: what another run holds is refused before a corpus is read.
    with contextlib.closing(Answers(answers or output_dir / ANSWERS_FILE)) as store:
        rows = _read(corpus, plan, keys, progress)
        identity = identity_of("generate", (" ".join(row.asked) for row in rows), endpoint, plan)
        _take_over(output_dir, store, identity, corpus, plan, rows)
        wanted = _wanted(corpus, plan, keys, rows)
        obtained = obtain(wanted, store, endpoint, closing, progress, batch)
        if not obtained.whole:
            return Outcome(obtained.said)
        found = store.read(key for row in rows for key in row.asked)
    instead: dict[str, str] = {}
    if pool is not None and not all(answer.usable for answer in found.values()):
        for text, row in _paired(corpus, rows):
            instead.update(stand_ins(plan, pool, text, row, found))
    beside: dict[str, list[Any]] = {SHOWN_COLUMN: [share_shown(row, found) for row in rows]}
    if plan.finder is not None:
        beside[CUT_COLUMN] = [row.digest for row in rows]
    written = Written(
        {PROMPT_COLUMN: [prompts_of(row, found, instead) for row in rows]},
        beside,
        [row.asked for row in rows],
        [True] * len(rows),
        prompts=[answer.text for answer in found.values() if answer.usable],
        cut=sum(row.cut for row in rows),
    )
    described = {"corpus": corpus.name, **identity, "instruction_text": plan.instruction}
    return finish(corpus, folder, written, found, closing, described, [obtained.said])


def _wanted(corpus: Corpus, plan: PromptPlan, keys: Keys, rows: list[Portions]) -> Wanted:
    """The prompts of all rows."""

    def jobs() -> Iterator[tuple[str | None, Callable[[], Job]]]:
        for text, row in _paired(corpus, rows):
            yield from makers(plan, keys, text, row)

    return Wanted("Prompts", [key for row in rows for key in row.keys], jobs, plan.tokens.measure)


def _take_over(
    output_dir: Path,
    store: Answers,
    identity: dict[str, Any],
    corpus: Corpus,
    plan: PromptPlan,
    rows: list[Portions],
) -> None:
    """Take the answers of version 0.1 over; of a part of a corpus they are left there too."""

    def keys(entries: object) -> Iterator[tuple[str, str]]:
        for text, row in _paired(corpus, rows):
            yield from earlier_keys(plan, text, row)

    whole = corpus.limit is None
    take_over(output_dir, store, identity, keys, plan.tokens.measure, done_with=whole)


def _paired(corpus: Corpus, rows: list[Portions]) -> Iterator[tuple[str, Portions]]:
    """Each text of the corpus, read once more, and what is asked for it."""
    return zip(corpus.texts(), rows, strict=True)


def estimate(
    corpus: Corpus, plan: PromptPlan, endpoint: Endpoint, progress: Progress = unseen
) -> Estimate:
    """What `generate` would ask; nothing is asked, and answers that are there count as missing.

    Raises:
        CFTError: the corpus cannot be read or has such a column already.
    """
    keys = endpoint.keys()
    rows = _read(corpus, plan, keys, progress)
    left = {key for row in rows for key in row.asked}
    requests, tokens = len(left), 0
    for text, row in _paired(corpus, rows):
        for key, make in makers(plan, keys, text, row):
            if key in left:
                left.remove(key)
                tokens += plan.estimate(make().message)
    asked = "texts" if plan.finder is None else "chunks"
    lines = {
        "rows": len(rows),
        f"requests (distinct {asked})": requests,
        f"{asked} cut for the request": sum(row.cut for row in rows),
    }
    return Estimate(lines, tokens, requests * plan.tokens.budget)


def _read(corpus: Corpus, plan: PromptPlan, keys: Keys, progress: Progress) -> list[Portions]:
    """What is asked for each row; nothing for an empty text, which training skips."""
    corpus.refuse_columns([PROMPT_COLUMN, CUT_COLUMN, SHOWN_COLUMN])
    with progress("Reading the corpus", None, 0):
        rows = [divide(plan, keys, text) for text in corpus.texts()]
    if not any(row.keys for row in rows):
        raise CFTError(f"{corpus.name} holds no text")
    return rows
