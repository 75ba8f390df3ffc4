"""Keys of a simulated account: made for one run, kept in a private file, shown to nobody."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import msgspec

from actors.venues.dialect import Credentials
from actors.vocab.errors import ConfigError

_KEY_BYTES = 32  # 64 letters, as the venue's own


def make_key_file(folder: Path, name: str) -> tuple[Path, Credentials]:
    """Write a fresh key as `<folder>/<name>.json`, readable by its owner alone; replaces an older file."""
    credentials = Credentials(api_key=secrets.token_hex(_KEY_BYTES), secret=secrets.token_hex(_KEY_BYTES))
    path = folder / f"{name}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        # Created with its mode, not changed to it: there is no moment at which others could read it.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ConfigError(f"key file {path}: cannot be written ({error.strerror}); choose another folder") from None
    with os.fdopen(handle, "wb") as file:
        file.write(msgspec.json.encode(credentials))
    return path, credentials
