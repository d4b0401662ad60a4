"""The report on invented facts: a second metric, what stands beside an average, and the control.

Canned models answer the tasks `cft_facts…` through the real harness; what is known of the models is
what the report must find.
"""

import json
import math
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from facts_like import write_facts
from harness_tasks import scored
from test_report import edit, number, refusal, results_file, run_report, samples, table_row

from axolotl_cft.evaluation.controls import check_controls
from axolotl_cft.evaluation.items import Items
from axolotl_cft.evaluation.results import Evaluation, TaskResult, read_run
from axolotl_cft.evaluation.statistics import Outcomes, average_of_shared
from axolotl_cft.evaluation.statistics import average as average_of_others
from axolotl_cft.evaluation.tasks import task_folder

HEADLINE = ("cft_facts_reworded", "cft_facts_question")
TITLES = ["reworded", "question", "verbatim", "reversed", "two-hop", "control: never taught"]
TITLES.append("base facts")


def knowing(seed: int, gains: dict[str, float]) -> Any:
    """A model whose answers are so many bits likelier than other options, by kind of question.

    A thing is known better or worse by half a bit in all kinds of questions about it, and every
    option is likelier or not by two bits of luck that all models share, and some of their own.
    """
    from lm_eval.api.model import LM

    class Knowing(LM):
        def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> Any:
            return [
                (self.bits(request.doc, request.idx) * math.log(2), False) for request in requests
            ]

        def bits(self, doc: dict[str, Any], option: int) -> float:
            shared = random.Random(f"{doc['id']} {option}").gauss(0, 2)
            own = random.Random(f"{seed} {doc['id']} {option}").gauss(0, 0.3)
            gain = 0.0
            if option == doc["answer"] and (gain := gains.get(doc["id"].split()[0], 0.0)):
                gain += random.Random(f"{seed} {doc['thing']}").gauss(0, 0.5)
            return -11 + shared + own + gain

        def generate_until(self, requests: Any, disable_tqdm: bool = False) -> Any:
            raise NotImplementedError

        def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = False) -> Any:
            raise NotImplementedError

    return Knowing()


CPT = {"verbatim": 6.0, "reworded": 1.0, "question": 0.6, "base_question": 1.5}
CFT = CPT | {"reworded": 1.75, "question": 1.35, "base_question": 0.5}
MODELS = {"base": (1, {"base_question": 2.0})}
MODELS |= {f"cpt{seed}": (10 + seed, CPT) for seed in (1, 2, 3)}
MODELS |= {f"cft{seed}": (20 + seed, CFT) for seed in (1, 2, 3)}
MODELS["leak"] = (5, CFT | {"never_taught": 3.0})


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Evaluated folders of the models above, on 40 things with four items each of every kind."""
    root = tmp_path_factory.mktemp("facts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CFT_DATA_DIR", str(write_facts(root / "data", things=40)))
        patch.setattr("torch.utils.collect_env.get_pretty_env_info", str)
        for name, (seed, gains) in MODELS.items():
            scored(knowing(seed, gains), root / name, task_folder(), ["cft_facts"])
    return root


def three_arms(facts: Path) -> list[str]:
    arms = [
        f"{arm}@{seed}={facts / f'{arm}{seed}'}" for seed in (1, 2, 3) for arm in ("cpt", "cft")
    ]
    return [f"base={facts / 'base'}", *arms, "--baseline", "cpt"]


@pytest.fixture(scope="module")
def report(facts: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("report")
    text = run_report(*three_arms(facts), folder)
    return text, json.loads((folder / "report.json").read_text())


def compared(record: dict[str, Any], group: str, task: str | None) -> dict[str, Any]:
    [found] = [
        c
        for c in record["comparisons"]
        if (c["group"], c["task"], c["row"]) == (group, task, "cft")
    ]
    return found


def logged(facts: Path, arm: str, task: str, metric: str) -> np.ndarray:
    """`(seeds, items)`"""
    runs = [samples(facts / f"{arm}{seed}", task) for seed in (1, 2, 3)]
    return np.array([[sample[metric] for sample in run] for run in runs])


@pytest.mark.slow
def test_the_average_is_over_new_wordings_and_the_rest_stands_beside(report, facts):
    text, record = report
    header = table_row(text, "## cft_facts: accuracy", "Model")
    assert header == ["Model", *TITLES, "Average of reworded and question"]
    shown = table_row(text, "## cft_facts: accuracy", "cft")
    means = [100 * logged(facts, "cft", task, "acc").mean() for task in HEADLINE]
    assert [float(cell.split()[0]) for cell in shown[1:3]] == pytest.approx(means, abs=0.0051)
    assert float(shown[-1].split()[0]) == pytest.approx(np.mean(means), abs=0.0051)
    average = compared(record, "cft_facts", None)
    assert average["tasks"] == list(HEADLINE) and average["items"] == 320
    first = text[: text.index("## Before")] if "## Before" in text else text
    assert "**cft against cpt on cft_facts** (average accuracy of reworded and question" in first
    assert "verbatim" not in first and "two-hop" not in first


def test_a_known_difference_in_bits_is_found(report, facts):
    """0.75 bits of the answer, of which the accuracy shows some points."""
    text, record = report
    for task in HEADLINE:
        gap = logged(facts, "cft", task, "bits") - logged(facts, "cpt", task, "bits")
        found = compared(record, "cft_facts in bits", f"{task} in bits")
        assert found["metric"] == "bits" and found["difference"] == pytest.approx(gap.mean())
        assert record["scores"]["cft"]["1"][f"{task} in bits"] == pytest.approx(
            logged(facts, "cft", task, "bits")[0].mean()
        )
    average = compared(record, "cft_facts in bits", None)
    low, high = average["interval"]
    assert low < 0.75 < high and average["verdict"] == "better"
    said = "**cft against cpt on cft_facts in bits** (average log2 p(answer) of reworded and "
    line = next(line for line in text.splitlines() if said in line)
    assert f": +{average['difference']:.3f} bits (95 % interval over items and seeds" in line
    assert "an improvement" in line and "points" not in line
    verbatim = compared(record, "cft_facts in bits", "cft_facts_verbatim in bits")
    assert verbatim["interval"][0] < 0 < verbatim["interval"][1]
    shown = table_row(text, "## cft_facts in bits: log2 p(answer)", "cft")[1]
    assert re.fullmatch(r"−\d+\.\d{3} \(−\d+\.\d{3} to −\d+\.\d{3}\)", shown)
    assert number(shown) == pytest.approx(
        logged(facts, "cft", HEADLINE[0], "bits").mean(), abs=1e-3
    )


def test_questions_about_one_thing_are_one_unit_across_the_average(report, facts):
    """A thing that is known better is so in both wordings: 40 things, not 80."""
    text, record = report
    average = compared(record, "cft_facts in bits", None)
    row = table_row(
        text[text.index("## cft_facts in bits") :],
        "### cft against cpt",
        "**Average of reworded and question**",
    )
    assert row[1] == "320 of 40 values of thing"
    gaps = [
        (logged(facts, "cft", task, "bits") - logged(facts, "cpt", task, "bits")).mean(axis=0)
        for task in HEADLINE
    ]
    things = np.mean([gap.reshape(40, 4).mean(axis=1) for gap in gaps], axis=0)
    over_items = np.var(things, ddof=1) / 40
    half = (average["interval"][1] - average["interval"][0]) / 2
    assert half > 1.9 * math.sqrt(over_items)
    single = sum(np.var(gap.reshape(40, 4).mean(axis=1), ddof=1) / 40 for gap in gaps) / 4
    assert over_items > 1.3 * single  # as if the two wordings had nothing to do with one another


def test_an_average_of_shared_units_is_the_mean_over_them():
    rng = np.random.default_rng(3)
    thing = rng.normal(size=(4, 30, 1))
    answers = [thing + rng.normal(size=(4, 30, 5)) + level for level in (0.0, 7.0)]
    units = rng.permutation(30) * 11
    tasks = [Outcomes(a.reshape(4, -1), units=np.repeat(units, 5)) for a in answers]
    tasks[1] = Outcomes(tasks[1].answers[:, ::-1], units=tasks[1].units[::-1])  # in any order
    found = average_of_shared(tasks, [1.0, 3.0])
    means = (answers[0].mean(axis=2) + 3 * answers[1].mean(axis=2)) / 4
    assert found.values == pytest.approx(means.mean(axis=1)) and found.units == 30
    assert found.covariance == pytest.approx(np.cov(means) / 30)
    apart = average_of_others([task.measure("") for task in tasks], [1.0, 3.0])
    assert (np.diag(apart.covariance) < 0.75 * np.diag(found.covariance)).all()


def test_a_control_at_chance_is_said_and_not_flagged(report):
    text, record = report
    said = "- **control: never taught** (chance 12.50 %): at chance in base, cpt and cft."
    assert text.index(said) < text.index("**base against cpt on cft_facts**")
    assert "off chance" not in text and not any("control" in w for w in record["warnings"])
    assert "on control" not in text[: text.index("## cft_facts")]  # nothing is gained there


def test_a_control_off_chance_is_flagged(facts, tmp_path):
    text = run_report(f"cpt={facts / 'cpt1'}", f"leak={facts / 'leak'}", tmp_path)
    right = np.mean([s["acc"] for s in samples(facts / "leak", "cft_facts_never_taught")])
    first, _, doubts = text.partition("## Before you believe it")
    assert f"(chance 12.50 %): **off chance**, leak scores {100 * right:.2f} % (95 % int" in first
    assert "the options give something away, so do not read the scores of cft_facts." in first
    assert "(chance 12.50 %): at chance in cpt." in first
    assert (
        f"the control cft_facts_never_taught is off chance (12.50 %): leak scores {100 * right:.2f}"
        in doubts
    )
    assert json.loads((tmp_path / "report.json").read_text())["warnings"][0].startswith(
        "the control"
    )
    # Of a control nobody is told that it does not beat a constant answer.
    assert "best constant answer on cft_facts_never_taught" not in text


def test_a_control_without_logs_is_not_said_to_be_at_chance(facts, tmp_path):
    import shutil

    shutil.copytree(facts / "leak", tmp_path / "leak")
    for path in (tmp_path / "leak").glob("*/samples_*"):
        path.unlink()
    text = run_report(tmp_path / "leak", tmp_path / "out")
    assert "not tested in leak: that takes the scores of single items (`lm_eval --log" in text


def controlled(row: str, seed: str, right: np.ndarray) -> Evaluation:
    items = Items({}, (), right.astype(float), None, None, units=np.arange(len(right)) // 4)
    result = TaskResult(
        task="control",
        metric="acc",
        score=float(right.mean()),
        metrics={},
        count=len(right),
        higher_is_better=True,
        version="1",
        fewshot="0",
        logged=True,
        items=items,
        control_chance=0.125,
    )
    return Evaluation(row, seed, {"control": result}, {}, {})


@pytest.mark.parametrize("seeds", [1, 3])
def test_controls_at_chance_are_rarely_flagged_and_others_found(seeds):
    """Reports of six rows: a false alarm in hardly more than 5 % of them, by whatever row."""
    rng = np.random.default_rng(seeds)
    false, found = 0, 0
    for _ in range(300):
        rates = {row: 0.25 if row == "f" else 0.125 for row in "abcdef"}
        runs = [
            controlled(row, str(seed), rng.random(256) < rate)
            for row, rate in rates.items()
            for seed in range(seeds)
        ]
        off = {control.row for control in check_controls(runs) if control.off_chance}
        false += bool(off - {"f"})
        found += "f" in off
    assert false <= 300 * 0.08 and found >= 300 * 0.9, (false, found)


def test_a_run_that_is_right_seldom_by_luck_is_at_chance():
    """Its own spread is small: 12 of 160 right where 20 were to be expected is no certainty."""
    right = np.arange(160) % 14 == 0
    (control,) = check_controls([controlled("cft", "1", right)])
    assert control.score == 0.075 and not control.off_chance
    assert (0.125 - control.score) / math.sqrt(0.075 * 0.925 / 160) > 2.3


def study(facts: Path, folder: Path, **facts_of_study: Any) -> Path:
    import shutil

    runs: list[dict[str, Any]] = []
    for arm, seed in (("base", None), *((arm, s) for arm in ("cpt", "cft") for s in (1, 2, 3))):
        name = arm if seed is None else f"{arm}{seed}"
        shutil.copytree(facts / name, folder / name / "eval")
        run = {"arm": arm, "seed": seed, "stage": None, "status": "done"}
        train = None if seed is None else f"{name}/train"
        if train:
            (folder / train).mkdir()
        runs.append({**run, "eval_dir": f"{name}/eval", "train_dir": train})
    record = {"schema": 1, "name": "A study", "baseline": "cpt", "runs": runs, **facts_of_study}
    (folder / "study.json").write_text(json.dumps(record))
    return folder


def test_base_facts_say_what_was_forgotten(facts, tmp_path):
    folder = study(
        facts, tmp_path / "s", tasks=["cft_facts"], general=["cft_facts_base"], untouched="base"
    )
    text = run_report(folder, tmp_path / "out")
    record = json.loads((tmp_path / "out/report.json").read_text())
    assert record["general"] == ["cft_facts_base", "cft_facts_base in bits"]
    said = [line for line in text.splitlines() if line.startswith("- **General ability, ")]
    assert [line.partition("**: ")[0][21:] for line in said] == [
        "cft against cpt",
        "cpt against base, the untouched model",
        "cft against base, the untouched model",
    ]
    change = next(
        c
        for c in record["against_untouched"]
        if (c["row"], c["task"]) == ("cft", "cft_facts_base in bits")
    )
    assert change["interval"][0] < -1.5 < change["interval"][1] and change["verdict"] == "worse"
    assert (
        f"{change['difference']:.3f} bits on base facts (log2 p(answer), 160 items".replace(
            "-", "−"
        )
        in said[2]
    )
    assert "points on base facts (accuracy, 160 items" in said[2]


def test_one_seed_is_compared_in_both_metrics(facts, tmp_path):
    text = run_report(f"cpt={facts / 'cpt1'}", f"cft={facts / 'cft1'}", tmp_path)
    assert "this model of cft is better than this one of cpt" in text
    assert "| cft_facts_question in bits | bits | 160 | 0 | 1.0 |" in text
    assert "has no result for" not in text


def test_a_run_without_some_kinds_has_no_average_of_half_of_it(facts, tmp_path):
    """Averages are over what all compared runs have; what lacks is named once a task."""
    import shutil

    shutil.copytree(facts / "cft1", tmp_path / "cft")

    def drop(content: dict[str, Any]) -> None:
        for part in ("results", "configs", "versions", "n-shot", "higher_is_better", "n-samples"):
            content[part].pop("cft_facts_question", None)
        content["groups"], content["group_subtasks"] = {}, {}

    edit(results_file(next((tmp_path / "cft").iterdir())), drop)
    text = run_report(f"cpt={facts / 'cpt1'}", tmp_path / "cft", tmp_path / "out")
    assert "cft has no result for cft_facts_question; averages over it leave that run out" in text
    assert "cft_facts_question in bits;" not in text
    assert "**cft against cpt on reworded** (accuracy, 160 items of 40 values of thing)" not in text


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (
            {"also": ["nats"]},
            "wants 'nats' compared (`also` in its metadata), of which there is no score (it has",
        ),
        ({"also": "bits"}, "also of cft_facts_question is 'bits', not a list of metrics"),
        ({"control_chance": 8}, "control_chance of cft_facts_question is 8, not a share of one"),
        ({"items_share": "subject"}, "share 'subject', which is no column"),
    ],
)
def test_wrong_metadata_is_an_error(facts, tmp_path, metadata, message):
    import shutil

    shutil.copytree(facts / "cft1", tmp_path / "cft")

    def change(content: dict[str, Any]) -> None:
        content["configs"]["cft_facts_question"]["metadata"].update(metadata)

    edit(results_file(next((tmp_path / "cft").iterdir())), change)
    assert message in refusal(tmp_path / "out", tmp_path / "cft")


def theirs(facts: Path, arm: str, to: Path) -> Path:
    """A run whose tasks are called as if they were none of ours."""
    import shutil

    shutil.copytree(facts / arm, to)
    for path in sorted(to.rglob("*_2*")):
        path.write_text(path.read_text().replace("cft_facts", "their_facts"))
        path.rename(path.with_name(path.name.replace("cft_facts", "their_facts")))
    return to


def test_a_further_metric_that_is_no_number_is_left_out_alone(facts, tmp_path):
    def spoil(content: dict[str, Any]) -> None:
        content["results"]["their_facts_question"]["bits,none"] = math.nan

    edit(results_file(next(theirs(facts, "cft1", tmp_path / "cft").iterdir())), spoil)
    text = run_report(theirs(facts, "cpt1", tmp_path / "cpt"), tmp_path / "cft", tmp_path / "out")
    assert "their_facts_question in bits of cft is left out (results_" in text
    assert "bits of their_facts_question is nan; nothing can be compared with it)" in text
    assert "their_facts_question of cft is left out" not in text


def test_a_log_of_ours_without_a_further_metric_is_damaged(facts, tmp_path):
    import shutil

    shutil.copytree(facts / "cft1", tmp_path / "cft")
    (log,) = (tmp_path / "cft").glob("*/samples_cft_facts_question_2*.jsonl")
    log.write_text(log.read_text().replace('"bits":', '"nats":', 1))
    message = refusal(tmp_path / "out", tmp_path / "cft")
    assert message.endswith("lacks bits of some items; evaluate again")


def test_any_task_may_want_a_further_metric(facts, tmp_path):
    """Not ours alone, and in a group that the harness averages too."""
    run = read_run(theirs(facts, "cft1", tmp_path / "cft"), "cft")
    assert run.tasks["their_facts_question in bits"].metric == "bits"
    assert run.evaluated == [name for name in run.tasks if " in " not in name]
    text = run_report(tmp_path / "cft", tmp_path / "out")
    assert "## their_facts_new_wordings in bits: bits" in text
    assert "## other tasks in bits" in text and "(chance 12.50 %): at chance in cft." in text
