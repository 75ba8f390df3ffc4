"""HTTP to one venue: aiohttp underneath, one pool of connections, closed by itself while the venue says so.

429 and 418 mean "stop": until the named time no request leaves, each is answered with `HttpUnanswered` at once, since
one more call during a ban makes the ban longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import aiohttp
import msgspec
from yarl import URL

from actors.transport.step_gate import StepGate
from actors.transport.step_plan import CALL_HEADER, PEER_HEADER
from actors.transport.ws_socket import retry_after_s
from actors.venues.dialect import HttpRequest
from actors.vocab.clock import Clock
from actors.vocab.errors import OurFault
from actors.vocab.units import NS_PER_S

CONNECTIONS_MAX: Final = 32  # at a time to one venue; further calls wait for one
BODY_BYTES_MAX: Final = 64 * 2**20  # spot's whole instrument list is about 15 MB
# What to wait where the venue names no time: limits are per minute; a ban lasts two minutes at least.
LIMITED_S: Final = 30.0
BANNED_S: Final = 120.0
LIMITED: Final = 429
BANNED: Final = 418


class HttpAnswer(msgspec.Struct, frozen=True):
    """What the venue answered, whatever its status. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def is_ok(self) -> bool:
        return 200 <= self.status < 300


class HttpUnanswered(Exception):
    """No answer: a time-out, a lost connection, or a venue that told us to wait. `sent` False: it never left.

    Where `sent` is True the venue may have acted on the request; for an order that means "unknown", not "rejected".
    """

    def __init__(self, text: str, *, sent: bool, wait_s: float = 0.0) -> None:
        super().__init__(text)
        self.sent = sent
        self.wait_s = wait_s


class HttpClient:
    """Calls to one base URL. Make it on the running loop; `close` it there."""

    def __init__(self, base_url: str, *, timeout_s: float = 5.0, clock: Clock, gate: StepGate | None = None) -> None:
        """With `gate` (lock-step) an answer is handed over in the step that may know it, however long that takes."""
        self.base_url = base_url.rstrip("/")
        self.calls_count = 0
        self.limited_count = 0
        self._clock = clock
        self._closed_until_ns = 0
        self._session: aiohttp.ClientSession | None = None
        self._timeout = aiohttp.ClientTimeout(total=timeout_s if gate is None else None)
        self._gate = gate

    @property
    def closed_for_s(self) -> float:
        """Seconds until the venue takes requests again; 0 when it does."""
        return max(0.0, (self._closed_until_ns - self._clock.now_ns()) / NS_PER_S)

    async def call(self, request: HttpRequest, *, is_partial: Callable[[HttpAnswer], bool] | None = None) -> HttpAnswer:
        """Send `request` exactly as written and return the whole answer; `HttpUnanswered` where there is none.

        `is_partial` is asked about a 429: True where it stops requests of this kind only, so that the others go on.
        """
        wait_s = self.closed_for_s
        if wait_s:
            raise HttpUnanswered(f"{self.base_url} asked us to wait {wait_s:.1f} s more", sent=False, wait_s=wait_s)
        self.calls_count += 1
        if self._gate is None:
            return await self._call(request, dict(request.headers), is_partial)
        call_no = self._gate.request()
        try:
            answer = await self._call(
                request,
                {**dict(request.headers), PEER_HEADER: self._gate.role, CALL_HEADER: str(call_no)},
                is_partial,
            )
        except HttpUnanswered as error:
            if not error.sent:
                self._gate.unsent()
                raise
            raise OurFault(f"{self._gate.role}: request {call_no} got no answer in lock-step: {error}") from error
        await self._gate.answered(call_no)
        return answer

    async def _call(
        self, request: HttpRequest, headers: dict[str, str], is_partial: Callable[[HttpAnswer], bool] | None
    ) -> HttpAnswer:
        # Encoded already: signatures cover the path and query byte for byte.
        url = URL(self.base_url + request.path_query, encoded=True)
        try:
            async with self._open().request(
                request.method,
                url,
                headers=headers,
                data=request.body or None,
                allow_redirects=False,
                middlewares=() if request.method == "GET" else (_once,),
            ) as response:
                body = await _read(response)
                answered = {name.lower(): value for name, value in response.headers.items()}
        except (aiohttp.ClientConnectorError, aiohttp.InvalidURL) as error:
            raise HttpUnanswered(f"{self.base_url}: {error}", sent=False) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise HttpUnanswered(f"{self.base_url}: {error or type(error).__name__}", sent=True) from error
        answer = HttpAnswer(response.status, answered, body)
        if answer.status in (LIMITED, BANNED):
            self.limited_count += 1
            if answer.status == BANNED or is_partial is None or not is_partial(answer):
                self._close_for(answer.status, answered)
        return answer

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        """Made at the first call, since aiohttp wants its loop to run already."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=self._timeout,
                # In lock-step requests wait at the venue for their step, so none may wait here for a connection.
                connector=aiohttp.TCPConnector(
                    limit=0 if self._gate is not None else CONNECTIONS_MAX, keepalive_timeout=60.0
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                # No content type of its own: some venues refuse one on an empty body.
                skip_auto_headers=("Content-Type", "User-Agent"),
            )
        return self._session

    def _close_for(self, status: int, headers: dict[str, str]) -> None:
        wait_s = retry_after_s(headers.get("retry-after")) or (BANNED_S if status == BANNED else LIMITED_S)
        self._closed_until_ns = max(self._closed_until_ns, self._clock.now_ns() + int(wait_s * NS_PER_S))


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Send what changes something a single time.

    aiohttp repeats PUT and DELETE by itself where a kept connection drops, whether the venue has acted on the first or
    not. It does so for two kinds of errors, so they leave here as a third.
    """
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise  # never connected, nothing sent
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise aiohttp.ClientConnectionError(str(error) or type(error).__name__) from error


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The whole body, bounded: a venue that never ends its answer is cut off."""
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_chunked(2**18):
        size += len(part)
        if size > BODY_BYTES_MAX:
            raise aiohttp.ClientPayloadError(f"body is longer than {BODY_BYTES_MAX} bytes")
        parts.append(part)
    await asyncio.sleep(0)  # let a burst of answers not starve the sockets
    return b"".join(parts)
