"""`axolotl-cft corpus make`: packs, cleans and counts a corpus by a recipe.

A recipe's keys are the options of the other commands, which read and check the values themselves:
nothing of them is defined here.
"""

import difflib
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import click

from axolotl_cft.cli.progress import progress
from axolotl_cft.cli.shared_options import NameList, output_folder
from axolotl_cft.errors import CFTError
from axolotl_cft.files import read_yaml
from axolotl_cft.files.recipes import refuse_uncopied

STEPS = ("pack", "clean", "stats")

NOTHING = ("", "~", "null")
"""How YAML writes no value."""


class Step(NamedTuple):
    """A command of a recipe: what it reads, and its options as they are typed."""

    name: str
    inputs: list[str]
    options: list[str]

    @property
    def line(self) -> str:
        """The command as it is typed."""
        return shlex.join(["axolotl-cft", "corpus", self.name, *self.inputs, *self.options])


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path, dir_okay=False))
@output_folder("the clean corpus, and FOLDER-raw the packed one", "default: the recipe's")
@click.option(
    "--num-proc",
    type=click.IntRange(min=1),
    help="Processes, in place of the recipe's; the result is the same with any number.",
)
@click.option("--dry-run", is_flag=True, help="Check the recipe and show its commands, no more.")
@click.pass_context
def make(
    ctx: click.Context, recipe: Path, output_dir: Path | None, num_proc: int | None, dry_run: bool
) -> None:
    """Make a corpus by a recipe: pack, clean, count.

    RECIPE is a YAML file with `sources`, `output_dir`, and under `pack`, `clean` and `stats` the
    options of these commands, which are shown first. Killed at any moment, the same command goes
    on.

    \b
    Examples:
      axolotl-cft init corpus_openmedtext
      axolotl-cft corpus make corpus_openmedtext.yml --num-proc 8
      axolotl-cft corpus make my_papers.yml --output-dir data/papers --dry-run
    """
    corpus = cast(click.Context, ctx.parent)
    commands = cast(click.Group, corpus.command).commands
    steps = read_steps(recipe, commands, output_dir, num_proc)
    values = {step.name: _checked(recipe, commands[step.name], step, corpus) for step in steps}
    for step in steps:
        click.echo(step.line)
    if dry_run:
        return
    if tasks := values["clean"]["tasks"]:
        _read_items(tasks, values["clean"]["data_dir"])
    for step in steps:
        arguments = [*step.inputs, *step.options]
        with commands[step.name].make_context(step.name, arguments, corpus) as own:
            own.command.invoke(own)


def _checked(
    recipe: Path, command: click.Command, step: Step, corpus: click.Context
) -> dict[str, Any]:
    """The values of a step's options, as its command understands them."""
    # Before the first step runs, the folders that the others read are not there yet.
    inputs = step.inputs if step.name == "pack" else ["."]
    try:
        return command.make_context(step.name, [*inputs, *step.options], corpus).params
    except click.UsageError as exc:
        raise CFTError(f"{recipe}: {step.name}: {exc.format_message()}") from exc
    except CFTError as exc:
        raise CFTError(f"{recipe}: {step.name}: {exc}") from exc


def _read_items(tasks: list[str], data_dir: Path | None) -> None:
    """See whether the test items are there, which nobody wants to hear after hours of packing."""
    from axolotl_cft.corpus.contamination import load_items

    with progress("Reading the test items"):
        for _ in load_items(tasks, data_dir):
            pass


def read_steps(
    path: Path, commands: Mapping[str, click.Command], output_dir: Path | None, num_proc: int | None
) -> list[Step]:
    """The three commands of a recipe.

    Args:
        path: the recipe.
        commands: by name.
        output_dir: in place of the recipe's, if given.
        num_proc: in place of the recipe's, if given.

    Raises:
        CFTError: a key is unknown or missing, or what stands there is no value for an option.
    """
    refuse_uncopied(path)
    recipe = read_yaml(path, as_text=True)  # so that `language: no` is Norwegian
    known = ("sources", "output_dir", *STEPS)
    for key in recipe:
        _refuse_unknown(f"{path}: {key} is no key of a recipe", key, known)
    sources = _texts(f"{path}: sources", recipe.get("sources", []))
    if not sources or set(sources) & set(NOTHING):
        raise CFTError(f"{path}: sources lists nothing: name folders, archives or datasets")
    place = recipe.get("output_dir", "")
    if not isinstance(place, str) or place in NOTHING:
        raise CFTError(f"{path}: output_dir is missing: name one folder, such as data/papers")
    clean = output_dir or Path(place).expanduser()
    if not clean.name:
        raise CFTError(f"{path}: output_dir is {clean}: name a folder in it, such as data/papers")
    raw = clean.with_name(f"{clean.name}-raw")
    steps = {
        "pack": (sources, {"--output-dir": str(raw)}),
        "clean": ([str(raw)], {"--output-dir": str(clean)}),
        "stats": ([str(clean)], {}),
    }
    processes = {"--num-proc": str(num_proc)} if num_proc else {}
    return [
        Step(
            name,
            inputs,
            _typed(f"{path}: {name}", commands[name], recipe.get(name, {}), output, processes),
        )
        for name, (inputs, output) in steps.items()
    ]


def _typed(
    where: str,
    command: click.Command,
    given: Any,
    output: Mapping[str, str],
    processes: Mapping[str, str],
) -> list[str]:
    """A command's options as they are typed.

    Args:
        where: the file and the command, for messages.
        command: whose they are.
        given: what the recipe has.
        output: an option that follows from the recipe's own, and is not to be given.
        processes: an option that counts before the recipe's, if the command has it.
    """
    if given in NOTHING:
        given = {}
    if not isinstance(given, Mapping):
        raise CFTError(f"{where} maps options of `corpus {command.name}` to their values")
    options = {
        name: option
        for option in command.params
        if isinstance(option, click.Option)
        for name in option.opts
        if name.startswith("--")
    }
    named: dict[str, Any] = {}
    for key, value in given.items():
        option = "--" + str(key).replace("_", "-")
        if option in output or option in named:
            why = "the recipe's own counts" if option in output else "it stands there twice"
            raise CFTError(f"{where}.{key}: {why}; leave it out")
        if option not in options:
            names = [name[2:].replace("-", "_") for name in options if name not in output]
            no_option = f"{where}.{key} is no option of `corpus {command.name}`"
            _refuse_unknown(no_option, key, names)
        named[option] = value
    named |= {name: value for name, value in processes.items() if name in options}
    return [
        part
        for name, value in (named | dict(output)).items()
        for part in _spelled(f"{where}.{name[2:].replace('-', '_')}", options[name], name, value)
    ]


def _spelled(where: str, option: click.Option, name: str, value: Any) -> list[str]:
    """One option as it is typed."""
    texts = _texts(where, value)
    if isinstance(option.type, NameList):
        texts = [",".join(texts)]
    if not texts or set(texts) & set(NOTHING):
        raise CFTError(f"{where} has no value: give it one, or leave it out")
    if len(texts) > 1 and not option.multiple:
        raise CFTError(f"{where} takes one value, not {len(texts)}")
    if option.is_flag:
        if texts[0].lower() not in ("true", "false"):
            raise CFTError(f"{where} is true or false, not {texts[0]}")
        return [name] if texts[0].lower() == "true" else []
    return [part for text in texts for part in (name, text)]


def _texts(where: str, value: Any) -> list[str]:
    """A value, or a list of them."""
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts):
        raise CFTError(f"{where} is a value or a list of values, and nothing within these")
    return texts


def _refuse_unknown(complaint: str, key: Any, known: Iterable[str]) -> None:
    """Raise where a key is none of those that are known; names the nearest."""
    names = sorted(known)
    if key not in names:
        close = difflib.get_close_matches(str(key).replace("-", "_"), names, n=1)
        mend = f"did you mean {close[0]}?" if close else f"there are {', '.join(names)}"
        raise CFTError(f"{complaint}: {mend}")
