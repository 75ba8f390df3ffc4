"""One client websocket whose frames are handed over inside `data_received`, without a task, a queue or a wake-up.

The protocol itself is `websockets`' Sans-I/O core; only its asyncio layer is left out, which queues every frame and
wakes a waiting coroutine for it. Here a frame is one call, a quarter cheaper in a burst and as cheap alone
(`benchmarks/websocket_wire.py`), and without a queue there is none to bound: nothing is read from the kernel while
the previous bytes are being handled, so a slow reader fills TCP's window and no list of ours.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import Callable, Mapping
from typing import Final, cast

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import WebSocketURI, parse_uri

from actors.vocab.clock import Clock

# The largest frames known are full books and lists of all tickers, below 2 MB. A larger message ends the connection.
MESSAGE_BYTES_MAX: Final = 16 * 2**20
CLOSE_TIMEOUT_S: Final = 1.0
RETRY_AFTER_MAX_S: Final = 3 * 86_400.0  # the longest ban that Binance documents
PING_PAYLOAD: Final = b"manta"


class Refused(Exception):
    """The venue answered the opening handshake with something else than a websocket."""

    def __init__(self, status: int, retry_after_s: float, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.retry_after_s = retry_after_s  # 0: the venue named no time


class WsSocket(asyncio.Protocol):
    """One connection from dial to close. Make it with `open_socket`.

    `on_message(payload, recv_ns)` is called for each whole text or binary message, fragments joined, with the
    moment at which its last bytes arrived. An exception in it closes the connection and comes out of `closed`.
    """

    def __init__(
        self,
        uri: WebSocketURI,
        *,
        on_message: Callable[[bytes, int], None],
        clock: Clock,
        headers: Mapping[str, str] | None = None,
        on_pong: Callable[[bytes], None] | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()
        # Ends with the reason of the close, as one line; an exception of `on_message` comes out here.
        self.closed: asyncio.Future[str] = loop.create_future()
        self.last_recv_ns = clock.now_ns()  # of any bytes, pongs included
        self.messages_count = 0
        self._on_message = on_message
        self._on_pong = on_pong
        self._clock = clock
        self._headers = dict(headers or {})
        self._protocol = ClientProtocol(uri, max_size=MESSAGE_BYTES_MAX)
        self._transport: asyncio.Transport | None = None
        self._fragments: list[bytes] = []  # of the message under way; their sum is bounded by MESSAGE_BYTES_MAX
        self._reason = ""

    # --- ours ----------------------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        return self._protocol.state is State.OPEN and not self.closed.done()

    def send(self, text: str) -> None:
        """Write one text message; nothing happens on a connection that is not open."""
        if self.is_open:
            self._protocol.send_text(text.encode())
            self._write()

    def ping(self) -> None:
        """Ask for a sign of life; the pong shows as `last_recv_ns`."""
        if self.is_open:
            self._protocol.send_ping(PING_PAYLOAD)
            self._write()

    async def close(self, reason: str) -> None:
        """Close with a handshake, or hard where the other side does not answer it in `CLOSE_TIMEOUT_S`."""
        self._reason = self._reason or reason
        if self.is_open:
            self._protocol.send_close(1000)
            self._write()
            await asyncio.wait({self.closed}, timeout=CLOSE_TIMEOUT_S)
        self.abort(reason)

    def abort(self, reason: str) -> None:
        """Drop the connection now."""
        self._reason = self._reason or reason
        if self._transport is not None:
            self._transport.abort()
        self._end(self._reason)

    # --- asyncio's -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # TCP and TLS transports are of this type; uvloop's do not inherit from asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        request = self._protocol.connect()
        request.headers.update(self._headers)
        self._protocol.send_request(request)
        self._write()

    def data_received(self, data: bytes) -> None:
        recv_ns = self._clock.now_ns()
        self.last_recv_ns = recv_ns
        protocol = self._protocol
        protocol.receive_data(data)
        try:
            for event in protocol.events_received():
                if type(event) is Frame:
                    self._on_protocol_frame(event, recv_ns)
                else:
                    self._on_handshake(event)
        except Exception as error:  # of `on_message`: not ours to judge, so it goes to whoever awaits `closed`
            self._fail(error)
            return
        self._write()

    def eof_received(self) -> bool:
        self._protocol.receive_eof()
        self._write()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._protocol.state is not State.CLOSED:
            self._protocol.receive_eof()
        self._end(self._reason or self._close_reason(exc))

    # --- inside --------------------------------------------------------------------------------------------------

    def _on_protocol_frame(self, frame: Frame, recv_ns: int) -> None:
        opcode = frame.opcode
        if opcode is Opcode.TEXT or opcode is Opcode.BINARY:
            if frame.fin:
                self.messages_count += 1
                self._on_message(bytes(frame.data), recv_ns)
            else:
                self._fragments = [bytes(frame.data)]
        elif opcode is Opcode.CONT:
            self._fragments.append(bytes(frame.data))
            if frame.fin:
                whole, self._fragments = b"".join(self._fragments), []
                self.messages_count += 1
                self._on_message(whole, recv_ns)
        elif opcode is Opcode.PONG and self._on_pong is not None:
            self._on_pong(bytes(frame.data))
        # Pings have been answered and closes echoed by the protocol; `_write` sends what it prepared.

    def _on_handshake(self, event: object) -> None:
        error = self._protocol.handshake_exc
        if error is None:
            if not self.opened.done():
                self.opened.set_result(None)
            return
        if isinstance(error, InvalidStatus) and isinstance(event, Response):
            error = refusal(event)
        self._fail_opening(error)

    def _write(self) -> None:
        transport = self._transport
        if transport is None:
            return
        for data in self._protocol.data_to_send():
            if data:
                transport.write(data)
            elif transport.can_write_eof():
                transport.write_eof()
            else:
                transport.close()  # TLS has no half-close
        if self._protocol.close_expected() and self._protocol.state is not State.CONNECTING:
            transport.close()

    def _fail_opening(self, error: BaseException) -> None:
        if not self.opened.done():
            self.opened.set_exception(error)
        self.abort(str(error))

    def _fail(self, error: Exception) -> None:
        if not self.closed.done():
            self.closed.set_exception(error)
        self._fail_opening(error)

    def _end(self, reason: str) -> None:
        if not self.opened.done():
            self.opened.set_exception(self._protocol.handshake_exc or ConnectionError(reason))
        if not self.closed.done():
            self.closed.set_result(reason)

    def _close_reason(self, exc: Exception | None) -> str:
        if exc is not None:
            return f"connection lost: {exc}"
        protocol = self._protocol
        if protocol.parser_exc is not None and not isinstance(protocol.parser_exc, EOFError):
            return f"the venue broke the websocket protocol: {protocol.parser_exc}"
        if protocol.close_rcvd is not None:
            return f"the venue closed: {protocol.close_rcvd}"
        return "connection lost without a close"


def refusal(response: Response) -> Refused:
    """What an HTTP answer instead of a websocket means."""
    text = f"HTTP {response.status_code} {response.reason_phrase} instead of a websocket"
    return Refused(response.status_code, retry_after_s(response.headers.get("Retry-After")), text)


def retry_after_s(value: str | None) -> float:
    """Seconds of a Retry-After header; 0 where there is none or it is a date, which these venues never send."""
    try:
        wait_s = float(value or 0)
    except ValueError:
        return 0.0
    # No number of seconds (nan) tells nothing; endless (inf) is believed as far as the longest ban goes.
    return 0.0 if math.isnan(wait_s) else min(max(0.0, wait_s), RETRY_AFTER_MAX_S)


async def open_socket(
    url: str,
    *,
    on_message: Callable[[bytes, int], None],
    clock: Clock,
    timeout_s: float,
    headers: Mapping[str, str] | None = None,
    on_pong: Callable[[bytes], None] | None = None,
) -> WsSocket:
    """Dial, shake hands, return the open socket. `headers` go with the opening request; `on_pong` hears every pong.

    Raises `Refused`, OSError (no network, TLS refused), TimeoutError, or websockets' InvalidHandshake.
    """
    uri = parse_uri(url)
    socket = WsSocket(uri, on_message=on_message, clock=clock, headers=headers, on_pong=on_pong)
    tls = ssl.create_default_context() if uri.secure else None
    # A failed opening ends `closed` as well; nobody awaits that one, so its exception is looked at here.
    socket.closed.add_done_callback(lambda ended: None if ended.cancelled() else ended.exception() and None)
    try:
        async with asyncio.timeout(timeout_s):
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: socket, uri.host, uri.port, ssl=tls)
            await socket.opened
    except BaseException:
        socket.abort("not opened")
        if socket.opened.done() and not socket.opened.cancelled():
            socket.opened.exception()
        raise
    return socket
