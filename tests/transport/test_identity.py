"""Hosts, lives, clocks and places, real or pretended by the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.transport.identity import clock_of, host_id, new_incarnation, runtime_folder, tcp_address
from actors.vocab.errors import ConfigError


def test_host_is_stable_and_a_pretended_host_is_another() -> None:
    assert host_id({}) == host_id({})
    assert len({host_id({}), host_id({"MANTA_HOST": "a"}), host_id({"MANTA_HOST": "b"})}) == 3


def test_no_two_lives_share_a_name() -> None:
    lives = {new_incarnation("quote:BTCUSDT") for _ in range(1_000)}
    assert len(lives) == 1_000
    assert all(life.startswith("quote:BTCUSDT@") for life in lives)


def test_clock_offset_shifts_the_monotonic_clock_only() -> None:
    here, there = clock_of({}), clock_of({"MANTA_CLOCK_OFFSET_NS": "3600000000000"})
    assert 3_599 < (there.now_ns() - here.now_ns()) / 1e9 < 3_601
    assert abs(there.wall_ns() - here.wall_ns()) < 1e9


def test_a_clock_offset_that_is_no_number_names_the_variable() -> None:
    with pytest.raises(ConfigError, match="MANTA_CLOCK_OFFSET_NS"):
        clock_of({"MANTA_CLOCK_OFFSET_NS": "1 h"})


def test_a_pretended_host_has_its_own_runtime_folder() -> None:
    assert runtime_folder("/tmp/m", {}) == Path("/tmp/m")
    assert runtime_folder("/tmp/m", {"MANTA_HOST": "b"}) == Path("/tmp/m-b")


@pytest.mark.parametrize(
    ("tcp_host", "environ", "address"),
    [
        ("", {"MANTA_TCP_HOST": "10.0.0.7"}, ""),  # the run keeps to one host
        ("127.0.0.1", {}, "127.0.0.1"),
        ("auto", {"MANTA_TCP_HOST": "10.0.0.7"}, "10.0.0.7"),
        ("127.0.0.1", {"MANTA_TCP_HOST": "10.0.0.7"}, "10.0.0.7"),
    ],
)
def test_each_node_binds_its_own_address(tcp_host: str, environ: dict[str, str], address: str) -> None:
    assert tcp_address(tcp_host, environ) == address
