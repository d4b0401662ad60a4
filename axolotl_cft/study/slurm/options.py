"""`slurm.yml`: sbatch's own options for each kind of step, and one sentence where it is wrong."""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from axolotl_cft.errors import CFTError
from axolotl_cft.files import read_yaml

KINDS = ("prepare", "train", "consolidate", "merge", "evaluate", "heldout", "report")

_OURS = {
    "array": "every step is a job of its own",
    "chdir": "jobs run in the folder in which they were submitted",
    "clusters": "submit on a machine of the cluster that shall run it",
    "dependency": "steps wait for one another",
    "error": "it goes to the log of the job",
    "input": "a step reads none",
    "job-name": "jobs are found again by their names",
    "kill-on-invalid-dep": "a job whose step can never start is no use in the queue",
    "no-requeue": "max_requeues says how often a job is requeued; 0 for never",
    "open-mode": "a log grows with every start",
    "output": "`--status` names the log of a job",
    "parsable": "job ids are read by the program",
    "requeue": "max_requeues says how often a job is requeued; 0 for never",
    "signal": "grace_seconds says how long before its end a job is told",
    "test-only": "`--dry-run` shows the scripts",
    "wait": "submitting returns at once",
    "wrap": "what runs is the step",
}
"""Options of sbatch that the study decides, and why."""

_KNOWN = """
    account acctg-freq batch bb bbf begin cluster-constraint comment constraint container
    container-id contiguous core-spec cores-per-socket cpu-freq cpus-per-gpu cpus-per-task deadline
    delay-boot distribution exclude exclusive export export-file extra extra-node-info get-user-env
    gid gpu-bind gpu-freq gpus gpus-per-node gpus-per-socket gpus-per-task gres gres-flags hint hold
    ignore-pbs licenses mail-type mail-user mcs-label mem mem-bind mem-per-cpu mem-per-gpu mincpus
    network nice no-kill nodefile nodelist nodes ntasks ntasks-per-core ntasks-per-gpu
    ntasks-per-node ntasks-per-socket oom-kill-step overcommit oversubscribe partition power prefer
    priority profile propagate qos quiet reboot reservation segment sockets-per-node spread-job
    switches thread-spec threads-per-core time time-min tmp tres-bind tres-per-task uid
    use-min-nodes verbose wait-all-nodes wckey
""".split()  # noqa: SIM905
"""What sbatch knows today, against misspellings; what resembles none of it is left to sbatch."""

_ABSENT = ("", "null", "~", "false")


class SlurmOptions(BaseModel):
    """The content of `slurm.yml`; every value of an option is the text that stands there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    all: dict[str, str] = Field(default_factory=dict, description="For jobs of every kind.")
    prepare: dict[str, str] = Field(default_factory=dict)
    train: dict[str, str] = Field(default_factory=dict)
    consolidate: dict[str, str] = Field(default_factory=dict)
    merge: dict[str, str] = Field(default_factory=dict)
    evaluate: dict[str, str] = Field(default_factory=dict)
    heldout: dict[str, str] | None = Field(default=None, description="Default: as `evaluate`.")
    report: dict[str, str] = Field(default_factory=dict)
    setup: list[str] = Field(default_factory=list, description="Shell lines before every step.")
    max_requeues: int = Field(default=10, ge=0, description="Most restarts of one job.")
    grace_seconds: int = Field(
        default=120, ge=30, le=65535, description="From the signal to the time limit."
    )

    @field_validator("all", *KINDS, mode="before")
    @classmethod
    def _empty_blocks(cls, value: Any) -> Any:
        return {} if value in _ABSENT else value

    @field_validator("setup", mode="before")
    @classmethod
    def _one_text(cls, value: Any) -> Any:
        return value.splitlines() if isinstance(value, str) else value

    def of(self, kind: str) -> dict[str, str | None]:
        """Long name -> value of all sbatch options of a kind of step; None for a bare flag."""
        own = getattr(self, kind)
        chosen = {**self.all, **(self.evaluate if own is None else own)}
        return {
            name: None if value == "true" else value
            for name, value in chosen.items()
            if value not in _ABSENT
        }


def read_slurm_options(path: Path) -> SlurmOptions:
    """Read and check `slurm.yml`.

    Values are taken as they are written: YAML would read `time: 24:00:00` as 86,400, which sbatch
    would take for minutes.

    Raises:
        CFTError: what is wrong with it, in one sentence.
    """
    content = read_yaml(path, as_text=True)
    try:
        options = SlurmOptions.model_validate(content)
    except ValidationError as exc:
        raise CFTError(f"{path}: {_explain(exc)}") from exc
    for block in ("all", *KINDS):
        for name, value in (getattr(options, block) or {}).items():
            if complaint := _complaint(name, value):
                raise CFTError(f"{path}: {block}.{name}: {complaint}")
    return options


def _complaint(name: str, value: str) -> str | None:
    """What is wrong with one option of sbatch."""
    if name in _OURS:
        return f"is decided by the study ({_OURS[name]}); remove it"
    if not re.fullmatch(r"[a-z][a-z0-9-]+", name) and name.replace("_", "-") not in _KNOWN:
        return "is no long name of an option of sbatch, such as `partition` or `gpus-per-node`"
    if name not in _KNOWN and (close := difflib.get_close_matches(name, _KNOWN, 1, 0.8)):
        return f"sbatch has no such option; did you mean {close[0]!r}?"
    if "\n" in value:
        return "expected one line"
    return None


def _explain(exc: ValidationError) -> str:
    """The first of pydantic's complaints as one sentence."""
    error = exc.errors()[0]
    place = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        known: Mapping[str, Any] = SlurmOptions.model_fields
        under = "; options of sbatch stand under `all` or a kind of step" if place in _KNOWN else ""
        return f"{place}: no such block; known blocks: {', '.join(known)}{under}"
    message = error["msg"].removeprefix("Value error, ")
    return f"{place}: {message[:1].lower()}{message[1:]}, got {error['input']!r}"
