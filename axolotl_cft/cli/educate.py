"""`axolotl-cft educate`: question-answer items become educational texts with prompts."""

import contextlib
import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
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
from axolotl_cft.cli.shared_options import DATA_DIR, NGRAM, PROMPT_COLUMN, SPLIT, SUBSET, NameList
from axolotl_cft.errors import CFTError
from axolotl_cft.files import write_atomic
from axolotl_cft.generation.guard import Guard
from axolotl_cft.generation.run import Endpoint, identity_of, read_instruction, settle

if TYPE_CHECKING:
    from axolotl_cft.corpus.rows import Corpus
    from axolotl_cft.generation.journal import Journal
    from axolotl_cft.generation.prompting import PromptPlan
    from axolotl_cft.generation.questions import Item

TEXT = "text"
TYPICAL_TEXT_TOKENS = 700
"""Length of an educational text of three to six paragraphs; only `--estimate` uses it."""


@dataclasses.dataclass(frozen=True)
class Source:
    """Where the items are."""

    question_field: str
    answer_field: str | None
    subset: str | None
    split: str

    def open(self, items: str) -> "tuple[Corpus, list[str]]":
        """The corpus behind a path or hub name, and the file or split names it goes by."""
        from axolotl_cft.corpus.readers import Field, open_corpus
        from axolotl_cft.corpus.rows import Corpus

        field = Field(self.question_field, "--question-field")
        parts = open_corpus(items, field, subset=self.subset, split=self.split, streamed=False)
        path = Path(items).expanduser()
        names = [path.name, *(part.name for part in parts)] if path.exists() else [self.split]
        return Corpus(items, parts), names

    def read(self, corpus: "Corpus") -> "dict[str, Item]":
        """The items by their place, in order."""
        from axolotl_cft.generation.questions import read_item

        corpus.refuse_columns([TEXT, PROMPT_COLUMN])
        read = {
            name: read_item(row, name, self.question_field, self.answer_field)
            for name, row in corpus.named_rows()
        }
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
    SUBSET,
    SPLIT,
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
@click.argument("items")
@click.option(
    "--output-dir",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Receives corpus.jsonl or corpus.parquet, generation.json, and the journal of answers.",
)
@bundled("source", Source, SOURCE_OPTIONS)
@bundled("guard", Guard, GUARD_OPTIONS)
@click.option(
    "--text-instruction",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File with your own instruction for the texts; {question} and {answer} stand for the "
    "item's.",
)
@bundled("prompts", PromptOptions, PROMPT_OPTIONS)
@bundled("endpoint", Endpoint, ENDPOINT_OPTIONS)
@bundled("closing", Closing, CLOSING_OPTIONS)
@click.option(
    "--export",
    type=click.Choice(["chat-jsonl"]),
    help="Also write chat.openai.jsonl and chat.gemini.jsonl for the vendors' tuning services.",
)
@click.option("--estimate", is_flag=True, help="Print token counts and send nothing.")
def educate(
    items: str,
    output_dir: Path,
    source: Source,
    guard: Guard,
    text_instruction: Path | None,
    prompts: PromptOptions,
    endpoint: Endpoint,
    closing: Closing,
    export: str | None,
    estimate: bool,
) -> None:
    """Turn question-answer items into educational texts, each with a contextual prompt.

    This is the paper's Gemini pipeline without its flaw: it refuses the items of a test split and
    those that occur in the evaluation sets. ITEMS is a .jsonl, .jsonl.gz or .parquet file, a folder
    of such files, or a dataset on the hub; the rows come out with two more columns, `text` and
    `contextual_prompt`. It is as crash-safe as `axolotl-cft generate`; the key is read from
    OPENAI_API_KEY.

    \b
    Examples:
      axolotl-cft educate GBaker/MedQA-USMLE-4-options-hf --model gpt-4.1-mini \\
          --drop-overlapping --export chat-jsonl --output-dir medqa-texts/
      axolotl-cft educate quiz.jsonl --question-field q --answer-field solution \\
          --model qwen3 --base-url http://localhost:8000/v1 --output-dir texts/
    """
    from axolotl_cft.generation.instructions import EDUCATE
    from axolotl_cft.generation.journal import Journal
    from axolotl_cft.generation.outcome import finish
    from axolotl_cft.generation.questions import item_key

    corpus, names = source.open(items)
    guard.check_names(names)
    read = source.read(corpus)
    plan, instruction = prompts.plan(), read_instruction(text_instruction, EDUCATE)
    keep = guard.check_items(read, output_dir)
    wanted = [item if kept else None for item, kept in zip(read.values(), keep, strict=True)]
    if estimate:
        _print_estimate(wanted, instruction, plan, endpoint)
        return
    keys = [item_key(item) if item else None for item in wanted]
    identity = identity_of("educate", keys, endpoint, plan) | {
        "text_instruction": hashlib.sha256(instruction.encode()).hexdigest()[:16]
    }
    with contextlib.closing(Journal(output_dir / "journal.jsonl", identity)) as journal:
        columns, keys = _answer(wanted, instruction, plan, journal, endpoint, closing)
        written = finish(
            corpus,
            output_dir / f"corpus.{closing.format_ or corpus.format}",
            columns,
            keys,
            keep,
            journal.entries,
            drop_rejects=closing.drop_rejects,
            described={
                "items": items,
                **identity,
                "text_instruction_text": instruction,
                "instruction_text": plan.instruction,
                "fallback": closing.fallback,
                "guard": dataclasses.asdict(guard) | {"data_dir": str(guard.data_dir)},
            },
        )
    click.echo(written)
    if export:
        _export(columns, output_dir, plan)


def _answer(
    items: "Sequence[Item | None]",
    instruction: str,
    plan: "PromptPlan",
    journal: "Journal",
    endpoint: Endpoint,
    closing: Closing,
) -> "tuple[dict[str, list[str | None]], list[str | None]]":
    """Have the texts written, then their prompts.

    Returns:
        The two columns, and for each item the key of the answer that decides its row: the prompt's,
        or the text's where that was rejected.
    """
    from axolotl_cft.generation.prompting import prompt_key, resolve_answers
    from axolotl_cft.generation.questions import item_key, text_job
    from axolotl_cft.prompts.registry import load_pool

    pool = load_pool(closing.fallback) if closing.fallback else None
    ask = partial(
        settle,
        journal=journal,
        endpoint=endpoint,
        retry_rejects=closing.retry_rejects,
        progress=show_answers,
    )
    text_keys = [item_key(item) if item else None for item in items]
    makers = ((item_key(item), partial(text_job, item, instruction)) for item in items if item)
    ask("Texts", text_keys, makers)
    texts = resolve_answers(text_keys, journal.entries, None, plan.seed)
    prompt_keys = [prompt_key(text) if text else None for text in texts]
    makers = ((prompt_key(text), partial(plan.job, text)) for text in texts if text)
    ask("Prompts", prompt_keys, makers)
    prompts = resolve_answers(prompt_keys, journal.entries, pool, plan.seed)
    keys = [prompt or text for prompt, text in zip(prompt_keys, text_keys, strict=True)]
    return {TEXT: texts, PROMPT_COLUMN: prompts}, keys


def _print_estimate(
    items: "Sequence[Item | None]", instruction: str, plan: "PromptPlan", endpoint: Endpoint
) -> None:
    from axolotl_cft.generation.prompting import prompt_key
    from axolotl_cft.generation.questions import text_job

    distinct = {item for item in items if item}
    texts = sum(plan.estimate(text_job(item, instruction).request) for item in distinct)
    prompt = plan.estimate(plan.request("", prompt_key(""))) + TYPICAL_TEXT_TOKENS
    longest = endpoint.max_output_tokens + plan.tokens.budget
    print_estimate(
        {
            "items that may be used": sum(item is not None for item in items),
            "requests (a text and a prompt for each distinct item)": 2 * len(distinct),
            "tokens in, for the texts": texts,
            f"tokens in, for the prompts ({TYPICAL_TEXT_TOKENS} per text)": prompt * len(distinct),
            "tokens out, if all answers fit, at most": longest * len(distinct),
        },
        plan.tokens.name,
    )


def _export(
    columns: "Mapping[str, Sequence[str | None]]", output_dir: Path, plan: "PromptPlan"
) -> None:
    """Write the chat rows of every service; all limits are checked before anything is written."""
    from axolotl_cft.generation.export import SERVICES, chat_jsonl

    pairs = [
        (prompt, text)
        for prompt, text in zip(columns[PROMPT_COLUMN], columns[TEXT], strict=True)
        if prompt and text
    ]
    contents = {
        output_dir / f"chat.{service.name}.jsonl": chat_jsonl(service, pairs, plan.tokens.of_text)
        for service in SERVICES
    }
    for path, content in contents.items():
        write_atomic(path, content)
        click.echo(f"{len(pairs):,} chat rows: {path}")
