"""Open above a fifth of errors, one probe after a while."""

from __future__ import annotations

from actors.treasury.breaker import Breaker
from actors.vocab.units import NS_PER_S


def breaker() -> Breaker:
    return Breaker(error_share=0.2, window_s=30, open_s=30)


def test_a_fifth_of_errors_is_still_closed_and_more_opens() -> None:
    one = breaker()
    for good in (True, True, True, True, False):
        one.ended(good=good, now_ns=0)
    assert one.allows(0)
    one.ended(good=False, now_ns=0)
    assert not one.allows(0)
    assert one.opens_count == 1


def test_errors_older_than_the_window_are_forgotten() -> None:
    one = breaker()
    for _ in range(4):
        one.ended(good=False, now_ns=0)
    for _ in range(5):
        one.ended(good=True, now_ns=31 * NS_PER_S)
    assert one.allows(31 * NS_PER_S)


def test_one_probe_decides_and_an_unused_one_does_not() -> None:
    one = breaker()
    for _ in range(5):
        one.ended(good=False, now_ns=0)
    half_open_ns = 30 * NS_PER_S
    assert not one.allows(half_open_ns - 1)
    assert one.allows(half_open_ns)
    one.started()
    assert not one.allows(half_open_ns)
    one.unused()
    assert one.allows(half_open_ns)
    one.started()
    one.ended(good=True, now_ns=half_open_ns)
    assert one.allows(half_open_ns)
