"""Long work shows that it goes on: a bar, dated lines, or nothing; and never on stdout."""

import io
import json
import re
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from rich.console import Console

import axolotl_cft
from axolotl_cft.cli import QUIET, main
from axolotl_cft.cli.progress import INTERVAL, progress

FIXTURES = Path(__file__).parents[1] / "axolotl_cft" / "demo" / "data" / "benchmarks"
LINE = re.compile(r"(\d\d:\d\d:\d\d) (.+)")
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Clock:
    """Seconds since the epoch, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000_000_000.0  # 01:46:40 UTC

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def elsewhere():
    """A console that is no terminal, as in a batch job; narrow, which must break no line."""
    return Console(file=io.StringIO(), force_terminal=False, width=30)


@pytest.fixture
def terminal():
    return Console(file=io.StringIO(), force_terminal=True, width=160, legacy_windows=False)


@pytest.fixture
def utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def lines_of(console):
    """(time of day, text) of every line; each must have both."""
    matches = [LINE.fullmatch(line) for line in console.file.getvalue().splitlines()]
    assert matches and all(matches), console.file.getvalue()
    return [match.groups() for match in matches]


def test_elsewhere_there_is_at_most_a_line_a_minute(elsewhere, clock):
    with progress("Scoring", 36_000, "tokens", console=elsewhere, clock=clock) as work:
        for _ in range(3600):
            clock.now += 1
            work.update(advance=10)
    first, *between, last = [text for _, text in lines_of(elsewhere)]
    assert len(between) == 3600 / INTERVAL
    assert first == "Scoring: 0 of 36,000 tokens, 0%"
    assert between[29] == "Scoring: 18,000 of 36,000 tokens, 50%, 10 tokens/s, 0:30:00 left"
    assert last == "Scoring: 36,000 of 36,000 tokens, 100%, ended after 1:00:00"


def test_lines_go_on_while_nothing_is_told(elsewhere, monkeypatch):
    for name in ("INTERVAL", "PATIENCE"):
        monkeypatch.setattr(f"axolotl_cft.cli.progress.{name}", 0.05)
    with progress("Training", console=elsewhere):
        time.sleep(0.6)
    assert len(lines_of(elsewhere)) > 4


def test_lines_begin_with_the_time_of_day(elsewhere, clock, utc):
    with progress("Loading a model", console=elsewhere, clock=clock):
        clock.now += 3725
    assert lines_of(elsewhere) == [("02:48:45", "Loading a model: ended after 1:02:05")]


def test_brief_work_of_unknown_amount_leaves_no_line(elsewhere, clock):
    with progress("Loading a model", console=elsewhere, clock=clock):
        clock.now += 0.5
    assert elsewhere.file.getvalue() == ""


def test_a_new_label_has_its_line_at_once(elsewhere, clock):
    with progress("Study", 3, "steps", even=False, console=elsewhere, clock=clock) as work:
        for name in ("prepare", "train", "evaluate"):
            clock.now += 5
            work.update(label=name)
            work.update(advance=1, label=name, note="looking well")
    assert [text for _, text in lines_of(elsewhere)] == [
        "Study: 0 of 3 steps",
        "prepare: 0 of 3 steps, 0:00:05 so far",
        "train: 1 of 3 steps, 0:00:10 so far, looking well",
        "evaluate: 2 of 3 steps, 0:00:15 so far, looking well",  # no guess: steps differ in length
        "evaluate: 3 of 3 steps, ended after 0:00:15, looking well",
    ]


def test_amounts_that_are_no_counts_have_a_digit_behind_the_point(elsewhere, clock):
    with progress("Scanning", 2.25, "MB", console=elsewhere, clock=clock) as work:
        work.update(advance=1.5)
    texts = [text for _, text in lines_of(elsewhere)]
    assert texts == ["Scanning: 0 of 2.2 MB", "Scanning: 1.5 of 2.2 MB, ended after 0:00:00"]


def test_what_was_done_before_is_counted_and_not_timed(elsewhere, clock):
    with progress("Prompts", 1000, "answers", done=900, console=elsewhere, clock=clock) as work:
        for settled in range(1, 62):
            clock.now += 1
            work.update(done=900 + settled)
    texts = [text for _, text in lines_of(elsewhere)]
    assert texts[0] == "Prompts: 900 of 1,000 answers, 90%"
    assert texts[1] == "Prompts: 960 of 1,000 answers, 96%, 1.0 answers/s, 0:00:40 left"


def test_work_that_fails_has_its_last_line(elsewhere, clock):
    with (
        pytest.raises(ZeroDivisionError),
        progress("Reading", unit="documents", console=elsewhere, clock=clock) as work,
    ):
        clock.now += 2
        work.update(done=7)
        raise ZeroDivisionError
    assert lines_of(elsewhere)[-1][1] == "Reading: 7 documents, ended after 0:00:02"


def test_a_terminal_has_a_bar_with_rate_and_time_left(terminal, clock):
    with progress("Scoring", 3000, "tokens", console=terminal, clock=clock) as work:
        for _ in range(10):
            clock.now += 1
            work.update(advance=100, note="[bold]as it stands")
        work.say("a warning")
        work._bars.refresh()
    shown = ANSI.sub("", terminal.file.getvalue())
    assert "━" in shown
    assert "1,000 of 3,000 tokens, 33%, 100 tokens/s, 0:00:20 left, [bold]as it stands" in shown
    assert "a warning" in shown
    assert not re.search(r"^\d\d:\d\d:\d\d ", shown, re.MULTILINE)


def test_a_terminal_has_a_passing_spinner_where_the_amount_is_unknown(terminal, clock):
    with progress("Loading a model", console=terminal, clock=clock):
        clock.now += 61
    shown = terminal.file.getvalue()
    assert "Loading a model" in shown and "━" not in shown
    assert shown.rstrip().endswith("\x1b[2K")  # the line is taken away again


@pytest.mark.parametrize("name", ["terminal", "elsewhere"])
def test_quiet_shows_nothing_but_what_is_said(name, request, clock):
    console = request.getfixturevalue(name)
    with click.Context(main) as context:
        context.meta[QUIET] = True
        with progress("Scoring", 3000, "tokens", console=console, clock=clock) as work:
            clock.now += 600
            work.update(advance=100, label="another")
            work.say("a warning")
    assert console.file.getvalue() == "a warning\n"


def test_no_other_module_draws_progress():
    package = Path(axolotl_cft.__file__).parent
    drawing = re.compile(r"rich\.(progress|status|live)|[cC]onsole(\([^)]*\))?\.status\(")
    found = [path for path in package.rglob("*.py") if drawing.search(path.read_text("utf-8"))]
    assert found == [package / "cli" / "progress.py"]


@pytest.mark.parametrize("quiet", [False, True])
def test_a_command_shows_its_work_on_stderr_unless_quiet(tmp_path, quiet):
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text(json.dumps({"text": "Nothing of a test."}) + "\n")
    command = ["contamination", corpus, "--data-dir", FIXTURES, "--output-dir", tmp_path / "out"]
    result = CliRunner().invoke(main, [*["--quiet"] * quiet, *map(str, command)])
    assert result.exit_code == 0, result.output
    assert "0 of 1 documents overlap" in result.stdout
    assert "Scanning" not in result.stdout
    assert ("Scanning" in result.stderr) is not quiet
    assert bool(result.stderr) is not quiet
