from __future__ import annotations

import pytest

from actors.risk import limits
from actors.vocab.leases import RiskState


@pytest.mark.parametrize(
    ("limit", "others", "price", "lots"), [(100, 0, 10, 10), (100, 95, 10, 0), (100, 120, 10, 0), (100, 1, 10, 9)]
)
def test_headroom_lots(limit: int, others: int, price: int, lots: int) -> None:
    assert limits.headroom_lots(limit_nusd=limit, others_nusd=others, price_nusd=price) == lots


@pytest.mark.parametrize(("want", "wished", "lots"), [(10, 100, 10), (10, 200, 5), (10, 101, 9), (0, 500, 0)])
def test_wishes_above_the_limit_are_scaled(want: int, wished: int, lots: int) -> None:
    assert limits.fair_lots(want_lots=want, limit_nusd=100, wished_nusd=wished) == lots


@pytest.mark.parametrize(
    ("share", "state"),
    [
        (0.0, RiskState.NORMAL),
        (0.79, RiskState.NORMAL),
        (0.8, RiskState.WARNING),
        (1.0, RiskState.REDUCE_ONLY),
        (3.0, RiskState.REDUCE_ONLY),
    ],
)
def test_share_state(share: float, state: RiskState) -> None:
    assert limits.share_state(share=share, warning_share=0.8) is state


@pytest.mark.parametrize(("position", "envelope"), [(5, (5, 0)), (-5, (0, 5)), (0, (0, 0))])
def test_reduce_envelope(position: int, envelope: tuple[int, int]) -> None:
    assert limits.reduce_envelope(position) == envelope


def test_a_lot_is_never_free() -> None:
    assert limits.lot_price_nusd(mid_ticks=1.0, usd_per_tick_lot=1e-12) == 1


def test_a_booking_has_slack_but_not_above_the_symbols_cap() -> None:
    assert limits.booking_lots(needed_lots=100, cap_lots=1_000) == 126
    assert limits.booking_lots(needed_lots=100, cap_lots=110) == 110
    assert limits.booking_lots(needed_lots=100, cap_lots=0) == 100


@pytest.mark.parametrize(
    ("price", "low", "high", "pct"),
    [(110.0, 100.0, 110.0, 10.0), (90.0, 90.0, 100.0, 10.0), (100.0, 100.0, 100.0, 0.0)],
)
def test_move_pct(price: float, low: float, high: float, pct: float) -> None:
    assert limits.move_pct(price=price, low=low, high=high) == pytest.approx(pct)


def test_near_keeps_an_envelope_within_a_tenth() -> None:
    assert limits.is_near(91, 100)
    assert not limits.is_near(89, 100)
    assert not limits.is_near(0, 1)
    assert limits.is_near(0, 0)
