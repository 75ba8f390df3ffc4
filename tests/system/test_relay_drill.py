"""The model server fails in every way in turn, a pool member and the treasury are killed, and quotes go on.

`make drill` runs it with fifty symbols for eleven minutes, alone; three symbols in three minutes are a system test.
"""

from __future__ import annotations

import html
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hdrh.histogram import HdrHistogram

from actors.console.summary import failures
from actors.sim.relay_faults import drill_s
from actors.vocab.units import NS_PER_S
from pipelines.symbols import universe_symbols
from tests.llm.kit import COUNTED
from tests.system.fleet import CALM, SLACK_S, RunningFleet, running_fleet
from tests.system.test_top50 import TWO_SIDED_MIN, two_sided_share

GATEWAY, SIM = "gateway:binance_perp", "sim:binance"
LOOK_S = 0.5
# When no model is left to be asked; so short a time that one order on its way may cost a tenth of it.
LAST_NS, LAST_SHARE_MIN = 20 * NS_PER_S, 0.5
# Half of all orders may be a quarter slower by chance, not more: five minutes are compared with five others.
SLOWER_MAX = 1.25
# The day's money must last for the drill, which tests other things; breakers must open and close several times.
POOL = ("sim.relay_faults=drill", "llm.usd_per_day_max=200")


@pytest.mark.full
@pytest.mark.timeout(2_400)
def test_fifty_symbols_for_eleven_minutes(tmp_path: Path) -> None:
    settings = (*POOL, "llm.opinion_interval_s=5", "llm.breaker_open_s=10")
    drilled(tmp_path, universe_symbols(), settings, fault_s=30.0, treasury_dies_after="nested")


def test_three_symbols_for_two_minutes(tmp_path: Path) -> None:
    """So short a stage is over before a treasury comes back, so that one dies last."""
    settings = (*CALM, *POOL, "llm.pool_size=2", "llm.opinion_interval_s=2", "llm.breaker_open_s=2", "llm.cache_s=0")
    drilled(tmp_path, ("BTCUSDT", "ETHUSDT", "SOLUSDT"), settings, fault_s=7.0, treasury_dies_after="lying_usage")


def drilled(
    run_dir: Path, symbols: Sequence[str], settings: Sequence[str], *, fault_s: float, treasury_dies_after: str
) -> None:
    settings = (*settings, f"sim.relay_fault_s={fault_s:g}")
    with running_fleet(run_dir, symbols=symbols, settings=settings) as fleet:
        began_ns = time.time_ns()
        watch = Watch(fleet, timeout_s=drill_s(fault_s) + 60 + SLACK_S)
        watch.until(lambda: watch.stage == "never" and watch.in_flight("llm:0"), what="a call that is not answered")
        watch.kill9("llm:0")
        watch.until(lambda: watch.past(treasury_dies_after), what=f"the end of {treasury_dies_after}")
        watch.kill9("treasury")
        watch.until(lambda: watch.stage == "key_revoked" and watch.stopped(), what="the end of all models")
        ended_ns = time.time_ns()
        code = fleet.stop()
        summary: dict[str, Any] = json.loads((fleet.plan.run_dir / "summary.json").read_text())
        truth = fleet.truth()
        page = (fleet.plan.run_dir / "report.html").read_text()

    assert (code, failures(summary)) == (0, []), summary
    assert set(summary["restarts"]) == {"llm:0", "treasury"}
    shares = {symbol: two_sided_share(truth, symbol, began_ns, ended_ns, ()) for symbol in symbols}
    assert {symbol: share for symbol, share in shares.items() if share < TWO_SIDED_MIN} == {}
    last = {symbol: two_sided_share(truth, symbol, ended_ns - LAST_NS, ended_ns, ()) for symbol in symbols}
    assert [symbol for symbol, share in last.items() if share < LAST_SHARE_MIN] == []
    met(summary["llm"], page)
    watch.show(shares, summary)
    assert percentile(watch.failing_us, 50) <= SLOWER_MAX * percentile(watch.behaving_us, 50)


def met(llm: dict[str, Any], page: str) -> None:
    """Each fault was really met, has a counted reason, and the report says so with its cost."""
    assert set(llm["relay_faults"]) == set(COUNTED)
    unnamed = {fault: llm["faults"] for fault, names in COUNTED.items() if not names & set(llm["faults"])}
    assert unnamed == {}
    assert 0 < llm["paid_usd"] <= llm["cost_usd"]
    assert llm["breaker_opens"] > 0
    assert any(row["stopped"].startswith("HTTP 401") for row in llm["models"].values())
    told = html.unescape(page.partition("<h2>All figures")[0])  # what follows is summary.json once more
    assert "the key is refused: check it, then restart" in told
    assert [fault for fault in llm["faults"] if f"<td>{fault}<" not in told] == []


class Watch:
    """Looks at the relay's stages and at latency while they pass."""

    def __init__(self, fleet: RunningFleet, *, timeout_s: float) -> None:
        self._fleet = fleet
        self._ends_s = time.monotonic() + timeout_s
        self.stage = ""
        self.seen: list[str] = []  # stages in their order, pauses left out
        self._latency: Counter[int] = Counter()  # of the whole run up to the last look
        self.failing_us: Counter[int] = Counter()  # frame to order -> how many, while the relay failed
        self.behaving_us: Counter[int] = Counter()

    def until(self, condition: Callable[[], Any], *, what: str) -> None:
        self._fleet.until(lambda: self._look() or condition(), timeout_s=self._ends_s - time.monotonic(), what=what)

    def past(self, stage: str) -> bool:
        return stage in self.seen and self.stage != stage

    def in_flight(self, role: str) -> bool:
        return bool(self._fleet.status(role).get("in_flight"))

    def stopped(self) -> bool:
        """Whether no model is left to be asked about symbols."""
        status = self._fleet.status("treasury")
        return status.get("idle_s", {}).get("signal", {}).get("all models stopped", 0) > LAST_NS / NS_PER_S

    def kill9(self, role: str) -> None:
        before = self._fleet.incarnation(role)
        self._fleet.kill9(role)
        self._fleet.reborn(role, before, timeout_s=30 + SLACK_S)

    def _look(self) -> None:
        time.sleep(LOOK_S)
        self.stage = self._fleet.status(SIM)["relay"]["stage"] or "none"
        if self.stage != "none" and self.stage not in self.seen:
            self.seen.append(self.stage)
        now = self._frame_to_order()
        (self.behaving_us if self.stage == "none" else self.failing_us).update(now - self._latency)
        self._latency = now

    def _frame_to_order(self) -> Counter[int]:
        encoded = self._fleet.status(GATEWAY)["histograms"]["frame_to_order"]
        histogram = HdrHistogram.decode(encoded)
        return Counter(
            {
                int(one.value_iterated_to): int(one.count_at_value_iterated_to)
                for one in histogram.get_recorded_iterator()
            }
        )

    def show(self, shares: dict[str, float], summary: dict[str, Any]) -> None:
        """What a run was, for whoever reads along (`-s`)."""
        llm = summary["llm"]
        print(f"least two-sided share {min(shares.values()):.3f}, cost {llm['paid_usd']:.4f} USD")
        for name, counts in (("failing", self.failing_us), ("behaving", self.behaving_us)):
            print(f"frame to order while {name}: p50 {percentile(counts, 50)} us, p99 {percentile(counts, 99)} us")
        print(f"relay {llm['relay_faults']}\nours {llm['faults']}")


def percentile(counts: Counter[int], percent: float) -> int:
    """The value that so many of all are at or below."""
    left = sum(counts.values()) * percent / 100
    for value in sorted(counts):
        left -= counts[value]
        if left <= 0:
            return value
    return 0
