"""A contextual prompt for every text of a corpus, written by an LLM (the paper's TextAdaptCFT).

parts = open_corpus("corpus.jsonl", Field("text"), split="train", streamed=False)
plan = PromptOptions(config=Path("my.yml")).plan()
endpoint = Endpoint("qwen3", "http://localhost:8000/v1")
generate(Corpus("corpus.jsonl", parts), Path("prompts"), plan, endpoint)
"""

import contextlib
from functools import partial
from pathlib import Path

from axolotl_cft.corpus.writers import Corpus
from axolotl_cft.errors import CFTError
from axolotl_cft.generation.finish import finish
from axolotl_cft.generation.journal import Journal
from axolotl_cft.generation.prompting import PromptPlan, prompt_key, resolve_answers
from axolotl_cft.generation.run import (
    PROMPT_COLUMN,
    Closing,
    Endpoint,
    Progress,
    identity_of,
    settle,
    unseen,
)


def generate(
    corpus: Corpus,
    output_dir: Path,
    plan: PromptPlan,
    endpoint: Endpoint,
    closing: Closing | None = None,
    progress: Progress = unseen,
) -> str:
    """Have a prompt written for every text, and write the same rows with a column `PROMPT_COLUMN`.

    Stopped, by whatever, the same call goes on where it was.

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
    pool, keys = closing.pool(), _read_keys(corpus, progress)
    identity = identity_of("generate", keys, endpoint, plan)
    with contextlib.closing(Journal(output_dir / "journal.jsonl", identity)) as journal:
        makers = ((prompt_key(text), partial(plan.job, text)) for text in corpus.texts())
        settle("Prompts", keys, makers, journal, endpoint, closing.retry_rejects, progress)
        described = {"corpus": corpus.name, **identity, "instruction_text": plan.instruction}
        return finish(
            corpus,
            output_dir / f"corpus.{closing.format_ or corpus.format}",
            {PROMPT_COLUMN: resolve_answers(keys, journal.entries, pool, plan.seed)},
            keys,
            [True] * len(keys),
            journal.entries,
            drop_rejects=closing.drop_rejects,
            described=described | {"fallback": closing.fallback},
        )


def estimate(corpus: Corpus, plan: PromptPlan, progress: Progress = unseen) -> dict[str, int]:
    """What `generate` would ask, by a line of description each; nothing is asked.

    Raises:
        CFTError: the corpus cannot be read or has such a column already.
    """
    keys = _read_keys(corpus, progress)
    left = {key for key in keys if key}
    requests, cut, tokens = len(left), 0, 0
    for text in corpus.texts():
        if (key := prompt_key(text)) in left:
            left.remove(key)
            job = plan.job(text)
            cut, tokens = cut + job.cut, tokens + plan.estimate(job.request)
    return {
        "rows": len(keys),
        "requests (distinct texts)": requests,
        "texts cut for the request": cut,
        "tokens in": tokens,
        "tokens out, if all answers fit, at most": requests * plan.tokens.budget,
    }


def _read_keys(corpus: Corpus, progress: Progress) -> list[str | None]:
    """What each row's prompt is stored under; None for an empty text, which training skips."""
    corpus.refuse_columns([PROMPT_COLUMN])
    with progress("Reading the corpus", None, 0):
        keys = [prompt_key(text) if text else None for text in corpus.texts()]
    if not any(keys):
        raise CFTError(f"{corpus.name} holds no text")
    return keys
