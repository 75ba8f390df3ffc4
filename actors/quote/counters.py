"""Everything an engine counts since its start; plain numbers, shown as they are."""

from __future__ import annotations


class Counters:
    def __init__(self) -> None:
        self.updates = 0
        self.decisions = 0
        self.placed = 0
        self.replaced = 0
        self.cancelled = 0
        self.pulls = 0  # times all quotes of the symbol were withdrawn at once
        self.fills = 0
        self.fills_repaired = 0
        self.rejected = 0
        self.refused_by_wallet = 0
        self.budget_waits = 0  # moves put off for want of orders
        self.answer_waits = 0  # moves put off because too many commands were unanswered
        self.cross_waits = 0  # moves put off because our own other side was in the way
        self.strays = 0  # messages about orders, leases or gateways that are not ours any more
