"""`axolotl-cft educate`: question-answer items become educational texts with prompts."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

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
    style_option,
)
from axolotl_cft.cli.progress import progress
from axolotl_cft.cli.shared_options import (
    DATA_DIR,
    MIN_WORDS,
    NGRAM,
    SPLIT,
    SUBSET,
    NameList,
    complete_files,
    output_folder,
)
from axolotl_cft.errors import CFTError
from axolotl_cft.generation.guard import OVERLAPS, ForbiddenItemsError, ForbiddenSplitError, Guard
from axolotl_cft.generation.run import (
    PROMPT_COLUMN,
    Closing,
    Endpoint,
    PromptOptions,
    read_instruction,
)

if TYPE_CHECKING:
    from axolotl_cft.corpus.writers import Corpus
    from axolotl_cft.generation.educate import Columns
    from axolotl_cft.generation.questions import Item

COLUMN_OPTIONS = ("--question-field", "--answer-field", "--options-field")


@dataclasses.dataclass(frozen=True)
class ItemSource:
    """Where the items are."""

    question_field: str
    answer_field: str | None
    show_options: bool
    options_field: str | None
    subset: str | None
    split: str
    limit: int | None

    def open(self, items: str) -> "tuple[Corpus, list[str]]":
        """The corpus behind a path or hub name, and the file or split names it goes by."""
        from axolotl_cft.corpus.readers import Field, open_corpus
        from axolotl_cft.corpus.writers import Corpus

        field = Field(self.question_field, COLUMN_OPTIONS[0])
        parts = open_corpus(items, field, subset=self.subset, split=self.split, streamed=False)
        path = Path(items).expanduser()
        names = [path.name, *(part.name for part in parts)] if path.exists() else [self.split]
        return Corpus(items, parts, self.limit), names

    def read(self, corpus: "Corpus") -> "dict[str, Item]":
        """The items by their place, in order."""
        from axolotl_cft.generation.questions import TEXT, ItemColumns, read_item

        corpus.refuse_columns([TEXT, PROMPT_COLUMN])
        columns = ItemColumns(
            self.question_field,
            self.answer_field,
            self.show_options,
            self.options_field,
            COLUMN_OPTIONS,
        )
        read = {name: read_item(row, name, columns) for name, row in corpus.named_rows()}
        if not read:
            raise CFTError(f"{corpus.name} holds no items")
        return read


SOURCE_OPTIONS = (
    click.option(
        "--question-field",
        default="sent1",
        show_default=True,
        help="Column of the question; sent1 is MedQA's (sent2 follows it).",
    ),
    click.option(
        "--answer-field",
        help="Column of the correct answer's text. Default: MedQA's, the `ending` of `label`.",
    ),
    click.option(
        "--show-options",
        is_flag=True,
        help="Show the answer options, too, to the LLM that writes the texts. A text that copies "
        "twelve words of one is rejected.",
    ),
    click.option(
        "--options-field",
        help="Column of the answer options, a list. Default: MedQA's, `ending0`, `ending1`, ….",
    ),
    SUBSET,
    SPLIT,
    LIMIT,
)


GUARD_OPTIONS = (
    click.option(
        "--tasks",
        default="cft_medical",
        type=NameList(),
        show_default=True,
        help="Evaluation tasks or groups whose test items must not be among the items.",
    ),
    DATA_DIR,
    NGRAM,
    MIN_WORDS,
    click.option(
        "--drop-overlapping", is_flag=True, help="Leave out the items that overlap, and go on."
    ),
    click.option(
        "--allow-test-split",
        is_flag=True,
        help="Check neither names nor overlap. The texts then give the test away.",
    ),
)


@click.command()
@click.argument("items", shell_complete=complete_files)
@output_folder("corpus.jsonl or corpus.parquet, generation.json, and the answers")
@bundled("source", ItemSource, SOURCE_OPTIONS)
@bundled("guard", Guard, GUARD_OPTIONS)
@click.option(
    "--text-instruction",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File with your own instruction for the texts; {question}, {answer} and, with "
    "--show-options, {options} stand for the item's. What it does not name comes after it.",
)
@bundled("prompts", PromptOptions, (style_option(), *PROMPT_OPTIONS))
@bundled("endpoint", Endpoint, ENDPOINT_OPTIONS)
@bundled("files", AnswerFiles, ANSWER_OPTIONS)
@bundled("closing", Closing, CLOSING_OPTIONS)
@click.option(
    "--export",
    type=click.Choice(["chat-jsonl"]),
    help="Also write rows for the vendors' tuning services (openai, gemini), in two arms with the "
    "same texts: chat.VENDOR.cft.jsonl with the prompts, and chat.VENDOR.cpt.jsonl, the control, "
    "with one neutral sentence in their place.",
)
@click.option("--estimate", is_flag=True, help="Print token counts and send nothing.")
def educate(
    items: str,
    output_dir: Path,
    source: ItemSource,
    guard: Guard,
    text_instruction: Path | None,
    prompts: PromptOptions,
    endpoint: Endpoint,
    files: AnswerFiles,
    closing: Closing,
    export: str | None,
    estimate: bool,
) -> None:
    """Turn question-answer items into educational texts, each with a contextual prompt.

    This is the paper's Gemini pipeline without its flaw: it refuses the items of a test split and
    those that occur in the evaluation sets. ITEMS is a .jsonl, .jsonl.gz, .jsonl.zst, .json,
    .csv or .parquet file, a folder of such files, or a dataset on the hub; the rows come out with
    two more columns, `text` and `contextual_prompt`. It is as crash-safe as `axolotl-cft generate`;
    the key is read from OPENAI_API_KEY.

    \b
    Examples:
      axolotl-cft educate GBaker/MedQA-USMLE-4-options-hf --model gpt-4.1-mini \\
          --drop-overlapping --export chat-jsonl --output-dir medqa-texts/
      axolotl-cft educate quiz.jsonl --question-field q --answer-field solution \\
          --model qwen3 --base-url http://localhost:8000/v1 --output-dir texts/
      axolotl-cft educate quiz.jsonl --question-field question --answer-field answer \\
          --show-options --options-field options --model qwen3 --output-dir texts/
    """
    from axolotl_cft.corpus.readers import refuse_own_output
    from axolotl_cft.corpus.writers import ROW_FILES
    from axolotl_cft.generation.educate import Education

    batch = files.batch
    check_asking(endpoint, closing, batch, estimate)
    refuse_own_output(items, output_dir, files.export_batch, *map(output_dir.joinpath, ROW_FILES))
    instruction = _instruction(text_instruction, source)
    corpus, kept = _read(source, items, guard, output_dir)
    with progress("Loading the tokenizer"):
        plan = prompts.plan()
    education = Education(corpus, kept, guard, instruction, plan)
    if estimate:
        print_estimate(education.estimate(endpoint), closing, education.plan.tokens.name)
        return
    with naming_what_becomes_of_rejects(), naming_the_next_batch(batch):
        outcome, columns = education.write(
            output_dir, endpoint, closing, show_answers, answers=files.answers, batch=batch
        )
    say_outcome(outcome)
    if outcome.rows is None:
        return
    if export:
        _export(columns, outcome.rows.parent)


def _instruction(path: Path | None, source: ItemSource) -> str:
    """The words before an item; refuses options that are named but not shown."""
    from axolotl_cft.generation.instructions import EDUCATE, EDUCATE_WITH_OPTIONS

    shown = source.show_options
    instruction = read_instruction(path, EDUCATE_WITH_OPTIONS if shown else EDUCATE)
    if "{options}" in instruction and not shown:
        raise click.UsageError(f"{path} names {{options}}, which --show-options puts there: add it")
    if source.options_field and not shown:
        raise click.UsageError("--options-field names what --show-options shows: add that")
    return instruction


def _read(
    source: ItemSource, items: str, guard: Guard, output_dir: Path
) -> "tuple[Corpus, list[Item | None]]":
    """The corpus, and its items without those that the guard leaves out."""
    corpus, names = source.open(items)
    if guard.allow_test_split:
        click.echo("warning: nothing keeps test items out (--allow-test-split)", err=True)
    try:
        guard.check_names(names)
        read = source.read(corpus)
        with progress("Checking the items"):
            keep = guard.check_items(read, output_dir)
    except ForbiddenSplitError as exc:
        raise CFTError(f"{exc} (--allow-test-split overrides this)") from exc
    except ForbiddenItemsError as exc:
        raise CFTError(
            f"{exc}: --drop-overlapping leaves them out, --allow-test-split keeps them"
        ) from exc
    if out := keep.count(False):
        overlaps = output_dir / OVERLAPS
        click.echo(f"{out} items that overlap with the evaluation sets left out: {overlaps}")
    return corpus, [item if kept else None for item, kept in zip(read.values(), keep, strict=True)]


def _export(columns: "Columns", output_dir: Path) -> None:
    """Write the chat rows of both arms for every service."""
    from axolotl_cft.generation.export import export_chats
    from axolotl_cft.generation.questions import TEXT

    pairs = [
        (prompt, text)
        for prompt, text in zip(columns[PROMPT_COLUMN], columns[TEXT], strict=True)
        if prompt and text
    ]
    for name in export_chats(output_dir, pairs).files:
        click.echo(f"{len(pairs):,} chat rows: {output_dir / name}")
