"""Exam questions that must not be taught: those of test splits and of the benchmarks."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from axolotl_cft.errors import CFTError
from axolotl_cft.files import write_atomic

if TYPE_CHECKING:
    from axolotl_cft.generation.questions import Item

OVERLAPS = "overlaps.jsonl"


class ForbiddenItemsError(CFTError):
    """Items that must not be taught are among those given."""


class ForbiddenSplitError(ForbiddenItemsError):
    """Their file or split is a test set by its name."""


@dataclasses.dataclass(frozen=True)
class Guard:
    """What keeps evaluation items out of the training rows.

    Attributes:
        tasks: evaluation tasks or groups whose test items must not be among the items.
        data_dir: folder with the benchmarks; None for CFT_DATA_DIR, else the hub.
        ngram: words in a row that count as overlap.
        min_words: words below which a test item is not looked for.
        drop_overlapping: leave out what overlaps, and go on.
        allow_test_split: check neither names nor overlap.
    """

    tasks: Sequence[str] = ("cft_medical",)
    data_dir: Path | None = None
    ngram: int = 13
    min_words: int = 8
    drop_overlapping: bool = False
    allow_test_split: bool = False

    def check_names(self, names: Sequence[str]) -> None:
        """Refuse files or splits whose name says that they are a test set; nothing is read.

        Raises:
            ForbiddenSplitError: names the first of them.
        """
        from axolotl_cft.generation.questions import named_test

        for name in names:
            if named_test(name) and not self.allow_test_split:
                raise ForbiddenSplitError(
                    f"'{name}' is a test split by its name: a model trained on texts made from it "
                    "knows the test; use the train split"
                )

    def check_items(self, items: "dict[str, Item]", output_dir: Path) -> list[bool]:
        """Which items may be used.

        Args:
            items: the items by their place.
            output_dir: receives `OVERLAPS` where some overlap with the evaluation sets.

        Raises:
            ForbiddenItemsError: some overlap, and are neither to be dropped nor allowed.
            CFTError: the evaluation sets cannot be read.
        """
        hits = [] if self.allow_test_split else self._overlaps(items)
        path = output_dir / OVERLAPS
        if not hits:
            path.unlink(missing_ok=True)  # an earlier run's
            return [True] * len(items)
        write_atomic(path, "".join(json.dumps(hit, ensure_ascii=False) + "\n" for hit in hits))
        if not self.drop_overlapping:
            first = hits[0]
            raise ForbiddenItemsError(
                f"{len(hits)} of {len(items)} items overlap with the evaluation sets, the first "
                f"being {first['place']} with item {first['item']} of {first['task']} "
                f'("{first["words"]}"); {path} lists them'
            )
        overlapping = {hit["place"] for hit in hits}
        return [place not in overlapping for place in items]

    def _overlaps(self, items: "dict[str, Item]") -> list[dict[str, Any]]:
        """The first hit of every item that overlaps."""
        from axolotl_cft.corpus.contamination import OverlapIndex, Rules, load_items

        rules = Rules(self.ngram, self.min_words)
        index = OverlapIndex(load_items(list(self.tasks), self.data_dir), rules)
        found = ((place, index.find(item.question)) for place, item in items.items())
        return [{"place": place, **dataclasses.asdict(hits[0])} for place, hits in found if hits]
