"""Our backtest's orders played again in hftbacktest, on the same depth and trades: do the fills agree? Prints JSON.

python benchmarks/crosscheck_hftbacktest.py RECORDING --python PYTHON [--set section.key=value ...]

hftbacktest holds numpy below our pin, so PYTHON is an interpreter of another environment (`pip install hftbacktest`).
The book ticker is left out of the recording on both sides: the library has no use for it. docs/crosscheck.md explains
every difference that is left.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from actors.sim.messages import ClientRequest, SimCommand
from actors.sim.recording import survey
from actors.transport.venue_recording import merge_frames
from actors.vocab.units import NS_PER_MS
from actors.vocab.venue_io import VenueCancel, VenueCancelAll, VenuePlace, VenueReplace
from pipelines.chain import ACCOUNT, Chain
from pipelines.hft_events import event_array, rows_of_recording
from pipelines.settings import load_settings

PLACE, REPLACE, CANCEL = 0, 1, 2
SIDE = Path(__file__).with_name("hftbacktest_side.py")


class Asked:
    """What our gateway sent to the venue, as rows of (time, kind, order, side, price in ticks, size in lots)."""

    def __init__(self, chain: Chain) -> None:
        (venue,) = chain.venues.values()
        self.exchange = venue.exchange
        self.rows: list[tuple[int, int, int, int, int, int]] = []
        self._handle = venue.exchange.handle
        venue.exchange.handle = self.handle  # type: ignore[method-assign]

    def handle(self, request: ClientRequest, now_ns: int) -> list[SimCommand]:
        asked = request.request
        if isinstance(asked, VenuePlace):
            self._add(now_ns, PLACE, asked.client_id, int(asked.side), asked.price_ticks, asked.lots)
        elif isinstance(asked, VenueReplace):
            self._add(now_ns, REPLACE, asked.client_id, 0, asked.price_ticks, asked.lots)
        elif isinstance(asked, VenueCancel):
            self._add(now_ns, CANCEL, asked.client_id, 0, 0, 0)
        elif isinstance(asked, VenueCancelAll):
            raise SystemExit("the crosscheck knows no cancel-all")
        return self._handle(request, now_ns)

    def _add(self, now_ns: int, kind: int, client_id: str, side: int, ticks: int, lots: int) -> None:
        self.rows.append((now_ns, kind, number(client_id), side, ticks, lots))


def number(client_id: str) -> int:
    return int(client_id.rpartition("-")[2], 16)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("recording", type=Path)
    parser.add_argument("--python", required=True)
    parser.add_argument("--set", nargs="*", default=[])
    given = parser.parse_args()
    kept = ("depth", "trade", "snapshot")
    frames = [item for item in merge_frames([given.recording]) if item[1].channel in kept]
    facts = survey((frame for _, frame in frames), name=given.recording.name)
    settings = load_settings(overrides=given.set)
    chain = Chain([facts], settings, seed=1)
    asked = Asked(chain)
    chain.run(frames)
    (instrument,) = asked.exchange.instruments()
    symbol = instrument.symbol
    sim = settings.sim
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        rows = rows_of_recording((frame for _, frame in frames), symbol=symbol, venue_time=False)
        np.savez(folder / "market.npz", data=event_array(rows))
        (folder / "orders.json").write_text(
            json.dumps(
                {
                    "actions": asked.rows,
                    "end_ns": frames[-1][1].recv_ns,
                    "entry_ns": int(sim.order_latency_ms * NS_PER_MS),
                    "response_ns": int(sim.response_latency_ms * NS_PER_MS),
                    "queue_n": float(sim.queue_model.partition(":")[2] or 2),
                    "maker_fee": sim.maker_fee_bps / 1e4,
                    "taker_fee": sim.taker_fee_bps / 1e4,
                    "tick_size": instrument.tick_float,
                    "lot_size": instrument.lot_float,
                }
            )
        )
        subprocess.run([given.python, str(SIDE), str(folder)], check=True)
        theirs = json.loads((folder / "fills.json").read_text())
    print(json.dumps(compared(chain, asked, theirs, symbol, fee=sim.maker_fee_bps / 1e4)))


def compared(chain: Chain, asked: Asked, theirs: dict[str, Any], symbol: str, *, fee: float) -> dict[str, Any]:
    ours: Counter[tuple[int, int]] = Counter()
    when: dict[tuple[int, int], int] = {}
    trades = asked.exchange.ledger.trades(ACCOUNT, symbol)
    for row in trades:
        key = (number(row.fill.client_id), row.fill.price_ticks)
        ours[key] += row.fill.lots
        when[key] = row.fill.event_ns
    (instrument,) = asked.exchange.instruments()
    found: Counter[tuple[int, int]] = Counter()
    sides = {number(row.fill.client_id): int(row.fill.side) for row in trades}
    ended: dict[tuple[int, int], float] = {}
    for order_id, exchange_ns, ticks, qty in theirs["fills"]:
        key = (int(order_id), int(ticks))
        found[key] += round(qty / instrument.lot_float)
        ended[key] = exchange_ns
    late_us = [(ended[key] - at_ns) / 1e3 for key, at_ns in when.items() if key in ended]
    same = sum((ours & found).values())
    missing_usd = 0.0  # what the executions that only we have are worth at the end, fees taken off
    for (order_id, ticks), lots in (ours - found).items():
        price, size = ticks * instrument.tick_float, lots * instrument.lot_float
        missing_usd += size * (sides[order_id] * (theirs["mid"] - price) - price * fee)
    pnl = chain.risk.engine.summary()["pnl"]
    net_usd = float(pnl["net_usd"]) - float(pnl.get("stock_usd", 0.0))  # coins that a spot account began with
    return {
        "actions": dict(Counter(("place", "replace", "cancel")[row[1]] for row in asked.rows)),
        "lots_ours": sum(ours.values()),
        "lots_theirs": sum(found.values()),
        "lots_theirs_in_all": round(theirs["volume"] / instrument.lot_float),
        "position_lots": [
            sum(row.fill.lots * row.fill.side for row in trades),
            round(theirs["position"] / instrument.lot_float),
        ],
        "lots_same_order_and_price": same,
        "only_ours": {f"{order}@{ticks}": lots for (order, ticks), lots in (ours - found).items()},
        "only_theirs": {f"{order}@{ticks}": lots for (order, ticks), lots in (found - ours).items()},
        "last_fill_time_differs": sum(abs(each) > 0.5 for each in late_us),
        "last_fill_time_us_max": max(map(abs, late_us), default=0.0),
        "net_usd_ours": round(net_usd, 4),
        "net_usd_theirs": round(theirs["net"], 4),
        "net_usd_theirs_with_those": round(theirs["net"] + missing_usd, 4),
    }


if __name__ == "__main__":
    main()
