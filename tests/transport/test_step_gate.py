"""Lock-step: what an actor is given, in which order, and when; and the venue's door."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.transport.step_gate import END, FREE, StepGate
from actors.transport.step_plan import ANSWERS, FRAMES, VENUE, Cast, cast_of
from actors.transport.step_turn import NEVER_NS, QUIET
from actors.transport.venue_steps import StepDoor, inside
from actors.vocab.control import FrameToken, QuoteGroup
from actors.vocab.errors import OurFault
from actors.vocab.orders import FillsAgain
from tests.fakes import run_description, until

CAST = Cast(
    feeds=("feed:binance_perp:0",), quotes=("quote:BTCUSDT", "quote:ETHUSDT"), gateways=("gateway:binance_perp",)
)
FEED, BTC, ETH, GATEWAY = CAST.feeds[0], *CAST.quotes, CAST.gateways[0]
START_NS, MS = 1_000_000_000_000, 1_000_000
MESSAGE = FillsAgain("binance_perp", 0)


class Actor:
    """A gate, what it handed over, and the tokens it returned."""

    def __init__(self, role: str) -> None:
        self.said: list[str] = []
        self.tokens: list[FrameToken] = []
        self.faults: list[BaseException] = []
        self.gate = StepGate(role=role, cast=CAST, start_ns=START_NS, on_fault=self.faults.append)
        self.gate.send_token = self.tokens.append

    def say(self, text: str) -> Callable[[], None]:
        return lambda: self.said.append(text)

    def message(self, peer: str, text: str) -> None:
        self.gate.peer(peer, MESSAGE, self.say(text))

    def token(
        self,
        sender: str,
        step: int,
        *counts: tuple[str, str, int],
        phase: str = "",
        ms: int = 10,
        short: bool = False,
        full_before: int = -1,
        wakes: bool = False,
    ) -> None:
        before = step - 1 if full_before < 0 else full_before
        now_ns = START_NS + step * ms * MS
        self.gate.token(FrameToken(step, now_ns, sender, phase, counts, short, before, wakes=wakes))

    @property
    def steps(self) -> list[int]:
        return [token.step for token in self.tokens]


def test_cast_names_every_role_of_a_run() -> None:
    groups = (QuoteGroup("quote:B", ("ETHUSDT",)), QuoteGroup("quote:A", ("BTCUSDT",)))

    cast = cast_of(run_description(Path("/tmp"), quote_groups=groups, symbols=("BTCUSDT", "ETHUSDT")))

    assert cast == Cast(
        feeds=("feed:binance_perp:0",), quotes=("quote:A", "quote:B"), gateways=("gateway:binance_perp",)
    )


def test_tokens_reach_everybody_without_a_circle() -> None:
    """From the venue's token alone, every role can take the step; nobody waits for one who waits for him."""
    done = {VENUE}
    for _ in CAST.everybody:
        done |= {role for role in CAST.everybody if set(CAST.sources(role)) <= done}

    assert done == {VENUE, *CAST.everybody}
    assert set(CAST.last) <= done


def test_nothing_is_handed_over_before_all_tokens_have_come() -> None:
    gateway = Actor(GATEWAY)

    gateway.message(BTC, "place")
    gateway.token(FEED, 1)
    gateway.token(BTC, 1, (BTC, GATEWAY, 1))
    before = list(gateway.said)
    gateway.token(ETH, 1)

    assert before == []
    assert gateway.said == ["place"]
    assert gateway.steps == [1]


def test_a_step_waits_for_messages_that_a_token_counts() -> None:
    quote = Actor(BTC)

    quote.token(FEED, 1, (GATEWAY, BTC, 2), ("risk", BTC, 1))
    quote.message(GATEWAY, "ack")
    quote.message("risk", "grant")
    before = quote.steps, quote.gate.missing()
    quote.message(GATEWAY, "fill")

    assert before == ([], "1 of gateway:binance_perp")
    assert quote.said == ["ack", "fill", "grant"]
    assert quote.steps == [1]


def test_messages_beyond_the_count_belong_to_later_steps() -> None:
    quote = Actor(BTC)
    for text in ("ack", "fill", "late fill"):
        quote.message(GATEWAY, text)

    quote.token(FEED, 1, (GATEWAY, BTC, 2))
    first = list(quote.said)
    quote.token(FEED, 2)
    second = list(quote.said)
    quote.token(FEED, 3, (GATEWAY, BTC, 3))

    assert first == second == ["ack", "fill"]
    assert quote.said == ["ack", "fill", "late fill"]


@given(st.randoms(use_true_random=False))
def test_order_of_arrival_between_sockets_is_forgotten(rng: random.Random) -> None:
    """Each source's own order stays; how sources interleave, on the way in, changes nothing."""
    risk = Actor("risk")
    sources: list[list[Callable[[], None]]] = [
        [partial(risk.message, BTC, f"btc {n}") for n in range(3)],
        [partial(risk.message, ETH, f"eth {n}") for n in range(2)],
        [partial(risk.message, GATEWAY, "fill")],
        [lambda: risk.gate.note("instruments", risk.say("instruments"))],
        [partial(risk.token, FEED, 1, (BTC, "risk", 3), (ETH, "risk", 2), (GATEWAY, "risk", 1))],
    ]

    async def arrive() -> None:
        while any(sources):
            rng.choice([source for source in sources if source]).pop(0)()
        await until(lambda: risk.tokens)

    asyncio.run(arrive())

    assert [text for text in risk.said if text != "instruments"] == [
        "fill",
        "btc 0",
        "btc 1",
        "btc 2",
        "eth 0",
        "eth 1",
    ]


def test_frames_are_counted_over_all_connections_and_come_with_their_steps_time() -> None:
    feed = Actor(FEED)
    times: list[int] = []

    def frame(name: str) -> None:
        feed.gate.frame(name, lambda: (feed.said.append(name), times.append(feed.gate.clock.now_ns())))

    frame("public:1")
    feed.token(VENUE, 1, (FRAMES, FEED, 2))
    frame("market:0")
    feed.token(VENUE, 2, (FRAMES, FEED, 3))
    frame("public:1")

    assert feed.said == ["market:0", "public:1", "public:1"]
    assert times == [START_NS + 10 * MS, START_NS + 10 * MS, START_NS + 20 * MS]
    assert feed.steps == [1, 2]


def test_a_frame_that_the_venue_does_not_count_is_a_fault() -> None:
    feed = Actor(FEED)

    feed.gate.frame("public", feed.say("frame"))
    feed.token(VENUE, 1)

    assert [str(fault) for fault in feed.faults] == [f"{FEED}: step 1, 1 frames came, the venue counts 0"]


def test_a_token_out_of_turn_is_a_fault() -> None:
    feed = Actor(FEED)
    feed.token(VENUE, 1)
    feed.token(VENUE, 3)

    assert [type(fault) for fault in feed.faults] == [OurFault]


def test_risk_leaves_out_short_steps_and_says_until_when_it_may() -> None:
    risk = Actor("risk")
    risk.gate.every(100 * MS, risk.say("timer"))

    risk.token(FEED, 1)
    risk.token(FEED, 7, full_before=1)
    risk.token(FEED, 11, full_before=7)

    assert risk.said == ["timer"]
    assert risk.steps == [1, 7, 11]
    assert [token.idle_until_ns - START_NS for token in risk.tokens] == [100 * MS, 100 * MS, 200 * MS]


def test_a_full_step_that_did_not_come_is_a_fault() -> None:
    risk = Actor("risk")
    risk.token(FEED, 1)
    risk.token(FEED, 7, full_before=3)

    assert [str(fault) for fault in risk.faults] == ["risk: token 7 of feed:binance_perp:0 after 1"]


def test_whoever_left_something_for_the_next_step_is_not_idle() -> None:
    risk = Actor("risk")
    risk.gate.at(START_NS + 5 * MS, lambda: risk.gate.note("journal", risk.say("journalled"), rank=QUIET))

    risk.token(FEED, 1)
    risk.token(FEED, 2)

    assert risk.said == ["journalled"]
    assert [token.idle_until_ns for token in risk.tokens] == [0, NEVER_NS]


def test_quote_actors_take_every_step_and_pass_on_what_wakes_the_others() -> None:
    quote = Actor(BTC)

    quote.token(FEED, 1, short=True)
    quote.token(FEED, 2, short=True, wakes=True)  # marks
    quote.gate.sent("risk")  # taken in the next step anyway
    quote.token(FEED, 3, short=True)
    quote.gate.sent(GATEWAY)
    quote.token(FEED, 4, short=True)
    quote.token(FEED, 5)

    assert [(token.step, token.short, token.wakes) for token in quote.tokens] == [
        (1, True, False),
        (2, True, True),
        (3, True, False),
        (4, True, True),
        (5, False, False),
    ]
    assert quote.faults == []


def test_counts_travel_to_the_venue_and_back() -> None:
    """What a quote actor sends to risk is told by its gateways; what the venue tells, feeds publish."""
    quote, gateway, feed, risk = Actor(BTC), Actor(GATEWAY), Actor(FEED), Actor("risk")

    quote.gate.sent("risk")
    quote.gate.sent("risk")
    quote.token(FEED, 1)
    gateway.token(FEED, 1, (GATEWAY, "risk", 7))  # the venue's, on its way out: not told again
    gateway.token(ETH, 1)
    gateway.gate.token(quote.tokens[0])
    feed.gate.request()
    feed.token(VENUE, 1, (BTC, "risk", 2))
    risk.message(BTC, "1")
    risk.message(BTC, "2")
    risk.gate.token(feed.tokens[0])

    assert quote.tokens[0].counts == ((BTC, "risk", 2),)
    assert gateway.tokens[0].counts == ((BTC, "risk", 2),)
    assert set(feed.tokens[0].counts) == {(BTC, "risk", 2), (FEED, VENUE, 1)}
    assert risk.said == ["1", "2"]
    assert risk.tokens[0].counts == ((FEED, VENUE, 1),)


def test_timers_follow_the_recording_and_skip_missed_turns() -> None:
    quote = Actor(BTC)
    quote.gate.every(15 * MS, quote.say("every 15"))
    quote.gate.at(START_NS + 12 * MS, quote.say("at 12"))
    cancelled = quote.gate.at(START_NS + 13 * MS, quote.say("never"))
    cancelled.cancel()
    fired = []

    for step in range(1, 8):
        quote.said.clear()
        quote.token(FEED, step, ms=10 if step < 6 else 100)
        fired.append(list(quote.said))

    assert fired == [[], ["at 12", "every 15"], ["every 15"], [], ["every 15"], ["every 15"], ["every 15"]]


def test_soon_runs_after_messages_and_before_the_token() -> None:
    feed = Actor(FEED)
    feed.gate.frame("a", lambda: feed.gate.soon(feed.say("flush")))
    feed.gate.frame("b", feed.say("frame b"))

    feed.token(VENUE, 1, (FRAMES, FEED, 2))

    assert feed.said == ["frame b", "flush"]


def test_an_answer_is_known_in_its_step_and_its_task_runs_before_the_token() -> None:
    feed = Actor(FEED)

    async def ask() -> None:
        call_no = feed.gate.request()
        await feed.gate.answered(call_no)
        feed.said.append(f"answer at {(feed.gate.clock.now_ns() - START_NS) // MS}")
        feed.gate.request()  # what it asks next is part of the same token

    async def scene() -> None:
        feed.token(VENUE, 1)
        asking = asyncio.ensure_future(ask())
        await asyncio.sleep(0)
        assert feed.said == []
        feed.token(VENUE, 2, (ANSWERS, FEED, 1))
        await asking
        await until(lambda: len(feed.tokens) >= 2)

    asyncio.run(scene())

    assert feed.said == ["answer at 20"]
    assert feed.tokens[1].counts == ((FEED, VENUE, 2),)


def test_sleep_and_wait_are_of_the_recording() -> None:
    quote = Actor(BTC)

    async def scene() -> list[bool]:
        never, soon = asyncio.Event(), asyncio.Event()
        waiting = [
            asyncio.ensure_future(quote.gate.sleep(0.015)),
            asyncio.ensure_future(quote.gate.wait(never, 0.015)),
            asyncio.ensure_future(quote.gate.wait(soon, None)),
        ]
        await asyncio.sleep(0)
        soon.set()
        done = []
        for step in (1, 2):
            await asyncio.sleep(0.01)
            quote.token(FEED, step)
            await until(lambda step=step: len(quote.tokens) >= step)
            done.append(waiting[0].done())
        assert [await each for each in waiting] == [None, False, True]
        return done

    assert asyncio.run(scene()) == [False, True]


def test_a_step_ends_after_a_dial_that_it_began() -> None:
    gateway = Actor(GATEWAY)
    dialled = asyncio.Event()

    async def dial() -> None:
        with gateway.gate.busy():
            await dialled.wait()
        gateway.gate.note("orders", gateway.say("up"))

    async def scene() -> list[list[int]]:
        gateway.gate.note("instruments", lambda: tasks.append(asyncio.ensure_future(dial())))
        gateway.token(FEED, 1)
        gateway.token(BTC, 1)
        gateway.token(ETH, 1)
        await asyncio.sleep(0.02)
        before = list(gateway.steps)
        dialled.set()
        await until(lambda: gateway.tokens)
        after = list(gateway.steps)
        for source in (FEED, BTC, ETH):
            gateway.token(source, 2)
        await until(lambda: len(gateway.tokens) >= 2)
        return [before, after]

    tasks: list[asyncio.Future[None]] = []
    assert asyncio.run(scene()) == [[], [1]]
    assert gateway.said == ["up"]


def test_a_peer_that_came_and_went_before_the_first_step_was_never_there() -> None:
    quote = Actor(BTC)
    quote.gate.link("risk", True, quote.say("up"))
    quote.gate.link("risk", False, quote.say("down"))
    quote.gate.link(GATEWAY, True, quote.say("gateway up"))

    async def scene() -> None:
        quote.token(FEED, 1)
        await until(lambda: quote.tokens)
        quote.gate.link(GATEWAY, False, quote.say("gateway down"))

    asyncio.run(scene())

    assert quote.said == ["gateway up"]
    assert [str(fault) for fault in quote.faults] == [f"{BTC}: lost {GATEWAY} in lock-step, step 1"]


def test_after_the_recording_clocks_run_and_nothing_waits() -> None:
    quote = Actor(BTC)
    quote.gate.on_end.append(quote.say("stop"))

    async def scene() -> None:
        quote.token(FEED, 1, phase=END)
        quote.token(FEED, 2, phase=END)
        quote.message(GATEWAY, "cancelled")
        quote.token(FEED, 3, phase=FREE)
        quote.message(GATEWAY, "again")
        quote.gate.at(quote.gate.clock.now_ns() + 20 * MS, quote.say("timer"))
        await until(lambda: "timer" in quote.said)
        quote.gate.close()

    asyncio.run(scene())

    assert quote.said == ["stop", "cancelled", "again", "timer"]
    assert [token.phase for token in quote.tokens] == [END, END, FREE]
    assert quote.gate.clock.now_ns() > START_NS + 30 * MS


@pytest.mark.parametrize("arrival", list(itertools.permutations(range(4))))
def test_requests_go_in_by_role_and_number(arrival: tuple[int, ...]) -> None:
    """Websocket requests keep the order of their connection; HTTP ones, which overtake each other, their number."""
    door = StepDoor()
    door.shut = True
    went_in: list[str] = []

    async def http(role: str, call_no: int) -> None:
        await door.enter_http(role, str(call_no))
        with inside(door, role, http=True):
            went_in.append(f"{role} {call_no}")

    async def ws(role: str) -> None:
        await door.enter_ws(role)
        with inside(door, role, http=False):
            went_in.append(f"{role} ws")

    async def scene() -> None:
        requests = [http("gateway", 11), http("gateway", 2), ws("gateway"), http("feed", 5)]
        tasks = [asyncio.ensure_future(requests[index]) for index in arrival]
        await asyncio.sleep(0)
        assert went_in == []
        assert door.received == {"gateway": 3, "feed": 1}
        door.let_in()
        await asyncio.gather(*tasks)

    asyncio.run(scene())

    assert went_in == ["feed 5", "gateway ws", "gateway 2", "gateway 11"]
    assert door.answered == {"gateway": 2, "feed": 1}
    assert door.inside_count == 0


def test_strangers_never_wait_at_the_door() -> None:
    door = StepDoor()
    door.shut = True

    async def scene() -> None:
        await asyncio.wait_for(door.enter_http("", ""), 1)

    asyncio.run(scene())
    assert door.inside_count == 1
