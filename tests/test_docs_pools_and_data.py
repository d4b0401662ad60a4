"""What docs/pools.md and docs/data.md say is run here as it stands there."""

import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from axolotl_cft.core.pool import parse_pool
from axolotl_cft.host.plan import parse_options
from axolotl_cft.prompts.registry import load_pool

DOCS = Path(__file__).parent.parent / "docs"
PAGES = [DOCS / name for name in ("data.md", "pools.md", "probe.md")]
TEXTS = {
    "cardiology/a.txt": "First line.\n\nSecond paragraph, after a blank line.\n",
    "cardiology/b.txt": "Zürich 東京",
    "oncology/c.txt": "  indented\n\tand a tab",
}


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize(("index", "folder"), [(0, "texts"), (1, "OpenMedText/data")])
def test_text_files_become_a_document_a_row(index, folder, tmp_path, monkeypatch):
    import datasets

    for name, text in TEXTS.items():
        file = tmp_path / folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    exec(blocks("data.md", "python")[index], {})
    (parquet,) = (tmp_path / "data").glob("*.parquet")
    table = pq.read_table(parquet)
    assert sorted(table["text"].to_pylist()) == sorted(TEXTS.values())
    if index == 1:
        expected = [(f"data/{name}", name.split("/")[0], TEXTS[name]) for name in TEXTS]
        columns = (table[column].to_pylist() for column in ("id", "topic", "text"))
        assert list(zip(*columns, strict=True)) == expected


def test_configs_and_pools_of_the_pages_are_valid():
    seen = 0
    for page in ("data.md", "pools.md", "probe.md"):
        for block in blocks(page, "yaml"):
            content = yaml.safe_load(block)
            if "cft" in content:
                parse_options(content)
            elif "prompts" in content:
                assert parse_pool(content, page).prompts
            else:
                assert content["datasets"][0]["type"] == "cft"
            seen += 1
    assert seen == len(re.findall(r"```yaml", "".join(p.read_text("utf-8") for p in PAGES)))


def test_the_theory_table_says_what_the_pool_says():
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| ([^|]+) \|$", PAGES[1].read_text("utf-8"), re.M)
    references = dict(rows)
    for prompt in load_pool("paper").prompts:
        for reference in references[prompt.strategy].split("; "):
            author, year = reference.rsplit(", ", 1)
            assert author.split()[0] in prompt.theory and year in prompt.theory
