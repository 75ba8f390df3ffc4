"""Fills, deaths, delays and clock offsets at random: the limits hold at every event."""

from __future__ import annotations

import pytest

from actors.risk import limits
from actors.risk.events import OperatorCommand
from actors.vocab.config.risk import RiskSettings
from tests.risk.fleet import Fleet

# One lot of each is about a hundredth of a price in USD: tight limits, so that everybody fights for headroom.
SYMBOLS = {"BTCUSDT": 10_000, "ETHUSDT": 20_000, "SOLUSDT": 40_000}
TIGHT = RiskSettings(
    gross_usd_max=1_500.0,
    venue_usd_max=900.0,
    net_base_usd_max=500.0,
    symbol_usd_max=300.0,
    day_loss_usd_max=1e9,
    drawdown_pct_max=100.0,
    orders_open_max=100_000,
    orders_per_min_max=100_000,
    cool_down_s=1.0,
)


def check(fleet: Fleet) -> None:
    """Truth within what is reserved, reserved within the limits, and no wallet alive that risk has given up."""
    engine = fleet.risk
    if engine is None:
        return
    for (venue, symbol), truth in fleet.truths.items():
        lease = engine.core.book.get(venue, symbol)
        assert lease is not None
        assert truth.worst_long <= lease.reserved_long, f"{venue} {symbol} long at {fleet.t}"
        assert truth.worst_short <= lease.reserved_short, f"{venue} {symbol} short at {fleet.t}"
        holder = fleet.holders[(venue, symbol)]
        token = holder.wallet.token
        if not holder.dead and token is not None and token.term == engine.core.term:
            assert not holder.wallet.alive(holder.now_ns()) or lease.holder == holder.name


def check_limits(fleet: Fleet) -> None:
    """The truth valued at frozen prices, summed from nothing, against every limit."""
    engine = fleet.risk
    if engine is None:
        return
    gross = 0
    venues: dict[str, int] = {}
    longs: dict[str, int] = {}
    shorts: dict[str, int] = {}
    for (venue, symbol), truth in fleet.truths.items():
        lease = engine.core.book.get(venue, symbol)
        assert lease is not None
        price = lease.frozen_nusd
        worst = max(truth.worst_long, truth.worst_short, 0) * price
        assert worst <= limits.nusd(fleet.settings.symbol_usd_max)
        gross += worst
        venues[venue] = venues.get(venue, 0) + worst
        base = fleet.instruments[(venue, symbol)].base
        longs[base] = longs.get(base, 0) + max(truth.worst_long, 0) * price
        shorts[base] = shorts.get(base, 0) + max(truth.worst_short, 0) * price
    assert gross <= limits.nusd(fleet.settings.gross_usd_max)
    assert all(amount <= limits.nusd(fleet.settings.venue_usd_max) for amount in venues.values())
    for amounts in (longs, shorts):
        assert all(amount <= limits.nusd(fleet.settings.net_base_usd_max) for amount in amounts.values())


def watch(fleet: Fleet) -> None:
    def both() -> None:
        check(fleet)
        check_limits(fleet)

    fleet.check = both


KINDS = ("holder", "holder", "pause", "gateway", "risk", "stop")


def misfortune(fleet: Fleet, kinds: tuple[str, ...] = KINDS) -> None:
    """One random death, pause, or stop by the operator."""
    rng = fleet.rng
    venue, symbol = rng.choice(list(fleet.truths))
    kind = rng.choice(kinds)
    if kind == "holder" and not fleet.holders[(venue, symbol)].dead:
        fleet.kill_holder(venue, symbol, down_ms=rng.randint(1, 3_000))
    elif kind == "pause":
        fleet.holders[(venue, symbol)].paused_until = fleet.t + rng.randint(1, 5_000) * 1_000_000
    elif kind == "gateway" and not fleet.gateways[venue].dead:
        fleet.kill_gateway(venue, down_ms=rng.randint(1, 3_000))
    elif kind == "risk" and fleet.risk is not None:
        fleet.kill_risk()
        fleet.later(rng.randint(1, 3_000) * 1_000_000, fleet.start_risk)
    elif kind == "stop":
        fleet.risk_takes(OperatorCommand("kill", symbol=rng.choice(("", symbol))))
        fleet.later(rng.randint(1, 2_000) * 1_000_000, lambda: fleet.risk_takes(OperatorCommand("resume")))


@pytest.mark.parametrize("seed", range(6))
def test_limits_hold_whatever_dies(seed: int) -> None:
    fleet = Fleet(seed, settings=TIGHT, symbols=SYMBOLS)
    watch(fleet)
    for _ in range(12):
        fleet.run(fleet.rng.randint(200, 3_000))
        misfortune(fleet)
    while fleet.risk is None:
        fleet.run(100)  # nobody is there to hear an operator
    fleet.risk_takes(OperatorCommand("resume"))  # where risk died before the other one
    fleet.run(8_000)
    fleet.is_trading = False
    fleet.run(3_000)

    assert fleet.accepted_count > 50, f"seed {seed}: nothing happened"
    assert fleet.risk is not None
    fleet.risk.verify()
    summary = fleet.risk.summary()
    assert summary["risk"]["lease_overrun_usd_max"] == 0.0
    assert summary["risk"]["breaches_count"] == 0
    assert 0.5 < summary["risk"]["gross_share_max"] <= 1.0
    assert summary["reconcile"]["position_mismatch_count"] == 0
    assert summary["reconcile"]["lost_fills_count"] == 0
    positions = {(row["venue"], row["symbol"]): row["position_lots"] for row in summary["symbols"]}
    assert positions == {key: truth.position for key, truth in fleet.truths.items()}


@pytest.mark.parametrize("seed", range(4))
def test_frozen_prices_keep_the_limits_while_prices_move(seed: int) -> None:
    settings = TIGHT.model_copy(update={"price_move_pct_max": 100.0})
    fleet = Fleet(seed, settings=settings, symbols=SYMBOLS)
    watch(fleet)
    fleet.every(300, fleet.drift)
    for _ in range(10):
        fleet.run(fleet.rng.randint(200, 2_000))
        misfortune(fleet, ("holder", "pause", "gateway"))
    fleet.run(5_000)

    assert fleet.accepted_count > 50, f"seed {seed}: nothing happened"
    assert fleet.risk is not None
    assert fleet.risk.summary()["risk"]["lease_overrun_usd_max"] == 0.0
