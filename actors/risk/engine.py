"""Risk's brain: one machine for leases, positions, profit, limits and states of the whole fleet.

Start: `start` asks to journal the new term; nothing is answered before it is on disk. Symbols stand at their
journalled worst case until their gateway has told positions and orders and has confirmed this term's fences; then
leases open by turns. Fills missing since the last journalled number are asked for again.

Commands are to be carried out in order. A tightening is sent before its row, a loosening waits for `Journalled`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from actors.journal.rows import Loaded, MetaRow, Row, RunRow
from actors.risk import limits
from actors.risk.accounts import Accounts
from actors.risk.core import RiskCore
from actors.risk.equity import Equity
from actors.risk.events import (
    Command,
    Computed,
    Event,
    JournalFailed,
    Journalled,
    OperatorCommand,
    PeerDown,
    PeerUp,
    Received,
    Timer,
)
from actors.risk.figures import summary, why
from actors.risk.guard import Guard
from actors.risk.leasing import Leasing
from actors.risk.states import FLEET
from actors.vocab.config.portfolio import PortfolioSettings
from actors.vocab.config.quote import QuoteSettings
from actors.vocab.config.risk import RiskSettings
from actors.vocab.control import Instruments
from actors.vocab.leases import AccountLeaseRequest, BlockRequest, LeaseRelease, LeaseRequest, RiskState
from actors.vocab.market import Marks
from actors.vocab.opinions import RiskView
from actors.vocab.orders import Fill, OrderRow, PositionAdjust
from actors.vocab.portfolio import FillCurve

if TYPE_CHECKING:
    from actors.risk.portfolio import Portfolio

_POSITION_CHANGES = (Fill, PositionAdjust)


class RiskEngine:
    """`handle(event, now_ns) -> commands`; see `events.py` for both."""

    def __init__(
        self,
        settings: RiskSettings,
        loaded: Loaded,
        *,
        run_id: str,
        symbols: frozenset[str],
        id_block_size: int = 100_000,
        quote: QuoteSettings | None = None,
        portfolio: PortfolioSettings | None = None,
    ) -> None:
        """`quote` and `portfolio` are for the model `portfolio`; without them there is none."""
        self.core = RiskCore(settings, loaded, run_id=run_id, symbols=symbols)
        self.leasing = Leasing(self.core, id_block_size=id_block_size)
        self.accounts = Accounts(self.core, self.leasing)
        self.guard = Guard(self.core, self.leasing)
        self.portfolio = make_portfolio(self.core, quote, portfolio)
        self._start_sequence = 0
        self._handlers: dict[type, Callable[[Any, int], None]] = {
            Received: self._on_received,
            Marks: self.guard.on_marks,
            Timer: self._on_timer,
            Journalled: self._on_journalled,
            JournalFailed: lambda event, now_ns: self.guard.on_journal_failed(event.text, now_ns),
            OperatorCommand: self.guard.on_operator,
            RiskView: self.guard.on_view,
            Instruments: self._on_instruments,
            Computed: self._on_computed,
            PeerUp: self._on_peer_up,
            PeerDown: self._on_peer_down,
        }
        self._messages: dict[type, Callable[[str, Any, int], None]] = {
            LeaseRequest: self.leasing.on_request,
            AccountLeaseRequest: self.leasing.on_account_request,
            Fill: self.accounts.on_numbered,
            PositionAdjust: self.accounts.on_numbered,
            OrderRow: lambda peer, row, now_ns: self.accounts.on_order_row(row, now_ns),
            BlockRequest: lambda peer, request, now_ns: self.leasing.on_block_request(peer, request),
            LeaseRelease: lambda peer, release, now_ns: self.leasing.on_release(release),
        }
        if self.portfolio is not None:
            self._messages[FillCurve] = self.portfolio.on_fill_curve

    def start(self, *, wall_ns: int, now_ns: int) -> list[Command]:
        """Begin the term; call once, before any event."""
        core = self.core
        loaded = core.loaded
        core.set_wall(wall_ns, now_ns)
        run = next((run for run in loaded.runs if run.run_id == core.run_id), None)
        capital = core.settings.capital_usd
        if run is not None:
            run_start = float(run.start_equity_usd)
        else:
            run_start = float(loaded.equity_usd) if loaded.equity_usd else capital
        core.equity = Equity(core.settings, loaded, run_start_usd=run_start, wall_ns=wall_ns)
        rows: list[Row] = [MetaRow("term", str(core.term))]
        if run is None:
            rows.append(RunRow(core.run_id, core.term, f"{run_start:.6f}", core.wall_ms()))
        else:
            # A life that this run's last risk had opened may still be writing orders until its lease has run out.
            for venue, gateway, _ in loaded.last_lives:
                desk = core.desk(venue)
                desk.gateway, desk.expires_ns = gateway, now_ns + core.ttl_ns
        self._book_all()
        self._start_sequence = core.journal(*rows, *core.equity.rows())
        self._restore_states(now_ns)
        return self._flush()

    def handle(self, event: Event, now_ns: int) -> list[Command]:
        """Take one event. `OurFault` when an invariant is broken: the actor must stop, leases then run out."""
        self.core.begin(now_ns)
        self._handlers[type(event)](event, now_ns)
        return self._flush()

    def _flush(self) -> list[Command]:
        commands, self.core.out = self.core.out, []
        return commands

    # --- the start -------------------------------------------------------------------------------------------

    def _book_all(self) -> None:
        """Reserve the journalled worst case of every symbol, those outside this run too."""
        core = self.core
        ledgers = {(row.venue, row.symbol): row for row in core.loaded.ledgers}
        for booking in core.loaded.bookings:
            lease = core.book.add(booking.venue, booking.symbol, booking.base)
            if booking.symbol in core.symbols:
                long_lots, short_lots = booking.long_lots, booking.short_lots
            else:
                # No gateway of this run speaks for it: what remains is the position that the journal knows.
                row = ledgers.get((booking.venue, booking.symbol))
                lots = 0 if row is None else row.position_lots
                long_lots, short_lots = limits.reduce_envelope(lots)
            core.book.book(lease, long_lots=long_lots, short_lots=short_lots, price_nusd=booking.price_nusd)

    def _restore_states(self, now_ns: int) -> None:
        """Stops and pauses outlive us; a breaker begins its cool-down again; the rest is found anew."""
        core = self.core
        for row in core.loaded.states:
            state = RiskState(row.state)
            latched = state if row.latched == 1 or state is RiskState.FULL_STOP else RiskState(row.latched)
            if latched:
                core.states.set(row.scope, "restored", latched, row.reason, now_ns, latched=True)
            if state is RiskState.CIRCUIT_BREAKER and latched < state:
                core.states.set(
                    row.scope,
                    "restored breaker",
                    state,
                    row.reason,
                    now_ns,
                    until_ns=now_ns + 1,
                    cool_down_ns=int(core.settings.cool_down_s * 1e9),
                )
        for name, scope in core.states.scopes.items():
            if scope.state >= RiskState.WARNING:
                core.announce(name, scope.state, scope.reason)

    # --- events ----------------------------------------------------------------------------------------------

    def _on_received(self, event: Received, now_ns: int) -> None:
        handler = self._messages.get(type(event.message))
        if handler is not None:
            handler(event.peer, event.message, now_ns)
            if self.portfolio is not None and isinstance(event.message, _POSITION_CHANGES):
                self.portfolio.on_position(event.message.venue, event.message.symbol)

    def _on_instruments(self, event: Instruments, now_ns: int) -> None:
        self.core.use(event)
        if self.portfolio is not None:
            self.portfolio.on_instruments()

    def _on_computed(self, event: Computed, now_ns: int) -> None:
        if self.portfolio is not None:
            self.portfolio.on_computed(event, now_ns)

    def _on_peer_up(self, event: PeerUp, now_ns: int) -> None:
        self.core.peers[event.peer] = event.name

    def _on_peer_down(self, event: PeerDown, now_ns: int) -> None:
        self.core.peers.pop(event.peer, None)

    def _on_timer(self, event: Timer, now_ns: int) -> None:
        core = self.core
        core.set_wall(event.wall_ns, now_ns)
        self.guard.expire_caps(now_ns)
        self.guard.on_timer(now_ns)
        if core.is_open:
            self.leasing.on_timer(now_ns)
        if self.portfolio is not None:
            self.portfolio.on_timer(now_ns)
        notes = core.witness.take()
        if notes:
            core.journal(*notes)

    def _on_journalled(self, event: Journalled, now_ns: int) -> None:
        core = self.core
        self.guard.on_journalled(now_ns)
        self.leasing.loosen(event.up_to, now_ns)
        self.accounts.on_journalled(event.up_to)
        if not core.is_open and event.up_to >= self._start_sequence:
            core.is_open = True
            self.leasing.on_open(now_ns)
        self.leasing.on_journalled(event.up_to, now_ns)

    # --- reading ---------------------------------------------------------------------------------------------

    @property
    def state(self) -> RiskState:
        """Of the fleet."""
        return self.core.states.scopes[FLEET].state

    def summary(self) -> dict[str, Any]:
        """Figures for `summary.json`, the table and metrics; plain JSON values."""
        figures = summary(self.core, self.accounts)
        if self.portfolio is not None:
            figures["portfolio"] = self.portfolio.figures(self.core.now_ns)
        return figures

    def why(self, symbol: str) -> dict[str, dict[str, Any]]:
        """What holds `symbol` back, by venue."""
        return why(self.core, symbol)

    def verify(self) -> None:
        """Recompute what is kept by difference; `OurFault` where it differs. For tests."""
        self.core.book.verify()


def make_portfolio(core: RiskCore, quote: QuoteSettings | None, settings: PortfolioSettings | None) -> Portfolio | None:
    """The part for `quote.model=portfolio`; None for every other model, which then pays nothing for it."""
    if quote is None or settings is None or quote.model != "portfolio":
        return None
    from actors.risk.portfolio import Portfolio  # numpy: time and memory that the other models need not spend

    return Portfolio(core, quote, settings)
