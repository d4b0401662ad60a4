"""Is an LLM's answer usable as a contextual prompt, or as a text? (pure).

An answer is unwrapped (`unwrapping`) and then checked (`checks`); what is repaired by the one is
not complained of by the other.
"""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from axolotl_cft.generation.checks import (
    SHARED_WORDS,
    find_refusal,
    first_complaint,
)
from axolotl_cft.generation.form import holds_special_tokens
from axolotl_cft.generation.language import is_all_in_another_language
from axolotl_cft.generation.strategies import strategies_in
from axolotl_cft.generation.unwrapping import DOCUMENT, PASSAGE, drop_thinking, narrow, unwrap
from axolotl_cft.generation.wording import Answer, share_copied, shares_run

LONGEST = 16
"""Characters of an answer, wrappers included, for each token that a prompt may take."""

MIN_TEXT_WORDS = 50
"""An educational text shorter than this teaches nothing worth training on."""

MOST_COPIED = 0.8
"""A larger share of a text in runs of twelve words of its document makes it a copy of that: a
strategy may have passages quoted."""

ENDED_THINKING = "it ended inside its reasoning"
CUT_OFF = "it was cut off by the output limit"
TOO_LONG = "it is too long"

_OPEN_THINKING = re.compile(r"<(think|thinking|reasoning)>", re.IGNORECASE)


@dataclass(frozen=True)
class Reply:
    """What the endpoint returned for one request.

    Attributes:
        text: the message's content; empty where there was none.
        finish: the endpoint's `finish_reason`, or "refusal" where it flagged one itself.
        tokens_in: prompt tokens billed (0 where the endpoint does not say).
        tokens_out: completion tokens billed (0 where the endpoint does not say).
        model: the model that answered, as the endpoint names it.
    """

    text: str
    finish: str = "stop"
    tokens_in: int = 0
    tokens_out: int = 0
    model: str = ""


@dataclass(frozen=True)
class Verdict:
    """A cleaned answer and, where it cannot be used, the reason."""

    answer: str
    complaint: str | None = None


def judge_prompt(
    reply: Reply,
    *,
    instruction: str,
    text: str,
    count: Callable[[str], int],
    budget: int,
    special: Collection[str] = (),
) -> Verdict:
    """Judge an answer meant as the contextual prompt of `text`.

    Args:
        reply: what the endpoint returned.
        instruction: the words of the request other than `text`, for the leak check. Without the
            example of a learning strategy, which an answer may well resemble.
        text: what the prompt is for; a prompt that quotes it would give the targets away.
        count: tokens that a prompt takes in training, BOS and separator included.
        budget: the most tokens it may take (`cft.prompt_budget`).
        special: the special tokens of the tokenizer in training, besides the common ones.
    """
    thought = drop_thinking(reply.text).strip()
    if len(thought) > LONGEST * budget:  # no prompt, whatever it is wrapped in
        wanted = f"{TOO_LONG}: {len(thought)} characters where {budget} tokens are allowed"
        return Verdict(" ".join(thought.split()), _unusable(reply, thought) or wanted)
    raw = unwrap(reply.text)
    prompt = " ".join(raw.split())
    answer = Answer(narrow(raw), narrow(text), instruction, special)
    complaint = _unusable(reply, prompt) or first_complaint(answer)
    if complaint is None and (tokens := count(prompt)) > budget:
        complaint = f"{TOO_LONG}: {tokens} tokens where {budget} are allowed"
    return Verdict(prompt, complaint)


def judge_text(
    reply: Reply, *, instruction: str, question: str, options: Sequence[str] = ()
) -> Verdict:
    """Judge an answer meant as the educational text behind `question`; paragraphs are kept.

    Args:
        reply: what the endpoint returned.
        instruction: the words of the request other than the item's.
        question: what the text must not copy.
        options: answer options that were shown, which it must not copy either.
    """
    answer = Answer(unwrap(reply.text, PASSAGE))
    complaint = _unusable(reply, answer.plain)
    words = len(answer.words)  # a sign of Chinese is a word there
    if complaint is None and find_refusal(answer, within=200):
        complaint = "it is a refusal"
    if complaint is None and words < MIN_TEXT_WORDS:
        complaint = f"it is too short: {words} words where at least {MIN_TEXT_WORDS} are needed"
    elif complaint is None and shares_run(answer.words, instruction, SHARED_WORDS):
        complaint = "it repeats the instruction"
    elif complaint is None and shares_run(answer.words, question, SHARED_WORDS):
        complaint = f"it copies {SHARED_WORDS} or more consecutive words of the question"
    elif complaint is None and _copies_one(answer, options):
        complaint = f"it copies {SHARED_WORDS} or more consecutive words of an answer option"
    return Verdict(answer.raw, complaint or holds_special_tokens(answer))


def judge_strategies(reply: Reply) -> Verdict:
    """Judge an answer meant as strategies for studying a document; it is kept as it is."""
    answer = Answer(unwrap(reply.text, DOCUMENT))
    complaint = _unusable(reply, answer.plain)
    if complaint is None and not strategies_in(answer.raw):
        refused = find_refusal(answer, within=200)
        complaint = (
            "it is a refusal" if refused else "it names no strategies, each under a heading with ##"
        )
    return Verdict(answer.raw, complaint)


def judge_reading(reply: Reply, *, text: str, special: Collection[str] = ()) -> Verdict:
    """Judge an answer meant as what comes of studying `text`, in whatever form and length.

    Args:
        reply: what the endpoint returned.
        text: what was shown of the document.
        special: the special tokens of the tokenizer in training, besides the common ones.
    """
    answer = Answer(unwrap(reply.text, DOCUMENT), text, special=special)
    complaint = _unusable(reply, answer.plain)
    if complaint is None and find_refusal(answer, within=200):
        complaint = "it is a refusal"
    elif complaint is None and share_copied(answer.words, answer.text_words, SHARED_WORDS) > (
        MOST_COPIED
    ):
        complaint = "it copies the text"
    complaint = complaint or is_all_in_another_language(answer) or holds_special_tokens(answer)
    return Verdict(answer.raw, complaint)


def _copies_one(answer: Answer, sources: Sequence[str]) -> bool:
    return any(shares_run(answer.words, source, SHARED_WORDS) for source in sources)


def _unusable(reply: Reply, answer: str) -> str | None:
    """Complaints that hold for any kind of answer."""
    if reply.finish in ("refusal", "content_filter"):
        return "it was refused or filtered by the endpoint"
    if _OPEN_THINKING.search(answer) or (reply.finish == "length" and not answer):
        return ENDED_THINKING
    if not re.search(r"\w", answer):
        return "it is empty"
    return CUT_OFF if reply.finish == "length" else None
