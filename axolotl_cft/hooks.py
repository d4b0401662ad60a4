"""How packages bring prompts: two pluggy hooks, found by the entry-point group `axolotl_cft`.

Our own pools come the same way. docs/plugins.md shows a whole package.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pluggy

from axolotl_cft.core.pool import PromptFunction, PromptPool

GROUP = "axolotl_cft"
"""Name of the entry-point group and of the pluggy project."""

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)

PoolSource = PromptPool | Mapping[str, Any] | Path | str


@hookspec
def cft_pools() -> Mapping[str, PoolSource]:  # type: ignore[empty-body]
    """Pools by the name that `cft.prompts` uses.

    A pool is given as the path of a pool file, as the same content in plain data, or as a
    `PromptPool`. Files are read when the pool is asked for.
    """


@hookspec
def cft_prompt_functions() -> Mapping[str, PromptFunction]:  # type: ignore[empty-body]
    """Prompt functions by the name that `cft.prompts: {function: NAME}` uses."""
