"""Actor hosts with a real registry in one process: joining, restarts, faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from actors.transport.host import ActorHost
from actors.transport.host_log import ActorLog, file_name, line
from actors.vocab.config import FleetSettings
from actors.vocab.control import Greeting, Instruments, Member
from actors.vocab.errors import OurFault
from actors.vocab.instruments import Instrument
from actors.vocab.message import Message
from actors.vocab.orders import FillsAgain
from tests.fakes import FakeRegistry, run_description, run_on, short_dir, until

LOOPS = ("asyncio", "uvloop")


class Stage:
    """A registry and the hosts that joined it."""

    def __init__(self, folder: Path, **run: Any) -> None:
        self.folder = folder
        self.registry = FakeRegistry(run_description(folder, **run))
        self.hosts: list[ActorHost] = []
        # (role, exit code) of each process that would have ended
        self.exits: list[tuple[str, int]] = []
        # what each host's hooks were told: (who was told, about which incarnation, came)
        self.told: list[tuple[str, str, bool]] = []

    async def host(self, role: str, *, environ: dict[str, str] | None = None, join: bool = True) -> ActorHost:
        host = ActorHost(
            role=role,
            registry=self.registry,
            environ=environ or {},
            exit_process=lambda code: self.exits.append((role, code)),
        )
        self.hosts.append(host)
        host.on_member.append(lambda member, came: self.told.append((role, member.incarnation, came)))
        await host.start()
        if join:
            await host.join()
        return host

    def told_to(self, role: str) -> list[tuple[str, bool]]:
        return [(incarnation, came) for who, incarnation, came in self.told if who == role]


@asynccontextmanager
async def stage(**run: Any) -> AsyncIterator[Stage]:
    with short_dir() as folder:
        made = Stage(folder, **run)
        try:
            yield made
        finally:
            for host in made.hosts:
                await host.stop()
            await made.registry.close()
        assert made.registry.exits == []


def knows(host: ActorHost, incarnation: str) -> bool:
    return any(member.incarnation == incarnation for member in host.members(""))


@pytest.mark.parametrize("loop", LOOPS)
def test_start_teaches_the_run_and_join_introduces_everybody(loop: str) -> None:
    async def main() -> None:
        async with stage(settings_json='{"feed": {"depth_levels": 7}}') as made:
            gateway = await made.host("gateway:binance_perp")
            quote = await made.host("quote:BTCUSDT")
            assert quote.run.symbols == ("BTCUSDT",)
            assert quote.settings == FleetSettings.model_validate({"feed": {"depth_levels": 7}})
            assert made.told_to("quote:BTCUSDT") == [(gateway.incarnation, True)]
            await until(lambda: made.told_to("gateway:binance_perp") == [(quote.incarnation, True)])
            assert [member.name for member in quote.members("gateway:")] == ["gateway:binance_perp"]
            assert [member.name for member in quote.members("quote:")] == ["quote:BTCUSDT"]
            await until(lambda: quote.registry_up and gateway.registry_up)

    run_on(loop, main())


@pytest.mark.parametrize("loop", LOOPS)
def test_two_joined_hosts_find_each_other_and_exchange_messages(loop: str) -> None:
    async def main() -> None:
        async with stage() as made:
            gateway = await made.host("gateway:binance_perp", join=False)
            heard: list[tuple[str, Message]] = []
            peers: list[tuple[str, bool]] = []

            def on_peer(greeting: Greeting, came: bool) -> None:
                peers.append((greeting.name, came))

            server = gateway.links.server("orders", on_message=lambda *got: heard.append(got), on_peer=on_peer)
            await gateway.join()
            quote = await made.host("quote:BTCUSDT")
            got: list[Message] = []
            client = quote.links.client(on_message=got.append, on_state=lambda up: None)
            (member,) = quote.members("gateway:")
            client.dial(member, "orders")
            await until(lambda: client.is_up)
            assert client.send(FillsAgain("binance_perp", 1))
            assert server.send(quote.incarnation, FillsAgain("binance_perp", 2))
            await until(lambda: heard and got)
            assert heard == [(quote.incarnation, FillsAgain("binance_perp", 1))]
            assert got == [FillsAgain("binance_perp", 2)]
            assert peers == [("quote:BTCUSDT", True)]

    run_on(loop, main())


def test_pretended_hosts_talk_over_tcp_with_keys() -> None:
    async def main() -> None:
        async with stage(tcp_host="127.0.0.1") as made:
            gateway = await made.host("gateway:binance_perp", join=False)
            heard: list[tuple[str, Message]] = []
            gateway.links.server("orders", on_message=lambda *got: heard.append(got), on_peer=lambda *_: None)
            await gateway.join()
            far = {"MANTA_HOST": "node2", "MANTA_CLOCK_OFFSET_NS": "-5000000000"}
            quote = await made.host("quote:BTCUSDT", environ=far)
            (member,) = quote.members("gateway:")
            assert quote.address_of(member, "orders").startswith("tcp://127.0.0.1:")
            client = quote.links.client(on_message=lambda _: None, on_state=lambda up: None)
            client.dial(member, "orders")
            await until(lambda: client.is_up and quote.registry_up)
            assert client.send(FillsAgain("binance_perp", 1))
            await until(lambda: heard)
            await until(lambda: knows(gateway, quote.incarnation))

    run_on("asyncio", main())


def test_a_new_life_is_told_as_gone_and_come_and_the_old_one_ends_loudly() -> None:
    async def main() -> None:
        async with stage() as made:
            gateway = await made.host("gateway:binance_perp")
            first = await made.host("quote:BTCUSDT")
            await until(lambda: knows(gateway, first.incarnation) and first.registry_up)
            second = await made.host("quote:BTCUSDT")
            await until(lambda: knows(gateway, second.incarnation))
            assert made.told_to("gateway:binance_perp") == [
                (first.incarnation, True),
                (first.incarnation, False),
                (second.incarnation, True),
            ]
            await until(lambda: made.exits == [("quote:BTCUSDT", 1)])
            assert second.registry_up

    run_on("uvloop", main())


def test_leaving_is_told_to_the_others() -> None:
    async def main() -> None:
        async with stage() as made:
            gateway = await made.host("gateway:binance_perp")
            quote = await made.host("quote:BTCUSDT")
            made.registry.actor._roster._complete = True  # past the gathering of its first seconds
            await until(lambda: knows(gateway, quote.incarnation))
            await quote.stop()
            await until(lambda: not knows(gateway, quote.incarnation))
            assert made.told_to("gateway:binance_perp")[-1] == (quote.incarnation, False)

    run_on("asyncio", main())


def instruments(tick_size: str = "0.1") -> Instruments:
    row = Instrument("BTCUSDT", "binance_perp", "perp", "BTCUSDT", "BTC", "USDT", tick_size, "0.001")
    return Instruments("binance_perp", 1, (row,))


@pytest.mark.parametrize("loop", LOOPS)
def test_a_restarted_registry_loses_nobody_and_learns_the_instruments_again(loop: str) -> None:
    async def main() -> None:
        async with stage() as made:
            feed = await made.host("feed:binance_perp:0")
            quote = await made.host("quote:BTCUSDT")
            await feed.offer_instruments(instruments())
            await until(lambda: quote.instruments and knows(feed, quote.incarnation))
            await until(lambda: feed.registry_up and quote.registry_up)
            made.registry.kill()
            await until(lambda: not (feed.registry_up or quote.registry_up))
            made.registry.restart()
            await until(lambda: feed.registry_up and quote.registry_up)
            late = await made.host("risk")
            await until(lambda: late.instruments == {"binance_perp": instruments()})
            await until(lambda: knows(quote, late.incarnation))
            assert {member.name for member in late.members("")} == {
                "feed:binance_perp:0",
                "quote:BTCUSDT",
                "registry",
                "risk",
            }
            assert made.told_to("quote:BTCUSDT") == [(feed.incarnation, True), (late.incarnation, True)]
            assert not any(came is False for _, _, came in made.told)

    run_on(loop, main())


def test_instruments_reach_hooks_once_per_change_also_those_that_join_late() -> None:
    async def main() -> None:
        async with stage() as made:
            feed = await made.host("feed:binance_perp:0")
            await feed.offer_instruments(instruments())
            quote = await made.host("quote:BTCUSDT", join=False)
            seen: list[Instruments] = []
            quote.on_instruments.append(seen.append)
            await quote.join()
            assert seen == [instruments()]
            await feed.offer_instruments(instruments())
            await feed.offer_instruments(instruments("0.01"))
            await until(lambda: len(seen) == 2)
            assert seen[1].rows == instruments("0.01").rows

    run_on("asyncio", main())


def test_a_role_in_a_crash_loop_is_refused_with_the_reason() -> None:
    async def main() -> None:
        async with stage() as made:
            for life in range(6):
                member = Member("quote:BTCUSDT", f"quote:BTCUSDT@{life}", "h", (), "", False)
                import msgspec

                await made.registry.register.remote(msgspec.msgpack.encode(member))
            with pytest.raises(OurFault, match="quote:BTCUSDT is in a crash loop: 6 lives in 60 s"):
                await made.host("quote:BTCUSDT")
            status = await made.registry.status.remote()
            assert set(status["given_up"]) == {"quote:BTCUSDT"}

    run_on("asyncio", main())


def boom() -> None:
    raise ValueError("boom")


async def boom_later() -> None:
    boom()


async def fine() -> None:
    return None


@pytest.mark.parametrize("where", ["timer", "task", "hook", "link"])
def test_an_exception_anywhere_stops_the_actor_once_with_its_traceback_in_the_log(
    where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def main() -> None:
        async with stage() as made:
            quote = await made.host("quote:BTCUSDT")
            if where == "timer":
                quote.every(1, boom)
            elif where == "task":
                quote.spawn(boom_later(), name="boom")
            elif where == "hook":
                quote.on_member.append(lambda *_: boom())
                await made.host("risk")
            else:
                quote.links.publisher("market", on_subscribe=lambda _: boom())
                subscriber = quote.links.subscriber(lambda _: None)
                subscriber.topic(b"")
                subscriber.connect(quote.address_of(quote.links.member(), "market"))
            await until(lambda: made.exits)
            assert made.exits == [("quote:BTCUSDT", 1)]
            assert quote.stopping
            text = (made.folder / "run" / "logs" / "quote_BTCUSDT.log").read_text()
            assert "ERROR quote:BTCUSDT stops on a fault" in text
            assert "ValueError: boom" in text
            assert "in boom" in text

    run_on("asyncio", main())
    assert "ValueError: boom" in capsys.readouterr().err


def test_a_task_that_ends_or_is_cancelled_is_no_fault() -> None:
    async def main() -> None:
        async with stage() as made:
            quote = await made.host("quote:BTCUSDT")
            await quote.spawn(fine(), name="fine")
            forever = quote.spawn(asyncio.Event().wait(), name="forever")  # type: ignore[arg-type]
            await asyncio.sleep(0)
            forever.cancel()
            await until(forever.done)
            assert made.exits == []

    run_on("asyncio", main())


def test_timers_keep_their_rhythm_and_skip_what_they_missed() -> None:
    async def main() -> None:
        async with stage() as made:
            quote = await made.host("quote:BTCUSDT")
            loop = asyncio.get_running_loop()
            began, turns = loop.time(), []
            quote.every(10, lambda: turns.append(loop.time() - began))
            await until(lambda: len(turns) >= 3)
            while loop.time() - began < 0.1:  # the loop is blocked: its turns in between are lost, not made up
                pass
            count = len(turns)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert len(turns) <= count + 1
            await quote.stop()
            count = len(turns)
            ends = loop.time() + 0.03
            await until(lambda: loop.time() > ends)
            assert len(turns) == count

    run_on("asyncio", main())


def test_vitals_are_plain_json() -> None:
    async def main() -> None:
        async with stage() as made:
            quote = await made.host("quote:BTCUSDT")
            import json

            vitals = json.loads(json.dumps(quote.vitals()))
            assert vitals["role"] == "quote:BTCUSDT"
            assert vitals["pss_mb"] > 1
            assert set(vitals["loop_lag_us"]) == {"p50", "p90", "p99", "max", "count"}

    run_on("asyncio", main())


def test_a_log_line_stays_one_line_and_a_role_becomes_a_file_name(tmp_path: Path) -> None:
    assert file_name("feed:binance_perp:0") == "feed_binance_perp_0"
    assert line("resynced", {"symbol": "BTC\nUSDT", "waited_ms": 3}) == "resynced symbol=BTC\\nUSDT waited_ms=3"
    log = ActorLog("quote:X", str(tmp_path))
    log.info("book resynced", symbol="X\n2026 forged line")
    log.close()
    text = (tmp_path / "logs" / "quote_X.log").read_text()
    assert text.count("\n") == 1
    assert text.endswith("Z INFO quote:X book resynced symbol=X\\n2026 forged line\n")
