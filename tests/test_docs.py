"""The prose: its links, its length, its lines, and what it repeats from the code."""

import re
from pathlib import Path

import pytest

from axolotl_cft.cli.shared_options import EVERY_BENCHMARK, PROMPT_COLUMN
from axolotl_cft.evaluation.tasks import catalogue, task_benchmarks

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
CONFIGS = sorted((ROOT / "example_configs").glob("*.yml"))
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
        *DOCS.glob("*.md"),
        *(ROOT / "eval_tasks").rglob("README.md"),
        ROOT / "tests" / "example_plugin" / "README.md",
    ]
)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


every_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


@pytest.mark.parametrize("path", [*PAGES, *CONFIGS], ids=name_of)
def test_prompts_of_a_column_name_the_one_that_generate_writes(path):
    named = set(re.findall(r"\{column: (\w+)\}", path.read_text(encoding="utf-8")))
    assert named <= {PROMPT_COLUMN, "NAME"}


def test_the_pages_show_how_to_train_on_generated_prompts():
    for page in ("README.md", "docs/generate.md", "docs/study.md"):
        assert f"{{column: {PROMPT_COLUMN}}}" in (ROOT / page).read_text(encoding="utf-8")


def test_the_default_groups_hold_every_benchmark_once():
    benchmarks = list(task_benchmarks(EVERY_BENCHMARK.split(",")).values())
    assert sorted(benchmarks) == sorted(catalogue().BENCHMARKS)


def test_the_tables_of_the_tasks_say_what_the_tasks_are():
    benchmarks = task_benchmarks(EVERY_BENCHMARK.split(",")) | {"cft_medqa_gen": "medqa"}
    written = {}
    for page in (ROOT / "eval_tasks").rglob("*/README.md"):
        rows = re.findall(r"^\| `(cft_\w+)` \|(.*)\|$", page.read_text(encoding="utf-8"), re.M)
        for task, cells in rows:
            (items,) = [cell for cell in cells.split("|") if re.fullmatch(r" [\d,]+ ", cell)]
            written[task] = int(items.replace(",", ""))
    table = catalogue().BENCHMARKS
    assert written == {task: table[name].splits["test"] for task, name in benchmarks.items()}
