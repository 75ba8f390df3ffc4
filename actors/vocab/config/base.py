"""What every settings model has in common: frozen, unknown keys refused, bounds in the type."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """An unknown key or a value out of range stops the start, with the path of the key."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
