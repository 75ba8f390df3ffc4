"""The portfolio model over the whole chain on two recordings of the same minutes: what is held of one coin leans on the
other's quotes, and the same orders come twice although covariances are worked out on the way."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from actors.sim.recording import survey
from actors.transport.venue_recording import merge_frames
from pipelines.chain import Chain
from pipelines.settings import load_settings

DATA = Path(__file__).parent.parent.parent.parent / "shared" / "data" / "hftbacktest" / "binance_usdm"
RECORDINGS = [DATA / "btcusdt_20240808.gz", DATA / "ethusdt_20240808.gz"]
FRAMES = 12_000

pytestmark = [
    pytest.mark.recordings,
    pytest.mark.skipif(
        not all(path.exists() for path in RECORDINGS), reason="needs the real recordings in ../shared/data"
    ),
]

SETTINGS = (
    "quote.model=portfolio",
    "portfolio.sample_ms=1000",
    "portfolio.samples_min=5",
    "portfolio.recompute_interval_s=5",
)


def replayed(*overrides: str) -> Chain:
    facts = [
        survey(itertools.islice((frame for _, frame in merge_frames([path])), FRAMES), name=path.name)
        for path in RECORDINGS
    ]
    chain = Chain(facts, load_settings(overrides=[*SETTINGS, *overrides]), seed=1)
    chain.run(itertools.islice(merge_frames(RECORDINGS), FRAMES))
    return chain


def test_the_same_orders_twice_with_skews_of_both_symbols() -> None:
    first, second = replayed(), replayed()

    assert first.order_lines() == second.order_lines()
    part = first.risk.engine.summary()["portfolio"]
    assert part["symbols_count"] == 2
    assert part["problem"] == ""
    assert part["recomputed_count"] >= 3
    assert 0.2 < part["mean_correlation"] <= 1.0
    engines = [engine for seat in first.quotes for by_venue in seat.engines.values() for engine in by_venue.values()]
    told = {engine.symbol: engine.joint for engine in engines if engine.joint is not None}
    assert set(told) == {"BTCUSDT", "ETHUSDT"}
    assert all(joint.terms is not None and joint.fallbacks_count == 0 for joint in told.values())
    assert first.risk.engine.summary()["fills_count"] > 0
