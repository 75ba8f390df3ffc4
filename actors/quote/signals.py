"""What the top of a book says about the fair price. Pure functions on float ticks; sizes in lots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from actors.vocab.market import Level


def mid_ticks(bid_ticks: float, ask_ticks: float) -> float:
    """Mean of best bid and best ask."""
    return (bid_ticks + ask_ticks) / 2


def imbalance(bid_lots: float, ask_lots: float) -> float:
    """(bid size - ask size) / sum, in [-1, 1]; 0 when nothing is quoted."""
    total = bid_lots + ask_lots
    return (bid_lots - ask_lots) / total if total > 0 else 0.0


def microprice_ticks(bid_ticks: float, bid_lots: float, ask_ticks: float, ask_lots: float) -> float:
    """The mid leaned toward the thinner side: P_bid * (1 - I) + P_ask * I with I = Q_bid / (Q_bid + Q_ask).

    Source: the weighted mid of Stoikov 2018. Always between bid and ask; the mid when nothing is quoted.
    """
    total = bid_lots + ask_lots
    if total <= 0:
        return (bid_ticks + ask_ticks) / 2
    return (bid_ticks * ask_lots + ask_ticks * bid_lots) / total


def fair_ticks(bid_ticks: float, bid_lots: float, ask_ticks: float, ask_lots: float, *, weight: float) -> float:
    """Mid moved by `weight` (0..1) of the way to the microprice."""
    mid = (bid_ticks + ask_ticks) / 2
    total = bid_lots + ask_lots
    if total <= 0 or weight <= 0:
        return mid
    return mid + weight * 0.5 * (ask_ticks - bid_ticks) * (bid_lots - ask_lots) / total


def best_of_others(levels: Sequence[Level], own_lots: Mapping[int, int]) -> Level | None:
    """Best level that is not only our own, with our lots taken off; None when there is no other.

    Quoting around a mid that our own quotes move is a feedback loop: each side would chase the other.
    `own_lots` holds our live lots by price on this side.
    """
    for ticks, lots in levels:
        theirs = lots - own_lots.get(ticks, 0)
        if theirs > 0:
            return (ticks, theirs)
    return None


class OrderFlowImbalance:
    """Running sum of signed top-of-book events, in lots.

    Source: Cont, Kukanov and Stoikov 2014, e_n with weak inequalities (an unchanged price counts on both sides,
    so that only the change of size remains).
    """

    __slots__ = ("_ask_lots", "_ask_ticks", "_bid_lots", "_bid_ticks", "_started", "total_lots")

    def __init__(self) -> None:
        self._started = False
        self._bid_ticks = self._bid_lots = self._ask_ticks = self._ask_lots = 0.0
        self.total_lots = 0.0

    def update(self, bid_ticks: float, bid_lots: float, ask_ticks: float, ask_lots: float) -> float:
        """Return e_n of this change of the top; 0 for the first top seen."""
        event = 0.0
        if self._started:
            if bid_ticks >= self._bid_ticks:
                event += bid_lots
            if bid_ticks <= self._bid_ticks:
                event -= self._bid_lots
            if ask_ticks <= self._ask_ticks:
                event -= ask_lots
            if ask_ticks >= self._ask_ticks:
                event += self._ask_lots
        self._started = True
        self._bid_ticks, self._bid_lots = bid_ticks, bid_lots
        self._ask_ticks, self._ask_lots = ask_ticks, ask_lots
        self.total_lots += event
        return event

    def take(self) -> float:
        """Return the sum since the last call and start again at 0."""
        total, self.total_lots = self.total_lots, 0.0
        return total
