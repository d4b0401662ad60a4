"""A packed corpus without doubles, without what is no text to learn from, without test items.

    filters          each document by itself
    exact doubles    of those that are left: equal letter for letter
    near duplicates  of those that are left: most of their words in the same order
    test items       passages of those that are left

Every document that goes is listed with its reason, and with the one that is kept in its place.
Shards of the new corpus lie in `.clean` until all is written.
"""

import dataclasses
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

from axolotl_cft.corpus.building.confirmation import confirm
from axolotl_cft.corpus.building.exact_duplicates import ExactDuplicates
from axolotl_cft.corpus.building.filters import Limits, judge, not_judged
from axolotl_cft.corpus.building.near_duplicates import NearDuplicates
from axolotl_cft.corpus.building.output import ATTRIBUTION, DATA, LEFT_OUT, Output
from axolotl_cft.corpus.building.packed import (
    find_finished,
    read_corpus,
    read_manifest,
    read_shard,
)
from axolotl_cft.corpus.building.shards import TEXT
from axolotl_cft.corpus.building.sums import TokenCounter
from axolotl_cft.corpus.parts import Block
from axolotl_cft.corpus.passages import leftovers
from axolotl_cft.corpus.scanning import checksum
from axolotl_cft.corpus.tally import Verdict
from axolotl_cft.errors import CFTError
from axolotl_cft.files import digest_file, json_line, write_atomic
from axolotl_cft.records import CORPUS_FILE, CorpusManifest, CorpusShard

VERSION = 1
"""Of what is left of the same corpus; goes up when other documents would be."""

SCRATCH = ".clean"
PAIRS = "near_duplicates.jsonl"

Told = Callable[[int], None]
"""Is told of documents that were read."""

Search = Callable[[Sequence[Any], Told], tuple[Verdict, int]]
"""Looks for test items in the parts of a corpus (`corpus.contamination.search`)."""


class Watch(Protocol):
    """Shows a step, given its name and the number of its documents."""

    def __call__(self, step: str, documents: int) -> AbstractContextManager[Told]:
        """Shown as long as the context lasts."""


@dataclasses.dataclass(frozen=True)
class CleanOptions:
    """What is taken out.

    Attributes:
        limits: what a document must keep to.
        exact: whether doubles go.
        near: whether near duplicates go.
        compared_with: the evaluation tasks whose items are taken out, and how they are looked for;
            for the record.
        tokenizer: counts the tokens of what is left, if they are to be counted.
    """

    limits: Limits = dataclasses.field(default_factory=Limits)
    exact: bool = True
    near: bool = True
    compared_with: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    tokenizer: TokenCounter | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the result besides the corpus, as plain data."""
        # Through JSON, so that a tuple equals the list it was written as.
        without = dataclasses.replace(self, tokenizer=None)
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(without)))
        digest = self.tokenizer.digest if self.tokenizer else None
        return plain | {"tokenizer": digest, "version": VERSION}


@dataclasses.dataclass
class _Out:
    """What goes, and why: doc_id -> reason, and -> the document that is kept."""

    reasons: dict[str, str] = dataclasses.field(default_factory=dict)
    kept: dict[str, str] = dataclasses.field(default_factory=dict)
    not_judged: int = 0
    largest: int = 0  # documents in the largest group of near duplicates


def clean(
    folder: Path,
    output_dir: Path,
    options: CleanOptions,
    watch: Watch,
    search: Search | None = None,
    processes: int = 1,
) -> tuple[CorpusManifest, Verdict | None]:
    """Write a packed corpus again, without what has no place in it.

    Args:
        folder: the packed corpus.
        output_dir: receives the new one, in the same form.
        options: what is taken out.
        watch: shows how far the work is.
        search: looks for test items; None to look for none.
        processes: how many judge documents at a time.

    Returns:
        The manifest, and what was found of test items.

    Raises:
        CFTError: a corpus cannot be read, the output folder holds another one, or nothing is left.
    """
    manifest = read_manifest(folder)
    identity = options.identity | {"corpus": digest_file(folder / CORPUS_FILE)}
    scratch = output_dir / SCRATCH
    if (there := find_finished(output_dir, scratch, identity)) is not None:
        return there, None
    out = _filter(folder, manifest, options, watch, processes)
    pairs = _find_near(folder, manifest, out, watch) if options.near else []
    verdict, digest = None, 0
    if search is not None:
        with watch("Test items", manifest.documents - len(out.reasons)) as told:
            verdict, digest = search([_Survivors(folder, out)], told)
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    output = Output(scratch, options.tokenizer)
    _write(folder, manifest, output, out, verdict, digest, watch)
    write_atomic(scratch / PAIRS, b"".join(pairs))
    return _finish(output_dir, scratch, output, manifest, identity, out), verdict


def _filter(
    folder: Path, manifest: CorpusManifest, options: CleanOptions, watch: Watch, processes: int
) -> _Out:
    """Judge every document by itself, and find doubles among those that are left."""
    out, doubles = _Out(), ExactDuplicates()
    judge_shard = partial(_judge_shard, folder, options)
    with watch("Filters", manifest.documents) as told:
        for shard, (reasons, equal, unjudged) in _each(judge_shard, manifest.shards, processes):
            out.reasons |= reasons
            out.not_judged += unjudged
            doubles.add_all(equal)
            told(shard.documents)
    for doc_id, kept in (doubles.removed() if options.exact else {}).items():
        out.reasons[doc_id], out.kept[doc_id] = "the same text as another", kept
    return out


def _each(
    work: Callable[[CorpusShard], Any], shards: Sequence[CorpusShard], processes: int
) -> Iterator[tuple[CorpusShard, Any]]:
    """The work on each shard, in their order."""
    if processes == 1 or len(shards) == 1:
        yield from ((shard, work(shard)) for shard in shards)
        return
    with ProcessPoolExecutor(min(processes, len(shards)), get_context("spawn")) as pool:
        yield from zip(shards, pool.map(work, shards), strict=True)


def _judge_shard(
    folder: Path, options: CleanOptions, shard: CorpusShard
) -> tuple[dict[str, str], ExactDuplicates, int]:
    reasons: dict[str, str] = {}
    doubles, unjudged = ExactDuplicates(), 0
    for rows in read_shard(folder, shard, ("doc_id", TEXT)):
        for row in rows:
            broken = judge(row[TEXT], options.limits)
            unjudged += not_judged(row[TEXT])
            if broken:
                reasons[row["doc_id"]] = broken[0]
            else:
                doubles.add(row["doc_id"], row[TEXT])
    return reasons, doubles, unjudged


def _find_near(folder: Path, manifest: CorpusManifest, out: _Out, watch: Watch) -> list[bytes]:
    """Find near duplicates among what is left; gives the lines of their list."""
    near = NearDuplicates()
    with watch("Near duplicates", manifest.documents) as told:
        for rows in _left(folder, out, told):
            for row in rows:
                near.add(row["doc_id"], row[TEXT])
    with watch("Near duplicates, compared", manifest.documents) as told:
        texts = ((row["doc_id"], row[TEXT]) for rows in _left(folder, out, told) for row in rows)
        try:
            confirmed = confirm(near.candidates(), lambda: texts)
        except OSError as exc:  # its file of words has no name to give
            raise CFTError(
                f"near duplicates could not be compared ({exc.strerror}): make room in the folder "
                "for temporary files, or set TMPDIR to another"
            ) from exc
    groups = Counter(confirmed.removed.values())
    out.largest = max(groups.values(), default=0) + 1
    for doc_id, kept in confirmed.removed.items():
        out.reasons[doc_id], out.kept[doc_id] = "nearly the same text as another", kept
    return [json_line(dataclasses.asdict(pair)) for pair in confirmed.pairs]


def _left(folder: Path, out: _Out, told: Told = lambda documents: None) -> Iterator[list[Any]]:
    """Ids and texts of the documents that are left so far."""
    for rows in read_corpus(folder, ("doc_id", TEXT)):
        told(len(rows))
        yield [row for row in rows if row["doc_id"] not in out.reasons]


class _Survivors:
    """What is left of a corpus, as the search for test items reads it."""

    name = "corpus"
    size: int | None = None

    def __init__(self, folder: Path, out: _Out) -> None:
        self._folder, self._out = folder, out

    def blocks(self) -> Iterator[Block]:
        """Its documents, in order."""
        for rows in _left(self._folder, self._out):
            names = [row["doc_id"] for row in rows]
            yield Block(names, [row[TEXT] for row in rows], None, 0, partial(iter, rows))


def _write(
    folder: Path,
    manifest: CorpusManifest,
    output: Output,
    out: _Out,
    verdict: Verdict | None,
    digest: int,
    watch: Watch,
) -> None:
    """Write what is left, without the passages of test items."""
    found, number, again = verdict.documents if verdict else {}, 0, 0
    with watch("Writing", manifest.documents) as told, output:
        for rows in read_corpus(folder):
            left = []
            for row in rows:
                doc_id = row["doc_id"]
                if (reason := out.reasons.get(doc_id)) is not None:
                    kept = out.kept.get(doc_id)
                    output.leave_out(doc_id, reason, **({"kept": kept} if kept else {}))
                    continue
                left.append(row[TEXT])
                if (document := found.get(number)) is None:
                    output.keep(row)
                else:
                    _keep_pieces(row, document.cuts, output)
                number += 1
            again = checksum(left, again)
            told(len(rows))
        if verdict is not None and again != digest:
            raise CFTError(f"{folder} changed while it was read: run this again")


def _keep_pieces(row: dict[str, Any], cuts: Sequence[tuple[int, int]], output: Output) -> None:
    """Write what test items leave of a document: pieces, with ids of their own if several."""
    pieces = leftovers(row[TEXT], cuts)
    removed = sum(end - begin for begin, end in cuts)
    if not pieces:
        output.leave_out(row["doc_id"], "test items")
        return
    output.note(row["doc_id"], "test items, in part", characters=removed)
    for place, text in enumerate(pieces, 1):
        piece = row["doc_id"] if len(pieces) == 1 else f"{row['doc_id']}#{place}"
        output.keep(row | {"doc_id": piece, TEXT: text})


def _finish(
    output_dir: Path,
    scratch: Path,
    output: Output,
    before: CorpusManifest,
    identity: dict[str, Any],
    out: _Out,
) -> CorpusManifest:
    """Move all files to their places; the manifest comes last."""
    if not output.shards:
        shutil.rmtree(scratch)
        raise CFTError("no document is left; nothing was written")
    shutil.rmtree(output_dir / DATA, ignore_errors=True)  # of a run that was killed just here
    (output_dir / DATA).mkdir()
    for name, _ in output.shards:
        (scratch / name).replace(output_dir / DATA / name)
    for name in (LEFT_OUT, ATTRIBUTION, PAIRS):
        (scratch / name).replace(output_dir / name)
    manifest = CorpusManifest(
        identity=identity,
        sources=before.sources,
        documents_in=before.documents,
        **output.counts.for_manifest(output.tokenizer),
        skipped=_noted(out),
        omitted={},
        shards=[
            CorpusShard(
                file=f"{DATA}/{name}",
                documents=documents,
                sha256=digest_file(output_dir / DATA / name),
            )
            for name, documents in output.shards
        ],
    )
    manifest.write(output_dir / CORPUS_FILE)
    shutil.rmtree(scratch)
    return manifest


def _noted(out: _Out) -> dict[str, int]:
    """What somebody should know who relies on the filters."""
    noted = {"documents not judged by words": out.not_judged}
    # Groups hang together by pairs: the first and the last of a large one may be less alike.
    noted["documents in the largest group of near duplicates"] = (
        out.largest if out.largest > 2 else 0
    )
    return {what: count for what, count in noted.items() if count}
