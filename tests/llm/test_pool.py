"""Members, treasury and relay together under a simulated clock: limits, deaths, a mad relay."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from actors.sim.pool import SimPool
from actors.sim.relay_faults import EXCLUSIVE, RelayDrill, RelayFaults, drill_s
from actors.sim.relay_limits import RelayLimits
from actors.vocab.opinions import RegimeView
from actors.vocab.spending import Fault
from tests.llm.kit import COUNTED, DEEPSEEK, GEMINI, sim_pool

BACKLOG: dict[str, Any] = {
    "opinion_interval_s": 1.0,
    "usd_per_day_max": 1000.0,
    "ask_interval_s": 2.0,
    "symbols_count": 200,
}


def test_with_a_backlog_95_percent_of_the_requests_are_used_and_none_is_refused() -> None:
    pool = sim_pool(**BACKLOG)
    pool.run_until(300)
    assert 0.95 * 300 <= len(pool.calls) <= 300
    assert pool.relay.refused_429_count == 0


def test_with_a_backlog_95_percent_of_the_tokens_are_used_and_none_is_refused() -> None:
    limits = {"requests_per_min": 600, "tokens_per_min": 100_000, "batch_tokens_max": 2_000}
    pool = sim_pool(**BACKLOG, **limits, relay_limits=RelayLimits(600, 10, 100_000))
    pool.run_until(300)
    assert 0.95 <= pool.relay.tokens_count / 500_000 <= 1.0
    assert pool.relay.refused_429_count == 0


def test_a_killed_member_costs_its_calls_only() -> None:
    """Its symbols are asked about by the others at once; no limit is passed when it comes back."""
    pool = sim_pool(opinion_interval_s=5.0)
    pool.at(60, lambda: pool.kill_member(1, back_after_s=20))
    pool.run_until(120)
    assert pool.relay.refused_429_count == 0
    during = {view.symbol for at_ns, view in pool.views if isinstance(view, RegimeView) and 65e9 < at_ns < 80e9}
    assert len(during) == 50


def test_a_killed_treasury_holds_calls_up_for_a_lease_and_never_breaks_a_limit() -> None:
    pool = sim_pool(**BACKLOG)
    pool.at(60, lambda: pool.kill_treasury(back_after_s=2))
    pool.run_until(150)
    gaps = [after[0] - before[0] for before, after in zip(pool.calls, pool.calls[1:], strict=False)]
    assert max(gaps) <= 13e9  # away for 2 s, then one lease of 10
    assert pool.relay.refused_429_count == 0


def test_a_tight_token_limit_holds_over_a_treasury_that_dies_again_and_again() -> None:
    """A call may be most of the limit, eight times the burst: what a life before owes the bucket is not forgotten."""
    limits = {"requests_per_min": 600, "tokens_per_min": 5_000, "batch_tokens_max": 4_000}
    pool = sim_pool(**BACKLOG, **limits, relay_limits=RelayLimits(600, 10, 5_000))
    for second in range(30, 150, 15):
        pool.at(second, lambda: pool.kill_treasury(back_after_s=0.5))
    pool.run_until(600)
    assert pool.relay.tokens_count > 15_000
    assert pool.relay.refused_429_count == 0


def test_the_days_money_holds_over_a_killed_treasury() -> None:
    pool = sim_pool(**(BACKLOG | {"usd_per_day_max": 0.02}))
    for second in (10, 20, 30):
        pool.at(second, lambda: pool.kill_treasury(back_after_s=1))
    pool.run_until(200)
    assert pool.treasury is not None
    usd = pool.relay.tokens_count * 0.42 / 1e6
    assert 0.01 < usd <= 0.02


def test_two_numbers_of_the_same_limits_meet_a_relay_that_is_stricter_than_told() -> None:
    """The relay allows half of what our settings say: 429s come, their Retry-After holds for all members."""
    pool = sim_pool(**BACKLOG, relay_limits=RelayLimits(30, 10, 200_000))
    pool.run_until(120)
    assert pool.treasury is not None
    refused = pool.treasury.figures()["http_429"]
    assert 0 < refused < 60
    assert len(pool.views) > 500


@pytest.mark.parametrize("fault", EXCLUSIVE)
def test_each_fault_is_survived_and_named(fault: str) -> None:
    """A third of all answers spoilt in this way: views go on coming, calls end, the operator reads why."""
    pool = sim_pool(seed=3, symbols_count=20, faults=RelayFaults(**{fault: 0.33}))
    pool.run_until(300)
    assert pool.treasury is not None
    figures = pool.treasury.figures()
    assert len(pool.views) > 50
    assert figures["in_flight"] <= 4
    if fault == "lying_usage":
        assert figures["usage_not_believed"] > 0
    elif fault != "truncated":  # its good items are kept
        assert figures["faults"]


def test_a_relay_that_is_down_and_comes_back() -> None:
    pool = sim_pool(symbols_count=20)
    pool.at(60, lambda: setattr(pool.relay, "faults", RelayFaults(down=True)))
    pool.at(180, lambda: setattr(pool.relay, "faults", RelayFaults()))
    pool.run_until(180)
    while_down = [at_ns for at_ns, _ in pool.calls if 120e9 < at_ns < 180e9]
    pool.run_until(300)
    assert len(while_down) <= 16  # probes of two models each half minute, and what was due before the breakers opened
    assert any(at_ns > 240e9 for at_ns, _ in pool.views)


def test_a_key_revoked_in_mid_run_ends_the_calls() -> None:
    pool = sim_pool(symbols_count=20)
    pool.at(60, lambda: setattr(pool.relay, "faults", RelayFaults(key_revoked=True)))
    pool.run_until(300)
    assert pool.treasury is not None
    stopped = {name: row["stopped"] for name, row in pool.treasury.figures()["models"].items() if row["stopped"]}
    assert set(stopped) == {DEEPSEEK, GEMINI}
    assert "the key is refused" in stopped[DEEPSEEK]
    assert [at_ns for at_ns, _ in pool.calls if at_ns > 90e9] == []


@pytest.mark.parametrize("seed", range(3))
def test_everything_goes_wrong_at_once(seed: int) -> None:
    share = 0.06
    faults = RelayFaults(**dict.fromkeys(EXCLUSIVE, share), rule_breaking=0.2)
    pool = sim_pool(seed=seed, faults=faults)
    pool.at(50, lambda: pool.kill_member(0, back_after_s=5))
    pool.at(100, lambda: pool.kill_treasury(back_after_s=2))
    pool.run_until(300)
    assert len(pool.views) > 100
    for _, view in pool.views:
        if isinstance(view, RegimeView):
            assert 0.0 <= min(view.bid_factor, view.ask_factor) <= max(view.bid_factor, view.ask_factor) <= 1.0
            assert 0.0 <= view.spread_bps_min <= 200.0


def counted_by_stage(pool: SimPool, seconds: int) -> dict[str, Counter[str]]:
    """What the treasury counts while the relay is at each stage, and in the pause after it."""
    assert pool.treasury is not None
    by_stage: dict[str, Counter[str]] = {}
    stage, seen = "none", Counter[str]()
    for second in range(seconds):
        stage = pool.relay.stage if pool.relay.stage not in ("", "none") else stage
        pool.run_until(second)
        rows = pool.treasury.figures()["models"].values()
        now = sum((Counter(row["faults"]) for row in rows), Counter[str]())
        by_stage.setdefault(stage, Counter()).update(now - seen)
        seen = now
    return by_stage


@pytest.mark.parametrize("clocks_ahead_s", [0.0, 10.0, -10.0])
def test_in_a_drill_each_fault_is_met_and_counted_by_its_name(clocks_ahead_s: float) -> None:
    """Ten minutes, every second member's clock off by so much, a member killed while no call is answered."""
    drill = RelayDrill(fault_s=30)
    pool = sim_pool(
        seed=3, members_count=2, opinion_interval_s=5, breaker_open_s=10, drill=drill, clocks_ahead_s=clocks_ahead_s
    )
    for at_s in (185, 190, 195):  # while nothing is answered
        pool.at(at_s, lambda: pool.kill_member(0, back_after_s=3))
    counted = counted_by_stage(pool, int(drill_s(30)) + 15)

    missed = {stage: dict(counted[stage]) for stage, names in COUNTED.items() if not names & set(counted[stage])}
    assert missed == {}
    assert set(pool.relay.status()["faults"]) == set(COUNTED)
    assert counted["never"][Fault.MEMBER_DIED] > 0
    assert pool.treasury is not None
    figures = pool.treasury.figures()
    assert figures["models"][DEEPSEEK]["stopped"].startswith("HTTP 401")
    assert figures["idle_s"]["signal"]["all models stopped"] > 10
    assert figures["in_flight"] == 0
    assert len(pool.views) > 1000  # the pauses, and what is saved of damaged answers
