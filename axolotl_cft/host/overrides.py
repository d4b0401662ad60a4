"""Config keys given on a command line, read as the host's training reads them.

`python -m axolotl.cli.train CONFIG --key value` hands its words to Fire (axolotl/cli/train.py), and
what Fire makes of them to `load_cfg`, which changes the raw config (axolotl/cli/config.py). For
those who only look, `load_cfg` does too much: it asks for this machine's GPU, sets up the run's
loggers and opens a log in `output_dir`.
"""

import io
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import fields
from typing import Any

import fire
from fire.core import FireExit

from axolotl_cft.errors import CFTError

Overrides = Mapping[str, Any]
"""Key, or `block__key`, -> value, as Fire hands them to the host."""


def read_words(words: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """What `python -m axolotl.cli.train` would understand by these words.

    Args:
        words: a config, and `--key value`, `--key=value`, `--flag` or `--noflag` in any order.

    Returns:
        The config's path, and the overrides.

    Raises:
        CFTError: there is no config, or more than one.
    """
    understood: list[tuple[str, dict[str, Any]]] = []

    def take(config: str, **overrides: Any) -> None:
        understood.append((str(config), overrides))

    try:
        with redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):  # Fire's usage
            fire.Fire(take, command=[*words], name="axolotl.cli.train")
    except FireExit as exc:
        raise CFTError(
            f"{' '.join(words)}: expected one config and `--key value` for each key of it to "
            f"override ({exc.trace.elements[-1]})"
        ) from exc
    return understood[0]


def override(cfg: Any, overrides: Overrides) -> None:
    """Change a raw config (a `DictDefault`) as `load_cfg` does: `a__b` is the key `b` of block `a`.

    Values become what the config's own are, or what YAML would make of them. With `strict: true`
    keys that the config lacks are left out.
    """
    from axolotl.cli.config import _coerce_value

    flat = {key: value for key, value in overrides.items() if "__" not in key}
    for key, value in flat.items():
        if key in cfg or not cfg.strict:
            cfg[key] = _coerce_value(value, cfg.get(key))
    for key in overrides.keys() - flat.keys():
        block, _, inner = key.partition("__")
        if block not in cfg and cfg.strict:
            continue
        if not isinstance(cfg[block], dict):
            cfg[block] = {}
        cfg[block][inner] = _coerce_value(overrides[key], cfg[block].get(inner))


def refuse_unknown(overrides: Overrides) -> None:
    """Refuse what the host would drop without a word; its plugins have been registered before.

    Raises:
        CFTError: neither the host nor a plugin in use has such a key.
    """
    from axolotl.cli.args import TrainerCliArgs

    from axolotl_cft.host.schema import top_keys

    known = top_keys() | {field.name for field in fields(TrainerCliArgs)}
    for key in overrides:
        if key.partition("__")[0] not in known:
            raise CFTError(
                f"--{key}: neither this command nor Axolotl has such an option, and training would "
                "drop it; correct or remove it"
            )
