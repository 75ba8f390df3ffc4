"""The micro-price: the toy chain, symmetry, a market whose next move is known, and the table looked up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.quote.estimators.microprice import FairTable
from actors.quote.estimators.microprice_fit import Tops, adjustments, fit

STAY = np.array([[0.70, 0.15, 0.03], [0.12, 0.66, 0.12], [0.03, 0.15, 0.70]])
REWARD = np.array([[0.10, 0.02], [0.05, 0.05], [0.02, 0.10]]) @ np.array([-0.5, 0.5])
GO = np.array([[0.02, 0.04, 0.06], [0.04, 0.02, 0.04], [0.06, 0.04, 0.02]])


@pytest.mark.parametrize(("terms", "edge"), [(1, 0.1212121212), (6, 0.1081077652), (200, 0.1081081081)])
def test_the_toy_chain(terms: int, edge: float) -> None:
    found = adjustments(STAY, REWARD, GO, terms=terms)

    assert found == pytest.approx([-edge, 0.0, edge], abs=2e-9)


def tops(rows: list[tuple[float, float, float, float]]) -> Tops:
    return Tops(*(np.array(column, dtype=float) for column in zip(*rows, strict=True)))


def leaning(count: int) -> Tops:
    """The mid moves a tick toward the thinner side at every third row, and nothing else ever happens."""
    rng, mid, heavy_bid, rows = np.random.default_rng(1), 1_000, True, []
    for step in range(count):
        if step % 3 == 0:
            heavy_bid = bool(rng.random() < 0.5)
        bid_lots, ask_lots = (9.0, 1.0) if heavy_bid else (1.0, 9.0)
        rows.append((mid - 1.0, bid_lots, mid + 0.0, ask_lots))
        if step % 3 == 2:
            mid += 1 if heavy_bid else -1
    return tops(rows)


def test_a_market_that_always_follows_its_imbalance() -> None:
    """From a heavy bid the next move is +1; what comes after it is a coin's toss, so the rest adds nothing."""
    found = fit(leaning(6_000), buckets_count=2, spreads_count=1)

    assert found.ticks[0] == pytest.approx([-1.0, 1.0], abs=0.05)
    assert found.counts.sum() == 6_000


def test_the_table_is_antisymmetric_whatever_was_recorded() -> None:
    rng = np.random.default_rng(2)
    bid = 1_000 + rng.integers(-3, 4, 2_000)
    found = fit(
        Tops(
            bid * 1.0, rng.integers(0, 9, 2_000) * 1.0, bid + rng.integers(1, 4, 2_000), rng.integers(0, 9, 2_000) * 1.0
        ),
        buckets_count=6,
        spreads_count=3,
    )

    assert found.ticks == pytest.approx(-found.ticks[:, ::-1], abs=1e-9)
    assert np.isfinite(found.ticks).all()


def test_states_never_seen_and_states_that_never_move_stay_at_the_mid() -> None:
    still = fit(tops([(100, 9, 101, 1)] * 50))

    assert (still.ticks == 0.0).all()


@pytest.mark.parametrize(
    "rows",
    [
        [(100, 1, 101, 1)],
        [(100, 0, 101, 0)] * 5,
        [(101, 1, 100, 1)] * 5,
        [(float("nan"), 1, 101, 1), (100, float("nan"), 101, 1), (100, 1, 101, 1)],
    ],
)
def test_a_recording_without_two_good_tops_is_refused(rows: list[tuple[float, float, float, float]]) -> None:
    with pytest.raises(ValueError, match="fewer than two"):
        fit(tops(rows))


WILD = FairTable([[-1e9, 1e9], [1e300, -1e300]])
TABLE = FairTable([[-0.4, 0.0, 0.4], [-0.9, 0.0, 5.0]])


@pytest.mark.parametrize(
    ("top", "expected"),
    [
        ((100, 1, 101, 9), 100.1),
        ((100, 5, 101, 5), 100.5),
        ((100, 9, 101, 1), 100.9),
        ((100, 9, 101, 0), 100.9),
        ((100, 0, 101, 9), 100.1),
        ((100, 1, 102, 9), 100.1),
        ((100, 1, 150, 9), 124.1),  # wider than any row: the last one
        ((100, 9, 102, 1), 102),  # half the spread, wider than 5 bps here
        ((100_000, 9, 100_002, 1), 100_006),  # outside the spread
        ((100, 0, 101, 0), 100.5),
        ((101, 5, 100, 5), 100.5),  # crossed: the mid
    ],
)
def test_the_table_is_looked_up(top: tuple[int, int, int, int], expected: float) -> None:
    assert TABLE.fair_ticks(*top) == pytest.approx(expected)


@given(st.integers(1, 10**6), st.integers(1, 10), st.integers(0, 10**6), st.integers(0, 10**6))
def test_fair_price_stays_near_the_mid(bid: int, spread: int, bid_lots: int, ask_lots: int) -> None:
    mid = bid + spread / 2
    fair = WILD.fair_ticks(bid, bid_lots, bid + spread, ask_lots)

    assert abs(fair - mid) <= max(spread / 2, 5e-4 * mid) + 1e-6
