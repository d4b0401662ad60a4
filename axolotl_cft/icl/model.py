"""The learner: transformers' GPT-2 over real vectors, and what is read from it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, GPT2Config, GPT2Model
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from axolotl_cft.icl.presets import Settings
from axolotl_cft.icl.tasks import Batch, excess_denominator, lay_out

# Under a name without a mask function transformers builds no mask, and PyTorch's causal kernel
# is used: under torch.compile the host would otherwise build an explicit (T, T) mask per sequence
# (transformers masking_utils.py::_preprocess_mask_arguments).
AttentionInterface.register("causal_sdpa", sdpa_attention_forward)


class InContextRegressor(nn.Module):
    """Linear read-in R^d → E, GPT-2 without dropout, linear read-out to a scalar (Garg et al.)."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        config = GPT2Config(
            vocab_size=1,
            bos_token_id=0,
            eos_token_id=0,
            n_positions=settings.positions,
            n_embd=settings.width,
            n_layer=settings.layers,
            n_head=settings.heads,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            use_cache=False,
            activation_function="gelu_pytorch_tanh",  # "gelu_new" in one kernel
            attn_implementation="causal_sdpa",
        )
        self.read_in = nn.Linear(settings.dims, settings.width)
        self.backbone = GPT2Model(config)
        self.backbone.wte.requires_grad_(False)  # no token ids here
        self.read_out = nn.Linear(settings.width, 1)

    def forward(self, tokens: Tensor, first_position: int = 0, bf16: bool = False) -> Tensor:
        """(B, T, d) interleaved tokens → (B, T/2) predictions, each read at its x.

        `bf16` is for training on a GPU; points, values and predictions stay in fp32.
        """
        last_position = first_position + tokens.shape[1]
        positions = torch.arange(first_position, last_position, device=tokens.device)[None]
        embedded = self.read_in(tokens)
        with torch.autocast(tokens.device.type, torch.bfloat16, enabled=bf16):
            output = self.backbone(inputs_embeds=embedded, position_ids=positions)
        return self.read_out(output.last_hidden_state[:, ::2].float()).squeeze(-1)


def sequence_loss(
    model: nn.Module,
    tokens: Tensor,
    first_position: int,
    targets: Tensor,
    weights: Tensor,
    bf16: bool = False,
) -> Tensor:
    """Mean squared error of the last k predictions; `weights` (k,) sum to 1."""
    predictions = model(tokens, first_position, bf16)[:, -targets.shape[1] :]
    return ((predictions - targets).square().mean(0) * weights).sum()


def measure(
    model: nn.Module, method: str, batch: Batch, first_position: int | None = None
) -> tuple[Tensor, float]:
    """Squared error at each of the k points, and the gradient inner product, from one pass.

    The inner product is the cosine between d(prediction at the last query)/d(x_k) and the true
    gradient of g at x_k, averaged over the batch. The derivative is the total one: x_k also
    stands in the context, and so does its value f(x_k), which moves with it. (A model that
    answers h(f(x_k)) by looking f(x_k) up has learned g; its derivative by the query's own
    token alone would be zero.) Sequences do not touch each other, so one backward pass of the
    summed predictions holds every sequence's own gradient.

    Returns:
        (k,) errors averaged over the batch, and the inner product in [-1, 1].
    """
    xs = batch.xs.clone().requires_grad_()
    sequence = lay_out(method, replace(batch, xs=xs), first_position)
    points = xs.shape[1]
    predictions = model(sequence.tokens, sequence.first_position)[:, -points:]
    (gradient,) = torch.autograd.grad(predictions[:, -1].sum(), xs)
    cosine = torch.cosine_similarity(gradient[:, -1], batch.direction, dim=-1)
    errors = (predictions - sequence.targets).detach().square().mean(0)
    return errors, cosine.mean().item()


def excess_loss(errors: Tensor, dims: int) -> float:
    """Mean of (k,) squared errors over what least squares leaves on a linear function."""
    return errors.mean().item() / excess_denominator(len(errors), dims)
