"""Types a command line in this process with Ray out of reach: what is refused was refused before any of it began."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import pytest
import typer

from pipelines.exits import run

Refused = Callable[..., str]


def typed(app: typer.Typer, module: str, arguments: Sequence[str]) -> int:
    """Exit code of a command line."""
    with pytest.raises(SystemExit) as left:
        run(app, module, arguments)
    assert isinstance(left.value.code, int)
    return left.value.code


def refusal_of(
    app: typer.Typer, module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Refused:
    """A function that types its arguments, checks code 2 and one line on stderr, and returns that line."""
    # Importing a module that stands as None raises ImportError: nothing can start unnoticed.
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setitem(sys.modules, "pipelines.supervisor", None)

    def refused(*arguments: str) -> str:
        assert typed(app, module, arguments) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert err.endswith("\n")
        return err.removeprefix("error: ").rstrip("\n")

    return refused
