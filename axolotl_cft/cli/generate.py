"""`axolotl-cft generate`: a contextual prompt for every text, written by an LLM."""

from pathlib import Path

import click

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
)
from axolotl_cft.cli.shared_options import FIELD, SPLIT, SUBSET
from axolotl_cft.generation.run import PROMPT_COLUMN, Closing, CorpusPromptOptions, Endpoint

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
@click.argument("corpus")
@click.option(
    "--output-dir",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Receives corpus.jsonl or corpus.parquet, generation.json, and the answers.",
)
@FIELD
@SUBSET
@SPLIT
@LIMIT
@bundled("prompts", CorpusPromptOptions, (*CHUNK_OPTIONS, *PROMPT_OPTIONS))
@bundled("endpoint", Endpoint, ENDPOINT_OPTIONS)
@bundled("files", AnswerFiles, ANSWER_OPTIONS)
@bundled("closing", Closing, CLOSING_OPTIONS)
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
    """
    from axolotl_cft.corpus.readers import Field, Part, open_corpus, refuse_own_output
    from axolotl_cft.corpus.writers import ROW_FILES, Corpus
    from axolotl_cft.generation import generate as library
    from axolotl_cft.generation.conversations import find_field

    def parts_of(column: Field) -> list[Part]:
        return open_corpus(corpus, column, subset=subset, split=split, streamed=False)

    batch = files.batch
    check_asking(endpoint, closing, batch, estimate)
    refuse_own_output(corpus, output_dir, files.export_batch, *map(output_dir.joinpath, ROW_FILES))
    column = find_field(corpus, Field(field), prompts.config, parts_of)
    source = Corpus(corpus, parts_of(column), limit)
    plan = prompts.plan(conversations=column.render is not None)
    if estimate:
        asked = library.estimate(source, plan, endpoint, show_answers)
        print_estimate(asked, closing, plan.tokens.name)
        return
    with naming_what_becomes_of_rejects(), naming_the_next_batch(batch):
        outcome = library.generate(
            source,
            output_dir,
            plan,
            endpoint,
            closing,
            show_answers,
            answers=files.answers,
            batch=batch,
        )
    say_outcome(outcome, f"Train on them with `cft: {{prompts: {{column: {PROMPT_COLUMN}}}}}`.")
