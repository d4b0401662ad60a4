"""`axolotl-cft icl` end to end: worker processes, results, figures, a kill in the middle."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
from click.testing import CliRunner, Result

from axolotl_cft.cli import main

CHANGES = {
    "dims": 2,
    "points": 3,
    "layers": 1,
    "width": 16,
    "heads": 2,
    "positions": 12,
    "batch_size": 8,
    "curriculum_start": 2,
    "pretrain_steps": 40,
    "finetune_steps": 40,
    "warmup_steps": 10,
    "eval_every": 10,
    "eval_sequences": 16,
    "checkpoint_every": 20,
    "seeds": "0,1",
}
METHODS = ["cft", "cpt", "neg_cft", "wrong_cft"]


def arguments(folder: Path, workers: int = 2, **changes: object) -> list[str]:
    words = ["icl", "run", "--preset", "quick", "--output-dir", str(folder), "--device", "cpu"]
    words += ["--workers", str(workers)]
    for name, value in {**CHANGES, **changes}.items():
        words += ["--set", f"{name}={value}"]
    return words


def invoke(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("icl") / "run"
    result = invoke(*arguments(folder))
    assert result.exit_code == 0, result.output
    assert "least squares on g" in result.output
    return folder


@pytest.mark.slow
def test_curves_and_summary(finished: Path) -> None:
    rows = list(csv.DictReader((finished / "curves.csv").read_text().splitlines()))
    assert list(rows[0]) == ["step", "task", "method", "seed", "excess_loss", "inner_product"]
    found = {(r["task"], r["method"], r["seed"], int(r["step"])) for r in rows}
    expected = {
        (task, method, seed, step)
        for task in ("polynomial", "multiple_linear")
        for method in METHODS
        for seed in "01"
        for step in range(0, 41, 10)
    }
    assert found == expected
    assert len(rows) == len(expected)

    summary = json.loads((finished / "summary.json").read_text())
    arm = [
        float(r["excess_loss"])
        for r in rows
        if (r["task"], r["method"], r["seed"]) == ("polynomial", "cft", "1")
    ]
    numbers = summary["tasks"]["polynomial"]["methods"]["cft"]
    assert numbers["final_excess_loss"]["per_seed"]["1"] == pytest.approx(arm[-1], rel=1e-5)
    trapezoids = (sum(arm) - arm[0] / 2 - arm[-1] / 2) / 4
    assert numbers["auc_excess_loss"]["per_seed"]["1"] == pytest.approx(trapezoids, rel=1e-4)
    both = list(numbers["final_excess_loss"]["per_seed"].values())
    assert numbers["final_excess_loss"]["median"] == pytest.approx(sum(both) / 2)
    stage1 = summary["stage1"]
    assert stage1["context_length"] == [0, 1, 2]
    assert stage1["squared_error"]["least_squares"][2] < 1e-6
    errors = {name: values[0] for name, values in stage1["squared_error"].items()}
    assert errors["least_squares"] == pytest.approx(errors["zero"])  # no point seen yet


@pytest.mark.slow
def test_figures_and_plot(finished: Path, tmp_path: Path) -> None:
    result = invoke("icl", "plot", str(finished), "--output-dir", str(tmp_path))
    assert result.exit_code == 0, result.output
    for name in ("excess_loss.png", "inner_product.png", "stage1.png"):
        for folder in (finished, tmp_path):
            assert (folder / name).read_bytes().startswith(b"\x89PNG")
    figures = {"excess_loss.png", "inner_product.png", "stage1.png"}
    data = {"config.json", "curves.csv", "summary.json", "checkpoints"}
    assert {path.name for path in finished.iterdir()} == figures | data


@pytest.mark.slow
def test_another_config_is_refused(finished: Path) -> None:
    before = (finished / "curves.csv").read_bytes()
    result = invoke(*arguments(finished, finetune_steps=60))
    assert result.exit_code == 1
    assert "holds a run with finetune_steps 40, not 60: ask for the same" in result.output
    assert (finished / "curves.csv").read_bytes() == before


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_killed_and_resumed_gives_the_same_files(finished: Path, tmp_path: Path) -> None:
    """The parent alone is killed, at an arm's first checkpoint; its workers must end themselves."""
    folder = tmp_path / "run"
    command = [sys.executable, "-c", "from axolotl_cft.cli import main; main()"]
    process = subprocess.Popen([*command, *arguments(folder)], stdout=subprocess.DEVNULL)
    arm = folder / "checkpoints" / "seed0-polynomial-cft.pt"
    deadline = time.monotonic() + 300
    while not arm.exists():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive
    assert not (folder / "curves.csv").exists()
    result = invoke(*arguments(folder, workers=1))
    assert result.exit_code == 0, result.output
    for name in ("curves.csv", "summary.json", "config.json"):
        assert (folder / name).read_bytes() == (finished / name).read_bytes(), name


@pytest.mark.slow
def test_a_diverging_arm_ends_the_run_in_one_sentence(tmp_path: Path) -> None:
    changes = {"finetune_learning_rate": 1e38, "clip_norm": 0, "seeds": 0}
    result = invoke(*arguments(tmp_path, workers=1, **changes))
    assert result.exit_code == 1
    assert "lower finetune_learning_rate (the last good checkpoint is kept)" in result.output
    assert "Traceback" not in result.output
    assert (tmp_path / "checkpoints" / "seed0-stage1.pt").exists()
    assert not (tmp_path / "curves.csv").exists()


def test_bad_input_is_one_sentence_before_anything_is_made(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    cases = {
        "is not divisible by heads 3": arguments(tmp_path / "a", heads=3),
        "beyond the 12 rows of the position table": arguments(tmp_path / "a", points=4),
        "cannot write": arguments(file / "below"),
        "holds no finished run": ["icl", "plot", str(tmp_path / "a")],
    }
    for message, words in cases.items():
        result = invoke(*words)
        assert result.exit_code == 1
        assert message in result.output
        assert "Traceback" not in result.output
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def write_run(folder: Path, methods: list[str], seeds: int, **sizes: object) -> None:
    """The files of a finished run that figures are drawn from; seed n lies n higher."""
    numbers = {"median": 1.0, "per_seed": {"0": 1.0}}
    task = {
        "methods": {method: {} for method in methods},
        "baselines": {"zero": numbers, "least_squares": numbers},
    }
    summary: dict[str, object] = {
        "tasks": {"polynomial": task, "multiple_linear": task},
        "stage1": {
            "context_length": [0, 1],
            "squared_error": {name: [1.0, 0.5] for name in ("model", "least_squares", "zero")},
        },
    }
    lines = ["step,task,method,seed,excess_loss,inner_product"]
    for name in ("polynomial", "multiple_linear"):
        lines += [
            f"{step},{name},{method},{seed},{1 + seed},{0.5 + seed}"
            for method in methods
            for seed in range(seeds)
            for step in (0, 1, 2)
        ]
    (folder / "curves.csv").write_text("\n".join(lines))
    (folder / "summary.json").write_text(json.dumps(summary))
    (folder / "config.json").write_text(json.dumps({"settings": {"device": "cpu", **sizes}}))


def test_published_curves_are_laid_over_the_papers_sizes_only(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """Dotted lines appear for d = 20, k = 41 alone."""
    from matplotlib.axes import Axes

    from axolotl_cft.icl import plots

    lengths: list[int] = []
    original = Axes.plot

    def spy(self: Axes, *args, **kwargs):  # type: ignore[no-untyped-def]
        lengths.append(len(args[0]))
        return original(self, *args, **kwargs)

    monkeypatch.setattr(Axes, "plot", spy)
    for sizes, overlaid in ({}, 12), ({"dims": 5}, 0):
        lengths.clear()
        write_run(tmp_path, METHODS[:3], seeds=1, **sizes)
        plots.plot(tmp_path, tmp_path / "figures")
        assert sum(length > 50 for length in lengths) == overlaid


@pytest.mark.parametrize("seeds", [1, 2])
def test_figures_are_read_without_colors_and_count_in_whole_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seeds: int
) -> None:
    from matplotlib.collections import PolyCollection
    from matplotlib.figure import Figure

    from axolotl_cft.evaluation.palette import COLORS
    from axolotl_cft.icl import plots

    methods = set(plots.LABELS.values())
    drawn: list[Figure] = []
    save = Figure.savefig

    def keep(self: Figure, *words: Any, **options: Any) -> None:
        drawn.append(self)
        save(self, *words, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    write_run(tmp_path, METHODS, seeds, dims=2)
    plots.plot(tmp_path, tmp_path)
    for axes in [axes for figure in drawn for axes in figure.axes]:
        lines = [line for line in axes.get_lines() if not str(line.get_label()).startswith("_")]
        patterns = {str(line._dash_pattern) for line in lines}  # type: ignore[attr-defined]
        assert len(patterns) == len(lines)
        assert {line.get_color() for line in axes.get_lines()} <= {*COLORS, "0.5"}
        if axes.get_title() in plots.TITLES.values():
            markers = [line.get_marker() for line in lines if line.get_label() in methods]
            assert len({*markers}) == len(markers) == len(METHODS) and "None" not in markers
        assert all(float(tick).is_integer() for tick in axes.get_xticks())
        bands = [each for each in axes.collections if isinstance(each, PolyCollection)]
        # One for each method where seeds lie apart; of a single seed only an edge would be left.
        assert len(bands) == (len(METHODS) if seeds > 1 and len(lines) > 3 else 0)
        assert all(band.get_linewidth() == [0] and band.get_alpha() == 0.1 for band in bands)


def test_a_range_of_one_number_is_not_shown() -> None:
    from axolotl_cft.cli.icl import _with_range

    assert _with_range({"median": 0.5, "per_seed": {"0": 0.4, "1": 0.6}}) == "0.5 (0.4–0.6)"
    assert _with_range({"median": 0.5, "per_seed": {"0": 0.5, "1": 0.50001}}) == "0.5"
