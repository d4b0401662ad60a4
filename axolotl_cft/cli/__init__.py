"""The `axolotl-cft` command line, also reachable as `axolotl cft …`.

One small module per command. The table below is all that `--help` reads: a command's module is
imported when the command is used, and heavy libraries only inside the command's function.
"""

import importlib
from typing import Any

import click
from click.shell_completion import CompletionItem

from axolotl_cft.errors import CFTError
from axolotl_cft.host.quiet import quiet_libraries

QUIET = "axolotl_cft.quiet"
"""Where a command's context holds what `--quiet` says (`click.Context.meta`)."""

# name -> (module below axolotl_cft.cli, attribute, one line for --help)
COMMANDS: dict[str, tuple[str, str, str]] = {
    "demo": ("demo", "demo", "See CFT and CPT train on a tiny model, on this machine, in minutes."),
    "init": ("init", "init", "List recipes, copy one, or add CFT to an Axolotl config of yours."),
    "corpus": ("corpus", "corpus", "Build a corpus from folders and archives of documents."),
    "preview": ("preview", "preview", "Show the rows a config will train, prompt and loss marked."),
    "prepare": ("prepare", "prepare", "Prepare a large corpus in shards, on many machines."),
    "prompts": ("prompts", "prompts", "List, show and check pools of contextual prompts."),
    "probe": ("probe", "probe", "Measure how each prompt changes a model's likelihood of a text."),
    "generate": ("generate", "generate", "Write a contextual prompt for every text with an LLM."),
    "educate": ("educate", "educate", "Turn question-answer items into texts with prompts."),
    "comprehension": ("comprehension", "comprehension", "Follow texts with exercises by rules."),
    "contamination": ("contamination", "contamination", "Find benchmark items in a corpus."),
    "facts": ("facts", "facts", "Invent a world: documents, and questions no model has seen."),
    "heldout": ("heldout", "heldout", "Export held-out documents, for the loss on bare text."),
    "data": ("data", "data", "Fetch the benchmarks for machines without a network."),
    "study": ("study", "study", "Train and evaluate several arms and seeds; resumable."),
    "report": ("report", "report", "Compare evaluated runs, with intervals, tests and figures."),
    "icl": ("icl", "icl", "The paper's synthetic experiments: why context helps."),
}


class LazyGroup(click.Group):
    """A click group that imports a command's module only when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table (the order in which a newcomer meets them)."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import `axolotl_cft.cli.<module>` and return its command, or None if unknown."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command = getattr(importlib.import_module(f"axolotl_cft.cli.{module}"), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Render the table without importing any command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, spec[2]) for name, spec in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command's name by the table, without importing any command."""
        commands = [
            CompletionItem(name, help=spec[2])
            for name, spec in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a `CFTError` becomes its one sentence and exit status 1."""
        try:
            return super().invoke(ctx)
        except CFTError as exc:
            raise click.ClickException(str(exc)) from exc


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with `axolotl-cft demo`; then `axolotl-cft init --from CONFIG` adds CFT to your "
    "own Axolotl YAML, and `axolotl-cft preview CONFIG` shows what it will train.",
)
@click.version_option(package_name="axolotl-cft")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress: results and warnings alone.")
@click.pass_context
def main(ctx: click.Context, quiet: bool) -> None:
    """Contextual fine-tuning (CFT) for Axolotl.

    CFT is continued pre-training in which a sampled contextual prompt stands before each raw
    document and the loss is taken on the document only (Choi et al., ICLR 2025).
    """
    ctx.meta[QUIET] = quiet
    quiet_libraries()
