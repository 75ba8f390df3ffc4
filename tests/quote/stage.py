"""A quote engine with scripted surroundings: the messages it would get, and a gateway that answers at once.

`quoting()` returns an engine that has all it needs and both sides live, so that a test begins where it matters.
"""

from __future__ import annotations

from typing import Any

from actors.quote.engine import Command, QuoteEngine
from actors.quote.events import FeedLink, GatewayLink, InstrumentRow, RiskLink
from actors.vocab.config import FeesSettings, FleetSettings, LlmSettings, QuoteSettings
from actors.vocab.instruments import Instrument
from actors.vocab.leases import LeaseGrant, LeaseRequest, RiskState, Token
from actors.vocab.market import BookState, BookUpdate, Level, Side
from actors.vocab.orders import (
    CancelAll,
    CancelOrder,
    Fill,
    HolderState,
    LeasedOrder,
    LeasedReplace,
    OrderState,
    OrderUpdate,
)
from actors.vocab.units import NS_PER_MS, NS_PER_S

VENUE, SYMBOL, HOLDER, GATEWAY = "binance_perp", "BTCUSDT", "quote:BTCUSDT-1", "gateway-1"
T0 = 1_000 * NS_PER_S
MS = NS_PER_MS

# One tick is 0.1 USD, one lot 0.001 coin: at 60 000.0 (600 000 ticks) a lot is 60 USD and a bp is 60 ticks.
BTC = Instrument(
    symbol=SYMBOL,
    venue=VENUE,
    market="perp",
    venue_symbol=SYMBOL,
    base="BTC",
    quote="USDT",
    tick_size="0.1",
    lot_size="0.001",
    lots_min=1,
    min_notional="50",
    maker_fee_bps=2.0,
    taker_fee_bps=5.0,
)
# Four lots of 60 USD an order, at most 33 lots of position, one update of warm-up, quoted around the mid, and samples
# so rare that the volatility stays at its floor.
QUOTE: dict[str, Any] = {"warm_up_updates": 1, "microprice_weight": 0.0, "volatility_sample_ms": 60_000}


def settings(*, llm: bool = False, maker_bps: float | None = None, **quote: Any) -> FleetSettings:
    return FleetSettings(
        quote=QuoteSettings(**(QUOTE | quote)),
        llm=LlmSettings(enabled=llm),
        fees=FeesSettings(maker_bps=maker_bps),
    )


def engine(*, own_in_book: bool = True, fleet: FleetSettings | None = None) -> QuoteEngine:
    return QuoteEngine(venue=VENUE, symbol=SYMBOL, holder=HOLDER, settings=fleet or settings(), own_in_book=own_in_book)


def book(
    seq: int,
    now_ns: int,
    bid: int = 599_995,
    ask: int = 600_005,
    *,
    bids: tuple[Level, ...] | None = None,
    asks: tuple[Level, ...] | None = None,
    state: BookState = BookState.OK,
    beat: bool = False,
    age_us: int = 100,
) -> BookUpdate:
    return BookUpdate(
        venue=VENUE,
        symbol=SYMBOL,
        seq=seq,
        state=state,
        event_ns=0,
        recv_ns=now_ns - age_us * 1000,
        age_us=age_us,
        lag_us=0,
        bids=bids if bids is not None else ((bid, 1000), (bid - 10, 1000)),
        asks=asks if asks is not None else ((ask, 1000), (ask + 10, 1000)),
        beat=beat,
    )


def grant(
    request_no: int,
    *,
    grant_no: int = 1,
    long_lots: int = 1000,
    short_lots: int = 1000,
    state: RiskState = RiskState.NORMAL,
    reason: str = "",
    orders_per_min: int = 600,
    quantity_factor: float = 1.0,
    ttl_ms: int = 2000,
    term: int = 1,
) -> LeaseGrant:
    return LeaseGrant(
        venue=VENUE,
        symbol=SYMBOL,
        token=Token(term, grant_no, HOLDER),
        request_no=request_no,
        long_lots=long_lots,
        short_lots=short_lots,
        state=state,
        reason=reason,
        ttl_ms=ttl_ms,
        orders_per_min=orders_per_min,
        quantity_factor=quantity_factor,
    )


def holder_state(*, position: int = 0, fill_no: int = 0, complete: bool = True, **changes: Any) -> HolderState:
    fields: dict[str, Any] = {
        "venue": VENUE,
        "symbol": SYMBOL,
        "gateway": GATEWAY,
        "position_lots": position,
        "avg_price_ticks": 0.0,
        "last_fill_no": fill_no,
        "dying_buy_lots": 0,
        "dying_sell_lots": 0,
        "complete": complete,
    }
    return HolderState(**(fields | changes))


def update(ref: int, state: OrderState, *, price: int = 0, lots: int = 0, filled: int = 0, reason: str = "") -> Any:
    return OrderUpdate(VENUE, SYMBOL, HOLDER, ref, state, price, lots, filled, reason)


def fill(number: int, ref: int, side: Side, price: int, lots: int, position: int, **changes: Any) -> Fill:
    fields: dict[str, Any] = {
        "venue": VENUE,
        "symbol": SYMBOL,
        "fill_no": number,
        "trade_id": number,
        "client_id": f"mnt{ref}",
        "holder": HOLDER,
        "ref": ref,
        "token_grant_no": 1,
        "side": side,
        "price_ticks": price,
        "lots": lots,
        "maker": True,
        "fee": "0",
        "fee_asset": "USDT",
        "event_ns": 0,
        "position_lots": position,
        "prev_no": number - 1,
    }
    return Fill(**(fields | changes))


def answer(quoter: QuoteEngine, commands: list[Command], now_ns: int) -> list[Command]:
    """Be a gateway and a venue that do at once what they are told; returns what the engine says to the answers."""
    more: list[Command] = []
    for command in commands:
        match command:
            case LeasedOrder() | LeasedReplace():
                ack = update(command.ref, OrderState.OPEN, price=command.price_ticks, lots=command.lots)
                more += quoter.handle(ack, now_ns)
            case CancelOrder():
                more += quoter.handle(update(command.ref, OrderState.CANCELLED), now_ns)
            case CancelAll():
                for ref in list(quoter.own.by_ref):
                    more += quoter.handle(update(ref, OrderState.CANCELLED), now_ns)
    return more


def ready(quoter: QuoteEngine, now_ns: int = T0, *, first: BookUpdate | None = None, **state: Any) -> list[Command]:
    """Links, instrument, perhaps a first book, position, lease. Returns what the grant brought about."""
    quoter.handle(FeedLink(VENUE, up=True), now_ns)
    quoter.handle(InstrumentRow(BTC), now_ns)
    if first is not None:
        quoter.handle(first, now_ns)
    quoter.handle(RiskLink(True), now_ns)
    quoter.handle(GatewayLink(True, GATEWAY), now_ns)
    requests = quoter.handle(holder_state(**state), now_ns)
    number = next(command.request_no for command in requests if isinstance(command, LeaseRequest))
    return quoter.handle(grant(number), now_ns)


def quoting(*, fleet: FleetSettings | None = None, own_in_book: bool = True, **state: Any) -> QuoteEngine:
    """An engine with both sides live at T0."""
    quoter = engine(fleet=fleet, own_in_book=own_in_book)
    answer(quoter, ready(quoter, first=book(1, T0), **state), T0)
    return quoter


def orders(commands: list[Command]) -> list[LeasedOrder]:
    return [command for command in commands if isinstance(command, LeasedOrder)]


def by_side(commands: list[Command]) -> list[tuple[Side, int, int]]:
    """(side, price, lots) of what is placed, bids first."""
    placed = ((order.side, order.price_ticks, order.lots) for order in orders(commands))
    return sorted(placed, key=lambda one: -one[0])


def replaces(commands: list[Command]) -> list[LeasedReplace]:
    return [command for command in commands if isinstance(command, LeasedReplace)]


def renewed(quoter: QuoteEngine, commands: list[Command], now_ns: int, **terms: Any) -> list[Command]:
    """Answer every lease request in `commands`."""
    more: list[Command] = []
    for command in commands:
        if isinstance(command, LeaseRequest):
            more += quoter.handle(grant(command.request_no, **terms), now_ns)
    return more
