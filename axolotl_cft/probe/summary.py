"""From nats to changes with intervals, as plain data (`probe.json`) and as tables."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import numpy as np

from axolotl_cft.probe.contrasts import (
    CLAIMS,
    Finding,
    MeasuredArm,
    difference,
    mean_finding,
    order_difference,
    prompt_findings,
)
from axolotl_cft.probe.rows import SHUFFLED, Arm, Rows
from axolotl_cft.probe.statistics import Floats

PROMPT_CAPTION = (
    "A prompt's interval holds for this very prompt on other documents; that of a mean for other "
    "prompts like these too. Rank: the prompt's place among itself and its shuffles, 1 being the "
    "most helpful; by chance any place is as likely."
)
CONTRAST_CAPTION = (
    "Each interval speaks of what the last column names, on other documents of this corpus."
)
TEXT_COLUMNS = ("Prompt", "Difference of means", "Holds for")
"""Set from the left; the others hold numbers."""


def summarise(rows: Rows, arms: Sequence[Arm], nll: Floats) -> dict[str, Any]:
    """The measured part of `probe.json` (docs/probe.md describes it).

    Args:
        rows: what was scored.
        arms: as the rows were made from.
        nll: nats, shape (contexts, documents).
    """
    tokens = np.array([text.size for text in rows.texts])
    bare = float(nll[0].sum() / tokens.sum())

    def measured(finding: Finding) -> dict[str, Any]:
        found = finding.estimate
        return {**asdict(found), "percent": 100 * found.change / bare, "claim": finding.claim}

    ends = np.cumsum([1, *(len(arm.pool.prompts) for arm in arms)])
    pools, of_arms = [], []
    for arm, (begin, end) in zip(arms, pairwise(ends), strict=True):
        of_arms.append(MeasuredArm(arm, nll[begin:end] - nll[0], tokens))
        findings = prompt_findings(of_arms[-1])
        prompts = [
            {"id": p.id, "strategy": p.strategy, "text": p.text, "weight": p.weight}
            | {"context_tokens": float(np.mean([ids.size for ids in context]))}
            | measured(finding)
            | {"nll": _rounded(nats)}
            for p, context, finding, nats in zip(
                arm.pool.prompts, rows.contexts[begin:end], findings, nll[begin:end], strict=True
            )
        ]
        about = {"name": arm.name, "role": arm.role, "fingerprint": arm.pool.fingerprint}
        pools.append({**about, **measured(mean_finding(of_arms[-1])), "prompts": prompts})
    contrasts = [
        {"pool": one.arm.name, "against": other.arm.name, **measured(finding)}
        for one, other, finding in _contrasts(of_arms)
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


def _contrasts(
    arms: Sequence[MeasuredArm],
) -> Iterator[tuple[MeasuredArm, MeasuredArm, Finding]]:
    """Each pool against its own shuffled prompts, the later pools and the fixed prefix."""
    for index, one in enumerate(arms):
        for other in arms[index + 1 :] if one.arm.role == "pool" else ():
            if other.arm.role != "shuffled":
                yield one, other, difference(one, other)
            elif other.arm.pool.name == one.arm.pool.name:
                finding = order_difference(one, other)
                if finding is not None:
                    yield one, other, finding


def _rounded(nats: Floats) -> list[float]:
    return [round(float(value), 4) for value in nats]


def prompt_table(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: every pool's mean, and below it its prompts, the most helpful first."""
    header = ["Prompt", "Change ± 95 %", "%", "Shuffled", "Rank", "Tokens"]
    rows = []
    for pool, shuffled in with_shuffled(result):
        orders = orders_by_id(shuffled)
        prompts = sorted(pool["prompts"], key=lambda prompt: prompt["change"])
        if len(prompts) > 1:
            mean = f"{shuffled['change']:+.4f}" if shuffled else ""
            rows.append([f"{pool['name']}, mean", *_cells(pool), mean, "", ""])
        for prompt in prompts:
            name = prompt["id"] if len(prompts) > 1 else f"{pool['name']}, {prompt['id']}"
            tokens = f"{prompt['context_tokens']:.0f}"
            among = _among(prompt["change"], orders.get(prompt["id"], []))
            rows.append([name, *_cells(prompt), *among, tokens])
    return header, rows


def contrast_table(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: pools against each other."""
    rows = [
        [f"{c['pool']} - {c['against']}", *_cells(c), CLAIMS[c["claim"]]]
        for c in result["contrasts"]
    ]
    return ["Difference of means", "Change ± 95 %", "%", "Holds for"], rows


def notes(result: Mapping[str, Any]) -> list[str]:
    """Sentences on prompts with fewer shuffles than were asked for."""
    said = []
    compared = {(c["pool"], c["against"]) for c in result["contrasts"]}
    for pool, shuffled in with_shuffled(result):
        if pool["role"] == "fixed":
            continue
        orders = orders_by_id(shuffled)
        counts = {prompt["id"]: len(orders.get(prompt["id"], ())) for prompt in pool["prompts"]}
        few = [f"{id_} ({n or 'none'})" for id_, n in counts.items() if n < result["shuffles"]]
        if few:
            said.append(
                f"{pool['name']}: the words that may move (not the first, the last or one that "
                f"another prompt has too) have fewer than {result['shuffles']} other orders in "
                f"{', '.join(few)}."
            )
        if (pool["name"], pool["name"] + SHUFFLED) not in compared:
            said.append(
                f"{pool['name']}: there is no comparison with shuffled words; it takes two prompts "
                "with other orders, or one with two."
            )
        elif not all(counts.values()):
            said.append(
                f"{pool['name']}: the comparison with shuffled words leaves out those with none."
            )
    return said


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


def orders_by_id(shuffled: Mapping[str, Any] | None) -> dict[str, list[float]]:
    """The changes of each prompt's shuffles, by the prompt's id."""
    changes: dict[str, list[float]] = {}
    for prompt in shuffled["prompts"] if shuffled else ():
        changes.setdefault(prompt["id"], []).append(prompt["change"])
    return changes


def _cells(measured: Mapping[str, Any]) -> list[str]:
    half = measured["high"] - measured["change"]  # the interval is symmetric
    return [f"{measured['change']:+.4f} ± {half:.4f}", f"{measured['percent']:+.2f}"]


def _among(change: float, orders: Sequence[float]) -> list[str]:
    """The mean of a prompt's shuffles, and its place among them, the most helpful first."""
    if not orders:
        return ["", ""]
    place = 1 + sum(other < change for other in orders)
    return [f"{np.mean(orders):+.4f}", f"{place} of {1 + len(orders)}"]


def render(result: Mapping[str, Any]) -> str:
    """`probe.md`: both tables with what they say."""
    parts = [
        f"# Probe of {result['model']}",
        "How each prompt changes the negative log-likelihood of the text, in nats per token "
        "(below zero: the prompt makes the text more likely).",
        f"{describe_sample(result)}.",
        "![Change by prompt](probe.png)",
        _markdown(*prompt_table(result)),
        PROMPT_CAPTION,
        "## Do the words matter?",
        "A pool against the same prompts with their words out of order, against other pools, and "
        "against one constant prefix.",
        _markdown(*contrast_table(result)),
        CONTRAST_CAPTION,
        *notes(result),
    ]
    return "\n\n".join(parts) + "\n"


def describe_sample(result: Mapping[str, Any]) -> str:
    """What was scored, and how likely it is without a prompt, in a line."""
    return (
        f"{len(result['documents'])} documents of {result['data']}, {result['tokens']:,} tokens; "
        f"without a prompt {result['nll_per_token']:.4f} nats per token"
    )


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---" if name in TEXT_COLUMNS else "---:" for name in header], *rows]
    return "\n".join("| " + " | ".join(line).replace("\n", " ") + " |" for line in lines)
