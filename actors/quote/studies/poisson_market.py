"""A market maker in the papers' market: mid dS = σ dW, a quote at distance δ filled at rate A e^(-kδ), one lot a fill.

A policy is a table of distances by time and position (`Policy`): then the gain Y = Σ δ of fills + Σ q dS needs no
path drawn. `exact` carries E[1; q], E[Y; q], E[Y²; q] and E[e^(-γY); q] through the steps of a scheme; `certain` solves
the last one in continuous time; `monte_carlo` draws paths and must agree.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
# (positions, time left) -> distances of bid and ask; inf where no quote is wanted
Quoting = Callable[[Array, float], tuple[Array, Array]]

# Rates above this are cut in continuous time: such a quote is gone within a fifth of a millisecond of the unit horizon.
RATE_MAX = 5_000.0
STABLE = 2.5  # Runge-Kutta of order four is stable up to 2.78


class Market(NamedTuple):
    sigma: float  # price per root time
    a: float  # fills per time at distance 0
    k: float  # per price

    def rate(self, distance: Array) -> Array:
        with np.errstate(over="ignore"):
            return np.asarray(self.a * np.exp(-self.k * distance))


class FillRule(enum.StrEnum):
    """Chance of a fill within dt."""

    LINEAR = "λdt"  # the paper's; cut at 1
    POISSON = "1-exp(-λdt)"  # at most one fill of a Poisson stream

    def chance(self, rate: Array, dt: float) -> Array:
        if self is FillRule.LINEAR:
            return np.minimum(1.0, rate * dt)
        return np.asarray(-np.expm1(-rate * dt))


class Policy(NamedTuple):
    """Distances by step and position, shape (steps, 2·bound + 1); nothing is bought at bound or sold at -bound."""

    bid: Array
    ask: Array

    @property
    def bound(self) -> int:
        return len(self.bid[0]) // 2

    def mean_spread(self) -> float:
        """Over time, at position 0."""
        return float(np.mean(self.bid[:, self.bound] + self.ask[:, self.bound]))


class Moments(NamedTuple):
    """Of the gain at the horizon and of the final position; `certain` is -(1/γ) ln E e^(-γ·gain)."""

    profit: float
    std: float
    position: float
    position_std: float
    fills: float
    certain: float


def table(quoting: Quoting, *, steps: int, horizon: float, bound: int) -> Policy:
    """Ask `quoting` at the beginning of each step."""
    q = np.arange(-bound, bound + 1, dtype=np.float64)
    rows = [quoting(q, horizon * (1 - step / steps)) for step in range(steps)]
    bid, ask = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    bid[:, -1] = math.inf
    ask[:, 0] = math.inf
    return Policy(bid, ask)


def exact(policy: Policy, market: Market, *, horizon: float, gamma: float, rule: FillRule) -> Moments:
    """Moments of the scheme itself: both sides may fill in a step, then the price moves by ±σ√dt."""
    steps, width = policy.bid.shape
    dt = horizon / steps
    q = np.arange(width, dtype=np.float64) - policy.bound
    swing = np.cosh(gamma * q * market.sigma * math.sqrt(dt))
    risk = q * q * market.sigma**2 * dt
    buys, sells = rule.chance(market.rate(policy.bid), dt), rule.chance(market.rate(policy.ask), dt)
    bids, asks = (np.where(np.isfinite(side), side, 0.0) for side in policy)
    losses = np.exp(-gamma * bids), np.exp(-gamma * asks)
    # rows: E[1; q], E[Y; q], E[Y²; q], E[e^(-γY); q]
    state = np.zeros((4, width))
    state[0, policy.bound] = state[3, policy.bound] = 1.0
    fills = 0.0
    for step in range(steps):
        buy, sell = buys[step], sells[step]
        fills += float(state[0] @ (buy + sell))
        below, above = bids[step], asks[step]
        loss_below, loss_above = losses[0][step], losses[1][step]
        new = state * ((1 - buy) * (1 - sell))
        new += _earned(state * (buy * sell), below + above, loss_below * loss_above)
        new[:, 1:] += _earned(state * (buy * (1 - sell)), below, loss_below)[:, :-1]
        new[:, :-1] += _earned(state * ((1 - buy) * sell), above, loss_above)[:, 1:]
        new[2] += risk * new[0]
        new[3] *= swing
        state = new
    first, second, utility = (float(row.sum()) for row in state[1:])
    return _summary(q, state[0], first, second, utility, gamma, fills)


def _earned(state: Array, amount: Array, loss: Array) -> Array:
    """`state` after a gain that depends on the position it came from; `loss` is e^(-γ·amount). Changes its argument."""
    state[2] += amount * (2 * state[1] + amount * state[0])
    state[1] += amount * state[0]
    state[3] *= loss
    return state


def certain(quoting: Quoting, market: Market, *, horizon: float, gamma: float, bound: int) -> float:
    """Certainty equivalent in continuous time, from position 0: d/dt E[e^(-γY); q] by Runge-Kutta of order four."""
    steps = math.ceil(RATE_MAX * horizon / STABLE)
    dt = horizon / steps
    q = np.arange(-bound, bound + 1, dtype=np.float64)
    risk = 0.5 * gamma**2 * q * q * market.sigma**2

    def rates(left: float) -> tuple[Array, Array, Array]:
        bid, ask = (np.array(side) for side in quoting(q, left))
        bid[-1] = ask[0] = math.inf
        buy, sell = np.minimum(RATE_MAX, market.rate(bid)), np.minimum(RATE_MAX, market.rate(ask))
        return risk - buy - sell, (buy * np.exp(-gamma * bid))[:-1], (sell * np.exp(-gamma * ask))[1:]

    def slope(utility: Array, at: tuple[Array, Array, Array]) -> Array:
        stay, buy, sell = at
        found = stay * utility
        found[1:] += buy * utility[:-1]
        found[:-1] += sell * utility[1:]
        return found

    utility = np.zeros(2 * bound + 1)
    utility[bound] = 1.0
    begin = rates(horizon)
    for step in range(steps):
        left = horizon - step * dt
        middle, end = rates(left - dt / 2), rates(left - dt)
        one = slope(utility, begin)
        two = slope(utility + dt / 2 * one, middle)
        three = slope(utility + dt / 2 * two, middle)
        four = slope(utility + dt * three, end)
        utility = utility + dt / 6 * (one + 2 * two + 2 * three + four)
        begin = end
    return -math.log(float(utility.sum())) / gamma


def monte_carlo(
    policy: Policy,
    market: Market,
    *,
    horizon: float,
    gamma: float,
    rule: FillRule,
    paths: int,
    rng: np.random.Generator,
    gaussian: bool = False,
) -> Moments:
    """The same scheme by drawing `paths`; `gaussian` steps instead of ±σ√dt."""
    steps, width = policy.bid.shape
    dt = horizon / steps
    move = market.sigma * math.sqrt(dt)
    index = np.full(paths, policy.bound)
    gain = np.zeros(paths)
    fills = 0
    for bid, ask in zip(policy.bid, policy.ask, strict=True):
        bought = rng.random(paths) < rule.chance(market.rate(bid), dt)[index]
        sold = rng.random(paths) < rule.chance(market.rate(ask), dt)[index]
        gain += np.where(bought, bid[index], 0.0) + np.where(sold, ask[index], 0.0)
        index = index + bought - sold
        fills += int(bought.sum() + sold.sum())
        step = rng.standard_normal(paths) if gaussian else 2.0 * rng.integers(0, 2, paths) - 1.0
        gain += (index - policy.bound) * move * step
    mass = np.bincount(index, minlength=width) / paths
    q = np.arange(width, dtype=np.float64) - policy.bound
    mean, square = float(gain.mean()), float((gain * gain).mean())
    return _summary(q, mass, mean, square, float(np.exp(-gamma * gain).mean()), gamma, fills / paths)


def _summary(q: Array, mass: Array, first: float, second: float, utility: float, gamma: float, fills: float) -> Moments:
    mean = float(np.sum(q * mass))
    return Moments(
        profit=first,
        std=math.sqrt(max(0.0, second - first * first)),
        position=mean,
        position_std=math.sqrt(float(np.sum((q - mean) ** 2 * mass))),
        fills=fills,
        certain=-math.log(utility) / gamma,
    )
