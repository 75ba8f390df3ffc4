"""One recorded venue without sockets: the exchange and the dialect's server role, called instead of connected to.

Requests and answers are spelled and read as on the wire, so what a message loses there (nanoseconds, fees of listed
instruments) it loses here too, and what the venue counts (weights, orders) is counted. They wait at the door until the
step ends and go in by role, websocket before HTTP, and number: the order of `transport/venue_steps.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from actors.sim.messages import ClientRequest, Private, SimCommand
from actors.sim.messages import Reply as Answered
from actors.sim.recorded_venue import recorded_exchange, stream_suffixes
from actors.sim.recording import SNAPSHOT, RecordedFrame, RecordingFacts
from actors.transport.http import HttpAnswer
from actors.transport.identity import SystemClock
from actors.transport.venue_answers import VenueAnswers
from actors.transport.venue_desk import Desk, VenueClock
from actors.transport.venue_latency import order_latency
from actors.transport.venue_limits import WeightLimiter
from actors.transport.venue_server import WEIGHT_1M_MAX
from actors.transport.venue_stage import RecordedBooks
from actors.transport.venue_users import UserStreams
from actors.venues.binance.calls import Call, OrderCall, PrivateCall, Reply, ServerAccount
from actors.venues.binance.market import BinanceMarket
from actors.venues.binance.server import BinanceServer, wrap_private
from actors.venues.dialect import Credentials, HttpRequest
from actors.vocab.config.sim import SimSettings
from actors.vocab.instruments import Instrument, Market
from actors.vocab.units import NS_PER_MS
from actors.vocab.venue_io import DepthDelta, FaultKind, MarketEvent

ACCOUNT = "sim"
CREDENTIALS = Credentials("backtest", "backtest")  # both ends are in this process
_WS, _HTTP = 0, 1
_Answer = Callable[[Reply], None]


class _Request(msgspec.Struct, order=True):
    """One request at the door; compared by the first three alone, as no two are equal there."""

    role: str
    kind: int
    number: int
    read: Any  # () -> Call
    answer: Any  # _Answer


class LocalVenue:
    """Called by `chain.py` in the order of a lock-step step: `begin`, `play`, `answer`, …, `let_in`."""

    def __init__(
        self,
        market: Market,
        facts: Sequence[RecordingFacts],
        *,
        settings: SimSettings,
        seed: int,
        start_ns: int,
        known: Mapping[str, Instrument],
    ) -> None:
        self.exchange = recorded_exchange(
            market,
            facts,
            settings=settings,
            seed=seed,
            start_ms=start_ns // NS_PER_MS,
            known=known,
            latency=order_latency(settings),
        )
        self.venue = self.exchange.venue
        self.market = market
        self.streams = stream_suffixes(facts)
        listed = self.exchange.instruments()
        self.symbols = tuple(row.symbol for row in listed)
        self.on_private: Callable[[bytes], None] | None = None  # while somebody listens to the account's stream
        self._reader = BinanceMarket(self.venue, listed)
        self._books = RecordedBooks(
            [
                (frame, self._reader.decode_snapshot(frame.symbol, frame.data).last_seq)
                for each in facts
                for frame in each.snapshots
            ]
        )
        self._dialect = BinanceServer(self.venue, listed, [ServerAccount(ACCOUNT, CREDENTIALS)])
        self._clock = VenueClock(SystemClock())
        self._clock.hold(start_ns)
        desk = Desk(
            self.exchange,
            self._clock,
            on_public=lambda events: None,
            on_private=lambda event: None,
            on_disconnect=lambda fault: None,
            on_turn_end=lambda: None,
        )
        self._answers = VenueAnswers(
            dialect=self._dialect, desk=desk, users=UserStreams(wrap_private), recorded_depth=self._books.body
        )
        self._limiter = WeightLimiter(weight_1m_max=WEIGHT_1M_MAX[market])
        self._routes: dict[str, str] = {}
        self._request_no = self._ws_no = 0
        self._door: list[_Request] = []
        self._waiting: dict[int, tuple[OrderCall, _Answer]] = {}  # request_no -> who waits for the exchange
        self._told: list[tuple[OrderCall, _Answer, Answered]] = []  # answered, not yet written
        self.exchange.open_account(ACCOUNT, start_ns)

    def route_of(self, stream: str) -> str:
        """On which of the venue's routes a stream comes; "" where there is only one."""
        route = self._routes.get(stream)
        if route is None:
            route = self._routes[stream] = self._dialect.route_of(stream)
        return route

    # --- a step --------------------------------------------------------------------------------------------------

    def begin(self, now_ns: int) -> None:
        """What was due before is done before."""
        commands = self.exchange.advance(now_ns)
        if commands:
            self._carry(commands, now_ns)

    def play(self, frame: RecordedFrame, now_ns: int, *, snapshot_of: str) -> MarketEvent | None:
        """Our orders meet the recorded event before anybody can react to it; returns what the frame means."""
        if frame.channel == SNAPSHOT:
            if snapshot_of:
                snapshot = self._reader.decode_snapshot(snapshot_of, frame.data)
                self._carry(self.exchange.on_market(snapshot, now_ns), now_ns)
            return None
        event = self._reader.decode(frame.combined)
        if event is None:
            return None
        commands = self.exchange.on_market(event, now_ns)
        if commands:
            self._carry(commands, now_ns)
        if type(event) is DepthDelta:
            self._books.delta_sent(event.symbol, event.last_seq)
        return event

    def answer(self, now_ns: int) -> None:
        """Write the answers that the exchange has given."""
        while self._told:
            self._clock.hold(now_ns)
            told, self._told = self._told, []
            for call, answer, answered in told:
                answer(self._answers.spell(call, answered))

    def let_in(self, now_ns: int) -> None:
        """The step is over: what was asked in it reaches the venue."""
        if not self._door:
            return
        self._clock.hold(now_ns)
        door, self._door = sorted(self._door), []
        for request in door:
            self._take(request)
        self.answer(now_ns)

    # --- requests ------------------------------------------------------------------------------------------------

    def ws(self, role: str, frame: str, answer: Callable[[bytes], None]) -> None:
        self._ws_no += 1
        self._door.append(
            _Request(role, _WS, self._ws_no, lambda: self._read_ws(frame), lambda reply: answer(reply.body))
        )

    def http(self, role: str, number: int, request: HttpRequest, answer: Callable[[HttpAnswer], None]) -> None:
        def told(reply: Reply) -> None:
            headers = {name.lower(): value for name, value in reply.headers}
            headers["x-mbx-used-weight-1m"] = str(self._limiter.used)
            answer(HttpAnswer(reply.status, headers, reply.body))

        self._door.append(_Request(role, _HTTP, number, lambda: self._read_http(request), told))

    def http_now(self, request: HttpRequest) -> HttpAnswer:
        """Before the first step: what needs no turn of the exchange is answered at once."""
        answers: list[HttpAnswer] = []
        self.http("", 0, request, answers.append)
        self.let_in(self._clock.now_ns())
        return answers[0]

    # --- inside --------------------------------------------------------------------------------------------------

    def _take(self, request: _Request) -> None:
        call: Call = request.read()
        answer: _Answer = request.answer
        refusal = self._limiter.take(self._dialect.weight_of(call), self._clock.now_ns())
        if refusal is not None:
            kind = FaultKind.BANNED if refusal.status == 418 else FaultKind.RATE_LIMIT
            answer(
                self._dialect.refuse(
                    call,
                    kind,
                    refusal.code,
                    refusal.text,
                    retry_after_s=refusal.retry_after_s,
                    status=refusal.status,
                )
            )
        elif isinstance(call, OrderCall):
            self._waiting[call.request.request_no] = (call, answer)
            ask = ClientRequest(connection=0, account=call.account, request=call.request)
            now_ns = self._clock.now_ns()
            self._carry(self.exchange.handle(ask, now_ns), now_ns)
        elif isinstance(call, PrivateCall) and call.action == "subscribe":
            answer(self._dialect.answer_private(call, subscription_id=0))
        else:
            answer(self._answers.answer_at_once(call, None))

    def _read_ws(self, frame: str) -> Call:
        return self._dialect.ws_api(
            frame, now_ms=self._clock.now_ns() // NS_PER_MS, request_no=self._next_request_no(), logon=""
        )

    def _read_http(self, request: HttpRequest) -> Call:
        path, _, query = request.path_query.partition("?")
        return self._dialect.http(
            request.method,
            path,
            query,
            {name.lower(): value for name, value in request.headers},
            request.body,
            now_ms=self._clock.now_ns() // NS_PER_MS,
            request_no=self._next_request_no(),
        )

    def _next_request_no(self) -> int:
        self._request_no += 1
        return self._request_no

    def _carry(self, commands: Sequence[SimCommand], now_ns: int) -> None:
        self._clock.hold(now_ns)
        for command in commands:
            if isinstance(command, Private):
                if self.on_private is not None:
                    for frame in self._answers.private_frames(command):
                        self.on_private(frame)
            elif isinstance(command, Answered):
                waiting = self._waiting.pop(command.request_no, None)
                if waiting is not None:
                    self._told.append((*waiting, command))
