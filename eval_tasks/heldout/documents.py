"""Held-out documents for the task `cft_heldout`, and what is logged of each.

    DIR/heldout/test.jsonl     {"text": …, "key": …, "bytes": …, "words": …, "tokens": …}

DIR is `--metadata '{"cft_data_dir": "DIR"}'`, else the environment variable CFT_DATA_DIR, as for
the other tasks. `axolotl-cft heldout CONFIG.yml --output-dir DIR` writes the file; `tokens` is
there if all documents have it.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
