"""`cft.trained_tokens`: as many tokens as it says, whatever the documents."""

import itertools

import numpy as np
import pytest
from conftest import make_documents, write_jsonl
from encoder import encode, encoder_for
from host import fit, host_config, load_cfg, prepare
from hypothesis import given
from hypothesis import strategies as st

from axolotl_cft.core.budget import allot, place_in_line
from axolotl_cft.core.encoding import IGNORE_INDEX
from axolotl_cft.core.sampling import text_key
from axolotl_cft.errors import CFTError
from axolotl_cft.host.preparing import descriptions

counts = st.lists(st.integers(0, 40), min_size=1, max_size=30).filter(any)
TEXTS = [f"{number}: {row['text']}" for number, row in enumerate(make_documents(40))]


def places_of(count):
    return np.array([place_in_line(text_key(str(i))) for i in range(count)])


@given(counts, st.integers(1, 3), st.integers(1, 3000))
def test_what_is_allotted_is_the_budget(tokens, views, budget):
    found = allot(places_of(len(tokens)), tokens, views, budget)
    cost = np.asarray(tokens)
    whole = found.views.copy()
    whole[found.last] -= views
    assert int((cost * whole).sum()) + found.tokens_of_last == budget
    assert 0 <= found.tokens_of_last < cost[found.last] * views
    assert found.views[cost == 0].sum() == 0
    taken = found.views[cost > 0]
    assert taken.max() - taken.min() in (0, views)


@given(counts, st.integers(1, 2000), st.randoms())
def test_the_order_of_the_documents_decides_nothing(tokens, budget, dice):
    places, order = places_of(len(tokens)), list(range(len(tokens)))
    dice.shuffle(order)
    found = allot(places, tokens, 1, budget)
    other = allot(places[order], [tokens[i] for i in order], 1, budget)
    assert other.views.tolist() == found.views[order].tolist()
    assert (order[other.last], other.tokens_of_last) == (found.last, found.tokens_of_last)


def test_a_larger_budget_takes_the_same_documents_and_more():
    tokens = [7] * 50
    small, large = (allot(places_of(50), tokens, 1, budget) for budget in (100, 200))
    assert set(np.flatnonzero(small.views)) < set(np.flatnonzero(large.views))


def test_nothing_to_train_on_is_no_budget():
    with pytest.raises(ValueError, match="no document has a token"):
        allot(places_of(2), [0, 0], 1, 10)


@pytest.mark.parametrize("options", [{}, {"prompts": "none"}, {"views": 2}, {"every": 20}])
@pytest.mark.parametrize("share", [0.03, 0.4, 1.0, 2.7])
def test_rows_train_the_budget_within_a_row(any_tokenizer, options, share):
    _, whole = encode(any_tokenizer, TEXTS, **options)
    budget = int(share * whole.trained_tokens)
    rows, ledger = encode(any_tokenizer, TEXTS, trained_tokens=budget, **options)
    assert budget - 192 < ledger.trained_tokens <= budget
    assert ledger.trained_tokens == sum(x != IGNORE_INDEX for row in rows["labels"] for x in row)
    assert ledger.used + ledger.beyond_budget == len(TEXTS)
    assert (ledger.beyond_budget > 0) == (share < 0.9)
    assert (ledger.repeated > 0) == (share > 2)
    if share == 1.0:
        assert ledger.targets_digest == whole.targets_digest


def test_what_is_taken_again_has_other_prompts(sentencepiece_tokenizer):
    texts = TEXTS[:3]
    _, whole = encode(sentencepiece_tokenizer, texts)
    budget = 4 * whole.trained_tokens
    rows, ledger = encode(sentencepiece_tokenizer, texts, trained_tokens=budget)
    assert ledger.trained_tokens == budget and ledger.repeated == 3
    assert len({tuple(row) for row in rows["input_ids"]}) == len(rows) == 4 * whole.rows
    column = [{"text": text, "p": "Read."} for text in texts]
    rows, _ = encode(
        sentencepiece_tokenizer, column, prompts={"column": "p"}, trained_tokens=budget
    )
    assert len({tuple(row) for row in rows["input_ids"]}) == whole.rows


def test_empty_and_held_out_documents_take_no_part(sentencepiece_tokenizer):
    texts = ["", *TEXTS, None]
    options = {"holdout": 0.3}
    _, whole = encode(sentencepiece_tokenizer, texts, **options)
    rows, ledger = encode(
        sentencepiece_tokenizer, texts, trained_tokens=whole.trained_tokens, **options
    )
    assert len(rows) == whole.rows and ledger.targets_digest == whole.targets_digest
    assert (ledger.empty, ledger.held_out) == (whole.empty, whole.held_out)


def test_equal_texts_share_a_place_and_are_taken_one_by_one(sentencepiece_tokenizer):
    texts = ["the same text"] * 10
    encoder = encoder_for(sentencepiece_tokenizer)
    [(_, tokens)] = encoder.measure(texts[:1], [{}])
    _, ledger = encode(sentencepiece_tokenizer, texts, trained_tokens=4 * tokens)
    assert (ledger.rows, ledger.used, ledger.beyond_budget) == (4, 4, 6)


def test_processes_change_nothing(sentencepiece_tokenizer, monkeypatch):
    from axolotl_cft.host import documents

    budget = {"trained_tokens": 900}
    alone, _ = encode(sentencepiece_tokenizer, TEXTS, **budget)
    monkeypatch.setattr(documents, "BYTES_PER_PROCESS", 1000)
    monkeypatch.setattr(documents.CFTStrategy, "_processes", lambda self, lengths, allowed: 3)
    spread, _ = encode(sentencepiece_tokenizer, TEXTS, **budget)
    assert list(spread["input_ids"]) == list(alone["input_ids"])
    assert descriptions(spread) == descriptions(alone)
    assert 900 - 192 < descriptions(alone)[0].ledger.trained_tokens <= 900


def test_far_too_few_documents_are_told(sentencepiece_tokenizer):
    with pytest.raises(CFTError, match=r"trained_tokens: 9,999,999 is [\d,]+ times its \d+ tokens"):
        encode(sentencepiece_tokenizer, TEXTS[:1], trained_tokens=9_999_999)
    with pytest.raises(CFTError, match="trained_tokens: 3 is less than a row of its documents"):
        encode(sentencepiece_tokenizer, TEXTS, trained_tokens=3)
    with pytest.raises(CFTError, match="nothing to train on: 2 documents read, 2 empty"):
        encode(sentencepiece_tokenizer, ["", ""], trained_tokens=10)


@pytest.fixture
def config(tmp_path, tiny_model):
    data = write_jsonl(tmp_path / "corpus.jsonl", [{"text": text} for text in TEXTS])
    return host_config(tmp_path, tiny_model, data, cft={"trained_tokens": 700}, num_epochs=1)


@pytest.mark.parametrize("packing", [False, True])
def test_the_trainer_trains_the_budget(config, packing):
    if packing:
        config |= {"sample_packing": True, "curriculum_sampling": True}
        config |= {"multipack_real_batches": False, "attn_implementation": "sdpa"}
    trainer = fit(config)
    rows = trainer.train_dataset["labels"]
    trained = sum(label != IGNORE_INDEX for row in rows for label in row)
    assert 700 - 192 < trained <= 700


def twice(config):
    config["datasets"] *= 2


def foreign(config):
    config["datasets"].append({"path": "x.jsonl", "type": "completion"})


def conversations(config):
    config["datasets"].append({"path": "x.jsonl", "type": "cft.chat"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (twice, "each of the 2 datasets would train as many"),
        (foreign, r"datasets\[1\]: `type: completion` beside cft.trained_tokens"),
        (lambda c: c["datasets"][0].update(type="cft.chat"), "no dataset has `type: cft`"),
        (conversations, r"datasets\[1\]: `type: cft.chat` beside cft.trained_tokens"),
        (lambda c: c.update(streaming=True, max_steps=4), "streaming: with it cft.trained_tokens"),
        (lambda c: c.update(dataset_exact_deduplication=True), "dataset_exact_deduplication: with"),
        (lambda c: c["datasets"][0].update(preprocess_shards=2), "preprocess_shards: the host"),
        (lambda c: c["cft"].update(trained_tokens=0), "greater than or equal to 1, got 0"),
        (
            lambda c: c.update(test_datasets=[c["datasets"][0] | {"cft": {"trained_tokens": 5}}]),
            r"test_datasets\[0\].cft.trained_tokens: nothing trains",
        ),
    ],
)
def test_what_would_break_it_is_refused(config, change, message):
    change(config)
    with pytest.raises(CFTError, match=message):
        load_cfg(config)


def test_a_shard_has_no_budget(config):
    from axolotl_cft.host.shards import sharded_parts

    cfg = load_cfg(config)
    with pytest.raises(CFTError, match="a shard sees its own only; prepare the config as a whole"):
        sharded_parts(cfg, None)


def test_several_datasets_have_a_budget_each(config):
    second = dict(itertools.islice(config["datasets"][0].items(), 10))
    config["datasets"] = [
        config["datasets"][0] | {"cft": {"trained_tokens": 300}},
        second | {"cft": {"trained_tokens": 500, "prompts": "none"}},
    ]
    train = prepare(config)[1].train_dataset
    trained = sum(label != IGNORE_INDEX for row in train["labels"] for label in row)
    assert 800 - 2 * 192 < trained <= 800
