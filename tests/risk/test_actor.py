"""The shell: a gateway and a holder on real links, a real journal, a second run that is refused."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from actors.risk.actor import RiskActor
from actors.transport.host import ActorHost
from actors.vocab.config import FleetSettings, PortfolioSettings, QuoteSettings
from actors.vocab.control import Instruments
from actors.vocab.errors import ConfigError
from actors.vocab.leases import AccountLease, AccountLeaseRequest, LeaseGrant, LeaseRequest, SymbolExposure
from actors.vocab.market import MARKS_TOPIC, Side
from actors.vocab.message import Message
from actors.vocab.orders import Fill
from actors.vocab.portfolio import PortfolioView
from tests.fakes import FakeRegistry, run_description, run_on, short_dir, until
from tests.risk.fleet import instrument, marks_of

VENUE = "binance_perp"


async def _second_run_is_refused(registry: FakeRegistry) -> None:
    second = RiskActor("risk", registry)
    with pytest.raises(ConfigError, match="in use by another run"):
        await second.run()
    await second.stop()


async def _one_grant(folder: Path) -> None:
    registry = FakeRegistry(run_description(folder, journal_url=f"sqlite:///{folder}/j.db"))
    risk = RiskActor("risk", registry)
    running = asyncio.ensure_future(risk.run())
    heard: list[Message] = []
    host = ActorHost(role="quote:BTCUSDT", registry=registry)
    feed = ActorHost(role=f"feed:{VENUE}:0", registry=registry)
    try:
        await host.start()
        await feed.start()
        link = host.links.client(on_message=heard.append, on_state=lambda up: None)
        market = feed.links.publisher("market")
        await feed.join()
        await host.join()
        await feed.offer_instruments(Instruments(VENUE, 1, (instrument("BTCUSDT", VENUE),)))
        await until(lambda: any(m.name == "risk" for m in host.members("risk")), what="risk")
        link.dial(host.members("risk")[0], "risk")
        await until(lambda: link.is_up, what="the link")

        fence = number = 0
        while not any(isinstance(m, LeaseGrant) and m.long_lots == 40 for m in heard):
            number += 1
            assert number < 100, "no grant came"
            market.send(MARKS_TOPIC, marks_of(VENUE, {"BTCUSDT": 10_000}))
            fences = [fence.min_grant_no for m in heard if isinstance(m, AccountLease) for fence in m.fences]
            fence = max(fences, default=fence)
            seen = (SymbolExposure("BTCUSDT", 0, 0, 0, fence),)
            link.send(AccountLeaseRequest(VENUE, host.incarnation, number, 0, seen))
            link.send(LeaseRequest(VENUE, "BTCUSDT", host.incarnation, number, 0, 40, 40, 0, 0.0))
            await asyncio.sleep(0.02)

        status = await risk.status()
        assert status["ready"]
        assert status["risk"]["term"] == 1
        assert "NORMAL" in str(await risk.why("BTCUSDT"))
        assert (await risk.command("kill", "", "drill")).startswith("kill: fleet")
        await until(lambda: any(getattr(m, "state", 0) == 4 for m in heard), what="the stop")
    finally:
        await host.stop()
        await feed.stop()
        running.cancel()
        await risk.stop()
        await registry.close()


def test_a_holder_is_granted_over_links_and_a_kill_reaches_it() -> None:
    with short_dir() as folder:
        run_on("uvloop", _one_grant(folder))


async def _refused(folder: Path) -> None:
    url = f"sqlite:///{folder}/j.db"
    registry = FakeRegistry(run_description(folder, journal_url=url))
    other = FakeRegistry(run_description(folder / "other", journal_url=url))
    risk = RiskActor("risk", registry)
    running = asyncio.ensure_future(risk.run())
    try:
        await until(lambda: Path(f"{folder}/j.db.lock").exists(), what="the lock")
        await until(lambda: not running.done(), what="risk")
        await _second_run_is_refused(other)
    finally:
        running.cancel()
        await risk.stop()
        await registry.close()
        await other.close()


def test_a_second_run_on_the_account_is_refused() -> None:
    with short_dir() as folder:
        run_on("uvloop", _refused(folder))


async def _one_skew(folder: Path) -> None:
    """Two symbols that move together, sampled each second; a fill in the first is told to both."""
    settings = FleetSettings(
        quote=QuoteSettings(model="portfolio"),
        portfolio=PortfolioSettings(sample_ms=1_000, samples_min=5, recompute_interval_s=1),
    )
    symbols = ("BTCUSDT", "ETHUSDT")
    run = run_description(
        folder, journal_url=f"sqlite:///{folder}/j.db", settings_json=settings.model_dump_json(), symbols=symbols
    )
    registry = FakeRegistry(run)
    risk = RiskActor("risk", registry)
    running = asyncio.ensure_future(risk.run())
    heard: list[Message] = []
    host = ActorHost(role="quote:BTCUSDT", registry=registry)
    feed = ActorHost(role=f"feed:{VENUE}:0", registry=registry)
    try:
        await host.start()
        await feed.start()
        link = host.links.client(on_message=heard.append, on_state=lambda up: None)
        market = feed.links.publisher("market")
        await feed.join()
        await host.join()
        await feed.offer_instruments(Instruments(VENUE, 1, tuple(instrument(symbol, VENUE) for symbol in symbols)))
        await until(lambda: any(m.name == "risk" for m in host.members("risk")), what="risk")
        link.dial(host.members("risk")[0], "risk")
        await until(lambda: link.is_up, what="the link")

        number, filled = 0, False
        shifted: set[str] = set()
        while shifted != {*symbols}:
            shifted = {view.symbol for view in heard if isinstance(view, PortfolioView) and view.skew_bps > 0}
            number += 1
            assert number < 1_000, "no skew came"
            price = 1_000_000 + 100 * (number % 7)
            market.send(MARKS_TOPIC, marks_of(VENUE, dict.fromkeys(symbols, price)))
            fences = {f.symbol: f.min_grant_no for m in heard if isinstance(m, AccountLease) for f in m.fences}
            seen = tuple(SymbolExposure(s, int(filled and s == symbols[0]), 0, 0, fences.get(s, 0)) for s in symbols)
            link.send(AccountLeaseRequest(VENUE, host.incarnation, number, int(filled), seen))
            for symbol in symbols:
                link.send(LeaseRequest(VENUE, symbol, host.incarnation, number, 0, 40, 40, int(filled), 0.0))
            if not filled and any(isinstance(message, PortfolioView) for message in heard):
                filled = True
                link.send(Fill(VENUE, symbols[0], 1, 1, "mnt1", "", 1, 1, Side.BUY, price, 1, True, "0", "USDT", 1, 1))
            await asyncio.sleep(0.02)

        assert (await risk.status())["portfolio"]["symbols_count"] == 2
    finally:
        await host.stop()
        await feed.stop()
        running.cancel()
        await risk.stop()
        await registry.close()


@pytest.mark.slow
def test_skews_are_worked_out_beside_the_loop_and_reach_their_holders() -> None:
    with short_dir() as folder:
        run_on("uvloop", _one_skew(folder))
