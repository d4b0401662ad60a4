"""`corpus pack`: files, archives and tables become shards, the same through every kill."""

import hashlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from conftest import write_jsonl

from axolotl_cft.cli import main
from axolotl_cft.corpus.building import inputs, pack, shards
from axolotl_cft.corpus.building.inputs import read_sources
from axolotl_cft.corpus.building.licences import Kept, load_rules
from axolotl_cft.corpus.building.pack import PackOptions
from axolotl_cft.errors import CFTError

WORDS = ["cells", "keep", "order", "while", "blood", "flows", "and", "tissue", "heals", "slowly"]


def prose(seed: object, words: int = 60) -> str:
    dice = random.Random(str(seed))
    return " ".join(dice.choice(WORDS) for _ in range(words)) + f" {seed}."


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["corpus", "pack", *map(str, arguments)])


def packed(folder: Path) -> list[dict[str, Any]]:
    return [
        row for path in sorted(folder.rglob("*.parquet")) for row in pq.read_table(path).to_pylist()
    ]


def manifest_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text())


def bytes_of(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    }


def write_files(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def tar_of(path: Path, files: dict[str, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def test_all_kinds_of_input_become_rows_in_the_order_of_their_paths(tmp_path):
    tree = write_files(
        tmp_path / "tree",
        {
            "b/two.txt": prose("two"),
            "a/one.md": prose("one"),
            "a/picture.png": b"\x89PNG",
            ".git/config": "no document",
            "a/.ipynb_checkpoints/one.txt": "no document",
            "empty.txt": " \n",
            "noending": "x",
        },
    )
    (tree / "c").mkdir()
    tar_of(tree / "c" / "papers.tar.gz", {"x/p1.txt": b"A paper.", "p0.txt": b"Another."})
    with zipfile.ZipFile(tree / "c" / "q.zip", "w") as archive:
        archive.writestr("q1.txt", "In a zip.")
        archive.writestr("__MACOSX/q1.txt", "no document")
    rows = write_jsonl(
        tmp_path / "rows.jsonl",
        [
            {"text": "A row.", "title": "T", "license": "CC BY 4.0", "n": 1, "URL": "https://x"},
            {"text": "", "title": "E"},
            {"text": "Another row.", "topic": "own"},
        ],
    )
    result = run(tree, f"news={rows}", "--output-dir", tmp_path / "out")
    assert result.exit_code == 0, result.output
    found = packed(tmp_path / "out")
    assert [row["doc_id"] for row in found] == [
        "tree/a/one.md",
        "tree/b/two.txt",
        "tree/c/papers.tar.gz/x/p1.txt",
        "tree/c/papers.tar.gz/p0.txt",
        "tree/c/q.zip/q1.txt",
        "news/rows.jsonl:1",
        "news/rows.jsonl:3",
    ]
    assert found[0]["text"] == prose("one") and found[0]["licence"] == "unknown"
    row = found[5]
    assert (row["title"], row["licence"], row["url"]) == ("T", "CC-BY-4.0", "https://x")
    assert row["source"] == "news" and found[6]["topic"] == "own"
    manifest = manifest_of(tmp_path / "out")
    assert manifest["documents_in"] == 9 and manifest["documents"] == 7
    assert manifest["left_out"] == {"empty": 2}
    assert manifest["skipped"] == {"hidden": 3, ".png": 1, "no ending": 1}
    assert manifest["licences"]["unknown"]["documents"] == 6
    assert "6 unknown" in result.output and "2 empty" in result.output
    left_out = [json.loads(line) for line in (tmp_path / "out" / "left_out.jsonl").open()]
    assert [line["doc_id"] for line in left_out] == ["tree/empty.txt", "news/rows.jsonl:2"]
    attribution = [json.loads(line) for line in (tmp_path / "out" / "attribution.jsonl").open()]
    assert attribution[5]["title"] == "T" and len(attribution) == 7
    assert not (tmp_path / "out" / ".pack").exists()


def test_a_dataset_of_the_hub_is_packed_as_its_files(tmp_path, monkeypatch):
    import huggingface_hub

    tree = write_files(tmp_path / "snapshots" / "abc", {"x/Cardiology/a.txt": prose("a")})

    def download(name: str, repo_type: str) -> str:
        assert (name, repo_type) == ("someone/OpenMedText", "dataset")
        return str(tree)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    result = run("someone/OpenMedText", "--rules", "openmedtext", "--output-dir", tmp_path / "out")
    assert result.exit_code == 0, result.output
    [row] = packed(tmp_path / "out")
    assert row["doc_id"] == "OpenMedText/x/Cardiology/a.txt" and row["topic"] == "Cardiology"
    monkeypatch.undo()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    gone = run("someone/nothing", "--output-dir", tmp_path / "gone")
    assert gone.exit_code == 1 and "nor a dataset that the hub hands out" in gone.output
    inside = run(tree, "--output-dir", tree / "x" / "out")
    assert inside.exit_code == 1 and "lies in the corpus's own folder" in inside.output


def test_a_corpus_that_was_packed_keeps_what_is_known_of_its_documents(tmp_path):
    tree = write_files(
        tmp_path / "tree",
        {
            "mdpi/a.txt": prose("a"),
            "other/b.md": "---\nlicense: CC0\ntitle: B\nurl: https://b\n---\n" + prose("b"),
            "both/c.txt": prose("c"),
            "d.txt": prose("d"),
        },
    )
    rules = tmp_path / "rules.yml"
    rules.write_text(
        "topic_part: 1\nrules:\n- {path: 'mdpi/*', licence: BSD-3-Clause}\n"
        "- {path: 'both/*', licence: MIT}\n- {path: '*c.txt', licence: CC0-1.0}\n"
    )
    assert run(tree, "--rules", rules, "--output-dir", tmp_path / "raw").exit_code == 0
    before = packed(tmp_path / "raw")
    licences = {"BSD-3-Clause", "CC0-1.0", "conflict", "unknown"}
    assert {row["licence"] for row in before} == licences
    shuffled = tmp_path / "foreign"
    shuffled.mkdir()
    # As another program writes them: other files, other kinds of strings.
    pq.write_table(pa.Table.from_pylist(before[:1]), shuffled / "x.parquet")
    pq.write_table(pa.Table.from_pylist(before[1:], shards.SCHEMA), shuffled / "y.parquet")
    other = ["--rules", rules, "--output-dir", tmp_path / "again"]
    assert run(shuffled, *other).exit_code == 0
    assert packed(tmp_path / "again") == before
    again, first = (tmp_path / name / "attribution.jsonl" for name in ("again", "raw"))
    assert again.read_bytes() == first.read_bytes()

    twice = run(shuffled, f"copy={shuffled}", "--output-dir", tmp_path / "twice")
    assert twice.exit_code == 1 and "two documents have the id tree/both/c.txt" in twice.output
    assert not (tmp_path / "twice" / "data").exists()
    rows = [{k: v for k, v in row.items() if k != "journal"} for row in before]
    table = write_jsonl(tmp_path / "table.jsonl", rows)
    assert run(table, "--output-dir", tmp_path / "table").exit_code == 0
    found = packed(tmp_path / "table")
    assert [row["doc_id"] for row in found] == [f"table/table.jsonl:{n}" for n in range(1, 5)]
    assert "BSD-3-Clause" not in {row["licence"] for row in found}


def test_only_the_licences_that_are_named_are_kept(tmp_path):
    tree = write_files(
        tmp_path / "OpenMedText",
        {
            "set/Cardiology/a.txt": prose("a"),
            "set/Textbook/CC BY/b.txt": prose("b"),
            "set/Textbook/CC BY-NC-SA/c.txt": prose("c"),
            "set/Textbook/other/d.txt": prose("d"),
        },
    )
    options = [tree, "--rules", "openmedtext"]
    everything = run(*options, "--output-dir", tmp_path / "all")
    assert everything.exit_code == 0 and "1 unknown" in everything.output
    assert [row["topic"] for row in packed(tmp_path / "all")] == ["Cardiology", *["Textbook"] * 3]
    some = run(*options, "--licence", "CC-BY-*", "--output-dir", tmp_path / "some")
    assert some.exit_code == 0 and "unknown. --licence" not in some.output
    assert [row["doc_id"][-5:] for row in packed(tmp_path / "some")] == ["a.txt", "b.txt"]
    assert manifest_of(tmp_path / "some")["left_out"] == {
        "licence CC-BY-NC-SA-4.0": 1,
        "licence unknown": 1,
    }
    none = run(*options, "--licence", "MIT", "--output-dir", tmp_path / "none")
    assert none.exit_code == 1 and "no document is left" in none.output
    assert not list((tmp_path / "none").iterdir())


def test_what_cannot_be_read_is_left_out_and_listed(tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "MOST_BYTES", 5000)
    latin = "Café über Ångström. ".encode("latin-1") * 9
    tree = write_files(
        tmp_path / "tree",
        {"good.txt": prose("good"), "latin.txt": latin, "huge.txt": b"a " * 2600},
    )
    result = run(tree, "--output-dir", tmp_path / "out")
    assert result.exit_code == 0 and [r["doc_id"] for r in packed(tmp_path / "out")] == [
        "tree/good.txt"
    ]
    reasons = manifest_of(tmp_path / "out")["left_out"]
    assert sum(reasons.values()) == 2 and any("--encoding" in reason for reason in reasons)
    assert any(reason.startswith("more than") for reason in reasons)
    named = run(tree, "--encoding", "latin-1", "--output-dir", tmp_path / "named")
    assert named.exit_code == 0
    assert [row["text"][:4] for row in packed(tmp_path / "named")][1] == "Café"


def test_any_number_of_processes_and_units_makes_the_same_bytes(tmp_path, monkeypatch):
    tree = write_files(
        tmp_path / "tree", {f"{i % 7}/{i}.txt": prose(i, 20 + i % 90) for i in range(400)}
    )
    sources = read_sources([str(tree)])
    pack.pack(sources, tmp_path / "one", PackOptions())
    monkeypatch.setattr(inputs.list_units, "__defaults__", (20_000,))
    pack.pack(sources, tmp_path / "many", PackOptions())
    pack.pack(sources, tmp_path / "parallel", PackOptions(), processes=2)
    assert packed(tmp_path / "one") == packed(tmp_path / "many")
    assert len(list((tmp_path / "many").glob("data/*.parquet"))) > 4
    assert bytes_of(tmp_path / "many") == bytes_of(tmp_path / "parallel")
    assert manifest_of(tmp_path / "many") == manifest_of(tmp_path / "parallel")


def test_a_shard_has_an_end(tmp_path):
    rows = [dict.fromkeys(shards.COLUMNS) | {"text": prose(i, 900)} for i in range(3000)]
    with shards.ShardWriter(tmp_path, shard_bytes=200_000) as writer:
        for row in rows:
            writer.add(row)
    assert len(writer.shards) == 3 and packed(tmp_path) == rows
    with pytest.raises(KeyError), shards.ShardWriter(tmp_path / "b") as writer:
        for row in rows:
            writer.add(row)
        raise KeyError
    assert not list((tmp_path / "b").iterdir())


def test_a_corpus_that_is_there_is_not_packed_again_and_another_is_refused(tmp_path):
    tree = write_files(tmp_path / "tree", {"a.txt": prose("a"), "b.txt": prose("b")})
    assert run(tree, "--output-dir", tmp_path / "out").exit_code == 0
    before = (tmp_path / "out" / "data" / "shard-00000.parquet").stat().st_mtime_ns
    os.utime(tree / "a.txt", (1, 1))  # touched, or copied elsewhere and back
    again = run(tree, "--output-dir", tmp_path / "out")
    assert again.exit_code == 0 and "2 documents" in again.output
    assert (tmp_path / "out" / "data" / "shard-00000.parquet").stat().st_mtime_ns == before
    other = run(tree, "--licence", "CC0-1.0", "--output-dir", tmp_path / "out")
    assert other.exit_code == 1 and "made with another licences" in other.output
    (tree / "b.txt").write_text(prose("c"))
    edited = run(tree, "--output-dir", tmp_path / "out")
    assert edited.exit_code == 1 and "made with another input" in edited.output


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../../etc/passwd.txt", "leads out of it"),
        ("/etc/passwd.txt", "leads out of it"),
        ("a/../../b.txt", "leads out of it"),
        ("..\\..\\b.txt", "leads out of it"),
    ],
)
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_archives_that_lead_out_are_refused(tmp_path, name, said, kind):
    path = tmp_path / f"a.{kind}"
    if kind == "tar":
        tar_of(path, {name: b"x"}, "w")
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(zipfile.ZipInfo(name), "x")
    result = run(path, "--output-dir", tmp_path / "out")
    assert result.exit_code == 1 and said in result.output
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_bombs_loops_and_damage_each_give_one_sentence(tmp_path):
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"{number}.txt", b"\0" * (60 << 20))
    begun = time.monotonic()
    refused = run(bomb, "--output-dir", tmp_path / "out")
    assert refused.exit_code == 1 and "times its size" in refused.output
    assert time.monotonic() - begun < 60

    whole = tar_of(tmp_path / "w.tar.gz", {f"{i}.txt": os.urandom(900) for i in range(50)})
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(whole.read_bytes()[:20_000])
    (tmp_path / "no.zip").write_text("no archive at all")
    for path in (cut, tmp_path / "no.zip"):
        damaged = run(path, "--output-dir", tmp_path / "out")
        assert damaged.exit_code == 1 and f"cannot read {path}" in damaged.output

    tree = write_files(tmp_path / "tree", {"a.txt": "x"})
    (tree / "loop").symlink_to(tree)
    looping = run(tree, "--output-dir", tmp_path / "out")
    assert looping.exit_code == 1 and "leads back to a folder above it" in looping.output
    (tmp_path / "bare").mkdir()
    bare = run(tmp_path / "bare", "--output-dir", tmp_path / "out")
    assert bare.exit_code == 1 and "holds nothing to pack" in bare.output
    twice = run(tree / "a.txt", f"{tmp_path}/tree/../tree/a.txt", "--output-dir", tmp_path / "out")
    assert twice.exit_code == 1 and "would both be the source 'a'" in twice.output
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_a_missing_reader_is_no_document_in_trouble(tmp_path, monkeypatch):
    tree = write_files(tmp_path / "tree", {"a.txt": prose("a"), "b.html": "<p>A page.</p>"})
    monkeypatch.setitem(sys.modules, "trafilatura", None)
    result = run(tree, "--output-dir", tmp_path / "out")
    assert result.exit_code == 1 and "pip install 'axolotl-cft[corpus]'" in result.output
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_a_folder_that_is_none_of_ours_is_left_as_it_is(tmp_path):
    tree = write_files(tmp_path / "tree", {"Heart: a study.txt": prose("a")})
    mine = write_files(tmp_path / "project", {"data/precious.txt": "years of work"})
    for command in (["pack", tree], ["clean", tmp_path / "raw"]):
        assert run(tree, "--output-dir", tmp_path / "raw").exit_code == 0
        arguments = ["corpus", *map(str, command), "--output-dir", str(mine)]
        refused = CliRunner().invoke(main, arguments)
        assert refused.exit_code == 1 and "belongs to no packed corpus" in refused.output
        assert [path.name for path in mine.rglob("*") if path.is_file()] == ["precious.txt"]


def test_a_title_with_a_colon_is_no_drive(tmp_path):
    path = tar_of(tmp_path / "a.tar", {"Heart: a study.txt": b"A study of hearts."}, "w")
    result = run(path, "--output-dir", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert [row["doc_id"] for row in packed(tmp_path / "out")] == ["a/a.tar/Heart: a study.txt"]
    drive = tar_of(tmp_path / "b.tar", {"C:\\Windows\\a.txt": b"x"}, "w")
    assert "leads out of it" in run(drive, "--output-dir", tmp_path / "out2").output
    odd = write_files(tmp_path, {"x=1.txt": "A text."})
    assert run(odd / "x=1.txt", "--output-dir", tmp_path / "out3").exit_code == 0


def test_two_files_of_one_name_are_refused(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for text in (b"First.", b"Second."):
            member = tarfile.TarInfo("same.txt")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    result = run(path, "--output-dir", tmp_path / "out")
    assert result.exit_code == 1 and "two documents have the id a/a.tar/same.txt" in result.output


def test_a_full_disk_leaves_no_shard_and_the_next_run_goes_on(tmp_path, monkeypatch):
    tree = write_files(tmp_path / "tree", {f"{i}.txt": prose(i) for i in range(40)})
    monkeypatch.setattr(inputs.list_units, "__defaults__", (3_000,))
    options, sources = PackOptions(), read_sources([str(tree)])
    real, room = shards.pq.ParquetWriter.write_table, [2]

    def until_it_is_full(self: Any, table: Any) -> None:
        room[0] -= 1
        if room[0] < 0:
            raise OSError(28, "No space left on device")
        real(self, table)

    monkeypatch.setattr(shards.pq.ParquetWriter, "write_table", until_it_is_full)
    with pytest.raises(CFTError, match="No space left on device"):
        pack.pack(sources, tmp_path / "out", options)
    assert not list((tmp_path / "out").glob("data/*.parquet"))
    room[0] = 1000
    pack.pack(sources, tmp_path / "out", options)
    assert 1000 - room[0] < 40 and len(packed(tmp_path / "out")) == 40


@pytest.mark.slow
def test_kills_change_no_byte(tmp_path):
    files: dict[str, str | bytes] = {f"{i % 40}/{i}.txt": prose(i, 400) for i in range(4000)}
    tree = write_files(tmp_path / "tree", files)
    script = (
        "import sys; from axolotl_cft.corpus.building import inputs, pack;"
        "from pathlib import Path;"
        "inputs.list_units.__defaults__ = (400_000,);"
        "pack.pack(inputs.read_sources([sys.argv[1]]), Path(sys.argv[2]), pack.PackOptions())"
    )
    command = [sys.executable, "-c", script, str(tree)]
    subprocess.run([*command, str(tmp_path / "whole")], check=True)
    dice, folder, killed = random.Random(14), tmp_path / "killed", 0
    for units in range(2, 20, 3):
        process = subprocess.Popen([*command, str(folder)])
        while process.poll() is None and len(list(folder.glob(".pack/*/unit.json"))) < units:
            time.sleep(0.001)
        time.sleep(dice.uniform(0, 0.02))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
    assert killed >= 5
    subprocess.run([*command, str(tmp_path / "killed")], check=True)
    assert bytes_of(tmp_path / "killed") == bytes_of(tmp_path / "whole")
    assert manifest_of(tmp_path / "killed") == manifest_of(tmp_path / "whole")


def test_the_rules_decide_a_corpus_too(tmp_path):
    tree = write_files(tmp_path / "tree", {"a/b/a.txt": prose("a")})
    sources = read_sources([str(tree)])
    pack.pack(sources, tmp_path / "out", PackOptions(load_rules("openmedtext")))
    with pytest.raises(CFTError, match="another rules"):
        pack.pack(sources, tmp_path / "out", PackOptions(load_rules("pmc")))
    with pytest.raises(CFTError, match="another licences"):
        kept = PackOptions(load_rules("openmedtext"), Kept(["CC-BY-*"]))
        pack.pack(sources, tmp_path / "out", kept)


class Words:
    """Counts words; gives up when it was asked so often."""

    name = digest = "words"

    def __init__(self, most: int = 1000) -> None:
        self.left = most

    def __call__(self, texts: list[str]) -> list[int]:
        self.left -= 1
        if self.left < 0:
            raise CFTError("no tokenizer any more")
        return [len(text.split()) for text in texts]


def test_tokens_are_the_same_in_any_number_of_processes_and_after_a_stop(tmp_path, monkeypatch):
    files: dict[str, str | bytes] = {f"{i % 7}/{i}.txt": prose(i, 20 + i % 90) for i in range(200)}
    sources = read_sources([str(write_files(tmp_path / "tree", files))])
    monkeypatch.setattr(inputs.list_units, "__defaults__", (20_000,))
    one, two, stopped = (tmp_path / name for name in ("one", "two", "stopped"))
    whole = pack.pack(sources, one, PackOptions(tokenizer=Words()))
    assert whole.tokens == sum(len(text.split()) for text in map(str, files.values()))
    pack.pack(sources, two, PackOptions(tokenizer=Words()), processes=2)
    with pytest.raises(CFTError, match="no tokenizer any more"):
        pack.pack(sources, stopped, PackOptions(tokenizer=Words(most=2)))
    again = Words()
    pack.pack(sources, stopped, PackOptions(tokenizer=again))
    assert 1000 - again.left == len(whole.shards) - 2
    for folder in (two, stopped):
        assert bytes_of(folder) == bytes_of(one) and manifest_of(folder) == manifest_of(one)
