"""One writer per account: a lock file beside the journal, held by the open file, so that a crash frees it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from actors.vocab.errors import ConfigError


class AccountLock:
    """Held from `acquire` to `release` or the end of the process."""

    def __init__(self, path: Path, account: str) -> None:
        self.path = path
        self._account = account
        self._fd: int | None = None

    def acquire(self) -> None:
        """`ConfigError` naming the account and the process that holds it."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(fd, 64).decode(errors="replace").strip() or "unknown"
            os.close(fd)
            raise ConfigError(
                f"account {self._account} is in use by another run (process {holder}); "
                f"stop that run, or give this one another account ({self.path})"
            ) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._fd = fd

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
