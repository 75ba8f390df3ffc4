"""One run from start to report: bring the fleet up in order, watch it, take it down without leaving an order.

Order of start: Ray, venues (sim), registry, risk, gateways, feeds, quote actors in waves. Order of stop: quotes
cancel and release, gateways cancel what is left and wait for the venue's word, then figures, then processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from actors.console.screen import Screen
from actors.console.summary import build_summary, zero_lines
from actors.vocab.control import RunDescription, VenueAccount
from actors.vocab.errors import ConfigError
from pipelines.exits import ExitCode, refuse
from pipelines.plan import RunPlan, make_runtime_dir
from pipelines.topology import Fleet, describe, start_ray

log = logging.getLogger("supervisor")

POLL_INTERVAL_S = 1.0
HEARTBEAT_INTERVAL_S = 1.0
CALL_TIMEOUT_S = 5.0
# A quote wave: Ray starts about as many workers at once as there are cores; more would only wait in its queue.
WAVE_SIZE = 10
STOP_TIMEOUT_S = 10.0


def supervise(plan: RunPlan, *, as_json: bool) -> int:
    """Run `plan` to its end and return the exit code."""
    screen = Screen(quiet=as_json, symbols_count=len(plan.symbols))
    stop = StopSignals()
    runtime_dir = make_runtime_dir()
    began_s = time.monotonic()
    try:
        with screen:
            screen.stage("ray", "starting Ray")
            dashboard = start_ray(address=plan.address, namespace=plan.namespace)
            screen.done("ray", f"Ray is up, dashboard {dashboard or 'off'}")
            supervisor = Supervisor(plan, screen=screen, stop=stop, runtime_dir=runtime_dir, began_s=began_s)
            code = asyncio.run(supervisor.run())
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except ConfigError as error:
        refuse(error)
    finally:
        _end_ray()
        shutil.rmtree(runtime_dir, ignore_errors=True)
    if as_json:
        print((plan.run_dir / "summary.json").read_text())
    else:
        print(f"run folder: {plan.run_dir}")
    return code


def _end_ray() -> None:
    import ray

    with contextlib.suppress(Exception):
        ray.shutdown()


class StopSignals:
    """First signal: stop in order. Second: skip the report, never the cancels."""

    def __init__(self) -> None:
        self.first: signal.Signals | None = None
        self.again = False
        self.event: asyncio.Event | None = None

    def install(self) -> None:
        self.event = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._caught, number)

    def _caught(self, number: signal.Signals) -> None:
        if self.first is None:
            self.first = number
            assert self.event is not None
            self.event.set()
        else:
            self.again = True

    @property
    def exit_code(self) -> int:
        return ExitCode.TERMINATED if self.first == signal.SIGTERM else ExitCode.INTERRUPTED


class Supervisor:
    """Owns the handles; asks every actor how it is and shows it. Survives nothing: its silence makes gateways cancel."""

    def __init__(self, plan: RunPlan, *, screen: Screen, stop: StopSignals, runtime_dir: Path, began_s: float) -> None:
        self._plan = plan
        self._screen = screen
        self._stop = stop
        self._runtime_dir = runtime_dir
        self._began_s = began_s
        self._fleet = Fleet(namespace=plan.namespace, detached=plan.detach)
        self._statuses: dict[str, dict[str, Any]] = {}  # role -> newest status
        self._deaths: dict[str, int] = {}  # role -> times it did not answer
        self._startup: dict[str, float] = {"ray_ready_s": time.monotonic() - began_s}
        self._samples: list[dict[str, Any]] = []
        self._all_quoting_s: float | None = None
        self._alive_orders: list[str] = []

    # --- life ------------------------------------------------------------------------------------------------

    async def run(self) -> int:
        self._stop.install()
        assert self._stop.event is not None
        heartbeat = poll = None
        try:
            up = asyncio.create_task(self._up())
            stopped = asyncio.create_task(self._stop.event.wait())
            await asyncio.wait({up, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if up.done():
                up.result()
            heartbeat = asyncio.create_task(self._forever(self._heartbeat, HEARTBEAT_INTERVAL_S))
            poll = asyncio.create_task(self._forever(self._poll, POLL_INTERVAL_S))
            if not up.done():
                up.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await up
            else:
                await self._until_quoting(stopped)
                await self._for_duration(stopped)
        finally:
            code = await self._down([task for task in (heartbeat, poll) if task])
        return code

    async def _up(self) -> None:
        plan, fleet, screen = self._plan, self._fleet, self._screen
        screen.stage("actors", "starting actors")
        accounts, relay_url, relay_key_file = await self._start_sim()
        run = RunDescription(
            run_id=plan.run_id,
            mode=plan.mode,
            namespace=plan.namespace,
            settings_json=plan.settings.model_dump_json(),
            accounts=accounts,
            symbols=plan.symbols,
            quote_groups=plan.quote_groups(),
            runtime_dir=str(self._runtime_dir),
            run_dir=str(plan.run_dir),
            journal_url=f"sqlite:///{plan.journal_path}",
            relay_url=relay_url,
            relay_key_file=relay_key_file,
            seed=plan.seed,
            lock_step=plan.speed == "max",
        )
        from actors.feed.actor import FeedActor
        from actors.gateway.actor import GatewayActor
        from actors.quote.actor import QuoteActor
        from actors.registry.actor import RegistryActor
        from actors.risk.actor import RiskActor

        registry = fleet.start("registry", RegistryActor, describe(run), precious=True)
        await self._alive("registry")
        fleet.start("risk", RiskActor, registry, precious=True)
        for venue in plan.venues:
            fleet.start(f"gateway:{venue}", GatewayActor, registry, venue, precious=True)
        shards = -(-len(plan.symbols) // plan.settings.feed.symbols_per_shard)
        for venue in plan.venues:
            for shard in range(shards):
                fleet.start(f"feed:{venue}:{shard}", FeedActor, registry, venue, shard, shards)
        groups = run.quote_groups
        screen.total("actors", len(groups))
        for at in range(0, len(groups), WAVE_SIZE):
            wave = groups[at : at + WAVE_SIZE]
            for group in wave:
                fleet.start(group.name, QuoteActor, registry, group.symbols, slot=True)
            await asyncio.gather(*(self._alive(group.name) for group in wave))
            screen.advance("actors", len(wave))
        self._startup["actors_s"] = self._since_start()

    async def _start_sim(self) -> tuple[tuple[VenueAccount, ...], str, str]:
        raise NotImplementedError

    async def _alive(self, role: str) -> None:
        """Wait until the actor answers; the slow part is its process."""
        await self._fleet.handles[role].pid.remote()

    async def _until_quoting(self, stopped: asyncio.Task[Any]) -> None:
        screen = self._screen
        screen.stage("books", "books in sync", total=len(self._plan.symbols))
        screen.stage("quoting", "symbols quoting", total=len(self._plan.symbols))
        while not stopped.done():
            quoting = self._quoting_count()
            screen.reached("books", sum(status.get("in_sync", 0) for status in self._role("feed:")))
            screen.reached("quoting", quoting)
            if quoting and "first_quote_s" not in self._startup:
                self._startup["first_quote_s"] = self._since_start()
            if quoting == len(self._plan.symbols):
                self._startup["all_quoting_s"] = self._since_start()
                screen.live()
                return
            await asyncio.wait({stopped}, timeout=0.25)

    async def _for_duration(self, stopped: asyncio.Task[Any]) -> None:
        self._all_quoting_s = time.monotonic()
        await asyncio.wait({stopped}, timeout=self._plan.duration_s)

    async def _down(self, tasks: list[asyncio.Task[None]]) -> int:
        raise NotImplementedError

    # --- watching --------------------------------------------------------------------------------------------

    async def _forever(self, step: Callable[[], Awaitable[None]], interval_s: float) -> None:
        while True:
            began = time.monotonic()
            await step()
            await asyncio.sleep(max(0.0, interval_s - (time.monotonic() - began)))

    async def _heartbeat(self) -> None:
        await self._ask({role: "heartbeat" for role in self._fleet.with_prefix("gateway:")})

    async def _poll(self) -> None:
        self._statuses.update(await self._ask({role: "status" for role in self._fleet.handles}))

    async def _ask(self, calls: dict[str, str], *args: Any, timeout_s: float = CALL_TIMEOUT_S) -> dict[str, Any]:
        """Call one method per role at once; who does not answer in time is left out and counted."""

        async def one(role: str, method: str) -> tuple[str, Any]:
            try:
                call = getattr(self._fleet.handles[role], method).remote(*args)
                return role, await asyncio.wait_for(call, timeout_s)
            except Exception as error:  # dead, restarting or slow: all mean "no news"
                self._deaths[role] = self._deaths.get(role, 0) + 1
                log.warning("%s did not answer %s: %s", role, method, type(error).__name__)
                return role, None

        answers = await asyncio.gather(*(one(role, method) for role, method in calls.items()))
        return {role: answer for role, answer in answers if answer is not None}

    def _role(self, prefix: str) -> list[dict[str, Any]]:
        return [status for role, status in self._statuses.items() if role.startswith(prefix)]

    def _quoting_count(self) -> int:
        return sum(
            row.get("two_sided", False) for status in self._role("quote:") for row in status.get("symbols", {}).values()
        )

    def _since_start(self) -> float:
        return round(time.monotonic() - self._began_s, 3)
