from __future__ import annotations

from pathlib import Path

import pytest

from actors.journal.history import read_history
from actors.journal.rows import (
    BlockRow,
    BookingRow,
    FillNoRow,
    LedgerRow,
    Loaded,
    MetaRow,
    RunRow,
    StateRow,
)
from actors.journal.store import ORDERS_KEPT_NS, ORDERS_PRUNED_EVERY, Store, journal_path
from actors.vocab.errors import ConfigError
from actors.vocab.leases import FundingPaid
from actors.vocab.market import Side
from actors.vocab.orders import Fill, OrderRow, OrderState, PositionAdjust
from actors.vocab.units import NS_PER_S


def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'account.db'}"


def fill(fill_no: int = 1, trade_id: int = 10) -> Fill:
    return Fill(
        "v", "S", fill_no, trade_id, "mnt1", "h", 1, 1, Side.SELL, 100, 2, True, "0.1", "USDT", fill_no, -2
    )  # fmt: skip


def test_a_new_account_is_empty(tmp_path: Path) -> None:
    assert Store(url(tmp_path), "acc").load() == Loaded()


def test_what_is_written_is_found_again(tmp_path: Path) -> None:
    store = Store(url(tmp_path), "acc")
    booking = BookingRow("v", "S", "S", 10, 20, 10**30)
    ledger = LedgerRow("v", "S", "run-1", -2, 100.0, 10, "{}")
    store.write(
        [
            MetaRow("term", "4"),
            MetaRow("equity_usd", "99.5"),
            MetaRow("high_water_usd", "101"),
            MetaRow("day", "20000"),
            MetaRow("since_ms:v", "5"),
            MetaRow("day_start_usd", "100"),
            RunRow("run-1", 4, "100", 5),
            BlockRow("v", "g1", 1, 100, 5),
            BlockRow("v", "g2", 101, 100, 7),
            BlockRow("v", "g2", 201, 100, 9),
            booking,
            fill(),
            FillNoRow("v", 1),
            ledger,
            PositionAdjust("v", "S", 2, -2, "-0.5", "USDT", "FUNDING_FEE", 3),
            OrderRow("v", "S", "mnt1", "h", 1, OrderState.OPEN, Side.BUY, 100, 1, 0, 4, 1, "", 1),
            StateRow("fleet", 3, "journal", False, 1),
            StateRow("fleet", 4, "day's loss", True, 2),
            StateRow("venue:v", 1, "rejects", False, 1),
            StateRow("venue:v", 0, "", False, 2),
            StateRow("symbol:v:S", 3, "operator: reduce", 2, 2),
        ]
    )
    store.close()

    loaded = Store(url(tmp_path), "acc").load()

    assert loaded == Loaded(
        term=4,
        equity_usd="99.5",
        high_water_usd="101",
        day=20000,
        day_start_usd="100",
        runs=(RunRow("run-1", 4, "100", 5),),
        next_ids=(("v", 301),),
        last_lives=(("v", "g2", 7),),
        since_ms=(("v", 5),),
        fill_nos=(("v", 1),),
        trade_keys=(("v", "S", 10, -1),),
        bookings=(booking,),
        ledgers=(ledger,),
        states=(StateRow("fleet", 4, "day's loss", True, 2), StateRow("symbol:v:S", 3, "operator: reduce", 2, 2)),
        fundings=(("v", FundingPaid("USDT", "-0.5", 3)),),
    )


def test_newer_values_replace_and_repeats_change_nothing(tmp_path: Path) -> None:
    store = Store(url(tmp_path), "acc")
    store.write([MetaRow("term", "1"), FillNoRow("v", 1), fill()])
    store.write([fill(), MetaRow("term", "2"), FillNoRow("v", 2), fill(2, 11)])

    loaded = store.load()

    assert loaded.term == 2
    assert loaded.fill_nos == (("v", 2),)
    assert loaded.trade_keys == (("v", "S", 10, -1), ("v", "S", 11, -1))  # oldest first


def test_another_accounts_journal_is_refused(tmp_path: Path) -> None:
    Store(url(tmp_path), "acc").close()

    with pytest.raises(ConfigError, match="account acc, not other"):
        Store(url(tmp_path), "other")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "account.db").write_text("hello " * 1_000)

    with pytest.raises(ConfigError, match=r"account\.db"):
        Store(url(tmp_path), "acc")


@pytest.mark.parametrize("bad", ["nonsense", "sqlite://", "sqlite:///:memory:", "postgresql://host/db"])
def test_urls_without_a_file_are_refused_with_the_remedy(bad: str) -> None:
    with pytest.raises(ConfigError, match="sqlite:////absolute"):
        journal_path(bad)


def test_old_orders_go_as_new_ones_come_and_nothing_else_does(tmp_path: Path) -> None:
    path = tmp_path / "account.db"
    store = Store(url(tmp_path), "acc")
    old_ns, odd_ns, new_ns = NS_PER_S, 2 * NS_PER_S, NS_PER_S + ORDERS_KEPT_NS
    store.write([order(1, old_ns), order(2, 0), order(3, old_ns), order(4, 0), order(5, new_ns), order(6, odd_ns)])
    store.write([fill(), *(order(number, new_ns) for number in range(7, 7 + ORDERS_PRUNED_EVERY))])
    assert [row.ref for row in read_history(path).orders][:3] == [1, 2, 3]  # at the limit: not old yet
    store.write([order(number, new_ns + 1) for number in range(2_000, 2_000 + ORDERS_PRUNED_EVERY)])
    told = read_history(path)
    store.close()
    assert [row.ref for row in told.orders][:4] == [4, 5, 6, 7]
    assert len(told.fills) == 1


def order(number: int, event_ns: int) -> OrderRow:
    return OrderRow("v", "S", f"mnt-{number}", "h", number, OrderState.OPEN, Side.BUY, 100, 1, 0, 4, 1, "", event_ns)
