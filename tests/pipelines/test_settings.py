"""Bad configuration stops the start with one line that names the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.vocab.config import FleetSettings
from actors.vocab.errors import ConfigError
from pipelines.settings import load_settings


def test_nothing_given_means_defaults() -> None:
    assert load_settings() == FleetSettings()


def test_later_wins_over_earlier(tmp_path: Path) -> None:
    conf = tmp_path / "a.yaml"
    conf.write_text("quote: {gamma: 0.2, levels_count: 2}\n")
    settings = load_settings([conf], ["quote.gamma=0.3", "fees.maker_bps=0"])
    assert (settings.quote.gamma, settings.quote.levels_count, settings.fees.maker_bps) == (0.3, 2, 0.0)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("quote.gama=1", "quote.gama; did you mean gamma?"),
        ("qoute.gamma=1", "qoute; did you mean quote?"),
        ("quote.gamma=-1", "quote.gamma: Input should be greater than or equal to 0.000000001, got -1"),
        ("quote.gamma=.nan", "quote.gamma"),
        ("quote.gamma=high", "quote.gamma"),
        ("quote.gamma", "section.key=value"),
        ("gamma=1", "section.key=value"),
        ("risk.lease_ttl_ms=600", "lease_ttl_ms must be at least twice renew_interval_ms"),
        ("quote.order_usd=5000", "order_usd must not exceed position_usd_max"),
    ],
)
def test_a_bad_override_is_named(override: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(overrides=[override])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["- 1\n", "quote: 3\n", "quote: {gamma: [\n", "nonsense: {}\n"])
def test_a_bad_file_is_named(tmp_path: Path, content: str) -> None:
    conf = tmp_path / "bad.yaml"
    conf.write_text(content)
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        load_settings([conf])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_settings([tmp_path / "none.yaml"])


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("quote.order_usd=0500", 500.0),
        ("quote.order_usd=1_000", 1000.0),
        ("quote.gamma=1e-3", 0.001),
        ("quote.gamma=.5", 0.5),
        ("quote.gamma=2.", 2.0),
        ("quote.levels_count=08", 8),
        ("llm.opinions=off", "off"),
        ("llm.enabled=off", False),
        ("llm.enabled=true", True),
        ("fees.maker_bps=~", None),
        ("llm.key_env=2020-01-01", "2020-01-01"),
        ("llm.signal_fallbacks=[a, b]", ("a", "b")),
    ],
)
def test_values_are_read_as_they_are_meant(override: str, value: object) -> None:
    section, name = override.partition("=")[0].split(".")
    assert getattr(getattr(load_settings(overrides=[override]), section), name) == value


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("quote.order_usd=1:30", "quote.order_usd"),
        ("quote.order_usd=0x10", "quote.order_usd"),
        ("quote.levels_count=true", "quote.levels_count is no switch"),
        ("fees.maker_bps=False", "fees.maker_bps is no switch"),
        ("quote.price_bands={BTCUSDT: [true, 5]}", "quote.price_bands is no switch"),
        ("quote.price_bands={BTCUSDT: [1, 5], BTCUSDT: [2, 5]}", "BTCUSDT stands there twice, in line 1"),
        ("quote.price_bands=&a {BTCUSDT: *a}", "quote.price_bands"),
        ("quote.gamma=2020-13-45", "quote.gamma"),
        ("quote.gamma=!!timestamp 2020-13-45", "quote.gamma: a value cannot be read"),
        ("quote.gamma=!!int soon", "quote.gamma: a value cannot be read"),
        ("quote.gamma=!!bool soon", "quote.gamma: a value cannot be read"),
        ("quote.gamma=" + "9" * 5000, "quote.gamma: a value cannot be read"),
        ("quote.gamma=" + "[" * 5000, "quote.gamma: nested too deeply"),
        ("quote.gamma=" + "[" * 100 + "]" * 100, "quote.gamma"),
    ],
)
def test_what_cannot_be_meant_is_one_line(override: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(overrides=[override])
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("risk: {gross_usd_max: 500}\nquote: {gamma: 1}\nrisk: {symbol_usd_max: 50}\n", "risk stands there twice, in"),
        ("risk:\n  gross_usd_max: 500\n  gross_usd_max: 600\n", "gross_usd_max stands there twice, in lines 2 and 3"),
        ("{" * 5000, "nested too deeply"),
    ],
)
def test_a_key_given_twice_is_refused(tmp_path: Path, content: str, said: str) -> None:
    conf = tmp_path / "twice.yaml"
    conf.write_text(content)
    with pytest.raises(ConfigError, match=r"twice\.yaml") as caught:
        load_settings([conf])
    assert said in str(caught.value)


def test_an_anchor_may_be_used_again(tmp_path: Path) -> None:
    conf = tmp_path / "anchor.yaml"
    conf.write_text("quote: {gamma: &a 0.2, horizon_s: *a}\n")
    assert load_settings([conf]).quote.horizon_s == 0.2
