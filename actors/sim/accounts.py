"""Money of one account at one simulated venue: exact Decimals, booked fill by fill.

Perpetuals: one wallet in the quote asset, one-way positions at average price, initial margin at fixed leverage.
Spot: a balance per asset, locked by open orders, the fee taken from what is received. Identity, checked by tests:

    change of equity = realised + unrealised - fees + funding          (perpetuals)
    change of a balance = sum of its booked rows                       (spot)

Left out: maintenance margin and forced liquidation (the desk can order one), interest, borrowing, several collateral
assets, fee discounts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import ROUND_HALF_UP, Decimal

import msgspec

from actors.sim.orders import SimOrder
from actors.venues.ledger import LedgerBalance, LedgerPosition
from actors.vocab.errors import ConfigError, check
from actors.vocab.instruments import Instrument
from actors.vocab.market import Side
from actors.vocab.message import Record

LEVERAGE = 20
UNIT = Decimal("0.00000001")  # the venue books eight decimals
ZERO = Decimal(0)
_BPS = Decimal(10_000)

MarkOf = Callable[[str], float]  # symbol -> mark in ticks


class Booked(Record, frozen=True):
    """What one fill did to the account. `fee` positive = paid."""

    fee: Decimal
    fee_asset: str
    realized_pnl: Decimal


class Holding(msgspec.Struct):
    """One perpetual position. `cost` is what it was bought for in quote currency, signed like `lots`."""

    instrument: Instrument
    lots: int = 0
    cost: Decimal = ZERO
    buy_usd: float = 0.0  # open orders at their prices, for the margin only
    sell_usd: float = 0.0


class PerpAccount:
    """One-way mode, cross margin."""

    def __init__(self, *, quote: str, wallet: Decimal, mark_of: MarkOf) -> None:
        self.quote = quote
        self.wallet = wallet
        self._mark_of = mark_of
        self._holdings: dict[str, Holding] = {}
        self._reserved: dict[int, tuple[str, Side, float]] = {}  # order_id -> (symbol, side, usd) in its holding

    def affords(self, instrument: Instrument, order: SimOrder, price_ticks: int) -> bool:
        holding = self._holding(instrument)
        usd = instrument.notional_usd(price_ticks, order.left_lots)
        before = self._margin(holding)
        after = self._margin(holding, extra_usd=usd, side=order.side)
        if after <= before:
            return True
        free = float(self.wallet) + sum(self._unrealized(each) for each in self._holdings.values())
        return after - before <= free - sum(self._margin(each) for each in self._holdings.values())

    def reserve(self, instrument: Instrument, order: SimOrder, *, alive: bool) -> None:
        holding = self._holding(instrument)
        held = self._reserved.pop(order.order_id, None)
        usd = instrument.notional_usd(order.price_ticks, order.left_lots) if alive else 0.0
        change = usd - (held[2] if held else 0.0)
        if order.side > 0:
            holding.buy_usd += change
        else:
            holding.sell_usd += change
        if usd:
            self._reserved[order.order_id] = (order.symbol, order.side, usd)

    def book(self, instrument: Instrument, side: Side, price_ticks: int, lots: int, fee_bps: Decimal) -> Booked:
        holding = self._holding(instrument)
        value = price_ticks * lots * instrument.usd_per_tick_lot_exact
        realized = self._realize(holding, side, lots, value)
        fee = (value * fee_bps / _BPS).quantize(UNIT, ROUND_HALF_UP)
        self.wallet += realized - fee
        return Booked(fee=fee, fee_asset=self.quote, realized_pnl=realized)

    def fund(self, symbol: str, rate: Decimal) -> Decimal:
        """Pay or receive funding on the position at mark; returns what was received."""
        amount = (-self.notional(symbol) * rate).quantize(UNIT, ROUND_HALF_UP)
        self.wallet += amount
        return amount

    def balances(self, assets: tuple[str, ...] = ()) -> tuple[LedgerBalance, ...]:
        margin = sum(self._margin(each) for each in self._holdings.values())
        unrealized = sum((self.unrealized(symbol) for symbol in self._holdings), ZERO)
        return (
            LedgerBalance(
                asset=self.quote,
                wallet=format(self.wallet, "f"),
                locked=f"{margin:.8f}",
                unrealized=format(unrealized, "f"),
            ),
        )

    def positions(self, now_ms: int, symbols: tuple[str, ...] = ()) -> tuple[LedgerPosition, ...]:
        return tuple(
            LedgerPosition(
                symbol=symbol,
                position_lots=holding.lots,
                entry_ticks=self.entry_ticks(symbol),
                mark_ticks=self._mark_of(symbol),
                unrealized=format(self.unrealized(symbol), "f"),
                updated_ms=now_ms,
                margin=f"{self._margin(holding):.8f}",
            )
            for symbol, holding in self._holdings.items()
            if not symbols or symbol in symbols
        )

    def position_lots(self, instrument: Instrument) -> int:
        holding = self._holdings.get(instrument.symbol)
        return holding.lots if holding else 0

    def entry_ticks(self, symbol: str) -> float:
        """Average price of the position; 0.0 when flat."""
        holding = self._holdings[symbol]
        if not holding.lots:
            return 0.0
        return float(holding.cost / holding.lots / holding.instrument.usd_per_tick_lot_exact)

    def unrealized(self, symbol: str) -> Decimal:
        holding = self._holdings[symbol]
        return self._value(holding) - holding.cost

    def notional(self, symbol: str) -> Decimal:
        """Signed value of the position at mark."""
        holding = self._holdings.get(symbol)
        return self._value(holding) if holding else ZERO

    def equity(self) -> Decimal:
        return self.wallet + sum((self.unrealized(symbol) for symbol in self._holdings), ZERO)

    def touched_assets(self, instrument: Instrument) -> tuple[str, ...]:
        return (self.quote,)

    def rescale(self, instrument: Instrument) -> None:
        """The same position in new steps. `ConfigError` when it is no whole number of the new lots."""
        holding = self._holdings.get(instrument.symbol)
        if holding is None:
            return
        size = holding.lots * holding.instrument.lot * holding.instrument.multiplier
        lots = size / (instrument.lot * instrument.multiplier)
        if lots != lots.to_integral_value():
            raise ConfigError(f"{instrument.symbol}: a position of {size} is no whole number of {instrument.lot_size}")
        holding.lots = int(lots)
        holding.instrument = instrument

    def _holding(self, instrument: Instrument) -> Holding:
        holding = self._holdings.get(instrument.symbol)
        if holding is None:
            holding = self._holdings[instrument.symbol] = Holding(instrument)
        return holding

    def _realize(self, holding: Holding, side: Side, lots: int, value: Decimal) -> Decimal:
        """Move the position; the part that closes is realised at average price."""
        closing = min(lots, abs(holding.lots)) if holding.lots * side < 0 else 0
        realized = ZERO
        if closing:
            # What remains keeps the rest of the cost, so that rounding here is never lost.
            cost = (holding.cost * closing / abs(holding.lots)).quantize(UNIT, ROUND_HALF_UP)
            if closing == abs(holding.lots):
                cost = holding.cost
            part = value if closing == lots else (value * closing / lots).quantize(UNIT, ROUND_HALF_UP)
            realized = -int(side) * part - cost
            holding.cost -= cost
            value -= part
        holding.lots += int(side) * lots
        holding.cost += int(side) * value if lots > closing else ZERO
        check(bool(holding.lots) or not holding.cost, f"{holding.instrument.symbol}: flat with cost {holding.cost}")
        return realized

    def _value(self, holding: Holding) -> Decimal:
        if not holding.lots:
            return ZERO
        mark = Decimal(repr(self._mark_of(holding.instrument.symbol)))
        return (mark * holding.lots * holding.instrument.usd_per_tick_lot_exact).quantize(UNIT, ROUND_HALF_UP)

    def _unrealized(self, holding: Holding) -> float:
        if not holding.lots:
            return 0.0
        mark = self._mark_of(holding.instrument.symbol)
        return holding.instrument.notional_usd(mark, holding.lots) - float(holding.cost)

    def _margin(self, holding: Holding, *, extra_usd: float = 0.0, side: int = 0) -> float:
        """Initial margin: the worse side if every order of that side filled."""
        position_usd = float(holding.cost)
        buys = holding.buy_usd + (extra_usd if side > 0 else 0.0)
        sells = holding.sell_usd + (extra_usd if side < 0 else 0.0)
        return max(abs(position_usd + buys), abs(position_usd - sells)) / LEVERAGE


class SpotAccount:
    """Free and locked balances; a sale needs the coins."""

    def __init__(self, *, quote: str, balances: dict[str, Decimal], mark_of: MarkOf) -> None:
        self.quote = quote
        self.totals = dict(balances)  # asset -> free plus locked
        self._mark_of = mark_of
        self._locks: dict[int, tuple[str, Decimal]] = {}  # order_id -> (asset, amount)
        self._locked: dict[str, Decimal] = {}  # asset -> sum of its locks
        self._instruments: dict[str, Instrument] = {}  # base asset -> what values it

    def know(self, instruments: Iterable[Instrument]) -> None:
        """Value these base assets."""
        self._instruments.update((instrument.base, instrument) for instrument in instruments)

    def affords(self, instrument: Instrument, order: SimOrder, price_ticks: int) -> bool:
        asset, amount = self._need(instrument, order.side, price_ticks, order.left_lots)
        held_asset, held = self._locks.get(order.order_id, (asset, ZERO))
        free = self.totals.get(asset, ZERO) - self._locked.get(asset, ZERO)
        return amount <= free + (held if held_asset == asset else ZERO)

    def reserve(self, instrument: Instrument, order: SimOrder, *, alive: bool) -> None:
        asset, before = self._locks.pop(order.order_id, ("", ZERO))
        if asset:
            self._locked[asset] -= before
        if alive and order.left_lots and not order.market:
            asset, amount = self._need(instrument, order.side, order.price_ticks, order.left_lots)
            self._locks[order.order_id] = (asset, amount)
            self._locked[asset] = self._locked.get(asset, ZERO) + amount

    def book(self, instrument: Instrument, side: Side, price_ticks: int, lots: int, fee_bps: Decimal) -> Booked:
        size = lots * instrument.lot * instrument.multiplier
        value = price_ticks * lots * instrument.usd_per_tick_lot_exact
        received, asset = (size, instrument.base) if side > 0 else (value, instrument.quote)
        given, given_asset = (value, instrument.quote) if side > 0 else (size, instrument.base)
        fee = (received * fee_bps / _BPS).quantize(UNIT, ROUND_HALF_UP)
        self.pay(asset, received - fee)
        self.pay(given_asset, -given)
        return Booked(fee=fee, fee_asset=asset, realized_pnl=ZERO)

    def pay(self, asset: str, amount: Decimal) -> None:
        self.totals[asset] = self.totals.get(asset, ZERO) + amount

    def balances(self, assets: tuple[str, ...] = ()) -> tuple[LedgerBalance, ...]:
        return tuple(
            LedgerBalance(asset=asset, wallet=format(total, "f"), locked=format(self._locked.get(asset, ZERO), "f"))
            for asset, total in self.totals.items()
            if not assets or asset in assets
        )

    def positions(self, now_ms: int, symbols: tuple[str, ...] = ()) -> tuple[LedgerPosition, ...]:
        """Whole lots of each base asset; spot has no entry price."""
        return tuple(
            LedgerPosition(
                symbol=instrument.symbol,
                position_lots=self.position_lots(instrument),
                entry_ticks=0.0,
                mark_ticks=self._mark_of(instrument.symbol),
                updated_ms=now_ms,
            )
            for instrument in self._instruments.values()
            if not symbols or instrument.symbol in symbols
        )

    def position_lots(self, instrument: Instrument) -> int:
        return int(self.totals.get(instrument.base, ZERO) // (instrument.lot * instrument.multiplier))

    def equity(self) -> Decimal:
        value = self.totals.get(self.quote, ZERO)
        for base, instrument in self._instruments.items():
            price = Decimal(repr(self._mark_of(instrument.symbol))) * instrument.tick
            value += (self.totals.get(base, ZERO) * price).quantize(UNIT, ROUND_HALF_UP)
        return value

    def touched_assets(self, instrument: Instrument) -> tuple[str, ...]:
        return (instrument.quote, instrument.base)

    def rescale(self, instrument: Instrument) -> None:
        """Balances are in assets: only the steps of the valuation change."""
        if instrument.base in self._instruments:
            self._instruments[instrument.base] = instrument

    def _need(self, instrument: Instrument, side: Side, price_ticks: int, lots: int) -> tuple[str, Decimal]:
        if side > 0:
            return instrument.quote, price_ticks * lots * instrument.usd_per_tick_lot_exact
        return instrument.base, lots * instrument.lot * instrument.multiplier
