"""Each check says what it found and, where that is wrong, what to do; the venue timers say their true time."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from actors.gateway.limits import LIMITS, countdown_plan
from actors.vocab.config import LlmSettings
from pipelines import doctor
from tests.pipelines.wrong_input import refusal_of, typed


def test_every_check_has_a_line_and_the_code_says_whether_all_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    code = typed(doctor.app, "pipelines.doctor", [])
    out = capsys.readouterr().out
    assert {f"{venue} timer" in out for venue in LIMITS} == {True}
    assert code == any(line.startswith("no ") for line in out.splitlines())


@pytest.mark.parametrize("symbols_count", [1, 50, 200])
def test_a_timer_is_what_the_gateway_really_arms(symbols_count: int) -> None:
    interval_ms, armed_ms = countdown_plan(symbols_count=symbols_count, countdown_ms=10_000)
    text = doctor.venue_timer("binance_perp", symbols_count, 10_000).text
    assert f"{symbols_count} symbols: each re-armed every {interval_ms / 1000:.0f} s" in text
    assert f"cancels after {armed_ms / 1000:.0f} s at most" in text
    assert ("out of reach" in text) == (armed_ms > 10_000) == (symbols_count > 1)


def test_spot_has_no_timer_and_a_timer_that_is_off_is_wrong() -> None:
    assert "the venue has none" in doctor.venue_timer("binance_spot", 50, 10_000).text
    off = doctor.venue_timer("binance_perp", 50, 0)
    assert not off.good
    assert "gateway.countdown_ms" in off.remedy


def test_missing_keys_are_named_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BINANCE_API_KEY", "BINANCE_SECRET", "HOLYSHEEP_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    found = doctor.check_venue_key("binance_perp")
    assert (found.good, found.text) == (False, "BINANCE_API_KEY and BINANCE_SECRET not set")
    assert found.remedy
    assert "HOLYSHEEP_API_KEY" in doctor.check_relay_key(LlmSettings()).remedy
    monkeypatch.setenv("HOLYSHEEP_API_KEY", "YOUR_HOLYSHEEP_API_KEY")
    assert "placeholder" in doctor.check_relay_key(LlmSettings()).remedy


def test_a_remedy_stands_below_what_is_wrong() -> None:
    console = Console(file=io.StringIO(), width=100)
    doctor.show([doctor.Finding("disk", False, "3 MB free", "free 1 GB"), doctor.Finding("Ray", True, "2.x")], console)
    assert isinstance(console.file, io.StringIO)
    lines = [line.split() for line in console.file.getvalue().splitlines()]
    assert lines == [["no", "disk", "3", "MB", "free"], ["→", "free", "1", "GB"], ["ok", "Ray", "2.x"]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--mode", "moon"), "--mode moon: choose sim or live"),
        (("--symbols", "top99"), "the shipped universe has 50"),
        (("--set", "gateway.countdown=1"), "did you mean countdown_ms?"),
        (("now",), "unexpected extra argument"),
    ],
)
def test_wrong_usage_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    assert said in refusal_of(doctor.app, "pipelines.doctor", monkeypatch, capsys)(*arguments)
