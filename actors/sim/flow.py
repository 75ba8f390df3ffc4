"""The synthetic world of one symbol: makers around the latent price, takers with and without knowledge.

Who acts, at each small step of a symbol:
  makers      keep their best prices half a spread around the latent price, with hysteresis; withdraw before they
              improve; refill what was taken; deeper levels thin out and fill up at random around a depth profile;
  uninformed  takers of random side and size at `taker_rate_per_s * (1 - informed_share)`;
  informed    takers at `taker_rate_per_s * informed_share` who look INFORMED_AHEAD_S ahead and trade only when the
              price will move by more than the half spread;
  sweepers    when the latent price is about to jump, a share `informed_share` of the jumps is traded first: one taker
              buys (sells) everything up to most of the jump, so quotes inside it are hit just before it;
  the rest    of the jumps reach our quotes as makers that cross them.
So a resting quote trades mostly when the price is about to pass it: 5 s markouts are negative at any sane distance.

Left out: makers that watch our orders, other venues, news, and any clock of the day.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from actors.sim.matching import Book, BookEvent, HalfBook
from actors.sim.paths import CHUNK_STEPS, STEP_MS, PricePath
from actors.sim.universe import UniverseRow
from actors.vocab.config.sim import SimSettings
from actors.vocab.instruments import Instrument, Market
from actors.vocab.market import Side
from actors.vocab.message import Record
from actors.vocab.units import BPS

INFORMED_AHEAD_S = 2.0
_AHEAD_STEPS = int(INFORMED_AHEAD_S * 1000 / STEP_MS)
DEPTH_BPS = 60.0  # makers quote this far out
_FAR_BPS = (50.0, 80.0)  # the far end is kept in this range
_PAUSE_STEPS = 8  # swept makers come back after the jump, not into it
_DRAWS = 8192
_SPREAD_BPS_RANGE = (0.3, 2.4)  # whole spread: of the deepest and of the thinnest symbols


class MarketProfile(Record, frozen=True):
    """How one symbol behaves. `path` names its latent price; markets of one coin share it. Empty: the symbol."""

    volatility: float = 0.8  # annualised fraction
    depth_usd: float = 1_000_000.0  # within 10 bps of mid, both sides together
    path: str = ""


def profiles(rows: Sequence[UniverseRow], market: Market) -> dict[str, MarketProfile]:
    """Profiles of listed coins by their symbol on `market`."""
    return {row.listing(market).symbol: MarketProfile(row.volatility, row.depth_usd, path=row.symbol) for row in rows}


class Draws:
    """Uniform numbers of one seeded generator, drawn in blocks: a call per number would cost more than the step."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng([seed, 0xF10])
        self._block: list[float] = []

    def uniform(self) -> float:
        if not self._block:
            self._block = self._rng.random(_DRAWS).tolist()
        return self._block.pop()


class SymbolFlow:
    """One symbol's world. Changes its book only through the book's own methods."""

    def __init__(
        self,
        *,
        instrument: Instrument,
        price: float,
        profile: MarketProfile,
        path: PricePath,
        book: Book,
        draws: Draws,
        settings: SimSettings,
        at_step: int = 0,
    ) -> None:
        """`price` is worth one factor of the path; makers open their book around where the path stands at `at_step`."""
        self.book = book
        self.tick_float = instrument.tick_float
        self._path = path
        self._draw = draws.uniform
        self._informed_share = settings.informed_share
        self._taker_rate_per_s = settings.taker_rate_per_s
        self._start_ticks = price / instrument.tick_float
        self._ticks_per_bps = self._start_ticks * BPS
        tightness = (9_000_000 / profile.depth_usd) ** 0.45
        self.spread_bps = min(max(_SPREAD_BPS_RANGE[0] * tightness, _SPREAD_BPS_RANGE[0]), _SPREAD_BPS_RANGE[1])
        self._half_ticks = max(0.5, self.spread_bps / 2 * self._ticks_per_bps)
        # A maker re-prices when off by this much: without it every tremor of the latent price would be a trade.
        self._slack_ticks = min(max(0.35, 0.1 * self._half_ticks), 0.45 * 2 * self._half_ticks)
        lots_per_usd = 1 / (price * instrument.lot_float)
        # Density of the profile is 0.4 + 0.12 d at d bps from the touch: its integral over 10 bps is 10.
        self._lots_per_bps = profile.depth_usd / 2 / 10 * lots_per_usd
        self._pause_until = {Side.BUY: -1, Side.SELL: -1}
        self._sweep_chunk = -1
        self._sweep_at = 0
        self.index_ticks = self._start_ticks * path.at(at_step)
        self._best = {Side.BUY: 0, Side.SELL: 0}  # side -> best key that makers stand at
        self._open_book()

    # --- one step ------------------------------------------------------------------------------------------------

    def step(self, at_step: int, dt_s: float) -> list[BookEvent]:
        """Let makers follow the latent price of grid step `at_step`, and takers of the last `dt_s` arrive."""
        path = self._path
        factor = path.at(at_step)
        self.index_ticks = index = self._start_ticks * factor
        events: list[BookEvent] = []
        sweep_bps = self._sweep_due(at_step)
        if sweep_bps:
            self._sweep(at_step, index, sweep_bps, events)
        self._follow(at_step, index, events)
        if self._draw() < self._taker_rate_per_s * dt_s:
            self._take(at_step, factor, events)
        return events

    def stir_top(self) -> None:
        """Change the size of one best maker level a little: the ordinary noise of a touch."""
        side = Side.BUY if self._draw() < 0.5 else Side.SELL
        half = self.book.bids if side > 0 else self.book.asks
        key = self._best[side]
        lots = half.makers.get(key, 0)
        if lots:
            # A few percent: larger cancels in front of our orders would carry them to the front in no time.
            half.set_makers(key, self._nudged(lots, self._level_lots(0.0), 0.06))

    def stir_depth(self) -> None:
        """Before a depth event: a few levels of each side change, appear or go; the far end is kept in range."""
        for side, half in ((Side.BUY, self.book.bids), (Side.SELL, self.book.asks)):
            for _ in range(3):
                self._stir_level(half, self._best[side])
            self._keep_far_end(half, self._best[side])

    # --- makers --------------------------------------------------------------------------------------------------

    def _open_book(self) -> None:
        for side in (Side.BUY, Side.SELL):
            half = self.book.half(side)
            key = self._target_key(side, self.index_ticks)
            self._best[side] = key
            far = key - DEPTH_BPS * self._ticks_per_bps
            at = key
            while at > far and self._price_ok(side, at):
                half.set_makers(at, self._noisy(self._level_lots((key - at) / self._ticks_per_bps)))
                at -= self._gap_ticks(key - at)

    def _target_key(self, side: Side, index: float) -> int:
        """Best key that makers want: half a spread worse than the latent price, rounded away from it."""
        return int((side * index - self._half_ticks) // 1)

    def _follow(self, at_step: int, index: float, events: list[BookEvent]) -> None:
        best = self._best
        slack = self._slack_ticks
        improving: list[tuple[Side, int]] = []
        for side in (Side.BUY, Side.SELL):
            wish = side * index - self._half_ticks
            key = best[side]
            if wish < key - slack:
                self._withdraw(side, int(wish // 1))
            elif wish > key + 1 + slack:
                improving.append((side, int(wish // 1)))
        for side, target in improving:
            if at_step >= self._pause_until[side]:
                self._improve(side, target, events)
        for side in (Side.BUY, Side.SELL):
            half = self.book.bids if side > 0 else self.book.asks
            key = best[side]
            if key not in half.makers and at_step >= self._pause_until[side]:
                events += self.book.make(side, abs(key), self._noisy(self._level_lots(0.0)))

    def _withdraw(self, side: Side, target: int) -> None:
        """Makers above `target` cancel; somebody stands at `target` afterwards."""
        half = self.book.half(side)
        for key in half.keys[bisect_right(half.keys, target) :]:
            half.set_makers(key, 0)
        self._best[side] = target
        if target not in half.makers and self._price_ok(side, target):
            half.set_makers(target, self._noisy(self._level_lots(0.0)))

    def _improve(self, side: Side, target: int, events: list[BookEvent]) -> None:
        """Makers step up to `target`, filling the way from their old best price; they cross our orders if need be."""
        half = self.book.half(side)
        old = self._best[side]
        self._best[side] = target
        key = target
        while key > old:
            if key not in half.makers:
                lots = self._noisy(self._level_lots((target - key) / self._ticks_per_bps))
                events += self.book.make(side, abs(key), lots)
            key -= self._gap_ticks(target - key)

    def _stir_level(self, half: HalfBook, best: int) -> None:
        keys = half.keys
        count = len(keys)
        if count < 2:
            return
        draw = self._draw()
        at = count - 1 - int(draw * draw * count)  # more often near the touch
        key = keys[at]
        if key > best:
            return  # our price, better than any maker's
        lots = half.makers.get(key, 0)
        away = best - key
        usual = self._level_lots(away / self._ticks_per_bps)
        if not lots:
            half.set_makers(key, self._noisy(usual))
            return
        gap = key - keys[at - 1] if at else 0
        spacing = self._gap_ticks(away)
        if gap and gap < 0.5 * spacing and away:
            half.set_makers(key, 0)
        elif gap > 2 * spacing:
            half.set_makers(key - spacing, self._noisy(usual))
        else:
            half.set_makers(key, self._nudged(lots, usual, 0.15))

    def _keep_far_end(self, half: HalfBook, best: int) -> None:
        far = half.keys[0] if half.keys else best
        away_bps = (best - far) / self._ticks_per_bps
        if away_bps < _FAR_BPS[0]:
            key = far - self._gap_ticks(best - far)
            if half.side * key > 0:
                half.set_makers(key, self._noisy(self._level_lots(away_bps)))
        elif away_bps > _FAR_BPS[1] and far in half.makers:
            half.set_makers(far, 0)

    # --- takers --------------------------------------------------------------------------------------------------

    def _take(self, at_step: int, factor: float, events: list[BookEvent]) -> None:
        if self._draw() < self._informed_share:
            gap_bps = (self._path.at(at_step + _AHEAD_STEPS) / factor - 1) / BPS
            if abs(gap_bps) <= self.spread_bps / 2:
                return  # not worth the spread
            side = Side.BUY if gap_bps > 0 else Side.SELL
            size = 0.3 + 1.2 * self._draw()
            limit: int | None = int(self.index_ticks * (1 + gap_bps * BPS))
        else:
            side = Side.BUY if self._draw() < 0.5 else Side.SELL
            draw = self._draw()
            size = 0.05 + 0.9 * draw * draw
            if self._draw() < 0.04:
                size *= 4  # now and then somebody needs it all at once
            limit = None
        lots = max(1, int(size * self._level_lots(0.0)))
        events += self.book.take(side, lots, limit)

    def _sweep_due(self, at_step: int) -> float:
        """Basis points of a jump that starts now; 0.0 when none does."""
        chunk = at_step // CHUNK_STEPS
        if chunk != self._sweep_chunk:
            self._sweep_chunk = chunk
            self._sweep_at = 0
        sweeps = self._path.sweeps(chunk)
        bps = 0.0
        while self._sweep_at < len(sweeps) and sweeps[self._sweep_at].step <= at_step:
            bps += sweeps[self._sweep_at].bps
            self._sweep_at += 1
        return bps

    def _sweep(self, at_step: int, index: float, bps: float, events: list[BookEvent]) -> None:
        if self._draw() >= self._informed_share:
            return
        side = Side.BUY if bps > 0 else Side.SELL
        reach = 0.8 + 0.2 * self._draw()
        limit = int(index * (1 + bps * reach * BPS))
        events += self.book.take(side, 1 << 60, limit)
        hit = side.other
        half = self.book.half(hit)
        self._pause_until[hit] = at_step + _PAUSE_STEPS
        makers_left = next((key for key in reversed(half.keys) if key in half.makers), None)
        if makers_left is not None:
            self._best[hit] = min(self._best[hit], makers_left)

    # --- sizes ---------------------------------------------------------------------------------------------------

    def _gap_ticks(self, away_ticks: float) -> int:
        return max(1, round(0.15 * self._ticks_per_bps + 0.1 * away_ticks))

    def _level_lots(self, away_bps: float) -> float:
        """Usual size of a level at this distance from the touch."""
        gap_bps = max(1.0, 0.15 * self._ticks_per_bps + 0.1 * away_bps * self._ticks_per_bps) / self._ticks_per_bps
        return self._lots_per_bps * gap_bps * (0.4 + 0.12 * min(away_bps, 20.0))

    def _noisy(self, lots: float) -> int:
        return max(1, int(lots * (0.5 + self._draw())))

    def _nudged(self, lots: int, usual: float, width: float) -> int:
        """`lots` changed by up to `width` of itself, drawn toward `usual`; never the same."""
        pull = 0.05 if lots < usual else -0.05
        new = int(lots * (1 + (2 * self._draw() - 1 + pull) * width))
        return max(1, new if new != lots else lots + (1 if pull > 0 or lots < 2 else -1))

    def _price_ok(self, side: Side, key: int) -> bool:
        return side * key > 0
