"""The treasury's shell, a singleton: members of the model pool ask it over links before each call.

A process of its own, not a corner of an existing singleton: risk may not wait for a disk write that only models need,
and the registry has to outlive all others with nothing to lose. It costs 50 MB and no time on anybody's path; what a
member waits for it is a link's round trip.

Survives a restart: the day's money, written down ahead of its use beside the journal (what was in flight counts as
spent), and the scorecard, read back from the opinions journalled there. After a crash no call starts until those of
the life before are over, so calls at once stay within the limit; of requests and tokens a minute the life before counts
as having used all that it may have. Rebuilt: the queue, since members ask again when their
link is back. Lost: breakers, which open again when they must, and opinions whose horizon was still running.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import yaml

from actors.journal.opinions import CallRow, OpinionRow, OpinionStore, opinions_path
from actors.journal.spending import SpendingStore
from actors.transport.host import ActorHost
from actors.transport.links import Server, Subscriber
from actors.treasury.engine import (
    Asked,
    Came,
    Command,
    Ended,
    Event,
    JournalCall,
    JournalScored,
    KeepAhead,
    Left,
    Marked,
    Recorded,
    Send,
    Timer,
    TreasuryEngine,
)
from actors.treasury.prices import Price, PriceList
from actors.treasury.review import scored_of
from actors.treasury.scope import Limits
from actors.treasury.scorecard import Scored
from actors.vocab.control import Greeting, Member
from actors.vocab.errors import ConfigError, OurFault
from actors.vocab.market import MARKS_TOPIC, BookState, Marks
from actors.vocab.message import Message
from actors.vocab.opinions import CallRecord
from actors.vocab.spending import SpendRequest, SpendSettle
from actors.vocab.units import NS_PER_MS, NS_PER_S

CONF = Path(__file__).parent.parent.parent / "conf"
CHANNEL = "spending"
# A bucket gains a call in a second at the usual limits; its burst bridges a late tick.
TICK_MS = 50
# One commit a second, at most.
WRITE_MS = 1_000
MARKET_CHANNEL = "market"
DAY_NS = 86_400 * NS_PER_S


class TreasuryActor:
    """See the module's docstring."""

    def __init__(self, role: str, registry: Any) -> None:
        self._host = ActorHost(role=role, registry=registry)
        self._engine: TreasuryEngine | None = None
        self._store: SpendingStore | None = None
        self._opinions: OpinionStore | None = None
        self._server: Server | None = None
        self._marks: Subscriber | None = None
        self._venue_of: dict[str, str] = {}  # symbol -> the venue whose mids score it: two venues' would show a move
        # What waits for the next commit; a second's worth.
        self._call_rows: list[CallRow] = []
        self._opinion_rows: list[OpinionRow] = []
        self._day = 0

    async def run(self) -> None:
        host = self._host
        await host.start()
        self._day = self._today()
        self._store = SpendingStore(host.run.journal_url)
        spent = self._store.begin(host.incarnation, self._day)
        prices, limits = read_models(CONF / "models.yaml")
        self._engine = TreasuryEngine(
            settings=host.settings.llm,
            prices=prices,
            model_limits=limits,
            day=self._day,
            now_ns=host.clock.now_ns(),
            chance=host.rng,
            spent_nusd=spent.nusd,
            after_crash=spent.after_crash,
        )
        self._opinions = OpinionStore(opinions_path(host.run.journal_url))
        kept_ms = host.settings.llm.opinions_days * DAY_NS // NS_PER_MS
        self._opinions.prune(before_ms=host.clock.wall_ns() // NS_PER_MS - kept_ms)
        for row in self._opinions.read_opinions():
            self._engine.scorecard.add(scored_of(row))
        self._marks = host.links.subscriber(self._on_marks)
        self._marks.topic(MARKS_TOPIC)
        host.on_member.append(self._on_member)
        self._server = host.links.server(CHANNEL, on_message=self._on_message, on_peer=self._on_peer)
        await host.join()
        host.every(TICK_MS, self._on_tick)
        host.every(WRITE_MS, self._write)
        await asyncio.Event().wait()

    async def status(self) -> dict[str, Any]:
        if self._engine is None:
            return {"role": self._host.role, "ready": False}
        return {**self._host.vitals(), "ready": True, **self._engine.figures()}

    async def stop(self) -> None:
        """The members have stopped, or what they have in flight counts as spent."""
        await self._host.stop()
        if self._store is not None and self._engine is not None:
            self._store.end(self._day, self._engine.spent_nusd())
            self._store.close()
            self._store = None
        if self._opinions is not None:
            self._write()
            self._opinions.close()
            self._opinions = None

    # --- carrying --------------------------------------------------------------------------------------------

    def _on_message(self, peer: str, message: Message) -> None:
        match message:
            case SpendRequest():
                self._handle(Asked(peer, message))
            case SpendSettle():
                self._handle(Ended(peer, message))
            case CallRecord():
                self._handle(Recorded(peer, message))
            case _:
                raise OurFault(f"{peer} sent {type(message).__name__} to the treasury")

    def _on_peer(self, greeting: Greeting, came: bool) -> None:
        self._handle(Came(greeting.incarnation) if came else Left(greeting.incarnation))

    def _on_member(self, member: Member, came: bool) -> None:
        if self._marks is None or not member.name.startswith("feed:"):
            return
        address = self._host.address_of(member, MARKET_CHANNEL)
        if address and came:
            self._marks.connect(address)
        elif address:
            self._marks.disconnect(address)

    def _on_marks(self, batch: list[tuple[bytes, Message]]) -> None:
        for _topic, message in batch:
            if isinstance(message, Marks):
                self._note_mids(message)

    def _note_mids(self, marks: Marks) -> None:
        for mark in marks.marks:
            ours = self._venue_of.setdefault(mark.symbol, marks.venue) == marks.venue
            if ours and mark.state is BookState.OK and mark.mid_ticks > 0:
                half_bps = (mark.ask_ticks - mark.bid_ticks) / 2 / mark.mid_ticks * 1e4
                self._handle(Marked(mark.symbol, mark.mid_ticks, half_bps))

    def _write(self) -> None:
        calls, self._call_rows = self._call_rows, []
        scored, self._opinion_rows = self._opinion_rows, []
        if self._opinions is not None and (calls or scored):
            self._opinions.write(calls, scored)

    def _on_tick(self) -> None:
        wall_ns = self._host.clock.wall_ns()
        self._day = wall_ns // DAY_NS
        self._handle(Timer(self._day, left_s=(DAY_NS - wall_ns % DAY_NS) / NS_PER_S))

    def _handle(self, event: Event) -> None:
        if self._engine is not None:
            for command in self._engine.handle(event, self._host.clock.now_ns()):
                self._carry(command)

    def _carry(self, command: Command) -> None:
        match command:
            case KeepAhead(day, scope, nusd):
                assert self._store is not None
                self._store.keep(day, {scope: nusd})
            case JournalCall(call_id, call, nusd):
                wall_ms = self._host.clock.wall_ns() // NS_PER_MS
                self._call_rows.append(CallRow.of(call_id, wall_ms, call, nusd))
            case JournalScored(scored):
                self._opinion_rows += [row_of(one) for one in scored]
            case Send(peer, message):
                # A member that is gone needs nothing; its lease ends what was granted to it.
                if self._server is not None:
                    self._server.send(peer, message)

    def _today(self) -> int:
        return self._host.clock.wall_ns() // DAY_NS


def row_of(scored: Scored) -> OpinionRow:
    """For the journal."""
    return OpinionRow(**msgspec.structs.asdict(scored.opinion), round_no=scored.round_no, move_bps=scored.move_bps)


def read_models(path: Path) -> tuple[PriceList, dict[str, Limits]]:
    """Prices and limits of each model from `conf/models.yaml`; `ConfigError` names what is wrong there."""
    prices: dict[str, Price] = {}
    limits: dict[str, Limits] = {}
    for name, row in yaml.safe_load(path.read_text())["models"].items():
        try:
            both = row.get("usd_per_mtok")
            prices[name] = Price.per_mtok(row.get("usd_per_mtok_in", both), row.get("usd_per_mtok_out", both))
            limits[name] = Limits(**row.get("limits", {}))
        except (TypeError, ArithmeticError) as error:
            raise ConfigError(f"{path}: models: {name}: {error!r}") from None
    return PriceList(prices), limits
