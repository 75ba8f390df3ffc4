"""What the simulated market costs: frames a second of the pure brain, and its share of one core at the default rate.

    python benchmarks/sim_market.py [--symbols 50] [--frames-per-s 1500] [--seconds 20]

Prints JSON. No sockets and no encoding: those are the server's. The share is CPU time over simulated time.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections import Counter

from actors.sim.exchange import SimExchange
from actors.sim.messages import Public
from actors.vocab.config.sim import SimSettings
from actors.vocab.instruments import Instrument
from actors.vocab.units import NS_PER_MS, NS_PER_S

START_MS = 1_700_000_000_000
TURN_NS = NS_PER_MS  # the server takes what is due once a millisecond


def listed(number: int) -> Instrument:
    symbol = f"S{number:03}USDT"
    return Instrument(
        symbol=symbol,
        venue="binance_perp",
        market="perp",
        venue_symbol=symbol,
        base=f"S{number:03}",
        quote="USDT",
        tick_size="0.01",
        lot_size="0.01",
        min_notional="5",
    )


def measure(symbols_count: int, frames_per_s: float, span_s: float) -> dict[str, object]:
    instruments = [listed(number) for number in range(symbols_count)]
    exchange = SimExchange(
        venue="binance_perp",
        instruments=instruments,
        prices={each.symbol: 100.0 + 9 * number for number, each in enumerate(instruments)},
        settings=SimSettings(frames_per_s=frames_per_s),
        seed=1,
        start_ms=START_MS,
    )
    counts: Counter[str] = Counter()
    slowest_s = 0.0
    started_s = time.process_time()
    for turn in range(1, int(span_s * NS_PER_S / TURN_NS) + 1):
        before_s = time.perf_counter()
        commands = exchange.advance(START_MS * NS_PER_MS + turn * TURN_NS)
        slowest_s = max(slowest_s, time.perf_counter() - before_s)
        counts.update(type(each.event).__name__ for each in commands if isinstance(each, Public))
    used_s = time.process_time() - started_s
    return {
        "symbols_count": symbols_count,
        "frames_per_s_wanted": frames_per_s,
        "frames_per_s_sent": sum(counts.values()) / span_s,
        "frames_per_cpu_s": sum(counts.values()) / used_s,
        "cpu_share": used_s / span_s,
        "turn_us_max": slowest_s * 1e6,
        "frames": dict(counts),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--symbols", type=int, default=50)
    parser.add_argument("--frames-per-s", type=float, default=1_500.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    asked = parser.parse_args()
    figures = measure(asked.symbols, asked.frames_per_s, asked.seconds)
    print(json.dumps({"benchmark": "sim_market", "python": platform.python_version(), **figures}, indent=2))


if __name__ == "__main__":
    main()
