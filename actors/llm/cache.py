"""Unchanged inputs get the answer they got last time, without a call."""

from __future__ import annotations

import math

import msgspec

from actors.llm.schema import SignalAnswer
from actors.vocab.opinions import SignalInputs

Fingerprint = tuple[int, int, int, int, int, str]

# What counts as unchanged: scores within a twentieth, the price within ten basis points, volatility within a fifth, the
# last trade in the same decade of milliseconds.
SCORE_STEP = 0.05
PRICE_STEP_BPS = 10.0
VOLATILITY_STEP = 0.2


def fingerprint(inputs: SignalInputs) -> Fingerprint:
    """Equal for inputs that a model could not tell apart usefully."""
    return (
        _log_step(inputs.mid_price, PRICE_STEP_BPS / 1e4),
        round(inputs.depth_score / SCORE_STEP),
        _log_step(inputs.volatility_bps, VOLATILITY_STEP),
        round(inputs.toxic_flow / SCORE_STEP),
        _log_step(float(inputs.ms_since_trade), math.log(10.0)),
        inputs.liquidity_regime,
    )


def _log_step(value: float, step: float) -> int:
    return round(math.log(value) / step) if 0.0 < value < math.inf else -1


class Kept(msgspec.Struct, frozen=True):
    """An answer and what it was given to."""

    fingerprint: Fingerprint
    answer: SignalAnswer
    model: str
    made_ns: int


class OpinionCache:
    """Newest answer a symbol, so bounded by the number of symbols."""

    def __init__(self, age_max_ns: int) -> None:
        """`age_max_ns` 0: nothing is ever taken from here."""
        self._age_max_ns = age_max_ns
        self._kept: dict[str, Kept] = {}

    def keep(self, inputs: SignalInputs, answer: SignalAnswer, model: str, now_ns: int) -> None:
        self._kept[inputs.symbol] = Kept(fingerprint(inputs), answer, model, now_ns)

    def find(self, inputs: SignalInputs, now_ns: int) -> Kept | None:
        """The answer to the same question, unless it is too old."""
        kept = self._kept.get(inputs.symbol)
        if kept is None or now_ns - kept.made_ns >= self._age_max_ns or kept.fingerprint != fingerprint(inputs):
            return None
        return kept
