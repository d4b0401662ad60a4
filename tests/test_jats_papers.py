"""Whole articles in the styles of publishers, read as a reader would read them.

The prose is in the public domain (Snow, Darwin, Faraday, Harvey in Willis's translation,
Nightingale) or ours; the markup is what BioMed Central, PLOS, eLife, Elsevier and SciELO make of
such texts. Beside each article in `papers/` stands the text that is to become of it.
"""

from collections import Counter
from pathlib import Path

import pytest

from axolotl_cft.corpus.building.jats import read_jats
from axolotl_cft.corpus.building.licences import read_licence

PAPERS = sorted((Path(__file__).parent / "papers").glob("*.xml"))


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: path.stem)
def test_an_article_becomes_what_a_reader_reads(path):
    [parsed] = read_jats(path.read_bytes())
    assert parsed.text + "\n" == path.with_suffix(".txt").read_text(encoding="utf-8")


METADATA = {
    "candle_jats12": ("The chemical history of a candle", "CC-BY-4.0", "1861-02-01", "fLife"),
    "cholera_nlm23": (
        *("On the mode of communication of cholera", "CC-BY-2.0", "1855-01-01", "London Medicine"),
    ),
    "finches_jats11": (
        "Of a struggle for existence among Geospiza on CO2-rich islands",
        *("CC-BY-4.0", "1859-11-24", "Public Library of Nature"),
    ),
    "heart_oasis": (
        "On the motion of the heart and blood in animals: An anatomical disquisition",
        *("CC-BY-NC-ND-4.0", "1847-06", "The Heart & Blood"),
    ),
    "nursing_two_languages": (
        *("Notes on ventilation", "CC-BY-NC-4.0", "1860", "Revista de Enfermagem"),
    ),
}


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: path.stem)
def test_what_an_article_says_of_itself_is_found(path):
    [parsed] = read_jats(path.read_bytes())
    licence = read_licence(parsed.licence or "")
    assert (parsed.title, licence, parsed.date, parsed.journal) == METADATA[path.stem]


def test_what_is_left_out_of_them_is_counted():
    left_out = sum((parsed.left_out for path in PAPERS for parsed in read_jats(path.read_bytes())),
                   Counter())  # fmt: skip
    assert left_out == {
        "references": 13, "citation marks": 12, "figures": 5, "other abstracts": 4,
        "supplementary materials": 4, "declarations": 4, "sub-articles": 4, "affiliations": 2,
        "author notes": 2, "other keywords": 2, "acknowledgements": 2, "inline graphics": 1,
        "media": 1, "footnotes": 1,
    }  # fmt: skip
