"""The shell on real sockets: links to a registry, risk, a feed and a quote actor, and a simulated Binance."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from actors.gateway.actor import GatewayActor
from actors.sim.exchange import SimExchange
from actors.sim.messages import Disconnect, Scope
from actors.sim.universe import Listing, UniverseRow, instruments
from actors.transport.host import ActorHost
from actors.transport.identity import SystemClock
from actors.transport.venue_desk import VenueClock
from actors.transport.venue_keys import make_key_file
from actors.transport.venue_server import VenueServer
from actors.venues.binance.calls import ServerAccount
from actors.venues.binance.server import BinanceServer
from actors.vocab.config import FleetSettings
from actors.vocab.control import Instruments, VenueAccount
from actors.vocab.instruments import Instrument
from actors.vocab.leases import (
    AccountLease,
    AccountLeaseRequest,
    BlockGrant,
    BlockRequest,
    RiskState,
    Token,
)
from actors.vocab.market import MARKS_TOPIC, BookState, Mark, Marks, Side
from actors.vocab.message import Message
from actors.vocab.orders import (
    CancelOrder,
    Cause,
    Fill,
    HolderHello,
    HolderState,
    LeasedOrder,
    OrderRow,
    OrderState,
    OrderUpdate,
    PositionAdjust,
)
from actors.vocab.units import NS_PER_MS
from tests.fakes import FakeRegistry, run_description, run_on, short_dir, until

SYMBOL = "BTCUSDT"
PRICE = 60_000.0
_LISTING = Listing(SYMBOL, "BTC", PRICE, "0.1", "0.001", "100")
ROW = UniverseRow(SYMBOL, 0.3, 1e7, _LISTING, _LISTING)


def listed(venue: str) -> Instrument:
    market: Any = venue.partition("_")[2]
    (row,) = instruments((ROW,), venue=venue, market=market, quote="USDT", maker_fee_bps=2.0, taker_fee_bps=5.0)
    return row


def _faulted(code: int) -> None:
    """A stand-in of this test broke: say so instead of ending pytest."""
    raise AssertionError(f"a test's own actor stopped with {code}; see stderr")


class Risk:
    """Grants whatever a gateway asks for, and keeps what it reports."""

    def __init__(self, registry: FakeRegistry) -> None:
        self.host = ActorHost(role="risk", registry=registry, exit_process=_faulted)
        self.heard: list[Message] = []
        self.answers = True

    async def start(self) -> None:
        await self.host.start()
        self.server = self.host.links.server("risk", on_message=self._hear, on_peer=lambda greeting, up: None)
        await self.host.join()

    def _hear(self, peer: str, message: Message) -> None:
        self.heard.append(message)
        if not self.answers:
            return
        if isinstance(message, AccountLeaseRequest):
            lease = AccountLease(message.venue, 1, message.request_no, RiskState.NORMAL, 2_000, 0, 1)
            self.server.send(peer, lease)
        elif isinstance(message, BlockRequest):
            self.server.send(peer, BlockGrant(message.venue, message.gateway, 1, 1_000, 0))

    def of(self, kind: type[Any]) -> list[Any]:
        return [message for message in self.heard if isinstance(message, kind)]


class Quote:
    """Speaks for one symbol."""

    def __init__(self, registry: FakeRegistry, venue: str) -> None:
        self.host = ActorHost(role="quote:BTCUSDT", registry=registry, exit_process=_faulted)
        self.venue = venue
        self.heard: list[Message] = []
        self._ref = 0

    async def start(self) -> None:
        await self.host.start()
        self.client = self.host.links.client(on_message=self.heard.append, on_state=self._on_state)
        self.host.on_member.append(
            lambda member, came: self.client.dial(member, "orders") if came and "gateway" in member.name else None
        )
        await self.host.join()

    def _on_state(self, up: bool) -> None:
        if up and self.client.peer is not None:
            holder = self.host.incarnation
            self.client.send(HolderHello(self.venue, SYMBOL, holder, self.client.peer.incarnation))

    def place(self, side: Side, price_ticks: int, lots: int, *, post_only: bool = True) -> int:
        self._ref += 1
        assert self.client.send(
            LeasedOrder(
                venue=self.venue,
                symbol=SYMBOL,
                ref=self._ref,
                slot=self._ref,
                side=side,
                price_ticks=price_ticks,
                lots=lots,
                post_only=post_only,
                reduce_only=False,
                token=Token(1, 1, self.host.incarnation),
                long_lots=10_000,
                short_lots=10_000,
                lease_left_ms=1_500,
                value_usd=1.0,
                cause=Cause.BOOK,
                recv_ns=self.host.clock.now_ns(),
                age_us=0,
            )
        )
        return self._ref

    def of(self, kind: type[Any]) -> list[Any]:
        return [message for message in self.heard if isinstance(message, kind)]

    def states(self, ref: int) -> list[OrderState]:
        return [update.state for update in self.of(OrderUpdate) if update.ref == ref]


async def simulated(venue: str, settings: FleetSettings, folder: Path) -> tuple[VenueServer, VenueAccount]:
    """A Binance of one symbol on a free port, without takers, and the way to it."""
    market: Any = venue.partition("_")[2]
    clock = VenueClock(SystemClock())
    exchange = SimExchange(
        venue=venue,
        instruments=(listed(venue),),
        prices={SYMBOL: PRICE},
        settings=settings.sim,
        seed=1,
        start_ms=clock.now_ns() // NS_PER_MS,
    )
    key_file, credentials = make_key_file(folder / "keys", venue)
    exchange.open_account("sim", clock.now_ns())
    dialect = BinanceServer(venue, exchange.instruments(), [ServerAccount("sim", credentials)])
    server = VenueServer(dialect=dialect, exchange=exchange, clock=clock, market=market)
    host = f"127.0.0.1:{await server.start()}"
    orders = "/ws-fapi/v1" if market == "perp" else "/ws-api/v3"
    account = VenueAccount(
        venue, "binance", market, f"http://{host}", f"ws://{host}", f"ws://{host}{orders}", str(key_file), "", "sim"
    )
    return server, account


class World:
    """Everything around one gateway."""

    def __init__(
        self,
        sim: VenueServer,
        registry: FakeRegistry,
        risk: Risk,
        feed: ActorHost,
        quote: Quote,
        gateway: GatewayActor,
    ) -> None:
        self.sim, self.registry, self.risk, self.feed, self.quote, self.gateway = (
            sim,
            registry,
            risk,
            feed,
            quote,
            gateway,
        )
        self.exits: list[int] = []
        self.row: Instrument = listed(quote.venue)
        self.mid = int(Decimal(str(PRICE)) / self.row.tick)

    async def until_open(self) -> None:
        engine, clock = self.gateway._engine, self.gateway._host.clock
        assert engine is not None
        await until(lambda: engine.collar.reference_ticks(SYMBOL, clock.now_ns()), what="marks")
        await until(
            lambda: any(state.complete for state in self.quote.of(HolderState)), what="an open gateway", timeout_s=10
        )


@asynccontextmanager
async def world(venue: str, *, supervised: bool = False) -> AsyncIterator[World]:
    with short_dir() as folder:
        settings = FleetSettings.model_validate({"sim": {"taker_rate_per_s": 0.0, "frames_per_s": 50.0}})
        sim, account = await simulated(venue, settings, folder)
        registry = FakeRegistry(
            run_description(folder, accounts=(account,), settings_json=settings.model_dump_json(), run_dir="")
        )
        risk, quote = Risk(registry), Quote(registry, venue)
        feed = ActorHost(role=f"feed:{venue}:0", registry=registry, exit_process=_faulted)
        exits: list[int] = []
        gateway = GatewayActor(f"gateway:{venue}", registry, venue, supervised=supervised, exit_process=exits.append)
        await risk.start()
        running = asyncio.create_task(gateway.run())
        await feed.start()
        market_data = feed.links.publisher("market")
        await feed.join()
        await feed.offer_instruments(Instruments(venue, 1, (listed(venue),)))
        await quote.start()
        it = World(sim, registry, risk, feed, quote, gateway)
        it.exits = exits

        def marks() -> None:
            row = Mark(SYMBOL, BookState.OK, it.mid - 1, it.mid + 1, float(it.mid), float(it.mid), 0.0, 0, 0)
            market_data.send(MARKS_TOPIC, Marks(venue, 1, (row,)))

        feed.every(50, marks)
        try:
            yield it
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            if gateway._line is not None:
                await gateway._line.close()
            for host in (quote.host, feed, risk.host, gateway._host):
                await host.stop()
            await sim.stop()
            await registry.close()


def script(venue: str, play: Callable[[World], Any], *, supervised: bool = False) -> None:
    """A supervised gateway is not waited for: it opens when `play` has called it."""

    async def main() -> None:
        async with world(venue, supervised=supervised) as it:
            if not supervised:
                await it.until_open()
            await play(it)
            assert it.exits in ([], [0]), "the gateway stopped on a fault of its own"

    run_on("uvloop", main())


@pytest.mark.parametrize("venue", ["binance_perp", "binance_spot"])
def test_order_lives_and_ends_over_every_socket(venue: str) -> None:
    async def play(it: World) -> None:
        ref = it.quote.place(Side.BUY, int(it.mid * 0.97), it.row.lots_for_notional(int(it.mid * 0.97)) * 2)
        await until(lambda: OrderState.OPEN in it.quote.states(ref), what="an ack")
        assert [order["state"] for order in await it.gateway.orders()] == ["OPEN"]

        it.quote.client.send(CancelOrder(venue, SYMBOL, it.quote.host.incarnation, ref))
        await until(lambda: OrderState.CANCELLED in it.quote.states(ref), what="a cancel")
        status = await it.gateway.status()
        assert (status["orders"]["placed"], status["orders"]["acked"], status["orders"]["cancelled"]) == (1, 1, 1)
        assert status["latency_us"]["order_to_ack"]["count"] == 1
        assert status["latency_us"]["frame_to_order"]["count"] == 1
        await until(lambda: len(it.risk.of(OrderRow)) == 3, what="rows of written, open, cancelled")

    script(venue, play)


@pytest.mark.parametrize("venue", ["binance_perp", "binance_spot"])
def test_taking_order_is_filled_numbered_and_told_to_both(venue: str) -> None:
    async def play(it: World) -> None:
        price = int(it.mid * 1.02)
        ref = it.quote.place(Side.BUY, price, it.row.lots_for_notional(price) * 2, post_only=False)
        await until(lambda: OrderState.FILLED in it.quote.states(ref), what="a fill")
        await until(lambda: it.risk.of(Fill), what="the fill at risk")
        assert it.risk.of(Fill) == it.quote.of(Fill)
        numbered = [*it.risk.of(PositionAdjust), *it.risk.of(Fill)]  # spot: the starting coins, fees in coins
        assert sorted(row.fill_no for row in numbered) == list(range(1, len(numbered) + 1))
        bought = sum(fill.lots for fill in it.risk.of(Fill))
        await until(lambda: it.risk.of(AccountLeaseRequest)[-1].symbols[0].position_lots > 0, what="the position")
        assert bought == it.row.lots_for_notional(price) * 2

    script(venue, play)


@pytest.mark.parametrize(
    ("venue", "scope"), [("binance_perp", "private"), ("binance_perp", "order"), ("binance_spot", "order")]
)
def test_lost_connection_pulls_orders_and_opens_again(venue: str, scope: str) -> None:
    async def play(it: World) -> None:
        ref = it.quote.place(Side.BUY, int(it.mid * 0.97), it.row.lots_for_notional(int(it.mid * 0.97)) * 2)
        await until(lambda: OrderState.OPEN in it.quote.states(ref))
        it.quote.heard.clear()
        it.sim.disconnect(Disconnect(Scope(scope), ""))
        await until(lambda: OrderState.CANCELLED in it.quote.states(ref), what="the pull", timeout_s=10)
        await it.until_open()
        ref = it.quote.place(Side.SELL if venue == "binance_perp" else Side.BUY, int(it.mid * 0.98), 50)
        assert await it.gateway.orders() is not None

    script(venue, play)


def test_planned_reconnect_takes_the_spot_user_stream_along() -> None:
    async def play(it: World) -> None:
        line = it.gateway._line
        assert line is not None
        orders = line._orders
        assert orders is not None
        orders._overlap_s = 0.5
        (before,) = it.sim.users.listeners("")
        orders.reconnect("maximum age")
        await until(lambda: orders.overlaps_count == 1, what="the handover")
        await until(lambda: before not in it.sim.users.listeners(""), what="the end of the old connection")
        assert len(it.sim.users.listeners("")) == 1
        assert line._private_up
        told = it.sim.users.frames_count
        price = int(it.mid * 1.02)
        ref = it.quote.place(Side.BUY, price, it.row.lots_for_notional(price) * 2, post_only=False)
        await until(lambda: OrderState.FILLED in it.quote.states(ref), what="a fill")
        assert it.sim.users.frames_count > told

    script("binance_spot", play)


def test_stop_leaves_no_order_and_says_so() -> None:
    async def play(it: World) -> None:
        for level in range(5):
            price = int(it.mid * (0.97 - level / 1000))
            it.quote.place(Side.BUY, price, it.row.lots_for_notional(price) * 2)
        await until(lambda: sum(OrderState.OPEN in it.quote.states(ref) for ref in range(1, 6)) == 5)
        assert await it.gateway.stop() == []
        await until(lambda: all(it.quote.states(ref)[-1] is OrderState.CANCELLED for ref in range(1, 6)))

    script("binance_perp", play)


def test_silent_supervisor_ends_the_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.gateway.actor.SUPERVISOR_SILENCE_S", 0.2)

    async def play(it: World) -> None:
        ref = it.quote.place(Side.BUY, int(it.mid * 0.97), it.row.lots_for_notional(int(it.mid * 0.97)) * 2)
        await until(lambda: OrderState.OPEN in it.quote.states(ref))
        await it.gateway.heartbeat()
        await until(lambda: it.exits == [0], what="the exit")
        assert OrderState.CANCELLED in it.quote.states(ref)

    script("binance_perp", play)


def test_a_gateway_whose_ray_has_gone_cancels_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(it: World) -> None:
        ref = it.quote.place(Side.BUY, int(it.mid * 0.97), it.row.lots_for_notional(int(it.mid * 0.97)) * 2)
        await until(lambda: OrderState.OPEN in it.quote.states(ref))
        monkeypatch.setattr("actors.gateway.actor.os.getppid", lambda: 1)
        await until(lambda: it.exits == [0], what="the exit")
        assert OrderState.CANCELLED in it.quote.states(ref)

    script("binance_perp", play)


def test_a_supervised_gateway_is_closed_until_somebody_watches() -> None:
    async def play(it: World) -> None:
        await until(lambda: it.gateway._risk_member is not None, what="risk in the directory")
        engine = it.gateway._engine
        assert engine is not None
        assert not it.risk.of(AccountLeaseRequest)
        assert engine.gate.term == 0
        await it.gateway.heartbeat()
        await it.until_open()
        assert engine.gate.term > 0

    script("binance_perp", play, supervised=True)


def test_kill_cancels_and_stays_closed() -> None:
    async def play(it: World) -> None:
        ref = it.quote.place(Side.BUY, int(it.mid * 0.97), it.row.lots_for_notional(int(it.mid * 0.97)) * 2)
        await until(lambda: OrderState.OPEN in it.quote.states(ref))
        assert await it.gateway.kill("test") == 1
        await until(lambda: OrderState.CANCELLED in it.quote.states(ref))
        assert (await it.gateway.status())["state"] == "killed: test"

    script("binance_perp", play)


def test_missing_key_is_told_and_nothing_is_opened() -> None:
    async def main() -> None:
        with short_dir() as folder:
            account = VenueAccount("binance_perp", "binance", "perp", "", "", "", str(folder / "none.json"), "", "x")
            registry = FakeRegistry(run_description(folder, accounts=(account,), run_dir=""))
            gateway = GatewayActor("gateway:binance_perp", registry, "binance_perp")
            running = asyncio.create_task(gateway.run())
            await until(lambda: gateway._problem)
            assert "key file" in (await gateway.status())["state"]
            assert await gateway.stop() == []
            await running
            await gateway._host.stop()
            await registry.close()

    run_on("asyncio", main())


def test_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    from actors.gateway.keys import read_credentials
    from actors.vocab.errors import ConfigError

    path = tmp_path / "key.json"
    path.write_text('{"api_key": "a", "secret": "b"}')
    path.chmod(0o644)
    account = VenueAccount("binance_perp", "binance", "perp", "", "", "", str(path), "", "x")
    with pytest.raises(ConfigError, match="chmod 600"):
        read_credentials(account, {})
    path.chmod(0o600)
    assert read_credentials(account, {}).api_key == "a"


def test_key_from_the_environment() -> None:
    from actors.gateway.keys import read_credentials
    from actors.vocab.errors import ConfigError

    account = VenueAccount("binance_perp", "binance", "perp", "", "", "", "", "MY", "x")
    found = read_credentials(account, {"MY_API_KEY": "a", "MY_SECRET": "b", "MY_KIND": "ed25519"})
    assert (found.api_key, found.kind) == ("a", "ed25519")
    assert "b" not in repr(found)
    with pytest.raises(ConfigError, match="MY_API_KEY"):
        read_credentials(account, {})
