"""Life of one order as a table: (state, event) -> state. The picture in the docs is drawn from it.

`LIVE` in the table means OPEN while nothing is filled and PARTLY_FILLED after that. Quantities are the order's
(`ordertable.py`), the table knows only states. Rows that have cost others money, each a line below:

- ack after fill: an order that is partly or wholly filled is not opened again by a late ack;
- fill after cancel: the fill is booked, the order stays cancelled;
- fill while the outcome is unknown: proves life, but not what became of the request: the query still decides;
- ack after the query said "no such order": the order lives after all, so it is live again (and then cancelled);
- cancel of an order the venue does not know: usually done already, so ask which end it had.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from actors.vocab.errors import OurFault
from actors.vocab.orders import DONE_STATES, OPEN_STATES, OrderState

__all__ = ["DONE_STATES", "OPEN_STATES", "TABLE", "LifeEvent", "mermaid", "transition"]


class LifeEvent(enum.StrEnum):
    """What can happen to an order. SENT events are ours; all others come from the venue or from its silence."""

    REPLACE_SENT = "replace sent"
    CANCEL_SENT = "cancel sent"
    PLACE_ACK = "place acked"
    PLACE_REJECTED = "place rejected"
    REPLACE_ACK = "replace acked"
    REPLACE_REJECTED = "replace rejected"
    CANCEL_ACK = "cancel acked"
    CANCEL_REJECTED = "cancel rejected"  # not executed: throttled, clock
    NO_SUCH_ORDER = "order unknown to venue"  # answer to a cancel or replace: ask which end it had
    LOST = "no answer"  # time-out, 5xx, connection gone: may or may not have happened
    FILL = "fill, some left"
    FILL_LAST = "fill, nothing left"
    SEEN_LIVE = "venue says live"  # private stream or query
    SEEN_FILLED = "venue says filled"
    SEEN_CANCELLED = "venue says cancelled"
    SEEN_EXPIRED = "venue says expired"
    SEEN_REJECTED = "venue says rejected"
    NOT_THERE = "query: does not exist"  # trusted: asked after the venue itself would refuse the request


S = OrderState
E = LifeEvent
# Stands for OPEN or PARTLY_FILLED, whichever the filled lots say.
LIVE = OrderState.OPEN

_FROM_VENUE_ENDS = {
    E.FILL_LAST: S.FILLED,
    E.SEEN_FILLED: S.FILLED,
    E.SEEN_CANCELLED: S.CANCELLED,
    E.SEEN_EXPIRED: S.EXPIRED,
    E.SEEN_REJECTED: S.REJECTED,
    E.CANCEL_ACK: S.CANCELLED,
}
_LIVE_ROWS = {
    **_FROM_VENUE_ENDS,
    E.REPLACE_SENT: S.REPLACING,
    E.CANCEL_SENT: S.CANCELLING,
    E.PLACE_ACK: LIVE,  # ack after a partial fill, or after the stream was faster
    E.PLACE_REJECTED: S.UNKNOWN,  # the stream showed it alive, the answer denies it: ask
    E.REPLACE_ACK: LIVE,  # the stream was faster
    E.REPLACE_REJECTED: LIVE,
    E.CANCEL_REJECTED: LIVE,
    E.NO_SUCH_ORDER: S.UNKNOWN,
    E.LOST: S.UNKNOWN,  # of a request that the stream has already answered in part: ask all the same
    E.FILL: S.PARTLY_FILLED,
    E.SEEN_LIVE: LIVE,
    E.NOT_THERE: S.UNKNOWN,  # a query older than the news that it lives: ask again
}


def _done_rows(state: OrderState) -> dict[LifeEvent, OrderState]:
    """An end is final: what arrives late changes quantities, never the state."""
    return {event: state for event in E if event not in (E.REPLACE_SENT, E.CANCEL_SENT)}


_ROWS: dict[OrderState, dict[LifeEvent, OrderState]] = {
    S.PENDING: {
        **_FROM_VENUE_ENDS,
        E.CANCEL_SENT: S.CANCELLING,
        E.PLACE_ACK: LIVE,
        E.PLACE_REJECTED: S.REJECTED,
        E.LOST: S.UNKNOWN,
        E.FILL: S.PARTLY_FILLED,
        E.SEEN_LIVE: LIVE,
        E.NOT_THERE: S.REJECTED,
    },
    S.OPEN: _LIVE_ROWS,
    S.PARTLY_FILLED: _LIVE_ROWS,
    S.REPLACING: {
        **_FROM_VENUE_ENDS,
        E.CANCEL_SENT: S.CANCELLING,
        E.PLACE_ACK: S.REPLACING,
        E.PLACE_REJECTED: S.UNKNOWN,
        E.REPLACE_ACK: LIVE,
        E.REPLACE_REJECTED: LIVE,
        E.CANCEL_REJECTED: S.REPLACING,
        E.NO_SUCH_ORDER: S.UNKNOWN,
        E.LOST: S.UNKNOWN,
        E.FILL: S.REPLACING,
        E.SEEN_LIVE: S.REPLACING,
        E.NOT_THERE: S.UNKNOWN,
    },
    S.CANCELLING: {
        **_FROM_VENUE_ENDS,
        E.CANCEL_SENT: S.CANCELLING,  # a cancel is repeated until the end is known
        E.PLACE_ACK: S.CANCELLING,
        E.PLACE_REJECTED: S.REJECTED,
        E.REPLACE_ACK: S.CANCELLING,
        E.REPLACE_REJECTED: S.CANCELLING,
        E.CANCEL_REJECTED: LIVE,
        E.NO_SUCH_ORDER: S.UNKNOWN,
        E.LOST: S.UNKNOWN,
        E.FILL: S.CANCELLING,
        E.SEEN_LIVE: S.CANCELLING,
        E.NOT_THERE: S.REJECTED,
    },
    S.UNKNOWN: {
        **_FROM_VENUE_ENDS,
        E.CANCEL_SENT: S.CANCELLING,
        E.PLACE_ACK: LIVE,
        E.PLACE_REJECTED: S.REJECTED,
        E.REPLACE_ACK: LIVE,
        E.REPLACE_REJECTED: LIVE,
        E.CANCEL_REJECTED: S.UNKNOWN,
        E.NO_SUCH_ORDER: S.UNKNOWN,
        E.LOST: S.UNKNOWN,
        E.FILL: S.UNKNOWN,
        E.SEEN_LIVE: LIVE,
        E.NOT_THERE: S.REJECTED,
    },
    S.FILLED: _done_rows(S.FILLED),
    S.CANCELLED: {**_done_rows(S.CANCELLED), E.FILL_LAST: S.FILLED, E.SEEN_FILLED: S.FILLED},
    S.EXPIRED: {**_done_rows(S.EXPIRED), E.FILL_LAST: S.FILLED, E.SEEN_FILLED: S.FILLED},
    S.REJECTED: {
        **_done_rows(S.REJECTED),
        # It lives after all: a query's "no" was wrong, or the venue changed its mind.
        E.PLACE_ACK: LIVE,
        E.SEEN_LIVE: LIVE,
        E.FILL: S.PARTLY_FILLED,
        E.FILL_LAST: S.FILLED,
        E.SEEN_FILLED: S.FILLED,
        E.SEEN_CANCELLED: S.CANCELLED,
        E.SEEN_EXPIRED: S.EXPIRED,
        E.CANCEL_ACK: S.CANCELLED,
    },
}

# (state, event) -> state. A pair that is not here cannot happen unless we broke our own rules.
TABLE: Mapping[tuple[OrderState, LifeEvent], OrderState] = MappingProxyType(
    {(state, event): after for state, rows in _ROWS.items() for event, after in rows.items()}
)


# (now_ns, event, state after it), oldest first
History = Sequence[tuple[int, LifeEvent, OrderState]]


def transition(
    state: OrderState, event: LifeEvent, *, filled: bool, name: str = "", history: History = ()
) -> OrderState:
    """Return the state after `event`; `filled` says whether any lot has been filled.

    `OurFault` with the order's name and whole history when the table has no such row.
    """
    after = TABLE.get((state, event))
    if after is None:
        told = ", ".join(f"{what.value} -> {then.name} at {at_ns}" for at_ns, what, then in history) or "nothing yet"
        raise OurFault(f"order {name}: no row for {event.value!r} in state {state.name}; history: {told}")
    if after is OrderState.OPEN and filled:
        return OrderState.PARTLY_FILLED
    return after


def mermaid() -> str:
    """Draw the table as a mermaid state diagram; loops are left out, edges of the same two states are joined."""
    edges: dict[tuple[str, str], list[str]] = {}
    for (state, event), after in TABLE.items():
        if state is not after and not (state in _LIVE_PAIR and after in _LIVE_PAIR and after is LIVE):
            edges.setdefault((state.name, after.name), []).append(event.value)
    lines = ["stateDiagram-v2", "    [*] --> PENDING: place sent"]
    lines += [f"    {start} --> {end}: {' / '.join(events)}" for (start, end), events in edges.items()]
    lines += [f"    {state.name} --> [*]" for state in OrderState if state in DONE_STATES]
    return "\n".join(lines) + "\n"


_LIVE_PAIR = (OrderState.OPEN, OrderState.PARTLY_FILLED)
