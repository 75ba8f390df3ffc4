"""Money outlives the process that spends it."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.journal.spending import SpendingStore, Spent
from actors.vocab.errors import ConfigError


def test_what_was_written_down_is_found_by_the_next_life(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/journal.sqlite"
    first = SpendingStore(url)
    assert first.begin("treasury~1", day=7) == Spent(None, after_crash=False)
    first.keep(7, {"": 5, "m": 3})
    first.keep(7, {"": 9})
    first.close()  # as kill -9: no end

    second = SpendingStore(url)
    assert second.begin("treasury~2", day=7) == Spent({"": 9, "m": 3}, after_crash=True)
    second.end(7, {"": 6, "m": 3})
    second.close()

    third = SpendingStore(url)
    assert third.begin("treasury~3", day=7) == Spent({"": 6, "m": 3}, after_crash=False)
    third.end(7, {})
    assert third.begin("treasury~4", day=8).nusd is None
    third.close()


def test_a_file_that_is_no_database_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "journal.spending.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(ConfigError, match="cannot be opened"):
        SpendingStore(f"sqlite:///{tmp_path}/journal.sqlite")
