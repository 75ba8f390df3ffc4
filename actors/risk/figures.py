"""Risk's part of the summary, the table and `ctl why`, read from the brain's state."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from actors.risk import limits
from actors.risk.accounts import Accounts
from actors.risk.core import RiskCore
from actors.risk.ledger import PnlParts
from actors.risk.markouts import HORIZONS_S
from actors.risk.seats import Seat
from actors.risk.states import FLEET, venue_scope
from actors.vocab.leases import RiskState
from actors.vocab.market import Side

_PARTS = tuple(PnlParts.__struct_fields__)


def summary(core: RiskCore, accounts: Accounts) -> dict[str, Any]:
    """Everything the run folder keeps of risk."""
    pnl = dict.fromkeys(_PARTS, Decimal(0))
    symbols: list[dict[str, Any]] = []
    for seat in core.seats.values():
        parts = seat.ledger.parts()
        for name in _PARTS:
            pnl[name] += getattr(parts, name)
        symbols.append(_symbol(core, seat, parts))
    for ledger in core.account_ledgers.values():
        parts = ledger.parts()
        for name in _PARTS:
            pnl[name] += getattr(parts, name)
    figures = core.figures
    fleet = core.states.scopes[FLEET]
    gross_max = figures.get("gross_usd_max", 0.0)
    return {
        "state": fleet.state.name,
        "reason": fleet.reason,
        "risk": {
            "state": fleet.state.name,
            "reason": fleet.reason,
            "term": core.term,
            "gross_usd_now": limits.usd(core.book.gross.used),
            "gross_usd_max": gross_max,
            "gross_limit_usd": core.settings.gross_usd_max,
            "gross_share_max": gross_max / core.settings.gross_usd_max,
            "exposed_usd_max": figures.get("exposed_usd_max", 0.0),
            "position_gross_usd_max": figures.get("position_gross_usd_max", 0.0),
            "lease_overrun_usd_max": figures.get("lease_overrun_usd_max", 0.0),
            "passive_overrun_usd_max": figures.get("passive_overrun_usd_max", 0.0),
            "breaches_count": int(figures.get("breaches_count", 0)),
            "tightenings_count": core.states.breaches_count,
            "day_loss_usd": core.equity.day_loss_usd,
            "drawdown_usd": core.equity.drawdown_usd,
            "equity_usd": core.equity.equity_usd,
            "starting_coins_usd": sum(float(seat.ledger.stock_paid_usd) for seat in core.seats.values()),
            "leases_expired_count": int(figures.get("leases_expired_count", 0)),
        },
        "pnl": {name: float(value) for name, value in pnl.items()},
        "pnl_exact": {name: str(value) for name, value in pnl.items()},
        "fills_count": sum(row["fills_count"] for row in symbols),  # of the run: the ledgers outlive risk
        "symbols_filled_count": sum(1 for row in symbols if row["fills_count"]),
        "reconcile": {
            "position_mismatch_count": int(figures.get("position_mismatch_count", 0)),
            "lost_fills_count": sum(max(0, desk.highest_no - desk.applied_no) for desk in core.desks.values()),
            "foreign_fills_count": int(figures.get("foreign_fills_count", 0)),
            "fills_repeated_count": int(figures.get("fills_repeated_count", 0)),
            "fills_asked_again_count": int(figures.get("fills_asked_again_count", 0)),
            "fills_of_unknown_symbols_count": int(figures.get("fills_of_unknown_symbols_count", 0)),
        },
        "markout_bps": {f"{horizon}s": core.markouts.mean_bps(horizon) for horizon in HORIZONS_S},
        "markouts_dropped_count": core.markouts.dropped_count,
        "unvalued_fees": {asset: str(amount) for asset, amount in accounts.unvalued_fees.items()},
        "venues": {venue: _venue(core, venue) for venue in core.desks},
        "symbols": symbols,
    }


def _venue(core: RiskCore, venue: str) -> dict[str, Any]:
    desk = core.desks[venue]
    scope = core.states.scopes.get(venue_scope(venue))
    return {
        "state": (RiskState.NORMAL if scope is None else scope.state).name,
        "reason": "" if scope is None else scope.reason,
        "gateway": desk.gateway,
        "reported": desk.reported,
        "fill_no": desk.applied_no,
        "acked_fill_no": desk.acked_no,
        "orders_open_count": len(desk.open_ids),
    }


def _symbol(core: RiskCore, seat: Seat, parts: PnlParts) -> dict[str, Any]:
    lease, ledger = seat.lease, seat.ledger
    state, reason = core.states.effective(*seat.key)
    sums = core.markouts.sums.get(seat.key)
    row: dict[str, Any] = {
        "venue": lease.venue,
        "symbol": lease.symbol,
        "state": state.name,
        "reason": reason,
        "position_lots": ledger.known_lots,
        "stock_lots": ledger.stock_lots,
        "position_usd": ledger.known_lots * lease.marked_nusd / limits.NUSD,
        "average_ticks": ledger.average_ticks,
        "mid2": ledger.mid2,
        "long_lots": lease.long_lots,
        "short_lots": lease.short_lots,
        "reserved_usd": limits.usd(lease.worst_amount),
        "fills_count": ledger.fills_count,
        "buy_lots": ledger.buy_lots,
        "sell_lots": ledger.sell_lots,
        "turnover_usd": float(ledger.turnover_usd),
        "markout_bps": {f"{horizon}s": None if sums is None else sums.mean_bps(horizon) for horizon in HORIZONS_S},
        "markout_bps_by_side": {
            side.name.lower(): {f"{h}s": None if sums is None else sums.mean_bps(h, side) for h in HORIZONS_S}
            for side in Side
        },
    }
    row.update((name, float(getattr(parts, name))) for name in _PARTS)
    return row


def why(core: RiskCore, symbol: str) -> dict[str, dict[str, Any]]:
    """venue -> what holds `symbol` back there."""
    entries: dict[str, dict[str, Any]] = {}
    for seat in core.seats.values():
        if seat.lease.symbol != symbol:
            continue
        lease = seat.lease
        state, reason = core.states.effective(*seat.key)
        scopes = (FLEET, venue_scope(lease.venue), seat.scope)
        entries[lease.venue] = {
            "state": state.name,
            "reason": reason,
            "causes": {name: core.states.scopes[name].causes for name in scopes if name in core.states.scopes},
            "holder": lease.holder,
            "long_lots": lease.long_lots,
            "short_lots": lease.short_lots,
            "want_long_lots": lease.want_long,
            "want_short_lots": lease.want_short,
            "waits_for": _waits_for(core, seat),
            "fence_pending": lease.fence is not None,
        }
    return entries


def _waits_for(core: RiskCore, seat: Seat) -> str:
    if not core.is_open:
        return "the journal to hold this term"
    if not seat.lease.confirmed:
        return "the gateway's report and fences"
    if not seat.lease.marked_nusd:
        return "a price"
    if seat.booking is not None:
        return "the journal to hold the raised worst case"
    if seat.waiting is not None:
        return "its turn to open"
    return "" if seat.lease.holder else "a request from its quote actor"
