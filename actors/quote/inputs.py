"""What the language model is asked about one symbol: depth score, toxic flow, volatility, liquidity regime.

All four are ours to define:
- depth: USD on the thinner side of the published levels, against its own slow mean;
- depth score: half of that ratio, at most 1: 0.5 is usual, below 0.3 less than 60 % of the usual depth is there;
- toxic flow: |buys - sells| / (buys + sells) of public trades, exponentially weighted: the signed-trade form of VPIN
  (Easley, López de Prado, O'Hara 2012; the aggressor side is on the wire, so bulk classification is not needed),
  shrunk toward 0 while few trades, or a few large ones among many small, make up the flow: n trades of equal size and
  random side show an imbalance of about 1/sqrt(n) that means nothing;
- regime: from depth and spread ratios, with hysteresis so that it does not flicker between two opinions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from actors.quote.volatility import bps_per_root_min
from actors.vocab.instruments import Instrument
from actors.vocab.market import Level, TradeFlow
from actors.vocab.opinions import SignalInputs
from actors.vocab.units import NS_PER_MS, NS_PER_S

SLOW_MEAN_S = 600.0  # what "usual" means for depth and spread
FLOW_MEAN_S = 60.0  # memory of the trade flow
FLOW_TRADES_HALF = 10.0  # effective trades at which the imbalance counts half

# Enter and leave on different ratios of now to usual.
THIN_BELOW, THIN_UNTIL = 0.5, 0.7  # depth
WIDE_ABOVE, WIDE_UNTIL = 2.0, 1.5  # spread
DEEP_ABOVE, DEEP_UNTIL = 2.0, 1.5  # depth


def side_usd(levels: Sequence[Level], usd_per_tick_lot: float) -> float:
    return sum(ticks * lots for ticks, lots in levels) * usd_per_tick_lot


def depth_score(ratio: float) -> float:
    """Depth against its usual value as a score in [0, 1]; 0.5 is usual."""
    return max(0.0, min(1.0, ratio / 2)) if math.isfinite(ratio) else 0.0


def next_regime(regime: str, *, depth_ratio: float, spread_ratio: float) -> str:
    """normal, thin or deep; the old regime stays until its leaving threshold is passed."""
    thin_now = depth_ratio < THIN_BELOW or spread_ratio > WIDE_ABOVE
    if thin_now or (regime == "thin" and (depth_ratio < THIN_UNTIL or spread_ratio > WIDE_UNTIL)):
        return "thin"
    deep_now = depth_ratio > DEEP_ABOVE and spread_ratio <= 1.0
    if deep_now or (regime == "deep" and depth_ratio > DEEP_UNTIL):
        return "deep"
    return "normal"


class TradeFlowWatch:
    """Exponentially weighted buys and sells, in lots."""

    __slots__ = ("_buys", "_sells", "_squares", "_updated_ns", "last_trade_ns")

    def __init__(self) -> None:
        self._buys = self._sells = self._squares = 0.0
        self._updated_ns = 0
        self.last_trade_ns = 0

    def note(self, flow: TradeFlow, now_ns: int) -> None:
        if flow.buys_count + flow.sells_count == 0:
            return
        if self._updated_ns:
            decay = math.exp((self._updated_ns - now_ns) / (FLOW_MEAN_S * NS_PER_S))
            self._buys *= decay
            self._sells *= decay
            self._squares *= decay * decay
        self._buys += flow.buy_lots
        self._sells += flow.sell_lots
        # An update's trades of one side were one decision more often than not (a sweep): they count as one trade.
        self._squares += flow.buy_lots**2 + flow.sell_lots**2
        self._updated_ns = self.last_trade_ns = now_ns

    def toxic_flow(self) -> float:
        """In [0, 1]; one-sided flow of many trades is 1."""
        total = self._buys + self._sells
        if total <= 0:
            return 0.0
        effective = total * total / self._squares  # Kish's effective sample size of weighted trades
        return abs(self._buys - self._sells) / total * effective / (effective + FLOW_TRADES_HALF)


class LiquidityWatch:
    """Slow means of depth and spread and the regime; fed a few times a minute."""

    __slots__ = ("_depth_mean", "_spread_mean", "_updated_ns", "regime")

    def __init__(self) -> None:
        self._depth_mean = self._spread_mean = 0.0
        self._updated_ns = 0
        self.regime = "normal"

    def note(self, *, depth_usd: float, spread: float, now_ns: int) -> float:
        """Take a sample of a good book; returns its depth ratio. The first sample is "usual" by definition."""
        if self._updated_ns == 0:
            self._depth_mean, self._spread_mean = depth_usd, spread
        depth_ratio = depth_usd / self._depth_mean if self._depth_mean > 0 else 1.0
        spread_ratio = spread / self._spread_mean if self._spread_mean > 0 else 1.0
        self.regime = next_regime(self.regime, depth_ratio=depth_ratio, spread_ratio=spread_ratio)
        if self._updated_ns:
            gain = 1.0 - math.exp((self._updated_ns - now_ns) / (SLOW_MEAN_S * NS_PER_S))
            self._depth_mean += gain * (depth_usd - self._depth_mean)
            self._spread_mean += gain * (spread - self._spread_mean)
        self._updated_ns = now_ns
        return depth_ratio


class SignalWatch:
    """All that is remembered for one symbol's inputs."""

    __slots__ = ("flow", "liquidity")

    def __init__(self) -> None:
        self.flow = TradeFlowWatch()
        self.liquidity = LiquidityWatch()

    def inputs(
        self,
        row: Instrument,
        bids: Sequence[Level],
        asks: Sequence[Level],
        volatility_bps: float,
        now_ns: int,
    ) -> SignalInputs:
        """The question about a good book, both sides not empty. `volatility_bps` per root second."""
        unit = row.usd_per_tick_lot
        bid, ask = bids[0][0], asks[0][0]
        depth_usd = min(side_usd(bids, unit), side_usd(asks, unit))
        ratio = self.liquidity.note(depth_usd=depth_usd, spread=(ask - bid) / bid, now_ns=now_ns)
        traded_ns = self.flow.last_trade_ns
        return SignalInputs(
            symbol=row.symbol,
            mid_price=(bid + ask) / 2 * row.tick_float,
            depth_score=depth_score(ratio),
            volatility_bps=bps_per_root_min(volatility_bps),
            toxic_flow=self.flow.toxic_flow(),
            ms_since_trade=(now_ns - traded_ns) // NS_PER_MS if traded_ns else -1,
            liquidity_regime=self.liquidity.regime,
        )
