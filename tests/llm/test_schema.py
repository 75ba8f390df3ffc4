"""Damaged answers cost the damaged items only."""

from __future__ import annotations

import json
import time

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
    for opening in ("```json\n", "```", "  ```json", "\n```\n\n"):
        answers, _ = parse_signals(opening + json.dumps({"items": [GOOD]}) + "\n```\n", {"A"})
        assert set(answers) == {"A"}


WIDE = '{"a":' * 250 + "[" + "1," * 99_000


@pytest.mark.parametrize(
    "content",
    [
        "```json" + "\n" * 199_000,
        "```json" + " " * 190_000 + "```x",
        "```" * 66_000,
        "\n" * 199_000,
        "{" * 199_000,
        WIDE,
        "[" + WIDE,
        '[{"' * 66_000,
        '[{"a":"' + "b" * 190_000,
        "[" + "9" * 4_000 + ("," + "9" * 4_000) * 47 + "x",
    ],
    ids=[
        "open fence, newlines",
        "open fence, blanks",
        "fences",
        "newlines",
        "braces",
        "objects around a list",
        "in a list",
        "open strings",
        "one open string",
        "long numbers",
    ],
)
def test_no_answer_costs_the_loop_more_than_a_moment(content: str) -> None:
    began_s = time.process_time()
    assert parse_signals(content, {"A"})[0] == {}
    assert parse_risk(content)[0] is None
    assert time.process_time() - began_s < 0.3


def test_items_around_broken_ones_are_saved() -> None:
    rows = [json.dumps(GOOD), '{"symbol": "C", "action": }', json.dumps(GOOD | {"symbol": "B"}), '{"symbol": "D", "a']
    answers, fault = parse_signals('{"items": [' + ", ".join(rows), {"A", "B", "C", "D"})
    assert set(answers) == {"A", "B"}
    assert fault is Fault.CUT_OFF


@pytest.mark.parametrize(
    "content",
    ["", "no", "{", "null", '{"items": 7}', "[" * 100_000, "9" * 500_000, '{"items": [{"symbol": NaN}]}', "\udce2"],
)
def test_nonsense_gives_nothing(content: str) -> None:
    assert parse_signals(content, {"A"})[0] == {}
    assert parse_risk(content)[0] is None
