"""HTTP around the simulated relay: real sockets, so that any OpenAI client can talk to it. Loopback only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

from actors.sim.relay import SimRelay

BODY_BYTES_MAX = 1_000_000


class RelayServer:
    """`await start()` returns the base URL (`http://127.0.0.1:PORT/v1`)."""

    def __init__(self, relay: SimRelay, *, now_ns: Callable[[], int]) -> None:
        self._relay = relay
        self._now_ns = now_ns
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)

    async def start(self, *, host: str = "127.0.0.1", port: int = 0) -> str:
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        bound = self._runner.addresses[0]
        return f"http://{bound[0]}:{bound[1]}/v1"

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.Response:
        answer = self._relay.handle(
            method=request.method,
            path=request.path,
            authorization=request.headers.get("Authorization", ""),
            body=await request.read(),
            now_ns=self._now_ns(),
        )
        if answer.status == 0:
            await asyncio.Event().wait()  # accepted and never answered: until the client gives up
        await asyncio.sleep(answer.delay_s)
        return web.Response(
            status=answer.status,
            body=answer.body,
            content_type="application/json",
            headers=dict(answer.headers),
        )
