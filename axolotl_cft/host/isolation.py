"""Whether packed rows stay apart: a row that sees its neighbour sees the neighbour's prompt.

The host tells the rows of a pack apart by `position_ids` that begin again at 0, with the attention
mask left out (`attn_decontaminates_packing`). Softmax attention of most families takes the hint;
recurrent layers and convolutions run on over the boundary, and so does attention whose model code
never passes the positions on. Which families do what is measured, not guessed:
tests/test_isolation.py compares the logits of packed rows with those of the rows alone.
"""

from typing import Any

import torch
from axolotl.utils.logging import get_logger

from axolotl_cft.errors import CFTError

LOG = get_logger(__name__)

ISOLATED = frozenset(
    """
    apertus arcee bitnet cohere cohere2 cwm diffllama ernie4_5 ernie4_5_moe exaone4 gemma gemma2
    gemma3_text gemma4_text glm glm4 glm4_moe gpt2 gpt_bigcode gpt_neox granite granitemoe
    granitemoeshared helium hunyuan_v1_dense hunyuan_v1_moe jetmoe llama llama4_text minimax_m2
    ministral ministral3 mistral mixtral nanochat nemotron olmo olmo2 olmo3 olmoe phi phi3 phimoe
    qwen2 qwen2_moe qwen3 qwen3_moe seed_oss smollm3 solar_open stablelm starcoder2 vaultgemma
    """.split()  # noqa: SIM905
)
"""Model types whose packed rows have the logits of the rows alone, under sdpa and eager."""

MIXING_ATTENTION = frozenset({"afmoe", "bloom", "falcon", "gpt_oss", "mpt", "opt"})
"""Model types whose own masks leave the boundaries out, under sdpa and eager."""

RECURRENT = frozenset({"mamba", "mamba2", "recurrent_gemma", "rwkv", "xlstm"})
"""Model types without a list of layers in their config that are recurrent all the same."""

WITH_KERNELS = frozenset(
    """
    falcon_h1 granitemoehybrid nemotron_h qwen3_5 qwen3_5_moe qwen3_5_moe_text qwen3_5_text
    qwen3_next
    """.split()  # noqa: SIM905
)
"""Recurrent model types whose GPU kernels the host hands the boundaries
(axolotl/loaders/patch_manager.py)."""

SOFTMAX_LAYERS = frozenset(
    {"full_attention", "sliding_attention", "chunked_attention", "attention", "mlp", "moe"}
)
"""Kinds of layers in a config's `layer_types` that carry nothing over a boundary by themselves."""

_ADVICE = "set sample_packing: false"


def check_isolation(cfg: Any, model_config: Any, preprocess: bool = False) -> None:
    """Refuse packing that mixes documents; warn where nobody has measured it.

    Args:
        cfg: the validated config, with packing on.
        model_config: the model's (axolotl/loaders/utils.py::load_model_config).
        preprocess: data are only prepared here, perhaps for another machine.

    Raises:
        CFTError: the attention, or the model's layers, let packed documents see each other.
    """
    if not cfg.attn_decontaminates_packing:
        raise CFTError(
            "sample_packing: this attention lets packed documents see each other's prompts; set "
            "attn_implementation to sdpa, flash_attention_2 or another that isolates them, or "
            "sample_packing: false"
        )
    text_config = _text_config(model_config)
    type_ = str(getattr(text_config, "model_type", None))
    if mixing := _mixing_layers(text_config, type_):
        if type_ not in WITH_KERNELS or not (preprocess or torch.cuda.is_available()):
            raise CFTError(
                f"sample_packing: {type_} has {mixing} layers, which carry one packed document's "
                f"prompt into the next; {_ADVICE}"
            )
        LOG.warning(
            f"cft: sample_packing: {type_} has {mixing} layers, which keep packed documents apart "
            "on a GPU with the kernels that the host passes boundaries to, and nowhere else; "
            f"unless you are sure of them, {_ADVICE}"
        )
    elif type_ in MIXING_ATTENTION and cfg.attn_implementation in ("sdpa", "eager"):
        raise CFTError(
            f"sample_packing: with attn_implementation: {cfg.attn_implementation}, {type_} lets "
            f"packed documents see each other's prompts; {_ADVICE}"
        )
    elif type_ not in ISOLATED:
        LOG.warning(
            f"cft: sample_packing: nobody has measured whether {type_} keeps packed documents "
            f"apart; to be sure of it, {_ADVICE}"
        )


def _text_config(model_config: Any) -> Any:
    """Of a model with several, the config of its language model."""
    get = getattr(model_config, "get_text_config", None)
    return get() if callable(get) else model_config


def _mixing_layers(text_config: Any, type_: str) -> str:
    """Which kinds of layers run on over a boundary, for messages; empty for none."""
    layers = getattr(text_config, "layer_types", None) or ()
    kinds = sorted(set(map(str, layers)) - SOFTMAX_LAYERS)
    return ", ".join(kinds) or ("recurrent" if type_ in RECURRENT else "")
