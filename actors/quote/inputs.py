"""All estimators of one symbol, fed by its engine: what the models know besides the book, and what the language model
is asked.

`on_trades` and `on_top` are on the path of an update and do no more than the settings ask for; everything else happens
at a timer, most of it once a second. What is not estimated is as the settings say. The formulas are in
`quote/estimators/`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from actors.quote.estimators.adverse import AdverseWatch
from actors.quote.estimators.intensity import Bounds, Fit, IntensityWatch, fit_klines
from actors.quote.estimators.liquidity import LiquidityWatch, depth_score, side_usd
from actors.quote.estimators.order_flow import OrderFlowWatch
from actors.quote.estimators.range_volatility import variance_per_s
from actors.quote.estimators.trade_flow import TradeFlowWatch, Vpin
from actors.quote.estimators.volatility import (
    EwmaVolatility,
    TwoScaleVolatility,
    bps_per_root_min,
    kline_variance_per_s,
)
from actors.quote.estimators.volatility_regime import VolatilityRegime
from actors.quote.models.catalogue import estimates_of
from actors.quote.models.protocol import Estimates, Intensity
from actors.vocab.config import QuoteSettings
from actors.vocab.instruments import Instrument
from actors.vocab.market import Kline, Level, Side, TradeFlow
from actors.vocab.opinions import SignalInputs
from actors.vocab.units import NS_PER_MS, NS_PER_S

REFRESH_NS = NS_PER_S
# A VPIN bucket holds what trades in a minute on average: fifty of them remember about an hour.
VPIN_BUCKET_S = 60.0
# Smaller changes are no news: a model works its constants out anew for each new object.
NEWS_SHARE, NEWS_BPS, NEWS_BPS_PER_S = 0.02, 0.02, 0.002


class SignalWatch:
    """All that is remembered for one symbol."""

    __slots__ = (
        "_depth_score",
        "_refreshed_ns",
        "_settings",
        "adverse",
        "flow",
        "intensity",
        "liquidity",
        "order_flow",
        "volatility",
        "volatility_regime",
        "vpin",
    )

    def __init__(self, settings: QuoteSettings) -> None:
        self._settings = settings
        self._refreshed_ns = 0
        self._depth_score = 0.5
        self.volatility = _volatility(settings)
        self.volatility_regime = VolatilityRegime()
        self.flow = TradeFlowWatch()
        self.liquidity = LiquidityWatch()
        # The rest exists where the settings ask for it.
        self.intensity = _intensity(settings) if settings.intensity == "live" else None
        self.adverse = _adverse(settings) if settings.adverse == "live" else None
        self.order_flow = OrderFlowWatch() if settings.flow_drift_bps_per_s > 0 else None
        self.vpin: Vpin | None = None  # candles say how large its buckets are

    # --- in ------------------------------------------------------------------------------------------------------

    def on_trades(self, trades: TradeFlow, now_ns: int) -> None:
        """Trades since the last book, at least one. Before the `on_top` of the same update."""
        self.flow.note(trades, now_ns)
        if self.intensity is not None:
            self.intensity.on_trades(trades)
        if self.vpin is not None:
            self.vpin.note(trades.buy_lots, trades.sell_lots)

    def on_top(self, bid: Level, ask: Level, fresh_ns: int, now_ns: int) -> None:
        """Best levels of a good book, which holds for `fresh_ns`."""
        self.volatility.update((bid[0] + ask[0]) / 2, fresh_ns)
        if self.intensity is not None:
            self.intensity.on_top(bid[0], ask[0], now_ns)
        if self.order_flow is not None:
            self.order_flow.update(bid, ask, now_ns)

    def skip_gap(self) -> None:
        """There is no good book: no change over the hole is a sample of anything."""
        self.volatility.skip_gap()
        self.liquidity.lost()
        if self.intensity is not None:
            self.intensity.skip_gap()
        if self.order_flow is not None:
            self.order_flow.skip_gap()

    def rescale(self, lots: float) -> None:
        """The instrument's steps have changed; `lots` new lots are one old one now."""
        self.skip_gap()
        if self.adverse is not None:
            self.adverse.skip_gap()
        if self.vpin is not None:
            self.vpin.rescale(lots)

    def on_fill(self, side: Side, mid_ticks: float, now_ns: int) -> None:
        """A fill of ours; `mid_ticks` 0 where no mid is known."""
        if self.adverse is not None:
            self.adverse.on_fill(side, mid_ticks, now_ns)

    def settle(self, mid_ticks: float, now_ns: int) -> None:
        """A timer: fills whose horizon has come are booked; `mid_ticks` 0 where there is no good book."""
        if self.adverse is not None:
            self.adverse.settle(mid_ticks, now_ns)

    def warm_up(self, klines: Sequence[Kline]) -> None:
        """History before the first own sample."""
        settings = self._settings
        seed = settings.volatility_seed
        variance = kline_variance_per_s(klines) if seed == "close" else variance_per_s(klines, seed)
        if variance is not None:
            self.volatility.seed(variance)
        if self.intensity is not None:
            fit = fit_klines(klines, interval_s=settings.intensity_interval_ms / 1000)
            if fit is not None:
                self.intensity.seed(fit)
        seconds = sum(one.close_ms - one.open_ms + 1 for one in klines) / 1000
        lots = sum(one.lots for one in klines)
        if settings.toxic_widening_bps > 0 and seconds > 0 and lots > 0 and self.vpin is None:
            self.vpin = Vpin(bucket_lots=lots / seconds * VPIN_BUCKET_S)

    # --- once a second -------------------------------------------------------------------------------------------

    def due(self, now_ns: int) -> bool:
        return now_ns - self._refreshed_ns >= REFRESH_NS

    def refresh(
        self, row: Instrument, bids: Sequence[Level], asks: Sequence[Level], last: Estimates, now_ns: int
    ) -> Estimates:
        """Look at a good book; returns `last` itself where nothing worth telling has changed."""
        self._refreshed_ns = now_ns
        bid, ask = bids[0][0], asks[0][0]
        unit = row.usd_per_tick_lot
        depth_usd = min(side_usd(bids, unit), side_usd(asks, unit))
        ratio = self.liquidity.note(depth_usd=depth_usd, spread=(ask - bid) / bid, now_ns=now_ns)
        self._depth_score = depth_score(ratio)
        self.volatility_regime.note(self.volatility.bps, now_ns)
        return self._estimates(last, now_ns)

    def _estimates(self, last: Estimates, now_ns: int) -> Estimates:
        settings, watch = self._settings, self.intensity
        bid, ask, drift, adverse = last.bid, last.ask, last.drift_bps_per_s, last.adverse_bps
        if watch is not None:
            bid, ask = _news(bid, watch.bid), _news(ask, watch.ask)
        if self.order_flow is not None:
            found = settings.flow_drift_bps_per_s * self.order_flow.share(now_ns)
            drift = found if abs(found - drift) > NEWS_BPS_PER_S else drift
        if settings.adverse_is_moving:
            found = self._adverse_bps()
            adverse = found if abs(found - adverse) > NEWS_BPS else adverse
        if bid is last.bid and ask is last.ask and drift == last.drift_bps_per_s and adverse == last.adverse_bps:
            return last
        return last._replace(bid=bid, ask=ask, drift_bps_per_s=drift, adverse_bps=adverse)

    def _adverse_bps(self) -> float:
        settings = self._settings
        width = settings.adverse_bps if self.adverse is None else self.adverse.width_bps
        width += settings.toxic_widening_bps * self.toxic_flow()
        if self.liquidity.regime in ("thin", "broken"):
            width += settings.thin_widening_bps
        if self.volatility_regime.regime == "wild":
            width += settings.wild_widening_bps
        return min(width, settings.adverse_bps_max)

    # --- out -----------------------------------------------------------------------------------------------------

    def toxic_flow(self) -> float:
        """The larger of the two measures, in [0, 1]."""
        return max(self.flow.toxic_flow(), self.vpin.value() if self.vpin is not None else 0.0)

    def inputs(self, row: Instrument, bid_ticks: int, ask_ticks: int, now_ns: int) -> SignalInputs:
        """The language model's question, as of the last refresh."""
        traded_ns = self.flow.last_trade_ns
        return SignalInputs(
            symbol=row.symbol,
            mid_price=(bid_ticks + ask_ticks) / 2 * row.tick_float,
            depth_score=self._depth_score,
            volatility_bps=bps_per_root_min(self.volatility.bps),
            toxic_flow=self.flow.toxic_flow(),
            ms_since_trade=(now_ns - traded_ns) // NS_PER_MS if traded_ns else -1,
            liquidity_regime=self.liquidity.regime,
        )

    def figures(self, estimates: Estimates, now_ns: int) -> dict[str, Any]:
        """What an operator sees: the models' inputs, and what they are made of."""
        adverse = self.adverse
        return {
            "bid_a_per_s": estimates.bid.a_per_s,
            "bid_k_per_bp": estimates.bid.k_per_bp,
            "ask_a_per_s": estimates.ask.a_per_s,
            "ask_k_per_bp": estimates.ask.k_per_bp,
            "drift_bps_per_s": estimates.drift_bps_per_s,
            "adverse_bps": estimates.adverse_bps,
            "markout_bps": None if adverse is None else adverse.mean_bps(self._settings.adverse_horizon_s),
            "order_flow": 0.0 if self.order_flow is None else self.order_flow.share(now_ns),
            "toxic_flow": self.flow.toxic_flow(),
            "vpin": 0.0 if self.vpin is None else self.vpin.value(),
            "depth_score": self._depth_score,
            "liquidity_regime": self.liquidity.regime,
            "volatility_regime": self.volatility_regime.regime,
        }


def _volatility(settings: QuoteSettings) -> EwmaVolatility:
    half_life_s, sample_ns = settings.volatility_half_life_s, settings.volatility_sample_ms * NS_PER_MS
    if settings.volatility_estimator == "two_scale":
        theta_s = half_life_s / math.log(2)
        return TwoScaleVolatility(theta_s=theta_s, sample_ns=sample_ns, scale=settings.volatility_scale)
    return EwmaVolatility.with_half_life(half_life_s, sample_ns=sample_ns)


def _intensity(settings: QuoteSettings) -> IntensityWatch:
    both = estimates_of(settings).bid
    return IntensityWatch(
        prior=Fit(both.a_per_s, both.k_per_bp),
        interval_ns=settings.intensity_interval_ms * NS_PER_MS,
        half_life_s=settings.intensity_half_life_s,
        bounds=Bounds(settings.intensity_k_bps_min, settings.intensity_k_bps_max),
    )


def _adverse(settings: QuoteSettings) -> AdverseWatch:
    return AdverseWatch(
        neutral_bps=settings.adverse_bps,
        horizon_s=settings.adverse_horizon_s,
        width_bps_max=settings.adverse_bps_max,
    )


def _news(last: Intensity, fit: Fit) -> Intensity:
    """`last` where the fit is nearly the same."""
    near = NEWS_SHARE * last.a_per_s >= abs(fit.a_per_s - last.a_per_s) and (
        NEWS_SHARE * last.k_per_bp >= abs(fit.k - last.k_per_bp)
    )
    return last if near else Intensity(fit.a_per_s, fit.k)
