"""Faults are named, seeded, counted, and do to the exchange what their names say."""

from __future__ import annotations

from collections import Counter

import pytest

from actors.sim.faults import MIXES, Fate, FaultMix, FaultPlan
from actors.sim.messages import ClientRequest, Disconnect, Public, Reply, Scope
from actors.vocab.errors import ConfigError
from actors.vocab.market import Side
from actors.vocab.orders import OrderState
from actors.vocab.venue_io import DepthDelta, FaultKind, VenueAck, VenueCancel, VenueFill, VenuePlace, VenueReject
from tests.sim.desk_helpers import MS, START_NS, Client, delta, sim, still, top

PLACE = VenuePlace(1, "AAAUSDT", "o1", Side.BUY, 9_900, 10)


def depth_after(plan: FaultPlan, count: int) -> list[int]:
    """Sequences that arrive of `count` depth frames, in their order of arrival."""
    arrived = []
    for number in range(1, count + 1):
        arrived += [
            event.last_seq
            for _, event in plan.on_public(delta([], [], seq=number), START_NS)
            if isinstance(event, DepthDelta)
        ]
    return arrived


def breaks(arrived: list[int]) -> int:
    """Times a sequencer that resyncs at once would have seen a hole."""
    holes, last = 0, 0
    for seq in arrived:
        if seq > last + 1:
            holes += 1
        last = max(last, seq)
    return holes


def test_no_mix_changes_nothing() -> None:
    plan = FaultPlan.named("none", 1)

    assert plan.on_public(PUBLIC, START_NS) == [(0, PUBLIC)]
    assert plan.on_request(PLACE).fate is Fate.PASS
    assert not plan.counts


PUBLIC = top(9_990, 10_010)


def test_unknown_mixes_are_refused_with_the_names_there_are() -> None:
    with pytest.raises(ConfigError, match="none, rough, storm"):
        FaultPlan.named("hurricane", 1)


def test_the_same_seed_gives_the_same_faults() -> None:
    one, two, other = (FaultPlan.named("storm", seed) for seed in (1, 1, 2))

    assert depth_after(one, 5_000) == depth_after(two, 5_000) != depth_after(other, 5_000)
    assert one.counts == two.counts


def test_every_gap_is_counted_as_a_sequencer_sees_it() -> None:
    plan = FaultPlan(FaultMix(gap=0.01), 3)

    arrived = depth_after(plan, 20_000)

    # Two gaps in a row look like one hole.
    assert 0 <= plan.gaps_injected - breaks(arrived) <= 10
    assert plan.gaps_injected > 100
    assert len(arrived) < 20_000


def test_a_reordered_frame_arrives_after_its_successor() -> None:
    plan = FaultPlan(FaultMix(reorder=0.01), 3)

    arrived = depth_after(plan, 5_000)

    assert sorted(arrived) == list(range(1, len(arrived) + 1))
    assert breaks(arrived) == plan.gaps_injected > 10


def test_a_delay_holds_the_symbol_s_frames_and_keeps_their_order() -> None:
    plan = FaultPlan(FaultMix(delay=0.2, delay_ms=(50, 400)), 3)
    arrivals = []
    for number in range(1, 200):
        now_ns = START_NS + number * 20 * MS
        arrivals += [now_ns + delay_ms * MS for delay_ms, _ in plan.on_public(delta([], [], seq=number), now_ns)]

    assert len(arrivals) == 199
    assert arrivals == sorted(arrivals)
    assert plan.counts["delay"] > 5


def test_cancels_are_never_touched() -> None:
    plan = FaultPlan(FaultMix(http_429=0.5, reject=0.5), 1)

    assert plan.on_request(VenueCancel(1, "AAAUSDT", "o1")).fate is Fate.PASS


@pytest.mark.parametrize("name", sorted(MIXES))
def test_every_mix_is_a_share(name: str) -> None:
    mix = MIXES[name]

    assert mix.http_429 + mix.reject + mix.http_5xx + mix.unknown <= 1
    assert all(0 <= share <= 1 for share in (mix.drop, mix.gap, mix.reorder, mix.delay, mix.late_ack, mix.late_fill))


# --- at the exchange -------------------------------------------------------------------------------------------


def faulty(mix: FaultMix, **changes: object) -> Client:
    exchange = sim(settings=still(**changes))
    exchange.faults = FaultPlan(mix, 5)
    return Client(exchange)


def states(client: Client) -> list[tuple[str, OrderState]]:
    return [(row.client_id, row.state) for row in client.exchange.ledger.orders(client.account)]


def test_an_unknown_outcome_never_answers_whether_executed_or_not() -> None:
    executed = faulty(FaultMix(unknown=1.0, executed_share=1.0))
    lost = faulty(FaultMix(unknown=1.0, executed_share=0.0))

    assert executed.place("o1", Side.BUY, 9_900) is None
    assert lost.place("o1", Side.BUY, 9_900) is None
    assert states(executed) == [("o1", OrderState.OPEN)]
    assert [execution for execution, _ in executed.private()] == ["NEW"]
    assert states(lost) == []


def test_a_5xx_answers_unknown_and_may_have_been_executed() -> None:
    client = faulty(FaultMix(http_5xx=1.0, executed_share=1.0))

    answer = client.place("o1", Side.BUY, 9_900)

    assert isinstance(answer, VenueReject)
    assert answer.kind is FaultKind.UNKNOWN_OUTCOME
    assert [each.status for each in client.log if isinstance(each, Reply)] == [503]
    assert states(client) == [("o1", OrderState.OPEN)]


@pytest.mark.parametrize(
    ("mix", "kind", "status"),
    [(FaultMix(http_429=1.0), FaultKind.RATE_LIMIT, 429), (FaultMix(reject=1.0), FaultKind.BUSY, 503)],
)
def test_refusals_are_surely_not_executed(mix: FaultMix, kind: FaultKind, status: int) -> None:
    client = faulty(mix)

    answer = client.place("o1", Side.BUY, 9_900)

    assert isinstance(answer, VenueReject)
    assert answer.kind is kind
    assert [each.status for each in client.log if isinstance(each, Reply)] == [status]
    assert states(client) == []


def test_a_late_ack_comes_after_the_fill() -> None:
    client = faulty(FaultMix(late_ack=1.0, late_ms=(50, 50)))

    assert client.place("o1", Side.BUY, 0, 2, market=True) is None
    client.run(50)

    mine = [type(each.event).__name__ for each in client.log if not isinstance(each, Public)]
    assert mine == ["VenueOrder", "VenueFill", "VenueAck"]


def test_a_late_fill_comes_after_the_cancel_of_its_order() -> None:
    client = faulty(FaultMix(late_fill=1.0, late_ms=(50, 50)))
    best = client.exchange.top("AAAUSDT")
    client.place("o1", Side.BUY, best.ask_ticks, best.ask_lots * 20)
    assert isinstance(client.cancel("o1"), VenueAck)
    client.run(50)

    order = [execution for execution, _ in client.private()]
    assert order[:2] == ["NEW", "CANCELED"]
    assert set(order[2:]) == {"TRADE"}
    row = client.exchange.ledger.order("us", "AAAUSDT", client_id="o1")
    assert row is not None
    assert sum(event.lots for _, event in client.private() if isinstance(event, VenueFill)) == row.filled_lots > 0


def test_disconnects_come_at_their_rate() -> None:
    client = faulty(FaultMix(disconnects_public_per_min=30.0, disconnects_private_per_min=6.0))

    hung_up = Counter(each.scope for each in client.run(60_000) if isinstance(each, Disconnect))

    assert 15 <= hung_up[Scope.PUBLIC] <= 45
    assert 1 <= hung_up[Scope.PRIVATE] <= 15
    assert hung_up[Scope.ORDER] == 0


def test_a_storm_loses_no_money_and_no_order() -> None:
    """Whatever answers were lost, the ledger's trades are the position and its open orders rest in the book."""
    client = Client(sim(settings=still(taker_rate_per_s=5.0, informed_share=0.5, faults="storm")))
    side = Side.BUY
    for number in range(300):
        best = client.exchange.top("AAAUSDT")
        price = best.bid_ticks if side is Side.BUY else best.ask_ticks
        request = VenuePlace(number, "AAAUSDT", f"o{number}", side, price, 20)
        client.log += client.exchange.handle(ClientRequest(1, "us", request), client.now_ns)
        client.run(60)
        if number > 5:
            client.cancel(f"o{number - 5}")
        side = side.other
    trades = client.exchange.ledger.trades("us", "AAAUSDT")
    position = client.exchange.account_state("us").positions[0].position_lots

    assert trades
    assert position == sum(each.fill.side * each.fill.lots for each in trades)
    client.run(5_000)  # the latest fault ends
    told = {event.trade_id for _, event in client.private() if isinstance(event, VenueFill)}
    assert told >= {each.fill.trade_id for each in trades}
    assert client.exchange.faults.counts["late_fill"] > 0
