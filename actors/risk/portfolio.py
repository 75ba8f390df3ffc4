"""The portfolio's part of risk's brain: samples all mids, keeps every skew, tells each quote engine its own.

Made only for `quote.model=portfolio`. Three rhythms:

- every `sample_ms` the mids of all symbols are noted, and numbers that have been worked out are taken over;
- every `recompute_interval_s` the brain asks (`Compute`) for covariance and skew matrix, which the shell works out
  beside the loop. The answer waits for the next sample, so that the moment it takes effect is one of the simulated
  clock however long the work took;
- at each fill one column of the matrix is added: O(N). Whose skew has moved by `publish_bps_min` is told at once.

Restart: the matrix is gone and comes back after `samples_min` samples; until then, as for each symbol that is not
in it, nothing is sent and quote engines go by themselves. Positions are the ledgers'.
"""

from __future__ import annotations

import math
from collections import deque
from functools import partial
from typing import Any

import numpy as np

from actors.risk.core import RiskCore
from actors.risk.covariance import Array
from actors.risk.events import Compute, Computed
from actors.risk.joint_skew import fill_curve
from actors.risk.joint_solver import Joint, JointTerms, Unsolved, solve
from actors.risk.seats import Seat
from actors.vocab.config.portfolio import PortfolioSettings
from actors.vocab.config.quote import QuoteSettings
from actors.vocab.portfolio import FillCurve, PortfolioView
from actors.vocab.units import NS_PER_MS, NS_PER_S

Key = tuple[str, str]  # (venue, symbol)


class Portfolio:
    """`on_timer` and `on_position` add commands to the core's list."""

    def __init__(self, core: RiskCore, quote: QuoteSettings, settings: PortfolioSettings) -> None:
        self._core = core
        self._order_usd = quote.order_usd
        self._terms = JointTerms(
            gamma=quote.gamma,
            horizon_s=quote.portfolio_horizon_s or math.inf,
            step_s=settings.sample_ms / 1_000,
            samples_min=settings.samples_min,
            variance_min=quote.volatility_bps_min**2,
        )
        self._sample_ns = settings.sample_ms * NS_PER_MS
        self._recompute_ns = int(settings.recompute_interval_s * NS_PER_S)
        self._publish_ns = settings.publish_interval_ms * NS_PER_MS
        self._publish_bps_min = settings.publish_bps_min
        self._age_ns_max = int(settings.covariance_age_s_max * NS_PER_S)
        self._samples_min = settings.samples_min
        self._stale_ns = core.settings.stale_marks_ms * NS_PER_MS

        # Of a symbol whose engine has told none yet. As in glft: a fill that moves the price is of less worth.
        one, k = np.ones(1), quote.intensity_k_bps
        a_per_s = quote.intensity_a_per_s * math.exp(-k * quote.adverse_bps / 2)
        self._curve = float(fill_curve(xi=quote.utility_xi, a_per_s=a_per_s * one, k=k * one, size=one)[0])
        self._curves: dict[Key, float] = {}  # what engines told
        self._columns: dict[Key, int] = {}  # column of the samples; a symbol keeps its own for ever
        self._rows: deque[Array] = deque(maxlen=settings.samples_count + 1)
        self._next_sample_ns = 0
        self._next_compute_ns = 0
        self._next_publish_ns = 0
        self._computing_since_ns = 0  # samples behind the work at hand; 0: none
        self._arrived: Joint | None = None
        self._arrived_ns = 0
        self._live: _Live | None = None
        self._live_ns = 0
        self.problem = "no samples yet"
        self.recomputed_count = 0
        self.views_count = 0

    # --- events ----------------------------------------------------------------------------------------------

    def on_timer(self, now_ns: int) -> None:
        if not self._next_sample_ns:
            self._next_sample_ns = self._sample_after(now_ns)  # all samples lie on one grid
        elif now_ns >= self._next_sample_ns:
            self._sample(now_ns)
            self._take_over()
            if now_ns >= self._next_compute_ns and not self._computing_since_ns:
                self._compute(now_ns)
        if self._live is None:
            return
        if now_ns - self._live_ns > self._age_ns_max:
            self._live = None
            self.problem = f"covariance older than {self._age_ns_max / NS_PER_S:.0f} s"
            return
        # What moves a position besides a plain fill (adoption, late fills) is found here.
        for row, seat in enumerate(self._live.seats):
            self._live.follow(row, seat)
        whole = now_ns >= self._next_publish_ns
        if whole:
            self._next_publish_ns = now_ns + self._publish_ns
        self._publish(self._live, whole=whole)

    def on_position(self, venue: str, symbol: str) -> None:
        """A fill or adjustment of this symbol has been booked."""
        live = self._live
        row = None if live is None else live.rows.get((venue, symbol))
        if live is not None and row is not None and live.follow(row, live.seats[row]):
            self._publish(live, whole=False)

    def on_fill_curve(self, peer: str, told: FillCurve, now_ns: int) -> None:
        """It counts from the next numbers that are worked out."""
        if 0 < told.per_bp_s < math.inf:
            self._curves[told.venue, told.symbol] = told.per_bp_s

    def on_computed(self, event: Computed, now_ns: int) -> None:
        self._arrived_ns, self._computing_since_ns = self._computing_since_ns, 0
        if isinstance(event.result, Joint):
            self._arrived = event.result
        elif isinstance(event.result, Unsolved):
            self.problem = event.result.text

    def on_instruments(self) -> None:
        """Lots may have changed: positions in new ones must not meet the worth of the old."""
        if self._live is not None and not self._live.counts_in_lots_of_now():
            self._live = None
            self.problem = "the lot of an instrument changed"

    # --- samples and numbers ---------------------------------------------------------------------------------

    def _sample(self, now_ns: int) -> None:
        """Note every mid: the newest, unless it is no price any more."""
        columns, seats = self._columns, self._core.seats
        if len(columns) != len(seats):
            for key in seats:
                columns.setdefault(key, len(columns))
            self._rows.extend([_widened(self._rows.popleft(), len(columns)) for _ in range(len(self._rows))])
        if now_ns - self._next_sample_ns >= self._sample_ns:
            # We were late by a whole sample: the move over the hole is not one of `step_s`.
            self._rows.append(np.full(len(columns), np.nan))
        self._next_sample_ns = self._sample_after(now_ns)
        row = np.full(len(columns), np.nan)
        stale_ns = now_ns - self._stale_ns
        for key, seat in seats.items():
            if seat.mid2 and seat.ok_ns >= stale_ns:
                row[columns[key]] = seat.mid2 * seat.instrument.tick_float / 2
        self._rows.append(row)

    def _sample_after(self, now_ns: int) -> int:
        return now_ns - now_ns % self._sample_ns + self._sample_ns

    def _compute(self, now_ns: int) -> None:
        if len(self._rows) <= self._samples_min or not self._columns:
            self.problem = f"{len(self._rows)} of {self._samples_min + 1} samples"
            return
        self._next_compute_ns = now_ns + self._recompute_ns
        self._computing_since_ns = now_ns
        curve = np.array([self.curve_of(key) for key in self._columns])
        self._core.out.append(Compute(partial(_work, tuple(self._rows), curve, self._terms)))

    def curve_of(self, key: Key) -> float:
        """The fill curve that is used for a symbol."""
        return self._curves.get(key, self._curve)

    def _take_over(self) -> None:
        if self._arrived is None:
            return
        joint, self._arrived = self._arrived, None
        keys = list(self._columns)
        seats = [self._core.seats[keys[column]] for column in joint.columns]
        live = _Live(joint, seats, self._order_usd)
        self._live, self._live_ns = live, self._arrived_ns
        self._next_publish_ns = 0
        self.problem = ""
        self.recomputed_count += 1

    # --- out -------------------------------------------------------------------------------------------------

    def _publish(self, live: _Live, *, whole: bool) -> None:
        """Tell those whose skew has moved, or everybody."""
        for row in live.moved(0.0 if whole else self._publish_bps_min):
            lease = live.seats[row].lease
            if lease.holder:
                self._core.send(lease.holder, live.view(row))
                self.views_count += 1

    def figures(self, now_ns: int) -> dict[str, Any]:
        """For `status` and the summary; plain JSON values."""
        live = self._live
        return {
            "symbols_count": 0 if live is None else len(live.seats),
            "problem": self.problem,
            "samples_count": len(self._rows),
            "recomputed_count": self.recomputed_count,
            "covariance_age_s": 0.0 if live is None else (now_ns - self._live_ns) / NS_PER_S,
            "shrinkage": 0.0 if live is None else live.joint.shrinkage,
            "mean_correlation": 0.0 if live is None else live.joint.mean_correlation,
            "views_count": self.views_count,
        }


class _Live:
    """Skews by the matrix that is in use. The worth of a lot stays what it was when the matrix was taken over, so
    that adding column by column stays exact; prices move little until the next one."""

    def __init__(self, joint: Joint, seats: list[Seat], order_usd: float) -> None:
        self.joint = joint
        self.seats = seats
        self.rows: dict[Key, int] = {seat.key: row for row, seat in enumerate(seats)}
        self._lot_sizes = [seat.instrument.lot_float for seat in seats]
        self._orders_per_lot: list[float] = (joint.prices * np.array(self._lot_sizes) / order_usd).tolist()
        # What `skew` counts, in lots, and what each engine was told last.
        self._lots = [seat.ledger.known_lots for seat in seats]
        self.skew: Array = joint.matrix @ np.array(
            [lots * each for lots, each in zip(self._lots, self._orders_per_lot, strict=True)]
        )
        self._told = np.full(len(seats), np.nan)

    def follow(self, row: int, seat: Seat) -> bool:
        """Count the position of one symbol anew; whether it had changed."""
        change_lots = seat.ledger.known_lots - self._lots[row]
        if not change_lots:
            return False
        self._lots[row] += change_lots
        self.skew += self.joint.matrix[:, row] * (change_lots * self._orders_per_lot[row])
        return True

    def moved(self, least_bps: float) -> list[int]:
        """Rows whose skew differs by `least_bps` from what was told; the caller tells them now."""
        # NaN, never told yet, compares as moved.
        rows = np.flatnonzero(~(np.abs(self.skew - self._told) < least_bps)) if least_bps else np.arange(len(self.skew))
        self._told[rows] = self.skew[rows]
        found: list[int] = rows.tolist()
        return found

    def view(self, row: int) -> PortfolioView:
        venue, symbol = self.seats[row].key
        position_orders = self._lots[row] * self._orders_per_lot[row]
        return PortfolioView(venue, symbol, float(self.skew[row]), float(self.joint.widths_bps[row]), position_orders)

    def counts_in_lots_of_now(self) -> bool:
        return all(seat.instrument.lot_float == lot for seat, lot in zip(self.seats, self._lot_sizes, strict=True))


def _work(rows: tuple[Array, ...], curve: Array, terms: JointTerms) -> Computed:
    return Computed(solve(rows, curve, terms))


def _widened(row: Array, columns_count: int) -> Array:
    """More symbols have come: they have no price in old samples."""
    wide = np.full(columns_count, np.nan)
    wide[: len(row)] = row
    return wide
