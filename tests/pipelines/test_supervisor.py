"""The way down of a run whose figures, audit or report fail, with actors that only write down what they are asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from actors.transport.meters import Histogram
from actors.vocab.config import FleetSettings
from pipelines import supervisor
from pipelines.exits import ExitCode
from pipelines.figures import Figures
from pipelines.plan import RunPlan
from pipelines.supervisor import StopSignals, Supervisor

ROLES = ("registry", "risk", "quote:A", "gateway:v", "treasury")


class Handle:
    """A Ray actor's handle as the supervisor uses it: `handle.method.remote(…)`."""

    def __init__(self, role: str, said: list[str]) -> None:
        self._role = role
        self._said = said

    def __getattr__(self, method: str) -> Any:
        def remote(*_arguments: Any) -> Awaitable[Any]:
            self._said.append(f"{self._role} {method}")

            async def answer() -> Any:
                return [] if method == "stop" else b"\x90" if method == "fills" else {}

            return asyncio.ensure_future(answer())

        return SimpleNamespace(remote=remote)


class Stage(Supervisor):
    """A supervisor whose fleet is up and quotes."""

    def __init__(self, folder: Path) -> None:
        self.said: list[str] = []
        self.notes: list[str] = []
        self._plan: Any = SimpleNamespace(speed="1x", run_dir=folder, duration_s=None)
        self._stop = StopSignals()
        self._fleet: Any = SimpleNamespace(
            watched=["risk"],
            handles={role: Handle(role, self.said) for role in ROLES},
            kill=lambda roles: self.said.append(f"kill {' '.join(roles)}"),
        )
        self._screen: Any = SimpleNamespace(note=self.notes.append)
        self._figures: Any = SimpleNamespace(
            take=lambda statuses: None, stop_counting=lambda: None, risk={}, replay=dict
        )
        self._quoting_since_s = None
        self._given_up = {}
        self._answered = set()
        self.polls_count = 0

    async def _poll(self, *, everybody: bool = False) -> None:
        self.polls_count += 1

    def _write_report(self, *_arguments: Any) -> int:
        self.said.append("report")
        return ExitCode.FINE


class Worse(Stage):
    """Nothing that counts works."""

    async def _poll(self, *, everybody: bool = False) -> None:
        await super()._poll(everybody=everybody)
        raise OSError(28, "No space left on device")

    def _write_report(self, *_arguments: Any) -> int:
        raise OSError(28, "No space left on device")


async def _unreadable(_run_dir: Path) -> None:
    raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")


@pytest.mark.parametrize(("kind", "failed_count"), [(Stage, 1), (Worse, 3)])
def test_the_actors_are_stopped_whatever_audit_and_report_do(
    kind: type[Stage], failed_count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "audit_run", _unreadable)
    stage = kind(tmp_path)
    assert asyncio.run(stage._down([])) == ExitCode.FAILED
    assert stage.said[:2] == ["quote:A stop", "gateway:v stop"]
    assert stage.said[-3:] == ["risk stop", "treasury stop", "kill risk"]
    assert sum(note.startswith("FAILED: ") for note in stage.notes) == failed_count


def test_risk_hears_from_us_while_the_audit_takes_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow(_run_dir: Path) -> Any:
        await asyncio.sleep(0.1)

    monkeypatch.setattr(supervisor, "audit_run", slow)
    monkeypatch.setattr(supervisor, "HEARTBEAT_INTERVAL_S", 0.01)
    stage = Stage(tmp_path)
    asyncio.run(stage._down([]))
    asked = stage.said.index("risk fills")
    assert stage.said[:asked].count("risk watched") > 3
    assert "report" in stage.said


def test_a_watcher_that_fails_goes_on(tmp_path: Path) -> None:
    async def watched() -> int:
        stage = Worse(tmp_path)
        task = asyncio.create_task(stage._forever(stage._poll, 0.001))
        await asyncio.sleep(0.1)
        task.cancel()
        return stage.polls_count

    assert asyncio.run(watched()) > 3


class Traded(Stage):
    """A run that has placed an order; its report stays in memory."""

    def __init__(self, folder: Path, plan: RunPlan) -> None:
        super().__init__(folder)
        self._figures = Figures(plan, dashboard="")
        self._figures.take({"gateway:v": {"incarnation": "gateway@1", "orders": {"placed": 1}}})
        self._startup = {}
        self._ray_call = Histogram()
        self._cpu_mean = 0.5

    _write_report = Supervisor._write_report


@pytest.mark.parametrize(
    ("why", "code"), [("the venue does not answer", ExitCode.FAILED), (supervisor.SKIPPED, ExitCode.FINE)]
)
def test_a_run_that_traded_and_could_not_be_audited_has_failed(
    why: str, code: ExitCode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Any] = []
    monkeypatch.setattr(supervisor, "write_report", lambda _folder, run, _failed: written.append(run.summary))
    monkeypatch.setattr(supervisor, "ray_pss_mb", lambda: 0.0)
    plan = RunPlan(
        run_id="run-1",
        mode="sim",
        symbols=("A",),
        venues=("v",),
        settings=FleetSettings(),
        run_dir=tmp_path,
        account="demo",
        seed=1,
    )
    assert Traded(tmp_path, plan)._write_report(1.0, (), why, []) == code
    assert written[0]["audit"] == {"result": "not read", "why": why}
