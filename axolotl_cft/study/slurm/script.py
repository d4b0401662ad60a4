"""One step of a study as a text for sbatch: complete, readable, and with no program of ours in it.

The script passes SIGTERM on to the step, which then saves a checkpoint and ends with status 75,
and hands itself back to the queue. It asks Slurm before: after `scancel` the signal is the same.
"""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from axolotl_cft.study.parallel import INTERRUPTED
from axolotl_cft.study.slurm.jobs import Job
from axolotl_cft.study.slurm.options import SlurmOptions

FOLDER = "slurm"
"""In the study's folder: scripts, logs, the token and the record of what was submitted."""

TOKEN = "token"


@dataclass(frozen=True)
class Place:
    """Where the jobs of a study run.

    Attributes:
        root: the study's folder, which every node sees.
        directory: where the study was submitted; paths in configs are relative to it.
        token: 8 hex digits that no other study's folder holds.
    """

    root: Path
    directory: Path
    token: str

    def name(self, path: str) -> str:
        """Of the job for a step; no other study has it."""
        return f"{path}@{self.token}"

    def script(self, path: str) -> Path:
        """The file that sbatch reads."""
        return self.root / FOLDER / f"{path}.sbatch"

    def log(self, path: str) -> Path:
        """What the job prints; the step's own processes have logs beside their outputs."""
        return self.root / FOLDER / f"{path}.log"


def job_script(job: Job, place: Place, options: SlurmOptions) -> str:
    """The text of one job's script."""
    head = [
        "#!/bin/bash",
        f"# {job.path}: a step of the study in {place.root}",
        *(f"# starts when done: {path}" for path in job.needs),
        *(f"# starts when over: {path}" for path in job.follows),
        *directives(job, place, options),
        "",
        f"study={shlex.quote(str(place.root))}",
        f"directory={shlex.quote(str(place.directory))}",
        f"token={place.token}",
        f"max_requeues={options.max_requeues}",
        f"command=({shlex.join(job.command)})",
    ]
    return "\n".join([*head, _CHECKS, *_setup(options.setup), _RUN])


def directives(job: Job, place: Place, options: SlurmOptions) -> list[str]:
    """The `#SBATCH` lines: what the study decides, then the user's options."""
    ours: dict[str, str | None] = {
        "job-name": place.name(job.path),
        "output": str(place.log(job.path)).replace("%", "%%"),
        "open-mode": "append",
        "requeue" if options.max_requeues else "no-requeue": None,
        "signal": f"B:TERM@{options.grace_seconds}",
        "kill-on-invalid-dep": "yes",
    }
    return [_directive(name, value) for name, value in (ours | options.of(job.kind)).items()]


def submission_environment(
    environment: Mapping[str, str], options: Iterable[str]
) -> dict[str, str]:
    """Variables for sbatch, with which the script means what it says.

    Of an allocation in which sbatch is called nothing is handed on (its restart count is not the
    job's). `SBATCH_*` would be stronger than the lines of the script (sbatch(1), INPUT ENVIRONMENT
    VARIABLES); what the script leaves open, such as `SBATCH_ACCOUNT`, they may say.
    """
    said = {name.replace("-", "_").upper() for name in options} | _ALWAYS_SAID
    said |= {_OTHERWISE_NAMED[name] for name in said & _OTHERWISE_NAMED.keys()}

    def kept(name: str) -> bool:
        if name.startswith("SLURM_"):
            return name.startswith("SLURM_CONF")
        return not (name.startswith("SBATCH_") and name.removeprefix("SBATCH_") in said)

    return {name: value for name, value in environment.items() if kept(name)}


_ALWAYS_SAID = {
    *("JOB_NAME", "OUTPUT", "ERROR", "INPUT", "OPEN_MODE", "REQUEUE", "NO_REQUEUE", "SIGNAL"),
    *("ARRAY_INX", "WAIT", "CLUSTERS", "DEPENDENCY", "KILL_ON_INVALID_DEP", "CHDIR"),
}
_OTHERWISE_NAMED = {"TIME": "TIMELIMIT", "MEM": "MEM_PER_NODE"}


def _directive(name: str, value: str | None) -> str:
    if value is None:
        return f"#SBATCH --{name}"
    if not set(value) & set(" \t\"'\\#"):
        return f"#SBATCH --{name}={value}"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'#SBATCH --{name}="{escaped}"'


def _setup(lines: list[str]) -> list[str]:
    if not lines:
        return []
    return [
        "",
        "# setup, from slurm.yml",
        "trap 'echo \"a setup line of slurm.yml failed, so the step was not started\" >&2' EXIT",
        "set -e",
        *lines,
        "set +e",
        "trap - EXIT",
    ]


_CHECKS = """
if [ "$(cat "$study/slurm/token" 2>/dev/null)" != "$token" ]; then
  echo "$(hostname) does not see the study in $study: put it where all nodes share it" >&2
  exit 1
fi
if ! cd -- "$directory"; then
  echo "$(hostname) has no folder $directory, where the study was submitted: share it" >&2
  exit 1
fi"""

_RUN = f"""
# A signal is passed on; the step saves a checkpoint and ends with status {INTERRUPTED}.
asked= step= again=
# The user's defaults for squeue would hide the job.
unset "${{!SQUEUE_@}}"
state() {{
  squeue --noheader --jobs="$SLURM_JOB_ID" --states=all --format=%T
}}
pass_on() {{
  # A job that ends now, Slurm tells all of its processes; and a second signal means "at once".
  if [ -z "$asked" ] && [ -n "$step" ] && [ "$(state)" != COMPLETING ]; then
    kill -TERM "$step"
  fi
  asked=yes again=yes
}}
trap pass_on TERM
"${{command[@]}}" &
step=$!
[ -z "$asked" ] || kill -TERM "$step"
again=yes
while [ -n "$again" ]; do  # bash leaves `wait` at every signal, before the step has ended
  again=
  wait "$step"
  status=$?
done

# Cut short: back into the queue, unless this job was canceled or has come back too often.
if [ "$status" -eq {INTERRUPTED} ] || {{ [ -n "$asked" ] && [ "$status" -eq 143 ]; }}; then
  for pause in 5 5 10 10 15 15 0; do  # Slurm may be away for a minute
    now=$(state) && [ -n "$now" ] && break
    sleep "$pause"
  done
  if [ "$now" != RUNNING ]; then
    echo "job $SLURM_JOB_ID is not requeued: it is ${{now:-unknown to Slurm}}"
  elif [ "${{SLURM_RESTART_COUNT:-0}}" -ge "$max_requeues" ]; then
    echo "job $SLURM_JOB_ID is not requeued: it was $max_requeues times (max_requeues)"
  else
    echo "job $SLURM_JOB_ID is requeued"
    scontrol requeue "$SLURM_JOB_ID" || {{ sleep 15; scontrol requeue "$SLURM_JOB_ID"; }}
  fi
fi
exit "$status"
"""
