"""Dialects by the venue's id. The one place to add a line for a new venue; feeds and gateways name no dialect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from actors.venues.binance.common import VENUES as BINANCE_VENUES
from actors.venues.binance.market import BinanceMarket
from actors.venues.binance.trading import BinanceTrading
from actors.venues.dialect import Credentials, MarketDialect, TradingDialect
from actors.vocab.errors import ConfigError
from actors.vocab.instruments import Instrument

# Where real venues serve public data: (REST, streams). Sources: binance-spot-api-docs rest-api.md and
# web-socket-streams.md; developers.binance.com/docs/derivatives/usds-margined-futures/general-info, read 2026-07.
PUBLIC_ADDRESSES: Final = {
    "binance_perp": ("https://fapi.binance.com", "wss://fstream.binance.com"),
    "binance_spot": ("https://api.binance.com", "wss://stream.binance.com:9443"),
}

_Made = TypeVar("_Made")

_MARKETS: Final[dict[str, Callable[..., MarketDialect]]] = {venue: BinanceMarket for venue in BINANCE_VENUES}
_TRADING: Final[dict[str, Callable[..., TradingDialect]]] = {venue: BinanceTrading for venue in BINANCE_VENUES}


def market_dialect(
    venue: str, instruments: Sequence[Instrument] = (), *, streams: Sequence[str] | None = None
) -> MarketDialect:
    """Public data of one venue. `streams` replaces the dialect's usual stream suffixes (replays need it)."""
    return _of(_MARKETS, venue)(venue, instruments, streams=streams)


def trading_dialect(
    venue: str,
    credentials: Credentials,
    instruments: Sequence[Instrument] = (),
    *,
    order_url: str = "",
    stream_url: str = "",
    recv_window_ms: int = 5_000,
) -> TradingDialect:
    """Orders and user stream of one account. `ConfigError` for unusable credentials."""
    make = _of(_TRADING, venue)
    return make(
        venue, credentials, instruments, order_url=order_url, stream_url=stream_url, recv_window_ms=recv_window_ms
    )


def _of(table: dict[str, Callable[..., _Made]], venue: str) -> Callable[..., _Made]:
    try:
        return table[venue]
    except KeyError:
        raise ConfigError(f"venue {venue!r} is unknown; this build speaks {', '.join(sorted(table))}") from None
