"""The model account of the whole pool: who may call which model now, and what has been spent.

Reserve, then settle: a member asks before each call, the treasury answers when every limit has room, and the member
says what it really used. So no limit is ever passed, however many members there are; a server that enforces the same
limits has nothing to refuse. One queue for all: a request that waits for room keeps its place while its questions are
renewed, and whoever is behind it and needs the same room waits too, so a large call is not starved by small ones.

Reservations are leases: of a member that died, the call slot comes back when its lease is over, and its tokens and
money count as used, since nobody knows what the server did. Breakers live here for the same reason as limits: what one
member learns of a model, all know. A model whose breaker is open or whose money is spent is passed over for the next of
the chain.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import msgspec

from actors.treasury.breaker import Breaker
from actors.treasury.pace import Pace
from actors.treasury.prices import NUSD, PriceList
from actors.treasury.scope import Hold, Limits, Scope
from actors.treasury.scorecard import Opinion, Scorecard, Scored, earned_usd
from actors.treasury.tally import Tally
from actors.vocab import spending
from actors.vocab.config import LlmSettings
from actors.vocab.errors import check
from actors.vocab.message import Message
from actors.vocab.opinions import CallRecord
from actors.vocab.spending import Fault, PoolState, SpendGrant, SpendRequest, SpendSettle
from actors.vocab.units import NS_PER_MS, NS_PER_S

# A call is over at its deadline; its settlement travels and may wait for a busy loop.
LEASE_SLACK_S = 2.0
# A 429 without Retry-After: the interface's own pause after a refusal. A longer one than the maximum is not believed.
RETRY_AFTER_DEFAULT_S = 5.0
RETRY_AFTER_MAX_S = 300.0
# Usage above so many times the reservation, which holds the longest possible answer, is a lie and not believed.
USAGE_TIMES_MAX = 2
# A batch holds as many tokens as the settings say; a single question may need more, by nobody's setting.
ONE_CALL_TOKENS_MAX = 4_000
SIGNAL, RISK = "signal", "risk"
# Share of the calls that go to a muted model all the same, to measure it.
MEASURED_SHARE = 0.1
# Why nobody is asked.
BUDGET_SPENT, BREAKERS_OPEN, ALL_STOPPED = "budget spent", "breakers open", "all models stopped"
# How often the interval may change.
PACED_EVERY_NS = 10 * NS_PER_S
# Share of a day's money that is written down ahead of its use: all that a crash can cost.
AHEAD_SHARE = 0.01


class Asked(msgspec.Struct, frozen=True):
    """A member wants to call."""

    peer: str
    request: SpendRequest


class Ended(msgspec.Struct, frozen=True):
    """A member's call is over."""

    peer: str
    settle: SpendSettle


class Recorded(msgspec.Struct, frozen=True):
    """What a member's call was about and what came of it."""

    peer: str
    call: CallRecord


class Marked(msgspec.Struct, frozen=True):
    """The newest good mid of a symbol."""

    symbol: str
    mid: float
    half_spread_bps: float


class Came(msgspec.Struct, frozen=True):
    """A member's link is up."""

    peer: str


class Left(msgspec.Struct, frozen=True):
    """A member's link is down. Its calls may still run: their leases decide."""

    peer: str


class Timer(msgspec.Struct, frozen=True):
    """Time has passed; `day` is the UTC day's number, of which `left_s` are left."""

    day: int
    left_s: float = 86_400.0


class Send(msgspec.Struct, frozen=True):
    """A message to a member."""

    peer: str
    message: Message


class KeepAhead(msgspec.Struct, frozen=True):
    """Write down before anything that follows: so much of `scope`'s money of `day` may be spent by now."""

    day: int
    scope: str
    nusd: int


class JournalCall(msgspec.Struct, frozen=True):
    """Keep this call; `call_id` is what its opinions refer to."""

    call_id: str
    call: CallRecord
    nusd: int


class JournalScored(msgspec.Struct, frozen=True):
    """Keep these opinions and what the market did."""

    scored: tuple[Scored, ...]


Event = Asked | Ended | Recorded | Marked | Came | Left | Timer
Command = Send | KeepAhead | JournalCall | JournalScored


class _Waiting(msgspec.Struct):
    request: SpendRequest
    since_ns: int
    measures: bool  # drawn to go to a muted model, where there is one


class _Reservation(msgspec.Struct):
    request: SpendRequest
    model: str
    holds: list[tuple[Scope, Hold]]
    expires_ns: int


class TreasuryEngine:
    """`handle(event, now_ns) -> commands`; see the module's docstring."""

    def __init__(
        self,
        *,
        settings: LlmSettings,
        prices: PriceList,
        model_limits: Mapping[str, Limits],
        day: int,
        now_ns: int,
        chance: Random,
        spent_nusd: Mapping[str, int] | None = None,
        after_crash: bool = False,
    ) -> None:
        """`spent_nusd`: money of `day` by scope, when there was an earlier life; `after_crash`: its calls may run."""
        self._settings = settings
        self._prices = prices
        self._chance = chance
        self._ttl_ms = int(settings.deadline_s * 1000)
        self._chains = {
            SIGNAL: _chain(settings.signal_model, settings.signal_fallbacks),
            RISK: _chain(settings.risk_model, settings.risk_fallbacks),
        }
        spent = spent_nusd or {}
        limits = {model: model_limits.get(model, Limits()) for chain in self._chains.values() for model in chain}
        limits[""] = Limits(
            requests_per_min=settings.requests_per_min,
            tokens_per_min=settings.tokens_per_min,
            concurrent_max=settings.concurrent_max,
            usd_per_day_max=settings.usd_per_day_max,
        )
        self._scopes = {
            name: Scope(
                name,
                limit,
                now_ns=now_ns,
                earlier_life=after_crash or spent_nusd is not None,
                call_tokens_max=max(settings.batch_tokens_max, ONE_CALL_TOKENS_MAX),
                spent_nusd=spent.get(name, 0),
            )
            for name, limit in limits.items()
        }
        self._breakers = {name: self._breaker() for name in limits if name}
        self._day = day
        self._ahead_nusd = dict(spent)  # scope -> money written down as possibly spent; at least spent plus held
        self._closed_until_ns = now_ns + int((settings.deadline_s + LEASE_SLACK_S) * NS_PER_S) if after_crash else 0
        self._peers: set[str] = set()  # members whose link is up
        # (peer, purpose) -> newest request, in the order in which they began to wait
        self._queue: dict[tuple[str, str], _Waiting] = {}
        self._open: dict[tuple[str, int], _Reservation] = {}  # (peer, request_no) -> its reservation
        self._state = PoolState(settings.opinion_interval_s)
        self.scorecard = Scorecard(stake_usd=settings.stake_usd, confidence=settings.mute_confidence)
        self._pace = Pace(
            budget_usd=settings.usd_per_day_max, now_ns=now_ns, spent_usd=self._scopes[""].spent_nusd / NUSD
        )
        self._paced_ns = now_ns
        self._left_s = 0.0
        self._muted: frozenset[str] = frozenset()  # models whose opinions lose, with `opinions: auto`
        self._tallies = {name: Tally() for name in self._breakers}
        # purpose -> why no model could be asked about it -> how long a request waited so
        self._idle_ns: dict[str, Counter[str]] = {SIGNAL: Counter(), RISK: Counter()}
        self._idle_seen_ns = now_ns
        self.counts: Counter[str] = Counter()
        self.faults: deque[str] = deque(maxlen=20)  # newest reasons, for the operator

    def handle(self, event: Event, now_ns: int) -> list[Command]:
        journal: list[Command] = []
        match event:
            case Asked(peer, request):
                older = self._queue.get((peer, request.purpose))
                measures = older.measures if older is not None else self._measures()
                self._queue[peer, request.purpose] = _Waiting(request, now_ns, measures)  # an older one's place is kept
            case Ended(peer, settle):
                self._settle((peer, settle.request_no), settle, now_ns)
            case Recorded(peer, call):
                return [self._record(peer, call, now_ns)]
            case Marked(symbol, mid, half_spread_bps):
                self.scorecard.mark(symbol, mid, half_spread_bps, now_ns)
                return []
            case Came(peer):
                self._peers.add(peer)
                return [Send(peer, self._state), *self._grant_all(now_ns)]
            case Left(peer):
                self._peers.discard(peer)
                for key in [key for key in self._queue if key[0] == peer]:
                    del self._queue[key]
            case Timer(day, left_s):
                self._expire(now_ns)
                self._note_idle(now_ns)
                self._new_day(day)
                self._left_s = left_s
                if now_ns - self._paced_ns >= PACED_EVERY_NS:
                    self._paced_ns = now_ns
                    self._pace.note(spent_usd=self._scopes[""].spent_nusd / NUSD, left_s=left_s, now_ns=now_ns)
                journal = self._score(now_ns)
        return [*journal, *self._grant_all(now_ns), *self._tell_state()]

    # --- granting --------------------------------------------------------------------------------------------

    def _grant_all(self, now_ns: int) -> list[Command]:
        if now_ns < self._closed_until_ns:
            return []
        commands: list[Command] = []
        full: set[str] = set()  # scopes that somebody further ahead waits for
        for (peer, purpose), waiting in list(self._queue.items()):
            model = self._route(waiting, now_ns)
            if not model:
                continue
            scopes = (self._scopes[""], self._scopes[model])
            if any(scope.name in full for scope in scopes):
                continue
            short = {scope.name for scope in scopes if not scope.admits(waiting.request.tokens, now_ns)}
            if short:
                full |= short
                continue
            del self._queue[peer, purpose]
            commands += self._grant(peer, waiting, model, scopes, now_ns)
        return commands

    def _measures(self) -> bool:
        """Whether a request that comes now is of the random tenth by which muted models are measured on."""
        return bool(self._muted) and self._chance.random() < MEASURED_SHARE

    def _route(self, waiting: _Waiting, now_ns: int) -> str:
        """The first model of the chain that may be asked and paid for; empty when none may."""
        request = waiting.request
        chain = self._chains.get(request.purpose, ())
        muted = self._muted if request.purpose == SIGNAL else frozenset()
        # Others than the tenth go to a muted model only if nobody else is there.
        for model in sorted(chain, key=lambda model: ((model in muted) != waiting.measures, model == request.avoid)):
            if self._affords(model, request.tokens) and self._breakers[model].allows(now_ns):
                return model
        return ""

    def _note_idle(self, now_ns: int) -> None:
        """Time since the last look, for each reason why a request waits that is not a limit's."""
        passed_ns, self._idle_seen_ns = now_ns - self._idle_seen_ns, now_ns
        waits = {(one.request.purpose, self._why_idle(one, now_ns)) for one in self._queue.values()}
        for purpose, why in waits:
            if why:
                self._idle_ns[purpose][why] += passed_ns

    def _why_idle(self, waiting: _Waiting, now_ns: int) -> str:
        if self._route(waiting, now_ns):
            return ""
        request = waiting.request
        chain = self._chains.get(request.purpose, ())
        if all(self._breakers[model].stopped for model in chain):
            return ALL_STOPPED
        waits = any(self._affords(model, request.tokens) and not self._breakers[model].stopped for model in chain)
        return BREAKERS_OPEN if waits else BUDGET_SPENT

    def _affords(self, model: str, tokens: int) -> bool:
        nusd = tokens * self._prices.of(model).nusd_max
        return self._scopes[model].affords(nusd) and self._scopes[""].affords(nusd)

    def _grant(
        self, peer: str, waiting: _Waiting, model: str, scopes: Sequence[Scope], now_ns: int
    ) -> list[KeepAhead | Send]:
        request = waiting.request
        nusd = request.tokens * self._prices.of(model).nusd_max
        holds = [(scope, scope.reserve(request.tokens, nusd, now_ns)) for scope in scopes]
        expires_ns = now_ns + self._ttl_ms * NS_PER_MS + int(LEASE_SLACK_S * NS_PER_S)
        check((peer, request.request_no) not in self._open, f"{peer} numbered two requests {request.request_no}")
        self._open[peer, request.request_no] = _Reservation(request, model, holds, expires_ns)
        self._breakers[model].started()
        self.counts["granted"] += 1
        if model != self._chains[request.purpose][0]:
            self.counts["fallback_models"] += 1
        queued_ms = (now_ns - waiting.since_ns) // NS_PER_MS
        shadow = self._settings.opinions == "shadow" or (request.purpose == SIGNAL and model in self._muted)
        grant = SpendGrant(request.request_no, request.purpose, model, request.tokens, queued_ms, self._ttl_ms, shadow)
        return [*self._keep_ahead(scopes), Send(peer, grant)]

    def _keep_ahead(self, scopes: Sequence[Scope]) -> list[KeepAhead]:
        """Money is written down in blocks before it is spent, as client ids are."""
        found: list[KeepAhead] = []
        for scope in scopes:
            needed = scope.spent_nusd + scope.held_nusd
            if needed > self._ahead_nusd.get(scope.name, 0):
                block = min(scope.budget_nusd, self._settings.usd_per_day_max * NUSD) * AHEAD_SHARE
                ahead = int(min(needed + block, max(needed, scope.budget_nusd)))
                self._ahead_nusd[scope.name] = ahead
                found.append(KeepAhead(self._day, scope.name, ahead))
        return found

    # --- ending ----------------------------------------------------------------------------------------------

    def _settle(self, key: tuple[str, int], settle: SpendSettle, now_ns: int) -> None:
        """Book what a call used. Unknown ones were booked at their worst when their lease, or our life, ended."""
        reservation = self._open.pop(key, None)
        tally = self._tallies.get(reservation.model if reservation is not None else settle.model)
        if tally is not None and settle.fault is not None:
            tally.faults[settle.fault] += 1  # even of a call that was booked before: what went wrong is news
        if reservation is None:
            self.counts["settled_late"] += 1
            return
        model, outcome = reservation.model, settle.outcome
        breaker, tally = self._breakers[model], self._tallies[model]
        price = self._prices.of(model)
        tally.calls += outcome != spending.UNSENT
        tally.answered += outcome == spending.OK
        claimed = (settle.tokens_in, settle.tokens_out)
        tokens_in, tokens_out = _believed(*claimed, reservation.request.tokens)
        if (tokens_in, tokens_out) != claimed:
            self.counts["usage_not_believed"] += 1
            tally.faults[Fault.USAGE] += 1
        tokens, nusd = tokens_in + tokens_out, price.nusd(tokens_in, tokens_out)
        if outcome == spending.LOST:
            tokens = reservation.request.tokens
            nusd = tokens * price.nusd_max
        for scope, hold in reservation.holds:
            scope.settle(hold, sent=outcome != spending.UNSENT, tokens=tokens, nusd=nusd, now_ns=now_ns)
        tally.paid_usd += nusd / NUSD
        self.counts["tokens_in"] += tokens_in
        self.counts["tokens_out"] += tokens_out
        self.counts[f"outcome.{outcome}"] += 1
        match outcome:
            case spending.UNSENT:
                breaker.unused()
            case spending.LIMITED:
                # A full account says nothing about the model.
                breaker.unused()
                wait_s = min(settle.retry_after_s or RETRY_AFTER_DEFAULT_S, RETRY_AFTER_MAX_S)
                self._closed_until_ns = max(self._closed_until_ns, now_ns + int(wait_s * NS_PER_S))
            case spending.STOPPED:
                breaker.stop(settle.text)
            case _:
                breaker.ended(good=outcome == spending.OK, now_ns=now_ns)
        # A stopped model has a line of its own, however many calls were on their way to it.
        if settle.text and outcome not in (spending.OK, spending.UNSENT, spending.STOPPED):
            self.faults.append(f"{model}: {settle.text}")

    def _expire(self, now_ns: int) -> None:
        for key, one in [(key, one) for key, one in self._open.items() if now_ns >= one.expires_ns]:
            self.counts["leases_expired"] += 1
            text = f"{key[0]} did not say how its call ended"
            purpose, died = one.request.purpose, Fault.MEMBER_DIED
            lost = SpendSettle(key[1], one.model, purpose, spending.LOST, text=text, fault=died)
            self._settle(key, lost, now_ns)

    def _new_day(self, day: int) -> None:
        if day in (self._day, self._day - 1):
            return  # a clock that is set back over midnight brings no second budget when it gets there again
        later, self._day = day > self._day, day
        self._ahead_nusd.clear()
        if not later:
            return  # it was days ahead until now: what was spent meanwhile was spent today
        for scope in self._scopes.values():
            scope.spent_nusd = 0

    # --- scoring ---------------------------------------------------------------------------------------------

    def _record(self, peer: str, call: CallRecord, now_ns: int) -> JournalCall:
        call_id = f"{peer}#{call.request_no}"
        reservation = self._open.get((peer, call.request_no))
        reserved = reservation.request.tokens if reservation is not None else self._settings.batch_tokens_max
        tokens_in, tokens_out = _believed(call.tokens_in, call.tokens_out, reserved)
        call = msgspec.structs.replace(call, tokens_in=tokens_in, tokens_out=tokens_out)
        nusd = self._prices.of(call.model).nusd(tokens_in, tokens_out)
        cost_usd = nusd / NUSD / max(1, len(call.items))
        tally = self._tallies[call.model]
        opinions = []
        for item in call.items:
            tally.opinions += 1
            tally.applied += item.applied
            mid, half_spread_bps = self.scorecard.mid(item.symbol, now_ns)
            opinions.append(
                Opinion(
                    call_id=call_id,
                    model=call.model,
                    symbol=item.symbol,
                    action=item.action,
                    confidence=item.confidence,
                    bid_factor=item.bid_factor,
                    ask_factor=item.ask_factor,
                    cost_usd=cost_usd,
                    applied=item.applied,
                    mid=mid,
                    half_spread_bps=half_spread_bps,
                )
            )
        self.scorecard.opened(opinions, now_ns)
        return JournalCall(call_id, call, nusd)

    def _score(self, now_ns: int) -> list[Command]:
        scored = self.scorecard.mature(now_ns)
        for one in scored:
            tally = self._tallies[one.opinion.model]
            tally.opinions_usd += one.opinion.cost_usd
            tally.earned_usd += earned_usd(one.opinion, one.move_bps, self._settings.stake_usd)
        if self._settings.opinions == "auto":
            self._muted = self.scorecard.losing()
        return [JournalScored(tuple(scored))] if scored else []

    # --- telling ---------------------------------------------------------------------------------------------

    def _tell_state(self) -> list[Command]:
        stopped = tuple((model, one.stopped) for model, one in self._breakers.items() if one.stopped)
        state = PoolState(self._interval_s(), stopped)
        if state == self._state:
            return []
        self._state = state
        return [Send(peer, state) for peer in sorted(self._peers)]

    def _interval_s(self) -> float:
        """Where every model of the chain is muted, a tenth of the questions is enough to go on measuring."""
        stretch = 1 / MEASURED_SHARE if self._muted.issuperset(self._chains[SIGNAL]) else 1.0
        return self._settings.opinion_interval_s * max(stretch, self._pace.stretch)

    def spent_nusd(self) -> dict[str, int]:
        """Money of the day by scope, for an orderly end: nothing is in flight any more, or is counted as spent."""
        return {name: scope.spent_nusd + scope.held_nusd for name, scope in self._scopes.items()}

    def figures(self) -> dict[str, Any]:
        """Plain JSON for the operator and the summary."""
        return {
            "granted": self.counts["granted"],
            "waiting": len(self._queue),
            "in_flight": len(self._open),
            "cost_usd": self._scopes[""].spent_nusd / NUSD,
            "tokens_in": self.counts["tokens_in"],
            "tokens_out": self.counts["tokens_out"],
            "forecast_usd": self._pace.forecast_usd(self._left_s),
            "stake_usd": self._settings.stake_usd,
            "budget_usd": self._settings.usd_per_day_max,
            "interval_s": self._settings.opinion_interval_s,
            "interval_stretch": self._pace.stretch,
            "interval_now_s": self._interval_s(),
            "idle_s": {
                purpose: {why: idle_ns / NS_PER_S for why, idle_ns in counts.items()}
                for purpose, counts in self._idle_ns.items()
            },
            "http_429": self.counts[f"outcome.{spending.LIMITED}"],
            "usage_not_believed": self.counts["usage_not_believed"],
            "leases_expired": self.counts["leases_expired"],
            "fallback_models": self.counts["fallback_models"],
            "breaker_opens": sum(one.opens_count for one in self._breakers.values()),
            "outcomes": {
                word: self.counts[f"outcome.{word}"]
                for word in sorted(spending.OUTCOMES)
                if self.counts[f"outcome.{word}"]
            },
            "models": {
                name: {
                    "cost_usd": scope.spent_nusd / NUSD,
                    "stopped": self._breakers[name].stopped,
                    "muted": name in self._muted,
                    "breaker_opens": self._breakers[name].opens_count,
                    **self._tallies[name].row(),
                }
                for name, scope in self._scopes.items()
                if name
            },
            "scorecard": {model: card.row() for model, card in self.scorecard.cards.items()},
            "faults": [
                *self.faults,
                *(f"{name}: {one.stopped}" for name, one in self._breakers.items() if one.stopped),
            ],
        }

    def _breaker(self) -> Breaker:
        settings = self._settings
        return Breaker(
            error_share=settings.breaker_error_share, window_s=settings.breaker_window_s, open_s=settings.breaker_open_s
        )


def _believed(tokens_in: int, tokens_out: int, reserved: int) -> tuple[int, int]:
    """A usage as the server claims it, cut to what can be true of a call for which so much was reserved."""
    most = USAGE_TIMES_MAX * reserved
    if tokens_in + tokens_out <= most:
        return tokens_in, tokens_out
    return min(tokens_in, most), min(tokens_out, most - min(tokens_in, most))


def _chain(first: str, fallbacks: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((first, *fallbacks)))
