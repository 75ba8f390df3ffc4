"""Avellaneda and Stoikov 2008, "High-frequency trading in a limit order book", Quantitative Finance 8(3):217-224.

Mid dS = σ dW, fills of each side at A e^(-kδ), utility -exp(-γ·wealth). `sigma` is in price per root time (not of
returns), `gamma` per price and lot, `k` per price, `position` in lots; one clock for σ² and the horizon T-t.
"""

from __future__ import annotations

import math

from actors.quote.models.protocol import Estimates, NoPrice, Price, State, problem_of


def reservation_price(*, mid: float, position: float, gamma: float, sigma: float, horizon: float) -> float:
    """r = s - q γ σ² (T-t): the price at which one more lot on either side would be equally welcome.

    Source: Avellaneda and Stoikov 2008, eq. 29. `sigma` is in price per root time, not a return.
    """
    return mid - position * gamma * sigma * sigma * horizon


def indifference_prices(
    *, mid: float, position: float, gamma: float, sigma: float, horizon: float
) -> tuple[float, float]:
    """Reservation (bid, ask) of an agent with frozen position: s + (∓1 - 2q) γσ²(T-t)/2; eq. 6 to 8."""
    half = gamma * sigma * sigma * horizon / 2
    return mid + (-1 - 2 * position) * half, mid + (1 - 2 * position) * half


def indifference_prices_stationary(
    *, mid: float, position: float, gamma: float, position_max: float
) -> tuple[float, float]:
    """The same for an infinite horizon: s + (1/γ) ln(1 + (∓1 - 2q) γ²σ² / (2ω - γ²q²σ²)), ω = ½γ²σ²(q_max+1)².

    With this ω the volatility cancels. Defined for |q| <= q_max; the bid is -inf at q_max, where no price is low
    enough for one more. The ask at -q_max is finite in the formula: the bound on that side is the caller's.
    """
    reach = (position_max + 1) ** 2 - position * position
    below, above = (-1 - 2 * position) / reach, (1 - 2 * position) / reach
    bid = mid + math.log1p(below) / gamma if below > -1 else -math.inf
    return bid, mid + math.log1p(above) / gamma


def total_spread(*, gamma: float, sigma: float, horizon: float, k: float) -> float:
    """δᵃ + δᵇ = γσ²(T-t) + (2/γ) ln(1 + γ/k): the whole distance from bid to ask, whatever the position.

    Source: Avellaneda and Stoikov 2008, eq. 30. Some texts print half of it, or twice the first term.
    """
    return gamma * sigma * sigma * horizon + (2 / gamma) * math.log1p(gamma / k)


def side_distances(*, position: float, gamma: float, sigma: float, horizon: float, k: float) -> tuple[float, float]:
    """Distances (δᵇ, δᵃ) from the mid: (1/γ) ln(1+γ/k) + (1 ± 2q)/2 γσ²(T-t).

    Either may be negative for a large position: the formula then wants to sell below the mid. A maker must not;
    `ladder.py` holds such a side at the fair price and behind the opposite best price.
    """
    risk = gamma * sigma * sigma * horizon
    base = math.log1p(gamma / k) / gamma
    return base + (1 + 2 * position) / 2 * risk, base + (1 - 2 * position) / 2 * risk


def avellaneda_stoikov(
    *, mid: float, position: float, gamma: float, sigma: float, horizon: float, k: float
) -> tuple[float, float]:
    """(bid, ask) around the reservation price: r ∓ spread/2."""
    centre = reservation_price(mid=mid, position=position, gamma=gamma, sigma=sigma, horizon=horizon)
    half = total_spread(gamma=gamma, sigma=sigma, horizon=horizon, k=k) / 2
    return centre - half, centre + half


class AvellanedaStoikov:
    """The 2008 closed form with a rolling horizon, in bps and orders. Each side has its own k; drift and adverse
    selection are not in this model."""

    respects_fees = True

    def __init__(self, *, gamma: float, horizon_s: float) -> None:
        self._gamma = gamma
        self._horizon_s = horizon_s
        self._bases = Bases(gamma)

    def price(self, state: State, estimates: Estimates) -> Price | NoPrice:
        bases = self._bases
        if estimates is not bases.estimates:
            bases.prepare(estimates)
        if bases.problem is not None:
            return bases.problem
        risk = self._gamma * state.volatility_bps * state.volatility_bps * self._horizon_s
        return Price(bases.lean_bps - state.position_orders * risk, risk + bases.both_bps, risk)


class AvellanedaStoikovStationary:
    """The infinite-horizon prices of the same paper, the position bounded by `position_max` orders.

    Quotes stand (1/γ) ln(1+γ/k) outside the indifference prices. The volatility plays no part (see there).
    """

    respects_fees = True

    def __init__(self, *, gamma: float, position_max: float) -> None:
        self._gamma = gamma
        self._position_max = position_max
        low, high = indifference_prices_stationary(mid=0.0, position=0.0, gamma=gamma, position_max=position_max)
        self._flat_bps = high - low
        self._bases = Bases(gamma)

    def price(self, state: State, estimates: Estimates) -> Price | NoPrice:
        bases = self._bases
        if estimates is not bases.estimates:
            bases.prepare(estimates)
        if bases.problem is not None:
            return bases.problem
        most, flat = self._position_max, self._flat_bps
        position = max(-most, min(most, state.position_orders))
        low, high = indifference_prices_stationary(mid=0.0, position=position, gamma=self._gamma, position_max=most)
        bid, ask = position < most, position > -most
        if not bid:
            low = high - flat
        elif not ask:
            high = low + flat
        return Price((low + high) / 2 + bases.lean_bps, high - low + bases.both_bps, flat, bid, ask)


class Bases:
    """(1/γ) ln(1+γ/k) of both sides, worked out once per set of estimates."""

    __slots__ = ("_gamma", "both_bps", "estimates", "lean_bps", "problem")

    def __init__(self, gamma: float) -> None:
        self._gamma = gamma
        self.estimates: Estimates | None = None
        self.problem: NoPrice | None = None
        self.both_bps = self.lean_bps = math.nan  # sum, and half of ask's minus bid's

    def prepare(self, estimates: Estimates) -> None:
        self.estimates = estimates
        self.problem = problem_of(estimates)
        if self.problem is None:
            bid = math.log1p(self._gamma / estimates.bid.k_per_bp) / self._gamma
            ask = math.log1p(self._gamma / estimates.ask.k_per_bp) / self._gamma
            self.both_bps, self.lean_bps = bid + ask, (ask - bid) / 2
