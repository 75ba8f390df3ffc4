"""Fills, adjustments and order rows: numbering, ledgers, fees, markouts, and what of it goes to the journal."""

from __future__ import annotations

from decimal import Decimal
from itertools import islice

from actors.journal.rows import FillNoRow
from actors.risk.core import RiskCore
from actors.risk.leasing import Leasing
from actors.risk.markouts import FillTrace
from actors.risk.seats import Desk, Seat
from actors.vocab.instruments import Instrument
from actors.vocab.leases import FundingPaid, RiskState
from actors.vocab.orders import STARTING_BALANCE, Fill, OrderRow, PositionAdjust
from actors.vocab.units import NS_PER_S

# Quote currencies counted as one USD each. They are not; a limit on their difference belongs to the feeds of them.
USD_LIKE = frozenset({"USD", "USDT", "USDC", "FDUSD", "TUSD", "BUSD"})
TRADE_KEYS_MAX = 200_000  # trades remembered against repeats; full: the older half is forgotten, it is days old
FOREIGN_WARNING_S = 60


class Accounts:
    """What happened to the positions, in the order of each gateway's numbers."""

    def __init__(self, core: RiskCore, leasing: Leasing) -> None:
        self._core = core
        self._leasing = leasing
        self.unvalued_fees: dict[str, Decimal] = {}  # asset -> fees paid in it that no price is known for

    def on_numbered(self, peer: str, row: Fill | PositionAdjust, now_ns: int) -> None:
        """Take the next number, keep a later one, pass over a repeat."""
        desk = self._core.desk(row.venue)
        if desk.fill_source and peer != desk.fill_source:
            return  # an earlier life of the gateway: the present one tells it again under its own number
        desk.highest_no = max(desk.highest_no, row.fill_no)
        if row.fill_no <= desk.applied_no:
            self._core.count("fills_repeated_count")
            return
        if row.fill_no > desk.applied_no + 1:
            desk.keep_hole(row)
            self._leasing.ask_again(desk, now_ns)
            return
        self._take(desk, row, now_ns)
        for late in desk.drain():
            self._take(desk, late, now_ns)
        if desk.applied_no >= desk.highest_no:
            desk.asked_again_ns = 0

    def on_order_row(self, row: OrderRow, now_ns: int) -> None:
        core = self._core
        core.desk(row.venue).take_order_row(row, now_ns)
        core.witness.heard(row.venue, row.event_ns, term=core.term, wall_ms=core.event_wall_ms())
        core.journal(row)

    def on_journalled(self, up_to: int) -> None:
        for desk in self._core.desks.values():
            while desk.unacked and desk.unacked[0][0] <= up_to:
                desk.acked_no = desk.unacked.popleft()[1]

    # --- one row ---------------------------------------------------------------------------------------------

    def _take(self, desk: Desk, row: Fill | PositionAdjust, now_ns: int) -> None:
        core = self._core
        desk.applied_no = row.fill_no
        seat = desk.seats.get(row.symbol)
        if seat is None and not row.symbol and isinstance(row, PositionAdjust):
            self._account_change(row)
        elif isinstance(row, Fill) and self._is_repeat(row):
            # Listed again by the venue. Its number is used up, the journal has the trade under another one.
            core.count("fills_repeated_count")
            desk.unacked.append((core.journal(FillNoRow(row.venue, row.fill_no)), row.fill_no))
            return
        elif seat is None:
            core.count("fills_of_unknown_symbols_count")
        elif isinstance(row, Fill):
            self._fill(seat, row, now_ns)
        else:
            self._adjust(seat, row, now_ns)
        if isinstance(row, PositionAdjust) and "funding" in row.reason.lower():
            desk.fundings.append(FundingPaid(row.asset, row.amount, row.event_ns))
        sequence = core.journal(*core.fill_rows(seat, row))
        desk.unacked.append((sequence, row.fill_no))

    def _is_repeat(self, fill: Fill) -> bool:
        """Whether this trade has been booked; from now on it has. Both sides of a trade with ourselves have one id."""
        if fill.trade_id <= 0:
            return False
        keys = self._core.trade_keys
        key = (fill.venue, fill.symbol, fill.trade_id, int(fill.side))
        if key in keys:
            return True
        if len(keys) >= TRADE_KEYS_MAX:
            for old in list(islice(keys, TRADE_KEYS_MAX // 2)):
                del keys[old]
        keys[key] = None
        return False

    def _fill(self, seat: Seat, fill: Fill, now_ns: int) -> None:
        core = self._core
        core.witness.heard(fill.venue, fill.event_ns, term=core.term, wall_ms=core.event_wall_ms())
        seat.trade_id = max(seat.trade_id, fill.trade_id)
        signed = fill.side * fill.lots
        ledger = seat.ledger
        ledger.fill(fill.side, fill.price_ticks, fill.lots)
        fee_usd = self._fee_usd(seat, fill)
        ledger.fee(fee_usd)
        core.count("foreign_fills_count", int(fill.foreign))
        notional = fill.price_ticks * fill.lots * seat.instrument.usd_per_tick_lot
        core.markouts.add(seat.key, fill.side, seat.mid2, notional, now_ns, _trace(seat, fill, float(fee_usd)))
        core.value(seat)
        if fill.foreign:
            core.book.foreign(seat.lease, position_change_lots=signed)
            self._warn(seat, f"foreign fill of {signed} lots", now_ns)
        else:
            seat.lease.position_lots += signed

    def _adjust(self, seat: Seat, adjust: PositionAdjust, now_ns: int) -> None:
        core, ledger = self._core, seat.ledger
        reason = adjust.reason.lower()
        if "funding" in reason:
            ledger.funding(self._value_usd(seat.instrument, adjust.asset, Decimal(adjust.amount)))
        elif adjust.reason == STARTING_BALANCE:
            ledger.bring_in(seat.instrument.lots(adjust.amount))
        change = adjust.position_lots - ledger.known_lots
        if change and (seat.opened or seat.lease.unexplained_lots):
            core.book.foreign(seat.lease, position_change_lots=change)
            if "fee" not in reason:
                self._warn(seat, f"position changed by {change} lots without us: {adjust.reason}", now_ns)
        ledger.adjust(change)
        core.value(seat)

    def _account_change(self, adjust: PositionAdjust) -> None:
        """Funding of an account as a whole is profit; a transfer or deposit is not."""
        if "funding" in adjust.reason.lower():
            amount = self._value_usd(None, adjust.asset, Decimal(adjust.amount))
            self._core.account_ledgers[adjust.venue].funding(amount)
            self._core.net_usd += float(amount)

    def _warn(self, seat: Seat, text: str, now_ns: int) -> None:
        until_ns = now_ns + FOREIGN_WARNING_S * NS_PER_S
        change = self._core.states.set(seat.scope, "foreign", RiskState.WARNING, text, now_ns, until_ns=until_ns)
        self._leasing.apply(change, now_ns)

    # --- fees ------------------------------------------------------------------------------------------------

    def _fee_usd(self, seat: Seat, fill: Fill) -> Decimal:
        amount = Decimal(fill.fee)
        if not amount:
            return amount
        return self._value_usd(seat.instrument, fill.fee_asset, amount, price_ticks=fill.price_ticks)

    def _value_usd(
        self, instrument: Instrument | None, asset: str, amount: Decimal, *, price_ticks: int | None = None
    ) -> Decimal:
        """Value an amount: a quote currency as it is, base at the price of the fill, anything else at its mid."""
        if asset in USD_LIKE or asset == "" or (instrument is not None and asset == instrument.quote):
            return amount
        if instrument is not None and asset == instrument.base and price_ticks is not None:
            return amount * price_ticks * instrument.tick
        for seat in self._core.seats.values():
            if seat.instrument.base == asset and seat.mid2 and seat.instrument.quote in USD_LIKE:
                return amount * seat.mid2 / 2 * seat.instrument.tick
        self.unvalued_fees[asset] = self.unvalued_fees.get(asset, Decimal(0)) + amount
        return Decimal(0)


def _trace(seat: Seat, fill: Fill, fee_usd: float) -> FillTrace:
    """The fill in the venue's units, as the report tells it."""
    row = seat.instrument
    return FillTrace(
        venue=fill.venue,
        symbol=fill.symbol,
        event_ns=fill.event_ns,
        side=int(fill.side),
        price=fill.price_ticks * row.tick_float,
        size=fill.lots * row.lot_float,
        mid=seat.mid2 / 2 * row.tick_float,
        imbalance=seat.imbalance,
        position=seat.ledger.known_lots * row.lot_float,
        fee_usd=fee_usd,
        maker=fill.maker,
    )
