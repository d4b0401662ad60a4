"""The task `cft_heldout`: its number, by the real harness and a real model."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lm_eval
import pytest
import torch
from lm_eval.tasks import TaskManager

from axolotl_cft.demo.tiny import build_model
from axolotl_cft.errors import CFTError
from axolotl_cft.evaluation.tasks import load_items, task_benchmarks, task_folder

TEXTS = [
    "Insulin lets cells take up glucose. " * 12,  # longer than the model's context
    "x",
    "First line.\r\nSecond line: 東京 🫀 e\u0301\n",
    "[1, 2]",  # the harness would read a template's outcome as a list
    " {{ doc }} stays as it is ",
]


def write_documents(folder: Path, texts: list[str], **more: Any) -> Path:
    lines = [
        {"key": str(number), "text": text, "bytes": len(text.encode()), "words": 1, **more}
        for number, text in enumerate(texts)
    ]
    path = folder / "heldout" / "test.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
    )
    return folder


def evaluate(
    folder: Path | None, model: Path, tasks: Sequence[str] = ("cft_heldout",), **model_args: Any
) -> dict[str, Any]:
    metadata = {"cft_data_dir": str(folder)} if folder else {}
    arguments = {"pretrained": str(model), "add_bos_token": False, "dtype": "float32", **model_args}
    manager = TaskManager(
        include_path=str(task_folder()), include_defaults=False, metadata=arguments | metadata
    )
    result = lm_eval.simple_evaluate(
        model="hf",
        model_args=arguments,
        tasks=[*tasks],
        task_manager=manager,
        device="cpu",
        batch_size=2,
        bootstrap_iters=0,
    )
    assert result is not None
    return result


@pytest.fixture(scope="module")
def short_model(tmp_path_factory, sentencepiece_tokenizer) -> Path:
    """A Llama that takes 32 tokens, and whose tokenizer sets BOS by itself."""
    return build_model(tmp_path_factory.mktemp("short"), sentencepiece_tokenizer, max_positions=32)


def reference(model: Any, ids: list[int], bos: int, length: int) -> float:
    """Every token from BOS and those before it, as many as the window holds."""
    total, row = 0.0, [bos, *ids]
    for begin in range(0, len(ids), length):
        end = min(begin + length, len(ids))
        with torch.no_grad():
            logits = model(torch.tensor([row[max(0, end - length) : end]])).logits[0]
        scores = logits.log_softmax(-1)[begin - end :]
        total += sum(scores[i, token].item() for i, token in enumerate(ids[begin:end]))
    return total


def test_the_log_likelihood_is_that_of_the_text_alone(tmp_path, short_model):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    result = evaluate(write_documents(tmp_path, TEXTS, tokens=3), short_model)
    model = AutoModelForCausalLM.from_pretrained(short_model)
    tokenizer = AutoTokenizer.from_pretrained(short_model)
    samples = sorted(result["samples"]["cft_heldout"], key=lambda sample: sample["doc_id"])
    assert [sample["doc"]["text"] for sample in samples] == TEXTS
    total = 0.0
    for text, sample in zip(TEXTS, samples, strict=True):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        expected = reference(model, ids, tokenizer.bos_token_id, 32)
        assert sample["bits_per_byte"] == (pytest.approx(expected, abs=1e-4), len(text.encode()))
        assert sample["bits_per_word"] == (sample["bits_per_byte"][0], 1)
        assert sample["bits_per_token"] == (sample["bits_per_byte"][0], 3)
        total += expected
    assert len(tokenizer(TEXTS[0])["input_ids"]) > 64  # two windows are full, and one is not
    size = sum(len(text.encode()) for text in TEXTS)
    scores = result["results"]["cft_heldout"]
    assert scores["bits_per_byte,none"] == pytest.approx(-total / size / math.log(2), abs=1e-6)


def test_windows_may_be_shorter_than_the_models_context(tmp_path, short_model):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    result = evaluate(write_documents(tmp_path, TEXTS[:1]), short_model, max_length=20)
    tokenizer = AutoTokenizer.from_pretrained(short_model)
    ids = tokenizer(TEXTS[0], add_special_tokens=False)["input_ids"]
    model = AutoModelForCausalLM.from_pretrained(short_model)
    expected = reference(model, ids, tokenizer.bos_token_id, 20)
    [sample] = result["samples"]["cft_heldout"]
    assert sample["bits_per_byte"][0] == pytest.approx(expected, abs=1e-4)
    assert "bits_per_token" not in sample  # the export did not count tokens


def test_a_second_bos_is_refused(tmp_path, short_model):
    write_documents(tmp_path, TEXTS)
    for given in (None, True):
        with pytest.raises(RuntimeError, match="add `add_bos_token=False` to --model_args"):
            evaluate(tmp_path, short_model, add_bos_token=given)


def refusal(folder: Path | None) -> str:
    manager = TaskManager(
        include_path=str(task_folder()),
        include_defaults=False,
        metadata={"cft_data_dir": str(folder)} if folder else {},
    )
    with pytest.raises(RuntimeError) as caught:
        manager.load_task_or_group("cft_heldout")
    assert "axolotl-cft heldout CONFIG.yml --output-dir DIR" in str(caught.value)
    return str(caught.value)


def test_absent_and_damaged_documents_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.delenv("CFT_DATA_DIR", raising=False)
    path = tmp_path / "heldout" / "test.jsonl"
    assert "no documents are named" in refusal(None)
    assert f"cannot read {path} (No such file" in refusal(tmp_path)
    monkeypatch.setenv("CFT_DATA_DIR", str(tmp_path))
    assert f"cannot read {path}" in refusal(None)
    write_documents(tmp_path, [])
    assert f"{path} is damaged (no documents)" in refusal(tmp_path)
    write_documents(tmp_path, ["abc"], bytes=4)
    assert "document 1: its sizes are not those of its text" in refusal(tmp_path)
    write_documents(tmp_path, ["abc"])
    path.write_text(path.read_text()[:-10])
    assert f"{path} is damaged" in refusal(tmp_path)
    write_documents(tmp_path, ["abc"], tokens=1)
    path.write_text(path.read_text() + '{"text": "de", "bytes": 2, "words": 1}\n')
    assert "for some documents only" in refusal(tmp_path)


def test_the_task_has_no_published_items(tmp_path):
    for use in (
        lambda: task_benchmarks(["cft_heldout"]),
        lambda: list(load_items(["cft_heldout"])),
    ):
        with pytest.raises(CFTError, match="cft_heldout has no published items"):
            use()
    with pytest.raises(CFTError) as caught:
        task_benchmarks(["cft_fiqas"])
    assert "cft_heldout" not in str(caught.value) and "cft_general" not in str(caught.value)
