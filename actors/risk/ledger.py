"""Position and profit of one symbol, exact: every sum is an integer of half ticks times lots.

The identity of the report, with mid as the mark (twice the mid is a whole number of ticks):

    net = spread capture + inventory - fees + funding
    spread capture = sum over fills of side * (mid at the fill - price) * size
    inventory      = sum over time of position * change of mid  =  cash + position * mid - spread capture

A spot account's stock, the coins it started with, is no position. It is valued at the first mid, so bringing it in is
no profit; its later changes of value are part of inventory (`stock_usd` says how much), because the account's equity
has them. `net_float`, which limits watch, leaves them out: no stop of quoting could prevent that loss.

Fees and funding are decimals of the quote currency. Average price, realised and unrealised profit are the usual
weighted-average accounting of the same fills; realised + unrealised = spread capture + inventory.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import msgspec

from actors.vocab.instruments import Instrument
from actors.vocab.market import Side


class PnlParts(msgspec.Struct, frozen=True):
    """Exact profit of one symbol in USD since the ledger opened. `residual_usd` is 0 unless a ledger is broken."""

    net_usd: Decimal
    spread_capture_usd: Decimal
    inventory_usd: Decimal
    fees_usd: Decimal  # positive = paid
    funding_usd: Decimal  # positive = received
    residual_usd: Decimal
    realised_usd: Decimal
    unrealised_usd: Decimal
    stock_usd: Decimal = Decimal(0)  # change of value of the stock; contained in inventory and unrealised


class LedgerState(msgspec.Struct, frozen=True):
    """What the journal keeps of a ledger, enough to go on exactly where it stood."""

    position_lots: int
    cost: str  # decimal text or fraction, USD: what the position cost by average price
    cash_usd: str
    capture_usd: str
    fees_usd: str
    funding_usd: str
    realised_usd: str
    mid_usd: str  # of one lot, at the last fill
    fills_count: int
    buy_lots: int
    sell_lots: int
    turnover_usd: str
    stock_lots: int = 0
    stock_paid_usd: str = ""  # value of the stock at its first mid; empty before it

    @property
    def net_usd(self) -> float:
        """`Ledger.net_float` of this state. Without a price the position waits for its first one and counts nothing."""
        held = Decimal(self.cash_usd) + self.position_lots * Decimal(self.mid_usd)
        return float(held - Decimal(self.fees_usd) + Decimal(self.funding_usd))

    def to_json(self) -> str:
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str) -> LedgerState:
        return msgspec.json.decode(text, type=cls)


class Ledger:
    """One symbol at one venue account."""

    __slots__ = (
        "_capture",
        "_carried_capture",
        "_carried_cash",
        "_carried_realised",
        "_carried_turnover",
        "_cash",
        "_cost",
        "_opening_lots",
        "_realised",
        "_stock_paid",
        "_tick",
        "_turnover",
        "_unit",
        "buy_lots",
        "fees_usd",
        "fills_count",
        "funding_usd",
        "mid2",
        "position_lots",
        "sell_lots",
        "stock_lots",
        "unit_float",
    )

    def __init__(self, instrument: Instrument, *, opening_lots: int = 0, stock_lots: int = 0) -> None:
        """`opening_lots` is held already; it is taken over at the first mid, so it neither gains nor loses before.
        So is the stock."""
        self._unit: Decimal = instrument.usd_per_tick_lot_exact / 2  # USD of one half tick on one lot
        self.unit_float = float(self._unit)
        self._tick = instrument.tick
        self.position_lots = 0
        self.mid2 = 0  # twice the mid, in ticks; 0 before the first mark
        # In half ticks times lots, since the last change of the tick or lot size:
        self._cash = 0  # received minus paid for fills
        self._capture = 0
        self._turnover = 0
        self._cost = Fraction(0)  # of the position at its average price; signed like the position
        self._realised = Fraction(0)
        # In USD, from before the last change of the tick or lot size:
        self._carried_cash = Decimal(0)
        self._carried_capture = Decimal(0)
        self._carried_turnover = Decimal(0)
        self._carried_realised = Fraction(0)
        self.fees_usd = Decimal(0)
        self.funding_usd = Decimal(0)
        self.fills_count = 0
        self.buy_lots = 0
        self.sell_lots = 0
        self._opening_lots = opening_lots
        self.stock_lots = stock_lots
        self._stock_paid: Decimal | None = None  # USD; None before the first mid

    # --- events ----------------------------------------------------------------------------------------------

    @property
    def awaits_price(self) -> bool:
        """Whether lots wait to be taken over at the first mid."""
        return self._opening_lots != 0 or (self.stock_lots != 0 and self._stock_paid is None)

    def mark(self, mid2: int) -> None:
        """Take a new mid, as bid plus ask in ticks."""
        self.mid2 = mid2
        if self._opening_lots:
            lots, self._opening_lots = self._opening_lots, 0
            self.adjust(lots)
        if self.stock_lots and self._stock_paid is None:
            self._stock_paid = self.stock_lots * mid2 * self._unit

    def fill(self, side: Side, price_ticks: int, lots: int) -> None:
        """Book one execution. Without any mark yet its own price is the mid: it captures nothing."""
        if not self.mid2:
            self.mark(2 * price_ticks)
        signed = side * lots
        price2 = 2 * price_ticks
        self._cash -= signed * price2
        self._capture += signed * (self.mid2 - price2)
        self._turnover += lots * price2
        self._trade(signed, price2)
        self.fills_count += 1
        if side is Side.BUY:
            self.buy_lots += lots
        else:
            self.sell_lots += lots

    def adjust(self, change_lots: int) -> None:
        """Take over a change of position that is no trade of ours, at the mid: no profit and no loss."""
        if not self.mid2:
            self._opening_lots += change_lots
            return
        self._cash -= change_lots * self.mid2
        self._trade(change_lots, self.mid2)

    def bring_in(self, lots: int) -> None:
        """The stock is `lots`; valued at the mid of now, or at the first one."""
        self.stock_lots = lots
        self._stock_paid = lots * self.mid2 * self._unit if self.mid2 else None

    def fee(self, amount_usd: Decimal) -> None:
        self.fees_usd += amount_usd

    def funding(self, amount_usd: Decimal) -> None:
        self.funding_usd += amount_usd

    def rebase(self, instrument: Instrument) -> None:
        """The tick or lot size changed: count in the new ones, keep every amount. Lots must stay whole.

        The mid is kept too, to the nearest half tick: without one a position would be worth nothing until the next
        mark, and whatever values it before would call that a loss.
        """
        if self.mid2 and instrument.tick != self._tick:
            self.mid2 = max(1, round(self.mid2 * self._tick / instrument.tick))
        self._tick = instrument.tick
        old_tick_lots, unit = self._unit, instrument.usd_per_tick_lot_exact / 2
        if unit == old_tick_lots:
            return
        state = self.state()
        self._carried_cash += self._cash * old_tick_lots
        self._carried_capture += self._capture * old_tick_lots
        self._carried_turnover += self._turnover * old_tick_lots
        self._carried_realised += self._realised * Fraction(old_tick_lots)
        self._cash = self._capture = self._turnover = 0
        self._realised = Fraction(0)
        self._cost = Fraction(state.cost) / Fraction(unit)
        self._unit = unit
        self.unit_float = float(unit)

    def rescale_lots(self, numerator: int, denominator: int) -> None:
        """Positions are counted in lots of another size; the caller follows with `rebase`."""
        self.position_lots = self.position_lots * numerator // denominator
        self._opening_lots = self._opening_lots * numerator // denominator
        self.stock_lots = self.stock_lots * numerator // denominator
        self.buy_lots = self.buy_lots * numerator // denominator
        self.sell_lots = self.sell_lots * numerator // denominator

    def _trade(self, signed_lots: int, price2: int) -> None:
        """Average-price accounting: closing realises against the average, opening adds to the cost."""
        position = self.position_lots
        if position and (position > 0) != (signed_lots > 0):
            closed = min(abs(position), abs(signed_lots)) * (1 if position > 0 else -1)
            cost = self._cost * closed / position
            self._realised += closed * price2 - cost
            self._cost -= cost
            opened = signed_lots + closed
        else:
            opened = signed_lots
        self._cost += opened * price2
        self.position_lots = position + signed_lots

    # --- reading ---------------------------------------------------------------------------------------------

    @property
    def known_lots(self) -> int:
        """Position including what waits for its first mid."""
        return self.position_lots + self._opening_lots

    @property
    def stock_paid_usd(self) -> Decimal:
        """Value of the stock at its first mid; 0 before it."""
        return self._stock_paid or Decimal(0)

    @property
    def average_ticks(self) -> float:
        """Average price of the position; 0.0 when flat."""
        return float(self._cost / self.position_lots / 2) if self.position_lots else 0.0

    def net_float(self) -> float:
        """Net profit as a float, for limits watched at each mark: without the stock's. Reports use `parts`."""
        half_ticks = self._cash + self.position_lots * self.mid2
        return half_ticks * self.unit_float + float(self._carried_cash) - float(self.fees_usd) + float(self.funding_usd)

    def parts(self) -> PnlParts:
        unit = self._unit
        gross = (self._cash + self.position_lots * self.mid2) * unit + self._carried_cash
        capture = self._capture * unit + self._carried_capture
        stock = Decimal(0) if self._stock_paid is None else self.stock_lots * self.mid2 * unit - self._stock_paid
        inventory = gross + stock - capture
        net = gross + stock - self.fees_usd + self.funding_usd
        realised = _decimal(self._realised * Fraction(unit) + self._carried_realised)
        unrealised = _decimal((self.position_lots * self.mid2 - self._cost) * Fraction(unit))
        return PnlParts(
            net_usd=net,
            spread_capture_usd=capture,
            inventory_usd=inventory,
            fees_usd=self.fees_usd,
            funding_usd=self.funding_usd,
            residual_usd=net - (capture + inventory - self.fees_usd + self.funding_usd),
            realised_usd=realised,
            unrealised_usd=unrealised + stock,
            stock_usd=stock,
        )

    @property
    def turnover_usd(self) -> Decimal:
        return self._turnover * self._unit + self._carried_turnover

    # --- the journal -----------------------------------------------------------------------------------------

    def state(self) -> LedgerState:
        unit = self._unit
        return LedgerState(
            position_lots=self.known_lots,
            cost=str(self._cost * Fraction(unit)),
            cash_usd=str(self._cash * unit + self._carried_cash),
            capture_usd=str(self._capture * unit + self._carried_capture),
            fees_usd=str(self.fees_usd),
            funding_usd=str(self.funding_usd),
            realised_usd=str(self._realised * Fraction(unit) + self._carried_realised),
            mid_usd=str(self.mid2 * unit),
            fills_count=self.fills_count,
            buy_lots=self.buy_lots,
            sell_lots=self.sell_lots,
            turnover_usd=str(self.turnover_usd),
            stock_lots=self.stock_lots,
            stock_paid_usd="" if self._stock_paid is None else str(self._stock_paid),
        )

    def restore(self, state: LedgerState) -> None:
        """Go on from the journal, inside the same run."""
        unit = self._unit
        self._carried_cash = Decimal(state.cash_usd)
        self._carried_capture = Decimal(state.capture_usd)
        self._carried_turnover = Decimal(state.turnover_usd)
        self._carried_realised = Fraction(state.realised_usd)
        self._cash = self._capture = self._turnover = 0
        self._realised = Fraction(0)
        self._cost = Fraction(state.cost) / Fraction(unit)
        self.fees_usd = Decimal(state.fees_usd)
        self.funding_usd = Decimal(state.funding_usd)
        self.mid2 = int(Decimal(state.mid_usd) / unit)
        self.fills_count = state.fills_count
        self.buy_lots = state.buy_lots
        self.sell_lots = state.sell_lots
        self.stock_lots = state.stock_lots
        self._stock_paid = Decimal(state.stock_paid_usd) if state.stock_paid_usd else None
        if self.mid2:
            self.position_lots, self._opening_lots = state.position_lots, 0
        else:
            self.position_lots, self._opening_lots = 0, state.position_lots


def _decimal(value: Fraction) -> Decimal:
    """A fraction as a decimal of 28 digits; averages need not end."""
    return Decimal(value.numerator) / Decimal(value.denominator)
