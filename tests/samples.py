"""One valid value of any message of the vocabulary, made from its type hints."""

from __future__ import annotations

import types
import typing
from enum import Enum
from typing import Any

import msgspec

from actors.vocab import codec
from actors.vocab.message import Message


def sample(kind: Any) -> Any:
    """Return a small value of type `kind`; lists and tuples hold one element, so nesting is exercised."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return args[0]
    if origin in (typing.Union, types.UnionType):
        return sample(args[0])
    if origin is tuple:
        return (sample(args[0]),) if args[-1] is Ellipsis else tuple(sample(arg) for arg in args)
    if origin is list:
        return [sample(args[0])]
    if origin is dict:
        return {sample(args[0]): sample(args[1])}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next(iter(kind))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind(**{name: sample(hint) for name, hint in typing.get_type_hints(kind).items()})
    return {str: "naïve", int: -7, float: 0.5, bool: True, bytes: b"\0\xff", type(None): None, Any: None}[kind]


ALL_MESSAGES: list[Message] = [sample(kind) for kind in codec.MESSAGES]
