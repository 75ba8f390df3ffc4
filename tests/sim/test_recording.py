"""Lines of recordings: hand-made frames in the shapes that the venue sent, and surveys of the real files."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from actors.sim.recording import (
    SNAPSHOT,
    RecordedFrame,
    SymbolFacts,
    parse_line,
    parse_lines,
    recorded_instrument,
    require_channels,
    split_symbol,
    survey,
)
from actors.transport.venue_recording import GAP_MAX_NS, merge_frames, refuse_apart, survey_file
from actors.vocab.errors import ConfigError
from actors.vocab.instruments import Instrument

DATA = Path(__file__).parents[3] / "shared" / "data"
DEPTH = b'{"e":"depthUpdate","E":1000,"s":"ABCUSDT","U":5,"u":7,"b":[["1.2100","10.50"]],"a":[["1.22000000","0.00"]]}'
TICKER = b'{"u":7,"s":"ABCUSDT","b":"1.2100","B":"10.50","a":"1.2200","A":"3.00"}'
TRADE = b'{"e":"trade","E":1001,"s":"ABCUSDT","t":1,"p":"1.213","q":"2.5","T":1001,"m":true,"M":true}'
PERP_DEPTH = b'{"e":"depthUpdate","E":1000,"T":999,"s":"ABCUSDT","U":5,"u":7,"pu":4,"b":[["1.21","1"]],"a":[]}'
BOOK = b'{"lastUpdateId":6,"bids":[["1.2111","1"]],"asks":[["1.3","2"]]}'


def wrapped(stream: bytes, data: bytes) -> bytes:
    return b'{"stream":"%s","data":%s}' % (stream, data)


def lines(*bodies: bytes) -> list[bytes]:
    return [b"17231612550%08d " % (at * 1000) + body + b"\n" for at, body in enumerate(bodies, start=10_000)]


def parse(body: bytes) -> RecordedFrame:
    return parse_line(b"1723161255030314667 " + body, name="file.gz", line_no=7)


@pytest.mark.parametrize(
    ("stamp", "recv_ns"),
    [
        (b"1723161255030314667", 1_723_161_255_030_314_667),
        (b"1723161255030314", 1_723_161_255_030_314_000),
        (b"1723161255030", 1_723_161_255_030_000_000),
    ],
)
def test_receive_time_unit_follows_its_digits(stamp: bytes, recv_ns: int) -> None:
    assert parse_line(stamp + b" " + TRADE, name="f", line_no=1).recv_ns == recv_ns


def test_combined_frame_keeps_both_forms_byte_for_byte() -> None:
    body = wrapped(b"abcusdt@depth@0ms", DEPTH)

    frame = parse(body)

    assert (frame.symbol, frame.channel, frame.stream) == ("ABCUSDT", "depth", "abcusdt@depth@0ms")
    assert frame.combined == body
    assert frame.data == DEPTH


@pytest.mark.parametrize(
    ("body", "stream", "channel"),
    [
        (DEPTH, "abcusdt@depth@100ms", "depth"),
        (TICKER, "abcusdt@bookTicker", "bookTicker"),
        (TRADE, "abcusdt@trade", "trade"),
        (b'{"e":"kline","s":"ABCUSDT","k":{"i":"1m"}}', "abcusdt@kline_1m", "kline_1m"),
    ],
)
def test_raw_frame_gets_the_stream_it_must_have_come_from(body: bytes, stream: str, channel: str) -> None:
    frame = parse(body)

    assert (frame.stream, frame.channel, frame.data) == (stream, channel, body)
    assert frame.combined == wrapped(stream.encode(), body)


def test_snapshot_in_line_is_its_own_channel() -> None:
    frame = parse(BOOK)

    assert (frame.channel, frame.data, frame.symbol, frame.stream) == (SNAPSHOT, BOOK, "", "")


@pytest.mark.parametrize(
    "line",
    [b"", b"hello", b"17 {}", b"1723161255030314667", b"1723161255030314667 {", b'1723161255030314667 {"x":1}'],
)
def test_unusable_line_names_file_line_and_remedy(line: bytes) -> None:
    with pytest.raises(ConfigError, match=r"file.gz line 7: .*head -n 6"):
        parse_line(line, name="file.gz", line_no=7)


def test_receive_times_never_go_back() -> None:
    first, second = parse_lines([b"1723161255000200 " + TRADE, b"1723161255000100 " + TRADE], name="f")

    assert first.recv_ns == second.recv_ns


def test_survey_finds_market_streams_and_finest_steps() -> None:
    bodies = [
        wrapped(b"abcusdt@depth@100ms", DEPTH),
        BOOK,
        wrapped(b"abcusdt@bookTicker", TICKER),
        wrapped(b"abcusdt@trade", TRADE),
    ]

    facts = survey(parse_lines(lines(*bodies), name="f"), name="f")

    assert facts.market == "spot"
    assert (facts.frames_count, len(facts.snapshots)) == (3, 1)
    assert facts.symbols == (
        SymbolFacts(
            symbol="ABCUSDT",
            price_decimals=4,  # 1.2111 stands in the snapshot alone
            size_decimals=1,
            first_price=1.21,
            streams=("abcusdt@depth@100ms", "abcusdt@bookTicker", "abcusdt@trade"),
        ),
    )


def test_previous_id_means_perpetual() -> None:
    assert survey(parse_lines(lines(PERP_DEPTH), name="f"), name="f").market == "perp"


def test_coin_margined_recording_is_refused() -> None:
    frames = parse_lines(lines(wrapped(b"btcusd_perp@trade", TRADE)), name="f")

    with pytest.raises(ConfigError, match="coin-margined"):
        survey(frames, name="f")


def test_recording_without_depth_is_refused() -> None:
    facts = survey(parse_lines(lines(TRADE), name="f"), name="f")

    with pytest.raises(ConfigError, match="no depth stream"):
        require_channels(facts)


def test_instrument_prefers_the_known_steps_only_where_they_fit() -> None:
    facts = SymbolFacts("BTCUSDT", price_decimals=1, size_decimals=3, first_price=1.0, streams=())
    known = Instrument("BTCUSDT", "x", "perp", "BTCUSDT", "BTC", "USDT", "0.1", "0.001", min_notional="100")
    coarse = {"BTCUSDT": Instrument("BTCUSDT", "x", "perp", "BTCUSDT", "BTC", "USDT", "0.1", "0.01")}

    def made(table: dict[str, Instrument]) -> Instrument:
        return recorded_instrument(
            facts, venue="binance_perp", market="perp", maker_fee_bps=2.0, taker_fee_bps=5.0, known=table
        )

    assert (made({"BTCUSDT": known}).min_notional, made({"BTCUSDT": known}).venue) == ("100", "binance_perp")
    assert (made(coarse).lot_size, made({}).tick_size, made({}).min_notional) == ("0.001", "0.1", "5")


@pytest.mark.parametrize(("symbol", "parts"), [("BTCUSDT", ("BTC", "USDT")), ("BTCFDUSD", ("BTC", "FDUSD"))])
def test_symbol_is_split_at_its_quote_asset(symbol: str, parts: tuple[str, str]) -> None:
    assert split_symbol(symbol) == parts


def test_truncated_gzip_names_the_last_good_line(tmp_path: Path) -> None:
    path = tmp_path / "cut.gz"
    whole = gzip.compress(b"".join(lines(*[DEPTH.replace(b"1.21", b"1.%02d" % at) for at in range(90)] * 30)))
    path.write_bytes(whole[: len(whole) // 2])

    with pytest.raises(ConfigError, match=r"cut.gz after line \d+: the gzip data is truncated"):
        survey_file(path)


@pytest.mark.parametrize(("content", "what"), [(b"", "is empty"), (b"\x1f\x8bno gzip at all", "cannot be read")])
def test_unreadable_file_is_one_line(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "bad.gz"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match=what):
        survey_file(path)


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such recording"):
        survey_file(tmp_path / "none.gz")
    with pytest.raises(ConfigError, match="is a folder"):
        survey_file(tmp_path)


def test_recordings_are_merged_by_receive_time(tmp_path: Path) -> None:
    for name, stamps in (("a", (1, 3)), ("b", (2, 4))):
        (tmp_path / name).write_bytes(b"".join(b"172316125500000%d " % at + TRADE + b"\n" for at in stamps))

    order = [(index, frame.recv_ns % 10_000) for index, frame in merge_frames([tmp_path / "a", tmp_path / "b"])]

    assert order == [(0, 1000), (1, 2000), (0, 3000), (1, 4000)]


def test_recordings_far_apart_are_refused(tmp_path: Path) -> None:
    def facts(first_ns: int) -> object:
        frames = parse_lines([b"%d " % (first_ns // 1000) + DEPTH], name="f")
        return survey(frames, name=f"at {first_ns}")

    near, later = facts(1_723_161_255_000_000_000), facts(1_723_161_255_000_000_000 + 2 * GAP_MAX_NS)

    with pytest.raises(ConfigError, match=r"ends 2.0 h before"):
        refuse_apart([later, near])  # type: ignore[list-item]  # both are RecordingFacts
    refuse_apart([near])  # type: ignore[list-item]


@pytest.mark.recordings
@pytest.mark.parametrize(
    ("name", "market", "frames_count", "snapshots_count", "tick", "lot"),
    [
        ("hftbacktest/binance_usdm/btcusdt_20240808.gz", "perp", 93_953, 1, "0.1", "0.001"),
        ("hftbacktest/binance_usdm/ethusdt_20240808.gz", "perp", 74_654, 1, "0.01", "0.001"),
        # Six decimals of size, one more than the venue's step: leftovers of older, finer steps stand in the book.
        ("hftbacktest/binance_spot/btcusdt_20240808.gz", "spot", 41_248, 1, "0.01", "0.000001"),
        ("hftbacktest_playground/binance_spot/nexousdt_20240724.dat.gz", "spot", 112_274, 0, "0.001", "0.01"),
    ],
)
def test_survey_of_a_real_recording(
    name: str, market: str, frames_count: int, snapshots_count: int, tick: str, lot: str
) -> None:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{path} is missing")

    facts = survey_file(path)

    assert (facts.market, facts.frames_count, len(facts.snapshots)) == (market, frames_count, snapshots_count)
    made = recorded_instrument(facts.symbols[0], venue="v", market=facts.market, maker_fee_bps=0.0, taker_fee_bps=0.0)
    assert (made.tick_size, made.lot_size) == (tick, lot)
