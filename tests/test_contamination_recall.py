"""How much is found, and how much that is none, on real prose and items like the real ones.

The prose is Python's own manual (`pydoc_data`, in every CPython) and the demo's corpus: real texts
that repeat themselves as a textbook does. Its subject is another than that of most of the items,
which makes chance hits rarer than in a medical textbook; so the sentences of half of the demo's
corpus, which share subject and author with the other half, are among the items too.
"""

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from pydoc_data.topics import topics

import pytest
from items_like import NOISES, like_real_ones

from axolotl_cft.corpus.contamination import (
    BenchmarkItem,
    OverlapIndex,
    Verdict,
    planned_removal,
    search,
)
from axolotl_cft.corpus.readers import Field, open_corpus
from axolotl_cft.corpus.words import words_of

DEMO = Path(__file__).parents[1] / "axolotl_cft" / "demo" / "data" / "corpus.jsonl"


def manual() -> list[str]:
    """Some 500 sections of 1 to 2 kB."""
    sections: list[str] = []
    for text in topics.values():
        section = ""
        for paragraph in text.split("\n\n"):
            section += paragraph + "\n\n"
            if len(section) > 1000:
                sections.append(section)
                section = ""
    return sections


def sentences(texts: list[str]) -> list[BenchmarkItem]:
    found = (s for text in texts for s in re.split(r"(?<=[.?!])\s+", text) if len(s.split()) > 5)
    return [BenchmarkItem("book", number, sentence) for number, sentence in enumerate(found)]


@pytest.fixture(scope="module")
def corpus() -> list[str]:
    demo = [json.loads(line)["text"] for line in DEMO.open(encoding="utf-8")]
    return [*demo[::2], *manual()]


@pytest.fixture(scope="module")
def items(corpus: list[str]) -> list[BenchmarkItem]:
    demo = [json.loads(line)["text"] for line in DEMO.open(encoding="utf-8")]
    return [*like_real_ones(corpus, 2400), *sentences(demo[1::2])]


@pytest.fixture(scope="module")
def index(items: list[BenchmarkItem]) -> OverlapIndex:
    return OverlapIndex(items)


def verdict_on(texts: list[str], index: OverlapIndex, path: Path) -> Verdict:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    parts = open_corpus(str(path), Field())
    return search(parts, index, located=True)[0]


def test_a_corpus_that_holds_no_item_is_left_alone(
    corpus: list[str], items: list[BenchmarkItem], index: OverlapIndex, tmp_path: Path
) -> None:
    short = [item for item in items if len(words_of(item.question)) <= 3]
    assert len(items) > 2400 and len(short) > 60 and len(corpus) > 300
    verdict = verdict_on(corpus, index, tmp_path / "corpus.jsonl")
    assert len(verdict.documents) < 0.01 * len(corpus)
    assert planned_removal(verdict, "documents").share < 0.02
    # Without a lower bound, as up to version 0.1, it would be another matter.
    bare = [" ".join(words_of(item.question)) for item in short]
    spaced = [f" {' '.join(words_of(text))} " for text in corpus]
    assert sum(any(f" {words} " in text for words in bare) for text in spaced) > len(corpus) / 2


def plant(
    corpus: list[str], chosen: list[BenchmarkItem], noise: Callable[..., str] | None
) -> list[str]:
    """A corpus with an item in the middle of each of its first documents."""
    rng, texts = random.Random(1), list(corpus)
    while len(texts) < len(chosen):
        texts += corpus
    for place, item in enumerate(chosen):
        text = noise(item.question, rng) if noise else item.question
        middle = texts[place].find(" ", len(texts[place]) // 2)
        texts[place] = f"{texts[place][:middle]} {text} {texts[place][middle:]}"
    return texts


def test_every_item_planted_verbatim_is_found(
    corpus: list[str], items: list[BenchmarkItem], index: OverlapIndex, tmp_path: Path
) -> None:
    long = [item for item in items if len(words_of(item.question)) >= 8]
    chosen = random.Random(0).sample(long, 200)
    verdict = verdict_on(plant(corpus, chosen, None), index, tmp_path / "corpus.jsonl")
    assert {(item.task, item.number) for item in chosen} <= set(verdict.items)
    for place, item in enumerate(chosen):
        assert (item.task, item.number) in {
            (i.task, i.item) for i in verdict.documents[place].items
        }


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.__name__)
def test_long_items_planted_with_noise_are_found(
    noise: Callable[..., str],
    corpus: list[str],
    items: list[BenchmarkItem],
    index: OverlapIndex,
    tmp_path: Path,
) -> None:
    long = [item for item in items if len(words_of(item.question)) >= 20]
    chosen = random.Random(2).sample(long, 200)
    verdict = verdict_on(plant(corpus, chosen, noise), index, tmp_path / "corpus.jsonl")
    found = {(item.task, item.number) for item in chosen} & set(verdict.items)
    assert len(found) >= 0.9 * len(chosen)
    gone = [document for document in verdict.documents if document >= len(chosen)]
    assert len(gone) < 0.01 * len(corpus)
