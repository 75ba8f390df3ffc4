"""The venue that a simulated one repeats while we trade on paper: its streams and REST as any client sees them.

    upstream ─ frame ─> `FeedEngine` (is the book joined?) ─> `Stage`: our orders meet the event
                                                           └─> the same bytes to whoever listens to that stream

What comes twice while one connection replaces another is passed on once. While a stream connection is down, clients of
ours are without theirs; while a book is being joined, its symbol is busy. Steps and filters are those of the start.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from actors.feed.engine import OVERLAP_NS, FeedEngine
from actors.feed.messages import (
    ConnectionDown,
    ConnectionUp,
    FeedCommand,
    FetchSnapshot,
    Notice,
    Reconnect,
    RefreshInstruments,
    SnapshotAnswer,
    Timer,
)
from actors.feed.pace import WeightBudget, weight_per_min
from actors.feed.rest import read_snapshot
from actors.feed.sync import Phase
from actors.sim.recording import live_frame
from actors.transport.backoff import VenueBackoff
from actors.transport.http import HttpAnswer, HttpClient, HttpUnanswered
from actors.transport.session import OVERLAP, WsSession
from actors.transport.venue_stage import Stage
from actors.venues.binance.calls import Reply
from actors.venues.binance.market import BinanceMarket
from actors.venues.dialect import HttpRequest, StreamPlan
from actors.vocab.clock import Clock
from actors.vocab.config.feed import FeedSettings
from actors.vocab.errors import VenueFault
from actors.vocab.instruments import Instrument
from actors.vocab.units import NS_PER_S
from actors.vocab.venue_io import DepthDelta, DepthSnapshot, MarketEvent, PublicTrade, TopOfBook

log = logging.getLogger(__name__)

CALLS_AT_ONCE: Final = 4
CALLS_MAX: Final = 200  # under way or waiting for their turn; further ones are refused
FIRST_WAIT_S: Final = 0.5
MAX_WAIT_S: Final = 15.0
LOOK_S: Final = 0.05  # how often the engine is told the time


class VenueAddress(msgspec.Struct, frozen=True):
    """Where a venue's public data are: scheme and host each, as `VenueAccount` has them."""

    rest_url: str
    stream_url: str


class Upstream:
    """One market of the real venue. `instruments` first, then `follow`; `close` ends both. A `venue_server.Source`."""

    def __init__(
        self, *, venue: str, address: VenueAddress, settings: FeedSettings, clock: Clock, rng: random.Random
    ) -> None:
        self.venue = venue
        self.dialect = BinanceMarket(venue)
        self.reason = ""  # why there are no instruments yet
        self.frames_count = 0
        self.on_failure: Callable[[BaseException], None] | None = None
        self._address = address
        self._settings = settings
        self._clock = clock
        self._rng = rng
        self._http = HttpClient(address.rest_url, clock=clock)
        self._budget = WeightBudget(weight_per_min(venue))
        self._room = asyncio.Semaphore(CALLS_AT_ONCE)
        self._calls_count = 0  # under way or waiting
        self._closing = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sessions: dict[str, WsSession] = {}  # connection name -> session
        self._engine: FeedEngine | None = None
        self._stage: Stage | None = None
        self._joined: set[str] = set()  # symbols whose book the exchange has, and whose deltas it gets
        # (symbol, kind) -> number of the newest event; what the overlap of two connections repeats is not above it
        self._newest: dict[tuple[str, type], int] = {}
        self._overlap_until_ns = 0
        self._flush_due = False

    # --- ours ----------------------------------------------------------------------------------------------------

    async def instruments(self, symbols: Sequence[str]) -> list[Instrument]:
        """Those of `symbols` that the venue lists; asks until there is an answer, the reason meanwhile in `reason`.

        Empty when closed meanwhile.
        """
        backoff = VenueBackoff(first_s=FIRST_WAIT_S, max_s=MAX_WAIT_S, rng=self._rng)
        while not self._closing.is_set():
            try:
                answer = await self._call(self.dialect.instruments_request())
                if not answer.is_ok:
                    raise HttpUnanswered(
                        f"HTTP {answer.status}: {answer.body[:200].decode(errors='replace')}", sent=True
                    )
                rows = self.dialect.decode_instruments(answer.body, symbols)
            except (HttpUnanswered, VenueFault) as error:
                self.reason = f"{self.venue}: {error}"
                log.warning("no instruments yet: %s", self.reason)
                await self._pause(backoff.next_s(at_least_s=min(self._http.closed_for_s, 120.0)))
            else:
                self.reason = ""
                self.dialect.use(rows)
                return rows
        return []

    async def last_price(self, row: Instrument) -> float:
        """Of the newest closed minute; 0.0 where it cannot be had."""
        with contextlib.suppress(HttpUnanswered, VenueFault):
            answer = await self._call(self.dialect.klines_request(row.symbol, "1m", 1))
            if answer.is_ok:
                for kline in self.dialect.decode_klines(row.symbol, answer.body):
                    return kline.close_ticks * row.tick_float
        return 0.0

    def follow(self, stage: Stage, rows: Sequence[Instrument]) -> None:
        """Dial the streams and tell `stage` what they say, until `close`."""
        self._stage = stage
        self._engine = FeedEngine(
            venue=self.venue, dialect=self.dialect, instruments=rows, settings=self._settings, rng=self._rng
        )
        for plan in self.dialect.plan([row.symbol for row in rows], self._address.stream_url):
            self._sessions[plan.name] = session = WsSession(
                plan=plan,
                on_frame=partial(self._on_frame, plan.name),
                on_state=partial(self._on_connection, plan),
                clock=self._clock,
                rng=self._rng,
            )
            self._spawn(session.run(), plan.name)
        self._spawn(self._tell_time(), "time")

    @property
    def is_closed(self) -> bool:
        return self._closing.is_set()

    @property
    def is_up(self) -> bool:
        return bool(self._sessions) and all(session.is_up for session in self._sessions.values())

    def is_ready(self, symbol: str) -> bool:
        return symbol in self._joined and self.is_up and self._is_live(symbol)

    async def ask(self, path_query: str, weight: int) -> Reply | None:
        try:
            answer = await self._call(HttpRequest("GET", path_query, weight=weight))
        except HttpUnanswered:
            return None
        return Reply(answer.status, answer.body)

    def status(self) -> dict[str, Any]:
        """JSON-able."""
        reasons = [session.reason for session in self._sessions.values() if session.reason]
        return {
            "rest_url": self._address.rest_url,
            "stream_url": self._address.stream_url,
            "reason": self.reason or "; ".join(reasons),
            "frames_count": self.frames_count,
            "books_joined_count": sum(map(self.is_ready, self._joined)),
            "counters": self._engine.health_row() if self._engine is not None else {},
        }

    async def close(self) -> None:
        self._closing.set()
        await asyncio.gather(*(session.close() for session in self._sessions.values()))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.close()

    # --- frames --------------------------------------------------------------------------------------------------

    def _on_frame(self, connection: str, frame: bytes | str, recv_ns: int) -> None:
        engine, stage = self._engine, self._stage
        if engine is None or stage is None:
            return
        body = frame.encode() if isinstance(frame, str) else frame
        stage.server.desk.turn()  # orders that reached the venue before this frame
        try:
            event = self.dialect.decode(body)
        except VenueFault:
            commands = engine.on_frame(connection, body, recv_ns)  # counts it, and tells now and then
        else:
            if event is not None and recv_ns < self._overlap_until_ns and self._is_repeated(event):
                return
            commands = engine.on_event(event, recv_ns, connection)
            if event is not None:
                self._match(event)
        found = live_frame(body, recv_ns)
        if found is not None:
            self.frames_count += 1
            stage.send(found)
        self._carry_out(commands)
        if not self._flush_due:
            # After everything that is readable by now: a burst is one write a client.
            self._flush_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        if self._stage is not None and not self._closing.is_set():
            self._stage.server.flush()

    def _is_repeated(self, event: MarketEvent) -> bool:
        if isinstance(event, PublicTrade):
            number = event.trade_id
        elif isinstance(event, DepthDelta):
            number = event.last_seq
        elif isinstance(event, TopOfBook):
            number = event.seq
        else:
            return False  # says what is, not what changed
        return number <= self._newest.get((event.symbol, type(event)), -1)

    def _note(self, event: PublicTrade | DepthDelta | TopOfBook, number: int) -> None:
        self._newest[event.symbol, type(event)] = number

    def _match(self, event: MarketEvent) -> None:
        """Our orders meet it. Changes of a book that is not joined mean nothing yet: the whole book follows."""
        if isinstance(event, DepthDelta):
            self._note(event, event.last_seq)
            if event.symbol not in self._joined or not self._is_live(event.symbol):
                self._joined.discard(event.symbol)
                self._join(event.symbol)
                return
        elif isinstance(event, PublicTrade):
            self._note(event, event.trade_id)
        elif isinstance(event, TopOfBook):
            self._note(event, event.seq)
        if self._stage is not None:
            self._stage.meet(event)

    def _is_live(self, symbol: str) -> bool:
        return self._engine is not None and self._engine.feed(symbol).sync.phase is Phase.LIVE

    def _join(self, symbol: str) -> None:
        """Hand the exchange the whole book, once there is one."""
        if self._engine is None or self._stage is None or symbol in self._joined or not self._is_live(symbol):
            return
        self._joined.add(symbol)
        book = self._engine.feed(symbol).sync.book
        self._stage.join(
            DepthSnapshot(symbol, book.last_seq, list(book.bids.sizes.items()), list(book.asks.sizes.items()))
        )

    # --- connections ---------------------------------------------------------------------------------------------

    def _on_connection(self, plan: StreamPlan, up: bool, reason: str) -> None:
        engine, stage = self._engine, self._stage
        if engine is None or stage is None:
            return
        now_ns = self._clock.now_ns()
        overlap = up and reason == OVERLAP
        if overlap:
            self._overlap_until_ns = now_ns + OVERLAP_NS
        else:
            # What comes from here on has nothing to do with what came before.
            self._newest.clear()
            self._joined -= set(plan.symbols)
        if up:
            log.info("upstream %s is connected", plan.name)
            self._carry_out(engine.handle(ConnectionUp(plan.name, plan.symbols, overlap=overlap), now_ns))
        else:
            log.warning("upstream %s is lost: %s", plan.name, reason)
            stage.server.hang_up()
            self._carry_out(engine.handle(ConnectionDown(plan.name, plan.symbols, reason), now_ns))

    async def _tell_time(self) -> None:
        while not self._closing.is_set():
            await self._pause(LOOK_S)
            if self._engine is not None:
                self._carry_out(self._engine.handle(Timer(), self._clock.now_ns()))

    # --- commands and REST ---------------------------------------------------------------------------------------

    def _carry_out(self, commands: Iterable[FeedCommand]) -> None:
        """Updates and marks are for feeds; this engine only keeps books."""
        for command in commands:
            match command:
                case FetchSnapshot():
                    self._spawn(self._fetch_snapshot(command), f"snapshot {command.symbol}")
                case Reconnect():
                    self._sessions[command.connection].reconnect(command.reason)
                case RefreshInstruments():
                    log.warning("the venue's steps may have changed, which needs a new run: %s", command.reason)
                case Notice():
                    log.info("%s %s: %s", self.venue, command.symbol or "-", command.sentence)

    async def _fetch_snapshot(self, command: FetchSnapshot) -> None:
        symbol = command.symbol
        try:
            answer = await self._call(self.dialect.snapshot_request(symbol, command.levels))
        except HttpUnanswered as error:
            event = SnapshotAnswer(symbol, None, str(error))
        else:
            event = read_snapshot(self.dialect, symbol, answer.status, answer.body)
        if self._engine is not None:
            self._carry_out(self._engine.handle(event, self._clock.now_ns()))
            self._join(symbol)

    async def _call(self, request: HttpRequest) -> HttpAnswer:
        """One paced call; `HttpUnanswered` where there was no answer."""
        if self._calls_count >= CALLS_MAX:
            raise HttpUnanswered(f"{self._calls_count} calls wait already", sent=False)
        self._calls_count += 1
        try:
            wait_ns = self._budget.take(request.weight, self._clock.now_ns())
            if wait_ns:
                await self._pause(wait_ns / NS_PER_S)
            async with self._room:
                return await self._http.call(request)
        finally:
            self._calls_count -= 1

    async def _pause(self, wait_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), wait_s)

    # --- tasks ---------------------------------------------------------------------------------------------------

    def _spawn(self, coro: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(coro, name=f"{self.venue}/{name}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and self.on_failure is not None:
            self.on_failure(error)
