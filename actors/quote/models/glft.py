"""Guéant, Lehalle and Fernandez-Tapia: optimal quotes once the end of the day is far away, the position bounded.

Two solutions of the same problem, in bps and orders of size 1: `Glft`, the closed form of `quadratic.py` (on the
paper's market within a thousandth of the spread while the bound is far), and `GlftExact`, the bounded one of
`exact.py`. Both take drift, and the adverse markout as the impact of a fill: quotes stand further off and lean more
where takers know more.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from actors.quote.models.protocol import Estimates, NoPrice, Price, State, problem_of
from actors.quote.models.quadratic import Curve, curve, side

if TYPE_CHECKING:
    from actors.quote.models.exact import Quotes

# `GlftExact` solves for volatilities on a grid of this step and takes the nearest: skews are right to half of it.
VOLATILITY_STEP = 0.01
# Parameters each in its domain can still be out of all proportion: no fill in a lifetime, quotes beyond any float.
NO_FINITE_ANSWER = "no finite quotes with these intensities, drift, adverse markout and volatility"
# Solved grid points kept; a volatility wanders over a few dozen in an hour.
TABLES_MAX = 256


def curve_of(estimates: Estimates, *, gamma: float, xi: float) -> Curve | NoPrice:
    """Constants of the closed form for these intensities, or why there are none; `impact` is the adverse markout."""
    problem = problem_of(estimates)
    if problem is not None:
        return problem
    impact = estimates.adverse_bps
    try:
        return curve(
            side(a=estimates.bid.a_per_s, k=estimates.bid.k_per_bp, xi=xi, impact=impact),
            side(a=estimates.ask.a_per_s, k=estimates.ask.k_per_bp, xi=xi, impact=impact),
            gamma=gamma,
        )
    except ArithmeticError:
        return NoPrice(NO_FINITE_ANSWER)


class Glft:
    """The stationary closed form. `xi` is `gamma` for a CARA trader, 0 for one who is charged for risk as it runs.

    With a finite `horizon_s` it is the Riccati model: skew and lean grow from 0 like tanh with the time left.
    """

    respects_fees = True

    def __init__(self, *, gamma: float, xi: float, horizon_s: float = math.inf) -> None:
        self._gamma = gamma
        self._xi = xi
        self._horizon_s = horizon_s
        self._estimates: Estimates | None = None
        self._curve: Curve | NoPrice = NoPrice("no estimates")

    def price(self, state: State, estimates: Estimates) -> Price | NoPrice:
        if estimates is not self._estimates:
            self._estimates = estimates
            self._curve = curve_of(estimates, gamma=self._gamma, xi=self._xi)
        line, sigma, gamma = self._curve, state.volatility_bps, self._gamma
        if isinstance(line, NoPrice):
            return line
        if not sigma > 0.0:
            return NoPrice(f"volatility {sigma:g} bps/√s")
        skew = line.skew(sigma=sigma, gamma=gamma, horizon=self._horizon_s)
        centre = (line.ask_offset - line.bid_offset) / 2 - state.position_orders * skew
        if estimates.drift_bps_per_s or line.flow_lean or line.curve_lean:
            drift = estimates.drift_bps_per_s
            centre -= line.lean(sigma=sigma, gamma=gamma, drift=drift, horizon=self._horizon_s)
        return Price(centre, line.bid_offset + line.ask_offset + skew, skew)


class GlftExact:
    """The exact stationary solution for at most `bound` orders a side; positions between whole orders are interpolated.

    One k for both sides (their mean): the problem is not linear otherwise. Tables are solved per set of estimates and
    grid point of the volatility: 0.06 ms each for 8 orders, 0.3 ms for 100.
    """

    respects_fees = True

    def __init__(self, *, gamma: float, bound: int) -> None:
        self._gamma = gamma
        self._bound = bound
        self._estimates: Estimates | None = None
        self._problem: NoPrice | None = None
        # grid point -> (bid, ask) distances from -bound to bound, both ends filled up along the last step
        self._tables: dict[int, tuple[list[float], list[float]] | None] = {}  # None: no finite answer

    def price(self, state: State, estimates: Estimates) -> Price | NoPrice:
        if estimates is not self._estimates:
            self._estimates = estimates
            self._problem = problem_of(estimates)
            self._tables.clear()
        sigma = state.volatility_bps
        if self._problem is not None or not 0.0 < sigma < math.inf:
            return self._problem or NoPrice(f"volatility {sigma:g} bps/√s")
        point = round(math.log(sigma) / VOLATILITY_STEP)
        table = self._tables[point] if point in self._tables else self._solve(point, estimates)
        if table is None:
            return NoPrice(NO_FINITE_ANSWER)
        bids, asks = table
        bound, position = self._bound, state.position_orders
        inside = max(-float(bound), min(float(bound), position)) + bound
        low = min(int(inside), 2 * bound - 1)
        share = inside - low
        bid = bids[low] + share * (bids[low + 1] - bids[low])
        ask = asks[low] + share * (asks[low + 1] - asks[low])
        skew = (bids[low + 1] - bids[low] + asks[low] - asks[low + 1]) / 2
        return Price((ask - bid) / 2, bid + ask, skew, bid=position < bound, ask=position > -bound)

    def _solve(self, point: int, estimates: Estimates) -> tuple[list[float], list[float]] | None:
        # Here and not above: numpy is a third of a quote actor's start, and no other model needs it.
        from actors.quote.models.exact import Problem, stationary_quotes

        problem = Problem(
            bound=self._bound,
            gamma=self._gamma,
            sigma=math.exp(point * VOLATILITY_STEP),
            k=(estimates.bid.k_per_bp + estimates.ask.k_per_bp) / 2,
            bid_a=estimates.bid.a_per_s,
            ask_a=estimates.ask.a_per_s,
            drift=estimates.drift_bps_per_s,
            impact=estimates.adverse_bps,
        )
        if len(self._tables) >= TABLES_MAX:
            del self._tables[next(iter(self._tables))]
        try:
            self._tables[point] = _filled(stationary_quotes(problem))
        except (ArithmeticError, ValueError):
            self._tables[point] = None
        return self._tables[point]


def _filled(found: Quotes) -> tuple[list[float], list[float]]:
    """Plain lists, with a number at the unquoted ends so that positions just inside can be interpolated."""
    bid, ask = found.bid.tolist(), found.ask.tolist()
    bid[-1] = bid[-2] + (bid[-2] - bid[-3])
    ask[0] = ask[1] + (ask[1] - ask[2])
    return bid, ask
