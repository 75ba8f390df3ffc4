"""Pace of a replay: the recording's own, or a barrier's."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from actors.transport.venue_pace import BarrierPace, RealTimePace
from actors.vocab.clock import ManualClock
from actors.vocab.units import NS_PER_S


def test_real_time_waits_as_long_as_the_recording_did(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ManualClock(now_ns=5 * NS_PER_S)
    waits: list[float] = []

    async def sleep(delay_s: float) -> None:
        waits.append(delay_s)
        clock.set(clock.now_ns() + int(delay_s * NS_PER_S))

    monkeypatch.setattr(asyncio, "sleep", sleep)

    async def replay() -> None:
        pace = RealTimePace(clock)
        for recorded_s in (100, 102, 103):
            await pace.before(recorded_s * NS_PER_S)
            await pace.after(recorded_s * NS_PER_S, {})
        clock.set(clock.now_ns() + 10 * NS_PER_S)  # the machine stood still
        await pace.before(104 * NS_PER_S)

    asyncio.run(replay())

    assert waits == [0.0, 2.0, 1.0, 0.0]


def test_barrier_gets_numbered_steps_with_the_frames_of_each_connection() -> None:
    steps: list[tuple[int, int, Mapping[str, int]]] = []

    async def barrier(step: int, now_ns: int, frames_sent: Mapping[str, int]) -> None:
        steps.append((step, now_ns, frames_sent))

    async def replay() -> None:
        pace = BarrierPace(barrier)
        for recorded_ns in (10, 20):
            await pace.before(recorded_ns)
            await pace.after(recorded_ns, {"127.0.0.1:4000": recorded_ns})

    asyncio.run(replay())

    assert steps == [(1, 10, {"127.0.0.1:4000": 10}), (2, 20, {"127.0.0.1:4000": 20})]
