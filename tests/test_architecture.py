"""Who may import whom: the table in CONTRIBUTING.md's tour, enforced."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from itertools import takewhile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def read_table(text: str) -> dict[str, tuple[str, str]]:
    """Module -> (imports allowed at the top, and more inside functions), from the tour.

    What is imported for type checkers alone does not count.
    """
    lines = text.partition("| module of `axolotl_cft` |")[2].splitlines()[2:]
    rules = {}
    for line in takewhile(lambda line: line.startswith("|"), lines):
        modules, _, top, inside = (cell.strip() for cell in line.strip("|").split("|"))
        rule = tuple(cell.replace("`", "").replace("–", "") for cell in (top, inside))
        for module in modules.replace("`", "").split(","):
            rules[module.strip().replace("__init__", "")] = rule
    return rules


MAY_IMPORT = read_table((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
TASKS = ("", "datasets")
"""The same for eval_tasks/, which lm-eval runs without us."""

HEAVY = """
    accelerate axolotl datasets lm_eval matplotlib openai pandas pyarrow scipy sklearn tokenizers
    torch transformers
""".split()  # noqa: SIM905


def rule_of(module: str) -> tuple[str, str]:
    """The row of the table for a module, the longest name first; the root's is for itself alone."""
    parts = module.split(".") if module else []
    for length in range(len(parts), 0, -1):
        if (name := ".".join(parts[:length])) in MAY_IMPORT:
            return MAY_IMPORT[name]
    if module:
        raise KeyError(f"axolotl_cft.{module} is in no row of the tour in CONTRIBUTING.md")
    return MAY_IMPORT[""]


def imports(tree: ast.AST, package: list[str], lazy: bool = False) -> Iterator[tuple[str, bool]]:
    """(dotted name, whether inside a function) of every import that runs."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for branch in node.orelse:
                yield from imports(ast.Module([branch], []), package, lazy)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, lazy) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            # `from axolotl_cft import chat` names a module, `from axolotl_cft.chat import x` none.
            yield from ((f"{base}.{alias.name}", lazy) for alias in node.names)
        else:
            function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
            yield from imports(node, package, lazy or isinstance(node, function))


def allows(rule: str, module: str, name: str) -> bool:
    """Whether the words of a rule cover the dotted name, imported by the module."""
    top = name.split(".")[0]
    if top != "axolotl_cft":
        return top in sys.stdlib_module_names or top in rule.split()
    ours = "." + name.partition(".")[2]
    # A module with a row of its own keeps to it; the others of a room are free among themselves.
    free = ["." + module.split(".")[0]] if "." in module and module not in MAY_IMPORT else []
    return any(
        ours == word or word == "." or ours.startswith(word + ".") for word in rule.split() + free
    )


def violations(
    module: str, source: str, rule: tuple[str, str], is_package: bool = False
) -> list[str]:
    """What a module of that name and source imports against its rule."""
    package = ["axolotl_cft", *filter(None, module.split("."))]
    top, inside = rule
    # Modules of a package are siblings, and __init__.py may import those below it.
    place = f"{module}." if is_package and module else module
    return [
        f"{module or '__init__'} imports {name}{' in a function' if lazy else ''}"
        for name, lazy in imports(ast.parse(source), package if is_package else package[:-1])
        if not allows(f"{top} {inside}" if lazy else top, place, name)
    ]


def our_modules() -> dict[str, Path]:
    """Dotted name below axolotl_cft and file of every module."""
    package = ROOT / "axolotl_cft"
    names = {
        path: path.relative_to(package).with_suffix("").parts for path in package.rglob("*.py")
    }
    return {
        ".".join(part for part in parts if part != "__init__"): path
        for path, parts in sorted(names.items())
    }


@pytest.mark.parametrize("module", our_modules())
def test_every_module_keeps_to_its_row(module):
    path = our_modules()[module]
    source = path.read_text(encoding="utf-8")
    assert not violations(module, source, rule_of(module), path.name == "__init__.py")


def test_the_table_has_no_row_for_what_is_gone():
    assert set(MAY_IMPORT) <= set(our_modules())


def test_evaluation_tasks_import_nothing_of_ours():
    tasks = sorted((ROOT / "eval_tasks").rglob("*.py"))
    assert tasks
    for path in tasks:
        assert not violations(path.stem, path.read_text(encoding="utf-8"), TASKS), path


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("core.encoding", "import torch"),
        ("core.encoding", "def f():\n    import torch.nn as nn"),
        ("core.encoding", "class A:\n    async def f(self):\n        from transformers import x"),
        ("core.encoding", "try:\n    import orjson as json\nexcept ImportError:\n    import json"),
        ("core.encoding", "from axolotl_cft.errors import CFTError"),
        ("core.encoding", "from axolotl_cft.core.ledger import Ledger"),
        ("core.ledger", "from axolotl_cft.host import plan"),
        ("core.pool", "from axolotl_cft.prompts.registry import pool_sources"),
        ("core.choice", "import transformers"),
        ("core.documents", "def f():\n    import axolotl"),
        ("core.conversations", "import datasets"),
        ("hooks", "from axolotl_cft.prompts.registry import load_pool"),
        ("host.output_dir", "import axolotl"),
        ("host.plan", "from axolotl_cft.files import digest_file"),
        ("probe.scoring", "from ..host.documents import load"),
        ("probe.rows", "from axolotl_cft.evaluation import Comparison"),
        ("evaluation.figures", "import matplotlib.pyplot as plt"),
        ("icl.model", "f = lambda: 0\nif True:\n    from axolotl.utils import dict"),
        ("icl.presets", "import torch"),
        ("corpus.rows", "from openai import OpenAI"),
        ("generation.guard", "import click"),
        ("generation.guard", "def f():\n    from rich.console import Console"),
        ("cli.report", "from axolotl_cft.evaluation.comparison import compare"),
        ("cli.preview", "import datasets"),
        ("", "from axolotl_cft.errors import CFTError"),
    ],
)
def test_a_planted_import_is_found(module, source):
    assert len(violations(module, source, rule_of(module))) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("evaluation.figures", "def f():\n    import matplotlib.pyplot as plt"),
        ("evaluation.figures", "from axolotl_cft.evaluation import results\nfrom . import cost"),
        ("study.results", "from axolotl_cft.core.sampling import uniform"),
        ("cli.report", "def f():\n    from axolotl_cft.evaluation.comparison import compare"),
        ("core.encoding", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch"),
        ("core.encoding", "import os.path, numpy.typing as npt\nfrom collections import abc"),
        ("core.documents", "from axolotl_cft.core.choice import Document"),
    ],
)
def test_what_the_table_allows_is_not_found(module, source):
    assert not violations(module, source, rule_of(module))


def test_a_new_module_and_a_task_that_knows_us_are_found():
    with pytest.raises(KeyError, match="axolotl_cft.novelty is in no row"):
        rule_of("novelty")
    assert violations("letters", "def f():\n    import axolotl_cft", TASKS)


def import_graph(sources: dict[str, tuple[str, bool]], rooms: bool) -> dict[str, set[str]]:
    """Module (or its room: the first part of its name) -> ours that it imports, anywhere in it."""
    graph: dict[str, set[str]] = {}
    for module, (source, is_package) in sources.items():
        package = ["axolotl_cft", *filter(None, module.split("."))]
        place = package if is_package else package[:-1]
        for name, _ in imports(ast.parse(source), place):
            target = name.removeprefix("axolotl_cft").removeprefix(".")
            if not name.startswith("axolotl_cft"):
                continue
            while target and target not in sources:
                target = target.rpartition(".")[0]
            ends = [end.split(".")[0] if rooms else end for end in (module, target)]
            if ends[0] != ends[1]:
                graph.setdefault(ends[0], set()).add(ends[1])
    return graph


def our_sources() -> dict[str, tuple[str, bool]]:
    return {
        module: (path.read_text(encoding="utf-8"), path.name == "__init__.py")
        for module, path in our_modules().items()
    }


@pytest.mark.parametrize("rooms", [False, True])
def test_no_circle(rooms):
    assert list(TopologicalSorter(import_graph(our_sources(), rooms)).static_order())


@pytest.mark.parametrize("rooms", [False, True])
def test_a_planted_circle_is_found(rooms):
    sources = our_sources()
    sources["core.pool"] = (
        sources["core.pool"][0] + "\ndef f():\n    from axolotl_cft.prompts import registry\n",
        False,
    )
    with pytest.raises(CycleError):
        TopologicalSorter(import_graph(sources, rooms)).prepare()


def test_the_top_of_the_package_is_small():
    rooms = [path for path in (ROOT / "axolotl_cft").iterdir() if path.name != "__pycache__"]
    assert len(rooms) <= 22


HELP_OF_EVERY_COMMAND = """
import json, sys
{planted}
import axolotl_cft
seen = {{"import axolotl_cft": sorted({{name.split(".")[0] for name in sys.modules}})}}
import click
from click.testing import CliRunner
from axolotl_cft.cli import main

def ask(command, path):
    result = CliRunner().invoke(main, [*path, "--help"])
    assert result.exit_code == 0 and "Usage:" in result.output, (path, result.output)
    seen[" ".join(["axolotl-cft", *path])] = sorted({{name.split(".")[0] for name in sys.modules}})
    if isinstance(command, click.Group):
        for name in command.list_commands(None):
            ask(command.get_command(None, name), [*path, name])

ask(main, [])
print(json.dumps(seen))
"""


def loaded_by_help(planted: str = "") -> dict[str, list[str]]:
    """Top-level modules in memory after `import axolotl_cft` and after each `--help` in turn."""
    command = [sys.executable, "-c", HELP_OF_EVERY_COMMAND.format(planted=planted)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_importing_the_package_and_asking_for_help_load_nothing_heavy():
    seen = loaded_by_help()
    assert len(seen) > 12 and "axolotl-cft prompts check" in seen
    for step, modules in seen.items():
        assert not set(modules) & set(HEAVY), step
    # What a shell waits for at every start is lighter still.
    for step in ("import axolotl_cft", "axolotl-cft"):
        assert not set(seen[step]) & {"numpy", "pluggy", "pydantic", "rich", "yaml"}, step


@pytest.mark.slow
def test_a_heavy_library_would_be_noticed():
    assert all("pyarrow" in modules for modules in loaded_by_help("import pyarrow").values())
