"""What the model account may have spent by now, over restarts and runs: one small SQLite file beside the journal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
from sqlalchemy import BigInteger, Column, Integer, MetaData, String, Table, delete, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DatabaseError

from actors.journal.store import journal_path, sqlite_engine
from actors.vocab.errors import ConfigError

metadata = MetaData()

money = Table(
    "money",
    metadata,
    Column("day", Integer, primary_key=True),  # UTC day's number
    Column("scope", String, primary_key=True),  # a model, or "" for the account
    Column("nusd", BigInteger, nullable=False),
)

# One row while a treasury lives; found at a start, the life before did not end in order.
lives = Table("lives", metadata, Column("incarnation", String, primary_key=True))


class Spent(msgspec.Struct, frozen=True):
    """What an earlier life has left."""

    nusd: dict[str, int] | None  # by scope; None when nothing was spent that day
    after_crash: bool


class SpendingStore:
    """Synchronous; each call is one durable commit."""

    def __init__(self, journal_url: str) -> None:
        """`ConfigError` when the file cannot be used."""
        self.path = spending_path(journal_url)
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._engine = sqlite_engine(f"sqlite:///{self.path}")
        try:
            metadata.create_all(self._engine)
        except DatabaseError as error:
            raise ConfigError(f"{self.path} cannot be opened: {error.orig}; free the file or move it") from None

    def begin(self, incarnation: str, day: int) -> Spent:
        """Open a life; what the ones before have left of this day."""
        with self._engine.begin() as connection:
            crashed = connection.execute(select(lives)).first() is not None
            connection.execute(delete(lives))
            connection.execute(insert(lives).values(incarnation=incarnation))
            rows = connection.execute(select(money.c.scope, money.c.nusd).where(money.c.day == day)).all()
        return Spent({row.scope: row.nusd for row in rows} if rows else None, crashed)

    def keep(self, day: int, nusd: Mapping[str, int]) -> None:
        """So much may be spent by now."""
        if not nusd:
            return
        statement = insert(money)
        statement = statement.on_conflict_do_update(
            index_elements=["day", "scope"], set_={"nusd": statement.excluded.nusd}
        )
        with self._engine.begin() as connection:
            connection.execute(statement, [{"day": day, "scope": key, "nusd": value} for key, value in nusd.items()])

    def end(self, day: int, nusd: Mapping[str, int]) -> None:
        """An orderly end: so much was spent, and nothing runs."""
        self.keep(day, nusd)
        with self._engine.begin() as connection:
            connection.execute(delete(lives))

    def close(self) -> None:
        self._engine.dispose()


def spending_path(journal_url: str) -> Path:
    """The file beside the journal of the same account."""
    return journal_path(journal_url).with_suffix(".spending.sqlite")
