"""Test items in the shape of the real benchmarks, made here, and copies of them with noise.

What is like the real ones: lengths, stock phrases that hundreds of items share word for word
("which of the following is the most likely diagnosis"), options, a few items of one to three words,
and phrases that also occur in the corpus. What is not: real items vary more, so two of these
resemble each other more than two real ones do.
"""

import random
import re
from collections.abc import Sequence

from axolotl_cft.corpus.words import words_of
from axolotl_cft.evaluation.tasks import BenchmarkItem


def phrases(text: str) -> list[str]:
    return [" ".join(phrase.split()) for phrase in text.split(";")]


PEOPLE = phrases(
    """
    man; woman; boy; girl; infant; nurse; farmer; teacher; student; welder
    """
)
COMPLAINTS = phrases(
    """
    chest pain that spreads to the left arm; a cough with rusty sputum; burning on passing
    water; headaches on waking; swelling of both ankles; pain in the right lower abdomen; loss
    of weight; a rash on the palms and soles; double vision towards evening; tingling in both
    feet; a hoarse voice; palpitations after coffee; night sweats; difficulty swallowing solid
    food; a tremor at rest; blood in the stool; a painful red eye; joint stiffness every
    morning; fainting on standing up; itching without a rash; a lump in the neck; muscle cramps
    at night; a dry mouth and gritty eyes; jaundice
    """
)
HISTORIES = phrases(
    """
    has smoked a pack of cigarettes a day for thirty years; takes no medication; returned from
    Peru ten days ago; was treated for a duodenal ulcer last year; has type 2 diabetes mellitus
    and hypertension; works with asbestos; keeps two parrots; drinks six beers a day; had a
    kidney transplant in the spring; has a sister with lupus; was never vaccinated; takes
    warfarin and lisinopril; ate raw oysters at a wedding; gave birth three weeks ago; swims in
    lakes; had a splenectomy after an accident
    """
)
SIGNS = phrases(
    """
    a soft systolic murmur at the apex; crackles over both lung bases; a palpable spleen; a
    positive straight leg raise; absent ankle reflexes; a firm nodule in the thyroid; cold
    fingers; a tender liver edge; pitting edema up to the knees; cherry red spots on the lips;
    pupils of unequal size; a resting heart rate of 48 per minute; a barrel shaped chest; spider
    veins on the trunk
    """
)
TESTS = phrases(
    """
    sodium; potassium; calcium; creatinine; glucose; hemoglobin; ferritin; bilirubin; albumin
    """
)
ASKED = phrases(
    """
    Which of the following is the most likely diagnosis?; Which of the following is the most
    appropriate next step in management of this patient?; Which of the following is the most
    likely underlying mechanism of these findings?; Which of the following drugs is most likely
    to have caused this condition?; Which of the following findings is most likely to be present
    on further testing?
    """
)
DISEASES = phrases(
    """
    Mitral stenosis; Pulmonary embolism; Addison disease; Graves disease; Acute appendicitis;
    Multiple myeloma; Iron deficiency anemia; Sarcoidosis; Myasthenia gravis; Celiac disease;
    Gout; Carpal tunnel syndrome; Reactive arthritis; Wilson disease; Nephrotic syndrome;
    Hemochromatosis
    """
)
PARTS = phrases(
    """
    artery; nerve; muscle; ligament; bone; gland; duct; membrane; cell; receptor; enzyme; valve
    """
)
PLACES = phrases(
    """
    forearm; small intestine; inner ear; adrenal cortex; left ventricle; spinal cord; retina;
    proximal tubule; bone marrow; pituitary gland; diaphragm; placenta; femoral triangle; lymph
    node
    """
)
FIRMS = phrases(
    """
    Acme; Veltra; Morvan; Copperline; Northgate; Halden; Orsino; Brightwater; Kestrel; Tamarack
    """
)
MOVES = phrases(
    """
    lifts its outlook; cuts jobs; buys a rival; warns on profit; names a new chief; sells its
    stake in a port; raises the dividend; loses a lawsuit over patents; opens a plant; recalls
    its heaters
    """
)
CAUSES = phrases(
    """
    demand for cable weakened; the euro rose against the dollar; two plants were shut for
    repairs; a supplier failed to deliver chips; freight rates doubled; the regulator delayed
    approval; a mild winter cut sales of heating oil; customers put off orders; wages rose
    faster than prices
    """
)


def vignette(rng: random.Random) -> str:
    """A question like MedQA's: some 50 to 120 words, the last ones a stock phrase."""
    person, age = rng.choice(PEOPLE), rng.randint(18, 88)
    values = "; ".join(
        f"{name} {rng.randint(1, 190)}.{rng.randint(0, 9)} mg/dL"
        for name in rng.sample(TESTS, rng.randint(1, 5))
    )
    return (
        f"A {age}-year-old {person} comes to the physician because of {rng.choice(COMPLAINTS)} for "
        f"the past {rng.randint(2, 20)} {rng.choice(['days', 'weeks', 'months'])}. The patient "
        f"also reports {rng.choice(COMPLAINTS)} and {rng.choice(HISTORIES)}. Temperature is "
        f"{rng.randint(36, 39)}.{rng.randint(0, 9)} °C and blood pressure "
        f"{rng.randint(90, 180)}/{rng.randint(50, 110)} mm Hg. Physical "
        f"examination shows {rng.choice(SIGNS)} and {rng.choice(SIGNS)}. Laboratory "
        f"studies show: {values}. {rng.choice(ASKED)}"
    )


def mmlu(rng: random.Random) -> str:
    """A question of 6 to 30 words."""
    return rng.choice(
        [
            f"Which {rng.choice(PARTS)} is found in the {rng.choice(PLACES)}?",
            f"The {rng.choice(PARTS)} of the {rng.choice(PLACES)} is supplied by which "
            f"{rng.choice(PARTS)} of the {rng.choice(PLACES)}?",
            f"Damage to the {rng.choice(PARTS)} of the {rng.choice(PLACES)} in a person of "
            f"{rng.randint(20, 90)} who {rng.choice(HISTORIES)} is most likely to cause "
            f"{rng.choice(COMPLAINTS)} because of changes in the {rng.choice(PLACES)}. True?",
        ]
    )


def headline(rng: random.Random) -> str:
    """6 to 15 words."""
    return (
        f"{rng.choice(FIRMS)} {rng.choice(MOVES)} as {rng.choice(CAUSES)} in "
        f"{rng.choice(['May', 'June', 'the third quarter', 'Asia', 'the north'])}"
    )


def sentence(rng: random.Random) -> str:
    """Like Causal20's: 25 to 40 words."""
    one, other = rng.sample(FIRMS, 2)
    return (
        f"{one} said that it {rng.choice(MOVES)} by {rng.randint(2, 60)} percent to "
        f"${rng.randint(1, 999)} million because {rng.choice(CAUSES)}, and that {other}, in which "
        f"it holds {rng.randint(2, 49)} percent, {rng.choice(MOVES)} after {rng.choice(CAUSES)}."
    )


def like_real_ones(corpus: Sequence[str], count: int, seed: int = 0) -> list[BenchmarkItem]:
    """Distinct items of four tasks: 3 % of one to three words, 1 % short phrases of the corpus."""
    rng = random.Random(seed)
    makers = {"medqa": vignette, "mmlu": mmlu, "headlines": headline, "sentences": sentence}
    items: dict[str, BenchmarkItem] = {}
    while len(items) < count:
        task = rng.choice(list(makers))
        text, kind = makers[task](rng), rng.random()
        words = words_of(rng.choice(corpus))
        if kind < 0.04 and len(words) > 10:
            begin = rng.randrange(len(words) - 7)
            text = " ".join(words[begin : begin + (rng.randint(1, 3) if kind < 0.03 else 6)])
        options = tuple(rng.sample(DISEASES, 4)) if task in ("medqa", "mmlu") else ()
        items.setdefault(text, BenchmarkItem(task, len(items), text, options))
    return list(items.values())


def without_every_tenth_word(text: str, rng: random.Random) -> str:
    return " ".join(word for place, word in enumerate(text.split(), 1) if place % 10)


def with_another_word(text: str, rng: random.Random) -> str:
    words = text.split()
    words[rng.randrange(len(words))] = "otherwise"
    return " ".join(words)


def with_typos(text: str, rng: random.Random) -> str:
    """A typo every twelve words."""
    words = text.split()
    for place in range(rng.randrange(12), len(words), 12):
        word = words[place]
        cut = rng.randrange(len(word) + 1)
        words[place] = f"{word[:cut]}{rng.choice('abcdefghij')}{word[cut:]}"
    return " ".join(words)


def with_soft_hyphens(text: str, rng: random.Random) -> str:
    return re.sub(r"(\w{4})(\w{3})", "\\1\u00ad\\2", text)


NOISES = [without_every_tenth_word, with_another_word, with_typos, with_soft_hyphens]
