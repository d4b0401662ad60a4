"""What a dataset reads, by content: files, the hub, servers, and the record of what is not here."""

import json
import logging
import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from conftest import make_documents, write_jsonl
from datasets import Dataset, DatasetDict

from axolotl_cft.errors import CFTError
from axolotl_cft.host import digests, sources
from axolotl_cft.host.digests import digest_files
from axolotl_cft.host.local_files import find_local_files, looks_local
from axolotl_cft.host.sources import find_source, is_missing, record_sources, source_identity
from axolotl_cft.records import SOURCES_FILE

LONG_AGO = (1e9, 1e9)


@pytest.fixture(autouse=True)
def forgetful(monkeypatch, tmp_path):
    """Nothing is remembered from another test, and each has a memory of its own."""
    for remembered in (sources._commit, sources._remote_files, sources._say):
        remembered.cache_clear()
    memory = tmp_path / "memory"
    monkeypatch.setattr("huggingface_hub.utils._cache_assets.HF_ASSETS_CACHE", str(memory))


@pytest.fixture
def hashed(monkeypatch) -> list[str]:
    """Names of the files that are hashed."""
    names: list[str] = []
    real = digests.digest_file

    def counted(path, count=None):
        names.append(path.name)
        return real(path, count)

    monkeypatch.setattr(digests, "digest_file", counted)
    return names


def corpus(folder: Path, *names: str) -> Path:
    """A folder of data files that were changed long ago."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        os.utime(write_jsonl(folder / name, make_documents(2)), LONG_AGO)
    return folder


def names_of(dataset) -> list[str]:
    return [file.name for file in find_source(dataset).files]


def test_a_file_is_hashed_once_and_again_when_it_may_have_changed(tmp_path, hashed):
    folder = corpus(tmp_path / "data", "a.jsonl", "b.jsonl")
    paths = [folder / "a.jsonl", folder / "b.jsonl"]
    first = digest_files(paths)
    assert digest_files(paths) == first
    assert hashed == ["a.jsonl", "b.jsonl"]
    os.utime(paths[0], (1.1e9, 1.1e9))
    assert digest_files(paths) == first
    assert hashed[2:] == ["a.jsonl"]
    shutil.copy(paths[0], folder / "c.jsonl")
    Path(folder / "c.jsonl").replace(paths[0])  # another inode, and a time of its own
    os.utime(paths[0], (1.1e9, 1.1e9))
    assert digest_files(paths) == first
    assert hashed[3:] == ["a.jsonl"]


def test_a_file_that_was_just_written_is_not_yet_remembered(tmp_path, hashed):
    """Within one tick of the clock an edit of the same length could not be told."""
    path = write_jsonl(tmp_path / "a.jsonl", [{"text": "one"}])
    before = digest_files([path])
    write_jsonl(path, [{"text": "two"}])
    assert digest_files([path]) != before


def test_a_damaged_memory_or_a_home_without_room_costs_time_only(tmp_path, hashed, monkeypatch):
    paths = [corpus(tmp_path / "data", "a.jsonl") / "a.jsonl"]
    first = digest_files(paths)
    (memory,) = (tmp_path / "memory").rglob("*.json")
    for damage in ("", "[1]", '{"x": 1}', json.dumps({str(paths[0]): "?"})):
        memory.write_text(damage)
        assert digest_files(paths) == first
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(
        "huggingface_hub.utils._cache_assets.HF_ASSETS_CACHE", str(tmp_path / "file")
    )
    assert digest_files(paths) == first
    assert len(hashed) == 6


def test_an_unreadable_file_is_named(tmp_path):
    with pytest.raises(CFTError, match=r"cannot read .*a\.jsonl: No such file"):
        digest_files([tmp_path / "a.jsonl"])


HASHING = """
import logging, sys
from pathlib import Path
logging.basicConfig(level="INFO", format="%(message)s")
from axolotl_cft.host import digests
digests._SAID_FROM = 1
print("ready", flush=True)
sys.stdin.readline()
print(digests.digest_files([Path(sys.argv[1])]))
"""


def test_one_process_hashes_and_the_others_wait_for_it(tmp_path):
    path = tmp_path / "large.jsonl"
    with path.open("wb") as file:
        file.truncate(400 << 20)
    os.utime(path, LONG_AGO)
    environment = {**os.environ, "HF_ASSETS_CACHE": str(tmp_path / "shared")}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [sys.executable, "-c", HASHING, str(path)]
    running = [subprocess.Popen(command, env=environment, text=True, **pipes) for _ in range(3)]
    for process in running:
        assert process.stdout.readline() == "ready\n"
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    ended = [process.communicate() for process in running]
    assert len({out for out, _ in ended}) == 1, [err for _, err in ended]
    assert sum("hashing 1 files (0.4 GB) once" in err for _, err in ended) == 1


def test_progress_is_said_while_a_large_corpus_is_hashed(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(digests, "_SAID_FROM", 1)
    monkeypatch.setattr(digests, "_SAID_EVERY", -1.0)
    folder = corpus(tmp_path / "data", "a.jsonl", "b.jsonl")
    with caplog.at_level(logging.INFO):
        digest_files(sorted(folder.iterdir()))
    assert "hashing 2 files" in caplog.text
    assert "50% of" in caplog.text and "100% of" in caplog.text


def test_files_are_those_that_are_read_in_their_order(tmp_path, monkeypatch):
    folder = corpus(tmp_path / "data", "b.jsonl", "a.jsonl", "deep/c.jsonl")
    (folder / "README.md").write_text("Hello.")
    (folder / "notes.txt").write_text("x")
    (folder / ".hidden.jsonl").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert names_of({"path": "data"}) == ["a.jsonl", "b.jsonl", "deep/c.jsonl"]
    assert names_of({"path": "data/b.jsonl"}) == ["b.jsonl"]
    listed = {"path": "json", "data_files": ["data/b.jsonl", "data/a*"]}
    assert names_of(listed) == ["b.jsonl", "a.jsonl"]
    absolute = {"path": "json", "data_files": f"{folder}/**/*.jsonl"}
    assert names_of(absolute) == ["a.jsonl", "b.jsonl", "deep/c.jsonl"]
    assert names_of({"path": "data", "data_files": "data/a.jsonl"}) == ["a.jsonl"]


def test_a_readme_that_names_files_is_believed(tmp_path):
    folder = corpus(tmp_path / "data", "a.jsonl", "b.jsonl")
    before = source_identity(find_source({"path": str(folder)}))
    card = "---\nlicense: mit\nconfigs:\n- config_name: {}\n  data_files: b.jsonl\n---\n"
    (folder / "README.md").write_text(card.format("default"))
    found = find_source({"path": str(folder)})
    assert [file.name for file in found.files] == ["b.jsonl"]
    assert source_identity(found) != before
    (folder / "README.md").write_text(card.format("default") + "More words.")
    assert find_source({"path": str(folder)}) == found


def test_of_a_saved_dataset_the_data_count(tmp_path):
    rows = Dataset.from_list(make_documents(4))
    rows.save_to_disk(str(tmp_path / "one"))
    DatasetDict({"train": rows, "test": rows}).save_to_disk(str(tmp_path / "two"))
    one = {"path": str(tmp_path / "one")}
    before = find_source(one)
    assert len(before.files) == 1
    assert [name.split("/")[0] for name in names_of({"path": str(tmp_path / "two")})] == [
        "train",
        "test",
    ]
    (tmp_path / "one" / "cache-1.arrow").write_text("x")
    (tmp_path / "one" / "README.md").write_text("x")
    assert find_source(one) == before


def test_a_folder_that_nothing_can_read_counts_as_it_is(tmp_path):
    folder = corpus(tmp_path / "data", "a.jsonl")
    (folder / "README.md").write_text("---\n{ not: yaml\n---\n")
    assert names_of({"path": str(folder)}) == ["README.md", "a.jsonl"]


@pytest.mark.parametrize(
    ("dataset", "local"),
    [
        ({"path": "data/corpus.jsonl"}, True),
        ({"path": "./corpus"}, True),
        ({"path": "/data/corpus"}, True),
        ({"path": "a/b/c"}, True),
        ({"path": "json", "data_files": ["corpus.jsonl"]}, True),
        ({"path": "org/name"}, False),
        ({"path": "name"}, False),
        ({"path": "org/name", "data_files": ["corpus.jsonl"]}, False),
        ({"path": "s3://bucket/corpus.jsonl"}, False),
        ({"path": "json", "data_files": ["https://host/corpus.jsonl"]}, False),
    ],
)
def test_names_of_files_are_told_from_names_on_the_hub(dataset, local):
    assert looks_local(dataset) is local
    assert find_local_files(dataset) == []


def test_absent_files_are_known_by_the_record(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    corpus(tmp_path / "data", "a.jsonl", "b.jsonl")
    dataset, prepared = {"path": "data"}, tmp_path / "prepared"
    found = find_source(dataset, prepared)
    record_sources([dataset, dataset], prepared)
    content = json.loads((prepared / SOURCES_FILE).read_text())
    assert content["schema"] == 1
    assert [entry["path"] for entry in content["sources"]] == ["data"]
    assert str(tmp_path) not in json.dumps(content)
    shutil.rmtree("data")
    with caplog.at_level(logging.INFO):
        assert source_identity(find_source(dataset, prepared)) == source_identity(found)
        find_source(dataset, prepared)
    assert caplog.text.count("data is not at hand; what was prepared from it is known by") == 1
    record_sources([dataset], prepared)  # nothing is found, and nothing forgotten
    assert json.loads((prepared / SOURCES_FILE).read_text()) == content
    assert find_source(dataset, tmp_path).kind == "named"
    assert find_source({**dataset, "data_files": "c.jsonl"}, prepared).kind == "named"


def test_the_record_keeps_other_datasets_and_what_was_last_read(tmp_path):
    folder = corpus(tmp_path / "data", "a.jsonl", "b.jsonl")
    one, other = ({"path": str(folder / name)} for name in ("a.jsonl", "b.jsonl"))
    record_sources([one], tmp_path)
    record_sources([other], tmp_path)
    (folder / "a.jsonl").write_text('{"text": "new"}\n')
    record_sources([one], tmp_path)
    newest = find_source(one)
    shutil.rmtree(folder)
    assert find_source(one, tmp_path) == newest
    assert find_source(other, tmp_path).kind == "files"


def test_only_files_that_nobody_knows_are_missing(tmp_path):
    folder = corpus(tmp_path / "data", "a.jsonl")
    known = {"path": str(folder / "a.jsonl")}
    record_sources([known], tmp_path)
    assert not is_missing(known, None)
    shutil.rmtree(folder)
    assert not is_missing(known, tmp_path)
    assert is_missing(known, tmp_path / "elsewhere")
    assert not is_missing({"path": "org/name"}, tmp_path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "is not valid JSON"),
        ('{"schema": 1, "sources": [{}]}', "is not a record of sources: sources.0.path is missing"),
        ('{"schema": 2}', "upgrade axolotl-cft"),
    ],
)
def test_a_damaged_record_is_named(tmp_path, content, sentence):
    (tmp_path / SOURCES_FILE).write_text(content)
    with pytest.raises(CFTError, match=f"{SOURCES_FILE} .*{sentence}"):
        find_source({"path": "data/a.jsonl"}, tmp_path)


def test_data_on_the_hub_are_known_by_their_commit(tmp_path, monkeypatch, caplog):
    """The hub's own cache answers here, as it does for a machine without a network."""
    cache, commit = tmp_path / "hub", "a" * 40
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    repository = cache / "datasets--org--name"
    (repository / "refs").mkdir(parents=True)

    def publish(commit: str) -> None:
        sources._commit.cache_clear()
        (repository / "refs" / "main").write_text(commit)
        (repository / "snapshots" / commit).mkdir(parents=True)

    publish(commit)
    dataset, prepared = {"path": "org/name"}, tmp_path / "prepared"
    record_sources([dataset], prepared)
    assert find_source(dataset).version == commit
    publish("b" * 40)
    assert find_source(dataset, prepared).version == "b" * 40
    shutil.rmtree(cache)
    sources._commit.cache_clear()
    assert find_source(dataset, prepared).version == commit
    assert find_source({**dataset, "revision": "c" * 40}).version == "c" * 40
    assert "cannot be reached" not in caplog.text
    assert find_source(dataset).kind == "named"
    assert "org/name cannot be reached, so a change in it" in caplog.text


class Server(BaseHTTPRequestHandler):
    """A file with a size, and an ETag where the path asks for one."""

    tag = '"1"'

    def do_HEAD(self):
        self.send_response(404 if "absent" in self.path else 200)
        self.send_header("Content-Length", "12")
        if "tagged" in self.path:
            self.send_header("ETag", self.tag)
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    found = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=found.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{found.server_port}"
    found.shutdown()


def test_remote_files_are_known_by_what_their_server_says(server, monkeypatch, caplog, tmp_path):
    tagged = {"path": f"{server}/tagged.jsonl"}
    (file,) = find_source(tagged).files
    assert (file.name, file.size, file.digest) == ("tagged.jsonl", 12, '"1"')
    assert not caplog.text
    record_sources([tagged], tmp_path)
    sources._remote_files.cache_clear()
    monkeypatch.setattr(Server, "tag", '"2"')
    assert find_source(tagged).files[0].digest == '"2"'
    listed = {"path": "json", "data_files": [f"{server}/plain.jsonl", f"{server}/tagged.jsonl"]}
    assert [file.digest for file in find_source(listed).files] == [None, '"2"']
    assert "plain.jsonl: the server says only the size of what a file holds" in caplog.text
    assert find_source({"path": f"{server}/absent.jsonl"}).kind == "named"
    assert "absent.jsonl cannot be reached" in caplog.text


def test_a_remote_folder_counts_by_its_files():
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe({"/bucket/data/a.jsonl": b"one", "/bucket/data/b.jsonl": b"three"})
    found = find_source({"path": "memory://bucket/data"})
    assert [(file.name, file.size) for file in found.files] == [("a.jsonl", 3), ("b.jsonl", 5)]
