"""Stoikov's micro-price from a recording: where the mid goes on average from each imbalance and spread.

A state is (spread in ticks, bucket of the imbalance). With

    Q_ij   P(the mid stays, next state j)         R1K_i   E[move of the mid when it moves]
    R2_ij  P(the mid moves, next state j)

G1 = (1 - Q)⁻¹ R1K is the expected first move, B = (1 - Q)⁻¹ R2 where it leaves us, and the micro-price is mid + G*,
G* = Σ Bⁱ G1. Every observation also counts mirrored (imbalance I as 1 - I, moves with the other sign): without that,
B keeps a drift that is chance, and the sum does not converge. Source: Stoikov 2018 (SSRN 2970694) and its notebook;
the code there enumerates moves K and multiplies R1 by them, which is the mean taken here.

Outside the loop only: this file imports numpy, engines never do.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TERMS = 6
# A jump says little of the next one: larger moves count as this many ticks, so that one liquidation is not a pattern.
MOVE_TICKS_MAX = 50.0
# A cell counts half at so many observations, with the mirrored ones: rare wide spreads fit to accidents.
COUNT_HALF = 50
# States that never moved are left where they are instead of making the equations singular.
STAY_SLACK = 1e-9


class Tops(NamedTuple):
    """Best bid and ask after each change, in ticks and lots, one row a change."""

    bid_ticks: Floats
    bid_lots: Floats
    ask_ticks: Floats
    ask_lots: Floats


class MicropriceFit(NamedTuple):
    ticks: Floats  # (spreads, buckets): micro-price less mid; 0 where nothing was seen, less where little was
    counts: NDArray[np.int64]  # (spreads, buckets): observations, without the mirrored ones


def fit(tops: Tops, *, buckets_count: int = 10, spreads_count: int = 4) -> MicropriceFit:
    """Count states and solve. Rows without sizes or spread are left out; ValueError where fewer than two remain."""
    if buckets_count < 2 or spreads_count < 1:
        raise ValueError(f"at least 2 buckets and 1 spread, found {buckets_count} and {spreads_count}")
    total, spread = tops.bid_lots + tops.ask_lots, tops.ask_ticks - tops.bid_ticks
    with np.errstate(invalid="ignore"):
        good = np.isfinite(total) & np.isfinite(spread) & (total > 0) & (spread > 0)
    if int(good.sum()) < 2:
        raise ValueError("fewer than two tops with sizes and a spread")
    mids = (tops.bid_ticks[good] + tops.ask_ticks[good]) / 2
    rows = np.minimum(np.rint(spread[good]), spreads_count).astype(np.int64) - 1
    columns = np.minimum((tops.bid_lots[good] / total[good] * buckets_count).astype(np.int64), buckets_count - 1)
    moves = np.clip(np.diff(mids), -MOVE_TICKS_MAX, MOVE_TICKS_MAX)
    state = rows * buckets_count + columns
    mirrored = rows * buckets_count + (buckets_count - 1 - columns)
    froms = np.concatenate((state[:-1], mirrored[:-1]))
    tos = np.concatenate((state[1:], mirrored[1:]))
    both = np.concatenate((moves, -moves))
    size = buckets_count * spreads_count
    stay, go, reward = np.zeros((size, size)), np.zeros((size, size)), np.zeros(size)
    np.add.at(stay, (froms[both == 0], tos[both == 0]), 1.0)
    np.add.at(go, (froms[both != 0], tos[both != 0]), 1.0)
    np.add.at(reward, froms, both)
    seen = np.maximum(1.0, (stay + go).sum(axis=1))
    found = adjustments(stay / seen[:, None], reward / seen, go / seen[:, None], terms=TERMS)
    counts = np.bincount(state, minlength=size).reshape(spreads_count, buckets_count)
    both_counts = counts + counts[:, ::-1]
    return MicropriceFit(
        found.reshape(spreads_count, buckets_count) * (both_counts / (both_counts + COUNT_HALF)), counts
    )


def adjustments(stay: Floats, reward: Floats, go: Floats, *, terms: int = TERMS) -> Floats:
    """The first `terms` terms of Σ Bⁱ G1 with G1 = (1 - Q)⁻¹ R1K and B = (1 - Q)⁻¹ R2."""
    leave = (1.0 + STAY_SLACK) * np.eye(len(stay)) - stay
    first, onward = np.linalg.solve(leave, reward), np.linalg.solve(leave, go)
    total, term = np.zeros_like(first), first
    for _ in range(terms):
        total = total + term
        term = onward @ term
    return total
