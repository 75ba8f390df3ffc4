from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.risk.ledger import Ledger, LedgerState
from actors.vocab.market import Side
from tests.risk.fleet import instrument

CENT = instrument(tick_size="0.01", lot_size="1")


def test_the_reference_case_of_the_identity() -> None:
    """Mids 100, 100.02, 100.03, 99.96, 100.04; five fills; a rebate of half a basis point."""
    mids2 = [20_000, 20_004, 20_006, 19_992, 20_008]
    fills = {
        0: [(Side.BUY, 9_998, 2)],
        1: [(Side.SELL, 10_005, 1)],
        2: [(Side.BUY, 10_000, 3)],
        3: [(Side.SELL, 9_999, 2)],
        4: [(Side.SELL, 10_006, 2)],
    }
    ledger = Ledger(CENT)
    for step, mid2 in enumerate(mids2):
        ledger.mark(mid2)
        for side, ticks, lots in fills[step]:
            ledger.fill(side, ticks, lots)
            ledger.fee(Decimal(ticks) * lots * Decimal("0.01") * Decimal("-0.00005"))

    parts = ledger.parts()

    assert parts.spread_capture_usd == Decimal("0.26")
    assert parts.inventory_usd == Decimal("-0.07")
    assert parts.fees_usd == Decimal("-0.0500055")
    assert parts.net_usd == Decimal("0.2400055")
    assert parts.residual_usd == 0
    assert ledger.position_lots == 0


def test_a_stock_is_no_profit_when_brought_in_and_its_price_counts_from_then_on() -> None:
    early, late = Ledger(CENT), Ledger(CENT)
    early.bring_in(10)  # before any price
    assert early.awaits_price
    for ledger in (early, late):
        ledger.mark(20_000)
    late.bring_in(10)
    for ledger in (early, late):
        assert ledger.parts().net_usd == 0
        ledger.fill(Side.SELL, 10_001, 4)
        ledger.mark(20_020)  # 10 cents up on ten coins of stock, 9 down on four sold

        parts = ledger.parts()
        assert (ledger.known_lots, ledger.stock_lots) == (-4, 10)
        assert (parts.net_usd, parts.stock_usd, parts.residual_usd) == (Decimal("0.64"), Decimal("1.00"), 0)
        assert parts.realised_usd + parts.unrealised_usd == parts.spread_capture_usd + parts.inventory_usd
        assert ledger.net_float() == pytest.approx(-0.36)  # limits watch what was traded

        again = Ledger(CENT, opening_lots=-4)
        again.restore(LedgerState.from_json(ledger.state().to_json()))
        assert again.parts() == parts


def test_average_price_realised_and_unrealised() -> None:
    ledger = Ledger(CENT)
    ledger.mark(20_000)
    ledger.fill(Side.BUY, 10_000, 2)
    ledger.fill(Side.BUY, 10_010, 2)
    assert ledger.average_ticks == 10_005.0

    ledger.fill(Side.SELL, 10_025, 1)
    ledger.mark(20_040)

    parts = ledger.parts()
    assert parts.realised_usd == Decimal("0.20")
    assert parts.unrealised_usd == Decimal("0.45")


def test_turning_around_starts_a_new_average() -> None:
    ledger = Ledger(CENT)
    ledger.mark(20_000)
    ledger.fill(Side.BUY, 10_000, 2)
    ledger.fill(Side.SELL, 10_010, 5)

    assert ledger.position_lots == -3
    assert ledger.average_ticks == 10_010.0
    assert ledger.parts().realised_usd == Decimal("0.20")


def test_an_opening_position_neither_gains_nor_loses_before_its_first_mid() -> None:
    ledger = Ledger(CENT, opening_lots=7)
    ledger.mark(20_000)
    assert ledger.parts().net_usd == 0

    ledger.mark(20_200)
    assert ledger.parts().inventory_usd == Decimal("7")


def test_an_adopted_change_is_no_profit() -> None:
    ledger = Ledger(CENT)
    ledger.mark(20_000)
    ledger.adjust(-3)

    assert ledger.parts().net_usd == 0
    assert ledger.position_lots == -3


def test_funding_and_fees_end_in_net() -> None:
    ledger = Ledger(CENT)
    ledger.mark(20_000)
    ledger.fee(Decimal("0.5"))
    ledger.funding(Decimal("-0.25"))

    assert ledger.parts().net_usd == Decimal("-0.75")


def test_a_new_tick_size_keeps_every_amount() -> None:
    ledger = Ledger(CENT)
    ledger.mark(20_000)
    ledger.fill(Side.BUY, 9_998, 2)
    before = ledger.parts()

    ledger.rebase(instrument(tick_size="0.001", lot_size="1"))
    ledger.mark(200_000)

    assert ledger.parts() == before
    assert ledger.average_ticks == 99_980.0


@pytest.mark.parametrize(
    ("changes", "mid2"),
    [
        ({"tick_size": "0.01"}, 200_030),
        ({"tick_size": "1"}, 2_000),  # nearest half tick
        ({"lot_size": "0.001"}, 20_003),
        ({"tick_size": "0.01", "lot_size": "0.1"}, 200_030),  # a tick on a lot is worth what it was
    ],
)
def test_new_steps_keep_the_mid(changes: dict[str, str], mid2: int) -> None:
    ledger = Ledger(instrument())
    ledger.mark(20_003)

    ledger.rebase(instrument(**{"tick_size": "0.1", "lot_size": "0.01"} | changes))

    assert ledger.mid2 == mid2


fills = st.lists(
    st.tuples(
        st.sampled_from(list(Side)),
        st.integers(9_900, 10_100),
        st.integers(1, 50),
        st.integers(19_800, 20_200),
        st.decimals("-1", "1", places=6),
    ),
    max_size=40,
)


@given(fills)
def test_the_identity_closes_exactly(rows: list[tuple[Side, int, int, int, Decimal]]) -> None:
    """Net counted as cash plus position at the mid equals the sum of the parts counted step by step."""
    ledger = Ledger(CENT)
    cash = capture = inventory = fees = Decimal(0)
    position, last2 = 0, 20_000
    ledger.mark(last2)
    for side, ticks, lots, mid2, fee in rows:
        inventory += Decimal(position * (mid2 - last2)) / 200
        last2 = mid2
        ledger.mark(mid2)
        ledger.fill(side, ticks, lots)
        ledger.fee(fee)
        capture += Decimal(side * lots * (mid2 - 2 * ticks)) / 200
        cash -= Decimal(side * lots * ticks) / 100 + fee
        fees += fee
        position += side * lots

    parts = ledger.parts()

    assert parts.spread_capture_usd == capture
    assert parts.inventory_usd == inventory
    assert parts.net_usd == cash + Decimal(position * last2) / 200
    assert parts.net_usd == capture + inventory - fees
    assert abs(parts.realised_usd + parts.unrealised_usd - capture - inventory) < Decimal("1e-15")


@given(fills, st.integers(0, 40))
def test_a_restart_in_between_changes_nothing(rows: list[tuple[Side, int, int, int, Decimal]], cut: int) -> None:
    through, again = Ledger(CENT), Ledger(CENT)
    for number, (side, ticks, lots, mid2, fee) in enumerate(rows):
        if number == cut:
            restored = Ledger(CENT)
            restored.restore(LedgerState.from_json(again.state().to_json()))
            again = restored
        for ledger in (through, again):
            ledger.mark(mid2)
            ledger.fill(side, ticks, lots)
            ledger.fee(fee)

    assert again.state() == through.state()
    assert again.parts() == through.parts()
