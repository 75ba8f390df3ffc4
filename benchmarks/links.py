"""What a hop between two actor processes costs: round trip, throughput, fan-out. Prints one JSON object.

    python benchmarks/links.py [--rounds 20000] [--subscribers 10]

Each peer is a process of its own with uvloop, as under Ray. Payloads are the real ones: a `LeasedOrder` answered by
an `OrderUpdate`, and `BookUpdate`s of ten levels. Nothing else should run: figures of a busy machine say so
(`machine_cpu_share` above 0.8 of what the processes here can use is not unusual on two cores).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec
import uvloop
import zmq

from actors.transport.links import LinkKeys, Links
from actors.transport.meters import Histogram, machine_cpu_share
from actors.vocab.control import Member
from actors.vocab.leases import Token
from actors.vocab.market import BookState, BookUpdate, Side
from actors.vocab.message import Message
from actors.vocab.orders import Cause, FillsAgain, LeasedOrder, OrderState, OrderUpdate

ORDER = LeasedOrder(
    "binance_perp", "BTCUSDT", 1, 0, Side.BUY, 600_000, 20, True, False, Token(1, 1, "quote:BTCUSDT@1"),
    100, 100, 1_500, 12.5, Cause.BOOK, 1, 150,
)  # fmt: skip
UPDATE = OrderUpdate("binance_perp", "BTCUSDT", "quote:BTCUSDT@1", 1, OrderState.OPEN, 600_000, 20, 0)
BOOK = BookUpdate(
    "binance_perp", "BTCUSDT", 1, BookState.OK, 1_700_000_000_000_000_000, 1, 100, 900,
    tuple((600_000 - level, 1_000 + level) for level in range(10)),
    tuple((600_001 + level, 1_000 + level) for level in range(10)),
)  # fmt: skip
WINDOW = 1_000  # messages on their way in the throughput run: enough to keep both busy, far below the queue's bound


def links(name: str, folder: Path, *, host: str, tcp: bool, public: str = "", secret: str = "") -> Links:
    keys = (LinkKeys(public, secret) if public else LinkKeys.new()) if tcp else None
    return Links(
        name=name,
        incarnation=f"{name}@1",
        host=host,
        runtime_dir=folder,
        tcp_host="127.0.0.1" if tcp else "",
        keys=keys,
    )


async def serve(pipe: Connection, folder: Path, tcp: bool, client_key: str) -> None:
    """Answer each order; to `FillsAgain(count)` say how many messages came."""
    gateway = links("gateway", folder, host="h1", tcp=tcp)
    count = 0

    def on_message(peer: str, message: Message) -> None:
        nonlocal count
        count += 1
        server.send(peer, UPDATE)

    server = gateway.server("orders", on_message=on_message, on_peer=lambda *_: None)
    gateway.learn([Member("quote", "quote@1", "h2", (), client_key)])
    pipe.send_bytes(msgspec.msgpack.encode(gateway.member()))
    await closed(pipe)
    gateway.close()


async def measure_orders(folder: Path, tcp: bool, rounds: int) -> dict[str, Any]:
    """Round trips one by one, then as many as a window of WINDOW allows."""
    keys = LinkKeys.new()
    with child(serve, folder, tcp, keys.public) as pipe:
        member = msgspec.msgpack.decode(pipe.recv_bytes(), type=Member)
        quote = links("quote", folder, host="h2" if tcp else "h1", tcp=tcp, public=keys.public, secret=keys.secret)
        quote.learn([member])
        state: dict[str, Any] = {"mode": "wait"}
        up, done = asyncio.Event(), asyncio.Event()
        histogram = Histogram()

        def on_message(_message: Message) -> None:
            state["got"] += 1
            if state["mode"] == "one by one":
                histogram.record((time.perf_counter_ns() - state["sent_ns"]) / 1e3)
            if state["got"] == rounds:
                done.set()
            elif state["sent"] < rounds:
                send()

        def send() -> None:
            state["sent"] += 1
            state["sent_ns"] = time.perf_counter_ns()
            client.send(ORDER)

        client = quote.client(on_message=on_message, on_state=lambda is_up: up.set() if is_up else None)
        client.dial(member, "orders")
        await asyncio.wait_for(up.wait(), 10)
        for mode, outstanding in (("warm-up", 1), ("one by one", 1), ("window", WINDOW)):
            state |= {"mode": mode, "got": 0, "sent": 0}
            done.clear()
            began_s = time.perf_counter()
            for _ in range(outstanding):
                send()
            await asyncio.wait_for(done.wait(), 120)
            took_s = time.perf_counter() - began_s
        quote.close()
    return {"round_trip_us": histogram.summary(), "window_round_trips_per_s": round(rounds / took_s)}


async def subscribe(pipe: Connection, folder: Path, address: str) -> None:
    """Count what arrives, batch by batch; at the end tell the count and the share of one core used."""
    quote = links("quote", folder, host="h1", tcp=False)
    got = batches = 0

    def on_messages(batch: list[tuple[bytes, Message]]) -> None:
        nonlocal got, batches
        if isinstance(batch[-1][1], FillsAgain):
            got, batches = 0, 0
            pipe.send_bytes(b"ready")
        else:
            got, batches = got + len(batch), batches + 1

    subscriber = quote.subscriber(on_messages)
    subscriber.topic(b"BTCUSDT")
    subscriber.connect(address)
    await closed(pipe)
    pipe.send_bytes(json.dumps({"got": got, "batches": batches}).encode())
    quote.close()


async def measure_market(folder: Path, subscribers: int, seconds: float, burst: int = 50) -> dict[str, Any]:
    """Publish bursts as fast as this process can while its loop keeps turning."""
    feed = links("feed", folder, host="h1", tcp=False)
    announced = 0
    all_here = asyncio.Event()

    def on_subscribe(_topic: bytes) -> None:
        nonlocal announced
        announced += 1
        if announced == subscribers:
            all_here.set()

    market = feed.publisher("market", on_subscribe=on_subscribe)
    address = feed.address_of(feed.member(), "market")
    children = [child(subscribe, folder, address) for _ in range(subscribers)]
    pipes = [each.__enter__() for each in children]
    await asyncio.wait_for(all_here.wait(), 60)
    market.send(b"BTCUSDT", FillsAgain("", 0))
    for pipe in pipes:
        await asyncio.to_thread(pipe.recv_bytes)
    machine_cpu_share()
    sent, began_s = 0, time.perf_counter()
    while (took_s := time.perf_counter() - began_s) < seconds:
        for _ in range(burst):
            market.send(b"BTCUSDT", BOOK)
        sent += burst
        await asyncio.sleep(0)
    busy = machine_cpu_share()
    await asyncio.sleep(0.5)
    for pipe in pipes:
        pipe.send_bytes(b"end")
    results = [json.loads(await asyncio.to_thread(pipe.recv_bytes)) for pipe in pipes]
    for each in children:
        each.__exit__(None, None, None)
    feed.close()
    got = sum(result["got"] for result in results)
    return {
        "subscribers": subscribers,
        "published_per_s": round(sent / took_s),
        "delivered_per_s": round(got / took_s),
        "lost_share": round(1 - got / (sent * subscribers), 4),
        "batch_mean": round(got / max(1, sum(result["batches"] for result in results)), 1),
        "machine_cpu_share": busy,
    }


# --- processes -------------------------------------------------------------------------------------------------------


class child:  # reads as a word in `with child(...)`
    """A process that runs `main(pipe, *args)` on uvloop until the block ends."""

    def __init__(self, main: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=run_child, args=(main, theirs, *args), daemon=True)

    def __enter__(self) -> Connection:
        self._process.start()
        return self._pipe

    def __exit__(self, *_: object) -> None:
        self._pipe.close()
        self._process.join(5)


def run_child(main: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
    uvloop.run(main(*args))


async def closed(pipe: Connection) -> None:
    """Return once the parent says something or is gone."""
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(pipe.fileno(), over.set)
    await over.wait()
    loop.remove_reader(pipe.fileno())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20_000)
    parser.add_argument("--subscribers", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="mb-", dir="/tmp"))
    try:
        result = {
            "benchmark": "links",
            "date": datetime.now(UTC).date().isoformat(),
            "machine": {
                "cores": multiprocessing.cpu_count(),
                "python": platform.python_version(),
                "libzmq": zmq.zmq_version(),
                "pyzmq": zmq.pyzmq_version(),
            },
            "orders_ipc": uvloop.run(measure_orders(folder, False, options.rounds)),
            "orders_tcp_curve": uvloop.run(measure_orders(folder, True, options.rounds)),
            "market_1": uvloop.run(measure_market(folder, 1, options.seconds)),
            f"market_{options.subscribers}": uvloop.run(measure_market(folder, options.subscribers, options.seconds)),
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
