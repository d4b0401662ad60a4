"""The needs of a config, or of every arm of a study."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axolotl_cft.errors import CFTError
from axolotl_cft.files import read_yaml
from axolotl_cft.files.recipes import refuse_uncopied
from axolotl_cft.forecast.training import Forecaster, Training
from axolotl_cft.forecast.wording import assumptions
from axolotl_cft.records import ForecastRecord, TrainingForecast
from axolotl_cft.study.plan import StudyPlan, expand
from axolotl_cft.study.preflight import check_environment
from axolotl_cft.study.spec import read_study


def forecast(path: Path, forecaster: Forecaster) -> ForecastRecord:
    """What a config, or all trainings of a study, will need.

    Args:
        path: an Axolotl YAML or a study file, which has `arms`.
        forecaster: looks at documents and models.

    Raises:
        CFTError: what training would refuse about the config, its pools or its data; a model whose
            parameters cannot be counted.
    """
    refuse_uncopied(path)
    raw = read_yaml(path)
    if "arms" in raw:
        rows, trainings = _study_rows(path, forecaster)
    else:
        training = forecaster.load(raw, str(path))
        rows, trainings = [training.forecast(path.stem)], {path.stem: training}
    hours = [row.runs * (row.gpu_hours or 0.0) for row in rows]
    machine = forecaster.machine
    return ForecastRecord(
        config=str(path),
        trainings=rows,
        runs=sum(row.runs for row in rows),
        steps=sum(row.runs * row.steps for row in rows),
        prepared_bytes=sum(row.prepared_bytes for row in rows),
        flops=sum(row.runs * row.flops for row in rows),
        gpu_hours=None if machine.peak is None else sum(hours),
        assumptions=[*assumptions(machine, trainings, rows)],
    )


@dataclass
class _Alike:
    """Trainings that differ in their seed alone.

    Attributes:
        first: the one with the first seed, by which all are judged.
        forecast: its needs.
        runs: how many there are.
        stored: bytes of their prepared data that no training before them has.
    """

    first: Training
    forecast: TrainingForecast
    runs: int = 0
    stored: float = 0.0


@dataclass
class _Study:
    """The trainings of a study, as they come.

    Attributes:
        forecaster: looks at documents and models.
        alike: arm and stage -> its trainings.
        known: what decides a training's needs -> the training, for arms that share a stage.
        prepared: names of prepared datasets that are counted already.
    """

    forecaster: Forecaster
    alike: dict[str, _Alike] = field(default_factory=dict)
    known: dict[str, Training] = field(default_factory=dict)
    prepared: set[str] = field(default_factory=set)

    def add(self, name: str, config: Mapping[str, Any], start: str) -> None:
        """Count one training.

        Args:
            name: arm and stage.
            config: as the study will train it; its model may be one that is not there yet.
            start: the model from which its chain of stages starts, which is of the same make.
        """
        raw = {**config, "base_model": start}
        training = self.forecaster.load(raw, name)
        same = self.known.setdefault(_needs(raw), training)
        if name not in self.alike:
            self.alike[name] = _Alike(same, same.forecast(name))
        alike = self.alike[name]
        alike.runs += 1
        for part, folder in training.prepared_names(str(config["base_model"])).items():
            if folder not in self.prepared:
                self.prepared.add(folder)
                alike.stored += alike.first.prepared_sizes[part]


def _study_rows(
    path: Path, forecaster: Forecaster
) -> tuple[list[TrainingForecast], dict[str, Training]]:
    """A row for every arm and stage, and the trainings behind them."""
    check_environment(os.environ)
    spec = read_study(path)
    plan = expand(spec, path, Path(spec.name))
    study = _Study(forecaster)
    for name, config, start in _trainings(plan):
        study.add(name, config, start)
    rows = [_row(name, study.alike.get(name)) for name in _names(plan)]
    if not study.alike:
        raise CFTError(f"{path}: no arm is trained, so nothing to foretell")
    return rows, {name: alike.first for name, alike in study.alike.items()}


def _names(plan: StudyPlan) -> Sequence[str]:
    """Every arm and stage, in the study's order."""
    arms = [run.arm if run.stage is None else f"{run.arm}/{run.stage}" for run in plan.runs]
    return list(dict.fromkeys(arms))


def _trainings(plan: StudyPlan) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Arm and stage, config, and the model at the start of the chain, of every training."""
    starts: dict[str, str] = {}
    for step in plan.steps:
        if step.kind == "train" and step.config is not None:
            run = step.run
            start = starts.setdefault(run.chain, str(step.config["base_model"]))
            yield run.arm if run.stage is None else f"{run.arm}/{run.stage}", step.config, start


def _row(name: str, alike: _Alike | None) -> TrainingForecast:
    if alike is None:
        return TrainingForecast(name=name, runs=0)
    return alike.forecast.model_copy(
        update={"runs": alike.runs, "prepared_bytes": round(alike.stored)}
    )


def _needs(raw: Mapping[str, Any]) -> str:
    """All of a config that its needs follow from: two that differ in a seed alone need the same."""
    idle = ("seed", "output_dir", "dataset_prepared_path")
    kept = {key: value for key, value in raw.items() if key not in idle}
    if isinstance(block := kept.get("cft"), Mapping):
        kept["cft"] = {key: value for key, value in block.items() if key != "seed"}
    return json.dumps(kept, sort_keys=True, default=str)
