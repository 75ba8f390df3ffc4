"""A spot account on real frames: both sides from the start out of its own coins, and the audit finds every cent."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import msgspec
import pytest

from actors.console.audit_views import AuditResult
from actors.journal.rows import LedgerRow, Row
from actors.journal.store import Store
from actors.quote.figures import figures
from actors.risk.ledger import LedgerState
from actors.sim.recording import survey
from actors.sim.saved import file_name, save_venue
from actors.transport.venue_recording import merge_frames
from actors.vocab.config import FleetSettings
from actors.vocab.control import RunDescription, VenueAccount
from actors.vocab.orders import STARTING_BALANCE, PositionAdjust
from pipelines.audit_ledger import audit_run
from pipelines.chain import ACCOUNT, Chain
from pipelines.run_folder import write_risk, write_run
from pipelines.settings import load_settings

DATA = Path(__file__).parent.parent.parent.parent / "shared" / "data"
RECORDING = DATA / "hftbacktest" / "binance_spot" / "btcusdt_20240808.gz"
VENUE, SYMBOL = "binance_spot", "BTCUSDT"
FRAMES = 20_000

pytestmark = [
    pytest.mark.recordings,
    pytest.mark.skipif(not RECORDING.exists(), reason="needs the real recordings in ../shared/data"),
]


@pytest.fixture(scope="module")
def settings() -> FleetSettings:
    return load_settings()


@pytest.fixture(scope="module")
def chain(settings: FleetSettings) -> Chain:
    frames = list(itertools.islice(merge_frames([RECORDING]), FRAMES))
    made = Chain([survey((frame for _, frame in frames), name=RECORDING.name)], settings, seed=1)
    made.run(frames)
    return made


def test_both_sides_are_quoted_from_the_start(chain: Chain) -> None:
    row = figures(chain.quotes[0].engines[SYMBOL][VENUE], chain.now_ns)
    assert row["two_sided_share"] > 0.9
    sides = {order.side.name for order in chain.venues["spot"].exchange.ledger.orders(ACCOUNT, SYMBOL)[:2]}
    assert sides == {"BUY", "SELL"}


def test_the_starting_balance_is_journalled_and_no_exposure(chain: Chain) -> None:
    told = [row for row in chain.risk.rows if isinstance(row, PositionAdjust) and row.reason == STARTING_BALANCE]
    assert [(row.asset, row.position_lots) for row in told] == [("BTC", 0)]
    summary = chain.risk.engine.summary()
    assert summary["fills_count"] > 0
    assert summary["risk"]["starting_coins_usd"] == pytest.approx(2_500, rel=0.05)
    assert summary["risk"]["exposed_usd_max"] <= 2_000
    assert summary["risk"]["lease_overrun_usd_max"] == 0


def audited(chain: Chain, rows: list[Row], settings: FleetSettings, tmp_path: Path) -> AuditResult:
    account = VenueAccount(VENUE, "binance", "spot", "http://127.0.0.1:1", "", "", str(tmp_path / "key"), "", ACCOUNT)
    (tmp_path / file_name(VENUE)).write_bytes(
        save_venue(chain.venues["spot"].exchange, market="spot", now_ns=chain.now_ns)
    )
    store = Store(f"sqlite:///{tmp_path / 'journal.sqlite'}", "sim")
    store.write(rows)
    store.close()
    run = RunDescription(
        run_id="chain",
        mode="replay",
        namespace="",
        settings_json=settings.model_dump_json(),
        accounts=(account,),
        symbols=(SYMBOL,),
        quote_groups=(),
        runtime_dir=str(tmp_path),
        run_dir=str(tmp_path),
        journal_url=f"sqlite:///{tmp_path / 'journal.sqlite'}",
        relay_url="",
        relay_key_file="",
    )
    write_run(tmp_path, run)
    write_risk(tmp_path, chain.risk.engine.summary())

    return asyncio.run(audit_run(tmp_path))


def bad(result: AuditResult) -> dict[str, tuple[str, ...]]:
    return {one.check: one.findings for one in result.verdicts if not one.is_good}


def test_the_audit_agrees_to_the_cent(chain: Chain, settings: FleetSettings, tmp_path: Path) -> None:
    result = audited(chain, chain.risk.rows, settings, tmp_path)

    assert bad(result) == {}
    assert float(result.net_usd or 0) == pytest.approx(chain.risk.engine.summary()["pnl"]["net_usd"], abs=0.005)


def test_the_audit_finds_a_stock_that_was_not_there(chain: Chain, settings: FleetSettings, tmp_path: Path) -> None:
    ledger = [row for row in chain.risk.rows if isinstance(row, LedgerRow)][-1]
    state = LedgerState.from_json(ledger.state_json)
    wrong = msgspec.structs.replace(state, stock_lots=state.stock_lots + 1).to_json()
    rows = [*chain.risk.rows, msgspec.structs.replace(ledger, state_json=wrong)]

    assert f"{VENUE}: positions" in bad(audited(chain, rows, settings, tmp_path))
