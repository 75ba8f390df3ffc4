"""Rows to tables and back: what the journal's database is asked. Synchronous; the writer's thread owns it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Insert, Table, create_engine, delete, event, func, insert, select
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError
from sqlalchemy.pool import NullPool

from actors.journal import rows, tables
from actors.vocab.errors import ConfigError
from actors.vocab.leases import FundingPaid
from actors.vocab.orders import Fill, OrderRow, PositionAdjust
from actors.vocab.units import NS_PER_S

FUNDINGS_MAX = 2_000  # newest payments, against repeats
TRADE_KEYS_MAX = 20_000  # newest fills whose trade ids are remembered against repeats
BUSY_TIMEOUT_S = 2.0
# Order rows are there for audits alone, and a venue forgets most of its orders sooner: Binance those without a fill
# after 3 days. The oldest go as new ones come, some more of them than came, so that a commit never waits for many.
ORDERS_KEPT_NS = 7 * 86_400 * NS_PER_S
ORDERS_PRUNED_EVERY = 1_000
ORDERS_PRUNED_MAX = 4_000


class Store:
    """One journal database. `sqlite:///path` only: the account lock is a file beside it."""

    def __init__(self, url: str, account: str) -> None:
        """`ConfigError` when the URL is unusable, the file is not a journal, or belongs to another account."""
        self.account = account
        self.path = journal_path(url)
        self._orders_until_pruning = ORDERS_PRUNED_EVERY
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._engine = sqlite_engine(url)
        try:
            with self._engine.begin() as connection:
                tables.metadata.create_all(connection)
                self._claim(connection)
        except DatabaseError as error:
            raise ConfigError(f"journal {self.path} cannot be opened: {error.orig}; free the file or move it") from None

    def _claim(self, connection: Connection) -> None:
        found = _meta(connection)
        for key, value in (("account", self.account), ("schema", tables.SCHEMA_VERSION)):
            if key not in found:
                connection.execute(insert(tables.meta).values(key=key, value=value))
            elif found[key] != value:
                raise ConfigError(f"journal {self.path} has {key} {found[key]}, not {value}; give another journal")

    def write(self, batch: Sequence[rows.Row]) -> None:
        """Write everything in one transaction, in order; sqlalchemy's errors pass through, nothing is then kept."""
        with self._engine.begin() as connection:
            # Neighbours of one kind go together: one prepared statement, many rows.
            start = 0
            while start < len(batch):
                kind = type(batch[start])
                end = start
                while end < len(batch) and type(batch[end]) is kind:
                    end += 1
                statement, values = _WRITERS[kind]
                connection.execute(statement, [values(row) for row in batch[start:end]])
                start = end
            self._prune_orders(connection, batch)

    def _prune_orders(self, connection: Connection, batch: Sequence[rows.Row]) -> None:
        """Old is what lies far behind the rows of this batch, by their own clock: a recording has another time."""
        stamps = [row.event_ns for row in batch if type(row) is OrderRow and row.event_ns]
        self._orders_until_pruning -= len(stamps)
        if self._orders_until_pruning > 0:
            return
        self._orders_until_pruning = ORDERS_PRUNED_EVERY
        orders = tables.orders.c
        oldest = select(orders.id, orders.event_ns).order_by(orders.id).limit(ORDERS_PRUNED_MAX).subquery()
        until_ns = min(stamps) - ORDERS_KEPT_NS
        first_kept = select(func.min(oldest.c.id)).where(oldest.c.event_ns >= until_ns).scalar_subquery()
        # Rows written before the venue's first word have no stamp: they go with an old one after them.
        newest_old = select(func.max(oldest.c.id)).where(
            oldest.c.event_ns.between(1, until_ns - 1), oldest.c.id < func.coalesce(first_kept, oldest.c.id + 1)
        )
        connection.execute(delete(tables.orders).where(orders.id <= newest_old.scalar_subquery()))

    def load(self) -> rows.Loaded:
        with self._engine.connect() as connection:
            found = _meta(connection)
            newest_run = connection.execute(select(tables.runs).order_by(tables.runs.c.term.desc()).limit(1)).all()
            lives = connection.execute(
                select(
                    tables.blocks.c.venue,
                    tables.blocks.c.gateway,
                    func.min(tables.blocks.c.wall_ms),
                    func.max(tables.blocks.c.first + tables.blocks.c.size).label("next_id"),
                )
                .group_by(tables.blocks.c.venue, tables.blocks.c.gateway)
                .order_by("next_id")
            ).all()
            newest_life = {r[0]: r for r in lives}  # ascending, so the newest of each venue stays
            newest = select(func.max(tables.states.c.id)).group_by(tables.states.c.scope).scalar_subquery()
            states = connection.execute(select(tables.states).where(tables.states.c.id.in_(newest))).all()
            trade_keys = connection.execute(
                select(tables.fills.c.venue, tables.fills.c.symbol, tables.fills.c.trade_id, tables.fills.c.side)
                .order_by(tables.fills.c.event_ns.desc())
                .limit(TRADE_KEYS_MAX)
            ).all()
            paid = tables.adjustments.c
            fundings = connection.execute(
                select(paid.venue, paid.asset, paid.amount, paid.event_ns)
                .where(func.lower(paid.reason).contains("funding"))
                .order_by(paid.event_ns.desc())
                .limit(FUNDINGS_MAX)
            ).all()
            return rows.Loaded(
                term=int(found.get("term", "0")),
                equity_usd=found.get("equity_usd", ""),
                high_water_usd=found.get("high_water_usd", ""),
                day=int(found.get("day", "-1")),
                day_start_usd=found.get("day_start_usd", ""),
                runs=tuple(rows.RunRow(r.run_id, r.term, r.start_equity_usd, r.wall_ms) for r in newest_run),
                next_ids=tuple((venue, int(r[3])) for venue, r in newest_life.items()),
                last_lives=tuple((venue, str(r[1]), int(r[2])) for venue, r in newest_life.items()),
                since_ms=tuple(
                    (key.removeprefix(f"{rows.SINCE_KEY}:"), int(value))
                    for key, value in found.items()
                    if key.startswith(f"{rows.SINCE_KEY}:")
                ),
                fill_nos=tuple((r.venue, r.fill_no) for r in connection.execute(select(tables.fill_nos)).all()),
                trade_keys=tuple((r[0], r[1], r[2], r[3]) for r in reversed(trade_keys)),
                bookings=tuple(
                    rows.BookingRow(r.venue, r.symbol, r.base, r.long_lots, r.short_lots, int(r.price_nusd))
                    for r in connection.execute(select(tables.bookings)).all()
                ),
                ledgers=tuple(
                    rows.LedgerRow(
                        r.venue, r.symbol, r.run_id, r.position_lots, r.average_ticks, r.trade_id, r.state_json
                    )
                    for r in connection.execute(select(tables.ledgers)).all()
                ),
                fundings=tuple((r[0], FundingPaid(r[1], r[2], r[3])) for r in reversed(fundings)),
                states=tuple(
                    rows.StateRow(r.scope, r.state, r.reason, int(r.latched), r.wall_ms) for r in states if r.state
                ),
            )

    def close(self) -> None:
        self._engine.dispose()


def _meta(connection: Connection) -> dict[str, str]:
    return {row.key: row.value for row in connection.execute(select(tables.meta))}


def journal_path(url: str) -> Path:
    """Return the file of a journal URL; `ConfigError` when it names no SQLite file."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigError(f"journal url {url!r} is not a database url; write sqlite:////absolute/path.db") from None
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise ConfigError(f"journal url {url!r} names no SQLite file; write sqlite:////absolute/path.db")
    return Path(parsed.database)


def sqlite_engine(url: str) -> Engine:
    engine = create_engine(
        url, poolclass=NullPool, connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT_S}
    )

    @event.listens_for(engine, "connect")
    def _pragmas(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        # FULL: a term or an id block must survive a power cut, not only a crash. Commits are grouped, so it is cheap.
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()

    return engine


# --- one writer a kind of row --------------------------------------------------------------------------------


def _upsert(table: Table) -> Insert:
    statement = sqlite_insert(table)
    keys = [column.name for column in table.primary_key]
    changed = {column.name: statement.excluded[column.name] for column in table.c if column.name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)


def _once(table: Table) -> Insert:
    """A repeat of the same key changes nothing: rows buffered during a failure may be written twice."""
    return sqlite_insert(table).on_conflict_do_nothing()


def _fields(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__struct_fields__}


def _fill(row: Fill) -> dict[str, Any]:
    return {
        "venue": row.venue,
        "fill_no": row.fill_no,
        "symbol": row.symbol,
        "trade_id": row.trade_id,
        "client_id": row.client_id,
        "holder": row.holder,
        "side": int(row.side),
        "price_ticks": row.price_ticks,
        "lots": row.lots,
        "maker": row.maker,
        "fee": row.fee,
        "fee_asset": row.fee_asset,
        "event_ns": row.event_ns,
        "position_lots": row.position_lots,
        "foreign": row.foreign,
    }


def _adjust(row: PositionAdjust) -> dict[str, Any]:
    return {
        "venue": row.venue,
        "fill_no": row.fill_no,
        "symbol": row.symbol,
        "position_lots": row.position_lots,
        "amount": row.amount,
        "asset": row.asset,
        "reason": row.reason,
        "event_ns": row.event_ns,
    }


def _order(row: OrderRow) -> dict[str, Any]:
    values = _fields(row)
    values["state"], values["side"] = int(row.state), int(row.side)
    return values


def _priced(row: rows.BookingRow | rows.GrantRow) -> dict[str, Any]:
    values = _fields(row)
    values["price_nusd"] = str(row.price_nusd)
    return values


_WRITERS: dict[type, tuple[Insert, Any]] = {
    rows.MetaRow: (_upsert(tables.meta), _fields),
    rows.BlockRow: (_once(tables.blocks), _fields),
    rows.StateRow: (insert(tables.states), _fields),
    rows.BookingRow: (_upsert(tables.bookings), _priced),
    rows.LedgerRow: (_upsert(tables.ledgers), _fields),
    rows.FillNoRow: (_upsert(tables.fill_nos), _fields),
    rows.RunRow: (_once(tables.runs), _fields),
    rows.GrantRow: (insert(tables.grants), _priced),
    rows.HolderRow: (_upsert(tables.holders), _fields),
    Fill: (_once(tables.fills), _fill),
    PositionAdjust: (_once(tables.adjustments), _adjust),
    OrderRow: (insert(tables.orders), _order),
}
