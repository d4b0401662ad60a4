"""The checks of an answer that is to stand before a text, one function each (pure).

Each takes an `Answer` and returns what is wrong, or None. A complaint is one clause in plain words:
it is told to the model when it is asked again, and stands in the rejects file; so it speaks of the
answer alone, and not of what the user could do. Those of its form are in `form`.
"""

import re
from collections.abc import Callable, Sequence

from axolotl_cft.generation.asking import (
    asks_nothing,
    asks_plainly,
    follows_a_preamble,
    holds_a_note,
    tells_of_readers,
)
from axolotl_cft.generation.closings import FOR_A_LEADER, HOPES, OFFERS, REMARKS
from axolotl_cft.generation.form import (
    ends_early,
    has_many_sentences,
    has_paragraphs,
    holds_addresses,
    holds_placeholders,
    holds_special_tokens,
    is_a_list,
    is_broken,
    is_data,
    is_marked_up,
    repeats_itself,
)
from axolotl_cft.generation.language import is_in_another_language
from axolotl_cft.generation.patterns import Phrases, one_of
from axolotl_cft.generation.phrases import (
    FIRST_PERSON,
    LABELS,
    LATER_LABELS,
    REFUSALS,
    TASK_TALK,
    WISHES,
)
from axolotl_cft.generation.wording import SIGN, Answer, shares_run, stretch

SHARED_WORDS = 12
"""An answer repeats its source if this many consecutive words of it appear there too."""

MOSTLY = 0.6
"""A shorter copy counts where it is more than this share of the answer, and five words or more."""

_REFUSAL, _TASK_TALK = Phrases(REFUSALS), Phrases(TASK_TALK, OFFERS, HOPES, REMARKS, FOR_A_LEADER)
_FIRST_PERSON, _WISH = Phrases(FIRST_PERSON), Phrases(WISHES)
_I = re.compile(
    r"(?:^\W*|[,—–(] ?|\b(?:[Tt]hat|[Bb]ut|and|[Ss]o|because|as|[Ii]f|[Ss]ince|[Ww]hile|then|what"
    r"|than) )(?:I|i(?='))(?:'\w+)? (?!,)|\b[Ii]'(?:m|ve|ll|d)\b|^\W*(?:[Tt]hat|[Tt]his|[Yy]our"
    r"|[Tt]he) request\b"
)
# A narrator, who is quoted without marks, says it.
_REPORTS = re.compile(
    r"\b(?:says?|tells?|writes?|claims?|insists?|admits?|announces?|begins?|confess\w*)\b"
)
_POLISH = re.compile(r"[ąęłńśźż].*\bich\b|\bich\b.*[ąęłńśźż]")
_ACRONYM = re.compile(r"\b[A-Z]{2,}\b")  # ICH is a hemorrhage, and IK kinematics


def is_a_refusal(answer: Answer) -> str | None:
    """The speaker cannot, is sorry, is a machine, or has seen no text."""
    return "it is a refusal" if _REFUSAL.found(answer.heard, answer.begins) else None


def speaks_of_itself(answer: Answer) -> str | None:
    """A prompt speaks to a reader of a text; one who says "I" is answering somebody else."""
    if _POLISH.search(answer.heard):  # where "ich" is "their"
        answer = Answer(re.sub(r"\bich\b", "…", answer.raw))
    english = answer.language in (None, "en") and re.search(r"\b[Ii]\b", answer.said)
    if not english and not _FIRST_PERSON.found(answer.heard, answer.begins):
        return None
    for sentence in answer.sentences:
        whole = _ACRONYM.sub("…", sentence)
        before, colon, _ = whole.partition(":")
        spoken = before if colon and len(before) > 10 else whole
        heard = spoken.lower()
        if "?" in sentence or "؟" in sentence or _WISH.found(heard) or _REPORTS.search(heard):
            continue
        if (english and _I.search(spoken)) or _FIRST_PERSON.found(heard):
            return "it speaks of itself"
    return None


_ERROR = re.compile(
    r"\W*(?:(?:[\w.]*(?:error|exception)|fehler|erreur|ошибка|warning"
    r"|traceback)(?:\scode)?\s?\d*\s?[:(\[]"
    r"|http\S*\s[45]\d\d\b|[45]\d\d\W+(?:error|internal|bad|not found|too many|service|forbidden"
    r"|unauthori[sz]ed|gateway)|错误[:]|エラー|오류|خطأ:)"
    r"|(?:an? )?(?:\w+ ){0,2}(?:internal server error|bad gateway|service unavailable"
    r"|gateway time-?out|too many requests"
    r"|rate limit|(?:connection|request|read|model) (?:timed out|refused|not found|overloaded"
    r"|is overloaded|failed)"
    r"|.*\b(?:try again later|please try again|(?:error (?:has )?occurred)|retry (?:after|in) \d)"
    r"|(?:\w+ ){0,2}out of memory|upstream|(?:the |this )?(?:server|model|service|endpoint"
    r"|api) (?:is|was|has)\b.{0,20}"
    r"(?:overloaded|unavailable|not found|not ready|down|timed out)"
    r"|.*\bexceeded (?:your|the) (?:\w+ )?(?:quota|limit)|(?:quota|context length|token limit"
    r"|maximum context)\b[^.]{0,30}exceed|(?:invalid|missing|incorrect) api)",
    re.IGNORECASE,
)


def is_an_error(answer: Answer) -> str | None:
    """A server's message that came as an answer."""
    return "it is an error message" if _ERROR.match(answer.plain) else None


# At the start of a line or a sentence, with the answer before it.
_REMARK = re.compile(
    rf"(?:^|(?<=\S)(?:\n\s*|[.!?。]\s+|\s\())\W*(?:(?<=\W)(?:{one_of(LATER_LABELS)})"
    rf"|{one_of(LABELS)})\W{{0,3}}:",
    re.IGNORECASE,
)
# "(Critical thinking)" before it or after it: the name of a strategy, or a note.
_ASIDE = re.compile(
    r"^\([^()]{3,40}\)\s+[A-Z]|[.!?。]\s*[(\[][^()\[\].!?]{2,60}[)\]]$|[.!?。]\s*[(\[][^()\[\]]{1,30}:[^()\[\]]*[)\]]$"
)
_OUR_TAGS = re.compile(r"</?(?:text|question|answer|strategy)>")


def speaks_about_the_task(answer: Answer) -> str | None:
    """A remark about the prompt, reasoning about how to write it, or the request itself."""
    own = (
        _TASK_TALK.found(answer.heard, answer.begins)
        or _REMARK.search(answer.raw)
        or _ASIDE.search(answer.plain)
        or _OUR_TAGS.search(answer.plain)
        or tells_of_readers(answer)
        or holds_a_note(answer)
        or shares_run(answer.words, answer.instruction, SHARED_WORDS)
    )
    return "it repeats the instruction or speaks about the task" if own else None


def copies_the_text(answer: Answer) -> str | None:
    """A prompt that quotes its text gives the targets away."""
    words = answer.words
    if shares_run(words, answer.text, SHARED_WORDS):
        return f"it copies {SHARED_WORDS} or more consecutive words of the text"
    most = max(5, round(MOSTLY * len(words) / stretch(words)))
    return "it copies the text" if shares_run(words, answer.text, most) else None


_NO_VOWELS = re.compile(r"\b[bcdfghjklmnpqrstvwxz]{3,}\b")
_CONSONANTS = re.compile(r"[bcdfghjklmnpqrstvwxz]{4}")


def is_no_sentence(answer: Answer) -> str | None:
    """`null`, `N/A`, `TODO`, a title: a word or two tell nobody how to read."""
    words = [word for word in answer.plain.split() if any(map(str.isalpha, word))]
    short = len(words) == 2 and answer.plain.endswith((".", "?")) and asks_plainly(answer)
    signs = len(SIGN.findall(answer.plain))
    asked = signs > 2 and answer.plain.endswith("?")
    enough = len(words) > 2 or signs > 4 or short or asked
    long = [word.strip("\"'“”«»()[],:") for word in words if len(word) > 3]
    title = len(long) > 2 and all(word.istitle() for word in long) and answer.plain[-1].isalnum()
    amount = max(len(words), len(SIGN.findall(answer.plain)))  # a Chinese sentence is one "word"
    typed = len(_NO_VOWELS.findall(answer.said)) > 0.2 * amount
    gibberish = typed or len(_CONSONANTS.findall(answer.said)) > 0.6 * amount
    return None if enough and not title and not gibberish else "it is no sentence"


Check = Callable[[Answer], str | None]

CHECKS: tuple[Check, ...] = (
    holds_special_tokens,
    is_broken,
    is_a_refusal,
    is_an_error,
    is_data,
    is_a_list,
    speaks_about_the_task,
    follows_a_preamble,
    speaks_of_itself,
    is_marked_up,
    holds_addresses,
    holds_placeholders,
    is_no_sentence,
    has_paragraphs,
    has_many_sentences,
    repeats_itself,
    copies_the_text,
    asks_nothing,
    ends_early,
    is_in_another_language,
)
"""In the order in which they are tried; the first complaint is the one that is told."""


def first_complaint(answer: Answer, checks: Sequence[Check] = CHECKS) -> str | None:
    """What the first check that complains says."""
    return next((found for check in checks if (found := check(answer))), None)


def find_refusal(answer: Answer, within: int) -> bool:
    """Whether so many characters at its beginning hold a refusal."""
    begins = [begin for begin in answer.begins if begin < within]
    return _REFUSAL.found(answer.heard[:within], begins)
