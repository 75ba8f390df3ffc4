"""Where simulated venues listen, as a file: `pipelines.sim` writes it, `pipelines.mm --venue-endpoints` reads it.

So one set of venues can outlive many runs, or run on a machine of its own. Keys stay in their own files; only their
paths are named here.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from actors.sim.actor import VenueEndpoint
from actors.vocab.control import VenueAccount
from actors.vocab.errors import ConfigError


class Endpoints(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that `pipelines.sim` serves; the relay's fields are empty where there is none."""

    venues: tuple[VenueEndpoint, ...]
    relay_url: str = ""
    relay_key_file: str = ""

    def accounts(self) -> tuple[VenueAccount, ...]:
        return tuple(account_of(one) for one in self.venues)


def account_of(one: VenueEndpoint) -> VenueAccount:
    """The run's words for a simulated venue."""
    return VenueAccount(
        venue=one.venue,
        dialect=one.dialect,
        market=one.market,
        rest_url=one.rest_url,
        stream_url=one.stream_url,
        order_url=one.order_url,
        key_file=one.key_file,
        key_env="",
        account_id=one.account_id,
        streams=one.streams,
    )


def check_endpoints_file(path: Path) -> None:
    """ConfigError where it cannot be written, before anything listens."""
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        new = path.with_name(path.name + ".new")
        new.touch()
        new.unlink()
    except OSError as error:
        raise ConfigError(f"--endpoints-file {path}: cannot be written ({error.strerror}); choose another") from None


def write_endpoints(path: Path, endpoints: Endpoints) -> None:
    """Replace the file in one step, so that who waits for it never reads half; ConfigError when it cannot be."""
    new = path.with_name(path.name + ".new")
    try:
        new.write_bytes(msgspec.json.format(msgspec.json.encode(endpoints)) + b"\n")
        new.replace(path)
    except OSError as error:
        raise ConfigError(f"--endpoints-file {path}: cannot be written ({error.strerror}); choose another") from None


def read_endpoints(path: Path, *, venues: Sequence[str], symbols: Sequence[str]) -> Endpoints:
    """The endpoints of the venues asked for; ConfigError names a venue or symbol that is not served."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Endpoints)
    except OSError as error:
        raise ConfigError(
            f"--venue-endpoints {path}: cannot be read ({error.strerror}); "
            "python -m pipelines.sim --endpoints-file writes it"
        ) from None
    except msgspec.DecodeError as error:
        raise ConfigError(
            f"--venue-endpoints {path}: not what python -m pipelines.sim --endpoints-file writes ({error})"
        ) from None
    served = {one.venue: one for one in found.venues}
    for venue in venues:
        if venue not in served:
            raise ConfigError(f"--venue-endpoints {path}: {venue} is not served there, only {', '.join(served)}")
        for symbol in symbols:
            if symbol not in served[venue].symbols:
                raise ConfigError(f"--symbols {symbol}: not listed by {venue} of {path}; start pipelines.sim with it")
    return msgspec.structs.replace(found, venues=tuple(served[venue] for venue in venues))
