"""A fleet over two Ray nodes (`nodes.py`): quote actors on one, everything else on the other."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

from actors.vocab.units import NS_PER_S
from pipelines.topology import QUOTE_SLOT
from tests.system.fleet import SLACK_S, RunningFleet, running_fleet
from tests.system.nodes import pretended_host, two_nodes

SYMBOLS = ("BTCUSDT", "ETHUSDT")
GATEWAY = "gateway:binance_perp"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with two_nodes() as made:
        yield made


@pytest.fixture(scope="module")
def fleet(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFleet]:
    run_dir = tmp_path_factory.mktemp("nodes")
    with running_fleet(run_dir, symbols=SYMBOLS, address=cluster.address) as running:
        yield running
        beside = [Path(f"{running.runtime_dir}-{name}") for name in "abc"]
    for folder in beside:
        shutil.rmtree(folder, ignore_errors=True)


def test_quotes_leases_and_fills_cross_nodes(fleet: RunningFleet) -> None:
    """Nothing on one node can read the other's sockets or subtract its stamps; all of it works by keys and ages."""
    hosts = {role: fleet.status(role)["host"] for role in fleet.roles() if not role.startswith(("sim", "registry"))}
    quote_hosts = {host for role, host in hosts.items() if role.startswith("quote:")}
    assert {host.rpartition("-")[2] for host in quote_hosts} == {"b"}
    assert {host.rpartition("-")[2] for role, host in hosts.items() if not role.startswith("quote:")} == {"a"}

    fleet.until(lambda: len(fleet.truth().fills()) >= 3, timeout_s=60 + SLACK_S, what="three fills")
    fleet.until(fleet.agreed, timeout_s=SLACK_S, what="agreement with the venue")

    assert fleet.all_quoting()
    for role in fleet.roles("quote:"):
        assert not list(Path(f"{fleet.runtime_dir}-b").glob("*quote*orders*")), "quote actors bind no order channel"
        assert fleet.status(role)["frame_to_quote_us"]["p99"] < 60e6, "hours between the clocks are in no latency"


def test_a_quote_actor_dies_on_its_node_and_its_orders_with_it(fleet: RunningFleet) -> None:
    before = fleet.incarnation("quote:ETHUSDT")
    killed_ns = fleet.kill9("quote:ETHUSDT")

    fleet.reborn("quote:ETHUSDT", before)
    fleet.until(fleet.all_quoting, timeout_s=10 + SLACK_S, what="quotes")

    dead = [order for order in fleet.truth().orders("ETHUSDT") if order.born_ns < killed_ns + NS_PER_S // 2]
    assert [order for order in dead if order.open_at(killed_ns + 3 * NS_PER_S)] == []


def test_a_lost_node_is_replaced_and_its_zombies_are_refused(cluster: Cluster, fleet: RunningFleet) -> None:
    """The node hangs: Ray gives it up and starts its actors elsewhere. One of them hangs with it, the other does not
    know of anything. When the node wakes up both have successors, and neither may place anything."""
    lives = {role: fleet.incarnation(role) for role in fleet.roles("quote:")}
    pids = {role: fleet.ask(role, "pid") for role in lives}
    (lost,) = cluster.worker_nodes
    cluster.add_node(num_cpus=2, resources={QUOTE_SLOT: 10}, env_vars=pretended_host("c", 50_000))
    hung = [lost.all_processes["raylet"][0].process.pid, pids["quote:BTCUSDT"]]

    for pid in hung:
        os.kill(pid, signal.SIGSTOP)
    lost_ns = time.time_ns()
    try:
        for role, before in lives.items():
            fleet.reborn(role, before, timeout_s=30 + SLACK_S)
        fleet.until(fleet.all_quoting, timeout_s=30 + SLACK_S, what="quotes from the other node")
    finally:
        for pid in hung:
            os.kill(pid, signal.SIGCONT)
    woken_ns = time.time_ns()

    for role, pid in pids.items():
        fleet.until(lambda pid=pid: not _lives(pid), timeout_s=SLACK_S, what=f"the end of the old {role}")
    fleet.until(fleet.all_quoting, timeout_s=SLACK_S, what="quotes in spite of the zombies")
    fleet.until(fleet.agreed, timeout_s=SLACK_S, what="agreement with the venue")
    assert {fleet.status(role)["host"].rpartition("-")[2] for role in lives} == {"c"}
    dead = [order for order in fleet.truth().orders("BTCUSDT") if order.born_ns < lost_ns]
    assert [order for order in dead if order.open_at(lost_ns + 3 * NS_PER_S)] == []
    holders = {order["holder"] for order in fleet.ask(GATEWAY, "orders")}
    assert holders <= {fleet.incarnation(role) for role in lives}
    assert fleet.truth().open_orders(woken_ns), "the successors' orders stood when the zombies woke up"


def test_in_the_end_the_books_balance(fleet: RunningFleet) -> None:
    code = fleet.stop()

    summary = json.loads((fleet.plan.run_dir / "summary.json").read_text())
    assert fleet.truth().open_orders(time.time_ns()) == []
    assert code == 0, summary
    assert summary["fills_count"] == len(fleet.truth().fills())


def _lives(pid: int) -> bool:
    """Whether the process runs; one that has ended and was not waited for does not."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
