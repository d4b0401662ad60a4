"""`axolotl-cft contamination`: what is planted is found, listed and taken out, and nothing else."""

import csv
import gzip
import json
import multiprocessing
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from axolotl_cft.cli import main
from axolotl_cft.corpus import cleaning, contamination
from axolotl_cft.corpus.contamination import BenchmarkItem, OverlapIndex, Verdict, load_items
from axolotl_cft.corpus.passages import MARGIN, SHORTEST, around, leftovers, merged
from axolotl_cft.corpus.readers import Field, HubDataset, open_corpus
from axolotl_cft.corpus.words import words_of
from axolotl_cft.errors import CFTError
from axolotl_cft.files import write_atomic
from axolotl_cft.records import ContaminationRecord, read_contaminated

FIXTURES = Path(__file__).parents[1] / "axolotl_cft" / "demo" / "data" / "benchmarks"
KINDS = ["jsonl", "jsonl.gz", "jsonl.zst", "json", "csv", "parquet", "txt"]


def test_items_are_those_of_the_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    items = list(load_items(["cft_medical", "cft_fiqa"], FIXTURES))
    assert len(items) == 6 * 10 + 24 + 42
    row = json.loads((FIXTURES / "fiqa" / "test.jsonl").read_text().splitlines()[3])
    # The choices of a classification are the same for all, and no options.
    assert BenchmarkItem("cft_fiqa", 3, row["text"]) in items
    row = json.loads((FIXTURES / "medqa" / "test.jsonl").read_text().splitlines()[2])
    options = tuple(row[f"ending{number}"] for number in range(4))
    assert BenchmarkItem("cft_medqa", 2, row["sent1"], options) in items
    row = json.loads((FIXTURES / "mmlu/anatomy" / "test.jsonl").read_text().splitlines()[1])
    anatomy = BenchmarkItem("cft_mmlu_anatomy", 1, row["question"], tuple(row["choices"]))
    assert anatomy in items
    monkeypatch.setenv("CFT_DATA_DIR", str(FIXTURES))
    assert list(load_items(["cft_medical", "cft_fiqa"])) == items
    with pytest.raises(CFTError, match="unknown task 'mmlu'"):
        list(load_items(["mmlu"], FIXTURES))
    with pytest.raises(CFTError, match="no 'test' split of fiqa"):
        list(load_items(["cft_fiqa"], FIXTURES / "nowhere"))


# --- passages --------------------------------------------------------------------------------


def test_a_passage_reaches_to_the_ends_of_sentences() -> None:
    before, after = "One sentence stands here. " * 30, " Another one follows it." * 30
    text = f"{before}THE MATCH is this.{after}"
    begin = text.index("THE")
    first, last = around(text, begin, begin + 18)
    assert begin - first >= MARGIN and last - begin - 18 >= MARGIN
    assert first >= begin - 2 * MARGIN and last <= begin + 18 + 2 * MARGIN
    assert text[:first].endswith("here. ") and text[first:last].endswith("it.")


def test_a_passage_without_sentences_is_cut_at_white_space_and_without_that_anywhere() -> None:
    text = "word " * 300
    first, last = around(text, 700, 704)
    assert text[first - 1] == " " and text[first] == "w" and text[last] == " "
    first, last = around("x" * 2000, 900, 1000)
    assert (first, last) == (900 - MARGIN, 1000 + MARGIN)
    assert around("short", 1, 3) == (0, 5)


spans = st.tuples(st.integers(0, 3000), st.integers(1, 400)).map(lambda p: (p[0], p[0] + p[1]))


@given(st.lists(spans, min_size=1, max_size=6), st.integers(0, 600))
def test_cuts_hold_every_passage_and_leave_nothing_short(
    passages: list[tuple[int, int]], tail: int
) -> None:
    length = max(end for _, end in passages) + tail
    cuts = merged(passages, length)
    assert all(any(b <= begin and end <= e for b, e in cuts) for begin, end in passages)
    places = [0, *(place for cut in cuts for place in cut), length]
    assert places == sorted(places)
    left = [end - begin for begin, end in zip(places[::2], places[1::2], strict=True)]
    assert all(size == 0 or size >= SHORTEST for size in left)
    text = "".join(chr(65 + place % 26) for place in range(length))
    assert leftovers(text, cuts) == [
        text[b:e] for b, e in zip(places[::2], places[1::2], strict=True) if e > b
    ]


# --- the command -----------------------------------------------------------------------------


def filler(rng: random.Random, words: int = 160) -> str:
    text = [f"word{rng.randrange(900)}" for _ in range(words)]
    return " ".join(f"{word}." if place % 9 == 8 else word for place, word in enumerate(text))


Planted = dict[int, tuple[str, int]]


def planted_corpus(count: int = 1000) -> tuple[list[dict[str, Any]], Planted]:
    """Rows of clean text, and which hold an item: number -> (task, item)."""
    rng = random.Random(0)
    items = [
        item
        for item in load_items(["cft_medical", "cft_financial"], FIXTURES)
        if len(words_of(item.question)) >= 8
    ]
    rows: list[dict[str, Any]] = [
        {"id": number, "text": filler(rng), "x": [number]} for number in range(count)
    ]
    planted: Planted = {}
    for number, item in zip(
        sorted(rng.sample(range(8, count), 20)), rng.sample(items, 20), strict=True
    ):
        asked = item.question.upper().replace(" ", "  ")
        rows[number]["text"] = f"{filler(rng)}\n\n{asked}; {filler(rng)}"
        planted[number] = item.task, item.number
    rows[7]["text"] = None
    rows[6]["text"] = ""
    return rows, planted


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
    if kind == "jsonl.zst":
        (folder / "corpus.jsonl.zst").write_bytes(pa.compress(content, "zstd", asbytes=True))
        return folder / "corpus.jsonl.zst"
    if kind == "json":
        (folder / "corpus.json").write_text(f"[{','.join(lines)}]", encoding="utf-8")
        return folder / "corpus.json"
    if kind == "csv":
        with (folder / "corpus.csv").open("w", newline="", encoding="utf-8-sig") as table:
            writer = csv.DictWriter(table, ["id", "text", "x"])
            writer.writeheader()
            writer.writerows(rows)
        return folder / "corpus.csv"
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
        files = sorted(path.rglob("*.txt"))
        return [{"id": int(file.name[:5]), "text": file.read_text()} for file in files]
    content = path.read_bytes()
    if kind == "json":
        return json.loads(content)
    if kind == "csv":
        with path.open(newline="", encoding="utf-8-sig") as table:
            return [{**row, "id": int(row["id"])} for row in csv.DictReader(table)]
    if kind == "jsonl.zst":
        with pa.input_stream(path, compression="zstd") as stream:
            return [json.loads(line) for line in stream.read().splitlines()]
    lines = (gzip.decompress(content) if kind == "jsonl.gz" else content).splitlines()
    return [json.loads(line) for line in lines]


def in_order(planted: Planted, kind: str) -> list[int]:
    """The numbers of the rows with an item, in the order of the corpus."""
    return sorted(planted, key=lambda number: (number % 3, number) if kind == "txt" else number)


def run(*arguments: Any) -> Result:
    command = ["contamination", *map(str, arguments), "--data-dir", str(FIXTURES)]
    return CliRunner().invoke(main, command)


def contents(folder: Path) -> dict[str, bytes]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


@pytest.mark.parametrize("kind", KINDS)
def test_planted_items_are_found_and_their_passages_removed(tmp_path: Path, kind: str) -> None:
    rows, planted = planted_corpus()
    corpus = write_corpus(tmp_path / "corpus", kind, rows)
    out = tmp_path / "out"
    result = run(corpus, "--remove", "--output-dir", out)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in out.iterdir()) == [
        "cleaned",
        "contamination.json",
        "items.jsonl",
        "removed.jsonl",
    ]

    record = ContaminationRecord.read(out / "contamination.json")
    assert json.loads((out / "contamination.json").read_text())["schema"] == 2
    assert (record.n, record.min_words, record.removed) == (13, 8, "passages")
    assert record.corpus == str(corpus) and record.documents == 1000
    assert record.contaminated_documents == 20 and record.boilerplate is not None
    assert record.boilerplate.patterns == record.boilerplate.hits == 0
    assert sum(row.items for row in record.tasks.values()) == 84 + 42 + 40 + 42
    assert record.tasks["cft_multifin"].too_short == 16
    for task, row in record.tasks.items():
        expected = sum(name == task for name, _ in planted.values())
        assert row.contaminated_items == row.documents == expected
    found = {(example.task, example.item) for example in record.examples}
    assert found == set(planted.values())
    listed = read_contaminated(out / "items.jsonl")
    assert {(task, item) for task in listed for item in listed[task]} == found
    line = json.loads((out / "items.jsonl").read_text().splitlines()[0])
    assert line["score"] == 1.0 and line["words"] and line["matched"] == "question"

    before = read_corpus(corpus, kind)
    kept = read_corpus(out / "cleaned" if kind == "txt" else out / "cleaned" / corpus.name, kind)
    assert [row for row in kept if row["id"] not in planted] == [
        row for row in before if row["id"] not in planted
    ]
    removed = [json.loads(line) for line in (out / "removed.jsonl").read_text().splitlines()]
    assert record.removal is not None and record.removal.passages == len(removed) == 20
    for number, gone in zip(in_order(planted, kind), removed, strict=True):
        (reason,) = gone["reasons"]
        assert (reason["task"], reason["doc_id"], reason["score"]) == (*planted[number], 1.0)
        # Two documents are left of one, with the other columns as they were.
        first, second = (row for row in kept if row["id"] == number)
        whole = next(row for row in before if row["id"] == number)
        assert {**first, "text": 0} == {**second, "text": 0} == {**whole, "text": 0}
        rest = whole["text"].replace(gone["text"], "\0")
        assert [part.strip() for part in rest.split("\0")] == [first["text"], second["text"]]
        assert len(gone["text"]) >= 2 * MARGIN
    again = run(out / "cleaned", "--output-dir", tmp_path / "again")
    assert "0 of 1,020 documents overlap" in again.output
    assert "20 of 1,000 documents overlap" in result.output


@pytest.mark.parametrize("kind", KINDS)
def test_documents_are_removed_whole_where_that_is_asked(tmp_path: Path, kind: str) -> None:
    rows, planted = planted_corpus()
    corpus = write_corpus(tmp_path / "corpus", kind, rows)
    out = tmp_path / "out"
    result = run(corpus, "--remove", "documents", "--output-dir", out)
    assert result.exit_code == 0, result.output
    kept = read_corpus(out / "cleaned" if kind == "txt" else out / "cleaned" / corpus.name, kind)
    assert kept == [row for row in read_corpus(corpus, kind) if row["id"] not in planted]
    removed = [json.loads(line)["text"] for line in (out / "removed.jsonl").open()]
    assert removed == [rows[number]["text"] for number in in_order(planted, kind)]
    record = ContaminationRecord.read(out / "contamination.json")
    assert record.removed == "documents" and record.removal is not None
    assert record.removal.documents == 20


@pytest.mark.slow
def test_the_number_of_processes_changes_nothing(tmp_path: Path) -> None:
    rows, _ = planted_corpus()
    rng = random.Random(1)
    footer = "Copyright of the publisher in this and all other years, all rights are reserved now. "
    for row in rows:
        row["text"] = f"{row['text'] or ''} {filler(rng, 300)} {footer}"
    items = list(load_items(["cft_medical", "cft_financial"], FIXTURES))
    index = OverlapIndex([*items, BenchmarkItem("cft_fiqa", 900, footer)])
    corpus = write_corpus(tmp_path / "corpus", "parquet", rows)
    parts = open_corpus(str(corpus), Field())
    outcomes = []
    for processes in (1, 2, 4):
        heard: list[int] = []

        def count(read: int, documents: int, heard: list[int] = heard) -> None:
            heard.append(documents)

        verdict, digest = contamination.search(
            parts, index, located=True, processes=processes, count=count
        )
        out = tmp_path / str(processes)
        contamination.remove(parts, verdict, "passages", out, digest)
        contamination.write_results(verdict, str(corpus), None, out)
        assert len(heard) > 4 and heard[-1] == 1000
        outcomes.append(contents(out))
    assert outcomes[0] == outcomes[1] == outcomes[2]
    record = json.loads(outcomes[0]["contamination.json"])
    assert record["contaminated_documents"] == 20
    assert record["boilerplate"]["hits"] >= 1000
    assert record["tasks"]["cft_fiqa"]["boilerplate_items"] == 1
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_search_in_a_sentence(tmp_path: Path) -> None:
    rows = [{"text": filler(random.Random(0), 9000)} for _ in range(60)]
    parts = open_corpus(str(write_corpus(tmp_path / "corpus", "jsonl", rows)), Field())
    index = OverlapIndex(load_items(["cft_fiqa"], FIXTURES))

    def kill(read: int, documents: int) -> None:
        for process in multiprocessing.active_children():
            process.kill()

    with pytest.raises(CFTError, match="was killed, perhaps for want of memory: use fewer"):
        contamination.search(parts, index, located=False, processes=2, count=kill)


def test_without_remove_only_the_findings_are_written(tmp_path: Path) -> None:
    rows, planted = planted_corpus()
    corpus = write_corpus(tmp_path / "corpus", "jsonl", rows)
    out = tmp_path / "out"
    result = run(corpus, "--tasks", "cft_fiqa", "--output-dir", out)
    assert result.exit_code == 0, result.output
    assert sorted(contents(out)) == ["contamination.json", "items.jsonl"]
    record = json.loads((out / "contamination.json").read_text())
    assert list(record["tasks"]) == ["cft_fiqa"] and record["removed"] is False
    expected = {item for task, item in planted.values() if task == "cft_fiqa"}
    assert read_contaminated(out / "items.jsonl") == {"cft_fiqa": expected}


def test_the_counts_for_programs(tmp_path: Path) -> None:
    rows, _ = planted_corpus(100)
    corpus = write_corpus(tmp_path / "corpus", "jsonl", rows)
    result = run(corpus, "--tasks", "cft_fiqa", "--output-dir", tmp_path / "out", "--json")
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "out" / "contamination.json").read_text())
    assert record.pop("examples")  # texts of the corpus are no counts
    assert json.loads(result.stdout) == record
    assert record["tasks"]["cft_fiqa"]["contaminated_items"] > 0


# --- what must not happen --------------------------------------------------------------------


def verdict_on(tmp_path: Path, texts: list[str], items: list[str], **options: Any) -> Verdict:
    """What is found in a corpus of some texts."""
    path = tmp_path / "texts.jsonl"
    write_atomic(path, "".join(json.dumps({"text": text}) + "\n" for text in texts))
    index = OverlapIndex(BenchmarkItem("t", number, text) for number, text in enumerate(items))
    parts = open_corpus(str(path), Field())
    return contamination.search(parts, index, located=True, **options)[0]


def test_a_footer_of_every_document_is_boilerplate(tmp_path: Path) -> None:
    footer = "This letter reaches you each week since you or a friend of yours asked for it here."
    fact = (
        "The mitral valve lies between the left atrium and the left ventricle of the heart, below"
    )
    rng = random.Random(0)
    texts = [f"{filler(rng)}\n{footer}" for _ in range(40)]
    texts[7] = f"{filler(rng)} {fact} {footer}"
    verdict = verdict_on(tmp_path, texts, [footer, fact, "strategy"])
    assert {item for _, item in verdict.items} == {1} and list(verdict.documents) == [7]
    record = verdict.summary("corpus", None)
    assert record.boilerplate is not None and record.boilerplate.hits >= 40
    assert (record.tasks["t"].boilerplate_items, record.tasks["t"].too_short) == (1, 1)
    # In ten documents it counts, in eleven it does not.
    ten = verdict_on(tmp_path, texts[8:18], [footer]).documents
    assert len(ten) == 10 and all(document.cuts for document in ten.values())
    assert len(verdict_on(tmp_path, texts[8:19], [footer]).documents) == 0


def test_boilerplate_in_an_item_does_not_hide_its_other_words(tmp_path: Path) -> None:
    stock = "which of the following is the most appropriate next step in management of this patient"
    rng = random.Random(0)
    vignettes = [f"{filler(rng, 30)} finding{k} {stock}" for k in range(40)]
    texts = [f"{filler(rng)} {stock}" for _ in range(30)]
    texts[3] = f"{filler(rng)} {vignettes[5]} {filler(rng)}"
    assert {item for _, item in verdict_on(tmp_path, texts, vignettes).items} == {5}


def test_removing_much_is_refused_unless_forced(tmp_path: Path) -> None:
    rows, planted = planted_corpus(60)
    corpus = write_corpus(tmp_path / "corpus", "jsonl", rows)
    out = tmp_path / "out"
    refused = run(corpus, "--remove", "--output-dir", out)
    assert refused.exit_code == 1 and "Traceback" not in refused.output
    message = refused.output.strip().splitlines()[-1]
    assert f"% of the text of {corpus} would be removed, more than 5%" in message
    assert "--force" in message
    # What was found can be looked at.
    assert sorted(contents(out)) == ["contamination.json", "items.jsonl"]
    assert json.loads((out / "contamination.json").read_text())["removed"] is False
    assert sum(map(len, read_contaminated(out / "items.jsonl").values())) == len(planted)
    forced = run(corpus, "--remove", "--force", "--output-dir", out)
    assert forced.exit_code == 0, forced.output
    assert len(read_corpus(out / "cleaned" / "corpus.jsonl", "jsonl")) == 80


def test_a_cleaned_corpus_is_never_overwritten(tmp_path: Path) -> None:
    rows, _ = planted_corpus()
    corpus = write_corpus(tmp_path / "corpus", "jsonl", rows)
    out = tmp_path / "out"
    assert run(corpus, "--remove", "--output-dir", out).exit_code == 0
    before = contents(out)
    for arguments in ([corpus, "--remove"], [corpus], [out / "cleaned", "--remove"]):
        again = run(*arguments, "--output-dir", out)
        assert again.exit_code == 1 and "cleaned is there already" in again.output
        assert contents(out) == before


@pytest.mark.parametrize("failing", ["the reading", "the writing", "the corpus"])
def test_a_failure_while_writing_leaves_no_cleaned_corpus(
    tmp_path: Path, failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, _ = planted_corpus()
    corpus = write_corpus(tmp_path / "corpus", "jsonl", rows)
    out, real = tmp_path / "out", contamination.search

    def search(*arguments: Any, **options: Any) -> Any:
        outcome = real(*arguments, **options)
        if failing == "the corpus":
            edited = corpus.read_text().replace("word17 ", "word18 ", 1)
            corpus.write_text(edited)
        elif failing == "the reading":
            corpus.write_bytes(corpus.read_bytes()[:-40])
        return outcome

    def fail(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(contamination, "search", search)
    if failing == "the writing":
        monkeypatch.setattr(cleaning, "_keep_removed", fail)
    result = run(corpus, "--remove", "--output-dir", out)
    assert result.exit_code == 1 and "Traceback" not in result.output
    assert result.output.strip().splitlines()[-1].startswith("Error: ")
    assert contents(out) == {} and not list(out.iterdir())
    monkeypatch.undo()
    write_atomic(corpus, "".join(json.dumps(row) + "\n" for row in rows))
    assert run(corpus, "--remove", "--output-dir", out).exit_code == 0


def wait_until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)


STUCK = """
import sys, time
from axolotl_cft.corpus.json_files import JsonLines
from axolotl_cft.cli import main

def stuck(self, *arguments):
    if self.name == "last.jsonl":
        time.sleep(600)
    return real(self, *arguments)

real = getattr(JsonLines, sys.argv[1])
setattr(JsonLines, sys.argv.pop(1), stuck)
main()
"""
"""The command, which comes to a halt where it reads or writes the last file."""


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["blocks", "write"])
def test_a_killed_run_leaves_nothing_that_looks_finished(tmp_path: Path, moment: str) -> None:
    rows, _ = planted_corpus()
    for row in rows:
        row["text"] = (row["text"] or "") + filler(random.Random(0), 300)
    corpus = write_corpus(tmp_path / "corpus", "jsonl", rows).parent
    (corpus / "last.jsonl").write_text(json.dumps(rows[0]))
    out = tmp_path / "out"
    arguments = [corpus, "--remove", "--num-proc", "2", "--output-dir", out]
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK, moment, "contamination", "--data-dir", FIXTURES, *arguments],
        stderr=subprocess.DEVNULL,
    )
    ours = psutil.Process(process.pid)
    helpers: list[psutil.Process] = []
    try:
        if moment == "write":
            wait_until(lambda: (out / ".cleaned.tmp/cleaned/corpus.jsonl").exists())
        else:
            wait_until(lambda: len(ours.children()) >= 3)  # two, and multiprocessing's tracker
            time.sleep(1.0)  # until they are set up
            helpers = ours.children(recursive=True)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    _, alive = psutil.wait_procs(helpers, timeout=30)
    assert not alive
    visible = [path.name for path in out.iterdir() if path.name[0] != "."] if out.exists() else []
    assert visible == []
    assert run(corpus, "--remove", "--output-dir", out).exit_code == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "cleaned",
        "contamination.json",
        "items.jsonl",
        "removed.jsonl",
    ]


def test_hub_datasets_are_streamed_and_texts_stay_whole(tmp_path: Path) -> None:
    """A local folder in the hub's layout, opened by the loader that opens the hub's datasets."""
    rows, _ = planted_corpus(200)
    folder = write_corpus(tmp_path / "corpus", "txt", rows)
    part = HubDataset(str(folder), None, "train", Field())
    blocks = list(part.blocks())
    # The planted items stand on lines of their own: a row per line would make more documents.
    found = [text for block in blocks for text in block.texts]
    assert sorted(found) == sorted(row["text"] or "" for row in rows)
    with part.write(tmp_path / "out.parquet") as write:
        for block in blocks:
            write(block, [None if k % 2 == 0 else ["a", "b"] for k in range(len(block.texts))])
    written = pq.read_table(tmp_path / "out.parquet")["text"].to_pylist()
    assert written == [
        text for k, one in enumerate(found) for text in ([one] if k % 2 == 0 else ["a", "b"])
    ]


@pytest.mark.parametrize("kind", ["string", "large_string", "dictionary"])
def test_columns_keep_their_types_and_rows_their_other_columns(tmp_path: Path, kind: str) -> None:
    types = {
        "string": pa.string(),
        "large_string": pa.large_string(),
        "dictionary": pa.dictionary(pa.int32(), pa.string()),
    }
    column = pa.array(["one", None, "three"]).cast(types[kind])
    table = pa.table({"a": pa.array([1, 2, 3], pa.int8()), "text": column, "z": [[1], [], [3]]})
    pq.write_table(table, tmp_path / "t.parquet")
    (part,) = open_corpus(str(tmp_path / "t.parquet"), Field())
    (block,) = part.blocks()
    with part.write(tmp_path / "out.parquet") as write:
        write(block, [["x", "y"], None, []])
    written = pq.read_table(tmp_path / "out.parquet")
    assert written.schema.field("a").type == pa.int8()
    assert written.schema.field("text").type == table.schema.field("text").type
    assert written.to_pylist() == [
        {"a": 1, "text": "x", "z": [1]},
        {"a": 1, "text": "y", "z": [1]},
        {"a": 2, "text": None, "z": []},
    ]


def test_text_files_of_one_document_take_free_names(tmp_path: Path) -> None:
    for name in ("a.txt", "a.part1.txt"):
        (tmp_path / name).write_text("old\r\n", newline="")
    taken, part = open_corpus(str(tmp_path), Field())
    out = tmp_path / "out"
    for each, kept in ((taken, None), (part, ["one", "two"])):
        with each.write(out / each.name) as write:
            write(next(each.blocks()), [kept])
    assert contents(out) == {
        "a.part1.txt": b"old\r\n",
        "a.part1_.txt": b"one",
        "a.part2.txt": b"two",
    }


def test_line_ends_of_windows_empty_documents_and_a_large_one_are_searched(tmp_path: Path) -> None:
    item = "A 44 year old woman has a dry mouth, gritty eyes and enlarged glands on both sides"
    rng = random.Random(0)
    large = "\r\n".join(filler(rng, 60_000) for _ in range(4)).replace(". ", ".\r\n")
    broken = item.replace(" ", "\r\n")
    texts = ["", "\r\n", large, f"{large}{broken} {large}", "\ufeff" + item]
    verdict = verdict_on(tmp_path, texts, [item])
    assert list(verdict.documents) == [3, 4]
    (cut,) = verdict.documents[3].cuts
    assert broken in texts[3][slice(*cut)] and cut[1] - cut[0] < 1200
    assert verdict.documents[4].cuts == [(0, len(texts[4]))]


def test_a_corpus_without_white_space_is_no_trap(tmp_path: Path) -> None:
    item = "one two three four five six seven eight nine ten"
    text = "x" * 3_000_000 + "," + item.replace(" ", ",") + "," + "y" * 100
    (document,) = verdict_on(tmp_path, [text, "", "z"], [item]).documents.values()
    assert [hit.words for hit in document.items] == [item]


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
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "corpus.jsonl").write_text(content)
    out = tmp_path / "out"
    out.mkdir()
    for name in ("contamination.json", "items.jsonl", "removed.jsonl"):
        (out / name).write_text("from an earlier run")
    result = run(corpus / "corpus.jsonl", "--output-dir", out, "--remove")
    assert result.exit_code == 1 and message in result.output
    assert "Traceback" not in result.output
    assert not list(out.iterdir())


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
        ([tmp_path / "t.parquet", "--output-dir", tmp_path], "own folder"),
        ([tmp_path, *out], "own folder"),
        ([tmp_path / "t.parquet", "--tasks", "cft_x", *out], "unknown task 'cft_x'"),
    ):
        result = run(*arguments)
        assert result.exit_code == 1 and message in result.output, (arguments, result.output)
        assert "Traceback" not in result.output
    result = run("--remove", tmp_path / "t.parquet")
    assert result.exit_code == 2 and "is not one of 'passages', 'documents'" in result.output


def test_unreachable_hub_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise ConnectionError("no route")

    monkeypatch.setattr(datasets, "load_dataset_builder", refuse)
    result = run("someone/corpus", "--output-dir", tmp_path / "out")
    assert result.exit_code == 1 and "no route" in result.output


@pytest.mark.parametrize(
    "line",
    ["{", "[]", '{"task": "t"}', '{"task": "t", "doc_id": "4"}', '{"task": 1, "doc_id": 4}', "3"],
)
def test_items_that_cannot_be_read_are_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text('{"task": "t", "doc_id": 4}\n' + line + "\n")
    with pytest.raises(CFTError, match=r"items\.jsonl:2 is no contaminated item") as caught:
        read_contaminated(path)
    assert "\n" not in str(caught.value)
    path.write_text('{"task": "t", "doc_id": 4}\n\n{"task": "t", "doc_id": 5}\n')
    assert read_contaminated(path) == {"t": {4, 5}}
    path.unlink()
    with pytest.raises(CFTError, match="cannot read"):
        read_contaminated(path)
