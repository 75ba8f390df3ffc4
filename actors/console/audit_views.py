"""What an audit compares and what it says: our side, the verdicts, and the clocks between both sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_FLOOR, Decimal
from typing import Any

import msgspec

from actors.journal.history import History
from actors.risk.ledger import LedgerState
from actors.risk.witness import AHEAD_KEY
from actors.venues.ledger import LedgerBook
from actors.vocab.config.risk import RiskSettings
from actors.vocab.instruments import Instrument

CENT = Decimal("0.01")
FINDINGS_MAX = 20  # shown of one check; the count names all

Key = tuple[str, str]  # (venue, symbol)


class FinalMarks(msgspec.Struct, frozen=True):
    """Risk at the end of the run, at one moment: its marks and the profit it found at them."""

    mid2: Mapping[Key, int]  # bid plus ask in ticks
    net_by_symbol: Mapping[Key, Decimal]
    parts: Mapping[str, Decimal]  # spread_capture, inventory, fees, funding; their sum is net


class Ours(msgspec.Struct, frozen=True):
    """Our side: the run's journal, its limits, and what it reported."""

    run_id: str
    symbols: tuple[str, ...]
    history: History
    settings: RiskSettings
    client_prefix: str  # of the client ids of our orders, with its dash
    marks: FinalMarks | None = None  # None: risk did not live to tell
    summary: Mapping[str, Any] | None = None  # summary.json; None: not written yet

    def ledger(self, key: Key) -> LedgerState | None:
        """Risk's newest journalled ledger of a symbol."""
        row = next((row for row in self.history.ledgers if (row.venue, row.symbol) == key), None)
        return None if row is None else LedgerState.from_json(row.state_json)

    def stock_lots(self, key: Key) -> int:
        """Coins that a spot account started with, as our journal has it: positions are counted from there."""
        state = self.ledger(key)
        return 0 if state is None else state.stock_lots


class Verdict(msgspec.Struct, frozen=True):
    """One line of the audit. `is_good` False makes the run fail."""

    check: str
    ours: str
    theirs: str
    is_good: bool
    findings: tuple[str, ...] = ()  # what differs, one sentence each; cut at FINDINGS_MAX
    faults_count: int = 0

    @property
    def result(self) -> str:
        return "ok" if self.is_good else "DIFFERS"


class Use(msgspec.Struct, frozen=True):
    """Most that was ever used of one limit."""

    limit: str
    usd_max: float
    limit_usd: float
    at_ms: int  # by the clock of risk's newest term; 0: never used
    events_over_count: int = 0

    @property
    def share(self) -> float:
        return self.usd_max / self.limit_usd


class AuditResult(msgspec.Struct, frozen=True):
    """`net_usd` is the change of the venues' equity at risk's final marks; None where there were no marks."""

    verdicts: tuple[Verdict, ...]
    uses: tuple[Use, ...]
    net_usd: Decimal | None
    position_mismatch_count: int
    orphan_orders_count: int
    lost_fills_count: int
    overruns_count: int
    notes: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        return all(verdict.is_good for verdict in self.verdicts)

    def reconcile(self) -> dict[str, int]:
        """The zero lines of the summary, as the venues see them."""
        return {
            "position_mismatch_count": self.position_mismatch_count,
            "orphan_orders_count": self.orphan_orders_count,
            "lost_fills_count": self.lost_fills_count,
        }


class Clocks:
    """Brings stamps of venues and of risk's terms to one clock: that of risk's newest term."""

    def __init__(self, facts: Mapping[str, str]) -> None:
        self._ahead: dict[tuple[int, str], int] = {}
        for key, value in facts.items():
            name, _, rest = key.partition(":")
            if name == AHEAD_KEY:
                term, _, venue = rest.partition(":")
                self._ahead[int(term), venue] = int(value)
        self._newest = max((term for term, _ in self._ahead), default=0)

    def of_venue(self, venue: str, ms: int) -> int:
        return ms - self._of(self._newest, venue)

    def to_venue(self, venue: str, ms: int) -> int:
        return ms + self._of(self._newest, venue)

    def of_risk(self, term: int, venue: str, ms: int) -> int:
        """`ms` was stamped by risk in `term`, about something at `venue`."""
        return ms + self._of(term, venue) - self._of(self._newest, venue)

    def _of(self, term: int, venue: str) -> int:
        found = self._ahead.get((term, venue))
        if found is not None:
            return found
        # A term too short to hear from the venue: its neighbour's clock is the best guess.
        terms = [other for other, where in self._ahead if where == venue]
        return self._ahead[min(terms, key=lambda other: abs(other - term)), venue] if terms else 0


def verdict(check: str, ours: object, theirs: object, findings: Sequence[str]) -> Verdict:
    """A verdict that is good when nothing was found; the list is cut, its end says how many there were."""
    shown = tuple(findings[:FINDINGS_MAX])
    if len(findings) > FINDINGS_MAX:
        shown = (*shown, f"and {len(findings) - FINDINGS_MAX} more")
    return Verdict(check, str(ours), str(theirs), not findings, shown, len(findings))


def held_lots(book: LedgerBook, instrument: Instrument) -> int:
    """What the venue says is held: the position; on spot the whole lots of the base coin, stock included."""
    if instrument.market == "perp":
        return next((row.position_lots for row in book.positions if row.symbol == instrument.symbol), 0)
    held = next((Decimal(row.wallet) for row in book.account.balances if row.asset == instrument.base), Decimal(0))
    return int((held / (instrument.lot * instrument.multiplier)).to_integral_value(ROUND_FLOOR))


def traded_lots(book: LedgerBook, symbol: str) -> int:
    """What the trades since `since_ms` moved."""
    return sum(int(row.fill.side) * row.fill.lots for row in book.trades if row.fill.symbol == symbol)


def moved_lots(book: LedgerBook, instrument: Instrument) -> list[int]:
    """What each trade of the symbol moved the position by, in whole lots: a fee in the base coin takes some back."""
    moves: list[int] = []
    dust = Decimal(0)  # lots that fees have left beyond the whole ones, in [0, 1)
    lot = instrument.lot * instrument.multiplier
    for row in book.trades:
        fill = row.fill
        if fill.symbol != instrument.symbol:
            continue
        whole = 0
        if instrument.market == "spot" and fill.fee_asset == instrument.base:
            dust -= Decimal(fill.fee or "0") / lot
            whole = int(dust.to_integral_value(ROUND_FLOOR))
            dust -= whole
        moves.append(int(fill.side) * fill.lots + whole)
    return moves
