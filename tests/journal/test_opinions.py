"""Calls and opinions come back from the journal as they went in."""

from __future__ import annotations

from pathlib import Path

import msgspec

from actors.journal.opinions import CallRow, OpinionRow, OpinionStore, opinions_path
from actors.vocab.opinions import CallRecord, OpinionItem

CALL = CallRecord(
    7,
    "m",
    "signal",
    "signal.v1",
    "abc",
    "A,1,0.80,10.0,0.10,50,normal",
    '{"items": []}',
    100,
    50,
    812,
    (OpinionItem("A", "bid", 0.8, 1.0, 0.6, True),),
)
OPINION = OpinionRow("llm~1#7", "m", "A", "bid", 0.8, 1.0, 0.6, 1e-5, True, 100.0, 1.5, 3, -2.25)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    store = OpinionStore(opinions_path(f"sqlite:///{tmp_path}/journal.sqlite"))
    first, second = (CallRow.of(f"llm~1#{n}", 1000 - n, CALL, 63_000) for n in (7, 8))
    store.write([first], [OPINION])
    store.write([second], [])
    store.write([], [msgspec.structs.replace(OPINION, symbol="B", applied=False)])
    assert list(store.read_calls()) == [second, first]  # by time
    assert [(row.symbol, row.applied) for row in store.read_opinions()] == [("A", True), ("B", False)]
    assert next(store.read_opinions()) == OPINION
    store.close()


def test_old_calls_leave_with_their_opinions(tmp_path: Path) -> None:
    store = OpinionStore(opinions_path(f"sqlite:///{tmp_path}/journal.sqlite"))
    old, new = CallRow.of("llm~1#7", 1_000, CALL, 1), CallRow.of("llm~1#8", 2_000, CALL, 1)
    kept = msgspec.structs.replace(OPINION, call_id="llm~1#8")
    store.write([old, new], [OPINION, kept])
    assert store.prune(before_ms=2_000) == 1
    assert (list(store.read_calls()), list(store.read_opinions())) == ([new], [kept])
    assert store.prune(before_ms=2_000) == 0
    store.close()
