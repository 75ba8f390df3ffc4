"""Quotes that see the whole book of the fleet; risk works out the joint part (`risk/joint_skew.py`, source there).

    bid and ask distance = c ± s + w        s = √γ (Γq)_i,  w = ½ √γ Γ_ii

c is this symbol's own, as in `glft`; s and w come from risk. The risk of everything that moves with this symbol is in
s, so a fill in another one shifts these quotes too. Between two messages of risk the symbol's own position goes on:
one order more adds 2w to s, exactly what risk will say.
"""

from __future__ import annotations

import math

from actors.quote.models.glft import Glft, curve_of
from actors.quote.models.protocol import Estimates, NoPrice, Price, State
from actors.quote.models.quadratic import Curve


class Portfolio:
    """While risk has no numbers for this symbol it is quoted by itself: `glft`, or `riccati` with a finite horizon."""

    respects_fees = True

    def __init__(self, *, gamma: float, xi: float, horizon_s: float = math.inf) -> None:
        self._alone = Glft(gamma=gamma, xi=xi, horizon_s=horizon_s)
        self._gamma = gamma
        self._xi = xi
        self._horizon_s = horizon_s
        self._estimates: Estimates | None = None
        self._curve: Curve | NoPrice = NoPrice("no estimates")

    def price(self, state: State, estimates: Estimates) -> Price | NoPrice:
        joint = estimates.portfolio
        if joint is None:
            return self._alone.price(state, estimates)
        if estimates is not self._estimates:
            self._estimates = estimates
            self._curve = curve_of(estimates, gamma=self._gamma, xi=self._xi)
        line, sigma = self._curve, state.volatility_bps
        if isinstance(line, NoPrice):
            return line
        each = 2 * joint.width_bps
        skew = joint.skew_bps + each * (state.position_orders - joint.position_orders)
        centre = (line.ask_offset - line.bid_offset) / 2 - skew
        if estimates.drift_bps_per_s or line.flow_lean or line.curve_lean:
            drift = estimates.drift_bps_per_s
            centre -= line.lean(sigma=sigma, gamma=self._gamma, drift=drift, horizon=self._horizon_s)
        return Price(centre, line.bid_offset + line.ask_offset + each, each)
