"""When is a peer dead? The rules of one link as a small machine: no socket, no clock."""

from __future__ import annotations

BEATS_PER_SILENCE = 5  # four beats may be lost or late before the fifth makes a silence


class Pulse:
    """Silence of one peer, all moments in monotonic ns.

    Any message proves life; a beat goes out only when nothing else did for an interval.
    """

    __slots__ = ("_beat_no", "_echo_no", "_heard_ns", "_sent_ns", "interval_ns", "silence_ns")

    def __init__(self, silence_ns: int, now_ns: int) -> None:
        self.silence_ns = silence_ns
        self.interval_ns = silence_ns // BEATS_PER_SILENCE
        self._heard_ns = now_ns
        self._sent_ns = now_ns
        self._beat_no = 0
        self._echo_no = 0

    def heard(self, now_ns: int) -> None:
        self._heard_ns = now_ns

    def echo(self, beat_no: int) -> None:
        """The peer's beat `beat_no` has arrived; our next one says so."""
        self._echo_no = beat_no

    def sent(self, now_ns: int) -> None:
        self._sent_ns = now_ns

    def forgive(self, now_ns: int) -> None:
        """We ourselves were stopped: what was silent meanwhile was our ear, not the peer."""
        self._heard_ns = now_ns

    def is_silent(self, now_ns: int) -> bool:
        return now_ns - self._heard_ns >= self.silence_ns

    def beat_due(self, now_ns: int) -> bool:
        # Nine tenths: ticks come once per interval, and one that comes a hair early must not skip a beat.
        return (now_ns - self._sent_ns) * 10 >= self.interval_ns * 9

    def next_beat(self) -> tuple[int, int]:
        """Return (beat_no, echo_no) for the beat about to leave."""
        self._beat_no += 1
        return self._beat_no, self._echo_no


class Backoff:
    """Waits between dials: doubling from `first_s` to `max_s`, scaled by `jitter` in [0.5, 1)."""

    __slots__ = ("_first_s", "_max_s", "_next_s")

    def __init__(self, first_s: float, max_s: float) -> None:
        self._first_s = first_s
        self._max_s = max_s
        self._next_s = first_s

    def reset(self) -> None:
        self._next_s = self._first_s

    def next_s(self, chance: float) -> float:
        """Return the next wait; `chance` in [0, 1) spreads a herd that lost the same peer."""
        wait_s = self._next_s * (0.5 + chance / 2)
        self._next_s = min(self._next_s * 2, self._max_s)
        return wait_s
