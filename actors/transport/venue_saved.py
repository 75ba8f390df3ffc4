"""A saved venue ledger behind the venue's own REST interface on loopback, with a key made for this one reading."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from actors.sim.saved import SavedExchange, SavedVenue, load_venue
from actors.transport.identity import SystemClock
from actors.transport.venue_desk import VenueClock
from actors.transport.venue_server import VenueServer
from actors.venues.binance.calls import ServerAccount
from actors.venues.binance.server import BinanceServer
from actors.venues.dialect import Credentials
from actors.vocab.errors import ConfigError
from actors.vocab.instruments import Market

_KEY_BYTES = 32
# The venue's own limit would make a long reading wait for minutes, and nobody else is served here.
_WEIGHT_MAX = 1 << 62


class OpenLedger(msgspec.Struct, frozen=True):
    """Where a saved venue answers, and the key it answers to."""

    venue: str
    rest_url: str
    credentials: Credentials


@contextlib.asynccontextmanager
async def serve_saved(path: Path) -> AsyncIterator[OpenLedger]:
    """Serve the ledger at `path` until the block ends. `ConfigError` when the file cannot be used."""
    saved = _load(path)
    exchange = SavedExchange(saved)
    credentials = Credentials(api_key=secrets.token_hex(_KEY_BYTES), secret=secrets.token_hex(_KEY_BYTES))
    market: Market = "spot" if saved.market == "spot" else "perp"
    clock = VenueClock(SystemClock())
    clock.hold(saved.saved_ns)
    clock.free()  # from there on: signed requests must be of now
    server = VenueServer(
        dialect=BinanceServer(
            saved.venue, saved.instruments, [ServerAccount(row.account, credentials) for row in saved.accounts[:1]]
        ),
        exchange=exchange,
        clock=clock,
        market=market,
        weight_1m_max=_WEIGHT_MAX,
    )
    port = await server.start()
    try:
        yield OpenLedger(saved.venue, f"http://127.0.0.1:{port}", credentials)
    finally:
        await server.stop()


def _load(path: Path) -> SavedVenue:
    try:
        return load_venue(path.read_bytes(), str(path))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
