"""`axolotl-cft prepare`: a large corpus is encoded in shards, on many machines, and merged."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from axolotl_cft.cli.progress import progress
from axolotl_cft.preview.collect import quiet_imports

if TYPE_CHECKING:
    from axolotl_cft.records import LedgerRecord


class ShardOption(click.ParamType):
    """`I/N` as (I, N)."""

    name = "I/N"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Both numbers; click names the option where they are wrong."""
        found = re.fullmatch(r"(\d+)/(\d+)", str(value))
        number, count = (int(found[1]), int(found[2])) if found else (0, 0)
        if not 1 <= number <= count:
            self.fail(f"{value!r} is not I/N with I from 1 to N, such as 3/8", param, ctx)
        return number, count


@click.command(
    epilog="""\b
Examples, on four machines that share a file system:
  axolotl-cft prepare my-cft.yml --shard 1/4        # and 2/4, 3/4, 4/4 on the others
  axolotl-cft prepare my-cft.yml --merge            # on one of them, when all are done
  axolotl train my-cft.yml                          # finds it, and encodes nothing
As a Slurm array (docs/scale.md has the whole script):
  axolotl-cft prepare my-cft.yml --shard "$SLURM_ARRAY_TASK_ID/64"      # --array=1-64
"""
)
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "--shard",
    type=ShardOption(),
    help="Encode the I-th of N runs of the documents of each dataset, I from 1.",
)
@click.option("--merge", is_flag=True, help="Put all shards together, as if one process had run.")
def prepare(config: Path, shard: tuple[int, int] | None, merge: bool) -> None:
    """Prepare the data of CONFIG, an Axolotl YAML, in shards.

    What comes of it is what `axolotl preprocess CONFIG` makes on one machine: the same rows in the
    same order, under the same name. A shard that was killed is run again; one that is there is left
    as it is. No model is loaded, and no GPU is used.
    """
    if (shard is None) is not merge:
        raise click.UsageError(
            "give one of --shard I/N and --merge; on a single machine, `axolotl preprocess` "
            f"{config} does it all"
        )
    os.environ.setdefault("AXOLOTL_DO_NOT_TRACK", "1")  # a start per shard says nothing
    with progress("Reading the config"):
        cfg = _load(config)
    if shard is not None:
        _prepare_shard(cfg, shard)
    else:
        _merge(cfg, config)


def _load(config: Path) -> Any:
    """The validated config, its stamps complete."""
    with quiet_imports():
        import axolotl.cli.config  # noqa: F401  (sets up the host's logging)
        from axolotl.integrations.base import PluginManager
        from datasets import disable_progress_bars

        from axolotl_cft.host.config import load_config
    disable_progress_bars()
    cfg = load_config(config)
    PluginManager.get_instance().load_datasets(cfg, preprocess=True)
    return cfg


def _prepare_shard(cfg: Any, shard: tuple[int, int]) -> None:
    from axolotl_cft.host.shards import Shard, prepare_shard

    def show(label: str, documents: float | None) -> Any:
        return progress(label, documents, "" if documents is None else "documents")

    for record, folder, there in prepare_shard(cfg, Shard(*shard), show):
        for entry in record.datasets:
            click.echo(f"{entry.path}: {_summary(entry.ledger)}")
        click.echo(f"{folder} {'was there already' if there else 'is done'}")


def _merge(cfg: Any, config: Path) -> None:
    from axolotl_cft.core.ledger import Ledger
    from axolotl_cft.host.merging import merge_shards

    with progress(f"Merging the shards of {config}"):
        merged = merge_shards(cfg)
    for folder, entries in merged:
        for entry in entries:
            click.echo(f"{entry.path}, {entry.part} part, prompts: {entry.prompts}")
            for line in Ledger.from_dict(dict(entry.ledger)).lines():
                click.echo(f"  {line}")
        click.echo(f"{folder} is done; {folder}.shards is no longer needed")


def _summary(ledger: "LedgerRecord") -> str:
    return (
        f"{ledger.documents:,} documents, {ledger.held_out:,} held out, {ledger.rows:,} rows, "
        f"{ledger.trained_tokens:,} trained tokens"
    )
