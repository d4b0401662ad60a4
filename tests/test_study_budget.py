"""A study's budget: arms whose texts differ train as many tokens."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from conftest import make_documents, write_jsonl
from studies import REAL, call, write_study

from axolotl_cft.cli import main
from axolotl_cft.errors import CFTError
from axolotl_cft.evaluation.caveats import training_warnings
from axolotl_cft.evaluation.cost import TrainingCost
from axolotl_cft.evaluation.sources import Training
from axolotl_cft.study.budget import Budget, share_out
from axolotl_cft.study.plan import expand
from axolotl_cft.study.preflight import check_amounts, row_room
from axolotl_cft.study.spec import read_study

ARMS = {
    "few": {"datasets": [{"path": "few"}]},
    "many": {"datasets": [{"path": "many"}]},
    "both": {"datasets": [{"path": "few"}, {"path": "many"}], "output_dir": "x"},
}
STAMPS = {"few": ["1"], "many": ["2"], "both": ["1", "2"]}
TOKENS = {"few": 1000, "many": 7000}


class Counter:
    """Counts by name, and how often it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def __call__(self, config: Path) -> list[int]:
        paths = [item["path"] for item in yaml.safe_load(config.read_text())["datasets"]]
        self.asked.append(paths)
        return [TOKENS[path] for path in paths]


def shared(root: Path, amount: Any, count: Any = None, **arms: Any) -> dict[str, list[int]]:
    configs = {name: {**config, **arms.get(name, {})} for name, config in ARMS.items()}
    found = share_out(Budget(trained_tokens=amount), configs, STAMPS, root, count or Counter())
    assert all(key.startswith("datasets.") for arm in found.values() for key in arm)
    return {arm: [*overrides.values()] for arm, overrides in found.items()}


def test_same_is_what_the_smallest_arm_has(tmp_path):
    assert shared(tmp_path, "same") == {"few": [1000], "many": [1000], "both": [125, 875]}
    assert shared(tmp_path, 9001) == {"few": [9001], "many": [9001], "both": [1125, 7876]}


def test_an_arms_own_numbers_are_its_datasets_shares(tmp_path):
    def weighed(*tokens):
        return {"datasets": [{"path": p, "cft": {"trained_tokens": t}} for p, t in tokens]}

    found = shared(tmp_path, "same", both=weighed(("few", 80), ("many", 20)))
    assert found == {"few": [1000], "many": [1000], "both": [800, 200]}
    half = {"datasets": [{"path": "few", "cft": {"trained_tokens": 9}}, {"path": "many"}]}
    assert shared(tmp_path, "same", both=half)["both"] == [125, 875]


def test_a_number_for_single_datasets_needs_no_counting(tmp_path):
    configs = {name: ARMS[name] for name in ("few", "many")}
    found = share_out(Budget(trained_tokens=5), configs, STAMPS, tmp_path, lambda config: 1 / 0)
    assert found == {arm: {"datasets.0.cft.trained_tokens": 5} for arm in configs}


def test_what_was_counted_is_kept_until_it_changes(tmp_path):
    first, second, third = Counter(), Counter(), Counter()
    shared(tmp_path, "same", first)
    shared(tmp_path, 77, second, both={"output_dir": "elsewhere"})
    shared(tmp_path, "same", third, many={"base_model": "another"})
    assert (len(first.asked), second.asked, third.asked) == (3, [], [["many"]])


def test_a_dry_run_leaves_nothing_behind(tmp_path):
    assert shared(tmp_path / "absent", "same")["few"] == [1000]
    assert not (tmp_path / "absent").exists()


def test_a_config_that_cannot_be_counted_is_named_by_its_arm(tmp_path):
    def refuse(config: Path) -> list[int]:
        raise CFTError(f"{config} cannot be used: sequence_len is missing")

    with pytest.raises(CFTError, match="^arm few: its config cannot be used: sequence_len is mi"):
        shared(tmp_path, "same", refuse)


def test_arms_under_a_budget_are_held_to_it():
    check_amounts({"a": 1000, "b": 936}, room=64)
    check_amounts({}, room=0)  # every preparation failed
    with pytest.raises(CFTError, match=r"arms b and a would train 935 and 1,000 tokens"):
        check_amounts({"a": 1000, "b": 935}, room=64)
    with pytest.raises(CFTError, match="arm b has no CFT ledger"):
        check_amounts({"a": 1000, "b": None}, room=64)
    assert row_room({"sequence_len": 64, "datasets": [{}, {}]}) == 128


def two_arms(folder: Path, model: Path, **changes: Any) -> Path:
    """An arm with a corpus, and one with another corpus of three times the text."""
    larger = write_jsonl(
        folder / "larger.jsonl",
        [{"text": f"{i}. {d['text']}"} for i, d in enumerate(make_documents(72))],
    )
    arms = {"small": {"cft.prompts": "none"}, "large": {"datasets.0.path": str(larger)}}
    path = write_study(
        folder,
        model,
        REAL,
        arms=arms,
        seeds=[1],
        stages={},
        evaluate=None,
        baseline="small",
        heldout_documents=0,
        **changes,
    )
    study = yaml.safe_load(path.read_text())
    del study["evaluate"], study["base"]["max_steps"], study["base"]["save_steps"]
    study["base"] |= {"num_epochs": 1, "save_strategy": "no"}
    path.write_text(yaml.safe_dump(study, sort_keys=False))
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": {"trained_tokens": 0}}, "expected a number of tokens, got 0"),
        ({"budget": {"trained_tokens": 5, "x": 1}}, "budget.x: no such option; known options: tr"),
        ({"budget": {"trained_tokens": "all"}}, "budget.trained_tokens"),
    ],
)
def test_a_budget_that_is_none_is_refused(tmp_path, tiny_model, changes, message):
    path = two_arms(tmp_path, tiny_model, **changes)
    with pytest.raises(CFTError, match=message):
        expand(read_study(path), path, tmp_path / "out")


def test_untouched_arms_alone_need_no_budget(tmp_path, tiny_model):
    path = two_arms(tmp_path, tiny_model, budget={"trained_tokens": "same"})
    study = yaml.safe_load(path.read_text())
    study["arms"] = {"small": {"train": False}}
    path.write_text(yaml.safe_dump(study))
    plan = expand(read_study(path), path, tmp_path / "out")
    assert {step.kind for step in plan.steps} == {"evaluate"}


def test_an_arm_has_no_budget_of_its_own(tmp_path, tiny_model):
    path = two_arms(tmp_path, tiny_model, budget={"trained_tokens": 500})
    study = yaml.safe_load(path.read_text())
    study["arms"]["small"]["cft.trained_tokens"] = 400
    path.write_text(yaml.safe_dump(study))
    with pytest.raises(CFTError, match="arm small: cft.trained_tokens: the study's `budget`"):
        expand(read_study(path), path, tmp_path / "out")


@pytest.mark.parametrize(("other", "as_many"), [(995_000, True), (980_000, False)])
def test_the_report_says_when_other_texts_were_as_many_tokens(other, as_many):
    costs = [
        (
            Training(f"{arm}/seed1", arm, "", Path("x"), 1, 1.0),
            TrainingCost(trained_tokens=tokens, targets_digest=arm),
        )
        for arm, tokens in (("a", 1_000_000), ("b", other))
    ]
    [warning] = training_warnings(costs)
    assert "did not all train on the same tokens" in warning
    assert ("though on as many (1,000,000, within 1%)" in warning) == as_many


def check_told(output: str, root: Path) -> dict[str, int]:
    """Arm -> the steps that were told, which are those of the trainer."""
    told = {}
    for arm in ("small", "large"):
        [cells] = re.findall(rf"^ +{arm} +(.+)$", output, re.M)
        rows, trained, tokens, steps, epochs, *rate = cells.split()
        folder = root / arm / "seed1/train"
        state = json.loads((folder / "trainer_state.json").read_text())
        ledger = json.loads((folder / "cft_ledger.json").read_text())
        reached = ledger["reached_trainer"]
        assert int(steps) == state["global_step"]
        assert (rows, trained, tokens) == tuple(
            f"{reached[name]:,}" for name in ("rows", "trained_tokens", "tokens")
        )
        assert (epochs, " ".join(rate)) == ("1", "0.001, constant")
        told[arm] = int(steps)
    return told


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_arms_of_unequal_texts_train_as_many_tokens(tmp_path, tiny_model):
    """By the trainer's own count; without the budget the study is refused.

    One arm is packed, so that its steps are others; all are told before the first training.
    """
    path = two_arms(tmp_path, tiny_model, budget={"trained_tokens": "same"})
    study = yaml.safe_load(path.read_text())
    study["arms"]["large"]["sample_packing"] = True
    path.write_text(yaml.safe_dump(study, sort_keys=False))
    root = tmp_path / "out"
    result = call(path, root)
    assert result.exit_code == 0, result.output
    table = result.output.partition("What each arm trains")[2]
    assert "done        small/seed1 train" in table.replace("\r", "")
    steps = check_told(table, root)
    assert len(set(steps.values())) == 2
    assert f"Arms take {min(steps.values())} to {max(steps.values())} steps" in table
    arguments = ["study", str(path), "--output-dir", str(root), "--dry-run"]
    shown = CliRunner().invoke(main, arguments)
    assert shown.exit_code == 0, shown.output
    assert check_told(shown.output.replace("\n# ", "\n"), root) == steps
    assert json.loads((root / "budget.json").read_text())["arms"].keys() == {"small", "large"}
    ledgers = {
        arm: json.loads((root / arm / "seed1/train/cft_ledger.json").read_text())
        for arm in ("small", "large")
    }
    tokens = {arm: ledger["trained"]["tokens"] for arm, ledger in ledgers.items()}
    rows = yaml.safe_load((root / "small/seed1/config.yml").read_text())["sequence_len"]
    assert 0 <= tokens["small"] - tokens["large"] < rows
    assert ledgers["small"]["train"]["beyond_budget"] == 0
    assert ledgers["large"]["train"]["beyond_budget"] > 30
    report = (root / "report" / "report.md").read_text()
    assert "did not all train on the same tokens" in report

    shutil.rmtree(root)
    study = yaml.safe_load(path.read_text())
    del study["budget"]
    path.write_text(yaml.safe_dump(study))
    result = call(path, root)
    assert result.exit_code == 1 and "do not train on the same tokens" in result.output
