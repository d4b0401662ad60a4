"""Held-out documents for `cft_heldout` and `cft_heldout_positions`, and what is logged of each.

    DIR/heldout/test.jsonl     {"text": …, "key": …, "bytes": …, "words": …, "tokens": …, "cuts": …}

DIR is `--metadata '{"cft_data_dir": "DIR"}'`, else the environment variable CFT_DATA_DIR, as for
the other tasks. `axolotl-cft heldout CONFIG.yml --output-dir DIR` writes the file; `tokens` is
there if all documents have it, and so are `cuts`: [tokens, characters] before each place where a
document may be cut.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

EDGES = (128, 512, 2048, 8192, 32768, 131072)
"""Tokens at which another stretch of a document begins; the YAML has a metric for each."""

EXPORT = "`axolotl-cft heldout CONFIG.yml --output-dir DIR`"


class HeldOutDataError(RuntimeError):
    """Held-out documents that cannot be used: says which, and how to get them."""


def load(cft_data_dir: str | None = None, **metadata: Any) -> Mapping[str, Any]:
    """The harness's `custom_dataset`: the test split as a `datasets.Dataset`.

    Args:
        cft_data_dir: DIR.
        metadata: what the harness adds to it, the model's arguments among them.

    Raises:
        HeldOutDataError: no documents, a damaged line, or a model that would count more tokens
            than the text has.
    """
    import datasets

    _check_model_arguments(metadata)
    folder = cft_data_dir or os.environ.get("CFT_DATA_DIR")
    if not folder:
        raise HeldOutDataError(
            f"cft_heldout: no documents are named; export them with {EXPORT}, then set "
            "CFT_DATA_DIR=DIR"
        )
    path = Path(folder).expanduser() / "heldout" / "test.jsonl"
    try:
        rows = [json.loads(line) for line in path.read_bytes().split(b"\n") if line.strip()]
        _check(rows)
    except OSError as exc:
        reason = exc.strerror or exc
        raise HeldOutDataError(f"cannot read {path} ({reason}); export it with {EXPORT}") from exc
    except (ValueError, TypeError, KeyError) as exc:
        raise HeldOutDataError(f"{path} is damaged ({exc}); export it with {EXPORT}") from exc
    return {"test": datasets.Dataset.from_list(rows)}


def sizes(doc: Mapping[str, Any], results: list[float]) -> dict[str, tuple[float, int]]:
    """One document's log-likelihood (natural logarithm) and size, by metric.

    The pairs that the harness itself logs for its tasks of this kind
    (lm_eval/api/task.py::process_results), with sizes from the export.
    """
    (loglikelihood,) = results
    counts = {"bits_per_byte": doc["bytes"], "bits_per_word": doc["words"]}
    if doc.get("tokens"):
        counts["bits_per_token"] = doc["tokens"]
    return {metric: (loglikelihood, count) for metric, count in counts.items()}


def load_positions(cft_data_dir: str | None = None, **metadata: Any) -> Mapping[str, Any]:
    """As `load`, with the stretches of each document whose losses are told apart.

    Of a document that is longer than the model's `max_length`, what stands before its last cut that
    fits is read.

    Raises:
        HeldOutDataError: as `load`; no cuts, or nobody says what the model takes.
    """
    import datasets

    longest = metadata.get("max_length") or metadata.get("max_model_len")
    if "pretrained" in metadata and not longest:
        raise HeldOutDataError(
            "cft_heldout_positions: add `max_length=…` to --model_args, the same for every model; "
            "it says how far a document is read"
        )
    rows = list(load(cft_data_dir, **metadata)["test"])
    if "cuts" not in rows[0]:
        raise HeldOutDataError(
            "cft_heldout_positions: the documents were exported without positions, which takes one "
            f"tokenizer that all models share; export them with {EXPORT}"
        )
    read = [row | found for row in rows if (found := _stretches(row, longest))]
    if not read:
        raise HeldOutDataError(
            f"cft_heldout_positions: every document is longer than max_length={longest} and none "
            f"can be cut before; raise it to {EDGES[0]} or more"
        )
    return {"test": datasets.Dataset.from_list(read)}


def _stretches(row: Mapping[str, Any], longest: Any) -> dict[str, list[int]]:
    """Token at which each stretch begins, and character at which it ends; nothing if none fits."""
    whole = longest is None or row["tokens"] <= int(longest)
    cuts = [cut for cut in row["cuts"] if whole or cut[0] <= int(longest)]
    end = len(row["text"]) if whole else max((at for _, at in cuts), default=0)
    edges = [cut for cut in cuts if cut[0] in EDGES and cut[1] < end]
    if not end:
        return {}
    return {"begins": [0, *(token for token, _ in edges)], "ends": [*(at for _, at in edges), end]}


def beginnings(doc: Mapping[str, Any]) -> list[str]:
    """The document as far as each of its stretches goes.

    The harness takes them for choices, each after nothing but BOS. They share their beginnings, so
    that the differences of their log-likelihoods are those of the stretches.
    """
    return [doc["text"][:end] for end in doc["ends"]]


def losses_by_position(
    doc: Mapping[str, Any], results: list[tuple[float, bool]]
) -> dict[str, tuple[float, int]]:
    """One document's log-likelihood and size in bytes, for each of its stretches."""
    found, before, begin = {}, 0.0, 0
    for token, end, (loglikelihood, _) in zip(doc["begins"], doc["ends"], results, strict=True):
        size = len(doc["text"][begin:end].encode())
        found[f"bits_per_byte@{token}"] = (loglikelihood - before, size)
        before, begin = loglikelihood, end
    return found


def _check_model_arguments(metadata: Mapping[str, Any]) -> None:
    """Refuse a second BOS, which some tokenizers would set and the harness would predict.

    The harness puts BOS (else EOS) before the first token itself, and asks the tokenizer for its
    special tokens besides (lm_eval/models/huggingface.py::loglikelihood_rolling, tok_encode).
    """
    if "pretrained" in metadata and metadata.get("add_bos_token") is not False:
        raise HeldOutDataError(
            "cft_heldout: add `add_bos_token=False` to --model_args; without it a tokenizer that "
            "sets BOS sets a second one, whose own log-likelihood would count as the document's"
        )


def _check(rows: list[Any]) -> None:
    if not rows:
        raise ValueError("no documents")
    with_tokens = ["tokens" in row for row in rows]
    if any(with_tokens) != all(with_tokens):
        raise ValueError("`tokens` is there for some documents only")
    for number, row in enumerate(rows, 1):
        if row["bytes"] != len(row["text"].encode()) or not row["text"] or row["words"] < 1:
            raise ValueError(f"document {number}: its sizes are not those of its text")
