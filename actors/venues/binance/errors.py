"""What Binance's refusals mean, and how a simulated Binance spells them.

Source: binance-spot-api-docs `errors.md`, `rest-api.md` § HTTP Return Codes; USD-M "Error Code" page, read 2026-07.
The same number may mean two things: -2021 and -2022 are cancelReplace results on spot, but trigger and reduce-only
rejections on USD-M, so every look-up names the market.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from actors.venues.binance.common import UNREADABLE
from actors.vocab.instruments import Market
from actors.vocab.venue_io import FaultKind, VenueReject

_COMMON: Final = {
    -1000: FaultKind.UNKNOWN_OUTCOME,
    -1001: FaultKind.UNKNOWN_OUTCOME,
    -1002: FaultKind.AUTH,
    -1003: FaultKind.RATE_LIMIT,
    -1006: FaultKind.UNKNOWN_OUTCOME,
    -1007: FaultKind.UNKNOWN_OUTCOME,
    -1008: FaultKind.BUSY,
    -1013: FaultKind.FILTER,
    -1015: FaultKind.RATE_LIMIT,
    -1021: FaultKind.CLOCK,
    -1022: FaultKind.AUTH,
    -1111: FaultKind.FILTER,
    -2010: FaultKind.REJECTED,  # its text decides, see `_by_text`
    -2011: FaultKind.UNKNOWN_ORDER,
    -2013: FaultKind.UNKNOWN_ORDER,
    -2014: FaultKind.AUTH,
    -2015: FaultKind.AUTH,
    -2018: FaultKind.FUNDS,
    -2019: FaultKind.FUNDS,
}
_PERP: Final = {
    -2020: FaultKind.REJECTED,
    -2021: FaultKind.REJECTED,  # would trigger at once
    -2022: FaultKind.REJECTED,  # ReduceOnly Order is rejected
    -2024: FaultKind.FUNDS,  # position not sufficient
    -2025: FaultKind.REJECTED,  # open order limit reached
    -2027: FaultKind.FUNDS,  # maximum position at this leverage
    -2028: FaultKind.FUNDS,
    -4001: FaultKind.FILTER,
    -4002: FaultKind.FILTER,
    -4003: FaultKind.FILTER,
    -4004: FaultKind.FILTER,
    -4005: FaultKind.FILTER,
    -4013: FaultKind.FILTER,
    -4014: FaultKind.FILTER,
    -4015: FaultKind.BAD_REQUEST,
    -4016: FaultKind.FILTER,  # price above the band
    -4023: FaultKind.FILTER,
    -4024: FaultKind.FILTER,  # price below the band
    -4046: FaultKind.UNCHANGED,
    -4050: FaultKind.FUNDS,
    -4051: FaultKind.FUNDS,
    -4059: FaultKind.UNCHANGED,
    -4061: FaultKind.BAD_REQUEST,
    -4116: FaultKind.DUPLICATE_ID,
    -4120: FaultKind.BAD_REQUEST,
    -4131: FaultKind.FILTER,  # market order against PERCENT_PRICE
    -4164: FaultKind.FILTER,
    -5021: FaultKind.REJECTED,
    -5022: FaultKind.POST_ONLY,
    -5027: FaultKind.UNCHANGED,  # modify: neither price nor quantity changed
    -5028: FaultKind.CLOCK,
}
_SPOT: Final = {
    -2021: FaultKind.REJECTED,  # cancelReplace, one part failed: the parts tell more
    -2022: FaultKind.REJECTED,  # cancelReplace, both parts failed
    -2026: FaultKind.UNKNOWN_ORDER,  # archived
    -2038: FaultKind.REJECTED,  # amend refused
}
_CODES: Final[Mapping[Market, Mapping[int, FaultKind]]] = {"perp": _COMMON | _PERP, "spot": _COMMON | _SPOT}

# errors.md "Messages for -1010, -2010, -2011 and -2038"; compared without case.
_BY_TEXT: Final = (
    ("immediately match", FaultKind.POST_ONLY),
    ("insufficient balance", FaultKind.FUNDS),
    ("duplicate order", FaultKind.DUPLICATE_ID),
    ("filter failure", FaultKind.FILTER),
    ("market is closed", FaultKind.REJECTED),
    ("unknown order", FaultKind.UNKNOWN_ORDER),
)

# Answer to a subscription of the user stream: this connection has one of the account already.
SUBSCRIBED_ALREADY: Final = -2035

RETRY_AFTER_DEFAULT_MS: Final = 10_000  # a 429 without Retry-After: one order window (10 s)
BAN_DEFAULT_MS: Final = 120_000  # the shortest ban of the manual
BAN_MAX_MS: Final = 3 * 86_400_000  # and its longest


class ErrorBody(msgspec.Struct):
    """{"code": -2010, "msg": "…"}; both optional because proxies answer with pages."""

    code: int = 0
    msg: str = ""


_body = msgspec.json.Decoder(ErrorBody)


def kind_of(market: Market, code: int, text: str, status: int = 400) -> FaultKind:
    """Map code, text and HTTP status to what the asker must do. What we cannot place has an unknown outcome."""
    if status == 418:
        return FaultKind.BANNED
    if status == 429:
        return FaultKind.RATE_LIMIT
    if code == -2010:
        return _by_text(text, FaultKind.REJECTED)
    known = _CODES[market].get(code)
    if known is not None:
        return known
    if -1200 < code <= -1100:
        return FaultKind.BAD_REQUEST
    if status >= 500:
        return _of_5xx(market, status, text)
    if status == 408:  # the status of -1007: sent on, and no answer in time
        return FaultKind.UNKNOWN_OUTCOME
    if status == 403:  # web application firewall
        return FaultKind.BANNED
    if code == 0 and not 400 <= status < 500:
        return FaultKind.UNKNOWN_OUTCOME
    return _by_text(text, FaultKind.REJECTED)


def reject_of(
    market: Market,
    request_no: int,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    symbol: str,
    client_id: str,
) -> VenueReject:
    """Read a refused HTTP call. Header names are lower case."""
    try:
        error = _body.decode(body)
    except UNREADABLE:
        error = ErrorBody(code=0, msg=body[:200].decode("utf-8", "replace"))
    kind = kind_of(market, error.code, error.msg, status)
    return VenueReject(
        request_no=request_no,
        kind=kind,
        code=error.code or -status,
        text=error.msg or f"HTTP {status}",
        symbol=symbol,
        client_id=client_id,
        retry_after_ms=retry_after_ms(kind, headers.get("retry-after", "")),
    )


def retry_after_ms(kind: FaultKind, header: str) -> int:
    """Milliseconds to stay away; 0 for kinds that need no wait."""
    if kind not in (FaultKind.RATE_LIMIT, FaultKind.BANNED):
        return 0
    try:
        return max(0, int(min(float(header) * 1000, BAN_MAX_MS)))
    except ValueError:  # nan as well
        return BAN_DEFAULT_MS if kind is FaultKind.BANNED else RETRY_AFTER_DEFAULT_MS


def _by_text(text: str, otherwise: FaultKind) -> FaultKind:
    lowered = text.lower()
    for part, kind in _BY_TEXT:
        if part in lowered:
            return kind
    return otherwise


def _of_5xx(market: Market, status: int, text: str) -> FaultKind:
    # USD-M manual: 503 "Service Unavailable" is a failure, "Unknown error" an unknown outcome. It says so of no other
    # status, and spot calls every 5xx unknown.
    surely_failed = market == "perp" and status == 503 and "service unavailable" in text.lower()
    return FaultKind.BUSY if surely_failed else FaultKind.UNKNOWN_OUTCOME


# --- server role ---------------------------------------------------------------------------------------------

# kind -> (code, text, HTTP status) when the simulated exchange gives no code of its own.
_SPELLED: Final[Mapping[Market, Mapping[FaultKind, tuple[int, str, int]]]] = {
    "perp": {
        FaultKind.REJECTED: (-2022, "ReduceOnly Order is rejected.", 400),
        FaultKind.POST_ONLY: (
            -5022,
            "Due to the order could not be executed as maker, the Post Only order will be rejected. "
            "The order will not be recorded in the order history",
            400,
        ),
        FaultKind.UNKNOWN_OUTCOME: (
            -1007,
            "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
            408,
        ),
        FaultKind.UNKNOWN_ORDER: (-2011, "Unknown order sent.", 400),
        FaultKind.RATE_LIMIT: (-1015, "Too many new orders; current limit is 300 orders per TEN_SECONDS.", 429),
        FaultKind.BANNED: (
            -1003,
            "Way too many requests; IP banned. Please use the websocket for live updates to avoid bans.",
            418,
        ),
        FaultKind.CLOCK: (-1021, "Timestamp for this request is outside of the recvWindow.", 400),
        FaultKind.FILTER: (-4014, "Price not increased by tick size.", 400),
        FaultKind.FUNDS: (-2019, "Margin is insufficient.", 400),
        FaultKind.AUTH: (-2015, "Invalid API-key, IP, or permissions for action.", 401),
        FaultKind.BUSY: (
            -1008,
            "Server is currently overloaded with other requests. Please try again in a few minutes.",
            503,
        ),
        FaultKind.DUPLICATE_ID: (-4116, "ClientOrderId is duplicated.", 400),
        FaultKind.UNCHANGED: (-5027, "No need to modify the order.", 400),
        FaultKind.BAD_REQUEST: (-1102, "Mandatory parameter was not sent, was empty/null, or malformed.", 400),
    },
    "spot": {
        FaultKind.REJECTED: (-2010, "Order rejected.", 400),
        FaultKind.POST_ONLY: (-2010, "Order would immediately match and take.", 400),
        FaultKind.UNKNOWN_OUTCOME: (
            -1007,
            "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
            408,
        ),
        FaultKind.UNKNOWN_ORDER: (-2011, "Unknown order sent.", 400),
        FaultKind.RATE_LIMIT: (-1015, "Too many new orders; current limit is 50 orders per 10 SECOND.", 429),
        FaultKind.BANNED: (
            -1003,
            "Way too much request weight used; IP banned. Please use WebSocket Streams for live updates to avoid bans.",
            418,
        ),
        FaultKind.CLOCK: (-1021, "Timestamp for this request is outside of the recvWindow.", 400),
        FaultKind.FILTER: (-1013, "Filter failure: LOT_SIZE", 400),
        FaultKind.FUNDS: (-2010, "Account has insufficient balance for requested action.", 400),
        FaultKind.AUTH: (-2015, "Invalid API-key, IP, or permissions for action.", 401),
        FaultKind.BUSY: (
            -1008,
            "Server is currently overloaded with other requests. Please try again in a few minutes.",
            503,
        ),
        FaultKind.DUPLICATE_ID: (-2010, "Duplicate order sent.", 400),
        FaultKind.UNCHANGED: (-2038, "Order amend would not change the order.", 400),
        FaultKind.BAD_REQUEST: (-1102, "Mandatory parameter was not sent, was empty/null, or malformed.", 400),
    },
}

_QUERY_UNKNOWN: Final = (-2013, "Order does not exist.", 400)


def spell(market: Market, kind: FaultKind, code: int, text: str, *, query: bool = False) -> tuple[int, str, int]:
    """Code, text and HTTP status of a refusal. `code` 0 means: the venue's usual one for `kind`.

    `query` marks order queries, which say -2013 where cancels say -2011.
    """
    usual = _QUERY_UNKNOWN if query and kind is FaultKind.UNKNOWN_ORDER else _SPELLED[market][kind]
    if code == 0:
        return usual[0], text or usual[1], usual[2]
    return code, text or usual[1], _status(code, usual[2])


def _status(code: int, usual: int) -> int:
    if code in (-2014, -2015, -1022):
        return 401 if code != -1022 else 400
    if code == -1003:
        return 418 if usual == 418 else 429
    return usual
