"""Seeded latent prices: what each coin is worth at each moment, known to the simulator and to informed takers only.

A path is the sum of three parts, in log price:
  diffusion   Gaussian steps, a share `correlation` of their variance common to all coins;
  sweeps      now and then a coin jumps by a few basis points within half a second, where informed takers act, and
              drifts on in the same direction for some seconds. A share `correlation` of them comes from one common
              clock with a common direction. A part of the move stays for ever; the rest is given back slowly, as a
              market's temporary impact is;
  history     minute candles before the start, walking backward from the start price.

Every number comes from (seed, path name, chunk): a path depends neither on which other coins are simulated nor on when
it is asked, so the perpetual and the spot market of one coin agree.
"""

from __future__ import annotations

from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from actors.vocab.units import BPS

STEP_MS = 50
CHUNK_STEPS = 400  # 20 s a chunk
CHUNK_S = CHUNK_STEPS * STEP_MS / 1000
LOOK_AHEAD_STEPS = CHUNK_STEPS // 2  # how far ahead `at` may be asked, so two chunks in memory suffice
YEAR_S = 365 * 86_400

SWEEP_INTERVAL_S = 12.0  # mean time between the sweeps of one coin
SWEEP_SHAPE = 3.0  # gamma shape of that time: long pauses are rare, so a quiet minute is too
SWEEP_BPS_MIN = 3.3  # of the jump; the rest of its size is exponential
SWEEP_BPS_MEAN_ABOVE = 1.2
SWEEP_RAMP_STEPS = 8  # the jump itself: 0.4 s
SWEEP_FOLLOW = 0.5  # of the jump: how far the price drifts on …
SWEEP_FOLLOW_STEPS = 80  # … in 4 s
SWEEP_HOLD_STEPS = 60  # 3 s before the temporary part fades
SWEEP_FADE_S = 20.0
SWEEP_KEPT = 0.45  # of the whole move, for ever
_IMPACT_CHUNKS = 6  # so long is the move followed; what has not faded then (1 %) goes at once
COMMON_LAG_S = 2.0  # coins follow a common sweep within this time
VOLATILITY_RANGE = (0.6, 0.9)  # simulated coins keep to it; seconds look wilder than years: temporary impact

_COMMON = 0
_Floats = NDArray[np.float64]


class Sweep:
    """One jump: where its ramp starts, by how many bps the price moves."""

    __slots__ = ("bps", "step")

    def __init__(self, step: int, bps: float) -> None:
        self.step = step
        self.bps = bps


class PricePath:
    """Latent log price of one coin relative to its start, on a grid of STEP_MS."""

    def __init__(self, *, name: str, seed: int, volatility: float, correlation: float) -> None:
        self._key = crc32(name.encode()) or 1
        self._seed = seed
        self._correlation = correlation
        volatility = min(max(volatility, VOLATILITY_RANGE[0]), VOLATILITY_RANGE[1])
        self.bps_per_root_s = volatility / YEAR_S**0.5 / BPS
        mean_square = SWEEP_BPS_MIN**2 + 2 * SWEEP_BPS_MIN * SWEEP_BPS_MEAN_ABOVE + 2 * SWEEP_BPS_MEAN_ABOVE**2
        lasting = mean_square * ((1 + SWEEP_FOLLOW) * SWEEP_KEPT) ** 2 / SWEEP_INTERVAL_S
        # What sweeps leave of the long-run variance; never less than a fifth, so that prices always move.
        diffusion = max(self.bps_per_root_s**2 - lasting, self.bps_per_root_s**2 / 5)
        self._step_bps = (diffusion * STEP_MS / 1000) ** 0.5
        self._level = 0.0  # diffusion so far and what moves that are over have left, in log price
        self._tail: _Floats = np.zeros((_IMPACT_CHUNKS - 1) * CHUNK_STEPS)  # bps that moves put into the next chunks
        self._left: dict[int, float] = {}  # chunk -> bps that moves leave for ever from its start on
        self._chunks: dict[int, tuple[list[float], list[Sweep]]] = {}
        self._next_chunk = 0
        self._shape = _move_shape()

    def at(self, step: int) -> float:
        """exp of the log price at `step`: the factor on the start price."""
        return self._chunk(step // CHUNK_STEPS)[0][step % CHUNK_STEPS]

    def sweeps(self, chunk: int) -> list[Sweep]:
        """Jumps that start in this chunk, in time order."""
        return self._chunk(chunk)[1]

    def _chunk(self, number: int) -> tuple[list[float], list[Sweep]]:
        found = self._chunks.get(number)
        if found is not None:
            return found
        while self._next_chunk <= number:
            self._make(self._next_chunk)
            self._next_chunk += 1
        return self._chunks[number]

    def _make(self, number: int) -> None:
        self._level += self._left.pop(number, 0.0) * BPS
        diffusion = self._level + np.cumsum(self._diffusion(number)) * BPS
        self._level = float(diffusion[-1])
        sweeps = self._sweeps_of(number)
        moved = self._moved(number, sweeps)
        self._chunks[number] = (np.exp(diffusion + moved * BPS).tolist(), sweeps)
        self._chunks.pop(number - 3, None)

    def _diffusion(self, number: int) -> _Floats:
        own = np.random.default_rng([self._seed, self._key, number, 1]).standard_normal(CHUNK_STEPS)
        common = np.random.default_rng([self._seed, _COMMON, number, 1]).standard_normal(CHUNK_STEPS)
        mixed = self._correlation**0.5 * common + (1 - self._correlation) ** 0.5 * own
        return np.asarray(mixed * self._step_bps)

    def _sweeps_of(self, number: int) -> list[Sweep]:
        common = self._clock(_COMMON, number, self._correlation, jitter=True)
        own = self._clock(self._key, number, 1 - self._correlation, jitter=False)
        return sorted(common + own, key=lambda sweep: sweep.step)

    def _clock(self, key: int, number: int, share: float, *, jitter: bool) -> list[Sweep]:
        """Sweeps of one clock in this chunk. A clock starts anew in each chunk, at a random phase."""
        if share <= 0:
            return []
        rng = np.random.default_rng([self._seed, key, number, 2])
        own = np.random.default_rng([self._seed, self._key, number, 3])
        mean_s = SWEEP_INTERVAL_S / share
        at_s = float(rng.random()) * mean_s
        found = []
        while at_s < CHUNK_S:
            sign = 1.0 if rng.random() < 0.5 else -1.0
            lag_s = COMMON_LAG_S * float(own.random()) if jitter else 0.0
            bps = SWEEP_BPS_MIN + SWEEP_BPS_MEAN_ABOVE * float(own.exponential())
            step = min(int((at_s + lag_s) * 1000 / STEP_MS), CHUNK_STEPS - 1)
            found.append(Sweep(number * CHUNK_STEPS + step, sign * bps))
            at_s += float(rng.gamma(SWEEP_SHAPE, mean_s / SWEEP_SHAPE))
        return found

    def _moved(self, number: int, sweeps: list[Sweep]) -> _Floats:
        """Basis points by which moves displace this chunk; the rest of them is kept for the next ones."""
        length = _IMPACT_CHUNKS * CHUNK_STEPS
        total = np.zeros(length)
        total[: len(self._tail)] += self._tail
        for sweep in sweeps:
            at = sweep.step - number * CHUNK_STEPS
            total[at:] += sweep.bps * self._shape[: length - at]
            ends = number + _IMPACT_CHUNKS
            self._left[ends] = self._left.get(ends, 0.0) + sweep.bps * (1 + SWEEP_FOLLOW) * SWEEP_KEPT
        self._tail = total[CHUNK_STEPS:]
        return total[:CHUNK_STEPS]


def _move_shape() -> _Floats:
    """Displacement after a sweep of one basis point, step by step: jump, drift, hold, fade to what is kept."""
    whole = 1 + SWEEP_FOLLOW
    jump = np.arange(1, SWEEP_RAMP_STEPS + 1) / SWEEP_RAMP_STEPS
    drift = 1 + SWEEP_FOLLOW * np.arange(1, SWEEP_FOLLOW_STEPS + 1) / SWEEP_FOLLOW_STEPS
    hold = np.full(SWEEP_HOLD_STEPS, whole)
    fading_s = np.arange(_IMPACT_CHUNKS * CHUNK_STEPS) * STEP_MS / 1000
    fade = whole * (SWEEP_KEPT + (1 - SWEEP_KEPT) * np.exp(-fading_s / SWEEP_FADE_S))
    return np.concatenate((jump, drift, hold, fade))[: _IMPACT_CHUNKS * CHUNK_STEPS]


def history(*, name: str, seed: int, volatility: float, minutes: int) -> list[tuple[float, float, float, float]]:
    """(open, high, low, close) factors on the start price of the minutes before the start, oldest first.

    The last close is 1. Asking for more minutes never changes the younger ones.
    """
    volatility = min(max(volatility, VOLATILITY_RANGE[0]), VOLATILITY_RANGE[1])
    parts = 6
    scale = volatility / YEAR_S**0.5 * (60 / parts) ** 0.5
    level = 0.0
    candles = []
    for minute in range(minutes):
        rng = np.random.default_rng([seed, crc32(name.encode()) or 1, minute, 4])
        backward = level - np.cumsum(rng.standard_normal(parts) * scale)
        walk = np.exp(np.concatenate(([level], backward)))
        candles.append((float(walk[-1]), float(walk.max()), float(walk.min()), float(walk[0])))
        level = float(backward[-1])
    candles.reverse()
    return candles
