"""Two-sided quoting inside the order budget that fifty symbols leave each other: 22 orders a minute."""

from __future__ import annotations

import math
import random
from collections import deque

import pytest

from actors.quote.engine import Command, QuoteEngine
from actors.quote.events import Timer
from actors.vocab.leases import LeaseRequest
from actors.vocab.market import Side
from actors.vocab.orders import CancelOrder, LeasedOrder, LeasedReplace, OrderState
from tests.quote.stage import MS, T0, book, engine, fill, grant, ready, settings, update

FRAME_MS = 50
ORDERS_PER_MIN = 22


class Market:
    """A Gaussian mid, takers that mostly know where it goes next, a gateway and a venue that take 5 ms."""

    def __init__(self, *, volatility_bps: float, takers_per_s: float, seed: int) -> None:
        self.rng = random.Random(seed)
        self.step_bps = volatility_bps * math.sqrt(FRAME_MS / 1000)
        self.taker_share = takers_per_s * FRAME_MS / 1000
        self.engine: QuoteEngine = engine(fleet=settings(volatility_sample_ms=250, microprice_weight=1.0))
        self.now_ns, self.seq, self.mid = T0, 0, 600_000.0
        self.pending: deque[tuple[int, Command]] = deque()
        # ref -> [side, price, lots left, lots]
        self.live: dict[int, list[int]] = {}
        self.position = self.fill_no = self.sent = 0
        ready(self.engine)
        self.engine.handle(grant(0, orders_per_min=ORDERS_PER_MIN), self.now_ns)

    def take(self, commands: list[Command]) -> None:
        for command in commands:
            if isinstance(command, LeaseRequest):
                self.take(self.engine.handle(grant(command.request_no, orders_per_min=ORDERS_PER_MIN), self.now_ns))
            else:
                self.sent += isinstance(command, (LeasedOrder, LeasedReplace))
                self.pending.append((self.now_ns + 5 * MS, command))

    def run(self, seconds: int) -> None:
        for frame in range(seconds * 1000 // FRAME_MS):
            self.now_ns += FRAME_MS * MS
            move_bps = self.rng.gauss(0, self.step_bps)
            self.answers()
            if self.rng.random() < self.taker_share:
                informed = self.rng.random() < 0.6
                self.taker(Side.BUY if (move_bps > 0 if informed else self.rng.random() < 0.5) else Side.SELL)
            self.mid *= 1 + move_bps * 1e-4
            self.cross()
            self.seq += 1
            bid = math.floor(self.mid) - 10
            sizes = [self.rng.randrange(100, 1000) for _ in range(2)]
            levels = (((bid, sizes[0]),), ((bid + 21, sizes[1]),))
            self.take(self.engine.handle(book(self.seq, self.now_ns, bids=levels[0], asks=levels[1]), self.now_ns))
            if frame % 2:
                self.take(self.engine.handle(Timer(), self.now_ns))

    def answers(self) -> None:
        while self.pending and self.pending[0][0] <= self.now_ns:
            _due, command = self.pending.popleft()
            if isinstance(command, LeasedOrder):
                self.live[command.ref] = [command.side, command.price_ticks, command.lots, command.lots]
            elif isinstance(command, LeasedReplace):
                order = self.live.get(command.ref)
                if order is None:
                    continue
                order[2] += command.lots - order[3]
                order[1], order[3] = command.price_ticks, command.lots
            elif isinstance(command, CancelOrder):
                self.live.pop(command.ref, None)
                self.take(self.engine.handle(update(command.ref, OrderState.CANCELLED), self.now_ns))
                continue
            else:
                raise AssertionError(f"unexpected in a calm market: {command}")
            _side, price, left, lots = self.live[command.ref]
            told = update(command.ref, OrderState.OPEN, price=price, lots=lots, filled=lots - left)
            self.take(self.engine.handle(told, self.now_ns))

    def taker(self, side: Side) -> None:
        """Walks up to a random depth, exponential with 3 bps: nearer quotes fill more often."""
        reach = self.mid * (1 + side * self.rng.expovariate(1 / 3) * 1e-4)
        self.hit([ref for ref, o in self.live.items() if o[0] == -side and (reach - o[1]) * side >= 0])

    def cross(self) -> None:
        """The mid has moved through our quote: it is gone."""
        self.hit([ref for ref, o in self.live.items() if (self.mid - o[1]) * o[0] <= 0])

    def hit(self, refs: list[int]) -> None:
        for ref in refs:
            side, price, left, lots = self.live.pop(ref)
            self.position += side * left
            self.fill_no += 1
            done = fill(self.fill_no, ref, Side(side), price, left, self.position)
            told = update(ref, OrderState.FILLED, price=price, lots=lots, filled=lots)
            self.take(self.engine.handle(done, self.now_ns))
            self.take(self.engine.handle(told, self.now_ns))


@pytest.mark.parametrize(
    ("volatility_bps", "takers_per_s", "fills_min"),
    # At 4 bps the quotes stand beyond the reach of any taker: only one that came too late would be hit.
    [(0.3, 0.4, 1), (1.0, 0.6, 1), (2.0, 0.6, 1), (4.0, 0.6, 0)],
)
def test_both_sides_are_live_nine_tenths_of_the_time(
    volatility_bps: float, takers_per_s: float, fills_min: int
) -> None:
    market = Market(volatility_bps=volatility_bps, takers_per_s=takers_per_s, seed=5)

    market.run(seconds=240)

    engine = market.engine
    assert engine.uptime.share(market.now_ns) >= 0.9, vars(engine.counters)
    assert market.sent <= 4 * ORDERS_PER_MIN
    assert market.fill_no >= fills_min
    assert engine.position.lots == market.position
