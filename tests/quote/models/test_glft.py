"""`glft` and `riccati` as the engine asks them: bps, orders, estimates that change, sides that are not wanted."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.quote.models.catalogue import estimates_of, make_model
from actors.quote.models.protocol import Estimates, Intensity, NoPrice, Price, PricingModel, State
from actors.vocab.config import QuoteSettings

# The papers' reference market with one bp for one tick.
MARKET = {"gamma": 0.01, "intensity_a_per_s": 0.9, "intensity_k_bps": 0.3, "adverse_bps": 0.0, "order_usd": 100.0}


def model(**quote: Any) -> tuple[PricingModel, Estimates]:
    settings = QuoteSettings(**(MARKET | {"model": "glft", "position_usd_max": 3_000.0} | quote))
    return make_model(settings), estimates_of(settings)


def sides(found: Price | NoPrice) -> tuple[float, float]:
    """Distances of bid and ask."""
    assert isinstance(found, Price)
    return found.spread_bps / 2 - found.centre_bps, found.spread_bps / 2 + found.centre_bps


def test_closed_form() -> None:
    glft, estimates = model()

    assert sides(glft.price(State(10.0, 0.3, 0.3), estimates)) == pytest.approx((3.99157, 2.63426), abs=5.1e-6)
    drifting = estimates._replace(drift_bps_per_s=0.005)
    assert sides(glft.price(State(3.0, 0.1, 0.3), drifting)) == pytest.approx((3.139480, 3.486350), abs=5.1e-7)
    adverse = estimates._replace(adverse_bps=0.1)
    assert sides(glft.price(State(3.0, 0.1, 0.3), adverse)) == pytest.approx((3.568301, 3.158040), abs=5.1e-7)


def test_exact_solution_between_and_at_whole_orders() -> None:
    """The volatility is solved on a grid of one percent; the table's digits need the grid point itself."""
    glft, estimates = model(glft_solution="exact")

    on_grid = math.exp(round(math.log(0.3) / 0.01) * 0.01)
    at_10 = sides(glft.price(State(10.0, 1 / 3, 0.3), estimates))
    assert at_10 == pytest.approx((3.99293, 2.63280), abs=0.005)
    assert at_10 == sides(glft.price(State(10.0, 1 / 3, on_grid), estimates))
    at_11 = sides(glft.price(State(11.0, 1 / 3, 0.3), estimates))
    between = sides(glft.price(State(10.25, 1 / 3, 0.3), estimates))
    assert between == pytest.approx([0.75 * a + 0.25 * b for a, b in zip(at_10, at_11, strict=True)])


def test_exact_solution_quotes_one_side_at_the_bound() -> None:
    glft, estimates = model(glft_solution="exact")

    for position in (30.0, 31.5):
        found = glft.price(State(position, 1.0, 0.3), estimates)
        assert isinstance(found, Price)
        assert (found.bid, found.ask) == (False, True)
        assert math.isfinite(found.spread_bps)
    low = glft.price(State(-30.0, -1.0, 0.3), estimates)
    assert isinstance(low, Price)
    assert (low.bid, low.ask) == (True, False)


def test_riccati_leans_less_as_the_end_comes() -> None:
    short, estimates = model(model="riccati", horizon_s=1.0)
    long, _ = model(model="riccati", horizon_s=86_400.0)
    glft, _ = model()
    state = State(5.0, 0.1, 0.3)

    assert long.price(state, estimates) == pytest.approx(glft.price(state, estimates))
    brief = short.price(state, estimates)
    assert isinstance(brief, Price)
    assert brief.centre_bps == pytest.approx(-5.0 * 0.01 * 0.09 * 1.0, rel=1e-4)  # Avellaneda-Stoikov's γσ²τ


def test_new_estimates_are_taken_up() -> None:
    for solution in ("closed", "exact"):
        glft, estimates = model(glft_solution=solution)
        before = glft.price(State(0.0, 0.0, 0.3), estimates)
        other = estimates._replace(bid=Intensity(0.4, 0.3))
        after = glft.price(State(0.0, 0.0, 0.3), other)
        assert isinstance(before, Price)
        assert isinstance(after, Price)
        # Fewer of our bids fill: the centre moves up, toward where both sides fill alike.
        assert after.centre_bps > before.centre_bps
        assert glft.price(State(0.0, 0.0, 0.3), estimates) == before


BAD = [math.nan, math.inf, -math.inf, 0.0, -1.0]
NAMES = ["glft", "riccati", "avellaneda_stoikov", "exact", "infinite"]


def named(name: str, **quote: Any) -> tuple[PricingModel, Estimates]:
    special = {
        "exact": {"model": "glft", "glft_solution": "exact"},
        "infinite": {"model": "avellaneda_stoikov", "horizon": "infinite"},
    }
    return model(**(special.get(name, {"model": name}) | quote))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bad", BAD)
def test_estimates_outside_their_domain_are_a_reason(name: str, bad: float) -> None:
    for side in ("bid", "ask"):
        for wrong in (Intensity(bad, 0.3), Intensity(0.9, bad)):
            asked, estimates = named(name)
            said = asked.price(State(0.0, 0.0, 0.3), estimates._replace(**{side: wrong}))
            assert isinstance(said, NoPrice)
            assert f"{side} intensity" in said.text


@settings(max_examples=200)
@given(
    name=st.sampled_from([*NAMES, "fixed", "article"]),
    gamma=st.floats(1e-6, 1000),
    a=st.floats(1e-3, 1e4),
    k=st.floats(1e-3, 100),
    drift=st.floats(-10, 10),
    adverse=st.floats(0, 100),
    position=st.floats(-100, 100),
    sigma=st.floats(0.01, 1e4),
)
def test_every_model_answers_with_numbers_or_a_reason(
    name: str, gamma: float, a: float, k: float, drift: float, adverse: float, position: float, sigma: float
) -> None:
    asked, estimates = named(name, gamma=gamma, intensity_a_per_s=a, intensity_k_bps=k)
    estimates = estimates._replace(drift_bps_per_s=drift, adverse_bps=adverse)

    said = asked.price(State(position, position / 30, sigma), estimates)

    if isinstance(said, NoPrice):
        assert said.text
    else:
        assert said.bid or said.ask
        assert not math.isnan(said.spread_bps)
