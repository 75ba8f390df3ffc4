"""Why a side is not quoted. One code per symbol, venue and side at every moment; text carries the figures."""

from __future__ import annotations

import enum


class Reason(enum.StrEnum):
    QUOTING = "quoting"
    STARTING = "starting"
    NO_BOOK = "no book"
    BOOK_SYNCING = "book resyncing"
    BOOK_STALE = "book stale"
    BOOK_CROSSED = "book crossed"
    BOOK_PARTIAL = "book unconfirmed"
    FEED_DOWN = "feed down"
    WARM_UP = "warm-up"
    NO_LEASE = "no lease"
    LEASE_FULL = "lease used up"
    NO_GATEWAY = "gateway down"
    NOT_RECONCILED = "account not reconciled"
    WARNING = "WARNING"
    REDUCE_ONLY = "REDUCE_ONLY"
    CIRCUIT_BREAKER = "CIRCUIT_BREAKER"
    FULL_STOP = "FULL_STOP"
    MODEL_HOLD = "model says hold"
    BELOW_MIN_NOTIONAL = "below minimum notional"
    ORDER_BUDGET = "order budget used up"
    HALTED = "instrument halted"
    NO_PRICE = "model gives no price"
    PRICE_BAND = "outside the price band"
    STOPPING = "stopping"
    REJECTED = "order rejected"
