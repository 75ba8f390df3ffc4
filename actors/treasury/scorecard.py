"""Did an opinion earn its tokens? What the market did afterwards, in money, with a stated confidence.

An opinion cuts the size of one side, or of both. What it earned is what the cut fills would have lost: a sale that was
left out before the price rose by m bps saved m, and gave up the half spread h that it would have taken; a purchase the
other way round. With `stake_usd` of fills a side within the horizon:

    earned = stake_usd / 10^4 * [ (1 - ask_factor) * (m - h) + (1 - bid_factor) * (-m - h) ],   net = earned - cost.

It is the same for an opinion that was held out, so both arms measure the model; their difference shows what our own
quotes do to the market. Wider spreads are not scored: what they save depends on fills that did not happen.

Symbols move together and horizons overlap, so opinions are no independent draws. They are averaged over rounds of two
horizons, and only these averages are counted; the overlap leaves neighbouring rounds a correlation of at most a tenth,
for a model that never changes its mind in a random walk. The mean is judged by an asymptotic confidence sequence
(Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024, "Time-uniform central limit theory and asymptotic confidence
sequences", theorem 2.2), which stays valid however often one looks; a t-test at every look would mute or keep by luck.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

import msgspec

from actors.vocab.units import NS_PER_S

# What the signal prompt asks about: how to lean for the next 30 seconds.
HORIZON_S = 30
HORIZON_NS = HORIZON_S * NS_PER_S
ROUND_NS = 2 * HORIZON_NS
# Rounds before any verdict: the sequence is asymptotic.
ROUNDS_MIN = 20
# Tunes where the sequence is tightest, about 50 rounds; it is valid everywhere.
RHO_SQUARED = 0.2
# A mid older than this says nothing: its feed is down.
MID_AGE_MAX_NS = 5 * NS_PER_S
# Opinions that wait for their horizon; 500 symbols once a second are half of it. Full: the oldest goes unscored.
OPEN_MAX = 30_000
CONFIDENCE_BINS = (0.4, 0.55, 0.7, 0.85, 1.0)


class Opinion(msgspec.Struct, frozen=True):
    """One item of one answer, as it was meant for the quotes."""

    call_id: str
    model: str
    symbol: str
    action: str  # bid | ask | hold
    confidence: float
    bid_factor: float
    ask_factor: float
    cost_usd: float
    applied: bool  # False: held out, or in shadow
    mid: float  # any unit; only its change counts
    half_spread_bps: float


class Scored(msgspec.Struct, frozen=True):
    """An opinion and what the market did; `move_bps` of the mid over the horizon."""

    opinion: Opinion
    round_no: int  # in which it was made
    move_bps: float


def earned_usd(opinion: Opinion, move_bps: float, stake_usd: float) -> float:
    """See the module's docstring."""
    half = opinion.half_spread_bps
    saved_bps = (1.0 - opinion.ask_factor) * (move_bps - half) + (1.0 - opinion.bid_factor) * (-move_bps - half)
    return stake_usd * saved_bps / 1e4


def half_width(*, count: int, deviation: float, alpha: float) -> float:
    """Half the width of the confidence sequence of a mean of `count` draws; inf for less than two."""
    if count < 2:
        return math.inf
    scaled = count * RHO_SQUARED
    return deviation * math.sqrt(2 * (scaled + 1) / (count**2 * RHO_SQUARED) * math.log(math.sqrt(scaled + 1) / alpha))


class Mean:
    """Count, mean and deviation, updated one by one (Welford 1962)."""

    __slots__ = ("_squares", "count", "mean")

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self._squares = 0.0

    def add(self, value: float) -> None:
        self.count += 1
        before = value - self.mean
        self.mean += before / self.count
        self._squares += before * (value - self.mean)

    @property
    def deviation(self) -> float:
        return math.sqrt(self._squares / (self.count - 1)) if self.count > 1 else 0.0


class Card:
    """One model's record."""

    def __init__(self, alpha: float) -> None:
        self._alpha = alpha
        self.count = 0
        self.applied_count = 0
        self.cost_usd = 0.0
        self.earned_usd = 0.0
        self.applied, self.held_out = Mean(), Mean()  # net USD an opinion, by arm
        self.markout_bps = Mean()  # the move in the direction that was given
        self.bins = [Mean() for _ in CONFIDENCE_BINS]  # share of right directions by confidence
        self.rounds = Mean()  # mean net USD an opinion, one draw a round
        self._round_no = -1
        self._round = Mean()

    def add(self, scored: Scored, stake_usd: float) -> None:
        """Opinions come in the order of their rounds."""
        opinion, move_bps = scored.opinion, scored.move_bps
        if scored.round_no != self._round_no:
            if self._round.count:
                self.rounds.add(self._round.mean)
            self._round_no, self._round = scored.round_no, Mean()
        earned = earned_usd(opinion, move_bps, stake_usd)
        self.count += 1
        self.applied_count += opinion.applied
        self.cost_usd += opinion.cost_usd
        self.earned_usd += earned
        self._round.add(earned - opinion.cost_usd)
        (self.applied if opinion.applied else self.held_out).add(earned - opinion.cost_usd)
        if opinion.action in ("bid", "ask"):
            markout_bps = move_bps if opinion.action == "bid" else -move_bps
            self.markout_bps.add(markout_bps)
            index = next(index for index, edge in enumerate(CONFIDENCE_BINS) if opinion.confidence <= edge)
            if move_bps:
                self.bins[index].add(float(markout_bps > 0))

    @property
    def bounds_usd(self) -> tuple[float, float]:
        """Between these lies the mean net USD of an opinion, at the stated confidence."""
        half = half_width(count=self.rounds.count, deviation=self.rounds.deviation, alpha=self._alpha)
        return self.rounds.mean - half, self.rounds.mean + half

    @property
    def verdict(self) -> str:
        """`earns`, `loses`, or `open` while the confidence is not reached."""
        if self.rounds.count < ROUNDS_MIN:
            return "open"
        low, high = self.bounds_usd
        return "earns" if low > 0 else "loses" if high < 0 else "open"

    def row(self) -> dict[str, float | int | str]:
        """Plain JSON for status and report."""
        low, high = self.bounds_usd
        return {
            "verdict": self.verdict,
            "confidence": 1.0 - self._alpha,
            "opinions": self.count,
            "applied": self.applied_count,
            "rounds": self.rounds.count,
            "cost_usd": self.cost_usd,
            "earned_usd": self.earned_usd,
            "markout_bps": self.markout_bps.mean,
            "net_usd_mean": self.rounds.mean,
            "net_usd_low": low if math.isfinite(low) else 0.0,
            "net_usd_high": high if math.isfinite(high) else 0.0,
            "net_usd_applied": self.applied.mean,
            "net_usd_held_out": self.held_out.mean,
        }


class Scorecard:
    """Opinions wait for their horizon, then count for their model."""

    def __init__(self, *, stake_usd: float, confidence: float) -> None:
        self._stake_usd = stake_usd
        self._alpha = 1.0 - confidence
        self._open: deque[tuple[int, Opinion]] = deque()  # (made at, opinion), oldest first
        self._mids: dict[str, tuple[float, float, int]] = {}  # symbol -> newest mid, half spread in bps, when it came
        self.cards: dict[str, Card] = {}  # model -> its record
        self.unscored_count = 0  # no mid at either end, or too many at once

    def mark(self, symbol: str, mid: float, half_spread_bps: float, now_ns: int) -> None:
        """The newest good mid of a symbol."""
        self._mids[symbol] = (mid, half_spread_bps, now_ns)

    def mid(self, symbol: str, now_ns: int) -> tuple[float, float]:
        """Newest mid and half spread in bps; zeros when there is none of these seconds."""
        mid, half_spread_bps, at_ns = self._mids.get(symbol, (0.0, 0.0, now_ns))
        return (mid, half_spread_bps) if now_ns - at_ns <= MID_AGE_MAX_NS else (0.0, 0.0)

    def opened(self, opinions: Iterable[Opinion], now_ns: int) -> None:
        for opinion in opinions:
            self._open.append((now_ns, opinion))
        while len(self._open) > OPEN_MAX:
            self._open.popleft()
            self.unscored_count += 1

    def mature(self, now_ns: int) -> list[Scored]:
        """Score what has reached its horizon."""
        done: list[Scored] = []
        while self._open and now_ns - self._open[0][0] >= HORIZON_NS:
            made_ns, opinion = self._open.popleft()
            mid, _ = self.mid(opinion.symbol, now_ns)
            if mid <= 0.0 or opinion.mid <= 0.0:
                self.unscored_count += 1
                continue
            scored = Scored(opinion, made_ns // ROUND_NS, (mid / opinion.mid - 1.0) * 1e4)
            self.add(scored)
            done.append(scored)
        return done

    def add(self, scored: Scored) -> None:
        """Count one that is scored already, as of a journal."""
        model = scored.opinion.model
        card = self.cards.get(model)
        if card is None:
            card = self.cards[model] = Card(self._alpha)
        card.add(scored, self._stake_usd)

    def losing(self) -> frozenset[str]:
        """Models that have not earned their cost, at the stated confidence."""
        return frozenset(model for model, card in self.cards.items() if card.verdict == "loses")
