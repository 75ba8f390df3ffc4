"""What a feed asks over REST, as values: how an answer to each request is to be read. No I/O."""

from __future__ import annotations

from typing import Final

from actors.feed.messages import SnapshotAnswer
from actors.venues.dialect import MarketDialect
from actors.vocab.errors import VenueFault

# Statuses after which the same request may succeed later: forbidden by a firewall, too slow, banned, limited.
PASSING: Final = frozenset({403, 408, 418, 429})


def read_snapshot(dialect: MarketDialect, symbol: str, status: int, body: bytes) -> SnapshotAnswer:
    """Turn any HTTP answer into the event that the engine waits for."""
    if not 200 <= status < 300:
        reason = f"HTTP {status}: {body[:200].decode(errors='replace')}"
        return SnapshotAnswer(symbol, None, reason, unavailable=400 <= status < 500 and status not in PASSING)
    try:
        return SnapshotAnswer(symbol, dialect.decode_snapshot(symbol, body))
    except VenueFault as fault:
        return SnapshotAnswer(symbol, None, str(fault))
