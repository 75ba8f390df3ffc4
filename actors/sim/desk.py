"""The part of a venue that is the same whoever makes the market: requests, checks, accounts, ledger, private events.

Path of a request: `handle` counts it against the order limits and queues it; `order_latency_ms` later `advance` checks
and executes it against the symbol's book; what the book says happened is booked, written to the ledger and told to the
accounts concerned. All requests of a venue go through one queue, so a query sees every order sent before it.
"""

from __future__ import annotations

import heapq
from decimal import Decimal

import msgspec

from actors.sim.accounts import PerpAccount, SpotAccount
from actors.sim.desk_requests import DeskRequests
from actors.sim.desk_state import NEVER_NS
from actors.sim.faults import Fate, RequestFate
from actors.sim.limits import OrderLimits
from actors.sim.messages import ClientRequest, Private, SimCommand
from actors.sim.orders import SimOrder
from actors.venues.ledger import LedgerAccount
from actors.vocab.errors import ConfigError, OurFault
from actors.vocab.instruments import Instrument
from actors.vocab.market import Side
from actors.vocab.units import NS_PER_MS, NS_PER_S
from actors.vocab.venue_io import MarkPrice, PublicTrade, RateUsage, VenueFunding


class Desk(DeskRequests):
    """See `messages.Exchange`. Subclasses own the books, and say what the mark is."""

    # --- messages.Exchange ---------------------------------------------------------------------------------------

    def instruments(self) -> tuple[Instrument, ...]:
        return tuple(self._instruments.values())

    def open_account(self, account: str, now_ns: int, balances: dict[str, Decimal] | None = None) -> None:
        if account in self._accounts:
            raise OurFault(f"{self.venue}: account {account} is open already")
        funds = balances or self._starting_funds()
        if self.market == "perp":
            if set(funds) != {self._quote}:
                raise ConfigError(f"{self.venue}: a perpetual account holds {self._quote} only, not {sorted(funds)}")
            self._accounts[account] = PerpAccount(quote=self._quote, wallet=funds[self._quote], mark_of=self.mark_ticks)
        else:
            spot = SpotAccount(quote=self._quote, balances=funds, mark_of=self.mark_ticks)
            spot.know(self._instruments.values())
            self._accounts[account] = spot
        self._limits[account] = OrderLimits(self.market)
        for asset, amount in funds.items():
            self.ledger.record_income(account, symbol="", kind="TRANSFER", amount=amount, asset=asset, now_ns=now_ns)

    def _starting_funds(self) -> dict[str, Decimal]:
        """Cash, and on spot whole lots of each coin, or nobody could sell before having bought."""
        funds = {self._quote: Decimal(str(self.settings.balance_usd))}
        for symbol, instrument in self._instruments.items() if self.market == "spot" else ():
            lot_usd = self._opening_ticks(symbol) * instrument.usd_per_tick_lot
            if lot_usd > 0 and instrument.base not in funds:
                lots = round(self.settings.spot_coins_usd / lot_usd)
                funds[instrument.base] = lots * instrument.lot * instrument.multiplier
        return {asset: amount for asset, amount in funds.items() if amount}

    def _opening_ticks(self, symbol: str) -> float:
        """Price that starting coins are counted by; 0.0 when there is none yet, then there are none."""
        return self.mark_ticks(symbol)

    def handle(self, request: ClientRequest, now_ns: int) -> list[SimCommand]:
        if request.account not in self._accounts:
            self.open_account(request.account, now_ns)
        limited = self._limited(request, now_ns)
        if limited is not None:
            return [limited]
        fate = self.faults.on_request(request.request)
        if fate.fate in (Fate.REFUSE_429, Fate.REFUSE_BUSY):
            return [self._refused_by_fault(request, fate.fate)]
        entry_ns = self._latency.entry_ns(now_ns)
        if entry_ns < 0:
            # The measured venue refused at this moment: the answer came after so long, nothing was executed.
            busy = self._refused_by_fault(request, Fate.REFUSE_BUSY)
            self._later(now_ns - entry_ns, command=busy)
            return []
        self._later(now_ns + entry_ns, request=request, fate=fate)
        return []

    def account_state(self, account: str) -> LedgerAccount:
        held = self._accounts[account]
        return LedgerAccount(
            balances=held.balances(),
            positions=held.positions(self.now_ns // NS_PER_MS),
            maker_rate=format(self._maker_bps / 10_000, "f"),
            taker_rate=format(self._taker_bps / 10_000, "f"),
            updated_ms=self.now_ns // NS_PER_MS,
        )

    def equity(self, account: str) -> Decimal:
        return self._accounts[account].equity()

    def usage(self, account: str, now_ns: int) -> RateUsage:
        limits = self._limits.get(account)
        return limits.usage(now_ns) if limits else RateUsage(orders_10s=0, orders_1m=0)

    def fundings(self, symbol: str) -> list[MarkPrice]:
        return list(self._fundings[symbol])

    def recent_trades(self, symbol: str, count: int) -> list[PublicTrade]:
        trades = self._recent[symbol]
        return list(trades)[-count:] if count > 0 else []

    def force_close(self, account: str, symbol: str, now_ns: int) -> list[SimCommand]:
        """The venue closes a position by itself (liquidation): a market order whose id starts with `autoclose-`."""
        instrument = self._instruments[symbol]
        lots = self._accounts[account].position_lots(instrument)
        out: list[SimCommand] = []
        if not lots:
            return out
        self._order_id += 1
        order = SimOrder(
            account=account,
            symbol=symbol,
            order_id=self._order_id,
            client_id=f"autoclose-{self._order_id}",
            side=Side.SELL if lots > 0 else Side.BUY,
            price_ticks=0,
            lots=abs(lots),
            created_ns=now_ns,
            market=True,
            system=True,
        )
        self._admit(order, now_ns, out)
        self._execute(order, now_ns, out)
        return out

    def change_instrument(self, instrument: Instrument, now_ns: int) -> list[SimCommand]:
        """Halt a symbol, change its filters or its steps; the version is raised.

        A halt and new steps cancel the symbol's open orders first. `ConfigError` for a symbol that is not listed, and
        where a held position is no whole number of the new lots.
        """
        old = self._instruments.get(instrument.symbol)
        if old is None:
            raise ConfigError(f"{self.venue}: {instrument.symbol} is not listed")
        out: list[SimCommand] = []
        new = msgspec.structs.replace(instrument, version=old.version + 1)
        steps_change = (new.tick, new.lot, new.multiplier) != (old.tick, old.lot, old.multiplier)
        if steps_change or not new.trading:
            for account in self._accounts:
                self._cancel_all(account, new.symbol, now_ns, out)
        if steps_change:
            for held in self._accounts.values():
                held.rescale(new)
            self.ledger.rescale(old, new)
        self._instruments[new.symbol] = new
        if steps_change:
            self._restep(new, now_ns)
        return out

    # --- time ----------------------------------------------------------------------------------------------------

    def _next_desk_ns(self) -> int:
        """When the desk itself has something to do next. Asked at every step, so written out."""
        due_ns = self._funding_ns if self._funding_ns < self._countdown_ns else self._countdown_ns
        if self._waiting and self._waiting[0].due_ns < due_ns:
            due_ns = self._waiting[0].due_ns
        if not self.faults.quiet:
            due_ns = min(due_ns, self.faults.next_disconnect_ns(self.now_ns))
        return due_ns

    def _do_desk(self, now_ns: int, out: list[SimCommand]) -> None:
        """Do what is due at exactly `now_ns`, the earliest due time."""
        while self._waiting and self._waiting[0].due_ns <= now_ns:
            waiting = heapq.heappop(self._waiting)
            if waiting.command is not None:
                out.append(waiting.command)
            elif waiting.request is not None:
                self._receive(waiting.request, waiting.fate or RequestFate(), now_ns, out)
        if self._countdown_ns <= now_ns:
            for key in [key for key, due_ns in self._countdowns.items() if due_ns <= now_ns]:
                del self._countdowns[key]
                self._cancel_all(*key, now_ns, out)
            self._countdown_ns = min(self._countdowns.values(), default=NEVER_NS)
        if self._funding_ns <= now_ns:
            self._fund(now_ns, out)
        if not self.faults.quiet:
            out += self.faults.disconnects(now_ns)

    # --- funding -------------------------------------------------------------------------------------------------

    def _fund(self, now_ns: int, out: list[SimCommand]) -> None:
        """Positions pay or receive at mark: longs pay a positive rate."""
        self._funding_ns += int(self.settings.funding_interval_s * NS_PER_S)
        for symbol in self._instruments:
            self._fund_symbol(symbol, self.funding_rate(symbol), now_ns, out)

    def _fund_symbol(self, symbol: str, rate: float, now_ns: int, out: list[SimCommand]) -> None:
        mark = self.mark_ticks(symbol)
        self._fundings[symbol].append(MarkPrice(symbol, now_ns, mark, mark, rate, 0))
        for name, account in self._accounts.items():
            if isinstance(account, PerpAccount):
                amount = account.fund(symbol, Decimal(repr(rate)))
                if amount:
                    self._pay_funding(name, account, symbol, amount, now_ns, out)

    def _pay_funding(
        self, name: str, account: PerpAccount, symbol: str, amount: Decimal, now_ns: int, out: list[SimCommand]
    ) -> None:
        self.ledger.record_income(
            name, symbol=symbol, kind="FUNDING_FEE", amount=amount, asset=self._quote, now_ns=now_ns
        )
        event = VenueFunding(symbol, self._quote, format(amount, "f"), "FUNDING_FEE", now_ns)
        positions = account.positions(now_ns // NS_PER_MS, (symbol,))
        private = Private(name, event, balances=account.balances(), positions=positions, reason="FUNDING_FEE")
        self._private(private, now_ns, out)
