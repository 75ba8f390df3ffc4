"""What makes risk stricter: prices, data, losses, position limits, rejects, the journal, the model, the operator."""

from __future__ import annotations

from actors.risk import limits
from actors.risk.core import RiskCore
from actors.risk.events import OperatorCommand
from actors.risk.leasing import Leasing
from actors.risk.seats import Desk, Seat
from actors.risk.states import FLEET, symbol_scope, venue_scope
from actors.vocab.leases import RiskState
from actors.vocab.market import BookState, Mark, Marks
from actors.vocab.opinions import RiskView
from actors.vocab.units import NS_PER_MS, NS_PER_S

# REDUCE_ONLY by a position ends below this share of its limit, so that one lot does not flap the state.
RELEASE_SHARE = 0.95
CHECK_INTERVAL_NS = NS_PER_S  # sums are recomputed from nothing and equity is journalled this often
VERIFY_EVERY = 5  # of those checks, one recomputes the lease book's sums


class Guard:
    """Sets and clears causes; what they mean for grants is `Leasing.apply`'s."""

    def __init__(self, core: RiskCore, leasing: Leasing) -> None:
        self._core = core
        self._leasing = leasing
        self._next_check_ns = 0
        self._checks_count = 0
        self._journal_failing = False
        self._orders_share: dict[str, RiskState] = {}

    # --- marks -----------------------------------------------------------------------------------------------

    def on_marks(self, marks: Marks, now_ns: int) -> None:
        desk = self._core.desks.get(marks.venue)
        if desk is None:
            return
        seats = desk.seats
        for mark in marks.marks:
            seat = seats.get(mark.symbol)
            if seat is not None:
                self._mark(seat, mark, now_ns)

    def _mark(self, seat: Seat, mark: Mark, now_ns: int) -> None:
        bid, ask = mark.bid_ticks, mark.ask_ticks
        if mark.state is not BookState.OK or not 0 < bid < ask:
            seat.trouble = mark.state.name.lower() if mark.state is not BookState.OK else "crossed"
            return
        core = self._core
        seat.ok_ns = now_ns
        seat.imbalance = mark.imbalance
        mid2 = bid + ask
        if mid2 == seat.mid2 and not seat.move_tripped:
            return
        seat.mid2 = core.mids2[seat.key] = mid2
        move = seat.window.move_pct(mid2, now_ns)
        if move >= core.settings.price_move_pct_max or seat.move_tripped:
            self._price_move(seat, move, now_ns)
        core.book.mark(seat.lease, core.lot_price_nusd(seat, mid2 / 2))
        ledger = seat.ledger
        taken_over = ledger.awaits_price
        ledger.mark(mid2)
        if taken_over:
            # Its price must outlive us: a next life would take the position over at a later one and forget the
            # difference.
            core.journal(core.ledger_row(seat))
        if ledger.position_lots or seat.net_usd:
            core.value(seat)

    def _price_move(self, seat: Seat, move_pct: float, now_ns: int) -> None:
        core = self._core
        tripped = move_pct >= core.settings.price_move_pct_max
        if tripped == seat.move_tripped:
            return
        seat.move_tripped = tripped
        state = RiskState.CIRCUIT_BREAKER if tripped else RiskState.NORMAL
        text = f"price move {move_pct:.1f} % in {core.settings.price_move_window_s:.0f} s"
        change = core.states.set(seat.scope, "price move", state, text, now_ns, cool_down_ns=self._cool_down_ns())
        self._leasing.apply(change, now_ns)

    def _cool_down_ns(self) -> int:
        return int(self._core.settings.cool_down_s * NS_PER_S)

    # --- time ------------------------------------------------------------------------------------------------

    def on_timer(self, now_ns: int) -> None:
        core = self._core
        stale_ns = core.settings.stale_marks_ms * NS_PER_MS
        for seat in core.seats.values():
            lease = seat.lease
            if lease.holder and now_ns >= lease.expires_ns:
                self._leasing.expire(seat)
            if seat.ok_ns and (now_ns - seat.ok_ns > stale_ns) is not seat.stale_tripped:
                self._stale(seat, now_ns)
        core.equity.update(core.net_usd)
        self._losses(now_ns)
        self._positions(now_ns)
        for desk in core.desks.values():
            self._orders(desk, now_ns)
        core.markouts.settle(core.mids2, now_ns)
        self._overruns()
        for change in core.states.tick(now_ns):
            self._leasing.apply(change, now_ns)
        if now_ns >= self._next_check_ns:
            self._next_check_ns = now_ns + CHECK_INTERVAL_NS
            self._slow_checks()

    def _slow_checks(self) -> None:
        core = self._core
        self._checks_count += 1
        core.net_usd = core.sum_net()
        if self._checks_count % VERIFY_EVERY == 0:
            core.book.verify()
        if not core.is_open:
            return
        rows = core.equity.rows()
        if rows:
            core.journal(*rows)
        self._leasing.lower_bookings()

    def _stale(self, seat: Seat, now_ns: int) -> None:
        core = self._core
        seat.stale_tripped = not seat.stale_tripped
        age_s = (now_ns - seat.ok_ns) / NS_PER_S
        change = core.states.set(
            seat.scope,
            "marks",
            RiskState.CIRCUIT_BREAKER if seat.stale_tripped else RiskState.NORMAL,
            f"no good price for {age_s:.1f} s ({seat.trouble or 'silence'})",
            now_ns,
            # Nothing was lost while nothing was quoted: a short pause, or a feed's restart would cost minutes.
            cool_down_ns=int(core.settings.data_cool_down_s * NS_PER_S),
        )
        self._leasing.apply(change, now_ns)

    def _losses(self, now_ns: int) -> None:
        core, equity = self._core, self._core.equity
        if equity.roll(core.wall_ns) and core.is_open:
            rows = equity.rows()
            if rows:
                core.journal(*rows)
        if equity.day_loss_reached:
            text = f"day's loss {equity.day_loss_usd:.2f} of {core.settings.day_loss_usd_max:.2f} USD"
            self._leasing.apply(
                core.states.set(FLEET, "day loss", RiskState.FULL_STOP, text, now_ns, latched=True), now_ns
            )
        if equity.drawdown_reached:
            text = f"drawdown {equity.drawdown_usd:.2f} USD from the high-water mark"
            equity.forgive_drawdown()
            self._leasing.apply(
                core.states.set(
                    FLEET,
                    "drawdown",
                    RiskState.CIRCUIT_BREAKER,
                    text,
                    now_ns,
                    until_ns=now_ns + 1,
                    cool_down_ns=self._cool_down_ns(),
                ),
                now_ns,
            )

    def _positions(self, now_ns: int) -> None:
        """Positions at present prices against the limits: WARNING near one, REDUCE_ONLY at one."""
        core, settings = self._core, self._core.settings
        gross = exposed = reserved = 0
        venues: dict[str, int] = {}
        bases: dict[str, int] = {}
        held: list[tuple[Seat, int, int]] = []  # with its amount and its side
        for seat in core.seats.values():
            lease = seat.lease
            lots = lease.position_lots
            price = lease.marked_nusd
            exposure = max(lease.exposed_long, lease.exposed_short, 0)
            exposed += exposure * price
            # A journalled worst case is slack until its gateway has spoken, not size that anybody was given.
            reserved += lease.worst_amount if lease.confirmed else exposure * lease.frozen_nusd
            if lots or seat.share_state:
                amount = abs(lots) * price
                gross += amount
                venues[lease.venue] = venues.get(lease.venue, 0) + amount
                base = seat.instrument.base
                bases[base] = bases.get(base, 0) + lots * price
                held.append((seat, amount, (lots > 0) - (lots < 0)))
        for seat, amount, side in held:
            base = seat.instrument.base
            # What offsets the net of its base is no part of the trouble: reducing it would widen the net.
            self._symbol_share(seat, amount, max(0, bases[base] * side), now_ns)
        self._share(FLEET, limits.usd(gross) / settings.gross_usd_max, "gross", now_ns)
        for venue in core.desks:
            share = limits.usd(venues.get(venue, 0)) / settings.venue_usd_max
            self._share(venue_scope(venue), share, "venue", now_ns)
        core.figures["position_gross_usd"] = limits.usd(gross)
        core.highest("position_gross_usd_max", limits.usd(gross))
        core.highest("exposed_usd_max", limits.usd(exposed))
        core.highest("gross_usd_max", limits.usd(reserved))

    def _symbol_share(self, seat: Seat, amount: int, base_amount: int, now_ns: int) -> None:
        settings = self._core.settings
        own = amount / max(1, seat.lease.cap_nusd)
        base = limits.usd(base_amount) / settings.net_base_usd_max
        share, name = (own, "symbol") if own >= base else (base, f"{seat.instrument.base} net")
        state = self._state_of(share, seat.share_state)
        if state is not seat.share_state:
            seat.share_state = state
            self._set_share(seat.scope, state, share, name, now_ns)

    def _share(self, scope: str, share: float, name: str, now_ns: int) -> None:
        before = self._orders_share.get(scope, RiskState.NORMAL)
        state = self._state_of(share, before)
        if state is not before:
            self._orders_share[scope] = state
            self._set_share(scope, state, share, name, now_ns)

    def _state_of(self, share: float, before: RiskState) -> RiskState:
        if before is RiskState.REDUCE_ONLY and share >= RELEASE_SHARE:
            return before
        return limits.share_state(share=share, warning_share=self._core.settings.warning_share)

    def _set_share(self, scope: str, state: RiskState, share: float, name: str, now_ns: int) -> None:
        text = f"position {share:.0%} of the {name} limit"
        self._leasing.apply(self._core.states.set(scope, "position", state, text, now_ns), now_ns)

    def _orders(self, desk: Desk, now_ns: int) -> None:
        """Reject storm, open orders, order rate of one venue account."""
        core, settings = self._core, self._core.settings
        scope = venue_scope(desk.venue)
        rejects = desk.rejects_per_min(now_ns)
        storm = rejects > settings.rejects_per_min_max
        if storm or scope in core.states.scopes:
            self._leasing.apply(
                core.states.set(
                    scope,
                    "rejects",
                    RiskState.CIRCUIT_BREAKER if storm else RiskState.NORMAL,
                    f"{rejects} rejects in a minute",
                    now_ns,
                    cool_down_ns=self._cool_down_ns(),
                ),
                now_ns,
            )
        open_share = len(desk.open_ids) / settings.orders_open_max
        rate_share = desk.orders_per_min(now_ns) / settings.orders_per_min_max
        # Over the open orders only reducing ones may come; over the rate the pacer already refuses, so it warns.
        state = limits.share_state(share=open_share, warning_share=settings.warning_share)
        if rate_share >= 1.0:
            state = max(state, RiskState.WARNING)
        key = f"{scope} orders"
        if state is not self._orders_share.get(key, RiskState.NORMAL):
            self._orders_share[key] = state
            text = f"{len(desk.open_ids)} orders open, {desk.orders_per_min(now_ns)} written in a minute"
            self._leasing.apply(core.states.set(scope, "orders", state, text, now_ns), now_ns)

    def _overruns(self) -> None:
        """What prices alone have added to what was within the limits when it was granted."""
        core = self._core
        passive = 0
        for pool in core.book.pools():
            passive = max(passive, pool.marked - max(pool.limit, pool.used))
        if passive > 0:
            core.highest("passive_overrun_usd_max", limits.usd(passive))

    # --- the journal, the model, the operator ----------------------------------------------------------------

    def on_journal_failed(self, text: str, now_ns: int) -> None:
        core = self._core
        self._journal_failing = True
        core.count("journal_failures_count")
        self._leasing.apply(
            core.states.set(
                FLEET,
                "journal",
                RiskState.CIRCUIT_BREAKER,
                f"journal refuses: {text}",
                now_ns,
                cool_down_ns=self._cool_down_ns(),
            ),
            now_ns,
        )

    def on_journalled(self, now_ns: int) -> None:
        if self._journal_failing:
            self._journal_failing = False
            self._leasing.apply(self._core.states.clear(FLEET, "journal", now_ns), now_ns)

    def on_view(self, view: RiskView, now_ns: int) -> None:
        """The model only reduces: a breaker for a while, or a lower cap."""
        core = self._core
        until_ns = now_ns + int(view.ttl_s * NS_PER_S)
        seats = [seat for seat in core.seats.values() if view.scope in (FLEET, seat.lease.symbol)]
        if view.circuit_breaker:
            scopes = [FLEET] if view.scope == FLEET else [seat.scope for seat in seats]
            text = f"model's risk verdict {view.risk_score:.2f}"
            for scope in scopes:
                self._leasing.apply(
                    core.states.set(
                        scope,
                        "model",
                        RiskState.CIRCUIT_BREAKER,
                        text,
                        now_ns,
                        until_ns=until_ns,
                        cool_down_ns=self._cool_down_ns(),
                    ),
                    now_ns,
                )
        if view.max_position_usd > 0:
            cap = min(limits.nusd(core.settings.symbol_usd_max), limits.nusd(view.max_position_usd))
            for seat in seats:
                seat.lease.cap_nusd = cap
                seat.cap_until_ns = until_ns
                self._leasing.tighten(seat)

    def expire_caps(self, now_ns: int) -> None:
        """A model's cap ends with its time to live; the next renewal raises the envelope again."""
        whole = limits.nusd(self._core.settings.symbol_usd_max)
        for seat in self._core.seats.values():
            if seat.cap_until_ns and now_ns >= seat.cap_until_ns:
                seat.cap_until_ns = 0
                seat.lease.cap_nusd = whole

    def on_operator(self, command: OperatorCommand, now_ns: int) -> None:
        """pause, resume, reduce, kill. Stricter at once; `resume` is journalled first."""
        core = self._core
        scopes = self._scopes(command)
        if not scopes:
            core.answer(f"nothing named venue {command.venue!r} symbol {command.symbol!r} trades here")
            return
        if command.verb == "resume":
            self._resume(scopes, now_ns)
            core.answer(f"resuming {', '.join(scopes)}")
            return
        states = {
            "pause": RiskState.CIRCUIT_BREAKER,
            "reduce": RiskState.REDUCE_ONLY,
            "kill": RiskState.FULL_STOP,
        }
        state = states.get(command.verb)
        if state is None:
            core.answer(f"unknown verb {command.verb!r}; known: pause, resume, reduce, kill")
            return
        text = f"operator: {command.verb}" + (f", {command.reason}" if command.reason else "")
        for scope in scopes:
            self._leasing.apply(
                core.states.set(scope, f"operator {command.verb}", state, text, now_ns, latched=True), now_ns
            )
        core.answer(f"{command.verb}: {', '.join(scopes)}")

    def _resume(self, scopes: list[str], now_ns: int) -> None:
        core = self._core
        if FLEET in scopes:
            core.equity.forgive_day()
            core.equity.forgive_drawdown()
            scopes = list(core.states.scopes)  # a resume of everything lifts every stop
        for scope in scopes:
            self._leasing.apply(core.states.lift(scope, now_ns), now_ns)

    def _scopes(self, command: OperatorCommand) -> list[str]:
        core = self._core
        if not command.venue and not command.symbol:
            return [FLEET]
        if not command.symbol:
            return [venue_scope(command.venue)] if command.venue in core.desks else []
        return [
            symbol_scope(venue, symbol)
            for venue, symbol in core.seats
            if symbol == command.symbol and command.venue in ("", venue)
        ]
