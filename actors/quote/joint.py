"""How long risk's numbers for the model `portfolio` are believed, and what is said while there are none."""

from __future__ import annotations

import math

from actors.quote.models.protocol import PortfolioTerms
from actors.vocab.portfolio import PortfolioView
from actors.vocab.units import NS_PER_MS


class JointTerms:
    """The newest numbers; None from the start, and again once they are too old. Ages count from receipt."""

    def __init__(self, *, age_ms_max: int) -> None:
        self._age_ms_max = age_ms_max
        self._heard_ns = 0
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
