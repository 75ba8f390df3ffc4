"""The account's equity as risk counts it: day's loss and drawdown, over runs and restarts.

Equity is `capital_usd` plus the net profit of every run on the account since the journal began. Floats: these are
thresholds watched at every mark; the exact figures are the ledgers'.
"""

from __future__ import annotations

from actors.journal.rows import Loaded, MetaRow
from actors.vocab.config.risk import RiskSettings

NS_PER_DAY = 86_400 * 1_000_000_000


class Equity:
    """Start of run and day, high-water mark."""

    def __init__(self, settings: RiskSettings, loaded: Loaded, *, run_start_usd: float, wall_ns: int) -> None:
        self._settings = settings
        self.run_start_usd = run_start_usd
        self.equity_usd = float(loaded.equity_usd) if loaded.equity_usd else run_start_usd
        self.high_water_usd = float(loaded.high_water_usd) if loaded.high_water_usd else self.equity_usd
        self.day = loaded.day
        self.day_start_usd = float(loaded.day_start_usd) if loaded.day_start_usd else self.equity_usd
        self._written = ""
        self.roll(wall_ns)

    def update(self, net_usd: float) -> None:
        """Take the net profit of this run."""
        self.equity_usd = self.run_start_usd + net_usd
        self.high_water_usd = max(self.high_water_usd, self.equity_usd)

    def roll(self, wall_ns: int) -> bool:
        """True when a new UTC day began: its loss starts at nothing. A clock that jumps back changes nothing."""
        day = wall_ns // NS_PER_DAY
        if day <= self.day:
            return False
        self.day = day
        self.day_start_usd = self.equity_usd
        return True

    @property
    def day_loss_usd(self) -> float:
        return self.day_start_usd - self.equity_usd

    @property
    def drawdown_usd(self) -> float:
        return self.high_water_usd - self.equity_usd

    @property
    def day_loss_reached(self) -> bool:
        return self.day_loss_usd >= self._settings.day_loss_usd_max

    @property
    def drawdown_reached(self) -> bool:
        return self.drawdown_usd >= self._settings.capital_usd * self._settings.drawdown_pct_max / 100.0

    def forgive_drawdown(self) -> None:
        """After a breaker the mark starts at the present equity, or the same drawdown would trip it for ever."""
        self.high_water_usd = self.equity_usd

    def forgive_day(self) -> None:
        """An operator lifted the stop: the day's allowance starts again from here."""
        self.day_start_usd = self.equity_usd

    def rows(self) -> tuple[MetaRow, ...]:
        """What changed since the last call, for the journal; empty when nothing did."""
        texts = {
            "equity_usd": f"{self.equity_usd:.6f}",
            "high_water_usd": f"{self.high_water_usd:.6f}",
            "day": str(self.day),
            "day_start_usd": f"{self.day_start_usd:.6f}",
        }
        written = str(texts)
        if written == self._written:
            return ()
        self._written = written
        return tuple(MetaRow(key, value) for key, value in texts.items())
