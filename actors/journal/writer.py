"""The journal's writer: a thread that commits in groups, so that no disk write stands before a socket.

`append` only queues. `on_durable(sequence)` tells that everything up to that batch is on disk. When the database
refuses (full, locked, gone), `on_failed(text)` is called once, the rows stay, and the write is tried again until it
succeeds; `on_durable` is then also the sign of recovery. Both callbacks run on the writer's thread.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

from sqlalchemy.exc import SQLAlchemyError

from actors.journal.lock import AccountLock
from actors.journal.rows import Loaded, Row
from actors.journal.store import Store, journal_path
from actors.vocab.errors import OurFault
from actors.vocab.orders import OrderRow

GROUP_WAIT_S = 0.003  # a commit waits this long for company; with the commit itself about 5 ms
GROUP_ROWS_MAX = 2_000
BUFFER_ROWS_MAX = 200_000  # while the disk refuses. Full: order rows are dropped and counted, nothing else ever is
BUFFER_ROWS_LIMIT = 2 * BUFFER_ROWS_MAX  # even without order rows: something is very wrong, the actor stops
RETRY_S = (0.05, 0.1, 0.2, 0.5, 1.0)


class Journal:
    """One account's journal, locked for this process from the constructor to `close`."""

    def __init__(
        self,
        url: str,
        account: str,
        *,
        on_durable: Callable[[int], None],
        on_failed: Callable[[str], None],
        store: Store | None = None,
    ) -> None:
        """`ConfigError` when another run holds the account or the database cannot be used."""
        path = journal_path(url)
        self._lock = AccountLock(path.with_name(path.name + ".lock"), account)
        self._lock.acquire()
        try:
            self._store = store if store is not None else Store(url, account)
        except BaseException:
            self._lock.release()
            raise
        self._on_durable = on_durable
        self._on_failed = on_failed
        self._queue: deque[tuple[int, tuple[Row, ...]]] = deque()
        self._rows_count = 0  # in the queue and in the writer's hand
        self._sequence = 0
        self._wake = threading.Condition()
        self._closing = False
        self._broken = ""
        self.orders_dropped_count = 0
        self.commits_count = 0
        self.failures_count = 0
        self._thread: threading.Thread | None = None

    def load(self) -> Loaded:
        """Read the state of the account; before `start`."""
        return self._store.load()

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def append(self, batch: Sequence[Row]) -> int:
        """Queue one batch, return its sequence: 1, 2, 3 … A batch is durable as a whole or not at all."""
        with self._wake:
            if self._broken:
                raise OurFault(self._broken)
            kept = tuple(batch)
            if self._rows_count >= BUFFER_ROWS_MAX:
                kept = tuple(row for row in batch if type(row) is not OrderRow)
                self.orders_dropped_count += len(batch) - len(kept)
                if self._rows_count >= BUFFER_ROWS_LIMIT:
                    raise OurFault(f"journal buffer holds {self._rows_count} rows and the database still refuses")
            self._sequence += 1
            self._rows_count += len(kept)
            self._queue.append((self._sequence, kept))
            self._wake.notify()
            return self._sequence

    @property
    def backlog_count(self) -> int:
        """Rows not on disk yet."""
        return self._rows_count

    def close(self, timeout_s: float = 5.0) -> bool:
        """Write what is queued, then let go of the account. False when rows were left unwritten."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join(timeout_s)
        written = self._rows_count == 0
        self._store.close()
        self._lock.release()
        return written

    # --- the writer's thread ---------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._write_all()
        except BaseException as error:  # a fault of ours: told to the brain, and `append` refuses from now on
            self._broken = f"journal writer stopped: {error!r}"
            self._on_failed(self._broken)
            raise

    def _write_all(self) -> None:
        while True:
            with self._wake:
                while not self._queue and not self._closing:
                    self._wake.wait()
                if not self._queue:
                    return
                if not self._closing:
                    # Company may come; `close` cuts the wait short.
                    self._wake.wait_for(lambda: self._closing or self._rows_count >= GROUP_ROWS_MAX, GROUP_WAIT_S)
                group, sequence = self._take()
            if not self._commit(group):
                return
            with self._wake:
                self._rows_count -= len(group)
            self._on_durable(sequence)

    def _take(self) -> tuple[list[Row], int]:
        group: list[Row] = []
        sequence = 0
        while self._queue and len(group) < GROUP_ROWS_MAX:
            sequence, batch = self._queue.popleft()
            group.extend(batch)
        return group, sequence

    def _commit(self, group: list[Row]) -> bool:
        """Write until it succeeds; False when closing while the database refuses."""
        tries = 0
        while True:
            try:
                self._store.write(group)
                self.commits_count += 1
                return True
            except (SQLAlchemyError, OSError) as error:
                self.failures_count += 1
                if tries == 0:
                    self._on_failed(str(getattr(error, "orig", None) or error))
                with self._wake:
                    if self._closing:
                        return False
                    self._wake.wait_for(lambda: self._closing, RETRY_S[min(tries, len(RETRY_S) - 1)])
                tries += 1
