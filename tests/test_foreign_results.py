"""The report on tasks that are none of ours, scored by the real harness (`harness_tasks.py`)."""

import json
import math
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from harness_tasks import GROUPS, ITEMS, TASKS, scored, write_tasks
from sklearn.metrics import f1_score

from axolotl_cft.cli.report import report
from axolotl_cft.errors import CFTError
from axolotl_cft.evaluation.items import Headline, read_items
from axolotl_cft.evaluation.results import Evaluation, read_run

MEMBERS = set(re.findall(r"\w+", " ".join(GROUPS.values())))
NAMES = [*GROUPS, "squadv2", *(task for task in TASKS if task not in MEMBERS)]
TEN = ("short", "brief", "tail")  # of ten items
# Task -> what is compared of it; in brackets the filter of the answers.
MEANS = {
    "mrpc": "acc",
    "hellaswag": "acc",
    "truthfulqa_mc1": "acc",
    "truthfulqa_mc2": "acc",
    "crows_pairs": "likelihood_diff",
    "lambada": "acc",
    "gsm8k": "exact_match [strict-match]",
    "drop": "em",
    "humaneval": "pass@1",
    "bbq": "acc",
    "own_mean": "score",
    "stories": "acc",
    "blocks": "acc",
    **dict.fromkeys(TEN, "acc"),
}
WEIGHTED = {"wikitext": "bits_per_byte", "pile": "bits_per_byte"}
OF_THE_WHOLE = {
    "cola": "mcc",
    "words": "word_perplexity",
    "wmt": "bleu",
    "squadv2": "exact",
    "own_best": "score",
}


def canned_model(seed: int) -> Any:
    """An lm-eval model whose answers are as good as a die's, but always the same."""
    from lm_eval.api.model import LM

    class Canned(LM):
        def _die(self, request: Any) -> random.Random:
            return random.Random(f"{seed} {request.args!r}")

        def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[Any]:
            dice = map(self._die, requests)
            return [(-9 * die.random(), die.random() < 0.3 + 0.1 * seed) for die in dice]

        def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> Any:
            return [-len(r.args[0]) * (1 + self._die(r).random()) for r in requests]

        def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
            said = ["#### {}", "it is {}, I think", "{}", "#### 7", "no idea what"]
            return [self._die(r).choice(said).format(r.doc["answer"]) for r in requests]

    return Canned()


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `cpt` and `cft`, each with every task, and `mute` with generated answers only."""
    root = tmp_path_factory.mktemp("foreign")
    tasks = write_tasks(root / "tasks")
    with pytest.MonkeyPatch.context() as patch:
        # A dump of the machine's packages: seconds an evaluation, and nothing of it is read.
        patch.setattr("torch.utils.collect_env.get_pretty_env_info", str)
        patch.setenv("HF_DATASETS_CACHE", str(root / "cache"))
        for seed, name in enumerate(("cpt", "cft")):
            scored(canned_model(seed), root / name, tasks, NAMES)
        scored(canned_model(0), root / "mute", tasks, ["gsm8k", "mrpc"], predict_only=True)
    return root


@pytest.fixture(scope="session")
def runs(root: Path) -> dict[str, Evaluation]:
    return {name: read_run(root / name, name) for name in ("cpt", "cft")}


def results_file(folder: Path) -> Path:
    return next(folder.glob("*/results_*.json"))


def content(folder: Path) -> dict[str, Any]:
    return json.loads(results_file(folder).read_text())


def samples(folder: Path, task: str) -> list[dict[str, Any]]:
    (path,) = folder.glob(f"*/samples_{task}_2*.jsonl")
    return sorted(map(json.loads, path.open()), key=lambda sample: sample["doc_id"])


def copy_with(root: Path, folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of `cft` with another results file."""
    shutil.copytree(root / "cft", folder)
    changed = content(folder)
    change(changed)
    results_file(folder).write_text(json.dumps(changed))
    return folder


def run_report(output: Path, *folders: str | Path) -> str:
    result = CliRunner().invoke(report, [*map(str, folders), "--output-dir", str(output)])
    assert result.exit_code == 0, (result.output, result.exception)
    return (output / "report.md").read_text()


@pytest.mark.parametrize(("task", "metric"), MEANS.items())
def test_a_mean_over_items_is_compared(
    root: Path, runs: dict[str, Evaluation], task: str, metric: str
) -> None:
    for name, run in runs.items():
        result = run.tasks[task]
        key = metric.replace(" [", ",").removesuffix("]")
        key = key if "," in key else f"{key},none"
        assert result.metric == metric
        assert result.score == content(root / name)["results"][task][key]
        assert result.items is not None and result.items.values is not None
        assert result.items.weights is None
        assert len(result.items.values) == result.count == (10 if task in TEN else ITEMS)
        assert result.items.values.mean() == pytest.approx(result.score)
    assert runs["cpt"].tasks[task].score != runs["cft"].tasks[task].score
    assert result.higher_is_better == (metric != "likelihood_diff")


@pytest.mark.parametrize("task", WEIGHTED)
def test_bits_per_byte_is_a_mean_weighted_by_bytes(
    root: Path, runs: dict[str, Evaluation], task: str
) -> None:
    for name, run in runs.items():
        result = run.tasks[task]
        assert (result.metric, result.higher_is_better) == ("bits_per_byte", False)
        assert result.score == content(root / name)["results"][task]["bits_per_byte,none"]
        logged = samples(root / name, task)
        items = result.items
        assert items is not None and items.values is not None and items.weights is not None
        assert items.weights == pytest.approx([len(s["doc"]["text"].encode()) for s in logged])
        bits = [-s["bits_per_byte"][0] / math.log(2) for s in logged]
        assert items.values * items.weights == pytest.approx(bits)
        assert np.average(items.values, weights=items.weights) == pytest.approx(result.score)
        assert items.values.mean() != pytest.approx(result.score)


@pytest.mark.parametrize(("task", "metric"), OF_THE_WHOLE.items())
def test_a_score_of_the_whole_set_is_listed_without_an_interval(
    root: Path, runs: dict[str, Evaluation], task: str, metric: str
) -> None:
    result = runs["cft"].tasks[task]
    assert (result.metric, result.logged, result.items) == (metric, True, None)
    assert result.score == content(root / "cft")["results"][task][f"{metric},none"]
    assert result.higher_is_better == (metric != "word_perplexity")


def test_binary_f1_is_not_taken_for_weighted_f1(root: Path, runs: dict[str, Evaluation]) -> None:
    gold, predicted = zip(*(s["f1"] for s in samples(root / "cft", "mrpc")), strict=True)
    binary = f1_score(gold, predicted)
    assert runs["cft"].tasks["mrpc"].metrics["f1"] == pytest.approx(binary)
    assert abs(f1_score(gold, predicted, average="weighted") - binary) > 0.01


def test_a_weighted_f1_is_recognized_by_its_score(runs: dict[str, Evaluation]) -> None:
    result = runs["cft"].tasks["own_weighted_f1"]
    assert result.items is not None and result.items.values is None
    gold, predicted = result.items.gold, result.items.predicted
    assert result.score == pytest.approx(f1_score(gold, predicted, average="weighted"))


def test_f1_alone_is_listed_as_reported(root: Path, tmp_path: Path) -> None:
    def drop(changed: dict[str, Any]) -> None:
        changed["results"]["mrpc"].pop("acc,none")

    result = read_run(copy_with(root, tmp_path / "f1", drop), "f1").tasks["mrpc"]
    assert (result.metric, result.items) == ("f1", None)


def test_each_filter_of_the_answers_is_a_score_of_its_own(
    root: Path, runs: dict[str, Evaluation]
) -> None:
    result = runs["cft"].tasks["gsm8k"]
    row = content(root / "cft")["results"]["gsm8k"]
    assert result.metrics == {
        "exact_match [strict-match]": row["exact_match,strict-match"],
        "exact_match [flexible-extract]": row["exact_match,flexible-extract"],
    }
    assert len(set(result.metrics.values())) == 2
    strict = [s for s in samples(root / "cft", "gsm8k") if s["filter"] == "strict-match"]
    assert result.items is not None and result.items.values is not None
    assert list(result.items.values) == [s["exact_match"] for s in strict]


def test_right_choices_that_always_stand_first_have_no_constant_answer(
    runs: dict[str, Evaluation],
) -> None:
    for task in ("truthfulqa_mc1", "truthfulqa_mc2"):
        items = runs["cft"].tasks[task].items
        assert items is not None and items.gold is None
    items = runs["cft"].tasks["hellaswag"].items
    assert items is not None and items.gold is not None and items.predicted is not None
    assert (items.gold == items.predicted).mean() == runs["cft"].tasks["hellaswag"].score


def test_the_report_lists_every_task(
    root: Path, runs: dict[str, Evaluation], tmp_path: Path
) -> None:
    text = run_report(tmp_path, f"cpt={root / 'cpt'}", f"cft={root / 'cft'}")
    for task in [*MEANS, *WEIGHTED, "own_weighted_f1", *OF_THE_WHOLE]:
        rows = [line for line in text.splitlines() if line.startswith(f"| {task} |")]
        compared = [line for line in rows if " to " in line]
        assert rows and bool(compared) == (task not in OF_THE_WHOLE), (task, rows)
    assert "| gsm8k | exact_match [strict-match] | 40 |" in text
    assert "undefined of cft is left out (results_" in text and "acc of undefined is nan" in text
    assert str(root) not in text


def test_a_task_of_others_that_is_another_test_there_is_left_out(
    root: Path, tmp_path: Path
) -> None:
    def change(results: dict[str, Any]) -> None:
        results["versions"]["mrpc"] = 9.0

    other = copy_with(root, tmp_path / "other", change)
    text = run_report(tmp_path / "out", f"cpt={root / 'cpt'}", f"cft={other}")
    assert "mrpc is left out: mrpc has version" in text
    assert "| mrpc |" not in text and "hellaswag" in text


def test_units_and_weights_reach_the_interval(root: Path, tmp_path: Path) -> None:
    run_report(tmp_path, f"cpt={root / 'cpt'}", f"cft={root / 'cft'}")
    compared = json.loads((tmp_path / "report.json").read_text())["comparisons"]
    by_task = {c["task"]: c for c in compared}
    text = (tmp_path / "report.md").read_text()
    assert re.search(r"\| stories \| \d+ of \d+ values of story \|", text)
    # t's degrees of freedom are those of the stories, not of the sentences in them.
    stories = int(re.search(r"of (\d+) values of story", text)[1])  # type: ignore[index]
    assert by_task["stories"]["degrees_of_freedom"] == pytest.approx(stories - 1)
    cpt, cft = (samples(root / name, "wikitext") for name in ("cpt", "cft"))
    size = sum(sample["bits_per_byte"][1] for sample in cpt)
    gap = [a["bits_per_byte"][0] - b["bits_per_byte"][0] for a, b in zip(cpt, cft, strict=True)]
    expected = sum(gap) / size / math.log(2)
    assert by_task["wikitext"]["difference"] == pytest.approx(expected)


def test_groups_keep_the_harnesss_average(root: Path, runs: dict[str, Evaluation]) -> None:
    groups = content(root / "cft")["groups"]
    expected = {
        "by_size": ("acc", "acc,none", {"bbq", "brief"}),
        "unweighted": ("acc", "acc,none", {"hellaswag", "short"}),
        "outer": ("acc", "acc,none", {"mrpc", "stories", "tail"}),
        "filtered": ("exact_match [strict-match]", "exact_match,strict-match", {"gsm8k"}),
    }
    for name, (metric, key, leaves) in expected.items():
        found = runs["cft"].groups[name]
        assert (found[0], found[1], set(found[2])) == (metric, groups[name][key], leaves)
    tasks = runs["cft"].tasks
    by_size = (40 * tasks["bbq"].score + 10 * tasks["brief"].score) / 50
    assert runs["cft"].groups["by_size"][1] == pytest.approx(by_size)


def test_a_group_without_one_of_its_tasks_is_no_group(root: Path, tmp_path: Path) -> None:
    def spoil(changed: dict[str, Any]) -> None:
        changed["results"]["short"]["acc,none"] = float("nan")

    folder = copy_with(root, tmp_path / "cft", spoil)
    run = read_run(folder, "cft")
    assert "short" not in run.tasks and "unweighted" not in run.groups
    assert {"by_size", "outer", "filtered"} <= run.groups.keys()
    text = run_report(tmp_path / "out", f"cpt={root / 'cpt'}", folder)
    assert "short of cft is left out" in text
    assert "cft has no result for short" in text


def test_a_task_whose_metrics_were_not_computed_is_left_out(root: Path, tmp_path: Path) -> None:
    with pytest.raises(CFTError, match="holds results without any task"):
        read_run(root / "mute", "mute")
    folder = tmp_path / "cft"
    shutil.copytree(root / "cft", folder)
    shutil.copytree(next((root / "mute").iterdir()), next(folder.iterdir()), dirs_exist_ok=True)
    run = read_run(folder, "cft")
    assert "drop" in run.tasks and not {"gsm8k", "mrpc"} & run.tasks.keys()
    assert any("gsm8k has no numeric metric" in note for note in run.notes)


def test_a_log_that_does_not_give_the_score_costs_the_interval_only(
    root: Path, tmp_path: Path
) -> None:
    def change(changed: dict[str, Any]) -> None:
        changed["results"]["drop"]["em,none"] += 0.25

    folder = copy_with(root, tmp_path / "cft", change)
    (log,) = folder.glob("*/samples_hellaswag_*")
    log.write_text(log.read_text()[:-30])
    run = read_run(folder, "cft")
    notes = "\n".join(run.notes)
    assert "drop of cft has no interval (samples_drop_" in notes
    assert "hellaswag of cft has no interval (samples_hellaswag_" in notes
    for task in ("drop", "hellaswag"):
        assert run.tasks[task].logged and run.tasks[task].items is None
    run_report(tmp_path / "out", f"cpt={root / 'cpt'}", folder)


def test_without_sample_logs_the_same_metrics_are_listed(
    root: Path, runs: dict[str, Evaluation], tmp_path: Path
) -> None:
    folder = copy_with(root, tmp_path / "cft", lambda changed: None)
    for log in folder.glob("*/samples_*"):
        log.unlink()
    run = read_run(folder, "cft")
    assert {t: r.metric for t, r in run.tasks.items()} == {
        t: r.metric for t, r in runs["cft"].tasks.items()
    }
    assert not any(result.items for result in run.tasks.values())


def test_items_that_share_a_document_are_told(
    root: Path, runs: dict[str, Evaluation], tmp_path: Path
) -> None:
    by_column, by_place = (runs["cft"].tasks[task].items for task in ("stories", "blocks"))
    assert by_column is not None and by_place is not None
    assert by_column.units is not None and by_place.units is not None
    assert [len(set(by_column.units[i : i + 4])) for i in range(0, ITEMS, 4)] == [1] * 10
    assert len(set(by_column.units)) == 10
    # Blocks of 15 would leave three: too few to tell anything.
    assert list(by_place.units) == [place // 4 for place in range(ITEMS)]
    assert (by_column.unit_name, by_place.unit_name) == ("values of story", "blocks of 4 items")

    def change(changed: dict[str, Any]) -> None:
        changed["configs"]["blocks"]["metadata"]["items_in_blocks_of"] = 3

    shorter = read_run(copy_with(root, tmp_path / "cft", change), "cft").tasks["blocks"].items
    assert shorter is not None and shorter.unit_name == "blocks of 3 items"
    plain = runs["cft"].tasks["hellaswag"].items
    assert plain is not None and plain.units is None and plain.unit_name == ""


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"items_share": "chapter"}, "stories says that its items share 'chapter', which is no"),
        ({"items_share": ""}, "items_share of stories is ''"),
        ({"items_in_blocks_of": 0}, "items_in_blocks_of of stories is 0"),
        ({"items_in_blocks_of": "ten"}, "items_in_blocks_of of stories is 'ten'"),
        ({"items_share": "story", "items_in_blocks_of": 5}, "stories has both"),
    ],
)
def test_a_wrong_unit_is_an_error(
    root: Path, tmp_path: Path, metadata: dict[str, Any], message: str
) -> None:
    def change(changed: dict[str, Any]) -> None:
        changed["configs"]["stories"]["metadata"] = metadata

    with pytest.raises(CFTError) as error:
        read_run(copy_with(root, tmp_path / "cft", change), "cft")
    assert message in str(error.value)


def log_of(path: Path, values: list[Any]) -> Path:
    lines = (json.dumps({"doc_id": i, "score": value}) for i, value in enumerate(values))
    path.write_text("".join(line + "\n" for line in lines))
    return path


@pytest.mark.parametrize(
    ("aggregation", "values"),
    [
        ("unknown", [[0.5, [0.1, 0.9]], [1.5, [0.2, 0.8]]]),
        ("unknown", [1.0, None]),
        ("unknown", []),
        ("mean", [0.5, "N/A"]),
        ("bits_per_byte", [[-1.0, 0], [-2.0, 3]]),
        ("bits_per_byte", [["a", "b"], [-2.0, 3]]),
        ("bits_per_byte", [1.0, 2.0]),
    ],
)
def test_logs_that_hold_no_scores_of_items_have_none(
    tmp_path: Path, aggregation: str, values: list[Any]
) -> None:
    path = log_of(tmp_path / "log.jsonl", values)
    headline = Headline("task", "score", "none", 0.5, len(values), aggregation, None, False)
    assert read_items(path, headline) is None


@pytest.mark.parametrize(("different", "labels"), [(100, True), (300, False)])
def test_pairs_of_texts_are_no_labels(tmp_path: Path, different: int, labels: bool) -> None:
    path = log_of(tmp_path / "log.jsonl", [[f"text {i}", f"text {i}"] for i in range(different)])
    headline = Headline("task", "score", "none", 1.0, different, "unknown", None, False)
    assert (read_items(path, headline) is not None) == labels
