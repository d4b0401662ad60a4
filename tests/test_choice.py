"""Sources of prompts: each says what it is and what it needs, and offers one for every view."""

import re
from collections import Counter
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from axolotl_cft.core.choice import Document, FromColumn, FromFunction, FromPool, NoPrompts
from axolotl_cft.core.cuts import Cut
from axolotl_cft.core.pool import Prompt, PromptFunction, PromptPool
from axolotl_cft.core.sampling import text_key
from axolotl_cft.errors import CFTError


def document(text="a text", number=3, **values):
    return Document("corpus", number, text_key(text), values)


def pool(*texts, **fields):
    prompts = tuple(Prompt(f"p{i}", text) for i, text in enumerate(texts))
    return PromptPool("mine", "", prompts, fields.pop("defaults", {}), **fields)


def function(answer, **fields):
    return FromFunction(PromptFunction(answer, "v1", package="acme", **fields), "give")


PLAIN = FromPool(pool("One.", "Two.", "Three."), "mine.yaml")
ABOUT = FromPool(pool("About {topic}.", "Fixed.", defaults={"level": "low"}), "mine")


@pytest.mark.parametrize(
    ("source", "name", "label", "columns", "gives", "offers_one"),
    [
        (NoPrompts(), "none", "none", frozenset(), False, True),
        (PLAIN, "mine.yaml", "pool mine", frozenset(), True, False),
        (ABOUT, "mine", "pool mine", {"topic"}, True, False),
        (FromPool(pool("One."), "mine"), "mine", "pool mine", frozenset(), True, True),
        (FromColumn("p"), "column p", "column p", {"p", "p_cut", "p_shown"}, True, True),
        (function(str), "function give", "function give", None, True, False),
        (
            function(str, columns=frozenset("x")),
            "function give",
            "function give",
            {"x"},
            True,
            False,
        ),
    ],
)
def test_a_source_describes_itself(source, name, label, columns, gives, offers_one):
    assert (source.name, source.label, source.columns) == (name, label, columns)
    assert (source.gives_prompts, source.offers_one) == (gives, offers_one)


def test_identities_follow_content_and_not_names():
    sources = [
        NoPrompts(),
        PLAIN,
        ABOUT,
        FromColumn("p"),
        FromColumn("q"),
        function(str),
        FromFunction(PromptFunction(str, "v2"), "give"),
    ]
    identities = [str(source.identity) for source in sources]
    assert len(set(identities)) == len(identities)
    assert FromPool(pool("One.", "Two.", "Three."), "elsewhere").identity == PLAIN.identity
    renamed = FromFunction(PromptFunction(repr, "v1", package="other"), "another")
    assert renamed.identity == function(str).identity  # its author vouches for the fingerprint


def test_only_prompts_without_columns_are_known_beforehand():
    assert PLAIN.known == {"p0": "One.", "p1": "Two.", "p2": "Three."}
    assert ABOUT.known == {"p1": "Fixed."}
    assert NoPrompts().known == FromColumn("p").known == function(str).known == {}


def test_nothing_is_offered_for_each_view():
    assert NoPrompts().offer(document(), 0, seed=1, views=3) == [None] * 3


def test_a_pool_offers_its_prompts_by_text_chunk_and_seed_alone():
    offered = PLAIN.offer(document(), 0, seed=1, views=3)
    assert dict(offered) == PLAIN.known
    assert PLAIN.offer(document(number=9, other="x"), 0, seed=1, views=3) == offered
    texts = [f"text {i}" for i in range(20)]

    def all_of(texts, chunk=0, seed=1):
        return [PLAIN.offer(document(text), chunk, seed, views=3) for text in texts]

    every = [all_of(texts), all_of(texts, seed=2), all_of(texts, chunk=1), all_of(texts[::-1])]
    assert all(a != b for a, b in combinations(every, 2))


def test_weights_of_a_pool_count():
    prompts = (Prompt("rare", "a", weight=1.0), Prompt("often", "b", weight=3.0))
    source = FromPool(PromptPool("mine", "", prompts, {}), "mine")
    drawn = Counter(source.offer(document(f"{i}"), 0, 1, 1)[0][0] for i in range(2000))
    assert 1400 < drawn["often"] < 1600


def test_columns_are_filled_in_with_the_defaults_behind_them():
    source = FromPool(pool("About {topic}, {level}.", defaults={"level": "low"}), "mine")
    (choice,) = source.offer(document(topic="{level}", level=None), 0, 1, 1)
    assert choice == ("p0", "About {level}, low.")
    assert source.offer(document(topic=3, level=""), 0, 1, 1) == [("p0", "About 3, .")]
    with pytest.raises(CFTError, match="document 3 has no value for 'topic', which prompt 'p0' of"):
        source.offer(document(topic=None), 0, 1, 1)


def test_a_column_offers_the_rows_own_prompt():
    source = FromColumn("p")
    assert source.offer(document(p="Think."), 5, seed=1, views=2) == [("p", "Think.")] * 2
    for empty in ({}, {"p": None}, {"p": " \n"}, {"p": 3}):
        with pytest.raises(CFTError, match="corpus: document 3 has no prompt in column 'p'"):
            source.offer(document(**empty), 0, 1, 1)


def test_a_column_with_a_list_offers_each_chunk_its_own_prompt_in_every_view():
    cut = Cut(text_key("a text"), np.arange(30, dtype=np.int32), 12)
    listed = replace(document(p=["One.", None, "Three."], p_cut=cut.digest), cut=cut)
    offered = [FromColumn("p").offer(listed, chunk, seed=1, views=2) for chunk in range(3)]
    assert offered == [[("p", "One.")] * 2, [None] * 2, [("p", "Three.")] * 2]
    for wrong in (" ", 3, ["a"]):
        values = {"p": [wrong, None, None], "p_cut": cut.digest}
        with pytest.raises(CFTError, match="document 3 has no prompt in column 'p'"):
            FromColumn("p").offer(replace(listed, values=values), 0, seed=1, views=1)


@pytest.mark.parametrize(
    ("written", "share"), [(0.5, 0.5), (1.0, 1.0), (None, None), (1.5, None), ("x", None)]
)
def test_a_column_says_how_much_of_a_text_its_writer_saw(written, share):
    assert FromColumn("p").share_shown(document(p="Think.", p_shown=written)) == share
    assert FromColumn("p").share_shown(document(p="Think.")) is None
    assert PLAIN.share_shown(document(p_shown=0.5)) is None


def test_a_function_is_told_row_seed_chunk_and_view():
    def give(row, seed, chunk, view):
        return None if view == 1 else f"{row['x']} {seed} {chunk} {view}"

    offered = function(give).offer(document(x="row"), 4, seed=7, views=3)
    assert offered == [("function give", "row 7 4 0"), None, ("function give", "row 7 4 2")]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda *_: 1 / 0, "raised ZeroDivisionError: division by zero"),
        (lambda *_: "  ", "returned '  '; a prompt is a text, or None for none"),
        (lambda *_: 7, "returned 7; a prompt is a text"),
    ],
)
def test_a_function_that_fails_is_named_with_its_package(answer, message):
    with pytest.raises(CFTError) as caught:
        function(answer).offer(document(), 0, 1, 1)
    assert str(caught.value).startswith("package acme: function give, document 3 of corpus: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (ABOUT, "no column 'topic', which a prompt of mine names; add the column, or a value"),
        (FromColumn("p"), "no column 'p'; set `cft.prompts.column` to one of text, level"),
        (
            function(str, columns=frozenset({"x"})),
            "no column 'x', which function give of package acme reads; add the column",
        ),
    ],
)
def test_missing_columns_are_named_with_the_mend(source, message):
    with pytest.raises(CFTError, match="^dataset corpus has " + re.escape(message)):
        source.check_columns(["text", "level"], "corpus")
    source.check_columns(["text", "topic", "p", "x"], "corpus")


def test_what_needs_no_column_takes_any_data():
    defaulted = FromPool(pool("{level}", defaults={"level": "low"}), "mine")
    for source in (NoPrompts(), PLAIN, defaulted, function(str)):
        source.check_columns([], "corpus")
