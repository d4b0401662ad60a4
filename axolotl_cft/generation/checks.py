"""The checks of an answer that is to stand before a text, one function each (pure).

Each takes an `Answer` and returns what is wrong, or None. A complaint is one clause in plain words:
it is told to the model when it is asked again, and stands in the rejects file; so it speaks of the
answer alone, and not of what the user could do.
"""

import functools
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

from axolotl_cft.generation.language import language_complaint, mixture_complaint
from axolotl_cft.generation.phrases import (
    DESCRIPTIONS,
    FIRST_PERSON,
    REFUSALS,
    TASK_TALK,
    UNFINISHED,
    UNFINISHED_LETTERS,
    WISHES,
    compile_all,
)
from axolotl_cft.generation.sentences import count_sentences, sentence_ends

MAX_SENTENCES = 5
"""A contextual prompt is one to a few sentences (the paper's have two or three)."""

SHARED_WORDS = 12
"""An answer repeats its source if this many consecutive words of it appear there too."""

MOSTLY = 0.6
"""A shorter copy counts where it is more than this share of the answer, and five words or more."""

# Scripts without spaces: a sign is a word here, and a copy is longer by this factor.
_UNSPACED = r"぀-ヿ㐀-鿿豈-﫿฀-๿"
_SIGNS_PER_WORD = 1.6
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+(?:['’][^\W_{_UNSPACED}]+)*")
_SIGN = re.compile(rf"[{_UNSPACED}]")

# What stands in quotation marks is spoken of and not said.
_QUOTED = re.compile(
    r"“[^”]*”|„[^“”]*[“”]|«[^»]*»|»[^«]*«|「[^」]*」|『[^』]*』|\"[^\"]*\"|`[^`]*`|‘[^‘’]*’(?!\w)"
    r"|(?<!\w)'[^']+'(?!\w)"
)


@dataclass(frozen=True)
class Answer:
    """An answer without its wrappers, and what it is compared with.

    Attributes:
        raw: with its line breaks, and wide forms made narrow (`unwrapping.narrow`).
        text: what it is to stand before.
        instruction: the words of the request other than `text` and the example of a strategy.
        special: the tokenizer's special tokens.
    """

    raw: str
    text: str = ""
    instruction: str = ""
    special: Collection[str] = ()

    @functools.cached_property
    def plain(self) -> str:
        """On one line."""
        return " ".join(self.raw.split())

    @functools.cached_property
    def words(self) -> list[str]:
        """In lower case; a sign of a script without spaces is one."""
        return words_of(self.plain)

    @functools.cached_property
    def text_words(self) -> list[str]:
        """Those of the text."""
        return words_of(self.text)

    @functools.cached_property
    def said(self) -> str:
        """Without what it quotes, and with one kind of apostrophe."""
        return _QUOTED.sub("…", self.plain).replace("’", "'")


_SPECIAL = re.compile(
    r"<\|[^<>|]{0,40}\|?>?|</?s>|\[/?INST\]|<</?SYS>>|<0x[0-9A-F]{2}>"
    r"|</?(?:bos|eos|pad|unk|mask|sep|cls|think|thinking|reasoning|start_of_turn|end_of_turn"
    r"|endoftext|end_of_text|extra_id_\d+|end_of_utterance|im_start|im_end|eot_id|end|assistant"
    r"|user|system)>"
    r"|\[/?(?:CLS|SEP|PAD|MASK|UNK|EOS|BOS|gMASK|THINK|TOOL_CALLS|AVAILABLE_TOOLS)\]"
)


def holds_special_tokens(answer: Answer) -> str | None:
    """In training they would become their ids, and end a turn or a document within the context."""
    found = _SPECIAL.search(answer.plain)
    mark = found[0] if found else next((m for m in answer.special if m in answer.plain), None)
    return f"it holds the special token {mark}" if mark else None


def is_broken(answer: Answer) -> str | None:
    """Characters that were lost or never decoded, and a lost beginning."""
    broken = re.search(
        r"�|[\x00-\x08\x0b-\x1f\x7f]|[ÃÂ][\x80-\xbf]|â€|\\u[0-9a-fA-F]{4}|\\n(?:\\n|[A-Z\s]|$)"
        r"|&(?:\w{2,6}|#\d+);",
        answer.raw,
    )
    if re.match(r"[,;:)\].]", answer.plain):
        return "it starts in the middle of a sentence"
    return "it has broken characters" if broken else None


def is_a_refusal(answer: Answer) -> str | None:
    """The speaker cannot, is sorry, is a machine, or has seen no text."""
    return "it is a refusal" if find_refusal(answer.said) else None


find_refusal = compile_all(REFUSALS).search

_ERROR = re.compile(
    r"\W*(?:(?:\w*(?:error|exception)|fehler|erreur|ошибка|warning"
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


_FIRST_PERSON, _WISH = compile_all(FIRST_PERSON), compile_all(WISHES)
_ACRONYM = re.compile(r"\b[A-Z]{2,}\b")  # ICH is a hemorrhage, and IK kinematics


def speaks_of_itself(answer: Answer) -> str | None:
    """A prompt speaks to a reader of a text; one who says "I" is answering somebody else."""
    for start, end in pairwise([0, *sentence_ends(answer.said), len(answer.said)]):
        sentence = answer.said[start:end].strip()
        before, colon, _ = sentence.partition(":")
        spoken = before if colon and len(before) > 10 else sentence
        if "?" in sentence or "؟" in sentence or _WISH.search(spoken):
            continue
        if _FIRST_PERSON.search(_ACRONYM.sub("…", spoken)):
            return "it speaks of itself"
    return None


def is_an_error(answer: Answer) -> str | None:
    """A server's message that came as an answer."""
    return "it is an error message" if _ERROR.match(answer.plain) else None


_DATA = re.compile(
    r"[{\[]\s*[\"'{\[\w]|(?:print\(|return [\"']|def \w+\(|console\.log|const \w+ =|<\?)"
    r"|.*[\"']\w+[\"']\s*[:=]\s*[\"'\[{]",
    re.DOTALL,
)


def is_data(answer: Answer) -> str | None:
    """JSON and the like that holds more than one text, or is not whole."""
    placeholder = re.match(r"\[[^\]]*\]|\{[^}]*\}", answer.raw)
    if placeholder and ":" not in placeholder[0] and '"' not in placeholder[0]:
        return None  # that is another check's
    return "it is data and not a sentence" if _DATA.match(answer.raw) else None


_MARKUP = re.compile(
    r"`{3}|~{3}|^\s*#{1,6}\s|^\s*>\s|^\s*\|.*\||</[a-zA-Z]\w*>|<(?:br|hr|img|html|body|!--)[^>]*>"
    r"|(?:\s#\w+){2}"
    r"|(?<![\w*])\*\*(?=\S)|^\s*(?:-{3,}|\*{3,}|_{3,})\s*$|\]\(https?:|\\begin\{",
    re.MULTILINE,
)


def is_marked_up(answer: Answer) -> str | None:
    """Markdown or HTML that could not be taken off."""
    return "it has markup where plain text is wanted" if _MARKUP.search(answer.raw) else None


# `list[index]`, `vector<int>` and LaTeX's braces belong to what a prompt may speak about.
_PLACEHOLDER = re.compile(
    r"(?<![\w\\\])}^_>])(?:\[(?!sic\]|\w{1,2}(?:,\s*\w{1,2})+\])(?:[^\W\d]|[\s'’/,.…-]){3,60}\]"
    r"|\{\{?\s*[^\W\d][\w .-]{2,40}\}?\}"
    r"|<(?!/)[^\W\d][\w-]*(?:[ _-][\w-]+)+>|<(?:topic|text|subject|insert|title|name|prompt)\w*>"
    r"|<?<[A-Z_]{3,}>)|【\w{1,8}】"
    r"|_{3,}|\bX{3,}\b|\b(?:(?i:lorem ipsum)|TODO|TBD|FIXME)\b|\$\{\w+\}|\$[A-Z_]{3,}\b"
    r"|\{0\}.*\{1\}|\((?:insert|enter|add|your)\b[^)]*\)|\bgoes here\b|%\(?\w+\)s"
)


def holds_placeholders(answer: Answer) -> str | None:
    """A form that was not filled in."""
    found = _PLACEHOLDER.search(_QUOTED.sub("…", answer.plain))
    return f"it holds the placeholder {found[0]}" if found else None


_LIST = re.compile(r"^\s*(?:[-*•–▪◦·]|\(?\d+[.)、]|[①-⑳]|[a-zA-Z][.):]\s)\s*\S", re.MULTILINE)
_INLINE_LIST = re.compile(
    r"(?:^|[:.;!?]\s)(?:1[.)]\s.+\s2[.)]\s|\(1\).+\(2\).+\(3\)|A[.)]\s.+\sB[.)]\s|①.+②|a\)\s.+\sb\)\s|Either:\s.+\sOr:\s)",
    re.DOTALL,
)
_ALTERNATIVE = re.compile(
    r"(?:^|[\s(*])(?:options?|versions?|variants?|alternatives?|choices?|prompts?|suggestions?"
    r"|drafts?"
    r"|variante?n?|opci[oó]n"
    r"|opção|opzione|optie|möglichkeit|vorschlag|proposition|propuesta|proposta|opcja|wersja"
    r"|вариант|варіант"
    r"|steps?|schritt|étape|paso|passo|krok|шаг|seçenek|पहला विकल्प|विकल्प|الخيار|खیار)\s(?:#?\d"
    r"|[A-C]\b|one\b|two\b|एक|الأول)(?:\s\([^)]*\))?\W{0,3}[:.)\-–—](?!\d)"
    r"|(?:^|[\s*])(?:first|second|another|alternative)\s(?:option|version|alternative|suggestion"
    r"|prompt|choice|possibility):"
    r"|(?:^|[.!?\n]\s*)(?:alternatively|alternativ|alternativement|alternativamente|или так|或者"
    r"|または|또는):"
    r"|(?:选项|方案|版本|提示|案|步骤|ステップ|단계|オプション|プロンプト|옵션"
    r"|선택지)\s?[一二三1-3A-C甲乙]\s?[:.、)]"
    r"|(?:^|\n)\s*(?:or|alternatively|oder|alternativ|ou|o bien|oppure|of|albo|или|或者|または"
    r"|또는)\s*[:,]?\s*\n",
    re.IGNORECASE,
)

_SLASHES = re.compile(r"[.!?。]\s*/\s*\w")
_FIELD = re.compile(r"(?:^|[.!?;]\s+|\n)\w+:\s")
_KEYWORDS = re.compile(r"\w[\w-]*(?: [\w-]+){0,2}(?:[,;] \w[\w-]*(?: [\w-]+){0,2}){3,}")


def is_a_list(answer: Answer) -> str | None:
    """Bullets, numbers, or several prompts to choose from."""
    found = (
        len(_LIST.findall(answer.raw)) > 1
        or _INLINE_LIST.search(answer.raw)
        or _SLASHES.search(answer.plain)
        or _ALTERNATIVE.search(answer.raw)
        or len(_FIELD.findall(answer.raw)) > 2
        or _KEYWORDS.fullmatch(answer.plain)
    )
    return "it is a list and not one to a few sentences" if found else None


# At the start of a line or a sentence, with the answer before it.
_REMARK = re.compile(
    r"(?:^|(?<=\S)(?:\n\s*|[.!?。]\s+|\s\())\W*(?:(?<=\W)(?:translation|words|tokens|prompt"
    r"|answer|user|assistant"
    r"|human|student|strategy|keywords?)|explanation|rationale|justification|why this works"
    r"|word count|(?:a )?summary|key (?:themes|words|points|takeaways)|zusammenfassung|résumé"
    r"|resumen|resumo|riassunto"
    r"|erklärung|begründung|übersetzung|explication|justification|traduction|explicación"
    r"|explicação|traducción"
    r"|tradução|spiegazione|traduzione|uitleg|toelichting|wyjaśnienie|пояснение|объяснение"
    r"|перевод|пояснення|açıklama"
    r"|说明|解释|翻译|理由|字数|説明|解説|翻訳|설명|해설|번역|شرح|التفسير|ترجمة|स्पष्टीकरण|व्याख्या"
    r"|अनुवाद)\W{0,3}[:]",
    re.IGNORECASE,
)
_TASK_TALK = compile_all(TASK_TALK)
_OUR_TAGS = re.compile(r"</?(?:text|question|answer|strategy)>")


def speaks_about_the_task(answer: Answer) -> str | None:
    """A remark about the prompt, reasoning about how to write it, or the request itself."""
    own = (
        _TASK_TALK.search(answer.said)
        or _REMARK.search(answer.raw)
        or _OUR_TAGS.search(answer.plain)
        or shares_run(answer.words, words_of(answer.instruction), SHARED_WORDS)
    )
    return "it repeats the instruction or speaks about the task" if own else None


def has_paragraphs(answer: Answer) -> str | None:
    """A prompt is one paragraph; a second one explains, translates or offers another."""
    return "it has several paragraphs" if re.search(r"\S\s*\n\s*\n\s*\S", answer.raw) else None


_DESCRIPTION = compile_all(DESCRIPTIONS)
_ADDRESSES = re.compile(
    r"[?؟;:]|\byou(?:r|rself)?\b|[请你您]|ください|ましょう|세요|십시오", re.IGNORECASE
)
_SUBJECT = re.compile(r"(?:the|this|these|it|its|they|he|she|in|a|an|there|both)\b", re.IGNORECASE)
_STATES = re.compile(r"(?:the|this|it|in this|a|an)\s(?!\w+ (?:to|for) )[^,—–]+$", re.IGNORECASE)


def describes_the_text(answer: Answer) -> str | None:
    """A summary, or the answer to an exercise, asks nothing of the reader."""
    if _ADDRESSES.search(answer.said):
        return None
    first, *later = re.split(r"(?:[.!?…]\s+|,\s(?:so|but|then)\s)(?=\w)", answer.said)
    described = _DESCRIPTION.match(first) or _STATES.match(first)
    if (described and all(map(_SUBJECT.match, later))) or _retells(answer, [first, *later]):
        return "it describes the text and asks nothing of the reader"
    return None


def _retells(answer: Answer, clauses: Sequence[str]) -> bool:
    """Whether every clause begins like a statement, and most long words are the text's."""
    source = set(answer.text_words)
    long = [word for word in words_of(answer.said) if len(word) > 3]
    starts = [clause.split()[0].lower().strip(",") for clause in clauses if clause.split()]
    stated = all(start in source or _SUBJECT.match(start) for start in starts)
    return bool(long) and stated and sum(word in source for word in long) > 0.5 * len(long)


def copies_the_text(answer: Answer) -> str | None:
    """A prompt that quotes its text gives the targets away."""
    words = answer.words
    if shares_run(words, answer.text_words, SHARED_WORDS):
        return f"it copies {SHARED_WORDS} or more consecutive words of the text"
    most = max(5, round(MOSTLY * len(words) / _stretch(words)))
    return "it copies the text" if shares_run(words, answer.text_words, most) else None


_LOOP = re.compile(
    rf"\b(\w+(?:\W+\w+){{1,11}}?)(?:\W+\1\b){{2,}}|\b(\w{{2,}})(?:\W+\2\b){{3,}}"
    rf"|([{_UNSPACED}]{{2,12}}?)\W*(?:\3\W*){{2,}}",
    re.IGNORECASE,
)
_STUTTER = re.compile(r"(\S)\1{7}|(?:\b(\w+) \2\b.*){3}", re.IGNORECASE)


def repeats_itself(answer: Answer) -> str | None:
    """A loop that the model did not get out of."""
    sentences = re.split(r"(?<=[.!?。।])\s*", answer.plain.lower())
    counted = Counter(s for s in sentences if len(s) > 12 or len(_SIGN.findall(s)) > 4)
    words = answer.words
    few = len(words) > 15 and len(set(words)) < 0.4 * len(words) and not _SIGN.search(answer.plain)
    found = (
        _LOOP.search(answer.plain)
        or _STUTTER.search(answer.plain)
        or any(n > 1 for n in counted.values())
        or few
    )
    return "it repeats itself" if found else None


def ends_early(answer: Answer) -> str | None:
    """Cut in a sentence: after a word that ends none, or before what was opened is closed."""
    plain = answer.plain
    last = re.search(r"\w+$", plain)
    words = plain.lower().split()
    language = max(UNFINISHED, key=lambda name: sum(w in _unfinished(name) for w in words))
    dangling = last is not None and len(words) > 2 and last[0].lower() in _unfinished(language)
    opened = re.search(r"[“„«「『]", _QUOTED.sub("", plain)) or plain.count("(") > plain.count(")")
    ends = list(sentence_ends(plain))
    unstopped = ends and last is not None and plain[ends[-1] :].strip()
    if dangling or opened or unstopped or _OPEN_END.search(plain):
        return "it ends in the middle of a sentence"
    return None


_OPEN_END = re.compile(rf"{UNFINISHED_LETTERS}|\w['’]s$|(?:[-–—(\[,،、:…]|\.\.\.|(?<![Ͱ-Ͽ]);)$")


@functools.cache
def _unfinished(language: str) -> frozenset[str]:
    return frozenset(UNFINISHED[language].split())


def is_no_sentence(answer: Answer) -> str | None:
    """`null`, `N/A`, `TODO`, a title: a word or two tell nobody how to read."""
    words = [word for word in answer.plain.split() if _WORD.search(word)]
    enough = len(words) > 2 or len(_SIGN.findall(answer.plain)) > 4
    long = [word.strip("\"'“”«»()[],:") for word in words if len(word) > 3]
    title = len(long) > 2 and all(word.istitle() for word in long) and answer.plain[-1].isalnum()
    return None if enough and not title else "it is no sentence"


def is_in_another_language(answer: Answer) -> str | None:
    """The prompt is to be in the language of the text, and in that alone."""
    said = _QUOTED.sub("…", answer.raw)
    ends = [0, *sentence_ends(said), len(said)]
    sentences = [said[a:b].strip() for a, b in pairwise(ends)]
    return language_complaint(said, answer.text) or mixture_complaint(sentences)


def has_many_sentences(answer: Answer) -> str | None:
    """More than a few."""
    sentences = count_sentences(answer.plain)
    if sentences <= MAX_SENTENCES:
        return None
    return f"it has {sentences} sentences and at most {MAX_SENTENCES} are allowed"


Check = Callable[[Answer], str | None]

CHECKS: tuple[Check, ...] = (
    holds_special_tokens,
    is_broken,
    is_a_refusal,
    is_an_error,
    is_data,
    is_a_list,
    speaks_about_the_task,
    speaks_of_itself,
    is_marked_up,
    holds_placeholders,
    is_no_sentence,
    has_paragraphs,
    has_many_sentences,
    repeats_itself,
    copies_the_text,
    describes_the_text,
    ends_early,
    is_in_another_language,
)
"""In the order in which they are tried; the first complaint is the one that is told."""


def first_complaint(answer: Answer, checks: Sequence[Check] = CHECKS) -> str | None:
    """What the first check that complains says."""
    return next((found for check in checks if (found := check(answer))), None)


def _stretch(words: Sequence[str]) -> float:
    """By how much a run of `words` is to be longer than one of spaced words."""
    signs = sum(_SIGN.fullmatch(word) is not None for word in words)
    return _SIGNS_PER_WORD if signs > 0.5 * len(words) else 1.0


def words_of(text: str) -> list[str]:
    """Its words in lower case; a sign of a script without spaces is one."""
    return _WORD.findall(text.lower())


def shares_run(words: Sequence[str], source: Sequence[str], length: int) -> bool:
    """Whether `length` consecutive words, or as much in signs, stand in `source` too."""
    length = round(length * _stretch(words))
    runs = [words[i : i + length] for i in range(len(words) - length + 1)]
    if not runs or not source:
        return False
    haystack = f" {' '.join(source)} "
    return any(f" {' '.join(run)} " in haystack for run in runs)
