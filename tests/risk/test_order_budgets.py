"""Orders a minute go where they are needed, and the account's limit holds in every minute."""

from __future__ import annotations

from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.quote.budget import OrderBudget
from actors.risk.order_budgets import OrderBudgets
from actors.vocab.units import NS_PER_MS, NS_PER_S

TTL_NS = 2 * NS_PER_S
T0 = 1_000 * NS_PER_S


def shares(*symbols: str, account_max: int = 100) -> OrderBudgets:
    made = OrderBudgets(account_max=account_max, ttl_ns=TTL_NS)
    for symbol in symbols:
        made.join(symbol)
    return made


def renew(budgets: OrderBudgets, symbol: str, at_s: float, *, needed: int = 0, short: bool = False) -> int:
    return budgets.renew(symbol, needed=needed, short=short, held=0, now_ns=T0 + int(at_s * NS_PER_S))


def test_everybody_starts_with_nine_tenths_of_an_equal_share() -> None:
    budgets = shares("A", "B", "C", "D")
    assert [renew(budgets, symbol, 0) for symbol in "ABCD"] == [22, 22, 22, 22]


def test_who_runs_short_gets_more_at_once_up_to_what_is_left() -> None:
    budgets = shares("A", "B", "C", "D")
    for symbol in "ABCD":
        renew(budgets, symbol, 0)
    found = [renew(budgets, "A", step + 1, short=True) for step in range(3)]
    assert found == [33, 34, 34]  # 100 less what the others hold
    assert [renew(budgets, symbol, 9) for symbol in "BCD"] == [22, 22, 22]


def test_who_asks_last_still_finds_its_start() -> None:
    budgets = shares("A", "B", "C", "D")
    for step in range(8):
        renew(budgets, "A", step, short=True)
    assert renew(budgets, "A", 9, short=True) == 34
    assert [renew(budgets, symbol, 10) for symbol in "BCD"] == [22, 22, 22]


def test_a_minute_that_needs_little_gives_the_rest_up_but_for_half_a_share() -> None:
    budgets = shares("A", "B")
    assert renew(budgets, "A", 0) == 45
    assert renew(budgets, "A", 59, needed=2) == 45  # a minute is not over
    assert renew(budgets, "A", 60, needed=20) == 30  # half as much again as it needed
    assert renew(budgets, "A", 121, needed=2) == 25


def test_what_is_given_up_is_the_others_only_when_no_minute_can_hold_both() -> None:
    budgets = shares("A", "B")
    for symbol in "AB":
        renew(budgets, symbol, 0)
    for step in range(1, 6):
        renew(budgets, "A", step, short=True)
    assert renew(budgets, "A", 7, needed=50) == 55  # 100 less B's 45
    assert renew(budgets, "A", 70, needed=2) == 25
    assert renew(budgets, "B", 80, short=True, needed=40) == 45
    assert renew(budgets, "B", 131, short=True) == 45
    assert renew(budgets, "B", 133, short=True) == 68  # a minute and a lease after second 70


def test_wishes_beyond_the_limit_are_filled_to_one_level() -> None:
    budgets = shares("A", "B", "C", "D")
    for step in range(0, 200, 2):
        granted = {symbol: renew(budgets, symbol, step, short=symbol in "ABC", needed=2) for symbol in "ABCD"}
    assert granted["D"] == 12
    assert all(abs(granted[symbol] - 29) <= 1 for symbol in "ABC")
    assert sum(granted.values()) <= 100


def test_a_new_term_counts_the_rates_that_holders_have() -> None:
    budgets = shares("A", "B")
    assert budgets.renew("A", needed=0, short=False, held=80, now_ns=T0) == 45
    assert budgets.renew("B", needed=0, short=False, held=20, now_ns=T0) == 20
    assert budgets.renew("B", needed=20, short=True, held=20, now_ns=T0 + NS_PER_S) == 20
    later_ns = T0 + 63 * NS_PER_S
    assert budgets.renew("B", needed=20, short=True, held=20, now_ns=later_ns) == 30  # half as much again as it had


ASKS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(100, 9_000), st.booleans(), st.booleans(), st.integers(0, 60)),
    min_size=20,
    max_size=200,
)


@settings(max_examples=60)
@given(asks=ASKS)
def test_no_minute_holds_more_than_the_account_allows(asks: list[tuple[int, int, bool, bool, int]]) -> None:
    """Four holders with buckets of their own that send all they may, some deaf to answers for up to a lease."""
    budgets = shares(*"ABCD", account_max=60)
    buckets = {symbol: OrderBudget() for symbol in "ABCD"}
    heard_ns = dict.fromkeys("ABCD", T0)
    now_ns = T0
    sent: deque[int] = deque()
    for number, wait_ms, short, deaf, needed in asks:
        symbol = "ABCD"[number]
        end_ns = now_ns + wait_ms * NS_PER_MS
        while now_ns < end_ns:
            now_ns = min(end_ns, now_ns + 200 * NS_PER_MS)
            for name, bucket in buckets.items():
                if now_ns - heard_ns[name] >= TTL_NS:
                    continue  # its lease has run out
                bucket.refill(now_ns)
                while bucket.left >= 1:
                    bucket.take()
                    sent.append(now_ns)
            while sent and sent[0] <= now_ns - 60 * NS_PER_S:
                sent.popleft()
            assert len(sent) <= 60
        rate = budgets.renew(symbol, needed=needed, short=short, held=buckets[symbol].orders_per_min, now_ns=now_ns)
        assert budgets.reserved(now_ns) <= 60
        if not deaf:
            heard_ns[symbol] = now_ns
            buckets[symbol].set_rate(rate, now_ns)
