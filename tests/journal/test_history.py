from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from actors.journal.history import History, read_history
from actors.journal.rows import GrantRow, HolderRow, LedgerRow, MetaRow, RunRow
from actors.journal.store import Store
from actors.vocab.errors import ConfigError
from actors.vocab.market import Side
from actors.vocab.orders import Fill, OrderRow, OrderState, PositionAdjust

GRANT = GrantRow("v", "S", "h", 2, 1 << 33, 4, 5, 10**30, 7)
LIFE = HolderRow("v", "S", "h", 2, 5, 9, "")
FILL = Fill("v", "S", 1, 10, "mnt-1", "h", 0, 0, Side.SELL, 100, 2, True, "0.1", "USDT", 3, -2)
ADJUST = PositionAdjust("v", "S", 2, -2, "-0.5", "USDT", "FUNDING_FEE", 4)
ORDER = OrderRow("v", "S", "mnt-1", "h", 1, OrderState.OPEN, Side.BUY, 100, 1, 0, 4, 1, "", 1)


def test_every_kind_of_row_comes_back_beside_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "account.sqlite"
    store = Store(f"sqlite:///{path}", "acc")
    run, ledger = RunRow("run-1", 2, "100", 5), LedgerRow("v", "S", "run-1", -2, 100.0, 10, "{}")
    store.write([MetaRow("venue_ahead_ms:2:v", "-3"), run, GRANT, GRANT, LIFE, FILL, ADJUST, ORDER, ledger])
    later = HolderRow("v", "S", "h", 2, 5, 20, "expired")
    store.write([later, HolderRow("v", "S", "h", 3, 30, 31, "")])

    told = read_history(path)
    store.close()
    assert told == History(
        runs=(run,),
        fills=(FILL,),
        adjustments=(ADJUST,),
        orders=(ORDER,),
        ledgers=(ledger,),
        grants=(GRANT, GRANT),
        holders=(later, HolderRow("v", "S", "h", 3, 30, 31, "")),
        facts={"account": "acc", "schema": "1", "venue_ahead_ms:2:v": "-3"},
    )


def test_orders_and_grants_from_before_a_run_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "account.sqlite"
    store = Store(f"sqlite:///{path}", "acc")
    runs = [RunRow(f"run-{term}", term, "100", 5) for term in (2, 4)]
    grants = [msgspec.structs.replace(GRANT, term=term) for term in (2, 3, 4, 5)]
    orders = [msgspec.structs.replace(ORDER, term=term, client_id=f"mnt-{term}") for term in (2, 3, 4, 5)]
    store.write([*runs, *grants, *orders, FILL])
    store.close()

    told = read_history(path, "run-4")
    assert told.grants == tuple(grants[2:])
    assert told.orders == tuple(orders[2:])
    assert (told.runs, told.fills) == (tuple(runs), (FILL,))
    assert read_history(path, "unknown").orders == tuple(orders)


def test_what_is_no_journal_is_refused_and_left_alone(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no journal"):
        read_history(tmp_path / "none.sqlite")
    assert not (tmp_path / "none.sqlite").exists()
    (tmp_path / "text.sqlite").write_text("hello, this is a diary, not a journal " * 50)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_history(tmp_path / "text.sqlite")
