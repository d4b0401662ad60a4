"""The files that a corpus is packed from: found, divided into units of work, opened one by one.

A source is a folder, a file or an archive. Nothing is unpacked to disk: members of an archive are
read in its order, within bounds that a bomb breaks and text does not.
"""

import hashlib
import json
import os
import re
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from axolotl_cft.corpus.readers import ABOUT_DATA
from axolotl_cft.errors import CFTError
from axolotl_cft.files.places import names_local

TEXTS = (".txt", ".md", ".html", ".htm", ".xml", ".nxml")
"""One document a file."""

TABLES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".json", ".csv", ".parquet")
"""One document a row."""

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")

UNIT_BYTES = 512 * 2**20
"""Of input in one unit of work, unless one file has more."""

MOST_BYTES = 512 * 2**20
"""In one document; a larger file is a corpus in one file, or no text."""

_MOST_RATIO = 200
"""What an archive may unpack to, for each of its bytes: text comes to 10, zeros to 1,000."""

_DRIVE = re.compile(r"[A-Za-z]:[\\/]")

_FREE_BYTES = 100 * 2**20
"""Unpacked before the ratio counts."""


@dataclass(frozen=True)
class Source:
    """One input of the command.

    Attributes:
        name: what its documents are named after.
        path: the folder, file or archive.
    """

    name: str
    path: Path


@dataclass(frozen=True)
class Item:
    """One file as it is read.

    Attributes:
        path: in its source, parts apart by `/`.
        data: its bytes; None where they are more than `MOST_BYTES`.
    """

    path: str
    data: bytes | None


@dataclass(frozen=True)
class Unit:
    """What is packed at a time: some files of a source that follow one another, or one archive.

    Attributes:
        source: where they are.
        paths: of the files in it, each ended by a zero byte, which no path has; the source's own
            name where it is a file. One string, because a million take a third of the memory so.
        size: bytes of all.
    """

    source: Source
    paths: str
    size: int

    @property
    def files(self) -> Iterator[str]:
        """The paths, in order."""
        begin = 0
        while begin < len(self.paths):
            end = self.paths.index("\0", begin)
            yield self.paths[begin:end]
            begin = end + 1

    def place(self, file: str) -> Path:
        """Where a file is."""
        return self.source.path / file if self.source.path.is_dir() else self.source.path


@dataclass
class Listing:
    """What was found.

    Attributes:
        units: in the order of sources and paths.
        skipped: why files are none of a corpus -> how many.
        stamp: digest of source, path, bytes and time of change of every file, for telling a change.
    """

    units: list[Unit] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    stamp: str = ""


def read_sources(given: Sequence[str]) -> list[Source]:
    """The sources of a command: `PATH`, the name of a dataset on the hub, or `NAME=` either.

    A dataset of the hub is downloaded as it is, into the cache of `huggingface_hub`.

    Raises:
        CFTError: one does not exist, or two have one name.
    """
    found: dict[str, Source] = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not equals or "/" in name or Path(text).exists():
            name, path = "", text
        place = Path(path).expanduser()
        stem = _stem(place.resolve().name)
        if not place.exists():
            place = _downloaded(path)
        source = Source(name or stem, place)
        if source.name in found:
            raise CFTError(
                f"{found[source.name].path} and {place} would both be the source "
                f"{source.name!r}: name one of them, as in OTHER={place}"
            )
        found[source.name] = source
    return list(found.values())


def _downloaded(name: str) -> Path:
    """The files of a dataset on the hub."""
    if name.count("/") != 1 or names_local(name):
        raise CFTError(f"{name} does not exist: name a folder, a file or an archive")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, repo_type="dataset"))
    except Exception as exc:  # the hub's, the transport's and the cache's share no base class
        raise CFTError(
            f"{name} is neither a file or folder here nor a dataset that the hub hands out "
            f"({type(exc).__name__}: {exc})"
        ) from exc


def _stem(name: str) -> str:
    for ending in sorted((*TEXTS, *TABLES, *ARCHIVES), key=len, reverse=True):
        name = name.removesuffix(ending)
    return name


def list_units(sources: Sequence[Source], unit_bytes: int = UNIT_BYTES) -> Listing:
    """Find the files of all sources, and divide them into units.

    Raises:
        CFTError: a source holds nothing to pack, or a link leads back to a folder above it.
    """
    listing = Listing()
    for source in sources:
        before = len(listing.units)
        files = [source.path.name] if source.path.is_file() else list(_walk(source, listing))
        _divide(source, files, unit_bytes, listing)
        if len(listing.units) == before:
            raise CFTError(
                f"{source.path} holds nothing to pack, which is {', '.join(TEXTS)} (a document "
                f"each), {', '.join(TABLES)} (a document a row), and archives of these "
                f"({', '.join(ARCHIVES)})"
            )
    return listing


def _walk(source: Source, listing: Listing) -> Iterator[str]:
    """The paths of a folder's files in the order of their names.

    Hidden ones are none, nor is what says something about the folder: a README at its top, which
    on the hub is a dataset's card, and what `datasets` puts beside data.
    """
    above: tuple[tuple[int, int], ...] = (_identity(source.path),)
    stack = [(source.path, PurePosixPath(), above)]
    found: list[str] = []
    while stack:
        folder, path, above = stack.pop()
        for entry in list(os.scandir(folder)):  # read to its end, which closes it
            here = path / entry.name
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                listing.skipped["hidden"] += 1
            elif entry.is_dir():
                identity = _identity(Path(entry.path))
                if identity in above:
                    raise CFTError(f"{entry.path} leads back to a folder above it: remove the link")
                stack.append((Path(entry.path), here, (*above, identity)))
            elif entry.name in ABOUT_DATA or (not path.parts and entry.name == "README.md"):
                listing.skipped["about the data"] += 1
            elif entry.is_file():
                found.append(str(here))
            else:
                listing.skipped["no file"] += 1
    yield from sorted(found)


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _divide(source: Source, files: Sequence[str], unit_bytes: int, listing: Listing) -> None:
    some: list[str] = []
    size = 0

    def close() -> None:
        nonlocal size
        if some:
            listing.units.append(Unit(source, "".join(f"{path}\0" for path in some), size))
            some.clear()
            size = 0

    for file in files:
        name = file.lower()
        if not name.endswith((*TEXTS, *TABLES, *ARCHIVES)):
            listing.skipped[PurePosixPath(name).suffix or "no ending"] += 1
            continue
        place = source.path / file if source.path.is_dir() else source.path
        status = place.stat()
        known = [listing.stamp, source.name, file, status.st_size, status.st_mtime_ns]
        listing.stamp = hashlib.sha256(json.dumps(known).encode()).hexdigest()
        alone = name.endswith(ARCHIVES)
        if alone or size + status.st_size > unit_bytes:
            close()
        some.append(file)
        size += status.st_size
        if alone:
            close()
    close()


def read_file(place: Path, path: str) -> Item:
    """A file of a folder.

    Raises:
        CFTError: it cannot be read.
    """
    try:
        with place.open("rb") as file:
            return Item(path, _bounded(file))
    except OSError as exc:
        raise CFTError(f"cannot read {place}: {exc.strerror}") from exc


def _bounded(file: IO[bytes]) -> bytes | None:
    data = file.read(MOST_BYTES + 1)
    return None if len(data) > MOST_BYTES else data


def read_archive(place: Path, path: str, skipped: Counter[str]) -> Iterator[Item]:
    """The documents of an archive, in its order; their paths begin with its own.

    Args:
        place: the archive.
        path: in its source.
        skipped: counts members that are none.

    Raises:
        CFTError: it is damaged, a member's name leads out of it, or it unpacks to more than text
            could.
    """
    read = _zip_members if place.name.lower().endswith(".zip") else _tar_members
    bound = max(_FREE_BYTES, _MOST_RATIO * place.stat().st_size)
    unpacked = 0
    try:
        for name, file in read(place):
            parts = PurePosixPath(name.replace("\\", "/")).parts
            if name.startswith("/") or ".." in parts or _DRIVE.match(name):
                raise CFTError(f"{place} holds a file that leads out of it, {name!r}: leave it")
            if file is None or any(part.startswith(".") or part == "__MACOSX" for part in parts):
                skipped["no file" if file is None else "hidden"] += 1
                continue
            if not name.lower().endswith(TEXTS):
                skipped[PurePosixPath(name.lower()).suffix or "no ending"] += 1
                continue
            item = Item(f"{path}/{'/'.join(parts)}", _bounded(file))
            unpacked += MOST_BYTES if item.data is None else len(item.data)
            if unpacked > bound:
                raise CFTError(
                    f"{place} unpacks to more than {_MOST_RATIO} times its size, which no text "
                    "does: unpack it yourself if you trust it, and name the folder"
                )
            yield item
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError) as exc:
        raise CFTError(f"cannot read {place}: it is damaged or no archive ({exc})") from exc
    except (RuntimeError, NotImplementedError) as exc:  # an encrypted zip, or an odd method
        raise CFTError(f"cannot read {place}: {exc}") from exc


def _tar_members(place: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    with tarfile.open(place, "r|*") as archive:
        for member in archive:
            if not member.isdir():
                yield member.name, archive.extractfile(member) if member.isfile() else None


def _zip_members(place: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    with zipfile.ZipFile(place) as archive:
        for member in archive.infolist():
            if not member.is_dir():
                with archive.open(member) as file:
                    yield member.filename, file
