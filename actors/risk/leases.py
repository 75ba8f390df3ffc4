"""The holder's side of a lease: what a quote actor may still place, by its own clock.

`Wallet` is the only maker of `LeasedOrder` and `LeasedReplace`, so an order that reaches a gateway has passed one.
The risk side is `grants.py`; the rules both follow are in the docstring of `vocab/leases.py`.
"""

from __future__ import annotations

from collections import deque

import msgspec

from actors.vocab.leases import LeaseGrant, RiskState, Token
from actors.vocab.market import Side
from actors.vocab.orders import Cause, LeasedOrder, LeasedReplace
from actors.vocab.reasons import Reason
from actors.vocab.units import NS_PER_MS

# Renewals out without an answer whose moment of sending is remembered; an answer to an older one gains no ttl.
REQUESTS_REMEMBERED_MAX = 64

_NOTHING_NEW = {RiskState.CIRCUIT_BREAKER: Reason.CIRCUIT_BREAKER, RiskState.FULL_STOP: Reason.FULL_STOP}


class Refusal(msgspec.Struct, frozen=True):
    """Why the wallet makes no order: an expected answer, hence a value."""

    reason: Reason
    text: str = ""  # figures, as an operator would read them


class Wallet:
    """One holder's lease on one symbol at one venue account.

    Promises: no order is made after `sent + ttl` of the newest answered request, none outside the envelope
    counting position and every order that may be live, none that the risk state forbids. Grants of an older term
    or number than the one held are ignored, whatever order messages arrive in.
    """

    def __init__(self, venue: str, symbol: str, holder: str) -> None:
        self.venue = venue
        self.symbol = symbol
        self.holder = holder
        self.token: Token | None = None
        self.long_lots = 0  # worst-case long position allowed, never negative
        self.short_lots = 0  # worst-case short position allowed, never negative
        self.state = RiskState.NORMAL
        self.state_reason = ""
        self.orders_per_min = 0
        self.quantity_factor = 1.0
        self.expires_ns = 0  # on the holder's monotonic clock
        self._sent: deque[tuple[int, int]] = deque(maxlen=REQUESTS_REMEMBERED_MAX)  # (request_no, sent_ns), ascending

    def on_request_sent(self, request_no: int, now_ns: int) -> None:
        """Call just before the request goes out: the ttl of its answer runs from here."""
        self._sent.append((request_no, now_ns))

    def on_grant(self, grant: LeaseGrant, now_ns: int) -> bool:
        """Take a grant over; False when it is not for this holder or older than the one held.

        An unasked grant (`request_no` 0) changes the envelope and gains no time.
        """
        if grant.token.holder != self.holder or grant.venue != self.venue or grant.symbol != self.symbol:
            return False
        held = self.token
        if held is not None:
            if (grant.token.term, grant.token.grant_no) < (held.term, held.grant_no):
                return False
            if grant.token.term > held.term:
                self.expires_ns = 0  # the new term's risk has not counted our old ttl
        self.token = grant.token
        self.long_lots = grant.long_lots
        self.short_lots = grant.short_lots
        self.state = grant.state
        self.state_reason = grant.reason
        self.orders_per_min = grant.orders_per_min
        self.quantity_factor = grant.quantity_factor
        sent_ns = self._sent_ns(grant.request_no)
        if sent_ns is not None:
            self.expires_ns = max(self.expires_ns, sent_ns + grant.ttl_ms * NS_PER_MS)
        return True

    def revoke(self) -> None:
        """Hold nothing from now on; the next grant must be newer or the same."""
        self.expires_ns = 0

    def alive(self, now_ns: int) -> bool:
        """True while orders may be placed as far as time is concerned. False: cancel everything."""
        return self.token is not None and now_ns < self.expires_ns

    def lease_left_ms(self, now_ns: int) -> int:
        """Whole milliseconds left, rounded down; 0 when expired."""
        return max(0, (self.expires_ns - now_ns) // NS_PER_MS) if self.token is not None else 0

    def room_lots(
        self, side: Side, *, position_lots: int, live_buy_lots: int, live_sell_lots: int, now_ns: int
    ) -> int | Refusal:
        """Return how many more lots may be placed on `side`, at least 1, or why none may."""
        if not self.alive(now_ns) or self.lease_left_ms(now_ns) < 1:
            return Refusal(Reason.NO_LEASE, "expired" if self.token is not None else "never granted")
        forbidden = _NOTHING_NEW.get(self.state)
        if forbidden is not None:
            return Refusal(forbidden, self.state_reason)
        if side is Side.BUY:
            room = self.long_lots - position_lots - live_buy_lots
            shrink_room = -position_lots - live_buy_lots
        else:
            room = self.short_lots + position_lots - live_sell_lots
            shrink_room = position_lots - live_sell_lots
        if self.state is RiskState.REDUCE_ONLY:
            room = min(room, shrink_room)
            if room < 1:
                return Refusal(Reason.REDUCE_ONLY, self.state_reason)
        if room < 1:
            envelope = self.long_lots if side is Side.BUY else self.short_lots
            return Refusal(Reason.LEASE_FULL, f"envelope {envelope} lots, position {position_lots}")
        return room

    def place(
        self,
        *,
        ref: int,
        slot: int,
        side: Side,
        price_ticks: int,
        lots: int,
        post_only: bool,
        reduce_only: bool,
        position_lots: int,
        live_buy_lots: int,
        live_sell_lots: int,
        value_usd: float,
        cause: Cause,
        recv_ns: int,
        age_us: int,
        now_ns: int,
    ) -> LeasedOrder | Refusal:
        """Make an order of exactly `lots`, or say why not. `live_*_lots` hold all that may be live, in flight too."""
        room = self.room_lots(
            side,
            position_lots=position_lots,
            live_buy_lots=live_buy_lots,
            live_sell_lots=live_sell_lots,
            now_ns=now_ns,
        )
        if isinstance(room, Refusal):
            return room
        if lots > room:
            return Refusal(_full(self.state), f"{lots} lots wanted, room for {room}")
        assert self.token is not None  # room_lots has seen it
        return LeasedOrder(
            venue=self.venue,
            symbol=self.symbol,
            ref=ref,
            slot=slot,
            side=side,
            price_ticks=price_ticks,
            lots=lots,
            post_only=post_only,
            reduce_only=reduce_only,
            token=self.token,
            long_lots=self.long_lots,
            short_lots=self.short_lots,
            lease_left_ms=self.lease_left_ms(now_ns),
            value_usd=value_usd,
            cause=cause,
            recv_ns=recv_ns,
            age_us=age_us,
        )

    def replace(
        self,
        *,
        ref: int,
        slot: int,
        side: Side,
        price_ticks: int,
        lots: int,
        old_lots: int,
        position_lots: int,
        live_buy_lots: int,
        live_sell_lots: int,
        value_usd: float,
        cause: Cause,
        recv_ns: int,
        age_us: int,
        now_ns: int,
    ) -> LeasedReplace | Refusal:
        """Change a live order to the new total `lots` (filled part included), or say why not: then cancel it.

        `old_lots` is its present total, whose unfilled part `live_*_lots` contains. The greater of the old and the
        new size counts: until the venue answers, either may be live.
        """
        grown_lots = max(0, lots - old_lots)
        counted_lots = live_buy_lots if side is Side.BUY else live_sell_lots
        # Taking one lot out lets an order be re-priced inside an envelope that is used to the last lot.
        spared_lots = 1 if grown_lots == 0 and counted_lots > 0 else 0
        room = self.room_lots(
            side,
            position_lots=position_lots,
            live_buy_lots=live_buy_lots - (spared_lots if side is Side.BUY else 0),
            live_sell_lots=live_sell_lots - (spared_lots if side is Side.SELL else 0),
            now_ns=now_ns,
        )
        if isinstance(room, Refusal):
            return room
        if grown_lots > room:
            return Refusal(_full(self.state), f"{grown_lots} lots more wanted, room for {room}")
        assert self.token is not None  # room_lots has seen it
        return LeasedReplace(
            venue=self.venue,
            symbol=self.symbol,
            ref=ref,
            slot=slot,
            side=side,
            price_ticks=price_ticks,
            lots=lots,
            token=self.token,
            long_lots=self.long_lots,
            short_lots=self.short_lots,
            lease_left_ms=self.lease_left_ms(now_ns),
            value_usd=value_usd,
            cause=cause,
            recv_ns=recv_ns,
            age_us=age_us,
        )

    def _sent_ns(self, request_no: int) -> int | None:
        """When `request_no` was sent; forgets it and everything before it."""
        if request_no == 0:
            return None
        while self._sent and self._sent[0][0] < request_no:
            self._sent.popleft()
        if self._sent and self._sent[0][0] == request_no:
            return self._sent.popleft()[1]
        return None


def _full(state: RiskState) -> Reason:
    return Reason.REDUCE_ONLY if state is RiskState.REDUCE_ONLY else Reason.LEASE_FULL
