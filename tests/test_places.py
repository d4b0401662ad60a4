"""A file or folder of this machine that is absent is never looked for on a hub."""

import re
from pathlib import Path

import pytest
from axolotl.utils.dict import DictDefault
from click.testing import CliRunner
from conftest import make_documents, write_jsonl
from host import host_config, load_cfg, prepare

from axolotl_cft.cli import main
from axolotl_cft.errors import CFTError
from axolotl_cft.files.places import names_local, refuse_absent, said_absent
from axolotl_cft.host.raw_documents import load_documents
from axolotl_cft.host.tokens import load_tokenizer

ABSENT = ["./model", "model/", "../model", "/no/such/model", "~/no-such", "a/b/c", "rows.jsonl.gz"]


@pytest.mark.parametrize("name", ABSENT)
def test_what_only_a_file_or_folder_is_called_is_told_to_be_absent(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert names_local(name)
    assert said_absent(name) == f"there is no {name} here; correct the path, or bring it"
    for use in (
        lambda: refuse_absent(name, "dataset"),
        lambda: load_tokenizer(name),
        lambda: load_documents(DictDefault(path=name, type="cft"), "train"),
    ):
        with pytest.raises(CFTError, match=re.escape(f"there is no {name} here")):
            use()


@pytest.mark.parametrize(
    "name", ["org/name", "gpt2", "s3://bucket/a/b.jsonl", "data/*.parquet", "json"]
)
def test_what_may_be_elsewhere_is_not(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert said_absent(name) is None
    refuse_absent(name, "dataset")


def test_a_name_in_a_folder_that_is_here_leaves_both_open(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outputs").mkdir()
    assert said_absent("outputs/cft") == (
        "there is no outputs/cft here (outputs is), nor could it be had from the hub"
    )
    refuse_absent("outputs/cft", "base_model")  # the hub may have it all the same
    (tmp_path / "outputs/cft").mkdir()
    assert said_absent("outputs/cft") is None


def test_the_demo_s_folder_is_made_by_a_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "run `axolotl-cft demo --prepare-only`" in str(said_absent("./cft-demo/model"))


@pytest.fixture
def config(tmp_path: Path, tiny_model: Path) -> dict:
    corpus = write_jsonl(tmp_path / "corpus.jsonl", make_documents(8))
    return host_config(tmp_path, tiny_model, corpus)


def test_a_training_without_its_model_or_documents_says_so(config, tmp_path):
    absent = str(tmp_path / "cft-demo/model")
    with pytest.raises(CFTError, match=r"^base_model: there is no .*/cft-demo/model here; run "):
        load_cfg(config | {"base_model": absent})
    (tmp_path / "corpus.jsonl").unlink()
    load_cfg(config)  # what needs no documents, as merging an adapter, goes on
    with pytest.raises(CFTError, match=r"^datasets\[0\]\.path: there is no .*/corpus.jsonl here"):
        prepare(config)


@pytest.mark.parametrize(
    "words",
    [
        ["contamination", "./corpus", "--tasks", "cft_fiqa", "--output-dir", "out"],
        ["probe", "--data", "text.jsonl", "--model", "./model", "--output-dir", "out"],
    ],
    ids=lambda words: words[0],
)
def test_commands_that_read_do_not_ask_the_hub(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_jsonl(tmp_path / "text.jsonl", make_documents(2))
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1, result.output
    assert "Repo id must" not in result.output and " hub" not in result.output
    assert re.search(r"there is no \./model|'\./corpus' does not exist", result.output)
