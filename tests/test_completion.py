"""Shell completion, set up as docs/good-to-know.md says."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from axolotl_cft.cli import COMMANDS, main

PAGE = Path(__file__).parents[1] / "docs" / "good-to-know.md"
# How each shell comes to its completions is written there, in a block of its own.
LINES = dict(
    re.findall(r"^  +(.*_AXOLOTL_CFT_COMPLETE=(?:(\w+)_source).*)$", PAGE.read_text(), re.M)
)
SET_UP = {shell: line.split("   #")[0].strip() for line, shell in LINES.items()}


def completions(*words: str) -> list[str]:
    *given, incomplete = words
    complete = ShellComplete(main, {}, "axolotl-cft", "_AXOLOTL_CFT_COMPLETE")
    return [item.value for item in complete.get_completions(given, incomplete)]


def shell(*command: str, **more: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, **more}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=True
    )


def test_every_shell_that_click_knows_is_documented():
    assert set(SET_UP) == {"bash", "zsh", "fish"}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("axolotl-cft pre", ["preview", "prepare"]),
        ("axolotl-cft prompts sh", ["show"]),
        ("axolotl-cft prompts show pa", ["paper"]),
        ("axolotl-cft init cft_q", ["cft_qlora"]),
        ("axolotl-cft study my.yml --dry", ["--dry-run"]),
        ("axolotl-cft nosuch", []),
    ],
)
def test_the_documented_line_completes_in_bash(typed, expected):
    words = typed.split(" ")
    script = f"""
        {SET_UP["bash"]}
        COMP_WORDS=({" ".join(f"'{word}'" for word in words)}); COMP_CWORD={len(words) - 1}
        complete -p axolotl-cft | grep -q _axolotl_cft_completion || exit 3
        _axolotl_cft_completion axolotl-cft
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    assert shell("bash", "--norc", "-c", script).stdout.split() == expected


@pytest.mark.slow
@pytest.mark.parametrize("name", ["zsh", "fish"])
def test_the_other_shells_have_a_script(name):
    script = shell("axolotl-cft", _AXOLOTL_CFT_COMPLETE=f"{name}_source").stdout
    assert f"_AXOLOTL_CFT_COMPLETE={name}_complete" in script
    if shutil.which(name):
        shell(name, "-n", "-c", script)


def test_names_of_commands_are_known_without_importing_any():
    code = "import sys, test_completion as t\nt.completions('')\n"
    code += "print(*[name for name in sys.modules if name.startswith('axolotl_cft.cli.')])"
    there = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    assert shell(sys.executable, "-c", code, **there).stdout.split() == []
    assert completions("") == list(COMMANDS) and completions("stu") == ["study"]
    assert "--quiet" in completions("--q")


@pytest.mark.parametrize(
    "words",
    [
        ("preview", "my"),
        ("generate", "my"),
        ("educate", "my"),
        ("comprehension", "my"),
        ("contamination", "my"),
        ("corpus", "pack", "my"),
        ("report", "my"),
        ("prompts", "check", "my"),
        ("study", "my"),
    ],
)
def test_files_complete_what_may_be_one(words):
    *given, incomplete = words
    complete = ShellComplete(main, {}, "axolotl-cft", "_AXOLOTL_CFT_COMPLETE")
    [item] = complete.get_completions(given, incomplete)
    assert item.type == "file" and item.value == "my"
