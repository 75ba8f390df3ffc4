"""One ZeroMQ socket on the running event loop, by its raw file descriptor.

The descriptor is edge-triggered: it says "something changed since you last looked", and any call, a send too, may
consume that. So after each wake-up we receive until nothing waits, and after each send we look once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import zmq

DRAIN_MAX = 2_000  # messages taken in one turn of the loop; full: the rest waits one turn, so that timers keep running

# Module names: an attribute of an enum's member costs as much as a call each time.
_NOBLOCK, _RCVMORE, _POLLIN = zmq.NOBLOCK, zmq.RCVMORE, zmq.POLLIN

Frames = list[bytes]


class Wire:
    """Receives for one owner: `on_frames` for each message, `on_drained` once nothing (or DRAIN_MAX taken) waits.

    `on_fault` gets whatever a callback raised; the wire never swallows and never repeats it.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        kind: int,
        *,
        on_frames: Callable[[Frames], None],
        on_fault: Callable[[BaseException], None],
        on_drained: Callable[[], None] | None = None,
    ) -> None:
        self._on_frames = on_frames
        self._on_fault = on_fault
        self._on_drained = on_drained
        self.socket: zmq.Socket[bytes] = context.socket(kind)
        self.socket.setsockopt(zmq.LINGER, 0)  # what a dead or leaving peer did not take is not worth waiting for
        self._receive = self.socket.recv
        self._get = self.socket.getsockopt
        self._loop = asyncio.get_running_loop()
        self._fd = int(self.socket.getsockopt(zmq.FD))
        self._look_waits = False
        self._draining = False
        self.on_writable: Callable[[], None] | None = None  # set while the owner waits for a connection to send on
        self.closed = False
        self._loop.add_reader(self._fd, self._wake)

    def send(self, frames: Frames) -> None:
        """Write one message without waiting; zmq.Again when full or not connected, zmq.ZMQError when unroutable."""
        try:
            self.socket.send_multipart(frames, zmq.NOBLOCK)
        finally:
            self.look()

    def look(self) -> None:
        """See to it that waiting messages are noticed though the edge may be gone. Call after any socket call."""
        if not self._look_waits and not self._draining and not self.closed:
            self._look_waits = True
            self._loop.call_soon(self._wake_again)

    def drain(self) -> None:
        """Hand out what waits now, before the owner gives the socket up."""
        self._wake()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._loop.remove_reader(self._fd)
            self.socket.close()

    def _wake_again(self) -> None:
        self._look_waits = False
        # Reading EVENTS handles what is pending inside the socket.
        if not self.closed and self._events() & (zmq.POLLIN | (zmq.POLLOUT if self.on_writable else 0)):
            self._wake()

    def _wake(self) -> None:
        if self.closed or self._draining:
            return
        try:
            self._draining = True
            try:
                emptied = self._drain()
            finally:
                self._draining = False
            if not emptied:
                self.look()
            if self._on_drained is not None and not self.closed:
                self._on_drained()
            if self.on_writable is not None and not self.closed and self._events() & zmq.POLLOUT:
                self.on_writable()
        except Exception as error:
            self._on_fault(error)

    def _events(self) -> int:
        return int(self._get(zmq.EVENTS))

    def _drain(self) -> bool:
        """Hand out what waits; False when DRAIN_MAX was reached first."""
        receive, get, on_frames = self._receive, self._get, self._on_frames
        for count in range(DRAIN_MAX):
            # A wake mostly brings one message: asking whether a second one waits costs half of an exception. In a
            # burst it is the other way round.
            if count == 1 and not self._events() & _POLLIN:
                return True
            try:
                frames = [receive(_NOBLOCK)]
            except zmq.Again:
                return True
            while get(_RCVMORE):
                frames.append(receive(_NOBLOCK))  # the parts of one message arrive together
            on_frames(frames)
            if self.closed:
                return True
        return False
