"""One actor's step: in which order it is handed what came, and which timers fire. No loop, no token, no socket.

 1. notes: what is not from a peer (changes of connections, frames, instruments, answers), by rank and source
 2. messages of peers, by role, each peer's in the order it sent them
 3. market data
 4. what the callbacks left for the end of their turn, then the timers that are due, then the end of their turn

`step_gate.py` puts it between sockets and a shell; `pipelines/chain/` drives the same brains with it in one
process. So both hand over in the same order, and give the same orders.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Mapping

Call = Callable[[], object]  # what it returns is nobody's business
# Ranks of what is no peer's message: changes, then what wakes no task, then answers that tasks wait for.
CHANGE, QUIET, ANSWER = 0, 1, 2
NEVER_NS = 1 << 62


class StepTurn:
    """Everything that waits for one actor's next step."""

    __slots__ = ("_inbox", "_markets", "_notes", "_soon", "_taken", "_timer_no", "_timers", "due_ns", "waiting")

    def __init__(self, peers: Iterable[str]) -> None:
        """`peers` in the order in which their messages are taken."""
        # (rank, source) -> what came since the last step, oldest first
        self._notes: dict[tuple[int, str], list[Call]] = {}
        self._inbox: dict[str, deque[Call]] = {name: deque() for name in peers}
        self._taken: dict[str, int] = {}  # messages handed over since the start, by peer
        self._markets: list[Call] = []
        self._soon: list[Call] = []
        self._timers: list[StepTimer] = []  # heap
        self._timer_no = 0
        self.due_ns = NEVER_NS  # when the next timer fires, a cancelled one included
        self.waiting = False  # something came since the last step; timers apart

    # --- what comes ----------------------------------------------------------------------------------------------

    def note(self, source: str, call: Call, *, rank: int = CHANGE) -> None:
        self._notes.setdefault((rank, source), []).append(call)
        self.waiting = True

    def forget(self, source: str, *, rank: int = CHANGE) -> None:
        """What `source` noted is undone."""
        self._notes.pop((rank, source), None)

    def peer(self, name: str, call: Call) -> None:
        self._inbox[name].append(call)
        self.waiting = True

    def market(self, release: Call) -> None:
        """A subscriber: `release` hands over all that it has read, and is called in each step."""
        self._markets.append(release)

    def soon(self, call: Call) -> None:
        """Call at the end of the turn."""
        self._soon.append(call)
        self.waiting = True

    def every(self, now_ns: int, interval_ns: int, call: Call) -> StepTimer:
        """Call each `interval_ns`, first after one; missed turns are skipped."""
        return self._add(now_ns + interval_ns, interval_ns, call)

    def at(self, at_ns: int, call: Call) -> StepTimer:
        """Call once, in the first step at or after `at_ns`."""
        return self._add(at_ns, 0, call)

    # --- the step ------------------------------------------------------------------------------------------------

    @property
    def idle_until_ns(self) -> int:
        """When the next timer that was not cancelled fires; 0 where something waits for no more than the next step."""
        if self._notes or self._soon:
            return 0
        while self._timers and self._timers[0].call is None:
            heapq.heappop(self._timers)
        self.due_ns = self._timers[0].due_ns if self._timers else NEVER_NS
        return self.due_ns

    def deliver(self, due: Mapping[str, int] | None = None) -> bool:
        """Hand over what came; whether that may have woken a task. `due`: how many messages of each peer since the
        start belong to steps up to this one; None: all that are here."""
        wakes = False
        self.waiting = False
        if self._notes:
            notes, self._notes = self._notes, {}
            for key in sorted(notes):
                wakes = wakes or key[0] != QUIET
                for call in notes[key]:
                    call()
        for name, queue in self._inbox.items():
            if queue:
                self._take(name, queue, due)
        for release in self._markets:
            release()
        return wakes

    def end_turn(self) -> None:
        while self._soon:
            calls, self._soon = self._soon, []
            for call in calls:
                call()

    def run_timers(self, now_ns: int) -> None:
        timers = self._timers
        again: list[StepTimer] = []
        while timers and timers[0].due_ns <= now_ns:
            timer = heapq.heappop(timers)
            if timer.call is None:
                continue
            call = timer.call
            if timer.interval_ns:
                timer.due_ns += ((now_ns - timer.due_ns) // timer.interval_ns + 1) * timer.interval_ns
                again.append(timer)
            call()
        for timer in again:
            heapq.heappush(timers, timer)
        self.due_ns = timers[0].due_ns if timers else NEVER_NS
        self.end_turn()

    def clear(self) -> None:
        for queue in (self._notes, self._inbox, self._markets, self._soon, self._timers):
            queue.clear()

    # --- inside --------------------------------------------------------------------------------------------------

    def _take(self, name: str, queue: deque[Call], due: Mapping[str, int] | None) -> None:
        taken = self._taken.get(name, 0)
        upto = taken + len(queue) if due is None else due.get(name, 0)
        for _ in range(upto - taken):
            queue.popleft()()
        self._taken[name] = max(taken, upto)

    def _add(self, due_ns: int, interval_ns: int, call: Call) -> StepTimer:
        self._timer_no += 1
        timer = StepTimer(due_ns, self._timer_no, interval_ns, call)
        heapq.heappush(self._timers, timer)
        self.due_ns = self._timers[0].due_ns
        return timer


class StepTimer:
    """Fires by the recording's clock; equal times in the order of their making."""

    __slots__ = ("call", "due_ns", "interval_ns", "no")

    def __init__(self, due_ns: int, no: int, interval_ns: int, call: Call) -> None:
        self.due_ns = due_ns
        self.no = no
        self.interval_ns = interval_ns
        self.call: Call | None = call

    def __lt__(self, other: StepTimer) -> bool:
        return (self.due_ns, self.no) < (other.due_ns, other.no)

    def cancel(self) -> None:
        self.call = None
