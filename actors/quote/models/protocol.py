"""What every pricing model is asked and what it answers.

Prices and distances are in basis points of the fair price, positions in orders, time in seconds, so that one set of
numbers serves all symbols. `State` changes with every update; `Estimates` change when an estimator refits or risk
publishes, and come as a new object then: a model works out what depends on them once an object.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol


class Intensity(NamedTuple):
    """Fills of one side arrive at A·e^(-kδ) a second, δ the quote's distance from the fair price."""

    a_per_s: float
    k_per_bp: float

    @property
    def usable(self) -> bool:
        return 0.0 < self.a_per_s < math.inf and 0.0 < self.k_per_bp < math.inf


class PortfolioTerms(NamedTuple):
    """What the whole book of the fleet asks of this symbol's quotes; risk owns and publishes it.

    `skew_bps` is how far the centre moves down (above 0: the portfolio is long what moves with this symbol), of the
    positions known when it was published, our own among them `position_orders`; `width_bps` widens each side.
    """

    skew_bps: float
    width_bps: float
    position_orders: float = 0.0


class State(NamedTuple):
    """What differs from update to update."""

    position_orders: float  # signed position in orders
    position_share: float  # the same in parts of the ladder's own cap: -1..1 and beyond
    volatility_bps: float  # per root second
    imbalance: float = 0.0  # (bid size - ask size) / sum at the top, -1..1


class Estimates(NamedTuple):
    """What estimators, settings and risk know; see `estimates_of` for what holds until they do."""

    bid: Intensity
    ask: Intensity
    drift_bps_per_s: float = 0.0  # of the fair price
    adverse_bps: float = 0.0  # how far the price moves against us by each fill, in expectation
    portfolio: PortfolioTerms | None = None  # None: risk has not published any


class Price(NamedTuple):
    """A model's answer. The bid stands at centre - spread/2, the ask at centre + spread/2."""

    centre_bps: float  # shift of the centre from the fair price, down when long
    spread_bps: float  # total: from bid to ask
    skew_bps: float  # how far one more order of position moves the centre down; what model-sized levels go by
    bid: bool = True  # False: the model wants no order on this side
    ask: bool = True


class NoPrice(NamedTuple):
    """The model can't say, and why: nothing is quoted."""

    text: str


def problem_of(estimates: Estimates) -> NoPrice | None:
    """Why a model that lives by intensities can't use these estimates; None when it can."""
    for side, found in (("bid", estimates.bid), ("ask", estimates.ask)):
        if not found.usable:
            return NoPrice(f"{side} intensity A {found.a_per_s:g}/s, k {found.k_per_bp:g}/bp")
    if not math.isfinite(estimates.drift_bps_per_s):
        return NoPrice(f"drift {estimates.drift_bps_per_s:g} bps/s")
    if not 0.0 <= estimates.adverse_bps < math.inf:
        return NoPrice(f"adverse markout {estimates.adverse_bps:g} bps")
    return None


class PricingModel(Protocol):
    """Deterministic; keeps nothing but what it has worked out from its parameters. Never raises for bad numbers:
    an answer that is not finite is refused by the ladder with a reason."""

    respects_fees: bool  # the ladder may widen its spread to cover fees and adverse selection

    def price(self, state: State, estimates: Estimates) -> Price | NoPrice: ...
