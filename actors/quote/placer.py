"""Carrying out moves: what answers, budget, our own other side, rejects and the wallet allow, best first.

Everything that is placed or replaced passes `_spend`, and so the wallet.
"""

from __future__ import annotations

from typing import NamedTuple

from actors.quote.budget import OrderBudget
from actors.quote.counters import Counters
from actors.quote.orders import OwnOrder, OwnOrders
from actors.quote.position import PositionKeeper
from actors.quote.reconcile import Kind, Move
from actors.risk.leases import Refusal, Wallet
from actors.vocab.config import QuoteSettings
from actors.vocab.leases import RiskState
from actors.vocab.market import Side
from actors.vocab.orders import CHANGES_FULL, CancelOrder, Cause, LeasedOrder, LeasedReplace
from actors.vocab.reasons import Reason
from actors.vocab.units import NS_PER_MS

# Rejects in a row after which the wait no longer doubles: 2^16 times the first is beyond any maximum.
DOUBLINGS_MAX = 16


class Occasion(NamedTuple):
    """What brought the decision about, and when."""

    cause: Cause
    recv_ns: int  # oldest frame behind it; 0 when no frame caused it
    now_ns: int


class Placer:
    """Turns moves into commands and keeps our copy of the orders in step with what it sends."""

    def __init__(
        self,
        *,
        settings: QuoteSettings,
        wallet: Wallet,
        own: OwnOrders,
        position: PositionKeeper,
        budget: OrderBudget,
        counters: Counters,
    ) -> None:
        self._unanswered_max = settings.unanswered_max
        self._backoff_ms = settings.reject_backoff_ms
        self._backoff_ms_max = settings.reject_backoff_max_ms
        self._wallet = wallet
        self._own = own
        self._position = position
        self._budget = budget
        self._counters = counters
        # (slot, place or replace) -> (not before, consecutive rejects)
        self._backoff: dict[tuple[int, Kind], tuple[int, int]] = {}
        self._reject_text = ""
        # Orders of our earlier lives that still count, told by the gateway.
        self.dying_buy_lots = 0
        self.dying_sell_lots = 0
        self.perp = True  # the venue knows reduce-only orders
        # Why a side has no order although one is wished; kept until the next decision.
        self.hindrances: dict[Side, tuple[Reason, str]] = {}

    def carry_out(self, wanted: list[Move], occasion: Occasion) -> list[LeasedOrder | LeasedReplace | CancelOrder]:
        """Commands for the moves, in their order; what is not possible now is left for a later decision."""
        commands: list[LeasedOrder | LeasedReplace | CancelOrder] = []
        self._budget.refill(occasion.now_ns)
        unanswered = self._own.unanswered_count
        for move in wanted:
            order = move.order
            if move.kind is Kind.CANCEL and order is not None:
                commands.append(self.cancel(order, occasion))
            elif self._may_move(move, unanswered, occasion.now_ns):
                command = self._spend(move, occasion)
                if command is not None:
                    commands.append(command)
                    unanswered += 1
            elif move.severe and order is not None and self._stuck(move, occasion.now_ns):
                commands.append(self.cancel(order, occasion))
        return commands

    def cancel(self, order: OwnOrder, occasion: Occasion) -> CancelOrder:
        self._own.cancelled(order, now_ns=occasion.now_ns)
        self._counters.cancelled += 1
        wallet = self._wallet
        return CancelOrder(wallet.venue, wallet.symbol, wallet.holder, order.ref, occasion.cause, occasion.recv_ns)

    def on_reject(self, order: OwnOrder, kind: Kind, text: str, now_ns: int) -> None:
        """Such a move waits in this slot, longer each time in a row. Where only its turn has not come, it was not
        written: it costs nothing and waits no longer than the time before."""
        slot = order.slot
        self._counters.rejected += 1
        self._reject_text = text
        if text == CHANGES_FULL:
            self._budget.give_back(order.sent_ns)
            count = 1
        else:
            count = self._backoff.get((slot, kind), (0, 0))[1] + 1
        wait_ms = min(self._backoff_ms * 2 ** min(count - 1, DOUBLINGS_MAX), self._backoff_ms_max)
        self._backoff[slot, kind] = (now_ns + wait_ms * NS_PER_MS, count)

    def on_accept(self, slot: int) -> None:
        self._backoff.pop((slot, Kind.PLACE), None)
        self._backoff.pop((slot, Kind.REPLACE), None)

    def _waits(self, move: Move, now_ns: int) -> bool:
        """The like was refused not long ago."""
        return bool(self._backoff) and now_ns < self._backoff.get((move.slot, move.kind), (0, 0))[0]

    def _stuck(self, move: Move, now_ns: int) -> bool:
        """It can't be made soon: neither our own orders nor the account's allow it."""
        return not self._budget.may_place or self._waits(move, now_ns)

    def _may_move(self, move: Move, unanswered: int, now_ns: int) -> bool:
        counters, budget = self._counters, self._budget
        if self._waits(move, now_ns):
            self._hinder(move, Reason.REJECTED, self._reject_text)
            return False
        if unanswered >= self._unanswered_max:
            counters.answer_waits += 1
            return False
        spare = budget.may_place
        if move.hold_back > 0:
            spare = budget.left >= max(1, move.hold_back * budget.orders_per_min) and budget.may_change
        if not spare:
            counters.budget_waits += 1
            budget.short = budget.short or move.needed
            self._hinder(move, Reason.ORDER_BUDGET, f"{budget.orders_per_min} a minute granted, {budget.left} left")
            return False
        opposite = self._own.nearest_ticks(move.side.other)
        if opposite is not None and (move.price_ticks - opposite) * move.side >= 0:
            # Our own other side stands (or may still stand) there; its answer brings us back here.
            counters.cross_waits += 1
            return False
        return True

    def _spend(self, move: Move, occasion: Occasion) -> LeasedOrder | LeasedReplace | CancelOrder | None:
        """Ask the wallet for one order; a replace that it refuses becomes a cancel."""
        live_buy = self._own.exposed_lots(Side.BUY) + self.dying_buy_lots
        live_sell = self._own.exposed_lots(Side.SELL) + self.dying_sell_lots
        age_us = max(0, occasion.now_ns - occasion.recv_ns) // 1000 if occasion.recv_ns else 0
        if move.order is None:
            return self._place(move, occasion, live_buy, live_sell, age_us)
        return self._replace(move, move.order, occasion, live_buy, live_sell, age_us)

    def _place(self, move: Move, occasion: Occasion, live_buy: int, live_sell: int, age_us: int) -> LeasedOrder | None:
        ref = self._own.next_ref()
        made = self._wallet.place(
            ref=ref,
            slot=move.slot,
            side=move.side,
            price_ticks=move.price_ticks,
            lots=move.rest_lots,
            post_only=True,
            reduce_only=self.perp and self._wallet.state is RiskState.REDUCE_ONLY,
            position_lots=self._position.lots,
            live_buy_lots=live_buy,
            live_sell_lots=live_sell,
            value_usd=move.value_usd,
            cause=occasion.cause,
            recv_ns=occasion.recv_ns,
            age_us=age_us,
            now_ns=occasion.now_ns,
        )
        if isinstance(made, Refusal):
            self._refused(move, made)
            return None
        self._own.placed(
            ref=ref,
            slot=move.slot,
            side=move.side,
            price_ticks=move.price_ticks,
            lots=move.rest_lots,
            now_ns=occasion.now_ns,
        )
        self._counters.placed += 1
        self._budget.take(needed=True)
        return made

    def _replace(
        self, move: Move, order: OwnOrder, occasion: Occasion, live_buy: int, live_sell: int, age_us: int
    ) -> LeasedReplace | CancelOrder:
        rest = min(move.rest_lots, order.rest_lots + self._growth_lots(move.side, live_buy, live_sell))
        lots = order.lots - order.rest_lots + rest
        made = self._wallet.replace(
            ref=order.ref,
            slot=order.slot,
            side=order.side,
            price_ticks=move.price_ticks,
            lots=lots,
            old_lots=order.lots,
            position_lots=self._position.lots,
            live_buy_lots=live_buy,
            live_sell_lots=live_sell,
            value_usd=move.value_usd,
            cause=occasion.cause,
            recv_ns=occasion.recv_ns,
            age_us=age_us,
            now_ns=occasion.now_ns,
        )
        if isinstance(made, Refusal):
            self._refused(move, made)
            return self.cancel(order, occasion)
        self._own.replaced(order, price_ticks=move.price_ticks, lots=lots, now_ns=occasion.now_ns)
        self._counters.replaced += 1
        self._budget.take(needed=move.needed)
        return made

    def _growth_lots(self, side: Side, live_buy: int, live_sell: int) -> int:
        """Lots that may be added to a live order, everything of its side at its worst."""
        wallet, position = self._wallet, self._position.lots
        if side is Side.BUY:
            return max(0, wallet.long_lots - position - live_buy)
        return max(0, wallet.short_lots + position - live_sell)

    def _refused(self, move: Move, refusal: Refusal) -> None:
        self._counters.refused_by_wallet += 1
        self.hindrances[move.side] = (refusal.reason, refusal.text)

    def _hinder(self, move: Move, reason: Reason, text: str) -> None:
        """Only a missing order needs an excuse; a live one merely stays where it is."""
        if move.kind is Kind.PLACE:
            self.hindrances[move.side] = (reason, text)
