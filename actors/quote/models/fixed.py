"""A constant spread in bps, leaned in proportion to the position: the baseline that ignores fees and volatility."""

from __future__ import annotations

from actors.quote.models.protocol import Estimates, NoPrice, Price, State


class Fixed:
    """Taken at its word: the fee floor does not apply, so that what ignoring fees costs can be shown.

    `skew_bps` is the shift at the full position, `position_orders_max` what that is in orders.
    """

    respects_fees = False

    def __init__(self, *, half_spread_bps: float, skew_bps: float, position_orders_max: float) -> None:
        self._spread_bps = 2 * half_spread_bps
        self._skew_bps = skew_bps
        self._each_bps = skew_bps / position_orders_max

    def price(self, state: State, estimates: Estimates) -> Price | NoPrice:
        return Price(-state.position_share * self._skew_bps, self._spread_bps, self._each_bps)
