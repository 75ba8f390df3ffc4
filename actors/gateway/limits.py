"""What the venue's rate limits are and what each kind of request costs, one table a venue account.

Read from the venue's manuals as of 2026-07: spot `rest-api.md` § LIMITS with the change of 2026-04-02, futures general
info and `exchangeInfo.rateLimits`. Weight counts per address, orders per account.
"""

from __future__ import annotations

import enum

import msgspec

from actors.vocab.errors import ConfigError
from actors.vocab.venue_io import (
    VenueBalancesQuery,
    VenueCancel,
    VenueCancelAll,
    VenueCountdown,
    VenueFundingQuery,
    VenueOpenOrdersQuery,
    VenuePlace,
    VenuePositionsQuery,
    VenueQueryOrder,
    VenueReplace,
    VenueRequest,
    VenueTimeQuery,
    VenueTradesQuery,
)


class Window(enum.StrEnum):
    """A count that the venue keeps over a span of time."""

    ORDERS_10S = "orders_10s"
    ORDERS_1M = "orders_1m"
    ORDERS_1D = "orders_1d"
    WEIGHT_1M = "weight_1m"


Costs = tuple[tuple[Window, int], ...]


class VenueLimits(msgspec.Struct, frozen=True):
    """Limits and costs of one venue account."""

    windows: dict[Window, tuple[int, int]]  # window -> (limit, span in ms)
    costs: dict[type[VenueRequest], Costs]  # a request kind that is missing costs nothing
    open_orders_all: int  # weight of the open orders of all symbols
    amends: bool  # an order's price and size can be changed in place, under the same client id
    countdown: bool  # has a dead man's switch per symbol
    short: bool  # more can be sold than the account holds
    orders_full_code: int  # refuses an order since a count of orders is full; cancels are taken all the same


_W = Window.WEIGHT_1M
PERP = VenueLimits(
    windows={Window.ORDERS_10S: (300, 10_000), Window.ORDERS_1M: (1_200, 60_000), _W: (2_400, 60_000)},
    costs={
        VenuePlace: ((Window.ORDERS_10S, 1), (Window.ORDERS_1M, 1)),
        VenueReplace: ((Window.ORDERS_10S, 1), (Window.ORDERS_1M, 1)),
        VenueCancel: ((_W, 1),),
        VenueCancelAll: ((_W, 1),),
        VenueQueryOrder: ((_W, 1),),
        VenueOpenOrdersQuery: ((_W, 1),),
        VenueTradesQuery: ((_W, 5),),
        VenuePositionsQuery: ((_W, 5),),
        VenueBalancesQuery: ((_W, 5),),
        VenueFundingQuery: ((_W, 30),),
        VenueCountdown: ((_W, 10),),
        VenueTimeQuery: ((_W, 1),),
    },
    open_orders_all=40,
    amends=True,
    countdown=True,
    short=True,
    orders_full_code=-1015,
)
SPOT = VenueLimits(
    windows={Window.ORDERS_10S: (50, 10_000), Window.ORDERS_1D: (160_000, 86_400_000), _W: (6_000, 60_000)},
    costs={
        # Place and cancel cost no weight when they succeed, 1 when they do not: counted as if they did not.
        VenuePlace: ((Window.ORDERS_10S, 1), (Window.ORDERS_1D, 1), (_W, 1)),
        VenueReplace: ((Window.ORDERS_10S, 1), (Window.ORDERS_1D, 1), (_W, 1)),
        VenueCancel: ((_W, 1),),
        VenueCancelAll: ((_W, 1),),
        VenueQueryOrder: ((_W, 4),),
        VenueOpenOrdersQuery: ((_W, 6),),
        VenueTradesQuery: ((_W, 20),),
        VenuePositionsQuery: ((_W, 20),),
        VenueBalancesQuery: ((_W, 20),),
        VenueTimeQuery: ((_W, 1),),
    },
    open_orders_all=80,
    # cancelReplace would count the old and the new order at once against the lease: cancel, then place.
    amends=False,
    countdown=False,
    short=False,
    orders_full_code=-1015,
)
LIMITS: dict[str, VenueLimits] = {"binance_perp": PERP, "binance_spot": SPOT}


def limits_of(venue: str) -> VenueLimits:
    """Return the table of `venue`; ConfigError when this gateway has none."""
    if venue not in LIMITS:
        raise ConfigError(
            f"venue {venue!r} has no rate limits in gateway/limits.py; known: {', '.join(sorted(LIMITS))}"
        )
    return LIMITS[venue]


def cost_of(limits: VenueLimits, request: VenueRequest) -> Costs:
    """Return what `request` takes from which window."""
    if isinstance(request, VenueOpenOrdersQuery) and not request.symbol:
        return ((Window.WEIGHT_1M, limits.open_orders_all),)
    return limits.costs.get(type(request), ())


def countdown_plan(*, symbols_count: int, countdown_ms: int, weight_share: float = 0.25) -> tuple[int, int]:
    """Return (interval between two re-armings of one symbol, countdown to ask for), both in ms.

    The wish is `countdown_ms` re-armed three times in its course. Each re-arming costs weight 10 and is per symbol,
    so many symbols stretch it: 50 symbols at 25 % of 2 400 a minute are re-armed every 50 s and run 150 s. More would
    starve what shares the address's weight: cancels, replaces, queries, and the feed's snapshots at a start.
    """
    limit, span_ms = PERP.windows[Window.WEIGHT_1M]
    weight = PERP.costs[VenueCountdown][0][1]
    least_ms = -(-symbols_count * weight * span_ms // int(limit * weight_share))
    interval_ms = max(countdown_ms // 3, least_ms)
    return interval_ms, max(countdown_ms, 3 * interval_ms)
