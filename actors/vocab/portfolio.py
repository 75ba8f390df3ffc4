"""What risk tells each quote engine of the whole book, for the model `portfolio`."""

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
