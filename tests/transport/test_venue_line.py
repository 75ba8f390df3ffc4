"""What a gateway's line makes of the venue's moods, without sockets: its host, clock and HTTP are scripted."""

from __future__ import annotations

import asyncio
import random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from actors.transport.http import HttpAnswer, HttpUnanswered
from actors.transport.venue_line import KEEPALIVE_RETRY_S, VenueLine
from actors.venues.binance.trading import LISTEN_KEY_KEEPALIVE_MS, BinanceTrading
from actors.venues.dialect import Credentials, HttpRequest
from actors.vocab.clock import ManualClock
from actors.vocab.venue_io import StreamDown, StreamKind, StreamUp, VenueEvent


class Scripted:
    """A line of USD-M whose private stream is up, and what it waits for and tells. Its waits end at once."""

    def __init__(self, *answers: HttpAnswer | HttpUnanswered) -> None:
        self.answers = list(answers)
        self.waits: list[float | None] = []
        self.events: list[VenueEvent] = []
        dialect = BinanceTrading("binance_perp", Credentials("k", "s"))
        dialect.private_url(200, b'{"listenKey":"abc"}')
        host: Any = SimpleNamespace(clock=ManualClock(), spawn=None, rng=random.Random(1), gate=None, wait=self._wait)
        account: Any = SimpleNamespace(venue="binance_perp", order_url="")
        self.line = VenueLine(
            account=account,
            dialect=dialect,
            rest_dialect=dialect,
            http=cast("Any", self),
            host=host,
            on_event=lambda event, recv_ns: self.events.append(event),
        )
        self.line._private_is_up(0)

    async def call(self, request: HttpRequest) -> HttpAnswer:
        answer = self.answers.pop(0)
        if isinstance(answer, HttpUnanswered):
            raise answer
        return answer

    async def _wait(self, event: asyncio.Event, timeout_s: float | None) -> bool:
        self.waits.append(timeout_s)
        return not self.answers or event.is_set()


@pytest.mark.parametrize(
    "answer",
    [*(HttpAnswer(status, {}, b"") for status in (408, 418, 429, 500, 503)), HttpUnanswered("lost", sent=True)],
)
def test_a_keep_alive_that_a_busy_venue_did_not_take_is_tried_again_in_a_minute(
    answer: HttpAnswer | HttpUnanswered,
) -> None:
    it = Scripted(answer, HttpAnswer(200, {}, b"{}"))
    asyncio.run(it.line._until_private_lost())
    assert it.waits == [LISTEN_KEY_KEEPALIVE_MS / 1000, KEEPALIVE_RETRY_S, LISTEN_KEY_KEEPALIVE_MS / 1000]
    assert it.events == [StreamUp(StreamKind.PRIVATE, 1)]


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_refused_keep_alive_ends_the_stream(status: int) -> None:
    it = Scripted(HttpAnswer(status, {}, b'{"code":-1125,"msg":"This listenKey does not exist."}'))
    asyncio.run(it.line._until_private_lost())
    reason = f"keep-alive refused with status {status}"
    assert it.events == [StreamUp(StreamKind.PRIVATE, 1), StreamDown(StreamKind.PRIVATE, reason)]
