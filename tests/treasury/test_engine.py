"""Reserve before spending, settle after, for all members together; by event script."""

from __future__ import annotations

import itertools
from random import Random
from typing import Any

import pytest

from actors.treasury.engine import (
    Asked,
    Came,
    Command,
    Ended,
    JournalCall,
    KeepAhead,
    Left,
    Recorded,
    Send,
    Timer,
    TreasuryEngine,
)
from actors.treasury.prices import NUSD
from actors.treasury.scope import Limits
from actors.vocab import spending
from actors.vocab.config import LlmSettings
from actors.vocab.opinions import CallRecord, OpinionItem
from actors.vocab.spending import Fault, PoolState, SpendGrant, SpendRequest, SpendSettle
from actors.vocab.units import NS_PER_S
from tests.llm.kit import DEEPSEEK, GEMINI, PRICES

S = NS_PER_S


class Script:
    """A treasury and the grants that it has given."""

    def __init__(
        self, *, model_limits: dict[str, Limits] | None = None, life: dict[str, Any] | None = None, **change: Any
    ):
        self.engine = TreasuryEngine(
            settings=LlmSettings.model_validate(change),
            prices=PRICES,
            model_limits=model_limits or {},
            day=0,
            now_ns=0,
            chance=Random(1),
            **(life or {}),
        )
        self.told: list[Command] = []
        self.granted: list[SpendGrant] = []
        self.request_no = 0

    def ask(self, peer: str, at_ns: int, *, tokens: int = 1000, purpose: str = "signal", avoid: str = "") -> int:
        self.request_no += 1
        self.give(Asked(peer, SpendRequest(self.request_no, purpose, tokens, avoid)), at_ns)
        return self.request_no

    def end(self, peer: str, request_no: int, at_ns: int, outcome: str = spending.OK, **fields: Any) -> None:
        self.give(Ended(peer, SpendSettle(request_no, "", "signal", outcome, **fields)), at_ns)

    def give(self, event: Any, at_ns: int) -> None:
        commands = self.engine.handle(event, at_ns)
        self.told += commands
        self.granted += [
            one.message for one in commands if isinstance(one, Send) and isinstance(one.message, SpendGrant)
        ]

    @property
    def granted_nos(self) -> list[int]:
        return [grant.request_no for grant in self.granted]


def test_a_request_is_granted_with_the_chains_first_model() -> None:
    one = Script()
    one.ask("a", 0)
    assert one.granted == [SpendGrant(1, "signal", DEEPSEEK, 1000, 0, 8000)]


def test_calls_at_once_are_counted_over_all_members() -> None:
    one = Script(concurrent_max=2, requests_per_min=6000)
    for peer in "abc":
        one.ask(peer, 0)
    assert one.granted_nos == [1, 2]
    one.end("a", 1, S)
    assert one.granted_nos == [1, 2, 3]
    assert one.granted[2].queued_ms == 1000


def test_a_renewed_request_keeps_its_place_in_the_queue() -> None:
    one = Script(concurrent_max=1)
    one.ask("a", 0)
    one.ask("b", 0)
    one.ask("c", 0)
    newer = one.ask("b", S, tokens=1500)
    one.end("a", 1, 2 * S)
    assert one.granted_nos == [1, newer]
    assert one.granted[-1].queued_ms == 1000  # counted for the newer one alone


def test_a_large_call_is_not_starved_by_small_ones() -> None:
    one = Script(tokens_per_min=20_000, requests_per_min=6000)  # burst 2 000
    one.ask("a", 0, tokens=2000)
    one.ask("b", 0, tokens=1500)
    one.ask("c", 0, tokens=10)
    assert one.granted_nos == [1]
    one.give(Timer(0), 4 * S)
    assert one.granted_nos == [1]  # 1 273 tokens have come back
    one.give(Timer(0), 5 * S)
    assert one.granted_nos == [1, 2, 3]


def test_what_was_not_sent_is_given_back() -> None:
    one = Script(requests_per_min=60)
    first = one.ask("a", 0)
    one.end("a", first, 0, spending.UNSENT)
    one.ask("b", 0)
    assert one.granted_nos == [1, 2]


def test_money_is_reserved_settled_and_never_passed() -> None:
    """1 000 tokens reserve 0.00042 USD; three fit into 0.0014, and what a call left over lets a fourth go."""
    one = Script(usd_per_day_max=0.0014, requests_per_min=6000)
    for peer in "abcd":
        one.ask(peer, 0)
    assert one.granted_nos == [1, 2, 3]
    one.end("a", 1, S, tokens_in=100, tokens_out=100)
    assert one.granted_nos == [1, 2, 3, 4]
    assert one.engine.spent_nusd()[""] == 420 * 3000 + 420 * 200
    assert one.engine.figures()["cost_usd"] == pytest.approx(200 * 0.42 / 1e6)


def test_a_new_day_brings_new_money() -> None:
    one = Script(usd_per_day_max=0.0005)
    one.end("a", one.ask("a", 0), S, tokens_in=500, tokens_out=500)
    one.ask("a", 2 * S)
    assert one.granted_nos == [1]
    one.give(Timer(1), 3 * S)
    assert one.granted_nos == [1, 2]


@pytest.mark.parametrize("days", [(8, 7, 8), (40, 7)])
def test_a_clock_that_is_set_back_brings_no_new_money(days: tuple[int, ...]) -> None:
    """Over midnight and back, or found to be weeks ahead: what was spent since stays spent."""
    one = Script(usd_per_day_max=0.001)
    one.give(Timer(days[0]), S)
    no = one.ask("a", S, tokens=2000)
    one.end("a", no, 2 * S, tokens_in=2000)
    spent = one.engine.spent_nusd()[""]
    assert spent > 0
    for number, day in enumerate(days[1:]):
        one.give(Timer(day), (3 + number) * S)
    assert one.engine.spent_nusd()[""] == spent


def test_money_is_written_down_before_the_grant_that_needs_it() -> None:
    one = Script(usd_per_day_max=1.0, requests_per_min=6000)
    one.ask("a", 0)
    kinds = [type(command).__name__ for command in one.told]
    assert kinds == ["KeepAhead", "KeepAhead", "Send"]  # the account's and the model's
    ahead = {command.scope: command.nusd for command in one.told if isinstance(command, KeepAhead)}
    assert ahead[""] == 420_000 + NUSD // 100  # this call, and a hundredth of the day's money for the next ones
    one.told.clear()
    one.ask("b", 0)
    assert not [command for command in one.told if isinstance(command, KeepAhead)]


def test_after_a_crash_money_counts_as_spent_and_calls_of_the_life_before_run_out() -> None:
    one = Script(usd_per_day_max=1.0, life={"spent_nusd": {"": 999_999_000}, "after_crash": True})
    one.ask("a", 0, tokens=1)
    one.give(Timer(0), 10 * S - 1)
    assert one.granted == []
    one.give(Timer(0), 10 * S)
    assert one.granted_nos == [1]
    one.ask("b", 11 * S, tokens=2)  # 840 nano-USD are more than is left
    assert one.granted_nos == [1]


def test_a_dead_members_call_slot_comes_back_with_its_lease_and_its_cost_counts() -> None:
    one = Script(concurrent_max=1)
    one.ask("a", 0)
    one.ask("b", 0)
    one.give(Left("a"), S)
    one.give(Timer(0), 10 * S - 1)
    assert one.granted_nos == [1]
    one.give(Timer(0), 10 * S)
    assert one.granted_nos == [1, 2]
    assert one.engine.figures()["leases_expired"] == 1
    assert one.engine.spent_nusd()[""] == 2 * 420_000
    one.end("a", 1, 11 * S, tokens_in=1)  # it lived after all: too late to matter
    assert one.engine.figures()["in_flight"] == 1


def test_what_waits_goes_with_its_member() -> None:
    one = Script(concurrent_max=1)
    one.ask("a", 0)
    one.ask("b", 0)
    one.give(Left("b"), 0)
    one.end("a", 1, S)
    assert one.granted_nos == [1]


def test_a_429_stops_everybody_until_retry_after() -> None:
    one = Script()
    one.end("a", one.ask("a", 0), S, spending.LIMITED, retry_after_s=7.0)
    one.ask("b", 2 * S)
    one.give(Timer(0), 8 * S - 1)
    assert one.granted_nos == [1]
    one.give(Timer(0), 8 * S)
    assert one.granted_nos == [1, 2]


def test_an_absurd_retry_after_is_believed_for_five_minutes() -> None:
    one = Script()
    one.end("a", one.ask("a", 0), 0, spending.LIMITED, retry_after_s=1e12)
    one.ask("b", 0)
    one.give(Timer(0), 300 * S)
    assert one.granted_nos == [1, 2]


def fail(one: Script, times: int, at_ns: int, outcome: str = spending.REFUSED) -> None:
    for _ in range(times):
        one.end("a", one.ask("a", at_ns), at_ns, outcome, text="HTTP 503")


def test_behind_an_open_breaker_the_next_model_of_the_chain_answers() -> None:
    one = Script(requests_per_min=60_000)
    fail(one, 5, 0)
    one.ask("a", S)
    assert one.granted[-1].model == GEMINI
    assert one.engine.figures()["fallback_models"] == 1
    one.ask("b", 30 * S)
    assert one.granted[-1].model == DEEPSEEK  # the probe
    one.ask("c", 30 * S)
    assert one.granted[-1].model == GEMINI  # one probe only


def test_a_model_that_just_failed_these_questions_is_avoided_while_another_is_there() -> None:
    one = Script(requests_per_min=60_000)
    one.ask("a", 0, avoid=DEEPSEEK)
    assert one.granted[-1].model == GEMINI
    alone = Script(signal_fallbacks=())
    alone.ask("a", 0, avoid=DEEPSEEK)
    assert alone.granted[-1].model == DEEPSEEK


def test_a_stopped_model_is_told_to_all_and_never_asked_again() -> None:
    one = Script(signal_fallbacks=())
    one.give(Came("a"), 0)
    one.give(Came("b"), 0)
    one.told.clear()
    one.end("a", one.ask("a", 0), 0, spending.STOPPED, text="HTTP 401: the key is refused")
    states = [command for command in one.told if isinstance(command, Send) and isinstance(command.message, PoolState)]
    assert [(one.peer, one.message.stopped) for one in states] == [
        (peer, ((DEEPSEEK, "HTTP 401: the key is refused"),)) for peer in "ab"
    ]
    one.ask("b", 3600 * S)
    one.give(Timer(0), 7200 * S)
    assert one.granted_nos == [1]
    assert one.engine.figures()["faults"] == [f"{DEEPSEEK}: HTTP 401: the key is refused"]


def test_a_model_has_limits_of_its_own_beside_the_accounts() -> None:
    one = Script(requests_per_min=6000, model_limits={DEEPSEEK: Limits(concurrent_max=1)})
    one.ask("a", 0)
    one.ask("b", 0)
    one.ask("c", 0, purpose="risk")
    assert one.granted_nos == [1, 3]  # who waits for one model does not hold up another


def test_a_models_spent_money_hands_over_to_the_next_of_the_chain() -> None:
    one = Script(requests_per_min=6000, model_limits={DEEPSEEK: Limits(usd_per_day_max=0.0005)})
    one.ask("a", 0)
    one.ask("b", 0)
    assert [grant.model for grant in one.granted] == [DEEPSEEK, GEMINI]


def test_a_usage_beyond_belief_cannot_block_the_account() -> None:
    one = Script(tokens_per_min=600_000, usd_per_day_max=1.0)
    one.end("a", one.ask("a", 0), 0, tokens_in=10**15, tokens_out=10**15)
    assert one.engine.figures()["usage_not_believed"] == 1
    assert one.engine.spent_nusd()[""] == 2 * 1000 * 420
    one.ask("a", 2 * S)
    assert one.granted_nos == [1, 2]


# --- telling the operator ----------------------------------------------------------------------------------------


def model(one: Script, name: str = DEEPSEEK) -> dict[str, Any]:
    row: dict[str, Any] = one.engine.figures()["models"][name]
    return row


def test_what_became_of_a_models_calls_is_counted_by_name() -> None:
    one = Script()
    one.end("llm:0", one.ask("llm:0", 0), S, tokens_in=10)
    one.end("llm:0", one.ask("llm:0", 2 * S), 3 * S, spending.BROKEN, fault=Fault.TOO_DEEP)
    one.end("llm:0", one.ask("llm:0", 4 * S), 5 * S, spending.UNSENT)
    one.end("llm:0", one.ask("llm:0", 6 * S), 7 * S, tokens_in=10**9)
    one.ask("llm:1", 8 * S)
    one.give(Timer(0), 30 * S)  # it has died, and its lease is over
    row = model(one)
    assert (row["calls"], row["answered"]) == (4, 2)
    assert row["faults"] == {Fault.TOO_DEEP: 1, Fault.USAGE: 1, Fault.MEMBER_DIED: 1}


def test_time_without_a_model_to_ask_is_counted_by_its_reason() -> None:
    one = Script(usd_per_day_max=0.0001)  # no call of any model is so cheap
    one.ask("llm:0", 0)
    for n in range(11):
        one.give(Timer(0), n * S)
    assert one.granted == []
    assert one.engine.figures()["idle_s"] == {"signal": {"budget spent": 10.0}, "risk": {}}


def test_money_may_reach_for_symbols_and_not_for_the_book() -> None:
    one = Script(usd_per_day_max=0.005)
    one.ask("llm:0", 0, purpose="risk")
    one.ask("llm:0", 0)
    for n in range(4):
        one.give(Timer(0), n * S)
    assert [grant.purpose for grant in one.granted] == ["signal"]
    assert one.engine.figures()["idle_s"] == {"signal": {}, "risk": {"budget spent": 3.0}}


def test_an_open_breaker_and_a_stop_are_told_apart() -> None:
    one = Script(signal_fallbacks=())
    for n in range(5):
        one.end("llm:0", one.ask("llm:0", n * S), n * S, spending.REFUSED)
    one.give(Timer(0), 4 * S)
    waiting = one.ask("llm:0", 4 * S)
    for n in range(5, 36):
        one.give(Timer(0), n * S)
    assert one.granted_nos[-1] == waiting  # the probe
    one.end("llm:0", waiting, 36 * S, spending.STOPPED, text="HTTP 401", fault=Fault.KEY_REFUSED)
    one.give(Timer(0), 37 * S)
    one.ask("llm:0", 37 * S)
    one.give(Timer(0), 40 * S)
    assert one.engine.figures()["idle_s"]["signal"] == {"breakers open": 29.0, "all models stopped": 3.0}
    assert model(one)["faults"] == {Fault.KEY_REFUSED: 1}


def test_several_refusals_of_one_key_are_one_line() -> None:
    one = Script(signal_fallbacks=())
    first, second = one.ask("llm:0", 0), one.ask("llm:1", 2 * S)
    for peer, request_no in (("llm:0", first), ("llm:1", second)):
        one.end(peer, request_no, 3 * S, spending.STOPPED, text="HTTP 401", fault=Fault.KEY_REFUSED)
    assert one.engine.figures()["faults"] == [f"{DEEPSEEK}: HTTP 401"]


def test_a_muted_model_is_asked_at_a_random_tenth_of_the_calls() -> None:
    one = Script(requests_per_min=60_000, tokens_per_min=10**9, usd_per_day_max=10**6)
    one.engine._muted = frozenset({DEEPSEEK})
    for n in range(1_000):
        one.end("llm:0", one.ask("llm:0", n * S), n * S, tokens_in=1)
    measured = [n for n, grant in enumerate(one.granted) if grant.model == DEEPSEEK]
    assert 70 < len(measured) < 130
    assert all(one.granted[n].shadow for n in measured)
    assert len({after - before for before, after in itertools.pairwise(measured)}) > 10  # no rhythm


def test_a_lie_about_usage_spoils_neither_journal_nor_scorecard() -> None:
    one = Script()
    request_no = one.ask("llm:0", 0)
    item = OpinionItem("A", "bid", 0.8, 1.0, 0.6, True)
    call = CallRecord(request_no, DEEPSEEK, "signal", "signal.v1", "abc", "A,1", "{}", 10**9, 10**9, 800, (item,))
    one.give(Recorded("llm:0", call), S)
    (kept,) = (command for command in one.told if isinstance(command, JournalCall))
    assert (kept.call.tokens_in, kept.call.tokens_out) == (2000, 0)  # twice what was reserved
    assert kept.nusd == 2000 * 420
