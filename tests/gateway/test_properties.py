"""Whatever comes in whatever order: no filled lot lost or counted twice, no envelope broken, every order ends."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.gateway.commands import HolderLink, StopAsked, Stopped
from actors.vocab.market import Side
from actors.vocab.orders import CancelOrder, Fill, OrderState
from actors.vocab.venue_io import (
    FaultKind,
    VenueAck,
    VenueCancel,
    VenueFundingQuery,
    VenueFundings,
    VenueOrder,
    VenuePlace,
    VenueQueryOrder,
    VenueReject,
    VenueReplace,
    VenueTrades,
    VenueTradesQuery,
)
from tests.gateway.kit import HOLDER, MID, SYMBOL, Bench

LONG = SHORT = 40


class Venue:
    """The truth: fills what it likes, and lets answers be late, lost or doubled as told."""

    def __init__(self, bench: Bench, draw: Any) -> None:
        self.bench = bench
        self.draw = draw
        self.orders: dict[str, list[Any]] = {}  # client id -> [side, lots, filled, state, price]
        self.position = 0
        self.trades: list[Any] = []
        self.late: list[Any] = []  # events that will come later
        self.taken = 0

    def work(self) -> None:
        """Carry out what was written since the last look."""
        while self.taken < len(self.bench.requests):
            request = self.bench.requests[self.taken]
            self.taken += 1
            fate = self.draw(st.sampled_from(["ok", "ok", "ok", "lost answer", "never arrives"]))
            if fate == "never arrives":
                self.answer(VenueReject(request.request_no, FaultKind.UNKNOWN_OUTCOME, 0, "gone"))
            else:
                answer = self.carry_out(request)
                if answer is not None and fate == "ok":
                    self.answer(answer)

    def carry_out(self, request: Any) -> Any:
        row = self.orders.get(getattr(request, "client_id", ""))
        if isinstance(request, VenuePlace):
            if self.draw(st.integers(0, 9)) == 0:
                return VenueReject(request.request_no, FaultKind.POST_ONLY, 0, "would take")
            self.orders[request.client_id] = [request.side, request.lots, 0, OrderState.OPEN, request.price_ticks]
            return self.ack(request, OrderState.OPEN)
        if isinstance(request, VenueFundingQuery):
            return VenueFundings(request.request_no, ())
        if isinstance(request, VenueTradesQuery):
            return VenueTrades(
                request.request_no, SYMBOL, tuple(t for t in self.trades if t.trade_id >= request.from_trade_id)
            )
        if not isinstance(request, VenueCancel | VenueReplace | VenueQueryOrder):
            return None
        if row is None:
            return VenueReject(request.request_no, FaultKind.UNKNOWN_ORDER, 0, "unknown")
        if isinstance(request, VenueQueryOrder):
            return self.report(request.client_id, request.request_no)
        if row[3] not in (OrderState.OPEN, OrderState.PARTLY_FILLED):
            return VenueReject(request.request_no, FaultKind.UNKNOWN_ORDER, 0, "over")
        if isinstance(request, VenueCancel):
            row[3] = OrderState.CANCELLED
            self.stream(self.report(request.client_id, 0))
            return self.ack(request, OrderState.CANCELLED)
        if request.lots <= row[2]:
            return VenueReject(request.request_no, FaultKind.REJECTED, 0, "less than filled")
        row[1], row[4] = request.lots, request.price_ticks
        return self.ack(request, row[3])

    def ack(self, request: Any, state: OrderState) -> VenueAck:
        row = self.orders[request.client_id]
        return VenueAck(
            request.request_no, SYMBOL, request.client_id, f"v{request.client_id}", state, row[4], row[1], row[2], 1
        )

    def report(self, client_id: str, request_no: int) -> VenueOrder:
        row = self.orders[client_id]
        return VenueOrder(request_no, SYMBOL, client_id, f"v{client_id}", row[0], row[3], row[4], row[1], row[2], 1)

    def fill(self) -> None:
        alive = [name for name, row in self.orders.items() if row[3] in (OrderState.OPEN, OrderState.PARTLY_FILLED)]
        if not alive:
            return
        name = self.draw(st.sampled_from(alive))
        row = self.orders[name]
        lots = self.draw(st.integers(1, row[1] - row[2]))
        row[2] += lots
        row[3] = OrderState.FILLED if row[2] == row[1] else OrderState.PARTLY_FILLED
        self.position += row[0] * lots
        trade = Bench.fill_of(VenuePlace(0, SYMBOL, name, row[0], row[4], row[1]), lots, len(self.trades) + 1)
        self.trades.append(trade)
        self.stream(trade)
        self.stream(self.report(name, 0))

    def stream(self, event: Any) -> None:
        """Private events are late, or come twice; the stream loses none while it is up."""
        self.late.append(event)
        if self.draw(st.integers(0, 5)) == 0:
            self.late.append(event)

    def answer(self, event: Any) -> None:
        self.late.append(event)

    def deliver(self, *, everything: bool = False) -> None:
        while self.late and (everything or self.draw(st.booleans())):
            at = 0 if everything else self.draw(st.integers(0, len(self.late) - 1))
            self.bench.send(self.late.pop(at))

    def worst(self) -> tuple[int, int]:
        alive = [row for row in self.orders.values() if row[3] in (OrderState.OPEN, OrderState.PARTLY_FILLED)]
        buys = sum(row[1] - row[2] for row in alive if row[0] is Side.BUY)
        sells = sum(row[1] - row[2] for row in alive if row[0] is Side.SELL)
        return self.position + buys, self.position - sells


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_nothing_is_lost_doubled_or_outside_the_envelope(data: Any) -> None:
    bench = Bench(fills_per_side_max=10_000).start()
    bench.hello()
    bench.step_ms = 150
    draw = data.draw
    venue = Venue(bench, draw)
    venue.taken = len(bench.requests)
    live: list[Any] = []
    numbers: list[int] = []
    stops: list[Stopped] = []

    def watch() -> None:
        """The venue's own worst case stays inside; our count never shows less than the venue may do."""
        high, low = venue.worst()
        assert high <= LONG, f"{high} long"
        assert low >= -SHORT, f"{low} short"
        seen = bench.engine.exposure(SYMBOL)
        assert seen.position_lots + seen.open_buy_lots >= high
        assert seen.position_lots - seen.open_sell_lots <= low

    original = bench.send

    def send(event: Any) -> Any:
        out = original(event)
        numbers.extend(fill.fill_no for fill in bench.reported(Fill, out))
        stops.extend(command for command in out if isinstance(command, Stopped))
        return out

    bench.send = send  # type: ignore[method-assign]
    for _ in range(draw(st.integers(1, 25))):
        what = draw(st.sampled_from(["place", "place", "replace", "cancel", "fill", "fill", "time", "link"]))
        if what == "place":
            order = bench.order(
                draw(st.sampled_from(list(Side))), lots=draw(st.integers(1, 25)), long_lots=LONG, short_lots=SHORT
            )
            bench.say(order)
            live.append(order)
        elif what == "replace" and live:
            bench.say(bench.change(draw(st.sampled_from(live)), lots=draw(st.integers(1, 25)), price_ticks=MID - 20))
        elif what == "cancel" and live:
            bench.say(CancelOrder(bench.venue, SYMBOL, HOLDER, draw(st.sampled_from(live)).ref))
        elif what == "fill":
            venue.fill()
        elif what == "time":
            bench.marks()
            bench.later(draw(st.sampled_from([25, 300, 2_100])))
        elif what == "link":
            bench.send(HolderLink(HOLDER, False))
            bench.hello()
        venue.work()
        watch()
        venue.deliver()
        watch()

    bench.send(StopAsked("end"))
    for _ in range(40):
        venue.work()
        venue.deliver(everything=True)
        watch()
        if stops and not venue.late:
            break
        bench.later(600)
    alive = [row for row in venue.orders.values() if row[3] in (OrderState.OPEN, OrderState.PARTLY_FILLED)]
    assert not alive
    assert len(stops) == 1
    assert bench.engine.exposure(SYMBOL).position_lots == venue.position
    assert numbers == list(range(1, len(venue.trades) + 1))
