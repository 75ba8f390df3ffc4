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
