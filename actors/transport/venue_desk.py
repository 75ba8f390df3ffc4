"""The exchange brain on an event loop: hands it requests, wakes it when work is due, tells who must hear what."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Sequence

import msgspec

from actors.sim.messages import ClientRequest, Disconnect, Exchange, Private, Public, Reply, SimCommand
from actors.vocab.clock import Clock
from actors.vocab.errors import OurFault
from actors.vocab.units import NS_PER_MS, NS_PER_S
from actors.vocab.venue_io import MarketEvent, StreamNotice, VenueRequest

# Requests that may wait for the exchange at once, over all clients. The venue answers -1008 above it.
UNANSWERED_MAX = 10_000
# Least time between two turns of the exchange. Its frames leave in small batches: one socket write carries all that
# became due within it, and a frame is stamped when it is sent, so nothing looks older than it is.
TURN_MIN_NS = NS_PER_MS
# A held clock jumps only this far by itself: over the latency of an order, never over a countdown of minutes.
JUMP_MAX_NS = NS_PER_S


class VenueClock:
    """Unix time of one simulated venue: the wall's, but never jumping, or where a recording stands."""

    def __init__(self, clock: Clock, *, offset_ms: int = 0) -> None:
        self._clock = clock
        self._ahead_ns = clock.wall_ns() - clock.now_ns() + offset_ms * NS_PER_MS
        self._held_ns: int | None = None

    def now_ns(self) -> int:
        return self._held_ns if self._held_ns is not None else self._clock.now_ns() + self._ahead_ns

    def hold(self, now_ns: int) -> None:
        """Stand at `now_ns` until told again: lock-step replay."""
        self._held_ns = max(now_ns, self._held_ns or 0)

    def free(self) -> None:
        """Run on from where it stands."""
        if self._held_ns is not None:
            self._ahead_ns = self._held_ns - self._clock.now_ns()
            self._held_ns = None


class Wake(enum.Enum):
    """What makes an exchange take its next turn."""

    CLOCK = "clock"  # its work is due by the venue's clock
    STEPS = "steps"  # only whoever holds the clock: a lock-step replay that plays
    JUMP = "jump"  # a request waits: the held clock goes to where it is due. A lock-step replay that does not play


class Desk:
    """One exchange and everybody who waits for it.

    `on_public` gets all market events of one turn, `on_private` one event of one account, `on_disconnect` an injected
    fault; `on_turn_end` runs after them, to flush. All run synchronously, so a turn is seen by everybody or by nobody.
    """

    def __init__(
        self,
        exchange: Exchange,
        clock: VenueClock,
        *,
        on_public: Callable[[Sequence[MarketEvent]], None],
        on_private: Callable[[Private], None],
        on_disconnect: Callable[[Disconnect], None],
        on_turn_end: Callable[[], None],
    ) -> None:
        self.exchange = exchange
        self.clock = clock
        self._on_public = on_public
        self._on_private = on_private
        self._on_disconnect = on_disconnect
        self._on_turn_end = on_turn_end
        # request_no -> who waits; holds exactly the requests that the exchange has not answered
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._request_no = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due_ns = 0
        self._last_turn_ns = 0
        self._stopped = False
        self.wake = Wake.CLOCK
        self.on_failure: Callable[[BaseException], None] | None = None

    def next_request_no(self) -> int:
        self._request_no += 1
        return self._request_no

    @property
    def unanswered_count(self) -> int:
        """Requests that the exchange has not answered."""
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        return len(self._waiting) >= UNANSWERED_MAX

    def submit(self, account: str, connection: int, request: VenueRequest) -> asyncio.Future[Reply]:
        """Hand in one request; the future is the exchange's answer to exactly this `request_no`."""
        if request.request_no in self._waiting:
            raise OurFault(f"request {request.request_no} of {account} is already waiting for an answer")
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[request.request_no] = answer
        ask = ClientRequest(connection=connection, account=account, request=request)
        self._carry(self.exchange.handle(ask, self.clock.now_ns()))
        self._arm()
        return answer

    def forget(self, request_no: int) -> None:
        """Nobody waits for this answer any more."""
        self._waiting.pop(request_no, None)

    def turn(self) -> None:
        """Let the exchange do all that is due by now."""
        now_ns = self.clock.now_ns()
        last_turn_ns, self._last_turn_ns = self._last_turn_ns, now_ns
        commands = self.exchange.advance(now_ns)
        self._carry(commands, stamp_after_ns=last_turn_ns, stamp_ns=now_ns)
        self._arm()

    def start(self) -> None:
        """Wake the exchange whenever it has work, until `stop`."""
        self._stopped = False
        self._disarm()  # what was armed may follow another `wake`
        self._arm()

    def stop(self) -> None:
        self._stopped = True
        self._disarm()
        for answer in self._waiting.values():
            answer.cancel()
        self._waiting.clear()

    def carry(self, commands: Sequence[SimCommand]) -> None:
        """Distribute commands that the exchange gave outside a turn (recorded market data)."""
        self._carry(commands)
        self._arm()

    def _carry(self, commands: Sequence[SimCommand], *, stamp_after_ns: int = 0, stamp_ns: int = 0) -> None:
        """Market events of this turn carry the moment they are sent, so that a late loop of ours is not taken for a
        slow client. Older ones (a fault held them back) keep their stamp: that delay is meant to be seen."""
        public: list[MarketEvent] = []
        for command in commands:
            if isinstance(command, Public):
                event = command.event
                if stamp_ns and not isinstance(event, StreamNotice) and stamp_after_ns < event.event_ns < stamp_ns:
                    event = msgspec.structs.replace(event, event_ns=stamp_ns)
                public.append(event)
            elif isinstance(command, Private):
                self._on_private(command)
            elif isinstance(command, Disconnect):
                self._on_disconnect(command)
            else:
                answer = self._waiting.pop(command.request_no, None)
                if answer is not None and not answer.done():  # done: its client hung up
                    answer.set_result(command)
        if public:
            self._on_public(public)
        if commands:
            self._on_turn_end()

    def _arm(self) -> None:
        if self._stopped or self.wake is Wake.STEPS:
            return
        if self.wake is Wake.JUMP:
            self._arm_jump()
            return
        due_ns = max(self.exchange.next_due_ns(), self._last_turn_ns + TURN_MIN_NS)
        if self._timer is not None:
            if due_ns >= self._timer_due_ns:
                return
            self._timer.cancel()
        self._timer_due_ns = due_ns
        wait_s = max(0.0, (due_ns - self.clock.now_ns()) / NS_PER_S)
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._fire)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm_jump(self) -> None:
        due_ns = self.exchange.next_due_ns()
        if self._timer is None and due_ns - self.clock.now_ns() <= JUMP_MAX_NS:
            self._timer_due_ns = due_ns
            self._timer = asyncio.get_running_loop().call_later(0, self._fire)

    def _fire(self) -> None:
        self._timer = None
        if self.wake is Wake.STEPS:  # the replay began to play after this was armed
            return
        try:
            if self.wake is Wake.JUMP:
                self.clock.hold(self._timer_due_ns)
            self.turn()
        except Exception as error:
            self.stop()
            if self.on_failure is None:
                raise
            self.on_failure(error)
