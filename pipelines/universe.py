"""Reads `conf/universe/*.yaml` into typed rows; a wrong file is a `ConfigError` that names the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import yaml

from actors.sim.universe import Universe
from actors.vocab.errors import ConfigError

UNIVERSES = Path(__file__).parent.parent / "conf" / "universe"


def read_universe(name: str = "top50", folder: Path = UNIVERSES) -> Universe:
    """Return the universe `name` (a file of `folder`, without its ending)."""
    path = folder / f"{name}.yaml"
    try:
        raw: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml")))
        raise ConfigError(f"no universe {name} in {folder}; there are: {known}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is no YAML: {' '.join(str(error).split())}") from None
    if isinstance(raw, dict):
        raw["as_of"] = str(raw.get("as_of", ""))  # YAML reads a bare date as a date
    try:
        return msgspec.convert(raw, Universe)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}") from None
