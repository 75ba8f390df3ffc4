"""The simulated market must not pay: what a quoter meets in it, and how its prices move."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise
from statistics import fmean

import numpy as np
import pytest

from actors.sim.exchange import SimExchange
from actors.sim.flow import MarketProfile
from actors.sim.messages import ClientRequest, Private, Public
from actors.sim.paths import STEP_MS, PricePath, history
from actors.vocab.config.sim import SimSettings
from actors.vocab.market import Side
from actors.vocab.units import BPS
from actors.vocab.venue_io import TopOfBook, VenueCancel, VenueFill, VenuePlace, VenueReject
from tests.sim.desk_helpers import MS, START_MS, START_NS, instrument

SYMBOLS = [f"S{number:02}USDT" for number in range(50)]
TURN_MS = 50
LOOK_TURNS = 5  # the quoter looks at its quotes four times a second


class FixedQuoter:
    """One bid and one ask at a fixed distance from mid, moved when off by half a basis point, once a second."""

    def __init__(self, half_spread_bps: float, *, seed: int, symbols: list[str] = SYMBOLS) -> None:
        settings = SimSettings(frames_per_s=20.0 * len(symbols))
        self.exchange = SimExchange(
            venue="binance_perp",
            instruments=[instrument(symbol) for symbol in symbols],
            # Ticks of a tenth to one basis point, as most of the traded coins have.
            prices={symbol: 100.0 + 18 * number for number, symbol in enumerate(symbols)},
            settings=settings,
            seed=seed,
            start_ms=START_MS,
            profiles={
                symbol: MarketProfile(0.6 + 0.006 * number, 9e6 / (1 + 2 * number))
                for number, symbol in enumerate(symbols)
            },
        )
        self.fills: list[tuple[int, VenueFill]] = []
        self.mids: dict[str, list[float]] = defaultdict(list)
        self._half_spread_bps = half_spread_bps
        self._mid: dict[str, float] = {}
        self._live: dict[tuple[str, Side], tuple[str, int]] = {}
        self._moved: dict[tuple[str, Side], int] = {}
        self._request_no = 0

    def run(self, span_s: int) -> None:
        turns = span_s * 1000 // TURN_MS
        for turn in range(1, turns + 1):
            now_ns = START_NS + turn * TURN_MS * MS
            for command in self.exchange.advance(now_ns):
                self._hear(turn, command.event if isinstance(command, Public | Private) else None)
                if not isinstance(command, Public | Private):
                    self._answered(getattr(command, "event", None))
            for symbol, mid in self._mid.items():
                self.mids[symbol].append(mid)
                if turn % LOOK_TURNS == 0:
                    for side in (Side.BUY, Side.SELL):
                        self._quote(symbol, side, mid, now_ns)

    def profit_usd(self) -> float:
        accounts = self.exchange.ledger.accounts()
        return sum(float(self.exchange.equity(account)) - 1_000_000 for account in accounts)

    def markouts_bps(self, span_s: float) -> dict[str, float]:
        """Mean move of the mid after our fills, signed for us, against the fill price."""
        ahead = int(span_s * 1000 / TURN_MS)
        moves = defaultdict(list)
        for turn, fill in self.fills:
            mids = self.mids[fill.symbol]
            at = len(mids) - self._turns_left(turn) + ahead
            if at < len(mids):
                moves[fill.symbol].append(fill.side * (mids[at] / fill.price_ticks - 1) / BPS)
        return {symbol: fmean(each) for symbol, each in moves.items()}

    def _turns_left(self, turn: int) -> int:
        return max(len(mids) for mids in self.mids.values()) - turn + 1

    def _hear(self, turn: int, event: object) -> None:
        if isinstance(event, TopOfBook):
            self._mid[event.symbol] = (event.bid_ticks + event.ask_ticks) / 2
        elif isinstance(event, VenueFill):
            self.fills.append((turn, event))

    def _answered(self, event: object) -> None:
        if isinstance(event, VenueReject) and event.code == -5022:
            self._live = {key: live for key, live in self._live.items() if live[0] != event.client_id}

    def _quote(self, symbol: str, side: Side, mid: float, now_ns: int) -> None:
        key = (symbol, side)
        wish = int((mid * (1 - side * self._half_spread_bps * BPS)) // 1) + (side < 0)
        live = self._live.get(key)
        row = self.exchange.ledger.find(symbol, symbol, client_id=live[0]) if live else None
        gone = row is None or row.left_lots == 0
        if now_ns - self._moved.get(key, 0) < 1_000 * MS or (
            not gone and live is not None and abs(live[1] - wish) < max(1.0, 0.5 * BPS * mid)
        ):
            return
        self._moved[key] = now_ns
        if live and not gone:
            self._ask(VenueCancel(self._next(), symbol, live[0]), now_ns)
        number = self._next()
        self._live[key] = (f"o{number}", wish)
        lots = max(1, int(250 / (wish * 0.001)))
        self._ask(VenuePlace(number, symbol, f"o{number}", side, wish, lots), now_ns)

    def _ask(self, request: VenuePlace | VenueCancel, now_ns: int) -> None:
        # An account per symbol: order limits of one account are not under test here.
        self.exchange.handle(ClientRequest(1, request.symbol, request), now_ns)

    def _next(self) -> int:
        self._request_no += 1
        return self._request_no


@pytest.fixture(scope="module")
def tight() -> FixedQuoter:
    quoter = FixedQuoter(1.0, seed=11, symbols=SYMBOLS[::2])
    quoter.run(35)
    return quoter


@pytest.fixture(scope="module")
def sane() -> FixedQuoter:
    quoter = FixedQuoter(3.0, seed=12)
    quoter.run(66)
    return quoter


def test_a_one_bp_quoter_loses_after_fees(tight: FixedQuoter) -> None:
    assert len(tight.fills) > 120
    assert tight.profit_usd() < 0


def test_five_second_markouts_are_negative_on_most_symbols(tight: FixedQuoter, sane: FixedQuoter) -> None:
    for quoter in (tight, sane):
        markouts = quoter.markouts_bps(5.0)
        assert len(markouts) >= 25
        assert sum(each < 0 for each in markouts.values()) >= 0.8 * len(markouts)


def test_a_sane_quoter_is_filled_on_every_symbol_within_a_minute(sane: FixedQuoter) -> None:
    counts = Counter(fill.symbol for turn, fill in sane.fills if turn <= 60_000 / TURN_MS)

    assert [symbol for symbol in SYMBOLS if not counts[symbol]] == []
    assert sane.profit_usd() < 0


def test_most_fills_are_ours_as_maker(sane: FixedQuoter) -> None:
    assert fmean(fill.maker for _, fill in sane.fills) > 0.99


def test_prices_move_like_coins_of_sixty_to_ninety_percent() -> None:
    """Long-run variance is the path's; seconds are wilder, by the part of each sweep that is given back."""
    paths = [PricePath(name=f"S{number}", seed=5, volatility=0.75, correlation=0.6) for number in range(20)]
    # A step a second over twenty minutes.
    logs = np.log([[path.at(step) for step in range(0, 1200 * 1000 // STEP_MS, 1000 // STEP_MS)] for path in paths])

    for span_s, low, high in ((5, 1.0, 2.5), (60, 0.8, 2.2)):
        moves = np.diff(logs[:, ::span_s], axis=1) / BPS
        assert low < float(np.mean(moves.std(axis=1))) / span_s**0.5 < high
    correlation = np.corrcoef(np.diff(logs[:, ::30], axis=1))
    assert 0.3 < correlation[np.triu_indices(20, 1)].mean() < 0.8


def test_uncorrelated_paths_are_uncorrelated() -> None:
    paths = [PricePath(name=f"S{number}", seed=5, volatility=0.75, correlation=0.0) for number in range(10)]
    logs = np.log([[path.at(step) for step in range(0, 600 * 1000 // STEP_MS, 1000 // STEP_MS)] for path in paths])

    correlation = np.corrcoef(np.diff(logs[:, ::5], axis=1))

    assert abs(correlation[np.triu_indices(10, 1)].mean()) < 0.05


def test_a_path_does_not_depend_on_how_it_is_asked() -> None:
    one = PricePath(name="S", seed=5, volatility=0.75, correlation=0.6)
    two = PricePath(name="S", seed=5, volatility=0.75, correlation=0.6)
    values = [one.at(step) for step in range(0, 3_000)]

    assert two.at(2_500) == values[2_500]
    assert PricePath(name="T", seed=5, volatility=0.75, correlation=0.6).at(2_500) != values[2_500]
    assert values[0] == pytest.approx(1.0, abs=0.001)


def test_history_ends_at_the_start_price_and_longer_history_keeps_the_younger_part() -> None:
    long, short = (history(name="S", seed=5, volatility=0.75, minutes=minutes) for minutes in (50, 20))

    assert long[-20:] == short
    assert short[-1][3] == pytest.approx(1.0)
    assert all(low <= min(opened, close) <= max(opened, close) <= high for opened, high, low, close in long)
    assert all(before[3] == pytest.approx(after[0]) for before, after in pairwise(long))
