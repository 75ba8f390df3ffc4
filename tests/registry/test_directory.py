"""The roster's rules as event scripts: who is in, who is out, who has to wait."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from actors.registry.directory import (
    Command,
    Heard,
    Leave,
    Note,
    Offer,
    Push,
    Refuse,
    Register,
    Roster,
    Tick,
    Welcome,
)
from actors.vocab.control import Directory, Instruments, Member
from actors.vocab.instruments import Instrument

S = 1_000_000_000


def roster(**changes: Any) -> Roster:
    settings: dict[str, Any] = {
        "first_version": 100,
        "now_ns": 0,
        "evict_after_ns": 5 * S,
        "start_timeout_ns": 60 * S,
        "gather_ns": 0,
        "lives_max": 4,
        "lives_window_ns": 60 * S,
        "first_wait_ms": 1_000,
    }
    return Roster(**(settings | changes))


def member(name: str, life: int = 1, *, ready: bool = True, endpoints: tuple[tuple[str, str], ...] = ()) -> Member:
    return Member(name, f"{name}@{life}", "h1", endpoints, "", ready)


def directory(version: int, *members: Member, complete: bool = True) -> Push:
    return Push(Directory(version, members, complete))


def notes(commands: list[Command]) -> list[str]:
    return [command.text for command in commands if isinstance(command, Note)]


def without_notes(commands: list[Command]) -> list[Command]:
    return [command for command in commands if not isinstance(command, Note)]


def names(book: Roster) -> list[str]:
    return [member.incarnation for member in book.directory().members]


def test_a_newcomer_is_welcomed_and_everybody_told() -> None:
    book = roster()
    assert book.handle(Register(member("risk")), 0) == [Welcome(0), directory(101, member("risk"))]


def test_registering_again_is_a_sign_of_life_and_tells_nobody_unless_something_changed() -> None:
    book = roster()
    starting, bound = member("risk", ready=False), member("risk", endpoints=(("risk", "ipc:///r"),))
    book.handle(Register(starting), 0)
    assert book.handle(Register(starting), 1 * S) == [Welcome(0)]
    assert book.handle(Register(bound), 2 * S) == [Welcome(0), directory(102, bound)]


def test_the_newest_incarnation_wins_and_the_replaced_one_is_refused_for_ever() -> None:
    book = roster()
    book.handle(Register(member("risk", 1)), 0)
    commands = book.handle(Register(member("risk", 2)), 1 * S)
    assert without_notes(commands) == [Welcome(0), directory(102, member("risk", 2))]
    answer, *_ = book.handle(Register(member("risk", 1)), 2 * S)
    assert answer == Refuse("risk@1 was replaced by risk@2")
    book.handle(Leave("risk", "risk@2"), 3 * S)
    answer, *_ = book.handle(Register(member("risk", 1)), 4 * S)
    assert answer == Refuse("risk@1 was replaced by risk@2")


def test_a_silent_member_is_evicted_and_may_come_back_as_the_same_life() -> None:
    book = roster()
    book.handle(Register(member("risk")), 0)
    book.handle(Heard("risk", "risk@1"), 2 * S)
    assert book.handle(Tick(), 7 * S - 1) == []
    commands = book.handle(Tick(), 7 * S)
    assert without_notes(commands) == [directory(102)]
    assert notes(commands) == ["risk@1 leaves the directory: silent"]
    assert without_notes(book.handle(Register(member("risk")), 8 * S)) == [Welcome(0), directory(103, member("risk"))]


def test_a_member_still_binding_its_sockets_is_given_the_start_timeout() -> None:
    book = roster()
    book.handle(Register(member("quote", ready=False)), 0)
    assert book.handle(Tick(), 59 * S) == []
    assert without_notes(book.handle(Tick(), 60 * S)) == [directory(102)]


def test_signs_of_life_and_goodbyes_of_an_old_life_change_nothing() -> None:
    book = roster()
    book.handle(Register(member("risk", 2)), 0)
    assert book.handle(Heard("risk", "risk@1"), 4 * S) == []
    assert book.handle(Leave("risk", "risk@1"), 4 * S) == []
    assert names(book) == ["risk@2"]
    assert without_notes(book.handle(Tick(), 5 * S)) == [directory(102)]


def test_a_goodbye_is_told_at_once_and_a_broken_link_only_after_the_silence() -> None:
    book = roster()
    book.handle(Register(member("risk")), 0)
    book.handle(Register(member("quote")), 0)
    assert without_notes(book.handle(Leave("quote", "quote@1"), 1 * S)) == [directory(103, member("risk"))]
    assert without_notes(book.handle(Leave("risk", "risk@1", lost=True), 1 * S)) == []
    assert names(book) == ["risk@1"]
    assert without_notes(book.handle(Tick(), 5 * S)) == [directory(104)]


def test_a_role_that_keeps_dying_waits_longer_each_time_and_is_then_given_up_with_the_reason() -> None:
    book = roster()
    answers = [book.handle(Register(member("quote", life)), life * S)[0] for life in range(1, 6)]
    assert answers == [
        Welcome(0),
        Welcome(0),
        Welcome(1_000),
        Welcome(2_000),
        Refuse("quote is in a crash loop: 4 lives in 60 s; see its log for the cause"),
    ]
    assert set(book.given_up) == {"quote"}


def test_a_role_given_up_is_let_in_again_once_the_window_has_passed() -> None:
    book = roster()
    for life in range(1, 6):
        book.handle(Register(member("quote", life)), life * S)
    answer, *_ = book.handle(Register(member("quote", 6)), 64 * S + 1)
    assert answer == Welcome(0)
    assert book.given_up == {}


def test_crashes_of_one_role_hold_back_no_other() -> None:
    book = roster()
    for life in range(1, 6):
        book.handle(Register(member("quote", life)), life * S)
    assert book.handle(Register(member("risk")), 6 * S)[0] == Welcome(0)


def test_a_restarted_registry_says_that_its_directory_is_incomplete_until_it_has_gathered() -> None:
    book = roster(gather_ns=5 * S)
    assert book.handle(Register(member("risk")), 1 * S)[1] == directory(101, member("risk"), complete=False)
    assert book.handle(Tick(), 4 * S) == []
    assert book.handle(Tick(), 5 * S)[0] == directory(102, member("risk"))


def instruments(version: int, tick_size: str = "0.1", venue: str = "binance_perp") -> Instruments:
    row = Instrument("BTCUSDT", venue, "perp", "BTCUSDT", "BTC", "USDT", tick_size, "0.001")
    return Instruments(venue, version, (row,))


def test_instruments_are_pushed_when_a_row_changed_and_their_version_never_falls() -> None:
    book = roster()
    assert book.handle(Offer(instruments(7)), 0) == [Push(instruments(7))]
    assert book.handle(Offer(instruments(8)), 1) == []
    # A restarted feed counts from 1 again: the rows are newer all the same.
    assert book.handle(Offer(instruments(1, "0.01")), 2) == [Push(instruments(8, "0.01"))]
    spot = instruments(1, venue="binance_spot")
    assert book.handle(Offer(spot), 3) == [Push(spot)]
    assert list(book.instruments()) == [instruments(8, "0.01"), spot]


@pytest.mark.parametrize("ready", [True, False])
def test_every_registration_has_exactly_one_answer_and_it_comes_first(ready: bool) -> None:
    book = roster()
    for life in (1, 1, 2, 1, 3, 4, 5, 6):
        commands = book.handle(Register(member("quote", life, ready=ready)), life)
        answers = [command for command in commands if isinstance(command, Welcome | Refuse)]
        assert answers == commands[:1]


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens in whatever order: one life per name, versions rise, replaced lives stay out."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 0
        self.book = roster(lives_max=50)
        self.version = 0
        # name -> the newest life that was welcomed
        self.newest: dict[str, int] = {}

    def watch(self, commands: list[Command]) -> list[Command]:
        for command in commands:
            if isinstance(command, Push) and isinstance(command.message, Directory):
                assert command.message.version > self.version
                self.version = command.message.version
        return commands

    @rule(name=st.sampled_from("ab"), step=st.integers(-2, 1), ready=st.booleans())
    def register(self, name: str, step: int, ready: bool) -> None:
        newest = self.newest.get(name, 0)
        life = max(newest + step, 1)
        answer = self.watch(self.book.handle(Register(member(name, life, ready=ready)), self.now_ns))[0]
        if life < newest:
            assert isinstance(answer, Refuse)
        elif isinstance(answer, Welcome):
            self.newest[name] = life

    @rule(name=st.sampled_from("ab"), back=st.integers(0, 2), lost=st.booleans())
    def leave(self, name: str, back: int, lost: bool) -> None:
        self.watch(self.book.handle(Leave(name, f"{name}@{self.newest.get(name, 0) - back}", lost), self.now_ns))

    @rule(name=st.sampled_from("ab"), back=st.integers(0, 2))
    def heard(self, name: str, back: int) -> None:
        self.watch(self.book.handle(Heard(name, f"{name}@{self.newest.get(name, 0) - back}"), self.now_ns))

    @rule(seconds=st.integers(0, 70))
    def wait(self, seconds: int) -> None:
        self.now_ns += seconds * S
        self.watch(self.book.handle(Tick(), self.now_ns))

    @invariant()
    def members_are_the_newest_lives(self) -> None:
        members = self.book.directory().members
        assert len({member.name for member in members}) == len(members)
        for known in members:
            assert known.incarnation == f"{known.name}@{self.newest[known.name]}"


TestAnyOrder = AnyOrder.TestCase
