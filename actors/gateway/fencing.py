"""Fences: grants below a number are dead for ever, and what lives under them must fit the new envelope."""

from __future__ import annotations

from actors.gateway.core import Core
from actors.gateway.desk import OrderDesk
from actors.gateway.envelope import fits
from actors.gateway.gate import Gate
from actors.vocab.market import Side


def fence_is_met(symbol: str, *, core: Core, gate: Gate, desk: OrderDesk, is_known: bool) -> bool:
    """Pull what a fence forbids; True, and confirmed, once nothing of it can happen any more."""
    line = gate.fences.get(symbol)
    if line is None or gate.fenced.get(symbol, 0) >= line.min_grant_no or not is_known:
        return False
    older = [
        order
        for order in core.table.live(symbol)
        if order.live_lots and (order.term < gate.term or order.grant_no < line.min_grant_no)
    ]
    position = core.ledger.position(symbol)
    buys, sells = core.table.worst(symbol)
    if older and not fits(
        position_lots=position,
        live_buy_lots=buys,
        live_sell_lots=sells,
        long_lots=line.long_lots,
        short_lots=line.short_lots,
    ):
        for order in older:
            over = position + buys > line.long_lots if order.side is Side.BUY else position - sells < -line.short_lots
            if over and order.is_open and not order.cancel_why:
                order.successor = None
                desk.cancel(order, "outside its new lease")
        return False
    gate.fenced[symbol] = line.min_grant_no
    return True
