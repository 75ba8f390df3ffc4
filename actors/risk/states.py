"""Which risk state applies, per symbol, venue and fleet; the worst of the three counts.

A scope holds *causes*. Each says how severe it is, in an operator's words, and ends in one of three ways: whoever
set it clears it, its time runs out, or an operator lifts it. When the last breaker cause of a scope has ended, the
scope stays in CIRCUIT_BREAKER for a cool-down, then in WARNING for another, then returns to what is left.

Tightening applies at once. Loosening is only *proposed*: the caller journals it and then calls `confirm`.
"""

from __future__ import annotations

import msgspec

from actors.vocab.leases import RiskState
from actors.vocab.units import NS_PER_S

FLEET = "fleet"


def venue_scope(venue: str) -> str:
    return f"venue:{venue}"


def symbol_scope(venue: str, symbol: str) -> str:
    return f"symbol:{venue}:{symbol}"


class Change(msgspec.Struct, frozen=True):
    """One scope should move, or has moved. `tightens`: it already applies. Otherwise it waits for `confirm`.

    One that goes nowhere (`before` is `after`) says that what only an operator lifts has changed: to be journalled.
    """

    scope: str
    before: RiskState
    after: RiskState
    reason: str
    tightens: bool


class Cause:
    """Why a scope is where it is."""

    __slots__ = ("cool_down_ns", "latched", "state", "text", "until_ns")

    def __init__(self, state: RiskState, text: str, until_ns: int, latched: bool, cool_down_ns: int) -> None:
        self.state = state
        self.text = text
        self.until_ns = until_ns  # 0: until cleared
        self.latched = latched  # only an operator lifts it
        self.cool_down_ns = cool_down_ns


class Scope:
    """One symbol, venue or the fleet."""

    __slots__ = ("_causes", "_cool_text", "_cool_until_ns", "_warn_until_ns", "name", "proposed", "reason", "state")

    def __init__(self, name: str) -> None:
        self.name = name
        self.state = RiskState.NORMAL  # what applies now
        self.reason = ""
        self.proposed: RiskState | None = None  # a loosening that is being journalled
        self._causes: dict[str, Cause] = {}
        self._cool_until_ns = 0
        self._warn_until_ns = 0
        self._cool_text = ""

    @property
    def is_quiet(self) -> bool:
        """Nothing to watch: NORMAL, no cause, no cool-down."""
        return not self._causes and not self._cool_until_ns and not self._warn_until_ns and self.state == 0

    @property
    def latched(self) -> tuple[RiskState, str]:
        """Return the worst state that only an operator lifts, and why; NORMAL when there is none."""
        worst, text = RiskState.NORMAL, ""
        for cause in self._causes.values():
            if cause.latched and cause.state > worst:
                worst, text = cause.state, cause.text
        return worst, text

    @property
    def causes(self) -> dict[str, str]:
        return {name: cause.text for name, cause in self._causes.items()}

    def set(
        self,
        cause: str,
        state: RiskState,
        text: str,
        *,
        until_ns: int = 0,
        latched: bool = False,
        cool_down_ns: int = 0,
    ) -> None:
        held = self._causes.get(cause)
        if held is not None and held.latched and held.state >= state:
            return
        self._causes[cause] = Cause(state, text, until_ns, latched, cool_down_ns)

    def clear(self, cause: str, now_ns: int) -> None:
        held = self._causes.get(cause)
        if held is not None and not held.latched:
            self._end(cause, now_ns)

    def lift(self, now_ns: int) -> None:
        """The operator's resume: every latched cause ends, re-entry is through WARNING, without the cool-down."""
        for name in [name for name, cause in self._causes.items() if cause.latched]:
            del self._causes[name]
        self._cool_until_ns = 0
        if self.state >= RiskState.CIRCUIT_BREAKER:
            self._warn_until_ns = max(self._warn_until_ns, now_ns + 10 * NS_PER_S)

    def _end(self, name: str, now_ns: int) -> None:
        cause = self._causes.pop(name)
        if cause.state is RiskState.CIRCUIT_BREAKER and cause.cool_down_ns:
            self._cool_until_ns = max(self._cool_until_ns, now_ns + cause.cool_down_ns)
            self._warn_until_ns = max(self._warn_until_ns, now_ns + 2 * cause.cool_down_ns)
            self._cool_text = cause.text

    def wanted(self, now_ns: int) -> tuple[RiskState, str]:
        """Return the state that the causes ask for, and why."""
        for name in [name for name, cause in self._causes.items() if cause.until_ns and now_ns >= cause.until_ns]:
            self._end(name, now_ns)
        state, reason = RiskState.NORMAL, ""
        for cause in self._causes.values():
            if cause.state > state:
                state, reason = cause.state, cause.text
        if self._cool_until_ns:
            if now_ns < self._cool_until_ns:
                if state < RiskState.CIRCUIT_BREAKER:
                    left_s = (self._cool_until_ns - now_ns) // NS_PER_S
                    return RiskState.CIRCUIT_BREAKER, f"cooling down {left_s} s after: {self._cool_text}"
            else:
                self._cool_until_ns = 0
        if self._warn_until_ns:
            if now_ns < self._warn_until_ns:
                if state < RiskState.WARNING:
                    return RiskState.WARNING, f"re-entry after: {self._cool_text or 'a stop'}"
            else:
                self._warn_until_ns = 0
        return state, reason


class StateBook:
    """All scopes."""

    def __init__(self) -> None:
        self.scopes: dict[str, Scope] = {FLEET: Scope(FLEET)}
        self._watched: set[str] = set()  # scopes that are not quiet
        self.breaches_count = 0  # times a scope went to REDUCE_ONLY or worse

    def scope(self, name: str) -> Scope:
        scope = self.scopes.get(name)
        if scope is None:
            scope = self.scopes[name] = Scope(name)
        return scope

    def set(
        self,
        scope_name: str,
        cause: str,
        state: RiskState,
        text: str,
        now_ns: int,
        *,
        until_ns: int = 0,
        latched: bool = False,
        cool_down_ns: int = 0,
    ) -> Change | None:
        """Add or renew a cause; NORMAL clears it. Returns what changed."""
        scope = self.scope(scope_name)
        before, _ = scope.latched
        if state is RiskState.NORMAL:
            scope.clear(cause, now_ns)
        else:
            scope.set(cause, state, text, until_ns=until_ns, latched=latched, cool_down_ns=cool_down_ns)
        return self._move(scope, now_ns) or self._latch(scope, before)

    def clear(self, scope_name: str, cause: str, now_ns: int) -> Change | None:
        scope = self.scopes.get(scope_name)
        if scope is None or cause not in scope.causes:
            return None
        scope.clear(cause, now_ns)
        return self._move(scope, now_ns)

    def lift(self, scope_name: str, now_ns: int) -> Change | None:
        scope = self.scope(scope_name)
        before, _ = scope.latched
        scope.lift(now_ns)
        return self._move(scope, now_ns) or self._latch(scope, before)

    def tick(self, now_ns: int) -> list[Change]:
        """Let time pass over every scope that is not quiet."""
        changes = [self._move(self.scopes[name], now_ns) for name in sorted(self._watched)]
        return [change for change in changes if change is not None]

    def confirm(self, scope_name: str, state: RiskState, now_ns: int) -> Change | None:
        """A proposed loosening is durable: it applies, unless something has tightened since."""
        scope = self.scopes[scope_name]
        if scope.proposed is not state:
            return None
        wanted, reason = scope.wanted(now_ns)
        if wanted > state:
            scope.proposed = None
            return self._move(scope, now_ns)
        before, scope.state, scope.reason, scope.proposed = scope.state, state, reason, None
        self._watch(scope)
        return Change(scope_name, before, state, reason, tightens=False)

    def effective(self, venue: str, symbol: str) -> tuple[RiskState, str]:
        """Return the worst of symbol, venue and fleet, with its reason."""
        worst = self.scopes[FLEET]
        for name in (venue_scope(venue), symbol_scope(venue, symbol)):
            scope = self.scopes.get(name)
            if scope is not None and scope.state > worst.state:
                worst = scope
        return worst.state, worst.reason

    def _move(self, scope: Scope, now_ns: int) -> Change | None:
        wanted, reason = scope.wanted(now_ns)
        self._watch(scope)
        if wanted == scope.state:
            scope.reason = reason
            scope.proposed = None
            return None
        before = scope.state
        if wanted > before:
            scope.state, scope.reason, scope.proposed = wanted, reason, None
            if wanted >= RiskState.REDUCE_ONLY and before < RiskState.REDUCE_ONLY:
                self.breaches_count += 1
            return Change(scope.name, before, wanted, reason, tightens=True)
        if scope.proposed is wanted:
            return None
        scope.proposed = wanted
        return Change(scope.name, before, wanted, reason, tightens=False)

    @staticmethod
    def _latch(scope: Scope, before: RiskState) -> Change | None:
        """A state that stays may hide an operator's word, which must outlive us all the same."""
        latched, text = scope.latched
        if latched is before:
            return None
        return Change(scope.name, scope.state, scope.state, text or scope.reason, tightens=True)

    def _watch(self, scope: Scope) -> None:
        if scope.is_quiet:
            self._watched.discard(scope.name)
        else:
            self._watched.add(scope.name)
