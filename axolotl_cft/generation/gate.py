"""When the next request may go to an endpoint (pure: the caller tells the time).

Three things hold a request back. The limits that the user set, as a distance between requests.
A **pause**, shared by all, after a 429 or while the endpoint is out of service; out of service, one
request is the probe and the others wait for what becomes of it. And a **pace** learned from 429s,
so that the pause does not end in the same burst that began it: what got through lately, over the
time until the pause ends, is what the endpoint can take. From there the pace rises, slowly at
first, then faster, until the next 429.
"""

import math
import random
from collections import deque
from dataclasses import dataclass, field

ENOUGH = 32
"""Requests by which a pace is judged."""

CROWDED = 1 / 3
"""A smaller share of 429s among them says little about the pace: some send a few to everybody."""

SEARCHING, CAREFUL = 20.0, 0.05
"""How fast the pace rises: by this share in ten seconds, and with the square of the time. The first
pace is a guess; the second one was found by going too fast."""

STRIKES = 10
"""Most requests that must fail in a row before an endpoint is out of service."""


LAG = 0.02
"""Seconds by which a busy machine may wake a request too late and the next still be in time."""


@dataclass(frozen=True)
class Waits:
    """How long to wait where the endpoint does not say, in seconds.

    Attributes:
        first: before a request is sent for the second time; doubled with each further fault.
        longest: no wait is longer; an outage is noticed to be over within this time.
    """

    first: float = 0.5
    longest: float = 4.0

    def before(self, faults: int) -> float:
        """The wait after so many faults before this one, less up to a quarter, by chance."""
        return min(self.first * 2.0 ** min(faults, 60), self.longest) * random.uniform(0.75, 1)


class Spacing:
    """A limit per minute, kept by the distance between requests."""

    def __init__(self, per_minute: float | None) -> None:
        self.free_at = -math.inf
        self._seconds = 60 / per_minute if per_minute else None

    def take(self, now: float, amount: float) -> None:
        """Count what goes out."""
        if self._seconds is not None:
            self.free_at = max(self.free_at, now - LAG) + amount * self._seconds

    def correct(self, amount: float) -> None:
        """Count what more (or, negative, less) was used than was taken."""
        if self._seconds is not None:
            self.free_at += amount * self._seconds


@dataclass(eq=False)
class Permit:
    """Leave to send one request.

    Attributes:
        stretch: the stretch between two pauses in which it is sent.
        outage: how many pauses for an outage came before.
        tokens: what it is believed to take.
    """

    stretch: int
    outage: int
    tokens: float


@dataclass
class _Stretch:
    """Requests between the end of one pause and the end of the next."""

    began: float
    sent: int = 0
    limited: int = 0


@dataclass
class Gate:
    """The state of one endpoint.

    Attributes:
        waits: where the endpoint says nothing.
        requests: the user's limit on requests.
        tokens: the user's limit on tokens.
        until: nothing is sent before.
        in_flight: requests under way.
        answered_ever: whether anything was answered here.
    """

    waits: Waits
    requests: Spacing
    tokens: Spacing
    until: float = -math.inf
    in_flight: int = 0
    answered_ever: bool = False
    _down: bool = False
    _probe: Permit | None = None
    _strikes: int = 0  # faults of the endpoint in a row
    _outages: int = 0
    _fruitless: int = 0  # pauses since the last answer
    _stretch: _Stretch = field(default_factory=lambda: _Stretch(math.nan))
    _stretches: int = 0
    _ended: deque[_Stretch] = field(default_factory=lambda: deque(maxlen=ENOUGH))
    _pace: float | None = None  # requests a second, at the end of the last pause
    _rise: float = SEARCHING
    _peak: float = 0.0  # the most that got through, in requests a second
    _pace_before: float | None = None
    _rise_before: float = SEARCHING
    _pace_slot: float = -math.inf

    def opens(self, now: float) -> float:
        """When a request may go out; infinite while a probe is under way."""
        if self._probe is not None:
            return math.inf
        return max(self.until, self._pace_slot, self.requests.free_at, self.tokens.free_at)

    def enter(self, now: float, tokens: float) -> Permit:
        """Send a request; only when it is open."""
        permit = Permit(self._stretches, self._outages, tokens)
        if self._down:
            self._probe = permit
        if math.isnan(self._stretch.began):
            self._stretch.began = now
        self.in_flight += 1
        self._stretch.sent += 1
        self.requests.take(now, 1)
        self.tokens.take(now, tokens)
        if pace := self.pace(now):
            self._pace_slot = max(now - max(LAG, 0.5 / pace), self._pace_slot) + 1 / pace
        return permit

    def leave(self, permit: Permit) -> None:
        """The request has ended, in whatever way."""
        self.in_flight -= 1
        if self._probe is permit:
            self._probe = None

    def answered(self, permit: Permit, tokens: float | None) -> None:
        """It was answered, and took so many tokens (None: as believed)."""
        self._serves()
        self._fruitless, self.answered_ever = 0, True
        if tokens:
            self.tokens.correct(tokens - permit.tokens)

    def pace(self, now: float) -> float | None:
        """The learned pace in requests a second; None where there is none."""
        if self._pace is None:
            return None
        ten_seconds = 20 * self.waits.first
        return self._pace * (1 + self._rise * (max(0.0, now - self.until) / ten_seconds) ** 2)

    def limited(self, permit: Permit, now: float, wait: float | None) -> None:
        """It was told to come later (429)."""
        self._serves()
        if permit.stretch == self._stretches:
            last = self._ended[-1] if self._ended else None
            fruitful = last is None or last.sent > last.limited
            self._fruitless = 0 if fruitful else self._fruitless + 1
            self._ended.append(self._stretch)
            self._pace_before, self._rise_before = self.pace(now), self._rise
            self.until = max(self.until, now + (wait or self.waits.before(self._fruitless)))
            self._stretch = _Stretch(self.until)
            self._stretches += 1
        elif wait:
            self._extend(now + wait)
        if permit.stretch == self._stretches - 1:
            self._ended[-1].limited += 1
            self._learn()

    def failed(self, permit: Permit, now: float, wait: float | None) -> bool:
        """It met an endpoint out of service.

        Returns:
            Whether all requests wait now; otherwise the caller lets this one wait.
        """
        self._strikes += 1
        # A balancer with one dead machine of two fails often, but not ten times in a row.
        if not (wait or self._down or self._strikes >= max(3, min(STRIKES, self.in_flight))):
            return False
        self._down = True
        if permit.outage == self._outages:
            self._outages += 1
            self._extend(now + (wait or self.waits.before(self._fruitless)))
            self._fruitless += 1
        elif wait:
            self._extend(now + wait)
        return True

    def _serves(self) -> None:
        """Whoever waits for the probe need not."""
        self._down, self._probe, self._strikes = False, None, 0

    def _extend(self, until: float) -> None:
        self.until = max(self.until, until)
        self._stretch.began = max(self._stretch.began, self.until)

    def _learn(self) -> None:
        """Set the pace by what got through up to the end of this pause."""
        began, sent, limited = self.until, 0, 0
        for stretch in reversed(self._ended):
            began, sent, limited = stretch.began, sent + stretch.sent, limited + stretch.limited
            if sent >= ENOUGH:
                break
        span = max(self.until - began, 1e-3)
        crowded, before = limited >= CROWDED * sent, self._pace_before
        if before is not None:
            # The pauses count in the time: where they cost much, what got through says too little.
            most, least = (0.95, 0.7) if crowded else (1.0, 0.95)
            least = min(least, 0.5) if self._rise_before == SEARCHING else least
            taken = sent - limited if crowded else sent
            self._pace = min(most * before, max(least * before, 1.1 * taken / span))
            self._rise = CAREFUL
        elif crowded:
            self._pace = 0.97 * max(1, sent - limited) / span
        if self._pace is not None:
            self._pace = max(self._pace, self._floor())
        self._pace_slot = self.until

    def _floor(self) -> float:
        """Half of the most that ever got through: 429s may be due to what others use up."""
        *before, last = self._ended  # of the last one, some may still be told to come later
        sent = sum(stretch.sent for stretch in before)
        if sent >= ENOUGH:
            got = sent - sum(stretch.limited for stretch in before)
            self._peak = max(self._peak, got / max(last.began - before[0].began, 1e-3))
        return self._peak / 2
