"""Who hears the private events of which account: listen keys (USD-M) and websocket API subscriptions (spot).

Source: user-data-stream.md (2026-07-21) and the USD-M "User Data Streams" pages, read 2026-07.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

import msgspec

from actors.transport.venue_frames import text_frame
from actors.transport.venue_hub import Listener
from actors.vocab.units import NS_PER_S

LISTEN_KEY_LIFE_NS = 60 * 60 * NS_PER_S


class _Reader(msgspec.Struct):
    """One connection that hears one account. `subscription_id` -1: frames go out bare."""

    listener: Listener
    account: str
    subscription_id: int


class UserStreams:
    """Subscriptions of one venue. `wrap` spells a frame for a subscription on the websocket API."""

    def __init__(self, wrap: Callable[[bytes, int], bytes]) -> None:
        self._wrap = wrap
        # listen key -> (account, unix ns at which it expires); at most one key per account, as at the venue
        self._keys: dict[str, tuple[str, int]] = {}
        # connection number -> its readers; an account appears once per connection
        self._readers: dict[int, list[_Reader]] = {}
        self._subscription_no = -1
        self.frames_count = 0

    # --- listen keys ---------------------------------------------------------------------------------------------

    def start(self, account: str, now_ns: int) -> str:
        """Return the account's key, prolonged; a new one where it has none."""
        for key, (owner, expires_ns) in self._keys.items():
            if owner == account and expires_ns > now_ns:
                self._keys[key] = (account, now_ns + LISTEN_KEY_LIFE_NS)
                return key
        key = secrets.token_hex(32)
        self._keys[key] = (account, now_ns + LISTEN_KEY_LIFE_NS)
        return key

    def keep(self, account: str, now_ns: int) -> str:
        """Prolong the account's key; empty when it has none."""
        return self.start(account, now_ns) if any(owner == account for owner, _ in self._keys.values()) else ""

    def close(self, account: str) -> None:
        self._keys = {key: row for key, row in self._keys.items() if row[0] != account}

    def owner(self, key: str, now_ns: int) -> str:
        """Account of a living key; empty otherwise."""
        account, expires_ns = self._keys.get(key, ("", 0))
        return account if expires_ns > now_ns else ""

    def expired(self, now_ns: int) -> list[str]:
        """Accounts whose key has just run out; their keys are forgotten."""
        gone = [account for account, expires_ns in self._keys.values() if expires_ns <= now_ns]
        self._keys = {key: row for key, row in self._keys.items() if row[1] > now_ns}
        return gone

    # --- readers -------------------------------------------------------------------------------------------------

    def attach(self, listener: Listener, account: str) -> None:
        """The connection hears `account`, bare frames (dialled with a listen key)."""
        self._readers.setdefault(listener.number, []).append(_Reader(listener, account, -1))

    def subscribe(self, listener: Listener, account: str) -> int:
        """The connection hears `account` on the websocket API; returns the subscription's id, -1: it did already."""
        readers = self._readers.setdefault(listener.number, [])
        if any(reader.account == account for reader in readers):
            return -1
        self._subscription_no += 1
        readers.append(_Reader(listener, account, self._subscription_no))
        return self._subscription_no

    def unsubscribe(self, listener: Listener, subscription_id: int | None = None) -> None:
        """End one subscription of a connection, or all of them."""
        readers = self._readers.get(listener.number, [])
        left = [] if subscription_id is None else [row for row in readers if row.subscription_id != subscription_id]
        if left:
            self._readers[listener.number] = left
        else:
            self._readers.pop(listener.number, None)

    def subscriptions(self, listener: Listener) -> list[int]:
        return [reader.subscription_id for reader in self._readers.get(listener.number, [])]

    def listeners(self, account: str) -> list[Listener]:
        """Connections that hear `account`; of all accounts when it is empty."""
        return [row.listener for rows in self._readers.values() for row in rows if account in ("", row.account)]

    def send(self, account: str, frames: Sequence[bytes]) -> None:
        """Write `frames` to everybody who hears `account`, at once: a fill waits for no batch."""
        for readers in list(self._readers.values()):
            for reader in readers:
                if reader.account != account:
                    continue
                for frame in frames:
                    bare = reader.subscription_id < 0
                    reader.listener.queue(text_frame(frame if bare else self._wrap(frame, reader.subscription_id)))
                    self.frames_count += 1
                reader.listener.flush()
