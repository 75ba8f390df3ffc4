"""The fleet: seats and venues of one process, and the steps in which everybody has its turn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from actors.sim.orders_log import order_lines
from actors.sim.recording import SNAPSHOT, RecordedFrame, RecordingFacts
from actors.transport.step_plan import Cast
from actors.transport.step_times import LEAD_NS, Frame, Step, moments, steps
from actors.transport.venue_latency import feed_latency
from actors.vocab.config import FleetSettings
from actors.vocab.control import Instruments, QuoteGroup
from actors.vocab.instruments import Instrument
from actors.vocab.market import BookUpdate, Marks, WarmUp
from actors.vocab.message import Message
from actors.vocab.units import NS_PER_MS, NS_PER_S
from actors.vocab.venue_io import MarketEvent
from pipelines.chain.feed_seat import FeedSeat
from pipelines.chain.gateway_seat import GatewaySeat
from pipelines.chain.quote_seat import QuoteSeat
from pipelines.chain.risk_seat import RiskSeat
from pipelines.chain.seat import RISK, Seat
from pipelines.chain.venue import LocalVenue


class Chain:
    """A fleet on the venues of some recordings. `run` plays them; counters and ledgers tell the rest."""

    def __init__(
        self,
        facts: Sequence[RecordingFacts],
        settings: FleetSettings,
        *,
        seed: int,
        symbols: Sequence[str] = (),
        groups: Sequence[QuoteGroup] = (),
        run_id: str = "chain",
        length_s: float = 0.0,
    ) -> None:
        """`facts[i]` are those of the file of number i in `run`'s frames. `symbols`: those to play, empty for all.
        `groups`: the quote actors, one a symbol when empty. `length_s`: recorded seconds to play, 0 for all."""
        self.settings = settings
        self.frames_count = 0
        self.first_ns = min(each.first_ns for each in facts)
        self.now_ns = self.first_ns - LEAD_NS
        self._facts = facts
        recorded = tuple(dict.fromkeys(symbol.symbol for each in facts for symbol in each.symbols))
        self.symbols = tuple(symbols) or recorded
        self._until_ns = int(self.first_ns + length_s * NS_PER_S) if length_s else 0
        self.venues = {
            market: LocalVenue(
                market,
                [each for each in facts if each.market == market],
                settings=settings.sim,
                seed=seed,
                start_ns=self.now_ns,
                known={},
            )
            for market in dict.fromkeys(each.market for each in facts)
        }
        self._venue_of = [self.venues[each.market] for each in facts]
        self._markets: list[LocalVenue] = list(self.venues.values())
        groups = tuple(groups) or tuple(QuoteGroup(f"quote:{symbol}", (symbol,)) for symbol in self.symbols)
        # frame -> what it means, while it is on its way to us
        self._heard_later: dict[int, MarketEvent | None] = {}
        self._deferred: list[tuple[Seat, str, Callable[[], object]]] = []
        self._seat(groups, seed, run_id)

    # --- running -------------------------------------------------------------------------------------------------

    def run(self, frames: Iterable[Frame]) -> None:
        """Play every frame at its recorded time, and two seconds more for the cancels."""
        for _ in self.play(frames):
            pass

    def play(self, frames: Iterable[Frame]) -> Iterator[Step]:
        """As `run`, but pausing after each step."""
        played = moments(
            frames,
            symbols=frozenset(self.symbols),
            moment_ns=int(self.settings.sim.moment_us * 1_000),
            until_ns=self._until_ns,
        )
        was_ending = False
        latency = feed_latency(self.settings.sim, self._facts)
        for step in steps(played, start_ns=self.now_ns, next_due_ns=self._next_due_ns, latency=latency):
            self._step(step, first_ending=step.ending and not was_ending)
            was_ending = step.ending
            yield step

    def order_lines(self) -> list[bytes]:
        """What the venues saw, as `orders.jsonl` has it."""
        return order_lines({one.venue: one.exchange.ledger for one in self._markets})

    @property
    def decisions_count(self) -> int:
        """Updates of a believed book that a quote engine looked at."""
        return sum(quote.decisions_count for quote in self.quotes)

    # --- between seats -------------------------------------------------------------------------------------------

    def later(self, role: str, sender: str, message: Any) -> None:
        """A message against the flow of market data: `role` takes it in its next step."""
        seat, take = self._receivers[role]
        self._deferred.append((seat, sender, partial(take, message)))

    def to_gateway(self, venue: str, sender: str, message: Message) -> None:
        gateway = self.gateways[venue]
        gateway.turn.peer(sender, partial(gateway.from_holder, sender, message))

    def publish(self, message: BookUpdate | WarmUp) -> None:
        quote = self._quote_of.get(message.symbol)
        if quote is not None:
            quote.market(message)

    def publish_marks(self, marks: Marks) -> None:
        self.risk.marks(marks)
        self.gateways[marks.venue].marks(marks)

    # --- inside --------------------------------------------------------------------------------------------------

    def _seat(self, groups: Sequence[QuoteGroup], seed: int, run_id: str) -> None:
        """Everybody takes a seat, in an order in which nobody misses a peer."""
        settings, by_id = self.settings, {one.venue: one for one in self._markets}
        shards_count = -(-len(self.symbols) // settings.feed.symbols_per_shard)
        cast = Cast(
            feeds=tuple(f"feed:{venue}:{shard}" for venue in sorted(by_id) for shard in range(shards_count)),
            quotes=tuple(sorted(group.name for group in groups)),
            gateways=tuple(f"gateway:{venue}" for venue in sorted(by_id)),
        )
        self.feeds = [
            FeedSeat(role, self, by_id[role.split(":")[1]], settings, self.symbols, seed=seed) for role in cast.feeds
        ]
        rows: dict[str, Sequence[Instrument]] = {feed.venue: feed.instruments for feed in self.feeds}
        listed = [Instruments(venue, self.now_ns // NS_PER_MS, tuple(rows[venue])) for venue in sorted(rows)]
        # The order of a run's accounts, in which its engines are made.
        accounts = [venue.venue for venue in self._markets]
        self.quotes = [
            QuoteSeat(group, self, cast.peers(group.name), accounts, settings, rows, feeds_count=shards_count)
            for group in sorted(groups, key=lambda group: group.name)
        ]
        self.risk = RiskSeat(self, cast.peers(RISK), settings, listed, self.symbols, run_id=run_id)
        self.gateways = {
            one.venue: GatewaySeat(self, cast.peers(f"gateway:{one.venue}"), by_id[one.venue], settings, one)
            for one in listed
        }
        self._quote_of = {symbol: quote for quote in self.quotes for symbol in quote.engines}
        self._feed_of = {
            (feed.venue, symbol): feed
            for feed in self.feeds
            for symbol in self.symbols
            if symbol in feed.engine.symbols
        }
        self._receivers: dict[str, tuple[Seat, Callable[[Any], object]]] = {
            RISK: (self.risk, self.risk.handle),
            **{quote.role: (quote, quote.on_message) for quote in self.quotes},
            **{gateway.role: (gateway, gateway.from_risk) for gateway in self.gateways.values()},
        }
        # Who takes a step after whom; those in between do not hear each other within it.
        self._in_order: list[Seat] = [*self.feeds, *self.quotes, self.risk, *self.gateways.values()]

    def _step(self, step: Step, *, first_ending: bool) -> None:
        for venue in self._markets:
            venue.begin(step.begin_ns)
        if step.venue_only:
            for index, frame in step.frames:
                self._heard_later[id(frame)] = self._match(index, frame, step.begin_ns)
            return
        if self._deferred:
            deferred, self._deferred = self._deferred, []
            for seat, sender, call in deferred:
                seat.turn.peer(sender, call)
        for index, frame in step.sent:
            event = self._match(index, frame, frame.recv_ns) if step.frames else self._heard_later.pop(id(frame))
            self._send(index, frame, event)
        now_ns = self.now_ns = step.now_ns
        for venue in self._markets:
            venue.answer(now_ns)
        for seat in self._in_order:
            turn = seat.turn
            if turn.waiting or turn.due_ns <= now_ns or first_ending:
                seat.run(now_ns, first_ending=first_ending)
        for venue in self._markets:
            venue.let_in(now_ns)

    def _match(self, index: int, frame: RecordedFrame, now_ns: int) -> MarketEvent | None:
        """Our orders meet a recorded frame; returns what it means."""
        if frame.channel != SNAPSHOT:
            self.frames_count += 1
            return self._venue_of[index].play(frame, now_ns, snapshot_of="")
        symbols = self._facts[index].symbols
        # A snapshot in the file of one symbol need not name it.
        snapshot_of = frame.symbol or (symbols[0].symbol if len(symbols) == 1 else "")
        return self._venue_of[index].play(frame, now_ns, snapshot_of=snapshot_of)

    def _send(self, index: int, frame: RecordedFrame, event: MarketEvent | None) -> None:
        feed = self._feed_of.get((self._venue_of[index].venue, frame.symbol))
        if feed is not None and frame.channel != SNAPSHOT:
            feed.play(event, frame)

    def _next_due_ns(self) -> int:
        return min([venue.exchange.next_due_ns() for venue in self._markets])
