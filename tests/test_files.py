"""Files that are whole or absent, whatever happens while they are written."""

import os
import stat
from pathlib import Path

import pytest

from axolotl_cft.errors import CFTError
from axolotl_cft.files import digest_file, open_whole, write_atomic


def test_a_file_takes_its_name_only_when_the_block_ends_well(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "result.json"
    with open_whole(path) as file:
        file.write(b"first")
        assert not path.exists()
    assert path.read_bytes() == b"first"
    with pytest.raises(KeyboardInterrupt), open_whole(path) as file:
        file.write(b"half of the sec")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"first"
    assert list(path.parent.iterdir()) == [path]


def test_content_and_name_are_synced_in_this_order(tmp_path: Path, monkeypatch) -> None:
    path, synced = tmp_path / "result.json", []

    def record(handle: int) -> None:
        folder = stat.S_ISDIR(os.fstat(handle).st_mode)
        synced.append(("folder", path.exists()) if folder else ("file", path.exists()))

    monkeypatch.setattr(os, "fsync", record)
    write_atomic(path, "whole")
    assert synced == [("file", False), ("folder", True)]


def test_a_file_is_as_readable_as_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomic(tmp_path / "result.txt", "a\nü")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "result.txt").stat().st_mode) == 0o640
    assert (tmp_path / "result.txt").read_bytes() == "a\nü".encode()


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(CFTError, match="cannot write .*file/below"):
        write_atomic(tmp_path / "file" / "below", "y")
    (tmp_path / "folder").mkdir()
    with pytest.raises(CFTError, match="cannot write .*folder"):
        write_atomic(tmp_path / "folder", "y")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_a_digest_is_of_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"a" * (1 << 20) + b"b")
    path.with_name("other").write_bytes(b"a" * (1 << 20) + b"c")
    assert digest_file(path) != digest_file(path.with_name("other"))
    path.write_bytes(b"")
    assert digest_file(path) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
