"""The error tree: who is at fault decides what happens.

MantaError
├── OurFault        a broken invariant of ours: the actor stops loudly, its lease runs out
├── ConfigError     bad input from the operator: exit code 2, one line, nothing started
└── VenueFault      the venue broke its own protocol: counted, resynced, never a crash
"""

from __future__ import annotations


class MantaError(Exception):
    """Root of everything raised on purpose."""


class OurFault(MantaError):
    """One of our invariants does not hold; no state of this actor can be trusted any more."""


class ConfigError(MantaError):
    """The operator gave something unusable. The text names the thing and the remedy in one line."""


class VenueFault(MantaError):
    """The venue sent something its manual does not allow."""


def check(condition: bool, message: str) -> None:
    """Raise `OurFault(message)` unless `condition`; unlike `assert` it survives `python -O`."""
    if not condition:
        raise OurFault(message)
