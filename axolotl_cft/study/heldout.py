"""The held-out text of a study: exported once, and every evaluated run is measured on it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from axolotl_cft.errors import CFTError
from axolotl_cft.host.plan import parse_options
from axolotl_cft.host.tokens import tokenizer_name, tokens_of
from axolotl_cft.records import HeldOutRecord

if TYPE_CHECKING:
    from axolotl_cft.host.heldout_export import HeldOut


@dataclass(frozen=True)
class HeldOutText:
    """The documents that no arm trains on, or why there are none.

    Attributes:
        root: the study's folder, which holds them.
        limit: most documents to evaluate.
        absent: why there are none; None where there are.
        found: what to export; None where there is nothing.
        identity: digest of all that decides the export; None where there is nothing.
        tokenizer: the config whose tokenizer all arms share; None where they have several.
    """

    root: Path
    limit: int
    absent: str | None = None
    found: "HeldOut | None" = None
    identity: str | None = None
    tokenizer: Mapping[str, Any] | None = None

    def export(self, say: Callable[[str], None]) -> HeldOutRecord:
        """Write the documents, unless they are there already.

        Args:
            say: is told what was written.

        Raises:
            CFTError: they cannot be read or written.
        """
        from axolotl_cft.host.heldout_export import export, why_empty

        if there := self.record():
            return there
        assert self.found is not None
        name = tokenizer_name(self.tokenizer or {})
        tokens = tokens_of(self.tokenizer or {}, name) if name else None
        record = export(self.found, self.root, self.limit, tokens)
        of = f" of {record.found:,}" if record.found > record.documents else ""
        what = f"{record.documents:,}{of} documents"
        what = what if record.documents else why_empty(self.found, record)
        for sentence in (what, *record.left_out):
            say(f"held-out text: {sentence}")
        return record

    def record(self) -> HeldOutRecord | None:
        """What was exported, if it is there and whole."""
        if self.identity is None:
            return None
        from axolotl_cft.host.heldout_export import find_export

        return find_export(self.root, self.identity)


def held_out_text(
    configs: Mapping[str, Mapping[str, Any]],
    starts: Sequence[Mapping[str, Any]],
    limit: int,
    root: Path,
    of: Collection[str] | None = None,
) -> HeldOutText:
    """What the trainings of a study hold out, all of them.

    Args:
        configs: folder of a run -> its derived config; all arms and stages, with one seed.
        starts: the configs that name the models from which arms start, and so their tokenizers.
        limit: most documents to evaluate; 0 for none.
        root: the study's folder.
        of: runs whose documents are meant, where other arms train on other texts; None for all.

    Raises:
        CFTError: a `cft` block is wrong, or a file cannot be read.
    """
    if not limit:
        return HeldOutText(root, limit, "heldout_documents is 0")
    if not any(parse_options(config).holdout for config in configs.values()):
        return HeldOutText(root, limit, "no arm holds documents out (cft.holdout)")
    from axolotl_cft.host.heldout_export import find_export, find_held_out

    try:
        found = find_held_out(configs, of)
    except CFTError as exc:
        return HeldOutText(root, limit, str(exc))
    tokenizer = _shared_tokenizer(starts)
    identity = found.identity(limit, tokenizer_name(tokenizer or {}))
    if (missing := found.missing()) and find_export(root, identity) is None:
        return HeldOutText(
            root, limit, f"{missing} is not here, so nothing could be exported", found
        )
    return HeldOutText(root, limit, None, found, identity, tokenizer)


def _shared_tokenizer(starts: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """A config whose tokenizer is that of all others; None where there are several."""
    same = all(_tokenizer(config) == _tokenizer(starts[0]) for config in starts)
    return starts[0] if starts and same else None


def _tokenizer(config: Mapping[str, Any]) -> list[Any]:
    return [tokenizer_name(config), *(config.get(key) for key in ("special_tokens", "tokens"))]
