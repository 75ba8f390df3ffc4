"""The journal's tables. Money is decimal text: no database's float ever holds it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, MetaData, String, Table, Text

SCHEMA_VERSION = "1"
metadata = MetaData()

meta = Table("meta", metadata, Column("key", String, primary_key=True), Column("value", Text, nullable=False))

runs = Table(
    "runs",
    metadata,
    Column("run_id", String, primary_key=True),
    Column("term", Integer, nullable=False),
    Column("start_equity_usd", String, nullable=False),
    Column("wall_ms", BigInteger, nullable=False),
)

blocks = Table(
    "blocks",
    metadata,
    Column("venue", String, primary_key=True),
    Column("first", BigInteger, primary_key=True),
    Column("size", Integer, nullable=False),
    Column("gateway", String, nullable=False),
    Column("wall_ms", BigInteger, nullable=False),
)

states = Table(
    "states",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("scope", String, nullable=False),
    Column("state", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("latched", Integer, nullable=False),  # a truth value in older journals
    Column("wall_ms", BigInteger, nullable=False),
    Index("states_by_scope", "scope", "id"),
)

bookings = Table(
    "bookings",
    metadata,
    Column("venue", String, primary_key=True),
    Column("symbol", String, primary_key=True),
    Column("base", String, nullable=False),
    Column("long_lots", BigInteger, nullable=False),
    Column("short_lots", BigInteger, nullable=False),
    Column("price_nusd", String, nullable=False),  # may exceed 64 bits
)

ledgers = Table(
    "ledgers",
    metadata,
    Column("venue", String, primary_key=True),
    Column("symbol", String, primary_key=True),
    Column("run_id", String, nullable=False),
    Column("position_lots", BigInteger, nullable=False),
    Column("average_ticks", Float, nullable=False),
    Column("trade_id", BigInteger, nullable=False),
    Column("state_json", Text, nullable=False),
)

fill_nos = Table(
    "fill_nos",
    metadata,
    Column("venue", String, primary_key=True),
    Column("fill_no", BigInteger, nullable=False),
)

fills = Table(
    "fills",
    metadata,
    Column("venue", String, primary_key=True),
    Column("fill_no", BigInteger, primary_key=True),
    Column("symbol", String, nullable=False),
    Column("trade_id", BigInteger, nullable=False),
    Column("client_id", String, nullable=False),
    Column("holder", String, nullable=False),
    Column("side", Integer, nullable=False),
    Column("price_ticks", BigInteger, nullable=False),
    Column("lots", BigInteger, nullable=False),
    Column("maker", Boolean, nullable=False),
    Column("fee", String, nullable=False),
    Column("fee_asset", String, nullable=False),
    Column("event_ns", BigInteger, nullable=False),
    Column("position_lots", BigInteger, nullable=False),
    Column("foreign", Boolean, nullable=False),
)

adjustments = Table(
    "adjustments",
    metadata,
    Column("venue", String, primary_key=True),
    Column("fill_no", BigInteger, primary_key=True),
    Column("symbol", String, nullable=False),
    Column("position_lots", BigInteger, nullable=False),
    Column("amount", String, nullable=False),
    Column("asset", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("event_ns", BigInteger, nullable=False),
)

orders = Table(
    "orders",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("venue", String, nullable=False),
    Column("client_id", String, nullable=False),
    Column("symbol", String, nullable=False),
    Column("holder", String, nullable=False),
    Column("ref", BigInteger, nullable=False),
    Column("state", Integer, nullable=False),
    Column("side", Integer, nullable=False),
    Column("price_ticks", BigInteger, nullable=False),
    Column("lots", BigInteger, nullable=False),
    Column("filled_lots", BigInteger, nullable=False),
    Column("term", Integer, nullable=False),
    Column("grant_no", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("event_ns", BigInteger, nullable=False),
    Index("orders_by_client_id", "venue", "client_id"),
)

grants = Table(
    "grants",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("venue", String, nullable=False),
    Column("symbol", String, nullable=False),
    Column("holder", String, nullable=False),
    Column("term", Integer, nullable=False),
    Column("grant_no", BigInteger, nullable=False),
    Column("long_lots", BigInteger, nullable=False),
    Column("short_lots", BigInteger, nullable=False),
    Column("price_nusd", String, nullable=False),  # may exceed 64 bits
    Column("wall_ms", BigInteger, nullable=False),
)

holders = Table(
    "holders",
    metadata,
    Column("venue", String, primary_key=True),
    Column("symbol", String, primary_key=True),
    Column("holder", String, primary_key=True),
    Column("term", Integer, primary_key=True),
    Column("first_ms", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
    Column("ended", String, nullable=False),
)
