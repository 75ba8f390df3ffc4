"""The transition table: complete where it must be, final where it is final, and its picture."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.gateway.lifecycle import DONE_STATES, OPEN_STATES, TABLE, LifeEvent, mermaid, transition
from actors.gateway.ordertable import OrderTable, TrackedOrder
from actors.vocab.errors import OurFault
from actors.vocab.market import Side
from actors.vocab.orders import OrderState as S

OURS = {LifeEvent.REPLACE_SENT, LifeEvent.CANCEL_SENT}
# Answers to requests that an order in this state can't have out.
IMPOSSIBLE = {
    (S.PENDING, LifeEvent.REPLACE_SENT),
    (S.PENDING, LifeEvent.REPLACE_ACK),
    (S.PENDING, LifeEvent.REPLACE_REJECTED),
    (S.PENDING, LifeEvent.CANCEL_REJECTED),
    (S.PENDING, LifeEvent.NO_SUCH_ORDER),
    (S.REPLACING, LifeEvent.REPLACE_SENT),
    (S.CANCELLING, LifeEvent.REPLACE_SENT),
    (S.UNKNOWN, LifeEvent.REPLACE_SENT),
}
ENDS = {LifeEvent.SEEN_CANCELLED, LifeEvent.SEEN_FILLED, LifeEvent.SEEN_EXPIRED, LifeEvent.SEEN_REJECTED}


def order(lots: int = 10, holder: str = "h") -> TrackedOrder:
    return TrackedOrder(
        symbol="BTCUSDT",
        client_id="mnt-1",
        holder=holder,
        ref=1,
        slot=0,
        side=Side.BUY,
        price_ticks=100,
        lots=lots,
        term=1,
        grant_no=1,
        written_ns=0,
        uncertain_until_ns=0,
    )


@pytest.mark.parametrize("state", list(S))
@pytest.mark.parametrize("event", list(LifeEvent))
def test_every_pair_is_a_row_or_known_to_be_impossible(state: S, event: LifeEvent) -> None:
    impossible = (state, event) in IMPOSSIBLE or (state in DONE_STATES and event in OURS)
    assert ((state, event) in TABLE) is not impossible


@pytest.mark.parametrize("state", sorted(OPEN_STATES))
@pytest.mark.parametrize("event", sorted(ENDS))
def test_what_the_venue_ends_is_ended(state: S, event: LifeEvent) -> None:
    assert TABLE[(state, event)] in DONE_STATES


def test_nothing_opens_what_is_filled_cancelled_or_expired() -> None:
    for (state, _event), after in TABLE.items():
        if state in (S.FILLED, S.CANCELLED, S.EXPIRED):
            assert after in DONE_STATES


def test_missing_row_names_the_order_and_its_history() -> None:
    one = order()
    one.apply(LifeEvent.PLACE_ACK, 5)
    one.apply(LifeEvent.SEEN_CANCELLED, 9)
    with pytest.raises(
        OurFault, match=r"mnt-1.*replace sent.*CANCELLED.*place acked -> OPEN at 5, venue says cancelled"
    ):
        one.apply(LifeEvent.REPLACE_SENT, 12)


def test_live_is_open_or_partly_filled_by_the_lots() -> None:
    assert transition(S.PENDING, LifeEvent.PLACE_ACK, filled=False) is S.OPEN
    assert transition(S.PENDING, LifeEvent.PLACE_ACK, filled=True) is S.PARTLY_FILLED


@given(st.lists(st.sampled_from(sorted(set(LifeEvent) - OURS)), max_size=30), st.sampled_from(sorted(ENDS)))
def test_any_order_of_venue_events_ends_when_the_venue_says_so(events: list[LifeEvent], end: LifeEvent) -> None:
    """Whatever came before, and whatever stale news comes after."""
    one = order()
    one.apply(LifeEvent.PLACE_ACK, 0)
    for event in events:
        one.apply(event, 1)
    one.apply(end, 2)
    if one.state is S.REJECTED:
        return  # only an explicit refusal may be taken back by news of life
    for event in events:
        one.apply(event, 3)
    assert one.state in DONE_STATES


@given(st.integers(1, 50), st.integers(-1, 50), st.integers(0, 60), st.integers(0, 60), st.sampled_from(list(S)))
def test_live_lots_never_understate(lots: int, pending: int, booked: int, told: int, state: S) -> None:
    one = order(lots)
    one.pending_lots, one.filled_lots, one.venue_filled_lots, one.state = pending, booked, told, state
    if state in OPEN_STATES:
        assert one.live_lots >= max(lots, pending) - booked
    assert one.live_lots >= told - booked
    assert one.live_lots >= 0


def test_table_of_orders_forgets_only_what_is_over() -> None:
    table = OrderTable()
    first = order()
    table.add(first)
    first.venue_filled_lots = 3
    first.state = S.CANCELLED
    table.touch(first)
    assert table.worst("BTCUSDT") == (3, 0)  # three lots are filled and not booked yet
    first.filled_lots = 3
    table.touch(first)
    assert table.live_count() == 0
    assert table.find("BTCUSDT", "mnt-1") is first


def test_picture_names_every_state() -> None:
    picture = mermaid()
    assert picture.startswith("stateDiagram-v2")
    assert all(state.name in picture for state in S)
    assert "OPEN --> REPLACING: replace sent" in picture
