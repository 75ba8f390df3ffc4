"""Pricing models: where the centre of our quotes lies and how far apart they stand.

The formulas are the papers' and know no units; γ, σ, k and the horizon only have to agree. `PricingModel` objects
feed them prices in bps of the fair price, positions in orders and time in seconds (see `vocab/config/quote.py`) and
answer in bps; `ladder.py` turns bps into ticks. Nothing here holds state.
"""

from __future__ import annotations

import math
from typing import Protocol

from actors.vocab.config import QuoteSettings


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
    *, mid: float, position: float, gamma: float, sigma: float, position_max: float
) -> tuple[float, float]:
    """The same for an infinite horizon: s + (1/γ) ln(1 + (∓1 - 2q) γ²σ² / (2ω - γ²q²σ²)), ω = ½γ²σ²(q_max+1)²."""
    risk = gamma * gamma * sigma * sigma
    discount = risk * (position_max + 1) ** 2 - risk * position * position
    bid = mid + math.log1p((-1 - 2 * position) * risk / discount) / gamma
    ask = mid + math.log1p((1 - 2 * position) * risk / discount) / gamma
    return bid, ask


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


class PricingModel(Protocol):
    """Answers in bps of the fair price; deterministic, without state."""

    respects_fees: bool  # the ladder may widen its spread to cover fees and adverse selection

    def centre_and_spread_bps(
        self, position_orders: float, position_share: float, volatility_bps: float
    ) -> tuple[float, float]:
        """Shift of the centre (down when long) and total spread.

        `position_orders` is the signed position in orders, `position_share` in parts of the ladder's own cap
        (-1..1 and beyond), `volatility_bps` in bps per root second.
        """
        ...


class AvellanedaStoikov:
    """The 2008 closed form with a rolling horizon, in bps and orders."""

    respects_fees = True

    def __init__(self, *, gamma: float, horizon_s: float, intensity_k_bps: float) -> None:
        self._gamma = gamma
        self._horizon_s = horizon_s
        self._k = intensity_k_bps

    def centre_and_spread_bps(
        self, position_orders: float, position_share: float, volatility_bps: float
    ) -> tuple[float, float]:
        gamma, horizon = self._gamma, self._horizon_s
        return (
            reservation_price(mid=0.0, position=position_orders, gamma=gamma, sigma=volatility_bps, horizon=horizon),
            total_spread(gamma=gamma, sigma=volatility_bps, horizon=horizon, k=self._k),
        )


class Fixed:
    """A constant spread, leaned in proportion to the position: the baseline that ignores fees and volatility.

    Taken at its word: the fee floor does not apply, so that what ignoring fees costs can be shown.
    """

    respects_fees = False

    def __init__(self, *, half_spread_bps: float, skew_bps: float) -> None:
        self._half_spread_bps = half_spread_bps
        self._skew_bps = skew_bps

    def centre_and_spread_bps(
        self, position_orders: float, position_share: float, volatility_bps: float
    ) -> tuple[float, float]:
        return -position_share * self._skew_bps, 2 * self._half_spread_bps


def make_model(settings: QuoteSettings) -> PricingModel:
    """The model that the settings name. The only crossing from settings to the formulas' letters."""
    match settings.model:
        case "avellaneda_stoikov":
            return AvellanedaStoikov(
                gamma=settings.gamma, horizon_s=settings.horizon_s, intensity_k_bps=settings.intensity_k_bps
            )
        case "fixed":
            return Fixed(half_spread_bps=settings.fixed_half_spread_bps, skew_bps=settings.fixed_skew_bps)
