"""lm-eval's options: what a study may say of them, the words of a command, and what decides scores.

A digest of the words is an evaluation's identity: in another order they would be another one.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class LmEval(BaseModel):
    """Options of the harness, named as on its command line; None leaves its default."""

    model_config = ConfigDict(extra="forbid")

    model: str = "hf"
    model_args: dict[str, Any] = Field(default_factory=dict, description="Beside `pretrained`.")
    num_fewshot: int | None = None
    apply_chat_template: bool | str = False
    fewshot_as_multiturn: bool = False
    system_instruction: str | None = None
    limit: int | float | None = None
    batch_size: int | str | None = None
    max_batch_size: int | None = None
    device: str | None = None
    gen_kwargs: dict[str, Any] = Field(default_factory=dict)
    include_path: str | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    seed: int | str | None = None
    trust_remote_code: bool = False
    confirm_run_unsafe_code: bool = False


_NOT_FOR_TEXT: dict[str, Any] = {
    **{"num_fewshot": None, "apply_chat_template": False, "fewshot_as_multiturn": False},
    **{"system_instruction": None, "gen_kwargs": {}, "include_path": None, "metadata": {}},
    **{"batch_size": None, "max_batch_size": None},
}
"""Options that have no meaning for bare text, or another value."""

_IDLE = {
    *("model_args", "batch_size", "max_batch_size", "device", "include_path"),
    *("trust_remote_code", "confirm_run_unsafe_code"),
}
"""Options that say where and how fast a model is evaluated, or are looked at on their own."""


def for_text(options: LmEval) -> LmEval:
    """Those of the options that also hold for bare text."""
    return options.model_copy(update=_NOT_FOR_TEXT)


def deciding_options(options: LmEval) -> dict[str, Any]:
    """The options that decide results, `model_args` aside."""
    return options.model_dump(exclude=_IDLE, exclude_defaults=True)


def harness_words(
    options: LmEval, model_args: Mapping[str, Any], tasks: Sequence[str], output: Path, *ours: str
) -> list[str]:
    """All that stands after the program in a command that evaluates a model.

    Args:
        options: of the evaluation; their `model_args` are not looked at.
        model_args: which model, and how it is used.
        tasks: what is evaluated.
        output: folder of the results.
        ours: further words, before those of the options.
    """
    return [
        *("--model", options.model),
        *("--model_args", _pairs(model_args)),
        *("--tasks", ",".join(tasks)),
        *("--output_path", str(output)),
        "--log_samples",
        *ours,
        *option_words(options),
    ]


def asking_for(command: Sequence[str], tasks: Sequence[str]) -> tuple[str, ...]:
    """A command that evaluates a model, on these tasks instead of its own."""
    words = [*command]
    words[words.index("--tasks") + 1] = ",".join(tasks)
    return tuple(words)


def option_words(options: LmEval) -> Iterator[str]:
    """The options as lm-eval's command line wants them, `model` and `model_args` aside."""
    given = options.model_dump(exclude={"model", "model_args"}, exclude_defaults=True)
    for name, value in given.items():
        yield f"--{name}"
        if name == "metadata":
            yield json.dumps(value)
        elif isinstance(value, dict):
            yield _pairs(value)
        elif value is not True:
            yield str(value)


def _pairs(values: Mapping[str, Any]) -> str:
    return ",".join(f"{key}={value}" for key, value in values.items())
