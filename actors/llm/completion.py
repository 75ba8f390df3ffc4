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
    return " ".join(str(text).split())[:200] if isinstance(text, str) else ""


def read_model_ids(body: bytes) -> tuple[str, ...]:
    """Ids of `GET /models`; empty when it is no such list."""
    rows = _dig(read_json(body)[0], "data")
    ids = [_dig(row, "id") for row in rows] if isinstance(rows, list) else []
    return tuple(one for one in ids if isinstance(one, str))


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
    return max(0, value) if isinstance(value, int) and not isinstance(value, bool) else 0
