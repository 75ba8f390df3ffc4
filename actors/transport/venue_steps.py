"""Lock-step replay, the venue's side: who has to finish what before the next recorded moment leaves.

One step: the venue has said all of its moment; each client gets a token with how much that was; then the venue waits
until everybody (in a short step: feeds and quote actors, see `step_plan.py`) has finished the step and every request
that they wrote has arrived. Requests wait at the door until then and go in by role and number, so how fast a
connection was decides nothing; the exchange takes them at the step's recorded time, and its latency model says when
they meet the book.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from actors.transport.links import Links
from actors.transport.step_plan import ANSWERS, FRAMES, VENUE, Cast
from actors.transport.venue_frames import CONTROL_BYTES_MAX
from actors.vocab import codec
from actors.vocab.control import FrameToken, Greeting
from actors.vocab.errors import OurFault, check
from actors.vocab.message import Message
from actors.vocab.units import NS_PER_S

# A step takes milliseconds; whoever needs longer than this has died or waits for something that never comes.
STEP_TIMEOUT_S = 60.0
SETTLE_TURNS_MAX = 100_000
_WS, _HTTP = 0, 1


class StepDoor:
    """Requests to all venues of a run wait here while it steps; otherwise they walk through."""

    def __init__(self) -> None:
        self.shut = False
        self.received: Counter[str] = Counter()  # role -> requests that have arrived
        self.answered: Counter[str] = Counter()  # role -> HTTP answers given
        self.inside_count = 0  # requests that have gone in and are not answered
        self.on_arrival: Callable[[], None] = lambda: None
        # ((role, websocket before HTTP, number), its turn)
        self._waiting: list[tuple[tuple[str, int, int], asyncio.Future[None]]] = []
        self._ws_no = 0

    async def enter_ws(self, role: str) -> None:
        """A websocket request of `role` ("": not of the run, e.g. an audit). Its connection keeps the order."""
        self._ws_no += 1
        await self._enter((role, _WS, self._ws_no))

    async def enter_http(self, role: str, call_no: str) -> None:
        """An HTTP request; `call_no` as the client numbered it."""
        await self._enter((role, _HTTP, int(call_no) if call_no.isdigit() else 0))

    def leave(self, role: str, *, http: bool) -> None:
        """The request has its answer."""
        self.inside_count -= 1
        if http:
            self.answered[role] += 1

    def let_in(self) -> None:
        """Everybody who waits, in an order that does not depend on when they came."""
        waiting, self._waiting = sorted(self._waiting, key=lambda item: item[0]), []
        for _key, turn in waiting:
            if not turn.done():  # done: its connection broke
                self.inside_count += 1
                turn.set_result(None)

    async def _enter(self, key: tuple[str, int, int]) -> None:
        role = key[0]
        if not (self.shut and role):
            self.inside_count += 1
            self.received[role] += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, turn))
        self.received[role] += 1
        self.on_arrival()
        await turn


class SteppedVenue(Protocol):
    """What the steps need of a `VenueServer`."""

    def frames_count(self, role: str) -> int:
        """Websocket messages sent so far to the connections of `role`, closed ones included."""
        ...

    @property
    def unanswered_count(self) -> int:
        """Requests that the exchange will answer at a later time."""
        ...

    def send_token(self, role: str, payload: bytes) -> bool:
        """Queue `payload` behind the frames of `role`'s streams; False where it has none here."""
        ...

    def flush(self) -> None:
        """Write all that is queued."""
        ...


class VenueSteps:
    """Hands out tokens and takes them back. `links` and `venues` are the venue's own."""

    def __init__(self, *, links: Links, cast: Cast, venues: Sequence[SteppedVenue], door: StepDoor) -> None:
        """`door` has been that of all `venues` since they opened, else requests would be missing in its count."""
        self._cast = cast
        self._venues = tuple(venues)
        self._door = door
        self._door.on_arrival = self._look
        self._server = links.server(
            "steps", on_message=self._on_message, on_peer=self._on_peer, silence_ms=int(STEP_TIMEOUT_S * 1000)
        )
        self._incarnations: dict[str, str] = {}  # role -> incarnation, of live links
        self._steps_of: dict[str, int] = {}  # role -> its newest token's step
        # Risk and gateways -> until when nothing is due for them, by their newest tokens
        self._idle_until_ns: dict[str, int] = dict.fromkeys(cast.last, 0)
        self._is_short = False  # the step of now
        self._wakes = False  # a short step has something for those who left it out
        self._full_before = 0  # the newest step before it that everybody took
        self._requests: Counter[str] = Counter()  # role -> requests that it has written
        # (from, to) -> messages so far: what changed since the last tokens left, and what they said
        self._news: dict[tuple[str, str], int] = {}
        self._told: dict[tuple[str, str], int] = {}
        self._step = 0
        self._all_done: asyncio.Future[None] | None = None
        self._all_here = asyncio.Event()

    async def ready(self) -> None:
        """Return when everybody has started; from here on nothing goes in but in steps."""
        await self._all_here.wait()
        await self._settle()
        self._door.shut = True

    def missing(self) -> str:
        """Whom the current step (or the first one) waits for, for people."""
        roles = self._awaited() if self._step else self._cast.everybody
        late = [role for role in roles if self._steps_of.get(role, -1) < self._step]
        if late:
            return ", ".join(late)
        return "requests" if self._step and not self._is_done() else ""

    async def take(self, now_ns: int, phase: str = "") -> None:
        """Step to `now_ns`: the venue has queued all of it. Returns when everybody has finished."""
        await self._take(now_ns, phase, short=not phase)
        if self._wakes:
            await self._take(now_ns, phase, short=False)  # an order leaves at the time of the frame that caused it

    async def _take(self, now_ns: int, phase: str, *, short: bool) -> None:
        await self._settle()
        if not self._is_short:
            self._full_before = self._step
        self._step += 1
        self._wakes = False
        loop = asyncio.get_running_loop()
        self._all_done = loop.create_future()
        door = self._door
        for role in self._cast.venue_clients:
            self._tell(FRAMES, role, sum(venue.frames_count(role) for venue in self._venues))
            self._tell(ANSWERS, role, door.answered[role])
        self._is_short = short and not self._concerns_sleepers(now_ns)
        counts = tuple((*key, count) for key, count in self._news.items())
        self._news.clear()
        token = FrameToken(self._step, now_ns, VENUE, phase, counts, self._is_short, self._full_before)
        for role in self._cast.feeds:
            self._send_token(role, token)
        for venue in self._venues:
            venue.flush()
        watchdog = loop.call_later(STEP_TIMEOUT_S, self._give_up, now_ns)
        try:
            self._look()
            await self._all_done
        finally:
            watchdog.cancel()
        door.let_in()
        await self._settle()

    def open(self) -> None:
        """The recording is over: requests walk through again."""
        self._door.shut = False
        self._door.let_in()

    # --- inside --------------------------------------------------------------------------------------------------

    def _concerns_sleepers(self, now_ns: int) -> bool:
        """Whether risk or a gateway has something to do in a step at `now_ns`: by its own word, or by ours."""
        if min(self._idle_until_ns.values()) <= now_ns:
            return True
        return any(self._cast.sleeps(receiver) for _, receiver in self._news)

    def _awaited(self) -> tuple[str, ...]:
        return self._cast.quotes if self._is_short else self._cast.last

    def _send_token(self, role: str, token: FrameToken) -> None:
        """Behind the step's frames on their own socket, so that one write carries both; by the link where it is too
        long for that, or where there is no such socket."""
        payload = codec.encode(token)
        if len(payload) <= CONTROL_BYTES_MAX and any(venue.send_token(role, payload) for venue in self._venues):
            return
        sent = self._server.send(self._incarnations.get(role, ""), token)
        check(sent, f"step {self._step}: {role} is gone")

    def _tell(self, sender: str, receiver: str, count: int) -> None:
        if self._told.get((sender, receiver), 0) != count:
            self._told[sender, receiver] = self._news[sender, receiver] = count

    async def _settle(self) -> None:
        """Let the requests that went in come to where they wait for the exchange, and finished ones write."""
        for _ in range(SETTLE_TURNS_MAX):
            if self._door.inside_count == sum(venue.unanswered_count for venue in self._venues):
                return
            await asyncio.sleep(0)
        raise OurFault(
            f"step {self._step}: {self._door.inside_count} requests are inside, the exchange knows "
            f"{sum(venue.unanswered_count for venue in self._venues)}"
        )

    def _on_peer(self, greeting: Greeting, came: bool) -> None:
        if came:
            self._incarnations[greeting.name] = greeting.incarnation
        else:
            self._incarnations.pop(greeting.name, None)
            self._fail(f"{greeting.name} was lost at step {self._step}")

    def _on_message(self, _peer: str, message: Message) -> None:
        if isinstance(message, FrameToken):
            self._steps_of[message.sender] = message.step
            if message.sender in self._idle_until_ns:
                self._idle_until_ns[message.sender] = message.idle_until_ns
            self._wakes |= message.short and message.wakes
            for sender, receiver, count in message.counts:
                if receiver == VENUE:
                    self._requests[sender] = count
                else:
                    self._news[sender, receiver] = count
            if not self._step and all(role in self._steps_of for role in self._cast.everybody):
                self._all_here.set()
            if message.step == self._step:
                self._look()

    def _look(self) -> None:
        done = self._all_done
        if done is not None and not done.done() and self._is_done():
            done.set_result(None)

    def _is_done(self) -> bool:
        for role in self._awaited():
            if self._steps_of[role] < self._step:
                return False
        return all(self._door.received[role] >= count for role, count in self._requests.items())

    def _give_up(self, now_ns: int) -> None:
        self._fail(f"step {self._step} at {now_ns / NS_PER_S:.3f} waits for {self.missing()}")

    def _fail(self, text: str) -> None:
        if self._all_done is not None and not self._all_done.done() and self._door.shut:
            self._all_done.set_exception(OurFault(text))


@contextmanager
def inside(door: StepDoor | None, role: str, *, http: bool) -> Iterator[None]:
    """Around everything that a request does after it went in."""
    try:
        yield
    finally:
        if door is not None:
            door.leave(role, http=http)
