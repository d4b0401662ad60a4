"""`axolotl-cft report`: compare evaluated runs, with intervals, tests and figures."""

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from axolotl_cft.cli.shared_options import AS_JSON, complete_files, output_folder
from axolotl_cft.errors import CFTError

CURVES = "learning_curves.png"

if TYPE_CHECKING:
    from axolotl_cft.evaluation.comparison import Report
    from axolotl_cft.evaluation.results import Evaluation


@click.command(
    epilog="""\b
Examples:
  axolotl-cft report STUDY_DIR
  axolotl-cft report cpt=eval/cpt cft=eval/cft --baseline cpt --paper
  axolotl-cft report cpt@1=s1/cpt cpt@2=s2/cpt cft@1=s1/cft cft@2=s2/cft  # seeds 1 and 2
  axolotl-cft report STUDY_DIR --contamination clean/contamination.json --clean

Evaluate with `lm_eval … --output_path DIR --log_samples`: without sample logs there are scores,
but no intervals and no tests.
"""
)
@click.argument(
    "sources",
    metavar="STUDY | [NAME[@SEED]=]DIR...",
    nargs=-1,
    required=True,
    shell_complete=complete_files,
)
@output_folder("report.md, its figures, and report.json", "default: STUDY/report, or ./report")
@click.option(
    "--baseline",
    metavar="NAME",
    help="The row to compare with.  [default: the study's, or the first DIR]",
)
@click.option("--paper", is_flag=True, help="Add the paper's own numbers, as context.")
@click.option(
    "--contamination",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Record of `axolotl-cft contamination`.  [default: the study's, if it has one]",
)
@click.option(
    "--clean",
    is_flag=True,
    help="Score again without the contaminated items, beside the full scores.",
)
@click.option(
    "--margin",
    type=click.FloatRange(min=0, min_open=True, max=100),
    default=1.0,
    show_default=True,
    metavar="POINTS",
    help="A difference that would not matter: where the true one is surely smaller, that is said.",
)
@AS_JSON
def report(
    sources: tuple[str, ...],
    output_dir: Path | None,
    baseline: str | None,
    paper: bool,
    contamination: Path | None,
    clean: bool,
    margin: float,
    as_json: bool,
) -> None:
    """Write a report that says whether training helped, and how sure you can be.

    Takes the folder of `axolotl-cft study`, or lm_eval output folders. Each becomes a row named
    after its folder, or NAME; a NAME given several times is one row of several trainings, and
    NAME@SEED says with which seed. Every row is compared with the baseline on the same items: an
    interval over items and seeds, the exact McNemar test, and Holm's correction. A row of a single
    training is a model, not a method: the report then speaks of models. Writes report.md, figures,
    and report.json for programs, which --json also prints. The same input gives the same bytes.
    """
    from rich.console import Console
    from rich.markdown import Markdown

    from axolotl_cft.cli.progress import progress

    with progress("Loading SciPy"):
        from axolotl_cft.evaluation import sources as study
        from axolotl_cft.evaluation.comparison import compare
        from axolotl_cft.evaluation.curves import draw_curves, read_curves
        from axolotl_cft.evaluation.figures import draw_figures
        from axolotl_cft.evaluation.machine_readable import to_record
        from axolotl_cft.evaluation.markdown import render
        from axolotl_cft.evaluation.wording import headlines
    from axolotl_cft.files import write_atomic
    from axolotl_cft.records import (
        CONTAMINATION_FILE,
        REPORT_FILE,
        STUDY_FILE,
        ContaminationRecord,
    )

    if math.isnan(margin):
        raise click.BadParameter("a number of points", param_hint="--margin")
    console = Console()
    folder = Path(sources[0])
    is_study = len(sources) == 1 and (folder / STUDY_FILE).is_file()
    plan = (
        study.plan_study(folder, baseline)
        if is_study
        else study.plan_folders(list(sources), baseline)
    )
    recorded = folder / CONTAMINATION_FILE
    if contamination is None and is_study and recorded.is_file():
        contamination = recorded
    overlap = ContaminationRecord.read(contamination) if contamination else None
    with progress("Reading results and sample logs"):
        runs, costs = study.read_runs(plan), study.read_costs(plan)
    with progress("Comparing"):
        result = compare(plan, runs, costs, margin / 100)
        rest, left = _cleaned(result, runs, contamination) if clean else (None, [])
        figures = draw_figures(result)
        curves = draw_curves(read_curves(plan), list(result.rows))
        result = replace(result, warnings=(*result.warnings, *left))
        text = render(result, figures, overlap, paper, rest, CURVES if curves else None)
    output_dir = output_dir or (folder / "report" if is_study else Path("report"))
    for images in figures.values():
        for name, image in images.items():
            write_atomic(output_dir / name, image)
    if curves:
        write_atomic(output_dir / CURVES, curves)
    record = to_record(result, rest)
    record.write(output_dir / REPORT_FILE)
    write_atomic(output_dir / "report.md", text)
    if as_json:
        click.echo(record.text(), nl=False)
        return
    for sentence in headlines(result):
        console.print(Markdown(f"- {sentence}"))
    console.print(f"report: {output_dir / 'report.md'}", soft_wrap=True)


def _cleaned(
    report: "Report", runs: "list[Evaluation]", record: Path | None
) -> "tuple[Report, list[str]]":
    """The comparison without the items that the corpus holds, and what could not be left out."""
    from axolotl_cft.corpus.contamination import read_contaminated
    from axolotl_cft.evaluation.cleaning import without_items
    from axolotl_cft.evaluation.comparison import compare
    from axolotl_cft.records import CONTAMINATED_ITEMS_FILE

    if record is None:
        raise CFTError(
            "--clean needs the items that `axolotl-cft contamination` found: run it, and name its "
            "record with --contamination"
        )
    kept, notes = without_items(runs, read_contaminated(record.parent / CONTAMINATED_ITEMS_FILE))
    return compare(report.plan, kept, (), report.margin, report.groups), notes
