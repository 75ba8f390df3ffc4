"""Lock-step replay: who waits for whose token before it takes a step.

    venue ── frames ──> feed ──┬──> quote ──> gateway ── orders ──> venue
                               └──> risk ────────────────────────────┘

Along these arrows tokens go, and a step's messages are taken in the same step, so an order leaves at the recorded time
of the frame that caused it. All other messages (leases, acks, fills, block requests) are taken in the next step: the
circle has to be cut somewhere, and there it costs no market data its freshness. For them no token is sent, which would
double the price of a step: whoever sent one says in its token how many it has sent to whom, the venue hears it at the
end of the step, and with the next step's tokens everybody learns what to wait for.

Most steps concern feeds and quote actors alone. Risk and gateways say in their tokens until when they are idle, unless
something comes for them; while that holds a step is short, and they are left asleep:

    venue ── frames ──> feed ──> quote ──> venue

An order or a mark that is sent in a short step is taken in a full one that follows at once, at the same recorded time:
nobody notices that there were two.
"""

from __future__ import annotations

import msgspec

from actors.vocab.config import FleetSettings
from actors.vocab.control import RunDescription

FRAMES, ANSWERS = "frames", "answers"  # what the venue sends, as the first word of a count
# Lock-step only: whose request or connection it is, and the how many-th request, since HTTP connections overtake.
PEER_HEADER, CALL_HEADER = "X-Manta-Peer", "X-Manta-Call"
# Nobody is replaced in lock-step, and the venue waits for whoever is slow: a machine that is busy with something else
# for half a minute must not end a replay of hours. A death breaks connections, and is noticed at once.
STEPS_SILENCE_MS = 60_000
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
        return (*self.gateways, self.risk)

    def sleeps(self, role: str) -> bool:
        """Whether `role` leaves out short steps."""
        return role == self.risk or role in self.gateways

    @property
    def everybody(self) -> tuple[str, ...]:
        return (*self.feeds, *self.gateways, *self.quotes, self.risk)

    def feeds_of(self, gateway: str) -> tuple[str, ...]:
        venue = gateway.partition(":")[2]
        return tuple(feed for feed in self.feeds if feed.split(":")[1] == venue)

    def sources(self, role: str) -> tuple[str, ...]:
        """Whose tokens `role` needs before it takes a step."""
        kind = role.partition(":")[0]
        if kind == "feed":
            return (VENUE,)
        if kind in ("quote", "risk"):
            return self.feeds
        if kind == "gateway":
            return (*self.feeds_of(role), *self.quotes)
        return ()

    def peers(self, role: str) -> tuple[str, ...]:
        """Whom `role` has a link with, in the order in which their messages are taken."""
        kind = role.partition(":")[0]
        if kind == "quote":
            return (*self.gateways, self.risk)
        if kind == "risk":
            return (*self.gateways, *self.quotes)
        if kind == "gateway":
            return (*self.quotes, self.risk)
        return ()

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
