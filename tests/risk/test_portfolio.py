"""Risk's part of the portfolio model: samples, numbers taken over at sample times, one fill that reaches everybody."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest

from actors.risk.events import Timer
from actors.risk.joint_solver import Joint, JointTerms, Unsolved, solve
from actors.risk.portfolio import Portfolio
from actors.vocab import codec
from actors.vocab.config.portfolio import PortfolioSettings
from actors.vocab.config.quote import QuoteSettings
from actors.vocab.market import Side
from actors.vocab.orders import PositionAdjust
from actors.vocab.portfolio import FillCurve, PortfolioView
from tests.risk.fleet import marks_of
from tests.risk.stage import GATEWAY, MS, VENUE, Stage

BTC, ETH = "BTCUSDT", "ETHUSDT"
# One lot of 0.01 at 100 000.0 is worth 1 000 USD: one order.
TERMS: dict[str, Any] = {"model": "portfolio", "order_usd": 1_000.0, "position_usd_max": 50_000.0, "gamma": 0.01}
WINDOW: dict[str, Any] = {"sample_ms": 1_000, "samples_min": 5, "samples_count": 50, "recompute_interval_s": 10}


class Market:
    """Prices of both symbols move together by a seeded walk of about a bp a second."""

    def __init__(self, **portfolio: Any) -> None:
        self.stage = Stage(quote=QuoteSettings(**TERMS), portfolio=PortfolioSettings(**(WINDOW | portfolio)))
        self.chance = random.Random(11)
        self.stage.use_instruments()
        self.prices = {BTC: 1_000_000, ETH: 1_000_000}
        self.stage.marks(**self.prices)
        self.stage.report()
        self.stage.report()
        for symbol in (BTC, ETH):
            self.stage.ask(symbol)

    @property
    def part(self) -> Portfolio:
        found = self.stage.engine.portfolio
        assert found is not None
        return found

    def pass_s(self, seconds: float, *, only: tuple[str, ...] = (BTC, ETH), answer: bool = True) -> None:
        for _ in range(round(seconds * 10)):
            self.stage.now_ms += 100
            common = self.chance.gauss(0, 25)
            for symbol in (BTC, ETH):
                self.prices[symbol] += round(common + self.chance.gauss(0, 15))
            good = {symbol: self.prices[symbol] for symbol in only}
            self.stage.give(marks_of(VENUE, good))
            if self.stage.now_ms % 500 == 0:
                for symbol in (BTC, ETH):
                    self.stage.ask(symbol)
            self.stage.give(Timer(self.stage.now_ms * MS))
            if answer:
                self.answer()

    def answer(self) -> None:
        works, self.stage.works = self.stage.works, []
        for work in works:
            self.stage.give(work.work())

    def views(self) -> dict[str, PortfolioView]:
        """The newest by symbol since the last look; each went to the symbol's holder."""
        found = {}
        for peer, message in self.stage.sent:
            if isinstance(message, PortfolioView):
                assert peer == f"quote-{message.symbol}"
                found[message.symbol] = message
        self.stage.clear()
        return found

    def fill(self, symbol: str, side: Side = Side.BUY, lots: int = 1) -> None:
        self.stage.hear(GATEWAY, self.stage.fill(symbol, side, lots, price_ticks=self.prices[symbol]))


def test_other_models_have_no_such_part() -> None:
    stage = Stage(quote=QuoteSettings(), portfolio=PortfolioSettings())
    assert stage.engine.portfolio is None
    assert Stage().engine.portfolio is None
    assert "portfolio" not in stage.engine.summary()


def test_nothing_is_sent_before_there_are_samples_enough() -> None:
    market = Market()

    market.pass_s(5)

    assert market.views() == {}
    assert market.stage.engine.summary()["portfolio"]["problem"] == "5 of 6 samples"


def test_numbers_asked_for_at_one_sample_take_effect_at_the_next() -> None:
    market = Market()
    market.pass_s(5.9)
    assert not market.stage.works
    market.pass_s(0.1, answer=False)
    assert len(market.stage.works) == 1

    market.answer()
    assert market.views() == {}
    market.pass_s(0.9)
    assert market.views() == {}
    market.pass_s(0.1)

    assert set(market.views()) == {BTC, ETH}


def test_how_long_the_work_took_makes_no_difference_before_the_next_sample() -> None:
    """Lock-step delivers the answer a step later, a chain at once, a thread whenever it is done."""
    at_once, late = Market(), Market()
    at_once.pass_s(6)
    late.pass_s(6, answer=False)
    late.pass_s(0.7, answer=False)
    at_once.pass_s(0.7)
    for market in (at_once, late):
        market.pass_s(2)

    assert at_once.views() == late.views() != {}


def test_a_fill_shifts_the_correlated_symbol_at_once_and_exactly() -> None:
    market = Market()
    market.pass_s(8)
    before = market.views()
    assert before[BTC].skew_bps == before[ETH].skew_bps == 0.0

    market.fill(BTC)

    after = market.views()
    assert after[BTC].skew_bps > after[ETH].skew_bps > 0
    assert after[BTC].width_bps == before[BTC].width_bps
    assert after[BTC].position_orders == pytest.approx(1.0, rel=0.01)
    # One order of its own moves a symbol by twice its width.
    assert after[BTC].skew_bps == pytest.approx(2 * after[BTC].width_bps * after[BTC].position_orders)
    assert after[ETH].position_orders == 0.0
    market.fill(ETH, Side.SELL, 2)
    both = market.views()
    assert both[BTC].skew_bps == pytest.approx(after[BTC].skew_bps - 2 * after[ETH].skew_bps, rel=0.01)
    assert codec.decode(codec.encode(both[BTC])) == both[BTC]


def test_the_numbers_are_the_formulas() -> None:
    """What is published against the matrix worked out here from the same samples."""
    market = Market()
    market.pass_s(6, answer=False)
    answer = market.stage.works[0].work()
    joint = answer.result
    assert isinstance(joint, Joint)
    market.stage.give(answer)
    market.fill(BTC, lots=3)
    market.fill(ETH, Side.SELL, 2)
    market.pass_s(1)

    views = market.views()

    orders = np.array([3.0, -2.0]) * joint.prices * 0.01 / 1_000.0
    assert [views[s].skew_bps for s in (BTC, ETH)] == pytest.approx(list(joint.matrix @ orders))
    assert [views[s].width_bps for s in (BTC, ETH)] == pytest.approx(list(np.diagonal(joint.matrix) / 2))
    assert joint.mean_correlation == pytest.approx(0.7, abs=0.3)


def test_what_an_engine_measures_of_its_fills_counts_in_the_next_numbers() -> None:
    """Four times the curve halves a symbol's width (Γ_ii goes by D^-½ where nothing else does)."""
    usual, busy = Market(), Market()
    busy.stage.hear(f"quote-{BTC}", FillCurve(VENUE, BTC, 4 * busy.part.curve_of((VENUE, BTC))))
    busy.stage.hear(f"quote-{ETH}", FillCurve(VENUE, ETH, 4 * busy.part.curve_of((VENUE, ETH))))
    for bad in (math.nan, 0.0, -1.0, math.inf):
        busy.stage.hear(f"quote-{ETH}", FillCurve(VENUE, ETH, bad))
    for market in (usual, busy):
        market.pass_s(8)

    wide, narrow = usual.views(), busy.views()

    for symbol in (BTC, ETH):
        assert narrow[symbol].width_bps == pytest.approx(wide[symbol].width_bps / 2)


def test_a_small_move_waits_for_the_interval() -> None:
    market = Market(publish_bps_min=10.0)
    market.pass_s(8)
    market.views()

    market.fill(BTC)
    assert market.views() == {}
    market.pass_s(1)

    assert market.views()[ETH].skew_bps > 0


def test_positions_that_change_without_a_fill_count_too() -> None:
    market = Market()
    market.pass_s(8)
    market.views()
    number = market.stage.fill_no = market.stage.fill_no + 1

    market.stage.hear(GATEWAY, PositionAdjust(VENUE, BTC, number, 5, "liquidation", "0", "USDT", 1))
    assert market.views()[ETH].skew_bps > 0
    market.stage.report(BTCUSDT=(2, 0, 0), ETHUSDT=(0, 0, 0))  # the gateway knows better: 2 lots
    market.pass_s(0.1)

    assert market.views()[BTC].position_orders == pytest.approx(2.0, rel=0.01)


def test_a_symbol_without_good_prices_has_no_part() -> None:
    market = Market()
    market.pass_s(20, only=(BTC,))

    assert set(market.views()) == {BTC}
    assert market.stage.engine.summary()["portfolio"]["symbols_count"] == 1


def test_when_the_answers_stop_the_numbers_end() -> None:
    market = Market(covariance_age_s_max=20)
    market.pass_s(10)
    assert market.views()
    market.pass_s(25, answer=False)
    market.views()

    market.pass_s(3, answer=False)

    assert market.views() == {}
    assert "covariance older than 20 s" in market.stage.engine.summary()["portfolio"]["problem"]


def test_other_lots_end_the_numbers_until_the_next_ones() -> None:
    market = Market()
    market.pass_s(8)
    market.fill(BTC, lots=4)
    market.views()

    market.stage.use_instruments(lot_size="0.02", version=2)
    market.pass_s(1)
    assert market.views() == {}
    market.pass_s(12)

    assert market.views()[BTC].position_orders == pytest.approx(4.0, rel=0.02)


def test_a_new_life_of_risk_begins_anew() -> None:
    market = Market()
    market.pass_s(8)
    market.fill(BTC)
    loaded = market.stage.journal.load()
    again = Market()
    again.stage = Stage(
        loaded=loaded, quote=QuoteSettings(**TERMS), portfolio=PortfolioSettings(**WINDOW), run_id="run-1"
    )
    again.stage.now_ms = market.stage.now_ms
    again.stage.use_instruments()
    again.stage.marks(**again.prices)
    for _ in range(2):
        again.stage.report(BTCUSDT=(1, 0, 0), ETHUSDT=(0, 0, 0))
    for symbol in (BTC, ETH):
        again.stage.ask(symbol)
    again.pass_s(4)
    assert again.views() == {}

    again.pass_s(6)

    assert again.views()[ETH].skew_bps > 0


def test_a_pause_of_the_loop_is_no_return() -> None:
    """Ten seconds without a timer: the move over them is not one of a second."""
    market = Market()
    market.pass_s(6)
    for symbol in (BTC, ETH):
        market.prices[symbol] += 5_000  # half a percent while nobody looked
    market.stage.now_ms += 10_000
    market.pass_s(12, answer=False)

    result = market.stage.works[0].work().result

    assert isinstance(result, Joint)
    deviations = np.diagonal(result.matrix)
    quiet = Market()
    quiet.pass_s(18, answer=False)
    reference = quiet.stage.works[0].work().result
    assert isinstance(reference, Joint)
    assert deviations == pytest.approx(np.diagonal(reference.matrix), rel=0.5)


# --- the solver ----------------------------------------------------------------------------------------------------

CURVE = np.full(5, 0.2)
JOINT_TERMS = JointTerms(0.01, math.inf, 1.0, 4, 0.01)


def walk(samples: int, symbols: int) -> list[np.ndarray[Any, Any]]:
    steps = np.random.default_rng(3).standard_normal((samples, symbols)) * 1e-4
    return list(100 * np.exp(np.cumsum(steps, axis=0)))


def test_symbols_that_were_seen_too_seldom_are_left_out() -> None:
    rows = walk(20, 3)
    for row in rows[:12]:
        row[1] = np.nan

    found = solve(tuple(rows), CURVE, JOINT_TERMS)

    assert isinstance(found, Joint)
    assert found.columns.tolist() == [0, 2]
    assert found.prices == pytest.approx(rows[-1][[0, 2]])


@pytest.mark.parametrize("price", [math.nan, 0.0, -5.0, math.inf])
def test_bad_prices_of_one_symbol_harm_nobody(price: float) -> None:
    rows = walk(20, 3)
    for row in rows:
        row[0] = price

    found = solve(tuple(rows), CURVE, JOINT_TERMS)

    assert isinstance(found, Joint)
    assert found.columns.tolist() == [1, 2]
    assert np.isfinite(found.matrix).all()


def test_one_price_for_all_is_a_singular_covariance_and_works() -> None:
    rows = [np.full(5, row[0]) for row in walk(20, 1)]

    found = solve(tuple(rows), CURVE, JOINT_TERMS)

    assert isinstance(found, Joint)
    assert np.isfinite(found.matrix).all()
    assert found.mean_correlation == pytest.approx(1.0)


def test_nothing_usable_is_said_and_no_fault() -> None:
    nothing = solve((np.array([np.nan]), np.array([np.nan])), CURVE, JOINT_TERMS)
    assert nothing == Unsolved("no symbol has 4 samples yet")

    market = Market()
    market.pass_s(40, only=())

    assert market.views() == {}
    assert market.stage.engine.summary()["portfolio"]["problem"] == "no symbol has 5 samples yet"
