"""The article's numbers, and what its own units make of them."""

from __future__ import annotations

import math

import pytest

from actors.quote.models.article import Article, additive_spread_bps, article_vol, total_spread
from actors.quote.models.avellaneda_stoikov import total_spread as paper_spread
from actors.quote.models.protocol import Estimates, Intensity, NoPrice, Price, State
from actors.vocab.config import QuoteSettings

ESTIMATES = Estimates(Intensity(1.0, 1.0), Intensity(1.0, 1.0))


def test_its_closed_form_counts_the_risk_twice() -> None:
    market = {"gamma": 0.1, "sigma": 2.0, "k": 1.5}

    assert total_spread(day=1.0, **market) == pytest.approx(2.0908, abs=5e-5)
    assert paper_spread(horizon=1.0, **market) == pytest.approx(1.6908, abs=5e-5)
    assert paper_spread(horizon=0.5, **market) == pytest.approx(1.4908, abs=5e-5)


def test_its_hourly_volatility_is_daily() -> None:
    assert article_vol(5e-4) == pytest.approx(0.018973666, abs=5e-10)
    assert 5e-4 * math.sqrt(60) == pytest.approx(0.003872983, abs=5e-10)  # what an hour has


@pytest.mark.parametrize(("vol", "spread"), [(0.6 / math.sqrt(365), 157), (0.6 / math.sqrt(365 * 24), 32)])
def test_sixty_percent_a_year(vol: float, spread: float) -> None:
    assert additive_spread_bps(vol_daily=vol, imbalance=0, inventory_skew=0) == pytest.approx(spread, abs=0.5)


def test_everything_widens_both_sides_and_nothing_moves_the_centre() -> None:
    quiet = Article().price(State(0.0, 0.0, 0.1), ESTIMATES)
    long = Article().price(State(4.0, 0.5, 0.1, imbalance=-0.5), ESTIMATES)

    assert isinstance(quiet, Price)
    assert isinstance(long, Price)
    assert long.spread_bps - quiet.spread_bps == pytest.approx(50 + 1.5)
    assert long.centre_bps == quiet.centre_bps == 0.0
    assert isinstance(Article().price(State(0.0, 0.0, math.nan), ESTIMATES), NoPrice)


def test_bounds_of_its_own() -> None:
    assert additive_spread_bps(vol_daily=0, imbalance=0, inventory_skew=0) == 1.0
    assert additive_spread_bps(vol_daily=1, imbalance=1, inventory_skew=1) == 200.0


def test_it_is_never_the_default() -> None:
    assert QuoteSettings().model != "article"
