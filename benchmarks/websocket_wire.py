"""What one received frame costs: `transport/ws_socket.py` beside the websockets library's own asyncio client.

    python benchmarks/websocket_wire.py [--frames 100000]

A second process sends as fast as it can over loopback; CPU seconds of the receiving process are counted, not its
wall time, since the sender is the bottleneck. Prints JSON: microseconds of CPU per frame, and frames per CPU second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import time
from multiprocessing.connection import Connection

import uvloop
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from actors.transport.identity import SystemClock
from actors.transport.ws_socket import open_socket

FRAME = (
    '{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":5123107839020,"s":"BTCUSDT","b":"61800.20",'
    '"B":"2.507","a":"61800.30","A":"2.510","T":1723161256313,"E":1723161256313}}'
)


def send_frames(pipe: Connection, count: int, pause_s: float) -> None:
    """Serve `count` frames to every connection that says a word."""

    async def handler(connection: ServerConnection) -> None:
        await connection.recv()
        for number in range(count):
            await connection.send(FRAME)
            if pause_s or number % 50 == 0:
                await asyncio.sleep(pause_s)
        await connection.wait_closed()

    async def run() -> None:
        async with serve(handler, "127.0.0.1", 0, compression=None) as server:
            pipe.send(next(iter(server.sockets)).getsockname()[1])
            await asyncio.to_thread(pipe.recv)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


async def ours(url: str, count: int) -> float:
    done = asyncio.Event()
    left = count

    def on_message(_: bytes, __: int) -> None:
        nonlocal left
        left -= 1
        if not left:
            done.set()

    socket = await open_socket(url, on_message=on_message, clock=SystemClock(), timeout_s=5)
    began_s = time.process_time()
    socket.send("go")
    await done.wait()
    spent_s = time.process_time() - began_s
    await socket.close("done")
    return spent_s


async def library(url: str, count: int, *, decode: bool) -> float:
    async with connect(url, compression=None) as connection:
        began_s = time.process_time()
        await connection.send("go")
        for _ in range(count):
            await connection.recv(decode=decode)
        return time.process_time() - began_s


def measure(count: int, pause_s: float) -> dict[str, dict[str, float]]:
    """CPU per frame of each way; `pause_s` 0 is a flood, else one frame at a time."""
    here, there = multiprocessing.Pipe()
    sender = multiprocessing.Process(target=send_frames, args=(there, count, pause_s), daemon=True)
    sender.start()
    url = f"ws://127.0.0.1:{here.recv()}"
    ways = {
        "ws_socket": lambda: ours(url, count),
        "websockets recv(decode=False)": lambda: library(url, count, decode=False),
        "websockets recv()": lambda: library(url, count, decode=True),
    }
    result = {}
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for name, run in ways.items():
            spent_s = runner.run(run())
            result[name] = {
                "cpu_us_per_frame": round(spent_s / count * 1e6, 2),
                "frames_per_cpu_s": round(count / spent_s),
            }
    here.send("stop")
    sender.join(5)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--frames", type=int, default=100_000)
    count = parser.parse_args().frames
    print(
        json.dumps(
            {
                "bytes_per_frame": len(FRAME),
                "flood": measure(count, 0.0),
                "one_by_one": measure(count // 20, 0.0005),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
