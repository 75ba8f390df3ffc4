"""Ticks, lots and floors of the wished ladder."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.quote.ladder import (
    SpreadLimits,
    Wish,
    ask_wishes,
    bid_wishes,
    bounded,
    edges_ticks,
    level_lots,
    level_shares,
    lots_min_at,
    model_shares,
    scaled_lots,
    spread_floor_bps,
)

LIMITS = SpreadLimits(floor_bps=5.0, cap_bps=200.0, skew_bps_max=50.0)


@pytest.mark.parametrize(
    ("fee", "adverse", "least", "respects", "floor"),
    [
        (2.0, 0.5, 1.0, True, 5.0),  # both sides pay fee and adverse markout
        (-0.5, 0.5, 1.0, True, 1.0),  # a rebate that adverse selection eats: the plain minimum
        (2.0, 0.5, 8.0, True, 8.0),
        (2.0, 0.5, 1.0, False, 1.0),
    ],
)
def test_spread_floor(fee: float, adverse: float, least: float, respects: bool, floor: float) -> None:
    found = spread_floor_bps(maker_fee_bps=fee, adverse_bps=adverse, spread_bps_min=least, respects_fees=respects)

    assert found == floor


@pytest.mark.parametrize(
    ("centre", "spread", "view_floor", "expected"),
    [
        (1.0, 8.0, 0.0, (1.0, 8.0)),
        (1.0, 2.0, 0.0, (1.0, 5.0)),  # below the floor
        (1.0, 900.0, 0.0, (1.0, 200.0)),  # above the cap
        (1.0, 8.0, 300.0, (1.0, 300.0)),  # a view's floor is not capped: it only takes away
        (-80.0, 8.0, 0.0, (-50.0, 8.0)),
        (80.0, 8.0, 0.0, (50.0, 8.0)),
        (math.nan, 8.0, 0.0, None),
        (1.0, math.nan, 0.0, None),
        (math.inf, 8.0, 0.0, None),
        (1.0, math.inf, 0.0, None),
    ],
)
def test_bounds_of_the_models_numbers(
    centre: float, spread: float, view_floor: float, expected: tuple[float, float] | None
) -> None:
    assert bounded(centre, spread, LIMITS, view_floor) == expected


@pytest.mark.parametrize(
    ("spread", "view_floor", "add", "expected"),
    [(8.0, 0.0, 10.0, 18.0), (2.0, 0.0, 10.0, 15.0), (900.0, 0.0, 10.0, 210.0), (8.0, 300.0, 10.0, 310.0)],
)
def test_a_verdicts_widening_comes_on_top_of_all_bounds(
    spread: float, view_floor: float, add: float, expected: float
) -> None:
    assert bounded(1.0, spread, LIMITS, view_floor, add) == (1.0, expected)
    assert bounded(1.0, spread, LIMITS, view_floor, math.nan) is None


def test_neither_side_trades_through_the_fair_price() -> None:
    """Long five orders, the model's centre lies 15 bps below: its ask would be 12 bps below the fair price."""
    bid, ask = edges_ticks(100_000.0, -15.0, 6.0)

    assert (bid, ask) == (pytest.approx(99_820.0), 100_000.0)
    assert edges_ticks(100_000.0, 15.0, 6.0) == (100_000.0, pytest.approx(100_180.0))


def test_bids_round_down_and_asks_round_up() -> None:
    assert bid_wishes(99.9, 2.5, 1000, [4] * 3, 100, 1) == [Wish(99, 4), Wish(97, 4), Wish(94, 4)]
    assert ask_wishes(100.1, 2.5, 1, [4] * 3, 100, 1) == [Wish(101, 4), Wish(103, 4), Wish(106, 4)]


def test_levels_closer_than_a_tick_are_spread_out() -> None:
    assert [wish.price_ticks for wish in bid_wishes(10.0, 0.1, 1000, [1] * 3, 9, 1)] == [10, 9, 8]
    assert [wish.price_ticks for wish in ask_wishes(10.0, 0.1, 1, [1] * 3, 9, 1)] == [10, 11, 12]


def test_post_only_keeps_a_tick_away_from_the_other_side() -> None:
    assert bid_wishes(105.0, 1.0, 101, [1], 9, 1) == [Wish(100, 1)]
    assert ask_wishes(95.0, 1.0, 99, [1], 9, 1) == [Wish(100, 1)]


def test_room_is_given_out_level_by_level_and_crumbs_are_left() -> None:
    assert bid_wishes(100.0, 1.0, 1000, [4] * 3, 10, 3) == [Wish(100, 4), Wish(99, 4)]
    assert bid_wishes(100.0, 1.0, 1000, [4] * 3, 11, 3) == [Wish(100, 4), Wish(99, 4), Wish(98, 3)]
    assert bid_wishes(100.0, 1.0, 1000, [4] * 3, 2, 3) == []


def test_no_bid_below_one_tick() -> None:
    assert bid_wishes(2.5, 2.0, 1000, [1] * 3, 9, 1) == [Wish(2, 1)]


@given(
    edge=st.floats(1, 1e7),
    step=st.floats(0, 1e4),
    limit=st.integers(1, 10**7),
    levels=st.integers(1, 10),
    lots=st.integers(0, 1000),
    room=st.integers(0, 5000),
    least=st.integers(1, 50),
    band=st.floats(0, 1e7),
)
def test_wishes_never_cross_never_exceed_the_room_nor_leave_the_band_and_are_sorted(
    edge: float, step: float, limit: int, levels: int, lots: int, room: int, least: int, band: float
) -> None:
    bids = bid_wishes(edge, step, limit, [lots] * levels, room, least, band)
    asks = ask_wishes(edge, step, limit, [lots] * levels, room, least, band)

    assert all(wish.price_ticks >= band for wish in bids)
    assert all(wish.price_ticks <= band for wish in asks)
    assert all(1 <= wish.price_ticks < limit and wish.price_ticks <= edge + 1e-6 for wish in bids)
    assert all(wish.price_ticks > limit and wish.price_ticks >= edge - 1e-6 for wish in asks)
    for wishes in (bids, asks):
        assert sum(wish.lots for wish in wishes) <= room
        assert all(least <= wish.lots <= lots for wish in wishes)
        prices = [wish.price_ticks for wish in wishes]
        assert len(set(prices)) == len(prices)
    assert [wish.price_ticks for wish in bids] == sorted((wish.price_ticks for wish in bids), reverse=True)
    assert [wish.price_ticks for wish in asks] == sorted(wish.price_ticks for wish in asks)


def test_geometric_sizes() -> None:
    shares = level_shares(levels_count=4, ratio=1.5)

    assert shares == pytest.approx((1.0, 1.5, 2.25, 3.375))
    assert level_lots(first_lots=4, shares=shares, lots_min=1, lots_max=12) == [4, 6, 9, 12]  # the venue's most
    assert level_lots(first_lots=0, shares=shares, lots_min=1, lots_max=12) == [0, 0, 0, 0]
    halves = level_shares(levels_count=3, ratio=0.5)
    assert level_lots(first_lots=4, shares=halves, lots_min=2, lots_max=99) == [4, 2, 2]  # the venue's least


def test_model_sizes_follow_the_models_skew() -> None:
    """One more order moves the model by 0.8 bps and levels stand 2 bps apart: 2.5 orders each."""
    assert model_shares(levels_count=3, step_bps=2.0, skew_bps=0.8, share_max=4.0) == pytest.approx((1.0, 2.5, 2.5))
    assert model_shares(levels_count=3, step_bps=2.0, skew_bps=0.1, share_max=4.0) == (1.0, 4.0, 4.0)
    assert model_shares(levels_count=2, step_bps=2.0, skew_bps=0.0, share_max=4.0) == (1.0, 4.0)
    assert model_shares(levels_count=1, step_bps=2.0, skew_bps=0.8, share_max=4.0) == (1.0,)


@pytest.mark.parametrize(
    ("price", "lots_min", "notional", "unit", "expected"),
    [
        (600_000, 1, 50.0, 0.0001, 1),  # a lot is 60 USD
        (600_000, 1, 100.0, 0.0001, 2),
        (600_000, 5, 100.0, 0.0001, 5),
        (0, 3, 100.0, 0.0001, 3),
    ],
)
def test_fewest_lots_the_venue_takes(price: int, lots_min: int, notional: float, unit: float, expected: int) -> None:
    found = lots_min_at(price_ticks=price, lots_min=lots_min, min_notional_usd=notional, usd_per_tick_lot=unit)

    assert found == expected


@pytest.mark.parametrize(
    ("lots", "factor", "least", "expected"),
    [(10, 1.0, 1, 10), (10, 0.5, 1, 5), (10, 0.05, 3, 3), (10, 0.0, 3, 0), (2, 1.0, 3, 0), (10, 7.0, 1, 10)],
)
def test_sizes_are_cut_but_not_below_the_venues_minimum(lots: int, factor: float, least: int, expected: int) -> None:
    assert scaled_lots(lots=lots, factor=factor, lots_min=least) == expected
    assert scaled_lots(lots=lots, factor=math.nan, lots_min=least) == 0
