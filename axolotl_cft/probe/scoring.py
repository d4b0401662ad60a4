"""The negative log-likelihood of texts given their contexts, under a causal LM."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from axolotl_cft.errors import CFTError
from axolotl_cft.files.places import refuse_absent
from axolotl_cft.host.tokens import first_line
from axolotl_cft.probe.rows import Scored


def load_model(name: str, device: str, dtype: str, rows: Sequence[Scored]) -> Any:
    """A causal LM that is ready to score `rows`.

    Args:
        name: a hub name or a folder.
        device: a torch device, or "auto" for CUDA, else MPS, else the CPU.
        dtype: a torch dtype's name, or "auto": the checkpoint's own, but float32 on the CPU.
        rows: must not be longer than the model's positions.

    Raises:
        CFTError: a row is too long, or the model cannot be loaded.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    refuse_absent(name, "--model")
    if device == "auto":
        mps = torch.backends.mps.is_available()
        device = "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"
    if dtype == "auto" and device == "cpu":
        dtype = "float32"
    try:
        _check_rows(AutoConfig.from_pretrained(name), rows)
        return AutoModelForCausalLM.from_pretrained(name, dtype=dtype).to(device).eval()
    except CFTError:
        raise
    except Exception as exc:  # a torch without CUDA raises AssertionError, others what they like
        raise CFTError(f"--model {name} cannot be loaded on {device}: {first_line(exc)}") from exc


def _check_rows(config: Any, rows: Sequence[Scored]) -> None:
    text = config.get_text_config()
    limit = getattr(text, "max_position_embeddings", None)
    longest = max(context.size + ids.size for context, ids in rows)
    if limit and longest > limit:
        raise CFTError(
            f"--max-tokens: the longest row has {longest} tokens and the model {limit} positions; "
            f"lower it by {longest - limit} or more"
        )
    highest = max(int(np.concatenate(row).max()) for row in rows)
    if highest >= text.vocab_size:
        raise CFTError(
            f"a row holds token {highest} and the model knows {text.vocab_size}; leave --config "
            "out if it adds tokens that are yet to be trained"
        )


def score(
    model: Any,
    rows: Sequence[Scored],
    batch_size: int,
    advance: Callable[[int], None] = lambda tokens: None,
) -> NDArray[np.float64]:
    """-Σ_k log P(x_k | c, x_<k) of each row (c, x), in nats.

    From the longest row to the shortest: little is padded, and a batch that does not fit the
    device shows at once. Padding is on the right, where a causal model cannot see it.

    Args:
        model: gives `model(input_ids=…, attention_mask=…).logits` of shape (batch, length,
            vocabulary), and has a `device`.
        rows: at least one id each in context and text.
        batch_size: rows in a forward pass.
        advance: told the tokens of every batch that is done.

    Returns:
        Shape (rows,), in the order of `rows`.

    Raises:
        CFTError: a batch does not fit the device, or a likelihood is not finite.
    """
    sizes = [context.size + text.size for context, text in rows]
    order = sorted(range(len(rows)), key=lambda index: -sizes[index])
    result = np.empty(len(rows))
    for begin in range(0, len(order), batch_size):
        batch = order[begin : begin + batch_size]
        try:
            result[batch] = _score_batch(model, [rows[index] for index in batch])
        except torch.OutOfMemoryError as exc:
            raise CFTError(
                f"{len(batch)} rows of {sizes[batch[0]]} tokens do not fit the device; lower "
                "--batch-size or --max-tokens"
            ) from exc
        if not np.isfinite(result[batch]).all():
            raise CFTError("the model's likelihoods are not finite; try --dtype float32")
        advance(sum(sizes[index] for index in batch))
    return result


def _score_batch(model: Any, rows: Sequence[Scored]) -> list[float]:
    width = max(context.size + text.size for context, text in rows)
    input_ids = torch.zeros(len(rows), width, dtype=torch.long)
    attention_mask = torch.zeros_like(input_ids)
    for index, row in enumerate(rows):
        ids = torch.from_numpy(np.concatenate(row))
        input_ids[index, : ids.numel()] = ids
        attention_mask[index, : ids.numel()] = 1
    input_ids, attention_mask = input_ids.to(model.device), attention_mask.to(model.device)
    with torch.inference_mode():
        logits = model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).logits
        return [_text_nll(*triple) for triple in zip(logits, input_ids, rows, strict=True)]


def _text_nll(logits: torch.Tensor, ids: torch.Tensor, row: Scored) -> float:
    """Of one row; float32 copies of the logits exist for a single row at a time."""
    begin, end = row[0].size, row[0].size + row[1].size
    losses = cross_entropy(logits[begin - 1 : end - 1].float(), ids[begin:end], reduction="none")
    return float(losses.cpu().double().sum())
