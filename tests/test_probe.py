"""The probe on a model whose likelihoods are known, and on the rows that training makes."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from conftest import make_documents, write_jsonl

from axolotl_cft.cli import main
from axolotl_cft.core.choice import FromPool, NoPrompts
from axolotl_cft.core.documents import DocumentEncoder
from axolotl_cft.core.encoding import IGNORE_INDEX, lay_out
from axolotl_cft.core.options import DatasetOptions, Plan
from axolotl_cft.core.pool import Prompt, PromptPool
from axolotl_cft.core.sampling import letters_of, text_key
from axolotl_cft.errors import CFTError
from axolotl_cft.probe.rows import (
    RowMaker,
    make_arms,
    make_rows,
    sample_documents,
    shared_words,
    shuffle_words,
)
from axolotl_cft.probe.scoring import score
from axolotl_cft.prompts.registry import load_pool

MAX_TOKENS = 40
POOL = """\
name: mine
prompts:
  - {id: heart, text: "Think of the heart, of blood and of valves.", weight: 3}
  - {id: bonds, text: "Interest rates move the price of bonds."}
"""


class BagOfWords:
    """A real Llama whose weights make its likelihoods a formula.

    One layer. Embeddings are unit vectors, query and key are zero, so attention takes the plain
    mean of what came before; the feed-forward part is zero. With e_i the i-th unit vector,

        h_t = e(x_t) + reach * mean_{j<=t} e(x_j) / sqrt(1/H + eps)
        P(x_{t+1} | x_<=t) = softmax(W h_t / sqrt(mean(h_t^2) + eps))

    With reach 0 it is a bigram model: a prompt changes a text's first token and no other.
    """

    def __init__(self, vocabulary: int, reach: float):
        self.size = vocabulary + vocabulary % 2  # rotary embeddings want an even width
        self.reach = reach
        self.eps = 1e-6
        rng = np.random.default_rng(5)
        self.head = rng.normal(0, 0.1, (vocabulary, self.size)).astype(np.float32)

    def save(self, folder: Path, tokenizer: Any) -> Path:
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM

        config = LlamaConfig(
            vocab_size=len(self.head),
            hidden_size=self.size,
            intermediate_size=8,
            num_hidden_layers=1,
            num_attention_heads=1,
            max_position_embeddings=256,
            rms_norm_eps=self.eps,
            tie_word_embeddings=False,
        )
        model = LlamaForCausalLM(config)
        layer = model.model.layers[0]
        with torch.no_grad():
            for weight in (layer.self_attn.q_proj, layer.self_attn.k_proj, layer.mlp.down_proj):
                weight.weight.zero_()
            model.model.embed_tokens.weight.copy_(torch.eye(len(self.head), self.size))
            layer.self_attn.v_proj.weight.copy_(torch.eye(self.size))
            layer.self_attn.o_proj.weight.copy_(self.reach * torch.eye(self.size))
            model.lm_head.weight.copy_(torch.from_numpy(self.head))
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    def nll(self, context: Sequence[int], text: Sequence[int]) -> float:
        """-log P(text | context) in nats, by the formula."""
        ids, total = [*context, *text], 0.0
        for k in range(len(context), len(ids)):
            seen = np.bincount(ids[:k], minlength=self.size).astype(float)
            hidden = self.reach * seen / k / math.sqrt(1 / self.size + self.eps)
            hidden[ids[k - 1]] += 1
            hidden /= math.sqrt(np.mean(hidden**2) + self.eps)
            logits = self.head @ hidden
            total -= logits[ids[k]] - np.log(np.exp(logits - logits.max()).sum()) - logits.max()
        return total


def run(model: Path, data: Path, output: Path, *more: object) -> Result:
    arguments = ["probe", "--model", model, "--data", data, "--output-dir", output, *more]
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def pool_file(tmp_path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(POOL, encoding="utf-8")
    return path


@pytest.mark.parametrize(("reach", "batch_size"), [(0.0, 1), (2.0, 5)])
def test_known_model_gives_the_known_numbers(
    tmp_path, sentencepiece_tokenizer, pool_file, reach, batch_size
):
    tokenizer = sentencepiece_tokenizer
    known = BagOfWords(len(tokenizer), reach)
    model = known.save(tmp_path / "model", tokenizer)
    documents = make_documents(7)
    data = write_jsonl(tmp_path / "data.jsonl", documents)
    limits = ("--max-tokens", MAX_TOKENS, "--batch-size", batch_size, "--shuffles", 2)
    result = run(model, data, tmp_path / "out", "--pools", pool_file, *limits)
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out" / "probe.json").read_text())

    def ids(text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    texts = [ids(document["text"])[:MAX_TOKENS] for document in documents]
    assert {len(text) for text in texts} > {MAX_TOKENS}  # long ones and short ones
    tokens = sum(map(len, texts))
    assert found["tokens"] == tokens
    bos = tokenizer.bos_token_id
    bare = [known.nll([bos], text) for text in texts]
    assert found["nll_per_token"] == pytest.approx(sum(bare) / tokens, abs=1e-5)
    keys = [text_key(document["text"]).hex() for document in documents]
    order = [keys.index(document["key"]) for document in found["documents"]]
    assert sorted(order) == list(range(7))

    changes = {}
    for pool in found["pools"]:
        for prompt in pool["prompts"]:
            context = [bos, *ids(prompt["text"] + "\n\n")]
            expected = [known.nll(context, text) for text in texts]
            assert prompt["nll"] == pytest.approx([expected[i] for i in order], rel=1e-5)
            change = (sum(expected) - sum(bare)) / tokens
            changes[pool["name"], prompt["id"]] = change
            assert prompt["change"] == pytest.approx(change, abs=1e-5)
            assert prompt["percent"] == pytest.approx(100 * change / (sum(bare) / tokens), abs=1e-3)
            assert prompt["context_tokens"] == len(context)
            if reach == 0.0:
                first = [known.nll(context, x[:1]) - known.nll([bos], x[:1]) for x in texts]
                assert prompt["change"] == pytest.approx(sum(first) / tokens, abs=1e-5)
    # The bigram model sees the separator's last token alone; a bag of words knows no order.
    distinct = {(pool.removesuffix(" (shuffled)"), id_) for pool, id_ in changes} if reach else {0}
    assert len({round(change, 9) for change in changes.values()}) == len(distinct)
    means = {pool["name"]: pool["change"] for pool in found["pools"]}
    weighted = (3 * changes["mine", "heart"] + changes["mine", "bonds"]) / 4
    assert means["mine"] == pytest.approx(weighted, abs=1e-5)
    assert [(c["pool"], c["against"]) for c in found["contrasts"]] == [
        ("mine", "mine (shuffled)"),
        ("mine", "fixed"),
    ]
    for contrast in found["contrasts"]:
        expected_difference = means["mine"] - means[contrast["against"]]
        assert contrast["change"] == pytest.approx(expected_difference, abs=1e-9)
        assert contrast["low"] <= contrast["change"] <= contrast["high"]


@pytest.fixture(scope="module")
def known_model(tmp_path_factory, sentencepiece_tokenizer) -> Path:
    known = BagOfWords(len(sentencepiece_tokenizer), reach=2.0)
    return known.save(tmp_path_factory.mktemp("known"), sentencepiece_tokenizer)


def rows_for(tokenizer, count: int = 9, pools: Sequence[str] = ("paper",), **options):
    texts = [(document["text"], document) for document in make_documents(count)]
    maker = RowMaker(tokenizer, DatasetOptions(**options), MAX_TOKENS, "corpus.jsonl")
    arms = make_arms([load_pool(name) for name in pools], load_pool("fixed"), seed=1, shuffles=1)
    return make_rows(maker, sample_documents(texts, count, seed=1), arms), arms


def test_neither_batches_nor_padding_change_a_number(known_model, sentencepiece_tokenizer):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(known_model).eval()
    rows = rows_for(sentencepiece_tokenizer, count=5)[0].flat[::4]
    done: list[int] = []
    alone = score(model, rows, 1, done.append)
    assert sum(done) == sum(context.size + text.size for context, text in rows)
    for batch_size in (3, 64):
        assert score(model, rows, batch_size) == pytest.approx(alone, rel=1e-6)
    sentencepiece_tokenizer.padding_side = "left"
    try:
        left = rows_for(sentencepiece_tokenizer, count=5)[0].flat[::4]
    finally:
        sentencepiece_tokenizer.padding_side = "right"
    assert score(model, left, 7) == pytest.approx(alone, rel=1e-6)


def test_a_uniform_model_is_moved_by_nothing(tmp_path, sentencepiece_tokenizer, pool_file):
    known = BagOfWords(len(sentencepiece_tokenizer), reach=1.0)
    known.head[:] = 0
    model = known.save(tmp_path / "model", sentencepiece_tokenizer)
    data = write_jsonl(tmp_path / "data.jsonl", make_documents(4))
    result = run(model, data, tmp_path / "out", "--pools", pool_file)
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out" / "probe.json").read_text())
    assert found["nll_per_token"] == pytest.approx(math.log(len(sentencepiece_tokenizer)), abs=1e-5)
    for pool in found["pools"]:
        assert pool["change"] == pytest.approx(0, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("format_", ["plain", "chat"])
def test_rows_are_those_of_training(any_tokenizer, format_):
    if format_ == "chat" and not any_tokenizer.chat_template:
        pytest.skip("no chat template")
    rows, arms = rows_for(any_tokenizer, format=format_)
    prompts: list[PromptPool | None] = [None]
    prompts += [PromptPool("one", "", (p,), {}) for arm in arms for p in arm.pool.prompts]
    assert len(prompts) == len(rows.contexts) == 22
    for pool, contexts in zip(prompts, rows.contexts, strict=True):
        options = DatasetOptions(prompts="one" if pool else "none", format=format_)
        source = FromPool(pool, "one") if pool else NoPrompts()
        plan = Plan("x", "train", options, holdout=0.0, source=source, stamp="")
        for document, context, text in zip(rows.documents, contexts, rows.texts, strict=True):
            encoder = DocumentEncoder(any_tokenizer, plan, MAX_TOKENS + options.prompt_budget)
            trained = encoder.encode([document.text], [{}])
            ends, input_ids, labels = lay_out(trained)
            first = slice(0, ends[1])
            eos = [any_tokenizer.eos_token_id] if len(trained) == 1 else []
            assert input_ids[first].tolist() == [*context, *text, *eos]
            assert labels[first].tolist() == [IGNORE_INDEX] * context.size + [*text, *eos]


def test_the_sample_depends_on_texts_alone():
    rows = [(document["text"], {}) for document in make_documents(50)]
    sample = sample_documents(rows, 10, seed=3)
    assert len(sample) == 10
    assert sample_documents([*reversed(rows), *rows, ("", {}), (None, {})], 10, seed=3) == sample
    assert sample_documents(rows, 4, seed=3) == sample[:4]
    assert sample_documents(rows, 10, seed=4) != sample
    assert len(sample_documents(rows, 1000, seed=3)) == 50


def test_shuffled_prompts_keep_their_words():
    pool = load_pool("paper")
    arms = make_arms([pool], load_pool("fixed"), seed=1, shuffles=4)
    assert [arm.name for arm in arms] == ["paper", "paper (shuffled)", "fixed"]
    shuffled = arms[1].pool.prompts
    kept = shared_words(pool)
    assert letters_of("Text,") in kept and letters_of("definitions") not in kept
    assert [prompt.id for prompt in shuffled[::4]] == [prompt.id for prompt in pool.prompts]
    for number, prompt in enumerate(pool.prompts):
        mine = shuffled[4 * number : 4 * number + 4]
        assert len({prompt.text, *(one.text for one in mine)}) == 5
        words = prompt.text.split(" ")
        for one in mine:
            assert sorted(one.text.split(" ")) == sorted(words)
            assert one.text.split(" ")[:: len(words) - 1] == [words[0], words[-1]]
            assert one.id == prompt.id and one.weight == prompt.weight / 4
            common = [word if letters_of(word) in kept else "" for word in words]
            for word, place in zip(common, one.text.split(" "), strict=True):
                assert word in ("", place)
        again = shuffle_words(prompt, 1, 9, kept)
        assert [one.text for one in again[:4]] == [one.text for one in mine]
        assert shuffle_words(prompt, 2, 4, kept) != list(mine)
    with pytest.raises(CFTError, match="two pools are named 'paper'"):
        make_arms([pool, pool], load_pool("fixed"), seed=1, shuffles=1)


@pytest.mark.parametrize("name", ["paper", "negative"])
def test_all_orders_of_a_prompt_have_the_same_tokens(any_tokenizer, name):
    for prompt in load_pool(name).prompts:
        ids = [
            sorted(any_tokenizer(one.text + "\n\n")["input_ids"])
            for one in (prompt, *shuffle_words(prompt, 3, 5))
        ]
        assert ids == [ids[0]] * 6


@pytest.mark.parametrize(
    ("text", "orders"),
    [
        ("Think.", 0),
        ("Think hard.", 0),
        ("Think very hard.", 0),
        ("Think very, very hard.", 1),
        ("Think of the text.", 1),
        ("Mind the {topic} in texts.", 5),
        ("again and and and again", 0),
        ("one\ntwo three\nfour five six seven", 1),
    ],
)
def test_a_prompt_is_shuffled_as_often_as_its_words_have_other_orders(text, orders):
    shuffled = [prompt.text for prompt in shuffle_words(Prompt("p", text), 1, 50)]
    assert len(shuffled) == len({*shuffled, text}) - 1 == orders


def test_every_order_is_as_likely_as_any_other():
    texts = [shuffle_words(Prompt(f"p{n}", "a b c d e"), 1, 1)[0].text for n in range(2000)]
    counts = [texts.count(text) for text in sorted(set(texts))]
    assert len(counts) == 5 and min(counts) > 340  # 400 expected, standard deviation 18


def test_tables_figure_and_the_same_files_again(tmp_path, known_model, pool_file):
    data = write_jsonl(tmp_path / "data.jsonl", make_documents(6))
    backwards = write_jsonl(tmp_path / "backwards.jsonl", make_documents(6)[::-1])
    shared = ("--pools", f"{pool_file},negative", "--max-tokens", 16, "--shuffles", 2)
    result = run(known_model, data, tmp_path / "one", *shared)
    assert result.exit_code == 0, result.output
    for text in ("mine, mean", "heart", "fixed, neutral", "mine - negative", "attend_to_trivia"):
        assert text in result.output
        assert text in (tmp_path / "one" / "probe.md").read_text()
    assert (tmp_path / "one" / "probe.png").read_bytes().startswith(b"\x89PNG")
    assert run(known_model, backwards, tmp_path / "two", *shared).exit_code == 0
    one, two = (json.loads((tmp_path / name / "probe.json").read_text()) for name in ("one", "two"))
    assert one | {"data": ""} == two | {"data": ""}


SHORT = """\
name: short
prompts:
  - {id: word, text: Think.}
  - {id: pair, text: Read carefully.}
  - {id: four, text: Study this page carefully.}
  - {id: long, text: "Read the text that follows with care, then close the book."}
"""
ONE = {
    "alone": "Read the text that follows with care.",
    "brief": "Read this text carefully.",
    "bare": "Think.",
}


def test_says_what_cannot_be_said_of_few_prompts_and_short_ones(tmp_path, known_model):
    (tmp_path / "short.yaml").write_text(SHORT)
    for name, text in ONE.items():
        pool = f"name: {name}\nprompts:\n  - {{id: only, text: '{text}'}}\n"
        (tmp_path / f"{name}.yaml").write_text(pool)
    data = write_jsonl(tmp_path / "data.jsonl", make_documents(5))
    pools = ",".join(str(tmp_path / f"{name}.yaml") for name in ("short", *ONE))
    result = run(known_model, data, tmp_path / "out", "--pools", pools, "--max-tokens", 16)
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out" / "probe.json").read_text())
    claims = {(c["pool"], c["against"]): c["claim"] for c in found["contrasts"]}
    assert claims["short", "short (shuffled)"] == "kind"
    assert claims["short", "fixed"] == claims["short", "alone"] == "alike"
    assert claims["alone", "alone (shuffled)"] == "orders"
    assert claims["alone", "fixed"] == claims["brief", "bare"] == "this"
    assert not {("brief", "brief (shuffled)"), ("bare", "bare (shuffled)")} & claims.keys()
    pools = {pool["name"]: pool for pool in found["pools"]}
    assert {pool["claim"] for pool in pools.values()} == {"kind", "orders", "this"}
    shuffled = [prompt["id"] for prompt in pools["short (shuffled)"]["prompts"]]
    assert shuffled == ["four"] + ["long"] * 5
    assert "bare (shuffled)" not in pools
    for said in (
        "have fewer than 5 other orders in word (none), pair (none), four (1).",
        "short: the comparison with shuffled words leaves out those with none.",
        "brief: there is no comparison with shuffled words",
        "bare: there is no comparison with shuffled words",
    ):
        assert said in result.output
        assert said in (tmp_path / "out" / "probe.md").read_text()
    assert "alone: there is no" not in result.output


def test_documents_that_are_scored_alike_count_once(tmp_path, known_model):
    alike = [{"text": f"{'The heart pumps blood. ' * 9} Ending {n}."} for n in range(4)]
    data = write_jsonl(tmp_path / "alike.jsonl", [*alike, *make_documents(2)])
    result = run(known_model, data, tmp_path / "out", "--pools", "fixed", "--max-tokens", 16)
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out" / "probe.json").read_text())
    assert len(found["documents"]) == 3
    data = write_jsonl(tmp_path / "same.jsonl", alike)
    result = run(known_model, data, tmp_path / "none", "--pools", "fixed", "--max-tokens", 16)
    assert result.exit_code == 1 and "holds 1 texts that differ in the tokens" in result.output


def test_prompts_may_name_columns(tmp_path, known_model):
    pool = tmp_path / "topics.yaml"
    pool.write_text("name: topics\nprompts:\n  - {id: t, text: 'A text about {topic}.'}\n")
    data = write_jsonl(tmp_path / "data.jsonl", make_documents(4))
    result = run(known_model, data, tmp_path / "out", "--pools", pool)
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out" / "probe.json").read_text())
    parquet = tmp_path / "data.parquet"
    pq.write_table(pa.Table.from_pylist(make_documents(4)), parquet)
    assert run(known_model, parquet, tmp_path / "again", "--pools", pool).exit_code == 0
    again = json.loads((tmp_path / "again" / "probe.json").read_text())
    assert found["pools"] == again["pools"]
    missing = [{"text": document["text"]} for document in make_documents(4)]
    data = write_jsonl(tmp_path / "bare.jsonl", missing)
    result = run(known_model, data, tmp_path / "none", "--pools", pool)
    assert result.exit_code == 1
    assert "has no value for 'topic'" in result.output
    assert not (tmp_path / "none").exists()


def test_format_separator_and_budget_come_from_a_config(tmp_path, known_model):
    data = write_jsonl(tmp_path / "data.jsonl", make_documents(3))
    config = tmp_path / "config.yml"
    config.write_text(
        "base_model: other\n"
        "cft: {separator: ' ', prompt_budget: 60, format: chat, dropout: 0.9, views: 3}\n"
    )
    options = ("--config", config, "--format", "plain", "--max-tokens", 16)
    result = run(known_model, data, tmp_path / "out", *options)
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out" / "probe.json").read_text())
    measured = {key: found[key] for key in ("format", "separator", "prompt_budget")}
    assert measured == {"format": "plain", "separator": " ", "prompt_budget": 60}
    prompts = found["pools"][0]["prompts"]
    assert min(prompt["context_tokens"] for prompt in prompts) > 5  # every row has its prompt


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--pools", "papr"], "unknown prompt pool 'papr'"),
        (["--field", "body"], "body"),
        (["--prompt-budget", "20"], "set it to at least"),
        (["--max-tokens", "2000"], "the longest row has"),
        (["--device", "abacus", "--max-tokens", "16"], "cannot be loaded on abacus"),
        (["--device", "xpu", "--max-tokens", "16"], "cannot be loaded on xpu"),  # not compiled in
    ],
)
def test_refusals(tmp_path, known_model, options, message):
    long = [{"text": f"{d['text']} " * 40} for d in make_documents(3)]
    data = write_jsonl(tmp_path / "data.jsonl", long)
    result = run(known_model, data, tmp_path / "out", *options)
    assert result.exit_code == 1
    assert message in result.output
    assert not (tmp_path / "out").exists()


def test_refuses_too_few_documents_and_a_missing_model(tmp_path, known_model):
    data = write_jsonl(tmp_path / "data.jsonl", make_documents(1))
    result = run(known_model, data, tmp_path / "out")
    assert result.exit_code == 1 and "holds 1 texts that differ" in result.output
    result = run(tmp_path / "nowhere", data, tmp_path / "out")
    assert result.exit_code == 1 and "nowhere" in result.output


def test_refuses_tokens_that_the_model_lacks(tmp_path, known_model):
    data = write_jsonl(tmp_path / "data.jsonl", make_documents(3))
    config = tmp_path / "config.yml"
    config.write_text("base_model: x\ntokens: ['Section']\ncft: {}\n")
    result = run(known_model, data, tmp_path / "out", "--config", config)
    assert result.exit_code == 1 and "leave --config out" in result.output


def test_a_model_that_overflows_is_named(sentencepiece_tokenizer):
    import torch

    class Broken:
        device = torch.device("cpu")

        def __call__(self, input_ids, **_):
            logits = torch.full((*input_ids.shape, len(sentencepiece_tokenizer)), float("nan"))
            return type("Output", (), {"logits": logits})

    rows = rows_for(sentencepiece_tokenizer)[0].flat
    with pytest.raises(CFTError, match="not finite; try --dtype float32"):
        score(Broken(), rows[:2], 2)
