"""What a gateway's line makes of the venue's moods, without sockets: its host, clock and HTTP are scripted."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any, cast

import pytest
from websockets.asyncio.server import ServerConnection, serve

from actors.transport.http import HttpAnswer, HttpUnanswered
from actors.transport.identity import SystemClock
from actors.transport.venue_line import KEEPALIVE_RETRY_S, VenueLine
from actors.venues.binance.trading import LISTEN_KEY_KEEPALIVE_MS, BinanceTrading
from actors.venues.dialect import Credentials, HttpRequest
from actors.vocab.clock import ManualClock
from actors.vocab.venue_io import StreamDown, StreamKind, StreamUp, VenueEvent
from tests.fakes import run_on, until


class Scripted:
    """A line whose private stream is up, and what it waits for and tells. Without `order_url` its waits end at once."""

    def __init__(self, *answers: HttpAnswer | HttpUnanswered, venue: str = "binance_perp", order_url: str = "") -> None:
        self.answers = list(answers)
        self.waits: list[float | None] = []
        self.events: list[VenueEvent] = []
        self.tasks: list[asyncio.Future[Any]] = []
        self._order_url = order_url
        dialect = BinanceTrading(venue, Credentials("k", "s"), order_url=order_url)
        if venue == "binance_perp":
            dialect.private_url(200, b'{"listenKey":"abc"}')
        host: Any = SimpleNamespace(
            clock=SystemClock() if order_url else ManualClock(),
            spawn=self._spawn,
            rng=random.Random(1),
            gate=None,
            sleep=asyncio.sleep,
            wait=self._wait,
        )
        account: Any = SimpleNamespace(venue=venue, order_url=order_url)
        self.line = VenueLine(
            account=account,
            dialect=dialect,
            rest_dialect=BinanceTrading(venue, Credentials("k", "s")),
            http=cast("Any", self),
            host=host,
            on_event=lambda event, recv_ns: self.events.append(event),
        )
        self.line._private_is_up(0)

    def _spawn(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        self.tasks.append(asyncio.ensure_future(work))

    async def close(self) -> None:
        """As the HTTP client that it stands for."""

    async def call(self, request: HttpRequest, **_options: Any) -> HttpAnswer:
        if self._order_url and request.method == "POST":
            await asyncio.Event().wait()  # no new listen key: the private stream stays the one that it is
        answer = self.answers.pop(0)
        if isinstance(answer, HttpUnanswered):
            raise answer
        return answer

    async def _wait(self, event: asyncio.Event, timeout_s: float | None) -> bool:
        self.waits.append(timeout_s)
        if self._order_url:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(event.wait(), timeout_s)
            return event.is_set()
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


@pytest.mark.parametrize("venue_name", ["binance_perp", "binance_spot"])
def test_a_shutdown_told_on_the_order_connection_replaces_it_and_leaves_the_private_stream(venue_name: str) -> None:
    connections: list[ServerConnection] = []
    subscribed: list[int] = []  # numbers of the connections
    wanted = [0, 1] if venue_name == "binance_spot" else []

    async def handler(connection: ServerConnection) -> None:
        connections.append(connection)
        async for text in connection:
            call = json.loads(text)
            subscribed.append(connections.index(connection))
            await connection.send(json.dumps({"id": call["id"], "status": 200, "result": {"subscriptionId": 0}}))

    async def main() -> None:
        async with serve(handler, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
            it = Scripted(HttpUnanswered("no time", sent=False), venue=venue_name, order_url=url)
            it.answers *= 100
            try:
                await it.line.start()
                orders = it.line._orders
                assert orders is not None
                orders._overlap_s = 0.05
                await until(lambda: orders.is_up and subscribed == wanted[:1] and not it.line._private_asked)
                it.events.clear()
                await connections[0].send('{"event":{"e":"serverShutdown","E":1}}')
                await until(lambda: orders.overlaps_count == 1)
                await until(lambda: subscribed == wanted)
                assert len(connections) == 2
                assert it.line._private_up
                assert [event for event in it.events if isinstance(event, StreamDown)] == []
            finally:
                await it.line.close()
                for task in it.tasks:
                    task.cancel()
                await asyncio.gather(*it.tasks, return_exceptions=True)

    run_on("uvloop", main())
