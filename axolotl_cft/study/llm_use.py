"""What an LLM was asked for the data of a training, by the records that lie beside them."""

import functools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from axolotl_cft.errors import CFTError
from axolotl_cft.host.local_files import local_files
from axolotl_cft.host.plan import all_datasets
from axolotl_cft.records import (
    COMPREHENSION_FILE,
    CORPUS_FILE,
    GENERATION_FILE,
    ComprehensionRecord,
    CorpusManifest,
    GenerationLedger,
    LLMUse,
    Record,
)

_KINDS: dict[str, type[Record]] = {
    GENERATION_FILE: GenerationLedger,
    COMPREHENSION_FILE: ComprehensionRecord,
    CORPUS_FILE: CorpusManifest,
}
_SHARDS = "data"
"""Folder of a packed corpus's files, beside which the manifest lies."""


def llm_use(config: Mapping[str, Any], made: Iterable[Path]) -> LLMUse | None:
    """Tokens and money that went into the texts and prompts of a training.

    Records are followed from the data to what they were made of, as far as these are still there.
    Data without a record may have cost anything: they never pass as free.

    Args:
        config: the training's, whose data are there.
        made: what the arm's `make` commands made.

    Returns:
        None where no ledger is found, and not all data have records that know of no LLM.
    """
    ledgers: dict[Path, GenerationLedger] = {}
    known = [_follow(path, ledgers) for path in made]
    for _, part, dataset in all_datasets(config):
        if part == "train":
            known.append(_follow_dataset(config, dataset, ledgers))
    complete = bool(known) and all(known)
    if not ledgers and not complete:
        return None
    costs = [ledger.cost for ledger in ledgers.values()]
    return LLMUse(
        ledgers=len(ledgers),
        complete=complete,
        tokens_in=sum(ledger.answers.tokens_in for ledger in ledgers.values()),
        tokens_out=sum(ledger.answers.tokens_out for ledger in ledgers.values()),
        cost=None if None in costs else sum(cost or 0.0 for cost in costs),
    )


def _follow_dataset(
    config: Mapping[str, Any], dataset: Mapping[str, Any], ledgers: dict[Path, GenerationLedger]
) -> bool:
    """Whether it is known how all of a dataset came about; the ledgers on the way are added."""
    own: dict[Path, GenerationLedger] = {}
    known = [_follow(path, own) for path in local_files(dataset)]
    ledgers |= own
    blocks = (block for block in (dataset.get("cft"), config.get("cft")) if block)
    prompts = next((block["prompts"] for block in blocks if "prompts" in block), None)
    from_a_column = isinstance(prompts, Mapping) and "column" in prompts
    # Prompts in a column were written by somebody.
    return bool(known) and all(known) and (bool(own) or not from_a_column)


def _follow(
    path: Path, ledgers: dict[Path, GenerationLedger], through: frozenset[Path] = frozenset()
) -> bool:
    """Whether it is known how a file or folder came about; the ledgers on the way are added.

    Folders that were made anew may name one another: records that were come `through` tell nothing.
    """
    try:
        return _follow_record(path, ledgers, through)
    except OSError:  # what may not be looked at is not known, and fails no training
        return False


def _follow_record(
    path: Path, ledgers: dict[Path, GenerationLedger], through: frozenset[Path]
) -> bool:
    found = _record_of(path)
    if found is None or found[0] in through:
        return False
    place, record = found
    through |= {place}
    if isinstance(record, GenerationLedger):
        if place not in ledgers:
            ledgers[place] = record
            described = record.model_extra or {}
            _follow(Path(str(described.get("corpus") or described.get("items"))), ledgers, through)
        return True
    if isinstance(record, ComprehensionRecord):
        return _follow(Path(record.corpus), ledgers, through)
    assert isinstance(record, CorpusManifest)
    sources = [Path(str(source.get("path"))) for source in record.sources.values()]
    # What somebody packed are documents, unless a record of ours says otherwise.
    known = [
        each.exists() and (not _record_of(each) or _follow(each, ledgers, through))
        for each in sources
    ]
    return all(known)


def _record_of(path: Path) -> tuple[Path, Record] | None:
    """The record that says how a file or folder was made, with its place."""
    for folder in _folders(path):
        for name, kind in _KINDS.items():
            place = (folder / name).resolve()
            record = _read(kind, place, place.stat().st_mtime_ns) if place.is_file() else None
            if record and (path.is_dir() or path.name in _files_of(record)):
                return place, record
    return None


@functools.lru_cache(maxsize=64)
def _read(kind: type[Record], place: Path, changed: int) -> Record | None:
    """A record, remembered for the many files of a corpus; a damaged one says nothing."""
    try:
        return kind.read(place)
    except CFTError:
        return None


def _folders(path: Path) -> Iterator[Path]:
    folder = path if path.is_dir() else path.parent
    yield folder
    if folder.name == _SHARDS:
        yield folder.parent


def _files_of(record: Record) -> set[str | None]:
    """Names of the files that a record is about."""
    if isinstance(record, CorpusManifest):
        return {Path(shard.file).name for shard in record.shards}
    assert isinstance(record, GenerationLedger | ComprehensionRecord)
    exported = record.chat_rows if isinstance(record, GenerationLedger) else None
    return {record.output, *(exported.files if exported else ())}
