"""Market data as `hftbacktest` reads it: one array of events. Pure; `convert.py` opens and writes files.

Format, as documented by hftbacktest 2.x ("Data"): `ev` holds what happened and who may know it (the exchange at
`exch_ts`, we at `local_ts`), depth rows carry the absolute size at a price. Rows the exchange may know stand in the
order of `exch_ts`, those that we may know in that of `local_ts`; where no one order is both, a row is there twice.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from actors.sim.recording import SNAPSHOT, RecordedFrame
from actors.vocab.errors import ConfigError
from actors.vocab.units import NS_PER_MS, NS_PER_US

DEPTH, TRADE, CLEAR, SNAPSHOT_ROW = 1, 2, 3, 4
AT_EXCHANGE, AT_US = 1 << 31, 1 << 30
BUY, SELL = 1 << 29, 1 << 28
EVENT = np.dtype(
    [
        ("ev", "u8"),
        ("exch_ts", "i8"),
        ("local_ts", "i8"),
        ("px", "f8"),
        ("qty", "f8"),
        ("order_id", "u8"),
        ("ival", "i8"),
        ("fval", "f8"),
    ],
    align=True,
)
# (ev, exch_ts, local_ts, px, qty)
Row = tuple[int, int, int, float, float]

L2_COLUMNS = ["exchange", "symbol", "timestamp", "local_timestamp", "is_snapshot", "side", "price", "amount"]
TRADE_COLUMNS = ["exchange", "symbol", "timestamp", "local_timestamp", "id", "side", "price", "amount"]


class _Frame(msgspec.Struct, gc=False):
    e: str = ""
    E: int = 0
    T: int = 0
    u: int = -1
    lastUpdateId: int = -1
    p: str = ""
    q: str = ""
    m: bool = False
    b: Any = None
    a: Any = None
    bids: list[tuple[str, str]] = []
    asks: list[tuple[str, str]] = []


_decode = msgspec.json.Decoder(_Frame).decode


def rows_of_recording(frames: Iterable[RecordedFrame], *, symbol: str, venue_time: bool) -> Iterator[Row]:
    """Depth and trades of one symbol. `venue_time`: the exchange knows each at the venue's own stamp, else when we do.

    Deltas that the recorded snapshot holds already are left out, as a book that is built by the manual leaves them out.
    """
    known = -1
    for frame in frames:
        if frame.symbol not in ("", symbol):
            continue
        local_ns = frame.recv_ns
        if frame.channel == SNAPSHOT:
            snapshot = _decode(frame.data)
            known = snapshot.lastUpdateId
            stamp_ns = (snapshot.T or snapshot.E) * NS_PER_MS if venue_time else 0
            yield from _book(snapshot.bids, snapshot.asks, SNAPSHOT_ROW, stamp_ns or local_ns, local_ns)
        elif frame.channel == "depth":
            delta = _decode(frame.data)
            if delta.u > known:
                yield from _book(delta.b, delta.a, DEPTH, _stamp(delta, local_ns, venue_time), local_ns)
        elif frame.channel in ("trade", "aggTrade"):
            trade = _decode(frame.data)
            taker = SELL if trade.m else BUY
            yield TRADE | taker, _stamp(trade, local_ns, venue_time), local_ns, float(trade.p), float(trade.q)


def rows_of_tardis(lines: Iterable[str], *, name: str) -> Iterator[Row]:
    """`incremental_book_L2` or `trades` as Tardis delivers them; `ConfigError` names line and column."""
    reader = csv.reader(lines)
    header = next(reader, [])
    if header == L2_COLUMNS:
        yield from _tardis_book(reader, name)
    elif header == TRADE_COLUMNS:
        yield from _tardis_trades(reader, name)
    else:
        raise ConfigError(f"{name}: neither incremental_book_L2 nor trades of Tardis; its first line is {header[:8]}")


def event_array(rows: Iterable[Row], *, base_latency_ns: int = 0) -> NDArray[Any]:
    """All rows in reading order. Where the venue's clock runs ahead of ours, ours is moved: nothing is known before it
    happens, and the fastest message takes `base_latency_ns`."""
    listed = list(rows)
    data = np.zeros(len(listed), EVENT)
    if not listed:
        return data
    try:
        for at, name in enumerate(("ev", "exch_ts", "local_ts", "px", "qty")):
            data[name] = [row[at] for row in listed]
    except OverflowError:
        raise ConfigError("a time stamp lies beyond the year 2262, the last that ns of 64 bits can hold") from None
    fastest_ns = int((data["local_ts"] - data["exch_ts"]).min())
    if fastest_ns < 0:
        data["local_ts"] += base_latency_ns - fastest_ns
    return _in_both_orders(data)


# --- inside ----------------------------------------------------------------------------------------------------------


def _stamp(frame: _Frame, local_ns: int, venue_time: bool) -> int:
    return ((frame.T or frame.E) * NS_PER_MS if venue_time else 0) or local_ns


def _book(bids: Iterable[Any], asks: Iterable[Any], kind: int, exchange_ns: int, local_ns: int) -> Iterator[Row]:
    for side, levels in ((BUY, bids), (SELL, asks)):
        for price, size in levels or ():
            yield kind | side, exchange_ns, local_ns, float(price), float(size)


def _tardis_book(reader: Iterable[list[str]], name: str) -> Iterator[Row]:
    was_snapshot, first = False, ("", "")
    for line_no, cells in enumerate(reader, start=2):
        exchange_ns, local_ns, price, size = _numbers(cells, name, line_no)
        first = _one_book(cells, first, name, line_no)
        is_snapshot = cells[4] == "true"
        if is_snapshot and not was_snapshot:
            for side, price_out in ((BUY, 0.0), (SELL, np.inf)):
                yield CLEAR | side, exchange_ns, local_ns, price_out, 0.0
        was_snapshot = is_snapshot
        if is_snapshot and not size:
            continue
        side = {"bid": BUY, "ask": SELL}.get(cells[5], 0)
        if not side:
            raise ConfigError(f"{name} line {line_no}: side {cells[5]!r} is neither bid nor ask")
        yield (SNAPSHOT_ROW if is_snapshot else DEPTH) | side, exchange_ns, local_ns, price, size


def _tardis_trades(reader: Iterable[list[str]], name: str) -> Iterator[Row]:
    first = ("", "")
    for line_no, cells in enumerate(reader, start=2):
        exchange_ns, local_ns, price, size = _numbers(cells, name, line_no)
        first = _one_book(cells, first, name, line_no)
        side = {"buy": BUY, "sell": SELL}.get(cells[5], 0)  # unknown: a trade of nobody's side moves no queue
        if side:
            yield TRADE | side, exchange_ns, local_ns, price, size


def _numbers(cells: list[str], name: str, line_no: int) -> tuple[int, int, float, float]:
    """Stamps are us in Tardis' files; 19 digits are ns, as some hand-made ones have them."""
    try:
        exchange, local, price, size = int(cells[2]), int(cells[3]), float(cells[6]), float(cells[7])
        if not (math.isfinite(price) and math.isfinite(size)):
            raise ValueError
    except (IndexError, ValueError):
        raise ConfigError(f"{name} line {line_no}: not 8 columns with stamps, price and amount: {cells}") from None
    unit = 1 if len(cells[3]) == 19 else NS_PER_US
    if not 0 < max(exchange, local) * unit < 1 << 63:
        raise ConfigError(f"{name} line {line_no}: {cells[2]} and {cells[3]} are no stamps in us or ns")
    return exchange * unit, local * unit, price, size


def _one_book(cells: list[str], first: tuple[str, str], name: str, line_no: int) -> tuple[str, str]:
    """Exchange and symbol of a line; ConfigError where another line had others."""
    here = cells[0], cells[1]
    if first != ("", "") and here != first:
        raise ConfigError(
            f"{name} line {line_no}: {' '.join(here)} after {' '.join(first)}; convert one book at a time"
        )
    return here


def _in_both_orders(data: NDArray[Any]) -> NDArray[Any]:
    by_exchange = np.argsort(data["exch_ts"], kind="stable")
    by_us = np.argsort(data["local_ts"], kind="stable")
    if (by_exchange == by_us).all():
        ordered = data[by_us]
        ordered["ev"] |= AT_EXCHANGE | AT_US
        return ordered
    picked: list[int] = []
    flags: list[int] = []
    left, right, count = 0, 0, len(data)
    exchange_ns = data["exch_ts"]
    while left < count or right < count:
        at = int(by_exchange[left]) if left < count else -1
        to = int(by_us[right]) if right < count else -1
        if at == to:
            picked.append(at)
            flags.append(AT_EXCHANGE | AT_US)
            left, right = left + 1, right + 1
        elif to < 0 or (at >= 0 and exchange_ns[at] <= exchange_ns[to]):
            picked.append(at)
            flags.append(AT_EXCHANGE)
            left += 1
        else:
            picked.append(to)
            flags.append(AT_US)
            right += 1
    ordered = data[picked]
    ordered["ev"] |= np.array(flags, "u8")
    return ordered
