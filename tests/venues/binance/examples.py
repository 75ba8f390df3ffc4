"""Instruments, accounts and hypothesis strategies that the tests of this dialect share."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st

from actors.venues.binance.calls import ServerAccount
from actors.venues.binance.market import BinanceMarket
from actors.venues.binance.server import BinanceServer
from actors.venues.binance.trading import BinanceTrading
from actors.venues.dialect import Credentials, HttpRequest
from actors.vocab.instruments import Instrument
from actors.vocab.market import Side

NOW_MS = 1_723_161_600_000
NOW_NS = NOW_MS * 1_000_000

PERP_BTC = Instrument("BTCUSDT", "binance_perp", "perp", "BTCUSDT", "BTC", "USDT", "0.1", "0.001", min_notional="100")
PERP_PEPE = Instrument(
    "1000PEPEUSDT", "binance_perp", "perp", "1000PEPEUSDT", "PEPE", "USDT", "0.0000001", "1", min_notional="5"
)
SPOT_BTC = Instrument("BTCUSDT", "binance_spot", "spot", "BTCUSDT", "BTC", "USDT", "0.01", "0.00001", min_notional="5")
SPOT_ETHBTC = Instrument(
    "ETHBTC", "binance_spot", "spot", "ETHBTC", "ETH", "BTC", "0.00001", "0.0001", min_notional="0.0001"
)
ROWS = {"binance_perp": (PERP_BTC, PERP_PEPE), "binance_spot": (SPOT_BTC, SPOT_ETHBTC)}
VENUES = tuple(ROWS)

KEYS = Credentials("test-key", "test-secret")


@dataclass
class Wire:
    """Client and server of one venue, joined in memory."""

    venue: str
    market: BinanceMarket
    trading: BinanceTrading
    server: BinanceServer

    @property
    def symbols(self) -> list[str]:
        return [row.symbol for row in ROWS[self.venue]]


def wire(venue: str, *, ws: bool = False) -> Wire:
    rows = ROWS[venue]
    return Wire(
        venue=venue,
        market=BinanceMarket(venue, rows),
        trading=BinanceTrading(venue, KEYS, rows, order_url="ws://x" if ws else "", stream_url="ws://s"),
        server=BinanceServer(venue, rows, [ServerAccount("main", KEYS)]),
    )


def carry(server: BinanceServer, request: HttpRequest, *, request_no: int, now_ms: int = NOW_MS):
    """What the shell does with an HTTP request."""
    path, _, query = request.path_query.partition("?")
    headers = {name.lower(): value for name, value in request.headers}
    return server.http(request.method, path, query, headers, request.body, now_ms=now_ms, request_no=request_no)


def lower(headers) -> dict[str, str]:
    return {name.lower(): value for name, value in headers}


sides = st.sampled_from([Side.BUY, Side.SELL])
ticks = st.integers(min_value=1, max_value=10**7)
lots = st.integers(min_value=0, max_value=10**7)
some_lots = st.integers(min_value=1, max_value=10**7)
ids = st.integers(min_value=1, max_value=10**15)
moments_ms = st.integers(min_value=0, max_value=4_000_000_000_000)
levels = st.lists(st.tuples(ticks, lots), max_size=5)
client_ids = st.from_regex(r"[a-zA-Z0-9_-]{1,36}", fullmatch=True)
cents = st.integers(min_value=-(10**9), max_value=10**9).map(lambda n: f"{n / 100:.2f}")

# No deadline: the properties are pure, so a slow example only says that the machine was busy.
steady = settings(max_examples=60)
