"""Reading the letter A–D out of what a chat model wrote about a multiple-choice question.

Rules in order; the first that yields a letter wins, and within a rule the last match does,
because models reason before they conclude:

1. thoughts (`<think>…</think>`) are dropped, and a thought cut off by the token limit is no answer;
2. a declared answer: "The answer is (C)", "Answer: D", "\\boxed{B}", "I would choose option A";
3. a letter called right: "Option C is correct";
4. a letter alone on its line, or in bold;
5. lines that begin like an option ("C. Metformin") or letters in brackets, if they name one only;
6. the words of exactly one option in the last line.

A capital letter is not an answer just because it stands there: "A patient", "hepatitis B",
"B cells", "vitamin D", "C. difficile" and "D-dimer" are none.
"""

import re
import unicodedata
from typing import Any

MISSING = "missing"
LETTERS = "ABCD"

_BARE_END = (
    r"(?=\s*$|[ \t]*\n|[,;:!?)\]}\"”’](?!\w)|\.(?![\w.])(?!\s+[a-z])|\s+[-–—=]+\s"
    r"|\s+(?:because|since|as|due|given|per)\b)"
)
_LETTER = rf"(?:[(\[{{]\s*([A-Da-d])\s*[)\]}}]|([A-D])[)](?!\w)|([A-Da-d]){_BARE_END})"
_LETTER += r"(?!\s*(?:or|and|/|&)\s*[(\[]?[A-D]\b)"
_FILLER = (
    r"(?:(?:most likely|likely|probably|definitely|clearly|therefore|thus|simply|indeed|"
    r"the|is|option|choice|letter|answer)\b[\s:]*)*"
)
_CUE = (
    r"(?:\banswers?(?:\s+(?:choice|option))?(?:\s+(?:here|to this question|would|should|must))*"
    r"\s*(?:\bis\b|\bbe\b|[:=\n]|\s[-–—]\s)"
    r"|\b(?:correct|best|right|final|most likely|most appropriate)\s+(?:option|choice|letter)"
    r"\s*(?:\bis\b|[:=])"
    r"|\b(?:choose|pick|select|go with|going with|opt for|settle on|conclude)\b"
    r"|\b(?:so|therefore|thus|hence)\b,?|\bit(?:'s|\s+is|\s+must\s+be)\b"
    r"|\bboxed\b)"
)
_DECLARED = re.compile(rf"{_CUE}[\s:=]*{_FILLER}", re.IGNORECASE)
_CONDITION = re.compile(r"\bif\b[^.!?\n]*$", re.IGNORECASE)
_LEADING_LETTER = re.compile(_LETTER)
_CALLED_RIGHT = re.compile(
    r"(?:(?i:\b(?:option|choice|answer|letter)\s+)\(?([A-D])\b\)?|\(([A-D])\)|(?:^|[.!?:,]\s+|\bthat\s+)([A-D]))"
    r"\s+(?:is|seems|appears|would be|must be)\s+(?:(?:clearly|therefore|thus|also)\s+)?"
    r"(?:the\s+)?(?:single\s+)?(?:most likely|most appropriate|correct|right|best|answer)\b",
    re.MULTILINE,
)
_ALONE = re.compile(
    r"^\s*(?:(?i:option|choice|letter)\s+)?[(\[]?([A-Da-d])[)\].:]?\s*$", re.MULTILINE
)
_BEGINS_LINE = re.compile(r"^\s*(?:[-•]\s+)?(?:\(([A-D])\)|([A-D])[).:])\s", re.MULTILINE)
_IN_BRACKETS = re.compile(r"[(\[]([A-D])[)\]]")


def answer_letter(text: str, options: list[str]) -> str:
    """The option, "A" to "D", that a model's text settles on, or "missing".

    Example:
        >>> answer_letter("A patient like this needs insulin. The answer is **C**.", ["x"] * 4)
        'C'
    """
    text = _plain(_without_thoughts(unicodedata.normalize("NFKC", text)))
    return (
        _declared(text, options)
        or _last(_CALLED_RIGHT, text)
        or _last(_ALONE, text)
        or _only(_BEGINS_LINE, text)
        or _only(_IN_BRACKETS, text)
        or _by_words(text, options)
        or MISSING
    )


def score(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Accuracy of one generated answer, and whether no letter could be read."""
    (text,) = results
    letter = answer_letter(text, [doc[f"ending{number}"] for number in range(4)])
    return {
        "acc": float(letter == LETTERS[doc["label"]]),
        "missing": float(letter == MISSING),
    }


def _without_thoughts(text: str) -> str:
    text = re.split(r"</think(?:ing)?>", text, flags=re.IGNORECASE)[-1]
    return re.split(r"<think(?:ing)?>", text, flags=re.IGNORECASE)[0]


def _plain(text: str) -> str:
    """Text without mark-up; a letter set in bold, a box or a tag becomes one in brackets."""
    text = re.sub(r"\\(?:text|mathrm|mathbf|textbf)\s*\{([^{}]*)\}", r"\1", text)
    text = re.sub(r"\\boxed\s*\{\s*\(?([A-D])\b[^{}]*\}", r" boxed (\1) ", text)
    text = re.sub(r"(\*\*|__)\s*\(?([A-D])[).:]?\s*\1", r"(\2)", text)
    text = re.sub(r"(\*\*|__)\s*\(?([A-D])[).:]\s+(?=[^*_\n]+\1)", r"(\2) ", text)
    text = re.sub(r"<(answer|final)>\s*", r"\n answer: ", text, flags=re.IGNORECASE)
    text = re.sub(r"</(answer|final)>", r"\n", text, flags=re.IGNORECASE)
    return re.sub(r"[*`#$\"“”]|\b_+|_+\b", "", text)


def _declared(text: str, options: list[str]) -> str | None:
    """The last "answer is …" followed by a letter, or by the words of an option."""
    plain, conditional = None, None
    for cue in _DECLARED.finditer(text):
        tail = text[cue.end() :]
        letter = _leading_option(tail, options) or _leading_letter(tail)
        if letter and _CONDITION.search(text[: cue.start()]):
            conditional = letter  # "If she were pregnant, the answer would be B."
        else:
            plain = letter or plain
    return plain or conditional


def _leading_letter(tail: str) -> str | None:
    match = _LEADING_LETTER.match(tail)
    return next(filter(None, match.groups())).upper() if match else None


def _leading_option(tail: str, options: list[str]) -> str | None:
    """The longest option whose words begin `tail` ("C. difficile colitis" may be option B)."""
    words = _words(tail[:500])
    lengths = {
        letter: len(_words(option))
        for letter, option in zip(LETTERS, options, strict=True)
        if (own := _words(option)) and words[: len(own)] == own and own not in [[x] for x in "abcd"]
    }
    return max(lengths, key=lengths.__getitem__) if lengths else None


def _by_words(text: str, options: list[str]) -> str | None:
    """The one option whose words stand in the last line that is not blank."""
    lines = [line for line in text.splitlines() if line.strip()]
    last = f" {' '.join(_words(lines[-1]))} " if lines else ""
    named = {
        letter: own
        for letter, option in zip(LETTERS, options, strict=True)
        if (own := " ".join(_words(option))) and len(own) > 1 and f" {own} " in last
    }
    longest = max(named.values(), key=len, default="")
    # "aspirin" occurs in "aspirin and heparin": the longer option alone was meant.
    if any(own not in longest for own in named.values()):
        return None
    return next((letter for letter, own in named.items() if own == longest), None)


def _last(pattern: re.Pattern[str], text: str) -> str | None:
    letters = _letters(pattern, text)
    return letters[-1] if letters else None


def _only(pattern: re.Pattern[str], text: str) -> str | None:
    letters = set(_letters(pattern, text))
    return letters.pop() if len(letters) == 1 else None


def _letters(pattern: re.Pattern[str], text: str) -> list[str]:
    return [next(filter(None, match.groups())).upper() for match in pattern.finditer(text)]


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())
