"""The datatrove recipe, run in an environment of its own: what it drops, and what can follow."""

import gzip
import json
import re
import runpy
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from corpus_twin import build
from test_pack import bytes_of, packed

from axolotl_cft.cli import main
from axolotl_cft.corpus.building import inputs
from axolotl_cft.corpus.building.filters import Limits
from axolotl_cft.corpus.building.shards import COLUMNS, SCHEMA

SCRIPT = Path(__file__).parents[1] / "example_configs" / "datatrove_clean.py"


def test_the_recipe_has_the_limits_of_our_own_filters():
    recipe, limits = runpy.run_path(str(SCRIPT)), Limits()
    assert recipe["COLUMNS"] == COLUMNS
    assert recipe["QUALITY"] == {
        "min_doc_words": limits.min_words,
        "max_doc_words": None,
        "min_avg_word_length": limits.min_mean_word_length,
        "max_avg_word_length": limits.max_mean_word_length,
        "max_symbol_word_ratio": limits.max_symbols_per_word,
        "max_bullet_lines_ratio": limits.max_bullet_lines,
        "max_ellipsis_lines_ratio": limits.max_ellipsis_lines,
        "max_non_alpha_words_ratio": limits.min_alphabetic_words,
        "min_stop_words": limits.min_stop_words,
    }
    assert recipe["REPETITION"] == {
        "dup_line_frac": limits.max_duplicate_lines,
        "dup_line_char_frac": limits.max_duplicate_line_characters,
        "dup_para_frac": limits.max_duplicate_paragraphs,
        "dup_para_char_frac": limits.max_duplicate_paragraph_characters,
        "top_n_grams": limits.max_top_ngrams,
        "dup_n_grams": limits.max_duplicate_ngrams,
    }


@pytest.fixture(scope="session")
def datatrove_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has what the recipe says it needs."""
    folder = tmp_path_factory.mktemp("datatrove")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    [stated] = re.findall(r"^# dependencies = (.+)$", SCRIPT.read_text(), re.M)
    install = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", *json.loads(stated)]
    looking = subprocess.run([*install, "--dry-run", "--no-deps"], capture_output=True, text=True)
    if looking.returncode:
        pytest.skip(
            f"datatrove cannot be installed here: {looking.stderr.strip().splitlines()[-1]}"
        )
    subprocess.run(install, check=True, capture_output=True)
    return folder / "bin" / "python"


def ids(folder: Path) -> set[str]:
    return {row["doc_id"] for row in packed(folder / "data")}


def named(paths: Iterable[str]) -> set[str]:
    return {f"twin/{path}" for path in paths}


def run(*arguments: object) -> None:
    ended = CliRunner().invoke(main, ["--quiet", "corpus", *map(str, arguments)])
    assert ended.exit_code == 0, ended.output


def reasons_in(folder: Path) -> dict[str, str]:
    """doc_id -> why it went."""
    found = {}
    for path in folder.glob("*/*.jsonl.gz"):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in map(json.loads, lines):
                assert line["doc_id"] not in found and line["text"]
                found[line["doc_id"]] = line.get("reason", path.parent.name)
    return found


@pytest.mark.slow
@pytest.mark.long
def test_planted_documents_go_and_the_rest_can_be_packed_again(
    tmp_path, monkeypatch, datatrove_python
):
    monkeypatch.setattr(inputs, "MOST_BYTES", 1 << 20)
    monkeypatch.setattr(inputs.list_units, "__defaults__", (300_000,))  # several shards
    planted = build(tmp_path / "twin", 400, [], huge_bytes=1 << 20)
    short = tmp_path / "twin" / "data" / "Topic00" / "short.txt"
    short.write_text("Too few words to learn from.")
    raw, out = tmp_path / "raw", tmp_path / "out"
    run("pack", tmp_path / "twin", "--rules", "openmedtext", "--output-dir", raw)
    assert len(list(raw.glob("data/*"))) > 3

    def trove(*arguments: object, folder: Path = out) -> subprocess.CompletedProcess[str]:
        command = [datatrove_python, SCRIPT, raw, folder, "--workers", 2, *arguments]
        return subprocess.run(list(map(str, command)), capture_output=True, text=True)

    done = trove()
    assert done.returncode == 0, done.stderr[-3000:]
    before, left, gone = ids(raw), ids(out), reasons_in(out / "removed")
    assert done.stdout.startswith(f"{len(left)} of {len(before)} documents are left")
    bad = named(planted.debris | {"data/Topic00/short.txt"})
    pairs = [named(pair) for pair in (planted.doubles | planted.near).items()]
    assert bad and len(pairs) == 12 and not bad & left
    assert all(len(pair & left) == 1 for pair in pairs)
    lost = before - left
    assert lost <= bad.union(*pairs) and not lost & named(planted.distant)
    kept = {i for i, why in gone.items() if why == "near-duplicates-kept"}
    assert kept == left & set().union(*pairs) and gone.keys() - kept == lost
    assert {gone[i] for i in bad} >= {"gopher_short_doc", "dup_line_frac"}
    assert all(pq.read_schema(path).equals(SCHEMA) for path in out.glob("data/*"))

    # What was done is not done again; what is missing is made as it was.
    whole = bytes_of(out / "data")
    (out / "logs" / "minhash-filter" / "completions" / "00001").unlink()
    (out / "data" / "00001.parquet").unlink()
    assert trove().returncode == 0 and bytes_of(out / "data") == whole
    other = trove("--keep-near")
    assert other.returncode == 1 and "was begun with another corpus, options" in other.stderr
    language = trove("--language", "xyz", folder=tmp_path / "none")
    assert language.returncode == 1 and "Language 'xyz' doesn't have" in language.stderr
    assert not (tmp_path / "none").exists()

    near = trove("--keep-near", folder=tmp_path / "near")
    assert near.returncode == 0, near.stderr[-3000:]
    assert ids(tmp_path / "near") == before - bad

    run("clean", raw, "--output-dir", tmp_path / "ours")
    assert ids(tmp_path / "ours") == left

    run("pack", out / "data", "--output-dir", tmp_path / "corpus")
    rows = {row["doc_id"]: row for row in packed(raw)}
    assert packed(tmp_path / "corpus") == [row for i, row in rows.items() if i in left]
    assert {row["licence"] for row in rows.values()} > {"CC-BY-4.0", "CC-BY-NC-SA-4.0"}
    run("stats", tmp_path / "corpus")

    from datasets import load_dataset

    loaded = load_dataset("parquet", data_dir=str(out / "data"), split="train")
    assert loaded.column_names == list(COLUMNS) and set(loaded["doc_id"]) == left
