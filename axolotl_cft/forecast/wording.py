"""What a forecast rests on, a sentence for each assumption."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from axolotl_cft.forecast.training import Machine, Training
from axolotl_cft.host.epoch import data_ranks
from axolotl_cft.records import TrainingForecast


def assumptions(
    machine: Machine, trainings: Mapping[str, Training], rows: Sequence[TrainingForecast]
) -> Iterator[str]:
    """Everything that was assumed.

    Args:
        machine: what trains.
        trainings: name -> a training that was looked at.
        rows: the forecasts.
    """
    yield from _documents(rows)
    yield from _batches(machine, trainings)
    yield from _operations(trainings)
    yield from _hours(machine, trainings)
    yield (
        "Not counted: evaluation and held-out loss, saving, loading, compiling, restarts; weights, "
        "checkpoints and downloads on disk; generation of prompts."
    )


def _documents(rows: Sequence[TrainingForecast]) -> Iterator[str]:
    trained = [row for row in rows if row.runs]
    if all(row.exact for row in trained):
        yield "Documents: all of them were encoded as training does it; the counts are exact."
        return
    yield (
        "Documents: a sample, encoded as training does it and always the same; ± is the 95 % "
        "interval of the tokens (jackknife over groups of documents), which all that grows with "
        "them shares; rows and disk follow the bytes of all texts where these are known."
    )
    if any(row.drawn < 200 and not row.exact for row in trained):
        yield "Documents: fewer than 200 were drawn, so the interval itself is rough."


def _batches(machine: Machine, trainings: Mapping[str, Training]) -> Iterator[str]:
    for line, names in _shared(trainings, lambda each: _batch_line(machine, each)).items():
        yield f"{line}{_of(names, trainings)}."
    packed = [each for each in trainings.values() if each.cfg.sample_packing]
    if packed and not all(each.cfg.curriculum_sampling for each in packed):
        yield (
            "Packing: by the host's own sampler; it draws the rows' order, so that steps may "
            "differ a little from run to run."
        )
    if len(packed) < len(trainings):
        yield (
            "Padding: each batch to its longest row and on to a multiple of 64 tokens, or as "
            "pad_to_sequence_len has it; rows meet in a random order; padding costs as tokens do."
        )
    if any(each.cfg.dataset_exact_deduplication for each in trainings.values()):
        yield "Deduplication: of a sample, only rows that are equal within it are left out."


def _batch_line(machine: Machine, training: Training) -> str:
    cfg = training.cfg
    ranks = data_ranks(cfg, machine.gpus)
    rows = "packed rows" if cfg.sample_packing else "rows"
    micro, accumulated = cfg.micro_batch_size, cfg.gradient_accumulation_steps
    until = f"max_steps {cfg.max_steps}" if cfg.max_steps else f"{count(cfg.num_epochs, 'epoch')}"
    return (
        f"Steps: {micro} × {accumulated} × {ranks} = {micro * accumulated * ranks} {rows} of at "
        f"most {cfg.sequence_len:,} tokens each, {until}; {count(machine.gpus, 'GPU')}"
    )


def _operations(trainings: Mapping[str, Training]) -> Iterator[str]:
    for line, names in _shared(trainings, _model_line).items():
        yield f"{line}{_of(names, trainings)}."
    if any(each.model.experts for each in trainings.values()):
        yield (
            "Parameters: in a mixture of experts a token passes through some of them only; give "
            "--params the active ones."
        )
    if any(each.cfg.adapter for each in trainings.values()):
        yield (
            "Adapters: frozen weights have no gradient of their own, so 4N in the place of 6N; the "
            "adapter's own parameters are not counted."
        )
    yield (
        "FLOPs: 6·N for each position (Kaplan et al. 2020, section 2.1) and 12·L·d·s for "
        "attention over the s positions of its row (PaLM 2022, appendix B; a causal mask is "
        "not taken off)."
    )


def count(number: float, what: str) -> str:
    """`1 GPU`, `8 GPUs`."""
    return f"{number:g} {what}{'' if number == 1 else 's'}"


def _model_line(training: Training) -> str:
    model = training.model
    blocks = f", L = {model.layers}, d = {model.width:,}" if model.layers else ""
    return f"Model: N = {model.parameters:.4g} parameters{blocks} ({training.cfg.base_model})"


def _hours(machine: Machine, trainings: Mapping[str, Training]) -> Iterator[str]:
    if machine.peak is None:
        yield "GPU-hours: none without --gpu (or --tflops)."
        return
    yield (
        f"GPU-hours: FLOPs / ({machine.peak / 1e12:,.0f} TFLOP/s × {machine.mfu:g}): dense bf16 "
        "peak by the datasheet, and the share of it that is assumed (--mfu); measure yours."
    )
    lines = _shared(trainings, lambda each: _checkpointing_line(machine, each))
    for line, names in lines.items():
        if line:
            yield f"{line}{_of(names, trainings)}."


def _checkpointing_line(machine: Machine, training: Training) -> str:
    """That more is computed than an MFU counts; empty where nothing is computed twice."""
    if not _recomputes(training):
        return ""
    once = 4 if training.cfg.adapter else 6
    really = machine.mfu * (once + 2) / once
    return (
        f"Gradient checkpointing: a second forward ({once + 2}N in all) takes time but is no part "
        f"of an MFU; at {machine.mfu:g} the GPUs would really do {really:.2g} of their peak (HFU)"
    )


def _recomputes(training: Training) -> bool:
    fsdp = training.cfg.fsdp_config or {}
    return bool(training.cfg.gradient_checkpointing or fsdp.get("activation_checkpointing"))


def _shared(
    trainings: Mapping[str, Training], line: Callable[[Training], str]
) -> dict[str, list[str]]:
    """Line -> the trainings of which it is true."""
    lines: dict[str, list[str]] = {}
    for name, training in trainings.items():
        lines.setdefault(line(training), []).append(name)
    return lines


def _of(names: Sequence[str], trainings: Mapping[str, Training]) -> str:
    return "" if len(names) == len(trainings) else f" ({', '.join(names)})"
