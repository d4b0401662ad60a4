"""A dataset encoded as training encodes it: plan, encoder, strategy, and what must come out."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from datasets import Dataset

from axolotl_cft.core.documents import DocumentEncoder
from axolotl_cft.core.encoding import IGNORE_INDEX, lay_out
from axolotl_cft.core.ledger import Ledger
from axolotl_cft.core.options import CFTConfig, Plan
from axolotl_cft.host.plan import make_plan


def plan_for(*, part="train", **options: Any) -> Plan:
    """The plan of a dataset with these options of the `cft` block, with the host's seed 42."""
    top = CFTConfig(**{k: options.pop(k) for k in ("holdout", "holdout_by") if k in options})
    return make_plan("datasets[0]", part, {"path": "corpus", "cft": options}, top, 42)


def encoder_for(tokenizer: Any, *, sequence_len=192, **options: Any) -> DocumentEncoder:
    return DocumentEncoder(tokenizer, plan_for(**options), sequence_len)


def strategy_for(
    tokenizer: Any, *, sequence_len=192, field="text", is_piece=False, **options: Any
) -> Any:
    """The strategy that the host would be given for the dataset."""
    from axolotl_cft.host.documents import CFTStrategy
    from axolotl_cft.host.preparing import Preparation

    encoder = encoder_for(tokenizer, sequence_len=sequence_len, **options)
    task = Preparation(encoder.plan, sequence_len, encoder.plan.path, is_piece=is_piece)
    return CFTStrategy(encoder, field, task)


def encode(
    tokenizer: Any, documents: Sequence[str | Mapping[str, Any] | None], **options: Any
) -> tuple[Dataset, Ledger]:
    """(rows, ledger) by way of the strategy; a document is its text, or a row of columns."""
    rows = [d if isinstance(d, Mapping) else {"text": d} for d in documents]
    strategy = strategy_for(tokenizer, **options)
    return strategy.wrap_dataset(Dataset.from_list(rows)), strategy.encoder.ledger


def encode_texts(
    tokenizer: Any, texts: Sequence[str | None], **options: Any
) -> tuple[Dataset, Ledger]:
    """`encode` without the host: the encoder's own rows, laid out."""
    encoder = encoder_for(tokenizer, **options)
    offsets, input_ids, labels = lay_out(encoder.encode(texts, [{}] * len(texts)))
    cuts = list(pairwise(offsets))
    columns = {"input_ids": input_ids, "labels": labels}
    lists = {name: [ids[a:b].tolist() for a, b in cuts] for name, ids in columns.items()}
    return Dataset.from_dict(lists), encoder.ledger


def trained_tokens(rows: Mapping[str, Any] | Dataset) -> list[int]:
    """All ids that bear loss; labels[0] never enters a causal LM's loss."""
    return [x for row in rows["labels"] for x in row[1:] if x != IGNORE_INDEX]


def expected_targets(tokenizer: Any, texts: Sequence[str]) -> list[int]:
    """What must be trained, whatever the prompts: each text's own tokens and one EOS."""
    targets: list[int] = []
    for text in texts:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        targets += [*ids, tokenizer.eos_token_id] if ids else []
    return targets
