"""The prose: its links, its length, its lines, and what it repeats from the code."""

import re
from pathlib import Path

import pytest
import yaml

from axolotl_cft.cli.shared_options import EVERY_BENCHMARK
from axolotl_cft.core.options import CFTConfig
from axolotl_cft.evaluation.tasks import catalogue, task_benchmarks
from axolotl_cft.generation.run import PROMPT_COLUMN

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


def prose_of(page: Path) -> str:
    """The page without its fenced code."""
    return re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def links_of(page: Path) -> list[str]:
    """The targets of the page's links and images that are not on the web."""
    targets = re.findall(r"\]\(([^()\s]+)\)", prose_of(page))
    return [target for target in targets if not target.startswith(("http://", "https://"))]


def anchors_of(page: Path) -> set[str]:
    """The anchors that GitHub gives the page's headings."""
    headings = re.findall(r"^#+ (.+)$", prose_of(page), re.M)
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in kept}


def broken_links(page: Path) -> list[str]:
    broken = []
    for link in links_of(page):
        target, _, anchor = link.partition("#")
        path = page.parent / target if target else page
        if not path.exists() or (anchor and anchor not in anchors_of(path)):
            broken.append(link)
    return broken


@every_page
def test_every_link_leads_somewhere(page):
    assert broken_links(page) == []


def test_a_broken_link_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A `b:` c\n[x](page.md#a-b-c) [y](#nowhere) [z](gone.md)\n", encoding="utf-8")
    assert broken_links(page) == ["#nowhere", "gone.md"]


def test_there_are_links_to_check():
    assert len(links_of(ROOT / "README.md")) > 12


def test_the_index_names_every_page_of_the_docs():
    pages = {page.name for page in DOCS.glob("*.md")} - {"README.md"}
    named = [link for link in links_of(DOCS / "README.md") if "/" not in link]
    assert sorted(named) == sorted(pages)


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 1250


def asks_an_index_for(text: str) -> list[str]:
    """What a page installs by a name that no package index has, so that pip would look for it.

    With an extra, pip adds to the package that is installed already; `docs/good-to-know.md` says
    so.
    """
    ours = r"(?:axolotl-cft(?!\[| @ )|cft-prompts-example)"
    return re.findall(rf"pip (?:install|wheel|download)[^\n`&;#]*?[ '\"]({ours})\b", text)


@pytest.mark.parametrize("page", [*PAGES, *CONFIGS], ids=name_of)
def test_nothing_of_ours_is_installed_from_an_index(page):
    assert asks_an_index_for(page.read_text(encoding="utf-8")) == []


def test_an_installation_from_an_index_is_found():
    wrong = "`pip install axolotl-cft` and\n$ pip install --quiet cft-prompts-example\n"
    assert asks_an_index_for(wrong) == ["axolotl-cft", "cft-prompts-example"]
    right = "pip install ./cft-prompts-example 'axolotl-cft[corpus]' 'axolotl-cft @ git+https://H'"
    assert asks_an_index_for(right) == []


def test_one_page_says_how_to_install_and_that_extras_add_to_what_is_there():
    page = (DOCS / "good-to-know.md").read_text(encoding="utf-8")
    assert "No package index has axolotl-cft yet" in page
    extras = set(re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text("utf-8"), re.M))
    named = re.findall(r"pip install '[^'\n]*\[([a-z,]+)\]", page)
    assert named and all(set(names.split(",")) <= extras for names in named)


def assumes_a_clone(text: str) -> list[str]:
    """Commands that name a recipe by a place which an installation does not have."""
    return re.findall(
        r"\b(?:accelerate|axolotl|lm_eval|python)\b[^`\n]* example_configs/[\w.]+", text
    )


@pytest.mark.parametrize(
    "path",
    [ROOT / "README.md", *DOCS.glob("*.md"), *(ROOT / "axolotl_cft" / "cli").rglob("*.py")],
    ids=name_of,
)
def test_no_command_needs_a_clone(path):
    """Recipes themselves may: a copy of theirs names itself."""
    assert assumes_a_clone(path.read_text(encoding="utf-8")) == []


def test_a_command_that_needs_a_clone_is_found():
    assert assumes_a_clone("`axolotl-cft study example_configs/a.yml` or study a.yml") == [
        "axolotl-cft study example_configs/a.yml"
    ]


@every_page
def test_lines_of_prose_fit_the_page(page):
    lines = [line for line in prose_of(page).splitlines() if not line.lstrip().startswith("|")]
    # A line that cannot be broken, such as an address, may be as long as it is.
    assert [line for line in lines if len(line) > 100 and " " in line.strip(" -")] == []


def test_the_table_of_options_is_that_of_the_code():
    page = (DOCS / "options.md").read_text(encoding="utf-8")
    table = dict(re.findall(r"^\| `(\w+)` \| (`[^`]*`|the config's `seed`) \|", page, re.M))
    fields = CFTConfig.model_fields
    assert table.pop("seed") == "the config's `seed`" and fields["seed"].default is None
    defaults = {name: yaml.safe_load(shown.strip("`")) for name, shown in table.items()}
    assert defaults == {name: field.default for name, field in fields.items() if name != "seed"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_merge_was_left_half_done(page: Path) -> None:
    marks = ("<<<<<<< ", "=======", ">>>>>>> ")
    assert not [line for line in page.read_text("utf-8").splitlines() if line.startswith(marks)]
