"""Which model families keep packed rows apart, measured on tiny random models."""

import inspect
from types import SimpleNamespace

import pytest
import torch
from transformers import CONFIG_MAPPING, AutoConfig, AutoModelForCausalLM

from axolotl_cft.errors import CFTError
from axolotl_cft.host.isolation import ISOLATED, MIXING_ATTENTION, RECURRENT, check_isolation

SIZES = {
    **dict.fromkeys(["vocab_size", "vocab_size_per_layer_input"], 64),
    **dict.fromkeys(["hidden_size", "n_embd", "d_model", "dim", "word_embed_proj_dim"], 32),
    **dict.fromkeys(["intermediate_size", "ffn_dim", "d_ff"], 48),
    **dict.fromkeys(["num_hidden_layers", "n_layer", "n_layers"], 2),
    **dict.fromkeys(["num_attention_heads", "n_head", "n_heads"], 4),
    **dict.fromkeys(["num_experts", "num_local_experts", "n_routed_experts"], 4),
    **dict.fromkeys(["head_dim", "hidden_size_per_layer_input", "linear_key_head_dim"], 8),
    **dict.fromkeys(["linear_value_head_dim", "mamba_d_head", "mamba_d_state", "state_size"], 8),
    **dict.fromkeys(["n_positions", "max_position_embeddings"], 128),
    **dict.fromkeys(["sliding_window", "attention_chunk_size"], 64),
    "num_key_value_heads": 2,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "mamba_d_ssm": 32,
    "mamba_n_heads": 4,
    "mamba_chunk_size": 16,
    "n_group": 1,
    "topk_group": 1,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def tiny_config(type_: str, **changes):
    """The family's own config, a few kB large; layer kinds and whatever else stay its own."""
    kind = CONFIG_MAPPING[type_]
    known = set(inspect.signature(kind.__init__).parameters) | set(
        vars(AutoConfig.for_model(type_))
    )
    return kind(**{name: value for name, value in SIZES.items() if name in known} | changes)


def difference(config, attention: str) -> float:
    """Largest change of a row's logits by another row before it in the pack, of the largest one.

    Packed as the host packs: one row of the batch, positions from 0 again, no attention mask.
    """
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, attn_implementation=attention).float().eval()
    for parameter in model.parameters():
        if parameter.dim() >= 2:
            torch.nn.init.normal_(parameter, std=0.2)
    first, second = torch.arange(3, 15)[None], torch.arange(20, 33)[None]
    ranges = [torch.arange(ids.shape[1]) for ids in (first, second)]
    with torch.no_grad():
        alone = model(second, position_ids=ranges[1][None], use_cache=False).logits[0]
        pack, positions = torch.cat([first, second], 1), torch.cat(ranges)[None]
        packed = model(pack, position_ids=positions, use_cache=False).logits[0, first.shape[1] :]
    return float((packed - alone).abs().max() / alone.abs().max())


def attention_of(type_: str) -> list[str]:
    kind = AutoModelForCausalLM._model_mapping[type(AutoConfig.for_model(type_))]
    return ["sdpa", "eager"] if kind._supports_sdpa else ["eager"]


def installed(types) -> list[str]:
    return sorted(type_ for type_ in types if type_ in CONFIG_MAPPING)


def packed_run(attention="sdpa", isolates=True):
    return SimpleNamespace(attn_implementation=attention, attn_decontaminates_packing=isolates)


@pytest.mark.parametrize("type_", installed(ISOLATED))
def test_families_that_are_let_through_keep_packed_rows_apart(type_, caplog):
    config = tiny_config(type_)
    with caplog.at_level("WARNING"):
        check_isolation(packed_run(), config)
    assert "cft:" not in caplog.text
    for attention in attention_of(type_):
        assert difference(config, attention) < 1e-5, attention


LEAKING = [
    *((type_, {}) for type_ in installed(MIXING_ATTENTION)),
    *((type_, {}) for type_ in installed(RECURRENT - {"mamba2"})),
    ("jamba", {}),
    ("minimax", {}),
    ("olmo_hybrid", {}),
    ("falcon_h1", {}),
    ("qwen3_next", {}),
    ("qwen3_5_text", {}),
    ("lfm2", {"layer_types": ["conv", "full_attention"]}),
]


@pytest.mark.parametrize(("type_", "changes"), [pair for pair in LEAKING if installed([pair[0]])])
def test_families_that_mix_packed_rows_are_refused(type_, changes, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    config = tiny_config(type_, **changes)
    for attention in attention_of(type_):
        try:
            assert difference(config, attention) > 1e-4, attention
        except RuntimeError as error:
            # Newer hosts bring these families' Triton kernels, without which they do not run.
            if "active drivers" not in str(error):
                raise
        with pytest.raises(CFTError, match=r"sample_packing: .*; set sample_packing: false$"):
            check_isolation(packed_run(attention), config)


def test_a_multimodal_model_is_judged_by_its_language_model(caplog):
    config = CONFIG_MAPPING["gemma3"](text_config=tiny_config("gemma3_text").to_dict())
    with caplog.at_level("WARNING"):
        check_isolation(packed_run(), config)
    assert "cft:" not in caplog.text


def test_recurrent_families_with_kernels_are_warned_of_where_they_may_have_them(
    caplog, monkeypatch
):
    config = tiny_config("qwen3_next")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with caplog.at_level("WARNING"):
        check_isolation(packed_run(), config, preprocess=True)
    assert "linear_attention layers" in caplog.text
    with pytest.raises(CFTError, match="qwen3_next has linear_attention layers"):
        check_isolation(packed_run(), config)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    check_isolation(packed_run("flash_attention_2"), config)
    with pytest.raises(CFTError, match="lfm2 has conv layers"):
        lfm2 = tiny_config("lfm2", layer_types=["conv", "full_attention"])
        check_isolation(packed_run("flash_attention_2"), lfm2)


def test_a_family_that_nobody_has_measured_is_warned_of(caplog):
    with caplog.at_level("WARNING"):
        check_isolation(packed_run(), SimpleNamespace(model_type="newcomer"))
        check_isolation(packed_run("flash_attention_2"), tiny_config("falcon"))
    assert caplog.text.count("cft: sample_packing") == 2
    assert "nobody has measured whether newcomer keeps packed documents apart" in caplog.text
