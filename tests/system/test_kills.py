"""One fleet, and each kind of its actors killed in turn: what the design promises for each death happens.

The venue's own ledger is the judge. Times are its stamps wherever a target is asserted; waits for a process to come
back allow for a machine that others use as well (`fleet.SLACK_S`).
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from decimal import Decimal

import pytest

from actors.sim.universe import instruments
from actors.vocab.units import NS_PER_S
from pipelines.universe import read_universe
from tests.system.fleet import SLACK_S, RunningFleet, running_fleet
from tests.system.truth import Row

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
GATEWAY, FEED = "gateway:binance_perp", "feed:binance_perp:0"
LEASE_S = 2.0
# No process of a new life can place an order so soon: interpreter and imports alone take longer.
NEW_LIFE_NS = NS_PER_S // 2
# Two beats of 250 ms, the engines' timer, the way to the venue; the rest is for a busy machine.
PULLED_NS = 2 * NS_PER_S


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFleet]:
    with running_fleet(tmp_path_factory.mktemp("kills"), symbols=SYMBOLS) as running:
        yield running


@pytest.fixture(autouse=True)
def settled(fleet: RunningFleet) -> None:
    """Every test begins with a fleet that quotes and agrees with the venue."""
    fleet.until(fleet.all_quoting, timeout_s=10 + SLACK_S, what="quotes before the kill")
    fleet.until(fleet.agreed, timeout_s=SLACK_S, what="agreement with the venue before the kill")


def quotes_and_agrees(fleet: RunningFleet, *, within_s: float) -> None:
    fleet.until(fleet.all_quoting, timeout_s=within_s, what="quotes of all symbols")
    fleet.until(fleet.agreed, timeout_s=SLACK_S, what="agreement with the venue")


def test_quote_actor_dies_and_its_orders_with_it(fleet: RunningFleet) -> None:
    """The gateway hears its silence; nothing of it outlives its lease by a second; the new life quotes."""
    before = fleet.incarnation("quote:BTCUSDT")
    killed_ns = fleet.kill9("quote:BTCUSDT")

    fleet.reborn("quote:BTCUSDT", before)
    quotes_and_agrees(fleet, within_s=10 + SLACK_S)

    truth = fleet.truth()
    dead = [order for order in truth.orders("BTCUSDT") if order.born_ns < killed_ns + NEW_LIFE_NS]
    late = [order for order in dead if order.open_at(killed_ns + int((LEASE_S + 1) * NS_PER_S))]
    assert dead
    assert late == []
    others = [order for order in truth.orders("ETHUSDT") if order.open_at(killed_ns + NS_PER_S)]
    assert others, "the other symbols went on"


def test_risk_hangs_and_the_fleet_stops_within_a_lease(fleet: RunningFleet) -> None:
    """Silent but not dead, so nobody starts another: time alone must pull every quote. Killed then, it comes back."""
    before, term = fleet.incarnation("risk"), fleet.status("risk")["risk"]["term"]
    pid = fleet.ask("risk", "pid")
    silent_ns = fleet.signal("risk", signal.SIGSTOP)

    fleet.until(lambda: not fleet.truth().open_orders(time.time_ns()), timeout_s=SLACK_S, what="an empty venue")
    os.kill(pid, signal.SIGKILL)
    killed_ns = time.time_ns()
    fleet.reborn("risk", before)
    quotes_and_agrees(fleet, within_s=10 + SLACK_S)

    truth = fleet.truth()
    assert fleet.status("risk")["risk"]["term"] == term + 1
    pulled = truth.open_orders(silent_ns)
    assert pulled, "there was something to pull"
    assert [order for order in pulled if order.open_at(silent_ns + int((LEASE_S + 1) * NS_PER_S))] == []
    assert [order for order in truth.orders() if silent_ns + LEASE_S * NS_PER_S < order.born_ns < killed_ns] == []


def test_risk_dies_and_a_new_term_begins(fleet: RunningFleet) -> None:
    """Back within a lease or not: the journal's term goes up, positions are the venue's, all quote."""
    before, term = fleet.incarnation("risk"), fleet.status("risk")["risk"]["term"]
    killed_ns = fleet.kill9("risk")

    fleet.reborn("risk", before)
    fleet.until(lambda: fleet.status(GATEWAY)["term"] == term + 1, timeout_s=SLACK_S, what="the new term")
    quotes_and_agrees(fleet, within_s=10 + SLACK_S)

    grants = [order for order in fleet.truth().orders() if order.steps[-1]["at_ns"] > killed_ns]
    assert {order.symbol for order in grants} == set(SYMBOLS), "every symbol trades under the new term"


def test_gateway_dies_and_its_orders_go_with_its_next_life(fleet: RunningFleet) -> None:
    before = fleet.incarnation(GATEWAY)
    killed_ns = fleet.kill9(GATEWAY)

    fleet.reborn(GATEWAY, before)
    quotes_and_agrees(fleet, within_s=10 + SLACK_S)

    left = fleet.truth().open_orders(killed_ns)
    assert left, "there was something to take away"
    # The venue's own timer runs 10 s from its last refresh; the next life is usually quicker.
    assert [order for order in left if order.open_at(killed_ns + 10 * NS_PER_S)] == []


def test_gateway_hangs_and_dies_and_no_fill_is_lost(fleet: RunningFleet) -> None:
    """Its orders fill while nobody listens; the next life finds every fill, and counts none twice."""
    before, pid = fleet.incarnation(GATEWAY), fleet.ask(GATEWAY, "pid")
    silent_ns = fleet.signal(GATEWAY, signal.SIGSTOP)

    def unheard() -> list[Row]:
        return [row for row in fleet.truth().fills() if row["at_ns"] > silent_ns]

    # At the latest the venue's timer takes the orders away, and then none will be filled any more.
    fleet.until(
        lambda: unheard() or not fleet.truth().open_orders(time.time_ns()),
        timeout_s=10 + SLACK_S,
        what="a fill, or an empty venue",
    )
    os.kill(pid, signal.SIGKILL)
    fleet.reborn(GATEWAY, before)
    quotes_and_agrees(fleet, within_s=10 + SLACK_S)

    assert unheard(), "the market took something meanwhile"
    assert fleet.status("risk")["reconcile"]["lost_fills_count"] == 0


def test_feed_dies_and_quotes_are_pulled_until_it_is_back(fleet: RunningFleet) -> None:
    """Two missed beats and nobody quotes on old data."""
    before = fleet.incarnation(FEED)
    killed_ns = fleet.kill9(FEED)

    fleet.reborn(FEED, before)
    quotes_and_agrees(fleet, within_s=10 + SLACK_S)

    blind = fleet.truth().open_orders(killed_ns)
    assert blind, "there was something to pull"
    assert [order for order in blind if order.open_at(killed_ns + PULLED_NS)] == []


def test_registry_dies_and_nobody_stops(fleet: RunningFleet) -> None:
    """It is on nobody's path: quotes stand through its death, and all register with its next life."""
    before = fleet.incarnation("registry")
    terms = fleet.status("risk")["risk"]["term"]
    killed_ns = fleet.kill9("registry")

    fleet.reborn("registry", before)
    everybody = {role for role in fleet.roles() if not role.startswith("sim:")}
    fleet.until(
        lambda: everybody <= {name for name, one in fleet.status("registry")["members"].items() if one["ready"]},
        timeout_s=10 + SLACK_S,
        what="everybody in the new directory",
    )

    quotes_and_agrees(fleet, within_s=10 + SLACK_S)
    truth = fleet.truth()
    for symbol in SYMBOLS:
        for side in ("BUY", "SELL"):
            assert any(o.side == side and o.open_at(killed_ns + int(1.5 * NS_PER_S)) for o in truth.orders(symbol)), (
                f"{side} of {symbol} went on"
            )
    assert fleet.status("risk")["risk"]["term"] == terms


def test_model_pool_dies_and_quotes_go_on(fleet: RunningFleet) -> None:
    """No quote waits for an opinion."""
    before = fleet.incarnation("llm:0")
    killed_ns = fleet.kill9("llm:0")

    fleet.reborn("llm:0", before)

    quotes_and_agrees(fleet, within_s=10 + SLACK_S)
    truth = fleet.truth()
    assert {order.symbol for order in truth.open_orders(killed_ns + NS_PER_S)} == set(SYMBOLS)


@pytest.mark.parametrize("scope", ["public", "private", "order"])
def test_venue_hangs_up_and_quotes_come_back(fleet: RunningFleet, scope: str) -> None:
    lives = {role: fleet.incarnation(role) for role in (GATEWAY, FEED, "risk")}

    fleet.ask("sim:binance", "inject", f"disconnect_{scope}")

    quotes_and_agrees(fleet, within_s=3 + SLACK_S)
    assert {role: fleet.incarnation(role) for role in lives} == lives, "nobody had to die for it"


def test_in_the_end_the_books_balance(fleet: RunningFleet) -> None:
    """Stopped after all that: no order left, every zero line zero, exposure within the limit at every event."""
    code = fleet.stop()

    summary = json.loads((fleet.plan.run_dir / "summary.json").read_text())
    truth = fleet.truth()
    assert truth.open_orders(time.time_ns()) == []
    assert {row["symbol"]: row["lots"] for row in exposure_breaches(fleet)} == {}
    assert summary["orders_alive"] == []
    assert code == 0, summary
    assert {role.partition(":")[0] for role in summary["restarts"]} >= {"quote", "risk", "gateway", "feed", "llm"}
    assert summary["fills_count"] == len(truth.fills())


def exposure_breaches(fleet: RunningFleet) -> list[dict[str, object]]:
    """Events of the venue's ledger after which a symbol could have become larger than its limit."""
    universe = read_universe()
    rows = universe.choose(SYMBOLS, "perp")
    listed = instruments(
        rows, venue="binance_perp", market="perp", quote=universe.quote, maker_fee_bps=0, taker_fee_bps=0
    )
    limit_usd = Decimal(fleet.plan.settings.risk.symbol_usd_max)
    truth = fleet.truth()
    found: list[dict[str, object]] = []
    for row, instrument in zip(rows, listed, strict=True):
        # Limits hold at the prices frozen at a grant; the simulated path moves far less than the 2 % in minutes.
        lot_usd = Decimal(instrument.lot_size) * Decimal(str(row.perp.price)) * Decimal("0.98")
        for at_ns, long_lots, short_lots in truth.worst_lots(instrument.symbol):
            lots = max(long_lots, short_lots)
            if lots * lot_usd > limit_usd:
                found.append({"symbol": instrument.symbol, "at_ns": at_ns, "lots": lots})
    return found
