"""Does an answer ask anything of its reader? A summary, a title or an exercise's solution does not.

Asked is a question, an instruction (by the verb that begins a clause, or by its form), or anything
that is put to "you". In English an answer without any of these is refused; elsewhere only if it
also begins like a statement, since more forms of a verb can begin an instruction there.
"""

import re
from collections.abc import Sequence

from axolotl_cft.generation.appeals import (
    ANNOUNCEMENTS,
    APPEALS,
    FOLLOWERS,
    REPLIES,
    SOFTENERS,
    STATEMENTS,
    VERBS,
)
from axolotl_cft.generation.closings import READERS
from axolotl_cft.generation.language import likeliest
from axolotl_cft.generation.patterns import Phrases
from axolotl_cft.generation.wording import Answer

_NO_APPEAL = "it asks nothing of its reader"
_REPLIES = "it answers a question and asks nothing of its reader"

_READER = re.compile(READERS)
_ANNOUNCED = re.compile(ANNOUNCEMENTS)
# Where a text asks for advice, "you can …" gives it, and nobody is told how to read.
_OWN_QUESTION = re.compile(r"\b(?:I|[Mm]y|me)\b[^?]*\?|\?.*\b(?:I|[Mm]y|me)\b", re.DOTALL)
# "Baikal: a fragile balance" names what the text is about, whatever stands after the colon.
_TITLE = re.compile(r"[^:.!?]{3,60}: [^:.!?]{3,80}\w")
_NOTE = re.compile(r"\W*([^\W\d_]{4,20}(?: [^\W\d_]{2,20})?)\s?: ")
_TO_THE_ASKER = re.compile(r"\b(?:you|your|yours)\b")
_HANDS_OVER = re.compile(r"(?i)\bprompts?\b|\b(?:this|following|go|one|it|option|possibility)$")
_REPLY = re.compile(REPLIES)
_APPEAL = {language: Phrases({language: lines}) for language, lines in APPEALS.items()}
_STATEMENT = {language: frozenset(words.split()) for language, words in STATEMENTS.items()}
_VERBS, _FOLLOWERS = frozenset(VERBS.split()), frozenset(FOLLOWERS.split())
_SOFTENERS = frozenset(SOFTENERS.split())

_INFLECTED = re.compile(r"(?:[^s]s|ing|ed)$")
_CLAUSE = re.compile(r"[^\w\s'-]+|\s-\s")
_STATES = frozenset(("is", "are", "was", "were", "has", "had", "may", "can", "will"))
_VERBS_WITH_OF = frozenset(("think", "beware", "ask", "make", "conceive", "speak", "hear", "learn"))
_VOWELS = re.compile("[\u064b-\u0652]")  # of Arabic, and the doubling of its letters
_BY_SCRIPT = {
    "CJK": "zh",
    "KANA": "ja",
    "HANGUL": "ko",
    "CYRILLIC": "ru",
    "ARABIC": "ar",
    "DEVANAGARI": "hi",
}
# Letters and words of other languages in these scripts.
_UKRAINIAN = re.compile(r"^[^ыэъёўћђљњј]*[іїєґ][^ыэъёўћђљњј]*$")
_NOT_THAT = re.compile(r"[پچژگکیہںےіїєґћђљњјўқғүұөһ]|(?<!\S)(?:आहे|छ|छन्|आहेत)(?!\w)")


def asks_nothing(answer: Answer) -> str | None:
    """Statements alone, or the answer to what the text asks."""
    heard = answer.heard
    if re.search("[?؟]", heard):
        return _REPLIES if _answers_itself(answer) else None
    language = _language(answer)
    if language not in _APPEAL:
        return None
    if reply := _REPLY.match(heard):
        rest = heard[reply.end() :]
        return None if language == "en" and _instructs(rest, answer) else _REPLIES
    if language == "en" and _instructs(heard, answer):
        return None
    if _TITLE.fullmatch(heard):
        heard = heard.partition(":")[0]
    if language == "en":
        heard = _ANNOUNCED.sub("…", heard)
        if _OWN_QUESTION.search(answer.text):
            heard = _TO_THE_ASKER.sub("…", heard)
    spelled = _VOWELS.sub("", heard) if language == "ar" else heard
    if _APPEAL[language].found(spelled, answer.begins) or not _states(answer, language):
        return None
    return _NO_APPEAL


def _answers_itself(answer: Answer) -> bool:
    """Whether an English question is followed by its answer: "What is X? X is …"."""
    question, _, rest = answer.heard.rpartition("? ")
    first = re.match(
        r"(?:by|through)(?= \w+ing\b)|the answer|[^\W\d_]{5,}|because\b|yes\b|no\b", rest
    )
    if first is None or answer.language != "en" or _instructs(rest, answer):
        return False
    known = ("because", "yes", "no", "by", "through", "the answer")
    about = first[0] in known or first[0] in question.split()
    return about and not _TO_THE_ASKER.search(rest)


def tells_of_readers(answer: Answer) -> bool:
    """Whether a later sentence states something of the reader: it says what the prompt is for."""
    if len(answer.begins) < 2 or not _READER.search(answer.heard, answer.begins[1]):
        return False
    language = _language(answer)
    later = (sentence.lower() for sentence in answer.sentences[1:])
    return any(_READER.search(said) and not _asks(said, language, answer) for said in later)


def holds_a_note(answer: Answer) -> bool:
    """Whether a later sentence begins with a label ("Note:", "Anmerkung:") that asks nothing."""
    if ":" not in answer.said or len(answer.begins) < 2:
        return False
    language = _language(answer)
    labels = (_NOTE.match(sentence) for sentence in answer.sentences[1:])
    return any(label and not _asks(label[1].lower(), language, answer) for label in labels)


def _asks(said: str, language: str | None, answer: Answer) -> bool:
    """Whether one sentence is a question or an appeal; so is any in an unknown language."""
    if "?" in said or "؟" in said or language not in _APPEAL:
        return True
    return _APPEAL[language].found(said) or (language == "en" and _instructs(said, answer))


def asks_plainly(answer: Answer) -> bool:
    """Whether there is a question, or an instruction in any language."""
    heard = answer.heard
    appeals = (appeal.found(heard, answer.begins) for appeal in _APPEAL.values())
    return "?" in heard or "؟" in heard or _instructs(heard, answer) or any(appeals)


def follows_a_preamble(answer: Answer) -> str | None:
    """An English instruction after a colon, in a sentence that did not lead there."""
    before, colon, after = answer.said.partition(": ")
    if not colon or not after[:1].isupper() or "?" in before or len(before.split()) > 15:
        return None
    first = re.match(r"\w+", after)
    if first is None or first[0].lower() not in _VERBS:
        return None
    leads = _instructs(before.lower(), answer) or re.search(r"\b(?:you|your|we)\b", before.lower())
    return None if leads and not _HANDS_OVER.search(before) else "it has a label or a preamble"


def begins_a_clause(word: str) -> bool:
    """Whether an English sentence may begin with this word (in lower case)."""
    return word in _VERBS or word in _SOFTENERS or word in _STATEMENT["en"] or word.endswith("ly")


def _language(answer: Answer) -> str | None:
    """By its script, or by its little words, the text's, or py3langid."""
    script = max(answer.scripts, key=answer.scripts.__getitem__, default="LATIN")
    if script != "LATIN":
        if script == "CYRILLIC" and _UKRAINIAN.search(answer.heard):
            return "uk"
        return None if _NOT_THAT.search(answer.heard) else _BY_SCRIPT.get(script)
    return answer.language or answer.text_language or likeliest(answer.said)


def _states(answer: Answer, language: str) -> bool:
    """Whether every sentence begins like a statement; where there are no such words, it does.

    So does a title, which no full stop ends.
    """
    beginnings = _STATEMENT.get(language)
    if beginnings is None or language == "en" or answer.plain[-1].isalnum():
        return True
    known = beginnings | set(answer.text_words)
    firsts = (re.search(r"[\w']+", sentence.lower()) for sentence in answer.sentences)
    return all(
        first[0] in known or first[0][0].isdigit() or first[0].split("'")[0] in ("l", "d", "c", "s")
        for first in firsts
        if first
    )


def _softens(words: Sequence[str]) -> bool:
    return words[0] in _SOFTENERS or (len(words) > 1 and words[0].endswith("ly"))


def _is_noun(first: str, second: str) -> bool:
    """Whether "question", "study" and the like are the subject of a statement."""
    return (
        second in _STATES
        or (first, second) == ("step", "by")
        or (second == "of" and first not in _VERBS_WITH_OF)
    )


def _instructs(heard: str, answer: Answer) -> bool:
    """Whether a clause begins with an English verb in its plain form."""
    sentence_begins, related = True, False
    for clause in _CLAUSE.split(heard):
        words = clause.split()
        if related:  # "vaccines, which …, follow …": the verb of the subject before
            related = False
            continue
        related = bool(words) and words[0] in ("which", "who", "whose") and not sentence_begins
        while words and words[0] not in _VERBS and _softens(words):
            words.pop(0)
        if not words:
            continue
        first, second = words[0], words[1] if len(words) > 1 else ""
        if first in _VERBS and not _is_noun(first, second):
            return True
        rare = first not in _STATEMENT["en"] and second in _FOLLOWERS and sentence_begins
        if rare and not _INFLECTED.search(first) and first not in answer.text_words:
            return True
        sentence_begins = False
    return False
