"""How well the checks of a generated prompt tell labelled answers apart (tests/answers)."""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from axolotl_cft.corpus.language import prose_language
from axolotl_cft.generation import checks
from axolotl_cft.generation.instructions import TEXT_ADAPT_CFT
from axolotl_cft.generation.language import is_in_another_language
from axolotl_cft.generation.likeness import likeness_in_words, likeness_of
from axolotl_cft.generation.verdicts import Reply, Verdict, judge_prompt
from axolotl_cft.generation.wording import Answer

# Repaired by that rule, and yet no prompts: read by a person, once.
NOT_CLEAN = {
    "style: critical text: Doubt the averages and ask for the distribution.",
    "Supply shocks and how prices react",
}
ANSWERS = Path(__file__).parent / "answers"


def labelled(name: str) -> list[dict[str, Any]]:
    lines = (ANSWERS / f"{name}.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def judge(row: dict[str, Any]) -> Verdict:
    return judge_prompt(
        Reply(row["answer"]),
        instruction=TEXT_ADAPT_CFT,
        text=row.get("text", ""),
        count=lambda prompt: 1,
        budget=128,
    )


def is_right(row: dict[str, Any]) -> bool:
    """A good answer passes word for word; a bad one is refused, or repaired.

    Repaired means that a wrapper came off and what is left passes by itself, unchanged.
    """
    verdict, as_it_stood = judge(row), " ".join(row["answer"].split())
    if row["good"]:
        return verdict == Verdict(as_it_stood)
    repaired = verdict.answer != as_it_stood and verdict.answer not in NOT_CLEAN
    return verdict.complaint is not None or (
        repaired and judge({**row, "answer": verdict.answer}) == verdict
    )


def shares(rows: list[dict[str, Any]]) -> dict[bool, float]:
    """Good -> which share of such answers is judged rightly."""
    right = Counter(row["good"] for row in rows if is_right(row))
    return {good: right[good] / sum(row["good"] is good for row in rows) for good in (True, False)}


def test_answers_that_were_looked_at_are_judged_rightly():
    """All of the good ones. Nine of 1,841 bad ones pass, which no rule of form can tell: four
    continue their document or answer it, three belong to another, one is made of shuffled words,
    and one says what could be asked."""
    reached = shares(labelled("development"))
    assert reached[True] == 1.0
    assert reached[False] >= 1832 / 1841


def test_answers_that_no_check_was_fitted_to_are_mostly_judged_rightly():
    rows = labelled("held_out_3")
    assert Counter(row["good"] for row in rows) == {True: 166, False: 180}
    assert len({row["language"] for row in rows}) == 20
    assert min(shares(rows).values()) >= 0.95


def test_no_natural_prompt_is_rejected_or_changed():
    rows = [{**row, "good": True} for row in labelled("natural")]
    assert [row["answer"] for row in rows if not is_right(row)] == []


@pytest.mark.parametrize(
    "check",
    [
        checks.holds_special_tokens,
        checks.is_a_refusal,
        checks.is_an_error,
        checks.is_a_list,
        checks.speaks_about_the_task,
        checks.follows_a_preamble,
        checks.speaks_of_itself,
        checks.is_broken,
        checks.is_data,
        checks.is_marked_up,
        checks.holds_addresses,
        checks.has_paragraphs,
        checks.holds_placeholders,
        checks.is_no_sentence,
        checks.repeats_itself,
        checks.copies_the_text,
        checks.asks_nothing,
        checks.ends_early,
        checks.is_in_another_language,
    ],
)
def test_without_a_check_the_score_falls(monkeypatch, check):
    """The scores are computed: they depend on every one of these checks."""
    rows = labelled("development")
    caught = [row for row in rows if not row["good"] and is_right(row)]
    left = tuple(other for other in checks.CHECKS if other is not check)
    monkeypatch.setattr(checks.first_complaint, "__defaults__", (left,))
    assert not all(map(is_right, caught))


def language_complaint(answer: str, text: str) -> str | None:
    return is_in_another_language(Answer(answer, text))


def test_without_the_identifier_scripts_still_tell_languages_apart(monkeypatch):
    text = "Die Delegationen warteten wochenlang in der Stadt, und niemand ahnte das Ergebnis. " * 3
    english = "Pay attention to what each side gave up, and why."
    assert language_complaint(english, text)
    monkeypatch.setitem(sys.modules, "py3langid", None)  # as where it is not installed
    prose_language.cache_clear()
    assert language_complaint(english, text) is None
    assert language_complaint("请关注双方各自放弃了什么。", text)
    prose_language.cache_clear()


def test_code_has_no_language_of_its_own():
    code = "def median(values):\n    n = len(values)\n    return sorted(values)[n // 2]\n" * 5
    for prompt in ("Ask what happens to an empty list.", "Frage dich, was hier geschieht."):
        assert language_complaint(prompt, code) is None


@pytest.mark.parametrize(
    "text",
    [
        "Anna Müller\nPeter Schmidt\nJean-Luc Dubois\nGiovanni Rossi\nErik Svensson\n" * 12,
        "Quercus robur\nFagus sylvatica\nPinus sylvestris\nAcer pseudoplatanus\n" * 12,
        "watashi wa mainichi gakkou ni ikimasu. sensei wa totemo shinsetsu desu. " * 6,
        "Gallia est omnis divisa in partes tres. Unam incolunt Belgae, aliam Aquitani. " * 6,
        "a\u0301" * 300,
    ],
)
def test_what_is_no_prose_of_a_well_known_language_has_none(text):
    for prompt in (
        "Focus on how the parts fit together, and ask yourself why they stand in this order.",
        "Pay attention to the recurring patterns and consider what they reveal about the whole.",
    ):
        assert language_complaint(prompt, text) is None


def test_special_tokens_of_the_tokenizer_are_refused():
    reply = Reply("Follow the proton <proof> to the end of the reaction.")
    facts = {"instruction": "", "text": "", "count": lambda prompt: 1, "budget": 128}
    assert judge_prompt(reply, **facts).complaint is None
    told = judge_prompt(reply, **facts, special=["<proof>"]).complaint
    assert told == "it holds the special token <proof>"


@pytest.mark.parametrize(
    ("prompts", "said"),
    [
        (["Follow the money."] * 19, None),
        ([f"Read section {i} twice: why {i}?" for i in range(30)], None),
        (["Follow the money!", "follow the money"] * 15, "Only 3% of the 30 prompts are distinct"),
        ([f"Focus on the main {i}." for i in range(30)], "100% of the 30 prompts begin alike"),
    ],
)
def test_prompts_that_are_all_alike_are_said(prompts, said):
    words = likeness_in_words(likeness_of(prompts))
    assert words is None if said is None else said in str(words)
