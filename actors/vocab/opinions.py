"""The language model's bounded, expiring view. It can only reduce risk; `llm/effects.py` enforces that."""

from __future__ import annotations

from actors.vocab.message import Message, Record

RISK_TOPIC = b"#risk"
FLEET_SCOPE = "fleet"


class SignalInputs(Message, frozen=True):
    """quote -> llm (channel "signals", topic symbol). What is asked about one symbol; all ours to define, see the
    formulas in `quote/inputs.py`."""

    symbol: str
    mid_price: float
    depth_score: float  # 0..1
    volatility_bps: float  # per square-root minute
    toxic_flow: float  # 0..1
    ms_since_trade: int
    liquidity_regime: str = "normal"  # deep | normal | thin | broken


class RegimeView(Message, frozen=True):
    """llm -> quote, after clamping: neutral values where the model said nothing usable.

    `bid_factor`/`ask_factor` in [0, 1] scale sizes; 0 on both is `hold`. `spread_bps_min` is a floor, never a cap.
    Decays linearly to neutral over `half_life_s` and is ignored after `ttl_s`.
    """

    symbol: str
    bid_factor: float = 1.0
    ask_factor: float = 1.0
    spread_bps_min: float = 0.0
    max_position_usd: float = 0.0  # 0 = no opinion; otherwise min(ours, this)
    confidence: float = 0.0
    ttl_s: float = 30.0
    model: str = ""
    prompt_hash: str = ""
    reasoning: str = ""  # shown, never executed


class RiskView(Message, frozen=True):
    """llm -> risk, quote (channel "views", topic `RISK_TOPIC`), after clamping.

    Risk acts on `circuit_breaker` and on a lower cap, quote engines on `spread_bps_add`, which decays as a `RegimeView`
    does; nothing else has an effect. All of it is ignored after `ttl_s`.
    """

    scope: str  # `FLEET_SCOPE` or a symbol
    risk_score: float
    circuit_breaker: bool
    max_position_usd: float  # 0 = no opinion
    spread_bps_add: float  # on top of the total spread that is quoted without it; 0 to 100 after clamping
    ttl_s: float
    model: str = ""
    prompt_hash: str = ""
    recommendations: tuple[str, ...] = ()


class OpinionItem(Record, frozen=True):
    """One item of an answer, after clamping."""

    symbol: str
    action: str
    confidence: float
    bid_factor: float
    ask_factor: float
    applied: bool  # False: held out to measure by, or in shadow


class CallRecord(Message, frozen=True):
    """member -> treasury: what was asked and answered, for scorecard and journal. Sent before its settlement."""

    request_no: int
    model: str
    purpose: str
    prompt: str  # name of the template
    prompt_hash: str
    user: str  # the rows that were filled in
    answer: str  # cut to `ANSWER_CHARS_MAX`
    tokens_in: int
    tokens_out: int
    latency_ms: int
    items: tuple[OpinionItem, ...]


# An honest answer of 25 items is half of it.
ANSWER_CHARS_MAX = 10_000
