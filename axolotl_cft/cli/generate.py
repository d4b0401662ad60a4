"""`axolotl-cft generate`: a contextual prompt for every text, written by an LLM."""

from pathlib import Path

import click

from axolotl_cft.cli.llm_options import (
    CLOSING_OPTIONS,
    ENDPOINT_OPTIONS,
    PROMPT_OPTIONS,
    bundled,
    check_model,
    naming_what_becomes_of_rejects,
    print_estimate,
    show_answers,
)
from axolotl_cft.cli.shared_options import FIELD, SPLIT, SUBSET
from axolotl_cft.generation.run import PROMPT_COLUMN, Closing, Endpoint, PromptOptions


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
    from axolotl_cft.corpus.writers import Corpus
    from axolotl_cft.generation import generate as library

    if not estimate:
        check_model(endpoint)
    parts = open_corpus(corpus, Field(field), subset=subset, split=split, streamed=False)
    source, plan = Corpus(corpus, parts), prompts.plan()
    if estimate:
        print_estimate(library.estimate(source, plan, show_answers), plan.tokens.name)
        return
    with naming_what_becomes_of_rejects(output_dir):
        written = library.generate(source, output_dir, plan, endpoint, closing, show_answers)
    click.echo(f"{written}\nTrain on them with `cft: {{prompts: {{column: {PROMPT_COLUMN}}}}}`.")
