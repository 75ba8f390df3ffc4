"""Simulated venues and relay alone: `python -m pipelines.sim` prints where they listen and serves until Ctrl-C.

Any client of the real venue can be pointed at the printed addresses; the key lies in the printed file.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
import uvloop

from actors.sim.actor import SimVenueActor, VenueEndpoint
from actors.sim.universe import UniverseRow
from actors.vocab.errors import ConfigError
from actors.vocab.instruments import Market
from pipelines.endpoints import Endpoints, check_endpoints_file, write_endpoints
from pipelines.exits import ExitCode, run
from pipelines.preflight import check_settings
from pipelines.replay import inspect
from pipelines.settings import load_settings
from pipelines.symbols import parse_symbols
from pipelines.universe import read_universe

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
REPORT_INTERVAL_S = 10.0


@app.command()
def main(
    symbols: Annotated[
        str | None, typer.Option(help="top50 (default), BTCUSDT,ETHUSDT or a file with one symbol a line")
    ] = None,
    market: Annotated[str | None, typer.Option(help="perp (default) | spot | both; of a recording it is known")] = None,
    replay: Annotated[list[Path] | None, typer.Option(help="a recording to play instead; may be repeated")] = None,
    port: Annotated[
        int, typer.Option(help="of the first venue, the next one takes the next; 0: any free", min=0, max=65_534)
    ] = 0,
    seed: Annotated[int | None, typer.Option(help="of prices and flow; printed", min=0)] = None,
    key_dir: Annotated[Path | None, typer.Option(help="where the key files go; default a private folder")] = None,
    endpoints_file: Annotated[
        Path | None, typer.Option(help="write where all listen to this file, for pipelines.mm --venue-endpoints")
    ] = None,
    conf: Annotated[list[Path] | None, typer.Option(help="a YAML file of settings; may be repeated")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="sim.faults=rough; may be repeated")] = None,
) -> None:
    """Serve simulated Binance markets and a simulated relay on 127.0.0.1."""
    if replay and symbols is not None:
        raise ConfigError(f"--symbols {symbols}: a --replay serves what was recorded; leave it out")
    settings = load_settings(conf or [], set_ or [])
    check_settings(settings, use_llm=False)
    if endpoints_file is not None:
        check_endpoints_file(endpoints_file)
    with _keys(key_dir) as keys:
        actor = _actor(
            symbols=symbols or "top50",
            markets=_markets(market, replay or []),
            replay=replay or [],
            port=port,
            seed=seed if seed is not None else secrets.randbits(31),
            key_dir=keys,
            settings_json=settings.model_dump_json(),
        )
        code = uvloop.run(_serve(actor, endpoints_file))
    sys.exit(code)


@contextlib.contextmanager
def _keys(key_dir: Path | None) -> Iterator[Path]:
    """The operator's own folder stays; a private one ends with the venues that its keys are of."""
    if key_dir is not None:
        yield _made(key_dir)
        return
    with tempfile.TemporaryDirectory(prefix="manta-sim-") as folder:
        yield Path(folder)


def _made(key_dir: Path) -> Path:
    try:
        key_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--key-dir {key_dir}: cannot be made ({error.strerror}); choose another") from None
    if not os.access(key_dir, os.W_OK):
        raise ConfigError(f"--key-dir {key_dir}: not writable; choose another")
    return key_dir


def _actor(
    *,
    symbols: str,
    markets: tuple[Market, ...],
    replay: list[Path],
    port: int,
    seed: int,
    key_dir: Path,
    settings_json: str,
) -> SimVenueActor:
    universe = read_universe()
    rows: tuple[UniverseRow, ...] = universe.symbols
    if not replay:
        rows = universe.choose(parse_symbols(symbols, markets[0]), markets[0])
        print(f"seed {seed}")
    return SimVenueActor(
        "sim:binance",
        settings_json,
        key_dir=str(key_dir),
        markets=markets,
        universe=rows,
        quote=universe.quote,
        seed=seed,
        ports={name: port + at if port else 0 for at, name in enumerate(markets)},
        replay=[str(path) for path in replay],
    )


def _markets(text: str | None, replay: list[Path]) -> tuple[Market, ...]:
    """The markets asked for; those of the recordings where there are any."""
    known: tuple[Market, ...] = get_args(Market)
    chosen = known if text == "both" else tuple(name for name in known if name == (text or "perp"))
    if not chosen:
        raise ConfigError(f"--market {text}: choose perp, spot or both")
    if not replay:
        return chosen
    venues = inspect(replay).venues
    recorded = tuple(name for name in known if f"binance_{name}" in venues)
    if text is not None and chosen != recorded:
        raise ConfigError(f"--market {text}: the recordings are of {' and '.join(recorded)}; leave it out")
    return recorded


async def _serve(actor: SimVenueActor, endpoints_file: Path | None) -> ExitCode:
    """Print the endpoints, then serve until a signal or a broken venue."""
    endpoints = await actor.start()
    for endpoint in endpoints.values():
        _print_endpoint(endpoint)
    relay_url, relay_key_file = await actor.start_relay()
    print(f"relay\n  models   {relay_url}\n  key file {relay_key_file}")
    if endpoints_file is not None:
        write_endpoints(endpoints_file, Endpoints(tuple(endpoints.values()), relay_url, relay_key_file))
    print("Ctrl-C ends it", flush=True)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(name, stop.set)
    running = asyncio.ensure_future(actor.run())
    report = asyncio.ensure_future(_report(actor))
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    report.cancel()
    stopping.cancel()
    await actor.stop()
    await running  # raises what broke a venue
    return ExitCode.FINE


def _print_endpoint(endpoint: VenueEndpoint) -> None:
    shown = ", ".join(endpoint.symbols[:5]) + (", …" if len(endpoint.symbols) > 5 else "")
    print(f"{endpoint.venue}: {len(endpoint.symbols)} symbols ({shown})")
    print(f"  REST     {endpoint.rest_url}")
    print(
        f"  streams  {endpoint.stream_url}" + (f"  (recorded: {', '.join(endpoint.streams)})" * bool(endpoint.streams))
    )
    print(f"  orders   {endpoint.order_url}")
    print(f"  key file {endpoint.key_file}")


async def _report(actor: SimVenueActor) -> None:
    """One line per venue now and then, so that a terminal shows whether somebody listens."""
    sent: dict[str, int] = {}
    while True:
        await asyncio.sleep(REPORT_INTERVAL_S)
        status: dict[str, Any] = await actor.status()
        for venue, counts in status["venues"].items():
            frames = counts["frames_sent_count"]
            per_s = (frames - sent.get(venue, 0)) / REPORT_INTERVAL_S
            sent[venue] = frames
            print(f"{venue}: {counts['connections_count']} connections, {per_s:.0f} frames/s sent", flush=True)
        relay = status["relay"]
        if relay and relay["faults"]:
            counts = ", ".join(f"{name} {count}" for name, count in relay["faults"].items())
            print(f"relay: {relay['requests']} requests, failed by order: {counts}", flush=True)
        if status["replay"]:
            replay = status["replay"]
            print(f"replay: {replay['state']}, {replay['at_s']:.0f} of {replay['length_s']:.0f} s", flush=True)


if __name__ == "__main__":
    run(app, "pipelines.sim")
