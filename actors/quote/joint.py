"""The model `portfolio` between engine and risk: how long risk's numbers are believed, what is said while there are
none, and what risk hears of our fills."""

from __future__ import annotations

import math

from actors.quote.models.glft import curve_of
from actors.quote.models.protocol import Estimates, NoPrice, PortfolioTerms
from actors.vocab.portfolio import FillCurve, PortfolioView
from actors.vocab.units import NS_PER_MS, NS_PER_S

# Risk works its matrix out every ten seconds or so: telling it more often would be in vain.
TELL_INTERVAL_NS = 5 * NS_PER_S


class JointTerms:
    """The newest numbers; None from the start, and again once they are too old. Ages count from receipt."""

    def __init__(self, *, age_ms_max: int, gamma: float, xi: float) -> None:
        self._age_ms_max = age_ms_max
        self._gamma = gamma
        self._xi = xi
        self._heard_ns = 0
        self._told: Estimates | None = None
        self._told_ns = 0
        self.terms: PortfolioTerms | None = None
        self.problem = "risk has sent no numbers yet"  # why the symbol is quoted by itself; empty while it is not
        self.views_count = 0
        self.fallbacks_count = 0  # times it had to go by itself again

    def hear(self, view: PortfolioView, now_ns: int) -> bool:
        """Take what risk says; True when the terms are others than before."""
        self.views_count += 1
        terms = PortfolioTerms(view.skew_bps, view.width_bps, view.position_orders)
        if not all(map(math.isfinite, terms)) or view.width_bps < 0:
            return self._fall_back(f"risk sent skew {view.skew_bps:g}, width {view.width_bps:g} bps")
        self._heard_ns = now_ns
        self.problem = ""
        changed = terms != self.terms
        self.terms = terms
        return changed

    def forget_told(self) -> None:
        """Risk may be another life that has heard nothing."""
        self._told = None

    def to_tell(self, venue: str, symbol: str, estimates: Estimates, now_ns: int) -> FillCurve | None:
        """What risk has not heard of our fills; None when it has, or heard something just now."""
        told = self._told
        if told is not None:
            if estimates is told or now_ns - self._told_ns < TELL_INTERVAL_NS:
                return None
            same = (estimates.bid, estimates.ask, estimates.adverse_bps) == (told.bid, told.ask, told.adverse_bps)
            if same:
                self._told = estimates
                return None
        line = curve_of(estimates, gamma=self._gamma, xi=self._xi)
        if isinstance(line, NoPrice):
            return None
        self._told, self._told_ns = estimates, now_ns
        return FillCurve(venue, symbol, self._gamma / line.c2**2)

    def expire(self, now_ns: int) -> bool:
        """True when the numbers have just become too old."""
        if self.terms is None or now_ns - self._heard_ns <= self._age_ms_max * NS_PER_MS:
            return False
        return self._fall_back(f"risk's numbers are older than {self._age_ms_max} ms")

    def _fall_back(self, problem: str) -> bool:
        self.problem = problem
        had = self.terms is not None
        self.terms = None
        self.fallbacks_count += had
        return had
