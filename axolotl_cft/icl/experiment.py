"""A whole run: every trial in worker processes, then one folder of results."""

from __future__ import annotations

import csv
import importlib.metadata
import io
import itertools
import json
import multiprocessing
import queue
import statistics
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from axolotl_cft.errors import CFTError
from axolotl_cft.files import write_atomic
from axolotl_cft.icl import workers as worker_process
from axolotl_cft.icl.model import excess_loss
from axolotl_cft.icl.presets import TASKS, Settings
from axolotl_cft.icl.tasks import least_squares
from axolotl_cft.icl.training import OnProgress, Trial, evaluation_batch, load, train

COLUMNS = ("step", "task", "method", "seed", "excess_loss", "inner_product")


def arms(settings: Settings, seed: int) -> list[Trial]:
    """The stage-2 trials of a seed; all start from the same stage 1."""
    return [Trial(seed, task, method) for task in TASKS for method in settings.methods]


def run(
    settings: Settings, folder: Path, device: torch.device, workers: int, on_progress: OnProgress
) -> dict[str, Any]:
    """Train what is not trained yet, write the results and return the summary.

    Each seed's stage 1 is trained once and shared by its arms. Jobs run in `workers` processes
    (one thread each on a CPU, so curves do not depend on their number).

    Raises:
        CFTError: the folder holds another experiment or cannot be written, a diverging loss, or
            a worker that died. Everything up to the last checkpoints is kept.
    """
    _claim(settings, folder, device)
    try:
        _run_jobs(settings, folder, device, workers, on_progress)
    except BrokenProcessPool as exc:
        raise CFTError(
            "a worker process died, perhaps out of memory; run the same command again with fewer "
            "workers, and it continues from the last checkpoints"
        ) from exc
    return write_results(settings, folder, device)


def _claim(settings: Settings, folder: Path, device: torch.device) -> None:
    """Write `config.json`, or check that the one there asks for the same experiment."""
    # Through JSON and back, so that tuples compare as the lists they are stored as.
    wanted = json.loads(json.dumps({**asdict(settings), "device": device.type}))
    path = folder / "config.json"
    if path.exists():
        try:
            found = json.loads(path.read_text())["settings"]
        except (OSError, ValueError, KeyError) as exc:
            raise CFTError(
                f"{path} cannot be read as a run's config; choose another folder"
            ) from exc
        for name, value in wanted.items():
            if found.get(name) != value:
                raise CFTError(
                    f"{folder} holds a run with {name} {found.get(name)}, not {value}: ask for "
                    "the same settings to resume it, or choose another output folder"
                )
        return
    versions = {p: importlib.metadata.version(p) for p in ("axolotl-cft", "torch", "transformers")}
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    content = {"settings": wanted, "device_name": name, "versions": versions}
    write_atomic(path, json.dumps(content, indent=2) + "\n")


def _run_jobs(
    settings: Settings, folder: Path, device: torch.device, workers: int, on_progress: OnProgress
) -> None:
    """TrialState stage 1 of every seed and, as each finishes, its arms."""
    context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
    progress, stop = context.Queue(), context.Event()
    with ProcessPoolExecutor(workers, context, worker_process.start, (progress, stop)) as pool:
        pending: dict[Future[None], Trial] = {}

        def submit(trials: Iterable[Trial]) -> None:
            for trial in trials:
                pending[pool.submit(_work, trial, settings, folder, device)] = trial

        try:
            submit(Trial(seed) for seed in settings.seeds)
            while pending:
                done, _ = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
                _drain(progress, on_progress)
                for future in done:
                    trial = pending.pop(future)
                    future.result()
                    if trial.is_stage1:
                        submit(arms(settings, trial.seed))
            _drain(progress, on_progress)
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def _drain(progress: Any, on_progress: OnProgress) -> None:
    while True:
        try:
            on_progress(*progress.get_nowait())
        except queue.Empty:
            return


def _work(trial: Trial, settings: Settings, folder: Path, device: torch.device) -> None:
    train(trial, settings, folder, device, worker_process.report)


def write_results(settings: Settings, folder: Path, device: torch.device) -> dict[str, Any]:
    """Write `curves.csv` and `summary.json` from the finished checkpoints; return the summary."""
    trials = [trial for seed in settings.seeds for trial in arms(settings, seed)]
    curves = {trial: load(trial.checkpoint(folder))["rows"] for trial in trials}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for trial, rows in curves.items():
        for step, excess, inner_product in rows:
            values = (f"{excess:.6g}", f"{inner_product:.6g}")
            writer.writerow((step, trial.task, trial.method, trial.seed, *values))
    summary = {
        "stage1": _summarize_stage1(settings, folder, device),
        "tasks": {task: _summarize_task(task, settings, curves, device) for task in TASKS},
    }
    write_atomic(folder / "curves.csv", text.getvalue())
    write_atomic(folder / "summary.json", json.dumps(summary, indent=2) + "\n")
    return summary


def _summarize_task(
    task: str, settings: Settings, curves: dict[Trial, Any], device: torch.device
) -> dict[str, Any]:
    methods = {}
    for method in settings.methods:
        rows = {seed: curves[Trial(seed, task, method)] for seed in settings.seeds}
        methods[method] = {
            "final_excess_loss": _over_seeds({s: r[-1][1] for s, r in rows.items()}),
            "auc_excess_loss": _over_seeds({s: mean_height(r) for s, r in rows.items()}),
            "final_inner_product": _over_seeds({s: r[-1][2] for s, r in rows.items()}),
        }
    baselines: dict[str, dict[int, float]] = {"least_squares": {}, "zero": {}}
    for seed in settings.seeds:
        batch = evaluation_batch(Trial(seed, task), settings, device)
        fitted = (least_squares(batch.xs, batch.g) - batch.g).square().mean(0)
        baselines["least_squares"][seed] = excess_loss(fitted, settings.dims)
        baselines["zero"][seed] = excess_loss(batch.g.square().mean(0), settings.dims)
    return {
        "methods": methods,
        "baselines": {name: _over_seeds(values) for name, values in baselines.items()},
    }


def _summarize_stage1(settings: Settings, folder: Path, device: torch.device) -> dict[str, Any]:
    """Stage 1 beside least squares and the zero predictor at each context length."""
    errors: dict[str, list[list[float]]] = {"model": [], "least_squares": [], "zero": []}
    for seed in settings.seeds:
        batch = evaluation_batch(Trial(seed), settings, device)
        fitted = least_squares(batch.xs, batch.f) - batch.f
        errors["model"].append(load(Trial(seed).checkpoint(folder))["errors"])
        errors["least_squares"].append(fitted.square().mean(0).tolist())
        errors["zero"].append(batch.f.square().mean(0).tolist())

    def excess(per_length: list[float]) -> float:
        return excess_loss(torch.tensor(per_length), settings.dims)

    return {
        "context_length": list(range(settings.points)),
        "squared_error": {  # a median over seeds at each length
            name: [statistics.median(column) for column in zip(*rows, strict=True)]
            for name, rows in errors.items()
        },
        "excess_loss": {
            name: _over_seeds(dict(zip(settings.seeds, map(excess, rows), strict=True)))
            for name, rows in errors.items()
        },
    }


def _over_seeds(values: dict[int, float]) -> dict[str, Any]:
    return {
        "median": statistics.median(values.values()),
        "per_seed": {str(seed): value for seed, value in values.items()},
    }


def mean_height(rows: list[tuple[int, float, float]]) -> float:
    """Area under the excess-loss curve (trapezoids) over its length in steps."""
    area = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in itertools.pairwise(rows))
    return area / (rows[-1][0] - rows[0][0])
