"""Every number of an experiment in one place, checked before anything is built (stdlib only)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from axolotl_cft.errors import CFTError

TASKS = ("polynomial", "multiple_linear")
METHODS = ("cft", "cpt", "neg_cft")  # the paper's
CONTROLS = ("wrong_cft",)  # ours


@dataclass(frozen=True)
class Settings:
    """What is trained and measured; the defaults are the paper's sizes (arXiv 2503.09032).

    A sequence of stage 2 has two halves of `points` (x, value) pairs each, so the position table
    must hold 4 x `points` tokens.
    """

    dims: int = 20  # d, the length of x
    points: int = 41  # k, the (x, y) pairs of one function
    layers: int = 12
    width: int = 256
    heads: int = 8
    positions: int = 164  # rows of the position table
    batch_size: int = 64
    pretrain_steps: int = 100_000
    pretrain_learning_rate: float = 1e-4
    pretrain_halves: str = "first"  # "first", or "both": a coin per batch places it in either half
    curriculum_start: int = 11  # points that carry loss at the first step of stage 1
    curriculum_add: int = 2
    curriculum_every: int = 2_000
    finetune_steps: int = 50_000
    finetune_learning_rate: float = 1e-4
    warmup_steps: int = 0  # linear warm-up of both stages
    cosine: bool = False  # cosine decay to 0 at the last step of both stages
    clip_norm: float = 0.0  # largest gradient norm; 0: unclipped
    eval_every: int = 100  # steps between two points of a curve
    eval_sequences: int = 256
    checkpoint_every: int = 5_000
    methods: tuple[str, ...] = METHODS
    seeds: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        for problem in _problems(self):
            raise CFTError(problem)

    @property
    def matches_paper(self) -> bool:
        """Whether the published curves may be laid over this run's."""
        sizes = ("dims", "points", "layers", "width", "heads")
        return all(getattr(self, name) == _DEFAULTS[name] for name in sizes)

    def changed(self, assignments: Iterable[str]) -> Settings:
        """These settings with `NAME=VALUE` texts applied (lists: values joined by commas).

        Raises:
            CFTError: unknown name, a value of another type, or an impossible combination.
        """
        values: dict[str, Any] = {}
        for text in assignments:
            name, equals, value = text.partition("=")
            if not equals or name not in _DEFAULTS:
                raise CFTError(
                    f"--set {text}: write NAME=VALUE with NAME one of {', '.join(_DEFAULTS)}"
                )
            try:
                values[name] = _parse(name, value)
            except ValueError as exc:
                kind = type(_DEFAULTS[name]).__name__
                raise CFTError(f"--set {text}: {name} takes a value of type {kind}") from exc
        return dataclasses.replace(self, **values)


_DEFAULTS: dict[str, Any] = {field.name: field.default for field in dataclasses.fields(Settings)}


def _parse(name: str, value: str) -> Any:
    default = _DEFAULTS[name]
    if isinstance(default, bool):
        if value not in ("true", "false"):
            raise ValueError
        return value == "true"
    if isinstance(default, tuple):
        return tuple(type(default[0])(part.strip()) for part in value.split(","))
    return type(default)(value)


def _problems(s: Settings) -> Iterable[str]:
    """Yield one sentence for each thing that cannot be built or trained."""
    for name, default in _DEFAULTS.items():
        least = 0 if name == "warmup_steps" else 1
        if type(default) is int and getattr(s, name) < least:
            yield f"{name} is {getattr(s, name)}: it must be at least {least}"
    if s.width % s.heads:
        yield f"width {s.width} is not divisible by heads {s.heads}; change one of them"
    if 4 * s.points > s.positions:
        yield (
            f"{s.points} points make sequences of {4 * s.points} tokens, beyond the {s.positions} "
            f"rows of the position table; set positions to at least {4 * s.points}"
        )
    if s.curriculum_start > s.points:
        yield f"curriculum_start {s.curriculum_start} exceeds the {s.points} points; lower it"
    if s.checkpoint_every % s.eval_every:
        yield f"checkpoint_every must be a multiple of eval_every {s.eval_every}"
    if s.pretrain_halves not in ("first", "both"):
        yield f"pretrain_halves is {s.pretrain_halves!r}: it must be 'first' or 'both'"
    rates = (s.pretrain_learning_rate, s.finetune_learning_rate)
    if not all(0 < rate < math.inf for rate in rates) or not 0 <= s.clip_norm < math.inf:
        yield "learning rates must be above 0 and clip_norm at least 0, and all finite"
    if unknown := set(s.methods) - {*METHODS, *CONTROLS}:
        yield f"unknown method {sorted(unknown)[0]!r}; choose from {', '.join(METHODS + CONTROLS)}"
    for name in ("methods", "seeds"):
        if not getattr(s, name) or len(set(getattr(s, name))) < len(getattr(s, name)):
            yield f"{name} must name at least one, and none twice"


PRESETS: dict[str, Settings] = {
    # Small enough for a CPU, large enough for in-context regression to emerge.
    "quick": Settings(
        dims=2,
        points=5,
        layers=3,
        width=64,
        heads=4,
        positions=20,
        pretrain_steps=4_000,
        pretrain_learning_rate=1e-3,
        pretrain_halves="both",
        curriculum_start=3,
        curriculum_add=1,
        curriculum_every=250,
        finetune_steps=1_500,
        finetune_learning_rate=2e-3,
        warmup_steps=100,
        cosine=True,
        clip_norm=1.0,
        eval_every=50,
        eval_sequences=512,
        checkpoint_every=250,
        methods=METHODS + CONTROLS,
        seeds=(0, 1, 2),
    ),
    "paper": Settings(),
}
