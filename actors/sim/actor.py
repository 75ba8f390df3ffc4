"""Hosts simulated venues: exchange brains, their sockets, and where asked a replay of recordings, or for paper trading
the market of a venue that runs elsewhere.

Starts before the registry exists, since the run is described with this actor's endpoints: plain values in, endpoints
out. Nothing survives a restart; a simulated account lives as long as its venue.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from actors.sim.exchange import SimExchange
from actors.sim.flow import profiles
from actors.sim.messages import Disconnect, Scope
from actors.sim.orders_log import order_lines
from actors.sim.recorded import RecordedExchange
from actors.sim.recorded_venue import recorded_exchange, stream_suffixes
from actors.sim.recording import RecordingFacts
from actors.sim.relay import SimRelay
from actors.sim.relay_faults import MIXES, RelayDrill
from actors.sim.saved import file_name, save_venue
from actors.sim.universe import UniverseRow, instruments, prices
from actors.transport.host import ActorHost
from actors.transport.identity import SystemClock
from actors.transport.meters import CpuShare, pss_mb
from actors.transport.relay_server import RelayServer
from actors.transport.step_plan import cast_of
from actors.transport.step_times import LEAD_NS
from actors.transport.venue_desk import VenueClock
from actors.transport.venue_keys import make_key_file
from actors.transport.venue_latency import feed_latency, order_latency
from actors.transport.venue_pace import Barrier, BarrierPace, Pace, RealTimePace
from actors.transport.venue_recording import refuse_apart, survey_file
from actors.transport.venue_replay import PREROLL_NS, Replay
from actors.transport.venue_server import VenueServer
from actors.transport.venue_stage import RecordedBooks, Stage
from actors.transport.venue_steps import StepDoor, VenueSteps
from actors.transport.venue_upstream import Upstream, VenueAddress
from actors.venues.binance.calls import ServerAccount
from actors.venues.binance.market import BinanceMarket
from actors.venues.binance.server import BinanceServer
from actors.venues.dialect import Credentials
from actors.vocab.config import FleetSettings
from actors.vocab.errors import ConfigError
from actors.vocab.instruments import Instrument, Market
from actors.vocab.units import NS_PER_MS

log = logging.getLogger(__name__)

ACCOUNT_ID = "sim"
# Path of the websocket API, per market.
ORDER_PATHS: Mapping[Market, str] = {"perp": "/ws-fapi/v1", "spot": "/ws-api/v3"}


class VenueEndpoint(msgspec.Struct, frozen=True):
    """Where one simulated venue listens, in the words of `VenueAccount`. `streams` are the recorded ones' suffixes."""

    venue: str
    dialect: str
    market: Market
    rest_url: str
    stream_url: str
    order_url: str
    key_file: str
    account_id: str
    symbols: tuple[str, ...]
    streams: tuple[str, ...] = ()


class SimVenueActor:
    """One or more markets of the simulated venue, each on its own port of 127.0.0.1.

    `universe` are the rows that the venue lists; `replay` are recordings, and then the markets are theirs. `ports` maps
    a market to a port, 0 or absent for a free one. `symbols` are the recorded ones to play, empty for all. `barrier`
    (speed "max") is awaited after each recorded moment; without one, "max" steps with the run that `join_run` names. A
    replay with `hold` waits for `release`; `length_s` are the recorded seconds to play, 0 for all. `upstream` maps a
    market to (REST, streams) of the venue whose market is repeated for `symbols`: paper trading.
    """

    def __init__(
        self,
        role: str,
        settings_json: str,
        *,
        key_dir: str,
        markets: Sequence[Market] = ("perp",),
        universe: Sequence[UniverseRow] = (),
        quote: str = "USDT",
        seed: int = 0,
        ports: Mapping[str, int] | None = None,
        replay: Sequence[str] = (),
        symbols: Sequence[str] = (),
        speed: Literal["1x", "max"] = "1x",
        hold: bool = False,
        barrier: Barrier | None = None,
        clock_offset_ms: int = 0,
        length_s: float = 0.0,
        upstream: Mapping[Market, tuple[str, str]] | None = None,
    ) -> None:
        self.role = role
        self._settings = FleetSettings.model_validate_json(settings_json)
        self._key_dir = Path(key_dir)
        self._markets = tuple(markets)
        self._universe = tuple(universe)
        self._quote = quote
        self._seed = seed
        self._ports = dict(ports or {})
        self._replay_paths = tuple(Path(path) for path in replay)
        self._symbols = tuple(symbols)
        self._speed = speed
        self._hold = hold
        self._barrier = barrier
        self._clock_offset_ms = clock_offset_ms
        self._length_s = length_s
        self._addresses = {market: VenueAddress(*urls) for market, urls in (upstream or {}).items()}
        self._upstreams: dict[Market, Upstream] = {}
        self._clock = SystemClock()
        self._servers: dict[Market, VenueServer] = {}
        self._exchanges: dict[Market, SimExchange | RecordedExchange] = {}  # same keys
        self._endpoints: dict[str, VenueEndpoint] = {}
        self._replay: Replay | None = None
        self._replay_task: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._stopped = asyncio.Event()
        self._relay: RelayServer | None = None
        self._cpu = CpuShare()
        self._failure: BaseException | None = None
        self._door: StepDoor | None = None  # lock-step with a fleet
        self._host: ActorHost | None = None  # from `join_run` on
        self._key_file = Path()
        self._credentials = Credentials("", "")

    async def start(self) -> dict[str, VenueEndpoint]:
        """Bind and serve; endpoints by venue id. ConfigError for a taken port or an unusable recording.

        On paper this waits until the upstream answers; `status` says for what.
        """
        async with self._starting:
            if not self._endpoints:
                # One key opens every market, as at the venue.
                self._key_file, self._credentials = make_key_file(self._key_dir, "binance")
                if self._replay_paths:
                    await self._start_replay()
                elif self._addresses:
                    await self._start_paper()
                else:
                    await self._start_venues()
        return self._endpoints

    async def run(self) -> None:
        """Serve until `stop`; raises what broke a venue."""
        await self._stopped.wait()
        if self._failure is not None:
            raise self._failure

    async def start_relay(self) -> tuple[str, str]:
        """Serve the simulated model relay as well; its base URL and the file that holds its key."""
        key_file, credentials = make_key_file(self._key_dir, "relay")
        sim = self._settings.sim
        relay = SimRelay(
            key=credentials.api_key,
            chance=random.Random(self._seed),
            faults=MIXES.get(sim.relay_faults),
            drill=RelayDrill(fault_s=sim.relay_fault_s) if sim.relay_faults == "drill" else None,
        )
        self._relay = RelayServer(relay, now_ns=self._clock.now_ns)
        return await self._relay.start(), str(key_file)

    async def status(self) -> dict[str, Any]:
        """Counters of every venue and the relay, equity by account, and where a replay stands."""
        venues = {}
        for market, server in self._servers.items():
            exchange = self._exchanges[market]
            venues[server.venue] = {
                **server.status(),
                "faults": dict(exchange.faults.counts),
                "gaps_injected_count": exchange.faults.gaps_injected,
                "equity": {name: str(exchange.equity(name)) for name in exchange.ledger.accounts()},
            }
        return {
            "role": self.role,
            "venues": venues,
            "replay": self._replay.status() if self._replay else None,
            "relay": self._relay.relay.status() if self._relay else None,
            "upstream": {each.venue: each.status() for each in self._upstreams.values()},
            "failure": repr(self._failure) if self._failure else "",
            "cpu_share": self._cpu.read(),
            "cpu_s": time.process_time(),
            "pss_mb": pss_mb(),
        }

    async def release(self) -> None:
        """Let a held replay begin."""
        if self._replay is not None:
            self._replay.release()

    async def start_ns(self) -> int:
        """Recorded time at which a lock-step replay starts to step; 0 where there is none."""
        return self._replay.start_ns if self._replay is not None and self._door is not None else 0

    async def join_run(self, registry: Any) -> None:
        """Lock-step: become a member of the run that has been described with our endpoints, so that steps can begin."""
        if self._door is None or self._replay is None or self._host is not None:
            return
        self._host = host = ActorHost(role=self.role, registry=registry)
        await host.start()
        self._replay.steps = VenueSteps(
            links=host.links, cast=cast_of(host.run), venues=tuple(self._servers.values()), door=self._door
        )
        await host.join()

    async def finish(self, timeout_s: float = 20.0) -> None:
        """End a lock-step replay now if it still plays; returns when all clocks run by themselves again."""
        if self._replay is not None and self._door is not None and self._replay.steps is not None:
            self._replay.cut()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._replay.ended.wait(), timeout_s)

    async def write_orders(self, path: str) -> int:
        """Write every order of every account to `path`, see `orders_log.py`; returns how many lines.

        Of a lock-step replay what happened while the recording's clock ran: all of it, unless cancels were left over.
        """
        until_ns = self._replay.ended_ns if self._replay is not None else 0
        ledgers = {exchange.venue: exchange.ledger for exchange in self._exchanges.values()}
        lines = order_lines(ledgers, until_ns=until_ns)
        text = b"".join(line + b"\n" for line in lines)
        await asyncio.get_running_loop().run_in_executor(None, Path(path).write_bytes, text)
        return len(lines)

    async def save_ledgers(self, folder: str) -> list[str]:
        """Write each venue's whole ledger into `folder`, for audits after the venue is gone; returns the paths."""
        paths: list[str] = []
        loop = asyncio.get_running_loop()
        for market, server in self._servers.items():
            data = save_venue(self._exchanges[market], market=market, now_ns=server.desk.clock.now_ns())
            path = Path(folder) / file_name(server.venue)
            await loop.run_in_executor(None, path.write_bytes, data)
            paths.append(str(path))
        return paths

    async def inject(self, fault: str, *, venue: str = "", account: str = "") -> None:
        """Make one fault happen now: disconnect_public, disconnect_private, disconnect_order."""
        kind, _, scope = fault.partition("_")
        if kind != "disconnect" or scope not in set(Scope):
            raise ConfigError(f"no fault {fault}: choose from {', '.join(f'disconnect_{each}' for each in Scope)}")
        for server in self._servers.values():
            if venue in ("", server.venue):
                server.disconnect(Disconnect(Scope(scope), account))

    async def stop(self) -> None:
        """Hang up on everybody and let `run` return."""
        if self._replay_task is not None:
            self._replay_task.cancel()
            await asyncio.gather(self._replay_task, return_exceptions=True)
        for upstream in self._upstreams.values():
            await upstream.close()
        for server in self._servers.values():
            await server.stop()
        if self._relay is not None:
            await self._relay.stop()
        if self._host is not None:
            await self._host.stop()
        self._stopped.set()

    # --- venues that make their own market -----------------------------------------------------------------------

    async def _start_venues(self) -> None:
        clock = VenueClock(self._clock, offset_ms=self._clock_offset_ms)
        for market in self._markets:
            exchange = SimExchange(
                venue=f"binance_{market}",
                instruments=self._listed(market),
                prices=prices(self._universe, market),
                settings=self._settings.sim,
                seed=self._seed,
                start_ms=clock.now_ns() // NS_PER_MS,
                profiles=profiles(self._universe, market),
            )
            await self._open(market, exchange, clock)

    def _listed(self, market: Market) -> tuple[Instrument, ...]:
        return instruments(
            self._universe,
            venue=f"binance_{market}",
            market=market,
            quote=self._quote,
            maker_fee_bps=self._settings.sim.maker_fee_bps,
            taker_fee_bps=self._settings.sim.taker_fee_bps,
        )

    # --- recordings ----------------------------------------------------------------------------------------------

    async def _start_replay(self) -> None:
        loop = asyncio.get_running_loop()
        # Whole files are read before anything binds: a damaged one must stop the start, not the run.
        facts = [await loop.run_in_executor(None, survey_file, path) for path in self._replay_paths]
        refuse_apart(facts)
        lock_step = self._speed == "max"
        clock = VenueClock(self._clock, offset_ms=self._clock_offset_ms)
        if lock_step and self._barrier is None:
            self._door = StepDoor()
            clock.hold(min(each.first_ns for each in facts) - LEAD_NS)
        stages: dict[Market, Stage] = {}
        for market in dict.fromkeys(each.market for each in facts):
            stages[market] = await self._open_stage(market, [each for each in facts if each.market == market], clock)
        pace: Pace = BarrierPace(self._barrier) if lock_step and self._barrier else RealTimePace(self._clock)
        self._replay = Replay(
            paths=self._replay_paths,
            facts=facts,
            stages=[stages[each.market] for each in facts],
            pace=pace,
            lock_step=lock_step,
            symbols=self._symbols,
            lead_ns=LEAD_NS if self._door is not None else PREROLL_NS,
            length_s=self._length_s,
            moment_ns=int(self._settings.sim.moment_us * 1_000) if self._door is not None else 0,
            latency=feed_latency(self._settings.sim, facts) if self._door is not None else None,
        )
        if not self._hold:
            self._replay.release()
        self._replay_task = loop.create_task(self._replay.run(), name="replay")
        self._replay_task.add_done_callback(self._replay_done)

    async def _open_stage(self, market: Market, facts: Sequence[RecordingFacts], clock: VenueClock) -> Stage:
        known = {row.symbol: row for row in self._listed(market)}
        exchange = recorded_exchange(
            market,
            facts,
            settings=self._settings.sim,
            seed=self._seed,
            start_ms=clock.now_ns() // NS_PER_MS,
            known=known,
            latency=order_latency(self._settings.sim),
        )
        listed = exchange.instruments()
        reader = BinanceMarket(f"binance_{market}", listed)
        books = RecordedBooks(
            [
                (frame, reader.decode_snapshot(frame.symbol, frame.data).last_seq)
                for each in facts
                for frame in each.snapshots
            ]
        )
        server = await self._open(market, exchange, clock, recorded_depth=books.body, streams=stream_suffixes(facts))
        return Stage(server=server, exchange=exchange, market=reader, books=books, clock=clock)

    def _replay_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._fail(task.exception())

    # --- paper: the market of a venue elsewhere ------------------------------------------------------------------

    async def _start_paper(self) -> None:
        clock = VenueClock(self._clock, offset_ms=self._clock_offset_ms)
        for market, address in self._addresses.items():
            self._upstreams[market] = upstream = Upstream(
                venue=f"binance_{market}",
                address=address,
                settings=self._settings.feed,
                clock=self._clock,
                rng=random.Random(),  # jitter only: simulated venues on one address must not march in step
            )
            upstream.on_failure = self._fail
            rows = await upstream.instruments(self._symbols)
            if upstream.is_closed:
                return
            missing = sorted(set(self._symbols) - {row.symbol for row in rows})
            if missing:
                raise ConfigError(
                    f"--symbols: {upstream.venue} at {address.rest_url} does not list {', '.join(missing)}"
                )
            exchange = await self._paper_exchange(market, upstream, rows, clock)
            server = await self._open(market, exchange, clock, source=upstream)
            books = RecordedBooks(())
            stage = Stage(server=server, exchange=exchange, market=upstream.dialect, books=books, clock=clock)
            upstream.follow(stage, exchange.instruments())

    async def _paper_exchange(
        self, market: Market, upstream: Upstream, rows: Sequence[Instrument], clock: VenueClock
    ) -> RecordedExchange:
        sim = self._settings.sim
        # Starting coins of a spot account are counted by today's prices.
        prices = await asyncio.gather(*(upstream.last_price(row) for row in rows if market == "spot"))
        return RecordedExchange(
            venue=upstream.venue,
            instruments=[
                msgspec.structs.replace(row, maker_fee_bps=sim.maker_fee_bps, taker_fee_bps=sim.taker_fee_bps)
                for row in rows
            ],
            settings=sim,
            seed=self._seed,
            start_ms=clock.now_ns() // NS_PER_MS,
            latency=order_latency(sim),
            first_prices={row.symbol: price for row, price in zip(rows, prices, strict=False)},
        )

    # --- both ----------------------------------------------------------------------------------------------------

    async def _open(
        self,
        market: Market,
        exchange: SimExchange | RecordedExchange,
        clock: VenueClock,
        *,
        recorded_depth: Callable[[str], bytes | None] | None = None,
        streams: tuple[str, ...] = (),
        source: Upstream | None = None,
    ) -> VenueServer:
        listed = exchange.instruments()
        exchange.open_account(ACCOUNT_ID, clock.now_ns())
        server = VenueServer(
            dialect=BinanceServer(exchange.venue, listed, [ServerAccount(ACCOUNT_ID, self._credentials)]),
            exchange=exchange,
            clock=clock,
            market=market,
            recorded_depth=recorded_depth,
            door=self._door,
            source=source,
        )
        server.desk.on_failure = self._fail
        port = await server.start(port=self._ports.get(market, 0))
        self._servers[market] = server
        self._exchanges[market] = exchange
        host = f"127.0.0.1:{port}"
        self._endpoints[exchange.venue] = VenueEndpoint(
            venue=exchange.venue,
            dialect="binance",
            market=market,
            rest_url=f"http://{host}",
            stream_url=f"ws://{host}",
            order_url=f"ws://{host}{ORDER_PATHS[market]}",
            key_file=str(self._key_file),
            account_id=ACCOUNT_ID,
            symbols=tuple(row.symbol for row in listed),
            streams=streams,
        )
        return server

    def _fail(self, error: BaseException | None) -> None:
        """An exchange or a replay broke: `run` raises it, so that the process ends and is seen to end."""
        log.error("simulated venue broke", exc_info=error)
        self._failure = error
        self._stopped.set()
