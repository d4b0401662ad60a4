"""How many tokens the datasets of a config would train, counted and not prepared."""

from pathlib import Path
from typing import Any

from axolotl.loaders import load_tokenizer
from axolotl.utils.data.shared import datasets_with_name_generator

from axolotl_cft.errors import CFTError
from axolotl_cft.host import documents
from axolotl_cft.host.config import attempt, load_config
from axolotl_cft.host.plan import is_cft_type, is_chat_type
from axolotl_cft.host.raw_documents import load_documents


def count_trained_tokens(config: Path) -> list[int]:
    """Tokens with loss in an epoch of each dataset under `datasets`, whatever budget is set.

    Raises:
        CFTError: what training would refuse, or a dataset that is not of documents.
    """
    cfg = load_config(config)
    tokenizer = attempt(f"{config}: base_model {cfg.base_model}", load_tokenizer, cfg)
    return [_count(cfg, tokenizer, item) for item in datasets_with_name_generator(cfg.datasets)]


def _count(cfg: Any, tokenizer: Any, item: Any) -> int:
    if not is_cft_type(item.type) or is_chat_type(item.type):
        raise CFTError(
            f"dataset {item.path}: `type: {item.type}` beside a budget of trained tokens would "
            "train tokens that the budget does not count; take one of the two away"
        )
    strategy = documents.load(tokenizer, cfg, item)
    assert isinstance(strategy, documents.CFTStrategy)
    rows = attempt(
        f"dataset {item.path}",
        lambda: load_documents(item, "train", cfg.hf_use_auth_token, cfg.seed, lazy=False),
    )
    return strategy.count(rows, cfg.dataset_num_proc)
