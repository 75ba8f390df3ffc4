from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from actors.journal import writer
from actors.journal.rows import MetaRow, Row
from actors.journal.store import Store
from actors.journal.writer import Journal
from actors.vocab.errors import ConfigError, OurFault
from actors.vocab.market import Side
from actors.vocab.orders import OrderRow, OrderState

WAIT_S = 5.0


class Told:
    """What the callbacks said, with a way to wait for it."""

    def __init__(self) -> None:
        self.durable = 0
        self.failures: list[str] = []
        self._changed = threading.Condition()

    def on_durable(self, sequence: int) -> None:
        with self._changed:
            self.durable = sequence
            self._changed.notify_all()

    def on_failed(self, text: str) -> None:
        with self._changed:
            self.failures.append(text)
            self._changed.notify_all()

    def wait(self, until: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(until, WAIT_S)


class Stubborn(Store):
    """A store whose disk is full for a while."""

    is_full = True

    def write(self, batch: Sequence[Row]) -> None:
        if self.is_full:
            raise OperationalError("insert", {}, Exception("database or disk is full"))
        super().write(batch)


def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'account.db'}"


def journal(folder: Path, told: Told, store: Store | None = None) -> Journal:
    return Journal(url(folder), "acc", on_durable=told.on_durable, on_failed=told.on_failed, store=store)


def order_row() -> OrderRow:
    return OrderRow("v", "S", "mnt1", "h", 1, OrderState.OPEN, Side.BUY, 100, 1, 0, 4, 1, "", 1)


def test_batches_become_durable_in_order(tmp_path: Path) -> None:
    told = Told()
    first = journal(tmp_path, told)
    first.start()
    sequences = [first.append([MetaRow("term", str(number))]) for number in range(1, 51)]
    told.wait(lambda: told.durable == 50)
    assert sequences == list(range(1, 51))
    assert first.commits_count < 50  # grouped
    assert first.close()

    again = journal(tmp_path, Told())
    assert again.load().term == 50
    assert again.close()


def test_close_writes_what_is_queued(tmp_path: Path) -> None:
    first = journal(tmp_path, Told())
    first.start()
    first.append([MetaRow("term", "7")])
    assert first.close()

    again = journal(tmp_path, Told())
    assert again.load().term == 7
    again.close()


def test_a_second_run_on_the_account_is_refused_by_name(tmp_path: Path) -> None:
    first = journal(tmp_path, Told())
    with pytest.raises(ConfigError, match="account acc is in use by another run"):
        journal(tmp_path, Told())
    first.close()

    journal(tmp_path, Told()).close()


def test_rows_wait_while_the_disk_is_full_and_are_written_when_it_is_not(tmp_path: Path) -> None:
    told = Told()
    store = Stubborn(url(tmp_path), "acc")
    stubborn = journal(tmp_path, told, store)
    stubborn.start()
    stubborn.append([MetaRow("term", "1")])
    told.wait(lambda: bool(told.failures))
    stubborn.append([MetaRow("term", "2")])
    assert "disk is full" in told.failures[0]
    assert told.durable == 0

    store.is_full = False
    told.wait(lambda: told.durable == 2)
    assert stubborn.load().term == 2
    assert len(told.failures) == 1
    assert stubborn.close()


def test_closing_while_the_disk_is_full_says_so(tmp_path: Path) -> None:
    told = Told()
    stubborn = journal(tmp_path, told, Stubborn(url(tmp_path), "acc"))
    stubborn.start()
    stubborn.append([MetaRow("term", "1")])
    told.wait(lambda: bool(told.failures))

    assert not stubborn.close()


def test_a_full_buffer_gives_up_order_rows_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "BUFFER_ROWS_MAX", 2)
    monkeypatch.setattr(writer, "BUFFER_ROWS_LIMIT", 4)
    full = journal(tmp_path, Told())  # not started: nothing is written
    full.append([MetaRow("a", "1"), MetaRow("b", "1")])
    full.append([order_row(), MetaRow("c", "1")])
    assert full.orders_dropped_count == 1
    assert full.backlog_count == 3

    full.append([MetaRow("d", "1")])
    with pytest.raises(OurFault, match="journal buffer holds 4 rows"):
        full.append([MetaRow("e", "1")])
    full.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_of_the_writer_is_told_and_stops_it(tmp_path: Path) -> None:
    told = Told()
    broken = journal(tmp_path, told)
    broken.start()
    broken.append(["no row at all"])  # type: ignore[list-item]  # the fault
    told.wait(lambda: bool(told.failures))

    assert "journal writer stopped" in told.failures[0]
    with pytest.raises(OurFault, match="journal writer stopped"):
        broken.append([MetaRow("a", "1")])
    broken.close()
