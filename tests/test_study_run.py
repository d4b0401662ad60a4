"""A whole study on the tiny model with the real commands, killed twice on its way."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import make_documents, write_jsonl
from host import host_config

from axolotl_cft.errors import CFTError
from axolotl_cft.study.plan import expand
from axolotl_cft.study.processes import sole_writer
from axolotl_cft.study.runner import Runner
from axolotl_cft.study.spec import read_study

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


def write_study(folder: Path, model: Path) -> Path:
    """Untouched, CPT and CFT (with LoRA), two seeds, two stages.

    The commands are the host's own, started without a launcher: a start costs most of the time.
    """
    corpus = write_jsonl(folder / "corpus.jsonl", make_documents(24))
    items = write_jsonl(
        folder / "items.jsonl", [{"question": f"{i} is", "label": i % 2} for i in range(8)]
    )
    (folder / "tasks").mkdir()
    (folder / "tasks/parity.yaml").write_text(TASK.replace("ITEMS", str(items)))
    base = host_config(folder, model, corpus, max_steps=16, save_strategy="steps", save_steps=4)
    lora = {
        **{"adapter": "lora", "lora_r": 4, "lora_alpha": 8, "lora_target_linear": True},
        # Triton kernels, which the host switches on by itself, need a GPU
        **{"lora_mlp_kernel": False, "lora_qkv_kernel": False, "lora_o_kernel": False},
    }
    later = {"cft.prompts": "none", "max_steps": 2, "save_steps": 2}
    study = {
        "name": "killed",
        "base": base,
        "arms": {"base": {"train": False}, "cpt": {"cft.prompts": "none"}, "cft": lora},
        "seeds": [1, 2],
        "stages": {
            "pretrain": None,
            "more": {"overrides": later},
        },
        "evaluate": ["more"],
        "baseline": "cpt",
        "tasks": ["study_parity"],
        "lm_eval": {"include_path": str(folder / "tasks"), "device": "cpu"},
        "launch": {
            "prepare": "python -m axolotl.cli.preprocess {config}",
            "train": "python -m axolotl.cli.train {config}",
            "merge": "python -m axolotl.cli.merge_lora {config}",
        },
    }
    path = folder / "study.yml"
    path.write_text(yaml.safe_dump(study, sort_keys=False))
    return path


class Call:
    """One call of `axolotl-cft study`, which can be killed."""

    def __init__(self, study: Path, root: Path):
        self.root = root
        program = Path(sys.executable).with_name("axolotl-cft")
        command = [str(program), "study", str(study), "--output-dir", str(root)]
        with (root.parent / "calls.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def kill_when(self, moment: Callable[[], bool]) -> int:
        """SIGKILL the call alone at some moment, stop its child; returns the child's pid."""
        while not moment():
            assert self.process.poll() is None, (self.root.parent / "calls.log").read_text()
            time.sleep(0.02)
        child: int = json.loads((self.root / "running.json").read_text())["pid"]
        os.kill(child, signal.SIGSTOP)
        self.process.kill()
        self.process.wait()
        return child


def journal(root: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (root / "executions.jsonl").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_a_study_survives_being_killed_and_repeats_nothing(
    tmp_path: Path, tiny_model: Path
) -> None:
    study, root = write_study(tmp_path, tiny_model), tmp_path / "out"

    # Killed during the first training, once there is a checkpoint.
    training = root / "cpt/seed1/pretrain/train"
    orphan = Call(study, root).kill_when((training / "checkpoint-4/trainer_state.json").exists)
    with pytest.raises(CFTError, match=f"kill {orphan}"), sole_writer(root):
        pass
    os.kill(orphan, signal.SIGKILL)
    half = root / "prepared/0123abcd"
    half.mkdir()
    (half / "data-00000-of-00001.arrow").touch()

    # Killed during the evaluation of the first arm's last stage.
    log = root / "cpt/seed1/more/evaluate.log"
    evaluator = Call(study, root).kill_when(lambda: log.exists() and log.stat().st_size > 0)
    os.kill(evaluator, signal.SIGKILL)
    assert not half.exists()
    assert not (root / "cpt/seed1/more/eval").exists()
    resumed = (root / "cpt/seed1/pretrain/train.log").read_text()
    assert "Using auto-resume functionality to resume from checkpoint at" in resumed

    assert Call(study, root).process.wait() == 0, (tmp_path / "calls.log").read_text()[-3000:]
    check_executions(root)
    check_record(root)
    check_nothing_is_left_to_do(study, root)
    assert (root / "report/report.md").is_file()


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


def check_executions(root: Path) -> None:
    """Every step ended well once, and only the two that were killed were started twice."""
    events = journal(root)
    ended = Counter(e["step"] for e in events if e["event"] == "ended" and e["exit"] == 0)
    started = Counter(e["step"] for e in events if e["event"] == "started")
    trained = [f"{arm}/seed{seed}" for arm in ("cpt", "cft") for seed in (1, 2)]
    expected = {
        "base evaluate",
        *(f"{arm}/seed1/pretrain prepare" for arm in ("cpt", "cft")),
        *(f"{run}/pretrain train" for run in trained),
        *(f"cft/seed{seed}/pretrain merge" for seed in (1, 2)),
        *(f"{run}/more train" for run in trained),
        *(f"{run}/more evaluate" for run in trained),
    }
    assert ended == dict.fromkeys(expected, 1)
    killed = {step for step, times in started.items() if times == 2}
    assert killed == {"cpt/seed1/pretrain train", "cpt/seed1/more evaluate"}
    assert sum(started.values()) == len(expected) + 2


def check_record(root: Path) -> None:
    """The record names every run, and what it names is there."""
    record = json.loads((root / "study.json").read_text())
    assert (record["schema"], record["name"], record["baseline"]) == (1, "killed", "cpt")
    runs = {(run["arm"], run["seed"], run["stage"]): run for run in record["runs"]}
    assert next(iter(runs)) == ("base", None, None)
    assert len(runs) == 1 + 2 * 2 * 2
    assert {run["status"] for run in runs.values()} == {"done"}
    for (_, seed, stage), run in runs.items():
        assert (run["eval_dir"] is None) == (stage == "pretrain")
        if run["eval_dir"]:
            assert list((root / run["eval_dir"]).rglob("samples_study_parity_*.jsonl"))
        if seed is not None:
            assert (root / run["train_dir"] / "cft_ledger.json").is_file()
    resumed = runs["cpt", 1, "pretrain"]
    assert resumed["train_seconds"] > 0
    assert resumed["world_size"] == 1
    assert runs["cpt", 2, "pretrain"]["train_seconds"] is None
    digests = {
        json.loads((root / f"{arm}/seed1/pretrain/prepare.json").read_text())["targets_digest"]
        for arm in ("cpt", "cft")
    }
    digests |= {
        json.loads((root / run["train_dir"] / "cft_ledger.json").read_text())["train"][
            "targets_digest"
        ]
        for (_, _, stage), run in runs.items()
        if stage == "pretrain"
    }
    assert len(digests) == 1


def check_nothing_is_left_to_do(study: Path, root: Path) -> None:
    """A further call starts no process."""
    before = journal(root)
    spec = read_study(study)
    plan = expand(spec, study, root)
    told = Told()
    runner = Runner(plan, plan.steps, spec.tasks, allow_targets=False, progress=told)
    with sole_writer(root):
        runner.run()
    assert runner.failures == {}
    assert set(told.ends) == {"done before"}
    assert journal(root) == before


@pytest.mark.slow
def test_sharded_weights_become_a_model_by_the_hosts_command(
    tmp_path: Path, tiny_model: Path
) -> None:
    import torch
    from torch.distributed import checkpoint as sharded
    from transformers import AutoModelForCausalLM

    # What FSDP leaves with SHARDED_STATE_DICT: bare shards beside config and tokenizer.
    train = tmp_path / "out/fsdp/seed1/train"
    shutil.copytree(tiny_model, train)
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.bfloat16)
    (train / "model.safetensors").unlink()
    sharded.save(model.state_dict(), checkpoint_id=train / "pytorch_model_fsdp_0", no_dist=True)

    corpus = write_jsonl(tmp_path / "corpus.jsonl", make_documents(4))
    base = host_config(tmp_path, tiny_model, corpus)
    base["fsdp_config"] = {"state_dict_type": "SHARDED_STATE_DICT"}
    arms = {"fsdp": None}
    study = {"name": "s", "base": base, "arms": arms, "seeds": [1], "tasks": ["study_parity"]}
    path = tmp_path / "study.yml"
    path.write_text(yaml.safe_dump(study))
    spec = read_study(path)
    plan = expand(spec, path, tmp_path / "out")
    step = next(step for step in plan.steps if step.kind == "consolidate")
    runner = Runner(plan, (step,), spec.tasks, allow_targets=False, progress=Told())
    with sole_writer(plan.root):
        runner.run()

    assert runner.failures == {}
    assert not (train / "merged").exists()
    whole = AutoModelForCausalLM.from_pretrained(train, dtype=torch.bfloat16)
    for name, value in model.state_dict().items():
        assert torch.equal(whole.state_dict()[name], value), name
