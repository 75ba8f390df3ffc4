"""Money is conserved to the last booked digit."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.sim.accounts import PerpAccount, SpotAccount
from actors.sim.messages import Private, Public
from actors.sim.orders import SimOrder
from actors.vocab.market import Side
from actors.vocab.orders import DONE_STATES
from actors.vocab.venue_io import (
    PublicTrade,
    VenueCancel,
    VenueFill,
    VenuePlace,
    VenueReplace,
    VenueRequest,
)
from tests.sim.desk_helpers import Client, instrument, sim, still

BUY, SELL = Side.BUY, Side.SELL
TERMS = instrument()
FEE = Decimal("2")


def perp(mark_ticks: float = 10_000.0) -> PerpAccount:
    return PerpAccount(quote="USDT", wallet=Decimal(1_000), mark_of=lambda symbol: mark_ticks)


def test_average_price_and_realised_profit() -> None:
    """Bought 10 at 100 and 10 at 102, sold 5 at 104: average 101, realised 0.5 * 3 = 1.5."""
    account = perp()
    account.book(TERMS, BUY, 10_000, 10, Decimal(0))
    account.book(TERMS, BUY, 10_200, 10, Decimal(0))
    assert account.entry_ticks("AAAUSDT") == 10_100.0

    booked = account.book(TERMS, SELL, 10_400, 5, Decimal(0))

    assert booked.realized_pnl == Decimal("1.5")
    assert account.entry_ticks("AAAUSDT") == 10_100.0
    assert account.wallet == Decimal("1001.5")


def test_a_trade_through_zero_closes_and_opens() -> None:
    account = perp()
    account.book(TERMS, BUY, 10_000, 10, Decimal(0))

    booked = account.book(TERMS, SELL, 10_100, 15, Decimal(0))

    assert booked.realized_pnl == Decimal(1)
    assert account.position_lots(TERMS) == -5
    assert account.entry_ticks("AAAUSDT") == 10_100.0


def test_fees_are_paid_on_the_value_and_rebates_are_received() -> None:
    account = perp()

    assert account.book(TERMS, BUY, 10_000, 10, Decimal(5)).fee == Decimal("0.05")
    assert account.book(TERMS, BUY, 10_000, 10, Decimal("-0.5")).fee == Decimal("-0.005")


def test_margin_counts_the_worse_side_only_and_frees_what_reduces() -> None:
    account = PerpAccount(quote="USDT", wallet=Decimal(100), mark_of=lambda symbol: 10_000.0)
    buy = SimOrder("us", "AAAUSDT", 1, "o1", BUY, 10_000, 150, 0)
    sell = SimOrder("us", "AAAUSDT", 2, "o2", SELL, 10_000, 150, 0)
    assert account.affords(TERMS, buy, 10_000)
    account.reserve(TERMS, buy, alive=True)

    assert account.affords(TERMS, sell, 10_000)  # the other side of the same size needs nothing more
    more = SimOrder("us", "AAAUSDT", 3, "o3", BUY, 10_000, 100, 0)
    assert not account.affords(TERMS, more, 10_000)
    account.reserve(TERMS, buy, alive=False)
    assert account.affords(TERMS, more, 10_000)


FILLS = st.lists(
    st.tuples(
        st.sampled_from([BUY, SELL]),
        st.integers(1, 50_000),
        st.integers(1, 997),
        st.decimals("-1", "10", places=2),
        st.booleans(),
    ),
    max_size=40,
)


@given(FILLS, st.floats(1, 50_000, allow_nan=False))
def test_equity_is_the_deposit_plus_its_parts(
    fills: list[tuple[Side, int, int, Decimal, bool]], mark_ticks: float
) -> None:
    """Equity = wallet + unrealised, and both equal what cash flows and the position's value say."""
    mark = [mark_ticks]
    account = PerpAccount(quote="USDT", wallet=Decimal(10**6), mark_of=lambda symbol: mark[0])
    parts = cash = Decimal(10**6)
    lots = 0
    for side, price_ticks, size, fee_bps, fund in fills:
        booked = account.book(TERMS, side, price_ticks, size, fee_bps)
        parts += booked.realized_pnl - booked.fee
        cash -= int(side) * price_ticks * size * TERMS.usd_per_tick_lot_exact + booked.fee
        lots += int(side) * size
        if fund:
            funded = account.fund("AAAUSDT", Decimal("0.0001"))
            parts += funded
            cash += funded
    if not fills:
        return

    assert account.wallet == parts
    assert account.position_lots(TERMS) == lots
    assert account.equity() == parts + account.unrealized("AAAUSDT")
    value = Decimal(repr(mark_ticks)) * lots * TERMS.usd_per_tick_lot_exact
    assert abs(account.equity() - (cash + value)) <= Decimal("0.00000001")
    assert lots or account.equity() == parts


@given(FILLS)
def test_spot_balances_are_the_sum_of_what_was_booked(fills: list[tuple[Side, int, int, Decimal, bool]]) -> None:
    terms = instrument(market="spot")
    account = SpotAccount(quote="USDT", balances={"USDT": Decimal(10**9)}, mark_of=lambda symbol: 10_000.0)
    quote, base = Decimal(10**9), Decimal(0)
    for side, price_ticks, lots, fee_bps, _ in fills:
        booked = account.book(terms, side, price_ticks, lots, fee_bps)
        quote -= int(side) * price_ticks * lots * terms.usd_per_tick_lot_exact
        base += int(side) * lots * terms.lot
        if booked.fee_asset == "USDT":
            quote -= booked.fee
        else:
            base -= booked.fee

    assert account.totals.get("USDT", Decimal(0)) == quote
    assert account.totals.get("AAA", Decimal(0)) == base


# --- the same through a whole exchange ---------------------------------------------------------------------------

ASKS = st.lists(
    st.tuples(
        st.sampled_from(["place", "market", "cancel", "replace", "wait"]),
        st.sampled_from([BUY, SELL]),
        st.integers(-8, 8),
        st.integers(1, 3_000),
        st.sampled_from(["us", "them"]),
    ),
    max_size=40,
)


@pytest.mark.parametrize("market", ["perp", "spot"])
@settings(max_examples=40)
@given(asks=ASKS, seed=st.integers(0, 1_000))
def test_nothing_is_created_or_lost(market: str, asks: list[tuple[str, Side, int, int, str]], seed: int) -> None:
    """Ledger, private events, public trades and accounts tell one story, whatever two accounts do."""
    exchange = sim(
        market="spot" if market == "spot" else "perp",
        seed=seed,
        settings=still(
            taker_rate_per_s=10.0, informed_share=0.4, order_latency_ms=3.0, funding_interval_s=1.0, balance_usd=1e5
        ),
    )
    clients = {name: Client(exchange, name) for name in ("us", "them")}
    log = clients["us"].log
    for client in clients.values():
        client.log = log  # one record of everything, in order
        exchange.open_account(client.account, client.now_ns)
    start = {name: exchange.equity(name) for name in clients}
    for number, (action, side, away, lots, name) in enumerate(asks):
        client = clients[name]
        best = exchange.top("AAAUSDT")
        price = (best.bid_ticks if side is BUY else best.ask_ticks) - int(side) * away
        request: VenueRequest
        if action in ("place", "market"):
            request = VenuePlace(
                number, "AAAUSDT", f"o{number}", side, price, lots, post_only=False, market=action == "market"
            )
        elif action == "cancel":
            request = VenueCancel(number, "AAAUSDT", f"o{number - 1}")
        elif action == "replace":
            request = VenueReplace(number, "AAAUSDT", f"o{number - 1}", f"o{number}", "", side, price, lots)
        else:
            client.run(200)
            continue
        client.ask(request)
        client.run(20)
    clients["us"].run(50)

    ledger = exchange.ledger
    public = {
        each.event.trade_id: each.event
        for each in log
        if isinstance(each, Public) and isinstance(each.event, PublicTrade)
    }
    for name in clients:
        trades = ledger.trades(name, "AAAUSDT")
        told = [each.event for each in log if isinstance(each, Private) and each.account == name]
        assert [each for each in told if isinstance(each, VenueFill)] == [each.fill for each in trades]
        for trade in trades:
            seen = public[trade.fill.trade_id]
            assert (seen.price_ticks, seen.lots) == (trade.fill.price_ticks, trade.fill.lots)
            assert seen.side == (trade.fill.side.other if trade.fill.maker else trade.fill.side)
        orders = ledger.orders(name)
        assert sum(each.side * each.filled_lots for each in orders) == sum(
            each.fill.side * each.fill.lots for each in trades
        )
        for order in orders:
            life = ledger.transitions(name, order.venue_order_id)
            assert life[0].event == "NEW"
            assert [each.filled_lots for each in life] == sorted(each.filled_lots for each in life)
            assert all(before.state not in DONE_STATES for before in life[:-1])
            assert life[-1].state == order.state
        open_rows = {each.venue_order_id for each in ledger.orders(name, open_only=True)}
        resting = {str(each.order_id) for each in exchange._book("AAAUSDT").orders() if each.account == name}
        assert open_rows == resting
        income = [Decimal(row.amount) for row in ledger.income(name) if row.asset == "USDT"]
        state = exchange.account_state(name)
        wallet = Decimal(state.balances[0].wallet)
        if market == "perp":
            assert wallet == sum(income)
            assert (
                state.positions[0].position_lots == sum(each.fill.side * each.fill.lots for each in trades)
                if (state.positions)
                else not trades
            )
            unrealized = sum((Decimal(each.unrealized) for each in state.positions), Decimal(0))
            assert exchange.equity(name) - start[name] == sum(income[1:]) + unrealized
        else:
            assert all(Decimal(each.wallet) >= Decimal(each.locked) >= 0 for each in state.balances)
            if not open_rows:
                assert all(Decimal(each.locked) == 0 for each in state.balances)
