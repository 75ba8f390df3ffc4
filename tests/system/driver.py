"""The main job as a user starts it, a process of its own, against venues that outlive it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import msgspec
import psutil

from actors.gateway.keys import read_credentials
from actors.transport.http import HttpAnswer, HttpClient
from actors.transport.identity import SystemClock
from actors.venues.binance.audit import BinanceAudit
from actors.venues.binance.trading import BinanceTrading
from actors.venues.catalog import market_dialect
from actors.venues.dialect import HttpRequest
from actors.venues.ledger import LedgerOrder
from actors.vocab.orders import DONE_STATES
from actors.vocab.units import NS_PER_MS
from pipelines.endpoints import Endpoints

T = TypeVar("T")
ROOT = Path(__file__).parent.parent.parent
START_S = 180.0
VENUE_POLL_S = 0.2  # the venue counts requests


def until(condition: Callable[[], T], *, timeout_s: float, what: str, poll_s: float = VENUE_POLL_S) -> T:
    """Return the first true value; AssertionError after `timeout_s`."""
    deadline_s = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline_s, f"{what} did not come within {timeout_s:g} s"
        time.sleep(poll_s)
    return value


class Venues:
    """`python -m pipelines.sim`, and its perpetual market's ledger read over REST as any client reads it."""

    def __init__(self, folder: Path, symbols: Sequence[str]) -> None:
        self.symbols = tuple(symbols)
        self.file = folder / "endpoints.json"
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "pipelines.sim", "--symbols", ",".join(symbols), "--seed", "7"),
                *("--endpoints-file", str(self.file), "--key-dir", str(folder / "keys")),
                *("--set", "sim.frames_per_s=200", "--set", "sim.taker_rate_per_s=3"),
            ],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )
        until(self.file.exists, timeout_s=START_S, what="the venues' endpoints")
        account = msgspec.json.decode(self.file.read_bytes(), type=Endpoints).accounts()[0]
        self._url = account.rest_url
        market = market_dialect(account.venue)
        rows = market.decode_instruments(self._call(market.instruments_request()).body, symbols)
        self._audit = BinanceAudit(BinanceTrading(account.venue, read_credentials(account, {}), rows))

    def open_orders(self) -> list[LedgerOrder]:
        found: list[LedgerOrder] = []
        for symbol in self.symbols:  # asked one by one: all at once weighs forty times as much at this venue
            answer = self._call(self._audit.open_orders_request(symbol, timestamp_ms=_now_ms()))
            found += self._audit.decode_orders(answer.status, answer.body)
        return found

    def orders(self) -> list[LedgerOrder]:
        """Every order of the account, in its newest state."""
        found: list[LedgerOrder] = []
        for symbol in self.symbols:
            answer = self._call(self._audit.all_orders_request(symbol, timestamp_ms=_now_ms()))
            found += self._audit.decode_orders(answer.status, answer.body)
        return found

    def open_after(self, at_ms: int, *, born_before_ms: int) -> list[LedgerOrder]:
        """Orders of before `born_before_ms` that were still open at `at_ms`."""
        return [
            order
            for order in self.orders()
            if order.created_ms < born_before_ms and (order.state not in DONE_STATES or order.updated_ms > at_ms)
        ]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)

    def _call(self, request: HttpRequest) -> HttpAnswer:
        async def call() -> HttpAnswer:
            http = HttpClient(self._url, clock=SystemClock())
            try:
                return await http.call(request)
            finally:
                await http.close()

        return asyncio.run(call())


class Driver:
    """`python -m pipelines.mm` on those venues, quoting when the constructor returns."""

    def __init__(self, venues: Venues, run_dir: Path, *options: str) -> None:
        self.run_dir = run_dir
        self.log = run_dir.with_suffix(".txt")
        self._venues = venues
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "pipelines.mm", "--symbols", ",".join(venues.symbols), "--no-llm"),
                    *("--venue-endpoints", str(venues.file), "--run-dir", str(run_dir), *options),
                ],
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        count = len(venues.symbols)
        until(lambda: f"{count}/{count} quoting" in self.text(), timeout_s=START_S, what="all quoting")
        until(lambda: len(venues.open_orders()) >= 2 * count, timeout_s=START_S, what="orders on both sides")
        # The launcher that the user started has one child, the driver; Ray's processes are the driver's.
        (self.driver,) = psutil.Process(self.process.pid).children()
        self.family = [self.driver, *self.driver.children(recursive=True)]

    def text(self) -> str:
        if self.log.exists() and self.process.poll() is not None:
            raise AssertionError(f"the run ended with {self.process.returncode}:\n{self.log.read_text()}")
        return self.log.read_text()

    def send(self, number: signal.Signals) -> int:
        """To what the user started; unix ms."""
        self.process.send_signal(number)
        return _now_ms()

    def kill_driver(self) -> int:
        self.driver.kill()
        return _now_ms()

    def ends(self, timeout_s: float = 90.0) -> int:
        """Wait for the exit code of what the user started."""
        return self.process.wait(timeout_s)

    def gone(self, timeout_s: float = 30.0) -> None:
        """Wait until nothing of the run lives."""
        until(lambda: not self.alive(), timeout_s=timeout_s, what=f"the end of {self.alive()}")

    def alive(self) -> list[str]:
        return [f"{one.pid} {_name(one)}" for one in self.family if one.is_running() and _name(one)]

    def clean_up(self) -> None:
        for one in [*self.family, psutil.Process(self.process.pid)] if self.process.poll() is None else self.family:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        self.process.wait(30)


def _name(process: psutil.Process) -> str:
    """Empty for a process that has ended, whether or not its parent has noticed."""
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return ""
        return " ".join(process.cmdline())[:80]
    except psutil.NoSuchProcess:
        return ""


def _now_ms() -> int:
    return time.time_ns() // NS_PER_MS


@contextmanager
def quoting(venues: Venues, run_dir: Path, *options: str) -> Iterator[Driver]:
    """A run that quotes; whatever is left of it is killed in the end."""
    driver = Driver(venues, run_dir, *options)
    try:
        yield driver
    finally:
        driver.clean_up()


assert os.name == "posix"
