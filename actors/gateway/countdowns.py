"""The venue's own dead man's switch, one timer per symbol: the last resort when every process of ours is gone."""

from __future__ import annotations

from collections.abc import Callable

from actors.gateway.core import Core
from actors.gateway.limits import countdown_plan
from actors.gateway.pacer import Urgency
from actors.vocab.units import NS_PER_MS
from actors.vocab.venue_io import VenueCountdown


class Countdowns:
    """Arms the timers of symbols with live orders. Whoever stops calling `arm` lets them run out."""

    def __init__(self, core: Core, *, has_foreign: Callable[[str], bool]) -> None:
        self._core = core
        self._has_foreign = has_foreign
        # symbol -> when its timer was armed last; holds symbols whose timer may still run
        self._armed: dict[str, int] = {}

    def arm(self) -> None:
        """Re-arm what is due. A timer cancels all orders of its symbol, so none is armed where foreign ones live."""
        core = self._core
        wanted_ms = core.settings.countdown_ms
        if not core.limits.countdown or not wanted_ms:
            return
        symbols = [
            symbol for symbol in core.instruments if core.table.live_count(symbol) and not self._has_foreign(symbol)
        ]
        interval_ms, countdown_ms = countdown_plan(symbols_count=len(symbols), countdown_ms=wanted_ms)
        for symbol in symbols:
            armed_ns = self._armed.get(symbol)
            if armed_ns is not None and core.now_ns - armed_ns < interval_ms * NS_PER_MS:
                continue
            request = VenueCountdown(core.next_request_no(), symbol, countdown_ms)
            if not core.can_write(request, Urgency.NORMAL):
                return
            self._armed[symbol] = core.now_ns
            core.write(request)

    def refused(self, symbol: str) -> None:
        """The venue did not take it: due again."""
        self._armed.pop(symbol, None)

    def disarm(self) -> None:
        """Nothing of ours lives: a timer left behind would cancel what somebody else places later."""
        for symbol in self._armed:
            self._core.write(VenueCountdown(self._core.next_request_no(), symbol, 0))
        self._armed.clear()
