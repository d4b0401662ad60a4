"""Files and archives become shards: unit by unit, in any number of processes, through any kill.

A unit's shards lie in the scratch folder `.pack` until all units are whole; then they move to their
places, and the manifest says that the corpus is there. Whatever the number of processes, and
however often it was killed, the bytes are the same.
"""

import dataclasses
import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from axolotl_cft.corpus.building.inputs import (
    ARCHIVES,
    TABLES,
    Item,
    Listing,
    Source,
    Unit,
    list_units,
    read_archive,
    read_file,
)
from axolotl_cft.corpus.building.licences import UNKNOWN, Kept, Rules
from axolotl_cft.corpus.building.output import ATTRIBUTION, DATA, LEFT_OUT, Counts, Output
from axolotl_cft.corpus.building.packed import find_finished, give_memory_back, refuse_other
from axolotl_cft.corpus.building.readers import Reading, read_item, read_rows
from axolotl_cft.corpus.building.shards import COLUMNS, TEXT
from axolotl_cft.corpus.building.sums import TokenCounter
from axolotl_cft.corpus.readers import Field
from axolotl_cft.errors import CFTError
from axolotl_cft.files import digest_file, open_whole, write_atomic
from axolotl_cft.records import CORPUS_FILE, CorpusManifest, CorpusShard

VERSION = 2
"""Of what is made of the same input; goes up when readers make other texts."""

SCRATCH = ".pack"
Told = Callable[[int], None]
"""Is told bytes that were packed."""


@dataclasses.dataclass(frozen=True)
class PackOptions:
    """What is packed, and how.

    Attributes:
        rules: what is known of licences and topics.
        kept: which licences are kept.
        field: column of the text in tables.
        encoding: of plain text; None for UTF-8, and what a byte order mark says.
        tokenizer: counts tokens, if they are to be counted.
    """

    rules: Rules = dataclasses.field(default_factory=Rules)
    kept: Kept = dataclasses.field(default_factory=Kept)
    field: str = TEXT
    encoding: str | None = None
    tokenizer: TokenCounter | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the shards, as plain data."""
        return {
            "rules": dataclasses.asdict(self.rules),
            "licences": list(self.kept.patterns),
            "field": self.field,
            "encoding": self.encoding,
            "tokenizer": self.tokenizer.digest if self.tokenizer else None,
            "version": VERSION,
        }


def pack(
    sources: Sequence[Source],
    output_dir: Path,
    options: PackOptions,
    processes: int = 1,
    started: Callable[[int, int], Told] = lambda total, done: lambda size: None,
) -> CorpusManifest:
    """Pack sources into a folder of Parquet shards with a manifest.

    Args:
        sources: with different names.
        output_dir: receives a folder of shards, `manifest.json`, and lists of what was left out and
            of what is to be attributed.
        options: what is packed.
        processes: how many work at a time.
        started: called with the bytes of all input and those that are packed already; returns what
            is told of further ones.

    Returns:
        The manifest.

    Raises:
        CFTError: a source cannot be used, or the folder holds another corpus.
    """
    listing = list_units(sources)
    identity = json.loads(json.dumps(options.identity))
    scratch = output_dir / SCRATCH
    if (there := find_finished(output_dir, scratch, identity)) is not None:
        found = _source_digests(listing.units, map(_digest, listing.units))
        known = {name: source["digest"] for name, source in there.sources.items()}
        refuse_other(output_dir, [] if known == found else ["input"])
        return there
    _begin(scratch, {**identity, "input": listing.stamp})
    folders = [scratch / f"{number:05}" for number in range(len(listing.units))]
    work = list(zip(listing.units, folders, strict=True))
    left = [(unit, folder) for unit, folder in work if not (folder / _DONE).is_file()]
    total = sum(unit.size for unit in listing.units)
    told = started(total, total - sum(unit.size for unit, _ in left))
    if processes == 1 or len(left) < 2:
        for unit, folder in left:
            _pack_unit(unit, folder, options)
            told(unit.size)
    else:
        # Not forked: the parent may hold threads.
        with ProcessPoolExecutor(min(processes, len(left)), get_context("spawn")) as pool:
            jobs = {pool.submit(_pack_unit, *each, options): each[0] for each in left}
            try:
                for job in as_completed(jobs):
                    job.result()
                    told(jobs[job].size)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    return _finish(output_dir, folders, listing, identity, options.tokenizer)


_DONE = "unit.json"


def _digest(unit: Unit) -> str:
    """Of the names and contents of a unit's files."""
    digest = hashlib.sha256()
    for path in unit.files:
        digest.update(f"{path}\0{digest_file(unit.place(path))}\n".encode())
    return digest.hexdigest()


def _source_digests(units: Sequence[Unit], digests: Iterable[str]) -> dict[str, str]:
    """Of all files of each source."""
    found: dict[str, Any] = {}
    for unit, digest in zip(units, digests, strict=True):
        found.setdefault(unit.source.name, hashlib.sha256()).update(digest.encode())
    return {name: whole.hexdigest() for name, whole in found.items()}


def _begin(scratch: Path, identity: dict[str, Any]) -> None:
    """Make the scratch folder; what other input or options left in it is no use."""
    plan = scratch / "plan.json"
    text = json.dumps(identity, indent=1)
    if not plan.is_file() or plan.read_text() != text:
        shutil.rmtree(scratch, ignore_errors=True)
        write_atomic(plan, text)


def _pack_unit(unit: Unit, folder: Path, options: PackOptions) -> None:
    """Pack one unit; its folder is whole once `_DONE` is in it."""
    give_memory_back()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    skipped: Counter[str] = Counter()
    omitted: Counter[str] = Counter()
    packed_before = False
    with Output(folder, options.tokenizer) as output:
        for reading in _readings(unit, options, skipped):
            omitted.update(reading.omitted)
            packed_before |= "doc_id" in reading.columns
            row, reason = _judge(reading, unit, options)
            if reason is None:
                output.keep(row)
            else:
                output.leave_out(row["doc_id"], reason)
    _refuse_doubles([folder / ATTRIBUTION, folder / LEFT_OUT])
    done = {
        "counts": output.counts.plain(),
        "skipped": skipped,
        "omitted": omitted,
        "packed_before": packed_before,
        "digest": _digest(unit),
        "shards": output.shards,
    }
    write_atomic(folder / _DONE, json.dumps(done))


def _readings(unit: Unit, options: PackOptions, skipped: Counter[str]) -> Iterator[Reading]:
    """The documents of a unit's files, in order."""
    for path in unit.files:
        place, name = unit.place(path), path.lower()
        if name.endswith(TABLES):
            yield from read_rows(place, path, Field(options.field))
            continue
        items: Iterable[Item]
        if name.endswith(ARCHIVES):
            items = read_archive(place, path, skipped)
        else:
            items = [read_file(place, path)]
        for item in items:
            yield from read_item(item, options.encoding)


def _judge(reading: Reading, unit: Unit, options: PackOptions) -> tuple[dict[str, Any], str | None]:
    """A document's row, and why it is left out if it is."""
    source, rules = unit.source.name, options.rules
    known = {name: reading.columns.get(name) or None for name in COLUMNS}
    if known["doc_id"]:  # it was packed before, and its licence is no statement to be read
        licence = known["licence"] or UNKNOWN
    else:
        licence = rules.licence_of(reading.path, known)
    row = known | {
        "doc_id": known["doc_id"] or f"{source}/{reading.place}",
        "source": known["source"] or source,
        "topic": known["topic"] or rules.topic_of(reading.path),
        "licence": licence,
        TEXT: reading.text,
    }
    if reading.trouble is not None:
        return row, reading.trouble
    if not reading.text.strip():
        return row, "empty"
    if not options.kept.keeps(licence):
        return row, f"licence {licence}"
    return row, None


def _refuse_doubles(lists: Sequence[Path]) -> None:
    """Refuse documents of one id, by files that name each.

    Eight bytes are held for an id: the ids themselves would be most of what packing holds.
    """

    def ids() -> Iterator[tuple[str, int]]:
        for path in lists:
            with path.open(encoding="utf-8") as lines:
                for line in lines:
                    doc_id = json.loads(line)["doc_id"]
                    digest = hashlib.blake2b(doc_id.encode(), digest_size=8).digest()
                    yield doc_id, int.from_bytes(digest, "little")

    keys = np.sort(np.fromiter((key for _, key in ids()), np.uint64))
    twice = set(keys[1:][keys[1:] == keys[:-1]].tolist())
    if not twice:
        return
    counts = Counter(doc_id for doc_id, key in ids() if key in twice)
    for doc_id, count in counts.items():
        if count > 1:  # else two ids share a key
            raise CFTError(
                f"two documents have the id {doc_id}: rename one file, or leave out one of two "
                "corpora that were packed before"
            )


def _finish(
    output_dir: Path,
    folders: Sequence[Path],
    listing: Listing,
    identity: dict[str, Any],
    tokenizer: TokenCounter | None,
) -> CorpusManifest:
    """Move all shards to their places, and write the lists and the manifest."""
    units = [json.loads((folder / _DONE).read_text()) for folder in folders]
    if any(unit["packed_before"] for unit in units):  # else paths tell units apart
        _refuse_doubles([folder / ATTRIBUTION for folder in folders])
    shards: list[CorpusShard] = []
    (output_dir / DATA).mkdir(exist_ok=True)
    for unit, folder in zip(units, folders, strict=True):
        for name, documents in unit["shards"]:
            file = f"{DATA}/shard-{len(shards):05}.parquet"
            if (folder / name).is_file():
                (folder / name).replace(output_dir / file)
            shards.append(CorpusShard(file=file, documents=documents))
    counts = Counts()
    for unit in units:
        counts.add(unit["counts"])
    if not shards:
        why = Counter(counts.reasons).most_common(5)
        (output_dir / DATA).rmdir()
        shutil.rmtree(output_dir / SCRATCH)
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in why)
        raise CFTError(f"no document is left ({reasons}); nothing was written")
    for name in (LEFT_OUT, ATTRIBUTION):
        with open_whole(output_dir / name) as whole:
            for folder in folders:
                with (folder / name).open("rb") as part:
                    shutil.copyfileobj(part, whole)
    digests = _source_digests(listing.units, (unit["digest"] for unit in units))
    manifest = CorpusManifest(
        identity=identity,
        sources={
            unit.source.name: {"path": str(unit.source.path), "digest": digests[unit.source.name]}
            for unit in listing.units
        },
        documents_in=counts.total.documents + counts.reasons.total(),
        **counts.for_manifest(tokenizer),
        skipped=dict((listing.skipped + _sum(units, "skipped")).most_common()),
        omitted=dict(_sum(units, "omitted").most_common()),
        shards=[
            shard.model_copy(update={"sha256": digest_file(output_dir / shard.file)})
            for shard in shards
        ],
    )
    manifest.write(output_dir / CORPUS_FILE)
    shutil.rmtree(output_dir / SCRATCH)
    return manifest


def _sum(units: Sequence[dict[str, Any]], name: str) -> Counter[str]:
    return sum((Counter(unit[name]) for unit in units), Counter())
