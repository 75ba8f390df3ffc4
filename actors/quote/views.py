"""What a regime view does to our quotes: it takes away, it never adds.

A view counts in full for the first half of its life and then fades linearly to neutral, so that a pool that stopped
answering lets go gently. Anything that is not a finite number in range is read as "no opinion".
"""

from __future__ import annotations

import math
from typing import NamedTuple

from actors.vocab.opinions import RegimeView

# No view may push quotes further apart than this; wider is "hold", which has its own word.
VIEW_SPREAD_BPS_MAX = 2_000.0


class Effect(NamedTuple):
    bid_factor: float = 1.0  # 0..1, scales the size of bids
    ask_factor: float = 1.0
    spread_floor_bps: float = 0.0
    position_usd_max: float = math.inf


NEUTRAL = Effect()


def weight(age_s: float, ttl_s: float) -> float:
    """1 up to half the life, then linearly down to 0 at `ttl_s`; 0 for a life that is no positive number."""
    if not (0.0 < ttl_s < math.inf) or not age_s < ttl_s:
        return 0.0
    return min(1.0, 2.0 * (1.0 - max(0.0, age_s) / ttl_s))


def effect(view: RegimeView | None, age_s: float) -> Effect:
    """The view's effect at this age. Every field of the answer is at least as careful as `NEUTRAL`."""
    if view is None:
        return NEUTRAL
    share = weight(age_s, view.ttl_s)
    if share <= 0.0:
        return NEUTRAL
    cap = view.max_position_usd
    return Effect(
        bid_factor=1.0 - share * (1.0 - _factor(view.bid_factor)),
        ask_factor=1.0 - share * (1.0 - _factor(view.ask_factor)),
        spread_floor_bps=share * _floor(view.spread_bps_min),
        position_usd_max=cap if 0.0 < cap < math.inf else math.inf,
    )


def _factor(value: float) -> float:
    return max(0.0, min(1.0, value)) if math.isfinite(value) else 1.0


def _floor(value: float) -> float:
    return max(0.0, min(VIEW_SPREAD_BPS_MAX, value)) if math.isfinite(value) else 0.0
