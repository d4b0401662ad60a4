"""Every command of the documentation is known to work, or it is said why it was not tried."""

import ast
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from documented import (
    PAGES,
    PARSERS,
    RECIPES,
    ROOT,
    Command,
    commands_in,
    comment_blocks,
    complaint,
    documented,
    inventory,
    markdown_blocks,
)

from axolotl_cft.cli import main


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where files that a command names can be put in place."""
    monkeypatch.chdir(tmp_path)


COMMANDS = documented()


def faults_of(commands: list[Command], groups: dict[str, dict[str, list[str]]]) -> list[str]:
    """Where the commands and what is said of them do not agree, a sentence each."""
    places = Counter(
        text for group in groups.values() for texts in group.values() for text in texts
    )
    once = {text for texts in groups["run"].values() for text in texts}
    shown = {command.text for command in commands}
    on_page = {(command.page, command.text) for command in commands}
    return [
        *(f"nobody runs: {text}" for text in sorted(shown - places.keys())),
        *(f"on no page any more: {text}" for text in sorted(places.keys() - shown)),
        *(
            f"stands there twice: {text}"
            for text, n in places.items()
            if n > 1 and text not in once
        ),
        *(
            f"{page} does not show: {text}"
            for page, texts in groups["run"].items()
            for text in texts
            if (page, text) not in on_page
        ),
        *(f"there is no test {test}" for test in groups["test"] if not exists(test)),
        *(
            f"has no parser: {text}"
            for texts in groups["parsed"].values()
            for text in texts
            if not has_parser(text)
        ),
        *(
            f"has a parser: {text}"
            for texts in groups["unparsed"].values()
            for text in texts
            if has_parser(text)
        ),
    ]


def exists(test: str) -> bool:
    """Whether a test of that id, parameters aside, stands in its file."""
    name, _, function = test.partition("::")
    if not (ROOT / name).is_file():
        return False
    tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
    return function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def has_parser(text: str) -> bool:
    return any(text.startswith(" ".join(beginning)) for beginning in PARSERS)


# --- all of them ----------------------------------------------------------------------------------


def test_of_every_command_it_is_said_how_it_is_known_to_work() -> None:
    assert faults_of(COMMANDS, inventory()) == []


def test_the_pages_that_are_typed_have_a_desk() -> None:
    tree = ast.parse((ROOT / "tests/test_documented_runs.py").read_text(encoding="utf-8"))
    [pages] = [
        node.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "PAGES"
    ]
    assert isinstance(pages, ast.Dict)
    named = {ast.literal_eval(key) for key in pages.keys if key is not None}
    typed = {page for page in inventory()["run"] if not page.startswith("example_configs/")}
    assert named == typed


@pytest.mark.parametrize("page", sorted({command.page for command in COMMANDS}))
def test_every_command_is_what_its_program_understands(page: str) -> None:
    said = {
        command.text: complaint(command.program)
        for command in COMMANDS
        if command.page == page and has_parser(" ".join(command.program))
    }
    assert {text: fault for text, fault in said.items() if fault} == {}


@pytest.mark.parametrize(
    "path", [*PAGES, *RECIPES], ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_every_command_in_a_sentence_is_one_of_ours(path: Path) -> None:
    """What stands between backticks, perhaps cut short: its options are there."""
    text = re.sub(r"^ *```.*?^ *```", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    mentions = re.findall(r"`(axolotl-cft [^`]+)`", re.sub(r"\n[# ]*", " ", text))
    said = {}
    for mention in mentions:
        words = re.sub(r"\\?\|.*", "", mention).split()
        said[mention] = complaint((*words, "…"))
    assert {mention: fault for mention, fault in said.items() if fault} == {}


def helps(command: click.Command) -> Iterator[str]:
    """The help of a command and of all below it."""
    yield f"{command.help}\n{command.epilog}"
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from helps(below)


def test_every_example_of_our_help_is_what_we_understand() -> None:
    text = re.sub(r"\\\n\s*", " ", "\n".join(helps(main)))
    examples = "".join(re.findall(r"Examples?:\n((?: *\S.*\n)+)", text + "\n"))
    commands = [Command("--help", words) for words in commands_in(examples)]
    said = {command.text: complaint(command.program) for command in commands}
    assert len(said) > 30
    assert {example: fault for example, fault in said.items() if fault} == {}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_block_is_what_a_shell_understands(page: Path) -> None:
    for block in markdown_blocks(page.read_text(encoding="utf-8")):
        checked = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True)
        assert checked.returncode == 0, block + checked.stderr


# --- what it would find ---------------------------------------------------------------------------


def test_a_new_command_is_missed_and_so_is_one_that_went() -> None:
    new = Command("README.md", ("axolotl-cft", "preview", "other.yml"))
    assert faults_of([*COMMANDS, new], inventory()) == [
        "nobody runs: axolotl-cft preview other.yml"
    ]
    gone = [command for command in COMMANDS if command.text != "axolotl-cft demo"]
    assert faults_of(gone, inventory()) == ["on no page any more: axolotl-cft demo"]


def test_a_command_on_another_page_and_a_test_that_is_gone_are_missed() -> None:
    groups = inventory()
    groups["run"]["docs/speed.md"] = ["axolotl-cft prompts list"]
    groups["test"]["tests/test_demo.py::test_gone"] = []
    groups["test"]["tests/test_gone.py::test_gone"] = []
    assert faults_of(COMMANDS, groups) == [
        "docs/speed.md does not show: axolotl-cft prompts list",
        "there is no test tests/test_demo.py::test_gone",
        "there is no test tests/test_gone.py::test_gone",
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("axolotl-cft preview my.yml --wide", "--wide"),
        ("axolotl-cft previw my.yml", "no such command: previw"),
        ("axolotl-cft corpus mak my.yml", "no such command: mak"),
        ("axolotl-cft corpus pack papers/", "Missing option '--output-dir'"),
        ("axolotl-cft generate c.jsonl --style nice --output-dir o", "is not one of"),
        ("axolotl-cft corpus make c.yml --num-proc many", "not a valid integer"),
        ("axolotl-cft study", "Missing argument 'STUDY.yml'"),
        ("axolotl-cft --loud study a.yml", "No such option"),
        ("axolotl cft study a.yml --parallel 0", "not in the range"),
        ("axolotl train my.yml --output_dri out", "--output_dri"),
        ("axolotl trian my.yml", "axolotl has no command trian"),
        ("accelerate launch --num_proceses 8 -m axolotl.cli.train my.yml", "--num_proceses"),
        ("accelerate launch -m axolotl.cli.train my.yml --cft__prompt none", "no such option"),
        ("python -m axolotl.cli.train my.yml --sequence_length 8", "--sequence_length"),
        ("trove/bin/python datatrove_clean.py raw out --executor slrm", "invalid choice"),
        ("lm_eval --model hf --tasks a --log_sample", "--log_sample"),
        ("lm_eval --model hf --task_list a --output_path o", "--task_list"),
        ("lm_eval --model hf --tasks a --log_samples", "--output_path"),
    ],
)
def test_an_option_that_does_not_exist_is_found(line: str, said: str) -> None:
    assert said in (complaint(tuple(line.split())) or "")


def test_an_unknown_program_is_no_command_that_could_pass() -> None:
    with pytest.raises(KeyError):
        complaint(("axolotl-ctf", "demo"))


# --- how they are found ---------------------------------------------------------------------------

PAGE = """\
```bash
A=1 one --x 'a b' && two \\
    --y "$(three 4)"   # a note
run="four --z"
for n in 1 2; do
  $run $n > out.txt
done
```

    five ./indented | six

```console
$ seven
what it prints
```

```text
no command
```

```bash
#!/bin/bash
#SBATCH --array=1-4
unseen
axolotl-cft prepare \\
  my.yml
```
"""


def test_commands_are_found_as_a_shell_finds_them() -> None:
    blocks = list(markdown_blocks(PAGE))
    assert [" ".join(words) for block in blocks for words in commands_in(block)] == [
        "A=1 one --x a b",
        "two --y $(three 4)",
        "four --z $n > out.txt",
        "five ./indented",
        "six",
        "seven",
        "#! #SBATCH --array=1-4",
        "axolotl-cft prepare my.yml",
    ]


def test_comments_of_recipes_hold_commands_where_they_are_indented() -> None:
    comment = (
        "# Prose.\n#\n#   one a \\\n#       --b\n#   two\n#\n# More:\n#\n#   from x import y\n"
    )
    blocks = list(comment_blocks(comment + "key: 1\n  #   three   # in the midst of it\n"))
    assert [" ".join(words) for block in blocks for words in commands_in(block)] == [
        "one a --b",
        "two",
        "three",
    ]


def test_there_are_many() -> None:
    assert len(COMMANDS) > 150 and len({command.page for command in COMMANDS}) > 30
