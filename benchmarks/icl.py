"""Speed of the synthetic experiments beside the straightforward implementation, in one run.

    python benchmarks/icl.py                  # the paper's size on the device at hand
    python benchmarks/icl.py --batch-size 4   # the same on a slow CPU
    python benchmarks/icl.py --preset quick --steps 50

Ours is the product's own training step and measurement. The straightforward one is written here
the obvious way: functions drawn one by one, a first half of zeros masked out under CPT, eager
attention and activation, Adam unfused, fp32, and the inner product by a Jacobian for each
sequence in a loop. Both train on --batch-size sequences per step and measure the inner product on
as many.

FLOPs of a step: tokens x (6 N + 12 L E T), with N the parameters of the blocks, L layers of width
E and T tokens per sequence (forward and backward, causality not deducted). Utilization is that over
the peak measured here by square matrix products: bf16 on a GPU, fp32 on a CPU. A GPU is timed by
the wall; a CPU by the processor time of one thread, which a busy machine disturbs less.
"""

from __future__ import annotations

import dataclasses
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from transformers import GPT2Config, GPT2Model

from axolotl_cft.icl.model import measure
from axolotl_cft.icl.presets import METHODS, PRESETS, Settings
from axolotl_cft.icl.tasks import generator, sample
from axolotl_cft.icl.training import Trial, TrialState

TASK = "polynomial"


class Straightforward:
    """The experiment as you would first write it."""

    def __init__(self, s: Settings, method: str, device: torch.device) -> None:
        self.s, self.method, self.device = s, method, device
        config = GPT2Config(
            vocab_size=1,
            bos_token_id=0,
            eos_token_id=0,
            n_positions=s.positions,
            n_embd=s.width,
            n_layer=s.layers,
            n_head=s.heads,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            use_cache=False,
            attn_implementation="eager",
        )
        self.backbone = GPT2Model(config)
        self.read_in = torch.nn.Linear(s.dims, s.width)
        self.read_out = torch.nn.Linear(s.width, 1)
        self.all = torch.nn.ModuleList([self.backbone, self.read_in, self.read_out]).to(device)
        self.optimizer = torch.optim.Adam(self.all.parameters(), 1e-4, foreach=False)

    def one(self, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        """(2k, 2d) tokens of one sequence, point by point, and its k targets."""
        rows, targets = [], []
        for half in ("context", "target"):
            for point in x:
                f = point @ w
                value = f + f**2
                if half == "target":
                    targets.append(value)
                elif self.method == "neg_cft":
                    value = torch.randn((), device=self.device)
                else:
                    value = f
                rows += [point, torch.cat((value[None], value.new_zeros(self.s.dims - 1)))]
        tokens = torch.stack(rows)
        if self.method == "cpt":
            tokens = torch.cat((torch.zeros_like(tokens[: 2 * len(x)]), tokens[2 * len(x) :]))
        return tokens, torch.stack(targets)

    def predict(self, tokens: Tensor) -> Tensor:
        k = self.s.points
        mask = torch.ones(len(tokens), 4 * k, device=self.device)
        if self.method == "cpt":
            mask[:, : 2 * k] = 0
        output = self.backbone(inputs_embeds=self.read_in(tokens), attention_mask=mask)
        return self.read_out(output.last_hidden_state)[:, 2 * k :: 2, 0]

    def draw(self) -> tuple[Tensor, Tensor]:
        x = torch.randn(self.s.points, self.s.dims, device=self.device)
        return x, torch.randn(self.s.dims, device=self.device)

    def update(self) -> None:
        sequences = [self.one(*self.draw()) for _ in range(self.s.batch_size)]
        tokens, targets = map(torch.stack, zip(*sequences, strict=True))
        self.optimizer.zero_grad()
        (self.predict(tokens) - targets).square().mean().backward()
        self.optimizer.step()

    def measure(self) -> None:
        cosines = []
        for _ in range(self.s.eval_sequences):
            x, w = self.draw()

            def answer(last: Tensor, x: Tensor = x, w: Tensor = w) -> Tensor:
                tokens, _ = self.one(torch.cat((x[:-1], last[None])), w)
                return self.predict(tokens[None])[0, -1]

            gradient = torch.autograd.functional.jacobian(answer, x[-1])
            truth = (1 + 2 * (x[-1] @ w)) * w
            cosines.append(torch.cosine_similarity(gradient, truth, dim=0).item())


def seconds(call: Callable[[], object], times: int, device: torch.device) -> float:
    """Time of a call: the fastest of up to five blocks, after calls that are not counted."""
    clock = time.perf_counter if device.type == "cuda" else time.process_time

    def block(calls: int) -> float:
        start = clock()
        for _ in range(calls):
            call()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return (clock() - start) / calls

    block(5 if device.type == "cuda" else 1)
    blocks = min(times, 5)
    return min(block(times // blocks) for _ in range(blocks))


def peak_flops(device: torch.device) -> float:
    """FLOP/s of a square matrix product."""
    size, dtype = (8192, torch.bfloat16) if device.type == "cuda" else (2048, torch.float32)
    a = torch.randn(size, size, device=device, dtype=dtype)
    return 2 * size**3 / seconds(lambda: a @ a, 10, device)


def step_flops(s: Settings, tokens: int) -> float:
    """FLOPs of one training step on sequences of `tokens` tokens (formula above)."""
    blocks = 12 * s.layers * s.width**2
    return s.batch_size * tokens * (6 * blocks + 12 * s.layers * s.width * tokens)


def ours(s: Settings, method: str, device: torch.device, steps: int) -> tuple[float, float]:
    """Seconds per training step and per measurement."""
    with tempfile.TemporaryDirectory() as folder:
        TrialState(Trial(0), s, Path(folder), device).save()
        run = TrialState(Trial(0, TASK, method), s, Path(folder), device)
    batch = sample(TASK, s.eval_sequences, s.points, s.dims, generator(device, "benchmark"))
    return (
        seconds(run.update, steps, device),
        seconds(lambda: measure(run.model, method, batch), 3, device),
    )


def straightforward(
    s: Settings, method: str, device: torch.device, steps: int
) -> tuple[float, float]:
    """The same for the straightforward implementation."""
    run = Straightforward(s, method, device)
    return seconds(run.update, steps, device), seconds(run.measure, 3, device)


@click.command()
@click.option("--preset", type=click.Choice(list(PRESETS)), default="paper", show_default=True)
@click.option("--steps", default=None, type=int, help="Timed steps.  [default: GPU 100, CPU 3]")
@click.option("--batch-size", default=64, show_default=True)
def main(preset: str, steps: int | None, batch_size: int) -> None:
    """Print steps/s, utilization and the ratio for each method."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    steps = steps or (100 if device.type == "cuda" else 3)
    s = dataclasses.replace(PRESETS[preset], batch_size=batch_size, eval_sequences=batch_size)
    torch.set_num_threads(1)
    peak = peak_flops(device)
    on_gpu = device.type == "cuda"
    name = torch.cuda.get_device_name() if on_gpu else f"{platform.machine()} CPU, one thread"
    title = f"{preset}, batch {batch_size}, {name}, "
    table = Table(title=title + f"measured peak {peak / 1e12:.3g} TFLOP/s, {steps} steps timed")
    headings = ("method", "steps/s", "utilization", "measure s", "s per 100 steps + 1 measurement")
    for heading in ("", *headings):
        table.add_column(heading)
    for method in METHODS:
        totals = {}
        for label, implementation in (("ours", ours), ("straightforward", straightforward)):
            step, measurement = implementation(s, method, device, steps)
            # The straightforward CPT also computes its zeros; useful FLOPs are the same.
            flops = step_flops(s, s.points * (2 if method == "cpt" else 4))
            totals[label] = 100 * step + measurement
            numbers = (f"{1 / step:.3g}", f"{flops / step / peak:.1%}", f"{measurement:.3g}")
            table.add_row(label, method, *numbers, f"{totals[label]:.4g}")
        ratio = totals["straightforward"] / totals["ours"]
        table.add_row("ratio", method, "", "", "", f"{ratio:.2f}x", end_section=True)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
