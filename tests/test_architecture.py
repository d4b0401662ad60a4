"""Who may import whom: the picture in `axolotl_cft/__init__.py`, enforced."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Module or package below axolotl_cft -> (imports allowed at the top, and more inside functions).
# `.name` is ours, with all that lies below it; the standard library and a package's own modules are
# free to all; what is imported for type checkers alone does not count. The longest name decides.
MAY_IMPORT = {
    "": ("", ""),
    # the pure core: what happens to a document
    "errors": ("", ""),
    "files": (".errors", ""),
    "encoding": ("numpy", ""),
    "sampling": ("", ""),
    "ledger": (".encoding", ""),
    "prompts": (".errors yaml", ".hooks"),
    "hooks": (".errors .prompts pluggy", ""),
    "config": (".encoding .errors .hooks .prompts pydantic", ""),
    "choice": (".config .errors .prompts .sampling", ""),
    "encoder": (".choice .config .encoding .errors .ledger .sampling numpy", ""),
    # the edge to the host: these alone know Axolotl when they are imported, and nobody but the
    # commands imports them
    "strategy": (
        ".choice .config .encoder .encoding .errors .files .ledger axolotl datasets numpy pyarrow",
        "",
    ),
    "chat": (
        ".choice .config .encoder .encoding .errors .ledger .sampling .strategy "
        "axolotl datasets jinja2 numpy",
        "",
    ),
    "plugin": (
        ".chat .config .encoding .errors .files .ledger .strategy axolotl datasets numpy packaging",
        "",
    ),
    # data and models at hand
    "tokens": (".config .errors", ".encoder .encoding axolotl transformers yaml"),
    "corpora": (".errors .files", "datasets pyarrow"),
    "benchmarks": (".errors .files yaml", ""),
    "contamination": (".benchmarks", ""),
    "tiny": ("", "tokenizers torch transformers"),
    "demo": (".benchmarks .errors .files yaml", ".tiny transformers"),
    # what the other commands do
    "generation": (
        ".corpora .errors .files .prompts .sampling .tokens",
        "datasets httpx openai pyarrow transformers",
    ),
    "probe": (
        ".config .encoder .encoding .errors .prompts .report.statistics .sampling .tokens "
        "numpy torch",
        "matplotlib transformers",
    ),
    "report": (".errors numpy scipy", "matplotlib"),
    "study": (".config .errors .files .ledger filelock psutil pydantic yaml", "axolotl lm_eval"),
    "icl": (".errors .files torch transformers", "matplotlib"),
    "icl.presets": (".errors", ""),  # the command's --help reads it
    # the commands: what --help needs at the top, the work inside functions
    "cli": (
        ".encoding .errors .files .icl.presets .prompts click pydantic rich",
        ". axolotl datasets torch yaml",
    ),
}
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
        raise KeyError(f"axolotl_cft.{module} is in no row of MAY_IMPORT")
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
    free = ["." + module.split(".")[0]] if "." in module else []
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
        ("encoding", "import torch"),
        ("encoding", "def f():\n    import torch.nn as nn"),
        ("encoding", "class A:\n    async def f(self):\n        from transformers import x"),
        ("encoding", "try:\n    import orjson as json\nexcept ImportError:\n    import json"),
        ("encoding", "from axolotl_cft.errors import CFTError"),
        ("ledger", "from axolotl_cft import config"),
        ("ledger", "from .encoder import DocumentEncoder"),
        ("prompts", "from axolotl_cft.hooks import pool_sources"),
        ("encoder", "def f():\n    import axolotl"),
        ("probe.scoring", "from ..strategy import load"),
        ("probe.rows", "from axolotl_cft.report import Comparison"),
        ("report.figures", "import matplotlib.pyplot as plt"),
        ("icl.model", "f = lambda: 0\nif True:\n    from axolotl.utils import dict"),
        ("icl.presets", "import torch"),
        ("generation.rows", "from openai import OpenAI"),
        ("cli.report", "from axolotl_cft.report.comparison import compare"),
        ("cli.preview", "import datasets"),
        ("", "from axolotl_cft.errors import CFTError"),
    ],
)
def test_a_planted_import_is_found(module, source):
    assert len(violations(module, source, rule_of(module))) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("prompts", "def f():\n    from axolotl_cft.hooks import pool_sources"),
        ("report.figures", "def f():\n    import matplotlib.pyplot as plt"),
        ("report.figures", "from axolotl_cft.report import results\nfrom . import training"),
        ("probe.results", "from axolotl_cft.report.statistics import mean"),
        ("cli.report", "def f():\n    from axolotl_cft.report.comparison import compare"),
        ("encoding", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch"),
        ("encoding", "import os.path, numpy.typing as npt\nfrom collections import abc"),
    ],
)
def test_what_the_table_allows_is_not_found(module, source):
    assert not violations(module, source, rule_of(module))


def test_a_new_module_and_a_task_that_knows_us_are_found():
    with pytest.raises(KeyError, match="axolotl_cft.novelty is in no row"):
        rule_of("novelty")
    assert violations("letters", "def f():\n    import axolotl_cft", TASKS)


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
