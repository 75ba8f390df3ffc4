"""Who is alive and where: registration, link greetings, beats, shutdown."""

from __future__ import annotations

from actors.vocab.instruments import Instrument
from actors.vocab.message import Message, Record


class Member(Record, frozen=True):
    """One live actor. `name` is the role ("quote:BTCUSDT"), `incarnation` unique to this life."""

    name: str
    incarnation: str
    host: str  # same host id = same monotonic clock and ipc:// reachable
    endpoints: tuple[tuple[str, str], ...]  # (channel, address), as "ipc://…" and/or "tcp://…"
    public_key: str = ""  # CURVE, z85; empty inside one node
    ready: bool = True  # False between first registration and `join`: its key counts, its endpoints are not bound yet


class Directory(Message, frozen=True):
    """registry -> everybody, at each change. Replaces what was known."""

    version: int
    members: tuple[Member, ...]
    complete: bool = True  # False while a restarted registry gathers its members: who is missing may still be alive


class Greeting(Message, frozen=True):
    """First message of a link in each direction; a wrong `to` means the address was inherited: hang up."""

    name: str
    incarnation: str
    host: str
    to: str  # incarnation of the peer, empty when not known yet
    protocol: int


class Beat(Message, frozen=True):
    """Both directions of every DEALER/ROUTER link while idle, so that silence means death."""

    beat_no: int
    echo_no: int = 0


class Stop(Message, frozen=True):
    """supervisor -> gateway, quote: end in order: cancel, await acks, report."""

    reason: str


class FrameToken(Message, frozen=True):
    """Lock-step replay only: `sender` has finished `step` of recorded time `now_ns`; see `transport/step_plan.py`.

    `counts` join sockets of different kinds: (from, to, how many so far). Whoever is named second waits until it has
    received as many, and takes no more in this step.

    A `short` step is taken by feeds and quote actors alone: for risk and gateways nothing has come, and nothing is due.
    """

    step: int  # 0: the sender has started and waits for the first step
    now_ns: int
    sender: str = ""  # role
    phase: str = ""  # "": the recording plays; "end": it has ended, cancel; "free": clocks run by themselves again
    counts: tuple[tuple[str, str, int], ...] = ()  # those that changed since the step before
    short: bool = False
    full_before: int = 0  # the newest earlier step that everybody took, 0 for none
    idle_until_ns: int = 0  # risk and gateways: nothing to do before then unless something comes; 0: take the next step
    wakes: bool = False  # this step has something for those who left it out


class VenueAccount(Record, frozen=True):
    """One account at one venue market, as the run describes it. Holds no secret, only where secrets are."""

    venue: str  # "binance_perp": dialect and market
    dialect: str  # "binance"
    market: str  # "perp" | "spot"
    rest_url: str  # scheme and host, no path
    stream_url: str  # websocket base of streams, no route
    order_url: str  # websocket order entry, whole URL; empty: orders go by REST
    key_file: str  # 0600 JSON {"api_key", "secret", "kind"}; empty: environment
    key_env: str  # prefix of environment variables: <prefix>_API_KEY, <prefix>_SECRET
    account_id: str
    streams: tuple[str, ...] = ()  # stream suffixes that replace the dialect's own, as a recording holds them


class QuoteGroup(Record, frozen=True):
    """The symbols of one quote actor."""

    name: str  # "quote:BTCUSDT"
    symbols: tuple[str, ...]


class RunDescription(Message, frozen=True):
    """Everything an actor needs to know to start, handed out by the registry. No secrets."""

    run_id: str
    mode: str  # sim | paper | live | replay
    namespace: str  # Ray namespace, one per account
    settings_json: str  # FleetSettings as JSON
    accounts: tuple[VenueAccount, ...]
    symbols: tuple[str, ...]
    quote_groups: tuple[QuoteGroup, ...]
    runtime_dir: str  # short, 0700: ipc sockets
    run_dir: str  # logs, records, report
    journal_url: str
    relay_url: str
    relay_key_file: str
    seed: int = 0
    lock_step: bool = False
    tcp_host: str = ""  # set when links must cross nodes
    start_ns: int = 0  # lock-step: recorded unix ns at which every clock stands until the first step


DIRECTORY_TOPIC = b"#directory"
INSTRUMENTS_TOPIC = b"#instruments"
STEP_TOPIC = b"#step"  # lock-step: a publisher's FrameTokens of steps that everybody takes
SHORT_STEP_TOPIC = b"#short"  # and of the others


class Joined(Message, frozen=True):
    """registry -> a member that registered."""

    run: RunDescription
    directory: Directory
    push_address: str  # the registry's publisher: directories and instruments
    instruments: tuple[Instruments, ...]
    wait_ms: int = 0  # a role that keeps dying waits this long before it goes on


class Instruments(Message, frozen=True):
    """feed -> registry -> everybody: the newest instruments of one venue. Replaces what was known of that venue."""

    venue: str
    version: int
    rows: tuple[Instrument, ...]
