"""What is to be asked about symbols: the newest question of each, and which of them go together next."""

from __future__ import annotations

import msgspec

from actors.vocab.opinions import SignalInputs
from actors.vocab.units import NS_PER_S

# So much of its interval earlier may a symbol be asked about, when a call is made anyway: a call's prompt is paid once.
COMPANY_SHARE = 0.5


class Question(msgspec.Struct):
    """One symbol's newest inputs. A failed attempt leaves its mark, whichever inputs come after it."""

    inputs: SignalInputs
    came_ns: int
    attempts: int = 0
    not_before_ns: int = 0
    avoid: str = ""  # model that failed it last


class Questions:
    """At most one question a symbol: a newer one takes its place. Bounded by the number of symbols."""

    def __init__(self, *, batch_wait_ns: int, items_max: int, age_max_ns: int) -> None:
        """A batch goes when it has `items_max` or its oldest has waited; a question older than `age_max_ns` is dropped:
        whoever asked has gone on long ago."""
        self._batch_wait_ns = batch_wait_ns
        self._items_max = items_max
        self._age_max_ns = age_max_ns
        self._waiting: dict[str, Question] = {}
        self._asked_ns: dict[str, int] = {}  # symbol -> when it was last asked about
        self._quiet_until_ns = 0  # `due` has nothing to look at before
        self.replaced_count = 0
        self.stale_count = 0

    def put(self, inputs: SignalInputs, now_ns: int) -> None:
        before = self._waiting.get(inputs.symbol)
        if before is None:
            self._waiting[inputs.symbol] = Question(inputs, now_ns)
            self._quiet_until_ns = min(self._quiet_until_ns, now_ns)
            return
        self.replaced_count += 1
        before.inputs, before.came_ns = inputs, now_ns

    def due(self, now_ns: int, interval_ns: int) -> list[Question]:
        """The next batch, longest unasked first; empty while it may still grow."""
        if now_ns < self._quiet_until_ns:
            return []
        for symbol in [key for key, one in self._waiting.items() if now_ns - one.came_ns > self._age_max_ns]:
            del self._waiting[symbol]
            self.stale_count += 1
        ready = [one for one in self._waiting.values() if self._ready_ns(one, interval_ns) <= now_ns]
        if not ready:
            first_ns = min((self._ready_ns(one, interval_ns) for one in self._waiting.values()), default=now_ns)
            # A stretched interval may be taken back, so a second is the longest that nobody looks.
            self._quiet_until_ns = min(first_ns, now_ns + NS_PER_S)
            return []
        ready.sort(key=lambda one: (self._asked_ns.get(one.inputs.symbol, -1), one.inputs.symbol))
        if len(ready) >= self._items_max:
            return ready[: self._items_max]
        waited_ns = max(now_ns - max(one.came_ns, one.not_before_ns) for one in ready)
        return self._with_company(ready, now_ns, interval_ns) if waited_ns >= self._batch_wait_ns else []

    def _with_company(self, ready: list[Question], now_ns: int, interval_ns: int) -> list[Question]:
        """Fill a batch that goes anyway with those that are nearly due: they then keep one pace and share calls."""
        soon_ns = now_ns + int(interval_ns * COMPANY_SHARE)
        near = [
            one
            for one in self._waiting.values()
            if now_ns < self._ready_ns(one, interval_ns) <= soon_ns and one.not_before_ns <= now_ns
        ]
        near.sort(key=lambda one: (self._ready_ns(one, interval_ns), one.inputs.symbol))
        return [*ready, *near[: self._items_max - len(ready)]]

    def take(self, questions: list[Question], now_ns: int) -> None:
        """They are asked now."""
        for one in questions:
            del self._waiting[one.inputs.symbol]
            self._asked_ns[one.inputs.symbol] = now_ns

    def back(self, question: Question, now_ns: int) -> None:
        """Its call failed: asked again from `not_before_ns` on, with newer inputs where there are some."""
        symbol = question.inputs.symbol
        newer = self._waiting.get(symbol)
        if newer is not None:
            question.inputs, question.came_ns = newer.inputs, newer.came_ns
        self._waiting[symbol] = question
        self._asked_ns.pop(symbol, None)
        self._quiet_until_ns = min(self._quiet_until_ns, question.not_before_ns)

    def _ready_ns(self, one: Question, interval_ns: int) -> int:
        """From when on it may be asked."""
        asked_ns = self._asked_ns.get(one.inputs.symbol)
        return one.not_before_ns if asked_ns is None else max(one.not_before_ns, asked_ns + interval_ns)
