"""Answers to public queries of a simulated Binance: depth, candles, trades, tickers, mark prices."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from actors.venues.binance.calls import MarketQuery, Reply
from actors.venues.binance.common import plain
from actors.venues.binance.server_forms import Forms
from actors.venues.binance.server_streams import plain_float
from actors.vocab.market import Kline, Side
from actors.vocab.units import NS_PER_MS
from actors.vocab.venue_io import (
    DepthSnapshot,
    MarkPrice,
    PublicTrade,
    TopOfBook,
)


class Ticker(msgspec.Struct, frozen=True):
    """What a 24 h ticker is made of: the newest top, the day as one candle, and the newest trade."""

    top: TopOfBook
    day: Kline
    last_ticks: int
    last_lots: int = 0


# Letter of the stream -> name in the REST answer; USD-M has no best prices and no previous close.
_MINI_LETTERS: Final = {
    "c": "lastPrice",
    "o": "openPrice",
    "h": "highPrice",
    "l": "lowPrice",
    "v": "volume",
    "q": "quoteVolume",
}
_TICKER_LETTERS: Final = {
    "p": "priceChange",
    "P": "priceChangePercent",
    "w": "weightedAvgPrice",
    "x": "prevClosePrice",
    "Q": "lastQty",
    "b": "bidPrice",
    "B": "bidQty",
    "a": "askPrice",
    "A": "askQty",
    "O": "openTime",
    "C": "closeTime",
    "F": "firstId",
    "L": "lastId",
    "n": "count",
} | _MINI_LETTERS


class MarketReplies(Forms):
    """Spells public data. Lists come oldest first."""

    def depth(self, call: MarketQuery, snapshot: DepthSnapshot, now_ms: int) -> Reply:
        s = self._spellers[snapshot.symbol]
        stamp = f'"E":{now_ms},"T":{now_ms},' if self._perp else ""
        text = (
            f'{{"lastUpdateId":{snapshot.last_seq},{stamp}"bids":[{s.levels(snapshot.bids)}],'
            f'"asks":[{s.levels(snapshot.asks)}]}}'
        )
        return self.raw(text.encode(), call.ws_id)

    def klines(self, call: MarketQuery, klines: Sequence[Kline]) -> Reply:
        s = self._spellers[call.symbols[0]]
        value = s.instrument.usd_per_tick_lot_exact
        rows = [
            [
                k.open_ms,
                s.prices[k.open_ticks],
                s.prices[k.high_ticks],
                s.prices[k.low_ticks],
                s.prices[k.close_ticks],
                s.sizes[k.lots],
                k.close_ms,
                plain(k.lots * k.close_ticks * value),
                k.trades_count,
                s.sizes[k.lots // 2],
                plain(k.lots // 2 * k.close_ticks * value),
                "0",
            ]
            for k in klines
        ]
        return self.value(rows, call.ws_id)

    def trades(self, call: MarketQuery, trades: Sequence[PublicTrade]) -> Reply:
        spelled = self._agg_trade if call.operation == "aggTrades" else self._trade
        return self.value([spelled(trade) for trade in trades], call.ws_id)

    def _trade(self, trade: PublicTrade) -> dict[str, Any]:
        s = self._spellers[trade.symbol]
        quote = trade.lots * trade.price_ticks * s.instrument.usd_per_tick_lot_exact
        row: dict[str, Any] = {
            "id": trade.trade_id,
            "price": s.prices[trade.price_ticks],
            "qty": s.sizes[trade.lots],
            "quoteQty": plain(quote),
            "time": trade.event_ns // NS_PER_MS,
            "isBuyerMaker": trade.side is Side.SELL,
        }
        return row if self._perp else {**row, "isBestMatch": True}

    def _agg_trade(self, trade: PublicTrade) -> dict[str, Any]:
        s = self._spellers[trade.symbol]
        row: dict[str, Any] = {
            "a": trade.trade_id,
            "p": s.prices[trade.price_ticks],
            "q": s.sizes[trade.lots],
            "f": trade.trade_id,
            "l": trade.trade_id,
            "T": trade.event_ns // NS_PER_MS,
            "m": trade.side is Side.SELL,
        }
        return row if self._perp else {**row, "M": True}

    def book_tickers(self, call: MarketQuery, tops: Sequence[TopOfBook]) -> Reply:
        return self._some(call, [self._top(top) for top in tops])

    def _top(self, top: TopOfBook) -> dict[str, Any]:
        s = self._spellers[top.symbol]
        row: dict[str, Any] = {
            "symbol": s.name,
            "bidPrice": s.prices[top.bid_ticks],
            "bidQty": s.sizes[top.bid_lots],
            "askPrice": s.prices[top.ask_ticks],
            "askQty": s.sizes[top.ask_lots],
        }
        return {**row, "lastUpdateId": top.seq, "time": top.event_ns // NS_PER_MS} if self._perp else row

    def prices(self, call: MarketQuery, tops: Sequence[TopOfBook]) -> Reply:
        rows = []
        for top in tops:
            s = self._spellers[top.symbol]
            row: dict[str, Any] = {"symbol": s.name, "price": s.prices[(top.bid_ticks + top.ask_ticks) // 2]}
            rows.append({**row, "time": top.event_ns // NS_PER_MS} if self._perp else row)
        return self._some(call, rows)

    def tickers(self, call: MarketQuery, tickers: Sequence[Ticker]) -> Reply:
        return self._some(call, [self._ticker(ticker) for ticker in tickers])

    def _ticker(self, ticker: Ticker) -> dict[str, Any]:
        top, day = ticker.top, ticker.day
        s = self._spellers[top.symbol]
        change = ticker.last_ticks - day.open_ticks
        share = Decimal(change) / Decimal(day.open_ticks) * 100 if day.open_ticks else Decimal(0)
        last = s.prices[ticker.last_ticks]
        quote = plain(day.lots * day.close_ticks * s.instrument.usd_per_tick_lot_exact)
        row: dict[str, Any] = {
            "symbol": s.name,
            "priceChange": plain(change * s.instrument.tick),
            "priceChangePercent": plain(share.quantize(Decimal("0.001"))),
            "weightedAvgPrice": s.prices[day.close_ticks],
            "lastPrice": last,
            "lastQty": s.sizes[ticker.last_lots],
            "openPrice": s.prices[day.open_ticks],
            "highPrice": s.prices[day.high_ticks],
            "lowPrice": s.prices[day.low_ticks],
            "volume": s.sizes[day.lots],
            "quoteVolume": quote,
            "openTime": day.open_ms,
            "closeTime": day.close_ms,
            "firstId": 0,
            "lastId": 0,
            "count": day.trades_count,
        }
        if self._perp:
            return row
        return {**row, **self._top(top), "prevClosePrice": s.prices[day.open_ticks]}

    def ticker_frame(self, ticker: Ticker, *, mini: bool, now_ms: int) -> bytes:
        """The same day as a frame of `@ticker` or `@miniTicker`."""
        row = self._ticker(ticker)
        letters = _MINI_LETTERS if mini else _TICKER_LETTERS
        named = {letter: row[name] for letter, name in letters.items() if name in row}
        kind = "24hrMiniTicker" if mini else "24hrTicker"
        return msgspec.json.encode({"e": kind, "E": now_ms, "s": row["symbol"], **named})

    def average_frame(self, symbol: str, price_ticks: float, traded_ms: int, *, now_ms: int) -> bytes:
        s = self._spellers[symbol]
        row = {"e": "avgPrice", "E": now_ms, "s": s.name, "i": "5m", "w": s.price(price_ticks), "T": traded_ms}
        return msgspec.json.encode(row)

    def mark_prices(self, call: MarketQuery, marks: Sequence[MarkPrice], now_ms: int) -> Reply:
        rows = []
        for mark in marks:
            s = self._spellers[mark.symbol]
            rows.append(
                {
                    "symbol": s.name,
                    "markPrice": s.price(mark.mark_ticks),
                    "indexPrice": s.price(mark.index_ticks),
                    "estimatedSettlePrice": s.price(mark.mark_ticks),
                    "lastFundingRate": plain_float(mark.funding_rate),
                    "interestRate": "0.00010000",
                    "nextFundingTime": mark.next_funding_ms,
                    "time": now_ms,
                }
            )
        return self._some(call, rows)

    def funding_rates(self, call: MarketQuery, marks: Sequence[MarkPrice]) -> Reply:
        rows = [
            {
                "symbol": self._spellers[mark.symbol].name,
                "fundingRate": plain_float(mark.funding_rate),
                "fundingTime": mark.event_ns // NS_PER_MS,
                "markPrice": self._spellers[mark.symbol].price(mark.mark_ticks),
            }
            for mark in marks
        ]
        return self.value(rows, call.ws_id)

    def _some(self, call: MarketQuery, rows: Sequence[dict[str, Any]]) -> Reply:
        """A list, or the one row where one symbol was named."""
        return self.value(rows if call.listed else rows[0], call.ws_id)
