"""Event scripts: situation in, list of commands out."""

from __future__ import annotations

import pytest

from actors.quote.engine import QuoteEngine
from actors.quote.events import Backlog, FeedLink, GatewayLink, InstrumentRow, RiskLink, Timer
from actors.vocab.control import Instruments, Stop
from actors.vocab.leases import LeaseRelease, LeaseRequest, RiskState
from actors.vocab.market import BookState, Side, TradeFlow, WarmUp
from actors.vocab.opinions import RegimeView, RiskView, SignalInputs
from actors.vocab.orders import (
    CHANGES_FULL,
    CancelAll,
    CancelOrder,
    Cause,
    FillsAgain,
    HolderHello,
    LeasedOrder,
    LeasedReplace,
    OrderState,
    PositionAdjust,
)
from actors.vocab.reasons import Reason
from tests.quote.stage import (
    BTC,
    GATEWAY,
    HOLDER,
    MS,
    SYMBOL,
    T0,
    VENUE,
    answer,
    book,
    by_side,
    engine,
    fill,
    grant,
    holder_state,
    orders,
    quoting,
    ready,
    renewed,
    replaces,
    settings,
    update,
)

PULLED = CancelAll(VENUE, SYMBOL, HOLDER, "no lease expired")
GREETING = HolderHello(VENUE, SYMBOL, HOLDER, GATEWAY, BTC.steps)


def why(quoter: QuoteEngine, side: Side = Side.BUY) -> Reason:
    return quoter.reasons()[side][0]


def withdrawn(commands: list[object]) -> list[CancelOrder]:
    return [each for each in commands if isinstance(each, CancelOrder)]


def kinds(commands: list[object]) -> list[str]:
    return [type(command).__name__ for command in commands]


# --- the start ---------------------------------------------------------------------------------------------------


def test_each_missing_thing_is_the_reason_until_both_sides_quote() -> None:
    quoter = engine(fleet=settings(warm_up_updates=2))
    seen = [quoter.reasons()[Side.BUY]]

    quoter.handle(Timer(), T0)
    seen.append(quoter.reasons()[Side.BUY])
    quoter.handle(InstrumentRow(BTC), T0)
    seen.append(quoter.reasons()[Side.BUY])
    assert quoter.handle(GatewayLink(True, GATEWAY), T0) == [GREETING]
    quoter.handle(Timer(), T0)
    seen.append(quoter.reasons()[Side.BUY])
    quoter.handle(holder_state(), T0)
    seen.append(quoter.reasons()[Side.BUY])
    quoter.handle(book(1, T0, state=BookState.SYNCING), T0)
    quoter.handle(Timer(), T0 + 300 * MS)
    seen.append(quoter.reasons()[Side.BUY])
    quoter.handle(book(2, T0), T0)
    seen.append(quoter.reasons()[Side.BUY])
    quoter.handle(book(3, T0), T0)
    seen.append(quoter.reasons()[Side.BUY])
    requests = quoter.handle(RiskLink(True), T0)
    assert kinds(requests) == ["LeaseRequest"]
    placed = renewed(quoter, requests, T0)
    seen.append(quoter.reasons()[Side.BUY])
    answer(quoter, placed, T0)
    seen.append(quoter.reasons()[Side.BUY])

    assert seen == [
        (Reason.STARTING, "nothing received yet"),
        (Reason.STARTING, "instrument not known yet"),
        (Reason.NO_GATEWAY, "no link"),
        (Reason.NOT_RECONCILED, "gateway has not told position and orders yet"),
        (Reason.NO_BOOK, "nothing received yet"),
        (Reason.BOOK_SYNCING, "for 0.3 s"),
        (Reason.WARM_UP, "1/2"),
        (Reason.NO_LEASE, "risk is down"),
        (Reason.STARTING, "order on its way"),
        (Reason.QUOTING, ""),
    ]


def test_first_quotes_cover_fees_and_stay_on_the_grid() -> None:
    """Floor 2 * (2.0 + 0.5) = 5 bps in all; the model at the least volatility wants less: 2.67 bps."""
    quoter = engine()
    ready(quoter)

    placed = orders(quoter.handle(book(1, T0), T0))

    assert [(order.side, order.slot, order.price_ticks, order.lots) for order in placed] == [
        (Side.BUY, 0, 599_850, 4),  # 600 000 * (1 - 2.5 bps)
        (Side.SELL, 1, 600_150, 4),
    ]
    assert all(order.post_only and not order.reduce_only and order.cause is Cause.BOOK for order in placed)
    assert all(order.recv_ns == T0 - 100_000 and order.age_us == 100 for order in placed)
    assert len({order.ref for order in placed}) == 2


def test_first_lease_request_tells_what_the_ladder_would_like() -> None:
    quoter = engine()
    quoter.handle(InstrumentRow(BTC), T0)
    quoter.handle(book(1, T0), T0)
    quoter.handle(GatewayLink(True, GATEWAY), T0)
    quoter.handle(RiskLink(True), T0)

    request = quoter.handle(holder_state(position=4, fill_no=17), T0)[0]

    assert request == LeaseRequest(VENUE, SYMBOL, HOLDER, 1, 4, 12, 4, 17, 600_000.0, steps=BTC.steps)


def test_spot_never_asks_to_be_short() -> None:
    import msgspec

    quoter = engine()
    quoter.handle(InstrumentRow(msgspec.structs.replace(BTC, market="spot")), T0)
    quoter.handle(book(1, T0), T0)
    quoter.handle(GatewayLink(True, GATEWAY), T0)
    quoter.handle(RiskLink(True), T0)

    request = quoter.handle(holder_state(position=4), T0)[0]

    assert isinstance(request, LeaseRequest)
    assert (request.want_long_lots, request.want_short_lots) == (12, 0)


def test_spot_asks_to_be_as_short_as_it_has_coins() -> None:
    import msgspec

    quoter = engine()
    quoter.handle(InstrumentRow(msgspec.structs.replace(BTC, market="spot")), T0)
    quoter.handle(book(1, T0), T0)
    quoter.handle(GatewayLink(True, GATEWAY), T0)
    quoter.handle(RiskLink(True), T0)

    request = quoter.handle(holder_state(stock_lots=6), T0)[0]

    assert isinstance(request, LeaseRequest)
    assert (request.want_long_lots, request.want_short_lots) == (8, 6)


def test_restart_adopts_the_gateways_truth_and_counts_dying_orders() -> None:
    """Orders of the former life still count: with 30 dying buys only 2 of the cap's 33 lots of room are left."""
    quoter = engine()
    ready(quoter, position=1, fill_no=9, dying_buy_lots=30)

    placed = orders(quoter.handle(book(1, T0), T0))

    assert quoter.position.lots == 1
    assert quoter.position.last_fill_no == 9
    assert {order.side: order.lots for order in placed} == {Side.BUY: 2, Side.SELL: 4}
    assert GREETING in quoter.handle(Timer(), T0 + 1000 * MS)


# --- the lease ---------------------------------------------------------------------------------------------------


def test_expired_lease_cancels_both_sides_and_places_nothing() -> None:
    quoter = quoting()
    assert quoter.handle(book(2, T0 + 1_900 * MS, beat=True), T0 + 1_900 * MS) == []

    assert quoter.handle(book(3, T0 + 2_000 * MS, 599_000, 599_010), T0 + 2_000 * MS) == [PULLED]
    assert why(quoter) is Reason.NO_LEASE
    assert quoter.handle(book(4, T0 + 2_001 * MS, 598_000, 598_010), T0 + 2_001 * MS) == []


def test_time_alone_pulls_the_quotes() -> None:
    quoter = quoting()
    quoter.handle(book(2, T0 + 1_900 * MS, beat=True), T0 + 1_900 * MS)
    quoter.handle(RiskLink(False), T0 + 1_900 * MS)

    commands = quoter.handle(Timer(), T0 + 2_000 * MS)

    assert commands == [CancelAll(VENUE, SYMBOL, HOLDER, "no lease expired, risk is down")]


def test_withdrawal_without_an_answer_is_repeated() -> None:
    quoter = quoting()
    quoter.handle(RiskLink(False), T0)
    quoter.handle(Timer(), T0 + 3_000 * MS)

    assert quoter.handle(Timer(), T0 + 3_900 * MS) == []
    assert kinds(quoter.handle(Timer(), T0 + 4_000 * MS)) == ["CancelAll"]
    answer(quoter, [PULLED], T0 + 4_100 * MS)
    assert quoter.handle(Timer(), T0 + 6_000 * MS) == []


def test_lease_is_renewed_every_interval() -> None:
    quoter = quoting()

    assert quoter.handle(Timer(), T0 + 400 * MS) == []
    request = quoter.handle(Timer(), T0 + 500 * MS)[0]
    assert isinstance(request, LeaseRequest)
    assert request.mid_ticks == 600_000.0
    renewed(quoter, [request], T0 + 501 * MS)
    assert quoter.wallet.lease_left_ms(T0 + 501 * MS) == 1_999  # from when the request was sent


def test_smaller_envelope_shrinks_what_is_live() -> None:
    quoter = quoting()

    commands = quoter.handle(grant(0, grant_no=2, long_lots=2), T0 + 10 * MS)

    assert commands == [CancelOrder(VENUE, SYMBOL, HOLDER, quoter.own.by_slot[0].ref, Cause.LEASE)]
    assert by_side(answer(quoter, commands, T0 + 11 * MS)) == [(Side.BUY, 599_850, 2)]


def test_empty_envelope_withdraws_its_side_only() -> None:
    quoter = quoting()

    commands = quoter.handle(grant(0, grant_no=2, long_lots=0), T0 + 10 * MS)

    assert kinds(commands) == ["CancelOrder"]
    answer(quoter, commands, T0 + 11 * MS)
    assert quoter.reasons() == {
        Side.BUY: (Reason.LEASE_FULL, "position 0, lease 0, room 0 lots"),
        Side.SELL: (Reason.QUOTING, ""),
    }


@pytest.mark.parametrize("state", [RiskState.CIRCUIT_BREAKER, RiskState.FULL_STOP])
def test_a_halt_pulls_everything_at_once(state: RiskState) -> None:
    quoter = quoting()

    commands = quoter.handle(grant(0, grant_no=2, state=state, reason="price move 5.1 %"), T0 + 10 * MS)

    assert commands == [CancelAll(VENUE, SYMBOL, HOLDER, f"{state.name} price move 5.1 %")]
    assert quoter.reasons()[Side.SELL] == (Reason[state.name], "price move 5.1 %")


def test_reduce_only_keeps_the_side_that_shrinks_the_position() -> None:
    quoter = quoting(position=3)

    commands = quoter.handle(grant(0, grant_no=2, state=RiskState.REDUCE_ONLY, reason="limit"), T0 + 10 * MS)

    assert kinds(commands) == ["CancelOrder", "CancelOrder"]
    placed = answer(quoter, commands, T0 + 11 * MS)
    assert [(order.side, order.lots, order.reduce_only) for order in orders(placed)] == [(Side.SELL, 3, True)]
    answer(quoter, placed, T0 + 12 * MS)
    assert quoter.reasons() == {Side.BUY: (Reason.REDUCE_ONLY, "limit"), Side.SELL: (Reason.QUOTING, "limit")}


def test_reduce_only_without_a_position_quotes_nothing() -> None:
    quoter = quoting()

    commands = quoter.handle(grant(0, grant_no=2, state=RiskState.REDUCE_ONLY), T0 + 10 * MS)

    assert kinds(commands) == ["CancelOrder", "CancelOrder"]


def test_orders_of_reduce_only_say_so_to_the_venue() -> None:
    quoter = engine()
    ready(quoter, position=3)
    quoter.handle(grant(0, grant_no=2, state=RiskState.REDUCE_ONLY), T0)

    placed = orders(quoter.handle(book(1, T0), T0))

    assert [(order.side, order.lots, order.reduce_only) for order in placed] == [(Side.SELL, 3, True)]


def test_warning_cuts_sizes_and_says_so() -> None:
    quoter = engine()
    ready(quoter)
    quoter.handle(grant(0, grant_no=2, state=RiskState.WARNING, reason="80 %", quantity_factor=0.5), T0)

    commands = quoter.handle(book(1, T0), T0)
    answer(quoter, commands, T0)

    assert [order.lots for order in orders(commands)] == [2, 2]
    assert quoter.reasons()[Side.BUY] == (Reason.QUOTING, "80 %")


def test_grant_of_another_life_is_ignored() -> None:
    quoter = engine()
    ready(quoter)
    other = grant(0, grant_no=9)
    import msgspec

    stranger = msgspec.structs.replace(other, token=msgspec.structs.replace(other.token, holder="quote:BTCUSDT-0"))

    assert quoter.handle(stranger, T0) == []
    assert quoter.counters.strays == 1


# --- the book ----------------------------------------------------------------------------------------------------


def test_two_missed_beats_pull_the_quotes() -> None:
    quoter = quoting()

    assert quoter.handle(Timer(), T0 + 600 * MS)[0].__class__ is LeaseRequest
    assert why(quoter) is Reason.QUOTING
    commands = quoter.handle(Timer(), T0 + 700 * MS)

    assert kinds(commands) == ["CancelAll"]
    assert quoter.reasons()[Side.BUY] == (Reason.BOOK_STALE, "feed silent for 0.7 s")


def test_beats_keep_a_quiet_book_alive() -> None:
    quoter = quoting()
    for step in range(1, 8):
        now_ns = T0 + step * 250 * MS
        assert quoter.handle(book(1 + step, now_ns, beat=True, age_us=step * 250_000), now_ns) == []

    assert why(quoter) is Reason.QUOTING


def test_a_frame_that_took_too_long_is_not_quoted_on() -> None:
    quoter = quoting()

    commands = quoter.handle(book(2, T0 + 100 * MS, age_us=1_600_000), T0 + 100 * MS)

    assert kinds(commands) == ["CancelAll"]
    assert quoter.reasons()[Side.SELL] == (Reason.BOOK_STALE, "frame 1.6 s old")


def test_stamps_of_another_host_are_not_compared() -> None:
    quoter = quoting()
    quoter.handle(FeedLink(VENUE, up=True, same_host=False), T0)
    foreign = book(2, T0 + 10 * MS, 599_000, 599_010, age_us=500)
    import msgspec

    foreign = msgspec.structs.replace(foreign, recv_ns=7)

    commands = replaces(quoter.handle(foreign, T0 + 10 * MS))

    assert [command.age_us for command in commands] == [500]


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (BookState.SYNCING, Reason.BOOK_SYNCING),
        (BookState.STALE, Reason.BOOK_STALE),
        (BookState.CROSSED, Reason.BOOK_CROSSED),
        (BookState.PARTIAL, Reason.BOOK_PARTIAL),
        (BookState.DOWN, Reason.FEED_DOWN),
    ],
)
def test_a_book_in_doubt_pulls_the_quotes(state: BookState, reason: Reason) -> None:
    quoter = quoting()

    assert kinds(quoter.handle(book(2, T0 + MS, state=state), T0 + MS)) == ["CancelAll"]
    assert why(quoter) is reason


def test_crossed_prices_pull_the_quotes_whatever_the_feed_says() -> None:
    quoter = quoting()

    assert kinds(quoter.handle(book(2, T0 + MS, 600_010, 600_010), T0 + MS)) == ["CancelAll"]
    assert why(quoter) is Reason.BOOK_CROSSED


def test_empty_side_pulls_the_quotes() -> None:
    quoter = quoting()

    assert kinds(quoter.handle(book(2, T0 + MS, bids=()), T0 + MS)) == ["CancelAll"]
    assert why(quoter) is Reason.NO_BOOK


def test_feed_gone_pulls_the_quotes_and_a_new_one_warms_up_again() -> None:
    quoter = quoting()

    assert kinds(quoter.handle(FeedLink(VENUE, up=False), T0 + MS)) == ["CancelAll"]
    assert why(quoter) is Reason.FEED_DOWN
    quoter.handle(FeedLink(VENUE, up=True), T0 + 2 * MS)
    assert why(quoter) is Reason.NO_BOOK
    assert quoter._book.updates_count == 0


def test_lost_updates_are_counted_and_a_new_publisher_is_no_hole() -> None:
    quoter = quoting()
    quoter.handle(book(5, T0 + MS), T0 + MS)
    quoter.handle(book(1, T0 + 2 * MS), T0 + 2 * MS)

    assert quoter.status(T0 + 3 * MS)["seq_holes"] == 3


def test_backlog_is_decided_once_and_measured_from_its_oldest_frame() -> None:
    quoter = quoting()
    late = T0 + 50 * MS
    backlog = Backlog((book(2, T0 + 10 * MS, 599_500, 599_510), book(3, T0 + 40 * MS, 599_000, 599_010)))

    commands = replaces(quoter.handle(backlog, late))

    assert {command.recv_ns for command in commands} == {T0 + 10 * MS - 100_000}
    assert quoter.decided_recv_ns == T0 + 10 * MS - 100_000


def test_same_prices_and_sizes_are_not_decided_again() -> None:
    quoter = quoting()
    quoter.handle(book(2, T0 + MS), T0 + MS)
    decisions = quoter.counters.decisions

    assert quoter.handle(book(3, T0 + 2 * MS), T0 + 2 * MS) == []
    assert quoter.counters.decisions == decisions
    assert quoter.decided_recv_ns == 0


def test_our_own_quotes_do_not_move_the_fair_price() -> None:
    """We are the best bid and ask inside a wide market: the fair price is the others' mid."""
    quoter = quoting()
    bid, ask = (order.price_ticks for order in quoter.own.by_slot.values())

    commands = quoter.handle(book(2, T0 + MS, bids=((bid, 4), (590_000, 9)), asks=((ask, 4), (610_000, 9))), T0 + MS)

    assert commands == []
    assert quoter.status(T0)["fair"] == pytest.approx(60_000.0)


def test_our_own_quotes_do_not_move_the_volatility() -> None:
    """A narrow market where our bid comes and goes above the others' best one."""
    found = []
    for inside in (600_002, 599_995):
        quoter = quoting(fleet=settings(volatility_sample_ms=0))
        own = quoter.own.by_slot[0]
        for number in range(2, 40):
            now_ns = T0 + number * 300 * MS
            own.price_ticks, quoter.own.version = inside, quoter.own.version + 1
            bids = ((600_002, own.lots), (599_995, 1000)) if inside == 600_002 and number % 2 else ((599_995, 1000),)
            quoter.handle(book(number, now_ns, bids=bids), now_ns)
        found.append(quoter.status(now_ns)["volatility_bps"])
    assert found[0] == found[1]


def test_a_public_book_without_us_is_taken_as_it_is() -> None:
    quoter = quoting(own_in_book=False)
    bid, _ask = (order.price_ticks for order in quoter.own.by_slot.values())

    quoter.handle(book(2, T0 + MS, bids=((bid, 4), (590_000, 9))), T0 + MS)

    assert quoter.status(T0)["fair"] == pytest.approx((bid + 600_005) / 20)


# --- orders and fills -----------------------------------------------------------------------------------------------


def test_quotes_follow_the_market_by_replaces_dangerous_side_first() -> None:
    """The market falls 4 bps: our bid is now too tight, our ask only too wide."""
    quoter = quoting()

    commands = quoter.handle(book(2, T0 + 1_100 * MS, 599_755, 599_765), T0 + 1_100 * MS)

    moved = replaces(commands)
    assert [(command.side, command.price_ticks) for command in moved] == [(Side.BUY, 599_610), (Side.SELL, 599_910)]
    assert moved[0].value_usd == 4 * moved[1].value_usd
    assert not orders(commands)


def test_a_side_waits_until_the_other_is_out_of_its_way() -> None:
    """The market falls 10 bps: the new ask would meet our own old bid, so it follows the bid's answer."""
    quoter = quoting()

    commands = quoter.handle(book(2, T0 + 1_100 * MS, 599_395, 599_405), T0 + 1_100 * MS)
    assert [(command.side, command.price_ticks) for command in replaces(commands)] == [(Side.BUY, 599_250)]
    assert quoter.counters.cross_waits == 1

    then = answer(quoter, commands, T0 + 1_101 * MS)
    assert [(command.side, command.price_ticks) for command in replaces(then)] == [(Side.SELL, 599_550)]


def test_small_moves_leave_the_queue_place_alone() -> None:
    quoter = quoting()

    assert quoter.handle(book(2, T0 + 1_100 * MS, 600_015, 600_025), T0 + 1_100 * MS) == []


def test_a_slot_is_not_changed_twice_within_the_refresh_interval() -> None:
    quoter = quoting()
    answer(quoter, quoter.handle(book(2, T0 + 1_100 * MS, 599_395, 599_405), T0 + 1_100 * MS), T0 + 1_100 * MS)

    soon = quoter.handle(book(3, T0 + 1_200 * MS, 599_295, 599_305), T0 + 1_200 * MS)

    assert replaces(soon) == []


def test_a_filled_side_is_quoted_again_at_once_and_both_lean() -> None:
    quoter = quoting()
    bid = quoter.own.by_slot[0]

    commands = quoter.handle(fill(1, bid.ref, Side.BUY, bid.price_ticks, 4, 4), T0 + 30 * MS)

    assert quoter.position.lots == 4
    again = orders(commands)
    assert [(order.side, order.slot, order.lots, order.cause) for order in again] == [(Side.BUY, 0, 4, Cause.FILL)]
    assert again[0].recv_ns == 0
    wanted = [command for command in commands if isinstance(command, LeaseRequest)]
    assert [(request.want_long_lots, request.last_fill_no) for request in wanted] == [(12, 1)]


def test_fill_and_its_order_state_count_once_in_either_order() -> None:
    for state_first in (True, False):
        quoter = quoting()
        bid = quoter.own.by_slot[0]
        messages = [
            update(bid.ref, OrderState.PARTLY_FILLED, price=bid.price_ticks, lots=4, filled=3),
            fill(1, bid.ref, Side.BUY, bid.price_ticks, 3, 3),
        ]
        for message in messages if state_first else reversed(messages):
            quoter.handle(message, T0 + MS)
            # Position and what may still fill never fall short of four lots bought.
            assert quoter.position.lots + quoter.own.exposed_lots(Side.BUY) >= 4

        assert quoter.position.lots == 3
        assert bid.rest_lots == bid.exposed_lots == 1


def test_a_filled_order_counts_until_its_fill_has_come() -> None:
    quoter = quoting()
    bid = quoter.own.by_slot[0]

    quoter.handle(update(bid.ref, OrderState.FILLED, price=bid.price_ticks, lots=4, filled=4), T0 + MS)
    assert quoter.own.exposed_lots(Side.BUY) == 8  # four owed, four quoted again
    quoter.handle(fill(1, bid.ref, Side.BUY, bid.price_ticks, 4, 4), T0 + 2 * MS)

    assert quoter.own.exposed_lots(Side.BUY) == 4
    assert quoter.position.lots == 4


def test_owed_fill_that_does_not_come_is_asked_for() -> None:
    quoter = quoting()
    bid = quoter.own.by_slot[0]
    quoter.handle(update(bid.ref, OrderState.FILLED, price=bid.price_ticks, lots=4, filled=4), T0)
    for step in range(1, 6):
        commands = quoter.handle(book(1 + step, T0 + step * 250 * MS, beat=True), T0 + step * 250 * MS)

    commands = quoter.handle(Timer(), T0 + 1_250 * MS)
    assert GREETING in commands
    quoter.handle(holder_state(position=4, fill_no=1, open_refs=tuple(quoter.own.by_ref)), T0 + 1_251 * MS)

    assert quoter.position.lots == 4
    assert quoter.own.owed_since_ns == 0


def test_hole_in_the_fills_adopts_the_position_and_asks_for_the_missing_one() -> None:
    quoter = quoting()
    bid = quoter.own.by_slot[0]

    commands = quoter.handle(fill(3, bid.ref, Side.BUY, bid.price_ticks, 1, 3, prev_no=2), T0 + MS)
    assert commands[0] == FillsAgain(VENUE, 1)
    assert quoter.position.lots == 3

    quoter.handle(fill(2, bid.ref, Side.BUY, bid.price_ticks, 2, 2, prev_no=0), T0 + 2 * MS)
    assert quoter.position.lots == 3  # it was in there already
    assert quoter.counters.fills_repaired == 1
    assert bid.booked_lots == 3
    quoter.handle(fill(2, bid.ref, Side.BUY, bid.price_ticks, 2, 2, prev_no=0), T0 + 3 * MS)
    assert bid.booked_lots == 3


def test_same_fill_twice_counts_once() -> None:
    quoter = quoting()
    bid = quoter.own.by_slot[0]
    one = fill(1, bid.ref, Side.BUY, bid.price_ticks, 1, 1)
    quoter.handle(one, T0 + MS)

    assert quoter.handle(one, T0 + MS) == []
    assert (quoter.position.lots, quoter.counters.fills) == (1, 1)


def test_foreign_fill_and_adjustment_move_the_position() -> None:
    quoter = quoting()
    quoter.handle(fill(1, 0, Side.SELL, 600_000, 5, -5, holder="", foreign=True), T0 + MS)
    assert quoter.position.lots == -5

    quoter.handle(PositionAdjust(VENUE, SYMBOL, 2, -4, "0.001", "BTC", "transfer", 0, 1), T0 + 2 * MS)
    assert quoter.position.lots == -4
    quoter.handle(PositionAdjust(VENUE, SYMBOL, 1, 0, "0", "BTC", "old", 0), T0 + 3 * MS)
    assert quoter.position.lots == -4
    assert quoter.counters.fills == 0


def test_fill_after_cancel_moves_the_position() -> None:
    quoter = quoting()
    bid = quoter.own.by_slot[0]
    quoter.handle(update(bid.ref, OrderState.CANCELLED), T0 + MS)

    quoter.handle(fill(1, bid.ref, Side.BUY, bid.price_ticks, 4, 4), T0 + 2 * MS)

    assert quoter.position.lots == 4


def test_rejected_order_waits_longer_each_time() -> None:
    quoter = engine(fleet=settings(reject_backoff_ms=100))
    ready(quoter)
    placed = orders(quoter.handle(book(1, T0), T0))
    answer(quoter, placed[1:], T0)
    now_ns = T0
    waits = []
    ref = placed[0].ref
    for attempt in range(3):
        quoter.handle(update(ref, OrderState.REJECTED, reason="would take"), now_ns)
        assert quoter.reasons()[Side.BUY] == (Reason.REJECTED, "would take")
        began_ns = now_ns
        again: list[LeasedOrder] = []
        while not again:
            now_ns += 50 * MS
            again = orders(quoter.handle(book(2 + attempt, now_ns, beat=True), now_ns))
            again += orders(quoter.handle(Timer(), now_ns))
        waits.append((now_ns - began_ns) // MS)
        ref = again[0].ref

    assert waits == [100, 200, 400]


def test_change_whose_turn_has_not_come_is_tried_again_at_the_same_pace_and_costs_nothing() -> None:
    quoter = quoting(fleet=settings(reject_backoff_ms=100))
    ask = quoter.own.by_slot[1]
    moved_at, budget_left = [], quoter.budget.left - 1  # the bid is moved once
    for step in range(22, 34):
        now_ns = T0 + step * 50 * MS
        for moved in replaces(quoter.handle(book(step, now_ns, 599_755, 599_765 + step % 2), now_ns)):
            if moved.ref != ask.ref:
                answer(quoter, [moved], now_ns)
                continue
            moved_at.append(step)
            refused = update(ask.ref, OrderState.OPEN, price=ask.price_ticks, lots=ask.lots, reason=CHANGES_FULL)
            quoter.handle(refused, now_ns)

    assert moved_at == [22, 24, 26, 28, 30, 32]
    assert quoter.budget.left == budget_left


def test_quote_beyond_the_fair_price_that_may_not_be_changed_is_withdrawn_and_placed_anew() -> None:
    quoter = quoting()
    bid = quoter.own.by_slot[0]
    now_ns = T0 + 1_100 * MS
    moved = next(each for each in replaces(quoter.handle(book(2, now_ns, 599_900, 599_910), now_ns)) if each.side > 0)
    full = update(bid.ref, OrderState.OPEN, price=bid.price_ticks, lots=bid.lots, reason="no orders left")
    assert withdrawn(quoter.handle(full, now_ns)) == []

    now_ns += 100 * MS
    fallen = quoter.handle(book(3, now_ns, bid.price_ticks - 400, bid.price_ticks - 390), now_ns)
    assert [each.ref for each in withdrawn(fallen)] == [bid.ref]
    gone = quoter.handle(update(bid.ref, OrderState.CANCELLED), now_ns)
    assert [each.side for each in orders(gone)] == [Side.BUY], "what may not be changed may be placed"
    assert moved.price_ticks < bid.price_ticks


def test_only_so_many_commands_are_out_without_an_answer() -> None:
    quoter = engine(fleet=settings(unanswered_max=3, levels_count=3, position_usd_max=5_000))
    ready(quoter)

    assert len(orders(quoter.handle(book(1, T0), T0))) == 3
    assert quoter.handle(book(2, T0 + MS, 599_985, 599_995), T0 + MS) == []
    assert quoter.counters.answer_waits > 0


def test_answer_about_an_order_given_up_withdraws_it() -> None:
    quoter = quoting()

    assert quoter.handle(update(99, OrderState.OPEN, price=1, lots=1), T0) == [
        CancelOrder(VENUE, SYMBOL, HOLDER, 99, Cause.TIMER)
    ]
    assert quoter.handle(update(99, OrderState.CANCELLED), T0) == []


def test_partly_filled_quote_is_topped_up_only_below_half() -> None:
    quoter = quoting()
    bid = quoter.own.by_slot[0]

    commands = quoter.handle(fill(1, bid.ref, Side.BUY, bid.price_ticks, 1, 1), T0 + 1_100 * MS)
    assert [c for c in replaces(commands) if c.side is Side.BUY] == []


def test_replace_keeps_the_filled_part_in_its_total() -> None:
    quoter = quoting()
    bid = quoter.own.by_slot[0]
    quoter.handle(fill(1, bid.ref, Side.BUY, bid.price_ticks, 1, 1), T0 + 10 * MS)

    moved = replaces(quoter.handle(book(2, T0 + 1_100 * MS, 599_395, 599_405), T0 + 1_100 * MS))

    assert [(command.side, command.lots) for command in moved] == [(Side.BUY, 5)]
    assert quoter.own.exposed_lots(Side.BUY) == 4


# --- the gateway's life -----------------------------------------------------------------------------------------


def test_gateway_down_sends_nothing_and_its_orders_still_count() -> None:
    quoter = quoting()

    assert quoter.handle(GatewayLink(False), T0 + MS) == []
    assert why(quoter) is Reason.NO_GATEWAY
    assert quoter.own.exposed_lots(Side.BUY) == 4


def test_new_gateway_tells_which_orders_are_left() -> None:
    quoter = quoting()
    bid, ask = quoter.own.by_slot[0], quoter.own.by_slot[1]
    quoter.handle(GatewayLink(False), T0 + MS)
    quoter.handle(GatewayLink(True, "gateway-2"), T0 + 2 * MS)
    assert quoter.handle(holder_state(gateway=GATEWAY), T0 + 2 * MS) == []  # from the dead one

    commands = quoter.handle(holder_state(gateway="gateway-2", open_refs=(ask.ref,)), T0 + 3 * MS)

    assert bid.ref not in quoter.own.by_ref
    assert [(order.side, order.slot) for order in orders(commands)] == [(Side.BUY, 0)]


def test_what_was_on_its_way_when_the_link_broke_is_withdrawn() -> None:
    quoter = quoting()
    moved = replaces(quoter.handle(book(2, T0 + 1_100 * MS, 599_395, 599_405), T0 + 1_100 * MS))
    refs = tuple(command.ref for command in moved)
    quoter.handle(GatewayLink(False), T0 + 1_101 * MS)
    quoter.handle(GatewayLink(True, GATEWAY), T0 + 1_102 * MS)

    commands = quoter.handle(holder_state(open_refs=refs), T0 + 1_103 * MS)

    assert {command.ref for command in commands if isinstance(command, CancelOrder)} == set(refs)


def test_orders_sent_after_the_hello_are_not_dropped_by_a_list_that_crossed_them() -> None:
    quoter = engine()
    ready(quoter)
    placed = orders(quoter.handle(book(1, T0), T0))

    quoter.handle(holder_state(position=0, fill_no=0), T0 + MS)

    assert set(quoter.own.by_ref) == {order.ref for order in placed}


def test_account_not_reconciled_places_nothing_and_asks_again() -> None:
    quoter = engine()
    quoter.handle(InstrumentRow(BTC), T0)
    quoter.handle(RiskLink(True), T0)
    quoter.handle(GatewayLink(True, GATEWAY), T0)
    assert quoter.handle(holder_state(complete=False), T0) == []
    quoter.handle(book(1, T0), T0)

    assert why(quoter) is Reason.NOT_RECONCILED
    assert quoter.handle(Timer(), T0 + 1_000 * MS) == [GREETING]


def test_command_without_an_answer_leads_to_asking_the_gateway() -> None:
    quoter = engine(fleet=settings(answer_timeout_ms=1_000))
    ready(quoter)
    placed = orders(quoter.handle(book(1, T0), T0))
    answer(quoter, placed[1:], T0)
    later = T0 + 1_200 * MS
    quoter.handle(book(2, later, beat=True), later)

    commands = quoter.handle(Timer(), later)
    assert GREETING in commands
    commands = quoter.handle(holder_state(open_refs=(placed[1].ref,)), later + MS)

    assert [(order.side, order.slot) for order in orders(commands)] == [(Side.BUY, 0)]


# --- budget ---------------------------------------------------------------------------------------------------------


def test_exhausted_budget_is_the_reason_and_cancels_still_go() -> None:
    quoter = engine()
    quoter.handle(InstrumentRow(BTC), T0)
    quoter.handle(RiskLink(True), T0)
    quoter.handle(GatewayLink(True, GATEWAY), T0)
    requests = quoter.handle(holder_state(), T0)
    renewed(quoter, requests, T0, orders_per_min=1)

    placed = quoter.handle(book(1, T0), T0)
    answer(quoter, placed, T0)

    assert len(orders(placed)) == 2, "a missing side may go beyond the rate"
    bid = quoter.own.by_slot[0]
    filled = quoter.handle(fill(1, bid.ref, Side.BUY, bid.price_ticks, bid.lots, bid.lots), T0 + MS)
    assert orders(filled) == []
    reasons = {side: reason for side, (reason, _text) in quoter.reasons().items()}
    assert sorted(reasons.values()) == [Reason.ORDER_BUDGET, Reason.QUOTING]
    assert kinds(quoter.handle(grant(0, grant_no=2, state=RiskState.FULL_STOP), T0 + 2 * MS)) == ["CancelAll"]


def test_a_stop_is_the_reason_even_when_the_gateway_closes_behind_it() -> None:
    quoter = quoting()
    quoter.handle(grant(0, grant_no=2, state=RiskState.FULL_STOP), T0 + MS)
    quoter.handle(holder_state(complete=False), T0 + 2 * MS)
    quoter.handle(Timer(), T0 + 60_000 * MS)  # the lease has run out as well

    assert {reason for reason, _text in quoter.reasons().values()} == {Reason.FULL_STOP}


def test_a_quote_beyond_the_fair_price_is_withdrawn_when_no_order_is_left() -> None:
    quoter = quoting()
    quoter.handle(grant(0, grant_no=2, orders_per_min=1), T0 + MS)  # the two that rest are of this minute

    commands = quoter.handle(book(2, T0 + 100 * MS, 599_000, 599_010), T0 + 100 * MS)

    assert kinds(commands) == ["CancelOrder"]


# --- the rest ------------------------------------------------------------------------------------------------------


def test_hold_of_the_regime_view_withdraws_and_fades() -> None:
    quoter = quoting()

    commands = quoter.handle(RegimeView(SYMBOL, bid_factor=0, ask_factor=0, ttl_s=30), T0 + MS)
    assert kinds(commands) == ["CancelOrder", "CancelOrder"]
    answer(quoter, commands, T0 + 2 * MS)
    assert why(quoter) is Reason.MODEL_HOLD

    later = T0 + 31_000 * MS
    renewed(quoter, quoter.handle(Timer(), later), later)
    placed = orders(quoter.handle(book(2, later), later))
    assert [order.lots for order in placed] == [4, 4]


def test_regime_view_widens_and_shrinks_but_never_the_other_way() -> None:
    quoter = engine()
    ready(quoter)
    quoter.handle(RegimeView(SYMBOL, bid_factor=0.5, ask_factor=9.0, spread_bps_min=20, ttl_s=30), T0)

    assert by_side(quoter.handle(book(1, T0), T0)) == [(Side.BUY, 599_400, 2), (Side.SELL, 600_600, 4)]


def verdict(add_bps: float, scope: str = "fleet", ttl_s: float = 90.0) -> RiskView:
    return RiskView(scope, 0.1, circuit_breaker=False, max_position_usd=0.0, spread_bps_add=add_bps, ttl_s=ttl_s)


@pytest.mark.parametrize(
    ("given", "added_bps"),
    [
        ([verdict(20)], 20),
        ([verdict(-50)], 0),
        ([verdict(20, scope=SYMBOL)], 20),
        ([verdict(20, scope="XRPUSDT")], 0),
        ([verdict(20), verdict(10, scope=SYMBOL)], 20),
        ([verdict(20), verdict(0)], 0),
        ([verdict(5_000)], 100),
    ],
)
def test_a_verdict_on_risk_widens_both_sides(given: list[RiskView], added_bps: float) -> None:
    """The mid is 600 000 half ticks: one bps of total spread moves each side by 30 ticks."""
    plain, widened = engine(), engine()
    found = []
    for quoter in (plain, widened):
        ready(quoter)
        for one in given if quoter is widened else ():
            quoter.handle(one, T0)
        found.append({side: (price, lots) for side, price, lots in by_side(quoter.handle(book(1, T0), T0))})
    for side in Side:
        (price, lots), (wide_price, wide_lots) = found[0][side], found[1][side]
        assert (price - wide_price) * side == pytest.approx(added_bps * 30, abs=1)
        assert wide_lots == lots


def test_a_verdicts_widening_is_withdrawn_when_it_ends() -> None:
    quoter = engine()
    ready(quoter)
    plain = by_side(quoter.handle(book(1, T0), T0))
    other = engine()
    ready(other)
    other.handle(verdict(20, ttl_s=0.05), T0 - 100 * MS)
    assert by_side(other.handle(book(1, T0), T0)) == plain


def test_regime_view_lowers_the_position_cap() -> None:
    quoter = engine()
    ready(quoter, position=4)
    quoter.handle(RegimeView(SYMBOL, max_position_usd=300, ttl_s=30), T0)

    placed = by_side(quoter.handle(book(1, T0), T0))

    assert [(side, lots) for side, _price, lots in placed] == [(Side.BUY, 1), (Side.SELL, 4)]


def test_order_below_the_venues_minimum_is_the_reason() -> None:
    quoter = engine(fleet=settings(order_usd=40.0))
    ready(quoter)

    assert quoter.handle(book(1, T0), T0) == []
    assert quoter.reasons()[Side.BUY] == (
        Reason.BELOW_MIN_NOTIONAL,
        "an order of 40 USD is 0 lots, the venue takes 1 or more",
    )


def test_halted_instrument_is_not_quoted() -> None:
    import msgspec

    quoter = quoting()

    commands = quoter.handle(Instruments(VENUE, 2, (msgspec.structs.replace(BTC, trading=False, version=2),)), T0)

    assert kinds(commands) == ["CancelAll"]
    assert why(quoter) is Reason.HALTED


def test_changed_tick_size_withdraws_and_learns_everything_anew() -> None:
    import msgspec

    quoter = quoting()

    commands = quoter.handle(InstrumentRow(msgspec.structs.replace(BTC, tick_size="0.01", version=2)), T0 + MS)

    assert kinds(commands) == ["CancelAll", "HolderHello"]
    assert why(quoter) is Reason.NOT_RECONCILED
    quoter.handle(holder_state(), T0 + 2 * MS)
    assert why(quoter) is Reason.NO_BOOK


def test_no_order_is_made_by_a_lease_in_lots_of_another_size() -> None:
    import msgspec

    quoter = quoting(fleet=settings(warm_up_updates=1))
    row = msgspec.structs.replace(BTC, lot_size="0.0001", version=2)
    quoter.handle(InstrumentRow(row), T0 + MS)
    quoter.handle(book(2, T0 + 2 * MS), T0 + 2 * MS)
    requests = quoter.handle(holder_state(), T0 + 2 * MS)
    assert not orders(requests)
    assert not orders(quoter.handle(msgspec.structs.replace(grant(2), steps=BTC.steps), T0 + 3 * MS))

    (request,) = [request for request in requests if isinstance(request, LeaseRequest)]
    assert request.steps == row.steps
    answer_to_it = msgspec.structs.replace(grant(request.request_no, grant_no=2), steps=row.steps)
    assert len(orders(quoter.handle(answer_to_it, T0 + 4 * MS))) == 2


def test_changed_fee_alone_only_moves_the_floor() -> None:
    import msgspec

    quoter = quoting()
    later = T0 + 1_100 * MS
    quoter.handle(book(2, later, beat=True), later)

    commands = quoter.handle(InstrumentRow(msgspec.structs.replace(BTC, maker_fee_bps=4.0, version=2)), later)

    assert [(r.side, r.price_ticks) for r in replaces(commands)] == [(Side.BUY, 599_730), (Side.SELL, 600_270)]


def test_settings_override_the_venues_fee() -> None:
    quoter = engine(fleet=settings(maker_bps=0.0))
    ready(quoter)

    placed = orders(quoter.handle(book(1, T0), T0))

    spread_bps = (placed[1].price_ticks - placed[0].price_ticks) / 60
    assert spread_bps == pytest.approx(2.71, abs=0.05)  # the model's own, above the floor of 1


def test_fixed_model_quotes_its_one_bp() -> None:
    quoter = engine(fleet=settings(model="fixed"))
    ready(quoter)

    placed = orders(quoter.handle(book(1, T0), T0))

    assert [order.price_ticks for order in placed] == [599_970, 600_030]


def test_several_levels_fill_their_own_slots() -> None:
    quoter = engine(fleet=settings(levels_count=2, level_step_bps=2.0))
    ready(quoter)

    placed = orders(quoter.handle(book(1, T0), T0))

    assert sorted((order.slot, order.price_ticks) for order in placed) == [
        (0, 599_850),
        (1, 600_150),
        (2, 599_730),
        (3, 600_270),
    ]


def test_stop_cancels_waits_and_gives_the_lease_back() -> None:
    quoter = quoting()

    commands = quoter.handle(Stop("end of run"), T0 + MS)
    assert commands == [CancelAll(VENUE, SYMBOL, HOLDER, "stopping end of run")]
    assert not quoter.stopped
    refs = list(quoter.own.by_ref)
    assert quoter.handle(update(refs[0], OrderState.CANCELLED), T0 + 2 * MS) == []
    assert quoter.handle(update(refs[1], OrderState.CANCELLED), T0 + 3 * MS) == [LeaseRelease(VENUE, SYMBOL, HOLDER)]
    assert quoter.stopped
    assert quoter.handle(book(2, T0 + 4 * MS, 599_000, 599_010), T0 + 4 * MS) == []
    assert quoter.handle(Timer(), T0 + 10_000 * MS) == []


def test_candles_seed_the_volatility() -> None:
    from tests.quote.estimators.test_volatility import candle

    quoter = engine()
    quoter.handle(WarmUp(VENUE, SYMBOL, (candle(0, 600_000), candle(1, 606_000))), T0)

    assert quoter.status(T0)["volatility_bps"] == pytest.approx(99.5033 / 60**0.5, rel=1e-4)


def test_signal_inputs_are_sent_twice_per_opinion() -> None:
    import msgspec

    quoter = engine(fleet=settings(llm=True, volatility_sample_ms=0))
    ready(quoter)
    busy = msgspec.structs.replace(book(1, T0), trades=TradeFlow(buys_count=30, buy_lots=90, sell_lots=10))
    quoter.handle(busy, T0)
    quoter.handle(book(2, T0 + 100 * MS), T0 + 100 * MS)

    sent = [command for command in quoter.handle(Timer(), T0 + 200 * MS) if isinstance(command, SignalInputs)]

    # 9 lots against 1: four fifths one-sided, on 1 / 0.82 effective trades of the ten that would count half.
    assert sent == [SignalInputs(SYMBOL, 60_000.0, 0.5, 0.0, pytest.approx(2 / 23), 200, "normal")]
    assert not [c for c in quoter.handle(Timer(), T0 + 300 * MS) if isinstance(c, SignalInputs)]


def test_two_sided_time_is_counted_from_the_first_quote() -> None:
    quoter = quoting()
    bid = quoter.own.by_slot[0]
    quoter.handle(update(bid.ref, OrderState.CANCELLED), T0 + 600 * MS)

    status = quoter.status(T0 + 1_000 * MS)

    assert status["two_sided"] is False
    assert status["two_sided_share"] == pytest.approx(0.6)


def test_status_is_plain_json() -> None:
    import json

    fresh, busy = engine(), quoting(position=2)

    for quoter in (fresh, busy):
        json.dumps(quoter.status(T0))
    status = busy.status(T0)
    assert (status["position_lots"], status["state"]) == (2, "NORMAL")
    assert float(status["bid"]) < 60_000 < float(status["ask"])
    assert status["ask_reason"] == "quoting"


def test_an_event_for_somebody_else_is_a_fault() -> None:
    with pytest.raises(KeyError):
        quoting().handle(LeaseRelease(VENUE, SYMBOL, HOLDER), T0)


def test_replace_is_a_leased_message() -> None:
    quoter = quoting()
    moved = quoter.handle(book(2, T0 + 1_100 * MS, 599_395, 599_405), T0 + 1_100 * MS)

    assert all(isinstance(command, LeasedReplace) for command in moved[:2])
    assert {command.token.holder for command in replaces(moved)} == {HOLDER}
