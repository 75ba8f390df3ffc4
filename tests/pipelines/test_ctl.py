"""`ctl` on a fleet that answers as the real actors do, on one that is silent, and on none."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from actors.vocab.errors import ConfigError
from pipelines import cards, ctl
from pipelines.exits import ExitCode
from tests.pipelines.wrong_input import refusal_of

QUOTE = {
    "venue": "binance_perp",
    "symbol": "BTCUSDT",
    "bid": "116366.6",
    "ask": "",
    "spread_bps": 0.0,
    "position_usd": 232.7,
    "state": "WARNING",
    "bid_reason": "quoting",
    "ask_reason": "lease used up",
    "two_sided": False,
    "two_sided_share": 0.93,
    "lease_left_ms": 1763,
    "lease_long_lots": 4,
    "lease_short_lots": 6,
    "orders_per_min": 550,
    "open_orders": 1,
}
RISK = {
    "state": "WARNING",
    "reason": "gross 81 % of its limit",
    "risk": {"gross_usd_now": 81_000.0, "gross_limit_usd": 100_000.0},
    "pnl": {"net_usd": -1.5},
    "fills_count": 3,
    "symbols": [{"symbol": "BTCUSDT", "net_usd": -1.5, "fills_count": 3}],
}
WHY = {
    "binance_perp": {
        "state": "WARNING",
        "reason": "gross 81 % of its limit",
        "causes": {"fleet": {"gross": "gross 81 % of its limit"}},
        "waits_for": "",
        "fence_pending": True,
    }
}


class FakeRemote:
    """Answers from dictionaries; `orders_open` is used up one a question."""

    account = "mine"

    def __init__(self, *, orders_open: list[int | None], risk: bool = True) -> None:
        self.orders_open = orders_open
        self.risk = risk
        self.calls: list[tuple[Any, ...]] = []

    def ask(self, role: str, method: str, *args: Any) -> Any:
        self.calls.append((role, method, *args))
        if not self.risk:
            raise ctl.NoAnswer(f"{role} does not answer (GetTimeoutError)")
        if method == "why":
            return WHY if args == ("BTCUSDT",) else {}
        return "kill: fleet" if method == "command" else RISK

    def ask_all(self, prefix: str, method: str) -> dict[str, Any]:
        if prefix == "quote:":
            return {"quote:BTCUSDT": {"symbols": {"BTCUSDT": QUOTE}}}
        count = self.orders_open.pop(0) if len(self.orders_open) > 1 else self.orders_open[0]
        return {} if count is None else {"gateway:binance_perp": {"state": "open", "orders_open_count": count}}


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=160)


def text_of(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_status_shows_fleet_gateways_and_symbols(console: Console) -> None:
    assert ctl.show_status(FakeRemote(orders_open=[1]), console) == ExitCode.FINE
    text = text_of(console)
    assert "0/1 quoting  WARNING  net -1.50 USD  gross 81,000 of 100,000 (81%)  1 open orders  3 fills" in text
    assert "because: gross 81 % of its limit" in text
    assert "gateway:binance_perp: open, 1 open orders" in text
    assert "quoting; lease used up" in text


def test_why_names_each_side_the_lease_and_every_cause(console: Console) -> None:
    assert ctl.show_why(FakeRemote(orders_open=[1]), "BTCUSDT", console) == ExitCode.FINE
    lines = [" ".join(line.split()) for line in text_of(console).splitlines()]
    assert "bid 116366.6 quoting" in lines
    assert "ask – lease used up" in lines
    assert "lease 1,763 ms left: position within -6 … +4 lots, 550 orders a minute" in lines
    assert "risk WARNING gross 81 % of its limit" in lines
    assert "fleet: gross 81 % of its limit" in lines
    assert any("fenced" in line for line in lines)


def test_a_symbol_of_nobody_is_refused_before_anything_is_stopped(console: Console) -> None:
    remote = FakeRemote(orders_open=[1])
    with pytest.raises(ConfigError, match="NOPE is not traded by fleet mine; it has BTCUSDT"):
        ctl.show_why(remote, "NOPE", console)
    with pytest.raises(ConfigError, match="--symbol NOPE: not traded by fleet mine; nothing was stopped"):
        ctl.do_kill(remote, "NOPE", "", console)
    assert not [call for call in remote.calls if call[1] == "command"]


def test_kill_tells_risk_and_looks_until_nothing_rests(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctl, "POLL_INTERVAL_S", 0.0)
    remote = FakeRemote(orders_open=[2, None, 1, 0])
    assert ctl.do_kill(remote, "", "because", console) == ExitCode.FINE
    assert remote.calls == [("risk", "command", "kill", "", "because")]
    assert "no open order left" in text_of(console)


def test_kill_says_so_when_an_order_stays(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctl, "KILL_TIMEOUT_S", 0.0)
    with pytest.raises(ctl.NoAnswer, match="2 orders still open"):
        ctl.do_kill(FakeRemote(orders_open=[2]), "", "", console)
    with pytest.raises(ctl.NoAnswer, match="a gateway does not answer"):
        ctl.do_kill(FakeRemote(orders_open=[None]), "", "", console)


def test_a_silent_risk_actor_is_explained(console: Console) -> None:
    with pytest.raises(ctl.NoAnswer, match="leases run out and quotes stop by themselves"):
        ctl.show_status(FakeRemote(orders_open=[1], risk=False), console)


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., str]:
    monkeypatch.setattr(cards, "_folder", lambda: tmp_path / "cards")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return refusal_of(ctl.app, "pipelines.ctl", monkeypatch, capsys)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Missing command"),
        (("stop",), "No such command 'stop'"),
        (("why",), "Missing argument"),
        (("status",), "no fleet is running here"),
        (("kill", "--account", "other"), "no fleet is running here for account other"),
        (("status", "--address", "127.0.0.1:1"), "--address 127.0.0.1:1: no Ray answers there"),
        (("status", "--address", "nonsense"), "--address nonsense: no Ray answers there"),
    ],
)
def test_wrong_usage_and_no_fleet_are_one_line(
    refused: Callable[..., str], arguments: tuple[str, ...], said: str
) -> None:
    assert said in refused(*arguments)


def test_of_several_fleets_one_must_be_chosen(refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards, "accepts", lambda address: True)
    with cards.posted(cards.FleetCard("a", "127.0.0.1:1")), cards.posted(cards.FleetCard("b", "127.0.0.1:2")):
        assert "several fleets run (a, b); choose one with --account" in refused("status")
