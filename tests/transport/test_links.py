"""Links between two actors of one process, over real sockets, on both event loops."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgpack
import pytest
import zmq
from hypothesis import example, given
from hypothesis import strategies as st

from actors.transport.link_hub import Hub
from actors.transport.link_peers import PROTOCOL
from actors.transport.links import Client, LinkKeys, Links, Server
from actors.transport.step_gate import StepGate
from actors.transport.step_plan import STEPS_SILENCE_MS, VENUE, Cast
from actors.vocab import codec
from actors.vocab.control import Beat, FrameToken, Greeting, Member
from actors.vocab.market import MARKS_TOPIC, Marks
from actors.vocab.message import Message
from actors.vocab.orders import FillsAgain
from tests.fakes import run_on, short_dir, until
from tests.samples import ALL_MESSAGES

LOOPS = ("asyncio", "uvloop")
# Short enough for a quick test, long enough for a machine with two busy cores.
SILENCE_MS = 150


class Fleet:
    """Links that close together; faults of any of them fail the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.links: list[Links] = []
        self.faults: list[BaseException] = []

    def actor(
        self,
        name: str,
        life: int = 1,
        *,
        host: str = "h1",
        tcp: bool = False,
        keys: LinkKeys | None = None,
        gate: StepGate | None = None,
    ) -> Links:
        links = Links(
            name=name,
            incarnation=f"{name}@{life}",
            host=host,
            runtime_dir=self.folder / "s",
            tcp_host="127.0.0.1" if tcp else "",
            keys=LinkKeys.new() if tcp else None,
            on_fault=self.faults.append,
            gate=gate,
        )
        self.links.append(links)
        return links


@contextmanager
def fleet() -> Iterator[Fleet]:
    with short_dir() as folder:
        made = Fleet(folder)
        try:
            yield made
        finally:
            for links in made.links:
                links.close()
        assert made.faults == []


class Seen:
    """Everything a server or client has told."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.peers: list[tuple[str, bool]] = []
        self.states: list[bool] = []

    def on_server(self, _peer: str, message: Message) -> None:
        self.messages.append(message)

    def on_peer(self, greeting: Greeting, came: bool) -> None:
        self.peers.append((greeting.incarnation, came))

    def server(self, links: Links, silence_ms: int = SILENCE_MS) -> Server:
        return links.server("orders", on_message=self.on_server, on_peer=self.on_peer, silence_ms=silence_ms)

    def client(self, links: Links, silence_ms: int = SILENCE_MS) -> Client:
        return links.client(on_message=self.messages.append, on_state=self.states.append, silence_ms=silence_ms)


def ask(number: int) -> FillsAgain:
    return FillsAgain("binance_perp", number)


@pytest.mark.parametrize("loop", LOOPS)
def test_every_message_kind_passes_both_ways_unchanged(loop: str) -> None:
    async def main() -> None:
        with fleet() as made:
            gateway, quote = made.actor("gateway"), made.actor("quote")
            at_gateway, at_quote = Seen(), Seen()
            server, client = at_gateway.server(gateway), at_quote.client(quote)
            client.dial(gateway.member(), "orders")
            await until(lambda: client.is_up)
            # Greetings and beats are the link's own words and never reach the actor.
            kinds = [message for message in ALL_MESSAGES if not isinstance(message, Greeting | Beat)]
            for message in kinds:
                assert client.send(message)
                assert server.send("quote@1", message)
            await until(lambda: len(at_gateway.messages) == len(at_quote.messages) == len(kinds))
            assert at_gateway.messages == kinds
            assert at_quote.messages == kinds
            assert client.peer == Greeting("gateway", "gateway@1", "h1", "quote@1", PROTOCOL)
            assert at_gateway.peers == [("quote@1", True)]

    run_on(loop, main())


@pytest.mark.parametrize("message", ALL_MESSAGES, ids=lambda message: type(message).__name__)
def test_the_msgpack_package_reads_every_message(message: Message) -> None:
    assert msgpack.unpackb(codec.encode(message), strict_map_key=False)[0] == type(message).__name__


@pytest.mark.parametrize("loop", LOOPS)
def test_ten_thousand_round_trips_lose_no_wake_up(loop: str) -> None:
    async def main() -> None:
        with fleet() as made:
            gateway, quote = made.actor("gateway"), made.actor("quote")
            count = 0

            def answer(_peer: str, message: Message) -> None:
                assert server.send("quote@1", message)

            def again(message: Message) -> None:
                nonlocal count
                assert message == ask(count)
                count += 1
                if count < 10_000:
                    assert client.send(ask(count))

            server = gateway.server("orders", on_message=answer, on_peer=lambda *_: None)
            client = quote.client(on_message=again, on_state=lambda up: None)
            client.dial(gateway.member(), "orders")
            await until(lambda: client.is_up)
            assert client.send(ask(0))
            # A lost wake-up would hang until the next beat, 300 ms later: far too slow to come through in time.
            await until(lambda: count == 10_000, timeout_s=30)

    run_on(loop, main())


@pytest.mark.parametrize("loop", LOOPS)
def test_bursts_in_both_directions_arrive_whole_and_in_order(loop: str) -> None:
    async def main() -> None:
        with fleet() as made:
            gateway, quote = made.actor("gateway"), made.actor("quote")
            at_gateway, at_quote = Seen(), Seen()
            server, client = at_gateway.server(gateway, 5_000), at_quote.client(quote, 5_000)
            client.dial(gateway.member(), "orders")
            await until(lambda: client.is_up)
            for number in range(10_000):
                assert client.send(ask(number))
                assert server.send("quote@1", ask(-number))
            await until(lambda: len(at_gateway.messages) == len(at_quote.messages) == 10_000, timeout_s=30)
            assert at_gateway.messages == [ask(number) for number in range(10_000)]
            assert at_quote.messages == [ask(-number) for number in range(10_000)]

    run_on(loop, main())


@pytest.mark.parametrize("loop", LOOPS)
def test_a_broken_connection_is_noticed_by_both_sides_long_before_the_silence(loop: str) -> None:
    async def main() -> None:
        with fleet() as made:
            gateway, quote, other = made.actor("gateway"), made.actor("quote"), made.actor("other")
            at_gateway, at_quote, at_other = Seen(), Seen(), Seen()
            at_gateway.server(gateway, 60_000)
            client, second = at_quote.client(quote, 60_000), at_other.client(other, SILENCE_MS)
            client.dial(gateway.member(), "orders")
            second.dial(gateway.member(), "orders")
            await until(lambda: client.is_up and second.is_up)
            other.close()  # as the kernel does for a killed process
            gateway.close()
            await until(lambda: not client.is_up)
            assert at_quote.states == [True, False]

    run_on(loop, main())


def test_a_server_learns_of_a_gone_peer_by_its_next_send() -> None:
    async def main() -> None:
        with fleet() as made:
            gateway, quote = made.actor("gateway"), made.actor("quote")
            at_gateway, at_quote = Seen(), Seen()
            server, client = at_gateway.server(gateway, 60_000), at_quote.client(quote, 60_000)
            client.dial(gateway.member(), "orders")
            await until(lambda: client.is_up)
            quote.close()
            await until(lambda: not server.send("quote@1", ask(1)))
            await until(lambda: at_gateway.peers == [("quote@1", True), ("quote@1", False)])
            assert not server.send("quote@1", ask(2))

    run_on("asyncio", main())


@pytest.mark.parametrize("loop", LOOPS)
def test_a_server_that_goes_silent_is_hung_up_and_dialled_again(loop: str) -> None:
    """The process lives and its connection stands, but nothing comes: a paused or hung gateway."""

    async def main() -> None:
        with fleet() as made, zmq.Context() as context:
            quote, seen = made.actor("quote"), Seen()
            address = f"ipc://{made.folder}/frozen"
            sessions: list[bytes] = []
            with context.socket(zmq.ROUTER) as frozen:
                frozen.setsockopt(zmq.LINGER, 0)
                frozen.bind(address)
                client = seen.client(quote)
                client.dial(Member("gateway", "gateway@1", "h1", (("orders", address),)), "orders")

                def greets_and_never_beats() -> bool:
                    while frozen.poll(0):
                        routing_id, payload = frozen.recv_multipart()
                        if isinstance(codec.decode(payload), Greeting):
                            sessions.append(routing_id)
                            greeting = Greeting("gateway", "gateway@1", "h1", "quote@1", PROTOCOL)
                            frozen.send_multipart([routing_id, codec.encode(greeting)])
                    return len(seen.states) >= 4

                await until(greets_and_never_beats)
            assert seen.states[:4] == [True, False, True, False]
            assert sessions[:2] == [b"quote@1#1", b"quote@1#2"]

    run_on(loop, main())


@pytest.mark.parametrize("loop", LOOPS)
def test_a_client_that_goes_silent_is_dropped(loop: str) -> None:
    async def main() -> None:
        with fleet() as made, zmq.Context() as context:
            gateway, seen = made.actor("gateway"), Seen()
            server = seen.server(gateway)
            with raw_dealer(context, gateway, "quote@1#1") as frozen:
                frozen.send(codec.encode(Greeting("quote", "quote@1", "h1", "gateway@1", PROTOCOL)))
                await until(lambda: seen.peers == [("quote@1", True)])
                await until(lambda: seen.peers == [("quote@1", True), ("quote@1", False)])
                assert not server.send("quote@1", ask(1))
                # It wakes up: what it says in the old session is refused, not read.
                frozen.send(codec.encode(ask(7)))
                await until(lambda: gateway.counters.refused == 1)
                assert seen.messages == []

    run_on(loop, main())


@contextmanager
def raw_dealer(context: zmq.Context[zmq.Socket[bytes]], server: Links, routing_id: str) -> Iterator[zmq.Socket[bytes]]:
    with context.socket(zmq.DEALER) as dealer:
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.setsockopt(zmq.ROUTING_ID, routing_id.encode())
        dealer.connect(server.address_of(server.member(), "orders"))
        yield dealer


def test_idle_links_stay_up_by_their_beats() -> None:
    async def main() -> None:
        with fleet() as made:
            gateway, quote = made.actor("gateway"), made.actor("quote")
            at_gateway, at_quote = Seen(), Seen()
            at_gateway.server(gateway)
            client = at_quote.client(quote)
            client.dial(gateway.member(), "orders")
            await until(lambda: client.is_up)
            ends = asyncio.get_running_loop().time() + 4 * SILENCE_MS / 1e3
            await until(lambda: asyncio.get_running_loop().time() > ends)
            assert (at_quote.states, at_gateway.peers) == ([True], [("quote@1", True)])
            assert at_gateway.messages == at_quote.messages == []

    run_on("asyncio", main())


@pytest.mark.parametrize("loop", LOOPS)
def test_the_client_follows_a_new_incarnation(loop: str) -> None:
    async def main() -> None:
        with fleet() as made:
            first, quote = made.actor("gateway", 1), made.actor("quote")
            seen, at_second = Seen(), Seen()
            Seen().server(first)
            client = seen.client(quote)
            client.dial(first.member(), "orders")
            await until(lambda: client.is_up)
            first.close()
            await until(lambda: not client.is_up)
            assert not client.send(ask(1))
            second = made.actor("gateway", 2)
            at_second.server(second)
            client.dial(second.member(), "orders")
            await until(lambda: client.is_up)
            assert client.peer is not None
            assert client.peer.incarnation == "gateway@2"
            assert client.send(ask(2))
            await until(lambda: at_second.messages == [ask(2)])
            assert seen.states == [True, False, True]

    run_on(loop, main())


def test_the_client_keeps_dialling_until_its_peer_is_there() -> None:
    async def main() -> None:
        with fleet() as made:
            quote, seen = made.actor("quote"), Seen()
            client = seen.client(quote)
            probe = made.actor("gateway")
            Seen().server(probe)
            late = probe.member()
            probe.close()
            client.dial(late, "orders")
            await until(lambda: quote.counters.dials >= 3)
            assert seen.states == []
            gateway = made.actor("gateway")
            Seen().server(gateway)
            await until(lambda: client.is_up)

    run_on("asyncio", main())


def test_an_inherited_address_is_refused_and_nothing_for_the_old_life_is_read() -> None:
    async def main() -> None:
        with fleet() as made:
            second, quote = made.actor("gateway", 2), made.actor("quote")
            at_second, seen = Seen(), Seen()
            at_second.server(second)
            client = seen.client(quote)
            stale = Member("gateway", "gateway@1", "h1", second.member().endpoints)
            client.dial(stale, "orders")
            await until(lambda: quote.counters.refused >= 1 and second.counters.refused >= 1)
            assert not client.is_up
            assert not client.send(ask(1))
            assert (at_second.peers, at_second.messages, seen.states) == ([], [], [])

    run_on("asyncio", main())


@pytest.mark.parametrize(
    ("payload", "counter"),
    [
        (codec.encode(ask(1)), "refused"),  # no greeting yet
        (codec.encode(Greeting("quote", "quote@1", "h1", "gateway@0", PROTOCOL)), "refused"),  # an earlier life
        (codec.encode(Greeting("quote", "quote@1", "h1", "gateway@1", PROTOCOL + 1)), "refused"),
        (codec.encode(Greeting("quote", "quote@9", "h1", "gateway@1", PROTOCOL)), "refused"),  # not its routing id
        (b"", "undecodable"),
        (b"\xc1", "undecodable"),
        (msgpack.packb(["NoSuchMessage", 1]), "undecodable"),
        (msgpack.packb(["FillsAgain", "v", "not a number"]), "undecodable"),
        (b"\x91" * 100_000, "undecodable"),  # nested too deep
    ],
    ids=["no greeting", "earlier life", "protocol", "stolen id", "empty", "invalid", "unknown", "mistyped", "deep"],
)
def test_what_a_server_does_not_take_is_counted_and_changes_nothing(payload: bytes, counter: str) -> None:
    async def main() -> None:
        with fleet() as made, zmq.Context() as context:
            gateway, seen = made.actor("gateway"), Seen()
            seen.server(gateway)
            with raw_dealer(context, gateway, "quote@1#1") as dealer:
                dealer.send(payload)
                await until(lambda: getattr(gateway.counters, counter) == 1)
            assert (seen.peers, seen.messages) == ([], [])

    run_on("asyncio", main())


def damaged(message: Message, at: int, byte: int) -> bytes:
    payload = bytearray(codec.encode(message))
    payload[at % len(payload)] = byte
    return bytes(payload)


@given(
    st.binary(max_size=200)
    | st.builds(damaged, st.sampled_from(ALL_MESSAGES), st.integers(0, 1_000), st.integers(0, 255))
)
@example(b"\x91\xa2\x00\x80")  # text that is not UTF-8
def test_any_bytes_decode_to_a_message_or_are_counted(payload: bytes) -> None:
    hub = Hub(
        name="a",
        incarnation="a@1",
        host="h",
        runtime_dir=Path("/unused"),
        tcp_host="",
        keys=None,
        on_fault=lambda error: None,
    )
    message = hub.decode(payload)
    assert (message is None) == (hub.counters.undecodable == 1)
    hub.context.term()


def test_send_says_no_when_the_peer_is_unknown_or_its_queue_is_full() -> None:
    async def main() -> None:
        with fleet() as made, zmq.Context() as context:
            gateway, seen = made.actor("gateway"), Seen()
            server = seen.server(gateway, 60_000)
            assert not server.send("nobody@1", ask(1))
            with raw_dealer(context, gateway, "quote@1#1") as frozen:
                frozen.setsockopt(zmq.RCVHWM, 1)
                frozen.send(codec.encode(Greeting("quote", "quote@1", "h1", "gateway@1", PROTOCOL)))
                await until(lambda: seen.peers)
                sent = 0
                while sent < 200_000 and server.send("quote@1", ask(sent)):
                    sent += 1
                assert 19_000 < sent < 200_000  # a few may leave before they are counted
                assert gateway.counters.full == 1

    run_on("asyncio", main())


def test_a_second_dial_of_one_incarnation_replaces_its_first_session() -> None:
    async def main() -> None:
        with fleet() as made, zmq.Context() as context:
            gateway, seen = made.actor("gateway"), Seen()
            server = seen.server(gateway, 60_000)
            hello = codec.encode(Greeting("quote", "quote@1", "h1", "gateway@1", PROTOCOL))
            with (
                raw_dealer(context, gateway, "quote@1#1") as first,
                raw_dealer(context, gateway, "quote@1#2") as second,
            ):
                first.send(hello)
                await until(lambda: len(seen.peers) == 1)
                second.send(hello)
                await until(lambda: len(seen.peers) == 3)
                assert seen.peers == [("quote@1", True), ("quote@1", False), ("quote@1", True)]
                first.send(codec.encode(ask(1)))
                second.send(codec.encode(ask(2)))
                await until(lambda: seen.messages and gateway.counters.refused)
                assert seen.messages == [ask(2)]
                assert len(server.peers) == 1

    run_on("asyncio", main())


# --- market data ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", LOOPS)
def test_each_new_subscriber_is_announced_and_gets_exactly_its_topics(loop: str) -> None:
    async def main() -> None:
        with fleet() as made:
            feed, quote, risk = made.actor("feed"), made.actor("quote"), made.actor("risk")
            announced: list[bytes] = []
            market = feed.publisher("market", on_subscribe=announced.append)
            at_quote: list[tuple[bytes, Message]] = []
            at_risk: list[tuple[bytes, Message]] = []
            address = feed.address_of(feed.member(), "market")
            first = quote.subscriber(at_quote.extend)
            first.topic(b"BTCUSDT")
            first.connect(address)
            await until(lambda: announced == [b"BTCUSDT"])
            second = risk.subscriber(at_risk.extend)
            second.connect(address)
            second.topic(b"BTCUSDT")
            second.topic(b"")
            await until(lambda: sorted(announced) == [b"", b"BTCUSDT", b"BTCUSDT"])
            market.send(b"BTCUSDT_250926", ask(1))  # starts like BTCUSDT and is something else
            market.send(b"BTCUSDT", ask(2))
            await until(lambda: len(at_risk) == 2 and at_quote)
            assert at_quote == [(b"BTCUSDT", ask(2))]
            assert at_risk == [(b"BTCUSDT_250926", ask(1)), (b"BTCUSDT", ask(2))]

    run_on(loop, main())


def test_in_lock_step_only_a_broken_connection_is_a_loss() -> None:
    cast = Cast(feeds=(), quotes=("quote:BTCUSDT",), gateways=("gateway",))

    async def main() -> None:
        with fleet() as made:
            gate = StepGate(role="gateway", cast=cast, start_ns=0, on_fault=made.faults.append)
            stepped = Seen().server(made.actor("gateway", gate=gate))
            live = Seen().server(made.actor("other"))
            assert (stepped.silence_ns, live.silence_ns) == (STEPS_SILENCE_MS * 10**6, SILENCE_MS * 10**6)

    asyncio.run(main())


def test_in_lock_step_a_feeds_messages_go_with_its_token_to_whoever_takes_the_step() -> None:
    """Symbols to the quote actor; marks at once to risk, which leaves out the short step."""
    cast = Cast(feeds=("feed:binance_perp:0",), quotes=("quote:BTCUSDT",), gateways=())
    got: dict[str, list[str]] = {"quote:BTCUSDT": [], "risk": []}

    async def main() -> None:
        with fleet() as made:

            def gate_of(role: str) -> StepGate:
                gate = StepGate(role=role, cast=cast, start_ns=0, on_fault=made.faults.append)
                gate.send_token = lambda token: role in got and got[role].append(f"step {token.step}")
                return gate

            gate = gate_of("feed:binance_perp:0")
            feed = made.actor("feed", gate=gate)
            gate.send_token = feed.publish_token
            market = feed.publisher("market")
            for role, seen in got.items():
                reader = made.actor(role.replace(":", "_"), gate=gate_of(role)).subscriber(
                    lambda batch, seen=seen: seen.extend(topic.decode() for topic, _ in batch)
                )
                reader.topic(MARKS_TOPIC if role == "risk" else b"BTCUSDT")
                reader.connect(feed.address_of(feed.member(), "market"))
            await until(lambda: feed.step_readers_count == 2)
            for step, short in ((1, False), (2, True), (3, False)):
                if step == 2:
                    for topic in (b"BTCUSDT", b"ETHUSDT"):
                        gate.soon(partial(market.send, topic, ask(step)))
                    gate.soon(partial(market.send, MARKS_TOPIC, ask(step), apart=True))
                before = 2 if step == 3 else step - 1
                gate.token(FrameToken(step, step, VENUE, short=short, full_before=min(before, 1)))
                await until(lambda step=step: f"step {step}" in got["quote:BTCUSDT"])
            await until(lambda: "step 3" in got["risk"])

    run_on("uvloop", main())

    assert got["quote:BTCUSDT"] == ["step 1", "BTCUSDT", "step 2", "step 3"]
    assert got["risk"] == ["step 1", "#marks", "step 3"]


@pytest.mark.parametrize("loop", LOOPS)
def test_a_slow_subscriber_loses_only_old_states(loop: str) -> None:
    async def main() -> None:
        with fleet() as made:
            feed, quote = made.actor("feed"), made.actor("quote")
            announced: list[bytes] = []
            market = feed.publisher("market", on_subscribe=announced.append)
            batches: list[list[tuple[bytes, Message]]] = []
            subscriber = quote.subscriber(batches.append)
            subscriber.topic(b"BTCUSDT")
            subscriber.connect(feed.address_of(feed.member(), "market"))
            await until(lambda: announced)
            # The loop is ours throughout: to the publisher the subscriber is a process that hangs.
            for number in range(50_000):
                market.send(b"BTCUSDT", Marks("binance_perp", number, ()))
            newest = 50_000

            def beats_arrive() -> bool:
                nonlocal newest
                newest += 1  # a beat may still meet a full queue; the one after it will not
                market.send(b"BTCUSDT", Marks("binance_perp", newest, ()))
                last = batches[-1][-1][1] if batches else None
                return isinstance(last, Marks) and last.seq > 50_000

            await until(beats_arrive)
            numbers = [message.seq for batch in batches for _, message in batch if isinstance(message, Marks)]
            assert numbers == sorted(set(numbers))
            assert len(numbers) < 50_000
            assert max(len(batch) for batch in batches) > 100  # all that waits comes as one list

    run_on(loop, main())


def test_one_stuck_subscriber_takes_nothing_from_the_others() -> None:
    async def main() -> None:
        with fleet() as made, zmq.Context() as context:
            feed, quote = made.actor("feed"), made.actor("quote")
            announced: list[bytes] = []
            market = feed.publisher("market", on_subscribe=announced.append)
            address = feed.address_of(feed.member(), "market")
            got: list[tuple[bytes, Message]] = []
            subscriber = quote.subscriber(got.extend)
            subscriber.topic(b"BTCUSDT")
            subscriber.connect(address)
            with context.socket(zmq.SUB) as stuck:
                stuck.setsockopt(zmq.RCVHWM, 1)
                stuck.subscribe(b"")
                stuck.connect(address)
                await until(lambda: len(announced) == 2)
                for number in range(20_000):
                    market.send(b"BTCUSDT", ask(number))
                    if number % 100 == 99:
                        await until(lambda expected=number + 1: len(got) == expected)

    run_on("asyncio", main())


def test_disconnect_ends_the_flow_and_may_be_repeated() -> None:
    async def main() -> None:
        with fleet() as made:
            feed, quote = made.actor("feed"), made.actor("quote")
            announced: list[bytes] = []
            market = feed.publisher("market", on_subscribe=announced.append)
            address = feed.address_of(feed.member(), "market")
            got: list[tuple[bytes, Message]] = []
            subscriber = quote.subscriber(got.extend)
            subscriber.topic(b"BTCUSDT")
            subscriber.connect(address)
            subscriber.connect(address)
            await until(lambda: announced)
            subscriber.disconnect(address)
            subscriber.disconnect(address)
            market.send(b"BTCUSDT", ask(1))
            subscriber.connect(address)
            await until(lambda: len(announced) == 2)
            market.send(b"BTCUSDT", ask(2))
            await until(lambda: got)
            assert got == [(b"BTCUSDT", ask(2))]

    run_on("asyncio", main())


# --- between hosts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", LOOPS)
def test_known_keys_talk_over_tcp_and_ipc_at_once(loop: str) -> None:
    async def main() -> None:
        with fleet() as made:
            gateway, near, far = (
                made.actor("gateway", tcp=True),
                made.actor("near", tcp=True),
                made.actor("far", host="h2", tcp=True),
            )
            at_gateway, at_near, at_far = Seen(), Seen(), Seen()
            at_gateway.server(gateway, 5_000)
            announced: list[bytes] = []
            market = gateway.publisher("market", on_subscribe=announced.append)
            member = gateway.member()
            for links in (gateway, near, far):
                links.learn([gateway.member(), near.member(), far.member()])
            clients = [at_near.client(near, 5_000), at_far.client(far, 5_000)]
            got: list[tuple[bytes, Message]] = []
            for links, client, scheme in ((near, clients[0], "ipc"), (far, clients[1], "tcp")):
                assert links.address_of(member, "orders").startswith(f"{scheme}://")
                client.dial(member, "orders")
                subscriber = links.subscriber(got.extend)
                subscriber.topic(b"BTCUSDT")
                subscriber.connect(links.address_of(member, "market"))
            await until(lambda: all(client.is_up for client in clients) and len(announced) == 2)
            market.send(b"BTCUSDT", ask(0))
            assert all(client.send(ask(1)) for client in clients)
            await until(lambda: len(at_gateway.messages) == 2 and len(got) == 2)
            assert sorted(at_gateway.peers) == [("far@1", True), ("near@1", True)]

    run_on(loop, main())


def test_a_key_outside_the_directory_is_refused_until_the_directory_names_it() -> None:
    async def main() -> None:
        with fleet() as made:
            gateway, far = made.actor("gateway", tcp=True), made.actor("far", host="h2", tcp=True)
            at_gateway, at_far = Seen(), Seen()
            at_gateway.server(gateway, 5_000)
            announced: list[bytes] = []
            gateway.publisher("market", on_subscribe=announced.append)
            far.learn([gateway.member()])
            client = at_far.client(far, 5_000)
            client.dial(gateway.member(), "orders")
            subscriber = far.subscriber(lambda batch: None)
            subscriber.topic(b"BTCUSDT")
            subscriber.connect(far.address_of(gateway.member(), "market"))
            await until(lambda: gateway.keys_refused_count >= 4, what="a second dial of both")
            assert (at_gateway.peers, at_far.states, announced) == ([], [], [])
            gateway.learn([far.member()])
            await until(lambda: client.is_up and announced == [b"BTCUSDT"])

    run_on("asyncio", main())


@pytest.mark.parametrize("impostor", ["no key", "wrong server key"])
def test_tcp_without_the_right_keys_never_comes_up(impostor: str) -> None:
    async def main() -> None:
        with fleet() as made:
            gateway, far = made.actor("gateway", tcp=True), made.actor("far", host="h2", tcp=True)
            at_gateway, at_far = Seen(), Seen()
            at_gateway.server(gateway, 5_000)
            gateway.learn([far.member()])
            member = gateway.member()
            key = "" if impostor == "no key" else LinkKeys.new().public
            client = at_far.client(far, SILENCE_MS)
            client.dial(Member(member.name, member.incarnation, member.host, member.endpoints, key), "orders")
            await until(lambda: far.counters.dials >= 3)
            assert (at_gateway.peers, at_far.states) == ([], [])

    run_on("asyncio", main())


# --- faults ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["server", "client", "subscriber", "on_subscribe", "on_peer", "on_state"])
def test_a_callback_that_raises_reaches_the_fault_hook_once(where: str) -> None:
    async def main() -> None:
        with fleet() as made:
            gateway, quote = made.actor("gateway"), made.actor("quote")
            boom = ValueError(where)

            def run(here: str) -> None:
                if here == where:
                    raise boom

            server = gateway.server("orders", on_message=lambda *_: run("server"), on_peer=lambda *_: run("on_peer"))
            market = gateway.publisher("market", on_subscribe=lambda _: run("on_subscribe"))
            client = quote.client(on_message=lambda _: run("client"), on_state=lambda _: run("on_state"))
            subscriber = quote.subscriber(lambda _: run("subscriber"))
            subscriber.topic(b"t")
            subscriber.connect(quote.address_of(gateway.member(), "market"))
            client.dial(gateway.member(), "orders")
            await until(lambda: client.is_up)
            client.send(ask(1))
            server.send("quote@1", ask(1))

            def heard() -> bool:
                market.send(b"t", ask(1))
                return bool(made.faults)

            await until(heard)
            assert set(made.faults) == {boom}
            made.faults.clear()

    run_on("asyncio", main())


def test_close_may_be_called_twice_and_from_a_callback() -> None:
    async def main() -> None:
        with fleet() as made:
            gateway, quote = made.actor("gateway"), made.actor("quote")
            gateway.server("orders", on_message=lambda *_: gateway.close(), on_peer=lambda *_: None)
            client = Seen().client(quote)
            client.dial(gateway.member(), "orders")
            await until(lambda: client.is_up)
            client.send(ask(1))
            client.send(ask(2))
            await until(lambda: not client.is_up)
            gateway.close()

    run_on("uvloop", main())
