"""One pool member: many symbols' questions in few calls, never over a limit, never in anybody's way.

Askers never wait: a quote engine states its inputs and goes on; an opinion comes back beside the loop or not at
all, and expires. The newest inputs of a symbol replace older ones; a symbol is asked about once an interval, and not at
all while its inputs stay as they were. A batch that is due asks the treasury for a call, and is made up of whatever is
newest when the grant comes.

How a call can end, and what follows:
- answered: opinions for the items that are valid; the others go without, until their interval is over;
- 429, 5xx, connection refused: the server did not do it, so the questions are asked again, at most `RETRIES_MAX` times,
  with jitter, while whoever asked still waits; another model of the chain is preferred then;
- time-out, a broken connection, or a proxy's word that the model took too long (504): it may have been done and will be
  paid for, so nothing is repeated;
- 401, unknown model: that model is asked no more, by anybody, and the reason says what to do.

With `opinions: auto` a random tenth of the opinions is held out: journalled and scored like the others, not published.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import msgspec

from actors.llm.cache import OpinionCache
from actors.llm.completion import Completion, read_completion, read_error
from actors.llm.effects import regime_view, risk_view
from actors.llm.patience import Patience
from actors.llm.prompts import Prompt, Purpose, chat_body, estimate_tokens, signal_rows
from actors.llm.questions import Question, Questions
from actors.llm.schema import SignalAnswer, parse_risk, parse_signals
from actors.vocab import spending
from actors.vocab.config import LlmSettings
from actors.vocab.opinions import (
    ANSWER_CHARS_MAX,
    FLEET_SCOPE,
    CallRecord,
    OpinionItem,
    RegimeView,
    RiskView,
    SignalInputs,
)
from actors.vocab.spending import Fault, PoolState, SpendGrant, SpendRequest, SpendSettle
from actors.vocab.units import NS_PER_MS, NS_PER_S

SIGNAL, RISK = "signal", "risk"
# The book's verdict changes slower than a symbol's.
RISK_INTERVAL_FACTOR = 3.0
RETRIES_MAX = 3
# Share of decisions that go without their opinion, so that both arms can be compared.
HELD_OUT_SHARE = 0.1
RETRY_FIRST_S = 0.25
# A grant with less time left than this is given back.
CALL_TIME_MIN_S = 0.5
REFUSED_KEY = (401, 402, 403)
UNKNOWN_MODEL = (400, 404)
# A proxy gave up on the model behind it, which may go on and be paid for: RFC 9110 §15.6.5, and a common CDN's number.
MAYBE_PAID = (504, 524)


class Ask(msgspec.Struct, frozen=True):
    """Newest inputs of one symbol."""

    inputs: SignalInputs


class AskRisk(msgspec.Struct, frozen=True):
    """Newest figures of the whole book; numbers only."""

    figures: Mapping[str, float]
    limit_usd: float
    drawdown_pct: float


class Granted(msgspec.Struct, frozen=True):
    """The treasury lets one call go."""

    grant: SpendGrant


class TreasuryUp(msgspec.Struct, frozen=True):
    """Its link came or went; with it went everything that waited there."""

    up: bool


class Answered(msgspec.Struct, frozen=True):
    """The server answered; `status` is HTTP's."""

    call_no: int
    status: int
    body: bytes
    retry_after_s: float = 0.0


class Unanswered(msgspec.Struct, frozen=True):
    """Time-out, a broken connection or none."""

    call_no: int
    fault: Fault
    detail: str = ""

    @property
    def sent(self) -> bool:
        """Whether the server may have begun."""
        return self.fault is not Fault.NOT_CONNECTED


class Listed(msgspec.Struct, frozen=True):
    """What `GET /models` says; empty when it did not answer."""

    call_no: int
    models: tuple[str, ...]


class Timer(msgspec.Struct, frozen=True):
    """Time has passed."""


class Call(msgspec.Struct, frozen=True):
    """Send this completion; give up at the deadline."""

    call_no: int
    body: bytes
    deadline_s: float


class ListModels(msgspec.Struct, frozen=True):
    """Ask for the models the server knows, to explain a refusal."""

    call_no: int


class Publish(msgspec.Struct, frozen=True):
    """An opinion for whom it concerns."""

    view: RegimeView | RiskView


class Tell(msgspec.Struct, frozen=True):
    """A message to the treasury."""

    message: SpendRequest | SpendSettle | CallRecord


LlmEvent = Ask | AskRisk | Granted | PoolState | TreasuryUp | Answered | Unanswered | Listed | Timer
LlmCommand = Call | ListModels | Publish | Tell


class _Flight(msgspec.Struct):
    model: str
    purpose: str
    questions: list[Question]
    risk: AskRisk | None
    user: str
    shadow: bool
    started_ns: int
    refusal: str = ""  # what the server said about a model that it seems not to know


class _Want(msgspec.Struct, frozen=True):
    """A request that waits at the treasury."""

    request: SpendRequest
    items_count: int
    full: bool  # cannot grow any more; it is made up when its grant comes
    sent_ns: int


class LlmEngine:
    """`handle(event, now_ns) -> commands`; see the module's docstring."""

    def __init__(
        self,
        *,
        settings: LlmSettings,
        signal_prompt: Prompt,
        risk_prompt: Prompt,
        purposes: Mapping[str, Purpose],
        chance: Random,
    ) -> None:
        self._settings = settings
        self._prompts = {SIGNAL: signal_prompt, RISK: risk_prompt}
        self._purposes = purposes
        self._chance = chance
        self._interval_ns = int(settings.opinion_interval_s * NS_PER_S)
        self._deadline_ns = int(settings.deadline_s * NS_PER_S)
        self._questions = Questions(
            batch_wait_ns=settings.batch_wait_ms * NS_PER_MS,
            items_max=settings.batch_items_max,
            age_max_ns=int(settings.opinion_ttl_s * NS_PER_S),
        )
        self._cache = OpinionCache(int(settings.cache_s * NS_PER_S))
        self._patience: dict[tuple[str, str], Patience] = {}  # (model, purpose) -> how long to wait for it
        self._risk: AskRisk | None = None
        self._risk_asked_ns: int | None = None
        self._treasury_up = False
        self._wants: dict[str, _Want] = {}  # purpose -> what waits at the treasury
        self._flights: dict[int, _Flight] = {}  # request_no -> call on its way
        self._next_no = 1
        self._stopped: dict[str, str] = {}  # model -> why
        self.counts: Counter[str] = Counter()
        self.faults: deque[str] = deque(maxlen=20)  # newest reasons, for the operator

    def handle(self, event: LlmEvent, now_ns: int) -> list[LlmCommand]:
        commands: list[LlmCommand] = []
        match event:
            case Ask(inputs):
                self._questions.put(inputs, now_ns)
            case AskRisk():
                self._risk = event
            case PoolState(interval_s, stopped):
                self._interval_ns = int(interval_s * NS_PER_S)
                self._stopped = dict(stopped)
            case TreasuryUp(up):
                self._treasury_up = up
                self._wants.clear()
            case Granted(grant):
                commands += self._start(grant, now_ns)
            case Answered():
                commands += self._answered(event, now_ns)
            case Unanswered():
                commands += self._unanswered(event, now_ns)
            case Listed(call_no, models):
                commands += self._listed(call_no, models, now_ns)
            case Timer():
                pass
        return commands + self._ask_treasury(now_ns)

    # --- starting --------------------------------------------------------------------------------------------

    def _ask_treasury(self, now_ns: int) -> list[LlmCommand]:
        """Ask for a call for each purpose that has something to ask; ask again when its batch has grown."""
        commands: list[LlmCommand] = []
        if not self._treasury_up or self._settings.opinions == "off":
            return commands
        want = self._wants.get(SIGNAL)
        if want is None or not want.full:
            due, commands = self._due(now_ns)
            batch = self._fitting(due, self._settings.batch_tokens_max)
            if batch and (want is None or len(batch) > want.items_count):
                full = len(batch) < len(due) or len(batch) == self._settings.batch_items_max
                commands += self._want(SIGNAL, self._signal_tokens(batch), len(batch), full, batch[0].avoid, now_ns)
        if RISK not in self._wants and self._risk_due(now_ns):
            commands += self._want(RISK, self._tokens(RISK, self._risk_text(), 1), 1, True, "", now_ns)
        return commands

    def _want(
        self, purpose: str, tokens: int, items_count: int, full: bool, avoid: str, now_ns: int
    ) -> list[LlmCommand]:
        request = SpendRequest(self._next_no, purpose, tokens, avoid)
        self._next_no += 1
        self._wants[purpose] = _Want(request, items_count, full, now_ns)
        return [Tell(request)]

    def _due(self, now_ns: int) -> tuple[list[Question], list[LlmCommand]]:
        """The batch that may go now, and opinions for those whose inputs have not changed."""
        published: list[LlmCommand] = []
        while due := self._questions.due(now_ns, self._interval_ns):
            found = [(one, kept) for one in due if (kept := self._cache.find(one.inputs, now_ns))]
            if not found:
                break
            self._questions.take([one for one, _ in found], now_ns)
            self.counts["cache_hits"] += len(found)
            published += [Publish(self._view(one, kept.answer, kept.model, now_ns)) for one, kept in found]
        return due, published

    def _fitting(self, due: list[Question], tokens_max: int) -> list[Question]:
        """As many as `tokens_max` hold; at least one where there is any, which a small limit must let through."""
        count = len(due)
        while count > 1 and self._signal_tokens(due[:count]) > tokens_max:
            # In one step where all rows are alike, in a few otherwise.
            count = max(1, min(count - 1, count * tokens_max // self._signal_tokens(due[:count])))
        return due[:count]

    def _signal_tokens(self, questions: list[Question]) -> int:
        return self._tokens(SIGNAL, signal_rows([one.inputs for one in questions]), len(questions))

    def _tokens(self, purpose: str, user: str, items_count: int) -> int:
        """Reserved for prompt and longest answer."""
        return estimate_tokens(self._prompts[purpose].text + user) + self._purposes[purpose].tokens_max(items_count)

    def _start(self, grant: SpendGrant, now_ns: int) -> list[LlmCommand]:
        """Make up the call from what is newest now, or give the grant back."""
        want = self._wants.get(grant.purpose)
        if want is None or want.request.request_no != grant.request_no:
            # Ours has been replaced while the grant travelled; the newer one still waits.
            return [Tell(_settle(grant, spending.UNSENT))]
        del self._wants[grant.purpose]
        left_ns = want.sent_ns + (grant.queued_ms + grant.ttl_ms) * NS_PER_MS - now_ns
        timeout_s = min(self._patience_of(grant.model, grant.purpose).timeout_s, left_ns / NS_PER_S)
        if timeout_s < CALL_TIME_MIN_S:
            return [Tell(_settle(grant, spending.UNSENT))]
        if grant.purpose == RISK:
            return self._start_risk(grant, timeout_s, now_ns)
        due, commands = self._due(now_ns)
        due = self._fitting(due, grant.tokens)
        if not due or self._signal_tokens(due) > grant.tokens:
            return [*commands, Tell(_settle(grant, spending.UNSENT))]
        self._questions.take(due, now_ns)
        user = signal_rows([one.inputs for one in due])
        return [*commands, self._call(grant, user, due, None, timeout_s, now_ns)]

    def _start_risk(self, grant: SpendGrant, timeout_s: float, now_ns: int) -> list[LlmCommand]:
        if self._risk is None or not self._risk_due(now_ns) or self._tokens(RISK, self._risk_text(), 1) > grant.tokens:
            return [Tell(_settle(grant, spending.UNSENT))]
        self._risk_asked_ns = now_ns
        return [self._call(grant, self._risk_text(), [], self._risk, timeout_s, now_ns)]

    def _call(
        self,
        grant: SpendGrant,
        user: str,
        questions: list[Question],
        risk: AskRisk | None,
        timeout_s: float,
        now_ns: int,
    ) -> Call:
        items_count = len(questions) or 1
        purpose = self._purposes[grant.purpose]
        self._flights[grant.request_no] = _Flight(
            grant.model, grant.purpose, questions, risk, user, grant.shadow, now_ns
        )
        self.counts["requests"] += 1
        self.counts["items"] += items_count
        body = chat_body(
            model=grant.model,
            system=self._prompts[grant.purpose].text,
            user=user,
            tokens_max=purpose.tokens_max(items_count),
            temperature=purpose.temperature,
        )
        return Call(grant.request_no, body, timeout_s)

    def _risk_due(self, now_ns: int) -> bool:
        interval_ns = int(self._interval_ns * RISK_INTERVAL_FACTOR)
        return self._risk is not None and (self._risk_asked_ns is None or now_ns - self._risk_asked_ns >= interval_ns)

    def _risk_text(self) -> str:
        figures = self._risk.figures if self._risk is not None else {}
        return json.dumps({key: round(value, 6) for key, value in figures.items()})

    def _patience_of(self, model: str, purpose: str) -> Patience:
        return self._patience.setdefault((model, purpose), Patience(self._settings.deadline_s))

    # --- ending ----------------------------------------------------------------------------------------------

    def _answered(self, event: Answered, now_ns: int) -> list[LlmCommand]:
        flight = self._flights[event.call_no]
        if event.status == 200:
            return self._opinions(event, flight, now_ns)
        said = read_error(event.body)
        text = f"HTTP {event.status}" + (f" ({said})" if said else "")
        if event.status == 429:
            self.counts["http_429"] += 1
            self._retry(flight, event.retry_after_s, now_ns)
            return self._end(
                event.call_no, spending.LIMITED, now_ns, Fault.LIMITED, text=text, retry_after_s=event.retry_after_s
            )
        if event.status in REFUSED_KEY:
            no_credit = event.status == 402
            remedy = "the account has no credit left" if no_credit else "the key is refused: check it"
            fault = Fault.NO_CREDIT if no_credit else Fault.KEY_REFUSED
            return self._end(event.call_no, spending.STOPPED, now_ns, fault, text=f"{text}: {remedy}, then restart")
        if event.status in UNKNOWN_MODEL:
            flight.refusal = text
            return [ListModels(event.call_no)]
        if event.status in MAYBE_PAID:
            return self._end(event.call_no, spending.LOST, now_ns, Fault.NO_ANSWER, text=text)
        fault = Fault.REQUEST_REFUSED
        if event.status >= 500:
            fault = Fault.UNAVAILABLE if event.status == 503 else Fault.SERVER_ERROR
            self._retry(flight, event.retry_after_s, now_ns)
        return self._end(event.call_no, spending.REFUSED, now_ns, fault, text=text)

    def _listed(self, call_no: int, models: Sequence[str], now_ns: int) -> list[LlmCommand]:
        """The server refused the request: is it the model's name, or something of ours?"""
        flight = self._flights[call_no]
        if models and flight.model not in models:
            text = f"unknown to the server; it lists {', '.join(models[:20])}"
            return self._end(call_no, spending.STOPPED, now_ns, Fault.MODEL_UNKNOWN, text=text)
        return self._end(call_no, spending.REFUSED, now_ns, Fault.REQUEST_REFUSED, text=flight.refusal)

    def _unanswered(self, event: Unanswered, now_ns: int) -> list[LlmCommand]:
        flight = self._flights[event.call_no]
        text = event.fault + (f" ({event.detail})" if event.detail else "")
        if not event.sent:
            self._retry(flight, 0.0, now_ns)
            return self._end(event.call_no, spending.REFUSED, now_ns, event.fault, text=text)
        self._patience_of(flight.model, flight.purpose).timed_out()
        return self._end(event.call_no, spending.LOST, now_ns, event.fault, text=text)

    def _opinions(self, event: Answered, flight: _Flight, now_ns: int) -> list[LlmCommand]:
        done = read_completion(event.body)
        self._patience_of(flight.model, flight.purpose).answered((now_ns - flight.started_ns) / NS_PER_S)
        self.counts["tokens_in"] += done.tokens_in
        self.counts["tokens_out"] += done.tokens_out
        views: list[RegimeView | RiskView] = []
        items: list[OpinionItem] = []
        published: list[LlmCommand] = []
        if flight.risk is not None:
            views, fault = self._verdict(flight, flight.risk, done.content, now_ns)
            published += [Publish(view) for view in views if not flight.shadow]
        else:
            answers, fault = parse_signals(done.content, {one.inputs.symbol for one in flight.questions})
            for question in flight.questions:
                answer = answers.get(question.inputs.symbol)
                if answer is None:
                    continue
                view = self._view(question, answer, flight.model, now_ns)
                views.append(view)
                applied = not flight.shadow and not self._held_out()
                items.append(_item(answer, view, applied))
                if applied:
                    self._cache.keep(question.inputs, answer, flight.model, now_ns)
                    published.append(Publish(view))
        outcome = spending.OK if views else spending.BROKEN
        if views:
            self.counts["fallbacks"] += (len(flight.questions) or 1) - len(views)
        fault = done.fault or fault
        text = "" if views else f"an answer of no use: {fault}"
        record = self._record(event.call_no, flight, done, items, now_ns)
        ended = self._end(
            event.call_no, outcome, now_ns, fault, text=text, tokens_in=done.tokens_in, tokens_out=done.tokens_out
        )
        return [*published, Tell(record), *ended]

    def _held_out(self) -> bool:
        return self._settings.opinions == "auto" and self._chance.random() < HELD_OUT_SHARE

    def _record(
        self, call_no: int, flight: _Flight, done: Completion, items: list[OpinionItem], now_ns: int
    ) -> CallRecord:
        prompt = self._prompts[flight.purpose]
        return CallRecord(
            call_no,
            flight.model,
            flight.purpose,
            prompt.name,
            prompt.hash,
            flight.user,
            # A lone surrogate, which JSON lets through, fits neither a link nor a journal.
            done.content[:ANSWER_CHARS_MAX].encode(errors="replace").decode(),
            done.tokens_in,
            done.tokens_out,
            (now_ns - flight.started_ns) // NS_PER_MS,
            tuple(items),
        )

    def _view(self, question: Question, answer: SignalAnswer, model: str, now_ns: int) -> RegimeView:
        """An opinion lives from when its inputs came, not from when its answer did."""
        age_s = (now_ns - question.came_ns) / NS_PER_S
        return regime_view(
            inputs=question.inputs,
            answer=answer,
            ttl_s=max(0.0, self._settings.opinion_ttl_s - age_s),
            model=model,
            prompt_hash=self._prompts[SIGNAL].hash,
        )

    def _verdict(
        self, flight: _Flight, asked: AskRisk, content: str, now_ns: int
    ) -> tuple[list[RegimeView | RiskView], Fault | None]:
        """Like an opinion on a symbol it lives from when its figures went, not from when its answer came."""
        answer, fault = parse_risk(content)
        if answer is None:
            return [], fault
        age_s = (now_ns - flight.started_ns) / NS_PER_S
        view = risk_view(
            scope=FLEET_SCOPE,
            answer=answer,
            limit_usd=asked.limit_usd,
            drawdown_pct=asked.drawdown_pct,
            ttl_s=max(0.0, self._settings.opinion_ttl_s * RISK_INTERVAL_FACTOR - age_s),
            model=flight.model,
            prompt_hash=self._prompts[RISK].hash,
        )
        return [view], None

    def _retry(self, flight: _Flight, after_s: float, now_ns: int) -> None:
        """Put the questions back, later and each time later, while an answer could still be of use."""
        if flight.risk is not None:
            # The book's figures are renewed every second; only the pace is kept.
            self._risk_asked_ns = now_ns + int(after_s * NS_PER_S) - int(self._interval_ns * RISK_INTERVAL_FACTOR / 2)
            return
        for one in flight.questions:
            wait_s = RETRY_FIRST_S * 2**one.attempts * self._chance.uniform(0.5, 1.5)
            one.attempts += 1
            one.not_before_ns = now_ns + int(max(after_s, wait_s) * NS_PER_S)
            one.avoid = flight.model
            if one.attempts <= RETRIES_MAX and one.not_before_ns - one.came_ns < self._deadline_ns:
                self.counts["retries"] += 1
                self._questions.back(one, now_ns)

    def _end(
        self,
        call_no: int,
        outcome: str,
        now_ns: int,
        fault: Fault | None,
        *,
        text: str = "",
        retry_after_s: float = 0.0,
        tokens_in: int = 0,
        tokens_out: int = 0,
    ) -> list[LlmCommand]:
        flight = self._flights.pop(call_no)
        if outcome != spending.OK:
            self.counts["errors"] += 1
            self.counts["fallbacks"] += len(flight.questions) or 1
            self.faults.append(f"{flight.model}: {text}")
        settle = SpendSettle(
            call_no,
            flight.model,
            flight.purpose,
            outcome,
            tokens_in,
            tokens_out,
            retry_after_s,
            latency_ms=(now_ns - flight.started_ns) // NS_PER_MS,
            text=text,
            fault=fault,
        )
        return [Tell(settle)]

    def figures(self) -> dict[str, Any]:
        """Counters of the summary's `llm` part."""
        names = (
            *("requests", "items", "tokens_in", "tokens_out", "http_429", "errors", "fallbacks", "cache_hits"),
            "retries",
        )
        return {
            **{name: self.counts[name] for name in names},
            "replaced": self._questions.replaced_count,
            "stale": self._questions.stale_count,
            "in_flight": len(self._flights),
            "timeouts_s": {
                f"{model} {purpose}": round(one.timeout_s, 2) for (model, purpose), one in self._patience.items()
            },
            "faults": [*self.faults, *(f"{model}: {text}" for model, text in self._stopped.items())],
        }


def _settle(grant: SpendGrant, outcome: str) -> SpendSettle:
    return SpendSettle(grant.request_no, grant.model, grant.purpose, outcome)


def _item(answer: SignalAnswer, view: RegimeView, applied: bool) -> OpinionItem:
    return OpinionItem(view.symbol, answer.action, answer.confidence, view.bid_factor, view.ask_factor, applied)
