"""Exact and near duplicates: planted ones at known similarity are found, look-alikes are kept."""

import json
import os
import random
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from axolotl_cft.corpus.building import near_duplicates, shingles
from axolotl_cft.corpus.building.confirmation import Confirmed, confirm
from axolotl_cft.corpus.building.exact_duplicates import ExactDuplicates
from axolotl_cft.corpus.building.near_duplicates import (
    BANDS,
    FEWEST,
    ROWS,
    NearDuplicates,
    signature_of,
)
from axolotl_cft.corpus.building.shingles import LENGTH, jaccard, shingles_of
from axolotl_cft.corpus.building.unspaced import SIGN
from axolotl_cft.corpus.words import words_of
from axolotl_cft.errors import CFTError

Documents = list[tuple[str, str]]


def words(seed: object, count: int) -> list[str]:
    return [f"w{number}" for number in random.Random(str(seed)).choices(range(20_000), k=count)]


def changed(text: list[str], seed: object, count: int) -> list[str]:
    """With some words replaced by words that are nowhere else."""
    text = list(text)
    for number, place in enumerate(random.Random(f"places {seed}").sample(range(len(text)), count)):
        text[place] = f"x{seed}y{number}"
    return text


def numbered(texts: list[list[str]]) -> Documents:
    return [(f"doc-{number:05d}", " ".join(text)) for number, text in enumerate(texts)]


def found_in(documents: Documents) -> Confirmed:
    search = NearDuplicates()
    for doc_id, text in documents:
        search.add(doc_id, text)
    return confirm(search.candidates(), lambda: documents)


# --- exact -----------------------------------------------------------------------------------


def test_exact_duplicates_differ_in_nothing_that_is_said():
    texts = {
        "b": "The heart beats: 70 times a minute.",
        "a": "the  HEART\nbeats 70 times (a minute)",
        "c": "The heart beats 71 times a minute.",
        "e": "— — —",
        "d": "— — —",
        "f": "- - -",
        "g": "心脏每分钟跳动七十次。",
        "h": "心脏每分钟，跳动七十次",
        "i": "心脏每分钟跳动八十次。",
    }
    for order in (sorted(texts), sorted(texts, reverse=True)):
        search, other = ExactDuplicates(), ExactDuplicates()
        for number, doc_id in enumerate(order):
            (search if number % 2 else other).add(doc_id, texts[doc_id])
        search.add_all(other)
        assert search.removed() == {"b": "a", "e": "d", "h": "g"}


@given(st.lists(st.sampled_from("ABC"), max_size=12), st.randoms(), st.integers(0, 12))
def test_the_first_is_kept_in_whatever_order_and_parts(texts, order, cut):
    documents = [(f"{number:02d}", text) for number, text in enumerate(texts)]
    expected = {
        doc_id: f"{texts.index(text):02d}"
        for number, (doc_id, text) in enumerate(documents)
        if texts.index(text) != number
    }
    order.shuffle(documents)
    parts = ExactDuplicates(), ExactDuplicates()
    for number, document in enumerate(documents):
        parts[number < cut].add(*document)
    parts[0].add_all(parts[1])
    assert parts[0].removed() == expected


# --- sets ------------------------------------------------------------------------------------


def plain_runs(text: str) -> set[tuple[str, ...]]:
    """The definition."""
    found = words_of(re.sub(SIGN, r" \g<0> ", text))
    return {tuple(found[i : i + LENGTH]) for i in range(len(found) - LENGTH + 1)}


def similarity_by_definition(one: str, other: str) -> float:
    first, second = plain_runs(one), plain_runs(other)
    return len(first & second) / max(1, len(first | second))


mixed = st.text(alphabet="ab \n.心脏é", max_size=120)


@given(mixed, mixed)
def test_similarity_is_that_of_the_sets(one, other):
    assert shingles_of(one).size == len(plain_runs(one))
    assert jaccard(shingles_of(one), shingles_of(other)) == similarity_by_definition(one, other)


short_words = st.lists(st.sampled_from(["a", "b", "ab", "é.", "心脏", "x\n"]), max_size=40)


@given(short_words.map(" ".join), short_words.map(" ".join), st.integers(4, 30))
def test_a_long_text_is_taken_piece_by_piece(one, other, piece):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shingles, "_PIECE", piece)
        found = shingles_of(one), shingles_of(other)
    assert [each.tolist() for each in found] == [shingles_of(t).tolist() for t in (one, other)]
    assert jaccard(*found) == similarity_by_definition(one, other)


# --- recall and precision --------------------------------------------------------------------


def planted(similarity: float, pairs: int) -> list[tuple[str, str]]:
    """Pairs of 304 words with that Jaccard similarity: so much of their text is the same."""
    shared = round(300 * 2 * similarity / (1 + similarity))
    texts = []
    for number in range(pairs):
        same = words(("same", number), shared + LENGTH - 1)
        own = [words((side, number), 300 - shared) for side in "ab"]
        texts.append((" ".join(same + own[0]), " ".join(own[1] + same)))
    return texts


def candidate_share(similarity: float, pairs: int) -> tuple[float, float]:
    """Of planted pairs: (the share that become candidates, their mean similarity)."""
    texts = planted(similarity, pairs)
    search, total = NearDuplicates(), 0.0
    for number, (one, other) in enumerate(texts):
        search.add(f"{number:05d}a", one)
        search.add(f"{number:05d}b", other)
        total += jaccard(shingles_of(one), shingles_of(other))
    found = search.candidates()
    joined = sum(first // 2 == second // 2 for first, second in found)
    return joined / pairs, total / pairs


@pytest.mark.parametrize("similarity", [0.4, 0.5, 0.6, 0.7, 0.8])
def test_candidates_follow_the_curve_of_the_bands(similarity, monkeypatch):
    """Which they do only if the hash functions are independent of each other."""
    monkeypatch.setattr(near_duplicates, "WORTH_A_LOOK", 0.0)
    share, true = candidate_share(similarity, 500)
    assert true == pytest.approx(similarity, abs=0.01)
    expected = 1 - (1 - true**ROWS) ** BANDS
    deviation = (expected * (1 - expected) / 500) ** 0.5
    assert share == pytest.approx(expected, abs=4 * deviation)


@pytest.mark.parametrize(("similarity", "recall"), [(0.805, 0.99), (0.85, 0.998), (0.9, 1.0)])
def test_planted_near_duplicates_are_found(similarity, recall):
    texts = planted(similarity, 1000)
    documents = [
        (f"{number:05d}{side}", text)
        for number, pair in enumerate(texts)
        for side, text in zip("ab", pair, strict=True)
    ]
    found = found_in(documents)
    assert len(found.removed) >= recall * len(texts)
    assert all(
        first[:5] == second[:5] and first < second for second, first in found.removed.items()
    )
    # Little else is worth a look.
    assert found.compared < 1.1 * len(texts)


def test_nothing_below_the_limit_is_removed():
    for similarity in (0.6, 0.78):
        documents = numbered([text.split() for pair in planted(similarity, 300) for text in pair])
        found = found_in(documents)
        assert (found.removed, found.pairs) == ({}, [])
    assert found.compared > 250  # the candidates were there


def test_values_agree_as_often_as_the_sets_do():
    agreed = []
    for one, other in planted(0.8, 300):
        signatures = [signature_of(shingles_of(text)) for text in (one, other)]
        agreed.append(np.mean(signatures[0] == signatures[1]))
    assert np.mean(agreed) == pytest.approx(0.8, abs=0.01)
    assert np.std(agreed) == pytest.approx((0.8 * 0.2 / (BANDS * ROWS)) ** 0.5, rel=0.2)


# --- look-alikes -----------------------------------------------------------------------------

LICENSE = words("license", 150)


def report(number: int) -> list[str]:
    """A form of 300 words with 30 figures of its own in it."""
    return changed(words("form", 300), number, 30)


LOOK_ALIKES = {
    "a header in common": [LICENSE + words(n, 200) for n in range(300)],
    "a header and a footer in common": [
        LICENSE + words(n, 120) + LICENSE[::-1] for n in range(300)
    ],
    "one quotes the other": [words(0, 300), words(0, 300) + words(1, 100), words(0, 300)[:200]],
    "reports of one form": [report(n) for n in range(300)],
    "other words in the same order of lengths": [words(n, 100) for n in range(300)],
}


@pytest.mark.parametrize("texts", LOOK_ALIKES.values(), ids=LOOK_ALIKES)
def test_what_only_looks_alike_is_kept(texts):
    assert found_in(numbered(texts)).removed == {}


def test_a_twin_among_reports_of_one_form_is_found():
    """Also where hundreds agree in most bands and only two are near duplicates."""
    texts = [words("form", 300)[:240] + words(n // 2, 60) for n in range(600)]
    texts = [changed(text, n, 1) if n % 2 else text for n, text in enumerate(texts)]
    found = found_in(numbered(texts))
    assert found.removed == {f"doc-{n + 1:05d}": f"doc-{n:05d}" for n in range(0, 600, 2)}
    assert found.compared < BANDS * near_duplicates.MATES * 600


def test_copies_of_one_document_are_compared_with_one_of_them():
    texts = [changed(words("original", 300), n, 1) for n in range(1500)]
    documents = numbered(texts)
    search = NearDuplicates()
    for document in random.Random(0).sample(documents, len(documents)):
        search.add(*document)
    candidates = search.candidates()
    assert len(candidates) < 80 * len(documents)
    found = confirm(candidates, lambda: documents)
    assert found.removed == {doc_id: "doc-00000" for doc_id, _ in documents[1:]}
    assert found.compared == len(found.pairs) == 1499
    assert all(pair.similarity > 0.9 for pair in found.pairs)


@pytest.mark.parametrize("families", ["bab", "ab" * 20, "a" * 3 + "b" * 5, "C" * 50 + "bbb"])
def test_those_of_one_bucket_are_compared_beyond_their_neighbors(families):
    """Documents that agree in the first band alone, and are alike within a family.

    Those of `C` are copies. Where all leaders were of them, the others would not be compared.
    """
    numbers = np.random.default_rng(0)
    values = {family: numbers.integers(1 << 32, size=(BANDS, ROWS)) for family in "abC"}
    search = NearDuplicates()
    for number, family in enumerate(families):
        signature = values[family].copy()
        signature[0] = 7
        if family != "C":
            signature[1:, number % ROWS] = numbers.integers(1 << 32, size=BANDS - 1)
        search._doc_ids.append(f"{number:02d}")
        search._recent.append(signature.ravel().astype(np.uint32))
    found = search.candidates()
    assert {families[first] + families[second] for first, second in found} <= {"aa", "bb", "CC"}
    alone = {number for number, family in enumerate(families) if families.count(family) == 1}
    assert set(found.places().tolist()) == set(range(len(families))) - alone
    assert list(found) == sorted(set(found))


def test_what_is_joined_through_others_has_the_first_of_them():
    text = words("version", 200)
    versions = [changed(text, 1, 0)]
    for number in range(1, 5):
        versions.append(changed(versions[-1], number, 3))
    documents = numbered(versions)
    ends = [shingles_of(documents[place][1]) for place in (0, -1)]
    assert jaccard(*ends) < 0.8
    found = found_in(documents)
    assert found.removed == {doc_id: "doc-00000" for doc_id, _ in documents[1:]}
    for pair in found.pairs:
        one, other = (shingles_of(dict(documents)[name]) for name in (pair.first, pair.second))
        assert pair.first < pair.second and pair.similarity == jaccard(one, other) >= 0.8


# --- odd texts -------------------------------------------------------------------------------


def test_short_texts_are_not_compared():
    search = NearDuplicates()
    few = " ".join(f"w{n}" for n in range(FEWEST + LENGTH - 2))
    for number, text in enumerate(["", " ", "a " * 500, few, few + " w1000"]):
        search.add(str(number), text)
    assert (len(search), search.too_short) == (1, 4)
    assert confirm(search.candidates(), lambda: [("4", "")]).removed == {}


def test_nothing_is_read_again_without_candidates():
    found = confirm(NearDuplicates().candidates(), lambda: pytest.fail("read"))
    assert (found.pairs, found.removed, found.compared) == ([], {}, 0)


CHINESE = (
    "肾脏过滤血液，并把过滤出来的大部分物质送回血液。每个肾脏大约有一百万个肾单位。"
    "每个肾单位都从一团细小的血管开始，水、盐和糖可以通过，细胞和蛋白质则被挡住。"
    "激素决定留下多少水。"
)


def test_writing_without_spaces_is_compared_by_its_signs():
    other = (
        "心脏位于胸腔内，两肺之间。成人的心脏大约有拳头那么大，"
        "每分钟跳动七十次左右，把血液送到全身。"
    )
    documents = [("a", CHINESE), ("b", CHINESE.replace("激素", "荷尔蒙")), ("c", other * 2)]
    assert found_in(documents).removed == {"b": "a"}


def test_one_huge_document_among_small_ones():
    huge = words("huge", 120_000)  # several pieces
    texts = [words(n, 100) for n in range(50)]
    texts += [huge, ["before", *changed(huge, 1, 1000)], huge[:20_000]]
    assert found_in(numbered(texts)).removed == {"doc-00051": "doc-00050"}


# --- the corpus as it is read ------------------------------------------------------------------


def test_memory_is_some_bytes_a_document():
    texts = numbered([words(n, 40) for n in range(4000)])
    shingles_of(texts[0][1])  # makes tables, once
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    search = NearDuplicates()
    for doc_id, text in texts:
        search.add(str(doc_id), text)
    search.candidates()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 500 < (peak - before) / len(texts) < 2000


def test_a_document_that_is_gone_is_named():
    documents = numbered([words(0, 100), words(0, 100)])
    search = NearDuplicates()
    for document in documents:
        search.add(*document)
    with pytest.raises(CFTError, match="document 'doc-00001' was not there"):
        confirm(search.candidates(), lambda: documents[:1])


def test_a_doc_id_of_two_documents_is_refused():
    search = NearDuplicates()
    for number in (1, 2):
        search.add("same", " ".join(words(number, 100)))
    with pytest.raises(CFTError, match="two documents have the doc_id 'same'"):
        search.candidates()


SEARCH = """
import json, random, sys
from axolotl_cft.corpus.building.confirmation import confirm
from axolotl_cft.corpus.building.near_duplicates import NearDuplicates
seed, parts = map(int, sys.argv[1:])
documents = [tuple(document) for document in json.load(sys.stdin)]
random.Random(seed).shuffle(documents)
searches = [NearDuplicates() for _ in range(parts)]
for number, document in enumerate(documents):
    searches[number % parts].add(*document)
for other in searches[1:]:
    searches[0].add_all(other)
random.Random(seed + 1).shuffle(documents)
found = confirm(searches[0].candidates(), lambda: documents)
print([vars(pair) for pair in found.pairs], found.removed, found.compared, searches[0].too_short)
"""


@pytest.mark.slow
def test_order_processes_and_hash_seed_change_nothing():
    texts = [words("form", 240) + words(n // 3, 60) for n in range(150)]
    documents = numbered([changed(text, n, n % 4) for n, text in enumerate(texts)])
    documents.append(("short", "a b c"))
    printed = set()
    for seed, parts in ((0, 1), (1, 3), (2, 7)):
        env = {**os.environ, "PYTHONHASHSEED": str(seed)}
        env["PYTHONPATH"] = str(Path(__file__).parent.parent)
        command = [sys.executable, "-c", SEARCH, str(seed), str(parts)]
        done = subprocess.run(
            command, input=json.dumps(documents), capture_output=True, text=True, env=env
        )
        assert done.returncode == 0, done.stderr
        printed.add(done.stdout)
    assert len(printed) == 1 and printed.pop().count("doc-") > 150


def test_signatures_stay_what_they_are():
    """On any machine, and whatever the release of Python and numpy: else results would change."""
    assert signature_of(shingles_of(CHINESE))[:4].tolist() == [
        42194206,
        18674762,
        83535895,
        59345402,
    ]
