"""At which recorded times a lock-step replay steps, and which frames leave in each step. Pure; see `step_turn.py`.

Lead-in steps before the first frame (connections, leases, the gateway's first questions), a step for each recorded
moment and between moments wherever the exchange has something to say or timers want their rhythm, and steps after the
last one for the cancels.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Protocol

from actors.sim.recording import SNAPSHOT, RecordedFrame
from actors.vocab.message import Record
from actors.vocab.units import NS_PER_MS, NS_PER_S

# Clocks start so long before the first frame, and go on so long after the last one.
LEAD_NS = 2 * NS_PER_S
DRAIN_NS = 2 * NS_PER_S
LEAD_STEP_NS = 10 * NS_PER_MS
IDLE_STEP_NS = 100 * NS_PER_MS  # where a recording is silent; no timer of a live actor needs a finer one
# An exchange that wants to act sooner than this after the last step acts then; its own latencies are longer.
STEP_MIN_NS = NS_PER_MS // 10

Frame = tuple[int, RecordedFrame]  # (which recording, frame)


class Step(Record, frozen=True):
    """What was due by `begin_ns` is done, the venue's book takes `frames`, then `sent` leave; everybody's clock shows
    `now_ns`. Without feed latency both are the same frames."""

    begin_ns: int
    now_ns: int
    frames: Sequence[Frame] = ()
    sent: Sequence[Frame] = ()
    ending: bool = False  # the recording is over
    venue_only: bool = False  # feed latency: nobody else takes a step, they will hear of it later


class FeedLatency(Protocol):
    """How long a recorded frame was on its way to us, never more than `slowest_ns`."""

    slowest_ns: int

    def of(self, frame: RecordedFrame) -> int: ...


def moments(
    frames: Iterable[Frame], *, symbols: Collection[str], moment_ns: int = 0, until_ns: int = 0
) -> Iterator[list[Frame]]:
    """All frames of one moment: those at most `moment_ns` after its first. Frames of other symbols are left out, and
    so is what is later than `until_ns` (0: nothing is)."""
    moment: list[Frame] = []
    limit_ns = 0
    for item in frames:
        frame = item[1]
        if frame.symbol and frame.symbol not in symbols:
            continue
        if moment and frame.recv_ns > limit_ns:
            yield moment
            moment = []
            if 0 < until_ns < frame.recv_ns:
                return
        if not moment:
            limit_ns = frame.recv_ns + moment_ns
        moment.append(item)
    if moment:
        yield moment


def steps(
    played: Iterable[Sequence[Frame]],
    *,
    start_ns: int,
    next_due_ns: Callable[[], int],
    latency: FeedLatency | None = None,
) -> Iterator[Step]:
    """`next_due_ns` is asked between steps: when an exchange has something to do next. With `latency` the venue's book
    takes each frame so much earlier than we hear of it; recorded times are our own, as a recorder stamps them."""
    now_ns = venue_ns = start_ns
    interval_ns = LEAD_STEP_NS
    for at_ns, frames, sent in _together(played) if latency is None else _apart(played, latency):
        while True:
            next_ns = max(min(max(next_due_ns(), now_ns + STEP_MIN_NS), now_ns + interval_ns), venue_ns)
            if next_ns >= at_ns:
                break
            now_ns = next_ns
            yield Step(now_ns, now_ns)
        begin_ns = max(now_ns, venue_ns, at_ns)
        if not sent:
            venue_ns = begin_ns
            yield Step(begin_ns, begin_ns, frames, venue_only=True)
            continue
        now_ns = max(begin_ns, sent[-1][1].recv_ns)
        yield Step(begin_ns, now_ns, frames, sent)
        if interval_ns != IDLE_STEP_NS and any(frame.channel != SNAPSHOT for _, frame in sent):
            interval_ns = IDLE_STEP_NS
    end_ns = now_ns + DRAIN_NS
    while now_ns < end_ns:
        now_ns += LEAD_STEP_NS
        yield Step(now_ns, now_ns, ending=True)


_Play = tuple[int, Sequence[Frame], Sequence[Frame]]  # (when, what the venue's book takes, what is sent)


def _together(played: Iterable[Sequence[Frame]]) -> Iterator[_Play]:
    for moment in played:
        yield moment[0][1].recv_ns, moment, moment


def _apart(played: Iterable[Sequence[Frame]], latency: FeedLatency) -> Iterator[_Play]:
    """Every frame twice, in time order; at one time the venue's book comes first."""
    ahead: list[tuple[int, int, int, Sequence[Frame]]] = []  # heap of (when, book before sending, number, frames)
    number = 0
    for moment in played:
        heard_ns = moment[0][1].recv_ns
        for item in moment:
            heapq.heappush(ahead, (item[1].recv_ns - latency.of(item[1]), 0, number, (item,)))
            number += 1
        heapq.heappush(ahead, (heard_ns, 1, number, moment))
        while ahead and ahead[0][0] < heard_ns - latency.slowest_ns:
            yield _next(ahead)
    while ahead:
        yield _next(ahead)


def _next(ahead: list[tuple[int, int, int, Sequence[Frame]]]) -> _Play:
    at_ns, heard, _number, frames = heapq.heappop(ahead)
    return (at_ns, (), frames) if heard else (at_ns, frames, ())
