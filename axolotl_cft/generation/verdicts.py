"""Is an LLM's answer usable as a contextual prompt, or as a text? (pure, stdlib only).

A complaint is one clause in plain words. It is told to the model when it is asked again, and stands
in the rejects file when it never gave a usable answer; so it speaks of the answer alone, and not of
what the user could do.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from axolotl_cft.generation.sentences import count_sentences

MAX_SENTENCES = 5
"""A contextual prompt is one to a few sentences (the paper's have two or three)."""

SHARED_WORDS = 12
"""An answer repeats its source if this many consecutive words of it appear there too."""

MIN_TEXT_WORDS = 50
"""An educational text shorter than this teaches nothing worth training on."""

ENDED_THINKING = "it ended inside its reasoning"
CUT_OFF = "it was cut off by the output limit"

_THINKING = re.compile(r"<(think|thinking|reasoning)>.*?</\1>", re.DOTALL | re.IGNORECASE)
_OPEN_THINKING = re.compile(r"<(think|thinking|reasoning)>", re.IGNORECASE)
_LABEL = re.compile(
    r"^\W*(?:(?:sure|certainly|of course|okay)\b[^\n:]{0,80}[:!.]\s*)?"
    r"(?:here(?:'s| is)\b[^\n:]{0,80}:\s*)?\W*(?:contextual\s+)?prompt\W*:\W*|"
    r"^(?:(?:sure|certainly|of course|okay)[,!.]*\s+)?here(?:'s| is)\b[^\n:]{0,80}:\s*",
    re.IGNORECASE,
)
# At the start of a clause, so that a reader may well be told of somebody's "I'm sorry".
_REFUSAL = re.compile(
    r"(?:^|[.,:;!?]\s+|\b(?:but|so|and|unfortunately)\s+)(?:"
    r"i(?:'m| am) (?:very |so |really )?sorry|(?:i |we )?apologi[sz]e|sorry,? but|"
    r"i (?:can't|cannot|can not|won't|will not) (?:help|assist|provide|create|generate|write|"
    r"fulfil|comply|answer|do|discuss|produce|offer|give|engage|continue|process|see|access)|"
    r"i(?:'m| am) (?:not able|unable|not comfortable)|i must (?:decline|refuse)|"
    r"as an? (?:ai|artificial intelligence|(?:large )?language model|assistant)\b|"
    r"[^.]{0,40}(?:against|violates?) (?:my|our|the|openai's) (?:\w+ )?(?:guidelines|polic))",
    re.IGNORECASE,
)
# A prompt speaks to a reader about a text; these speak about the task of writing it.
_ABOUT_THE_TASK = re.compile(
    r"contextual prompt|<\/?(?:text|question|answer|strategy)>|learning strategy named|"
    r"previous answer was",
    re.IGNORECASE,
)
_WORD = re.compile(r"\w+")
_LIST = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+\S", re.MULTILINE)
_QUOTES = {'"': '"', "“": "”", "'": "'", "«": "»", "‘": "’", "**": "**", "*": "*"}


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


def strip_wrapping(text: str) -> str:
    """Remove what models put around an answer: closed thinking blocks, a label, paired quotes."""
    text = _THINKING.sub("", text).strip()
    text = _LABEL.sub("", text, count=1).strip()
    for opening, closing in _QUOTES.items():
        inner = text[len(opening) : len(text) - len(closing)]
        paired = text.startswith(opening) and text.endswith(closing)
        if paired and len(text) > len(opening) + len(closing) and opening not in inner:
            text = inner.strip()
    return text


def judge_prompt(
    reply: Reply, *, instruction: str, text: str, count: Callable[[str], int], budget: int
) -> Verdict:
    """Judge an answer meant as the contextual prompt of `text`.

    Args:
        reply: what the endpoint returned.
        instruction: the words of the request other than `text`, for the leak check.
        text: what the prompt is for; a prompt that quotes it would give the targets away.
        count: tokens that a prompt takes in training, BOS and separator included.
        budget: the most tokens it may take (`cft.prompt_budget`).
    """
    raw = strip_wrapping(reply.text)
    answer = " ".join(raw.split())
    complaint = _unusable(reply, answer)
    if complaint is None and _LIST.search(raw):
        complaint = "it is a list and not one to a few sentences"
    elif complaint is None and (sentences := count_sentences(answer)) > MAX_SENTENCES:
        complaint = f"it has {sentences} sentences and at most {MAX_SENTENCES} are allowed"
    elif complaint is None and (_ABOUT_THE_TASK.search(answer) or _repeats(answer, instruction)):
        complaint = "it repeats the instruction or speaks about the task"
    elif complaint is None and _repeats(answer, text):
        complaint = f"it copies {SHARED_WORDS} or more consecutive words of the text"
    elif complaint is None and (tokens := count(answer)) > budget:
        complaint = f"it is too long: {tokens} tokens where {budget} are allowed"
    return Verdict(answer, complaint)


def judge_text(reply: Reply, *, instruction: str, question: str) -> Verdict:
    """Judge an answer meant as the educational text behind `question`; paragraphs are kept."""
    answer = strip_wrapping(reply.text)
    complaint = _unusable(reply, answer)
    words = len(answer.split())
    if complaint is None and words < MIN_TEXT_WORDS:
        complaint = f"it is too short: {words} words where at least {MIN_TEXT_WORDS} are needed"
    elif complaint is None and _repeats(answer, instruction):
        complaint = "it repeats the instruction"
    elif complaint is None and _repeats(answer, question):
        complaint = f"it copies {SHARED_WORDS} or more consecutive words of the question"
    return Verdict(answer, complaint)


def _unusable(reply: Reply, answer: str) -> str | None:
    """Complaints that hold for any kind of answer."""
    if reply.finish in ("refusal", "content_filter"):
        return "it was refused or filtered by the endpoint"
    if _OPEN_THINKING.search(answer) or (reply.finish == "length" and not answer):
        return ENDED_THINKING
    if not re.search(r"\w", answer):
        return "it is empty"
    if reply.finish == "length":
        return CUT_OFF
    if _REFUSAL.search(answer[:200].replace("’", "'")):
        return "it is a refusal"
    return None


def _repeats(answer: str, source: str) -> bool:
    """Whether `SHARED_WORDS` consecutive words of `answer` stand in `source`; case is ignored."""
    words = _WORD.findall(answer.lower())
    runs = (words[i : i + SHARED_WORDS] for i in range(len(words) - SHARED_WORDS + 1))
    haystack = f" {' '.join(_WORD.findall(source.lower()))} "
    return any(f" {' '.join(run)} " in haystack for run in runs)
