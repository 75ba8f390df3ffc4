"""Judges a finished lock-step replay by its run folder: nothing of the run's own code decides what is right here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from hashlib import blake2s
from pathlib import Path
from typing import Any

from tests.feed.test_recordings import ObviousBook, lines_of


def summary_of(run: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((run / "summary.json").read_text())
    return summary


def check_books(run: Path, recording: Path, venue: str) -> int:
    """Rebuild the book from the file, the slow and obvious way, and compare it wherever the feed wrote down its own.

    Returns how many comparisons that were; AssertionError says where the first difference is.
    """
    written: dict[int, list[dict[str, Any]]] = {}
    for row in _rows(run, venue, _symbol(recording)):
        written.setdefault(row["last_seq"], []).append(row)
    newest = max(written)
    reference = ObviousBook(venue)
    if not any(b'"lastUpdateId"' in body[:40] for _, body in lines_of(recording)):
        reference.no_snapshot()
    compared = 0
    for _, body in lines_of(recording):
        before = reference.last
        reference.see(body)
        if reference.last == before or reference.last not in written:
            continue
        for row in written[reference.last]:
            compared += 1
            assert row["digest"] == _digest(reference, row), f"{recording.name}: differs at {row}"
        if reference.last == newest:
            break
    assert compared == sum(len(rows) for rows in written.values()), "the feed wrote down a book that never was"
    assert reference.gaps == 0
    return compared


def check_summary(run: Path) -> None:
    """What a replay must have done, and what must not have happened in it."""
    summary = summary_of(run)
    feed, orders = summary["feed"], summary["orders"]
    assert (feed["gaps_unexplained"], feed["unparsed"], feed["reconnects"]) == (0, 0, 0), feed
    assert orders["placed"] > 0, orders
    assert summary["fills_count"] > 0
    assert summary["reconcile"]["lost_fills_count"] == 0


def _rows(run: Path, venue: str, symbol: str) -> Iterator[dict[str, Any]]:
    for path in sorted(run.glob(f"books_feed_{venue}_*.jsonl")):
        for line in path.read_text().splitlines():
            row: dict[str, Any] = json.loads(line)
            if row["symbol"] == symbol:
                yield row


def _symbol(recording: Path) -> str:
    return recording.name.partition("_")[0].upper()


def _digest(reference: ObviousBook, row: dict[str, Any]) -> str:
    tick, lot = Decimal(row["tick_size"]), Decimal(row["lot_size"])
    text = ""
    for key, best_is_highest in (("b", True), ("a", False)):
        for price in sorted(reference.sides[key], reverse=best_is_highest):
            text += f"{int(price / tick)}:{int(reference.sides[key][price] / lot)}\n"
    return blake2s(text.encode()).hexdigest()
