"""Risk without links; its journal is a list."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from actors.journal.rows import Loaded, Row
from actors.risk.actor import TIMER_MS
from actors.risk.engine import RiskEngine
from actors.risk.events import Compute, Journalled, JournalRows, PeerUp, Send, Timer
from actors.transport.step_turn import QUIET
from actors.vocab.config import FleetSettings
from actors.vocab.control import Instruments
from actors.vocab.market import Marks
from actors.vocab.units import NS_PER_MS
from pipelines.chain.seat import RISK, Fleet, Seat


class RiskSeat(Seat):
    """`RiskActor`; its journal is a list."""

    def __init__(
        self,
        fleet: Fleet,
        peers: Sequence[str],
        settings: FleetSettings,
        listed: Sequence[Instruments],
        symbols: Sequence[str],
        *,
        run_id: str,
    ) -> None:
        super().__init__(RISK, fleet, peers)
        self.engine = RiskEngine(
            settings.risk,
            Loaded(),
            run_id=run_id,
            symbols=frozenset(symbols),
            id_block_size=settings.gateway.id_block_size,
            quote=settings.quote,
            portfolio=settings.portfolio,
        )
        self.rows: list[Row] = []  # what a journal would hold
        self._batch: list[Marks] = []
        for one in listed:
            self.turn.note(f"instruments {one.venue}", partial(self.handle, one))
        for peer in peers:
            self.turn.note(f"link {peer}", partial(self.handle, PeerUp(peer, peer)))
        self.turn.market(self._release)
        self.turn.every(fleet.now_ns, TIMER_MS * NS_PER_MS, lambda: self.handle(Timer(self._fleet.now_ns)))
        self._carry(self.engine.start(wall_ns=fleet.now_ns, now_ns=fleet.now_ns))

    def marks(self, marks: Marks) -> None:
        self._batch.append(marks)
        self.turn.waiting = True

    def handle(self, event: Any) -> None:
        self._carry(self.engine.handle(event, self._fleet.now_ns))

    def _release(self) -> None:
        if not self._batch:
            return
        batch, self._batch = self._batch, []
        batch.sort(key=lambda marks: marks.venue)
        for marks in {(one.venue, one.marks[0].symbol): one for one in batch if one.marks}.values():
            self.handle(marks)

    def _carry(self, commands: Iterable[Any]) -> None:
        for command in commands:
            match command:
                case Send(peer, message):
                    self._fleet.later(peer, RISK, message)
                case JournalRows(sequence, rows):
                    self.rows += rows
                    self.turn.note("journal", partial(self.handle, Journalled(sequence)), rank=QUIET)
                case Compute(work):
                    self.turn.note("computed", partial(self.handle, work()), rank=QUIET)
