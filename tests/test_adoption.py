"""Axolotl configs that people have, turned to CFT: what changes, what stays, what the host does."""

import difflib
import re
from copy import deepcopy
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from conftest import make_documents, write_jsonl
from host import load_cfg, prepare

from axolotl_cft.errors import CFTError
from axolotl_cft.host.adoption import adopt

CONFIGS = {
    path.stem: path for path in sorted((Path(__file__).parent / "axolotl_configs").glob("*.yml"))
}
"""In the shapes that people have, with the keys of Axolotl 0.19."""

RAW = sorted(CONFIGS.keys() - {"chat"})

GONE = {
    "anchors": [],
    "deepspeed": ["      type:  completion", "val_set_size:  2000"],
    "fft_fsdp2": ["    type: completion"],
    "flow": [
        "plugins: [axolotl.integrations.liger.LigerPlugin]   # one line",
        '  {path: "data/train.jsonl", "type": "completion", field: text},   # ours',
        "  {path: 'data/extra.jsonl', type: 'completion'}",
        "test_datasets: [{path: data/dev.jsonl, type: completion, split: train}]",
    ],
    "lora_completion": [
        "    type: completion   # plain text",
        "val_set_size: 0.05     # for a look at the loss",
    ],
    "mixture": ["    type: completion", "val_set_size: .02"],
    "pretraining": [
        "pretraining_dataset:",
        "    text_column: raw_content",
        "    type: pretrain      # the default",
    ],
    "pretraining_packed": [
        "pretraining_dataset:",
        "  - {path: json, data_files: data/pages.jsonl}",
        "plugins: []",
    ],
    "qlora_packed": ["  type: completion", "dataset_prepared_path:"],
}
"""Every line that is not in the new config as it was in the old one."""


def text_of(name: str) -> str:
    return CONFIGS[name].read_text(encoding="utf-8")


def adopted(text: str) -> str:
    return adopt(text, "my.yml", "my-cft").text


def comments_of(text: str) -> list[str]:
    return re.findall(r"(?:^| )#.*", text, re.M)


def test_there_are_ten_shapes_and_every_one_is_tested() -> None:
    assert len(CONFIGS) == 10 and sorted(GONE) == RAW


@pytest.mark.parametrize("name", RAW)
def test_only_the_lines_that_have_to_change_do(name: str) -> None:
    old, new = text_of(name), adopted(text_of(name))
    lines = difflib.ndiff(old.splitlines(), new.splitlines())
    assert [line[2:] for line in lines if line.startswith("- ")] == GONE[name]
    assert comments_of(new) == comments_of(old)


@pytest.mark.parametrize("name", RAW)
def test_a_second_time_nothing_changes(name: str) -> None:
    once = adopted(text_of(name))
    assert adopt(once, "my.cft.yml", "other").text == once


@pytest.mark.parametrize("name", RAW)
def test_line_ends_a_byte_order_mark_and_an_open_end_stay(name: str) -> None:
    old, new = text_of(name), adopted(text_of(name))
    assert adopted(old.replace("\n", "\r\n")) == new.replace("\n", "\r\n")
    assert adopted("\ufeff" + old) == "\ufeff" + new
    assert adopted(old.rstrip("\n")).rstrip("\n") == new.rstrip("\n")


OURS = {"plugins", "datasets", "test_datasets", "cft", "seed", "dataset_prepared_path"}


@pytest.mark.parametrize("name", RAW)
def test_the_new_config_says_what_was_meant(name: str) -> None:
    old, new = yaml.safe_load(text_of(name)), yaml.safe_load(adopted(text_of(name)))
    changed = {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
    streams = {"pretraining_dataset", "streaming", "accelerator_config"}
    assert changed <= OURS | streams | {"val_set_size", "eval_sample_packing"}
    assert new["plugins"] == [*(old.get("plugins") or []), "axolotl_cft.CFTPlugin"]
    assert new["seed"] == old.get("seed", 42)
    assert new["cft"]["prompts"] == "paper"
    assert new["dataset_prepared_path"] == (old.get("dataset_prepared_path") or "prepared/my-cft")
    assert not new.get("val_set_size")
    kept = [
        {key: value for key, value in dataset.items() if key != "type"}
        for dataset in new["datasets"]
    ]
    given = deepcopy(old.get("datasets") or old["pretraining_dataset"])
    for dataset in given:
        dataset.pop("type", None)
        if "text_column" in dataset:
            dataset["field"] = dataset.pop("text_column")
    assert kept == given
    assert ("holdout" in new["cft"]) == (name in HOLDOUTS)
    if name in HOLDOUTS:
        assert new["cft"]["holdout"] == HOLDOUTS[name]


HOLDOUTS = {"lora_completion": 0.05, "deepspeed": 0.01, "mixture": 0.02, "qlora_packed": 0.01}
"""Shares that are held out; the others set nothing aside, stream, or bring a test set."""


# --- in the real host -----------------------------------------------------------------------------

LEFT_OUT_ON_CPU = """
    adapter deepspeed fsdp_config fsdp_version load_in_4bit load_in_8bit lora_mlp_kernel model_type
    tokenizer_config tokenizer_type wandb_name wandb_project x-reading
""".split()  # noqa: SIM905
FOR_CPU = {
    "attn_implementation": "sdpa",
    "bf16": False,
    "tf32": False,
    "optimizer": "adamw_torch",
    "sequence_len": 192,
    "gradient_accumulation_steps": 1,
    "dataset_num_proc": 1,
}


def on_this_machine(config: dict[str, Any], model: Path, folder: Path) -> dict[str, Any]:
    """The config with local data of the kind that it names, and settings that a CPU has."""
    config = {key: value for key, value in config.items() if key not in LEFT_OUT_ON_CPU}
    config |= FOR_CPU | {
        "base_model": str(model),
        "output_dir": str(folder / "out"),
        "dataset_prepared_path": str(folder / "prepared"),
        "plugins": ["axolotl_cft.CFTPlugin"],  # others patch models that are not here
    }
    local = {"data/old/*.txt"}  # Axolotl would look for it on the hub
    for key in ("datasets", "test_datasets"):
        if key in config:
            listed = [each for each in config[key] if each["path"] not in local]
            config[key] = [bring(each, folder) for each in listed]
    return config


def bring(dataset: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The dataset with rows of this machine under the columns that it names."""
    dataset = {key: value for key, value in dataset.items() if key != "name"}
    if dataset["type"] == "alpaca":
        rows = [{"instruction": f"Add {n}.", "input": "", "output": str(n)} for n in range(20)]
    elif isinstance(dataset["type"], dict):
        rows = [{"question": f"Add {number}.", "answer": str(number)} for number in range(20)]
    else:
        column = dataset.get("field", "text")
        rows = [{column: row["text"]} for row in make_documents(200, words=24)]
    stem = re.sub(r"\W", "-", f"{dataset['path']}{dataset.get('data_files')}")
    if "parquet" in stem:
        file = folder / f"{stem}.parquet"
        pq.write_table(pa.Table.from_pylist(rows), file)
    else:
        file = write_jsonl(folder / f"{stem}.jsonl", rows)
    if dataset["path"] == "json":
        return dataset | {"data_files": str(file)}
    dataset.pop("data_files", None)
    return dataset | {"path": str(file)}


def masked_prompt(row: dict[str, Any]) -> bool:
    """Whether some tokens are masked at the head of a row, and a text behind them is trained."""
    labels = [int(label) for label in row["labels"]]
    trained = [label != -100 for label in labels]
    return trained.index(True) > 8 and sum(trained) > 8


@pytest.mark.parametrize("name", RAW)
def test_the_host_prepares_what_was_adopted(name: str, tiny_model: Path, tmp_path: Path) -> None:
    new = yaml.safe_load(adopted(text_of(name)))
    config = on_this_machine(new, tiny_model, tmp_path)
    _, meta = prepare(config)
    rows = list(islice(iter(meta.train_dataset), 400))
    assert sum(masked_prompt(row) for row in rows[:400]) >= 2
    if "test_datasets" not in config:
        assert meta.eval_dataset is None
        return
    tested = list(meta.eval_dataset)
    assert tested and not any(masked_prompt(row) for row in tested)
    if share := config["cft"].get("holdout"):
        assert len(tested) < 0.2 * len(rows) and share < 0.1


def test_the_host_knows_the_shapes_as_they_were(tiny_model: Path, tmp_path: Path) -> None:
    """Else what is adopted would be no config that anybody has."""
    from axolotl.utils.schemas.datasets import PretrainingDataset

    from axolotl_cft.host.schema import dataset_keys, top_keys

    for name in CONFIGS:
        config = yaml.safe_load(text_of(name))
        assert config.keys() - {"x-reading"} <= top_keys()
        known = {"pretraining_dataset": set(PretrainingDataset.model_fields)}
        for key in ("datasets", "test_datasets", "pretraining_dataset"):
            for dataset in config.get(key) or []:
                assert dataset.keys() <= known.get(key, dataset_keys()), (name, key)
        load_cfg(on_this_machine(config, tiny_model, tmp_path) | {"plugins": []})


# --- by hand --------------------------------------------------------------------------------------

COMPLETION = "datasets:\n  - path: a.jsonl\n    type: completion\n"


def remarks_on(text: str) -> str:
    return "\n".join(adopt(text, "my.yml", "my-cft").remarks)


def test_no_validation_asked_for_stays_none() -> None:
    text = f"{COMPLETION}val_set_size: 0\n"
    assert "holdout" not in adopted(text) and "test_datasets" not in adopted(text)
    assert "nothing is held out, since val_set_size is 0" in remarks_on(text)


@pytest.mark.parametrize("written", ["", "val_set_size:\n"])
def test_where_nothing_is_said_a_part_is_held_out(written: str) -> None:
    config = yaml.safe_load(adopted(COMPLETION + written))
    assert config["cft"] == {"prompts": "paper", "holdout": 0.01}
    assert config["test_datasets"] == [{"path": "a.jsonl", "type": "cft"}]


def test_a_share_in_any_spelling_is_kept() -> None:
    for spelling, share in (("5e-2", 0.05), ("'0.1'", 0.1), (".25", 0.25)):
        config = yaml.safe_load(adopted(f"{COMPLETION}val_set_size: {spelling}\n"))
        assert config["cft"]["holdout"] == share


def test_a_folder_and_a_name_on_the_hub_are_tested_on_the_split_that_is_trained() -> None:
    text = "datasets:\n  - {path: org/name, type: completion}\n  - {path: ./d, type: completion}\n"
    tested = yaml.safe_load(adopted(text))["test_datasets"]
    assert [dataset["split"] for dataset in tested] == ["train", "train"]


def test_a_dataset_that_is_listed_twice_is_tested_once() -> None:
    text = "datasets:\n  - &d {path: a.jsonl, type: completion}\n  - *d\n"
    config = yaml.safe_load(adopted(text))
    assert config["datasets"] == [{"path": "a.jsonl", "type": "cft"}] * 2
    assert config["test_datasets"] == [{"path": "a.jsonl", "type": "cft"}]


def test_test_datasets_of_the_config_stay_and_are_read_bare() -> None:
    text = f"{COMPLETION}test_datasets:\n  - {{path: b.jsonl, type: completion}}  # mine\n"
    assert "  - {path: b.jsonl, type: cft}  # mine\n" in adopted(text)
    assert "holdout" not in adopted(text)


def test_a_block_and_a_plugin_of_ones_own_stay() -> None:
    text = (
        "plugins: [x.Y, axolotl_cft.CFTPlugin]  # both\nseed: 3\ndataset_prepared_path: p\n"
        f"cft: {{prompts: negative}}\n{COMPLETION}"
    )
    assert "plugins: [x.Y, axolotl_cft.CFTPlugin]  # both\n" in adopted(text)
    assert "cft: {prompts: negative, holdout: 0.01}\n" in adopted(text)


def test_what_somebody_wrote_by_half_is_completed() -> None:
    text = "datasets:\n  - {path: a.jsonl, type: cft}\n"
    config = yaml.safe_load(adopted(text))
    assert config["plugins"] == ["axolotl_cft.CFTPlugin"]
    assert config["cft"]["holdout"] == 0.01


def test_datasets_by_an_anchor_that_is_used_twice_are_changed_where_they_stand() -> None:
    listed = "  - path: a.jsonl   # all\n    type: completion\n"
    text = f"x-data: &data\n{listed}datasets: *data\ntest_datasets: *data\n"
    new = adopted(text)
    assert "datasets: *data\n" in new and "test_datasets: *data\n" in new
    assert yaml.safe_load(new)["datasets"] == [{"path": "a.jsonl", "type": "cft"}]
    with pytest.raises(CFTError, match="mine shares an anchor .* or call it x-mine if it only"):
        adopted(text.replace("x-data", "mine"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("datasets:\n  -\n    type: completion\n", "datasets:\n  -\n    type: cft\n"),
        ("  datasets:\n  - type: completion\n", "  datasets:\n  - type: cft\n"),
        ("%YAML 1.1\n---\ndatasets:\n- type: completion\n...\n", "- type: cft\n"),
        (
            "datasets: [{path: a.jsonl, type: completion,}]   # c",
            "datasets: [{path: a.jsonl, type: cft,}]   # c\n",
        ),
    ],
)
def test_unusual_forms_stay(old: str, new: str) -> None:
    assert new in adopted(old)
    assert adopted(adopted(old)) == adopted(old)


def test_a_validation_set_beside_an_empty_list_of_tests_is_replaced() -> None:
    new = adopted(f"{COMPLETION}val_set_size: 0.1  # a\ntest_datasets:  # b\n")
    assert "val_set_size: 0  # a\n" in new
    assert "test_datasets:  # b\n  - path: a.jsonl\n    type: cft\n" in new


def test_files_of_lines_are_no_documents() -> None:
    text = "datasets:\n  - {path: books.txt, type: completion}\n"
    with pytest.raises(CFTError, match="a document of every line of a text file.*corpus pack"):
        adopted(text)
    assert "books.txt, type: completion" in adopted(COMPLETION + text.partition("\n")[2])


def test_a_pretraining_dataset_by_its_name_is_listed() -> None:
    config = yaml.safe_load(adopted("pretraining_dataset: org/pages   # all\nmax_steps: 5\n"))
    assert config["datasets"] == [{"path": "org/pages", "type": "cft"}]
    assert config["streaming"] is True and "pretraining_dataset" not in config


def test_an_unpacked_stream_of_files_names_them(tiny_model: Path, tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "pages.jsonl", make_documents(20))
    text = f"pretraining_dataset:\n  - path: json\n    data_files: {file}\nmax_steps: 5\n"
    config = on_this_machine(yaml.safe_load(adopted(text)), tiny_model, tmp_path)
    config["datasets"] = yaml.safe_load(adopted(text))["datasets"]
    assert config["datasets"][0]["path"] == str(file)
    config |= {
        "micro_batch_size": 1,
        "learning_rate": 1e-4,
        "special_tokens": {"pad_token": "</s>"},
    }
    _, meta = prepare(config)
    assert all(masked_prompt(row) for row in islice(iter(meta.train_dataset), 2))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("base_model: x\n", "my.yml: no dataset is raw text, so there is nothing to put prompts"),
        ("datasets:\n", "my.yml: no dataset is raw text"),
        ("datasets: []\n", "my.yml: no dataset is raw text"),
        ("datasets: a.jsonl\n", "my.yml: datasets: expected a list"),
        ("datasets: {path: a, type: completion}\n", "my.yml: datasets: expected a list"),
        (f"plugins: x.Y\n{COMPLETION}", "my.yml: plugins: expected a list"),
        (f"cft: paper\n{COMPLETION}", "my.yml: cft: expected a block of options"),
        (f"val_set_size: some\n{COMPLETION}", "my.yml: val_set_size: expected a share"),
        (f"val_set_size: .nan\n{COMPLETION}", "my.yml: val_set_size: expected a share"),
        (
            f"val_set_size: 0.1\ntest_datasets: [{{path: b, type: completion}}]\n{COMPLETION}",
            "my.yml: Axolotl takes val_set_size or test_datasets",
        ),
        (f"pretraining_dataset: x\n{COMPLETION}", "my.yml: Axolotl reads pretraining_dataset and"),
        (
            "pretraining_dataset: [{path: x, skip: 9}]\n",
            "my.yml: pretraining_dataset[0].skip: a dataset under `datasets` cannot leave out",
        ),
        ("pretraining_dataset: [{path: x}, {path: y}]\n", "my.yml: pretraining_dataset: expected"),
        ("pretraining_dataset: [{path: x, type: other}]\n", "my.yml: no dataset is raw text"),
        ("b: &b {datasets: [{path: a, type: completion}]}\n<<: *b\n", "my.yml: datasets comes by"),
        (
            "mine: &t completion\ndatasets:\n  - {path: a, type: &c completion}\nuses: *c\n",
            "my.yml: uses shares an anchor with what has to change",
        ),
        (
            "datasets:\n  - &a {path: a.jsonl, type: completion}\n  - {<<: *a, path: b.txt}\n",
            "my.yml: datasets share an anchor with what has to change",
        ),
        (f"val_set_size: &v 0.1\n{COMPLETION}dropout: *v\n", "my.yml, line 1: cannot be changed"),
    ],
)
def test_what_cannot_be_adopted_is_refused_in_a_sentence(text: str, complaint: str) -> None:
    with pytest.raises(CFTError) as refused:
        adopted(text)
    assert str(refused.value).startswith(complaint)
    assert str(refused.value).count("\n") == 0


def test_a_chat_config_is_told_what_to_add() -> None:
    with pytest.raises(CFTError, match=r"add one of whole documents under `datasets`, such as \{"):
        adopted(text_of("chat"))


def test_datasets_of_other_types_are_said_to_stay() -> None:
    remarks = remarks_on(text_of("mixture"))
    assert "datasets[0] (tatsu-lab/alpaca, `type: alpaca`) is no raw text and stays" in remarks
    assert "datasets[2] (data/own.jsonl, a format of its own) is no raw text" in remarks
    assert "datasets[3] (data/old/*.txt) stays as it is, since Axolotl makes a document" in remarks
    assert "rows in val_set_size too, which are trained now" in remarks
