"""Our commands show what is theirs, and not what libraries say of an installation."""

import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from click.testing import CliRunner
from test_icl_run import arguments

from axolotl_cft.cli import main, progress
from axolotl_cft.host.quiet import REMARKS, WARNINGS, quiet_libraries

ICL = {"pretrain_steps": 2, "finetune_steps": 2, "eval_every": 1, "checkpoint_every": 2, "seeds": 0}
STUDY = """
name: s
base: my.yml
tasks: [cft_fiqa]
arms:
  cpt: {cft.prompts: none}
  cft: {cft.prompts: paper}
"""
STRANGE = ("torchao", "register_constant", "Failed to load", "it/s]")


@pytest.fixture
def levels(monkeypatch):
    """Levels as a fresh process has them, and as they were afterwards."""
    loggers = [logging.getLogger(name) for name in REMARKS]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.NOTSET)
    monkeypatch.delenv("LOG_LEVEL", raising=False)
    yield lambda: [logger.level for logger in loggers]
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)


def test_remarks_go_and_errors_and_other_loggers_stay(levels, caplog):
    quiet_libraries()
    for name in REMARKS:
        logging.getLogger(name).warning("Failed to load a kernel")
        logging.getLogger(name).error("broken")
    logging.getLogger("torch").warning("something else")
    with warnings.catch_warnings(record=True) as told:  # as they are after `quiet_libraries`
        for beginning in WARNINGS:
            warnings.warn(f"{beginning} this or that", stacklevel=1)
        warnings.warn("something else", stacklevel=1)
    assert [str(each.message) for each in told] == ["something else"]
    said = [record.getMessage() for record in caplog.records]
    assert said == ["broken"] * len(REMARKS) + ["something else"]


def test_whoever_asks_for_a_level_gets_it(levels, monkeypatch):
    monkeypatch.setenv("LOG_LEVEL", "INFO")
    quiet_libraries()
    assert levels() == [logging.NOTSET] * len(REMARKS)
    with warnings.catch_warnings(record=True) as told:
        warnings.warn(WARNINGS[0], stacklevel=1)
    assert len(told) == 1


def test_every_command_begins_with_it(levels):
    assert CliRunner().invoke(main, ["prompts", "list"]).exit_code == 0
    assert levels() == [logging.ERROR] * len(REMARKS)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["heldout", "my.yml", "--output-dir", "out"], "Reading the config and its tokenizer"),
        (["probe", "--model", "no/such", "--data", "data.jsonl"], "Loading the tokenizer"),
        (["preview", "my.yml"], "Loading the tokenizer and the first documents"),
        (["prompts", "check", "paper", "--config", "my.yml"], "Loading the tokenizer"),
        (
            ["generate", "data.jsonl", "--config", "my.yml", "--estimate", "--output-dir", "out"],
            "Loading the tokenizer",
        ),
        (["report", "no-such-folder"], "Loading SciPy"),
        (["study", "study.yml", "--status"], "Looking at the study"),
        pytest.param(
            *(["study", "study.yml", "--dry-run"], "Checking configs and tasks"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_command_says_that_it_is_loading(tmp_path, monkeypatch, words, shown):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(progress, "PATIENCE", 0.0)  # as if it took longer
    Path("my.yml").write_text("base_model: no/such\ndatasets: [{path: x.jsonl, type: alpaca}]\n")
    Path("study.yml").write_text(STUDY)
    Path("data.jsonl").write_text('{"text": "Valves keep blood from flowing back."}\n')
    result = CliRunner().invoke(main, words)
    assert result.exit_code == (0 if "--status" in words else 1), result.output
    assert shown in result.stderr and shown not in result.stdout
    assert shown not in CliRunner().invoke(main, ["--quiet", *words]).stderr


def command(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, since what libraries say is said at their import."""
    done = subprocess.run(
        [sys.executable, "-m", "axolotl_cft.cli", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=600,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.slow
def test_icl_and_its_workers_say_nothing_of_the_libraries(tmp_path: Path) -> None:
    words = arguments(tmp_path / "quiet", workers=1, **ICL)
    shown = command(*words)
    assert not [word for word in STRANGE if word in shown.stderr], shown.stderr
    asked = command(*arguments(tmp_path / "all", workers=1, **ICL), LOG_LEVEL="WARNING").stderr
    if "torchao" not in asked:
        pytest.skip("the libraries have nothing to say here")
    assert asked.count("register_constant") > shown.stderr.count("register_constant")


@pytest.mark.slow
def test_probe_shows_no_bar_but_its_own(tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "data.jsonl").write_text('{"text": "Valves keep blood from flowing back."}\n' * 1)
    with (tmp_path / "data.jsonl").open("a") as file:
        file.write('{"text": "Insulin lets cells take up glucose."}\n')
    options = ["--documents", 2, "--pools", "fixed", "--shuffles", 1, "--max-tokens", 8]
    options += ["--device", "cpu", "--output-dir", tmp_path / "probe"]
    shown = command("probe", "--model", tiny_model, "--data", tmp_path / "data.jsonl", *options)
    strange = [word for word in (*STRANGE, "Loading weights") if word in shown.stderr]
    assert not strange, shown.stderr
    assert "nats per token" in shown.stdout
