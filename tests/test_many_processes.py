"""Documents encoded by several processes: the same rows, the same counts, the same errors."""

import pytest
from conftest import TOPICS, make_documents, slow
from datasets import Dataset
from encoder import expected_targets, strategy_for, trained_tokens
from test_pieces import MADE
from test_pieces import corpus as prose

from axolotl_cft.core.pieces import PIECE
from axolotl_cft.errors import CFTError
from axolotl_cft.host import documents
from axolotl_cft.host.preparing import descriptions


@pytest.fixture(autouse=True)
def no_size_is_too_small(monkeypatch):
    monkeypatch.setattr(documents, "BYTES_PER_PROCESS", 1)
    monkeypatch.setattr(documents, "BATCH_BYTES", 600)


def wrapped(tokenizer, table, processes, **options):
    rows = strategy_for(tokenizer, **options).wrap_dataset(table, process_count=processes)
    (entry,) = descriptions(rows)
    return rows, entry.ledger


def corpus():
    texts = [document["text"] for document in make_documents(60)]
    texts[7], texts[8:20] = "\n".join(texts), [""] * 12  # a long one, and batches without a row
    return Dataset.from_dict({"text": texts, "p": [f"Prompt {n}." for n in range(60)]})


@pytest.mark.parametrize(
    "options",
    [{}, {"prompts": "none"}, {"prompts": {"column": "p"}}, {"views": 2}, {"holdout": 0.3}],
    ids=["paper", "none", "column", "views", "holdout"],
)
def test_processes_change_nothing(sentencepiece_tokenizer, options):
    rows, ledger = wrapped(sentencepiece_tokenizer, corpus(), 1, **options)
    assert ledger.documents == 60 and ledger.rows == len(rows) > 60 // 2
    for processes in (2, 8):
        others, counts = wrapped(sentencepiece_tokenizer, corpus(), processes, **options)
        assert counts == ledger
        for column in ("input_ids", "labels", "attention_mask"):
            assert others[column] == rows[column]


def test_processes_follow_one_that_used_threads(sentencepiece_tokenizer, monkeypatch):
    """A forked tokenizer must not wait for threads that its parent had started."""
    with monkeypatch.context() as patch:
        patch.setattr(documents, "BYTES_PER_PROCESS", 1 << 30)
        first, ledger = wrapped(sentencepiece_tokenizer, corpus(), 4)
    again, counts = wrapped(sentencepiece_tokenizer, corpus(), 4)
    assert counts == ledger and again["input_ids"] == first["input_ids"]


def test_an_error_names_the_document_of_the_whole_dataset(sentencepiece_tokenizer):
    prompts = [f"Prompt {n}." for n in range(60)]
    prompts[41] = None
    table = corpus().remove_columns("p").add_column("p", prompts)
    messages = []
    for processes in (1, 3):
        with pytest.raises(CFTError) as caught:
            wrapped(sentencepiece_tokenizer, table, processes, prompts={"column": "p"})
        messages.append(str(caught.value))
    assert messages[0] == messages[1] and "42" in messages[0]


@pytest.mark.parametrize(
    ("sizes", "allowed", "expected"),
    [([50] * 40, 8, 8), ([50] * 3, 8, 3), ([50] * 40, None, 1), ([5, 5], 8, 1), ([2000], 8, 1)],
)
def test_processes_are_as_many_as_pay(
    sentencepiece_tokenizer, monkeypatch, sizes, allowed, expected
):
    monkeypatch.setattr(documents, "BYTES_PER_PROCESS", 50)
    strategy = strategy_for(sentencepiece_tokenizer)
    lengths = documents._byte_lengths(Dataset.from_dict({"t": ["x" * n for n in sizes]}).data["t"])
    assert strategy._processes(lengths, allowed) == expected


def test_held_out_documents_are_compared_in_one_process(sentencepiece_tokenizer):
    strategy = strategy_for(sentencepiece_tokenizer, holdout=0.5, part="test")
    table = Dataset.from_dict({"text": [TOPICS["heart"] * 4 + str(n) for n in range(30)]})
    rows = strategy.wrap_dataset(table, process_count=8)
    assert descriptions(rows)[0].ledger.near_duplicates is not None


def test_a_long_document_is_told_of_while_it_lasts(sentencepiece_tokenizer, monkeypatch):
    monkeypatch.setattr(documents, "TOLD", 200_000)
    monkeypatch.setattr("axolotl_cft.core.tokenizing.WINDOW", 50_000)
    text = "\n".join(document["text"] for document in make_documents(60))
    long = text * (1_000_000 // len(text))
    lines: list[str] = []
    monkeypatch.setattr(documents.LOG, "info", lines.append)
    strategy_for(sentencepiece_tokenizer).wrap_dataset(Dataset.from_dict({"text": ["short", long]}))
    told = [line for line in lines if "million characters of a long document" in line]
    assert 3 <= len(told) <= 5


@pytest.mark.parametrize("kind", ["Llama-2", *slow("Llama-3", "GPT-2")])
def test_every_document_is_trained_token_for_token_in_every_arm(kind, monkeypatch):
    monkeypatch.setattr(documents, "BATCH_BYTES", 100_000)
    tokenizer = MADE[kind]()
    texts = [*corpus()["text"], "\r\n".join(prose()) * 3, "\n".join(prose()) * 3, "</s>\n" * 9_000]
    assert max(map(len, texts)) > 2 * PIECE
    table = Dataset.from_dict({"text": texts})
    digests = set()
    for prompts in ("paper", "negative", "none"):
        for processes in (1, 2):
            rows, ledger = wrapped(tokenizer, table, processes, prompts=prompts, prompt_budget=160)
            assert trained_tokens(rows) == expected_targets(tokenizer, texts)
            digests.add(ledger.targets_digest)
    assert len(digests) == 1
