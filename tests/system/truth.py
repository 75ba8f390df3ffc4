"""The venue's own record of a run, read as an auditor would: who had which order when, and how much was at risk."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from actors.vocab.orders import DONE_STATES, OrderState

DONE = frozenset(state.name for state in DONE_STATES)
Row = Mapping[str, Any]


@dataclass
class VenueOrder:
    """One order of the account with the whole of its life; times are unix ns of the venue."""

    order_id: str
    symbol: str
    client_id: str
    side: str
    born_ns: int
    done_ns: int = 0  # 0: still open
    steps: list[Row] = field(default_factory=list)

    def open_at(self, at_ns: int) -> bool:
        return self.born_ns <= at_ns and (not self.done_ns or self.done_ns > at_ns)


@dataclass(frozen=True)
class Truth:
    """Rows of `orders.jsonl`, oldest first."""

    rows: tuple[Row, ...]

    @staticmethod
    def read(path: Path) -> Truth:
        return Truth(tuple(json.loads(line) for line in path.read_bytes().splitlines()))

    def orders(self, symbol: str = "") -> list[VenueOrder]:
        """Every order that was ever accepted, by birth."""
        found: dict[str, VenueOrder] = {}
        for row in self.rows:
            if "state" not in row or (symbol and row["symbol"] != symbol):
                continue
            order = found.get(row["order_id"])
            if order is None:
                order = found[row["order_id"]] = VenueOrder(
                    row["order_id"], row["symbol"], row["client_id"], row["side"], row["at_ns"]
                )
            order.steps.append(row)
            if row["state"] in DONE:
                order.done_ns = row["at_ns"]
        return list(found.values())

    def open_orders(self, at_ns: int) -> list[VenueOrder]:
        return [order for order in self.orders() if order.open_at(at_ns)]

    def fills(self, symbol: str = "") -> list[Row]:
        return [row for row in self.rows if row["event"] == "FILL" and (not symbol or row["symbol"] == symbol)]

    def positions(self) -> dict[str, int]:
        """symbol -> signed lots, from the fills alone."""
        lots: dict[str, int] = {}
        for row in self.fills():
            lots[row["symbol"]] = lots.get(row["symbol"], 0) + _signed(row)
        return lots

    def worst_lots(self, symbol: str) -> Iterator[tuple[int, int, int]]:
        """(time, largest possible long, largest possible short) after each event, both not negative as long as flat."""
        position = 0
        live: dict[str, tuple[str, int]] = {}  # order id -> side, lots still open
        rows = (row for row in self.rows if row["symbol"] == symbol)
        for at_ns, group in groupby(rows, key=lambda row: int(row["at_ns"])):
            for row in group:
                if row["event"] == "FILL":
                    position += _signed(row)
                elif "state" in row:
                    rest = 0 if row["state"] in DONE else row["lots"] - row["filled_lots"]
                    live[row["order_id"]] = (row["side"], rest)
            yield at_ns, position + _sum(live.values(), "BUY"), _sum(live.values(), "SELL") - position


def _sum(orders: Iterable[tuple[str, int]], side: str) -> int:
    return sum(rest for order_side, rest in orders if order_side == side)


def _signed(row: Row) -> int:
    return int(row["lots"]) if row["side"] == "BUY" else -int(row["lots"])


assert OrderState.CANCELLED.name in DONE
