"""The position, from numbered fills. The gateway's count is the truth; ours checks that none got lost on the way.

A quote actor sees only its own symbol's share of the account's numbers, so a missing number is not a hole by
itself; but each fill names its symbol's previous number, and what the position is after it. On a hole the gateway's
count is adopted at once and the missing fills are asked for, to book them on their orders.
"""

from __future__ import annotations

import enum

from actors.vocab.orders import Fill, HolderState, PositionAdjust

# Numbers remembered while a hole is being repaired; beyond that the repair is given up, the position is right anyway.
REPAIR_SEEN_MAX = 10_000


class Booked(enum.Enum):
    NEW = 0
    NEW_AFTER_HOLE = 1  # taken; ask for the fills after `hole_from_no - 1`
    REPAIRED = 2  # an older one that was missing: the position already contains it
    DUPLICATE = 3


class PositionKeeper:
    __slots__ = (
        "_gap_high_no",
        "_gap_low_no",
        "_seen_nos",
        "holes_count",
        "last_fill_no",
        "lots",
        "mismatches_count",
        "stock_lots",
    )

    def __init__(self) -> None:
        self.lots = 0
        self.stock_lots = 0  # spot: held at position 0
        self.last_fill_no = 0
        self.holes_count = 0
        self.mismatches_count = 0  # no fill missing, yet the gateway's count is not ours plus the fill
        self._gap_low_no = 0  # fills with numbers between these two may still arrive as repairs
        self._gap_high_no = 0
        self._seen_nos: set[int] = set()  # numbers inside the gap that have been booked

    def adopt(self, state: HolderState) -> None:
        """Start from the gateway's truth."""
        self.lots = state.position_lots
        self.stock_lots = state.stock_lots
        self.last_fill_no = state.last_fill_no
        self._gap_low_no = self._gap_high_no = 0
        self._seen_nos.clear()

    @property
    def hole_from_no(self) -> int:
        return self._gap_low_no + 1

    def on_fill(self, fill: Fill) -> Booked:
        number = fill.fill_no
        if number <= self.last_fill_no:
            return self._repair(number)
        adds_up = fill.position_lots == self.lots + fill.side * fill.lots
        whole = adds_up if fill.prev_no < 0 else fill.prev_no <= self.last_fill_no
        if not whole:
            self._open_gap(number)
        elif not adds_up:
            self.mismatches_count += 1
        self.lots = fill.position_lots
        self.last_fill_no = number
        return Booked.NEW if whole else Booked.NEW_AFTER_HOLE

    def on_adjust(self, adjust: PositionAdjust) -> bool:
        """Take over a position that changed without a fill; False for an old one."""
        if adjust.fill_no <= self.last_fill_no:
            return False
        self.lots = adjust.position_lots
        self.last_fill_no = adjust.fill_no
        return True

    def _open_gap(self, number: int) -> None:
        self.holes_count += 1
        if self._gap_high_no == 0 or len(self._seen_nos) >= REPAIR_SEEN_MAX:
            self._gap_low_no = self.last_fill_no
            self._seen_nos.clear()
        else:
            self._seen_nos.add(self._gap_high_no)
        self._gap_high_no = number

    def _repair(self, number: int) -> Booked:
        if not self._gap_low_no < number < self._gap_high_no or number in self._seen_nos:
            return Booked.DUPLICATE
        self._seen_nos.add(number)
        return Booked.REPAIRED
