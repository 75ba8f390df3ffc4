"""Settings of quote engines.

Units of the model, chosen so that one set of numbers serves all symbols: prices are in basis points of the fair
price, the position is counted in orders (`position_lots / order_lots`), time in seconds. Then

    gamma            1 / (bp * order)       how much one more order at risk is disliked
    intensity_k_bps  1 / bp                 how fast fills thin out with distance
    volatility       bps / sqrt(second)
    gamma * volatility**2 * horizon_s  is in bps per order, ln(1 + gamma / k) / gamma in bps.

`quote/models/catalogue.py` gives them to the models, `quote/ladder.py` turns the answers into ticks.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from actors.vocab.config.estimators import EstimatorSettings

ModelName = Literal["avellaneda_stoikov", "glft", "riccati", "portfolio", "fixed", "article"]

# The exact solution works out one quote per order of position; beyond this it would be seen in the latency.
EXACT_ORDERS_MAX = 100


class QuoteSettings(EstimatorSettings):
    model: ModelName = Field("avellaneda_stoikov", description="pricing model by name")
    gamma: float = Field(0.08, ge=1e-9, le=1000, description="risk aversion, per basis point and order")
    horizon_s: float = Field(20.0, ge=1e-3, le=86_400, description="T - t, held constant: a rolling horizon")
    horizon: Literal["rolling", "infinite"] = Field(
        "rolling", description="model `avellaneda_stoikov`: the horizon above, or none and the position bounded"
    )
    glft_solution: Literal["closed", "exact"] = Field(
        "closed", description="model `glft`: the closed form, or the exact one with the position bounded by the cap"
    )
    glft_utility: Literal["cara", "penalty"] = Field(
        "cara",
        description="closed `glft`, `riccati`, `portfolio`: risk aversion in the spread too, or charged as risk runs",
    )
    intensity_k_bps: float = Field(0.7, ge=1e-6, le=100, description="decay of fill intensity per bp of distance")
    intensity_a_per_s: float = Field(0.5, ge=1e-9, le=10_000, description="fills a second and side at distance 0")
    order_usd: float = Field(250.0, gt=0, description="size of one order at the first level")
    levels_count: int = Field(1, ge=1, le=10)
    level_step_bps: float = Field(2.0, gt=0, le=500)
    level_sizes: Literal["geometric", "model"] = Field(
        "geometric", description="each level `level_size_ratio` times the one before, or as the model's skew has it"
    )
    level_size_ratio: float = Field(1.0, ge=0.1, le=10)
    level_orders_max: float = Field(4.0, ge=0.1, le=100, description="level_sizes model: a level's most, in orders")
    price_bands: dict[str, tuple[float, float]] = Field(
        default_factory=dict, description="symbol: [lowest, highest] price of any quote"
    )
    band_bps: float = Field(0.0, ge=0, le=5_000, description="most distance of a quote from a slow mean; 0: no band")
    band_half_life_s: float = Field(300.0, gt=0, le=86_400, description="of that mean")
    spread_bps_min: float = Field(1.0, ge=0, le=1000, description="floor on the total spread besides the fee floor")
    spread_bps_max: float = Field(200.0, gt=0, le=2000)
    adverse_bps: float = Field(
        0.5, ge=0, le=100, description="expected adverse markout a side, until measured; part of the fee floor"
    )
    skew_bps_max: float = Field(50.0, ge=0, le=500, description="largest shift of the centre by the position")
    microprice_weight: float = Field(1.0, ge=0, le=1, description="0 quotes around the mid, 1 around the microprice")
    volatility_half_life_s: float = Field(30.0, gt=0, le=3600)
    volatility_bps_min: float = Field(0.05, gt=0, description="floor of the volatility, bps per root second")
    warm_up_updates: int = Field(20, ge=1, description="book updates before the first quote")
    refresh_tolerance_bps: float = Field(0.6, ge=0, le=100, description="a quote this near to its wish is left alone")
    refresh_interval_ms: int = Field(1000, ge=1, description="least time between two changes of one slot")
    book_age_ms_max: int = Field(1500, ge=50, description="an older book is not quoted on")
    position_usd_max: float = Field(2_000.0, gt=0, description="the ladder's own cap a symbol; leases may be smaller")
    unanswered_max: int = Field(4, ge=1, description="commands out without an answer before a symbol waits")
    symbols_per_actor: int = Field(1, ge=1, le=1000)
    fixed_half_spread_bps: float = Field(0.5, gt=0, le=500, description="model `fixed`: half spread")
    fixed_skew_bps: float = Field(0.5, ge=0, le=500, description="model `fixed`: shift at the full position")
    portfolio_horizon_s: float = Field(
        0.0, ge=0, le=86_400, description="model `portfolio`: 0, stationary as glft; else rolling as riccati"
    )
    refresh_tolerance_share: float = Field(
        0.1, ge=0, le=1, description="the same as a share of the total spread; the larger of both holds"
    )
    queue_keep: float = Field(
        0.5, ge=0, le=10, description="tolerances that the best place in a queue adds before a quote gives it up"
    )
    hanging_s_max: float = Field(
        0.0,
        ge=0,
        le=3_600,
        description="an order whose partner was filled is left where it is this long; 0: not at all",
    )
    hanging_bps_max: float = Field(20.0, gt=0, le=2_000, description="the same only this near to the fair price")
    volatility_sample_ms: int = Field(
        250, ge=0, le=60_000, description="least spacing of volatility samples: nearer ones measure bid-ask bounce"
    )
    answer_timeout_ms: int = Field(5_000, ge=100, description="a command unanswered this long: ask the gateway anew")
    reject_backoff_ms: int = Field(250, ge=1, description="wait after a rejected order; doubles at each further one")
    reject_backoff_max_ms: int = Field(8_000, ge=1)

    @property
    def utility_xi(self) -> float:
        """ξ of the papers: γ for a CARA trader, 0 for one who is charged for risk as it runs."""
        return self.gamma if self.glft_utility == "cara" else 0.0

    @property
    def position_orders_max(self) -> float:
        """The ladder's own cap in orders."""
        return self.position_usd_max / self.order_usd

    @model_validator(mode="after")
    def _relations(self) -> QuoteSettings:
        if self.spread_bps_min > self.spread_bps_max:
            raise ValueError("spread_bps_min must not exceed spread_bps_max")
        if self.order_usd > self.position_usd_max:
            raise ValueError("order_usd must not exceed position_usd_max")
        if self.glft_solution == "exact" and self.position_orders_max > EXACT_ORDERS_MAX:
            raise ValueError(
                f"glft_solution exact: position_usd_max / order_usd must not exceed {EXACT_ORDERS_MAX} orders"
            )
        for symbol, (low, high) in self.price_bands.items():
            if not 0 < low < high:
                raise ValueError(f"price_bands of {symbol}: expected 0 < lowest < highest, found {low:g} and {high:g}")
        if self.reject_backoff_ms > self.reject_backoff_max_ms:
            raise ValueError("reject_backoff_ms must not exceed reject_backoff_max_ms")
        return self
