"""Avellaneda and Stoikov 2008, section 3.3, and how good its policy is against the best possible.

s = 100, T = 1, σ = 2, dt = 0.005, k = 1.5, A = 140, position 0 at the start, 1000 paths in the paper. "Symmetric"
quotes the inventory strategy's time-average spread around the mid.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from actors.quote.models import article, exact, quadratic
from actors.quote.models.avellaneda_stoikov import side_distances
from actors.quote.studies.poisson_market import Array, FillRule, Market, Moments, Policy, Quoting, table
from actors.quote.studies.poisson_market import certain as certain_of
from actors.quote.studies.poisson_market import exact as exact_moments

MARKET = Market(sigma=2.0, a=140.0, k=1.5)
HORIZON = 1.0
STEPS = 200
BOUND = 60
# Near continuous time: what the policies are compared by.
FINE_STEPS = 5_000
# A policy without skew has no certainty equivalent: q wanders far enough, however rarely, for E e^(-γ·gain) to be
# infinite. Certainty equivalents are therefore given for a position that stops at this many lots.
CERTAIN_BOUND = 35


class Published(NamedTuple):
    """One row of the paper's tables."""

    gamma: float
    skewed: bool
    spread: float
    profit: float
    std: float
    position: float
    position_std: float


PUBLISHED = (
    Published(0.1, True, 1.49, 65.0, 6.6, 0.08, 2.9),
    Published(0.1, False, 1.49, 68.4, 12.7, 0.26, 8.4),
    Published(0.01, True, 1.35, 68.6, 8.7, 0.12, 5.1),
    Published(0.01, False, 1.35, 68.8, 12.8, 0.09, 8.7),
)


def inventory_quoting(gamma: float) -> Quoting:
    """The paper's closed form."""

    def quoting(q: Array, left: float) -> tuple[Array, Array]:
        flat, _ = side_distances(position=0.0, gamma=gamma, sigma=MARKET.sigma, horizon=left, k=MARKET.k)
        skew = gamma * MARKET.sigma**2 * left
        return flat + q * skew, flat - q * skew

    return quoting


def policy(gamma: float, *, skewed: bool, steps: int = STEPS) -> Policy:
    """One of the paper's two strategies."""
    inventory = table(inventory_quoting(gamma), steps=steps, horizon=HORIZON, bound=BOUND)
    if skewed:
        return inventory
    half = inventory.mean_spread() / 2
    return table(symmetric_quoting(half), steps=steps, horizon=HORIZON, bound=BOUND)


def symmetric_quoting(half: float) -> Quoting:
    def quoting(q: Array, left: float) -> tuple[Array, Array]:
        return np.full_like(q, half), np.full_like(q, half)

    return quoting


def moments(gamma: float, *, skewed: bool, rule: FillRule, steps: int = STEPS) -> Moments:
    """Of the paper's strategies, exactly."""
    return exact_moments(policy(gamma, skewed=skewed, steps=steps), MARKET, horizon=HORIZON, gamma=gamma, rule=rule)


# --- how good is it ---------------------------------------------------------------------------------------------------


class Quality(NamedTuple):
    """One policy: certainty equivalent in continuous time, moments near it, and moments of the paper's scheme."""

    name: str
    certain: float
    fine: Moments
    paper: Moments


def bound_certain(gamma: float) -> float:
    """What no policy can exceed."""
    best = exact.Problem(BOUND, gamma, MARKET.sigma, MARKET.k, MARKET.a, MARKET.a)
    return exact.best_certain(best, HORIZON)


def policies(gamma: float) -> dict[str, Quoting]:
    """What is compared, by name."""
    line = _line(gamma)
    flat = quadratic.offset(k=MARKET.k, xi=gamma)
    day = article.total_spread(gamma=gamma, sigma=MARKET.sigma, day=HORIZON, k=MARKET.k) / 2

    def finite(q: Array, left: float) -> tuple[Array, Array]:
        return _line_quotes(q, line, gamma, left)

    def stationary(q: Array, left: float) -> tuple[Array, Array]:
        return _line_quotes(q, line, gamma, math.inf)

    def article_skewed(q: Array, left: float) -> tuple[Array, Array]:
        skew = gamma * MARKET.sigma**2 * left
        return day + q * skew, day - q * skew

    return {
        "riccati": finite,
        "glft": stationary,
        "avellaneda_stoikov": inventory_quoting(gamma),
        "no skew, 2·c1": symmetric_quoting(flat),
        "article, no skew": symmetric_quoting(day),
        "article, A-S skew": article_skewed,
    }


def quality(gamma: float, name: str, quoting: Quoting) -> Quality:
    def at(steps: int) -> Moments:
        found = table(quoting, steps=steps, horizon=HORIZON, bound=BOUND)
        return exact_moments(found, MARKET, horizon=HORIZON, gamma=gamma, rule=FillRule.LINEAR)

    certain = certain_of(quoting, MARKET, horizon=HORIZON, gamma=gamma, bound=CERTAIN_BOUND)
    return Quality(name, certain, at(FINE_STEPS), at(STEPS))


def _line(gamma: float) -> quadratic.Curve:
    one = quadratic.side(a=MARKET.a, k=MARKET.k, xi=gamma)
    return quadratic.curve(one, one, gamma=gamma)


def _line_quotes(q: Array, line: quadratic.Curve, gamma: float, left: float) -> tuple[Array, Array]:
    skew = line.skew(sigma=MARKET.sigma, gamma=gamma, horizon=left)
    return line.bid_offset + skew * (q + 0.5), line.ask_offset - skew * (q - 0.5)
