"""The arm that the environment asks for: `AXOLOTL_CFT_PROMPTS=none axolotl train cft.yml`.

The one way to switch arms that every launcher passes on: `axolotl train` takes no options of ours.
"""

from collections.abc import Mapping, MutableMapping
from typing import Any

from axolotl.utils.logging import get_logger

from axolotl_cft.core.options import PROMPTS_VARIABLE
from axolotl_cft.errors import CFTError
from axolotl_cft.files.bounded_yaml import parse_yaml
from axolotl_cft.host.plan import cft_datasets

LOG = get_logger(__name__)


def override_prompts(cfg: MutableMapping[str, Any], environment: Mapping[str, str]) -> None:
    """Let the variable decide `cft.prompts` of a raw config.

    It becomes part of the config, hence of the plans and stamps. What a dataset says for itself
    still wins.

    Raises:
        CFTError: the variable is there and empty, as an unset `$ARM` in a script leaves it.
    """
    text = environment.get(PROMPTS_VARIABLE)
    if text is None:
        return
    if not text.strip():
        raise CFTError(
            f"{PROMPTS_VARIABLE} is set but empty; name the prompts (none, paper, a pool file, …), "
            "or unset it"
        )
    if not any(cft_datasets(cfg)):
        LOG.warning(f"cft: {PROMPTS_VARIABLE}={text} changes nothing: no dataset has `type: cft`")
        return
    block = cfg.get("cft")
    if block is not None and not isinstance(block, Mapping):
        return  # refused by its own name
    before = (block or {}).get("prompts") or "paper, the default"
    cfg["cft"] = {**(block or {}), "prompts": _value(text)}
    LOG.info(f"cft: {PROMPTS_VARIABLE} sets cft.prompts: {text} (the config says {before})")
    for place, part, dataset in cft_datasets(cfg):
        own = dataset.get("cft")
        if part == "train" and isinstance(own, Mapping) and "prompts" in own:
            LOG.warning(
                f"cft: {place}.cft.prompts: {own['prompts']} wins over {PROMPTS_VARIABLE}={text}"
            )


def _value(text: str) -> Any:
    """`{column: x}` as a mapping; everything else is a name or a path as it stands."""
    try:
        value = parse_yaml(text, PROMPTS_VARIABLE)
    except CFTError:
        return text
    return value if isinstance(value, dict) else text.strip()
