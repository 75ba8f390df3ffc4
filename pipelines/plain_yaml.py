"""YAML as an operator means it: numbers are decimal, a date is text, and a key given twice is refused.

YAML 1.1 reads `0500` as 320, `1:30` as 90 and `1e-3` as text, and its readers keep the last of two equal keys, so that
a second `risk:` would drop the limits of the first. Words such as `on` and `no` stay text: settings that are switches
understand them, others may have them as names.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from actors.vocab.errors import ConfigError

_DIGITS = r"[0-9]+(?:_[0-9]+)*"
_FLOAT = rf"[-+]?(?:{_DIGITS}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS})(?:[eE][-+]?[0-9]+)?"
_NO_NUMBER = r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"  # whoever checks the value says that it is not finite
_FORMS = (  # tag, pattern, what it may begin with
    ("bool", "true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", rf"[-+]?{_DIGITS}", "-+0123456789"),
    ("float", f"{_FLOAT}|{_NO_NUMBER}", "-+.0123456789"),
    ("null", "~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", "<<", "<"),
)
_TAG = "tag:yaml.org,2002:"


def load_plain(text: str) -> Any:
    """Content of `text`. YAMLError where it is no YAML, ConfigError where it is and still cannot be meant."""
    try:
        return yaml.load(text, _PlainLoader)
    except RecursionError:
        raise ConfigError("nested too deeply") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:  # a tag on what it does not fit: `!!int soon`
        raise ConfigError(f"a value cannot be read ({error})") from None


class _PlainLoader(yaml.SafeLoader):
    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            line = key.start_mark.line + 1
            if key.value in lines:
                where = f"in lines {lines[key.value]} and {line}" if line != lines[key.value] else f"in line {line}"
                raise ConfigError(f"{key.value} stands there twice, {where}; put both into one")
            lines[key.value] = line
        return node


def _whole(loader: yaml.SafeLoader, node: Any) -> int:
    return int(loader.construct_scalar(node))


_PlainLoader.yaml_implicit_resolvers = {}  # none of YAML 1.1's
for _name, _pattern, _first in _FORMS:
    _PlainLoader.add_implicit_resolver(_TAG + _name, re.compile(f"(?:{_pattern})$"), _first)
_PlainLoader.add_constructor(_TAG + "int", _whole)
