"""What the account holds, counted from its fills: numbered once, booked once, kept until journalled.

Every fill and adjustment gets the next number, over all lives of the gateway: a new life goes on after the highest
number in risk's journal. What was numbered but never journalled is fetched from the venue again by trade id and
numbered again, so the journal sees each trade once.

A spot account's *stock* is the coins that it held before we first traded it: what a desk wants to have. Positions are
counted from it, so that selling out of the stock is a short position and buying back closes it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from decimal import ROUND_FLOOR, Decimal

from actors.gateway.ordertable import TrackedOrder
from actors.vocab.errors import check
from actors.vocab.instruments import Instrument
from actors.vocab.leases import TRADE_IDS_TOLD
from actors.vocab.market import Side
from actors.vocab.orders import STARTING_BALANCE, Fill, PositionAdjust
from actors.vocab.venue_io import VenueFill

# Journalled fills kept for quote engines that ask again.
KEPT_MAX = 5_000
# Trade ids remembered per symbol to tell a repeat; older ones lie below `floor_id`.
SEEN_MAX = 4_096

Entry = Fill | PositionAdjust


class SymbolAccount:
    """Position and trades of one symbol."""

    __slots__ = (
        "agreed_id",
        "agreed_ms",
        "avg_price_ticks",
        "dust",
        "fills_count",
        "floor_id",
        "is_started",
        "journalled_id",
        "last_id",
        "lots",
        "prev_no",
        "seen",
        "stock_lots",
    )

    def __init__(self) -> None:
        self.lots = 0  # signed, whole lots that can be traded, beyond the stock
        self.stock_lots = 0  # spot only, never negative
        self.is_started = False  # the stock is known: from the journal, or from the first comparison
        self.dust = Decimal(0)  # base coin beyond `lots`, in [0, lot): fees in the base coin leave it behind
        self.avg_price_ticks = 0.0
        self.floor_id = 0  # trades up to here were booked in an earlier life, or so long ago that we forgot them
        self.last_id = 0
        self.journalled_id = 0  # highest of an earlier life
        self.agreed_id = 0  # newest trade when our position was last the venue's: none up to it is missing
        self.agreed_ms = 0  # when the venue was asked for that position, unix time
        # (trade id, side) of booked trades above floor_id; both sides of a trade with ourselves have one id
        self.seen: dict[tuple[int, Side], None] = {}
        self.prev_no = -1
        self.fills_count = 0  # what moved the position: fills, and changes of the base coin

    def repeat(self, trade_id: int, side: Side) -> bool:
        return trade_id <= self.floor_id or (trade_id, side) in self.seen

    def remember(self, trade_id: int, side: Side) -> None:
        self.seen[(trade_id, side)] = None
        self.last_id = max(self.last_id, trade_id)
        if len(self.seen) > SEEN_MAX:
            keep = sorted(self.seen)[SEEN_MAX // 2 :]
            self.floor_id = max(self.floor_id, keep[0][0] - 1)
            self.seen = dict.fromkeys(keep)

    def trade(self, side: Side, price_ticks: int, lots: int) -> None:
        """Move position and average entry price by one fill."""
        before, after = self.lots, self.lots + side * lots
        if before * side >= 0:
            self.avg_price_ticks = (abs(before) * self.avg_price_ticks + lots * price_ticks) / abs(after)
        elif after == 0:
            self.avg_price_ticks = 0.0
        elif after * before < 0:
            self.avg_price_ticks = float(price_ticks)
        self.lots = after


class Ledger:
    """Numbered fills and positions of one venue account."""

    def __init__(self, venue: str) -> None:
        self.venue = venue
        self.next_no = 0  # 0: the journal has not told where to go on, nothing may be booked
        self.acked_no = 0
        # entries not journalled yet and the last KEPT_MAX journalled ones, by number
        self._kept: deque[Entry] = deque()
        self._accounts: dict[str, SymbolAccount] = {}
        self.repeats_count = 0
        self.foreign_count = 0

    @property
    def is_numbered(self) -> bool:
        return self.next_no > 0

    @property
    def last_no(self) -> int:
        return max(0, self.next_no - 1)

    def number_from(self, journalled_no: int) -> None:
        """Go on after the journal's highest number; only once a life."""
        check(not self.is_numbered, f"{self.venue}: fills are numbered already, from {self.next_no}")
        self.next_no = journalled_no + 1
        self.acked_no = journalled_no

    def account(self, symbol: str) -> SymbolAccount:
        found = self._accounts.get(symbol)
        if found is None:
            found = self._accounts[symbol] = SymbolAccount()
        return found

    def position(self, symbol: str) -> int:
        found = self._accounts.get(symbol)
        return found.lots if found is not None else 0

    def symbols(self) -> list[str]:
        return list(self._accounts)

    def book(self, fill: VenueFill, order: TrackedOrder | None, instrument: Instrument, *, ours: bool) -> Fill | None:
        """Book one execution; None when it is a repeat. Its fee, where a coin of ours pays it, is `move_base`'s."""
        check(self.is_numbered, f"{self.venue}: fill of {fill.symbol} before the journal told its last number")
        account = self.account(fill.symbol)
        if account.repeat(fill.trade_id, fill.side):
            self.repeats_count += 1
            return None
        account.remember(fill.trade_id, fill.side)
        account.trade(fill.side, fill.price_ticks, fill.lots)
        account.fills_count += 1
        foreign = not ours and order is None
        self.foreign_count += foreign
        entry = Fill(
            venue=self.venue,
            symbol=fill.symbol,
            fill_no=self.next_no,
            trade_id=fill.trade_id,
            client_id=fill.client_id or (order.client_id if order else ""),
            holder=order.holder if order else "",
            ref=order.ref if order else 0,
            token_grant_no=order.grant_no if order else 0,
            side=fill.side,
            price_ticks=fill.price_ticks,
            lots=fill.lots,
            maker=fill.maker,
            fee=fill.fee,
            fee_asset=fill.fee_asset,
            event_ns=fill.event_ns,
            position_lots=account.lots,
            foreign=foreign,
            prev_no=account.prev_no,
        )
        self._keep(entry, account)
        return entry

    def move_base(self, instrument: Instrument, amount: Decimal, reason: str, event_ns: int) -> list[Entry]:
        """Book a change of a spot symbol's base coin outside trades; an entry only when whole lots change."""
        account = self.account(instrument.symbol)
        whole, account.dust = _whole_lots(account.dust + amount, instrument.lot)
        if not whole:
            return []
        account.lots += whole
        account.fills_count += 1
        moved = format(whole * instrument.lot, "f")
        return [self._adjust(instrument.symbol, account, moved, instrument.base, reason, event_ns)]

    def note(self, symbol: str, amount: str, asset: str, reason: str, event_ns: int) -> Entry:
        """Book a change of money that moves no position: funding, a transfer."""
        account = self.account(symbol)
        return self._adjust(symbol, account, amount, asset, reason, event_ns)

    def adopt(
        self, instrument: Instrument, lots: int, avg_price_ticks: float, reason: str, event_ns: int
    ) -> Entry | None:
        """Take the venue's position as the truth; None when it is what we count."""
        symbol = instrument.symbol
        account = self.account(symbol)
        if lots == account.lots:
            return None
        moved = lots - account.lots
        account.lots = lots
        account.avg_price_ticks = avg_price_ticks or account.avg_price_ticks
        return self._adjust(symbol, account, instrument.size_text(moved), instrument.base, reason, event_ns)

    def bring_in(self, instrument: Instrument, lots: int) -> Entry:
        """Take coins that were there before us for the stock: the position stays what it is."""
        account = self.account(instrument.symbol)
        check(not account.is_started, f"{self.venue} {instrument.symbol}: its stock is known already")
        account.stock_lots, account.is_started = lots, True
        amount = instrument.size_text(lots)
        return self._adjust(instrument.symbol, account, amount, instrument.base, STARTING_BALANCE, 0)

    def start(
        self,
        symbol: str,
        *,
        lots: int,
        avg_price_ticks: float,
        trade_id: int,
        stock_lots: int = 0,
        trade_ids: tuple[int, ...] = (),
    ) -> None:
        """Set where the journal stands with `symbol`; only before its first booking.

        From the first of `trade_ids` on it has booked these trades, before them all where more would not have been
        told, and none else; without them all up to `trade_id`.
        """
        account = self.account(symbol)
        check(not account.fills_count, f"{self.venue} {symbol}: the journal's position came after a fill")
        account.lots = lots
        account.stock_lots, account.is_started = stock_lots, True
        account.avg_price_ticks = avg_price_ticks
        account.journalled_id = account.last_id = trade_id
        all_told = 0 < len(trade_ids) < TRADE_IDS_TOLD
        account.floor_id = 0 if all_told else min(trade_ids, default=trade_id)
        account.seen = dict.fromkeys((number, side) for number in trade_ids for side in Side)

    def rescale(self, old: Instrument, new: Instrument) -> None:
        """Count what `old.symbol` holds in new steps. Parts of a lot go to the dust, as fees in the base coin do."""
        account = self.account(old.symbol)
        base = account.lots * old.lot * old.multiplier + account.dust
        lot = new.lot * new.multiplier
        account.lots, account.dust = _whole_lots(base, lot)
        account.stock_lots = int(account.stock_lots * old.lot * old.multiplier / lot)
        account.avg_price_ticks *= float(old.tick / new.tick)

    def ack(self, fill_no: int) -> None:
        """Everything up to `fill_no` is journalled."""
        self.acked_no = max(self.acked_no, fill_no)
        kept = self._kept
        while len(kept) > KEPT_MAX and kept[0].fill_no <= self.acked_no:
            kept.popleft()

    def unacked(self) -> list[Entry]:
        return self.again(self.acked_no + 1)

    def again(self, from_no: int, symbols: Iterable[str] | None = None) -> list[Entry]:
        """Return what is still kept from `from_no` on, of some symbols or of all."""
        wanted = None if symbols is None else set(symbols)
        found: list[Entry] = []
        for entry in reversed(self._kept):
            if entry.fill_no < from_no:
                break
            if wanted is None or entry.symbol in wanted:
                found.append(entry)
        found.reverse()
        return found

    def _adjust(
        self, symbol: str, account: SymbolAccount, amount: str, asset: str, reason: str, event_ns: int
    ) -> PositionAdjust:
        entry = PositionAdjust(
            venue=self.venue,
            symbol=symbol,
            fill_no=self.next_no,
            position_lots=account.lots,
            amount=amount,
            asset=asset,
            reason=reason,
            event_ns=event_ns,
            prev_no=account.prev_no,
        )
        self._keep(entry, account)
        return entry

    def _keep(self, entry: Entry, account: SymbolAccount) -> None:
        account.prev_no = entry.fill_no
        self.next_no += 1
        self._kept.append(entry)


def _whole_lots(amount: Decimal, lot: Decimal) -> tuple[int, Decimal]:
    """Split an amount of coins into whole lots, rounded down, and the dust in [0, lot) that is left."""
    lots = int((amount / lot).to_integral_value(ROUND_FLOOR))  # `//` would round towards zero
    return lots, amount - lots * lot
