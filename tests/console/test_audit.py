"""A hand-made run on a hand-made venue, equal to the cent; then one planted error at a time."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from actors.console.audit import compare
from actors.console.audit_views import AuditResult, Clocks, FinalMarks, Ours, Verdict, moved_lots, verdict
from actors.journal.history import History
from actors.journal.rows import GrantRow, HolderRow, LedgerRow, RunRow
from actors.risk.ledger import Ledger
from actors.venues.ledger import (
    LedgerAccount,
    LedgerAmendment,
    LedgerBalance,
    LedgerBook,
    LedgerIncome,
    LedgerOrder,
    LedgerPosition,
    LedgerTrade,
)
from actors.vocab.config.risk import RiskSettings
from actors.vocab.instruments import Instrument
from actors.vocab.market import Side
from actors.vocab.orders import Fill, OrderRow, OrderState
from actors.vocab.venue_io import VenueFill

VENUE = "binance_perp"
AHEAD_MS = 500  # the venue's clock before risk's
T0 = 1_700_000_000_000  # when the run began, by the venue's clock
LOT_USD = 10  # of one lot at 10 000 ticks
LOT_NUSD = LOT_USD * 10**9
# One lot of 0.1 coins at ticks of a cent: a tick on a lot is worth 0.1 cents.
COIN = Instrument("AAAUSDT", VENUE, "perp", "AAAUSDT", "AAA", "USDT", "0.01", "0.1")
OTHER = msgspec.structs.replace(COIN, symbol="BBBUSDT", venue_symbol="BBBUSDT", base="BBB")


def order(
    number: int,
    side: Side,
    lots: int,
    *,
    at: int = 1_000,
    until: int = 3_000,
    filled: int = 0,
    state: OrderState = OrderState.CANCELLED,
    symbol: str = "AAAUSDT",
    client_id: str = "",
) -> LedgerOrder:
    """`at` and `until` in ms since T0."""
    return LedgerOrder(
        symbol=symbol,
        client_id=client_id or f"mnt-{number}",
        venue_order_id=str(number),
        side=side,
        state=state,
        price_ticks=10_000,
        lots=lots,
        filled_lots=filled,
        filled_quote="0",
        created_ms=T0 + at,
        updated_ms=T0 + until,
    )


def trade(number: int, order_no: int, side: Side, lots: int, *, at: int = 2_000, fee: str = "0.006") -> LedgerTrade:
    return LedgerTrade(
        VenueFill(
            request_no=0,
            symbol="AAAUSDT",
            client_id="",
            venue_order_id=str(order_no),
            trade_id=number,
            side=side,
            price_ticks=10_000,
            lots=lots,
            maker=True,
            fee=fee,
            fee_asset="USDT",
            event_ns=(T0 + at) * 10**6,
        )
    )


def fill_of(row: LedgerTrade, fill_no: int, position_lots: int, holder: str = "quote-1") -> Fill:
    theirs = row.fill
    return Fill(
        venue=VENUE,
        symbol=theirs.symbol,
        fill_no=fill_no,
        trade_id=theirs.trade_id,
        client_id=f"mnt-{theirs.venue_order_id}",
        holder=holder,
        ref=0,
        token_grant_no=0,
        side=theirs.side,
        price_ticks=theirs.price_ticks,
        lots=theirs.lots,
        maker=theirs.maker,
        fee=theirs.fee,
        fee_asset=theirs.fee_asset,
        event_ns=theirs.event_ns,
        position_lots=position_lots,
    )


def row_of(row: LedgerOrder, holder: str = "quote-1") -> OrderRow:
    return OrderRow(
        VENUE,
        row.symbol,
        row.client_id,
        holder,
        1,
        OrderState.OPEN,
        row.side,
        row.price_ticks,
        row.lots,
        0,
        1,
        1,
        "",
        row.created_ms * 10**6,
    )


def grant(price_nusd: int = LOT_NUSD, *, at: int = 0, symbol: str = "AAAUSDT", grant_no: int = 1) -> GrantRow:
    """`at` in ms since T0, by the venue's clock; the row is stamped by risk's."""
    return GrantRow(VENUE, symbol, "quote-1", 1, grant_no, 10, 10, price_nusd, T0 + at - AHEAD_MS)


def holder_row(holder: str = "quote-1", *, first: int = 0, last: int = 3_000, ended: str = "released") -> HolderRow:
    return HolderRow(VENUE, "AAAUSDT", holder, 1, T0 + first - AHEAD_MS, T0 + last - AHEAD_MS, ended)


def ledger_row(fills: Sequence[Fill]) -> LedgerRow:
    ledger = Ledger(COIN)
    ledger.mark(20_000)
    for fill in fills:
        ledger.fill(fill.side, fill.price_ticks, fill.lots)
        ledger.fee(Decimal(fill.fee))
    return LedgerRow(VENUE, "AAAUSDT", "run-1", ledger.known_lots, 10_000.0, 1, ledger.state().to_json())


# A buy of 5 lots of which 3 trade, and a sale of 4 cut to 2: position 3, one lot worth 10 USD.
ORDERS = (order(1, Side.BUY, 5, filled=3), order(2, Side.SELL, 2, at=1_500))
CUT = LedgerAmendment("AAAUSDT", "mnt-2", "2", 1, T0 + 2_500, 10_000, 10_010, 4, 2, 1)
TRADES = (trade(11, 1, Side.BUY, 3),)
FILLS = (fill_of(TRADES[0], 1, 3),)
# At a mid of 10 005 ticks: -30 + 3 * 10.005 - 0.006.
NET = Decimal("0.009")

BOOK = LedgerBook(
    venue=VENUE,
    since_ms=T0 - 1_000,
    read_ms=T0 + 5_000,
    instruments=(COIN, OTHER),
    orders=ORDERS,
    open_orders=(),
    amendments=(CUT,),
    trades=TRADES,
    income=(
        LedgerIncome("", "TRANSFER", "1000", "USDT", T0 - 500, 1),
        LedgerIncome("AAAUSDT", "REALIZED_PNL", "0", "USDT", T0 + 2_000, 2, 11),
        LedgerIncome("AAAUSDT", "COMMISSION", "-0.006", "USDT", T0 + 2_000, 3, 11),
    ),
    account=LedgerAccount(balances=(LedgerBalance("USDT", "999.994"),)),
    positions=(LedgerPosition("AAAUSDT", 3, 10_000.0, 10_005.0),),
    is_whole=True,
)
OURS = Ours(
    run_id="run-1",
    symbols=("AAAUSDT", "BBBUSDT"),
    history=History(
        runs=(RunRow("run-1", 1, "1000", T0 - AHEAD_MS),),
        fills=FILLS,
        orders=tuple(row_of(row) for row in ORDERS),
        ledgers=(ledger_row(FILLS),),
        grants=(grant(),),
        holders=(holder_row(),),
        facts={f"venue_ahead_ms:1:{VENUE}": str(AHEAD_MS)},
    ),
    settings=RiskSettings(symbol_usd_max=80, net_base_usd_max=80, venue_usd_max=100, gross_usd_max=100),
    client_prefix="mnt-",
    marks=FinalMarks(
        mid2={(VENUE, "AAAUSDT"): 20_010, (VENUE, "BBBUSDT"): 20_000},
        net_by_symbol={(VENUE, "AAAUSDT"): NET, (VENUE, "BBBUSDT"): Decimal(0)},
        parts={
            "spread_capture": Decimal("0"),
            "inventory": Decimal("0.015"),
            "fees": Decimal("0.006"),
            "funding": Decimal(0),
        },
    ),
    summary={"pnl": {"net_usd": 0.009, "fees_usd": 0.006, "funding_usd": 0.0, "residual_usd": 0.0}},
)


def check(result: AuditResult, name: str) -> Verdict:
    return next(one for one in result.verdicts if one.check.endswith(name))


def bad(result: AuditResult) -> set[str]:
    return {one.check.removeprefix(f"{VENUE}: ") for one in result.verdicts if not one.is_good}


def ours(**history: Any) -> Ours:
    return msgspec.structs.replace(OURS, history=msgspec.structs.replace(OURS.history, **history))


def theirs(**changes: Any) -> LedgerBook:
    return msgspec.structs.replace(BOOK, **changes)


def test_an_equal_run_is_equal_to_the_cent() -> None:
    result = compare(OURS, [BOOK])

    assert bad(result) == set()
    assert result.net_usd == NET
    assert result.reconcile() == dict.fromkeys(
        ("position_mismatch_count", "orphan_orders_count", "lost_fills_count"), 0
    )
    # Long: 5 lots of buys. Short: 4 lots of sales before any trade.
    assert {use.limit: use.usd_max for use in result.uses} == {
        "gross": 50,
        f"venue {VENUE}": 50,
        "AAA long": 50,
        "AAA short": 40,
        f"symbol {VENUE} AAAUSDT": 50,
    }


# --- fills, positions, money -------------------------------------------------------------------------------------


def test_a_lost_fill_is_found() -> None:
    result = compare(ours(fills=(), ledgers=()), [BOOK])

    assert {"fills", "positions"} <= bad(result)
    assert check(result, ": fills").findings == ("AAAUSDT trade 11 (BUY 3 lots at 10000 ticks) is not in the journal",)
    assert result.lost_fills_count == 1
    assert result.position_mismatch_count == 1
    assert "venue 3 lots, risk 0" in check(result, "positions").findings[0]


def test_a_fill_counted_twice_is_found() -> None:
    twice = (*FILLS, fill_of(TRADES[0], 2, 6))
    result = compare(ours(fills=twice, ledgers=(ledger_row(twice),)), [BOOK])

    assert "2 times: fill numbers 1, 2" in check(result, ": fills").findings[0]
    assert "positions" in bad(result)
    assert result.lost_fills_count == 0


def test_a_fill_that_the_venue_never_made_is_found() -> None:
    made_up = fill_of(trade(99, 1, Side.SELL, 3), 2, 0)
    result = compare(ours(fills=(*FILLS, made_up)), [BOOK])

    assert check(result, ": fills").findings == ("fill 2 of AAAUSDT, trade 99: the venue has no such trade",)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"fee": "0.0061"}, "fee ours 0.0061, the venue's 0.006"),
        ({"fee_asset": "BNB"}, "fee asset ours BNB, the venue's USDT"),
        ({"price_ticks": 9_999}, "price ours 9999, the venue's 10000"),
        ({"lots": 2}, "size ours 2, the venue's 3"),
        ({"maker": False}, "maker ours False, the venue's True"),
        ({"client_id": "mnt-2"}, "order ours mnt-2, the venue's mnt-1"),
        ({"side": Side.SELL}, "is not in the journal"),
    ],
)
def test_a_fill_told_wrongly_is_found(change: dict[str, Any], told: str) -> None:
    result = compare(ours(fills=(msgspec.structs.replace(FILLS[0], **change),)), [BOOK])

    assert told in check(result, ": fills").findings[0]


def test_a_fee_of_a_cent_too_much_is_missing_from_the_net() -> None:
    dear = (trade(11, 1, Side.BUY, 3, fee="0.016"),)
    result = compare(OURS, [theirs(trades=dear)])

    assert {"fills", "fees", "venue's commissions and trades", "net pnl", "summary.json pnl"} <= bad(result)
    assert result.net_usd == NET - Decimal("0.01")
    assert "ours 0.009, the venue's -0.001000 USD" in check(result, "net pnl").findings[0]


def test_fills_before_the_book_are_another_runs() -> None:
    old = msgspec.structs.replace(FILLS[0], fill_no=0, trade_id=3, event_ns=(T0 - 2_000) * 10**6, position_lots=0)

    assert bad(compare(ours(fills=(old, *FILLS)), [BOOK])) == set()


def test_funding_is_compared_and_earned() -> None:
    paid = LedgerIncome("AAAUSDT", "FUNDING_FEE", "-0.5", "USDT", T0 + 2_600, 9)
    wallet = LedgerAccount(balances=(LedgerBalance("USDT", "999.494"),))
    result = compare(OURS, [theirs(income=(*BOOK.income, paid), account=wallet)])

    assert bad(result) == {"funding", "net pnl", "summary.json pnl"}
    assert result.net_usd == NET - Decimal("0.5")


def test_a_wallet_that_its_rows_do_not_explain_is_found() -> None:
    result = compare(OURS, [theirs(account=LedgerAccount(balances=(LedgerBalance("USDT", "999"),)))])

    assert bad(result) == {"venue's balance rows and wallet"}


def test_a_venue_that_contradicts_itself_is_found() -> None:
    result = compare(OURS, [theirs(orders=(msgspec.structs.replace(ORDERS[0], filled_lots=4), ORDERS[1]))])

    assert check(result, "orders and trades").findings == ("AAAUSDT order 1: its row says 4 lots filled, its trades 3",)


def test_a_change_of_an_order_that_could_not_be_read_is_missed() -> None:
    third = msgspec.structs.replace(CUT, amendment_id=3, amendments_count=3)
    result = compare(OURS, [theirs(amendments=(CUT, third))])
    assert bad(result) == {"changes of orders, read and told"}
    assert check(result, "read and told").findings == ("AAAUSDT order 2: 2 of 3 changes could be read",)


def test_a_summary_that_leaves_a_residual_is_found() -> None:
    summary = {"pnl": {"net_usd": 0.009, "fees_usd": 0.006, "funding_usd": 0.0, "residual_usd": 0.02}}
    result = compare(msgspec.structs.replace(OURS, summary=summary), [BOOK])

    assert bad(result) == {"summary.json pnl"}


def test_without_final_marks_nothing_is_claimed() -> None:
    result = compare(msgspec.structs.replace(OURS, marks=None), [BOOK])

    assert bad(result) == {"net pnl"}
    assert result.net_usd is None


def test_spot_positions_are_whole_coins_and_fees_in_coins_take_from_them() -> None:
    spot = msgspec.structs.replace(COIN, venue="binance_spot", market="spot")
    bought = LedgerTrade(
        msgspec.structs.replace(trade(1, 1, Side.BUY, 10).fill, fee="0.04", fee_asset="AAA")
    )  # 0.4 lots of the coin
    book = theirs(
        instruments=(spot,),
        trades=(bought, msgspec.structs.replace(bought, fill=msgspec.structs.replace(bought.fill, trade_id=2))),
    )

    assert moved_lots(book, spot) == [9, 10]


# --- orders that nobody owns -------------------------------------------------------------------------------------


def test_an_order_open_at_the_end_is_an_orphan() -> None:
    left = order(7, Side.BUY, 1, at=2_900, until=2_900, state=OrderState.OPEN)
    result = compare(OURS, [theirs(orders=(*ORDERS, left), open_orders=(left,))])

    assert bad(result) == {"orders open at the end"}
    assert result.orphan_orders_count == 1
    assert "mnt-7" in check(result, "open at the end").findings[0]


def test_foreign_orders_are_left_alone_but_counted() -> None:
    stranger = order(7, Side.BUY, 1, until=9_000, state=OrderState.OPEN, client_id="by-hand")
    result = compare(OURS, [theirs(orders=(*ORDERS, stranger), open_orders=(stranger,))])

    assert bad(result) == set()
    assert result.orphan_orders_count == 0
    assert any("1 orders are not ours" in note for note in result.notes)
    assert result.uses[0].usd_max == 60


@pytest.mark.parametrize(("until", "good"), [(6_000, True), (6_001, False)])
def test_an_order_may_live_lease_and_a_second_after_its_holder(until: int, good: bool) -> None:
    """The holder was last heard of at 3 000; a lease is 2 s."""
    late = (*ORDERS, order(7, Side.SELL, 1, until=until))
    journal = ours(orders=tuple(row_of(row) for row in late), holders=(holder_row(ended="expired"),))
    result = compare(journal, [theirs(orders=late, read_ms=T0 + 10_000)])

    assert check(result, "holder's death").is_good is good
    if not good:
        assert "mnt-7 of quote-1 lived 3001 ms after" in check(result, "holder's death").findings[0]


def test_an_order_that_the_journal_lost_belongs_to_who_held_the_symbol() -> None:
    late = (*ORDERS, order(7, Side.SELL, 1, at=4_000, until=6_500))
    holders = (
        holder_row(ended="replaced"),
        holder_row("quote-2", first=3_900, last=6_400, ended="released"),
    )
    result = compare(ours(holders=holders), [theirs(orders=late, read_ms=T0 + 10_000)])

    assert bad(result) == set()
    gone = ours(holders=holders[:1])
    assert not check(compare(gone, [theirs(orders=late, read_ms=T0 + 10_000)]), "holder's death").is_good


def test_a_holder_that_outlived_a_risk_life_goes_on() -> None:
    second = HolderRow(VENUE, "AAAUSDT", "quote-1", 2, T0 + 8_000, T0 + 9_000, "released")
    facts = {**OURS.history.facts, f"venue_ahead_ms:2:{VENUE}": "0"}  # this term runs on another host's clock
    late = (*ORDERS, order(7, Side.SELL, 1, until=9_500))
    journal = ours(holders=(holder_row(ended=""), second), facts=facts)
    result = compare(journal, [theirs(orders=late, read_ms=T0 + 10_000)])

    assert check(result, "holder's death").is_good


def test_a_journal_without_lives_is_no_proof() -> None:
    result = compare(ours(holders=()), [BOOK])

    assert bad(result) == {"orders after their holder's death"}


# --- exposure ----------------------------------------------------------------------------------------------------


def test_an_overrun_of_one_event_is_found() -> None:
    """Four more lots on the buy side for 1 ms, until the first is cancelled: 9 lots of 80 USD allowed."""
    more = order(7, Side.BUY, 4, at=1_800, until=1_801)
    result = compare(OURS, [theirs(orders=(*ORDERS, more))])

    assert bad(result) == {"worst-case exposure"}
    assert result.overruns_count == 1
    findings = check(result, "exposure").findings
    assert findings[0].startswith("AAA long: 90.00 of 80.00 USD at 1 events, first at")
    assert {text.split(":")[0] for text in findings} == {"AAA long", f"symbol {VENUE} AAAUSDT"}


def test_what_ends_and_what_opens_in_one_millisecond_do_not_add_up() -> None:
    chain = [order(number, Side.BUY, 8, at=3_000 + number, until=3_001 + number) for number in range(5, 9)]
    flat = theirs(orders=tuple(chain), trades=(), amendments=(), positions=())

    assert check(compare(OURS, [flat]), "exposure").is_good


def test_an_order_that_ends_in_the_millisecond_it_began_leaves_nothing() -> None:
    brief = [order(number, Side.BUY, 5, at=4_000 + number, until=4_000 + number) for number in range(10, 20)]
    result = compare(OURS, [theirs(orders=(*ORDERS, *brief))])

    # 3 lots held and 5 more at a time.
    assert check(result, "exposure").is_good
    assert max(use.usd_max for use in result.uses) == 80


def test_an_amendment_counts_from_its_moment() -> None:
    grown = LedgerAmendment("AAAUSDT", "mnt-2", "2", 1, T0 + 2_500, 10_000, 10_000, 4, 12, 1)
    rows = (ORDERS[0], msgspec.structs.replace(ORDERS[1], lots=12))
    result = compare(OURS, [theirs(orders=rows, amendments=(grown,))])

    # 12 lots for sale, 3 held: 9 short.
    assert not check(result, "exposure").is_good
    assert next(use for use in result.uses if use.limit == "AAA short").usd_max == 90


def test_both_symbols_of_a_venue_add_up() -> None:
    others = order(7, Side.SELL, 6, symbol="BBBUSDT", at=1_200, until=1_900)
    journal = ours(grants=(grant(), grant(symbol="BBBUSDT")))
    result = compare(journal, [theirs(orders=(*ORDERS, others))])

    # 50 USD of AAA's worse side and 60 of BBB's: over 100 together, each within its own.
    assert {text.split(":")[0] for text in check(result, "exposure").findings} == {"gross", f"venue {VENUE}"}
    assert next(use for use in result.uses if use.limit == "BBB short").usd_max == 60


def test_prices_are_those_frozen_at_the_time() -> None:
    """The price of a lot doubles while only the 3 lots are held: 60 USD; had it been so at the start, 100."""
    journal = ours(grants=(grant(), grant(2 * LOT_NUSD, at=3_500, grant_no=2)))
    late = (*ORDERS, order(7, Side.SELL, 1, at=4_000, until=4_100))
    result = compare(journal, [theirs(orders=late)])
    assert check(result, "exposure").is_good
    assert next(use for use in result.uses if use.limit == "AAA long").usd_max == 60

    from_the_start = ours(grants=(grant(2 * LOT_NUSD),))
    assert not check(compare(from_the_start, [BOOK]), "exposure").is_good


def test_a_price_that_fell_just_after_an_event_counts_for_it() -> None:
    """Two clocks cannot be told apart by 100 ms, so room made by a lower price is not an overrun."""
    orders = (order(7, Side.BUY, 9, at=4_000, until=4_100),)
    flat = {"orders": orders, "trades": (), "amendments": (), "positions": ()}
    for fell_at, good in ((4_090, True), (4_120, False)):
        journal = ours(grants=(grant(), grant(LOT_NUSD // 2, at=fell_at, grant_no=2)))
        assert check(compare(journal, [theirs(**flat)]), "exposure").is_good is good


def test_without_frozen_prices_orders_are_taken_and_that_is_said() -> None:
    result = compare(ours(grants=()), [BOOK])

    assert bad(result) == set()
    assert any("order prices are taken: binance_perp AAAUSDT" in note for note in result.notes)
    # At the price of the newest order, 10 010 ticks.
    assert next(use for use in result.uses if use.limit == "AAA long").usd_max == 50.05


def test_a_position_from_before_counts_from_the_start() -> None:
    held = (LedgerPosition("AAAUSDT", 8, 10_000.0, 10_000.0),)
    result = compare(OURS, [theirs(positions=held, is_whole=False)])

    # 5 from before and 5 lots of buys.
    assert next(use for use in result.uses if use.limit == "AAA long").usd_max == 100


# --- parts -------------------------------------------------------------------------------------------------------


def test_clocks_of_terms_and_venues_meet() -> None:
    clocks = Clocks({"venue_ahead_ms:1:v": "100", "venue_ahead_ms:3:v": "-50", "term": "3"})

    assert clocks.of_venue("v", 1_000) == 1_050
    assert clocks.to_venue("v", 1_050) == 1_000
    assert clocks.of_risk(3, "v", 1_050) == 1_050
    assert clocks.of_risk(1, "v", 900) == 1_050
    assert clocks.of_risk(9, "v", 7) == 7
    assert clocks.of_venue("unheard", 5) == 5


def test_long_lists_are_cut_and_counted() -> None:
    told = verdict("x", 1, 2, [str(number) for number in range(25)])

    assert (len(told.findings), told.findings[-1], told.faults_count) == (21, "and 5 more", 25)
