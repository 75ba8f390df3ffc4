"""One trial on one session of recordings: a backtest in this process, and what it did in each window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from actors.sim.recording import RecordingFacts
from actors.transport.venue_recording import merge_frames
from actors.vocab.config import FleetSettings
from pipelines.chain import Chain
from pipelines.plan import RunPlan
from pipelines.tune.folds import Meter, Outcome, Reading, Span


class Session(msgspec.Struct, frozen=True):
    """Recordings that are played together, and the windows' parts in them."""

    paths: tuple[str, ...]
    facts: tuple[RecordingFacts, ...]
    symbols: tuple[str, ...]
    spans: tuple[Span, ...]
    seed: int


def play(session: Session, settings: FleetSettings) -> list[Outcome]:
    """Outcomes of the session's spans, in their order. What comes after the last one is not played."""
    paths = tuple(Path(path) for path in session.paths)
    plan = RunPlan(
        run_id="tune",
        mode="sim",
        symbols=session.symbols,
        venues=(),
        settings=settings,
        run_dir=Path(),
        account="tune",
        seed=session.seed,
    )
    chain = Chain(
        session.facts,
        settings,
        seed=session.seed,
        symbols=session.symbols,
        groups=plan.quote_groups(),
        run_id=plan.run_id,
    )
    core = chain.risk.engine.core

    def read() -> Reading:
        turnover = sum(float(seat.ledger.turnover_usd) for seat in core.seats.values())
        return Reading(core.net_usd, turnover, sum(seat.ledger.fills_count for seat in core.seats.values()))

    meter = Meter(session.spans, read)
    for step in chain.play(merge_frames(paths)):
        if step.ending or len(meter.outcomes) == len(session.spans):
            break
        meter.look(step.now_ns, core.net_usd)
    return meter.finish()


def trainable(config: Mapping[str, Any], *, sessions: Sequence[bytes]) -> dict[str, Any]:
    """What Ray Tune runs: a trial's settings on the session of a number; outcomes as plain JSON values."""
    session = msgspec.msgpack.decode(sessions[config["session"]], type=Session)
    settings = FleetSettings.model_validate_json(config["settings"])
    return {"outcomes": msgspec.to_builtins(play(session, settings))}
