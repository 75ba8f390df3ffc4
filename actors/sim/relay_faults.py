"""How the simulated relay fails over a run: not at all, a little of everything, or each fault in turn.

In the drill a stage of `fault_s` belongs to one fault alone. After one that opens breakers the relay behaves for half
a stage, so that the next fault is met by calls and not by one probe. What cannot be taken back comes last: a usage that
lies may cost the day's money, a refused key stops a model for good. The clock starts with the first question.
"""

from __future__ import annotations

import msgspec

from actors.vocab.units import NS_PER_S


class RelayFaults(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of completions that go wrong, each in its own way, at most one at a time; all zero is well behaved."""

    error_5xx: float = 0.0
    limited: float = 0.0  # a 429 out of nowhere
    never: float = 0.0
    trickle: float = 0.0
    cut: float = 0.0
    empty: float = 0.0
    enormous: float = 0.0
    not_utf8: float = 0.0
    nested: float = 0.0
    truncated: float = 0.0
    nonsense: float = 0.0
    lying_usage: float = 0.0
    # Not exclusive: a share of items, and states of the whole server.
    rule_breaking: float = 0.0
    down: bool = False
    key_revoked: bool = False
    latency_times: float = 1.0


EXCLUSIVE = tuple(
    name
    for name in RelayFaults.__struct_fields__
    if name not in ("rule_breaking", "down", "key_revoked", "latency_times")
)


MIXES: dict[str, RelayFaults] = {
    "none": RelayFaults(),
    # An ordinary bad hour of a gateway: everything happens, nothing often.
    "rough": RelayFaults(
        error_5xx=0.02,
        limited=0.01,
        never=0.01,
        trickle=0.005,
        cut=0.01,
        empty=0.005,
        truncated=0.01,
        nonsense=0.01,
        rule_breaking=0.02,
    ),
}
PAUSE_SHARE = 0.5  # of a stage


class Stage(msgspec.Struct, frozen=True):
    """One fault at its worst; `opens_breakers`: its answers are no answers, so models are given up for a while."""

    name: str
    faults: RelayFaults
    opens_breakers: bool = True


STAGES = (
    Stage("slow", RelayFaults(latency_times=6.0)),
    Stage("limited", RelayFaults(limited=1.0), opens_breakers=False),
    Stage("error_5xx", RelayFaults(error_5xx=1.0)),
    Stage("down", RelayFaults(down=True)),
    Stage("never", RelayFaults(never=1.0)),
    Stage("trickle", RelayFaults(trickle=1.0)),
    Stage("cut", RelayFaults(cut=1.0)),
    Stage("empty", RelayFaults(empty=1.0)),
    Stage("enormous", RelayFaults(enormous=1.0)),
    Stage("not_utf8", RelayFaults(not_utf8=1.0)),
    Stage("nested", RelayFaults(nested=1.0)),
    Stage("truncated", RelayFaults(truncated=1.0), opens_breakers=False),  # its first items are good
    Stage("nonsense", RelayFaults(nonsense=1.0)),
    Stage("rule_breaking", RelayFaults(rule_breaking=0.7), opens_breakers=False),
    Stage("lying_usage", RelayFaults(lying_usage=1.0), opens_breakers=False),
    Stage("key_revoked", RelayFaults(key_revoked=True)),
)


PAUSE = Stage("none", RelayFaults(), opens_breakers=False)


class RelayDrill:
    """`at(now_ns)` is the stage of that moment; the last one never ends."""

    def __init__(self, *, fault_s: float) -> None:
        self._fault_ns = int(fault_s * NS_PER_S)
        self._began_ns: int | None = None

    def at(self, now_ns: int) -> Stage:
        if self._began_ns is None:
            self._began_ns = now_ns
        left_ns = now_ns - self._began_ns - self._pause_ns
        for stage in STAGES if left_ns >= 0 else ():
            if left_ns < self._fault_ns or stage is STAGES[-1]:
                return stage
            left_ns -= self._fault_ns
            if stage.opens_breakers:
                if left_ns < self._pause_ns:
                    break
                left_ns -= self._pause_ns
        return PAUSE

    @property
    def _pause_ns(self) -> int:
        return int(self._fault_ns * PAUSE_SHARE)


def drill_s(fault_s: float) -> float:
    """From the first question until the last fault has had its stage."""
    pauses_count = 1 + sum(stage.opens_breakers for stage in STAGES[:-1])
    return fault_s * (len(STAGES) + PAUSE_SHARE * pauses_count)
