"""Order-flow imbalance against its definition."""

from __future__ import annotations

from actors.quote.estimators.order_flow import OrderFlowImbalance


def test_order_flow_imbalance_uses_weak_inequalities() -> None:
    """The case of Cont, Kukanov and Stoikov's definition, worked by hand."""
    tops = [
        (100, 10, 100.02, 12),
        (100, 14, 100.02, 12),
        (100, 14, 100.02, 5),
        (100.01, 3, 100.02, 5),
        (100.01, 3, 100.03, 20),
        (100, 9, 100.03, 20),
        (100, 9, 100.01, 4),
    ]
    flow = OrderFlowImbalance()

    assert [flow.update(*top) for top in tops] == [0, 4, 7, 3, 5, -3, -4]
    assert flow.take() == 12
    assert flow.take() == 0
