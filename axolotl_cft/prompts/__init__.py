"""Pools and prompt functions by name: `registry` finds them, `pools/` holds ours.

The names here are for packages that bring prompts (docs/plugins.md).
"""

from axolotl_cft.core.pool import Prompt, PromptFunction, PromptPool, parse_pool, read_pool
from axolotl_cft.prompts.registry import load_pool

__all__ = ["Prompt", "PromptFunction", "PromptPool", "load_pool", "parse_pool", "read_pool"]
