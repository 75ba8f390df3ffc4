"""Lock-step replay: who waits for whose token before it takes a step.

    venue ── frames ──> feed ──> quote ──┬──> gateway ── orders ──> venue
                          └── marks ─────┴──> risk

Along the arrows a step's messages are taken in the same step, so an order leaves at the recorded time of the frame
that caused it. Against them (risk and gateway to quote actors, risk and gateway to each other) they are taken in the
next one: the circle has to be cut somewhere, and there it costs no market data its freshness.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from actors.vocab.config import FleetSettings
from actors.vocab.control import RunDescription

# Lock-step only: whose request or connection it is, and the how many-th request, since HTTP connections overtake.
PEER_HEADER, CALL_HEADER = "X-Manta-Peer", "X-Manta-Call"
VENUE = "sim:binance"  # the one process that holds all simulated venues of a run, and the steps


class Cast(msgspec.Struct, frozen=True):
    """The roles of a run, each tuple sorted."""

    feeds: tuple[str, ...]
    quotes: tuple[str, ...]
    gateways: tuple[str, ...]
    risk: str = "risk"

    @property
    def venue_clients(self) -> tuple[str, ...]:
        """Who has sockets to the venue, and is told counts."""
        return (*self.feeds, *self.gateways)

    @property
    def last(self) -> tuple[str, ...]:
        """When these have finished a step, everybody has."""
        return (*self.feeds, *self.gateways, self.risk)

    @property
    def everybody(self) -> tuple[str, ...]:
        return (*self.feeds, *self.gateways, *self.quotes, self.risk)

    def feeds_of(self, gateway: str) -> tuple[str, ...]:
        venue = gateway.partition(":")[2]
        return tuple(feed for feed in self.feeds if feed.split(":")[1] == venue)

    def sources(self, role: str) -> Mapping[str, int]:
        """Whose tokens `role` needs before step k: role -> lag, the token of step k less lag."""
        kind = role.partition(":")[0]
        if kind == "feed":
            return {VENUE: 0}
        if kind == "quote":
            return dict.fromkeys(self.feeds, 0) | dict.fromkeys((self.risk, *self.gateways), 1)
        if kind == "risk":
            return dict.fromkeys((*self.feeds, *self.quotes), 0) | dict.fromkeys(self.gateways, 1)
        if kind == "gateway":
            return dict.fromkeys((VENUE, *self.feeds_of(role), *self.quotes), 0) | {self.risk: 1}
        return {}

    def subscribers_count(self, feed: str) -> int:
        """How many listen to the tokens that `feed` publishes."""
        return sum(feed in self.sources(role) for role in (*self.quotes, *self.gateways, self.risk))


def cast_of(run: RunDescription) -> Cast:
    """The roles that a run will have, from its description alone."""
    settings = FleetSettings.model_validate_json(run.settings_json)
    shards_count = -(-len(run.symbols) // settings.feed.symbols_per_shard)
    venues = sorted(account.venue for account in run.accounts)
    return Cast(
        feeds=tuple(f"feed:{venue}:{shard}" for venue in venues for shard in range(shards_count)),
        quotes=tuple(sorted(group.name for group in run.quote_groups)),
        gateways=tuple(f"gateway:{venue}" for venue in venues),
    )
