"""The task `cft_heldout_positions`: where documents are cut, its number, and the report on it."""

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from harness_tasks import scored
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager
from test_heldout_task import evaluate, write_documents

from axolotl_cft.cli.report import report
from axolotl_cft.demo.tiny import build_model
from axolotl_cft.evaluation.tasks import task_folder
from axolotl_cft.host.heldout_positions import find_cuts
from axolotl_cft.host.tokens import Tokens

TASK = "cft_heldout_positions"
WORDS = [
    "insulin",
    "lets",
    "cells",
    "take",
    "up",
    "glucose",
    "from",
    "the",
    "blood\nThe",
    "heart",
    "—",
    "beats.",
    "12",
    "東京",
    "",
]


def prose(words: int, seed: int = 0) -> str:
    rng = random.Random(seed)
    return " ".join(rng.choice(WORDS) for _ in range(words))


@pytest.fixture(params=["sentencepiece", "bytelevel"])
def tokens(request: pytest.FixtureRequest) -> Tokens:
    return Tokens(tokenizer=request.getfixturevalue(f"{request.param}_tokenizer"))


def test_what_stands_before_a_cut_has_the_tokens_that_it_has_in_the_text(tokens):
    text = prose(900)
    ids = tokens.tokenizer(text, add_special_tokens=False)["input_ids"]
    cuts = find_cuts(text, len(ids), tokens)
    assert [position for position, _ in cuts] == [128 << i for i in range(len(cuts))]
    assert len(cuts) > 3 and cuts[-1][0] < len(ids) <= 2 * cuts[-1][0]
    for position, at in cuts:
        before = tokens.tokenizer(text[:at], add_special_tokens=False)["input_ids"]
        assert before == ids[: len(before)]
        assert position - 16 < len(before) <= position
        assert text[at] == " " != text[at - 1]


def test_a_text_without_spaces_is_cut_all_the_same_and_a_short_one_is_not(tokens):
    text = "東京🫀" * 300
    length = tokens.of_text(text)
    cuts = find_cuts(text, length, tokens)
    assert cuts and all(tokens.of_text(text[:at]) <= position for position, at in cuts)
    assert find_cuts("insulin", 1, tokens) == []
    assert find_cuts(text, 128, tokens) == []


def write(folder: Path, texts: list[str], tokens: Tokens) -> None:
    write_documents(folder, texts)
    path = folder / "heldout" / "test.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        row["tokens"] = tokens.of_text(row["text"])
        row["cuts"] = find_cuts(row["text"], row["tokens"], tokens)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def long_model(tmp_path_factory, sentencepiece_tokenizer) -> Path:
    folder = tmp_path_factory.mktemp("long")
    return build_model(folder, sentencepiece_tokenizer, max_positions=1024)


def test_a_stretchs_log_likelihood_is_that_of_its_tokens(
    tmp_path, long_model, sentencepiece_tokenizer
):
    from transformers import AutoModelForCausalLM

    tokenizer = sentencepiece_tokenizer
    texts = [prose(260), prose(20), prose(1500, seed=1), "insulin"]
    write(tmp_path, texts, Tokens(tokenizer=tokenizer))
    both = evaluate(tmp_path, long_model, ["cft_heldout", TASK], max_length=1024)
    samples, whole = (
        sorted(both["samples"][task], key=lambda sample: sample["doc_id"])
        for task in (TASK, "cft_heldout")
    )
    model = AutoModelForCausalLM.from_pretrained(long_model)
    sums: dict[str, list[float]] = {}
    for text, sample, alone in zip(texts, samples, whole, strict=True):
        begin = tokens_before = 0
        for token, end in zip(sample["doc"]["begins"], sample["doc"]["ends"], strict=True):
            ids = tokenizer(text[:end], add_special_tokens=False)["input_ids"]
            with torch.no_grad():
                logits = model(torch.tensor([[tokenizer.bos_token_id, *ids]])).logits[0]
            scores = logits.log_softmax(-1)[:-1].gather(-1, torch.tensor(ids)[:, None])
            expected = scores[tokens_before:].sum().item()
            size = len(text[begin:end].encode())
            metric = f"bits_per_byte@{token}"
            assert sample[metric] == (pytest.approx(expected, abs=2e-3), size)
            likelihood, bytes_ = sums.setdefault(metric, [0.0, 0])
            sums[metric] = [likelihood + expected, bytes_ + size]
            begin, tokens_before = end, len(ids)
        if begin == len(text):
            parts = [value[0] for name, value in sample.items() if "@" in name]
            assert sum(parts) == pytest.approx(alone["bits_per_byte"][0], abs=2e-3)
    assert samples[0]["doc"]["begins"] == [0, 128, 512]
    # Of the document that the model cannot take, what stands before its cut at 1,024 is read.
    assert samples[2]["doc"]["begins"] == [0, 128, 512]
    assert samples[2]["doc"]["ends"][-1] == samples[2]["doc"]["cuts"][3][1] < len(texts[2])
    row = both["results"][TASK]
    for metric, (likelihood, size) in sums.items():
        expected = -likelihood / size / math.log(2)
        assert row[f"{metric},none"] == pytest.approx(expected, abs=1e-5)
    assert sums.keys() == {f"bits_per_byte@{token}" for token in (0, 128, 512)}


def test_without_cuts_or_a_length_the_task_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("CFT_DATA_DIR", str(tmp_path))

    def refusal(**metadata: Any) -> str:
        manager = TaskManager(
            include_path=str(task_folder()), include_defaults=False, metadata=metadata
        )
        with pytest.raises(RuntimeError) as caught:
            manager.load_task_or_group(TASK)
        return str(caught.value)

    write_documents(tmp_path, ["abc"])
    assert "were exported without positions" in refusal()
    bare = {"pretrained": "model", "add_bos_token": False}
    assert "add `max_length=…` to --model_args" in refusal(**bare)
    write_documents(tmp_path, ["abc"], tokens=200, cuts=[[128, 2]])
    assert "every document is longer than max_length=100" in refusal(**bare, max_length=100)


class Planted(LM):
    """A nat a byte, less `gain` of one from some character of a document on; some luck."""

    def __init__(self, begin: int, gain: float, seed: int):
        super().__init__()
        self.begin, self.gain, self.seed = begin, gain, seed

    def _of(self, text: str, document: str) -> float:
        luck = random.Random(f"{self.seed} {document[:60]}").uniform(-0.02, 0.02)
        late = max(0, len(text) - self.begin)
        return -(1 + luck) * len(text) + self.gain * late

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> Any:
        return [(self._of(r.args[1], r.doc["text"]), False) for r in requests]

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> Any:
        return [self._of(r.args[0], r.args[0]) for r in requests]

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> Any:
        raise NotImplementedError


def write_words(folder: Path, numbers: list[int]) -> list[dict[str, Any]]:
    """Documents of so many words, a token each."""
    texts = [f"{number:03d} " + "word " * number for number in numbers]
    rows = [
        {
            **{"key": str(i), "text": text, "bytes": len(text), "words": len(text.split())},
            "tokens": len(text) // 5,  # a token a word
            "cuts": [[128 << i, 5 << 7 + i] for i in range(9) if 128 << i < len(text) // 5],
        }
        for i, text in enumerate(texts)
    ]
    path = folder / "heldout/test.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return rows


def test_a_gain_at_late_positions_is_shown_there_alone(tmp_path, monkeypatch):
    rows = write_words(tmp_path / "data", [60 + 90 * number for number in range(40)])
    monkeypatch.setenv("CFT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr("torch.utils.collect_env.get_pretty_env_info", str)
    arguments = []
    for arm, gain in (("cpt", 0.0), ("cft", 0.05)):
        for seed in (1, 2, 3):
            model = Planted(2048 * 5, gain, seed + (10 if gain else 0))
            folder = scored(model, tmp_path / f"{arm}{seed}", task_folder(), [TASK], bare=True)
            arguments.append(f"{arm}@{seed}={folder}")
    result = CliRunner().invoke(
        report, [*arguments, "--output-dir", str(tmp_path / "out")], catch_exceptions=False
    )
    assert result.exit_code == 0, (result.output, result.exception)
    content = json.loads((tmp_path / "out/report.json").read_text())
    found = {c["task"]: c for c in content["comparisons"]}
    verdicts = {task.partition("@")[2]: c["verdict"] for task, c in found.items()}
    assert verdicts == {
        **dict.fromkeys(("0", "128", "512"), "not distinguishable"),
        "2048": "better",
    }
    late = found[f"{TASK}@2048"]
    assert late["difference"] == pytest.approx(-0.05 / math.log(2), abs=0.01)
    assert late["items"] == sum(row["tokens"] > 2048 for row in rows) < len(rows)
    text = (tmp_path / "out/report.md").read_text()
    assert "## held-out text by position: bits per byte" in text
    header = "| Model | tokens 0–127 | tokens 128–511 | tokens 512–2,047 | tokens 2,048 on |"
    assert header in text
    said = (
        "**cft against cpt on held-out text by position** (4 stretches, no common average): after "
    )
    assert f"- {said}Holm's correction better on 1, worse on 0." in text


@pytest.fixture
def two(tmp_path, monkeypatch) -> Path:
    """Two evaluated models, on documents of which two are longer than 128 tokens."""
    monkeypatch.setattr("torch.utils.collect_env.get_pretty_env_info", str)
    monkeypatch.setenv("CFT_DATA_DIR", str(tmp_path / "data"))
    write_words(tmp_path / "data", [20, 40, 60, 200, 300])
    for seed, arm in enumerate(("cpt", "cft")):
        scored(Planted(0, 0.1 * seed, seed), tmp_path / arm, task_folder(), [TASK], bare=True)
    return tmp_path


def report_of(folder: Path, *sources: str) -> str:
    output = ["--output-dir", str(folder / "out")]
    result = CliRunner().invoke(report, [*sources, *output], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return (folder / "out/report.md").read_text()


def test_a_stretch_says_in_the_first_lines_of_what_it_is(two):
    text = report_of(two, f"cpt={two / 'cpt'}", f"cft={two / 'cft'}")
    assert "**cft against cpt on held-out text, tokens 128 on** (bits per byte, lower is b" in text


def test_without_logs_the_number_of_documents_is_not_known(two):
    for log in (two / "cft").rglob("samples_*"):
        log.unlink()
    text = report_of(two, f"cpt={two / 'cpt'}", f"cft={two / 'cft'}")
    assert "tokens 128 on** (bits per byte, lower is better, 2 documents): " in text
    for log in (two / "cpt").rglob("samples_*"):
        log.unlink()
    text = report_of(two, f"cpt={two / 'cpt'}", f"cft={two / 'cft'}")
    assert "tokens 128 on** (bits per byte, lower is better): " in text
    assert "| tokens 128 on | – |" in text and f"| {TASK}@128 | bits_per_byte | – |" in text


def test_stretches_of_an_earlier_evaluation_are_none_of_a_later_one(two, monkeypatch):
    write_words(two / "short", [20, 40, 60])
    monkeypatch.setenv("CFT_DATA_DIR", str(two / "short"))
    scored(Planted(0, 0.0, 1), two / "cft", task_folder(), [TASK], bare=True)
    report_of(two, f"cft={two / 'cft'}")
    record = json.loads((two / "out/report.json").read_text())
    assert record["scores"]["cft"][""].keys() == {f"{TASK}@0"}
