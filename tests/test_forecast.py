"""`axolotl-cft corpus plan`: what it foretells is what the host then does."""

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner
from conftest import make_documents, slow, write_jsonl
from host import fit, host_config, load_cfg, prepare
from studies import REAL, write_study

from axolotl_cft.cli import main
from axolotl_cft.errors import CFTError
from axolotl_cft.forecast import arms, draws
from axolotl_cft.forecast.arms import forecast
from axolotl_cft.forecast.compute import PEAKS, Model, measure_model, peak_of, training_flops
from axolotl_cft.forecast.totals import estimate_totals, half_width
from axolotl_cft.forecast.training import Forecaster, Machine, Sampler
from axolotl_cft.host.epoch import Epoch, count_steps
from axolotl_cft.host.preparing import descriptions
from axolotl_cft.study.plan import expand
from axolotl_cft.study.spec import read_study

PACKED = {"sample_packing": True, "multipack_real_batches": False, "curriculum_sampling": True}


def foretell(config, folder, sample=1000, **machine):
    """The record for a config, as a dict or a file."""
    path = config
    if isinstance(config, dict):
        path = folder / "asked.yml"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return forecast(path, Forecaster(Sampler(sample, lambda label, note: None), Machine(**machine)))


def size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


@pytest.fixture
def corpus(tmp_path):
    return write_jsonl(tmp_path / "corpus.jsonl", make_documents(24, words=240))


@pytest.mark.parametrize(
    "changes",
    [
        {"cft": {"prompts": "none", "prompt_budget": 96}, "gradient_accumulation_steps": 4},
        {"cft": {"trained_tokens": 2500, "every": 20, "prompt_budget": 64}},
        *slow(
            {},
            PACKED | {"shards": 1, "num_epochs": 3},
            PACKED | {"multipack_real_batches": True, "pad_to_sequence_len": True},
            {"pad_to_sequence_len": True, "cft": {"views": 2, "prompt_budget": 96}},
            {"cft": {"holdout": 0.3, "prompt_budget": 96}},
            {"val_set_size": 0.2, "min_sample_len": 90},
        ),
    ],
)
def test_a_corpus_no_larger_than_the_sample_is_counted_exactly(
    tmp_path, tiny_model, corpus, changes
):
    changes = {"max_steps": None, "num_epochs": 2, **changes}
    shards = {"shards": changes.pop("shards")} if "shards" in changes else {}
    config = host_config(tmp_path, tiny_model, corpus, **changes)
    config["datasets"][0] |= shards
    if "holdout" in config["cft"]:
        config["test_datasets"] = [dict(config["datasets"][0])]
    found = foretell(config, tmp_path)
    [row] = found.trainings
    trainer = fit(config)
    rows = trainer.train_dataset
    [entry] = descriptions(rows)
    assert row.exact and row.tokens_interval == 0 and row.documents == row.drawn == 24
    assert row.rows == len(rows)
    assert row.tokens == sum(map(len, rows["input_ids"]))
    labels = np.concatenate([np.array(each) for each in rows["labels"]])
    assert row.trained_tokens == int((labels != -100).sum())
    if "min_sample_len" not in changes:  # else the host left some of them out
        assert row.prompt_tokens == entry.ledger.prompt_tokens
    assert row.steps == trainer.state.global_step == trainer.state.max_steps
    saved = size_of(tmp_path / "prepared") - size_of_records(tmp_path / "prepared")
    assert abs(row.prepared_bytes / saved - 1) < 0.02
    positions, told = row.tokens / (1 - row.padding) * row.epochs, trainer.state.tokens["total"]
    if changes.get("pad_to_sequence_len"):
        assert round(positions) == int(told)
    else:  # which rows meet in a batch, and so how long it is, is drawn
        assert positions == pytest.approx(int(told), rel=0.05)


def test_a_budget_is_what_is_planned_whatever_the_sample(tmp_path, tiny_model, corpus):
    cft = {"prompt_budget": 96, "trained_tokens": 1200}
    config = host_config(tmp_path, tiny_model, corpus, max_steps=None, num_epochs=1, cft=cft)
    [whole], [some] = (foretell(config, tmp_path, sample).trainings for sample in (1000, 12))
    assert 1200 - 192 < whole.trained_tokens <= some.trained_tokens == 1200
    assert whole.exact and not some.exact and some.documents == 24
    assert some.rows == pytest.approx(whole.rows, rel=0.3)


def size_of_records(prepared: Path) -> int:
    """What lies beside the prepared datasets."""
    return sum(file.stat().st_size for file in prepared.iterdir() if file.is_file())


@pytest.mark.slow
def test_a_dataset_of_another_type_is_planned_as_the_host_trains_it(tmp_path, tiny_model, corpus):
    config = host_config(tmp_path, tiny_model, corpus, max_steps=None, **PACKED)
    del config["plugins"], config["cft"]
    config["datasets"] = [{"path": str(corpus), "type": "completion", "field": "text"}]
    config |= {"num_epochs": 2, "gradient_accumulation_steps": 2}
    [row] = foretell(config, tmp_path).trainings
    trainer = fit(config)
    assert (row.rows, row.steps) == (len(trainer.train_dataset), trainer.state.global_step)
    assert row.tokens == sum(map(len, trainer.train_dataset["input_ids"]))
    assert row.prompt_tokens == 0


def many_documents(count):
    """Documents of very different lengths."""
    chance = np.random.default_rng(5)
    texts = make_documents(8, words=40)
    for index, length in enumerate(chance.lognormal(0.5, 1.0, count)):
        text = " ".join([texts[index % 8]["text"]] * max(1, round(length)))
        yield {"id": f"d{index}", "text": f"{index}: {text}"}


@pytest.mark.parametrize("kind", ["jsonl", *slow("parquet")])
def test_a_sample_tells_what_all_documents_would(tmp_path, tiny_model, kind):
    rows = list(many_documents(1500))
    path = tmp_path / f"corpus.{kind}"
    if kind == "jsonl":
        write_jsonl(path, rows)
    else:
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=10)
    block = {"prompt_budget": 96, "holdout": 0.2}
    config = host_config(tmp_path, tiny_model, path, cft=block, max_steps=None, **PACKED)
    [every] = foretell(config, tmp_path, 2000).trainings
    [some] = foretell(config, tmp_path, 250).trainings
    assert every.exact and not some.exact
    assert (every.documents, some.documents, some.drawn) == (1500, 1500, 250)
    assert 0 < some.tokens_interval < 0.1 * some.tokens
    assert abs(some.tokens - every.tokens) < some.tokens_interval
    for name in ("rows", "trained_tokens", "prompt_tokens", "packed_rows", "steps", "flops"):
        assert getattr(some, name) == pytest.approx(getattr(every, name), rel=0.05), name
    assert some.prepared_bytes == pytest.approx(every.prepared_bytes, rel=0.07)
    # A wrong assumption shows: without a hold-out there is a quarter more.
    config["cft"] = {"prompt_budget": 96}
    [whole] = foretell(config, tmp_path, 250).trainings
    assert 1.1 < whole.tokens / some.tokens < 1.4
    assert some.held_out / 1500 == pytest.approx(0.2, abs=0.07)


@pytest.mark.slow
def test_datasets_of_several_kinds_and_a_shard_of_one(tmp_path, tiny_model, corpus):
    large = write_jsonl(tmp_path / "large.jsonl", list(many_documents(900)))
    turns = [
        [
            {"role": "user", "content": f"What of {index}?"},
            {"role": "assistant", "content": "It lets cells take up glucose. " * (1 + index % 3)},
        ]
        for index in range(400)
    ]
    chats = write_jsonl(tmp_path / "chats.jsonl", [{"messages": each} for each in turns])
    config = host_config(tmp_path, tiny_model, corpus, max_steps=None, num_epochs=1)
    config["datasets"] += [
        {"path": str(large), "type": "cft", "field": "text", "shards": 2},
        {"path": str(chats), "type": "cft.chat", "field_messages": "messages"},
    ]
    [every] = foretell(config, tmp_path, 2000).trainings
    [some] = foretell(config, tmp_path, 250).trainings
    assert every.exact and (every.documents, every.drawn) == (24 + 450 + 400,) * 2
    assert not some.exact and (some.documents, some.drawn) == (24 + 450 + 400, 24 + 250 + 250)
    for name in ("rows", "tokens", "trained_tokens", "prompt_tokens", "steps", "prepared_bytes"):
        assert getattr(some, name) == pytest.approx(getattr(every, name), rel=0.06), name
    _, meta = prepare(config)
    assert every.rows == len(meta.train_dataset)
    assert every.tokens == sum(map(len, meta.train_dataset["input_ids"]))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("ranks", [1, 2, 3, 8])
@pytest.mark.parametrize("rows", [5, 64, 101])
def test_ranks_share_batches_as_accelerate_deals_them(packed, ranks, rows):
    from accelerate.data_loader import BatchSamplerShard
    from axolotl.utils.dict import DictDefault
    from torch.utils.data import BatchSampler

    batches = BatchSampler(range(rows), 4, drop_last=packed)
    dealt = [
        len(BatchSamplerShard(batches, ranks, rank, even_batches=not packed))
        for rank in range(ranks)
    ]
    assert len(set(dealt)) == 1
    options = {"micro_batch_size": 4, "gradient_accumulation_steps": 2, "num_epochs": 1}
    cfg = DictDefault({**options, "sample_packing": packed})
    steps = count_steps(cfg, Epoch(rows, len(batches), 1, 1), ranks, plugin=True)
    assert steps.an_epoch == max(1, -(-dealt[0] // 2)) == steps.all


def cheap_counts(groups, rates):
    """Tokens of each group by a tokenizer that needs no more than the lengths."""
    numbers = [np.array(each["number"]) for each in groups]
    lengths = [np.array([len(text) for text in each["text"]]) for each in groups]
    return np.array([[(n * rates[i]).sum()] for n, i in zip(lengths, numbers, strict=True)])


@pytest.mark.slow
def test_the_interval_covers_the_truth_and_needs_the_sizes(monkeypatch):
    chance = np.random.default_rng(1)
    lengths = chance.lognormal(4.5, 1.5, 10_000).astype(int) + 1
    rates = chance.lognormal(-1.4, 0.15, lengths.size)
    truth = float((lengths * rates).sum())
    table = pa.table({"text": ["x" * n for n in lengths], "number": np.arange(lengths.size)})
    covered, narrow, widths, plain = 0, 0, [], []
    for seed in range(40):
        monkeypatch.setattr(draws, "SEED", seed)
        batches = (table.slice(begin, 1000) for begin in range(0, lengths.size, 1000))
        drawn = draws._draw_from(batches, "text", 500)
        assert (drawn.documents, drawn.drawn, drawn.size) == (10_000, 500, lengths.sum())
        sums = cheap_counts(drawn.groups, rates)
        found = estimate_totals(sums, 500 / 10_000, drawn.sizes, drawn.size)
        half = half_width(found.errors[0], len(sums))
        covered += abs(found.values[0] - truth) < half
        narrow += abs(found.values[0] - truth) < half / 3
        widths.append(half / truth)
        blind = estimate_totals(sums, 500 / 10_000)
        plain.append(half_width(blind.errors[0], len(sums)) / truth)
    # 92 % of 600 draws, in lengths as uneven as these; an interval of a third would not do.
    assert covered >= 34 > 24 > narrow
    assert np.median(widths) < 0.04
    assert np.median(plain) > 3 * np.median(widths)


def test_of_parquet_only_what_is_drawn_is_read(tmp_path, monkeypatch):
    chance = np.random.default_rng(2)
    lengths = chance.lognormal(5, 1.2, 36_000).astype(int) + 1
    texts = [chance.bytes(n).hex()[:n] for n in lengths]  # nothing to be stored once for several
    table = pa.table({"text": texts, "number": np.arange(lengths.size)})
    for index in range(3):
        part = table.slice(12_000 * index, 12_000)
        pq.write_table(part, tmp_path / f"part-{index}.parquet", row_group_size=200)
    read = []
    whole = pq.ParquetFile.read_row_group
    monkeypatch.setattr(
        pq.ParquetFile, "read_row_group", lambda self, i: read.append(i) or whole(self, i)
    )
    files = sorted(tmp_path.glob("*.parquet"))
    covered = 0
    for seed in range(5):
        monkeypatch.setattr(draws, "SEED", seed)
        read.clear()
        drawn = draws._Stretches.of(files, "text").draw(300)
        assert (drawn.documents, drawn.drawn, len(drawn.groups)) == (36_000, 300, 50)
        assert len(read) <= 100 < 180  # each once
        assert drawn.size == pytest.approx(lengths.sum(), rel=0.01)
        sums = cheap_counts(drawn.groups, np.full(lengths.size, 0.25))
        found = estimate_totals(sums, 300 / 36_000, drawn.sizes, drawn.size)
        covered += found.values[0] == pytest.approx(lengths.sum() / 4, rel=0.01)
    assert covered == 5


def test_parameters_are_those_of_the_model(tmp_path, tiny_model, corpus, monkeypatch):
    from transformers import AutoConfig, AutoModelForCausalLM

    cfg = load_cfg(host_config(tmp_path, tiny_model, corpus))
    loaded = AutoModelForCausalLM.from_pretrained(tiny_model)
    told = AutoConfig.from_pretrained(tiny_model)
    model = measure_model(cfg, None)
    assert model.parameters == sum(each.numel() for each in loaded.parameters())
    assert (model.layers, model.width) == (told.num_hidden_layers, told.hidden_size)
    assert measure_model(cfg, 7e9).parameters == 7e9

    def fail(*arguments, **options):
        raise RuntimeError("needs a GPU\nand more")

    monkeypatch.setattr(AutoModelForCausalLM, "from_config", fail)
    with pytest.raises(CFTError, match=r"\(needs a GPU\); give their number, as in --params 7e9"):
        measure_model(cfg, None)


def test_operations_and_hours_by_hand():
    model = Model(parameters=7e9, layers=32, width=4096)
    # One row of 4096: 6 × 7e9 × 4096 and 12 × 32 × 4096 × 4096².
    assert training_flops(model, 4096, 4096**2, adapter=False) == pytest.approx(1.98420e14, 1e-4)
    assert training_flops(model, 4096, 0, adapter=True) == 4 * 7e9 * 4096
    machine = Machine(gpus=8, peak=peak_of("A100", None), mfu=0.4)
    # The examples' own arithmetic: a billion tokens on 7B take some 90 A100-hours.
    assert machine.hours(6 * 7e9 * 1e9) == pytest.approx(93.5, abs=0.1)
    assert peak_of(None, 70) == 70e12 and peak_of(None, None) is None
    with pytest.raises(CFTError, match="'h10' is not known; known are a10, a100, b200, h100"):
        peak_of("h10", None)
    with pytest.raises(CFTError, match="give one of them"):
        peak_of("h100", 3)
    assert PEAKS.keys() >= {"h100", "mi300x", "rtx4090"}


def test_a_study_counts_every_run_and_its_data_once(tmp_path, tiny_model, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_study(tmp_path, tiny_model, REAL, stages={})
    write_jsonl(tmp_path / "corpus.jsonl", make_documents(60, words=240))
    spec = yaml.safe_load(path.read_text())
    del spec["evaluate"]
    path.write_text(yaml.safe_dump(spec, sort_keys=False))
    before = sorted(tmp_path.rglob("*"))
    found = foretell(path, tmp_path, peak=1e12, mfu=0.5)
    assert sorted(tmp_path.rglob("*")) == before
    rows = {row.name: row for row in found.trainings}
    assert [(row.name, row.runs) for row in found.trainings] == [
        ("base", 0),
        ("cpt", 2),
        ("cft", 2),
    ]
    assert (found.runs, found.steps) == (4, 64)
    assert rows["base"].flops == 0 and rows["cpt"].prompt_tokens == 0 < rows["cft"].prompt_tokens
    assert rows["cpt"].trained_tokens == rows["cft"].trained_tokens
    assert found.flops == pytest.approx(2 * rows["cpt"].flops + 2 * rows["cft"].flops)
    assert found.gpu_hours == pytest.approx(found.flops / 0.5e12 / 3600)
    plan = expand(read_study(path), path, Path("killed"))
    for step in plan.steps:
        if step.kind == "train":
            prepare(dict(step.config))
    saved = size_of(Path("killed/prepared")) - size_of_records(Path("killed/prepared"))
    assert len([each for each in Path("killed/prepared").iterdir() if each.is_dir()]) in (3, 4)
    assert found.prepared_bytes == pytest.approx(saved, rel=0.02)


def test_stages_that_arms_share_are_looked_at_once_and_counted_for_each(tmp_path, tiny_model):
    path = write_study(tmp_path, tiny_model, REAL)
    labels = []
    forecaster = Forecaster(Sampler(1000, lambda label, note: labels.append(label)), Machine())
    found = forecast(path, forecaster)
    names = ["base", "cpt/pretrain", "cpt/more", "cft/pretrain", "cft/more"]
    assert [row.name for row in found.trainings] == names
    rows = {row.name: row for row in found.trainings}
    assert [rows[name].runs for name in names] == [0, 2, 2, 2, 2]
    assert rows["cpt/more"].flops == rows["cft/more"].flops
    # cpt, cft, and the second stage of both; each chain has a prepared copy of the latter.
    assert len([label for label in labels if label.startswith("Encoding")]) == 3
    assert rows["cft/more"].prepared_bytes == rows["cpt/more"].prepared_bytes > 0
    lora, full = rows["cft/pretrain"], rows["cpt/pretrain"]
    assert lora.flops < full.flops * lora.tokens / full.tokens
    assert any("4N in the place of 6N" in line for line in found.assumptions)


def plan(*arguments):
    return CliRunner().invoke(main, ["corpus", "plan", *map(str, arguments)])


def test_the_command_prints_figures_assumptions_and_json(tmp_path, tiny_model, corpus, monkeypatch):
    config = host_config(tmp_path / "x", tiny_model, corpus, gradient_checkpointing=True)
    path = tmp_path / "cft.yml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    before = sorted(tmp_path.rglob("*"))
    shown = plan(path, "--gpu", "h100", "--gpus", 2)
    assert shown.exit_code == 0, shown.output
    assert sorted(tmp_path.rglob("*")) == before
    for words in (
        "all 24 documents",
        "2 × 1 × 2 = 4 rows of at most 192 tokens each, max_steps 2; 2 GPUs",
        "FLOPs / (989 TFLOP/s × 0.4)",
        "8N in all",
        "Not counted: evaluation",
    ):
        assert words in " ".join(shown.output.split()), words
    monkeypatch.setattr(arms, "forecast", lambda *given: print("a warning") or forecast(*given))
    told = plan(path, "--json", "--tflops", 100, "--params", 7e9)
    assert "a warning" in told.stderr
    found = json.loads(told.stdout)
    assert found["schema"] == 1 and found["gpu_hours"] > 0 and found["assumptions"]
    [row] = found["trainings"]
    assert row["exact"] and row["steps"] == 2 and row["flops"] == found["flops"]
    assert any("N = 7e+09" in line for line in found["assumptions"])


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({}, ["--gpu", "h1000"], "--gpu: 'h1000' is not known"),
        ({"base_model": "no-such/model"}, [], "no-such/model cannot be used"),
        ({"datasets": [{"path": "nowhere.jsonl", "type": "cft"}]}, [], "nowhere.jsonl"),
        ({"cft": {"promts": "paper"}}, [], "cft.promts: no such option"),
        ({"streaming": True, "max_steps": None}, [], "max_steps"),
    ],
)
def test_refusals_are_one_sentence(tmp_path, tiny_model, corpus, changes, options, message):
    config = host_config(tmp_path, tiny_model, corpus) | changes
    path = tmp_path / "cft.yml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    shown = plan(path, *options)
    assert shown.exit_code == 1, shown.output
    assert message in shown.output and "Traceback" not in shown.output
    assert os.linesep * 2 not in shown.stderr.strip()
