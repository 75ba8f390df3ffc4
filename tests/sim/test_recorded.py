"""Recorded venues: fills by queue position and recorded trades, latency in the recording's time."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.sim.messages import ClientRequest, Private, Reply
from actors.sim.queue_models import ConstantLatency
from actors.sim.recorded import RecordedExchange
from actors.vocab.config.sim import SimSettings
from actors.vocab.errors import ConfigError
from actors.vocab.market import Side
from actors.vocab.orders import OrderState
from actors.vocab.venue_io import (
    DepthSnapshot,
    FaultKind,
    MarketEvent,
    MarkPrice,
    PartialDepth,
    PublicTrade,
    VenueAck,
    VenueFill,
    VenueFunding,
    VenueOrder,
    VenuePlace,
    VenueReject,
)
from tests.sim.desk_helpers import MS, START_MS, START_NS, Client, delta, instrument, recorded, top

BUY, SELL = Side.BUY, Side.SELL


def trade(side: Side, price_ticks: int, lots: int, number: int = 1) -> PublicTrade:
    return PublicTrade("AAAUSDT", number, START_NS, side, price_ticks, lots)


def venue(queue_model: str = "risk_averse") -> tuple[RecordedExchange, Client]:
    settings = SimSettings(order_latency_ms=0.0, response_latency_ms=0.0, queue_model=queue_model)
    exchange = recorded(settings=settings)
    tell(exchange, delta([(9_990, 50), (9_980, 80)], [(10_010, 40), (10_020, 60)], seq=1))
    tell(exchange, top(9_990, 10_010, seq=1, lots=50))
    return exchange, Client(exchange)


def tell(exchange: RecordedExchange, event: MarketEvent | DepthSnapshot) -> list[tuple[int, int]]:
    """(price, lots) of our fills that the event caused."""
    return [
        (each.event.price_ticks, each.event.lots)
        for each in exchange.on_market(event, exchange.now_ns)
        if isinstance(each, Private) and isinstance(each.event, VenueFill)
    ]


def test_trades_at_our_price_first_eat_the_queue_ahead() -> None:
    exchange, client = venue()
    client.place("o1", BUY, 9_990, 10, post_only=True)

    assert tell(exchange, trade(SELL, 9_990, 45)) == []
    assert tell(exchange, trade(SELL, 9_990, 8)) == [(9_990, 3)]
    assert tell(exchange, trade(SELL, 9_990, 2)) == [(9_990, 2)]
    assert tell(exchange, trade(SELL, 9_990, 90)) == [(9_990, 5)]


def test_a_trade_through_our_price_fills_us_whole_at_our_price() -> None:
    exchange, client = venue()
    client.place("o1", BUY, 9_990, 10)

    assert tell(exchange, trade(SELL, 9_989, 1)) == [(9_990, 10)]


def test_trades_on_the_other_side_or_elsewhere_do_nothing() -> None:
    exchange, client = venue()
    client.place("o1", BUY, 9_990, 10)

    assert tell(exchange, trade(BUY, 9_990, 900)) == []
    assert tell(exchange, trade(SELL, 9_995, 900)) == []


def test_a_best_price_that_reaches_ours_fills_us() -> None:
    exchange, client = venue()
    client.place("o1", BUY, 9_990, 10)
    client.place("o2", SELL, 10_010, 10)

    assert tell(exchange, top(9_991, 10_005, seq=2)) == []
    assert tell(exchange, top(9_985, 9_990, seq=3)) == [(9_990, 10)]
    assert tell(exchange, top(10_010, 10_011, seq=4)) == [(10_010, 10)]


def test_a_depth_level_through_our_price_fills_us() -> None:
    exchange, client = venue()
    client.place("o1", BUY, 9_990, 10)

    assert tell(exchange, delta([], [(9_995, 5), (9_980, 0)], seq=2)) == []
    assert tell(exchange, delta([], [(9_989, 5)], seq=3)) == [(9_990, 10)]


def test_cancels_move_us_forward_by_the_queue_model() -> None:
    exchange, client = venue("power2:2")
    tell(exchange, delta([(9_990, 30)], [], seq=2))
    client.place("o1", BUY, 9_990, 10)
    tell(exchange, delta([(9_990, 100)], [], seq=3))  # 70 joined behind us

    tell(exchange, delta([(9_990, 80)], [], seq=4))  # published case: 30 ahead becomes 19.8

    assert tell(exchange, trade(SELL, 9_990, 19)) == []
    assert tell(exchange, trade(SELL, 9_990, 5)) == [(9_990, 4)]


def test_our_own_orders_at_one_price_share_a_trade_older_first() -> None:
    exchange, client = venue()
    client.place("o1", BUY, 9_990, 10)
    client.place("o2", BUY, 9_990, 10)

    assert tell(exchange, trade(SELL, 9_990, 62)) == [(9_990, 10), (9_990, 2)]


def test_a_crossing_order_takes_the_recorded_levels_up_to_its_limit() -> None:
    _, client = venue()

    client.place("o1", BUY, 10_020, 120)

    fills = [event for _, event in client.private() if isinstance(event, VenueFill)]
    assert [(each.price_ticks, each.lots, each.maker) for each in fills] == [(10_010, 40, False), (10_020, 60, False)]
    row = client.exchange.ledger.order("us", "AAAUSDT", client_id="o1")
    assert row is not None
    assert (row.state, row.filled_lots) == (OrderState.PARTLY_FILLED, 100)


def test_post_only_is_judged_by_the_newest_best_price() -> None:
    exchange, client = venue()
    tell(exchange, top(9_990, 10_000, seq=2))

    answer = client.place("o1", BUY, 10_000, 10, post_only=True)

    assert isinstance(answer, VenueReject)
    assert answer.kind is FaultKind.POST_ONLY


def test_nothing_public_comes_out_and_the_recorded_trades_are_listed() -> None:
    exchange, client = venue()
    client.place("o1", BUY, 10_010, 10)
    tell(exchange, trade(SELL, 9_990, 5))

    assert {type(each) for each in client.log} == {Reply, Private}
    assert [each.lots for each in exchange.recent_trades("AAAUSDT", 10)] == [5]


def test_orders_enter_and_answers_leave_after_the_modelled_latency() -> None:
    exchange = RecordedExchange(
        venue="binance_perp",
        instruments=[instrument()],
        settings=SimSettings(),
        seed=1,
        start_ms=START_MS,
        latency=ConstantLatency(3 * MS, 2 * MS),
    )
    tell(exchange, delta([(9_990, 50)], [(10_010, 40)], seq=1))
    exchange.handle(ClientRequest(1, "us", VenuePlace(1, "AAAUSDT", "o1", BUY, 10_000, 10)), START_NS)

    # The price falls through our order before it has reached the venue: no fill then.
    assert tell_at(exchange, trade(SELL, 9_995, 5), START_NS + 2 * MS) == []
    assert exchange.advance(START_NS + 3 * MS) == []
    told = exchange.on_market(trade(SELL, 9_999, 5), START_NS + 4 * MS)
    told += exchange.advance(START_NS + 6 * MS)

    assert [type(each.event).__name__ for each in told if isinstance(each, Reply | Private)] == [
        "VenueOrder",
        "VenueAck",
        "VenueFill",
    ]
    assert [each.event.event_ns for each in told if isinstance(each.event, VenueFill | VenueOrder | VenueAck)] == [
        START_NS + 3 * MS,
        START_NS + 3 * MS,
        START_NS + 4 * MS,
    ]


def tell_at(exchange: RecordedExchange, event: MarketEvent, now_ns: int) -> list[object]:
    return [each for each in exchange.on_market(event, now_ns) if isinstance(each.event, VenueFill)]


def test_time_goes_where_the_recording_begins() -> None:
    exchange = recorded()
    exchange.handle(ClientRequest(1, "us", VenuePlace(1, "AAAUSDT", "o1", BUY, 9_990, 10)), START_NS)
    years_ago = START_NS - 10**17

    exchange.on_market(top(9_990, 10_010), years_ago)

    assert exchange.now_ns == years_ago
    assert exchange.next_due_ns() > years_ago


def test_a_late_snapshot_adds_only_what_no_delta_has_spoken_of() -> None:
    exchange, _ = venue()
    tell(exchange, delta([(9_980, 0)], [], seq=2))

    exchange.on_snapshot(DepthSnapshot("AAAUSDT", 1, [(9_990, 1), (9_980, 80), (9_970, 7)], []), exchange.now_ns)

    assert exchange.depth("AAAUSDT", 10).bids == [(9_990, 50), (9_970, 7)]


def test_after_a_gap_only_what_is_said_anew_is_known() -> None:
    exchange, _ = venue()

    tell(exchange, delta([(9_991, 3)], [(10_011, 4)], seq=9))

    book = exchange.depth("AAAUSDT", 10)
    assert (book.bids, book.asks) == ([(9_991, 3)], [(10_011, 4)])


def test_a_partial_book_empties_what_it_does_not_name() -> None:
    exchange, _ = venue()

    tell(exchange, PartialDepth("AAAUSDT", 2, START_NS, [(9_985, 4), (9_970, 5)], [(10_010, 1)]))

    book = exchange.depth("AAAUSDT", 10)
    assert book.bids == [(9_985, 4), (9_970, 5)]
    assert book.asks == [(10_010, 1), (10_020, 60)]


def test_funding_is_paid_when_the_recorded_next_time_moves_on() -> None:
    exchange, client = venue()
    client.place("o1", BUY, 10_010, 10)
    tell(exchange, MarkPrice("AAAUSDT", START_NS, 10_000.0, 10_000.0, 0.0001, 5_000))

    told = exchange.on_market(MarkPrice("AAAUSDT", START_NS, 10_000.0, 10_000.0, 0.0003, 9_000), exchange.now_ns)

    (event,) = [each.event for each in told if isinstance(each.event, VenueFunding)]
    assert event.amount == "-0.01000000"  # 100 USDT at the rate before


def test_the_steps_of_a_recording_cannot_change() -> None:
    exchange, _ = venue()

    with pytest.raises(ConfigError, match="steps"):
        exchange.change_instrument(instrument(tick_size="0.001"), exchange.now_ns)


@pytest.mark.recordings
def test_quotes_beside_a_real_recording_are_filled_and_repeat_exactly() -> None:
    """Twenty thousand frames: quotes at the touch get fills, positions are the sum of fills, twice the same."""
    path = Path(__file__).parents[3] / "shared/data/hftbacktest/binance_usdm/btcusdt_20240808.gz"
    if not path.exists():
        pytest.skip("recordings are not here: ../shared/data is missing")
    first, second = _quoted(path), _quoted(path)

    assert len(first) > 5
    assert first == second


def _quoted(path: Path) -> list[VenueFill]:
    import gzip
    from itertools import islice

    from actors.venues.binance.market import BinanceMarket

    terms = instrument("BTCUSDT", tick_size="0.1", lot_size="0.001", min_notional="5")
    exchange = RecordedExchange(
        venue="binance_perp", instruments=[terms], settings=SimSettings(), seed=1, start_ms=START_MS
    )
    dialect = BinanceMarket("binance_perp", [terms])
    fills: list[VenueFill] = []
    request_no = 0
    quoted_ns = 0
    with gzip.open(path, "rt") as lines:
        for line in islice(lines, 20_000):
            stamp, _, frame = line.partition(" ")
            if '"lastUpdateId"' in frame[:40]:
                continue
            event = dialect.decode(frame)
            if event is None:
                continue
            now_ns = int(stamp)
            told = exchange.on_market(event, now_ns)
            fills += [each.event for each in told if isinstance(each.event, VenueFill)]
            if now_ns - quoted_ns > 2_000 * MS:
                quoted_ns = now_ns
                best = exchange.top("BTCUSDT")
                if not best.bid_ticks or not best.ask_ticks:
                    continue
                for side, price in ((BUY, best.bid_ticks), (SELL, best.ask_ticks)):
                    request_no += 1
                    place = VenuePlace(request_no, "BTCUSDT", f"o{request_no}", side, price, 2)
                    exchange.handle(ClientRequest(1, "us", place), now_ns)
    position = exchange.account_state("us").positions[0].position_lots
    assert position == sum(fill.side * fill.lots for fill in fills)
    return fills


def test_a_book_that_is_joined_anew_leaves_our_order_its_place_and_passes_what_it_crosses() -> None:
    exchange, client = venue()
    client.place("o1", BUY, 9_990, 10, post_only=True)
    client.place("o2", BUY, 9_980, 10, post_only=True)

    def join(seq: int, bid_lots: int, ask: int) -> list[tuple[int, int]]:
        whole = DepthSnapshot("AAAUSDT", seq, [(9_990, bid_lots)], [(ask, 40)])
        return [
            (each.event.price_ticks, each.event.lots)
            for each in exchange.join(whole, exchange.now_ns)
            if isinstance(each, Private) and isinstance(each.event, VenueFill)
        ]

    # 50 stood ahead of o1; at most 20 do now, and nothing is left before o2, whose level is not named.
    assert join(7, 20, 10_010) == []
    assert exchange.depth("AAAUSDT", 5) == DepthSnapshot("AAAUSDT", 7, [(9_990, 20)], [(10_010, 40)])
    assert tell(exchange, trade(SELL, 9_990, 24)) == [(9_990, 4)]
    assert join(9, 20, 9_985) == [(9_990, 6)]
