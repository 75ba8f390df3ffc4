"""Sessions against a real websocket server on loopback; every wait is a call that the test sees."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from actors.transport.backoff import VenueBackoff
from actors.transport.identity import SystemClock
from actors.transport.session import OVERLAP, REFUSED_WAIT_S, UNREACHABLE_WAIT_S, WsSession
from actors.transport.step_gate import StepGate
from actors.transport.step_plan import FRAMES, VENUE, Cast
from actors.transport.ws_socket import MESSAGE_BYTES_MAX, open_socket
from actors.venues.dialect import StreamPlan
from actors.vocab import codec
from actors.vocab.control import FrameToken
from tests.fakes import LOOPS, run_on, until

Handler = Callable[[ServerConnection], Awaitable[None]]
LOOP_NAMES = sorted(LOOPS)


async def listen_only(connection: ServerConnection) -> None:
    async for _ in connection:
        pass


@asynccontextmanager
async def venue(handler: Handler = listen_only, **options: Any) -> AsyncIterator[tuple[Server, str]]:
    async with serve(handler, "127.0.0.1", 0, **options) as server:
        yield server, f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


class Watch:
    """A session and everything it told. Waits are recorded and end at once, but let the loop turn."""

    def __init__(self, url: str, *, subscribe: tuple[str, ...] = (), max_age_s: float = 0.0, **options: Any) -> None:
        self.frames: list[str] = []
        self.states: list[tuple[bool, str]] = []
        self.waits: list[float] = []
        self.session = WsSession(
            plan=StreamPlan("test", url, subscribe, ("BTCUSDT",), 0, max_age_s),
            on_frame=self._on_frame,
            on_state=lambda up, reason: self.states.append((up, reason)),
            clock=SystemClock(),
            rng=random.Random(1),
            sleep=self._sleep,
            **({"overlap_s": 0.05} | options),
        )

    def _on_frame(self, frame: str | bytes, recv_ns: int) -> None:
        self.frames.append(frame if isinstance(frame, str) else frame.decode())

    async def _sleep(self, wait_s: float) -> None:
        self.waits.append(wait_s)
        await asyncio.sleep(0.002)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Watch]:
        task = asyncio.ensure_future(self.session.run())
        try:
            yield self
        finally:
            await self.session.close()
            await asyncio.wait_for(task, 2)


@pytest.mark.parametrize("loop", LOOP_NAMES)
def test_subscribes_and_hands_over_frames_in_order(loop: str) -> None:
    asked: list[str] = []

    async def handler(connection: ServerConnection) -> None:
        asked.append(str(await connection.recv()))
        asked.append(str(await connection.recv()))
        for number in range(100):
            await connection.send(f"{number}")
        await connection.send("b" * 200_000)
        await connection.wait_closed()

    async def main() -> None:
        async with venue(handler) as (_, url):
            watch = Watch(url, subscribe=("one", "two"))
            async with watch.running():
                await until(lambda: len(watch.frames) == 101)
                assert watch.session.is_up
        assert asked == ["one", "two"]
        assert watch.frames[:100] == [str(number) for number in range(100)]
        assert len(watch.frames[100]) == 200_000
        assert watch.states == [(True, ""), (False, "closed by us")]

    run_on(loop, main())


def test_in_lock_step_frames_wait_for_the_token_that_comes_as_a_pong_behind_them() -> None:
    cast = Cast(feeds=("feed:v:0",), quotes=(), gateways=())
    faults: list[BaseException] = []
    gate = StepGate(role="feed:v:0", cast=cast, start_ns=5, on_fault=faults.append)
    watch: list[Watch] = []
    seen: list[tuple[int, list[str]]] = []
    gate.send_token = lambda token: seen.append((token.now_ns, list(watch[0].frames)))

    async def handler(connection: ServerConnection) -> None:
        for step in (1, 2):
            await connection.send(f"frame {step}")
            token = FrameToken(step, 10 * step, VENUE, counts=((FRAMES, "feed:v:0", step),))
            await connection.pong(codec.encode(token))
        await connection.wait_closed()

    async def main() -> None:
        async with venue(handler) as (_, url):
            watch.append(Watch(url, gate=gate))
            async with watch[0].running():
                await until(lambda: len(seen) == 2)
            gate.close()

    asyncio.run(main())

    assert seen == [(10, ["frame 1"]), (20, ["frame 1", "frame 2"])]
    assert faults == []


def test_fragments_are_joined_and_pings_between_them_answered() -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.send(["par", "ti", "tion"])
        await (await connection.ping(b"are you there"))
        await connection.send("answered")
        await connection.send(b"binary")
        await connection.wait_closed()

    async def main() -> None:
        async with venue(handler) as (_, url), Watch(url).running() as watch:
            await until(lambda: len(watch.frames) == 3)
        assert watch.frames == ["partition", "answered", "binary"]

    run_on("uvloop", main())


def test_message_beyond_the_bound_ends_the_connection_with_the_reason() -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.send([b"x" * (MESSAGE_BYTES_MAX // 2)] * 3)
        await connection.wait_closed()

    async def main() -> None:
        async with venue(handler) as (_, url), Watch(url).running() as watch:
            await until(lambda: len(watch.states) >= 2)
        assert watch.frames == []
        assert "broke the websocket protocol" in watch.states[1][1]

    run_on("uvloop", main())


def test_lost_connection_comes_back_and_subscribes_again() -> None:
    served: list[str] = []

    async def handler(connection: ServerConnection) -> None:
        served.append(str(await connection.recv()))
        if len(served) == 1:
            connection.transport.abort()
        else:
            await connection.wait_closed()

    async def main() -> None:
        async with venue(handler) as (_, url), Watch(url, subscribe=("sub",)).running() as watch:
            await until(lambda: len(served) == 2)
        assert [up for up, _ in watch.states] == [True, False, True, False]

    run_on("uvloop", main())


def test_venue_that_is_down_is_tried_for_ever_with_growing_jittered_capped_waits() -> None:
    async def main() -> None:
        async with venue() as (_, url):
            pass  # closed again: nobody listens there now
        watch = Watch(url)
        async with watch.running():
            await until(lambda: len(watch.waits) > 30)
            assert "Connect call failed" in watch.session.reason or "refused" in watch.session.reason
        assert max(watch.waits) <= UNREACHABLE_WAIT_S
        assert watch.waits[0] < 0.26
        assert len({round(wait, 6) for wait in watch.waits[5:]}) > 10
        assert watch.states == []

    run_on("asyncio", main())


def test_retry_after_is_honoured_and_a_refusal_waits_longer_than_silence() -> None:
    answers = iter([(429, "17"), (503, ""), (503, ""), (503, ""), (503, ""), (503, ""), (503, "")])

    def refuse(connection: ServerConnection, request: Request) -> Response | None:
        status, after = next(answers, (0, ""))
        if not status:
            return None
        headers = Headers({"Retry-After": after} if after else {})
        headers["Content-Length"] = "0"
        return Response(status, HTTPStatus(status).phrase, headers, b"")

    async def main() -> None:
        async with venue(process_request=refuse) as (_, url), Watch(url).running() as watch:
            await until(lambda: watch.session.is_up)
        assert watch.waits[0] == 17.0
        assert REFUSED_WAIT_S / 2 <= watch.waits[6] <= REFUSED_WAIT_S
        assert watch.states[0] == (True, "")

    run_on("uvloop", main())


def test_connection_is_replaced_before_its_maximum_age_without_going_down() -> None:
    live: set[ServerConnection] = set()

    async def handler(connection: ServerConnection) -> None:
        live.add(connection)
        await listen_only(connection)
        live.discard(connection)

    async def main() -> None:
        watch_options = {"max_age_s": 0.05, "ping_interval_s": 0.01}
        async with venue(handler) as (_, url), Watch(url, **watch_options).running() as watch:
            await until(lambda: watch.session.overlaps_count >= 2)
            assert watch.session.is_up
            await until(lambda: len(live) <= 2)
        assert watch.states[:3] == [(True, ""), (True, OVERLAP), (True, OVERLAP)]

    run_on("uvloop", main())


def test_both_connections_deliver_during_a_handover() -> None:
    connections: list[ServerConnection] = []

    async def handler(connection: ServerConnection) -> None:
        connections.append(connection)
        await connection.wait_closed()

    async def main() -> None:
        async with venue(handler) as (_, url), Watch(url, overlap_s=0.2).running() as watch:
            await until(lambda: len(connections) == 1)
            watch.session.reconnect("the venue restarts")
            await until(lambda: len(connections) == 2)
            await until(lambda: (True, OVERLAP) in watch.states)
            await connections[0].send("from the old")
            await connections[1].send("from the new")
            await until(lambda: len(watch.frames) == 2)
            await until(lambda: watch.session.overlaps_count == 1)
            await connections[1].send("still here")
            await until(lambda: len(watch.frames) == 3)
            await connections[0].wait_closed()
        assert sorted(watch.frames[:2]) == ["from the new", "from the old"]
        assert watch.states == [(True, ""), (True, OVERLAP), (False, "closed by us")]

    run_on("uvloop", main())


def test_a_refused_handover_looks_after_the_old_connection_and_its_wait_holds_for_the_next_dial() -> None:
    connections: list[ServerConnection] = []
    waiting = asyncio.Event()

    class Patient(Watch):
        async def _sleep(self, wait_s: float) -> None:
            self.waits.append(wait_s)
            await waiting.wait()

    async def handler(connection: ServerConnection) -> None:
        connections.append(connection)
        await connection.wait_closed()

    def refuse(connection: ServerConnection, request: Request) -> Response | None:
        if len(connections) != 1:
            return None
        return Response(429, "slow down", Headers({"Retry-After": "3600", "Content-Length": "0"}), b"")

    async def main() -> None:
        async with (
            venue(handler, process_request=refuse) as (_, url),
            Patient(url, ping_interval_s=0.01).running() as watch,
        ):
            await until(lambda: bool(connections) and watch.session.is_up)
            watch.session.reconnect("maximum age")
            await until(lambda: bool(watch.waits))
            await connections[0].close()
            await until(lambda: len(watch.waits) == 2)
            assert [up for up, _ in watch.states] == [True, False]
            assert watch.waits[0] == 3600.0
            assert 3590.0 < watch.waits[1] <= 3600.0
            waiting.set()

    run_on("uvloop", main())


@pytest.mark.parametrize("loop", LOOP_NAMES)
def test_close_during_a_handover_ends_both_connections(loop: str) -> None:
    connections: list[ServerConnection] = []

    async def handler(connection: ServerConnection) -> None:
        connections.append(connection)
        await connection.wait_closed()

    async def main() -> None:
        async with venue(handler) as (_, url):
            async with Watch(url, overlap_s=5.0).running() as watch:
                await until(lambda: watch.session.is_up)
                watch.session.reconnect("maximum age")
                await until(lambda: (True, OVERLAP) in watch.states)
            for connection in connections:
                await asyncio.wait_for(connection.wait_closed(), 1)
            assert not watch.session.is_up
        assert watch.states == [(True, ""), (True, OVERLAP), (False, "closed by us")]

    run_on(loop, main())


def test_dead_connection_is_noticed_by_unanswered_pings() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Shakes hands like a server, then never says another byte."""
        from websockets.server import ServerProtocol

        protocol = ServerProtocol()
        while not (events := protocol.events_received()):
            protocol.receive_data(await reader.read(4096))
        protocol.send_response(protocol.accept(events[0]))  # type: ignore[arg-type]
        writer.writelines(protocol.data_to_send())
        await reader.read()
        writer.close()
        gone.append(True)

    gone: list[bool] = []

    async def main() -> None:
        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with Watch(url, idle_timeout_s=0.05, ping_interval_s=0.01).running() as watch:
            await until(lambda: len(watch.states) >= 2)
        await until(lambda: len(gone) == watch.session.connects_count)
        server.close()
        assert watch.states[1][0] is False
        assert "pings unanswered" in watch.states[1][1]

    run_on("asyncio", main())


def test_pings_keep_a_quiet_connection_alive() -> None:
    async def main() -> None:
        watch_options = {"idle_timeout_s": 0.05, "ping_interval_s": 0.01}
        async with venue() as (_, url), Watch(url, **watch_options).running() as watch:
            await until(lambda: watch.session.is_up)
            began_ns = time.monotonic_ns()
            await until(lambda: time.monotonic_ns() - began_ns > 150_000_000)  # three idle time-outs
            assert watch.session.is_up
            assert watch.session.connects_count == 1

    run_on("uvloop", main())


def test_frames_of_ours_keep_their_distance() -> None:
    async def main() -> None:
        async with venue() as (_, url):
            watch = Watch(url)
            watch.session.plan = StreamPlan("test", url, ("a", "b", "c"), (), frame_interval_ms=250)
            async with watch.running():
                await until(lambda: len(watch.waits) >= 2)
                await watch.session.send("d")
        assert all(0.2 < wait <= 0.25 for wait in watch.waits[:3])

    run_on("uvloop", main())


def test_exception_of_the_reader_ends_the_session_loudly() -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.send("x")
        await connection.wait_closed()

    def broken(frame: str | bytes, recv_ns: int) -> None:
        raise ZeroDivisionError

    async def main() -> None:
        async with venue(handler) as (_, url):
            session = WsSession(
                plan=StreamPlan("test", url, (), ()),
                on_frame=broken,
                on_state=lambda up, reason: None,
                clock=SystemClock(),
                rng=random.Random(1),
            )
            with pytest.raises(ZeroDivisionError):
                await asyncio.wait_for(session.run(), 2)

    run_on("uvloop", main())


def test_close_ends_a_long_wait() -> None:
    def refuse(connection: ServerConnection, request: Request) -> Response:
        return Response(418, "I'm a teapot", Headers({"Retry-After": "86400", "Content-Length": "0"}), b"")

    async def main() -> None:
        async with venue(process_request=refuse) as (_, url):
            session = WsSession(
                plan=StreamPlan("test", url, (), ()),
                on_frame=lambda frame, recv_ns: None,
                on_state=lambda up, reason: None,
                clock=SystemClock(),
                rng=random.Random(1),
            )
            task = asyncio.ensure_future(session.run())
            await until(lambda: "418" in session.reason)
            await session.close()
            await asyncio.wait_for(task, 1)

    run_on("uvloop", main())


def test_open_socket_gives_up_on_a_server_that_never_answers() -> None:
    async def main() -> None:
        async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()
            gone.append(True)

        gone: list[bool] = []
        server = await asyncio.start_server(never, "127.0.0.1", 0)
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(TimeoutError):
            await open_socket(url, on_message=lambda f, n: None, clock=SystemClock(), timeout_s=0.05)
        await until(lambda: gone)
        server.close()

    run_on("asyncio", main())


def test_backoff_doubles_to_its_cap_and_a_reset_begins_again() -> None:
    backoff = VenueBackoff(first_s=1, max_s=8, rng=random.Random(5))
    waits = [backoff.next_s() for _ in range(6)]
    assert all(most / 2 <= wait <= most for wait, most in zip(waits, (1, 2, 4, 8, 8, 8), strict=True))
    assert backoff.next_s(at_least_s=60) == 60
    backoff.reset()
    assert backoff.next_s() <= 1
