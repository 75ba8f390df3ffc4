"""Fifty snapshots at once stay within the venue's minute."""

from __future__ import annotations

import pytest

from actors.feed.pace import WEIGHT_PER_MIN, WeightBudget, weight_per_min
from actors.vocab.errors import ConfigError
from actors.vocab.units import NS_PER_S


@pytest.mark.parametrize(("venue", "weight"), [("binance_perp", 20), ("binance_spot", 50)])
def test_start_of_fifty_symbols_does_not_wait(venue: str, weight: int) -> None:
    budget = WeightBudget(weight_per_min(venue))
    waits = [budget.take(weight, 0) for _ in range(50)] + [budget.take(2, 0) for _ in range(50)]
    assert max(waits) == 0


@pytest.mark.parametrize("shards_count", [1, 3])
def test_no_minute_sees_more_than_four_fifths_of_the_limit(shards_count: int) -> None:
    limit = WEIGHT_PER_MIN["binance_perp"]
    shards = [WeightBudget(limit, shards_count=shards_count) for _ in range(shards_count)]
    sent: list[tuple[int, int]] = []
    for budget in shards:
        sent += [(budget.take(20, 0), 20) for _ in range(200)]
    for start_s in range(0, 300, 5):
        inside = sum(weight for at, weight in sent if start_s * NS_PER_S <= at < (start_s + 60) * NS_PER_S)
        assert inside <= 0.8 * limit + 20 * shards_count


def test_wait_is_over_when_it_was_said_to_be() -> None:
    budget = WeightBudget(2_400)
    while not (wait_ns := budget.take(100, 0)):
        pass
    assert budget.take(1, 10 * 60 * NS_PER_S + wait_ns) == 0


def test_unknown_venue() -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        weight_per_min("nowhere")
