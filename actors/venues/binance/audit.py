"""Read-only queries for audits, client role: the venue's own ledger of an account, page by page.

Each query is a pair: a signed request and the reader of its answer. Rows are those of `venues/ledger.py`, so an audit
compares like with like. Source: rest-api.md "Account endpoints"; USD-M "Account" and "Trade" pages, read 2026-07.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, TypeVar

import msgspec

from actors.venues.binance.common import (
    AMENDMENTS_PATH,
    INCOME_PATH,
    PATHS,
    POSITIONS_PATH,
    UNREADABLE,
    SymbolMap,
    market_of,
    plain,
)
from actors.venues.binance.errors import reject_of
from actors.venues.binance.orders import OrderRow, order_lots, order_ticks, to_ledger_order
from actors.venues.binance.replies import TradeRow, to_fill
from actors.venues.binance.trading import BinanceTrading
from actors.venues.dialect import HttpRequest
from actors.venues.ledger import (
    LedgerAccount,
    LedgerAmendment,
    LedgerBalance,
    LedgerIncome,
    LedgerOrder,
    LedgerPosition,
    LedgerTrade,
)
from actors.vocab.errors import OurFault, VenueFault

_Row = TypeVar("_Row")

PAGE_MAX: Final = 1000  # rows of one answer; a full page means: ask again from its last row
AMENDMENTS_PAGE_MAX: Final = 100  # of amendments the venue gives fewer


class _Income(msgspec.Struct):
    incomeType: str
    income: str
    asset: str
    time: int
    tranId: int | str
    symbol: str | None = ""
    tradeId: int | str = ""


class _Change(msgspec.Struct):
    before: str
    after: str


class _Amended(msgspec.Struct):
    price: _Change
    origQty: _Change
    count: int


class _Amendment(msgspec.Struct):
    amendmentId: int
    symbol: str
    orderId: int
    clientOrderId: str
    time: int
    amendment: _Amended


class _SpotBalance(msgspec.Struct):
    asset: str
    free: str
    locked: str


class _Rates(msgspec.Struct, frozen=True):
    maker: str = "0"
    taker: str = "0"


class _SpotAccount(msgspec.Struct):
    balances: list[_SpotBalance]
    commissionRates: _Rates = _Rates()
    updateTime: int = 0
    canTrade: bool = True
    canWithdraw: bool = False


class _PerpAsset(msgspec.Struct):
    asset: str
    walletBalance: str
    unrealizedProfit: str = "0"
    initialMargin: str = "0"


class _PerpAccount(msgspec.Struct):
    assets: list[_PerpAsset]
    updateTime: int = 0
    canTrade: bool = True
    canWithdraw: bool = False


class _Position(msgspec.Struct):
    symbol: str
    positionAmt: str
    entryPrice: str = "0"
    markPrice: str = "0"
    unRealizedProfit: str = "0"
    updateTime: int = 0


_orders = msgspec.json.Decoder(list[OrderRow])
_trades = msgspec.json.Decoder(list[TradeRow])
_income = msgspec.json.Decoder(list[_Income])
_amendments = msgspec.json.Decoder(list[_Amendment])
_spot_account = msgspec.json.Decoder(_SpotAccount)
_perp_account = msgspec.json.Decoder(_PerpAccount)
_positions = msgspec.json.Decoder(list[_Position])


class BinanceAudit:
    """Queries of one account. `VenueFault` where the venue refuses or its answer cannot be read."""

    def __init__(self, trading: BinanceTrading) -> None:
        self.venue = trading.venue
        self._trading = trading
        self._market = market_of(trading.venue)
        self._paths = PATHS[self._market]

    @property
    def _names(self) -> SymbolMap:
        return self._trading.names

    def all_orders_request(
        self, symbol: str, *, timestamp_ms: int, from_order_id: int = 0, since_ms: int = 0, until_ms: int = 0
    ) -> HttpRequest:
        """Orders with venue id >= `from_order_id`, or created in the span (the venue allows 7 days, spot 1 day)."""
        params = self._page(symbol, since_ms, until_ms)
        if from_order_id:
            params["orderId"] = str(from_order_id)
        return self._get(self._paths.all_orders, params, timestamp_ms, 5 if self._market == "perp" else 20)

    def open_orders_request(self, symbol: str = "", *, timestamp_ms: int) -> HttpRequest:
        params = {"symbol": self._name(symbol)} if symbol else {}
        return self._get(self._paths.open_orders, params, timestamp_ms, 40)

    def decode_orders(self, status: int, body: bytes) -> list[LedgerOrder]:
        """Of our instruments, in the venue's order; reads both requests above."""
        rows = self._read(_orders, status, body)
        return [to_ledger_order(self._names, row) for row in rows if row.symbol in self._names.books]

    def trades_request(
        self, symbol: str, *, timestamp_ms: int, from_trade_id: int = 0, since_ms: int = 0, until_ms: int = 0
    ) -> HttpRequest:
        params = self._page(symbol, since_ms, until_ms)
        if from_trade_id:
            params["fromId"] = str(from_trade_id)
        return self._get(self._paths.own_trades, params, timestamp_ms, 5 if self._market == "perp" else 20)

    def decode_trades(self, status: int, body: bytes) -> list[LedgerTrade]:
        rows = self._read(_trades, status, body)
        return [LedgerTrade(to_fill(self._names, row, 0), row.realizedPnl) for row in sorted(rows, key=lambda r: r.id)]

    def income_request(
        self, *, timestamp_ms: int, symbol: str = "", kind: str = "", since_ms: int = 0, until_ms: int = 0
    ) -> HttpRequest:
        """Perpetuals only: realised pnl, commission, funding, transfers. Spot has no such list: `OurFault`."""
        if self._market != "perp":
            raise OurFault("spot has no income list: its trades and balances tell all")
        params = self._page(symbol, since_ms, until_ms)
        if kind:
            params["incomeType"] = kind
        return self._get(INCOME_PATH, params, timestamp_ms, 30)

    def decode_income(self, status: int, body: bytes) -> list[LedgerIncome]:
        return [self._income_row(row) for row in self._read(_income, status, body)]

    def amendments_request(
        self, symbol: str, venue_order_id: str, *, timestamp_ms: int, until_ms: int = 0
    ) -> HttpRequest:
        """The newest AMENDMENTS_PAGE_MAX of one order, `until_ms` included."""
        params = {"symbol": self._name(symbol), "orderId": venue_order_id, "limit": str(AMENDMENTS_PAGE_MAX)}
        if until_ms:
            params["endTime"] = str(until_ms)
        return self._get(AMENDMENTS_PATH[self._market], params, timestamp_ms, 1 if self._market == "perp" else 4)

    def decode_amendments(self, status: int, body: bytes) -> list[LedgerAmendment]:
        """Oldest first (the venue sends the newest first)."""
        rows = [self._amendment(row) for row in self._read(_amendments, status, body)]
        return sorted(rows, key=lambda row: row.amendment_id)

    def account_request(self, *, timestamp_ms: int) -> HttpRequest:
        return self._get(self._paths.account, {}, timestamp_ms, 5 if self._market == "perp" else 20)

    def decode_account(self, status: int, body: bytes) -> LedgerAccount:
        """Balances and permissions; positions of perpetuals come from `positions_request`."""
        if self._market == "spot":
            account = self._read(_spot_account, status, body)
            balances = tuple(
                LedgerBalance(row.asset, plain(Decimal(row.free) + Decimal(row.locked)), row.locked)
                for row in account.balances
            )
            rates = account.commissionRates
            return LedgerAccount(
                balances=balances,
                maker_rate=rates.maker,
                taker_rate=rates.taker,
                updated_ms=account.updateTime,
                can_trade=account.canTrade,
                can_withdraw=account.canWithdraw,
            )
        perp = self._read(_perp_account, status, body)
        return LedgerAccount(
            balances=tuple(
                LedgerBalance(row.asset, row.walletBalance, row.initialMargin, row.unrealizedProfit)
                for row in perp.assets
            ),
            updated_ms=perp.updateTime,
            can_trade=perp.canTrade,
            can_withdraw=perp.canWithdraw,
        )

    def positions_request(self, *, timestamp_ms: int) -> HttpRequest:
        if self._market != "perp":
            raise OurFault("spot has balances, no positions")
        return self._get(POSITIONS_PATH, {}, timestamp_ms, 5)

    def decode_positions(self, status: int, body: bytes) -> list[LedgerPosition]:
        rows = []
        for row in self._read(_positions, status, body):
            book = self._names.books.get(row.symbol)
            if book is not None:
                rows.append(
                    LedgerPosition(
                        symbol=book.symbol,
                        position_lots=book.whole_lots(row.positionAmt),
                        entry_ticks=float(row.entryPrice) * book.inv_tick,
                        mark_ticks=float(row.markPrice) * book.inv_tick,
                        unrealized=row.unRealizedProfit,
                        updated_ms=row.updateTime,
                    )
                )
        return rows

    # --- helpers ------------------------------------------------------------------------------------------------

    def _name(self, symbol: str) -> str:
        return self._names.instrument(symbol).venue_symbol

    def _page(self, symbol: str, since_ms: int, until_ms: int) -> dict[str, str]:
        params = {"symbol": self._name(symbol)} if symbol else {}
        params["limit"] = str(PAGE_MAX)
        if since_ms:
            params["startTime"] = str(since_ms)
        if until_ms:
            params["endTime"] = str(until_ms)
        return params

    def _get(self, path: str, params: Mapping[str, str], timestamp_ms: int, weight: int) -> HttpRequest:
        return self._trading.signed_get(path, params, timestamp_ms=timestamp_ms, weight=weight)

    def _read(self, decoder: msgspec.json.Decoder[_Row], status: int, body: bytes) -> _Row:
        if status != 200:
            reject = reject_of(self._market, 0, status, {}, body, symbol="", client_id="")
            raise VenueFault(f"{self.venue} refuses: {reject.code} {reject.text} ({reject.kind.name})")
        try:
            return decoder.decode(body)
        except UNREADABLE as error:
            raise VenueFault(f"{self.venue}: ledger page is not readable: {error}") from error

    def _income_row(self, row: _Income) -> LedgerIncome:
        book = self._names.books.get(row.symbol or "")
        return LedgerIncome(
            symbol=book.symbol if book else row.symbol or "",
            kind=row.incomeType,
            amount=row.income,
            asset=row.asset,
            time_ms=row.time,
            tran_id=int(row.tranId),
            trade_id=int(row.tradeId or 0),
        )

    def _amendment(self, row: _Amendment) -> LedgerAmendment:
        book = self._names.book(row.symbol)
        change = row.amendment
        return LedgerAmendment(
            symbol=book.symbol,
            client_id=row.clientOrderId,
            venue_order_id=str(row.orderId),
            amendment_id=row.amendmentId,
            time_ms=row.time,
            price_ticks_before=order_ticks(book, change.price.before),
            price_ticks=order_ticks(book, change.price.after),
            lots_before=order_lots(book, change.origQty.before),
            lots=order_lots(book, change.origQty.after),
            amendments_count=change.count,
        )
