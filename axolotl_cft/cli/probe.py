"""`axolotl-cft probe`: how each prompt changes a model's likelihood of a text."""

import json
from collections.abc import Iterator, Mapping
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from axolotl_cft.cli.shared_options import FIELD, SPLIT, SUBSET, NameList, output_folder

if TYPE_CHECKING:
    from axolotl_cft.cli.progress import Work
    from axolotl_cft.core.pool import PromptPool
    from axolotl_cft.corpus.readers import Part

RESULT = "probe.json"


@click.command()
@click.option("--model", required=True, help="Causal LM: a hub name or a folder.")
@click.option(
    "--data",
    required=True,
    metavar="CORPUS",
    help="A .jsonl, .jsonl.gz, .jsonl.zst, .json, .csv, .parquet or .txt file, a folder of such "
    "files, or a hub dataset.",
)
@FIELD
@SUBSET
@SPLIT
@click.option(
    "--documents",
    default=100,
    show_default=True,
    type=click.IntRange(min=2),
    help="Size of the sample, drawn by a hash of the text: the order of the rows plays no part.",
)
@click.option(
    "--max-tokens",
    default=512,
    show_default=True,
    type=click.IntRange(min=8),
    help="Tokens to score in each document, from its beginning.",
)
@click.option(
    "--pools",
    default="paper",
    type=NameList(),
    show_default=True,
    help="Pools to measure, by name or file, separated by commas. Each is also measured with the "
    "words of its prompts shuffled, and the `fixed` pool is always added.",
)
@click.option(
    "--shuffles",
    default=5,
    show_default=True,
    type=click.IntRange(min=1),
    help="Other orders of its words to measure for each prompt; intervals are some 10 % wider with "
    "5 than with endlessly many, 5 % with 10. Each costs as much as the prompt itself: rows = "
    "documents x (2 + prompts x (1 + shuffles)).",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Axolotl YAML whose `cft.format`, separator, budget and chat template apply.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["plain", "chat"]),
    help="As `cft.format`: plain text, or the prompt as the user turn of the chat template.  "
    "[default: the config's, else plain]",
)
@click.option(
    "--prompt-budget",
    type=click.IntRange(min=1),
    help="As `cft.prompt_budget`: how many tokens may stand before the text.  "
    "[default: the config's, else 128]",
)
@click.option(
    "--batch-size", default=8, show_default=True, type=click.IntRange(min=1), help="Rows a pass."
)
@click.option(
    "--device",
    default="auto",
    show_default=True,
    help="auto (CUDA, MPS or CPU), or a torch device.",
)
@click.option(
    "--dtype",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
    help="auto: the checkpoint's own, float32 on the CPU.",
)
@click.option(
    "--seed",
    default=42,
    show_default=True,
    help="Seed of the sample and of the shuffling.",
)
@output_folder(f"{RESULT}, probe.md and probe.png", Path("probe"))
def probe(
    model: str,
    data: str,
    field: str,
    subset: str | None,
    split: str,
    documents: int,
    max_tokens: int,
    pools: list[str],
    shuffles: int,
    config: Path | None,
    format_: Literal["plain", "chat"] | None,
    prompt_budget: int | None,
    batch_size: int,
    device: str,
    dtype: str,
    seed: int,
    output_dir: Path,
) -> None:
    """Measure how each prompt changes a model's likelihood of a text.

    This takes minutes and tells you which prompts move your model on your documents before you
    spend days of training on them. A change is the negative log-likelihood of the text after the
    prompt minus that without one, in nats per token, with a 95 % interval; below zero, the prompt
    makes the text more likely. Shuffled words and a constant prefix show how much of it is due to
    what the prompt says. Each interval names what it holds for: this very prompt on other
    documents, or other prompts like these as well.

    \b
    Example:
      axolotl-cft probe --model meta-llama/Llama-2-7b-hf --data corpus.parquet \\
          --pools paper,negative --output-dir probe/
    """
    from axolotl_cft.cli.progress import progress
    from axolotl_cft.corpus.readers import Field, open_corpus, refuse_own_output
    from axolotl_cft.host.tokens import read_tokens
    from axolotl_cft.prompts.registry import load_pool

    refuse_own_output(data, output_dir)
    asked = [load_pool(name) for name in pools]
    parts = open_corpus(data, Field(field), subset=subset, split=split)

    # Mistakes in the above are reported before torch is imported, which takes seconds.
    with progress("Loading the tokenizer"):
        from axolotl_cft.probe import rows, scoring, summary

        arms = rows.make_arms(asked, load_pool("fixed"), seed, shuffles)
        tokens = read_tokens(config, model, prompt_budget, format_)
    maker = rows.RowMaker(tokens.tokenizer, tokens.options, max_tokens, data)
    with progress("Reading", unit="documents") as work:
        corpus = _counted(_documents(parts, asked), work)
        made = rows.make_rows(maker, rows.sample_documents(corpus, documents, seed), arms)
    flat = made.flat
    with progress(f"Loading {model}"):
        _hide_bars()
        loaded = scoring.load_model(model, device, dtype, flat)
    total = sum(context.size + text.size for context, text in flat)
    with progress("Scoring", total, "tokens") as work:
        nll = scoring.score(loaded, flat, batch_size, lambda tokens: work.update(advance=tokens))
    result = {
        "schema": 2,
        "model": model,
        "data": data,
        "field": field,
        "format": tokens.options.format,
        "separator": tokens.options.separator,
        "prompt_budget": tokens.budget,
        "max_tokens": max_tokens,
        "seed": seed,
        "shuffles": shuffles,
        "dtype": str(loaded.dtype).removeprefix("torch."),
        **summary.summarise(made, arms, nll.reshape(len(made.contexts), -1)),
    }
    _publish(result, output_dir)


def _hide_bars() -> None:
    """Keep the libraries from drawing bars into ours."""
    from transformers.utils import logging

    logging.disable_progress_bar()


def _documents(
    parts: "list[Part]", pools: "list[PromptPool]"
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The texts of a corpus, with their columns where a prompt names one."""
    named = any(pool.columns for pool in pools)
    for block in (block for part in parts for block in part.blocks()):
        yield from zip(block.texts, block.rows() if named else repeat({}), strict=False)


def _counted(rows: Iterator[Any], work: "Work") -> Iterator[Any]:
    for number, row in enumerate(rows, 1):
        if number % 1000 == 0:
            work.update(done=number)
        yield row


def _publish(result: dict[str, Any], output_dir: Path) -> None:
    """Write the three files and print the tables."""
    from rich.console import Console

    from axolotl_cft.files import write_atomic
    from axolotl_cft.probe import summary
    from axolotl_cft.probe.figure import draw

    write_atomic(output_dir / "probe.png", draw(result))
    write_atomic(output_dir / "probe.md", summary.render(result))
    write_atomic(output_dir / RESULT, json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    console = Console(highlight=False, markup=False, emoji=False)
    console.print(summary.describe_sample(result), soft_wrap=True)
    _print_table(
        console,
        "Change of the NLL in nats per token; below 0 the text is more likely",
        *summary.prompt_table(result),
        summary.PROMPT_CAPTION,
    )
    _print_table(
        console,
        "Do the words matter?",
        *summary.contrast_table(result),
        summary.CONTRAST_CAPTION,
    )
    for note in summary.notes(result):
        console.print(note, soft_wrap=True)
    console.print(f"{output_dir / RESULT}, probe.md, probe.png", soft_wrap=True)


def _print_table(
    console: Any, title: str, header: list[str], rows: list[list[str]], caption: str
) -> None:
    from rich import box
    from rich.table import Table

    from axolotl_cft.probe.summary import TEXT_COLUMNS

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in header:
        justify: Literal["left", "right"] = "left" if name in TEXT_COLUMNS else "right"
        table.add_column(name, justify=justify, overflow="fold")
    for row in rows:
        table.add_row(*row, style="bold" if row[0].endswith(", mean") else None)
    console.print(table)
    console.print(caption + "\n")
