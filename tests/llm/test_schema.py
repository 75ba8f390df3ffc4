"""Damaged answers cost the damaged items only."""

from __future__ import annotations

import json

import pytest

from actors.llm.schema import parse_risk, parse_signals
from actors.vocab.spending import Fault

GOOD = {"symbol": "A", "action": "bid", "spread_bps": 30, "quantity_factor": 1, "confidence": 0.5}


def test_each_item_stands_alone() -> None:
    items = [GOOD, GOOD | {"symbol": "B", "spread_bps": 900}, GOOD | {"symbol": "C"}, GOOD | {"symbol": "X"}, GOOD, 7]
    answers, fault = parse_signals(json.dumps({"items": items}), {"A", "B", "C"})
    assert set(answers) == {"A", "C"}
    assert fault is Fault.OUT_OF_BOUNDS


def test_a_code_fence_is_forgiven() -> None:
    answers, _ = parse_signals("```json\n" + json.dumps({"items": [GOOD]}) + "\n```", {"A"})
    assert set(answers) == {"A"}


@pytest.mark.parametrize(
    "content",
    ["", "no", "{", "null", '{"items": 7}', "[" * 100_000, "9" * 500_000, '{"items": [{"symbol": NaN}]}', "\udce2"],
)
def test_nonsense_gives_nothing(content: str) -> None:
    assert parse_signals(content, {"A"})[0] == {}
    assert parse_risk(content)[0] is None
