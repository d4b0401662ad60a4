"""`corpus clean` on a corpus with everything planted that it must lose, and nothing else."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from conftest import write_jsonl
from corpus_twin import build
from test_educate import medqa, question
from test_pack import bytes_of, manifest_of, packed, prose

from axolotl_cft.cli import main
from axolotl_cft.corpus.building import inputs

HUGE = 1 << 20


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["corpus", *map(str, arguments)])


def left_out(folder: Path) -> dict[str, dict[str, Any]]:
    lines = map(json.loads, (folder / "left_out.jsonl").open(encoding="utf-8"))
    return {line["doc_id"]: line for line in lines}


def benchmark_of(folder: Path, count: int) -> Path:
    (folder / "medqa").mkdir(parents=True)
    write_jsonl(folder / "medqa" / "test.jsonl", medqa(range(count)))
    return folder


def test_all_that_was_planted_is_found_and_nothing_else(tmp_path, monkeypatch):
    files = 3000
    monkeypatch.setattr(inputs, "MOST_BYTES", HUGE)
    items = [question(i) for i in range(8)]
    planted = build(tmp_path / "twin", files, items, huge_bytes=HUGE)
    data = benchmark_of(tmp_path / "benchmarks", 8)
    raw, out = tmp_path / "raw", tmp_path / "clean"
    rules = ["--rules", "openmedtext", "--licence", "CC-BY-*,CC-BY-SA-*"]
    packing = run("pack", tmp_path / "twin", *rules, "--output-dir", raw)
    assert packing.exit_code == 0, packing.output

    def ids(paths: Any) -> set[str]:
        return {f"twin/{path}" for path in paths}

    gone = left_out(raw)
    assert gone.keys() == ids(planted.unreadable | planted.empty | planted.huge | planted.not_free)
    assert {gone[i]["reason"] for i in ids(planted.empty)} == {"empty"}
    assert all(gone[i]["reason"].startswith("licence CC-BY-NC") for i in ids(planted.not_free))

    cleaning = run("clean", raw, "--tasks", "cft_medqa", "--data-dir", data, "--output-dir", out)
    assert cleaning.exit_code == 0, cleaning.output
    removed = left_out(out)
    for doc_id in ids(planted.doubles):
        other = f"twin/{planted.doubles[doc_id.removeprefix('twin/')]}"
        pair = {doc_id, other}
        [line] = [removed[i] for i in pair if i in removed and removed[i].get("kept") in pair]
        assert line["reason"] == "the same text as another" and line["kept"] == min(pair)
    cut = {i for i, line in removed.items() if line["reason"] == "test items, in part"}
    assert cut == ids(planted.items)
    gone_whole = removed.keys() - cut
    pairs = planted.doubles | planted.near
    expected = Counter(
        doubles=len(planted.doubles), near=len(planted.near), debris=len(planted.debris)
    )
    assert len(gone_whole) == expected.total()
    assert ids(planted.debris) <= gone_whole and not ids(planted.distant) & gone_whole
    assert gone_whole - ids(planted.debris) <= ids(pairs) | ids(pairs.values())
    found = [json.loads(line) for line in (out / "near_duplicates.jsonl").open()]
    assert len(found) == len(planted.near) and min(p["similarity"] for p in found) >= 0.8
    text = "\n".join(row["text"] for row in packed(out))
    assert not any(item in text for item in items)
    manifest = manifest_of(out)
    assert manifest["documents_in"] == manifest_of(raw)["documents"]
    assert manifest["documents"] == len(packed(out)) >= files * 0.8

    again = run(
        *("clean", raw, "--tasks", "cft_medqa", "--data-dir", data),
        *("--num-proc", 2, "--output-dir", tmp_path / "again"),
    )
    assert again.exit_code == 0 and bytes_of(tmp_path / "again") == bytes_of(out)


def small(folder: Path, **documents: str) -> Path:
    rows = [{"text": text, "title": name} for name, text in documents.items()]
    source = write_jsonl(folder / "rows.jsonl", rows)
    assert run("pack", source, "--output-dir", folder / "raw").exit_code == 0
    return folder / "raw"


def titles(folder: Path) -> list[str]:
    return [row["title"] for row in packed(folder)]


def test_each_step_can_be_switched_off(tmp_path):
    raw = small(
        tmp_path,
        whole=prose("a", 200),
        double=prose("a", 200).upper(),
        short="Too few words.",
        repeated="Sign up for our letter today\n" * 80,
    )

    def cleaned(*more: object) -> list[str]:
        number = len(list(tmp_path.iterdir()))
        result = run("clean", raw, "--output-dir", tmp_path / f"out{number}", *more)
        assert result.exit_code == 0, result.output
        return titles(tmp_path / f"out{number}")

    assert cleaned() == ["whole"]
    assert cleaned("--keep-doubles", "--keep-near") == ["whole", "double"]
    assert cleaned("--off", "min_words") == ["whole", "short"]
    assert cleaned("--set", "min_words=2") == ["whole", "short"]
    loose = [f"max_duplicate_{n}" for n in ("lines", "line_characters", "ngrams")]
    loose += ["max_top_ngrams"]
    assert cleaned(*(word for name in loose for word in ("--off", name))) == ["whole", "repeated"]


def test_bad_options_and_folders_each_give_one_sentence(tmp_path):
    raw = small(tmp_path, a=prose("a", 100))
    base = ("clean", raw, "--output-dir", tmp_path / "out")
    for option, said in (
        ("min_word=3", "min_word is no filter"),
        ("min_words=x", "min_words=x: write it like"),
        ("max_top_ngrams=0.2", "max_top_ngrams=0.2: write it like"),
        ("min_words=", "write it like"),
    ):
        wrong = run(*base, "--set", option)
        assert wrong.exit_code == 2 and said in wrong.output, wrong.output
    assert run(*base, "--off", "language").exit_code == 2
    below = run(*base, "--set", "min_words=-1")
    assert below.exit_code == 1 and "a limit is at least 0" in below.output
    inside = run("clean", raw, "--output-dir", raw / "clean")
    assert inside.exit_code == 1 and "lies in the corpus's own folder" in inside.output
    nothing = run(*base, "--set", "min_words=10000")
    assert nothing.exit_code == 1 and "no document is left" in nothing.output
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert run(*base).exit_code == 0 and run(*base).exit_code == 0
    other = run(*base, "--set", "min_words=3")
    assert other.exit_code == 1 and "made with another limits" in other.output
    none = run("clean", tmp_path, "--output-dir", tmp_path.parent / "elsewhere")
    assert none.exit_code == 1 and "holds no packed corpus" in none.output


@pytest.mark.slow
def test_a_kill_changes_no_byte(tmp_path):
    build(tmp_path / "twin", 1500, [], huge_bytes=1000)
    raw = tmp_path / "raw"
    assert run("pack", tmp_path / "twin", "--output-dir", raw).exit_code == 0
    program = "from axolotl_cft.cli import main; main()"
    command = [sys.executable, "-c", program, "--quiet", "corpus", "clean", str(raw)]
    subprocess.run([*command, "--output-dir", str(tmp_path / "whole")], check=True)
    killed = [*command, "--output-dir", str(tmp_path / "killed")]
    for moment in ("*.clean", "*.clean/*.parquet*", "*.clean/.*.parquet*"):
        process = subprocess.Popen(killed)
        while process.poll() is None and not list((tmp_path / "killed").glob(moment)):
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(killed, check=True)
    assert bytes_of(tmp_path / "killed") == bytes_of(tmp_path / "whole")
    assert not (tmp_path / "killed" / ".clean").exists()
