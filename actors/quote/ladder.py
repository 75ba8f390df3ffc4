"""From a fair price, a centre and a spread to prices on ticks and sizes on lots. Pure.

Rules, in this order:
1. the total spread is at least twice (maker fee + expected adverse markout), `spread_bps_min` and what a regime view
   asks for; `spread_bps_max` caps the model but never these floors;
2. the centre moves at most `skew_bps_max`;
3. no side is closer than the fair price itself: the model may want to trade through it to lose a position, but a
   maker who does pays for it (Avellaneda-Stoikov puts the ask below the mid for a large position);
4. a bid rounds down and stays a tick below the others' best ask, an ask rounds up and stays a tick above their best
   bid: post-only, never crossing;
5. sizes come from the room that position cap and lease leave, level by level; what falls below the venue's minimum
   is not quoted.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from actors.vocab.units import BPS, ask_ticks, bid_ticks


class Wish(NamedTuple):
    """One order we would like to have live."""

    price_ticks: int
    lots: int


class SpreadLimits(NamedTuple):
    """Bounds of the total spread and of the centre, in bps."""

    floor_bps: float  # fees, adverse selection, spread_bps_min
    cap_bps: float
    skew_bps_max: float


def spread_floor_bps(*, maker_fee_bps: float, adverse_bps: float, spread_bps_min: float, respects_fees: bool) -> float:
    """Least total spread at which a round trip does not lose on average: both sides pay fee and adverse markout."""
    fees = 2 * (maker_fee_bps + adverse_bps) if respects_fees else 0.0
    return max(spread_bps_min, fees)


def bounded(
    centre_bps: float, spread_bps: float, limits: SpreadLimits, view_floor_bps: float = 0.0
) -> tuple[float, float] | None:
    """Centre and spread inside the limits; None when the model's numbers are not finite."""
    if not (math.isfinite(centre_bps) and math.isfinite(spread_bps)):
        return None
    floor = max(limits.floor_bps, view_floor_bps)
    spread = max(min(spread_bps, limits.cap_bps), floor)
    centre = max(-limits.skew_bps_max, min(limits.skew_bps_max, centre_bps))
    return centre, spread


def edges_ticks(fair_ticks: float, centre_bps: float, spread_bps: float) -> tuple[float, float]:
    """Unrounded best (bid, ask), neither beyond the fair price."""
    half = spread_bps / 2
    bid = fair_ticks * (1 + min(0.0, centre_bps - half) * BPS)
    ask = fair_ticks * (1 + max(0.0, centre_bps + half) * BPS)
    return bid, ask


def bid_wishes(
    edge_ticks: float,
    step_ticks: float,
    ask_limit_ticks: int,
    levels_count: int,
    lots_each: int,
    room_lots: int,
    lots_min: int,
) -> list[Wish]:
    """Bids from the best one down. `ask_limit_ticks` is the others' best ask: every bid stays below it."""
    wishes: list[Wish] = []
    ceiling = ask_limit_ticks - 1
    for level in range(levels_count):
        lots = min(lots_each, room_lots)
        if lots < lots_min:
            break
        price = min(bid_ticks(edge_ticks - level * step_ticks), ceiling)
        if price < 1:
            break
        wishes.append(Wish(price, lots))
        room_lots -= lots
        ceiling = price - 1
    return wishes


def ask_wishes(
    edge_ticks: float,
    step_ticks: float,
    bid_limit_ticks: int,
    levels_count: int,
    lots_each: int,
    room_lots: int,
    lots_min: int,
) -> list[Wish]:
    """Asks from the best one up. `bid_limit_ticks` is the others' best bid: every ask stays above it."""
    wishes: list[Wish] = []
    bottom = bid_limit_ticks + 1
    for level in range(levels_count):
        lots = min(lots_each, room_lots)
        if lots < lots_min:
            break
        price = max(ask_ticks(edge_ticks + level * step_ticks), bottom)
        wishes.append(Wish(price, lots))
        room_lots -= lots
        bottom = price + 1
    return wishes


def lots_min_at(*, price_ticks: float, lots_min: int, min_notional_usd: float, usd_per_tick_lot: float) -> int:
    """Fewest lots the venue takes at this price. Rounds up: at worst one lot more than the exact rule asks."""
    each = price_ticks * usd_per_tick_lot
    if each <= 0:
        return lots_min
    return max(lots_min, math.ceil(min_notional_usd / each + 1e-9))


def scaled_lots(*, lots: int, factor: float, lots_min: int) -> int:
    """`lots` cut by a factor in [0, 1]: rounded down, kept at the venue's minimum unless the factor is 0.

    Falling below the minimum would turn "smaller" into "nothing"; the minimum is still not above `lots`.
    """
    if not factor > 0.0 or lots < lots_min:
        return 0
    return max(lots_min, min(lots, math.floor(lots * min(factor, 1.0) + 1e-9)))
