"""User stream frames of a simulated Binance, server role.

One call describes one thing that happened; USD-M tells it in up to two frames (ORDER_TRADE_UPDATE, ACCOUNT_UPDATE),
spot likewise (executionReport, outboundAccountPosition; balanceUpdate for transfers). Fields follow the manual.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from actors.venues.binance.common import market_of, plain
from actors.venues.binance.orders import STATE_NAMES, is_system
from actors.venues.binance.server_streams import Speller, plain_float
from actors.venues.ledger import LedgerBalance, LedgerOrder, LedgerPosition
from actors.vocab.errors import OurFault
from actors.vocab.orders import OrderState
from actors.vocab.units import NS_PER_MS
from actors.vocab.venue_io import StreamDown, VenueEvent, VenueFill, VenueFunding, VenueOrder

# What a report is called (`x`) when the caller does not say.
_EXECUTIONS = {
    OrderState.CANCELLED: "CANCELED",
    OrderState.EXPIRED: "EXPIRED",
    OrderState.REJECTED: "REJECTED",
}


class PrivateWriter:
    """`spellers` is shared with the stream writer and follows its `use`."""

    def __init__(self, venue: str, spellers: Mapping[str, Speller]) -> None:
        self._perp = market_of(venue) == "perp"
        self._spellers = spellers
        self._execution_id = 0  # of the newest spot report; no two share one

    def frames(
        self,
        event: VenueEvent,
        *,
        now_ms: int,
        order: LedgerOrder | None = None,
        execution: str = "",
        realized_pnl: str = "0",
        balances: Sequence[LedgerBalance] = (),
        positions: Sequence[LedgerPosition] = (),
        reason: str = "ORDER",
    ) -> list[bytes]:
        """Frames in sending order. `event` is a `VenueOrder`, a `VenueFill` (then `order` is the row after it), a
        `VenueFunding` or a `StreamDown`. `balances` and `positions` are the changed entries as they are now."""
        if isinstance(event, StreamDown):
            return [msgspec.json.encode({"e": event.reason, "E": now_ms})]
        frames: list[dict[str, Any]] = []
        change: VenueFunding | None = None
        if isinstance(event, VenueFill):
            if order is None:
                raise OurFault(f"{event.symbol}: a fill of {event.client_id} is told with the order's row after it")
            frames.append(self._report(_order_of(event, order), event, order, "TRADE", realized_pnl, now_ms))
        elif isinstance(event, VenueOrder):
            kind = execution or _EXECUTIONS.get(event.state, "NEW")
            frames.append(self._report(event, None, order, kind, "0", now_ms))
        elif isinstance(event, VenueFunding):
            change, reason = event, event.reason
        else:
            raise OurFault(f"user streams do not tell {event!r}")
        if self._perp:
            if change or balances or positions:
                frames.insert(0, self._account_update(change, balances, positions, reason, now_ms))
        else:
            if change is not None:
                frames.append(self._balance_update(change, now_ms))
            if balances:
                frames.append(self._outbound(balances, now_ms))
        return [msgspec.json.encode(frame) for frame in frames]

    def _report(
        self,
        event: VenueOrder,
        fill: VenueFill | None,
        order: LedgerOrder | None,
        execution: str,
        realized_pnl: str,
        now_ms: int,
    ) -> dict[str, Any]:
        spell = self._perp_report if self._perp else self._spot_report
        return spell(event, fill, order, execution, realized_pnl, now_ms)

    def _common(self, event: VenueOrder, fill: VenueFill | None, execution: str) -> dict[str, Any]:
        s = self._spellers[event.symbol]
        return {
            "s": s.name,
            "c": event.client_id,
            "S": event.side.name,
            "q": s.sizes[event.lots],
            "p": s.prices[event.price_ticks],
            "x": execution,
            "X": STATE_NAMES[event.state],
            "i": int(event.venue_order_id or 0),
            "l": s.sizes[fill.lots] if fill else "0",
            "z": s.sizes[event.filled_lots],
            "L": s.prices[fill.price_ticks] if fill else "0",
            "T": event.event_ns // NS_PER_MS,
            "t": fill.trade_id if fill else 0 if self._perp else -1,
            "m": fill.maker if fill else False,
        }

    def _perp_report(
        self,
        event: VenueOrder,
        fill: VenueFill | None,
        order: LedgerOrder | None,
        execution: str,
        realized_pnl: str,
        now_ms: int,
    ) -> dict[str, Any]:
        market, post_only = bool(order and order.market), order is None or order.post_only
        kind = "MARKET" if market else "LIMIT"
        row: dict[str, Any] = {
            **self._common(event, fill, "CALCULATED" if fill and fill.system else execution),
            "o": "LIQUIDATION" if is_system(event.client_id) else kind,
            "f": "GTX" if post_only and not market else "GTC",
            "ap": self._average(event, order),
            "sp": "0",
            "b": "0",
            "a": "0",
            "R": bool(order and order.reduce_only),
            "wt": "CONTRACT_PRICE",
            "ot": kind,
            "ps": "BOTH",
            "cp": False,
            "rp": realized_pnl,
            "pP": False,
            "si": 0,
            "ss": 0,
            "V": "EXPIRE_MAKER",
            "pm": "NONE",
            "gtd": 0,
        }
        if fill:
            row |= {"n": fill.fee, "N": fill.fee_asset}
        if event.state is OrderState.EXPIRED:
            row["er"] = event.reason.removeprefix("expired").strip() or "0"
        return {"e": "ORDER_TRADE_UPDATE", "E": now_ms, "T": row["T"], "o": row}

    def _average(self, event: VenueOrder, order: LedgerOrder | None) -> str:
        if order is None or not order.filled_lots:
            return "0"
        lot = self._spellers[event.symbol].instrument.lot
        return plain((Decimal(order.filled_quote) / (order.filled_lots * lot)).quantize(Decimal("1e-8")))

    def _spot_report(
        self,
        event: VenueOrder,
        fill: VenueFill | None,
        order: LedgerOrder | None,
        execution: str,
        realized_pnl: str,
        now_ms: int,
    ) -> dict[str, Any]:
        market, post_only = bool(order and order.market), order is None or order.post_only
        self._execution_id += 1
        common = self._common(event, fill, execution)
        if execution in ("CANCELED", "REPLACED"):
            # The cancel has an id of its own; the order that it ended moves to `C`.
            common["c"], original = f"cancel_{event.venue_order_id}", event.client_id
        else:
            original = ""
        s = self._spellers[event.symbol]
        last_quote = fill.lots * fill.price_ticks * s.instrument.usd_per_tick_lot_exact if fill else Decimal(0)
        return {
            "e": "executionReport",
            "E": now_ms,
            **common,
            "o": "MARKET" if market else "LIMIT_MAKER" if post_only else "LIMIT",
            "f": "GTC",
            "P": "0",
            "F": "0",
            "g": -1,
            "C": original,
            "r": event.reason or "NONE",
            "n": fill.fee if fill else "0",
            "N": fill.fee_asset if fill else None,
            "v": 0,
            "I": self._execution_id,
            "w": event.state in (OrderState.OPEN, OrderState.PARTLY_FILLED),
            "M": False,
            "O": order.created_ms if order else common["T"],
            "Z": order.filled_quote if order else "0",
            "Y": plain(last_quote),
            "Q": "0",
            "W": order.created_ms if order else common["T"],
            "V": "EXPIRE_MAKER",
        }

    def _account_update(
        self,
        change: VenueFunding | None,
        balances: Sequence[LedgerBalance],
        positions: Sequence[LedgerPosition],
        reason: str,
        now_ms: int,
    ) -> dict[str, Any]:
        rows = [{"a": row.asset, "wb": row.wallet, "cw": row.wallet, "bc": "0"} for row in balances]
        if change is not None:
            named = [row for row in rows if row["a"] == change.asset]
            if not named:
                named = [{"a": change.asset, "wb": "0", "cw": "0", "bc": "0"}]
                rows += named
            named[0]["bc"] = change.amount
        time_ms = change.event_ns // NS_PER_MS if change else now_ms
        body = {"m": reason, "B": rows, "P": [self._position(row) for row in positions]}
        return {"e": "ACCOUNT_UPDATE", "E": now_ms, "T": time_ms, "a": body}

    def _position(self, row: LedgerPosition) -> dict[str, Any]:
        s = self._spellers[row.symbol]
        entry = plain_float(row.entry_ticks * s.instrument.tick_float)
        return {
            "s": s.name,
            "pa": s.instrument.size_text(row.position_lots),
            "ep": entry,
            "bep": entry,
            "cr": "0",
            "up": row.unrealized,
            "mt": "cross",
            "iw": "0",
            "ps": "BOTH",
        }

    def _outbound(self, balances: Sequence[LedgerBalance], now_ms: int) -> dict[str, Any]:
        rows = [
            {"a": row.asset, "f": plain(Decimal(row.wallet) - Decimal(row.locked)), "l": row.locked} for row in balances
        ]
        return {"e": "outboundAccountPosition", "E": now_ms, "u": now_ms, "B": rows}

    def _balance_update(self, change: VenueFunding, now_ms: int) -> dict[str, Any]:
        time_ms = change.event_ns // NS_PER_MS
        return {"e": "balanceUpdate", "E": now_ms, "a": change.asset, "d": change.amount, "T": time_ms}


def wrap_private(frame: bytes, subscription_id: int) -> bytes:
    """Spot events travel on the websocket API connection in this wrapper."""
    return b'{"subscriptionId":%d,"event":%s}' % (subscription_id, frame)


def _order_of(fill: VenueFill, order: LedgerOrder) -> VenueOrder:
    """The order after the fill, as a report shows it beside the trade."""
    return VenueOrder(
        request_no=0,
        symbol=fill.symbol,
        client_id=fill.client_id,
        venue_order_id=fill.venue_order_id,
        side=fill.side,
        state=order.state,
        price_ticks=order.price_ticks,
        lots=order.lots,
        filled_lots=order.filled_lots,
        event_ns=fill.event_ns,
    )
