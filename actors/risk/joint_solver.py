"""From samples of all mids to the numbers of the portfolio model: the slow part, carried out beside the loop.

Pure: the same samples give the same numbers, so it does not matter where or when it runs. At 50 symbols it takes about
a millisecond, at 500 fifty (`benchmarks/portfolio.py`): as long as the loop must never stand still.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from actors.risk.covariance import Array, estimate, returns_bps
from actors.risk.joint_skew import skew_matrix, widths


class JointTerms(NamedTuple):
    """What is the same for all symbols; units of `vocab/config/quote.py`."""

    gamma: float
    horizon_s: float
    step_s: float  # between samples
    samples_min: int
    variance_min: float  # bps² per second


class Joint(NamedTuple):
    """`columns`: which columns of the samples took part; rows and columns of `matrix` are these."""

    columns: npt.NDArray[np.intp]
    matrix: Array  # bps of skew per order of position
    widths_bps: Array
    prices: Array  # the newest of each, in USD per unit of the base
    shrinkage: float
    mean_correlation: float


class Unsolved(NamedTuple):
    """Why there are no numbers."""

    text: str


def solve(rows: tuple[Array, ...], curve: Array, terms: JointTerms) -> Joint | Unsolved:
    """`rows` are prices of one moment each, oldest first, NaN where there was none; a row of NaN marks a hole in time.
    `curve` is each column's fill curve, per bp and second.

    Symbols take part that were seen in `samples_min` returns and in more than half of all: then each pair was seen
    together. Never raises for bad numbers.
    """
    prices = np.stack(rows)
    returns = returns_bps(prices)
    seen = np.isfinite(returns)
    usable_count = int(np.count_nonzero(seen.any(axis=1)))
    counts = np.count_nonzero(seen, axis=0)
    columns = np.flatnonzero((counts >= terms.samples_min) & (2 * counts > usable_count))
    if not len(columns):
        return Unsolved(f"no symbol has {terms.samples_min} samples yet")
    each = np.ones(len(columns))
    try:
        found = estimate(returns[:, columns], step_s=terms.step_s, variance_min=terms.variance_min)
        matrix = skew_matrix(
            found.covariance,
            gamma=terms.gamma,
            curve=curve[columns],
            horizon_s=terms.horizon_s,
        )
    except (ValueError, np.linalg.LinAlgError) as error:
        return Unsolved(str(error))
    if not np.isfinite(matrix).all():
        return Unsolved("the skew matrix is not finite")
    newest = len(prices) - 1 - np.argmax(np.isfinite(prices[::-1]), axis=0)
    return Joint(
        columns,
        matrix,
        widths(matrix, size=each),
        prices[newest[columns], columns],
        found.shrinkage,
        found.mean_correlation,
    )
