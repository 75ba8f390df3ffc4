"""The forms that every answer of a simulated Binance has: HTTP or websocket API, result or error, with counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from actors.venues.binance.calls import Call, Reply
from actors.venues.binance.common import market_of
from actors.venues.binance.errors import spell
from actors.venues.binance.server_auth import Refused, Session
from actors.venues.binance.server_streams import Speller
from actors.vocab.venue_io import (
    FaultKind,
    RateUsage,
)

JSON: Final = (("Content-Type", "application/json;charset=UTF-8"),)
RETRY_AFTER_DEFAULT_S: Final = 10
_LIMITS: Final = b'"rateLimits":['


class Forms:
    """Base of the reply writers. `spellers` is shared with the stream writer and follows its `use`."""

    def __init__(self, venue: str, spellers: Mapping[str, Speller]) -> None:
        self._market = market_of(venue)
        self._perp = self._market == "perp"
        self._spellers = spellers

    def value(self, value: Any, ws_id: str | None, usage: RateUsage | None = None) -> Reply:
        return self.raw(msgspec.json.encode(value), ws_id, usage)

    def raw(self, body: bytes, ws_id: str | None, usage: RateUsage | None = None) -> Reply:
        """`body` is the JSON of the result."""
        if ws_id is None:
            return Reply(200, body, JSON + _headers(usage))
        limits = self._limits(usage)
        return Reply(200, b'{"id":%s,"status":200,"result":%s,"rateLimits":%s}' % (ws_id.encode(), body, limits))

    def error(
        self,
        code: int,
        text: str,
        status: int,
        ws_id: str | None,
        *,
        data: Any = None,
        usage: RateUsage | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> Reply:
        fault: dict[str, Any] = {"code": code, "msg": text}
        if data is not None:
            fault["data"] = data
        body = msgspec.json.encode(fault)
        if ws_id is None:
            return Reply(status, body, JSON + headers + _headers(usage))
        limits = self._limits(usage)
        frame = b'{"id":%s,"status":%d,"error":%s,"rateLimits":%s}' % (ws_id.encode(), status, body, limits)
        return Reply(status, frame)

    def refusal(self, refused: Refused, *, ws_id: str | None) -> Reply:
        return self.error(refused.code, refused.text, refused.status, ws_id)

    def refuse(
        self,
        call: Call,
        kind: FaultKind,
        code: int,
        text: str,
        *,
        usage: RateUsage | None = None,
        retry_after_s: int = 0,
        status: int = 0,
        now_ms: int = 0,
    ) -> Reply:
        query = getattr(call, "operation", "") == "order.status"
        code, text, usual = spell(self._market, kind, code, text, query=query)
        status = status or usual
        headers: tuple[tuple[str, str], ...] = ()
        data = None
        if status in (418, 429):
            wait_s = retry_after_s or RETRY_AFTER_DEFAULT_S
            headers = (("Retry-After", str(wait_s)),)
            data = {"serverTime": now_ms, "retryAfter": now_ms + wait_s * 1000}
        ws_id = getattr(call, "ws_id", None)
        return self.error(code, text, status, ws_id, data=data if ws_id else None, usage=usage, headers=headers)

    def with_usage(self, reply: Reply, usage: RateUsage) -> Reply:
        return msgspec.structs.replace(reply, headers=reply.headers + _headers(usage))

    def with_weight(self, reply: Reply, used: int) -> Reply:
        """A websocket reply whose `rateLimits`, always its last field, begin with the request weight of its address."""
        head, name, rest = reply.body.rpartition(_LIMITS)
        if not name:
            return reply
        limit = 2400 if self._perp else 6000
        row = msgspec.json.encode(_limit("REQUEST_WEIGHT", "MINUTE", 1, limit, used))
        return msgspec.structs.replace(reply, body=b"".join((head, name, row, b"" if rest[:1] == b"]" else b",", rest)))

    def session(self, session: Session, ws_id: str) -> Reply:
        on = session.api_key is not None
        result = {
            "apiKey": session.api_key,
            "authorizedSince": session.now_ms if on else None,
            "connectedSince": session.now_ms,
            "returnRateLimits": True,
            "serverTime": session.now_ms,
            "userDataStream": False,
        }
        return self.value(result, ws_id)

    def _limits(self, usage: RateUsage | None) -> bytes:
        """`rateLimits` of a websocket answer."""
        if usage is None:
            return b"[]"
        weight, orders, minute, day = (2400, 300, 1200, 0) if self._perp else (6000, 50, 0, 160_000)
        rows = [
            _limit("REQUEST_WEIGHT", "MINUTE", 1, weight, usage.weight_1m),
            _limit("ORDERS", "SECOND", 10, orders, usage.orders_10s),
            _limit("ORDERS", "MINUTE", 1, minute, usage.orders_1m),
            _limit("ORDERS", "DAY", 1, day, usage.orders_1d),
        ]
        return msgspec.json.encode([row for row in rows if row["count"] >= 0])


def _limit(kind: str, interval: str, count: int, limit: int, used: int) -> dict[str, Any]:
    return {"rateLimitType": kind, "interval": interval, "intervalNum": count, "limit": limit, "count": used}


def _headers(usage: RateUsage | None) -> tuple[tuple[str, str], ...]:
    if usage is None:
        return ()
    rows = (
        ("X-MBX-USED-WEIGHT-1M", usage.weight_1m),
        ("X-MBX-ORDER-COUNT-10S", usage.orders_10s),
        ("X-MBX-ORDER-COUNT-1M", usage.orders_1m),
        ("X-MBX-ORDER-COUNT-1D", usage.orders_1d),
    )
    return tuple((name, str(count)) for name, count in rows if count >= 0)
