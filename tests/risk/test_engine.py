"""Event scripts: what risk answers, sends and journals, in which order."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from actors.journal.rows import BlockRow, BookingRow, FillNoRow, LedgerRow, MetaRow, RunRow, StateRow
from actors.risk.events import Answer, JournalFailed, OperatorCommand
from actors.risk.grants import GRANTS_PER_TERM
from actors.vocab.config.risk import RiskSettings
from actors.vocab.control import Instruments
from actors.vocab.leases import (
    AccountLease,
    BlockGrant,
    BlockRequest,
    FundingPaid,
    JournalledSymbol,
    Kill,
    LeaseGrant,
    LeaseRelease,
    LeaseRequest,
    RiskState,
)
from actors.vocab.market import Side
from actors.vocab.opinions import RiskView
from actors.vocab.orders import STARTING_BALANCE, Fill, FillsAgain, OrderState, PositionAdjust
from tests.risk.fleet import instrument
from tests.risk.stage import GATEWAY, VENUE, Stage, opened

# --- the start -----------------------------------------------------------------------------------------------


def test_nothing_is_answered_before_the_term_is_on_disk() -> None:
    stage = Stage(journal_answers=False)
    stage.use_instruments()
    stage.marks()
    stage.report()
    stage.ask()
    stage.hear(GATEWAY, BlockRequest(VENUE, GATEWAY))

    assert stage.sent == []
    assert stage.rows[0] == MetaRow("term", "1")
    assert isinstance(stage.rows[1], RunRow)


def test_a_grant_waits_for_the_gateways_report_and_its_fence() -> None:
    stage = Stage()
    stage.use_instruments()
    stage.marks()
    assert stage.ask() is None

    stage.report()  # has not seen this term's fences yet
    assert stage.messages(LeaseGrant) == []
    (lease,) = stage.messages(AccountLease)
    assert {fence.symbol for fence in lease.fences} == {"BTCUSDT", "ETHUSDT"}
    assert all(fence.min_grant_no > GRANTS_PER_TERM for fence in lease.fences)

    stage.report()
    (grant,) = stage.messages(LeaseGrant)  # the request that waited
    assert (grant.long_lots, grant.short_lots, grant.request_no) == (100, 100, 1)


def test_an_envelope_is_journalled_before_it_is_granted() -> None:
    stage = opened()
    stage.journal_answers = False
    assert stage.ask() is None
    (booking,) = [row for row in stage.rows if isinstance(row, BookingRow)]
    assert booking.long_lots >= 100

    stage.journalled()
    assert stage.messages(LeaseGrant)[-1].long_lots == 100


def test_a_new_term_beats_every_token_of_the_old_one() -> None:
    first = opened()
    grant = first.ask()
    assert grant is not None
    second = Stage(loaded=first.journal.load())
    second.open()
    again = second.ask()

    assert again is not None
    assert again.token.term == grant.token.term + 1
    assert again.token.grant_no > grant.token.grant_no
    assert second.fences["BTCUSDT"] > grant.token.grant_no


def test_after_a_restart_symbols_stand_at_their_journalled_worst_case() -> None:
    first = opened(RiskSettings(gross_usd_max=2_000.0))
    first.ask("BTCUSDT", want=100)
    first.ask("ETHUSDT", want=100)
    second = Stage(RiskSettings(gross_usd_max=2_000.0), loaded=first.journal.load())

    assert second.engine.core.book.gross.used >= 2_000 * 10**9  # before anybody has answered
    assert second.engine.core.term == 2


def test_client_id_blocks_are_journalled_before_they_are_given_out() -> None:
    stage = opened()
    stage.journal_answers = False
    stage.clear()
    stage.hear(GATEWAY, BlockRequest(VENUE, GATEWAY))
    assert stage.messages(BlockGrant) == []
    (row,) = stage.rows
    assert isinstance(row, BlockRow)

    stage.journalled()
    (block,) = stage.messages(BlockGrant)
    assert (block.first, block.size) == (row.first, row.size) == (1, 100)

    stage.hear(GATEWAY, BlockRequest(VENUE, GATEWAY))
    stage.journalled()
    assert stage.messages(BlockGrant)[-1].first == 101


def test_a_new_gateway_is_told_where_the_journal_stands() -> None:
    stage = opened()
    stage.hear(GATEWAY, BlockRequest(VENUE, GATEWAY))
    stage.hear(GATEWAY, stage.fill(lots=3, trade_id=77))
    stage.now_ms += 5_000
    stage.hear("gateway-2", BlockRequest(VENUE, "gateway-2"))

    block = stage.messages(BlockGrant)[-1]
    assert block.last_fill_no == 1
    assert block.since_ms == 1_000
    assert block.journalled == (JournalledSymbol("BTCUSDT", 77, 3, 10_000.0, trade_ids=(77,)),)


@pytest.mark.parametrize("risk_restarts", [False, True])
def test_fills_are_looked_for_from_the_oldest_life_that_may_have_left_some(risk_restarts: bool) -> None:
    """The second gateway dies before it has told anything, the third tells all, so the fourth begins at the third."""
    stage = opened()
    since: list[int] = []
    for number in range(2, 6):
        gateway = f"gateway-{number}"
        stage.hear(gateway, BlockRequest(VENUE, gateway))
        since.append(stage.messages(BlockGrant, gateway)[-1].since_ms)
        if number == 4:
            stage.report_no = 0
            stage.pass_ms(2_100)
            stage.report(gateway=gateway)
        if risk_restarts:
            now_ms = stage.now_ms
            stage = Stage(loaded=stage.journal.load())
            stage.open()
            stage.pass_ms(now_ms - stage.now_ms)
        stage.pass_ms(10_000)

    began = 1_000
    assert since[:3] == [0, began, began]
    assert since[3] > began


def test_a_new_gateway_is_told_which_fundings_are_journalled() -> None:
    paid = FundingPaid("USDT", "-0.75", 3)
    first = opened()
    first.hear(GATEWAY, PositionAdjust(VENUE, "", 1, 0, "-0.75", "USDT", "FUNDING_FEE", 3))
    first.hear(GATEWAY, PositionAdjust(VENUE, "", 2, 0, "5000", "USDT", "DEPOSIT", 4))
    second = opened(loaded=msgspec.structs.replace(first.journal.load(), fundings=((VENUE, paid),)))
    for stage in (first, second):
        stage.hear("gateway-2", BlockRequest(VENUE, "gateway-2"))
        stage.journalled()
        assert stage.messages(BlockGrant)[-1].fundings == (paid,)


# --- leases --------------------------------------------------------------------------------------------------


def test_a_renewal_keeps_its_token() -> None:
    stage = opened()
    first, second = stage.ask(), stage.ask()

    assert first is not None
    assert second is not None
    assert first.token == second.token
    assert (first.request_no, second.request_no) == (1, 2)


def test_wishes_beyond_the_limit_are_shared() -> None:
    stage = opened(RiskSettings(gross_usd_max=1_500.0))  # one lot is 10 USD
    stage.ask("BTCUSDT", want=100)
    stage.ask("ETHUSDT", want=100)
    for _ in range(3):
        stage.report()
        first, second = stage.ask("BTCUSDT", want=100), stage.ask("ETHUSDT", want=100)

    assert first is not None
    assert second is not None
    assert abs(first.long_lots - second.long_lots) <= 8  # a tenth is not worth a fencing round
    assert 140 <= first.long_lots + second.long_lots <= 150


def test_lowered_size_returns_only_with_the_fence() -> None:
    stage = opened()
    stage.ask(want=100)
    lease = stage.engine.core.book.get(VENUE, "BTCUSDT")
    assert lease is not None
    stage.clear()
    stage.ask(want=10)

    assert lease.reserved_long == 100
    (order,) = stage.messages(AccountLease, GATEWAY)
    assert (order.fences[0].long_lots, order.fences[0].min_grant_no) == (10, lease.token_no)

    stage.report(BTCUSDT=(4, 6, 0))
    assert lease.reserved_long == 10


def test_an_expired_holder_is_fenced_and_its_position_stays_reserved() -> None:
    stage = opened()
    stage.ask(want=100)
    stage.report(BTCUSDT=(7, 20, 0))
    lease = stage.engine.core.book.get(VENUE, "BTCUSDT")
    assert lease is not None
    stage.pass_ms(2_000)
    assert lease.holder != ""  # the drift is added on this side
    stage.pass_ms(100)
    assert lease.holder == ""
    assert lease.reserved_long == 100

    stage.report(BTCUSDT=(7, 0, 0))
    assert (lease.reserved_long, lease.reserved_short) == (7, 0)


def test_a_released_lease_returns_after_the_fence() -> None:
    stage = opened()
    stage.ask(want=100)
    stage.hear("quote-BTCUSDT", LeaseRelease(VENUE, "BTCUSDT", "quote-BTCUSDT"))
    lease = stage.engine.core.book.get(VENUE, "BTCUSDT")
    assert lease is not None
    assert lease.reserved_long == 100

    stage.report()
    assert lease.reserved_long == 0


def test_a_holder_that_was_replaced_gets_nothing_any_more() -> None:
    stage = opened()
    stage.ask(holder="old")
    new = stage.ask(holder="new")

    assert new is not None
    assert stage.ask(holder="old") is None
    assert stage.fences["BTCUSDT"] == new.token.grant_no


def test_a_new_gateway_waits_until_the_old_ones_lease_has_run_out() -> None:
    stage = opened()
    stage.report()
    stage.clear()
    stage.report(gateway="gateway-2")
    assert stage.sent == []

    stage.pass_ms(2_100)
    stage.clear()
    stage.report_no = 0
    stage.report(gateway="gateway-2")
    (answer,) = stage.messages(AccountLease, "gateway-2")
    assert answer.request_no == 1
    stage.clear()
    stage.report()
    assert stage.sent == []  # the old one is buried


def test_an_order_beyond_its_lease_stops_the_symbol() -> None:
    stage = opened()
    stage.ask(want=10)
    stage.clear()
    stage.report(BTCUSDT=(0, 12, 0))

    summary = stage.engine.summary()
    assert summary["risk"]["lease_overrun_usd_max"] == pytest.approx(20.0)
    assert summary["risk"]["breaches_count"] == 1
    assert stage.messages(Kill) == [Kill(VENUE, 1, "BTCUSDT", "2 lots live beyond the lease")]


def test_an_excess_that_a_missing_foreign_fill_explains_stops_nothing() -> None:
    """The report has overtaken the fill; the fill comes after, then a report in step."""
    stage = opened()
    stage.ask(want=50)
    stage.report(fill_no=1, BTCUSDT=(60, 0, 0))
    assert stage.engine.core.book.get(VENUE, "BTCUSDT").reserved_long == 60  # type: ignore[union-attr]  # it is seated

    stage.hear(GATEWAY, stage.fill(lots=60, foreign=True, holder="", position_lots=60))
    stage.report(BTCUSDT=(60, 0, 0))
    stage.pass_ms(5_000)

    assert stage.messages(Kill) == []


@pytest.mark.parametrize("foreign_lots", [0, 3])
def test_an_excess_that_the_missing_fills_do_not_explain_stops_the_symbol(foreign_lots: int) -> None:
    stage = opened()
    stage.ask(want=10)
    stage.report(fill_no=1, BTCUSDT=(foreign_lots, 12, 0))
    assert stage.messages(Kill) == []

    symbol, lots = ("BTCUSDT", foreign_lots) if foreign_lots else ("ETHUSDT", 1)
    stage.hear(GATEWAY, stage.fill(symbol, lots=lots, foreign=True, holder=""))
    stage.report(BTCUSDT=(foreign_lots, 8, 0), ETHUSDT=(int(not foreign_lots), 0, 0))

    assert stage.messages(Kill) == [Kill(VENUE, 1, "BTCUSDT", "2 lots live beyond the lease")]


def test_an_excess_does_not_wait_for_ever_for_fills_that_do_not_come() -> None:
    stage = opened()
    stage.ask(want=50)
    for _ in range(4):
        stage.report(fill_no=1, BTCUSDT=(60, 0, 0))
        stage.pass_ms(500)
    assert stage.messages(Kill) == []

    stage.pass_ms(100)
    assert stage.messages(Kill) == [Kill(VENUE, 1, "BTCUSDT", "10 lots live beyond the lease")]


def test_openings_are_staggered() -> None:
    stage = Stage(RiskSettings(openings_per_s=1.0))
    stage.open()
    stage.ask("BTCUSDT")
    assert stage.ask("ETHUSDT") is None

    stage.pass_ms(1_200)
    assert stage.messages(LeaseGrant, "quote-ETHUSDT")[0].long_lots == 100


def test_prices_that_rise_are_not_frozen_when_what_is_reserved_no_longer_fits() -> None:
    stage = opened(RiskSettings(symbol_usd_max=1_000.0, price_move_pct_max=50.0))
    stage.ask(want=100)
    lease = stage.engine.core.book.get(VENUE, "BTCUSDT")
    assert lease is not None
    stage.marks(BTCUSDT=11_000)
    grant = stage.ask(want=100)

    assert grant is not None
    assert grant.long_lots == 90
    assert lease.frozen_nusd == 10 * 10**9
    stage.report(BTCUSDT=(0, 0, 0))
    stage.ask(want=100)
    assert lease.frozen_nusd == 11 * 10**9
    assert lease.worst_amount <= 1_000 * 10**9


# --- fills ---------------------------------------------------------------------------------------------------


def test_a_fill_is_booked_journalled_and_acknowledged_when_durable() -> None:
    stage = opened()
    stage.journal_answers = False
    stage.clear()
    fill = stage.fill(lots=3)
    stage.hear(GATEWAY, fill)

    kinds = [type(row) for row in stage.rows]
    assert kinds == [Fill, FillNoRow, LedgerRow]
    stage.report(BTCUSDT=(3, 0, 0))
    assert stage.messages(AccountLease)[-1].acked_fill_no == 0
    stage.journalled()
    stage.report(BTCUSDT=(3, 0, 0))
    assert stage.messages(AccountLease)[-1].acked_fill_no == 1
    assert stage.engine.summary()["fills_count"] == 1


def test_a_hole_in_the_numbers_is_asked_for_and_closed_in_order() -> None:
    stage = opened()
    first, second, third = stage.fill(lots=1), stage.fill(lots=1), stage.fill(lots=1)
    stage.hear(GATEWAY, first)
    stage.clear()
    stage.hear(GATEWAY, third)
    assert stage.messages(FillsAgain) == [FillsAgain(VENUE, 2)]
    assert stage.engine.summary()["reconcile"]["lost_fills_count"] == 2

    stage.hear(GATEWAY, second)
    stage.hear(GATEWAY, third)  # the gateway sends all from 2 again
    summary = stage.engine.summary()
    assert summary["fills_count"] == 3
    assert summary["reconcile"]["lost_fills_count"] == 0
    assert [row.fill_no for row in stage.rows if isinstance(row, Fill)] == [2, 3]


def test_a_trade_that_comes_again_under_a_new_number_counts_once() -> None:
    stage = opened()
    stage.hear(GATEWAY, stage.fill(trade_id=5))
    stage.hear(GATEWAY, stage.fill(trade_id=5))

    summary = stage.engine.summary()
    assert summary["fills_count"] == 1
    assert summary["venues"][VENUE]["fill_no"] == 2


def test_the_runs_fills_are_counted_on_after_a_restart() -> None:
    first = opened()
    first.hear(GATEWAY, first.fill())
    second = opened(loaded=first.journal.load())

    assert second.engine.summary()["fills_count"] == 1


def test_both_sides_of_a_trade_with_ourselves_count_also_over_a_restart() -> None:
    stage = opened()
    stage.hear(GATEWAY, stage.fill(lots=10, trade_id=77))
    again = Stage(loaded=stage.journal.load())
    again.open(BTCUSDT=(10, 0, 0))
    again.fill_no = stage.fill_no
    again.hear(GATEWAY, again.fill(side=Side.SELL, lots=10, trade_id=77))

    assert again.engine.core.seats[(VENUE, "BTCUSDT")].ledger.known_lots == 0
    assert again.engine.core.seats[(VENUE, "BTCUSDT")].ledger.fees_usd == Decimal("0.04")


def test_trades_listed_again_are_dropped_and_an_older_one_that_was_missed_is_booked() -> None:
    """102 was journalled and 101 missed; the next life of the gateway lists both, after risk's restart too."""
    stage = opened()
    stage.hear(GATEWAY, stage.fill(lots=5, trade_id=102))
    again = Stage(loaded=stage.journal.load())
    again.open(BTCUSDT=(5, 0, 0))
    again.clear()
    again.fill_no = stage.fill_no
    for trade_id in (102, 101, 101):
        again.hear(GATEWAY, again.fill(lots=5, trade_id=trade_id))

    assert [row.trade_id for row in again.rows if isinstance(row, Fill)] == [101]  # the journal sees each trade once
    assert again.engine.core.seats[(VENUE, "BTCUSDT")].ledger.known_lots == 10
    assert again.engine.core.seats[(VENUE, "BTCUSDT")].trade_id == 102
    assert again.engine.core.states.effective(VENUE, "BTCUSDT")[0] is RiskState.NORMAL
    again.report(BTCUSDT=(10, 0, 0))
    assert again.messages(AccountLease)[-1].acked_fill_no == 4
    assert again.engine.summary()["reconcile"]["position_mismatch_count"] == 0


def test_fills_of_an_earlier_life_of_the_gateway_do_not_count() -> None:
    stage = opened()
    stage.hear("gateway-2", BlockRequest(VENUE, "gateway-2"))
    stage.hear(GATEWAY, stage.fill())

    assert stage.engine.summary()["fills_count"] == 0


def test_a_holder_that_knows_more_makes_risk_reserve_the_worse_view_and_ask() -> None:
    stage = opened()
    stage.ask(want=10)
    stage.ask(want=10, position=15, last_fill_no=4)
    stage.now_ms += 300
    stage.ask(want=10, position=15, last_fill_no=4)

    lease = stage.engine.core.book.get(VENUE, "BTCUSDT")
    assert lease is not None
    assert lease.reserved_long == 15
    assert stage.messages(FillsAgain) == [FillsAgain(VENUE, 1)]


def test_a_position_that_differs_in_step_is_adopted_with_a_warning() -> None:
    stage = opened()
    stage.report(BTCUSDT=(9, 0, 0))

    summary = stage.engine.summary()
    assert summary["reconcile"]["position_mismatch_count"] == 1
    assert summary["symbols"][0]["position_lots"] == 9
    assert summary["pnl"]["net_usd"] == 0.0
    assert summary["symbols"][0]["state"] == "WARNING"


def test_foreign_fills_are_adopted_marked_and_warned_of() -> None:
    stage = opened()
    stage.ask(want=10)
    stage.hear(GATEWAY, stage.fill(side=Side.SELL, lots=4, foreign=True))

    lease = stage.engine.core.book.get(VENUE, "BTCUSDT")
    assert lease is not None
    assert lease.reserved_short == 14  # until the gateway has cancelled what no longer fits
    assert stage.engine.summary()["risk"]["breaches_count"] == 0
    stage.report(BTCUSDT=(-4, 0, 6))
    assert lease.reserved_short == 10
    assert stage.engine.core.states.effective(VENUE, "BTCUSDT")[0] is RiskState.WARNING


def test_fees_in_base_and_funding_are_valued() -> None:
    stage = opened()
    stage.hear(GATEWAY, stage.fill(lots=100, fee="0.001", fee_asset="BTC"))
    stage.hear(GATEWAY, PositionAdjust(VENUE, "BTCUSDT", 2, 100, "-0.5", "USDT", "FUNDING_FEE", 1))

    pnl = stage.engine.summary()["pnl_exact"]
    assert Decimal(pnl["fees_usd"]) == Decimal("1")  # 0.001 at 1 000 USD
    assert Decimal(pnl["funding_usd"]) == Decimal("-0.5")


def test_funding_of_no_symbol_belongs_to_the_account_and_survives_a_restart() -> None:
    first = opened()
    first.hear(GATEWAY, PositionAdjust(VENUE, "", 1, 0, "-0.75", "USDT", "FUNDING_FEE", 1))
    first.hear(GATEWAY, PositionAdjust(VENUE, "", 2, 0, "5000", "USDT", "DEPOSIT", 1))
    second = Stage(loaded=first.journal.load())
    second.open()

    for stage in (first, second):
        stage.pass_ms(1_000)
        summary = stage.engine.summary()
        assert Decimal(summary["pnl_exact"]["net_usd"]) == Decimal("-0.75")
        assert summary["risk"]["equity_usd"] == pytest.approx(100_000 - 0.75)


def test_equity_after_a_restart_has_the_runs_loss_before_any_instrument_comes() -> None:
    """The day's loss and the high-water mark are judged from the first timer on."""
    first = opened()
    first.hear(GATEWAY, first.fill(lots=400, fee="100"))
    first.hear(GATEWAY, PositionAdjust(VENUE, "", 2, 0, "-0.75", "USDT", "FUNDING_FEE", 1))
    first.pass_ms(1_500)
    equity = first.engine.core.equity
    assert equity.equity_usd == pytest.approx(100_000 - 100.75)

    second = Stage(loaded=first.journal.load())
    second.clear()
    second.pass_ms(1_500, marks=False)
    assert second.engine.core.equity.equity_usd == pytest.approx(equity.equity_usd)
    assert second.engine.core.equity.high_water_usd == equity.high_water_usd
    assert [row for row in second.rows if isinstance(row, MetaRow)] == []

    second.use_instruments()
    second.pass_ms(1_500)
    assert second.engine.core.equity.equity_usd == pytest.approx(equity.equity_usd)


def test_a_position_found_before_the_first_price_keeps_its_first_price_over_a_restart() -> None:
    first = Stage()
    first.use_instruments()
    first.hear(GATEWAY, PositionAdjust(VENUE, "BTCUSDT", 1, 5, "0.005", "BTC", "found at start", 0))
    first.fill_no = 1
    first.report(BTCUSDT=(5, 0, 0))
    first.marks(BTCUSDT=10_000)
    first.marks(BTCUSDT=10_020)
    second = Stage(loaded=first.journal.load())
    second.fill_no = 1
    second.use_instruments()
    second.report(BTCUSDT=(5, 0, 0))
    second.marks(BTCUSDT=10_020)

    for stage in (first, second):  # five lots of 0.01 coins, up by 20 ticks of 0.1
        assert Decimal(stage.engine.summary()["pnl_exact"]["net_usd"]) == Decimal("0.1")


def test_starting_coins_are_no_position_and_keep_their_first_price_over_a_restart() -> None:
    first = Stage()
    first.use_instruments()
    first.hear(GATEWAY, PositionAdjust(VENUE, "BTCUSDT", 1, 0, "0.050", "BTC", STARTING_BALANCE, 0))
    first.fill_no = 1
    first.report(BTCUSDT=(0, 0, 0))
    first.marks(BTCUSDT=10_000)
    first.marks(BTCUSDT=10_020)
    second = Stage(loaded=first.journal.load())
    second.fill_no = 1
    second.use_instruments()
    second.report(BTCUSDT=(0, 0, 0))
    second.marks(BTCUSDT=10_020)

    for stage in (first, second):
        summary = stage.engine.summary()
        assert (summary["symbols"][0]["stock_lots"], summary["symbols"][0]["position_lots"]) == (5, 0)
        assert Decimal(summary["pnl_exact"]["net_usd"]) == Decimal(summary["pnl_exact"]["stock_usd"]) == Decimal("0.1")
        assert summary["risk"]["day_loss_usd"] == 0
        assert summary["risk"]["starting_coins_usd"] == 50
        assert summary["risk"]["exposed_usd_max"] == 0


def test_the_ledger_goes_on_after_a_restart_inside_the_run() -> None:
    first = opened()
    first.hear(GATEWAY, first.fill(lots=5, price_ticks=9_990))
    first.marks(BTCUSDT=10_020)
    second = Stage(loaded=first.journal.load())
    second.fill_no = 1
    second.open(BTCUSDT=(5, 0, 0))
    second.marks(BTCUSDT=10_020)
    second.report(BTCUSDT=(5, 0, 0))

    assert second.engine.summary()["pnl_exact"] == first.engine.summary()["pnl_exact"]
    assert second.engine.summary()["reconcile"]["position_mismatch_count"] == 0


def test_a_new_run_begins_at_nothing_with_the_position_taken_over() -> None:
    first = opened()
    first.hear(GATEWAY, first.fill(lots=5, price_ticks=9_990))
    first.pass_ms(2_000)
    second = Stage(loaded=first.journal.load(), run_id="run-2")
    second.fill_no = 1
    second.open(BTCUSDT=(5, 0, 0))
    second.report(BTCUSDT=(5, 0, 0))

    summary = second.engine.summary()
    assert summary["pnl"]["net_usd"] == 0.0
    assert summary["symbols"][0]["position_lots"] == 5
    assert summary["risk"]["equity_usd"] == pytest.approx(first.engine.summary()["risk"]["equity_usd"])


@pytest.mark.parametrize("gateway_is_first", [True, False])
def test_a_report_in_other_lots_than_ours_is_not_read(gateway_is_first: bool) -> None:
    """Everybody hears of new steps at a moment of his own."""
    stage = opened()
    seat = stage.engine.core.seats[VENUE, "BTCUSDT"]
    old, new = seat.instrument.steps, msgspec.structs.replace(seat.instrument, lot_size="0.001").steps
    stage.ask(want=400)
    stage.hear(GATEWAY, stage.fill(lots=40, position_lots=40))
    stage.report(steps=old, BTCUSDT=(40, 360, 0))
    if not gateway_is_first:
        stage.use_instruments(lot_size="0.001")
        stage.report(steps=old, BTCUSDT=(40, 360, 0))
    stage.report(steps=new, BTCUSDT=(400, 3_600, 0))
    if gateway_is_first:
        stage.use_instruments(lot_size="0.001")
        stage.report(steps=new, BTCUSDT=(400, 3_600, 0))
    stage.pass_ms(100)

    assert stage.messages(Kill) == []
    assert (seat.lease.position_lots, seat.lease.exposed_long) == (400, 4_000)
    assert seat.lease.long_lots == 4_000


def test_a_wish_in_other_lots_than_ours_is_not_read() -> None:
    stage = opened()
    wish = LeaseRequest(VENUE, "BTCUSDT", "quote-BTCUSDT", 1, 0, 100, 100, 0, 10_000.0, steps="0.1/7x1")
    stage.clear()
    stage.hear("quote-BTCUSDT", wish)
    assert stage.messages(LeaseGrant) == []

    stage.hear("quote-BTCUSDT", msgspec.structs.replace(wish, steps=""))
    assert stage.messages(LeaseGrant)[-1].steps == stage.engine.core.seats[VENUE, "BTCUSDT"].instrument.steps


@pytest.mark.parametrize("changes", [{"tick_size": "0.01"}, {"lot_size": "0.001"}])
def test_new_steps_are_no_loss_and_no_price_move(changes: dict[str, str]) -> None:
    """4 000 USD are held; funding and the gateway's own report come before a price in the new steps."""
    stage = opened()
    stage.ask(want=400)
    stage.hear(GATEWAY, stage.fill(lots=400, position_lots=400))
    stage.report(BTCUSDT=(400, 0, 0))
    before = stage.engine.core.net_usd

    stage.use_instruments(**changes)
    position = 400 if "tick_size" in changes else 4_000
    stage.fill_no += 1
    adjust = PositionAdjust(VENUE, "BTCUSDT", stage.fill_no, position, "-0.10", "USDT", "FUNDING_FEE", 5)
    stage.hear(GATEWAY, adjust)
    stage.report(BTCUSDT=(position, 0, 0))
    stage.pass_ms(100, marks=False)
    assert stage.engine.core.net_usd == pytest.approx(before - 0.10)

    if "tick_size" in changes:
        stage.marks(BTCUSDT=100_000, ETHUSDT=100_000)
    stage.pass_ms(100)
    assert stage.engine.core.net_usd == pytest.approx(before - 0.10)
    assert stage.engine.core.states.effective(VENUE, "BTCUSDT")[0] < RiskState.REDUCE_ONLY


# --- states --------------------------------------------------------------------------------------------------


def test_a_price_move_trips_the_symbol_alone_and_takes_its_envelope() -> None:
    stage = opened()
    stage.ask("BTCUSDT")
    stage.ask("ETHUSDT")
    stage.clear()
    stage.marks(BTCUSDT=10_600)

    (grant,) = stage.messages(LeaseGrant)
    assert (grant.symbol, grant.state, grant.long_lots, grant.request_no) == (
        "BTCUSDT",
        RiskState.CIRCUIT_BREAKER,
        0,
        0,
    )
    assert stage.messages(AccountLease)[0].halted_symbols == ("BTCUSDT",)
    assert stage.ask("ETHUSDT").state is RiskState.NORMAL  # type: ignore[union-attr]  # it is granted


def test_a_tightening_is_sent_before_its_row_and_loosening_waits_for_the_disk() -> None:
    stage = opened(RiskSettings(cool_down_s=1.0))
    stage.ask()
    stage.give(OperatorCommand("pause", reason="lunch"))
    assert stage.engine.state is RiskState.CIRCUIT_BREAKER
    stage.journal_answers = False
    stage.clear()
    stage.give(OperatorCommand("resume"))

    assert stage.engine.state is RiskState.CIRCUIT_BREAKER
    (row,) = [row for row in stage.rows if isinstance(row, StateRow)]
    assert row.state == RiskState.WARNING
    stage.journalled()
    assert stage.engine.state is RiskState.WARNING
    assert stage.messages(AccountLease)[-1].state is RiskState.WARNING


def test_silent_marks_trip_and_a_short_pause_follows() -> None:
    stage = opened()
    stage.ask()
    stage.pass_ms(5_200, marks=False)
    assert stage.engine.core.states.effective(VENUE, "BTCUSDT")[0] is RiskState.CIRCUIT_BREAKER

    stage.pass_ms(1_000)
    assert stage.engine.core.states.effective(VENUE, "BTCUSDT")[0] is RiskState.CIRCUIT_BREAKER
    stage.pass_ms(1_500)
    assert stage.engine.core.states.effective(VENUE, "BTCUSDT")[0] is RiskState.WARNING
    grant = stage.ask()
    assert grant is not None
    assert grant.quantity_factor == 0.5
    assert grant.long_lots == 100


def test_the_days_loss_stops_everything_until_an_operator_comes() -> None:
    stage = opened(RiskSettings(day_loss_usd_max=50.0))
    stage.ask("ETHUSDT")
    stage.hear(GATEWAY, stage.fill("ETHUSDT", lots=200, price_ticks=10_300))
    stage.pass_ms(100)

    assert stage.engine.state is RiskState.FULL_STOP
    assert [kill.symbol for kill in stage.messages(Kill)] == [""]
    later = Stage(RiskSettings(day_loss_usd_max=50.0), loaded=stage.journal.load())
    assert later.engine.state is RiskState.FULL_STOP  # a restart does not lift it

    later.open()
    later.give(OperatorCommand("resume"))
    later.pass_ms(200)
    assert later.engine.state is RiskState.WARNING


def test_a_new_day_resets_the_loss_but_never_a_stop() -> None:
    stage = opened(RiskSettings(day_loss_usd_max=50.0))
    stage.hear(GATEWAY, stage.fill("ETHUSDT", lots=200, price_ticks=10_300))
    stage.pass_ms(100)
    stage.now_ms += 86_400_000
    stage.pass_ms(100)

    assert stage.engine.summary()["risk"]["day_loss_usd"] == 0.0
    assert stage.engine.state is RiskState.FULL_STOP


def test_a_drawdown_breaks_once_and_then_starts_from_there() -> None:
    settings = RiskSettings(capital_usd=1_000.0, drawdown_pct_max=5.0, cool_down_s=1.0)
    stage = opened(settings)
    stage.hear(GATEWAY, stage.fill("ETHUSDT", lots=300, price_ticks=10_200))
    stage.pass_ms(100)
    assert stage.engine.state is RiskState.CIRCUIT_BREAKER

    stage.pass_ms(1_300)
    assert stage.engine.state is RiskState.WARNING
    stage.pass_ms(1_300)
    assert stage.engine.state is RiskState.NORMAL


def test_a_position_near_its_limit_warns_and_at_it_only_reduces() -> None:
    stage = opened(RiskSettings(symbol_usd_max=1_000.0))
    stage.ask(want=100)
    stage.hear(GATEWAY, stage.fill(lots=85))
    stage.pass_ms(100)
    assert stage.engine.core.states.effective(VENUE, "BTCUSDT")[0] is RiskState.WARNING

    stage.hear(GATEWAY, stage.fill(lots=15))
    stage.clear()
    stage.pass_ms(100)
    grant = stage.messages(LeaseGrant)[-1]
    assert grant.state is RiskState.REDUCE_ONLY
    assert (grant.long_lots, grant.short_lots) == (100, 0)


def test_what_offsets_the_net_of_a_base_is_not_reduced() -> None:
    """Long in one symbol, short in another of the same base: only the long has to shrink."""
    stage = opened(RiskSettings(net_base_usd_max=800.0))
    stage.give(Instruments(VENUE, 2, (instrument(), instrument("ETHUSDT", base="BTC"))))
    stage.marks()
    long, short = stage.fill(lots=100), stage.fill("ETHUSDT", Side.SELL, lots=20, fill_no=2, trade_id=2)
    stage.hear(GATEWAY, long)
    stage.hear(GATEWAY, short)
    stage.pass_ms(100)

    assert stage.engine.core.states.effective(VENUE, "BTCUSDT")[0] is RiskState.REDUCE_ONLY
    assert stage.engine.core.states.effective(VENUE, "ETHUSDT")[0] is RiskState.NORMAL


def test_a_failing_journal_breaks_and_its_return_heals() -> None:
    stage = opened(RiskSettings(cool_down_s=1.0))
    stage.journal_answers = False
    stage.give(JournalFailed("disk full"))
    assert stage.engine.state is RiskState.CIRCUIT_BREAKER
    assert "disk full" in stage.engine.summary()["reason"]

    stage.journal_answers = True
    stage.journalled()
    stage.pass_ms(1_200)
    assert stage.engine.state is RiskState.WARNING


@pytest.mark.parametrize("state", [OrderState.REJECTED, OrderState.OPEN], ids=["orders", "changes"])
def test_a_reject_storm_breaks_the_venue_and_post_only_refusals_do_not(state: OrderState) -> None:
    stage = opened(RiskSettings(rejects_per_min_max=3))
    for number in range(5):
        stage.hear(GATEWAY, stage.order_row(f"a{number}", state, "post-only would take"))
    stage.pass_ms(100)
    assert stage.engine.core.venue_state(VENUE) is RiskState.NORMAL

    for number in range(4):
        stage.hear(GATEWAY, stage.order_row(f"b{number}", state, "margin is insufficient"))
    stage.pass_ms(100)
    assert stage.engine.core.venue_state(VENUE) is RiskState.CIRCUIT_BREAKER


def test_too_many_open_orders_allow_only_reducing_ones() -> None:
    stage = opened(RiskSettings(orders_open_max=5))
    for number in range(5):
        stage.hear(GATEWAY, stage.order_row(f"a{number}", OrderState.OPEN))
    stage.pass_ms(100)
    assert stage.engine.core.venue_state(VENUE) is RiskState.REDUCE_ONLY

    for number in range(3):
        stage.hear(GATEWAY, stage.order_row(f"a{number}", OrderState.CANCELLED))
    stage.pass_ms(200)
    assert stage.engine.core.venue_state(VENUE) is RiskState.NORMAL


def test_kill_reaches_the_gateway_at_once_and_latches_over_restarts() -> None:
    stage = opened()
    stage.ask()
    stage.clear()
    stage.give(OperatorCommand("kill", reason="drill"))

    assert stage.messages(Kill) == [Kill(VENUE, 1, "", "operator: kill, drill")]
    grant = stage.messages(LeaseGrant)[-1]
    assert (grant.state, grant.long_lots) == (RiskState.FULL_STOP, 0)
    later = Stage(loaded=stage.journal.load())
    later.open()
    assert later.messages(AccountLease)[-1].state is RiskState.FULL_STOP


def test_a_stop_of_one_symbol_is_told_to_the_gateway_after_a_restart() -> None:
    stage = opened()
    stage.give(OperatorCommand("kill", symbol="BTCUSDT"))
    again = Stage(loaded=stage.journal.load())
    again.open()

    assert again.messages(AccountLease)[-1].halted_symbols == ("BTCUSDT",)


def test_resuming_after_a_kill_begins_a_new_term_that_is_on_disk_first() -> None:
    stage = opened()
    before = stage.ask()
    stage.give(OperatorCommand("kill"))
    stage.journal_answers = False
    stage.clear()
    stage.give(OperatorCommand("resume"))
    assert MetaRow("term", "2") in stage.rows
    assert stage.messages(AccountLease) == []

    stage.journal_answers = True
    stage.journalled()
    stage.report()
    stage.report()
    after = stage.ask()
    assert before is not None
    assert after is not None
    assert (before.token.term, after.token.term) == (1, 2)
    assert after.long_lots == 100
    assert stage.messages(AccountLease)[-1].term == 2


def test_one_symbol_can_be_reduced_and_resumed() -> None:
    stage = opened()
    stage.ask()
    stage.give(OperatorCommand("reduce", symbol="BTCUSDT"))
    assert stage.messages(LeaseGrant)[-1].state is RiskState.REDUCE_ONLY

    stage.give(OperatorCommand("resume", symbol="BTCUSDT"))
    stage.pass_ms(100)
    grant = stage.ask()
    assert grant is not None
    assert grant.state is RiskState.NORMAL


@pytest.mark.parametrize(("verb", "state"), [("pause", RiskState.CIRCUIT_BREAKER), ("reduce", RiskState.REDUCE_ONLY)])
def test_what_an_operator_says_during_a_breaker_outlives_risk(verb: str, state: RiskState) -> None:
    """The state does not move, so no row of a change tells it."""
    settings = RiskSettings(cool_down_s=1.0)
    stage = opened(settings)
    stage.marks(BTCUSDT=10_800)
    stage.give(OperatorCommand(verb, symbol="BTCUSDT"))

    again = Stage(settings, loaded=stage.journal.load())
    again.open()
    assert again.engine.core.states.effective(VENUE, "BTCUSDT")[0] is RiskState.CIRCUIT_BREAKER
    again.pass_ms(5_000)
    assert again.engine.core.states.effective(VENUE, "BTCUSDT") == (state, f"operator: {verb}")


def test_a_breaker_over_an_operators_reduce_is_not_the_operators_after_a_restart() -> None:
    settings = RiskSettings(cool_down_s=1.0)
    stage = opened(settings)
    stage.give(OperatorCommand("reduce", symbol="BTCUSDT"))
    stage.marks(BTCUSDT=10_800)

    again = Stage(settings, loaded=stage.journal.load())
    again.open()
    again.pass_ms(5_000)
    assert again.engine.core.states.effective(VENUE, "BTCUSDT")[0] is RiskState.REDUCE_ONLY


def test_a_resume_during_a_breaker_outlives_risk() -> None:
    settings = RiskSettings(cool_down_s=1.0)
    stage = opened(settings)
    stage.give(OperatorCommand("pause", symbol="BTCUSDT"))
    stage.marks(BTCUSDT=10_800)
    stage.give(OperatorCommand("resume", symbol="BTCUSDT"))
    assert stage.engine.core.states.effective(VENUE, "BTCUSDT")[0] is RiskState.CIRCUIT_BREAKER

    again = Stage(settings, loaded=stage.journal.load())
    again.open()
    again.pass_ms(5_000)
    assert again.engine.core.states.effective(VENUE, "BTCUSDT")[0] is RiskState.NORMAL


def test_unknown_verbs_and_names_are_answered_in_words() -> None:
    stage = opened()
    stage.give(OperatorCommand("explode"))
    stage.give(OperatorCommand("pause", symbol="NOSUCH"))

    assert all(isinstance(answer, Answer) for answer in stage.others)
    assert "known: pause" in stage.others[0].text  # type: ignore[union-attr]  # it is an Answer
    assert "NOSUCH" in stage.others[1].text  # type: ignore[union-attr]  # it is an Answer


def test_the_models_verdict_only_reduces() -> None:
    stage = opened(RiskSettings(cool_down_s=1.0))
    stage.ask(want=100)
    stage.give(RiskView("BTCUSDT", 0.5, False, 300.0, 0.0, 10.0))
    assert stage.messages(LeaseGrant)[-1].long_lots == 30

    stage.give(RiskView("BTCUSDT", 0.1, False, 1e9, 0.0, 10.0))
    lease = stage.engine.core.book.get(VENUE, "BTCUSDT")
    assert lease is not None
    assert lease.cap_nusd == 5_000 * 10**9  # never above ours

    stage.give(RiskView("fleet", 0.95, True, 0.0, 0.0, 10.0))
    assert stage.engine.state is RiskState.CIRCUIT_BREAKER
    stage.pass_ms(12_000)
    assert stage.engine.state < RiskState.CIRCUIT_BREAKER


def test_gross_share_and_markouts_are_in_the_summary() -> None:
    stage = opened()
    stage.ask(want=100)
    stage.hear(GATEWAY, stage.fill(lots=1))
    stage.marks(BTCUSDT=10_010)
    stage.pass_ms(1_100)

    summary = stage.engine.summary()
    assert summary["risk"]["gross_usd_max"] == pytest.approx(1_000.0, rel=0.01)
    assert summary["markout_bps"]["1s"] == pytest.approx(10.0)
    assert stage.engine.why("BTCUSDT")[VENUE]["waits_for"] == ""
