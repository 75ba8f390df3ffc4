"""The reference case of the joint model from this side: c of our own, skew and width of risk."""

from __future__ import annotations

import math

import pytest

from actors.quote.joint import JointTerms
from actors.quote.models.glft import Glft
from actors.quote.models.portfolio import Portfolio
from actors.quote.models.protocol import Estimates, Intensity, NoPrice, PortfolioTerms, Price, State

GAMMA = 0.01
# √γ Γ of two symbols with σ = (.3, .2), ρ = .6, A = (.9, .6), k = (.3, .4); see tests/risk/test_joint_skew.py.
MATRIX = ((0.0658196041, 0.0175068415), (0.0175068415, 0.0441599117))
SIDES = (Intensity(0.9, 0.3), Intensity(0.6, 0.4))
SIGMAS = (0.3, 0.2)


def estimates(symbol: int, positions: tuple[float, float] | None, **changes: float) -> Estimates:
    side = SIDES[symbol]
    if positions is None:
        return Estimates(side, side, **changes)
    skew = sum(each * position for each, position in zip(MATRIX[symbol], positions, strict=True))
    return Estimates(
        side, side, portfolio=PortfolioTerms(skew, MATRIX[symbol][symbol] / 2, positions[symbol]), **changes
    )


def state(symbol: int, position: float) -> State:
    return State(position, 0.0, SIGMAS[symbol])


def model() -> Portfolio:
    return Portfolio(gamma=GAMMA, xi=GAMMA)


def distances(answer: Price | NoPrice) -> tuple[float, float]:
    assert isinstance(answer, Price)
    return answer.spread_bps / 2 - answer.centre_bps, answer.spread_bps / 2 + answer.centre_bps


@pytest.mark.parametrize(
    ("positions", "bids", "asks"),
    [
        ((0.0, 0.0), (3.311892, 2.491341), (3.311892, 2.491341)),
        ((3.0, 0.0), (3.509351, 2.543862), (3.114433, 2.438821)),
        ((3.0, -3.0), (3.456830, 2.411382), (3.166954, 2.571300)),
    ],
)
def test_quotes_of_the_reference_case(
    positions: tuple[float, float], bids: tuple[float, float], asks: tuple[float, float]
) -> None:
    for symbol in range(2):
        answer = model().price(state(symbol, positions[symbol]), estimates(symbol, positions))

        assert distances(answer) == pytest.approx((bids[symbol], asks[symbol]), abs=1e-6)


def test_an_own_fill_counts_before_risk_has_heard_of_it() -> None:
    """Risk still counts (2, 0); we hold 3 by now."""
    early = model().price(state(0, 3.0), estimates(0, (2.0, 0.0)))

    assert distances(early) == pytest.approx(distances(model().price(state(0, 3.0), estimates(0, (3.0, 0.0)))))
    assert isinstance(early, Price)
    assert early.skew_bps == pytest.approx(MATRIX[0][0])


@pytest.mark.parametrize("position", [-7.0, 0.0, 2.5])
def test_without_numbers_of_risk_it_is_glft(position: float) -> None:
    for horizon_s in (math.inf, 30.0):
        alone = Portfolio(gamma=GAMMA, xi=GAMMA, horizon_s=horizon_s)
        glft = Glft(gamma=GAMMA, xi=GAMMA, horizon_s=horizon_s)
        found = estimates(0, None, adverse_bps=0.1, drift_bps_per_s=0.01)

        assert alone.price(state(0, position), found) == glft.price(state(0, position), found)


@pytest.mark.parametrize("changes", [{}, {"adverse_bps": 0.5}, {"drift_bps_per_s": 0.005}])
def test_a_portfolio_of_one_symbol_is_glft(changes: dict[str, float]) -> None:
    glft = Glft(gamma=GAMMA, xi=GAMMA).price(state(0, 3.0), estimates(0, None, **changes))
    assert isinstance(glft, Price)
    terms = PortfolioTerms(3.0 * glft.skew_bps, glft.skew_bps / 2, 3.0)

    one = model().price(state(0, 3.0), estimates(0, None, **changes)._replace(portfolio=terms))

    assert one == pytest.approx(glft)


def test_intensities_that_are_none_give_no_price() -> None:
    unusable = estimates(0, (1.0, 0.0))._replace(bid=Intensity(math.nan, 0.3))

    assert isinstance(model().price(state(0, 1.0), unusable), NoPrice)


def test_where_there_is_no_finite_answer_it_says_so_as_glft_does() -> None:
    side = Intensity(1.0, 50.0)
    lone = Estimates(side, side, adverse_bps=40.0)
    joint = lone._replace(portfolio=PortfolioTerms(0.0, 1.0, 0.0))
    for model, seen in ((Glft(gamma=0.1, xi=0.1), lone), (Portfolio(gamma=0.1, xi=0.1), joint)):
        assert isinstance(model.price(State(0.0, 0.0, 1.0), seen), NoPrice)
    assert JointTerms(age_ms_max=1_000, gamma=0.1, xi=0.1).to_tell("v", "s", joint, 10**12) is None
