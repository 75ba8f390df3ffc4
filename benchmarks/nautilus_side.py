"""The same recording through NautilusTrader's backtest engine, quoting both sides; needs nothing of ours.

python nautilus_side.py MARKET.npz TICK_DECIMALS LOT_DECIMALS      prints JSON; see `backtest_speed.py`
"""

from __future__ import annotations

import json
import sys
import time
from decimal import Decimal
from typing import Any

import numpy as np
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig, StrategyConfig
from nautilus_trader.model.currencies import USDT
from nautilus_trader.model.data import BookOrder, OrderBookDelta, OrderBookDeltas, TradeTick
from nautilus_trader.model.enums import (
    AccountType,
    AggressorSide,
    BookAction,
    BookType,
    OmsType,
    OrderSide,
    RecordFlag,
)
from nautilus_trader.model.identifiers import InstrumentId, Symbol, TradeId, Venue
from nautilus_trader.model.instruments import CryptoPerpetual
from nautilus_trader.model.objects import Currency, Money, Price, Quantity
from nautilus_trader.trading.strategy import Strategy

DEPTH, TRADE, CLEAR, SNAPSHOT = 1, 2, 3, 4
BUY = 1 << 29
VENUE = Venue("BINANCE")
ID = InstrumentId(Symbol("ETHUSDT-PERP"), VENUE)
INTERVAL_NS = 100_000_000  # between two looks at our quotes
AWAY = 5  # ticks from the best price


def instrument(price_decimals: int, size_decimals: int) -> CryptoPerpetual:
    return CryptoPerpetual(
        instrument_id=ID,
        raw_symbol=Symbol("ETHUSDT"),
        base_currency=Currency.from_str("ETH"),
        quote_currency=USDT,
        settlement_currency=USDT,
        is_inverse=False,
        price_precision=price_decimals,
        size_precision=size_decimals,
        price_increment=Price(10.0**-price_decimals, price_decimals),
        size_increment=Quantity(10.0**-size_decimals, size_decimals),
        maker_fee=Decimal("0.0002"),
        taker_fee=Decimal("0.0005"),
        margin_init=Decimal("0.1"),
        margin_maint=Decimal("0.05"),
        ts_event=0,
        ts_init=0,
    )


def read(path: str, price_decimals: int, size_decimals: int) -> list[Any]:
    """One `OrderBookDeltas` a frame, one `TradeTick` a trade."""
    events = np.load(path)["data"]
    found: list[Any] = []
    levels: list[OrderBookDelta] = []
    ends = np.flatnonzero(np.append(np.diff(events["local_ts"]) != 0, True)).tolist()
    last = set(ends)
    for at, row in enumerate(events.tolist()):
        ev, _exchange_ns, ns, price, size = row[:5]
        kind, buy = ev & 0xFF, bool(ev & BUY)
        if kind == TRADE:
            aggressor = AggressorSide.BUYER if buy else AggressorSide.SELLER
            amount = Quantity(size, size_decimals)
            found.append(TradeTick(ID, Price(price, price_decimals), amount, aggressor, TradeId(str(at)), ns, ns))
        elif kind != CLEAR:
            order = BookOrder(
                OrderSide.BUY if buy else OrderSide.SELL,
                Price(price, price_decimals),
                Quantity(size, size_decimals),
                0,
            )
            action = BookAction.UPDATE if size else BookAction.DELETE
            flags = RecordFlag.F_LAST if at in last else 0
            levels.append(OrderBookDelta(ID, action, order, flags, 0, ns, ns))
        if at in last and levels:
            found.append(OrderBookDeltas(ID, levels))
            levels = []
    return found


class TwoSided(Strategy):
    """One order a side, some ticks from the best price; moved when the market has, at most every `INTERVAL_NS`."""

    def on_start(self) -> None:
        self.frames_count = self.decisions_count = 0
        self.due_ns = 0
        self.row = self.cache.instrument(ID)
        self.tick = float(self.row.price_increment)
        self.live: dict[Any, Any] = {}
        self.subscribe_order_book_deltas(ID, book_type=BookType.L2_MBP)
        self.subscribe_trade_ticks(ID)

    def on_order_book_deltas(self, deltas: OrderBookDeltas) -> None:
        self.frames_count += 1
        if deltas.ts_event < self.due_ns:
            return
        self.due_ns = deltas.ts_event + INTERVAL_NS
        self.decisions_count += 1
        book = self.cache.order_book(ID)
        bid, ask = book.best_bid_price(), book.best_ask_price()
        if bid is None or ask is None:
            return
        for side, best, sign in ((OrderSide.BUY, bid, -1), (OrderSide.SELL, ask, 1)):
            price = self.row.make_price(float(best) + sign * AWAY * self.tick)
            order = self.live.get(side)
            if order is not None and order.is_open and order.price == price:
                continue
            if order is not None and order.is_open:
                self.cancel_order(order)
            if order is None or not order.is_inflight:
                made = self.order_factory.limit(ID, side, self.row.make_qty(0.093), price, post_only=True)
                self.live[side] = made
                self.submit_order(made)

    def on_trade_tick(self, tick: TradeTick) -> None:
        self.frames_count += 1


def main(path: str, price_decimals: int, size_decimals: int) -> None:
    data = read(path, price_decimals, size_decimals)
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    engine.add_venue(
        venue=VENUE,
        oms_type=OmsType.NETTING,
        account_type=AccountType.MARGIN,
        base_currency=None,
        starting_balances=[Money(1_000_000, USDT)],
        book_type=BookType.L2_MBP,
    )
    engine.add_instrument(instrument(price_decimals, size_decimals))
    engine.add_data(data)
    strategy = TwoSided(StrategyConfig())
    engine.add_strategy(strategy)
    began_s = time.process_time()
    engine.run()
    took_s = time.process_time() - began_s
    print(
        json.dumps(
            {
                "frames": strategy.frames_count,
                "decisions": strategy.decisions_count,
                "orders": len(engine.cache.orders()),
                "frames_per_s": round(strategy.frames_count / took_s),
                "decisions_per_s": round(strategy.decisions_count / took_s),
            }
        )
    )
    engine.dispose()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
