"""Silence, beats and waits as tables; no socket, no time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.transport.link_life import Backoff, Pulse

MS = 1_000_000


def test_peer_is_silent_only_after_the_whole_silence() -> None:
    pulse = Pulse(1_500 * MS, now_ns=0)
    assert not pulse.is_silent(1_500 * MS - 1)
    assert pulse.is_silent(1_500 * MS)


def test_anything_heard_starts_the_silence_again() -> None:
    pulse = Pulse(1_500 * MS, now_ns=0)
    pulse.heard(1_400 * MS)
    assert not pulse.is_silent(2_899 * MS)
    assert pulse.is_silent(2_900 * MS)


def test_our_own_pause_is_not_held_against_the_peer() -> None:
    pulse = Pulse(1_500 * MS, now_ns=0)
    pulse.forgive(60_000 * MS)
    assert not pulse.is_silent(61_000 * MS)


@pytest.mark.parametrize(
    ("sent_ms", "now_ms", "due"),
    [
        (0, 100, False),
        (0, 269, False),
        (0, 270, True),  # nine tenths of 300: a tick that comes a hair early must not skip a beat
        (0, 300, True),
        (200, 300, False),  # something else was sent: no beat needed
    ],
)
def test_beats_leave_only_when_idle(sent_ms: int, now_ms: int, due: bool) -> None:
    pulse = Pulse(1_500 * MS, now_ns=0)
    pulse.sent(sent_ms * MS)
    assert pulse.beat_due(now_ms * MS) is due


def test_beats_are_numbered_and_echo_the_last_one_heard() -> None:
    pulse = Pulse(1_500 * MS, now_ns=0)
    assert pulse.next_beat() == (1, 0)
    pulse.echo(41)
    assert pulse.next_beat() == (2, 41)


def test_backoff_doubles_up_to_its_limit_and_starts_over_after_a_success() -> None:
    backoff = Backoff(first_s=0.1, max_s=0.5)
    assert [backoff.next_s(1.0) for _ in range(5)] == [0.1, 0.2, 0.4, 0.5, 0.5]
    backoff.reset()
    assert backoff.next_s(0.0) == 0.05


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 20))
def test_backoff_stays_between_half_and_the_whole_wait(chance: float, dials: int) -> None:
    backoff = Backoff(first_s=0.05, max_s=1.0)
    waits = [backoff.next_s(chance) for _ in range(dials)]
    assert all(0.025 <= wait <= 1.0 for wait in waits)
