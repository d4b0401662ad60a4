"""Which licence a document is under."""

import pytest

from axolotl_cft.corpus.building.licences import (
    CONFLICT,
    FROM_FOLDER,
    UNKNOWN,
    Kept,
    Rule,
    Rules,
    load_rules,
    read_licence,
    shipped_rules,
)
from axolotl_cft.errors import CFTError


@pytest.mark.parametrize(
    ("said", "licence"),
    [
        ("CC-BY-4.0", "CC-BY-4.0"),
        ("LicenseRef-mine", "LicenseRef-mine"),
        ("https://creativecommons.org/licenses/by/4.0/", "CC-BY-4.0"),
        ("http://creativecommons.org/licenses/by-nc-sa/3.0/us/", "CC-BY-NC-SA-3.0"),
        ("http://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        ("https://creativecommons.org/publicdomain/mark/1.0/", "LicenseRef-public-domain"),
        ("CC BY 4.0", "CC-BY-4.0"),
        ("cc by-nc-nd 4.0", "CC-BY-NC-ND-4.0"),
        ("CC_BY_SA", "CC-BY-SA-4.0"),
        ("CC BY-NC", "CC-BY-NC-4.0"),
        ("CC-BY-SA-NC 4.0", "CC-BY-NC-SA-4.0"),
        ("Creative Commons Attribution 4.0 International License", "CC-BY-4.0"),
        ("Creative Commons Attribution License (CC BY 4.0)", "CC-BY-4.0"),
        ("Creative Commons Attribution (CC BY) license", "CC-BY-4.0"),
        ("Creative Commons Attribution-NonCommercial-ShareAlike 4.0", "CC-BY-NC-SA-4.0"),
        ("Creative Commons Attribution Non-Commercial License 3.0", "CC-BY-NC-3.0"),
        ("Creative Commons Attribution-NoDerivatives 4.0 International", "CC-BY-ND-4.0"),
        ("This work is dedicated under CC0.", "CC0-1.0"),
        ("in the public domain", "LicenseRef-public-domain"),
        ("CC BY 4.0, figures under CC BY-NC 4.0", CONFLICT),
        ("All rights reserved.", None),
        ("© 2020 Elsevier Inc.", None),
        ("account by name", None),
        ("", None),
    ],
)
def test_urls_and_words_are_read(said, licence):
    assert read_licence(said) == licence


def test_a_document_is_believed_before_a_rule_and_a_rule_before_the_default():
    rules = Rules(
        [
            Rule("CC-BY-4.0", path="mdpi/*"),
            Rule("CC-BY-NC-4.0", column="journal", is_="*noncommercial*"),
            Rule(FROM_FOLDER, path="*textbook*"),
        ],
        default="CC0-1.0",
    )
    of = rules.licence_of
    assert of("MDPI/x.txt", {}) == "CC-BY-4.0"
    assert of("MDPI/x.txt", {"licence": "CC BY-SA 4.0"}) == "CC-BY-SA-4.0"
    assert of("MDPI/x.txt", {"licence": "All rights reserved"}) == UNKNOWN
    assert of("MDPI/x.txt", {"journal": "The Noncommercial Journal"}) == CONFLICT
    assert of("x.txt", {"journal": "The Noncommercial Journal"}) == "CC-BY-NC-4.0"
    assert of("Textbooks/CC BY-NC-SA/anatomy.txt", {}) == "CC-BY-NC-SA-4.0"
    assert of("Textbooks/anatomy.txt", {}) == UNKNOWN
    assert of("Textbooks/CC BY/CC BY-NC/anatomy.txt", {}) == CONFLICT
    assert of("x.txt", {}) == "CC0-1.0"


def test_a_star_is_a_version_and_no_other_licence():
    kept = Kept(["CC-BY-*", "cc0-1.0"])
    kept_ones = [*("CC-BY-4.0", "CC-BY-3.0", "CC0-1.0")]
    others = ["CC-BY-NC-4.0", "CC-BY-SA-4.0", UNKNOWN, CONFLICT, "LicenseRef-public-domain"]
    assert all(map(kept.keeps, kept_ones)) and not any(map(kept.keeps, others))
    assert Kept().keeps(UNKNOWN) and Kept(["unknown"]).keeps(UNKNOWN)


def test_the_rules_that_come_along_can_be_read():
    assert shipped_rules() == ["openmedtext", "pmc"]
    medical = load_rules("openmedtext")
    assert medical.licence_of("OpenMedText/Cardiology/a.txt", {}) == "CC-BY-4.0"
    assert medical.topic_of("OpenMedText/Cardiology/a.txt") == "Cardiology"
    assert medical.licence_of("OpenMedText/Textbook/CC BY-NC-SA/a.txt", {}) == "CC-BY-NC-SA-4.0"
    assert medical.licence_of("OpenMedText/Textbooks/Unsorted/a.txt", {}) == UNKNOWN
    assert load_rules("pmc").licence_of("oa_comm/PMC1.xml", {"licence": "CC BY 4.0"}) == "CC-BY-4.0"
    assert load_rules(None).licence_of("a.txt", {}) == UNKNOWN


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rules: [{licence: CC-BY-4.0}]", "rules\\[1\\] needs a path or a column"),
        ("rules: [{path: '*', licence: CC BY}]", "rules\\[1\\].licence is an SPDX id"),
        ("rules: [{path: 3, licence: CC-BY-4.0}]", "rules\\[1\\].path is no text"),
        ("rules: [{pth: a, licence: CC-BY-4.0}]", "rules\\[1\\].pth is no key"),
        ("rules: [a]", "rules\\[1\\] maps path or column"),
        ("ruls: []", "ruls is no key of licence rules"),
        ("topic_part: 0", "topic_part is a place in the path, from 1"),
        ("default: 3", "default is an SPDX id"),
    ],
)
def test_a_bad_rule_is_named(tmp_path, text, said):
    path = tmp_path / "rules.yml"
    path.write_text(text)
    with pytest.raises(CFTError, match=said):
        load_rules(str(path))
    with pytest.raises(CFTError, match="there are no licence rules 'nowhere'"):
        load_rules("nowhere")
