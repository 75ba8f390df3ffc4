"""Scripts of events and the commands that come back."""

from __future__ import annotations

from itertools import pairwise

from actors.feed.engine import CROSSED_DELTAS_MAX, DIFFERED_MAX
from actors.feed.messages import (
    ConnectionDown,
    ConnectionUp,
    FeedCommand,
    FetchSnapshot,
    FrameReceived,
    InstrumentsChanged,
    Notice,
    PublishMarks,
    Reconnect,
    RefreshInstruments,
    SnapshotAnswer,
    Timer,
)
from actors.feed.symbol import CONFIRMATIONS_MIN
from actors.vocab.config import FeedSettings
from actors.vocab.market import BookState, Side
from actors.vocab.venue_io import MarkPrice, StreamNotice
from tests.feed.kit import CONNECTION, MS, SYMBOL, Desk, delta, instrument, published, snapshot, top, trade

FETCH = FetchSnapshot(SYMBOL, FeedSettings().snapshot_levels)


def live(desk: Desk) -> Desk:
    """Synced at number 100; 100 x 5 bid, 110 x 5 ask."""
    assert desk.frame(delta(95, 101, prev=94)) == [FETCH]
    desk.handle(SnapshotAnswer(SYMBOL, snapshot(100)))
    desk.updates()
    return desk


def notices(commands: list[FeedCommand]) -> list[str]:
    return [command.sentence for command in commands if isinstance(command, Notice)]


# --- becoming and staying in sync ----------------------------------------------------------------------------------


def test_first_delta_asks_for_the_snapshot_and_nothing_is_shown_before_it() -> None:
    desk = Desk()
    assert desk.frame(delta(95, 101, prev=94)) == [FETCH]
    assert desk.frame(delta(102, 103, prev=101)) == []  # one fetch at a time
    assert all(update.bids == () and update.state is BookState.SYNCING for update in desk.updates())

    desk.handle(SnapshotAnswer(SYMBOL, snapshot(100)))

    (update,) = desk.updates()
    assert (update.state, update.bids, update.asks) == (BookState.OK, ((100, 5),), ((110, 5),))


def test_gap_resyncs_that_symbol_alone() -> None:
    desk = Desk(SYMBOL, "ETHUSDT")
    live(desk)
    desk.frame(delta(5, 6, prev=4, symbol="ETHUSDT"))
    desk.handle(SnapshotAnswer("ETHUSDT", snapshot(6, symbol="ETHUSDT")))
    desk.updates()

    commands = desk.later(5_000).frame(delta(120, 121, prev=119))

    assert FETCH in commands
    assert desk.engine.states() == {SYMBOL: BookState.SYNCING, "ETHUSDT": BookState.OK}
    assert [(u.symbol, u.state, u.bids) for u in desk.updates()] == [(SYMBOL, BookState.SYNCING, ())]
    assert (desk.engine.health.gaps, desk.engine.health.resyncs) == (1, 1)


def test_failed_snapshots_are_asked_for_again_after_growing_jittered_waits() -> None:
    desk = Desk(resync_backoff_ms=1_000, resync_backoff_max_ms=4_000)
    desk.frame(delta(95, 101, prev=94))
    asked_ms = [desk.now_ms]
    for _ in range(600):
        desk.handle(SnapshotAnswer(SYMBOL, None, "HTTP 500"))
        if FETCH in desk.later(50).handle(Timer()):
            asked_ms.append(desk.now_ms)
    waits = [later - earlier for earlier, later in pairwise(asked_ms)]
    assert 500 <= waits[0] <= 1_050
    assert 1_000 <= waits[1] <= 2_050
    assert all(2_000 <= wait <= 4_050 for wait in waits[2:])
    assert len(set(waits[2:])) > 1  # symbols that failed together do not come back together


def test_snapshot_that_is_too_old_is_fetched_again() -> None:
    desk = Desk()
    desk.frame(delta(95, 101, prev=94))
    assert FETCH not in desk.handle(SnapshotAnswer(SYMBOL, snapshot(50)))
    assert FETCH in desk.later(600).handle(Timer())
    assert desk.engine.health.snapshots_too_old == 1


def test_steady_book_earns_an_immediate_fetch_at_its_next_gap() -> None:
    desk = live(Desk())
    desk.later(16_000).frame(delta(102, 103, prev=101))
    desk.handle(Timer())
    assert FETCH in desk.later(1).frame(delta(120, 121, prev=119))


# --- no snapshot ---------------------------------------------------------------------------------------------------


def test_book_of_deltas_is_quoted_only_once_the_ticker_confirms_its_top() -> None:
    desk = Desk()
    desk.frame(delta(1, 2, prev=0, bids=[(100, 5)], asks=[(110, 5)]))
    desk.handle(SnapshotAnswer(SYMBOL, None, "none recorded", unavailable=True))
    assert desk.updates()[-1].state is BookState.PARTIAL

    desk.frame(top(2))
    states = []
    for seq in range(3, 3 + CONFIRMATIONS_MIN + 1):
        desk.frame(delta(seq, seq, prev=seq - 1, bids=[(90, seq)]))
        states.append(desk.updates()[-1].state)
    assert states.count(BookState.OK) == 1  # the last of them
    assert states[-1] is BookState.OK

    # A ticker that says otherwise takes the belief away again.
    desk.frame(top(23, (101, 1)))
    desk.frame(delta(24, 24, prev=23))
    desk.frame(delta(25, 25, prev=24))
    assert desk.engine.states()[SYMBOL] is BookState.PARTIAL


def test_book_of_deltas_is_not_quoted_while_the_ticker_says_otherwise() -> None:
    desk = Desk()
    desk.frame(delta(1, 2, prev=0, bids=[(100, 5)], asks=[(110, 5)]))
    desk.handle(SnapshotAnswer(SYMBOL, None, "none recorded", unavailable=True))
    desk.frame(top(2, (104, 1)))
    for seq in range(3, 100):
        desk.frame(delta(seq, seq, prev=seq - 1))
    assert desk.engine.states()[SYMBOL] is BookState.PARTIAL
    assert desk.engine.health.resyncs == 0


# --- doubt ---------------------------------------------------------------------------------------------------------


def test_crossed_book_is_said_at_once_and_resynced_when_it_stays_so() -> None:
    desk = live(Desk())
    commands = desk.frame(delta(102, 102, prev=101, bids=[(110, 1)]))
    assert commands == []
    assert desk.updates()[0].state is BookState.CROSSED
    for seq in range(103, 103 + CROSSED_DELTAS_MAX):
        commands = desk.frame(delta(seq, seq, prev=seq - 1))
    assert notices(commands) == ["book resyncs: book stayed crossed"]
    assert desk.updates()[0].state is BookState.SYNCING
    assert desk.engine.health.crossed == 1


def test_crossing_that_heals_is_no_resync() -> None:
    desk = live(Desk())
    desk.frame(delta(102, 102, prev=101, bids=[(110, 1)]))
    assert desk.updates()[0].state is BookState.CROSSED
    desk.frame(delta(103, 103, prev=102, bids=[(110, 0)]))
    assert desk.updates()[0].state is BookState.OK
    assert desk.engine.health.resyncs == 0


def test_crossed_book_without_further_deltas_is_resynced_by_time() -> None:
    desk = live(Desk())
    desk.frame(delta(102, 102, prev=101, bids=[(110, 1)]))
    assert notices(desk.later(499).handle(Timer())) == []
    assert notices(desk.later(2).handle(Timer())) == ["book resyncs: book stayed crossed"]


def test_synced_book_that_the_ticker_contradicts_for_long_is_resynced() -> None:
    desk = live(Desk())
    desk.frame(top(101, (97, 1)))
    commands: list[FeedCommand] = []
    for seq in range(102, 102 + DIFFERED_MAX):
        commands = desk.frame(delta(seq, seq, prev=seq - 1))
    assert notices(commands) == [f"book resyncs: book ticker differed {DIFFERED_MAX} times in a row"]
    assert desk.engine.health.disagreements == 1


def test_silent_symbol_becomes_stale_and_a_frame_makes_it_fresh() -> None:
    desk = Desk(stale_after_ms=1_000)
    for ms in range(10):
        desk.later(1).frame(top(ms))
    live(desk)
    desk.later(900).handle(Timer())
    assert desk.engine.states()[SYMBOL] is BookState.OK

    commands = desk.later(200).handle(Timer())

    assert [update.state for update in published(commands)] == [BookState.STALE]
    desk.frame(delta(102, 102, prev=101))
    desk.handle(Timer())
    assert desk.engine.states()[SYMBOL] is BookState.OK
    assert desk.engine.health.stale == 1


def busy(desk: Desk, *symbols: str, frames: int = 100, distance_ms: int = 100) -> Desk:
    """Synced books of 100 x 5 bid, 110 x 5 ask that have the habit to speak every `distance_ms`."""
    for symbol in symbols or (SYMBOL,):
        desk.frame(delta(95, 101, prev=94, symbol=symbol))
        desk.handle(SnapshotAnswer(symbol, snapshot(100, symbol=symbol)))
    for seq in range(102, 102 + frames):
        desk.later(distance_ms)
        for symbol in symbols or (SYMBOL,):
            desk.frame(delta(seq, seq, prev=seq - 1, symbol=symbol))
    desk.updates()
    return desk


def test_book_that_stands_still_while_marks_and_trades_go_on_is_stale_and_its_connection_is_replaced() -> None:
    desk = busy(Desk(stale_after_ms=5_000))
    states, asked_ms = {}, []
    for ms in range(0, 70_000, 100):
        desk.frame(MarkPrice(SYMBOL, 0, 105.0, 105.0, 0.0, 0), connection="market")
        desk.frame(trade(ms, price=105), connection="market")
        commands = desk.later(100).handle(Timer())
        states[ms + 100] = desk.engine.states()[SYMBOL]
        asked_ms += [ms + 100 for command in commands if isinstance(command, Reconnect)]
    assert (states[5_000], states[5_100], states[70_000]) == (BookState.OK, BookState.STALE, BookState.STALE)
    assert asked_ms == [5_100, 65_100]  # a venue that has stopped is not dialled ever faster
    assert desk.engine.health.stale == 1

    desk.handle(ConnectionUp(CONNECTION, (SYMBOL,), overlap=True))
    assert FETCH in desk.frame(delta(900, 900, prev=899))  # what was missed is a gap
    desk.handle(SnapshotAnswer(SYMBOL, snapshot(900)))
    desk.frame(delta(901, 901, prev=900))
    desk.handle(Timer())
    assert desk.engine.states()[SYMBOL] is BookState.OK


def test_quiet_book_is_not_stale_until_a_trade_outside_it_stays_unanswered() -> None:
    desk = busy(Desk(stale_after_ms=5_000), distance_ms=1_000)
    for ms in range(0, 30_000, 200):  # its habit allows 50 s
        desk.frame(trade(ms, price=110), connection="market")
        desk.frame(MarkPrice(SYMBOL, 0, 105.0, 105.0, 0.0, 0), connection="market")
        desk.later(200).handle(Timer())
        assert desk.engine.states()[SYMBOL] is BookState.OK

    desk.frame(trade(40_000, price=111), connection="market")
    desk.later(10).frame(top(202, ask=(111, 5)))  # the book's own word of it
    desk.later(6_000).handle(Timer())
    assert desk.engine.states()[SYMBOL] is BookState.OK

    desk.frame(trade(40_001, price=99), connection="market")
    desk.later(5_000).handle(Timer())
    assert desk.engine.states()[SYMBOL] is BookState.OK
    commands = desk.later(50).handle(Timer())
    assert desk.engine.states()[SYMBOL] is BookState.STALE
    assert any(isinstance(command, Reconnect) for command in commands)


def test_connection_over_which_another_book_speaks_is_kept() -> None:
    desk = busy(Desk(SYMBOL, "ETHUSDT", stale_after_ms=5_000), SYMBOL, "ETHUSDT")
    for seq in range(202, 302):
        desk.later(100).frame(delta(seq, seq, prev=seq - 1, symbol="ETHUSDT"))
        desk.frame(trade(seq), connection="market")
        assert not any(isinstance(command, Reconnect) for command in desk.handle(Timer()))
    assert desk.engine.states() == {SYMBOL: BookState.STALE, "ETHUSDT": BookState.OK}


def test_silence_of_every_stream_is_left_to_the_session() -> None:
    desk = busy(Desk(stale_after_ms=5_000))
    assert not any(isinstance(command, Reconnect) for command in desk.later(6_000).handle(Timer()))
    assert desk.engine.states()[SYMBOL] is BookState.STALE


# --- connections ---------------------------------------------------------------------------------------------------


def test_lost_connection_is_published_at_once_and_the_new_one_begins_at_step_one() -> None:
    desk = live(Desk())
    (down,) = published(desk.handle(ConnectionDown(CONNECTION, (SYMBOL,), "gone")))
    assert (down.state, down.bids) == (BookState.DOWN, ())

    (up,) = published(desk.handle(ConnectionUp(CONNECTION, (SYMBOL,))))
    assert up.state is BookState.SYNCING
    assert desk.frame(delta(102, 103, prev=101)) == [FETCH]
    assert desk.engine.health.reconnects == 1


def test_connection_without_deltas_does_not_take_the_book_down() -> None:
    desk = live(Desk())
    assert desk.handle(ConnectionDown("market", (SYMBOL,), "gone")) == []
    assert desk.handle(ConnectionUp("market", (SYMBOL,))) == []
    assert desk.engine.states()[SYMBOL] is BookState.OK


def test_overlap_keeps_the_book_and_drops_what_comes_twice() -> None:
    desk = live(Desk())
    desk.frame(trade(1))
    desk.updates()
    assert desk.handle(ConnectionUp(CONNECTION, (SYMBOL,), overlap=True)) == []

    for _ in range(2):
        desk.frame(delta(102, 103, prev=101, bids=[(101, 1)]))
        desk.frame(top(104, (102, 1)))
        desk.frame(trade(2, lots=3))
    desk.frame(trade(1))

    (update,) = desk.updates()
    assert (update.state, update.bids[0]) == (BookState.OK, (102, 1))
    assert (update.trades.buys_count, update.trades.buy_lots) == (1, 3)
    assert desk.engine.health.duplicates == 4


def test_same_trade_id_long_after_an_overlap_is_another_trade() -> None:
    desk = live(Desk())
    desk.frame(trade(1))
    desk.later(60_000).frame(trade(1))
    assert desk.updates()[0].trades.buys_count == 2


def test_announced_shutdown_asks_for_another_connection() -> None:
    desk = live(Desk())
    assert desk.frame(StreamNotice("shutdown", 0, "restart")) == [Reconnect(CONNECTION, "restart")]


def test_streams_without_a_first_frame_are_reported_once() -> None:
    desk = Desk(SYMBOL, "ETHUSDT", first_data_timeout_ms=1_000)
    live(desk)
    assert notices(desk.later(900).handle(Timer())) == []
    assert notices(desk.later(200).handle(Timer())) == ["public has sent nothing since it was subscribed"]
    assert notices(desk.later(200).handle(Timer())) == []


# --- publishing ----------------------------------------------------------------------------------------------------


def test_burst_gives_one_update_with_the_newest_book_and_the_oldest_stamp() -> None:
    desk = live(Desk())
    began_ns = desk.now_ns
    for seq in range(102, 112):
        desk.frame(delta(seq, seq, prev=seq - 1, bids=[(100, seq)]))
        desk.frame(trade(seq, side=Side.SELL, lots=2))
        desk.later(1)

    (update,) = desk.updates()

    assert update.bids == ((100, 111),)
    assert (update.recv_ns, update.age_us) == (began_ns, 10_000)
    assert (update.conflated_count, update.trades.sell_lots) == (19, 20)
    assert desk.updates() == []


def test_ticker_moves_the_published_top_without_a_delta() -> None:
    desk = live(Desk())
    desk.frame(top(105, (101, 9), (108, 9)))
    (update,) = desk.updates()
    assert (update.bids, update.asks) == (((101, 9), (100, 5)), ((108, 9), (110, 5)))
    desk.frame(top(104, (1, 1), (2, 2)))  # older than what is known
    assert desk.updates() == []


def test_beats_repeat_the_newest_state_and_number_on() -> None:
    desk = live(Desk(beat_interval_ms=250))
    desk.handle(Timer())
    before = desk.engine.resend(SYMBOL, desk.now_ns)
    assert before is not None
    assert published(desk.later(150).handle(Timer())) == []

    commands = desk.later(50).handle(Timer())

    (beat,) = published(commands)
    assert (beat.beat, beat.seq) == (True, before.update.seq + 1)
    assert (beat.bids, beat.asks, beat.state) == (((100, 5),), ((110, 5),), BookState.OK)
    assert beat.age_us == 200_000
    assert any(isinstance(command, PublishMarks) for command in commands)


def test_no_symbol_is_silent_for_longer_than_a_beat_interval() -> None:
    desk = live(Desk(beat_interval_ms=250))
    sent_ms: list[int] = [desk.now_ms]
    for step in range(200):
        desk.later(50)
        if step % 7 == 0:
            desk.frame(delta(102 + step, 102 + step, prev=101 + max(0, step - 7) * (step > 0), bids=[(100, step + 1)]))
        sent_ms += [desk.now_ms for _ in published(desk.handle(Timer()))]
    assert max(later - earlier for earlier, later in pairwise(sent_ms)) <= 250


def test_marks_carry_the_venues_reference_prices() -> None:
    desk = live(Desk())
    desk.frame(MarkPrice(SYMBOL, 0, 104.5, 104.25, 0.0001, 99))
    (mark,) = desk.engine.marks(desk.now_ns).marks
    assert (mark.bid_ticks, mark.ask_ticks, mark.mid_ticks) == (100, 110, 105.0)
    assert (mark.mark_ticks, mark.index_ticks, mark.funding_rate, mark.next_funding_ms) == (104.5, 104.25, 0.0001, 99)


def test_subscriber_of_another_shards_symbol_gets_nothing_here() -> None:
    assert Desk().engine.resend("ETHUSDT", 0) is None


# --- what cannot be read -------------------------------------------------------------------------------------------


def test_unreadable_frames_are_counted_told_ever_more_rarely_and_refresh_the_instruments_once_a_minute() -> None:
    desk = live(Desk())
    told = refreshed = 0
    for _ in range(1_000):
        commands = desk.frame("unreadable")
        told += len(notices(commands))
        refreshed += any(isinstance(command, RefreshInstruments) for command in commands)
    assert desk.engine.health.unparsed == 1_000
    assert told == 10
    assert refreshed == 1
    assert desk.engine.states()[SYMBOL] is BookState.OK


def test_foreign_frames_and_symbols_are_ignored() -> None:
    desk = live(Desk())
    desk.frame("foreign")
    desk.frame(top(5, symbol="DOGEUSDT"))
    assert desk.engine.health.ignored == 2
    assert desk.updates() == []


def test_changed_tick_begins_the_book_again_with_the_new_steps() -> None:
    desk = live(Desk())
    same = desk.handle(InstrumentsChanged((instrument(),)))
    assert same == []

    commands = desk.handle(InstrumentsChanged((instrument(tick_size="0.01"),)))

    assert notices(commands) == ["book resyncs: tick or lot changed to 0.01 and 0.001"]
    assert desk.dialect.used[-1] == (instrument(tick_size="0.01"),)
    assert desk.engine.states()[SYMBOL] is BookState.SYNCING


def test_same_events_give_the_same_commands() -> None:
    def run() -> list[list[FeedCommand]]:
        desk = Desk(seed=3)
        answers = [desk.handle(FrameReceived(CONNECTION, delta(95, 101, prev=94), desk.now_ns))]  # type: ignore[arg-type]
        for step in range(50):
            answers.append(desk.handle(SnapshotAnswer(SYMBOL, None, "HTTP 500")))
            answers.append(desk.later(100 + step).handle(Timer()))
        return answers

    assert run() == run()


def test_milliseconds_of_the_desk_are_nanoseconds_of_the_engine() -> None:
    assert Desk(connected=False).now_ns == 1_000 * MS
