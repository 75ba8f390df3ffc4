"""What may be typed after --symbols and --venues."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.vocab.errors import ConfigError
from pipelines.symbols import parse_symbols, parse_venues, refuse_unlisted


def test_a_comma_list_keeps_order_and_drops_repeats() -> None:
    assert parse_symbols("ETHUSDT, BTCUSDT,ETHUSDT") == ("ETHUSDT", "BTCUSDT")


def test_a_file_may_have_comments(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("BTCUSDT  # the big one\n\nETHUSDT\n")
    assert parse_symbols(str(path)) == ("BTCUSDT", "ETHUSDT")


def test_top50_is_shipped() -> None:
    assert len(parse_symbols("top50")) == 50
    assert parse_symbols("top3") == parse_symbols("top50")[:3]


@pytest.mark.parametrize("text", ["btcusdt", "BTC/USDT", "", ",", "top51", "no/such/file", "top0"])
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_symbols(text)


def test_an_unlisted_symbol_is_named_with_a_hint() -> None:
    with pytest.raises(ConfigError, match="BTCUSD; did you mean BTCUSDT"):
        refuse_unlisted(["BTCUSD"], ["BTCUSDT", "ETHUSDT"], where="binance_perp")


def test_venues_become_venue_ids() -> None:
    assert parse_venues("binance", "perp") == ("binance_perp",)
    with pytest.raises(ConfigError, match="kraken"):
        parse_venues("binance,kraken", "perp")
