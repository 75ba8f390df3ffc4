"""In which order the account is compared with the venue: open orders, then trades, then positions.

Trades come before positions because a position that differs is usually a fill we have not seen; only a position that
still differs after its trades were read again is adopted as a mismatch. `Reconciler` says what to ask next and when
to ask again; the engine reads the answers.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

import msgspec

from actors.vocab.units import NS_PER_MS

# Trades of so many symbols are asked at once: each costs weight, and answers come back over one connection pool.
TRADES_AT_ONCE = 5
RETRY_MS = 500
RETRY_MAX_MS = 10_000


class Why(enum.StrEnum):
    START = "start"
    RECONNECT = "reconnect"
    PERIODIC = "periodic"


class Stage(enum.IntEnum):
    IDLE = 0
    ORDERS = 1
    TRADES = 2
    POSITIONS = 3


class TradesFrom(msgspec.Struct, frozen=True):
    """Trades of `symbol` from this id on; `trade_id` 0: since `since_ms`."""

    symbol: str
    trade_id: int
    since_ms: int = 0


class AskOrders(msgspec.Struct, frozen=True):
    pass


class AskPositions(msgspec.Struct, frozen=True):
    pass


class FundingFrom(msgspec.Struct, frozen=True):
    """Funding payments of the account since `since_ms`."""

    since_ms: int


Ask = AskOrders | AskPositions | TradesFrom | FundingFrom


class Reconciler:
    """One comparison at a time; a new `begin` throws the running one away."""

    def __init__(self) -> None:
        self.stage = Stage.IDLE
        self.why = Why.START
        self.looks_count = 0  # position lists read in this comparison
        self._waiting: list[Ask] = []
        self._after: list[Ask] = []
        self._out: dict[int, Ask] = {}  # request_no -> asked, no answer yet
        self._not_before_ns = 0
        self._failures = 0

    def begin(self, why: Why, missed: Iterable[Ask]) -> None:
        """`missed`: what may have been missed, asked for between orders and positions."""
        self.why = why
        self.looks_count = 0
        self._failures = 0
        self._not_before_ns = 0
        self._after = list(missed)
        self._out.clear()
        self.stage = Stage.ORDERS
        self._waiting = [AskOrders()]

    def look_again(self, trades: Iterable[TradesFrom], not_before_ns: int) -> None:
        """Positions differed: read those symbols' trades, then positions once more."""
        self.stage = Stage.TRADES
        self._waiting = list(trades)
        self._not_before_ns = not_before_ns

    def finish(self) -> None:
        self.stage = Stage.IDLE
        self._waiting.clear()
        self._out.clear()

    def due(self, now_ns: int) -> Ask | None:
        """Return the next question to write now; the caller reports it by `written`."""
        if not self._waiting or now_ns < self._not_before_ns or len(self._out) >= TRADES_AT_ONCE:
            return None
        return self._waiting[0]

    def written(self, ask: Ask, request_no: int) -> None:
        self._waiting.remove(ask)
        self._out[request_no] = ask

    def more(self, ask: TradesFrom | FundingFrom) -> None:
        """The venue's page was full: go on from there."""
        self._waiting.append(ask)

    def answered(self, request_no: int) -> Ask | None:
        """Return what this answers; None when it belongs to a comparison that was thrown away."""
        self._failures = 0
        ask = self._out.pop(request_no, None)
        self.looks_count += isinstance(ask, AskPositions)
        return ask

    def failed(self, request_no: int, now_ns: int) -> None:
        """Ask again, later each time."""
        ask = self._out.pop(request_no, None)
        if ask is not None:
            self._waiting.insert(0, ask)
            wait_ms = min(RETRY_MAX_MS, RETRY_MS << min(self._failures, 8))
            self._failures += 1
            self._not_before_ns = now_ns + wait_ms * NS_PER_MS

    def advance(self) -> bool:
        """Go to the next stage once all of this one is answered; True when positions have been read."""
        if self.stage is Stage.IDLE or self._waiting or self._out:
            return False
        if self.stage is Stage.ORDERS and self._after:
            self.stage = Stage.TRADES
            self._waiting, self._after = list(self._after), []
        elif self.stage in (Stage.ORDERS, Stage.TRADES):
            self.stage = Stage.POSITIONS
            self._waiting = [AskPositions()]
        else:
            return True
        return False
