"""Queue and latency models against the published numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.sim.queue_models import (
    ConstantLatency,
    InterpolatedLatency,
    LatencyRow,
    filled_lots,
    front_after_depth,
    queue_model,
)
from actors.vocab.errors import ConfigError

ROWS = (
    LatencyRow(1670026844751525000, 1670026844759000000, 1670026844762122000),
    LatencyRow(1670026845754020000, 1670026845762000000, 1670026845770003000),
)


@pytest.mark.parametrize(
    ("model", "front", "prev", "new", "traded", "share", "expected"),
    [
        ("power1:2", 30, 100, 80, 0, 0.844827586, 26.896551724),
        ("power1:2", 30, 100, 80, 15, 0.844827586, 29.224137931),
        ("power2:2", 30, 100, 80, 0, 0.49, 19.8),
        ("power3:3", 30, 100, 80, 0, 0.973, 29.46),
        ("log1", 30, 100, 80, 0, 0.553834515, 21.076690292),
    ],
)
def test_front_of_the_queue_after_a_fall(
    model: str, front: float, prev: float, new: float, traded: float, share: float, expected: float
) -> None:
    behind = queue_model(model)

    assert behind is not None
    assert behind(front, prev - front) == pytest.approx(share, abs=1e-9)
    after = front_after_depth(front=front, prev=prev, new=new, traded=traded, behind=behind)
    assert after == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("model", ["risk_averse", "log1", "log2", "power1", "power2:3", "power3:2"])
def test_a_rise_of_the_level_leaves_the_front_alone(model: str) -> None:
    assert front_after_depth(front=20, prev=50, new=60, traded=0, behind=queue_model(model)) == 20


def test_risk_averse_moves_only_by_trades_and_by_the_level_itself() -> None:
    assert front_after_depth(front=30, prev=100, new=80, traded=0, behind=None) == 30
    assert front_after_depth(front=30, prev=100, new=12, traded=0, behind=None) == 12


@given(
    model=st.sampled_from(["risk_averse", "log1", "log2", "power1:1", "power1:2", "power2:2", "power3:3"]),
    front=st.floats(0, 1e6),
    back=st.floats(0, 1e6),
    new=st.floats(0, 2e6),
)
def test_the_front_never_grows_and_never_exceeds_the_level(model: str, front: float, back: float, new: float) -> None:
    after = front_after_depth(front=front, prev=front + back, new=new, traded=0, behind=queue_model(model))

    assert after <= front + 1e-6
    assert after <= new + 1e-6


@pytest.mark.parametrize(("front", "lots"), [(3.0, 0), (0.0, 0), (-0.4, 0), (-0.5, 1), (-2.6, 3)])
def test_whole_lots_beyond_the_queue_are_filled(front: float, lots: int) -> None:
    assert filled_lots(front) == lots


def test_interpolated_latency_reproduces_the_published_case() -> None:
    model = InterpolatedLatency(ROWS)

    assert model.entry_ns(1670026845000000000) == 7600167
    assert model.response_ns(1670026845000000000) == 4294802


def test_latency_outside_the_rows_is_the_first_or_last_one() -> None:
    model = InterpolatedLatency(ROWS)

    assert model.entry_ns(0) == 7475000
    assert model.entry_ns(1 << 62) == 7980000
    assert model.response_ns(0) == 3122000
    assert model.response_ns(1 << 62) == 8003000


def test_a_refused_row_is_a_negative_entry() -> None:
    model = InterpolatedLatency([LatencyRow(100, 0, 130), LatencyRow(200, 210, 220)])

    assert model.entry_ns(150) == -30
    assert model.entry_ns(200) == 10


def test_constant_latency_is_constant() -> None:
    assert ConstantLatency(5, 7).entry_ns(1) == 5
    assert ConstantLatency(5, 7).response_ns(1) == 7


@pytest.mark.parametrize("name", ["nonsense", "power9", "power1:x", "log1:2"])
def test_unknown_models_are_named(name: str) -> None:
    with pytest.raises(ConfigError, match="queue model"):
        queue_model(name)
