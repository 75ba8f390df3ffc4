"""The quadratic approximation that `glft` and `riccati` quote by: constants of each side, skew, lean.

Expected gain of one side from a fill that is worth p less than the quote: H(p) = (A C / k) e^(-k p) a unit of size,
C = (1 + ξΔ/k)^-(1 + k/(ξΔ)). Its expansion around 0 turns the control problem into a Riccati equation with the value
-½ s q² - B q, and then

    δᵇ(q) = c_b + s (q + Δ/2) + B,   δᵃ(q) = c_a - s (q - Δ/2) - B,   c = ln(1 + ξΔ/k) / (ξΔ)

Source: Guéant 2017 (arXiv:1605.01862) §4 and §5, eq. 4.6 and 4.7 where both sides are equal; Bergault, Evangelista,
Guéant and Vieira 2021 (arXiv:1810.04383) for sides that differ. Units agree among themselves: `sigma` in price per root
time, `gamma` and `xi` per price and unit of size, `k` per price, `a` per time, `drift` in price per time, `impact` in
price per fill. `xi` is γ in Guéant's Model A (CARA, as in the paper of 2013), 0 in his Model B (running penalty).
"""

from __future__ import annotations

import math
from typing import NamedTuple


class Side(NamedTuple):
    """One side's constants."""

    offset: float  # c, plus half the impact of a fill
    flow: float  # A C: size of H'(0)
    curve: float  # A k C: H''(0)


class Curve(NamedTuple):
    """Both sides together; nothing here depends on σ, position or time."""

    bid_offset: float
    ask_offset: float
    c2: float  # skew per unit of position and of σ, time being long
    size: float
    flow_lean: float  # of B: the side that fills more readily stands back
    curve_lean: float  # of B, per unit of skew

    def skew(self, *, sigma: float, gamma: float, horizon: float = math.inf) -> float:
        """s: shift of both distances per unit of position; s∞ tanh(γσ²τ/s∞) at horizon τ, s∞ = σ c2.

        For τ → 0 that is Avellaneda-Stoikov's γσ²τ, for large τ the stationary one: no blow-up with the horizon.
        """
        full = sigma * self.c2
        return full if horizon == math.inf else full * math.tanh(gamma * sigma * horizon / self.c2)

    def lean(self, *, sigma: float, gamma: float, drift: float, horizon: float = math.inf) -> float:
        """B: what drift and unlike sides add to the bid's distance and take from the ask's.

        Stationary: -μ s∞/(γσ²) and the two leans. At horizon τ, x = γσ²τ/s∞: tanh x of the first, 1 - 1/cosh x of the
        second, tanh x - atan(sinh x)/cosh x of the third (solved from B' + γσ²/s∞ tanh(x) B = ...).
        """
        full = sigma * self.c2
        pull = drift * self.c2 / (gamma * sigma) if drift else 0.0
        first = second = third = 1.0
        if horizon != math.inf:
            x = gamma * sigma * horizon / self.c2
            if x < LONG:
                first = math.tanh(x)
                second = 1 - 1 / math.cosh(x)
                third = first - math.atan(math.sinh(x)) / math.cosh(x)
        return -pull * first + self.flow_lean * second + self.curve_lean * full * third


# tanh is 1 in double precision from 19 on; cosh overflows at 710.
LONG = 40.0


def offset(*, k: float, xi: float, size: float = 1.0) -> float:
    """c1 = ln(1 + ξΔ/k) / (ξΔ); 1/k for ξ = 0."""
    return math.log1p(xi * size / k) / (xi * size) if xi > 0 else 1 / k


def shrink(*, k: float, xi: float, size: float = 1.0) -> float:
    """C = (1 + ξΔ/k)^-(1 + k/(ξΔ)); 1/e for ξ = 0."""
    if xi <= 0:
        return math.exp(-1.0)
    return math.exp(-math.log1p(xi * size / k) * (1 + k / (xi * size)))


def side(*, a: float, k: float, xi: float, size: float = 1.0, impact: float = 0.0) -> Side:
    """A fill that moves the price by `impact` against us costs half of it on the fill, and is rarer by e^(-k impact/2)
    to the value of the position."""
    flow = a * math.exp(-k * impact / 2) * shrink(k=k, xi=xi, size=size)
    return Side(offset(k=k, xi=xi, size=size) + impact / 2, flow, flow * k)


def curve(bid: Side, ask: Side, *, gamma: float, size: float = 1.0) -> Curve:
    """c2 = sqrt(γ / (Δ (curve_b + curve_a))): with equal sides sqrt(γ/(2AΔk) (1+ξΔ/k)^(1+k/(ξΔ)))."""
    both = bid.curve + ask.curve
    return Curve(
        bid_offset=bid.offset,
        ask_offset=ask.offset,
        c2=math.sqrt(gamma / (size * both)),
        size=size,
        flow_lean=(bid.flow - ask.flow) / both,
        curve_lean=-(bid.curve - ask.curve) * size / 2 / both,
    )


def distances(
    position: float, line: Curve, *, sigma: float, gamma: float, drift: float = 0.0, horizon: float = math.inf
) -> tuple[float, float]:
    """(δᵇ, δᵃ) from the fair price; either may be negative for a large position."""
    skew = line.skew(sigma=sigma, gamma=gamma, horizon=horizon)
    lean = line.lean(sigma=sigma, gamma=gamma, drift=drift, horizon=horizon)
    bid = line.bid_offset + skew * (position + line.size / 2) + lean
    ask = line.ask_offset - skew * (position - line.size / 2) - lean
    return bid, ask
