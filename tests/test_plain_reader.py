"""Plain text and Markdown stay as they are, in one encoding and with one kind of line ends."""

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axolotl_cft.corpus.building.parsed import Parsed
from axolotl_cft.corpus.building.plain import read_markdown, read_text
from axolotl_cft.errors import CFTError

TEXT = "Frösche – their hearts\n\n  indented\tand tabbed"


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-32"),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", "\r").encode(),
        TEXT.replace("\n\n", "\f").encode(),
        TEXT.replace("hearts", "hea\0rts\0").encode(),
        f"\n \t\n{TEXT}\n\n \n".encode(),
    ],
)
def test_text_is_the_same_however_it_is_stored(data):
    assert read_text(data) == Parsed(text=TEXT)


def test_the_first_line_keeps_its_indentation():
    assert read_text(b"\n\n    verse\n  verse").text == "    verse\n  verse"


def test_an_encoding_may_be_named():
    assert read_text(TEXT.replace("–", "-").encode("latin-1"), "latin-1").text[:7] == "Frösche"
    assert read_text(TEXT.encode("utf-8-sig"), "utf-8").text == TEXT
    assert read_text(TEXT.encode("utf-16-le"), "utf-16-le").text == TEXT


@pytest.mark.parametrize(
    ("data", "encoding", "message"),
    [
        ("Frösche".encode("latin-1"), None, r"not utf-8 at byte 2 \(0xf6\).*--encoding latin-1"),
        (codecs.BOM_UTF8 + b"Fr\xf6sche", None, r"not utf-8 at byte 5 \(0xf6\)"),
        (b"\xff\xfea", None, "not utf-16.* at byte 2"),
        (b"caf\xc3", None, r"not utf-8 at byte 3 \(0xc3\)"),
        (b"\xed\xa0\x80", None, "at byte 0"),  # half a surrogate
        ("ö".encode(), "ascii", r"not ascii at byte 0"),
        (b"a", "latin-17", "no encoding 'latin-17'.*--encoding"),
        (b"a", "hex", "no encoding 'hex'"),
        (b"a", "", "no encoding ''.*"),
    ],
)
def test_what_is_not_of_the_encoding_is_said_with_its_place(data, encoding, message):
    with pytest.raises(CFTError, match=message):
        read_text(data, encoding)


def test_an_empty_file_is_an_empty_text():
    assert read_text(b"").text == read_text(b" \n\r\n\0").text == read_markdown(b"").text == ""


LINES = st.text(st.characters(exclude_characters="\x00\f\r\ufeff", exclude_categories=("Cs",)))


@given(LINES, st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]))
def test_nothing_within_a_text_changes(middle, encoding):
    text = f"a{middle}z"
    assert read_text(text.encode(encoding)).text == text


FRONT = """---
Title: "Of frogs: a start"
license: CC-BY-4.0
date: 2021-04-03T10:00:00Z
canonical_url: https://frogs.example/heart
lang: en
tags: [frog, heart]
---
"""
BODY = "# Of frogs\n\nTheir *hearts*.\n\n---\n\nMore: `x`"


def test_front_matter_becomes_metadata():
    assert read_markdown((FRONT + "\n" + BODY + "\n").encode()) == Parsed(
        text=BODY,
        title="Of frogs: a start",
        licence="CC-BY-4.0",
        url="https://frogs.example/heart",
        date="2021-04-03",
        language="en",
    )


def test_a_doi_gives_the_address():
    parsed = read_markdown(b"---\ndoi: https://doi.org/10.1234/frog\njournal: Ponds\n---\ntext")
    assert (parsed.doi, parsed.url) == ("10.1234/frog", "https://doi.org/10.1234/frog")
    assert (parsed.journal, parsed.text) == ("Ponds", "text")


@pytest.mark.parametrize(
    "source",
    [
        BODY,
        "---\n\nA rule first.\n\n---\n\nAnd another.",
        "---\n- a list\n---\ntext",
        "---\ntitle: [unclosed\n---\ntext",
        "---\ntitle: never closed\n\ntext",
        "--- \ntext\n---",
        "text\n---\ntitle: late\n---\n",
    ],
)
def test_what_only_looks_like_front_matter_is_text(source):
    assert read_markdown(source.encode()) == Parsed(text=source.strip())


@pytest.mark.parametrize("date", ["April 2021", "2021-4-3", "[2021]", "20210403", "''"])
def test_dates_that_are_not_iso_are_none(date):
    assert read_markdown(f"---\ndate: {date}\n---\ntext".encode()).date is None


def test_front_matter_that_would_grow_without_end_is_harmless():
    levels = "".join(f"l{n + 1}: &l{n + 1} {{<<: [{f'*l{n},' * 9}]}}\n" for n in range(30))
    parsed = read_markdown(f"---\nl0: &l0 {{a: b}}\n{levels}title: Frogs\n---\ntext".encode())
    assert (parsed.title, parsed.text) == ("Frogs", "text")
    deep = f"---\ntitle: {'[' * 30_000}\n---\ntext"
    assert read_markdown(deep.encode()).text.endswith("text")


def test_windows_front_matter():
    parsed = read_markdown(b"\xef\xbb\xbf---\r\ntitle: Frogs\r\n---\r\ntext\r\n")
    assert (parsed.title, parsed.text) == ("Frogs", "text")
