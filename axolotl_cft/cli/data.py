"""`axolotl-cft data`: the benchmarks' data for machines without a network."""

from pathlib import Path

import click

from axolotl_cft.cli.progress import is_quiet, progress
from axolotl_cft.cli.shared_options import EVERY_BENCHMARK, FOLDER, NameList, output_folder


@click.group()
def data() -> None:
    """Fetch the benchmarks for machines without a network."""


@data.command()
@click.argument("directory", metavar="[DIR]", required=False, type=FOLDER)
@output_folder("a folder for each benchmark", "required, unless given as DIR")
@click.option(
    "--tasks",
    default=EVERY_BENCHMARK,
    type=NameList(),
    show_default=True,
    help="Tasks or groups to fetch, separated by commas.",
)
def fetch(directory: Path | None, output_dir: Path | None, tasks: list[str]) -> None:
    """Download the benchmarks from the hub, one JSONL file per split.

    Row counts are checked against the published ones. A split that is already there whole is
    kept, so the same command carries on after an interruption. The tasks read the folder wherever
    CFT_DATA_DIR points at it (or `--metadata '{"cft_data_dir": "FOLDER"}'` of lm_eval).

    The financial sets are gated: ask for access on their pages on the hub first. The hub's own
    library takes your access token from HF_TOKEN, or from where `hf auth login` stored it.

    \b
    Example:
      axolotl-cft data fetch --output-dir benchmarks --tasks cft_medical
      CFT_DATA_DIR=benchmarks lm_eval --model hf --model_args pretrained=MODEL \\
          --tasks cft_medical
    """
    from axolotl_cft.evaluation.tasks import catalogue, task_benchmarks
    from axolotl_cft.evaluation.tasks import fetch as fetch_splits

    folder = output_dir or directory
    if folder is None or (output_dir and directory):
        raise click.UsageError("name one folder with --output-dir")
    chosen = set(task_benchmarks(tasks).values())
    total = sum(len(catalogue().BENCHMARKS[benchmark].splits) for benchmark in chosen)
    with progress("Fetching", total, "splits", even=False) as work:

        def on_split(benchmark: str, split: str, state: str) -> None:
            if state == "loading":
                work.update(label=f"Fetching {benchmark} {split}")
            else:
                work.update(advance=1)
                if not is_quiet():
                    work.say(f"{state} {folder / benchmark / split}.jsonl")

        paths = fetch_splits(folder, tasks, on_split=on_split)
    click.echo(f"{len(paths)} splits in {folder}: set CFT_DATA_DIR={folder.resolve()}")
