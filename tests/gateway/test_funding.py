"""Funding is booked once, whether the private stream told it, a list after a reconnect did, or both."""

from __future__ import annotations

from actors.gateway.commands import RefreshInstruments
from actors.gateway.funding import Fundings
from actors.vocab.leases import FundingPaid
from actors.vocab.orders import PositionAdjust
from actors.vocab.units import NS_PER_S
from actors.vocab.venue_io import FaultKind, StreamDown, StreamKind, StreamUp, VenueFunding, VenueFundingQuery
from tests.gateway.kit import SYMBOL, Bench

AT_NS = 1_700_000_100 * NS_PER_S


def paid(amount: str, *, at_s: float = 0, tran_id: int = 0, symbol: str = SYMBOL) -> VenueFunding:
    return VenueFunding(symbol, "USDT", amount, "FUNDING_FEE", AT_NS + int(at_s * NS_PER_S), tran_id)


def reconnected(bench: Bench, *fundings: VenueFunding) -> list[PositionAdjust]:
    """What is reported after the private stream was down and the list held these payments."""
    bench.send(StreamDown(StreamKind.PRIVATE, "lost"))
    bench.send(StreamUp(StreamKind.PRIVATE, 2))
    return bench.reported(PositionAdjust, bench.answer_queries(fundings=fundings))


def test_what_the_stream_missed_is_found_in_the_list_and_booked_once() -> None:
    bench = Bench().start()
    bench.send(paid("-0.5"))
    assert [row.amount for row in bench.reported(PositionAdjust)] == ["-0.5"]
    rows = (paid("-0.5", at_s=-1.2, tran_id=7), paid("0.25", at_s=60, tran_id=8))

    (found,) = reconnected(bench, *rows)

    assert (found.symbol, found.amount, found.reason) == (SYMBOL, "0.25", "FUNDING_FEE")
    assert reconnected(bench, *rows) == []
    assert bench.engine.core.counters["recovered_fundings"] == 1


def test_a_payment_that_the_stream_tells_after_the_list_is_the_same_one() -> None:
    bench = Bench().start()
    reconnected(bench, paid("0.25", tran_id=8))
    bench.send(paid("0.25", at_s=2))
    assert bench.reported(PositionAdjust) == []
    bench.send(paid("0.25", at_s=28_800))
    assert len(bench.reported(PositionAdjust)) == 1


def test_the_list_is_asked_from_the_newest_payment_known() -> None:
    bench = Bench().start()
    reconnected(bench, paid("0.25", tran_id=8))
    bench.send(StreamDown(StreamKind.PRIVATE, "lost"))
    bench.send(StreamUp(StreamKind.PRIVATE, 3))
    out = bench.answer_queries()
    assert [query.since_ms for query in bench.written(VenueFundingQuery, out)] == [AT_NS // 1_000_000]


def test_what_was_paid_while_no_gateway_lived_is_booked_at_the_next_start() -> None:
    booked = (FundingPaid("USDT", "-0.50", AT_NS), FundingPaid("USDT", "0.125", AT_NS))
    rows = (paid("-0.5", tran_id=7), paid("0.125", tran_id=8, symbol="ETHUSDT"), paid("0.25", at_s=28_800, tran_id=9))
    bench = Bench().start(last_fill_no=3, since_ms=1_700_000_000_000, paid=booked, fundings=rows)
    (query,) = [request for request in bench.requests if isinstance(request, VenueFundingQuery)]
    assert query.since_ms == AT_NS // 1_000_000 - 60_000
    assert [entry.amount for entry in bench.engine.core.ledger.again(0)] == ["0.25"]  # type: ignore[union-attr]
    assert reconnected(bench, *rows) == []


def test_a_first_life_has_missed_no_funding() -> None:
    bench = Bench().start(paid=())
    assert not [request for request in bench.requests if isinstance(request, VenueFundingQuery)]


def test_two_equal_payments_of_two_symbols_are_two() -> None:
    book = Fundings(since_ms=0)
    assert book.is_new_on_stream(paid("1"))
    assert not book.is_new_in_list(paid("1", tran_id=1))
    assert book.is_new_in_list(paid("1", tran_id=2, symbol="ETHUSDT"))


def test_spot_has_no_funding_to_ask_for() -> None:
    bench = Bench("binance_spot").start()
    reconnected(bench)
    assert bench.written(VenueFundingQuery) == []
    assert bench.engine.is_open


def test_a_filter_reject_has_the_instruments_refreshed_once_a_minute() -> None:
    bench = Bench().start()
    bench.hello()

    def refused() -> int:
        return sum(isinstance(c, RefreshInstruments) for c in bench.reject(bench.place(), FaultKind.FILTER))

    assert (refused(), refused()) == (1, 0)
    bench.later(61_000)
    bench.marks()
    assert refused() == 1
