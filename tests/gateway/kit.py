"""One gateway machine with hands on everything around it: risk, quote actors, the venue's answers and the clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from actors.gateway.commands import (
    Command,
    FromHolder,
    FromRisk,
    HolderLink,
    RiskLink,
    Tick,
    ToHolder,
    ToRisk,
    ToVenue,
)
from actors.gateway.engine import GatewayEngine
from actors.gateway.limits import limits_of
from actors.vocab.config.gateway import GatewaySettings
from actors.vocab.config.risk import RiskSettings
from actors.vocab.instruments import Instrument
from actors.vocab.leases import (
    AccountLease,
    AccountLeaseRequest,
    BlockGrant,
    Fence,
    FundingPaid,
    JournalledSymbol,
    RiskState,
    Token,
)
from actors.vocab.market import BookState, Mark, Marks, Side
from actors.vocab.message import Message
from actors.vocab.orders import Cause, Fill, HolderHello, LeasedOrder, LeasedReplace, OpenOrder, OrderState
from actors.vocab.units import NS_PER_MS
from actors.vocab.venue_io import (
    FaultKind,
    StreamKind,
    StreamUp,
    VenueAck,
    VenueCancel,
    VenueFill,
    VenueFunding,
    VenueFundingQuery,
    VenueFundings,
    VenueOpenOrders,
    VenueOpenOrdersQuery,
    VenueOrder,
    VenuePlace,
    VenuePositions,
    VenuePositionsQuery,
    VenueReject,
    VenueReplace,
    VenueRequest,
    VenueTrades,
    VenueTradesQuery,
)

M = TypeVar("M", bound=Message)
HOLDER = "quote:BTCUSDT@1"
SYMBOL = "BTCUSDT"
MID = 600_000


def instrument(symbol: str = SYMBOL, venue: str = "binance_perp", **changes: Any) -> Instrument:
    """Ticks of 0.1 and lots of 0.001: one lot at 60 000 is 60 USD."""
    spot = venue.endswith("spot")
    return Instrument(
        symbol=symbol,
        venue=venue,
        market="spot" if spot else "perp",
        venue_symbol=symbol,
        base=symbol.removesuffix("USDT"),
        quote="USDT",
        tick_size="0.1",
        lot_size="0.001",
        **changes,
    )


class Bench:
    """Drives one engine; keeps what came out of the last call and the venue's requests of all calls."""

    def __init__(self, venue: str = "binance_perp", symbols: Sequence[str] = (SYMBOL,), **settings: Any) -> None:
        defaults: dict[str, Any] = {"countdown_ms": 0}
        self.settings = GatewaySettings(**{**defaults, **settings})
        self.venue = venue
        self.now_ns = 1_000 * NS_PER_MS
        self.engine = GatewayEngine(
            venue=venue,
            incarnation="gw@1",
            settings=self.settings,
            risk=RiskSettings(),
            limits=limits_of(venue),
            instruments=tuple(instrument(symbol, venue) for symbol in symbols),
            started_ms=1_700_000_000_000,
            unix_ahead_ns=1_700_000_000_000 * NS_PER_MS - self.now_ns,
        )
        self.out: list[Command] = []
        self.requests: list[VenueRequest] = []
        self.term = 1
        self.ref = 0
        self.trade_id = 100

    # --- events -----------------------------------------------------------------------------------------

    def send(self, event: Any) -> list[Command]:
        self.out = self.engine.handle(event, self.now_ns)
        self.requests += [command.request for command in self.out if isinstance(command, ToVenue)]
        return self.out

    def later(self, ms: float) -> list[Command]:
        """Let time pass in ticks, as the shell does; return all commands of them."""
        end_ns = self.now_ns + int(ms * NS_PER_MS)
        found: list[Command] = []
        while self.now_ns < end_ns:
            self.now_ns = min(end_ns, self.now_ns + self.step_ms * NS_PER_MS)
            found += self.send(Tick())
            self.renew()
        self.out = found
        return found

    def renew(self, **changes: Any) -> None:
        """Risk answers every account lease request in the last commands."""
        for command in self.out:
            if isinstance(command, ToRisk) and isinstance(command.message, AccountLeaseRequest) and self.risk_answers:
                self.lease(command.message.request_no, **changes)

    risk_answers = True
    step_ms = 25

    def lease(self, request_no: int = 0, *, state: RiskState = RiskState.NORMAL, **changes: Any) -> list[Command]:
        values: dict[str, Any] = {
            "venue": self.venue,
            "term": self.term,
            "request_no": request_no,
            "state": state,
            "ttl_ms": 2_000,
            "acked_fill_no": 0,
            "client_block": 1,
            **changes,
        }
        return self.send(FromRisk(AccountLease(**values)))

    def marks(self) -> list[Command]:
        rows = tuple(
            Mark(symbol, BookState.OK, MID - 5, MID + 5, float(MID), float(MID), 0.0, 0, 0)
            for symbol in self.engine.core.instruments
        )
        return self.send(Marks(self.venue, 1, rows))

    def start(
        self,
        *,
        orders: tuple[OpenOrder, ...] = (),
        positions: Any = (),
        trades: dict[str, tuple[VenueFill, ...]] | None = None,
        journalled: tuple[JournalledSymbol, ...] = (),
        last_fill_no: int = 0,
        since_ms: int = 0,
        fundings: tuple[VenueFunding, ...] = (),
        paid: tuple[FundingPaid, ...] | None = None,
    ) -> Bench:
        """Everything up to an open gateway; each answer of the venue as given."""
        self.send(RiskLink(True))
        self.renew(acked_fill_no=last_fill_no)
        self.send(FromRisk(BlockGrant(self.venue, "gw@1", 0x100, 1_000, last_fill_no, since_ms, journalled, paid)))
        self.send(StreamUp(StreamKind.PRIVATE, 1))
        self.answer_queries(orders=orders, positions=positions, trades=trades or {}, fundings=fundings)
        self.marks()
        return self

    def answer_queries(
        self,
        *,
        orders: tuple[OpenOrder, ...] = (),
        positions: Any = (),
        trades: dict[str, tuple[VenueFill, ...]] | None = None,
        fundings: tuple[VenueFunding, ...] = (),
    ) -> list[Command]:
        """Answer list queries until none is left; return all commands that came out."""
        answered: list[Command] = list(self.out)
        todo = [c.request for c in self.out if isinstance(c, ToVenue)]
        while todo:
            request = todo.pop(0)
            event: Any
            if isinstance(request, VenueOpenOrdersQuery):
                event = VenueOpenOrders(request.request_no, "", orders)
            elif isinstance(request, VenueTradesQuery):
                fills = (trades or {}).get(request.symbol, ())
                event = VenueTrades(request.request_no, request.symbol, fills)
            elif isinstance(request, VenueFundingQuery):
                event = VenueFundings(request.request_no, fundings)
            elif isinstance(request, VenuePositionsQuery):
                event = VenuePositions(request.request_no, tuple(positions))
            else:
                continue
            out = self.send(event)
            answered += out
            todo += [c.request for c in out if isinstance(c, ToVenue)]
        self.out = answered
        return answered

    def hello(self, holder: str = HOLDER, symbol: str = SYMBOL, gateway: str = "gw@1") -> list[Command]:
        self.send(HolderLink(holder, True))
        return self.send(FromHolder(holder, HolderHello(self.venue, symbol, holder, gateway)))

    def order(self, side: Side = Side.BUY, **changes: Any) -> LeasedOrder:
        self.ref += 1
        values: dict[str, Any] = {
            "venue": self.venue,
            "symbol": SYMBOL,
            "ref": self.ref,
            "slot": 0 if side is Side.BUY else 1,
            "side": side,
            "price_ticks": MID - 10 * side,
            "lots": 10,
            "post_only": True,
            "reduce_only": False,
            "token": self.token(),
            "long_lots": 100,
            "short_lots": 100,
            "lease_left_ms": 1_500,
            "value_usd": 1.0,
            "cause": Cause.BOOK,
            "recv_ns": self.now_ns - 100_000,
            "age_us": 100,
            **changes,
        }
        return LeasedOrder(**values)

    def change(self, order: LeasedOrder, **changes: Any) -> LeasedReplace:
        values: dict[str, Any] = {
            name: getattr(order, name) for name in LeasedReplace.__struct_fields__ if name in order.__struct_fields__
        }
        return LeasedReplace(**{**values, **changes})

    def token(self, grant_no: int = 1, holder: str = HOLDER, term: int | None = None) -> Token:
        return Token(self.term if term is None else term, grant_no, holder)

    def say(self, message: Message, holder: str = HOLDER) -> list[Command]:
        return self.send(FromHolder(holder, message))

    def place(self, side: Side = Side.BUY, **changes: Any) -> VenuePlace:
        """Place and return what reached the venue."""
        self.say(self.order(side, **changes))
        (request,) = self.written(VenuePlace)
        return request

    def live(self, side: Side = Side.BUY, **changes: Any) -> VenuePlace:
        """Place and let the venue take it."""
        request = self.place(side, **changes)
        self.ack(request)
        return request

    # --- the venue's answers ------------------------------------------------------------------------------

    def ack(
        self, request: VenuePlace | VenueReplace | VenueCancel, state: OrderState | None = None, filled: int = 0
    ) -> list[Command]:
        usual = OrderState.CANCELLED if isinstance(request, VenueCancel) else OrderState.OPEN
        lots, price = getattr(request, "lots", 0), getattr(request, "price_ticks", 0)
        return self.send(
            VenueAck(
                request.request_no,
                request.symbol,
                request.client_id,
                f"v{request.client_id}",
                usual if state is None else state,
                price,
                lots,
                filled,
                7,
            )
        )

    def reject(self, request: VenueRequest, kind: FaultKind, **changes: Any) -> list[Command]:
        return self.send(VenueReject(request.request_no, kind, -1, kind.name, **changes))

    def fill(self, request: VenuePlace, lots: int, *, trade_id: int = 0, **changes: Any) -> list[Command]:
        if not trade_id:
            self.trade_id += 1
            trade_id = self.trade_id
        return self.send(self.fill_of(request, lots, trade_id, **changes))

    @staticmethod
    def fill_of(request: VenuePlace, lots: int, trade_id: int, **changes: Any) -> VenueFill:
        values: dict[str, Any] = {
            "request_no": 0,
            "symbol": request.symbol,
            "client_id": request.client_id,
            "venue_order_id": f"v{request.client_id}",
            "trade_id": trade_id,
            "side": request.side,
            "price_ticks": request.price_ticks,
            "lots": lots,
            "maker": True,
            "fee": "0.01",
            "fee_asset": "USDT",
            "event_ns": 7,
            **changes,
        }
        return VenueFill(**values)

    def seen(self, request: VenuePlace, state: OrderState, *, filled: int = 0, request_no: int = 0) -> list[Command]:
        return self.send(
            VenueOrder(
                request_no,
                request.symbol,
                request.client_id,
                f"v{request.client_id}",
                request.side,
                state,
                request.price_ticks,
                request.lots,
                filled,
                7,
            )
        )

    # --- what came out --------------------------------------------------------------------------------------

    def written(self, kind: type[M], out: Iterable[Command] | None = None) -> list[M]:
        commands = self.out if out is None else out
        return [c.request for c in commands if isinstance(c, ToVenue) and isinstance(c.request, kind)]

    def told(self, kind: type[M], holder: str = HOLDER, out: Iterable[Command] | None = None) -> list[M]:
        commands = self.out if out is None else out
        return [
            c.message
            for c in commands
            if isinstance(c, ToHolder) and c.holder == holder and isinstance(c.message, kind)
        ]

    def reported(self, kind: type[M], out: Iterable[Command] | None = None) -> list[M]:
        commands = self.out if out is None else out
        return [c.message for c in commands if isinstance(c, ToRisk) and isinstance(c.message, kind)]

    def state(self, request: VenuePlace) -> OrderState:
        order = self.engine.core.table.find(request.symbol, request.client_id)
        assert order is not None
        return order.state


def fence(min_grant_no: int, long_lots: int, short_lots: int, symbol: str = SYMBOL) -> Fence:
    return Fence(symbol, min_grant_no, long_lots, short_lots)


def fills_sum(fills: Iterable[Fill]) -> int:
    return sum(fill.side * fill.lots for fill in fills)
