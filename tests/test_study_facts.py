"""The shipped studies of invented facts: what must be found is, and what must not be, is not."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from safetensors.torch import load_file
from test_example_configs import CONFIG_DIR

from axolotl_cft.cli import main

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(3 * 3600)]

CHANCE = 0.125


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A folder that the whole study has ended in."""
    place = tmp_path_factory.mktemp("facts")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.delenv("OMP_NUM_THREADS")  # one, for the tests; users have as many as cores
        patch.setenv("AXOLOTL_DO_NOT_TRACK", "1")
        run("study_facts.yml")
        yield place


def run(name: str) -> float:
    """Carries a shipped study out in the working directory; returns its minutes."""
    began = time.monotonic()
    result = CliRunner().invoke(main, ["study", str(CONFIG_DIR / name)])
    assert result.exit_code == 0, result.output
    minutes = (time.monotonic() - began) / 60
    print(f"{name}: {minutes:.1f} minutes")
    return minutes


def report(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "report/report.json").read_text())


def score(record: dict[str, Any], arm: str, kind: str) -> float:
    """Mean over the arm's seeds."""
    runs = record["scores"][arm].values()
    return sum(run[f"cft_facts_{kind}"] for run in runs) / len(runs)


def average(record: dict[str, Any], arm: str, bits: bool = False) -> dict[str, Any]:
    """The comparison with CPT of the average over wordings that no document has."""
    group = "cft_facts in bits" if bits else "cft_facts"
    [found] = [
        each
        for each in record["comparisons"]
        if (each["group"], each["task"], each["row"]) == (group, None, arm)
    ]
    return found


def single(record: dict[str, Any], arm: str, task: str) -> dict[str, Any]:
    [found] = [each for each in record["comparisons"] if (each["task"], each["row"]) == (task, arm)]
    return found


def test_facts_are_learned_and_only_those_that_were_taught(place):
    record = report(place / "facts-study")
    assert not [warning for warning in record["warnings"] if "control" in warning]
    for kind in ("verbatim", "reworded", "question"):
        assert abs(score(record, "base", kind) - CHANCE) < 0.05
    assert score(record, "cpt", "verbatim") >= 3 * CHANCE


def test_four_times_the_exposures_are_found_in_recall_and_in_bits(place):
    """By the documents' own sentences: in other words, two seeds differ by too much."""
    record = report(place / "facts-study")
    for task in ("cft_facts_verbatim", "cft_facts_verbatim in bits"):
        found = single(record, "more", task)
        assert found["interval"][0] > 0 and found["verdict"] == "better"


def test_five_wordings_of_a_fact_are_found_to_be_better_than_one(place):
    """By themselves; among all arms their interval excludes zero, before the correction."""
    study = place / "facts-study"
    assert average(report(study), "one-wording")["interval"][1] < 0
    runs = [
        f"{arm}@{seed}={study / arm / f'seed{seed}' / 'eval'}"
        for arm in ("cpt", "one-wording")
        for seed in (1, 2, 5, 6)
    ]
    command = ["report", *runs, "--baseline", "cpt", "--output-dir", str(place / "pair/report")]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert average(report(place / "pair"), "one-wording")["verdict"] == "worse"


@pytest.mark.parametrize("bits", [False, True])
def test_other_seeds_alone_are_not_found(place, bits):
    record = report(place / "facts-study")
    assert average(record, "twin", bits)["verdict"] not in {"better", "worse"}
    weights = [
        load_file(model)
        for arm in ("cpt", "twin")
        for model in sorted((place / "facts-study" / arm).glob("seed*/**/model.safetensors"))
    ]
    assert len(weights) == 6
    for number, one in enumerate(weights):
        assert all((one[name] != other[name]).any() for other in weights[:number] for name in one)


def test_what_was_known_before_is_forgotten(place):
    found = single(report(place / "facts-study"), "base", "cft_facts_base")
    assert found["difference"] > 0 and found["interval"][0] > 0


def test_the_small_study_starts_from_the_same_model(place):
    trained = (place / "facts-demo/base/cft_made/make.json").stat().st_mtime_ns
    run("study_facts_small.yml")
    assert (place / "facts-demo/base/cft_made/make.json").stat().st_mtime_ns == trained
    record = report(place / "facts-study-small")
    assert score(record, "cpt", "verbatim") >= 3 * CHANCE
    assert record["scores"].keys() == {"base", "cpt", "cft"}
    shutil.rmtree(place / "facts-study-small")
