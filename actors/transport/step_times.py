"""At which recorded times a lock-step replay steps, and which frames leave in each step. Pure; see `step_turn.py`.

Lead-in steps before the first frame (connections, leases, the gateway's first questions), a step for each recorded
moment and between moments wherever the exchange has something to say or timers want their rhythm, and steps after the
last one for the cancels.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

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
    """What was due by `begin_ns` is done, then the frames leave; everybody's clock shows `now_ns`."""

    begin_ns: int
    now_ns: int
    frames: Sequence[Frame] = ()
    ending: bool = False  # the recording is over


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


def steps(played: Iterable[Sequence[Frame]], *, start_ns: int, next_due_ns: Callable[[], int]) -> Iterator[Step]:
    """`next_due_ns` is asked between steps: when an exchange has something to do next."""
    now_ns = start_ns
    interval_ns = LEAD_STEP_NS
    for moment in played:
        first_ns, last_ns = moment[0][1].recv_ns, moment[-1][1].recv_ns
        while True:
            next_ns = min(max(next_due_ns(), now_ns + STEP_MIN_NS), now_ns + interval_ns)
            if next_ns >= first_ns:
                break
            now_ns = next_ns
            yield Step(now_ns, now_ns)
        begin_ns = max(now_ns, first_ns)
        now_ns = max(now_ns, last_ns)
        yield Step(begin_ns, now_ns, moment)
        if interval_ns != IDLE_STEP_NS and any(frame.channel != SNAPSHOT for _, frame in moment):
            interval_ns = IDLE_STEP_NS
    end_ns = now_ns + DRAIN_NS
    while now_ns < end_ns:
        now_ns += LEAD_STEP_NS
        yield Step(now_ns, now_ns, ending=True)
