"""The venue's own dead man's switch, one timer per symbol: the last resort when every process of ours is gone."""

from __future__ import annotations

from collections.abc import Callable

from actors.gateway.core import Core
from actors.gateway.limits import countdown_plan
from actors.gateway.pacer import Urgency
from actors.vocab.units import NS_PER_MS
from actors.vocab.venue_io import VenueCountdown

OFF_RETRY_MS = 1_000  # far below the shortest timer, and no flood where the venue refuses


class Countdowns:
    """Keeps a timer running for each symbol with live orders. Whoever stops calling `keep` lets them run out."""

    def __init__(self, core: Core, *, has_foreign: Callable[[str], bool]) -> None:
        self._core = core
        self._has_foreign = has_foreign
        # symbol -> when its timer was written last; holds symbols whose timer may still run
        self._armed: dict[str, int] = {}

    def keep(self, *, is_open: bool) -> None:
        """Turn off timers that would cancel others' orders; where the gateway is open, re-arm what is due.

        A timer cancels all orders of its symbol, so none runs where foreign ones live. One without orders of ours is
        turned off when it would be due again and not at once: orders come back within moments, each write costs.
        """
        core = self._core
        wanted_ms = core.settings.countdown_ms
        if not core.limits.countdown or not wanted_ms:
            return
        wanted = {symbol for symbol in core.instruments if core.table.live_count(symbol)}
        foreign = {symbol for symbol in {*wanted, *self._armed} if self._has_foreign(symbol)}
        symbols = wanted - foreign
        # Running timers count as well: where all orders have gone and come again, each would be turned off and on.
        timers_count = max(len(symbols), len(self._armed))
        interval_ms, countdown_ms = countdown_plan(symbols_count=timers_count, countdown_ms=wanted_ms)
        for symbol in [symbol for symbol in self._armed if symbol not in symbols]:
            if self._is_due(symbol, OFF_RETRY_MS if symbol in foreign else interval_ms) and self._write(symbol, 0):
                del self._armed[symbol]
        if not is_open:
            return  # everything is being cancelled: the timers run out by themselves
        for symbol in core.instruments:
            if symbol in symbols and self._is_due(symbol, interval_ms) and self._write(symbol, countdown_ms):
                self._armed[symbol] = core.now_ns

    def refused(self, request: VenueCountdown) -> None:
        """The venue did not take it: to be armed, or turned off, again."""
        if request.countdown_ms:
            self._armed.pop(request.symbol, None)
        else:
            self._armed.setdefault(request.symbol, self._core.now_ns)

    def disarm(self) -> None:
        """Nothing of ours lives: a timer left behind would cancel what somebody else places later."""
        for symbol in self._armed:
            self._core.write(VenueCountdown(self._core.next_request_no(), symbol, 0))
        self._armed.clear()

    def _is_due(self, symbol: str, interval_ms: int) -> bool:
        armed_ns = self._armed.get(symbol)
        return armed_ns is None or self._core.now_ns - armed_ns >= interval_ms * NS_PER_MS

    def _write(self, symbol: str, countdown_ms: int) -> bool:
        core = self._core
        request = VenueCountdown(core.next_request_no(), symbol, countdown_ms)
        if not core.can_write(request, Urgency.NORMAL):
            return False
        core.write(request)
        return True
