"""From files and `--set` to one frozen `FleetSettings`; every mistake is one line that names the key."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from actors.vocab.config import FleetSettings
from actors.vocab.errors import ConfigError
from pipelines.plain_yaml import load_plain


def load_settings(
    files: Iterable[Path] = (), overrides: Iterable[str] = (), *, base: FleetSettings | None = None
) -> FleetSettings:
    """Defaults (or `base`), then each file, then each `section.key=value`; later wins.

    ConfigError names key and remedy.
    """
    merged: dict[str, Any] = {} if base is None else base.model_dump()
    for path in files:
        _merge(merged, _read(path), where=str(path))
    for text in overrides:
        _merge(merged, _parse_override(text), where=f"--set {text}")
    try:
        return FleetSettings.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(_explain(error)) from None


def settings_text(settings: FleetSettings) -> str:
    """Every key with its value, its meaning and its bounds, as a YAML file that `--conf` takes."""
    lines: list[str] = []
    for section in FleetSettings.model_fields:
        model = getattr(settings, section)
        lines.append(f"{section}:")
        for name, field in type(model).model_fields.items():
            value = yaml.safe_dump(getattr(model, name), default_flow_style=True, width=1000).splitlines()[0]
            bounds = ", ".join(text for text in map(_bound, field.metadata) if text)
            said = "; ".join(text for text in (field.description, bounds) if text)
            lines.append(f"  {name}: {value}".ljust(38) + f"  # {said}" * bool(said))
    return "\n".join(lines) + "\n"


def _bound(limit: Any) -> str:
    """One of pydantic's bounds as a reader would write it; empty for anything else."""
    for name, sign in (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<=")):
        if getattr(limit, name, None) is not None:
            return f"{sign} {getattr(limit, name):g}"
    return ""


def _read(path: Path) -> dict[str, Any]:
    try:
        content = load_plain(path.read_text())
    except FileNotFoundError:
        raise ConfigError(f"--conf {path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError(f"--conf {path}: cannot be read ({why}); give a YAML file of settings") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"--conf {path}: not YAML: {' '.join(str(error).split())}") from None
    except ConfigError as error:
        raise ConfigError(f"--conf {path}: {error}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"--conf {path}: expected sections like `quote:`, found {type(content).__name__}")
    return content


def _parse_override(text: str) -> dict[str, Any]:
    key, separator, value = text.partition("=")
    section, dot, name = key.strip().partition(".")
    if not separator or not dot or not name:
        raise ConfigError(f"--set {text}: write it as section.key=value, for example quote.gamma=0.1")
    try:
        parsed = load_plain(value)
    except yaml.YAMLError:
        parsed = value
    except ConfigError as error:
        raise ConfigError(f"--set {key.strip()}: {error}") from None
    return {section: {name: parsed}}


def _merge(into: dict[str, Any], new: Mapping[str, Any], *, where: str) -> None:
    for section, values in new.items():
        _known(section, FleetSettings, where, section)
        if not isinstance(values, Mapping):
            raise ConfigError(f"{where}: {section} must hold keys, found {values!r}")
        model = FleetSettings.model_fields[section].annotation
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        for name, value in values.items():
            _known(name, model, where, f"{section}.{name}")
            if _holds_bool(value) and not _takes_bool(model.model_fields[name].annotation):
                raise ConfigError(f"{where}: {section}.{name} is no switch; give its value in place of true or false")
        into.setdefault(section, {}).update(values)


def _known(name: str, model: type[BaseModel], where: str, path: str) -> None:
    if name in model.model_fields:
        return
    near = difflib.get_close_matches(str(name), model.model_fields, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(model.model_fields))}"
    raise ConfigError(f"{where}: unknown key {path}; {hint}")


def _takes_bool(kind: Any) -> bool:
    return kind is bool or any(map(_takes_bool, get_args(kind)))


def _holds_bool(value: Any) -> bool:
    """Whether a switch stands anywhere in it. Where a number belongs, it would be taken for 1 or 0."""
    seen, left = set[int](), [value]
    while left:  # an anchor may repeat a part, or hold itself
        one = left.pop()
        if isinstance(one, bool):
            return True
        if isinstance(one, dict | list) and id(one) not in seen:
            seen.add(id(one))
            left += one.values() if isinstance(one, dict) else one
    return False


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    path = ".".join(str(part) for part in first["loc"]) or "settings"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    given = "" if isinstance(first["input"], Mapping) else f", got {first['input']!r}"
    return f"{path}: {first['msg']}{given}{more}"
