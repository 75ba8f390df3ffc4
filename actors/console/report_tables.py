"""Rows of plain values as an HTML table."""

from __future__ import annotations

import html
from collections.abc import Collection, Mapping, Sequence
from typing import Any


def rows_table(rows: Sequence[Mapping[str, Any]], *, cents: Collection[str] = ()) -> str:
    """A column for each name in order of appearance; floats of `cents` with two digits, others with four."""
    if not rows:
        return "<p class=muted>none</p>"
    names = list(dict.fromkeys(name for row in rows for name in row))
    head = "".join(f"<th>{html.escape(name.replace('_', ' '))}" for name in names)
    body = "".join(
        "<tr>" + "".join(_cell(row.get(name, ""), 2 if name in cents else 4) for name in names) for row in rows
    )
    return f"<table><tr>{head}{body}</table>"


def _cell(value: object, digits: int) -> str:
    if isinstance(value, float):
        return f"<td class=n>{value:,.{digits}f}"
    if isinstance(value, int):
        return f"<td class=n>{value:,}"
    return f"<td>{html.escape(str(value))}"
