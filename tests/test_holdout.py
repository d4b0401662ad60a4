"""The hold-out: which documents are in it, that they stay out of training, and what is refused."""

import json
import logging
import re
import shutil
import unicodedata
from pathlib import Path

import pytest
from conftest import make_documents, sentences, varied, write_jsonl
from datasets import Dataset, DatasetDict
from encoder import encode, strategy_for, trained_tokens
from host import fit, host_config, prepare, write_config
from hypothesis import given
from hypothesis import strategies as st
from test_plugin import register

from axolotl_cft.core.options import CFTConfig
from axolotl_cft.core.sampling import holdout_key, is_held_out, letters_of, text_key
from axolotl_cft.errors import CFTError
from axolotl_cft.host.overlap import Reading
from axolotl_cft.host.plan import make_plan
from axolotl_cft.host.preparing import descriptions
from axolotl_cft.host.sources import record_sources
from axolotl_cft.preview.collect import collect

INVISIBLE = "\u00ad\u200b\u200c\u200d\u2060\ufeff"

VARIANTS = {
    "capitals": str.upper,
    "small letters": str.lower,
    "folded": str.casefold,
    "composed": lambda text: unicodedata.normalize("NFC", text),
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
    "compatible": lambda text: unicodedata.normalize("NFKC", text),
    "white space": lambda text: " \t\r\n\u00a0\u3000".join(text.split(" ")),
    "no white space": lambda text: "".join(text.split()),
    "punctuation": lambda text: "— " + text.replace(" ", ", ") + " …!",
    "invisible": lambda text: INVISIBLE.join(text),
    "hyphenated": lambda text: "-\n".join(text[i : i + 9] for i in range(0, len(text), 9)),
}


# ---- which documents are held out ----


@pytest.mark.parametrize("vary", VARIANTS.values(), ids=VARIANTS)
@given(text=st.text(st.characters(codec="utf-8"), max_size=60))
def test_a_variant_of_a_document_stands_on_its_side(vary, text):
    # A text of signs alone stands for itself.
    if letters_of(text):
        assert holdout_key(vary(text)) == holdout_key(text)


def test_every_character_is_one_in_all_its_forms():
    forms = ("NFC", "NFD", "NFKC", "NFKD")
    for character in map(chr, range(0x20000)):
        expected = letters_of(f"a{character}b")
        variants = {character.upper(), character.lower(), character.swapcase()}
        variants |= {unicodedata.normalize(form, character) for form in forms}
        for variant in variants - {character}:
            assert letters_of(f"a{variant}b") == expected, hex(ord(character))


@given(st.text(max_size=40), st.text(max_size=40))
def test_letters_are_those_of_the_pieces(first, second):
    """So they do not depend on which of the two ways a text with many foreign characters goes."""
    foreign = "".join(map(chr, range(0x3B1, 0x3B1 + 20)))
    pieces = (first, second, foreign)
    assert letters_of("".join(pieces)) == b"".join(map(letters_of, pieces))


def test_letters_by_example():
    assert letters_of("The Heart-beat:  5\u00adµV, naïve!").decode() == "theheartbeat5μvnaive"
    assert letters_of("ﬁne Straße İstanbul ısı ΣΑΣ σας").decode() == "finestrasseistanbulisiσασσασ"
    assert letters_of("東京 1/2 ½ ²").decode() == "東京12122"
    assert letters_of(" \u200b—*\ud800") == b""


def test_other_texts_and_texts_of_signs_alone_have_keys_of_their_own():
    texts = ["The heart.", "The hearts.", "The heart. 1", "---", "***", "- - -", "\U0001fac0"]
    assert len({holdout_key(text) for text in texts}) == len(texts)
    assert holdout_key("---") == text_key("---")


def test_the_share_held_out_is_the_share_asked_for():
    keys = [holdout_key(document["text"]) for document in make_documents(4000)]
    for share in (0.01, 0.1, 0.5):
        held = sum(is_held_out(key, share) for key in keys)
        assert abs(held - 4000 * share) < 4 * (4000 * share * (1 - share)) ** 0.5


def held_out_of(tokenizer, documents, **options) -> set[str]:
    """The texts that the test part holds and the training part does not."""
    texts = [document["text"] for document in documents]
    table = Dataset.from_list(documents)
    parts = {}
    for part in ("train", "test"):
        strategy = strategy_for(tokenizer, part=part, **options)
        rows = strategy.wrap_dataset(table)
        parts[part] = "".join(map(str, trained_tokens(rows)))
        assert strategy.encoder.ledger.held_out > 0
    whole = ["".join(map(str, _targets(tokenizer, text))) for text in texts]
    held = {text for text, ids in zip(texts, whole, strict=True) if ids in parts["test"]}
    assert not any(i in parts["train"] for t, i in zip(texts, whole, strict=True) if t in held)
    return held


def _targets(tokenizer, text):
    return [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]


def test_no_variant_of_a_held_out_document_is_trained(sentencepiece_tokenizer):
    originals = make_documents(60)
    documents = [
        {"text": varied(document["text"], seed) if seed else document["text"]}
        for document in originals
        for seed in range(3)
    ]
    held = held_out_of(sentencepiece_tokenizer, documents, holdout=0.3)
    assert {letters_of(text) for text in held}.isdisjoint(
        letters_of(document["text"]) for document in documents if document["text"] not in held
    )
    assert 6 < len(held) / 3 < 30


def test_order_shards_streams_and_seeds_share_one_held_out_part(sentencepiece_tokenizer):
    documents = make_documents(60)
    expected = held_out_of(sentencepiece_tokenizer, documents, holdout=0.3)
    assert held_out_of(sentencepiece_tokenizer, documents[::-1], holdout=0.3) == expected
    assert held_out_of(sentencepiece_tokenizer, documents, holdout=0.3, seed=1) == expected
    texts, test = [document["text"] for document in documents], []
    for shard in range(4):
        rows, _ = encode(
            sentencepiece_tokenizer, texts[shard::4], holdout=0.3, part="test", is_piece=True
        )
        test.append(trained_tokens(rows))
    stream = Dataset.from_dict({"text": texts}).to_iterable_dataset(num_shards=4)
    strategy = strategy_for(sentencepiece_tokenizer, part="test", holdout=0.3)
    streamed = {"labels": [row["labels"] for row in strategy.wrap_dataset(stream)]}
    count = len(expected)
    eos = sentencepiece_tokenizer.eos_token_id
    assert trained_tokens(streamed).count(eos) == count == sum(part.count(eos) for part in test)


def test_rows_without_a_hold_out_and_their_identity_stay_as_they_are(monkeypatch):
    def stamp(**options):
        top = CFTConfig(seed=1, **options)
        return make_plan("datasets[0]", "train", {"path": "x", "type": "cft"}, top, 1).stamp

    plain, held = stamp(), stamp(holdout=0.1)
    assert len({plain, held, stamp(holdout=0.1, holdout_by="journal"), stamp(holdout=0.2)}) == 4
    monkeypatch.setattr("axolotl_cft.host.plan.HOLDOUT_VERSION", 0)
    assert stamp() == plain and stamp(holdout=0.1) != held


# ---- a column decides ----


def test_documents_of_one_value_stay_together(sentencepiece_tokenizer):
    journals = [None if i % 11 == 0 else f"Journal {i % 13}" for i in range(90)]
    documents = [
        {**document, "journal": journal}
        for document, journal in zip(make_documents(90), journals, strict=True)
    ]
    held = held_out_of(sentencepiece_tokenizer, documents, holdout=0.4, holdout_by="journal")
    sides = {}
    for document in documents:
        sides.setdefault(document["journal"], set()).add(document["text"] in held)
    assert sides.pop(None) == {True, False}  # nobody knows where these belong: each by its text
    assert all(len(side) == 1 for side in sides.values())
    assert {True, False} == {next(iter(side)) for side in sides.values()}


def test_a_column_that_is_not_there_is_named(sentencepiece_tokenizer):
    says = "has no column 'journal', which cft.holdout_by names; add it, or name one of text$"
    with pytest.raises(CFTError, match=says):
        encode(sentencepiece_tokenizer, ["a", "b"], holdout=0.5, holdout_by="journal")


def test_a_streaming_dataset_is_split_by_the_column(sentencepiece_tokenizer):
    documents = [{**doc, "journal": i % 5} for i, doc in enumerate(make_documents(40))]
    stream = Dataset.from_list(documents).to_iterable_dataset()
    options = {"holdout": 0.4, "holdout_by": "journal", "prompts": "none"}
    rows = list(strategy_for(sentencepiece_tokenizer, **options).wrap_dataset(stream))
    table = strategy_for(sentencepiece_tokenizer, **options).wrap_dataset(
        Dataset.from_list(documents)
    )
    assert 0 < len(rows) == len(table)
    assert [row["labels"] for row in rows] == list(table["labels"])


def test_a_prompt_function_sees_the_columns_it_asked_for_alone(sentencepiece_tokenizer):
    from axolotl_cft.core.choice import Document, FromFunction
    from axolotl_cft.core.pool import PromptFunction

    seen = []
    function = PromptFunction(
        lambda row, *_: seen.append(dict(row)) or "Read.", "1", columns=frozenset({"topic"})
    )
    document = Document("x", 1, b"", {"topic": "a", "journal": "b"})
    FromFunction(function, "mine").offer(document, 0, 0, 1)
    assert seen == [{"topic": "a"}]


# ---- in the host ----


def documents(begin: int, end: int) -> list[dict]:
    return [{"text": sentences(seed), "journal": f"j{seed % 9}"} for seed in range(begin, end)]


LONG = documents(0, 40)


@pytest.fixture
def config(tmp_path, tiny_model):
    corpus = write_jsonl(tmp_path / "corpus.jsonl", LONG)
    made = host_config(tmp_path, tiny_model, corpus, sequence_len=512)
    made["test_datasets"] = [dict(made["datasets"][0])]
    made["cft"]["holdout"] = 0.3
    return made


def test_near_duplicates_are_counted_said_and_kept(config, tmp_path, caplog):
    planted = [
        {**doc, "text": doc["text"][:250] + sentences(100 + i)[:150]} for i, doc in enumerate(LONG)
    ]
    write_jsonl(tmp_path / "corpus.jsonl", LONG + planted)
    with caplog.at_level(logging.WARNING):
        fit(config)
    ledger = json.loads((tmp_path / "out" / "cft_ledger.json").read_text())
    found, held = ledger["test"]["near_duplicates"], ledger["test"]["held_out"]
    sides = [is_held_out(holdout_key(d["text"]), 0.3) for d in LONG + planted]
    apart = sum(a != b for a, b in zip(sides[:40], sides[40:], strict=True))
    assert found == apart > 5 and ledger["test"]["compared"] == held
    assert ledger["train"]["near_duplicates"] is None
    assert f"{found} of {held} held-out documents have a fifth" in caplog.text
    assert "set cft.holdout_by to a column" in caplog.text
    caplog.clear()
    config["cft"]["holdout_by"] = "journal"
    with caplog.at_level(logging.WARNING):
        _, meta = prepare(config)
    assert descriptions(meta.eval_dataset)[0].ledger.near_duplicates == 0
    assert "held-out documents have" not in caplog.text


def test_few_held_out_documents_are_warned_of_with_the_share_for_twenty(config, tmp_path, caplog):
    write_jsonl(tmp_path / "corpus.jsonl", documents(0, 198))
    config["cft"]["holdout"] = 0.02
    with caplog.at_level(logging.WARNING):
        _, meta = prepare(config)
    (tested,) = descriptions(meta.eval_dataset)
    held_out = tested.ledger.held_out
    assert 0 < held_out < 20
    said = re.findall(rf"cft.holdout: 0.02 holds out {held_out} of 198 .*", caplog.text)
    assert len(said) == 1  # of the part that is evaluated, and not of the one that is trained
    share = float(re.search(r"set cft.holdout: ([\d.]+) for 20 or more", said[0])[1])

    caplog.clear()
    config["cft"]["holdout"] = share
    with caplog.at_level(logging.WARNING):
        _, meta = prepare(config)
    assert descriptions(meta.eval_dataset)[0].ledger.held_out >= 20
    assert "holds out" not in caplog.text


def test_too_few_documents_for_twenty_held_out_get_no_share_that_cannot_help(config, caplog):
    with caplog.at_level(logging.WARNING):
        prepare(config)  # 40 documents
    assert re.search(r"holds out \d+ of 40 documents, .*; bring more documents", caplog.text)


def test_a_sample_of_the_documents_says_nothing_of_how_many_are_held_out(config, tmp_path, caplog):
    path = write_config(tmp_path / "config.yml", config)
    with caplog.at_level(logging.WARNING):
        collect(path, "test", sample=39)
        assert "holds out" not in caplog.text
        collect(path, "test", sample=41)
    assert "of 40 documents" in caplog.text


def test_pieces_of_a_dataset_are_not_searched(config):
    for key in ("datasets", "test_datasets"):
        config[key][0]["preprocess_shards"] = 2
    _, meta = prepare(config)
    ledgers = [entry.ledger for entry in descriptions(meta.eval_dataset)]
    assert [ledger.near_duplicates for ledger in ledgers] == [None, None]


def test_a_test_file_of_its_own_is_evaluated_whole(config, tmp_path, caplog):
    own = write_jsonl(tmp_path / "own.jsonl", [{"text": sentences(s)} for s in range(500, 520)])
    config["test_datasets"].append({"path": str(own), "type": "cft", "field": "text"})
    config["cft"]["holdout_by"] = "journal"  # which the other file need not have
    with caplog.at_level(logging.INFO):
        _, meta = prepare(config)
    shared, whole = (entry.ledger for entry in descriptions(meta.eval_dataset))
    assert whole.used == 20 and whole.near_duplicates is None
    assert 0 < shared.used == shared.held_out < 40
    assert "test_datasets[1] shares no rows with the training data, so all" in caplog.text
    assert "test_datasets[0] shares" not in caplog.text


def test_a_config_that_trains_what_it_holds_out_does_not_begin(config):
    config["datasets"].append({**config["datasets"][0], "type": "completion"})
    with pytest.raises(CFTError, match=r"datasets\[1\]: `type: completion` trains on the rows of"):
        prepare(config)


# ---- what is refused, and what is not ----


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Files that lie in the working directory."""
    place = tmp_path / "data"
    place.mkdir()
    monkeypatch.chdir(place)
    write_jsonl(place / "a.jsonl", LONG)
    write_jsonl(place / "b.jsonl", documents(100, 120))
    shutil.copy("a.jsonl", "copy.jsonl")
    Path("link.jsonl").symlink_to("a.jsonl")
    Path("hard.jsonl").hardlink_to("a.jsonl")
    Path("linked").symlink_to(place)
    parts = place / "parts"
    parts.mkdir()
    write_jsonl(parts / "train-0.jsonl", documents(200, 230))
    write_jsonl(parts / "test-0.jsonl", documents(230, 240))
    Dataset.from_list(documents(300, 340)).save_to_disk("saved")
    halves = {"train": documents(400, 430), "test": documents(430, 440)}
    DatasetDict({k: Dataset.from_list(v) for k, v in halves.items()}).save_to_disk("halves")
    return place


A = {"path": "a.jsonl"}
HUB = {"path": "org/corpus"}
FILES = {"path": "parts", "data_files": ["a.jsonl", "b.jsonl"]}
OTHER_ORDER = {"path": "parts", "data_files": ["b.jsonl", "a.jsonl"]}

SHARED = [
    (A, A),
    (A, {**A, "split": "train"}),
    ({**A, "split": "train[:80%]"}, A),
    ({**A, "split": "train[:80%]"}, {**A, "split": "train[70%:]"}),
    ({**A, "split": "train[:30]"}, {**A, "split": "train[80%:]"}),  # how many rows are there?
    ({**A, "split": "train[:30]"}, {**A, "split": "train[-10:]"}),
    ({**A, "split": "train[:50%](pct1_dropremainder)"}, {**A, "split": "train[50%:]"}),
    (A, {"path": "./a.jsonl"}),
    (A, {"path": "../data/a.jsonl"}),
    (A, {"path": "{here}/a.jsonl"}),
    (A, {"path": "link.jsonl"}),
    (A, {"path": "hard.jsonl"}),
    (A, {"path": "copy.jsonl"}),
    (A, {"path": "linked/a.jsonl"}),
    (A, {"path": "json", "data_files": "a.jsonl"}),
    (A, {"path": "json", "data_files": ["b.jsonl", "{here}/a.jsonl"], "split": "train"}),
    (A, {"path": "json", "data_files": "?.jsonl"}),
    (A, {"path": "parts", "data_files": "a.jsonl"}),
    (A, {**A, "shards": 2, "shards_idx": 1}),
    ({**A, "shards": 2}, {**A, "shards": 2, "shards_idx": 0}),
    ({**A, "shards": 2}, {**A, "shards": 3, "shards_idx": 1}),
    ({**A, "preprocess_shards": 2}, A),
    (A, {**A, "name": "other"}),
    (A, {**A, "ds_type": "json"}),
    ({"path": "parts"}, {"path": "parts/train-0.jsonl"}),
    ({"path": "parts"}, {"path": "parts", "split": "train+test"}),
    ({"path": "parts"}, {"path": "linked/parts", "split": "train"}),
    ({"path": "parts", "split": "train"}, {"path": "parts", "split": "all"}),
    ({"path": "saved"}, {"path": "saved"}),
    ({"path": "saved", "split": "train"}, {"path": "saved", "split": "test"}),  # not looked at
    ({"path": "saved", "split": "train[:5]"}, {"path": "saved", "split": "train[5:]"}),
    ({"path": "halves"}, {"path": "halves", "split": "train"}),
    ({"path": "halves", "split": "train[:5]"}, {"path": "halves", "split": "train"}),
    (
        {**FILES, "shards": 2},
        {**FILES, "data_files": ["b.jsonl", "a.jsonl"], "shards": 2, "shards_idx": 1},
    ),
    (HUB, {**HUB, "split": "train"}),
    (HUB, {**HUB, "split": "train[:1%]"}),
    (HUB, {**HUB, "name": "small", "split": "train"}),
    ({**HUB, "split": "train[:50%]"}, {**HUB, "revision": "v1", "split": "train[50%:]"}),
    (HUB, {"path": "Org/Corpus", "split": "train"}),
    (HUB, {**HUB, "split": "test+train"}),
    ({**HUB, "data_files": "*.parquet"}, {**HUB, "data_files": "x.parquet", "split": "train"}),
    (HUB, {**HUB, "data_files": "x.parquet", "split": "train"}),
    ({"path": "s3://bucket/x"}, {"path": "s3://bucket/x", "split": "test"}),
]

APART = [
    (A, {"path": "b.jsonl"}),
    (A, HUB),
    (A, {"path": "json", "data_files": ["b.jsonl"]}),
    ({**A, "split": "train[:80%]"}, {**A, "split": "train[80%:]"}),
    ({**A, "split": "train[10:]"}, {"path": "link.jsonl", "split": "train[:10]"}),
    ({**A, "split": "train[:-10]"}, {**A, "split": "train[-10:]"}),
    ({**A, "split": "train[:10%]+train[90%:]"}, {**A, "split": "train[10%:90%]"}),
    ({**A, "shards": 2}, {**A, "shards": 2, "shards_idx": 1}),
    ({"path": "parts"}, {"path": "parts"}),  # each its own split
    ({"path": "parts"}, {"path": "parts/test-0.jsonl"}),
    ({"path": "parts", "split": "train[:5]"}, {"path": "parts", "split": "train[5:]"}),
    ({"path": "halves"}, {"path": "halves"}),
    ({"path": "halves", "split": "test"}, {"path": "halves", "split": "train"}),
    ({"path": "saved"}, A),
    (HUB, HUB),
    (HUB, {"path": "org/other", "split": "train"}),
    ({**HUB, "split": "train[:99%]"}, {**HUB, "split": "train[99%:]"}),
    ({**HUB, "shards": 4}, {**HUB, "split": "train", "shards": 4, "shards_idx": 3}),
    ({**HUB, "data_files": "x.parquet"}, {**HUB, "data_files": "y.parquet", "split": "train"}),
]


def may_share(first, second, seed=7):
    here = str(Path.cwd())
    pair = [json.loads(json.dumps(dataset).replace("{here}", here)) for dataset in (first, second)]
    trained, tested = Reading.of("train", pair[0]), Reading.of("test", pair[1])
    assert trained.may_share(tested, seed) == tested.may_share(trained, seed)
    return trained.may_share(tested, seed)


@pytest.mark.parametrize(("trained", "tested"), SHARED, ids=str)
def test_rows_that_may_be_the_same(folder, trained, tested):
    assert may_share(trained, tested)


@pytest.mark.parametrize(("trained", "tested"), APART, ids=str)
def test_rows_that_are_provably_others(folder, trained, tested):
    assert not may_share(trained, tested)


def read_by_host(part, dataset, monkeypatch) -> set[str]:
    """The texts that Axolotl would hand to a dataset's strategy."""
    from axolotl.utils.data import sft
    from axolotl.utils.dict import DictDefault

    monkeypatch.setattr(sft, "get_dataset_wrapper", lambda dataset, **_: (dataset, None))
    named = DictDefault({"type": "cft", **dataset})
    rows, _ = sft._load_and_process_single_dataset(named, DictDefault(), None, part, seed=7)
    return set(rows["text"])


@pytest.mark.parametrize(
    ("trained", "tested"),
    [pair for pair in APART if "org/corpus" not in str(pair) and "json'," not in str(pair)],
    ids=str,
)
def test_the_host_reads_other_rows_where_that_is_certain(folder, trained, tested, monkeypatch):
    rows = read_by_host("train", trained, monkeypatch)
    others = read_by_host("test", tested, monkeypatch)
    assert rows and others and rows.isdisjoint(others)


@pytest.mark.parametrize("split", ["train", "test", "train[:5]"])
def test_the_host_reads_a_saved_dataset_whole_whatever_the_split(folder, split, monkeypatch):
    assert len(read_by_host("train", {"path": "saved", "split": split}, monkeypatch)) == 40
    sliced = {"path": "halves", "split": "train[:5]"}
    assert len(read_by_host("train", sliced, monkeypatch)) == 30
    assert len(read_by_host("test", sliced, monkeypatch)) == 10


def test_shards_are_apart_only_if_the_host_shuffles_both_alike(folder):
    assert may_share({**A, "shards": 2}, {**A, "shards": 2, "shards_idx": 1}, seed=None)


CFT = {**A, "type": "cft"}


@pytest.mark.parametrize("tested", [{}, {"split": "train"}, {"path": "b.jsonl"}], ids=str)
@pytest.mark.parametrize("source", [A, {"path": "saved"}, {"path": "halves"}, FILES], ids=str)
def test_what_is_evaluated_does_not_change_when_the_documents_are_gone(
    config, folder, source, tested, monkeypatch
):
    """As where prepared data are taken to another machine."""
    trained = {**source, "type": "cft"}
    tested = {**trained, **tested}
    config["dataset_prepared_path"] = str(folder.parent / "prepared")
    before = check(config, [trained], [tested])
    record_sources([trained, tested], Path(config["dataset_prepared_path"]))
    stamps = [before[key][0]["conversation"] for key in ("datasets", "test_datasets")]
    folder.rename(folder.parent / "gone")
    folder.mkdir()
    monkeypatch.chdir(folder)
    after = check(config, [trained], [tested])
    assert [after[key][0]["conversation"] for key in ("datasets", "test_datasets")] == stamps


def check(config, train, test=(), **options):
    """Register a config of these datasets."""
    config["datasets"], config["test_datasets"] = list(train), list(test)
    config["cft"] |= options
    return register(config)


TRAINED_BY_ANOTHER = {
    "completion": {**A, "type": "completion"},
    "with its split named": {**A, "type": "completion", "split": "train"},
    "under another path": {"path": "linked/a.jsonl", "type": "completion"},
    "a copy": {"path": "copy.jsonl", "type": "completion"},
    "as chats": {**A, "type": "chat_template", "field_messages": "journal"},
    "instructions": {**A, "type": "alpaca"},
    "a format of one's own": {**A, "type": {"field_output": "text"}},
}


@pytest.mark.parametrize("other", TRAINED_BY_ANOTHER.values(), ids=TRAINED_BY_ANOTHER)
@pytest.mark.parametrize("test", [[CFT], [{**CFT, "split": "train"}], []], ids=len)
def test_another_type_may_not_train_what_is_held_out(config, folder, other, test):
    says = r"datasets\[0\]: .* trains on the rows of (test_)?datasets\[.\], with what cft.holdout"
    with pytest.raises(CFTError, match=says):
        check(config, [other, CFT], test)
    check(config, [other, CFT], test, holdout=0.0)


def test_another_type_may_train_other_rows(config, folder, caplog):
    others = [
        {"path": "b.jsonl", "type": "completion"},
        {**HUB, "type": "completion"},
        {"path": "parts/train-0.jsonl", "type": "alpaca"},
    ]
    check(config, [CFT, *others], [CFT])
    sliced = {**CFT, "split": "train[:50%]"}
    check(config, [sliced, {**A, "type": "completion", "split": "train[50%:]"}], [sliced])
    assert caplog.text == ""


def test_another_type_may_not_evaluate_what_is_trained(config, folder):
    tested = {**A, "type": "completion", "split": "train"}
    says = r"test_datasets\[1\]: `type: completion` evaluates the rows of datasets\[0\], most of"
    with pytest.raises(CFTError, match=says):
        check(config, [CFT], [CFT, tested])
    check(config, [CFT], [CFT, {**tested, "path": "b.jsonl"}])


def test_a_test_file_trained_by_another_type_is_no_test_file(config, folder):
    with pytest.raises(CFTError, match=r"trains on the rows of test_datasets\[0\]"):
        check(
            config,
            [CFT, {"path": "b.jsonl", "type": "completion"}],
            [{"path": "b.jsonl", "type": "cft"}],
        )


def test_another_configuration_of_a_hub_dataset_is_warned_of(config, folder, caplog):
    hub = {**HUB, "type": "cft", "name": "texts"}
    with caplog.at_level(logging.WARNING):
        check(
            config,
            [hub, {**HUB, "type": "alpaca", "name": "questions"}],
            [{**hub, "split": "train"}],
        )
    assert "`type: alpaca` perhaps trains on the rows of datasets[0]" in caplog.text


def test_two_columns_of_one_row_need_a_column_that_decides(config, folder):
    title, chats = {**CFT, "field": "journal"}, {**CFT, "type": "cft.chat"}
    del chats["type"]
    chats["type"] = "axolotl_cft.chat"
    for other, says in ((title, "field: journal"), (chats, "field_messages: messages")):
        with pytest.raises(CFTError, match=f"goes by `.*` here and by `{says}` there"):
            check(config, [other, CFT], [CFT], holdout_by=None)
        check(config, [other, CFT], [CFT], holdout_by="journal")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"holdout": 0.0, "holdout_by": "journal"}, "cft.holdout_by: nothing is held out; set"),
        ({"holdout_by": ""}, "cft.holdout_by: string should have at least 1 character"),
        ({"holdout_by": 3}, "cft.holdout_by: input should be a valid string"),
    ],
)
def test_a_wrong_column_is_refused(config, change, message):
    config["cft"] |= change
    with pytest.raises(CFTError, match=message):
        register(config)


def test_the_column_is_one_for_all_datasets(config):
    config["datasets"][0]["cft"] = {"holdout_by": "journal"}
    with pytest.raises(CFTError, match=r"datasets\[0\].cft.holdout_by: set it in the top-level"):
        register(config)


def test_documents_that_are_trained_and_tested_are_warned_of(config, folder, caplog):
    said = "test_datasets[0] holds the documents that are trained on; set cft.holdout"
    trained = [CFT, {**A, "type": "completion"}, {**CFT, "split": "train[:80%]"}]
    for train in trained:
        for test in ({**CFT, "split": "train"}, {"path": "copy.jsonl", "type": "cft"}):
            with caplog.at_level(logging.WARNING):
                check(config, [train, {**CFT, "path": "b.jsonl"}], [test], holdout=0.0)
            assert said in caplog.text
            caplog.clear()
    check(config, [CFT], [{"path": "b.jsonl", "type": "cft"}], holdout=0.0)
    check(config, [{**HUB, "type": "cft"}], [{**HUB, "type": "cft"}], holdout=0.0)
    assert said not in caplog.text


def test_a_hold_out_that_nobody_evaluates_is_warned_of(config, folder, caplog):
    unused = "no test_datasets of type cft evaluate them"
    with caplog.at_level(logging.WARNING):
        check(config, [CFT], [CFT])
        assert unused not in caplog.text
        check(config, [CFT], [{"path": "b.jsonl", "type": "cft"}])
    assert unused in caplog.text
