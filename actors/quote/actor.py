"""The shell around the engines of a few symbols: links in, links out, timers.

Dials risk and each venue's gateway, subscribes its symbols at every feed, publishes signal inputs and hears the
language model's views. Survives a restart: nothing. A new life has a new incarnation, learns position and dying
orders from the gateways' `HolderState`, the envelope from risk, the book from the feeds' next re-send.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import Any

from actors.quote.engine import Event, QuoteEngine
from actors.quote.events import Backlog, FeedLink, GatewayLink, InstrumentRow, RiskLink, Timer
from actors.quote.neighbours import OwnPrices
from actors.transport.host import ActorHost
from actors.transport.links import Client, Publisher, Subscriber
from actors.transport.meters import Histogram
from actors.vocab.control import Instruments, Member, Stop
from actors.vocab.instruments import Instrument
from actors.vocab.leases import LeaseGrant, LeaseRelease, LeaseRequest
from actors.vocab.market import BookUpdate, WarmUp
from actors.vocab.message import Message
from actors.vocab.opinions import RISK_TOPIC, RegimeView, RiskView, SignalInputs
from actors.vocab.orders import Fill, HolderState, OrderUpdate, PositionAdjust
from actors.vocab.portfolio import FillCurve, PortfolioView

MARKET_CHANNEL, ORDERS_CHANNEL, RISK_CHANNEL = "market", "orders", "risk"
SIGNALS_CHANNEL, VIEWS_CHANNEL = "signals", "views"
# Finer than a beat and a renewal, coarse enough that fifty idle actors cost nothing to speak of.
TICK_MS = 200
# Cancels are acknowledged in milliseconds; a gateway that is gone cancels by its own rule, so waiting longer is vain.
STOP_TIMEOUT_S = 3.0

# Runs whose public market data cannot contain our own orders.
MODES_APART = frozenset({"paper", "replay"})


class QuoteActor:
    """See the module. `symbols` empty: those that the run describes for this role."""

    def __init__(self, role: str, registry: Any, symbols: Sequence[str] = ()) -> None:
        self._host = ActorHost(role=role, registry=registry)
        self._symbols = tuple(symbols)
        # symbol -> venue -> engine; fixed after the start
        self._engines: dict[str, dict[str, QuoteEngine]] = {}
        self._all: list[QuoteEngine] = []
        self._gateways: dict[str, Client] = {}  # venue -> link to its gateway
        self._risk: Client | None = None
        self._market: Subscriber | None = None
        self._signals: Publisher | None = None
        self._views: Subscriber | None = None
        self._feeds: dict[str, Member] = {}  # name -> feed of one of our venues
        self._rows: dict[tuple[str, str], Instrument] = {}  # (venue, symbol) -> row given to its engine
        self._frame_to_quote = Histogram()
        self._feed_lag = Histogram()
        self._send_failures = 0
        self._ended = asyncio.Event()

    async def run(self) -> None:
        host = self._host
        await host.start()
        run, links = host.run, host.links
        group = next((group.symbols for group in run.quote_groups if group.name == host.role), ())
        refs = itertools.count(1)  # one series for all engines: a gateway knows an order by holder and number
        for symbol in self._symbols or group:
            by_venue = self._engines[symbol] = {}
            own_prices = OwnPrices()
            for account in run.accounts:
                by_venue[account.venue] = engine = QuoteEngine(
                    venue=account.venue,
                    symbol=symbol,
                    holder=host.incarnation,
                    settings=host.settings,
                    own_in_book=run.mode not in MODES_APART,
                    refs=refs,
                    own_prices=own_prices,
                )
                self._all.append(engine)
        for account in run.accounts:
            self._gateways[account.venue] = links.client(
                on_message=self._on_message, on_state=self._gateway_hook(account.venue)
            )
            self._tell_venue(account.venue, FeedLink(account.venue, up=False))
        self._risk = links.client(on_message=self._on_message, on_state=self._on_risk)
        self._market = links.subscriber(self._on_market)
        if host.settings.llm.enabled:
            self._signals = links.publisher(SIGNALS_CHANNEL)
            self._views = links.subscriber(self._on_views)
            self._views.topic(RISK_TOPIC)
        for symbol in self._engines:
            self._market.topic(symbol.encode())
            if self._views is not None:
                self._views.topic(symbol.encode())
        host.on_member.append(self._on_member)
        host.on_instruments.append(self._on_instruments)
        if host.gate is not None:
            host.gate.on_end.append(lambda: self._on_message(Stop("the recording has ended")))
        await host.join()
        host.every(TICK_MS, self._on_tick)
        await self._ended.wait()

    async def stop(self) -> None:
        """Cancel everything, await the answers for a while, give the leases back, leave."""
        for engine in self._all:
            self._tell(engine, Stop("orderly stop"))
        deadline_s = asyncio.get_running_loop().time() + STOP_TIMEOUT_S
        while not all(engine.stopped for engine in self._all):
            if asyncio.get_running_loop().time() > deadline_s:
                break
            await asyncio.sleep(0.01)
        await self._host.stop()
        self._ended.set()

    async def status(self) -> dict[str, Any]:
        """Figures of this actor and of each symbol, plain JSON types. Histograms also as text that merges."""
        now_ns = self._host.clock.now_ns()
        symbols: dict[str, Any] = {}
        for symbol, by_venue in self._engines.items():
            for engine in by_venue.values():
                # One venue a symbol is the rule; a second one is told apart by name.
                symbols[symbol if symbol not in symbols else f"{symbol}@{engine.venue}"] = engine.status(now_ns)
        return {
            **self._host.vitals(),
            "symbols": symbols,
            "frame_to_quote_us": self._frame_to_quote.summary(),
            "feed_lag_us": self._feed_lag.summary(),
            "histograms": {
                "frame_to_quote": self._frame_to_quote.encode().decode(),
                "feed_lag": self._feed_lag.encode().decode(),
            },
            "send_failures": self._send_failures,
            "stopped": bool(self._all) and all(engine.stopped for engine in self._all),
        }

    # --- in ----------------------------------------------------------------------------------------------------

    def _on_market(self, batch: list[tuple[bytes, Message]]) -> None:
        """All that waited, one decision a symbol and venue."""
        if len(batch) == 1:
            self._on_market_message(batch[0][1])
            return
        waiting: dict[tuple[str, str], list[BookUpdate]] = {}
        for _topic, message in batch:
            if isinstance(message, BookUpdate):
                waiting.setdefault((message.symbol, message.venue), []).append(message)
            else:
                self._on_market_message(message)
        for updates in waiting.values():
            if len(updates) == 1:
                self._on_market_message(updates[0])
            else:
                self._on_book(updates[-1], Backlog(tuple(updates)))

    def _on_market_message(self, message: Message) -> None:
        if isinstance(message, BookUpdate):
            self._on_book(message, message)
        elif isinstance(message, WarmUp):
            engine = self._engines.get(message.symbol, {}).get(message.venue)
            if engine is not None:
                self._tell(engine, message)

    def _on_book(self, newest: BookUpdate, event: BookUpdate | Backlog) -> None:
        engine = self._engines.get(newest.symbol, {}).get(newest.venue)
        if engine is None:
            return
        clock = self._host.clock
        commands = engine.handle(event, clock.now_ns())
        decided_recv_ns = engine.decided_recv_ns
        if decided_recv_ns:
            self._frame_to_quote.record((clock.now_ns() - decided_recv_ns) / 1000)
            # Meaningful where the venue's clock is ours, as in the sim; elsewhere it shows the clocks' difference.
            self._feed_lag.record(newest.lag_us)
        for command in commands:
            self._send(command)

    def _on_views(self, batch: list[tuple[bytes, Message]]) -> None:
        for _topic, message in batch:
            if isinstance(message, RegimeView):
                for engine in self._engines.get(message.symbol, {}).values():
                    self._tell(engine, message)
            elif isinstance(message, RiskView):
                for engine in self._all:
                    self._tell(engine, message)

    def _on_message(self, message: Message) -> None:
        """From a gateway or from risk; both name symbol and venue."""
        if isinstance(message, (OrderUpdate, Fill, HolderState, LeaseGrant, PositionAdjust, PortfolioView)):
            engine = self._engines.get(message.symbol, {}).get(message.venue)
            if engine is not None:
                self._tell(engine, message)
        elif isinstance(message, Stop):
            for engine in self._all:
                self._tell(engine, message)

    def _on_tick(self) -> None:
        for engine in self._all:
            self._tell(engine, Timer())

    # --- who is there ------------------------------------------------------------------------------------------

    def _on_member(self, member: Member, came: bool) -> None:
        kind, _, venue = member.name.partition(":")
        if kind == "risk" and self._risk is not None:
            self._follow(self._risk, member, RISK_CHANNEL, came)
        elif kind == "gateway" and venue in self._gateways:
            self._follow(self._gateways[venue], member, ORDERS_CHANNEL, came)
        elif kind == "feed":
            self._on_feed(member, venue.partition(":")[0], came)
        elif kind == "llm" and self._views is not None:
            self._connect(self._views, member, VIEWS_CHANNEL, came)

    def _follow(self, client: Client, member: Member, channel: str, came: bool) -> None:
        if came:
            client.dial(member, channel)
        else:
            client.hang_up()

    def _on_feed(self, member: Member, venue: str, came: bool) -> None:
        if venue not in self._gateways or self._market is None:
            return
        self._connect(self._market, member, MARKET_CHANNEL, came)
        if came:
            self._feeds[member.name] = member
        else:
            self._feeds.pop(member.name, None)
        shards = [feed for name, feed in self._feeds.items() if name.split(":")[1] == venue]
        # Which shard carries a symbol is the feeds' business, so stamps are trusted only if all are on this host.
        same_host = all(feed.host == self._host.host for feed in shards)
        self._tell_venue(venue, FeedLink(venue, up=bool(shards), same_host=same_host))

    def _connect(self, subscriber: Subscriber, member: Member, channel: str, came: bool) -> None:
        address = self._host.links.address_of(member, channel)
        if came:
            subscriber.connect(address)
        else:
            subscriber.disconnect(address)

    def _on_instruments(self, event: Instruments) -> None:
        for row in event.rows:
            engine = self._engines.get(row.symbol, {}).get(event.venue)
            if engine is not None and self._rows.get((event.venue, row.symbol)) != row:
                self._rows[event.venue, row.symbol] = row
                self._tell(engine, InstrumentRow(row))

    def _gateway_hook(self, venue: str) -> Callable[[bool], None]:
        def on_state(up: bool) -> None:
            peer = self._gateways[venue].peer
            self._tell_venue(venue, GatewayLink(up, peer.incarnation if up and peer is not None else ""))

        return on_state

    def _on_risk(self, up: bool) -> None:
        for engine in self._all:
            self._tell(engine, RiskLink(up))

    # --- out ---------------------------------------------------------------------------------------------------

    def _tell_venue(self, venue: str, event: Event) -> None:
        for engine in self._all:
            if engine.venue == venue:
                self._tell(engine, event)

    def _tell(self, engine: QuoteEngine, event: Event) -> None:
        for command in engine.handle(event, self._host.clock.now_ns()):
            self._send(command)

    def _send(self, command: Message) -> None:
        """Put one command on its link. What a full or broken link does not take is not tried again here: the engine
        learns from the link's state, from a missing answer, or renews anyway."""
        if isinstance(command, (LeaseRequest, LeaseRelease, FillCurve)):
            sent = self._risk is not None and self._risk.send(command)
        elif isinstance(command, SignalInputs):
            if self._signals is not None:
                self._signals.send(command.symbol.encode(), command)
            sent = True
        else:
            venue: str = command.venue  # type: ignore[attr-defined]  # every message to a gateway names its venue
            sent = self._gateways[venue].send(command)
        if not sent:
            self._send_failures += 1
