"""Walk-forward: recorded time in windows, what a trial did in each, and what may be chosen by which. Pure.

All recorded time, less a warm-up at each session's start, is cut into K + 1 windows of equal length. In fold i the
trial is chosen that did best on windows 0 … i-1 together, and shown beside it is what it did on window i, which
nobody had looked at. A trial plays a session from its start to its end once, with its position and its estimators
running on from window to window as they would in life; what happens in a window depends on nothing after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from actors.vocab.errors import ConfigError
from actors.vocab.units import NS_PER_S

S_PER_H = 3_600.0
WINDOW_S_MIN = 5.0
# Half a dollar for each dollar that equity fell from a peak: a desk gives up so much profit for a calmer day.
DRAWDOWN_WEIGHT = 0.5


class Outcome(msgspec.Struct, frozen=True):
    """What happened in one stretch of recorded time. Sums add up; so do drawdowns, as if one came after the other."""

    hours: float = 0.0
    net_usd: float = 0.0  # change of equity at mid prices, after fees and funding
    drawdown_usd: float = 0.0  # largest fall of equity from a peak inside the stretch
    turnover_usd: float = 0.0
    fills_count: int = 0

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            self.hours + other.hours,
            self.net_usd + other.net_usd,
            self.drawdown_usd + other.drawdown_usd,
            self.turnover_usd + other.turnover_usd,
            self.fills_count + other.fills_count,
        )


def net_less_drawdown(one: Outcome) -> float:
    """USD an hour: net profit less half of the drawdown."""
    return (one.net_usd - DRAWDOWN_WEIGHT * one.drawdown_usd) / one.hours


def net_usd_per_h(one: Outcome) -> float:
    """USD an hour: net profit alone."""
    return one.net_usd / one.hours


def net_bps(one: Outcome) -> float:
    """Net profit in basis points of turnover; 0 without turnover."""
    return one.net_usd / one.turnover_usd * 1e4 if one.turnover_usd else 0.0


# Below, a mean per fill is known to no better than a fifth of one fill's spread of outcomes.
FILLS_FEW = 30

Score = Callable[[Outcome], float]
SCORES: dict[str, Score] = {one.__name__: one for one in (net_less_drawdown, net_usd_per_h, net_bps)}


class Span(msgspec.Struct, frozen=True):
    """A part of one window: recorded time of one session, from `begin_ns` up to `end_ns`."""

    window: int
    session: int
    begin_ns: int
    end_ns: int


def cut_windows(sessions: Sequence[tuple[int, int]], *, folds_count: int, warm_up_s: float) -> list[Span]:
    """K + 1 windows of equal length over sessions of (first, last) recorded ns in time order; ConfigError if too short.

    A window that reaches over the end of a session has a span in each.
    """
    starts = [first_ns + int(warm_up_s * NS_PER_S) for first_ns, _last_ns in sessions]
    lengths = [max(0, last_ns - start) for start, (_first_ns, last_ns) in zip(starts, sessions, strict=True)]
    windows_count = folds_count + 1
    window_ns = sum(lengths) // windows_count
    if window_ns < WINDOW_S_MIN * NS_PER_S:
        raise ConfigError(
            f"--folds {folds_count}: {sum(lengths) / NS_PER_S:.0f} s after the warm-up give {windows_count} windows of "
            f"{window_ns / NS_PER_S:.1f} s, at least {WINDOW_S_MIN:g} s each; take fewer folds or longer recordings"
        )
    spans: list[Span] = []
    window, left_ns = 0, window_ns
    for session, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        at_ns, end_ns = start, start + length
        while at_ns < end_ns and window < windows_count:
            until_ns = min(end_ns, at_ns + left_ns)
            spans.append(Span(window, session, at_ns, until_ns))
            left_ns -= until_ns - at_ns
            at_ns = until_ns
            if not left_ns:
                window, left_ns = window + 1, window_ns
    return spans


class Reading(msgspec.Struct, frozen=True):
    """What counts up over a run, at one moment."""

    net_usd: float
    turnover_usd: float
    fills_count: int


class Meter:
    """Outcomes of the spans of one session, from looks at a run. `read` is asked at the edges of spans alone."""

    def __init__(self, spans: Sequence[Span], read: Callable[[], Reading]) -> None:
        self._spans = spans
        self._read = read
        self._start: Reading | None = None  # at the beginning of the span that runs
        self._peak_usd = self._fall_usd = 0.0
        self.outcomes: list[Outcome] = []  # one for each span that is over

    def look(self, now_ns: int, net_usd: float) -> None:
        """After each step, with the equity of that moment."""
        while len(self.outcomes) < len(self._spans):
            span = self._spans[len(self.outcomes)]
            if now_ns < span.begin_ns:
                return
            if self._start is None:
                self._start = self._read()
                self._peak_usd, self._fall_usd = self._start.net_usd, 0.0
            self._peak_usd = max(self._peak_usd, net_usd)
            self._fall_usd = max(self._fall_usd, self._peak_usd - net_usd)
            if now_ns < span.end_ns:
                return
            self._close()

    def finish(self) -> list[Outcome]:
        """The recording is over, and with it the span that ran; in spans after it nothing happened."""
        while len(self.outcomes) < len(self._spans):
            self._start = self._start or self._read()
            self._close()
        return self.outcomes

    def _close(self) -> None:
        start, now, span = self._start, self._read(), self._spans[len(self.outcomes)]
        assert start is not None
        self.outcomes.append(
            Outcome(
                (span.end_ns - span.begin_ns) / NS_PER_S / S_PER_H,
                now.net_usd - start.net_usd,
                self._fall_usd,
                now.turnover_usd - start.turnover_usd,
                now.fills_count - start.fills_count,
            )
        )
        # What ends one span begins the next, so that their sum is the run's.
        touching = len(self.outcomes) < len(self._spans) and self._spans[len(self.outcomes)].begin_ns == span.end_ns
        self._start = now if touching else None
        self._peak_usd, self._fall_usd = now.net_usd, 0.0


def by_window(spans: Sequence[Span], outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Outcomes of spans added up to one for each window."""
    total = [Outcome()] * (spans[-1].window + 1)
    for span, outcome in zip(spans, outcomes, strict=True):
        total[span.window] += outcome
    return total


def added(outcomes: Sequence[Outcome]) -> Outcome:
    return sum(outcomes, Outcome())


class Fold(msgspec.Struct, frozen=True):
    """One step of the walk: what was chosen on the windows before `window`, and how it did there."""

    window: int
    chosen: int  # number of the trial
    in_sample: float
    out_of_sample: float
    default_out_of_sample: float


class Walk(msgspec.Struct, frozen=True):
    """The whole walk, and what it would choose for the time after it. Scores over all folds are those of their sum."""

    folds: tuple[Fold, ...]
    best: int  # chosen on all windows
    best_score: float
    best_fills_count: int  # on all windows
    default_score: float  # of the defaults, on all windows
    out_of_sample: float
    default_out_of_sample: float
    is_flat: bool = False  # every trial did the same: nothing that was searched is used

    @property
    def is_thin(self) -> bool:
        """What was chosen has hardly traded."""
        return self.best_fills_count < FILLS_FEW

    @property
    def is_worse(self) -> bool:
        """Choosing did no better than leaving the defaults alone."""
        return self.out_of_sample < self.default_out_of_sample


def walk_forward(trials: Mapping[int, Sequence[Outcome]], score: Score, *, fills_min: int = 1) -> Walk | None:
    """`trials`: outcomes by window of each trial's number, 0 being the defaults. None when none has enough fills."""
    windows_count = len(trials[0])
    best = choose(trials, range(windows_count), score, fills_min)
    if best is None:
        return None
    folds = []
    for window in range(1, windows_count):
        chosen = choose(trials, range(window), score, fills_min) or 0
        folds.append(
            Fold(
                window,
                chosen,
                score(added(trials[chosen][:window])),
                score(trials[chosen][window]),
                score(trials[0][window]),
            )
        )
    return Walk(
        tuple(folds),
        best,
        score(added(trials[best])),
        added(trials[best]).fills_count,
        score(added(trials[0])),
        score(added([trials[fold.chosen][fold.window] for fold in folds])),
        score(added(trials[0][1:])),
        is_flat=len(trials) > 1 and all(outcomes == trials[0] for outcomes in trials.values()),
    )


def choose(trials: Mapping[int, Sequence[Outcome]], windows: range, score: Score, fills_min: int = 1) -> int | None:
    """The trial with the best score on `windows`; of equals the first.

    One with fewer fills there is not looked at: no quote that trades nothing loses, and it has shown nothing. None
    when there is no other.
    """
    scored = [
        (score(total), -number)
        for number, outcomes in trials.items()
        if (total := added([outcomes[window] for window in windows])).fills_count >= fills_min
    ]
    return -max(scored)[1] if scored else None
