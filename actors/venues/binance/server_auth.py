"""Who asks: keys, signatures and time windows, as the venue checks them.

Source: rest-api.md § Request security, § SIGNED Endpoint security; errors.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from actors.venues.binance.calls import ServerAccount
from actors.venues.binance.signer import Verifier, ws_payload
from actors.vocab.errors import ConfigError
from actors.vocab.instruments import Market

RECV_WINDOW_DEFAULT_MS: Final = 5_000
RECV_WINDOW_MAX_MS: Final = 60_000
AHEAD_MAX_MS: Final = 1_000  # timestamp < serverTime + 1000
MICROSECONDS_FROM: Final = 10**14  # spot takes microseconds as well; milliseconds reach this in the year 5138

_SIGNATURE = re.compile(r"(?:^|&)signature=[^&]*")


class Refused(Exception):
    """A request that ends at the door. Never leaves `server.py`: it becomes the venue's error answer."""

    def __init__(self, code: int, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.status = status


class Session(msgspec.Struct, frozen=True):
    """What `session.*` methods tell; `api_key` None: not logged on."""

    api_key: str | None
    now_ms: int


class Door:
    """The accounts of one simulated venue."""

    def __init__(self, market: Market, accounts: Sequence[ServerAccount]) -> None:
        self._market = market
        self._accounts = {row.credentials.api_key: row for row in accounts}
        self._verifiers = {row.account_id: Verifier(row.credentials) for row in accounts}
        self._keys = {row.account_id: row.credentials.api_key for row in accounts}
        if len(self._accounts) != len(accounts) or len(self._keys) != len(accounts):
            raise ConfigError("two accounts of the simulated venue share an id or an API key")

    def by_key(self, api_key: str) -> str:
        """The account of a key; `Refused` without one."""
        if not api_key:
            raise Refused(-2014, "API-key format invalid.", 401)
        account = self._accounts.get(api_key)
        if account is None:
            raise Refused(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        return account.account_id

    def key_of(self, account_id: str) -> str:
        return self._keys[account_id]

    def check_rest(self, account: str, query: str, body: str, params: Mapping[str, str], now_ms: int) -> None:
        """The signature covers query and body as sent, wherever it stands itself; then the time window."""
        payload = _SIGNATURE.sub("", query).removeprefix("&") + _SIGNATURE.sub("", body).removeprefix("&")
        self._check_signature(account, payload, params)
        self.check_time(params, now_ms)

    def check_ws(self, account: str, sent: Mapping[str, Any], params: Mapping[str, str], now_ms: int) -> None:
        self._check_signature(account, ws_payload(sent), params)
        self.check_time(params, now_ms)

    def check_logon(self, account: str) -> None:
        key = self._accounts[self._keys[account]]
        if key.credentials.kind != "ed25519":
            raise Refused(-4056, f"{key.credentials.kind.upper()} API key is not supported.", 401)

    def check_time(self, params: Mapping[str, str], now_ms: int) -> None:
        timestamp = _number(params, "timestamp")
        if timestamp >= MICROSECONDS_FROM:
            timestamp //= 1000
        window = _window(params.get("recvWindow", ""))
        if timestamp >= now_ms + AHEAD_MAX_MS:
            raise Refused(-1021, f"Timestamp for this request was {AHEAD_MAX_MS}ms ahead of the server's time.")
        if now_ms - timestamp > window:
            raise Refused(-1021, "Timestamp for this request is outside of the recvWindow.")

    def _check_signature(self, account: str, payload: str, params: Mapping[str, str]) -> None:
        signature = params.get("signature", "")
        if not signature:
            raise Refused(-1102, "Mandatory parameter 'signature' was not sent, was empty/null, or malformed.")
        if not self._verifiers[account].ok(payload, signature):
            raise Refused(-1022, "Signature for this request is not valid.")


def _number(params: Mapping[str, str], name: str) -> int:
    text = params.get(name, "")
    if not text.isdigit():
        raise Refused(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
    return int(text)


def _window(text: str) -> float:
    if not text:
        return RECV_WINDOW_DEFAULT_MS
    try:
        window = float(text)
    except ValueError:
        window = -1.0
    if not 0 <= window <= RECV_WINDOW_MAX_MS:
        raise Refused(-1131, "recvWindow must be less than 60000.")
    return window
