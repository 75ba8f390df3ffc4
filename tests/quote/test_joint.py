"""Risk's numbers for the model `portfolio`: believed for a while, and what happens without them."""

from __future__ import annotations

import math

import pytest

from actors.quote.engine import QuoteEngine
from actors.quote.events import RiskLink, Timer
from actors.quote.models.protocol import Intensity
from actors.vocab.market import Side
from actors.vocab.portfolio import FillCurve, PortfolioView
from actors.vocab.reasons import Reason
from tests.quote.stage import MS, SYMBOL, T0, VENUE, answer, book, quoting, renewed, settings

WIDE: dict[str, object] = {"model": "portfolio", "refresh_interval_ms": 1, "refresh_tolerance_bps": 0.0}
AGE_MS_MAX = 3_000


def view(skew_bps: float, width_bps: float = 0.1, position_orders: float = 0.0) -> PortfolioView:
    return PortfolioView(VENUE, SYMBOL, skew_bps, width_bps, position_orders)


def engine() -> QuoteEngine:
    return quoting(fleet=settings(refresh_tolerance_share=0.0, **WIDE))


def centre_ticks(quoter: QuoteEngine) -> float:
    orders = quoter.own.by_ref.values()
    return sum(order.price_ticks for order in orders if order.live) / 2


def hear(quoter: QuoteEngine, event: PortfolioView, now_ns: int) -> None:
    answer(quoter, quoter.handle(event, now_ns), now_ns)


def pass_ms(quoter: QuoteEngine, from_ms: int, to_ms: int) -> None:
    """Books, timers and leases go on; risk says nothing of the portfolio."""
    for seq, ms in enumerate(range(from_ms, to_ms + 1, 100), start=from_ms):
        now_ns = T0 + ms * MS
        answer(quoter, quoter.handle(book(seq, now_ns), now_ns), now_ns)
        commands = quoter.handle(Timer(), now_ns)
        answer(quoter, commands, now_ns)
        answer(quoter, renewed(quoter, commands, now_ns), now_ns)


def test_what_the_others_hold_moves_our_quotes() -> None:
    quoter = engine()
    alone = centre_ticks(quoter)

    hear(quoter, view(2.0), T0 + 100 * MS)

    # 2 bp of 600 000 ticks down, without any position of our own.
    assert centre_ticks(quoter) == pytest.approx(alone - 120, abs=1)


def test_the_same_numbers_again_only_prolong_them() -> None:
    quoter = engine()
    hear(quoter, view(2.0), T0 + 100 * MS)
    decisions = quoter.counters.decisions

    assert quoter.handle(view(2.0), T0 + 2_000 * MS) == []

    assert quoter.counters.decisions == decisions
    pass_ms(quoter, 2_100, 4_000)
    assert quoter.status(T0 + 4_000 * MS)["portfolio"]["alone"] == ""


def test_old_numbers_end_and_are_counted() -> None:
    quoter = engine()
    alone = centre_ticks(quoter)
    assert quoter.reasons()[Side.BUY] == (Reason.QUOTING, "alone: risk has sent no numbers yet")
    hear(quoter, view(2.0), T0 + 100 * MS)
    assert quoter.reasons()[Side.BUY] == (Reason.QUOTING, "")

    pass_ms(quoter, 200, 100 + AGE_MS_MAX)
    assert centre_ticks(quoter) == pytest.approx(alone - 120, abs=1)
    pass_ms(quoter, 200 + AGE_MS_MAX, 300 + AGE_MS_MAX)

    assert centre_ticks(quoter) == pytest.approx(alone, abs=1)
    assert quoter.reasons()[Side.SELL] == (Reason.QUOTING, "alone: risk's numbers are older than 3000 ms")
    assert quoter.status(T0)["portfolio"]["fallbacks_count"] == 1


@pytest.mark.parametrize("bad", [view(math.nan), view(math.inf), view(1.0, math.nan), view(1.0, -0.1)])
def test_numbers_that_are_none_are_refused(bad: PortfolioView) -> None:
    quoter = engine()
    alone = centre_ticks(quoter)
    hear(quoter, view(2.0), T0 + 100 * MS)

    hear(quoter, bad, T0 + 200 * MS)

    assert centre_ticks(quoter) == pytest.approx(alone, abs=1)
    assert "risk sent skew" in quoter.status(T0)["portfolio"]["alone"]


def test_other_models_pass_them_over() -> None:
    quoter = quoting()

    assert quoter.handle(view(2.0), T0 + 100 * MS) == []
    assert "portfolio" not in quoter.status(T0)


def told(quoter: QuoteEngine, ms: int) -> list[float]:
    now_ns = T0 + ms * MS
    return [command.per_bp_s for command in quoter.handle(Timer(), now_ns) if isinstance(command, FillCurve)]


def test_risk_hears_of_our_fills_once_and_again_when_they_change() -> None:
    """D = 2 A k C at the defaults A 0.5, k 0.7, γ 0.08; half a bp of adverse markout takes e^(-k/4) of it."""
    quoter = engine()
    usual = 2 * 0.5 * math.exp(-0.7 * 0.5 / 2) * 0.7 * (1 + 0.08 / 0.7) ** -(1 + 0.7 / 0.08)

    assert told(quoter, 100) == [pytest.approx(usual)]
    assert told(quoter, 10_000) == []
    estimates = quoter._quoter.estimates
    quoter._quoter.take(estimates._replace(bid=Intensity(1.0, 0.7), ask=Intensity(1.0, 0.7)))
    assert told(quoter, 10_100) == [pytest.approx(2 * usual)]
    quoter._quoter.take(estimates)
    assert told(quoter, 12_000) == []  # too soon
    assert told(quoter, 15_100) == [pytest.approx(usual)]
    quoter.handle(RiskLink(True), T0 + 15_200 * MS)
    assert told(quoter, 15_300) == [pytest.approx(usual)]  # perhaps another life
    quoter.handle(RiskLink(False), T0 + 15_400 * MS)
    assert told(quoter, 15_500) == []


def test_intensities_that_are_none_are_not_told() -> None:
    quoter = engine()
    quoter._quoter.take(quoter._quoter.estimates._replace(bid=Intensity(math.nan, 0.7)))

    assert told(quoter, 100) == []
