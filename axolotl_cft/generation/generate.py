"""Contextual prompts for the texts of a corpus, written by an LLM (the paper's TextAdaptCFT).

parts = open_corpus("corpus.jsonl", Field("text"), split="train", streamed=False)
plan = CorpusPromptOptions(config=Path("my.yml")).plan()  # a prompt for each chunk of training
endpoint = Endpoint("qwen3", "http://localhost:8000/v1")
generate(Corpus("corpus.jsonl", parts), Path("prompts"), plan, endpoint)
"""

import contextlib
from pathlib import Path
from typing import Any

from axolotl_cft.core.choice import CUT_SUFFIX, SHOWN_SUFFIX
from axolotl_cft.corpus.writers import Corpus
from axolotl_cft.errors import CFTError
from axolotl_cft.generation.finish import finish
from axolotl_cft.generation.journal import Journal
from axolotl_cft.generation.portions import Portions, divide, makers, prompts_of, share_shown
from axolotl_cft.generation.prompting import PromptPlan
from axolotl_cft.generation.run import (
    PROMPT_COLUMN,
    Closing,
    Endpoint,
    Progress,
    identity_of,
    settle,
    unseen,
)

CUT_COLUMN = PROMPT_COLUMN + CUT_SUFFIX
SHOWN_COLUMN = PROMPT_COLUMN + SHOWN_SUFFIX


def generate(
    corpus: Corpus,
    output_dir: Path,
    plan: PromptPlan,
    endpoint: Endpoint,
    closing: Closing | None = None,
    progress: Progress = unseen,
) -> str:
    """Have prompts written for every text, and write the same rows with more columns.

    `PROMPT_COLUMN` holds a prompt, or a list of one for each chunk of training, with `CUT_COLUMN`
    to say which cut they are for; `SHOWN_COLUMN` holds the share of the text that the LLM was
    shown. Stopped, by whatever, the same call goes on where it was.

    Args:
        corpus: the rows.
        output_dir: receives the rows, `generation.json` and the journal of answers.
        plan: how prompts are asked for.
        endpoint: whom to ask.
        closing: what becomes of rejected answers.
        progress: shows how far the run is.

    Returns:
        A sentence about what was written.

    Raises:
        CFTError: the corpus cannot be read or has such a column already, the endpoint refused,
            the folder holds another run's answers, or rows have no usable answer.
    """
    closing = closing or Closing()
    pool, rows = closing.pool(), _read(corpus, plan, progress)
    identity = identity_of("generate", [" ".join(row.asked) for row in rows], endpoint, plan)
    with contextlib.closing(Journal(output_dir / "journal.jsonl", identity)) as journal:
        jobs = (
            job
            for text, row in zip(corpus.texts(), rows, strict=True)
            for job in makers(plan, text, row)
        )
        keys = (key for row in rows for key in row.keys)
        settle("Prompts", keys, jobs, journal, endpoint, closing.retry_rejects, progress)
        entries = journal.entries
        beside: dict[str, list[Any]] = {SHOWN_COLUMN: [share_shown(row, entries) for row in rows]}
        if plan.finder is not None:
            beside[CUT_COLUMN] = [row.digest for row in rows]
        described = {"corpus": corpus.name, **identity, "instruction_text": plan.instruction}
        return finish(
            corpus,
            output_dir / f"corpus.{closing.format_ or corpus.format}",
            {PROMPT_COLUMN: [prompts_of(row, entries, pool, plan.seed) for row in rows]},
            [row.asked for row in rows],
            [True] * len(rows),
            entries,
            beside=beside,
            drop_rejects=closing.drop_rejects,
            described=described | {"fallback": closing.fallback},
        )


def estimate(corpus: Corpus, plan: PromptPlan, progress: Progress = unseen) -> dict[str, int]:
    """What `generate` would ask, by a line of description each; nothing is asked.

    Raises:
        CFTError: the corpus cannot be read or has such a column already.
    """
    rows = _read(corpus, plan, progress)
    left = {key for row in rows for key in row.asked}
    requests, cut, tokens = len(left), 0, 0
    for text, row in zip(corpus.texts(), rows, strict=True):
        for key, make in makers(plan, text, row):
            if key in left:
                left.remove(key)
                job = make()
                cut, tokens = cut + (job.cut is not None), tokens + plan.estimate(job.request)
    asked = "texts" if plan.finder is None else "chunks"
    return {
        "rows": len(rows),
        f"requests (distinct {asked})": requests,
        f"{asked} cut for the request": cut,
        "tokens in": tokens,
        "tokens out, if all answers fit, at most": requests * plan.tokens.budget,
    }


def _read(corpus: Corpus, plan: PromptPlan, progress: Progress) -> list[Portions]:
    """What is asked for each row; nothing for an empty text, which training skips."""
    corpus.refuse_columns([PROMPT_COLUMN, CUT_COLUMN, SHOWN_COLUMN])
    with progress("Reading the corpus", None, 0):
        rows = [divide(plan, text) for text in corpus.texts()]
    if not any(row.keys for row in rows):
        raise CFTError(f"{corpus.name} holds no text")
    return rows
