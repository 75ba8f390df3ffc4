"""From a fair price, a centre and a spread to prices on ticks and sizes on lots. Pure.

Rules, in this order:
1. the total spread is at least twice (maker fee + expected adverse markout), `spread_bps_min` and what a regime view
   asks for; `spread_bps_max` caps the model but never these floors; what a verdict on risk adds comes on top;
2. the centre moves at most `skew_bps_max`;
3. no side is closer than the fair price itself: the model may want to trade through it to lose a position, but a
   maker who does pays for it (Avellaneda-Stoikov puts the ask below the mid for a large position);
4. no price leaves its band (`bands.py`);
5. a bid rounds down and stays a tick below the others' best ask, an ask rounds up and stays a tick above their best
   bid: post-only, never crossing; the same holds against our own orders at other venues (`neighbours.py`);
6. sizes come from the room that position cap and lease leave, level by level; what falls below the venue's minimum
   is not quoted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
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
    centre_bps: float,
    spread_bps: float,
    limits: SpreadLimits,
    view_floor_bps: float = 0.0,
    view_add_bps: float = 0.0,
) -> tuple[float, float] | None:
    """Centre and spread inside the limits; None when the model's numbers or the floor are not finite."""
    floor = max(limits.floor_bps, view_floor_bps)
    if not math.isfinite(centre_bps + spread_bps + floor + view_add_bps):
        return None
    spread = max(min(spread_bps, limits.cap_bps), floor) + view_add_bps
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
    sizes: Sequence[int],
    room_lots: int,
    lots_min: int,
    low_ticks: float = 0.0,
) -> list[Wish]:
    """Bids from the best one down, `sizes` lots each. Every bid stays below `ask_limit_ticks` (the others' best ask, or
    our own at another venue) and at or above `low_ticks`."""
    wishes: list[Wish] = []
    ceiling = ask_limit_ticks - 1
    bottom = max(1.0, low_ticks)
    for level, wanted in enumerate(sizes):
        lots = min(wanted, room_lots)
        if lots < lots_min:
            break
        price = min(bid_ticks(edge_ticks - level * step_ticks), ceiling)
        if price < bottom:
            break
        wishes.append(Wish(price, lots))
        room_lots -= lots
        ceiling = price - 1
    return wishes


def ask_wishes(
    edge_ticks: float,
    step_ticks: float,
    bid_limit_ticks: int,
    sizes: Sequence[int],
    room_lots: int,
    lots_min: int,
    high_ticks: float = math.inf,
) -> list[Wish]:
    """Asks from the best one up, `sizes` lots each. Every ask stays above `bid_limit_ticks` (the others' best bid, or
    our own at another venue) and at or below `high_ticks`."""
    wishes: list[Wish] = []
    bottom = bid_limit_ticks + 1
    for level, wanted in enumerate(sizes):
        lots = min(wanted, room_lots)
        if lots < lots_min:
            break
        price = max(ask_ticks(edge_ticks + level * step_ticks), bottom)
        if price > high_ticks:
            break
        wishes.append(Wish(price, lots))
        room_lots -= lots
        bottom = price + 1
    return wishes


def level_shares(*, levels_count: int, ratio: float) -> tuple[float, ...]:
    """Sizes of the levels in parts of the first: geometric."""
    return tuple(ratio**level for level in range(levels_count))


def model_shares(*, levels_count: int, step_bps: float, skew_bps: float, share_max: float) -> tuple[float, ...]:
    """Sizes at which a filled level leaves the next one where the model would put it.

    One more order of position moves the model's bid down by `skew_bps`, the next level stands `step_bps` lower: so
    it carries step/skew orders, at most `share_max`, and that where the model does not lean.
    """
    share = min(share_max, step_bps / skew_bps) if skew_bps > 0 else share_max
    return (1.0, *[share] * (levels_count - 1))


def level_lots(*, first_lots: int, shares: Sequence[float], lots_min: int, lots_max: int) -> list[int]:
    """Whole lots of each level, none below the venue's minimum or above its maximum; all 0 if the first is 0."""
    if first_lots <= 0:
        return [0] * len(shares)
    return [max(lots_min, min(lots_max, math.floor(first_lots * share + 1e-9))) for share in shares]


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
