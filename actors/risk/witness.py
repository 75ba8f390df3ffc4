"""What an audit needs to recompute the invariant from the venue's ledger alone, written down as it happens.

Three things: each envelope with its frozen price, when each holder was last heard of, and how far each venue's clock
stands ahead of ours. Rows wait for the timer, so that no grant waits for them; a crash loses at most its interval.
"""

from __future__ import annotations

import msgspec

from actors.journal.rows import GrantRow, HolderRow, MetaRow, Row
from actors.risk.grants import SymbolLease
from actors.vocab.units import NS_PER_MS

# A holder that renews is written this often: after a crash of risk its last sign of life is late by at most this much.
NOTE_INTERVAL_MS = 5_000
AHEAD_KEY = "venue_ahead_ms"  # of MetaRow: "venue_ahead_ms:<term>:<venue>"

_Key = tuple[str, str]  # (venue, symbol)


class _Life(msgspec.Struct):
    holder: str
    first_ms: int
    last_ms: int
    noted_ms: int


class Witness:
    """One term's notes. `wall_ms` everywhere: risk's wall clock at the event."""

    def __init__(self) -> None:
        self._lives: dict[_Key, _Life] = {}  # the present holder of each symbol
        self._grants: dict[_Key, tuple[int, int]] = {}  # (grant_no, price) written last
        self._ahead_ms: dict[str, int] = {}  # venue -> its clock minus ours, from the news that came fastest
        self._rows: list[Row] = []

    def renewed(self, venue: str, symbol: str, holder: str, *, term: int, wall_ms: int) -> None:
        """A request of `holder` arrived."""
        life = self._lives.get((venue, symbol))
        if life is None or life.holder != holder:
            if life is not None:
                self.ended(venue, symbol, "replaced", term=term)
            life = self._lives[venue, symbol] = _Life(holder, wall_ms, wall_ms, wall_ms - NOTE_INTERVAL_MS)
        life.last_ms = wall_ms
        if wall_ms - life.noted_ms >= NOTE_INTERVAL_MS:
            life.noted_ms = wall_ms
            self._note_life(venue, symbol, life, term, "")

    def ended(self, venue: str, symbol: str, why: str, *, term: int) -> None:
        """The holder's lease is over. Should it be heard of again, its row goes on."""
        life = self._lives.get((venue, symbol))
        if life is not None:
            life.noted_ms = life.last_ms - NOTE_INTERVAL_MS  # written at once should it go on
            self._note_life(venue, symbol, life, term, why)

    def granted(self, lease: SymbolLease, *, term: int, wall_ms: int) -> None:
        """The envelope or price in force now; nothing where neither changed."""
        key, now = (lease.venue, lease.symbol), (lease.token_no, lease.frozen_nusd)
        if self._grants.get(key) == now:
            return
        self._grants[key] = now
        self._rows.append(
            GrantRow(
                venue=lease.venue,
                symbol=lease.symbol,
                holder=lease.holder,
                term=term,
                grant_no=lease.token_no,
                long_lots=lease.long_lots,
                short_lots=lease.short_lots,
                price_nusd=lease.frozen_nusd,
                wall_ms=wall_ms,
            )
        )

    def heard(self, venue: str, event_ns: int, *, term: int, wall_ms: int) -> None:
        """News of `venue` that it stamped `event_ns` (0: not stamped) reached us. The greatest difference is kept."""
        if not event_ns:
            return
        ahead_ms = event_ns // NS_PER_MS - wall_ms
        if ahead_ms > self._ahead_ms.get(venue, ahead_ms - 1):
            self._ahead_ms[venue] = ahead_ms
            self._rows.append(MetaRow(f"{AHEAD_KEY}:{term}:{venue}", str(ahead_ms)))

    def take(self) -> list[Row]:
        """Rows since the last call."""
        rows, self._rows = self._rows, []
        return rows

    def _note_life(self, venue: str, symbol: str, life: _Life, term: int, ended: str) -> None:
        self._rows.append(HolderRow(venue, symbol, life.holder, term, life.first_ms, life.last_ms, ended))
