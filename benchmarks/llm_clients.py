"""The `openai` SDK or aiohttp: CPU of one answer at 200 answers a second, interleaved in one process. Prints JSON.

The relay is a child process and answers at once, so that `process_time` here is the client's alone; each round gives
200 calls to one client, ten at once, then to the other.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import statistics
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from random import Random

import aiohttp
import uvloop

from actors.llm.actor import ask
from actors.llm.completion import read_completion
from actors.llm.engine import Answered, Call
from actors.sim.relay import SimRelay
from actors.sim.relay_faults import RelayFaults
from actors.sim.relay_limits import RelayLimits
from actors.transport.relay_server import RelayServer

CALLS = 200
ROUNDS = 10
AT_ONCE = 10
ROWS = "\n".join(f"S{number}USDT,{60_000 + number},0.80,10.0,0.10,50,normal" for number in range(25))
MESSAGES = [{"role": "system", "content": "rows"}, {"role": "user", "content": ROWS}]
MODEL = "deepseek/v3-2"


def serve(pipe: Connection) -> None:
    """The relay, until the pipe closes."""

    async def main() -> None:
        relay = SimRelay(
            key="k",
            chance=Random(1),
            faults=RelayFaults(latency_times=0.0),
            limits=RelayLimits(10**7, 10**4, 10**10),
        )
        server = RelayServer(relay, now_ns=time.monotonic_ns)
        pipe.send(await server.start())
        await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
        await server.stop()

    uvloop.run(main())


async def cpu_us(one: Callable[[], Awaitable[int]]) -> float:
    """CPU microseconds of an answer."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def gated() -> None:
        async with gate:
            assert await one() > 0

    began = time.process_time()
    await asyncio.gather(*(gated() for _ in range(CALLS)))
    return (time.process_time() - began) / CALLS * 1e6


async def measure(url: str) -> dict[str, object]:
    import openai

    body = json.dumps({"model": MODEL, "messages": MESSAGES, "max_tokens": 2310}).encode()
    client = openai.AsyncOpenAI(api_key="k", base_url=url, max_retries=0)
    headers = {"Authorization": "Bearer k", "Content-Type": "application/json"}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def by_aiohttp() -> int:
            answer = await ask(session, url, Call(1, body, 10.0))
            assert isinstance(answer, Answered)
            return read_completion(answer.body).tokens_out

        async def by_sdk() -> int:
            answer = await client.chat.completions.create(
                model=MODEL,
                messages=MESSAGES,  # type: ignore[arg-type]  # plain dicts, as its manual shows
                max_tokens=2310,
            )
            assert answer.usage is not None
            return answer.usage.completion_tokens

        rounds: dict[str, list[float]] = {"aiohttp": [], "openai": []}
        for _ in range(ROUNDS):
            rounds["aiohttp"].append(await cpu_us(by_aiohttp))
            rounds["openai"].append(await cpu_us(by_sdk))
    await client.close()
    medians = {name: statistics.median(values[1:]) for name, values in rounds.items()}
    return {
        "cpu_us_per_answer": {name: round(value) for name, value in medians.items()},
        "core_share_at_200_per_s": {name: round(value * 200 / 1e6, 3) for name, value in medians.items()},
        "openai_over_aiohttp": round(medians["openai"] / medians["aiohttp"], 2),
    }


def main() -> None:
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,))
    child.start()
    try:
        print(json.dumps(uvloop.run(measure(ours.recv())), indent=1))
    finally:
        ours.send("stop")
        child.join(10)


if __name__ == "__main__":
    main()
