"""The simulated venue's actor: its own market, and recordings, over real sockets in this process."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import hmac
import itertools
import json
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from actors.sim.actor import SimVenueActor, VenueEndpoint
from actors.sim.recording import SNAPSHOT
from actors.transport.venue_recording import read_frames
from actors.vocab.config import FleetSettings
from actors.vocab.errors import ConfigError
from pipelines.universe import read_universe

SETTINGS = FleetSettings().model_dump_json()
DATA = Path(__file__).parents[3] / "shared" / "data"
SNAPSHOT_BODY = b'{"lastUpdateId":20,"bids":[["100.00","5.0"]],"asks":[["100.10","5.0"]]}'


def depth(first: int, last: int, bids: str = "", asks: str = "") -> bytes:
    return b'{"e":"depthUpdate","E":1,"s":"ABCUSDT","U":%d,"u":%d,"b":[%s],"a":[%s]}' % (
        first,
        last,
        bids.encode(),
        asks.encode(),
    )


def trade(number: int, price: str, size: str, *, seller_takes: bool) -> bytes:
    maker = b"true" if seller_takes else b"false"
    return b'{"e":"trade","E":1,"s":"ABCUSDT","t":%d,"p":"%s","q":"%s","T":1,"m":%s,"M":true}' % (
        number,
        price.encode(),
        size.encode(),
        maker,
    )


def combined(stream: str, data: bytes) -> bytes:
    # A blank that no encoder of ours writes: frames must leave as they were recorded.
    return b'{"stream":"abcusdt@%s", "data":%s}' % (stream.encode(), data)


def write_recording(path: Path, *bodies: bytes, step_us: int = 1_000) -> Path:
    lines = [b"%d %s\n" % (1_723_161_255_000_000 + at * step_us, body) for at, body in enumerate(bodies)]
    path.write_bytes(gzip.compress(b"".join(lines)))
    return path


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Four frames and a snapshot: a seller hits the best bid with more than stands there."""
    return write_recording(
        tmp_path / "abc.gz",
        combined("depth@100ms", depth(10, 15, '["100.00","4.0"]')),
        SNAPSHOT_BODY,
        combined("depth@100ms", depth(16, 25, '["99.90","7.0"]')),
        combined("trade", trade(1, "100.00", "9.0", seller_takes=True)),
        combined("depth@100ms", depth(26, 30, '["100.00","0.0"]', '["100.10","1.0"]')),
    )


def sim(tmp_path: Path, **options: Any) -> SimVenueActor:
    return SimVenueActor(
        "sim:binance", SETTINGS, key_dir=str(tmp_path / "keys"), universe=read_universe().symbols[:3], seed=7, **options
    )


class Client:
    """A plain client: signs, asks, listens."""

    def __init__(self, endpoint: VenueEndpoint, http: aiohttp.ClientSession, now_ms: int = 0) -> None:
        self.endpoint = endpoint
        self.http = http
        self.now_ms = now_ms
        key = json.loads(Path(endpoint.key_file).read_text())
        self._key, self._secret = key["api_key"], key["secret"]

    async def raw(self, path: str) -> tuple[int, bytes]:
        async with self.http.get(self.endpoint.rest_url + path) as answer:
            return answer.status, await answer.read()

    async def signed(self, method: str, path: str, **params: Any) -> Any:
        async with self.http.get(f"{self.endpoint.rest_url}{path.rpartition('/')[0]}/time") as answer:
            params["timestamp"] = self.now_ms or (await answer.json())["serverTime"]
        query = urlencode(params)
        signature = hmac.new(self._secret.encode(), query.encode(), hashlib.sha256).hexdigest()
        url = f"{self.endpoint.rest_url}{path}?{query}&signature={signature}"
        async with self.http.request(method, url, headers={"X-MBX-APIKEY": self._key}) as answer:
            return await answer.json()

    async def listen(self, path: str, *streams: str) -> aiohttp.ClientWebSocketResponse:
        ws = await self.http.ws_connect(self.endpoint.stream_url + path, max_msg_size=0)
        await ws.send_json({"method": "SUBSCRIBE", "params": list(streams), "id": 1})
        assert (await ws.receive_json())["id"] == 1
        return ws


async def ended(actor: SimVenueActor) -> dict[str, Any]:
    """Poll until the replay has ended; its status."""
    async with asyncio.timeout(20):
        while True:
            replay: dict[str, Any] = (await actor.status())["replay"]
            if replay["state"] == "ended":
                return replay
            await asyncio.sleep(0.005)


def test_start_serves_both_markets_with_one_private_key(tmp_path: Path) -> None:
    async def scene() -> tuple[dict[str, VenueEndpoint], dict[str, VenueEndpoint], dict[str, Any]]:
        actor = sim(tmp_path, markets=("perp", "spot"))
        running = asyncio.ensure_future(actor.run())
        first, again = await actor.start(), await actor.start()
        status = await actor.status()
        await actor.stop()
        await running
        return first, again, status

    first, again, status = asyncio.run(scene())

    assert first == again
    assert list(first) == ["binance_perp", "binance_spot"]
    key_file = Path(first["binance_perp"].key_file)
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    key = json.loads(key_file.read_text())
    assert key["kind"] == "hmac"
    shown = repr(first) + json.dumps(status)
    assert key["api_key"] not in shown
    assert key["secret"] not in shown


def test_market_moves_and_an_order_is_placed_listed_and_cancelled(tmp_path: Path) -> None:
    async def scene() -> tuple[Any, ...]:
        actor = sim(tmp_path)
        endpoint = (await actor.start())["binance_perp"]
        async with aiohttp.ClientSession() as http:
            client = Client(endpoint, http)
            ws = await client.listen("/public/stream", "btcusdt@bookTicker", "btcusdt@depth@100ms")
            top = next(
                frame["data"]
                for frame in [await ws.receive_json() for _ in range(50)]
                if frame["stream"] == "btcusdt@bookTicker"
            )
            order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTX", "quantity": "0.01"}
            price = f"{float(top['b']) - 100:.1f}"
            placed = await client.signed("POST", "/fapi/v1/order", **order, price=price)
            listed = await client.signed("GET", "/fapi/v1/openOrders", symbol="BTCUSDT")
            ended = await client.signed("DELETE", "/fapi/v1/order", symbol="BTCUSDT", orderId=placed["orderId"])
            left = await client.signed("GET", "/fapi/v1/openOrders", symbol="BTCUSDT")
        await actor.stop()
        return placed, listed, ended, left

    placed, listed, ended, left = asyncio.run(scene())

    assert placed["status"] == "NEW"
    assert [row["orderId"] for row in listed] == [placed["orderId"]]
    assert (ended["status"], left) == ("CANCELED", [])


def test_port_in_use_stops_the_start(tmp_path: Path) -> None:
    async def scene() -> None:
        first, second = sim(tmp_path), sim(tmp_path)
        endpoint = (await first.start())["binance_perp"]
        second._ports = {"perp": int(endpoint.rest_url.rpartition(":")[2])}
        try:
            with pytest.raises(ConfigError, match="is in use"):
                await second.start()
        finally:
            await first.stop()

    asyncio.run(scene())


@pytest.mark.parametrize("fault", ["disconnect_everything", "earthquake"])
def test_unknown_fault_is_named(tmp_path: Path, fault: str) -> None:
    with pytest.raises(ConfigError, match=f"no fault {fault}"):
        asyncio.run(sim(tmp_path).inject(fault))


def test_damaged_recording_stops_the_start_before_anything_binds(tmp_path: Path, recording: Path) -> None:
    recording.write_bytes(recording.read_bytes()[:-12])

    async def scene() -> None:
        actor = sim(tmp_path, replay=[str(recording)])
        with pytest.raises(ConfigError, match=r"abc.gz after line \d+: the gzip data is truncated"):
            await actor.start()
        assert actor._servers == {}

    asyncio.run(scene())


def test_replay_sends_the_recorded_bytes_and_the_recorded_snapshot(tmp_path: Path, recording: Path) -> None:
    async def scene() -> tuple[Any, ...]:
        actor = sim(tmp_path, replay=[str(recording)])
        endpoint = (await actor.start())["binance_spot"]
        async with aiohttp.ClientSession() as http:
            client = Client(endpoint, http)
            before = await client.raw("/api/v3/depth?symbol=ABCUSDT&limit=1000")
            info = json.loads((await client.raw("/api/v3/exchangeInfo"))[1])
            # Another speed than the recorded one gets the same frames.
            raw = await http.ws_connect(f"{endpoint.stream_url}/ws/abcusdt@depth")
            ws = await client.listen("/stream", *(f"abcusdt@{name}" for name in endpoint.streams))
            frames = [(await ws.receive()).data for _ in range(4)]
            first_raw = (await raw.receive()).data
            status = await ended(actor)
            after = json.loads((await client.raw("/api/v3/depth?symbol=ABCUSDT&limit=10"))[1])
        await actor.stop()
        return endpoint, before, info, frames, first_raw, status, after

    endpoint, before, info, frames, first_raw, status, after = asyncio.run(scene())

    recorded = [frame for frame in read_frames(recording) if frame.channel != SNAPSHOT]
    assert [frame.encode() for frame in frames] == [frame.combined for frame in recorded]
    assert first_raw.encode() == recorded[0].data
    assert endpoint.streams == ("depth@100ms", "trade")
    assert before == (200, SNAPSHOT_BODY)
    filters = {row["filterType"]: row for row in info["symbols"][0]["filters"]}
    assert (filters["PRICE_FILTER"]["tickSize"], filters["LOT_SIZE"]["stepSize"]) == ("0.1", "1")
    assert (status["frames_count"], status["frames_total"]) == (4, 4)
    # Once the stream has passed the recorded snapshot, the book that the deltas have kept answers.
    assert after["lastUpdateId"] == 30
    assert [level[0] for level in after["bids"]] == ["99.9"]


def test_recording_without_a_snapshot_has_none_to_give(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "none.gz", depth(1, 2, '["100.00","4.0"]'))

    async def scene() -> tuple[int, bytes]:
        actor = sim(tmp_path, replay=[str(path)])
        endpoint = (await actor.start())["binance_spot"]
        async with aiohttp.ClientSession() as http:
            answer = await Client(endpoint, http).raw("/api/v3/depth?symbol=ABCUSDT")
        await actor.stop()
        return answer

    status, body = asyncio.run(scene())

    assert (status, json.loads(body)["code"]) == (400, -1000)


def test_lock_step_waits_for_the_barrier_and_fills_our_order_by_the_recorded_trade(
    tmp_path: Path, recording: Path
) -> None:
    steps: list[tuple[int, int, int]] = []
    placed: list[asyncio.Task[Any]] = []

    async def scene() -> tuple[Any, Any, Any]:
        actor = sim(tmp_path, replay=[str(recording)], speed="max", hold=True, barrier=barrier)
        endpoint = (await actor.start())["binance_spot"]
        async with aiohttp.ClientSession() as http:
            client = Client(endpoint, http)
            ws = await client.listen("/stream", *(f"abcusdt@{name}" for name in endpoint.streams))
            assert (await actor.status())["replay"]["state"] == "waiting for subscribers"
            # Answered although no recorded time has passed yet.
            unknown = await client.signed("GET", "/api/v3/order", symbol="ABCUSDT", orderId=1)
            order = {"symbol": "ABCUSDT", "side": "BUY", "type": "LIMIT_MAKER", "quantity": "2", "price": "100.0"}
            order["newOrderRespType"] = "RESULT"
            clients.append((client, order))
            await actor.release()
            await ended(actor)
            answer = await placed[0]
            trades = await client.signed("GET", "/api/v3/myTrades", symbol="ABCUSDT")
            assert len([await ws.receive() for _ in range(4)]) == 4
        await actor.stop()
        return unknown, answer, trades

    clients: list[tuple[Client, dict[str, str]]] = []

    async def barrier(step: int, now_ns: int, sent: Mapping[str, int]) -> None:
        steps.append((step, now_ns, max(sent.values())))
        if step == 2:  # the snapshot has been matched; the order reaches the venue before the next moment
            client, order = clients[0]
            placed.append(asyncio.ensure_future(client.signed("POST", "/api/v3/order", **order)))
            await asyncio.sleep(0.05)

    unknown, answer, trades = asyncio.run(scene())

    assert unknown["code"] == -2013
    start_ns = 1_723_161_255_000_000_000
    # The ack of the subscription is the first frame of the connection, the snapshot is nobody's.
    assert steps == [(at + 1, start_ns + at * 1_000_000, sent) for at, sent in enumerate((2, 2, 3, 4, 5))]
    assert answer["status"] == "NEW"
    # 5 stood before us, 9 were sold: our 2 are filled at the recorded time of that trade.
    assert [(row["price"], row["qty"], row["isMaker"]) for row in trades] == [("100.0", "2", True)]
    assert trades[0]["time"] == (start_ns + 3_000_000) // 1_000_000


def test_two_recordings_of_two_markets_get_a_venue_each(tmp_path: Path, recording: Path) -> None:
    perp = write_recording(
        tmp_path / "perp.gz",
        b'{"e":"depthUpdate","E":1,"T":1,"s":"ABCUSDT","U":5,"u":7,"pu":4,"b":[["1.21","1"]],"a":[]}',
    )

    async def scene() -> Sequence[str]:
        actor = sim(tmp_path, replay=[str(recording), str(perp)])
        endpoints = await actor.start()
        await actor.stop()
        return sorted(endpoints)

    assert asyncio.run(scene()) == ["binance_perp", "binance_spot"]


@pytest.mark.recordings
@pytest.mark.parametrize(
    "name",
    ["hftbacktest/binance_usdm/ethusdt_20240808.gz", "hftbacktest_playground/binance_spot/nexousdt_20240723.dat.gz"],
)
def test_real_recording_leaves_byte_for_byte(tmp_path: Path, name: str) -> None:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{path} is missing")
    recorded = [frame.combined for frame in itertools.islice(read_frames(path), 500) if frame.channel != SNAPSHOT]
    cut = tmp_path / "cut.gz"
    with gzip.open(path) as source:
        cut.write_bytes(gzip.compress(b"".join(line for line, _ in zip(source, range(500), strict=False))))

    async def scene() -> list[bytes]:
        arrived = asyncio.Event()
        got: list[bytes] = []

        async def barrier(step: int, now_ns: int, sent: Mapping[str, int]) -> None:
            while len(got) < max(sent.values()) - 1:  # the first of them was the ack
                arrived.clear()
                await arrived.wait()

        async def read(ws: aiohttp.ClientWebSocketResponse) -> None:
            async for message in ws:
                got.append(message.data.encode())
                arrived.set()

        actor = sim(tmp_path, replay=[str(cut)], speed="max", barrier=barrier)
        (endpoint,) = (await actor.start()).values()
        async with aiohttp.ClientSession() as http:
            route = "/public" if endpoint.market == "perp" else ""
            symbol = endpoint.symbols[0].lower()
            ws = await Client(endpoint, http).listen(
                f"{route}/stream", *(f"{symbol}@{name}" for name in endpoint.streams)
            )
            reading = asyncio.ensure_future(read(ws))
            await ended(actor)
            reading.cancel()
        await actor.stop()
        return got

    assert asyncio.run(scene()) == recorded
