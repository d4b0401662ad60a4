"""One question, one answer, whatever the endpoints do in between.

Requests are shared among endpoints, each of which has its `Gate`; what got no answer is sent again,
there or elsewhere, for as long as the run's patience lasts.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from axolotl_cft.errors import CFTError
from axolotl_cft.generation.client import Client
from axolotl_cft.generation.faults import Fault, RefusedError, Scope, UnusableError
from axolotl_cft.generation.gate import Gate, Permit, Spacing, Waits
from axolotl_cft.generation.verdicts import Reply

TRIES = 12
"""How often the endpoint may fail on one text, while it answers others, until the text is given
up."""

SPARED = 3
"""How many texts in a row may each cost the patience before it is the endpoint that fails."""

FOREIGN = 10
"""How many replies need not be those of a chat-completions endpoint before it is called none."""


@dataclass(eq=False)
class _Place:
    """An endpoint, and what is known of it."""

    client: Client
    gate: Gate
    foreign: int = 0


@dataclass
class _Troubles:
    """What one question has met so far."""

    faults: int = 0
    of_text: int = 0
    answers_before: int = 0
    last: _Place | None = None


class Clients:
    """All endpoints of a run; belongs to one event loop.

    Attributes:
        retries: requests sent again so far, whatever the reason.
        proven: whether any text was dealt with; an earlier session of the run may have seen to it.
        lost: sentences about endpoints that were given up.
    """

    def __init__(
        self,
        clients: Sequence[Client],
        *,
        patience: float,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        waits: Waits | None = None,
    ) -> None:
        """Nothing is sent.

        Args:
            clients: one for each endpoint.
            patience: minutes without an answer from any of them after which a fault is final.
            requests_per_minute: limit for each endpoint.
            tokens_per_minute: the same for tokens in and out; what a request will take is
                estimated, and put right once it is known.
            waits: where an endpoint does not say how long.
        """
        self.retries, self.proven = 0, False
        self.lost: list[str] = []
        self._waits = waits or Waits()
        self._patience = patience
        self._clients = tuple(clients)
        self._places = [
            _Place(
                client,
                Gate(self._waits, Spacing(requests_per_minute), Spacing(tokens_per_minute)),
            )
            for client in clients
        ]
        self._turns, self._changed = asyncio.Lock(), asyncio.Event()
        self._answers = 0
        self._in_trouble = 0  # questions that met a fault and have no answer yet
        self._since: float | None = None  # the first fault since the last answer
        self._trouble = ""  # the last fault
        self._asked: float | None = None  # the wait that it asked for
        self._spared = 0  # texts given up for the patience since the last answer
        self._usual_answer = 100.0  # tokens

    async def ask(self, message: str) -> tuple[Reply, Client]:
        """Ask one question until it is answered.

        Returns:
            The answer, and who gave it.

        Raises:
            RefusedError: no endpoint wants this text.
            CFTError: no endpoint answers, and the patience is spent, or waiting is in vain.
        """
        troubles = _Troubles(answers_before=self._answers)
        try:
            while True:
                place, permit = await self._turn(message, troubles)
                self.retries += troubles.faults > 0
                pause = 0.0
                try:
                    reply = await place.client.ask(message)
                except Fault as fault:
                    pause = self._note(fault, place, permit, troubles)
                except RefusedError:
                    self._progress(place, permit, None)
                    raise
                except UnusableError as exc:
                    if exc.refusal and self._has_answered(place):
                        self._progress(place, permit, None)
                        raise exc.refusal from exc
                    self._give_up(place, str(exc))
                else:
                    self._progress(place, permit, reply)
                    return reply, place.client
                finally:
                    place.gate.leave(permit)
                    self._changed.set()
                await asyncio.sleep(pause)
        finally:
            self._in_trouble -= troubles.faults > 0

    def waiting(self) -> str:
        """What is being waited for, in a few words; empty if nothing is."""
        pause = self._paused_until() - time.monotonic()
        if self._since is None or pause < 1:
            return ""
        return f"waiting {pause:.0f} s, since {self._trouble}"

    async def _turn(self, message: str, troubles: _Troubles) -> tuple[_Place, Permit]:
        """Wait for an endpoint to open, first come first served; the least busy one is taken."""
        async with self._turns:
            while True:
                now = time.monotonic()
                if ready := [place for place in self._places if place.gate.opens(now) <= now]:
                    place = min(ready, key=lambda p: (p is troubles.last, p.gate.in_flight))
                    tokens = len(message) / 4 + self._usual_answer
                    return place, place.gate.enter(now, tokens)
                self._check_patience(self._paused_until())
                opens = min(place.gate.opens(now) for place in self._places)
                self._changed.clear()
                with contextlib.suppress(asyncio.TimeoutError):
                    timeout = opens - now if math.isfinite(opens) else None
                    await asyncio.wait_for(self._changed.wait(), timeout)

    def _progress(self, place: _Place, permit: Permit, reply: Reply | None) -> None:
        """An endpoint has dealt with a text."""
        self._answers += 1
        self.proven, self._since, self._spared = True, None, 0
        used = reply.tokens_in + reply.tokens_out if reply else 0
        if reply and reply.tokens_out:
            self._usual_answer += (reply.tokens_out - self._usual_answer) / 20
        place.gate.answered(permit, used)

    def _note(self, fault: Fault, place: _Place, permit: Permit, troubles: _Troubles) -> float:
        """Draw the consequences of a fault.

        Returns:
            Seconds that this one question waits before it asks for its turn again.
        """
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        self._trouble, self._asked = f"{place.client.url} {fault.words}", fault.wait
        self._in_trouble += troubles.faults == 0
        troubles.last = place
        troubles.faults += 1
        pause = self._waits.before(troubles.faults - 1)
        if fault.scope is Scope.LIMIT:
            place.gate.limited(permit, now, fault.wait)
            pause = 0.0
        elif fault.scope is Scope.ENDPOINT and place.gate.failed(permit, now, fault.wait):
            pause = 0.0
        elif fault.scope is Scope.REQUEST:
            self._doubt_the_text(fault, troubles)
        self._doubt_the_place(fault, place)
        if self._spent(now + pause) and self._may_be_the_text(fault, troubles):
            self._since, self._spared = None, self._spared + 1
            raise self._given_up(fault, troubles.faults)
        self._check_patience(max(now + pause, self._paused_until()))
        return pause

    def _may_be_the_text(self, fault: Fault, troubles: _Troubles) -> bool:
        """Whether one text alone has kept the run from an answer: with a single worker, say."""
        alone = self.proven and self._in_trouble == 1 and self._spared < SPARED
        return alone and fault.scope is Scope.REQUEST and troubles.faults >= 3

    def _has_answered(self, place: _Place) -> bool:
        """Whether an endpoint has dealt with a text; of an earlier session, where it is alone."""
        return place.gate.answered_ever or (self.proven and len(self._places) == 1)

    def _paused_until(self) -> float:
        return min(place.gate.until for place in self._places)

    def _doubt_the_text(self, fault: Fault, troubles: _Troubles) -> None:
        """Give a text up on which the endpoint fails again and again while it answers others."""
        if self._answers > troubles.answers_before:
            troubles.of_text += 1
        if troubles.of_text >= TRIES:
            raise self._given_up(fault, troubles.of_text)

    def _given_up(self, fault: Fault, times: int) -> RefusedError:
        return RefusedError(
            f"the endpoint {fault.words}, and so {times} times for this text alone",
            f"failed again and again: {fault.words}",
        )

    def _doubt_the_place(self, fault: Fault, place: _Place) -> None:
        """Give an endpoint up that was never anything of the kind."""
        place.foreign += fault.foreign and not place.gate.answered_ever
        if place.foreign >= FOREIGN and place in self._places:
            self._give_up(
                place,
                f"{place.client.url} {fault.words}, {place.foreign} times and never anything "
                "else: is it an OpenAI-compatible endpoint, and this its base URL?",
            )

    def _give_up(self, place: _Place, why: str) -> None:
        """Go on without an endpoint.

        Raises:
            CFTError: it was the last.
        """
        others = [other for other in self._places if other is not place]
        if not others:
            raise CFTError(why)
        if place in self._places:
            self._places = others
            self.lost.append(f"{why}; the other endpoints go on without it")

    def _spent(self, until: float) -> bool:
        return self._since is not None and until - self._since > 60 * self._patience

    def _check_patience(self, until: float) -> None:
        """Stop where nothing can be answered before the patience is spent."""
        if not self._spent(until):
            return
        limit = "a minute" if self._patience == 1 else f"{self._patience:g} minutes"
        why = f"no answer came within the run's patience of {limit}"
        if self._asked and self._asked > 30 * self._patience:
            why = f"it asks to wait {self._asked:,.0f} s, and the run's patience is {limit}"
        elif not self.proven:
            why += ", nor any before: check the address and the server"
        raise CFTError(f"{self._trouble}; {why}")

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.gather(*(client.close() for client in self._clients))
