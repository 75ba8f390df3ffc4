"""Who is alive: the brain of the registry.

Rules:
1. The newest incarnation of a name replaces the one before; the replaced one is refused for ever, so a paused
   process that wakes up cannot take its name back.
2. A member that is silent for `evict_after_ns` leaves the directory.
   One that has registered but not joined yet has `start_timeout_ns`: it is still binding its sockets.
   Coming back under the same incarnation is no new life.
3. A name that keeps dying waits before it goes on, longer each time; with `lives_max` lives inside
   `lives_window_ns` it is in a crash loop and refused with the reason until the window has passed.
4. For `gather_ns` after our own start the directory is marked incomplete: members of a former life of ours are on
   their way back, and nobody may take a missing name for a death.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from actors.vocab.control import Directory, Instruments, Member
from actors.vocab.message import Record

FORMER_LIVES_MAX = 32  # replaced incarnations remembered per name; full: the oldest, long dead, is forgotten
NAMES_MAX = 10_000  # full: a new name is refused; ten times the largest fleet we have run


class Register(Record, frozen=True):
    """A member is here, or still here."""

    member: Member


class Heard(Record, frozen=True):
    """A sign of life."""

    name: str
    incarnation: str


class Leave(Record, frozen=True):
    """Gone: an orderly goodbye, or (`lost`) its link broke and it has until the eviction to come back."""

    name: str
    incarnation: str
    lost: bool = False


class Offer(Record, frozen=True):
    """A feed has the newest instruments of its venue."""

    instruments: Instruments


class Tick(Record, frozen=True):
    """Time has passed."""


class Push(Record, frozen=True):
    """Send to every member."""

    message: Directory | Instruments


class Welcome(Record, frozen=True):
    """Answer to a registration: go on after `wait_ms`."""

    wait_ms: int


class Refuse(Record, frozen=True):
    """Answer to a registration: no, because."""

    reason: str


class Note(Record, frozen=True):
    """Worth a line in the log and in `status`."""

    text: str


Event = Register | Heard | Leave | Offer | Tick
Command = Push | Welcome | Refuse | Note


class _Life:
    """One live member and when it was last heard."""

    __slots__ = ("heard_ns", "member")

    def __init__(self, member: Member, heard_ns: int) -> None:
        self.member = member
        self.heard_ns = heard_ns


class _Past:
    """What happened to one name before."""

    __slots__ = ("births_ns", "newest", "replaced")

    def __init__(self) -> None:
        self.newest = ""  # the incarnation that holds the name, or held it last
        # When lives of this name began, inside the window; oldest first.
        self.births_ns: deque[int] = deque()
        self.replaced: deque[str] = deque(maxlen=FORMER_LIVES_MAX)


class Roster:
    """Members by name. `first_version` must be above any version that a former life of the registry gave out."""

    def __init__(
        self,
        *,
        first_version: int,
        now_ns: int,
        evict_after_ns: int,
        start_timeout_ns: int,
        gather_ns: int,
        lives_max: int,
        lives_window_ns: int,
        first_wait_ms: int,
    ) -> None:
        self._version = first_version
        self._evict_after_ns = evict_after_ns
        self._start_timeout_ns = start_timeout_ns
        self._complete_ns = now_ns + gather_ns
        self._complete = gather_ns == 0
        self._lives_max = lives_max
        self._lives_window_ns = lives_window_ns
        self._first_wait_ms = first_wait_ms
        # name -> its live member; one incarnation each
        self._lives: dict[str, _Life] = {}
        # name -> births and replaced incarnations; a name stays as long as the registry lives
        self._past: dict[str, _Past] = {}
        # venue -> newest instruments offered
        self._instruments: dict[str, Instruments] = {}
        # name -> why it was given up; cleared when a later life is let in
        self.given_up: dict[str, str] = {}

    def handle(self, event: Event, now_ns: int) -> list[Command]:
        """Return what to send and to log; for a `Register` the first is its answer, a Welcome or a Refuse."""
        match event:
            case Register(member=member):
                return self._register(member, now_ns)
            case Heard(name=name, incarnation=incarnation):
                life = self._live(name, incarnation)
                if life is not None:
                    life.heard_ns = now_ns
                return []
            case Leave(name=name, incarnation=incarnation, lost=lost):
                return self._leave(name, incarnation, lost=lost)
            case Offer(instruments=instruments):
                return self._offer(instruments)
            case Tick():
                return self._tick(now_ns)

    def directory(self) -> Directory:
        """Return who is alive now."""
        return Directory(self._version, tuple(life.member for life in self._lives.values()), self._complete)

    def instruments(self) -> Sequence[Instruments]:
        """Return the newest instruments of each venue."""
        return tuple(self._instruments.values())

    def member(self, name: str) -> Member | None:
        life = self._lives.get(name)
        return life.member if life is not None else None

    def _register(self, member: Member, now_ns: int) -> list[Command]:
        name = member.name
        if name not in self._past and len(self._past) >= NAMES_MAX:
            return [Refuse(f"the registry holds {NAMES_MAX} names already; {name} is one too many")]
        past = self._past.setdefault(name, _Past())
        if member.incarnation in past.replaced:
            return [Refuse(f"{member.incarnation} was replaced by {past.newest}")]
        life = self._lives.get(name)
        if life is not None and life.member.incarnation == member.incarnation:
            return self._refresh(life, member, now_ns)
        if member.incarnation == past.newest:
            self._lives[name] = _Life(member, now_ns)
            return [Welcome(0), *self._changed(), Note(f"{member.incarnation} is back")]
        return self._birth(member, past, now_ns)

    def _refresh(self, life: _Life, member: Member, now_ns: int) -> list[Command]:
        changed = life.member != member
        life.member = member
        life.heard_ns = now_ns
        return [Welcome(0), *(self._changed() if changed else [])]

    def _birth(self, member: Member, past: _Past, now_ns: int) -> list[Command]:
        name = member.name
        births = past.births_ns
        while births and now_ns - births[0] > self._lives_window_ns:
            births.popleft()
        if len(births) >= self._lives_max:
            window_s = self._lives_window_ns / 1e9
            reason = f"{name} is in a crash loop: {len(births)} lives in {window_s:.0f} s; see its log for the cause"
            self.given_up[name] = reason
            return [Refuse(reason), Note(reason)]
        births.append(now_ns)
        self.given_up.pop(name, None)
        notes: list[Command] = []
        if past.newest:
            past.replaced.append(past.newest)
            notes.append(Note(f"{name} has a new life: {member.incarnation} replaces {past.newest}"))
        past.newest = member.incarnation
        self._lives[name] = _Life(member, now_ns)
        return [Welcome(self._wait_ms(len(births))), *self._changed(), *notes]

    def _wait_ms(self, lives_count: int) -> int:
        """0 for the first two lives (one crash is bad luck), then doubling."""
        return self._first_wait_ms * 2 ** (lives_count - 3) if lives_count > 2 else 0

    def _leave(self, name: str, incarnation: str, *, lost: bool) -> list[Command]:
        life = self._live(name, incarnation)
        if life is None:
            return []
        if lost:
            return [Note(f"{incarnation} is lost; it has {self._evict_after_ns / 1e9:.1f} s to come back")]
        return self._remove([name], "left")

    def _offer(self, instruments: Instruments) -> list[Command]:
        known = self._instruments.get(instruments.venue)
        if known is not None and known.rows == instruments.rows:
            return []
        version = max(instruments.version, known.version + 1 if known is not None else 0)
        newest = Instruments(instruments.venue, version, instruments.rows)
        self._instruments[instruments.venue] = newest
        return [Push(newest)]

    def _tick(self, now_ns: int) -> list[Command]:
        commands: list[Command] = []
        if not self._complete and now_ns >= self._complete_ns:
            self._complete = True
            commands += self._changed()
        silent = [name for name, life in self._lives.items() if self._is_silent(life, now_ns)]
        if silent:
            commands += self._remove(silent, "silent")
        return commands

    def _is_silent(self, life: _Life, now_ns: int) -> bool:
        limit_ns = self._evict_after_ns if life.member.ready else self._start_timeout_ns
        return now_ns - life.heard_ns >= limit_ns

    def _remove(self, names: Sequence[str], why: str) -> list[Command]:
        notes: list[Command] = []
        for name in names:
            life = self._lives.pop(name)
            notes.append(Note(f"{life.member.incarnation} leaves the directory: {why}"))
        return [*self._changed(), *notes]

    def _changed(self) -> list[Command]:
        self._version += 1
        return [Push(self.directory())]

    def _live(self, name: str, incarnation: str) -> _Life | None:
        life = self._lives.get(name)
        return life if life is not None and life.member.incarnation == incarnation else None
