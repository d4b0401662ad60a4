"""The report on results that the real harness wrote.

A canned model answers small local copies of the benchmarks through the tasks in `eval_tasks`, and
`lm_eval`'s own tracker writes the folders that the report reads.
"""

import json
import math
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from harness_tasks import scored
from scipy.stats import binomtest
from sklearn.metrics import f1_score

from axolotl_cft.cli import main
from axolotl_cft.cli.report import report
from axolotl_cft.core.ledger import Ledger
from axolotl_cft.evaluation.comparison import Comparison, Verdict
from axolotl_cft.evaluation.layout import signed
from axolotl_cft.evaluation.results import is_percent
from axolotl_cft.evaluation.statistics import Scores, difference
from axolotl_cft.evaluation.tasks import task_groups
from axolotl_cft.evaluation.wording import verdict_in_words
from axolotl_cft.records import CONTAMINATED_ITEMS_FILE

TASKS = Path(__file__).parent.parent / "eval_tasks"
TOPICS = "Finance;Technology;Tax & Accounting;Business & Management;Government & Controls;Industry"
# Benchmark -> its choices and how many items have each as gold; Causal20 is 93.4 % noise.
LABELS = {
    "fiqa": (["negative", "positive", "neutral"], (36, 66, 18)),
    "causal20": (["noise", "causal"], (467, 33)),
    "multifin": (TOPICS.split(";"), (18, 9, 27, 18, 9, 9)),
}
SUBJECTS = "anatomy clinical_knowledge college_biology college_medicine medical_genetics"
SUBJECTS += " professional_medicine"


@dataclass(frozen=True)
class Skill:
    """How a canned model answers: how often rightly, and what it says where it does not."""

    accuracy: float
    seed: int
    constant: str | None = None
    mute: float = 0.0
    run_on: bool = False


def write_benchmarks(folder: Path) -> None:
    """Benchmarks in the hub's columns, with as many items as a fast test can take."""
    rng = random.Random(7)
    for name, (choices, counts) in LABELS.items():
        golds = [label for label, count in enumerate(counts) for _ in range(count)]
        rng.shuffle(golds)
        rows = []
        for i, gold in enumerate(golds):
            text = f"{name} sentence {i}"
            query = f"Which one is it?\nText: {text}\nAnswer:"
            answer = {"answer": choices[gold], "choices": choices, "gold": gold}
            rows.append({"id": f"{name}{i}", "query": query, "text": text, **answer})
        write_rows(folder / name / "test.jsonl", rows)
    for subject in SUBJECTS.split():
        rows = [
            {
                "question": f"{subject} question {i}",
                "subject": subject,
                "choices": [f"{letter}{i}" for letter in "wxyz"],
                "answer": rng.randrange(4),
            }
            for i in range(60)
        ]
        write_rows(folder / "mmlu" / subject / "test.jsonl", rows)
    rows = [
        {"id": str(i), "sent1": f"medqa case {i}", "sent2": "", "label": rng.randrange(4)}
        | {f"ending{j}": f"{i}-{j}" for j in range(4)}
        for i in range(150)
    ]
    write_rows(folder / "medqa" / "test.jsonl", rows)
    texts = ["word " * 3 * (i + 1) for i in range(20)]
    sizes = [{"bytes": len(t), "words": len(t.split()), "tokens": len(t) // 4} for t in texts]
    rows = [{"text": t, "key": str(i), **sizes[i]} for i, t in enumerate(texts)]
    write_rows(folder / "heldout" / "test.jsonl", rows)


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def canned_model(skill: Skill) -> Any:
    """An lm-eval model that knows the gold answers and errs as its skill says."""
    from lm_eval.api.model import LM

    class CannedModel(LM):
        def _right(self, key: str) -> random.Random | None:
            rng = random.Random(f"{skill.seed} {key}")
            # Half of the luck is the item's: what is hard for one model is hard for others.
            luck = (random.Random(key).random() + rng.random()) / 2
            return None if luck < skill.accuracy else rng

        def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
            answers = []
            for request in requests:
                doc = request.doc
                if (rng := self._right(doc["text"])) is None:
                    answer = doc["choices"][doc["gold"]]
                elif rng.random() < skill.mute:
                    answer = "I cannot say."
                else:
                    answer = rng.choice(doc["choices"])
                answer = skill.constant or answer
                tail = f"\nText: more\nAnswer: {doc['choices'][0]}" if skill.run_on else ""
                answers.append(f" {answer}{tail}")
            return answers

        def loglikelihood(
            self, requests: list[Any], disable_tqdm: bool = False
        ) -> list[tuple[float, bool]]:
            found = []
            for request in requests:
                doc = request.doc
                key = str(doc.get("question") or doc.get("sent1") or doc["text"])
                gold = next(
                    doc[k] for k in ("answer", "label", "gold") if isinstance(doc.get(k), int)
                )
                choice = request.idx
                rng = self._right(key)
                best = gold if rng is None else rng.randrange(4)
                found.append((-1.0 if choice == best else -2.0 - choice, choice == best))
            return found

        def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> Any:
            luck = [random.Random(request.args[0]).random() for request in requests]
            return [
                -(skill.seed / 10 + more) * len(request.args[0])
                for request, more in zip(requests, luck, strict=True)
            ]

    return CannedModel()


def evaluate(
    folder: Path, skill: Skill, tasks: list[str], include: Path = TASKS, **options: Any
) -> Path:
    return scored(canned_model(skill), folder, include, tasks, bare=True, **options)


GROUPS = ["cft_medical", "cft_financial", "cft_financial_mc"]
SKILLS = {
    "base": Skill(0.45, 1, mute=0.3),
    "cpt": Skill(0.50, 2, mute=0.05),
    "cft": Skill(0.62, 3),
}


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Evaluated folders: `base`, `cpt` and `cft` on all groups, the others on one task."""
    root = tmp_path_factory.mktemp("evaluated")
    write_benchmarks(root / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CFT_DATA_DIR", str(root / "data"))
        # A dump of the machine's packages: seconds an evaluation, and nothing of it is read.
        patch.setattr("torch.utils.collect_env.get_pretty_env_info", str)
        for name, skill in SKILLS.items():
            evaluate(root / name, skill, GROUPS)
        for seed in range(1, 6):
            evaluate(root / f"cpt{seed}", Skill(0.50, 10 + seed), ["cft_fiqa"])
            evaluate(root / f"cft{seed}", Skill(0.60, 20 + seed), ["cft_fiqa"])
        for seed in (1, 2, 3):
            evaluate(root / f"bare cpt{seed}", Skill(0.5, 10 + seed), ["cft_heldout"])
            evaluate(root / f"bare cft{seed}", Skill(0.5, 5 + seed), ["cft_heldout", "cft_fiqa"])
        evaluate(root / "noise", Skill(0.0, 1, constant="noise"), ["cft_causal20"])
        evaluate(root / "shots", SKILLS["cft"], ["cft_causal20"], num_fewshot=2)
        evaluate(root / "limited", SKILLS["cft"], ["cft_fiqa"], limit=50)
        evaluate(root / "chatty", Skill(0.7, 5, run_on=True), ["cft_fiqa"])
        rows = [json.loads(line) for line in (root / "data/fiqa/test.jsonl").open()]
        rows[3]["gold"], rows[3]["answer"] = (rows[3]["gold"] + 1) % 3, "changed"
        write_rows(root / "edited data/fiqa/test.jsonl", rows)
        patch.setenv("CFT_DATA_DIR", str(root / "edited data"))
        evaluate(root / "edited", SKILLS["cft"], ["cft_fiqa"])
        write_other_tasks(root / "tasks")
        for name, skill in SKILLS.items():
            tasks = ["pair", "alone", "prose"]
            evaluate(root / f"{name} others", skill, tasks, include=root / "tasks")
    return root


def write_other_tasks(folder: Path) -> None:
    """Tasks that are none of ours: a group averaged by size, a task alone, and a perplexity."""
    rng = random.Random(8)
    for name, size in (("left", 40), ("right", 80), ("alone", 50), ("prose", 5)):
        rows = [
            {"question": f"{name} {i}", "answer": rng.randrange(4), "text": f"{name} {i} words"}
            for i in range(size)
        ]
        write_rows(folder / f"{name}.jsonl", rows)
        task: dict[str, Any] = {
            "task": name,
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": str(folder / f"{name}.jsonl")}},
            "test_split": "test",
        }
        if name == "prose":
            task |= {
                "output_type": "loglikelihood_rolling",
                "doc_to_text": "",
                "doc_to_target": "{{text}}",
            }
            metric: dict[str, Any] = {"metric": "word_perplexity"}
        else:
            task |= {"output_type": "multiple_choice", "doc_to_text": "{{question}}"}
            task |= {"doc_to_target": "answer", "doc_to_choice": list("ABCD")}
            metric = {"metric": "acc", "aggregation": "mean", "higher_is_better": True}
        (folder / f"{name}.yaml").write_text(json.dumps(task | {"metric_list": [metric]}))
    averaged: dict[str, Any] = {"metric": "acc", "aggregation": "mean", "weight_by_size": True}
    group = {"group": "pair", "task": ["left", "right"], "aggregate_metric_list": [averaged]}
    (folder / "pair.yaml").write_text(json.dumps(group))


def run_report(*arguments: str | Path) -> str:
    """The report's text (the last argument is its folder)."""
    result = CliRunner().invoke(
        report, [*map(str, arguments[:-1]), "--output-dir", str(arguments[-1])]
    )
    assert result.exit_code == 0, (result.output, result.exception)
    return (Path(arguments[-1]) / "report.md").read_text()


def refusal(output: Path, *arguments: str | Path) -> str:
    """The one sentence with which the command refuses, having written nothing."""
    result = CliRunner().invoke(main, ["report", *map(str, arguments), "--output-dir", str(output)])
    assert result.exit_code == 1, (result.output, result.exception)
    assert not output.exists()
    message = result.output.partition("Error: ")[2].strip()
    assert "\n" not in message
    return message


def table_row(text: str, heading: str, first: str) -> list[str]:
    """The cells of the first table row that starts with `first`, below a heading."""
    below = text[text.index(heading) :]
    line = next(line for line in below.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def number(cell: str) -> float:
    return float(cell.split()[0].replace("−", "-"))


def samples(folder: Path, task: str) -> list[dict[str, Any]]:
    (path,) = folder.glob(f"*/samples_{task}_2*.jsonl")
    return sorted(map(json.loads, path.open()), key=lambda sample: sample["doc_id"])


def copy(root: Path, name: str, to: Path) -> Path:
    """A copy of an evaluated folder, to be damaged: its model's folder."""
    shutil.copytree(root / name, to)
    return next(path for path in to.iterdir() if path.is_dir())


def results_file(folder: Path) -> Path:
    return next(folder.glob("results_*.json"))


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.fixture(scope="session")
def three(root: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report on `base`, `cpt` and `cft`."""
    folders = [f"{name}={root / name}" for name in SKILLS]
    return run_report(*folders, "--baseline", "cpt", "--paper", tmp_path_factory.mktemp("three"))


@pytest.mark.slow
def test_scores_are_the_harnesss_own(root: Path, three: str) -> None:
    for group in GROUPS:
        for name in SKILLS:
            folder = next((root / name).iterdir())
            content = json.loads(results_file(folder).read_text())
            metric = "acc,none" if group == "cft_medical" else "f1,none"
            shown = [number(cell) for cell in table_row(three, f"## {group}:", name)[1:]]
            tasks = content["group_subtasks"][group]
            scores = [content["results"][task][metric] for task in tasks]
            assert sorted(shown[:-1]) == pytest.approx(sorted(100 * s for s in scores), abs=0.0051)
            assert shown[-1] == pytest.approx(100 * content["groups"][group][metric], abs=0.0051)


def test_differences_agree_with_scikit_learn_and_scipy(root: Path, three: str) -> None:
    f1, right = {}, {}
    for name in ("cpt", "base"):
        pairs = [sample["f1"] for sample in samples(root / name, "cft_fiqa")]
        gold, predicted = zip(*pairs, strict=True)
        f1[name] = f1_score(gold, predicted, average="weighted", labels=sorted(set(gold)))
        right[name] = np.array([s["acc"] == 1 for s in samples(root / name, "cft_medqa")])
    row = table_row(three[three.index("## cft_financial:") :], "### base against cpt", "FiQA")
    assert number(row[4]) == pytest.approx(100 * (f1["base"] - f1["cpt"]), abs=0.0051)
    low, high = (number(part) for part in row[5].split(" to "))
    assert low < number(row[4]) < high

    row = table_row(three, "### base against cpt", "MedQA")
    only = int(sum(right["base"] & ~right["cpt"])), int(sum(right["cpt"] & ~right["base"]))
    assert row[6] == f"{only[0]} / {only[1]}"
    assert number(row[7]) == pytest.approx(binomtest(only[0], sum(only)).pvalue, abs=0.00051)
    assert number(row[8]) >= number(row[7])


def test_identical_models_differ_by_nothing(root: Path, tmp_path: Path) -> None:
    text = run_report(f"one={root / 'cft'}", f"two={root / 'cft'}", tmp_path)
    for group in GROUPS:
        for task in ("Average", *(["MedQA"] if group == "cft_medical" else ["FiQA"])):
            first = "**Average**" if task == "Average" else task
            row = table_row(text[text.index(f"## {group}:") :], "### two against one", first)
            assert row[4:6] == ["0.00", "0.00 ‡" if task != "Average" else "0.00"]
            assert row[-3:] == ["1.000", "1.000", "0.00"]
    assert "the two score alike on every item" in text


def test_the_answer_comes_first_and_claims_no_more_than_it_may(three: str) -> None:
    said = three[: three.index("## Before you believe it")]
    assert "**cft against cpt on cft_medical** (average accuracy of 7 tasks, 510 items): +" in said
    # A single training on each side: two models are compared, not two methods.
    assert (
        "this model of cft is better than this one of cpt (one training each: the luck of its"
        in said
    )
    assert "an improvement" not in said
    assert "; it finds a true difference of about " in said
    row = table_row(
        three[three.index("## cft_financial:") :], "### base against cpt", "**Average**"
    )
    low, high = (number(part) for part in row[5].split(" to "))
    (line,) = [x for x in said.splitlines() if "base against cpt on cft_financial**" in x]
    assert ("not distinguishable from zero" in line) == (low <= 0 <= high)


def test_the_report_for_programs(root: Path, tmp_path: Path) -> None:
    words = [f"cpt={root / 'cpt'}", f"cft={root / 'cft'}", "--output-dir", str(tmp_path / "out")]
    told = CliRunner().invoke(report, [*words, "--json"])
    assert told.exit_code == 0, told.output
    assert told.stdout == (tmp_path / "out/report.json").read_text()
    assert (tmp_path / "out/report.md").is_file()
    assert '"comparisons"' not in CliRunner().invoke(report, words).stdout


def test_the_same_input_gives_the_same_bytes(root: Path, tmp_path: Path) -> None:
    for output in ("a", "b"):
        run_report(f"cpt={root / 'cpt'}", f"cft={root / 'cft'}", "--paper", tmp_path / output)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    kinds = ("differences", "scores")
    assert names == sorted(
        [f"{k}_{g}.png" for k in kinds for g in GROUPS] + ["report.json", "report.md"]
    )
    for name in names:
        content = (tmp_path / "a" / name).read_bytes()
        assert content == (tmp_path / "b" / name).read_bytes()
        assert str(root).encode() not in content
        assert b"Software" not in content


def test_every_figure_is_linked_and_none_is_missing(three: str) -> None:
    for group in GROUPS:
        assert f"(differences_{group}.png)" in three
        assert f"(scores_{group}.png)" in three


def test_a_constant_answer_is_flagged(root: Path, tmp_path: Path) -> None:
    text = run_report(root / "cft", root / "noise", tmp_path)
    row = table_row(text, "## cft_causal20" if "## cft_causal20" in text else "## cft_fin", "noise")
    assert "90.21 †" in row
    constant = table_row(text, "## cft_financial:", "*best constant answer*")
    assert "*90.21 (noise)*" in constant
    assert 'noise nearly always gives the same answer: "noise" to 100.0 % of cft_causal20' in text
    assert "noise does not clearly beat the best constant answer on cft_causal20" in text


def test_unread_answers_and_run_on_text_are_flagged(three: str, root: Path, tmp_path: Path) -> None:
    row = table_row(three, "Other readings", "base")
    missing = np.mean([s["missing"] for s in samples(root / "base", "cft_fiqa")])
    assert number(row[5]) == pytest.approx(100 * missing, abs=0.0051)
    assert f"base: {100 * missing:.1f} % of the answers to cft_fiqa name no label" in three
    text = run_report(f"cft={root / 'cft1'}", root / "chatty", tmp_path)
    assert "chatty: cft_fiqa scores" in text and "on its first line" in text


def test_different_prompts_are_flagged(root: Path, tmp_path: Path) -> None:
    text = run_report(root / "noise", root / "shots", tmp_path)
    assert "shots and noise saw different prompts on cft_causal20" in text
    assert "| cft_causal20 | f1 | 500 | 0, 2 |" in text


def seeded(root: Path, seeds: dict[str, range]) -> list[str]:
    return [f"{arm}@{n}={root / f'{arm}{n}'}" for arm, numbers in seeds.items() for n in numbers]


def scores_of(root: Path, arm: str, seeds: range) -> np.ndarray:
    paths = [results_file(next((root / f"{arm}{seed}").iterdir())) for seed in seeds]
    return np.array([json.loads(p.read_text())["results"]["cft_fiqa"]["f1,none"] for p in paths])


def test_seeds_are_part_of_the_interval(root: Path, tmp_path: Path) -> None:
    both = {"cpt": range(1, 6), "cft": range(1, 6)}
    text = run_report(*seeded(root, both), tmp_path / "five")
    cpt, cft = (100 * scores_of(root, arm, range(1, 6)) for arm in ("cpt", "cft"))
    assert f"| cft | {cft.mean():.2f} ({cft.min():.2f}–{cft.max():.2f})" in text
    row = table_row(text, "### cft against cpt", "FiQA")
    assert number(row[4]) == pytest.approx((cft - cpt).mean(), abs=0.0051)
    assert "(weighted F1, 120 items, 5 against 5 runs): " in text
    assert "(95 % interval over items and seeds " in text
    low, high = (cft - cpt).min(), (cft - cpt).max()
    assert f"By seed: {low:+.2f} to {high:+.2f} (5 seeds).".replace("-", "−") in text
    (compared,) = json.loads((tmp_path / "five/report.json").read_text())["comparisons"]
    assert compared["by_seed"] == pytest.approx((cft - cpt) / 100)
    assert compared["runs"] == [5, 5] and not compared["of_models"]
    low, high = compared["interval"]
    assert low < compared["difference"] < high
    assert compared["smallest_detectable_difference"] > 0


def test_the_loss_on_held_out_text_comes_first(root: Path, tmp_path: Path) -> None:
    arguments = [f"{a}@{n}={root / f'bare {a}{n}'}" for a in ("cpt", "cft") for n in (1, 2, 3)]
    text = run_report(*arguments, tmp_path)
    first = next(line for line in text.splitlines()[:10] if line.startswith("- "))
    said = "**cft against cpt on held-out documents** (bits per byte, lower is better, 20 documents"
    assert said in first and ", 3 against 3 runs): −" in first and "an improvement" in first
    logged = [samples(root / f"bare cpt{seed}", "cft_heldout") for seed in (1, 2, 3)]
    for metric, unit in (("bits_per_byte", 1), ("bits_per_word", 2), ("bits_per_token", 3)):
        pairs = [[sample[metric] for sample in run] for run in logged]
        of_seed = [-sum(p[0] for p in run) / sum(p[1] for p in run) / math.log(2) for run in pairs]
        row = table_row(text, "## held-out text", "cpt")
        assert float(row[unit].split()[0]) == pytest.approx(np.mean(of_seed), rel=1e-3)
    # Two arms that differ by 0.5 nats a byte on every document: nothing of it is the documents'.
    (compared,) = [
        c
        for c in json.loads((tmp_path / "report.json").read_text())["comparisons"]
        if c["task"] == "cft_heldout"
    ]
    assert compared["difference"] == pytest.approx(-0.5 / math.log(2))


def contaminated(folder: Path, items: dict[str, range]) -> Path:
    """What `axolotl-cft contamination` leaves: its record, and the items that it found."""
    folder.mkdir()
    counts = {
        t: {"items": 120, "contaminated_items": len(i), "documents": 2} for t, i in items.items()
    }
    record = {"schema": 1, "corpus": "corpus.jsonl", "n": 13, "documents": 70, "removed": False}
    record |= {"contaminated_documents": 2, "tasks": counts}
    (folder / "contamination.json").write_text(json.dumps(record))
    rows = [
        {"task": task, "doc_id": number, "score": 1.0, "document": "1", "words": "w"}
        for task, numbers in items.items()
        for number in numbers
    ]
    write_rows(folder / CONTAMINATED_ITEMS_FILE, rows)
    return folder / "contamination.json"


def test_contaminated_items_are_left_out_beside_the_full_score(root: Path, tmp_path: Path) -> None:
    record = contaminated(tmp_path / "found", {"cft_fiqa": range(0, 60), "cft_medqa": range(150)})
    arms = [f"{name}={root / name}" for name in ("cpt", "cft")]
    text = run_report(*arms, "--contamination", record, "--clean", tmp_path / "out")
    f1 = {}
    for name in ("cpt", "cft"):
        pairs = [sample["f1"] for sample in samples(root / name, "cft_fiqa")[60:]]
        gold, predicted = zip(*pairs, strict=True)
        f1[name] = f1_score(gold, predicted, average="weighted", labels=sorted(set(gold)))
    row = table_row(text, "## Without contaminated items", "cft against cpt: cft_financial, FiQA")
    assert (row[1], row[4]) == ("120", "60")
    assert number(row[5]) == pytest.approx(100 * (f1["cft"] - f1["cpt"]), abs=0.0051)
    assert table_row(text, "## Without contaminated items", "cft against cpt: cft_medical, MedQA")[
        -1
    ] == ("nothing is left")
    assert "of cft_medqa no two items are left without the contaminated ones" in text
    average = table_row(
        text, "## Without", "cft against cpt: cft_medical, average (clean: of 6 tasks)"
    )
    assert average[4] == "360"
    content = json.loads((tmp_path / "out/report.json").read_text())
    of_task = {c["task"]: c for c in content["clean"] if c["group"] == "cft_financial_mc"}
    assert of_task["cft_fiqa_mc"]["items"] == 60  # another reading of the same items
    assert {c["items"] for c in content["comparisons"] if c["task"] == "cft_fiqa"} == {120}


def test_a_harness_group_keeps_its_average_without_contaminated_items(
    root: Path, tmp_path: Path
) -> None:
    record = contaminated(tmp_path / "found", {"left": range(10)})
    arms = [f"{name}={root / f'{name} others'}" for name in ("cpt", "cft")]
    text = run_report(*arms, "--contamination", record, "--clean", tmp_path / "out")
    row = table_row(text, "## Without contaminated items", "cft against cpt: pair, average")
    assert (row[1], row[4]) == ("120", "110")


def test_rows_may_be_called_like_columns(root: Path, tmp_path: Path) -> None:
    text = run_report(f"p={root / 'cpt1'}", f"Detectable={root / 'cft1'}", tmp_path)
    header = table_row(text, "### Detectable against p", "Task")
    assert header[2:4] == ["p", "Detectable"] and header[-3:] == ["p", "p (Holm)", "Detectable"]
    plain = run_report(f"cpt={root / 'cpt1'}", f"cft={root / 'cft1'}", tmp_path)
    row = table_row(text, "### Detectable against p", "FiQA")
    assert row == table_row(plain, "### cft against cpt", "FiQA")


def test_the_order_of_numbered_seeds_means_nothing(root: Path, tmp_path: Path) -> None:
    arguments = seeded(root, {"cpt": range(1, 6), "cft": range(1, 6)})
    shuffled = [*arguments[4::-1], *arguments[5:]]
    assert run_report(*shuffled, tmp_path) == run_report(*arguments, tmp_path)
    assert "write NAME=DIR" in refusal(tmp_path / "x", f"cft@²={root / 'cft1'}")
    assert "write NAME=DIR" in refusal(tmp_path / "x", "cft=")
    assert "--margin" in CliRunner().invoke(report, [*arguments, "--margin", "nan"]).output


def test_an_untrained_row_is_no_single_training(root: Path, tmp_path: Path) -> None:
    study = tmp_path / "study"
    runs = [run_record("base", None, None, "base")]
    runs += [run_record(arm, seed, "cft", arm, train=True) for arm in ("cpt",) for seed in (1, 2)]
    for run in runs:
        shutil.copytree(root / run["arm"], study / run["eval_dir"])
        if run["train_dir"]:
            write_training(study / run["train_dir"], with_ledger=True)
    (study / "study.json").write_text(json.dumps({"schema": 1, "baseline": "cpt", "runs": runs}))
    text = run_report(study, tmp_path / "out")
    (line,) = [x for x in text.splitlines() if "**base against cpt on cft_medical**" in x]
    assert "one training" not in line and "over items and seeds" in line


def test_a_clean_report_needs_the_items(root: Path, tmp_path: Path) -> None:
    arms = [f"{name}={root / f'{name}1'}" for name in ("cpt", "cft")]
    assert "--clean needs the items that" in refusal(tmp_path / "out", *arms, "--clean")
    record = contaminated(tmp_path / "found", {"cft_fiqa": range(5)})
    (tmp_path / "found" / CONTAMINATED_ITEMS_FILE).unlink()
    message = refusal(tmp_path / "out", *arms, "--clean", "--contamination", record)
    assert "cannot read" in message and CONTAMINATED_ITEMS_FILE in message


def test_unequal_numbers_of_seeds_are_compared_and_said(root: Path, tmp_path: Path) -> None:
    text = run_report(*seeded(root, {"cpt": range(1, 5), "cft": range(1, 6)}), tmp_path)
    assert "5 against 4 runs" in text and "By seed" not in text
    assert "cpt has no run of seed 5, and cft has" in text
    text = run_report(*seeded(root, {"cpt": range(1, 3), "cft": range(1, 4)}), tmp_path)
    assert "Two seeds: indicative." in text


def test_runs_without_a_seeds_number_are_never_paired(root: Path, tmp_path: Path) -> None:
    arguments = [f"{arm}={root / f'{arm}{n}'}" for arm in ("cpt", "cft") for n in range(1, 6)]
    text = run_report(*arguments, tmp_path)
    assert "5 against 5 runs" in text and "By seed" not in text
    shuffled = [*arguments[:5], *arguments[:4:-1]]
    (row, other) = (
        table_row(said, "### cft against cpt", "FiQA")
        for said in (text, run_report(*shuffled, tmp_path))
    )
    # The order of the arguments means nothing: only the bootstrap's draws differ.
    assert row[:5] == other[:5]
    assert number(row[5]) == pytest.approx(number(other[5]), abs=0.1)


def test_one_training_on_a_side_never_says_that_a_method_is_better(
    root: Path, tmp_path: Path
) -> None:
    many = seeded(root, {"cft": range(1, 6)})
    text = run_report(f"cpt={root / 'cpt1'}", *many, "--baseline", "cpt", tmp_path / "out")
    said = text[: text.index("## Before")] if "## Before" in text else text
    assert "cft is better than this model of cpt (one training of cpt: the luck of its seed" in said
    assert "an improvement" not in said


def test_one_folder_or_seed_given_twice_is_refused(root: Path, tmp_path: Path) -> None:
    one = f"cft={root / 'cft1'}"
    out = tmp_path / "out"
    assert "is given twice as 'cft'" in refusal(out, one, one)
    twice = [f"cft@3={root / 'cft1'}", f"cft@3={root / 'cft2'}"]
    assert "two runs of seed 3" in refusal(out, *twice)
    assert "write NAME=DIR or NAME@SEED=DIR" in refusal(out, f"cft@one={root / 'cft1'}")
    shutil.copytree(root / "cft1", tmp_path / "copy")
    text = run_report(one, f"cft={tmp_path / 'copy'}", tmp_path / "out")
    assert "cft, run 1 and cft, run 2 gave the same answer to every item" in text


def comparison(value: float, error: float, **facts: Any) -> Comparison:
    scores = Scores(np.array([value, 0.0]), ((np.diag([error**2, 0.0]), 9_999),), 10_000)
    found = difference(scores, 1)
    defaults: dict[str, Any] = {"group": "", "task": "", "row": "", "against": "", "metric": "acc"}
    defaults |= {"tasks": (), "items": 9, "units": None, "arm": value, "baseline": 0.0}
    defaults |= {
        "runs": (3, 3),
        "untrained": (False, False),
        "logged": True,
        "higher_is_better": True,
    }
    defaults |= {"difference": found, "p": found.p_value(), "holm": found.p_value()}
    return Comparison(**(defaults | facts))


@pytest.mark.parametrize(
    ("value", "error", "facts", "verdict"),
    [
        (0.03, 0.01, {}, Verdict.BETTER),
        (-0.03, 0.01, {}, Verdict.WORSE),
        (0.03, 0.01, {"higher_is_better": False}, Verdict.WORSE),
        (0.03, 0.01, {"holm": 0.2}, Verdict.UNCORRECTED),
        (0.01, 0.01, {}, Verdict.UNDECIDED),
        (0.002, 0.002, {}, Verdict.EQUIVALENT),
        (0.002, 0.002, {"metric": "word_perplexity"}, Verdict.UNDECIDED),
        (0.0, 0.0, {}, Verdict.ALIKE),
        (0.03, float("nan"), {}, Verdict.UNTESTED),
        (0.03, 0.01, {"difference": None}, Verdict.UNTESTED),
    ],
)
def test_verdicts(value: float, error: float, facts: dict[str, Any], verdict: Verdict) -> None:
    assert comparison(value, error, **facts).verdict(margin=0.01) == verdict


def test_an_exact_test_that_disagrees_with_the_interval_is_named() -> None:
    by_itself = comparison(0.05, 0.022, p=0.0625, holm=0.0625)
    assert "the exact test does not (p 0.062)" in verdict_in_words(by_itself, 0.01)
    corrected = comparison(0.05, 0.022, p=0.02, holm=0.2, family=9)
    assert "not after correction" in verdict_in_words(corrected, 0.01)
    assert (corrected.smallest_detectable or 0) > (by_itself.smallest_detectable or 0)


def test_tasks_without_logs_are_not_counted_as_tested(root: Path, tmp_path: Path) -> None:
    for name in ("cpt", "cft"):
        for path in copy(root, f"{name} others", tmp_path / name).glob("samples_*"):
            path.unlink()
    for name in ("cpt", "cft"):  # four tasks without an average, so that they are counted up
        edit(results_file(next((tmp_path / name).iterdir())), four_tasks)
    text = run_report(*[f"{name}={tmp_path / name}" for name in ("cpt", "cft")], tmp_path / "out")
    assert "no common average): not tested (sample logs are missing)." in text


def four_tasks(content: dict[str, Any]) -> None:
    content["groups"], content["group_subtasks"] = {}, {}
    for part in ("results", "configs", "versions", "n-shot", "higher_is_better", "n-samples"):
        content[part].pop("pair", None)


@pytest.mark.parametrize(
    ("runs", "untrained", "models"),
    [
        ((1, 1), (False, False), True),
        ((5, 1), (False, False), True),
        ((1, 5), (False, False), True),
        ((5, 1), (False, True), False),
        ((1, 5), (True, False), False),
        ((1, 1), (False, True), True),
        ((2, 2), (False, False), False),
    ],
)
def test_one_training_speaks_of_models(
    runs: tuple[int, int], untrained: tuple[bool, bool], models: bool
) -> None:
    assert comparison(0.1, 0.1, runs=runs, untrained=untrained).of_models == models


def test_without_sample_logs_there_are_scores_only(root: Path, tmp_path: Path) -> None:
    folder = copy(root, "cft", tmp_path / "cft")
    for path in folder.glob("samples_*"):
        path.unlink()
    text = run_report(f"cpt={root / 'cpt'}", tmp_path / "cft", tmp_path / "out")
    assert "no interval, because sample logs are missing" in text
    assert "--log_samples" in text
    assert table_row(text, "### cft against cpt", "MedQA")[5:] == ["–"] * 4
    assert not list((tmp_path / "out").glob("differences*"))


def test_the_papers_numbers_stand_apart(root: Path, three: str, tmp_path: Path) -> None:
    heading = "### For context: the paper's own numbers, cft_medical"
    row = table_row(three, heading, "Llama 2 7B Chat (CFT)")
    assert row[1:] == ["48.15", "48.87", "52.08", "44.22", "54.00", "46.69", "40.65", "47.81"]
    assert "context, not a target" in three
    assert "Llama 2" not in run_report(f"cft={root / 'cft'}", tmp_path)


def test_the_papers_averages_are_means() -> None:
    content = json.loads(files("axolotl_cft.evaluation").joinpath("paper.json").read_text())
    printed_otherwise = []
    for models in content["groups"].values():
        for model, rows in models.items():
            for name, (*scores, mean) in rows.items():
                if abs(np.mean(scores) - mean) > 0.0051:
                    printed_otherwise.append((model, name, mean))
    assert printed_otherwise == [("Llama 2 7B", "Chat", 61.48)]


def test_the_papers_rows_have_a_score_for_each_task_and_an_average() -> None:
    content = json.loads(files("axolotl_cft.evaluation").joinpath("paper.json").read_text())
    groups = {group.name: group.tasks for group in task_groups()}
    for name, models in content["groups"].items():
        rows = [scores for rows in models.values() for scores in rows.values()]
        assert rows and {len(scores) for scores in rows} == {len(groups[name]) + 1}


def test_only_shares_of_one_are_shown_in_percent() -> None:
    assert all(map(is_percent, ["acc", "acc_norm", "f1", "macro_f1", "f1_first_line"]))
    # The harness logs rouge times a hundred in truthfulqa_gen, and as a share elsewhere.
    assert is_percent("exact_match [strict-match]") and is_percent("pass@1")
    assert not is_percent("f1 (as logged)") and not is_percent("emd") and not is_percent("accrual")
    assert not any(map(is_percent, ["rouge1_max", "rougeL", "bleu_max", "word_perplexity", "mcc"]))


def test_other_tasks_and_groups_of_the_harness(root: Path, tmp_path: Path) -> None:
    text = run_report(f"cpt={root / 'cpt others'}", f"cft={root / 'cft others'}", tmp_path)
    content = json.loads(results_file(next((root / "cft others").iterdir())).read_text())
    mean = 100 * content["groups"]["pair"]["acc,none"]
    assert number(table_row(text, "## pair: accuracy", "cft")[-1]) == pytest.approx(
        mean, abs=0.0051
    )
    assert "**cft against cpt on pair** (average accuracy of 2 tasks, 120 items)" in text
    assert "**cft against cpt on alone** (accuracy, 50 items)" in text
    row = table_row(text[text.index("## other tasks") :], "### cft against cpt", "prose")
    perplexity = content["results"]["prose"]["word_perplexity,none"]
    assert row[3] == f"{perplexity:.4g}" and row[5] == "–"
    # A higher perplexity is no improvement, and none of it is a percentage.
    said = next(line for line in text.splitlines() if "on prose" in line)
    assert "(word_perplexity, lower is better, 5 items)" in said and "points" not in said
    assert "no interval, because this metric is not a mean over items" in said


def study_folder(root: Path, tmp_path: Path) -> Path:
    """A study's folder as `axolotl-cft study` leaves it: two stages, a failed and a pending run."""
    study = tmp_path / "study"
    runs = [run_record("base", None, None, "base")]
    for arm in ("cpt", "cft"):
        runs.append(run_record(arm, 1, "cft", None, train=True))
        runs.append(run_record(arm, 1, "ift", arm, train=True))
    runs.append({**run_record("negative", 1, "cft", None), "status": "failed", "error": "NaN loss"})
    runs.append({**run_record("fixed", 1, "cft", None), "status": "pending"})
    for run in runs:
        if run["eval_dir"]:
            shutil.copytree(root / run["arm"], study / run["eval_dir"])
        if run["train_dir"]:
            write_training(study / run["train_dir"], with_ledger=run["stage"] == "cft")
    record = {"schema": 1, "name": "A study", "baseline": "cpt", "runs": runs}
    (study / "study.json").write_text(json.dumps(record))
    return study


def run_record(
    arm: str, seed: int | None, stage: str | None, evaluated: str | None, train: bool = False
) -> dict[str, Any]:
    folder = f"{arm}/{seed}/{stage}"
    return {
        "arm": arm,
        "seed": seed,
        "stage": stage,
        "status": "done",
        "eval_dir": f"{folder}/eval" if evaluated else None,
        "train_dir": f"{folder}/train" if train else None,
        "error": None,
        "world_size": 2 if train else None,
        "train_seconds": None,
    }


def write_training(folder: Path, with_ledger: bool) -> None:
    """A host's output folder: its trainer state, its console log, and the plugin's ledger."""
    history = [{"loss": 2.0, "step": 5, "train_runtime": 60.0, "tokens/total": 900}]
    state = {"global_step": 10, "epoch": 2.0, "max_steps": 10, "log_history": history}
    (folder / "checkpoint-10").mkdir(parents=True)
    (folder / "checkpoint-10/trainer_state.json").write_text(json.dumps(state))
    (folder / "debug.log").write_text(
        " 10%|#| 1/10 {'loss': '2', 'train_runtime': '60', 'train_tokens_per_second': '5132'}\n"
        "{'train_runtime': '3600', 'train_samples_per_second': '40.22', 'train_loss': '5.357'}\n"
    )
    if with_ledger:
        ledger = Ledger(documents=70, used=64, rows=80, text_tokens=9_000, trained_tokens=9_064)
        ledger.prompt_tokens, ledger.total_tokens = 936, 10_080
        (folder / "cft_ledger.json").write_text(
            json.dumps({"schema": 1, "train": ledger.to_dict(), "reached_trainer": {}})
        )


def test_a_study(root: Path, tmp_path: Path) -> None:
    study = study_folder(root, tmp_path)
    overlap = {"items": 120, "contaminated_items": 3, "documents": 2}
    record = {"schema": 1, "corpus": "corpus.jsonl", "n": 13, "documents": 70, "removed": False}
    record |= {"contaminated_documents": 2, "tasks": {"cft_fiqa": overlap}}
    (study / "contamination.json").write_text(json.dumps(record))
    result = CliRunner().invoke(report, [str(study)])
    assert result.exit_code == 0, (result.output, result.exception)
    text = (study / "report/report.md").read_text()
    assert text.startswith("# A study\n")
    assert "**cft against cpt on cft_medical**" in text
    assert "**base against cpt on cft_medical**" in text
    assert "negative / cft, seed 1 failed: NaN loss." in text
    assert "fixed / cft, seed 1 is not finished" in text
    assert "3 test items occur in it, in 2 of 70 documents" in text
    # Two epochs of 10,080 tokens in 3,600 s on two processes.
    cost = table_row(text, "## What training cost", "cft / cft, seed 1")
    assert cost[1:5] == ["64", "20,160", "18,128", "–"]  # a ledger of 0.1
    assert cost[5:] == ["9.29 %", "2.00", "10", "1 h 00 min", "6", "2.00"]
    assert table_row(text, "## What training cost", "cft / ift, seed 1")[1:3] == ["–", "900"]


def general_study(root: Path, folder: Path, **facts: Any) -> tuple[list[str], dict[str, Any]]:
    """The report's sentences on general ability, and its record: a study of three arms."""
    runs = [run_record(arm, None if arm == "base" else 1, None, "eval") for arm in SKILLS]
    for run in runs:
        run["train_dir"] = None if run["arm"] == "base" else f"{run['arm']}/train"
        shutil.copytree(root / f"{run['arm']} others", folder / run["eval_dir"])
        if run["train_dir"]:
            write_training(folder / run["train_dir"], with_ledger=False)
    record = {"schema": 1, "name": "A study", "baseline": "cpt", "runs": runs, **facts}
    (folder / "study.json").write_text(json.dumps(record))
    result = CliRunner().invoke(report, [str(folder)])
    assert result.exit_code == 0, (result.output, result.exception)
    first = (folder / "report/report.md").read_text().partition("\n## pair")[0]
    said = [line for line in first.splitlines() if "eneral ability" in line]
    return said, json.loads((folder / "report/report.json").read_text())


def test_a_study_says_what_was_forgotten(root: Path, tmp_path: Path) -> None:
    """General tasks are compared with the baseline and with the model as it was found."""
    general = {"tasks": ["pair", "alone", "prose"], "general": ["pair", "alone"]}
    said, record = general_study(root, tmp_path / "a", untouched="base", **general)
    assert [line.partition("**: ")[0] for line in said] == [
        "- **General ability, cft against cpt",
        "- **General ability, cpt against base, the untouched model",
        "- **General ability, cft against base, the untouched model",
    ]
    assert record["general"] == ["alone", "left", "pair", "right"]
    scores = {row: runs[""] for row, runs in record["scores"].items()}
    alone = [c for c in record["against_untouched"] if c["task"] == "alone"]
    for line, c in zip(said[1:], alone, strict=True):
        assert c["difference"] == pytest.approx(scores[c["row"]]["alone"] - scores["base"]["alone"])
        low, high = (signed(end, "acc") for end in c["interval"])
        shown = f"{signed(c['difference'], 'acc')} points on alone (accuracy, 50 items; "
        assert f"{shown}95 % interval {low} to {high}), " in line
    assert all("points on pair (average accuracy of 2 tasks, 120 items; " in line for line in said)
    # What was said so is not said twice, and another task of the table is said as ever.
    text = (tmp_path / "a/report/report.md").read_text()
    assert "**cft against cpt on alone**" not in text and "**cft against cpt on prose**" in text

    said, record = general_study(root, tmp_path / "b", **general)
    assert "cft against cpt" in said[1] and not record["against_untouched"]
    assert said[-1].startswith("- What was forgotten of general ability is not known")
    said, record = general_study(root, tmp_path / "c", untouched="base")
    assert not said and not record["general"] and not record["against_untouched"]


def test_the_untouched_model_as_baseline_is_compared_once(root: Path, tmp_path: Path) -> None:
    facts = {"tasks": ["pair", "alone"], "general": ["pair"], "baseline": "base"}
    said, record = general_study(root, tmp_path, untouched="base", **facts)
    assert len(said) == 2 and not record["against_untouched"]
    assert all("against base, the untouched model" in line for line in said)


@pytest.mark.slow
def test_a_study_says_what_was_searched_and_removed(root: Path, tmp_path: Path) -> None:
    study = study_folder(root, tmp_path)
    overlap = {"items": 120, "too_short": 7, "contaminated_items": 3, "partial_items": 2}
    record = {"schema": 2, "corpus": "corpus.jsonl", "n": 12, "min_words": 9, "documents": 70}
    record |= {"partial": {"share": 0.7, "run": 4, "min_words": 20}, "contaminated_documents": 2}
    record |= {"boilerplate": {"documents": 10, "patterns": 31, "hits": 4099, "items": 20}}
    record |= {"removed": "passages", "tasks": {"cft_fiqa": {**overlap, "documents": 2}}}
    record |= {"removal": {"what": "passages", "share": 0.0123, "documents": 2, "passages": 4}}
    path = study / "contamination.json"
    path.write_text(json.dumps(record))
    text = run_report(study, tmp_path / "out")
    for said in (
        "3 test items occur in it, in 2 of 70 documents",
        "12 words in a row, shorter items as a whole; items of fewer than 9 words are too short",
        "Items of 20 words or more were also found in part, from 70 % of their words on, in runs",
        "Words in a row that more than 20 items share do not count.",
        "31 runs of words that stand in more than 10 documents each",
        "A copy was written without 4 passages in 2 documents, 1.23 % of the text.",
        "| cft_fiqa | 120 | 7 | 3 | 2 | 0 | 2 |",
    ):
        assert said in text
    record |= {"removed": "documents", "removal": {**record["removal"], "what": "documents"}}
    path.write_text(json.dumps(record))
    assert "without 2 documents, 1.23 % of the text" in run_report(study, tmp_path / "out")
    path.write_text(json.dumps(record | {"removed": False, "removal": None}))
    assert "A copy" not in run_report(study, tmp_path / "out")
    (old,) = (Path(__file__).parent / "records_0_1").glob("contamination/*.json")
    path.write_text(old.read_text())
    text = run_report(study, tmp_path / "out")
    assert "13 words in a row, shorter items as a whole, however short" in text
    assert "A copy was written without those documents." in text
    assert "| cft_medqa | 24 | – | 1 | 0 | 0 | 1 |" in text


def test_a_study_says_what_the_host_left_out_of_training(root: Path, tmp_path: Path) -> None:
    study = study_folder(root, tmp_path)

    def count(arm: str, share_lost: float | None, **values: Any) -> None:
        entry = {"share_lost": share_lost, "epochs": 2.0, **values}
        path = study / f"{arm}/1/cft/train/cft_ledger.json"
        edit(path, lambda ledger: ledger.update(trained=entry))

    count("cpt", 0.112, tokens=16_098, steps=702)
    count("cft", 0.022, tokens=17_729, steps=677)
    text = run_report(study, tmp_path / "out")
    cost = table_row(text, "## What training cost", "cft / cft, seed 1")
    assert cost[2:5] == ["19,716", "17,729", "97.80 %"]  # of 20,160 tokens and 18,128 trained ones
    assert cost[5:8] == ["9.29 %", "2.00", "677"]
    assert table_row(text, "## What training cost", "cpt / cft, seed 1")[4] == "88.80 %"
    lost = "the runs of stage cft lost different shares of their tokens in the host's sampler"
    assert f"{lost} (88.80 to 97.80 % were trained)" in text
    assert "the runs of stage cft took different numbers of optimizer steps (677 to 702)" in text

    count("cpt", 0.0, tokens=18_128, steps=700)
    count("cft", 0.0, tokens=18_128, steps=700)
    text = run_report(study, tmp_path / "out")
    assert table_row(text, "## What training cost", "cft / cft, seed 1")[4] == "100.00 %"
    assert "different shares" not in text and "different numbers of optimizer steps" not in text
    count("cft", None, tokens=None, not_counted="include_tkps is off", steps=700)
    text = run_report(study, tmp_path / "out")
    assert table_row(text, "## What training cost", "cft / cft, seed 1")[3:5] == ["18,128", "–"]


def test_a_study_whose_stages_are_all_evaluated(root: Path, tmp_path: Path) -> None:
    study = tmp_path / "study"
    runs = [run_record("base", None, None, "base")]
    runs += [run_record(a, 1, s, a) for a in ("cpt", "cft") for s in ("cft", "ift")]
    for run in runs:
        shutil.copytree(root / run["arm"], study / run["eval_dir"])
    (study / "study.json").write_text(json.dumps({"schema": 1, "baseline": "cpt", "runs": runs}))
    text = run_report(study, tmp_path / "out")
    for stage in ("cft", "ift"):
        assert f"**cft / {stage} against cpt / {stage} on cft_medical**" in text
    assert "**base against cpt / cft on cft_medical**" in text
    assert "not checked" in text


def test_a_study_says_when_losses_or_targets_went_wrong(root: Path, tmp_path: Path) -> None:
    study = study_folder(root, tmp_path)
    edit(
        study / "cft/1/cft/train/cft_ledger.json",
        lambda ledger: ledger["train"].update(targets_digest="f" * 32),
    )
    edit(
        study / "cft/1/ift/train/checkpoint-10/trainer_state.json",
        lambda state: state["log_history"].append({"loss": float("nan"), "step": 7}),
    )
    text = run_report(study, tmp_path / "out")
    assert "the runs of stage cft did not all train on the same tokens" in text
    assert "loss of cft / ift, seed 1 (or its gradient) was not finite at step 7" in text
    # What the host logs by default when the loss is NaN: transformers filters the loss alone.
    filtered = [
        {"loss": 0.0, "grad_norm": norm, "step": s} for s, norm in ((4, math.inf), (5, math.nan))
    ]
    edit(
        study / "cft/1/ift/train/checkpoint-10/trainer_state.json",
        lambda state: state.update(log_history=filtered),
    )
    text = run_report(study, tmp_path / "out")
    assert "loss of cft / ift, seed 1 (or its gradient) was not finite at step 5" in text


def test_a_second_evaluation_into_a_folder_counts(root: Path, tmp_path: Path) -> None:
    folder = copy(root, "cft1", tmp_path / "cft")
    newer = next((root / "cft2").iterdir())
    shutil.copytree(newer, folder, dirs_exist_ok=True)
    text = run_report(tmp_path / "cft", tmp_path / "out")
    assert "cft_fiqa of cft was evaluated more than once" in text
    expected = json.loads(results_file(newer).read_text())["results"]["cft_fiqa"]["f1,none"]
    assert table_row(text, "## cft_financial:", "cft")[1].startswith(f"{100 * expected:.2f}")


def test_tasks_evaluated_under_other_conditions_are_flagged(root: Path, tmp_path: Path) -> None:
    folder = copy(root, "cft1", tmp_path / "cft")
    other = copy(root, "cft others", tmp_path / "other")
    model = json.loads(results_file(folder).read_text())["model_name"]
    edit(results_file(other), lambda content: content["config"].update(limit=500))
    edit(results_file(other), lambda content: content.update(model_name=model))
    shutil.copytree(other, folder, dirs_exist_ok=True)
    text = run_report(tmp_path / "cft", tmp_path / "out")
    assert "not all tasks of cft were evaluated alike: see limit below" in text
    stated = next(line for line in text.splitlines() if line.startswith("- limit: "))
    assert "500 items per task" in stated and "none (all items)" in stated


def test_what_is_not_there_is_refused(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (tmp_path / "empty").mkdir()
    assert "does not exist" in refusal(out, tmp_path / "absent")
    assert "holds no results_*.json" in refusal(out, tmp_path / "empty")
    folders = [f"{name}={root / name}" for name in ("cpt", "cft")]
    assert refusal(out, *folders, "--baseline", "cft2").startswith("unknown baseline 'cft2'; there")
    shutil.copytree(root / "cpt", tmp_path / "x/cpt")
    assert "two folders are called 'cpt'" in refusal(out, root / "cpt", tmp_path / "x/cpt")
    shutil.copytree(root / "cft", tmp_path / "x/cpt", dirs_exist_ok=True)
    assert "several models (canned__cft, canned__cpt)" in refusal(out, tmp_path / "x/cpt")


def test_damaged_results_are_refused(root: Path, tmp_path: Path) -> None:
    out, folder = tmp_path / "out", copy(root, "cft1", tmp_path / "cft")
    path = results_file(folder)
    (log,) = folder.glob("samples_*")
    whole, lines = path.read_text(), log.read_text()

    path.write_text(whole[: len(whole) // 2])
    assert "is not valid JSON (cut short?)" in refusal(out, tmp_path / "cft")
    path.write_text("{}")
    assert "is not an lm-eval results file" in refusal(out, tmp_path / "cft")
    path.write_text(whole)
    edit(path, lambda content: content["results"]["cft_fiqa"].update({"f1,none": float("nan")}))
    assert "f1 of cft_fiqa is nan" in refusal(out, tmp_path / "cft")
    path.write_text(whole)
    edit(path, lambda content: content["results"]["cft_fiqa"].update({"f1,none": 0.5}))
    assert "do not belong together" in refusal(out, tmp_path / "cft")
    path.write_text(whole)
    log.write_text(lines[:-20])
    assert "line 120: not a logged sample (cut short?)" in refusal(out, tmp_path / "cft")
    log.write_bytes(lines[:-20].encode() + "é".encode()[:1])  # cut inside a character
    assert "line 120: not a logged sample (cut short?)" in refusal(out, tmp_path / "cft")
    log.write_text("".join(lines.splitlines(keepends=True)[:70]))
    assert "holds 70 of 120 items" in refusal(out, tmp_path / "cft")
    log.write_text(lines + lines)
    assert "the same doc_id twice" in refusal(out, tmp_path / "cft")


def test_mixed_versions_are_refused(root: Path, tmp_path: Path) -> None:
    out, folder = tmp_path / "out", copy(root, "cft1", tmp_path / "cft")
    edit(results_file(folder), lambda content: content.update(lm_eval_version="0.4.99"))
    message = refusal(out, f"cpt={root / 'cpt1'}", tmp_path / "cft")
    assert "cpt was evaluated with lm-eval" in message and "cft with 0.4.99" in message
    shutil.copytree(next((root / "cft2").iterdir()), folder, dirs_exist_ok=True)
    assert "mixes results of different lm-eval versions" in refusal(out, tmp_path / "cft")
    folder = copy(root, "cft3", tmp_path / "task")
    edit(results_file(folder), lambda content: content["versions"].update(cft_fiqa=2.0))
    assert "has version 1.0 in cpt and 2.0 in task" in refusal(
        out, f"cpt={root / 'cpt1'}", tmp_path / "task"
    )


def test_different_items_are_refused(root: Path, tmp_path: Path) -> None:
    out, baseline = tmp_path / "out", f"cpt={root / 'cpt1'}"
    message = refusal(out, baseline, root / "edited")
    assert "cft_fiqa: the items of cpt and edited differ in 1 of 120 (doc_id 3)" in message
    message = refusal(out, baseline, root / "limited")
    assert "differ in 70 of 120 (doc_id 50, 51, 52, 53, 54, …)" in message
    folder = copy(root, "limited", tmp_path / "unlogged")
    next(folder.glob("samples_*")).unlink()
    assert "in number (120 and 50)" in refusal(out, baseline, tmp_path / "unlogged")


def test_damaged_studies_are_refused(root: Path, tmp_path: Path) -> None:
    out, study = tmp_path / "out", study_folder(root, tmp_path)
    path = study / "study.json"
    whole = path.read_text()
    assert "no run of the baseline 'negative'" in refusal(out, study, "--baseline", "negative")
    assert "unknown baseline 'other'" in refusal(out, study, "--baseline", "other")
    bad = tmp_path / "contamination.json"
    bad.write_text("{}")
    assert "is not a contamination record" in refusal(out, study, "--contamination", bad)
    path.write_text(whole[:100])
    assert "study.json is not valid JSON" in refusal(out, study)
    path.write_text('{"runs": [{"arm": "cpt"}]}')
    assert "is not a study's record" in refusal(out, study)
    path.write_text('{"runs": []}')
    assert "has been evaluated" in refusal(out, study)
    path.write_text(whole)
    (study / "cft/1/cft/train/cft_ledger.json").write_text("{")
    assert "cft_ledger.json is not valid JSON" in refusal(out, study)
