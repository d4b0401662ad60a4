"""The demo: CPT and CFT of one small corpus with a tiny model, trained and evaluated right here.

Both arms' configs derive from `example_configs/demo.yml`, and everything runs as a user would run
it, in processes of its own: `accelerate launch -m axolotl.cli.train`, then `lm_eval`.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from axolotl_cft.errors import CFTError
from axolotl_cft.evaluation.tasks import task_folder
from axolotl_cft.files import write_atomic
from axolotl_cft.host.output_dir import LEDGER_FILE, latest_state
from axolotl_cft.records import LedgerRecord, TrainingLedger

ARMS = {"cpt": "none", "cft": "paper"}
"""Arm -> its `cft.prompts`; nothing else differs."""

TASKS = "cft_medical,cft_financial_mc"

DATA = Path(__file__).parent / "data"

MARKER = ".axolotl-cft-demo"
"""Lies in a demo's folder, so that a later demo may clear it, and no other folder is cleared."""

_WRITTEN_FOR = "./cft-demo"
"""The folder that `example_configs/demo.yml` names."""

_ENVIRONMENT = {
    "AXOLOTL_DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "CUDA_VISIBLE_DEVICES": "",  # the same demo with a GPU and without
    "CFT_DATA_DIR": str(DATA / "benchmarks"),
}

# `--cpu` also makes accelerate ignore the default config a user may have; the other options answer
# the questions it would warn about (accelerate/commands/launch.py::_validate_launch_command).
_TRAIN = [
    *("-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1", "--num_machines", "1"),
    *("--mixed_precision", "no", "--dynamo_backend", "no", "-m", "axolotl.cli.train"),
]


@dataclass(frozen=True)
class ArmResult:
    """What training one arm left.

    Attributes:
        loss_before: mean loss on the held-out documents, without prompts, before the first step.
        loss_after: the same after the last step.
        train: the ledger of the training part.
        test: the ledger of the held-out part.
    """

    loss_before: float
    loss_after: float
    train: LedgerRecord
    test: LedgerRecord


def prepare(folder: Path) -> dict[str, Path]:
    """Make corpus, test items, tokenizer, model and configs; what an earlier demo left goes.

    Returns:
        Arm -> its config.

    Raises:
        CFTError: `folder` holds something else.
    """
    _clear(folder)
    from transformers.utils import logging

    from axolotl_cft.demo.tiny import build_model, build_tokenizer

    logging.disable_progress_bar()  # for a model of 1 MB
    write_atomic(folder / MARKER, "Made by `axolotl-cft demo`, which may clear this folder.\n")
    corpus = (DATA / "corpus.jsonl").read_text(encoding="utf-8")
    write_atomic(folder / "corpus.jsonl", corpus)
    shutil.copytree(DATA / "benchmarks", folder / "benchmarks")
    texts = [json.loads(line)["text"] for line in corpus.splitlines()]
    build_model(folder / "model", build_tokenizer(texts))
    return {arm: _write_config(folder, arm) for arm in ARMS}


def _clear(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise CFTError(f"--output-dir {folder} is a file; name a folder")
    if any(folder.iterdir()) and not (folder / MARKER).exists():
        raise CFTError(f"--output-dir {folder} holds other files; name a new or empty folder")
    for name in ("model", "benchmarks", "prepared", *ARMS, "eval", "report", "logs"):
        shutil.rmtree(folder / name, ignore_errors=True)


def base_config() -> dict[str, Any]:
    """`example_configs/demo.yml`: inside the package when installed, beside it in a clone."""
    package = Path(__file__).parent.parent
    for parent in (package, package.parent):
        path = parent / "example_configs" / "demo.yml"
        if path.is_file():
            return yaml.safe_load(path.read_text(encoding="utf-8"))
    raise CFTError("example_configs/demo.yml is not installed: reinstall axolotl-cft")


def _write_config(folder: Path, arm: str) -> Path:
    config = _moved(base_config(), folder.resolve())
    config["cft"]["prompts"] = ARMS[arm]
    config["output_dir"] = str(folder.resolve() / arm)
    path = folder / f"{arm}.yml"
    heading = "# From example_configs/demo.yml, where every line is explained.\n"
    write_atomic(path, heading + yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    return path


def _moved(value: Any, folder: Path) -> Any:
    """`value` with the paths in it moved to `folder`."""
    if isinstance(value, dict):
        return {key: _moved(item, folder) for key, item in value.items()}
    if isinstance(value, list):
        return [_moved(item, folder) for item in value]
    if isinstance(value, str) and value.startswith(_WRITTEN_FOR + "/"):
        return str(folder / value.removeprefix(_WRITTEN_FOR + "/"))
    return value


def train(config: Path, log: Path) -> None:
    """Train with the host's own command, on the CPU.

    Raises:
        CFTError: the command failed; shows the end of its log.
    """
    _run([*_TRAIN, str(config)], log)


def evaluate(model: Path, output: Path, log: Path) -> None:
    """Evaluate a model on the embedded items with the harness's own command.

    Raises:
        CFTError: the command failed; shows the end of its log.
    """
    options = {
        "--model": "hf",
        "--model_args": f"pretrained={model},dtype=float32",
        "--tasks": TASKS,
        "--include_path": str(task_folder()),
        "--device": "cpu",
        "--batch_size": "16",
        "--output_path": str(output),
    }
    _run(
        ["-m", "lm_eval", *(part for pair in options.items() for part in pair), "--log_samples"],
        log,
    )


def _run(arguments: Sequence[str], log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as file:
        done = subprocess.run(
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            # More threads than one only wait for each other when the model is this small.
            env={"OMP_NUM_THREADS": "1"} | os.environ | _ENVIRONMENT,
            check=False,
        )
    if done.returncode:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        command = " ".join(["python", *arguments])
        raise CFTError(
            f"`{command}` ended with status {done.returncode}; the end of {log}:\n"
            + "\n".join(lines[-20:])
        )


def read_arm(output: Path) -> ArmResult:
    """Losses and ledger from an arm's output directory.

    Raises:
        CFTError: the run left no evaluation.
    """
    history = latest_state(output).history
    losses = [entry["eval_loss"] for entry in history if "eval_loss" in entry]
    ledger = TrainingLedger.read(output / LEDGER_FILE)
    if len(losses) < 2 or ledger.test is None:
        raise CFTError(f"{output} holds no validation losses; see its debug.log")
    return ArmResult(losses[0], losses[-1], ledger.train, ledger.test)
