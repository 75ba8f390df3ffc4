"""Models by name. The only crossing from settings to the formulas' letters."""

from __future__ import annotations

import math

from actors.quote.models.article import Article
from actors.quote.models.avellaneda_stoikov import AvellanedaStoikov, AvellanedaStoikovStationary
from actors.quote.models.fixed import Fixed
from actors.quote.models.glft import Glft, GlftExact
from actors.quote.models.portfolio import Portfolio
from actors.quote.models.protocol import Estimates, Intensity, PricingModel
from actors.vocab.config import QuoteSettings


def make_model(settings: QuoteSettings) -> PricingModel:
    """The model that the settings name."""
    gamma, most = settings.gamma, settings.position_orders_max
    xi = settings.utility_xi
    match settings.model:
        case "avellaneda_stoikov" if settings.horizon == "infinite":
            return AvellanedaStoikovStationary(gamma=gamma, position_max=most)
        case "avellaneda_stoikov":
            return AvellanedaStoikov(gamma=gamma, horizon_s=settings.horizon_s)
        case "glft" if settings.glft_solution == "exact":
            return GlftExact(gamma=gamma, bound=max(1, round(most)))
        case "glft":
            return Glft(gamma=gamma, xi=xi)
        case "riccati":
            return Glft(gamma=gamma, xi=xi, horizon_s=settings.horizon_s)
        case "portfolio":
            return Portfolio(gamma=gamma, xi=xi, horizon_s=settings.portfolio_horizon_s or math.inf)
        case "fixed":
            return Fixed(
                half_spread_bps=settings.fixed_half_spread_bps,
                skew_bps=settings.fixed_skew_bps,
                position_orders_max=most,
            )
        case "article":
            return Article()


def estimates_of(settings: QuoteSettings) -> Estimates:
    """What holds until estimators and risk have spoken."""
    both = Intensity(settings.intensity_a_per_s, settings.intensity_k_bps)
    return Estimates(bid=both, ask=both, adverse_bps=settings.adverse_bps)
