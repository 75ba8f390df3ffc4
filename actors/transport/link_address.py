"""Where links are bound and which address a dialler takes."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from actors.vocab.control import Member
from actors.vocab.errors import ConfigError

IPC_PATH_MAX = 100  # bytes; sun_path ends at 108 on Linux and 104 on macOS, libzmq needs a few


def prepare_runtime_dir(folder: Path) -> None:
    """Make `folder` private (0700, ours); ConfigError when it cannot be."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            raise ConfigError(f"runtime folder {folder} belongs to somebody else; name another one")
        if stat.S_IMODE(status.st_mode) != 0o700:
            folder.chmod(0o700)
    except OSError as error:
        raise ConfigError(f"runtime folder {folder} cannot be made: {error.strerror}; name another one") from error


def ipc_address(folder: Path, incarnation: str, channel: str) -> str:
    """Return the socket of one channel of one life; ConfigError when the path would be too long for a socket.

    The name is a digest, since roles and incarnations are longer than a socket path allows.
    """
    digest = hashlib.blake2s(incarnation.encode(), digest_size=6).hexdigest()
    path = folder / f"{digest}-{channel}"
    size = len(os.fsencode(path))
    if size >= IPC_PATH_MAX:
        raise ConfigError(
            f"runtime folder {folder} is too long: socket path {path} has {size} bytes, "
            f"at most {IPC_PATH_MAX - 1} fit; name a shorter folder"
        )
    return f"ipc://{path}"


def choose_address(member: Member, channel: str, *, host: str) -> str:
    """Return how `host` reaches `channel` of `member`: ipc on the same host, else tcp; "" if not at all."""
    wanted = "ipc://" if member.host == host else "tcp://"
    for name, address in member.endpoints:
        if name == channel and address.startswith(wanted):
            return address
    return ""
