"""Sends recorded frames over simulated venues' sockets exactly as they were recorded, and matches our orders to them.

Path of one frame: file → `RecordedFrame` → (a) `StreamHub`: the recorded bytes, (b) the dialect's client role → event →
`RecordedExchange`, whose fills leave over the private streams. What became due before the frame is done before it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from actors.sim.recording import SNAPSHOT, RecordingFacts
from actors.transport.step_gate import END, FREE
from actors.transport.step_times import LEAD_STEP_NS, FeedLatency, Frame, moments
from actors.transport.step_times import steps as step_times
from actors.transport.venue_desk import Wake
from actors.transport.venue_pace import Pace
from actors.transport.venue_recording import merge_frames
from actors.transport.venue_stage import Stage
from actors.transport.venue_steps import VenueSteps
from actors.vocab.units import NS_PER_S

log = logging.getLogger(__name__)

# The recording starts once every recorded stream is listened to, or this long after the last subscription changed:
# a client may want fewer streams than were recorded.
SETTLE_S = 3.0
_POLL_S = 0.02
# Less than the second by which a venue lets a client's clock run ahead of its own.
PREROLL_NS = NS_PER_S // 2


class Replay:
    """Plays recordings over their stages. `stages[i]` is the venue of `paths[i]`."""

    def __init__(
        self,
        *,
        paths: Sequence[Path],
        facts: Sequence[RecordingFacts],
        stages: Sequence[Stage],
        pace: Pace,
        lock_step: bool,
        symbols: Collection[str] = (),
        lead_ns: int = PREROLL_NS,
        length_s: float = 0.0,
        moment_ns: int = 0,
        latency: FeedLatency | None = None,
    ) -> None:
        """`symbols` are those to play; empty: all that were recorded. `lead_ns`: lock-step starts so long before.
        `length_s`: recorded seconds to play, 0 for all. `moment_ns`: frames so close to the first leave with it.
        `latency`: lock-step with a fleet alone."""
        self._symbols = frozenset(symbols or (symbol.symbol for each in facts for symbol in each.symbols))
        self._paths = paths
        self._facts = facts
        self._stages = stages
        self._pace = pace
        self._lock_step = lock_step
        self._released = asyncio.Event()
        self._start_ns = min(each.first_ns for each in facts) - lead_ns
        self._until_ns = int(min(each.first_ns for each in facts) + length_s * NS_PER_S) if length_s else 0
        self._moment_ns = moment_ns
        self._latency = latency
        self._cut = False
        self.ended_ns = 0  # lock-step with a fleet: recorded time of the last step
        self.ended = asyncio.Event()
        # Lock-step with a whole fleet; set before `release`. Without, `pace` alone decides.
        self.steps: VenueSteps | None = None
        self.frames_count = 0
        self.at_ns = min(each.first_ns for each in facts)
        self.state = "waiting for subscribers"

    def release(self) -> None:
        """Start as soon as the recorded streams are listened to; without it a held replay waits."""
        self._released.set()

    async def run(self) -> None:
        """Play to the end; returns when the last frame has been sent (and returned by the barrier, in lock-step)."""
        if self._lock_step:
            # Requests that come before the first frame move a held clock by their latency; this leaves them room.
            self._hold(self._start_ns)
            self._wake(Wake.JUMP)
        await self._released.wait()
        await self._await_subscribers()
        if self._lock_step:
            self._wake(Wake.STEPS)
        if self.steps is not None:
            await self._play_in_steps(self.steps)
            self._wake(Wake.CLOCK)
        else:
            self.state = "playing"
            for moment in self._moments():
                await self._play(moment)
            if self._lock_step:
                self._wake(Wake.JUMP)
        self.state = "ended"
        self.ended.set()

    def cut(self) -> None:
        """End after the current moment, as if the recording ended there."""
        self._cut = True
        self._released.set()

    @property
    def start_ns(self) -> int:
        """Recorded time at which a lock-step replay begins to step, before its first frame."""
        return self._start_ns

    def status(self) -> dict[str, Any]:
        first_ns = min(each.first_ns for each in self._facts)
        last_ns = max(each.last_ns for each in self._facts)
        return {
            "state": self.state,
            "waits_for": self.steps.missing() if self.steps is not None and self.state != "ended" else "",
            "frames_count": self.frames_count,
            "frames_total": sum(each.frames_count for each in self._facts),
            "at_s": (self.at_ns - first_ns) / NS_PER_S,
            "length_s": (last_ns - first_ns) / NS_PER_S,
        }

    def _moments(self) -> Iterator[list[Frame]]:
        """All frames of one moment, as (index of the file, frame), until the recordings end or are cut."""
        played = moments(
            merge_frames(self._paths), symbols=self._symbols, moment_ns=self._moment_ns, until_ns=self._until_ns
        )
        for moment in played:
            yield moment
            if self._cut:
                return

    async def _play_in_steps(self, steps: VenueSteps) -> None:
        """Lead in, the recording, and time for the last cancels; afterwards all clocks run by themselves."""
        self.state = "waiting for actors"
        await steps.ready()
        self.state = "playing"
        now_ns = self._start_ns
        played = step_times(self._moments(), start_ns=now_ns, next_due_ns=self._next_due_ns, latency=self._latency)
        for step in played:
            self._begin_moment(step.begin_ns)
            if step.venue_only:
                self._match(step.frames)
                continue
            now_ns = step.now_ns
            if step.ending:
                self.state = "ending"
            if step.frames:
                self._send_moment(step.frames)
            else:
                self._send(step.sent)
            self._hold(now_ns)
            await steps.take(now_ns, END if step.ending else "")
        self.ended_ns = now_ns
        now_ns += LEAD_STEP_NS
        self._begin_moment(now_ns)
        await steps.take(now_ns, FREE)
        steps.open()
        for clock in {id(stage.clock): stage.clock for stage in self._distinct()}.values():
            clock.free()

    def _next_due_ns(self) -> int:
        return min(stage.exchange.next_due_ns() for stage in self._distinct())

    def _begin_moment(self, now_ns: int) -> None:
        """What was due before is done before."""
        self.at_ns = now_ns
        self._hold(now_ns)
        for stage in self._distinct():
            stage.server.expire_keys()
            stage.server.desk.turn()

    async def _play(self, moment: Sequence[Frame]) -> None:
        """Send all frames of one recorded time."""
        recorded_ns = moment[0][1].recv_ns
        await self._pace.before(recorded_ns)
        self.at_ns = recorded_ns
        if self._lock_step:
            self._hold(recorded_ns)
        for index in dict.fromkeys(index for index, _ in moment):
            self._stages[index].server.desk.turn()  # orders that reached the venue before this moment
        self._send_moment(moment)
        for stage in self._distinct():
            stage.server.flush()
        await self._pace.after(recorded_ns, self._frames_sent())

    def _send_moment(self, moment: Sequence[Frame]) -> None:
        for item in moment:
            if self._lock_step:
                self._stages[item[0]].clock.hold(item[1].recv_ns)  # what it fills is filled at its own time
            self._match((item,))
            self._send((item,))

    def _match(self, frames: Sequence[Frame]) -> None:
        for index, frame in frames:
            symbols = self._facts[index].symbols
            # A snapshot in the file of one symbol need not name it.
            snapshot_of = frame.symbol or (symbols[0].symbol if len(symbols) == 1 else "")
            self._stages[index].match(frame, snapshot_of=snapshot_of)

    def _send(self, frames: Sequence[Frame]) -> None:
        for index, frame in frames:
            self._stages[index].send(frame)
            self.frames_count += frame.channel != SNAPSHOT

    def _hold(self, now_ns: int) -> None:
        for stage in self._distinct():
            stage.clock.hold(now_ns)

    def _wake(self, wake: Wake) -> None:
        for stage in self._distinct():
            stage.server.desk.wake = wake
            stage.server.desk.start()

    def _distinct(self) -> list[Stage]:
        return list({id(stage): stage for stage in self._stages}.values())

    def _frames_sent(self) -> dict[str, int]:
        """Frames sent so far to each connection, public and private, by the peer's `host:port`."""
        return {
            listener.peer: listener.frames_count for stage in self._distinct() for listener in stage.server.listeners()
        }

    async def _await_subscribers(self) -> None:
        """Return when every recorded stream has a listener, or when subscriptions have settled without."""
        loop = asyncio.get_running_loop()
        seen: tuple[str, ...] = ()
        changed_s = loop.time()
        while not all(
            stage.wants(symbol.streams)
            for stage, facts in zip(self._stages, self._facts, strict=True)
            for symbol in facts.symbols
            if symbol.symbol in self._symbols
        ):
            now = tuple(stream for stage in self._distinct() for stream in stage.server.hub.streams)
            if now != seen:
                seen, changed_s = now, loop.time()
            if seen and not self._lock_step and loop.time() - changed_s > SETTLE_S:
                log.warning("replay starts although not every recorded stream is listened to")
                return
            await asyncio.sleep(_POLL_S)
