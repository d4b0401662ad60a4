"""A config as the host has it, for commands of ours that are not the host's."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from axolotl.cli.config import plugin_set_cfg, prepare_plugins
from axolotl.utils.config import normalize_cfg_datasets, normalize_config, validate_config
from axolotl.utils.dict import DictDefault
from pydantic import ValidationError

from axolotl_cft.errors import CFTError
from axolotl_cft.files import read_yaml
from axolotl_cft.files.recipes import refuse_uncopied
from axolotl_cft.host.overrides import Overrides, override, refuse_unknown


def load_config(path: Path, overrides: Overrides | None = None) -> Any:
    """The config as the host sees it after validation; its own `load_cfg` would open a log file.

    Args:
        path: an Axolotl YAML.
        overrides: what the command line says of its keys (`overrides.read_words`).

    Raises:
        CFTError: it cannot be read, or is not valid; or what the plugin refuses.
    """
    refuse_uncopied(path)
    raw = DictDefault(read_yaml(path))
    override(raw, overrides or {})
    cfg = validated(raw, str(path))
    refuse_unknown(overrides or {})
    return cfg


def validated(raw: Mapping[str, Any], where: str) -> Any:
    """`load_config` of what stood in a file.

    Args:
        raw: the config.
        where: what to call it in messages.

    Raises:
        CFTError: it is not valid; or what the plugin refuses.
    """
    cfg = DictDefault(raw)
    prepare_plugins(cfg)
    cfg = attempt(where, validate_config, cfg)
    attempt(f"{where}: base_model {cfg.base_model}", normalize_config, cfg)
    normalize_cfg_datasets(cfg)
    plugin_set_cfg(cfg)
    return cfg


def attempt(what: str, step: Callable[..., Any], *arguments: Any) -> Any:
    """The result of one of the host's functions, its complaint as one sentence.

    Raises:
        CFTError: `what` cannot be used, and why.
    """
    try:
        return step(*arguments)
    except (OSError, ValueError) as exc:
        reason = str(exc).strip().splitlines()[0]
        if isinstance(exc, ValidationError):
            error = exc.errors()[0]
            reason = f"{'.'.join(map(str, error['loc']))}: {error['msg']}"
        raise CFTError(f"{what} cannot be used: {reason}") from exc
