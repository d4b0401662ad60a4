"""From nats to changes with intervals, as plain data (`probe.json`) and as tables."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axolotl_cft.evaluation.statistics import DRAWS, Difference
from axolotl_cft.probe.rows import SHUFFLED, Arm, Rows

Floats = NDArray[np.float64]

_BLOCK = 4_000_000  # counts held at once: 32 MB


def resample_changes(
    nll: Floats, tokens: NDArray, seed: int, draws: int = DRAWS
) -> tuple[Floats, Floats]:
    """Changes of the mean NLL per token against the first context, and their paired bootstrap.

    Documents are resampled with replacement, and every context is scored on the same draw, so that
    what makes a document easy or hard cancels. The mean is over tokens: a long document weighs
    more than a short one.

    Args:
        nll: nats, shape (contexts, documents); context 0 is no prompt.
        tokens: scored tokens, shape (documents,).
        seed: of the draws.
        draws: number of resamples.

    Returns:
        The changes in nats per token, shape (contexts - 1,), and the same on every resample,
        shape (draws, contexts - 1).
    """
    change, count = nll[1:] - nll[0], tokens.size
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK // count)
    parts = []
    for begin in range(0, draws, block):
        size = min(block, draws - begin)
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=size).astype(float)
        parts.append(drawn @ change.T / (drawn @ tokens)[:, None])
    return change.sum(axis=1) / tokens.sum(), np.concatenate(parts)


def summarise(rows: Rows, arms: Sequence[Arm], nll: Floats, seed: int) -> dict[str, Any]:
    """The measured part of `probe.json` (docs/probe.md describes it).

    Args:
        rows: what was scored.
        arms: as the rows were made from.
        nll: nats, shape (contexts, documents).
        seed: of the bootstrap.
    """
    tokens = np.array([text.size for text in rows.texts])
    values, draws = resample_changes(nll, tokens, seed)
    bare = float(nll[0].sum() / tokens.sum())

    def measure(weights: Floats) -> dict[str, float]:
        difference = Difference(float(values @ weights), draws @ weights, tokens.size)
        low, high = difference.interval()
        percent = 100 * difference.value / bare
        return {"change": difference.value, "low": low, "high": high, "percent": percent}

    means = _means(arms)
    units = iter(np.eye(len(values)))
    contexts, scored = iter(rows.contexts[1:]), iter(nll[1:])
    pools = []
    for arm, mean in zip(arms, means, strict=True):
        about = {"name": arm.name, "role": arm.role, "fingerprint": arm.pool.fingerprint}
        prompts = [
            {"id": p.id, "strategy": p.strategy, "text": p.text, "weight": p.weight}
            | {"context_tokens": float(np.mean([ids.size for ids in next(contexts)]))}
            | measure(next(units))
            | {"nll": _rounded(next(scored))}
            for p in arm.pool.prompts
        ]
        pools.append({**about, **measure(mean), "prompts": prompts})
    contrasts = [
        {"pool": arms[i].name, "against": arms[j].name, **measure(means[i] - means[j])}
        for i, j in _contrasts(arms)
    ]
    documents = [
        {"key": document.key.hex(), "tokens": text.size, "nll": nats}
        for document, text, nats in zip(rows.documents, rows.texts, _rounded(nll[0]), strict=True)
    ]
    return {
        "tokens": int(tokens.sum()),
        "nll_per_token": bare,
        "pools": pools,
        "contrasts": contrasts,
        "documents": documents,
    }


def _means(arms: Sequence[Arm]) -> list[Floats]:
    """For each arm, the share of every prompt (of all arms) in its mean: the sampling weights."""
    owner = np.repeat(np.arange(len(arms)), [len(arm.pool.prompts) for arm in arms])
    weights = np.array([prompt.weight for arm in arms for prompt in arm.pool.prompts])
    masked = [np.where(owner == index, weights, 0.0) for index in range(len(arms))]
    return [shares / shares.sum() for shares in masked]


def _contrasts(arms: Sequence[Arm]) -> list[tuple[int, int]]:
    """Each pool against its own shuffled prompts, the later pools and the fixed prefix."""
    return [
        (i, j)
        for i, arm in enumerate(arms)
        for j, other in enumerate(arms)
        if arm.role == "pool" and i < j
        if other.role != "shuffled" or other.pool.name == arm.pool.name
    ]


def _rounded(nats: Floats) -> list[float]:
    return [round(float(value), 4) for value in nats]


def prompt_table(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: every pool's mean, and below it its prompts, the most helpful first."""
    header = ["Prompt", "Change ± 95 %", "%", "Shuffled", "Tokens"]
    rows = []
    for pool, shuffled in with_shuffled(result):
        by_id = {prompt["id"]: prompt for prompt in shuffled["prompts"]} if shuffled else {}
        prompts = sorted(pool["prompts"], key=lambda prompt: prompt["change"])
        if len(prompts) > 1:
            rows.append([f"{pool['name']}, mean", *_cells(pool), _change(shuffled), ""])
        for prompt in prompts:
            name = prompt["id"] if len(prompts) > 1 else f"{pool['name']}, {prompt['id']}"
            tokens = f"{prompt['context_tokens']:.0f}"
            rows.append([name, *_cells(prompt), _change(by_id.get(prompt["id"])), tokens])
    return header, rows


def contrast_table(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: pools against each other."""
    rows = [[f"{c['pool']} - {c['against']}", *_cells(c)] for c in result["contrasts"]]
    return ["Difference of means", "Change ± 95 %", "%"], rows


def with_shuffled(
    result: Mapping[str, Any],
) -> list[tuple[Mapping[str, Any], Mapping[str, Any] | None]]:
    """The pools that were asked for and `fixed`, each with its shuffled control if it has one."""
    by_name = {pool["name"]: pool for pool in result["pools"]}
    return [
        (pool, by_name.get(pool["name"] + SHUFFLED))
        for pool in result["pools"]
        if pool["role"] != "shuffled"
    ]


def _cells(measured: Mapping[str, Any]) -> list[str]:
    half = measured["high"] - measured["change"]  # the interval is symmetric
    return [f"{_change(measured)} ± {half:.4f}", f"{measured['percent']:+.2f}"]


def _change(measured: Mapping[str, Any] | None) -> str:
    return f"{measured['change']:+.4f}" if measured else ""


def render(result: Mapping[str, Any]) -> str:
    """`probe.md`: both tables with what they say."""
    parts = [
        f"# Probe of {result['model']}",
        "How each prompt changes the negative log-likelihood of the text, in nats per token "
        "(below zero: the prompt makes the text more likely).",
        f"{describe_sample(result)}.",
        "![Change by prompt](probe.png)",
        _markdown(*prompt_table(result)),
        "## Do the words matter?",
        "A pool against the same prompts with their words out of order, against other pools, and "
        "against one constant prefix.",
        _markdown(*contrast_table(result)),
    ]
    return "\n\n".join(parts) + "\n"


def describe_sample(result: Mapping[str, Any]) -> str:
    """What was scored, and how likely it is without a prompt, in a line."""
    return (
        f"{len(result['documents'])} documents of {result['data']}, {result['tokens']:,} tokens; "
        f"without a prompt {result['nll_per_token']:.4f} nats per token"
    )


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line).replace("\n", " ") + " |" for line in lines)
