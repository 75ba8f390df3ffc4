"""One level-2 book in integer ticks and lots, fast at the only place that anybody trades: its top.

Every level lives in a dict; only the best few hundred prices of a side (the *hot* ones) are also kept sorted. A
delta far from the top then costs one dict write, and the best price is the last element of a short list. When the
hot list runs low it is filled again from the dict, which a busy book needs about once a minute.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from heapq import nlargest
from typing import Final

from actors.vocab.errors import check
from actors.vocab.market import Level

# Below every price: a ladder whose levels are all hot has no floor.
NO_FLOOR: Final = -(1 << 62)
HOT_LEVELS: Final = 200  # measured on a busy perpetual: 100 refills three times as often, 400 is slower at each insert


class Ladder:
    """One side of a book. `sign` is +1 for bids, -1 for asks, so that the best price times sign is the largest."""

    __slots__ = ("_behind", "_behind_of", "_floor", "_hot", "_hot_levels", "_low_water", "_sign", "sizes")

    def __init__(self, sign: int, *, levels_min: int = 20) -> None:
        """`levels_min`: `top` answers exactly up to this many levels."""
        self._sign = sign
        self._low_water = levels_min
        self._hot_levels = max(HOT_LEVELS, 4 * levels_min)
        # price_ticks -> size_lots, never 0. Changed by `replace` and `apply` alone.
        self.sizes: dict[int, int] = {}
        # sign * price of exactly the levels at or above the floor, ascending: the best is last.
        self._hot: list[int] = []
        self._floor = NO_FLOOR
        # The last answer of `behind` and its question, None when there is none: between two deltas many
        # tickers ask for the same.
        self._behind: tuple[Level, ...] = ()
        self._behind_of: tuple[int, int] | None = None

    def replace(self, levels: Iterable[Level]) -> None:
        """Forget everything and hold these levels; sizes of zero are left out."""
        self.sizes = {price: lots for price, lots in levels if lots}
        self._behind_of = None
        self._refill()

    def apply(self, levels: Iterable[Level]) -> None:
        """Take over absolute sizes; zero removes, and removing what is not there is normal."""
        sizes, hot, sign, floor = self.sizes, self._hot, self._sign, self._floor
        self._behind_of = None
        for price, lots in levels:
            if lots:
                if price not in sizes:
                    key = price * sign
                    if key >= floor:
                        insort(hot, key)
                sizes[price] = lots
            elif price in sizes:
                del sizes[price]
                key = price * sign
                if key >= floor:
                    del hot[bisect_left(hot, key)]
        if len(hot) < self._low_water:
            if floor != NO_FLOOR:
                self._refill()
        elif len(hot) > 2 * self._hot_levels:
            del hot[: -self._hot_levels]
            self._floor = hot[0]

    def best(self) -> int | None:
        """The best price in ticks; None when the side is empty."""
        return self._hot[-1] * self._sign if self._hot else None

    def top(self, count: int) -> tuple[Level, ...]:
        """The best `count` levels, best first; fewer where the side has fewer."""
        sign, sizes = self._sign, self.sizes
        return tuple([(key * sign, sizes[key * sign]) for key in self._hot[: -count - 1 : -1]])

    def behind(self, price: int, count: int) -> tuple[Level, ...]:
        """The best `count` levels that are worse than `price`, best first, as far as the hot levels reach."""
        asked = (price, count)
        if asked != self._behind_of:
            sign, sizes, hot = self._sign, self.sizes, self._hot
            end = bisect_left(hot, price * sign)
            self._behind = tuple([(key * sign, sizes[key * sign]) for key in hot[max(0, end - count) : end][::-1]])
            self._behind_of = asked
        return self._behind

    def check(self) -> None:
        """Raise `OurFault` unless the ladder is sorted, complete above its floor and free of empty levels."""
        expected = sorted(key for key in (price * self._sign for price in self.sizes) if key >= self._floor)
        check(
            self._hot == expected, f"ladder {self._sign:+d}: hot prices differ from the {len(self.sizes)} levels held"
        )
        check(all(lots > 0 for lots in self.sizes.values()), f"ladder {self._sign:+d}: a level of no size is held")

    def _refill(self) -> None:
        sign = self._sign
        if len(self.sizes) <= self._hot_levels:
            self._hot = sorted([price * sign for price in self.sizes])
            self._floor = NO_FLOOR
        else:
            self._hot = nlargest(self._hot_levels, [price * sign for price in self.sizes])
            self._hot.reverse()
            self._floor = self._hot[0]

    def __len__(self) -> int:
        return len(self.sizes)

    def __iter__(self) -> Iterator[Level]:
        """All levels, best first. Slow: for tests and reports."""
        return iter(sorted(self.sizes.items(), key=lambda level: -level[0] * self._sign))


class Book:
    """Both sides and how far the book has come. A crossed book is the venue's fault: visible, never an exception."""

    __slots__ = ("asks", "bids", "event_ns", "last_seq")

    def __init__(self, *, levels_min: int = 20) -> None:
        self.bids = Ladder(1, levels_min=levels_min)
        self.asks = Ladder(-1, levels_min=levels_min)
        self.last_seq = -1  # venue's number of the last change that is in; -1: none yet
        self.event_ns = 0  # venue's clock at that change; 0: the source carried none

    def replace(self, bids: Iterable[Level], asks: Iterable[Level], *, last_seq: int) -> None:
        self.bids.replace(bids)
        self.asks.replace(asks)
        self.last_seq = last_seq

    def apply(self, bids: Iterable[Level], asks: Iterable[Level], *, last_seq: int, event_ns: int) -> None:
        self.bids.apply(bids)
        self.asks.apply(asks)
        self.last_seq = last_seq
        self.event_ns = event_ns

    def clear(self) -> None:
        self.replace((), (), last_seq=-1)

    @property
    def is_crossed(self) -> bool:
        """Bid at or above ask. An empty side crosses nothing."""
        bid, ask = self.bids.best(), self.asks.best()
        return bid is not None and ask is not None and bid >= ask

    def check(self) -> None:
        self.bids.check()
        self.asks.check()
