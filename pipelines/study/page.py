"""One HTML page of a study: tables and plots that open without a network."""

from __future__ import annotations

import html
import os
from collections.abc import Sequence
from pathlib import Path

import plotly.graph_objects as go
from rich.console import Console
from rich.table import Table

from actors.console.report import STYLE
from actors.vocab.errors import ConfigError

CONFIG = {"displaylogo": False, "displayModeBar": "hover", "responsive": True}


def refuse_unwritable(path: Path, *, option: str) -> None:
    """ConfigError where a file cannot be written there."""
    if not path.parent.is_dir() or path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ConfigError(f"{option} {path}: cannot be written; name a file in a folder that is there")


class Page:
    """Collects tables and figures; tables also go to the terminal as they come."""

    def __init__(self, title: str, path: Path, console: Console) -> None:
        """ConfigError where `path` cannot be written, before anything is read or fitted."""
        refuse_unwritable(path, option="--html")
        self._title = title
        self._path = path
        self._console = console
        self._parts: list[str] = []
        self._has_library = False

    def text(self, sentence: str) -> None:
        self._console.print(sentence, highlight=False, style="dim")
        self._parts.append(f"<p class=muted>{html.escape(sentence)}</p>")

    def table(self, title: str, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """The first column is text, the others are numbers already spelled."""
        shown = Table(box=None, pad_edge=False)
        for index, name in enumerate(names):
            shown.add_column(name, justify="right" if index else "left")
        for row in rows:
            shown.add_row(*row)
        self._console.print(title, style="italic", highlight=False)
        self._console.print(shown)
        right = ' style="text-align:right"'
        head = "".join(f"<th{right if index else ''}>{html.escape(name)}" for index, name in enumerate(names))
        body = "".join(
            "<tr>" + "".join(f"<td{' class=n' if index else ''}>{html.escape(cell)}" for index, cell in enumerate(row))
            for row in rows
        )
        self._parts.append(f"<h2>{html.escape(title)}</h2><table><tr>{head}{body}</table>")

    def figure(self, figure: go.Figure, title: str, *, x: str, y: str, height: int = 380) -> None:
        figure.update_layout(
            title=title, template="plotly_white", height=height, margin={"l": 60, "r": 20, "t": 60, "b": 50}
        )
        figure.update_xaxes(title=x)
        figure.update_yaxes(title=y)
        library = False if self._has_library else "inline"
        self._has_library = True
        self._parts.append(str(figure.to_html(full_html=False, include_plotlyjs=library, config=CONFIG)))

    def write(self) -> None:
        """ConfigError where the file cannot be written."""
        head = f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(self._title)}</title>"
        body = "\n".join([f"{head}<style>{STYLE}</style><h1>{html.escape(self._title)}</h1>", *self._parts, "</html>"])
        try:
            self._path.write_text(body)
        except OSError as error:
            raise ConfigError(f"--html {self._path}: cannot be written ({error.strerror or error})") from None
        self._console.print(f"plots: {self._path}", highlight=False)
