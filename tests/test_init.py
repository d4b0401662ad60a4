"""`axolotl-cft init`: the list of recipes, copies of them, and configs of one's own."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from axolotl_cft.cli import main
from axolotl_cft.cli.corpus_make import read_steps
from axolotl_cft.errors import CFTError
from axolotl_cft.files import recipes
from axolotl_cft.files.recipes import copy_recipe, find_recipe, list_recipes, recipe_folder
from axolotl_cft.prompts.registry import load_pool
from axolotl_cft.study.spec import read_study

ROOT = Path(__file__).parents[1]
SHIPPED = {
    path.stem: path for path in (ROOT / "example_configs").iterdir() if path.suffix != ".yaml"
}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder from which no recipe can be seen."""
    monkeypatch.chdir(tmp_path)


def init(*arguments: str, fails: bool = False) -> Result:
    result = CliRunner().invoke(main, ["init", *arguments])
    assert (result.exit_code != 0) == fails, result.output
    return result


def error(*arguments: str) -> str:
    return init(*arguments, fails=True).output.strip().splitlines()[-1]


# --- the list -------------------------------------------------------------------------------------


def test_every_recipe_is_listed_with_what_it_is_for() -> None:
    lines = init().output.splitlines()
    for name, path in SHIPPED.items():
        (line,) = [line for line in lines if line.startswith(f"  {name} ")]
        purpose = line.split(maxsplit=1)[1]
        assert purpose in path.read_text(encoding="utf-8").splitlines()[0]
        assert purpose.endswith("."), "the first line of a recipe says what it is for, and ends"
        assert len(line) <= 100


def test_the_list_says_which_command_takes_which_recipe() -> None:
    parts = init().output.split("\n\n")
    commands = {part.splitlines()[0]: part.count("\n  ") for part in parts[:-1]}
    numbers = {
        "axolotl-cft study": len([name for name in SHIPPED if name.startswith("study_")]),
        "axolotl-cft corpus make": len([name for name in SHIPPED if name.startswith("corpus_")]),
        "python FILE": 1,
    }
    numbers["axolotl.cli.train"] = len(SHIPPED) - sum(numbers.values())
    assert len(commands) == 4
    for command, number in numbers.items():
        assert [count for heading, count in commands.items() if command in heading] == [number]


def test_recipes_are_found_where_an_installation_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site-packages" / "axolotl_cft"
    inside = package / "example_configs"
    inside.mkdir(parents=True)
    monkeypatch.setattr(recipes, "__file__", str(package / "files" / "recipes.py"))
    with pytest.raises(CFTError, match="example_configs/ is not installed: reinstall"):
        recipe_folder()
    (inside / "demo.yml").write_text("# Small.\nseed: 1\n", encoding="utf-8")
    assert recipe_folder() == inside and list_recipes() == {"demo": "Small."}


# --- a copy ---------------------------------------------------------------------------------------


def test_a_recipe_is_copied_and_its_commands_name_the_copy() -> None:
    output = init("cft_qlora").output
    assert "written: cft_qlora.yml" in output
    original, copy = (
        SHIPPED["cft_qlora"].read_text("utf-8"),
        Path("cft_qlora.yml").read_text("utf-8"),
    )
    assert copy == original.replace("example_configs/", "")
    assert "axolotl-cft preview cft_qlora.yml\n" in copy
    assert yaml.safe_load(copy) == yaml.safe_load(original)


def test_a_copy_under_another_name_names_itself() -> None:
    init("cft_llama2.yml", "--output", "runs/mine.yml")
    copy = Path("runs/mine.yml").read_text("utf-8")
    assert "axolotl preprocess runs/mine.yml\n" in copy
    assert "axolotl-cft corpus make runs/corpus_openmedtext.yml " in copy


@pytest.mark.parametrize("name", SHIPPED)
def test_what_a_copy_names_lies_beside_it(name: str) -> None:
    """Its values can be followed, and what its comments speak of can be copied, too."""
    output = init(name, "--output", f"here/{SHIPPED[name].name}").output
    text = Path("here", SHIPPED[name].name).read_text("utf-8")
    spoken_of = re.findall(r"speak of others, which `init` copies, too: (.*)", output)
    for other in spoken_of[0].split(", ") if spoken_of else []:
        init(other, "--output", f"here/{SHIPPED[other].name}")
    for path in re.findall(r"here/[\w.-]+\w", text):
        assert Path(path).is_file(), path
    assert "example_configs" not in text


STUDIES = {
    "study_demo": {"demo.yml"},
    "study_dose": {"cft_qlora.yml"},
    "study_facts": {"facts_base.yml", "facts_cft.yml"},
    "study_facts_8b": {"cft_qlora.yml"},
    "study_facts_small": {"facts_base.yml", "facts_cft.yml"},
    "study_paper_financial": {"cft_llama2.yml", "ift_llama2.yml"},
    "study_paper_medical": {"cft_llama2.yml", "ift_llama2.yml"},
    "study_rivals": {"cft_llama2.yml", "metadata_pool.yaml"},
    "study_t4": {"cft_t4.yml"},
}


@pytest.mark.parametrize("name", [name for name in SHIPPED if name.startswith("study_")])
def test_a_study_comes_with_the_configs_that_it_names(name: str) -> None:
    output = init(name, "--output", "s/mine.yml").output
    assert {path.name for path in Path("s").iterdir()} == {"mine.yml"} | STUDIES[name]
    study = read_study(Path("s/mine.yml"))
    bases = [study.base, *(stage.base for stage in study.stages.values() if stage.base)]
    for base in map(str, bases):
        assert Path("s", base).is_file()
        assert f"written: s/{base}, which mine.yml needs" in output
    for arm in study.arms.values():
        words = shlex.split(str(arm.get("make", "")))
        for word in [*words, str(arm.get("cft.prompts", ""))]:
            assert not word.endswith((".yml", ".yaml")) or Path(word).is_file()


def test_a_pool_comes_with_the_config_that_names_it() -> None:
    init("metadata", "--output", "m/mine.yml")
    config = yaml.safe_load(Path("m/mine.yml").read_text("utf-8"))
    assert load_pool(config["cft"]["prompts"]).columns == {"url"}


def test_a_corpus_is_made_by_the_copy() -> None:
    from axolotl_cft.cli.corpus import corpus

    init("corpus_pmc")
    names = [step.name for step in read_steps(Path("corpus_pmc.yml"), corpus.commands, None, None)]
    assert names == ["pack", "clean", "stats"]


def test_a_config_of_ones_own_is_used_by_a_study_that_is_copied_beside_it() -> None:
    Path("cft_llama2.yml").write_text("mine: true\n", encoding="utf-8")
    assert "cft_llama2.yml is there already, and stays as it is" in init("study_rivals").output
    assert Path("cft_llama2.yml").read_text("utf-8") == "mine: true\n"


def test_nothing_is_overwritten() -> None:
    Path("cft_qlora.yml").write_text("mine: true\n", encoding="utf-8")
    assert error("cft_qlora") == (
        "Error: cft_qlora.yml is there already; remove it, or name another with --output"
    )
    Path("nowhere.yml").symlink_to("gone.yml")
    assert "nowhere.yml is there already" in error("study_demo", "--output", "nowhere.yml")
    assert Path("cft_qlora.yml").read_text("utf-8") == "mine: true\n"
    assert not Path("demo.yml").exists() and not Path("gone.yml").exists()


@pytest.mark.parametrize(
    ("name", "mend"),
    [
        ("cft_qlra", "did you mean cft_qlora?"),
        ("CFT-Llama2", "did you mean cft_llama2?"),
        ("study-paper-medicl.yml", "did you mean study_paper_medical?"),
        ("../demo", "did you mean demo?"),
        ("", "`axolotl-cft init` lists them"),
        ("zzz", "`axolotl-cft init` lists them"),
    ],
)
def test_a_misspelt_recipe_is_told_the_nearest(name: str, mend: str) -> None:
    with pytest.raises(CFTError, match=re.escape(mend)):
        find_recipe(name)


def test_a_path_that_no_command_could_hold_is_refused(tmp_path: Path) -> None:
    for output in ("my runs/a.yml", "a'.yml", "a,b.yml"):
        with pytest.raises(CFTError, match="take a path of letters"):
            copy_recipe(SHIPPED["study_rivals"], Path(output))
    assert copy_recipe(SHIPPED["demo"], tmp_path / "Zürich.yml").file == tmp_path / "Zürich.yml"


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("study", "study_demo"),
        ("study", "example_configs/study_facts"),
        ("corpus make", "corpus_pmc"),
        ("preview", "cft_qlora"),
        ("corpus plan", "study_dose"),
    ],
)
def test_who_uses_a_recipe_before_copying_it_is_told_how(command: str, name: str) -> None:
    result = CliRunner().invoke(main, [*command.split(), f"{name}.yml"])
    assert result.exit_code == 1
    advice = f"`axolotl-cft init {Path(name).name}` copies it to where you are"
    last = result.output.strip().splitlines()[-1]
    assert last == f"Error: there is no {name}.yml: {advice}"


def test_other_files_that_are_absent_are_no_recipes() -> None:
    for name in ("study_mine.yml", "metadata_pool.yaml"):
        assert f"cannot read {name}: No such file" in error("--from", name)
        result = CliRunner().invoke(main, ["study", name])
        assert f"cannot read {name}: No such file" in result.output


# --- a config of one's own ------------------------------------------------------------------------

MINE = (
    "# mine\ndatasets:\n  - path: a.jsonl   # all of it\n    type: completion\nval_set_size: 0.1\n"
)


def test_a_config_gets_a_copy_with_cft_and_the_changes_are_shown() -> None:
    Path("runs").mkdir()
    Path("runs/my.yml").write_text(MINE, encoding="utf-8")
    output = init("--from", "runs/my.yml").output
    assert Path("runs/my.yml").read_text("utf-8") == MINE
    shown = output.partition("\n\n")[0].splitlines()
    assert shown[:2] == ["--- runs/my.yml", "+++ runs/my.cft.yml"]
    assert "-    type: completion" in shown and "+    type: cft" in shown
    assert "   - path: a.jsonl   # all of it" in shown
    assert "note: val_set_size split rows" in output
    assert output.endswith("look at it with `axolotl-cft preview runs/my.cft.yml`\n")
    config = yaml.safe_load(Path("runs/my.cft.yml").read_text("utf-8"))
    assert config["dataset_prepared_path"] == "prepared/my-cft"
    assert config["cft"] == {"prompts": "paper", "holdout": 0.1}


def test_the_result_needs_nothing_more() -> None:
    Path("my.yml").write_text(MINE, encoding="utf-8")
    init("--from", "my.yml")
    before = sorted(Path.cwd().iterdir())
    output = init("--from", "my.cft.yml").output
    assert output == "my.cft.yml has everything already: nothing to change, nothing written\n"
    assert sorted(Path.cwd().iterdir()) == before


def test_bytes_that_need_not_change_do_not() -> None:
    old = b"\xef\xbb\xbf" + MINE.replace("\n", "\r\n").encode()
    Path("my.yml").write_bytes(old)
    init("--from", "my.yml", "--output", "new.yml")
    new = Path("new.yml").read_bytes()
    assert new.startswith(b"\xef\xbb\xbf# mine\r\n") and new.count(b"\n") == new.count(b"\r\n")
    assert b"path: a.jsonl   # all of it\r\n" in new


def test_neither_the_config_nor_another_file_is_overwritten() -> None:
    Path("my.yml").write_text(MINE, encoding="utf-8")
    Path("my.cft.yml").write_text("mine\n", encoding="utf-8")
    assert "my.cft.yml is there already" in error("--from", "my.yml")
    assert "my.yml is there already" in error("--from", "my.yml", "--output", "my.yml")
    assert Path("my.yml").read_text("utf-8") == MINE
    assert Path("my.cft.yml").read_text("utf-8") == "mine\n"


def test_a_config_without_raw_text_leaves_no_file() -> None:
    Path("my.yml").write_text("datasets: [{path: a, type: alpaca}]\n", encoding="utf-8")
    assert "my.yml: no dataset is raw text" in error("--from", "my.yml")
    assert [path.name for path in Path.cwd().iterdir()] == ["my.yml"]


def test_what_cannot_be_read_or_written_is_named() -> None:
    Path("my.yml").write_text(MINE, encoding="utf-8")
    Path("latin.yml").write_bytes("# Zürich\n".encode("latin-1"))
    assert "cannot read gone.yml: No such file" in error("--from", "gone.yml")
    assert "latin.yml is not UTF-8 text" in error("--from", "latin.yml")
    # A file in the place of a folder stops root, too.
    assert "cannot write my.yml/x.yml: " in error("--from", "my.yml", "--output", "my.yml/x.yml")
    assert "cannot write my.yml/x.yml: " in error("cft_qlora", "--output", "my.yml/x.yml")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["demo", "--from", "my.yml"], "give a RECIPE or --from, not both"),
        (["--output", "x.yml"], "--output needs a RECIPE or --from"),
        (["demo", "--output", "."], "is a directory"),
    ],
)
def test_a_wrong_call_is_explained(arguments: list[str], complaint: str) -> None:
    assert complaint in error(*arguments)
