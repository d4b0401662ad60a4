"""The commands that the documentation shows: found in its blocks, and checked by real parsers."""

import argparse
import contextlib
import io
import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import dropwhile, takewhile
from pathlib import Path
from unittest import mock

import click
import yaml
from markdown_it import MarkdownIt

from axolotl_cft.cli import main
from axolotl_cft.errors import CFTError

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "eval_tasks").rglob("README.md"),
        ROOT / "tests" / "example_plugin" / "README.md",
    ]
)
RECIPES = sorted((ROOT / "example_configs").glob("*.yml"))

SHELL = ("", "bash", "console", "sh")
"""Languages of blocks that hold commands; every other block says what it is."""

PLUMBING = {
    "[",
    "declare",
    "do",
    "done",
    "exit",
    "export",
    "fi",
    "for",
    "if",
    "then",
    "trap",
    "wait",
}
"""Words of the shell that begin no command of interest."""

NOTES = re.compile(r"from |CPT  |[*-] |[\d.]+ ")
"""How indented lines begin in recipes' comments that are no commands: Python, tables, lists."""


@dataclass(frozen=True)
class Command:
    """A command as a reader types it.

    Attributes:
        page: where it stands, relative to the repository.
        words: what the shell makes of it: variables of the block filled in, quotes gone.
    """

    page: str
    words: tuple[str, ...]

    @property
    def text(self) -> str:
        """Its words in a line, by which the inventory names it."""
        return " ".join(self.words)

    @property
    def program(self) -> tuple[str, ...]:
        """What its program is given: without variables before it, and where its output goes."""
        words = dropwhile(_ASSIGNMENT.match, self.words)
        return tuple(takewhile(lambda word: word != ">", words))


_ASSIGNMENT = re.compile(r"[\w\[\]]+=")


def documented() -> list[Command]:
    """All commands of all pages and recipes, in their order."""
    pages = [(page, markdown_blocks(page.read_text("utf-8"))) for page in PAGES]
    recipes = [(recipe, comment_blocks(recipe.read_text("utf-8"))) for recipe in RECIPES]
    return [
        Command(path.relative_to(ROOT).as_posix(), words)
        for path, blocks in [*pages, *recipes]
        for block in blocks
        for words in commands_in(block)
    ]


def markdown_blocks(text: str) -> Iterator[str]:
    """The blocks of a page that hold commands; of a session, without what it printed."""
    for token in MarkdownIt().parse(text):
        if token.type not in ("fence", "code_block") or token.info.strip() not in SHELL:
            continue
        if token.info.strip() != "console" and not token.content.startswith("$ "):
            yield token.content
            continue
        yield "".join(f"{line}\n" for line in re.findall(r"^\$ (.*)", token.content, re.MULTILINE))


def comment_blocks(text: str) -> Iterator[str]:
    """The indented lines of a recipe's comments, those together that follow one another."""
    lines = text.splitlines()
    block: list[str] = []
    for line in [*lines, ""]:
        if match := re.match(r"\s*#   (\s*\S.*)", line):
            block.append(match[1])
        elif block:
            if not NOTES.match(block[0]):
                yield "\n".join([*block, ""])
            block = []


def commands_in(block: str) -> Iterator[tuple[str, ...]]:
    """The simple commands of a block, split as a shell splits them.

    Pipes, lists and the commands of `$(…)` are taken apart; a variable that the block sets to
    several words is filled in. Words of the shell's own syntax are left out. A script is one
    command, named by its second line; those of ours in it follow.
    """
    if block.startswith("#!"):
        yield ("#!", block.splitlines()[1])
        inside = re.findall(r"^axolotl.*", re.sub(r"\\\n\s*", " ", block), re.MULTILINE)
        yield from commands_in("\n".join(inside)) if inside else ()
        return
    bare = re.sub(r"\\\n\s*", " ", re.sub(r"(^|[ \t])#.*$", "", block, flags=re.MULTILINE))
    lexer = shlex.shlex(bare, posix=True, punctuation_chars="|&;()\n")
    lexer.whitespace, lexer.commenters, lexer.whitespace_split = " \t\r", "", True
    words: list[str] = []
    variables: dict[str, str] = {}
    for word in [*lexer, "\n"]:
        if word.strip("|&;()\n"):
            words += variables.get(word, word).split() if word in variables else [word]
            continue
        if words[:1] == ["do"]:
            words = words[1:]
        if len(words) == 1 and " " in (said := words[0].partition("=")[2]):
            variables["$" + words[0].partition("=")[0]] = said
        if words and words[0] not in PLUMBING and not all(map(_ASSIGNMENT.match, words)):
            yield tuple(words)
        words = []


# --- parsing --------------------------------------------------------------------------------------


def complaint(words: tuple[str, ...]) -> str | None:
    """What the real parser of a program says against a command, if anything.

    `…` stands for what the page leaves out, so nothing is missed then; variables count as 1.

    Raises:
        KeyError: the program has no parser here.
    """
    program, *rest = words
    whole = "…" not in rest
    given = [re.sub(r"\$(\w+|\{[^}]*\})", "1", word) for word in rest if word != "…"]
    for (name, *subject), parse in PARSERS.items():
        if program == name and given[: len(subject)] == subject:
            with contextlib.redirect_stderr(io.StringIO()) as told:
                try:
                    parse(given[len(subject) :], whole)
                except click.BadOptionUsage as exc:  # a value, which sentences may leave out
                    return exc.format_message() if whole else None
                except click.ClickException as exc:
                    return exc.format_message()
                except CFTError as exc:
                    return str(exc)
                except SystemExit:
                    return told.getvalue().strip().splitlines()[-1]
            return None
    raise KeyError(program)


def parse_ours(words: list[str], whole: bool) -> None:
    """Down to the types of options and arguments; files that must exist are put in place."""
    command: click.Command = main
    context = click.Context(main, info_name="axolotl-cft")
    while isinstance(command, click.Group):
        flags = 0
        while words[flags : flags + 1] and words[flags].startswith("-"):
            flags += 1
        command.parse_args(click.Context(command, info_name=command.name), [*words[:flags], "x"])
        if not words[flags:]:
            return
        name, words = words[flags], words[flags + 1 :]
        if name.isupper():  # any command
            return
        found = command.get_command(context, name)
        if found is None:
            raise click.UsageError(f"no such command: {name}")
        command, context = found, _context(found, name)
    values, _, _ = command.make_parser(context).parse_args(list(words))
    for parameter in command.params:
        if isinstance(parameter.type, click.Path) and parameter.type.exists:
            _put_in_place(values.get(parameter.name or ""), parameter.type)
    if whole:
        command.parse_args(_context(command, name), list(words))
    if context.ignore_unknown_options:  # as `preview` does, which takes keys of the config
        [name] = [p.name for p in command.params if p.name and p.type is click.UNPROCESSED]
        if isinstance(values[name], list | tuple):
            parse_training(list(values[name]), whole)


def _context(command: click.Command, name: str) -> click.Context:
    return click.Context(command, info_name=name, **command.context_settings)


def _put_in_place(value: object, kind: click.Path) -> None:
    for name in value if isinstance(value, list | tuple) else [value]:
        if not isinstance(name, str) or Path(name).exists():
            continue
        assert not Path(name).is_absolute(), f"{name}: only what lies here can be put in place"
        if kind.file_okay and Path(name).suffix:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).touch()
        else:
            Path(name).mkdir(parents=True)


def parse_lm_eval(words: list[str], whole: bool) -> None:
    """lm-eval's own parser of `lm_eval run`."""
    from lm_eval._cli.run import Run

    parsers = argparse.ArgumentParser().add_subparsers()
    Run.create(parsers)
    given = parsers.choices["run"].parse_args(words)
    asked = vars(given)  # without what was not given
    if whole and asked.get("log_samples") and not asked.get("output_path"):
        raise CFTError("lm_eval wants --output_path with --log_samples")


def parse_launch(words: list[str], whole: bool) -> None:
    """accelerate's own parser; what follows `-m axolotl.cli.train` is read as the host reads it."""
    from accelerate.commands.launch import launch_command_parser

    given = launch_command_parser().parse_args(words)
    if given.module and given.training_script == "axolotl.cli.train":
        parse_training(given.training_script_args, whole)


def parse_training(words: list[str], whole: bool) -> None:
    """A config, and keys that the host or the plugin has."""
    from axolotl_cft.host.overrides import read_words, refuse_unknown

    _, overrides = read_words(words)
    refuse_unknown({key: value for key, value in overrides.items() if not key.startswith("cft__")})
    from axolotl_cft.core.options import CFTConfig

    for key in overrides:
        block, _, name = key.partition("__")
        if block == "cft" and name not in CFTConfig.model_fields:
            raise CFTError(f"--{key}: the cft block has no such option")


def parse_host(words: list[str], whole: bool) -> None:
    """The host's own commands, which take keys of the config beside their options."""
    from axolotl.cli.main import cli

    name, *rest = words
    command = cli.commands.get(name)
    if command is None:
        raise click.UsageError(f"axolotl has no command {name}")
    _put_in_place(rest[0], click.Path(exists=True))
    context = click.Context(command, info_name=name, **command.context_settings)
    command.parse_args(context, list(rest))
    parse_training([rest[0], *context.args], whole)


def parse_datatrove(words: list[str], whole: bool) -> None:
    """The parser of the script that `axolotl-cft init datatrove_clean` copies."""
    script = runpy.run_path(str(ROOT / "example_configs" / "datatrove_clean.py"))
    with mock.patch.object(sys, "argv", ["datatrove_clean.py", *words]):
        script["read_arguments"]()


PARSERS = {
    ("axolotl-cft",): parse_ours,
    ("axolotl", "cft"): parse_ours,
    ("axolotl",): parse_host,
    ("lm_eval",): parse_lm_eval,
    ("accelerate", "launch"): parse_launch,
    ("python", "-m", "axolotl.cli.train"): parse_training,
    ("trove/bin/python", "datatrove_clean.py"): parse_datatrove,
}
"""First words -> who checks the rest."""


def inventory() -> dict[str, dict[str, list[str]]]:
    """How each command is known to work: tests/documented_commands.yaml."""
    text = (ROOT / "tests" / "documented_commands.yaml").read_text(encoding="utf-8")
    content: dict[str, dict[str, list[str]]] = yaml.safe_load(text)
    return content
