"""Sentences → what questions can be asked about, by the published patterns.

A pair is a sentence, a full stop, and a sentence that begins with a connective and a comma. The
connectives, the least lengths and that no comma may stand elsewhere (but in restatements) are
AdaptLLM's (adaptllm/utils/read.py). Those patterns run over a whole text and in any case of
letters; here they are asked of sentences of one paragraph, so that no connective is found in the
middle of one, and both sentences must make sense out of their place (`passages`).

English only.
"""

import itertools
import re
from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from axolotl_cft.corpus.comprehension.blocks import blocks, ends_a_sentence, paragraphs, sentences
from axolotl_cft.corpus.comprehension.passages import (
    is_clean,
    is_quoted,
    points_elsewhere,
    stands_alone,
    takes_up,
    without_markup,
)

TASKS = {
    "inference": ("entail", "contradict", "neutral"),
    "cause": ("cause_to_effect", "effect_to_cause"),
    "paraphrase": ("restatement", "parallel", "contrast"),
    "words": ("word_to_text", "definition", "topic"),
}
"""Task type -> its subcategories, all of which are mined."""

MINED = tuple(kind for kinds in TASKS.values() for kind in kinds)

_SHORTEST = 50
"""Characters of each sentence of a pair."""

_SHORTEST_CAUSE = 20
"""Characters of a cause within a sentence: it is a phrase, and rarely has fifty."""

WORDS = 3
"""Words of the domain in a sentence that is asked for by them."""

_LONGEST = 100
"""Words and signs of such a sentence."""

_LONGEST_SENTENCE = 2000
"""Characters; what is longer is no sentence."""

_THEREFORE = "Yes|Therefore|Thus|Accordingly|Hence|For this reason"
_HOWEVER = "No|However|But|On the contrary|In contrast|Whereas"
_MOREOVER = "Maybe|Also|Furthermore|Secondly|Additionally|Moreover|In addition"
_RESTATED = r"In other words|Namely|That is to say|[Ii]\.e\."
_LIKEWISE = "Similarly|Equally"

_CONNECTED = re.compile(
    rf"(?:(?P<entail>{_THEREFORE})|(?P<contradict>{_HOWEVER})|(?P<neutral>{_MOREOVER})"
    rf"|(?P<restatement>{_RESTATED})|(?P<parallel>{_LIKEWISE}))\s*,\s+(?P<second>\S.*)",
    re.DOTALL,
)
_CONNECTIVES = tuple(_CONNECTED.groupindex)[:5]
_COMMAS_ALLOWED = {"restatement", "parallel", "contrast"}
_ALSO = {"entail": "cause_to_effect", "contradict": "contrast"}
"""What else a pair is: the published lists hold the same connectives. Yes is no cause."""

_WITHIN = re.compile(
    r"(?P<effect>[^;,]+?)\s+(?:due to|on account of|owing to)\s+(?P<cause>[^;,]+)\."
)
_AT_FRONT = re.compile(
    r"(?:Due to|On account of|Owing to)\s+(?P<cause>[^;,]+),\s+(?P<effect>[^;,]+)\."
)
_LINKING = re.compile(
    r"\s+(?:(?:is|are|was|were|(?:can|may|could|might|must|will|would) (?:also |often )?be|has been"
    r"|have been)(?:\s+(?:largely|mainly|mostly|primarily|partly|in part|also|often|usually|most"
    r" likely|probably|thought to be|believed to be|at least in part))?)\Z"
)
_FINITE = re.compile(
    r"\b(?:is|are|was|were|has|have|had|can|could|will|would|may|might|must|should|does|do|did"
    r"|cannot)\b"
)
_RELATIVE = re.compile(r"\b(?:that|which|who|whose|as|when|where|while|because|if|than)\b")

_NAMES = re.compile(r"[\w\s()-]{3,60}? (?:is|are|was|were) (?:an?|the) ")
"""A sentence that says what something is: what follows "due to" belongs to its last words."""
_EMPTY = re.compile(r"\b(?:happens?|occurs?|arises?|results?|develops?|happened|occurred)\Z")
"""What "X may happen" says is that it may be due to something."""
_GOES_ON = re.compile(r"\b(?:and|or|but) (?:for|to|by|in|on|with|not|can|then|thus|so)\b")
"""What follows "and" there is no part of the cause."""

_DEFINED = re.compile(
    r"(?:(?:An?|The)\s+)?(?P<word>[^.!?,;:]{3,60}?)(?:\s+(?:is|are) defined as|['’]s definition is)"
    r"\s+(?P<definition>.{20,})\.",
    re.DOTALL,
)
_NO_TERM = re.compile(
    r"\b(?:is|are|was|were|has|have|be|it|they|this|that|these|those|which|who|because|while|when"
    r"|if|although|though|since|can|may)\b",
    re.IGNORECASE,
)
_ANOTHER_CLAUSE = re.compile(r"[,;] (?:and|but|or|while|whereas|although|though|because|so)\b")
_ABOUT = re.compile(
    r"(?P<subject>[^.!?,;]{20,}?)(?:\s+(?:was|talks|is) about|['’]s topic is)\s+"
    r"(?P<topic>.{20,})\.",
    re.DOTALL,
)
_ROUGHLY = re.compile(
    r"(?:[\d$€£~-]|to\b|the (?:same|size|length|width|height|time|age|level)\b|as\b|half|twice"
    r"|an? (?:half|third|quarter|fifth|tenth|dozen|hundred|thousand|million|year|month|week|day"
    r"|hour|minute|meter|inch|foot|mile|pound)|one\b|two\b|three\b|four\b|five\b|six\b|seven\b|eight\b"
    r"|nine\b|ten\b|eleven\b|twelve\b|fifteen\b|twenty|thirty|forty|fifty|sixty|seventy|eighty"
    r"|ninety|hundred|midway|halfway)"
)
"""What follows "is about" where that means "is roughly", or "is going to"."""

LONG_WORD = re.compile(r"[^\W\d_]{10,}")
"""Shorter words do not count as the domain's: more than ten characters were published, with the
sign of a word's beginning."""

_TOKEN = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True)
class Mined:
    """What an exercise is made of.

    Attributes:
        kind: one of `MINED`.
        values: what its templates have places for.
        source: the sentence or sentences it is from, as they stand in the text.
    """

    kind: str
    values: Mapping[str, str]
    source: str


@dataclass
class Harvest:
    """What was mined in a text, in its order.

    Attributes:
        mined: all of it.
        left_out: kind -> how many matched, and make no sense out of their place.
        stops: where a reader can be asked how the text goes on: behind sentences of prose, but for
            the last.
    """

    mined: list[Mined] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    stops: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class _Sentence:
    """A sentence, and where it stands in its text and since when its paragraph goes on."""

    text: str
    whole: str
    paragraph: int
    begin: int

    @property
    def plain(self) -> str:
        """Without its markup; nothing, where it is too long to be a sentence."""
        return without_markup(self.text) if len(self.text) <= _LONGEST_SENTENCE else ""

    @property
    def is_whole(self) -> bool:
        return ends_a_sentence(self.text)

    @property
    def is_quoted(self) -> bool:
        return is_quoted(self.whole[self.paragraph : self.begin])


def mine(text: str, keywords: Set[str] = frozenset()) -> Harvest:
    """Mine an English text.

    Args:
        text: any; only its prose counts.
        keywords: words of the domain in lower case.
    """
    harvest, last = Harvest(), len(text.rstrip())
    for block in blocks(text):
        for paragraph in paragraphs(text, block) if block.kind == "prose" else ():
            found = [
                _Sentence(text[begin:end], text, paragraph[0], begin)
                for begin, end in sentences(text, paragraph)
            ]
            for first, second in itertools.pairwise(found):
                _mine_pair(harvest, first, second)
            ends = (sentence.begin + len(sentence.text) for sentence in found if sentence.is_whole)
            harvest.stops += [end for end in ends if end < last]
            promising = _TRIGGER.search(text, *paragraph)
            for sentence in found:
                if promising:
                    _mine_within(harvest, sentence)
                _mine_words(harvest, sentence, keywords)
    return harvest


def _mine_pair(harvest: Harvest, first: _Sentence, second: _Sentence) -> None:
    connected = _CONNECTED.match(second.text)
    if not connected:
        return
    kind = next(name for name in _CONNECTIVES if connected[name])
    kinds = {kind, _ALSO.get(kind, kind)}
    if connected[kind] == "Yes":
        kinds.discard("cause_to_effect")
    premise, rest = first.plain, _CONNECTED.match(second.plain)
    conclusion = _capital(rest["second"]) if rest else ""
    if min(len(premise), len(conclusion)) <= _SHORTEST:
        return
    if "," in premise + conclusion:
        kinds &= _COMMAS_ALLOWED
    sound = (
        is_clean(premise)
        and stands_alone(premise)
        and is_clean(conclusion)
        and not points_elsewhere(conclusion)
        and takes_up(premise, conclusion)
        and not second.is_quoted
    )
    values = {"first": premise, "second": conclusion, "connective": connected[kind]}
    source = f"{first.text.strip()} {second.text.strip()}"
    for each in MINED:
        if each in kinds and sound:
            harvest.mined.append(Mined(each, values, source))
        elif each in kinds:
            harvest.left_out[each] += 1


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _mine_within(harvest: Harvest, sentence: _Sentence) -> None:
    """Causes, definitions and topics, which stand in one sentence."""
    if not _TRIGGER.search(sentence.text):
        return
    plain = sentence.plain
    for kind, read in _WITHIN_ONE.items():
        values = read(plain)
        if values is None:
            continue
        if is_clean(plain) and stands_alone(plain) and not sentence.is_quoted:
            harvest.mined.append(Mined(kind, values, sentence.text.strip()))
        else:
            harvest.left_out[kind] += 1


def _cause(sentence: str) -> dict[str, str] | None:
    """Effect and cause, where it is plain which words are which.

    Where the words before "due to" have no verb of their own, those behind it hold the sentence's:
    "anemia due to bleeding is common".
    """
    found = _WITHIN.fullmatch(sentence) or _AT_FRONT.fullmatch(sentence)
    if not found:
        return None
    effect, cause = found["effect"], found["cause"]
    if _NAMES.match(effect) or _GOES_ON.search(cause) or not stands_alone(_capital(effect)):
        return None
    linked = _LINKING.search(effect)
    if not linked and _EMPTY.search(effect):
        return None
    verb, relative = _FINITE.search(cause), _RELATIVE.search(cause)
    if verb and not (relative and relative.start() < verb.start()):
        return None
    if linked:
        effect = effect[: linked.start()]
    elif not _FINITE.search(effect) and found.re is _WITHIN:
        return None
    if len(effect) < _SHORTEST or len(cause) < _SHORTEST_CAUSE:
        return None
    return {"effect": _capital(effect) + ("" if linked else "."), "cause": f"{_capital(cause)}."}


def _definition(sentence: str) -> dict[str, str] | None:
    found = _DEFINED.fullmatch(sentence)
    if not found or _NO_TERM.search(found["word"]) or _ANOTHER_CLAUSE.search(found["definition"]):
        return None
    return {"word": found["word"], "definition": f"{_capital(found['definition'])}."}


def _topic(sentence: str) -> dict[str, str] | None:
    found = _ABOUT.fullmatch(sentence)
    if not found or _ROUGHLY.match(found["topic"]) or _ANOTHER_CLAUSE.search(found["topic"]):
        return None
    return {"subject": found["subject"], "topic": f"{_capital(found['topic'])}."}


_WITHIN_ONE = {"effect_to_cause": _cause, "definition": _definition, "topic": _topic}
_TRIGGER = re.compile(
    r"due to|on account of|owing to|defined as|s definition is|(?:was|talks|is) about|s topic is",
    re.IGNORECASE,
)


def _mine_words(harvest: Harvest, sentence: _Sentence, keywords: Set[str]) -> None:
    if len(_known(sentence.text, keywords)) < WORDS:
        return
    plain = sentence.plain
    words = _known(plain, keywords)
    if len(words) < WORDS or len(_TOKEN.findall(plain)) > _LONGEST:
        return
    if is_clean(plain) and stands_alone(plain) and not sentence.is_quoted:
        values = {"words": ", ".join(words), "sentence": plain}
        harvest.mined.append(Mined("word_to_text", values, sentence.text.strip()))
    else:
        harvest.left_out["word_to_text"] += 1


def _known(sentence: str, keywords: Set[str]) -> list[str]:
    """The words of the domain in a sentence, each once, in their order."""
    if not keywords:
        return []
    words = (word.lower() for word in LONG_WORD.findall(sentence))
    return list(dict.fromkeys(word for word in words if word in keywords))
