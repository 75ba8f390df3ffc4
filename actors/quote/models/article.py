"""The additive spread of a vendor's article, to show what it costs. Not a model to trade by, and never the default.

    spread_bps = clip(5000·vol + 3·|imbalance| + 100·|inventory skew|, 1, 200)

What is wrong with it:
- `vol` is called hourly, but std(1-minute returns)·sqrt(24·60) is daily; hourly would be ·sqrt(60). At 60 % a year the
  first term is 157 bps, at a true hourly figure 32;
- half a σ is no spread: it should grow with σ² over the time a position is held, times the aversion to it;
- imbalance tells a direction and belongs, signed, into the fair price; widening both sides discards the sign;
- a position should move the centre. Widening both sides slows the one that would reduce it;
- the clip knows no tick, no fee and no opposite best price.

Its other formula, 2γσ²T + (2/γ) ln(1 + γ/δ), counts γσ²(T-t) twice (it is both sides already), takes the whole day for
what is left of it, and wants our own distance δ where the decay of order flow k belongs. "k" is called a probability
of being picked off; it is d(-ln λ)/dδ, and a larger one means narrower quotes.
"""

from __future__ import annotations

import math

from actors.quote.models.protocol import Estimates, NoPrice, Price, State
from actors.vocab.units import BPS

SECONDS_PER_DAY = 86_400
VOL_BPS, IMBALANCE_BPS, INVENTORY_BPS = 5000.0, 3.0, 100.0
SPREAD_BPS_MIN, SPREAD_BPS_MAX = 1.0, 200.0


def additive_spread_bps(*, vol_daily: float, imbalance: float, inventory_skew: float) -> float:
    """`vol_daily` as a fraction (what the article's code computes), the others in -1..1."""
    spread = VOL_BPS * vol_daily + IMBALANCE_BPS * abs(imbalance) + INVENTORY_BPS * abs(inventory_skew)
    return max(SPREAD_BPS_MIN, min(SPREAD_BPS_MAX, spread))


def article_vol(per_minute: float) -> float:
    """ "Hourly" by the article, daily in truth: std of 1-minute returns times sqrt(24·60)."""
    return per_minute * math.sqrt(24 * 60)


def total_spread(*, gamma: float, sigma: float, day: float, k: float) -> float:
    """The article's closed form, with k where it says δ: there it has no value."""
    return 2 * gamma * sigma * sigma * day + (2 / gamma) * math.log1p(gamma / k)


class Article:
    """Taken at its word: no skew, no floor for fees."""

    respects_fees = False

    def price(self, state: State, estimates: Estimates) -> Price | NoPrice:
        daily = state.volatility_bps * BPS * math.sqrt(SECONDS_PER_DAY)
        if not math.isfinite(daily):
            return NoPrice(f"volatility {state.volatility_bps:g} bps/√s")
        spread = additive_spread_bps(vol_daily=daily, imbalance=state.imbalance, inventory_skew=state.position_share)
        return Price(0.0, spread, 0.0)
