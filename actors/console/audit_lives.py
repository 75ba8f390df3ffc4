"""Is any order still open, and did any outlive its holder? Order lives are the venue's, signs of life are risk's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import msgspec

from actors.console.audit_views import Clocks, Ours, Verdict, verdict
from actors.journal.rows import HolderRow
from actors.risk.witness import NOTE_INTERVAL_MS
from actors.venues.ledger import LedgerBook, LedgerOrder
from actors.vocab.orders import DONE_STATES

# What design allows beyond the lease: the gateway's silence limit and the venue's own latency lie within it.
GRACE_MS = 1_000
# Two stamps of different clocks that mean one moment may lie this far apart.
CLOCK_SLACK_MS = 100


class Life(msgspec.Struct, frozen=True):
    """One incarnation that held a symbol's lease; stamps by the clock of risk's newest term."""

    holder: str
    first_ms: int
    last_ms: int  # latest possible last sign of life


class LivesReport(msgspec.Struct, frozen=True):
    verdicts: tuple[Verdict, ...]
    orphans_count: int  # orders of ours still open
    notes: tuple[str, ...]


def compare_lives(ours: Ours, book: LedgerBook, clocks: Clocks) -> LivesReport:
    """Open orders at the end, and orders that lived longer than lease and a second after their holder."""
    still_open = [
        f"{row.symbol} order {row.client_id}: {row.side.name} {row.lots - row.filled_lots} lots at "
        f"{row.price_ticks} ticks, open since {row.created_ms}"
        for row in _ours(ours, book)
        if row.state not in DONE_STATES
    ]
    verdicts = [verdict(f"{book.venue}: orders open at the end", 0, len(still_open), still_open)]
    notes: list[str] = []
    lives = _lives(ours, book.venue, clocks)
    rows = _ours(ours, book)
    check = f"{book.venue}: orders after their holder's death"
    if rows and not lives:
        verdicts.append(Verdict(check, "?", "?", False, ("the journal holds no lives of holders: not checked",)))
    else:
        late, longest_ms, unheld_count = _outlived(ours, book, rows, lives, clocks)
        told = f"at most {longest_ms} ms" if longest_ms > 0 else "none"
        verdicts.append(verdict(check, f"≤ {_allowed_ms(ours)} ms", told, late))
        if unheld_count:
            notes.append(
                f"{book.venue}: {unheld_count} orders belong to no holder that the journal knows; "
                "they are judged by their own creation"
            )
    foreign = len(book.orders) - len(rows)
    if foreign:
        notes.append(f"{book.venue}: {foreign} orders are not ours; they count as exposure only")
    return LivesReport(tuple(verdicts), len(still_open), tuple(notes))


# --- parts -------------------------------------------------------------------------------------------------------


def _outlived(
    ours: Ours,
    book: LedgerBook,
    rows: Sequence[LedgerOrder],
    lives: dict[str, list[Life]],
    clocks: Clocks,
) -> tuple[list[str], int, int]:
    """(orders that lived too long, longest time any lived after its holder, orders without one)."""
    holders = _holders(ours, book.venue)
    allowed_ms = _allowed_ms(ours)
    findings: list[str] = []
    longest_ms = unheld_count = 0
    for row in rows:
        ended_ms = clocks.of_venue(book.venue, row.updated_ms if row.state in DONE_STATES else book.read_ms)
        created_ms = clocks.of_venue(book.venue, row.created_ms)
        life = _life_of(lives.get(row.symbol, []), holders.get(row.client_id, ""), created_ms)
        unheld_count += life is None
        after_ms = ended_ms - (life.last_ms if life else created_ms)
        longest_ms = max(longest_ms, after_ms)
        if after_ms > allowed_ms:
            name = life.holder if life else "nobody known"
            findings.append(
                f"{row.symbol} order {row.client_id} of {name} lived {after_ms} ms after the holder's last sign of life"
            )
    return findings, longest_ms, unheld_count


def _allowed_ms(ours: Ours) -> int:
    return ours.settings.lease_ttl_ms + GRACE_MS


def _ours(ours: Ours, book: LedgerBook) -> list[LedgerOrder]:
    """Orders with our prefix, in their newest state: the list of open orders counts, it holds older ones too."""
    newest = {(row.symbol, row.venue_order_id): row for row in (*book.orders, *book.open_orders)}
    return [row for row in newest.values() if row.client_id.startswith(ours.client_prefix)]


def _holders(ours: Ours, venue: str) -> dict[str, str]:
    """client id -> holder, as journalled; a later life of a gateway does not know it any more."""
    found: dict[str, str] = {}
    for row in ours.history.orders:
        if row.venue == venue and row.holder:
            found.setdefault(row.client_id, row.holder)
    return found


def _lives(ours: Ours, venue: str, clocks: Clocks) -> dict[str, list[Life]]:
    """symbol -> its holders' lives, by first sign. A life goes on over terms of risk."""
    by_holder: defaultdict[tuple[str, str], list[HolderRow]] = defaultdict(list)
    for row in ours.history.holders:
        if row.venue == venue:
            by_holder[row.symbol, row.holder].append(row)
    lives: defaultdict[str, list[Life]] = defaultdict(list)
    for (symbol, holder), rows in by_holder.items():
        newest = max(rows, key=lambda row: row.term)
        lives[symbol].append(
            Life(
                holder=holder,
                first_ms=min(clocks.of_risk(row.term, venue, row.first_ms) for row in rows),
                last_ms=max(clocks.of_risk(row.term, venue, row.last_ms) for row in rows)
                # Where risk died with the holder, its last sign may be later than the row by one interval of notes.
                + (0 if newest.ended else NOTE_INTERVAL_MS),
            )
        )
    for found in lives.values():
        found.sort(key=lambda life: life.first_ms)
    return dict(lives)


def _life_of(lives: Sequence[Life], holder: str, created_ms: int) -> Life | None:
    """The journalled holder's life, else that of whoever held the symbol when the order was created."""
    if holder:
        named = next((life for life in lives if life.holder == holder), None)
        if named is not None:
            return named
    before = [life for life in lives if life.first_ms <= created_ms + CLOCK_SLACK_MS]
    return before[-1] if before else None
