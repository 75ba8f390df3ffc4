"""What the model's views do to our quotes: they take away, they never add.

A regime view is about one symbol, a verdict on risk about the whole book; of a verdict risk itself takes breaker and
cap, and quotes its widening. Both count in full for the first half of their life and then fade linearly to neutral, so
that a pool that stopped answering lets go gently. Anything that is no finite number in range is read as "no opinion".
"""

from __future__ import annotations

import math
from typing import NamedTuple

from actors.vocab.opinions import RegimeView, RiskView

# No view may push quotes further apart than this; wider is "hold", which has its own word.
VIEW_SPREAD_BPS_MAX = 2_000.0
# The relay's interface lets a verdict add no more.
VERDICT_ADD_BPS_MAX = 100.0


class Effect(NamedTuple):
    bid_factor: float = 1.0  # 0..1, scales the size of bids
    ask_factor: float = 1.0
    spread_floor_bps: float = 0.0
    position_usd_max: float = math.inf
    spread_add_bps: float = 0.0  # on top of the spread that limits and floors have made


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


def widening_bps(verdict: RiskView, age_s: float) -> float:
    """What the verdict adds to the total spread at this age: 0 or more, whatever it says."""
    add = verdict.spread_bps_add
    return weight(age_s, verdict.ttl_s) * max(0.0, min(VERDICT_ADD_BPS_MAX, add)) if math.isfinite(add) else 0.0


def _factor(value: float) -> float:
    return max(0.0, min(1.0, value)) if math.isfinite(value) else 1.0


def _floor(value: float) -> float:
    return max(0.0, min(VIEW_SPREAD_BPS_MAX, value)) if math.isfinite(value) else 0.0
