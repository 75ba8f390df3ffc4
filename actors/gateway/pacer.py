"""Which request is written now, and when to look again: rate budgets and the newest wish of each slot.

The pacer is never a queue of stale orders. Per slot (holder, symbol, slot) it keeps the newest intent only; a
superseded one is handed back to be reported. Cancels go first, then missing orders, then changes of live ones; each
kind by what it is worth. Changes leave a share of the order counts to missing orders, and one that waits too long is
handed back: its holder decides anew on a newer book, or withdraws the quote. Budgets are sliding windows, so no span
of the venue's length ever holds more of ours than the limit, wherever the venue cuts its own.
"""

from __future__ import annotations

import enum
import heapq
import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar

import msgspec

from actors.gateway.limits import Costs, Window
from actors.vocab.units import NS_PER_MS, NS_PER_S
from actors.vocab.venue_io import RateUsage

MINUTE_NS = 60 * NS_PER_S

CLOCK_SLACK_NS = NS_PER_S  # our clock and the venue's may differ by so much
WAVES = 2  # times a minute that all sides may be missing at once: the gateway dies, then risk
LOG_WHOLE_MS = 3_600_000  # windows longer than this are not logged request by request,
LOG_MAX = 1_000  # but in so many parts


class Urgency(enum.IntEnum):
    """How far into a budget a request may reach."""

    CHANGE = 0  # of a live order: leaves a part of what NORMAL may use
    NORMAL = 1  # orders and upkeep: up to the budget less the cancels' reserve
    CANCEL = 2  # up to the whole budget
    KILL = 3  # up to the venue's limit


class RateWindow:
    """What was used of one limit during the last `span_ms`: a sliding log of our own requests, and what else the venue
    counts.

    The venue's count is of its own current interval (Binance: whole minutes and tens of seconds of its clock) and
    begins anew with each. What it holds besides ours (others of the account or address, our own before a restart) is
    taken over at each report, up and down, and ends with the interval: kept for a whole span it would close the limit,
    to cancels as well, long after the venue forgot it, and a closed limit brings no newer report.
    """

    def __init__(
        self,
        *,
        limit: int,
        span_ms: int,
        budget_share: float,
        reserve_share: float,
        places_share: float = 0.0,
        places_max: float = math.inf,
    ) -> None:
        """`reserve_share` is kept for cancels, `places_share` of the rest, but no more than `places_max`, for orders
        that are missing."""
        self.limit = limit
        self.span_ns = span_ms * NS_PER_MS
        self._reserve_share = reserve_share
        self._places_share = places_share
        self._places_max = places_max
        self.caps = self._caps(max(1, int(limit * budget_share)))
        self._own = 0
        self._others = 0
        self._others_ns = 0  # they leave the window as if all had been written then
        self._grain_ns = self.span_ns // LOG_MAX if span_ms > LOG_WHOLE_MS else 0
        self._first_ns = 0  # of the newest entry
        self.closed_until_ns = 0  # the venue says that this count is full
        # (written_ns, cost), oldest first; the sum of costs is `_own`.
        self._log: deque[tuple[int, int]] = deque()

    def keep_to(self, budget: int) -> None:
        """Our own limit, where it is below the one in force. A kill may reach beyond it."""
        self.caps = self._caps(min(budget, self.caps[Urgency.CANCEL]))

    def _caps(self, budget: int) -> tuple[int, int, int, int]:
        """Urgency -> most that may be used in any span."""
        orders = max(1, budget - int(budget * self._reserve_share))
        places = int(min(orders * self._places_share, self._places_max))
        return max(1, orders - places), orders, budget, self.limit

    def forget(self, now_ns: int) -> None:
        """Drop what left the window."""
        log, since_ns = self._log, now_ns - self.span_ns
        while log and log[0][0] <= since_ns:
            self._own -= log.popleft()[1]
        if self._others_ns <= since_ns:
            self._others = 0

    @property
    def used(self) -> int:
        return self._own + self._others

    def free(self, urgency: Urgency) -> int:
        return self.caps[urgency] - self.used

    def take(self, cost: int, now_ns: int) -> None:
        self._own += cost
        if self._log and now_ns - self._first_ns < self._grain_ns:
            # One entry, as old as its newest part: a day's count would else be a log of a hundred thousand.
            self._log[-1] = (now_ns, self._log[-1][1] + cost)
            return
        self._first_ns = now_ns
        self._log.append((now_ns, cost))

    def ready_ns(self, cost: int, urgency: Urgency, now_ns: int) -> int:
        """Return the first moment at which `cost` fits; `now_ns` when it fits already or never will."""
        need = self.used + cost - self.caps[urgency]
        log: Iterable[tuple[int, int]] = self._log
        if self._others:
            log = heapq.merge(log, ((self._others_ns, self._others),))
        for written_ns, used in log:
            if need <= 0:
                break
            need -= used
            if need <= 0:
                return written_ns + self.span_ns
        return now_ns

    def correct(self, venue_count: int, now_ns: int, unix_ns: int) -> None:
        """The venue counts so many in its interval; intervals turn with unix time, which is `unix_ns` now."""
        self._others = max(0, venue_count - self._own)
        # A report just after a turn by our clock may be of the interval before by the venue's: taken as such, since
        # what it holds of the new one is little and told again soon.
        self._others_ns = now_ns - (unix_ns - CLOCK_SLACK_NS) % self.span_ns


class Budget:
    """All limits of one account; a request fits when it fits every window that it costs."""

    def __init__(
        self,
        windows: Mapping[Window, tuple[int, int]],
        *,
        budget_share: float,
        cancel_reserve_share: float,
        cancels_cost: frozenset[Window],
        places_share: float = 0.0,
    ) -> None:
        # A reserve is kept for cancels where they cost something: elsewhere it would protect nothing. What they do
        # not cost counts orders alone. All sides of a fleet can be missing at once, but not again and again: what is
        # kept for them in the shortest of those counts, a few times over, is enough in every longer one.
        orders = [(span_ms, limit) for name, (limit, span_ms) in windows.items() if name not in cancels_cost]
        _span_ms, shortest = min(orders, default=(0, 0))
        places_max = WAVES * shortest * budget_share * places_share
        self.windows = {
            name: RateWindow(
                limit=limit,
                span_ms=span_ms,
                budget_share=budget_share,
                reserve_share=cancel_reserve_share if name in cancels_cost else 0.0,
                places_share=0.0 if name in cancels_cost else places_share,
                places_max=places_max,
            )
            for name, (limit, span_ms) in windows.items()
        }
        self.closed_until_ns = 0  # the venue asked us to wait (429, 418, Retry-After)
        self._orders = [window for name, window in self.windows.items() if name not in cancels_cost]

    def fits(self, costs: Costs, urgency: Urgency, now_ns: int) -> bool:
        if now_ns < self.closed_until_ns:
            return False
        for name, cost in costs:
            window = self.windows.get(name)
            if window is not None:
                window.forget(now_ns)
                if now_ns < window.closed_until_ns or window.free(urgency) < cost:
                    return False
        return True

    def take(self, costs: Costs, now_ns: int) -> None:
        for name, cost in costs:
            if name in self.windows:
                self.windows[name].take(cost, now_ns)

    def ready_ns(self, costs: Costs, urgency: Urgency, now_ns: int) -> int:
        """Return when `costs` may fit at the earliest."""
        windows = [(self.windows[name], cost) for name, cost in costs if name in self.windows]
        times = [max(window.closed_until_ns, window.ready_ns(cost, urgency, now_ns)) for window, cost in windows]
        return max([self.closed_until_ns, now_ns, *times])

    def per_min(self, costs: Costs) -> int:
        """How many requests of these costs the windows up to a minute long let through in a minute; 0: no bound."""
        windows = [(self.windows[name], cost) for name, cost in costs if name in self.windows]
        rates = [
            window.caps[Urgency.NORMAL] * MINUTE_NS // (window.span_ns * cost)
            for window, cost in windows
            if window.span_ns <= MINUTE_NS
        ]
        return min(rates, default=0)

    def close_until(self, until_ns: int) -> None:
        """Nothing is written until then, cancels neither."""
        self.closed_until_ns = max(self.closed_until_ns, until_ns)

    def close_orders_until(self, until_ns: int) -> None:
        """Nothing that counts as an order is written until then; cancels are, since the venue takes them."""
        for window in self._orders:
            window.closed_until_ns = max(window.closed_until_ns, until_ns)

    def correct(self, usage: RateUsage, now_ns: int, unix_ns: int) -> None:
        for name in self.windows:
            count = getattr(usage, name.value)
            if count >= 0:
                self.windows[name].forget(now_ns)
                self.windows[name].correct(count, now_ns, unix_ns)


Slot = tuple[str, str, int]  # holder, symbol, slot
T = TypeVar("T")


class Intent(msgspec.Struct, Generic[T]):
    """One wish that waits. `body` is the message it came from."""

    slot: Slot
    body: T
    value_usd: float
    received_ns: int
    costs: Costs
    urgency: Urgency = Urgency.NORMAL

    @property
    def rank(self) -> tuple[Urgency, float]:
        """Which of two is written first."""
        return self.urgency, self.value_usd


class Pacer(Generic[T]):
    """Newest intent per slot, missing orders and then the most valuable first, at most `intents_max` of them."""

    def __init__(self, budget: Budget, *, intents_max: int, change_wait_ns: int) -> None:
        """`change_wait_ns`: a change that has not fitted for so long is `overdue`."""
        self.budget = budget
        self.intents_max = intents_max
        self._change_wait_ns = change_wait_ns
        # slot -> its newest intent, in order of arrival of the slot; never more than intents_max
        self._waiting: dict[Slot, Intent[T]] = {}
        self.superseded_count = 0
        self.refused_count = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def offer(self, intent: Intent[T]) -> tuple[Intent[T] | None, Intent[T] | None]:
        """Take `intent` as the newest of its slot; return (superseded, refused for want of room)."""
        older = self._waiting.pop(intent.slot, None)
        if older is not None:
            self.superseded_count += 1
        elif len(self._waiting) >= self.intents_max:
            least = min(self._waiting.values(), key=lambda waiting: waiting.rank)
            self.refused_count += 1
            if least.rank >= intent.rank:
                return None, intent
            del self._waiting[least.slot]
            self._waiting[intent.slot] = intent
            return None, least
        self._waiting[intent.slot] = intent
        return older, None

    def waiting(self, slot: Slot) -> Intent[T] | None:
        return self._waiting.get(slot)

    def drop(self, unwanted: Callable[[Intent[T]], bool]) -> list[Intent[T]]:
        """Take out and return every intent that `unwanted` says."""
        gone = [intent for intent in self._waiting.values() if unwanted(intent)]
        for intent in gone:
            del self._waiting[intent.slot]
        return gone

    def next(self, now_ns: int, ready: Callable[[Intent[T]], bool]) -> Intent[T] | None:
        """Take out the first in rank that is `ready` and fits the budget now. The writer takes the budget."""
        best: Intent[T] | None = None
        fits: dict[tuple[Costs, Urgency], bool] = {}
        for intent in self._waiting.values():
            if best is not None and intent.rank <= best.rank:
                continue
            kind = intent.costs, intent.urgency
            if kind not in fits:
                fits[kind] = self.budget.fits(*kind, now_ns)
            if fits[kind] and ready(intent):
                best = intent
        if best is not None:
            del self._waiting[best.slot]
        return best

    def overdue(self, now_ns: int, ready: Callable[[Intent[T]], bool]) -> list[Intent[T]]:
        """Take out and return the changes that wait for budget alone and have waited too long."""
        since_ns = now_ns - self._change_wait_ns
        return self.drop(
            lambda intent: intent.urgency is Urgency.CHANGE and intent.received_ns <= since_ns and ready(intent)
        )

    def wake_ns(self, now_ns: int, ready: Callable[[Intent[T]], bool]) -> int | None:
        """Return when an intent that waits for budget alone may fit or is overdue; None when none waits."""
        at_ns: dict[tuple[Costs, Urgency], int] = {}
        first_ns: int | None = None
        for intent in self._waiting.values():
            if not ready(intent):
                continue
            kind = intent.costs, intent.urgency
            if kind not in at_ns:
                at_ns[kind] = self.budget.ready_ns(*kind, now_ns)
            wake_ns = at_ns[kind]
            if intent.urgency is Urgency.CHANGE:
                wake_ns = min(wake_ns, intent.received_ns + self._change_wait_ns)
            first_ns = wake_ns if first_ns is None else min(first_ns, wake_ns)
        return first_ns
