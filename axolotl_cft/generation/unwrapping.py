"""What models put around an answer, taken off (pure, stdlib only).

A wrapper is taken off only where it is plain which part is the answer; what is doubtful stays, and
the checks complain of it.
"""

import json
import re
from collections.abc import Callable, Sequence

_THINKING = re.compile(r"<(think|thinking|reasoning)>.*?</\1>", re.DOTALL | re.IGNORECASE)
# Some servers send the closing tag alone: the opening one stood in the chat template.
# Anchored, or a text without a tag is gone through again from each of its characters.
_THOUGHT = re.compile(
    r"\A.*(?:</(?:think|thinking|reasoning)>|\[/THINK\])", re.DOTALL | re.IGNORECASE
)
_FENCE = re.compile(r"(`{3,}|~{3,})\w*[ \t]*\n?(.*?)\n?\1", re.DOTALL)
_TAG = re.compile(r"<(\w+)(?:\s[^<>]*)?>(.*)</\1>", re.DOTALL)
_BOX = re.compile(r"\\boxed\{(?:\\text\{)?([^{}]*)\}+")
_HEADING = re.compile(r"#{1,6}\s[^\n]*\n+(?=\S)")
_RULE = re.compile(r"^(?:[-*_=]{3,}\s*\n)+|(?:\n\s*[-*_=]{3,}\s*)+$")
_BULLET = re.compile(r"(?:[-*•–>]|1[.)](?!.*\s2[.)]))\s+(?=\S)")
_EMPHASIS = re.compile(r"(?<![\w*])(\*{1,3})(?=\S)([^*\n]+?)(?<=\S)\1(?![\w*])")
_EMOJI = "[\\s\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff\ufe0f\u200d]"
_QUOTES = {
    '"""': '"""',
    '\\"': '\\"',
    "__": "__",
    '"': '"',
    "“": "”",
    "„": "“",
    "«": "»",
    "「": "」",
    "『": "』",
    "'": "'",
    "‘": "’",
    "`": "`",
}

_ORNAMENT = re.compile(rf"^{_EMOJI}+|{_EMOJI}+$")
_NARROW = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)}

# What a label calls the answer, and the words that may stand beside it.
_NOUN = (
    r"(?:[\w-]*prompts?|instructions?"
    r"|(?:guiding|focus|essential|study|key|driving|reading)\s?questions?"
    r"|(?:reading|study|learning)\s(?:focus|goal|objective|task|tip|guide|aim)"
    r"|(?:lern|lese|arbeits)?-?(?:anweisung|anleitung|aufforderung|auftrag)|(?:lern|lese)hinweis"
    r"|task|leitfrage|lese(?:frage|impuls|ziel)|lernziel|aufgabe|tarea|tarefa|compito|zadanie|görev"
    r"|задание|вопрос для размышления|任务|课题|課題|学習の(?:指針|ポイント|目標)|과제"
    r"|학습\s(?:목표|지침)|المهمة|कार्य"
    r"|consigne(?:\sde\slecture)?|invite"
    r"|indicaci[oó]n|instrucci[oó]n|consigna|instrução|comando|istruzione|instructie|opdracht"
    r"|instrukcj\w|polecenie|podpowiedź|промпт|промт|подсказка|инструкция|указание|підказка"
    r"|інструкція"
    r"|(?:上下文|语境|情境|阅读|学习|引导)*(?:提示词?|提示语|提示語|指令|指示|导语)"
    r"|(?:文脈|学習|コンテキスト)*(?:プロンプト案?|指示文?)|프롬프트|지시문|안내문|التوجيه|الموجّ?ه"
    r"|تعليمات"
    r"|تعليمة|निर्देश|प्रॉम्प्ट|संकेत|istem|talimat|yönerge)"
)
_ANSWER = (
    r"(?:answer|response|output|result|assistant|ai|bot|chatgpt|gpt-?\d?|claude|llama|model|助手|助理"
    r"|アシスタント|어시스턴트|المساعد|सहायक|ассистент|assistent|asist[ea]nte?|assistente|asystent"
    r"|antwort|ausgabe|réponse|respuesta|resposta"
    r"|risposta|antwoord"
    r"|câu trả lời|jawaban|odpověď|odpowiedź|ответ|відповідь"
    r"|答案|回答|答复|输出|出力|답변|الإجابة|उत्तर|cevap|yanıt|svar)"
)
_BESIDE = (
    r"(?:\w*(?:conte[xk]|kontex|kontek|контекст)\w*|learning|study|reading|final|suggested"
    r"|generated"
    r"|endgültige|mögliche|finale?|finaler?|définitive|окончательн\w+|остаточн\w+|ostateczna"
    r"|the|your|my|a|one|der|die|das|le|la|el|il|o|de|here|السياقي|प्रासंगिक|संदर्भ|bağlamsal|맥락"
    r"|문맥)"
)
_LABEL = re.compile(
    rf"[\s*_#>\"'“-]{{0,4}}(?:{_BESIDE}\s+){{0,3}}(?:{_NOUN}|{_ANSWER})(?:\s+{_BESIDE}){{0,3}}"
    r"(?:\s+(?:for|für|pour|para|per|voor|dla"
    r"|для)\s[^:\n]{1,60})?(?:\s?\([^)\n]{1,40}\))?[)*_\"'”]{0,4}(?:\s?[:=→]"
    r"|\s-(?=\s[\"“«A-Z])|\s[–—](?=\s)|\s?\*\*\n)[*_\s|]*",
    re.IGNORECASE,
)

_ASSENT = (
    r"(?:sure(?: thing)?|here (?:you go|it is)|there you go|certainly|of course|absolutely|okay"
    r"|ok|all ?right|great(?: question)?|got it"
    r"|understood|no problem|happy to help|claro(?: que sí)?|por supuesto|com certeza|natürlich"
    r"|gerne?"
    r"|selbstverständlich|klar|bien sûr|bien entendu|d'accord|avec plaisir|volontiers|certo"
    r"|certamente"
    r"|volentieri|natuurlijk|zeker|graag|oczywiście|jasne|pewnie|конечно|хорошо|разумеется|звичайно"
    r"|当然(?:可以)?|好的|没问题|もちろん(?:です)?|承知(?:いた)?(?:しま)?した|わかりました|はい"
    r"|네|물론(?:입니다|이죠|이에요)?|알겠습니다|بالطبع|بالتأكيد|حسن[ًاا]+|ज़रूर|बिल्कुल|अवश्य"
    r"|tabii(?: ki)?|absolument|parfait|perfetto|perfecto|perfeito|perfekt|excelente|отлично"
    r"|świetnie"
    r"|memnuniyetle|chętnie|met plezier|com prazer|con (?:piacere|mucho gusto|gusto)"
    r"|с удовольствием|охотно|із задоволенням|entendido|verstanden|compris|begrepen|zrozumiałem"
    r"|понятно|зрозуміло|anladım|capito|happy to|明白了|好|vâng|dạ|được(?: rồi)?|baik(?:lah)?"
    r"|elbette|självklart|tentu(?: saja)?|chắc chắn rồi|dĩ nhiên)"
)
_GREETING = (
    r"(?:hello|hi|hey|good (?:morning|day|afternoon|evening)|greetings|hallo|guten tag|bonjour"
    r"|salut|hola|olá|oi|ciao|salve|buongiorno|cześć"
    r"|dzień dobry|привет|здравствуйте|вітаю|你好|您好|こんにちは|안녕하세요|مرحب[ًاا]+|नमस्ते"
    r"|merhaba|hej)"
)
_INTERJECTION = re.compile(
    rf"¡?(?:{_ASSENT}(?:,? (?:i'm |i'd be )?(?:happy|glad) to help)?\s?(?:[!.。:]+"
    r"|\s[—–-]\s|[,、](?!と)(?=\s*[^\x00-\u02ff\s]))"
    rf"|{_ASSENT}(?:,? \w+){{1,3}}!+"
    rf"|{_GREETING}\b[^.!?。\n:]{{0,30}}[!。])\s*",
    re.IGNORECASE,
)
# "Here is a contextual prompt …:", with an assent before it or without.
_OPENING = (
    r"(?:here(?:'s|’s| is| are)|(?:use|try) (?=(?:the following|this))|suggest|how about|below is"
    r"|this is|the following is|i(?:'ve|’ve| have)|voici|voilà"
    r"|hier (?:ist|is)|(?:te|le|ti) dejo|(?:te|ti) propongo|propongo|proponho|sugiro|предлагаю"
    r"|proponuję"
    r"|aquí (?:tienes?|está|va)|aqui (?:está|vai|tem)|segue|ecco|oto|вот|ось|以下"
    r"|这是|下面是"
    r"|次の|こちらが|다음은|여기|إليك|هذا هو|فيما يلي|यह(?:ाँ|ां)?|işte|aşağıda|här är|her er"
    r"|berikut|đây là)"
)
_PREAMBLE = re.compile(
    rf"(?:{_ASSENT}[,!.。]*\s*[—–-]?\s*)?(?:(?:[^\n.!?。:\"“«]{{0,60}}[\s,])?{_OPENING}"
    r"|hier(?= (?:ein|eine|mein|der|die|das|een|mijn)\b))"
    r"(?P<what>[^\n.!?。:]{0,120})(?::\s*|[.。]\s*\n\s*)",
    re.IGNORECASE,
)
# "Je vous propose le prompt suivant :" needs no such opening, since nothing else is called so.
_LEAD = re.compile(
    r"[^\n.!?。:\"“«]{0,60}(?:prompts?\b|промпт|промт|プロンプト|프롬프트|\bistem\b|التوجيه|الموجه|الموجّه"
    r"|प्रॉम्प्ट|lời nhắc|提示(?=[是为如]))[^\n.!?。:\"“«]{0,40}:\s*(?=\S)",
    re.IGNORECASE,
)
_NAMES_ANSWER = re.compile(
    rf"{_NOUN}|formul(?:a[zct]|ier)|impuls|denkansto|suggestion|example|beispiel|vorschlag|exemple|proposition|ejemplo|propuesta|sugerencia"
    r"|exemplo|sugestão|proposta|esempio|suggerimento|voorbeeld|voorstel|propozycj|przykład|вариант"
    r"|предложени|пример|建议|例|提案|제안|예시|öneri|örnek|اقتراح|مثال|सुझाव|उदाहरण"
    r"|\b(?:asked for|requested)\b|^\s?$|^ ?(?:the following|this|something like(?: this)?)$"
    r"|\bone(?: sentence| option)?$|\bun[ao]?$|\beine[rns]?$",
    re.IGNORECASE,
)


def narrow(text: str) -> str:
    """Wide punctuation and letters as ASCII, sign for sign: one pattern finds both."""
    return text if text.isascii() else text.translate(_NARROW)


def drop_thinking(text: str) -> str:
    """Closed thinking blocks, and all before a closing tag that was never opened."""
    return _THOUGHT.sub("", _THINKING.sub("", text), count=1)


def take_from_fence(text: str) -> str:
    """The inside of a code fence around the whole."""
    match = _FENCE.fullmatch(text)
    return match[2] if match and match[1] not in match[2] else text


def take_from_json(text: str) -> str:
    """The only text in JSON; where there are several, the JSON as it was."""
    if not text.startswith(("{", "[")):
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    while isinstance(value, (dict, list)) and len(value) == 1:
        value = next(iter(value.values())) if isinstance(value, dict) else value[0]
    return value if isinstance(value, str) else text


def take_from_tags(text: str) -> str:
    """The inside of a pair of tags, or of a box in LaTeX, around the whole."""
    if box := _BOX.fullmatch(text):
        return box[1]
    match = _TAG.fullmatch(text)
    return match[2] if match and f"<{match[1]}" not in match[2] else text


def drop_heading(text: str) -> str:
    """A Markdown heading, rules and a lone bullet before the answer."""
    text = _RULE.sub("", text)
    match = _HEADING.match(text) or ("\n" not in text and _BULLET.match(text))
    return text[match.end() :] if match else text


def drop_preamble(text: str) -> str:
    """An assent or a greeting, "Here is a prompt …:", a label, in this order or alone."""
    narrowed = narrow(text)
    preamble = _PREAMBLE.match(narrowed)
    if preamble and not _NAMES_ANSWER.search(preamble["what"]):
        preamble = None
    found = (
        _INTERJECTION.match(narrowed) or preamble or _LABEL.match(narrowed) or _LEAD.match(narrowed)
    )
    return text[found.end() :] if found else text


def drop_ornaments(text: str) -> str:
    """Emoji before and after the answer."""
    return _ORNAMENT.sub("", text)


def drop_emphasis(text: str) -> str:
    """The marks of bold and italics, around the whole or a word."""
    return _EMPHASIS.sub(r"\2", text)


def drop_quotes(text: str) -> str:
    """Quotation marks around the whole."""
    before = text
    if text.endswith(("».", "”.", "“.", '".', "」。")):
        text = text[-1:].join((text[:-2], text[-2:-1]))  # the stop goes in, before the mark
    for opening, closing in _QUOTES.items():
        inner = text[len(opening) : -len(closing)]
        paired = len(text) > 2 and text.startswith(opening) and text.endswith(closing)
        if paired and opening not in inner and closing not in inner:
            return inner
    return before


DOCUMENT = (drop_thinking, take_from_fence)
"""For what is kept as it was written."""

PASSAGE = (drop_thinking, take_from_fence, drop_preamble, drop_quotes)
"""For texts of several paragraphs, whose headings and emphasis are their own."""

PROMPT = (
    drop_thinking,
    take_from_fence,
    take_from_json,
    take_from_tags,
    drop_heading,
    drop_ornaments,
    drop_emphasis,
    drop_preamble,
    drop_quotes,
)


def unwrap(text: str, steps: Sequence[Callable[[str], str]] = PROMPT) -> str:
    """Take off wrappers, one inside another, until none is left."""
    before = None
    while before != text:
        before = text
        for step in steps:
            text = step(text).strip()
    return text
