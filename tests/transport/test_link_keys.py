"""Who the ZAP door lets in."""

from __future__ import annotations

import pytest
from zmq.utils import z85

from actors.transport.link_keys import Door, LinkKeys

OWN, FRIEND, STRANGER = LinkKeys.new(), LinkKeys.new(), LinkKeys.new()


def request(key: str, mechanism: bytes = b"CURVE") -> list[bytes]:
    return [b"sender", b"", b"1.0", b"7", b"manta", b"10.0.0.9", b"", mechanism, z85.decode(key.encode())]


@pytest.mark.parametrize(
    ("key", "mechanism", "status"),
    [
        (OWN, b"CURVE", [b"200"]),
        (FRIEND, b"CURVE", [b"200"]),
        (STRANGER, b"CURVE", []),  # waits at the door
        (FRIEND, b"NULL", [b"400"]),
    ],
)
def test_only_keys_of_the_directory_and_our_own_get_in(key: LinkKeys, mechanism: bytes, status: list[bytes]) -> None:
    door = Door(OWN.public)
    door.allow([FRIEND.public, ""])
    reply = door.answer(request(key.public, mechanism))
    assert reply[:5] == ([b"sender", b"", b"1.0", b"7", *status] if status else [])
    assert door.refused_count == (0 if status == [b"200"] else 1)


def test_whoever_knocks_before_the_directory_names_it_is_let_in_when_it_does() -> None:
    door = Door(OWN.public)
    assert door.answer(request(STRANGER.public)) == []
    assert door.answer(request(FRIEND.public)) == []
    assert door.allow([FRIEND.public]) == [[b"sender", b"", b"1.0", b"7", b"200", b"OK", FRIEND.public.encode(), b""]]
    assert door.allow([FRIEND.public]) == []


def test_a_key_that_left_the_directory_no_longer_gets_in() -> None:
    door = Door(OWN.public)
    door.allow([FRIEND.public])
    door.allow([])
    assert door.answer(request(FRIEND.public)) == []


def test_a_malformed_request_is_not_answered() -> None:
    assert Door(OWN.public).answer([b"sender", b"", b"1.0"]) == []
    assert Door(OWN.public).answer([b"nothing"]) == []


def test_the_secret_key_has_no_repr() -> None:
    assert OWN.secret not in repr(OWN)
