"""The main job at its full size: fifty symbols, one actor each, judged by the venue's own ledger.

Once over the defaults; once near the gross limit while a quote actor, the gateway and risk are killed; once more like
that on two nodes. Needs about two free cores: shares of time are asserted, and a machine that is busy with other work
cannot give them.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from actors.vocab.units import NS_PER_S
from pipelines.symbols import universe_symbols
from tests.system.fleet import RunningFleet, running_fleet
from tests.system.nodes import two_nodes
from tests.system.truth import Truth

SYMBOLS = universe_symbols()
GATEWAY = "gateway:binance_perp"
RUN_S = 60.0
ACKS_MIN, FILLS_MIN = 10, 1
TWO_SIDED_MIN = 0.9
GROSS_SHARE_MIN = 0.8
LEASE_AND_A_SECOND_NS = 3 * NS_PER_S
# A process start of seconds on two cores, then leases and orders in a staggered queue. Outside this window after a kill
# the two-sided share counts again.
RECOVERY_S = 10.0
# The envelopes of fifty symbols fill this; it is reached by position and live orders together.
TIGHT = ("risk.gross_usd_max=42000", "risk.warning_share=0.95")

Window = tuple[int, int]  # unix ns of the venue


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    with two_nodes(quote_slots=len(SYMBOLS)) as made:
        yield str(made.address)


def test_over_the_defaults(tmp_path: Path) -> None:
    with running_fleet(tmp_path, symbols=SYMBOLS, settings=()) as fleet:
        began_ns = time.time_ns()
        time_passes(fleet, until_ns=began_ns + int(RUN_S * NS_PER_S))
        ended_ns = time.time_ns()
        summary = ended_well(fleet)
        judge(fleet.truth(), began_ns, ended_ns, windows={})
    assert summary["feed"]["frames_per_s"] >= 1_500
    assert summary["symbols_quoting_count"] == len(SYMBOLS)
    assert summary["restarts"] == {}


def test_near_the_limit_while_a_quote_actor_the_gateway_and_risk_are_killed(tmp_path: Path) -> None:
    killed_and_balanced(tmp_path, settings=TIGHT)


def test_the_same_on_two_nodes(cluster: str, tmp_path: Path) -> None:
    killed_and_balanced(tmp_path, settings=TIGHT, address=cluster)


def killed_and_balanced(run_dir: Path, *, settings: Sequence[str], **changes: Any) -> None:
    with running_fleet(run_dir, symbols=SYMBOLS, settings=settings, **changes) as fleet:
        began_ns = time.time_ns()
        windows: dict[str, list[Window]] = {symbol: [] for symbol in SYMBOLS}
        for role, after_s in (("quote:BTCUSDT", 10.0), (GATEWAY, 20.0), ("risk", 35.0)):
            time_passes(fleet, until_ns=began_ns + int(after_s * NS_PER_S))
            window = killed(fleet, role)
            for symbol in [role.partition(":")[2]] if role.startswith("quote:") else SYMBOLS:
                windows[symbol].append(window)
        time_passes(fleet, until_ns=began_ns + int(RUN_S * NS_PER_S))
        time_passes(fleet, until_ns=time.time_ns() + 10 * NS_PER_S)  # something to look at after the last window
        ended_ns = time.time_ns()
        summary = ended_well(fleet)
        judge(fleet.truth(), began_ns, ended_ns, windows=windows)
    assert summary["feed"]["frames_per_s"] >= 1_500
    assert summary["risk"]["gross_share_max"] >= GROSS_SHARE_MIN
    assert {role.partition(":")[0] for role in summary["restarts"]} == {"quote", "gateway", "risk"}


def killed(fleet: RunningFleet, role: str) -> Window:
    """Kill `role`; the time that it is given to come back."""
    before = fleet.incarnation(role)
    killed_ns = fleet.kill9(role)
    fleet.reborn(role, before)
    until_ns = killed_ns + int(RECOVERY_S * NS_PER_S)
    time_passes(fleet, until_ns=until_ns)
    dead = fleet.truth().orders(role.partition(":")[2] if role.startswith("quote:") else "none")
    late = [order for order in dead if order.born_ns < killed_ns and order.open_at(killed_ns + LEASE_AND_A_SECOND_NS)]
    assert late == [], "orders of a dead actor"
    return killed_ns, until_ns


def time_passes(fleet: RunningFleet, *, until_ns: int) -> None:
    fleet.until(lambda: time.time_ns() >= until_ns, timeout_s=2 * RUN_S, what="the end of the minute")


def ended_well(fleet: RunningFleet) -> dict[str, Any]:
    """Stop; the exit code is 0 only when the audit agrees to the cent and every zero line is zero."""
    code = fleet.stop()
    summary: dict[str, Any] = json.loads((fleet.plan.run_dir / "summary.json").read_text())
    assert code == 0, summary
    assert summary["orders_alive"] == []
    return summary


def judge(truth: Truth, began_ns: int, ended_ns: int, *, windows: dict[str, list[Window]]) -> None:
    """Acknowledgements and fills of every symbol up to `ended_ns`, and two-sided time since all quoted."""
    assert truth.open_orders(time.time_ns()) == []
    acks, fills = Counter[str](), Counter[str]()
    for row in truth.rows:
        if row["at_ns"] <= ended_ns:
            acks[row["symbol"]] += row["event"] in ("NEW", "AMENDMENT", "CANCELED")
            fills[row["symbol"]] += row["event"] == "FILL"
    few_acks = {symbol: acks[symbol] for symbol in SYMBOLS if acks[symbol] < ACKS_MIN}
    few_fills = {symbol: fills[symbol] for symbol in SYMBOLS if fills[symbol] < FILLS_MIN}
    shares = {symbol: two_sided_share(truth, symbol, began_ns, ended_ns, windows.get(symbol, ())) for symbol in SYMBOLS}
    thin = {symbol: round(share, 3) for symbol, share in shares.items() if share < TWO_SIDED_MIN}
    least = min(acks[symbol] for symbol in SYMBOLS), min(fills[symbol] for symbol in SYMBOLS), min(shares.values())
    print("least acks {}, fills {}, two-sided share {:.3f}".format(*least))  # shown by -s: how near it was
    assert (few_acks, few_fills, thin) == ({}, {}, {})


def two_sided_share(truth: Truth, symbol: str, began_ns: int, ended_ns: int, windows: Sequence[Window]) -> float:
    """Time with an open bid and an open ask, of the time outside `windows`."""
    marks: list[tuple[int, int, int]] = [(began_ns, 0, 0), (ended_ns, 0, 0)]  # (time, change of bids, change of asks)
    for order in truth.orders(symbol):
        bid, ask = (1, 0) if order.side == "BUY" else (0, 1)
        marks.append((max(order.born_ns, began_ns), bid, ask))
        if order.done_ns:
            marks.append((max(order.done_ns, began_ns), -bid, -ask))
    out = sorted(windows)
    edges = [edge for window in out for edge in window]
    marks += [(edge, 0, 0) for edge in edges]
    marks.sort(key=lambda mark: mark[0])
    counted = stood = bids = asks = 0
    for (at_ns, bid, ask), (next_ns, _, _) in pairwise(marks):
        bids, asks = bids + bid, asks + ask
        if at_ns >= ended_ns or any(begin <= at_ns < end for begin, end in out):
            continue
        span_ns = min(next_ns, ended_ns) - at_ns
        counted += span_ns
        stood += span_ns if bids and asks else 0
    return stood / counted
