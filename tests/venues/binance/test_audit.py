"""Ledger rows through both roles: what the venue serves is what an audit reads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.venues.binance.audit import BinanceAudit
from actors.venues.binance.calls import LedgerQuery
from actors.venues.catalog import market_dialect, trading_dialect
from actors.venues.ledger import (
    LedgerAccount,
    LedgerAmendment,
    LedgerBalance,
    LedgerIncome,
    LedgerOrder,
    LedgerPosition,
    LedgerTrade,
)
from actors.vocab.errors import ConfigError, OurFault, VenueFault
from actors.vocab.orders import OrderState
from actors.vocab.venue_io import VenueFill
from tests.venues.binance.examples import (
    KEYS,
    NOW_MS,
    ROWS,
    VENUES,
    carry,
    cents,
    client_ids,
    ids,
    lots,
    moments_ms,
    sides,
    some_lots,
    steady,
    ticks,
    wire,
)

ENDS = {venue: wire(venue) for venue in VENUES}
AUDITS = {venue: BinanceAudit(ends.trading) for venue, ends in ENDS.items()}


def query(venue: str, request) -> LedgerQuery:
    call = carry(ENDS[venue].server, request, request_no=1)
    assert isinstance(call, LedgerQuery), call
    return call


@st.composite
def ledger_orders(draw, venue: str) -> LedgerOrder:
    market = draw(st.booleans())
    created = draw(st.integers(1, 4 * 10**12))
    state = draw(st.sampled_from([OrderState.OPEN, OrderState.PARTLY_FILLED, *list(OrderState)[6:]]))
    return LedgerOrder(
        symbol=draw(st.sampled_from([row.symbol for row in ROWS[venue]])),
        client_id=draw(client_ids),
        venue_order_id=str(draw(ids)),
        side=draw(sides),
        state=state,
        price_ticks=0 if market else draw(ticks),
        lots=draw(some_lots),
        filled_lots=draw(lots),
        filled_quote=str(draw(st.integers(0, 10**9))),
        created_ms=created,
        updated_ms=created + draw(st.integers(0, 10**6)),
        post_only=not market and draw(st.booleans()),
        reduce_only=venue == "binance_perp" and draw(st.booleans()),
        market=market,
    )


@pytest.mark.parametrize("venue", VENUES)
@steady
@given(data=st.data())
def test_orders_survive_the_wire(venue: str, data) -> None:
    rows = data.draw(st.lists(ledger_orders(venue), max_size=4))
    call = query(venue, AUDITS[venue].all_orders_request("BTCUSDT", timestamp_ms=NOW_MS, from_order_id=5))
    assert (call.kind, call.symbol, call.from_id, call.limit) == ("orders", "BTCUSDT", 5, 1000)
    reply = ENDS[venue].server.answer_orders(call, rows)

    assert AUDITS[venue].decode_orders(reply.status, reply.body) == rows


@st.composite
def ledger_trades(draw, venue: str) -> LedgerTrade:
    fill = VenueFill(
        request_no=0,
        symbol=draw(st.sampled_from([row.symbol for row in ROWS[venue]])),
        client_id="",
        venue_order_id=str(draw(ids)),
        trade_id=draw(ids),
        side=draw(sides),
        price_ticks=draw(ticks),
        lots=draw(some_lots),
        maker=draw(st.booleans()),
        fee=draw(cents),
        fee_asset="USDT",
        event_ns=draw(moments_ms) * 1_000_000,
    )
    return LedgerTrade(fill, draw(cents) if venue == "binance_perp" else "0")


@pytest.mark.parametrize("venue", VENUES)
@steady
@given(data=st.data())
def test_trades_survive_the_wire(venue: str, data) -> None:
    rows = data.draw(st.lists(ledger_trades(venue), max_size=4))
    call = query(venue, AUDITS[venue].trades_request("BTCUSDT", timestamp_ms=NOW_MS, since_ms=3, until_ms=9))
    assert (call.kind, call.start_ms, call.end_ms) == ("own_trades", 3, 9)
    reply = ENDS[venue].server.answer_own_trades(call, rows)

    assert AUDITS[venue].decode_trades(reply.status, reply.body) == sorted(rows, key=lambda row: row.fill.trade_id)


@steady
@given(
    st.lists(
        st.builds(
            LedgerIncome,
            symbol=st.sampled_from(["", "BTCUSDT"]),
            kind=st.sampled_from(["REALIZED_PNL", "COMMISSION", "FUNDING_FEE", "TRANSFER"]),
            amount=cents,
            asset=st.just("USDT"),
            time_ms=moments_ms,
            tran_id=ids,
            trade_id=st.integers(0, 10**12),
        ),
        max_size=4,
    )
)
def test_income_survives_the_wire(rows: list[LedgerIncome]) -> None:
    audit = AUDITS["binance_perp"]
    call = query("binance_perp", audit.income_request(timestamp_ms=NOW_MS, kind="FUNDING_FEE"))
    assert (call.kind, call.income_kind, call.symbol) == ("income", "FUNDING_FEE", "")
    reply = ENDS["binance_perp"].server.answer_income(call, rows)

    assert audit.decode_income(reply.status, reply.body) == rows


@steady
@given(
    st.lists(
        st.builds(
            LedgerAmendment,
            symbol=st.just("BTCUSDT"),
            client_id=client_ids,
            venue_order_id=ids.map(str),
            amendment_id=ids,
            time_ms=moments_ms,
            price_ticks_before=ticks,
            price_ticks=ticks,
            lots_before=some_lots,
            lots=some_lots,
            amendments_count=st.integers(1, 10_000),
        ),
        max_size=4,
        unique_by=lambda row: row.amendment_id,
    )
)
def test_amendments_survive_the_wire(rows: list[LedgerAmendment]) -> None:
    audit = AUDITS["binance_perp"]
    call = query("binance_perp", audit.amendments_request("BTCUSDT", "77", timestamp_ms=NOW_MS))
    assert (call.kind, call.order_id) == ("amendments", "77")
    reply = ENDS["binance_perp"].server.answer_amendments(call, rows)

    assert audit.decode_amendments(reply.status, reply.body) == sorted(rows, key=lambda row: row.amendment_id)


def test_accounts_survive_the_wire() -> None:
    spot = LedgerAccount(
        balances=(LedgerBalance("BTC", "1.5", "0.5"), LedgerBalance("USDT", "10", "0")),
        maker_rate="0.001",
        taker_rate="0.001",
        updated_ms=5,
    )
    call = query("binance_spot", AUDITS["binance_spot"].account_request(timestamp_ms=NOW_MS))
    reply = ENDS["binance_spot"].server.answer_account(call, spot, now_ms=NOW_MS)
    assert AUDITS["binance_spot"].decode_account(reply.status, reply.body) == spot

    perp = LedgerAccount(balances=(LedgerBalance("USDT", "10.25", "3", "-1.5"),), updated_ms=6, can_withdraw=True)
    audit = AUDITS["binance_perp"]
    call = query("binance_perp", audit.account_request(timestamp_ms=NOW_MS))
    reply = ENDS["binance_perp"].server.answer_account(call, perp, now_ms=NOW_MS)
    assert audit.decode_account(reply.status, reply.body) == perp


def test_positions_survive_the_wire() -> None:
    audit, server = AUDITS["binance_perp"], ENDS["binance_perp"].server
    held = LedgerAccount(
        balances=(),
        positions=(
            LedgerPosition("BTCUSDT", -20, 600_000.5, 600_010.0, "-0.019", 7),
            LedgerPosition("1000PEPEUSDT", 5, 100_000.0, 100_001.0, "0.5", 8),
        ),
    )
    call = query("binance_perp", audit.positions_request(timestamp_ms=NOW_MS))
    rows = audit.decode_positions(200, server.answer_account(call, held, now_ms=NOW_MS).body)

    assert [(row.symbol, row.position_lots, row.unrealized, row.updated_ms) for row in rows] == [
        ("BTCUSDT", -20, "-0.019", 7),
        ("1000PEPEUSDT", 5, "0.5", 8),
    ]
    assert [row.entry_ticks for row in rows] == pytest.approx([600_000.5, 100_000.0])


def test_refusals_and_pages_that_cannot_be_read() -> None:
    audit = AUDITS["binance_perp"]
    with pytest.raises(VenueFault, match=r"-1021 .*CLOCK"):
        audit.decode_orders(400, b'{"code":-1021,"msg":"Timestamp for this request"}')
    with pytest.raises(VenueFault, match="not readable"):
        audit.decode_trades(200, b'{"no":"list"}')
    with pytest.raises(OurFault, match="no income"):
        AUDITS["binance_spot"].income_request(timestamp_ms=NOW_MS)
    with pytest.raises(OurFault, match="no positions"):
        AUDITS["binance_spot"].positions_request(timestamp_ms=NOW_MS)


@pytest.mark.parametrize("venue", VENUES)
def test_open_orders_are_read_as_rows_too(venue: str) -> None:
    for symbol in ("", "BTCUSDT"):
        call = query(venue, AUDITS[venue].open_orders_request(symbol, timestamp_ms=NOW_MS))
        assert (call.symbol, call.open_only) == (symbol, True)


def test_dialects_by_venue_id() -> None:
    for venue in VENUES:
        assert market_dialect(venue, ROWS[venue]).venue == venue
        assert trading_dialect(venue, KEYS, ROWS[venue]).venue == venue
    with pytest.raises(ConfigError, match="'kraken' is unknown"):
        market_dialect("kraken")
