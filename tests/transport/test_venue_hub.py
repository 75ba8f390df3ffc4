"""Fan-out of a simulated venue: encoded once, routed, bounded."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from actors.transport.venue_frames import combined, pong_frame, text_frame
from actors.transport.venue_hub import SEND_BUFFER_MAX, Listener, StreamHub


class FakeTransport(asyncio.Transport):
    """Keeps what was written; `waiting` plays a peer that does not read."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.waiting = 0
        self.aborted = False

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.aborted


def route_of(stream: str) -> str:
    return "market" if "Trade" in stream else "public"


def listener(number: int, *, route: str = "public", wrapped: bool = False) -> tuple[Listener, FakeTransport]:
    transport = FakeTransport()
    return Listener(number=number, transport=transport, route=route, combined=wrapped), transport


@pytest.mark.parametrize(
    ("size", "head"), [(0, b"\x81\x00"), (125, b"\x81\x7d"), (126, b"\x81\x7e\x00\x7e"), (65_535, b"\x81\x7e\xff\xff")]
)
def test_frame_header_follows_the_size(size: int, head: bytes) -> None:
    assert text_frame(b"x" * size) == head + b"x" * size


def test_long_frame_has_an_eight_byte_size() -> None:
    assert text_frame(b"x" * 65_536)[:10] == b"\x81\x7f" + (65_536).to_bytes(8, "big")


def test_a_token_goes_behind_the_frames_in_one_write_and_is_no_message() -> None:
    hub = StreamHub(route_of)
    quiet, busy, other = listener(1), listener(2), listener(3)
    for one, _ in (quiet, busy, other):
        one.role = "feed" if one is not other[0] else "else"
        hub.attach(one)
    hub.subscribe(busy[0], ["abc@depth"])

    hub.publish("abc@depth", b"{}")
    assert hub.send_token("feed", b"token 1")
    hub.flush()
    assert hub.send_token("feed", b"token 2")
    hub.flush()

    assert busy[1].written == [text_frame(b"{}") + pong_frame(b"token 1")]
    assert quiet[1].written == [pong_frame(b"token 2")]
    assert [one.frames_count for one, _ in (quiet, busy)] == [0, 1]
    assert not hub.send_token("nobody", b"token")


def test_each_form_is_the_same_bytes_for_all_its_listeners() -> None:
    hub = StreamHub(route_of)
    pairs = [listener(1), listener(2, wrapped=True), listener(3), listener(4, wrapped=True)]
    for one, _ in pairs:
        hub.attach(one)
        hub.subscribe(one, ["abc@depth"])

    assert hub.publish("abc@depth", b"{}") == 4
    hub.flush()

    raw, wrapped = text_frame(b"{}"), text_frame(b'{"stream":"abc@depth","data":{}}')
    assert [transport.written for _, transport in pairs] == [[raw], [wrapped], [raw], [wrapped]]
    assert (hub.frames_sent_count, [one.frames_count for one, _ in pairs]) == (4, [1, 1, 1, 1])


def test_recorded_combined_form_is_sent_as_recorded() -> None:
    hub = StreamHub(route_of)
    one, transport = listener(1, wrapped=True)
    hub.attach(one)
    hub.subscribe(one, ["abc@depth"])

    hub.publish("abc@depth", b"{}", wrapped=b'{"data": {},"stream":"abc@depth@0ms"}')
    hub.flush()

    assert transport.written == [text_frame(b'{"data": {},"stream":"abc@depth@0ms"}')]


def test_stream_of_another_route_is_listed_and_stays_silent() -> None:
    hub = StreamHub(route_of)
    one, transport = listener(1, route="public")
    hub.attach(one)
    hub.subscribe(one, ["abc@aggTrade", "abc@depth"])

    assert hub.publish("abc@aggTrade", b"{}") == 0
    assert list(one.streams) == ["abc@aggTrade", "abc@depth"]
    assert hub.wanted(["abc@aggTrade", "abc@depth"]) == ["abc@depth"]
    assert transport.written == []


def test_one_flush_is_one_write_in_order() -> None:
    hub = StreamHub(route_of)
    one, transport = listener(1)
    hub.attach(one)
    hub.subscribe(one, ["abc@depth", "abc@bookTicker"])

    hub.publish("abc@depth", b"1")
    hub.publish("abc@bookTicker", b"2")
    hub.send(one, b"ack")
    hub.flush()
    hub.flush()

    assert transport.written == [text_frame(b"1") + text_frame(b"2") + text_frame(b"ack")]


def test_unsubscribed_and_detached_listeners_hear_nothing() -> None:
    hub = StreamHub(route_of)
    (one, first), (two, second) = listener(1), listener(2)
    for each in (one, two):
        hub.attach(each)
        hub.subscribe(each, ["abc@depth"])

    hub.unsubscribe(one, ["abc@depth", "never@depth"])
    hub.detach(two)

    assert hub.publish("abc@depth", b"{}") == 0
    assert hub.streams == ()
    assert (first.written, second.written, hub.listeners) == ([], [], (one,))


def test_slow_listener_is_dropped_and_the_others_are_not() -> None:
    hub = StreamHub(route_of)
    (slow, slow_transport), (quick, quick_transport) = listener(1), listener(2)
    for each in (slow, quick):
        hub.attach(each)
        hub.subscribe(each, ["abc@depth"])
    slow_transport.waiting = SEND_BUFFER_MAX

    hub.publish("abc@depth", b"{}")

    assert hub.flush() == [slow]
    assert (slow_transport.aborted, hub.slow_dropped_count, hub.listeners) == (True, 1, (quick,))
    assert quick_transport.written == [text_frame(b"{}")]


def test_listener_that_hung_up_is_forgotten_without_being_called_slow() -> None:
    hub = StreamHub(route_of)
    one, transport = listener(1)
    hub.attach(one)
    hub.subscribe(one, ["abc@depth"])
    transport.aborted = True

    hub.publish("abc@depth", b"{}")

    assert hub.flush() == [one]
    assert (hub.slow_dropped_count, hub.listeners) == (0, ())


def test_combined_form_is_the_venues_spelling() -> None:
    assert combined("btcusdt@trade", b'{"e":"trade"}') == b'{"stream":"btcusdt@trade","data":{"e":"trade"}}'
