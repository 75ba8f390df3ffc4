"""The risk side of leases: which envelope each symbol gets, and when its size returns to the pool.

Reserved per symbol and side is the greatest of

* every granted envelope that its gateway has not fenced yet,
* what the gateway last reported: position plus every order that may be live, foreign ones too,
* foreign fills since that report,
* the journalled worst case, until the gateway has confirmed a fence of this term.

Raising an envelope counts at once; lowering one counts when `SymbolExposure.fenced_no` reaches the new number.
The gateway checks each order against position plus all live orders of the symbol, whoever placed them, so the
greatest unfenced envelope bounds them all. Sums over symbols are kept by difference in exact integers.

Prices are frozen per symbol: a new price is taken only where everything reserved still fits at it, or is cheaper.
So the sums at frozen prices never leave the limits by a price move; what the move adds is `Pool.marked`.
"""

from __future__ import annotations

from collections.abc import Iterator

from actors.risk import limits
from actors.vocab.config.risk import RiskSettings
from actors.vocab.errors import check
from actors.vocab.leases import Fence, RiskState, SymbolExposure

# Grant numbers of all terms form one rising sequence, so a fence of a new term is above every older grant.
GRANTS_PER_TERM = 1 << 32
UNFENCED_MAX = 8  # envelopes remembered one by one; beyond, the two oldest merge into their greatest


class Pool:
    """One limit and its sums, in nano-USD."""

    __slots__ = ("limit", "marked", "name", "used", "wished")

    def __init__(self, name: str, limit: int) -> None:
        self.name = name
        self.limit = limit
        self.used = 0  # reserved, at frozen prices; the invariant: at most `limit`
        self.wished = 0  # what holders asked for, at the price of asking
        self.marked = 0  # reserved, at present prices


class SymbolLease:
    """Everything reserved for one symbol at one venue account."""

    __slots__ = (
        "base_long",
        "base_short",
        "booked_anew",
        "booked_long",
        "booked_short",
        "cap_nusd",
        "confirmed",
        "expires_ns",
        "exposed_long",
        "exposed_short",
        "extra_long",
        "extra_short",
        "fence",
        "frozen_nusd",
        "grants",
        "holder",
        "known",
        "long_amount",
        "long_lots",
        "marked_amount",
        "marked_nusd",
        "position_lots",
        "reserved_long",
        "reserved_short",
        "short_amount",
        "short_lots",
        "start_no",
        "symbol",
        "token_no",
        "unexplained_long",
        "unexplained_short",
        "venue",
        "venue_pool",
        "want_long",
        "want_short",
        "wished_long",
        "wished_short",
        "worst_amount",
    )

    def __init__(self, venue: str, symbol: str, venue_pool: Pool, base_long: Pool, base_short: Pool) -> None:
        self.venue = venue
        self.symbol = symbol
        self.venue_pool = venue_pool
        self.base_long = base_long
        self.base_short = base_short
        self.cap_nusd = 0  # what the symbol may hold on its worse side: its limit, or less by a risk view
        # (grant_no, long_lots, short_lots) not fenced yet, ascending; none is covered by a later one
        self.grants: list[tuple[int, int, int]] = []
        self.token_no = 0  # number of the newest grant, 0 before the first
        self.long_lots = 0  # the newest envelope
        self.short_lots = 0
        self.holder = ""  # whom it was granted to; empty once expired or released
        self.expires_ns = 0  # on risk's clock, drift added
        self.fence: Fence | None = None  # ordered of the gateway, not confirmed yet
        self.start_no = 0  # the gateway must have fenced this number before anything is granted in its present life
        self.confirmed = False  # it has
        self.known = False  # it has reported the symbol at least once in this term
        self.position_lots = 0
        self.exposed_long = 0  # of the newest report
        self.exposed_short = 0
        self.extra_long = 0  # foreign changes since
        self.extra_short = 0
        self.unexplained_long = 0  # of the newest report: beyond what was reserved, while fills are missing
        self.unexplained_short = 0
        self.booked_anew = False  # its price is the journal's, not a mark's
        self.booked_long = 0  # journalled, durable worst case
        self.booked_short = 0
        self.frozen_nusd = 0  # price of one lot at the last grant
        self.marked_nusd = 0  # the same now
        self.want_long = 0
        self.want_short = 0
        self.reserved_long = 0
        self.reserved_short = 0
        # contributions to the pools' sums
        self.long_amount = 0
        self.short_amount = 0
        self.worst_amount = 0
        self.marked_amount = (0, 0, 0)  # worst, long, short
        self.wished_long = 0
        self.wished_short = 0

    @property
    def worst_lots(self) -> int:
        return max(self.reserved_long, self.reserved_short)

    @property
    def unexplained_lots(self) -> int:
        """What the newest report tells beyond what was reserved, less the foreign changes that have come since."""
        return max(0, self.unexplained_long - self.extra_long, self.unexplained_short - self.extra_short)

    def bounds(self) -> tuple[int, int]:
        """Return what own orders may reach, long and short: all that is reserved and explained."""
        if not self.unexplained_long and not self.unexplained_short:
            return self.reserved_long, self.reserved_short
        return (
            max(0, self.exposed_long - self.unexplained_long, *(long for _, long, _ in self.grants)) + self.extra_long,
            max(0, self.exposed_short - self.unexplained_short, *(short for _, _, short in self.grants))
            + self.extra_short,
        )


class LeaseBook:
    """All leases of one term. A machine: no clock, no messages; `engine.py` speaks for it."""

    def __init__(self, settings: RiskSettings, term: int) -> None:
        self._settings = settings
        self.term = term
        self._grant_no = term * GRANTS_PER_TERM
        self.gross = Pool("gross", limits.nusd(settings.gross_usd_max))
        self._venues: dict[str, Pool] = {}
        self._bases: dict[str, tuple[Pool, Pool]] = {}
        # (venue, symbol) -> its lease; only ever grows
        self._leases: dict[tuple[str, str], SymbolLease] = {}
        # venue -> leases whose fence the gateway has not confirmed; re-sent with each account lease
        self._fencing: dict[str, dict[str, SymbolLease]] = {}
        self._symbol_limit = limits.nusd(settings.symbol_usd_max)

    # --- reading ---------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[SymbolLease]:
        return iter(self._leases.values())

    def get(self, venue: str, symbol: str) -> SymbolLease | None:
        return self._leases.get((venue, symbol))

    def of_venue(self, venue: str) -> list[SymbolLease]:
        return [lease for (where, _), lease in self._leases.items() if where == venue]

    def pools(self) -> list[Pool]:
        return [self.gross, *self._venues.values(), *(pool for pair in self._bases.values() for pool in pair)]

    def fences(self, venue: str) -> tuple[Fence, ...]:
        """What the gateway of `venue` must still confirm; one that never heard of a symbol has no order in it."""
        return tuple(lease.fence for lease in self._fencing.get(venue, {}).values() if lease.fence is not None)

    # --- the symbols -----------------------------------------------------------------------------------------

    def add(self, venue: str, symbol: str, base: str) -> SymbolLease:
        """Return the lease of a symbol, made at the first call. Nothing is granted until its gateway has answered."""
        lease = self._leases.get((venue, symbol))
        if lease is None:
            settings = self._settings
            venue_pool = self._venues.setdefault(venue, Pool(venue, limits.nusd(settings.venue_usd_max)))
            limit = limits.nusd(settings.net_base_usd_max)
            pair = self._bases.setdefault(base, (Pool(f"{base} long", limit), Pool(f"{base} short", limit)))
            lease = SymbolLease(venue, symbol, venue_pool, *pair)
            lease.cap_nusd = self._symbol_limit
            self._leases[(venue, symbol)] = lease
            self._start_over(lease, *limits.reduce_envelope(0))
        return lease

    def book(self, lease: SymbolLease, *, long_lots: int, short_lots: int, price_nusd: int) -> None:
        """At the start: reserve the journalled worst case until the gateway has confirmed this term."""
        lease.booked_long = long_lots
        lease.booked_short = short_lots
        lease.frozen_nusd = lease.marked_nusd = price_nusd
        lease.booked_anew = True
        self._start_over(lease, long_lots, short_lots)

    def new_gateway(self, venue: str) -> None:
        """A new life of the gateway has forgotten every fence: order them again, grant no more until it reports."""
        for lease in self.of_venue(venue):
            if lease.known:
                self._start_over(lease, lease.reserved_long, lease.reserved_short, keep=True)

    def begin_term(self, term: int) -> None:
        """A higher term without a restart: every older token dies, what is reserved stays until it is fenced."""
        self.term = term
        self._grant_no = max(self._grant_no, term * GRANTS_PER_TERM)
        for lease in self._leases.values():
            lease.token_no = lease.long_lots = lease.short_lots = 0
            self._start_over(lease, lease.reserved_long, lease.reserved_short)

    def _start_over(self, lease: SymbolLease, long_lots: int, short_lots: int, *, keep: bool = False) -> None:
        lease.confirmed = False
        lease.start_no = self._next() if not keep or lease.token_no == 0 else self._oldest(lease)
        fence = lease.fence
        if keep and fence is not None:
            long_lots, short_lots = fence.long_lots, fence.short_lots
        lease.fence = Fence(
            lease.symbol, max(lease.start_no, fence.min_grant_no if fence else 0), long_lots, short_lots
        )
        self._fencing.setdefault(lease.venue, {})[lease.symbol] = lease
        self._settle(lease)

    def rescale(self, lease: SymbolLease, *, numerator: int, denominator: int) -> None:
        """The lot size became denominator/numerator of what it was: count in new lots, rounded away from zero."""

        def up(lots: int) -> int:
            return -(-lots * numerator // denominator)

        lease.grants = [(no, up(long), up(short)) for no, long, short in lease.grants]
        lease.long_lots, lease.short_lots = up(lease.long_lots), up(lease.short_lots)
        lease.exposed_long, lease.exposed_short = up(lease.exposed_long), up(lease.exposed_short)
        lease.extra_long, lease.extra_short = up(lease.extra_long), up(lease.extra_short)
        lease.unexplained_long, lease.unexplained_short = up(lease.unexplained_long), up(lease.unexplained_short)
        lease.booked_long, lease.booked_short = up(lease.booked_long), up(lease.booked_short)
        if lease.fence is not None:
            fence = lease.fence
            lease.fence = Fence(fence.symbol, fence.min_grant_no, up(fence.long_lots), up(fence.short_lots))
        lease.position_lots = lease.position_lots * numerator // denominator
        lease.frozen_nusd = max(1, lease.frozen_nusd * denominator // numerator) if lease.frozen_nusd else 0
        lease.marked_nusd = max(1, lease.marked_nusd * denominator // numerator) if lease.marked_nusd else 0
        self._settle(lease)

    # --- granting --------------------------------------------------------------------------------------------

    def wish(self, lease: SymbolLease, *, long_lots: int, short_lots: int) -> None:
        """Remember what the holder would like; the sum of wishes decides the fair shares."""
        price = lease.marked_nusd
        if price:  # nobody's share grows by wishing for more than a symbol may hold
            cap = lease.cap_nusd // price
            long_lots, short_lots = min(long_lots, cap), min(short_lots, cap)
        long_amount, short_amount = long_lots * price, short_lots * price
        if long_amount == lease.wished_long and short_amount == lease.wished_short:
            lease.want_long, lease.want_short = long_lots, short_lots
            return
        delta = max(long_amount, short_amount) - max(lease.wished_long, lease.wished_short)
        self.gross.wished += delta
        lease.venue_pool.wished += delta
        lease.base_long.wished += long_amount - lease.wished_long
        lease.base_short.wished += short_amount - lease.wished_short
        lease.want_long, lease.want_short = long_lots, short_lots
        lease.wished_long, lease.wished_short = long_amount, short_amount

    def target(self, lease: SymbolLease, state: RiskState) -> tuple[int, int]:
        """Return the (long, short) envelope that wish, headroom and state allow now; the newest one when near enough.

        Freezes a new price first where that is possible. Call `wish` and `mark` before.
        """
        if state >= RiskState.CIRCUIT_BREAKER:
            return 0, 0
        if not lease.confirmed or not lease.marked_nusd:
            return lease.long_lots, lease.short_lots
        price = self._price(lease)
        if state is RiskState.REDUCE_ONLY:
            long, short = limits.reduce_envelope(lease.position_lots)
            return min(long, lease.reserved_long - lease.extra_long), min(
                short, lease.reserved_short - lease.extra_short
            )
        gross, venue = self.gross, lease.venue_pool
        worst_cap = (
            min(
                lease.cap_nusd,
                gross.limit - gross.used + lease.worst_amount,
                venue.limit - venue.used + lease.worst_amount,
            )
            // price
        )
        long_cap = min(worst_cap, (lease.base_long.limit - lease.base_long.used + lease.long_amount) // price)
        short_cap = min(worst_cap, (lease.base_short.limit - lease.base_short.used + lease.short_amount) // price)
        # Foreign changes since the last report are reserved on top of any envelope.
        long_cap -= lease.extra_long
        short_cap -= lease.extra_short
        return (
            self._side(lease.long_lots, lease.want_long, long_cap, (gross, venue, lease.base_long)),
            self._side(lease.short_lots, lease.want_short, short_cap, (gross, venue, lease.base_short)),
        )

    @staticmethod
    def _side(current: int, want: int, cap: int, pools: tuple[Pool, Pool, Pool]) -> int:
        fair = want
        for pool in pools:
            if pool.wished > pool.limit:
                fair = min(fair, limits.fair_lots(want_lots=want, limit_nusd=pool.limit, wished_nusd=pool.wished))
        target = max(0, min(fair, cap))
        # A wish that grew or shrank for good is followed; trembling of prices and of the others' wishes is not.
        return current if current <= cap and limits.is_near(current, target) else target

    def _price(self, lease: SymbolLease) -> int:
        """Return the price to size by, freezing it where all that is reserved fits at it."""
        price, frozen = lease.marked_nusd, lease.frozen_nusd
        if price == frozen or (frozen and limits.is_near_price(frozen, price)):
            return frozen
        if price > frozen and frozen:
            long, short = lease.reserved_long * price, lease.reserved_short * price
            grown = max(long, short) - lease.worst_amount
            if (
                max(long, short) > lease.cap_nusd
                or self.gross.used + grown > self.gross.limit
                or lease.venue_pool.used + grown > lease.venue_pool.limit
                or lease.base_long.used + long - lease.long_amount > lease.base_long.limit
                or lease.base_short.used + short - lease.short_amount > lease.base_short.limit
            ):
                return price  # sized by the higher price, summed at the older one: nothing can be raised
        lease.frozen_nusd = price
        self._settle(lease)
        return price

    def booking(self, lease: SymbolLease, envelope: tuple[int, int]) -> tuple[int, int] | None:
        """Return the worst case to journal before `envelope` may be granted; None when what is journalled covers it."""
        long, short = envelope
        if long <= lease.booked_long and short <= lease.booked_short:
            return None
        cap = lease.cap_nusd // lease.frozen_nusd if lease.frozen_nusd else 0
        return (
            max(lease.booked_long, limits.booking_lots(needed_lots=long, cap_lots=cap)),
            max(lease.booked_short, limits.booking_lots(needed_lots=short, cap_lots=cap)),
        )

    def booked(self, lease: SymbolLease, *, long_lots: int, short_lots: int) -> None:
        """The journal holds this worst case durably."""
        lease.booked_long, lease.booked_short = long_lots, short_lots
        if not lease.confirmed:
            self._settle(lease)

    def issue(self, lease: SymbolLease, holder: str, *, long_lots: int, short_lots: int) -> int:
        """Grant an envelope under a new number, fence where it is lower on a side or for another holder.

        `OurFault` when that would take any sum over its limit: the check of the grantor, beside the wallet's own.
        """
        no = self._next()
        before = (self.gross.used, lease.venue_pool.used, lease.base_long.used, lease.base_short.used)
        worst_before = lease.worst_amount
        kept = [grant for grant in lease.grants if grant[1] > long_lots or grant[2] > short_lots]
        if len(kept) >= UNFENCED_MAX:
            first, second = kept[0], kept[1]
            kept[:2] = [(second[0], max(first[1], second[1]), max(first[2], second[2]))]
        other_holder = lease.holder not in ("", holder)
        lease.grants = [*kept, (no, long_lots, short_lots)]
        lease.token_no, lease.long_lots, lease.short_lots, lease.holder = no, long_lots, short_lots, holder
        if (
            kept
            or other_holder
            or lease.exposed_long > long_lots
            or lease.exposed_short > short_lots
            # An unconfirmed fence would cancel what this envelope allows: the gateway takes a higher number only.
            or (lease.fence is not None and (long_lots, short_lots) != (lease.fence.long_lots, lease.fence.short_lots))
        ):
            lease.fence = Fence(lease.symbol, no, long_lots, short_lots)
            self._fencing.setdefault(lease.venue, {})[lease.symbol] = lease
        self._settle(lease)
        pools = (self.gross, lease.venue_pool, lease.base_long, lease.base_short)
        for pool, used in zip(pools, before, strict=True):
            check(
                pool.used <= pool.limit or pool.used <= used,
                f"{lease.venue} {lease.symbol}: grant {no} takes {pool.name} to {pool.used} of {pool.limit} nano-USD",
            )
        check(
            lease.worst_amount <= max(self._symbol_limit, worst_before),
            f"{lease.venue} {lease.symbol}: grant {no} reserves {lease.worst_amount} of {self._symbol_limit} nano-USD",
        )
        return no

    def end(self, lease: SymbolLease) -> None:
        """The holder's lease ran out or was handed back: fence everything; the size returns with the confirmation."""
        self.wish(lease, long_lots=0, short_lots=0)
        self.issue(lease, "", long_lots=0, short_lots=0)
        lease.fence = Fence(lease.symbol, lease.token_no, 0, 0)
        self._fencing.setdefault(lease.venue, {})[lease.symbol] = lease

    # --- what gateways and marks say -------------------------------------------------------------------------

    def report(self, lease: SymbolLease, seen: SymbolExposure, *, in_step: bool = True) -> int:
        """Settle against the gateway's report; return by how many lots our own orders exceed what was reserved.

        Anything but 0 means that an order got past its envelope: the broken invariant, never expected. While fills
        are missing (not `in_step`) it may as well be a foreign trade that is on its way: then the excess is reserved
        and kept apart in `unexplained_lots` until a report in step.
        """
        long, short = seen.position_lots + seen.open_buy_lots, seen.open_sell_lots - seen.position_lots
        excess = beyond_long = beyond_short = 0
        if lease.confirmed:
            bound_long, bound_short = lease.bounds()
            beyond_long, beyond_short = max(0, long - bound_long), max(0, short - bound_short)
            if in_step:
                excess = max(beyond_long, beyond_short, lease.unexplained_lots)
                beyond_long = beyond_short = 0
        lease.unexplained_long, lease.unexplained_short = beyond_long, beyond_short
        lease.position_lots = seen.position_lots
        lease.exposed_long = long + seen.foreign_buy_lots
        lease.exposed_short = short + seen.foreign_sell_lots
        lease.extra_long = lease.extra_short = 0
        lease.known = True
        if not lease.confirmed and seen.fenced_no >= lease.start_no:
            lease.confirmed = True
        if lease.confirmed:
            if lease.grants and lease.grants[0][0] < seen.fenced_no:
                lease.grants = [grant for grant in lease.grants if grant[0] >= seen.fenced_no]
            fence = lease.fence
            if fence is not None and seen.fenced_no >= fence.min_grant_no:
                lease.fence = None
                self._fencing[lease.venue].pop(lease.symbol, None)
        self._settle(lease)
        return excess

    def foreign(self, lease: SymbolLease, *, position_change_lots: int) -> None:
        """The position moved without us: its worst case moved by as much, until the next report says better."""
        lease.position_lots += position_change_lots
        if position_change_lots > 0:
            lease.extra_long += position_change_lots
        else:
            lease.extra_short -= position_change_lots
        self._settle(lease)

    def holder_view(self, lease: SymbolLease, *, position_lots: int) -> None:
        """A holder knows of fills that have not arrived: reserve the worse of both views."""
        lease.exposed_long = max(lease.exposed_long, position_lots)
        lease.exposed_short = max(lease.exposed_short, -position_lots)
        self._settle(lease)

    def mark(self, lease: SymbolLease, price_nusd: int) -> None:
        """Take the present price of one lot; frozen sums do not move."""
        if price_nusd != lease.marked_nusd:
            lease.marked_nusd = price_nusd
            if not lease.frozen_nusd or lease.booked_anew:
                # Journalled worst cases carry an old price; before anything is granted this term they take today's.
                lease.frozen_nusd, lease.booked_anew = price_nusd, False
                self._settle(lease)
            elif lease.reserved_long or lease.reserved_short:
                self._mark(lease)

    # --- sums ------------------------------------------------------------------------------------------------

    def _settle(self, lease: SymbolLease) -> None:
        """Recompute what is reserved for one symbol and move the sums by the difference."""
        long = max(0, lease.exposed_long)
        short = max(0, lease.exposed_short)
        for _, granted_long, granted_short in lease.grants:
            if granted_long > long:
                long = granted_long
            if granted_short > short:
                short = granted_short
        if not lease.confirmed:
            long = max(long, lease.booked_long)
            short = max(short, lease.booked_short)
        long += lease.extra_long
        short += lease.extra_short
        lease.reserved_long, lease.reserved_short = long, short
        price = lease.frozen_nusd
        if price:
            long_amount, short_amount = long * price, short * price
        else:  # something is held and nobody has told a price: it takes all that a symbol may
            long_amount = self._symbol_limit if long else 0
            short_amount = self._symbol_limit if short else 0
        worst = max(long_amount, short_amount)
        delta = worst - lease.worst_amount
        self.gross.used += delta
        lease.venue_pool.used += delta
        lease.base_long.used += long_amount - lease.long_amount
        lease.base_short.used += short_amount - lease.short_amount
        lease.long_amount, lease.short_amount, lease.worst_amount = long_amount, short_amount, worst
        self._mark(lease)

    def _mark(self, lease: SymbolLease) -> None:
        price = lease.marked_nusd or lease.frozen_nusd
        long, short = lease.reserved_long * price, lease.reserved_short * price
        worst = max(long, short)
        old_worst, old_long, old_short = lease.marked_amount
        delta = worst - old_worst
        self.gross.marked += delta
        lease.venue_pool.marked += delta
        lease.base_long.marked += long - old_long
        lease.base_short.marked += short - old_short
        lease.marked_amount = (worst, long, short)

    def _next(self) -> int:
        self._grant_no += 1
        return self._grant_no

    @staticmethod
    def _oldest(lease: SymbolLease) -> int:
        return lease.grants[0][0] if lease.grants else lease.token_no

    def verify(self) -> None:
        """Recompute every sum from nothing; `OurFault` where the incremental one differs. For tests and the timer."""
        used: dict[str, int] = {}
        for lease in self._leases.values():
            for pool, amount in (
                (self.gross, lease.worst_amount),
                (lease.venue_pool, lease.worst_amount),
                (lease.base_long, lease.long_amount),
                (lease.base_short, lease.short_amount),
            ):
                used[pool.name] = used.get(pool.name, 0) + amount
            covered = max((max(long, short) for _, long, short in lease.grants), default=0)
            check(
                covered <= max(lease.reserved_long, lease.reserved_short),
                f"{lease.venue} {lease.symbol}: granted {covered} lots above the reserved {lease.worst_lots}",
            )
        for pool in self.pools():
            check(
                pool.used == used.get(pool.name, 0),
                f"{pool.name}: sum {pool.used}, recomputed {used.get(pool.name, 0)} nano-USD",
            )
