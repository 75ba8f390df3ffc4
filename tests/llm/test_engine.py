"""One member: batches, grants, every way a call can end; by event script."""

from __future__ import annotations

import itertools
import json
from random import Random
from typing import Any

import pytest

from actors.llm.completion import read_model_ids
from actors.llm.engine import (
    Answered,
    Ask,
    AskRisk,
    Call,
    Granted,
    Listed,
    ListModels,
    LlmCommand,
    LlmEngine,
    Publish,
    Tell,
    Timer,
    TreasuryUp,
    Unanswered,
)
from actors.vocab import spending
from actors.vocab.codec import decode, encode
from actors.vocab.config import LlmSettings
from actors.vocab.opinions import CallRecord, RegimeView, RiskView
from actors.vocab.spending import Fault, PoolState, SpendGrant, SpendRequest, SpendSettle
from actors.vocab.units import NS_PER_MS, NS_PER_S
from tests.llm.kit import DEEPSEEK, PROMPTS, PURPOSES, inputs

S = NS_PER_S
START = 1_000 * S


class Script:
    """A member whose treasury grants at once, unless told otherwise."""

    def __init__(self, *, grant: bool = True, **change: Any) -> None:
        defaults: dict[str, Any] = {"batch_wait_ms": 0, "cache_s": 0, "opinions": "on"}
        self.engine = LlmEngine(
            settings=LlmSettings.model_validate(defaults | change),
            signal_prompt=PROMPTS["signal"],
            risk_prompt=PROMPTS["risk"],
            purposes=PURPOSES,
            chance=Random(1),
        )
        self.grants = grant
        self.calls: list[Call] = []
        self.requests: list[SpendRequest] = []
        self.settled: list[SpendSettle] = []
        self.views: list[RegimeView | RiskView] = []
        self.records: list[CallRecord] = []
        self.others: list[LlmCommand] = []
        self.give(TreasuryUp(True), START)

    def give(self, event: Any, at_ns: int) -> None:
        for command in self.engine.handle(event, at_ns):
            match command:
                case Tell(SpendRequest() as request):
                    self.requests.append(request)
                    if self.grants:
                        self.grant(request, at_ns)
                case Tell(SpendSettle() as settle):
                    self.settled.append(settle)
                case Tell(CallRecord() as record):
                    self.records.append(record)
                case Call():
                    self.calls.append(command)
                case Publish(view):
                    self.views.append(view)
                case _:
                    self.others.append(command)

    def grant(self, request: SpendRequest, at_ns: int, *, queued_ms: int = 0, shadow: bool = False) -> None:
        model = DEEPSEEK if request.purpose == "signal" else "anthropic/claude-sonnet-4.5"
        grant = SpendGrant(request.request_no, request.purpose, model, request.tokens, queued_ms, 8000, shadow)
        self.give(Granted(grant), at_ns)

    def ask(self, at_ns: int, *symbols: str, **fields: Any) -> None:
        for symbol in symbols:
            self.give(Ask(inputs(symbol, **fields)), at_ns)

    def answer(self, at_ns: int, *symbols: str, status: int = 200, body: bytes | None = None, **fields: Any) -> None:
        call_no = self.calls[-1].call_no
        self.give(Answered(call_no, status, reply(*symbols) if body is None else body, **fields), at_ns)

    def asked_symbols(self, index: int = -1) -> list[str]:
        user = json.loads(self.calls[index].body)["messages"][1]["content"]
        return [line.split(",")[0] for line in user.splitlines()]

    @property
    def outcomes(self) -> list[str]:
        return [one.outcome for one in self.settled]

    def figure(self, name: str) -> Any:
        return self.engine.figures()[name]


def reply(*symbols: str, tokens: int = 100) -> bytes:
    items = [
        {"symbol": one, "action": "bid", "spread_bps": 30, "quantity_factor": 1, "confidence": 0.5} for one in symbols
    ]
    return completion(json.dumps({"items": items}), tokens)


def completion(content: Any, tokens: int = 100) -> bytes:
    usage = {"prompt_tokens": tokens, "completion_tokens": tokens}
    return json.dumps({"choices": [{"message": {"content": content}}], "usage": usage}).encode()


# --- batching ----------------------------------------------------------------------------------------------------


def test_fifty_symbols_share_two_calls_whose_answers_may_be_long_enough() -> None:
    one = Script(batch_wait_ms=100)
    one.ask(START, *(f"S{n:02}" for n in range(50)))
    assert len(one.calls) == 2
    assert one.figure("items") == 50
    assert [json.loads(call.body)["max_tokens"] for call in one.calls] == [60 + 25 * 90] * 2


def test_a_lonely_question_waits_for_company_then_goes() -> None:
    one = Script(batch_wait_ms=100)
    one.ask(START, "A")
    one.give(Timer(), START + 99 * NS_PER_MS)
    assert one.calls == []
    one.give(Timer(), START + 100 * NS_PER_MS)
    assert one.asked_symbols() == ["A"]


def test_while_a_grant_is_awaited_the_batch_grows_and_stays_newest() -> None:
    one = Script(grant=False)
    one.ask(START, "A", mid_price=1.0)
    one.ask(START, "B")
    one.ask(START + S, "A", mid_price=2.0)
    assert [request.request_no for request in one.requests] == [1, 2]  # asked again for two items
    one.grant(one.requests[-1], START + 2 * S, queued_ms=2000)
    assert one.asked_symbols() == ["A", "B"]
    assert b"A,2," in one.calls[0].body
    assert one.figure("replaced") == 1


def test_a_batch_holds_no_more_tokens_than_its_bound() -> None:
    one = Script(batch_wait_ms=100, batch_tokens_max=400)
    one.ask(START, "A", "B", "C", "D", "E")
    one.give(Timer(), START + 100 * NS_PER_MS)
    assert [len(one.asked_symbols(index)) for index in range(len(one.calls))] == [3, 2]
    assert all(request.tokens <= 400 for request in one.requests)


def test_a_symbol_is_not_asked_about_twice_within_its_interval() -> None:
    one = Script(opinion_interval_s=10)
    one.ask(START, "A")
    one.answer(START + S, "A")
    one.ask(START + 5 * S, "A")
    assert len(one.calls) == 1
    one.give(Timer(), START + 10 * S)
    assert len(one.calls) == 2


def test_the_treasury_may_stretch_the_interval() -> None:
    one = Script(opinion_interval_s=10)
    one.give(PoolState(20.0), START)
    one.ask(START, "A")
    one.ask(START + 15 * S, "A")
    assert len(one.calls) == 1
    one.ask(START + 20 * S, "A")
    assert len(one.calls) == 2


def test_unchanged_inputs_keep_their_answer_without_a_call() -> None:
    one = Script(opinion_interval_s=10, cache_s=15)
    one.ask(START, "A")
    one.answer(START + S, "A")
    one.ask(START + 10 * S, "A")
    assert (len(one.calls), len(one.views), one.figure("cache_hits")) == (1, 2, 1)
    one.ask(START + 20 * S, "A")  # the answer is 19 s old
    assert len(one.calls) == 2


def test_changed_inputs_are_asked_again() -> None:
    one = Script(opinion_interval_s=10, cache_s=15)
    one.ask(START, "A")
    one.answer(START + S, "A")
    one.ask(START + 10 * S, "A", toxic_flow=0.5)
    assert len(one.calls) == 2


def test_a_question_older_than_an_opinion_lives_is_not_worth_a_token() -> None:
    one = Script(grant=False, opinion_ttl_s=30)
    one.ask(START, "A")
    one.grant(one.requests[0], START + 31 * S, queued_ms=31_000)
    assert one.calls == []
    assert one.outcomes == [spending.UNSENT]


# --- grants ------------------------------------------------------------------------------------------------------


def test_without_a_treasury_nothing_is_asked() -> None:
    one = Script()
    one.give(TreasuryUp(False), START)
    one.ask(START, "A")
    assert one.requests == []
    one.give(TreasuryUp(True), START + S)
    assert len(one.calls) == 1


def test_a_grant_that_travelled_too_long_is_given_back() -> None:
    one = Script(grant=False)
    one.ask(START, "A")
    one.grant(one.requests[0], START + 8 * S)
    assert one.calls == []
    assert one.outcomes == [spending.UNSENT]


def test_a_late_grant_shortens_the_call() -> None:
    one = Script(grant=False)
    one.ask(START, "A")
    one.grant(one.requests[0], START + 3 * S)
    assert one.calls[0].deadline_s == pytest.approx(5.0)


def test_a_call_is_given_up_when_its_models_usual_latency_is_far_behind() -> None:
    one = Script(opinion_interval_s=1)
    for n in range(30):
        one.ask(START + n * S, "A")
        one.answer(START + n * S + 300 * NS_PER_MS, "A")
    one.ask(START + 40 * S, "A")
    assert one.calls[-1].deadline_s == 1.0
    one.give(Unanswered(one.calls[-1].call_no, Fault.NO_ANSWER), START + 41 * S)
    one.ask(START + 42 * S, "A")
    assert one.calls[-1].deadline_s == 2.0  # and longer next time, or a slow server is never heard


# --- endings -----------------------------------------------------------------------------------------------------


def test_the_answer_becomes_views_and_is_settled_by_real_usage() -> None:
    one = Script()
    one.ask(START, "A")
    one.answer(START + 2 * S, "A")
    (view,) = one.views
    assert isinstance(view, RegimeView)
    assert (view.symbol, view.ttl_s) == ("A", 28.0)  # it lives from when its inputs came
    (settle,) = one.settled
    assert (settle.outcome, settle.tokens_in, settle.tokens_out, settle.latency_ms) == (spending.OK, 100, 100, 2000)


def test_of_a_damaged_answer_the_good_items_are_kept() -> None:
    one = Script(batch_wait_ms=100)
    one.ask(START, "A", "B", "C")
    one.give(Timer(), START + 100 * NS_PER_MS)
    whole = json.loads(reply("A", "B", "C"))["choices"][0]["message"]["content"]
    one.answer(START + S, body=completion(whole[: whole.index('"C"') + 20]))
    assert [view.symbol for view in one.views if isinstance(view, RegimeView)] == ["A", "B"]
    assert one.outcomes == [spending.OK]
    assert one.figure("fallbacks") == 1


@pytest.mark.parametrize("status", [500, 503, 429])
def test_what_the_server_did_not_do_is_asked_again_with_jitter_and_at_most_three_times(status: int) -> None:
    one = Script(deadline_s=30, opinion_interval_s=100)
    one.ask(START, "A")
    now_ns = START
    starts = [now_ns]
    while len(one.calls) > len(one.settled):
        one.answer(now_ns, status=status, body=b"{}")
        before = len(one.calls)
        for _ in range(100):
            now_ns += 100 * NS_PER_MS
            one.give(Timer(), now_ns)
            if len(one.calls) > before:
                starts.append(now_ns)
                break
    assert len(one.calls) == 4
    waits = [(after - before) / S for before, after in itertools.pairwise(starts)]
    assert all(0.125 * 2**n <= wait <= 0.375 * 2**n + 0.1 for n, wait in enumerate(waits))
    assert one.requests[1].avoid == DEEPSEEK


def test_no_retry_after_the_askers_deadline() -> None:
    one = Script(deadline_s=8)
    one.ask(START, "A")
    one.answer(START + S, status=429, body=b"", retry_after_s=7.5)
    one.give(Timer(), START + 9 * S)
    assert len(one.calls) == 1


def test_what_may_have_been_done_is_not_repeated() -> None:
    one = Script()
    one.ask(START, "A")
    one.give(Unanswered(one.calls[0].call_no, Fault.BROKE_OFF), START + S)
    one.give(Timer(), START + 5 * S)
    assert len(one.calls) == 1
    assert one.outcomes == [spending.LOST]


def test_what_never_left_is_repeated() -> None:
    one = Script()
    one.ask(START, "A")
    one.give(Unanswered(one.calls[0].call_no, Fault.NOT_CONNECTED), START + S)
    one.give(Timer(), START + 2 * S)
    assert len(one.calls) == 2
    assert one.outcomes == [spending.REFUSED]


@pytest.mark.parametrize("status", [504, 524])
def test_what_a_proxy_gave_up_on_may_be_paid_for_and_is_not_repeated(status: int) -> None:
    one = Script(opinion_interval_s=10)
    one.ask(START, "A")
    one.answer(START + S, status=status, body=b"", retry_after_s=1.0)
    one.give(Timer(), START + 9 * S)
    assert len(one.calls) == 1
    assert one.outcomes == [spending.LOST]  # booked at all that was reserved
    assert one.settled[0].fault is Fault.NO_ANSWER
    assert one.figure("retries") == 0


@pytest.mark.parametrize(("status", "said"), [(401, "the key is refused"), (402, "no credit left")])
def test_a_refused_key_stops_the_model_with_a_remedy(status: int, said: str) -> None:
    one = Script()
    one.ask(START, "A")
    one.answer(START, status=status, body=b'{"error": {"message": "invalid api key"}}')
    assert one.outcomes == [spending.STOPPED]
    assert said in one.settled[0].text


def test_an_unknown_model_is_stopped_with_the_list_of_known_ones() -> None:
    one = Script()
    one.ask(START, "A")
    one.answer(START, status=400, body=b'{"error": {"message": "unknown model"}}')
    assert one.others == [ListModels(one.calls[0].call_no)]
    one.give(Listed(one.calls[0].call_no, ("m-1", "m-2")), START + S)
    assert one.outcomes == [spending.STOPPED]
    assert "it lists m-1, m-2" in one.settled[0].text


@pytest.mark.parametrize("listed", [(), (DEEPSEEK,)])
def test_another_400_is_neither_repeated_nor_taken_for_an_unknown_model(listed: tuple[str, ...]) -> None:
    one = Script()
    one.ask(START, "A")
    one.answer(START, status=400, body=b'{"error": {"message": "max_tokens"}}')
    one.give(Listed(one.calls[0].call_no, listed), START + S)
    one.give(Timer(), START + 5 * S)
    assert one.outcomes == [spending.REFUSED]
    assert one.settled[0].text == "HTTP 400 (max_tokens)"
    assert len(one.calls) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe\x00",
        b'{"choices":' + b"[" * 100_000,
        b'{"choices": []}',
        completion(None),
        completion(7),
        completion(""),
        completion("[" * 100_000),
        completion("{" * 100_000),
        completion("9" * 5_000),
        b'{"choices": [{"message": {"content": "' + b"x" * 2_000_000,
        b'{"choices": [{"message": {"content": "{}"}}], "usage": {"prompt_tokens": "many", "completion_tokens": -5}}',
        b'{"choices": [{"message": {"content": "{}"}}], "usage": [1]}',
    ],
    ids=range(15),
)
def test_hostile_answers_cost_their_call_only(body: bytes) -> None:
    one = Script()
    one.ask(START, "A")
    one.answer(START + S, body=body)
    assert one.views == []
    assert one.outcomes == [spending.BROKEN]
    assert min(one.settled[0].tokens_in, one.settled[0].tokens_out) >= 0


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"", Fault.EMPTY),
        (completion(""), Fault.EMPTY),
        (b"x" * 2_000_000, Fault.TOO_LONG),
        (completion("9" * 500_000), Fault.TOO_LONG),
        (reply("A").replace(b"spread", b"\xc3\x28"), Fault.NOT_UTF8),
        (b'{"choices":' + b"[" * 100_000, Fault.TOO_DEEP),
        (completion("[" * 100_000), Fault.TOO_DEEP),
        (reply("A")[:-9], Fault.NOT_JSON),
        (completion("sorry, I"), Fault.NOT_JSON),
        (b'{"choices": 7}', Fault.NOT_SCHEMA),
        (completion('{"items": 7}'), Fault.NOT_SCHEMA),
        (completion('{"items": [{"symbol": "A"}]}'), Fault.OUT_OF_BOUNDS),
        (reply("B"), Fault.OUT_OF_BOUNDS),  # not asked about
    ],
)
def test_what_is_wrong_with_an_answer_has_a_name(body: bytes, fault: Fault) -> None:
    one = Script()
    one.ask(START, "A")
    one.answer(START + S, body=body)
    assert (one.settled[0].outcome, one.settled[0].fault) == (spending.BROKEN, fault)
    assert fault in one.settled[0].text


def test_an_answer_of_use_still_tells_what_was_wrong_with_the_rest_of_it() -> None:
    one = Script(batch_wait_ms=100)
    one.ask(START, "A", "B")
    one.give(Timer(), START + 100 * NS_PER_MS)
    one.answer(START + S, "A")
    assert (one.settled[0].outcome, one.settled[0].fault) == (spending.OK, Fault.INCOMPLETE)


def test_a_usage_that_says_less_than_the_content_weighs_is_not_believed() -> None:
    one = Script()
    one.ask(START, "A")
    one.answer(START + S, body=completion("x" * 800, tokens=0))
    assert one.settled[0].tokens_out == 100


# --- measuring ---------------------------------------------------------------------------------------------------


def test_every_call_is_recorded_with_prompt_answer_and_what_it_means_for_quotes() -> None:
    one = Script()
    one.ask(START, "A")
    one.answer(START + 2 * S, "A")
    (record,) = one.records
    assert (record.model, record.purpose, record.prompt_hash) == (DEEPSEEK, "signal", PROMPTS["signal"].hash)
    assert record.user.startswith("A,1,0.80,")
    assert '"action": "bid"' in record.answer
    (item,) = record.items
    assert (item.symbol, item.action, item.bid_factor, item.ask_factor, item.applied) == ("A", "bid", 1.0, 0.75, True)


def test_in_shadow_opinions_are_recorded_and_nobody_hears_them() -> None:
    one = Script(grant=False)
    one.ask(START, "A")
    one.grant(one.requests[0], START, shadow=True)
    one.answer(START + S, "A")
    assert one.views == []
    assert [item.applied for record in one.records for item in record.items] == [False]


def test_about_a_tenth_is_held_out_at_random() -> None:
    one = Script(opinions="auto", opinion_interval_s=1)
    for n in range(1000):
        one.ask(START + n * S, "A")
        one.answer(START + n * S, "A")
    held_out = [not item.applied for record in one.records for item in record.items]
    assert 70 < sum(held_out) < 130
    assert len(one.views) == 1000 - sum(held_out)


def test_switched_off_nothing_is_asked() -> None:
    one = Script(opinions="off")
    one.ask(START, "A")
    one.give(AskRisk({}, 1.0, 0.0), START)
    assert one.requests == []


# --- risk --------------------------------------------------------------------------------------------------------


def test_the_books_verdict_is_asked_and_bounded() -> None:
    one = Script()
    one.give(AskRisk({"gross_usd": 5.0}, limit_usd=1000.0, drawdown_pct=0.0), START)
    verdict = {
        "risk_score": 0.9,
        "max_position_usd": 5e9,
        "spread_adjustment_bps": -50,
        "toxic_flow_probability": 0,
        "circuit_breaker": False,
    }
    one.answer(START + S, body=completion(json.dumps(verdict)))
    (view,) = one.views
    assert isinstance(view, RiskView)
    assert (view.circuit_breaker, view.max_position_usd) == (True, 1000.0)
    assert view.ttl_s == 89.0  # from when the figures went
    one.give(AskRisk({"gross_usd": 5.0}, limit_usd=1000.0, drawdown_pct=0.0), START + 29 * S)
    assert len(one.calls) == 1
    one.give(Timer(), START + 30 * S)
    assert len(one.calls) == 2


# --- whatever a server says, it fits a link ------------------------------------------------------------------------

STEERING = "\udce2 \x1b[2Jbuy\n" + "z" * 100_000
SIGNAL_ROW = {"symbol": "A", "action": "bid", "spread_bps": 30, "quantity_factor": 1, "confidence": 0.5}
VERDICT = {
    "risk_score": 0.1,
    "max_position_usd": 100,
    "spread_adjustment_bps": 5,
    "toxic_flow_probability": 0,
    "circuit_breaker": False,
}


@pytest.mark.parametrize(
    ("purpose", "status", "content", "tokens"),
    [
        ("signal", 200, {"items": [SIGNAL_ROW]}, 10**400),
        ("signal", 200, {"items": [SIGNAL_ROW]}, 2**64),
        ("signal", 200, {"items": [SIGNAL_ROW]}, -5),
        ("signal", 200, {"items": [SIGNAL_ROW | {"reasoning": "\x1b[2J"}]}, 100),
        ("signal", 200, {"items": [SIGNAL_ROW | {"reasoning": STEERING[:400]}]}, 100),
        ("signal", 200, {"items": [SIGNAL_ROW, SIGNAL_ROW | {"action": "hold"}, SIGNAL_ROW | {"symbol": "X"}]}, 100),
        ("signal", 200, {"items": [SIGNAL_ROW | {"quantity_factor": 10**400}]}, 100),
        ("signal", 200, {"items": [SIGNAL_ROW | {"confidence": float("nan")}]}, 100),
        ("signal", 200, {"items": [SIGNAL_ROW | {"spread_bps": float("inf")}]}, 100),
        ("signal", 500, None, 0),
        ("signal", 401, None, 0),
        ("signal", 429, None, 0),
        ("signal", 400, None, 0),
        ("risk", 200, VERDICT | {"recommendations": [STEERING]}, 100),
        ("risk", 200, VERDICT | {"max_position_usd": 1e308, "spread_adjustment_bps": 100}, 100),
        ("risk", 200, VERDICT | {"max_position_usd": 1e-300}, 100),
        ("risk", 200, VERDICT | {"spread_adjustment_bps": float("-inf")}, 100),
        ("risk", 500, None, 0),
    ],
)
def test_whatever_a_server_says_fits_a_link_and_only_reduces_risk(
    purpose: str, status: int, content: Any, tokens: int
) -> None:
    one = Script()
    if purpose == "risk":
        one.give(AskRisk({"gross_usd": 5.0}, limit_usd=1000.0, drawdown_pct=0.0), START)
    else:
        one.ask(START, "A")
    body = json.dumps({"error": {"message": STEERING}}).encode()
    if content is not None:
        body = completion(json.dumps(content), tokens)
    one.answer(START + S, status=status, body=body)
    if one.others:
        listed = read_model_ids(json.dumps({"data": [{"id": STEERING}] * 30}).encode())
        one.give(Listed(one.calls[-1].call_no, listed), START + S)

    assert len(one.settled) == 1
    assert len(one.views) <= 1
    for message in (*one.views, *one.settled, *one.records):
        assert decode(encode(message)) == message
        assert len(encode(message)) < 20_000
    assert all(line.isprintable() and len(line) < 3_000 for line in one.figure("faults"))
    for view in one.views:
        if isinstance(view, RiskView):
            assert 0.0 < view.max_position_usd <= 1000.0
            assert 0.0 <= view.spread_bps_add <= 100.0
            assert all(text.isprintable() for text in view.recommendations)
        else:
            assert 0.0 <= min(view.bid_factor, view.ask_factor) <= max(view.bid_factor, view.ask_factor) <= 1.0
            assert view.reasoning.isprintable()
        assert 0.0 <= view.ttl_s <= 90.0
