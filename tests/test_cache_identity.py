"""The cache tells the truth: what reaches the rows decides which folder is used, and nothing else.

Every case copies a small world (documents, pools, tokenizer, prepared data) to another folder,
changes one thing there, and prepares again, beside the data that were prepared before the change.
Freshly prepared rows, at the latest from a third time into an empty folder, tell which is right.
"""

import json
import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import make_documents, write_jsonl
from host import fit, host_config, load_cfg, prepare

from axolotl_cft.errors import CFTError
from axolotl_cft.records import SOURCES_FILE

Rows = list[tuple[list[int], list[int]]]
Change = Callable[[dict[str, Any]], None]

CONVERSATIONS = [
    {
        "messages": [
            {"role": "user", "content": f"Question {index}: what does the heart do?"},
            {"role": "assistant", "content": "It pumps blood through the vessels. " * (1 + index)},
        ]
    }
    for index in range(12)
]
POOL = {"name": "mine", "prompts": [{"id": "a", "text": "Read this."}, {"id": "b", "text": "Go."}]}


def build_world(folder: Path, model: Path) -> None:
    """Everything that a config of this module names, by names relative to `folder`."""
    shutil.copytree(model, folder / "model", ignore=shutil.ignore_patterns("*.safetensors"))
    documents = make_documents(12)
    write_jsonl(folder / "corpus.jsonl", documents)
    write_jsonl(folder / "chats.jsonl", CONVERSATIONS)
    (folder / "parts").mkdir()
    write_jsonl(folder / "parts" / "a.jsonl", documents[:6])
    write_jsonl(folder / "parts" / "b.jsonl", documents[6:])
    (folder / "pool.yaml").write_text(yaml.safe_dump(POOL))
    template = json.loads((folder / "model" / "tokenizer_config.json").read_text())
    stored = folder / "model" / "chat_template.jinja"
    text = stored.read_text() if stored.is_file() else template["chat_template"]
    (folder / "template.jinja").write_text(text)


def config_of(kind: str) -> dict[str, Any]:
    """The config that the cases of a kind change."""
    config = host_config(Path("run"), Path("model"), Path("corpus.jsonl"))
    config |= {"dataset_prepared_path": "prepared", "cft": {"prompts": "paper", "seed": 3}}
    config["cft"]["prompt_budget"] = 96
    documents, conversations = config["datasets"][0], {"path": "chats.jsonl", "type": "cft.chat"}
    if kind == "bare":
        config["cft"]["prompts"] = "none"
    elif kind == "one prompt":
        config["cft"]["prompts"] = "fixed"
    elif kind == "pool":
        config["cft"]["prompts"] = "pool.yaml"
    elif kind == "folder":
        documents["path"] = "parts"
    elif kind == "pattern":
        documents |= {"path": "parts", "data_files": ["parts/*.jsonl"], "ds_type": "json"}
    elif kind == "chat format":
        config["cft"]["format"] = "chat"
    elif kind == "jinja":
        config["cft"]["format"] = "chat"
        config |= {"chat_template": "jinja", "chat_template_jinja": "template.jinja"}
    elif kind == "own jinja":
        config["cft"]["format"] = "chat"
        documents |= {"chat_template": "jinja", "chat_template_jinja": "template.jinja"}
    elif kind == "conversations":
        config["datasets"] = [conversations]
    elif kind == "bare conversations":
        config["datasets"] = [conversations]
        config["cft"]["prompts"] = "none"
    elif kind == "two sets":
        config["datasets"] = [{**documents, "path": f"parts/{name}.jsonl"} for name in "ab"]
    elif kind == "mixed":
        other = {"path": "parts/b.jsonl", "type": "completion", "field": "text"}
        config["datasets"] = [{**documents, "path": "parts/a.jsonl"}, other]
    elif kind == "sharded":
        config["curriculum_sampling"] = True
        documents |= {"shards": 2, "shards_idx": 1}
    elif kind == "unshuffled":
        config["curriculum_sampling"] = True
    elif kind == "tested":
        config["test_datasets"] = [dict(documents)]
        config["cft"]["holdout"] = 0.3
    else:
        assert kind == "plain"
    return config


def sets(**changes: Any) -> Change:
    """Change options of the config; a block (`cft`) is merged."""

    def change(config: dict[str, Any]) -> None:
        for key, value in changes.items():
            config[key] = {**config[key], **value} if key == "cft" else value

    return change


def edits(path: str, old: str, new: str) -> Change:
    """Replace a text in a file."""

    def change(config: dict[str, Any]) -> None:
        content = Path(path).read_text(encoding="utf-8")
        assert old in content
        Path(path).write_text(content.replace(old, new), encoding="utf-8")

    return change


def writes(path: str, content: str) -> Change:
    """Write a file."""
    return lambda config: Path(path).write_text(content, encoding="utf-8") and None


def edits_tokenizer(edit: Callable[[dict[str, Any]], None], indent: int | None = None) -> Change:
    """Rewrite `tokenizer.json` under its own name."""

    def change(config: dict[str, Any]) -> None:
        path = Path("model/tokenizer.json")
        content = json.loads(path.read_text(encoding="utf-8"))
        edit(content)
        path.write_text(json.dumps(content, indent=indent), encoding="utf-8")

    return change


def forget_merges(tokenizer: dict[str, Any]) -> None:
    del tokenizer["model"]["merges"][100:]


def forget_bos(tokenizer: dict[str, Any]) -> None:
    tokenizer["post_processor"] = None


def edits_template(config: dict[str, Any]) -> None:
    """Change the chat template that the tokenizer brings."""
    for path in (Path("model/chat_template.jinja"), Path("model/tokenizer_config.json")):
        if path.is_file():
            path.write_text(
                path.read_text().replace("message['role'] }}|>", "message['role'] }}>>")
            )


def touches(config: dict[str, Any]) -> None:
    for path in ("corpus.jsonl", "model/tokenizer.json"):
        os.utime(path, (1e9, 1e9))


def copies(config: dict[str, Any]) -> None:
    shutil.copy("corpus.jsonl", "copy")
    Path("copy").replace("corpus.jsonl")


def swaps(config: dict[str, Any]) -> None:
    config["datasets"].reverse()


def lists_twice(config: dict[str, Any]) -> None:
    config["datasets"].append(dict(config["datasets"][0]))


def prompts_in_test(config: dict[str, Any]) -> None:
    config["test_datasets"][0]["cft"] = {"prompts": "fixed"}


def moves_pool(config: dict[str, Any]) -> None:
    described = {**POOL, "description": "Mine, and nobody else's."}
    Path("elsewhere.yaml").write_text(yaml.safe_dump(described))
    config["cft"]["prompts"] = "elsewhere.yaml"


def spells_out(config: dict[str, Any]) -> None:
    config["cft"] |= {"views": 1, "format": "plain", "dropout": 0.0, "separator": "\n\n"}
    config |= {"min_sample_len": 2, "excess_length_strategy": "drop"}


def nothing(config: dict[str, Any]) -> None:
    """Another folder is change enough: every case has its own."""


MORE = json.dumps({"text": "One more document, about bonds.", "topic": "x", "id": "y"}) + "\n"
CARD = "---\nconfigs:\n- config_name: default\n  data_files: a.jsonl\n---\n"
LICENSE = "---\nlicense: mit\n---\n"
IDLE = {"seed": 4, "place": "system", "prompt_budget": 90}

REACHES: list[tuple[str, str, Change]] = [
    ("plain", "a letter of a document", edits("corpus.jsonl", "heart", "Heart")),
    ("plain", "tokenizer.json edited in place", edits_tokenizer(forget_merges)),
    ("plain", "the tokenizer sets no BOS", edits_tokenizer(forget_bos)),
    ("plain", "tokens added", sets(tokens=["glucose", "vessels"])),
    ("plain", "another EOS", sets(special_tokens={"pad_token": "</s>", "eos_token": "<unk>"})),
    ("plain", "min_sample_len", sets(min_sample_len=64)),
    ("plain", "sequence_len", sets(sequence_len=160)),
    ("plain", "the host's seed, which shuffles", sets(seed=8)),
    ("plain", "no shuffling", sets(shuffle_merged_datasets=False)),
    ("plain", "curriculum_sampling: no shuffling", sets(curriculum_sampling=True)),
    ("plain", "cft.seed", sets(cft={"seed": 4})),
    ("plain", "another pool", sets(cft={"prompts": "negative"})),
    ("plain", "no prompts", sets(cft={"prompts": "none"})),
    ("plain", "prompts of a column", sets(cft={"prompts": {"column": "topic"}})),
    ("plain", "separator", sets(cft={"separator": " "})),
    ("plain", "format", sets(cft={"format": "chat"})),
    ("plain", "prompt_budget", sets(cft={"prompt_budget": 100})),
    ("plain", "every", sets(cft={"every": 40})),
    ("plain", "views", sets(cft={"views": 2})),
    ("plain", "dropout", sets(cft={"dropout": 0.5})),
    ("plain", "holdout", sets(cft={"holdout": 0.3})),
    ("plain", "documents listed twice", lists_twice),
    ("bare", "prompt_budget, which bounds chunks", sets(cft={"prompt_budget": 100})),
    ("bare", "every, which bounds chunks", sets(cft={"every": 20})),
    ("one prompt", "dropout by another seed", sets(cft={"dropout": 0.5, "seed": 4})),
    ("pool", "a prompt's text", edits("pool.yaml", "Read this.", "Read that.")),
    ("folder", "another file", writes("parts/c.jsonl", MORE)),
    ("folder", "a README that names the files", writes("parts/README.md", CARD)),
    ("pattern", "another file", writes("parts/c.jsonl", MORE)),
    ("chat format", "the tokenizer's template", edits_template),
    ("jinja", "the template's file", edits("template.jinja", "<|assistant|>", "<|bot|>")),
    ("own jinja", "the template's file", edits("template.jinja", "<|assistant|>", "<|bot|>")),
    ("conversations", "the tokenizer's template", edits_template),
    ("conversations", "place", sets(cft={"place": "system"})),
    ("conversations", "separator", sets(cft={"separator": " "})),
    ("conversations", "long rows cut, not dropped", sets(excess_length_strategy="truncate")),
    ("two sets", "their order", swaps),
    ("sharded", "the host's seed, which deals out", sets(seed=8)),
    ("mixed", "a document of the other type", edits("parts/b.jsonl", "Section 7", "Chapter 7")),
    ("tested", "eval_sequence_len", sets(eval_sequence_len=128)),
    ("tested", "prompts in the test part", prompts_in_test),
]

STAYS: list[tuple[str, str, Change]] = [
    ("plain", "another folder", nothing),
    ("plain", "touch", touches),
    ("plain", "a copy", copies),
    ("plain", "a README beside the file", writes("README.md", "Hello.")),
    ("plain", "tokenizer.json with other line breaks", edits_tokenizer(lambda _: None, indent=1)),
    ("plain", "a template that nothing renders", edits_template),
    ("plain", "defaults written out", spells_out),
    ("plain", "rows that are never too long", sets(excess_length_strategy="truncate")),
    ("plain", "options of training", sets(learning_rate=5e-5, micro_batch_size=1, num_epochs=2)),
    ("plain", "eval_sequence_len, with nothing to evaluate", sets(eval_sequence_len=128)),
    ("bare", "cft.seed", sets(cft={"seed": 4})),
    ("bare", "separator", sets(cft={"separator": " "})),
    ("bare", "format", sets(cft={"format": "chat"})),
    ("bare", "dropout", sets(cft={"dropout": 0.5})),
    ("one prompt", "cft.seed", sets(cft={"seed": 4})),
    ("pool", "its place and its description", moves_pool),
    ("folder", "a README without a word on files", writes("parts/README.md", LICENSE)),
    ("folder", "notes", writes("parts/notes.txt", "Not data.")),
    ("pattern", "a README", writes("parts/README.md", "Hello.")),
    ("chat format", "separator", sets(cft={"separator": " "})),
    ("bare conversations", "cft.seed, place and budget", sets(cft=IDLE)),
    ("unshuffled", "the host's seed", sets(seed=8)),
    ("two sets", "another folder", nothing),
    ("mixed", "another folder", nothing),
    ("tested", "another folder", nothing),
]


@dataclass
class World:
    """A folder in which a kind of config was prepared, once for all its cases."""

    folder: Path
    rows: Rows = field(default_factory=list)


@pytest.fixture(scope="module")
def worlds(tmp_path_factory, tiny_model):
    """Prepared worlds by kind, made when first asked for."""
    made: dict[str, World] = {}

    def world(kind: str) -> World:
        if kind not in made:
            folder = tmp_path_factory.mktemp("world")
            build_world(folder, tiny_model)
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(folder)
                made[kind] = World(folder, rows_of(config_of(kind)))
        return made[kind]

    return world


def rows_of(config: dict[str, Any]) -> Rows:
    """The rows that the host has for a config, in order, those of the test part last."""
    _, meta = prepare(config)
    parts = [part for part in (meta.train_dataset, meta.eval_dataset) if part is not None]
    return [(row["input_ids"], row["labels"]) for part in parts for row in part]


def folders(where: str = "prepared") -> set[str]:
    return {path.name for path in Path(where).iterdir() if path.is_dir()}


def after(change: Change, world: World, kind: str, folder: Path) -> tuple[Rows, Rows, bool]:
    """(rows with the cache, rows without it, whether the cache was used) after a change."""
    shutil.copytree(world.folder, folder / "copy")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder / "copy")
        config = config_of(kind)
        before = folders()
        change(config)
        cached = rows_of(config)
        reused = folders() == before
        # Rows of a new folder have just been prepared.
        fresh = rows_of({**config, "dataset_prepared_path": "empty"}) if reused else cached
        return cached, fresh, reused


def named(cases: list[tuple[str, str, Change]]) -> Any:
    return pytest.mark.parametrize(
        ("kind", "change"), [pytest.param(k, c, id=f"{k}: {what}") for k, what, c in cases]
    )


@named(REACHES)
def test_what_reaches_the_rows_gives_another_folder(worlds, tmp_path, kind, change):
    world = worlds(kind)
    cached, fresh, reused = after(change, world, kind, tmp_path)
    assert fresh != world.rows, "the case proves nothing: the rows are the same"
    assert cached == fresh
    assert not reused


@named(STAYS)
def test_what_does_not_reach_the_rows_keeps_the_folder(worlds, tmp_path, kind, change):
    world = worlds(kind)
    cached, fresh, reused = after(change, world, kind, tmp_path)
    assert fresh == world.rows, "the case proves nothing: the rows differ"
    assert cached == fresh
    assert reused


def test_prepared_data_are_trained_on_where_the_documents_are_not(
    worlds, tmp_path, monkeypatch, caplog
):
    """Prepared on one machine, shipped to another."""
    world = worlds("tested")
    shutil.copytree(world.folder, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    Path("corpus.jsonl").unlink()
    record = Path("prepared", SOURCES_FILE).read_bytes()
    before = folders()
    with caplog.at_level(logging.INFO):
        assert rows_of(config_of("tested")) == world.rows
    assert folders() == before
    assert Path("prepared", SOURCES_FILE).read_bytes() == record
    assert caplog.text.count("corpus.jsonl is not at hand; what was prepared from it") == 1
    assert not [path for path in Path("prepared").rglob("*sources*") if path.parent.name in before]


def test_training_needs_no_documents_either(tmp_path, tiny_model, monkeypatch):
    monkeypatch.chdir(tmp_path)
    corpus = write_jsonl(Path("corpus.jsonl"), make_documents(12))
    config = host_config(Path("run"), tiny_model, corpus)
    _, meta = prepare(config)
    corpus.unlink()
    trainer = fit(config)
    assert trainer.state.global_step == 2
    assert trainer.train_dataset["input_ids"] == meta.train_dataset["input_ids"]
    Path("run/prepared", SOURCES_FILE).unlink()
    with pytest.raises(CFTError, match="there is no .* here"):
        prepare(config)


def test_evaluation_refuses_what_another_tokenizer_prepared(tmp_path, tiny_model, monkeypatch):
    """`axolotl evaluate` asks the plugin for nothing between the config and the data."""
    from axolotl.cli.args import TrainerCliArgs
    from axolotl.cli.evaluate import do_evaluate

    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_model, "model")
    corpus = write_jsonl(Path("corpus.jsonl"), make_documents(12))
    config = host_config(Path("run"), Path("model"), corpus)
    config |= {"test_datasets": config["datasets"], "cft": {**config["cft"], "holdout": 0.3}}

    def evaluate() -> None:
        do_evaluate(load_cfg(config), TrainerCliArgs())

    evaluate()
    evaluate()
    edits_tokenizer(forget_merges)(config)
    with pytest.raises(CFTError, match="test_datasets: .*was prepared with other options; delete"):
        evaluate()
