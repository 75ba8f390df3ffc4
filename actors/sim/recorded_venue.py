"""One venue of a replay, made from the surveys of its recordings; the sockets around it are somebody else's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from actors.sim.queue_models import LatencyModel
from actors.sim.recorded import RecordedExchange
from actors.sim.recording import RecordingFacts, recorded_instrument
from actors.vocab.config.sim import SimSettings
from actors.vocab.instruments import Instrument, Market


def recorded_exchange(
    market: Market,
    facts: Sequence[RecordingFacts],
    *,
    settings: SimSettings,
    seed: int,
    start_ms: int,
    known: Mapping[str, Instrument],
    latency: LatencyModel | None = None,
) -> RecordedExchange:
    """`facts` are those of this market; steps and filters of `known` symbols are used where they fit.
    `latency` None: the constants of the settings."""
    made = {
        symbol.symbol: recorded_instrument(
            symbol,
            venue=f"binance_{market}",
            market=market,
            maker_fee_bps=settings.maker_fee_bps,
            taker_fee_bps=settings.taker_fee_bps,
            known=known,
        )
        for each in facts
        for symbol in each.symbols
    }
    return RecordedExchange(
        venue=f"binance_{market}",
        instruments=tuple(made.values()),
        settings=settings,
        seed=seed,
        start_ms=start_ms,
        latency=latency,
        first_prices={symbol.symbol: symbol.first_price for each in facts for symbol in each.symbols},
    )


def stream_suffixes(facts: Sequence[RecordingFacts]) -> tuple[str, ...]:
    """`depth@0ms`, `bookTicker` …: the subscriptions of a replay are the streams that the recordings hold."""
    return tuple(
        dict.fromkeys(
            stream.partition("@")[2] for each in facts for symbol in each.symbols for stream in symbol.streams
        )
    )
