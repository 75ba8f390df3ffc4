"""Who and where this process is: host, incarnation, clock, and the run's places as seen from this host."""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from actors.vocab.errors import ConfigError

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
TCP_AUTO = "auto"  # value of `tcp_host`: let each node find its own address
# Any address outside: a UDP connect sends nothing, it only asks the routing table which of our addresses would be used.
# 192.0.2.0/24 is reserved for documentation (RFC 5737), so it belongs to nobody.
ROUTED_ADDRESS = ("192.0.2.1", 9)


class SystemClock:
    """The machine's clocks. `offset_ns` shifts the monotonic one, as if another machine had booted at another time."""

    def __init__(self, offset_ns: int = 0) -> None:
        self._offset_ns = offset_ns

    def now_ns(self) -> int:
        return time.monotonic_ns() + self._offset_ns

    def wall_ns(self) -> int:
        return time.time_ns()


def clock_of(environ: Mapping[str, str]) -> SystemClock:
    """Return the clock of this process; MANTA_CLOCK_OFFSET_NS lets tests pretend another machine."""
    text = environ.get("MANTA_CLOCK_OFFSET_NS", "0")
    try:
        return SystemClock(int(text))
    except ValueError:
        raise ConfigError(f"MANTA_CLOCK_OFFSET_NS is {text!r}; give whole nanoseconds or leave it out") from None


def host_id(environ: Mapping[str, str]) -> str:
    """Return an id that two processes share exactly when they share a monotonic clock and a file system.

    That is one boot of one machine and one container's host name; MANTA_HOST is added to it, so that tests can
    pretend several hosts.
    """
    try:
        boot = BOOT_ID.read_text().strip()
    except OSError:
        boot = ""  # not Linux: the host name alone has to do
    digest = hashlib.blake2s(f"{boot} {socket.gethostname()}".encode(), digest_size=6).hexdigest()
    suffix = environ.get("MANTA_HOST", "")
    return f"{digest}-{suffix}" if suffix else digest


def new_incarnation(role: str) -> str:
    """Return a name for this life of `role`: start time in hex for the reader, 32 random bits for uniqueness."""
    return f"{role}@{time.time_ns() // 1_000_000:x}-{secrets.token_hex(4)}"


def runtime_folder(runtime_dir: str, environ: Mapping[str, str]) -> Path:
    """Return the folder for ipc sockets; a pretended host gets its own beside it, as a real one would."""
    suffix = environ.get("MANTA_HOST", "")
    return Path(f"{runtime_dir}-{suffix}" if suffix else runtime_dir)


def tcp_address(tcp_host: str, environ: Mapping[str, str]) -> str:
    """Return the address of this node to bind links at; "" when the run keeps to one host.

    MANTA_TCP_HOST of the node wins; "auto" asks the routing table.
    """
    if not tcp_host:
        return ""
    own = environ.get("MANTA_TCP_HOST", "")
    if own:
        return own
    if tcp_host != TCP_AUTO:
        return tcp_host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(ROUTED_ADDRESS)
            return str(probe.getsockname()[0])
        except OSError as error:
            raise ConfigError(
                f"this node has no route out ({error.strerror}), so its address is unknown; set MANTA_TCP_HOST"
            ) from error


def environment() -> Mapping[str, str]:
    return os.environ
