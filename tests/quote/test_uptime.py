"""Two-sided time."""

from __future__ import annotations

import pytest

from actors.quote.uptime import TwoSided


def test_two_sided_share_counts_from_the_first_time() -> None:
    uptime = TwoSided()
    assert uptime.share(5) == 0.0
    uptime.set(live=False, now_ns=5)
    uptime.set(live=True, now_ns=10)
    assert uptime.share(10) == 1.0
    uptime.set(live=True, now_ns=15)
    uptime.set(live=False, now_ns=20)
    assert uptime.share(30) == 0.5
    uptime.set(live=True, now_ns=30)
    assert uptime.share(40) == pytest.approx(2 / 3)
    assert uptime.live_ns(40) == 20
