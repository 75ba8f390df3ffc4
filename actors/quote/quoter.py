"""From the top of a good book to moves: fair price, model, ladder, comparison with what is live, carrying out.

The hot path of the engine. It decides what is wanted; whether anything may be wanted at all is the engine's gate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from actors.quote.bands import NO_BAND, PriceBands
from actors.quote.budget import OrderBudget
from actors.quote.estimators.microprice import FairTable, fair_table
from actors.quote.estimators.volatility import EwmaVolatility
from actors.quote.ladder import (
    SpreadLimits,
    ask_wishes,
    bid_wishes,
    bounded,
    edges_ticks,
    level_shares,
    model_shares,
    scaled_lots,
    spread_floor_bps,
)
from actors.quote.models.catalogue import estimates_of, make_model
from actors.quote.models.protocol import Estimates, NoPrice, Price, PricingModel, State
from actors.quote.neighbours import OwnPrices, post_only_limits
from actors.quote.orders import OwnOrder, OwnOrders, Pending
from actors.quote.placer import Occasion, Placer
from actors.quote.position import PositionKeeper
from actors.quote.reconcile import UNDERSIZE, Terms, moves, ranked, tolerance_ticks
from actors.quote.signals import fair_ticks, imbalance
from actors.quote.sizes import Sizes
from actors.quote.views import NEUTRAL, Effect
from actors.risk.leases import Wallet
from actors.vocab.config import FleetSettings
from actors.vocab.instruments import Instrument
from actors.vocab.leases import RiskState
from actors.vocab.market import Level, Side
from actors.vocab.orders import CancelOrder, LeasedOrder, LeasedReplace
from actors.vocab.reasons import Reason
from actors.vocab.units import BPS, NS_PER_MS

Placed = LeasedOrder | LeasedReplace | CancelOrder


class NoQuote(NamedTuple):
    """Nothing can be quoted on either side, and why."""

    reason: Reason
    text: str


class Quoter:
    """Prices and places. Reads position, orders and wallet; changes orders only through the placer."""

    def __init__(
        self,
        *,
        settings: FleetSettings,
        wallet: Wallet,
        own: OwnOrders,
        position: PositionKeeper,
        budget: OrderBudget,
        volatility: EwmaVolatility,
        placer: Placer,
        own_prices: OwnPrices,
    ) -> None:
        quote = settings.quote
        self._settings = quote
        self._maker_fee_bps = settings.fees.maker_bps
        self._wallet = wallet
        self._own = own
        self._position = position
        self._budget = budget
        self._volatility = volatility
        self._placer = placer
        self._refresh_ns = quote.refresh_interval_ms * NS_PER_MS
        self._row: Instrument | None = None
        self._table: FairTable | None = None  # None: fair price by weight
        self.model: PricingModel = make_model(quote)
        self.estimates = estimates_of(quote)
        self.sizes = Sizes(quote)
        self.bands = PriceBands(quote)
        self.band = NO_BAND  # of the last decision
        self._own_prices = own_prices
        self._shares = level_shares(levels_count=quote.levels_count, ratio=quote.level_size_ratio)
        self.limits = SpreadLimits(quote.spread_bps_min, quote.spread_bps_max, quote.skew_bps_max)
        self.fair_ticks = 0.0

    def use(self, row: Instrument) -> None:
        """Quote by this row from now on."""
        self._row = row
        self._placer.perp = row.market == "perp"
        self.sizes.forget()
        self.bands.use(row)
        self._table = fair_table(self._settings, row)
        self.take(self.estimates)

    def take(self, estimates: Estimates) -> None:
        """Quote by these from now on."""
        self.estimates = estimates
        row = self._row
        if row is None:
            return
        fee_bps = self._maker_fee_bps if self._maker_fee_bps is not None else row.maker_fee_bps
        self.limits = self.limits._replace(
            floor_bps=spread_floor_bps(
                maker_fee_bps=fee_bps,
                adverse_bps=estimates.adverse_bps,
                spread_bps_min=self._settings.spread_bps_min,
                respects_fees=self.model.respects_fees,
            )
        )

    def size_up(self, mid_ticks: float) -> None:
        """Know sizes before the first quote: the first lease request needs them."""
        if self._row is not None and not self.sizes.order_lots:
            self.sizes.follow(mid_ticks, self._row)

    def quote(self, top: tuple[Level, Level], view: Effect, occasion: Occasion) -> list[Placed] | NoQuote:
        """Commands that bring the live orders nearer to the wished ones, or why nothing can be wished."""
        (bid_ticks, bid_lots), (ask_ticks, ask_lots) = top
        settings, sizes = self._settings, self.sizes
        if self._table is None:
            fair = fair_ticks(bid_ticks, bid_lots, ask_ticks, ask_lots, weight=settings.microprice_weight)
        else:
            fair = self._table.fair_ticks(bid_ticks, bid_lots, ask_ticks, ask_lots)
        self.fair_ticks = fair
        if self._row is None:
            return NoQuote(Reason.STARTING, "instrument not known yet")
        sizes.follow(fair, self._row)
        if sizes.order_lots < sizes.lots_min:
            return NoQuote(Reason.BELOW_MIN_NOTIONAL, self._too_small())
        price = self._price(imbalance(bid_lots, ask_lots))
        if isinstance(price, NoPrice):
            return NoQuote(Reason.NO_PRICE, f"{settings.model}: {price.text}")
        priced = bounded(price.centre_bps, price.spread_bps, self.limits, view.spread_floor_bps, view.spread_add_bps)
        if priced is None:
            return NoQuote(Reason.NO_PRICE, f"model {settings.model} gave no number")
        centre_bps, spread_bps = priced
        bid_edge, ask_edge = edges_ticks(fair, centre_bps, spread_bps)
        low, high = self.band = self.bands.at(fair, occasion.now_ns)
        bid_edge, ask_edge = min(bid_edge, high), max(ask_edge, low)
        room_buy, room_sell = self._rooms(view, fair, price)
        if bid_edge < low:
            room_buy = 0
        if ask_edge > high:
            room_sell = 0
        lots_buy, lots_sell = self._order_sizes(view)
        tolerance = tolerance_ticks(fair, settings.refresh_tolerance_bps, settings.refresh_tolerance_share, spread_bps)
        levels, by_slot = settings.levels_count, self._own.by_slot
        if (
            levels == 1
            and _at_rest(by_slot.get(0), bid_edge, tolerance, min(lots_buy, room_buy))
            and _at_rest(by_slot.get(1), ask_edge, tolerance, min(lots_sell, room_sell))
        ):
            return []
        step = settings.level_step_bps * BPS * fair
        below, above = self._own_prices.limits_ticks(self._wallet.venue, self._row.tick_float)
        ask_limit, bid_limit = post_only_limits(bid_ticks, ask_ticks, below, above)
        each_buy, each_sell = self._level_sizes(lots_buy, lots_sell, price)
        bids = bid_wishes(bid_edge, step, ask_limit, each_buy, room_buy, sizes.lots_min, low)
        asks = ask_wishes(ask_edge, step, bid_limit, each_sell, room_sell, sizes.lots_min, high)
        self._placer.hindrances.clear()
        if not bids:
            self._explain(Side.BUY, price.bid, bid_edge < low, lots_buy, room_buy)
        if not asks:
            self._explain(Side.SELL, price.ask, ask_edge > high, lots_sell, room_sell)
        self._budget.refill(occasion.now_ns)
        terms = Terms(
            fair,
            spread_bps * BPS * fair,
            tolerance,
            fair * settings.refresh_tolerance_bps * BPS,
            sizes.usd_per_tick_lot,
            self._refresh_ns,
            self._budget.scarcity,
            occasion.now_ns,
            settings.queue_keep,
            fair * settings.hanging_bps_max * BPS,
        )
        found = moves(Side.BUY, bids, by_slot, levels, room_buy, terms)
        found += moves(Side.SELL, asks, by_slot, levels, room_sell, terms)
        return self._placer.carry_out(ranked(found), occasion) if found else []

    def _price(self, imbalance: float) -> Price | NoPrice:
        """The model's wish, before any limit."""
        position, sizes = self._position.lots, self.sizes
        return self.model.price(
            State(
                position / sizes.order_lots,
                position / sizes.cap_lots if sizes.cap_lots else 0.0,
                max(self._volatility.bps, self._settings.volatility_bps_min),
                imbalance,
            ),
            self.estimates,
        )

    def _rooms(self, view: Effect, fair: float, price: Price) -> tuple[int, int]:
        """Most lots that all bids, and all asks, may have together."""
        wallet, position, placer = self._wallet, self._position.lots, self._placer
        cap = self.sizes.cap_lots
        if view is not NEUTRAL and view.position_usd_max < math.inf:
            cap = min(cap, math.floor(view.position_usd_max / (fair * self.sizes.usd_per_tick_lot)))
        room_buy = min(cap, wallet.long_lots) - position - placer.dying_buy_lots
        # Spot: never more than is held, whatever the lease says.
        short = wallet.short_lots if placer.perp else min(wallet.short_lots, self._position.stock_lots)
        room_sell = min(cap, short) + position - placer.dying_sell_lots
        if wallet.state is RiskState.REDUCE_ONLY:
            room_buy = min(room_buy, -position - placer.dying_buy_lots)
            room_sell = min(room_sell, position - placer.dying_sell_lots)
        return max(0, room_buy) if price.bid else 0, max(0, room_sell) if price.ask else 0

    def _order_sizes(self, view: Effect) -> tuple[int, int]:
        """Lots of one bid and of one ask."""
        sizes, factor = self.sizes, self._wallet.quantity_factor
        if factor >= 1.0 and view is NEUTRAL:
            return sizes.order_lots, sizes.order_lots
        return (
            scaled_lots(lots=sizes.order_lots, factor=factor * view.bid_factor, lots_min=sizes.lots_min),
            scaled_lots(lots=sizes.order_lots, factor=factor * view.ask_factor, lots_min=sizes.lots_min),
        )

    def _level_sizes(self, lots_buy: int, lots_sell: int, price: Price) -> tuple[Sequence[int], Sequence[int]]:
        """Lots of each level of both sides, best level first."""
        shares = self._shares
        if len(shares) == 1:
            return (lots_buy,), (lots_sell,)
        settings = self._settings
        if settings.level_sizes == "model":
            shares = model_shares(
                levels_count=settings.levels_count,
                step_bps=settings.level_step_bps,
                skew_bps=price.skew_bps,
                share_max=settings.level_orders_max,
            )
        return self.sizes.level_lots(lots_buy, shares), self.sizes.level_lots(lots_sell, shares)

    def _too_small(self) -> str:
        sizes = self.sizes
        return (
            f"an order of {self._settings.order_usd:g} USD is {sizes.order_lots} lots, "
            f"the venue takes {sizes.lots_min} or more"
        )

    def _explain(self, side: Side, wanted: bool, outside: bool, lots_each: int, room_lots: int) -> None:
        """Note why a side has no wish."""
        wallet, sizes = self._wallet, self.sizes
        if not wanted:
            why = (Reason.NO_PRICE, f"{self._settings.model} wants none at position {self._position.lots} lots")
        elif outside:
            low, high = self.band
            why = (Reason.PRICE_BAND, f"{low:.0f} to {high:.0f} ticks, fair {self.fair_ticks:.0f}")
        elif lots_each == 0:
            why = (Reason.MODEL_HOLD, "size factor 0")
        elif wallet.state is RiskState.REDUCE_ONLY:
            why = (Reason.REDUCE_ONLY, wallet.state_reason)
        elif room_lots < sizes.lots_min:
            envelope = wallet.long_lots if side is Side.BUY else wallet.short_lots
            bound = f"lease {envelope}" if envelope < sizes.cap_lots else f"cap {sizes.cap_lots}"
            why = (Reason.LEASE_FULL, f"position {self._position.lots}, {bound}, room {room_lots} lots")
        else:
            why = (Reason.NO_PRICE, "no tick left between the limits")
        self._placer.hindrances[side] = why


def _at_rest(order: OwnOrder | None, edge_ticks: float, tolerance_ticks: float, lots: int) -> bool:
    """The early way out: settled, of the right size, and nearer to the unrounded wish than a change could be worth.

    Rounding moves a wish by less than a tick and the post-only limits move it toward the order, never away: what
    this lets pass `reconcile.moves` would leave alone too.
    """
    if order is None or order.pending is not Pending.NONE:
        return False
    rest = order.rest_lots
    return abs(order.price_ticks - edge_ticks) + 1.0 <= tolerance_ticks and lots * UNDERSIZE <= rest <= lots
