"""`axolotl-cft prompts`: list, show and check pools of contextual prompts."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from click.shell_completion import CompletionItem
from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from axolotl_cft.cli.progress import progress
from axolotl_cft.cli.shared_options import AS_JSON, complete_files
from axolotl_cft.core.pool import PromptPool
from axolotl_cft.prompts.doubts import count_tokens, find_doubts, unbound_columns
from axolotl_cft.prompts.registry import all_pools, load_pool

if TYPE_CHECKING:
    from axolotl_cft.host.tokens import Tokens


def complete_pools(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Pools by their names, else files."""
    names = [name for name in all_pools() if name.startswith(incomplete)]
    return [CompletionItem(name) for name in names] or complete_files(ctx, param, incomplete)


@click.group()
def prompts() -> None:
    """List, show and check pools of contextual prompts.

    \b
    Examples:
      axolotl-cft prompts list
      axolotl-cft prompts show paper
      axolotl-cft prompts check my_pool.yaml --tokenizer meta-llama/Llama-2-7b-hf
    """


@prompts.command("list")
@AS_JSON
def list_pools(as_json: bool) -> None:
    """List the pools that can be named in `cft.prompts`.

    A pool is built in, or comes with an installed package (docs/plugins.md). Any other pool is your
    own file, named by its path.
    """
    pools = all_pools()
    if as_json:
        click.echo(json.dumps([_facts(pool) for pool in pools.values()], indent=2))
        return
    table = _table("Pool", "Prompts", "From", "Description")
    for name, pool in pools.items():
        table.add_row(name, str(len(pool.prompts)), _origin(pool), Text(pool.description))
    _print(table)


@prompts.command()
@click.argument("pool", shell_complete=complete_pools)
def show(pool: str) -> None:
    """Show every prompt of POOL, a pool's name or a pool file: text, source and learning theory.

    \b
    Example:
      axolotl-cft prompts show paper
    """
    loaded = load_pool(pool)
    _print(Text(f"{loaded.name}: {loaded.description}"))
    _print(Text(f"{_origin(loaded)}; {_counted(loaded)}"))
    weights = sum(prompt.weight for prompt in loaded.prompts)
    for prompt in loaded.prompts:
        facts = {
            "strategy": prompt.strategy,
            "text": prompt.text,
            "source": prompt.source,
            "theory": prompt.theory,
            "weight": f"{prompt.weight:g} (drawn for {prompt.weight / weights:.1%} of the chunks)",
        }
        grid = Table.grid(Column(style="dim", min_width=12), Column(overflow="fold"))
        for name, fact in facts.items():
            if fact:
                grid.add_row(f"  {name}", Text(fact))
        _print(Group("", Text(prompt.id, style="bold"), grid))


@prompts.command()
@click.argument("file", metavar="FILE", shell_complete=complete_pools)
@click.option(
    "--tokenizer",
    metavar="PATH",
    help="Count tokens with this tokenizer (a folder or a hub name).",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["plain", "chat"]),
    help="As `cft.format`: what stands around a prompt when its tokens are counted.  [default: "
    "the config's, else plain]",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Axolotl YAML whose tokenizer, `cft.format` and `cft.prompt_budget` the prompts must fit.",
)
def check(
    file: str,
    tokenizer: str | None,
    format_: Literal["plain", "chat"] | None,
    config: Path | None,
) -> None:
    """Check a pool FILE (or a pool's name): its form, its prompts, and the tokens they take.

    A malformed file is refused with its line. Prompts that hardly differ, stray braces and unused
    defaults cause a warning. With --tokenizer or --config every prompt is encoded as in training,
    and the smallest `cft.prompt_budget` that has room for all is printed.

    \b
    Examples:
      axolotl-cft prompts check my_pool.yaml --tokenizer meta-llama/Llama-2-7b-hf
      axolotl-cft prompts check my_pool.yaml --config config.yml
    """
    pool = load_pool(file)
    _print(Text(f"{pool.name}: {_counted(pool)}"))
    if pool.columns:
        _print(Text(f"columns it names: {', '.join(sorted(pool.columns))}"))
    if tokenizer or config:
        from axolotl_cft.host.tokens import read_tokens

        with progress("Loading the tokenizer"):
            tokens = read_tokens(config, tokenizer, format_=format_)
            sizes = count_tokens(pool, tokens.of_prompt)
        _report_tokens(pool, tokens, sizes)
    doubts = find_doubts(pool)
    for doubt in doubts:
        _print(Text.assemble(("warning: ", "yellow"), doubt))
    _print(Text("valid, with warnings" if doubts else "valid", style="green"))


def _report_tokens(pool: PromptPool, tokens: "Tokens", sizes: Mapping[str, int]) -> None:
    """The tokens of each prompt, and the budget they need."""
    table = _table("Prompt", "Tokens")
    for id_, size in sizes.items():
        table.add_row(id_, str(size))
    _print(table)
    around = "the chat template" if tokens.options.format == "chat" else "BOS and separator"
    _print(Text(f"counted with {tokens.name}, {around} included"))
    if unbound := unbound_columns(pool):
        _print(Text(f"columns without a default count as their names: {', '.join(unbound)}"))
    needed = max(sizes.values())
    advice = f"; set cft.prompt_budget: {needed}" if needed > tokens.budget else ""
    _print(Text(f"smallest prompt_budget that fits: {needed} (it is {tokens.budget}{advice})"))


def _facts(pool: PromptPool) -> dict[str, Any]:
    return {
        "name": pool.name,
        "prompts": len(pool.prompts),
        "columns": sorted(pool.columns),
        "package": pool.package,
        "fingerprint": pool.fingerprint,
        "description": pool.description,
    }


def _origin(pool: PromptPool) -> str:
    if pool.package == "axolotl-cft":
        return "built in"
    return f"package {pool.package}" if pool.package else f"file {pool.origin}"


def _counted(pool: PromptPool) -> str:
    count = len(pool.prompts)
    weighted = len({prompt.weight for prompt in pool.prompts}) > 1
    how = "weighted" if weighted else "equally likely"
    return f"{count} prompts, {how}" if count > 1 else "1 prompt"


def _print(content: RenderableType) -> None:
    """Wrap and color for a terminal; a pipe gets whole lines."""
    console = Console(highlight=False, markup=False, emoji=False)
    if console.is_terminal:
        console.print(content)
        return
    wide = Console(highlight=False, markup=False, emoji=False, width=100_000)
    with wide.capture() as captured:
        wide.print(content)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in columns:
        justify: Any = "right" if name in {"Prompts", "Tokens"} else "left"
        table.add_column(name, justify=justify, overflow="fold")
    return table
