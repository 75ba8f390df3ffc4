"""What an operator sees of one engine: quotes, position, state, reasons, counters. JSON-able."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actors.quote.joint import JointTerms
from actors.quote.orders import OwnOrders
from actors.vocab.market import Side
from actors.vocab.units import BPS

if TYPE_CHECKING:
    from actors.quote.engine import QuoteEngine


def figures(engine: QuoteEngine, now_ns: int) -> dict[str, Any]:
    """One symbol's row. Quotes as the venue would spell them, empty while a side has none; money in quote currency."""
    row, wallet, own, uptime = engine.instrument, engine.wallet, engine.own, engine.uptime
    position, fair = engine.position, engine.fair_ticks
    bid, ask = best_live_ticks(own, Side.BUY), best_live_ticks(own, Side.SELL)
    reasons = engine.reasons()
    return {
        "venue": engine.venue,
        "symbol": engine.symbol,
        "bid": row.price_text(bid) if row is not None and bid else "",
        "ask": row.price_text(ask) if row is not None and ask else "",
        "spread_bps": (ask - bid) / (ask + bid) * 2 / BPS if bid and ask else 0.0,
        "market_spread_bps": engine.market_spread_bps,
        "fair": fair * row.tick_float if row is not None else 0.0,
        "position_lots": position.lots,
        "position": position.lots * row.lot_float if row is not None else 0.0,
        "position_usd": row.notional_usd(fair, position.lots) if row is not None else 0.0,
        "state": wallet.state.name,
        "state_reason": wallet.state_reason,
        "bid_code": reasons[Side.BUY][0].name,
        "bid_reason": " ".join(reasons[Side.BUY]).strip(),
        "ask_code": reasons[Side.SELL][0].name,
        "ask_reason": " ".join(reasons[Side.SELL]).strip(),
        "two_sided": uptime.live,
        "two_sided_share": uptime.share(now_ns),
        "two_sided_ns": uptime.live_ns(now_ns),
        "first_quote_ns": uptime.first_ns,
        "volatility_bps": engine.volatility.bps,
        "signals": engine.signals.figures(engine.estimates, now_ns),
        "lease_left_ms": wallet.lease_left_ms(now_ns),
        "lease_long_lots": wallet.long_lots,
        "lease_short_lots": wallet.short_lots,
        "orders_per_min": wallet.orders_per_min,
        "seq_holes": engine.seq_holes_count,
        "fill_holes": position.holes_count,
        "position_mismatches": position.mismatches_count,
        "open_orders": len(own.by_ref),
        "stopped": engine.stopped,
        "counters": dict(vars(engine.counters)),
        **({} if engine.joint is None else {"portfolio": joint_figures(engine.joint)}),
    }


def joint_figures(joint: JointTerms) -> dict[str, Any]:
    """What the model `portfolio` goes by."""
    terms = joint.terms
    return {
        "alone": joint.problem,
        "skew_bps": 0.0 if terms is None else terms.skew_bps,
        "width_bps": 0.0 if terms is None else terms.width_bps,
        "views_count": joint.views_count,
        "fallbacks_count": joint.fallbacks_count,
    }


def best_live_ticks(own: OwnOrders, side: Side) -> int:
    """Our best live price of a side; 0 when it has none."""
    prices = [order.price_ticks for order in own.by_ref.values() if order.side == side and order.live]
    if not prices:
        return 0
    return max(prices) if side is Side.BUY else min(prices)
