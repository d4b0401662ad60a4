"""The `cft:` block as data: defaults, bounds, and what a plan does with a document."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from axolotl_cft.core.choice import Document, FromColumn, FromPool, NoPrompts
from axolotl_cft.core.options import CFTArgs, CFTConfig, DatasetOptions, Plan
from axolotl_cft.core.pool import Prompt, PromptPool
from axolotl_cft.core.sampling import is_dropped, letters_of, text_key

POOL = PromptPool("mine", "", tuple(Prompt(f"p{i}", f"Prompt {i}.") for i in range(5)), {})


def plan(part="train", holdout=0.0, source=None, **options):
    resolved = DatasetOptions(seed=options.pop("seed", 1), **options)
    return Plan("corpus", part, resolved, holdout, source or FromPool(POOL, "mine"), "stamp")


def document(index, dataset="corpus", number=1):
    return Document(dataset, number, text_key(f"text {index}"), {})


def test_defaults_are_the_papers():
    options = CFTConfig()
    assert (options.prompts, options.format, options.views) == ("paper", "plain", 1)
    assert (options.dropout, options.holdout, options.seed) == (0.0, 0.0, None)
    assert CFTArgs().cft is None


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("views", 0),
        ("prompt_budget", 0),
        ("dropout", 1.0),
        ("dropout", -0.1),
        ("holdout", 1.0),
        ("format", "html"),
        ("place", "assistant"),
        ("prompts", ""),
        ("prompts", None),
        ("prompts", {"column": ""}),
        ("prompts", {"function": "f", "column": "c"}),
        ("promts", "paper"),
    ],
)
def test_what_makes_no_sense_is_refused(option, value):
    with pytest.raises(ValidationError) as caught:
        CFTConfig(**{option: value})
    assert caught.value.errors()[0]["loc"][0] == option


def test_a_dataset_cannot_hold_out_for_itself():
    with pytest.raises(ValidationError, match="holdout"):
        DatasetOptions(holdout=0.1)


def test_prompts_may_be_a_name_a_column_or_a_function():
    assert CFTConfig(prompts="mine").prompts == "mine"
    assert CFTConfig(prompts={"column": "c"}).prompts.column == "c"
    assert CFTConfig(prompts={"function": "f"}).prompts.function == "f"


def test_each_document_belongs_to_one_part_and_all_to_both_without_a_holdout():
    for held_out in (True, False):
        assert plan().takes(held_out) and plan(part="test").takes(held_out)
        takers = [part for part in ("train", "test") if plan(part, holdout=0.1).takes(held_out)]
        assert takers == ["test" if held_out else "train"]


def holds_out(text, holdout=0.5, holdout_by=None, **values):
    return replace(plan(holdout=holdout), holdout_by=holdout_by).holds_out(
        text, letters_of(text), values
    )


def test_a_document_is_held_out_by_its_letters_or_by_its_column():
    texts = [f"Text number {i}." for i in range(200)]
    own = [holds_out(text) for text in texts]
    assert 60 < sum(own) < 140
    assert [holds_out(text.upper() + "!") for text in texts] == own
    assert not any(holds_out(text, holdout=0.0) for text in texts)
    for journal in ("A", "B", "C", 7):
        sides = {holds_out(text, holdout_by="journal", journal=journal) for text in texts}
        assert len(sides) == 1
    for unknown in ({}, {"journal": None}, {"journal": ""}):
        assert [holds_out(text, holdout_by="journal", **unknown) for text in texts] == own


def test_the_column_that_holds_out_is_wanted_beside_the_prompts_own():
    own = {"p", "p_cut", "p_shown"}
    assert plan(source=FromColumn("p")).columns == own
    assert replace(plan(source=FromColumn("p")), holdout_by="journal").columns == own | {"journal"}
    assert replace(plan(source=NoPrompts()), holdout_by="journal").columns == {"journal"}


@given(st.integers(), st.integers(0, 50), st.integers(1, 5), st.integers(0, 9))
def test_choices_depend_on_seed_text_and_chunk_alone(index, chunk, views, seed):
    chosen = plan(views=views, seed=seed).choose(document(index), chunk)
    elsewhere = document(index, dataset="other", number=99)
    assert plan(part="test", views=views, seed=seed).choose(elsewhere, chunk) == chosen
    assert len(chosen) == views == len(set(chosen))
    assert plan(seed=seed).choose(document(index), chunk) == chosen[:1]


def test_dropout_drops_its_share_and_leaves_the_others_as_they_are():
    every = [plan(views=2).choose(document(i), 0) for i in range(500)]
    some = [plan(views=2, dropout=0.3).choose(document(i), 0) for i in range(500)]
    pairs = [pair for a, b in zip(every, some, strict=True) for pair in zip(a, b, strict=True)]
    assert all(after in (before, None) for before, after in pairs)
    assert 230 < sum(after is None for _, after in pairs) < 370  # 300 expected of 1000
    dropped = [is_dropped(1, document(i).key, 0, 1, 0.3) for i in range(500)]
    assert [views[1] is None for views in some] == dropped


def test_without_prompts_every_view_goes_without():
    assert plan(source=NoPrompts(), views=3).choose(document(0), 0) == [None] * 3
