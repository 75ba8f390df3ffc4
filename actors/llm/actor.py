"""One member of the model pool: hears inputs on links, asks the treasury, calls the relay, publishes opinions on links.

Survives a restart: nothing, and nobody needs it to; opinions in flight are lost and quotes go on. The run's symbols are
divided among the members that are alive: each symbol is asked about by one of them, and by another when that one dies.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections import deque
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import yaml

from actors.llm.completion import ANSWER_BYTES_MAX, loads, read_model_ids
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
    LlmEvent,
    Publish,
    Tell,
    Timer,
    TreasuryUp,
    Unanswered,
)
from actors.llm.keys import RELAY_DOMAIN, checked_key
from actors.llm.prompts import Prompt, Purpose
from actors.transport.host import ActorHost
from actors.transport.links import Client
from actors.transport.meters import Histogram
from actors.vocab.control import Member
from actors.vocab.errors import ConfigError
from actors.vocab.message import Message
from actors.vocab.opinions import RISK_TOPIC, RegimeView, SignalInputs
from actors.vocab.spending import Fault, PoolState, SpendGrant, SpendSettle

CONF = Path(__file__).parent.parent.parent / "conf"
SIGNALS_CHANNEL = "signals"
VIEWS_CHANNEL = "views"
SPENDING_CHANNEL = "spending"
TICK_MS = 50
MODELS_TIMEOUT_S = 2.0
RETRY_AFTER_MAX_S = 3600.0
# Ends of calls that the treasury could not be told; of older ones the lease decides.
UNTOLD_MAX = 100


class LlmActor:
    """See the module's docstring."""

    def __init__(self, role: str, registry: Any) -> None:
        self._host = ActorHost(role=role, registry=registry)
        self._engine: LlmEngine | None = None
        self._session: aiohttp.ClientSession | None = None
        self._base_url = ""
        self._latency = Histogram()
        self._refused = ""  # why no call is made at all
        self._treasury: Client | None = None
        self._untold: deque[SpendSettle] = deque(maxlen=UNTOLD_MAX)
        self._ours: frozenset[str] = frozenset()  # symbols that fall to us

    async def run(self) -> None:
        host = self._host
        await host.start()
        settings, run = host.settings.llm, host.run
        self._base_url = (settings.base_url or run.relay_url).rstrip("/")
        try:
            # The simulated relay's key is for the simulated relay alone.
            key_file = settings.key_file if settings.base_url else run.relay_key_file
            key = read_key(key_file=key_file, key_env=settings.key_env, base_url=settings.base_url)
        except ConfigError as error:
            self._refused = str(error)
            key = ""
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        )
        self._engine = LlmEngine(
            settings=settings,
            signal_prompt=read_prompt("signal.v1"),
            risk_prompt=read_prompt("risk.v1"),
            purposes=read_purposes(CONF / "models.yaml"),
            chance=host.rng,
        )
        self._views = host.links.publisher(VIEWS_CHANNEL)
        self._signals = host.links.subscriber(self._on_signals)
        for symbol in run.symbols:
            self._signals.topic(symbol.encode())
        self._treasury = host.links.client(on_message=self._on_treasury, on_state=self._on_treasury_state)
        self._share()
        host.on_member.append(self._on_member)
        await host.join()
        host.every(TICK_MS, self._tick)
        await asyncio.Event().wait()

    async def ask_risk(self, figures: dict[str, float], limit_usd: float, drawdown_pct: float) -> None:
        """Take the book's newest figures; the verdict is published, not returned."""
        if self._engine is not None:
            self._handle(AskRisk(figures, limit_usd, drawdown_pct))

    async def status(self) -> dict[str, Any]:
        if self._engine is None:
            return {"role": self._host.role, "ready": False}
        return {
            **self._host.vitals(),
            "ready": True,
            "refused": self._refused,
            "latency_us": self._latency.summary(),
            **self._engine.figures(),
        }

    async def stop(self) -> None:
        """Calls in flight are dropped; their leases at the treasury decide."""
        await self._host.stop()
        if self._session is not None:
            await self._session.close()

    # --- carrying --------------------------------------------------------------------------------------------

    def _on_member(self, member: Member, came: bool) -> None:
        kind = member.name.partition(":")[0]
        if kind == "llm":
            self._share()
        elif kind == "treasury" and self._treasury is not None:
            if came:
                self._treasury.dial(member, SPENDING_CHANNEL)
            else:
                self._treasury.hang_up()
        elif kind == "quote":
            address = self._host.links.address_of(member, SIGNALS_CHANNEL)
            if address and came:
                self._signals.connect(address)
            elif address:
                self._signals.disconnect(address)

    def _share(self) -> None:
        """Take our share of the symbols among the members that are alive now."""
        names = {member.name for member in self._host.members("llm:")} | {self._host.role}
        self._ours = share_of(self._host.run.symbols, names, self._host.role)

    def _on_signals(self, batch: list[tuple[bytes, Message]]) -> None:
        for _topic, message in batch:
            if isinstance(message, SignalInputs) and message.symbol in self._ours:
                self._handle(Ask(message))

    def _on_treasury(self, message: Message) -> None:
        match message:
            case SpendGrant():
                self._handle(Granted(message))
            case PoolState():
                self._handle(message)

    def _on_treasury_state(self, up: bool) -> None:
        if up:
            while self._untold and self._treasury is not None and self._treasury.send(self._untold[0]):
                self._untold.popleft()
        self._handle(TreasuryUp(up))

    def _tick(self) -> None:
        self._handle(Timer())

    def _handle(self, event: LlmEvent) -> None:
        if self._engine is None or self._refused:
            return
        for command in self._engine.handle(event, self._host.clock.now_ns()):
            self._carry(command)

    def _carry(self, command: LlmCommand) -> None:
        match command:
            case Call():
                self._host.spawn(self._call(command), name=f"completion {command.call_no}")
            case ListModels(call_no):
                self._host.spawn(self._list_models(call_no), name=f"models {call_no}")
            case Publish(view):
                topic = view.symbol.encode() if isinstance(view, RegimeView) else RISK_TOPIC
                self._views.send(topic, view)
            case Tell(message):
                sent = self._treasury is not None and self._treasury.send(message)
                if not sent and isinstance(message, SpendSettle):
                    self._untold.append(message)

    async def _call(self, call: Call) -> None:
        """One completion; every way it can end becomes an event."""
        began_ns = self._host.clock.now_ns()
        event = await ask(self._session_of(), self._base_url, call)
        if isinstance(event, Answered):
            self._latency.record((self._host.clock.now_ns() - began_ns) / 1000)
        self._handle(event)

    async def _list_models(self, call_no: int) -> None:
        body = b""
        try:
            async with asyncio.timeout(MODELS_TIMEOUT_S):
                async with self._session_of().get(f"{self._base_url}/models", allow_redirects=False) as answer:
                    body = await _read(answer)
        except (TimeoutError, aiohttp.ClientError, OSError):
            pass  # the refusal is then explained without the list
        self._handle(Listed(call_no, read_model_ids(body)))

    def _session_of(self) -> aiohttp.ClientSession:
        assert self._session is not None
        return self._session


async def ask(session: aiohttp.ClientSession, base_url: str, call: Call) -> Answered | Unanswered:
    """One completion of any OpenAI-compatible server. The deadline holds for all of it, however slowly it trickles."""
    too_late = Fault.NO_ANSWER
    try:
        async with asyncio.timeout(call.deadline_s):
            # A redirect would carry the key to another host.
            async with session.post(f"{base_url}/chat/completions", data=call.body, allow_redirects=False) as answer:
                too_late = Fault.NOT_FINISHED
                body = await _read(answer)
                retry_after_s = retry_after(answer.headers.get("Retry-After", ""), answer.headers.get("Date", ""))
                return Answered(call.call_no, answer.status, body, retry_after_s)
    except TimeoutError:
        return Unanswered(call.call_no, too_late, f"{call.deadline_s:.1f} s")
    except aiohttp.ClientConnectorError as error:
        return Unanswered(call.call_no, Fault.NOT_CONNECTED, str(error.os_error.strerror))
    except (aiohttp.ClientError, OSError) as error:
        return Unanswered(call.call_no, Fault.BROKE_OFF, type(error).__name__)


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    """The body, or as much of it as an honest one could be."""
    body = bytearray()
    while len(body) < ANSWER_BYTES_MAX and (chunk := await answer.content.read(ANSWER_BYTES_MAX - len(body))):
        body += chunk
    return bytes(body)


def retry_after(text: str, date: str) -> float:
    """Seconds of a `Retry-After`, at most an hour; 0 when there is none that can be read.

    It may be a moment: that is counted from the server's own `Date`, so a wrong clock of ours does not matter.
    """
    try:
        return min(max(0.0, float(text)), RETRY_AFTER_MAX_S)
    except ValueError:
        pass
    try:
        wait_s = (parsedate_to_datetime(text) - parsedate_to_datetime(date)).total_seconds()
        return min(max(0.0, wait_s), RETRY_AFTER_MAX_S)
    except (ValueError, TypeError, OverflowError):
        return 0.0


def share_of(symbols: Sequence[str], names: set[str], own: str) -> frozenset[str]:
    """The symbols that fall to `own` among the living `names`; every living member comes to the same division."""
    ranked = sorted(names)
    return frozenset(symbols[ranked.index(own) :: len(ranked)])


def read_key(*, key_file: str, key_env: str, base_url: str = "") -> str:
    """The key from a 0600 file (text, or JSON with `api_key`) or the environment of this node.

    Only the relay's own keys are checked for their form; any other server of `base_url` has its own.
    """
    host = urlsplit(base_url).hostname or RELAY_DOMAIN
    any_vendor = host != RELAY_DOMAIN and not host.endswith(f".{RELAY_DOMAIN}")
    if key_file:
        path = Path(key_file)
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"llm.key_file {path}: cannot be read ({error.strerror})") from None
        except UnicodeDecodeError:
            raise ConfigError(
                f"llm.key_file {path}: is not UTF-8 text; write the key into it, and nothing else"
            ) from None
        if mode & 0o077:
            raise ConfigError(f"llm.key_file {path}: others can read it; run chmod 600 {path}")
        if text.lstrip().startswith("{"):
            data, _ = loads(text)  # its error would show a part of the key
            found = data.get("api_key") if isinstance(data, dict) else None
            if not isinstance(found, str):
                raise ConfigError(f'llm.key_file {path}: is no JSON like {{"api_key": "…"}}')
            text = found
        return checked_key(text, where=str(path), any_vendor=any_vendor)
    return checked_key(os.environ.get(key_env, ""), where=key_env, any_vendor=any_vendor)


def read_purposes(path: Path) -> dict[str, Purpose]:
    """How each purpose is asked, from `conf/models.yaml`."""
    return {name: Purpose(**row) for name, row in yaml.safe_load(path.read_text())["purposes"].items()}


def read_prompt(name: str) -> Prompt:
    """A template of `conf/prompts`."""
    return Prompt(name, (CONF / "prompts" / f"{name}.txt").read_text())
