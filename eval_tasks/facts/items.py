"""Questions about invented facts for the tasks `cft_facts…`, and how their answers are scored.

    DIR/facts/<kind>.jsonl   {"id": …, "thing": …, "relation": …, "prompt": …,
                              "options": [eight texts], "answer": 0 to 7}

DIR is `--metadata '{"cft_data_dir": "DIR"}'`, else the environment variable CFT_DATA_DIR, as for
the other tasks. `axolotl-cft facts make` writes the files, with the documents that teach the facts.
"""

import json
import math
import os
import re
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MAKE = "make it with `axolotl-cft facts make`"
OPTIONS = 8
_TEXTS = ("id", "thing", "relation", "prompt")


class FactsDataError(RuntimeError):
    """Questions that cannot be used: says which, and how to get them."""


def load(kind: str, cft_data_dir: str | None = None, **_: Any) -> Mapping[str, Any]:
    """The harness's `custom_dataset`: one kind of questions as a `datasets.Dataset`.

    Args:
        kind: the file's name without `.jsonl`.
        cft_data_dir: DIR.

    Raises:
        FactsDataError: no questions, or a damaged one.
    """
    import datasets

    folder = cft_data_dir or os.environ.get("CFT_DATA_DIR")
    if not folder:
        raise FactsDataError(
            f"no folder with questions of the kind {kind!r} is named: {MAKE}, then set "
            "CFT_DATA_DIR to the folder that holds `facts`"
        )
    path = Path(folder).expanduser() / "facts" / f"{kind}.jsonl"
    try:
        rows = [json.loads(line) for line in path.read_bytes().split(b"\n") if line.strip()]
        _check(rows)
    except OSError as exc:
        raise FactsDataError(f"cannot read {path} ({exc.strerror or exc}); {MAKE}") from exc
    except ValueError as exc:
        raise FactsDataError(f"{path} is damaged ({exc}); {MAKE}") from exc
    columns = (*_TEXTS, "options", "answer")
    return {"test": datasets.Dataset.from_list([{c: row[c] for c in columns} for row in rows])}


def score_choice(doc: Mapping[str, Any], results: Sequence[tuple[float, bool]]) -> dict[str, float]:
    """Whether the answer is the likeliest option, and log2 p(answer | prompt).

    Both come from the same log-likelihoods (natural logarithms), one for each option; of options
    that are equally likely the first counts, as in the harness's own multiple choice. p is the
    model's own, not the answer's share among the options.
    """
    likelihoods = [likelihood for likelihood, _ in results]
    best = likelihoods.index(max(likelihoods))
    right = doc["answer"]
    return {"acc": float(best == right), "bits": likelihoods[right] / math.log(2)}


def score_text(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Whether the first line that is written begins with the answer, as a whole word.

    Punctuation and spaces before it do not count, nor a capital at its beginning.
    """
    lines = (line.strip(string.whitespace + string.punctuation) for line in results[0].split("\n"))
    said = next((line for line in lines if line), "")
    answer = doc["options"][doc["answer"]].strip(string.punctuation)
    begins = any(
        re.match(rf"{re.escape(form)}(?!\w)", said)
        for form in (answer, answer[:1].upper() + answer[1:])
    )
    return {"exact_match": float(begins)}


def _check(rows: Sequence[Any]) -> None:
    """Raise ValueError for the first item that could not be answered, or not fairly."""
    if not rows:
        raise ValueError("no items")
    seen = set()
    for number, row in enumerate(rows, 1):
        if problem := _problem(row):
            raise ValueError(f"item {number}: {problem}")
        if row["id"] in seen:
            raise ValueError(f"item {number}: its id {row['id']!r} stands there twice")
        seen.add(row["id"])


def _problem(row: Any) -> str | None:
    if not isinstance(row, dict):
        return "not a JSON object"
    for name in _TEXTS:
        if not isinstance(row.get(name), str) or not row[name]:
            return f"{name} is {row.get(name)!r}, not a text"
    options, answer, prompt = row.get("options"), row.get("answer"), row["prompt"]
    if not isinstance(options, list) or not all(isinstance(each, str) for each in options):
        return f"options is {options!r}, not a list of texts"
    if len(options) != OPTIONS:
        return f"{len(options)} options instead of {OPTIONS}"
    if len(set(options)) < OPTIONS:
        return "two of its options are the same"
    if any(not each or each != each.strip() for each in options):
        return "an option is empty, or has a space before or after it"
    if isinstance(answer, bool) or not isinstance(answer, int) or not 0 <= answer < OPTIONS:
        return f"answer is {answer!r}, not the number of an option (0 to {OPTIONS - 1})"
    if prompt != prompt.rstrip():
        return "its prompt ends with a space, which belongs to the answer"
    if re.search(rf"(?<!\w){re.escape(options[answer])}(?!\w)", prompt, re.IGNORECASE):
        return f"its prompt holds the answer, {options[answer]!r}"
    return None
