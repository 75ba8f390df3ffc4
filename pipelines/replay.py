"""What a set of recordings holds, read before anything starts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from actors.transport.venue_recording import refuse_apart, survey_file


class ReplayFacts(msgspec.Struct, frozen=True):
    """Symbols and venue ids of the recordings, in the order given, and how long they last."""

    symbols: tuple[str, ...]
    venues: tuple[str, ...]
    frames_count: int
    duration_s: float


def inspect(paths: Sequence[Path]) -> ReplayFacts:
    """Survey every file; ConfigError names the one that is missing, truncated, corrupt, or too far from the others."""
    facts = [survey_file(path) for path in paths]
    refuse_apart(facts)
    symbols = dict.fromkeys(one.symbol for fact in facts for one in fact.symbols)
    venues = dict.fromkeys(f"binance_{fact.market}" for fact in facts)
    return ReplayFacts(
        symbols=tuple(symbols),
        venues=tuple(venues),
        frames_count=sum(fact.frames_count for fact in facts),
        duration_s=(max(fact.last_ns for fact in facts) - min(fact.first_ns for fact in facts)) / 1e9,
    )
