"""Every call to a model and every opinion that came of it, beside the account's journal: kept to be judged.

A day of fifty symbols once in ten seconds is some 17 000 calls' text and 430 000 opinions, about 200 MB; the treasury
keeps `llm.opinions_days` of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    delete,
    insert,
    select,
)
from sqlalchemy.exc import DatabaseError

from actors.journal.store import journal_path, sqlite_engine
from actors.vocab.errors import ConfigError
from actors.vocab.opinions import CallRecord

metadata = MetaData()

calls = Table(
    "calls",
    metadata,
    Column("call_id", String, primary_key=True),
    Column("wall_ms", BigInteger, nullable=False, index=True),
    Column("model", String, nullable=False),
    Column("purpose", String, nullable=False),
    Column("prompt", String, nullable=False),
    Column("prompt_hash", String, nullable=False),
    Column("user", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Column("tokens_in", Integer, nullable=False),
    Column("tokens_out", Integer, nullable=False),
    Column("latency_ms", Integer, nullable=False),
    Column("items_count", Integer, nullable=False),
    Column("nusd", BigInteger, nullable=False),
)

opinions = Table(
    "opinions",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("call_id", String, nullable=False, index=True),
    Column("model", String, nullable=False),
    Column("symbol", String, nullable=False),
    Column("action", String, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("bid_factor", Float, nullable=False),
    Column("ask_factor", Float, nullable=False),
    Column("cost_usd", Float, nullable=False),
    Column("applied", Boolean, nullable=False),
    Column("mid", Float, nullable=False),
    Column("half_spread_bps", Float, nullable=False),
    Column("round_no", BigInteger, nullable=False),
    Column("move_bps", Float, nullable=False),
)


class CallRow(msgspec.Struct, frozen=True):
    """One call as journalled."""

    call_id: str
    wall_ms: int
    model: str
    purpose: str
    prompt: str
    prompt_hash: str
    user: str
    answer: str
    tokens_in: int
    tokens_out: int
    latency_ms: int
    items_count: int
    nusd: int

    @classmethod
    def of(cls, call_id: str, wall_ms: int, call: CallRecord, nusd: int) -> CallRow:
        return cls(
            call_id,
            wall_ms,
            call.model,
            call.purpose,
            call.prompt,
            call.prompt_hash,
            call.user,
            call.answer,
            call.tokens_in,
            call.tokens_out,
            call.latency_ms,
            len(call.items),
            nusd,
        )


class OpinionRow(msgspec.Struct, frozen=True):
    """One scored opinion as journalled; meanings are those of `treasury/scorecard.py`."""

    call_id: str
    model: str
    symbol: str
    action: str
    confidence: float
    bid_factor: float
    ask_factor: float
    cost_usd: float
    applied: bool
    mid: float
    half_spread_bps: float
    round_no: int
    move_bps: float


class OpinionStore:
    """Synchronous; `write` is one commit."""

    def __init__(self, path: Path) -> None:
        """`ConfigError` when the file cannot be used."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._engine = sqlite_engine(f"sqlite:///{path}")
        try:
            metadata.create_all(self._engine)
        except DatabaseError as error:
            raise ConfigError(f"{path} cannot be opened: {error.orig}; free the file or move it") from None

    def write(self, call_rows: Sequence[CallRow], opinion_rows: Sequence[OpinionRow]) -> None:
        with self._engine.begin() as connection:
            for table, rows in ((calls, call_rows), (opinions, opinion_rows)):
                if rows:
                    connection.execute(insert(table), [msgspec.structs.asdict(row) for row in rows])

    def prune(self, *, before_ms: int) -> int:
        """Forget calls of before then, with their opinions; how many calls. The file's pages are used again."""
        old = calls.c.wall_ms < before_ms
        with self._engine.begin() as connection:
            connection.execute(delete(opinions).where(opinions.c.call_id.in_(select(calls.c.call_id).where(old))))
            return int(connection.execute(delete(calls).where(old)).rowcount)

    def read_calls(self) -> Iterator[CallRow]:
        """In the order in which they were made."""
        with self._engine.connect() as connection:
            for row in connection.execute(select(calls).order_by(calls.c.wall_ms)):
                yield CallRow(**row._mapping)

    def read_opinions(self) -> Iterator[OpinionRow]:
        """In the order in which they were scored."""
        columns = [column for column in opinions.c if column.name != "id"]
        with self._engine.connect() as connection:
            for row in connection.execute(select(*columns).order_by(opinions.c.id)):
                yield OpinionRow(**row._mapping)

    def close(self) -> None:
        self._engine.dispose()


def opinions_path(journal_url: str) -> Path:
    """The file beside the journal of the same account."""
    return journal_path(journal_url).with_suffix(".opinions.sqlite")
