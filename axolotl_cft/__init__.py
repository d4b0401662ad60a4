"""Contextual fine-tuning (CFT) for Axolotl: a prompt before every chunk, the loss on the text only.

What flows where:

    the `cft:` block ─► config.py ─► Plan (options, pool, stamp)       hooks.py, prompts.py: pools
                                       │
    documents ─► strategy.py ──────────┤
      (Arrow)      │                   ▼
                   │    choice.py: a chunk's prompts ◄── sampling.py: (seed, text, chunk, view)
                   ▼                   │
                encoder.py ◄───────────┘   tokenizer: text and prompt to ids
                   ▼
                encoding.py    [BOS] c x [EOS], labels on x
                   ▼
                rows (Arrow) + ledger.py: what was read, trained, spent on prompts
                   ▼
    Axolotl ◄── plugin.py: registration, cache identity, refusals, the ledger at the trainer

`chat.py` does the same to conversations, on the host's own targets. `encoding`, `sampling`,
`prompts` and `ledger` are pure: whoever wants to know what CFT does to a document reads the first
two and nothing else. `cli/` holds a module for each command; `study/` and `report/` compare arms,
`generation/` and `probe/` are about prompts, `icl/` is the paper's synthetic study (it never
imports Axolotl). Importing this package imports nothing heavy; names resolve on first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from axolotl_cft.config import CFTConfig
    from axolotl_cft.errors import CFTError
    from axolotl_cft.plugin import CFTPlugin
    from axolotl_cft.prompts import Prompt, PromptPool, load_pool

_HOME = {
    "CFTConfig": "config",
    "CFTError": "errors",
    "CFTPlugin": "plugin",
    "Prompt": "prompts",
    "PromptPool": "prompts",
    "load_pool": "prompts",
}

__all__ = ["CFTConfig", "CFTError", "CFTPlugin", "Prompt", "PromptPool", "load_pool"]


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first asked for (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'axolotl_cft' has no attribute '{name}'")
    return getattr(importlib.import_module(f"axolotl_cft.{_HOME[name]}"), name)
