"""Studies for tests: written, called, killed, and read back.

`REAL` starts the host's and the harness's own programs, `FAKE` their stand-ins (`fake_host.py`).
"""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fake_host
import psutil
import yaml
from click.testing import CliRunner
from conftest import make_documents, write_jsonl
from host import host_config

from axolotl_cft.cli import main

TASK = """\
task: study_parity
dataset_path: json
dataset_kwargs: {data_files: {test: ITEMS}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: ["even", "odd"]
doc_to_target: "{{label}}"
metric_list: [{metric: acc}]
"""

# The host's own commands, started without a launcher: a start costs most of the time.
REAL = {
    "prepare": "python -m axolotl.cli.preprocess {config}",
    "train": "python -m axolotl.cli.train {config}",
    "merge": "python -m axolotl.cli.merge_lora {config}",
    "evaluate": "lm_eval",
}
_FAKE = f"python {shlex.quote(fake_host.__file__)}"
FAKE = {
    "prepare": f"{_FAKE} preprocess {{config}}",
    "train": f"{_FAKE} train {{config}}",
    "merge": f"{_FAKE} merge_lora {{config}}",
    "evaluate": f"{_FAKE} lm_eval",
}
LORA = {
    **{"adapter": "lora", "lora_r": 4, "lora_alpha": 8, "lora_target_linear": True},
    # Triton kernels, which the host switches on by itself, need a GPU
    **{"lora_mlp_kernel": False, "lora_qkv_kernel": False, "lora_o_kernel": False},
}


def write_study(folder: Path, model: Path, launch: dict[str, str], **changes: Any) -> Path:
    """Untouched, CPT and CFT (with LoRA), two seeds, two stages; `changes` replace blocks."""
    corpus = write_jsonl(folder / "corpus.jsonl", make_documents(24))
    items = write_jsonl(
        folder / "items.jsonl", [{"question": f"{i} is", "label": i % 2} for i in range(8)]
    )
    (folder / "tasks").mkdir()
    (folder / "tasks/parity.yaml").write_text(TASK.replace("ITEMS", str(items)))
    base = host_config(folder, model, corpus, max_steps=16, save_strategy="steps", save_steps=4)
    later = {"cft.prompts": "none", "max_steps": 2, "save_steps": 2}
    study = {
        "name": "killed",
        "base": base,
        "arms": {"base": {"train": False}, "cpt": {"cft.prompts": "none"}, "cft": LORA},
        "seeds": [1, 2],
        "stages": {
            "pretrain": None,
            "more": {"overrides": later},
        },
        "evaluate": ["more"],
        "baseline": "cpt",
        "tasks": ["study_parity"],
        "lm_eval": {"include_path": str(folder / "tasks"), "device": "cpu"},
        "launch": launch,
        **changes,
    }
    path = folder / "study.yml"
    path.write_text(yaml.safe_dump(study, sort_keys=False))
    return path


def call(study: Path, root: Path) -> Any:
    """A call of `axolotl-cft study` in this process, which has imported the host already."""
    return CliRunner().invoke(main, ["study", str(study), "--output-dir", str(root)])


COMMAND = [str(Path(sys.executable).with_name("axolotl-cft"))]
UNCHECKED = [
    *(sys.executable, "-c"),
    "from axolotl_cft.study import preflight\npreflight.check_plan = lambda *arguments: None\n"
    "from axolotl_cft.cli import main\nmain()",
]
"""The same command without the checks of keys and tasks, which import host and harness."""


class Call:
    """One call of `axolotl-cft study`, which can be killed.

    Args:
        study: the study file.
        root: the study's folder.
        program: how the command is started.
        mishaps: what is to go wrong with the stand-ins.
    """

    def __init__(self, study: Path, root: Path, program: list[str], **mishaps: str):
        self.root = root
        command = [*program, "study", str(study), "--output-dir", str(root)]
        environment = {**os.environ, "FAKE_HOST": json.dumps(mishaps)}
        with (root.parent / "calls.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def kill_when(self, moment: Callable[[], bool]) -> int:
        """SIGKILL the call alone at some moment, stop its child; returns the child's pid."""
        while not moment():
            assert self.process.poll() is None, (self.root.parent / "calls.log").read_text()
            time.sleep(0.02)
        [note] = self.root.rglob("running.json")
        child: int = json.loads(note.read_text())["child"]
        os.kill(child, signal.SIGSTOP)
        self.process.kill()
        self.process.wait()
        return child


def journal(root: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (root / "executions.jsonl").read_text().splitlines()]


def recorded(root: Path) -> dict[tuple[str, int | None, str | None], dict[str, Any]]:
    """The runs of `study.json` by arm, seed and stage."""
    runs = json.loads((root / "study.json").read_text())["runs"]
    return {(run["arm"], run["seed"], run["stage"]): run for run in runs}


class Told:
    """Remembers how steps ended."""

    def __init__(self) -> None:
        self.ends: list[str] = []

    def begin(self, step: Any, log: Path) -> None:
        pass

    def end(self, step: Any, how: str) -> None:
        self.ends.append(how)

    def say(self, text: str) -> None:
        print(text)


def end(pid: int) -> None:
    """Kill a process and all it started, and wait until they are gone: dying takes a while."""
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    assert not psutil.wait_procs(processes, timeout=60)[1]
