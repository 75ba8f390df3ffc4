"""Signatures of Binance: HMAC-SHA256, Ed25519 and RSA, for REST and the websocket API, both roles.

REST signs the query string and the body, joined without a separator, exactly as sent (percent-encoded first).
The websocket API signs all parameters but `signature`, sorted by name, as raw text.
Source: binance-spot-api-docs `rest-api.md` and `web-socket-api.md` § Request security, CHANGELOG 2026-01-15.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote, urlencode

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from actors.venues.dialect import Credentials
from actors.vocab.errors import ConfigError

KINDS: Final = ("hmac", "ed25519", "rsa")

Sign = Callable[[bytes], str]
Verify = Callable[[bytes, str], bool]


class Signer:
    """Sign with one account's credentials; the key is parsed once.

    `secret` is the HMAC secret, or the PEM text of the private key. `ConfigError` when it cannot be read.
    """

    def __init__(self, credentials: Credentials) -> None:
        self.api_key = credentials.api_key
        self.kind = credentials.kind
        self._sign = _sign_with(credentials)

    def sign(self, payload: str) -> str:
        """The signature as the JSON or, percent-encoded, the URL shows it."""
        return self._sign(payload.encode())

    def rest_query(self, params: Mapping[str, str]) -> str:
        """The whole query string of a signed call, `signature` last."""
        query = rest_payload(params)
        return f"{query}&signature={quote(self.sign(query), safe='')}"

    def ws_params(self, params: Mapping[str, str | int | bool]) -> dict[str, str | int | bool]:
        """`params` with `apiKey` and `signature`."""
        signed: dict[str, str | int | bool] = {**params, "apiKey": self.api_key}
        signed["signature"] = self.sign(ws_payload(signed))
        return signed


class Verifier:
    """The other side: check what a client signed. `secret` is the HMAC secret or a PEM key, private or public."""

    def __init__(self, credentials: Credentials) -> None:
        self.api_key = credentials.api_key
        self._verify = _verify_with(credentials)

    def ok(self, payload: str, signature: str) -> bool:
        """False for a wrong or unreadable signature; never raises."""
        return self._verify(payload.encode(), signature)


def rest_payload(params: Mapping[str, str]) -> str:
    """Percent-encode in the order given; what is signed is what is sent."""
    return urlencode(params, quote_via=quote)


def ws_payload(params: Mapping[str, object]) -> str:
    """All parameters but the signature, sorted by name, raw."""
    return "&".join(f"{name}={_raw(params[name])}" for name in sorted(params) if name != "signature")


def _raw(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _sign_with(credentials: Credentials) -> Sign:
    if credentials.kind == "hmac":
        secret = credentials.secret.encode()
        return lambda payload: hmac.new(secret, payload, hashlib.sha256).hexdigest()
    key = _private_key(credentials)
    if isinstance(key, Ed25519PrivateKey):
        ed25519 = key
        return lambda payload: base64.b64encode(ed25519.sign(payload)).decode()
    rsa = key
    return lambda payload: base64.b64encode(rsa.sign(payload, padding.PKCS1v15(), hashes.SHA256())).decode()


def _private_key(credentials: Credentials) -> Ed25519PrivateKey | RSAPrivateKey:
    wanted = {"ed25519": Ed25519PrivateKey, "rsa": RSAPrivateKey}.get(credentials.kind)
    if wanted is None:
        raise ConfigError(f"key kind {credentials.kind!r} is not one of {', '.join(KINDS)}")
    try:
        key = load_pem_private_key(credentials.secret.encode(), password=None)
    except (ValueError, TypeError):
        # The text is not quoted: it is a secret.
        raise ConfigError(f"the secret of a {credentials.kind} key must be an unencrypted PEM private key") from None
    if not isinstance(key, Ed25519PrivateKey | RSAPrivateKey) or not isinstance(key, wanted):
        raise ConfigError(f"the secret is a PEM key of another kind than {credentials.kind!r}")
    return key


def _verify_with(credentials: Credentials) -> Verify:
    if credentials.kind == "hmac":
        secret = credentials.secret.encode()

        def same(payload: bytes, signature: str) -> bool:
            expected = hmac.new(secret, payload, hashlib.sha256).hexdigest()
            return hmac.compare_digest(expected.encode(), signature.lower().encode())

        return same
    key = _public_key(credentials)

    def valid(payload: bytes, signature: str) -> bool:
        try:
            raw = base64.b64decode(signature, validate=True)
            if isinstance(key, Ed25519PublicKey):
                key.verify(raw, payload)
            else:
                key.verify(raw, payload, padding.PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True

    return valid


def _public_key(credentials: Credentials) -> Ed25519PublicKey | RSAPublicKey:
    if "PRIVATE KEY" in credentials.secret:
        return _private_key(credentials).public_key()
    try:
        key = load_pem_public_key(credentials.secret.encode())
    except ValueError:
        raise ConfigError(f"a {credentials.kind} account needs a PEM key to verify with") from None
    if not isinstance(key, Ed25519PublicKey | RSAPublicKey):
        raise ConfigError(f"the PEM key is of another kind than {credentials.kind!r}")
    return key
