"""What risk and quote engines tell each other for the model `portfolio`."""

from __future__ import annotations

from actors.vocab.message import Message


class PortfolioView(Message, frozen=True):
    """risk -> quote, on the lease's link: at each fill that moves it, and every `portfolio.publish_interval_ms`.

    In bps of the symbol's price. The receiver counts its age from when it came.
    """

    venue: str
    symbol: str
    skew_bps: float  # how far the centre moves down, for the positions in all symbols
    width_bps: float  # what each half spread gains; twice this is what one order of the symbol's own adds to the skew
    position_orders: float  # the symbol's own position that `skew_bps` counts


class FillCurve(Message, frozen=True):
    """quote -> risk, when estimates of fills have changed: how steeply what one's fills bring bends with their price.

    `per_bp_s` is A k C of the bid plus A k C of the ask (the paper's D, order size 1), in 1 / (bp * second), above 0.
    """

    venue: str
    symbol: str
    per_bp_s: float
