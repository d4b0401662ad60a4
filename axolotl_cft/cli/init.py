"""`axolotl-cft init`: a config to begin with, from our recipes or from one's own."""

import difflib
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from axolotl_cft.errors import CFTError
from axolotl_cft.files import read_text, write_atomic

_KINDS = {
    "corpus_": "Corpora (axolotl-cft corpus make FILE)",
    "datatrove_": "Scripts (python FILE)",
    "study_": "Studies (axolotl-cft study FILE)",
    "": "Trainings (accelerate launch -m axolotl.cli.train FILE)",
}
"""What the recipes whose names begin so are, and how each is used."""


def complete_recipes(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Recipes by their names."""
    from axolotl_cft.files.recipes import list_recipes

    return [
        CompletionItem(name, help=purpose)
        for name, purpose in list_recipes().items()
        if name.startswith(incomplete)
    ]


@click.command(
    epilog="""\b
Examples:
  axolotl-cft init
  axolotl-cft init cft_qlora
  axolotl-cft init study_rivals --output studies/rivals.yml
  axolotl-cft init --from my.yml
"""
)
@click.argument("recipe", required=False, shell_complete=complete_recipes)
@click.option(
    "--from",
    "config",
    metavar="CONFIG",
    type=click.Path(path_type=Path, dir_okay=False),
    help="An Axolotl config of yours, to which CFT is added in a copy.",
)
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write. Default: the recipe's own name, here; for my.yml, my.cft.yml beside it.",
)
def init(recipe: str | None, config: Path | None, output: Path | None) -> None:
    """Begin: list the recipes, copy one, or add CFT to a config that you have.

    Without arguments, lists the recipes. RECIPE is copied, and with a study come the configs that
    it names. With --from, datasets of raw text (`type: completion`, pretraining_dataset) become
    `type: cft`, a held-out part takes the place of val_set_size, and the plugin, its block and what
    it needs are added. All else stays as it is written, comments included; the changes are shown.
    Nothing is overwritten.
    """
    if recipe and config:
        raise click.UsageError("give a RECIPE or --from, not both")
    if output and not (recipe or config):
        raise click.UsageError("--output needs a RECIPE or --from")
    if config:
        _adopt(config, output or config.with_suffix(f".cft{config.suffix}"))
    elif recipe:
        _copy(recipe, output)
    else:
        _list()


def _list() -> None:
    from axolotl_cft.files.recipes import list_recipes

    groups: dict[str, list[str]] = {heading: [] for heading in reversed(_KINDS.values())}
    recipes = list_recipes()
    for name, purpose in recipes.items():
        heading = next(heading for begin, heading in _KINDS.items() if name.startswith(begin))
        groups[heading].append(f"  {name:<{max(map(len, recipes))}}  {purpose}")
    for heading, lines in groups.items():
        click.echo("\n".join([f"{heading}:", *lines, ""]))
    click.echo("`axolotl-cft init NAME` copies one; `--from CONFIG` adds CFT to a config of yours.")


def _copy(name: str, output: Path | None) -> None:
    from axolotl_cft.files.recipes import copy_recipe, find_recipe

    recipe = find_recipe(name)
    copy = copy_recipe(recipe, output or Path(recipe.name))
    _refuse_existing(copy.file)
    for file, text in copy.needed.items():
        if file.exists():
            click.echo(f"{file} is there already, and stays as it is")
        else:
            write_atomic(file, text)
            click.echo(f"written: {file}, which {copy.file.name} needs")
    write_atomic(copy.file, copy.text)
    click.echo(f"written: {copy.file}; its first lines say how to use it")
    if copy.mentioned:
        others = ", ".join(copy.mentioned)
        click.echo(f"its comments speak of others, which `init` copies, too: {others}")


def _adopt(config: Path, output: Path) -> None:
    from axolotl_cft.host.adoption import adopt

    text = read_text(config, keep_line_ends=True)
    adopted = adopt(text, str(config), output.stem.replace(".", "-"))
    if adopted.text == text:
        click.echo(f"{config} has everything already: nothing to change, nothing written")
        return
    _refuse_existing(output)
    write_atomic(output, adopted.text)
    old, new = text.splitlines(), adopted.text.splitlines()
    for line in difflib.unified_diff(old, new, str(config), str(output), lineterm=""):
        click.echo(line)
    click.echo()
    for remark in adopted.remarks:
        click.echo(f"note: {remark}")
    click.echo(f"written: {output}; look at it with `axolotl-cft preview {output}`")


def _refuse_existing(file: Path) -> None:
    if file.exists() or file.is_symlink():
        raise CFTError(f"{file} is there already; remove it, or name another with --output")
