"""What risk keeps per symbol (`Seat`) and per venue account (`Desk`), beside the lease itself."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from actors.risk.grants import SymbolLease
from actors.risk.ledger import Ledger
from actors.risk.order_budgets import OrderBudgets
from actors.risk.states import symbol_scope
from actors.risk.watch import PriceWindow
from actors.vocab.instruments import Instrument
from actors.vocab.leases import FundingPaid, LeaseRequest, RiskState
from actors.vocab.orders import DONE_STATES, Fill, OrderRow, OrderState, PositionAdjust
from actors.vocab.units import NS_PER_S

FUNDINGS_TOLD = 500  # to a new life of the gateway; all symbols are paid at the same moments
HOLE_MAX = 10_000  # fills kept while an earlier one is asked for again; full: the rest is asked for again as well


class Seat:
    """One symbol at one venue account."""

    __slots__ = (
        "booking",
        "cap_until_ns",
        "factor",
        "has_turn",
        "imbalance",
        "instrument",
        "key",
        "lease",
        "ledger",
        "mid2",
        "move_tripped",
        "net_usd",
        "ok_ns",
        "opened",
        "orders_per_min",
        "peer",
        "scope",
        "share_state",
        "stale_tripped",
        "state",
        "trade_id",
        "trouble",
        "waiting",
        "window",
    )

    def __init__(self, instrument: Instrument, lease: SymbolLease, ledger: Ledger, window: PriceWindow) -> None:
        self.key = (instrument.venue, instrument.symbol)
        self.scope = symbol_scope(*self.key)
        self.instrument = instrument
        self.lease = lease
        self.ledger = ledger
        self.window = window
        self.mid2 = 0  # bid plus ask in ticks of the newest good mark
        self.imbalance = 0.0  # of its best sizes, -1 to 1
        self.ok_ns = 0  # when it came; 0: never
        self.trouble = ""  # why the marks are not good
        self.net_usd = 0.0  # its share in the engine's running sum
        self.opened = False  # the ledger stands on a position that the gateway or the journal has told
        self.trade_id = 0
        self.peer = ""  # where the holder is reached
        self.waiting: tuple[str, LeaseRequest] | None = None  # newest request that could not be answered yet
        self.booking: tuple[int, int, int] | None = None  # (sequence, long, short) being journalled
        self.state = RiskState.NORMAL  # of the newest grant
        self.factor = 1.0
        self.orders_per_min = 1  # of the newest grant
        self.has_turn = False  # its lease may open now; see `Leasing._may_open`
        self.share_state = RiskState.NORMAL
        self.stale_tripped = False
        self.move_tripped = False
        self.cap_until_ns = 0  # end of a cap that the model has set; 0: none

    def counts_in(self, steps: str) -> bool:
        """Whether a message means our lots. Everybody hears of new ones at another moment, within milliseconds."""
        return not steps or steps == self.instrument.steps


class Desk:
    """One venue account: its gateway, its fills' numbering, its order counts."""

    def __init__(self, venue: str, *, applied_no: int, next_id: int, orders: OrderBudgets) -> None:
        self.venue = venue
        self.orders = orders
        self.seats: dict[str, Seat] = {}  # symbol -> seat
        self.gateway = ""  # incarnation of the life that risk talks to
        self.buried: set[str] = set()  # earlier lives: nothing they say counts
        self.fill_source = ""  # incarnation whose numbering is followed
        self.expires_ns = 0  # until then that life may still write orders
        self.request_no = 0
        self.reported = False  # this life has told its exposure
        self.applied_no = applied_no  # highest fill number up to which none is missing
        self.acked_no = applied_no  # the same, on disk
        self.highest_no = applied_no  # highest anybody has spoken of
        self.fundings: deque[FundingPaid] = deque(maxlen=FUNDINGS_TOLD)  # newest payments, oldest first
        self.holes: dict[int, Fill | PositionAdjust] = {}  # came too early, by number
        self.asked_again_ns = 0
        self.next_id = next_id  # first client id never given out
        self.block_first = 0
        self.last_life: tuple[str, int] = ("", 0)  # (gateway, wall ms of its first block)
        self.since_ms = 0  # start of the oldest life whose fills may not all be here; 0: there was none
        self.unacked: deque[tuple[int, int]] = deque()  # (journal sequence, fill number), ascending
        self.open_ids: set[str] = set()  # client ids of orders not terminal, by the rows
        self._orders_ns: deque[int] = deque()  # of the last minute
        self._rejects_ns: deque[int] = deque()
        self.halted: set[str] = set()  # symbols in CIRCUIT_BREAKER or FULL_STOP

    def take_order_row(self, row: OrderRow, now_ns: int) -> None:
        """Count open orders, orders and rejects: of orders, and of changes, whose order rests on with a reason."""
        refused = row.state is OrderState.REJECTED or (row.state is OrderState.OPEN and row.reason)
        if refused and not _is_post_only(row.reason):
            self._rejects_ns.append(now_ns)
        if row.state in DONE_STATES:
            self.open_ids.discard(row.client_id)
        else:
            if row.state is OrderState.PENDING:
                self._orders_ns.append(now_ns)
            self.open_ids.add(row.client_id)

    def rejects_per_min(self, now_ns: int) -> int:
        return _recent(self._rejects_ns, now_ns)

    def orders_per_min(self, now_ns: int) -> int:
        return _recent(self._orders_ns, now_ns)

    def forget_orders(self) -> None:
        """A new life of the gateway counts its open orders anew."""
        self.open_ids.clear()

    def keep_hole(self, row: Fill | PositionAdjust) -> None:
        if len(self.holes) < HOLE_MAX:
            self.holes[row.fill_no] = row

    def drain(self) -> Iterable[Fill | PositionAdjust]:
        """Yield what has become next in line. The caller raises `applied_no` for each."""
        while self.applied_no + 1 in self.holes:
            yield self.holes.pop(self.applied_no + 1)


def _recent(stamps: deque[int], now_ns: int) -> int:
    while stamps and stamps[0] <= now_ns - 60 * NS_PER_S:
        stamps.popleft()
    return len(stamps)


def _is_post_only(reason: str) -> bool:
    """A maker's order that would have taken is refused every day; it says nothing about the venue."""
    text = reason.lower()
    return "post" in text or "maker" in text or "taker" in text
