"""The simulated world of a run: venues and relay on loopback, and the keys their clients sign with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from actors.venues.catalog import PUBLIC_ADDRESSES
from actors.vocab.control import VenueAccount
from actors.vocab.instruments import Market
from pipelines.endpoints import account_of, read_endpoints
from pipelines.plan import RunPlan
from pipelines.topology import Fleet
from pipelines.universe import read_universe


class SimulatedWorld(msgspec.Struct, frozen=True):
    """What the run's description says of it."""

    accounts: tuple[VenueAccount, ...]
    relay_url: str = ""
    relay_key_file: str = ""
    start_ns: int = 0  # lock-step replay: recorded time at which all clocks stand until the first step


STARTS_SOON_S = 2.0
LOOK_S = 1.0


async def start_simulation(
    plan: RunPlan, fleet: Fleet, runtime_dir: Path, *, tell: Callable[[str], None]
) -> SimulatedWorld:
    """Start one actor with all simulated venues (or the replay) and the relay; return where they listen.

    Venues that run already (`venue_endpoints`) are only named: nothing is started. On paper they are what the
    simulated venue repeats, in place of the real one; `tell` gets the reason while they cannot be reached.
    """
    from actors.sim.actor import SimVenueActor, VenueEndpoint

    if plan.venue_endpoints is not None and plan.mode == "sim":
        running = read_endpoints(plan.venue_endpoints, venues=plan.venues, symbols=plan.symbols)
        relay = (running.relay_url, running.relay_key_file) if plan.use_llm else ("", "")
        return SimulatedWorld(running.accounts(), *relay)
    markets: tuple[Market, ...] = tuple(dict.fromkeys("spot" if "_spot" in venue else "perp" for venue in plan.venues))
    options: dict[str, Any] = {"key_dir": str(runtime_dir), "seed": plan.seed}
    if plan.replay:
        options |= {
            "replay": [str(path) for path in plan.replay],
            "symbols": plan.symbols,
            "speed": plan.speed,
            "hold": True,
            "length_s": (plan.duration_s or 0.0) if plan.speed == "max" else 0.0,
        }
    elif plan.mode == "paper":
        options |= {"symbols": plan.symbols, "upstream": dict(zip(markets, upstream_of(plan), strict=True))}
    else:
        universe = read_universe()
        rows = universe.choose(plan.symbols, markets[0])
        options |= {"markets": markets, "universe": rows, "quote": universe.quote}
    sim = fleet.start("sim:binance", SimVenueActor, plan.settings.model_dump_json(), head=True, **options)
    starting: asyncio.Future[dict[str, VenueEndpoint]] = asyncio.ensure_future(sim.start.remote())
    await _until_started(starting, sim, tell)
    endpoints = starting.result()
    accounts = tuple(account_of(one) for one in endpoints.values())
    start_ns: int = await sim.start_ns.remote()
    if not plan.use_llm:
        return SimulatedWorld(accounts, start_ns=start_ns)
    relay_url, relay_key_file = await sim.start_relay.remote()
    return SimulatedWorld(accounts, relay_url, relay_key_file, start_ns)


def upstream_of(plan: RunPlan) -> list[tuple[str, str]]:
    """(REST, streams) of each venue that paper trading listens to: the real ones, or those of `venue_endpoints`."""
    if plan.venue_endpoints is None:
        return [PUBLIC_ADDRESSES[venue] for venue in plan.venues]
    named = read_endpoints(plan.venue_endpoints, venues=plan.venues, symbols=plan.symbols)
    return [(one.rest_url, one.stream_url) for one in named.venues]


async def _until_started(starting: asyncio.Future[Any], sim: Any, tell: Callable[[str], None]) -> None:
    """Wait, and say once each why a venue that is repeated has not answered."""
    told: set[str] = set()
    await asyncio.wait({starting}, timeout=STARTS_SOON_S)
    while not starting.done():
        status = await sim.status.remote()
        for one in status["upstream"].values():
            if one["reason"] and one["reason"] not in told:
                told.add(one["reason"])
                tell(f"waits for {one['reason']}")
        await asyncio.wait({starting}, timeout=LOOK_S)
