"""Pools and prompt functions by name: `registry` finds them, `pools/` holds ours.

`PromptFunction` and `PromptPool` are here for packages that bring prompts (docs/plugins.md).
"""

from axolotl_cft.core.pool import PromptFunction, PromptPool
from axolotl_cft.prompts.registry import load_pool

__all__ = ["PromptFunction", "PromptPool", "load_pool"]
