"""The demo's makings: a model, a corpus, test items, two configs, and the study of both.

Both arms' configs derive from `example_configs/demo.yml`. The study trains and evaluates them as a
user would, with `accelerate launch -m axolotl.cli.train` and `lm_eval` in processes of their own.
"""

import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from axolotl_cft.core.options import PROMPTS_VARIABLE
from axolotl_cft.errors import CFTError
from axolotl_cft.evaluation.tasks import task_folder
from axolotl_cft.files import read_yaml, write_atomic
from axolotl_cft.files.recipes import find_recipe
from axolotl_cft.host.output_dir import LEDGER_FILE, latest_state
from axolotl_cft.records import LedgerRecord, TrainingLedger

ARMS = {"cpt": "none", "cft": "paper"}
"""Arm -> its `cft.prompts`; nothing else differs."""

DATA = Path(__file__).parent / "data"

STUDY = "study.yml"

MARKER = ".axolotl-cft-demo"
"""Lies in a demo's folder, so that a later demo may clear it, and no other folder is cleared."""

_MADE = (
    "model",
    "benchmarks",
    "prepared",
    "base",
    *ARMS,
    "report",
    "study.json",
    "executions.jsonl",
)

_WRITTEN_FOR = "./cft-demo"
"""The folder that `example_configs/demo.yml` names."""

_ENVIRONMENT = {
    "AXOLOTL_DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "CUDA_VISIBLE_DEVICES": "",  # the same demo with a GPU and without
    "AXOLOTL_DATASET_NUM_PROC": "0",  # none beside its own: each would import the host for 82 rows
}

_PYTHON = shlex.quote(sys.executable)

# `--cpu` also makes accelerate ignore the default config a user may have; the other options answer
# the questions it would warn about (accelerate/commands/launch.py::_validate_launch_command).
LAUNCH = {
    "prepare": f"{_PYTHON} -m axolotl.cli.preprocess {{config}}",
    "train": f"{_PYTHON} -m accelerate.commands.launch --cpu --num_processes 1 --num_machines 1 "
    "--mixed_precision no --dynamo_backend no -m axolotl.cli.train {config}",
    "evaluate": f"{_PYTHON} -m lm_eval",
}


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
    """Make corpus, test items, tokenizer, model, configs and study; an earlier demo is removed.

    Returns:
        Arm -> its config, which can be trained by itself.

    Raises:
        CFTError: `folder` holds something else.
    """
    _clear(folder)
    from axolotl_cft.demo.tiny import build_model, build_tokenizer

    write_atomic(folder / MARKER, "Made by `axolotl-cft demo`, which may clear this folder.\n")
    corpus = (DATA / "corpus.jsonl").read_text(encoding="utf-8")
    write_atomic(folder / "corpus.jsonl", corpus)
    shutil.copytree(DATA / "benchmarks", folder / "benchmarks")
    texts = [json.loads(line)["text"] for line in corpus.splitlines()]
    build_model(folder / "model", build_tokenizer(texts))
    configs = {arm: _write_config(folder, arm) for arm in ARMS}
    _write_study(folder)
    return configs


def _clear(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise CFTError(f"--output-dir {folder} is a file; name a folder")
    if any(folder.iterdir()) and not (folder / MARKER).exists():
        raise CFTError(f"--output-dir {folder} holds other files; name a new or empty folder")
    for path in (folder / name for name in _MADE):
        shutil.rmtree(path, ignore_errors=True)
        path.unlink(missing_ok=True)


def base_config() -> dict[str, Any]:
    """`example_configs/demo.yml`."""
    return read_yaml(find_recipe("demo"))


def _write_config(folder: Path, arm: str) -> Path:
    config = _moved(base_config(), folder.resolve())
    config["cft"]["prompts"] = ARMS[arm]
    config["output_dir"] = str(folder.resolve() / arm)
    path = folder / f"{arm}.yml"
    heading = "# From example_configs/demo.yml, where every line is explained.\n"
    write_atomic(path, heading + yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    return path


def _write_study(folder: Path) -> None:
    content = {
        "name": "demo",
        "base": "cft.yml",
        "arms": {"base": {"train": False}}
        | {arm: {"cft.prompts": prompts} for arm, prompts in ARMS.items()},
        "baseline": "cpt",
        "tasks": ["cft_medical", "cft_financial_mc", "cft_general_text"],
        "general": ["cft_general_text"],
        "lm_eval": {
            "model_args": {"dtype": "float32"},
            "include_path": str(task_folder()),
            "device": "cpu",
            "batch_size": 16,
            "metadata": {"cft_data_dir": str(folder.resolve() / "benchmarks")},
        },
        "launch": LAUNCH,
    }
    heading = "# The untouched model and the demo's two arms; docs/study.md explains every key.\n"
    write_atomic(folder / STUDY, heading + yaml.safe_dump(content, sort_keys=False))


def _moved(value: Any, folder: Path) -> Any:
    """`value` with the paths in it moved to `folder`."""
    if isinstance(value, dict):
        return {key: _moved(item, folder) for key, item in value.items()}
    if isinstance(value, list):
        return [_moved(item, folder) for item in value]
    if isinstance(value, str) and value.startswith(_WRITTEN_FOR + "/"):
        return str(folder / value.removeprefix(_WRITTEN_FOR + "/"))
    return value


@contextmanager
def by_itself() -> Iterator[None]:
    """Neither network nor GPU for the processes started in the body, and one thread each.

    More threads only wait for each other when the model is this small.
    """
    before = dict(os.environ)
    os.environ.update({"OMP_NUM_THREADS": "1"} | before | _ENVIRONMENT)
    os.environ.pop(PROMPTS_VARIABLE, None)  # it would make both arms one
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def read_arm(folder: Path, arm: str) -> ArmResult:
    """Losses and ledger of an arm, from the demo's folder.

    Raises:
        CFTError: the run left no evaluation.
    """
    [train] = folder.glob(f"{arm}/seed*/train")
    losses = [entry["eval_loss"] for entry in latest_state(train).history if "eval_loss" in entry]
    if len(losses) < 2:
        raise CFTError(f"{train} holds no validation losses; see its debug.log")
    ledger = TrainingLedger.read(train / LEDGER_FILE)
    if ledger.test is None:
        raise CFTError(f"{train} holds no ledger of the held-out documents; run the demo again")
    return ArmResult(losses[0], losses[-1], ledger.train, ledger.test)
