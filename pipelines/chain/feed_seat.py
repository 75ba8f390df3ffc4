"""A feed without sockets: frames are handed in, requests answered by the venue beside it."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from actors.feed.actor import (
    CALLS_AT_ONCE,
    INSTRUMENTS_INTERVAL_S,
    TIMERS_PER_BEAT,
    WARM_UP_COUNT,
    WARM_UP_INTERVAL,
    WARM_UP_LOOK_S,
)
from actors.feed.engine import FeedEngine
from actors.feed.messages import (
    ConnectionUp,
    FeedCommand,
    FetchSnapshot,
    InstrumentsChanged,
    Publish,
    PublishMarks,
    RefreshInstruments,
    Timer,
)
from actors.feed.pace import WeightBudget, weight_per_min
from actors.feed.rest import read_snapshot
from actors.sim.recording import RecordedFrame
from actors.transport.http import HttpAnswer
from actors.transport.step_turn import QUIET
from actors.venues.catalog import market_dialect
from actors.venues.dialect import HttpRequest, StreamPlan
from actors.vocab.config import FleetSettings
from actors.vocab.instruments import Instrument
from actors.vocab.market import WarmUp
from actors.vocab.units import NS_PER_MS, NS_PER_S
from actors.vocab.venue_io import (
    MarketEvent,
)
from pipelines.chain.seat import Fleet, Seat
from pipelines.chain.venue import LocalVenue


class FeedSeat(Seat):
    """`FeedActor` of one venue and shard."""

    def __init__(
        self, role: str, fleet: Fleet, venue: LocalVenue, settings: FleetSettings, symbols: Sequence[str], *, seed: int
    ) -> None:
        """`symbols` are all of the run; the shard is in the role."""
        super().__init__(role, fleet, ())
        shard_no = int(role.rsplit(":", 1)[1])
        shards_count = -(-len(symbols) // settings.feed.symbols_per_shard)
        self.venue = venue.venue
        self._venue = venue
        self._symbols = tuple(symbols)
        mine = self._symbols[shard_no::shards_count]
        rng = random.Random(f"{seed} {role}")
        self._dialect = market_dialect(venue.venue, streams=venue.streams or None)
        self._budget = WeightBudget(weight_per_min(venue.venue), shards_count=shards_count)
        self.instruments = self._listed(venue.http_now(self._dialect.instruments_request()))
        self._dialect.use(self.instruments)
        rows = [row for row in self.instruments if row.symbol in mine]
        self.engine = FeedEngine(
            venue=venue.venue, dialect=self._dialect, instruments=rows, settings=settings.feed, rng=rng
        )
        self._connections: dict[tuple[str, str], str] = {}  # (route, symbol) -> name of its connection
        self._connection_of: dict[str, str] = {}  # stream -> the same, of those that have spoken
        self._calls_count = 0
        self._calls_waiting: deque[Callable[[], None]] = deque()
        self._warm_wanted: dict[str, None] = {}
        self._refreshing = False
        self.turn.every(fleet.now_ns, int(settings.feed.beat_interval_ms / TIMERS_PER_BEAT * NS_PER_MS), self._on_timer)
        self._rng = rng
        self._keep_instruments()
        self._keep_warm_up()
        for plan in self._dialect.plan([row.symbol for row in rows], "ws://chain") if rows else []:
            self._open(plan)
        for symbol in mine:
            self.turn.note(f"subscribed {symbol.encode()!r}", partial(self._on_subscribe, symbol))

    def play(self, event: MarketEvent | None, frame: RecordedFrame) -> None:
        """One frame of a stream that we listen to; `event` is what it means."""
        connection = self._connection_of.get(frame.stream)
        if connection is None:
            route = self._venue.route_of(frame.stream) or "stream"
            connection = self._connection_of[frame.stream] = self._connections.get((route, frame.symbol), route)
        self.turn.note(connection, partial(self._on_frame, connection, event), rank=QUIET)

    # --- as the shell --------------------------------------------------------------------------------------------

    def _open(self, plan: StreamPlan) -> None:
        if plan.max_age_s:
            self._rng.random()  # the session's own jitter, drawn when it opens
        route = plan.name.split(":")[1]
        for symbol in plan.symbols:
            self._connections[route, symbol] = plan.name
        event = ConnectionUp(plan.name, plan.symbols)
        self.turn.note(plan.name, lambda: self._carry_out(self.engine.handle(event, self._fleet.now_ns)))

    def _on_frame(self, connection: str, event: MarketEvent | None) -> None:
        engine = self.engine
        if event is None:
            engine.health.frames += 1
            engine.health.ignored += 1
        else:
            commands = engine.on_event(event, self._fleet.now_ns, connection)
            if commands:
                self._carry_out(commands)
        self.turn.soon(self._flush)

    def _flush(self) -> None:
        published = self.engine.flush(self._fleet.now_ns)
        for command in published:
            self._fleet.publish(command.update)

    def _on_timer(self) -> None:
        self._carry_out(self.engine.handle(Timer(), self._fleet.now_ns))

    def _on_subscribe(self, symbol: str) -> None:
        self._warm_wanted[symbol] = None
        again = self.engine.resend(symbol, self._fleet.now_ns)
        if again is not None:
            self._carry_out((again,))

    def _carry_out(self, commands: Iterable[FeedCommand]) -> None:
        for command in commands:
            match command:
                case Publish(update):
                    self._fleet.publish(update)
                case PublishMarks(marks):
                    self._fleet.publish_marks(marks)
                case FetchSnapshot():
                    self.task(partial(self._fetch_snapshot, command))
                case RefreshInstruments():
                    self.task(self._refresh)

    # --- questions -----------------------------------------------------------------------------------------------

    def _call(self, request: HttpRequest, then: Callable[[HttpAnswer], object]) -> None:
        """Paced by weight, a few at a time."""
        wait_ns = self._budget.take(request.weight, self._fleet.now_ns)
        start = partial(self._start_call, request, then)
        if wait_ns:
            self.sleep(wait_ns, start)
        else:
            start()

    def _start_call(self, request: HttpRequest, then: Callable[[HttpAnswer], object]) -> None:
        if self._calls_count >= CALLS_AT_ONCE:
            self._calls_waiting.append(partial(self._start_call, request, then))
            return
        self._calls_count += 1

        def answered(answer: HttpAnswer) -> None:
            self._calls_count -= 1
            if self._calls_waiting:
                self.task(self._calls_waiting.popleft())
            then(answer)

        self.http(self._venue, request, answered)

    def _fetch_snapshot(self, command: FetchSnapshot) -> None:
        symbol = command.symbol

        def read(answer: HttpAnswer) -> None:
            event = read_snapshot(self._dialect, symbol, answer.status, answer.body)
            self._carry_out(self.engine.handle(event, self._fleet.now_ns))
            self._flush()

        self._call(self._dialect.snapshot_request(symbol, command.levels), read)

    def _listed(self, answer: HttpAnswer) -> list[Instrument]:
        return self._dialect.decode_instruments(answer.body, self._symbols)

    def _keep_instruments(self) -> None:
        wait_s = INSTRUMENTS_INTERVAL_S * (0.9 + 0.2 * self._rng.random())
        self.sleep(int(wait_s * NS_PER_S), lambda: self._refresh(then=self._keep_instruments))

    def _refresh(self, then: Callable[[], None] = lambda: None) -> None:
        if self._refreshing:
            then()
            return
        self._refreshing = True

        def read(answer: HttpAnswer) -> None:
            self._refreshing = False
            rows = tuple(self._listed(answer))
            self._carry_out(self.engine.handle(InstrumentsChanged(rows), self._fleet.now_ns))
            then()

        self._call(self._dialect.instruments_request(), read)

    def _keep_warm_up(self) -> None:
        self.sleep(int(WARM_UP_LOOK_S * NS_PER_S), self._look_for_warm_up)

    def _look_for_warm_up(self) -> None:
        """The next look comes when everybody found now has been served."""
        if not self._warm_wanted:
            self._keep_warm_up()
            return
        readable = self.engine.readable()
        ready = [symbol for symbol in self._warm_wanted if symbol in readable]
        left = len(ready)

        def served() -> None:
            nonlocal left
            left -= 1
            if not left:
                self._keep_warm_up()

        for symbol in ready:
            del self._warm_wanted[symbol]
            self.task(partial(self._send_warm_up, symbol, served))
        if not ready:
            self._keep_warm_up()

    def _send_warm_up(self, symbol: str, then: Callable[[], None]) -> None:
        def read(answer: HttpAnswer) -> None:
            if answer.is_ok:
                klines = self._dialect.decode_klines(symbol, answer.body)
                self._fleet.publish(WarmUp(self._venue.venue, symbol, tuple(klines)))
            then()

        self._call(self._dialect.klines_request(symbol, WARM_UP_INTERVAL, WARM_UP_COUNT), read)
