"""What became of one model's calls in this life of the treasury: for the summary, which adds up lives."""

from __future__ import annotations

from collections import Counter

from actors.vocab.spending import Fault


class Tally:
    """Calls, what they were good for, and every way in which one was not."""

    def __init__(self) -> None:
        self.calls = 0  # ended, one way or another
        self.answered = 0  # with something usable
        self.paid_usd = 0.0  # as settled; the day's book also counts what a crash left reserved
        self.opinions = 0
        self.applied = 0
        self.earned_usd = 0.0  # by opinions scored in this life; see `scorecard.py`
        self.opinions_usd = 0.0  # what these had cost
        self.faults: Counter[Fault] = Counter()

    def row(self) -> dict[str, float | int | dict[str, int]]:
        """Plain JSON."""
        return {
            "calls": self.calls,
            "answered": self.answered,
            "paid_usd": self.paid_usd,
            "opinions": self.opinions,
            "applied": self.applied,
            "earned_usd": self.earned_usd,
            "opinions_usd": self.opinions_usd,
            "faults": {str(fault): count for fault, count in self.faults.most_common()},
        }
