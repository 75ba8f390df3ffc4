"""Codes to kinds, per market; the server's spelling comes back as the kind it was made from."""

from __future__ import annotations

import pytest

from actors.venues.binance.errors import kind_of, reject_of, retry_after_ms, spell
from actors.vocab.venue_io import FaultKind

K = FaultKind


@pytest.mark.parametrize(
    ("market", "code", "text", "status", "kind"),
    [
        ("perp", -1000, "An unknown error occurred", 400, K.UNKNOWN_OUTCOME),
        ("spot", -1006, "", 400, K.UNKNOWN_OUTCOME),
        ("perp", -1007, "Timeout waiting", 408, K.UNKNOWN_OUTCOME),
        ("perp", 0, "Unknown error, please check your request or try again later.", 503, K.UNKNOWN_OUTCOME),
        ("perp", 0, "Service Unavailable.", 503, K.BUSY),
        ("spot", 0, "<html>", 502, K.UNKNOWN_OUTCOME),
        ("spot", 0, "<h1>503 Service Unavailable</h1>", 503, K.UNKNOWN_OUTCOME),
        ("perp", 0, "Service Unavailable", 500, K.UNKNOWN_OUTCOME),
        ("perp", 0, "upstream: service unavailable", 504, K.UNKNOWN_OUTCOME),
        ("perp", 0, "", 408, K.UNKNOWN_OUTCOME),
        ("spot", 0, "<html>408 Request Time-out</html>", 408, K.UNKNOWN_OUTCOME),
        ("perp", -1008, "Server is currently overloaded", 503, K.BUSY),
        ("perp", -1003, "Too many requests", 429, K.RATE_LIMIT),
        ("perp", -1003, "banned until", 418, K.BANNED),
        ("spot", -1015, "Too many new orders", 429, K.RATE_LIMIT),
        ("spot", 0, "", 403, K.BANNED),
        ("spot", -1013, "Filter failure: LOT_SIZE", 400, K.FILTER),
        ("perp", -1111, "Precision is over the maximum", 400, K.FILTER),
        ("perp", -1021, "Timestamp for this request", 400, K.CLOCK),
        ("perp", -5028, "outside of the ME recvWindow", 400, K.CLOCK),
        ("spot", -1022, "Signature for this request is not valid.", 400, K.AUTH),
        ("spot", -2014, "API-key format invalid.", 401, K.AUTH),
        ("perp", -2015, "Invalid API-key", 401, K.AUTH),
        ("perp", -1102, "Mandatory parameter", 400, K.BAD_REQUEST),
        ("spot", -1121, "Invalid symbol.", 400, K.BAD_REQUEST),
        ("spot", -2010, "Account has insufficient balance for requested action.", 400, K.FUNDS),
        ("spot", -2010, "Order would immediately match and take.", 400, K.POST_ONLY),
        ("spot", -2010, "Duplicate order sent.", 400, K.DUPLICATE_ID),
        ("spot", -2010, "Market is closed.", 400, K.REJECTED),
        ("perp", -2011, "Unknown order sent.", 400, K.UNKNOWN_ORDER),
        ("spot", -2013, "Order does not exist.", 400, K.UNKNOWN_ORDER),
        ("perp", -2019, "Margin is insufficient.", 400, K.FUNDS),
        ("perp", -2021, "Order would immediately trigger.", 400, K.REJECTED),
        ("spot", -2021, "Order cancel-replace partially failed.", 409, K.REJECTED),
        ("perp", -2022, "ReduceOnly Order is rejected.", 400, K.REJECTED),
        ("perp", -4014, "Price not increased by tick size.", 400, K.FILTER),
        ("perp", -4164, "notional must be no smaller", 400, K.FILTER),
        ("perp", -4116, "ClientOrderId is duplicated.", 400, K.DUPLICATE_ID),
        ("perp", -4046, "No need to change margin type.", 400, K.UNCHANGED),
        ("perp", -4059, "No need to change position side.", 400, K.UNCHANGED),
        ("perp", -5021, "FOK", 400, K.REJECTED),
        ("perp", -5022, "could not be executed as maker", 400, K.POST_ONLY),
        ("perp", -4120, "Algo Order API", 400, K.BAD_REQUEST),
        ("perp", -9999, "never seen", 400, K.REJECTED),
        ("perp", -9999, "never seen", 500, K.UNKNOWN_OUTCOME),
    ],
)
def test_codes_mean(market, code: int, text: str, status: int, kind: FaultKind) -> None:
    assert kind_of(market, code, text, status) is kind


def test_a_429_says_how_long() -> None:
    body = b'{"code":-1003,"msg":"Too many requests."}'
    reject = reject_of("perp", 7, 429, {"retry-after": "3"}, body, symbol="BTCUSDT", client_id="a")

    assert (reject.kind, reject.retry_after_ms, reject.request_no) == (FaultKind.RATE_LIMIT, 3_000, 7)


@pytest.mark.parametrize(
    ("kind", "header", "wait_ms"),
    [
        (K.RATE_LIMIT, "", 10_000),
        (K.RATE_LIMIT, "nan", 10_000),
        (K.BANNED, "soon", 120_000),
        (K.BANNED, "600", 600_000),
        (K.BANNED, "inf", 3 * 86_400_000),
        (K.FILTER, "5", 0),
    ],
)
def test_waits_have_defaults(kind: FaultKind, header: str, wait_ms: int) -> None:
    assert retry_after_ms(kind, header) == wait_ms


def test_a_page_instead_of_json_keeps_its_status() -> None:
    reject = reject_of("spot", 1, 502, {}, b"<html>Bad Gateway</html>", symbol="", client_id="")

    assert (reject.kind, reject.code) == (FaultKind.UNKNOWN_OUTCOME, -502)
    assert "Bad Gateway" in reject.text


@pytest.mark.parametrize(
    ("market", "kind"),
    # spot has no word for "already so": nothing there can be switched
    [(market, kind) for market in ("perp", "spot") for kind in FaultKind if (market, kind) != ("spot", K.UNCHANGED)],
)
def test_every_kind_is_spelled_so_that_it_reads_back(market, kind: FaultKind) -> None:
    code, text, status = spell(market, kind, 0, "")

    assert kind_of(market, code, text, status) is kind
    assert kind_of(market, *spell(market, kind, code, text)) is kind
