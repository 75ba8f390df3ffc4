"""HTTP around the simulated relay: real sockets, so that any OpenAI client can talk to it. Loopback only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

from actors.sim.relay import Manner, RelayAnswer, SimRelay

BODY_BYTES_MAX = 1_000_000
# A trickling answer: so many bytes, so often.
TRICKLE_BYTES = 8
TRICKLE_S = 0.25


class RelayServer:
    """`await start()` returns the base URL (`http://127.0.0.1:PORT/v1`)."""

    def __init__(self, relay: SimRelay, *, now_ns: Callable[[], int]) -> None:
        self.relay = relay
        self._now_ns = now_ns
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.router.add_route("*", "/{path:.*}", self._handle)
        # A client that hangs up ends its call, as at a gateway that stops the model then.
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)

    async def start(self, *, host: str = "127.0.0.1", port: int = 0) -> str:
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        bound = self._runner.addresses[0]
        return f"http://{bound[0]}:{bound[1]}/v1"

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        answer = self.relay.handle(
            method=request.method,
            path=request.path,
            authorization=request.headers.get("Authorization", ""),
            body=await request.read(),
            now_ns=self._now_ns(),
        )
        try:
            return await self._send(request, answer)
        finally:
            self.relay.ended(answer.call_no)

    async def _send(self, request: web.Request, answer: RelayAnswer) -> web.StreamResponse:
        if answer.manner is Manner.NEVER:
            await asyncio.Event().wait()  # until the client gives up
        await asyncio.sleep(answer.delay_s)
        headers = {**dict(answer.headers), "Content-Type": "application/json"}
        if answer.manner is Manner.WHOLE:
            return web.Response(status=answer.status, body=answer.body, headers=headers)
        response = web.StreamResponse(status=answer.status, headers=headers)
        response.content_length = len(answer.body)
        await response.prepare(request)
        if answer.manner is Manner.CUT:
            await response.write(answer.body[: len(answer.body) // 2])
            if request.transport is not None:
                request.transport.close()
            return response
        for at in range(0, len(answer.body), TRICKLE_BYTES):
            await response.write(answer.body[at : at + TRICKLE_BYTES])
            await asyncio.sleep(TRICKLE_S)
        return response
