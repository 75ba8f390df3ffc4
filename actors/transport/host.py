"""What every actor shell owns: identity, clock, links, membership in the registry, timers, supervised tasks.

    host = ActorHost(role="quote:BTCUSDT", registry=handle)
    await host.start()                       # learns run and settings, makes the links
    host.links.server("orders", ...)         # bind channels
    host.on_member.append(self._on_member)   # hook up
    await host.join()                        # announced; hooks are called for all who are here already

Restart: nothing survives but the role. A new process makes a new incarnation and new keys, registers, and learns
the rest. A restarted registry is noticed by its broken link; we register again, and meanwhile keep what we know.

Failure is loud: an exception in a callback, timer or task goes to the log and stderr with its traceback, the links
are closed and the process exits with 1, so that Ray starts it anew with empty state.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sys
import time
import traceback
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

import msgspec

from actors.transport.alarm import Cancellable
from actors.transport.host_log import ActorLog
from actors.transport.identity import (
    clock_of,
    environment,
    host_id,
    new_incarnation,
    runtime_folder,
    tcp_address,
)
from actors.transport.link_life import Backoff
from actors.transport.links import Client, LinkKeys, Links, Subscriber
from actors.transport.meters import CpuShare, Histogram, LoopLag, pss_mb
from actors.transport.step_gate import StepGate
from actors.transport.step_plan import STEPS_SILENCE_MS, VENUE, cast_of
from actors.vocab import codec
from actors.vocab.clock import Clock
from actors.vocab.config import FleetSettings
from actors.vocab.control import (
    DIRECTORY_TOPIC,
    INSTRUMENTS_TOPIC,
    Directory,
    FrameToken,
    Instruments,
    Joined,
    Member,
    RunDescription,
    Stop,
)
from actors.vocab.errors import OurFault
from actors.vocab.message import Message
from actors.vocab.units import NS_PER_MS, NS_PER_S

MEMBERS_CHANNEL = "members"  # the registry's server: nothing but beats, so that both sides see the other die
# Twice the links' own: a start of fifty processes on two cores makes loops late, and nothing urgent hangs on this one.
REGISTRY_SILENCE_MS = 3_000
REGISTER_TIMEOUT_S = 5.0
REGISTER_ATTEMPTS_MAX = 12  # at the start only, about 15 s; a member that has joined never gives up
REGISTER_FIRST_WAIT_S = 0.2
REGISTER_MAX_WAIT_S = 2.0
GOODBYE_TIMEOUT_S = 1.0
PSS_AGE_S = 20.0
STEPS_CHANNEL = "steps"  # the venue's server of a lock-step replay
READY_LOOK_S = 0.05


def registry_silence_ms(run: RunDescription) -> int:
    """After how long without a beat a member and the registry are lost to each other."""
    return STEPS_SILENCE_MS if run.lock_step else REGISTRY_SILENCE_MS


class ActorHost:
    """One per actor, on the actor's loop. `registry` is a Ray actor handle or anything with the same methods."""

    run: RunDescription  # from `start` on
    settings: FleetSettings
    links: Links
    log: ActorLog

    def __init__(
        self,
        *,
        role: str,
        registry: Any,
        environ: Mapping[str, str] | None = None,
        exit_process: Callable[[int], None] = os._exit,
    ) -> None:
        """Touches neither loop nor network. Tests pass `environ` (another host) and `exit_process` (to survive)."""
        self._environ = environment() if environ is None else environ
        self._registry = registry
        self._exit_process = exit_process
        self.role = role
        self.incarnation = new_incarnation(role)
        self.host = host_id(self._environ)
        self.clock: Clock = clock_of(self._environ)
        self.on_member: list[Callable[[Member, bool], None]] = []
        self.on_instruments: list[Callable[[Instruments], None]] = []
        self.stopping = False
        self._keys = LinkKeys.new()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timers: list[_Repeat] = []
        # Tasks of `spawn` that have not ended; held here so that none is collected while it runs.
        self._tasks: set[asyncio.Task[None]] = set()
        # name -> ready member, as the newest directory says; ourselves included
        self._members: dict[str, Member] = {}
        self._directory_version = -1
        # venue -> newest instruments heard, and those we offered ourselves (a new registry has to be told again)
        self._instruments: dict[str, Instruments] = {}
        self._offered: dict[str, Instruments] = {}
        self._pushes: Subscriber | None = None
        self._push_address = ""
        self._beats: Client | None = None
        self._rejoining = False
        self._faulted = False
        self._cpu = CpuShare()
        self._pss_mb = 0.0
        self._pss_due_s = 0.0
        self._lag: LoopLag | None = None
        # Lock-step replay only: clock, callbacks and timers follow the recording. Not to be asked why by brains.
        self.gate: StepGate | None = None
        self.machine_clock: Clock = self.clock  # for watchdogs over real processes; `clock` in every other run
        self.rng = random.Random()  # jitter of shells; no decision depends on it. Seeded in lock-step
        self.ready_when: list[Callable[[], str]] = []  # lock-step: why the first step must wait for us, "" if not
        self._steps: Client | None = None

    # --- life ----------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Register for the first time: afterwards `run`, `settings`, `links` and `log` exist.

        A role that keeps dying is held back here. OurFault when the registry refuses us (crash loop, replaced) or
        does not answer; the reason is in the text.
        """
        self._loop = asyncio.get_running_loop()
        newcomer = Member(self.role, self.incarnation, self.host, (), self._keys.public, ready=False)
        joined = await self._register_at_start(newcomer)
        self.run = joined.run
        self.settings = FleetSettings.model_validate_json(self.run.settings_json)
        self.log = ActorLog(self.role, self.run.run_dir)
        self._prepare_steps()
        if joined.wait_ms:
            self.log.warning("held back by the registry: this role died often", wait_ms=joined.wait_ms)
            await asyncio.sleep(joined.wait_ms / 1e3)
        tcp_host = tcp_address(self.run.tcp_host, self._environ)
        self.links = Links(
            name=self.role,
            incarnation=self.incarnation,
            host=self.host,
            runtime_dir=runtime_folder(self.run.runtime_dir, self._environ),
            tcp_host=tcp_host,
            keys=self._keys if tcp_host else None,
            on_fault=self.fault,
            gate=self.gate,
        )
        self.links.learn(joined.directory.members)
        self._lag = LoopLag(self._loop)
        self._lag.start()
        self.log.info("started", incarnation=self.incarnation, host=self.host)

    async def join(self) -> None:
        """Announce what is bound. Before this returns, the hooks have been called for everybody who is here already;
        from now on they are called at each change, on the loop, never for ourselves.
        """
        self._pushes = self.links.subscriber(self._on_pushes, stepped=False)
        self._pushes.topic(DIRECTORY_TOPIC)
        self._pushes.topic(INSTRUMENTS_TOPIC)
        self._beats = self.links.client(
            on_message=self._on_registry_message,
            on_state=self._on_registry,
            silence_ms=registry_silence_ms(self.run),
            stepped=False,
        )
        if self.gate is not None:
            self._steps = self.links.client(
                on_message=self._on_step, on_state=lambda up: None, silence_ms=STEPS_SILENCE_MS, stepped=False
            )
            self._report_ready()
        self._take(await self._register_at_start(self.links.member()))

    async def stop(self) -> None:
        """Leave the registry, end timers and tasks, close the links. No task of `spawn` may await this itself."""
        if self.stopping:
            return
        self.stopping = True
        self._end_timers()
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            goodbye = _answer(self._registry.leave.remote(self.role, self.incarnation))
            await asyncio.wait_for(goodbye, GOODBYE_TIMEOUT_S)
        except Exception as error:  # whatever Ray raises: the registry will miss our beats instead
            self._note("the registry did not hear our goodbye", error=repr(error))
        if hasattr(self, "links"):
            self.links.close()
        if hasattr(self, "log"):
            self.log.info("stopped")
            self.log.close()

    def fault(self, error: BaseException) -> None:
        """Stop this actor loudly: log, close the links, exit the process with 1. Only the first call acts."""
        if self._faulted:
            return
        self._faulted = True
        text = "".join(traceback.format_exception(error))
        print(f"{self.role} stops: {error!r}\n{text}", file=sys.stderr, flush=True)
        try:
            if hasattr(self, "log"):
                self.log.error("stops on a fault", error=error, incarnation=self.incarnation)
        finally:
            self.stopping = True
            self._end_timers()
            if hasattr(self, "links"):
                self.links.close()
            self._exit_process(1)

    # --- the others ----------------------------------------------------------------------------------------

    def members(self, prefix: str) -> list[Member]:
        """Return the live members whose name starts with `prefix`, by name."""
        return sorted((m for name, m in self._members.items() if name.startswith(prefix)), key=lambda m: m.name)

    def address_of(self, member: Member, channel: str) -> str:
        """Return how to reach a member's channel from here, for `Subscriber.connect`; "" if not at all."""
        return self.links.address_of(member, channel)

    @property
    def instruments(self) -> dict[str, Instruments]:
        """venue -> the newest instruments the registry has pushed."""
        return dict(self._instruments)

    @property
    def registry_up(self) -> bool:
        """Whether the registry's beats arrive. While it is away the members we know stay as they are."""
        return self._beats is not None and self._beats.is_up

    async def offer_instruments(self, instruments: Instruments) -> None:
        """Give the newest instruments of a venue to everybody (feeds only). Offered again when the registry restarts;
        raises what Ray raises when it cannot be reached now.
        """
        self._offered[instruments.venue] = instruments
        await _answer(self._registry.offer_instruments.remote(codec.encode(instruments)))

    # --- time and tasks --------------------------------------------------------------------------------------

    def every(self, interval_ms: float, fn: Callable[[], None]) -> None:
        """Call `fn` each `interval_ms` until the stop, first after one interval; missed turns are skipped, not made up.

        An exception stops the actor loudly.
        """
        if self.gate is not None:
            self.gate.every(int(interval_ms * NS_PER_MS), fn)
            return
        self._timers.append(_Repeat(self._running_loop(), interval_ms / 1e3, fn, self.fault))

    def spawn(self, coro: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Run `coro` as a task; an exception in it stops the actor loudly, a normal end or a cancel does not."""
        if self.gate is not None:
            self.gate.touched()
        task = self._running_loop().create_task(coro, name=f"{self.role}/{name}")
        self._tasks.add(task)
        task.add_done_callback(self._on_task_end)
        return task

    async def sleep(self, wait_s: float) -> None:
        """Seconds of `clock`."""
        if self.gate is not None:
            await self.gate.sleep(wait_s)
        else:
            await asyncio.sleep(wait_s)

    async def wait(self, event: asyncio.Event, timeout_s: float | None) -> bool:
        """Wait for `event`, at most so many seconds of `clock`; whether it came."""
        if self.gate is not None:
            return await self.gate.wait(event, timeout_s)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), timeout_s)
        return event.is_set()

    def soon(self, fn: Callable[[], None]) -> None:
        """Call `fn` once everything that is readable by now has been handled. An exception stops the actor loudly."""
        if self.gate is not None:
            self.gate.soon(fn)
        else:
            self._running_loop().call_soon(self._guarded, fn)

    def at(self, at_ns: int, fn: Callable[[], None]) -> Cancellable:
        """Call `fn` once, when `clock` has reached `at_ns`. An exception stops the actor loudly."""
        if self.gate is not None:
            return self.gate.at(at_ns, fn)
        wait_s = max(0.0, (at_ns - self.clock.now_ns()) / NS_PER_S)
        return self._running_loop().call_later(wait_s, self._guarded, fn)

    # --- meters ----------------------------------------------------------------------------------------------

    def loop_lag_us(self) -> Histogram:
        """Return how late timers of this loop ran since the start."""
        return self._lag.histogram if self._lag is not None else Histogram()

    def cpu_share(self) -> float:
        """Return CPU time per wall time since the previous call; 1.0 is one core."""
        return self._cpu.read()

    def pss_mb(self) -> float:
        """Return proportional memory, at most `PSS_AGE_S` old: the kernel walks all pages for it, for milliseconds."""
        now_s = time.monotonic()
        if now_s >= self._pss_due_s:
            self._pss_due_s = now_s + PSS_AGE_S
            self._pss_mb = pss_mb()
        return self._pss_mb

    def vitals(self) -> dict[str, Any]:
        """Return the part of `status` that all actors share, plain JSON types."""
        return {
            "role": self.role,
            "incarnation": self.incarnation,
            "host": self.host,
            "cpu_share": self.cpu_share(),
            "cpu_s": time.process_time(),
            "pss_mb": self.pss_mb(),
            "loop_lag_us": self.loop_lag_us().summary(),
            "links": self.links.counters.as_dict() if hasattr(self, "links") else {},
            "registry_up": self.registry_up,
            **({"step": self.gate.step, "step_waits_for": self.gate.missing()} if self.gate is not None else {}),
        }

    # --- registry --------------------------------------------------------------------------------------------

    async def _register_at_start(self, member: Member) -> Joined:
        """Register, patiently: after a node's death the registry may be restarting just as we are."""
        backoff = Backoff(REGISTER_FIRST_WAIT_S, REGISTER_MAX_WAIT_S)
        for _ in range(REGISTER_ATTEMPTS_MAX - 1):
            try:
                return await self._register(member)
            except OurFault:
                raise
            except Exception as error:  # Ray's errors have no common base that we could name without importing Ray
                self._note("the registry does not answer yet", error=repr(error))
                await asyncio.sleep(backoff.next_s(random.random()))
        return await self._register(member)

    async def _register(self, member: Member) -> Joined:
        call = _answer(self._registry.register.remote(msgspec.msgpack.encode(member)))
        answer = codec.decode(await asyncio.wait_for(call, REGISTER_TIMEOUT_S))
        if isinstance(answer, Stop):
            raise OurFault(f"the registry refuses {member.incarnation}: {answer.reason}")
        if not isinstance(answer, Joined):
            raise OurFault(f"the registry answered {type(answer).__name__} to a registration, expected Joined")
        return answer

    def _take(self, joined: Joined) -> None:
        """Follow the registry to where it is now and take over what it knows."""
        if self._pushes is None or self._beats is None:
            return
        # First the keys, else a tcp connect to the registry could not prove itself.
        self.links.learn([*self._members.values(), *joined.directory.members])
        registry = next((m for m in joined.directory.members if m.name == "registry"), None)
        if registry is None:
            raise OurFault("the registry's directory does not name the registry itself")
        address = self.links.address_of(registry, "directory") or joined.push_address
        if address != self._push_address:
            self._pushes.disconnect(self._push_address)
            self._pushes.connect(address)
            self._push_address = address
        self._beats.dial(registry, MEMBERS_CHANNEL)
        self._on_directory(joined.directory)
        for instruments in joined.instruments:
            self._on_instruments(instruments)

    def _on_pushes(self, batch: list[tuple[bytes, Message]]) -> None:
        for _topic, message in batch:
            if isinstance(message, Directory):
                self._on_directory(message)
            elif isinstance(message, Instruments):
                self._on_instruments(message)

    def _on_directory(self, directory: Directory) -> None:
        """Replace what we know and tell the hooks the difference: first who went, then who came."""
        if directory.version <= self._directory_version:
            return
        self._directory_version = directory.version
        before = self._members
        now = {member.name: member for member in directory.members if member.ready}
        if not directory.complete:
            now = before | now
        self._members = now
        self.links.learn([*now.values(), *directory.members])
        went = [m for name, m in before.items() if name not in now or now[name].incarnation != m.incarnation]
        came = [m for name, m in now.items() if before.get(name) != m]
        for member in went:
            self._tell_member(member, False)
        for member in came:
            self._tell_member(member, True)

    def _tell_member(self, member: Member, came: bool) -> None:
        if member.name == VENUE and self._steps is not None:
            if came:
                self._steps.dial(member, STEPS_CHANNEL)
            else:
                self._steps.hang_up()
        elif member.name not in (self.role, "registry"):
            for hook in self.on_member:
                hook(member, came)

    def _on_instruments(self, instruments: Instruments) -> None:
        known = self._instruments.get(instruments.venue)
        if known is not None and known.rows == instruments.rows:
            return
        self._instruments[instruments.venue] = instruments
        if self.gate is not None:
            self.gate.note(f"instruments {instruments.venue}", partial(self._tell_instruments, instruments))
        else:
            self._tell_instruments(instruments)

    def _tell_instruments(self, instruments: Instruments) -> None:
        for hook in self.on_instruments:
            hook(instruments)

    def _on_registry_message(self, message: Message) -> None:
        """The registry says one thing here: stop, since a newer life has our name."""
        if isinstance(message, Stop):
            self.fault(OurFault(f"the registry stops {self.incarnation}: {message.reason}"))

    def _on_registry(self, up: bool) -> None:
        if up:
            return
        self.log.warning("the registry is away; what we know of the others stays")
        if not self._rejoining and not self.stopping:
            self._rejoining = True
            self.spawn(self._rejoin(), name="rejoin")

    async def _rejoin(self) -> None:
        """Register until the link to the registry, perhaps a new life of it, is up again. Never gives up.

        At least once, even if the link healed by itself: we may have been struck off meanwhile.
        """
        backoff = Backoff(REGISTER_FIRST_WAIT_S, REGISTER_MAX_WAIT_S)
        try:
            registered = False
            while not (registered and self.registry_up):
                await asyncio.sleep(backoff.next_s(random.random()))
                try:
                    joined = await self._register(self.links.member())
                    for instruments in self._offered.values():
                        await self.offer_instruments(instruments)
                except OurFault:
                    raise  # refused: a newer life has our name, so this one must end
                except Exception as error:
                    self.log.warning("the registry does not answer", error=repr(error))
                    continue
                self._take(joined)
                registered = True
        finally:
            self._rejoining = False

    # --- lock-step -------------------------------------------------------------------------------------------

    def _prepare_steps(self) -> None:
        """In a lock-step run: a clock that the recording moves, and callbacks that wait for their step."""
        if not self.run.lock_step:
            return
        self._cast = cast_of(self.run)
        if self.role in self._cast.everybody:
            self.gate = StepGate(role=self.role, cast=self._cast, start_ns=self.run.start_ns, on_fault=self.fault)
            self.gate.send_token = self._send_token
            self.clock = self.gate.clock
            self.rng = random.Random(f"{self.run.seed} {self.role}")

    def _report_ready(self) -> None:
        """Tell everybody once that the first step may begin, as far as we are concerned."""
        if self.stopping:
            return
        if self.why_not_ready():
            self._running_loop().call_later(READY_LOOK_S, self._guarded, self._report_ready)
            return
        if self._steps is not None:
            self._steps.send(FrameToken(0, self.clock.now_ns(), self.role))

    def why_not_ready(self) -> str:
        """Lock-step: why the first step cannot begin yet, as seen from here; "" when it can."""
        if self.gate is None:
            return ""
        if self._steps is None or not self._steps.is_up:
            return f"no link to {VENUE}"
        links_up = self.links.names_up()
        for peer in self.gate.peers:
            if peer not in links_up:
                return f"no link to {peer}"
        for account in self.run.accounts:
            if account.venue not in self._instruments:
                return f"no instruments of {account.venue}"
        if self.role in self._cast.feeds:
            missing = self._cast.subscribers_count(self.role) - self.links.step_readers_count
            if missing:
                return f"{missing} subscribers missing"
        if self.gate.is_busy:
            return "a connection is being opened"
        return next((reason for reason in (condition() for condition in self.ready_when) if reason), "")

    def _on_step(self, message: Message) -> None:
        if self.gate is not None and isinstance(message, FrameToken):
            self.gate.token(message)

    def _send_token(self, token: FrameToken) -> None:
        if self.role in self._cast.last:
            if self._steps is not None:
                self._steps.send(token)
        elif self.role in self._cast.feeds:
            self.links.publish_token(token)
        elif not token.short:
            self.links.send_token(token, "gateway:")
        elif self._steps is not None:
            self._steps.send(token)

    # --- inside ----------------------------------------------------------------------------------------------

    def _on_task_end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            error = task.exception()
            if error is not None:
                self.fault(error)

    def _guarded(self, fn: Callable[[], None]) -> None:
        try:
            fn()
        except Exception as error:
            self.fault(error)

    def _end_timers(self) -> None:
        if self.gate is not None:
            self.gate.close()
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        if self._lag is not None:
            self._lag.stop()

    def _note(self, sentence: str, **fields: object) -> None:
        """Log, or say it on stderr while there is no log yet."""
        if hasattr(self, "log"):
            self.log.warning(sentence, **fields)
        else:
            print(f"{self.role}: {sentence} {fields}", file=sys.stderr, flush=True)

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise OurFault(f"{self.role}: timers and tasks come after start()")
        return self._loop


class _Repeat:
    """A timer that keeps its rhythm: turns fall on multiples of the interval, late ones are skipped."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        interval_s: float,
        fn: Callable[[], None],
        on_fault: Callable[[BaseException], None],
    ) -> None:
        self._loop = loop
        self._interval_s = interval_s
        self._fn = fn
        self._on_fault = on_fault
        self._due_s = loop.time() + interval_s
        self._handle = loop.call_at(self._due_s, self._fire)
        self._cancelled = False

    def cancel(self) -> None:
        self._cancelled = True
        self._handle.cancel()

    def _fire(self) -> None:
        now_s = self._loop.time()
        missed = max(0, int((now_s - self._due_s) / self._interval_s))
        self._due_s += (missed + 1) * self._interval_s
        self._handle = self._loop.call_at(self._due_s, self._fire)
        try:
            self._fn()
        except Exception as error:
            self._on_fault(error)


async def _answer(call: Any) -> Any:
    """Await a Ray call; as a coroutine, since `wait_for` takes no bare ObjectRef."""
    return await call
