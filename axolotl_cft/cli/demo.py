"""`axolotl-cft demo`: everything on a laptop, from raw text to a report, in minutes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import click

from axolotl_cft.cli.shared_options import output_folder
from axolotl_cft.errors import CFTError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from axolotl_cft.demo.steps import ArmResult


@click.command(
    epilog="""\b
Examples:
  axolotl-cft demo
  axolotl-cft demo --prepare-only
  accelerate launch -m axolotl.cli.train cft-demo/cft.yml
"""
)
@output_folder(
    "model, corpus, configs, and the study of both arms with logs and report", Path("cft-demo")
)
@click.option(
    "--prepare-only",
    is_flag=True,
    help="Only make the model, the corpus and the configs, which `axolotl-cft init study_demo` "
    "wants in ./cft-demo.",
)
@click.pass_context
def demo(ctx: click.Context, output_dir: Path, prepare_only: bool) -> None:
    """See CFT and CPT train on a tiny model, on this machine, in minutes.

    Makes a two-layer Llama and a small corpus, shows a training row, and carries out a study: both
    arms are trained with Axolotl and evaluated with lm-eval. Compares their ledgers and their
    losses on held-out documents, and writes the report. No network, no GPU. The model is random
    and tiny: the demo shows how things work, not that CFT helps. A second run starts over.
    """
    from rich.console import Console

    from axolotl_cft.cli.report import report
    from axolotl_cft.demo import steps
    from axolotl_cft.preview.collect import quiet_imports

    console = Console(highlight=False)
    if (output_dir / steps.MARKER).exists():
        console.print(f"Starting over: what an earlier demo left in {output_dir} is replaced.")
    with _step(console, "Making a tiny Llama, its tokenizer and the corpus"), quiet_imports():
        configs = steps.prepare(output_dir)
    if prepare_only:
        console.print(
            "\nTrain with either of\n"
            + "\n".join(
                f"  accelerate launch -m axolotl.cli.train {path}" for path in configs.values()
            ),
            soft_wrap=True,
        )
        return
    _show_row(configs["cft"], console)
    _study(output_dir, console)
    console.print(_table({arm: steps.read_arm(output_dir, arm) for arm in steps.ARMS}))
    console.print(_WHAT_THE_TABLE_SAYS)
    ctx.invoke(report, sources=(str(output_dir),))
    console.print(_WITH_YOUR_DATA)


def _study(folder: Path, console: "Console") -> None:
    """Carry out the demo's study, as `axolotl-cft study` would."""
    from axolotl_cft.cli.study import run_steps
    from axolotl_cft.demo import steps
    from axolotl_cft.study.processes import Stopped
    from axolotl_cft.study.running import check_study
    from axolotl_cft.study.spec import read_study

    study_file = folder / steps.STUDY
    try:
        with steps.by_itself():
            with _step(console, f"Checking the study {study_file}"):
                checked = check_study(read_study(study_file), study_file, folder)
            failures = run_steps(checked)
    except Stopped as exc:
        raise SystemExit(128 + exc.signum) from exc
    if failures:
        raise CFTError(f"some runs of the demo failed\n{failures}")


@contextmanager
def _step(console: "Console", what: str) -> Iterator[None]:
    """A spinner while the body runs, and a line with its wall time after."""
    from axolotl_cft.cli.progress import is_quiet, progress

    begin = perf_counter()
    with progress(what):
        yield
    if not is_quiet():
        console.print(f"[green]✓[/green] {what}: {perf_counter() - begin:.0f} s", soft_wrap=True)


def _show_row(config: Path, console: "Console") -> None:
    from axolotl_cft.preview.collect import collect
    from axolotl_cft.preview.terminal import render

    with _step(console, f"Encoding (as `axolotl-cft preview {config}` does)"):
        previews = collect(config, rows=1)
    for preview in previews:
        render(preview, console)


def _table(results: "dict[str, ArmResult]") -> "Table":
    """Losses and ledgers side by side."""
    from rich.table import Table

    from axolotl_cft.demo.steps import ARMS

    arms = list(results.values())
    digests = [arm.train.targets_digest for arm in arms]
    table = Table(title="Two arms, one corpus")
    table.add_column("")
    for name in results:
        table.add_column(name.upper(), justify="right")
    rows = {
        "prompts": [ARMS[name] for name in results],
        "documents trained": [f"{arm.train.used:,}" for arm in arms],
        "rows": [f"{arm.train.rows:,}" for arm in arms],
        "trained tokens": [f"{arm.train.trained_tokens:,}" for arm in arms],
        "targets digest": [digest[:12] for digest in digests],
        "prompt tokens": [f"{arm.train.prompt_tokens:,}" for arm in arms],
        "… of all tokens": [f"{arm.train.prompt_share:.1%}" for arm in arms],
        "documents held out": [f"{arm.test.used:,}" for arm in arms],
        "validation loss before": [f"{arm.loss_before:.3f}" for arm in arms],
        "validation loss after": [f"{arm.loss_after:.3f}" for arm in arms],
    }
    for label, cells in rows.items():
        table.add_row(label, *cells)
    same = len(set(digests)) == 1
    table.caption = (
        "Equal digests: both arms trained on exactly the same tokens in the same chunks."
        if same
        else "The digests differ: the arms did not train on the same tokens."
    )
    return table


_WHAT_THE_TABLE_SAYS = (
    "The validation loss is measured on held-out documents without any prompt, in both arms alike, "
    "so it can be compared. A random model of two layers cannot follow a prompt, though, so which "
    "arm is lower here means nothing: whether CFT helps is a question for a real model and your "
    "data. The same holds for the evaluation below.\n"
)

_WITH_YOUR_DATA = """
[bold]With your own data[/bold]: add this to your Axolotl config (`axolotl-cft init --from my.yml`
does it in a copy),

  plugins:
    - axolotl_cft.CFTPlugin
  datasets:
    - path: my_documents.jsonl    # one document per line: {"text": "…"}
      type: cft
  cft:
    prompts: paper                # none for the CPT arm

look at what it will train, and train:

  axolotl-cft preview my.yml
  accelerate launch -m axolotl.cli.train my.yml

`axolotl-cft study` then compares arms and seeds; `axolotl-cft init` lists complete recipes."""
