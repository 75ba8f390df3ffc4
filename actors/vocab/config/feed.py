"""Settings of feed actors."""

from __future__ import annotations

from pydantic import Field

from actors.vocab.config.base import Settings


class FeedSettings(Settings):
    depth_levels: int = Field(10, ge=1, le=1000, description="levels a side in a BookUpdate")
    snapshot_levels: int = Field(500, ge=5, le=5000, description="of the REST snapshot; 1000 weigh twice as much")
    beat_interval_ms: int = Field(250, ge=10, le=1000, description="newest state re-sent at least this often")
    stale_after_ms: int = Field(
        5000,
        ge=100,
        description="no frame of its book for this long (slow books: longer), or none after a trade outside it: stale",
    )
    buffer_deltas_max: int = Field(5000, ge=10, description="deltas kept while a snapshot is on its way; full: resync")
    resync_backoff_ms: int = Field(500, ge=10, description="first wait before another snapshot; doubles, jittered")
    resync_backoff_max_ms: int = Field(15_000, ge=100)
    symbols_per_shard: int = Field(100, ge=1, description="symbols of one feed actor")
    first_data_timeout_ms: int = Field(
        10_000, ge=100, description="a stream silent this long after its ack is reported"
    )
