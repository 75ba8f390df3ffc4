"""The whole chain of brains on real frames: quotes, fills, limits, and the same answer twice."""

from __future__ import annotations

import itertools
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from actors.sim.recording import recorded_instrument
from actors.transport.venue_recording import read_frames
from actors.vocab.market import Side
from pipelines.chain import ACCOUNT, Chain
from pipelines.settings import load_settings

DATA = Path(__file__).parent.parent.parent.parent / "shared" / "data"
RECORDING = DATA / "hftbacktest" / "binance_usdm" / "ethusdt_20240808.gz"
FRAMES = 25_000

pytestmark = [
    pytest.mark.recordings,
    pytest.mark.skipif(not RECORDING.exists(), reason="needs the real recordings in ../shared/data"),
]


def replayed(**settings: Any) -> Chain:
    from actors.sim.recording import SymbolFacts

    frames = list(itertools.islice(read_frames(RECORDING), FRAMES))
    facts = SymbolFacts("ETHUSDT", price_decimals=2, size_decimals=3, first_price=2_680.0, streams=())
    row = recorded_instrument(
        facts, venue="binance_perp", market="perp", maker_fee_bps=2.0, taker_fee_bps=5.0, known={}
    )
    overrides = [f"{name.replace('__', '.')}={value}" for name, value in settings.items()]
    chain = Chain(
        venue="binance_perp",
        instruments=[row],
        settings=load_settings(overrides=overrides),
        seed=1,
        start_ns=frames[0].recv_ns,
    )
    chain.run(frames)
    return chain


def test_orders_are_the_same_twice_and_fills_add_up() -> None:
    first, second = replayed(), replayed()
    orders = [repr(row) for row in first.exchange.ledger.orders(ACCOUNT, "ETHUSDT")]
    assert orders == [repr(row) for row in second.exchange.ledger.orders(ACCOUNT, "ETHUSDT")]

    trades = first.exchange.ledger.trades(ACCOUNT, "ETHUSDT")
    summary = first.risk.summary()
    assert len(orders) > 5
    assert summary["fills_count"] == len(trades) > 0
    position = sum(row.fill.lots * (1 if row.fill.side is Side.BUY else -1) for row in trades)
    assert summary["symbols"][0]["position_lots"] == position
    fees = sum(Decimal(row.fill.fee) for row in trades)
    assert Decimal(str(summary["pnl"]["fees_usd"])) == pytest.approx(fees)


def test_no_book_is_lost_on_the_way() -> None:
    health = replayed().feed.health
    assert (health.gaps, health.unparsed) == (0, 0)


def test_the_worst_case_stays_within_a_small_limit() -> None:
    """250 USD an order, 300 USD a symbol: one side is full after one fill."""
    chain = replayed(risk__symbol_usd_max=300)
    summary = chain.risk.summary()
    assert summary["risk"]["lease_overrun_usd_max"] == 0.0
    assert summary["risk"]["gross_usd_max"] <= 300.0
