"""Hand-written stand-ins shared by the tests of several rooms."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvloop

from actors.registry.actor import RegistryActor
from actors.vocab import codec
from actors.vocab.config import FleetSettings
from actors.vocab.control import QuoteGroup, RunDescription, VenueAccount

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


def run_on(loop: str, main: Coroutine[Any, Any, None]) -> None:
    """Run `main` on a fresh loop of the named kind."""
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(main)


async def until(condition: Callable[[], Any], *, timeout_s: float = 5.0, what: str = "the condition") -> None:
    """Return as soon as `condition()` holds; AssertionError after `timeout_s`."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, f"{what} did not come within {timeout_s} s"
        await asyncio.sleep(0.002)


@contextmanager
def short_dir() -> Iterator[Path]:
    """A folder whose name is short enough for sockets; pytest's tmp_path is not always."""
    folder = Path(tempfile.mkdtemp(prefix="mt-", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_description(runtime_dir: Path, **changes: Any) -> RunDescription:
    """A small run of one symbol in sim mode; `changes` replace fields."""
    fields: dict[str, Any] = {
        "run_id": "test",
        "mode": "sim",
        "namespace": "test",
        "settings_json": FleetSettings().model_dump_json(),
        "accounts": (VenueAccount("binance_perp", "binance", "perp", "", "", "", "", "", "sim"),),
        "symbols": ("BTCUSDT",),
        "quote_groups": (QuoteGroup("quote:BTCUSDT", ("BTCUSDT",)),),
        "runtime_dir": str(runtime_dir / "s"),
        "run_dir": str(runtime_dir / "run"),
        "journal_url": "",
        "relay_url": "",
        "relay_key_file": "",
        "seed": 1,
    }
    return RunDescription(**(fields | changes))


class LocalHandle:
    """Looks like a Ray actor handle, but calls the object in this process: `await handle.method.remote(...)`.

    Like Ray, a call starts at once whether awaited or not, and runs as a task of its own.
    `replace` does what Ray does on a restart: the handle stays, the object behind it is new; None makes calls fail.
    """

    def __init__(self, target: Any) -> None:
        self._target = target

    def replace(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, name: str) -> _Method:
        return _Method(self, name)

    async def _call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._target is None:
            raise ConnectionError(f"the actor is dead; cannot call {name}")
        return await getattr(self._target, name)(*args, **kwargs)


class _Method:
    def __init__(self, handle: LocalHandle, name: str) -> None:
        self._handle = handle
        self._name = name

    def remote(self, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        return asyncio.ensure_future(self._handle._call(self._name, args, kwargs))


class FakeRegistry(LocalHandle):
    """A handle to a real RegistryActor in this process; several ActorHosts can join it on one loop, without Ray.

    with short_dir() as folder:
        registry = FakeRegistry(run_description(folder))
        host = ActorHost(role="quote:BTCUSDT", registry=registry)
        await host.start(); await host.join(); ...
        await host.stop(); await registry.close()
    """

    def __init__(self, run: RunDescription) -> None:
        self.run_description = run
        # Exit codes the registry would have ended its process with.
        self.exits: list[int] = []
        super().__init__(self._new_actor())

    @property
    def actor(self) -> RegistryActor:
        actor: RegistryActor = self._target
        return actor

    def kill(self) -> None:
        """End the registry as kill -9 would: no goodbye, calls fail."""
        self.actor._close()
        self.replace(None)

    def restart(self) -> None:
        """What Ray does after `kill`: the constructor again, with the same arguments."""
        self.replace(self._new_actor())

    async def close(self) -> None:
        if self._target is not None:
            await self.actor.stop()

    def _new_actor(self) -> RegistryActor:
        return RegistryActor("registry", codec.encode(self.run_description), exit_process=self.exits.append)
