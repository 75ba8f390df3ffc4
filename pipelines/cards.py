"""Where the fleets of this machine's user are: one small file a run, so that `ctl` need not ask every Ray it meets."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

CONNECT_TIMEOUT_S = 1.0


class FleetCard(msgspec.Struct, frozen=True):
    """`address` is HOST:PORT of the Ray that runs the fleet of `account`."""

    account: str
    address: str
    run_dir: str = ""
    auth_mode: str = ""  # RAY_AUTH_MODE of the run, which its visitors need as well; never the token


@contextlib.contextmanager
def posted(card: FleetCard, folder: Path | None = None) -> Iterator[None]:
    """The card is there while the block runs. A folder that cannot be written only makes `ctl` need an address."""
    path: Path | None = None
    with contextlib.suppress(OSError):
        place = _private(folder or _folder())
        place.joinpath(f"{card.account}.json").write_bytes(msgspec.json.encode(card))
        path = place / f"{card.account}.json"
    try:
        yield
    finally:
        if path is not None:
            path.unlink(missing_ok=True)


def read_cards(folder: Path | None = None) -> list[FleetCard]:
    """Cards whose Ray still accepts connections; those of killed runs are removed."""
    cards = []
    try:
        paths = sorted(_private(folder or _folder()).glob("*.json"))
    except OSError:
        return []
    for path in paths:
        try:
            card = msgspec.json.decode(path.read_bytes(), type=FleetCard)
        except (OSError, msgspec.DecodeError):
            continue  # it is just being written or removed
        if accepts(card.address):
            cards.append(card)
        else:
            path.unlink(missing_ok=True)
    return cards


def accepts(address: str) -> bool:
    """Something listens at HOST:PORT. Ray itself would try for a minute before it says no."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_TIMEOUT_S):
            return True
    except (OSError, ValueError, OverflowError):
        return False


def _folder() -> Path:
    return Path(tempfile.gettempdir()) / f"manta-{os.getuid()}"


def _private(folder: Path) -> Path:
    """Ours alone: in a shared temporary folder somebody else could have made one of that name."""
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o022:
        raise PermissionError(f"{folder} is not ours alone")
    return folder
