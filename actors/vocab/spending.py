"""Between the pool's members and the treasury: may I call, what did it cost. See `treasury/engine.py`."""

from __future__ import annotations

from actors.vocab.message import Message


class SpendRequest(Message, frozen=True):
    """member -> treasury. One waits per member and purpose; a newer one takes its place in the queue.

    Kept until it is granted; a member whose questions have gone settles the grant as `UNSENT`.
    """

    request_no: int  # rises within a life of the member
    purpose: str  # "signal" | "risk"
    tokens: int  # prompt and answer, as estimated
    avoid: str = ""  # model that has just failed these questions; another of the chain is taken if one is there


class SpendGrant(Message, frozen=True):
    """treasury -> member: one call of this model is reserved.

    It must be over `ttl_ms` after the reservation; the member counts from when it sent the request plus `queued_ms`,
    which is never later than the treasury's own count.
    """

    request_no: int
    purpose: str
    model: str
    tokens: int
    queued_ms: int
    ttl_ms: int
    shadow: bool = False  # the answer is measured, not applied


class SpendSettle(Message, frozen=True):
    """member -> treasury: a granted call has ended, one way or another. Ignored after its lease."""

    request_no: int
    model: str
    purpose: str
    outcome: str  # a word of `OUTCOMES`
    tokens_in: int = 0
    tokens_out: int = 0
    retry_after_s: float = 0.0
    latency_ms: int = 0
    text: str = ""  # for the operator


class PoolState(Message, frozen=True):
    """treasury -> members, at each change and to each newcomer."""

    opinion_interval_s: float  # the configured one, stretched where money is short or no model earns its cost
    stopped: tuple[tuple[str, str], ...] = ()  # (model, why it is asked no more)


OK = "ok"
UNSENT = "unsent"  # nothing left this host: tokens and request are given back
REFUSED = "refused"  # the server did not do it (5xx, connection refused); costs nothing
LIMITED = "limited"  # 429; everybody waits for `retry_after_s`
BROKEN = "broken"  # answered, but with nothing usable; costs what it used
LOST = "lost"  # time-out or a connection that broke after sending: what it cost is unknown, so all that was reserved
STOPPED = "stopped"  # 401, unknown model: no retry mends it
OUTCOMES = frozenset({OK, UNSENT, REFUSED, LIMITED, BROKEN, LOST, STOPPED})
