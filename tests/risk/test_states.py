from __future__ import annotations

from actors.risk.states import FLEET, Change, StateBook, symbol_scope, venue_scope
from actors.vocab.leases import RiskState
from actors.vocab.units import NS_PER_S

S = NS_PER_S
SYMBOL = symbol_scope("v", "S")
NORMAL, WARNING, REDUCE_ONLY, BREAKER, STOP = RiskState


def trip(book: StateBook, now_ns: int = 0) -> Change | None:
    return book.set(SYMBOL, "price move", BREAKER, "price move 6 %", now_ns, cool_down_ns=10 * S)


def test_tightening_applies_at_once() -> None:
    book = StateBook()

    change = trip(book)

    assert change == Change(SYMBOL, NORMAL, BREAKER, "price move 6 %", tightens=True)
    assert book.effective("v", "S") == (BREAKER, "price move 6 %")
    assert book.effective("v", "OTHER") == (NORMAL, "")


def test_reentry_is_through_a_cool_down_and_warning_and_waits_for_the_journal() -> None:
    book = StateBook()
    trip(book)
    assert book.clear(SYMBOL, "price move", 1 * S) is None  # cooling down
    assert book.tick(5 * S) == []

    (proposed,) = book.tick(11 * S)
    assert (proposed.before, proposed.after, proposed.tightens) == (BREAKER, WARNING, False)
    assert book.effective("v", "S")[0] is BREAKER  # not on disk yet
    assert book.tick(11 * S) == []  # proposed once

    book.confirm(SYMBOL, WARNING, 11 * S)
    assert book.effective("v", "S")[0] is WARNING

    (proposed,) = book.tick(21 * S)
    assert proposed.after is NORMAL
    book.confirm(SYMBOL, NORMAL, 21 * S)
    assert book.effective("v", "S") == (NORMAL, "")
    assert book.tick(22 * S) == []


def test_a_tightening_overtakes_a_loosening_on_its_way_to_disk() -> None:
    book = StateBook()
    trip(book)
    book.clear(SYMBOL, "price move", 0)
    book.tick(10 * S)
    trip(book, 10 * S)

    assert book.confirm(SYMBOL, WARNING, 10 * S) is None
    assert book.effective("v", "S")[0] is BREAKER


def test_the_worst_of_symbol_venue_and_fleet_applies() -> None:
    book = StateBook()
    book.set(FLEET, "position", WARNING, "fleet", 0)
    book.set(venue_scope("v"), "rejects", REDUCE_ONLY, "venue", 0)

    assert book.effective("v", "S") == (REDUCE_ONLY, "venue")
    assert book.effective("w", "S") == (WARNING, "fleet")


def test_a_latched_stop_ends_only_by_an_operator() -> None:
    book = StateBook()
    book.set(FLEET, "day loss", STOP, "day's loss", 0, latched=True)
    book.set(FLEET, "day loss", NORMAL, "", 1)
    book.clear(FLEET, "day loss", 2)
    assert book.tick(1_000_000 * S) == []
    assert book.effective("v", "S")[0] is STOP

    change = book.lift(FLEET, 3 * S)
    assert change is not None
    assert not change.tightens
    assert change.after is WARNING  # re-entry
    book.confirm(FLEET, WARNING, 3 * S)
    assert book.effective("v", "S")[0] is WARNING


def test_a_cause_with_a_time_runs_out() -> None:
    book = StateBook()
    book.set(SYMBOL, "adopted", WARNING, "adopted", 0, until_ns=5 * S)
    assert book.tick(4 * S) == []
    (change,) = book.tick(5 * S)
    assert change.after is NORMAL
