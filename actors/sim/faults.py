"""Faults with names and seeds: what a venue does to us on a bad day, decided purely.

drop           a public frame that is not depth never arrives
gap            one to three depth frames in a row of a symbol never arrive
reorder        a depth frame arrives after the one that follows it: for a sequencer also a gap
delay          a symbol's public frames stand still for a while, then arrive in order
disconnect     connections of one kind are hung up without a goodbye
http_429       an order request is refused with Retry-After, surely not executed
http_5xx       an order request is answered 503 "Unknown error"; it was executed or not
unknown        an order request is never answered; it was executed or not
reject         an order request is refused as overloaded (-1008), surely not executed
late_ack       the answer arrives after the private events it caused (ack after fill)
late_fill      a private fill arrives late, after later events of its order (fill after cancel)

A `FaultPlan` draws from its own generator: the same mix and seed meet the same questions with the same answers, and a
mix changes nothing in the market itself.
"""

from __future__ import annotations

import enum
from collections import Counter

import msgspec
import numpy as np

from actors.sim.messages import Disconnect, Scope
from actors.vocab.errors import ConfigError
from actors.vocab.message import Record
from actors.vocab.units import NS_PER_MS, NS_PER_S
from actors.vocab.venue_io import DepthDelta, MarketEvent, VenuePlace, VenueReplace, VenueRequest

_DRAWS = 4096  # uniforms drawn at once


class FaultMix(msgspec.Struct, frozen=True):
    """How often what happens: shares per frame or per order request, disconnects per minute and kind."""

    drop: float = 0.0
    gap: float = 0.0
    reorder: float = 0.0
    delay: float = 0.0
    delay_ms: tuple[int, int] = (50, 400)
    disconnects_public_per_min: float = 0.0
    disconnects_private_per_min: float = 0.0
    disconnects_order_per_min: float = 0.0
    http_429: float = 0.0
    http_5xx: float = 0.0
    unknown: float = 0.0
    executed_share: float = 0.5  # of 5xx and unknown
    reject: float = 0.0
    late_ack: float = 0.0
    late_fill: float = 0.0
    late_ms: tuple[int, int] = (20, 1500)


MIXES: dict[str, FaultMix] = {
    "none": FaultMix(),
    # An ordinary bad hour: everything happens, nothing often.
    "rough": FaultMix(
        drop=0.0005,
        gap=0.0005,
        reorder=0.0003,
        delay=0.0005,
        disconnects_public_per_min=0.3,
        disconnects_private_per_min=0.2,
        disconnects_order_per_min=0.2,
        http_429=0.001,
        http_5xx=0.002,
        unknown=0.004,
        reject=0.01,
        late_ack=0.02,
        late_fill=0.03,
    ),
    # A venue that is falling over.
    "storm": FaultMix(
        drop=0.005,
        gap=0.004,
        reorder=0.003,
        delay=0.005,
        delay_ms=(100, 2_000),
        disconnects_public_per_min=3.0,
        disconnects_private_per_min=2.0,
        disconnects_order_per_min=2.0,
        http_429=0.01,
        http_5xx=0.03,
        unknown=0.04,
        reject=0.05,
        late_ack=0.10,
        late_fill=0.20,
        late_ms=(50, 3_000),
    ),
    # One kind at a time, for tests that must name their cause.
    "gaps": FaultMix(gap=0.005, reorder=0.002),
    "slow": FaultMix(delay=0.01, delay_ms=(100, 1_500), late_ack=0.2),
    "disconnects": FaultMix(
        disconnects_public_per_min=4.0, disconnects_private_per_min=4.0, disconnects_order_per_min=4.0
    ),
    "unknown": FaultMix(http_5xx=0.05, unknown=0.1),
    "late": FaultMix(late_ack=0.3, late_fill=0.5),
    "refusing": FaultMix(http_429=0.02, reject=0.2),
}


class Fate(enum.StrEnum):
    """What becomes of one order request."""

    PASS = "pass"
    REFUSE_429 = "http_429"  # not executed
    REFUSE_BUSY = "reject"  # not executed
    ANSWER_5XX = "http_5xx"
    NO_ANSWER = "unknown"


class RequestFate(Record, frozen=True):
    fate: Fate = Fate.PASS
    executed: bool = True
    answer_delay_ms: int = 0  # late_ack


PASSED = RequestFate()


class FaultPlan:
    """Decides one run's faults and counts what it did."""

    def __init__(self, mix: FaultMix, seed: int) -> None:
        self._mix = mix
        self._rng = np.random.default_rng([seed, 0xFA17])
        self._uniforms: list[float] = []
        # symbol -> (venue time until which its frames stand still)
        self._still_until_ns: dict[str, int] = {}
        self._gap_left: dict[str, int] = {}  # symbol -> depth frames still to lose
        self._held: dict[str, DepthDelta] = {}  # symbol -> depth frame that waits to be overtaken
        self._next_disconnect_ns: dict[Scope, int] = {}
        self.counts: Counter[str] = Counter()  # fault name -> times injected
        self.quiet = mix == FaultMix()

    @classmethod
    def named(cls, name: str, seed: int) -> FaultPlan:
        """`ConfigError` names the mixes there are."""
        if name not in MIXES:
            raise ConfigError(f"sim.faults: no mix named {name!r}; choose from {', '.join(MIXES)}")
        return cls(MIXES[name], seed)

    @property
    def gaps_injected(self) -> int:
        """Breaks that a sequencer of depth frames must have seen."""
        return self.counts["gap"] + self.counts["reorder"]

    def on_public(self, event: MarketEvent, now_ns: int) -> list[tuple[int, MarketEvent]]:
        """What is sent instead of `event`: (delay in ms, event); [] drops it."""
        if self.quiet:
            return [(0, event)]
        symbol = getattr(event, "symbol", "")
        events = self._on_depth(event) if isinstance(event, DepthDelta) else self._on_other(event)
        left_ns = self._still_until_ns.get(symbol, 0) - now_ns
        if left_ns > 0:
            return [(-(-left_ns // NS_PER_MS), each) for each in events]
        if self._happens(self._mix.delay):
            self.counts["delay"] += 1
            delay_ms = self._between(self._mix.delay_ms)
            self._still_until_ns[symbol] = now_ns + delay_ms * NS_PER_MS
            return [(delay_ms, each) for each in events]
        return [(0, each) for each in events]

    def on_request(self, request: VenueRequest) -> RequestFate:
        """Fate of a place or replace. Everything else passes: a cancel's unknown outcome teaches nothing new."""
        if self.quiet or not isinstance(request, VenuePlace | VenueReplace):
            return PASSED
        mix = self._mix
        draw = self._uniform()
        for fate, share in (
            (Fate.REFUSE_429, mix.http_429),
            (Fate.REFUSE_BUSY, mix.reject),
            (Fate.ANSWER_5XX, mix.http_5xx),
            (Fate.NO_ANSWER, mix.unknown),
        ):
            if draw < share:
                self.counts[fate] += 1
                may_run = fate in (Fate.ANSWER_5XX, Fate.NO_ANSWER)
                return RequestFate(fate=fate, executed=may_run and self._happens(mix.executed_share))
            draw -= share
        if self._happens(mix.late_ack):
            self.counts["late_ack"] += 1
            return RequestFate(answer_delay_ms=self._between(mix.late_ms))
        return PASSED

    def on_fill(self) -> int:
        """Milliseconds by which a private fill is late."""
        if self.quiet or not self._happens(self._mix.late_fill):
            return 0
        self.counts["late_fill"] += 1
        return self._between(self._mix.late_ms)

    def next_disconnect_ns(self, now_ns: int) -> int:
        """When `disconnects` has something to say; far away when never."""
        if self.quiet:
            return 1 << 62
        for scope, per_min in self._rates():
            if per_min and scope not in self._next_disconnect_ns:
                self._next_disconnect_ns[scope] = now_ns + self._wait_ns(per_min)
        return min(self._next_disconnect_ns.values(), default=1 << 62)

    def disconnects(self, now_ns: int) -> list[Disconnect]:
        """Connections to hang up now."""
        due = []
        for scope, per_min in self._rates():
            if self._next_disconnect_ns.get(scope, 1 << 62) <= now_ns:
                self.counts["disconnect"] += 1
                self._next_disconnect_ns[scope] = now_ns + self._wait_ns(per_min)
                due.append(Disconnect(scope))
        return due

    def _rates(self) -> tuple[tuple[Scope, float], ...]:
        mix = self._mix
        return (
            (Scope.PUBLIC, mix.disconnects_public_per_min),
            (Scope.PRIVATE, mix.disconnects_private_per_min),
            (Scope.ORDER, mix.disconnects_order_per_min),
        )

    def _on_depth(self, event: DepthDelta) -> list[MarketEvent]:
        symbol = event.symbol
        left = self._gap_left.get(symbol, 0)
        if left:
            self._gap_left[symbol] = left - 1
            return []
        held = self._held.pop(symbol, None)
        if held is not None:
            return [event, held]
        if self._happens(self._mix.gap):
            self.counts["gap"] += 1
            self._gap_left[symbol] = self._between((0, 2))
            return []
        if self._happens(self._mix.reorder):
            self.counts["reorder"] += 1
            self._held[symbol] = event
            return []
        return [event]

    def _on_other(self, event: MarketEvent) -> list[MarketEvent]:
        if self._happens(self._mix.drop):
            self.counts["drop"] += 1
            return []
        return [event]

    def _wait_ns(self, per_min: float) -> int:
        return int(-np.log1p(-self._uniform()) * 60 / per_min * NS_PER_S)

    def _happens(self, share: float) -> bool:
        return share > 0 and self._uniform() < share

    def _between(self, span: tuple[int, int]) -> int:
        return span[0] + int(self._uniform() * (span[1] - span[0] + 1))

    def _uniform(self) -> float:
        if not self._uniforms:
            self._uniforms = self._rng.random(_DRAWS).tolist()
        return self._uniforms.pop()
