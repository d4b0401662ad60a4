"""What `axolotl-cft study` says about jobs on a cluster."""

from typing import TYPE_CHECKING

import click

from axolotl_cft.cli.progress import progress

if TYPE_CHECKING:
    from axolotl_cft.study.plan import Step, StudyPlan
    from axolotl_cft.study.running import CheckedStudy
    from axolotl_cft.study.slurm.options import SlurmOptions


def print_scripts(checked: "CheckedStudy", options: "SlurmOptions") -> None:
    """Every script that would be submitted."""
    from axolotl_cft.study.slurm.running import scripts

    for path, text in scripts(checked, options):
        click.echo(f"### {path}\n{text}")


def submit_jobs(checked: "CheckedStudy", options: "SlurmOptions") -> None:
    """Submit what is missing, and say what of the study is where."""
    from axolotl_cft.study.slurm.running import submit_study

    with progress("Submitting") as work:
        submitted = submit_study(checked, options, work.say)
    for path, number in submitted.jobs.items():
        click.echo(f"{number:>9}  {path}")
    for path, job in submitted.alive.items():
        click.echo(f"{job.id:>9}  {path}: {job.state.lower()}, submitted before")
    if submitted.jobs:
        click.echo(
            f"submitted {len(submitted.jobs)} jobs; `--status` says what they do, `--cancel` takes "
            "them back"
        )
    else:
        click.echo("nothing to submit: every step is done or has a job")


def show(plan: "StudyPlan", steps: "tuple[Step, ...]", as_json: bool) -> None:
    """A table (or JSON) of what every step is doing."""
    from axolotl_cft.cli.study_status import show_status
    from axolotl_cft.study.slurm.running import look_at_study

    show_status(look_at_study(plan, steps, _note), as_json)


def cancel_jobs(plan: "StudyPlan") -> None:
    """Cancel what the study submitted."""
    from axolotl_cft.study.slurm.running import cancel_study

    canceled = cancel_study(plan, _note)
    for job in canceled:
        click.echo(f"{job.id:>9}  {job.path}")
    click.echo(f"canceled {len(canceled)} jobs")


def _note(sentence: str) -> None:
    click.echo(sentence, err=True)
