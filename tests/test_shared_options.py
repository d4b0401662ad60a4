"""What several commands share is spelled and explained alike in all of them."""

from collections import defaultdict
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from axolotl_cft.cli import COMMANDS, main
from axolotl_cft.cli.shared_options import NameList


def options(
    command: click.Command | None = None, name: str = ""
) -> Iterator[tuple[str, click.Option]]:
    """Every option of every command, with the command's name."""
    if command is None:
        for each in COMMANDS:
            yield from options(main.get_command(click.Context(main), each), each)
    elif isinstance(command, click.Group):
        for each, sub in command.commands.items():
            yield from options(sub, f"{name} {each}")
    else:
        yield from ((name, param) for param in command.params if isinstance(param, click.Option))


@pytest.mark.parametrize(
    "spelling", ["--field", "--subset", "--split", "--data-dir", "--ngram", "--json"]
)
def test_a_shared_option_says_the_same_everywhere(spelling: str) -> None:
    said = defaultdict(list)
    for command, option in options():
        if spelling in option.opts:
            said[option.help, option.default].append(command)
    assert len(said) == 1 and sum(map(len, said.values())) > 1, dict(said)


def test_config_is_always_a_file_and_outputs_always_go_to_output_dir() -> None:
    for command, option in options():
        where = f"{command} {option.opts}"
        assert not {"--text-field", "--out", "-o"} & set(option.opts), where
        if "--output" in option.opts:  # where one file is all that comes out
            assert isinstance(option.type, click.Path) and not option.type.dir_okay, where
        if "--config" in option.opts or "--output-dir" in option.opts:
            assert isinstance(option.type, click.Path), where
        assert option.help, where


def test_a_list_of_names_is_split_and_not_empty() -> None:
    convert = NameList().convert
    assert convert(" a, b,,c ", None, None) == ["a", "b", "c"]
    with pytest.raises(click.BadParameter, match="names nothing"):
        convert(" , ", None, None)
    result = CliRunner().invoke(main, ["probe", "--model", "m", "--data", "d", "--pools", ","])
    assert result.exit_code == 2 and "--pools" in result.output


def test_what_shows_figures_has_json() -> None:
    having = {name.strip() for name, option in options() if "--json" in option.opts}
    assert having >= {"preview", "prompts list", "report", "contamination", "study", "corpus plan"}
    assert "heldout" not in having
