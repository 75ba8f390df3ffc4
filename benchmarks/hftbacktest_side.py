"""The library's side of `crosscheck_hftbacktest.py`: plays orders of ours in hftbacktest. Needs nothing of ours.

python hftbacktest_side.py FOLDER      reads market.npz and orders.json there, writes fills.json
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from hftbacktest import (
    GTX,
    LIMIT,
    BacktestAsset,
    HashMapMarketDepthBacktest,
)
from numba import njit

PLACE, REPLACE, CANCEL = 0, 1, 2


@njit
def play(hbt: Any, actions: Any, fills: Any, end_ns: int) -> int:
    """Each action at its time; after each answer of the exchange, every execution that is new. How many there were."""
    count = 0
    at = 0
    hbt.wait_next_feed(False, 10**18)  # before it, there is no time
    while True:
        until_ns = actions[at, 0] if at < len(actions) else end_ns
        while hbt.current_timestamp < until_ns:
            if hbt.wait_next_feed(True, until_ns - hbt.current_timestamp) == 1:
                return count
            if hbt.position(0) != fills[max(count - 1, 0), 4] or count == 0:
                values = hbt.orders(0).values()
                while values.has_next():
                    order = values.get()
                    if order.exec_qty > 0 and (order.status == 3 or order.status == 5):
                        known = False
                        for row in range(max(0, count - 8), count):
                            known |= fills[row, 0] == order.order_id and fills[row, 1] == order.exch_timestamp
                        if not known:
                            fills[count, 0] = order.order_id
                            fills[count, 1] = order.exch_timestamp
                            fills[count, 2] = order.exec_price_tick
                            fills[count, 3] = order.exec_qty
                            fills[count, 4] = hbt.position(0)
                            count += 1
                hbt.clear_inactive_orders(0)
        if at >= len(actions):
            return count
        kind, order_id, side = actions[at, 1], actions[at, 2], actions[at, 3]
        price, qty = actions[at, 4] * hbt.depth(0).tick_size, actions[at, 5] * hbt.depth(0).lot_size
        if kind == 0:
            if side > 0:
                hbt.submit_buy_order(0, order_id, price, qty, GTX, LIMIT, False)
            else:
                hbt.submit_sell_order(0, order_id, price, qty, GTX, LIMIT, False)
        elif kind == 1:
            hbt.modify(0, order_id, price, qty, False)
        else:
            hbt.cancel(0, order_id, False)
        at += 1


@njit
def watch(hbt: Any) -> int:
    """Every feed event looked at, as a decision that quotes nothing would: how many there were."""
    count = 0
    while hbt.wait_next_feed(False, 10**18) == 2:
        depth = hbt.depth(0)
        count += depth.best_bid_tick < depth.best_ask_tick
    return count


def main(folder: Path) -> None:
    asked = json.loads((folder / "orders.json").read_text())
    actions = np.array(asked["actions"], "i8").reshape(-1, 6)
    hbt = backtest(folder, asked)
    fills = np.zeros((100_000, 5))
    count = play(hbt, actions, fills, asked["end_ns"])
    state = hbt.state_values(0)
    depth = hbt.depth(0)
    mid = (depth.best_bid + depth.best_ask) / 2
    result = {
        "fills": fills[:count, :4].tolist(),
        "position": state.position,
        "volume": state.trading_volume,
        "balance": state.balance,
        "fee": state.fee,
        "mid": mid,
        "net": state.balance + state.position * mid - state.fee,
    }
    hbt.close()
    watched = backtest(folder, asked)
    watch(watched)  # compiles
    watched.close()
    watched = backtest(folder, asked)
    began_s = time.process_time()
    result["events"] = watch(watched)
    result["watch_s"] = time.process_time() - began_s
    watched.close()
    (folder / "fills.json").write_text(json.dumps(result))


def backtest(folder: Path, asked: Any) -> Any:
    asset = (
        BacktestAsset()
        .data([str(folder / "market.npz")])
        .linear_asset(1.0)
        .constant_order_latency(asked["entry_ns"], asked["response_ns"])
        .power_prob_queue_model(asked["queue_n"])
        .partial_fill_exchange()
        .trading_value_fee_model(asked["maker_fee"], asked["taker_fee"])
        .tick_size(asked["tick_size"])
        .lot_size(asked["lot_size"])
        .last_trades_capacity(0)
    )
    return HashMapMarketDepthBacktest([asset])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
