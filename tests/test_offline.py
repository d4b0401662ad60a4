"""The commands of docs/offline.md, carried out in a network namespace that has no network."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from conftest import make_documents, write_jsonl
from host import host_config, write_config

from axolotl_cft.evaluation.tasks import catalogue, task_benchmarks

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/offline.md").read_text(encoding="utf-8")
ITEMS = ROOT / "axolotl_cft" / "demo" / "data" / "benchmarks"

STAND_INS = {
    "'/path/to/this/clone[corpus,generate]'": f"--no-deps --no-build-isolation --quiet {ROOT}",
    "hf download ORG/MODEL --local-dir carry/models/MODEL": "cp -r model carry/models/MODEL",
    "axolotl-cft data fetch --output-dir carry/benchmarks --tasks cft_medical": (
        "cp -r items carry/benchmarks"
    ),
    "'axolotl-cft[corpus,generate]'": "--no-deps --quiet axolotl-cft",
    "--tasks cft_medical --log": "--tasks cft_mmlu_medical_genetics --log",
}
"""What stands in the page, and what is done here instead: no index, no hub, fewer items."""


def without_network() -> list[str] | None:
    """The words before a command that take its network away; None where that cannot be done."""
    for words in (["unshare", "-n"], ["unshare", "-rn"]):
        try:
            subprocess.run([*words, "true"], check=True, capture_output=True, timeout=60)
        except (OSError, subprocess.SubprocessError):
            continue
        return words
    return None


@pytest.fixture(scope="module")
def no_network() -> list[str]:
    if (words := without_network()) is None:
        pytest.skip("unshare makes no network namespace here")
    return words


def blocks(heading: str, language: str = "bash") -> list[str]:
    """The fenced code below a heading of the page, as far as the next one."""
    [section] = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    return re.findall(rf"^```{language}\n(.*?)^```$", section, re.M | re.S)


def in_place(script: str) -> str:
    for written, done in STAND_INS.items():
        script = script.replace(written, done)
    return script


@pytest.fixture
def desk(tmp_path: Path, tiny_model: Path) -> Path:
    """A folder with what the stand-ins copy: a model, benchmarks of the published sizes, a corpus.

    And `my.yml`, with the lines that the page shows.
    """
    shutil.copytree(tiny_model, tmp_path / "model")
    for benchmark in set(task_benchmarks(["cft_medical"]).values()):
        for split, count in catalogue().BENCHMARKS[benchmark].splits.items():
            source = ITEMS / benchmark / f"{split}.jsonl"
            lines = (source if source.exists() else ITEMS / benchmark / "test.jsonl").read_text(
                encoding="utf-8"
            )
            rows = lines.splitlines(keepends=True)
            path = tmp_path / "items" / benchmark / f"{split}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join((rows * 2000)[: count or 8]), encoding="utf-8")
    (tmp_path / "data").mkdir()
    write_jsonl(tmp_path / "data/corpus.jsonl", make_documents(16))
    (tmp_path / "carry/models").mkdir(parents=True)
    [lines] = blocks("Here", "yaml")
    settings = host_config(tmp_path, tiny_model, tmp_path) | yaml.safe_load(lines)
    write_config(tmp_path / "my.yml", settings)
    return tmp_path


@pytest.fixture
def bash(no_network: list[str], desk: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a script at the desk, without a network, in an environment that says nothing of it."""
    ours = {"OMP_NUM_THREADS": "1", "HF_HOME": str(desk / "home"), "PIP_NO_INPUT": "1"}
    silent = re.compile(r"(HF|AXOLOTL|CFT|TRANSFORMERS|PIP|PYTHON|DO_NOT|OMP)_?")
    environment = {k: v for k, v in os.environ.items() if not silent.match(k)} | ours
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"

    def run(script: str, timeout: float = 600, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*no_network, "bash", "-euo", "pipefail", "-c", script],
            cwd=desk,
            env=environment | more,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return run


def succeed(ended: subprocess.CompletedProcess[str]) -> str:
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_the_page_says_what_is_carried_out_here() -> None:
    commands = "".join(blocks("There") + blocks("Here"))
    assert all(written in commands for written in STAND_INS)
    assert len(blocks("There")) == 1 and len(blocks("Here")) == 4
    variables = re.findall(r"^export (\w+)", commands, re.M)
    assert variables == re.findall(r"^\| `(\w+)[=`]", PAGE, re.M)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_commands_of_the_page_need_no_network(
    bash: Callable[..., subprocess.CompletedProcess[str]], desk: Path
) -> None:
    [fill] = blocks("There")
    install, *work = blocks("Here")
    succeed(bash(in_place(fill)))
    assert len(list((desk / "carry/wheels").glob("axolotl_cft-*.whl"))) == 1
    succeed(bash(in_place(install)))
    [installed] = (desk / ".venv/lib").glob("python*/site-packages")

    # The packages that the wheel needs are those of these tests; ours is the wheel's.
    paths = os.pathsep.join([str(installed), sysconfig.get_path("purelib")])
    activate = install.splitlines()[0].split("&& ")[1]
    which = "python -c 'import axolotl_cft; print(axolotl_cft.__file__)' > which\n"
    said = succeed(bash("\n".join([activate, which, *map(in_place, work)]), PYTHONPATH=paths))
    assert (desk / "which").read_text().startswith(str(installed))
    assert "splits in" in said  # fetch has looked
    assert (desk / "out/model.safetensors").exists()
    assert (desk / "out/cft_ledger.json").exists()
    assert list((desk / "results").rglob("samples_cft_mmlu_medical_genetics*.jsonl"))
    assert "trained" in said  # the report's row


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["hf download ORG/MODEL --local-dir carry/models/MODEL", "axolotl-cft data fetch"]
)
def test_commands_that_need_a_network_fail_here(
    bash: Callable[..., subprocess.CompletedProcess[str]], desk: Path, name: str
) -> None:
    """Otherwise the test above would say nothing."""
    [fill] = blocks("There")
    [command] = [line for line in fill.splitlines() if line.startswith(name)]
    ended = bash(command, PYTHONPATH=str(ROOT))
    assert ended.returncode != 0
    assert not list((desk / "carry").rglob("*.jsonl")) and not (desk / "carry/wheels").exists()


@pytest.mark.slow
def test_fetch_names_a_split_that_was_not_carried(
    bash: Callable[..., subprocess.CompletedProcess[str]], desk: Path
) -> None:
    shutil.copytree(desk / "items", desk / "carry/benchmarks")
    (desk / "carry/benchmarks/mmlu/anatomy/test.jsonl").unlink()
    _, variables, fetch, _ = blocks("Here")
    ended = bash(variables + fetch, PYTHONPATH=str(ROOT))
    assert ended.returncode == 1 and "Traceback" not in ended.stderr
    assert "'test' of cais/mmlu" in " ".join(ended.stderr.split())


@pytest.mark.slow
@pytest.mark.parametrize("telemetry", ["on", "off"])
def test_a_refused_config_ends_by_itself(
    bash: Callable[..., subprocess.CompletedProcess[str]], desk: Path, telemetry: str
) -> None:
    """By itself the host would wait for ever (test_telemetry.py)."""
    off = {"AXOLOTL_DO_NOT_TRACK": "1"} if telemetry == "off" else {}
    command = "axolotl train my.yml --launcher python"
    ended = bash(command, timeout=300, PYTHONPATH=str(ROOT), HF_HUB_OFFLINE="1", **off)
    assert ended.returncode == 1
    assert "base_model: there is no carry/models/MODEL here" in ended.stderr
    assert ("posthog" in ended.stdout + ended.stderr) == (telemetry == "on")
