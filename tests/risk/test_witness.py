"""What risk writes down for audits: grants with their price, lives of holders, the venue's clock."""

from __future__ import annotations

from actors.journal.rows import GrantRow, HolderRow, MetaRow
from actors.risk.witness import NOTE_INTERVAL_MS, Witness
from actors.vocab.config.risk import RiskSettings
from actors.vocab.leases import LeaseRelease
from tests.risk.stage import MS, VENUE, Stage


def rows_of(stage: Stage, kind: type) -> list:
    return [row for row in stage.rows if isinstance(row, kind)]


def opened() -> Stage:
    stage = Stage()
    stage.use_instruments()
    stage.marks()
    stage.report()
    stage.pass_ms(100)
    stage.report()
    return stage


def test_each_grant_is_written_with_its_frozen_price_at_the_next_timer() -> None:
    stage = opened()
    granted = stage.ask(want=10)
    assert granted is not None
    assert rows_of(stage, GrantRow) == []  # nothing stands before a grant

    asked_ms = stage.now_ms
    stage.pass_ms(100)
    (row,) = rows_of(stage, GrantRow)
    assert (row.venue, row.symbol, row.holder, row.term) == (VENUE, "BTCUSDT", "quote-BTCUSDT", 1)
    assert (row.grant_no, row.long_lots, row.short_lots) == (granted.token.grant_no, 10, 10)
    # 10 000 ticks of 0.1 cents on a lot: 10 USD.
    assert (row.price_nusd, row.wall_ms) == (10 * 10**9, asked_ms)

    stage.ask(want=10)
    stage.pass_ms(100)
    assert len(rows_of(stage, GrantRow)) == 1  # the same grant, the same price


def test_a_price_frozen_anew_is_written_without_a_new_grant() -> None:
    stage = opened()
    first = stage.ask(want=10)
    stage.pass_ms(100)
    stage.marks(BTCUSDT=9_800)
    second = stage.ask(want=10)
    stage.pass_ms(100)

    assert first is not None
    assert second is not None
    assert second.token == first.token
    prices = [(row.grant_no, row.price_nusd) for row in rows_of(stage, GrantRow)]
    assert prices == [(first.token.grant_no, 10 * 10**9), (first.token.grant_no, 9_800 * 10**6)]


def test_a_life_is_written_at_its_start_now_and_then_and_at_its_end() -> None:
    stage = opened()
    began_ms = stage.now_ms
    for _ in range(2 * NOTE_INTERVAL_MS // 500):
        stage.ask(want=10)
        stage.report()
        stage.pass_ms(500)
    last_ms = stage.now_ms - 500
    notes = rows_of(stage, HolderRow)
    assert [row.last_ms for row in notes] == [began_ms, began_ms + NOTE_INTERVAL_MS]

    stage.hear("quote-BTCUSDT", LeaseRelease(VENUE, "BTCUSDT", "quote-BTCUSDT"))
    stage.pass_ms(100)
    assert rows_of(stage, HolderRow)[-1] == HolderRow(
        VENUE, "BTCUSDT", "quote-BTCUSDT", 1, began_ms, last_ms, "released"
    )


def test_a_holder_that_falls_silent_ends_at_its_last_request() -> None:
    stage = opened()
    stage.ask(want=10)
    asked_ms = stage.now_ms
    stage.pass_ms(RiskSettings().lease_ttl_ms + 500)

    ended = rows_of(stage, HolderRow)[-1]
    assert (ended.holder, ended.last_ms, ended.ended) == ("quote-BTCUSDT", asked_ms, "expired")
    # The envelope that is left is nobody's, and empty.
    assert [(row.holder, row.long_lots, row.short_lots) for row in rows_of(stage, GrantRow)][-1] == ("", 0, 0)


def test_a_new_incarnation_ends_the_life_before_it() -> None:
    stage = opened()
    stage.ask(want=10)
    stage.pass_ms(300)
    stage.ask(want=10, holder="quote-again")
    stage.pass_ms(100)

    lives = [(row.holder, row.ended) for row in rows_of(stage, HolderRow)]
    assert lives == [("quote-BTCUSDT", ""), ("quote-BTCUSDT", "replaced"), ("quote-again", "")]


def test_the_venues_clock_is_known_by_the_news_that_came_fastest() -> None:
    witness = Witness()
    for event_ms, wall_ms in ((0, 5), (1_000, 1_300), (2_000, 2_250), (3_000, 3_280)):
        witness.heard("v", event_ms * MS, term=7, wall_ms=wall_ms)

    assert witness.take() == [MetaRow("venue_ahead_ms:7:v", "-300"), MetaRow("venue_ahead_ms:7:v", "-250")]
    assert witness.take() == []
