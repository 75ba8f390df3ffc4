"""Lock-step replay, one actor's side: nothing is delivered when it arrives, everything when its step comes.

The gate stands between sockets and shell. Links, websocket sessions and HTTP hand it what arrived; it keeps that per
source, in order. Step k comes when every source of the plan has sent its token and when as many messages, frames and
answers have come as these tokens count. Then the clock is set to the recorded time, the callbacks are called in the
order of `step_turn.py`, and last the token goes out on the same links behind everything that the step said. Nothing
here depends on how long anything took, on addresses or on incarnations, so the same recording and seed give the same
run.

Risk and gateways leave out short steps (`step_plan.py`): for them step 7 may come after step 3. What arrives meanwhile
waits, and none of their timers is due before the next step that they take.

Before the first step all clocks stand and nothing is delivered but HTTP answers, so start-up cannot be seen either.
After the last one (`phase` "free") the gate is open: it hands over at once, and the clock runs on by itself.

A peer or connection that is lost while steps run is a fault: what it had not said yet would be missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from actors.transport.identity import SystemClock
from actors.transport.step_plan import ANSWERS, FRAMES, VENUE, Cast
from actors.transport.step_turn import ANSWER, CHANGE, QUIET, Call, StepTimer, StepTurn
from actors.vocab.clock import Clock
from actors.vocab.control import FrameToken
from actors.vocab.errors import OurFault, check
from actors.vocab.message import Message
from actors.vocab.units import NS_PER_S

# Turns of the loop that a task gets to reach its next wait after something woke it. Ours need at most five; a turn
# costs microseconds, and only steps that wake a task pay for it.
SETTLE_TURNS = 16
FREE_TICK_S = 0.02  # how finely timers run once the gate is open
FREE, END = "free", "end"


class StepClock:
    """Stands where the last step put it; after `free` it runs on from there by the machine's clock."""

    def __init__(self, now_ns: int, machine: Clock) -> None:
        self._now_ns = now_ns
        self._machine = machine
        self._freed_ns = 0

    def now_ns(self) -> int:
        return self._now_ns if not self._freed_ns else self._now_ns + self._machine.now_ns() - self._freed_ns

    def wall_ns(self) -> int:
        return self.now_ns()

    def set(self, now_ns: int) -> None:
        check(now_ns >= self._now_ns, f"step at {now_ns} after one at {self._now_ns}")
        self._now_ns = now_ns

    def free(self) -> None:
        self._freed_ns = self._machine.now_ns()


class StepGate:
    """One per actor of a lock-step run. All methods are called on the loop's thread."""

    def __init__(self, *, role: str, cast: Cast, start_ns: int, on_fault: Callable[[BaseException], None]) -> None:
        self.role = role
        self.machine: Clock = SystemClock()  # for what must not stand still: beats, silence, watchdogs
        self.clock = StepClock(start_ns, self.machine)
        self.step = 0  # the last one that was begun
        self.open = False
        self.on_end: list[Call] = []  # called once, in the step in which the recording has ended
        self.send_token: Callable[[FrameToken], None] = lambda token: None
        self.requests_count = 0
        self.peers = cast.peers(role)
        self.publishes = role in cast.feeds  # our token goes to whoever subscribes
        self._sources = cast.sources(role)
        # Whose messages belong to the step in which they were sent; all others' to the next one.
        self._wakeful = cast.gateways if role in cast.quotes else ()
        self.sleeps = cast.sleeps(role)  # leaves out short steps
        self._on_fault = on_fault
        self._seen: dict[str, int] = dict.fromkeys(self._sources, 0)  # source -> newest token's step
        self._blocked_on = ""  # a source that the next step lacks; looked at first
        # Messages since the start, by role of the peer, FRAMES and ANSWERS: what came, what the tokens count.
        # came >= counted as soon as a step may begin; a peer's surplus belongs to later steps.
        self._came: dict[str, int] = {}
        self._counted: dict[str, int] = {}
        self._short: dict[str, int] = {}  # those with came < counted, and how much was counted
        # To whom we sent how many; and what the next token must say of it, and of the counts that it passes on.
        self._sent: dict[str, int] = {}
        self._news: dict[tuple[str, str], int] = {}
        self._turn = StepTurn(self.peers)
        # Of the step to come, as the newest token says. No source is more than one step ahead: the venue waits.
        self._now_ns = start_ns
        self._next_step = 0
        self._next_phase = ""
        self._is_short = False
        self._full_before = 0
        self._wakes = False  # our token must say so
        self._busy_count = 0
        self._idle: asyncio.Event = asyncio.Event()
        self._working = False  # a step runs, or its tasks have not settled yet
        self._woken = False  # this step made some task runnable
        self._phase = ""
        self._ended = False
        self._settling: asyncio.Task[None] | None = None
        self._free_timer: asyncio.TimerHandle | None = None

    # --- what arrives --------------------------------------------------------------------------------------------

    @property
    def stepping(self) -> bool:
        return self.step > 0 and not self.open

    def note(self, source: str, call: Call, *, rank: int = CHANGE) -> None:
        """Something that is no peer's message: deliver it in the next step, before all messages, by (rank, source)."""
        if self.open:
            call()
            return
        self._turn.note(source, call, rank=rank)

    def frame(self, source: str, call: Call) -> None:
        """A websocket message of the venue; `source` names the connection."""
        self.note(source, call, rank=QUIET)
        self._count(FRAMES)

    def peer(self, name: str, message: Message, call: Call) -> None:
        """A message of a peer, or its token."""
        if type(message) is FrameToken:
            self.token(message)
        elif self.open:
            call()
        else:
            self._turn.peer(name, call)
            self._count(name)

    def sent(self, name: str) -> None:
        """A message has left for the peer `name`."""
        if not self.open:
            self._sent[name] = self._news[self.role, name] = self._sent.get(name, 0) + 1
            self._wakes |= name in self._wakeful

    def wake(self) -> None:
        """Something was published that those who leave out short steps take in the step of its publishing."""
        self._wakes = True

    def link(self, name: str, up: bool, call: Call) -> None:
        """A link came up or went down. Before the first step an up and a down leave no trace."""
        if self.open:
            call()
        elif up:
            self.note(f"link {name}", call)
        elif self.stepping:
            self._on_fault(OurFault(f"{self.role}: lost {name} in lock-step, step {self.step}"))
        else:
            self._turn.forget(f"link {name}")

    def market(self, release: Call) -> None:
        """A subscriber: `release` hands over all that it has read, and is called in each step."""
        self._turn.market(release)

    def token(self, token: FrameToken) -> None:
        """`token.sender` has finished a step (the venue: has said all of it)."""
        if self.open:
            return
        sender = token.sender
        before = token.full_before if self.sleeps else token.step - 1
        if self._seen.get(sender, -1) != before:
            self._on_fault(OurFault(f"{self.role}: token {token.step} of {sender} after {self._seen.get(sender)}"))
            return
        self._seen[sender] = self._next_step = token.step
        self._now_ns, self._next_phase = token.now_ns, token.phase
        self._is_short, self._full_before = token.short, token.full_before
        self._wakes |= token.wakes
        if token.counts:
            self._take_counts(token)
        if not self._working:
            self._look()

    # --- what the shell waits for --------------------------------------------------------------------------------

    def soon(self, call: Call) -> None:
        """Call at the end of this turn: `loop.call_soon`, but inside the step."""
        if self.open:
            asyncio.get_running_loop().call_soon(self._guarded, call)
        else:
            self._turn.soon(call)

    def every(self, interval_ns: int, call: Call) -> StepTimer:
        """Call each `interval_ns` of recorded time, first after one; missed turns are skipped."""
        return self._turn.every(self.clock.now_ns(), interval_ns, call)

    def at(self, at_ns: int, call: Call) -> StepTimer:
        """Call once, in the first step at or after `at_ns`."""
        return self._turn.at(at_ns, call)

    async def sleep(self, wait_s: float) -> None:
        """Recorded seconds."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self.at(self.clock.now_ns() + int(wait_s * NS_PER_S), lambda: self._wake(woken, None))
        try:
            await woken
        finally:
            timer.cancel()

    async def wait(self, event: asyncio.Event, timeout_s: float | None) -> bool:
        """Wait for `event`, at most so many recorded seconds; whether it came."""
        if timeout_s is None:
            await event.wait()
            return True
        waiting = asyncio.ensure_future(event.wait())
        sleeping = asyncio.ensure_future(self.sleep(timeout_s))
        try:
            await asyncio.wait({waiting, sleeping}, return_when=asyncio.FIRST_COMPLETED)
            return event.is_set()
        finally:
            waiting.cancel()
            sleeping.cancel()

    def request(self) -> int:
        """A request to the venue is about to be written; return its number."""
        self.requests_count += 1
        self._news[self.role, VENUE] = self.requests_count
        return self.requests_count

    def unsent(self) -> None:
        """The last request could not be written after all."""
        self.requests_count -= 1
        self._news[self.role, VENUE] = self.requests_count

    async def answered(self, request_no: int) -> None:
        """The answer to an HTTP request has come: wait for the step that may know it."""
        if not self.stepping:
            self._count(ANSWERS)
            return
        parked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.note(f"{request_no:012d}", lambda: self._wake(parked, None), rank=ANSWER)
        self._count(ANSWERS)
        await parked

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Something that takes real time and whose end must not be seen at a chance moment (a dial): the step waits."""
        self._busy_count += 1
        try:
            yield
        finally:
            self._busy_count -= 1
            if not self._busy_count:
                self._idle.set()

    @property
    def is_busy(self) -> bool:
        return self._busy_count > 0

    def touched(self) -> None:
        """Some task has become runnable: let it run before the step ends."""
        self._woken = True

    def close(self) -> None:
        if self._settling is not None:
            self._settling.cancel()
        if self._free_timer is not None:
            self._free_timer.cancel()
        self._turn.clear()

    # --- a step --------------------------------------------------------------------------------------------------

    def missing(self) -> str:
        """What the next step waits for, for people; "" for nothing."""
        step = max(self._next_step, self.step + 1)
        for source, seen in self._seen.items():
            if seen < step:
                return f"token {step} of {source}"
        return ", ".join(f"{count - self._came.get(what, 0)} of {what}" for what, count in self._short.items())

    def _look(self) -> None:
        """Begin the next step if nothing is missing."""
        step, seen = self._next_step, self._seen
        if step == self.step or self._short or (self._blocked_on and seen[self._blocked_on] < step):
            return
        for source in self._sources:
            if seen[source] < step:
                self._blocked_on = source
                return
        try:
            self._take_step(step)
        except Exception as error:
            self._on_fault(error)

    def _take_step(self, step: int) -> None:
        for what in (FRAMES, ANSWERS):
            came, counted = self._came.get(what, 0), self._counted.get(what, 0)
            check(came == counted, f"{self.role}: step {step}, {came} {what} came, the venue counts {counted}")
        self.step = step
        self._phase = self._next_phase
        self._working = True
        self.clock.set(self._now_ns)
        if self._turn.deliver(self._counted):
            self._woken = True
        if self._phase == END and not self._ended:
            self._ended = True
            for call in self.on_end:
                call()
        self._turn.end_turn()
        self._turn.run_timers(self.clock.now_ns())
        if self._woken or self._busy_count:
            self._settling = asyncio.get_running_loop().create_task(self._settle(), name=f"{self.role}/step")
        else:
            self._finish()

    async def _settle(self) -> None:
        """Let tasks run until they wait for something of a later step."""
        try:
            while self._woken or self._busy_count:
                self._woken = False
                for _ in range(SETTLE_TURNS):
                    await asyncio.sleep(0)
                while self._busy_count:
                    self._idle.clear()
                    await self._idle.wait()
                    self._woken = True
                self._turn.end_turn()
            self._finish()
        except Exception as error:
            self._on_fault(error)

    def _finish(self) -> None:
        self._working = False
        counts: tuple[tuple[str, str, int], ...] = ()
        if self._news:
            counts = tuple((*key, count) for key, count in self._news.items())
            self._news.clear()
        self.send_token(
            FrameToken(
                self.step,
                self.clock.now_ns(),
                self.role,
                self._phase,
                counts,
                self._is_short,
                self._full_before,
                self._turn.idle_until_ns if self.sleeps else 0,
                self._wakes,
            )
        )
        self._wakes = False
        if self._phase == FREE:
            self._open()
        else:
            self._look()

    # --- after the recording -------------------------------------------------------------------------------------

    def _open(self) -> None:
        """Hand over what waits; from here on nothing waits any more."""
        self.open = True
        self.clock.free()
        self._turn.deliver()
        self._turn.end_turn()
        self._tick_freely()

    def _tick_freely(self) -> None:
        self._free_timer = asyncio.get_running_loop().call_later(FREE_TICK_S, self._tick_freely)
        self._guarded(lambda: self._turn.run_timers(self.clock.now_ns()))

    # --- inside --------------------------------------------------------------------------------------------------

    def _guarded(self, call: Call) -> None:
        try:
            call()
        except Exception as error:
            self._on_fault(error)

    def _count(self, what: str) -> None:
        """One more has come."""
        came = self._came[what] = self._came.get(what, 0) + 1
        if self._short and came >= self._short.get(what, came + 1):
            del self._short[what]
            if not self._working:
                self._look()

    def _take_counts(self, token: FrameToken) -> None:
        """Those for us are to be waited for. Others' go on where only we can tell: the venue's from feeds to everybody,
        a feed's from risk and a quote actor's from gateways to the venue.
        """
        from_feed = token.sender.startswith("feed:")
        for sender, receiver, count in token.counts:
            if receiver == self.role:
                # A quote actor's own token may have come before the feed's, which tells what it said a step ago.
                if count > self._counted.get(sender, 0):
                    self._counted[sender] = count
                    if self._came.get(sender, 0) < count:
                        self._short[sender] = count
            elif receiver == VENUE or not from_feed:
                self._news[sender, receiver] = count

    def _wake(self, future: asyncio.Future[None], value: None) -> None:
        if not future.done():
            self._woken = True
            future.set_result(value)
