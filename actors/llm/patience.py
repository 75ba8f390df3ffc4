"""How long to wait for a model: its own measured latency decides, as TCP's retransmission timer does (RFC 6298)."""

from __future__ import annotations

MEAN_GAIN = 1 / 8
DEVIATION_GAIN = 1 / 4
# TCP's four would give up on 3 % of good answers where latency is lognormal (sigma 0.4), and each of them is paid for.
DEVIATIONS = 8.0
# A mean of milliseconds must not make a pause of half a second a fault.
TIMEOUT_MIN_S = 1.0


class Patience:
    """Of one model and purpose. Starts with all the time there is."""

    def __init__(self, timeout_max_s: float) -> None:
        self._timeout_max_s = timeout_max_s
        self._mean_s: float | None = None
        self._deviation_s = 0.0
        self._backoff = 1.0

    @property
    def timeout_s(self) -> float:
        if self._mean_s is None:
            return self._timeout_max_s
        wanted = max(TIMEOUT_MIN_S, self._mean_s + DEVIATIONS * self._deviation_s) * self._backoff
        return min(wanted, self._timeout_max_s)

    def answered(self, latency_s: float) -> None:
        self._backoff = 1.0
        if self._mean_s is None:
            self._mean_s, self._deviation_s = latency_s, latency_s / 2
            return
        self._deviation_s += DEVIATION_GAIN * (abs(latency_s - self._mean_s) - self._deviation_s)
        self._mean_s += MEAN_GAIN * (latency_s - self._mean_s)

    def timed_out(self) -> None:
        """Wait twice as long next time: a server that became slow would else never be heard again."""
        self._backoff = min(self._backoff * 2, self._timeout_max_s / TIMEOUT_MIN_S)
