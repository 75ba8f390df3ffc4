"""A driver that joined somebody else's Ray: when it is killed Ray lives on, and still no order and no actor is left."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from ray.cluster_utils import Cluster

from pipelines.topology import HEAD_SLOT, QUOTE_SLOT, UNWATCHED_S, set_ray_environment
from tests.system.driver import Driver, Venues, quoting, until
from tests.system.fleet import SLACK_S

SILENCE_S = 5.0
CANCELLED_S = 1.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    set_ray_environment()
    made = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 2, "resources": {HEAD_SLOT: 100, QUOTE_SLOT: 10}, "include_dashboard": False},
    )
    yield made
    made.shutdown()


@pytest.fixture(scope="module")
def venues(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venues]:
    served = Venues(tmp_path_factory.mktemp("venues"), ("BTCUSDT",))
    yield served
    served.stop()


@pytest.fixture
def driver(cluster: Cluster, venues: Venues, tmp_path: Path) -> Iterator[Driver]:
    with quoting(venues, tmp_path / "run", "--address", cluster.address) as running:
        yield running


def actors(cluster: Cluster) -> list[str]:
    """Names of our actors' processes on the cluster's only node."""
    raylet = psutil.Process(cluster.head_node.all_processes["raylet"][0].process.pid)
    names = []
    for process in raylet.children():
        with suppress(psutil.NoSuchProcess):  # ended between two looks, waited for or not
            names.append(" ".join(process.cmdline()))
    return sorted(name for name in names if name.startswith("ray::") and name.strip().endswith("Actor"))


def test_an_orderly_end_leaves_nothing_on_the_cluster(cluster: Cluster, venues: Venues, driver: Driver) -> None:
    assert len(actors(cluster)) >= 5

    driver.send(signal.SIGTERM)

    assert driver.ends() == 143
    assert venues.open_orders() == []
    until(lambda: not actors(cluster), timeout_s=SLACK_S, what="the end of all actors")


def test_a_killed_driver_leaves_no_order_and_later_no_actor(cluster: Cluster, venues: Venues, driver: Driver) -> None:
    """Gateway, risk and journal outlive the driver for as long as the cancels and their rows need, and then leave."""
    killed_ms = driver.kill_driver()

    assert driver.ends() == 128 + signal.SIGKILL
    until(lambda: not venues.open_orders(), timeout_s=SILENCE_S + SLACK_S, what="an empty venue")
    late_ms = killed_ms + int((SILENCE_S + CANCELLED_S) * 1000)
    assert venues.open_after(late_ms, born_before_ms=late_ms) == []
    until(lambda: not actors(cluster), timeout_s=UNWATCHED_S + 15 + SLACK_S, what="the end of all actors")
