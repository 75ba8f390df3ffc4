"""The manuals' rules, case by case; then whole conversations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.feed.sync import BookSync, Phase, SpotRules, Step, UsdmRules, rules_of
from actors.vocab.errors import ConfigError
from actors.vocab.market import Level
from actors.vocab.venue_io import PartialDepth
from tests.feed.kit import delta, snapshot


def sync(venue: str, *, buffer_max: int = 100) -> BookSync:
    return BookSync(rules_of(venue), buffer_max=buffer_max)


@pytest.mark.parametrize(
    ("first", "last", "old", "bridges", "too_old"),
    [
        (90, 99, True, False, False),
        (90, 100, True, False, False),  # u == L: nothing new
        (90, 101, False, True, False),
        (100, 110, False, True, False),
        (101, 110, False, True, False),  # U == L + 1: nothing missing in between
        (102, 110, False, False, True),
    ],
)
def test_spot_snapshot_of_100(first: int, last: int, old: bool, bridges: bool, too_old: bool) -> None:
    rules, event = SpotRules(), delta(first, last)
    assert rules.step_3_is_old(event, 100) is old
    assert rules.step_4_bridges(event, 100) is bridges
    assert rules.step_2_snapshot_too_old(100, event) is too_old


@pytest.mark.parametrize(
    ("first", "last", "prev", "old", "bridges", "too_old"),
    [
        (90, 99, 89, True, False, False),
        (90, 100, 89, False, True, False),  # u == L is not old on USD-M
        (90, 101, 89, False, True, False),
        (100, 110, 95, False, True, False),
        (101, 110, 100, False, True, False),  # pu == L: nothing missing in between
        (101, 110, 99, False, False, True),
    ],
)
def test_usdm_snapshot_of_100(first: int, last: int, prev: int, old: bool, bridges: bool, too_old: bool) -> None:
    rules, event = UsdmRules(), delta(first, last, prev=prev)
    assert rules.step_3_is_old(event, 100) is old
    assert rules.step_4_bridges(event, 100) is bridges
    assert rules.step_2_snapshot_too_old(100, event) is too_old


@pytest.mark.parametrize(
    ("venue", "event", "follows"),
    [
        ("binance_spot", delta(101, 105), True),
        ("binance_spot", delta(99, 105), True),  # overlaps: sizes are absolute
        ("binance_spot", delta(102, 105), False),
        ("binance_perp", delta(140, 150, prev=100), True),  # U is not the previous u + 1 here
        ("binance_perp", delta(101, 150, prev=99), False),
    ],
)
def test_what_follows_100(venue: str, event: object, follows: bool) -> None:
    assert rules_of(venue).step_5_follows(event, 100) is follows  # type: ignore[arg-type]


def test_unknown_venue_has_no_rules() -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        rules_of("nowhere")


def test_spot_from_first_delta_to_live() -> None:
    book = sync("binance_spot")
    assert book.on_delta(delta(95, 98, bids=[(99, 9)])) is Step.BUFFERED
    assert book.on_delta(delta(99, 103, bids=[(100, 7)])) is Step.BUFFERED
    assert book.wants_snapshot

    assert book.on_snapshot(snapshot(100)) is Step.SYNCED

    assert book.phase is Phase.LIVE
    assert book.book.last_seq == 103
    assert list(book.book.bids) == [(100, 7)]  # the first delta was older than the snapshot
    assert book.on_delta(delta(104, 104, asks=[(110, 0), (111, 2)])) is Step.APPLIED
    assert list(book.book.asks) == [(111, 2)]


def test_snapshot_newer_than_all_deltas_waits_for_the_one_that_bridges() -> None:
    book = sync("binance_perp")
    book.on_delta(delta(80, 90, prev=79))
    assert book.on_snapshot(snapshot(100)) is Step.BUFFERED
    assert book.phase is Phase.BRIDGING
    assert book.on_delta(delta(91, 99, prev=90)) is Step.BUFFERED
    assert book.on_delta(delta(99, 104, prev=99, bids=[(101, 1)])) is Step.SYNCED
    assert book.book.bids.best() == 101


def test_snapshot_older_than_the_buffer_is_refused_and_the_buffer_kept() -> None:
    book = sync("binance_spot")
    book.on_delta(delta(200, 205))
    assert book.on_snapshot(snapshot(150)) is Step.TOO_OLD
    assert book.wants_snapshot
    assert book.on_snapshot(snapshot(203)) is Step.SYNCED


@pytest.mark.parametrize(
    ("venue", "good", "after_gap"),
    [
        ("binance_spot", delta(101, 102), delta(104, 105)),
        ("binance_perp", delta(101, 102, prev=100), delta(104, 105, prev=103)),
    ],
)
def test_gap_voids_the_book_and_begins_with_the_delta_after_it(venue: str, good: object, after_gap: object) -> None:
    book = sync(venue)
    book.on_delta(good)  # type: ignore[arg-type]
    book.on_snapshot(snapshot(101))
    assert book.phase is Phase.LIVE

    assert book.on_delta(after_gap) is Step.GAP  # type: ignore[arg-type]

    assert book.wants_snapshot
    assert not len(book.book.bids)
    assert book.on_snapshot(snapshot(104)) is Step.SYNCED


def test_hole_between_buffered_deltas_drops_those_before_it() -> None:
    book = sync("binance_spot")
    book.on_delta(delta(95, 98))
    assert book.on_delta(delta(110, 112)) is Step.GAP
    assert book.on_snapshot(snapshot(97)) is Step.TOO_OLD
    assert book.on_snapshot(snapshot(110)) is Step.SYNCED


def test_repeated_deltas_of_two_connections_are_ignored() -> None:
    book = sync("binance_perp")
    first = delta(95, 101, prev=94)
    book.on_delta(first)
    assert book.on_delta(first) is Step.IGNORED
    book.on_snapshot(snapshot(100))
    assert book.on_delta(first) is Step.IGNORED
    assert book.on_delta(delta(103, 105, prev=101)) is Step.APPLIED


def test_full_buffer_starts_again_from_the_newest_delta() -> None:
    book = sync("binance_spot", buffer_max=3)
    for seq in range(1, 4):
        assert book.on_delta(delta(seq, seq)) is Step.BUFFERED
    assert book.on_delta(delta(4, 4)) is Step.FULL
    assert book.on_snapshot(snapshot(2)) is Step.TOO_OLD
    assert book.on_snapshot(snapshot(3)) is Step.SYNCED


def test_without_a_snapshot_the_book_is_what_the_deltas_named() -> None:
    book = sync("binance_spot")
    book.on_delta(delta(1, 2, bids=[(99, 1)]))
    book.on_no_snapshot()
    assert book.phase is Phase.UNANCHORED
    assert book.on_delta(delta(3, 4, bids=[(100, 2)], asks=[(105, 1)])) is Step.APPLIED
    assert list(book.book.bids) == [(100, 2), (99, 1)]
    assert book.on_delta(delta(9, 9)) is Step.GAP


def test_late_snapshot_turns_a_book_of_deltas_into_a_whole_one() -> None:
    book = sync("binance_spot")
    book.on_delta(delta(1, 2, bids=[(99, 1)]))
    book.on_no_snapshot()
    book.expect_snapshot()
    book.on_delta(delta(3, 4, bids=[(101, 2)]))
    assert book.on_snapshot(snapshot(3, bids=[(98, 8)])) is Step.SYNCED
    assert book.phase is Phase.LIVE
    assert list(book.book.bids) == [(101, 2), (98, 8)]


def test_answer_that_nobody_waits_for_is_ignored() -> None:
    book = sync("binance_spot")
    assert book.on_snapshot(snapshot(5)) is Step.IGNORED
    book.on_delta(delta(6, 6))
    book.on_snapshot(snapshot(5))
    assert book.on_snapshot(snapshot(3)) is Step.IGNORED


def test_partial_depth_replaces_and_is_never_merged_with_deltas() -> None:
    book = sync("binance_spot")
    assert book.on_partial(PartialDepth("BTCUSDT", 5, 0, [(1, 1)], [(2, 1)])) is Step.APPLIED
    assert book.on_partial(PartialDepth("BTCUSDT", 4, 0, [(7, 1)], [(8, 1)])) is Step.IGNORED
    assert book.on_partial(PartialDepth("BTCUSDT", 6, 0, [(3, 1)], [(4, 1)])) is Step.APPLIED
    assert list(book.book.bids) == [(3, 1)]
    book.restart()
    book.on_delta(delta(1, 1))
    assert book.on_partial(PartialDepth("BTCUSDT", 7, 0, [(9, 1)], [])) is Step.IGNORED


EVENTS = st.lists(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 5)), max_size=4), min_size=3, max_size=30)


@given(EVENTS, st.data(), st.sampled_from(["binance_spot", "binance_perp"]))
def test_whenever_the_snapshot_comes_the_book_ends_the_same(
    events: list[list[Level]], data: st.DataObject, venue: str
) -> None:
    """The venue's book after k events, fetched at any time, gives the same end as applying all events in order."""
    taken = data.draw(st.integers(0, len(events) - 2), label="events in the snapshot")
    arrives = data.draw(st.integers(0, len(events) - 1), label="events buffered when it arrives")
    deltas = [delta(10 * i + 1, 10 * i + 10, prev=10 * i, bids=levels) for i, levels in enumerate(events)]
    truth: dict[int, int] = {}
    for levels in events[: taken + 1]:
        truth.update(levels)
    answer = snapshot(10 * (taken + 1), bids=[level for level in truth.items() if level[1]], asks=[])
    for levels in events[taken + 1 :]:
        truth.update(levels)

    book = sync(venue)
    for at, event in enumerate(deltas):
        if at == arrives + 1:
            book.on_snapshot(answer)
        book.on_delta(event)
    if arrives + 1 >= len(deltas):
        book.on_snapshot(answer)

    assert book.phase is Phase.LIVE
    assert dict(book.book.bids) == {price: lots for price, lots in truth.items() if lots}
    book.book.check()
