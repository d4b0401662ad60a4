"""What a dataset reads, told apart by content: so a copy or a `touch` is no change, and an edit is.

Local files count by name, size and hash, data on the hub by their commit, remote files by what the
server says of them. `cft_sources.json` beside the prepared datasets keeps what was found and
travels with them, so that they can be used where the documents are not.
"""

import functools
import logging
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from axolotl_cft.host.digests import digest_files
from axolotl_cft.host.local_files import find_local_files, list_data_files, looks_local
from axolotl_cft.records import SOURCES_FILE, RecordedSource, Source, SourceFile, SourcesRecord

LOG = logging.getLogger(__name__)

_COMMIT = re.compile("[0-9a-f]{40}")
_TAGS = ("etag", "ETag", "md5Hash", "content_md5", "Content-MD5", "Last-Modified", "LastModified")


def find_source(dataset: Mapping[str, Any], prepared: Path | None = None) -> Source:
    """What a dataset reads; where that is out of reach, what the record says it read.

    Args:
        dataset: its config.
        prepared: the folder of prepared datasets, where the record lies.

    Raises:
        CFTError: a file cannot be read, or the record is damaged.
    """
    path = dataset.get("path")
    if found := _find(dataset):
        return found
    if prepared and (recorded := recall(dataset, prepared)):
        _say(
            logging.INFO,
            f"cft: {path} is not at hand; what was prepared from it is known by "
            f"{prepared / SOURCES_FILE}",
        )
        return recorded
    if not looks_local(dataset):
        _say(
            logging.WARNING,
            f"cft: {path} cannot be reached, so a change in it since it was prepared would not be "
            "noticed; pin `revision` to a commit, or use a local copy",
        )
    return Source(kind="named")


def is_missing(dataset: Mapping[str, Any], prepared: Path | None) -> bool:
    """Whether a dataset means files of this machine that are neither here nor in the record."""
    return looks_local(dataset) and find_source(dataset, prepared).kind == "named"


def record_sources(datasets: Sequence[Mapping[str, Any]], prepared: Path) -> None:
    """Write beside the prepared data what these datasets read; the record of others stays.

    Raises:
        CFTError: a file cannot be read or written.
    """
    found = ((dataset, _find(dataset)) for dataset in datasets)
    _add([_named(dataset, source) for dataset, source in found if source], prepared)


def adopt_sources(made: Path, prepared: Path) -> None:
    """Add what was recorded beside data in `made` to the record beside those in `prepared`.

    Raises:
        CFTError: a file cannot be read or written.
    """
    _add(_read(made), prepared)


def _add(new: Sequence[RecordedSource], prepared: Path) -> None:
    prepared.mkdir(parents=True, exist_ok=True)
    with FileLock(str(prepared / f".{SOURCES_FILE}.lock")):
        before = _read(prepared)
        entries = {entry.names: entry for entry in (*before, *new)}
        if list(entries.values()) != before:
            SourcesRecord(sources=list(entries.values())).write(prepared / SOURCES_FILE)


def source_identity(source: Source) -> list[Any]:
    """What tells a source from another, as JSON."""
    files = [[file.name, file.size, file.digest] for file in source.files]
    return [source.kind, source.version, files]


def _read(prepared: Path) -> list[RecordedSource]:
    path = prepared / SOURCES_FILE
    return SourcesRecord.read(path).sources if path.is_file() else []


def recall(dataset: Mapping[str, Any], prepared: Path) -> Source | None:
    """What the record says that a dataset read; asks neither disk nor network for the data."""
    wanted = _named(dataset, Source(kind="named")).names
    return next((entry.source for entry in _read(prepared) if entry.names == wanted), None)


def _named(dataset: Mapping[str, Any], source: Source) -> RecordedSource:
    """A source under the names that a dataset's config gives it."""
    options = {key: str(dataset[key]) for key in ("name", "revision") if dataset.get(key)}
    path, listed = str(dataset.get("path")), tuple(list_data_files(dataset))
    return RecordedSource(path=path, data_files=listed, source=source, **options)


def _find(dataset: Mapping[str, Any]) -> Source | None:
    """The source, if it is within reach."""
    if groups := find_local_files(dataset):
        pairs = [(path, group.root) for group in groups for path in group.paths]
        hashed = digest_files([path for path, _ in pairs])
        files = tuple(
            SourceFile(name=os.path.relpath(path, root), size=size, digest=digest)
            for (path, root), (size, digest) in zip(pairs, hashed, strict=True)
        )
        return Source(kind="files", files=files, version=groups[0].metadata)
    if looks_local(dataset):
        return None
    names = [str(dataset.get("path")), *list_data_files(dataset)]
    if urls := [name for name in names if "://" in name]:
        remote = tuple(file for url in urls for file in _remote_files(url))
        return Source(kind="remote", files=remote) if remote else None
    commit = _commit(names[0], dataset.get("revision"))
    return Source(kind="hub", version=commit) if commit else None


@functools.lru_cache(maxsize=64)
def _commit(repository: str, revision: str | None) -> str | None:
    """The commit that the host will load; asked for as the host asks whether there is one.

    axolotl/utils/data/shared.py::_check_if_hub_dataset. Offline, the cache answers.
    """
    from huggingface_hub import snapshot_download

    if revision and _COMMIT.fullmatch(str(revision)):
        return str(revision)
    try:
        folder = snapshot_download(
            repository, repo_type="dataset", revision=revision, ignore_patterns=["*"]
        )
    except Exception:  # the hub's client, its transport and its cache share no base class
        return None
    return Path(folder).name


@functools.lru_cache(maxsize=64)
def _remote_files(url: str) -> tuple[SourceFile, ...]:
    """What a server says of a file, or of those in a folder; empty if it cannot be asked."""
    from fsspec.core import url_to_fs

    try:
        system, path = url_to_fs(url)
        one = url.startswith("http") or system.isfile(path)
        found = {path: system.info(path)} if one else system.find(path, detail=True)
    except Exception:  # every file system has errors of its own, a missing package among them
        return ()
    files = []
    for name, info in sorted(found.items()):
        tag = next((str(info[key]) for key in _TAGS if info.get(key)), None)
        relative = name.removeprefix(path).strip("/") or name.rpartition("/")[2]
        files.append(SourceFile(name=relative, size=info.get("size"), digest=tag))
    if any(file.digest is None for file in files):
        what = "nothing" if any(file.size is None for file in files) else "only the size"
        _say(
            logging.WARNING,
            f"cft: {url}: the server says {what} of what a file holds, so an edit may go unnoticed",
        )
    return tuple(files)


@functools.lru_cache(maxsize=256)
def _say(level: int, text: str) -> None:
    """Log a sentence once a process, and in one process of a machine."""
    if os.environ.get("LOCAL_RANK", "0") == "0":
        LOG.log(level, text)
