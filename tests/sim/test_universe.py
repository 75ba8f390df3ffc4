"""The shipped universe: complete, dated, and usable as instruments."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from actors.sim.universe import instruments, prices
from actors.vocab.errors import ConfigError
from actors.vocab.instruments import Market
from pipelines.universe import read_universe


@pytest.mark.parametrize("market", ["perp", "spot"])
def test_fifty_symbols_can_be_quoted_at_their_reference_price(market: Market) -> None:
    universe = read_universe()
    listed = instruments(
        universe.symbols,
        venue=f"binance_{market}",
        market=market,
        quote=universe.quote,
        maker_fee_bps=2.0,
        taker_fee_bps=5.0,
    )
    start = prices(universe.symbols, market)

    assert len({row.symbol for row in listed}) == 50
    assert universe.as_of == "2025-08-08"
    for row in listed:
        assert row.symbol == row.base + "USDT"
        ticks = Decimal(str(start[row.symbol])) / row.tick
        assert ticks > 200, f"{row.symbol}: one tick is more than 50 bps"
        assert 1 <= row.lots_for_notional(int(ticks)) < row.lots_max


def test_multiplied_contract_is_found_by_either_name() -> None:
    universe = read_universe()

    (row,) = universe.choose(["1000PEPEUSDT", "PEPEUSDT"], "spot")

    assert (row.perp.base, row.spot.base) == ("1000PEPE", "PEPE")
    assert row.perp.price == pytest.approx(1000 * row.spot.price)


def test_unlisted_symbol_is_named() -> None:
    with pytest.raises(ConfigError, match="unknown symbol NOPEUSDT"):
        read_universe().choose(["BTCUSDT", "NOPEUSDT"], "perp")


@pytest.mark.parametrize(
    ("text", "what"),
    [("symbols: [", "is no YAML"), ("as_of: 2025-01-01\nquote: USDT\n", "symbols"), ("- 1", "Expected `object`")],
)
def test_wrong_file_is_one_line_with_its_name(tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)

    with pytest.raises(ConfigError, match=rf"mine.yaml.*{what}"):
        read_universe("mine", tmp_path)
    with pytest.raises(ConfigError, match="there are: mine"):
        read_universe("other", tmp_path)
