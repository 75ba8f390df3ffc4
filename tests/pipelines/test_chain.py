"""The whole chain of brains on real frames: quotes, fills, limits, and the same answer twice."""

from __future__ import annotations

import itertools
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from actors.sim.recording import survey
from actors.transport.venue_recording import merge_frames
from actors.vocab.market import Side
from pipelines.chain import ACCOUNT, Chain
from pipelines.settings import load_settings

DATA = Path(__file__).parent.parent.parent.parent / "shared" / "data"
RECORDING = DATA / "hftbacktest" / "binance_usdm" / "ethusdt_20240808.gz"
FRAMES = 15_000

pytestmark = [
    pytest.mark.recordings,
    pytest.mark.skipif(not RECORDING.exists(), reason="needs the real recordings in ../shared/data"),
]


def replayed(**settings: Any) -> Chain:
    frames = list(itertools.islice(merge_frames([RECORDING]), FRAMES))
    facts = survey((frame for _, frame in frames), name=RECORDING.name)
    overrides = [f"{name.replace('__', '.')}={value}" for name, value in settings.items()]
    chain = Chain([facts], load_settings(overrides=overrides), seed=1)
    chain.run(frames)
    return chain


def test_orders_are_the_same_twice_and_fills_add_up() -> None:
    first, second = replayed(), replayed()
    assert first.order_lines() == second.order_lines()

    ledger = first.venues["perp"].exchange.ledger
    trades = ledger.trades(ACCOUNT, "ETHUSDT")
    summary = first.risk.engine.summary()
    assert len(ledger.orders(ACCOUNT, "ETHUSDT")) > 5
    assert summary["fills_count"] == len(trades) > 0
    position = sum(row.fill.lots * (1 if row.fill.side is Side.BUY else -1) for row in trades)
    assert summary["symbols"][0]["position_lots"] == position
    fees = sum(Decimal(row.fill.fee) for row in trades)
    assert Decimal(str(summary["pnl"]["fees_usd"])) == pytest.approx(fees)
    (feed,) = first.feeds
    assert (feed.engine.health.gaps, feed.engine.health.unparsed) == (0, 0)


def test_the_worst_case_stays_within_a_small_limit() -> None:
    """250 USD an order, 300 USD a symbol: one side is full after one fill."""
    summary = replayed(risk__symbol_usd_max=300).risk.engine.summary()
    assert summary["risk"]["lease_overrun_usd_max"] == 0.0
    assert summary["risk"]["gross_usd_max"] <= 300.0
