"""A journal read for audits: no lock, no writing, also beside a running writer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from sys import intern

import msgspec
from sqlalchemy import Connection, Table, create_engine, select
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import NullPool

from actors.journal import rows, tables
from actors.vocab.errors import ConfigError
from actors.vocab.market import Side
from actors.vocab.orders import Fill, OrderRow, OrderState, PositionAdjust


class History(msgspec.Struct, frozen=True):
    """What an account's journal holds, each kind in the order it was written."""

    runs: tuple[rows.RunRow, ...] = ()
    fills: tuple[Fill, ...] = ()
    adjustments: tuple[PositionAdjust, ...] = ()
    orders: tuple[OrderRow, ...] = ()
    ledgers: tuple[rows.LedgerRow, ...] = ()  # newest of each symbol
    grants: tuple[rows.GrantRow, ...] = ()
    holders: tuple[rows.HolderRow, ...] = ()
    facts: dict[str, str] = {}  # MetaRow: key -> newest value


def read_history(path: Path, run_id: str = "") -> History:
    """All of it; with `run_id` only those orders and grants, by far the most rows, that are not from before that run.

    `ConfigError` when there is no journal at `path`, or it cannot be read."""
    if not path.is_file():
        raise ConfigError(f"{path}: there is no journal; give the folder of a run")
    engine = create_engine(f"sqlite:///file:{path}?mode=ro&uri=true", poolclass=NullPool)
    try:
        with engine.connect() as connection:
            return _read(connection, run_id)
    except DatabaseError as error:
        raise ConfigError(f"{path}: the journal cannot be read ({error.orig})") from None
    finally:
        engine.dispose()


def _read(connection: Connection, run_id: str) -> History:
    def every(table: Table, *order: str, since_term: int = 0) -> Iterator[dict[str, object]]:
        statement = select(table).order_by(*(table.c[name] for name in order))
        if since_term:
            statement = statement.where(table.c.term >= since_term)
        for row in connection.execute(statement).mappings():
            # Column names are a kind of string of SQLAlchemy's own, which msgspec refuses as keys.
            yield {str(name): value for name, value in row.items()}

    runs = tuple(msgspec.convert(row, rows.RunRow) for row in every(tables.runs, "term"))
    term = next((run.term for run in runs if run.run_id == run_id), 0)
    return History(
        runs=runs,
        fills=tuple(_fill(row) for row in every(tables.fills, "venue", "fill_no")),
        adjustments=tuple(PositionAdjust(**row) for row in every(tables.adjustments, "venue", "fill_no")),  # type: ignore[arg-type]  # columns are its fields
        orders=tuple(_order(row) for row in every(tables.orders, "id", since_term=term)),
        ledgers=tuple(msgspec.convert(row, rows.LedgerRow) for row in every(tables.ledgers, "venue", "symbol")),
        grants=tuple(_grant(row) for row in every(tables.grants, "id", since_term=term)),
        holders=tuple(msgspec.convert(row, rows.HolderRow) for row in every(tables.holders, "venue", "symbol", "term")),
        facts={str(row["key"]): str(row["value"]) for row in every(tables.meta, "key")},
    )


def _fill(row: dict[str, object]) -> Fill:
    # What only holders need is not journalled.
    return Fill(**{**row, "side": Side(int(str(row["side"]))), "ref": 0, "token_grant_no": 0})  # type: ignore[arg-type]


def _order(row: dict[str, object]) -> OrderRow:
    # Millions of rows say few different things.
    fields = {name: intern(value) if isinstance(value, str) else value for name, value in row.items() if name != "id"}
    fields["state"], fields["side"] = OrderState(int(str(row["state"]))), Side(int(str(row["side"])))
    return OrderRow(**fields)  # type: ignore[arg-type]


def _grant(row: dict[str, object]) -> rows.GrantRow:
    fields = {name: value for name, value in row.items() if name != "id"}
    return msgspec.convert({**fields, "price_nusd": int(str(row["price_nusd"]))}, rows.GrantRow)
