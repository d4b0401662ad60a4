"""Overlap between corpora and test items: planted ones are all found, and nothing else is."""

import gzip
import json
import random
import re
import unicodedata
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from axolotl_cft.cli import main
from axolotl_cft.corpus.contamination import OverlapIndex, load_items, words_of
from axolotl_cft.corpus.readers import Field, HubDataset
from axolotl_cft.errors import CFTError

FIXTURES = Path(__file__).parents[1] / "axolotl_cft" / "demo" / "data" / "benchmarks"


def overlaps(item: list[str], document: list[str], n: int) -> bool:
    """The definition, word for word: the obvious quadratic search."""
    size = min(n, len(item))
    grams = {tuple(item[i : i + size]) for i in range(len(item) - size + 1)}
    return any(tuple(document[i : i + size]) in grams for i in range(len(document) - size + 1))


texts = st.lists(st.sampled_from("abc"), min_size=1, max_size=12)


@given(items=st.lists(texts, min_size=1, max_size=6), document=texts, n=st.integers(1, 5))
def test_find_is_the_definition(items: list[list[str]], document: list[str], n: int) -> None:
    index = OverlapIndex.build((("t", k, " ".join(item)) for k, item in enumerate(items)), n)
    found = [hit.item for hit in index.find(" ".join(document))]
    assert found == [k for k, item in enumerate(items) if overlaps(item, document, n)]


def test_a_shared_run_of_thirteen_words_is_the_limit() -> None:
    words = [f"w{number}" for number in range(40)]
    index = OverlapIndex.build([("t", 0, " ".join(words))])
    (hit,) = index.find("before " + " ".join(words[5:18]) + " after")
    assert (hit.task, hit.item, hit.words) == ("t", 0, " ".join(words[5:18]))
    assert not index.find(" ".join([*words[:12], "x", *words[13:25], "x", *words[26:38]]))


def test_short_items_must_occur_whole() -> None:
    index = OverlapIndex.build([("t", 0, "Profit falls at Acme"), ("t", 1, "Acme"), ("t", 2, "?!")])
    assert index.items == {"t": 2}
    assert [hit.item for hit in index.find("Today PROFIT-falls, at “Acme”.")] == [0, 1]
    assert not index.find("profit falls at Acmes")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("B-cells, 5 µg", "b CELLS 5 μg"),
        ("naïve", "NAI\u0308VE"),
        ("“Straße”", "strasse"),
        ("snake_case", "snake case"),
        ("ﬁve", "five"),
    ],
)
def test_normalisation_is_blind_to_case_and_punctuation(one: str, other: str) -> None:
    assert words_of(one) == words_of(other) != []


@given(st.text())
def test_words_are_runs_of_letters_and_digits(text: str) -> None:
    normal = unicodedata.normalize("NFKC", text).casefold()
    assert words_of(text) == re.findall(r"[^\W_]+", normal)


def test_items_are_those_of_the_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    items = list(load_items(["cft_medical", "cft_fiqa"], FIXTURES))
    assert len(items) == 6 * 10 + 24 + 42
    row = json.loads((FIXTURES / "fiqa" / "test.jsonl").read_text().splitlines()[3])
    assert ("cft_fiqa", 3, row["text"]) in items
    monkeypatch.setenv("CFT_DATA_DIR", str(FIXTURES))
    assert list(load_items(["cft_medical", "cft_fiqa"])) == items
    with pytest.raises(CFTError, match="unknown task 'mmlu'"):
        list(load_items(["mmlu"], FIXTURES))
    with pytest.raises(CFTError, match="no 'test' split of fiqa"):
        list(load_items(["cft_fiqa"], FIXTURES / "nowhere"))


def planted_corpus() -> tuple[list[dict[str, Any]], list[int], dict[str, set[int]]]:
    """Rows of clean text, some with an item inside; their numbers; the items per task."""
    rng = random.Random(0)
    vocabulary = [f"word{number}" for number in range(500)]
    items = list(load_items(["cft_medical", "cft_financial"], FIXTURES))
    planted = rng.sample(items, 30)
    rows = []
    for number in range(2500):
        rows.append({"id": number, "text": " ".join(rng.choices(vocabulary, k=40)), "x": [number]})
    positions = sorted(rng.sample(range(2500), 30))
    found: dict[str, set[int]] = {}
    for position, (task, item, text) in zip(positions, planted, strict=True):
        clean = rows[position]["text"]
        rows[position]["text"] = f"{clean}\n\n{text.upper().replace(' ', '  ')}; {clean}"
        found.setdefault(task, set()).add(item)
    rows[7]["text"] = None
    return rows, positions, found


def write_corpus(folder: Path, kind: str, rows: list[dict[str, Any]]) -> Path:
    folder.mkdir()
    lines = [json.dumps(row, ensure_ascii=number % 2 == 0) for number, row in enumerate(rows)]
    content = ("\n".join(lines)).encode()
    if kind == "jsonl":
        (folder / "corpus.jsonl").write_bytes(content)
        return folder / "corpus.jsonl"
    if kind == "jsonl.gz":
        (folder / "corpus.jsonl.gz").write_bytes(gzip.compress(content))
        return folder / "corpus.jsonl.gz"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), folder / "corpus.parquet", row_group_size=700)
        return folder / "corpus.parquet"
    for row in rows:
        file = folder / f"topic{row['id'] % 3}" / f"{row['id']:05}.txt"
        file.parent.mkdir(exist_ok=True)
        file.write_text(row["text"] or "")
    return folder


def read_corpus(path: Path, kind: str) -> list[dict[str, Any]]:
    if kind == "parquet":
        return pq.read_table(path).to_pylist()
    if kind == "txt":
        return [
            {"name": str(f.relative_to(path)), "text": f.read_text()} for f in path.rglob("*.txt")
        ]
    content = path.read_bytes()
    lines = (gzip.decompress(content) if kind == "jsonl.gz" else content).splitlines()
    return [json.loads(line) for line in lines]


def run(*arguments: Any) -> Result:
    command = ["contamination", *map(str, arguments), "--data-dir", str(FIXTURES)]
    return CliRunner().invoke(main, command)


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "parquet", "txt"])
def test_planted_overlaps_are_found_and_removed(tmp_path: Path, kind: str) -> None:
    rows, positions, found = planted_corpus()
    corpus = write_corpus(tmp_path / "corpus", kind, rows)
    clean = tmp_path / "clean"
    result = run(corpus, "--remove", "--output-dir", clean)
    assert result.exit_code == 0, result.output

    report = json.loads((clean / "contamination.json").read_text())
    assert report["schema"] == 1 and report["n"] == 13 and report["removed"] is True
    assert report["corpus"] == str(corpus) and report["documents"] == 2500
    assert report["contaminated_documents"] == 30
    assert sum(row["items"] for row in report["tasks"].values()) == 84 + 42 + 40 + 42
    for task, row in report["tasks"].items():
        assert row["contaminated_items"] == row["documents"] == len(found.get(task, ()))
    assert {(e["task"], e["item"]) for e in report["examples"]} == {
        (task, item) for task, items in found.items() for item in items
    }

    kept = read_corpus(clean if kind == "txt" else clean / corpus.name, kind)
    before = read_corpus(corpus, kind)
    if kind == "txt":
        dirty = {f"topic{p % 3}/{p:05}.txt" for p in positions}
        assert sorted(r["name"] for r in kept) == sorted(
            r["name"] for r in before if r["name"] not in dirty
        )
    else:
        assert kept == [row for row in before if row["id"] not in set(positions)]
    assert not list(clean.rglob("*.tmp"))
    assert "30 of 2,500 documents" in result.output


def test_without_remove_only_the_report_is_written(tmp_path: Path) -> None:
    rows, _, _ = planted_corpus()
    corpus = write_corpus(tmp_path / "corpus", "jsonl", rows)
    result = run(corpus, "--tasks", "cft_fiqa", "--output-dir", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["contamination.json"]
    report = json.loads((tmp_path / "out" / "contamination.json").read_text())
    assert list(report["tasks"]) == ["cft_fiqa"] and report["removed"] is False


def test_hub_datasets_are_streamed_and_texts_stay_whole(tmp_path: Path) -> None:
    """A local folder in the hub's layout, opened by the loader that opens the hub's datasets."""
    rows, _, _ = planted_corpus()
    folder = write_corpus(tmp_path / "corpus", "txt", rows[:200])
    part = HubDataset(str(folder), None, "train", Field())
    blocks = list(part.blocks())
    # The planted items stand on lines of their own: a row per line would make more documents.
    found = [text for block in blocks for text in block.texts]
    assert sorted(found) == sorted(row["text"] or "" for row in rows[:200])
    with part.write(tmp_path / "out.parquet") as write:
        for block in blocks:
            write(block, [number % 2 == 0 for number in range(len(block.texts))])
    assert pq.read_table(tmp_path / "out.parquet")["text"].to_pylist() == found[::2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": "a"}\n{"text": \n', "corpus.jsonl:2 is not JSON"),
        ('{"text": "a"}\n{"body": "b"}\n', "corpus.jsonl:2 has no column 'text'"),
        ('{"text": ["a"]}\n', "corpus.jsonl:1: column 'text' holds list, not text"),
        ("", "holds no documents"),
    ],
)
def test_bad_corpus_leaves_nothing_behind(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "corpus.jsonl").write_text(content)
    out = tmp_path / "out"
    out.mkdir()
    (out / "contamination.json").write_text("from an earlier run")
    result = run(tmp_path / "corpus.jsonl", "--output-dir", out, "--remove")
    assert result.exit_code == 1 and message in result.output
    assert "Traceback" not in result.output
    assert not (out / "contamination.json").exists() and not list(out.glob(".*"))


def test_impossible_requests_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    pq.write_table(pa.table({"body": ["x"]}), tmp_path / "t.parquet")
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(b'{"text": "x"}\n' * 99)[:-9])
    damaged = bytearray(gzip.compress(b"".join(b'{"text": "%d"}\n' % i for i in range(999))))
    damaged[100:140] = b"\xff" * 40
    (tmp_path / "damaged.jsonl.gz").write_bytes(damaged)
    out = ["--output-dir", tmp_path / "out"]
    for arguments, message in (
        ([tmp_path / "absent.jsonl", *out], "does not exist"),
        ([tmp_path / "empty", *out], "holds no .jsonl"),
        ([tmp_path / "t.parquet", *out], "no column 'text' (it has body)"),
        ([tmp_path / "cut.jsonl.gz", *out], "cannot read"),
        ([tmp_path / "damaged.jsonl.gz", *out], "cannot read"),
        ([tmp_path / "t.parquet", "--remove", "--output-dir", tmp_path], "own folder"),
        ([tmp_path, "--remove", *out], "own folder"),
        ([tmp_path / "t.parquet", "--tasks", "cft_x", *out], "unknown task 'cft_x'"),
    ):
        result = run(*arguments)
        assert result.exit_code == 1 and message in result.output, (arguments, result.output)
        assert "Traceback" not in result.output


def test_unreachable_hub_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise ConnectionError("no route")

    monkeypatch.setattr(datasets, "load_dataset_builder", refuse)
    result = run("someone/corpus", "--output-dir", tmp_path / "out")
    assert result.exit_code == 1 and "no route" in result.output
