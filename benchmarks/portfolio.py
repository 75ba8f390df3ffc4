"""What the portfolio model costs and what it is worth; prints JSON.

Cost, by process time (wall clock where links and threads are named): from a fill's message to every other symbol's
encoded skew inside risk's brain, and over real links; the recompute of covariance and skew matrix, and how long it
holds up the loop's thread while it runs in another.

Worth: symbols that move together, quoted by the joint matrix and by GLFT one by one, on the same chance. Risk is the
variance of the positions' worth per second, q'Σq; capture is what fills earn over the mid per second.

Run: python benchmarks/portfolio.py [--paths 400] [--seconds 3000]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from actors.journal.rows import Loaded
from actors.risk.engine import RiskEngine
from actors.risk.events import Command, Compute, Journalled, JournalRows, Received, Send, Timer
from actors.risk.joint_skew import fill_curve, risk_free_half_spread, skew_matrix
from actors.transport.links import Links
from actors.vocab import codec
from actors.vocab.config.portfolio import PortfolioSettings
from actors.vocab.config.quote import QuoteSettings
from actors.vocab.config.risk import RiskSettings
from actors.vocab.control import Instruments
from actors.vocab.instruments import Instrument
from actors.vocab.leases import AccountLease, AccountLeaseRequest, LeaseRequest, SymbolExposure
from actors.vocab.market import BookState, Mark, Marks, Side
from actors.vocab.message import Message
from actors.vocab.orders import Fill
from actors.vocab.portfolio import PortfolioView

Array = npt.NDArray[np.float64]

VENUE, GATEWAY = "binance_perp", "gateway-1"
MS = 1_000_000
PRICE_TICKS = 1_000_000
FILLS_COUNT = 400
LINK_FILLS_COUNT = 200
LINKS_MAX = 100  # each is three sockets of this process
SOLVES_COUNT = 5


# --- worth -----------------------------------------------------------------------------------------------------------


class Market(NamedTuple):
    """Symbols that are all alike."""

    gamma: float
    correlation: float
    symbols_count: int = 10
    sigma: float = 0.3
    a_per_s: float = 0.9
    k: float = 0.3

    @property
    def covariance(self) -> Array:
        alike = np.full((self.symbols_count, self.symbols_count), self.correlation)
        np.fill_diagonal(alike, 1.0)
        return self.sigma**2 * alike

    def matrix(self, covariance: Array) -> Array:
        ones = np.ones(self.symbols_count)
        curve = fill_curve(xi=self.gamma, a_per_s=self.a_per_s * ones, k=self.k * ones, size=ones)
        return skew_matrix(covariance, gamma=self.gamma, curve=curve)


class Outcome(NamedTuple):
    """Means over paths and time once positions have settled; `_se` are standard errors over paths."""

    risk: float
    risk_se: float
    net_position: float
    capture_per_s: float
    capture_se: float


def outcomes(
    market: Market, *, paths_count: int, seconds: float, seed: int, step_s: float = 0.1, settle_s: float = 500.0
) -> tuple[Outcome, Outcome]:
    """(joint, one by one) on the same uniform numbers: a side is filled within a step with 1 - exp(-λ step)."""
    covariance = market.covariance
    alone = np.diag(np.diagonal(covariance))
    return (
        _simulate(market, market.matrix(covariance), paths_count, seconds, seed, step_s, settle_s),
        _simulate(market, market.matrix(alone), paths_count, seconds, seed, step_s, settle_s),
    )


def _simulate(
    market: Market, matrix: Array, paths_count: int, seconds: float, seed: int, step_s: float, settle_s: float
) -> Outcome:
    rng = np.random.default_rng(seed)
    ones = np.ones(market.symbols_count)
    half = risk_free_half_spread(xi=market.gamma, k=market.k * ones, size=ones) + np.diagonal(matrix) / 2
    covariance = market.covariance
    shape = (paths_count, market.symbols_count)
    q = np.zeros(shape)
    risk, net, capture = np.zeros(paths_count), np.zeros(paths_count), np.zeros(paths_count)
    settle_steps, steps = round(settle_s / step_s), round((settle_s + seconds) / step_s)
    for step in range(steps):
        skew = q @ matrix
        bid, ask = half + skew, half - skew
        bought = rng.random(shape) < -np.expm1(-market.a_per_s * step_s * np.exp(-market.k * bid))
        sold = rng.random(shape) < -np.expm1(-market.a_per_s * step_s * np.exp(-market.k * ask))
        if step >= settle_steps:
            risk += ((q @ covariance) * q).sum(axis=1)
            net += np.abs(q.sum(axis=1))
            capture += (bid * bought + ask * sold).sum(axis=1)
        q += bought
        q -= sold
    counted = steps - settle_steps
    return Outcome(
        risk=float(risk.mean() / counted),
        risk_se=float(risk.std(ddof=1) / counted / paths_count**0.5),
        net_position=float(net.mean() / counted),
        capture_per_s=float(capture.mean() / counted / step_s),
        capture_se=float(capture.std(ddof=1) / counted / step_s / paths_count**0.5),
    )


def worth(paths_count: int, seconds: float) -> list[dict[str, Any]]:
    rows = []
    for gamma, correlation in ((0.01, 0.7), (0.1, 0.7), (0.1, 0.3)):
        joint, alone = outcomes(Market(gamma, correlation), paths_count=paths_count, seconds=seconds, seed=1)
        rows.append(
            {
                "gamma": gamma,
                "correlation": correlation,
                "joint": joint._asdict(),
                "one_by_one": alone._asdict(),
                "risk_change_pct": 100 * (joint.risk / alone.risk - 1),
                "capture_change_pct": 100 * (joint.capture_per_s / alone.capture_per_s - 1),
            }
        )
    return rows


# --- cost ------------------------------------------------------------------------------------------------------------


class Fleet:
    """Risk's brain with leases for every symbol and a full window of samples."""

    def __init__(self, symbols_count: int) -> None:
        self.symbols = [f"S{number}USDT" for number in range(symbols_count)]
        self.rng = np.random.default_rng(symbols_count)
        self.engine = RiskEngine(
            RiskSettings(gross_usd_max=1e9, venue_usd_max=1e9, day_loss_usd_max=1e9, openings_per_s=1e6),
            Loaded(),
            run_id="bench",
            symbols=frozenset(self.symbols),
            quote=QuoteSettings(model="portfolio"),
            portfolio=PortfolioSettings(covariance_age_s_max=3_600, publish_bps_min=0.0),
        )
        self.now_ns = 1_000_000 * MS
        self.fences: dict[str, int] = {}
        self.works: list[Compute] = []
        self.views: list[bytes] = []
        self.fill_no = 0
        self.prices = np.full(symbols_count, float(PRICE_TICKS))
        self.carry(self.engine.start(wall_ns=self.now_ns, now_ns=self.now_ns))
        rows = tuple(
            Instrument(s, VENUE, "perp", s, s.removesuffix("USDT"), "USDT", "0.001", "0.001") for s in self.symbols
        )
        self.give(Instruments(VENUE, 1, rows))
        for number in range(3):
            self.pass_moment(number)
        for _ in range(PortfolioSettings().samples_count + 1):
            self.now_ns += PortfolioSettings().sample_ms * MS
            self.pass_moment(0)

    def give(self, event: Any) -> None:
        self.carry(self.engine.handle(event, self.now_ns))

    def carry(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case JournalRows(sequence):
                    self.give(Journalled(sequence))
                case Compute():
                    self.works.append(command)
                case Send(_, message) if isinstance(message, AccountLease):
                    self.fences.update((fence.symbol, fence.min_grant_no) for fence in message.fences)

    def pass_moment(self, number: int) -> None:
        """Marks, the gateway's report, every renewal, the timer."""
        moves = 5e-5 * (self.rng.standard_normal() + self.rng.standard_normal(len(self.symbols)))
        self.prices *= np.exp(moves)
        mids = [int(price) for price in self.prices]
        marks = (
            Mark(s, BookState.OK, mid - 1, mid + 1, 0.0, 0.0, 0.0, 0, 0)
            for s, mid in zip(self.symbols, mids, strict=True)
        )
        self.give(Marks(VENUE, 1, tuple(marks)))
        exposures = tuple(SymbolExposure(s, 0, 0, 0, self.fences.get(s, 0)) for s in self.symbols)
        self.give(Received(GATEWAY, AccountLeaseRequest(VENUE, GATEWAY, self.now_ns + number, 0, exposures)))
        for s in self.symbols:
            request = LeaseRequest(VENUE, s, f"quote-{s}", self.now_ns + number, 0, 100, 100, 0, 1.0)
            self.give(Received(f"quote-{s}", request))
        self.give(Timer(self.now_ns))

    def next_fill(self, number: int) -> Fill:
        self.fill_no += 1
        return Fill(
            VENUE, self.symbols[number], self.fill_no, self.fill_no, "mnt1", "", 1, 1, Side.BUY, PRICE_TICKS, 100,
            True, "0.01", "USDT", self.now_ns, 0,
        )  # fmt: skip

    def fill(self, number: int) -> tuple[float, int]:
        """(µs from the fill's bytes to the last skew's bytes, how many skews)."""
        raw = codec.encode(self.next_fill(number))
        began_ns = time.process_time_ns()
        commands = self.engine.handle(Received(GATEWAY, codec.decode(raw)), self.now_ns)
        views = [
            codec.encode(command.message)
            for command in commands
            if isinstance(command, Send) and isinstance(command.message, PortfolioView)
        ]
        spent_us = (time.process_time_ns() - began_ns) / 1e3
        self.carry([command for command in commands if not isinstance(command, Send)])
        return spent_us, len(views)


async def links_ms(fleet: Fleet, folder: Path) -> dict[str, float]:
    """From the gateway's send of a fill to the last quote link's receipt, over real links, everybody in this process
    and on this loop: more than it takes where each has its own."""
    fleet_links = [
        Links(name=name, incarnation=incarnation, host="h", runtime_dir=folder)
        for name, incarnation in (
            ("risk", "risk-1"),
            ("gateway", GATEWAY),
            *((f"quote:{s}", f"quote-{s}") for s in fleet.symbols),
        )
    ]
    heard_count = 0
    all_up, all_heard = asyncio.Event(), asyncio.Event()

    def on_view(message: Message) -> None:
        nonlocal heard_count
        heard_count += 1
        if heard_count == len(fleet.symbols):
            all_heard.set()

    def on_state(up: bool) -> None:
        if all(client.is_up for client in clients):
            all_up.set()

    def on_message(peer: str, message: Message) -> None:
        commands = fleet.engine.handle(Received(peer, message), fleet.now_ns)
        for command in commands:
            if isinstance(command, Send):
                server.send(command.peer, command.message)
        fleet.carry([command for command in commands if not isinstance(command, Send)])

    server = fleet_links[0].server("risk", on_message=on_message, on_peer=lambda *_: None)
    risk = fleet_links[0].member()
    clients = [links.client(on_message=on_view, on_state=on_state) for links in fleet_links[1:]]
    for client in clients:
        client.dial(risk, "risk")
    await all_up.wait()
    took_ms = []
    for number in range(LINK_FILLS_COUNT):
        heard_count = 0
        all_heard.clear()
        began = time.perf_counter()
        clients[0].send(fleet.next_fill(number % len(fleet.symbols)))
        await all_heard.wait()
        took_ms.append(1e3 * (time.perf_counter() - began))
        await asyncio.sleep(0.002)
    for links in fleet_links:
        links.close()
    took_ms.sort()
    return {"p50": statistics.median(took_ms), "p99": took_ms[int(len(took_ms) * 0.99)], "max": took_ms[-1]}


async def pause_ms(work: Compute) -> tuple[float, float]:
    """(longest time the loop's thread was held up while `work` ran in another, how long it ran), wall clock."""
    running = asyncio.get_running_loop().run_in_executor(None, work.work)
    began = last = time.perf_counter()
    longest = 0.0
    while not running.done():
        await asyncio.sleep(0)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    return 1e3 * longest, 1e3 * (time.perf_counter() - began)


def cost(symbols_count: int) -> dict[str, Any]:
    fleet = Fleet(symbols_count)
    work = fleet.works[-1]
    solved_ms = []
    for _ in range(SOLVES_COUNT):
        began_ns = time.process_time_ns()
        computed = work.work()
        solved_ms.append((time.process_time_ns() - began_ns) / 1e6)
    held_ms, ran_ms = asyncio.run(pause_ms(work))
    fleet.give(computed)
    fleet.now_ns += PortfolioSettings().sample_ms * MS
    fleet.pass_moment(0)
    figures = fleet.engine.summary()["portfolio"]
    timed = [fleet.fill(number % symbols_count) for number in range(FILLS_COUNT)]
    spent = sorted(us for us, _ in timed)
    over_links = None
    if symbols_count <= LINKS_MAX:
        with tempfile.TemporaryDirectory(prefix="mt-", dir="/tmp") as folder:
            over_links = asyncio.run(links_ms(fleet, Path(folder)))
    return {
        "symbols_count": symbols_count,
        "symbols_in_matrix": figures["symbols_count"],
        "fill_to_all_skews_us": {"p50": statistics.median(spent), "p99": spent[int(len(spent) * 0.99)]},
        "fill_to_all_skews_over_links_ms": over_links,
        "skews_per_fill": min(count for _, count in timed),
        "recompute_ms": {"p50": statistics.median(solved_ms), "max": max(solved_ms)},
        "beside_the_loop": {"longest_pause_ms": held_ms, "ran_ms": ran_ms},
        "mean_correlation": figures["mean_correlation"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--paths", type=int, default=400)
    parser.add_argument("--seconds", type=float, default=3_000)
    parser.add_argument("--symbols", type=int, nargs="*", default=[50, 500])
    arguments = parser.parse_args()
    print(
        json.dumps(
            {
                "benchmark": "portfolio",
                "cost": [cost(count) for count in arguments.symbols],
                "worth": worth(arguments.paths, arguments.seconds),
                "machine": {"python": platform.python_version(), "processor": platform.machine()},
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
