"""`axolotl-cft prepare`: shards encoded apart and merged are what one process prepares."""

import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from conftest import make_documents, slow, varied, write_jsonl
from datasets import load_from_disk
from filelock import FileLock
from host import fit, host_config, import_all, prepare, write_config

from axolotl_cft.cli import main
from axolotl_cft.core.documents import DocumentEncoder
from axolotl_cft.core.near_duplicates import NearDuplicates
from axolotl_cft.errors import CFTError

DOCUMENTS = [{**row, "source": f"s{n % 7}"} for n, row in enumerate(make_documents(23))]
DOCUMENTS[4]["text"] = ""
DOCUMENTS[9]["text"] = None
# In another shard than the document that it repeats.
DOCUMENTS[20]["text"] = (
    varied(DOCUMENTS[1]["text"], seed=1) + " More of it follows here, at length."
)
CHATS = [
    {
        "messages": [
            {"role": "user", "content": f"Say {number}."},
            {"role": "assistant", "content": f"{number}." * (1 + number % 3)},
        ]
    }
    for number in range(11)
]


@pytest.fixture
def config(tmp_path, tiny_model) -> dict[str, Any]:
    corpus = write_jsonl(tmp_path / "corpus.jsonl", DOCUMENTS)
    return host_config(tmp_path / "run", tiny_model, corpus)


def tested(config: dict[str, Any], **block: Any) -> None:
    config["cft"] |= {"holdout": 0.4, **block}
    config["test_datasets"] = [dict(config["datasets"][0])]


def with_others(config: dict[str, Any]) -> None:
    folder = Path(config["output_dir"]).parent
    folder.mkdir(parents=True)
    chats = write_jsonl(folder / "chats.jsonl", CHATS)
    texts = write_jsonl(folder / "texts.jsonl", make_documents(5))
    config["chat_template"] = "chatml"
    config["datasets"] += [
        {"path": str(chats), "type": "cft.chat"},
        {"path": str(texts), "type": "completion", "field": "text"},
        {**config["datasets"][0], "type": "axolotl_cft.strategy", "cft": {"prompts": "none"}},
    ]


CONFIGS = {
    "paper": lambda config: None,
    "none": lambda config: config["cft"].update(prompts="none"),
    "held out": tested,
    "held out by a column, no prompts": lambda config: tested(
        config, holdout_by="source", prompts="none"
    ),
    "packed, in the order of its shuffled documents": lambda config: (
        config.update(sample_packing=True, curriculum_sampling=True),
        config["datasets"][0].update(shards=1),
    ),
    "pieces": lambda config: config["datasets"][0].update(preprocess_shards=2),
    "beside conversations and other types": with_others,
}


def run(config: dict[str, Any], *arguments: str) -> Any:
    """The command's result, in this process."""
    from axolotl.integrations.base import PluginManager

    import_all()
    PluginManager.get_instance().plugins.clear()
    folder = Path(config["output_dir"]).parent
    folder.mkdir(parents=True, exist_ok=True)
    path = write_config(folder / "config.yml", config)
    return CliRunner().invoke(main, ["--quiet", "prepare", str(path), *arguments])


def run_all(config: dict[str, Any], count: int) -> Any:
    for number in range(1, count + 1):
        result = run(config, "--shard", f"{number}/{count}")
        assert result.exit_code == 0, result.output
    return run(config, "--merge")


def elsewhere(config: dict[str, Any]) -> dict[str, Any]:
    return {**config, "dataset_prepared_path": config["dataset_prepared_path"] + "-whole"}


def prepared(config: dict[str, Any]) -> dict[str, Any]:
    """Rows and description of each prepared dataset by its folder's name, and ledgers by theirs."""
    folder = Path(config["dataset_prepared_path"])
    found: dict[str, Any] = {}
    for path in folder.iterdir():
        if (path / "state.json").is_file():
            rows = load_from_disk(str(path))
            found[path.name] = (rows.features, rows.info.description, rows.to_list())
        elif path.name.endswith("cft_ledger.json"):
            found[path.name] = json.loads(path.read_text())
    return found


@pytest.mark.parametrize(
    "name", ["paper", "held out", *slow(*(CONFIGS.keys() - {"paper", "held out"}))]
)
def test_merged_shards_are_what_one_process_prepares(config, name, monkeypatch):
    change = CONFIGS[name]
    change(config)
    _, whole = prepare(elsewhere(config), preprocess=True)
    merged = run_all(config, 4)
    assert merged.exit_code == 0, merged.output
    assert prepared(config) == prepared(elsewhere(config))
    monkeypatch.setattr(DocumentEncoder, "encode_parts", None)
    _, reused = prepare(config)
    assert reused.train_dataset.to_list() == whole.train_dataset.to_list()


@pytest.mark.parametrize("most", [1 << 21, 20], ids=["few", "more than are kept"])
def test_near_duplicates_are_found_across_shards(most, monkeypatch, tmp_path):
    """A held-out document and its copy in training, which no shard holds both of."""
    monkeypatch.setattr("axolotl_cft.core.near_duplicates.MOST", most)
    monkeypatch.setattr("axolotl_cft.core.near_duplicates.FEWEST", 1)
    texts = [random.Random(number).randbytes(400) for number in range(10)]
    documents = [*((text, False) for text in texts[:9]), (texts[2], True), (texts[9], True)]
    whole, merged = NearDuplicates(), NearDuplicates()
    whole.add(documents)
    for begin in (0, 4, 8):
        shard = NearDuplicates()
        shard.add(documents[begin : begin + 4])
        assert shard.count()[0] == 0
        shard.save(tmp_path / "shard.npz")
        merged.add_all(NearDuplicates.load(tmp_path / "shard.npz"))
    assert merged.count() == whole.count() == (1, 2)
    assert merged._bound == whole._bound


def shards_of(config: dict[str, Any]) -> Path:
    """The folder of the training part's shards."""
    (folder,) = Path(config["dataset_prepared_path"]).glob("*.shards")
    return folder


def one_sentence(result: Any) -> str:
    assert result.exit_code == 1, result.output
    said = result.output.strip()
    assert said.startswith("Error: ") and "\n" not in said, said
    return said


def edit_record(folder: Path, **changes: Any) -> None:
    path = folder / "cft_shard.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def put_in_the_place_of(folder: Path, number: int, source: Path) -> None:
    shutil.rmtree(folder / f"{number}-of-3")
    shutil.copytree(source, folder / f"{number}-of-3")


FLAWS = {
    "missing": (
        lambda folder: [shutil.rmtree(folder / f"{n}-of-3") for n in (1, 3)],
        r"lacks --shard 1/3, 3/3; prepare them first",
    ),
    "all missing": (lambda folder: shutil.rmtree(folder), "there are no shards of this config"),
    "doubled": (
        lambda folder: put_in_the_place_of(folder, 2, folder / "1-of-3"),
        "2-of-3 holds shard 1/3 under the name of another; delete",
    ),
    "of another division": (
        lambda folder: shutil.copytree(folder / "1-of-3", folder / "1-of-4"),
        r"several divisions \(1-of-3, 1-of-4\)",
    ),
    "one too many": (
        lambda folder: shutil.copytree(folder / "1-of-3", folder / "4-of-3"),
        "4-of-3 is none of 3 shards",
    ),
    "of another version": (
        lambda folder: edit_record(folder / "2-of-3", version="0.0.9"),
        "shard 2/3 was prepared by axolotl-cft 0.0.9, not by",
    ),
    "cut short": (
        lambda folder: (folder / "3-of-3" / "0.arrow").write_bytes(b"ARROW"),
        "shard 3/3: .*0.arrow is missing or cut short",
    ),
    "a record cut short": (
        lambda folder: (folder / "3-of-3" / "cft_shard.json").write_text("{"),
        "cft_shard.json is not valid JSON",
    ),
}


@pytest.fixture(scope="module")
def sharded(tmp_path_factory, tiny_model) -> dict[str, Any]:
    """A config whose three shards are there."""
    folder = tmp_path_factory.mktemp("sharded")
    corpus = write_jsonl(folder / "corpus.jsonl", DOCUMENTS)
    config = host_config(folder / "run", tiny_model, corpus)
    for number in (1, 2, 3):
        run(config, "--shard", f"{number}/3")
    return config


@pytest.fixture
def copied(sharded, tmp_path) -> dict[str, Any]:
    copy = {**sharded, "dataset_prepared_path": str(tmp_path / "prepared")}
    shutil.copytree(sharded["dataset_prepared_path"], copy["dataset_prepared_path"])
    return copy


@pytest.mark.parametrize(("spoil", "said"), FLAWS.values(), ids=FLAWS)
def test_a_set_of_shards_that_is_not_whole_is_refused(copied, spoil, said):
    spoil(shards_of(copied))
    assert re.search(said, one_sentence(run(copied, "--merge")))
    assert not [key for key in prepared(copied) if not key.endswith(".json")]


def test_shards_of_another_config_are_refused_and_so_is_another_corpus(copied):
    folder = shards_of(copied)
    none = {**copied, "cft": {**copied["cft"], "prompts": "none"}}
    assert "there are no shards of this config" in one_sentence(run(none, "--merge"))
    run(none, "--shard", "2/3")
    (other,) = set(folder.parent.glob("*.shards")) - {folder}
    put_in_the_place_of(folder, 2, other / "2-of-3")
    assert "shard 2/3 was prepared from another config or corpus" in one_sentence(
        run(copied, "--merge")
    )
    assert "shard 2/3 was prepared from another config" in one_sentence(
        run(copied, "--shard", "2/3")
    )


def test_a_corpus_that_changes_between_shards_is_another(copied, tmp_path):
    corpus = write_jsonl(tmp_path / "corpus.jsonl", DOCUMENTS[:-1])
    copied = {**copied, "datasets": [{**copied["datasets"][0], "path": str(corpus)}]}
    assert "there are no shards of this config" in one_sentence(run(copied, "--merge"))


def test_a_corpus_whose_change_no_stamp_shows_is_told_by_its_documents(copied):
    folder = shards_of(copied)
    for shard in folder.glob("*-of-3"):
        record = json.loads((shard / "cft_shard.json").read_text())
        record["datasets"][0]["documents"] += 1
        (shard / "cft_shard.json").write_text(json.dumps(record))
    assert "has 23 documents, and its shards were made of 24" in one_sentence(
        run(copied, "--merge")
    )


def test_a_shard_that_was_killed_is_run_again_and_a_finished_one_left(config, monkeypatch):
    def killed(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("axolotl_cft.records.ShardRecord.write", killed)
        assert run(config, "--shard", "1/2").exit_code
    folder = shards_of(config)
    assert not (folder / "1-of-2").exists() and (folder / ".1-of-2.partial" / "0.arrow").exists()
    assert "is done" in run(config, "--shard", "1/2").output
    assert not (folder / ".1-of-2.partial").exists()
    again = run(config, "--shard", "1/2")
    assert again.exit_code == 0 and "was there already" in again.output
    with FileLock(folder / ".2-of-2.lock"):
        assert "another process is preparing" in one_sentence(run(config, "--shard", "2/2"))


def test_training_does_not_encode_anew_what_was_not_merged(copied):
    with pytest.raises(CFTError, match="holds shards of this config that were not merged; run"):
        prepare(copied)
    assert run(copied, "--merge").exit_code == 0
    prepare(copied)


def test_more_shards_than_documents_leave_some_empty(config):
    write_jsonl(Path(config["datasets"][0]["path"]), DOCUMENTS[:3])
    prepare(elsewhere(config), preprocess=True)
    assert run_all(config, 5).exit_code == 0
    assert prepared(config) == prepared(elsewhere(config))


@pytest.mark.parametrize(
    ("holdout", "words", "said"),
    [(0.01, 60, "fell into the held-out part; raise cft.holdout"), (0.4, 0, "nothing to train on")],
)
def test_what_is_refused_of_the_whole_is_refused_when_it_is_merged(config, holdout, words, said):
    texts = [document if words else {**document, "text": ""} for document in DOCUMENTS[:6]]
    write_jsonl(Path(config["datasets"][0]["path"]), texts)
    tested(config, holdout=holdout)
    assert said in one_sentence(run_all(config, 2))


def test_a_complaint_counts_documents_from_the_first_of_all(config):
    rows = [{**document, "prompt": f"Read {document['id']}."} for document in DOCUMENTS]
    rows[15]["prompt"] = ""
    write_jsonl(Path(config["datasets"][0]["path"]), rows)
    config["cft"]["prompts"] = {"column": "prompt"}
    said = one_sentence(run(config, "--shard", "3/4"))
    with pytest.raises(CFTError) as whole:
        prepare(elsewhere(config), preprocess=True)
    assert said == f"Error: {whole.value}" and "document 16" in said


def test_a_complaint_counts_conversations_from_the_first_of_all(config):
    rows = [{"messages": json.dumps(row["messages"])} for row in CHATS]
    rows[8]["messages"] = "no JSON"
    path = write_jsonl(Path(config["datasets"][0]["path"]), rows)
    config |= {"chat_template": "chatml", "datasets": [{"path": str(path), "type": "cft.chat"}]}
    assert "conversation 9 is a text, but not JSON" in one_sentence(run(config, "--shard", "2/2"))


@pytest.mark.parametrize(
    "arguments",
    [(), ("--shard", "1/2", "--merge"), ("--shard", "0/2"), ("--shard", "3/2"), ("--shard", "2")],
)
def test_a_command_that_cannot_be_meant_is_refused_before_anything_is_read(arguments):
    result = CliRunner().invoke(main, ["prepare", "no-such.yml", *arguments])
    assert result.exit_code == 2
    assert "axolotl preprocess" in result.output or "is not I/N with I from 1 to N" in result.output


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"streaming": True}, "streaming: rows are made during training"),
        ({"datasets": [{"path": "x", "type": "completion"}], "cft": None}, "no dataset has"),
    ],
)
def test_a_config_without_anything_to_prepare_is_refused(config, change, said):
    assert said in one_sentence(run({**config, **change}, "--shard", "1/2"))


COMMAND = [sys.executable, "-c", "from axolotl_cft.cli import main; main()", "--quiet", "prepare"]


def prepare_shard_that_is_killed(path: Path, prepared: Path, shard: str, seed: str) -> bool:
    """Run a shard until it is done; killed once at some moment, if so whether it was half-way."""
    command = [*COMMAND, str(path), "--shard", shard]
    partial = f"*.shards/.{shard.replace('/', '-of-')}.partial"
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not list(prepared.glob(partial)):
        time.sleep(0.001)
    time.sleep(random.Random(seed).uniform(0, 0.5))
    process.kill()
    half_way = process.wait() == -signal.SIGKILL and bool(list(prepared.glob(partial)))
    subprocess.run(command, check=True, capture_output=True)
    return half_way


def kill_a_merge(path: Path, prepared: Path) -> bool:
    """Kill a merge as it begins to write; whether it was half-way."""
    command = [*COMMAND, str(path), "--merge"]

    def begun() -> list[Path]:
        found = (folder for folder in prepared.iterdir() if not folder.name.endswith(".shards"))
        return [file for folder in found for file in folder.rglob("*.arrow")]

    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not begun():
        time.sleep(0.001)
    process.kill()
    return process.wait() == -signal.SIGKILL and not list(prepared.glob("*/state.json"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prompts", "count"), [pytest.param("paper", 8, marks=pytest.mark.long), ("none", 3)]
)
def test_processes_that_are_killed_and_run_again_prepare_the_same(
    config, prompts, count, monkeypatch
):
    write_jsonl(Path(config["datasets"][0]["path"]), make_documents(3000, words=300))
    tested(config, prompts=prompts)
    folder = Path(config["output_dir"]).parent
    folder.mkdir(parents=True)
    path = write_config(folder / "config.yml", config)
    order = random.Random(prompts).sample(range(1, count + 1), count)
    with ThreadPoolExecutor(max_workers=2) as machines:
        half_way = machines.map(
            lambda number: prepare_shard_that_is_killed(
                path, folder / "prepared", f"{number}/{count}", f"{prompts} {number}"
            ),
            order,
        )
        assert sum(half_way) >= 1
    if prompts == "none":
        assert kill_a_merge(path, folder / "prepared")
    assert run(config, "--merge").exit_code == 0
    _, whole = prepare(elsewhere(config), preprocess=True)
    assert prepared(config) == prepared(elsewhere(config))
    monkeypatch.setattr(DocumentEncoder, "encode_parts", None)
    trainer = fit(config)
    assert trainer.train_dataset.to_list() == whole.train_dataset.to_list()
    ledger = json.loads((Path(config["output_dir"]) / "cft_ledger.json").read_text())
    assert ledger["reached_trainer"]["trained_tokens_lost"] == 0
