"""Exit codes, a contract with scripts, and the one line that says why a command did not start."""

from __future__ import annotations

import enum
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import typer

from actors.vocab.errors import ConfigError


class ExitCode(enum.IntEnum):
    FINE = 0
    FAILED = 1  # a zero line is not zero, or orders may be alive
    USAGE = 2  # one line says which key and why
    FULL_STOP = 3
    INTERRUPTED = 130  # after a clean cancel
    TERMINATED = 143


def refuse(error: ConfigError) -> NoReturn:
    """Print the one line and leave with 2."""
    print(f"error: {_one_line(str(error))}", file=sys.stderr)
    sys.exit(ExitCode.USAGE)


def run(app: typer.Typer, module: str, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command line to its exit code. What is typed wrong is one line, as every other refusal is.

    `module` is what stands after `python -m`; `arguments` default to the command line's.
    """
    command: Any = typer.main.get_command(app)
    name = f"python -m {module}"
    try:
        code = command.main(args=arguments, prog_name=name, standalone_mode=False)
    except ConfigError as error:
        refuse(error)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(ExitCode.INTERRUPTED)
    except Exception as error:
        # The parser's own exceptions have moved between modules from one typer to the next; their method has not.
        if not callable(getattr(error, "format_message", None)):
            raise
        text = _one_line(error.format_message()).rstrip(".")  # type: ignore[attr-defined]
        refuse(ConfigError(f"{text}; see {name} --help"))
    sys.exit(code if isinstance(code, int) else ExitCode.FINE)


def _one_line(text: str) -> str:
    return " ".join(text.split())
