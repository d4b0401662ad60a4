"""The lm-eval tasks, run by the real harness on canned answers and local items."""

import functools
import hashlib
import importlib.util
import json
import os
import random
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import lm_eval
import pytest
import yaml
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager
from sklearn.metrics import accuracy_score, f1_score

from axolotl_cft.evaluation import tasks as our_tasks
from axolotl_cft.evaluation.tasks import catalogue, task_benchmarks, task_groups

REPOSITORY = Path(__file__).parents[1]
TASKS = REPOSITORY / "eval_tasks"
FIXTURES = REPOSITORY / "axolotl_cft" / "demo" / "data" / "benchmarks"
HARNESS_TASKS = Path(lm_eval.__file__).parent / "tasks"

CHOICES = {
    "fiqa": ["negative", "positive", "neutral"],
    "causal20": ["noise", "causal"],
    "multifin": [
        "Finance",
        "Technology",
        "Tax & Accounting",
        "Business & Management",
        "Government & Controls",
        "Industry",
    ],
}
NO_STOP = ["<no stop string>"]
SUBJECTS = [name.removeprefix("mmlu/") for name in catalogue().BENCHMARKS if "mmlu" in name]


class Canned(LM):
    """A model that answers by a function of the document (text) or of the strings (likelihood)."""

    def __init__(self, text: Callable[[dict], str] | None = None) -> None:
        super().__init__()
        self.text = text

    def generate_until(self, requests, disable_tqdm=False):
        assert self.text is not None
        for request in requests:
            options = request.args[1]
            assert not options["do_sample"] and options["max_gen_toks"] in (256, 1024)
            assert options["until"] == (NO_STOP if "query" in request.doc else ["</s>"])
        return [self.text(request.doc) for request in requests]

    def loglikelihood(self, requests, disable_tqdm=False):
        return [(pseudo_likelihood(*request.args), False) for request in requests]

    def loglikelihood_rolling(self, requests, disable_tqdm=False):
        raise NotImplementedError


def pseudo_likelihood(context: str, continuation: str) -> float:
    digest = hashlib.sha256(f"{context}\0{continuation}".encode()).digest()
    return -int.from_bytes(digest[:6], "big") / 2**40


@functools.cache
def manager(data_dir: Path | None, folder: Path) -> TaskManager:
    """The tasks of one folder only; indexing all that the harness has takes long."""
    metadata = {"cft_data_dir": str(data_dir)} if data_dir else None
    return TaskManager(include_path=str(folder), include_defaults=False, metadata=metadata)


def evaluate(
    tasks: list[str],
    model: LM,
    data_dir: Path | None,
    shots: int | None = None,
    folder: Path = TASKS,
) -> dict[str, Any]:
    result = lm_eval.simple_evaluate(
        model=model,
        tasks=tasks,
        task_manager=manager(data_dir, folder),
        num_fewshot=shots,
        bootstrap_iters=0,
    )
    assert result is not None
    return result


def write_rows(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def financial_rows(benchmark: str, labels: list[int]) -> list[dict]:
    choices = CHOICES[benchmark]
    return [
        {
            "id": f"{benchmark}{number}",
            "query": f"Classify.\nText: sentence number {number}\nAnswer:",
            "answer": choices[label],
            "text": f"sentence number {number}",
            "choices": choices,
            "gold": label,
        }
        for number, label in enumerate(labels)
    ]


def messy_output(rng: random.Random, choices: list[str]) -> str:
    """Answers as models give them: clean, run-on, shouted, wrapped, empty, or beside the point."""
    words = [rng.choice(choices) for _ in range(rng.randint(0, 3))]
    words += rng.sample(["The", "text", "\n", "\n\n", "is", "I cannot tell", " ", "."], 3)
    rng.shuffle(words)
    text = " ".join(words)
    return rng.choice([str.upper, str.lower, str, lambda t: f"\n\n  {t}\nText: next"])(text)


def reference_label(output: str, choices: list[str]) -> str:
    found = {m.group() for c in choices for m in re.finditer(re.escape(c.lower()), output.lower())}
    return next((c for c in choices if c.lower() in found), "missing")


def reference_scores(outputs: list[str], rows: list[dict]) -> dict[str, float]:
    """The metrics by scikit-learn, from outputs and rows alone."""
    gold = [row["choices"][row["gold"]] for row in rows]
    pairs = list(zip(outputs, rows, strict=True))
    full = [reference_label(output, row["choices"]) for output, row in pairs]
    lines = [next((x for x in o.split("\n") if x.strip()), "") for o in outputs]
    first = [reference_label(x, row["choices"]) for x, row in zip(lines, rows, strict=True)]
    f1 = functools.partial(f1_score, labels=sorted(set(gold)), zero_division=0)
    return {
        "acc": accuracy_score(gold, full),
        "f1": f1(gold, full, average="weighted"),
        "macro_f1": f1(gold, full, average="macro"),
        "missing": full.count("missing") / len(full),
        "f1_first_line": f1(gold, first, average="weighted"),
    }


@pytest.mark.parametrize("shots", [0, 2])
def test_financial_metrics_equal_scikit_learn(tmp_path: Path, shots: int) -> None:
    rng = random.Random(shots)
    outputs: dict[str, str] = {}
    rows = {}
    for benchmark, choices in CHOICES.items():
        labels = [min(rng.randrange(8), rng.randrange(len(choices))) for _ in range(150)]
        rows[benchmark] = financial_rows(benchmark, labels)
        write_rows(tmp_path / benchmark / "test.jsonl", rows[benchmark])
        outputs |= {row["id"]: messy_output(rng, choices) for row in rows[benchmark]}
    write_rows(tmp_path / "fiqa" / "train.jsonl", financial_rows("fiqa", [0, 1, 2, 0]))

    result = evaluate(["cft_financial"], Canned(lambda doc: outputs[doc["id"]]), tmp_path, shots)
    expected = {
        benchmark: reference_scores([outputs[row["id"]] for row in items], items)
        for benchmark, items in rows.items()
    }
    for benchmark, scores in expected.items():
        assert 0 < scores["missing"] < 1
        assert scores["f1"] != scores["f1_first_line"]
        for metric, value in scores.items():
            measured = result["results"][f"cft_{benchmark}"][f"{metric},none"]
            assert measured == pytest.approx(value, abs=1e-9), (benchmark, metric)
        for sample in result["samples"][f"cft_{benchmark}"]:
            prompt = sample["arguments"][0][0]
            assert prompt.endswith(sample["doc"]["query"])
            assert prompt.count("\nAnswer:") == shots + 1
            # An item is never its own example, though two sets have nothing but a test split.
            assert prompt.count(sample["doc"]["query"]) == 1 or benchmark == "fiqa"
    for metric in ("f1", "macro_f1", "acc", "missing", "f1_first_line"):
        mean = sum(scores[metric] for scores in expected.values()) / 3
        group = result["groups"]["cft_financial"][f"{metric},none"]
        assert group == pytest.approx(mean, abs=1e-9)


def test_constant_answer_on_a_skewed_set_scores_90(tmp_path: Path) -> None:
    rows = financial_rows("causal20", [0] * 934 + [1] * 66)
    write_rows(tmp_path / "causal20" / "test.jsonl", rows)
    result = evaluate(["cft_causal20"], Canned(lambda doc: "Noise."), tmp_path)
    scores = result["results"]["cft_causal20"]
    assert f"{100 * scores['f1,none']:.1f}" == "90.2"
    assert scores["acc,none"] == pytest.approx(0.934)
    assert f"{100 * scores['macro_f1,none']:.1f}" == "48.3"
    assert scores["missing,none"] == 0


def test_multiple_choice_variants_equal_scikit_learn() -> None:
    result = evaluate(["cft_financial_mc"], Canned(), FIXTURES)
    means: dict[str, list[float]] = {}
    for benchmark in CHOICES:
        task = f"cft_{benchmark}_mc"
        gold, predicted, by_length = [], [], []
        for sample in result["samples"][task]:
            doc = sample["doc"]
            likelihoods = {c: pseudo_likelihood(doc["query"], f" {c}") for c in doc["choices"]}
            predicted.append(max(likelihoods, key=lambda c: likelihoods[c]))
            by_length.append(max(likelihoods, key=lambda c: likelihoods[c] / len(c)))
            gold.append(doc["answer"])
        expected = {
            "acc": accuracy_score(gold, predicted),
            "f1": f1_score(gold, predicted, average="weighted", zero_division=0),
            "macro_f1": f1_score(gold, predicted, average="macro", zero_division=0),
            "acc_norm": accuracy_score(gold, by_length),
            "f1_norm": f1_score(gold, by_length, average="weighted", zero_division=0),
        }
        # FiQA's choices are nearly of one length.
        assert predicted != by_length or benchmark == "fiqa"
        assert "missing,none" not in result["results"][task]
        for metric, value in expected.items():
            assert result["results"][task][f"{metric},none"] == pytest.approx(value, abs=1e-9)
            means.setdefault(metric, []).append(value)
    for metric, values in means.items():
        group = result["groups"]["cft_financial_mc"][f"{metric},none"]
        assert group == pytest.approx(sum(values) / 3, abs=1e-9)


def test_normalized_choices_are_the_harness_own(tmp_path: Path) -> None:
    """`acc_norm` is what lm-eval's own multiple choice says of the same items."""
    choice = {
        "task": "plain_choice",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(FIXTURES / "multifin" / "test.jsonl")}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "query",
        "doc_to_choice": "choices",
        "doc_to_target": "gold",
        "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
    }
    (tmp_path / "plain_choice.yaml").write_text(yaml.safe_dump(choice))
    theirs = evaluate(["plain_choice"], Canned(), FIXTURES, folder=tmp_path)
    ours = evaluate(["cft_multifin_mc"], Canned(), FIXTURES)
    for metric in ("acc", "acc_norm"):
        pairs = zip(
            ours["samples"]["cft_multifin_mc"], theirs["samples"]["plain_choice"], strict=True
        )
        assert all(mine[metric] == other[metric] for mine, other in pairs)


def test_causal20_says_what_its_sentences_share() -> None:
    """The results file repeats it, with whatever metadata a run brings."""
    tasks = ["cft_causal20", "cft_causal20_mc", "cft_multifin_mc"]
    configs = evaluate(tasks, Canned(lambda doc: "noise"), FIXTURES)["configs"]
    blocks = [configs[task]["metadata"].get("items_in_blocks_of") for task in tasks]
    assert blocks == [100, 100, None]
    assert all(config["metadata"]["version"] == 1.0 for config in configs.values())


def as_local_json(folder: Path, original: str, name: str, data: Path, splits: list[str]) -> str:
    """The harness's own task with nothing changed but its name and where its rows come from."""
    config = {
        "include": str(HARNESS_TASKS / original),
        "task": name,
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {
            "data_files": {split: str(data / f"{split}.jsonl") for split in splits},
            "cache_dir": str(folder / "cache"),
        },
    }
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(config))
    return name


@pytest.mark.parametrize("shots", [None, 3])
def test_medical_tasks_equal_the_harness_own(tmp_path: Path, shots: int | None) -> None:
    train = FIXTURES / "medqa" / "train.jsonl"
    medqa = tmp_path / "data" / "medqa"
    medqa.mkdir(parents=True)
    for split, source in (("train", train), ("validation", train), ("test", None)):
        shutil.copy(source or train.with_name("test.jsonl"), medqa / f"{split}.jsonl")
    shutil.copytree(FIXTURES / "mmlu", tmp_path / "data" / "mmlu")
    own = [
        as_local_json(
            tmp_path,
            f"mmlu/default/mmlu_{subject}.yaml",
            f"mmlu_{subject}",
            folder,
            ["dev", "test"],
        )
        for subject in SUBJECTS
        for folder in [FIXTURES / "mmlu" / subject]
    ]
    splits = ["train", "validation", "test"]
    own.append(as_local_json(tmp_path, "medqa/medqa.yaml", "medqa_4options", medqa, splits))
    ours = evaluate(["cft_medical"], Canned(), tmp_path / "data", shots)
    theirs = evaluate(own, Canned(), tmp_path / "data", shots, folder=tmp_path)

    accuracies = []
    for name in [*(f"mmlu_{s}" for s in SUBJECTS), "medqa_4options"]:
        mine = "cft_" + name.removesuffix("_4options")
        pairs = zip(ours["samples"][mine], theirs["samples"][name], strict=True)
        for sample, other in pairs:
            assert sample["arguments"] == other["arguments"]
            assert sample["target"] == other["target"]
            assert sample["acc"] == other["acc"]
        accuracy = ours["results"][mine]["acc,none"]
        assert accuracy == theirs["results"][name]["acc,none"]
        accuracies.append(accuracy)
    assert len(set(accuracies)) > 1
    group = ours["groups"]["cft_medical"]["acc,none"]
    assert group == pytest.approx(sum(accuracies) / 7, abs=1e-12)


def test_environment_variable_serves_runs_without_metadata(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CFT_DATA_DIR", str(FIXTURES))
    result = evaluate(["cft_multifin_mc"], Canned(), None)
    assert result["n-samples"]["cft_multifin_mc"]["original"] == 42
    write_rows(tmp_path / "multifin" / "test.jsonl", financial_rows("multifin", [0, 1]))
    result = evaluate(["cft_multifin_mc"], Canned(), tmp_path)
    assert result["n-samples"]["cft_multifin_mc"]["original"] == 2


def test_a_clone_serves_a_machine_without_our_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = shutil.copytree(TASKS, tmp_path / "eval_tasks")
    for name in [name for name in sys.modules if name.split(".")[0] == "axolotl_cft"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "axolotl_cft", None)  # an import of it now fails
    groups = ["cft_medical", "cft_financial", "cft_financial_mc"]
    result = evaluate(groups, Canned(lambda doc: "noise"), FIXTURES, folder=clone)
    assert set(groups) <= result["groups"].keys()


def test_parquet_is_read_like_jsonl(tmp_path: Path) -> None:
    module = catalogue()
    rows = module.load_local("causal20", "test", FIXTURES)
    (tmp_path / "causal20").mkdir()
    rows.to_parquet(str(tmp_path / "causal20" / "test.parquet"))
    assert module.load("causal20", cft_data_dir=str(tmp_path))["test"].to_list() == rows.to_list()


def load_failure(folder: Path, benchmark: str) -> str:
    with pytest.raises(catalogue().BenchmarkDataError) as error:
        catalogue().load(benchmark, cft_data_dir=str(folder), version=1.0, pretrained="x")
    return str(error.value)


def test_missing_file_column_and_rows_are_named(tmp_path: Path) -> None:
    message = load_failure(tmp_path, "mmlu/anatomy")
    for part in ("'test' split", str(tmp_path / "mmlu/anatomy/test"), ".jsonl", ".parquet"):
        assert part in message
    assert "axolotl-cft data fetch" in message
    assert "gated" in load_failure(tmp_path, "fiqa")

    path = tmp_path / "fiqa" / "test.jsonl"
    rows = financial_rows("fiqa", [0, 1])
    write_rows(path, [{k: v for k, v in row.items() if k != "gold"} for row in rows])
    message = load_failure(tmp_path, "fiqa")
    assert "'gold'" in message and str(path) in message and "TheFinAI/en-fiqasa" in message
    write_rows(path, [rows[0], rows[1] | {"gold": 3}])
    assert f"{path}: row 2 has gold = 3" in load_failure(tmp_path, "fiqa")
    path.write_text('{"query": "a"}\n{"query": \n')
    assert f"{path}: line 2 is not JSON" in load_failure(tmp_path, "fiqa")
    path.write_text("")
    assert f"{path} has no rows" in load_failure(tmp_path, "fiqa")


def test_absent_fewshot_split_matters_only_when_used(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES, tmp_path, dirs_exist_ok=True)
    for path in ("fiqa/train.jsonl", "medqa/train.jsonl", "mmlu/anatomy/dev.jsonl"):
        (tmp_path / path).unlink()
    model = Canned(lambda doc: doc["answer"])
    result = evaluate(["cft_fiqa", "cft_medqa", "cft_mmlu_anatomy"], model, tmp_path)
    assert result["results"]["cft_fiqa"]["f1,none"] == 1
    for task, path in (
        ("cft_fiqa", "fiqa/train"),
        ("cft_medqa", "medqa/train"),
        ("cft_mmlu_anatomy", "mmlu/anatomy/dev"),
    ):
        # The harness imports its own copy of the loader: the same class by name only.
        with pytest.raises(RuntimeError, match=str(tmp_path / path)):
            evaluate([task], model, tmp_path, 2)


def test_hub_failure_says_how_to_get_access() -> None:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise PermissionError("403 for url")

    with pytest.raises(catalogue().BenchmarkDataError) as error:
        catalogue().load_hub("multifin", "test", refuse)
    for part in ("'test'", "TheFinAI/en-multifin", "HF_TOKEN", "CFT_DATA_DIR", "403 for url"):
        assert part in str(error.value)


def load_letters() -> ModuleType:
    path = TASKS / "medical" / "letters.py"
    spec = importlib.util.spec_from_file_location("letters_under_test", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


OPTIONS = ["Metformin", "Insulin glargine", "Vancomycin", "C. difficile colitis"]
NONE = "missing"
TRICKY = [
    ("The answer is (C).", "C"),
    ("**B**", "B"),
    ("Answer: D", "D"),
    ("Answer: D\n", "D"),
    ("B", "B"),
    ("b", "B"),
    ("(b)", "B"),
    ("B.", "B"),
    ("C) Vancomycin", "C"),
    ("B. Insulin glargine", "B"),
    ("**B. Insulin glargine**", "B"),
    ("Option B", "B"),
    ("A patient with fever needs antibiotics.", NONE),
    ("A patient presents... The answer is B.", "B"),
    ("The answer is A patient-centred approach.", NONE),
    ("The answer is A.", "A"),
    ("The answer is A", "A"),
    ("The best answer is A because it is first line.", "A"),
    (
        "Option A is wrong. Option B is unlikely; C would be better. Therefore, the answer is D.",
        "D",
    ),
    ("Answer: A? Let me reconsider. B is tempting. Answer: C", "C"),
    ("<think>The answer is A. No, B.</think>The answer is C.", "C"),
    ("<think>The answer is A, maybe", NONE),
    ("</think>\n\nD", "D"),
    ("<think>Answer: A</think>\n\n**Answer: B**", "B"),
    ("**Answer:** B", "B"),
    ("### Answer\nB", "B"),
    ("### Final Answer\n\n**C) Vancomycin**", "C"),
    ("Thus $\\boxed{\\text{C}}$", "C"),
    ("\\boxed{D}", "D"),
    ("<answer>C</answer>", "C"),
    ('{"answer": "C"}', "C"),
    ("Final Answer - B", "B"),
    ("The correct answer is option (B): Insulin glargine.", "B"),
    ("the answer is c.", "C"),
    ("answer: c", "C"),
    ("the answer is a patient thing", NONE),
    ("The answer is not B. It must be C. difficile... Answer: D", "D"),
    ("Hepatitis B is likely.", NONE),
    ("B cells produce antibodies.", NONE),
    ("Vitamin D", NONE),
    ("The answer is B cells", NONE),
    ("Answer: D-dimer", NONE),
    ("The answer is C. difficile colitis.", "D"),
    ("The answer is C. Vancomycin", "C"),
    ("The answer is Vancomycin.", "C"),
    ("Answer: Metformin", "A"),
    ("I'd go with B.", "B"),
    ("I would choose option A.", "A"),
    ("So, C.", "C"),
    ("C is the correct answer.", "C"),
    ("Option C is correct; A is incorrect.", "C"),
    ("(C) is the best choice, not (A).", "C"),
    ("A. wrong\nB. wrong\nC. right\nD. wrong", NONE),
    ("A. Metformin is first line.\n\nAnswer: A. Metformin", "A"),
    ("", NONE),
    ("I cannot answer that.", NONE),
    ("The most likely diagnosis is treated with vancomycin", "C"),
    ("Let's see. A: no. B: no. C: yes.\nC", "C"),
    ("Both A and B are plausible.", NONE),
    ("The answer is:\n\n(D)", "D"),
    ("The correct answer is **B) Insulin glargine**. A is wrong because…", "B"),
    ("Answer: (A)", "A"),
    ("Answer: [A]", "A"),
    ("ANSWER: A", "A"),
    ("The answer is: A", "A"),
    ("The correct choice is D", "D"),
    ("The answer is B\n\nExplanation: vitamin D and group A streptococcus are irrelevant.", "B"),
    ("Based on the findings, I believe it's B", "B"),
    ("Answer: X, where X is A, B, C or D.", NONE),
    ("The answer could be A or B, but the final answer is: B", "B"),
    ("Answer: A and C", NONE),
    ("The answer is either A or B.", NONE),
    ("A", "A"),
    ("A) because of x", "A"),
    ("So a patient with this has B", NONE),
    ("Answer:B", "B"),
    ("Answer：C", "C"),
    ("I think that D is the right answer here", "D"),
    ("Correct answer: \n**D**", "D"),
    ("**Correct Answer: D. C. difficile colitis**", "D"),
    ("My answer: **A**\n\nNote: If the patient had X, the answer would be B.", "A"),
    ("If I had to choose, the answer is B", "B"),
    ("The answer is (A) or (B).", NONE),
    ("It is a group A streptococcus infection.", NONE),
    ("So a patient with type A blood", NONE),
    ("Answer: Option C", "C"),
    ("Answer is D - colitis", "D"),
    ("The answer: C.\n\nWhy not A: it is slow. Why not B: contraindicated.", "C"),
    ("Let's evaluate:\n(A) no\n(B) no\n(C) yes\n(D) no\n\nFinal answer: (C)", "C"),
    ("Diagnosis: C. difficile", NONE),
    ("The treatment is oral vancomycin.", "C"),
    ("Answer: **D**. The patient has C. difficile colitis", "D"),
    ("I'm torn between A and B; I'll go with option A.", "A"),
    ("It's B.", "B"),
    ("Correct option: (d)", "D"),
    ("Answer\n\n(b)", "B"),
    ("**Final answer:** $B$", "B"),
    ("The correct answer is A) Metformin", "A"),
    ("The answer is the option C", "C"),
]


@pytest.mark.parametrize(("text", "letter"), TRICKY)
def test_letter_is_read_out_of_reasoning(text: str, letter: str) -> None:
    assert load_letters().answer_letter(text, OPTIONS) == letter


def reply(doc: dict) -> str:
    """Right twice in four, wrong once, and once no answer."""
    number = int(doc["id"].split("-")[1])
    right = "ABCD"[doc["label"]]
    wrong = "ABCD"[(doc["label"] + 1) % 4]
    return [
        f"A patient with this history rarely has {wrong}. The answer is **({right})**.",
        f"<think>Surely {wrong}.</think>\n\nAnswer: {right}",
        f"Answer: {wrong}",
        "I cannot give medical advice.",
    ][number % 4]


def test_generated_medqa_through_the_harness() -> None:
    for shots in (0, 2):
        result = evaluate(["cft_medqa_gen"], Canned(reply), FIXTURES, shots)
        scores = result["results"]["cft_medqa_gen"]
        assert scores["acc,none"] == pytest.approx(0.5)
        assert scores["missing,none"] == pytest.approx(0.25)


@contextmanager
def service(answer: Callable[[str], str]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A completions and chat service on 127.0.0.1 that is as strict as OpenAI's about `stop`.

    Yields its address and the requests that it answered.
    """
    answered: list[dict[str, Any]] = []

    class Service(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            stop = body.get("stop")
            if stop is not None and not (1 <= len(stop) <= 4 and all(stop)):
                self.reply(400, {"error": {"message": f"'stop' must have 1 to 4 strings: {stop}"}})
                return
            answered.append(body)
            if "messages" in body:
                text = answer(body["messages"][-1]["content"])
                self.reply(200, {"choices": [{"index": 0, "message": {"content": text}}]})
                return
            prompts = [body["prompt"]] if isinstance(body["prompt"], str) else body["prompt"]
            choices = [{"index": i, "text": answer(prompt)} for i, prompt in enumerate(prompts)]
            self.reply(200, {"choices": choices})

        def reply(self, status: int, content: dict[str, Any]) -> None:
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1", answered
        finally:
            server.shutdown()


def test_generated_medqa_over_a_chat_service(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tenacity", reason="the API models need lm-eval[api]")
    rows = [json.loads(line) for line in (FIXTURES / "medqa/test.jsonl").read_text().splitlines()]

    def answer(prompt: str) -> str:
        (row,) = [row for row in rows if prompt.startswith(row["sent1"])]
        return reply(row)

    monkeypatch.setenv("CFT_DATA_DIR", str(FIXTURES))
    with service(answer) as (url, requests):
        result = lm_eval.simple_evaluate(
            model="local-chat-completions",
            model_args={"base_url": f"{url}/chat/completions", "model": "m"},
            tasks=["cft_medqa_gen"],
            task_manager=manager(None, TASKS),
            apply_chat_template=True,
            bootstrap_iters=0,
        )
    assert result is not None
    assert result["results"]["cft_medqa_gen"]["acc,none"] == pytest.approx(0.5)
    assert result["results"]["cft_medqa_gen"]["missing,none"] == pytest.approx(0.25)
    assert len(requests) == 24
    assert all(r["stop"] and r["temperature"] == 0 for r in requests)


@pytest.mark.parametrize("kind", ["completions", "completions with a tokenizer", "chat"])
def test_services_that_are_strict_about_stop_strings_are_served(
    kind: str, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tenacity", reason="the API models need lm-eval[api]")
    from lm_eval.api.instance import Instance
    from lm_eval.api.registry import get_model

    # A tokenizer lets the harness add its end of text to the stop strings.
    tokenizer: dict[str, Any] = {"tokenizer_backend": "none"}
    if "tokenizer" in kind:
        tokenizer = {"tokenizer_backend": "huggingface", "tokenizer": str(tiny_model)}
    name, place = "local-completions", "completions"
    if kind == "chat":
        name, place = "local-chat-completions", "chat/completions"
    monkeypatch.setenv("CFT_DATA_DIR", str(FIXTURES))
    with service(lambda prompt: "I say: Finance, positive or noise.") as (url, requests):
        options = {"base_url": f"{url}/{place}", "model": "m", "max_retries": 1, **tokenizer}
        result = lm_eval.simple_evaluate(
            model=name,
            model_args={**options, "tokenized_requests": False},
            tasks=["cft_financial"],
            task_manager=manager(None, TASKS),
            apply_chat_template=kind == "chat",
            limit=6,
            bootstrap_iters=0,
        )
        assert result is not None
        assert len(requests) == 18
        for request in requests:
            assert request["stop"] == NO_STOP + (["</s>"] if "tokenizer" in kind else [])
            assert request["temperature"] == 0 and request["max_tokens"] == 256
        for sample in result["samples"]["cft_fiqa"]:
            assert sample["f1"][1] == "positive"

        if kind == "completions":  # the service does refuse what the tasks once sent
            model = get_model(name).create_from_arg_obj({**options, "tokenized_requests": False})
            arguments = ("Which?", {"until": [], "do_sample": False})
            with pytest.raises(Exception, match="400"):
                model.generate_until([Instance("generate_until", {}, arguments, 0)])


def test_the_stop_string_stops_nothing(tiny_model: Path) -> None:
    """A model of the harness's writes what it writes without any stop string."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    shared = (TASKS / "financial" / "_generate").read_text(encoding="utf-8")
    given = yaml.load(shared, Loader=our_tasks._TaskLoader)["generation_kwargs"]
    assert given["until"] == NO_STOP
    lines = (FIXTURES / "fiqa" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    prompts = [json.loads(line)["query"] for line in lines[:8]]
    model = HFLM(pretrained=str(tiny_model), batch_size=8, device="cpu", dtype="float32")

    def answers(until: list[str]) -> list[str]:
        options = given | {"until": until, "max_gen_toks": 60}
        requests = [Instance("generate_until", {}, (p, dict(options)), 0) for p in prompts]
        return model.generate_until(requests, disable_tqdm=True)

    without = answers([])
    assert answers(given["until"]) == without
    assert answers([without[0].strip()[:2]])[0] != without[0]  # a stop string does stop it


def test_prompts_carry_the_published_instructions() -> None:
    """The fixtures are in the hub's columns: query and text belong together."""
    for benchmark, choices in CHOICES.items():
        for line in (FIXTURES / benchmark / "test.jsonl").read_text().splitlines():
            row = json.loads(line)
            assert row["query"].endswith(f"\nText: {row['text']}\nAnswer:")
            assert row["choices"] == choices and choices[row["gold"]] == row["answer"]


def test_every_task_has_data_and_a_group() -> None:
    names = list(task_benchmarks(["cft_medical", "cft_financial", "cft_financial_mc"]))
    assert len(names) == 13
    assert set(task_benchmarks(names).values()) == set(catalogue().BENCHMARKS)
    for path in TASKS.rglob("*.py"):
        assert "import axolotl" not in path.read_text() and "from axolotl" not in path.read_text()


def test_groups_are_what_their_yamls_say() -> None:
    facts, medical, financial, choice = task_groups()
    assert facts.name == "cft_facts"  # which tests/test_facts_tasks.py is about
    assert [group.name for group in (medical, financial, choice)] == [
        "cft_medical",
        "cft_financial",
        "cft_financial_mc",
    ]
    assert [group.metric for group in (medical, financial, choice)] == ["acc", "f1", "f1"]
    assert medical.tasks["cft_mmlu_clinical_knowledge"] == "Clinical Knowledge"
    assert list(medical.tasks.values())[-1] == "MedQA" and len(medical.tasks) == 7
    assert list(financial.tasks.values()) == ["FiQA", "Causal20", "MultiFin"]
    assert list(choice.tasks) == [f"{task}_mc" for task in financial.tasks]
    # The report averages every task alike, as the harness is told to.
    for path in TASKS.rglob("cft_*.yaml"):
        for line in path.read_text(encoding="utf-8").splitlines():
            assert "weight_by_size" not in line or line.strip() == "weight_by_size: false"


def test_a_group_changes_with_its_yaml_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = shutil.copytree(TASKS, tmp_path / "eval_tasks")
    path = clone / "financial" / "cft_financial.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("  - cft_fiqa\n", ""))
    monkeypatch.setattr(our_tasks, "task_folder", lambda: clone)
    our_tasks._task_table.cache_clear()
    try:
        groups = {group.name: list(group.tasks) for group in task_groups()}
        assert groups["cft_financial"] == ["cft_causal20", "cft_multifin"]
        assert list(task_benchmarks(["cft_financial"])) == ["cft_causal20", "cft_multifin"]
    finally:
        our_tasks._task_table.cache_clear()


@pytest.mark.slow
def test_wheel_brings_the_groups_to_a_fresh_environment(tmp_path: Path) -> None:
    """A venv with a copy of the harness (its own tasks left out for speed) and our wheel."""
    pytest.importorskip("hatchling", reason="builds a wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    run = functools.partial(subprocess.run, check=True, capture_output=True, text=True)
    wheels = tmp_path / "wheels"
    build = ["--no-deps", "--no-build-isolation", "-w", str(wheels), str(REPOSITORY)]
    run([*pip, "wheel", *build])
    run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")])
    python = tmp_path / "venv" / "bin" / "python"
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    shutil.copytree(
        HARNESS_TASKS.parent,
        site / "lm_eval",
        ignore=lambda folder, names: [
            name for name in names if Path(folder) == HARNESS_TASKS and not name.endswith(".py")
        ],
    )
    dependencies = Path(yaml.__file__).parents[1]
    (site / "dependencies.pth").write_text(f"{dependencies}\n")
    (wheel,) = wheels.glob("*.whl")
    run([*pip, "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)])
    environment = {**os.environ, "PYTHONPATH": "", "HF_HUB_OFFLINE": "1"}
    listing = run(
        [str(python), "-m", "lm_eval", "ls", "groups"], cwd=tmp_path, env=environment
    ).stdout
    for group in ("cft_medical", "cft_financial", "cft_financial_mc", "cft_facts"):
        assert re.search(rf"\|\s*{group}\s*\|lm_eval/tasks/axolotl_cft/", listing)
