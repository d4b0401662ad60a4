"""`axolotl-cft generate`: a contextual prompt for every text, written by an LLM."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from axolotl_cft.cli.answer_options import (
    ANSWER_OPTIONS,
    LIMIT,
    AnswerFiles,
    naming_the_next_batch,
)
from axolotl_cft.cli.llm_options import (
    CLOSING_OPTIONS,
    ENDPOINT_OPTIONS,
    PROMPT_OPTIONS,
    bundled,
    check_asking,
    naming_what_becomes_of_rejects,
    print_estimate,
    say_outcome,
    show_answers,
    style_option,
)
from axolotl_cft.cli.progress import progress
from axolotl_cft.cli.shared_options import FIELD, SPLIT, SUBSET, complete_files, output_folder
from axolotl_cft.errors import CFTError
from axolotl_cft.generation.run import PROMPT_COLUMN, Closing, CorpusPromptOptions, Endpoint

if TYPE_CHECKING:
    from axolotl_cft.corpus.readers import Field
    from axolotl_cft.corpus.writers import Corpus
    from axolotl_cft.generation.active_reading import ActiveReading
    from axolotl_cft.generation.prompting import PromptPlan

READING = "active-reading"

OF_PROMPTS = ("instruction", "rules", "seed", "prompt_budget", "context_chars", "fallback")
"""Parameters that speak of prompts."""

STYLE = style_option(
    {
        READING: "no prompts, but texts to train on: the model names strategies for studying each "
        "text, then applies each of them (--strategies-per-document)",
    }
)

CHUNK_OPTIONS = (
    click.option(
        "--per",
        type=click.Choice(["chunk", "document"]),
        help="What gets a prompt of its own. chunk: each chunk that training with --config will "
        "make, so that every prompt is about the very text behind it. document: each document, "
        "whose prompt then stands before all of its chunks, and whose beginning alone is shown to "
        "the LLM where it is long. Default: chunk with --config, else document; a conversation is "
        "always one document.",
    ),
    click.option(
        "--part",
        type=click.Choice(["train", "test"]),
        default=CorpusPromptOptions.part,
        show_default=True,
        help="The chunks of `datasets`, or those of `test_datasets`, which differ where the config "
        "sets eval_sequence_len.",
    ),
    click.option(
        "--context-chars",
        type=click.IntRange(0),
        default=CorpusPromptOptions.context_chars,
        show_default=True,
        help="Characters before a chunk to show with it, for orientation.",
    ),
)


@click.command()
@click.argument("corpus", shell_complete=complete_files)
@output_folder("corpus.jsonl or corpus.parquet, generation.json, and the answers")
@FIELD
@SUBSET
@SPLIT
@LIMIT
@bundled("prompts", CorpusPromptOptions, (*CHUNK_OPTIONS, STYLE, *PROMPT_OPTIONS))
@bundled("endpoint", Endpoint, ENDPOINT_OPTIONS)
@bundled("files", AnswerFiles, ANSWER_OPTIONS)
@bundled("closing", Closing, CLOSING_OPTIONS)
@click.option(
    "--strategies-per-document",
    type=click.IntRange(1),
    help="With --style active-reading: apply the first strategies alone. Default: all that the "
    "model names.",
)
@click.option("--estimate", is_flag=True, help="Print token counts and send nothing.")
def generate(
    corpus: str,
    output_dir: Path,
    field: str,
    subset: str | None,
    split: str,
    limit: int | None,
    prompts: CorpusPromptOptions,
    endpoint: Endpoint,
    files: AnswerFiles,
    closing: Closing,
    strategies_per_document: int | None,
    estimate: bool,
) -> None:
    """Write contextual prompts for the texts of a corpus with an LLM (the paper's TextAdaptCFT).

    CORPUS is a .jsonl, .jsonl.gz, .jsonl.zst, .json, .csv, .parquet or .txt file, a folder of such
    files, or a dataset on the hub. The same rows come out in the same order with a column
    `contextual_prompt`, which `cft.prompts: {column: contextual_prompt}` trains on. Every answer is
    kept as it arrives: after a crash the same command continues where it stopped, and with rows
    more it asks for these alone. The key is read from OPENAI_API_KEY.

    With --config there is a prompt for each chunk of training: the column holds a list, and
    `contextual_prompt_cut` says for which cut it was written. Training refuses the list once the
    text, the tokenizer, sequence_len or cft.prompt_budget cut otherwise. `contextual_prompt_shown`
    holds the share of the text that the LLM was shown.

    A column of conversations (lists of turns with role and content, or from and value; others with
    the `message_property_mappings` of a `type: cft.chat` dataset in --config) is read as one text
    each, "User: …", "Assistant: …", and gets one prompt each, which `type: cft.chat` trains on.

    With --style active-reading the rows are others: a row for each text and strategy, with the
    columns `text`, `strategy` and `document`, to be trained on as they are.

    \b
    Examples:
      axolotl-cft generate corpus.jsonl --config config.yml --estimate --output-dir prompts/
      axolotl-cft generate corpus.jsonl --model qwen3 --base-url http://localhost:8000/v1 \\
          --config config.yml --context-chars 500 --concurrency 64 --output-dir prompts/
      axolotl-cft generate corpus.jsonl --model qwen3 --base-url http://localhost:8000/v1 \\
          --per document --limit 100 --output-dir prompts/
      axolotl-cft generate chats.jsonl --field messages --config config.yml --model qwen3 \\
          --base-url http://localhost:8000/v1 --output-dir prompts/
      axolotl-cft generate corpus.jsonl --model qwen3 --config config.yml --output-dir prompts/ \\
          --export-batch requests.jsonl   # then: vllm run-batch, and --import-batch answers.jsonl
      axolotl-cft generate corpus.jsonl --style active-reading --model qwen3 \\
          --base-url http://localhost:8000/v1 --output-dir readings/
    """
    from axolotl_cft.corpus.readers import Field, Part, open_corpus, refuse_own_output
    from axolotl_cft.corpus.writers import ROW_FILES, Corpus
    from axolotl_cft.generation import generate as library
    from axolotl_cft.generation.conversations import find_field

    def parts_of(column: Field) -> list[Part]:
        return open_corpus(corpus, column, subset=subset, split=split, streamed=False)

    batch, reads = files.batch, prompts.style == READING
    _refuse_options_of_the_other_kind(reads, strategies_per_document)
    check_asking(endpoint, closing, batch, estimate)
    refuse_own_output(corpus, output_dir, files.export_batch, *map(output_dir.joinpath, ROW_FILES))
    column = find_field(corpus, Field(field), prompts.config, parts_of)
    source = Corpus(corpus, parts_of(column), limit)
    with progress("Loading the tokenizer"):
        plan = prompts.plan(conversations=column.render is not None)
    if reads:
        reading = _reading(source, plan, column, strategies_per_document)
        expect, write, source_of_prompts = reading.estimate, reading.write, "none"
    else:
        expect = partial(library.estimate, source, plan)
        write = partial(library.generate, source, plan=plan)
        source_of_prompts = f"{{column: {PROMPT_COLUMN}}}"
    if estimate:
        print_estimate(expect(endpoint, progress=show_answers), closing, plan.tokens.name)
        return
    with naming_what_becomes_of_rejects(of_prompts=not reads), naming_the_next_batch(batch):
        outcome = write(
            output_dir,
            endpoint=endpoint,
            closing=closing,
            progress=show_answers,
            answers=files.answers,
            batch=batch,
        )
    say_outcome(outcome, f"Train on them with `cft: {{prompts: {source_of_prompts}}}`.")


def _refuse_options_of_the_other_kind(reads: bool, strategies_per_document: int | None) -> None:
    """Refuse what speaks of prompts where texts are wanted, and the other way round."""
    if not reads:
        if strategies_per_document is not None:
            raise click.UsageError(
                f"--strategies-per-document belongs to --style {READING}: add that, or leave it out"
            )
        return
    context = click.get_current_context()
    for name in OF_PROMPTS:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(
                f"--{name.replace('_', '-')} is about prompts, and --style {READING} writes none: "
                "leave it out"
            )


def _reading(
    source: "Corpus", plan: "PromptPlan", column: "Field", most: int | None
) -> "ActiveReading":
    from axolotl_cft.generation.active_reading import ActiveReading

    if column.render is not None:
        raise CFTError(
            f"column {column.name!r} holds conversations, and --style {READING} studies texts: "
            "name a column of texts with --field"
        )
    return ActiveReading(source, plan, column.name, most)
