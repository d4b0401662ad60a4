"""Prompts that name columns: filled in for every row, never run, refused early if need be."""

import pytest
from conftest import TOPICS, make_documents, write_jsonl
from datasets import Dataset
from encoder import plan_for, strategy_for
from host import host_config, prepare
from transformers import AutoTokenizer

from axolotl_cft.errors import CFTError

POOL = """\
name: metadata
defaults: {topic: medicine}
prompts:
  - {id: about, text: "Read about {topic}, {level}; leave {{this}}, {0} and {topic.upper()} alone."}
"""


@pytest.fixture
def pool(tmp_path):
    def write(text=POOL):
        path = tmp_path / "pool.yaml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def contexts(tokenizer, strategy, rows):
    encoded = strategy.wrap_dataset(Dataset.from_list(rows))
    return [
        tokenizer.decode([i for i, label in zip(ids, labels, strict=True) if label == -100])
        for ids, labels in zip(encoded["input_ids"], encoded["labels"], strict=True)
    ]


def test_columns_are_filled_in_and_nulls_take_the_default(any_tokenizer, pool):
    rows = [
        {"text": "One.", "topic": "the heart", "level": "in 2 steps"},
        {"text": "Two {topic} {level}.", "topic": None, "level": "{topic}"},
        {"text": "Three.", "topic": "", "level": "__import__('os').system('false')"},
    ]
    tail = "; leave {this}, {0} and {topic.upper()} alone.\n\n"
    shown = contexts(
        any_tokenizer, strategy_for(any_tokenizer, prompts=pool(), sequence_len=256), rows
    )
    assert [text.endswith(tail) for text in shown] == [True] * 3
    assert "Read about the heart, in 2 steps;" in shown[0]
    assert "Read about medicine, {topic};" in shown[1]
    assert "Read about , __import__('os').system('false');" in shown[2]


def test_numbers_are_written_as_text(bytelevel_tokenizer, pool):
    rows = [{"text": "One.", "level": 3}, {"text": "Two.", "level": 4}]
    shown = contexts(
        bytelevel_tokenizer,
        strategy_for(bytelevel_tokenizer, prompts=pool(), sequence_len=256),
        rows,
    )
    assert "Read about medicine, 3;" in shown[0] and "Read about medicine, 4;" in shown[1]


def test_what_cannot_be_filled_is_refused(bytelevel_tokenizer, pool):
    strategy = strategy_for(bytelevel_tokenizer, prompts=pool(), sequence_len=256)
    no_column = Dataset.from_list([{"text": "One.", "topic": "hearts"}])
    with pytest.raises(CFTError, match="no column 'level', which a prompt of .*pool.yaml names"):
        strategy.wrap_dataset(no_column)
    no_value = Dataset.from_list([{"text": "One.", "level": "a"}, {"text": "Two.", "level": None}])
    with pytest.raises(CFTError, match="document 2 has no value for 'level', which prompt 'about'"):
        strategy.wrap_dataset(no_value)


def test_a_long_value_is_cut_to_the_budget_and_counted(any_tokenizer, pool):
    rows = [{"text": TOPICS["heart"], "level": "word " * 300}, {"text": "Two.", "level": "a"}]
    strategy = strategy_for(any_tokenizer, prompts=pool(), prompt_budget=120, sequence_len=256)
    encoded = strategy.wrap_dataset(Dataset.from_list(rows))
    assert strategy.encoder.ledger.prompts_truncated == 1
    assert next(iter(encoded["labels"])).count(-100) == 120


def test_the_host_refuses_a_missing_column_before_it_loads_a_model(tmp_path, tiny_model, pool):
    corpus = write_jsonl(tmp_path / "corpus.jsonl", make_documents(4))
    config = host_config(tmp_path, tiny_model, corpus, cft={"prompts": pool()})
    with pytest.raises(CFTError, match=r"no column 'level'.*value under the pool's `defaults`"):
        prepare(config)
    pool(POOL.replace("medicine", "medicine, level: all"))
    _, meta = prepare(config)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    shown = [tokenizer.decode(row["input_ids"]) for row in meta.train_dataset]
    assert all(any(f"Read about {topic}, all;" in text for topic in TOPICS) for text in shown)


def test_the_cache_identity_sees_defaults(pool):
    def stamp(text):
        return plan_for(prompts=pool(text)).stamp

    assert stamp(POOL) != stamp(POOL.replace("medicine", "law"))
    assert stamp(POOL) == stamp("# a comment\n" + POOL)
