"""Changes of one order, read page by page from a venue that gives the newest hundred at once."""

from __future__ import annotations

import asyncio
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from actors.transport.http import HttpAnswer
from actors.transport.identity import SystemClock
from actors.transport.venue_audit import LedgerReader
from actors.venues.dialect import Credentials, HttpRequest
from actors.venues.ledger import LedgerAmendment, LedgerOrder
from actors.vocab.instruments import Instrument
from actors.vocab.market import Side
from actors.vocab.orders import OrderState

COIN = Instrument(
    symbol="BTCUSDT",
    venue="binance_perp",
    market="perp",
    venue_symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick_size="0.1",
    lot_size="0.001",
    lots_min=1,
    lots_max=10**6,
    min_notional="5",
    orders_open_max=200,
    trading=True,
)
ORDER = LedgerOrder("BTCUSDT", "mnt-1", "7", Side.BUY, OrderState.CANCELLED, 1_000, 1, 0, "0", 1_000, 9_000)


class Venue:
    """Answers as the manual says: newest first, 100 at most, `endTime` included."""

    closed_for_s = 0.0

    def __init__(self, count: int, each_ms: int) -> None:
        self.asked_count = 0
        self._rows = [_row(number, 1_000 + number // each_ms) for number in range(count, 0, -1)]

    async def call(self, request: HttpRequest) -> HttpAnswer:
        self.asked_count += 1
        asked = parse_qs(urlsplit(request.path_query).query)
        until_ms = int(asked.get("endTime", ["9999"])[0])
        rows = [row for row in self._rows if row["time"] <= until_ms]
        return HttpAnswer(200, {}, msgspec.json.encode(rows[: int(asked["limit"][0])]))


def _row(number: int, at_ms: int) -> dict[str, Any]:
    return {
        "amendmentId": number,
        "symbol": "BTCUSDT",
        "orderId": 7,
        "clientOrderId": "mnt-1",
        "time": at_ms,
        "amendment": {
            "price": {"before": "100.0", "after": "100.0"},
            "origQty": {"before": "0.001", "after": "0.002"},
            "count": number,
        },
    }


def read(venue: Venue) -> list[LedgerAmendment]:
    reader = LedgerReader(
        venue="binance_perp", rest_url="http://x", credentials=Credentials("k", "s"), clock=SystemClock()
    )
    reader._http = cast("Any", venue)
    reader._trading.use([COIN])
    return asyncio.run(reader._amendments(ORDER))


@pytest.mark.parametrize("each_ms", [1, 7])  # several changes in one millisecond may lie on both sides of a page
@pytest.mark.parametrize("count", [0, 99, 100, 101, 450])
def test_every_change_is_read_once_and_in_order(count: int, each_ms: int) -> None:
    assert [row.amendments_count for row in read(Venue(count, each_ms))] == list(range(1, count + 1))


def test_a_millisecond_that_cannot_be_passed_ends_the_reading() -> None:
    venue = Venue(450, 500)
    found = read(venue)
    assert (len(found), found[-1].amendments_count, venue.asked_count) == (100, 450, 2)
