"""Money is whole nano-USD and never under-counted."""

from __future__ import annotations

from actors.treasury.prices import NUSD, Price, PriceList


def test_a_million_tokens_cost_what_the_list_says() -> None:
    assert Price.per_mtok(0.42, 0.42).nusd(400_000, 600_000) == 42 * NUSD // 100
    assert Price.per_mtok("3", "15").nusd(1_000_000, 1_000_000) == 18 * NUSD


def test_a_fraction_of_a_nano_is_rounded_up() -> None:
    assert Price.per_mtok("0.0001", "0.0001").nusd_in == 1


def test_an_unlisted_model_costs_what_the_dearest_does() -> None:
    prices = PriceList({"a": Price(1, 20), "b": Price(5, 5)})
    assert prices.of("z") == Price(5, 20)
