"""Answers to account queries of a simulated Binance: ledger rows, balances, positions, fees, user stream handles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from actors.venues.binance.calls import LedgerQuery, PrivateCall, Reply
from actors.venues.binance.common import plain
from actors.venues.binance.errors import SUBSCRIBED_ALREADY
from actors.venues.binance.metadata import RATE_LIMITS
from actors.venues.binance.server_forms import Forms
from actors.venues.binance.server_operations import LEVERAGE
from actors.venues.binance.server_orders import OrderReplies
from actors.venues.binance.server_streams import Speller, plain_float
from actors.venues.ledger import (
    LedgerAccount,
    LedgerAmendment,
    LedgerBalance,
    LedgerIncome,
    LedgerOrder,
    LedgerPosition,
    LedgerTrade,
)
from actors.vocab.market import Side
from actors.vocab.units import NS_PER_MS
from actors.vocab.venue_io import RateUsage


class AccountReplies(Forms):
    """Spells ledger rows; `orders` spells an order's row for answers and lists alike."""

    def __init__(self, venue: str, spellers: Mapping[str, Speller], orders: OrderReplies) -> None:
        super().__init__(venue, spellers)
        self._orders = orders

    def orders(self, call: LedgerQuery, rows: Sequence[LedgerOrder]) -> Reply:
        return self.value([self._orders.order_row(row) for row in rows], call.ws_id)

    def own_trades(self, call: LedgerQuery, rows: Sequence[LedgerTrade]) -> Reply:
        return self.value([self._own_trade(row) for row in rows], call.ws_id)

    def _own_trade(self, row: LedgerTrade) -> dict[str, Any]:
        fill = row.fill
        s = self._spellers[fill.symbol]
        buyer = fill.side is Side.BUY
        common: dict[str, Any] = {
            "symbol": s.name,
            "id": fill.trade_id,
            "orderId": int(fill.venue_order_id or 0),
            "price": s.prices[fill.price_ticks],
            "qty": s.sizes[fill.lots],
            "quoteQty": plain(fill.lots * fill.price_ticks * s.instrument.usd_per_tick_lot_exact),
            "commission": fill.fee,
            "commissionAsset": fill.fee_asset,
            "time": fill.event_ns // NS_PER_MS,
        }
        if self._perp:
            return {
                **common,
                "buyer": buyer,
                "maker": fill.maker,
                "side": fill.side.name,
                "positionSide": "BOTH",
                "realizedPnl": row.realized_pnl,
            }
        return {**common, "orderListId": -1, "isBuyer": buyer, "isMaker": fill.maker, "isBestMatch": True}

    def income(self, call: LedgerQuery, rows: Sequence[LedgerIncome]) -> Reply:
        spelled = [
            {
                "symbol": self._spellers[row.symbol].name if row.symbol else "",
                "incomeType": row.kind,
                "income": row.amount,
                "asset": row.asset,
                "info": row.kind,
                "time": row.time_ms,
                "tranId": row.tran_id,
                "tradeId": str(row.trade_id) if row.trade_id else "",
            }
            for row in rows
        ]
        return self.value(spelled, call.ws_id)

    def amendments(self, call: LedgerQuery, rows: Sequence[LedgerAmendment]) -> Reply:
        newest_first = sorted(rows, key=lambda row: row.amendment_id, reverse=True)
        return self.value([self._amendment(row) for row in newest_first], call.ws_id)

    def _amendment(self, row: LedgerAmendment) -> dict[str, Any]:
        s = self._spellers[row.symbol]
        return {
            "amendmentId": row.amendment_id,
            "symbol": s.name,
            "pair": s.name,
            "orderId": int(row.venue_order_id or 0),
            "clientOrderId": row.client_id,
            "time": row.time_ms,
            "amendment": {
                "price": {"before": s.prices[row.price_ticks_before], "after": s.prices[row.price_ticks]},
                "origQty": {"before": s.sizes[row.lots_before], "after": s.sizes[row.lots]},
                "count": row.amendments_count,
            },
            "priceMatch": "NONE",
        }

    def account(self, call: LedgerQuery, account: LedgerAccount, now_ms: int) -> Reply:
        if call.operation == "account.balance":
            return self.value(
                [_perp_balance(row, account.updated_ms or now_ms) for row in account.balances], call.ws_id
            )
        if call.operation == "account.position":
            rows = [row for row in account.positions if call.symbol in ("", row.symbol)]
            return self.value([self._position_risk(row) for row in rows], call.ws_id)
        if call.operation == "commission":
            return self.value(self._commission(call, account), call.ws_id)
        if call.operation == "accountConfig":
            return self.value(_account_config(account), call.ws_id)
        spelled = self._perp_account(account, now_ms) if self._perp else _spot_account(account)
        return self.value(spelled, call.ws_id)

    def _perp_account(self, account: LedgerAccount, now_ms: int) -> dict[str, Any]:
        wallet = sum((Decimal(row.wallet) for row in account.balances), Decimal(0))
        unrealized = sum((Decimal(row.unrealized) for row in account.balances), Decimal(0))
        margin = sum((Decimal(row.locked) for row in account.balances), Decimal(0))
        equity = wallet + unrealized
        held = min(margin, sum((self._position_margin(row) for row in account.positions), Decimal(0)))
        return {
            "feeTier": 0,
            "canTrade": account.can_trade,
            "canDeposit": True,
            "canWithdraw": account.can_withdraw,
            "updateTime": account.updated_ms,
            "totalInitialMargin": plain(margin),
            "totalMaintMargin": "0",
            "totalWalletBalance": plain(wallet),
            "totalUnrealizedProfit": plain(unrealized),
            "totalMarginBalance": plain(equity),
            "totalPositionInitialMargin": plain(held),
            "totalOpenOrderInitialMargin": plain(margin - held),
            "totalCrossWalletBalance": plain(wallet),
            "totalCrossUnPnl": plain(unrealized),
            "availableBalance": plain(max(Decimal(0), equity - margin)),
            "maxWithdrawAmount": plain(max(Decimal(0), equity - margin)),
            "assets": [_perp_asset(row, account.updated_ms or now_ms) for row in account.balances],
            "positions": [self._account_position(row) for row in account.positions],
        }

    def _account_position(self, row: LedgerPosition) -> dict[str, Any]:
        s = self._spellers[row.symbol]
        notional = row.position_lots * row.mark_ticks * s.instrument.usd_per_tick_lot
        held = min(Decimal(row.margin), self._position_margin(row))
        return {
            "symbol": s.name,
            "positionSide": "BOTH",
            "positionAmt": s.instrument.size_text(row.position_lots),
            "entryPrice": plain_float(row.entry_ticks * s.instrument.tick_float),
            "unrealizedProfit": row.unrealized,
            "isolatedMargin": "0",
            "notional": plain_float(notional),
            "isolatedWallet": "0",
            "initialMargin": row.margin,
            "positionInitialMargin": plain(held),
            "openOrderInitialMargin": plain(Decimal(row.margin) - held),
            "maintMargin": "0",
            "leverage": str(LEVERAGE),
            "isolated": False,
            "updateTime": row.updated_ms,
        }

    def _position_margin(self, row: LedgerPosition) -> Decimal:
        """What the position alone binds: its value at entry, at the one leverage of this venue."""
        value = abs(row.position_lots) * row.entry_ticks * self._spellers[row.symbol].instrument.usd_per_tick_lot
        return Decimal(plain_float(value / LEVERAGE))

    def _position_risk(self, row: LedgerPosition) -> dict[str, Any]:
        s = self._spellers[row.symbol]
        spelled = self._account_position(row)
        profit = spelled.pop("unrealizedProfit")
        return {
            **spelled,
            "breakEvenPrice": spelled["entryPrice"],
            "markPrice": s.price(row.mark_ticks),
            "unRealizedProfit": profit,
            "liquidationPrice": "0",
            "marginType": "cross",
            "isAutoAddMargin": "false",
            "marginAsset": s.instrument.quote,
            "adl": 0,
            "bidNotional": "0",
            "askNotional": "0",
        }

    def _commission(self, call: LedgerQuery, account: LedgerAccount) -> Any:
        name = self._spellers[call.symbol].name if call.symbol else ""
        if self._perp:
            return {
                "symbol": name,
                "makerCommissionRate": account.maker_rate,
                "takerCommissionRate": account.taker_rate,
            }
        rates = {"maker": account.maker_rate, "taker": account.taker_rate, "buyer": "0", "seller": "0"}
        none = {"maker": "0", "taker": "0", "buyer": "0", "seller": "0"}
        return {
            "symbol": name,
            "standardCommission": rates,
            "specialCommission": none,
            "taxCommission": none,
            "discount": {
                "enabledForAccount": False,
                "enabledForSymbol": False,
                "discountAsset": "BNB",
                "discount": "0.75",
            },
        }

    def order_counts(self, call: LedgerQuery, usage: RateUsage) -> Reply:
        used = {("SECOND", 10): usage.orders_10s, ("MINUTE", 1): usage.orders_1m, ("DAY", 1): usage.orders_1d}
        rows = [row for row in RATE_LIMITS[self._market] if row["rateLimitType"] == "ORDERS"]
        counted = [{**row, "count": max(0, used[row["interval"], row["intervalNum"]])} for row in rows]
        return self.value(counted, call.ws_id)

    def private(self, call: PrivateCall, listen_key: str, subscription_id: int, subscriptions: Sequence[int]) -> Reply:
        if call.action == "subscribe":
            if subscription_id < 0:
                return self.error(SUBSCRIBED_ALREADY, "User Data Stream subscription already active.", 400, call.ws_id)
            return self.value({"subscriptionId": subscription_id}, call.ws_id)
        if call.action == "subscriptions":
            return self.value([{"subscriptionId": number} for number in subscriptions], call.ws_id)
        if call.action in ("start", "keep"):
            if not listen_key:
                return self.error(-1125, "This listenKey does not exist.", 400, call.ws_id)
            return self.value({"listenKey": listen_key}, call.ws_id)
        return self.value({}, call.ws_id)


# Refused before the cancel part was tried: such an answer is a plain error, not a half replace.


def _spot_account(account: LedgerAccount) -> dict[str, Any]:
    return {
        "makerCommission": _bps(account.maker_rate),
        "takerCommission": _bps(account.taker_rate),
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {"maker": account.maker_rate, "taker": account.taker_rate, "buyer": "0", "seller": "0"},
        "canTrade": account.can_trade,
        "canWithdraw": account.can_withdraw,
        "canDeposit": True,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": account.updated_ms,
        "accountType": "SPOT",
        "balances": [
            {"asset": row.asset, "free": plain(Decimal(row.wallet) - Decimal(row.locked)), "locked": row.locked}
            for row in account.balances
        ],
        "permissions": ["SPOT"],
        "uid": 0,
    }


def _account_config(account: LedgerAccount) -> dict[str, Any]:
    return {
        "feeTier": 0,
        "canTrade": account.can_trade,
        "canDeposit": True,
        "canWithdraw": account.can_withdraw,
        "dualSidePosition": False,
        "updateTime": 0,
        "multiAssetsMargin": False,
        "tradeGroupId": -1,
    }


def _perp_asset(row: LedgerBalance, updated_ms: int) -> dict[str, Any]:
    wallet, unrealized, margin = Decimal(row.wallet), Decimal(row.unrealized), Decimal(row.locked)
    free = plain(max(Decimal(0), wallet + unrealized - margin))
    return {
        "asset": row.asset,
        "walletBalance": row.wallet,
        "unrealizedProfit": row.unrealized,
        "marginBalance": plain(wallet + unrealized),
        "maintMargin": "0",
        "initialMargin": row.locked,
        "positionInitialMargin": row.locked,
        "openOrderInitialMargin": "0",
        "crossWalletBalance": row.wallet,
        "crossUnPnl": row.unrealized,
        "availableBalance": free,
        "maxWithdrawAmount": free,
        "marginAvailable": True,
        "updateTime": updated_ms,
    }


def _perp_balance(row: LedgerBalance, updated_ms: int) -> dict[str, Any]:
    free = plain(Decimal(row.wallet) - Decimal(row.locked))
    return {
        "accountAlias": "sim",
        "asset": row.asset,
        "balance": row.wallet,
        "crossWalletBalance": row.wallet,
        "crossUnPnl": row.unrealized,
        "availableBalance": free,
        "maxWithdrawAmount": free,
        "marginAvailable": True,
        "updateTime": updated_ms,
    }


def _bps(rate: str) -> int:
    return int(Decimal(rate) * 10_000)
