"""How long work shows that it goes on: the one display of every command.

In a terminal a bar, elsewhere (a batch log) a line now and then that begins with the time of day,
and nothing where `axolotl-cft --quiet` says so. All of it goes to stderr:

    Scoring ━━━━━━━━━━╸━━━━━━━━━ 1,240 of 3,000 tokens, 41%, 207 tokens/s, 0:00:09 left
    14:03:12 Scoring: 1,240 of 3,000 tokens, 41%, 207 tokens/s, 0:00:09 left
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from threading import Event, Lock, Thread

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.text import Text

from axolotl_cft.cli import QUIET

INTERVAL = 60.0
"""Seconds between two lines of one piece of work, at least."""

PATIENCE = 1.0
"""Seconds that work of unknown amount may take before it is worth a line."""


class Work:
    """A piece of work under way; made by `progress`."""

    def __init__(self, bars: Progress, task: Task, lines: bool):
        self._bars, self._task, self._lines = bars, task, lines
        self._first = task.get_time() + (PATIENCE if task.total is None else 0.0)
        self._next = self._first
        self._lock = Lock()

    def update(
        self,
        *,
        advance: float | None = None,
        done: float | None = None,
        label: str | None = None,
        note: str | None = None,
    ) -> None:
        """Tell how far the work is.

        Args:
            advance: what was done since the last call; or
            done: what is done in all.
            label: what is worked on from now on; a new one has its line at once.
            note: a few words behind the numbers.
        """
        begins = label is not None and label != self._task.description
        if note is not None:
            self._task.fields["note"] = note
        self._bars.update(self._task.id, advance=advance, completed=done, description=label)
        self.show(at_once=begins)

    def show(self, at_once: bool = False) -> None:
        """Leave a line where bars are not drawn, if the last one is old enough."""
        with self._lock:
            if at_once or self._task.get_time() >= self._next:
                self._line()

    def say(self, text: str) -> None:
        """Print something above the bar, in quiet too: a warning, a result."""
        self._bars.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def end(self) -> None:
        """Leave the last line: how far the work came, and in what time."""
        with self._lock:
            if self._task.get_time() >= self._first:
                self._line(ended=True)

    def _line(self, ended: bool = False) -> None:
        now = self._task.get_time()
        self._next = now + INTERVAL
        if self._lines:
            facts = _facts(self._task, ended)
            what = f"{self._task.description}: {facts}" if facts else self._task.description
            self.say(f"{time.strftime('%H:%M:%S', time.localtime(now))} {what}")


@contextmanager
def progress(
    label: str,
    total: float | None = None,
    unit: str = "",
    *,
    done: int = 0,
    even: bool = True,
    console: Console | None = None,
    clock: Callable[[], float] = time.time,
) -> Iterator[Work]:
    """Show a piece of work while the body runs.

    Args:
        label: what is done.
        total: how much of it there is, in `unit`; None where nobody knows.
        unit: what is counted; nothing is counted without one.
        done: how much was done before.
        even: whether all of it takes equally long, so that there is a rate and a time left.
        console: where to show it; stderr if not given.
        clock: seconds since the epoch.

    Example:
        >>> with progress("Scoring", 3000, "tokens") as work:
        ...     work.update(advance=1240)
    """
    console = console or Console(stderr=True)
    quiet = is_quiet()
    drawn = console.is_terminal and not console.is_dumb_terminal and not quiet
    bars = Progress(
        TextColumn("{task.description}", markup=False),
        SpinnerColumn() if total is None else BarColumn(bar_width=20),
        _Facts(),
        console=console,
        get_time=clock,
        speed_estimate_period=2 * INTERVAL,
        transient=total is None,
        disable=not drawn,
    )
    task = bars.add_task(label, total=total, completed=done, unit=unit, even=even, note="")
    with bars if drawn else nullcontext():
        work = Work(bars, bars.tasks[task], lines=not drawn and not quiet)
        work.show()
        with nullcontext() if drawn or quiet else _heartbeat(work):
            try:
                yield work
            finally:
                work.end()


@contextmanager
def _heartbeat(work: Work) -> Iterator[None]:
    """See to it that lines go on while a single step takes hours and nothing calls `update`."""
    over = Event()

    def beat() -> None:
        pause = min(PATIENCE, INTERVAL)
        while not over.wait(pause):
            work.show()
            pause = INTERVAL

    thread = Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def is_quiet() -> bool:
    """Whether the command line that is being carried out began with `axolotl-cft --quiet`."""
    context = click.get_current_context(silent=True)
    return context is not None and context.meta.get(QUIET, False)


class _Facts(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(_facts(task))


def _facts(task: Task, ended: bool = False) -> str:
    """Amount, share, rate, time left (or taken so far) and note, as far as they are known."""
    unit, facts = task.fields["unit"], []
    if unit:
        of = "" if task.total is None else f" of {_amount(task.total)}"
        facts.append(f"{_amount(task.completed)}{of} {unit}")
    if task.total and task.total >= 100:
        facts.append(f"{task.percentage:.0f}%")
    speed = task.speed or 0.0
    guess = task.fields["even"] and not ended
    if unit and speed >= 0.1 and guess:
        facts.append(f"{speed:,.{0 if speed >= 10 else 1}f} {unit}/s")
    taken = timedelta(seconds=round(task.elapsed or 0.0))
    if ended:
        facts.append(f"ended after {taken}")
    elif task.time_remaining and guess:
        facts.append(f"{timedelta(seconds=task.time_remaining)} left")
    elif taken:
        facts.append(f"{taken} so far")
    if task.fields["note"]:
        facts.append(task.fields["note"])
    return ", ".join(facts)


def _amount(number: float) -> str:
    """A count as it is; of megabytes one digit behind the point."""
    return f"{number:,.{0 if float(number).is_integer() else 1}f}"
