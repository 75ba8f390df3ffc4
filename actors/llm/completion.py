"""A chat completion's body, read without trust: it may be empty, cut, nested, not text, or lie about its usage."""

from __future__ import annotations

import json
from typing import Any

import msgspec

# An honest token is at most so many characters; a usage that says less than the content weighs is not believed.
CHARS_PER_TOKEN_MAX = 8


class Completion(msgspec.Struct, frozen=True):
    """Content and usage; all empty where there was none."""

    content: str = ""
    tokens_in: int = 0
    tokens_out: int = 0


def read_completion(body: bytes) -> Completion:
    """What can be read of `choices[0].message.content` and `usage`. Never raises."""
    data = loads(body.decode("utf-8", errors="replace"))
    usage = _dig(data, "usage")
    tokens_in, tokens_out = _count(_dig(usage, "prompt_tokens")), _count(_dig(usage, "completion_tokens"))
    content = _dig(_dig(_first(_dig(data, "choices")), "message"), "content")
    if not isinstance(content, str):
        return Completion("", tokens_in, tokens_out)
    return Completion(content, tokens_in, max(tokens_out, len(content) // CHARS_PER_TOKEN_MAX))


def read_error(body: bytes) -> str:
    """The server's words about a refusal, short and on one line; empty where there are none. Shown, never executed."""
    data = loads(body.decode("utf-8", errors="replace"))
    error = _dig(data, "error")
    text = _dig(error, "message") if isinstance(error, dict) else error
    return " ".join(str(text).split())[:200] if isinstance(text, str) else ""


def read_model_ids(body: bytes) -> tuple[str, ...]:
    """Ids of `GET /models`; empty when it is no such list."""
    rows = _dig(loads(body.decode("utf-8", errors="replace")), "data")
    ids = [_dig(row, "id") for row in rows] if isinstance(rows, list) else []
    return tuple(one for one in ids if isinstance(one, str))


def loads(text: str) -> Any:
    """JSON, or None: hostile text may be too deep for the parser or hold integers too long for it."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _dig(data: Any, key: str) -> Any:
    return data.get(key) if isinstance(data, dict) else None


def _first(data: Any) -> Any:
    return data[0] if isinstance(data, list) and data else None


def _count(value: Any) -> int:
    return max(0, value) if isinstance(value, int) and not isinstance(value, bool) else 0
