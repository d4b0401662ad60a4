"""What the host and the plugins in use know of a config."""

import importlib
from typing import Any

from axolotl.integrations.base import PluginManager
from axolotl.utils.schemas.config import AxolotlInputConfig
from axolotl.utils.schemas.datasets import SFTDataset
from pydantic import BaseModel

from axolotl_cft.core.options import CFTArgs


def top_keys() -> set[str]:
    """Keys at the top of a config: the host's, ours and those of the plugins that are loaded."""
    models = [
        AxolotlInputConfig,
        CFTArgs,
        *map(_imported, PluginManager.get_instance().get_input_args()),
    ]
    return set().union(*map(_field_names, models))


def dataset_keys() -> set[str]:
    """Keys of an element of `datasets` that has a prompt strategy."""
    return _field_names(SFTDataset)


def _field_names(model: type[BaseModel]) -> set[str]:
    """Names of a model's fields, and their aliases."""
    fields = model.model_fields
    return set(fields) | {field.alias for field in fields.values() if field.alias}


def _imported(dotted: str) -> Any:
    module, _, attribute = dotted.rpartition(".")
    return getattr(importlib.import_module(module), attribute)
