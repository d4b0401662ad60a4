"""`corpus stats`: counts of a packed corpus, and its card."""

import json
import random
import string
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from conftest import write_jsonl
from test_pack import manifest_of, packed, prose

from axolotl_cft.cli import main
from axolotl_cft.core.density import density
from axolotl_cft.corpus.building import output
from axolotl_cft.corpus.building.stats import EXCERPTS, collect
from axolotl_cft.demo.steps import DATA


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["corpus", *map(str, arguments)])


def rows_of_two_licences() -> list[dict[str, str]]:
    rows = [
        {
            "text": prose(i, 10 << i % 5),
            "license": ["CC BY 4.0", "CC0"][i % 2],
            "topic": f"t{i % 3}",
        }
        for i in range(60)
    ]
    doubled = {"text": rows[0]["text"].upper()}
    return [*rows, doubled, {"text": "Das Herz schlägt. " * 30, "topic": "a|b"}]


def make(folder: Path) -> Path:
    source = write_jsonl(folder / "rows.jsonl", rows_of_two_licences())
    assert run("pack", source, "--output-dir", folder / "my corpus").exit_code == 0
    return folder / "my corpus"


def test_counts_are_those_of_the_rows(tmp_path, sentencepiece_tokenizer):
    folder = make(tmp_path)
    stats = collect(folder, count_tokens=lambda texts: [len(text.split()) for text in texts])
    assert stats.total.documents == 62 and stats.doubles == 1
    assert {name: entry.documents for name, entry in stats.by["licence"].items()} == {
        "CC-BY-4.0": 30,
        "CC0-1.0": 30,
        "unknown": 2,
    }
    assert sum(entry.tokens for entry in stats.by["licence"].values()) == stats.total.tokens > 0
    assert sum(stats.lengths.values()) == 62
    assert all(power & (power - 1) == 0 for power in stats.lengths)
    assert len({excerpt.doc_id for excerpt in stats.excerpts}) == EXCERPTS
    assert stats.excerpts == collect(folder).excerpts != collect(folder, seed=7).excerpts

    sentencepiece_tokenizer.save_pretrained(tmp_path / "tokenizer")
    result = run("stats", folder, "--tokenizer", tmp_path / "tokenizer")
    assert result.exit_code == 0, result.output
    assert "62" in result.output and "CC-BY-4.0" in result.output and "█" in result.output


def english(count: int) -> list[str]:
    """Prose of at least a kilobyte each, from the demo's passages."""
    lines = (DATA / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    passages = [json.loads(line)["text"] for line in lines]
    return [" ".join(passages[3 * i : 3 * i + 3]) for i in range(count)]


def test_density_tells_repetition_prose_and_noise_apart(tmp_path):
    chance = random.Random(1)
    repeating = ["so true! " * 300, "bump\n" * 500]
    noise = ["".join(chance.choices(string.ascii_letters, k=2000)) for _ in range(3)]
    shares = [[density(text) for text in texts] for texts in (repeating, english(8), noise)]
    assert max(shares[0]) < 0.05 < 0.4 < min(shares[1])
    assert max(shares[1]) < 0.65 < 0.7 < min(shares[2])
    # The beginning decides, so that length alone does not; too little of it says nothing.
    text = "".join(chance.choices(string.ascii_letters, k=4096))
    assert density(text) == density(text + "a" * 9000)
    assert density("é" * 255) is None and density("é" * 256) is not None


def test_quantiles_of_density_stand_in_the_card(tmp_path):
    texts = [*english(8), "bump\n" * 500, "too short"]
    source = write_jsonl(tmp_path / "rows.jsonl", [{"text": text} for text in texts])
    assert run("pack", source, "--output-dir", tmp_path / "out").exit_code == 0
    stats = collect(tmp_path / "out")
    known = [density(text.strip()) for text in texts[:-1]]
    assert stats.with_density == len(known) == 9
    assert stats.density[50] == pytest.approx(sorted(known)[4])
    assert stats.density[5] < 0.4 < stats.density[25]
    assert run("stats", tmp_path / "out").exit_code == 0
    card = (tmp_path / "out/README.md").read_text()
    assert f"| 50 % | {sorted(known)[4]:.3f} |" in card and "of the 9 documents" in card


def test_a_corpus_of_short_documents_has_no_density(tmp_path):
    source = write_jsonl(tmp_path / "rows.jsonl", [{"text": "A short post."}])
    assert run("pack", source, "--output-dir", tmp_path / "out").exit_code == 0
    assert run("stats", tmp_path / "out").exit_code == 0
    assert "## Density" not in (tmp_path / "out/README.md").read_text()


def test_a_card_is_as_the_hub_takes_it_and_its_owners_words_stay(tmp_path):
    from huggingface_hub import DatasetCard

    folder = make(tmp_path)
    card = folder / "README.md"
    assert run("stats", folder).exit_code == 0
    first = card.read_text()
    data = DatasetCard.load(card).data
    assert data.license == ["cc-by-4.0", "cc0-1.0", "other"]
    assert data.size_categories == ["n<1K"] and data.pretty_name == "my corpus"
    assert yaml.safe_load(first.split("---")[1])["configs"][0]["data_files"] == "data/*.parquet"
    assert "a\\|b" in first
    assert run("stats", folder).exit_code == 0 and card.read_text() == first
    mine = first.replace("# my corpus", "# The corpus of my thesis") + "\nAsk me about it.\n"
    card.write_text(mine)
    assert run("stats", folder).exit_code == 0 and card.read_text() == mine
    card.write_text("# Only mine\n")
    assert run("stats", folder).exit_code == 0
    assert card.read_text().startswith("# Only mine\n") and "62" in card.read_text()


def test_a_folder_that_is_none_is_named(tmp_path):
    none = run("stats", tmp_path)
    assert none.exit_code == 1 and "holds no packed corpus" in none.output
    folder = make(tmp_path)
    next((folder / "data").iterdir()).write_bytes(b"PAR1 and no more")
    damaged = run("stats", folder)
    assert damaged.exit_code == 1 and "shard-00000.parquet" in damaged.output


def test_tokens_are_counted_by_licence_and_topic_and_after_cleaning_again(
    tmp_path, sentencepiece_tokenizer, monkeypatch
):
    monkeypatch.setattr(output, "_COUNTED_DOCUMENTS", 7)
    sentencepiece_tokenizer.save_pretrained(tmp_path / "tokenizer")
    source = write_jsonl(tmp_path / "rows.jsonl", rows_of_two_licences())
    named = ("--tokenizer", tmp_path / "tokenizer")
    packing = run("pack", source, *named, "--output-dir", tmp_path / "raw")
    assert packing.exit_code == 0, packing.output
    assert run("clean", tmp_path / "raw", "--output-dir", tmp_path / "out").exit_code == 0

    def tokens(text: str) -> int:
        return len(sentencepiece_tokenizer(text, add_special_tokens=False)["input_ids"])

    for folder in (tmp_path / "raw", tmp_path / "out"):
        rows, manifest = packed(folder), manifest_of(folder)
        assert manifest["tokenizer"] == str(tmp_path / "tokenizer")
        assert manifest["tokens"] == sum(tokens(row["text"]) for row in rows)
        for column, name in (("licence", "licences"), ("topic", "topics")):
            sums: dict[str, list[int]] = {}
            for row in rows:
                if row[column]:
                    entry = sums.setdefault(row[column], [0, 0, 0])
                    for place, more in enumerate((1, len(row["text"]), tokens(row["text"]))):
                        entry[place] += more
            assert {key: list(entry.values()) for key, entry in manifest[name].items()} == sums
    assert manifest["documents"] < manifest["documents_in"]
    assert (
        f"CC0-1.0: 30, {manifest_of(tmp_path / 'raw')['licences']['CC0-1.0']['tokens']:,} to"
        in (packing.output)
    )


def test_the_tokenizer_decides_the_manifest_by_its_content(
    tmp_path, sentencepiece_tokenizer, bytelevel_tokenizer
):
    source = write_jsonl(tmp_path / "rows.jsonl", rows_of_two_licences())
    first, copy, other = (tmp_path / name for name in ("first", "copy", "other"))
    sentencepiece_tokenizer.save_pretrained(first)
    sentencepiece_tokenizer.save_pretrained(copy)
    bytelevel_tokenizer.save_pretrained(other)
    for command, out in (("pack", tmp_path / "raw"), ("clean", tmp_path / "out")):
        base = (command, source if command == "pack" else tmp_path / "raw", "--output-dir", out)
        assert run(*base, "--tokenizer", first).exit_code == 0
        assert run(*base, "--tokenizer", copy).exit_code == 0
        changed = run(*base, "--tokenizer", other)
        assert changed.exit_code == 1 and "made with another tokenizer" in changed.output
    without = run("pack", source, "--output-dir", tmp_path / "raw")
    assert without.exit_code == 1 and "made with another tokenizer" in without.output
    assert run("clean", tmp_path / "raw", "--output-dir", tmp_path / "out").exit_code == 0
    gone = run("pack", source, "--tokenizer", tmp_path, "--output-dir", tmp_path / "new")
    assert gone.exit_code == 1 and f"the tokenizer of {tmp_path} cannot be loaded" in gone.output
