"""The registry's shell: registrations by Ray calls, directories and instruments by a publisher, beats by a server.

Restart: Ray runs the constructor again with the same run description. The roster starts empty and marked
incomplete; every member notices the broken link within a second and registers again, feeds offer their
instruments again. Until then all others go on with what they know: nothing on the path of an order is here.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from actors.registry.directory import (
    Command,
    Event,
    Heard,
    Leave,
    Note,
    Offer,
    Push,
    Refuse,
    Register,
    Roster,
    Tick,
    Welcome,
)
from actors.transport.host import MEMBERS_CHANNEL, registry_silence_ms
from actors.transport.host_log import ActorLog
from actors.transport.identity import environment, host_id, new_incarnation, runtime_folder, tcp_address
from actors.transport.links import LinkKeys, Links, Publisher, Server
from actors.vocab import codec
from actors.vocab.control import (
    DIRECTORY_TOPIC,
    INSTRUMENTS_TOPIC,
    Directory,
    Greeting,
    Instruments,
    Joined,
    Member,
    RunDescription,
    Stop,
)
from actors.vocab.errors import OurFault
from actors.vocab.message import Message
from actors.vocab.units import NS_PER_S

TICK_S = 0.5
# Pushes wait this long for more changes, so that fifty members starting at once do not cause fifty directories each.
PUSH_DELAY_S = 0.05
EVICT_AFTER_NS = 5 * NS_PER_S  # Ray restarts a process in about two; then its new life replaces the old at once
START_TIMEOUT_NS = 60 * NS_PER_S
GATHER_NS = 5 * NS_PER_S  # members call within a second after the link broke, unless their node is busy
LIVES_MAX = 6
LIVES_WINDOW_NS = 60 * NS_PER_S
FIRST_WAIT_MS = 1_000
NOTES_MAX = 200  # newest kept for `status`; all are in the log

_members: msgspec.msgpack.Decoder[Member] = msgspec.msgpack.Decoder(Member)


class RegistryActor:
    """One per run, detached with it. All methods are async, so Ray runs them on one loop and none overlaps another."""

    def __init__(
        self,
        role: str,
        run: bytes,
        *,
        environ: Mapping[str, str] | None = None,
        exit_process: Callable[[int], None] = os._exit,
    ) -> None:
        """`run` is an encoded RunDescription: a constructor's arguments are all that survives a restart."""
        description = codec.decode(run)
        if not isinstance(description, RunDescription):
            raise OurFault(f"the registry was given {type(description).__name__}, expected RunDescription")
        self._role = role
        self._run = description
        self._environ = environment() if environ is None else environ
        self._exit_process = exit_process
        self.incarnation = new_incarnation(role)
        self._log = ActorLog(role, description.run_dir)
        self._roster = Roster(
            # Wall milliseconds, so that a new life of the registry always numbers above the one before.
            first_version=time.time_ns() // 1_000,  # two lives never begin in one microsecond
            now_ns=time.monotonic_ns(),
            evict_after_ns=EVICT_AFTER_NS,
            start_timeout_ns=START_TIMEOUT_NS,
            gather_ns=GATHER_NS,
            lives_max=LIVES_MAX,
            lives_window_ns=LIVES_WINDOW_NS,
            first_wait_ms=FIRST_WAIT_MS,
        )
        self._notes: deque[str] = deque(maxlen=NOTES_MAX)
        self._links: Links | None = None
        self._publisher: Publisher | None = None
        self._server: Server | None = None
        self._tick: asyncio.TimerHandle | None = None
        # What the next push carries; a directory or a venue's instruments replaces the one that still waits.
        self._waiting: dict[str, tuple[bytes, Message]] = {}
        self._push: asyncio.TimerHandle | None = None
        self._stopped = asyncio.Event()

    # --- called by members, through Ray --------------------------------------------------------------------

    async def register(self, member: bytes) -> bytes:
        """Take an encoded Member; return an encoded Joined, or Stop with the reason why not."""
        links = self._start()
        newcomer = _members.decode(member)
        commands = self._roster.handle(Register(newcomer), time.monotonic_ns())
        answer = commands[0]
        self._carry_out(commands[1:])
        if isinstance(answer, Refuse):
            self._note(f"refused {newcomer.incarnation}: {answer.reason}")
            return codec.encode(Stop(answer.reason))
        if not isinstance(answer, Welcome):
            raise OurFault(f"the roster answered {answer!r} to a registration")
        push_address = links.address_of(links.member(), "directory")
        return codec.encode(
            Joined(
                run=self._run,
                directory=self._roster.directory(),
                push_address=push_address,
                instruments=tuple(self._roster.instruments()),
                wait_ms=answer.wait_ms,
            )
        )

    async def leave(self, name: str, incarnation: str) -> None:
        """An orderly goodbye."""
        self._start()
        self._carry_out(self._roster.handle(Leave(name, incarnation), time.monotonic_ns()))

    async def offer_instruments(self, instruments: bytes) -> None:
        """Take an encoded Instruments of one venue and push it to everybody if anything changed."""
        self._start()
        message = codec.decode(instruments)
        if not isinstance(message, Instruments):
            raise OurFault(f"a feed offered {type(message).__name__}, expected Instruments")
        self._carry_out(self._roster.handle(Offer(message), time.monotonic_ns()))

    # --- called by supervisor and console ------------------------------------------------------------------

    async def directory(self) -> bytes:
        """Return the encoded Directory of now."""
        self._start()
        return codec.encode(self._roster.directory())

    async def run(self) -> None:
        """Serve until `stop`. Optional: any other call starts the registry just as well."""
        self._start()
        await self._stopped.wait()

    async def status(self) -> dict[str, Any]:
        """Return who is alive, who was given up and why, and the newest notes."""
        links = self._start()
        directory = self._roster.directory()
        return {
            "role": self._role,
            "incarnation": self.incarnation,
            "version": directory.version,
            "complete": directory.complete,
            "members": {
                member.name: {"incarnation": member.incarnation, "host": member.host, "ready": member.ready}
                for member in directory.members
            },
            "given_up": dict(self._roster.given_up),
            "instruments": {item.venue: len(item.rows) for item in self._roster.instruments()},
            "links": links.counters.as_dict(),
            "keys_refused": links.keys_refused_count,
            "notes": list(self._notes),
        }

    async def stop(self) -> None:
        """Close everything. The members go on with what they know."""
        self._close()
        self._log.close()
        self._stopped.set()

    # --- inside ----------------------------------------------------------------------------------------------

    def _start(self) -> Links:
        """Bind on the first call: only then does the loop run, and after a restart nobody else starts us."""
        if self._links is not None:
            return self._links
        tcp_host = tcp_address(self._run.tcp_host, self._environ)
        self._links = Links(
            name=self._role,
            incarnation=self.incarnation,
            host=host_id(self._environ),
            runtime_dir=runtime_folder(self._run.runtime_dir, self._environ),
            tcp_host=tcp_host,
            keys=LinkKeys.new() if tcp_host else None,
            on_fault=self._fault,
        )
        self._publisher = self._links.publisher("directory", on_subscribe=self._on_subscribe)
        self._server = self._links.server(
            MEMBERS_CHANNEL,
            on_message=self._on_message,
            on_peer=self._on_peer,
            silence_ms=registry_silence_ms(self._run),
        )
        self._carry_out(self._roster.handle(Register(self._links.member()), time.monotonic_ns())[1:])
        self._schedule_tick()
        self._log.info("started", incarnation=self.incarnation)
        return self._links

    def _carry_out(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case Push(message=Directory() as directory):
                    if self._links is not None:
                        self._links.learn(directory.members)  # at once: the newcomer dials as soon as it has our answer
                    self._schedule_push("directory", DIRECTORY_TOPIC, directory)
                case Push(message=Instruments() as instruments):
                    self._schedule_push(instruments.venue, INSTRUMENTS_TOPIC, instruments)
                case Note(text=text):
                    self._note(text)
                case _:
                    raise OurFault(f"the roster returned {command!r} out of turn")

    def _handle(self, event: Event) -> None:
        self._carry_out(self._roster.handle(event, time.monotonic_ns()))

    def _on_subscribe(self, topic: bytes) -> None:
        """A newcomer may have missed what was pushed between its registration and its subscription."""
        if topic == DIRECTORY_TOPIC:
            self._schedule_push("directory", DIRECTORY_TOPIC, self._roster.directory())
        elif topic == INSTRUMENTS_TOPIC:
            for instruments in self._roster.instruments():
                self._schedule_push(instruments.venue, INSTRUMENTS_TOPIC, instruments)

    def _on_message(self, incarnation: str, message: Message) -> None:
        raise OurFault(f"{incarnation} sent {type(message).__name__} to the registry; members only beat here")

    def _on_peer(self, greeting: Greeting, came: bool) -> None:
        if came:
            self._handle(Heard(greeting.name, greeting.incarnation))
            self._stop_replaced(greeting)
        else:
            self._handle(Leave(greeting.name, greeting.incarnation, lost=True))

    def _stop_replaced(self, greeting: Greeting) -> None:
        """A process that was paused while Ray started its successor wakes up here: it has to end."""
        current = self._roster.member(greeting.name)
        if current is not None and current.incarnation != greeting.incarnation and self._server is not None:
            self._server.send(greeting.incarnation, Stop(f"replaced by {current.incarnation}"))

    def _schedule_push(self, key: str, topic: bytes, message: Message) -> None:
        self._waiting[key] = (topic, message)
        if self._push is None:
            self._push = asyncio.get_running_loop().call_later(PUSH_DELAY_S, self._push_now)

    def _push_now(self) -> None:
        self._push = None
        waiting, self._waiting = self._waiting, {}
        try:
            if self._publisher is not None:
                for topic, message in waiting.values():
                    self._publisher.send(topic, message)
        except Exception as error:
            self._fault(error)

    def _schedule_tick(self) -> None:
        self._tick = asyncio.get_running_loop().call_later(TICK_S, self._on_tick)

    def _on_tick(self) -> None:
        self._schedule_tick()
        try:
            if self._server is not None:
                for greeting in self._server.peers:
                    self._handle(Heard(greeting.name, greeting.incarnation))
                    self._stop_replaced(greeting)
            self._handle(Heard(self._role, self.incarnation))
            self._handle(Tick())
        except Exception as error:
            self._fault(error)

    def _note(self, text: str) -> None:
        self._notes.append(text)
        self._log.info(text)

    def _fault(self, error: BaseException) -> None:
        print(f"{self._role} stops: {error!r}", file=sys.stderr, flush=True)
        self._log.error("stops on a fault", error=error)
        self._close()
        self._exit_process(1)

    def _close(self) -> None:
        for timer in (self._tick, self._push):
            if timer is not None:
                timer.cancel()
        if self._links is not None:
            self._links.close()
