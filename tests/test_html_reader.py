"""Pages become their main text; trafilatura finds it."""

import logging
import sys

import pytest

from axolotl_cft.corpus.building.html import read_html
from axolotl_cft.errors import CFTError

pytest.importorskip("trafilatura", reason="`pip install trafilatura` is needed")

ARTICLE = """<article><h1>Of frogs</h1>
<p>The frog is an animal that lives in the water and on the land, and its heart has three chambers.
It holds H<sub>2</sub>O and 10<sup>-3</sup> mol of salt, as <em>they</em> say
<a href="/salt">elsewhere</a> too.</p>
<h2>The heart</h2>
<p>A heart beats in every frog that is alive, and many people have counted how often it does.</p>
<ul><li>One chamber takes the blood from the lungs</li><li>The other from all the body</li></ul>
<table><tr><th>Frog</th><th>Beats</th></tr><tr><td>Green</td><td>40</td></tr></table>
<pre><code>def beats():
    return 40</code></pre></article>"""
NAVIGATION = '<nav><ul><li><a href="/">Home</a></li><li><a href="/us">About us</a></li></ul></nav>'


def page(body=ARTICLE, head="", charset='<meta charset="utf-8">'):
    return (
        f'<!DOCTYPE html><html lang="en"><head>{charset}<title>Of frogs</title>{head}</head>'
        f"<body>{NAVIGATION}<main>{body}</main>"
        '<div class="comments" id="comments"><p>First! I was here before all others.</p></div>'
        "<footer><p>Copyright, imprint and all the cookies</p></footer></body></html>"
    )


def test_the_main_text_is_markdown_without_what_stands_around_it():
    assert read_html(page().encode()).text.split("\n\n") == [
        "# Of frogs",
        "The frog is an animal that lives in the water and on the land, and its heart has three "
        "chambers. It holds H2O and 10^-3 mol of salt, as *they* say elsewhere too.",
        "## The heart",
        "A heart beats in every frog that is alive, and many people have counted how often it "
        "does.",
        "- One chamber takes the blood from the lungs\n- The other from all the body",
        "| Frog | Beats |\n|---|---|\n| Green | 40 |",
        "```\ndef beats():\n    return 40\n```",
    ]


def test_citation_marks_go_and_formulas_are_text():
    mark = '<sup class="reference"><a href="#{0}">[{0}]</a></sup>'
    formula = "<math><mi>y</mi><mo>=</mo>\n<msup><mi>x</mi><mn>2</mn></msup><mspace/></math>"
    words = f"{mark.format(1)}{mark.format(2)} Here {formula} holds."
    parsed = read_html(page(ARTICLE.replace("too.", "too." + words)).encode())
    assert "elsewhere too. Here y = x^2 holds.\n" in parsed.text
    assert parsed.left_out == {"citation marks": 2}


def test_metadata():
    head = (
        '<link rel="canonical" href="https://frogs.example/heart">'
        '<link rel="license" href="https://creativecommons.org/licenses/by/4.0/">'
        '<meta name="date" content="2019-05-04"><meta name="citation_doi" content="10.1234/frog">'
        '<meta name="citation_journal_title" content="Frogs &amp; Ponds">'
    )
    parsed = read_html(page(head=head).encode())
    assert (parsed.title, parsed.language) == ("Of frogs", "en")
    assert parsed.licence == "https://creativecommons.org/licenses/by/4.0/"
    assert (parsed.url, parsed.date) == ("https://frogs.example/heart", "2019-05-04")
    assert (parsed.doi, parsed.journal) == ("10.1234/frog", "Frogs & Ponds")
    there = "https://archive.example/heart"
    assert read_html(page(head=head).encode(), url=there).url == there


def test_a_date_is_one_that_the_page_states_whatever_today_is():
    words = ARTICLE.replace("The frog is", "On 3 May 2017, or three days ago, the frog is")
    assert read_html(page(words).encode()).date is None
    later = page(head='<meta name="date" content="2081-05-04">')
    assert read_html(later.encode()).date == "2081-05-04"


@pytest.mark.parametrize(
    ("declared", "encoding"),
    [
        ('<meta charset="utf-8">', "utf-8"),
        ('<meta charset="utf-8">', "utf-8-sig"),
        ("", "utf-8"),
        ('<meta charset="iso-8859-1">', "cp1252"),
        ("<meta charset=windows-1252>", "cp1252"),
        ('<meta http-equiv="Content-Type" content="text/html; charset=koi8-r">', "koi8-r"),
        ('<meta charset="shift_jis">', "shift_jis"),
        ('<meta charset="utf-8">', "utf-16"),
        ('<meta charset="no-such-thing">', "utf-8"),
        ('<meta charset="ascii">', "utf-8"),
    ],
)
def test_encodings(declared, encoding):
    said = {"koi8-r": "Лягушка живёт", "shift_jis": "蛙の心臓", "cp1252": "“Frösche” – été"}
    text = said.get(encoding, "“Frösche” – été")
    source = page(ARTICLE.replace("The frog", text + " the frog"), charset=declared)
    assert text + " the frog" in read_html(source.encode(encoding)).text


@pytest.mark.parametrize("character", ["\x00", "\x01", "&#1;", "&#xFFFF;", "&#xD800;", "\x1b"])
def test_characters_that_no_text_should_hold(character):
    words = f"elsewhere{character} and {character}\n<math><mi>a{character}</mi></math>"
    text = read_html(page(ARTICLE.replace("elsewhere", words)).encode()).text
    assert "elsewhere" in text and "how often it does" in text
    assert not set(map(chr, [*range(9), *range(14, 32), 0xFFFF])) & set(text)


def test_broken_html_is_read():
    broken = ARTICLE.replace("</p>", "").replace("</li>", "").replace("</article>", "<div><p></b>")
    text = read_html(f"<html><body>{broken}".encode()).text
    assert "its heart has three chambers" in text and "how often it does" in text


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"   \n",
        b"<html></html>",
        b"\x00\x01\x02",
        b"%PDF-1.7 \xff\xfe\x00",
        f"<html><body>{NAVIGATION}</body></html>".encode(),
        f"<html><body>{NAVIGATION.replace('nav', 'div')}</body></html>".encode(),
        f"<html><body>{NAVIGATION * 40}<script>{ARTICLE}</script></body></html>".encode(),
        b"<html><body>" + b"<div>" * 5000 + b"</html>",
    ],
)
def test_pages_without_a_text_have_an_empty_one_and_log_nothing(data, caplog):
    with caplog.at_level(logging.WARNING):
        assert read_html(data).text == ""
    assert not caplog.records


def test_a_page_that_is_nothing_but_links_is_counted():
    links = "".join(f'<li><a href="/{number}">Chapter {number}</a></li>' for number in range(30))
    parsed = read_html(f"<html><body><h1>Frogs</h1><ul>{links}</ul></body></html>".encode())
    assert parsed.text == "" and parsed.left_out == {"link lists": 1}


def test_a_short_page_keeps_its_one_sentence():
    source = f"<html><body>{NAVIGATION}<p>A short page, which says one thing.</p></body></html>"
    assert read_html(source.encode()).text == "A short page, which says one thing."


def test_the_same_page_gives_the_same_text_every_time():
    first, other = read_html(page().encode()), page(ARTICLE.replace("heart", "lung")).encode()
    for _ in range(30):
        read_html(other)
    assert read_html(page().encode()) == first


def test_scripts_in_html_that_a_page_writes_about_stay():
    source = ARTICLE.replace("def beats()", "# 5 &lt;sup&gt;very long text that is no script")
    assert "<sup>very long text" in read_html(page(source).encode()).text


def test_without_trafilatura_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "trafilatura", None)
    with pytest.raises(CFTError, match=r"pip install 'axolotl-cft\[corpus\]'"):
        read_html(page().encode())
