"""Can one core renew the leases of 5 000 symbols every 500 ms? Prints JSON.

Measures the whole way of a renewal inside the process: decode the request, the brain, encode the grant. Everything
else that risk does meanwhile is in the same loop and counted: marks of all symbols every 250 ms, the gateway's report
of all symbols every 500 ms, the timer every 100 ms, a fill per symbol and minute with its ledger and journal rows.
"""

from __future__ import annotations

import json
import platform
import statistics
import time
from typing import Any

from actors.journal.rows import Loaded
from actors.risk.engine import RiskEngine
from actors.risk.events import Journalled, JournalRows, Received, Send, Timer
from actors.vocab import codec
from actors.vocab.config.risk import RiskSettings
from actors.vocab.control import Instruments
from actors.vocab.instruments import Instrument
from actors.vocab.leases import AccountLease, AccountLeaseRequest, LeaseGrant, LeaseRequest, SymbolExposure
from actors.vocab.market import BookState, Mark, Marks, Side
from actors.vocab.orders import Fill

SYMBOLS_COUNT = 5_000
RENEW_INTERVAL_MS = 500
SIMULATED_S = 10
MS = 1_000_000
VENUE = "binance_perp"


class Fleet:
    """Risk's brain with everybody else reduced to the messages they would send."""

    def __init__(self) -> None:
        self.symbols = [f"S{number}USDT" for number in range(SYMBOLS_COUNT)]
        settings = RiskSettings(
            gross_usd_max=2e6, venue_usd_max=2e6, orders_per_min_max=100_000, openings_per_s=1e6, day_loss_usd_max=1e9
        )
        self.engine = RiskEngine(settings, Loaded(), run_id="bench", symbols=frozenset(self.symbols))
        self.sequence = 0
        self.fences: dict[str, int] = {}
        self.positions = dict.fromkeys(self.symbols, 0)
        self.fill_no = 0
        self.report_no = 0
        self.request_no = 0
        self.spent_ns: dict[str, list[int]] = {}
        self.grants_count = 0

    def event(self, kind: str, payload: Any, now_ns: int) -> None:
        """Time one event: decode where it came over a link, handle, encode what is sent."""
        raw = codec.encode(payload.message) if isinstance(payload, Received) else None
        if isinstance(payload, Marks):
            raw = codec.encode(payload)
        began = time.perf_counter_ns()
        if raw is not None:
            message = codec.decode(raw)
            payload = Received(payload.peer, message) if isinstance(payload, Received) else message
        commands = self.engine.handle(payload, now_ns)
        sent = [(command.peer, codec.encode(command.message)) for command in commands if isinstance(command, Send)]
        self.spent_ns.setdefault(kind, []).append(time.perf_counter_ns() - began)
        del sent
        for command in commands:
            if isinstance(command, JournalRows):
                self.sequence = command.sequence
            elif isinstance(command, Send) and isinstance(command.message, AccountLease):
                self.fences.update((fence.symbol, fence.min_grant_no) for fence in command.message.fences)
            elif isinstance(command, Send) and isinstance(command.message, LeaseGrant):
                self.grants_count += 1

    def durable(self, now_ns: int) -> None:
        self.event("journalled", Journalled(self.sequence), now_ns)

    def report(self, now_ns: int) -> None:
        self.report_no += 1
        rows = tuple(SymbolExposure(s, self.positions[s], 5, 5, self.fences.get(s, 0)) for s in self.symbols)
        request = AccountLeaseRequest(VENUE, "gateway-1", self.report_no, self.fill_no, rows)
        self.event("account_lease", Received("gateway-1", request), now_ns)

    def marks(self, now_ns: int) -> None:
        wobble = (now_ns // (250 * MS)) % 7
        rows = tuple(
            Mark(s, BookState.OK, 9_999 + wobble, 10_001 + wobble, 10_000.0, 10_000.0, 0.0, 0, 0) for s in self.symbols
        )
        self.event("marks", Marks(VENUE, 1, rows), now_ns)

    def renew(self, number: int, now_ns: int) -> None:
        symbol = self.symbols[number]
        position = self.positions[symbol]
        request = LeaseRequest(
            VENUE, symbol, f"quote-{number}", self.request_no, position, 400, 400, self.fill_no, 10_000.0
        )
        self.event("renewal", Received(f"quote-{number}", request), now_ns)

    def fill(self, number: int, now_ns: int) -> None:
        symbol = self.symbols[number]
        self.fill_no += 1
        side = Side.BUY if self.fill_no % 2 else Side.SELL
        self.positions[symbol] += side
        message = Fill(
            VENUE, symbol, self.fill_no, self.fill_no, "mnt1", "", 1, 1, side, 10_000, 1, True, "0.01", "USDT",
            now_ns, self.positions[symbol],
        )  # fmt: skip
        self.event("fill", Received("gateway-1", message), now_ns)


def main() -> None:
    fleet = Fleet()
    engine = fleet.engine
    now_ns = 1_000_000 * MS
    for command in engine.start(wall_ns=now_ns, now_ns=now_ns):
        if isinstance(command, JournalRows):
            fleet.sequence = command.sequence
    rows = tuple(
        Instrument(s, VENUE, "perp", s, s.removesuffix("USDT"), "USDT", "0.01", "0.001") for s in fleet.symbols
    )
    engine.handle(Instruments(VENUE, 1, rows), now_ns)
    fleet.durable(now_ns)
    for _ in range(3):  # fences of the new term, first grants, their bookings
        fleet.marks(now_ns)
        fleet.report(now_ns)
        fleet.request_no += 1
        for number in range(SYMBOLS_COUNT):
            fleet.renew(number, now_ns)
        fleet.durable(now_ns)
        now_ns += RENEW_INTERVAL_MS * MS
    fleet.spent_ns.clear()
    fleet.grants_count = 0

    began = time.perf_counter()
    steps = SIMULATED_S * 1000 // RENEW_INTERVAL_MS
    per_slice = SYMBOLS_COUNT // 5
    for _ in range(steps):
        fleet.request_no += 1
        for part in range(5):  # slices of 100 ms
            if part in (0, 2):
                fleet.marks(now_ns)
            if part == 1:
                fleet.report(now_ns)
            for number in range(part * per_slice, (part + 1) * per_slice):
                fleet.renew(number, now_ns)
            for number in range(part * 8, part * 8 + 8):
                fleet.fill(number, now_ns)
            fleet.durable(now_ns)
            fleet.event("timer", Timer(now_ns), now_ns)
            now_ns += 100 * MS
    wall_s = time.perf_counter() - began
    engine.verify()

    busy_s = sum(sum(values) for values in fleet.spent_ns.values()) / 1e9
    kinds = {
        kind: {
            "count": len(values),
            "p50_us": statistics.median(values) / 1e3,
            "p99_us": sorted(values)[int(len(values) * 0.99)] / 1e3,
            "share_of_core": sum(values) / 1e9 / SIMULATED_S,
        }
        for kind, values in fleet.spent_ns.items()
    }
    print(
        json.dumps(
            {
                "benchmark": "risk_renewals",
                "symbols_count": SYMBOLS_COUNT,
                "renew_interval_ms": RENEW_INTERVAL_MS,
                "simulated_s": SIMULATED_S,
                "grants_count": fleet.grants_count,
                "core_share": busy_s / SIMULATED_S,
                "fits_one_core": busy_s < SIMULATED_S,
                "wall_s_with_harness": wall_s,
                "events": kinds,
                "machine": {"python": platform.python_version(), "processor": platform.machine()},
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
