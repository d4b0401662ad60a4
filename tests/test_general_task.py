"""The task `cft_general_text`: its number, its passages, and what a report says was forgotten."""

import hashlib
import json
import math
import re
from pathlib import Path
from typing import Any

import lm_eval
import pytest
import torch
from click.testing import CliRunner
from harness_tasks import scored
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager

from axolotl_cft.cli.report import report
from axolotl_cft.demo import steps as demo
from axolotl_cft.demo.tiny import build_model
from axolotl_cft.evaluation.tasks import task_folder

TASK = "cft_general_text"
ITEMS = demo.DATA / "benchmarks"
ACCENTS = "Dès l'aube, e\u0301tonnée — 東京 🫀 \r\n"
TEXTS = [
    "x",
    "[1, 2]",  # the harness would read a template's outcome as a list
    " {{ doc }} stays as it is ",
    ACCENTS * 60,  # several passages
    "東" * 700,  # no white space anywhere
    "a" + " " * 2500 + "b",
]


def write_texts(folder: Path, *lines: Any) -> Path:
    path = folder / "general" / "test.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def manager(folder: Path | None) -> TaskManager:
    metadata = {"cft_data_dir": str(folder)} if folder else {}
    folder = task_folder()
    return TaskManager(include_path=str(folder), include_defaults=False, metadata=metadata)


def test_the_log_likelihood_is_that_of_each_passage_after_one_bos(
    tmp_path, sentencepiece_tokenizer
):
    """Beside a task that is a question, by a model whose tokenizer sets BOS by itself."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = build_model(tmp_path / "model", sentencepiece_tokenizer)
    result = lm_eval.simple_evaluate(
        model="hf",
        model_args={"pretrained": str(folder), "dtype": "float32"},
        tasks=[TASK],
        task_manager=manager(write_texts(tmp_path, *({"text": text} for text in TEXTS))),
        device="cpu",
        batch_size=4,
        num_fewshot=3,  # what a study asks for is not for bare text
        bootstrap_iters=0,
    )
    model, tokenizer = (
        kind.from_pretrained(folder) for kind in (AutoModelForCausalLM, AutoTokenizer)
    )
    assert tokenizer("x")["input_ids"][0] == tokenizer.bos_token_id
    whole = dict.fromkeys(range(1, len(TEXTS) + 1), "")
    total = size = 0.0
    for sample in sorted(result["samples"][TASK], key=lambda sample: sample["doc_id"]):
        text = sample["doc"]["text"]
        whole[sample["doc"]["document"]] += text
        assert len(text.encode()) <= 1000
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            logits = model(torch.tensor([[tokenizer.bos_token_id, *ids]])).logits[0].log_softmax(-1)
        expected = sum(logits[i, token].item() for i, token in enumerate(ids))
        assert sample["bits_per_byte"] == (pytest.approx(expected, abs=1e-3), len(text.encode()))
        assert sample["bits_per_word"] == (
            sample["bits_per_byte"][0],
            max(1, len(text.split())),
        )
        total, size = total + expected, size + len(text.encode())
    assert [*whole.values()] == TEXTS  # nothing is lost, and nothing is read twice
    bits = -total / size / math.log(2)
    assert result["results"][TASK]["bits_per_byte,none"] == pytest.approx(bits, abs=1e-5)


def refusal(folder: Path | None) -> str:
    with pytest.raises(RuntimeError, match="a document a line") as caught:
        manager(folder).load_task_or_group(TASK)
    return str(caught.value)


def test_absent_and_damaged_texts_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.delenv("CFT_DATA_DIR", raising=False)
    path = tmp_path / "general" / "test.jsonl"
    assert "no text is named" in refusal(None)
    assert f"cannot read {path} (No such file" in refusal(tmp_path)
    monkeypatch.setenv("CFT_DATA_DIR", str(write_texts(tmp_path)))
    assert f"{path} has no text" in refusal(None)
    for line in ({"txt": "a"}, ["a"], {"text": 3}, {"text": " \n"}, {"text": "\ud800"}):
        write_texts(tmp_path, {"text": "good"}, line)
        assert f"{path}, line 2: " in refusal(tmp_path)


def test_the_demos_general_text_is_short_and_none_of_its_corpus():
    rows = [json.loads(line) for line in (ITEMS / "general/test.jsonl").open(encoding="utf-8")]
    texts = {row["text"] for row in rows}
    assert len(rows) == len(texts) == len({row["id"] for row in rows}) == 40
    assert all(60 <= len(text.split()) <= 90 for text in texts)
    corpus = (demo.DATA / "corpus.jsonl").read_text(encoding="utf-8")
    words = set(corpus.lower().split())
    domain = {"patient", "patients", "blood", "insulin", "bond", "interest", "inflation"}
    assert len(domain & words) >= 5
    assert not domain & {word for text in texts for word in text.lower().split()}


class Reader(LM):
    """Needs so many nats for a byte of text, more or less; answers a question by its hash.

    Args:
        nats: of a byte.
    """

    def __init__(self, nats: float):
        super().__init__()
        self.nats = nats

    def loglikelihood(self, requests, disable_tqdm=False):
        return [(self.likelihood(*request.args), False) for request in requests]

    def likelihood(self, context: str, text: str) -> float:
        digest = hashlib.sha256(f"{context}{text}{self.nats}".encode()).digest()
        luck = int.from_bytes(digest[:4], "big") / 2**32
        return -luck if context else -(self.nats + 0.02 * luck) * len(text.encode())

    def generate_until(self, requests, disable_tqdm=False):
        raise NotImplementedError

    def loglikelihood_rolling(self, requests, disable_tqdm=False):
        raise NotImplementedError


def forgotten(folder: Path, nats: dict[str, float], monkeypatch) -> dict[str, str]:
    """What the report of a study says on general ability: "cft, base" -> sentence."""
    monkeypatch.setenv("CFT_DATA_DIR", str(ITEMS))
    tasks = [TASK, "cft_multifin_mc"]
    runs = []
    for arm, each in nats.items():
        scored(Reader(each), folder / arm / "eval", task_folder(), tasks)
        trained = arm != "base"
        run = {"arm": arm, "seed": 1 if trained else None, "status": "done"}
        train = {"train_dir": f"{arm}/train"} if trained else {}
        runs.append({**run, **train, "eval_dir": f"{arm}/eval"})
    record = {"schema": 1, "name": "A study", "baseline": "cpt", "untouched": "base", "runs": runs}
    record |= {"tasks": tasks, "general": tasks}
    (folder / "study.json").write_text(json.dumps(record))
    ended = CliRunner().invoke(report, [str(folder)])
    assert ended.exit_code == 0, ended.output
    lines = (folder / "report/report.md").read_text().splitlines()
    said = {}
    for line in lines:
        if line.startswith("- **General ability, "):
            rows, _, sentence = line.removeprefix("- **General ability, ").partition("**: ")
            said[rows.removesuffix(", the untouched model").replace(" against ", ", ")] = sentence
    return said


def on_text(sentence: str) -> tuple[float, str]:
    """The difference in bits per byte, and what is said of it."""
    pattern = rf"([+−][\d.]+) on {TASK} \(bits per byte, lower is better, 40 items; [^)]*\), (.+)"
    found = re.search(pattern, sentence)
    assert found is not None, sentence
    return float(found[1].replace("−", "-")), found[2].partition(" (")[0]


@pytest.mark.slow
def test_fewer_bits_are_better_and_more_are_what_was_forgotten(tmp_path, monkeypatch):
    """Planted: one arm learnt general text and the other one forgot it, and the other way round."""
    nats = {"base": 1.0, "cpt": 1.2, "cft": 0.9}
    said = forgotten(tmp_path / "a", nats, monkeypatch)
    bit = 1 / math.log(2)
    near = {"abs": 0.01}
    assert {rows: on_text(sentence) for rows, sentence in said.items()} == {
        "cpt, base": (pytest.approx(0.2 * bit, **near), "this model of cpt is worse than base"),
        "cft, base": (pytest.approx(-0.1 * bit, **near), "this model of cft is better than base"),
        "cft, cpt": (
            pytest.approx(-0.3 * bit, **near),
            "this model of cft is better than this one of cpt",
        ),
    }
    # A share of right answers stands beside it: no number is made of both.
    for sentence in said.values():
        assert sentence.count("95 % interval") == 2 and "average" not in sentence
        assert "points on MultiFin (weighted F1, 42 items; " in sentence

    nats = {"base": 1.0, "cpt": 0.9, "cft": 1.2}
    said = forgotten(tmp_path / "b", nats, monkeypatch)
    assert {rows: on_text(sentence)[1] for rows, sentence in said.items()} == {
        "cpt, base": "this model of cpt is better than base",
        "cft, base": "this model of cft is worse than base",
        "cft, cpt": "this model of cft is worse than this one of cpt",
    }


def test_passages_of_one_document_are_taken_together(tmp_path, monkeypatch):
    """The report's interval is over documents."""
    long = "This sentence is said again and again. " * 200
    folder = write_texts(tmp_path / "data", *({"text": f"{i} {long}"} for i in range(6)))
    monkeypatch.setenv("CFT_DATA_DIR", str(folder))
    for name, nats in (("a", 1.0), ("b", 1.1)):
        scored(Reader(nats), tmp_path / name, task_folder(), [TASK])
    out = ["--output-dir", str(tmp_path / "out")]
    ended = CliRunner().invoke(report, [f"a={tmp_path / 'a'}", f"b={tmp_path / 'b'}", *out])
    assert ended.exit_code == 0, ended.output
    assert "48 items of 6 values of document" in (tmp_path / "out/report.md").read_text()
