"""The shell over real links: a feed, a gateway and risk of a few lines each stand around it in this process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from actors.quote.actor import QuoteActor
from actors.transport.host import ActorHost
from actors.transport.meters import Histogram
from actors.vocab.config import FleetSettings
from actors.vocab.control import Greeting, Instruments
from actors.vocab.leases import LeaseGrant, LeaseRelease, LeaseRequest, RiskState, Token
from actors.vocab.market import BookState, BookUpdate
from actors.vocab.message import Message
from actors.vocab.opinions import RISK_TOPIC, RegimeView, RiskView, SignalInputs
from actors.vocab.orders import (
    CancelAll,
    CancelOrder,
    HolderHello,
    HolderState,
    LeasedOrder,
    LeasedReplace,
    OrderState,
    OrderUpdate,
)
from tests.fakes import LOOPS, FakeRegistry, run_description, run_on, short_dir, until
from tests.quote.stage import BTC, SYMBOL, VENUE

SETTINGS = FleetSettings.model_validate(
    {"quote": {"warm_up_updates": 2}, "llm": {"opinion_interval_s": 0.2}}
).model_dump_json()


class Neighbour:
    """A member with one server channel that notes what it hears."""

    def __init__(self, role: str, registry: FakeRegistry) -> None:
        self.exits: list[int] = []
        self.host = ActorHost(role=role, registry=registry, exit_process=self.exits.append)
        self.heard: list[Message] = []
        self.peers: list[str] = []

    async def start(self) -> None:
        await self.host.start()
        self.bind()
        await self.host.join()

    def bind(self) -> None: ...

    def on_peer(self, greeting: Greeting, came: bool) -> None:
        if came:
            self.peers.append(greeting.incarnation)

    def of(self, kind: type) -> list[Any]:
        return [message for message in self.heard if isinstance(message, kind)]


class Gateway(Neighbour):
    """Acknowledges everything at once."""

    def bind(self) -> None:
        self.open: set[int] = set()
        self.server = self.host.links.server("orders", on_message=self.on_message, on_peer=self.on_peer)

    def on_message(self, peer: str, message: Message) -> None:
        self.heard.append(message)
        match message:
            case HolderHello():
                state = HolderState(
                    message.venue, message.symbol, self.host.incarnation, 0, 0.0, 0, 0, 0, True, tuple(self.open)
                )
                self.server.send(peer, state)
            case LeasedOrder() | LeasedReplace():
                self.open.add(message.ref)
                self.say(peer, message.ref, OrderState.OPEN, message.price_ticks, message.lots)
            case CancelOrder():
                self.open.discard(message.ref)
                self.say(peer, message.ref, OrderState.CANCELLED, 0, 0)
            case CancelAll():
                for ref in sorted(self.open):
                    self.say(peer, ref, OrderState.CANCELLED, 0, 0)
                self.open.clear()

    def say(self, peer: str, ref: int, state: OrderState, price: int, lots: int) -> None:
        self.server.send(peer, OrderUpdate(VENUE, SYMBOL, peer, ref, state, price, lots, 0))


class Risk(Neighbour):
    """Grants whatever is asked."""

    def bind(self) -> None:
        self.server = self.host.links.server("risk", on_message=self.on_message, on_peer=self.on_peer)

    def on_message(self, peer: str, message: Message) -> None:
        self.heard.append(message)
        if isinstance(message, LeaseRequest):
            granted = LeaseGrant(
                venue=message.venue,
                symbol=message.symbol,
                token=Token(1, 1, message.holder),
                request_no=message.request_no,
                long_lots=100,
                short_lots=100,
                state=RiskState.NORMAL,
                reason="",
                ttl_ms=2_000,
                orders_per_min=600,
            )
            self.server.send(peer, granted)


class Feed(Neighbour):
    """Sends a quiet book every 20 ms."""

    def bind(self) -> None:
        self.seq = 0
        self.bid = 599_995
        self.publisher = self.host.links.publisher("market")
        self.host.every(20, self.send)

    def send(self) -> None:
        self.seq += 1
        self.publisher.send(
            SYMBOL.encode(),
            BookUpdate(
                venue=VENUE,
                symbol=SYMBOL,
                seq=self.seq,
                state=BookState.OK,
                event_ns=0,
                recv_ns=self.host.clock.now_ns(),
                age_us=0,
                lag_us=7,
                bids=((self.bid, 1000),),
                asks=((self.bid + 10, 1000),),
            ),
        )


class Stage:
    def __init__(self, folder: Path) -> None:
        self.registry = FakeRegistry(run_description(folder, settings_json=SETTINGS))
        self.risk = Risk("risk", self.registry)
        self.gateway = Gateway(f"gateway:{VENUE}", self.registry)
        self.feed = Feed(f"feed:{VENUE}:0", self.registry)
        self.quote = QuoteActor(f"quote:{SYMBOL}", self.registry)

    async def row(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.quote.status())["symbols"].get(SYMBOL, {})
        return found

    async def quoting(self) -> None:
        engines = self.quote._all
        await until(lambda: engines and all(engine.uptime.live for engine in engines), what="two-sided quoting")


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    with short_dir() as folder:
        found = Stage(folder)
        others: list[Neighbour] = [found.risk, found.gateway, found.feed]
        for neighbour in others:
            await neighbour.start()
        await found.feed.host.offer_instruments(Instruments(VENUE, 1, (BTC,)))
        running = asyncio.create_task(found.quote.run())
        await found.quoting()
        yield found
        await found.quote.stop()
        await running
        for neighbour in others:
            await neighbour.host.stop()
            assert neighbour.exits == []
        await found.registry.close()


@pytest.mark.parametrize("loop", LOOPS)
def test_quotes_both_sides_and_leaves_nothing_behind(loop: str) -> None:
    async def main() -> None:
        async with stage() as found:
            placed = found.gateway.of(LeasedOrder)
            assert [order.price_ticks < 600_000 for order in placed] == [True, False]
            assert placed[0].recv_ns > 0
            status = await found.quote.status()
            json.dumps(status)
            assert status["frame_to_quote_us"]["count"] > 0
            merged = Histogram()
            merged.merge(status["histograms"]["frame_to_quote"].encode())
            assert merged.count == status["frame_to_quote_us"]["count"]
            assert status["feed_lag_us"]["p50"] == 7
            assert status["symbols"][SYMBOL]["bid_reason"] == "quoting"
            assert status["send_failures"] == 0
            quote = found.quote
        assert [message.reason for message in found.gateway.of(CancelAll)] == ["stopping orderly stop"]
        assert found.gateway.open == set()
        assert len(found.risk.of(LeaseRelease)) == 1
        assert (await quote.status())["stopped"]

    run_on(loop, main())


def test_a_new_gateway_is_greeted_and_quoted_at_again() -> None:
    async def main() -> None:
        async with stage() as found:
            first = found.gateway
            await first.host.stop()
            found.gateway = Gateway(f"gateway:{VENUE}", found.registry)
            await found.gateway.start()
            await until(lambda: len(found.gateway.open) == 2)
            assert found.gateway.of(HolderHello)[0].gateway == found.gateway.host.incarnation
            second = found.gateway
            found.gateway = first  # the stage stops what it started
            await found.quote.stop()
            await second.host.stop()

    run_on("uvloop", main())


def test_a_feed_that_leaves_pulls_the_quotes_and_a_new_one_brings_them_back() -> None:
    async def main() -> None:
        async with stage() as found:
            await found.feed.host.stop()
            await until(lambda: not found.gateway.open)
            # Whichever comes first: the missed beats or the directory.
            assert (await found.row())["bid_code"] in ("BOOK_STALE", "FEED_DOWN")
            again = Feed(f"feed:{VENUE}:0", found.registry)
            await again.start()
            await until(lambda: len(found.gateway.open) == 2)
            await again.host.stop()

    run_on("uvloop", main())


def test_signals_go_out_and_views_come_in() -> None:
    async def main() -> None:
        async with stage() as found:
            member = Neighbour("llm:0", found.registry)
            await member.host.start()
            views = member.host.links.publisher("views")
            heard: list[tuple[bytes, Message]] = []
            signals = member.host.links.subscriber(heard.extend)
            signals.topic(SYMBOL.encode())

            def on_member(other: Any, came: bool) -> None:
                if came and other.name.startswith("quote:"):
                    signals.connect(member.host.address_of(other, "signals"))

            member.host.on_member.append(on_member)
            await member.host.join()
            await until(lambda: heard)
            assert isinstance(heard[0][1], SignalInputs)
            assert heard[0][1].mid_price == 60_000.0

            async with asyncio.timeout(5):
                while found.gateway.open:
                    views.send(SYMBOL.encode(), RegimeView(SYMBOL, 0.0, 0.0, ttl_s=30.0))
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0)
            assert (await found.row())["bid_code"] == "MODEL_HOLD"
            await member.host.stop()

    run_on("uvloop", main())


def test_a_verdict_on_risk_widens_every_symbol() -> None:
    """100 bps on top: each side a half per cent of 600 000 half ticks further out."""

    async def main() -> None:
        async with stage() as found:
            member = Neighbour("llm:0", found.registry)
            await member.host.start()
            views = member.host.links.publisher("views")
            await member.host.join()
            await until(lambda: found.gateway.open)
            async with asyncio.timeout(5):
                while not found.gateway.of(LeasedReplace):
                    views.send(RISK_TOPIC, RiskView("fleet", 0.1, False, 0.0, 100.0, ttl_s=90.0))
                    await asyncio.sleep(0.01)
            await until(lambda: any(one.price_ticks < 597_100 for one in found.gateway.of(LeasedReplace)))
            await until(lambda: any(one.price_ticks > 602_900 for one in found.gateway.of(LeasedReplace)))
            await member.host.stop()

    run_on("uvloop", main())


def test_moving_market_is_followed_by_replaces() -> None:
    async def main() -> None:
        async with stage() as found:
            found.feed.bid -= 600
            await until(lambda: found.gateway.of(LeasedReplace))
            assert found.gateway.of(LeasedReplace)[0].price_ticks < 599_850

    run_on("uvloop", main())
