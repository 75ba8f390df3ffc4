"""Limits, leases, positions and pnl: the one place that says how much the fleet may be exposed."""
