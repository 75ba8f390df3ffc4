"""Host risk's brain: links, journal, timers. A singleton; the account lock of the journal makes sure of it.

Survives a restart, from the journal: term, positions and ledgers, day's loss, high-water mark, stops, client-id
blocks, worst cases. Rebuilt: leases (from requests), live orders (from gateways), marks (from feeds), the
portfolio's covariance (from new samples).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from actors.journal.writer import Journal
from actors.risk.engine import RiskEngine
from actors.risk.events import (
    Announce,
    Answer,
    Command,
    Compute,
    Computed,
    Event,
    JournalFailed,
    Journalled,
    JournalRows,
    OperatorCommand,
    PeerDown,
    PeerUp,
    Received,
    Send,
    Timer,
)
from actors.transport.host import ActorHost
from actors.transport.links import Server, Subscriber
from actors.transport.meters import Histogram
from actors.transport.step_turn import QUIET
from actors.vocab.control import Greeting, Instruments, Member
from actors.vocab.errors import check
from actors.vocab.leases import LeaseRequest, RiskState
from actors.vocab.market import MARKS_TOPIC, Marks
from actors.vocab.message import Message
from actors.vocab.opinions import RISK_TOPIC, RiskView

TIMER_MS = 100


class RiskActor:
    """See the module's docstring."""

    def __init__(self, role: str, registry: Any) -> None:
        self._host = ActorHost(role=role, registry=registry)
        self._engine: RiskEngine | None = None
        self._journal: Journal | None = None
        self._server: Server | None = None
        self._marks: Subscriber | None = None
        self._views: Subscriber | None = None
        self._current: dict[str, str] = {}  # role -> incarnation, as the registry says
        self._names: dict[str, str] = {}  # incarnation -> role, of live links
        self._handle_us = Histogram()
        self._unsent_count = 0

    # --- life ------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Never returns until stopped. `ConfigError` when another run holds the account."""
        host = self._host
        await host.start()
        self._open_journal(asyncio.get_running_loop())
        self._server = host.links.server("risk", on_message=self._on_message, on_peer=self._on_peer)
        self._marks = host.links.subscriber(self._on_marks)
        self._marks.topic(MARKS_TOPIC)
        self._views = host.links.subscriber(self._on_views)
        self._views.topic(RISK_TOPIC)
        host.on_member.append(self._on_member)
        host.on_instruments.append(self._on_instruments)
        await host.join()
        host.every(TIMER_MS, self._on_timer)
        await asyncio.Event().wait()

    async def stop(self) -> None:
        """Everybody else has stopped: write what is left, free the account."""
        await self._host.stop()
        journal = self._journal
        if journal is not None:
            self._journal = None
            written = await asyncio.get_running_loop().run_in_executor(None, journal.close)
            check(written, f"journal still held {journal.backlog_count} rows at the stop")

    def _open_journal(self, loop: asyncio.AbstractEventLoop) -> None:
        """Lock the account, read it, begin the term."""
        host = self._host

        def soon(event: Event) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._handle, event)

        def durable(sequence: int) -> None:
            if host.gate is None or host.gate.open:
                soon(Journalled(sequence))

        self._journal = Journal(
            host.run.journal_url,
            host.run.namespace,  # one namespace an account
            on_durable=durable,
            on_failed=lambda text: soon(JournalFailed(text)),
        )
        self._engine = RiskEngine(
            host.settings.risk,
            self._journal.load(),
            run_id=host.run.run_id,
            symbols=frozenset(host.run.symbols),
            id_block_size=host.settings.gateway.id_block_size,
            quote=host.settings.quote,
            portfolio=host.settings.portfolio,
        )
        self._journal.start()
        for command in self._engine.start(wall_ns=host.clock.wall_ns(), now_ns=host.clock.now_ns()):
            self._carry(command)

    # --- for the operator, over Ray --------------------------------------------------------------------------

    async def status(self) -> dict[str, Any]:
        """Figures of `summary`, the journal's, and the process's."""
        if self._engine is None or self._journal is None:
            return {"role": self._host.role, "ready": False}
        return {
            **self._host.vitals(),
            "ready": self._engine.core.is_open,
            "handle_us": self._handle_us.summary(),
            "unsent_count": self._unsent_count,
            "journal": {
                "backlog_count": self._journal.backlog_count,
                "commits_count": self._journal.commits_count,
                "failures_count": self._journal.failures_count,
                "orders_dropped_count": self._journal.orders_dropped_count,
            },
            **self._engine.summary(),
        }

    async def fills(self) -> bytes:
        """Every fill of this life with its markouts so far: a MessagePack list of `FillTrace`, oldest first."""
        return b"\x90" if self._engine is None else msgspec.msgpack.encode(list(self._engine.core.markouts.traces))

    async def why(self, symbol: str) -> dict[str, Any]:
        """venue -> what holds the symbol back there."""
        return {} if self._engine is None else self._engine.why(symbol)

    async def command(self, verb: str, symbol: str = "", reason: str = "", venue: str = "") -> str:
        """pause | resume | reduce | kill of a symbol, a venue, or the fleet when neither is named."""
        if self._engine is None:
            return "risk is starting"
        return self._handle(OperatorCommand(verb, venue, symbol, reason))

    # --- carrying --------------------------------------------------------------------------------------------

    def _handle(self, event: Event) -> str:
        """Give the brain one event, carry out what it returns; the text for an operator, if any."""
        if self._engine is None or self._journal is None:
            return ""
        clock = self._host.clock
        began_ns = clock.now_ns()
        answers = [self._carry(command) for command in self._engine.handle(event, began_ns)]
        self._handle_us.record((clock.now_ns() - began_ns) / 1e3)
        return " ".join(answer for answer in answers if answer)

    def _carry(self, command: Command) -> str:
        match command:
            case Send(peer, message):
                # A peer that is gone needs nothing: leases run out, fences are repeated with the next answer.
                if self._server is None or not self._server.send(peer, message):
                    self._unsent_count += 1
            case JournalRows(sequence, rows):
                assert self._journal is not None
                written = self._journal.append(rows)
                check(written == sequence, f"journal batch {written}, expected {sequence}")
                gate = self._host.gate
                if gate is not None and not gate.open:
                    # How long a disk takes is chance: by the recording's clock each batch takes one step. The journal
                    # of a replay lives as long as its run, so nothing hangs on its being earlier than the disk.
                    gate.note("journal", partial(self._handle, Journalled(sequence)), rank=QUIET)
            case Compute(work):
                self._compute(work)
            case Announce(scope, state, text):
                log = self._host.log.warning if state > RiskState.NORMAL else self._host.log.info
                log("risk state", scope=scope, state=state.name, reason=text)
            case Answer(text):
                return text
        return ""

    def _compute(self, work: Callable[[], Computed]) -> None:
        host = self._host
        gate = host.gate
        if gate is not None and not gate.open:
            # A thread's end is chance: by the recording's clock the work takes one step.
            gate.note("computed", partial(self._handle, work()), rank=QUIET)
        else:
            host.spawn(self._computed(work), name="compute")

    async def _computed(self, work: Callable[[], Computed]) -> None:
        # A thread is enough: nearly all of the work is in LAPACK, which lets the loop's thread run.
        self._handle(await asyncio.get_running_loop().run_in_executor(None, work))

    def _on_message(self, peer: str, message: Message) -> None:
        if isinstance(message, LeaseRequest) and not self._is_current(peer):
            return  # a zombie: the registry knows a later life of the same role
        self._handle(Received(peer, message))

    def _is_current(self, peer: str) -> bool:
        return self._current.get(self._names.get(peer, ""), peer) == peer

    def _on_peer(self, greeting: Greeting, came: bool) -> None:
        if came:
            self._names[greeting.incarnation] = greeting.name
            self._handle(PeerUp(greeting.incarnation, greeting.name))
        else:
            self._names.pop(greeting.incarnation, None)
            self._handle(PeerDown(greeting.incarnation))

    def _on_marks(self, batch: list[tuple[bytes, Message]]) -> None:
        """Of all that waited, only the newest of each publisher and venue counts."""
        newest: dict[tuple[str, str], Marks] = {}
        for _topic, message in batch:
            if isinstance(message, Marks) and message.marks:
                # Shards of one venue carry different symbols; the first symbol tells them apart.
                newest[(message.venue, message.marks[0].symbol)] = message
        for marks in newest.values():
            self._handle(marks)

    def _on_views(self, batch: list[tuple[bytes, Message]]) -> None:
        for _topic, message in batch:
            if isinstance(message, RiskView):
                self._handle(message)

    def _on_instruments(self, instruments: Instruments) -> None:
        self._handle(instruments)

    def _on_timer(self) -> None:
        self._handle(Timer(self._host.clock.wall_ns()))

    def _on_member(self, member: Member, came: bool) -> None:
        if came:
            self._current[member.name] = member.incarnation
        for prefix, channel, subscriber in (("feed:", "market", self._marks), ("llm:", "views", self._views)):
            if subscriber is None or not member.name.startswith(prefix):
                continue
            address = self._host.address_of(member, channel)
            if address and came:
                subscriber.connect(address)
            elif address:
                subscriber.disconnect(address)
