"""Feed actor: one venue, one shard of symbols. Carries frames to the engine and its updates to the links.

Restart: nothing survives. Instruments come from the venue, books from its snapshots and streams; subscribers keep
what they have until the new life's first update, whose lower number tells them that it is one.

    websocket ─ frame ─> engine ─┐ call_soon: once per burst
                                 └─ flush ─> PUB "market", topic = symbol
    HTTP <─ FetchSnapshot, klines, instruments (paced by weight, a few at a time)
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from actors.feed.engine import FeedEngine
from actors.feed.fingerprint import FRAMES_BETWEEN
from actors.feed.messages import (
    ConnectionDown,
    ConnectionUp,
    FeedCommand,
    FetchSnapshot,
    InstrumentsChanged,
    Notice,
    Publish,
    PublishMarks,
    Reconnect,
    RefreshInstruments,
    SnapshotAnswer,
    Timer,
)
from actors.feed.pace import WeightBudget, weight_per_min
from actors.feed.rest import read_snapshot
from actors.transport.backoff import VenueBackoff
from actors.transport.host import ActorHost
from actors.transport.host_log import file_name
from actors.transport.http import HttpAnswer, HttpClient, HttpUnanswered
from actors.transport.links import Publisher
from actors.transport.meters import Histogram
from actors.transport.session import OVERLAP, WsSession
from actors.venues.catalog import market_dialect
from actors.venues.dialect import HttpRequest, MarketDialect, StreamPlan
from actors.vocab.control import Instruments, VenueAccount
from actors.vocab.errors import OurFault, VenueFault
from actors.vocab.instruments import Instrument
from actors.vocab.market import MARKS_TOPIC, BookState, WarmUp
from actors.vocab.units import NS_PER_MS, NS_PER_S

CHANNEL: Final = "market"
TIMERS_PER_BEAT: Final = 5
INSTRUMENTS_INTERVAL_S: Final = 600.0  # filters change while we trade; never served from an older list
CALLS_AT_ONCE: Final = 4  # snapshots or candles under way: a few in parallel hide the round trip, fifty are a burst
WARM_UP_INTERVAL: Final = "1m"
WARM_UP_COUNT: Final = 60  # an hour of minutes; below 100 rows the request has the least weight
WARM_UP_KEPT_S: Final = 60.0  # quote actors that start together share one fetch
WARM_UP_LOOK_S: Final = 0.1
FIRST_WAIT_S: Final = 0.5
MAX_WAIT_S: Final = 15.0


class FeedActor:
    """Host one `FeedEngine`; the only feed code that awaits, sends or reads a clock."""

    def __init__(self, role: str, registry: Any, venue: str, shard_no: int, shards_count: int) -> None:
        self._host = ActorHost(role=role, registry=registry)
        self._venue = venue
        self._shard_no = shard_no
        self._shards_count = shards_count
        self._rng = random.Random()  # jitter only: lives must not march in step; no decision depends on it
        self._reason = "starting"  # why there are no books yet; empty when all is well
        self._stopped = asyncio.Event()
        self._engine: FeedEngine | None = None
        self._sessions: dict[str, WsSession] = {}  # connection name -> session
        self._plans: dict[str, StreamPlan] = {}
        self._flush_due = False
        # symbol -> None, in order of asking: subscribed, history not sent yet. At most one entry a symbol.
        self._warm_wanted: dict[str, None] = {}
        self._warm: dict[str, tuple[int, WarmUp]] = {}  # symbol -> (fetched at, history)
        self._missing: tuple[str, ...] = ()
        self._offered: tuple[Instrument, ...] = ()
        self._refreshing = False
        self._frame_age = Histogram()  # oldest frame to publish
        self._frame_lag = Histogram()  # venue's stamp to receipt
        self._books_file: Path | None = None  # lock-step: where the fingerprints of the books go
        self._rate_seen = (0, 0)  # (frames, now_ns) at the last look

    # --- life ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve until stopped. Raises what breaks an invariant; a venue's failure is waited out."""
        host = self._host
        await host.start()
        self._rng = host.rng
        host.ready_when.append(self._why_not_ready)
        self._publisher: Publisher = host.links.publisher(CHANNEL, on_subscribe=self._on_subscribe)
        await host.join()
        account = self._account()
        self._client = HttpClient(account.rest_url, clock=host.clock, gate=host.gate)
        self._calls = asyncio.Semaphore(CALLS_AT_ONCE)
        self._budget = WeightBudget(weight_per_min(self._venue), shards_count=self._shards_count)
        self._dialect: MarketDialect = market_dialect(self._venue, streams=account.streams or None)
        try:
            rows = await self._first_instruments()
            if not self._stopped.is_set():
                await self._offer(rows)
                self._start_engine(rows, account)
                await self._stopped.wait()
        finally:
            await self._close()

    async def stop(self) -> None:
        self._stopped.set()
        await self._close()
        await self._host.stop()

    async def _close(self) -> None:
        await asyncio.gather(*(session.close() for session in self._sessions.values()), return_exceptions=True)
        if hasattr(self, "_client"):
            await self._client.close()

    def _start_engine(self, rows: list[Instrument], account: VenueAccount) -> None:
        host = self._host
        mine = self._my_symbols()
        mine_rows = [row for row in rows if row.symbol in mine]
        listed = {row.symbol for row in mine_rows}
        self._missing = tuple(symbol for symbol in mine if symbol not in listed)
        if self._missing:
            host.log.warning("the venue does not list these symbols", venue=self._venue, symbols=self._missing)
        self._reason = "" if mine_rows else f"{self._venue} lists none of {', '.join(mine)}"
        self._dialect.use(rows)
        self._engine = FeedEngine(
            venue=self._venue,
            dialect=self._dialect,
            instruments=mine_rows,
            settings=host.settings.feed,
            rng=self._rng,
        )
        if host.gate is not None and host.run.run_dir:
            self._books_file = Path(host.run.run_dir) / f"books_{file_name(host.role)}.jsonl"
            host.gate.on_end.append(self._write_fingerprints)
        host.every(host.settings.feed.beat_interval_ms / TIMERS_PER_BEAT, self._on_timer)
        host.spawn(self._keep_instruments(), name="instruments")
        host.spawn(self._keep_warm_up(), name="warm-up")
        for plan in self._dialect.plan([row.symbol for row in mine_rows], account.stream_url) if mine_rows else []:
            self._open(plan)

    def _open(self, plan: StreamPlan) -> None:
        session = WsSession(
            plan=plan,
            on_frame=partial(self._on_frame, plan.name),
            on_state=partial(self._on_connection, plan),
            clock=self._host.clock,
            rng=self._rng,
            gate=self._host.gate,
        )
        self._plans[plan.name] = plan
        self._sessions[plan.name] = session
        self._host.spawn(session.run(), name=plan.name)

    # --- frames --------------------------------------------------------------------------------------------------

    def _on_frame(self, connection: str, frame: bytes | str, recv_ns: int) -> None:
        engine = self._engine
        if engine is None:
            return
        commands = engine.on_frame(connection, frame, recv_ns)
        if commands:
            self._carry_out(commands)
        if self._books_file is not None and engine.health.frames % FRAMES_BETWEEN == 0:
            self._write_fingerprints()
        if not self._flush_due:
            # After everything that is readable by now: a burst gives one update a symbol and waits for nothing.
            self._flush_due = True
            self._host.soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        if self._engine is not None and not self._host.stopping:
            self._carry_out(self._engine.flush(self._host.clock.now_ns()))

    def _write_fingerprints(self) -> None:
        """A line a book; seldom, and the step waits for the disk, so the recording's time does not."""
        if self._books_file is not None and self._engine is not None:
            with self._books_file.open("ab") as file:
                file.writelines(msgspec.json.encode(one) + b"\n" for one in self._engine.fingerprints())

    def _on_connection(self, plan: StreamPlan, up: bool, reason: str) -> None:
        if self._engine is None:
            return
        now_ns = self._host.clock.now_ns()
        if up:
            self._host.log.info("connected", connection=plan.name, overlap=reason == OVERLAP)
            event: ConnectionUp | ConnectionDown = ConnectionUp(plan.name, plan.symbols, overlap=reason == OVERLAP)
        else:
            self._host.log.warning("connection lost", connection=plan.name, reason=reason)
            event = ConnectionDown(plan.name, plan.symbols, reason)
        self._carry_out(self._engine.handle(event, now_ns))

    def _on_timer(self) -> None:
        engine, clock = self._engine, self._host.clock
        if engine is None:
            return
        now_ns = clock.now_ns()
        engine.wall_offset_ns = clock.wall_ns() - now_ns
        self._carry_out(engine.handle(Timer(), now_ns))

    def _on_subscribe(self, topic: bytes) -> None:
        """Somebody new listens: the newest state at once, history as soon as there is a book beside it."""
        symbol = topic.decode(errors="replace")
        if symbol not in self._my_symbols():
            return  # marks come with the next beat
        self._warm_wanted[symbol] = None
        again = self._engine.resend(symbol, self._host.clock.now_ns()) if self._engine is not None else None
        if again is not None:
            self._carry_out((again,))

    # --- commands ------------------------------------------------------------------------------------------------

    def _carry_out(self, commands: Iterable[FeedCommand]) -> None:
        for command in commands:
            kind = type(command)
            if kind is Publish:
                self._publish(command)  # type: ignore[arg-type]  # its kind has just been compared
                continue
            match command:
                case PublishMarks():
                    self._publisher.send(MARKS_TOPIC, command.marks, apart=True)
                case FetchSnapshot():
                    self._host.spawn(self._fetch_snapshot(command), name=f"snapshot {command.symbol}")
                case Reconnect():
                    self._host.log.info("replaces a connection", connection=command.connection, reason=command.reason)
                    self._sessions[command.connection].reconnect(command.reason)
                case RefreshInstruments():
                    if not self._refreshing:
                        self._host.spawn(self._refresh(), name="refresh")
                case Notice():
                    self._host.log.info(command.sentence, venue=self._venue, symbol=command.symbol or "-")

    def _publish(self, command: Publish) -> None:
        update = command.update
        self._publisher.send(update.symbol.encode(), update)
        if not update.beat:
            self._frame_age.record(update.age_us)
            if update.lag_us > 0:
                self._frame_lag.record(update.lag_us)

    # --- HTTP ----------------------------------------------------------------------------------------------------

    async def _call(self, request: HttpRequest) -> HttpAnswer:
        """One paced call; `HttpUnanswered` where there was no answer."""
        wait_ns = self._budget.take(request.weight, self._host.clock.now_ns())
        if wait_ns:
            await self._host.sleep(wait_ns / NS_PER_S)
        async with self._calls:
            return await self._client.call(request)

    async def _fetch_snapshot(self, command: FetchSnapshot) -> None:
        symbol = command.symbol
        try:
            answer = await self._call(self._dialect.snapshot_request(symbol, command.levels))
        except HttpUnanswered as error:
            event = SnapshotAnswer(symbol, None, str(error))
        else:
            event = read_snapshot(self._dialect, symbol, answer.status, answer.body)
        if self._engine is None:
            return
        self._carry_out(self._engine.handle(event, self._host.clock.now_ns()))
        self._flush()

    async def _first_instruments(self) -> list[Instrument]:
        """Ask until there is an answer; a venue that is down at the start is a reason in `status`, not a crash.

        Empty when stopped meanwhile.
        """
        backoff = VenueBackoff(first_s=FIRST_WAIT_S, max_s=MAX_WAIT_S, rng=self._rng)
        while not self._stopped.is_set():
            self._reason = self._reason or "fetching instruments"
            try:
                rows = await self._fetch_instruments()
            except (HttpUnanswered, VenueFault) as error:
                self._reason = f"no instruments: {error}"
                self._host.log.warning("no instruments yet", venue=self._venue, reason=str(error))
                wait_s = backoff.next_s(at_least_s=min(self._client.closed_for_s, 120.0))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopped.wait(), wait_s)
            else:
                return rows
        return []

    async def _fetch_instruments(self) -> list[Instrument]:
        """All symbols of the run, not only this shard's: the list that we offer replaces the one before."""
        answer = await self._call(self._dialect.instruments_request())
        if not answer.is_ok:
            raise HttpUnanswered(f"HTTP {answer.status}: {answer.body[:200].decode(errors='replace')}", sent=True)
        return self._dialect.decode_instruments(answer.body, self._host.run.symbols)

    async def _offer(self, rows: list[Instrument]) -> None:
        version = self._host.clock.wall_ns() // NS_PER_MS
        self._offered = tuple(rows)
        try:
            await self._host.offer_instruments(Instruments(self._venue, version, tuple(rows)))
        except OurFault:
            raise
        except Exception as error:  # Ray's errors have no common base; the host offers again when the registry is back
            self._host.log.warning("the registry did not take the instruments", error=repr(error))

    async def _keep_instruments(self) -> None:
        while True:
            await self._host.sleep(INSTRUMENTS_INTERVAL_S * (0.9 + 0.2 * self._rng.random()))
            await self._refresh()

    async def _refresh(self) -> None:
        if self._refreshing or self._engine is None:
            return
        self._refreshing = True
        try:
            rows = await self._fetch_instruments()
        except (HttpUnanswered, VenueFault) as error:
            self._host.log.warning("instruments not refreshed", venue=self._venue, reason=str(error))
        else:
            if tuple(rows) != self._offered:
                await self._offer(rows)
            self._carry_out(self._engine.handle(InstrumentsChanged(tuple(rows)), self._host.clock.now_ns()))
        finally:
            self._refreshing = False

    # --- warm-up -------------------------------------------------------------------------------------------------

    async def _keep_warm_up(self) -> None:
        """Send history to new subscribers, books first: a snapshot never waits behind candles."""
        while True:
            await self._host.sleep(WARM_UP_LOOK_S)
            engine = self._engine
            readable = engine.readable() if engine is not None else frozenset()
            ready = [symbol for symbol in self._warm_wanted if symbol in readable]
            for symbol in ready:
                del self._warm_wanted[symbol]
            await asyncio.gather(*(self._send_warm_up(symbol) for symbol in ready))

    async def _send_warm_up(self, symbol: str) -> None:
        now_ns = self._host.clock.now_ns()
        fetched_ns, warm_up = self._warm.get(symbol, (0, None))
        if warm_up is None or now_ns - fetched_ns > WARM_UP_KEPT_S * NS_PER_S:
            try:
                answer = await self._call(self._dialect.klines_request(symbol, WARM_UP_INTERVAL, WARM_UP_COUNT))
                if not answer.is_ok:
                    raise HttpUnanswered(f"HTTP {answer.status}", sent=True)
                klines = self._dialect.decode_klines(symbol, answer.body)
            except (HttpUnanswered, VenueFault) as error:
                # Quote engines warm up on live data instead; a recording, for one, has no candles.
                self._host.log.info("no history", venue=self._venue, symbol=symbol, reason=str(error))
                return
            warm_up = WarmUp(self._venue, symbol, tuple(klines))
            self._warm[symbol] = (now_ns, warm_up)
        self._publisher.send(symbol.encode(), warm_up)

    # --- status --------------------------------------------------------------------------------------------------

    async def status(self) -> dict[str, Any]:
        """Plain JSON types; counters since the start of this life."""
        engine, host = self._engine, self._host
        states = engine.states() if engine is not None else {}
        return {
            **host.vitals(),
            "venue": self._venue,
            "shard_no": self._shard_no,
            "reason": self._reason or self._connection_reason(),
            "symbols_count": len(states),
            "symbols_missing": list(self._missing),
            "books_ok_count": sum(state is BookState.OK for state in states.values()),
            "states": {symbol: state.name for symbol, state in states.items()},
            "connections": {
                name: {"up": session.is_up, "reason": session.reason, "connects_count": session.connects_count}
                for name, session in self._sessions.items()
            },
            "frames_per_s": self._frames_per_s(),
            "counters": engine.health_row() if engine is not None else {},
            "frame_age_us": self._frame_age.summary(),
            "frame_lag_us": self._frame_lag.summary(),
            "histograms": {
                "frame_age": self._frame_age.encode().decode(),
                "frame_lag": self._frame_lag.encode().decode(),
            },
        }

    def _why_not_ready(self) -> str:
        if self._engine is None:
            return self._reason or "starting"
        return self._connection_reason()

    def _connection_reason(self) -> str:
        return "; ".join(session.reason for session in self._sessions.values() if session.reason)

    def _frames_per_s(self) -> float:
        """Since the previous look."""
        if self._engine is None:
            return 0.0
        frames, now_ns = self._engine.health.frames, self._host.clock.now_ns()
        before_frames, before_ns = self._rate_seen
        self._rate_seen = (frames, now_ns)
        return (frames - before_frames) * NS_PER_S / max(1, now_ns - before_ns) if before_ns else 0.0

    # --- run -----------------------------------------------------------------------------------------------------

    def _account(self) -> VenueAccount:
        account = next((account for account in self._host.run.accounts if account.venue == self._venue), None)
        if account is None:
            raise OurFault(f"{self._host.role}: the run has no account at {self._venue}")
        return account

    def _my_symbols(self) -> tuple[str, ...]:
        return self._host.run.symbols[self._shard_no :: self._shards_count]
