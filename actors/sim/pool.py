"""A whole model pool under a simulated clock: members, treasury and relay with links and calls between them.

The brains are those of a live run; only sockets and clocks are replaced: an hour takes seconds, a seed repeats it.
Members and treasury can be killed as kill -9 would: no goodbye, calls in flight go on at the relay. Left out: lost
messages (links are ordered and reliable or down) and slow event loops.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from random import Random

from actors.llm.completion import ANSWER_BYTES_MAX
from actors.llm.engine import (
    Answered,
    Ask,
    Call,
    Granted,
    Listed,
    ListModels,
    LlmEngine,
    LlmEvent,
    Publish,
    Tell,
    TreasuryUp,
    Unanswered,
)
from actors.llm.engine import Timer as MemberTimer
from actors.llm.prompts import Prompt, Purpose
from actors.sim.relay import MODELS, Manner, RelayAnswer, SimRelay
from actors.treasury.engine import Asked, Came, Ended, KeepAhead, Left, Marked, Recorded, Send, Timer, TreasuryEngine
from actors.treasury.engine import Event as TreasuryEvent
from actors.treasury.prices import PriceList
from actors.treasury.scope import Limits
from actors.vocab.config import LlmSettings
from actors.vocab.opinions import CallRecord, RegimeView, RiskView, SignalInputs
from actors.vocab.spending import Fault, PoolState, SpendGrant, SpendRequest, SpendSettle
from actors.vocab.units import NS_PER_MS, NS_PER_S

TICK_NS = 50 * NS_PER_MS
LINK_S = 0.0002
NETWORK_S = 0.02  # to the relay and back, each way
DAY_NS = 86_400 * NS_PER_S


class _Member:
    def __init__(self, name: str, engine: LlmEngine, ahead_ns: int) -> None:
        self.name = name
        self.engine = engine
        self.ahead_ns = ahead_ns  # of its clock
        self.alive = True
        self.symbols: frozenset[str] = frozenset()


class SimPool:
    """`run_until(s)` moves the clock; seconds count from 0."""

    def __init__(
        self,
        *,
        settings: LlmSettings,
        prices: PriceList,
        prompts: Mapping[str, Prompt],
        purposes: Mapping[str, Purpose],
        relay: SimRelay,
        key: str,
        members_count: int,
        symbols: Sequence[str],
        inputs: Callable[[str, int], SignalInputs],
        chance: Random,
        model_limits: Mapping[str, Limits] | None = None,
        ask_interval_s: float | None = None,
        clocks_ahead_s: float = 0.0,
    ) -> None:
        """`inputs(symbol, now_ns)` is what a quote engine would state; each states it twice an opinion's interval.
        `clocks_ahead_s`: of every second member's clock, before the treasury's and the relay's."""
        self._settings = settings
        self._prices = prices
        self._prompts = prompts
        self._purposes = purposes
        self.relay = relay
        self._key = key
        self._symbols = symbols
        self._inputs = inputs
        self._chance = chance
        self._model_limits = model_limits or {}
        self.now_ns = 0
        self._moments: list[tuple[int, int, Callable[[], None]]] = []
        self._moment_no = 0
        self._life_no = 0
        self._clocks_ahead_ns = int(clocks_ahead_s * NS_PER_S)
        self._ahead: dict[str, int] = {}  # what the treasury has written down
        self.treasury: TreasuryEngine | None = self._new_treasury(first=True)
        self.views: list[tuple[int, RegimeView | RiskView]] = []
        self.calls: list[tuple[int, Call]] = []  # (when, call) as they left
        self.members: list[_Member] = []
        for _ in range(members_count):
            self.members.append(self._new_member())
        self._share()
        for member in self.members:
            self._connect(member)
        every_s = ask_interval_s or settings.opinion_interval_s / 2
        for symbol in symbols:
            self._every(every_s, partial(self._ask, symbol), first_s=chance.uniform(0, every_s))
        self._every(TICK_NS / NS_PER_S, self._tick)

    def run_until(self, at_s: float) -> None:
        """Everything that happens until then."""
        end_ns = int(at_s * NS_PER_S)
        while self._moments and self._moments[0][0] <= end_ns:
            self.now_ns, _, fn = heapq.heappop(self._moments)
            fn()
        self.now_ns = end_ns

    def at(self, at_s: float, fn: Callable[[], None]) -> None:
        """Call `fn` then."""
        self._moment_no += 1
        heapq.heappush(self._moments, (int(at_s * NS_PER_S), self._moment_no, fn))

    # --- hands -----------------------------------------------------------------------------------------------

    def kill_member(self, index: int, *, back_after_s: float) -> None:
        """kill -9; the treasury notices its link, the others take over its symbols, a new life comes."""
        dead = self.members[index]
        dead.alive = False
        self._to_treasury(Left(dead.name))
        self._share()

        def reborn() -> None:
            self.members[index] = self._new_member()
            self._share()
            self._connect(self.members[index])

        self._after(back_after_s, reborn)

    def mark_every(self, every_s: float, price: Callable[[str, int], float], *, half_spread_bps: float) -> None:
        """Let the treasury see the market: `price(symbol, now_ns)` of each symbol."""

        def marks() -> None:
            for symbol in self._symbols:
                self._to_treasury(Marked(symbol, price(symbol, self.now_ns), half_spread_bps))

        self._every(every_s, marks)

    def kill_treasury(self, *, back_after_s: float) -> None:
        """kill -9; members see their links go and come."""
        self.treasury = None
        for member in self.members:
            self._to_member(member, TreasuryUp(False))

        def reborn() -> None:
            self.treasury = self._new_treasury(first=False)
            for member in self.members:
                self._connect(member)

        self._after(back_after_s, reborn)

    # --- inside ----------------------------------------------------------------------------------------------

    def _new_treasury(self, *, first: bool) -> TreasuryEngine:
        return TreasuryEngine(
            settings=self._settings,
            prices=self._prices,
            model_limits=self._model_limits,
            day=self.now_ns // DAY_NS,
            now_ns=self.now_ns,
            chance=self._chance,
            spent_nusd=None if first else dict(self._ahead),
            after_crash=not first,
        )

    def _new_member(self) -> _Member:
        self._life_no += 1
        engine = LlmEngine(
            settings=self._settings,
            signal_prompt=self._prompts["signal"],
            risk_prompt=self._prompts["risk"],
            purposes=self._purposes,
            chance=self._chance,
        )
        return _Member(f"llm~{self._life_no}", engine, self._clocks_ahead_ns * (self._life_no % 2))

    def _share(self) -> None:
        alive = [member for member in self.members if member.alive]
        for index, member in enumerate(alive):
            member.symbols = frozenset(self._symbols[index :: len(alive)])

    def _connect(self, member: _Member) -> None:
        if self.treasury is None:
            return
        self._to_member(member, TreasuryUp(True))
        self._to_treasury(Came(member.name))

    def _ask(self, symbol: str) -> None:
        for member in self.members:
            if member.alive and symbol in member.symbols:
                self._to_member(member, Ask(self._inputs(symbol, self.now_ns)))

    def _tick(self) -> None:
        self._to_treasury(Timer(self.now_ns // DAY_NS))
        for member in self.members:
            self._to_member(member, MemberTimer())

    def _to_treasury(self, event: TreasuryEvent) -> None:
        if self.treasury is None:
            return
        for command in self.treasury.handle(event, self.now_ns):
            match command:
                case KeepAhead(_, scope, nusd):
                    self._ahead[scope] = nusd
                case Send(peer, message):
                    self._after(LINK_S, partial(self._deliver, peer, message))

    def _deliver(self, peer: str, message: object) -> None:
        for member in self.members:
            if member.name == peer and isinstance(message, SpendGrant):
                self._to_member(member, Granted(message))
            elif member.name == peer and isinstance(message, PoolState):
                self._to_member(member, message)

    def _to_member(self, member: _Member, event: LlmEvent) -> None:
        if not member.alive:
            return
        for command in member.engine.handle(event, self.now_ns + member.ahead_ns):
            match command:
                case Publish(view):
                    self.views.append((self.now_ns, view))
                case Call():
                    self.calls.append((self.now_ns, command))
                    self._after(NETWORK_S, partial(self._at_relay, member, command))
                case ListModels(call_no):
                    self._after(2 * NETWORK_S, partial(self._to_member, member, Listed(call_no, tuple(MODELS))))
                case Tell(message):
                    self._after(LINK_S, partial(self._to_treasury, _event(member.name, message)))

    def _at_relay(self, member: _Member, call: Call) -> None:
        answer = self.relay.handle(
            method="POST",
            path="/v1/chat/completions",
            authorization=f"Bearer {self._key}",
            body=call.body,
            now_ns=self.now_ns,
        )
        left_s = call.deadline_s - NETWORK_S
        ending, ended_s = self._ending(call, answer, left_s)
        self._after(ended_s, lambda: self.relay.ended(answer.call_no))
        self._after(ended_s + NETWORK_S, lambda: self._to_member(member, ending))

    @staticmethod
    def _ending(call: Call, answer: RelayAnswer, left_s: float) -> tuple[Answered | Unanswered, float]:
        """What the member hears and when, counted from the relay's receipt."""
        if answer.manner is Manner.CUT and answer.delay_s <= left_s:
            return Unanswered(call.call_no, Fault.BROKE_OFF), answer.delay_s
        if answer.manner is Manner.TRICKLE and answer.delay_s <= left_s:
            return Unanswered(call.call_no, Fault.NOT_FINISHED), left_s
        if answer.manner is Manner.NEVER or answer.delay_s > left_s:
            return Unanswered(call.call_no, Fault.NO_ANSWER), left_s
        retry_after_s = float(dict(answer.headers).get("Retry-After", 0))
        body = answer.body[:ANSWER_BYTES_MAX]
        return Answered(call.call_no, answer.status, body, retry_after_s), answer.delay_s

    def _after(self, wait_s: float, fn: Callable[[], None]) -> None:
        self.at(self.now_ns / NS_PER_S + wait_s, fn)

    def _every(self, every_s: float, fn: Callable[[], None], *, first_s: float = 0.0) -> None:
        def again() -> None:
            fn()
            self._after(every_s, again)

        self.at(first_s, again)


def _event(peer: str, message: SpendRequest | SpendSettle | CallRecord) -> TreasuryEvent:
    match message:
        case SpendRequest():
            return Asked(peer, message)
        case SpendSettle():
            return Ended(peer, message)
        case CallRecord():
            return Recorded(peer, message)
