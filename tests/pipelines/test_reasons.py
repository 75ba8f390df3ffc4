"""Why a side is not quoted, in the summary and in the metrics."""

from __future__ import annotations

import pytest

from pipelines import metrics
from pipelines.figures import Reasons


def test_shares_are_of_the_looks_and_the_end_of_the_run_explains_nothing() -> None:
    reasons = Reasons()
    for bid, ask in [("WARM_UP", "NO_LEASE"), *[("QUOTING", "NO_LEASE")] * 3, ("STOPPING", "STOPPING")]:
        reasons.add("BTCUSDT", {"venue": "v", "bid_code": bid, "ask_code": ask})

    assert reasons.shares() == {
        "BTCUSDT": {"venue": "v", "bid": {"QUOTING": 0.75, "WARM_UP": 0.25}, "ask": {"NO_LEASE": 1.0}}
    }


def test_a_gauge_stands_at_the_reason_that_a_side_has_now(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: dict[tuple[str, ...], float] = {}

    class FakeGauge:
        def __init__(self, name: str, text: str, tag_keys: tuple[str, ...] = ()) -> None:
            self.name = name

        def set(self, value: float, tags: dict[str, str] | None = None) -> None:
            shown[self.name, *(tags or {}).values()] = value

    monkeypatch.setattr(metrics, "Gauge", FakeGauge)
    made = metrics.Metrics()
    made.show_reasons({("BTCUSDT", "v", "bid"): "NO_BOOK"})
    made.show_reasons({("BTCUSDT", "v", "bid"): "QUOTING"})

    assert shown == {
        ("manta_symbol_reason", "BTCUSDT", "v", "bid", "NO_BOOK"): 0.0,
        ("manta_symbol_reason", "BTCUSDT", "v", "bid", "QUOTING"): 1.0,
    }
