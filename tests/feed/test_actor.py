"""The actor between a simulated venue and a subscriber, all in this process, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from actors.feed.actor import FeedActor
from actors.sim.actor import SimVenueActor
from actors.transport.host import ActorHost
from actors.vocab.config import FleetSettings
from actors.vocab.control import Member, VenueAccount
from actors.vocab.market import MARKS_TOPIC, BookState, BookUpdate, Marks, WarmUp
from actors.vocab.message import Message
from pipelines.universe import read_universe
from tests.fakes import FakeRegistry, run_description, run_on, short_dir, until

VENUE = "binance_perp"
SYMBOLS = ("BTCUSDT", "ETHUSDT")


class Reader:
    """What a quote actor would hear."""

    def __init__(self, registry: FakeRegistry) -> None:
        self.host = ActorHost(role="quote:BTCUSDT", registry=registry)
        self.books: dict[str, list[BookUpdate]] = {symbol: [] for symbol in SYMBOLS}
        self.warm: dict[str, WarmUp] = {}
        self.marks: list[Marks] = []

    async def start(self) -> None:
        await self.host.start()
        self._sub = self.host.links.subscriber(self._on_messages)
        for topic in (MARKS_TOPIC, *(symbol.encode() for symbol in SYMBOLS)):
            self._sub.topic(topic)
        self.host.on_member.append(self._on_member)
        await self.host.join()

    def state(self, symbol: str) -> BookState | None:
        return self.books[symbol][-1].state if self.books[symbol] else None

    def _on_member(self, member: Member, came: bool) -> None:
        if came and member.name.startswith("feed:"):
            self._sub.connect(self.host.address_of(member, "market"))

    def _on_messages(self, batch: list[tuple[bytes, Message]]) -> None:
        for topic, message in batch:
            if isinstance(message, BookUpdate):
                assert topic == message.symbol.encode()
                self.books[message.symbol].append(message)
            elif isinstance(message, WarmUp):
                self.warm[message.symbol] = message
            elif isinstance(message, Marks):
                self.marks.append(message)


@asynccontextmanager
async def stage(folder: Path, **changes: Any) -> AsyncIterator[tuple[SimVenueActor, FeedActor, Reader]]:
    universe = read_universe()
    sim = SimVenueActor(
        "sim:binance",
        FleetSettings().model_dump_json(),
        key_dir=str(folder),
        universe=tuple(row for row in universe.symbols if row.symbol in SYMBOLS),
        seed=1,
    )
    endpoint = (await sim.start())[VENUE]
    fields: dict[str, Any] = {"rest_url": endpoint.rest_url, "stream_url": endpoint.stream_url} | changes
    account = VenueAccount(VENUE, "binance", "perp", fields["rest_url"], fields["stream_url"], "", "", "", "sim")
    registry = FakeRegistry(run_description(folder, accounts=(account,), symbols=SYMBOLS))
    feed, reader = FeedActor(f"feed:{VENUE}:0", registry, VENUE, 0, 1), Reader(registry)
    running = asyncio.ensure_future(feed.run())
    try:
        await reader.start()
        yield sim, feed, reader
    finally:
        await feed.stop()
        await reader.host.stop()
        await registry.close()
        await sim.stop()
        await asyncio.gather(running, return_exceptions=True)


def test_books_come_into_sync_with_history_marks_and_numbers_without_a_hole() -> None:
    async def main(folder: Path) -> None:
        async with stage(folder) as (_, feed, reader):
            await until(lambda: all(reader.state(s) is BookState.OK for s in SYMBOLS), timeout_s=20)
            await until(lambda: set(reader.warm) == set(SYMBOLS), timeout_s=20)
            await until(lambda: len(reader.marks) >= 2 and len(reader.books["BTCUSDT"]) > 20, timeout_s=20)
            for updates in reader.books.values():
                numbers = [update.seq for update in updates]
                assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
            assert len(reader.warm["BTCUSDT"].klines) == 60
            assert [mark.symbol for mark in reader.marks[-1].marks] == list(SYMBOLS)
            assert reader.host.instruments[VENUE].rows[0].venue == VENUE

            status = await feed.status()
            assert (status["books_ok_count"], status["reason"]) == (2, "")
            counters = status["counters"]
            assert (counters["gaps"], counters["unparsed"], counters["snapshots_asked"]) == (0, 0, 2)

    with short_dir() as folder:
        run_on("uvloop", main(folder))


def test_lost_connection_is_told_at_once_and_books_come_back() -> None:
    async def main(folder: Path) -> None:
        async with stage(folder) as (sim, feed, reader):
            await until(lambda: reader.state("BTCUSDT") is BookState.OK, timeout_s=20)
            await sim.inject("disconnect_public", venue=VENUE)
            await until(lambda: reader.state("BTCUSDT") is BookState.DOWN, timeout_s=20)
            await until(lambda: reader.state("BTCUSDT") is BookState.OK, timeout_s=20)
            assert (await feed.status())["counters"]["reconnects"] >= 1

    with short_dir() as folder:
        run_on("uvloop", main(folder))


def test_venue_that_is_down_is_a_reason_and_not_a_crash() -> None:
    async def main(folder: Path) -> None:
        async with stage(folder, rest_url="http://127.0.0.1:1") as (_, feed, reader):
            status: dict[str, Any] = {}
            while "no instruments" not in status.get("reason", ""):
                status = await feed.status()
                await asyncio.sleep(0.01)
            assert "127.0.0.1" in status["reason"]
            assert status["books_ok_count"] == 0
            assert reader.books["BTCUSDT"] == []

    with short_dir() as folder:
        run_on("uvloop", main(folder))
