"""What docs/pools.md and docs/data.md say is run here as it stands there."""

import re
from pathlib import Path

import datasets
import yaml
from click.testing import CliRunner

from axolotl_cft.cli import main
from axolotl_cft.core.pool import parse_pool
from axolotl_cft.host.plan import parse_options
from axolotl_cft.prompts.registry import load_pool

DOCS = Path(__file__).parent.parent / "docs"
PAGES = [DOCS / name for name in ("data.md", "pools.md", "probe.md")]
TEXTS = {
    "cardiology/a.txt": "The heart drives blood through the vessels.\n\nIts valves, which open one "
    "way alone, keep the blood from flowing back while the chambers fill again for the next beat.",
    "oncology/b.txt": "A tumour grows where cells divide and nothing stops them any more. Some "
    "of them, carried off by blood or lymph, settle elsewhere (in Zürich as in 東京) and grow.",
}


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL)


def test_text_files_become_a_document_a_row(tmp_path, monkeypatch):
    page = (DOCS / "data.md").read_text("utf-8")
    monkeypatch.chdir(tmp_path)
    for name, text in TEXTS.items():
        file = tmp_path / "texts" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    commands = re.findall(r"^    axolotl-cft (corpus .+)$", page, re.MULTILINE)
    assert [command.split()[1] for command in commands] == ["pack", "clean"]
    for command in commands:
        result = CliRunner().invoke(main, command.split())
        assert result.exit_code == 0, result.output
    [config] = [block for block in blocks("data.md", "yaml") if "ds_type" in block]
    [dataset] = yaml.safe_load(config)["datasets"]
    rows = datasets.load_dataset(
        dataset["ds_type"], data_dir=dataset["path"], split="train", cache_dir=str(tmp_path)
    )
    assert sorted(rows["text"]) == sorted(TEXTS.values())


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
