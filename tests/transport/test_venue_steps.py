"""Lock-step, the venue's side: who is waited for, which steps are short, and what follows a short one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from actors.transport.step_gate import END
from actors.transport.step_plan import VENUE, Cast
from actors.transport.venue_steps import StepDoor, VenueSteps
from actors.vocab import codec
from actors.vocab.control import FrameToken, Greeting
from actors.vocab.errors import OurFault
from actors.vocab.message import Message

CAST = Cast(feeds=("feed:v:0",), quotes=("quote:B", "quote:E"), gateways=("gateway:v",))
FEED, QUOTE, OTHER, GATEWAY = CAST.feeds[0], *CAST.quotes, CAST.gateways[0]
MS = 1_000_000
Answer = Callable[[FrameToken], Iterable[FrameToken]]


class Fleet:
    """Stands where the links are: hears the venue's tokens, and answers as the script says."""

    unanswered_count = 0

    def __init__(self) -> None:
        self.tokens: list[FrameToken] = []
        self.payloads: list[bytes] = []
        self.takes_tokens = True  # the feed has a socket
        self.flushes_count = 0
        self.frames: dict[str, int] = {}
        self.answer: Answer = self.finish
        self.idle_ms = {GATEWAY: 25, "risk": 100}
        self.counts: tuple[tuple[str, str, int], ...] = ()  # what risk and the gateway tell of each full step
        self.wakes: set[int] = set()  # steps in which a quote actor sends an order

    def server(self, _channel: str, *, on_message: Any, on_peer: Any, silence_ms: int) -> Fleet:
        self.on_message, self.on_peer = on_message, on_peer
        return self

    def send(self, _incarnation: str, token: Message) -> bool:
        assert isinstance(token, FrameToken)
        self.tokens.append(token)
        for each in self.answer(token):
            asyncio.get_running_loop().call_soon(self.on_message, each.sender, each)
        return True

    def finish(self, token: FrameToken) -> Iterable[FrameToken]:
        """Everybody who takes the step and has something to say to the venue, in the order of the arrows."""
        if token.short:
            for role in CAST.quotes:
                yield FrameToken(token.step, token.now_ns, role, short=True, wakes=token.step in self.wakes)
        else:
            for role in CAST.last:
                idle_ns = token.now_ns + self.idle_ms[role] * MS
                yield FrameToken(token.step, token.now_ns, role, counts=self.counts, idle_until_ns=idle_ns)

    def send_token(self, _role: str, payload: bytes) -> bool:
        self.payloads.append(payload)
        return self.takes_tokens and self.send("", codec.decode(payload))

    def flush(self) -> None:
        self.flushes_count += 1

    def frames_count(self, role: str) -> int:
        return self.frames.get(role, 0)

    async def steps(self) -> VenueSteps:
        steps = VenueSteps(links=self, cast=CAST, venues=[self], door=StepDoor())  # type: ignore[arg-type]  # a stand-in
        for role in CAST.everybody:
            self.on_peer(Greeting(role, role, "h", "", 1), True)
            self.on_message(role, FrameToken(0, 0, role))
        await steps.ready()
        return steps

    @property
    def kinds(self) -> list[str]:
        return ["short" if token.short else "full" for token in self.tokens]


def play(fleet: Fleet, *moments_ms: int, phase: str = "", between: Callable[[int], None] = lambda ms: None) -> None:
    async def scene() -> None:
        steps = await fleet.steps()
        for ms in moments_ms:
            between(ms)
            await asyncio.wait_for(steps.take(ms * MS, phase), 5)

    asyncio.run(scene())


def test_steps_are_short_until_a_sleeper_said_that_it_has_something_to_do() -> None:
    fleet = Fleet()
    play(fleet, 1, 2, 25, 26, 27, 51)

    assert fleet.kinds == ["full", "short", "short", "full", "short", "full"]
    assert [token.full_before for token in fleet.tokens] == [0, 1, 1, 1, 4, 4]
    assert [token.step for token in fleet.tokens] == [1, 2, 3, 4, 5, 6]


def test_what_comes_for_a_sleeper_makes_the_next_step_full() -> None:
    fleet = Fleet()

    def between(ms: int) -> None:
        if ms == 3:
            fleet.frames[GATEWAY] = 1  # a fill left on the private stream
        if ms == 5:
            fleet.frames[FEED] = 7

    play(fleet, 1, 2, 3, 4, 5, between=between)

    assert fleet.kinds == ["full", "short", "full", "short", "short"]
    assert fleet.tokens[2].counts == (("frames", GATEWAY, 1),)


def test_an_order_of_a_short_step_is_taken_in_a_full_one_at_the_same_time() -> None:
    fleet = Fleet()
    fleet.wakes = {3}
    play(fleet, 1, 2, 3, 4)

    assert [(token.now_ns // MS, token.short) for token in fleet.tokens] == [
        (1, False),
        (2, True),
        (3, True),
        (3, False),
        (4, True),
    ]


def test_at_the_end_every_step_is_full() -> None:
    fleet = Fleet()
    play(fleet, 1, 2, 3, phase=END)

    assert fleet.kinds == ["full"] * 3


def test_a_token_that_is_too_long_for_the_socket_goes_by_the_link() -> None:
    fleet = Fleet()
    play(fleet, 1, 2)
    many = Fleet()
    many.counts = tuple((GATEWAY, role, 1_000) for role in (*CAST.quotes, "risk", "quote:X", "quote:Y"))
    play(many, 1, 2)
    linked = Fleet()
    linked.takes_tokens = False
    play(linked, 1)

    assert [len(each.payloads) for each in (fleet, many, linked)] == [2, 1, 1]
    assert [len(each.tokens) for each in (fleet, many, linked)] == [2, 2, 1]
    assert fleet.flushes_count == 2


def test_whoever_is_lost_in_a_step_ends_the_replay_by_name() -> None:
    fleet = Fleet()

    def lose(token: FrameToken) -> Iterable[FrameToken]:
        asyncio.get_running_loop().call_soon(fleet.on_peer, Greeting(OTHER, OTHER, "h", "", 1), False)
        return [FrameToken(token.step, token.now_ns, QUOTE, short=True)]

    fleet.answer = lose
    with pytest.raises(OurFault, match=f"{OTHER} was lost at step 1"):
        play(fleet, 1)


def test_missing_names_those_who_take_the_step() -> None:
    fleet = Fleet()

    async def scene() -> list[str]:
        steps = await fleet.steps()
        await steps.take(1 * MS)
        fleet.answer = lambda token: ()
        waiting = []
        for ms in (2, 30):
            taking = asyncio.ensure_future(steps.take(ms * MS))
            await asyncio.sleep(0)
            waiting.append(steps.missing())
            for token in fleet.finish(fleet.tokens[-1]):
                fleet.on_message(token.sender, token)
            await taking
        return waiting

    assert asyncio.run(scene()) == [f"{QUOTE}, {OTHER}", f"{GATEWAY}, risk"]
    assert {token.sender for token in fleet.tokens} == {VENUE}
