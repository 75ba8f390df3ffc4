"""Whatever happens in whatever order: the envelope, the budget, the own side of the market and finite numbers hold.

A small world plays gateway and venue by its own books: messages wait in queues of random length, orders are acked,
refused, filled in parts, cancelled, links break. After each command of the engine the world checks its own truth.
"""

from __future__ import annotations

import math
import random
from collections import deque
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.quote.budget import MISSING_TIMES
from actors.quote.engine import Command, QuoteEngine
from actors.quote.events import FeedLink, GatewayLink, InstrumentRow, RiskLink, Timer
from actors.quote.models.protocol import Estimates, Price, State
from actors.quote.views import NEUTRAL, effect, widening_bps
from actors.vocab.leases import LeaseGrant, LeaseRequest, RiskState, Token
from actors.vocab.market import BookState, Side
from actors.vocab.opinions import RegimeView, RiskView, SignalInputs
from actors.vocab.orders import (
    CancelAll,
    CancelOrder,
    FillsAgain,
    HolderHello,
    LeasedOrder,
    LeasedReplace,
    OrderState,
)
from tests.quote import stage
from tests.quote.stage import BTC, GATEWAY, HOLDER, MS, SYMBOL, T0, VENUE, book, fill, holder_state, update

ORDERS_PER_MIN = 30
LOW_TICKS, HIGH_TICKS = 598_000, 602_000


class VenueOrder:
    def __init__(self, command: LeasedOrder) -> None:
        self.ref, self.side = command.ref, command.side
        self.price, self.lots, self.filled = command.price_ticks, command.lots, 0

    @property
    def rest(self) -> int:
        return self.lots - self.filled


class World:
    """Gateway, venue, risk and feed in one, each message a random while on its way."""

    def __init__(self, **quote: Any) -> None:
        self.engine = QuoteEngine(venue=VENUE, symbol=SYMBOL, holder=HOLDER, settings=stage.settings(llm=True, **quote))
        self.banded = "price_bands" in quote
        self.now_ns = T0
        self.seq = 0
        self.bid, self.ask = 599_995, 600_005
        self.book_ok = True
        self.position = 0
        self.fill_no = 0
        self.fills: list[Any] = []
        self.live: dict[int, VenueOrder] = {}
        self.to_gateway: deque[Command] = deque()
        self.to_engine: deque[Any] = deque()
        self.envelope = (40, 40)
        self.grant_no = 1
        self.state = RiskState.NORMAL
        self.granting = True
        self.sent_ns: list[int] = []
        self.tell(FeedLink(VENUE, up=True))
        self.tell(InstrumentRow(BTC))
        self.tell(RiskLink(True))
        self.tell(GatewayLink(True, GATEWAY))

    # --- engine's side -----------------------------------------------------------------------------------

    def tell(self, event: Any) -> None:
        for command in self.engine.handle(event, self.now_ns):
            self.check(command)
            if isinstance(command, LeaseRequest):
                if self.granting:
                    self.to_engine.append(self.grant(command.request_no))
            elif not isinstance(command, SignalInputs):
                self.to_gateway.append(command)

    def check(self, command: Command) -> None:
        if not isinstance(command, (LeasedOrder, LeasedReplace)):
            return
        assert math.isfinite(command.value_usd)
        assert command.value_usd >= 0
        assert command.price_ticks >= 1
        if self.banded:
            assert LOW_TICKS <= command.price_ticks <= HIGH_TICKS
        if command.side is Side.BUY:
            assert command.price_ticks < self.ask
        else:
            assert command.price_ticks > self.bid
        assert command.lease_left_ms > 0
        buys, sells = self.at_risk(command)
        # A lowered envelope may already be exceeded on the other side; this order must fit on its own.
        if command.side is Side.BUY:
            assert self.position + buys <= command.long_lots
        else:
            assert self.position - sells >= -command.short_lots
        self.sent_ns.append(self.now_ns)
        window = [sent for sent in self.sent_ns if sent > self.now_ns - 60_000 * MS]
        # What is missing may go beyond the rate, what only moves a live quote back never.
        assert len(window) <= MISSING_TIMES * ORDERS_PER_MIN
        assert len(window) - self.engine.budget.needed_count(self.now_ns) <= ORDERS_PER_MIN

    def at_risk(self, newest: Command) -> tuple[int, int]:
        """Worst case of everything live or on its way, by the world's own books."""
        most: dict[int, tuple[Side, int]] = {order.ref: (order.side, order.rest) for order in self.live.values()}
        for command in [*self.to_gateway, newest]:
            if isinstance(command, LeasedOrder):
                most[command.ref] = (command.side, command.lots)
            elif isinstance(command, LeasedReplace):
                order = self.live.get(command.ref)
                if order is not None or command.ref in most:
                    rest = command.lots - (order.filled if order else 0)
                    most[command.ref] = (command.side, max(rest, most[command.ref][1]))
        return (
            sum(rest for side, rest in most.values() if side is Side.BUY),
            sum(rest for side, rest in most.values() if side is Side.SELL),
        )

    def grant(self, request_no: int) -> LeaseGrant:
        return LeaseGrant(
            venue=VENUE,
            symbol=SYMBOL,
            token=Token(1, self.grant_no, HOLDER),
            request_no=request_no,
            long_lots=self.envelope[0],
            short_lots=self.envelope[1],
            state=self.state,
            reason="",
            ttl_ms=2_000,
            orders_per_min=ORDERS_PER_MIN,
            quantity_factor=0.5 if self.state is RiskState.WARNING else 1.0,
        )

    # --- what can happen ----------------------------------------------------------------------------------

    def step(self, action: str, number: int) -> None:
        self.now_ns += (number % 50) * MS
        getattr(self, action)(number)

    def market(self, number: int) -> None:
        move = number % 401 - 200
        self.bid += move * 3
        self.ask = self.bid + 1 + number % 30
        self.seq += 1
        own = {order.price: order.rest for order in self.live.values()}
        state = BookState.OK if number % 29 else BookState.STALE
        bids = ((self.bid, 50 + own.get(self.bid, 0)), (self.bid - 7, 90))
        asks = ((self.ask, 5 + number % 90 + own.get(self.ask, 0)), (self.ask + 7, 90))
        self.tell(book(self.seq, self.now_ns, bids=bids, asks=asks, state=state))

    def timer(self, number: int) -> None:
        self.tell(Timer())

    def wait(self, number: int) -> None:
        self.now_ns += (number % 4) * 1_000 * MS
        self.tell(Timer())

    def deliver(self, number: int) -> None:
        for _ in range(1 + number % 3):
            if self.to_engine:
                self.tell(self.to_engine.popleft())

    def gateway(self, number: int) -> None:
        for _ in range(1 + number % 3):
            if self.to_gateway:
                self.at_gateway(self.to_gateway.popleft(), number)

    def at_gateway(self, command: Command, number: int) -> None:
        match command:
            case LeasedOrder() if number % 11 == 0:
                self.say(command.ref, OrderState.REJECTED, reason="would take")
            case LeasedOrder():
                self.live[command.ref] = VenueOrder(command)
                self.say(command.ref, OrderState.OPEN)
            case LeasedReplace():
                order = self.live.get(command.ref)
                if order is None:
                    return
                if number % 7 == 0 or command.lots <= order.filled:
                    self.say(command.ref, OrderState.OPEN, reason="not changed")
                else:
                    order.price, order.lots = command.price_ticks, command.lots
                    self.say(command.ref, OrderState.OPEN)
            case CancelOrder():
                self.end(command.ref)
            case CancelAll():
                for ref in list(self.live):
                    self.end(ref)
            case HolderHello():
                self.to_engine.append(
                    holder_state(position=self.position, fill_no=self.fill_no, open_refs=tuple(sorted(self.live)))
                )
            case FillsAgain():
                self.to_engine.extend(self.fills[command.from_no - 1 :])

    def say(self, ref: int, state: OrderState, reason: str = "") -> None:
        order = self.live.get(ref)
        if order is None:
            self.to_engine.append(update(ref, state, reason=reason))
            return
        if state is OrderState.OPEN and order.filled:
            state = OrderState.PARTLY_FILLED
        self.to_engine.append(
            update(ref, state, price=order.price, lots=order.lots, filled=order.filled, reason=reason)
        )

    def end(self, ref: int) -> None:
        if ref in self.live:
            self.say(ref, OrderState.CANCELLED)
            del self.live[ref]
        else:
            self.to_engine.append(update(ref, OrderState.CANCELLED))

    def taker(self, number: int) -> None:
        if not self.live:
            return
        ref = sorted(self.live)[number % len(self.live)]
        order = self.live[ref]
        lots = 1 + number % max(1, order.rest)
        order.filled += lots
        self.position += order.side * lots
        self.fill_no += 1
        booked = fill(self.fill_no, ref, order.side, order.price, lots, self.position)
        self.fills.append(booked)
        told = update(
            ref,
            OrderState.FILLED if order.rest == 0 else OrderState.PARTLY_FILLED,
            price=order.price,
            lots=order.lots,
            filled=order.filled,
        )
        self.to_engine.extend((booked, told) if number % 2 else (told, booked))
        if order.rest == 0:
            del self.live[ref]

    def envelope_changes(self, number: int) -> None:
        self.envelope = (number % 40, (number // 40) % 40)
        self.grant_no += 1
        self.to_engine.append(self.grant(0))

    def risk_changes(self, number: int) -> None:
        self.state = RiskState(number % 5)
        self.grant_no += 1
        self.to_engine.append(self.grant(0))

    def risk_silent(self, number: int) -> None:
        self.granting = number % 2 == 0

    def link_breaks(self, number: int) -> None:
        """What was on its way is lost in both directions; the gateway keeps its orders."""
        self.to_gateway.clear()
        self.to_engine.clear()
        self.tell(GatewayLink(False))
        self.tell(GatewayLink(True, GATEWAY))

    def opinion(self, number: int) -> None:
        values = [0.0, 0.3, 1.0, 7.0, math.nan, -2.0, math.inf]
        self.tell(
            RegimeView(
                SYMBOL,
                bid_factor=values[number % 7],
                ask_factor=values[number // 7 % 7],
                spread_bps_min=values[number // 49 % 7] * 30,
                max_position_usd=values[number // 343 % 7] * 500,
                ttl_s=30.0,
            )
        )
        self.tell(RiskView("fleet", 0.5, False, 0.0, values[number // 7 % 7] * 30, ttl_s=30.0))


# What happens, as often as it stands here.
ACTIONS = (
    *["market"] * 8,
    *["gateway"] * 8,
    *["deliver"] * 8,
    *["taker"] * 4,
    *["timer"] * 3,
    "wait",
    "envelope_changes",
    "risk_changes",
    "risk_silent",
    "link_breaks",
    "opinion",
)


def storm(world: World, rng: random.Random, steps: int) -> None:
    for _ in range(steps):
        world.step(rng.choice(ACTIONS), rng.randrange(10_001))
        assert all(code.value for code, _text in world.engine.reasons().values())


@settings(max_examples=80)
@given(
    seed=st.integers(0, 2**32),
    levels=st.sampled_from([1, 1, 3]),
    model=st.sampled_from(
        [
            {"model": "avellaneda_stoikov"},
            {"model": "avellaneda_stoikov", "horizon": "infinite"},
            {"model": "glft"},
            {"model": "glft", "glft_solution": "exact"},
            {"model": "riccati"},
            {"model": "fixed"},
            {"model": "article"},
        ]
    ),
    sizes=st.sampled_from([{}, {"level_size_ratio": 1.7}, {"level_sizes": "model"}]),
)
def test_envelope_budget_post_only_and_band_hold_in_any_order(
    seed: int, levels: int, model: dict[str, Any], sizes: dict[str, Any]
) -> None:
    # A narrow band: the market leaves it now and then.
    band = {"price_bands": {SYMBOL: (LOW_TICKS / 10, HIGH_TICKS / 10)}}
    world = World(levels_count=levels, volatility_sample_ms=0, microprice_weight=1.0, **model, **sizes, **band)

    storm(world, random.Random(seed), steps=250)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32))
def test_after_the_storm_everything_settles_and_agrees(seed: int) -> None:
    """Calm returns: queues drain, risk grants, the book is good. Then position and orders agree with the venue's."""
    world = World(volatility_sample_ms=0)
    storm(world, random.Random(seed), steps=150)
    world.granting, world.state, world.envelope = True, RiskState.NORMAL, (40, 40)
    world.grant_no += 1
    for round_no in range(60):
        world.now_ns += 200 * MS
        world.seq += 1
        world.tell(book(world.seq, world.now_ns, world.bid, world.ask, beat=round_no > 0))
        world.tell(Timer())
        while world.to_gateway or world.to_engine:
            world.gateway(1)
            world.deliver(2)

    engine = world.engine
    assert engine.position.lots == world.position
    assert {ref: (o.side, o.price, o.rest) for ref, o in world.live.items()} == {
        ref: (o.side, o.price_ticks, o.rest_lots) for ref, o in engine.own.by_ref.items()
    }
    assert not any(order.pending for order in engine.own.by_ref.values())


@given(
    view=st.builds(
        RegimeView,
        symbol=st.just(SYMBOL),
        bid_factor=st.floats(),
        ask_factor=st.floats(),
        spread_bps_min=st.floats(),
        max_position_usd=st.floats(),
        ttl_s=st.floats(),
    ),
    age_s=st.floats(0, 1e6),
)
def test_a_view_never_adds_risk_whatever_it_says(view: RegimeView, age_s: float) -> None:
    found = effect(view, age_s)

    assert 0.0 <= found.bid_factor <= NEUTRAL.bid_factor
    assert 0.0 <= found.ask_factor <= NEUTRAL.ask_factor
    assert NEUTRAL.spread_floor_bps <= found.spread_floor_bps < math.inf
    assert 0.0 < found.position_usd_max <= NEUTRAL.position_usd_max


@given(add=st.floats(), ttl_s=st.floats(), age_s=st.floats(-1e6, 1e6))
def test_a_verdict_only_widens_whatever_it_says(add: float, ttl_s: float, age_s: float) -> None:
    assert 0.0 <= widening_bps(RiskView("fleet", 0.5, False, 0.0, add, ttl_s), age_s) <= 100.0


@settings(max_examples=80)
@given(
    bid_factor=st.floats(0, 1),
    ask_factor=st.floats(0, 1),
    spread=st.floats(0, 200),
    cap=st.floats(0, 5_000),
    position=st.integers(-20, 20),
    add=st.floats(-50, 100),
)
def test_quotes_under_a_view_are_never_larger_or_tighter(
    bid_factor: float, ask_factor: float, spread: float, cap: float, position: int, add: float
) -> None:
    plain, viewed = stage.engine(), stage.engine()
    view = RegimeView(SYMBOL, bid_factor, ask_factor, spread, cap, ttl_s=30.0)
    found = []
    for engine in (plain, viewed):
        if engine is viewed:
            engine.handle(view, T0)
            engine.handle(RiskView("fleet", 0.5, False, 0.0, add, ttl_s=30.0), T0)
        commands = stage.ready(engine, first=book(1, T0), position=position)
        found.append({order.side: order for order in stage.orders(commands)})
    without, under = found

    for side, order in under.items():
        assert order.lots <= without[side].lots
        assert order.price_ticks * side <= without[side].price_ticks * side


def test_numbers_that_are_none_never_leave() -> None:
    """A model that breaks answers with nothing to send and a reason."""
    quoter = stage.quoting()

    class Broken:
        respects_fees = True

        def price(self, state: State, estimates: Estimates) -> Price:
            return Price(math.nan, math.nan, math.nan)

    quoter._quoter.model = Broken()
    commands = quoter.handle(book(2, T0 + MS, 599_000, 599_010), T0 + MS)

    assert [type(command) for command in commands] == [CancelAll]
    assert "gave no number" in quoter.reasons()[Side.BUY][1]
    assert msgspec.msgpack.encode(quoter.status(T0)["fair"])
