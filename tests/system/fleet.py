"""A whole fleet on a real Ray for tests: the supervisor's own code on a thread, with hands to kill and eyes to see.

with running_fleet(run_dir, symbols=("BTCUSDT",)) as fleet:
    fleet.kill9("risk")
    fleet.until(fleet.all_quoting, timeout_s=20, what="quotes")
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import ray

from actors.console.screen import Screen
from pipelines.plan import RunPlan, make_run_dir, make_runtime_dir, new_run_id
from pipelines.settings import load_settings
from pipelines.supervisor import StopSignals, Supervisor
from pipelines.topology import start_ray
from tests.system.truth import Truth

T = TypeVar("T")

# Two cores that others use as well: a process start that takes 2 s on a quiet machine has been seen to take 15 s.
# Targets of a design are for the quiet one; what is asserted with a clock is asserted on the venue's stamps.
SLACK_S = 20.0
POLL_S = 0.05
CALL_TIMEOUT_S = 20.0
# Few frames and many takers: little load, and still a fill now and then.
CALM = ("sim.frames_per_s=200", "sim.taker_rate_per_s=12", "llm.pool_size=1", "llm.opinion_interval_s=2")


class HandStop(StopSignals):
    """Stopped by a call instead of a signal: signals belong to the main thread, which is pytest's."""

    def install(self) -> None:
        self.event = asyncio.Event()
        self.loop = asyncio.get_running_loop()

    def now(self) -> None:
        assert self.event is not None
        self.loop.call_soon_threadsafe(self.event.set)


class RunningFleet:
    """What a test may do to a fleet. All methods block and are called from the test's own thread."""

    def __init__(self, plan: RunPlan, *, dashboard: str = "") -> None:
        self.plan = plan
        self.symbols = plan.symbols
        self.runtime_dir = make_runtime_dir()
        self._stop = HandStop()
        self._code: int | None = None
        self._error: BaseException | None = None
        self.supervisor = Supervisor(
            plan,
            screen=Screen(quiet=True, symbols_count=len(plan.symbols)),
            stop=self._stop,
            runtime_dir=self.runtime_dir,
            began_s=time.monotonic(),
            dashboard=dashboard,
        )
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def _run(self) -> None:
        try:
            self._code = asyncio.run(self.supervisor.run())
        except BaseException as error:
            self._error = error

    # --- life ------------------------------------------------------------------------------------------------

    def start(self, *, timeout_s: float = 180.0) -> None:
        """Return when all symbols quote."""
        self._thread.start()
        self.until(lambda: self.supervisor._quoting_since_s is not None, timeout_s=timeout_s, what="all quoting")

    def stop(self, *, timeout_s: float = 120.0) -> int:
        """End in order; the exit code."""
        if self._thread.is_alive():
            self._stop.now()
            self._thread.join(timeout_s)
        assert not self._thread.is_alive(), "the supervisor did not come down"
        if self._error is not None:
            raise self._error
        assert self._code is not None
        return self._code

    # --- hands -----------------------------------------------------------------------------------------------

    def ask(self, role: str, method: str, *args: Any) -> Any:
        """Call one actor; raises what Ray raises when it does not answer."""
        return ray.get(getattr(self.supervisor._fleet.handles[role], method).remote(*args), timeout=CALL_TIMEOUT_S)

    def status(self, role: str) -> dict[str, Any]:
        """The actor's newest status; empty while it does not answer."""
        try:
            answer: dict[str, Any] = self.ask(role, "status")
        except ray.exceptions.RayError:
            return {}
        return answer

    def roles(self, prefix: str = "") -> list[str]:
        return [role for role in self.supervisor._fleet.handles if role.startswith(prefix)]

    def incarnation(self, role: str) -> str:
        return str(self.status(role).get("incarnation", ""))

    def signal(self, role: str, number: signal.Signals) -> int:
        """Send a signal to an actor's process; the venue's time at which it was sent."""
        pid = self.ask(role, "pid")
        os.kill(pid, number)
        return time.time_ns()

    def kill9(self, role: str) -> int:
        """End an actor's process without a word; the venue's time of it."""
        return self.signal(role, signal.SIGKILL)

    # --- eyes ------------------------------------------------------------------------------------------------

    def until(self, condition: Callable[[], T], *, timeout_s: float, what: str) -> T:
        """Return the first true value of `condition()`; AssertionError after `timeout_s`."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            if self._error is not None:
                raise self._error
            value = condition()
            if value:
                return value
            assert time.monotonic() < deadline_s, f"{what} did not come within {timeout_s:g} s; {self.picture()}"
            time.sleep(POLL_S)

    def reborn(self, role: str, before: str, *, timeout_s: float = 10 + SLACK_S) -> str:
        """Wait for a life of `role` other than `before`; its incarnation."""
        return self.until(
            lambda: (now := self.incarnation(role)) != before and now,
            timeout_s=timeout_s,
            what=f"a new life of {role}",
        )

    def quotes(self) -> dict[str, dict[str, Any]]:
        """symbol -> row of its quote actor, of those that answer."""
        return {
            symbol: row for role in self.roles("quote:") for symbol, row in self.status(role).get("symbols", {}).items()
        }

    def all_quoting(self) -> bool:
        """Whether both sides of every symbol stand, as the quote actors say."""
        rows = self.quotes()
        return set(rows) == set(self.symbols) and all(row["two_sided"] for row in rows.values())

    def truth(self) -> Truth:
        """The venue's record up to now."""
        path = self.plan.run_dir / "truth.jsonl"
        self.ask("sim:binance", "write_orders", str(path))
        return Truth.read(path)

    def agreed(self) -> bool:
        """Whether venue, gateway, risk and quote actors tell the same positions, and risk the venue's fill count.

        Reads them one after the other while fills happen, so it is true at some moments only: use with `until`.
        """
        truth = self.truth()
        rows = self.status("risk").get("symbols", [])
        risk = {row["symbol"]: (row["position_lots"], row["fills_count"]) for row in rows}
        gateway = self.status(f"gateway:{self.plan.venues[0]}").get("positions", {})
        quotes = self.quotes()
        venue = truth.positions()
        return all(
            risk.get(symbol) == (venue.get(symbol, 0), len(truth.fills(symbol)))
            and gateway.get(symbol, 0) == venue.get(symbol, 0)
            and quotes.get(symbol, {}).get("position_lots") == venue.get(symbol, 0)
            for symbol in self.symbols
        )

    def picture(self) -> str:
        """Who says what, for a failed wait."""
        quotes = {
            symbol: (row["two_sided"], row["bid_reason"], row["ask_reason"], row["position_lots"])
            for symbol, row in self.quotes().items()
        }
        risk = self.status("risk")
        gateways = {role: self.status(role) for role in self.roles("gateway:")}
        positions = {role: (one.get("state"), one.get("positions")) for role, one in gateways.items()}
        rows = [(row["symbol"], row["position_lots"], row["fills_count"]) for row in risk.get("symbols", [])]
        return f"quotes {quotes}; gateways {positions}; risk {risk.get('state')} {risk.get('reason')} {rows}"


def make_plan(run_dir: Path, *, symbols: Sequence[str], settings: Sequence[str] = CALM, **changes: Any) -> RunPlan:
    run_id = new_run_id()
    fields: dict[str, Any] = {
        "run_id": run_id,
        "mode": "sim",
        "symbols": tuple(symbols),
        "venues": ("binance_perp",),
        "settings": load_settings((), settings),
        "run_dir": make_run_dir(run_dir, run_id),
        "account": f"test-{run_id}",
        "seed": 7,
    }
    return RunPlan(**(fields | changes))


@contextmanager
def running_fleet(
    run_dir: Path, *, symbols: Sequence[str] = ("BTCUSDT", "ETHUSDT"), settings: Sequence[str] = CALM, **changes: Any
) -> Iterator[RunningFleet]:
    """A Ray of its own and a fleet that quotes; everything is gone afterwards."""
    plan = make_plan(run_dir, symbols=symbols, settings=settings, **changes)
    try:
        dashboard = start_ray(address=plan.address, namespace=plan.namespace)
        fleet = RunningFleet(plan, dashboard=dashboard)
        try:
            fleet.start()
            yield fleet
        finally:
            fleet.stop()
            shutil.rmtree(fleet.runtime_dir, ignore_errors=True)
    finally:
        ray.shutdown()
