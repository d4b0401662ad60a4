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
from axolotl_cft.records import StepMark
from axolotl_cft.study import making
from axolotl_cft.study.leases import Busy, lease
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


def test_a_word_that_names_the_studys_own_folder_is_no_input(folder):
    wanted = makings({"cft": {"make": "corpus pack texts --field study --output-dir x"}}, {"cft"})
    before = wanted[0].identity
    (folder / "study/made").mkdir(parents=True)
    assert wanted[0].identity == before
    (folder / "study/made").rmdir()  # now it may be data
    (folder / "study/text.txt").write_text("x")
    assert wanted[0].identity != before


def test_a_command_that_fails_is_named_with_its_last_line(folder):
    [wanted] = makings({"cft": {"make": "corpus pack absent --output-dir packed"}}, {"cft"})
    with pytest.raises(CFTError, match=r"cft make 1: `axolotl-cft corpus pack absent .*status 1"):
        make_all([wanted], folder / "study", shown)
    assert StepMark.read(folder / "study/cft/make-1.json").status == "started"
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


TRAINER = """
import pathlib, sys, yaml
config = yaml.safe_load(pathlib.Path(sys.argv[1]).read_text())
if config.get("fails"):
    sys.exit("out of luck")
folder = pathlib.Path(config["output_dir"])
folder.mkdir(exist_ok=True)
trained = pathlib.Path(config["datasets"][0]["path"]).read_text().upper()
(folder / "model").write_text(trained)
"""


def with_first_model(folder: Path, **config: Any) -> Path:
    """A study whose arms start from a model that it trains, by a program that copies the data."""
    Path("trainer.py").write_text(TRAINER)
    Path("first.txt").write_text("a text")
    first = {"base_model": "tiny", "output_dir": "first", "datasets": [{"path": "first.txt"}]}
    Path("first.yml").write_text(yaml.safe_dump({**first, **config}))
    path = study_file(folder)
    content = yaml.safe_load(path.read_text())
    content["make"] = [PACK, "train first.yml"]
    content["base"]["base_model"] = "first"
    content["arms"]["cft"] = {}
    content["arms"]["base"] = {"train": False}
    content["launch"] = {"train": "python trainer.py {config}"}
    path.write_text(yaml.safe_dump(content))
    return path


def shared(path: Path) -> list[making.Making]:
    spec = read_study(path)
    return making.shared_makings(spec.make, spec.launch.train, path.parent)


@pytest.mark.slow
def test_a_model_is_trained_once_for_all_arms(folder):
    path = with_first_model(folder)
    result = CliRunner().invoke(main, ["study", str(path), "--dry-run"])
    assert result.exit_code == 0, result.output
    assert f"# made make 2\npython trainer.py {folder}/first.yml\n" in result.output
    for _ in range(2):
        make_all(shared(path), folder / "study", shown)
        assert Path("first/model").read_text() == "A TEXT"
        Path("first/model").write_text("A TEXT")
    assert StepMark.read(Path("first/cft_made/make.json")).status == "done"
    assert Path("packed/manifest.json").is_file()


def test_two_studies_start_from_one_model_that_the_first_of_them_trains(folder):
    path = with_first_model(folder)
    make_all(shared(path), folder / "study", shown)
    Path("first/model").write_text("as it was trained")
    make_all(shared(path), folder / "another", shown)
    assert Path("first/model").read_text() == "as it was trained"


def test_a_model_that_another_study_is_training_is_left_to_it(folder):
    path = with_first_model(folder)
    mark = Path("first/cft_made/make.json")
    *_, training = shared(path)
    mark.parent.mkdir(parents=True)
    StepMark(status="started", identity=training.identity, command=[]).write(mark)
    with lease(mark.parent, "made make 2"), pytest.raises(Busy, match="another process works on"):
        make_all(shared(path), folder / "another", shown)


def test_a_launch_that_names_no_config_is_given_it_for_the_first_model_as_for_the_arms(folder):
    path = with_first_model(folder)
    content = yaml.safe_load(path.read_text())
    content["launch"] = {"train": "python trainer.py"}
    path.write_text(yaml.safe_dump(content))
    result = CliRunner().invoke(main, ["study", str(path), "--dry-run"])
    assert f"# made make 2\npython trainer.py {folder}/first.yml\n" in result.output
    config = folder / "made/cft/seed42/config.yml"
    assert f"# cft/seed42 train\npython trainer.py {config}\n" in result.output
    make_all(shared(path), folder / "study", shown)
    assert Path("first/model").read_text() == "A TEXT"


def test_another_first_model_makes_every_step_another(folder):
    from axolotl_cft.study.plan import expand

    path = with_first_model(folder)
    make_all(shared(path), folder / "study", shown)

    def identities() -> dict[str, str]:
        steps = expand(read_study(path), path, folder / "study").steps
        return {step.path: step.identity for step in steps}

    before = identities()
    assert identities() == before
    Path("first.txt").write_text("another text")
    after = identities()
    assert before.keys() == after.keys()
    assert not before.items() & after.items()


def test_a_model_of_other_data_is_not_trained_over(folder):
    path = with_first_model(folder)
    make_all(shared(path), folder / "study", shown)
    Path("first.txt").write_text("another text")
    with pytest.raises(CFTError, match=r"made make 2: first was made from another config or other"):
        make_all(shared(path), folder / "study", shown)
    assert Path("first/model").read_text() == "A TEXT"
    shutil.rmtree("first")
    make_all(shared(path), folder / "study", shown)
    assert Path("first/model").read_text() == "ANOTHER TEXT"


def test_a_logger_s_project_called_like_the_study_is_no_input(folder):
    path = with_first_model(folder, wandb_project="study", dataset_prepared_path="prepared")
    for number in range(2):
        make_all(shared(path), folder / "study", shown)
        Path(f"study/log{number}").write_text("what a study's folder gets")


def test_a_folder_that_somebody_else_made_is_not_trained_into(folder):
    path = with_first_model(folder)
    Path("first").mkdir()
    with pytest.raises(CFTError, match="first was made by somebody else; remove it"):
        make_all(shared(path), folder / "study", shown)


def test_a_training_that_was_cut_short_goes_on_and_one_that_failed_is_tried_again(folder):
    path = with_first_model(folder, fails=True)
    for _ in range(2):
        with pytest.raises(CFTError, match="made make 2: .* ended with status 1: out of luck"):
            make_all(shared(path), folder / "study", shown)
    Path("first/checkpoint-1").mkdir()  # of the same config and data
    with pytest.raises(CFTError, match="out of luck"):
        make_all(shared(path), folder / "study", shown)


def test_a_config_that_says_not_where_its_model_goes_is_named(folder):
    path = with_first_model(folder, output_dir=None)
    with pytest.raises(CFTError, match=r"first.yml: output_dir is missing"):
        make_all(shared(path), folder / "study", shown)


def test_the_word_train_wants_one_config(folder):
    path = with_first_model(folder)
    path.write_text(path.read_text().replace("train first.yml", "train first.yml --fast"))
    with pytest.raises(CFTError, match=r"make: 'train first.yml --fast': expected `train` and the"):
        read_study(path)
