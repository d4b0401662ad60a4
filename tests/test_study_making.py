"""Data that a study makes for its arms: once by our own commands, again where inputs change."""

import contextlib
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from conftest import make_documents

from axolotl_cft.cli import main
from axolotl_cft.errors import CFTError
from axolotl_cft.study import making
from axolotl_cft.study.making import make_all, makings, read_make
from axolotl_cft.study.spec import read_study

PACK = "corpus pack texts --output-dir packed"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("texts").mkdir()
    for index, document in enumerate(make_documents(3)):
        Path(f"texts/{index}.txt").write_text(document["text"])
    return tmp_path


def shown(label: str) -> Any:
    return contextlib.nullcontext()


def log_of(root: Path) -> str:
    return (root / "cft" / "make-1.log").read_text()


def test_data_are_made_once_and_again_when_they_are_not_as_they_were(folder, monkeypatch):
    wanted = makings({"cft": {"make": PACK}, "other": {"make": [PACK]}}, {"cft"})
    assert [each.name for each in wanted] == ["cft make 1"]
    ran: list[tuple[str, ...]] = []
    run = making.run_child
    monkeypatch.setattr(
        making, "run_child", lambda *arguments: (ran.append(arguments[0]), run(*arguments))[1]
    )
    root = folder / "study"
    for _ in range(2):
        make_all(wanted, root, shown)
    assert ran == [("axolotl-cft", *PACK.split())]
    assert Path("packed/manifest.json").is_file()
    Path("texts/3.txt").write_text("One more document.")
    shutil.rmtree("packed")
    make_all(wanted, root, shown)
    os.utime("texts/3.txt", (1, 1))  # the same content
    make_all(wanted, root, shown)
    assert len(ran) == 2
    shutil.rmtree("packed")
    make_all(wanted, root, shown)
    assert len(ran) == 3


def test_a_word_that_is_too_long_for_a_path_is_no_file():
    [wanted] = makings({"cft": {"make": f"generate x --request {'a' * 5000}"}}, {"cft"})
    assert len(wanted.identity) == 16


def test_a_command_that_fails_is_named_with_its_last_line(folder):
    [wanted] = makings({"cft": {"make": "corpus pack absent --output-dir packed"}}, {"cft"})
    with pytest.raises(CFTError, match=r"cft make 1: `axolotl-cft corpus pack absent .*status 1"):
        make_all([wanted], folder / "study", shown)
    assert not (folder / "study/cft/make-1.json").exists()
    assert "absent" in log_of(folder / "study")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("train config.yml", "'train config.yml' does not begin with one of comprehension, corp"),
        ("rm -rf /", "does not begin with one of"),
        ("", "does not begin with one of"),
        ("corpus pack 'x", "no closing quotation"),
        ({"corpus": 1}, "expected a list of commands"),
        ([1], "expected a list of commands"),
    ],
)
def test_only_our_own_commands_are_taken(value, message):
    with pytest.raises(CFTError, match=message):
        read_make([value] if value == "" else value, "arms.cft")


def study_file(folder: Path, **arm: Any) -> Path:
    base = {
        "base_model": "some/model",
        "plugins": ["axolotl_cft.CFTPlugin"],
        "datasets": [{"path": "packed/data", "ds_type": "parquet", "type": "cft"}],
    }
    arms = {"cpt": {"cft.prompts": "none"}, "cft": {"make": PACK, **arm}}
    content = {"name": "made", "base": base, "arms": arms, "tasks": ["arc_easy"]}
    path = folder / "study.yml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_dry_run_shows_what_would_be_made_and_makes_nothing(folder):
    path = study_file(folder)
    result = CliRunner().invoke(main, ["study", str(path), "--dry-run"])
    assert f"# cft make 1\naxolotl-cft {PACK}\n" in result.output
    assert "# cft/seed42 train" in result.output
    content = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(content | {"budget": {"trained_tokens": "same"}}))
    result = CliRunner().invoke(main, ["study", str(path), "--dry-run"])
    assert result.exit_code == 0 and "the rest is known once these have made" in result.output
    assert not Path("packed").exists() and not Path("made").exists()


def test_an_arm_that_is_not_trained_makes_nothing(folder):
    with pytest.raises(CFTError, match="is not trained, so remove 'make'"):
        read_study(study_file(folder, train=False))
