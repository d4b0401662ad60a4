"""Datasets wrapped at once, by threads and by processes that were not forked.

The host prepares one dataset after the other today; an open change of it (axolotl#3460) hands them
to a pool of workers.
"""

import copy
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import make_documents
from datasets import Dataset
from encoder import encoder_for
from test_chat import chat_strategy

from axolotl_cft.host import chat, documents
from axolotl_cft.host.documents import CFTStrategy
from axolotl_cft.host.preparing import Preparation, PreparingStrategy, descriptions
from axolotl_cft.records import PreparedLedger

NUMBER = 6
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def of_documents(tokenizer, path: str, ledger: Path | None) -> PreparingStrategy:
    encoder = encoder_for(tokenizer, holdout=0.1)
    return CFTStrategy(encoder, "text", Preparation(encoder.plan, 192, path, ledger))


def of_conversations(tokenizer, path: str, ledger: Path | None) -> PreparingStrategy:
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.chat_template = CHATML
    _, strategy = chat_strategy(tokenizer, "tokenizer_default", holdout=0.1)
    strategy.label, strategy.ledger_file = path, ledger
    return strategy


def corpora() -> list[Dataset]:
    """Datasets of which no two are alike."""
    texts = [document["text"] for document in make_documents(300)]
    said = [
        [{"role": "user", "content": text[:20]}, {"role": "assistant", "content": text}]
        for text in texts
    ]
    return [
        Dataset.from_dict({"text": texts[index:], "messages": said[index:]})
        for index in range(NUMBER)
    ]


def wrap(strategy: PreparingStrategy, dataset: Dataset, processes: int = 1) -> Dataset:
    return strategy.wrap_dataset(dataset, process_count=processes, keep_in_memory=True)


def same(one: Dataset, other: Dataset) -> bool:
    columns = ("input_ids", "labels", "attention_mask")
    return all(one[column][:] == other[column][:] for column in columns) and (
        descriptions(one) == descriptions(other)
    )


@pytest.fixture(scope="module", params=[of_documents, of_conversations])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def one_by_one(sentencepiece_tokenizer, kind):
    """What comes out when one is done before the next begins."""
    return list(map(wrap, strategies(kind, sentencepiece_tokenizer, None), corpora()))


def strategies(kind, tokenizer, ledger: Path | None) -> list[PreparingStrategy]:
    """One strategy for each of NUMBER datasets, which share a ledger."""
    return [kind(tokenizer, f"corpus {index}", ledger) for index in range(NUMBER)]


def check(found: list[Dataset], expected: list[Dataset], ledger: Path) -> None:
    assert [same(one, other) for one, other in zip(found, expected, strict=True)] == [True] * NUMBER
    assert not same(found[0], expected[1])
    kept = {entry.path: entry for entry in PreparedLedger.read(ledger).datasets}
    assert kept == {entry.path: entry for rows in expected for entry in descriptions(rows)}
    assert len(kept) == NUMBER


def test_a_pool_of_threads(sentencepiece_tokenizer, kind, one_by_one, tmp_path, monkeypatch):
    monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    # Were a process worth its start, none might be forked beside the other threads.
    monkeypatch.setattr(documents, "BYTES_PER_PROCESS", 1000)
    monkeypatch.setattr(chat, "BATCH_SIZE", 50)
    # A call elsewhere has left truncation on: who switches it off must not disturb the others.
    sentencepiece_tokenizer("Some text", truncation=True, max_length=3)
    ledger = tmp_path / "prepared" / "ledger.json"
    made = strategies(kind, sentencepiece_tokenizer, ledger)
    with ThreadPoolExecutor(NUMBER) as pool:
        found = list(pool.map(wrap, made, corpora(), [2] * NUMBER))
    check(found, one_by_one, ledger)
    assert "TOKENIZERS_PARALLELISM" not in os.environ


@pytest.mark.slow
def test_processes_that_were_not_forked(sentencepiece_tokenizer, kind, one_by_one, tmp_path):
    ledger = tmp_path / "ledger.json"
    made = strategies(kind, sentencepiece_tokenizer, ledger)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        found = list(pool.map(wrap, made, corpora()))
    check(found, one_by_one, ledger)
