"""Rate limits of a simulated venue: windows, strikes, bans."""

from __future__ import annotations

from actors.transport.venue_limits import BAN_S, STRIKES_MAX, MessageLimiter, WeightLimiter, Window
from actors.vocab.units import NS_PER_S

MINUTE_NS = 60 * NS_PER_S


def test_window_restarts_on_the_clock() -> None:
    window = Window("10S", 10, 2)

    assert [window.add(1, at * NS_PER_S) for at in (8, 9, 9, 10)] == [True, True, False, True]
    assert (window.used, window.left_s(12 * NS_PER_S), window.left_s(20 * NS_PER_S - 1)) == (1, 8, 1)


def test_weight_over_the_limit_is_429_until_the_minute_ends() -> None:
    limiter = WeightLimiter(weight_1m_max=10)

    assert limiter.take(10, 15 * NS_PER_S) is None
    refusal = limiter.take(1, 15 * NS_PER_S)

    assert refusal is not None
    assert (refusal.status, refusal.code, refusal.retry_after_s) == (429, -1003, 45)
    assert limiter.take(1, MINUTE_NS) is None
    assert limiter.used == 1


def test_going_on_after_429_is_a_ban_that_outlives_the_window_and_grows() -> None:
    limiter = WeightLimiter(weight_1m_max=1)

    def until_ban(start_ns: int) -> int:
        refusals = [limiter.take(1, start_ns) for _ in range(STRIKES_MAX + 2)]
        assert refusals[0] is None
        last = refusals[-1]
        assert last is not None
        assert last.status == 418
        return last.retry_after_s

    assert until_ban(0) == BAN_S
    banned = limiter.take(1, MINUTE_NS)
    assert banned is not None
    assert (banned.status, banned.retry_after_s) == (418, BAN_S - 60)
    assert until_ban(3 * MINUTE_NS) == 2 * BAN_S


def test_messages_are_counted_in_a_sliding_second() -> None:
    limiter = MessageLimiter(per_s_max=2)

    assert [limiter.take(at) for at in (0, 1, NS_PER_S, NS_PER_S + 1)] == [True, True, True, True]
    assert not limiter.take(NS_PER_S + 2)
