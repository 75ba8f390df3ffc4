"""A backtest in one process and the lock-step replay of the fleet give the same orders and fills, byte for byte.

The fleet here is the real one, shells, links and sockets included; only Ray is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from actors.transport.venue_recording import merge_frames, survey_file
from pipelines.chain import Chain
from pipelines.settings import load_settings
from tests.system.test_lock_step import DATA, START_NS, replay, write_recording


def backtest(recordings: Sequence[Path], *, length_s: float = 0.0, overrides: Sequence[str] = ()) -> bytes:
    facts = [survey_file(path) for path in recordings]
    settings = load_settings(overrides=["llm.enabled=false", *overrides])
    chain = Chain(facts, settings, seed=1, length_s=length_s)
    chain.run(merge_frames(recordings))
    return b"".join(line + b"\n" for line in chain.order_lines())


@pytest.mark.parametrize(
    ("model", "sim"),
    [
        ("avellaneda_stoikov", {}),
        ("fixed", {"feed_latency_ms": 7.0, "order_latency_ms": 0.4}),
        ("fixed", {"feed_latency_ms": 0.2, "feed_latency_recorded": True, "queue_model": "risk_averse"}),
        ("fixed", {"order_latency_file": "latency.csv", "moment_us": 500.0, "faults": "late"}),
        ("glft", {"faults": "refusing"}),
    ],
    ids=["as it comes", "constant feed latency", "recorded feed latency", "measured orders, late answers", "refusals"],
)
def test_a_made_recording_gives_the_orders_of_lock_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, sim: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    second_ns = 1_000_000_000
    rows = [(START_NS + s * second_ns, START_NS + s * second_ns + ms * 1_000_000) for s, ms in ((0, 2), (5, 9), (9, 1))]
    Path("latency.csv").write_text("".join(f"{at},{there},{there + 700_000}\n" for at, there in rows))
    recording, orders = tmp_path / "made.gz", tmp_path / "orders.jsonl"
    write_recording(recording, seconds=8)

    overrides = [f"quote.model={model}", *(f"sim.{name}={value}" for name, value in sim.items())]

    replay([recording], orders, overrides=overrides)

    assert backtest([recording], overrides=overrides) == orders.read_bytes()
    assert b'"event":"NEW"' in orders.read_bytes()


@pytest.mark.slow
@pytest.mark.recordings
@pytest.mark.skipif(not DATA.exists(), reason="the recordings in ../shared/data are not here")
@pytest.mark.parametrize(
    ("names", "length_s"),
    [
        (("binance_usdm/ethusdt_20240808.gz",), 15.0),
        (("binance_spot/btcusdt_20240808.gz",), 40.0),
        (("binance_usdm/btcusdt_20230405.dat.gz",), 20.0),
        (("binance_usdm/btcusdt_20240808.gz", "binance_usdm/ethusdt_20240808.gz"), 8.0),
        (("binance_usdm/btcusdt_20240808.gz", "binance_spot/btcusdt_20240808.gz"), 3.0),
    ],
    ids=["perpetual", "spot", "older perpetual", "two perpetuals", "two markets"],
)
def test_slices_of_real_recordings_give_the_orders_of_lock_step(
    tmp_path: Path, names: tuple[str, ...], length_s: float
) -> None:
    paths, orders = [DATA / name for name in names], tmp_path / "orders.jsonl"

    replay(paths, orders, length_s=length_s)

    assert backtest(paths, length_s=length_s) == orders.read_bytes()
    assert b'"event":"NEW"' in orders.read_bytes()


PORTFOLIO = (
    "quote.model=portfolio",
    "portfolio.sample_ms=1000",
    "portfolio.samples_min=5",
    "portfolio.recompute_interval_s=3",
)


@pytest.mark.slow
@pytest.mark.recordings
@pytest.mark.skipif(not DATA.exists(), reason="the recordings in ../shared/data are not here")
def test_covariances_worked_out_on_the_way_change_nothing_of_that(tmp_path: Path) -> None:
    """Risk computes them in one step of both, and both take them over at the same sample."""
    names = ("binance_usdm/btcusdt_20240808.gz", "binance_usdm/ethusdt_20240808.gz")
    paths, orders = [DATA / name for name in names], tmp_path / "orders.jsonl"

    status = replay(paths, orders, length_s=14.0, overrides=PORTFOLIO)

    assert status["risk"]["portfolio"]["recomputed_count"] >= 2
    assert status["risk"]["portfolio"]["symbols_count"] == 2
    assert backtest(paths, length_s=14.0, overrides=PORTFOLIO) == orders.read_bytes()
    assert orders.read_bytes() != backtest(paths, length_s=14.0, overrides=["quote.model=glft"])
