"""One member of the model pool: hears inputs on links, asks the relay over HTTP, publishes opinions on links.

Survives a restart: nothing, and nobody needs it to; opinions in flight are lost and quotes go on. The pool's symbols
are divided by position in the run's list, so each is asked about by one member only.
"""

from __future__ import annotations

import asyncio
import json
import os
import stat
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from actors.llm.engine import Answered, Ask, AskRisk, Call, LlmCommand, LlmEngine, LlmEvent, Publish, Timer, Unanswered
from actors.llm.keys import checked_key
from actors.llm.prompts import Pricing, Prompt
from actors.transport.host import ActorHost
from actors.transport.meters import Histogram
from actors.vocab.control import Member
from actors.vocab.errors import ConfigError
from actors.vocab.message import Message
from actors.vocab.opinions import RegimeView, SignalInputs
from actors.vocab.units import NS_PER_S

CONF = Path(__file__).parent.parent.parent / "conf"
SIGNALS_CHANNEL = "signals"
VIEWS_CHANNEL = "views"
RISK_TOPIC = b"#risk"
TICK_MS = 50
# Answers longer than this are cut off unread; an honest one is a hundredth of it.
ANSWER_BYTES_MAX = 2_000_000


class LlmActor:
    """See the module's docstring. `index` of `count` members."""

    def __init__(self, role: str, registry: Any, index: int, count: int) -> None:
        self._host = ActorHost(role=role, registry=registry)
        self._index = index
        self._count = count
        self._engine: LlmEngine | None = None
        self._session: aiohttp.ClientSession | None = None
        self._url = ""
        self._latency = Histogram()
        self._refused = ""  # why no call is made at all

    async def run(self) -> None:
        host = self._host
        await host.start()
        settings, run = host.settings.llm, host.run
        self._url = (settings.base_url or run.relay_url).rstrip("/") + "/chat/completions"
        try:
            # The simulated relay's key is for the simulated relay alone.
            key_file = settings.key_file if settings.base_url else run.relay_key_file
            key = read_key(key_file=key_file, key_env=settings.key_env)
        except ConfigError as error:
            self._refused = str(error)
            key = ""
        self._session = aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"})
        self._engine = LlmEngine(
            settings=settings,
            pricing=read_pricing(CONF / "models.yaml"),
            signal_prompt=read_prompt("signal.v1"),
            risk_prompt=read_prompt("risk.v1"),
            members_count=self._count,
            now_ns=host.clock.now_ns(),
        )
        self._views = host.links.publisher(VIEWS_CHANNEL)
        self._signals = host.links.subscriber(self._on_signals)
        for symbol in run.symbols[self._index :: self._count]:
            self._signals.topic(symbol.encode())
        host.on_member.append(self._on_member)
        await host.join()
        host.every(TICK_MS, self._tick)
        host.every(1000, self._look_at_the_day)
        self._day = host.clock.wall_ns() // (86_400 * NS_PER_S)
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
        if self._session is not None:
            await self._session.close()
        await self._host.stop()

    # --- carrying --------------------------------------------------------------------------------------------

    def _on_member(self, member: Member, came: bool) -> None:
        if not member.name.startswith("quote:"):
            return
        address = self._host.links.address_of(member, SIGNALS_CHANNEL)
        if address and came:
            self._signals.connect(address)
        elif address:
            self._signals.disconnect(address)

    def _on_signals(self, batch: list[tuple[bytes, Message]]) -> None:
        for _topic, message in batch:
            if isinstance(message, SignalInputs):
                self._handle(Ask(message))

    def _tick(self) -> None:
        self._handle(Timer())

    def _look_at_the_day(self) -> None:
        day = self._host.clock.wall_ns() // (86_400 * NS_PER_S)
        if day != self._day and self._engine is not None:
            self._day = day
            self._engine.new_day()

    def _handle(self, event: LlmEvent) -> None:
        if self._engine is None or self._refused:
            return
        for command in self._engine.handle(event, self._host.clock.now_ns()):
            self._carry(command)

    def _carry(self, command: LlmCommand) -> None:
        match command:
            case Call():
                self._host.spawn(self._call(command), name=f"completion {command.call_no}")
            case Publish(view):
                topic = view.symbol.encode() if isinstance(view, RegimeView) else RISK_TOPIC
                self._views.send(topic, view)

    async def _call(self, call: Call) -> None:
        """One completion; every way it can end becomes an event."""
        assert self._session is not None
        began_ns = self._host.clock.now_ns()
        try:
            async with asyncio.timeout(call.deadline_s):
                async with self._session.post(
                    self._url, data=call.body, headers={"Content-Type": "application/json"}
                ) as answer:
                    body = await answer.content.read(ANSWER_BYTES_MAX)
                    while not answer.content.at_eof() and len(body) < ANSWER_BYTES_MAX:
                        body += await answer.content.read(ANSWER_BYTES_MAX - len(body))
                    retry_after = answer.headers.get("Retry-After", "")
                    status = answer.status
        except TimeoutError:
            self._handle(Unanswered(call.call_no, f"no answer in {call.deadline_s:g} s"))
            return
        except (aiohttp.ClientError, OSError) as error:
            self._handle(Unanswered(call.call_no, type(error).__name__))
            return
        self._latency.record((self._host.clock.now_ns() - began_ns) / 1000)
        self._handle(Answered(call.call_no, status, body, _seconds(retry_after)))


def read_key(*, key_file: str, key_env: str) -> str:
    """The relay's key from a 0600 file (text, or JSON with `api_key`) or the environment of this node."""
    if key_file:
        path = Path(key_file)
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
            text = path.read_text()
        except OSError as error:
            raise ConfigError(f"llm.key_file {path}: cannot be read ({error.strerror})") from None
        if mode & 0o077:
            raise ConfigError(f"llm.key_file {path}: others can read it; run chmod 600 {path}")
        if text.lstrip().startswith("{"):
            text = json.loads(text).get("api_key", "")
        return checked_key(text, where=str(path))
    return checked_key(os.environ.get(key_env, ""), where=key_env)


def read_pricing(path: Path) -> Pricing:
    """Model prices from `conf/models.yaml`."""
    models = yaml.safe_load(path.read_text())["models"]
    return Pricing({name: float(row["usd_per_mtok"]) for name, row in models.items()})


def read_prompt(name: str) -> Prompt:
    """A template of `conf/prompts`."""
    return Prompt(name, (CONF / "prompts" / f"{name}.txt").read_text())


def _seconds(text: str) -> float:
    try:
        return max(0.0, float(text))
    except ValueError:
        return 0.0
