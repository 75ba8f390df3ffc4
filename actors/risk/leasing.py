"""Requests in, grants out: the conversation with holders and gateways about leases."""

from __future__ import annotations

from collections import deque

from actors.journal.rows import SINCE_KEY, BlockRow, BookingRow, MetaRow, Row
from actors.risk import limits
from actors.risk.core import RiskCore
from actors.risk.grants import SymbolLease
from actors.risk.seats import Desk, Seat
from actors.risk.states import Change
from actors.vocab.leases import (
    TRADE_IDS_TOLD,
    AccountLease,
    AccountLeaseRequest,
    BlockGrant,
    BlockRequest,
    JournalledSymbol,
    Kill,
    LeaseGrant,
    LeaseRelease,
    LeaseRequest,
    RiskState,
    Token,
)
from actors.vocab.orders import FillsAgain
from actors.vocab.units import NS_PER_MS, NS_PER_S

ASK_AGAIN_NS = 200 * NS_PER_MS  # least time between two requests for the same missing fills
BURIED_HOLDERS_MAX = 10_000  # incarnations that were replaced; full: the oldest are forgotten
BOOKING_LOWERED_MAX = 50  # rows a second that give journalled worst cases back


class Leasing:
    """Grants, renewals, fences, id blocks."""

    def __init__(self, core: RiskCore, *, id_block_size: int) -> None:
        self._core = core
        self._id_block_size = id_block_size
        self._buried: dict[str, None] = {}  # holders that were replaced by a later life; insertion order
        self._early_blocks: dict[str, BlockRequest] = {}  # peer -> asked before the term was on disk
        self._blocks: dict[int, tuple[str, BlockGrant]] = {}  # journal sequence -> what it allows
        self._booking: dict[int, Seat] = {}  # journal sequence -> seat whose worst case it holds
        self._opening: deque[Seat] = deque()  # waits for its turn to open
        self._opening_keys: set[tuple[str, str]] = set()
        self._openings_left = core.settings.openings_per_s
        self._refilled_ns = 0
        self._unexplained: dict[tuple[str, str], int] = {}  # seat's key -> since when fills must explain an excess

    # --- holders ---------------------------------------------------------------------------------------------

    def on_request(self, peer: str, request: LeaseRequest, now_ns: int) -> None:
        """Answer, or keep the newest request of the symbol until it can be answered."""
        core = self._core
        seat = core.seats.get((request.venue, request.symbol))
        if seat is None or request.holder in self._buried or not seat.counts_in(request.steps):
            return
        lease = seat.lease
        if lease.holder and request.holder != lease.holder:
            self._bury(lease.holder)
        core.witness.renewed(
            request.venue, request.symbol, request.holder, term=core.term, wall_ms=core.event_wall_ms()
        )
        if request.last_fill_no > core.desks[request.venue].applied_no:
            self._holder_is_ahead(seat, request, now_ns)
        seat.peer = peer
        if not core.is_open:
            seat.waiting = (peer, request)
            return
        price = core.lot_price_nusd(seat, seat.mid2 / 2 or request.mid_ticks) if seat.mid2 or request.mid_ticks else 0
        if not price:
            seat.waiting = (peer, request)
            return
        book = core.book
        book.mark(lease, price)
        book.wish(lease, long_lots=max(0, request.want_long_lots), short_lots=max(0, request.want_short_lots))
        if not lease.confirmed and not lease.token_no:
            seat.waiting = (peer, request)  # its gateway has not answered in this term
            return
        state, reason = core.states.effective(request.venue, request.symbol)
        long, short = book.target(lease, state)
        if (long or short) and not (lease.long_lots or lease.short_lots) and not self._may_open(seat):
            seat.waiting = (peer, request)
            return
        if long > lease.booked_long or short > lease.booked_short:
            long, short = self._within_booking(seat, long, short)
            if not (long or short or lease.token_no):
                seat.waiting = (peer, request)
                return
            seat.waiting = (peer, request)  # again when the journal has it
        else:
            seat.waiting = None
        if not long and not short and not reason and (request.want_long_lots or request.want_short_lots):
            reason = "no headroom left under the limits"
        self._grant(seat, request.holder, long, short, state)
        lease.expires_ns = now_ns + core.ttl_ns
        seat.orders_per_min = core.desks[request.venue].orders.renew(
            request.symbol,
            needed=request.orders_needed,
            short=request.orders_short,
            held=request.orders_held,
            now_ns=now_ns,
        )
        self._send_grant(seat, request.request_no, reason)

    def on_release(self, release: LeaseRelease) -> None:
        seat = self._core.seats.get((release.venue, release.symbol))
        if seat is not None and seat.lease.holder == release.holder:
            seat.waiting = None
            self._core.witness.ended(release.venue, release.symbol, "released", term=self._core.term)
            self._end(seat)

    def expire(self, seat: Seat) -> None:
        """The holder has stopped by its own clock; its size returns when the gateway confirms."""
        self._core.count("leases_expired_count")
        self._core.witness.ended(*seat.key, "expired", term=self._core.term)
        self._end(seat)

    def tighten(self, seat: Seat) -> None:
        """Tell the holder, unasked, what a stricter state or a lower cap leaves it."""
        core, lease = self._core, seat.lease
        if not lease.holder:
            return
        state, reason = core.states.effective(*seat.key)
        long, short = core.book.target(lease, state)
        self._grant(seat, lease.holder, min(long, lease.long_lots), min(short, lease.short_lots), state)
        self._send_grant(seat, 0, reason)

    def _grant(self, seat: Seat, holder: str, long: int, short: int, state: RiskState) -> None:
        """Issue a new number if anything changed."""
        core, lease = self._core, seat.lease
        factor = core.settings.warning_size_factor if state is RiskState.WARNING else 1.0
        same = lease.long_lots == long and lease.short_lots == short and lease.holder == holder
        if same and lease.token_no and seat.state is state and seat.factor == factor:
            return
        seat.state, seat.factor, seat.has_turn = state, factor, False
        fence = lease.fence
        core.book.issue(lease, holder, long_lots=long, short_lots=short)
        if lease.fence is not None and lease.fence is not fence:
            self._announce_lease(core.desks[lease.venue], lease)

    def _send_grant(self, seat: Seat, request_no: int, reason: str) -> None:
        core, lease = self._core, seat.lease
        core.witness.granted(lease, term=core.term, wall_ms=core.event_wall_ms())
        core.send(
            seat.peer,
            LeaseGrant(
                venue=lease.venue,
                symbol=lease.symbol,
                token=Token(core.term, lease.token_no, lease.holder),
                request_no=request_no,
                long_lots=lease.long_lots,
                short_lots=lease.short_lots,
                state=seat.state,
                reason=reason,
                ttl_ms=core.settings.lease_ttl_ms,
                orders_per_min=seat.orders_per_min,
                quantity_factor=seat.factor,
                steps=seat.instrument.steps,
            ),
        )

    def _end(self, seat: Seat) -> None:
        core = self._core
        core.book.end(seat.lease)
        core.witness.granted(seat.lease, term=core.term, wall_ms=core.event_wall_ms())
        self._announce_lease(core.desks[seat.lease.venue], seat.lease)

    def _bury(self, holder: str) -> None:
        self._buried[holder] = None
        if len(self._buried) > BURIED_HOLDERS_MAX:
            del self._buried[next(iter(self._buried))]

    def _holder_is_ahead(self, seat: Seat, request: LeaseRequest, now_ns: int) -> None:
        """It has seen a fill that risk has not: count the worse of both views, and ask for the fill."""
        core = self._core
        desk = core.desks[request.venue]
        core.book.holder_view(seat.lease, position_lots=request.position_lots)
        desk.highest_no = max(desk.highest_no, request.last_fill_no)
        self.ask_again(desk, now_ns, patient=True)

    # --- opening by turns ------------------------------------------------------------------------------------

    def _may_open(self, seat: Seat) -> bool:
        """True when it is this symbol's turn; the turn stays its own until the lease is open."""
        if seat.has_turn:
            return True
        if self._openings_left >= 1.0:
            self._openings_left -= 1.0
            seat.has_turn = True
            return True
        if seat.key not in self._opening_keys:
            self._opening_keys.add(seat.key)
            self._opening.append(seat)
        return False

    def on_timer(self, now_ns: int) -> None:
        """Refill the turns, open who waits; wait no longer for fills that do not come."""
        rate = self._core.settings.openings_per_s
        if self._refilled_ns:
            self._openings_left = min(rate, self._openings_left + rate * (now_ns - self._refilled_ns) / NS_PER_S)
        self._refilled_ns = now_ns
        while self._opening and self._openings_left >= 1.0:
            seat = self._opening.popleft()
            self._opening_keys.discard(seat.key)
            self.retry(seat, now_ns)
        # As long as the gateway's own lease may last: one that has not told its fills by then is not to be believed.
        for key in [key for key, since_ns in self._unexplained.items() if now_ns >= since_ns + self._core.ttl_ns]:
            del self._unexplained[key]
            seat = self._core.seats[key]
            if seat.lease.unexplained_lots:
                self._broken(seat, seat.lease.unexplained_lots, now_ns)

    def retry(self, seat: Seat, now_ns: int) -> None:
        """Answer the request that waits, if it is not too old to be of use."""
        if seat.waiting is not None:
            peer, request = seat.waiting
            self.on_request(peer, request, now_ns)

    # --- the journal's part ----------------------------------------------------------------------------------

    def _within_booking(self, seat: Seat, long: int, short: int) -> tuple[int, int]:
        """Journal the worst case that is wanted; return what may be granted until it is on disk."""
        core, lease = self._core, seat.lease
        if seat.booking is None:
            wanted = core.book.booking(lease, (long, short))
            if wanted is not None:
                row = _booking_row(seat, *wanted)
                sequence = core.journal(row)
                seat.booking = (sequence, *wanted)
                self._booking[sequence] = seat
        return min(long, lease.booked_long), min(short, lease.booked_short)

    def lower_bookings(self) -> None:
        """Give back journalled worst cases that are far above what is reserved, a few at a time."""
        core = self._core
        rows: list[BookingRow] = []
        for seat in core.seats.values():
            lease = seat.lease
            if seat.booking is not None or not lease.confirmed:
                continue
            long, short = 2 * lease.reserved_long, 2 * lease.reserved_short
            if lease.booked_long > long or lease.booked_short > short:
                long, short = min(long, lease.booked_long), min(short, lease.booked_short)
                # In memory first: a grant above it must be journalled again, and that row comes after this one.
                core.book.booked(lease, long_lots=long, short_lots=short)
                rows.append(_booking_row(seat, long, short))
                if len(rows) >= BOOKING_LOWERED_MAX:
                    break
        if rows:
            core.journal(*rows)

    def on_journalled(self, up_to: int, now_ns: int) -> None:
        core = self._core
        for sequence in [sequence for sequence in self._booking if sequence <= up_to]:
            seat = self._booking.pop(sequence)
            if seat.booking is not None and seat.booking[0] == sequence:
                _, long, short = seat.booking
                seat.booking = None
                core.book.booked(seat.lease, long_lots=long, short_lots=short)
                self.retry(seat, now_ns)
        for sequence in [sequence for sequence in self._blocks if sequence <= up_to]:
            peer, grant = self._blocks.pop(sequence)
            core.desks[grant.venue].block_first = grant.first
            core.send(peer, grant)

    def on_open(self, now_ns: int) -> None:
        """The term is on disk: answer what came before."""
        for peer, request in list(self._early_blocks.items()):
            self.on_block_request(peer, request)
        self._early_blocks.clear()
        for seat in list(self._core.seats.values()):
            self.retry(seat, now_ns)

    # --- gateways --------------------------------------------------------------------------------------------

    def on_account_request(self, peer: str, request: AccountLeaseRequest, now_ns: int) -> None:
        core = self._core
        if not core.is_open:
            return
        desk = core.desk(request.venue)
        if request.gateway in desk.buried or not self._adopt(desk, request.gateway, now_ns):
            return
        if request.request_no <= desk.request_no:
            return  # overtaken
        desk.request_no = request.request_no
        if request.orders_per_min:
            desk.orders.account_max = min(core.settings.orders_per_min_max, request.orders_per_min)
        desk.highest_no = max(desk.highest_no, request.last_fill_no)
        if desk.highest_no > desk.applied_no:
            self.ask_again(desk, now_ns)
        self._settle(desk, request, now_ns)
        desk.expires_ns = now_ns + core.ttl_ns
        core.send(peer, self.account_lease(desk, request.request_no))

    def _adopt(self, desk: Desk, gateway: str, now_ns: int) -> bool:
        """True when `gateway` is the life to talk to. A new one waits until the old one's account lease has run out."""
        if gateway == desk.gateway:
            return True
        if desk.gateway:
            if now_ns < desk.expires_ns:
                return False
            desk.buried.add(desk.gateway)
            self._core.book.new_gateway(desk.venue)
            desk.forget_orders()
        desk.gateway = gateway
        desk.fill_source = gateway
        desk.request_no = 0
        desk.reported = False
        return True

    def _settle(self, desk: Desk, request: AccountLeaseRequest, now_ns: int) -> None:
        """Settle every lease against what the gateway says, then answer who waited for that."""
        core = self._core
        in_step = request.last_fill_no == desk.applied_no
        for seen in request.symbols:
            seat = desk.seats.get(seen.symbol)
            if seat is None or not seat.counts_in(seen.steps):
                continue
            lease = seat.lease
            ready = lease.confirmed
            change = seen.position_lots - seat.ledger.known_lots
            if in_step and change:
                self._adopt_position(seat, change, now_ns)
            excess = core.book.report(lease, seen, in_step=in_step)
            if excess:
                self._broken(seat, excess, now_ns)
            if lease.unexplained_lots:
                self._unexplained.setdefault(seat.key, now_ns)
            elif self._unexplained:
                self._unexplained.pop(seat.key, None)
            if in_step:
                seat.opened = True
            if lease.confirmed and not ready:
                self.retry(seat, now_ns)
        if request.symbols:
            desk.reported = True
            if in_step and request.gateway == desk.last_life[0] and desk.since_ms != desk.last_life[1]:
                # It has told all that it and the lives before it did: a next one need not look further back.
                desk.since_ms = desk.last_life[1]
                core.journal(_since_row(desk))

    def _broken(self, seat: Seat, excess_lots: int, now_ns: int) -> None:
        """More may be live than was granted: stop the symbol until an operator has looked."""
        core = self._core
        price = seat.lease.frozen_nusd or seat.lease.marked_nusd
        core.highest("lease_overrun_usd_max", limits.usd(excess_lots * price))
        core.count("breaches_count")
        text = f"{excess_lots} lots live beyond the lease"
        self.apply(core.states.set(seat.scope, "lease", RiskState.FULL_STOP, text, now_ns, latched=True), now_ns)

    def _adopt_position(self, seat: Seat, change_lots: int, now_ns: int) -> None:
        """The gateway's position is the truth; the difference is booked at the mid."""
        core = self._core
        seat.ledger.adjust(change_lots)
        core.book.foreign(seat.lease, position_change_lots=change_lots)
        core.value(seat)
        if seat.opened:
            core.count("position_mismatch_count")
            text = f"position differed by {change_lots} lots, adopted"
            self.apply(
                core.states.set(
                    seat.scope, "adopted", RiskState.WARNING, text, now_ns, until_ns=now_ns + 60 * NS_PER_S
                ),
                now_ns,
            )

    def ask_again(self, desk: Desk, now_ns: int, *, patient: bool = False) -> None:
        """Ask for the fills that are missing; `patient` first gives the gateway's own message time to arrive."""
        if patient and not desk.asked_again_ns:
            desk.asked_again_ns = now_ns
            return
        if not desk.gateway or (desk.asked_again_ns and now_ns < desk.asked_again_ns + ASK_AGAIN_NS):
            return
        desk.asked_again_ns = now_ns
        self._core.count("fills_asked_again_count")
        self._core.send(desk.gateway, FillsAgain(desk.venue, desk.applied_no + 1))

    def account_lease(self, desk: Desk, request_no: int) -> AccountLease:
        core = self._core
        return AccountLease(
            venue=desk.venue,
            term=core.term,
            request_no=request_no,
            state=core.venue_state(desk.venue),
            ttl_ms=core.settings.lease_ttl_ms,
            acked_fill_no=desk.acked_no,
            client_block=desk.block_first,
            fences=core.book.fences(desk.venue),
            halted_symbols=tuple(sorted(desk.halted)),
        )

    def _announce_lease(self, desk: Desk, lease: SymbolLease) -> None:
        """Order one fence at once; the regular answers repeat it until it is confirmed."""
        core = self._core
        if desk.gateway and lease.fence is not None:
            core.send(
                desk.gateway,
                AccountLease(
                    venue=desk.venue,
                    term=core.term,
                    request_no=0,
                    state=core.venue_state(desk.venue),
                    ttl_ms=core.settings.lease_ttl_ms,
                    acked_fill_no=desk.acked_no,
                    client_block=desk.block_first,
                    fences=(lease.fence,),
                    halted_symbols=tuple(sorted(desk.halted)),
                ),
            )

    def on_block_request(self, peer: str, request: BlockRequest) -> None:
        core = self._core
        if not core.is_open:
            self._early_blocks[peer] = request
            return
        desk = core.desk(request.venue)
        if request.gateway in desk.buried:
            return
        first, desk.next_id = desk.next_id, desk.next_id + self._id_block_size
        since_ms = desk.since_ms
        rows: list[Row] = [BlockRow(request.venue, request.gateway, first, self._id_block_size, core.wall_ms())]
        is_new = desk.last_life[0] != request.gateway
        if is_new:
            desk.last_life = (request.gateway, core.wall_ms())
            # Lives that die before they have told their fills do not hide those of the life before them.
            desk.since_ms = desk.since_ms or core.wall_ms()
            if desk.since_ms != desk.last_life[1]:
                rows.append(_since_row(desk))
            # From here on numbers are the new life's: it goes on from what is told below.
            desk.fill_source = request.gateway
            desk.holes.clear()
            desk.highest_no = desk.applied_no
        trade_ids = self._trade_ids(request.venue) if is_new else {}  # only a new life reads what is told of symbols
        # Everything told here is appended before the row, so it is on disk when the row is.
        grant = BlockGrant(
            venue=request.venue,
            gateway=request.gateway,
            first=first,
            size=self._id_block_size,
            last_fill_no=desk.applied_no,
            since_ms=since_ms,
            journalled=tuple(
                JournalledSymbol(
                    symbol,
                    seat.trade_id,
                    seat.ledger.known_lots,
                    seat.ledger.average_ticks,
                    seat.ledger.stock_lots,
                    trade_ids.get(symbol, ()),
                )
                for symbol, seat in desk.seats.items()
                if seat.trade_id or seat.ledger.known_lots or seat.ledger.stock_lots
            ),
            fundings=tuple(desk.fundings),
        )
        self._blocks[core.journal(*rows)] = (peer, grant)

    def _trade_ids(self, venue: str) -> dict[str, tuple[int, ...]]:
        """The newest trades that each symbol of the venue has booked, ascending."""
        found: dict[str, set[int]] = {}
        for key in self._core.trade_keys:
            if key[0] == venue:
                found.setdefault(key[1], set()).add(key[2])
        return {symbol: tuple(sorted(ids)[-TRADE_IDS_TOLD:]) for symbol, ids in found.items()}

    # --- states ----------------------------------------------------------------------------------------------

    def apply(self, change: Change | None, now_ns: int) -> None:
        """Carry out what a scope's change means: tightening at once, loosening once it is on disk."""
        if change is None:
            return
        core = self._core
        if change.tightens and change.after is not change.before:
            self._spread(change, now_ns)
        rows: list[Row] = [core.state_row(change.scope, change.after, change.reason)]
        if change.tightens:
            core.journal(*rows)
            return
        term = core.term
        if change.before is RiskState.FULL_STOP:
            # Gateways latch a kill by its term: only a higher one opens them again. Several stops share the next.
            term += 1
            rows.append(MetaRow("term", str(term)))
        core.loosening[core.journal(*rows)] = (change.scope, change.after, term)

    def loosen(self, up_to: int, now_ns: int) -> None:
        """The journal holds these loosenings: they apply now."""
        core = self._core
        for sequence in [sequence for sequence in core.loosening if sequence <= up_to]:
            scope, state, term = core.loosening.pop(sequence)
            change = core.states.confirm(scope, state, now_ns)
            if change is None:
                continue
            if change.tightens:
                self.apply(change, now_ns)
                continue
            if term > core.term:
                core.term = term
                core.book.begin_term(term)
            self._spread(change, now_ns)

    def _spread(self, change: Change, now_ns: int) -> None:
        core = self._core
        core.announce(change.scope, change.after, change.reason)
        seats = core.seats_of(change.scope)
        venues = dict.fromkeys(seat.lease.venue for seat in seats)
        for seat in seats:
            halted = core.states.scopes.get(seat.scope)
            names = core.desks[seat.lease.venue].halted
            if halted is not None and halted.state >= RiskState.CIRCUIT_BREAKER:
                names.add(seat.lease.symbol)
            else:
                names.discard(seat.lease.symbol)
        for venue in venues:
            desk = core.desks[venue]
            if not desk.gateway:
                continue
            core.send(desk.gateway, self.account_lease(desk, 0))
            if change.after is RiskState.FULL_STOP:
                symbol = change.scope.rpartition(":")[2] if change.scope.startswith("symbol:") else ""
                core.send(desk.gateway, Kill(venue, core.term, symbol, change.reason))
        if change.tightens:
            for seat in seats:
                self.tighten(seat)


def _since_row(desk: Desk) -> MetaRow:
    return MetaRow(f"{SINCE_KEY}:{desk.venue}", str(desk.since_ms))


def _booking_row(seat: Seat, long_lots: int, short_lots: int) -> BookingRow:
    lease = seat.lease
    return BookingRow(lease.venue, lease.symbol, seat.instrument.base, long_lots, short_lots, lease.frozen_nusd)
