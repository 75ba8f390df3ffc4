"""Exit codes, a contract with scripts."""

from __future__ import annotations

import enum
import sys
from typing import NoReturn

from actors.vocab.errors import ConfigError


class ExitCode(enum.IntEnum):
    FINE = 0
    FAILED = 1  # a zero line is not zero, or orders may be alive
    USAGE = 2  # one line says which key and why
    FULL_STOP = 3
    INTERRUPTED = 130  # after a clean cancel
    TERMINATED = 143


def refuse(error: ConfigError) -> NoReturn:
    """Print the one line and leave with 2."""
    print(f"error: {error}", file=sys.stderr)
    sys.exit(ExitCode.USAGE)
