"""A whole fleet on one loop of this process: real actors, links and sockets, a registry without Ray."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from actors.feed.actor import FeedActor
from actors.gateway.actor import GatewayActor
from actors.quote.actor import QuoteActor
from actors.risk.actor import RiskActor
from actors.sim.actor import SimVenueActor
from actors.vocab.control import QuoteGroup, VenueAccount
from pipelines.settings import load_settings
from tests.fakes import FakeRegistry, run_description, short_dir


async def replay_in_lock_step(
    recordings: Sequence[Path],
    orders: Path,
    *,
    seed: int = 1,
    length_s: float = 0.0,
    timeout_s: float = 60.0,
    overrides: Sequence[str] = (),
) -> dict[str, dict[str, Any]]:
    """Replay `recordings` to their end with all that a run has, write `orders`; return every actor's last status."""
    settings = load_settings(overrides=["llm.enabled=false", *overrides])
    text = settings.model_dump_json()
    with short_dir() as folder:
        sim = SimVenueActor(
            "sim:binance",
            text,
            key_dir=str(folder / "keys"),
            seed=seed,
            replay=[str(path) for path in recordings],
            speed="max",
            hold=True,
            length_s=length_s,
        )
        endpoints = await sim.start()
        symbols = tuple(dict.fromkeys(symbol for one in endpoints.values() for symbol in one.symbols))
        run = run_description(
            folder,
            mode="replay",
            settings_json=text,
            accounts=tuple(
                VenueAccount(
                    one.venue,
                    one.dialect,
                    one.market,
                    one.rest_url,
                    one.stream_url,
                    one.order_url,
                    one.key_file,
                    "",
                    one.account_id,
                    one.streams,
                )
                for one in endpoints.values()
            ),
            symbols=symbols,
            quote_groups=tuple(QuoteGroup(f"quote:{symbol}", (symbol,)) for symbol in symbols),
            journal_url=f"sqlite:///{folder}/journal.sqlite",
            seed=seed,
            lock_step=True,
            start_ns=await sim.start_ns(),
        )
        registry = FakeRegistry(run)
        actors: dict[str, Any] = {"risk": RiskActor("risk", registry)}
        for venue in endpoints:
            actors[f"gateway:{venue}"] = GatewayActor(f"gateway:{venue}", registry, venue)
            actors[f"feed:{venue}:0"] = FeedActor(f"feed:{venue}:0", registry, venue, 0, 1)
        for group in run.quote_groups:
            actors[group.name] = QuoteActor(group.name, registry, group.symbols)
        broken: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def watch(role: str, task: asyncio.Task[None]) -> None:
            if not task.cancelled() and task.exception() is not None and not broken.done():
                broken.set_result(f"{role}: {task.exception()!r}")

        tasks = []
        for role, actor in actors.items():
            actor._host._exit_process = lambda code, role=role: broken.done() or broken.set_result(f"{role} exits")
            task = asyncio.create_task(actor.run(), name=role)
            task.add_done_callback(lambda task, role=role: watch(role, task))
            tasks.append(task)
        await sim.join_run(registry)
        await sim.release()
        assert sim._replay is not None
        ended = asyncio.create_task(sim._replay.ended.wait())
        failed = asyncio.create_task(sim.run())
        await asyncio.wait({ended, broken, failed}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if failed.done():
            failed.result()
        assert not broken.done(), broken.result()
        assert ended.done(), (await sim.status())["replay"]
        await sim.write_orders(str(orders))
        statuses = {role: await actor.status() for role, actor in actors.items()}
        statuses["sim:binance"] = await sim.status()
        for role in sorted(actors, key=lambda role: ("quote", "gateway", "feed", "risk").index(role.partition(":")[0])):
            await actors[role].stop()
        for role, actor in actors.items():
            if role.startswith("gateway"):  # its process would end now; here only what it holds
                await actor._line.close()
                await actor._host.stop()
        await sim.stop()
        await registry.close()
        for task in (*tasks, failed):
            task.cancel()
        await asyncio.gather(*tasks, failed, return_exceptions=True)
        return statuses
