"""Counts of the pool outlive a killed member and a killed treasury."""

from __future__ import annotations

from typing import Any

from pipelines.model_figures import model_figures, operator_lines


def treasury(calls: int, cost_usd: float, faults: dict[str, int], stopped: str = "") -> dict[str, Any]:
    row = {
        **{"calls": calls, "answered": calls - 1, "opinions": 10, "applied": 9, "breaker_opens": 1},
        **{
            "earned_usd": 0.5,
            "opinions_usd": 0.25,
            "paid_usd": 0.0625,
            "cost_usd": cost_usd,
            "stopped": stopped,
            "muted": False,
        },
        "faults": faults,
    }
    return {
        **{
            "cost_usd": cost_usd,
            "breaker_opens": 1,
            "outcomes": {"ok": calls - 1},
            "idle_s": {"risk": {"breakers open": 1.25}},
        },
        **{"budget_usd": 5.0, "stake_usd": 100.0, "interval_s": 10.0, "interval_stretch": 1.0, "interval_now_s": 10.0},
        "models": {"m": row},
    }


LIVES = [treasury(5, 0.1, {"empty answer": 2}), treasury(3, 0.3, {"empty answer": 1, "not JSON": 1}, "HTTP 401")]
MEMBERS = [{"requests": 5, "items": 50}, {"requests": 3, "items": 30, "refused": ""}]


def test_counts_are_added_over_lives_and_money_is_the_last_lifes() -> None:
    figures = model_figures(MEMBERS, LIVES, {"faults": {"never": 4}})
    assert (figures["requests"], figures["items_per_request_mean"]) == (8, 10.0)
    assert (figures["cost_usd"], figures["breaker_opens"], figures["outcomes"]) == (0.3, 2, {"ok": 6})
    assert figures["paid_usd"] == 0.125  # of this run; the day's book is more after a crash
    assert figures["faults"] == {"empty answer": 3, "not JSON": 1}
    assert figures["idle_s"] == {"signal": {}, "risk": {"breakers open": 2.5}}
    model = figures["models"]["m"]
    assert (model["calls"], model["cost_usd"], model["stopped"]) == (8, 0.3, "HTTP 401")
    assert model["faults"] == figures["faults"]
    assert figures["relay_faults"] == {"never": 4}


def test_a_run_without_models_has_zeros() -> None:
    figures = model_figures([], [], {})
    assert (figures["requests"], figures["cost_usd"], figures["models"]) == (0, 0.0, {})


def test_the_operator_hears_why_models_are_asked_no_more() -> None:
    spent = LIVES[1] | {"idle_s": {"signal": {"budget spent": 3.0}, "risk": {}}}
    assert operator_lines(MEMBERS, LIVES[0]) == []
    assert operator_lines([{"refused": "HOLYSHEEP_API_KEY is empty"}] * 2, spent) == [
        "no model is asked: HOLYSHEEP_API_KEY is empty",
        "m is asked no more: HTTP 401",
        "the day's money does not reach for another signal call; quotes go on without its answer",
    ]
