"""Socket paths and the choice between ipc and tcp."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from actors.transport.link_address import choose_address, ipc_address, prepare_runtime_dir
from actors.vocab.control import Member
from actors.vocab.errors import ConfigError

BOTH = (("orders", "ipc:///r/a-orders"), ("orders", "tcp://10.0.0.1:4000"), ("market", "ipc:///r/a-market"))


@pytest.mark.parametrize(
    ("host", "channel", "address"),
    [
        ("h1", "orders", "ipc:///r/a-orders"),
        ("h2", "orders", "tcp://10.0.0.1:4000"),
        ("h1", "market", "ipc:///r/a-market"),
        ("h2", "market", ""),  # it does not leave its host
        ("h1", "risk", ""),
    ],
)
def test_dialler_takes_ipc_on_the_same_host_and_tcp_elsewhere(host: str, channel: str, address: str) -> None:
    member = Member("gateway:binance_perp", "g@1", "h1", BOTH)
    assert choose_address(member, channel, host=host) == address


def test_lives_of_one_role_never_share_a_socket() -> None:
    folder = Path("/tmp/m")
    assert ipc_address(folder, "quote:BTCUSDT@1", "orders") != ipc_address(folder, "quote:BTCUSDT@2", "orders")


def test_a_path_too_long_for_a_socket_names_the_folder_and_the_remedy() -> None:
    with pytest.raises(ConfigError, match="shorter folder"):
        ipc_address(Path("/tmp") / ("x" * 90), "a@1", "orders")


def test_runtime_folder_becomes_private(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    folder.mkdir(mode=0o755)
    prepare_runtime_dir(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_runtime_folder_that_cannot_be_made_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be made"):
        prepare_runtime_dir(tmp_path / "file" / "r")
