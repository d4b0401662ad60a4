"""What training costs a GPU: parameters, floating-point operations, hours."""

from typing import Any, NamedTuple

from axolotl_cft.errors import CFTError

PEAKS = {
    "a10": 125.0,
    "a100": 312.0,
    "b200": 2250.0,
    "h100": 989.0,
    "h200": 989.0,
    "l40s": 362.0,
    "mi300x": 1307.0,
    "rtx4090": 165.0,
}
"""TFLOP/s of bf16 matrix products without sparsity, by the makers' datasheets (NVIDIA: half of what
they print with sparsity; h100 and h200 SXM, b200 in an HGX board)."""


class Model(NamedTuple):
    """What of a model decides its cost.

    Attributes:
        parameters: all of them, each counted once; None where they could not be counted.
        layers: transformer blocks; 0 if not known.
        width: attention heads times their dimension; 0 if not known.
        experts: whether tokens pass through some of the parameters only.
    """

    parameters: float
    layers: int = 0
    width: int = 0
    experts: bool = False


def peak_of(gpu: str | None, tflops: float | None) -> float | None:
    """FLOP/s of a GPU; None where none was named.

    Raises:
        CFTError: it is not known, or named twice.
    """
    if gpu and tflops:
        raise CFTError("--gpu and --tflops both say how fast a GPU is; give one of them")
    if tflops:
        return tflops * 1e12
    if gpu is None:
        return None
    if (name := gpu.lower().replace("-", "").replace(" ", "")) not in PEAKS:
        raise CFTError(
            f"--gpu: {gpu!r} is not known; known are {', '.join(PEAKS)}; for another give "
            "--tflops, its dense bf16 peak"
        )
    return PEAKS[name] * 1e12


def measure_model(cfg: Any, parameters: float | None) -> Model:
    """Layers, width and parameters of a config's model, of which no weight is loaded.

    Args:
        cfg: the validated config.
        parameters: takes the place of counting them.

    Raises:
        CFTError: the model cannot be built from its configuration.
    """
    import torch
    from axolotl.loaders.utils import load_model_config
    from transformers import AutoModelForCausalLM

    config = load_model_config(cfg)
    text = config.get_text_config()
    heads = getattr(text, "num_attention_heads", 0) or 0
    each = getattr(text, "head_dim", None) or getattr(text, "hidden_size", 0) // max(1, heads)
    names = ("num_experts_per_tok", "num_experts", "num_local_experts", "n_routed_experts")
    experts = any((getattr(text, name, 0) or 0) > 0 for name in names)
    layers = getattr(text, "num_hidden_layers", 0) or 0
    if parameters is None:
        try:
            with torch.device("meta"):
                model = AutoModelForCausalLM.from_config(
                    config, trust_remote_code=bool(cfg.trust_remote_code)
                )
        except Exception as exc:  # models that bring their own code raise what they like
            raise CFTError(
                f"the parameters of {cfg.base_model} cannot be counted "
                f"({str(exc).strip().splitlines()[0]}); give their number, as in --params 7e9"
            ) from exc
        parameters = sum(each.numel() for each in model.parameters())
    return Model(parameters, layers, heads * each, experts)


def training_flops(model: Model, positions: float, squares: float, adapter: bool) -> float:
    """Floating-point operations of forward and backward passes.

    A position takes 2N forward, 2N for the gradient of what comes in and 2N for that of the
    weights (Kaplan et al. 2020, arXiv 2001.08361, section 2.1), of which frozen weights have none;
    and attention 12·L·d for each position it could see (Chowdhery et al. 2022, PaLM, arXiv
    2204.02311, appendix B).

    Args:
        model: N parameters, L layers, width d.
        positions: tokens and padding.
        squares: sum over sequences of their lengths' squares.
        adapter: whether the model's own weights are frozen.
    """
    factor = 4 if adapter else 6
    return factor * model.parameters * positions + 12 * model.layers * model.width * squares
