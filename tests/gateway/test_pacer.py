"""Budgets hold in every window, the newest intent wins, cancels never starve."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.gateway.limits import PERP, SPOT, VenueLimits, Window, cost_of, countdown_plan
from actors.gateway.pacer import Budget, Intent, Pacer, RateWindow, Urgency
from actors.vocab.units import NS_PER_MS, NS_PER_S
from actors.vocab.venue_io import RateUsage, VenueCancel, VenueOpenOrdersQuery, VenuePlace

PLACE, CANCEL = SPOT.costs[VenuePlace], SPOT.costs[VenueCancel]


def budget(limits: object = SPOT, reserve: float = 0.1) -> Budget:
    assert limits in (SPOT, PERP)
    table = SPOT if limits is SPOT else PERP
    return Budget(
        table.windows,
        budget_share=0.9,
        cancel_reserve_share=reserve,
        cancels_cost=frozenset(name for name, _cost in table.costs[VenueCancel]),
        places_share=0.2,
    )


def intent(slot: int, value: float = 1.0, now_ns: int = 0, body: str = "") -> Intent[str]:
    return Intent(("h", "S", slot), body or f"{slot}", value, now_ns, PLACE)


def always(_intent: object) -> bool:
    return True


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 900), st.sampled_from(list(Urgency))), min_size=1, max_size=200))
def test_no_window_ever_holds_more_than_the_limit(steps: list[tuple[int, Urgency]]) -> None:
    """Sliding counts bound every window, however the venue cuts its own."""
    window = RateWindow(limit=20, span_ms=1_000, budget_share=0.9, reserve_share=0.2)
    now_ns, written = 0, []
    for wait_ms, urgency in steps:
        now_ns += wait_ms // 10 * NS_PER_MS
        window.forget(now_ns)
        if window.free(urgency) >= 1:
            window.take(1, now_ns)
            written.append((now_ns, urgency))
    for end_ns, urgency in written:
        span = [at_ns for at_ns, _ in written if end_ns - 1_000 * NS_PER_MS < at_ns <= end_ns]
        assert len(span) <= 20
        if urgency is Urgency.NORMAL:
            before = [at_ns for at_ns in span if at_ns <= end_ns]
            assert len(before) <= 20


def test_a_days_window_is_kept_in_parts_that_expire_no_earlier_than_their_requests() -> None:
    window = RateWindow(limit=160_000, span_ms=86_400_000, budget_share=0.9, reserve_share=0.0)
    for second in range(200):
        window.take(10, second * 1_000 * NS_PER_MS)
    assert (window.used, len(window._log)) == (2_000, 3)  # parts of 86.4 s
    window.forget(86_400_000 * NS_PER_MS)
    assert window.used == 2_000  # the oldest part ended at second 86
    window.forget((86_400_000 + 87_000) * NS_PER_MS)
    assert window.used == 2_000 - 870


@given(st.integers(0, 40), st.integers(1, 5))
def test_ready_time_is_the_first_at_which_it_fits(used: int, cost: int) -> None:
    window = RateWindow(limit=20, span_ms=1_000, budget_share=1.0, reserve_share=0.0)
    for at_ms in range(min(used, 20)):
        window.take(1, at_ms * NS_PER_MS)
    now_ns = 50 * NS_PER_MS
    ready_ns = window.ready_ns(cost, Urgency.NORMAL, now_ns)
    if ready_ns > now_ns:
        window.forget(ready_ns - 1)
        assert window.free(Urgency.NORMAL) < cost
    window.forget(ready_ns)
    assert window.free(Urgency.NORMAL) >= cost


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(0, 100)), min_size=1, max_size=60))
def test_newest_intent_of_a_slot_wins_and_the_older_is_told(offers: list[tuple[int, float]]) -> None:
    pacer: Pacer[str] = Pacer(budget(), intents_max=100, change_wait_ns=500)
    told = []
    for number, (slot, value) in enumerate(offers):
        superseded, refused = pacer.offer(intent(slot, value, body=str(number)))
        assert refused is None
        if superseded is not None:
            told.append(superseded.body)
    written = []
    while (one := pacer.next(0, always)) is not None:
        written.append(one.body)
    newest = {slot: str(number) for number, (slot, _value) in enumerate(offers)}
    assert sorted(written) == sorted(newest.values())
    assert sorted(told + written) == sorted(str(number) for number in range(len(offers)))


def test_dearest_goes_first() -> None:
    pacer: Pacer[str] = Pacer(budget(), intents_max=10, change_wait_ns=500)
    for slot, value in enumerate((1.0, 3.0, 2.0)):
        pacer.offer(intent(slot, value))
    order = []
    while (one := pacer.next(0, always)) is not None:
        order.append(one.body)
    assert order == ["1", "2", "0"]


def test_full_pacer_refuses_the_least_valuable() -> None:
    pacer: Pacer[str] = Pacer(budget(), intents_max=2, change_wait_ns=500)
    pacer.offer(intent(0, 1.0))
    pacer.offer(intent(1, 5.0))
    assert pacer.offer(intent(2, 3.0))[1] == intent(0, 1.0)
    assert pacer.offer(intent(3, 2.0))[1] == intent(3, 2.0)
    assert len(pacer) == 2


def test_what_is_not_ready_waits_and_keeps_nothing_else_waiting() -> None:
    pacer: Pacer[str] = Pacer(budget(), intents_max=10, change_wait_ns=500)
    pacer.offer(intent(0, 9.0))
    pacer.offer(intent(1, 1.0))
    found = pacer.next(0, lambda one: one.slot[2] == 1)
    assert found is not None
    assert found.body == "1"
    assert pacer.wake_ns(0, lambda one: False) is None


@given(st.integers(0, 3_000))
def test_orders_never_eat_the_cancels_reserve(orders: int) -> None:
    pace = budget(PERP)
    costs = ((Window.WEIGHT_1M, 10),)  # upkeep that costs weight, as cancels do
    for _ in range(orders):
        if pace.fits(costs, Urgency.NORMAL, 0):
            pace.take(costs, 0)
    cancels = 0
    while pace.fits(PERP.costs[VenueCancel], Urgency.CANCEL, 0):
        pace.take(PERP.costs[VenueCancel], 0)
        cancels += 1
    assert cancels >= 2_400 * 0.9 * 0.1 - 1
    assert pace.fits(PERP.costs[VenueCancel], Urgency.KILL, 0), "a kill has the rest of the venue's limit"


def test_cancels_cost_no_order_count() -> None:
    for limits in (PERP, SPOT):
        assert {name for name, _cost in limits.costs[VenueCancel]} == {Window.WEIGHT_1M}


def test_order_windows_keep_no_reserve_where_cancels_cost_nothing() -> None:
    assert budget(PERP).windows[Window.ORDERS_10S].caps == (216, 270, 270, 300)
    assert budget(PERP).windows[Window.WEIGHT_1M].caps == (1_944, 1_944, 2_160, 2_400)


def test_what_the_venue_counts_besides_ours_is_followed_up_and_down_never_below_ours() -> None:
    pace = budget(PERP)
    window = pace.windows[Window.ORDERS_10S]
    pace.correct(RateUsage(orders_10s=100, orders_1m=5), 0, 0)
    assert window.used == 100
    window.take(30, 1)
    assert window.used == 130
    pace.correct(RateUsage(orders_10s=40), 2, 2)  # its interval began anew, and 10 are others'
    assert window.used == 40
    pace.correct(RateUsage(orders_10s=3), 3, 3)
    assert window.used == 30


@pytest.mark.parametrize("told_s", [42, 47, 49.9, 50.3])
@pytest.mark.parametrize("ahead_s", [0, 13])
def test_what_the_venue_counted_ends_with_its_interval(told_s: float, ahead_s: int) -> None:
    """The last of them was told by a venue whose clock is behind ours. Intervals turn with unix time, not our clock."""
    pace = budget(PERP)
    window = pace.windows[Window.ORDERS_10S]
    told_ns = int((told_s - ahead_s) * NS_PER_S)
    pace.correct(RateUsage(orders_10s=400), told_ns, told_ns + ahead_s * NS_PER_S)
    ends_ns = (51 - ahead_s) * NS_PER_S  # a second of slack for the clocks
    assert window.ready_ns(1, Urgency.NORMAL, told_ns) == ends_ns
    window.forget(ends_ns - 1)
    assert window.used == 400
    window.forget(ends_ns)
    assert window.used == 0


def test_closed_until_the_venue_says() -> None:
    pace = budget()
    pace.close_until(5)
    assert not pace.fits(CANCEL, Urgency.KILL, 4)
    assert pace.fits(CANCEL, Urgency.NORMAL, 5)
    assert pace.ready_ns(CANCEL, Urgency.NORMAL, 0) == 5


@pytest.mark.parametrize("limits", [SPOT, PERP])
def test_full_order_counts_close_for_orders_and_leave_cancels_alone(limits: VenueLimits) -> None:
    pace = budget(limits)
    place, cancel = limits.costs[VenuePlace], limits.costs[VenueCancel]
    pace.close_orders_until(5)
    assert not pace.fits(place, Urgency.KILL, 4)
    assert pace.ready_ns(place, Urgency.NORMAL, 0) == 5
    assert pace.fits(place, Urgency.NORMAL, 5)
    assert pace.fits(cancel, Urgency.CANCEL, 4)
    assert pace.ready_ns(cancel, Urgency.CANCEL, 0) == 0


def test_open_orders_of_all_symbols_cost_more() -> None:
    assert cost_of(PERP, VenueOpenOrdersQuery(1)) == ((Window.WEIGHT_1M, 40),)
    assert cost_of(PERP, VenueOpenOrdersQuery(1, "BTCUSDT")) == ((Window.WEIGHT_1M, 1),)


def test_countdown_is_stretched_by_its_weight() -> None:
    """Weight 10 a symbol: 50 symbols at a quarter of 2 400 a minute."""
    assert countdown_plan(symbols_count=1, countdown_ms=10_000) == (3_333, 10_000)
    assert countdown_plan(symbols_count=50, countdown_ms=10_000) == (50_000, 150_000)


def test_our_own_limit_below_the_venues_holds_for_all_but_a_kill() -> None:
    window = RateWindow(limit=1_200, span_ms=60_000, budget_share=0.9, reserve_share=0.0)
    window.keep_to(500)
    window.take(500, 0)
    assert [window.free(urgency) for urgency in (Urgency.NORMAL, Urgency.CANCEL, Urgency.KILL)] == [0, 0, 700]


def change(slot: int, value: float = 1.0, now_ns: int = 0) -> Intent[str]:
    return Intent(("h", "S", slot), f"{slot}", value, now_ns, PERP.costs[VenuePlace], Urgency.CHANGE)


def place(slot: int, value: float = 1.0, now_ns: int = 0) -> Intent[str]:
    return Intent(("h", "S", slot), f"{slot}", value, now_ns, PERP.costs[VenuePlace])


def test_missing_orders_go_before_dearer_changes() -> None:
    pacer: Pacer[str] = Pacer(budget(PERP), intents_max=10, change_wait_ns=500)
    for one in (change(0, 9.0), place(1, 1.0), change(2, 10.0), place(3, 2.0)):
        pacer.offer(one)
    order = []
    while (one := pacer.next(0, always)) is not None:  # type: ignore[assignment]
        order.append(one.body)
    assert order == ["3", "1", "2", "0"]


def test_changes_leave_a_part_of_the_order_counts_to_missing_orders() -> None:
    pace = budget(PERP)
    pacer: Pacer[str] = Pacer(pace, intents_max=1_000, change_wait_ns=500)
    for slot in range(300):
        pacer.offer(change(slot))
    written = 0
    while (one := pacer.next(0, always)) is not None:
        pace.take(one.costs, 0)
        written += 1
    assert written == 216  # four fifths of the 270 that may go in ten seconds
    pacer.offer(place(300))
    found = pacer.next(0, always)
    assert found is not None
    assert found.slot[2] == 300


def test_twice_as_many_orders_are_kept_for_missing_sides_in_a_minute_as_in_ten_seconds() -> None:
    windows = budget(PERP).windows
    assert windows[Window.ORDERS_10S].caps[Urgency.CHANGE] == 216  # of 270
    assert windows[Window.ORDERS_1M].caps[Urgency.CHANGE] == 972  # of 1 080


def test_own_lower_limit_keeps_a_share_for_missing_sides() -> None:
    window = budget(PERP).windows[Window.ORDERS_1M]
    window.keep_to(100)
    assert window.caps[Urgency.CHANGE] == 80


def test_change_that_waits_too_long_is_handed_back_and_a_missing_order_is_not() -> None:
    pace = budget(PERP)
    pacer: Pacer[str] = Pacer(pace, intents_max=10, change_wait_ns=500)
    pace.windows[Window.ORDERS_10S].take(270, 0)
    pacer.offer(change(0, now_ns=100))
    pacer.offer(place(1, now_ns=100))
    assert pacer.next(100, always) is None
    assert pacer.wake_ns(100, always) == 600
    assert pacer.overdue(599, always) == []
    assert pacer.overdue(600, lambda _intent: False) == [], "it waits for an answer, not for the limits"
    assert [one.slot[2] for one in pacer.overdue(600, always)] == [0]
    assert pacer.wake_ns(600, always) == 10_000 * NS_PER_MS
