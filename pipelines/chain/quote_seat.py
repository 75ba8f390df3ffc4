"""Quote engines without links."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial
from typing import Any

from actors.quote.actor import TICK_MS
from actors.quote.engine import QuoteEngine
from actors.quote.events import Backlog, FeedLink, GatewayLink, InstrumentRow, RiskLink, Timer
from actors.quote.neighbours import OwnPrices
from actors.risk.events import Received
from actors.vocab.config import FleetSettings
from actors.vocab.control import QuoteGroup, Stop
from actors.vocab.instruments import Instrument
from actors.vocab.leases import LeaseRelease, LeaseRequest
from actors.vocab.market import BookState, BookUpdate, WarmUp
from actors.vocab.opinions import SignalInputs
from actors.vocab.portfolio import FillCurve
from actors.vocab.units import NS_PER_MS
from pipelines.chain.seat import RISK, Fleet, Seat


class QuoteSeat(Seat):
    """`QuoteActor` of a few symbols."""

    def __init__(
        self,
        group: QuoteGroup,
        fleet: Fleet,
        peers: Sequence[str],
        venues: Sequence[str],
        settings: FleetSettings,
        rows: dict[str, Sequence[Instrument]],
        *,
        feeds_count: int,
    ) -> None:
        """`rows`: venue -> what its feed says that it lists."""
        super().__init__(group.name, fleet, peers)
        refs = itertools.count(1)
        # symbol -> venue -> engine
        self.engines: dict[str, dict[str, QuoteEngine]] = {
            symbol: {
                venue: QuoteEngine(
                    venue=venue,
                    symbol=symbol,
                    holder=group.name,
                    settings=settings,
                    own_in_book=False,
                    refs=refs,
                    own_prices=own_prices,
                )
                for venue in venues
            }
            for symbol, own_prices in ((symbol, OwnPrices()) for symbol in group.symbols)
        }
        self._all = [engine for by_venue in self.engines.values() for engine in by_venue.values()]
        self.decisions_count = 0  # updates that an engine looked at
        self._batch: list[BookUpdate | WarmUp] = []
        for venue in venues:
            for up in (False, *itertools.repeat(True, feeds_count)):
                self._tell_venue(venue, FeedLink(venue, up=up))
            self.turn.note(f"instruments {venue}", partial(self._on_instruments, rows[venue]))
            gateway = f"gateway:{venue}"
            self.turn.note(f"link {gateway}", partial(self._tell_venue, venue, GatewayLink(True, gateway)))
        self.turn.note(f"link {RISK}", lambda: self._tell_all(RiskLink(True)))
        self.turn.market(self._release)
        self.turn.every(fleet.now_ns, TICK_MS * NS_PER_MS, lambda: self._tell_all(Timer()))

    def market(self, message: BookUpdate | WarmUp) -> None:
        self._batch.append(message)
        self.turn.waiting = True

    def on_end(self) -> None:
        self._tell_all(Stop("the recording has ended"))

    def on_message(self, message: Any) -> None:
        """From a gateway or from risk."""
        engine = self.engines.get(message.symbol, {}).get(message.venue)
        if engine is not None:
            self._tell(engine, message)

    def _release(self) -> None:
        if not self._batch:
            return
        batch, self._batch = self._batch, []
        if len(batch) == 1:
            self._on_market(batch[0])
            return
        batch.sort(key=lambda message: (message.venue, message.symbol))
        waiting: dict[tuple[str, str], list[BookUpdate]] = {}
        for message in batch:
            if isinstance(message, BookUpdate):
                waiting.setdefault((message.symbol, message.venue), []).append(message)
            else:
                self._on_market(message)
        for updates in waiting.values():
            self._on_market(updates[0] if len(updates) == 1 else Backlog(tuple(updates)))

    def _on_market(self, event: BookUpdate | Backlog | WarmUp) -> None:
        newest = event.updates[-1] if isinstance(event, Backlog) else event
        engine = self.engines.get(newest.symbol, {}).get(newest.venue)
        if engine is None:
            return
        if type(newest) is BookUpdate and newest.state is BookState.OK:
            self.decisions_count += 1
        self._tell(engine, event)

    def _on_instruments(self, rows: Sequence[Instrument]) -> None:
        for row in rows:
            engine = self.engines.get(row.symbol, {}).get(row.venue)
            if engine is not None:
                self._tell(engine, InstrumentRow(row))

    def _tell_venue(self, venue: str, event: Any) -> None:
        for engine in self._all:
            if engine.venue == venue:
                self._tell(engine, event)

    def _tell_all(self, event: Any) -> None:
        for engine in self._all:
            self._tell(engine, event)

    def _tell(self, engine: QuoteEngine, event: Any) -> None:
        for command in engine.handle(event, self._fleet.now_ns):
            if isinstance(command, LeaseRequest | LeaseRelease | FillCurve):
                self._fleet.later(RISK, self.role, Received(self.role, command))
            elif not isinstance(command, SignalInputs):
                self._fleet.to_gateway(command.venue, self.role, command)
