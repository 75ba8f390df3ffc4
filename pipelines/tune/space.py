"""What `--search` may say, and which trials a seed draws from it. Pure.

`quote.gamma=0.02:0.5:log` is a range, `quote.gamma=0.02:0.5` one with even steps, `quote.levels_count=1,2,3` a list.
Trials are random points, not a grid: where few of the parameters matter, a grid spends most of its trials on the
others. Source: Bergstra and Bengio 2012, "Random search for hyper-parameter optimization".
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import yaml
from pydantic import BaseModel

from actors.vocab.config import FleetSettings
from actors.vocab.errors import ConfigError
from pipelines.plain_yaml import load_plain
from pipelines.settings import load_settings

FORM = "write quote.gamma=0.02:0.5:log for a range, quote.levels_count=1,2,3 for a list"
# The market and what it costs are given; a search over them would find the kindest one.
GIVEN = ("sim", "fees", "llm")
DRAWS_PER_TRIAL = 50  # a list drawn this often without a new point has no more to give

Trial = dict[str, Any]  # key -> value; the empty one is the defaults


class Range(msgspec.Struct, frozen=True):
    """Every value between both ends, drawn evenly or evenly in the logarithm."""

    key: str
    low: float
    high: float
    is_log: bool = False
    is_whole: bool = False

    def ends(self) -> list[Any]:
        return [int(self.low), int(self.high)] if self.is_whole else [self.low, self.high]

    def draw(self, rng: random.Random) -> float:
        """Four significant digits, which is finer than any score can tell apart."""
        share = rng.random()
        if self.is_log:
            value = math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + share * (self.high - self.low)
        return min(max(round(value) if self.is_whole else float(f"{value:.4g}"), self.low), self.high)


class Choices(msgspec.Struct, frozen=True):
    """One of a list."""

    key: str
    values: tuple[Any, ...]

    def ends(self) -> list[Any]:
        return list(self.values)

    def draw(self, rng: random.Random) -> Any:
        return rng.choice(self.values)


Search = Range | Choices


def parse_searches(texts: Sequence[str], base: FleetSettings) -> list[Search]:
    """Read all `--search`; every end and every listed value is tried on `base`. ConfigError names key and remedy."""
    if not texts:
        raise ConfigError(f"--search is missing: {FORM}")
    found: list[Search] = []
    for text in texts:
        one = _parse(text)
        if one.key in (other.key for other in found):
            raise ConfigError(f"--search {text}: {one.key} is searched twice; leave one out")
        for value in one.ends():
            try:
                settings_of(base, {one.key: value})
            except ConfigError as error:
                raise ConfigError(f"--search {text}: {error}") from None
        found.append(one)
    return found


def draw_trials(searches: Sequence[Search], *, trials_count: int, seed: int) -> list[Trial]:
    """The defaults first, then `trials_count` different points; fewer where lists hold no more, then all of them.

    The same seed draws the same points in the same order, so that more trials continue fewer.
    """
    if all(isinstance(one, Choices) for one in searches):
        lists = [one.values for one in searches if isinstance(one, Choices)]
        if math.prod(len(values) for values in lists) <= trials_count:
            keys = [one.key for one in searches]
            return [{}, *(dict(zip(keys, row, strict=True)) for row in itertools.product(*lists))]
    rng, found = random.Random(seed), list[Trial]([{}])
    for _ in range(DRAWS_PER_TRIAL * trials_count):
        trial = {one.key: _plain(one.draw(rng), one) for one in searches}
        if trial not in found:
            found.append(trial)
        if len(found) > trials_count:
            break
    return found


def settings_of(base: FleetSettings, trial: Trial) -> FleetSettings:
    """`base` with a trial's values; ConfigError where they break a bound or a relation."""
    return load_settings(overrides=[f"{key}={value!r}" for key, value in trial.items()], base=base)


def values_in(settings: FleetSettings, keys: Iterable[str]) -> Trial:
    """What `settings` say of some keys, as plain YAML values."""
    said = settings.model_dump(mode="json")
    return {key: said[section][name] for key in keys for section, _, name in [key.partition(".")]}


def _plain(value: Any, search: Search) -> Any:
    return int(value) if isinstance(search, Range) and search.is_whole else value


def _parse(text: str) -> Search:
    key, separator, said = (part.strip() for part in text.partition("="))
    section, _, name = key.partition(".")
    if not separator or not said or not name:
        raise ConfigError(f"--search {text}: {FORM}")
    if section in GIVEN:
        raise ConfigError(f"--search {text}: {section}.* is given, not chosen; use --set {key}=…")
    model = FleetSettings.model_fields[section].annotation if section in FleetSettings.model_fields else None
    if isinstance(model, type) and issubclass(model, BaseModel) and name in model.model_fields:
        kind = model.model_fields[name].annotation
    else:
        try:
            load_settings(overrides=[f"{key}=0"])
        except ConfigError as error:  # says which key was meant
            raise ConfigError(f"--search {text}: {str(error).removeprefix(f'--set {key}=0: ')}") from None
        raise AssertionError("unreachable: an unknown key is refused")
    if ":" not in said:
        return _choices(text, key, said)
    return _range(text, key, said, is_whole=kind is int, is_number=kind in (int, float))


def _choices(text: str, key: str, said: str) -> Choices:
    try:
        values = tuple(load_plain(part) for part in said.split(","))
    except yaml.YAMLError:
        values = ()
    except ConfigError as error:
        raise ConfigError(f"--search {key}: {error}") from None
    if not values or None in values:
        raise ConfigError(f"--search {text}: a value is missing; {FORM}")
    if len(values) != len({repr(value) for value in values}):
        raise ConfigError(f"--search {text}: a value stands there twice; each once")
    return Choices(key, values)


def _range(text: str, key: str, said: str, *, is_whole: bool, is_number: bool) -> Range:
    low_text, high_text, *scale = said.split(":")
    if not is_number:
        raise ConfigError(f"--search {text}: {key} is no number; list its values: {key}=this,that")
    try:
        low, high = float(low_text), float(high_text)
    except ValueError:
        raise ConfigError(f"--search {text}: {FORM}") from None
    if scale not in ([], ["log"], ["linear"]):
        raise ConfigError(f"--search {text}: after both ends comes log, linear or nothing")
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ConfigError(f"--search {text}: the lower end comes first, and both are finite")
    if is_whole and not (low.is_integer() and high.is_integer()):
        raise ConfigError(f"--search {text}: {key} takes whole numbers; give whole ends")
    if scale == ["log"] and low <= 0:
        raise ConfigError(f"--search {text}: a log range starts above 0; give a small end, or leave :log out")
    return Range(key, low, high, is_log=scale == ["log"], is_whole=is_whole)
