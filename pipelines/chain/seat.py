"""What the shells do around their brains, without loop and sockets: one seat for each actor of a lock-step fleet.

A seat is handed everything by its `StepTurn`, as a shell is by its step gate, and says the same things at the same
steps: greetings, questions to the venue at the start, timers. `tests/system/test_backtest.py` compares the two, order
by order. Left out: what no brain sees (beats, histograms, keep-alives, reconnects).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol

from actors.transport.http import HttpAnswer
from actors.transport.step_turn import ANSWER, StepTurn
from actors.venues.dialect import HttpRequest
from actors.vocab.market import BookUpdate, Marks, WarmUp
from actors.vocab.message import Message
from pipelines.chain.venue import LocalVenue

RISK = "risk"


class Fleet(Protocol):
    """What a seat needs of the chain."""

    now_ns: int

    def later(self, role: str, sender: str, message: Any) -> None:
        """A message against the flow of market data: the receiver takes it in the next step."""
        ...

    def to_gateway(self, venue: str, sender: str, message: Message) -> None: ...

    def publish(self, message: BookUpdate | WarmUp) -> None: ...

    def publish_marks(self, marks: Marks) -> None: ...


class Seat:
    """A role, its turn, and its tasks: what an awaited answer or sleep goes on with, at the end of the step."""

    def __init__(self, role: str, fleet: Fleet, peers: Iterable[str]) -> None:
        self.role = role
        self.turn = StepTurn(peers)
        self._fleet = fleet
        self._tasks: deque[Callable[[], object]] = deque()
        self._requests_no = 0

    def run(self, now_ns: int, *, first_ending: bool = False) -> None:
        """Take the step."""
        turn = self.turn
        turn.deliver()
        if first_ending:
            self.on_end()
        turn.end_turn()
        if turn.due_ns <= now_ns:
            turn.run_timers(now_ns)
        while self._tasks:
            self._tasks.popleft()()
            if not self._tasks:
                turn.end_turn()

    def on_end(self) -> None:
        """The recording has ended."""

    def task(self, call: Callable[[], object]) -> None:
        self._tasks.append(call)

    def sleep(self, wait_ns: int, call: Callable[[], object]) -> None:
        """Go on with `call` when so much recorded time has passed."""
        self.turn.at(self._fleet.now_ns + wait_ns, partial(self.task, call))

    def http(self, venue: LocalVenue, request: HttpRequest, then: Callable[[HttpAnswer], object]) -> None:
        """Ask the venue; `then` goes on in the step that knows the answer."""
        self._requests_no += 1
        source = f"{self._requests_no:012d}"

        def answered(answer: HttpAnswer) -> None:
            self.turn.note(source, partial(self.task, partial(then, answer)), rank=ANSWER)

        venue.http(self.role, self._requests_no, request, answered)
