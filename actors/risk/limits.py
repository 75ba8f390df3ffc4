"""Limits as pure functions: whole nano-USD and lots in, lots or a verdict out.

Amounts are integers of nano-USD so that sums over thousands of symbols stay exact: a limit is never reached by
float noise, and an incremental sum equals a recomputed one.
"""

from __future__ import annotations

import math

from actors.vocab.leases import RiskState

NUSD = 1_000_000_000  # nano-USD in one USD

# An envelope within a tenth of its target is left alone: each change costs a fencing round with the gateway.
ENVELOPE_TOLERANCE = 10
# A frozen price within 1/200 of the present one is kept, for the same reason.
PRICE_TOLERANCE = 200
# Journalled worst cases have a quarter of slack, so that most raises need no disk before them.
BOOKING_SLACK = 4


def nusd(usd: float) -> int:
    """Return a limit in nano-USD, rounded down: a limit is never rounded in our favour."""
    return math.floor(usd * NUSD)


def usd(amount_nusd: int) -> float:
    """Return USD for reports."""
    return amount_nusd / NUSD


def lot_price_nusd(*, mid_ticks: float, usd_per_tick_lot: float) -> int:
    """Return the value of one lot, rounded up, at least 1: nothing is ever free to hold."""
    return max(1, math.ceil(mid_ticks * usd_per_tick_lot * NUSD))


def headroom_lots(*, limit_nusd: int, others_nusd: int, price_nusd: int) -> int:
    """Return the lots that still fit under one limit beside what others have reserved; never negative."""
    return max(0, (limit_nusd - others_nusd) // price_nusd)


def fair_lots(*, want_lots: int, limit_nusd: int, wished_nusd: int) -> int:
    """Return this wish scaled by what the limit can give to all who wish; the whole wish while all fit."""
    if wished_nusd <= limit_nusd:
        return want_lots
    return want_lots * limit_nusd // wished_nusd


def is_near(current_lots: int, target_lots: int) -> bool:
    """True when changing the envelope is not worth a fencing round."""
    return abs(current_lots - target_lots) * ENVELOPE_TOLERANCE <= max(current_lots, target_lots)


def is_near_price(frozen_nusd: int, price_nusd: int) -> bool:
    """True when the frozen price still describes the market."""
    return abs(frozen_nusd - price_nusd) * PRICE_TOLERANCE <= frozen_nusd


def booking_lots(*, needed_lots: int, cap_lots: int) -> int:
    """Return the worst case to journal for `needed_lots`: with slack, yet not above what the symbol may ever hold."""
    return max(needed_lots, min(cap_lots, needed_lots + needed_lots // BOOKING_SLACK + 1))


def reduce_envelope(position_lots: int) -> tuple[int, int]:
    """Return the (long, short) envelope in which only orders that shrink the position fit."""
    return max(0, position_lots), max(0, -position_lots)


def share_state(*, share: float, warning_share: float) -> RiskState:
    """Return what a position that uses `share` of its limit means."""
    if share >= 1.0:
        return RiskState.REDUCE_ONLY
    return RiskState.WARNING if share >= warning_share else RiskState.NORMAL


def overrun_nusd(*, used_nusd: int, limit_nusd: int) -> int:
    """Return by how much a limit is exceeded; 0 within it."""
    return max(0, used_nusd - limit_nusd)


def move_pct(*, price: float, low: float, high: float) -> float:
    """Return how far `price` is from the farther end of a window, in percent of that end."""
    return max(abs(price / low - 1.0), abs(price / high - 1.0)) * 100.0
