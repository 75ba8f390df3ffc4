"""What an opinion earned, how sure that is, and how long a planted model takes to be found out."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

import pytest

from actors.sim.relay import Oracle
from actors.treasury.scorecard import HORIZON_NS, ROUND_NS, Opinion, Scorecard, Scored, earned_usd, half_width
from actors.vocab.units import NS_PER_S
from tests.llm.kit import DEEPSEEK, GEMINI, sim_pool

S = NS_PER_S


def opinion(
    *, action: str = "bid", bid: float = 1.0, ask: float = 0.5, cost_usd: float = 0.0, mid: float = 100.0
) -> Opinion:
    return Opinion(
        call_id="c",
        model="m",
        symbol="A",
        action=action,
        confidence=0.8,
        bid_factor=bid,
        ask_factor=ask,
        cost_usd=cost_usd,
        applied=True,
        mid=mid,
        half_spread_bps=2.0,
    )


@pytest.mark.parametrize(
    ("bid", "ask", "move_bps", "usd"),
    [
        (1.0, 0.5, 10.0, 0.04),  # half the sales left out before a rise of 10: 0.5 * (10 - 2) bps of 100 USD
        (1.0, 0.5, -10.0, -0.06),  # the price fell: the sales would have been good, and their spread is gone too
        (0.5, 1.0, -10.0, 0.04),
        (0.0, 0.0, 10.0, -0.04),  # hold: what one side saves the other loses, and both spreads are gone
        (1.0, 1.0, 50.0, 0.0),
    ],
)
def test_an_opinion_earns_what_the_cut_fills_would_have_lost(
    bid: float, ask: float, move_bps: float, usd: float
) -> None:
    assert earned_usd(opinion(bid=bid, ask=ask), move_bps, 100.0) == pytest.approx(usd)


def test_the_sequence_narrows_and_is_wider_than_a_t_test() -> None:
    """By hand: n = 100, rho^2 = 0.2, alpha = 0.05: sqrt(2 * 21 / (100^2 * 0.2) * ln(sqrt(21) / 0.05)) = 0.3081."""
    assert half_width(count=100, deviation=1.0, alpha=0.05) == pytest.approx(0.3081, abs=1e-4)
    assert half_width(count=400, deviation=1.0, alpha=0.05) < 0.2
    assert half_width(count=1, deviation=0.0, alpha=0.05) == math.inf


def test_looking_at_every_round_mutes_a_worthless_but_free_model_at_most_as_often_as_stated() -> None:
    """Net exactly zero on average: the share of 300 models ever judged within 200 rounds stays below 5 %."""
    judged = 0
    for seed in range(300):
        chance = Random(seed)
        card = Scorecard(stake_usd=100.0, confidence=0.95)
        for round_no in range(200):
            side = chance.choice([(1.0, 0.5), (0.5, 1.0)])
            # The half spread that is given up comes back, so that the mean is zero.
            card.add(Scored(opinion(bid=side[0], ask=side[1], cost_usd=-0.01), round_no, chance.gauss(0.0, 6.0)))
            if card.cards["m"].verdict != "open":
                judged += 1
                break
    assert judged <= 15


def test_an_opinion_is_scored_once_its_horizon_is_over() -> None:
    card = Scorecard(stake_usd=100.0, confidence=0.95)
    card.mark("A", 100.0, 2.0, 0)
    card.opened([opinion()], 0)
    card.mark("A", 100.1, 2.0, HORIZON_NS - 1)
    assert card.mature(HORIZON_NS - 1) == []
    (scored,) = card.mature(HORIZON_NS)
    assert scored.move_bps == pytest.approx(10.0)
    assert card.cards["m"].row()["markout_bps"] == pytest.approx(10.0)


def test_without_a_fresh_mid_there_is_no_score() -> None:
    card = Scorecard(stake_usd=100.0, confidence=0.95)
    card.mark("A", 100.0, 2.0, 0)
    card.opened([opinion(), opinion(mid=0.0)], 0)
    assert card.mature(HORIZON_NS) == []  # the feed has been silent for half a minute
    assert card.unscored_count == 2


def test_rounds_are_longer_than_horizons_and_count_once() -> None:
    card = Scorecard(stake_usd=100.0, confidence=0.95)
    for second in range(0, 600, 10):
        now_ns = second * S
        card.add(Scored(opinion(), now_ns // ROUND_NS, 1.0))
    assert card.cards["m"].count == 60
    assert card.cards["m"].rounds.count == 9  # the tenth is still open


# --- planted models ----------------------------------------------------------------------------------------------

SYMBOLS = [f"S{n}" for n in range(10)]
HOURS = 3


def walk(seed: int) -> Callable[[str, int], float]:
    """Random walks of 1 bp a root second, half of the variance common to all symbols as in a crypto market."""
    chance = Random(seed)
    length = HOURS * 3600 + 60
    common = [chance.gauss(0.0, math.sqrt(0.5)) for _ in range(length)]
    paths: dict[str, list[float]] = {}
    for symbol in SYMBOLS:
        price, path = 100.0, []
        for step in common:
            price *= 1.0 + (step + chance.gauss(0.0, math.sqrt(0.5))) / 1e4
            path.append(price)
        paths[symbol] = path
    return lambda symbol, now_ns: paths[symbol][min(now_ns // S, length - 1)]


def knowing(price: Callable[[str, int], float], *, right: float, seed: int) -> Oracle:
    """A model that is right about the next horizon with this probability."""
    chance = Random(seed)

    def lean(symbol: str, now_ns: int) -> float:
        move = price(symbol, now_ns + HORIZON_NS) - price(symbol, now_ns)
        return move if chance.random() < right else -move

    return lean


def minutes_to_verdict(
    right: float, *, seed: int = 1, half_spread_bps: float = 1.0
) -> tuple[str, float, dict[str, bool]]:
    price = walk(seed)
    pool = sim_pool(
        seed=seed,
        members_count=2,
        symbols_count=len(SYMBOLS),
        oracles={DEEPSEEK: knowing(price, right=right, seed=seed)},
        opinions="auto",
    )
    pool.mark_every(1.0, price, half_spread_bps=half_spread_bps)
    assert pool.treasury is not None
    for minute in range(1, HOURS * 60):
        pool.run_until(minute * 60)
        card = pool.treasury.scorecard.cards.get(DEEPSEEK)
        if card is not None and card.verdict != "open":
            figures = pool.treasury.figures()["models"]
            return card.verdict, minute, {name: row["muted"] for name, row in figures.items()}
    return "open", HOURS * 60.0, {}


def test_a_planted_model_that_knows_is_kept() -> None:
    """Right three times in four about 30 seconds of a 5.5 bps market: found to earn within half an hour, at 95 %."""
    verdict, minutes, muted = minutes_to_verdict(0.75)
    assert verdict == "earns", minutes
    assert minutes <= 30
    assert not muted[DEEPSEEK]


def test_a_planted_model_that_guesses_is_muted_and_another_is_asked() -> None:
    """A coin costs the spread that it gives up: found to lose within half an hour, at 95 %."""
    verdict, minutes, muted = minutes_to_verdict(0.5)
    assert verdict == "loses", minutes
    assert minutes <= 30
    assert muted[DEEPSEEK]


def test_a_muted_model_is_still_measured_by_a_tenth_of_the_calls_and_never_applied() -> None:
    price = walk(2)
    pool = sim_pool(seed=2, members_count=2, symbols_count=10, opinions="auto")
    pool.mark_every(1.0, price, half_spread_bps=1.0)
    assert pool.treasury is not None
    pool.treasury._score = lambda now_ns: []  # type: ignore[method-assign]  # the verdict is given, not waited for
    pool.treasury._muted = frozenset({DEEPSEEK})
    pool.run_until(1800)
    cards = {view.model for _, view in pool.views}
    assert cards == {GEMINI}
    asked = [b"deepseek" in call.body for _, call in pool.calls]
    assert 0.05 < sum(asked) / len(asked) < 0.2


def test_where_every_model_is_muted_a_tenth_of_the_questions_goes_on() -> None:
    pool = sim_pool(seed=2, members_count=1, symbols_count=10, opinions="auto", signal_fallbacks=())
    assert pool.treasury is not None
    pool.treasury._score = lambda now_ns: []  # type: ignore[method-assign]
    pool.treasury._muted = frozenset({DEEPSEEK})
    pool.run_until(1000)
    assert pool.members[0].engine.figures()["items"] <= 120  # each symbol once in 100 s instead of in 10
    assert pool.views == []
