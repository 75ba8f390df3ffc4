"""What a venue refuses before an order reaches its book, with Binance's codes and texts; perp and spot differ.

Source: binance-spot-api-docs `errors.md` and `filters.md`, USD-M "Error Code" page, read 2026-07.
"""

from __future__ import annotations

from actors.vocab.instruments import Instrument
from actors.vocab.market import Side
from actors.vocab.message import Record
from actors.vocab.venue_io import FaultKind

# Distance from the mark that a limit price may have: PERCENT_PRICE of most USD-M symbols is 0.95 … 1.05, of spot
# PERCENT_PRICE_BY_SIDE 0.2 … 5.
BAND_PERP = (0.95, 1.05)
BAND_SPOT = (0.2, 5.0)


class Refusal(Record, frozen=True):
    """Why an order, cancel or query is not accepted."""

    kind: FaultKind
    code: int
    text: str


POST_ONLY_PERP = Refusal(
    FaultKind.POST_ONLY,
    -5022,
    "Due to the order could not be executed as maker, the Post Only order will be rejected. "
    "The order will not be recorded in the order history",
)
POST_ONLY_SPOT = Refusal(FaultKind.POST_ONLY, -2010, "Order would immediately match and take.")
DUPLICATE_PERP = Refusal(FaultKind.DUPLICATE_ID, -4116, "ClientOrderId is duplicated.")
DUPLICATE_SPOT = Refusal(FaultKind.DUPLICATE_ID, -2010, "Duplicate order sent.")
FUNDS_PERP = Refusal(FaultKind.FUNDS, -2019, "Margin is insufficient.")
FUNDS_SPOT = Refusal(FaultKind.FUNDS, -2010, "Account has insufficient balance for requested action.")
REDUCE_ONLY = Refusal(FaultKind.REJECTED, -2022, "ReduceOnly Order is rejected.")
UNKNOWN_CANCEL = Refusal(FaultKind.UNKNOWN_ORDER, -2011, "Unknown order sent.")
UNKNOWN_QUERY = Refusal(FaultKind.UNKNOWN_ORDER, -2013, "Order does not exist.")
UNCHANGED_PERP = Refusal(FaultKind.UNCHANGED, -5027, "No need to modify the order.")
UNCHANGED_SPOT = Refusal(FaultKind.UNCHANGED, -2038, "Order amend would not change the order.")
PARTLY_REPLACED = "Order cancel-replace partially failed."  # -2021: the old order is gone, the new one was refused
INVALID_SYMBOL = Refusal(FaultKind.BAD_REQUEST, -1121, "Invalid symbol.")
OTHER_SIDE = Refusal(FaultKind.BAD_REQUEST, -1117, "Invalid side.")  # an amendment keeps the side
NO_COUNTDOWN = Refusal(FaultKind.BAD_REQUEST, -1100, "Illegal characters found in a parameter.")
HALTED_PERP = Refusal(FaultKind.REJECTED, -4140, "Invalid symbol status for opening position.")
HALTED_SPOT = Refusal(FaultKind.REJECTED, -2010, "Market is closed.")
NO_SIZE = Refusal(FaultKind.REJECTED, -2010, "Order book liquidity is less than LOT_SIZE filter minimum quantity.")


def check_order(
    instrument: Instrument,
    *,
    side: Side,
    price_ticks: int,
    lots: int,
    market: bool,
    reduce_only: bool,
    mark_ticks: float,
    open_orders_count: int,
) -> Refusal | None:
    """First filter that the order breaks. `price_ticks` is ignored for market orders; the mark values them."""
    if instrument.market == "perp":
        return _check_perp(instrument, side, price_ticks, lots, market, reduce_only, mark_ticks, open_orders_count)
    return _check_spot(instrument, price_ticks, lots, market, mark_ticks, open_orders_count)


def off_tick(instrument: Instrument) -> Refusal:
    """For servers: the price on the wire was no multiple of the tick."""
    if instrument.market == "perp":
        return Refusal(FaultKind.FILTER, -4014, "Price not increased by tick size.")
    return Refusal(FaultKind.FILTER, -1013, "Filter failure: PRICE_FILTER")


def off_lot(instrument: Instrument) -> Refusal:
    """For servers: the quantity on the wire was no multiple of the lot."""
    if instrument.market == "perp":
        return Refusal(FaultKind.FILTER, -4023, "Qty not increased by step size.")
    return Refusal(FaultKind.FILTER, -1013, "Filter failure: LOT_SIZE")


def _check_perp(
    instrument: Instrument,
    side: Side,
    price_ticks: int,
    lots: int,
    market: bool,
    reduce_only: bool,
    mark_ticks: float,
    open_orders_count: int,
) -> Refusal | None:
    if not instrument.trading:
        return HALTED_PERP
    if lots <= 0:
        return _filter(-4003, "Quantity less than or equal to zero.")
    if lots < instrument.lots_min:
        return _filter(-4004, "Quantity less than min quantity.")
    if lots > instrument.lots_max:
        return _filter(-4005, "Quantity greater than max quantity.")
    if not market:
        if price_ticks <= 0:
            return _filter(-4001, "Price less than 0.")
        # PERCENT_PRICE guards the dangerous side only: a buy may not be too high, a sell not too low.
        low, high = (ratio * mark_ticks for ratio in BAND_PERP)
        if side > 0 and price_ticks > high:
            return _filter(-4016, f"Limit price can't be higher than {instrument.price_text(int(high))}.")
        if side < 0 and price_ticks < low:
            return _filter(-4024, f"Limit price can't be lower than {instrument.price_text(int(low) + 1)}.")
    if not reduce_only and instrument.notional_usd(mark_ticks if market else price_ticks, lots) + 1e-9 < float(
        instrument.min_notional
    ):
        text = f"Order's notional must be no smaller than {instrument.min_notional} (unless you choose reduce only)."
        return _filter(-4164, text)
    if not market and open_orders_count >= instrument.orders_open_max:
        return Refusal(FaultKind.FILTER, -2025, "Reach max open order limit.")
    return None


def _check_spot(
    instrument: Instrument, price_ticks: int, lots: int, market: bool, mark_ticks: float, open_orders_count: int
) -> Refusal | None:
    if not instrument.trading:
        return HALTED_SPOT
    if not instrument.lots_min <= lots <= instrument.lots_max:
        return _filter(-1013, "Filter failure: LOT_SIZE")
    if not market:
        if price_ticks <= 0:
            return _filter(-1013, "Filter failure: PRICE_FILTER")
        if not BAND_SPOT[0] * mark_ticks <= price_ticks <= BAND_SPOT[1] * mark_ticks:
            return _filter(-1013, "Filter failure: PERCENT_PRICE_BY_SIDE")
    if instrument.notional_usd(mark_ticks if market else price_ticks, lots) + 1e-9 < float(instrument.min_notional):
        return _filter(-1013, "Filter failure: NOTIONAL")
    if not market and open_orders_count >= instrument.orders_open_max:
        return _filter(-1013, "Filter failure: MAX_NUM_ORDERS")
    return None


def _filter(code: int, text: str) -> Refusal:
    return Refusal(FaultKind.FILTER, code, text)
