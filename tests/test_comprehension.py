"""Reading-comprehension texts: what is mined, what is not, how it is put together."""

import json
import math
import re
from collections import Counter
from string import Formatter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axolotl_cft.corpus.comprehension.blocks import blocks, sentences
from axolotl_cft.corpus.comprehension.compose import COMPLETION, KINDS, TITLE, compose
from axolotl_cft.corpus.comprehension.keywords import find_keywords
from axolotl_cft.corpus.comprehension.mining import MINED, TASKS, mine
from axolotl_cft.corpus.comprehension.passages import is_clean, stands_alone, without_markup
from axolotl_cft.corpus.comprehension.sections import Section, sections
from axolotl_cft.corpus.comprehension.templates import load_templates
from axolotl_cft.corpus.comprehension.transform import Transformation

DAM = "The old dam held back the water of three valleys for sixty years."
MILL = "The mills along the lower river were never short of power then."
LAKE = "The villages near the outlet of the lake were flooded every spring."
BIRDS = "Thousands of grey herons bred in the marshes behind its long wall."
KEYWORDS = frozenset({"photosynthesis", "chloroplast", "electromagnetic", "wavelengths"})


def lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def kinds(text: str) -> list[str]:
    return [each.kind for each in mine(text, KEYWORDS).mined]


# --- what is mined ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("connective", "found"),
    [
        *((c, ["entail", "cause_to_effect"]) for c in ("Therefore", "Thus", "Accordingly")),
        *((c, ["entail", "cause_to_effect"]) for c in ("Hence", "For this reason")),
        ("Yes", ["entail"]),
        *((c, ["contradict", "contrast"]) for c in ("No", "However", "But", "Whereas")),
        *((c, ["contradict", "contrast"]) for c in ("On the contrary", "In contrast")),
        *((c, ["neutral"]) for c in ("Maybe", "Also", "Furthermore", "Secondly")),
        *((c, ["neutral"]) for c in ("Additionally", "Moreover", "In addition")),
        *((c, ["restatement"]) for c in ("In other words", "Namely", "That is to say", "I.e.")),
        *((c, ["parallel"]) for c in ("Similarly", "Equally")),
    ],
)
def test_a_pair_is_what_its_connective_says(connective, found):
    source = f"{DAM} {connective}, {lower(MILL)}"
    mined = mine(f"{LAKE} {source} {BIRDS}").mined
    assert [each.kind for each in mined] == found
    for each in mined:
        assert each.values == {"first": DAM, "second": MILL, "connective": connective}
        assert each.source == source


@pytest.mark.parametrize(
    ("sentence", "effect", "cause"),
    [
        (
            "The bridges over the lower river have been closed to all heavy traffic due to severe "
            "corrosion of their cables.",
            "The bridges over the lower river have been closed to all heavy traffic.",
            "Severe corrosion of their cables.",
        ),
        (
            "The remarkable hardness of the outer layer of old porcelain teeth is largely due to "
            "crystals of zirconium oxide.",
            "The remarkable hardness of the outer layer of old porcelain teeth",
            "Crystals of zirconium oxide.",
        ),
        (
            "Owing to the steady wind from the western plateau, the dunes along the coast advance "
            "by a meter every year.",
            "The dunes along the coast advance by a meter every year.",
            "The steady wind from the western plateau.",
        ),
    ],
)
def test_a_cause_is_told_from_its_effect(sentence, effect, cause):
    [mined] = mine(f"{DAM} {sentence} {BIRDS}").mined
    assert mined.kind == "effect_to_cause" and mined.source == sentence
    assert mined.values == {"effect": effect, "cause": cause}


def test_definitions_topics_and_words_of_the_domain_are_mined():
    text = (
        "A watershed is defined as the land whose water runs to one outlet. The long chronicle of "
        "the valley is about quarrels between millers and fishermen. Photosynthesis in a "
        "chloroplast uses only some wavelengths of sunlight."
    )
    mined = {each.kind: each.values for each in mine(text, KEYWORDS).mined}
    assert mined == {
        "definition": {
            "word": "watershed",
            "definition": "The land whose water runs to one outlet.",
        },
        "topic": {
            "subject": "The long chronicle of the valley",
            "topic": "Quarrels between millers and fishermen.",
        },
        "word_to_text": {
            "words": "photosynthesis, chloroplast, wavelengths",
            "sentence": "Photosynthesis in a chloroplast uses only some wavelengths of sunlight.",
        },
    }


def test_every_kind_has_a_passage_here():
    text = "\n\n".join(
        [
            *(
                f"{DAM} {c}, {lower(MILL)}"
                for c in ("Thus", "However", "Also", "Namely", "Equally")
            ),
            "The bridges over the lower river have been closed to all heavy traffic due to severe "
            "corrosion of their cables.",
            "A watershed is defined as the land whose water runs to one outlet.",
            "The long chronicle of the valley is about quarrels of millers and fishermen.",
            "Photosynthesis in a chloroplast uses only some wavelengths of sunlight.",
        ]
    )
    assert set(kinds(text)) == set(MINED)


# --- what is not mined -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        f"{DAM} {MILL} {LAKE} {BIRDS}",
        f"{DAM} Thus {lower(MILL)}",  # no comma
        f"{DAM[:-1]}, however, {lower(MILL)}",
        f"{DAM} The council said that, however, {lower(MILL)}",
        f"{DAM} however, {lower(MILL)}",  # published: any case of letters
        f"{DAM} Thus, it fell.",  # too short
        f"It rained. Thus, {lower(MILL)}",
        f"{DAM} Thus, {lower(MILL)[:-1]}, as the records show.",  # a comma
        f"{DAM}\n\nThus, {lower(MILL)}",  # another paragraph
        f"* {DAM}\n* Thus, {lower(MILL)}",  # items of a list
        f"The guide said: “{LAKE} {DAM} Thus, {lower(MILL)} {BIRDS}” {DAM}",
        f'The guide said: "{LAKE} {DAM} Thus, {lower(MILL)} {BIRDS}" {DAM}',
        f"Have the mills along the river ever been short of power then? No, {lower(MILL)}",
    ],
)
def test_what_only_looks_like_a_pair_is_not_mined(text):
    assert kinds(text) == []


@pytest.mark.parametrize(
    "first",
    [
        "This wall held back the water of three valleys for sixty years.",
        "They held back the water of three valleys for some sixty years.",
        "As Figure 3 shows the dam held back the water of three valleys.",
        "After these repairs the dam held back the water of three valleys.",
        "The dam held back [the water of three valleys for sixty years.",
        "The previous section described how the dam held back the water.",
        "Explain how the old dam held back the water of three valleys.",
    ],
)
def test_a_pair_that_needs_its_place_is_left_out_and_counted(first):
    harvest = mine(f"{LAKE} {first} Thus, {lower(MILL)}")
    assert harvest.mined == []
    assert harvest.left_out == {"entail": 1, "cause_to_effect": 1}


def test_what_the_second_sentence_takes_up_must_be_in_the_first():
    takes_up = "these valleys were never short of water for their mills."
    assert kinds(f"{DAM} Also, {takes_up}") == ["neutral"]
    assert kinds(f"{DAM} Also, {takes_up.replace('valleys', 'patients')}") == []


@pytest.mark.parametrize(
    "sentence",
    [
        "Anemia due to heavy and prolonged bleeding is common among the workers of these mills.",
        "The destruction of the lower bridges due to corrosion of cables can endanger the valley.",
        "Siltation is the slow loss of the depth of a reservoir due to sand carried by rivers.",
        "The water of the lower river can be muddy in the early spring and this may happen due to "
        "melting snow.",
        "The old dam above the lower river is about sixty years old in the present year.",
        "The old dam above the lower river is about to be torn down by the council.",
        "It is defined as the land whose water runs to one outlet.",
        "The area is as large as it is because a watershed is defined as the land of one outlet.",
        "Photosynthesis and chloroplast are words here.",
    ],
)
def test_causes_topics_and_definitions_that_are_none(sentence):
    assert kinds(f"{DAM} {sentence} {BIRDS}") == []


def test_markup_is_no_part_of_a_sentence():
    marked = r"A **cell** (see [Figure 3.1](#f)) is _small_ ([\[link\]](#g)) [12], or [tiny](a.b)."
    assert without_markup(marked) == "A cell is small, or tiny."
    assert is_clean("A cell is small.") and stands_alone("A cell is small.")
    assert without_markup("snake_case and 2*3*4 stay.") == "snake_case and 2*3*4 stay."


# --- sections --------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        *(DAM, MILL, f"{LAKE} {BIRDS}", "e.g. x", " ", "\n", "\n\n", "\r\n", " \n \n"),
        *("# Dams\n", "### Mills", "* item", "\n1. first\n2. second\n", "| a | b |\n"),
        *("Ünïcode “quotes”… \u2028 x", "\ud800"),
    ]
)


@given(st.lists(PIECES, max_size=30).map("".join), st.integers(1, 300))
def test_sections_end_to_end_are_the_document(text, limit):
    found = sections(text, limit)
    assert "".join(section.text for section in found) == text
    assert [block.end for block in blocks(text)][-1:] == ([len(text)] if text else [])
    assert all(section.text for section in found) or not text


@given(st.text(max_size=200))
def test_sentences_end_to_end_are_the_paragraph(text):
    spans = sentences(text, (0, len(text)))
    assert "".join(text[begin:end] for begin, end in spans) == text


def test_sections_are_bounded_and_cut_between_sentences():
    paragraph = " ".join([DAM, MILL, LAKE, BIRDS] * 30)
    text = "\n\n".join([paragraph, DAM, MILL, paragraph])
    found = sections(text, 700)
    assert max(len(section.text) for section in found) <= 700
    assert all(section.text.rstrip().endswith(".") for section in found)
    assert len(found) < 1.6 * len(text) / 700
    endless = "x" * 2000
    assert [section.text for section in sections(endless, 700)] == [endless]


def test_a_heading_stays_with_what_it_heads_and_is_the_title_of_its_section():
    part = " ".join([DAM, MILL, LAKE, BIRDS])
    text = f"# Rivers\n\n{part}\n\n## Dams\n\n{part}\n\n## Mills\n\n{MILL}\n\n### Wheels\n\n{DAM}\n"
    found = sections(text, 340)
    assert [section.text[:8] for section in found] == ["# Rivers", "## Dams\n", "## Mills"]
    assert [section.title for section in found] == ["Rivers", "Rivers: Dams", "Rivers: Mills"]
    assert [section.text[section.head :][:7] for section in found] == [
        "The old",
        "The old",
        "The mil",
    ]
    [whole] = sections(text, 5000, "A valley")
    assert (whole.title, whole.head) == ("A valley: Rivers", len("# Rivers\n\n"))


def test_a_document_of_one_line_has_a_body():
    # Published: the first line is the title, so that nothing is left to read.
    [section] = sections(f"{DAM} Thus, {lower(MILL)}", 7500)
    assert section.title is None and section.head == 0
    texts = Transformation().one(f"{DAM} Thus, {lower(MILL)}").texts
    assert DAM in texts[0].text and set(texts[0].kinds) == {"entail", "cause_to_effect"}
    assert sections("Dams", 7500)[0].title is None


@pytest.mark.parametrize("gap", ["\n\n", "\n"])
def test_a_first_line_is_the_title_if_it_looks_like_one(gap):
    long = " ".join([DAM, MILL, LAKE, BIRDS])
    assert sections(f"Of Dams{gap}{long}", 7500)[0].title == "Of Dams"
    assert sections(f"{DAM}{gap}{long}", 7500)[0].title is None


def test_lines_broken_to_a_width_are_one_paragraph_without_a_title():
    text = f"{DAM} Thus, {lower(MILL)} {LAKE}"
    wrapped = re.sub(r"(.{40,50}) ", r"\1\n", text)
    assert wrapped.count("\n") > 2 and sections(wrapped, 7500)[0].title is None
    assert kinds(wrapped) == ["entail", "cause_to_effect"]


# --- put together ----------------------------------------------------------------------------

LONG = f"{LAKE} {DAM} Thus, {lower(MILL)} {BIRDS} {MILL} {LAKE}"


def words_of(text: str) -> list[str]:
    return text.split()


@pytest.mark.parametrize("title", [None, "Of rivers"])
def test_nothing_of_a_section_is_lost(title):
    for number in range(60):
        section = Section(f"# Dams\n\n{LONG} {number} dams.\n\n* a list\n", title, 8 * bool(title))
        composed = compose(section, mine(section.text))
        own = " ".join(words for words, own in composed.pieces if own)
        kept = section.text[section.head :] if TITLE in composed.kinds else section.text
        assert words_of(own) == words_of(kept)
        assert all(words in composed.text for words, _ in composed.pieces)
        assert composed.added == len(composed.text) - sum(
            len(w) for w, own in composed.pieces if own
        )
        if TITLE in composed.kinds:
            assert title in composed.text


def shares(title: str | None, text: str) -> dict[frozenset[str], float]:
    """How often the whole text is asked about in each way, over texts that differ in a number."""
    total = 4000
    texts = (f"Number {number} is here. {text}" for number in range(total))
    drawn = Counter(frozenset(compose(Section(each, title), mine(each)).kinds) for each in texts)
    return {asked: count / total for asked, count in drawn.items()}


def test_what_is_asked_about_the_whole_has_the_published_shares():
    both, none = frozenset({TITLE, COMPLETION}), frozenset()
    title, completion = frozenset({TITLE}), frozenset({COMPLETION})
    long = f"{DAM} {MILL} {LAKE} {BIRDS}"
    expected = {
        ("Dams", long): {title: 0.4, completion: 0.1, both: 0.4, none: 0.1},
        ("Dams", DAM): {title: 0.5, none: 0.5},
        (None, long): {completion: 0.5, none: 0.5},
        (None, DAM): {none: 1.0},
    }
    for (known, text), wanted in expected.items():
        found = shares(known, text)
        assert found.keys() == wanted.keys()
        for asked, share in wanted.items():
            error = math.sqrt(share * (1 - share) / 4000)
            assert abs(found[asked] - share) <= 4 * error, (known, asked)


def test_four_of_five_inference_exercises_classify():
    answers = Counter()
    for number in range(2000):
        text = f"Number {number} is here. {DAM} Moreover, {lower(MILL)}"
        [exercise] = compose(Section(text, None), mine(text)).exercises
        answers[exercise.text.rstrip().endswith(MILL)] += 1
    assert abs(answers[True] / 2000 - 0.2) <= 4 * math.sqrt(0.16 / 2000)


def test_two_of_a_kind_at_most_and_those_of_a_task_together():
    starts = [DAM, LAKE, BIRDS, MILL]
    text = "\n\n".join(
        f"{first} {c}, {lower(DAM)}" for c in ("Thus", "However") for first in starts
    )
    for number in range(20):
        section = Section(f"{text}\n\n{number}", None)
        harvest = mine(section.text)
        assert Counter(each.kind for each in harvest.mined)["entail"] == 4
        composed = compose(section, harvest)
        assert set(Counter(e.mined.kind for e in composed.exercises).values()) == {2}
        tasks = [
            next(task for task, kinds in TASKS.items() if exercise.mined.kind in kinds)
            for exercise in composed.exercises
        ]
        assert sorted(map(tasks.index, tasks)) == list(map(tasks.index, tasks))


def test_a_document_in_another_language_stays_as_it_is():
    text = (
        "Der alte Damm hielt sechzig Jahre lang das Wasser aus drei Tälern zurück. Die Mühlen am "
        "unteren Fluss hatten damals immer genug Kraft. Im Frühling wurden die Dörfer am Ausfluss "
        "des Sees regelmäßig überflutet. In den Sümpfen brüteten Tausende von grauen Reihern. "
    ) * 4
    made = Transformation().one(text, "Der Damm")
    assert made.other_language and [each.text for each in made.texts] == [text]
    assert made.texts[0].kinds == () and made.texts[0].added == 0


def test_an_empty_document_has_one_empty_text():
    for text in ("", " \n\n "):
        [made] = Transformation().one(text, "Title").texts
        assert made.text.strip() == "" and made.kinds == ()


# --- wording ---------------------------------------------------------------------------------

VALUES = {
    **{key: {"first", "second", "connective"} for key in ("entail", "contradict", "neutral")},
    **{key: {"first", "second", "connective"} for key in ("restatement", "parallel", "contrast")},
    "cause_to_effect": {"first", "second"},
    "effect_to_cause": {"effect", "cause"},
    "word_to_text": {"words", "sentence", "number"},
    "definition": {"word", "definition"},
    "topic": {"subject", "topic"},
}
BOTH_NEEDED = {
    **{key: {"first", "second"} for key in VALUES},
    "effect_to_cause": {"effect", "cause"},
    "word_to_text": {"words", "sentence"},
    "definition": {"word", "definition"},
    "topic": {"subject", "topic"},
}


def places(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


@pytest.mark.parametrize("kind", MINED)
def test_every_kind_has_eight_templates_with_question_and_answer(kind):
    templates = load_templates().exercises[kind]
    assert len(set(templates)) == len(templates) >= 8
    for template in templates:
        assert BOTH_NEEDED[kind] <= places(template) <= VALUES[kind], template


def test_the_other_wording_is_complete_too():
    templates = load_templates()
    assert set(templates.exercises) == set(MINED)
    assert len(templates.classify) >= 8
    for question in templates.classify:
        assert places(question["ask"]) == {"first", "second", "answer"}
        answers = [question[kind] for kind in TASKS["inference"]]
        assert len(set(answers)) == 3 and all(isinstance(answer, str) for answer in answers)
    for titles in (templates.title_after, templates.title_before):
        assert len(set(titles)) >= 8 and all(places(each) == {"title"} for each in titles)
    assert len(templates.completion) >= 8
    assert len({each["between"] for each in templates.completion}) == len(templates.completion)
    for plain in (templates.introductions, templates.plain):
        assert len(set(plain)) >= 8 and not any(map(places, plain))


# --- words of the domain ---------------------------------------------------------------------


def test_words_of_the_domain_are_common_in_it_and_unknown_to_the_general_tokenizer():
    texts = [f"{number} photosynthesis needs chlorophylls, information." for number in range(9)]
    texts += ["Once: discombobulated. A bb12345678901 and a short word."]
    general = ["▁information", "Ġchlorophyll", "▁photo"]
    assert find_keywords(texts, general) == {"photosynthesis"}
    assert find_keywords(texts[::-1], general) == {"photosynthesis"}
    assert find_keywords(texts, []) >= {"photosynthesis", "information", "chlorophylls"}


def test_kinds_are_listed_once():
    assert len(set(KINDS)) == len(KINDS) and json.dumps(KINDS)
