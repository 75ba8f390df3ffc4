"""Is this machine ready? `python -m pipelines.doctor [--mode sim|live]`: each check with its remedy.

Exit code: 0 all is well, 1 something is not, 2 wrong usage.
"""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from platformdirs import user_state_path
from rich.console import Console
from rich.table import Table
from rich.text import Text

from actors.gateway.limits import LIMITS, countdown_plan
from actors.venues.catalog import PUBLIC_ADDRESSES
from actors.vocab.config import FleetSettings, LlmSettings
from actors.vocab.errors import ConfigError
from pipelines.exits import ExitCode, run
from pipelines.settings import load_settings
from pipelines.symbols import parse_symbols

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

PIPED_WIDTH = 160
OPEN_FILES_MIN = 4096
SHM_MB_MIN = 200
DISK_MB_MIN = 1000
SKEW_MS_MAX = 500
TIME_PATHS = {"binance_perp": "/fapi/v1/time", "binance_spot": "/api/v3/time"}


class Finding(msgspec.Struct, frozen=True):
    """One check's outcome; `remedy` is empty when all is well."""

    name: str
    good: bool
    text: str
    remedy: str = ""


def check_python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    good = sys.version_info >= (3, 11)
    return Finding("Python", good, version, "" if good else "install Python 3.11 or newer")


def check_ray() -> Finding:
    try:
        import ray
    except ImportError as error:
        return Finding("Ray", False, str(error), "run make setup")
    return Finding("Ray", True, f"{ray.__version__}, RAY_AUTH_MODE {os.environ.get('RAY_AUTH_MODE', 'unset')}")


def check_open_files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    good = soft >= OPEN_FILES_MIN or hard >= OPEN_FILES_MIN
    return Finding("open files", good, f"{soft} (hard {hard})", "" if good else f"run ulimit -n {OPEN_FILES_MIN}")


def check_shared_memory() -> Finding:
    path = Path("/dev/shm")
    if not path.is_dir():
        return Finding("shared memory", True, "no /dev/shm here; Ray uses /tmp")
    free_mb = shutil.disk_usage(path).free // 2**20
    good = free_mb >= SHM_MB_MIN
    return Finding("shared memory", good, f"{free_mb} MB free", "" if good else "enlarge /dev/shm to 200 MB or more")


def check_disk() -> Finding:
    free_mb = shutil.disk_usage(".").free // 2**20
    good = free_mb >= DISK_MB_MIN
    return Finding("disk", good, f"{free_mb} MB free here", "" if good else "free 1 GB, or use --run-dir elsewhere")


def check_loopback() -> Finding:
    try:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
    except OSError as error:
        return Finding("loopback ports", False, str(error), "allow this user to listen on 127.0.0.1")
    return Finding("loopback ports", True, f"can listen, for example on {port}")


def check_state_folder() -> Finding:
    """Where the journals of real accounts and the locks of named ones live."""
    try:
        path = user_state_path("manta", ensure_exists=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        return Finding("state folder", False, f"{error.strerror}", "set XDG_STATE_HOME to a folder that can be written")
    return Finding("state folder", True, str(path))


def check_relay_key(settings: LlmSettings) -> Finding:
    from actors.llm.actor import read_key

    try:
        read_key(key_file=settings.key_file, key_env=settings.key_env, base_url=settings.base_url)
    except ConfigError as error:
        return Finding("relay key", False, "not usable", f"{error}")
    return Finding("relay key", True, "present")


async def check_venue_clock(venue: str) -> Finding:
    """Reach the venue's time endpoint and compare clocks; half the round trip is the uncertainty."""
    import aiohttp

    base, path = PUBLIC_ADDRESSES[venue][0], TIME_PATHS[venue]
    began_ns = time.time_ns()
    try:
        async with asyncio.timeout(5), aiohttp.ClientSession() as session, session.get(base + path) as answer:
            server_ms = int((await answer.json())["serverTime"])
    except (TimeoutError, OSError, aiohttp.ClientError, ValueError, KeyError) as error:
        return Finding(f"{venue} endpoint", False, f"{type(error).__name__}", f"check the network's way to {base}")
    ended_ns = time.time_ns()
    skew_ms = server_ms - (began_ns + ended_ns) / 2e6
    good = abs(skew_ms) <= SKEW_MS_MAX
    text = f"reached in {(ended_ns - began_ns) / 1e6:.0f} ms, clock skew {skew_ms:+.0f} ms"
    return Finding(f"{venue} endpoint", good, text, "" if good else "run a time service (chrony) on this machine")


def check_venue_key(venue: str) -> Finding:
    prefix = venue.split("_")[0].upper()
    names = (f"{prefix}_API_KEY", f"{prefix}_SECRET")
    missing = [name for name in names if not os.environ.get(name)]
    text = "present" if not missing else f"{' and '.join(missing)} not set"
    return Finding(f"{venue} key", not missing, text, "set them in this node's environment" if missing else "")


def venue_timer(venue: str, symbols_count: int, countdown_ms: int) -> Finding:
    """How long our orders live at most when every process of ours is gone: the venue's own word, not our wish."""
    name = f"{venue} timer"
    if not LIMITS[venue].countdown:
        return Finding(name, True, "the venue has none: with every process of ours gone, orders stay until cancelled")
    if not countdown_ms:
        return Finding(name, False, "off", "set gateway.countdown_ms above 0: nothing else cancels when all is gone")
    interval_ms, armed_ms = countdown_plan(symbols_count=symbols_count, countdown_ms=countdown_ms)
    text = f"{symbols_count} symbols: each re-armed every {interval_ms / 1000:.0f} s; "
    text += f"with every process of ours gone the venue cancels after {armed_ms / 1000:.0f} s at most"
    if armed_ms > countdown_ms:
        text += f" (one call a symbol: gateway.countdown_ms, {countdown_ms / 1000:.0f} s, is out of reach)"
    return Finding(name, True, text)


LOCAL_CHECKS: tuple[Callable[[], Finding], ...] = (
    check_python,
    check_ray,
    check_open_files,
    check_shared_memory,
    check_disk,
    check_loopback,
    check_state_folder,
)


async def examine(mode: str, settings: FleetSettings, symbols_count: int) -> list[Finding]:
    """All checks that concern `mode`, in order."""
    findings = [check() for check in LOCAL_CHECKS]
    if mode == "live":
        findings.append(check_relay_key(settings.llm))
        waits: list[Awaitable[Finding]] = [check_venue_clock(venue) for venue in PUBLIC_ADDRESSES]
        findings += await asyncio.gather(*waits)
        findings += [check_venue_key(venue) for venue in PUBLIC_ADDRESSES]
    return findings + [venue_timer(venue, symbols_count, settings.gateway.countdown_ms) for venue in LIMITS]


@app.command()
def main(
    mode: Annotated[str, typer.Option(help="sim | live: live also looks at keys, endpoints and clocks")] = "sim",
    symbols: Annotated[str, typer.Option(help="what is to be quoted; venue timers depend on how many")] = "top50",
    conf: Annotated[list[Path] | None, typer.Option(help="a YAML file of settings; may be repeated")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="gateway.countdown_ms=10000; may be repeated")] = None,
) -> None:
    """Check this machine and say what to do about what is wrong."""
    if mode not in ("sim", "live"):
        raise ConfigError(f"--mode {mode}: choose sim or live")
    settings = load_settings(conf or [], set_ or [])
    findings = asyncio.run(examine(mode, settings, len(parse_symbols(symbols))))
    show(findings, Console() if sys.stdout.isatty() else Console(width=PIPED_WIDTH))
    raise typer.Exit(ExitCode.FINE if all(one.good for one in findings) else ExitCode.FAILED)


def show(findings: Sequence[Finding], console: Console) -> None:
    """A line a check; the remedy stands below what is wrong."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for one in findings:
        mark = Text("ok", style="green") if one.good else Text("no", style="bold red")
        table.add_row(mark, one.name, Text(one.text))
        if one.remedy:
            table.add_row("", "", Text(f"→ {one.remedy}", style="yellow"))
    console.print(table)


if __name__ == "__main__":
    run(app, "pipelines.doctor")
