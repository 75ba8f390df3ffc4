"""The few crossings between venue decimals, integer ticks and lots, and floats.

Books, orders and ledgers hold integer ticks and lots. Floats live in signals and pricing models only.
Every function here names the side it rounds to: a bid rounds down, an ask rounds up.
"""

from __future__ import annotations

import math
from decimal import Decimal

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
BPS = 1e-4


def steps(text: str | float, step: Decimal) -> int:
    """Return `text / step` as an exact integer; ValueError when it is not a whole number of steps."""
    quotient = Decimal(str(text)) / step
    whole = quotient.to_integral_value()
    if quotient != whole:
        raise ValueError(f"{text} is not a multiple of {step}")
    return int(whole)


def steps_down(text: str | float, step: Decimal) -> int:
    """Return the largest whole number of steps not above `text`."""
    return math.floor(Decimal(str(text)) / step)


def decimal_text(count: int, step: Decimal) -> str:
    """Return `count * step` as plain venue text: no exponent, no more digits than the step has."""
    return format((count * step).quantize(step), "f")


def bid_ticks(price_ticks: float) -> int:
    """Round a model's bid down to a whole tick; 1e-9 forgives float noise just below a tick."""
    return math.floor(price_ticks + 1e-9)


def ask_ticks(price_ticks: float) -> int:
    """Round a model's ask up to a whole tick."""
    return math.ceil(price_ticks - 1e-9)
