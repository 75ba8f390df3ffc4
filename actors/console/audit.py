"""The venues' ledgers against ours: every check of `audit_ledger`, without I/O.

`theirs` was read from the venues alone. Ours is the run's journal, its limits and what it reported. Split by question:
`audit_trades.py` fills and money, `audit_lives.py` orders that nobody owns any more, `audit_exposure.py` the invariant.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from actors.console.audit_exposure import replay_exposure
from actors.console.audit_lives import compare_lives
from actors.console.audit_trades import (
    compare_amendments,
    compare_fees,
    compare_fills,
    compare_funding,
    compare_net,
    compare_orders_with_trades,
    compare_positions,
    venue_money,
)
from actors.console.audit_views import AuditResult, Clocks, Ours, Verdict
from actors.venues.ledger import LedgerBook


def compare(ours: Ours, theirs: Sequence[LedgerBook]) -> AuditResult:
    """Every verdict, in the order an operator would want to read them."""
    clocks = Clocks(ours.history.facts)
    verdicts: list[Verdict] = []
    notes: list[str] = []
    mismatches = orphans = lost = 0
    for book in theirs:
        positions = compare_positions(ours, book)
        fills = compare_fills(ours, book)
        lives = compare_lives(ours, book, clocks)
        verdicts += [
            positions,
            fills.verdict,
            compare_orders_with_trades(book),
            compare_amendments(book),
            *compare_fees(ours, book),
            compare_funding(ours, book),
            *lives.verdicts,
        ]
        notes += lives.notes
        mismatches += positions.faults_count
        orphans += lives.orphans_count
        lost += fills.lost_count
    money = [venue_money(ours, book) for book in theirs]
    verdicts += compare_net(ours, theirs, money)
    notes += [
        f"fees in {', '.join(each.unvalued)} have no price at their time: the venue's net leaves them out"
        for each in money
        if each is not None and each.unvalued
    ]
    exposure = replay_exposure(ours, theirs, clocks)
    known = [each for each in money if each is not None]
    return AuditResult(
        verdicts=(*verdicts, exposure.verdict),
        uses=exposure.uses,
        net_usd=sum((each.net for each in known), Decimal(0)) if len(known) == len(money) else None,
        position_mismatch_count=mismatches,
        orphan_orders_count=orphans,
        lost_fills_count=lost,
        overruns_count=exposure.overruns_count,
        notes=(*notes, *exposure.notes),
    )
