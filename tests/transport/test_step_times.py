"""At which times a lock-step replay steps."""

from __future__ import annotations

from actors.sim.recording import RecordedFrame
from actors.transport.step_times import (
    DRAIN_NS,
    IDLE_STEP_NS,
    LEAD_STEP_NS,
    STEP_MIN_NS,
    Frame,
    Step,
    moments,
    steps,
)
from actors.vocab.units import NS_PER_MS

NEVER_NS = 1 << 62
T = 1_000_000_000_000


def frame(at_ns: int, symbol: str = "BTCUSDT") -> Frame:
    return 0, RecordedFrame(at_ns, symbol, "trade", "", b"", b"")


def times(played: list[list[Frame]], *, start_ns: int, due_ns: int = NEVER_NS) -> list[Step]:
    made = steps(played, start_ns=start_ns, next_due_ns=lambda: due_ns)
    return [step for step in made if not step.ending]


def test_frames_of_one_time_are_one_moment() -> None:
    frames = [frame(T), frame(T), frame(T + 1), frame(T + 2, "ETHUSDT")]

    assert [len(each) for each in moments(frames, symbols=("BTCUSDT",))] == [2, 1]
    assert [len(each) for each in moments(frames, symbols=("BTCUSDT", "ETHUSDT"), moment_ns=1)] == [3, 1]
    assert [len(each) for each in moments(frames, symbols=("BTCUSDT",), until_ns=T)] == [2]


def test_the_lead_is_stepped_finely_and_silence_coarsely() -> None:
    first_ns, last_ns = T + 25 * NS_PER_MS, T + 275 * NS_PER_MS

    made = times([[frame(first_ns)], [frame(last_ns)]], start_ns=T)

    assert [step.now_ns for step in made] == [
        T + LEAD_STEP_NS,
        T + 2 * LEAD_STEP_NS,
        first_ns,
        first_ns + IDLE_STEP_NS,
        first_ns + 2 * IDLE_STEP_NS,
        last_ns,
    ]
    assert [len(step.frames) for step in made] == [0, 0, 1, 0, 0, 1]


def test_an_exchange_that_is_due_gets_a_step_but_not_at_once() -> None:
    made = times([[frame(T)], [frame(T + NS_PER_MS)]], start_ns=T, due_ns=T + 1)

    assert [step.now_ns - T for step in made][:3] == [0, STEP_MIN_NS, 2 * STEP_MIN_NS]


def test_the_end_leaves_time_for_cancels() -> None:
    ending = [step for step in steps([[frame(T)]], start_ns=T, next_due_ns=lambda: NEVER_NS) if step.ending]

    assert ending[-1].now_ns == T + DRAIN_NS
    assert len(ending) == DRAIN_NS // LEAD_STEP_NS


class Slow:
    """Frames of `symbol` are on their way for so long, others not at all."""

    def __init__(self, **late_ns: int) -> None:
        self._late_ns = late_ns
        self.slowest_ns = max(late_ns.values())

    def of(self, frame: RecordedFrame) -> int:
        return self._late_ns.get(frame.symbol, 0)


def test_with_feed_latency_the_venue_knows_first_and_alone() -> None:
    first, second = frame(T + 2, "ETHUSDT"), frame(T + 5)

    made = list(steps([[first], [second]], start_ns=T, next_due_ns=lambda: NEVER_NS, latency=Slow(BTCUSDT=4)))

    assert [(step.now_ns - T, list(step.frames), list(step.sent), step.venue_only) for step in made[:4]] == [
        (1, [second], [], True),
        (2, [first], [], True),
        (2, [], [first], False),
        (5, [], [second], False),
    ]


def test_time_never_goes_back_where_a_late_frame_would_begin_before_the_lead() -> None:
    made = [
        step
        for step in steps([[frame(T + 1)]], start_ns=T, next_due_ns=lambda: NEVER_NS, latency=Slow(BTCUSDT=10**12))
        if not step.ending
    ]

    assert [step.now_ns - T for step in made] == [0, 1]
    assert made[0].venue_only
