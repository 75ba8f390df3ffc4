"""What a set of recordings holds, read before anything starts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from actors.sim.recording import RecordingFacts
from actors.transport.venue_recording import refuse_apart, survey_file
from actors.vocab.errors import ConfigError


class ReplayFacts(msgspec.Struct, frozen=True):
    """Symbols and venue ids of the recordings, in the order given, and how long they last."""

    symbols: tuple[str, ...]
    venues: tuple[str, ...]
    frames_count: int
    duration_s: float


def refuse_repeated(paths: Sequence[Path], *, option: str) -> None:
    """ConfigError for a recording that would count twice."""
    for at, path in enumerate(paths):
        if path.resolve() in [other.resolve() for other in paths[:at]]:
            raise ConfigError(f"{option} {path}: given twice; each recording once")


def surveyed(paths: Sequence[Path], *, option: str = "--data") -> list[RecordingFacts]:
    """Every recording read once, in the order given; ConfigError for none, one given twice or one not readable."""
    if not paths:
        raise ConfigError(f"{option} is missing: give at least one recording")
    refuse_repeated(paths, option=option)
    found = [survey_file(path) for path in paths]
    for facts in found:
        # A reader lets no time go back, so that lines in reverse order all have the first one's.
        if facts.frames_count > 1 and facts.last_ns == facts.first_ns:
            raise ConfigError(f"{option} {facts.name}: its lines are all of one time, or backwards; sort them by time")
    return found


def inspect(paths: Sequence[Path]) -> ReplayFacts:
    """Survey every file; ConfigError names the one that is missing, truncated, corrupt, or too far from the others."""
    facts = surveyed(paths, option="--replay")
    refuse_apart(facts)
    symbols = dict.fromkeys(one.symbol for fact in facts for one in fact.symbols)
    venues = dict.fromkeys(f"binance_{fact.market}" for fact in facts)
    return ReplayFacts(
        symbols=tuple(symbols),
        venues=tuple(venues),
        frames_count=sum(fact.frames_count for fact in facts),
        duration_s=(max(fact.last_ns for fact in facts) - min(fact.first_ns for fact in facts)) / 1e9,
    )
