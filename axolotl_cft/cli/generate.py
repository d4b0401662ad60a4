"""`axolotl-cft generate`: a contextual prompt for every text, written by an LLM."""

import contextlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from axolotl_cft.cli.llm_options import (
    CLOSING_OPTIONS,
    ENDPOINT_OPTIONS,
    PROMPT_OPTIONS,
    Closing,
    PromptOptions,
    bundled,
    print_estimate,
    show_answers,
)
from axolotl_cft.cli.progress import progress
from axolotl_cft.cli.shared_options import FIELD, PROMPT_COLUMN, SPLIT, SUBSET
from axolotl_cft.errors import CFTError
from axolotl_cft.generation.run import Endpoint, identity_of, settle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from axolotl_cft.corpus.rows import Corpus
    from axolotl_cft.generation.prompting import PromptPlan


@click.command()
@click.argument("corpus")
@click.option(
    "--output-dir",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Receives corpus.jsonl or corpus.parquet, generation.json, and the journal of answers.",
)
@FIELD
@SUBSET
@SPLIT
@bundled("prompts", PromptOptions, PROMPT_OPTIONS)
@bundled("endpoint", Endpoint, ENDPOINT_OPTIONS)
@bundled("closing", Closing, CLOSING_OPTIONS)
@click.option("--estimate", is_flag=True, help="Print token counts and send nothing.")
def generate(
    corpus: str,
    output_dir: Path,
    field: str,
    subset: str | None,
    split: str,
    prompts: PromptOptions,
    endpoint: Endpoint,
    closing: Closing,
    estimate: bool,
) -> None:
    """Write a contextual prompt for every text with an LLM (the paper's TextAdaptCFT).

    CORPUS is a .jsonl, .jsonl.gz, .parquet or .txt file, a folder of such files, or a dataset on
    the hub. The same rows come out in the same order with a column `contextual_prompt`, which
    `cft.prompts: {column: contextual_prompt}` trains on. Every answer is kept as it arrives: after
    a crash the same command continues where it stopped. The key is read from OPENAI_API_KEY.

    \b
    Examples:
      axolotl-cft generate corpus.jsonl --estimate --output-dir prompts/
      axolotl-cft generate corpus.jsonl --model qwen3 --base-url http://localhost:8000/v1 \\
          --config config.yml --concurrency 64 --output-dir prompts/
    """
    from axolotl_cft.corpus.readers import Field, open_corpus
    from axolotl_cft.corpus.rows import Corpus
    from axolotl_cft.generation.journal import Journal
    from axolotl_cft.generation.outcome import finish
    from axolotl_cft.generation.prompting import prompt_key, resolve_answers
    from axolotl_cft.prompts.registry import load_pool

    parts = open_corpus(corpus, Field(field), subset=subset, split=split, streamed=False)
    source = Corpus(corpus, parts)
    plan = prompts.plan()
    pool = load_pool(closing.fallback) if closing.fallback else None
    with progress("Reading the corpus"):
        source.refuse_columns([PROMPT_COLUMN])
        keys = _keys(source)
    if estimate:
        _print_estimate(source, keys, plan)
        return
    identity = identity_of("generate", keys, endpoint, plan)
    with contextlib.closing(Journal(output_dir / "journal.jsonl", identity)) as journal:
        makers = ((prompt_key(text), partial(plan.job, text)) for text in source.texts())
        settle("Prompts", keys, makers, journal, endpoint, closing.retry_rejects, show_answers)
        described = {"corpus": corpus, **identity, "instruction_text": plan.instruction}
        written = finish(
            source,
            output_dir / f"corpus.{closing.format_ or source.format}",
            {PROMPT_COLUMN: resolve_answers(keys, journal.entries, pool, plan.seed)},
            keys,
            [True] * len(keys),
            journal.entries,
            drop_rejects=closing.drop_rejects,
            described=described | {"fallback": closing.fallback},
        )
    click.echo(f"{written}\nTrain on them with `cft: {{prompts: {{column: {PROMPT_COLUMN}}}}}`.")


def _keys(corpus: "Corpus") -> list[str | None]:
    """What each row's prompt is stored under; None for an empty text, which training skips."""
    from axolotl_cft.generation.prompting import prompt_key

    keys = [prompt_key(text) if text else None for text in corpus.texts()]
    if not any(keys):
        raise CFTError(f"{corpus.name} holds no text")
    return keys


def _print_estimate(corpus: "Corpus", keys: "Sequence[str | None]", plan: "PromptPlan") -> None:
    from axolotl_cft.generation.prompting import prompt_key

    left = {key for key in keys if key}
    cut = tokens = 0
    for text in corpus.texts():
        if (key := prompt_key(text)) in left:
            left.remove(key)
            job = plan.job(text)
            cut, tokens = cut + job.cut, tokens + plan.estimate(job.request)
    requests = len({key for key in keys if key})
    print_estimate(
        {
            "rows": len(keys),
            "requests (distinct texts)": requests,
            "texts cut for the request": cut,
            "tokens in": tokens,
            "tokens out, if all answers fit, at most": requests * plan.tokens.budget,
        },
        plan.tokens.name,
    )
