"""What a venue's dialect must be able to say and understand. Dialects are pure: bytes in, events out.

The client role is used by feeds and gateways, the server role by the simulator. Both live beside each other so
that they cannot drift; a property test says that decoding an encoded event gives it back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from actors.vocab.instruments import Instrument
from actors.vocab.market import Kline
from actors.vocab.venue_io import DepthSnapshot, MarketEvent, VenueEvent, VenueRequest


class HttpRequest(msgspec.Struct, frozen=True):
    """One HTTP call. `path_query` is sent exactly as written: signatures cover it byte for byte."""

    method: str
    path_query: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    weight: int = 1


class WsCall(msgspec.Struct, frozen=True):
    """One request over a websocket; the answer carries `call_id`."""

    call_id: str
    frame: str


class StreamPlan(msgspec.Struct, frozen=True):
    """One public connection: where to dial and what to send after connecting, packed under the venue's limits."""

    name: str
    url: str
    subscribe_frames: tuple[str, ...]
    symbols: tuple[str, ...]
    frame_interval_ms: int = 0  # least time between two of our frames
    max_age_s: float = 0.0  # the venue hangs up at this age; reconnect before it. 0: never


class Credentials(msgspec.Struct, frozen=True):
    """Never printed: repr hides everything."""

    api_key: str
    secret: str
    kind: str = "hmac"  # hmac | ed25519 | rsa

    def __repr__(self) -> str:
        return "Credentials(…)"


class MarketDialect(Protocol):
    """Public market data, client role. One object per venue account, holding its instruments."""

    venue: str

    def instruments_request(self) -> HttpRequest: ...

    def decode_instruments(self, body: bytes, symbols: Sequence[str]) -> list[Instrument]:
        """Instruments of the wanted symbols; one that the venue does not list is absent."""
        ...

    def use(self, instruments: Sequence[Instrument]) -> None:
        """Decode with these steps from now on."""
        ...

    def snapshot_request(self, symbol: str, levels: int) -> HttpRequest: ...

    def decode_snapshot(self, symbol: str, body: bytes) -> DepthSnapshot: ...

    def klines_request(self, symbol: str, interval: str, count: int) -> HttpRequest: ...

    def decode_klines(self, symbol: str, body: bytes) -> list[Kline]: ...

    def plan(self, symbols: Sequence[str], stream_url: str) -> list[StreamPlan]: ...

    def decode(self, frame: bytes | str) -> MarketEvent | None:
        """One event per frame; None where we did not ask for its symbol or kind. `VenueFault` when unreadable."""
        ...


class TradingDialect(Protocol):
    """Signed calls and private streams, client role."""

    venue: str

    def encode(self, request: VenueRequest, *, timestamp_ms: int) -> HttpRequest | WsCall:
        """Sign and spell one request; `WsCall` where the venue takes orders over a websocket and one is configured."""
        ...

    def decode_http(
        self, request: VenueRequest, status: int, headers: Mapping[str, str], body: bytes
    ) -> list[VenueEvent]:
        """Never raises on a venue's error: it becomes a `VenueReject` with its kind."""
        ...

    def decode_reply(self, request: VenueRequest, frame: bytes | str) -> list[VenueEvent]:
        """Answer to a `WsCall`."""
        ...

    def reply_call_id(self, frame: bytes | str) -> str | None:
        """Which `WsCall` a frame of the order connection answers; None when it is a stream event."""
        ...

    def decode_private(self, frame: bytes | str) -> list[VenueEvent]:
        """Events of one private frame; [] where it holds nothing for us. `VenueFault` when unreadable.

        Lists of request_no 0 (`VenuePositions`, `VenueBalances`) name the changed entries only. A stream that the
        venue ends (key expired, shutdown) is `StreamDown(PRIVATE, reason)`: open it again, then reconcile.
        A trade is a `VenueFill` followed by the `VenueOrder` it led to.
        """
        ...

    # How the private stream opens: send `private_open`; a `WsCall` goes out on the order connection, and its
    # events then arrive there; an `HttpRequest` is answered by what `private_url` needs to name the address to dial.

    private_keepalive_ms: int  # send `private_keepalive` this often; 0: the venue asks for none

    def private_open(self, *, timestamp_ms: int) -> HttpRequest | WsCall: ...

    def private_url(self, status: int, answer: bytes | str) -> str | None:
        """Address to dial; None when events come on the connection that was asked. `VenueFault` when refused."""
        ...

    def private_keepalive(self, *, timestamp_ms: int) -> HttpRequest | None:
        """Keep what `private_open` made alive. A refusal (status >= 400) means: open again."""
        ...

    def use(self, instruments: Sequence[Instrument]) -> None:
        """Speak of these instruments, with these steps, from now on."""
        ...

    def client_id_ok(self, client_id: str) -> bool:
        """Whether the venue takes this client order id as it is."""
        ...
