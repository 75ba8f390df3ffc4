"""What the joint skew is worth: ten symbols that move together, against GLFT one by one on the same chance.

A small version of `benchmarks/portfolio.py`, whose figures are in docs/measurements.md.
"""

from __future__ import annotations

import pytest

from benchmarks.portfolio import Market, outcomes


@pytest.mark.parametrize(
    ("gamma", "correlation", "least_cut", "joint_risk", "alone_risk"),
    [(0.1, 0.7, 0.15, 4.94, 6.53), (0.01, 0.7, 0.15, 16.1, 22.4), (0.1, 0.3, 0.0, None, None)],
)
def test_less_risk_at_equal_capture(
    gamma: float, correlation: float, least_cut: float, joint_risk: float | None, alone_risk: float | None
) -> None:
    joint, alone = outcomes(Market(gamma, correlation), paths_count=96, seconds=600, seed=5, step_s=0.25, settle_s=300)

    assert joint.risk < (1 - least_cut) * alone.risk
    assert joint.capture_per_s == pytest.approx(alone.capture_per_s, rel=0.02)
    if joint_risk is not None and alone_risk is not None:  # the reference run's, within our own error
        assert joint.risk == pytest.approx(joint_risk, abs=4 * joint.risk_se)
        assert alone.risk == pytest.approx(alone_risk, abs=4 * alone.risk_se)
