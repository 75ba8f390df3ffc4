"""One run from start to report: bring the fleet up in order, watch it, take it down without leaving an order.

Order of start: Ray, venues (sim), registry, risk, gateways, feeds, models, quote actors in waves. Order of stop: quotes
cancel and release, gateways cancel what is left and wait for the venue's word, then figures, then processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import signal
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import psutil
from ray.exceptions import RayActorError

from actors.console.audit_views import AuditResult
from actors.console.screen import Screen, say, write_nowhere
from actors.console.summary import build_summary, failures
from actors.risk.markouts import FillTrace
from actors.transport.identity import TCP_AUTO
from actors.transport.meters import Histogram
from actors.vocab.control import QuoteGroup, RunDescription
from actors.vocab.errors import ConfigError, VenueFault
from pipelines.audit_ledger import audit_run
from pipelines.cards import posted
from pipelines.exits import ExitCode, refuse
from pipelines.figures import Figures
from pipelines.launcher import FORWARDED
from pipelines.metrics import Metrics
from pipelines.plan import RunPlan, make_runtime_dir
from pipelines.run_folder import write_risk, write_run
from pipelines.run_tables import write_report
from pipelines.simulation import start_simulation
from pipelines.topology import Fleet, RegistryName, describe, ray_card, ray_pss_mb, start_ray, starts_at_once

log = logging.getLogger("supervisor")

POLL_INTERVAL_S = 1.0
# Each quote actor is asked once a round, and never all at once: fifty answers in a burst would hold up their quotes.
QUOTES_ROUND_S = 2.0
QUOTES_TURN_S = 0.1
HEARTBEAT_INTERVAL_S = 1.0
ECHO_INTERVAL_S = 0.1
CALL_TIMEOUT_S = 5.0
STOP_TIMEOUT_S = 15.0
SKIPPED = "skipped by the operator"  # why there is no audit


def supervise(plan: RunPlan, *, as_json: bool) -> int:
    """Run `plan` to its end and return the exit code."""
    screen = Screen(quiet=as_json, symbols_count=len(plan.symbols))
    stop = StopSignals(detached=plan.detach)
    runtime_dir = make_runtime_dir()
    began_s = time.monotonic()
    polite = True
    try:
        with screen:
            screen.stage("ray", "starting Ray")
            dashboard = start_ray(address=plan.address, namespace=plan.namespace)
            screen.done("ray", f"Ray is up, dashboard {dashboard or 'off'}")
            supervisor = Supervisor(
                plan, screen=screen, stop=stop, runtime_dir=runtime_dir, began_s=began_s, dashboard=dashboard
            )
            with posted(ray_card(plan)):
                code = asyncio.run(_to_the_end(supervisor, stop))
    except KeyboardInterrupt:
        # While Ray starts, before anything of ours: its own orderly end would take longer than the launcher's.
        polite = False
        raise
    except ConfigError as error:
        refuse(error)
    finally:
        _ignore_signals()
        if polite:
            _end_ray()
        shutil.rmtree(runtime_dir, ignore_errors=True)
    summary = plan.run_dir / "summary.json"
    if as_json and summary.exists():
        say(summary.read_text())
    elif not as_json:
        say(f"run folder: {plan.run_dir}")
    return code


async def _to_the_end(supervisor: Supervisor, stop: StopSignals) -> int:
    """Nothing is left to be stopped afterwards: a signal while Ray shuts down must not keep us from clearing up."""
    try:
        return await supervisor.run()
    finally:
        stop.ignore()


def _ignore_signals() -> None:
    for number in FORWARDED:
        signal.signal(number, signal.SIG_IGN)


def _end_ray() -> None:
    import ray

    with contextlib.suppress(Exception):
        ray.shutdown()


class StopSignals:
    """First signal: stop in order. Second: skip the report, never the cancels. Detached, a lost terminal is none."""

    def __init__(self, *, detached: bool = False) -> None:
        self._detached = detached
        self.first: signal.Signals | None = None
        self.again = False
        self.count = 0
        self.event: asyncio.Event | None = None

    def install(self) -> None:
        self.event = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in FORWARDED:
            loop.add_signal_handler(number, self._caught, number)
        if self._detached:
            # The terminal is gone, the fleet goes on: `ctl` shows it, SIGTERM ends it.
            loop.add_signal_handler(signal.SIGHUP, write_nowhere, sys.stdout, sys.stderr)

    def ignore(self) -> None:
        """From here on. The end of the loop would put back the handlers that end a process at once."""
        loop = asyncio.get_running_loop()
        for number in FORWARDED:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)

    def _caught(self, number: signal.Signals) -> None:
        self.count += 1
        if self.first is None:
            self.first = number
            assert self.event is not None
            self.event.set()
        else:
            self.again = True

    @property
    def exit_code(self) -> int:
        if self.first is None:
            return ExitCode.FINE
        return ExitCode.TERMINATED if self.first == signal.SIGTERM else ExitCode.INTERRUPTED


class Supervisor:
    """Owns the handles; asks every actor how it is and shows it. When it goes silent the gateways cancel everything."""

    def __init__(
        self,
        plan: RunPlan,
        *,
        screen: Screen,
        stop: StopSignals,
        runtime_dir: Path,
        began_s: float,
        dashboard: str,
    ) -> None:
        self._plan = plan
        self._screen = screen
        self._stop = stop
        self._runtime_dir = runtime_dir
        self._began_s = began_s
        # Ray kills a dead driver's actors at once: on a Ray that outlives us, gateways need longer to cancel.
        self._fleet = Fleet(namespace=plan.namespace, detached=plan.detach or bool(plan.address))
        self._figures = Figures(plan, dashboard=dashboard)
        self._startup: dict[str, float] = {"ray_ready_s": self._since_start()}
        self._ray_call = Histogram()
        self._answered: set[str] = set()  # roles that have spoken at least once
        self._turns: deque[str] = deque()  # quote roles in the order in which they are asked
        self._turns_due = 0.0  # how many of them may be asked by now
        self._asking: dict[str, asyncio.Task[None]] = {}  # the questions to them that are out
        self._told: set[str] = set()  # lines about models that the operator has heard
        self._given_up: dict[str, str] = {}  # role -> why the registry does not let it live again
        self._quoting_since_s: float | None = None  # when all symbols quoted for the first time
        self._cpu_mean = 0.0  # since all symbols quote
        self._cpu_looks_count = 0
        self._metrics = Metrics()
        psutil.cpu_percent()  # the first reading only sets the mark

    # --- life ------------------------------------------------------------------------------------------------

    async def run(self) -> int:
        """Up, watch, down. Whatever happens in between, `down` runs and its cancels are not skipped."""
        self._stop.install()
        assert self._stop.event is not None
        stopped = asyncio.create_task(self._until_stopped(self._stop.event))
        watchers: list[asyncio.Task[None]] = []
        up = asyncio.create_task(self._up())
        try:
            watchers = [
                asyncio.create_task(self._forever(self._heartbeat, HEARTBEAT_INTERVAL_S)),
                asyncio.create_task(self._forever(self._poll, POLL_INTERVAL_S)),
                asyncio.create_task(self._forever(self._poll_some_quotes, QUOTES_TURN_S)),
                asyncio.create_task(self._forever(self._echo, ECHO_INTERVAL_S)),
            ]
            await asyncio.wait({up, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if up.done():
                up.result()
                await self._until_quoting(stopped)
                await self._for_duration(stopped)
        finally:
            up.cancel()
            stopped.cancel()
            code = await self._down(watchers)
        return code

    async def _until_stopped(self, signalled: asyncio.Event) -> None:
        """Return at the first signal, or when a replay has ended."""
        while not (signalled.is_set() or self._figures.replay().get("state") == "ended"):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(signalled.wait(), POLL_INTERVAL_S / 4)

    def _now_s(self) -> float:
        """Seconds of the clock that the brains live by: ours, or that of a recording in lock-step."""
        if self._plan.speed == "max":
            return float(self._figures.replay().get("at_s", 0.0))
        return time.monotonic()

    async def _up(self) -> None:
        plan, fleet, screen = self._plan, self._fleet, self._screen
        screen.stage("actors", "starting actors")
        venues = await start_simulation(plan, fleet, self._runtime_dir, tell=screen.note)
        run = RunDescription(
            run_id=plan.run_id,
            mode="replay" if plan.replay else plan.mode,
            namespace=plan.namespace,
            settings_json=plan.settings.model_dump_json(),
            accounts=venues.accounts,
            symbols=plan.symbols,
            quote_groups=plan.quote_groups(),
            runtime_dir=str(self._runtime_dir),
            run_dir=str(plan.run_dir),
            journal_url=f"sqlite:///{plan.journal_path}",
            relay_url=venues.relay_url,
            relay_key_file=venues.relay_key_file,
            seed=plan.seed,
            lock_step=plan.speed == "max",
            start_ns=venues.start_ns,
            tcp_host=TCP_AUTO if plan.address else "",  # a cluster that we join may have several nodes
        )
        write_run(plan.run_dir, run)
        await self._start_actors(run)
        for sim in fleet.with_prefix("sim:").values():  # none where the venues run elsewhere
            await sim.join_run.remote(fleet.handles["registry"])
            await sim.release.remote()
        self._startup["actors_s"] = self._since_start()

    async def _start_actors(self, run: RunDescription) -> None:
        from actors.feed.actor import FeedActor
        from actors.gateway.actor import GatewayActor
        from actors.llm.actor import LlmActor
        from actors.quote.actor import QuoteActor
        from actors.registry.actor import RegistryActor
        from actors.risk.actor import RiskActor
        from actors.treasury.actor import TreasuryActor

        plan, fleet, screen = self._plan, self._fleet, self._screen
        fleet.start("registry", RegistryActor, describe(run), precious=True)
        registry = RegistryName(plan.namespace)
        await self._alive("registry")
        fleet.start("risk", RiskActor, registry, precious=True)
        for venue in plan.venues:
            fleet.start(f"gateway:{venue}", GatewayActor, registry, venue, precious=True, supervised=True)
        shards = -(-len(plan.symbols) // plan.settings.feed.symbols_per_shard)
        for venue in plan.venues:
            for shard in range(shards):
                fleet.start(
                    f"feed:{venue}:{shard}", FeedActor, registry, venue, shard, shards, head=plan.mode != "live"
                )
        # Who is quoted by comes first: the first symbol then quotes while the last ones start.
        await asyncio.gather(*(self._alive(role) for role in list(fleet.handles)))
        groups = run.quote_groups
        screen.stage("actors", "starting quote actors", total=len(groups))
        room = asyncio.Semaphore(starts_at_once())

        async def start_quotes(group: QuoteGroup) -> None:
            async with room:
                fleet.start(group.name, QuoteActor, registry, group.symbols, slot=True)
                await self._alive(group.name)
            screen.advance("actors", 1)

        await asyncio.gather(*(start_quotes(group) for group in groups))
        if plan.use_llm:
            # Last: nobody waits for an opinion. The simulated relay listens on the head's loopback.
            fleet.start("treasury", TreasuryActor, registry, head=True)
            for index in range(plan.settings.llm.pool_size):
                fleet.start(f"llm:{index}", LlmActor, registry, head=plan.mode != "live", spread=plan.mode == "live")

    async def _alive(self, role: str) -> None:
        """Wait until the actor answers; the slow part is its process. One that dies first is started again by Ray, or
        given up by the registry, which ends the run."""
        while True:
            try:
                await self._fleet.handles[role].pid.remote()
                break
            except RayActorError:
                await asyncio.sleep(POLL_INTERVAL_S)
        if role.startswith("quote:"):
            self._turns.append(role)

    async def _until_quoting(self, stopped: asyncio.Task[Any]) -> None:
        screen, figures, wanted = self._screen, self._figures, len(self._plan.symbols)
        screen.stage("books", "books in sync", total=wanted)
        screen.stage("quoting", "symbols quoting", total=wanted)
        while not stopped.done():
            quoting = figures.quoted_count()
            screen.reached("books", figures.in_sync_count())
            screen.reached("quoting", quoting)
            if quoting == wanted:
                # The look between two polls may be the first to see a quote.
                self._startup["all_quoting_s"] = self._since_start()
                self._startup.setdefault("first_quote_s", self._startup["all_quoting_s"])
                figures.start_counting()
                self._quoting_since_s = self._now_s()
                return
            await asyncio.wait({stopped}, timeout=0.25)

    async def _for_duration(self, stopped: asyncio.Task[Any]) -> None:
        # In lock-step the venue itself ends after so many recorded seconds: which second of ours that is, is chance.
        await asyncio.wait({stopped}, timeout=None if self._plan.speed == "max" else self._plan.duration_s)

    async def _down(self, watchers: list[asyncio.Task[None]]) -> int:
        """Cancel first, count afterwards; nothing that fails in counting keeps an actor from being stopped."""
        failed: list[str] = []
        if self._plan.speed == "max":
            # An interrupted one ends here as at its last frame; nobody may leave while others wait for his step.
            await self._ask(self._roles("sim:"), "finish", timeout_s=2 * STOP_TIMEOUT_S)
        duration_s = self._now_s() - self._quoting_since_s if self._quoting_since_s is not None else 0.0
        self._screen.note("stopping: cancelling all orders")
        with self._telling("the last look at the quotes", failed):
            await self._poll(everybody=True)
            self._figures.stop_counting()
        await self._ask(self._roles("quote:"), "stop", timeout_s=STOP_TIMEOUT_S)
        alive = await self._ask(self._roles("gateway:"), "stop", timeout_s=STOP_TIMEOUT_S)
        unanswered = [f"{role}: did not answer" for role in self._roles("gateway:") if role not in alive]
        orders_alive = tuple(str(order) for orders in alive.values() for order in orders or ()) + tuple(unanswered)
        for watcher in watchers:
            watcher.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)
        # An audit may take longer than a detached risk waits for a word.
        watching = asyncio.create_task(self._forever(self._watch, HEARTBEAT_INTERVAL_S))
        code = ExitCode.FAILED if self._given_up else self._stop.exit_code
        try:
            code = await self._count(duration_s, orders_alive, failed) or code
        finally:
            watching.cancel()
            await self._ask(self._roles("risk") + self._roles("treasury"), "stop", timeout_s=STOP_TIMEOUT_S)
            self._fleet.kill(self._fleet.watched)  # the others end with us
        return ExitCode.FAILED if failed else code

    async def _count(self, duration_s: float, orders_alive: tuple[str, ...], failed: list[str]) -> int:
        """Last figures, audit, report; return FAILED or FULL_STOP where the run deserves it, else 0."""
        with self._telling("the last figures", failed):
            last = await self._ask([role for role in self._fleet.handles if not role.startswith("quote:")], "status")
            self._figures.take(last)
            await self._ask(self._roles("sim:"), "write_orders", str(self._plan.run_dir / "orders.jsonl"))
        if not self._stop.again:
            audit: AuditResult | str = "it failed"
            traces: list[FillTrace] = []
            with self._telling("the audit", failed):
                audit = await self._audit()
            with self._telling("the fills of the report", failed):
                fills = await self._ask(["risk"], "fills")
                traces = msgspec.msgpack.decode(fills["risk"], type=list[FillTrace]) if fills else []
            with self._telling("the report", failed):
                return self._write_report(duration_s, orders_alive, audit, traces)
        if orders_alive:
            self._screen.note(f"orders possibly alive: {', '.join(orders_alive)}")
            return ExitCode.FAILED
        return ExitCode.FINE

    @contextlib.contextmanager
    def _telling(self, what: str, failed: list[str]) -> Iterator[None]:
        """What goes wrong inside is told and makes the run a failure; what comes after it is done all the same."""
        try:
            yield
        except Exception as error:
            log.exception("%s failed", what)
            self._screen.note(f"FAILED: {what}: {type(error).__name__}: {error}")
            failed.append(what)

    async def _audit(self) -> AuditResult | str:
        """Compare with the venues' own ledgers; why not, when they cannot be read."""
        await self._ask(self._roles("sim:"), "save_ledgers", str(self._plan.run_dir))
        write_risk(self._plan.run_dir, self._figures.risk)
        self._screen.note("auditing against the venue's own ledger; Ctrl-C skips it")
        signals_count = self._stop.count
        reading = asyncio.create_task(audit_run(self._plan.run_dir))
        while not reading.done():
            await asyncio.wait({reading}, timeout=0.25)
            if self._stop.count > signals_count:
                reading.cancel()
                self._screen.note(f"NOT AUDITED: {SKIPPED}; python -m pipelines.audit_ledger does it later")
                return SKIPPED
        try:
            return reading.result()
        except (ConfigError, VenueFault) as error:
            self._screen.note(f"NOT AUDITED: {error}")
            return str(error)

    def _write_report(
        self, duration_s: float, orders_alive: tuple[str, ...], audit: AuditResult | str, fills: Sequence[FillTrace]
    ) -> int:
        """Write summary and report; return FAILED or FULL_STOP where the run deserves it, else 0."""
        facts = self._figures.facts(
            duration_s=duration_s,
            startup=self._startup,
            ray_call=self._ray_call,
            cpu_share=self._cpu_mean,
            ray_pss_mb=ray_pss_mb(),
            audit=audit,
            orders_alive=orders_alive,
        )
        summary = build_summary(facts)
        failed = failures(summary)
        for line in failed:
            self._screen.note(f"must be zero: {line}")
        write_report(self._plan.run_dir, self._figures.record(summary, fills, duration_s), failed)
        if isinstance(audit, str):
            # Zero lines are what the venues say: of a run that traded, our own word alone does not make them zero.
            if audit != SKIPPED and summary["orders"]["placed"]:
                failed.append("orders were placed and nobody has compared them: run python -m pipelines.audit_ledger")
                self._screen.note(failed[-1])
        elif not audit.is_good:
            failed.append("the audit finds differences: run python -m pipelines.audit_ledger on the run folder")
            self._screen.note(failed[-1])
        if failed:
            return ExitCode.FAILED
        return ExitCode.FULL_STOP if summary["risk"].get("state") == "FULL_STOP" else ExitCode.FINE

    # --- watching --------------------------------------------------------------------------------------------

    async def _forever(self, step: Callable[[], Awaitable[None]], interval_s: float) -> None:
        """Again and again: without its watchers a run would go on unseen, and its gateways would leave it."""
        told = ""
        while True:
            began_s = time.monotonic()
            try:
                await step()
            except Exception as error:
                if told != (told := repr(error)):  # ten a second of one kind would bury all else
                    log.exception("watching failed, and goes on")
            await asyncio.sleep(max(0.0, interval_s - (time.monotonic() - began_s)))

    async def _heartbeat(self) -> None:
        """Not awaited: a gateway that answers late must not make the next beat late as well."""
        for role in self._roles("gateway:"):
            self._fleet.handles[role].heartbeat.remote()
        await self._watch()

    async def _watch(self) -> None:
        """The others need no more than to know that somebody is still here."""
        for role in self._fleet.watched:
            self._fleet.handles[role].watched.remote()

    async def _echo(self) -> None:
        """A bare Ray call under the run's own load, to compare our links with; as they, from when all symbols quote."""
        if self._quoting_since_s is None:
            return
        began_ns = time.monotonic_ns()
        if await self._ask(["registry"], "pid"):
            self._ray_call.record((time.monotonic_ns() - began_ns) / 1000)

    async def _poll_some_quotes(self) -> None:
        """The next few quote actors. Not awaited: one that is starting again must not keep the others waiting."""
        self._turns_due += len(self._turns) * QUOTES_TURN_S / QUOTES_ROUND_S
        while self._turns_due >= 1:
            self._turns_due -= 1
            role = self._turns[0]
            self._turns.rotate(-1)
            if role not in self._asking:
                self._asking[role] = asyncio.create_task(self._ask_quote(role))

    async def _ask_quote(self, role: str) -> None:
        try:
            self._figures.take(await self._ask([role], "status"))
        finally:
            del self._asking[role]

    async def _poll(self, *, everybody: bool = False) -> None:
        roles = [role for role in self._fleet.handles if everybody or not role.startswith("quote:")]
        statuses = await self._ask(roles, "status")
        given_up = statuses.pop("registry", {}).get("given_up", {})
        self._figures.take(statuses)
        if self._plan.speed == "max":
            why = "it died, and a lock-step replay cannot go on with a new life of it"
            given_up = given_up or dict.fromkeys(self._figures.restarts, why)
        if given_up and not self._given_up:
            self._given_up = dict(given_up)
            for role, reason in self._given_up.items():
                self._screen.note(f"{role} is given up: {reason}")
            assert self._stop.event is not None
            self._stop.event.set()
        for news in self._figures.operator_lines():
            if news not in self._told:
                self._told.add(news)
                self._screen.note(news)
        if self._figures.quoting_count() and "first_quote_s" not in self._startup:
            self._startup["first_quote_s"] = self._since_start()
        self._metrics.show_reasons(self._figures.codes())
        if self._quoting_since_s is not None:
            cpu_share = psutil.cpu_percent() / 100
            self._cpu_looks_count += 1
            self._cpu_mean += (cpu_share - self._cpu_mean) / self._cpu_looks_count
            elapsed_s = self._now_s() - self._quoting_since_s
            line, rows = self._figures.fleet_line(elapsed_s, cpu_share), self._figures.rows()
            self._metrics.show(line, rows, self._figures.sample(elapsed_s))
            self._screen.show(line, rows)
            self._ask_for_a_verdict()

    def _ask_for_a_verdict(self) -> None:
        """Hand the book's newest figures to the model pool, which decides itself when to ask. Never awaited."""
        member = self._fleet.handles.get("llm:0")
        if member is not None and self._figures.risk:
            figures, limit_usd, drawdown_pct = self._figures.risk_question(self._plan.settings.risk)
            member.ask_risk.remote(figures, limit_usd, drawdown_pct)

    async def _ask(
        self, roles: list[str], method: str, *args: Any, timeout_s: float = CALL_TIMEOUT_S
    ) -> dict[str, Any]:
        """Call one method of many actors at once; who does not answer in time is left out."""

        async def one(role: str) -> tuple[str, Any, bool]:
            try:
                call = getattr(self._fleet.handles[role], method).remote(*args)
                answer = await asyncio.wait_for(call, timeout_s)
                self._answered.add(role)
                return role, answer, True
            except Exception as error:  # dead, restarting or slow: all mean "no news", and Ray has no common base
                if role in self._answered:  # before its first word it is only starting
                    log.warning("%s did not answer %s: %s", role, method, type(error).__name__)
                return role, None, False

        answers = await asyncio.gather(*(one(role) for role in roles))
        return {role: answer for role, answer, good in answers if good}

    def _roles(self, prefix: str) -> list[str]:
        return [role for role in self._fleet.handles if role.startswith(prefix)]

    def _since_start(self) -> float:
        return round(time.monotonic() - self._began_s, 3)
