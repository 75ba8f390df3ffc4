"""The exact solution with the position bounded by Q lots: nothing approximated, no bid at Q, no ask at -Q.

With v_q = e^(k θ_q) the control problem is the linear system v' = M v, M tridiagonal: αq² - kμq on the diagonal
(α = kγσ²/2), -η toward the bid's and the ask's next position, η = A (1+γ/k)^-(1+k/γ). Then

    δᵇ(q) = ln(v_q / v_{q+1}) / k + ln(1+γ/k) / γ,   δᵃ(q) = ln(v_q / v_{q-1}) / k + ln(1+γ/k) / γ

A fill that moves the price by ξ against us: η e^(-kξ/2), both distances + ξ/2, final v_q = e^(-½kξq²).
The two sides may differ in A; k must be one, or the system is not linear.

Source: Guéant, Lehalle, Fernandez-Tapia 2013 (arXiv:1105.3115), propositions 1 and 2, theorem 1, §5.
Needs numpy; `glft` imports it only when asked for this solution, as a quote actor starts without numpy.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Terms of the Taylor series of the exponential of a matrix of norm 1/2: the first left out is below 1e-20.
TAYLOR_TERMS = 16


class Problem(NamedTuple):
    """Size 1 lot. Units agree among themselves."""

    bound: int  # Q: most lots on either side
    gamma: float
    sigma: float
    k: float
    bid_a: float
    ask_a: float
    drift: float = 0.0
    impact: float = 0.0

    @property
    def positions(self) -> Array:
        return np.arange(-self.bound, self.bound + 1, dtype=np.float64)

    @property
    def diagonal(self) -> Array:
        q = self.positions
        return np.asarray(0.5 * self.k * self.gamma * self.sigma**2 * q * q - self.k * self.drift * q)

    @property
    def etas(self) -> tuple[float, float]:
        """η of a bid's fill and of an ask's."""
        k, gamma = self.k, self.gamma
        factor = math.exp(-math.log1p(gamma / k) * (1 + k / gamma) - k * self.impact / 2)
        return self.bid_a * factor, self.ask_a * factor

    @property
    def offset(self) -> float:
        return math.log1p(self.gamma / self.k) / self.gamma + self.impact / 2


class Quotes(NamedTuple):
    """Distances by position, from -Q to Q; inf where the side is not quoted."""

    bid: Array
    ask: Array


def smallest_eigenvalue(problem: Problem) -> float:
    """Of M; minus the growth rate of v, so that -value/k is what a unit of time earns for certain."""
    return float(np.linalg.eigvalsh(_symmetric(problem))[0])


def stationary_quotes(problem: Problem) -> Quotes:
    """T → ∞: v is the eigenvector of the smallest eigenvalue.

    Its components fall like e^(-q²), faster than an eigen-solver resolves; so the ratios of neighbours are taken from
    the three-term recursion, from each end to the peak, the way in which it is stable. ArithmeticError or ValueError
    where the parameters are so far apart that no float holds the answer.
    """
    with np.errstate(all="raise", under="ignore"):
        return _stationary(problem)


def _stationary(problem: Problem) -> Quotes:
    values, vectors = np.linalg.eigh(_symmetric(problem))
    to_bid, to_ask = problem.etas
    # The symmetric form scales v_q by (η_b/η_a)^(q/2).
    weight = np.exp(problem.positions * 0.5 * math.log(to_ask / to_bid))
    peak = int(np.argmax(np.abs(vectors[:, 0]) * weight))
    rest = problem.diagonal - values[0]
    count = len(rest)
    step = np.empty(count - 1)  # ln(v_{q+1} / v_q)
    ratio = math.inf
    for index in range(peak):
        ratio = (rest[index] - (to_ask / ratio)) / to_bid
        step[index] = math.log(ratio)
    ratio = math.inf
    for index in range(count - 1, peak, -1):
        ratio = (rest[index] - (to_bid / ratio)) / to_ask
        step[index - 1] = -math.log(ratio)
    return _quotes(step, problem)


def quotes_at(problem: Problem, horizon: float) -> Quotes:
    """With `horizon` left."""
    values, _ = values_at(problem, horizon)
    return _quotes(np.diff(np.log(values)), problem)


def values_at(problem: Problem, horizon: float) -> tuple[Array, float]:
    """(v scaled to a maximum of 1, ln of the scale) with `horizon` left: exp(-M·horizon) times the final values.

    By Taylor series and squaring of c·1 - M with c the largest diagonal element: all its elements are positive, so
    nothing cancels and even the smallest components are right.
    """
    q = problem.positions
    to_bid, to_ask = problem.etas
    diagonal = problem.diagonal
    shift = float(diagonal.max())
    matrix = (
        np.diag(shift - diagonal) + np.diag(np.full(len(q) - 1, to_bid), 1) + np.diag(np.full(len(q) - 1, to_ask), -1)
    )
    norm = float(matrix.sum(axis=1).max()) * horizon
    squarings = max(0, math.ceil(math.log2(norm)) + 1) if norm > 0 else 0
    small = matrix * (horizon / 2**squarings)
    power = term = np.eye(len(q))
    for order in range(1, TAYLOR_TERMS + 1):
        term = term @ small / order
        power = power + term
    scale = 0.0
    for _ in range(squarings):
        largest = float(power.max())
        power = power / largest
        scale = 2 * (scale + math.log(largest))
        power = power @ power
    values = power @ np.exp(-0.5 * problem.k * problem.impact * q * q)
    largest = float(values.max())
    return values / largest, scale + math.log(largest) - shift * horizon


def best_certain(problem: Problem, horizon: float) -> float:
    """CE* = ln v_0 / k: the certainty equivalent -(1/γ) ln E e^(-γ·gain) from position 0 that no policy exceeds."""
    values, scale = values_at(problem, horizon)
    return (math.log(values[problem.bound]) + scale) / problem.k


def _symmetric(problem: Problem) -> Array:
    to_bid, to_ask = problem.etas
    beside = np.full(2 * problem.bound, -math.sqrt(to_bid * to_ask))
    return np.asarray(np.diag(problem.diagonal) + np.diag(beside, 1) + np.diag(beside, -1))


def _quotes(steps: Array, problem: Problem) -> Quotes:
    """From ln(v_{q+1} / v_q)."""
    bid = np.append(-steps / problem.k + problem.offset, math.inf)
    ask = np.append(math.inf, steps / problem.k + problem.offset)
    return Quotes(bid, ask)
