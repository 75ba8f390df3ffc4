"""The account's key: read on the gateway's node, from a private file or the environment, and shown to nobody."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path

import msgspec

from actors.venues.dialect import Credentials
from actors.vocab.control import VenueAccount
from actors.vocab.errors import ConfigError

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def read_credentials(account: VenueAccount, environ: Mapping[str, str]) -> Credentials:
    """Return the key of `account`. `ConfigError` in one line when it is missing, unreadable or open to others."""
    if account.key_file:
        return _from_file(account.venue, Path(account.key_file))
    names = [f"{account.key_env}_API_KEY", f"{account.key_env}_SECRET"]
    api_key, secret = (environ.get(name, "").strip() for name in names)
    if not account.key_env or not api_key or not secret:
        raise ConfigError(f"{account.venue}: no key; set {names[0]} and {names[1]} or give a key file")
    return Credentials(api_key, secret, environ.get(f"{account.key_env}_KIND", "hmac"))


def _from_file(venue: str, path: Path) -> Credentials:
    try:
        mode = path.stat().st_mode
        text = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{venue}: key file {path} cannot be read ({error.strerror})") from None
    if mode & _OTHERS:
        raise ConfigError(f"{venue}: others can read key file {path}; run chmod 600 {path}")
    try:
        credentials = msgspec.json.decode(text, type=Credentials)
    except msgspec.DecodeError:
        # Nothing of the content: it may be half of a secret.
        raise ConfigError(f'{venue}: key file {path} must be JSON {{"api_key", "secret", "kind"}}') from None
    if not credentials.api_key or not credentials.secret:
        raise ConfigError(f"{venue}: key file {path} holds an empty key")
    return credentials
