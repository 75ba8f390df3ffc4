from __future__ import annotations

from typing import Any

import pytest

from actors.risk.leases import Refusal, Wallet
from actors.vocab.leases import LeaseGrant, RiskState, Token
from actors.vocab.market import Side
from actors.vocab.orders import Cause, LeasedOrder, LeasedReplace
from actors.vocab.reasons import Reason
from actors.vocab.units import NS_PER_MS

MS = NS_PER_MS


def grant(
    *,
    grant_no: int = 1,
    request_no: int = 1,
    long_lots: int = 10,
    short_lots: int = 10,
    state: RiskState = RiskState.NORMAL,
    term: int = 1,
    holder: str = "h",
) -> LeaseGrant:
    return LeaseGrant("v", "S", Token(term, grant_no, holder), request_no, long_lots, short_lots, state, "", 2_000, 20)


@pytest.fixture
def wallet() -> Wallet:
    """Asked at 1 ms, answered at 100 ms with ten lots a side and 2 s."""
    wallet = Wallet("v", "S", "h")
    wallet.on_request_sent(1, 1 * MS)
    wallet.on_grant(grant(), 100 * MS)
    return wallet


def place(wallet: Wallet, side: Side = Side.BUY, lots: int = 1, **changes: Any) -> LeasedOrder | Refusal:
    fields: dict[str, Any] = {
        "ref": 1,
        "slot": 0,
        "price_ticks": 100,
        "post_only": True,
        "reduce_only": False,
        "position_lots": 0,
        "live_buy_lots": 0,
        "live_sell_lots": 0,
        "value_usd": 1.0,
        "cause": Cause.BOOK,
        "recv_ns": 0,
        "age_us": 0,
        "now_ns": 200 * MS,
    }
    return wallet.place(side=side, lots=lots, **fields | changes)


def replace(wallet: Wallet, *, lots: int, old_lots: int, **changes: Any) -> LeasedReplace | Refusal:
    fields: dict[str, Any] = {
        "ref": 1,
        "slot": 0,
        "side": Side.BUY,
        "price_ticks": 100,
        "position_lots": 0,
        "live_buy_lots": old_lots,
        "live_sell_lots": 0,
        "value_usd": 1.0,
        "cause": Cause.BOOK,
        "recv_ns": 0,
        "age_us": 0,
        "now_ns": 200 * MS,
    }
    return wallet.replace(lots=lots, old_lots=old_lots, **fields | changes)


def test_ttl_runs_from_when_the_request_was_sent(wallet: Wallet) -> None:
    assert wallet.alive(2_001 * MS - 1)
    assert not wallet.alive(2_001 * MS)
    assert wallet.lease_left_ms(1_001 * MS) == 1_000


def test_the_order_carries_token_envelope_and_time_left(wallet: Wallet) -> None:
    order = place(wallet, lots=3)

    assert isinstance(order, LeasedOrder)
    assert (order.token, order.long_lots, order.short_lots) == (Token(1, 1, "h"), 10, 10)
    assert order.lease_left_ms == 1_801


@pytest.mark.parametrize(
    ("side", "position", "live_buy", "live_sell", "lots", "fits"),
    [
        (Side.BUY, 0, 0, 0, 10, True),
        (Side.BUY, 0, 0, 0, 11, False),
        (Side.BUY, 4, 4, 0, 2, True),
        (Side.BUY, 4, 4, 0, 3, False),
        (Side.BUY, -10, 0, 9, 20, True),  # sells do not count against buys
        (Side.SELL, 0, 0, 0, 10, True),
        (Side.SELL, 4, 0, 12, 2, True),
        (Side.SELL, 4, 0, 12, 3, False),
        (Side.SELL, -10, 0, 0, 1, False),
    ],
)
def test_position_and_live_orders_count(
    wallet: Wallet, side: Side, position: int, live_buy: int, live_sell: int, lots: int, fits: bool
) -> None:
    order = place(wallet, side, lots, position_lots=position, live_buy_lots=live_buy, live_sell_lots=live_sell)

    assert isinstance(order, LeasedOrder) is fits
    if isinstance(order, Refusal):
        assert order.reason is Reason.LEASE_FULL


def test_nothing_is_placed_without_a_grant_or_after_expiry(wallet: Wallet) -> None:
    never = place(Wallet("v", "S", "h"))
    late = place(wallet, now_ns=2_001 * MS)

    assert never == Refusal(Reason.NO_LEASE, "never granted")
    assert late == Refusal(Reason.NO_LEASE, "expired")


@pytest.mark.parametrize(
    ("state", "reason"),
    [(RiskState.CIRCUIT_BREAKER, Reason.CIRCUIT_BREAKER), (RiskState.FULL_STOP, Reason.FULL_STOP)],
)
def test_stopped_states_refuse_everything(wallet: Wallet, state: RiskState, reason: Reason) -> None:
    wallet.on_grant(grant(grant_no=2, request_no=0, state=state), 150 * MS)

    order = place(wallet)

    assert isinstance(order, Refusal)
    assert order.reason is reason


@pytest.mark.parametrize(
    ("side", "position", "lots", "fits"),
    [
        (Side.SELL, 5, 5, True),
        (Side.SELL, 5, 6, False),  # would turn the position around
        (Side.BUY, 5, 1, False),
        (Side.BUY, -3, 3, True),
        (Side.BUY, 0, 1, False),
    ],
)
def test_reduce_only_never_crosses_zero(wallet: Wallet, side: Side, position: int, lots: int, fits: bool) -> None:
    wallet.on_grant(grant(grant_no=2, request_no=0, state=RiskState.REDUCE_ONLY), 150 * MS)

    order = place(wallet, side, lots, position_lots=position)

    assert isinstance(order, LeasedOrder) is fits
    if isinstance(order, Refusal):
        assert order.reason is Reason.REDUCE_ONLY


def test_an_unasked_grant_tightens_and_gains_no_time(wallet: Wallet) -> None:
    wallet.on_grant(grant(grant_no=2, request_no=0, long_lots=4), 1_900 * MS)

    assert wallet.long_lots == 4
    assert not wallet.alive(2_001 * MS)


def test_older_numbers_terms_and_other_holders_are_ignored(wallet: Wallet) -> None:
    wallet.on_request_sent(2, 300 * MS)
    wallet.on_grant(grant(grant_no=5, request_no=2, term=2, long_lots=7), 310 * MS)

    assert not wallet.on_grant(grant(grant_no=9, term=1, request_no=0, long_lots=99), 320 * MS)
    assert not wallet.on_grant(grant(grant_no=4, term=2, request_no=0, long_lots=99), 320 * MS)
    assert not wallet.on_grant(grant(grant_no=9, term=2, request_no=0, long_lots=99, holder="x"), 320 * MS)
    assert wallet.long_lots == 7


def test_a_new_term_does_not_inherit_the_old_ones_time(wallet: Wallet) -> None:
    wallet.on_grant(grant(term=2, request_no=0), 150 * MS)

    assert not wallet.alive(151 * MS)


def test_an_answer_that_was_not_asked_for_gains_nothing(wallet: Wallet) -> None:
    wallet.on_grant(grant(grant_no=2, request_no=77), 1_000 * MS)

    assert wallet.lease_left_ms(1_000 * MS) == 1_001


def test_a_replace_counts_the_greater_of_old_and_new(wallet: Wallet) -> None:
    assert isinstance(replace(wallet, lots=10, old_lots=10), LeasedReplace)  # re-priced, envelope used to the last lot
    assert isinstance(replace(wallet, lots=8, old_lots=6), LeasedReplace)
    assert isinstance(replace(wallet, lots=8, old_lots=6, position_lots=3), Refusal)
    assert isinstance(replace(wallet, lots=6, old_lots=12), Refusal)  # a lowered envelope: cancel it instead
