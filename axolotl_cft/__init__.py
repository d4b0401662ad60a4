"""Contextual fine-tuning (CFT) for Axolotl: a prompt before every chunk, the loss on the text only.

What flows where:

    the `cft:` block ─► host/plan ─► Plan (options, pool, stamp)       prompts/registry: pools
                                       │
    documents ─► host/documents ───────┤
      (Arrow)      │                   ▼
                   │    core/choice: a chunk's prompts ◄── core/sampling: (seed, text, chunk, view)
                   ▼                   │
             core/documents ◄──────────┘   tokenizer: text and prompt to ids
                   ▼
             core/encoding    [BOS] c x [EOS], labels on x
                   ▼
                rows (Arrow) + core/ledger: what was read, trained, spent on prompts
                   ▼
    Axolotl ◄── host/plugin: registration, cache identity, refusals, the ledger at the trainer

`host/chat` does the same to conversations, on the host's own targets. `core/` is pure: whoever
wants to know what CFT does to a document reads `core/encoding` and `core/sampling` and nothing
else. `cli/` holds a module for each command; `study/` and `evaluation/` compare arms,
`generation/` and `probe/` are about prompts, `icl/` is the paper's synthetic study (it never
imports Axolotl). The doors `strategy`, `chat` and `hooks` are names that configs and packages use.
Importing this package imports nothing heavy; names resolve on first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from axolotl_cft.core.options import CFTConfig
    from axolotl_cft.core.pool import Prompt, PromptPool
    from axolotl_cft.errors import CFTError
    from axolotl_cft.host.plugin import CFTPlugin
    from axolotl_cft.prompts.registry import load_pool

_HOME = {
    "CFTConfig": "core.options",
    "CFTError": "errors",
    "CFTPlugin": "host.plugin",
    "Prompt": "core.pool",
    "PromptPool": "core.pool",
    "load_pool": "prompts.registry",
}

__all__ = ["CFTConfig", "CFTError", "CFTPlugin", "Prompt", "PromptPool", "load_pool"]


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first asked for (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'axolotl_cft' has no attribute '{name}'")
    return getattr(importlib.import_module(f"axolotl_cft.{_HOME[name]}"), name)
