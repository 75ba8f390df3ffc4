"""A whole fleet under one simulated clock: holders with wallets, gateways, risk and its journal, links that delay.

The truth is kept beside it: what the venue knows of positions and live orders. Everything comes from one seed.
Simplified: an order the gateway accepts is live at once; a cancel takes a while; nothing else moves positions.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from typing import Any

from actors.journal.rows import (
    SINCE_KEY,
    BlockRow,
    BookingRow,
    FillNoRow,
    LedgerRow,
    Loaded,
    MetaRow,
    Row,
    RunRow,
    StateRow,
)
from actors.risk.engine import RiskEngine
from actors.risk.events import Command, Event, Journalled, JournalRows, Received, Send, Timer
from actors.risk.leases import Refusal, Wallet
from actors.vocab.config.risk import RiskSettings
from actors.vocab.control import Instruments
from actors.vocab.instruments import Instrument
from actors.vocab.leases import (
    AccountLease,
    AccountLeaseRequest,
    BlockGrant,
    BlockRequest,
    Kill,
    LeaseGrant,
    LeaseRequest,
    SymbolExposure,
)
from actors.vocab.market import BookState, Mark, Marks, Side
from actors.vocab.message import Message
from actors.vocab.orders import Cause, Fill, FillsAgain, LeasedOrder
from actors.vocab.units import NS_PER_MS

MS = NS_PER_MS
RUN_ID = "run-1"


def instrument(symbol: str = "BTCUSDT", venue: str = "binance_perp", **changes: Any) -> Instrument:
    fields: dict[str, Any] = {
        "symbol": symbol,
        "venue": venue,
        "market": "perp" if venue.endswith("perp") else "spot",
        "venue_symbol": symbol,
        "base": symbol.removesuffix("USDT"),
        "quote": "USDT",
        "tick_size": "0.1",
        "lot_size": "0.01",
    }
    fields.update(changes)
    return Instrument(**fields)


def marks_of(venue: str, prices: dict[str, int], *, state: BookState = BookState.OK) -> Marks:
    """Books one tick around even mids: bid = price - 1, ask = price + 1."""
    rows = tuple(
        Mark(symbol, state, price - 1, price + 1, float(price), float(price), 0.0, 0, 0)
        for symbol, price in prices.items()
    )
    return Marks(venue=venue, seq=1, marks=rows)


class MemoryJournal:
    """Rows in memory; what was appended is durable a little later, and lost if risk dies before."""

    def __init__(self) -> None:
        self.durable: list[Row] = []
        self.pending: list[tuple[int, tuple[Row, ...]]] = []

    def commit(self, up_to: int) -> None:
        while self.pending and self.pending[0][0] <= up_to:
            self.durable.extend(self.pending.pop(0)[1])

    def crash(self) -> None:
        self.pending.clear()

    def load(self) -> Loaded:
        """What `Store.load` would read from these rows."""
        meta: dict[str, str] = {}
        runs: list[RunRow] = []
        blocks: dict[str, list[BlockRow]] = {}
        fill_nos: dict[str, int] = {}
        bookings: dict[tuple[str, str], BookingRow] = {}
        ledgers: dict[tuple[str, str], LedgerRow] = {}
        states: dict[str, StateRow] = {}
        trades: list[tuple[str, str, int, int]] = []
        for row in self.durable:
            match row:
                case MetaRow():
                    meta[row.key] = row.value
                case RunRow():
                    runs = [row]
                case BlockRow():
                    blocks.setdefault(row.venue, []).append(row)
                case FillNoRow():
                    fill_nos[row.venue] = row.fill_no
                case BookingRow():
                    bookings[(row.venue, row.symbol)] = row
                case LedgerRow():
                    ledgers[(row.venue, row.symbol)] = row
                case StateRow():
                    states[row.scope] = row
                case Fill():
                    trades.append((row.venue, row.symbol, row.trade_id, int(row.side)))
        lives = []
        for venue, rows in blocks.items():
            gateway = rows[-1].gateway
            lives.append((venue, gateway, min(row.wall_ms for row in rows if row.gateway == gateway)))
        return Loaded(
            term=int(meta.get("term", "0")),
            equity_usd=meta.get("equity_usd", ""),
            high_water_usd=meta.get("high_water_usd", ""),
            day=int(meta.get("day", "-1")),
            day_start_usd=meta.get("day_start_usd", ""),
            runs=tuple(runs),
            next_ids=tuple((venue, rows[-1].first + rows[-1].size) for venue, rows in blocks.items()),
            last_lives=tuple(lives),
            since_ms=tuple(
                (key.removeprefix(f"{SINCE_KEY}:"), int(value)) for key, value in meta.items() if SINCE_KEY in key
            ),
            fill_nos=tuple(fill_nos.items()),
            trade_keys=tuple(trades),
            bookings=tuple(bookings.values()),
            ledgers=tuple(ledgers.values()),
            states=tuple(row for row in states.values() if row.state),
        )


class TrueOrder:
    """A live order at the venue."""

    def __init__(self, holder: str, ref: int, side: Side, price_ticks: int, lots: int) -> None:
        self.holder = holder
        self.ref = ref
        self.side = side
        self.price_ticks = price_ticks
        self.lots = lots  # left


class Truth:
    """One symbol at one venue account, as the venue knows it."""

    def __init__(self) -> None:
        self.position = 0
        self.orders: list[TrueOrder] = []
        self.trades: list[tuple[int, TrueOrder, int]] = []  # (trade_id, order, lots)

    def live(self, side: Side) -> int:
        return sum(order.lots for order in self.orders if order.side is side)

    @property
    def worst_long(self) -> int:
        return self.position + self.live(Side.BUY)

    @property
    def worst_short(self) -> int:
        return self.live(Side.SELL) - self.position


class Host:
    """A clock with an offset and a drift; monotonic nanoseconds are comparable on it alone."""

    def __init__(self, rng: random.Random) -> None:
        self.offset_ns = rng.randrange(0, 10**15)
        self.rate = 1.0 + rng.uniform(-0.004, 0.004)

    def now_ns(self, t: int) -> int:
        return self.offset_ns + int(t * self.rate)


class Holder:
    """A quote actor reduced to its wallet: asks, places at random, cancels everything when the lease is gone."""

    def __init__(self, fleet: Fleet, venue: str, symbol: str, life: int) -> None:
        self.fleet = fleet
        self.venue = venue
        self.symbol = symbol
        self.name = f"quote:{symbol}#{venue}#{life}"
        self.host = Host(fleet.rng)
        self.wallet = Wallet(venue, symbol, self.name)
        self.request_no = 0
        self.ref = 0
        self.dead = False
        self.paused_until = 0
        self.position = 0
        self.last_fill_no = 0
        self.known = False
        self.live: dict[int, tuple[Side, int]] = {}  # ref -> side, lots left, as far as we know

    def now_ns(self) -> int:
        return self.host.now_ns(self.fleet.t)

    def ask(self) -> None:
        self.request_no += 1
        self.wallet.on_request_sent(self.request_no, self.now_ns())
        rng = self.fleet.rng
        want = self.fleet.want_lots
        request = LeaseRequest(
            venue=self.venue,
            symbol=self.symbol,
            holder=self.name,
            request_no=self.request_no,
            position_lots=self.position,
            want_long_lots=rng.choice((0, want // 2, want, want, want)),
            want_short_lots=rng.choice((0, want // 2, want, want, want)),
            last_fill_no=self.last_fill_no,
            mid_ticks=float(self.fleet.prices[self.symbol]),
        )
        self.fleet.to_risk(self.name, request)

    def act(self) -> None:
        """Place or cancel something; everything goes when the lease is gone."""
        now_ns = self.now_ns()
        rng = self.fleet.rng
        if not self.wallet.alive(now_ns):
            self.fleet.to_gateway(self.venue, self.name, ("cancel_all", self.symbol))
            return
        if rng.random() < 0.3 and self.live:
            self.fleet.to_gateway(self.venue, self.name, ("cancel", self.symbol, rng.choice(list(self.live))))
            return
        if not self.known:
            return
        side = rng.choice((Side.BUY, Side.SELL))
        self.ref += 1
        order = self.wallet.place(
            ref=self.ref,
            slot=0,
            side=side,
            price_ticks=self.fleet.prices[self.symbol] - side,
            lots=rng.randint(1, max(1, self.fleet.want_lots // 2)),
            post_only=True,
            reduce_only=False,
            position_lots=self.position,
            live_buy_lots=sum(lots for each, lots in self.live.values() if each is Side.BUY),
            live_sell_lots=sum(lots for each, lots in self.live.values() if each is Side.SELL),
            value_usd=1.0,
            cause=Cause.BOOK,
            recv_ns=0,
            age_us=0,
            now_ns=now_ns,
        )
        if isinstance(order, Refusal):
            return
        self.live[order.ref] = (side, order.lots)
        self.fleet.to_gateway(self.venue, self.name, order)

    def on_grant(self, grant: LeaseGrant) -> None:
        self.wallet.on_grant(grant, self.now_ns())

    def on_gateway(self, message: Any) -> None:
        match message:
            case ("state", position, last_fill_no):
                self.position, self.last_fill_no, self.known = position, last_fill_no, True
                self.live.clear()
            case ("gone", ref):
                self.live.pop(ref, None)
            case Fill():
                if message.fill_no <= self.last_fill_no:
                    return
                self.last_fill_no = message.fill_no
                self.position += message.side * message.lots
                if message.ref in self.live and message.holder == self.name:
                    side, lots = self.live[message.ref]
                    if lots <= message.lots:
                        del self.live[message.ref]
                    else:
                        self.live[message.ref] = (side, lots - message.lots)


class Gateway:
    """A gateway reduced to fences, envelope check, numbering and reports. Starts closed and knows the venue."""

    def __init__(self, fleet: Fleet, venue: str, life: int) -> None:
        self.fleet = fleet
        self.venue = venue
        self.name = f"gateway:{venue}#{life}"
        self.host = Host(fleet.rng)
        self.dead = False
        self.term = 0
        self.expires_ns = 0
        self.request_no = 0
        self.sent_ns: dict[int, int] = {}
        self.fences: dict[str, tuple[int, int, int]] = {}  # symbol -> no, long, short
        self.fenced: dict[str, int] = {}  # symbol -> confirmed no
        self.halted: frozenset[str] = frozenset()
        self.state = 0
        self.fill_no = -1  # unknown until the block grant
        self.fills: list[Fill] = []
        self.told: dict[str, int] = {}  # symbol -> trades already numbered

    def now_ns(self) -> int:
        return self.host.now_ns(self.fleet.t)

    @property
    def is_open(self) -> bool:
        return self.term > 0 and self.now_ns() < self.expires_ns and self.fill_no >= 0 and self.state < 3

    def report(self) -> None:
        if self.fill_no < 0:
            self.fleet.to_risk(self.name, BlockRequest(self.venue, self.name))
            return
        self.request_no += 1
        self.sent_ns[self.request_no] = self.now_ns()
        seen = tuple(
            SymbolExposure(
                symbol=symbol,
                position_lots=truth.position,
                open_buy_lots=truth.live(Side.BUY),
                open_sell_lots=truth.live(Side.SELL),
                fenced_no=self.fenced.get(symbol, 0),
            )
            for (venue, symbol), truth in self.fleet.truths.items()
            if venue == self.venue
        )
        self.fleet.to_risk(self.name, AccountLeaseRequest(self.venue, self.name, self.request_no, self.fill_no, seen))

    def on_risk(self, message: Message) -> None:
        match message:
            case BlockGrant():
                if self.fill_no < 0:
                    self.fill_no = message.last_fill_no
                    known = {row.symbol: row.trade_id for row in message.journalled}
                    for (venue, symbol), truth in self.fleet.truths.items():
                        if venue == self.venue:
                            self.told[symbol] = known.get(symbol, 0)
                            for trade_id, order, lots in list(truth.trades):
                                if trade_id > self.told[symbol]:
                                    self.publish(symbol, trade_id, order, lots)
                    self.report()
            case AccountLease():
                if message.term < self.term:
                    return
                self.term = message.term
                sent_ns = self.sent_ns.pop(message.request_no, None)
                if sent_ns is not None:
                    self.expires_ns = max(self.expires_ns, sent_ns + message.ttl_ms * MS)
                self.state = int(message.state)
                self.halted = frozenset(message.halted_symbols)
                self.fills = [fill for fill in self.fills if fill.fill_no > message.acked_fill_no]
                for fence in message.fences:
                    held = self.fences.get(fence.symbol, (0, 0, 0))
                    if fence.min_grant_no >= held[0]:
                        self.fences[fence.symbol] = (fence.min_grant_no, fence.long_lots, fence.short_lots)
                self.work()
            case FillsAgain():
                for fill in self.fills:
                    if fill.fill_no >= message.from_no:
                        self.fleet.to_risk(self.name, fill)
            case Kill():
                for (venue, symbol), truth in self.fleet.truths.items():
                    if venue == self.venue and message.symbol in ("", symbol):
                        for order in list(truth.orders):
                            self.cancel(symbol, order)

    def work(self) -> None:
        """Cancel what does not fit, confirm fences that do, cancel everything when closed."""
        for (venue, symbol), truth in self.fleet.truths.items():
            if venue != self.venue:
                continue
            no, long, short = self.fences.get(symbol, (0, 0, 0))
            for order in truth.orders:
                outside = (order.side is Side.BUY and truth.worst_long > long) or (
                    order.side is Side.SELL and truth.worst_short > short
                )
                holder = self.fleet.holders.get((venue, symbol))
                orphan = holder is None or holder.dead or holder.name != order.holder
                if not self.is_open or symbol in self.halted or orphan or (no > self.fenced.get(symbol, 0) and outside):
                    self.cancel(symbol, order)
            if no > self.fenced.get(symbol, 0):
                fits_long = not truth.live(Side.BUY) or truth.worst_long <= long
                fits_short = not truth.live(Side.SELL) or truth.worst_short <= short
                if fits_long and fits_short:
                    self.fenced[symbol] = no

    def cancel(self, symbol: str, order: TrueOrder) -> None:
        """The venue acts a little later."""
        fleet = self.fleet

        def gone() -> None:
            truth = fleet.truths[(self.venue, symbol)]
            if order in truth.orders:
                truth.orders.remove(order)
                fleet.to_holder(self.venue, symbol, order.holder, ("gone", order.ref))

        fleet.later(fleet.rng.randint(1, 80) * MS, gone)

    def on_holder(self, holder: str, message: Any) -> None:
        match message:
            case ("cancel_all", symbol):
                for order in self.fleet.truths[(self.venue, symbol)].orders:
                    if order.holder == holder:
                        self.cancel(symbol, order)
            case ("cancel", symbol, ref):
                found = [o for o in self.fleet.truths[(self.venue, symbol)].orders if o.ref == ref]
                for order in found:
                    if order.holder == holder:
                        self.cancel(symbol, order)
                if not found:
                    self.fleet.to_holder(self.venue, symbol, holder, ("gone", ref))
            case ("hello", symbol):
                truth = self.fleet.truths[(self.venue, symbol)]
                if self.fill_no >= 0:
                    self.fleet.to_holder(self.venue, symbol, holder, ("state", truth.position, self.fill_no))
            case LeasedOrder():
                if not self.accept(message):
                    self.fleet.to_holder(self.venue, message.symbol, holder, ("gone", message.ref))

    def accept(self, order: LeasedOrder) -> bool:
        symbol = order.symbol
        truth = self.fleet.truths[(self.venue, symbol)]
        token = order.token
        if not self.is_open or symbol in self.halted or order.lease_left_ms <= 0:
            return False
        if token.term != self.term or token.grant_no < self.fences.get(symbol, (0, 0, 0))[0]:
            return False
        if order.side is Side.BUY and truth.worst_long + order.lots > order.long_lots:
            return False
        if order.side is Side.SELL and truth.worst_short + order.lots > order.short_lots:
            return False
        truth.orders.append(TrueOrder(token.holder, order.ref, order.side, order.price_ticks, order.lots))
        self.fleet.accepted_count += 1
        return True

    def publish(self, symbol: str, trade_id: int, order: TrueOrder, lots: int) -> None:
        self.fill_no += 1
        self.told[symbol] = trade_id
        truth = self.fleet.truths[(self.venue, symbol)]
        fill = Fill(
            venue=self.venue,
            symbol=symbol,
            fill_no=self.fill_no,
            trade_id=trade_id,
            client_id=f"mnt{order.ref}",
            holder=order.holder,
            ref=order.ref,
            token_grant_no=0,
            side=order.side,
            price_ticks=order.price_ticks,
            lots=lots,
            maker=True,
            fee="0.001",
            fee_asset="USDT",
            event_ns=self.fleet.t,
            position_lots=truth.position,
        )
        self.fills.append(fill)
        self.fleet.to_risk(self.name, fill)
        self.fleet.to_holder(self.venue, symbol, order.holder, fill)


class Fleet:
    """The world. `step` advances to the next event; `check` is called after each one."""

    def __init__(
        self,
        seed: int,
        *,
        settings: RiskSettings,
        symbols: dict[str, int],
        venues: tuple[str, ...] = ("binance_perp", "binance_spot"),
        want_lots: int = 20,
        lossy: bool = True,
    ) -> None:
        self.rng = random.Random(seed)
        self.settings = settings
        self.prices = dict(symbols)
        self.venues = venues
        self.want_lots = want_lots
        self.lossy = lossy
        self.t = 0
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._no = 0
        self._links: dict[tuple[str, str], int] = {}  # (from, to) -> arrival of its newest message
        self.truths = {(venue, symbol): Truth() for venue in venues for symbol in symbols}
        self.instruments = {key: instrument(key[1], key[0]) for key in self.truths}
        self.trade_id = 0
        self.lives = 0
        self.accepted_count = 0
        self.fills_count = 0
        self.is_trading = True  # takers come
        self.journal = MemoryJournal()
        self.risk: RiskEngine | None = None
        self.risk_host = Host(self.rng)
        self.risk_life = 0
        self.holders: dict[tuple[str, str], Holder] = {}
        self.gateways: dict[str, Gateway] = {}
        self.check: Callable[[], None] = lambda: None
        self.start_risk()
        for venue in venues:
            self.start_gateway(venue)
        for key in self.truths:
            self.start_holder(*key)
        self.every(40, self.market)
        self.every(100, self.marks)

    # --- time ------------------------------------------------------------------------------------------------

    def later(self, delay_ns: int, action: Callable[[], None]) -> None:
        self._no += 1
        heapq.heappush(self._queue, (self.t + delay_ns, self._no, action))

    def every(self, interval_ms: int, action: Callable[[], object], alive: Callable[[], bool] = lambda: True) -> None:
        def again() -> None:
            if alive():
                action()
                self.later(interval_ms * MS, again)

        self.later(self.rng.randint(0, interval_ms) * MS, again)

    def run(self, ms: int) -> None:
        end = self.t + ms * MS
        while self._queue and self._queue[0][0] <= end:
            self.t, _, action = heapq.heappop(self._queue)
            action()
            self.check()
        self.t = end

    def _carry(self, source: str, target: str, action: Callable[[], None], *, may_drop: bool = False) -> None:
        """First in, first out on each link; links overtake each other freely."""
        if may_drop and self.lossy and self.rng.random() < 0.03:
            return
        delay = self.rng.randint(0, 8) if self.rng.random() < 0.9 else self.rng.randint(8, 400)
        arrival = max(self.t + delay * MS, self._links.get((source, target), 0))
        self._links[(source, target)] = arrival
        self.later(arrival - self.t, action)

    # --- links -----------------------------------------------------------------------------------------------

    def to_risk(self, source: str, message: Message) -> None:
        life = self.risk_life

        def arrive() -> None:
            if self.risk is not None and life == self.risk_life:
                self.risk_takes(Received(source, message))

        self._carry(source, f"risk{life}", arrive, may_drop=True)

    def to_gateway(self, venue: str, source: str, message: Any) -> None:
        gateway = self.gateways[venue]

        def arrive() -> None:
            if not gateway.dead:
                gateway.on_holder(source, message)

        self._carry(source, gateway.name, arrive)

    def to_holder(self, venue: str, symbol: str, name: str, message: Any) -> None:
        holder = self.holders.get((venue, symbol))
        if holder is None or holder.name != name:
            return

        def arrive() -> None:
            if not holder.dead:
                holder.on_gateway(message)

        self._carry(venue, name, arrive)

    # --- risk ------------------------------------------------------------------------------------------------

    def start_risk(self) -> None:
        self.risk_life += 1
        self.risk_host = Host(self.rng)
        self.risk = RiskEngine(
            self.settings, self.journal.load(), run_id=RUN_ID, symbols=frozenset(self.prices), id_block_size=100
        )
        life = self.risk_life
        now_ns = self.risk_host.now_ns(self.t)
        self.carry_out(self.risk.start(wall_ns=self.t, now_ns=now_ns))
        for venue in self.venues:
            rows = tuple(row for (where, _), row in self.instruments.items() if where == venue)
            self.risk_takes(Instruments(venue, 1, rows))
        self.every(
            100, lambda: self.risk_takes(Timer(self.t)), lambda: life == self.risk_life and self.risk is not None
        )

    def kill_risk(self) -> None:
        self.risk = None
        self.risk_life += 1
        self.journal.crash()

    def risk_takes(self, event: Event) -> None:
        if self.risk is not None:
            self.carry_out(self.risk.handle(event, self.risk_host.now_ns(self.t)))

    def carry_out(self, commands: list[Command]) -> None:
        life = self.risk_life
        for command in commands:
            match command:
                case JournalRows(sequence, rows):
                    self.journal.pending.append((sequence, rows))

                    def durable(sequence: int = sequence) -> None:
                        if life == self.risk_life and self.risk is not None:
                            self.journal.commit(sequence)
                            self.risk_takes(Journalled(sequence))

                    self._carry("disk", f"risk{life}", durable)
                case Send(peer, message):
                    self._carry(f"risk{life}", peer, lambda peer=peer, message=message: self._deliver(peer, message))

    def _deliver(self, peer: str, message: Message) -> None:
        for gateway in self.gateways.values():
            if gateway.name == peer and not gateway.dead:
                gateway.on_risk(message)
        for holder in self.holders.values():
            if holder.name == peer and not holder.dead and isinstance(message, LeaseGrant):
                holder.on_grant(message)

    # --- lives -----------------------------------------------------------------------------------------------

    def start_holder(self, venue: str, symbol: str) -> None:
        self.lives += 1
        holder = Holder(self, venue, symbol, self.lives)
        self.holders[(venue, symbol)] = holder

        def alive() -> bool:
            return not holder.dead

        def awake(action: Callable[[], None]) -> Callable[[], None]:
            return lambda: action() if self.t >= holder.paused_until else None

        self.every(500, awake(holder.ask), alive)
        self.every(30, awake(holder.act), alive)
        hello = ("hello", symbol)
        self.every(300, lambda: None if holder.known else self.to_gateway(venue, holder.name, hello), alive)

    def kill_holder(self, venue: str, symbol: str, *, down_ms: int) -> None:
        self.holders[(venue, symbol)].dead = True
        self.later(down_ms * MS, lambda: self.start_holder(venue, symbol))

    def start_gateway(self, venue: str) -> None:
        self.lives += 1
        gateway = Gateway(self, venue, self.lives)
        self.gateways[venue] = gateway
        for (where, _), holder in self.holders.items():
            if where == venue:
                holder.known = False
        self.every(250, gateway.report, lambda: not gateway.dead)
        self.every(50, gateway.work, lambda: not gateway.dead)

    def kill_gateway(self, venue: str, *, down_ms: int) -> None:
        self.gateways[venue].dead = True
        self.later(down_ms * MS, lambda: self.start_gateway(venue))

    # --- the market ------------------------------------------------------------------------------------------

    def market(self) -> None:
        """Fill something somewhere, whether or not a gateway is there to hear it."""
        keys = [key for key, truth in self.truths.items() if truth.orders]
        if not self.is_trading or not keys or self.rng.random() < 0.4:
            return
        venue, symbol = self.rng.choice(keys)
        truth = self.truths[(venue, symbol)]
        order = self.rng.choice(truth.orders)
        lots = self.rng.randint(1, order.lots)
        order.lots -= lots
        if not order.lots:
            truth.orders.remove(order)
        truth.position += order.side * lots
        self.trade_id += 1
        self.fills_count += 1
        truth.trades.append((self.trade_id, order, lots))
        gateway = self.gateways[venue]
        if not gateway.dead and gateway.fill_no >= 0:
            gateway.publish(symbol, self.trade_id, order, lots)

    def drift(self) -> None:
        """Every price takes a step of up to one percent."""
        for symbol, price in self.prices.items():
            self.prices[symbol] = price + self.rng.randint(-price // 100, price // 100)

    def marks(self) -> None:
        for venue in self.venues:
            self.risk_takes(marks_of(venue, self.prices))
