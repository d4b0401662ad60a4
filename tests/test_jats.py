"""Articles in JATS become what a reader reads, and nothing of it twice or not at all."""

import html
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from axolotl_cft.corpus.building.jats import read_jats
from axolotl_cft.corpus.building.jats_text import list_mark
from axolotl_cft.corpus.building.lines import is_mark, tidy
from axolotl_cft.errors import CFTError

NAMESPACES = (
    'xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:mml="http://www.w3.org/1998/Math/MathML" '
    'xmlns:ali="http://www.niso.org/schemas/ali/1.0/"'
)
DOCTYPE = '<!DOCTYPE article PUBLIC "-//NLM//DTD JATS (Z39.96) v1.2//EN" "JATS-archive1.dtd">'


def article(body="", meta="", back="", journal="", doctype=DOCTYPE):
    return (
        f'{doctype}<article {NAMESPACES} article-type="research-article" xml:lang="en">'
        f"<front><journal-meta>{journal}</journal-meta><article-meta>{meta}</article-meta></front>"
        f"<body>{body}</body><back>{back}</back></article>"
    ).encode()


def read(*args, **kwargs):
    [parsed] = read_jats(article(*args, **kwargs))
    return parsed


def line(inside):
    """What becomes of a paragraph."""
    return read(f"<p>{inside}</p>").text


def math(inside):
    return line(f"<inline-formula><mml:math>{inside}</mml:math></inline-formula>")


# --- Titles, markup and scripts -------------------------------------------------------------------


def titled(title, more=""):
    return read(meta=f"<title-group><article-title>{title}</article-title>{more}</title-group>")


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("On the <italic>heart</italic> of frogs", "On the heart of frogs"),
        ("<bold>On <italic>H<sub>2</sub>O</italic></bold> and CO<sub>2</sub>", "On H2O and CO2"),
        ('The heart<xref ref-type="fn" rid="f1">*</xref> of frogs', "The heart of frogs"),
        ('The heart<xref ref-type="fn" rid="f1"><sup>1</sup></xref>', "The heart"),
        ("The heart<fn><p>A prize essay.</p></fn> of frogs", "The heart of frogs"),
        ("The\n   heart<break/>of <named-content>frogs</named-content>", "The heart of frogs"),
        (
            "Hearts &amp; minds: &alpha;&ndash;&beta; at 5&thinsp;&deg;C",
            "Hearts & minds: α–β at 5 °C",
        ),
    ],
)
def test_a_title_is_whole_whatever_markup_is_in_it(title, expected):
    assert titled(title).title == expected
    assert titled(title).text == expected


def test_a_subtitle_belongs_to_the_title():
    assert titled("Frogs", "<subtitle>their hearts</subtitle>").title == "Frogs: their hearts"


def test_a_footnote_of_the_title_is_counted_and_not_among_the_notes():
    parsed = titled("The heart<fn><p>A prize essay.</p></fn>")
    assert "prize" not in parsed.text and parsed.left_out["footnotes"] == 1


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("H<sub>2</sub>O", "H2O"),
        ("C<sub>6</sub>H<sub>12</sub>O<sub>6</sub>", "C6H12O6"),
        ("Ca(OH)<sub>2</sub>", "Ca(OH)2"),
        ("PM<sub>2.5</sub>", "PM2.5"),
        ("10<sup>−3</sup> mol", "10^-3 mol"),
        ("10<sup>&#8211;3</sup> mol", "10^-3 mol"),
        ("10<sup>-12</sup>", "10^-12"),
        ("10 <sup>−3</sup> mol", "10 ^-3 mol"),
        ("5 m s<sup>−1</sup>", "5 m s^-1"),
        ("37<sup>o</sup>C, 7<sup>o</sup>", "37°C, 7^o"),
        ("HbA<sub>1c</sub>, 5-HT<sub>2A</sub>, T<sub>1/2</sub>", "HbA1c, 5-HT2A, T_{1/2}"),
        ("m<sup>−2</sup>s<sup>−1</sup>", "m^{-2}s^-1"),
        ("cm<sup>2</sup>", "cm^2"),
        ("Ca<sup>2+</sup>", "Ca2+"),
        ("Na<sup>+</sup>", "Na+"),
        ("CD4<sup>+</sup>", "CD4+"),
        ("NO<sub>3</sub><sup>−</sup>", "NO3−"),
        ("SO<sub>4</sub><sup>2−</sup>", "SO4^2−"),
        ("[Ru(bpy)<sub>3</sub>]<sup>2+</sup>", "[Ru(bpy)3]2+"),
        ("the <sup>13</sup>C and <sup>3</sup>H", "the 13C and 3H"),
        ("the 1<sup>st</sup> and the n<sup>th</sup>", "the 1st and the nth"),
        ("V<sub>max</sub>", "V_max"),
        ("<italic>x</italic><sub><italic>i</italic>+1</sub>", "x_{i+1}"),
        ("x<sub>i</sub><sup>2</sup>", "x_i^2"),
        ("x<sub>i</sub>y", "x_{i}y"),
        ("P<sub>CO<sub>2</sub></sub>", "P_CO2"),
        ("log<sub>10</sub> 5", "log10 5"),
        ("F<sub>(1, 20)</sub>", "F(1, 20)"),
        ("101<sub>2</sub>", "101_2"),
        ("Apc<sup>Min/+</sup>", "Apc^{Min/+}"),
        ("p53<sup>−/−</sup>", "p53−/−"),
        ("x<sup>2</sup>+ 3", "x^2+ 3"),
        ("Brand<sup>®</sup>", "Brand®"),
        ("2<sup>x<sup>2</sup></sup>", "2^{x^2}"),
    ],
)
def test_scripts_are_written_as_people_write_them_in_plain_text(markup, expected):
    assert line(markup) == expected


def test_white_space_is_single_and_what_is_invisible_goes():
    assert (
        line("10&#8201;mg&#160;of\n   a\tmix&#173;ture &#8203; here\ufeff")
        == "10 mg of a mixture here"
    )
    assert line("العر\u200cبية") == "العر\u200cبية"  # this joiner is spelling


def test_character_data_comments_and_instructions():
    assert line("a <![CDATA[<b> & &alpha;]]> c<!-- no --> d<?break no?>e") == "a <b> & &alpha; c de"


# --- Citations and cross references ---------------------------------------------------------------

BIBR = '<xref ref-type="bibr" rid="b1">{}</xref>'


def cite(text):
    """A text in which {12} is a citation mark."""
    import re

    return re.sub(r"\{([^}]*)\}", lambda found: BIBR.format(found[1]), text)


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("as shown [{1},{2}].", "as shown."),
        ("as shown [{1}, {2}–{5}], and", "as shown, and"),
        ("as shown [{1}]–[{3}].", "as shown."),
        ("as shown {[1]}, {[2]}.", "as shown."),
        ("as shown<sup>{12},{13}</sup>. Then", "as shown. Then"),
        ("as shown.<sup>{12}–{14}</sup> Then", "as shown. Then"),
        ("as shown{<sup>1</sup>}<sup>,</sup>{<sup>2</sup>} before", "as shown before"),
        ("as shown ({1}, {2} and {3}) before", "as shown before"),
        ("as shown (see {1}; reviewed in {2}) before", "as shown before"),
        ("as shown (e.g., refs. {1} and {2}).", "as shown."),
        ("as shown [{1},2,{3}].", "as shown."),
        ("as shown [for a review, see {1}, p. 12].", "as shown."),
        ("3 cm<sup>2 {4}</sup>", "3 cm^2"),
        ("3 cm<sup>2,{4}</sup>", "3 cm"),  # as authors cite: 2 and 4
        ("half of them (12; {4})", "half of them (12)"),
        ("(2.5, {4}) or [0.5; {4}]", "(2.5) or [0.5]"),
        ("(Fig. 2; {1})", "(Fig. 2)"),
        ("({1}; Fig. 2)", "(Fig. 2)"),
        ("Darwin et al. {12} showed", "Darwin et al. showed"),
        ("as shown{} here", "as shown here"),
        ("({Darwin, 1859}; {Wallace et al., 1858a})", "(Darwin, 1859; Wallace et al., 1858a)"),
        ("{Darwin (1859)} and Wallace ({1858})", "Darwin (1859) and Wallace (1858)"),
        ("a range [1, 2] of f(3)", "a range [1, 2] of f(3)"),
    ],
)
def test_citation_numbers_go_with_their_brackets_and_names_stay(markup, expected):
    assert line(cite(markup)) == expected


def test_citation_marks_are_counted():
    assert read(cite("<p>as shown [{1},{2}].</p>")).left_out["citation marks"] == 2


def test_a_citation_without_a_type_is_known_by_what_it_points_to():
    back = '<ref-list><ref id="b1"/><ref id="b2"/></ref-list>'
    parsed = read(
        '<p>Known [<xref rid="b1">1</xref>] (<xref rid="t">Table 1</xref>).</p>', back=back
    )
    assert parsed.text == "Known (Table 1)."
    assert parsed.left_out["references"] == 2


def test_references_to_figures_tables_equations_and_sections_stay():
    kinds = ("fig", "table", "disp-formula", "sec", "app", "boxed-text", "supplementary-material")
    said = " and ".join(f'<xref ref-type="{kind}" rid="x">{kind} 1</xref>' for kind in kinds)
    assert line(f"See {said}.") == "See " + " and ".join(f"{kind} 1" for kind in kinds) + "."


@pytest.mark.parametrize("text", ["12", "3, 4", "2–5", "[7]", "*", "†", "4a", ""])
def test_numbers_and_signs_are_marks(text):
    assert is_mark(text)


@pytest.mark.parametrize("text", ["2001", "Darwin", "1858a", "Smith-Jones 2001", "Table 1"])
def test_names_and_years_are_no_marks(text):
    assert not is_mark(text)


# --- Formulas -------------------------------------------------------------------------------------


def mml(source):
    """MathML from a short form: every tag gets its prefix."""
    import re

    return math(re.sub(r"<(/?)(m\w+)", r"<\1mml:\2", source))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<mi>E</mi><mo>=</mo><mi>m</mi><msup><mi>c</mi><mn>2</mn></msup>", "E = mc^2"),
        ("<mfrac><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow><mi>c</mi></mfrac>", "(a + b)/c"),
        ("<mfrac><mi>a</mi><mrow><mn>2</mn><mi>b</mi></mrow></mfrac>", "a/2b"),
        ("<msqrt><mi>x</mi><mo>+</mo><mn>1</mn></msqrt>", "√(x + 1)"),
        ("<msqrt><mi>x</mi></msqrt>", "√(x)"),
        ("<mroot><mi>x</mi><mn>3</mn></mroot>", "√[3](x)"),
        ("<msub><mi>x</mi><mrow><mi>i</mi><mo>+</mo><mn>1</mn></mrow></msub>", "x_{i + 1}"),
        ("<msup><mn>10</mn><mrow><mo>−</mo><mn>3</mn></mrow></msup>", "10^-3"),
        ("<msubsup><mi>x</mi><mi>i</mi><mn>2</mn></msubsup><mi>y</mi>", "x_i^2 y"),
        ("<msup><mi>f</mi><mo>′</mo></msup><mo>(</mo><mi>x</mi><mo>)</mo>", "f′(x)"),
        (
            "<munderover><mo>∑</mo><mrow><mi>i</mi><mo>=</mo><mn>1</mn></mrow><mi>n</mi>"
            "</munderover>"
            "<msub><mi>x</mi><mi>i</mi></msub>",
            "∑_{i = 1}^n x_i",
        ),
        ("<mover><mi>x</mi><mo>¯</mo></mover><mo>≤</mo><mo>−</mo><mn>1</mn>", "x̄ ≤ −1"),
        ("<mi>sin</mi><mo>\u2061</mo><mi>x</mi>", "sin x"),
        ("<mn>2</mn><mo>\u2062</mo><mi>x</mi>", "2x"),
        ("<mi>m</mi><mi>a</mi><mi>x</mi>", "max"),
        ("<msup><mrow/><mn>13</mn></msup><mi>C</mi>", "^13C"),
        ("<mfenced open='[' close=']'><mi>a</mi><mi>b</mi></mfenced>", "[a, b]"),
        (
            "<mo>(</mo><mtable><mtr><mtd><mi>a</mi></mtd><mtd><mi>b</mi></mtd></mtr>"
            "<mtr><mtd><mi>c</mi></mtd><mtd><mn>0</mn></mtd></mtr></mtable><mo>)</mo>",
            "(a b; c 0)",
        ),
        ("<mi>x</mi><mtext> if </mtext><mi>y</mi><mo>&gt;</mo><mn>0</mn>", "x if y > 0"),
        (
            "<mmultiscripts><mi>C</mi><mprescripts/><mn>6</mn><mn>14</mn></mmultiscripts>",
            "_6^14C",
        ),
        ("<mfrac linethickness='0'><mi>n</mi><mi>k</mi></mfrac>", "(n choose k)"),
        ("<mstyle><mi>a</mi><mphantom><mi>b</mi></mphantom></mstyle>", "a"),
    ],
)
def test_mathml_is_readable(source, expected):
    assert mml(source) == expected


def test_mathml_without_a_prefix():
    own = '<math xmlns="http://www.w3.org/1998/Math/MathML"><mi>a</mi><mo>=</mo><mi>b</mi></math>'
    assert line(f"where <inline-formula>{own}</inline-formula> holds") == "where a = b holds"


TEX = (
    "<tex-math><![CDATA[\\documentclass{minimal}\\usepackage{amsmath}\n\\begin{document}"
    "$$\\frac{a}{b} % no\n < 5\\%$$\\end{document}]]></tex-math>"
)
MATHML = "<mml:math><mml:mi>a</mml:mi></mml:math>"


def test_tex_is_taken_before_mathml_and_never_both():
    both = f"<alternatives><graphic/>{MATHML}{TEX}</alternatives>"
    expected = "\\frac{a}{b} < 5\\%"
    assert line(f"so <inline-formula>{both}</inline-formula>.") == f"so ${expected}$."
    assert line(f"so <inline-formula>{MATHML}{TEX}</inline-formula>.") == f"so ${expected}$."
    assert line(f"so <disp-formula>{both}</disp-formula>") == f"so\n$${expected}$$"
    assert not read(f"<p><inline-formula>{both}</inline-formula></p>").left_out


@pytest.mark.parametrize(
    "source",
    ["a=b", "$a=b$", "\\(a=b\\)", "\\[ a=b \\]", "\\begin{equation*} a=b\n\\end{equation*}",
     "\\documentclass{x}\\begin{document}$$ a=b $$"],
)  # fmt: skip
def test_tex_loses_delimiters_of_its_own(source):
    tex = f"<tex-math>{source}</tex-math>"
    assert line(f"so <inline-formula>{tex}</inline-formula>") == "so $a=b$"


def test_tex_within_mathml_is_taken():
    source = (
        "<mml:semantics><mml:mrow><mml:mi>a</mml:mi></mml:mrow>"
        '<mml:annotation encoding="application/x-tex">\\alpha</mml:annotation></mml:semantics>'
    )
    assert math(source) == "\\alpha"


def test_a_displayed_formula_has_its_own_line_and_its_number():
    formula = f'<disp-formula id="e1"><label>(1)</label>{MATHML}</disp-formula>'
    assert line(f"It holds {formula} for all.") == "It holds\na (1)\nfor all."


def test_formulas_that_are_images_are_counted():
    parsed = read(
        "<p>so <inline-formula><inline-graphic/></inline-formula> and"
        "<disp-formula><label>(1)</label><graphic/></disp-formula> and <inline-graphic/></p>"
    )
    assert parsed.text == "so and and"
    assert parsed.left_out == {"formulas as images": 2, "inline graphics": 1}


# --- Lists, tables, figures, boxes ----------------------------------------------------------------


def test_lists_have_marks_and_nested_lists_are_indented():
    item = "<list-item><p>{}</p></list-item>"
    inner = f'<list list-type="bullet">{item.format("in")}{item.format("in2")}</list>'
    body = (
        f'<p>These:<list list-type="order"><list-item><p>one</p>{inner}</list-item>'
        "<list-item><p>two</p><p>more</p></list-item></list>and on.</p>"
    )
    assert read(body).text == "These:\n\n1. one\n  - in\n  - in2\n2. two\n  more\n\nand on."


def test_labels_of_list_items_stand_for_marks():
    body = '<list list-type="order"><list-item><label>(i)</label><p>one</p></list-item></list>'
    assert read(body).text == "(i) one"
    assert read('<list list-type="simple"><list-item><p>one</p></list-item></list>').text == "one"


def test_marks_of_lists():
    assert [list_mark("roman-lower", number) for number in (1, 9, 14)] == ["i.", "ix.", "xiv."]
    assert list_mark("alpha-upper", 3) == "C." and list_mark("alpha-lower", 27) == "27."


def test_definition_lists_keep_term_and_definition():
    body = (
        "<def-list><title>Words</title><def-item><term>Frog</term><def><p>An animal.</p></def>"
        "</def-item><def-item><term>CO<sub>2</sub></term><def><p>A gas.</p><p>Heavy.</p></def>"
        "</def-item></def-list>"
    )
    assert read(body).text == "Words\n\nFrog: An animal.\nCO2: A gas. Heavy."


TABLE = (
    "<table-wrap><label>Table 1</label><caption><title>Beats</title><p>By frog.</p></caption>"
    "<table><thead><tr><th rowspan='2'>Frog</th><th colspan='2'>Beats</th></tr>"
    "<tr><th>cold</th><th>warm<xref ref-type='table-fn' rid='t1'><sup>a</sup></xref></th></tr>"
    "</thead>"
    "<tbody><tr><td>Green</td><td>40</td><td/></tr>"
    "<tr><td rowspan='0'>Brown</td><td>41 <break/>or 42</td><td><p>60</p><p>70</p></td></tr>"
    "<tr><td colspan='2'>none</td></tr></tbody></table>"
    "<table-wrap-foot><fn id='t1'><label>a</label><p>At 20 °C.</p></fn>"
    "<fn><p><sup>b</sup>Not seen.</p></fn></table-wrap-foot></table-wrap>"
)


def test_every_row_of_a_table_stands_by_itself():
    assert read(TABLE).text == (
        "Table 1. Beats. By frog.\n\nFrog | Beats | Beats\nFrog | cold | warm^a\nGreen | 40 | \n"
        "Brown | 41 or 42 | 60 70\nBrown | none | none\n\na At 20 °C.\nb Not seen."
    ).replace("40 | \n", "40 |\n")


def test_of_a_table_and_its_image_the_table_is_taken():
    table = "<table><tr><td>a</td></tr></table>"
    both = f"<table-wrap><alternatives><graphic/>{table}</alternatives></table-wrap>"
    assert read(both).text == "a" and not read(both).left_out
    image = read(
        "<table-wrap><label>Table 2</label><caption><p>Beats.</p></caption><graphic/></table-wrap>"
    )
    assert image.text == "Table 2. Beats." and image.left_out == {"tables as images": 1}


def oasis(rows, specs=""):
    return read(
        f"<table-wrap><table><tgroup cols='3'>{specs}<tbody>{rows}</tbody></tgroup></table>"
        "</table-wrap>"
    ).text


def test_cells_of_an_oasis_table_find_their_columns():
    specs = "".join(f"<colspec colname='c{number}'/>" for number in (1, 2, 3))
    entry, row = "<entry {}>{}</entry>".format, "<row>{}</row>".format
    rows = row(entry("morerows='1'", "a") + entry("namest='c2' nameend='c3'", "b"))
    rows += row(entry("colname='c3'", "c")) + row(entry("colname='c2'", "d"))
    assert oasis(rows, specs) == "a | b | b\na | | c\n| d"
    # Names that nothing declares, columns that lie behind, and words for numbers.
    wrong = row(entry("colname='x'", "a") + entry("nameend='c1' morerows='x'", "b"))
    assert oasis(wrong + row(entry("", "c") + entry("colname='c1'", "d")), specs) == "a | b\nc | d"
    two = f"<tgroup><tbody>{row(entry('', 'a'))}</tbody></tgroup>" * 2
    assert read(f"<table>{two}</table>").text == "a\na"


def test_marks_of_notes_below_a_table_stand_apart():
    notes = "<p><sup>a</sup>At 20 °C. <sup>b</sup>Of <sup>13</sup>C. <sup>c</sup> Apart.</p>"
    table = f"<table-wrap><table-wrap-foot>{notes}</table-wrap-foot></table-wrap>"
    assert read(table).text == "a At 20 °C. b Of 13C. c Apart."


def test_spans_that_overlap_reach_too_far_or_are_no_numbers():
    rows = (
        "<tr><td>a</td><td rowspan='9'>b</td></tr><tr><td colspan='3'>c</td></tr>"
        "<tr><td colspan='-1' rowspan='x'>d</td></tr><tr/>"
    )
    assert read(f"<table>{rows}</table>").text == "a | b\nc | c | c\nd"


def test_a_column_below_an_empty_one():
    rows = "<tr><td>a</td><td>b</td><td rowspan='2'>c</td></tr><tr><td>d</td></tr>"
    assert read(f"<table>{rows}</table>").text == "a | b | c\nd | | c"


def test_spans_cannot_make_a_small_file_large():
    for cells in (
        "<td colspan='1000' rowspan='99999'>frog</td>",
        "<td rowspan='9999'>f</td>" * 1000,
    ):
        data = article(f"<table><tr>{cells}</tr>{'<tr/>' * 30_000}</table>")
        [parsed] = read_jats(data)
        assert len(parsed.text) < 3_000_000
    specs = "".join(f"<colspec colname='c{number}'/>" for number in range(2000))
    rows = "<row><entry colname='c900'>f</entry></row>" * 20_000
    assert len(oasis(rows, specs)) < 3_000_000


def test_captions_stay_with_the_label_and_images_are_counted():
    parsed = read(
        '<fig id="f"><label>Figure 1</label><caption><title>Hearts</title><p>Beating.</p></caption>'
        "<graphic/><permissions><copyright-statement>©</copyright-statement></permissions></fig>"
        "<fig><label>Figure 2</label><alt-text>heart.tif</alt-text><graphic/></fig>"
    )
    assert parsed.text == "Figure 1. Hearts. Beating." and parsed.left_out == {"figures": 2}


def test_a_group_of_figures_has_a_caption_of_its_own():
    one = "<fig><label>A</label><caption><p>Left.</p></caption></fig>"
    body = f"<fig-group><label>Fig. 1</label><caption><title>All</title></caption>{one}</fig-group>"
    assert read(body).text == "Fig. 1. All\n\nA. Left."


def test_boxes_quotations_statements_and_speech():
    body = (
        "<boxed-text><caption><title>Box 1</title></caption><p>In it.</p></boxed-text>"
        "<disp-quote><p>Nature loves to hide.</p><attrib>Heraclitus</attrib></disp-quote>"
        "<statement><label>Theorem 1</label><title>(Main)</title><p>It holds.</p></statement>"
        "<speech><speaker>Frog:</speaker><p>Brek!</p></speech>"
    )
    assert read(body).text.split("\n\n") == [
        "Box 1", "In it.", "Nature loves to hide.", "Heraclitus",
        "Theorem 1 (Main)", "It holds.", "Frog: Brek!",
    ]  # fmt: skip


def test_verses_have_lines_and_code_keeps_its_white_space():
    verse = "<verse-group><title>Ode</title><verse-line>O frog</verse-line>{}</verse-group>"
    inner = "<verse-group><verse-line>O <italic>pond</italic></verse-line></verse-group>"
    code = "<code>\n\nif a &lt; b:\n    return  1\n</code>"
    preformat = "<preformat xml:space='preserve'>a\n\n  b<sup>2</sup></preformat>"
    assert (
        read(verse.format("<verse-line>!</verse-line>" + inner)).text
        == "Ode\n\nO frog\n!\n\nO pond"
    )
    assert read(f"<p>So:{code}and {preformat}</p>").text == (
        "So:\n\nif a < b:\n    return  1\n\nand\n\na\n\n  b^2"
    )


def test_sections_have_titles_on_lines_of_their_own():
    body = (
        "<sec><label>1</label><title>Hearts</title><p>A.</p><sec><label>1.1.</label>"
        "<title><italic>Rana</italic></title><p>B.</p></sec></sec>"
        "<sec><title>Ends</title><p>C.</p></sec>"
    )
    assert read(body).text == "1 Hearts\n\nA.\n\n1.1. Rana\n\nB.\n\nEnds\n\nC."


# --- Front and back -------------------------------------------------------------------------------


def test_the_main_abstract_and_summaries_stay_and_teasers_go():
    parsed = read(
        meta="<abstract><sec><title>Aim</title><p>To know.</p></sec>"
        "<sec><title>Result</title><p>We do."
        '</p></sec></abstract><abstract abstract-type="graphical"><p>Picture.</p></abstract>'
        '<abstract abstract-type="summary"><title>Author summary</title><p>Frogs have hearts.</p>'
        '</abstract><trans-abstract xml:lang="fr"><p>Savoir.</p></trans-abstract>'
    )
    assert parsed.text.split("\n\n") == [
        "Abstract", "Aim", "To know.", "Result", "We do.", "Author summary", "Frogs have hearts.",
    ]  # fmt: skip
    assert parsed.left_out == {"other abstracts": 2}


def test_what_is_in_another_language_than_the_article_is_counted():
    parsed = read(
        meta='<abstract xml:lang="en-GB"><p>To know.</p></abstract>'
        '<abstract xml:lang="es"><p>Saber.</p></abstract>'
        '<kwd-group xml:lang="en"><kwd>frog</kwd></kwd-group>'
        '<kwd-group xml:lang="pt"><kwd>sapo</kwd></kwd-group>'
    )
    assert parsed.text == "Abstract\n\nTo know.\n\nKeywords: frog"
    assert parsed.left_out == {"other abstracts": 1, "other keywords": 1}


def test_keywords_of_parts_and_the_commas_between_them():
    meta = (
        "<kwd-group><kwd>frog</kwd><x>, </x><compound-kwd><compound-kwd-part>HR</compound-kwd-part>"
        "<compound-kwd-part>heart rate</compound-kwd-part></compound-kwd></kwd-group>"
    )
    assert read(meta=meta).text == "Keywords: frog; HR: heart rate"


def test_an_abbreviation_has_its_meaning_in_parentheses():
    said = "in <abbrev>HF<def><p>heart failure</p></def></abbrev> and <abbrev>HR</abbrev>"
    assert line(said) == "in HF (heart failure) and HR"


def test_floats_stand_at_the_end_as_they_did_in_nlm_2():
    floats = "<floats-wrap><fig><caption><p>A frog.</p></caption></fig></floats-wrap></article>"
    [parsed] = read_jats(article("<p>Body.</p>").replace(b"</article>", floats.encode()))
    assert parsed.text == "Body.\n\nA frog."


def test_keywords_are_a_line():
    meta = (
        "<kwd-group><kwd>frog</kwd><kwd><italic>Rana</italic></kwd></kwd-group>"
        '<kwd-group kwd-group-type="MeSH"><kwd>Anura</kwd></kwd-group>'
    )
    assert read(meta=meta).text == "Keywords: frog; Rana"


def test_the_order_is_that_of_the_page():
    [parsed] = read_jats(
        article(
            "<p>Body.</p>",
            meta="<title-group><article-title>Title</article-title></title-group>"
            "<abstract><p>Short.</p></abstract>",
            back="<app-group><app><title>Appendix A</title><p>More.</p></app></app-group>"
            "<glossary><def-list><def-item><term>T</term><def><p>d.</p></def></def-item></def-list>"
            "</glossary>",
        ).replace(
            b"<back>",
            b"<floats-group><fig><caption><p>Fig.</p></caption></fig></floats-group><back>",
        )
    )
    expected = "Title|Abstract|Short.|Body.|Fig.|Appendix A|More.|T: d."
    assert parsed.text.split("\n\n") == expected.split("|")


def test_what_is_not_the_authors_subject_is_left_out_and_counted():
    parsed = read(
        "<sec><title>Hearts</title><p>Body.</p><supplementary-material><p>S1</p></supplementary-material>"
        '<media/></sec><sec sec-type="COI-statement"><title>Interests</title><p>None.</p></sec>'
        "<sec><title>5. Data Availability Statement</title><p>On request.</p></sec>",
        meta="<aff>Pond</aff><aff>Lake</aff><author-notes><corresp>a@b</corresp></author-notes>",
        back="<ack><p>Thanks.</p></ack><notes><p>Funded.</p></notes><bio><p>Born.</p></bio>"
        "<sec><title>Funding</title><p>Gold.</p></sec>"
        '<fn-group><title>Footnotes</title><fn fn-type="con"><p>AB did it.</p></fn></fn-group>'
        "<ref-list><title>References</title><ref><mixed-citation>Book</mixed-citation></ref></ref-list>",
    )
    assert parsed.text == "Hearts\n\nBody."
    assert parsed.left_out == {
        "supplementary materials": 1, "media": 1, "declarations": 4, "acknowledgements": 1,
        "biographies": 1, "footnotes": 1, "references": 1, "affiliations": 2, "author notes": 1,
    }  # fmt: skip


@pytest.mark.parametrize("title", ["Funding of ponds", "Data", "Author of the frogs", "Ethics"])
def test_sections_that_are_named_almost_like_declarations_stay(title):
    assert read(f"<sec><title>{title}</title><p>Text.</p></sec>").text == f"{title}\n\nText."


@pytest.mark.parametrize(
    "title",
    """
    Acknowledgments|Competing interests|Conflict of interest statement|Authors' contributions
    |Data availability statement|Availability of data and materials|Publisher’s Note|7. Funding.
    |Declaration of competing interest|CRediT authorship contribution statement|Disclosure
    |Ethics approval and consent to participate|Generative AI statement|Pre-publication history
    """.replace("\n", "")
    .strip()
    .split("|"),
)
def test_sections_of_declarations_are_known_by_their_titles(title):
    parsed = read(f"<sec><title>{title.strip()}</title><p>Text.</p></sec>")
    assert parsed.text == "" and parsed.left_out == {"declarations": 1}


@pytest.mark.parametrize(
    "title", ["Supporting Information", "Appendix A. Supplementary data", "Additional files"]
)
def test_sections_of_supplements_are_known_by_their_titles(title):
    parsed = read(f"<sec><title>{title}</title><p>Text.</p></sec>")
    assert parsed.text == "" and parsed.left_out == {"supplementary materials": 1}


def test_paragraphs_that_only_hold_an_address_of_a_part_go():
    doi = "<p><bold>DOI:</bold> <ext-link>http://dx.doi.org/10.1234/frog.001</ext-link></p>"
    assert read(f"<fig><caption><p>A frog.</p>{doi}</caption></fig>{doi}").text == "A frog."


def test_footnotes_that_the_text_points_to_stand_at_the_end():
    parsed = read(
        '<p>A frog<xref ref-type="fn" rid="f1"><sup>1</sup></xref> is'
        "<fn><p>Or was.</p></fn> here.</p>",
        back='<fn-group><fn id="f1"><label>1</label><p>The green one.</p></fn></fn-group>',
    )
    assert parsed.text == "A frog is here.\n\nNotes\n\nOr was.\n\nThe green one."
    assert not parsed.left_out


def test_other_articles_within_an_article_are_left_out():
    data = article("<p>Paper.</p>").replace(
        b"</article>",
        b"<sub-article><body><p>Review.</p></body></sub-article>"
        b"<response><body><p>No.</p></body></response></article>",
    )
    [parsed] = read_jats(data)
    assert parsed.text == "Paper." and parsed.left_out == {"sub-articles": 2}


# --- Metadata -------------------------------------------------------------------------------------


def test_metadata():
    parsed = read(
        journal="<journal-title-group><journal-title>Frogs &amp; Ponds</journal-title>"
        "</journal-title-group>",
        meta='<article-id pub-id-type="pmid">7</article-id>'
        '<article-id pub-id-type="doi">https://doi.org/10.1234/frog(1)</article-id>',
    )
    assert (parsed.journal, parsed.doi) == ("Frogs & Ponds", "10.1234/frog(1)")
    assert parsed.url == "https://doi.org/10.1234/frog(1)"
    assert (parsed.language, parsed.article_type) == ("en", "research-article")
    assert (parsed.title, parsed.date, parsed.licence) == (None, None, None)


@pytest.mark.parametrize(
    ("meta", "url"),
    [
        (
            '<article-id pub-id-type="pmc">12</article-id>',
            "https://pmc.ncbi.nlm.nih.gov/articles/PMC12/",
        ),
        ('<article-id pub-id-type="pmid">7</article-id>', "https://pubmed.ncbi.nlm.nih.gov/7/"),
        ('<self-uri xlink:href="https://frogs.example/1"/>', "https://frogs.example/1"),
        ('<self-uri xlink:href="1.pdf"/>', None),
    ],
)
def test_the_address_without_a_doi(meta, url):
    assert read(meta=meta).url == url


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        (
            '<pub-date pub-type="ppub"><month>05</month><year>2021</year></pub-date>'
            '<pub-date pub-type="epub"><day>3</day><month>4</month><year>2021</year></pub-date>'
            '<pub-date pub-type="collection"><year>2021</year></pub-date>',
            "2021-04-03",
        ),
        ('<pub-date date-type="pub"><month>Sept</month><year>1899</year></pub-date>', "1899-09"),
        ('<pub-date iso-8601-date="2020-02-29"><year>2020</year></pub-date>', "2020-02-29"),
        ("<pub-date><day>31</day><month>2</month><year>2020</year></pub-date>", "2020-02"),
        ("<pub-date><season>Spring</season><year>2020</year></pub-date>", "2020"),
        ("<pub-date><string-date>In the spring of 1999</string-date></pub-date>", "1999"),
        ('<pub-date pub-type="pmc-release"><year>2001</year></pub-date>', None),
        ("<pub-date><year>MMXX</year></pub-date>", None),
    ],
)
def test_the_date_is_the_earliest_of_publication(dates, expected):
    assert read(meta=dates).date == expected


CC = "https://creativecommons.org/licenses/by/4.0/"


@pytest.mark.parametrize(
    ("license", "expected"),
    [
        (
            f'<permissions><license xlink:href="{CC}"><license-p>Open.</license-p></license>'
            "</permissions>",
            CC,
        ),
        (
            f"<permissions><license><ali:license_ref>{CC}</ali:license_ref></license></permissions>",
            CC,
        ),
        (f"<permissions><ali:license_ref>{CC}</ali:license_ref></permissions>", CC),
        (
            '<permissions><license><ali:license_ref specific-use="tdm">https://a.example/tdm'
            '</ali:license_ref></license><license xlink:href="https://a.example/by"/></permissions>',
            "https://a.example/by",
        ),
        (
            f'<permissions><license xlink:href="https://a.example/x"/><license xlink:href="{CC}"/>'
            "</permissions>",
            CC,
        ),
        (f"<permissions><license><p>Open ({CC}), free.</p></license></permissions>", CC),
        (
            f'<permissions><license><license-p>It is <ext-link xlink:href="{CC}">CC BY</ext-link>'
            "</license-p></license></permissions>",
            CC,
        ),
        (
            "<permissions><license><license-p>Free for\n <italic>all</italic>.</license-p>"
            "</license></permissions>",
            "Free for all.",
        ),
        (f"<copyright-statement>© 2004 A; licensee B. {CC}.</copyright-statement>", CC),
        ("<copyright-statement>© 2004 A. All rights reserved.</copyright-statement>", None),
        ('<permissions><license license-type="open-access"/></permissions>', "open-access"),
    ],
)
def test_the_license_is_an_address_before_words(license, expected):
    assert read(meta=license).licence == expected


def test_the_license_of_a_figure_is_not_that_of_the_article():
    body = f'<fig><permissions><license xlink:href="{CC}"/></permissions></fig>'
    assert read(body).licence is None


# --- Files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrapped",
    [
        "<pmc-articleset>{0}{0}</pmc-articleset>",
        '<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/"><ListRecords><record><metadata>{0}'
        "</metadata></record><record><metadata>{0}</metadata></record></ListRecords></OAI-PMH>",
    ],
)
def test_several_articles_in_one_file(wrapped):
    one = article("<p>A frog.</p>", doctype="").decode()
    assert [parsed.text for parsed in read_jats(wrapped.format(one).encode())] == ["A frog."] * 2


@pytest.mark.parametrize("prefix", ["", "j:"])
def test_jats_in_a_namespace(prefix):
    declared = f'xmlns{prefix and ":j"}="https://jats.nlm.nih.gov/ns/archiving/1.3/"'
    data = (
        f"<{prefix}article {declared}><{prefix}body><{prefix}p>H<{prefix}sub>2</{prefix}sub>O"
        f"</{prefix}p></{prefix}body></{prefix}article>"
    )
    assert read_jats(data.encode())[0].text == "H2O"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1", "windows-1252"])
def test_encodings_that_the_file_declares(encoding):
    text = f'<?xml version="1.0" encoding="{encoding}"?>'
    text += "<article><body><p>Müßig à Gö</p></body></article>"
    assert read_jats(text.encode(encoding))[0].text == "Müßig à Gö"


def test_white_space_before_the_declaration():
    assert read_jats(b'\n\n<?xml version="1.0"?>' + article("<p>a</p>"))[0].text == "a"


@pytest.mark.parametrize("doctype", [DOCTYPE, ""])
def test_named_characters_need_no_dtd(doctype):
    parsed = read("<p>&alpha;&nbsp;&lt;&eacute; &hArr; <![CDATA[&beta;]]></p>", doctype=doctype)
    assert parsed.text == "α <é ⇔ &beta;" and not parsed.left_out


def test_characters_that_the_file_declares_itself():
    doctype = DOCTYPE.replace(">", ' [<!ENTITY frog "&#128056;"><!ENTITY b "<bold>x</bold>">]>')
    parsed = read("<p>a &frog; &b; &nobody; c</p>", doctype=doctype)
    assert parsed.text == "a 🐸 c" and parsed.left_out == {"unknown entities": 2}


def test_no_other_file_is_read(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    for declared in (
        f'<!DOCTYPE article [<!ENTITY x SYSTEM "{secret.as_uri()}">]>',
        f'<!DOCTYPE article [<!ENTITY % p SYSTEM "{secret.as_uri()}"> %p;]>',
        f'<!DOCTYPE article SYSTEM "{secret.as_uri()}">',
    ):
        assert "secret" not in read("<p>a &x; b</p>", doctype=declared).text


def test_no_address_is_asked(monkeypatch):
    import socket

    monkeypatch.setattr(socket, "socket", None)
    entity = '<!ENTITY x SYSTEM "http://127.0.0.1:9/">'
    doctype = f'<!DOCTYPE article SYSTEM "http://127.0.0.1:9/a.dtd" [{entity}]>'
    assert read("<p>a &x; b</p>", doctype=doctype).text == "a b"


def test_entities_that_multiply_are_refused_at_once():
    levels = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(12))
    doctype = f'<!DOCTYPE article [<!ENTITY l0 "ha">{levels}]>'
    started = time.monotonic()
    try:
        text = read("<p>&l12;</p>", doctype=doctype).text
    except CFTError:
        text = ""
    assert len(text) < 100
    with pytest.raises(CFTError, match="entity"):
        read('<p id="&l12;">a</p>', doctype=doctype)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not well-formed XML"),
        (b"hello", "not well-formed XML"),
        (b"\x1f\x8b\x08\x00", "not well-formed XML"),
        (b"<article><body><p>a</body></article>", "tag mismatch.*line 1.*mend or remove the file"),
        (b"<article><body><p>&nobody;</p></body></article>", "nobody"),
        (b"<article><body>\xff</body></article>", "not well-formed XML"),
        (b"<html><body><article><h1>a</h1></article></body></html>", "no JATS"),
        (b"<article><title>DocBook</title><para>a</para></article>", "no JATS"),
        (b"<article/>", "no JATS"),
    ],
)
def test_what_is_no_jats_is_said_in_one_sentence(data, message):
    with pytest.raises(CFTError, match=message) as caught:
        read_jats(data)
    assert "\n" not in str(caught.value)


def test_nesting_beyond_all_reason_is_refused_and_deep_nesting_is_read():
    def nested(levels):
        return article("<sec>" * levels + "<p>a</p>" + "</sec>" * levels)

    assert read_jats(nested(250))[0].text == "a"
    for levels in (300, 5000):
        with pytest.raises(CFTError, match="256 deep"):
            read_jats(nested(levels))


def test_an_article_may_have_no_text():
    assert read().text == "" and read("<p> </p><sec><title/></sec>").text == ""


# --- Properties -----------------------------------------------------------------------------------

WORDS = st.lists(st.from_regex(r"[a-zé]{3,9}", fullmatch=True), min_size=1, max_size=12)
INLINE = ("italic", "bold", "sc", "named-content", "styled-content", "ext-link", "underline")


@st.composite
def marked_up(draw):
    """Words, and the same with markup around some that changes nothing."""
    words = draw(WORDS)
    pieces = []
    for word in words:
        tags = draw(st.lists(st.sampled_from(INLINE), max_size=3))
        before = "".join(f"<{tag}>" for tag in tags)
        pieces.append(before + word + "".join(f"</{tag}>" for tag in reversed(tags)))
    gap = draw(st.sampled_from([" ", "\n  ", "&#160;", " <!-- x --> ", "&#8201;"]))
    return words, gap.join(pieces)


@st.composite
def bodies(draw):
    """Words in order, and a body of blocks that holds them."""
    words, blocks = [], []
    wrappers = [
        "<p>{}</p>", "<sec><title>{}</title></sec>", "<disp-quote><p>{}</p></disp-quote>",
        "<list list-type='simple'><list-item><p>{}</p></list-item></list>",
        "<boxed-text><p>{}</p></boxed-text>", "<fig><caption><p>{}</p></caption></fig>",
        "<table-wrap><table><tbody><tr><td>{}</td></tr></tbody></table></table-wrap>",
        "<verse-group><verse-line>{}</verse-line></verse-group>",
        "<def-list><def-item><def><p>{}</p></def></def-item></def-list>",
        "<list list-type='simple'><list-item><list list-type='simple'><list-item><p>{}</p>"
        "</list-item></list></list-item></list>",
        "<unheard-of>{}</unheard-of> ",
    ]  # fmt: skip
    for _ in range(draw(st.integers(1, 6))):
        own, markup = draw(marked_up())
        words += own
        blocks.append(draw(st.sampled_from(wrappers)).format(markup))
    return words, "".join(blocks)


@settings(max_examples=60, deadline=None)
@given(bodies())
def test_every_word_appears_once_and_in_order(body):
    words, source = body
    text = read(source).text
    assert text.split() == words
    for paragraph in text.split("\n\n"):
        assert paragraph and all(
            row == " ".join(row.split()) for row in paragraph.split("\n") if row[0] != " "
        )


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=60))
def test_any_text_comes_through_but_for_white_space(text):
    kept = text.translate({0xAD: "", 0x200B: "", 0x2060: "", 0xFEFF: "", 0xFFFE: "", 0xFFFF: ""})
    escaped = html.escape(text.replace("\ufffe", "").replace("\uffff", ""))
    assert line(escaped) == " ".join(kept.split())
    assert tidy(tidy(text)) == tidy(text)


TAGS = """
    p sec title label list list-item def-list def-item term def table-wrap table thead tbody tr td
    th     caption fig graphic sup sub xref fn fn-group table-wrap-foot disp-formula inline-formula
    alternatives tex-math math mrow mi mo mn mfrac msup msubsup mover mtable mtr mtd mmultiscripts
    mprescripts mfenced semantics annotation code verse-line speech speaker kwd-group kwd statement
    ref-list ref abstract break italic
""".split()  # noqa: SIM905
ATTRIBUTES = st.dictionaries(
    st.sampled_from(
        ["rowspan", "colspan", "ref-type", "rid", "id", "list-type", "encoding", "separators"]
    ),
    st.sampled_from(["2", "0", "bibr", "fn", "a", "order", "tex", "", "roman-lower"]),
    max_size=2,
)


@st.composite
def any_tree(draw, depth=4):
    element = etree.Element(draw(st.sampled_from(TAGS)), draw(ATTRIBUTES))
    element.text = draw(st.sampled_from([None, " ", "word", "1", "-", "a b.", "[", "("]))
    element.tail = draw(st.sampled_from([None, " ", "tail", ",", "]", ")"]))
    if depth:
        for child in draw(st.lists(any_tree(depth=depth - 1), max_size=3)):
            element.append(child)
    return element


@settings(max_examples=100, deadline=None)
@given(any_tree())
def test_elements_in_places_where_they_do_not_belong_are_read_all_the_same(tree):
    source = etree.tostring(tree, encoding="unicode")
    text = read(source).text
    assert all(ord(character) >= 32 or character == "\n" for character in text)
    assert read(source).text == text
