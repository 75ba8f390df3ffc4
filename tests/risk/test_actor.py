"""The shell: a gateway and a holder on real links, a real journal, a second run that is refused."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from actors.risk.actor import RiskActor
from actors.transport.host import ActorHost
from actors.vocab.control import Instruments
from actors.vocab.errors import ConfigError
from actors.vocab.leases import AccountLease, AccountLeaseRequest, LeaseGrant, LeaseRequest, SymbolExposure
from actors.vocab.market import MARKS_TOPIC
from actors.vocab.message import Message
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
