"""Real recorded frames: the book equals one rebuilt the slow, obvious way, and no gap is without a reason."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from actors.feed.engine import FeedEngine
from actors.feed.messages import ConnectionUp, FetchSnapshot, SnapshotAnswer, Timer
from actors.venues.catalog import market_dialect
from actors.vocab.config.feed import FeedSettings
from actors.vocab.instruments import Instrument
from actors.vocab.market import BookState
from tests.feed.kit import instrument

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
USDM = ("binance_perp", "0.01", "0.001")
SPOT = ("binance_spot", "0.00000001", "0.00000001")
RECORDINGS = {
    "hftbacktest/binance_usdm/btcusdt_20240808.gz": ("BTCUSDT", *USDM),
    "hftbacktest/binance_usdm/ethusdt_20240808.gz": ("ETHUSDT", *USDM),
    "hftbacktest/binance_spot/btcusdt_20240808.gz": ("BTCUSDT", *SPOT),
    "hftbacktest_playground/binance_spot/nexousdt_20240724.dat.gz": ("NEXOUSDT", *SPOT),
}
EVERY = 1_000

pytestmark = pytest.mark.recordings


def lines(name: str) -> Iterator[tuple[int, bytes]]:
    """(receive time in ns, body) of each line."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"the recording {name} is not in ../shared/data")
    yield from lines_of(path)


def lines_of(path: Path) -> Iterator[tuple[int, bytes]]:
    with gzip.open(path) as file:
        for line in file:
            stamp, _, body = line.strip().partition(b" ")
            yield int(stamp) * (1 if len(stamp) == 19 else 1_000), body


class ObviousBook:
    """Two dicts of Decimals, json.loads, and the manual's rules written once more, without a thought to speed."""

    def __init__(self, market: str) -> None:
        self.market = market
        self.sides: dict[str, dict[Decimal, Decimal]] = {"b": {}, "a": {}}
        self.last: int | None = None
        self.waiting: list[dict[str, object]] | None = []  # deltas before the snapshot; None once there was one
        self.first_after = False
        self.gaps = 0

    def see(self, body: bytes) -> None:
        message = json.loads(body)
        if "lastUpdateId" in message:
            self.sides = {
                "b": {Decimal(p): Decimal(q) for p, q in message["bids"]},
                "a": {Decimal(p): Decimal(q) for p, q in message["asks"]},
            }
            self.last = message["lastUpdateId"]
            self.first_after = True
            waiting, self.waiting = self.waiting or [], None
            for data in waiting:
                self.delta(data)
            return
        data = message["data"]
        if data.get("e") == "depthUpdate":
            if self.waiting is not None:
                self.waiting.append(data)
            else:
                self.delta(data)

    def no_snapshot(self) -> None:
        """None was recorded: the deltas are all there is."""
        waiting, self.waiting = self.waiting or [], None
        for data in waiting:
            self.delta(data)

    def delta(self, data: dict) -> None:  # type: ignore[type-arg]
        if self.last is not None:
            if data["u"] < self.last or (self.market == "binance_spot" and data["u"] == self.last):
                return
            if self.market == "binance_spot":
                good = data["U"] <= self.last + 1
            elif self.first_after:
                good = data["U"] <= self.last <= data["u"]
            else:
                good = data["pu"] == self.last
            self.gaps += not good
        self.first_after = False
        self.last = data["u"]
        for key, levels in self.sides.items():
            for price, size in data[key]:
                if Decimal(size) == 0:
                    levels.pop(Decimal(price), None)
                else:
                    levels[Decimal(price)] = Decimal(size)


def same(engine: FeedEngine, row: Instrument, reference: ObviousBook) -> bool:
    """Every level of both sides, and the top ten as the ladders tell it."""
    book = engine.feed(row.symbol).sync.book
    for ladder, key, best in ((book.bids, "b", max), (book.asks, "a", min)):
        expected = {int(price / row.tick): int(size / row.lot) for price, size in reference.sides[key].items()}
        if ladder.sizes != expected or (expected and ladder.best() != best(expected)):
            return False
        ordered = sorted(expected.items(), reverse=key == "b")[:10]
        if list(ladder.top(10)) != ordered:
            return False
    book.check()
    return True


@pytest.mark.parametrize("name", RECORDINGS)
def test_book_of_a_recording_equals_the_obvious_one(name: str) -> None:
    symbol, venue, tick, lot = RECORDINGS[name]
    row = instrument(symbol, venue=venue, tick_size=tick, lot_size=lot)
    dialect = market_dialect(venue)
    engine = FeedEngine(venue=venue, dialect=dialect, instruments=[row], settings=FeedSettings(), rng=random.Random(1))
    reference = ObviousBook(venue)
    has_snapshot = "nexo" not in name
    compared = confirmed = 0
    up = False
    for count, (recv_ns, body) in enumerate(lines(name), start=1):
        if not up:
            engine.handle(ConnectionUp("recorded", (symbol,)), recv_ns)
            up = True
        if b'"lastUpdateId"' in body[:40]:
            engine.handle(SnapshotAnswer(symbol, dialect.decode_snapshot(symbol, body)), recv_ns)
            reference.see(body)
            continue
        commands = engine.on_frame("recorded", body, recv_ns)
        reference.see(body)
        if any(isinstance(command, FetchSnapshot) for command in commands) and not has_snapshot:
            engine.handle(SnapshotAnswer(symbol, None, "none recorded", unavailable=True), recv_ns)
            reference.no_snapshot()
        confirmed += engine.feed(symbol).state is BookState.OK
        if count % EVERY == 0 and reference.waiting is None:
            assert same(engine, row, reference), f"differs at frame {count}"
            compared += 1

    assert same(engine, row, reference), "differs at the end"
    assert compared >= 40
    assert reference.gaps == 0
    health = engine.health
    assert (health.gaps, health.resyncs, health.unparsed, health.duplicates) == (0, 0, 0, 0)
    assert (health.crossed, health.disagreements) == (0, 0)
    assert engine.feed(symbol).state is BookState.OK
    # Without a snapshot the first frames go by unconfirmed; they are few.
    assert confirmed > count * 0.99


def test_published_view_of_a_recording_is_never_crossed_and_begins_with_the_newest_ticker() -> None:
    name = "hftbacktest/binance_usdm/btcusdt_20240808.gz"
    symbol, venue, tick, lot = RECORDINGS[name]
    row = instrument(symbol, venue=venue, tick_size=tick, lot_size=lot)
    dialect = market_dialect(venue)
    engine = FeedEngine(venue=venue, dialect=dialect, instruments=[row], settings=FeedSettings(), rng=random.Random(1))
    trades_lots = shown_lots = tickers = 0
    for count, (recv_ns, body) in enumerate(lines(name)):
        if count == 0:
            engine.handle(ConnectionUp("recorded", (symbol,)), recv_ns)
        if count == 20_000:
            break
        if b'"lastUpdateId"' in body[:40]:
            engine.handle(SnapshotAnswer(symbol, dialect.decode_snapshot(symbol, body)), recv_ns)
            continue
        engine.on_frame("recorded", body, recv_ns)
        if b"@trade" in body[:40]:
            message = json.loads(body)["data"]
            trades_lots += int(Decimal(message["q"]) / row.lot) * (message["X"] == "MARKET")
        if count % 3 and count != 19_999:
            continue  # three frames an update
        feed = engine.feed(symbol)
        for publish in engine.flush(recv_ns):
            update = publish.update
            shown_lots += update.trades.buy_lots + update.trades.sell_lots
            prices = [price for price, _ in [*update.bids[::-1], *update.asks]]
            assert prices == sorted(set(prices))
            assert len(update.bids) == len(update.asks) == (10 if update.state is BookState.OK else 0)
            if update.state is BookState.OK and feed.top is not None and feed.top.seq > feed.sync.book.last_seq:
                tickers += 1
                assert update.bids[0] == (feed.top.bid_ticks, feed.top.bid_lots)
                assert update.asks[0] == (feed.top.ask_ticks, feed.top.ask_lots)
    assert tickers > 1_000
    assert shown_lots == trades_lots  # conflation lost no trade


def test_gap_cut_into_a_recording_costs_one_resync() -> None:
    """Frames left out on purpose: one gap, and the snapshot that is fetched then is older than the stream."""
    name = "hftbacktest/binance_spot/btcusdt_20240808.gz"
    symbol, venue, tick, lot = RECORDINGS[name]
    row = instrument(symbol, venue=venue, tick_size=tick, lot_size=lot)
    dialect = market_dialect(venue)
    engine = FeedEngine(venue=venue, dialect=dialect, instruments=[row], settings=FeedSettings(), rng=random.Random(1))
    old = None
    for count, (recv_ns, body) in enumerate(lines(name)):
        if count == 0:
            engine.handle(ConnectionUp("recorded", (symbol,)), recv_ns)
        if b'"lastUpdateId"' in body[:40]:
            old = SnapshotAnswer(symbol, dialect.decode_snapshot(symbol, body))
            engine.handle(old, recv_ns)
        elif not 5_000 <= count < 5_100:
            asked = list(engine.on_frame("recorded", body, recv_ns))
            if count % 100 == 0:
                asked += engine.handle(Timer(), recv_ns)
            if count > 1_000 and old and any(isinstance(command, FetchSnapshot) for command in asked):
                engine.handle(old, recv_ns)
        if count == 8_000:
            break
    assert engine.health.gaps == 1
    assert engine.health.snapshots_too_old >= 1
    assert engine.feed(symbol).state is BookState.SYNCING
