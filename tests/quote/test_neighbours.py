"""Engines of one symbol at several venues never cross each other's orders."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.quote.engine import Command, QuoteEngine
from actors.quote.events import FeedLink, GatewayLink, InstrumentRow, RiskLink, Timer
from actors.quote.neighbours import OwnPrices, post_only_limits
from actors.quote.orders import OwnOrders
from actors.vocab.leases import LeaseRequest
from actors.vocab.market import Side
from actors.vocab.orders import CancelAll, CancelOrder, LeasedOrder, LeasedReplace, OrderState
from tests.quote import stage
from tests.quote.stage import BTC, GATEWAY, MS, SYMBOL, T0, VENUE, book, holder_state, update

OTHER = "bybit_perp"


def test_nothing_elsewhere_is_no_limit() -> None:
    prices = OwnPrices()
    prices.note("a", OwnOrders(iter(())), 0.1)

    assert prices.limits_ticks("b", 0.1) == (float("inf"), 0.0)


def test_prices_elsewhere_are_told_in_our_own_ticks() -> None:
    prices, own = OwnPrices(), OwnOrders(iter((1, 2)))
    own.placed(ref=1, slot=0, side=Side.BUY, price_ticks=599_990, lots=1, now_ns=T0)
    own.placed(ref=2, slot=1, side=Side.SELL, price_ticks=600_010, lots=1, now_ns=T0)
    own.replaced(own.by_ref[2], price_ticks=600_020, lots=1, now_ns=T0)
    prices.note("a", own, 0.1)

    assert prices.limits_ticks("b", 0.5) == pytest.approx((120_002.0, 119_998.0))  # the old ask may still stand
    assert prices.limits_ticks("a", 0.1) == (float("inf"), 0.0)


@pytest.mark.parametrize(
    ("below", "above", "limits"),
    [
        (float("inf"), 0.0, (105, 100)),
        (103.0, 0.0, (103, 100)),  # bids at 102 or below
        (102.4, 0.0, (103, 100)),  # a bid at 102 is below an ask at 102.4
        (103.0000000001, 0.0, (103, 100)),
        (float("inf"), 102.0, (105, 102)),
        (float("inf"), 102.6, (105, 102)),
        (float("inf"), 99.0, (105, 100)),
    ],
)
def test_limits_in_whole_ticks(below: float, above: float, limits: tuple[int, int]) -> None:
    assert post_only_limits(100, 105, below, above) == limits


class TwoVenues:
    """Two engines of one symbol whose markets wander apart; each command is checked against the other's live orders."""

    def __init__(self, **quote: Any) -> None:
        prices = OwnPrices()
        fleet = stage.settings(volatility_sample_ms=0, refresh_interval_ms=1, **quote)
        self.now_ns = T0
        self.engines = {
            venue: QuoteEngine(venue=venue, symbol=SYMBOL, holder=stage.HOLDER, settings=fleet, own_prices=prices)
            for venue in (VENUE, OTHER)
        }
        self.mids = dict.fromkeys(self.engines, 600_000)
        self.seqs = dict.fromkeys(self.engines, 0)
        # (venue, ref) -> (side, price) at the venue
        self.live: dict[tuple[str, int], tuple[Side, int]] = {}
        self.waiting: list[tuple[str, Command]] = []
        for venue in self.engines:
            self.tell(venue, FeedLink(venue, up=True))
            self.tell(venue, InstrumentRow(self.at(venue, BTC)))
            self.tell(venue, RiskLink(True))
            self.tell(venue, GatewayLink(True, GATEWAY))
            self.tell(venue, self.at(venue, holder_state()))

    def at(self, venue: str, message: Any) -> Any:
        return msgspec.structs.replace(message, venue=venue)

    def tell(self, venue: str, event: Any) -> None:
        for command in self.engines[venue].handle(event, self.now_ns):
            if isinstance(command, LeaseRequest):
                self.tell(venue, self.at(venue, stage.grant(command.request_no)))
            elif isinstance(command, (LeasedOrder, LeasedReplace)):
                self.check(venue, command)
                self.waiting.append((venue, command))
            elif isinstance(command, (CancelOrder, CancelAll)):
                self.waiting.append((venue, command))

    def check(self, venue: str, command: LeasedOrder | LeasedReplace) -> None:
        for (other, _), (side, price) in self.live.items():
            if other != venue and side != command.side:
                assert (command.price_ticks - price) * command.side < 0, f"{command} crosses {price} at {other}"

    def market(self, venue: str, mid: int) -> None:
        self.mids[venue] = mid
        self.seqs[venue] += 1
        self.tell(venue, self.at(venue, book(self.seqs[venue], self.now_ns, mid - 5, mid + 5)))

    def answer(self) -> None:
        venue, command = self.waiting.pop(0)
        match command:
            case LeasedOrder() | LeasedReplace():
                self.live[venue, command.ref] = (command.side, command.price_ticks)
                told = update(command.ref, OrderState.OPEN, price=command.price_ticks, lots=command.lots)
                self.tell(venue, self.at(venue, told))
            case CancelOrder():
                self.live.pop((venue, command.ref), None)
                self.tell(venue, self.at(venue, update(command.ref, OrderState.CANCELLED)))
            case CancelAll():
                for name, ref in list(self.live):
                    if name == venue:
                        del self.live[name, ref]
                        self.tell(venue, self.at(venue, update(ref, OrderState.CANCELLED)))


def test_a_cheaper_market_beside_ours_does_not_sell_to_our_bid() -> None:
    world = TwoVenues()
    world.market(VENUE, 600_000)
    while world.waiting:
        world.answer()
    bid = max(price for (venue, _), (side, price) in world.live.items() if side is Side.BUY)

    world.market(OTHER, 598_000)  # 33 bps lower: its ask would stand far below our bid
    while world.waiting:
        world.answer()

    asks = [price for (venue, _), (side, price) in world.live.items() if venue == OTHER and side is Side.SELL]
    assert asks == [bid + 1]


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), levels=st.sampled_from([1, 3]))
def test_never_crossing_whatever_both_markets_do(seed: int, levels: int) -> None:
    rng = random.Random(seed)
    world = TwoVenues(levels_count=levels)
    for _ in range(120):
        world.now_ns += rng.randrange(1, 300) * MS
        venue = rng.choice((VENUE, OTHER))
        match rng.randrange(4):
            case 0 | 1:
                world.market(venue, world.mids[venue] + rng.randrange(-900, 901))
            case 2:
                world.tell(venue, Timer())
            case 3:
                for _ in range(rng.randrange(4)):
                    if world.waiting:
                        world.answer()
