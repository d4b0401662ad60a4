"""All figures look alike, and are read without colors."""

import re
from pathlib import Path

import pytest

import axolotl_cft
from axolotl_cft.evaluation import palette
from axolotl_cft.evaluation.groups import BY_POSITION, _positions
from axolotl_cft.evaluation.layout import pair
from axolotl_cft.evaluation.markdown import _scores
from axolotl_cft.evaluation.ranges import between

PACKAGE = Path(axolotl_cft.__file__).parent
OF_ITS_OWN = re.compile(r"""["'](C\d|#[0-9a-fA-F]{6}|(tab:)?(red|blue|green|orange|purple))["']""")


def test_no_figure_has_colors_of_its_own():
    drawing = {
        path: path.read_text("utf-8")
        for path in PACKAGE.rglob("*.py")
        if "matplotlib" in path.read_text("utf-8") and path.name != "palette.py"
    }
    assert len(drawing) >= 4
    found = [path for path, source in drawing.items() if OF_ITS_OWN.search(source)]
    assert found == []


@pytest.mark.parametrize("source", ['color="C0"', "color='#ff0000'", 'color="tab:red"'])
def test_colors_of_its_own_would_be_found(source):
    assert OF_ITS_OWN.search(source) and not OF_ITS_OWN.search('color="0.5"')


def test_what_differs_in_color_differs_in_marker_and_neighbors_in_dashes():
    numbers = range(len(palette.COLORS))
    assert (
        len({palette.color(n) for n in numbers}) == len({palette.marker(n) for n in numbers}) == 7
    )
    assert len(set(map(str, palette.DASHES))) == len(palette.DASHES)
    looks = {(palette.color(n), str(palette.dashes(n))) for n in range(35)}
    assert len(looks) == 35  # a color that comes again has other dashes


def test_ticks_of_counts_are_whole_numbers():
    from matplotlib.figure import Figure

    plain, whole = Figure().subplots(1, 2)
    for axes in (plain, whole):
        axes.plot([0, 1, 2], [3.0, 2.0, 1.0])
    palette.tick_whole_numbers(whole.xaxis)
    assert not all(float(tick).is_integer() for tick in plain.get_xticks())
    assert all(float(tick).is_integer() for tick in whole.get_xticks())


def test_a_band_is_a_light_shade_with_thin_edges_and_one_curve_has_none():
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    palette.draw_band(axes, [0, 1], [[1, 2], [1, 2]], 1)
    assert not axes.collections and not axes.lines
    palette.draw_band(axes, [0, 1], [[1, 2], [1, 3]], 1)
    [band] = axes.collections
    assert band.get_linewidth() == [0] and band.get_alpha() == 0.1
    assert [list(edge.get_ydata()) for edge in axes.lines] == [[1, 2], [1, 3]]
    assert {edge.get_linewidth() for edge in axes.lines} == {0.7}  # the line itself has 1.5


@pytest.mark.parametrize("count", [1, 2, 7, 31, 80])
def test_lines_have_some_markers_at_places_of_their_own(count):
    places = []
    for index in range(4):
        first, every = palette.mark_now_and_then(count, index)
        places.append(range(count)[first::every])
    assert all(places) and all(len(marked) <= 12 for marked in places)
    assert count < 24 or len({marked[0] for marked in places}) == 4


def test_a_logarithmic_axis_has_plain_numbers():
    from matplotlib.figure import Figure

    for ends, expected in [((0.05, 2000), ["0.1", "1", "10", "100", "1000"]), ((1.3, 9), ["2"])]:
        figure = Figure()
        axes = figure.subplots()
        axes.set(yscale="log", ylim=ends)
        powers = [label.get_text() for label in axes.get_yticklabels(which="both")]
        palette.write_plain_numbers(axes.yaxis)
        figure.draw_without_rendering()
        shown = [label.get_text() for label in axes.get_yticklabels(which="both")]
        assert any("10^" in text for text in powers) and not any("10^" in text for text in shown)
        assert set(expected) <= set(shown)


def test_equal_ends_are_one_number():
    assert between("12", "12", "–") == "12" and between("12", "13", "–") == "12–13"
    assert pair(-0.0123, 0.0123, "acc") == "−1.23 to +1.23"
    assert pair(0.01234, 0.01231, "acc") == "+1.23"
    assert _scores([0.5, 0.50001], "acc") == "50.00"
    assert _scores([0.5, 0.6], "acc") == "55.00 (50.00–60.00)"


def test_a_stretch_of_one_token_is_named_by_it():
    titles = _positions([f"{BY_POSITION}{begin}" for begin in (0, 1, 128)])
    assert list(titles.values()) == ["tokens 0", "tokens 1–127", "tokens 128 on"]
