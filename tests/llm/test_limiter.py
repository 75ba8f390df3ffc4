"""No window ever sees more than burst + rate * window."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.llm.limiter import Limiter
from actors.vocab.units import NS_PER_MS, NS_PER_S


@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 300)), max_size=200))
def test_requests_and_tokens_stay_below_burst_plus_rate(steps: list[tuple[int, int]]) -> None:
    limiter = Limiter(requests_per_min=60, tokens_per_min=6000, concurrent_max=1000, usd_per_day=1e9, now_ns=0)
    now_ns, taken = 0, []
    for call_no, (wait_ms, tokens) in enumerate(steps):
        now_ns += wait_ms * NS_PER_MS
        if limiter.wait_s(tokens=tokens, usd=0, now_ns=now_ns) == 0:
            limiter.reserve(call_no, tokens=tokens, usd=0, now_ns=now_ns)
            limiter.settle(call_no, tokens=tokens, usd=0)
            taken.append((now_ns, tokens))
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            seconds = (taken[last][0] - taken[first][0]) / NS_PER_S
            window = taken[first : last + 1]
            assert len(window) <= 3 + 0.95 * seconds + 1e-6
            assert sum(tokens for _, tokens in window) <= 300 + 95 * seconds + 1e-3
