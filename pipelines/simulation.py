"""The simulated world of a run: venues and relay on loopback, and the keys their clients sign with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

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


async def start_simulation(plan: RunPlan, fleet: Fleet, runtime_dir: Path) -> SimulatedWorld:
    """Start one actor with all simulated venues (or the replay) and the relay; return where they listen.

    Venues that run already (`venue_endpoints`) are only named: nothing is started.
    """
    from actors.sim.actor import SimVenueActor, VenueEndpoint

    if plan.venue_endpoints is not None:
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
    else:
        universe = read_universe()
        rows = universe.choose(plan.symbols, markets[0])
        options |= {"markets": markets, "universe": rows, "quote": universe.quote}
    sim = fleet.start("sim:binance", SimVenueActor, plan.settings.model_dump_json(), head=True, **options)
    endpoints: dict[str, VenueEndpoint] = await sim.start.remote()
    accounts = tuple(account_of(one) for one in endpoints.values())
    start_ns: int = await sim.start_ns.remote()
    if not plan.use_llm:
        return SimulatedWorld(accounts, start_ns=start_ns)
    relay_url, relay_key_file = await sim.start_relay.remote()
    return SimulatedWorld(accounts, relay_url, relay_key_file, start_ns)
