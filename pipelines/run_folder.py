"""What a run leaves in its folder for those who read it later: its description, risk's last word, the venues' ledgers.

`run.json` is the run's description without any secret (where keys lie, not what they are); `risk.json` holds risk's
final marks and exact profit, all of one moment; `summary.json` is the contract of `console/summary.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from actors.console.audit_views import FinalMarks
from actors.vocab.control import RunDescription, VenueAccount
from actors.vocab.errors import ConfigError

RUN, RISK, SUMMARY = "run.json", "risk.json", "summary.json"
PARTS = ("spread_capture", "inventory", "fees", "funding")


class RunFile(msgspec.Struct, frozen=True):
    """`run.json`."""

    run_id: str
    mode: str  # sim | paper | live | replay
    symbols: tuple[str, ...]
    seed: int
    journal_url: str
    settings_json: str
    accounts: tuple[VenueAccount, ...]
    accounts_are_new: bool  # simulated ones that began with the run; others have a life before it


class SymbolMark(msgspec.Struct, frozen=True):
    """One symbol at the end: risk's mark as bid plus ask in ticks, and what it had earned there."""

    venue: str
    symbol: str
    mid2: int
    net_usd: str


class RiskFile(msgspec.Struct, frozen=True):
    """`risk.json`."""

    pnl: dict[str, str]  # exact parts, USD
    symbols: tuple[SymbolMark, ...]


def write_run(run_dir: Path, run: RunDescription) -> None:
    """At the start, as soon as the run is described."""
    described = RunFile(
        run_id=run.run_id,
        mode=run.mode,
        symbols=run.symbols,
        seed=run.seed,
        journal_url=run.journal_url,
        settings_json=run.settings_json,
        accounts=run.accounts,
        # The run's own venues put their keys where only the run looks.
        accounts_are_new=all(Path(one.key_file).is_relative_to(run.runtime_dir) for one in run.accounts),
    )
    _write(run_dir / RUN, described)


def write_risk(run_dir: Path, status: Mapping[str, Any]) -> None:
    """At the end, from the same status of risk that the summary is made of. Nothing when risk did not answer."""
    if "pnl_exact" not in status:
        return
    saved = RiskFile(
        pnl={name: str(status["pnl_exact"][f"{name}_usd"]) for name in PARTS},
        symbols=tuple(
            SymbolMark(row["venue"], row["symbol"], int(row["mid2"]), str(row["net_usd"])) for row in status["symbols"]
        ),
    )
    _write(run_dir / RISK, saved)


def read_run(run_dir: Path) -> RunFile:
    """`ConfigError` when `run_dir` is no run's folder."""
    try:
        return msgspec.json.decode((run_dir / RUN).read_bytes(), type=RunFile)
    except OSError:
        raise ConfigError(f"{run_dir} holds no {RUN}; give the folder of a run, as its last line named it") from None
    except msgspec.MsgspecError as error:
        raise ConfigError(f"{run_dir / RUN}: not readable ({error}); was it written by another version?") from None


def read_marks(run_dir: Path) -> FinalMarks | None:
    """None when risk left none; `ConfigError` when the file is damaged."""
    path = run_dir / RISK
    if not path.exists():
        return None
    try:
        saved = msgspec.json.decode(path.read_bytes(), type=RiskFile)
    except msgspec.MsgspecError as error:
        raise ConfigError(f"{path}: not readable ({error})") from None
    return FinalMarks(
        mid2={(row.venue, row.symbol): row.mid2 for row in saved.symbols},
        net_by_symbol={(row.venue, row.symbol): Decimal(row.net_usd) for row in saved.symbols},
        parts={name: Decimal(text) for name, text in saved.pnl.items()},
    )


def read_summary(run_dir: Path) -> dict[str, Any] | None:
    """None while there is none; `ConfigError` when it is damaged."""
    path = run_dir / SUMMARY
    if not path.exists():
        return None
    try:
        summary = json.loads(path.read_text())
    except ValueError as error:
        raise ConfigError(f"{path}: not readable ({error})") from None
    if not isinstance(summary, dict):
        raise ConfigError(f"{path}: not a summary")
    return summary


def _write(path: Path, value: msgspec.Struct) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=1))
