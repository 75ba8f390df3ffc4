"""What risk allows this gateway: term, account lease, states, stops, fences and client-id blocks.

Starts closed. A gate is open while risk's account lease runs, counted from when the request that it answers was
sent, on our own clock. Stops latch: only a higher term, whose risk has read them in its journal, lifts them.
"""

from __future__ import annotations

from collections import deque

import msgspec

from actors.vocab.leases import AccountLease, BlockGrant, Fence, Kill, RiskState, Token
from actors.vocab.market import Side
from actors.vocab.units import NS_PER_MS

# Requests without an answer whose moment is remembered; an answer to an older one extends nothing.
REQUESTS_MAX = 64


class FenceLine(msgspec.Struct, frozen=True):
    """Grants of a symbol below `min_grant_no` are dead; what lives under them must fit this envelope."""

    min_grant_no: int
    long_lots: int
    short_lots: int


class IdBlock:
    """Client ids that risk has journalled as ours before their first use."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._spans: deque[tuple[int, int]] = deque()  # (next, end), oldest first; at most two
        self._size = 0

    def add(self, grant: BlockGrant) -> None:
        if any(grant.first < end for _next, end in self._spans):
            return  # the same block told twice
        self._spans.append((grant.first, grant.first + grant.size))
        self._size = grant.size

    @property
    def left(self) -> int:
        return sum(end - first for first, end in self._spans)

    @property
    def is_low(self) -> bool:
        """Four fifths of the newest block are used, or there is none."""
        return self.left * 5 <= self._size

    def take(self) -> str:
        """Return an id never used before; empty when none is left."""
        if not self._spans:
            return ""
        number, end = self._spans.popleft()
        if number + 1 < end:
            self._spans.appendleft((number + 1, end))
        return f"{self._prefix}-{number:x}"


class Gate:
    """Risk's word for one venue account."""

    def __init__(self) -> None:
        self.term = 0
        self.state = RiskState.FULL_STOP
        self.expires_ns = 0
        self.halted: frozenset[str] = frozenset()
        self.kill_reason = ""
        self._killed_term = -1
        self._killed_symbols: dict[str, int] = {}  # symbol -> term of its kill
        self._request_no = 0
        self._sent: deque[tuple[int, int]] = deque(maxlen=REQUESTS_MAX)
        # symbol -> fence of this term; grows only
        self.fences: dict[str, FenceLine] = {}
        # symbol -> highest fence that is confirmed; never above its fence
        self.fenced: dict[str, int] = {}

    def next_request_no(self, now_ns: int) -> int:
        """Number the request that is about to be sent: its answer's ttl runs from now."""
        self._request_no += 1
        self._sent.append((self._request_no, now_ns))
        return self._request_no

    def on_lease(self, lease: AccountLease) -> bool:
        """Take a lease over; False when it is of an older term."""
        if lease.term < self.term:
            return False
        if lease.term > self.term:
            self.term = lease.term
            self.fences.clear()
            self.fenced.clear()
            self._killed_symbols = {s: term for s, term in self._killed_symbols.items() if term >= lease.term}
        self.state = lease.state
        self.halted = frozenset(lease.halted_symbols)
        for number, sent_ns in self._sent:
            if number == lease.request_no:
                self.expires_ns = max(self.expires_ns, sent_ns + lease.ttl_ms * NS_PER_MS)
        for fence in lease.fences:
            self._raise_fence(fence)
        return True

    def on_kill(self, kill: Kill) -> None:
        """Latch. A kill of an older term counts as well: stopping needs no right."""
        term = max(kill.term, self.term)
        if kill.symbol:
            self._killed_symbols[kill.symbol] = term
        else:
            self._killed_term = term
            self.kill_reason = kill.reason

    @property
    def is_killed(self) -> bool:
        return self._killed_term >= self.term > 0

    def closed(self, now_ns: int) -> str:
        """Return why nothing may be written for any symbol; empty when the gate is open."""
        if self.term == 0:
            return "risk has not told its term"
        if self.is_killed:
            return f"killed: {self.kill_reason or 'operator'}"
        if self.state >= RiskState.CIRCUIT_BREAKER:
            return self.state.name
        if now_ns >= self.expires_ns:
            return "account lease expired"
        return ""

    def halt(self, symbol: str) -> str:
        """Return why nothing may be written for this symbol."""
        if symbol in self._killed_symbols:
            return f"{symbol} killed"
        return f"{symbol} halted by risk" if symbol in self.halted else ""

    def token_refusal(self, symbol: str, token: Token) -> str:
        """Return why a token is not valid any more."""
        if token.term != self.term:
            return f"token of term {token.term}, now {self.term}"
        fence = self.fences.get(symbol)
        if fence is not None and token.grant_no < fence.min_grant_no:
            return f"token fenced: grant {token.grant_no} below {fence.min_grant_no}"
        return ""

    def bounds(self, side: Side, long_lots: int, short_lots: int, position_lots: int) -> tuple[int, int]:
        """Narrow an envelope by the account's state: REDUCE_ONLY lets a position shrink and no further."""
        if self.state is RiskState.REDUCE_ONLY:
            return min(long_lots, max(position_lots, 0)), min(short_lots, max(-position_lots, 0))
        return long_lots, short_lots

    def _raise_fence(self, fence: Fence) -> None:
        known = self.fences.get(fence.symbol)
        if known is None or fence.min_grant_no > known.min_grant_no:
            self.fences[fence.symbol] = FenceLine(fence.min_grant_no, fence.long_lots, fence.short_lots)
