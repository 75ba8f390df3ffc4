"""Event scripts: what the gateway's machine does at each thing that can happen to an order, a holder or risk."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from actors.gateway.commands import FromHolder, FromRisk, HolderLink, StopAsked, Stopped, Tick
from actors.gateway.limits import Window
from actors.gateway.pacer import Urgency
from actors.vocab.control import Instruments
from actors.vocab.instruments import Instrument
from actors.vocab.leases import AccountLeaseRequest, BlockRequest, JournalledSymbol, Kill, RiskState
from actors.vocab.market import Side
from actors.vocab.orders import (
    CHANGES_FULL,
    STARTING_BALANCE,
    CancelAll,
    CancelOrder,
    Fill,
    FillsAgain,
    HolderHello,
    HolderState,
    OpenOrder,
    OrderRow,
    OrderState,
    OrderUpdate,
    PositionAdjust,
)
from actors.vocab.units import NS_PER_MS
from actors.vocab.venue_io import (
    FaultKind,
    Position,
    StreamDown,
    StreamKind,
    StreamUp,
    VenueCancel,
    VenueCountdown,
    VenueFunding,
    VenueOpenOrdersQuery,
    VenueOrder,
    VenuePlace,
    VenuePositionsQuery,
    VenueQueryOrder,
    VenueReject,
    VenueReplace,
    VenueTradesQuery,
)
from tests.gateway.kit import HOLDER, MID, SYMBOL, Bench, fence, instrument

OTHER = "quote:BTCUSDT@2"


@pytest.fixture
def bench() -> Bench:
    ready = Bench().start()
    ready.hello()
    return ready


# --- opening --------------------------------------------------------------------------------------------------


def test_starts_closed_and_writes_nothing_before_the_account_is_reconciled() -> None:
    bench = Bench()
    bench.hello()
    bench.say(bench.order())

    assert not bench.requests
    (update,) = bench.told(OrderUpdate)
    assert update.state is OrderState.REJECTED
    assert update.reason == "risk has not told its term"


def test_opens_after_lease_block_stream_and_comparison(bench: Bench) -> None:
    assert bench.engine.is_open
    (state,) = bench.told(HolderState)
    assert state.complete
    assert state.gateway == "gw@1"
    assert [type(request) for request in bench.requests] == [VenueOpenOrdersQuery, VenuePositionsQuery]


def test_exposure_is_not_reported_before_the_first_comparison() -> None:
    """Zeros would look like the truth; an empty list makes risk book its worst case."""
    from actors.gateway.commands import RiskLink

    bench = Bench()
    bench.send(RiskLink(True))

    (request,) = bench.reported(AccountLeaseRequest)
    assert request.symbols == ()
    assert bench.reported(BlockRequest)


def test_orders_of_an_older_life_are_cancelled_and_foreign_ones_left_alone() -> None:
    bench = Bench().start(
        orders=(
            OpenOrder("mnt-7", "71", SYMBOL, Side.BUY, MID - 10, 5, 0, 1),
            OpenOrder("web_1", "72", SYMBOL, Side.SELL, MID + 10, 3, 1, 1),
        )
    )

    cancels = [request for request in bench.requests if isinstance(request, VenueCancel)]
    assert [cancel.client_id for cancel in cancels] == ["mnt-7"]
    exposure = bench.engine.exposure(SYMBOL)
    assert (exposure.open_buy_lots, exposure.foreign_sell_lots) == (5, 2)
    assert bench.engine.core.counters["older_life_orders"] == 1


def test_fills_missed_between_two_lives_are_numbered_after_the_journal() -> None:
    missed = Bench.fill_of(VenuePlace(0, SYMBOL, "mnt-7", Side.BUY, MID, 5), 4, 51, client_id="")
    known = Bench.fill_of(VenuePlace(0, SYMBOL, "mnt-7", Side.BUY, MID, 5), 1, 50, client_id="")
    bench = Bench().start(
        trades={SYMBOL: (known, missed)},
        positions=(Position(SYMBOL, 7, float(MID)),),
        journalled=(JournalledSymbol(SYMBOL, 50, 3),),
        last_fill_no=20,
        since_ms=1,
    )

    fills = [command.message for command in bench.engine.core.ledger.again(0) for command in [_Wrapped(command)]]
    assert [(fill.fill_no, fill.trade_id, fill.position_lots) for fill in fills] == [(21, 51, 7)]
    assert bench.engine.core.counters["position_mismatches"] == 0


class _Wrapped:
    def __init__(self, message: object) -> None:
        assert isinstance(message, Fill)
        self.message = message


# --- an order's life ------------------------------------------------------------------------------------------


def test_place_ack_cancel(bench: Bench) -> None:
    request = bench.place()
    assert request.client_id == "mnt-100"
    assert [row.state for row in bench.reported(OrderRow)] == [OrderState.PENDING]

    bench.now_ns += 3 * NS_PER_MS
    bench.ack(request)
    (update,) = bench.told(OrderUpdate)
    assert (update.state, update.ack_us) == (OrderState.OPEN, 3_000)

    bench.say(CancelOrder(bench.venue, SYMBOL, HOLDER, 1))
    (cancel,) = bench.written(VenueCancel)
    assert [update.state for update in bench.told(OrderUpdate)] == [OrderState.CANCELLING]

    bench.ack(cancel)
    assert [update.state for update in bench.told(OrderUpdate)] == [OrderState.CANCELLED]
    assert bench.engine.exposure(SYMBOL).open_buy_lots == 0


def test_ack_after_fill_keeps_the_fill(bench: Bench) -> None:
    request = bench.place()
    bench.fill(request, 4)
    assert bench.state(request) is OrderState.PARTLY_FILLED
    bench.ack(request)

    assert bench.state(request) is OrderState.PARTLY_FILLED
    assert bench.engine.exposure(SYMBOL).open_buy_lots == 6
    assert bench.engine.exposure(SYMBOL).position_lots == 4


def test_fill_after_cancel_is_booked_and_the_order_stays_cancelled(bench: Bench) -> None:
    request = bench.live()
    bench.say(CancelOrder(bench.venue, SYMBOL, HOLDER, 1))
    bench.ack(bench.written(VenueCancel)[0], filled=4)

    # Cancelled with 4 filled that no trade has shown yet: they still count.
    assert bench.state(request) is OrderState.CANCELLED
    assert bench.engine.exposure(SYMBOL).open_buy_lots == 4

    bench.fill(request, 4)
    exposure = bench.engine.exposure(SYMBOL)
    assert (exposure.position_lots, exposure.open_buy_lots) == (4, 0)


def test_same_trade_from_stream_and_list_is_booked_once(bench: Bench) -> None:
    request = bench.live()
    bench.fill(request, 4, trade_id=9)
    bench.fill(request, 4, trade_id=9, client_id="")

    assert bench.engine.exposure(SYMBOL).position_lots == 4
    assert not bench.reported(Fill)


def test_missing_fill_of_an_ended_order_is_fetched(bench: Bench) -> None:
    request = bench.live()
    bench.seen(request, OrderState.FILLED, filled=10)
    assert not bench.written(VenueTradesQuery)

    out = bench.later(600)
    assert bench.written(VenueTradesQuery, out)
    bench.fill(request, 10)
    exposure = bench.engine.exposure(SYMBOL)
    assert (exposure.position_lots, exposure.open_buy_lots) == (10, 0)


def test_no_answer_means_unknown_and_a_query_never_a_resend(bench: Bench) -> None:
    request = bench.place()
    out = bench.later(2_100)

    assert bench.state(request) is OrderState.UNKNOWN
    (query,) = bench.written(VenueQueryOrder, out)
    assert not bench.written(VenuePlace, out)
    assert bench.engine.exposure(SYMBOL).open_buy_lots == 10

    bench.seen(request, OrderState.OPEN, request_no=query.request_no)
    assert bench.state(request) is OrderState.OPEN


def test_does_not_exist_is_believed_only_after_the_stamps_window(bench: Bench) -> None:
    """Within recvWindow the venue may still carry the request out; after it, it would refuse it."""
    request = bench.place()
    bench.reject(request, FaultKind.UNKNOWN_OUTCOME)
    (query,) = bench.written(VenueQueryOrder)
    bench.reject(query, FaultKind.UNKNOWN_ORDER)
    assert bench.state(request) is OrderState.UNKNOWN

    while bench.state(request) is OrderState.UNKNOWN:
        bench.marks()
        for query in bench.written(VenueQueryOrder, bench.later(500)):
            bench.reject(query, FaultKind.UNKNOWN_ORDER)
    assert bench.state(request) is OrderState.REJECTED
    assert 5_500 * NS_PER_MS <= bench.now_ns - 1_000 * NS_PER_MS < 8_000 * NS_PER_MS


def test_late_ack_after_the_query_said_no_brings_the_order_back_and_cancels_it(bench: Bench) -> None:
    request = bench.place()
    order = bench.engine.core.table.find(SYMBOL, request.client_id)
    assert order is not None
    bench.later(2_100)
    order.uncertain_until_ns = 0
    for query in bench.written(VenueQueryOrder):
        bench.reject(query, FaultKind.UNKNOWN_ORDER)
    assert order.state is OrderState.REJECTED

    bench.ack(request)
    assert order.state is OrderState.CANCELLING
    assert [cancel.client_id for cancel in bench.written(VenueCancel)] == [request.client_id]


def test_cancel_of_an_order_the_venue_does_not_know_asks_for_its_end(bench: Bench) -> None:
    request = bench.live()
    bench.say(CancelOrder(bench.venue, SYMBOL, HOLDER, 1))
    bench.reject(bench.written(VenueCancel)[0], FaultKind.UNKNOWN_ORDER)

    (query,) = bench.written(VenueQueryOrder)
    bench.seen(request, OrderState.FILLED, filled=10, request_no=query.request_no)
    assert bench.state(request) is OrderState.FILLED
    assert bench.engine.exposure(SYMBOL).open_buy_lots == 10  # until the trade is seen
    bench.fill(request, 10)
    assert bench.engine.exposure(SYMBOL).open_buy_lots == 0


def test_lost_cancel_is_repeated_until_the_end_is_known(bench: Bench) -> None:
    bench.live()
    bench.say(CancelOrder(bench.venue, SYMBOL, HOLDER, 1))
    out = bench.later(1_500)

    assert len(bench.written(VenueCancel, out)) >= 2
    bench.ack(bench.written(VenueCancel, out)[-1])
    assert not bench.written(VenueCancel, bench.later(3_000))


def test_post_only_refusal_is_told_with_its_reason(bench: Bench) -> None:
    request = bench.place()
    bench.reject(request, FaultKind.POST_ONLY)

    (update,) = bench.told(OrderUpdate)
    assert update.state is OrderState.REJECTED
    assert "POST_ONLY" in update.reason


# --- changes of price and size --------------------------------------------------------------------------------


def test_replace_counts_the_larger_size_until_it_is_acked(bench: Bench) -> None:
    order = bench.order()
    bench.say(order)
    bench.ack(bench.written(VenuePlace)[0])
    bench.say(bench.change(order, lots=4, price_ticks=MID - 12))
    (replace,) = bench.written(VenueReplace)
    assert bench.engine.exposure(SYMBOL).open_buy_lots == 10

    bench.ack(replace)
    assert bench.engine.exposure(SYMBOL).open_buy_lots == 4
    (update,) = bench.told(OrderUpdate)
    assert (update.state, update.price_ticks, update.lots) == (OrderState.OPEN, MID - 12, 4)


def test_news_from_before_a_replace_does_not_take_size_back(bench: Bench) -> None:
    """Two connections: the answer to the replace overtakes what the private stream had said of the smaller order."""
    order = bench.order(lots=2)
    bench.say(order)
    (place,) = bench.written(VenuePlace)
    bench.ack(place)
    bench.fill(place, 1)
    bench.say(bench.change(order, lots=3))
    bench.ack(bench.written(VenueReplace)[0], OrderState.PARTLY_FILLED, filled=1)

    bench.seen(place, OrderState.PARTLY_FILLED, filled=1)

    exposure = bench.engine.exposure(SYMBOL)
    assert (exposure.position_lots, exposure.open_buy_lots) == (1, 2)


def test_change_waits_for_the_answer_to_the_one_before(bench: Bench) -> None:
    order = bench.order()
    bench.say(order)
    (place,) = bench.written(VenuePlace)
    bench.say(bench.change(order, price_ticks=MID - 12))
    assert not bench.written(VenueReplace)
    bench.say(bench.change(order, price_ticks=MID - 13))

    bench.ack(place)
    assert [replace.price_ticks for replace in bench.written(VenueReplace)] == [MID - 13]


def test_refused_replace_leaves_the_order_as_it_was(bench: Bench) -> None:
    order = bench.order()
    bench.say(order)
    bench.ack(bench.written(VenuePlace)[0])
    bench.say(bench.change(order, lots=20, price_ticks=MID - 12))
    bench.reject(bench.written(VenueReplace)[0], FaultKind.BUSY)

    (update,) = bench.told(OrderUpdate)
    assert (update.state, update.price_ticks, update.lots) == (OrderState.OPEN, MID - 10, 10)
    assert bench.engine.exposure(SYMBOL).open_buy_lots == 10


def test_lost_replace_may_be_carried_out_until_its_stamp_is_too_old(bench: Bench) -> None:
    order = bench.order()
    bench.say(order)
    place = bench.written(VenuePlace)[0]
    bench.ack(place)
    bench.say(bench.change(order, lots=20))
    bench.reject(bench.written(VenueReplace)[0], FaultKind.UNKNOWN_OUTCOME)
    (query,) = bench.written(VenueQueryOrder)
    bench.seen(place, OrderState.OPEN, request_no=query.request_no)

    assert bench.state(place) is OrderState.UNKNOWN
    assert bench.engine.exposure(SYMBOL).open_buy_lots == 20

    for _ in range(20):
        bench.marks()
        for query in bench.written(VenueQueryOrder, bench.later(500)):
            bench.seen(place, OrderState.OPEN, request_no=query.request_no)
    assert bench.state(place) is OrderState.OPEN
    assert bench.engine.exposure(SYMBOL).open_buy_lots == 10


def test_news_from_before_a_lost_replace_does_not_end_its_queries(bench: Bench) -> None:
    order = bench.order(lots=10)
    bench.say(order)
    (place,) = bench.written(VenuePlace)
    bench.ack(place)
    bench.now_ns += NS_PER_MS
    bench.say(bench.change(order, lots=15))
    bench.ack(bench.written(VenueReplace)[0])
    bench.say(bench.change(order, lots=20))
    bench.reject(bench.written(VenueReplace)[0], FaultKind.UNKNOWN_OUTCOME)

    bench.seen(place, OrderState.OPEN)  # the stream's word of the order as it was first
    assert bench.state(place) is OrderState.UNKNOWN
    assert bench.engine.exposure(SYMBOL).open_buy_lots == 20
    assert bench.written(VenueQueryOrder, bench.later(2_100))


def test_spot_change_is_a_cancel_and_then_a_place_of_the_rest() -> None:
    bench = Bench("binance_spot").start()
    bench.hello()
    order = bench.order()
    bench.say(order)
    first = bench.written(VenuePlace)[0]
    bench.ack(first)
    bench.fill(first, 3)
    bench.say(bench.change(order, price_ticks=MID - 12))
    (cancel,) = bench.written(VenueCancel)
    assert not bench.told(OrderUpdate)  # one order for its holder, whatever it takes here

    bench.ack(cancel, filled=3)
    (second,) = bench.written(VenuePlace)
    assert (second.lots, second.price_ticks, second.post_only) == (7, MID - 12, True)
    bench.ack(second)
    (update,) = bench.told(OrderUpdate)
    assert (update.ref, update.state, update.lots, update.filled_lots) == (order.ref, OrderState.OPEN, 10, 3)


# --- who may write --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"price_ticks": MID - MID // 10}, "bps from the reference price"),
        ({"lots": 99}, "USD above"),
        ({"lots": 11, "long_lots": 10}, "worst case 11 lots long above 10"),
        ({"lease_left_ms": 0}, "lease expired"),
    ],
)
def test_refusals_at_the_write(bench: Bench, changes: dict[str, int], reason: str) -> None:
    bench.say(bench.order(**changes))

    assert not bench.written(VenuePlace)
    (update,) = bench.told(OrderUpdate)
    assert update.state is OrderState.REJECTED
    assert reason in update.reason


def test_token_of_another_term_or_below_the_fence_is_refused(bench: Bench) -> None:
    bench.say(bench.order(token=bench.token(term=2)))
    assert "token of term 2, now 1" in bench.told(OrderUpdate)[0].reason
    bench.lease(fences=(fence(5, 100, 100),))
    bench.say(bench.order(token=bench.token(grant_no=4)))
    assert "token fenced" in bench.told(OrderUpdate)[0].reason
    bench.say(bench.order(token=bench.token(grant_no=5)))
    assert bench.written(VenuePlace)


def test_envelope_counts_every_order_and_the_position_seen_here(bench: Bench) -> None:
    first = bench.live(lots=60, price_ticks=MID)
    bench.fill(first, 30)
    bench.say(bench.order(lots=41))
    assert "worst case 101 lots long above 100" in bench.told(OrderUpdate)[0].reason
    bench.say(bench.order(lots=40))
    assert bench.written(VenuePlace)


def test_old_marks_stop_new_orders(bench: Bench) -> None:
    bench.later(3_100)
    bench.say(bench.order())
    assert bench.told(OrderUpdate)[0].reason == "collar: no reference price"


def test_what_an_ended_leg_has_filled_is_no_part_of_the_rest_before_its_trades_come() -> None:
    bench = Bench("binance_spot").start()
    bench.hello()
    order = bench.order(lots=10, long_lots=10)
    bench.say(order)
    (first,) = bench.written(VenuePlace)
    bench.ack(first)
    bench.say(bench.change(order, price_ticks=MID - 12))
    (cancel,) = bench.written(VenueCancel)
    bench.ack(cancel, filled=6)  # told by the answer; the private stream is another connection

    (rest,) = bench.written(VenuePlace)
    assert rest.lots == 4
    bench.fill(first, 6)
    exposure = bench.engine.exposure(SYMBOL)
    assert (exposure.position_lots, exposure.open_buy_lots) == (6, 4)


def test_change_in_place_leaves_room_for_fills_that_are_told_and_not_booked(bench: Bench) -> None:
    order = bench.order(lots=10, long_lots=10)
    bench.say(order)
    bench.ack(bench.written(VenuePlace)[0], OrderState.PARTLY_FILLED, filled=6)
    bench.say(bench.change(order, lots=11, long_lots=10))

    assert not bench.written(VenueReplace)  # 6 filled and 5 to come are more than the lease


def test_spot_cannot_be_sold_short() -> None:
    bench = Bench("binance_spot").start(positions=(Position(SYMBOL, 5, 0.0),))
    bench.hello()
    bench.say(bench.order(Side.SELL, lots=6))
    assert "short" in bench.told(OrderUpdate)[0].reason
    bench.say(bench.order(Side.SELL, lots=5))
    assert bench.written(VenuePlace)


def test_coins_of_a_new_spot_account_are_stock_and_no_position() -> None:
    bench = Bench("binance_spot").start(positions=(Position(SYMBOL, 5, 0.0),))
    (told,) = bench.engine.core.ledger.again(1)
    assert isinstance(told, PositionAdjust)
    assert (told.reason, told.position_lots, told.amount, told.asset) == (STARTING_BALANCE, 0, "0.005", "BTC")
    assert bench.engine.exposure(SYMBOL).position_lots == 0
    bench.hello()
    assert (bench.told(HolderState)[-1].position_lots, bench.told(HolderState)[-1].stock_lots) == (0, 5)

    bench.fill(bench.live(Side.SELL, lots=5), 5)

    assert bench.engine.exposure(SYMBOL).position_lots == -5
    assert bench.engine.core.counters["position_mismatches"] == 0


def test_a_later_life_counts_from_the_journalled_stock() -> None:
    """Held are 6: the stock of 5, and a position of 1 by the journal."""
    row = JournalledSymbol(SYMBOL, 40, 1, 0.0, stock_lots=5)
    bench = Bench("binance_spot").start(
        positions=(Position(SYMBOL, 6, 0.0),), journalled=(row,), last_fill_no=3, since_ms=1_700_000_000_000
    )
    assert bench.engine.core.ledger.again(1) == []
    assert bench.engine.exposure(SYMBOL).position_lots == 1
    assert bench.engine.core.ledger.account(SYMBOL).stock_lots == 5


def test_coins_that_come_later_are_a_position() -> None:
    bench = Bench("binance_spot").start()
    bench.send(VenueFunding("", "BTC", "0.005", "deposit", 7))
    assert bench.engine.exposure(SYMBOL).position_lots == 5
    assert bench.engine.core.ledger.account(SYMBOL).stock_lots == 0


def test_too_many_fills_halt_the_side() -> None:
    bench = Bench(fills_per_side_max=2).start()
    bench.hello()
    request = bench.live()
    for _ in range(3):
        bench.fill(request, 1)
    assert [cancel.client_id for cancel in bench.written(VenueCancel)] == [request.client_id]
    bench.say(bench.order())
    assert "fills in" in bench.told(OrderUpdate)[0].reason
    bench.say(bench.order(Side.SELL))
    assert bench.written(VenuePlace)


# --- quote actors come and go ---------------------------------------------------------------------------------


def test_silent_holder_loses_its_orders(bench: Bench) -> None:
    request = bench.live()
    bench.send(HolderLink(HOLDER, False))

    assert [cancel.client_id for cancel in bench.written(VenueCancel)] == [request.client_id]
    bench.say(bench.order())
    assert not bench.written(VenuePlace)


def test_new_incarnation_takes_over_and_learns_what_is_dying(bench: Bench) -> None:
    request = bench.live()
    bench.fill(request, 4)
    bench.hello(OTHER)

    (cancel,) = bench.written(VenueCancel)
    state = bench.told(HolderState, OTHER)[0]
    assert (state.position_lots, state.dying_buy_lots, state.open_refs) == (4, 6, ())

    bench.ack(cancel, filled=4)
    assert [state.dying_buy_lots for state in bench.told(HolderState, OTHER)] == [0]


def test_a_retired_incarnation_is_never_heard_again(bench: Bench) -> None:
    bench.hello(OTHER)
    bench.hello(HOLDER)
    bench.say(bench.order())

    assert not bench.written(VenuePlace)
    bench.say(bench.order(token=bench.token(holder=OTHER)), OTHER)
    assert bench.written(VenuePlace)


def test_greeting_meant_for_an_earlier_gateway_is_ignored(bench: Bench) -> None:
    bench.send(FromHolder(OTHER, HolderHello(bench.venue, SYMBOL, OTHER, "gw@0")))
    assert not bench.told(HolderState, OTHER)


def test_cancel_needs_no_lease_and_reaches_orders_not_written_yet(bench: Bench) -> None:
    for window in bench.engine.core.budget.windows.values():
        window.take(window.caps[Urgency.NORMAL], bench.now_ns)  # nothing left for orders
    bench.say(bench.order())
    assert not bench.written(VenuePlace)
    bench.say(CancelOrder(bench.venue, SYMBOL, HOLDER, 1))

    (update,) = bench.told(OrderUpdate)
    assert (update.state, update.reason) == (OrderState.CANCELLED, "cancelled before it was written")


def test_change_without_room_is_refused_after_a_while_and_a_missing_side_is_placed_at_once() -> None:
    bench = Bench(change_wait_ms=200).start()
    bench.hello()
    order = bench.order(Side.BUY)
    bench.say(order)
    bench.ack(bench.written(VenuePlace)[0])
    window = bench.engine.core.budget.windows[Window.ORDERS_1M]
    window.take(window.free(Urgency.CHANGE), bench.now_ns)

    bench.say(bench.change(order, price_ticks=MID - 12))
    assert not bench.written(VenueReplace)
    bench.live(Side.SELL)
    bench.later(250)

    assert not bench.written(VenueReplace)
    (update,) = [update for update in bench.told(OrderUpdate) if update.ref == order.ref]
    assert (update.state, update.price_ticks, update.reason) == (OrderState.OPEN, MID - 10, CHANGES_FULL)


def test_cancel_of_an_unknown_reference_is_answered(bench: Bench) -> None:
    bench.say(CancelOrder(bench.venue, SYMBOL, HOLDER, 77))
    assert [update.state for update in bench.told(OrderUpdate)] == [OrderState.REJECTED]


def test_a_fill_after_a_refused_change_does_not_repeat_the_refusal(bench: Bench) -> None:
    order = bench.order()
    bench.say(order)
    (place,) = bench.written(VenuePlace)
    bench.ack(place)
    bench.say(bench.change(order, price_ticks=MID - 12))
    bench.reject(bench.written(VenueReplace)[0], FaultKind.BUSY)
    assert bench.told(OrderUpdate)[-1].reason

    bench.fill(place, 3)
    assert bench.told(OrderUpdate)[-1].reason == ""


@pytest.mark.parametrize("kind", [FaultKind.UNKNOWN_OUTCOME, FaultKind.POST_ONLY, FaultKind.UNKNOWN_ORDER])
def test_a_lost_change_that_did_not_happen_is_told_with_its_reason(bench: Bench, kind: FaultKind) -> None:
    """Without one the holder would take the news for a fill and wait on."""
    order = bench.order()
    bench.say(order)
    (place,) = bench.written(VenuePlace)
    bench.ack(place)
    bench.say(bench.change(order, price_ticks=MID - 7))
    out = bench.reject(bench.written(VenueReplace)[0], kind)
    tracked = bench.engine.core.table.find(SYMBOL, place.client_id)
    assert tracked is not None
    for _ in range(2):  # an answer from before the change may still come true proves nothing
        query = bench.written(VenueQueryOrder, out)[-1]
        bench.now_ns += 1
        bench.seen(place, OrderState.OPEN, request_no=query.request_no)
        if tracked.state is OrderState.OPEN:
            break
        out = bench.later(10_000)
    assert bench.told(OrderUpdate)[-1].reason


def test_what_a_returning_change_pushes_out_of_a_full_pacer_is_told() -> None:
    bench = Bench("binance_spot", intents_max=1).start()
    bench.hello()
    order = bench.order()
    bench.say(order)
    bench.ack(bench.written(VenuePlace)[0])
    bench.say(bench.change(order, price_ticks=MID - 20))
    (cancel,) = bench.written(VenueCancel)
    bench.engine.core.budget.close_until(bench.now_ns + 5_000 * NS_PER_MS)
    bench.say(bench.order(lots=3, slot=2, value_usd=0.5))
    bench.ack(cancel)

    assert [update.reason for update in bench.told(OrderUpdate)] == ["pacer full"]


def test_cancel_all_of_a_symbol(bench: Bench) -> None:
    bench.live(Side.BUY)
    bench.live(Side.SELL)
    bench.say(CancelAll(bench.venue, SYMBOL, HOLDER, "pause"))
    assert len(bench.written(VenueCancel)) == 2


# --- steps ----------------------------------------------------------------------------------------------------


def finer(bench: Bench) -> Instrument:
    """The venue divides its lot by ten."""
    row = msgspec.structs.replace(instrument(venue=bench.venue), lot_size="0.0001")
    bench.send(Instruments(bench.venue, 2, (row,)))
    return row


def test_new_lots_are_counted_everywhere_and_orders_of_old_ones_are_pulled(bench: Bench) -> None:
    bench.fill(bench.live(lots=10), 10)
    order = bench.live(lots=5)
    finer(bench)

    exposure = bench.engine.exposure(SYMBOL)
    assert (exposure.position_lots, exposure.open_buy_lots) == (100, 50)
    assert [cancel.client_id for cancel in bench.written(VenueCancel)] == [order.client_id]


def test_a_change_that_waits_for_its_cancel_is_forgotten_with_the_old_lots() -> None:
    bench = Bench("binance_spot").start()
    bench.hello()
    order = bench.order()
    bench.say(order)
    bench.ack(bench.written(VenuePlace)[0])
    bench.say(bench.change(order, price_ticks=MID - 12))
    (cancel,) = bench.written(VenueCancel)
    finer(bench)
    bench.ack(cancel)

    assert not bench.written(VenuePlace, bench.out + bench.later(500))


def test_a_holder_greets_again_in_new_lots_before_it_is_heard(bench: Bench) -> None:
    bench.fill(bench.live(lots=10), 10)
    row = finer(bench)
    bench.say(bench.order(lots=1, long_lots=1000))
    assert not bench.written(VenuePlace)
    bench.send(FromHolder(HOLDER, HolderHello(bench.venue, SYMBOL, HOLDER, "gw@1", instrument().steps)))
    assert not bench.told(HolderState)

    bench.send(FromHolder(HOLDER, HolderHello(bench.venue, SYMBOL, HOLDER, "gw@1", row.steps)))
    assert bench.told(HolderState)[0].position_lots == 100
    bench.say(bench.order(lots=80, long_lots=100))
    assert not bench.written(VenuePlace)
    bench.say(bench.order(Side.SELL, lots=80))
    assert bench.written(VenuePlace)


def test_new_lots_do_not_let_an_older_life_speak_again(bench: Bench) -> None:
    row = finer(bench)
    bench.hello(OTHER)
    bench.send(FromHolder(HOLDER, HolderHello(bench.venue, SYMBOL, HOLDER, "gw@1", row.steps)))
    assert not bench.told(HolderState)


def test_parts_of_a_coarser_lot_are_kept_as_dust() -> None:
    bench = Bench("binance_spot").start()
    bench.hello()
    bench.fill(bench.live(lots=14), 14)
    row = msgspec.structs.replace(instrument(venue=bench.venue), lot_size="0.01")
    bench.send(Instruments(bench.venue, 2, (row,)))

    account = bench.engine.core.ledger.account(SYMBOL)
    assert (account.lots, account.dust) == (1, Decimal("0.004"))


# --- risk -----------------------------------------------------------------------------------------------------


def test_expired_account_lease_cancels_everything_and_closes() -> None:
    bench = Bench(countdown_ms=10_000).start()
    bench.hello()
    bench.live()
    assert bench.written(VenueCountdown, bench.later(100))
    bench.risk_answers = False
    out = bench.later(4_000)

    assert bench.engine.closed_reason == "account lease expired"
    assert bench.written(VenueCancel, out)
    assert not bench.written(VenueCountdown, bench.later(10_000))
    bench.say(bench.order())
    assert not bench.written(VenuePlace)


def armed(bench: Bench) -> VenuePlace:
    bench.hello()
    place = bench.live()
    assert [request.countdown_ms for request in bench.written(VenueCountdown, bench.later(100))] == [10_000]
    return place


def test_timer_is_turned_off_when_somebody_elses_order_comes() -> None:
    """It would cancel all orders of the symbol."""
    bench = Bench(countdown_ms=10_000).start()
    armed(bench)
    bench.send(VenueOrder(0, SYMBOL, "web_abc", "v77", Side.BUY, OrderState.OPEN, MID - 50, 5, 0, 9))
    out = bench.later(1_500)

    assert [request.countdown_ms for request in bench.written(VenueCountdown, out)] == [0]


def test_timer_is_turned_off_before_it_ends_when_nothing_of_ours_lives() -> None:
    bench = Bench(countdown_ms=10_000).start()
    place = armed(bench)
    bench.send(
        VenueOrder(0, SYMBOL, place.client_id, "", Side.BUY, OrderState.CANCELLED, place.price_ticks, place.lots, 0, 9)
    )
    (off,) = bench.written(VenueCountdown, bench.later(9_000))
    assert off.countdown_ms == 0
    bench.reject(off, FaultKind.BUSY)

    assert bench.written(VenueCountdown, bench.later(4_000))


def test_timers_of_many_symbols_run_on_while_all_orders_go_and_come_again() -> None:
    """Turning fifty off and on is a fifth of the minute's weight each time, which cancels would lack."""
    symbols = (SYMBOL, *(f"A{number}USDT" for number in range(49)))
    bench = Bench(countdown_ms=10_000, symbols=symbols).start()
    for symbol in symbols:
        bench.hello(symbol=symbol)
        bench.ack(bench.place(symbol=symbol))
    bench.later(100)
    assert len(bench.engine.countdowns._armed) == 50
    bench.requests.clear()
    for order in bench.engine.live_orders():
        bench.send(VenueOrder(0, order.symbol, order.client_id, "", order.side, OrderState.CANCELLED, 1, 10, 0, 9))
    assert not bench.engine.live_orders()
    bench.later(10_000)

    assert not [request for request in bench.requests if isinstance(request, VenueCountdown)]


def test_ttl_runs_from_the_request_not_from_the_answer(bench: Bench) -> None:
    bench.risk_answers = False
    bench.later(600)
    request = bench.reported(AccountLeaseRequest, bench.out)[-1]
    sent_ns = bench.now_ns
    bench.now_ns += 1_500 * NS_PER_MS
    bench.lease(request.request_no)
    assert bench.engine.gate.expires_ns <= sent_ns + 2_000 * NS_PER_MS


def test_unasked_lease_tightens_and_gains_no_time(bench: Bench) -> None:
    before = bench.engine.gate.expires_ns
    bench.live()
    bench.lease(0, state=RiskState.CIRCUIT_BREAKER)

    assert bench.engine.gate.expires_ns == before
    assert bench.written(VenueCancel)
    assert bench.engine.closed_reason == "CIRCUIT_BREAKER"


def test_reduce_only_lets_a_position_shrink_and_no_further(bench: Bench) -> None:
    bench.fill(bench.live(), 10)
    bench.lease(0, state=RiskState.REDUCE_ONLY)
    bench.say(bench.order(Side.BUY, lots=1))
    assert bench.told(OrderUpdate)[0].state is OrderState.REJECTED
    bench.say(bench.order(Side.SELL, lots=11))
    assert bench.told(OrderUpdate)[0].state is OrderState.REJECTED
    bench.say(bench.order(Side.SELL, lots=10))
    assert bench.written(VenuePlace)


def test_halted_symbol_is_pulled_and_refused(bench: Bench) -> None:
    bench.live()
    bench.lease(0, halted_symbols=(SYMBOL,))
    assert bench.written(VenueCancel)
    bench.say(bench.order())
    assert "halted" in bench.told(OrderUpdate)[0].reason


def test_kill_cancels_from_the_reserve_and_latches_by_term(bench: Bench) -> None:
    first = bench.live()
    for window in bench.engine.core.budget.windows.values():
        window.forget(bench.now_ns)
        window.take(window.caps[Urgency.CANCEL] - window.used, bench.now_ns)  # nothing left for cancels
    bench.say(CancelOrder(bench.venue, SYMBOL, HOLDER, 1))
    assert not bench.written(VenueCancel)
    bench.send(FromRisk(Kill(bench.venue, 1, reason="operator")))
    assert [cancel.client_id for cancel in bench.written(VenueCancel)] == [first.client_id]

    bench.lease(0)  # the same term cannot lift it
    assert bench.engine.closed_reason == "killed: operator"
    bench.term = 2
    bench.later(600)
    assert bench.engine.is_open


def test_new_term_refuses_tokens_of_the_old_one(bench: Bench) -> None:
    bench.term = 2
    bench.lease(0)
    bench.say(bench.order(token=bench.token(term=1)))
    assert "token of term 1, now 2" in bench.told(OrderUpdate)[0].reason
    bench.term = 1
    assert bench.engine.gate.term == 2
    bench.lease(0, state=RiskState.FULL_STOP)
    assert bench.engine.is_open, "a lease of an older term says nothing"


def test_fence_is_confirmed_at_once_when_all_fits(bench: Bench) -> None:
    bench.live()
    bench.lease(0, fences=(fence(5, 10, 0),))

    assert not bench.written(VenueCancel)
    (request,) = bench.reported(AccountLeaseRequest)
    assert request.symbols[0].fenced_no == 5


def test_fence_cancels_what_does_not_fit_and_is_confirmed_afterwards(bench: Bench) -> None:
    buy, sell = bench.live(Side.BUY), bench.live(Side.SELL)
    bench.lease(0, fences=(fence(5, 9, 10),))

    (cancel,) = bench.written(VenueCancel)
    assert cancel.client_id == buy.client_id
    assert bench.engine.exposure(SYMBOL).fenced_no == 0
    bench.ack(cancel)
    assert bench.engine.exposure(SYMBOL).fenced_no == 5
    assert bench.reported(AccountLeaseRequest)
    assert bench.state(sell) is OrderState.OPEN


def test_unacked_fills_are_sent_again_when_risk_is_back(bench: Bench) -> None:
    from actors.gateway.commands import RiskLink

    request = bench.live()
    bench.fill(request, 1)
    bench.send(RiskLink(False))
    bench.fill(request, 2)
    assert not bench.reported(Fill)
    bench.send(RiskLink(True))
    number = bench.reported(AccountLeaseRequest)[0].request_no
    bench.lease(number, acked_fill_no=1)

    assert [fill.fill_no for fill in bench.reported(Fill)] == [2]
    bench.send(FromRisk(FillsAgain(bench.venue, 1)))
    assert [fill.fill_no for fill in bench.reported(Fill)] == [1, 2]


def test_a_fill_that_risk_missed_is_told_before_the_position_it_made(bench: Bench) -> None:
    from actors.gateway.commands import RiskLink, ToRisk

    request = bench.live()
    bench.send(RiskLink(False))
    bench.fill(request, 2)
    out = bench.send(RiskLink(True))
    told = [type(c.message) for c in out if isinstance(c, ToRisk)]
    assert told.index(Fill) < told.index(AccountLeaseRequest)


def test_next_block_is_asked_for_at_four_fifths() -> None:
    bench = Bench().start()
    bench.hello()
    for _ in range(799):
        bench.engine.ids.take()
    assert not bench.reported(BlockRequest, bench.later(50))
    bench.engine.ids.take()
    assert bench.reported(BlockRequest, bench.later(50))


# --- the venue goes and comes ---------------------------------------------------------------------------------


def test_private_stream_down_pulls_quotes_and_reconciles_on_return(bench: Bench) -> None:
    request = bench.live()
    bench.send(StreamDown(StreamKind.PRIVATE, "closed"))
    (cancel,) = bench.written(VenueCancel)
    assert [state.complete for state in bench.told(HolderState)] == [False]

    bench.send(StreamUp(StreamKind.PRIVATE, 2))
    missed = bench.fill_of(request, 3, 55)
    out = bench.answer_queries(trades={SYMBOL: (missed,)}, positions=(Position(SYMBOL, 3, float(MID)),))
    assert [fill.lots for fill in bench.reported(Fill, out)] == [3]
    bench.ack(cancel, filled=3)
    assert bench.engine.exposure(SYMBOL).open_buy_lots == 0
    assert bench.engine.is_open


def test_position_that_stays_different_is_adopted(bench: Bench) -> None:
    """A fill may be in the list before it is on the stream: only a difference that stays is one."""
    venue_says = (Position(SYMBOL, 2, float(MID)),)
    bench.now_ns += 30_001 * NS_PER_MS
    bench.send(Tick())
    out = bench.answer_queries(positions=venue_says)
    for _ in range(3):
        bench.now_ns += 300 * NS_PER_MS
        bench.send(Tick())
        out += bench.answer_queries(positions=venue_says)

    assert len(bench.written(VenueTradesQuery, out)) == 1
    assert len(bench.written(VenuePositionsQuery, out)) == 2
    (adjust,) = bench.reported(PositionAdjust, out)
    assert (adjust.position_lots, adjust.asset, adjust.amount) == (2, "BTC", "0.002")
    assert bench.engine.core.counters["position_mismatches"] == 1


def test_fill_that_the_stream_brings_late_is_no_mismatch(bench: Bench) -> None:
    request = bench.live()
    bench.now_ns += 30_001 * NS_PER_MS
    bench.send(Tick())
    bench.answer_queries(positions=(Position(SYMBOL, 3, float(MID)),))
    bench.fill(request, 3)
    bench.now_ns += 300 * NS_PER_MS
    bench.send(Tick())
    bench.answer_queries(positions=(Position(SYMBOL, 3, float(MID)),))

    assert bench.engine.exposure(SYMBOL).position_lots == 3
    assert bench.engine.core.counters["position_mismatches"] == 0


def test_rate_limit_answer_stops_orders_until_then(bench: Bench) -> None:
    bench.reject(bench.place(), FaultKind.RATE_LIMIT, retry_after_ms=1_000)
    bench.say(bench.order())
    assert not bench.written(VenuePlace)
    assert bench.written(VenuePlace, bench.later(1_100))


@pytest.mark.parametrize(("code", "cancels_go_on"), [(-1015, True), (-1003, False)])
def test_too_many_new_orders_stop_orders_and_not_what_pulls_them(bench: Bench, code: int, cancels_go_on: bool) -> None:
    live = bench.live()
    place = bench.place(slot=2)
    bench.send(VenueReject(place.request_no, FaultKind.RATE_LIMIT, code, "too many", retry_after_ms=8_000))
    bench.say(bench.order(slot=2))
    assert not bench.written(VenuePlace)
    bench.send(FromRisk(Kill(bench.venue, 1, reason="operator")))
    assert [cancel.client_id for cancel in bench.written(VenueCancel)] == [live.client_id] * cancels_go_on


def test_refused_key_closes_for_good(bench: Bench) -> None:
    bench.reject(bench.place(), FaultKind.AUTH)
    assert "refuses our key" in bench.engine.closed_reason


def test_foreign_fill_moves_the_position_and_is_told(bench: Bench) -> None:
    request = VenuePlace(0, SYMBOL, "autoclose-1", Side.SELL, MID, 5)
    bench.fill(request, 5, system=True)

    (fill,) = bench.reported(Fill)
    assert (fill.foreign, fill.position_lots) == (True, -5)
    assert bench.told(Fill) == [fill]


def test_fee_in_the_base_coin_takes_a_lot_once_it_adds_up() -> None:
    bench = Bench("binance_spot").start()
    bench.hello()
    request = bench.live()
    bench.fill(request, 5, fee="0.000005", fee_asset="BTC")

    (adjust,) = bench.reported(PositionAdjust)
    assert adjust.position_lots == 4  # 4.995 lots can be sold as 4
    bench.fill(request, 5, fee="0.000005", fee_asset="BTC")
    assert not bench.reported(PositionAdjust)
    assert bench.engine.exposure(SYMBOL).position_lots == 9


# --- the end --------------------------------------------------------------------------------------------------


def test_fee_in_another_coin_that_we_trade_is_taken_from_its_symbol() -> None:
    held = (Position("BTCUSDT", 5, 0.0), Position("BNBUSDT", 1_000, 0.0))
    bench = Bench("binance_spot", ("BTCUSDT", "BNBUSDT")).start(positions=held)
    bench.hello()
    bench.fill(bench.live(), 3, fee="0.005", fee_asset="BNB")

    (adjust,) = bench.reported(PositionAdjust)
    assert (adjust.symbol, adjust.position_lots, adjust.amount, adjust.reason) == (
        "BNBUSDT",
        -5,
        "-0.005",
        "fee in base",
    )
    assert bench.engine.exposure("BTCUSDT").position_lots == 3


def test_stop_cancels_all_and_says_when_nothing_lives(bench: Bench) -> None:
    request = bench.live()
    bench.send(StopAsked("operator"))
    (cancel,) = bench.written(VenueCancel)
    assert not any(isinstance(c, Stopped) for c in bench.out)
    bench.ack(cancel)
    assert any(isinstance(c, Stopped) for c in bench.out)
    assert bench.state(request) is OrderState.CANCELLED


def test_same_events_give_the_same_commands() -> None:
    def run() -> list[object]:
        bench = Bench(symbols=("BTCUSDT", "ETHUSDT")).start()
        bench.hello()
        found: list[object] = []
        for number in range(40):
            found += bench.say(bench.order(Side.BUY if number % 2 else Side.SELL, lots=1 + number % 3))
            for place in bench.written(VenuePlace):
                found += bench.ack(place)
            found += bench.later(30)
        return found

    assert run() == run()
