"""The HTTP client against a real server on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from actors.transport.http import BANNED_S, LIMITED_S, HttpClient, HttpUnanswered
from actors.transport.ws_socket import RETRY_AFTER_MAX_S
from actors.venues.dialect import HttpRequest
from actors.vocab.clock import ManualClock
from tests.fakes import run_on


@asynccontextmanager
async def client(handler: object, *, timeout_s: float = 2.0) -> AsyncIterator[tuple[HttpClient, ManualClock]]:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)  # type: ignore[arg-type]
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    clock = ManualClock()
    http = HttpClient(f"http://{host}:{port}", timeout_s=timeout_s, clock=clock)
    try:
        yield http, clock
    finally:
        await http.close()
        await runner.cleanup()


def test_request_leaves_exactly_as_written_and_header_names_come_back_in_lower_case() -> None:
    seen: list[tuple[str, str, dict[str, str], bytes]] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append((request.method, request.raw_path, dict(request.headers), await request.read()))
        return web.Response(body=b"ok", headers={"X-MBX-USED-WEIGHT-1M": "7"})

    async def main() -> None:
        async with client(handler) as (http, _):
            path = "/api/v3/order?symbol=%EF%BC%91&side=BUY&price=0.10&signature=a%2Bb%3D%3D"
            answer = await http.call(HttpRequest("POST", path, (("X-MBX-APIKEY", "key"),), b"a=1"))
            assert (answer.status, answer.body, answer.is_ok) == (200, b"ok", True)
            assert answer.headers["x-mbx-used-weight-1m"] == "7"
            method, raw_path, headers, body = seen[0]
            assert (method, raw_path, body) == ("POST", path, b"a=1")
            assert headers["X-MBX-APIKEY"] == "key"

    run_on("uvloop", main())


@pytest.mark.parametrize(
    ("status", "after", "wait_s"),
    [
        (429, "3", 3.0),
        (429, None, LIMITED_S),
        (429, "nan", LIMITED_S),
        (418, "120", 120.0),
        (418, None, BANNED_S),
        (418, "inf", RETRY_AFTER_MAX_S),
    ],
)
def test_limited_client_stays_away_until_the_named_time(status: int, after: str | None, wait_s: float) -> None:
    calls = 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal calls
        calls += 1
        return web.Response(status=status if calls == 1 else 200, headers={"Retry-After": after} if after else {})

    async def main() -> None:
        async with client(handler) as (http, clock):
            assert (await http.call(HttpRequest("GET", "/"))).status == status
            with pytest.raises(HttpUnanswered) as refused:
                await http.call(HttpRequest("GET", "/"))
            assert (refused.value.sent, refused.value.wait_s) == (False, wait_s)
            clock.set(int(wait_s * 1e9) - 1)
            with pytest.raises(HttpUnanswered):
                await http.call(HttpRequest("GET", "/"))
            clock.set(int(wait_s * 1e9))
            assert (await http.call(HttpRequest("GET", "/"))).is_ok
            assert calls == 2

    run_on("uvloop", main())


def test_a_429_to_one_kind_of_request_lets_the_others_go_on() -> None:
    statuses = iter((429, 200, 418))

    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=next(statuses), headers={"Retry-After": "5"})

    async def main() -> None:
        async with client(handler) as (http, _):
            order, cancel = HttpRequest("POST", "/order"), HttpRequest("DELETE", "/order")
            assert (await http.call(order, is_partial=lambda answer: True)).status == 429
            assert (await http.call(cancel)).is_ok
            assert (await http.call(order, is_partial=lambda answer: True)).status == 418
            assert (http.closed_for_s, http.limited_count) == (5.0, 2)

    run_on("uvloop", main())


def test_time_out_may_have_been_acted_on() -> None:
    async def handler(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async def main() -> None:
        async with client(handler) as (http, _):
            with pytest.raises(HttpUnanswered) as lost:
                await http.call(HttpRequest("POST", "/order"))
            assert lost.value.sent

    run_on("asyncio", main())


@pytest.mark.parametrize(("method", "times"), [("GET", 2), ("POST", 1), ("PUT", 1), ("DELETE", 1)])
def test_what_changes_something_is_not_repeated_on_a_dropped_connection(method: str, times: int) -> None:
    asked: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.path)
        if request.path == "/order":
            assert request.transport is not None
            request.transport.abort()
        return web.Response()

    async def main() -> None:
        async with client(handler) as (http, _):
            await http.call(HttpRequest("GET", "/first"))  # leaves a connection that is kept
            with pytest.raises(HttpUnanswered) as lost:
                await http.call(HttpRequest(method, "/order"))
            assert lost.value.sent
            assert asked == ["/first", *["/order"] * times]

    run_on("asyncio", main())


def test_nobody_listens_means_it_never_left() -> None:
    async def main() -> None:
        http = HttpClient("http://127.0.0.1:1", clock=ManualClock())
        with pytest.raises(HttpUnanswered) as lost:
            await http.call(HttpRequest("GET", "/"))
        assert not lost.value.sent
        await http.close()

    run_on("uvloop", main())
