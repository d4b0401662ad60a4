"""Options that mean the same in several commands, spelled and explained once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

Made = TypeVar("Made", bound=Callable[..., Any])
"""A command, or what will be one."""

EVERY_BENCHMARK = "cft_medical,cft_financial"
"""Groups that hold each benchmark of the paper once."""


class NameList(click.ParamType):
    """Names separated by commas, as a list."""

    name = "names"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[str]:
        """Split the text, or say that it names nothing."""
        if isinstance(value, list):
            return value
        names = [name.strip() for name in str(value).split(",") if name.strip()]
        if not names:
            self.fail("names nothing", param, ctx)
        return names


FOLDER: Any = click.Path(path_type=Path, file_okay=False)
"""A folder that is read or written; a file in its place is refused."""


def output_folder(receives: str, default: Path | str | None = None) -> Callable[[Made], Made]:
    """The option `--output-dir`, whose one rule docs/good-to-know.md tells.

    Args:
        receives: what will be in the folder.
        default: a folder, named after the command; or what decides it, as text; None where data are
            made that are then named elsewhere, in a config or a variable: it is required there.
    """
    told = f"  [{default}]" if isinstance(default, str) else ""
    # A default of None would be one to click, and nothing would be required.
    fixed: dict[str, Any] = {"default": default} if isinstance(default, Path) else {}
    return click.option(
        "--output-dir",
        type=FOLDER,
        required=default is None,
        show_default=True,
        help=f"Receives {receives}.{told}",
        **fixed,
    )


def complete_files(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Files complete what may also be something else, such as a dataset on the hub."""
    return [CompletionItem(incomplete, type="file")]


AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
FIELD = click.option("--field", default="text", show_default=True, help="Column with the text.")
SUBSET = click.option("--subset", help="Configuration of a hub dataset.")
SPLIT = click.option("--split", default="train", show_default=True, help="Split of a hub dataset.")
DATA_DIR = click.option(
    "--data-dir",
    type=FOLDER,
    help="Folder with the benchmarks (made by `axolotl-cft data fetch`); default: CFT_DATA_DIR, "
    "otherwise the hub.",
)
NGRAM = click.option(
    "--ngram",
    default=13,
    show_default=True,
    type=click.IntRange(min=1),
    help="Words in a row that count as overlap; an item of fewer words must occur whole.",
)
MIN_WORDS = click.option(
    "--min-words",
    default=8,
    show_default=True,
    type=click.IntRange(min=1),
    help='Items of fewer words are not looked for: "osteoclasts" occurs everywhere.',
)
ROW_FORMAT = click.option(
    "--format",
    "format_",
    type=click.Choice(["jsonl", "parquet"]),
    help="Format of the rows written. Default: jsonl for JSON and CSV, otherwise parquet.",
)
NUM_PROC = click.option(
    "--num-proc",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    help="Processes; the result is the same with any number.",
)
