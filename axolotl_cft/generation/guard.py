"""Exam questions that must not be taught: those of test splits and of the benchmarks."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from axolotl_cft.errors import CFTError
from axolotl_cft.files import write_atomic

if TYPE_CHECKING:
    from axolotl_cft.generation.questions import Item


@dataclasses.dataclass(frozen=True)
class Guard:
    """What keeps evaluation items out of the training rows."""

    tasks: list[str]
    data_dir: Path | None
    ngram: int
    drop_overlapping: bool
    allow_test_split: bool

    def check_names(self, names: Sequence[str]) -> None:
        """Refuse files or splits that are a test set by their name; nothing is read.

        Raises:
            CFTError: names the first of them.
        """
        from axolotl_cft.generation.questions import named_test

        if self.allow_test_split:
            click.echo("warning: nothing keeps test items out (--allow-test-split)", err=True)
            return
        for name in names:
            if named_test(name):
                raise CFTError(
                    f"'{name}' is a test split by its name: a model trained on texts made from it "
                    "knows the test; use the train split (--allow-test-split overrides this)"
                )

    def check_items(self, items: "dict[str, Item]", output_dir: Path) -> list[bool]:
        """Which items may be used.

        Args:
            items: the items by their place.
            output_dir: receives `overlaps.jsonl` where some overlap with the evaluation sets.

        Raises:
            CFTError: some overlap, and are to be neither dropped nor allowed; or the evaluation
                sets cannot be read.
        """
        hits = [] if self.allow_test_split else self._overlaps(items)
        path = output_dir / "overlaps.jsonl"
        if not hits:
            path.unlink(missing_ok=True)  # an earlier run's
            return [True] * len(items)
        write_atomic(path, "".join(json.dumps(hit, ensure_ascii=False) + "\n" for hit in hits))
        if not self.drop_overlapping:
            first = hits[0]
            raise CFTError(
                f"{len(hits)} of {len(items)} items overlap with the evaluation sets, the first "
                f"being {first['place']} with item {first['item']} of {first['task']} "
                f'("{first["words"]}"); {path} lists them: --drop-overlapping leaves them out, '
                "--allow-test-split keeps them"
            )
        overlapping = {hit["place"] for hit in hits}
        click.echo(f"{len(hits)} items that overlap with the evaluation sets left out: {path}")
        return [place not in overlapping for place in items]

    def _overlaps(self, items: "dict[str, Item]") -> list[dict[str, Any]]:
        """The first hit of every item that overlaps."""
        from rich.console import Console

        from axolotl_cft.corpus.contamination import OverlapIndex, load_items

        with Console(stderr=True).status("Comparing with the evaluation sets"):
            index = OverlapIndex.build(load_items(self.tasks, self.data_dir), self.ngram)
            found = ((place, index.find(item.question)) for place, item in items.items())
            return [
                {"place": place, **dataclasses.asdict(hits[0])} for place, hits in found if hits
            ]
