"""What a comparison with the venue makes of fills, orders and coins that came while nobody looked, or while it did."""

from __future__ import annotations

import msgspec
import pytest

from actors.gateway.commands import FromRisk, RiskLink, ToVenue
from actors.vocab.control import Instruments
from actors.vocab.leases import BlockGrant, JournalledSymbol
from actors.vocab.market import Side
from actors.vocab.orders import Fill, OpenOrder, OrderState
from actors.vocab.units import NS_PER_MS, NS_PER_S
from actors.vocab.venue_io import (
    Position,
    StreamDown,
    StreamKind,
    StreamUp,
    VenueFill,
    VenueOpenOrders,
    VenueOpenOrdersQuery,
    VenueOrder,
    VenuePositions,
    VenuePositionsQuery,
    VenueQueryOrder,
    VenueTrades,
    VenueTradesQuery,
)
from tests.gateway.kit import MID, SYMBOL, Bench, instrument


def by_hand(trade_id: int, lots: int, **changes: object) -> VenueFill:
    """A trade of an order that is not ours."""
    values: dict[str, object] = {"client_id": "web_1", "venue_order_id": "v9", "event_ns": 7, **changes}
    return VenueFill(
        request_no=0,
        symbol=SYMBOL,
        trade_id=trade_id,
        side=Side.BUY,
        price_ticks=MID,
        lots=lots,
        maker=False,
        fee="0",
        fee_asset="USDT",
        **values,  # type: ignore[arg-type]
    )


def asked_for_positions(venue: str) -> tuple[Bench, VenuePositionsQuery]:
    """The first comparison of a first life, up to its last question."""
    bench = Bench(venue)
    bench.send(RiskLink(True))
    bench.renew()
    bench.send(FromRisk(BlockGrant(venue, "gw@1", 0x100, 1_000, 0, 0, ())))
    bench.send(StreamUp(StreamKind.PRIVATE, 1))
    (orders,) = bench.written(VenueOpenOrdersQuery)
    bench.send(VenueOpenOrders(orders.request_no, "", ()))
    (positions,) = bench.written(VenuePositionsQuery)
    return bench, positions


@pytest.mark.parametrize(("venue", "lots", "stock_lots"), [("binance_perp", 101, 0), ("binance_spot", 1, 100)])
def test_a_fill_while_positions_are_read_has_them_read_again(venue: str, lots: int, stock_lots: int) -> None:
    bench, query = asked_for_positions(venue)
    bench.send(by_hand(5, 1))
    held = (Position(SYMBOL, 101, 0.0),)
    bench.send(VenuePositions(query.request_no, held))
    assert not bench.engine.comparison.is_reconciled

    bench.later(300)
    bench.answer_queries(positions=held)
    account = bench.engine.core.ledger.account(SYMBOL)
    assert (account.lots, account.stock_lots) == (lots, stock_lots)
    assert bench.engine.comparison.is_reconciled


def test_a_difference_is_looked_at_until_a_look_without_a_fill_has_settled_it() -> None:
    bench, query = asked_for_positions("binance_spot")
    bench.send(by_hand(4, 1))
    bench.send(VenuePositions(query.request_no, (Position(SYMBOL, 1_001, 0.0),)))
    for trade_id, lots in ((5, 1_002), (6, 1_003)):
        (query,) = bench.written(VenuePositionsQuery, bench.later(300))
        bench.send(by_hand(trade_id, 1))
        bench.send(VenuePositions(query.request_no, (Position(SYMBOL, lots, 0.0),)))
        assert not bench.engine.comparison.is_reconciled

    bench.later(300)
    bench.answer_queries(positions=(Position(SYMBOL, 1_003, 0.0),))
    account = bench.engine.core.ledger.account(SYMBOL)
    assert (account.lots, account.stock_lots) == (3, 1_000)


def test_perp_that_differed_does_not_open_because_a_fill_came() -> None:
    """A life with a journal looks twice before it adopts; the second look is spoilt."""
    bench = Bench()
    bench.send(RiskLink(True))
    bench.renew()
    row = JournalledSymbol(SYMBOL, 4, 10, float(MID))
    bench.send(FromRisk(BlockGrant(bench.venue, "gw@1", 0x100, 1_000, 0, 1, (row,))))
    bench.send(StreamUp(StreamKind.PRIVATE, 1))
    for trade_id, lots in ((0, 60), (5, 61)):
        out = list(bench.out) if not trade_id else bench.later(400)
        while not (queries := bench.written(VenuePositionsQuery, out)):
            (ask,) = [command.request for command in out if isinstance(command, ToVenue)]
            answers = (VenueOpenOrders(ask.request_no, "", ()), VenueTrades(ask.request_no, SYMBOL, ()))
            out = bench.send(answers[isinstance(ask, VenueTradesQuery)])
        if trade_id:
            bench.send(by_hand(trade_id, 1))
        bench.send(VenuePositions(queries[0].request_no, (Position(SYMBOL, lots, 0.0),)))
    assert not bench.engine.comparison.is_reconciled


def test_a_symbol_that_others_trade_without_a_pause_is_looked_at_less_often() -> None:
    bench, query = asked_for_positions("binance_perp")
    for number in range(1, 6):
        bench.send(by_hand(number, 1))
        bench.send(VenuePositions(query.request_no, ()))
        queries = bench.written(VenuePositionsQuery, bench.later(300))
        assert bool(queries) is (number < 5)
        query = queries[0] if queries else query
    assert not bench.engine.comparison.is_reconciled

    bench.later(2_500)
    bench.answer_queries(positions=(Position(SYMBOL, 5, 0.0),))
    assert bench.engine.comparison.is_reconciled


def test_a_listed_trade_of_an_order_that_is_not_ours_is_foreign() -> None:
    bench = Bench().start()
    bench.hello()
    ended = bench.live()
    bench.seen(ended, OrderState.CANCELLED, filled=2)
    bench.send(StreamDown(StreamKind.PRIVATE, "gone"))
    bench.send(StreamUp(StreamKind.PRIVATE, 2))
    listed = (bench.fill_of(ended, 2, 199, client_id=""), by_hand(200, 60, client_id=""))
    out = bench.answer_queries(trades={SYMBOL: listed}, positions=(Position(SYMBOL, 62, 0.0),))

    assert [(fill.lots, fill.foreign, fill.ref) for fill in bench.reported(Fill, out)] == [(2, False, 1), (60, True, 0)]


def test_a_listed_trade_that_may_be_of_an_order_without_a_number_waits_for_it() -> None:
    bench = Bench().start()
    bench.hello()
    request = bench.place()  # the venue's answer is lost
    bench.send(StreamDown(StreamKind.PRIVATE, "gone"))
    bench.send(StreamUp(StreamKind.PRIVATE, 2))
    (orders,) = bench.written(VenueOpenOrdersQuery)
    bench.send(VenueOpenOrders(orders.request_no, "", ()))
    trade = bench.fill_of(request, 10, 200, client_id="")
    (asked,) = bench.written(VenueTradesQuery)
    bench.send(VenueTrades(asked.request_no, SYMBOL, (trade,)))
    assert bench.reported(Fill) == []

    out = bench.later(2_100)
    bench.seen(request, OrderState.FILLED, filled=10, request_no=bench.written(VenueQueryOrder, out)[-1].request_no)
    again = bench.written(VenueTradesQuery, out)[-1]
    bench.send(VenueTrades(again.request_no, SYMBOL, (trade,)))
    assert [(fill.lots, fill.foreign, fill.ref) for fill in bench.reported(Fill)] == [(10, False, 1)]


def test_missing_fills_of_an_order_are_asked_for_by_its_number() -> None:
    """Trade ids are the whole market's: the missing one may lie far below the newest that we know."""
    bench = Bench().start()
    bench.hello()
    request = bench.live()
    bench.fill(bench.live(Side.SELL), 1, trade_id=1_000_000)
    bench.seen(request, OrderState.CANCELLED, filled=4)
    (query,) = bench.written(VenueTradesQuery, bench.later(600))
    assert (query.venue_order_id, query.from_trade_id) == (f"v{request.client_id}", 0)


def test_lots_without_a_trade_stay_live_until_positions_are_compared() -> None:
    bench = Bench().start()
    bench.hello()
    bench.seen(bench.live(), OrderState.CANCELLED, filled=4)
    core = bench.engine.core
    while not core.counters["lost_fills"]:
        for query in bench.written(VenueTradesQuery, bench.later(25)):
            bench.send(VenueTrades(query.request_no, SYMBOL, ()))
    exposure = bench.engine.exposure(SYMBOL)
    assert (exposure.position_lots, exposure.open_buy_lots) == (0, 4)

    for _ in range(2):
        bench.answer_queries(positions=(Position(SYMBOL, 4, float(MID)),))
        bench.later(300)
    exposure = bench.engine.exposure(SYMBOL)
    assert (exposure.position_lots, exposure.open_buy_lots) == (4, 0)


def test_missed_trades_are_read_from_the_last_agreement_on_not_from_the_newest() -> None:
    bench = Bench().start()
    bench.hello()
    bench.fill(bench.live(), 1, trade_id=1_000)
    bench.now_ns += 30_001 * NS_PER_MS
    bench.later(25)
    bench.answer_queries(positions=(Position(SYMBOL, 1, float(MID)),))
    bench.send(StreamDown(StreamKind.PRIVATE, "gone"))
    bench.send(by_hand(9_000, 1))
    bench.send(StreamUp(StreamKind.PRIVATE, 2))
    out = bench.answer_queries(positions=(Position(SYMBOL, 2, float(MID)),))
    (query,) = bench.written(VenueTradesQuery, out)
    assert query.from_trade_id == 1_001


@pytest.mark.parametrize(
    ("trade_ids", "asked"),
    [((80, 100, 102), (0, 1)), ((*range(2, 50), 100, 102), (3, 0))],
    ids=["all that are journalled", "the newest of many"],
)
def test_a_trade_missed_below_the_newest_journalled_one_is_booked_once(
    trade_ids: tuple[int, ...], asked: tuple[int, int]
) -> None:
    """The private stream came back with 102, and the gateway died before it had read the list."""
    at_ns = 1_700_000_000 * NS_PER_S
    listed = (
        by_hand(90, 7, client_id="", event_ns=at_ns - 3_600 * NS_PER_S),  # missed and adopted long ago
        by_hand(100, 1, client_id="", event_ns=at_ns),
        by_hand(101, 5, client_id="", event_ns=at_ns),
        by_hand(102, 2, client_id="", event_ns=at_ns),
    )
    bench = Bench().start(
        journalled=(JournalledSymbol(SYMBOL, 102, 10, float(MID), trade_ids=trade_ids),),
        last_fill_no=7,
        since_ms=1,
        trades={SYMBOL: listed},
        positions=(Position(SYMBOL, 15, float(MID)),),
    )
    queries = [request for request in bench.requests if isinstance(request, VenueTradesQuery)]
    assert [(query.from_trade_id, query.since_ms) for query in queries] == [asked]
    core = bench.engine.core
    assert [(entry.fill_no, entry.position_lots) for entry in core.ledger.again(0)] == [(8, 15)]
    assert core.counters["recovered_fills"] == 1
    assert core.counters["position_mismatches"] == 0


def test_without_a_known_trade_they_are_read_from_the_last_agreement_of_positions_on() -> None:
    """Earlier ones are in the position; and a venue lists some days from a moment, not all since."""
    bench = Bench().start()
    bench.hello()
    bench.live()
    bench.now_ns += 9 * 86_400 * NS_PER_S
    bench.later(50)
    bench.answer_queries()
    bench.lease()
    bench.later(100)
    bench.answer_queries()
    bench.send(StreamDown(StreamKind.PRIVATE, "gone"))
    bench.send(StreamUp(StreamKind.PRIVATE, 2))
    (query,) = bench.written(VenueTradesQuery, bench.answer_queries())

    assert query.since_ms > (1_700_000_000 + 8 * 86_400) * 1_000


def test_two_spot_symbols_of_one_coin_are_refused_before_anything_is_booked() -> None:
    bench = Bench("binance_spot", ("BTCUSDT", "ETHUSDT"))
    rows = (*bench.engine.core.instruments.values(), instrument("BTCUSDC", "binance_spot"))
    bench.send(Instruments(bench.venue, 1, (*rows[:2], msgspec.structs.replace(rows[2], base="BTC", quote="USDC"))))
    bench.start(positions=(Position("BTCUSDT", 5, 0.0), Position("BTCUSDC", 5, 0.0)))
    assert not bench.engine.is_open
    assert "BTCUSDT and BTCUSDC share one balance of BTC" in bench.engine.closed_reason
    assert bench.engine.core.ledger.again(0) == []


def test_the_stream_knows_foreign_orders_better_than_an_older_question() -> None:
    def told(number: str, state: OrderState, lots: int = 5) -> VenueOrder:
        return VenueOrder(0, SYMBOL, "web_1", number, Side.SELL, state, MID, lots, 0, 7)

    def listed(number: str) -> OpenOrder:
        return OpenOrder("web_1", number, SYMBOL, Side.SELL, MID, 5, 0, 0)

    bench = Bench().start()
    bench.send(told("v1", OrderState.OPEN))
    bench.send(told("v2", OrderState.OPEN))
    (query,) = bench.written(VenueOpenOrdersQuery, bench.later(30_000))
    bench.send(told("v1", OrderState.CANCELLED))
    bench.send(told("v3", OrderState.OPEN, lots=7))
    bench.send(VenueOpenOrders(query.request_no, "", (listed("v1"), listed("v4"))))
    assert bench.engine.comparison.foreign_lots(SYMBOL) == (0, 12)  # v3 and v4; v2 ended unseen
