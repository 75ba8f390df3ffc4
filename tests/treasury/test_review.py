"""A journal is scored again by today's rules."""

from __future__ import annotations

import json

import msgspec
import pytest

from actors.journal.opinions import CallRow, OpinionRow
from actors.llm.prompts import read_rows, signal_rows
from actors.treasury.review import costs, rescored, scored_of
from tests.llm.kit import inputs

ROWS = signal_rows([inputs("A"), inputs("B", toxic_flow=0.9)])
ITEMS = [
    {"symbol": symbol, "action": "bid", "spread_bps": 30, "quantity_factor": 1, "confidence": 0.5} for symbol in "AB"
]
CALL = CallRow(
    "c", 86_400_000 + 5, "m", "signal", "signal.v1", "h", ROWS, json.dumps({"items": ITEMS}), 9, 5, 700, 2, 8
)
ROW = OpinionRow("c", "m", "A", "bid", 0.5, 1.0, 0.75, 4e-9, True, 1.0, 2.0, 1, 10.0)


def test_rows_are_read_back_as_they_were_asked() -> None:
    assert read_rows(ROWS) == [inputs("A"), inputs("B", toxic_flow=0.9)]
    assert read_rows('{"gross_usd": 5.0}') == []


def test_an_opinion_that_todays_rules_read_alike_scores_alike() -> None:
    assert rescored(ROW, {"c": CALL}) == scored_of(ROW)


def test_an_opinion_journalled_before_a_rule_existed_is_read_by_the_rule() -> None:
    """B's flow is toxic: today's rules hold it, whatever was journalled."""
    again = rescored(msgspec.structs.replace(ROW, symbol="B"), {"c": CALL})
    assert again is not None
    assert (again.opinion.bid_factor, again.opinion.ask_factor) == (0.0, 0.0)


def test_an_answer_that_todays_schema_refuses_gives_none() -> None:
    assert rescored(msgspec.structs.replace(ROW, symbol="C"), {"c": CALL}) is None
    assert rescored(ROW, {}) is None


def test_costs_are_added_by_day_model_and_purpose() -> None:
    lines = costs([CALL, CALL, msgspec.structs.replace(CALL, purpose="risk")])
    assert set(lines) == {(1, "m", "signal"), (1, "m", "risk")}
    line = lines[1, "m", "signal"]
    assert (line.calls_count, line.items_count, line.tokens_in, line.usd) == (2, 4, 18, pytest.approx(16e-9))
