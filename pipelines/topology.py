"""The only place that names Ray: which actor runs where, under which name, and what Ray does when it dies.

Actor classes are plain (`actors/*/actor.py`). Here each gets a host whose constructor starts its `run()`: Ray re-runs a
constructor after a crash and tells nobody, so nobody else could start it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import inspect
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import psutil
import ray
from ray._raylet import Config  # type: ignore[attr-defined]  # compiled, and its stub leaves it out
from ray.actor import ActorHandle

from actors.vocab.codec import encode
from actors.vocab.control import RunDescription
from actors.vocab.errors import ConfigError
from pipelines.cards import FleetCard
from pipelines.plan import RunPlan

log = logging.getLogger("topology")

# One custom resource a quote actor holds: zero-CPU actors would never make the autoscaler act.
QUOTE_SLOT = "quote_slot"
# What the head node offers: registry, risk and gateways stay with it, away from the quote actors' load.
HEAD_SLOT = "head_slot"
LOCAL_SLOTS = 10_000
LOCAL_STARTS_MAX = 3
# Processes that start at the same time, a core: a few more than it can run, since a start also waits.
STARTS_PER_CORE = 2
# Ray's async actors run at most this many calls at once; ours are status calls and commands, never market data.
CALLS_AT_ONCE = 16
# New objects before the collector looks for cycles: a second of messages, none of which is part of one.
YOUNG_OBJECTS_MAX = 20_000
# A detached actor that no supervisor has called for so long leaves for good. Gateways have cancelled long before.
UNWATCHED_S = 30.0
TOKEN_FILE = Path("~/.ray/auth_token")  # where `ray get-auth-token --generate` puts it


class RegistryName(msgspec.Struct, frozen=True):
    """The registry in a constructor's arguments: a handle there would tie every restart to the driver's memory."""

    namespace: str

    def handle(self) -> ActorHandle[Any]:
        return ray.get_actor("registry", namespace=self.namespace)


@functools.cache
def hosted(kind: Hashable) -> Any:
    """Return the Ray class of `kind`: it owns the plain object, starts its `run()` in each life, and passes calls on.

    Not a subclass: Ray wraps every method of an actor's class, private ones too, and each message would pay for it.
    Cached: Ray pickles and stores each class once, not once an actor.
    """
    calls = {
        name: _passed_on(method)
        for name, method in inspect.getmembers(kind, inspect.iscoroutinefunction)
        if not name.startswith("_") and name != "run"
    }
    return ray.remote(type(str(getattr(kind, "__name__", kind)), (_Hosted,), {"kind": kind, **calls}))


def _passed_on(method: Callable[..., Any]) -> Callable[..., Any]:
    name = method.__name__

    @functools.wraps(method)  # Ray checks arguments by the signature
    async def call(self: _Hosted, *args: Any, **kwargs: Any) -> Any:
        return await getattr(self._actor, name)(*args, **kwargs)

    return call


class _Hosted:
    """What every actor of ours is to Ray."""

    kind: Callable[..., Any]  # of the subclass: the plain class

    def __init__(self, role: str, *args: Any, unwatched_s: float = 0.0, **kwargs: Any) -> None:
        """`unwatched_s` above 0: leave for good when nobody has called `watched` for so long."""
        _settle_memory()
        found = [one.handle() if isinstance(one, RegistryName) else one for one in args]
        self._role = role
        self._actor = type(self).kind(role, *found, **kwargs)
        self._running = asyncio.get_running_loop().create_task(self._actor.run(), name=role)
        self._running.add_done_callback(_end_loudly)
        self._watched_s = time.monotonic()
        if unwatched_s:
            self._leave_unwatched(unwatched_s)

    async def watched(self) -> None:
        """The supervisor lives."""
        self._watched_s = time.monotonic()

    def _leave_unwatched(self, unwatched_s: float) -> None:
        left_s = self._watched_s + unwatched_s - time.monotonic()
        if left_s > 0:
            asyncio.get_running_loop().call_later(left_s, self._leave_unwatched, unwatched_s)
        else:  # only a kill keeps Ray from starting another life
            ray.kill(ray.get_runtime_context().current_actor, no_restart=True)

    async def pid(self) -> int:
        """Process id, for tests that kill."""
        return os.getpid()

    def __repr__(self) -> str:
        return self._role


def _settle_memory() -> None:
    """What has been imported stays, so the collector need not walk it: a full walk holds a loop up for 40 ms."""
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS_MAX)


def _end_loudly(task: asyncio.Task[None]) -> None:
    """A `run()` that fails ends the process, so that Ray starts a new life instead of keeping a silent one."""
    if task.cancelled():
        return
    error = task.exception()
    if error is not None:
        import traceback

        traceback.print_exception(error)
        os._exit(1)


def start_ray(*, address: str | None, namespace: str, cpus: int | None = None) -> str:
    """Start a local Ray or join `address`; return the dashboard's URL, empty where there is none."""
    set_ray_environment()
    options: dict[str, Any] = {
        "namespace": namespace,
        "log_to_driver": False,
        "logging_level": logging.ERROR,
    }
    if address:
        context = join_ray(address, **options)
    else:
        # Loopback only, and a fixed small object store: nothing of ours goes through it.
        context = _start_local(
            num_cpus=cpus or max(2, os.cpu_count() or 2),
            resources={QUOTE_SLOT: LOCAL_SLOTS, HEAD_SLOT: LOCAL_SLOTS},
            include_dashboard=True,
            dashboard_host="127.0.0.1",
            object_store_memory=100 * 1024 * 1024,
            **options,
        )
    url = getattr(context, "dashboard_url", "") or ""
    return f"http://{url}" if url else ""


def join_ray(address: str, **options: Any) -> Any:
    """Connect to a Ray that runs; ConfigError when it does not take us."""
    if "RAY_AUTH_MODE" not in os.environ and TOKEN_FILE.expanduser().exists():
        _choose_auth_mode(address)
    with _hushed():
        try:
            return ray.init(address=address, **options)
        except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            text = " ".join(str(error).split())[:200]
            raise ConfigError(f"--address {address}: Ray refuses ({text}); is it another Ray, or its token?") from None


# Leaves with 3 where a cluster refuses callers without a token. In a process of its own: Ray reads the mode once.
_KNOCK = """
import sys
from ray._private.services import canonicalize_bootstrap_address_or_die
from ray._raylet import GcsClient
from ray.exceptions import AuthenticationError
try:
    GcsClient(address=canonicalize_bootstrap_address_or_die(sys.argv[1]))
except AuthenticationError:
    sys.exit(3)
"""


def _choose_auth_mode(address: str) -> None:
    """Show our token only to a Ray that asks for one: another would take us, fail to call us back, and end our actors
    before they start. Ray itself shows it always where it finds the address by itself, and else never."""
    knock = subprocess.run([sys.executable, "-c", _KNOCK, address], capture_output=True, timeout=60, check=False)
    os.environ["RAY_AUTH_MODE"] = "token" if knock.returncode == 3 else "disabled"
    Config.initialize("")  # it has read the environment when it was imported


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """Ray's own C++ writes a line each second to stderr while a cluster refuses it."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _start_local(**options: Any) -> Any:
    """Start a Ray of our own. It gives itself 30 s, too few where the cores are busy (seen at a load of 20 on two);
    then what it had started is ended and it is started again."""
    others = set(psutil.Process().children(recursive=True))
    for left in reversed(range(LOCAL_STARTS_MAX)):
        try:
            # Without "local" Ray would join any cluster that this machine has started by hand.
            return ray.init("local", **options)
        except Exception as error:  # Ray raises nothing narrower here
            if not left or "timed out during startup" not in str(error):
                raise
            log.warning("Ray did not start in time; trying again")
            for process in set(psutil.Process().children(recursive=True)) - others:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
    raise AssertionError("unreachable: the last try returns or raises")


def starts_at_once() -> int:
    """How many actors may be starting at any moment; more would only make the first ones late."""
    return STARTS_PER_CORE * max(2, int(ray.cluster_resources().get("CPU", 0)))  # type: ignore[no-untyped-call]


def ray_card(plan: RunPlan) -> FleetCard:
    """How others of this machine reach the Ray that this process is connected to."""
    address = str(ray.get_runtime_context().gcs_address)
    return FleetCard(plan.account, address, str(plan.run_dir), os.environ.get("RAY_AUTH_MODE", ""))


def set_ray_environment() -> None:
    """What Ray's processes read from the environment in which they start; what the operator has set stays."""
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # Ray runs its workers at nice 15 by default: a quote would wait for whatever else the machine does.
    os.environ.setdefault("RAY_worker_niceness", "0")
    # Above it Ray prints a warning about many actors into stdout. Waves keep the real number of starts small.
    os.environ.setdefault("RAY_worker_maximum_startup_concurrency", "128")
    # A local Ray is killed together with its driver, and its workers end as soon as they notice. Gateways notice at
    # once and cancel, which takes up to ten seconds; risk journals what happens until then.
    os.environ.setdefault("RAY_raylet_death_check_interval_milliseconds", "15000")


class Fleet:
    """Handles of everything that runs, by role."""

    def __init__(self, *, namespace: str, detached: bool = False) -> None:
        self.namespace = namespace
        self.handles: dict[str, ActorHandle[Any]] = {}
        self.watched: list[str] = []  # roles that leave when their `watched` is not called
        self._lifetime = "detached" if detached else None

    def start(
        self,
        role: str,
        kind: Any,
        *args: Any,
        slot: bool = False,
        precious: bool = False,
        head: bool = False,
        spread: bool = False,
        **kwargs: Any,
    ) -> ActorHandle[Any]:
        """Create the actor `role`. `precious` ones live on the head node and, in a detached fleet, outlive the driver
        for `UNWATCHED_S`; `head` ones only live there, beside the simulated venues that listen on its loopback;
        `spread` ones live on different nodes where there are several."""
        options: dict[str, Any] = {
            "name": role,
            "namespace": self.namespace,
            "num_cpus": 0,
            "max_restarts": -1,
            "max_task_retries": 0,  # a call may have run although it failed; nothing of ours is blindly repeated
            "max_concurrency": CALLS_AT_ONCE,
        }
        if slot or precious or head:
            options["resources"] = {QUOTE_SLOT if slot else HEAD_SLOT: 1}
        if spread:
            options["scheduling_strategy"] = "SPREAD"
        if precious and self._lifetime:
            options["lifetime"] = self._lifetime
            kwargs["unwatched_s"] = UNWATCHED_S
            self.watched.append(role)
        handle: ActorHandle[Any] = hosted(kind).options(**options).remote(role, *args, **kwargs)
        self.handles[role] = handle
        return handle

    def with_prefix(self, prefix: str) -> dict[str, ActorHandle[Any]]:
        return {role: handle for role, handle in self.handles.items() if role.startswith(prefix)}

    def kill(self, roles: Sequence[str] | None = None) -> None:
        """End processes without ceremony; for the very end and for tests."""
        for role in roles if roles is not None else list(self.handles):
            handle = self.handles.get(role)
            if handle is not None:
                ray.kill(handle, no_restart=True)


def describe(run: RunDescription) -> bytes:
    """A run as the registry's constructor argument; secrets are never part of it."""
    return encode(run)


def ray_pss_mb() -> float:
    """Memory of Ray's own processes on this node (raylet, control store, dashboard), in proportional MB."""
    total_kb = 0
    for process in psutil.process_iter(["cmdline"]):
        words = " ".join(process.info["cmdline"] or [])
        if "/ray/" not in words or "ray::" in words or "default_worker.py" in words:
            continue
        try:
            with open(f"/proc/{process.pid}/smaps_rollup") as file:
                total_kb += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        except OSError:
            continue  # it ended, or is not ours to look at
    return total_kb / 1024
