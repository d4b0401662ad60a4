"""Checks of an answer's form, whatever it says: tokens, markup, lists, forms, cuts (pure).

Each takes an `Answer` and returns what is wrong, or None (see `checks`).
"""

import re
from collections import Counter

from axolotl_cft.generation.asking import asks_plainly, begins_a_clause
from axolotl_cft.generation.phrases import UNFINISHED_LETTERS
from axolotl_cft.generation.sentences import count_sentences, sentence_ends
from axolotl_cft.generation.wording import SIGN, UNSPACED, Answer, little_words

MAX_SENTENCES = 5
"""A contextual prompt is one to a few sentences (the paper's have two or three)."""

LONG = 15
"""Words after which an answer without a full stop is taken to be cut: a short one may lack it."""

LONG_ELSEWHERE = 10
"""The same where it is not English, whose cuts the last word mostly tells."""

_SPECIAL = re.compile(
    r"<\|[^<>|]{0,40}\|?>?|</?s>|\[/?INST\]|<</?SYS>>|<0x[0-9A-F]{2}>|[◁▷]|<(?:unused|reserved_)\d+>"
    r"|</?(?:bos|eos|pad|unk|mask|sep|cls|sop|eop|eod|EOD|EOT|EOS|think|thinking|reasoning"
    r"|start_of_turn|end_of_turn|turn|start_of_image|endoftext|end_of_text|extra_id_\d+"
    r"|end_of_utterance|im_start|im_end|eot_id|end|assistant|user|system|tool_call|tool_response"
    r"|fim_\w+|SPECIAL_\d+)\|?>"
    r"|\[/?(?:CLS|SEP|PAD|MASK|UNK|EOS|BOS|g?MASK|sMASK|THINK|TOOL_CALLS|AVAILABLE_TOOLS"
    r"|SYSTEM_PROMPT|control_\d+)\]"
)


def holds_special_tokens(answer: Answer) -> str | None:
    """In training they would become their ids, and end a turn or a document within the context."""
    found = _SPECIAL.search(answer.plain)
    mark = found[0] if found else next((m for m in answer.special if m in answer.plain), None)
    return f"it holds the special token {mark}" if mark else None


# UTF-8 that was read as Latin-1 or as Windows-1252, twice in a row outside western Europe.
_HIGH = "\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"
_BROKEN = re.compile(
    rf"�|[\x00-\x08\x0b-\x1f\x7f]|[ÃÂ][\x80-\xbf]|â€|(?:[ÐÑØÙÎÏãäåæçèéàá][{_HIGH}]){{2}}"
    r"|\\u[0-9a-fA-F]{4}|\\n(?:\\n|[A-Z\s]|$)|(?<=\w[\w.!?,])\\n(?=\w)|&(?:[a-zA-Z]{2,6}|#\d+);"
    r"|\?{3,}\s\?{2,}|\?{2,}\s\?{3,}"
)


def is_broken(answer: Answer) -> str | None:
    """Characters that were lost or never decoded, and a lost beginning."""
    if re.match(r"[,;:)\].]", answer.plain) or _begins_inside(answer):
        return "it starts in the middle of a sentence"
    return "it has broken characters" if _BROKEN.search(answer.raw) else None


def _begins_inside(answer: Answer) -> bool:
    """Whether an English answer begins in lower case with no word that begins a sentence."""
    first = answer.plain.split(" ", 1)[0]
    if not (first.isascii() and first.isalpha() and first.islower() and len(first) > 1):
        return False
    return answer.language == "en" and not begins_a_clause(first) and first not in answer.text_words


_DATA = re.compile(
    r"[{\[]\s*[\"'{\[\w]|(?:print\(|return [\"']|def \w+\(|console\.log|const \w+ =|<\?)"
    r"|[\w.]+\s?(?:=|\()\s?[\"'][^\"']+[\"']\)?;?$|(?:SELECT|INSERT|UPDATE)\s.*\b(?:FROM|INTO|SET)\b"
    r"|.*[\"']\w+[\"']\s*[:=]\s*[\"'\[{]|\w+:\s*[>|][-+]?\s*\n",
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
    r"|(?:\s#\w+){2}|(?<![\w*])\*\*(?=\S)|^\s*(?:-{3,}|\*{3,}|_{3,}|={3,})\s*$|\]\(https?:"
    r"|\\(?:begin|end|text\w+|section|emph|item|paragraph|title)\b\*?(?:\{|\s)|\[/\w+\]|'{3}|\[\[|[\U0001f300-\U0001faff]"
    r"|\s\|\s.*\s\|\s",
    re.MULTILINE,
)


def is_marked_up(answer: Answer) -> str | None:
    """Markdown, HTML or LaTeX that could not be taken off."""
    return "it has markup where plain text is wanted" if _MARKUP.search(answer.raw) else None


_ADDRESS = re.compile(
    r"\b(?:https?://|www\.)\w|\b[\w.+-]+@[\w-]+\.\w{2,}\b|©|\ball rights reserved\b"
    r"|\[(?:source|quelle|fuente|fonte|\d+)\b[^\]]*\]$",
    re.IGNORECASE,
)


def holds_addresses(answer: Answer) -> str | None:
    """The rest of a web page: a link, an e-mail address, a notice of rights, a source."""
    found = _ADDRESS.search(answer.said)
    own = found and (found[0] not in answer.text or found[0].endswith("]"))
    return "it holds an address or a notice" if own else None


# `list[index]`, `vector<int>` and LaTeX's braces belong to what a prompt may speak about.
_PLACEHOLDER = re.compile(
    r"(?<![\w\\\])}^_>])(?:\[(?!sic\]|\w{1,2}(?:,\s*\w{1,2})+\])(?:[^\W\d]|[\s'’/,.…-]){3,60}\]"
    r"|\{\{?\s*[^\W\d][\w .-]{2,40}\}?\}"
    r"|<(?!/)[^\W\d][\w-]*(?:[ _-][\w-]+)+>|<(?:topic|text|subject|insert|title|name|prompt)\w*>"
    r"|<?<[A-Z_]{3,}>)|[【〈《<\[(]\W?(?:主题|題名|标题|作者名?|文本|テーマ|著者名?|주제|저자)\W?[】〉》>\])]"
    r"|【\w{1,8}】|(?:在此|此处|这里)处?(?:插入|填写|输入)"
    r"|_{3,}|\bX{3,}\b|\b(?:(?i:lorem ipsum)|TODO|TBD|FIXME)\b|\$\{\w+\}|#\{\w+\}"
    r"|\$[A-Z_]{3,}\b|(?<![\w$])\$[a-z]{4,}\b(?!\$)|%[A-Z_]{3,}%"
    r"|\b[A-Z]{2,}(?:_[A-Z]+)+\b|@@\w+@@|\{\d\}"
    r"|\((?:insert|enter|add|your)\b[^)]*\)|\bgoes here\b|%\(?\w+\)s|(?<![\w%])%s\b"
    r"|\s\.\.\.\s.*\s\.\.\.\s|[〇○×△□]{2}"
    r"|\((?:topic|subject|theme|author(?:'s)? name|title|thema|sujet|tema|тема)\)"
)


def holds_placeholders(answer: Answer) -> str | None:
    """A form that was not filled in; what stands in the text too is no placeholder."""
    found = (match[0] for match in _PLACEHOLDER.finditer(answer.said))
    form = next((mark for mark in found if not _stands_in(mark, answer)), None)
    return f"it holds the placeholder {form}" if form else None


def _stands_in(mark: str, answer: Answer) -> bool:
    """Whether the text has this mark, or a unit of measure that it encloses."""
    return mark in answer.text or (len(mark) < 7 and mark[1:-1] in answer.text_words)


_LIST = re.compile(
    r"^\s*(?:[-*•–▪◦·]|\(?\d+[.)、]|[①-⑳]|\d\ufe0f?\u20e3|[a-zA-Z][.):]\s|[ivx]+[.)]\s)\s*\S"
    r"|^[^\S\n]*\w[\w ]{0,20}[:.)]\s?\S",
    re.MULTILINE,
)
_ENUMERATED = re.compile(r"(?:^|[.!?。;]\s*)[(\[]?(?:\d{1,2}|[a-zA-Z]|[ivx]{2,4})[.)\]]\s?\w")
_INLINE_LIST = re.compile(
    r"(?:^|[:.;!?]\s)(?:1[.)]\s.+\s2[.)]\s|\(1\).+\(2\).+\(3\)|A[.)]\s.+\sB[.)]\s|①.+②|a\)\s.+\sb\)\s"
    r"|Either:\s.+\sOr:\s)|[.!?。]\s*/{1,2}\s*\w|[.!?]\s+(?:Or,? alternatively\b"
    r"|OR\b|[oO]r:|or\s+[A-Z])|\d\ufe0f?\u20e3.+\d\ufe0f?\u20e3",
    re.DOTALL,
)
_ALTERNATIVE = re.compile(
    r"(?:^|[\s(*])(?:options?|versions?|variants?|alternatives?|choices?|prompts?|suggestions?"
    r"|drafts?|variante?n?|opci[oó]n|opção|opzione|optie|möglichkeit|vorschlag|proposition"
    r"|propuesta|proposta|opcja|wersja|вариант|варіант|steps?|schritt|étape|paso|passo|krok|шаг"
    r"|seçenek|पहला विकल्प|विकल्प|الخيار|خیار)\s(?:#?\d"
    r"|[a-c]\b|one\b|two\b|एक|الأول)(?:\s\([^)]*\))?\W{0,3}[:.)\-–—](?!\d)"
    r"|(?:^|[\s*])(?:first|second|another|alternative)\s(?:option|version|alternative|suggestion"
    r"|prompt|choice|possibility):"
    r"|(?:^|[.!?\n]\s*)(?:alternatively|alternativ|alternativement|alternativamente|или так|或者"
    r"|または|또는):"
    r"|(?:选项|方案|版本|提示|案|步骤|ステップ|단계|オプション|プロンプト|옵션"
    r"|선택지)\s?[一二三1-3a-c甲乙]\s?[:.、)]"
    r"|(?:^|\n)\s*(?:or|alternatively|oder|alternativ|ou|o bien|oppure|of|albo|или|或者|または"
    r"|또는)\s*[:,]?\s*\n"
    r"|^either (?:of these|one)"
)
# A word or three and a colon, at the beginning and again where a sentence begins.
_FIELDS = re.compile(
    r"\W*\w+(?: \w+){0,2}\s?:\s?.*?(?:[.!?;؟।]\s+|。|\n)\w+(?: \w+){0,2}\s?:\s"
    r"|\W*[问問]题?題?\s?:.*[。?]\s*答案?\s?:",
    re.DOTALL,
)
_FIELD = re.compile(r"(?:^|[.!?;؟।]\s+|[。?]|\n)\w+:\s?")
_KEYWORDS = re.compile(r"\w[\w-]*(?: [\w-]+){0,2}(?:[,;、،] ?\w[\w-]*(?: [\w-]+){0,2}){3,}")
_NAMED_WORDS = re.compile(
    r"\w+(?: \w+)?\s?: ?[\w-]+(?: [\w-]+){0,2}(?:[,;、،] ?\w[\w-]*(?: [\w-]+){0,2}){2,}\.?"
)


def is_a_list(answer: Answer) -> str | None:
    """Bullets, numbers, or several prompts to choose from."""
    found = (
        ("\n" in answer.raw and len(_LIST.findall(answer.raw)) > 1)
        or len(_ENUMERATED.findall(answer.raw)) > 1
        or _INLINE_LIST.search(answer.raw)
        or _ALTERNATIVE.search(answer.raw.lower())
        or len(re.findall(r"\n\s*\S", answer.raw)) > 1
        or (":" in answer.raw and len(_FIELD.findall(answer.raw)) > 2)
        or (":" in answer.raw and _FIELDS.match(answer.raw))
        or _KEYWORDS.fullmatch(answer.plain)
        or (_NAMED_WORDS.fullmatch(answer.plain) and not asks_plainly(answer))
    )
    return "it is a list and not one to a few sentences" if found else None


# A line without a stop before one with a capital is a heading, where no blank line follows.
_PARAGRAPHS = re.compile(r"\S\s*\n\s*\n\s*\S|\w[*_]*[^\S\n]*\n\s*[A-ZÀ-ÞА-Я0-9#*\"“-]")


def has_paragraphs(answer: Answer) -> str | None:
    """A prompt is one paragraph; a second one explains, translates or offers another."""
    return "it has several paragraphs" if _PARAGRAPHS.search(answer.raw) else None


def has_many_sentences(answer: Answer) -> str | None:
    """More than a few."""
    sentences = count_sentences(answer.plain)
    if sentences <= MAX_SENTENCES:
        return None
    return f"it has {sentences} sentences and at most {MAX_SENTENCES} are allowed"


_LOOP = re.compile(
    rf"\b(\w+(?:\W+\w+){{1,11}}?)(?:\W+\1\b){{2,}}|\b(\w{{2,}})(?:\W+\2\b){{3,}}"
    rf"|([{UNSPACED}]{{2,12}}?)\W*(?:\3\W*){{2,}}"
)
_STUTTER = re.compile(r"(\S)\1{7}|(?:\b(\w+) \2\b.*){3}")


def repeats_itself(answer: Answer) -> str | None:
    """A loop that the model did not get out of."""
    words, low = answer.words, answer.plain.lower()
    if len(words) > 1 and len(set(words)) == 1:
        return "it repeats itself"
    few = len(words) > 15 and len(set(words)) < 0.4 * len(words) and not SIGN.search(low)
    if not few and len(words) - len(set(words)) < 2 and not _STUTTER.search(low):
        return None  # nothing is there twice
    counted = Counter(re.split(r"(?<=[.!?。।])\s*", low))
    long = (s for s, n in counted.items() if n > 1 and (len(s) > 12 or len(SIGN.findall(s)) > 4))
    found = few or any(long) or _LOOP.search(low) or _STUTTER.search(low)
    return "it repeats itself" if found else None


_OPEN_END = re.compile(rf"{UNFINISHED_LETTERS}|\w['’]s$|(?:[-–—(\[,،、:…]|\.\.\.|(?<![Ͱ-Ͽ]);)$")
# "Consider the ways in which the enzyme": what begins with these words has a verb yet to come.
_NO_VERB = re.compile(
    r"\b(?:(?:which|that|whose|because|if|when|while|where|whether|how|why) "
    r"(?:the|an?|its|their|his|her|this|each)|(?:sin|sem|senza|sans|para|pour|avant|bien|afin|porque|perché"
    r"|puisque|cuando|quando|quand|lorsque|comment|cómo|pourquoi|si|wie|dass|ob|weil|wenn|warum)"
    r"(?: que| che)? (?:el|la|los|las|les?|une?|una|o|a|os|as|il|lo|i|gli|der|die|das|den|eine?))"
    r" \w+$"
)
_CJK = re.compile(r"[぀-ヿ㐀-鿿]")
_STOPPED = re.compile(r"[.!?…。।؟။។;][\"'”’»」』)\]]*$|[\"”»」』)\]]$")


def ends_early(answer: Answer) -> str | None:
    """Cut in a sentence: after a word that ends none, or before what was opened is closed."""
    plain = answer.plain
    words = plain.split()
    stopped = _STOPPED.search(plain)
    dangling = not stopped and len(words) > 2 and _ends_with_little_word(plain)
    opened = re.search(r"[“„«「『]", answer.said) or plain.count("(") > plain.count(")")
    ends = list(sentence_ends(plain))
    most = LONG if plain.isascii() or answer.language == "en" else LONG_ELSEWHERE
    long = bool(ends) or len(words) > most or len(_CJK.findall(plain)) > 2 * LONG
    unstopped = (long and not stopped) or _NO_VERB.search(plain)
    if dangling or opened or unstopped or _OPEN_END.search(plain) or _is_half_a_word(answer):
        return "it ends in the middle of a sentence"
    return None


def _is_half_a_word(answer: Answer) -> bool:
    """Whether it ends with the beginning of a word of the text that is no word there."""
    last = answer.words[-1] if answer.words and answer.plain[-1].isalnum() else ""
    if len(last) < 3 or SIGN.search(last) or last in answer.text_words:
        return False
    return any(word.startswith(last) and len(word) > len(last) + 1 for word in answer.text_words)


def _ends_with_little_word(plain: str) -> bool:
    """Whether the last word is one that ends no sentence in what seems to be its language."""
    counted, last = little_words(plain), little_words(plain.rsplit(" ", 1)[-1])
    return any(counted[language] == max(counted.values()) for language in last)
