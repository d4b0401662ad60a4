"""After a process has ended: is its output whole, and is it a number?"""

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from axolotl_cft.core.ledger import Ledger
from axolotl_cft.errors import CFTError
from axolotl_cft.evaluation.requested import requested
from axolotl_cft.evaluation.software import evaluated_with
from axolotl_cft.files import read_json
from axolotl_cft.host.output_dir import (
    LEDGER_FILE,
    STATE_FILE,
    TrainerState,
    check_losses,
    checkpoints,
    is_finite,
    is_whole,
    read_state,
)
from axolotl_cft.host.plan import plan_stamp
from axolotl_cft.records import PreparedLedger, TrainingLedger
from axolotl_cft.study.preflight import OUR_PLUGINS
from axolotl_cft.study.task_files import called

_FINISHED = "'train_runtime'"
"""In the summary that the trainer prints after its last step, or after it was told to stop."""

_SHARDS = "pytorch_model_fsdp_0"


def prepared_targets(prepared: Path, stamps: Iterable[str]) -> dict[str, Any]:
    """What the preparation that has just ended put into its ledger about its targets, and where.

    The ledger lies beside the prepared folder, whose name only the host can compute. But a
    preparation always rewrites it (axolotl/utils/data/shared.py::load_preprocessed_dataset), so of
    those with the right stamps it is the newest.

    Args:
        prepared: the study's `dataset_prepared_path`.
        stamps: of the config's CFT datasets, their first half.

    Returns:
        `targets_digest` and `trained_tokens`, and `prepared`, the name of the prepared folder; all
        None where no CFT dataset is trained on.
    """
    wanted = set(stamps)
    ledgers = sorted(prepared.glob(f"*.{LEDGER_FILE}"), key=lambda path: path.stat().st_mtime_ns)
    for path in reversed(ledgers):
        entries = [
            Ledger.from_dict(dict(entry.ledger))
            for entry in PreparedLedger.read(path).datasets
            if entry.part == "train" and plan_stamp(entry.stamp) in wanted
        ]
        if entries:
            content = sum(entries, Ledger()).to_dict()
            found = {name: content[name] for name in ("targets_digest", "trained_tokens")}
            return {**found, "prepared": path.name.removesuffix(f".{LEDGER_FILE}")}
    return dict.fromkeys(("targets_digest", "trained_tokens", "prepared"))


def clear_half_checkpoints(train: Path) -> None:
    """Leave only checkpoints that the host can resume from exactly; it takes the last by its name.

    One at `max_steps` in the middle of an epoch makes it train a step too many
    (transformers/trainer.py::_run_epoch), so the one before it is the better start. What an earlier
    session left beside them goes as well: its model may be half-trained, and would hide sharded
    weights that have yet to be put together.
    """
    for path in (train / STATE_FILE, *_whole_weights(train)):
        path.unlink(missing_ok=True)
    for checkpoint in checkpoints(train):
        if not is_whole(checkpoint):
            shutil.rmtree(checkpoint)
    whole = checkpoints(train)
    if len(whole) > 1:
        state = read_state(whole[-1])
        if state and state.reached_end and not (state.epoch or 0.0).is_integer():
            shutil.rmtree(whole[-1])


def check_training(train: Path, output: str, config: Mapping[str, Any]) -> None:
    """A training run must have come to its end, saved its weights, and produced no NaN.

    The exit status alone does not tell: on SIGINT the host saves a half-trained model and exits
    with 0 (axolotl/train.py::setup_signal_handler). Where our plugin is on, it leaves the trainer's
    state at the end and nowhere else (host/ending); without it, what the host prints has to do.

    Args:
        train: the run's `output_dir`, of which `clear_half_checkpoints` knew before it began.
        output: what this process printed.
        config: what was trained with.

    Raises:
        CFTError: the sentence that the study records.
    """
    saved = checkpoints(train)
    last = (read_state(saved[-1]) if saved else None) or TrainerState()
    if OUR_PLUGINS.isdisjoint(config.get("plugins") or []):
        ended = last.reached_end or _FINISHED in output
    else:
        ended, last = (train / STATE_FILE).is_file(), read_state(train) or last
    if not ended:
        raise CFTError("training ended before its last step, though with exit status 0")
    check_losses(last, output)
    if not whole_weights(train) and not any(train.glob(f"**/{_SHARDS}")):
        raise CFTError(f"training left no weights in {train}")


def trained_with(train: Path) -> dict[str, str]:
    """Versions, and the GPU's model, as far as the plugin noted them in its ledger."""
    path = train / LEDGER_FILE
    sessions = TrainingLedger.read(path).software if path.is_file() else []
    found: dict[str, dict[str, None]] = {}
    for session in sessions:  # one after another where a resume changed something
        gpus = [model for model in session.devices if model != "cpu"]
        said = {**session.versions, "cuda": session.cuda, "gpu": " and ".join(gpus)}
        for name, value in said.items():
            found.setdefault(name, {}).update({str(value): None} if value else {})
    return {name: " then ".join(values) for name, values in found.items() if values}


def whole_weights(folder: Path) -> bool:
    """Whether a folder holds consolidated weights or an adapter."""
    return bool(_whole_weights(folder))


def _whole_weights(folder: Path) -> list[Path]:
    patterns = ("*model*.safetensors", "pytorch_model*.bin", "adapter_model.bin")
    return [path for pattern in patterns for path in folder.glob(pattern) if path.is_file()]


def needs_consolidation(train: Path) -> bool:
    """Whether the weights are still sharded, or were being put together when that was cut short."""
    return not whole_weights(train) or (train / "merged").exists()


def take_consolidated(train: Path) -> None:
    """Put consolidated weights beside the model's config and tokenizer.

    The host's command writes bare weights to `merged/` (axolotl/cli/merge_sharded_fsdp_weights.py).
    """
    merged = train / "merged"
    if not whole_weights(merged):
        raise CFTError(f"no consolidated weights in {merged}")
    for path in merged.iterdir():
        path.replace(train / path.name)
    merged.rmdir()


def check_merged(train: Path) -> None:
    """A merged adapter must be a model that can be loaded."""
    merged = train / "merged"
    if not whole_weights(merged) or not (merged / "config.json").is_file():
        raise CFTError(f"the merged model in {merged} is incomplete")


def check_evaluation(folder: Path, tasks: Iterable[str]) -> dict[str, str]:
    """Results and sample logs must be there, for every task, and be numbers.

    The harness only logs a warning where it cannot save them
    (lm_eval/loggers/evaluation_tracker.py::save_results_samples).

    Returns:
        With which software, and on which GPU, it was evaluated.

    Raises:
        CFTError: the sentence that the study records.
    """
    found = sorted(folder.rglob("results_*.json"))
    if not found:
        raise CFTError("the harness exited without an error and without a results file")
    content = read_json(found[-1], "evaluate again")
    results: dict[str, Any] = {**content.get("groups", {}), **content.get("results", {})}
    for task in tasks:
        if not requested({"configs": results, **content}, [called(task)]):
            raise CFTError(f"the results have no task {task!r}")
    for task, metrics in results.items():
        for name, value in metrics.items():
            if "_stderr" not in name and not is_finite(value):
                raise CFTError(f"{task}: {name} is {value}")
    for task in content.get("configs", results):
        logs = sorted(folder.rglob(f"samples_{task}_[0-9]*.jsonl"))
        if not logs:
            raise CFTError(f"the harness saved no sample log of {task}")
        _check_samples(task, logs[-1])
    return evaluated_with(content)


def take_evaluation(partial: Path, folder: Path, add: bool) -> None:
    """Give an evaluation that was checked its place: instead of what is there, or beside it.

    Beside it, sample logs come first: without a results file they are nobody's, so that a move
    that was cut short leaves no half result.

    Args:
        partial: where the harness wrote it.
        folder: where it belongs.
        add: whether to keep what is there. It stays the folder of one model, which the harness may
            call otherwise by now, as after a move of the study.
    """
    there = sorted(folder.rglob("results_*.json")) if add else []
    if not there:
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
        return
    new = next(partial.rglob("results_*.json")).parent
    for path in sorted(new.iterdir(), key=lambda path: path.name.startswith("results_")):
        path.replace(there[0].parent / path.name)
    shutil.rmtree(partial)


def _check_samples(task: str, log: Path) -> None:
    """A broken model answers NaN, and the most likely of several NaN is simply the first."""
    with log.open(encoding="utf-8") as lines:
        for line in lines:
            sample = json.loads(line)
            # a pair is (log-likelihood, is greedy); a generated text is no pair
            pairs = [answer for answer in sample["filtered_resps"] if isinstance(answer, list)]
            if any(str(pair[0]).lower() == "nan" for pair in pairs):
                raise CFTError(
                    f"{task}: the model's log-likelihood is NaN (item {sample['doc_id']}), so its "
                    "weights are lost or overflow in this dtype"
                )
