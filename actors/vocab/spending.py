"""Between the pool's members and the treasury: may I call, what did it cost. See `treasury/engine.py`."""

from __future__ import annotations

import enum

from actors.vocab.message import Message


class Fault(enum.StrEnum):
    """What was wrong with a call or its answer, in an operator's words; counted for each model."""

    LIMITED = "too many requests (429)"
    UNAVAILABLE = "unavailable (503)"
    SERVER_ERROR = "server error (5xx)"
    KEY_REFUSED = "key refused"
    NO_CREDIT = "no credit left"
    MODEL_UNKNOWN = "model unknown"
    REQUEST_REFUSED = "request refused (4xx)"
    NOT_CONNECTED = "cannot connect"
    NO_ANSWER = "no answer in time"
    NOT_FINISHED = "answer not finished in time"
    BROKE_OFF = "connection broke"
    EMPTY = "empty answer"
    TOO_LONG = "answer too long"
    NOT_UTF8 = "not UTF-8"
    TOO_DEEP = "nested too deep"
    NOT_JSON = "not JSON"
    CUT_OFF = "cut off, its whole items used"
    NOT_SCHEMA = "not the schema"
    OUT_OF_BOUNDS = "items outside the bounds"
    INCOMPLETE = "items missing"
    USAGE = "usage not believed"
    MEMBER_DIED = "its pool member died"


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
    fault: Fault | None = None  # of an OK one: what was wrong with the items that are missing


class PoolState(Message, frozen=True):
    """treasury -> members, at each change and to each newcomer."""

    opinion_interval_s: float  # the configured one, stretched where money is short or no model earns its cost
    stopped: tuple[tuple[str, str], ...] = ()  # (model, why it is asked no more)


OK = "ok"
UNSENT = "unsent"  # nothing left this host: tokens and request are given back
REFUSED = "refused"  # the server did not do it (5xx, connection refused); costs nothing
LIMITED = "limited"  # 429; everybody waits for `retry_after_s`
BROKEN = "broken"  # answered, but with nothing usable; costs what it used
# Time-out (ours or a proxy's) or a connection that broke after sending: its cost is unknown, so all that was reserved.
LOST = "lost"
STOPPED = "stopped"  # 401, unknown model: no retry mends it
OUTCOMES = frozenset({OK, UNSENT, REFUSED, LIMITED, BROKEN, LOST, STOPPED})
