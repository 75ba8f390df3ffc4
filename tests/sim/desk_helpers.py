"""Small venues and shorthand for asking them, shared by the tests of this folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actors.sim.exchange import SimExchange
from actors.sim.flow import MarketProfile
from actors.sim.messages import ClientRequest, Private, Reply, SimCommand
from actors.sim.recorded import RecordedExchange
from actors.vocab.config.sim import SimSettings
from actors.vocab.instruments import Instrument, Market
from actors.vocab.market import Side
from actors.vocab.units import NS_PER_MS
from actors.vocab.venue_io import (
    DepthDelta,
    TopOfBook,
    VenueCancel,
    VenueEvent,
    VenuePlace,
    VenueReplace,
    VenueRequest,
)

START_MS = 1_700_000_000_000
START_NS = START_MS * NS_PER_MS
MS = NS_PER_MS


def instrument(symbol: str = "AAAUSDT", *, market: Market = "perp", **changes: Any) -> Instrument:
    fields: dict[str, Any] = {
        "symbol": symbol,
        "venue": f"binance_{market}",
        "market": market,
        "venue_symbol": symbol,
        "base": symbol.removesuffix("USDT"),
        "quote": "USDT",
        "tick_size": "0.01",
        "lot_size": "0.1",
        "min_notional": "5",
    }
    return Instrument(**(fields | changes))


def still(**changes: Any) -> SimSettings:
    """No takers, no latency, no coins: nothing happens to our orders but what the test does."""
    fields: dict[str, Any] = {
        "taker_rate_per_s": 0.0,
        "informed_share": 0.0,
        "order_latency_ms": 0.0,
        "frames_per_s": 30.0,
        "spot_coins_usd": 0.0,
    }
    return SimSettings(**(fields | changes))


def sim(
    *,
    market: Market = "perp",
    symbols: Sequence[str] = ("AAAUSDT",),
    seed: int = 1,
    settings: SimSettings | None = None,
    **changes: Any,
) -> SimExchange:
    return SimExchange(
        venue=f"binance_{market}",
        instruments=[instrument(symbol, market=market, **changes) for symbol in symbols],
        prices=dict.fromkeys(symbols, 100.0),
        settings=settings or still(),
        seed=seed,
        start_ms=START_MS,
        profiles={symbol: MarketProfile(0.8, 1_000_000.0) for symbol in symbols},
    )


def recorded(*, market: Market = "perp", settings: SimSettings | None = None, **changes: Any) -> RecordedExchange:
    return RecordedExchange(
        venue=f"binance_{market}",
        instruments=[instrument(market=market, **changes)],
        settings=settings or SimSettings(order_latency_ms=0.0, response_latency_ms=0.0),
        seed=1,
        start_ms=START_MS,
    )


class Client:
    """Asks as one account and advances the venue until the answer has come."""

    def __init__(self, exchange: SimExchange | RecordedExchange, account: str = "us", symbol: str = "AAAUSDT") -> None:
        self.exchange = exchange
        self.account = account
        self.symbol = symbol
        self.now_ns = exchange.now_ns
        self.log: list[SimCommand] = []
        self._request_no = 0

    def ask(self, request: VenueRequest) -> VenueEvent | None:
        """The answer's event; everything the venue said meanwhile is in `log`."""
        self.now_ns = max(self.now_ns, self.exchange.now_ns)
        new = self.exchange.handle(ClientRequest(1, self.account, request), self.now_ns)
        new += self.exchange.advance(self.now_ns)
        self.log += new
        for command in new:
            if isinstance(command, Reply) and command.request_no == request.request_no:
                return command.event
        return None

    def number(self) -> int:
        self._request_no += 1
        return self._request_no

    def place(
        self, client_id: str, side: Side, price_ticks: int, lots: int = 10, *, post_only: bool = False, **more: Any
    ) -> VenueEvent | None:
        return self.ask(
            VenuePlace(self.number(), self.symbol, client_id, side, price_ticks, lots, post_only=post_only, **more)
        )

    def replace(
        self, client_id: str, price_ticks: int, lots: int, *, side: Side = Side.BUY, new_client_id: str = ""
    ) -> VenueEvent | None:
        return self.ask(VenueReplace(self.number(), self.symbol, client_id, new_client_id, "", side, price_ticks, lots))

    def cancel(self, client_id: str) -> VenueEvent | None:
        return self.ask(VenueCancel(self.number(), self.symbol, client_id))

    def run(self, span_ms: float) -> list[SimCommand]:
        self.now_ns = max(self.now_ns, self.exchange.now_ns) + int(span_ms * MS)
        new = self.exchange.advance(self.now_ns)
        self.log += new
        return new

    def private(self) -> list[tuple[str, VenueEvent]]:
        """(execution, event) of everything private so far."""
        return [(each.execution.value, each.event) for each in self.log if isinstance(each, Private)]


def top(bid: int, ask: int, *, seq: int = 1, lots: int = 100, symbol: str = "AAAUSDT") -> TopOfBook:
    return TopOfBook(symbol, seq, START_NS, bid, lots, ask, lots)


def delta(bids: list[tuple[int, int]], asks: list[tuple[int, int]], *, seq: int, symbol: str = "AAAUSDT") -> DepthDelta:
    return DepthDelta(symbol, seq, seq, seq - 1, START_NS, bids, asks)
