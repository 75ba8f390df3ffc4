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
