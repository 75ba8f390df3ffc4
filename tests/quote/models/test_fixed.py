"""The baseline answers what it was told to."""

from __future__ import annotations

import pytest

from actors.quote.models.catalogue import estimates_of, make_model
from actors.quote.models.protocol import NoPrice, Price, State
from actors.vocab.config import QuoteSettings


def test_fixed_model_is_taken_at_its_word() -> None:
    settings = QuoteSettings(
        model="fixed", fixed_half_spread_bps=0.5, fixed_skew_bps=0.4, order_usd=250, position_usd_max=2_000
    )
    model = make_model(settings)

    price = model.price(State(position_orders=4.0, position_share=0.5, volatility_bps=99.0), estimates_of(settings))

    assert not isinstance(price, NoPrice)
    assert (price.centre_bps, price.spread_bps) == (-0.2, 1.0)
    assert price.skew_bps == pytest.approx(0.05)  # a shift of 0.4 over eight orders
    assert price == Price(-0.2, 1.0, price.skew_bps)
    assert not model.respects_fees
