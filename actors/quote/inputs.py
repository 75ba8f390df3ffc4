"""What the language model is asked about one symbol: depth score, toxic flow, volatility, liquidity regime.

All four are ours to define; the formulas are in `quote/estimators/`.
"""

from __future__ import annotations

from collections.abc import Sequence

from actors.quote.estimators.liquidity import LiquidityWatch, depth_score, side_usd
from actors.quote.estimators.trade_flow import TradeFlowWatch
from actors.quote.estimators.volatility import bps_per_root_min
from actors.vocab.instruments import Instrument
from actors.vocab.market import Level
from actors.vocab.opinions import SignalInputs
from actors.vocab.units import NS_PER_MS


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
