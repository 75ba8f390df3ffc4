"""Which answers to a snapshot request are for good, and which may pass."""

from __future__ import annotations

import pytest

from actors.feed.messages import SnapshotAnswer
from actors.feed.rest import read_snapshot
from actors.venues.catalog import market_dialect
from actors.vocab.venue_io import DepthSnapshot
from tests.feed.kit import SYMBOL, instrument

DIALECT = market_dialect("binance_perp", [instrument()])


def test_good_answer() -> None:
    body = b'{"lastUpdateId":7,"bids":[["10.0","1.000"]],"asks":[["10.1","2.000"]]}'
    assert read_snapshot(DIALECT, SYMBOL, 200, body) == SnapshotAnswer(
        SYMBOL, DepthSnapshot(SYMBOL, 7, [(100, 1000)], [(101, 2000)])
    )


@pytest.mark.parametrize(
    ("status", "for_good"), [(400, True), (404, True), (403, False), (418, False), (429, False), (500, False)]
)
def test_refusals(status: int, for_good: bool) -> None:
    answer = read_snapshot(DIALECT, SYMBOL, status, b'{"code":-1}')
    assert answer.snapshot is None
    assert answer.unavailable is for_good
    assert str(status) in answer.reason


def test_unreadable_body_may_pass() -> None:
    answer = read_snapshot(DIALECT, SYMBOL, 200, b"<html>")
    assert answer.snapshot is None
    assert not answer.unavailable
