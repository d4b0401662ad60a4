"""What one training will need: its rows from a sample, its steps, its cost."""

import copy
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from axolotl_cft.errors import CFTError
from axolotl_cft.forecast.compute import Model, measure_model, training_flops
from axolotl_cft.forecast.draws import Drawn, Tell, draw
from axolotl_cft.forecast.rows import COUNTS, Made, RowMaker
from axolotl_cft.forecast.totals import Totals, estimate_totals, half_width
from axolotl_cft.host.epoch import Epoch, count_steps, left_for_training, take_epoch
from axolotl_cft.preview.collect import quiet_imports
from axolotl_cft.records import TrainingForecast

if TYPE_CHECKING:
    from axolotl_cft.core.options import Part

EPOCH_ROWS = 20_000
"""Rows of which an epoch is made up where only a sample is known: enough for bins to fill as they
do in a whole one, and packed in a second."""


@dataclass(frozen=True)
class Machine:
    """What trains.

    Attributes:
        gpus: how many, each with a process.
        peak: FLOP/s of one; None where none was named.
        mfu: share of it that a training reaches.
        parameters: of the model, in the place of counting them.
    """

    gpus: int = 1
    peak: float | None = None
    mfu: float = 0.4
    parameters: float | None = None

    def hours(self, flops: float) -> float | None:
        """GPU-hours of so many operations."""
        return None if self.peak is None else flops / (self.peak * self.mfu) / 3600


@dataclass(frozen=True)
class Counted:
    """The rows of one part of a config.

    Attributes:
        totals: of each of COUNTS.
        lengths: of rows, in their order if `made` is known, else of some that stand for all.
        documents: that the datasets hold.
        drawn: of these, looked at.
        groups: that the smallest sample fell into; 1 where all were looked at.
        made: all rows; None where there was only a sample.
    """

    totals: Totals
    lengths: npt.NDArray[np.int64]
    documents: int
    drawn: int
    groups: int
    made: Made | None = None

    @property
    def stored(self) -> float:
        """Bytes on disk."""
        if self.made is not None and len(self.made.rows):
            return self.made.size_on_disk()
        return float(self.totals.values[COUNTS.index("stored")])


class Sampler:
    """Looks at documents of datasets; what was drawn once is drawn for all arms.

    Args:
        count: documents of a dataset to look at.
        tell: is told what is being read or encoded, and how far.
    """

    def __init__(self, count: int, tell: Tell):
        self.count, self.tell = count, tell
        self._drawn: dict[str, Drawn] = {}

    def look(self, cfg: Any, tokenizer: Any, part: "Part") -> Counted | None:
        """The rows of one part; None where the config has none.

        Raises:
            CFTError: what training would refuse about the data.
        """
        from axolotl.utils.data.shared import datasets_with_name_generator

        given = cfg.datasets if part == "train" else cfg.test_datasets
        if not given:
            return None
        whole = [type(item)({**item, "preprocess_shards": None}) for item in given]
        found = [
            (item, self._draw(item, cfg, part)) for item in datasets_with_name_generator(whole)
        ]
        sampled = not all(drawn.is_whole for _, drawn in found)
        maker = RowMaker(cfg, tokenizer, part, sampled)
        if sampled:
            return self._count_some(maker, found)
        return self._count_all(maker, [*datasets_with_name_generator(given)])

    def _draw(self, item: Any, cfg: Any, part: "Part") -> Drawn:
        from axolotl_cft.host.config import attempt

        names = ("path", "name", "split", "data_files", "ds_type", "revision", "field")
        # Both parts read the one split of a file; elsewhere the default is the part's own.
        default = None if Path(str(item.path)).is_file() else part
        key = json.dumps([default, *(item.get(name) for name in names)], default=str)
        if key not in self._drawn:
            what = f"dataset {item.path}"
            self._drawn[key] = attempt(what, draw, item, cfg, part, self.count, self.tell)
        return self._drawn[key]

    def _count_all(self, maker: RowMaker, items: list[Any]) -> Counted:
        """Every document, in the order in which the host loads and shuffles them."""
        from axolotl_cft.host.config import attempt
        from axolotl_cft.host.raw_documents import load_documents

        cfg, part = maker.cfg, maker.part
        pieces = []
        for item in items:
            arguments = (item, part, cfg.hf_use_auth_token, cfg.seed, False)
            pieces.append((item, attempt(f"dataset {item.path}", load_documents, *arguments)))
        self.tell(f"Encoding {', '.join(str(item.path) for item in items)}", "")
        made = attempt(f"{part} data", maker.make, pieces)
        documents = sum(len(rows) for _, rows in pieces)
        counts = made.counts()
        totals = Totals(counts, np.zeros_like(counts))
        return Counted(totals, made.lengths(), documents, documents, 1, made)

    def _count_some(self, maker: RowMaker, found: list[tuple[Any, Drawn]]) -> Counted:
        """From a sample of at least one dataset to all documents of all of them."""
        from axolotl_cft.host.config import attempt

        totals, lengths, groups = [], [], []
        for item, drawn in found:
            made = []
            for index, documents in enumerate(drawn.groups, start=1):
                self.tell(f"Encoding {item.path}", f"part {index} of {len(drawn.groups)}")
                made.append(attempt(f"dataset {item.path}", maker.make, [(item, documents)]))
            pieces = item.shards or 1
            sums = np.stack([each.counts() for each in made])
            share = drawn.drawn / drawn.documents
            estimate = estimate_totals(sums, share, drawn.sizes, drawn.size)
            estimate = Totals(*(each / pieces for each in estimate))
            totals.append(_to_budget(estimate, _budget_of(item)))
            lengths.append(np.concatenate([each.lengths() for each in made]))
            groups += [] if drawn.is_whole else [len(made)]
        values = np.sum([each.values for each in totals], axis=0)
        errors = np.sqrt(np.sum([each.errors**2 for each in totals], axis=0))
        rows = [float(each.values[COUNTS.index("rows")]) for each in totals]
        return Counted(
            Totals(values, errors),
            _stand_for_all(lengths, rows),
            sum(drawn.documents // (item.shards or 1) for item, drawn in found),
            sum(drawn.drawn for _, drawn in found),
            min(groups),
        )


def _budget_of(item: Any) -> int | None:
    """`cft.trained_tokens` of a dataset."""
    from axolotl_cft.host.plan import is_cft_type
    from axolotl_cft.host.preparing import plan_of

    return plan_of(item).options.trained_tokens if is_cft_type(item.type) else None


def _to_budget(totals: Totals, budget: int | None) -> Totals:
    """The totals of as many documents as fill a budget of trained tokens."""
    trained = COUNTS.index("trained")
    if budget is None or not totals.values[trained]:
        return totals
    taken = np.array([1 if name in _OF_DOCUMENTS else 0 for name in COUNTS], bool)
    factor = np.where(taken, 1.0, budget / totals.values[trained])
    errors = totals.errors * factor
    errors[trained] = 0.0
    return Totals(totals.values * factor, errors)


_OF_DOCUMENTS = ("documents", "held_out")
"""Counts that a budget leaves as they are: what is read."""


def _stand_for_all(
    lengths: list[npt.NDArray[np.int64]], rows: list[float]
) -> npt.NDArray[np.int64]:
    """Lengths of EPOCH_ROWS rows, or of all if these are fewer, each dataset with its share."""
    chance = np.random.default_rng(0)
    share = min(1.0, EPOCH_ROWS / max(1.0, sum(rows)))
    parts = [
        np.resize(chance.permutation(known), max(1, round(share * count)))
        for known, count in zip(lengths, rows, strict=True)
        if len(known)
    ]
    return chance.permutation(np.concatenate([np.empty(0, np.int64), *parts]))


def import_host() -> None:
    """Import what asks for the host, without its remarks about GPUs that are not needed here."""
    os.environ.setdefault("AXOLOTL_DO_NOT_TRACK", "1")  # looking is nothing to report
    with quiet_imports():
        import axolotl.cli.config  # noqa: F401  (sets up the host's logging)
        from datasets import disable_progress_bars

        import axolotl_cft.host.documents  # noqa: F401
    disable_progress_bars()  # a process that looks ahead shows its own


class Forecaster:
    """Forecasts trainings; what several of them share is looked at once.

    Args:
        sampler: looks at the documents.
        machine: what trains.
    """

    def __init__(self, sampler: Sampler, machine: Machine):
        import_host()
        self.sampler, self.machine = sampler, machine
        self._models: dict[str, Model] = {}

    def load(self, raw: Mapping[str, Any], where: str) -> "Training":
        """A training by its raw config.

        Raises:
            CFTError: training would refuse it, or it is none that can be foretold.
        """
        from axolotl.loaders import load_tokenizer

        from axolotl_cft.host.config import attempt, validated

        cfg = validated(copy.deepcopy(dict(raw)), where)
        for name in ("rl", "reward_model", "process_reward_model", "pretraining_dataset"):
            if cfg[name]:
                raise CFTError(f"{where}: {name}: only supervised training on `datasets` is known")
        if cfg.streaming and not cfg.max_steps:
            raise CFTError(f"{where}: a streaming training ends by max_steps; set it")
        cfg.dataset_num_proc = None  # a sample is not worth a process
        tokenizer = attempt(f"{where}: base_model {cfg.base_model}", load_tokenizer, cfg)
        return Training(self, cfg, tokenizer)

    def model_of(self, cfg: Any) -> Model:
        """The model of a config, measured once."""
        name = str(cfg.base_model)
        if name not in self._models:
            self.sampler.tell(f"Counting the parameters of {name}", "")
            self._models[name] = measure_model(cfg, self.machine.parameters)
        return self._models[name]


@dataclass(frozen=True)
class Training:
    """A training that is to be foretold; what is looked at is looked at when asked for."""

    forecaster: Forecaster
    cfg: Any
    tokenizer: Any

    @cached_property
    def model(self) -> Model:
        """Its model."""
        return self.forecaster.model_of(self.cfg)

    @cached_property
    def train(self) -> Counted:
        """The rows that are prepared for training."""
        found = self.forecaster.sampler.look(self.cfg, self.tokenizer, "train")
        if found is None or not found.totals.values[COUNTS.index("rows")]:
            raise CFTError("datasets: none of the documents looked at gives a row to train on")
        return found

    @cached_property
    def test(self) -> Counted | None:
        """The rows that are prepared for evaluation."""
        return self.forecaster.sampler.look(self.cfg, self.tokenizer, "test")

    @cached_property
    def prepared_sizes(self) -> dict["Part", float]:
        """Bytes of each prepared dataset on disk."""
        streamed = bool(self.cfg.streaming)
        sizes: dict[Part, float] = {"train": 0.0 if streamed else self.train.stored}
        return sizes | ({"test": self.test.stored} if self.test else {})

    def prepared_names(self, tokenizer: str) -> dict["Part", str]:
        """What the host calls its prepared datasets: equal names, equal data on disk.

        Args:
            tokenizer: the name of the tokenizer in training, where the config names none.
        """
        from axolotl.utils.data.shared import generate_dataset_hash_from_config

        from axolotl_cft.host.plugin import complete_stamps

        complete_stamps(self.cfg, self.tokenizer)
        named = self.cfg.tokenizer_config
        # The host puts the model's name there (axolotl/utils/config/__init__.py).
        name = tokenizer if named in (None, self.cfg.base_model) else named
        given: dict[Part, Any] = {"train": self.cfg.datasets, "test": self.cfg.test_datasets}
        return {
            part: generate_dataset_hash_from_config(self.cfg, configs, name)
            for part, configs in given.items()
            if configs and not (part == "train" and self.cfg.streaming)
        }

    def forecast(self, name: str) -> TrainingForecast:
        """All figures of one run; `prepared_bytes` are those of its own data."""
        cfg, machine, counted = self.cfg, self.forecaster.machine, self._after_split()
        values = dict(zip(COUNTS, counted.totals.values, strict=True))
        epoch = self._epoch(counted, values["tokens"])
        steps = count_steps(cfg, epoch, machine.gpus, _is_ours(cfg))
        positions, squares = steps.epochs * epoch.positions, steps.epochs * epoch.squares
        flops = training_flops(self.model, positions, squares, bool(cfg.adapter))
        error = float(counted.totals.errors[COUNTS.index("tokens")])
        bins = epoch.packed_rows
        return TrainingForecast(
            name=name,
            exact=counted.made is not None,
            documents=counted.documents,
            drawn=counted.drawn,
            held_out=round(values["held_out"]),
            rows=round(values["rows"]),
            tokens=round(values["tokens"]),
            tokens_interval=half_width(error, counted.groups),
            trained_tokens=round(values["trained"]),
            prompt_tokens=round(values["prompt"]),
            packed_rows=None if bins is None else round(bins),
            padding=1 - values["tokens"] / epoch.positions if epoch.positions else 0.0,
            steps_an_epoch=steps.an_epoch,
            steps=steps.all,
            epochs=steps.epochs,
            prepared_bytes=round(sum(self.prepared_sizes.values())),
            flops=flops,
            gpu_hours=machine.hours(flops),
        )

    def _epoch(self, counted: Counted, tokens: float) -> Epoch:
        epoch = take_epoch(self.cfg, counted.lengths)
        if counted.made is not None:
            return epoch
        return epoch.scaled(tokens / max(1, int(counted.lengths.sum())))

    def _after_split(self) -> Counted:
        """Without what the host takes away from the prepared rows before training."""
        cfg, counted = self.cfg, self.train
        of = cfg.dataset_shard_num if cfg.dataset_shard_idx is not None else None
        apart = float(cfg.val_set_size or 0)
        if not of and not apart:
            return counted
        if counted.made is None:
            rows = counted.totals.values[COUNTS.index("rows")] / (of or 1)
            kept = (1 - min(1.0, apart / rows if apart >= 1 else apart)) / (of or 1)
            return replace(counted, totals=Totals(*(kept * each for each in counted.totals)))
        made = Made(left_for_training(counted.made.rows, cfg), counted.made.ledger)
        totals = Totals(made.counts(), counted.totals.errors)
        return replace(counted, totals=totals, lengths=made.lengths(), made=made)


def _is_ours(cfg: Any) -> bool:
    from axolotl_cft.host.plan import cft_datasets

    return any(cft_datasets(cfg))
