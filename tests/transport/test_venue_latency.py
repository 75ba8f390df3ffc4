"""Order latency read from files."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.sim.queue_models import ConstantLatency
from actors.sim.recording import RecordedFrame, RecordingFacts
from actors.transport.venue_latency import feed_latency, order_latency
from actors.vocab.config.sim import SimSettings
from actors.vocab.errors import ConfigError

# The two rows published with hftbacktest's latency model.
ROWS = """request_ns,exchange_ns,response_ns
1670026844751525000,1670026844759000000,1670026844762122000
1670026845754020000,1670026845762000000,1670026845770003000
"""


def test_between_two_rows_latency_is_interpolated(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(ROWS)

    model = order_latency(SimSettings(order_latency_file=str(tmp_path / "rows.csv")))

    assert model.entry_ns(1670026845000000000) == 7_600_167
    assert model.response_ns(1670026845000000000) == 4_294_802


def test_without_a_file_it_is_constant() -> None:
    model = order_latency(SimSettings(order_latency_ms=3, response_latency_ms=0.5))

    assert model == ConstantLatency(3_000_000, 500_000)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no row"),
        ("1,2\n", "line 1: expected request_ns,exchange_ns,response_ns"),
        ("1,2,3\n1.5,2,3\n", "line 2: expected"),
        ("5,6,7\n4,6,7\n", "line 2: requests must not go back"),
        ("5,4,7\n", "line 1: a request must come before its arrival"),
        ("5,8,7\n", "line 1: a request must come before its arrival"),
    ],
)
def test_what_cannot_be_read_names_the_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(text)

    with pytest.raises(ConfigError, match=said):
        order_latency(SimSettings(order_latency_file=str(path)))


def test_a_missing_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        order_latency(SimSettings(order_latency_file=str(tmp_path / "none.csv")))


def stamped(recv_ns: int, event_ms: int | None) -> RecordedFrame:
    data = b"{}" if event_ms is None else b'{"e":"trade","E":%d}' % event_ms
    return RecordedFrame(recv_ns, "BTCUSDT", "trade", "btcusdt@trade", data, b"")


def facts(fastest_ns: int, slowest_ns: int) -> RecordingFacts:
    return RecordingFacts("file", "perp", (), 3, (), 0, 0, fastest_ns=fastest_ns, slowest_ns=slowest_ns)


def test_without_feed_latency_there_is_none() -> None:
    assert feed_latency(SimSettings(), [facts(1, 2)]) is None


def test_constant_feed_latency() -> None:
    model = feed_latency(SimSettings(feed_latency_ms=2.5), [facts(0, 0)])

    assert model is not None
    assert (model.of(stamped(5, None)), model.slowest_ns) == (2_500_000, 2_500_000)


def test_recorded_feed_latency_is_counted_from_the_fastest_frame() -> None:
    """The recorder's clock is a second behind the venue's: only differences between frames mean anything."""
    frames = [stamped(1_003_000_000, 2_000), stamped(1_004_500_000, 2_001), stamped(1_005_000_000, None)]
    made = facts(-997_000_000, -996_500_000)

    model = feed_latency(SimSettings(feed_latency_ms=1, feed_latency_recorded=True), [made])

    assert model is not None
    assert [model.of(each) for each in frames] == [1_000_000, 1_500_000, 1_500_000]
    assert model.slowest_ns == 1_500_000


def test_a_recording_without_stamps_has_no_recorded_latency() -> None:
    with pytest.raises(ConfigError, match="file holds no stamp"):
        feed_latency(SimSettings(feed_latency_recorded=True), [facts(0, 0)])
