"""A run's card is there while it runs, and one of a killed run does not stay."""

from __future__ import annotations

import socket
from pathlib import Path

from pipelines.cards import FleetCard, accepts, posted, read_cards


def test_a_card_lives_as_long_as_its_run(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        card = FleetCard("mine", f"127.0.0.1:{server.getsockname()[1]}", "/runs/1", "token")
        with posted(card, tmp_path):
            assert read_cards(tmp_path) == [card]
        assert read_cards(tmp_path) == []


def test_the_card_of_a_killed_run_is_removed(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    with posted(FleetCard("mine", address), tmp_path):
        assert read_cards(tmp_path) == []
        assert list(tmp_path.iterdir()) == []


def test_a_folder_that_others_may_write_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('{"account": "mine", "address": "127.0.0.1:1"}')
    tmp_path.chmod(0o777)
    assert read_cards(tmp_path) == []
    with posted(FleetCard("other", "127.0.0.1:1"), tmp_path):
        assert not (tmp_path / "other.json").exists()


def test_a_half_written_card_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('{"account": "mi')
    assert read_cards(tmp_path) == []
    assert (tmp_path / "mine.json").exists()


def test_what_is_no_address_accepts_nothing() -> None:
    assert [accepts(text) for text in ("", "auto", "127.0.0.1:", "127.0.0.1:99999", "::1")] == [False] * 5
