"""What one run will be, decided and checked before anything starts."""

from __future__ import annotations

import secrets
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from platformdirs import user_state_path

from actors.vocab.config import FleetSettings
from actors.vocab.control import QuoteGroup
from actors.vocab.errors import ConfigError
from pipelines.preflight import claim_run_dir

Mode = Literal["sim", "paper", "live"]
Speed = Literal["1x", "max"]


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """Everything the operator chose. `account` names the journal; a simulated account lives as long as its run."""

    run_id: str
    mode: Mode
    symbols: tuple[str, ...]
    venues: tuple[str, ...]
    settings: FleetSettings
    run_dir: Path
    account: str
    seed: int
    duration_s: float | None = None
    replay: tuple[Path, ...] = ()
    speed: Speed = "1x"
    address: str | None = None
    detach: bool = False
    use_llm: bool = True
    # Simulated venues that run already; None: the run brings its own. On paper it listens to them; None: to real ones.
    venue_endpoints: Path | None = None

    @property
    def namespace(self) -> str:
        return f"manta-{self.account}"

    @property
    def journal_path(self) -> Path:
        """Simulated accounts end with their run; real ones outlive it, in the user's state folder."""
        if self.mode == "live":
            return live_journal_path(self.account)
        return self.run_dir / "journal.sqlite"

    def quote_groups(self) -> tuple[QuoteGroup, ...]:
        """Symbols packed into quote actors, `symbols_per_actor` each."""
        size = self.settings.quote.symbols_per_actor
        groups = [self.symbols[at : at + size] for at in range(0, len(self.symbols), size)]
        return tuple(QuoteGroup(f"quote:{'+'.join(group) if size <= 3 else group[0] + '…'}", group) for group in groups)


def live_journal_path(account: str) -> Path:
    """Where a real account's journal is, run after run."""
    return user_state_path("manta", ensure_exists=True) / f"{account}.sqlite"


def new_run_id() -> str:
    return time.strftime("%Y%m%d-%H%M%S", time.gmtime()) + "-" + secrets.token_hex(2)


def make_run_dir(path: Path | None, run_id: str) -> Path:
    """Create the run folder, emptied of what an earlier run left; ConfigError when it is in use or not writable."""
    run_dir = run_dir_of(path, run_id)
    claim_run_dir(run_dir).release()
    return run_dir


def run_dir_of(path: Path | None, run_id: str) -> Path:
    return (path or Path("runs") / run_id).absolute()


def make_runtime_dir() -> Path:
    """A short private folder for ipc sockets: their paths may not pass 107 bytes."""
    return Path(tempfile.mkdtemp(prefix="mnt-", dir="/tmp"))


def parse_duration(text: str | None, *, option: str = "--duration") -> float | None:
    """`90`, `90s`, `15m`, `2h` -> seconds."""
    if text is None:
        return None
    scale = {"s": 1, "m": 60, "h": 3600}.get(text[-1:])
    number = text[:-1] if scale else text
    try:
        seconds = float(number) * (scale or 1)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < 30 * 86_400:
        raise ConfigError(f"{option} {text}: write seconds, or 90s, 15m, 2h")
    return seconds
