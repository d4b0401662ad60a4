"""Near duplicates across the hold-out: planted ones are counted, others are not."""

import random

import pytest

from axolotl_cft.core import near_duplicates
from axolotl_cft.core.ledger import Ledger
from axolotl_cft.core.near_duplicates import NearDuplicates
from axolotl_cft.core.sampling import letters_of

WORDS = [
    "".join(letters)
    for letters in random.Random(1).sample(
        [
            (a, b, c, d, e)
            for a in "bdfg"
            for b in "aeiou"
            for c in "klmn"
            for d in "aeiou"
            for e in "rst"
        ],
        1000,
    )
]


def text(seed: int, words: int = 150) -> list[str]:
    return random.Random(seed).choices(WORDS, k=words)


def count(documents, size: int = 7) -> tuple[int, int]:
    """Of (text, held out) pairs, entered a few at a time."""
    search = NearDuplicates()
    entered = [(letters_of(" ".join(words)), held_out) for words, held_out in documents]
    for begin in range(0, len(entered), size):
        search.add(entered[begin : begin + size])
    return search.count()


TRAINING = [(text(seed), False) for seed in range(40)]


def changed_word_by_word(words: list[str], every: int) -> list[str]:
    return ["other" if i % every == 0 else word for i, word in enumerate(words)]


PLANTED = {
    "its beginning": text(3)[:60] + text(103, 90),
    "its end": text(103, 90) + text(3)[90:],
    "without a sentence in the middle": text(3)[:60] + text(3)[75:],
    "every twelfth word another": changed_word_by_word(text(3), 12),
    "one paragraph of several documents each": text(3)[:50] + text(5)[:50] + text(8)[50:100],
    "inside a longer one": text(103, 200) + text(3) + text(104, 200),
}


@pytest.mark.parametrize("planted", PLANTED.values(), ids=PLANTED)
def test_a_held_out_document_that_stands_in_training_is_counted(planted):
    unrelated = [(text(seed), True) for seed in range(200, 220)]
    assert count([*TRAINING, (planted, True), *unrelated]) == (1, 21)


def test_unrelated_documents_are_not_counted():
    assert count([*TRAINING, *((text(seed), True) for seed in range(200, 230))]) == (0, 30)
    # Nor one that quotes a sentence, nor one whose twin is held out as well.
    quoting = text(3)[:12] + text(105)
    assert count([*TRAINING, (quoting, True), (text(106), True), (text(106)[1:], True)]) == (0, 3)


def test_two_texts_side_by_side_make_no_run_in_common(monkeypatch):
    """The end of one document and the beginning of the next are no text of their own."""
    monkeypatch.setattr(near_duplicates, "_FIRST_BOUND", (1 << 64) - 1)  # every run
    first, second = text(1, 100), text(2, 100)
    across = (first[-4:] + second[:4], True)
    assert count([(first, False), (second, False), across]) == (0, 1)
    assert count([(first + second, False), across]) == (1, 1)


def test_what_is_too_short_is_not_compared():
    assert count([*TRAINING, (text(3)[:4], True)]) == (0, 0)
    assert count([]) == (0, 0)
    assert count([(text(3), True)]) == (0, 1)


@pytest.mark.parametrize("most", [1 << 21, 2000, 300])
def test_order_does_not_matter_and_memory_is_bounded(most, monkeypatch):
    monkeypatch.setattr(near_duplicates, "MOST", most)
    monkeypatch.setattr(near_duplicates, "_BLOCK", 500)
    planted = [(changed_word_by_word(text(seed), 12), True) for seed in range(10)]
    documents = [*TRAINING, *planted, *((text(seed), True) for seed in range(200, 210))]
    expected = count(documents, size=len(documents))
    if most > 2000:
        assert expected == (10, 20)
    else:
        assert 0 < expected[0] <= 10 and expected[1] <= 20
    for seed in range(3):
        shuffled = random.Random(seed).sample(documents, len(documents))
        assert count(shuffled, size=5) == expected
    search = NearDuplicates()
    search.add((letters_of(" ".join(words)), held_out) for words, held_out in documents)
    search.count()
    assert max(search._training.size, search._held[0].size) <= most


def test_ledgers_add_up_whether_they_looked_or_not():
    looked = Ledger(near_duplicates=2, compared=30)
    assert (looked + Ledger()).near_duplicates == 2
    assert (looked + looked).compared == 60
    assert (Ledger() + Ledger()).near_duplicates is None
    old = {key: value for key, value in Ledger().to_dict().items() if key != "near_duplicates"}
    assert Ledger.from_dict(old) == Ledger()
    assert Ledger.from_dict(looked.to_dict()) == looked
    assert "2 of the 30 held-out documents" in "\n".join(looked.lines())
