"""Recordings and Tardis CSV as hftbacktest's array of events."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actors.sim.recording import parse_lines
from actors.vocab.errors import ConfigError
from pipelines import convert
from pipelines.hft_events import (
    AT_EXCHANGE,
    AT_US,
    BUY,
    CLEAR,
    DEPTH,
    SELL,
    SNAPSHOT_ROW,
    TRADE,
    TRADE_COLUMNS,
    event_array,
    rows_of_recording,
    rows_of_tardis,
)
from tests.pipelines.wrong_input import Refused, refusal_of

MS = 1_000_000
BOTH = AT_EXCHANGE | AT_US
LINES = [
    b'1723161255000000000 {"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":1723161255002,"T":1723161255001,'
    b'"s":"BTCUSDT","U":5,"u":9,"pu":4,"b":[["61000.0","1.5"]],"a":[["61000.1","0"]]}}',
    b'1723161255000000000 {"lastUpdateId":10,"E":1723161255003,"T":1723161255003,"bids":[["60999.9","2"]],"asks":[]}',
    b'1723161255001000000 {"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":1723161255003,"T":1723161255003,'
    b'"s":"BTCUSDT","U":10,"u":10,"pu":9,"b":[["60000.0","7"]],"a":[]}}',
    b'1723161255005000000 {"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255004,"T":1723161255004,'
    b'"s":"BTCUSDT","t":1,"p":"61000.1","q":"0.25","X":"MARKET","m":false}}',
]


def rows(*, venue_time: bool = False) -> list[tuple[int, int, int, float, float]]:
    frames = parse_lines(LINES, name="made")
    return list(rows_of_recording(frames, symbol="BTCUSDT", venue_time=venue_time))


def test_depth_snapshot_and_trade_become_rows_and_what_the_snapshot_holds_is_left_out() -> None:
    first, third = 1723161255000 * MS, 1723161255005 * MS

    assert rows() == [
        (DEPTH | BUY, first, first, 61000.0, 1.5),
        (DEPTH | SELL, first, first, 61000.1, 0.0),
        (SNAPSHOT_ROW | BUY, first, first, 60999.9, 2.0),
        (TRADE | BUY, third, third, 61000.1, 0.25),
    ]


def test_a_venue_clock_ahead_of_ours_moves_ours() -> None:
    data = event_array(rows(venue_time=True), base_latency_ns=500)

    latency = data["local_ts"] - data["exch_ts"]
    assert latency.min() == 500
    assert (data["ev"] & BOTH == BOTH).all()


def test_rows_stand_in_both_orders_where_the_clocks_disagree() -> None:
    """Two messages overtake each other on their way: known to the exchange as 1, 2, 3, to us as 2, 1, 3."""
    made = [(DEPTH | BUY, 10, 40, 1.0, 1.0), (DEPTH | BUY, 20, 30, 2.0, 1.0), (DEPTH | BUY, 50, 60, 3.0, 1.0)]

    data = event_array(made)

    assert [row["px"] for row in data if row["ev"] & AT_EXCHANGE] == [1.0, 2.0, 3.0]
    assert [row["px"] for row in data if row["ev"] & AT_US] == [2.0, 1.0, 3.0]


def test_tardis_rows() -> None:
    book = [
        "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount",
        "deribit,BTC-PERPETUAL,1585699200245000,1585699200355684,true,ask,6421.5,18640",
        "deribit,BTC-PERPETUAL,1585699200245000,1585699200355684,true,bid,6421,0",
        "deribit,BTC-PERPETUAL,1585699200246000,1585699200356000,false,bid,6421,10",
    ]
    trades = [
        "exchange,symbol,timestamp,local_timestamp,id,side,price,amount",
        "binance-futures,BTCUSDT,1582329602111000,1582329602418379,42377944,buy,9682,0.132",
        "binance-futures,BTCUSDT,1582329602111000,1582329602418379,42377945,unknown,9682,0.132",
    ]
    at, us = 1585699200245 * MS, 1585699200355684000

    assert list(rows_of_tardis(book, name="book")) == [
        (CLEAR | BUY, at, us, 0.0, 0.0),
        (CLEAR | SELL, at, us, np.inf, 0.0),
        (SNAPSHOT_ROW | SELL, at, us, 6421.5, 18640.0),
        (DEPTH | BUY, at + MS, 1585699200356000000, 6421.0, 10.0),
    ]
    assert list(rows_of_tardis(trades, name="trades")) == [
        (TRADE | BUY, 1582329602111 * MS, 1582329602418379000, 9682.0, 0.132)
    ]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["a,b,c"], "neither incremental_book_L2 nor trades"),
        ([], "neither incremental_book_L2 nor trades"),
        (["exchange,symbol,timestamp,local_timestamp,id,side,price,amount", "x,y,soon,2,3,buy,1,1"], "line 2"),
        (["exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount", "x,y,1,2,true,up,1,1"], "'up'"),
        ([",".join(TRADE_COLUMNS), "x,y,99999999999999999999,99999999999999999999,3,buy,1,1"], "no stamps in us or ns"),
        ([",".join(TRADE_COLUMNS), "x,y,1,2,3,buy,inf,1"], "line 2"),
        ([",".join(TRADE_COLUMNS), "x,y,1,2,3,buy,1,1", "x,z,1,2,3,buy,1,1"], "x z after x y"),
    ],
)
def test_what_is_no_tardis_file_is_named(lines: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        list(rows_of_tardis(lines, name="file"))


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Refused:
    monkeypatch.chdir(tmp_path)
    spot = [line.replace(b'"pu"', b'"x"').replace(b'"X"', b'"M"') for line in LINES]
    (tmp_path / "made").write_bytes(b"\n".join(LINES))
    (tmp_path / "spot").write_bytes(b"\n".join(spot))
    (tmp_path / "both").write_bytes(b"\n".join([*LINES, *spot]))
    (tmp_path / "other").write_bytes(b"\n".join(LINES).replace(b"BTC", b"ETH").replace(b"btc", b"eth"))
    (tmp_path / "late").write_bytes(b"\n".join(LINES).replace(b'"T":1723161255004', b'"T":9723161255004999'))
    (tmp_path / "empty.gz").write_bytes(gzip.compress(b""))
    return refusal_of(convert.app, "pipelines.convert", monkeypatch, capsys)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--out", "x.npz"), "--data is missing"),
        (("--data", "made"), "--out"),
        (("--data", "made", "--out", "x.npz", "--stamps", "mine"), "choose receive or venue"),
        (("--data", "made", "--out", "no/such/x.npz"), "in a folder that is there"),
        (("--data", "made", "--out", "x.npz", "--symbol", "ETHUSDT"), "holds BTCUSDT"),
        (("--data", "nowhere.csv", "--out", "x.npz"), "cannot be read"),
        (("--data", "made", "--out", "."), "ends in .npz"),
        (("--data", "made", "--out", "x"), "ends in .npz"),
        (("--data", "made", "--out", "x.npz", "--base-latency-ms", "inf"), "base-latency-ms"),
        (("--data", "made", "--out", "x.npz", "--base-latency-ms", "nan"), "base-latency-ms"),
        (("--data", "made", "--data", "./made", "--out", "x.npz"), "given twice"),
        (("--data", "made", "--data", "spot", "--out", "x.npz"), "more than one book (perp and spot)"),
        (("--data", "both", "--out", "x.npz"), "more than one book (perp and spot)"),
        (("--data", "made", "--data", "other", "--out", "x.npz"), "more than one book (ETHUSDT)"),
        (("--data", "empty.gz", "--out", "x.npz"), "holds no frame"),
        (("--data", "late", "--out", "x.npz", "--stamps", "venue"), "beyond the year 2262"),
    ],
)
def test_wrong_input_is_one_line(refused: Refused, arguments: tuple[str, ...], said: str) -> None:
    assert said in refused(*arguments)


def test_the_file_holds_the_rows(tmp_path: Path) -> None:
    (tmp_path / "made").write_bytes(b"\n".join(LINES))

    convert.main(out=tmp_path / "made.npz", data=[tmp_path / "made"])

    data: Any = np.load(tmp_path / "made.npz")["data"]
    assert data["px"].tolist() == [61000.0, 61000.1, 60999.9, 61000.1]
