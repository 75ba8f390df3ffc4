"""Host the gateway's machine of one venue account; the only gateway code that awaits, signs or sends.

Path of an order: link message -> engine -> sign -> websocket write, in one callback without a task switch.

Survives a restart: nothing here. Term, states, fill numbers, positions and client-id blocks come from risk's
journal; open orders, fills and positions from the venue. Orders of the life before are cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Callable
from typing import Any

from actors.gateway.commands import (
    Command,
    Event,
    FromHolder,
    FromRisk,
    HolderLink,
    Measured,
    Note,
    RefreshInstruments,
    RiskLink,
    StopAsked,
    Stopped,
    SyncClock,
    Tick,
    ToHolder,
    ToRisk,
    ToVenue,
    WakeAt,
)
from actors.gateway.engine import TICK_MS, GatewayEngine
from actors.gateway.keys import read_credentials
from actors.gateway.limits import countdown_plan, limits_of
from actors.transport.alarm import Alarm
from actors.transport.host import ActorHost
from actors.transport.http import HttpClient, HttpUnanswered
from actors.transport.links import Client, Server, Subscriber
from actors.transport.meters import Histogram
from actors.transport.venue_line import VenueLine
from actors.venues.catalog import trading_dialect
from actors.venues.dialect import TradingDialect
from actors.vocab.control import Greeting, Instruments, Member, VenueAccount
from actors.vocab.errors import ConfigError, OurFault, VenueFault
from actors.vocab.leases import Kill
from actors.vocab.market import MARKS_TOPIC, Marks
from actors.vocab.message import Message
from actors.vocab.orders import Cause
from actors.vocab.units import NS_PER_MS, NS_PER_S

# The supervisor calls every second; five silent ones mean that nobody watches any more.
SUPERVISOR_SILENCE_S = 5.0
# A stop waits so long for the venue's word: cancels take milliseconds, lost ones are asked for after two seconds.
STOP_TIMEOUT_S = 10.0
LATENCIES = ("order_to_ack", "pacer_wait", "frame_to_order", "frame_to_order_paced", "frame_to_order_other")


class GatewayActor:
    """See the module's docstring. Ray methods: `status`, `orders`, `kill`, `heartbeat`, `stop`."""

    def __init__(
        self,
        role: str,
        registry: Any,
        venue: str,
        *,
        supervised: bool = False,
        exit_process: Callable[[int], None] = os._exit,
    ) -> None:
        """`supervised`: stay closed until the supervisor's first call, so that a life which Ray starts after the
        supervisor went silent does not trade unwatched."""
        self._host = ActorHost(role=role, registry=registry, exit_process=exit_process)
        self._wake = Alarm(self._on_wake, now_ns=lambda: self._host.clock.now_ns(), at=self._host.at)
        self._supervised = supervised
        self._parent_pid = os.getppid()  # Ray's process on this node
        self._venue = venue
        self._exit_process = exit_process
        self._engine: GatewayEngine | None = None
        self._line: VenueLine | None = None
        self._dialects: list[TradingDialect] = []
        self._server: Server | None = None
        self._risk: Client | None = None
        self._risk_member: Member | None = None
        self._marks: Subscriber | None = None
        # events that came while another one was being handled, oldest first; emptied before the callback returns
        self._events: deque[tuple[Event, int]] = deque()
        self._busy = False
        self._histograms = {name: Histogram() for name in LATENCIES}
        self._heard_ns = 0  # last call of the supervisor; 0: it has never called
        self._leaving = ""  # why this process ends by itself
        self._problem = ""
        self._instruments_known = asyncio.Event()
        self._stopped = asyncio.Event()
        self._ended = asyncio.Event()
        self._unsent_count = 0

    # --- life ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Never returns until `stop` or until the supervisor has gone."""
        host = self._host
        await host.start()
        try:
            account, dialects = self._read_account()
        except ConfigError as error:
            # Starting again would not bring a key: stay, closed, and say why.
            self._problem = str(error)
            host.log.error(self._problem)
            await host.join()
            await self._ended.wait()
            return
        self._dialects = dialects
        self._engine = GatewayEngine(
            venue=self._venue,
            incarnation=host.incarnation,
            settings=host.settings.gateway,
            risk=host.settings.risk,
            limits=limits_of(self._venue),
            started_ms=host.clock.wall_ns() // NS_PER_MS,
            unix_ahead_ns=host.clock.wall_ns() - host.clock.now_ns(),
        )
        self._line = VenueLine(
            account=account,
            dialect=dialects[0],
            rest_dialect=dialects[1],
            http=HttpClient(account.rest_url, clock=host.clock, gate=host.gate),
            host=host,
            on_event=self._feed,
        )
        self._server = host.links.server(
            "orders",
            on_message=self._on_holder,
            on_peer=self._on_peer,
            silence_ms=host.settings.gateway.holder_silence_ms,
        )
        self._risk = host.links.client(on_message=self._on_risk, on_state=self._on_risk_state)
        self._marks = host.links.subscriber(self._on_marks)
        self._marks.topic(MARKS_TOPIC)
        host.on_member.append(self._on_member)
        host.on_instruments.append(self._on_instruments)
        await host.join()
        host.every(TICK_MS, self._on_tick)
        # Nothing can be read from the venue before a feed has told what it trades.
        await self._instruments_known.wait()
        await self._line.start()
        await self._ended.wait()

    def _read_account(self) -> tuple[VenueAccount, list[TradingDialect]]:
        run, settings = self._host.run, self._host.settings.gateway
        account = next((row for row in run.accounts if row.venue == self._venue), None)
        if account is None:
            raise ConfigError(f"the run has no account at {self._venue!r}")
        credentials = read_credentials(account, os.environ)
        dialects = [
            trading_dialect(
                account.venue,
                credentials,
                order_url=order_url,
                stream_url=account.stream_url,
                recv_window_ms=settings.recv_window_ms,
            )
            for order_url in (account.order_url, "")
        ]
        return account, dialects

    async def stop(self) -> list[str]:
        """Cancel every order and wait for the venue's word; return the orders that may still be alive.

        Links and `status` stay until the process ends, so that fills that come last still reach risk.
        """
        if self._engine is None:
            self._ended.set()
            return []
        self._feed(StopAsked("stopping"), self._host.clock.now_ns())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopped.wait(), STOP_TIMEOUT_S)
        return [repr(order) for order in self._engine.live_orders()]

    async def heartbeat(self) -> None:
        """The supervisor lives. After its first call, five seconds without one end this gateway."""
        first = not self._heard_ns
        self._heard_ns = self._host.machine_clock.now_ns()
        if first and self._supervised and not self._leaving:
            self._dial_risk()

    async def kill(self, reason: str = "operator") -> int:
        """Cancel everything now, from the reserve, and stay closed until risk's next term; return how many lived."""
        if self._engine is None:
            return 0
        count = len(self._engine.live_orders())
        order = Kill(self._venue, self._engine.gate.term, reason=reason)
        self._feed(FromRisk(order), self._host.clock.now_ns())
        return count

    async def orders(self) -> list[dict[str, Any]]:
        """Every order of ours that may be alive."""
        if self._engine is None:
            return []
        return [
            {
                "client_id": order.client_id,
                "symbol": order.symbol,
                "holder": order.holder,
                "side": order.side.name,
                "price_ticks": order.price_ticks,
                "lots": order.lots,
                "filled_lots": order.filled_lots,
                "state": order.state.name,
                "age_ms": (self._host.clock.now_ns() - order.written_ns) // NS_PER_MS,
            }
            for order in self._engine.live_orders()
        ]

    async def status(self) -> dict[str, Any]:
        """Figures of this gateway, plain JSON types. Histograms also as text that merges."""
        basics = {
            **self._host.vitals(),
            "venue": self._venue,
            "state": self._problem or "starting",
            "orders": dict.fromkeys(("placed", "acked", "replaced", "cancelled", "rejected", "filled"), 0),
            "orders_open_count": 0,
            "latency_us": {name: one.summary() for name, one in self._histograms.items()},
            "histograms": {name: one.encode().decode() for name, one in self._histograms.items()},
            "reconcile": {},
        }
        if self._engine is None or self._problem:
            return basics
        return {**basics, **self._engine.figures(), **self._line_figures()}

    def _line_figures(self) -> dict[str, Any]:
        engine, line = self._engine, self._line
        if engine is None or line is None:
            return {}
        settings = self._host.settings.gateway
        interval_ms, countdown_ms = countdown_plan(
            symbols_count=len(engine.core.instruments), countdown_ms=settings.countdown_ms
        )
        on = engine.core.limits.countdown and settings.countdown_ms > 0
        return {
            "clock_offset_ms": line.offset_ms,
            "unparsed_count": line.unparsed_count,
            "unsent_count": self._unsent_count,
            "countdown_ms": countdown_ms if on else 0,
            "countdown_interval_ms": interval_ms if on else 0,
        }

    # --- in -------------------------------------------------------------------------------------------------------

    def _feed(self, event: Event, now_ns: int) -> None:
        """Give one event to the engine and carry out what it says. Never nested: what carrying out brings waits."""
        self._events.append((event, now_ns))
        if self._busy or self._engine is None:
            return
        self._busy = True
        try:
            while self._events:
                event, now_ns = self._events.popleft()
                for command in self._engine.handle(event, now_ns):
                    self._carry_out(command)
        except Exception as error:
            # State may be half changed: stop loudly. Our orders' holders and leases end with us.
            self._host.fault(error)
        finally:
            self._busy = False

    def _on_holder(self, peer: str, message: Message) -> None:
        self._feed(FromHolder(peer, message), self._host.clock.now_ns())

    def _on_peer(self, greeting: Greeting, up: bool) -> None:
        same_host = greeting.host == self._host.host
        self._feed(HolderLink(greeting.incarnation, up, same_host), self._host.clock.now_ns())

    def _on_risk(self, message: Message) -> None:
        self._feed(FromRisk(message), self._host.clock.now_ns())

    def _on_risk_state(self, up: bool) -> None:
        self._feed(RiskLink(up), self._host.clock.now_ns())

    def _on_marks(self, batch: list[tuple[bytes, Message]]) -> None:
        now_ns = self._host.clock.now_ns()
        for _topic, message in batch:
            if isinstance(message, Marks):
                self._feed(message, now_ns)

    def _on_instruments(self, instruments: Instruments) -> None:
        if instruments.venue == self._venue:
            for dialect in self._dialects:
                dialect.use(instruments.rows)
            self._feed(instruments, self._host.clock.now_ns())
            self._instruments_known.set()

    def _on_member(self, member: Member, came: bool) -> None:
        kind, _, rest = member.name.partition(":")
        if kind == "risk" and self._risk is not None:
            self._risk_member = member if came else None
            if not came:
                self._risk.hang_up()
            elif self._heard_ns or not self._supervised:
                self._dial_risk()
        elif kind == "feed" and rest.partition(":")[0] == self._venue and self._marks is not None:
            address = self._host.address_of(member, "market")
            if came:
                self._marks.connect(address)
            else:
                self._marks.disconnect(address)

    def _dial_risk(self) -> None:
        """Without risk's word the gate is closed, so a gateway that nobody watches does not ask for it."""
        if self._risk is not None and self._risk_member is not None:
            self._risk.dial(self._risk_member, "risk")

    def _on_tick(self) -> None:
        self._feed(Tick(), self._host.clock.now_ns())
        if self._leaving:
            return
        if os.getppid() != self._parent_pid:
            # Ray ends its workers soon after its own end: there is no time to wait for missing heartbeats.
            self._leaving = "Ray has gone"
        elif self._heard_ns and self._silence_ns() > SUPERVISOR_SILENCE_S * NS_PER_S:
            self._leaving = "the supervisor is silent"
        if self._leaving:
            self._host.spawn(self._abandoned(), name="abandoned")

    def _silence_ns(self) -> int:
        return self._host.machine_clock.now_ns() - self._heard_ns

    async def _abandoned(self) -> None:
        """Nobody watches any more: leave no order behind, let risk journal what happened, end."""
        self._host.log.error(f"{self._leaving}; cancelling everything")
        alive = await self.stop()
        if alive:
            self._host.log.error("orders possibly alive", orders=", ".join(alive))
        await asyncio.sleep(0.2)  # last rows leave the link's queue
        self._exit_process(1 if alive else 0)

    # --- out --------------------------------------------------------------------------------------------------------

    def _carry_out(self, command: Command) -> None:
        match command:
            case ToVenue():
                if self._line is not None:
                    self._line.send(command.request)
                    self._measure(command)
            case ToHolder():
                if self._server is not None and not self._server.send(command.holder, command.message):
                    self._unsent_count += 1
            case ToRisk():
                if self._risk is not None and not self._risk.send(command.message):
                    self._unsent_count += 1
            case Measured():
                self._histograms[command.name].record(command.span_us)
            case WakeAt():
                self._wake.set(command.at_ns)
            case Note():
                self._say(command)
            case SyncClock():
                if self._line is not None:
                    self._host.spawn(self._line.sync_clock(), name="sync_clock")
            case RefreshInstruments():
                self._host.spawn(self._refresh_instruments(), name="instruments")
            case Stopped():
                self._stopped.set()

    async def _refresh_instruments(self) -> None:
        """Ask what the venue trades now and offer it to everybody, as the feed does in its turn."""
        if self._line is None or self._engine is None:
            return
        try:
            rows = await self._line.instruments()
        except (HttpUnanswered, VenueFault) as error:
            self._host.log.warning("instruments not refreshed", venue=self._venue, reason=str(error))
            return
        if {row.symbol: row for row in rows} == self._engine.core.instruments:
            return
        version = self._host.clock.wall_ns() // NS_PER_MS
        try:
            await self._host.offer_instruments(Instruments(self._venue, version, tuple(rows)))
        except OurFault:
            raise
        except Exception as error:  # Ray's errors have no common base; the feed's turn comes
            self._host.log.warning("the registry did not take the instruments", error=repr(error))

    def _measure(self, command: ToVenue) -> None:
        """From the oldest frame of the decision to the written order; what a timer caused or the pacer held apart."""
        if command.cause is None or not command.frame_ns:
            return
        span_us = (self._host.clock.now_ns() - command.frame_ns) / 1000
        if command.waited:
            self._histograms["frame_to_order_paced"].record(span_us)
        elif command.cause is Cause.BOOK:
            self._histograms["frame_to_order"].record(span_us)
        else:
            self._histograms["frame_to_order_other"].record(span_us)

    def _on_wake(self) -> None:
        self._feed(Tick(), self._host.clock.now_ns())

    def _say(self, note: Note) -> None:
        log = self._host.log
        if note.level == "INFO":
            log.info(note.text)
        elif note.level == "WARNING":
            log.warning(note.text)
        else:
            log.error(note.text)
