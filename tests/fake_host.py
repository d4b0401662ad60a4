"""Stands in for the programs that a study starts, and leaves what they leave, in their order.

    python fake_host.py preprocess CONFIG        python fake_host.py merge_lora CONFIG
    python fake_host.py train CONFIG             python fake_host.py lm_eval OPTIONS

A start costs half a second instead of ten to twenty. Nothing is learnt: every weight is an empty
file. But what a step needs must be there (the model it starts from, the documents, the adapter),
the ledger counts the real documents, and a training resumes from its last checkpoint.
`test_study_run.py` runs the real programs beside these and compares what the two leave.

The variable FAKE_HOST, a JSON mapping from a step's name (`cft/seed1 train`) to one of the
`MISHAPS`, lets steps go wrong.
"""

import argparse
import hashlib
import json
import math
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from axolotl_cft.core.ledger import NO_PROMPT, Ledger
from axolotl_cft.host.plan import STAMP_JOINT, cft_datasets, make_plan, parse_options
from axolotl_cft.host.sources import record_sources

MISHAPS = ("hang", "hang once", "fail", "nan", "end early")
"""Wait to be killed half-way, always or in the first session of a training; exit with status 3;
lose the numbers; exit half-way with status 0."""

TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
WHOLE_MODEL = ("model.safetensors", "config.json", "generation_config.json")
ADAPTER = ("adapter_model.safetensors", "adapter_config.json")
TRAINER = (
    *("training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth"),
    "tokens_state.json",
)
ITEMS = 8


def mishap(step: str) -> str | None:
    """What is to go wrong in a step, if anything; a failure happens here and now."""
    found: str | None = json.loads(os.environ.get("FAKE_HOST", "{}")).get(step)
    if found == "fail":
        raise SystemExit(3)
    return found


def half_way(wrong: str | None) -> None:
    """Where a step ends early, or waits to be killed."""
    if wrong == "hang":
        time.sleep(600)
    if wrong == "end early":
        raise SystemExit(0)


def leave(folder: Path, *names: str) -> None:
    """Files that are there, and that nothing of ours reads."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def need(path: Path) -> None:
    if not path.exists():
        raise SystemExit(f"FileNotFoundError: {path}")


# --- preprocess ------------------------------------------------------------------------------


def prepare(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Prepare what is not prepared yet; returns a ledger's entry for each dataset."""
    options, root = parse_options(config), Path(config["dataset_prepared_path"])
    record_sources([dataset for _, _, dataset in cft_datasets(config)], root)
    entries = []
    for place, part, dataset in cft_datasets(config):
        plan = make_plan(place, part, dataset, options, config.get("seed"), root)
        counted = count(Path(plan.path), plan.source.name)
        if part == "test" and plan.holdout:
            counted.near_duplicates = counted.compared = 0
        entry = {
            "stamp": f"{plan.stamp}{STAMP_JOINT}stand-in",
            "path": plan.path,
            "part": part,
            "prompts": plan.source.name,
            "ledger": counted.to_dict(),
        }
        entries.append(entry)
        folder = root / hashlib.md5(plan.stamp.encode()).hexdigest()
        if not (folder / "dataset_info.json").exists():
            leave(root, "datasets_prep.lock", f".{folder.name}.cft_ledger.json.lock")
            write_json(root / f"{folder.name}.cft_ledger.json", {"schema": 1, "datasets": [entry]})
            leave(folder, "data-00000-of-00001.arrow", "state.json", "dataset_info.json")
    return entries


def count(corpus: Path, prompts: str) -> Ledger:
    """A row a document and a token a byte."""
    ledger = Ledger(prompt_counts=Counter())
    for line in corpus.read_text(encoding="utf-8").splitlines():
        ids = np.frombuffer(json.loads(line)["text"].encode(), dtype=np.uint8)
        ledger.add_targets([ids])
        ledger.text_tokens += ids.size
        ledger.prompt_counts[NO_PROMPT if prompts == "none" else prompts] += 1
    ledger.documents = ledger.used = ledger.rows = ledger.prompt_counts.total()
    ledger.trained_tokens = ledger.text_tokens + ledger.rows
    ledger.prompt_tokens = 0 if prompts == "none" else 20 * ledger.rows
    ledger.total_tokens = ledger.trained_tokens + ledger.rows + ledger.prompt_tokens
    return ledger


# --- train -----------------------------------------------------------------------------------


def train(config: dict[str, Any], wrong: str | None) -> None:
    """Train `max_steps` steps from the last checkpoint; `save_steps` and `adapter` are heeded."""
    base, output = Path(config["base_model"]), Path(config["output_dir"])
    need(base / "config.json")
    need(base / "model.safetensors")
    entries = prepare(config)
    weights = ADAPTER if config.get("adapter") else WHOLE_MODEL
    leave(output, *TOKENIZER, "config.json", "debug.log")
    write_json(output / "cft_ledger.json", final_ledger(entries))
    (output / "trainer_state.json").unlink(missing_ok=True)
    history = resumed(output)
    if wrong == "hang once":
        wrong = None if history else "hang"
    for step in range(len(history) + 1, config["max_steps"] + 1):
        lost = wrong == "nan" and step > config["max_steps"] // 2
        history.append(log_entry(step, float("nan") if lost else 2.0 / step))
        print({key: f"{history[-1][key]:.4g}" for key in ("loss", "grad_norm", "epoch")})
        if config.get("save_strategy") == "steps" and step % config["save_steps"] == 0:
            folder = output / f"checkpoint-{step}"
            leave(folder, *weights, *TRAINER, *TOKENIZER)
            if config.get("adapter"):
                leave(folder, "README.md")
            if 2 * step >= config["max_steps"]:
                half_way(wrong)
            write_json(folder / "trainer_state.json", trainer_state(history, config["max_steps"]))
    write_json(output / "trainer_state.json", trainer_state(history, config["max_steps"]))
    leave(output, *weights, "README.md")
    summary = {"train_runtime": "0.5", "train_samples_per_second": "9", "train_loss": "1"}
    print(summary)
    (output / "debug.log").write_text(f"{summary}\n", encoding="utf-8")


def resumed(output: Path) -> list[dict[str, Any]]:
    """The log history of the last checkpoint."""
    steps = [int(path.name.split("-")[1]) for path in output.glob("checkpoint-*")]
    if not steps:
        return []
    checkpoint = output / f"checkpoint-{max(steps)}"
    print(f"Using auto-resume functionality to resume from checkpoint at {checkpoint}")
    history: list[dict[str, Any]] = json.loads((checkpoint / "trainer_state.json").read_text())[
        "log_history"
    ]
    return history


def log_entry(step: int, value: float) -> dict[str, Any]:
    return {"step": step, "epoch": step / 16, "loss": value, "grad_norm": value}


def trainer_state(history: list[dict[str, Any]], max_steps: int) -> dict[str, Any]:
    last = history[-1]
    return {
        "global_step": last["step"],
        "max_steps": max_steps,
        "epoch": last["epoch"],
        "log_history": history,
    }


def final_ledger(entries: list[dict[str, Any]]) -> dict[str, Any]:
    def total(part: str) -> Ledger:
        parts = (Ledger.from_dict(e["ledger"]) for e in entries if e["part"] == part)
        return sum(parts, Ledger())

    made = total("train")
    reached = {"rows": made.rows, "tokens": made.total_tokens}
    reached |= {"trained_tokens": made.trained_tokens, "mixed_with_other_datasets": False}
    tested = total("test").to_dict() if any(e["part"] == "test" for e in entries) else None
    return {
        "schema": 1,
        "train": made.to_dict(),
        "test": tested,
        "reached_trainer": {**reached, "rows_lost": 0, "trained_tokens_lost": 0},
        "datasets": entries,
        "software": [
            {"versions": {"torch": version("torch")}, "cuda": None, "devices": {"cpu": 1}}
        ],
    }


# --- merge_lora and lm_eval ------------------------------------------------------------------


def merge(config: dict[str, Any], wrong: str | None) -> None:
    train = Path(config["output_dir"])
    need(train / "adapter_model.safetensors")
    leave(train / "merged", "config.json", "generation_config.json", *TOKENIZER)
    half_way(wrong)
    leave(train / "merged", "model.safetensors")


def evaluate(options: argparse.Namespace, wrong: str | None) -> None:
    model = dict(pair.split("=", 1) for pair in options.model_args.split(","))["pretrained"]
    need(Path(model) / "model.safetensors")
    print("Selected Tasks:", options.tasks, flush=True)
    folder = Path(options.output_path) / re.sub(r'["<>:/|\\?*\[\]]+', "__", model)
    folder.mkdir(parents=True)
    stamp = datetime.now().isoformat(timespec="microseconds").replace(":", "-")
    counts = {}
    for task in options.tasks.split(","):
        lines = [json.dumps(line) + "\n" for line in samples(task, options, wrong)]
        (folder / f"samples_{task}_{stamp}.jsonl").write_text("".join(lines), encoding="utf-8")
        counts[task] = len(lines)
        half_way(wrong)
    write_json(folder / f"results_{stamp}.json", results(model, counts, wrong))


def samples(task: str, options: argparse.Namespace, wrong: str | None) -> Iterator[dict[str, Any]]:
    if task != "cft_heldout":
        yield from (sample(index, wrong) for index in range(options.limit or ITEMS))
        return
    folder = Path(json.loads(options.metadata)["cft_data_dir"])
    documents = (folder / "heldout/test.jsonl").read_text(encoding="utf-8").splitlines()
    for index, line in enumerate(documents):
        yield document_sample(index, json.loads(line))


def document_sample(index: int, document: dict[str, Any]) -> dict[str, Any]:
    """One document, at one nat a byte."""
    loss = -float(document["bytes"])
    return {
        "doc_id": index,
        "doc": document,
        "target": document["text"],
        "filtered_resps": [str(loss)],
        "filter": "none",
        "metrics": ["bits_per_byte", "bits_per_word", "bits_per_token"],
        "doc_hash": f"{index:064x}",
        "prompt_hash": f"{index:064x}",
        "bits_per_byte": [loss, document["bytes"]],
        "bits_per_word": [loss, document["words"]],
        "bits_per_token": [loss, document["tokens"]],
    }


def sample(index: int, wrong: str | None) -> dict[str, Any]:
    """One item, always answered with the first of two choices."""
    answers = [["nan" if wrong == "nan" else "-1.0", "True"], ["-2.0", "False"]]
    return {
        "doc_id": index,
        "target": str(index % 2),
        "filtered_resps": answers,
        "filter": "none",
        "doc_hash": f"{index:064x}",
        "prompt_hash": f"{index:064x}",
        "acc": float(index % 2 == 0),
    }


def results(model: str, tasks: dict[str, int], wrong: str | None) -> dict[str, Any]:
    loss = float("nan") if wrong == "nan" else 1 / math.log(2)
    heldout = {"bits_per_byte,none": loss, "bits_per_byte_stderr,none": "N/A"}
    scores = {"acc,none": 0.5, "acc_stderr,none": 0.19}
    return {
        "results": {task: heldout if task == "cft_heldout" else scores for task in tasks},
        "group_subtasks": {task: [] for task in tasks},
        "configs": {task: {"task": task} for task in tasks},
        "versions": {task: 1.0 if task == "cft_heldout" else "Yaml" for task in tasks},
        "n-shot": dict.fromkeys(tasks, 0),
        "higher_is_better": {
            task: {"bits_per_byte": False} if task == "cft_heldout" else {"acc": True}
            for task in tasks
        },
        "n-samples": {task: {"original": n, "effective": n} for task, n in tasks.items()},
        "config": {"model_dtype": "torch.float32", "limit": None, "gen_kwargs": {}},
        "git_hash": "0",
        "transformers_version": "5.0.0",
        "lm_eval_version": version("lm_eval"),
        "model_source": "hf",
        "model_name": model,
        "system_instruction": None,
        "chat_template": None,
        "chat_template_sha": None,
    }


# --- the command line ------------------------------------------------------------------------


def step_name(folder: Path, kind: str) -> str:
    """How the study calls a step; its own folder is the one with the records."""
    root = next(parent for parent in folder.parents if (parent / ".records.lock").exists())
    return f"{folder.relative_to(root)} {kind}"


def harness_options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for name in ("--model_args", "--tasks", "--output_path"):
        parser.add_argument(name, required=True)
    parser.add_argument("--metadata")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--log_samples", action="store_true", required=True)
    return parser.parse_known_args(arguments)[0]


def main(command: str, *arguments: str) -> None:
    if command == "lm_eval":
        options = harness_options([*arguments])
        output = Path(options.output_path)
        kind = "heldout" if output.name.startswith("heldout") else "evaluate"
        evaluate(options, mishap(step_name(output.parent, kind)))
        return
    path = Path(arguments[0])
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    if command == "preprocess":
        mishap(step_name(path.parent, "prepare"))
        prepare(config)
    elif command == "train":
        train(config, mishap(step_name(path.parent, "train")))
    elif command == "merge_lora":
        merge(config, mishap(step_name(path.parent, "merge")))
    else:
        raise SystemExit(f"unknown command {command}")


if __name__ == "__main__":
    main(*sys.argv[1:])
