"""`--show-settings` prints every key, and what it prints can be given back."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.vocab.config import FleetSettings
from pipelines import mm
from pipelines.settings import load_settings, settings_text
from tests.pipelines.wrong_input import typed


def test_the_printed_file_means_the_same_settings(tmp_path: Path) -> None:
    settings = load_settings(overrides=["quote.gamma=0.3", "fees.maker_bps=-0.5", "llm.base_url=https://x/v1"])
    path = tmp_path / "all.yaml"
    path.write_text(settings_text(settings))
    assert load_settings([path]) == settings


def test_every_key_is_there_with_its_bounds() -> None:
    text = settings_text(FleetSettings())
    assert "  gamma: 0.08" in text
    assert "risk aversion, per basis point and order; >= 1e-09, <= 1000" in text
    for section, field in FleetSettings.model_fields.items():
        assert f"{section}:\n" in text
        assert field.annotation is not None
        for key in field.annotation.model_fields:
            assert f"\n  {key}: " in text


def test_nothing_else_is_needed_to_print_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(mm.app, "pipelines.mm", ["--show-settings", "--set", "quote.gamma=7"]) == 0
    assert "  gamma: 7.0" in capsys.readouterr().out
