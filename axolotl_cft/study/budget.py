"""A study's budget: how many tokens each arm trains, of however many it has.

`same` is what the smallest arm has, so every arm's documents are counted first. What was counted is
kept in the study's folder: the jobs of a cluster read it there, and data or a tokenizer that change
are counted anew.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from filelock import FileLock
from pydantic import BaseModel, ConfigDict, Field

from axolotl_cft.errors import CFTError
from axolotl_cft.records import BUDGET_FILE, BudgetRecord, CountedArm

Count = Callable[[Path], list[int]]
"""A config's trained tokens, dataset by dataset (`host.counting.count_trained_tokens`)."""


class Budget(BaseModel):
    """How many tokens every arm trains in an epoch of the first stage."""

    model_config = ConfigDict(extra="forbid")

    trained_tokens: int | Literal["same"] = Field(
        description="Tokens with loss, or `same` for as many as the arm that has fewest."
    )


def share_out(
    budget: Budget,
    configs: Mapping[str, Mapping[str, Any]],
    stamps: Mapping[str, Sequence[str]],
    root: Path,
    count: Count,
) -> dict[str, dict[str, int]]:
    """What each arm's config has to say for all of them to train as many tokens.

    Args:
        budget: the study's.
        configs: arm -> config of its first stage.
        stamps: arm -> identities of its datasets' content and options.
        root: the study's folder.
        count: counts a config's tokens.

    Returns:
        Arm -> overrides, one for each dataset: by its size, or by what the arm's own
        `trained_tokens` say of it.

    Raises:
        CFTError: a config cannot be counted, or the budget is none.
    """
    amount = budget.trained_tokens
    alone = [arm for arm, config in configs.items() if len(config.get("datasets") or []) == 1]
    if isinstance(amount, int) and amount < 1:
        raise CFTError(f"budget.trained_tokens: expected a number of tokens, got {amount}")
    if isinstance(amount, int) and len(alone) == len(configs):
        return {arm: {_option(0): amount} for arm in configs}
    counted = _counted(configs, stamps, root, count)
    least = min(sum(tokens) for tokens in counted.values())
    shared = least if amount == "same" else amount
    return {arm: _parts(shared, _shares(configs[arm]) or counted[arm]) for arm in configs}


def _option(index: int) -> str:
    return f"datasets.{index}.cft.trained_tokens"


def _shares(config: Mapping[str, Any]) -> list[int] | None:
    """The tokens that a config itself gives its datasets, if it gives them to all: their shares."""
    given = [(dataset.get("cft") or {}).get("trained_tokens") for dataset in config["datasets"]]
    own = [tokens for tokens in given if isinstance(tokens, int) and tokens > 0]
    return own if len(own) == len(given) else None


def _parts(amount: int, shares: Sequence[int]) -> dict[str, int]:
    """The amount by the datasets' shares; of the rounding, the last bears what is left."""
    edges = [amount * sum(shares[:index]) // sum(shares) for index in range(len(shares) + 1)]
    return {_option(i): edges[i + 1] - edges[i] for i in range(len(shares))}


def _counted(
    configs: Mapping[str, Mapping[str, Any]],
    stamps: Mapping[str, Sequence[str]],
    root: Path,
    count: Count,
) -> dict[str, list[int]]:
    """Arm -> trained tokens of each dataset; from the study's folder where nothing changed."""
    keys = {arm: _key(config, stamps[arm]) for arm, config in configs.items()}
    file = root / BUDGET_FILE
    known = _known(file)
    if keys.items() <= known.keys():
        return {arm: known[arm, key] for arm, key in keys.items()}
    if not root.is_dir():  # of a dry run, which leaves nothing behind
        return {arm: _count(arm, config, count) for arm, config in configs.items()}
    with FileLock(root / f".{BUDGET_FILE}.lock"):
        known = _known(file)
        for arm, key in keys.items():
            if (arm, key) not in known:
                known[arm, key] = _count(arm, configs[arm], count)
        arms = {arm: CountedArm(key=key, tokens=known[arm, key]) for arm, key in keys.items()}
        BudgetRecord(arms=arms).write(file)
    return {arm: known[arm, key] for arm, key in keys.items()}


def _known(file: Path) -> dict[tuple[str, str], list[int]]:
    arms = BudgetRecord.read(file).arms if file.is_file() else {}
    return {(arm, counted.key): counted.tokens for arm, counted in arms.items()}


def _key(config: Mapping[str, Any], stamps: Sequence[str]) -> str:
    """32 hex digits of what decides how many tokens a config trains, and a bit more."""
    idle = ("output_dir", "dataset_prepared_path")
    deciding = {key: value for key, value in config.items() if key not in idle}
    data = json.dumps([deciding, list(stamps)], sort_keys=True, default=str).encode()
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _count(arm: str, config: Mapping[str, Any], count: Count) -> list[int]:
    """The tokens of a derived config, which stands in a file while they are counted."""
    with tempfile.TemporaryDirectory(prefix="cft-count-") as folder:
        file = Path(folder) / "config.yml"
        plain = {**config, "dataset_prepared_path": str(Path(folder) / "prepared")}
        file.write_text(yaml.safe_dump(plain, allow_unicode=True), encoding="utf-8")
        try:
            return count(file)
        except CFTError as exc:
            raise CFTError(f"arm {arm}: {str(exc).replace(str(file), 'its config')}") from exc
