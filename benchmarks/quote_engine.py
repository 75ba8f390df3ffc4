"""Time of one book update from message to decision inside the quote engine; prints JSON.

Claim: one update to ladder and reconcile decision takes at most 25 us at the median. The engine quotes, both sides
are live, every order command is acknowledged at once (outside the timed part). Three streams of updates:

  walk      the mid makes a random walk of ticks, sizes change: what a busy symbol looks like
  sizes     prices stand, sizes change at each update: a full decision that ends in "leave it"
  same      nothing changed: the early way out

The walk is repeated for every model (`walk_by_model`); an exact solution's tables are solved inside the timed part.

Run: python benchmarks/quote_engine.py [--updates 50000]
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import random
import time
from collections.abc import Iterator

from actors.quote.engine import Command, QuoteEngine
from actors.quote.events import FeedLink, GatewayLink, InstrumentRow, RiskLink, Timer
from actors.vocab.config import FleetSettings, QuoteSettings
from actors.vocab.instruments import Instrument
from actors.vocab.leases import LeaseGrant, LeaseRequest, RiskState, Token
from actors.vocab.market import BookState, BookUpdate
from actors.vocab.orders import CancelAll, CancelOrder, HolderState, LeasedOrder, LeasedReplace, OrderState, OrderUpdate
from actors.vocab.portfolio import PortfolioView

VENUE, SYMBOL, HOLDER, GATEWAY = "binance_perp", "BTCUSDT", "quote:BTCUSDT-1", "gateway-1"
# What the settings of each model are called, and how to ask for it.
MODELS = {
    "avellaneda_stoikov": {"model": "avellaneda_stoikov"},
    "avellaneda_stoikov infinite": {"model": "avellaneda_stoikov", "horizon": "infinite"},
    "glft": {"model": "glft"},
    "glft exact": {"model": "glft", "glft_solution": "exact"},
    "riccati": {"model": "riccati"},
    "portfolio": {"model": "portfolio"},
    "fixed": {"model": "fixed"},
    "article": {"model": "article"},
}
STEP_NS = 33_000_000  # thirty updates a second: fifty symbols at 1 500 frames
INSTRUMENT = Instrument(
    SYMBOL,
    VENUE,
    "perp",
    SYMBOL,
    "BTC",
    "USDT",
    "0.1",
    "0.001",
    min_notional="50",
    maker_fee_bps=2.0,
    taker_fee_bps=5.0,
)


def update(seq: int, mid: int, now_ns: int, rng: random.Random) -> BookUpdate:
    sizes = [rng.randrange(1, 5_000) for _ in range(20)]
    return BookUpdate(
        venue=VENUE,
        symbol=SYMBOL,
        seq=seq,
        state=BookState.OK,
        event_ns=0,
        recv_ns=now_ns - 100_000,
        age_us=100,
        lag_us=100,
        bids=tuple((mid - 1 - level, sizes[level]) for level in range(10)),
        asks=tuple((mid + 1 + level, sizes[10 + level]) for level in range(10)),
    )


def stream(kind: str, count: int, start_ns: int, seed: int) -> Iterator[tuple[int, BookUpdate]]:
    rng = random.Random(seed)
    mid = 600_000
    kept = update(0, mid, start_ns, rng)
    for seq in range(1, count + 1):
        now_ns = start_ns + seq * STEP_NS
        if kind == "walk":
            mid += rng.choice((-12, -5, 0, 0, 5, 12))
        if kind == "same":
            yield (
                now_ns,
                BookUpdate(VENUE, SYMBOL, seq, BookState.OK, 0, now_ns - 100_000, 100, 100, kept.bids, kept.asks),
            )
        else:
            yield now_ns, update(seq, mid, now_ns, rng)


def answer(engine: QuoteEngine, commands: list[Command], now_ns: int) -> None:
    """Gateway, venue and risk that agree at once."""
    while commands:
        command = commands.pop()
        if isinstance(command, (LeasedOrder, LeasedReplace)):
            ack = OrderUpdate(VENUE, SYMBOL, HOLDER, command.ref, OrderState.OPEN, command.price_ticks, command.lots, 0)
            commands += engine.handle(ack, now_ns)
        elif isinstance(command, CancelOrder):
            gone = OrderUpdate(VENUE, SYMBOL, HOLDER, command.ref, OrderState.CANCELLED, 0, 0, 0)
            commands += engine.handle(gone, now_ns)
        elif isinstance(command, LeaseRequest):
            grant = LeaseGrant(
                VENUE,
                SYMBOL,
                Token(1, 1, HOLDER),
                command.request_no,
                1000,
                1000,
                RiskState.NORMAL,
                "",
                2000,
                22,
            )
            commands += engine.handle(grant, now_ns)
        elif isinstance(command, CancelAll):
            raise SystemExit(f"the benchmark must not be interrupted: {command.reason}")


def measure(kind: str, count: int, **quote: str) -> dict[str, float]:
    settings = FleetSettings(quote=QuoteSettings.model_validate(quote))
    engine = QuoteEngine(venue=VENUE, symbol=SYMBOL, holder=HOLDER, settings=settings)
    now_ns = 10**12
    for event in (
        FeedLink(VENUE, up=True),
        InstrumentRow(INSTRUMENT),
        RiskLink(True),
        GatewayLink(True, GATEWAY),
        HolderState(VENUE, SYMBOL, GATEWAY, 0, 0.0, 0, 0, 0, True),
    ):
        answer(engine, engine.handle(event, now_ns), now_ns)
    took_ns = []
    timer_ns = 0
    decisions = commands_count = 0
    gc.collect()
    gc.disable()
    for seen, (at_ns, event) in enumerate(stream(kind, count + 100, now_ns, seed=7)):
        began_ns = time.perf_counter_ns()
        commands = engine.handle(event, at_ns)
        ended_ns = time.perf_counter_ns()
        if seen >= 100:  # warmed up
            took_ns.append(ended_ns - began_ns)
            commands_count += len(commands)
        answer(engine, commands, at_ns)
        if at_ns - timer_ns >= 100_000_000:
            timer_ns = at_ns
            answer(engine, engine.handle(Timer(), at_ns), at_ns)
            if engine.joint is not None:
                answer(engine, engine.handle(PortfolioView(VENUE, SYMBOL, 0.1, 0.3, 0.0), at_ns), at_ns)
    gc.enable()
    decisions = engine.counters.decisions
    took_ns.sort()

    def at(share: float) -> float:
        return round(took_ns[min(len(took_ns) - 1, int(share * len(took_ns)))] / 1000, 2)

    return {
        "p50_us": at(0.5),
        "p90_us": at(0.9),
        "p99_us": at(0.99),
        "max_us": at(1.0),
        "updates": len(took_ns),
        "decisions": decisions,
        "commands": commands_count,
        "two_sided_share": round(engine.uptime.share(now_ns), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=50_000)
    count = parser.parse_args().updates
    print(
        json.dumps(
            {
                "benchmark": "quote_engine",
                "target_p50_us": 25.0,
                "python": platform.python_version(),
                "machine": platform.machine(),
                **{kind: measure(kind, count) for kind in ("walk", "sizes", "same")},
                "walk_by_model": {name: measure("walk", count, **quote) for name, quote in MODELS.items()},
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
