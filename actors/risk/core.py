"""What the parts of risk's brain share: state, and the list of commands that the event at hand has caused."""

from __future__ import annotations

from actors.journal.rows import FillNoRow, LedgerRow, Loaded, Row, StateRow
from actors.risk import limits
from actors.risk.equity import Equity
from actors.risk.events import Announce, Answer, Command, JournalRows, Send
from actors.risk.grants import LeaseBook
from actors.risk.ledger import Ledger, LedgerState
from actors.risk.markouts import Markouts
from actors.risk.order_budgets import OrderBudgets
from actors.risk.seats import Desk, Seat
from actors.risk.states import FLEET, StateBook, venue_scope
from actors.risk.watch import PriceWindow
from actors.risk.witness import Witness
from actors.vocab.config.risk import RiskSettings
from actors.vocab.control import Instruments
from actors.vocab.instruments import Instrument
from actors.vocab.leases import RiskState
from actors.vocab.message import Message
from actors.vocab.orders import Fill, PositionAdjust
from actors.vocab.units import NS_PER_MS


class RiskCore:
    """State of one life of risk."""

    def __init__(self, settings: RiskSettings, loaded: Loaded, *, run_id: str, symbols: frozenset[str]) -> None:
        self.settings = settings
        self.loaded = loaded
        self.run_id = run_id
        self.symbols = symbols  # of this run; others of an instrument list are passed over
        self.term = loaded.term + 1
        self.book = LeaseBook(settings, self.term)
        self.states = StateBook()
        self.markouts = Markouts()
        self.equity: Equity
        self.wall_ns = 0
        self.witness = Witness()
        self._wall_ahead_ns = 0  # wall clock minus monotonic
        self._now_ns = 0  # of the event at hand
        self.is_open = False  # the term is on disk
        self.seats: dict[tuple[str, str], Seat] = {}
        self.desks: dict[str, Desk] = {}
        self.mids2: dict[tuple[str, str], int] = {}  # (venue, symbol) -> newest good mid, twice
        # venue -> what belongs to no symbol: funding that the venue books to the account as a whole
        self.account_ledgers: dict[str, Ledger] = {}
        # (venue, symbol) -> net profit of this run that nobody counts on from: its instrument has not come, or never
        # will because the symbol is listed no more
        self.unseated_usd = {
            (row.venue, row.symbol): LedgerState.from_json(row.state_json).net_usd
            for row in loaded.ledgers
            if row.run_id == run_id
        }
        self.net_usd = sum(self.unseated_usd.values())  # and of Seat.net_usd, and of the account ledgers
        self.peers: dict[str, str] = {}  # incarnation -> role, of live links
        # (venue, symbol, trade_id, side) of booked fills, oldest first: what comes again counts once
        self.trade_keys: dict[tuple[str, str, int, int], None] = dict.fromkeys(loaded.trade_keys)
        # journal sequence -> (scope, state, term) that apply once it is on disk
        self.loosening: dict[int, tuple[str, RiskState, int]] = {}
        self.figures: dict[str, float] = {}
        # A lease counts longer here than at its holder: the holder's clock may run slower by the drift.
        self.ttl_ns = int(settings.lease_ttl_ms * NS_PER_MS * (1.0 + settings.clock_drift_pct / 100.0))
        self.sequence = 0
        self.out: list[Command] = []

    # --- commands --------------------------------------------------------------------------------------------

    def send(self, peer: str, message: Message) -> None:
        if peer:
            self.out.append(Send(peer, message))

    def journal(self, *rows: Row) -> int:
        self.sequence += 1
        self.out.append(JournalRows(self.sequence, rows))
        return self.sequence

    def announce(self, scope: str, state: RiskState, text: str) -> None:
        self.out.append(Announce(scope, state, text))

    def answer(self, text: str) -> None:
        self.out.append(Answer(text))

    def count(self, figure: str, amount: float = 1) -> None:
        self.figures[figure] = self.figures.get(figure, 0) + amount

    def highest(self, figure: str, amount: float) -> None:
        if amount > self.figures.get(figure, 0.0):
            self.figures[figure] = amount

    # --- lookup ----------------------------------------------------------------------------------------------

    def desk(self, venue: str) -> Desk:
        """Return the desk of a venue account, made at the first call from what the journal knows."""
        desk = self.desks.get(venue)
        if desk is None:
            loaded = self.loaded
            desk = Desk(
                venue,
                applied_no=dict(loaded.fill_nos).get(venue, 0),
                next_id=dict(loaded.next_ids).get(venue, 1),
                orders=OrderBudgets(account_max=self.settings.orders_per_min_max, ttl_ns=self.ttl_ns),
            )
            desk.last_life = next(
                ((gateway, ms) for where, gateway, ms in loaded.last_lives if where == venue), ("", 0)
            )
            # A journal without it has seen no life that died before it had told its fills.
            desk.since_ms = dict(loaded.since_ms).get(venue, desk.last_life[1])
            desk.fundings.extend(paid for where, paid in loaded.fundings if where == venue)
            self.desks[venue] = desk
            self.account_ledgers[venue] = ledger = Ledger(_account_instrument(venue))
            row = next((r for r in loaded.ledgers if (r.venue, r.symbol, r.run_id) == (venue, "", self.run_id)), None)
            if row is not None:
                ledger.restore(LedgerState.from_json(row.state_json))
                self.net_usd += ledger.net_float() - self.unseated_usd.pop((venue, ""))
        return desk

    def seats_of(self, scope: str) -> list[Seat]:
        """Return the seats that a scope covers."""
        if scope == FLEET:
            return list(self.seats.values())
        kind, _, rest = scope.partition(":")
        if kind == "venue":
            return list(self.desks[rest].seats.values()) if rest in self.desks else []
        venue, _, symbol = rest.partition(":")
        seat = self.seats.get((venue, symbol))
        return [seat] if seat is not None else []

    def use(self, instruments: Instruments) -> None:
        """Make seats for new instruments of this run, count in the new steps where they changed."""
        desk = self.desk(instruments.venue)
        for row in instruments.rows:
            if row.symbol not in self.symbols:
                continue
            seat = self.seats.get((row.venue, row.symbol))
            if seat is None:
                self._sit(desk, row)
            elif seat.instrument != row:
                self._change(seat, row)

    def _sit(self, desk: Desk, row: Instrument) -> None:
        lease = self.book.get(row.venue, row.symbol)
        lease = lease if lease is not None else self.book.add(row.venue, row.symbol, row.base)
        journalled = next((r for r in self.loaded.ledgers if (r.venue, r.symbol) == (row.venue, row.symbol)), None)
        if journalled is None:
            ledger = Ledger(row)
        else:
            stock_lots = LedgerState.from_json(journalled.state_json).stock_lots
            ledger = Ledger(row, opening_lots=journalled.position_lots, stock_lots=stock_lots)
        seat = Seat(row, lease, ledger, self._window())
        if journalled is not None:
            seat.trade_id = journalled.trade_id
            lease.position_lots = journalled.position_lots
            if journalled.run_id == self.run_id:
                ledger.restore(LedgerState.from_json(journalled.state_json))
                seat.opened = True
                seat.net_usd = self.unseated_usd.pop(seat.key)
                self.value(seat)
        self.seats[seat.key] = desk.seats[row.symbol] = seat
        scope = self.states.scopes.get(seat.scope)
        if scope is not None and scope.state >= RiskState.CIRCUIT_BREAKER:
            desk.halted.add(row.symbol)  # restored before there was a seat
        desk.orders.join(row.symbol)

    def _window(self) -> PriceWindow:
        return PriceWindow(int(self.settings.price_move_window_s * 1e9))

    def _change(self, seat: Seat, row: Instrument) -> None:
        old, seat.instrument = seat.instrument, row
        if old.lot * old.multiplier != row.lot * row.multiplier:
            ratio = (old.lot * old.multiplier) / (row.lot * row.multiplier)
            numerator, denominator = ratio.as_integer_ratio()
            self.book.rescale(seat.lease, numerator=numerator, denominator=denominator)
            seat.ledger.rescale_lots(numerator, denominator)
        seat.ledger.rebase(row)
        if old.tick != row.tick:
            seat.mid2 = 0  # the next mark is in new ticks; until then nothing is sized
            seat.window = self._window()  # the same price in other ticks is no move
            self.mids2.pop(seat.key, None)
            self.markouts.use_tick(seat.key, float(old.tick / row.tick))

    # --- sums ------------------------------------------------------------------------------------------------

    def sum_net(self) -> float:
        """Net profit of this run, summed from nothing."""
        return (
            sum(seat.net_usd for seat in self.seats.values())
            + sum(ledger.net_float() for ledger in self.account_ledgers.values())
            + sum(self.unseated_usd.values())
        )

    def value(self, seat: Seat) -> None:
        """Move the running sum of net profit by what this symbol changed."""
        net = seat.ledger.net_float()
        self.net_usd += net - seat.net_usd
        seat.net_usd = net

    def lot_price_nusd(self, seat: Seat, mid_ticks: float) -> int:
        return limits.lot_price_nusd(mid_ticks=mid_ticks, usd_per_tick_lot=seat.instrument.usd_per_tick_lot)

    def wall_ms(self) -> int:
        """Wall clock at the newest timer."""
        return self.wall_ns // NS_PER_MS

    def set_wall(self, wall_ns: int, now_ns: int) -> None:
        self.wall_ns = wall_ns
        self._now_ns = now_ns
        self._wall_ahead_ns = wall_ns - now_ns

    def begin(self, now_ns: int) -> None:
        """An event is handled."""
        self._now_ns = now_ns

    @property
    def now_ns(self) -> int:
        """Of the event at hand, or the last one."""
        return self._now_ns

    def event_wall_ms(self) -> int:
        """Wall clock at the event at hand."""
        return (self._now_ns + self._wall_ahead_ns) // NS_PER_MS

    # --- states ----------------------------------------------------------------------------------------------

    def state_row(self, scope: str, state: RiskState, reason: str) -> StateRow:
        return StateRow(scope, int(state), reason, int(self.states.scope(scope).latched[0]), self.wall_ms())

    def venue_state(self, venue: str) -> RiskState:
        scope = self.states.scopes.get(venue_scope(venue))
        fleet = self.states.scopes[FLEET].state
        return fleet if scope is None else max(fleet, scope.state)

    def fill_rows(self, seat: Seat | None, row: Fill | PositionAdjust) -> tuple[Row, ...]:
        """What one fill or adjustment leaves in the journal."""
        rows: tuple[Row, ...] = (row, FillNoRow(row.venue, row.fill_no))
        if seat is None and row.symbol:
            return rows  # a symbol of no instrument: numbered and kept, valued by nobody
        return (*rows, self.ledger_row(seat, venue=row.venue))

    def ledger_row(self, seat: Seat | None, *, venue: str = "") -> LedgerRow:
        """The ledger of `seat` as it is now; without a seat that of the account at `venue` as a whole."""
        ledger = self.account_ledgers[venue] if seat is None else seat.ledger
        return LedgerRow(
            venue=venue if seat is None else seat.lease.venue,
            symbol="" if seat is None else seat.lease.symbol,
            run_id=self.run_id,
            position_lots=ledger.known_lots,
            average_ticks=ledger.average_ticks,
            trade_id=0 if seat is None else seat.trade_id,
            state_json=ledger.state().to_json(),
        )


def _account_instrument(venue: str) -> Instrument:
    """A ledger of the account as a whole needs steps, and never uses them."""
    return Instrument("", venue, "perp", "", "", "", "1", "1")
