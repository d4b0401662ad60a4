"""The notebook: every cell is run as it stands, with a tiny model and local data put in place."""

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from axolotl_cft.demo import steps as demo
from axolotl_cft.evaluation.tasks import task_folder
from axolotl_cft.records import TrainingLedger
from axolotl_cft.study.spec import apply_overrides

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SOURCE = 'SOURCE = "git+https://HOST/OWNER/axolotl-cft"'

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> Any:
    import nbformat

    return nbformat.read(path, as_version=4)


# ---- as it lies there ----


@every_notebook
def test_it_holds_no_outputs_and_narrow_lines(path):
    notebook = read(path)
    for cell in notebook.cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None
        assert max(map(len, cell.source.splitlines())) <= 100
    assert path.read_bytes().endswith(b"}\n")


@every_notebook
def test_its_links_lead_somewhere(path):
    texts = [cell.source for cell in read(path).cells if cell.cell_type == "markdown"]
    links = [link for text in texts for link in re.findall(r"\]\(([^()\s]+)\)", text)]
    assert links
    for link in links:
        assert (path.parent / link).exists(), link


# ---- run ----


def run(notebook: Any, folder: Path, after: dict[str, Callable[[], None]]) -> None:
    """Run every cell in a kernel of its own, in `folder`; outputs come to lie in the cells.

    Args:
        notebook: as nbformat reads it.
        folder: where the kernel works.
        after: what to do when a cell has been run, by the cell's id.

    Raises:
        RuntimeError: a cell raised, or a command in it failed, which a notebook itself passes over.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    check = nbformat.v4.new_code_cell("assert not globals().get('_exit_code'), _exit_code")
    client = NotebookClient(
        notebook, timeout=None, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    with client.setup_kernel(env=environment(folder)):
        for index, cell in enumerate(notebook.cells):
            if cell.cell_type != "code":
                continue
            try:
                client.execute_cell(cell, index)
                client.execute_cell(check, index)
            except CellExecutionError as exc:
                said = f"{output_of(cell)}\n{exc.ename}: {exc.evalue}"
                raise RuntimeError(f"{cell.source}\n{said}") from None
            after.get(cell.id, lambda: None)()


def environment(folder: Path) -> dict[str, str]:
    """Of the kernel and of what it starts: these commands, no GPU, and nothing kept in a home."""
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "CUDA_VISIBLE_DEVICES": "",
        "AXOLOTL_DATASET_NUM_PROC": "0",
        "IPYTHONDIR": str(folder / ".ipython"),
        # `pip install` is carried out up to the point where it would change this environment.
        **{"PIP_DRY_RUN": "1", "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"},
        "PIP_REPORT": str(folder / "installed.json"),
    }


def output_of(cell: Any) -> str:
    """What a cell printed and displayed, as text."""
    texts = [
        output.get("text") or output.get("data", {}).get("text/markdown", "")
        for output in cell.outputs
    ]
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", "".join(texts))


@pytest.mark.slow
@pytest.mark.parametrize("source", ["!echo said && exit 3", "raise OSError('said')"])
def test_a_cell_that_fails_is_not_passed_over(source, tmp_path):
    from nbformat.v4 import new_code_cell, new_notebook

    notebook = new_notebook(cells=[new_code_cell("!true"), new_code_cell(source)])
    with pytest.raises(RuntimeError, match="(?s)said.*(AssertionError: 3|OSError)"):
        run(notebook, tmp_path, {})


def put_in_place(folder: Path) -> None:
    """A tiny model and local data into the recipe that the notebook has copied to `folder`."""
    demo.prepare(folder / "tiny")
    corpus = folder / "tiny" / "corpus.jsonl"
    rows = [json.loads(line) for line in corpus.read_text(encoding="utf-8").splitlines()]
    named = [{"medical_abstract": row["text"]} for row in rows]
    corpus.write_text("".join(json.dumps(row) + "\n" for row in named), encoding="utf-8")
    change(
        folder / "cft_t4.yml",
        {
            "base_model": str(folder / "tiny" / "model"),
            "datasets.0.path": str(corpus),
            "test_datasets.0.path": str(corpus),
            "cft.holdout": 0.1,  # 46 documents and not 11,550
            "cft.trained_tokens": 6000,
            "fp16": False,  # asks for a GPU
        },
    )
    change(
        folder / "study_t4.yml",
        {
            "tasks": ["cft_medical", "cft_general_text"],
            "general": ["cft_general_text"],
            "lm_eval": {
                "device": "cpu",
                "batch_size": 8,
                "model_args": {"dtype": "float32"},
                "include_path": str(task_folder()),
                "metadata": {"cft_data_dir": str(folder / "tiny" / "benchmarks")},
            },
        },
    )


def change(path: Path, changes: dict[str, Any]) -> None:
    """Change keys that are there, and none besides."""
    before = yaml.safe_load(path.read_text(encoding="utf-8"))
    for key in changes:
        value = before
        for part in key.split("."):
            value = value[int(part) if part.isdigit() else part]
    path.write_text(yaml.safe_dump(apply_overrides(before, changes)), encoding="utf-8")


@pytest.mark.slow
@pytest.mark.timeout(1800)  # four minutes of computing, in a dozen processes
def test_the_first_hour_goes_from_the_installation_to_the_report(tmp_path):
    notebook = read(ROOT / "notebooks" / "first_hour.ipynb")
    cells = {cell.id: cell for cell in notebook.cells}
    assert cells["install"].source.count(SOURCE) == 1
    cells["install"].source = cells["install"].source.replace(SOURCE, f'SOURCE = "{ROOT}"')

    run(notebook, tmp_path, {"recipe": lambda: put_in_place(tmp_path)})

    said = {name: output_of(cell) for name, cell in cells.items() if cell.cell_type == "code"}
    installed = json.loads((tmp_path / "installed.json").read_text(encoding="utf-8"))["install"]
    assert [package["metadata"]["name"] for package in installed] == ["axolotl-cft"]
    assert "written: study_t4.yml" in said["recipe"] and "cft_t4.yml" in said["recipe"]
    digests = [re.findall(r"targets digest\W+(\w+)", said[f"preview-{arm}"]) for arm in demo.ARMS]
    assert len(digests[0]) == 1 and digests[0] == digests[1]
    assert "accelerate launch --num_processes 1 -m axolotl.cli.train" in said["dry-run"]

    runs = [tmp_path / "t4-study" / arm / "seed1" / "train" for arm in demo.ARMS]
    cpt, cft = (TrainingLedger.read(folder / "cft_ledger.json") for folder in runs)
    assert cpt.train.targets_digest == cft.train.targets_digest
    assert cpt.train.prompt_tokens == 0 < cft.train.prompt_tokens
    assert cpt.trained.tokens == cft.trained.tokens == cft.train.trained_tokens
    assert 6000 - 384 < cft.train.trained_tokens <= 6000

    report = said["report"]
    assert report == (tmp_path / "t4-study" / "report" / "report.md").read_text(encoding="utf-8")
    for arm in ("base", *demo.ARMS):
        assert re.search(rf"^\| {arm} ", report, flags=re.M), arm
    assert "held-out" in report.split("\n## ")[1]
    shown = [output for output in cells["figures"].outputs if "image/png" in output.data]
    assert len(shown) == len(list((tmp_path / "t4-study" / "report").glob("*.png"))) > 1
