"""Registration in the real host: identity of prepared data, refusals, warnings, stamps, ledger."""

import json
import logging
import re
from pathlib import Path

import pytest
import yaml
from conftest import make_documents, write_jsonl
from datasets import Dataset
from host import fit, host_config, load_cfg, prepare

from axolotl_cft.errors import CFTError
from axolotl_cft.prompts.registry import load_pool


@pytest.fixture
def corpus(tmp_path) -> Path:
    return write_jsonl(tmp_path / "corpus.jsonl", make_documents(24))


@pytest.fixture
def config(tmp_path, tiny_model, corpus):
    return host_config(tmp_path, tiny_model, corpus)


def register(config):
    """What `CFTPlugin.register` alone does to a raw config; no model, no validation."""
    from axolotl.utils.dict import DictDefault

    from axolotl_cft.host.plugin import CFTPlugin

    cfg = DictDefault(config)
    CFTPlugin().register(cfg)
    return cfg


def stamp(config) -> str:
    return register(config)["datasets"][0]["conversation"]


def folders(config) -> set[str]:
    """Names of the prepared datasets that the host keeps."""
    prepared = Path(config["dataset_prepared_path"])
    return {path.name for path in prepared.iterdir() if path.is_dir()}


def test_prepared_data_change_with_the_options_and_with_nothing_else(config, corpus, tmp_path):
    prepare(config)
    first = folders(config)
    assert len(first) == 1
    prepare(config)
    assert folders(config) == first
    prepare({**config, "cft": {**config["cft"], "seed": 8}})
    assert len(folders(config)) == 2
    prepare({**config, "learning_rate": 5e-5, "output_dir": str(tmp_path / "elsewhere" / "out")})
    assert len(folders(config)) == 2
    with corpus.open("a") as file:
        file.write(json.dumps({"text": "One more document.", "topic": "x", "id": "y"}) + "\n")
    prepare(config)
    assert len(folders(config)) == 3


def pool_file(path: Path, text: str) -> Path:
    content = {"name": "mine", "prompts": [{"id": "a", "text": text}, {"id": "b", "text": "B."}]}
    path.write_text(yaml.safe_dump(content))
    return path


def test_every_option_and_the_content_of_a_pool_enter_the_identity(config, tmp_path):
    seen = {stamp(config)}
    changes = [
        {"prompts": "negative"},
        {"prompts": "none"},
        {"prompts": {"column": "topic"}},
        {"format": "chat"},
        {"separator": "\n"},
        {"prompt_budget": 97},
        {"seed": 1},
        {"views": 2},
        {"dropout": 0.1},
        {"holdout": 0.1},
    ]
    for change in changes:
        seen.add(stamp({**config, "cft": {**config["cft"], **change}}))
    seen.add(stamp({**config, "seed": 8}))
    assert len(seen) == len(changes) + 2
    pool = pool_file(tmp_path / "pool.yaml", "A.")
    named = {**config, "cft": {**config["cft"], "prompts": str(pool)}}
    before = stamp(named)
    pool_file(pool, "Another A.")
    assert stamp(named) != before
    pool_file(pool, "A.")
    assert stamp(named) == before


def stamps(config) -> list[str]:
    cfg = register(config)
    return [ds["conversation"] for key in ("datasets", "test_datasets") for ds in cfg[key] or []]


def test_no_two_datasets_of_a_config_share_a_stamp(config):
    """Not even where no local file tells them apart, no prompt is drawn, or both are the same."""
    config["cft"]["prompts"] = "none"
    hub = {"path": "org/a", "type": "cft", "field": "text"}
    config["datasets"] = [
        hub,
        {**hub, "path": "org/b"},
        {**hub, "split": "extra"},
        {**hub, "field": "title"},
        dict(hub),
    ]
    config["test_datasets"] = [dict(hub), {**hub, "path": "org/b"}]
    first = stamps(config)
    assert len(set(first)) == len(first) == 7
    assert stamps(config) == first


def test_rows_of_the_test_part_have_their_own_length(config, corpus):
    config["cft"]["prompts"] = "none"
    config["test_datasets"] = [{"path": str(corpus), "type": "cft", "field": "text"}]

    def longest(length):
        _, meta = prepare({**config, "eval_sequence_len": length})
        pair = (meta.train_dataset, meta.eval_dataset)
        return [max(map(len, dataset["input_ids"])) for dataset in pair]

    (whole, short), (same, shorter) = longest(160), longest(128)
    assert whole == same == 192 - 96 + 1
    assert short <= 160 - 96 + 1 and shorter <= 128 - 96 + 1 < whole


def test_a_dataset_listed_twice_is_counted_twice(config):
    from axolotl_cft.host.preparing import descriptions

    config["datasets"].append(dict(config["datasets"][0]))
    _, meta = prepare(config)
    entries = descriptions(meta.train_dataset)
    assert [entry.ledger.documents for entry in entries] == [24, 24]
    assert sum(entry.ledger.rows for entry in entries) == len(meta.train_dataset)
    (beside,) = Path(config["dataset_prepared_path"]).glob("*.cft_ledger.json")
    assert len(json.loads(beside.read_text())["datasets"]) == 2


def test_files_behind_patterns_and_links_enter_the_identity(config, corpus, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "loop").symlink_to(folder)
    (tmp_path / "elsewhere").mkdir()
    target = write_jsonl(tmp_path / "elsewhere" / "a[1].jsonl", make_documents(2))
    linked = {"path": str(folder)}
    pattern = {"path": str(folder), "data_files": [str(tmp_path / "else*" / "*.jsonl")]}
    literal = {"path": "json", "data_files": str(target)}
    for source in (linked, pattern, literal):
        config["datasets"][0] = {"type": "cft", "field": "text", **source}
        write_jsonl(target, make_documents(2))
        before = stamp(config)
        assert stamp(config) == before
        write_jsonl(target, make_documents(3))
        assert stamp(config) != before


def test_caches_inside_a_saved_dataset_do_not(config, tmp_path):
    """`datasets` keeps the result of a map beside the data it came from."""
    saved = tmp_path / "saved"
    Dataset.from_list(make_documents(6)).save_to_disk(str(saved))
    config["datasets"][0]["path"] = str(saved)
    before = stamp(config)
    prepare(config)
    assert list(saved.glob("cache-*"))
    assert stamp(config) == before
    prepare(config)
    assert len(folders(config)) == 1


def test_spelling_out_a_default_changes_nothing(config):
    spelled = {**config["cft"], "views": 1, "format": "plain", "seed": config["seed"]}
    assert stamp({**config, "cft": spelled}) == stamp(config)


def test_encoding_version_enters_the_identity(config, monkeypatch):
    before = stamp(config)
    monkeypatch.setattr("axolotl_cft.host.plan.ENCODING_VERSION", 999)
    assert stamp(config) != before


def test_registering_twice_is_registering_once(config):
    config["datasets"][0]["cft"] = {"prompts": "negative"}
    once = register(config)
    first = once["datasets"][0]["conversation"]
    twice = register(once.to_dict())
    assert twice["datasets"][0]["conversation"] == first


def test_test_datasets_go_without_prompts_unless_they_ask(config, corpus):
    from axolotl_cft.host.preparing import PLANS

    config["cft"] |= {"holdout": 0.2, "views": 2, "dropout": 0.1}
    config["test_datasets"] = [
        {"path": str(corpus), "type": "cft", "field": "text"},
        {"path": str(corpus), "type": "cft", "field": "text", "cft": {"prompts": "fixed"}},
    ]
    cfg = register(config)
    plans = [PLANS[ds["conversation"]] for ds in cfg["test_datasets"]]
    assert [plan.source.name for plan in plans] == ["none", "fixed"]
    assert all(plan.part == "test" for plan in plans)
    assert [(plan.options.views, plan.options.dropout) for plan in plans] == [(1, 0.0)] * 2


def test_command_line_overrides_arrive(config):
    cfg = load_cfg(config, cft__seed="5", cft__prompts="negative")
    assert cfg.cft.seed == 5
    assert cfg.datasets[0].conversation == stamp(
        {**config, "cft": {**config["cft"], "seed": 5, "prompts": "negative"}}
    )


REFUSALS = [
    ({"cft": {"promts": "paper"}}, "cft.promts: no such option; known options: prompts"),
    ({"cft": {"views": "many"}}, "cft.views: .*integer.*'many'"),
    ({"cft": {"views": 0}}, "cft.views: .*greater than or equal to 1"),
    ({"cft": {"dropout": 1.0}}, "cft.dropout: .*less than 1"),
    ({"cft": {"holdout": -0.1}}, "cft.holdout: .*greater than or equal to 0"),
    ({"cft": {"format": "html"}}, "cft.format: .*'plain' or 'chat'"),
    ({"cft": {"prompts": None}}, "cft.prompts: is empty; name a pool"),
    ({"cft": {"prompts": ["a"]}}, "cft.prompts: expected a pool's name"),
    ({"cft": {"prompts": {"colunm": "x"}}}, "cft.prompts: expected a pool's name"),
    ({"cft": {"prompts": "papr"}}, "unknown prompt pool 'papr'"),
    ({"cft": {"prompts": "no/such.yaml"}}, "no/such.yaml cannot be read"),
    ({"cft": "paper"}, "cft: expected a block of options"),
    ({"cft": {"views": 2, "prompts": "none"}}, "views: 2 would repeat the same row"),
    ({"cft": {"views": 2, "prompts": "fixed"}}, "views: 2 would repeat the same row"),
    ({"cft": {"views": 2, "prompts": {"column": "x"}}}, "views: 2 would repeat the same row"),
    ({"pretraining_dataset": "x"}, "pretraining_dataset: .*`type: cft`"),
    ({"skip_prepare_dataset": True}, "skip_prepare_dataset: .*remove"),
    ({"rl": "dpo"}, "rl: dpo trains on preferences"),
    ({"datasets": [{"path": "x", "type": "alpaca"}]}, "cft: no dataset uses these options"),
    ({"datasets": "corpus.jsonl"}, "cft: no dataset uses these options"),
    (
        {"datasets": [{"path": "x", "type": "alpaca", "cft": {"seed": 1}}]},
        r"datasets\[0\].cft: `type: alpaca` does not use these options",
    ),
    (
        {"datasets": [{"path": "x", "type": "cft"}] * 2, "streaming": True, "sample_packing": True},
        "streaming: with sample_packing the host reads the first of `datasets`",
    ),
    (
        {"datasets": [{"path": "x", "type": "cft", "preprocess_shards": 2}], "seed": None},
        r"datasets\[0\].preprocess_shards: without a `seed`.*set seed",
    ),
]


@pytest.mark.parametrize(("change", "message"), REFUSALS)
def test_wrong_configs_are_refused_in_one_sentence(config, change, message):
    with pytest.raises(CFTError) as caught:
        register({**config, **change})
    assert re.search(message, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)


DATASET_REFUSALS = [
    ({"conversation": "chatml"}, r"datasets\[0\].conversation: .*remove it"),
    ({"path": "notes.txt"}, "notes.txt would be split by the host into one document per line"),
    (
        {"path": "notes.txt.gz"},
        "notes.txt.gz would be split by the host into one document per line",
    ),
    ({"cft": "negative"}, r"datasets\[0\].cft: expected a block of options, got 'negative'"),
    ({"ds_type": "text"}, "would be split by the host into one document per line"),
    ({"data_files": ["a.txt"]}, "a.txt would be split"),
    ({"cft": {"holdout": 0.1}}, r"datasets\[0\].cft.holdout: set it in the top-level"),
    ({"cft": {"vews": 1}}, r"datasets\[0\].cft.vews: no such option"),
]


@pytest.mark.parametrize(("change", "message"), DATASET_REFUSALS)
def test_wrong_datasets_are_refused_in_one_sentence(config, change, message):
    config["datasets"][0] |= change
    with pytest.raises(CFTError) as caught:
        register(config)
    assert re.search(message, str(caught.value)), str(caught.value)


def test_a_folder_of_text_files_is_refused(config, tmp_path):
    folder = tmp_path / "texts"
    (folder / "below").mkdir(parents=True)
    (folder / "below" / "a.txt").write_text("x")
    for ds_type in (None, "text"):
        config["datasets"][0] |= {"path": str(folder), "ds_type": ds_type}
        with pytest.raises(
            CFTError, match="texts would be split by the host into one document per line"
        ):
            register(config)


def test_a_text_beside_data_or_read_as_json_is_none_of_our_business(config, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "LICENSE.txt").write_text("x")
    for name in ("a.jsonl", "b.jsonl"):
        write_jsonl(folder / name, make_documents(2))
    for source in ({"path": str(folder)}, {"path": "rows.txt", "ds_type": "json"}):
        config["datasets"][0] = {"type": "cft", "field": "text", **source}
        assert stamp(config)


def test_it_stands_beside_a_prompt_format_of_ones_own(config):
    """The host lets `type` be a mapping."""
    config["datasets"].append({"path": "x", "type": {"field_instruction": "a", "format": "{b}"}})
    assert stamp(config)


def test_an_old_host_is_refused(config, monkeypatch):
    monkeypatch.setattr("axolotl_cft.host.checks.version", lambda name: "0.17.2")
    with pytest.raises(CFTError, match=r"axolotl 0.17.2 is too old .*pip install"):
        register(config)


def test_refusals_reach_the_user_through_the_host(config):
    with pytest.raises(CFTError, match="cft.promts: no such option"):
        load_cfg({**config, "cft": {"promts": "paper"}})


def test_isolation_that_mixes_documents_is_refused(config):
    config["sample_packing"] = True
    del config["attn_implementation"]
    with pytest.raises(CFTError, match="packed documents see each other's prompts"):
        prepare(config)


def test_the_dotted_type_works_with_the_plugin_and_says_so_without(config):
    config["datasets"][0]["type"] = "axolotl_cft.strategy"
    _, meta = prepare(config)
    assert len(meta.train_dataset) >= 24
    without = {**config, "plugins": []}
    del without["cft"]
    without["dataset_prepared_path"] += "-other"
    with pytest.raises(CFTError, match=r"plugins: \[axolotl_cft.CFTPlugin\]"):
        prepare(without)


def test_without_the_plugin_the_host_speaks(config, monkeypatch):
    monkeypatch.delitem(__import__("sys").modules, "axolotl.prompt_strategies.cft", raising=False)
    without = {**config, "plugins": []}
    del without["cft"]
    with pytest.raises(ValueError, match="unhandled prompt tokenization strategy: cft"):
        prepare(without)


def warnings_of(caplog, config) -> str:
    with caplog.at_level(logging.WARNING):
        register(config)
    return " ".join(record.message for record in caplog.records)


def test_warnings_name_the_mend(config, caplog, monkeypatch):
    assert "cft" not in warnings_of(caplog, config)
    tested = {**config, "test_datasets": [dict(config["datasets"][0])]}
    kept = {**tested, "cft": {**config["cft"], "holdout": 0.1}}
    assert "trained on" not in warnings_of(caplog, kept)
    unused = {**config, "cft": kept["cft"]}
    assert "no test_datasets of type cft evaluate them" in warnings_of(caplog, unused)
    assert "test_datasets[0] holds the documents that are trained on" in warnings_of(caplog, tested)
    assert "nothing is evaluated" in warnings_of(caplog, {**kept, "streaming": True})
    monkeypatch.setenv("WORLD_SIZE", "2")
    risky = {**config, "val_set_size": 0.1, "sample_packing": True}
    risky["plugins"] = [*config["plugins"], "axolotl.integrations.lm_eval.LMEvalPlugin"]
    del risky["seed"]
    said = warnings_of(caplog, risky)
    for word in ("no `seed`", "cft.holdout", "curriculum_sampling: true", "run lm_eval after"):
        assert word in said


def test_ledger_of_preparation_lies_beside_the_folder(config):
    prepare(config)
    prepared = Path(config["dataset_prepared_path"])
    (name,) = folders(config)
    ledger = json.loads((prepared / f"{name}.cft_ledger.json").read_text())
    assert not list((prepared / name).glob("*ledger*"))
    (entry,) = ledger["datasets"]
    assert entry["ledger"]["documents"] == 24
    assert set(entry["ledger"]["prompt_counts"]) <= {p.id for p in load_pool("paper").prompts}


def final_ledger(config) -> dict:
    return json.loads((Path(config["output_dir"]) / "cft_ledger.json").read_text())


def test_rows_that_the_host_drops_show_as_tokens_lost(config, corpus, caplog):
    documents = make_documents(24)
    write_jsonl(corpus, [*documents, documents[3], {"id": "s", "topic": "s", "text": "Short."}])
    config |= {"min_sample_len": 64, "dataset_exact_deduplication": True}
    with caplog.at_level(logging.WARNING):
        trainer = fit(config)
    ledger = final_ledger(config)
    reached, made = ledger["reached_trainer"], ledger["train"]
    kept = sum(label != -100 for row in trainer.train_dataset["labels"] for label in row)
    assert reached["trained_tokens"] == kept
    assert reached["trained_tokens_lost"] == made["trained_tokens"] - kept > 0
    assert reached["rows_lost"] == made["rows"] - len(trainer.train_dataset) >= 1
    assert "did not reach the trainer" in caplog.text


def test_a_foreign_prepared_dataset_stops_the_run_before_its_first_step(config, tmp_path):
    from axolotl.train import train
    from datasets import load_from_disk

    _, meta = prepare(config)
    other = {**config, "cft": {**config["cft"], "prompts": "negative"}}
    cfg, _ = prepare(other)
    with pytest.raises(CFTError, match="was prepared with other options; delete its folder"):
        train(cfg=cfg, dataset_meta=meta)
    assert not list(Path(config["output_dir"]).glob("checkpoint-*"))

    name = sorted(folders(config))[0]
    tokenized = load_from_disk(str(Path(config["dataset_prepared_path"]) / name))
    tokenized.info.description = ""
    tokenized.to_parquet(str(tmp_path / "tokenized.parquet"))
    config["datasets"][0]["path"] = str(tmp_path / "tokenized.parquet")
    with pytest.raises(CFTError, match="carries no stamp of axolotl-cft"):
        fit(config)
