"""What counts as an overlap: the index against the plain definitions, word for word."""

import math
import random
import re
import unicodedata
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from axolotl_cft.corpus import words as words_module
from axolotl_cft.corpus.overlap_index import OverlapIndex, Rules
from axolotl_cft.corpus.partial import RUN, STRETCH, Aligner
from axolotl_cft.corpus.words import hashes_of, run_hashes, word_spans, words_of
from axolotl_cft.evaluation.tasks import BenchmarkItem


def index_of(*questions: str, **rules: Any) -> OverlapIndex:
    items = (BenchmarkItem("t", number, text) for number, text in enumerate(questions))
    return OverlapIndex(items, Rules(**rules))


# --- words -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("B-cells, 5 µg", "b CELLS 5 μg"),
        ("naïve", "NAI\u0308VE"),
        ("“Straße”", "strasse"),
        ("snake_case", "snake case"),
        ("ﬁve", "five"),
        ("osteo\u00adclasts", "osteoclasts"),
        ("osteo\u200bclasts", "osteoclasts"),
        ("\ufeffosteo\u2060clasts\u200e", "osteoclasts"),
        ("nai\u200d\u0308ve", "naïve"),
        ("two\r\nwords", "two words"),
        ("two\u00a0words", "two words"),
    ],
)
def test_words_are_blind_to_case_punctuation_and_what_is_invisible(one: str, other: str) -> None:
    assert words_of(one) == words_of(other) != []


odd_texts = st.text() | st.text(alphabet="aé\u0301\u0338 <\n-’\u00ad\u200b\u0378ﬁ½")


@given(odd_texts)
def test_words_are_runs_of_letters_and_digits(text: str) -> None:
    seen = "".join(
        character
        for character in text
        if unicodedata.category(character) != "Cf"
        and character != "\u034f"
        and not "\ufe00" <= character <= "\ufe0f"
    )
    normal = unicodedata.normalize("NFKC", seen).casefold()
    assert words_of(text) == re.findall(r"[^\W_]+", normal)


@given(st.lists(odd_texts, max_size=4), st.integers(2, 40))
def test_hashes_are_those_of_the_words(texts: list[str], piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words_module, "_PIECE", piece)  # long texts are hashed in pieces
        hashes, starts = hashes_of(texts)
    words = [word for text in texts for word in [*words_of(text), "\0"]]
    assert len(hashes) == len(words) == starts[-1] and len(starts) == len(texts) + 1
    by_word: dict[str, Any] = dict(zip(words, hashes.tolist(), strict=True))
    assert [by_word[word] for word in words] == hashes.tolist()
    assert len(set(by_word.values())) == len(by_word)


def test_hashes_of_runs_depend_on_order_and_not_on_place() -> None:
    hashes, _ = hashes_of(["a b c a b c b a c"])
    runs = run_hashes(hashes, 3)
    assert runs[0] == runs[3] and len(set(runs[:3].tolist())) == 3 and runs[6] != runs[0]


@given(odd_texts | st.text(alphabet="ab \n", max_size=9000))
def test_spans_hold_their_words(text: str) -> None:
    words = words_of(text)
    numbers = range(0, len(words), max(1, len(words) // 20))
    spans = word_spans(text, list(numbers))
    assert set(spans) == set(numbers)
    for number in numbers:
        assert words[number] in words_of(text[slice(*spans[number])])
    assert list(spans.values()) == sorted(spans.values())


# --- patterns --------------------------------------------------------------------------------


def overlaps(item: list[str], document: list[str], n: int) -> bool:
    """The definition: the obvious quadratic search."""
    size = min(n, len(item))
    grams = {tuple(item[i : i + size]) for i in range(len(item) - size + 1)}
    return any(tuple(document[i : i + size]) in grams for i in range(len(document) - size + 1))


texts = st.lists(st.sampled_from("abc"), min_size=1, max_size=12)


@given(
    items=st.lists(texts, min_size=1, max_size=6),
    documents=st.lists(texts, min_size=1, max_size=3),
    n=st.integers(1, 6),
    min_words=st.integers(1, 6),
)
def test_patterns_are_the_definition(
    items: list[list[str]], documents: list[list[str]], n: int, min_words: int
) -> None:
    index = index_of(*map(" ".join, items), n=n, min_words=min_words)
    for document, matches in zip(
        documents, index.scan(list(map(" ".join, documents))), strict=True
    ):
        found = {o.number for match in matches for o in index.owners(match.pattern)}
        assert found == {
            number
            for number, item in enumerate(items)
            if len(item) >= min_words and overlaps(item, document, n)
        }
        for match in matches:
            assert index.words(match) == " ".join(document[match.begin : match.end])
    assert index.too_short["t"] == sum(len(item) < min_words for item in items)


def test_a_shared_run_of_thirteen_words_is_the_limit() -> None:
    words = [f"w{number}" for number in range(19)]
    index = index_of(" ".join(words))
    (hit,) = index.find("before " + " ".join(words[5:18]) + " after")
    assert (hit.task, hit.item, hit.score) == ("t", 0, 1.0)
    assert hit.words == " ".join(words[5:18])
    assert not index.find(" ".join([*words[:12], "x", *words[13:]]))


def test_items_of_eight_to_twelve_words_must_occur_whole() -> None:
    index = index_of("Profit at Acme falls as the dollar rises", "Acme", "?!", "Time to act")
    assert index.items == {"t": 4} and index.too_short == {"t": 3}
    assert [h.item for h in index.find("“PROFIT at Acme\nfalls - as the dollar rises.”")] == [0]
    assert not index.find("Time to act: at Acme profit falls as the dollar rises")


def test_equal_items_are_all_found_and_a_prefix_is_another_item() -> None:
    whole = " ".join(f"w{number}" for number in range(30))
    prefix = " ".join(whole.split()[:12])
    items = [
        BenchmarkItem("one", 4, whole),
        BenchmarkItem("two", 7, whole),
        BenchmarkItem("two", 8, prefix),
    ]
    index = OverlapIndex(items)
    found = [(hit.task, hit.item) for hit in index.find(f"so {whole} it ends")]
    assert found == [("one", 4), ("two", 7), ("two", 8)]
    assert [(hit.task, hit.item) for hit in index.find(f"so {prefix} it ends")] == [("two", 8)]


# --- options ---------------------------------------------------------------------------------


def test_a_short_question_is_found_with_its_options() -> None:
    options = ("Collagen type I", "Dystrophin", "Fibrillin 1", "Huntingtin")
    item = BenchmarkItem("t", 3, "Which gene is changed in Duchenne muscular dystrophy?", options)
    index = OverlapIndex([item], Rules(min_words=10))
    asked = "Which gene is changed in Duchenne muscular dystrophy?"
    for text in (
        f"1. {asked}\n(A) Collagen type I\n(B) Dystrophin\n(C) Fibrillin 1\n(D) Huntingtin",
        f"{asked} Collagen type I / Dystrophin / Fibrillin 1 / Huntingtin",
    ):
        (hit,) = index.find(text)
        assert (hit.item, hit.score, hit.matched) == (3, 1.0, "question with options")
    assert not index.find(asked) and not index.find(" ".join(options))


def test_stock_options_alone_say_nothing() -> None:
    options = ("True, True, True", "False, False, False", "True, False, True", "False, True, False")
    item = BenchmarkItem("t", 0, "The spleen filters blood and stores platelets", options)
    assert not OverlapIndex([item]).find("Answer: " + " ".join(options))


def test_a_long_option_is_found_alone() -> None:
    option = "Begin a beta blocker today and see the patient again after two weeks of rest"
    item = BenchmarkItem("t", 5, "What comes next?", ("Surgery", option))
    (hit,) = OverlapIndex([item]).find(f"The guideline says: {option.lower()}.")
    assert (hit.item, hit.matched, hit.words) == (5, "option", " ".join(words_of(option)[:13]))


# --- in part ---------------------------------------------------------------------------------


def best_share(text: list[str], document: list[str]) -> float:
    """The definition: every window, every run."""
    span, best = math.ceil(STRETCH * len(text)), 0
    for begin in range(len(document)):
        window = document[begin : begin + span]
        runs = {tuple(window[i : i + RUN]) for i in range(len(window) - RUN + 1)}
        covered = {
            word
            for i in range(len(text) - RUN + 1)
            if tuple(text[i : i + RUN]) in runs
            for word in range(i, i + RUN)
        }
        best = max(best, len(covered))
    return best / len(text)


few_words = st.lists(st.sampled_from("abcd"), min_size=RUN, max_size=24)


@given(
    items=st.lists(few_words, min_size=1, max_size=5),
    documents=st.lists(
        st.lists(st.sampled_from("abcde"), max_size=60) | few_words, min_size=1, max_size=3
    ),
    near=st.sampled_from([0.3, 0.5, 0.6, 1.0]),
)
@example(items=[["a"] * 9], documents=[["a"] * 4], near=0.5)
def test_copies_in_part_are_the_definition(
    items: list[list[str]], documents: list[list[str]], near: float
) -> None:
    texts, starts = hashes_of(map(" ".join, items))
    aligner = Aligner(texts, starts, np.full(len(items), near))
    words, places = hashes_of(map(" ".join, documents))
    found: dict[tuple[int, int], float] = {}
    for copy in aligner.copies(aligner.runs_in(words), places):
        key = copy.text, copy.document
        found[key] = max(copy.score, found.get(key, 0.0))
        assert sum(end - begin for begin, end in copy.runs) == pytest.approx(
            copy.score * len(items[copy.text])
        )
        inside = documents[copy.document][copy.begin : copy.end]
        for begin, _ in copy.runs:
            run = items[copy.text][begin : begin + RUN]
            assert any(inside[i : i + RUN] == run for i in range(len(inside)))
    assert found == {
        (number, place): share
        for number, item in enumerate(items)
        for place, document in enumerate(documents)
        if (share := best_share(item, document)) >= near - 1e-9
    }


def test_every_copy_in_a_document_is_found_where_it_stands() -> None:
    rng = random.Random(0)
    item = [f"w{number}" for number in range(40)]
    copy = [word for place, word in enumerate(item, 1) if place % 10]
    filler = [f"f{rng.randrange(500)}" for _ in range(70)]
    index = index_of(" ".join(item), n=50)
    document = [*filler, *copy, *filler, *item[20:], *item[:20], *filler[:5], *copy]
    matches = index.scan([" ".join(document)])[0]
    assert [(m.begin, m.end) for m in matches if m.score < 1] == [(70, 106)]
    assert [(m.begin, m.end, m.score) for m in matches][1:] == [(176, 257, 1.0)]
    assert index.words(matches[0]).startswith("w0 w1 w2 w3 w4 w5 w6 w7 w8 … w10 w11")


def test_a_copy_is_found_wherever_it_stands() -> None:
    """Six runs of four words, in the reverse order: 60 % of the item, and not a word more."""
    item = [f"w{number}" for number in range(40)]
    copy = [
        word for begin in range(36, 5, -6) for word in [*item[begin : begin + 4], f"gap{begin}"]
    ]
    index = index_of(" ".join(item))
    texts = [" ".join(["f"] * shift + copy) for shift in range(220)]
    for shift, (match,) in enumerate(index.scan(texts)):
        assert (match.begin, match.end, match.score) == (shift, shift + 29, 0.6)


def test_a_window_is_half_as_long_again_as_the_item() -> None:
    item = [f"w{number}" for number in range(20)]
    index = index_of(" ".join(item))
    for gap, score in ((18, 0.6), (19, None)):
        found = index.find(" ".join([*item[:8], *["f"] * gap, *item[9:13]]))
        assert [hit.score for hit in found] == ([score] if score else [])


def test_a_few_rare_runs_lead_to_an_item_of_common_ones() -> None:
    stock = " ".join(f"s{number}" for number in range(20))
    own = [" ".join(f"own{k}x{number}" for number in range(12)) for k in range(30)]
    index = index_of(*(f"{stock} {words}" for words in own), n=50)
    (hit,) = index.find(f"so {stock} {' '.join(own[9].split()[:4])} and another end")
    assert (hit.item, hit.score) == (9, 0.75)


def test_phrases_that_all_items_share_are_no_lead() -> None:
    stock = "which of the following is the most appropriate next step in management of this"
    items = [f"{stock} patient with disease number w{k} x{k} y{k} z{k} u{k}" for k in range(30)]
    index = index_of(*items, n=30, near=0.5)
    assert not index.find(f"Now: {stock} patient with disease number nine hundred")
    assert [hit.item for hit in index.find(f"And so: {items[7]}!")] == [7]
    exact = index_of(*items, n=13)
    assert not exact.find(f"Now: {stock} patient with disease number nine hundred")
    assert [hit.item for hit in exact.find(f"And so: {items[7]}!")] == [7]
    # Of twenty items that share it, the phrase still tells; one text repeated is one.
    assert len(index_of(*items[:20], n=13).find(f"Now: {stock} patient")) == 20
    copies = index_of(*[items[0]] * 30, n=13)
    assert len(copies.find(f"Now: {stock} patient")) == 30


@pytest.mark.parametrize("bad", [{"n": 0}, {"min_words": 0}, {"near": 0.0}, {"near": 1.1}])
def test_impossible_rules_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Rules(**bad)


def test_an_index_of_nothing_finds_nothing() -> None:
    assert index_of().find("Anything at all") == [] == index_of("too short").find("too short")
    assert index_of("a question that is long enough to tell").scan(["", "\n", "x"]) == [[], [], []]
