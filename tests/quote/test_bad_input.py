"""Numbers outside their domain: refused by name at configuration, a neutral reason while running. Never a price."""

from __future__ import annotations

import math
from typing import Any

import pytest

from actors.quote.models.protocol import Estimates, Intensity
from actors.vocab.errors import ConfigError
from actors.vocab.market import Level, Side
from actors.vocab.orders import CancelAll
from actors.vocab.reasons import Reason
from pipelines.settings import load_settings
from tests.quote import stage
from tests.quote.stage import MS, T0, book

BIDS: tuple[Level, ...] = ((599_995, 10),)
ASKS: tuple[Level, ...] = ((600_005, 10),)
MODELS: list[dict[str, Any]] = [
    {"model": "avellaneda_stoikov"},
    {"model": "avellaneda_stoikov", "horizon": "infinite"},
    {"model": "glft"},
    {"model": "glft", "glft_solution": "exact"},
    {"model": "riccati"},
]
GOOD = Estimates(Intensity(0.5, 0.7), Intensity(0.5, 0.7))


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("quote.gamma=0", "quote.gamma"),
        ("quote.gamma=-0.1", "quote.gamma"),
        ("quote.gamma=.nan", "quote.gamma"),
        ("quote.intensity_k_bps=0", "quote.intensity_k_bps"),
        ("quote.intensity_a_per_s=0", "quote.intensity_a_per_s"),
        ("quote.horizon_s=-1", "quote.horizon_s"),
        ("quote.horizon_s=.inf", "quote.horizon_s"),
        ("quote.volatility_bps_min=0", "quote.volatility_bps_min"),
        ("quote.volatility_bps_min=.nan", "quote.volatility_bps_min"),
        ("quote.model=avellaneda", "quote.model"),
        ("quote.horizon=none", "quote.horizon"),
        ("quote.spread_bps_min=300", "spread_bps_min must not exceed"),
        ("quote.price_bands={BTCUSDT: [70000, 60000]}", "price_bands of BTCUSDT"),
        ("quote.price_bands={BTCUSDT: [60000]}", "quote.price_bands.BTCUSDT"),
        ("quote.level_size_ratio=0", "quote.level_size_ratio"),
        ("quote.queue_keep=-1", "quote.queue_keep"),
    ],
)
def test_configuration_is_refused_with_its_key(override: str, key: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_settings((), [override])

    assert key in str(error.value)
    assert "\n" not in str(error.value)


def test_too_many_orders_for_the_exact_solution_are_refused() -> None:
    with pytest.raises(ConfigError, match="position_usd_max / order_usd must not exceed 100 orders"):
        load_settings((), ["quote.glft_solution=exact", "quote.order_usd=10"])


@pytest.mark.parametrize("model", MODELS, ids=str)
@pytest.mark.parametrize(
    "estimates",
    [
        GOOD._replace(bid=Intensity(math.nan, 0.7)),
        GOOD._replace(ask=Intensity(0.5, 0.0)),
        GOOD._replace(ask=Intensity(-1.0, 0.7)),
        GOOD._replace(drift_bps_per_s=math.nan),
        GOOD._replace(adverse_bps=math.inf),
        GOOD._replace(adverse_bps=-1.0),
    ],
    ids=lambda found: str(found)[:70],
)
def test_estimates_that_are_none_stop_quoting_with_a_reason_and_let_it_go_on(
    model: dict[str, Any], estimates: Estimates
) -> None:
    quoter = stage.quoting(fleet=stage.settings(**model))

    quoter._quoter.take(estimates)
    commands = quoter.handle(book(2, T0 + MS, 599_000, 599_010), T0 + MS)

    assert [type(command) for command in commands] == [CancelAll]
    stage.answer(quoter, commands, T0 + MS)
    code, text = quoter.reasons()[Side.BUY]
    assert code is Reason.NO_PRICE
    assert text.startswith(model["model"])
    quoter._quoter.take(GOOD)
    placed = stage.orders(quoter.handle(book(3, T0 + 2 * MS, 599_000, 599_020), T0 + 2 * MS))
    assert {order.side for order in placed} == {Side.BUY, Side.SELL}


@pytest.mark.parametrize(
    "model",
    # The volatility plays no part in the infinite horizon of Avellaneda and Stoikov.
    [*(one for one in MODELS if "horizon" not in one), {"model": "article"}],
    ids=str,
)
@pytest.mark.parametrize("volatility", [math.nan, math.inf])
def test_a_volatility_that_is_none_gives_no_price(model: dict[str, Any], volatility: float) -> None:
    quoter = stage.quoting(fleet=stage.settings(**model))

    class Broken:
        bps = volatility

    quoter._quoter._volatility = Broken()  # type: ignore[assignment]
    commands = quoter.handle(book(2, T0 + MS, 599_000, 599_010), T0 + MS)

    assert [type(command) for command in commands] == [CancelAll]
    assert quoter.reasons()[Side.SELL][0] is Reason.NO_PRICE


@pytest.mark.parametrize(
    ("bids", "asks", "code"),
    [
        ((), ASKS, Reason.NO_BOOK),
        (BIDS, (), Reason.NO_BOOK),
        ((), (), Reason.NO_BOOK),
        (((599_995, 0),), ASKS, Reason.NO_BOOK),
        (BIDS, ((600_005, 0),), Reason.NO_BOOK),
        (((600_005, 10),), ASKS, Reason.BOOK_CROSSED),
        (((600_015, 10),), ASKS, Reason.BOOK_CROSSED),
    ],
)
def test_books_that_are_none(bids: tuple[Level, ...], asks: tuple[Level, ...], code: Reason) -> None:
    quoter = stage.quoting(own_in_book=False)

    commands = quoter.handle(book(2, T0 + MS, bids=bids, asks=asks), T0 + MS)

    assert [type(command) for command in commands] == [CancelAll]
    assert quoter.reasons()[Side.BUY][0] is code
