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
# Halvings of an interval of four η: below the rounding of its ends.
BISECTIONS = 60


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
    """Of M; minus the growth rate of v, so that -value/k is what a unit of time earns for certain.

    By bisection: x is below all eigenvalues exactly if the pivots of M - x are all positive (Sturm). Never above the
    true value, so that the recursion of `stationary_quotes` stays positive.
    """
    to_bid, to_ask = problem.etas
    coupling = to_bid * to_ask
    diagonal: list[float] = problem.diagonal.tolist()
    high = min(diagonal)  # Rayleigh: no smallest eigenvalue is above a diagonal element
    low = high - 2 * math.sqrt(coupling)  # Gershgorin
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if _all_above(diagonal, coupling, middle):
            low = middle
        else:
            high = middle
    return low


def stationary_quotes(problem: Problem) -> Quotes:
    """T → ∞: v is the eigenvector of the smallest eigenvalue.

    Its components fall like e^(-q²), faster than an eigen-solver resolves; so the ratios of neighbours are taken from
    the three-term recursion, from each end to the peak, the way in which it is stable. ArithmeticError or ValueError
    where the parameters are so far apart that no float holds the answer.
    """
    to_bid, to_ask = problem.etas
    coupling = to_bid * to_ask
    lowest = smallest_eigenvalue(problem)
    rest = [element - lowest for element in problem.diagonal.tolist()]
    last = len(rest) - 1
    steps = [0.0] * last  # ln(v_{q+1} / v_q)
    peak, pivot = 0, rest[0]
    while peak < last and pivot >= to_bid:
        steps[peak] = math.log(pivot / to_bid)
        peak += 1
        pivot = rest[peak] - coupling / pivot
    pivot = rest[last]
    for index in range(last, peak, -1):
        steps[index - 1] = -math.log(pivot / to_ask)
        pivot = rest[index - 1] - coupling / pivot
    return _quotes(np.array(steps), problem)


def _all_above(diagonal: list[float], coupling: float, x: float) -> bool:
    """True when every eigenvalue is above x."""
    pivot = math.inf
    for element in diagonal:
        pivot = element - x - coupling / pivot
        if not pivot > 0.0:
            return False
    return True


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


def _quotes(steps: Array, problem: Problem) -> Quotes:
    """From ln(v_{q+1} / v_q)."""
    bid = np.append(-steps / problem.k + problem.offset, math.inf)
    ask = np.append(math.inf, steps / problem.k + problem.offset)
    return Quotes(bid, ask)
