"""The desk and the simulated exchange through their public surface: requests in, replies and events out."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest

from actors.sim.messages import ClientRequest, Private, Public, Reply
from actors.venues.ledger import LedgerOrder
from actors.vocab.errors import ConfigError
from actors.vocab.market import Side
from actors.vocab.orders import OrderState
from actors.vocab.venue_io import (
    DepthDelta,
    FaultKind,
    KlineEvent,
    MarkPrice,
    TopOfBook,
    VenueAck,
    VenueBalances,
    VenueBalancesQuery,
    VenueCancelAll,
    VenueCountdown,
    VenueCountdownAck,
    VenueEvent,
    VenueFill,
    VenueFunding,
    VenueOpenOrders,
    VenueOpenOrdersQuery,
    VenueOrder,
    VenuePlace,
    VenuePositions,
    VenuePositionsQuery,
    VenueQueryOrder,
    VenueReject,
    VenueTime,
    VenueTimeQuery,
    VenueTrades,
    VenueTradesQuery,
)
from tests.sim.desk_helpers import MS, START_MS, START_NS, Client, instrument, sim, still

BUY, SELL = Side.BUY, Side.SELL


def reject(event: VenueEvent | None) -> tuple[FaultKind, int]:
    assert isinstance(event, VenueReject), event
    return event.kind, event.code


def ack(event: VenueEvent | None) -> VenueAck:
    assert isinstance(event, VenueAck), event
    return event


# --- placing ---------------------------------------------------------------------------------------------------


def test_an_order_joins_after_the_latency_and_is_acknowledged_out_of_advance() -> None:
    exchange = sim(settings=still(order_latency_ms=5.0))
    place = VenuePlace(7, "AAAUSDT", "o1", BUY, 9_900, 10)

    assert exchange.handle(ClientRequest(3, "us", place), START_NS) == []
    before = exchange.advance(START_NS + 5 * MS - 1)
    after = exchange.advance(START_NS + 5 * MS)

    assert not [each for each in before if not isinstance(each, Public)]
    reply, private = [each for each in after if not isinstance(each, Public)]
    assert isinstance(reply, Reply)
    assert (reply.connection, reply.request_no, ack(reply.event).state) == (3, 7, OrderState.OPEN)
    assert isinstance(private, Private)
    assert private.execution == "NEW"


def test_our_size_is_part_of_the_depth_that_is_sent() -> None:
    client = Client(sim())
    before = dict(client.exchange.depth("AAAUSDT", 100).bids).get(9_900, 0)
    client.place("o1", BUY, 9_900, 500)

    assert dict(client.exchange.depth("AAAUSDT", 100).bids)[9_900] == before + 500
    deltas = [each.event for each in client.run(150) if isinstance(each, Public)]
    assert any((9_900, before + 500) in each.bids for each in deltas if isinstance(each, DepthDelta))


def test_a_new_best_price_is_told_at_once() -> None:
    client = Client(sim())
    now = client.exchange.top("AAAUSDT")
    client.place("o1", BUY, now.ask_ticks - 1, 7, post_only=True)

    tops = [each.event for each in client.log if isinstance(each, Public) and isinstance(each.event, TopOfBook)]

    best = now.ask_ticks - 1
    size = 7 if best > now.bid_ticks else now.bid_lots + 7
    assert (tops[0].bid_ticks, tops[0].bid_lots) == (best, size)


@pytest.mark.parametrize(
    ("market", "kind", "code"), [("perp", FaultKind.POST_ONLY, -5022), ("spot", FaultKind.POST_ONLY, -2010)]
)
def test_a_post_only_order_that_would_take_is_refused(market: str, kind: FaultKind, code: int) -> None:
    client = Client(sim(market="spot" if market == "spot" else "perp"))
    ask = client.exchange.top("AAAUSDT").ask_ticks

    assert reject(client.place("o1", BUY, ask, post_only=True)) == (kind, code)
    assert client.exchange.ledger.orders("us") == []
    assert client.exchange.ledger.rejections("us")[0].code == code


def test_a_crossing_limit_takes_and_the_ack_comes_before_its_fills() -> None:
    client = Client(sim())
    ask = client.exchange.top("AAAUSDT").ask_ticks

    told = ack(client.place("o1", BUY, ask, 1))
    assert (told.state, told.filled_lots) == (OrderState.FILLED, 1)

    mine = [each for each in client.log if not isinstance(each, Public)]
    assert [type(each.event) for each in mine] == [VenueAck, VenueOrder, VenueFill]
    fill = mine[2].event
    assert isinstance(fill, VenueFill)
    assert (fill.price_ticks, fill.lots, fill.maker, fill.fee_asset) == (ask, 1, False, "USDT")
    assert Decimal(fill.fee) == Decimal(ask) * Decimal("0.001") * Decimal("0.0005")


def test_a_market_order_reports_how_much_it_got() -> None:
    client = Client(sim())

    done = ack(client.place("o1", SELL, 0, 3, market=True))

    assert (done.state, done.filled_lots) == (OrderState.FILLED, 3)


@pytest.mark.parametrize(
    ("market", "changes", "code"),
    [
        ("perp", {"lots": 0}, -4003),
        ("perp", {"lots": 2, "lots_min": 5}, -4004),
        ("perp", {"lots": 20, "lots_max": 10}, -4005),
        ("perp", {"price": 10_600}, -4016),
        ("perp", {"price": 9_400, "side": SELL}, -4024),
        ("perp", {"lots": 1, "min_notional": "20"}, -4164),
        ("perp", {"orders_open_max": 0}, -2025),
        ("spot", {"lots": 0}, -1013),
        ("spot", {"price": 1}, -1013),
        ("spot", {"lots": 1, "min_notional": "20"}, -1013),
        ("spot", {"orders_open_max": 0}, -1013),
    ],
)
def test_filters_refuse_with_the_venue_s_codes(market: str, changes: dict[str, object], code: int) -> None:
    terms = {key: value for key, value in changes.items() if key not in ("lots", "price", "side")}
    client = Client(sim(market="spot" if market == "spot" else "perp", **terms))
    side = changes.get("side", BUY)
    assert isinstance(side, Side)
    price, lots = changes.get("price", 9_900), changes.get("lots", 10)
    assert isinstance(price, int)
    assert isinstance(lots, int)

    assert reject(client.place("o1", side, price, lots)) == (FaultKind.FILTER, code)


def test_a_duplicate_client_id_is_refused_while_the_first_is_open() -> None:
    perp, spot = Client(sim()), Client(sim(market="spot"))
    for client, code in ((perp, -4116), (spot, -2010)):
        client.place("o1", BUY, 9_900)
        assert reject(client.place("o1", BUY, 9_899)) == (FaultKind.DUPLICATE_ID, code)
        client.cancel("o1")
        ack(client.place("o1", BUY, 9_899))


def test_money_must_cover_an_order() -> None:
    perp = Client(sim(settings=still(balance_usd=1_000.0)))
    assert reject(perp.place("o1", BUY, 9_900, 2_100)) == (FaultKind.FUNDS, -2019)  # 20 790 at leverage 20
    ack(perp.place("o2", BUY, 9_900, 2_000))

    spot = Client(sim(market="spot", settings=still(balance_usd=1_000.0)))
    assert reject(spot.place("o1", BUY, 9_900, 102)) == (FaultKind.FUNDS, -2010)
    assert reject(spot.place("o2", SELL, 10_100, 10)) == (FaultKind.FUNDS, -2010)  # no coins to sell
    ack(spot.place("o3", BUY, 9_900, 100))
    assert reject(spot.place("o4", BUY, 9_900, 10)) == (FaultKind.FUNDS, -2010)  # locked by o3


def test_spot_accounts_start_with_whole_lots_of_each_coin() -> None:
    exchange = sim(market="spot", symbols=("AAAUSDT", "BBBUSDT"), settings=still(spot_coins_usd=2_500.0))
    exchange.open_account("us", START_NS)

    # Lots of 0.1 coins at about 100: ten dollars each.
    balances = {each.asset: Decimal(each.wallet) for each in exchange.account_state("us").balances}
    assert balances == {"USDT": 1_000_000, "AAA": Decimal("25"), "BBB": Decimal("25")}
    ack(Client(exchange).place("o1", SELL, 10_100, 10))


def test_order_limits_refuse_at_once_and_say_when_to_come_back() -> None:
    exchange = sim(market="spot")
    replies = []
    for number in range(51):
        place = VenuePlace(number, "AAAUSDT", f"o{number}", BUY, 9_000, 10)
        replies += exchange.handle(ClientRequest(1, "us", place), START_NS)

    (refused,) = replies
    event = refused.event
    assert isinstance(event, VenueReject)
    assert (event.request_no, event.kind, event.code) == (50, FaultKind.RATE_LIMIT, -1015)
    assert 0 < event.retry_after_ms <= 10_000
    assert exchange.usage("us", START_NS).orders_10s == 51
    assert exchange.usage("us", START_NS + 10_000 * MS).orders_10s == 0


def test_an_unknown_symbol_is_a_bad_request() -> None:
    client = Client(sim(), symbol="NOPEUSDT")

    assert reject(client.place("o1", BUY, 9_900)) == (FaultKind.BAD_REQUEST, -1121)


# --- changing --------------------------------------------------------------------------------------------------


def test_a_replace_keeps_the_ids_and_writes_an_amendment() -> None:
    client = Client(sim())
    first = ack(client.place("o1", BUY, 9_900, 10))

    changed = ack(client.replace("o1", 9_890, 12))

    assert (changed.venue_order_id, changed.price_ticks, changed.lots) == (first.venue_order_id, 9_890, 12)
    (amendment,) = client.exchange.ledger.amendments("us", "AAAUSDT", client_id="o1")
    assert (amendment.price_ticks_before, amendment.price_ticks) == (9_900, 9_890)
    assert (amendment.lots_before, amendment.lots, amendment.amendments_count) == (10, 12, 1)
    assert client.private()[-1][0] == "AMENDMENT"


def test_a_replace_that_changes_nothing_says_so() -> None:
    client = Client(sim())
    client.place("o1", BUY, 9_900, 10)

    assert reject(client.replace("o1", 9_900, 10)) == (FaultKind.UNCHANGED, -5027)


def test_a_post_only_order_amended_into_the_other_side_is_cancelled() -> None:
    client = Client(sim())
    client.place("o1", BUY, 9_900, 10, post_only=True)

    answer = client.replace("o1", client.exchange.top("AAAUSDT").ask_ticks, 10)

    assert reject(answer) == (FaultKind.POST_ONLY, -5022)
    row = client.exchange.ledger.order("us", "AAAUSDT", client_id="o1")
    assert row is not None
    assert row.state is OrderState.CANCELLED


def test_spot_replaces_by_a_new_order_under_the_new_id() -> None:
    client = Client(sim(market="spot"))
    first = ack(client.place("o1", BUY, 9_900, 10))

    second = ack(client.replace("o1", 9_890, 12, new_client_id="o2"))

    assert second.client_id == "o2"
    assert second.venue_order_id != first.venue_order_id
    assert [execution for execution, _ in client.private()] == ["NEW", "CANCELED", "NEW"]


@pytest.mark.parametrize(("market", "code"), [("perp", -2013), ("spot", -2011)])
def test_unknown_orders(market: str, code: int) -> None:
    client = Client(sim(market="spot" if market == "spot" else "perp"))

    assert reject(client.cancel("nope")) == (FaultKind.UNKNOWN_ORDER, -2011)
    assert reject(client.replace("nope", 9_900, 10)) == (FaultKind.UNKNOWN_ORDER, code)
    assert reject(client.ask(VenueQueryOrder(1, "AAAUSDT", "nope"))) == (FaultKind.UNKNOWN_ORDER, -2013)


def test_a_cancel_ends_the_order_and_a_second_one_finds_nothing() -> None:
    client = Client(sim())
    client.place("o1", BUY, 9_900, 10)

    assert ack(client.cancel("o1")).state is OrderState.CANCELLED
    assert reject(client.cancel("o1")) == (FaultKind.UNKNOWN_ORDER, -2011)


def test_cancel_all_ends_every_order_of_the_symbol() -> None:
    client = Client(sim())
    for number in range(3):
        client.place(f"o{number}", BUY, 9_900 - number)

    client.ask(VenueCancelAll(9, "AAAUSDT"))

    assert client.ask(VenueOpenOrdersQuery(10)) == VenueOpenOrders(10, "", ())


def test_the_countdown_cancels_when_it_is_not_renewed() -> None:
    client = Client(sim())
    client.place("o1", BUY, 9_900, 10)
    assert client.ask(VenueCountdown(1, "AAAUSDT", 500)) == VenueCountdownAck(1, "AAAUSDT", 500)

    client.run(300)
    client.ask(VenueCountdown(2, "AAAUSDT", 500))
    client.run(400)
    assert client.private()[-1][0] == "NEW"
    client.run(101)

    execution, event = client.private()[-1]
    assert execution == "CANCELED"
    assert isinstance(event, VenueOrder)
    assert event.event_ns == START_NS + 800 * MS


# --- positions and money ---------------------------------------------------------------------------------------


def test_positions_balances_and_trades_are_listed() -> None:
    client = Client(sim())
    ask = client.exchange.top("AAAUSDT").ask_ticks
    client.place("o1", BUY, ask, 1)

    positions = client.ask(VenuePositionsQuery(1))
    assert isinstance(positions, VenuePositions)
    assert [(each.symbol, each.position_lots, each.entry_ticks) for each in positions.positions] == [
        ("AAAUSDT", 1, float(ask))
    ]
    balances = client.ask(VenueBalancesQuery(2))
    assert isinstance(balances, VenueBalances)
    assert Decimal(balances.balances[0].total) == 1_000_000 - Decimal(ask) * Decimal("0.0000005")
    trades = client.ask(VenueTradesQuery(3, "AAAUSDT"))
    assert isinstance(trades, VenueTrades)
    assert [each.client_id for each in trades.fills] == ["o1"]
    assert trades.complete
    assert client.ask(VenueTimeQuery(4)) == VenueTime(4, START_MS)


def test_spot_takes_its_fee_from_what_is_received() -> None:
    client = Client(sim(market="spot"))
    ask = client.exchange.top("AAAUSDT").ask_ticks
    client.place("o1", BUY, ask, 1)

    state = client.exchange.account_state("us")

    assert {each.asset: Decimal(each.wallet) for each in state.balances} == {
        "USDT": 1_000_000 - Decimal(ask) * Decimal("0.001"),
        "AAA": Decimal("0.1") - Decimal("0.00005"),
    }
    assert state.positions[0].position_lots == 0  # 0.09995 coins are no whole lot


def test_reduce_only_needs_a_position_and_never_turns_it() -> None:
    client = Client(sim())
    assert reject(client.place("o1", SELL, 10_100, 10, reduce_only=True)) == (FaultKind.REJECTED, -2022)
    client.place("o2", BUY, 0, 4, market=True)

    resting = ack(client.place("o3", SELL, 10_100, 10, reduce_only=True))

    assert resting.lots == 4
    client.place("o4", SELL, 0, 3, market=True)
    row = client.exchange.ledger.order("us", "AAAUSDT", client_id="o3")
    assert row is not None
    assert row.lots == 1
    client.place("o5", SELL, 0, 1, market=True)
    row = client.exchange.ledger.order("us", "AAAUSDT", client_id="o3")
    assert row is not None
    assert row.state is OrderState.EXPIRED


def test_longs_pay_a_positive_rate_at_the_interval() -> None:
    client = Client(sim(settings=still(funding_interval_s=10.0)))
    client.place("o1", BUY, 0, 100, market=True)
    mark, rate = client.exchange.mark_ticks("AAAUSDT"), client.exchange.funding_rate("AAAUSDT")
    due_ms = client.exchange.mark("AAAUSDT").next_funding_ms

    client.run(due_ms - START_MS)

    (event,) = [each for _, each in client.private() if isinstance(each, VenueFunding)]
    assert rate > 0
    assert float(event.amount) == pytest.approx(-rate * mark * 100 * 0.001, rel=0.02)
    assert client.exchange.ledger.income("us", kind="FUNDING_FEE")[0].amount == event.amount


def test_the_venue_may_close_a_position_by_itself() -> None:
    client = Client(sim())
    client.place("o1", BUY, 0, 4, market=True)

    commands = client.exchange.force_close("us", "AAAUSDT", client.now_ns)

    fills = [each.event for each in commands if isinstance(each, Private) and isinstance(each.event, VenueFill)]
    assert [(each.side, each.lots, each.system) for each in fills] == [(SELL, 4, True)]
    assert fills[0].client_id.startswith("autoclose-")


# --- public streams --------------------------------------------------------------------------------------------


def test_perpetual_depth_events_are_chained_and_snapshots_lie_inside_the_next_one() -> None:
    client = Client(sim())
    applied = client.exchange.depth("AAAUSDT", 1_000)
    bids, asks = dict(applied.bids), dict(applied.asks)
    last = -1
    for _ in range(30):
        snapshot = client.exchange.depth("AAAUSDT", 1_000)
        for event in (each.event for each in client.run(100) if isinstance(each, Public)):
            if isinstance(event, DepthDelta):
                assert last < 0 or event.prev_seq == last
                assert event.first_seq <= snapshot.last_seq <= event.last_seq
                last = event.last_seq
                bids.update(event.bids)
                asks.update(event.asks)
    # The venue may have changed since its last event by what is still being collected.
    client.run(0)
    now = client.exchange.depth("AAAUSDT", 1_000)
    changed = {price for price, lots in now.bids if bids.get(price) != lots}
    assert len(changed) <= 2
    assert last > 0


def test_spot_depth_events_follow_one_another_without_a_hole() -> None:
    client = Client(sim(market="spot"))
    events = [
        each.event for each in client.run(3_000) if isinstance(each, Public) and isinstance(each.event, DepthDelta)
    ]

    assert len(events) >= 29
    assert all(after.first_seq == before.last_seq + 1 for before, after in pairwise(events))
    assert {event.prev_seq for event in events} == {-1}


def test_a_book_kept_from_snapshot_and_deltas_equals_the_venue_s() -> None:
    client = Client(sim(settings=still(taker_rate_per_s=3.0, informed_share=0.6)))
    kept = client.exchange.depth("AAAUSDT", 10_000)
    sides = {BUY: dict(kept.bids), SELL: dict(kept.asks)}
    for number in range(200):
        client.place(f"o{number}", BUY, client.exchange.top("AAAUSDT").bid_ticks - 3, 5)
        for command in client.run(100):
            if isinstance(command, Public) and isinstance(command.event, DepthDelta):
                sides[BUY].update(command.event.bids)
                sides[SELL].update(command.event.asks)
                venue = client.exchange.depth("AAAUSDT", 10_000)
        client.cancel(f"o{number}")
    client.run(100)
    for command in client.log[-200:]:
        if isinstance(command, Public) and isinstance(command.event, DepthDelta):
            sides[BUY].update(command.event.bids)
            sides[SELL].update(command.event.asks)
    venue = client.exchange.depth("AAAUSDT", 10_000)
    for side, levels in ((BUY, venue.bids), (SELL, venue.asks)):
        mine = {price: lots for price, lots in sides[side].items() if lots}
        differing = set(mine.items()) ^ set(levels)
        # Only what changed since the newest event, a fraction of an interval ago, may differ.
        assert len(differing) <= 12


def test_frames_are_steered_to_the_setting() -> None:
    symbols = [f"S{number}USDT" for number in range(10)]
    exchange = sim(symbols=symbols, settings=still(frames_per_s=600.0, taker_rate_per_s=0.6, informed_share=0.6))

    frames = [each for each in exchange.advance(START_NS + 10_000 * MS) if isinstance(each, Public)]

    assert 600 <= len(frames) / 10 <= 690


def test_few_frames_are_possible_too() -> None:
    exchange = sim(symbols=[f"S{number}USDT" for number in range(10)], settings=still(frames_per_s=50.0))

    frames = [each for each in exchange.advance(START_NS + 20_000 * MS) if isinstance(each, Public)]

    assert 45 <= len(frames) / 20 <= 75


def test_marks_come_each_second_and_candles_each_minute() -> None:
    exchange = sim(settings=still(frames_per_s=20.0))

    events = [each.event for each in exchange.advance(START_NS + 121_000 * MS) if isinstance(each, Public)]

    assert 118 <= sum(isinstance(each, MarkPrice) for each in events) <= 122
    closed = [each for each in events if isinstance(each, KlineEvent)]
    assert [each.kline.close_ms + 1 - each.kline.open_ms for each in closed] == [60_000, 60_000]
    assert exchange.klines("AAAUSDT", 60_000, 2) == [each.kline for each in closed]


def test_candles_before_the_start_join_those_after_it() -> None:
    exchange = sim()
    exchange.advance(START_NS + 130_000 * MS)

    candles = exchange.klines("AAAUSDT", 60_000, 100)
    joined = exchange.klines("AAAUSDT", 300_000, 10)

    assert len(candles) == 100
    assert all(after.open_ms == before.close_ms + 1 for before, after in pairwise(candles))
    assert all(each.low_ticks <= min(each.open_ticks, each.close_ticks) for each in candles)
    assert all(each.high_ticks >= max(each.open_ticks, each.close_ticks) for each in candles)
    assert len(joined) == 10
    assert {each.close_ms + 1 - each.open_ms for each in joined} == {300_000}
    with pytest.raises(ValueError, match="whole minutes"):
        exchange.klines("AAAUSDT", 1_000, 5)


def test_both_markets_of_a_coin_follow_one_latent_price() -> None:
    perp, spot = sim(), sim(market="spot")
    for exchange in (perp, spot):
        exchange.advance(START_NS + 30_000 * MS)

    assert perp.index_ticks("AAAUSDT") == spot.index_ticks("AAAUSDT") != 10_000


def test_the_same_calls_give_the_same_commands() -> None:
    def world(span_ms: int) -> list[object]:
        client = Client(sim(symbols=("AAAUSDT", "BBBUSDT"), settings=still(taker_rate_per_s=2.0, faults="rough")))
        client.run(1_000)
        client.place("o1", BUY, client.exchange.top("AAAUSDT").bid_ticks, 50)
        for _ in range(6_000 // span_ms):
            client.run(span_ms)
        return list(client.log)

    assert world(1_000) == world(1_000)
    assert world(1_000) == world(10)  # how often `advance` is called changes nothing


# --- instruments -----------------------------------------------------------------------------------------------


def test_a_halt_cancels_and_refuses() -> None:
    client = Client(sim())
    client.place("o1", BUY, 9_900)

    client.exchange.change_instrument(instrument(trading=False), client.now_ns)

    (listed,) = client.exchange.instruments()
    assert (listed.trading, listed.version) == (False, 2)
    assert reject(client.place("o2", BUY, 9_900))[1] == -4140
    row = client.exchange.ledger.order("us", "AAAUSDT", client_id="o1")
    assert row is not None
    assert row.state is OrderState.CANCELLED


def test_new_steps_keep_positions_and_money_and_break_the_depth_sequence() -> None:
    client = Client(sim())
    client.place("o1", BUY, 0, 4, market=True)
    equity = client.exchange.equity("us")
    last = max(
        each.event.last_seq
        for each in client.run(500)
        if isinstance(each, Public) and isinstance(each.event, DepthDelta)
    )
    before = client.exchange.equity("us")

    client.exchange.change_instrument(instrument(tick_size="0.001", lot_size="0.01"), client.now_ns)

    assert client.exchange.account_state("us").positions[0].position_lots == 40
    assert client.exchange.ledger.orders("us")[0].lots == 40
    assert abs(client.exchange.equity("us") - before) < Decimal("0.01")
    assert abs(before - equity) < 1
    event = next(
        each.event for each in client.run(500) if isinstance(each, Public) and isinstance(each.event, DepthDelta)
    )
    assert event.prev_seq > last
    ack(client.place("o2", BUY, 99_000, 100))


def test_a_lot_that_does_not_fit_the_position_is_refused() -> None:
    client = Client(sim())
    client.place("o1", BUY, 0, 4, market=True)

    with pytest.raises(ConfigError, match="no whole number"):
        client.exchange.change_instrument(instrument(lot_size="0.3"), client.now_ns)


def test_construction_names_what_is_missing() -> None:
    from actors.sim.exchange import SimExchange

    with pytest.raises(ConfigError, match="starting price"):
        SimExchange(
            venue="binance_perp",
            instruments=[instrument()],
            prices={},
            settings=still(),
            seed=1,
            start_ms=START_MS,
        )


def test_the_ledger_pages_and_keeps_every_transition() -> None:
    client = Client(sim())
    for number in range(5):
        client.place(f"o{number}", BUY, 9_900 - number)
        client.run(10)
    client.cancel("o2")
    ledger = client.exchange.ledger

    rows = ledger.orders("us", "AAAUSDT")
    assert [row.client_id for row in rows] == [f"o{number}" for number in range(5)]
    third: LedgerOrder = rows[2]
    assert [each.event for each in ledger.transitions("us", third.venue_order_id)] == ["NEW", "CANCELED"]
    assert [row.client_id for row in ledger.orders("us", limit=2)] == ["o3", "o4"]
    assert [row.client_id for row in ledger.orders("us", from_order_id=int(third.venue_order_id), limit=2)] == [
        "o2",
        "o3",
    ]
    assert [row.client_id for row in ledger.orders("us", open_only=True)] == ["o0", "o1", "o3", "o4"]
    assert ledger.order("us", "AAAUSDT", venue_order_id=third.venue_order_id) == third
    assert ledger.order("us", "AAAUSDT", venue_order_id="x") is None
    assert ledger.orders("nobody") == []
    assert "nobody" not in ledger.accounts()
