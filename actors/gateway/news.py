"""What quote engines and risk are told of positions: adjustments, and the state that a holder starts from."""

from __future__ import annotations

from collections.abc import Callable

from actors.gateway.commands import (
    ToRisk,
)
from actors.gateway.core import Core
from actors.gateway.holders import Holders
from actors.vocab.market import Side
from actors.vocab.orders import (
    HolderState,
    PositionAdjust,
)


class News:
    """Tells each symbol's holder, and again whenever what it was told is no longer true."""

    def __init__(self, core: Core, *, holders: Holders, foreign_lots: Callable[[str], tuple[int, int]]) -> None:
        self._core = core
        self._holders = holders
        self._foreign_lots = foreign_lots
        # (symbol, dying buys, dying sells) last told to its holder
        self._told: dict[str, tuple[int, int]] = {}
        self.is_open = False  # the gateway writes orders; the engine judges it

    def publish(self, entry: object) -> None:
        """An adjustment: to risk and to the symbol's holder, who also learns the new position."""
        if not isinstance(entry, PositionAdjust):
            return
        core = self._core
        if core.risk_up:
            core.out.append(ToRisk(entry))
        holder = self._holders.owner(entry.symbol)
        if holder:
            core.tell(holder, entry)
            self.tell(entry.symbol)
        core.touch(entry.symbol)

    def tell_all(self) -> None:
        for symbol in self._holders.symbols():
            self.tell(symbol)

    def tell_dying(self, symbol: str) -> None:
        holder = self._holders.owner(symbol)
        if holder and self._told.get(symbol) != self._dying_lots(symbol, holder):
            self.tell(symbol)

    def tell(self, symbol: str) -> None:
        core = self._core
        holder = self._holders.owner(symbol)
        if not holder:
            return
        account = core.ledger.account(symbol)
        dying = self._told[symbol] = self._dying_lots(symbol, holder)
        refs = tuple(order.ref for order in core.table.live(symbol) if order.holder == holder and order.is_open)
        core.tell(
            holder,
            HolderState(
                core.venue,
                symbol,
                core.incarnation,
                account.lots,
                account.avg_price_ticks,
                core.ledger.last_no,
                dying[0],
                dying[1],
                self.is_open,
                refs,
                account.stock_lots,
            ),
        )

    def _dying_lots(self, symbol: str, holder: str) -> tuple[int, int]:
        """What may still be filled and is not the holder's: older incarnations', and orders that are not ours."""
        buys, sells = self._foreign_lots(symbol)
        for order in self._core.table.live(symbol):
            if order.holder != holder:
                if order.side is Side.BUY:
                    buys += order.live_lots
                else:
                    sells += order.live_lots
        return buys, sells
