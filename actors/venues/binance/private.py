"""User streams of both markets: frames to events, client role.

Spot events come wrapped on the websocket API connection (`{"subscriptionId":0,"event":{…}}`), USD-M events bare on
`/private/ws/<listenKey>`. Source: user-data-stream.md (2026-07-21); USD-M "User Data Streams" pages, read 2026-07.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Final

import msgspec

from actors.venues.binance.common import UNREADABLE, SymbolMap, market_of, ns, plain
from actors.venues.binance.orders import is_system, last_lots, order_lots, order_ticks, side_of, state_of
from actors.vocab.errors import VenueFault
from actors.vocab.orders import OrderState
from actors.vocab.venue_io import (
    Balance,
    Position,
    StreamDown,
    StreamKind,
    VenueBalances,
    VenueEvent,
    VenueFill,
    VenueFunding,
    VenueOrder,
    VenuePositions,
)

# Reasons of ACCOUNT_UPDATE that follow from orders of ours: the fills tell that story already.
TRADE_REASONS: Final = frozenset({"ORDER"})


class _Report(msgspec.Struct):
    """executionReport and the `o` of ORDER_TRADE_UPDATE: the letters that both share mean the same."""

    s: str
    c: str
    S: str
    q: str
    p: str
    x: str
    X: str
    i: int
    l: str  # noqa: E741  the venue's name
    z: str
    L: str
    T: int
    t: int = -1
    m: bool = False
    n: str | None = None
    N: str | None = None
    C: str = ""
    r: str = ""  # spot: reject reason
    er: str = ""  # USD-M: expiry reason


class _OrderTradeUpdate(msgspec.Struct):
    E: int
    T: int
    o: _Report


class _AccountBalance(msgspec.Struct):
    a: str
    wb: str
    bc: str = "0"


class _AccountPosition(msgspec.Struct):
    s: str
    pa: str
    ep: str = "0"


class _AccountChange(msgspec.Struct):
    m: str
    B: list[_AccountBalance] = []
    P: list[_AccountPosition] = []


class _AccountUpdate(msgspec.Struct):
    E: int
    T: int
    a: _AccountChange


class _SpotBalance(msgspec.Struct):
    a: str
    f: str
    l: str  # noqa: E741


class _SpotPosition(msgspec.Struct):
    E: int
    B: list[_SpotBalance]


class _BalanceUpdate(msgspec.Struct):
    E: int
    a: str
    d: str
    T: int


class _Envelope(msgspec.Struct):
    e: str = ""
    event: msgspec.Raw = msgspec.Raw()
    data: msgspec.Raw = msgspec.Raw()


_envelope = msgspec.json.Decoder(_Envelope)
_report = msgspec.json.Decoder(_Report)
_order_update = msgspec.json.Decoder(_OrderTradeUpdate)
_account_update = msgspec.json.Decoder(_AccountUpdate)
_spot_position = msgspec.json.Decoder(_SpotPosition)
_balance_update = msgspec.json.Decoder(_BalanceUpdate)


class PrivateReader:
    """Frames of one account's user stream to events. Keeps nothing between frames."""

    def __init__(self, venue: str, names: SymbolMap) -> None:
        self._venue = venue
        self._names = names
        self._market = market_of(venue)
        self._by_type: dict[str, Callable[[bytes], list[VenueEvent]]] = {
            "executionReport": self._execution_report,
            "ORDER_TRADE_UPDATE": self._order_trade_update,
            "ACCOUNT_UPDATE": self._account_change,
            "outboundAccountPosition": self._outbound_position,
            "balanceUpdate": self._balance_change,
            "listenKeyExpired": self._ended,
            "eventStreamTerminated": self._ended,
        }

    def read(self, frame: bytes | str) -> list[VenueEvent]:
        """[] for kinds that tell us nothing new (TRADE_LITE, MARGIN_CALL, listStatus …). `VenueFault` if unreadable.

        `StreamDown` of ORDER: the venue will close the order connection, which still serves until then.
        """
        body = frame.encode() if isinstance(frame, str) else frame
        try:
            head = _envelope.decode(body)
            from_api = bool(head.event)
            inner = head.event or head.data
            if inner:
                body = bytes(inner)
                head = _envelope.decode(body)
            if head.e == "serverShutdown":
                # Of the connection it comes on. The websocket API wraps it; spot has no other connection.
                is_order = from_api or self._market == "spot"
                return [StreamDown(StreamKind.ORDER if is_order else StreamKind.PRIVATE, head.e)]
            handler = self._by_type.get(head.e)
            return handler(body) if handler is not None else []
        except (*UNREADABLE, ArithmeticError, ValueError) as error:  # the latter two: no numbers
            raise VenueFault(f"{self._venue}: private frame is not readable: {error}: {body[:300]!r}") from error

    def _execution_report(self, body: bytes) -> list[VenueEvent]:
        report = _report.decode(body)
        # A cancel by id has its own client id in `c`; the order it ended is in `C`.
        cancelled = report.x in ("CANCELED", "REPLACED") and report.C
        return self._events(report, report.C if cancelled else report.c, report.T)

    def _order_trade_update(self, body: bytes) -> list[VenueEvent]:
        update = _order_update.decode(body)
        return self._events(update.o, update.o.c, update.T)

    def _events(self, report: _Report, client_id: str, time_ms: int) -> list[VenueEvent]:
        book = self._names.books.get(report.s)
        if book is None:  # traded by hand in something that we do not quote
            return []
        event_ns = ns(time_ms)
        side = side_of(report.S)
        events: list[VenueEvent] = []
        traded_lots = last_lots(book, report.l, report.z)
        if report.x in ("TRADE", "CALCULATED") and traded_lots:
            events.append(
                VenueFill(
                    request_no=0,
                    symbol=book.symbol,
                    client_id=client_id,
                    venue_order_id=str(report.i),
                    trade_id=report.t,
                    side=side,
                    # Some reports carry no last price; the limit is the worst it can have been, zero would be absurd.
                    price_ticks=order_ticks(book, report.L) or order_ticks(book, report.p),
                    lots=traded_lots,
                    maker=report.m,
                    fee=report.n or "0",
                    fee_asset=report.N or "",
                    event_ns=event_ns,
                    system=report.x == "CALCULATED" or is_system(client_id),
                )
            )
        state = state_of(report.X)
        events.append(
            VenueOrder(
                request_no=0,
                symbol=book.symbol,
                client_id=client_id,
                venue_order_id=str(report.i),
                side=side,
                state=state,
                price_ticks=order_ticks(book, report.p),
                lots=order_lots(book, report.q),
                filled_lots=order_lots(book, report.z),
                event_ns=event_ns,
                reason=_reason(report, state),
            )
        )
        return events

    def _account_change(self, body: bytes) -> list[VenueEvent]:
        update = _account_update.decode(body)
        change, event_ns = update.a, ns(update.T)
        events: list[VenueEvent] = []
        positions = self._positions(change.P)
        if change.m not in TRADE_REASONS:
            symbol = positions[0].symbol if len(positions) == 1 else ""
            events += [
                VenueFunding(symbol=symbol, asset=row.a, amount=row.bc, reason=change.m, event_ns=event_ns)
                for row in change.B
                if Decimal(row.bc)
            ]
        if change.B:
            balances = tuple(Balance(asset=row.a, total=row.wb) for row in change.B)
            events.append(VenueBalances(request_no=0, balances=balances))
        if positions:
            events.append(VenuePositions(request_no=0, positions=positions))
        return events

    def _positions(self, rows: list[_AccountPosition]) -> tuple[Position, ...]:
        """One per symbol; the two legs of hedge mode are added up."""
        net: dict[str, Position] = {}
        for row in rows:
            book = self._names.books.get(row.s)
            if book is None:
                continue
            lots = book.whole_lots(row.pa)
            before = net.get(book.symbol)
            entry = float(row.ep) * book.inv_tick if lots or before is None else before.entry_ticks
            net[book.symbol] = Position(book.symbol, lots + (before.position_lots if before else 0), entry)
        return tuple(net.values())

    def _outbound_position(self, body: bytes) -> list[VenueEvent]:
        rows = _spot_position.decode(body).B
        balances = tuple(
            Balance(asset=row.a, total=plain(Decimal(row.f) + Decimal(row.l)), locked=row.l) for row in rows
        )
        return [VenueBalances(request_no=0, balances=balances)]

    def _balance_change(self, body: bytes) -> list[VenueEvent]:
        change = _balance_update.decode(body)
        return [VenueFunding(symbol="", asset=change.a, amount=change.d, reason="balanceUpdate", event_ns=ns(change.T))]

    def _ended(self, body: bytes) -> list[VenueEvent]:
        return [StreamDown(StreamKind.PRIVATE, _envelope.decode(body).e)]


def _reason(report: _Report, state: OrderState) -> str:
    if report.r and report.r != "NONE":
        return report.r
    if state is OrderState.EXPIRED:
        return f"expired {report.er}".rstrip() if report.er not in ("", "0") else "expired"
    return ""
