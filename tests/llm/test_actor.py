"""The shells: members and treasury on real links, the simulated relay on real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import aiohttp
import pytest

from actors.journal.opinions import OpinionStore, opinions_path
from actors.llm.actor import LlmActor, ask, read_key, retry_after, share_of
from actors.llm.engine import Answered, Call, Unanswered
from actors.sim.relay import SimRelay
from actors.sim.relay_faults import RelayFaults
from actors.transport.host import ActorHost
from actors.transport.relay_server import RelayServer
from actors.treasury.actor import TreasuryActor
from actors.vocab.config import FleetSettings
from actors.vocab.errors import ConfigError
from actors.vocab.opinions import RegimeView
from actors.vocab.spending import Fault
from tests.fakes import FakeRegistry, run_description, run_on, short_dir, until
from tests.llm.kit import DEEPSEEK, inputs

KEY = "hs_live_" + "a1" * 16
SYMBOLS = tuple(f"S{n}" for n in range(6))


def journalled(folder: Path) -> bool:
    """Whether calls with their items are in the journal."""
    store = OpinionStore(opinions_path(f"sqlite:///{folder}/journal.sqlite"))
    try:
        return any(call.items_count and call.answer and call.user for call in store.read_calls())
    finally:
        store.close()


@asynccontextmanager
async def relay_server(faults: RelayFaults | None = None) -> AsyncIterator[tuple[RelayServer, str]]:
    loop = asyncio.get_running_loop()
    relay = SimRelay(key=KEY, chance=Random(1), faults=faults or RelayFaults(latency_times=0.01))
    server = RelayServer(relay, now_ns=lambda: int(loop.time() * 1e9))
    try:
        yield server, await server.start()
    finally:
        await server.stop()


async def _views_come_and_a_dead_members_symbols_too(folder: Path) -> None:
    async with relay_server() as (server, url):
        key_file = folder / "key"
        key_file.write_text(json.dumps({"api_key": KEY}))
        key_file.chmod(0o600)
        settings = FleetSettings.model_validate({"llm": {"batch_wait_ms": 10, "opinion_interval_s": 0.2}})
        registry = FakeRegistry(
            run_description(
                folder,
                settings_json=settings.model_dump_json(),
                symbols=SYMBOLS,
                relay_url=url,
                relay_key_file=str(key_file),
                journal_url=f"sqlite:///{folder}/journal.sqlite",
            )
        )
        treasury = TreasuryActor("treasury", registry)
        members = [LlmActor(f"llm:{index}", registry) for index in range(2)]
        running = [asyncio.ensure_future(actor.run()) for actor in (treasury, *members)]
        quote = ActorHost(role="quote:S0", registry=registry)
        heard: set[str] = set()
        try:
            await quote.start()
            signals = quote.links.publisher("signals")
            views = quote.links.subscriber(
                lambda batch: heard.update(view.symbol for _, view in batch if isinstance(view, RegimeView))
            )
            for symbol in SYMBOLS:
                views.topic(symbol.encode())
            quote.on_member.append(
                lambda member, came: (
                    views.connect(quote.links.address_of(member, "views"))
                    if came and member.name.startswith("llm:")
                    else None
                )
            )
            await quote.join()

            async def until_heard() -> None:
                heard.clear()
                while heard != set(SYMBOLS):
                    for symbol in SYMBOLS:
                        signals.send(symbol.encode(), inputs(symbol))
                    await asyncio.sleep(0.02)

            await until(lambda: [len(one._ours) for one in members] == [3, 3], timeout_s=20, what="shares")
            await asyncio.wait_for(until_heard(), 20)
            assert all([(await member.status())["items"] for member in members])
            spent = await treasury.status()
            assert spent["outcomes"]["ok"] >= 2
            assert spent["cost_usd"] > 0
            await until(lambda: journalled(folder), what="the journal's second")

            running[2].cancel()
            await members[1].stop()
            await until(lambda: members[0]._ours == frozenset(SYMBOLS), what="the other member's symbols")
            await asyncio.wait_for(until_heard(), 20)
            assert server.relay.refused_429_count == 0
        finally:
            for task in running:
                task.cancel()
            await quote.stop()
            for member in members:
                await member.stop()
            await treasury.stop()
            await registry.close()


def test_views_come_and_when_a_member_dies_another_asks_for_its_symbols() -> None:
    with short_dir() as folder:
        run_on("uvloop", _views_come_and_a_dead_members_symbols_too(folder))


CALL = Call(
    7,
    json.dumps(
        {"model": DEEPSEEK, "messages": [{"role": "user", "content": "A,1,0.8,10,0.1,50,normal"}], "max_tokens": 150}
    ).encode(),
    0.4,
)


async def _one_call(faults: RelayFaults, call: Call = CALL) -> Answered | Unanswered:
    async with (
        relay_server(faults) as (server, url),
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session,
    ):
        event = await ask(session, url, call)
        await until(lambda: not server.relay._gate._busy, what="the gateway to notice that the client has hung up")
        return event


@pytest.mark.parametrize(
    ("fault", "named"),
    [("never", Fault.NO_ANSWER), ("trickle", Fault.NOT_FINISHED), ("cut", Fault.BROKE_OFF)],
)
def test_a_server_that_never_finishes_is_left_at_the_deadline(fault: str, named: Fault) -> None:
    async def main() -> None:
        event = await _one_call(RelayFaults(latency_times=0.01, **{fault: 1.0}))
        assert isinstance(event, Unanswered)
        assert (event.fault, event.sent) == (named, True)

    run_on("uvloop", main())


def test_an_enormous_answer_is_cut_off_unread() -> None:
    async def main() -> None:
        event = await _one_call(RelayFaults(latency_times=0.01, enormous=1.0), Call(7, CALL.body, 10.0))
        assert isinstance(event, Answered)
        assert len(event.body) == 2_000_000

    run_on("uvloop", main())


def test_a_refusal_carries_its_retry_after() -> None:
    async def main() -> None:
        event = await _one_call(RelayFaults(limited=1.0))
        assert isinstance(event, Answered)
        assert (event.status, event.retry_after_s) == (429, 2.0)

    run_on("uvloop", main())


def test_a_server_that_is_not_there_was_never_sent_to() -> None:
    async def main() -> None:
        async with relay_server() as (_, url):
            pass
        async with aiohttp.ClientSession() as session:
            event = await ask(session, url, CALL)
        assert isinstance(event, Unanswered)
        assert not event.sent

    run_on("uvloop", main())


@pytest.mark.parametrize(
    ("text", "date", "wait_s"),
    [
        ("7", "", 7.0),
        ("0.5", "", 0.5),
        ("Fri, 27 Nov 2026 10:00:09 GMT", "Fri, 27 Nov 2026 10:00:00 GMT", 9.0),
        ("Fri, 27 Nov 2026 10:00:09 GMT", "", 0.0),
        ("-3", "", 0.0),
        ("nan", "", 0.0),
        ("inf", "", 3600.0),
        ("soon", "never", 0.0),
        ("Fri, 27 Nov 99999999999999999999 10:00:00 GMT", "Fri, 27 Nov 2026 10:00:00 GMT", 0.0),
        ("Fri, 27 Nov 2026 10:00:00 GMT", "Fri, 27 Nov 2026 99999999999:00:00 GMT", 0.0),
        ("", "", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_moment_of_the_servers_clock(text: str, date: str, wait_s: float) -> None:
    assert retry_after(text, date) == wait_s


def test_living_members_divide_the_symbols_without_gap_or_overlap() -> None:
    names = {"llm:0", "llm:2", "llm:10"}
    shares = [share_of(SYMBOLS, names, name) for name in names]
    assert frozenset().union(*shares) == frozenset(SYMBOLS)
    assert sum(len(share) for share in shares) == len(SYMBOLS)


def test_another_vendors_key_goes_to_another_vendors_server_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K", "sk-" + "a" * 40)
    assert read_key(key_file="", key_env="K", base_url="http://127.0.0.1:4000/v1").startswith("sk-")
    for url in ("", "https://api.holysheep.ai/v1"):
        with pytest.raises(ConfigError, match="another provider's key"):
            read_key(key_file="", key_env="K", base_url=url)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"api_key": "hs_live_0123456789', "is no JSON"),
        (b'{"api_key": null}', "is no JSON like"),
        (b'{"key": "hs_live_0123456789"}', "is no JSON like"),
        (b'{"a":' * 100_000, "is no JSON"),
        (b'{"api_key": ""}', "no relay key"),
        (b"\xff\xfe", "not UTF-8"),
        (b"", "no relay key"),
    ],
)
def test_a_key_file_that_holds_no_key_is_refused_in_one_line(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=says) as caught:
        read_key(key_file=str(path), key_env="K")
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    assert "0123456789" not in text
