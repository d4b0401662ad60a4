"""Files of a corpus in every format: read as they are meant, written back as they were."""

import csv
import gzip
import io
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from axolotl_cft.cli import main
from axolotl_cft.corpus.parquet import read_batches
from axolotl_cft.corpus.parts import BLOCK_ROWS
from axolotl_cft.corpus.readers import Field, Part, open_corpus, refuse_own_output
from axolotl_cft.corpus.writers import Corpus, write_rows
from axolotl_cft.errors import CFTError

ROWS: list[dict[str, Any]] = [
    {"id": "007", "text": 'A text, with commas;\nlines\r\nand "quotes"', "score": 1.0},
    {"id": "1e5", "text": "", "score": 12345678901234567890},
    {"id": "", "text": "Herz 🫀 \u2028 \x00 end", "score": None},
    {"id": " x ", "text": "'NA' and null", "score": {"deep": [1, {"er": None}]}},
]


def zstd(content: bytes) -> bytes:
    return pa.compress(content, "zstd", asbytes=True)


def lines(rows: Sequence[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def part_of(path: Path, field: str = "text") -> Part:
    (part,) = open_corpus(str(path), Field(field))
    return part


def rows_of(part: Part) -> list[dict[str, Any]]:
    return [row for block in part.blocks() for row in block.rows()]


def texts_of(part: Part) -> list[str]:
    return [text for block in part.blocks() for text in block.texts]


def written_again(path: Path, kept: dict[int, list[str]]) -> bytes:
    """The file with other texts in place of those whose numbers are given."""
    part, number = part_of(path), 0
    out = path.parent / "again" / path.name
    with part.write(out) as write:
        for block in part.blocks():
            write(block, [kept.get(number + place) for place in range(len(block.texts))])
            number += len(block.texts)
    return out.read_bytes()


# --- JSON --------------------------------------------------------------------------------------


def test_an_array_is_read_with_its_values_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "corpus.json"
    for content in (
        json.dumps(ROWS).encode(),
        json.dumps(ROWS, indent=2, ensure_ascii=False).replace("\n", "\r\n").encode("utf-8-sig"),
    ):
        path.write_bytes(content)
        assert rows_of(part_of(path)) == ROWS
        assert texts_of(part_of(path)) == [row["text"] for row in ROWS]
        (block,) = part_of(path).blocks()
        assert block.names == [f"corpus.json:{number}" for number in (1, 2, 3, 4)]
        assert block.position == len(content)
    path.write_text(" [ ] \n")
    assert rows_of(part_of(path)) == []
    assert written_again(path, {}) == b"[]\n"


def test_objects_that_stay_are_copied_byte_for_byte(tmp_path: Path) -> None:
    odd = [
        '{"text":"caf\\u00e9",   "n": 1.0e2, "n": 3}',
        '{\n  "text": "🫀",\n  "big": 123456789012345678901234567890\n}',
        '{"text": null}',
        '{"text": "last", "surrogate": "\\ud83e"}',
    ]
    path = tmp_path / "corpus.json"
    path.write_text(f"\ufeff [{' ,'.join(odd)}\n]", encoding="utf-8")
    assert written_again(path, {}).decode() == "[\n" + ",\n".join(odd) + "\n]\n"
    changed = json.loads(written_again(path, {1: [], 3: ["one", "two"]}))
    assert changed == [
        {"text": "café", "n": 3},
        {"text": None},
        {"text": "one", "surrogate": "\ud83e"},
        {"text": "two", "surrogate": "\ud83e"},
    ]
    assert written_again(path, {0: [], 1: [], 2: [], 3: []}) == b"[]\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": "x"}', "holds no array of objects"),
        ('{"text": "x"}\n{"text": "y"}\n', r"name a file with an object on each line \.jsonl"),
        ("", "holds no array of objects"),
        ('"text"', "holds no array of objects"),
        ('[{"text": "x"}, "y"]', "corpus.json:2 is not a JSON object"),
        ('[[{"text": "x"}]]', "corpus.json:1 is not a JSON object"),
        ('[{"text": "x"}', r"corpus.json:1 is followed by neither .* \(cut short\?\)"),
        ('[{"text": "x"}, ', "corpus.json:2 is not JSON: Expecting value: line 1"),
        ('[{"text": "x"}, {"text": "y', "corpus.json:2 is not JSON: Unterminated string"),
        ('[{"text": "x"},]', "corpus.json:2 is not JSON"),
        ('[{"text": "x"} {"text": "y"}]', "corpus.json:1 is followed by neither"),
        ('[{"text": "x"}]]', "it goes on after the end of the array"),
        ("[] []", "it goes on after the end of the array"),
        ("[", "corpus.json:1 is not JSON"),
        ('[{"body": "x"}]', r"corpus.json:1 has no column 'text' \(it has body\)"),
        ('[{"text": {"a": "b"}}]', "corpus.json:1: column 'text' holds dict, not text"),
        ('[{"text": ' + "[" * 100_000, "corpus.json:1 is nested too deep"),
        ("[" * 100_000, "corpus.json:1 is nested too deep"),
        (f'[{{"text": "x", "n": {"1" * 5000}}}]', "corpus.json:1 is not JSON: Exceeds the limit"),
        (b'[{"text": "\xff"}]', "cannot read .*corpus.json: 'utf-8' codec"),
        ('[{"text": "x"}]'.encode("utf-16"), "cannot read .*corpus.json: 'utf-8' codec"),
    ],
    ids=range(21),
)
def test_what_is_no_array_of_objects_is_refused(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    path = tmp_path / "corpus.json"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(CFTError, match=message) as caught:
        texts_of(part_of(path))
    assert "\n" not in str(caught.value)


def test_a_line_that_is_nested_too_deep_is_named(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(b'{"text": "x"}\n{"text": ' + b"[" * 100_000)
    with pytest.raises(CFTError, match="^corpus.jsonl:2 is nested too deep"):
        texts_of(part_of(path))


def test_compressed_lines_are_read_and_written_as_one_frame(tmp_path: Path) -> None:
    rng = random.Random(0)
    rows = [{"id": n, "text": rng.randbytes(400).hex()} for n in range(3500)]
    raw = lines(rows).replace(b"\n", b"\r\n").rstrip()
    path = tmp_path / "corpus.jsonl.zst"
    cut = raw.index(b"\n", len(raw) // 2) + 1
    for content in (zstd(raw), zstd(raw[:cut]) + zstd(raw[cut:])):  # one frame, or two
        path.write_bytes(content)
        blocks = list(part_of(path).blocks())
        assert [row for block in blocks for row in block.rows()] == rows
        positions = [block.position for block in blocks]
        assert positions == sorted(positions) and positions[-1] == len(content)
        assert 0 < positions[0] < len(content)
        again = written_again(path, {7: ["one", "two"], 8: []})
        # As a reader that stops after the first frame.
        first = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(again)).read()
        expected = raw.split(b"\r\n")
        assert first.split(b"\r\n")[:7] == expected[:7]
        changed = [json.loads(line) for line in first.splitlines()]
        assert changed == [*rows[:7], {"id": 7, "text": "one"}, {"id": 7, "text": "two"}, *rows[9:]]
        assert written_again(path, {7: ["one", "two"], 8: []}) == again


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("corpus.jsonl.zst", "cut"),
        ("corpus.jsonl.zst", "changed"),
        ("corpus.jsonl.zst", "plain"),
        ("corpus.jsonl.gz", "cut"),
        ("corpus.jsonl.gz", "changed"),
        ("corpus.jsonl.gz", "plain"),
    ],
)
def test_compressed_files_that_are_damaged_are_refused(
    tmp_path: Path, name: str, damage: str
) -> None:
    raw = lines([{"text": random.Random(n).randbytes(40).hex()} for n in range(3000)])
    with_checksum = zstandard.ZstdCompressor(write_checksum=True)  # as the zstd command writes it
    packed = bytearray(with_checksum.compress(raw) if name.endswith("zst") else gzip.compress(raw))
    if damage == "changed":
        packed[2000:2100] = b"\xff" * 100
    content = {"cut": packed[:-9], "changed": packed, "plain": raw}[damage]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CFTError, match=f"^cannot read .*{name}: |^{name}:[0-9]+ is not JSON"):
        texts_of(part_of(tmp_path / name))


# --- CSV ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_values_of_csv_stay_the_texts_that_they_are(tmp_path: Path, mark: str, end: str) -> None:
    rows = [{key: str(value) for key, value in row.items()} for row in ROWS]
    sink = io.StringIO(newline="")
    writer = csv.DictWriter(sink, ["id", "text", "score"], lineterminator=end)
    writer.writeheader()
    writer.writerows(rows)
    path = tmp_path / "corpus.csv"
    path.write_bytes((mark + sink.getvalue()).encode())
    assert rows_of(part_of(path)) == rows
    assert texts_of(part_of(path)) == [row["text"] for row in rows]
    assert written_again(path, {}) == path.read_bytes()
    for kept in ({1: []}, {0: ["a,b\r", 'c "d"\n e']}):
        path.with_name("again.csv").write_bytes(written_again(path, kept))
        again = rows_of(part_of(path.with_name("again.csv")))
        assert again == [
            {**row, "text": text}
            for number, row in enumerate(rows)
            for text in kept.get(number, [row["text"]])
        ]


def test_rows_of_csv_are_named_by_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "corpus.csv"
    path.write_text('text,n\n"a\nb\n",1\n\nc,2\n"",3\nd\n')
    (block,) = part_of(path).blocks()
    assert block.names == [f"corpus.csv:{line}" for line in (2, 6, 7, 8)]
    assert list(block.rows()) == [
        {"text": "a\nb\n", "n": "1"},
        {"text": "c", "n": "2"},
        {"text": "", "n": "3"},
        {"text": "d", "n": None},
    ]


def test_rows_that_stay_are_copied_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "corpus.csv"
    header, odd = '\ufeff"id",text\r\n', ['"1","x"\r\n', "2,y\n", '3,"z ""q"" 🫀\n"\r\n', "4,end"]
    path.write_bytes((header + "".join(odd)).encode())
    expected = header + "".join(odd) + "\r\n"
    assert written_again(path, {}).decode() == expected
    assert written_again(path, {1: ["n,\no"]}).decode() == expected.replace(
        "2,y\n", '2,"n,\no"\r\n'
    )


def test_a_column_without_a_name_is_called_as_the_host_calls_it(tmp_path: Path) -> None:
    path = tmp_path / "corpus.csv"
    pd.DataFrame({"text": ["x", "y"]}).to_csv(path)
    assert rows_of(part_of(path)) == [
        {"Unnamed: 0": "0", "text": "x"},
        {"Unnamed: 0": "1", "text": "y"},
    ]
    assert list(pd.read_csv(path).columns) == ["Unnamed: 0", "text"]


def test_a_field_may_be_as_long_as_a_document(tmp_path: Path) -> None:
    path, text = tmp_path / "corpus.csv", 'Long, "and"\nlonger. ' * 200_000
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["id", "text"], ["1", text], ["2", "short"]])
    assert texts_of(part_of(path)) == [text, "short"]
    assert written_again(path, {}) == path.read_bytes()


def test_csv_is_read_block_by_block(tmp_path: Path) -> None:
    path = tmp_path / "corpus.csv"
    path.write_text("text\n" + "".join(f"text number {n}\n" for n in range(20_500)))
    blocks = list(part_of(path).blocks())
    assert [len(block.texts) for block in blocks] == [1000] * 20 + [500]
    positions = [block.position for block in blocks]
    assert positions == sorted(positions) and positions[0] < positions[-1] == path.stat().st_size


cells = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12
) | st.sampled_from(
    ["\r", "\n", '"', ",", '""', "\r\n", ' "x"', "\ufeff", "\u2028", "\x0b", "\x85"]
)


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=6), st.sampled_from(["\n", "\r\n"]))
def test_any_texts_survive_csv(
    tmp_path_factory: Any, rows: list[tuple[str, str]], end: str
) -> None:
    path = tmp_path_factory.mktemp("csv") / "corpus.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(
            [("a", "text"), *rows]
        )
    assert rows_of(part_of(path)) == [{"a": a, "text": text} for a, text in rows]
    assert written_again(path, {}) == path.read_bytes()
    for number, (_, text) in enumerate(rows):
        again = path.with_name("again.csv")
        again.write_bytes(written_again(path, {number: [text + "!"]}))
        expected = [{"a": a, "text": t + "!" * (n == number)} for n, (a, t) in enumerate(rows)]
        assert rows_of(part_of(again)) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "corpus.csv is empty: a .csv file begins with"),
        ("\n\n", "corpus.csv is empty"),
        ("id,body\n1,x\n", r"corpus.csv has no column 'text' \(it has id, body\)"),
        ("id;text\n1;x\n", r"corpus.csv has no column 'text' \(it has id;text\)"),
        ("text,text\nx,y\n", "corpus.csv has two columns 'text': rename one"),
        ("id,text\n1,x\n2,y, z\n", "corpus.csv:3 has 3 fields where the header has 2"),
        ('id,text\n1,x\n2,"y\nz\n', "corpus.csv:3 is not CSV .unexpected end of data.: a quote"),
        ('id,text\n1,"He said "no" twice"\n', "corpus.csv:2 is not CSV"),
        (b"id,text\n1,caf\xe9\n", "cannot read .*corpus.csv: 'utf-8' codec"),
        ("id,text\n1,x\n".encode("utf-16"), "cannot read .*corpus.csv: 'utf-8' codec"),
    ],
    ids=range(10),
)
def test_csv_that_can_be_misread_is_refused(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    path = tmp_path / "corpus.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(CFTError, match=message) as caught:
        texts_of(part_of(path))
    assert "\n" not in str(caught.value)


# --- Parquet -----------------------------------------------------------------------------------


def write_row_groups(path: Path, sizes: Sequence[int]) -> list[dict[str, Any]]:
    """A file with row groups of so many rows; returns its rows."""
    schema = pa.schema([("n", pa.int64()), ("text", pa.string())])
    rows = [{"n": n, "text": f"text {n}"} for n in range(sum(sizes))]
    left = iter(rows)
    with pq.ParquetWriter(path, schema) as writer:
        for size in sizes:
            writer.write(pa.Table.from_pylist([next(left) for _ in range(size)], schema))
    with pq.ParquetFile(path) as file:
        groups = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
    assert groups == list(sizes)
    return rows


@pytest.mark.parametrize("sizes", [[3], [1, 1, 1], [700, 2300, 1, 1000], [2, 0, 2], [0], []])
def test_rows_of_several_row_groups_come_in_order_and_once(
    tmp_path: Path, sizes: list[int]
) -> None:
    path = tmp_path / "c.parquet"
    rows = write_row_groups(path, sizes)
    with pq.ParquetFile(path) as file:
        batches = list(read_batches(file, 1000))
        texts = [batch.to_pylist() for batch in read_batches(file, 2, ["text"])]
    assert [row for batch in batches for row in batch.to_pylist()] == rows
    assert all(0 < batch.num_rows <= 1000 for batch in batches)
    assert [row for batch in texts for row in batch] == [{"text": row["text"]} for row in rows]
    assert all(0 < len(batch) <= 2 for batch in texts)


@pytest.mark.parametrize("sizes", [[700, 2300, 1, 1000], [0], []])
def test_a_parquet_corpus_has_each_row_once_whatever_its_row_groups(
    tmp_path: Path, sizes: list[int]
) -> None:
    path = tmp_path / "c.parquet"
    rows = write_row_groups(path, sizes)
    blocks = list(part_of(path).blocks())
    assert [row for block in blocks for row in block.rows()] == rows
    names = [name for block in blocks for name in block.names]
    assert names == [f"c.parquet:{number}" for number in range(1, len(rows) + 1)]
    assert blocks[-1].position == path.stat().st_size
    out = tmp_path / "again.parquet"
    with part_of(path).write(out) as write:
        for block in blocks:
            write(block, [None] * len(block.texts))
    assert pq.read_table(out).equals(pq.read_table(path))


def test_no_more_of_a_parquet_corpus_is_in_memory_the_further_it_is_read(tmp_path: Path) -> None:
    path, dice = tmp_path / "c.parquet", random.Random(0)
    with pq.ParquetWriter(path, pa.schema([("text", pa.string())])) as writer:
        for _ in range(20):
            texts = [dice.randbytes(100).hex() for _ in range(BLOCK_ROWS)]
            writer.write(pa.table({"text": texts}))
    before, held = pa.total_allocated_bytes(), []
    for block in part_of(path).blocks():
        assert len(block.texts) == BLOCK_ROWS
        held.append(pa.total_allocated_bytes() - before)
    assert len(held) == 20 and max(held) < path.stat().st_size / 2


# --- folders, and rows with more columns -------------------------------------------------------


def write_every_format(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "a.jsonl").write_bytes(lines([{"text": "from a"}]))
    (folder / "b.jsonl.gz").write_bytes(gzip.compress(lines([{"text": "from b"}])))
    (folder / "c.jsonl.zst").write_bytes(zstd(lines([{"text": "from c"}])))
    (folder / "d.json").write_text('[{"text": "from d"}]')
    (folder / "e.csv").write_text("text\nfrom e\n")
    pq.write_table(pa.table({"text": ["from f"]}), folder / "f.parquet")
    (folder / "g.txt").write_text("from g")


def test_a_folder_may_mix_the_formats_and_keeps_them(tmp_path: Path) -> None:
    write_every_format(tmp_path / "corpus" / "deeper")
    parts = open_corpus(str(tmp_path / "corpus"), Field())
    assert [text for part in parts for text in texts_of(part)] == [f"from {c}" for c in "abcdefg"]
    for part in parts:
        with part.write(tmp_path / "out" / part.name) as write:
            for block in part.blocks():
                write(block, [[text.upper()] for text in block.texts])
    again = open_corpus(str(tmp_path / "out"), Field())
    assert [part.name for part in again] == [part.name for part in parts]
    assert [text for part in again for text in texts_of(part)] == [f"FROM {c}" for c in "ABCDEFG"]


@pytest.mark.parametrize("letter", "abcdefg")
def test_the_first_rows_of_a_corpus_are_rows_of_any_format(tmp_path: Path, letter: str) -> None:
    write_every_format(tmp_path / "corpus")
    (path,) = (tmp_path / "corpus").glob(f"{letter}.*")
    parts = open_corpus(str(path), Field()) * 3
    rows = [row for _, row in Corpus("thrice", parts, 2).named_rows()]
    assert rows == [{"text": f"from {letter}"}] * 2


def test_the_first_rows_of_a_block_are_taken_with_their_columns(tmp_path: Path) -> None:
    rows = [{"text": f"t{n}", "n": f"{n:03}"} for n in range(5)]
    (tmp_path / "c.json").write_text(json.dumps(rows))
    pd.DataFrame(rows).to_csv(tmp_path / "c.csv", index=False)
    for name in ("c.json", "c.csv"):
        (block,) = part_of(tmp_path / name).blocks()
        first = block.first(3)
        assert (first.texts, list(first.rows())) == (["t0", "t1", "t2"], rows[:3])
        assert len(first.content) == len(first.names) == 3


def test_hidden_files_and_folders_are_no_part_of_a_corpus(tmp_path: Path) -> None:
    corpus = tmp_path / ".cache" / "__data__" / "corpus"
    write_every_format(corpus / "part")
    for name in (".ipynb_checkpoints", ".git", ".cache", "__MACOSX", "__pycache__"):
        write_every_format(corpus / "part" / name)
    for name in (".hidden.jsonl", "._a.jsonl", "part/dataset_info.json", "config.json"):
        (corpus / name).write_text("no corpus")
    names = [part.name for part in open_corpus(str(corpus), Field())]
    assert len(names) == 7 and all(name.startswith("part/") for name in names)
    write_every_format(tmp_path / "other" / ".hidden")
    with pytest.raises(CFTError, match="holds no .jsonl, .* file that is not hidden"):
        open_corpus(str(tmp_path / "other"), Field())
    # Asked for by its own name, it is what was asked for.
    assert len(open_corpus(str(corpus / ".hidden.jsonl"), Field())) == 1


@pytest.mark.parametrize(
    ("name", "content", "format_"),
    [
        ("corpus.json", b'[{"text": "x", "n": 7}]', "jsonl"),
        ("corpus.jsonl.zst", zstd(b'{"text": "x", "n": 7}'), "jsonl"),
        ("corpus.csv", b"text,n\nx,007\n", "jsonl"),
        ("corpus.txt", b"x", "parquet"),
    ],
)
def test_rows_get_more_columns_in_either_format(
    tmp_path: Path, name: str, content: bytes, format_: str
) -> None:
    (tmp_path / name).write_bytes(content)
    corpus = Corpus(name, open_corpus(str(tmp_path / name), Field()))
    first = Corpus(name, open_corpus(str(tmp_path / name), Field()), 1)
    assert list(first.named_rows()) == list(corpus.named_rows())
    assert corpus.format == format_
    n: dict[str, Any] = {"corpus.csv": {"n": "007"}, "corpus.txt": {}}.get(name, {"n": 7})
    expected = [{"text": "x", **n, "prompt": "p"}]
    for suffix in ("jsonl", "parquet"):
        write_rows(corpus, tmp_path / f"out.{suffix}", {"prompt": ["p"]}, [True])
    assert [json.loads(line) for line in (tmp_path / "out.jsonl").open()] == expected
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == expected


# --- output among the input --------------------------------------------------------------------


def test_an_output_folder_within_the_corpus_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = tmp_path / "corpus"
    (corpus / "part").mkdir(parents=True)
    (corpus / "a.jsonl").write_bytes(lines([{"text": "x"}]))
    (tmp_path / "link").symlink_to(corpus)
    (tmp_path / "elsewhere").symlink_to(corpus / "part")
    monkeypatch.chdir(tmp_path)
    for source in ("corpus", str(corpus), "corpus/part/..", "./link", "link/../corpus"):
        for output in (
            "corpus",
            "corpus/out",
            "corpus/new/deep",
            str(corpus / "part"),
            "link/out",
            "elsewhere",
            "elsewhere/out",
            "other/../corpus/out",
            "corpus/.out",
        ):
            with pytest.raises(CFTError, match="lies in the corpus's own folder"):
                refuse_own_output(source, Path(output))
        for output in ("out", "corpus-out", "corpus/../out", "."):
            refuse_own_output(source, Path(output))
    refuse_own_output("someone/corpus", Path("corpus"))


def test_a_file_is_not_written_over_by_what_is_made_of_it(tmp_path: Path) -> None:
    file = tmp_path / "corpus.jsonl"
    file.write_bytes(lines([{"text": "x"}]))
    (tmp_path / "link.jsonl").symlink_to(file)
    for source in (file, tmp_path / "link.jsonl"):
        with pytest.raises(CFTError, match="corpus.jsonl is the corpus itself"):
            refuse_own_output(str(source), tmp_path, None, tmp_path / "corpus.jsonl")
        refuse_own_output(str(source), tmp_path, None, tmp_path / "corpus.parquet")
        refuse_own_output(str(source), tmp_path / "out", tmp_path / "out" / "corpus.jsonl")


@pytest.mark.parametrize(
    "command",
    [
        ["generate", "corpus", "--model", "m", "--base-url", "http://127.0.0.1:1/v1"],
        ["generate", "corpus", "--estimate"],
        ["educate", "corpus", "--model", "m", "--allow-test-split"],
        ["contamination", "corpus", "--remove"],
        ["probe", "--model", "m", "--data", "corpus"],
        ["heldout", "config.yml"],
    ],
    ids=lambda command: " ".join(command[:1]),
)
def test_every_command_that_reads_and_writes_refuses_it(
    tmp_path: Path, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_every_format(tmp_path / "corpus")
    Path("config.yml").write_text("datasets: [{path: corpus, type: cft}]\ncft: {holdout: 0.5}\n")
    before = sorted(Path("corpus").rglob("*"))
    result = CliRunner().invoke(main, [*command, "--output-dir", "corpus/out"])
    assert result.exit_code == 1 and "lies in the corpus's own folder" in result.output
    assert "Traceback" not in result.output
    assert sorted(Path("corpus").rglob("*")) == before


@pytest.mark.parametrize("command", ["generate", "educate"])
def test_what_they_write_is_never_the_corpus(
    tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_every_format(tmp_path / "corpus")
    Path("corpus.jsonl").write_bytes(lines([{"text": "x", "sent1": "q", "ending0": "a"}]))
    for source, options, message in (
        ("corpus.jsonl", ["--output-dir", "."], "corpus.jsonl is the corpus itself"),
        (
            "corpus.jsonl",
            ["--output-dir", "out", "--export-batch", "corpus.jsonl"],
            "is the corpus",
        ),
        (
            "corpus",
            ["--output-dir", "out", "--export-batch", "corpus/b.jsonl"],
            "lies in the corpus",
        ),
    ):
        result = CliRunner().invoke(main, [command, source, "--model", "m", *options])
        assert result.exit_code == 1 and message in result.output, result.output
