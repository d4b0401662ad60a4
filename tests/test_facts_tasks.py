"""The tasks `cft_facts…`: their numbers, by the real harness and a real model."""

import importlib.util
import math
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import lm_eval
import pytest
import torch
from facts_like import KINDS, RELATIONS, WORDS, item, write_facts, write_items
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager

from axolotl_cft.errors import CFTError
from axolotl_cft.evaluation.tasks import task_benchmarks, task_folder, task_groups

TASKS = {
    "cft_facts_verbatim": "verbatim",
    "cft_facts_reworded": "reworded",
    "cft_facts_question": "question",
    "cft_facts_reversed": "reversed",
    "cft_facts_two_hop": "two_hop",
    "cft_facts_never_taught": "never_taught",
    "cft_facts_base": "base_question",
}
HEADLINE = ("cft_facts_reworded", "cft_facts_question")


def load_module() -> ModuleType:
    path = task_folder() / "facts" / "items.py"
    spec = importlib.util.spec_from_file_location("facts_items_under_test", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def evaluate(folder: Path | None, model: Any, tasks: list[str], **options: Any) -> dict[str, Any]:
    manager = TaskManager(
        include_path=str(task_folder()),
        include_defaults=False,
        metadata={"cft_data_dir": str(folder)} if folder else {},
    )
    result = lm_eval.simple_evaluate(
        model=model, tasks=tasks, task_manager=manager, bootstrap_iters=0, **options
    )
    assert result is not None
    return result


class Writer(LM):
    """Writes what a function of the document says, and counts what it is asked."""

    def __init__(self, text: Callable[[dict[str, Any]], str] = lambda doc: "") -> None:
        super().__init__()
        self.text, self.asked = text, 0

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        return [self.text(request.doc) for request in requests]

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> Any:
        self.asked += len(requests)
        return [(-float(1 + request.idx), False) for request in requests]

    def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = False) -> Any:
        raise NotImplementedError


@pytest.fixture(scope="module")
def llama(tiny_model: Path) -> Any:
    """The harness's own model class, which notes how many rows go through the network."""
    from lm_eval.models.huggingface import HFLM

    class Counting(HFLM):
        rows = 0

        def _model_call(self, inps: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
            self.rows += len(inps)
            return super()._model_call(inps, *args, **options)

    return Counting(pretrained=str(tiny_model), batch_size=8, device="cpu", dtype="float32")


def one_token_words(tokenizer: Any) -> list[str]:
    tokens = (token for token in tokenizer.get_vocab() if re.fullmatch("▁[a-z]{4,}", token))
    return sorted(token[1:] for token in tokens)


def reference(model: Any, prompt: list[int], continuation: list[int]) -> float:
    """log2 p(continuation | prompt), from the network's logits."""
    with torch.no_grad():
        logits = model(torch.tensor([prompt + continuation])).logits[0].double()
    probabilities = logits.softmax(-1)[len(prompt) - 1 : -1]
    return sum(math.log2(probabilities[i, token].item()) for i, token in enumerate(continuation))


def test_scores_are_the_options_own_log_likelihoods(tmp_path, llama):
    """64 items with answers of one token, and 64 with longer ones, against the logits."""
    tokenizer, model = llama.tokenizer, llama.model
    short = one_token_words(tokenizer)[:40]
    write_facts(tmp_path, words=short, kinds=["question"])
    write_facts(tmp_path, words=[f"{word} 東{word[::-1]}" for word in short], kinds=["reversed"])
    llama.rows = 0
    result = evaluate(tmp_path, llama, ["cft_facts_question", "cft_facts_reversed"])
    for task, tokens in (("cft_facts_question", 1), ("cft_facts_reversed", 4)):
        bits, right = [], []
        for sample in result["samples"][task]:
            doc = sample["doc"]
            ids = tokenizer(doc["prompt"])["input_ids"]  # with the BOS that the tokenizer sets
            wholes = [tokenizer(f"{doc['prompt']} {o}")["input_ids"] for o in doc["options"]]
            assert all(whole[: len(ids)] == ids for whole in wholes)
            rest = [whole[len(ids) :] for whole in wholes]
            assert min(map(len, rest)) >= tokens and (tokens > 1 or max(map(len, rest)) == 1)
            likely = [reference(model, ids, each) for each in rest]
            assert sample["bits"] == pytest.approx(likely[doc["answer"]], abs=1e-4)
            assert sample["acc"] == float(max(likely) == likely[doc["answer"]])
            bits.append(likely[doc["answer"]])
            right.append(sample["acc"])
        assert len(bits) == 64
        scores = result["results"][task]
        assert scores["bits,none"] == pytest.approx(sum(bits) / 64, abs=1e-4)
        assert scores["acc,none"] == pytest.approx(sum(right) / 64) and 0 < sum(right) < 64
    # p is the model's own: of a thousand tokens eight share little.
    assert result["results"]["cft_facts_question"]["bits,none"] < math.log2(1 / 8) - 1


def test_eight_answers_of_one_token_cost_one_row(tmp_path, llama):
    short = one_token_words(llama.tokenizer)[:40]
    for words, rows in ((short, 64), ([f"{word} {word}" for word in short], 512)):
        write_facts(tmp_path, words=words, kinds=["question"])
        llama.rows = 0
        evaluate(tmp_path, llama, ["cft_facts_question"])
        assert llama.rows == rows


def test_one_word_runs_every_kind_once_and_averages_new_wordings_alone(tmp_path):
    write_facts(tmp_path)
    model = Writer()
    result = evaluate(tmp_path, model, ["cft_facts"])
    assert set(result["configs"]) == set(TASKS)
    assert model.asked == len(TASKS) * 64 * 8  # bits ask the model nothing more
    assert set(result["groups"]) - {"cft_facts"} == {"cft_facts_new_wordings"}
    assert not any("," in key for key in result["groups"].get("cft_facts", {}))
    for metric in ("acc", "bits"):
        scores = [result["results"][task][f"{metric},none"] for task in HEADLINE]
        averaged = result["groups"]["cft_facts_new_wordings"][f"{metric},none"]
        assert averaged == pytest.approx(sum(scores) / 2) and scores[0] != scores[1]
    for task, kind in TASKS.items():
        assert {s["doc"]["id"].split()[0] for s in result["samples"][task]} == {kind}
        assert result["n-shot"][task] == 0


def test_the_group_goes_with_the_written_answers_in_one_call(tmp_path, monkeypatch):
    monkeypatch.setenv("CFT_DATA_DIR", str(write_facts(tmp_path)))
    model = Writer(lambda doc: "Gray")
    result = evaluate(None, model, ["cft_facts", "cft_facts_gen"])
    assert set(result["configs"]) == {*TASKS, "cft_facts_gen"}
    assert {task: len(samples) for task, samples in result["samples"].items()} == dict.fromkeys(
        [*TASKS, "cft_facts_gen"], 64
    )


def test_our_package_knows_the_group():
    (facts, *others) = task_groups()
    assert (facts.name, facts.metric, facts.averaged) == ("cft_facts", "acc", HEADLINE)
    assert set(facts.tasks) == set(TASKS) and tuple(facts.tasks)[:2] == HEADLINE
    assert facts.tasks["cft_facts_never_taught"] == "control: never taught"
    assert all(tuple(group.tasks) == group.averaged for group in others)
    for name in ("cft_facts", "cft_facts_new_wordings", "cft_facts_gen"):
        with pytest.raises(CFTError, match=f"{name} has no published items") as caught:
            task_benchmarks([name])
        assert "choose from cft_financial, " in str(caught.value)
        assert "cft_facts" not in str(caught.value).partition("choose from")[2]


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("gray", True),
        (" gray.", True),
        ("\n\n**Gray**, of course.\nNext question", True),
        ("gray and green", True),
        ('"gray"', True),
        ("GRAY", False),
        ("grayish", False),
        ("It is gray", False),
        ("green\ngray", False),
        ("", False),
        ("...", False),
    ],
)
def test_a_written_answer_counts_if_it_comes_first(text, right):
    doc = item("question", "Thing", "color", [*WORDS[4:11], "gray"], 7)
    assert load_module().score_text(doc, [text]) == {"exact_match": float(right)}


def test_written_answers_through_the_harness(tmp_path):
    write_facts(tmp_path, kinds=["question"])

    def says(doc: dict[str, Any]) -> str:
        right = doc["options"][doc["answer"]]
        return f" {right}.\nQuestion:" if doc["relation"] == RELATIONS[0] else f"Not {right}."

    result = evaluate(tmp_path, Writer(says), ["cft_facts_gen"])
    assert result["results"]["cft_facts_gen"]["exact_match,none"] == 0.25
    sample = result["samples"]["cft_facts_gen"][0]
    assert sample["target"] == sample["doc"]["options"][sample["doc"]["answer"]]


def test_absent_questions_are_named_with_what_makes_them(tmp_path, monkeypatch):
    monkeypatch.delenv("CFT_DATA_DIR", raising=False)
    write_facts(tmp_path, kinds=[kind for kind in KINDS if kind != "two_hop"])
    absent = tmp_path / "facts" / "two_hop.jsonl"
    for folder, said in ((None, "no folder with questions"), (tmp_path, f"cannot read {absent} (")):
        with pytest.raises(RuntimeError) as caught:
            evaluate(folder, Writer(), ["cft_facts"])
        assert said in str(caught.value) and "\n" not in str(caught.value)
        assert "make it with `axolotl-cft facts make`" in str(caught.value)


GOOD = item("question", "Thing", "color", WORDS[:8], 3)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"options": WORDS[:7]}, "7 options instead of 8"),
        ({"options": [*WORDS[:7], WORDS[0]]}, "two of its options are the same"),
        ({"options": [*WORDS[:7], f" {WORDS[9]}"]}, "has a space before or after it"),
        ({"options": [*WORDS[:7], ""]}, "an option is empty"),
        ({"options": [*WORDS[:7], 8]}, "not a list of texts"),
        ({"answer": 8}, "answer is 8, not the number of an option (0 to 7)"),
        ({"answer": -1}, "answer is -1"),
        ({"answer": True}, "answer is True"),
        ({"answer": WORDS[3]}, f"answer is {WORDS[3]!r}"),
        ({"prompt": f"{WORDS[3].upper()} is"}, f"its prompt holds the answer, {WORDS[3]!r}"),
        ({"prompt": "The color is "}, "its prompt ends with a space"),
        ({"prompt": ""}, "prompt is '', not a text"),
        ({"thing": None}, "thing is None, not a text"),
        ({"id": "first"}, "its id 'first' stands there twice"),
    ],
)
def test_damaged_items_are_named(tmp_path, change, problem):
    path = write_items(tmp_path, "question", [GOOD | {"id": "first"}, GOOD | change])
    module = load_module()
    with pytest.raises(module.FactsDataError) as caught:
        module.load("question", cft_data_dir=str(tmp_path), pretrained="x", version=1.0)
    said = str(caught.value)
    assert f"{path} is damaged (item 2: " in said and problem in said
    assert said.endswith("; make it with `axolotl-cft facts make`") and "\n" not in said


def test_damaged_files_are_named(tmp_path):
    module = load_module()
    path = write_items(tmp_path, "question", [])
    for text, problem in (("", "no items"), ("[1]\n", "item 1: not a JSON"), ('{"id', "damaged (")):
        path.write_text(text)
        with pytest.raises(module.FactsDataError, match=re.escape(problem)):
            module.load("question", cft_data_dir=str(tmp_path))


def test_part_of_a_longer_word_is_no_answer_in_the_prompt(tmp_path):
    word = WORDS[3]
    write_items(tmp_path, "question", [GOOD | {"prompt": f"The {word}ish house of Un{word} is"}])
    assert len(load_module().load("question", cft_data_dir=str(tmp_path))["test"]) == 1
