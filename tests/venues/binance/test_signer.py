"""Every published signature is reproduced; the verifier takes exactly what the signer makes."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from actors.venues.binance.signer import Signer, Verifier, rest_payload, ws_payload
from actors.venues.dialect import Credentials
from actors.vocab.errors import ConfigError
from tests.venues.binance.examples import steady

DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data"

SPOT_KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
SPOT_SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
PERP_KEY = "dbefbc809e3e83c283a984c3a1459732ea7db1360ca80c5c2c8867408d28cc83"
PERP_SECRET = "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9"

ORDER = "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"
DIGITS = "%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96"


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (ORDER, "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"),
        (ORDER.replace("LTCBTC", DIGITS), "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3"),
        (
            "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC"
            "quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559",
            "0fd168b8ddb4876a0358a8d14d0c9f3da0e9b20c5d52b2a00fcf7d1c602f9a77",
        ),
    ],
    ids=["rest", "rest, percent-encoded", "query and body joined without a separator"],
)
def test_spot_rest_vectors(payload: str, expected: str) -> None:
    assert Signer(Credentials(SPOT_KEY, SPOT_SECRET)).sign(payload) == expected
    assert Verifier(Credentials(SPOT_KEY, SPOT_SECRET)).ok(payload, expected.upper())  # hex is case-insensitive


def test_params_are_percent_encoded_before_they_are_signed() -> None:
    params = dict(parse_qsl(ORDER)) | {"symbol": "１２３４５６"}
    query = Signer(Credentials(SPOT_KEY, SPOT_SECRET)).rest_query(params)

    assert query == (
        ORDER.replace("LTCBTC", DIGITS) + "&signature=e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3"
    )


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (
            {
                "symbol": "BTCUSDT",
                "side": "SELL",
                "type": "LIMIT",
                "timeInForce": "GTC",
                "quantity": "0.01000000",
                "price": "52000.00",
                "recvWindow": 100,
                "timestamp": 1645423376532,
            },
            "aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24",
        ),
        (
            {
                "symbol": "１２３４５６",
                "side": "BUY",
                "type": "LIMIT",
                "timeInForce": "GTC",
                "quantity": "1.00000000",
                "price": "0.10000000",
                "recvWindow": 5000,
                "timestamp": 1645423376532,
            },
            "b33892ae8e687c939f4468c6268ddd4c40ac1af18ad19a064864c47bae0752cd",
        ),
        ({"timestamp": 1747385641636}, "681110a6057ad58657af22f5640fab9dd17418834cdfccdc81be8b0f7b2cde3e"),
    ],
    ids=["websocket order", "websocket, raw non-ASCII", "user stream subscription"],
)
def test_websocket_vectors(params: dict[str, str | int | bool], expected: str) -> None:
    signed = Signer(Credentials(SPOT_KEY, SPOT_SECRET)).ws_params(params)

    assert signed["signature"] == expected
    assert signed["apiKey"] == SPOT_KEY
    assert Verifier(Credentials(SPOT_KEY, SPOT_SECRET)).ok(ws_payload(signed), expected)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (
            "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000"
            "&timestamp=1591702613943",
            "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9",
        ),
        (
            "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=9000&recvWindow=5000"
            "&timestamp=1591702613943",
            "ec11dcc17e67e47f0d3c3f513dfe9062307e37619c5c82ebaa8fe0bdf3d59519",
        ),
    ],
    ids=["official", "order of parameters matters"],
)
def test_perp_vectors(payload: str, expected: str) -> None:
    assert Signer(Credentials(PERP_KEY, PERP_SECRET)).sign(payload) == expected


def ed25519_pem() -> str:
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    assert key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex() == (
        "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
    )
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (
            "symbol=BTCUSDT&side=SELL&type=LIMIT&timeInForce=GTC&quantity=1&price=0.2&timestamp=1668481559918"
            "&recvWindow=5000",
            "m5loLRxgkb9HyW0wkZ4KNrpck881bx5D0OrKNnPklvk4tlGjEJkhiP9DoyC0sc1lXA/TWugjVPrMb/bfNdmdBw==",
        ),
        (
            "apiKey=TESTKEY&timestamp=1649729878532",
            "3BBZpxaXdu86VNZwA7CZdVtOdv6ve02vtGmSnc+0qoCNiV3prEiQnebhAdUfF6aTCoMQc78K0RvQtgKGY7wgDw==",
        ),
    ],
    ids=["rest", "logon"],
)
def test_ed25519_vectors(payload: str, expected: str) -> None:
    keys = Credentials("TESTKEY", ed25519_pem(), "ed25519")

    assert Signer(keys).sign(payload) == expected
    assert Verifier(keys).ok(payload, expected)
    assert not Verifier(keys).ok(payload + "0", expected)
    assert not Verifier(keys).ok(payload, "no base64!")


def test_ed25519_signatures_are_percent_encoded_in_the_url() -> None:
    keys = Credentials("TESTKEY", ed25519_pem(), "ed25519")
    query = Signer(keys).rest_query({"apiKey": "TESTKEY", "timestamp": "1649729878532"})

    assert query.endswith("hAdUfF6aTCoMQc78K0RvQtgKGY7wgDw%3D%3D")
    assert "nc%2B0qo" in query


def test_rsa_signs_and_its_public_key_verifies() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    signature = Signer(Credentials("k", private, "rsa")).sign("a=1")

    assert Verifier(Credentials("k", public, "rsa")).ok("a=1", signature)
    assert not Verifier(Credentials("k", public, "rsa")).ok("a=2", signature)


@pytest.mark.parametrize(
    "keys",
    [
        Credentials("k", "secret words", "ed25519"),
        Credentials("k", "secret words", "dsa"),
        Credentials("k", ed25519_pem(), "rsa"),
    ],
)
def test_unusable_secrets_are_named_but_not_shown(keys: Credentials) -> None:
    with pytest.raises(ConfigError) as caught:
        Signer(keys)
    assert "secret words" not in str(caught.value)


@pytest.mark.recordings
def test_published_vectors_of_the_collection() -> None:
    path = DATA / "signing_vectors" / "signing_vectors.json"
    if not path.exists():
        pytest.skip("../shared/data is not here")
    rows = [row for row in json.loads(path.read_text()) if row["exchange"] == "binance"]
    assert len(rows) >= 2
    for row in rows:
        assert Signer(Credentials(row["api_key"], row["secret"])).sign(row["payload"]) == row["expected"], row["id"]


@steady
@given(st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=20), max_size=6))
def test_what_is_signed_parses_back(params: dict[str, str]) -> None:
    assert dict(parse_qsl(rest_payload(params), keep_blank_values=True)) == params
