"""Whatever happens to the driver, no order is left: signals, deaths and silence, told by the venue's own ledger."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.system.driver import Driver, Venues, quoting, until
from tests.system.fleet import SLACK_S

# Five seconds without a heartbeat, a tick to notice, the venue's acknowledgement.
SILENCE_S = 5.0
CANCELLED_S = 1.0


@pytest.fixture(scope="module")
def venues(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venues]:
    served = Venues(tmp_path_factory.mktemp("venues"), ("BTCUSDT", "ETHUSDT"))
    yield served
    served.stop()


@pytest.fixture
def driver(venues: Venues, tmp_path: Path) -> Iterator[Driver]:
    with quoting(venues, tmp_path / "run") as running:
        yield running


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 130)], ids=lambda v: str(v)
)
def test_a_signal_cancels_everything_and_writes_the_report(
    venues: Venues, driver: Driver, number: signal.Signals, code: int
) -> None:
    driver.send(number)

    assert driver.ends() == code
    assert venues.open_orders() == []
    assert (driver.run_dir / "summary.json").exists()
    assert (driver.run_dir / "report.html").exists()
    driver.gone()


def test_a_second_interrupt_skips_the_report_and_never_the_cancels(venues: Venues, driver: Driver) -> None:
    driver.send(signal.SIGINT)
    # Two at the very same moment are one to the kernel; a whole stop takes a few tenths of a second.
    until(lambda: "stopping" in driver.log.read_text(), timeout_s=SLACK_S, what="the first one's effect", poll_s=0.005)
    driver.send(signal.SIGINT)

    assert driver.ends() == 130
    assert venues.open_orders() == []
    assert not (driver.run_dir / "report.html").exists()
    driver.gone()


def test_a_detached_run_goes_on_without_its_terminal(venues: Venues, tmp_path: Path) -> None:
    with quoting(venues, tmp_path / "run", "--detach") as driver:
        hung_up_ms = driver.send(signal.SIGHUP)
        until(
            lambda: len([one for one in venues.open_orders() if one.updated_ms > hung_up_ms + 2_000]) >= 1,
            timeout_s=60,
            what="an order of two seconds later",
        )
        driver.send(signal.SIGTERM)

        assert driver.ends() == 143
        assert venues.open_orders() == []


def test_a_killed_driver_leaves_no_order(venues: Venues, driver: Driver) -> None:
    """Ray's own processes die with the driver; the gateway has to be quicker than that."""
    killed_ms = driver.kill_driver()

    assert driver.ends() == 128 + signal.SIGKILL
    until(lambda: not venues.open_orders(), timeout_s=SLACK_S, what="an empty venue")
    late_ms = killed_ms + int((SILENCE_S + CANCELLED_S) * 1000)
    assert venues.open_after(late_ms, born_before_ms=late_ms) == []
    driver.gone()


def test_a_killed_launcher_ends_the_driver_in_order(venues: Venues, driver: Driver) -> None:
    driver.send(signal.SIGKILL)

    driver.gone(90)
    assert venues.open_orders() == []
    assert (driver.run_dir / "report.html").exists()


def test_a_hung_driver_is_noticed_and_a_woken_one_quotes_again(venues: Venues, driver: Driver) -> None:
    """The gateways cancel and close after five seconds of silence, and nobody trades while nobody watches."""
    psutil.Process(driver.driver.pid).suspend()
    try:
        until(lambda: not venues.open_orders(), timeout_s=SILENCE_S + SLACK_S, what="an empty venue")
        # A gateway that Ray starts anew must not trade either: give it the time that it takes to be back.
        newest = max(order.created_ms for order in venues.orders())
        until(lambda: "started" in _second_life(driver), timeout_s=SLACK_S, what="the gateway's next life")
        with pytest.raises(AssertionError):
            until(venues.open_orders, timeout_s=5.0, what="an order of nobody's")
        assert max(order.created_ms for order in venues.orders()) == newest
    finally:
        psutil.Process(driver.driver.pid).resume()
    until(lambda: len(venues.open_orders()) >= 4, timeout_s=10 + SLACK_S, what="quotes after the driver woke up")
    driver.send(signal.SIGTERM)
    assert driver.ends() == 143
    assert venues.open_orders() == []


def _second_life(driver: Driver) -> str:
    """What the gateway's log says after its end."""
    text = (driver.run_dir / "logs" / "gateway_binance_perp.log").read_text()
    return text.partition("the supervisor is silent")[2]
