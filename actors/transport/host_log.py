"""One log file an actor: one line an event, a sentence and then fields named like the messages' fields."""

from __future__ import annotations

import logging
import logging.handlers
import time
from pathlib import Path

LOG_BYTES_MAX = 10_000_000  # full: the file becomes .1 and a new one begins; the older .1 is dropped
LOG_BACKUPS = 1


class ActorLog:
    """`log.info("book resynced", symbol="BTCUSDT", waited_ms=1200)`. Never give it a secret: it prints what it gets."""

    def __init__(self, role: str, run_dir: str) -> None:
        self._logger = logging.getLogger(f"manta.{role}")
        self._logger.setLevel(logging.INFO)
        self._logger.propagate = False  # Ray copies root handlers to the driver's terminal, which has its own table
        self.path: Path | None = None
        if run_dir:
            folder = Path(run_dir) / "logs"
            folder.mkdir(parents=True, exist_ok=True)
            self.path = folder / f"{file_name(role)}.log"
            self.close()  # a second life in the same process (tests) must not write every line twice
            handler = logging.handlers.RotatingFileHandler(
                self.path, maxBytes=LOG_BYTES_MAX, backupCount=LOG_BACKUPS, encoding="utf-8"
            )
            layout = f"%(asctime)s.%(msecs)03dZ %(levelname)s {role} %(message)s"
            formatter = logging.Formatter(layout, "%Y-%m-%dT%H:%M:%S")
            formatter.converter = time.gmtime
            handler.setFormatter(formatter)
            self._logger.addHandler(handler)
        else:
            self._logger.addHandler(logging.NullHandler())

    def info(self, sentence: str, **fields: object) -> None:
        self._logger.info("%s", line(sentence, fields))

    def warning(self, sentence: str, **fields: object) -> None:
        self._logger.warning("%s", line(sentence, fields))

    def error(self, sentence: str, *, error: BaseException | None = None, **fields: object) -> None:
        """Log `error` with its traceback; the only event of more than one line."""
        self._logger.error("%s", line(sentence, fields), exc_info=error)

    def close(self) -> None:
        for handler in list(self._logger.handlers):
            self._logger.removeHandler(handler)
            handler.close()


def file_name(role: str) -> str:
    """Return a role as a file name: quote:BTCUSDT becomes quote_BTCUSDT."""
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in role)


def line(sentence: str, fields: dict[str, object]) -> str:
    """Return the sentence and `name=value` pairs on one line, whatever the values hold."""
    text = " ".join([sentence, *(f"{name}={value}" for name, value in fields.items())])
    return text.replace("\n", "\\n").replace("\r", "\\r")
