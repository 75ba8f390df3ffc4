"""The page says of the models what a trader asks: what was it worth, what did it cost, what went wrong."""

from __future__ import annotations

from typing import Any

import pytest

from actors.console.report_models import model_sections, sentence

ROW: dict[str, Any] = {
    "calls": 20,
    "answered": 15,
    "opinions": 300,
    "applied": 270,
    "cost_usd": 0.03,
    "paid_usd": 0.02,
    "breaker_opens": 2,
    "earned_usd": 0.05,
    "opinions_usd": 0.01,
    "stopped": "",
    "muted": False,
    "faults": {"no answer in time": 3, "empty answer": 2},
}
CARD: dict[str, Any] = {
    "verdict": "open",
    "confidence": 0.95,
    "opinions": 300,
    "rounds": 9,
    "earned_usd": 0.05,
    "cost_usd": 0.01,
    "net_usd_mean": 0.0001,
    "net_usd_low": -0.0002,
    "net_usd_high": 0.0004,
}
LLM: dict[str, Any] = {
    "requests": 20,
    "items": 320,
    "items_per_request_mean": 16.0,
    "cache_hits": 4,
    "idle_s": {"signal": {}, "risk": {"breakers open": 0.4}},
    "cost_usd": 0.03,
    "paid_usd": 0.02,
    "budget_usd": 5.0,
    "stake_usd": 100.0,
    "forecast_usd": 2.5,
    "interval_s": 10.0,
    "interval_now_s": 10.0,
    "interval_stretch": 1.0,
    "models": {"m": ROW},
    "scorecard": {"m": CARD},
    "faults": ROW["faults"],
}


def page(net_usd: float = 0.4, **change: Any) -> str:
    return "\n".join(model_sections(LLM | change, net_usd=net_usd))


def test_a_run_without_questions_says_so_and_why() -> None:
    assert "not asked" in page(requests=0)
    assert "No call was made: HOLYSHEEP_API_KEY is empty" in page(requests=0, refused="HOLYSHEEP_API_KEY is empty")


def test_cost_budget_and_use_are_told_in_words() -> None:
    text = page()
    assert "The calls cost 0.0200 USD. Of the day&#x27;s 5 USD 0.0300 are used" in text
    assert "it is 2.50 by midnight UTC" in text
    assert "300 opinions on symbols came of it, of which 270 shaped quotes" in text


def test_stopped_models_are_told_with_the_remedy_a_line_for_each_reason() -> None:
    refused = ROW | {"stopped": "HTTP 401: the key is refused: check it, then restart"}
    text = page(models={"m": refused, "n": refused, "o": ROW | {"stopped": "unknown to the server"}})
    assert "<p class=bad>asked no more: m, n: HTTP 401: the key is refused: check it, then restart</p>" in text
    assert "<p class=bad>asked no more: o: unknown to the server</p>" in text
    assert "<td>stopped" in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"interval_now_s": 23.0, "interval_stretch": 2.3},
            "each 23 s instead of each 10 s, so that the day&#x27;s money",
        ),
        ({"interval_now_s": 100.0}, "each 100 s instead of each 10 s, as no model earns its cost"),
        (
            {"idle_s": {"risk": {"budget spent": 90.4}}},
            "For 90 s nobody could be asked about the whole book: budget spent",
        ),
    ],
)
def test_rarer_opinions_and_spent_money_are_told(change: dict[str, Any], said: str) -> None:
    assert said in page(**change)
    assert said not in page()


def test_each_way_of_failing_is_counted_by_model_beside_what_the_simulation_did() -> None:
    text = page(relay_faults={"error_5xx": 7})
    assert "<td>no answer in time<td class=n>3<td class=n>3" in text
    assert "<td>error 5xx<td class=n>7" in text


def test_what_opinions_were_worth_stands_beside_the_runs_net() -> None:
    assert "+10.0%" in page(net_usd=0.4)  # 0.05 spared, 0.01 paid
    assert "+10.0%" in page(net_usd=-0.4)  # what it adds counts as added
    assert "+10.0%" not in page(net_usd=0.0)


def test_a_sentence_says_what_was_spared_or_given_up_and_names_its_doubt() -> None:
    assert "300 opinions in 9 rounds would have spared 0.0500 USD of losing fills" in sentence("m", CARD)
    assert "given up 0.0500 USD of good fills" in sentence("m", CARD | {"earned_usd": -0.05})
    assert "(-0.2000 to +0.4000 at 95%): which way is not settled yet" in sentence("m", CARD)
    assert "too little to say more" in sentence("m", CARD | {"rounds": 1})


def test_names_with_markup_stay_text() -> None:
    assert "<b>" not in page(models={"<b>": ROW}, scorecard={"<b>": CARD})
