"""`axolotl-cft comprehension`: a corpus in, a corpus and its ledger out."""

import gzip
import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from axolotl_cft.cli import main
from axolotl_cft.cli.comprehension import _CHARACTERS, _SAID
from axolotl_cft.corpus.comprehension.compose import KINDS, MOST
from axolotl_cft.corpus.comprehension.run import Options, look, write_comprehension
from axolotl_cft.corpus.comprehension.sections import SECTION_CHARACTERS
from axolotl_cft.corpus.comprehension.transform import Transformation
from axolotl_cft.corpus.readers import Field, open_corpus
from axolotl_cft.corpus.writers import Corpus
from axolotl_cft.errors import CFTError
from axolotl_cft.records import ComprehensionRecord

DAM = "The old dam of valley {n} held back the water of its rivers for sixty years."
MILL = "the mills along the lower river were never short of power in year {n}."
LAKE = "The villages near the outlet of lake {n} were flooded every spring."
WORDS = "Photosynthesis in a chloroplast of leaf {n} uses few wavelengths of sunlight."
GERMAN = (
    "Der alte Damm hielt sechzig Jahre lang das Wasser aus drei Tälern zurück. Die Mühlen am "
    "unteren Fluss hatten damals immer genug Kraft. Im Frühling wurden die Dörfer überflutet. "
) * 4
KEYWORDS = frozenset({"photosynthesis", "chloroplast", "wavelengths"})


def document(number: int) -> str:
    """A text with pairs of several kinds, some of them more than twice, and parts without any."""
    connectives = ("Thus", "However", "Also", "In other words", "Similarly")
    paragraphs = [
        " ".join([LAKE, f"{DAM} {connectives[(number + place) % 5]}, {MILL}", WORDS])
        for place in range(1 + number % 7)
    ]
    text = "\n\n".join([*paragraphs, "* a list\n* of things", f"This is a lake {number}."])
    return text.replace("{n}", str(number))


def rows(count: int = 40) -> list[dict]:
    made = [{"id": f"doc-{n}", "text": document(n), "year": 1900 + n} for n in range(40)]
    made[3]["title"] = "Of dams"
    made[4]["text"] = GERMAN
    made[5]["text"] = None
    return made[:count]


def is_within(words: list[str], others: list[str]) -> bool:
    """Whether words occur among others, in their order."""
    rest = iter(others)
    return all(word in rest for word in words)


def write(folder: Path, format_: str, content: list[dict]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if format_ == "parquet":
        content = [{"title": None} | row for row in content]
        path = folder / "in.parquet"
        pq.write_table(pa.Table.from_pylist(content), path, row_group_size=16)
        return path
    lines = "".join(json.dumps(row) + "\n" for row in content).encode()
    path = folder / "in.jsonl.gz"
    path.write_bytes(gzip.compress(lines))
    return path


def run(path: Path, out: Path, limit: int = 700, **more: object) -> ComprehensionRecord:
    corpus = Corpus(str(path), open_corpus(str(path), Field()))
    options = Options("text", "title", Transformation(limit, KEYWORDS), "some/model")
    return write_comprehension(corpus, out, options, **more)


def read(out: Path) -> list[dict]:
    path = next(out.glob("corpus.*"))
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("format_", ["jsonl", "parquet"])
def test_the_ledger_says_what_the_rows_say(tmp_path: Path, format_: str) -> None:
    source = rows()
    record = run(write(tmp_path, format_, source), tmp_path / "out")
    written = read(tmp_path / "out")
    assert record == ComprehensionRecord.read(tmp_path / "out" / "comprehension.json")
    assert record.output == f"corpus.{format_}"
    content = (tmp_path / "out" / record.output).read_bytes()
    assert record.sha256 == hashlib.sha256(content).hexdigest()
    assert (record.documents, record.sections) == (40, len(written)) and len(written) > 60
    assert record.other_language == 1
    assert record.characters_in == sum(len(row["text"] or "") for row in source)
    assert record.characters_out == sum(len(row["text"]) for row in written)
    counted = Counter(kind for row in written for kind in row["exercises"])
    with_any = Counter()
    for number in {row["id"] for row in written}:
        with_any.update({k for row in written if row["id"] == number for k in row["exercises"]})
    for kind in KINDS:
        entry = record.exercises[kind]
        assert (entry.written, entry.documents) == (counted[kind], with_any[kind])
        assert entry.mined >= entry.written
        assert all(row["exercises"].count(kind) <= MOST for row in written)
    assert record.none_of == [kind for kind in KINDS if not counted[kind]]
    assert record.none_of == ["effect_to_cause", "definition", "topic"]
    assert record.exercises["entail"].mined > 10
    assert record.documents_with_exercises == len(
        {row["id"] for row in written if row["exercises"]}
    )


@pytest.mark.parametrize("format_", ["jsonl", "parquet"])
def test_other_columns_stay_and_sections_are_numbered(tmp_path: Path, format_: str) -> None:
    source = {row["id"]: row for row in rows()}
    run(write(tmp_path, format_, rows()), tmp_path / "out")
    written = read(tmp_path / "out")
    assert [row["id"] for row in written] == sorted(
        (row["id"] for row in written), key=lambda name: int(name[4:])
    )
    for name, original in source.items():
        own = [row for row in written if row["id"] == name]
        assert [row["section"] for row in own] == list(range(1, len(own) + 1))
        assert len({row["document"] for row in own}) == 1
        assert all(row["year"] == original["year"] for row in own)
        text = " ".join(row["text"] for row in own)
        assert is_within((original["text"] or "").split(), text.split())
    assert [row["text"] for row in written if row["id"] == "doc-4"] == [GERMAN]
    assert [row["text"] for row in written if row["id"] == "doc-5"] == [""]
    assert any("Of dams" in row["text"] for row in written if row["id"] == "doc-3")


def test_types_of_parquet_columns_stay(tmp_path: Path) -> None:
    table = pa.table(
        {"text": pa.array([document(1), document(2)], pa.large_string()), "n": pa.array([1, 2])}
    )
    pq.write_table(table, tmp_path / "in.parquet")
    run(tmp_path / "in.parquet", tmp_path / "out")
    schema = pq.read_schema(tmp_path / "out" / "corpus.parquet")
    assert (schema.field("text").type, schema.field("n").type) == (pa.large_string(), pa.int64())
    assert schema.field("exercises").type == pa.list_(pa.string())


MAKE = """
import sys
from pathlib import Path
from axolotl_cft.corpus.comprehension.run import Options, write_comprehension
from axolotl_cft.corpus.comprehension.transform import Transformation
from axolotl_cft.corpus.readers import Field, open_corpus
from axolotl_cft.corpus.writers import Corpus

if __name__ == "__main__":
    source, out, processes = sys.argv[1:]
    corpus = Corpus("it", open_corpus(source, Field()))
    options = Options("text", "title", Transformation(700)).knowing(corpus, "m", ["▁sunlight"])
    write_comprehension(corpus, Path(out), options, processes=int(processes))
"""


def make(folder: Path, source: Path, hash_seed: int, processes: int) -> list[bytes]:
    """Run in a fresh interpreter; the lines of rows, and the ledger."""
    script = folder / "make.py"
    script.write_text(MAKE, encoding="utf-8")
    out = folder / f"out-{source.parent.name}-{hash_seed}-{processes}"
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
    command = [sys.executable, str(script), str(source), str(out), str(processes)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return (out / "corpus.jsonl").read_bytes().splitlines()


@pytest.mark.slow
def test_hash_seed_processes_and_order_change_nothing(tmp_path: Path) -> None:
    content = rows()
    source = write(tmp_path / "forth", "jsonl", content)
    back = write(tmp_path / "back", "jsonl", content[::-1])
    first = make(tmp_path, source, 0, 1)
    assert b"word_to_text" in b"".join(first)
    assert make(tmp_path, source, 1, 2) == first
    reversed_ = make(tmp_path, back, 2, 1)
    assert sorted(reversed_) == sorted(first) and reversed_ != first


def test_what_is_shown_depends_on_the_texts_alone_and_is_of_all_kinds(tmp_path: Path) -> None:
    shown = []
    for name, content in (("forth", rows()), ("back", rows()[::-1])):
        corpus = Corpus(name, open_corpus(str(write(tmp_path / name, "jsonl", content)), Field()))
        options = Options("text", "title", Transformation(700, KEYWORDS))
        examples, record = look(corpus, options, 9)
        shown.append([example.exercise for example in examples])
    assert shown[0] == shown[1] and len(shown[0]) == 9
    possible = [k for k, entry in record.exercises.items() if entry.written and k in _SAID][:8]
    assert {exercise.mined.kind for exercise in shown[0]} == set(possible)
    texts = " ".join((row["text"] or "") for row in rows())
    assert all(exercise.mined.source in texts for exercise in shown[0])


# --- the command -----------------------------------------------------------------------------


def command(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["-q", "comprehension", *map(str, arguments)])


def test_the_command_writes_rows_and_says_what_is_missing(tmp_path: Path) -> None:
    source = write(tmp_path, "jsonl", rows())
    result = command(source, "--output-dir", tmp_path / "out")
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert "40 documents" in said and "1 documents are not English" in said
    assert "--tokenizer tells which those are" in said
    assert "Of these kinds there are none: effect → cause; definition; topic." in said
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "corpus.jsonl",
        "comprehension.json",
    }


def test_show_prints_exercises_with_their_sources_and_writes_nothing(tmp_path: Path) -> None:
    source = write(tmp_path / "in", "jsonl", rows())
    result = command(source, "--show", 3, "--output-dir", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert result.output.count("Source: ") == 3 and "in.jsonl.gz:" in result.output
    assert not (tmp_path / "out").exists()


def test_a_text_file_is_a_document_with_a_title(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text(f"Of dams\n\n{document(6)}", encoding="utf-8")
    result = command(tmp_path / "in", "--output-dir", tmp_path / "out", "--format", "jsonl")
    assert result.exit_code == 0, result.output
    assert "Of dams" in read(tmp_path / "out")[0]["text"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name --output-dir, or look first with --show 20"),
        (["--output-dir", "in"], "lies in the corpus's own folder"),
        (["--output-dir", "out", "--field", "body"], "has no column 'body'"),
        (["--output-dir", "out", "--section-characters", "9"], "is not in the range"),
        (["--output-dir", "out", "--tokenizer", "no-such-folder/x"], "cannot be loaded"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    if "--tokenizer" in arguments:
        pytest.importorskip("transformers")
    write(tmp_path / "in", "jsonl", rows(6))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    result = command("in", *arguments)
    assert result.exit_code != 0 and message in " ".join(result.output.split())
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize("format_", ["jsonl", "parquet"])
def test_a_column_that_would_be_written_over_is_refused(tmp_path: Path, format_: str) -> None:
    source = write(tmp_path, format_, [row | {"section": "A"} for row in rows(3)])
    with pytest.raises(CFTError, match="has a column 'section' already"):
        run(source, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_a_failure_halfway_leaves_what_was_there(tmp_path: Path) -> None:
    run(write(tmp_path, "jsonl", rows(3)), tmp_path / "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    bad = tmp_path / "bad.jsonl"
    lines = [json.dumps({"text": document(n)}) for n in range(1500)]
    bad.write_text("\n".join([*lines, '{"text": 1}']), encoding="utf-8")
    with pytest.raises(CFTError, match=r"bad.jsonl:1501: column 'text' holds int"):
        run(bad, tmp_path / "out")
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_the_command_knows_what_the_library_knows() -> None:
    assert _CHARACTERS == SECTION_CHARACTERS
    assert list(_SAID) == list(KINDS)
