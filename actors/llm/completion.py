"""A chat completion's body, read without trust: it may be empty, cut, nested, not text, or lie about its usage."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from actors.vocab.spending import Fault

# Answers longer than this are cut off unread; an honest one is a hundredth of it.
ANSWER_BYTES_MAX = 2_000_000
# An honest token is at most so many characters; a usage that says less than the content weighs is not believed.
CHARS_PER_TOKEN_MAX = 8
# A usage above this is none; a link carries 64 bits, and JSON any number.
TOKENS_MAX = 10**9
ERROR_CHARS_MAX, NAME_CHARS_MAX = 200, 100


class Completion(msgspec.Struct, frozen=True):
    """Content and usage, all empty where there was none; `fault` is what was wrong with the body around them."""

    content: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    fault: Fault | None = None


def read_completion(body: bytes) -> Completion:
    """What can be read of `choices[0].message.content` and `usage`. Never raises."""
    data, fault = read_json(body)
    usage = _dig(data, "usage")
    tokens_in, tokens_out = _count(_dig(usage, "prompt_tokens")), _count(_dig(usage, "completion_tokens"))
    content = _dig(_dig(_first(_dig(data, "choices")), "message"), "content")
    if not isinstance(content, str):
        return Completion("", tokens_in, tokens_out, fault or Fault.NOT_SCHEMA)
    return Completion(content, tokens_in, max(tokens_out, len(content) // CHARS_PER_TOKEN_MAX), fault)


def read_error(body: bytes) -> str:
    """The server's words about a refusal, short and on one line; empty where there are none. Shown, never executed."""
    data, _ = read_json(body)
    error = _dig(data, "error")
    text = _dig(error, "message") if isinstance(error, dict) else error
    return shown(text, ERROR_CHARS_MAX) if isinstance(text, str) else ""


def read_model_ids(body: bytes) -> tuple[str, ...]:
    """Ids of `GET /models`; empty when it is no such list."""
    rows = _dig(read_json(body)[0], "data")
    ids = [_dig(row, "id") for row in rows] if isinstance(rows, list) else []
    return tuple(shown(one, NAME_CHARS_MAX) for one in ids if isinstance(one, str))


def shown(text: str, chars_max: int) -> str:
    """A stranger's text for people to read: short, on one line, without what steers a terminal or fits no link."""
    # Cut first: it may be megabytes. A lone surrogate, which JSON lets through, is not printable either.
    letters = (letter if letter.isprintable() else " " for letter in text[: 4 * chars_max])
    return " ".join("".join(letters).split())[:chars_max]


def read_json(body: bytes) -> tuple[Any, Fault | None]:
    """A body's JSON, None where there is none, and what is wrong with it."""
    if not body.strip():
        return None, Fault.EMPTY
    if len(body) >= ANSWER_BYTES_MAX:
        return None, Fault.TOO_LONG
    try:
        return loads(body.decode())
    except UnicodeDecodeError:
        return loads(body.decode(errors="replace"))[0], Fault.NOT_UTF8


def loads(text: str) -> tuple[Any, Fault | None]:
    """JSON, or None and why: hostile text may be too deep for the parser or hold integers too long for it."""
    try:
        return json.loads(text), None
    except RecursionError:
        return None, Fault.TOO_DEEP
    except ValueError:
        return None, Fault.NOT_JSON if text.strip() else Fault.EMPTY


def _dig(data: Any, key: str) -> Any:
    return data.get(key) if isinstance(data, dict) else None


def _first(data: Any) -> Any:
    return data[0] if isinstance(data, list) and data else None


def _count(value: Any) -> int:
    return min(max(0, value), TOKENS_MAX) if isinstance(value, int) and not isinstance(value, bool) else 0
