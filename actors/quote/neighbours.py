"""Our own best prices in one symbol at each venue, so that no engine quotes through another's order.

An engine knows only its venue; the actor that holds the engines of one symbol gives them one `OwnPrices`. A bid of ours
above an ask of ours elsewhere is a present to whoever trades both. Prices are floats in quote currency: venues differ
in ticks. Orders on their way and orders being withdrawn count until the venue has confirmed.
"""

from __future__ import annotations

import math

from actors.quote.orders import OwnOrders
from actors.vocab.market import Side

# A neighbour's price is a float multiple of its tick; a hair more must not cost a whole tick of ours.
HAIR = 1e-9


class OwnPrices:
    """Shared by the engines of one symbol; each writes its own line after a change and reads the others'."""

    __slots__ = ("_best",)

    def __init__(self) -> None:
        # venue -> (highest own bid, lowest own ask); 0 and inf where there is none
        self._best: dict[str, tuple[float, float]] = {}

    def note(self, venue: str, own: OwnOrders, tick: float) -> None:
        """Our orders at `venue` have changed. `tick` in quote currency."""
        bid, ask = own.nearest_ticks(Side.BUY), own.nearest_ticks(Side.SELL)
        self._best[venue] = (bid * tick if bid is not None else 0.0, ask * tick if ask is not None else math.inf)

    def limits_ticks(self, venue: str, tick: float) -> tuple[float, float]:
        """(bids must stay below, asks must stay above) at `venue`, in its ticks; inf and 0 where nothing is near."""
        bid, ask = 0.0, math.inf
        for name, (below, above) in self._best.items():
            if name != venue:
                bid, ask = max(bid, below), min(ask, above)
        return ask / tick, bid / tick


def post_only_limits(
    best_bid_ticks: int, best_ask_ticks: int, below_ticks: float, above_ticks: float
) -> tuple[int, int]:
    """(bids stay below, asks stay above) in whole ticks: the others' best prices here, and our own elsewhere."""
    ask = best_ask_ticks if below_ticks >= best_ask_ticks else math.ceil(below_ticks - HAIR)
    bid = best_bid_ticks if above_ticks <= best_bid_ticks else math.floor(above_ticks + HAIR)
    return ask, bid
