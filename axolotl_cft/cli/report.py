"""`axolotl-cft report`: compare evaluated runs, with intervals, tests and figures."""

from pathlib import Path

import click


@click.command(
    epilog="""\b
Examples:
  axolotl-cft report STUDY_DIR
  axolotl-cft report cpt=eval/cpt cft=eval/cft --baseline cpt --paper
  axolotl-cft report cpt=s1/cpt cpt=s2/cpt cft=s1/cft cft=s2/cft   (two seeds each)

Evaluate with `lm_eval … --output_path DIR --log_samples`: without sample logs there are scores,
but no intervals and no tests.
"""
)
@click.argument("sources", metavar="STUDY | [NAME=]DIR...", nargs=-1, required=True)
@click.option(
    "--output-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where report.md and its figures go.  [default: STUDY/report, or ./report]",
)
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
def report(
    sources: tuple[str, ...],
    output_dir: Path | None,
    baseline: str | None,
    paper: bool,
    contamination: Path | None,
) -> None:
    """Write a report that says whether training helped, and how sure you can be.

    Takes the folder of `axolotl-cft study`, or lm_eval output folders. Each becomes a row named
    after its folder, or NAME; a NAME given several times is one row with several seeds. Every row
    is compared with the baseline on the same items: a paired bootstrap, the exact McNemar test,
    and Holm's correction. The same input gives the same bytes.
    """
    from rich.console import Console
    from rich.markdown import Markdown

    from axolotl_cft.cli.progress import progress
    from axolotl_cft.evaluation import sources as study
    from axolotl_cft.evaluation.comparison import compare
    from axolotl_cft.evaluation.figures import draw_figures
    from axolotl_cft.evaluation.markdown import headlines, render
    from axolotl_cft.files import write_atomic
    from axolotl_cft.records import CONTAMINATION_FILE, STUDY_FILE, ContaminationRecord

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
    with progress("Resampling items"):
        result = compare(plan, runs, costs)
        figures = draw_figures(result)
        text = render(result, figures, overlap, paper)
    output_dir = output_dir or (folder / "report" if is_study else Path("report"))
    for images in figures.values():
        for name, image in images.items():
            write_atomic(output_dir / name, image)
    write_atomic(output_dir / "report.md", text)
    for sentence in headlines(result):
        console.print(Markdown(f"- {sentence}"))
    console.print(f"report: {output_dir / 'report.md'}", soft_wrap=True)
