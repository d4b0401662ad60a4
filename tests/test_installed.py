"""What a user has who installed the package, and has no clone to look into."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables under which our wheel is found before the package that is tested otherwise."""
    pytest.importorskip("hatchling", reason="builds a wheel")
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    built = ["--no-deps", "--no-build-isolation", "-w", str(folder), str(ROOT)]
    subprocess.run([*pip, "wheel", *built], check=True)
    (wheel,) = folder.glob("*.whl")
    site = folder / "site"
    install = ["install", "--no-deps", "--no-index", "--target", str(site), str(wheel)]
    subprocess.run([*pip, *install], check=True)
    path = os.pathsep.join([str(site / "bin"), str(Path(sys.executable).parent)])
    return {**os.environ, "PYTHONPATH": str(site), "PATH": path, "CUDA_VISIBLE_DEVICES": ""}


@pytest.fixture
def run(environment: dict[str, str], tmp_path: Path) -> Callable[..., str]:
    """Carries a command out in an empty folder; returns what it printed."""

    def run(command: str, status: int = 0) -> str:
        ended = subprocess.run(
            shlex.split(command), cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert ended.returncode == status, ended.stdout[-2000:] + ended.stderr[-2000:]
        return ended.stdout + ended.stderr

    return run


@pytest.mark.slow
def test_the_demos_study_needs_no_clone(
    run: Callable[..., str], environment: dict[str, str], tmp_path: Path
) -> None:
    found = run(f"{sys.executable} -c 'import axolotl_cft; print(axolotl_cft.__file__)'")
    assert found.startswith(environment["PYTHONPATH"]), "the clone is tested, not our wheel"

    assert "study_demo.yml; its first lines" in run("axolotl-cft init study_demo")
    assert {path.name for path in tmp_path.iterdir()} == {"study_demo.yml", "demo.yml"}
    header = (tmp_path / "study_demo.yml").read_text("utf-8")
    prepare, study = re.findall(r"^#   (axolotl-cft .*?) +#", header, re.MULTILINE)
    assert study == "axolotl-cft study study_demo.yml"

    assert "run `axolotl-cft demo --prepare-only`" in run(f"{study} --dry-run", status=1)
    run(prepare)
    planned = run(f"{study} --dry-run")
    assert planned.count("-m axolotl.cli.train") == 4, "two arms and two seeds"


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_demos_study_is_carried_out_and_reported(
    run: Callable[..., str], tmp_path: Path
) -> None:
    run("axolotl-cft demo --prepare-only")
    run("axolotl-cft init study_demo")
    run("axolotl-cft study study_demo.yml")
    report = tmp_path / "cft-demo-study" / "report" / "report.md"
    first = report.read_text("utf-8")
    assert re.search(r"cft against cpt", first)
    run("axolotl-cft report cft-demo-study")
    assert report.read_text("utf-8") == first
    run("axolotl-cft report cft-demo-study --paper")
    assert "the paper's own numbers" in report.read_text("utf-8")
