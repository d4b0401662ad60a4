"""`corpus stats`: counts of a packed corpus, and its card."""

from pathlib import Path

import yaml
from click.testing import CliRunner, Result
from conftest import write_jsonl
from test_pack import prose

from axolotl_cft.cli import main
from axolotl_cft.corpus.building.stats import EXCERPTS, collect


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["corpus", *map(str, arguments)])


def make(folder: Path) -> Path:
    rows = [
        {
            "text": prose(i, 10 << i % 5),
            "license": ["CC BY 4.0", "CC0"][i % 2],
            "topic": f"t{i % 3}",
        }
        for i in range(60)
    ]
    rows += [{"text": rows[0]["text"].upper()}, {"text": "Das Herz schlägt. " * 30, "topic": "a|b"}]
    source = write_jsonl(folder / "rows.jsonl", rows)
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
