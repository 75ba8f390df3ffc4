"""Talk to a running fleet: `python -m pipelines.ctl status | why SYMBOL | kill`."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Protocol

import typer
from rich.console import Console
from rich.text import Text

from actors.console.table import STATE_STYLES, FleetLine, SymbolRow, fleet_text, symbol_row, symbol_table
from actors.vocab.errors import ConfigError
from pipelines.cards import accepts, read_cards
from pipelines.exits import ExitCode, run

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)
CALL_TIMEOUT_S = 5.0
# A kill's last cancel is written within a second; the venue's word takes a little longer, a reconnect some seconds.
KILL_TIMEOUT_S = 15.0
POLL_INTERVAL_S = 0.2
PIPED_WIDTH = 160
SPACE = "manta-"  # before an account's name in a Ray namespace

Address = Annotated[str, typer.Option(help="Ray cluster as HOST:PORT; auto: the fleet of this machine")]
Account = Annotated[str, typer.Option(help="account, when several fleets run")]
Status = dict[str, Any]


class NoAnswer(Exception):
    """The fleet is there and a part of it does not answer; the text says what that means."""


class Remote(Protocol):
    """One fleet, wherever it is."""

    account: str

    def ask(self, role: str, method: str, *args: Any) -> Any:
        """Call one actor; NoAnswer when it is silent."""

    def ask_all(self, prefix: str, method: str) -> dict[str, Any]:
        """Ask every actor of a kind; who does not answer is missing from the result."""


@app.command()
def status(address: Address = "auto", account: Account = "") -> None:
    """State of risk, gateways and every symbol."""
    _carry(lambda: show_status(connect(address, account), _console()))


@app.command()
def why(
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL")], address: Address = "auto", account: Account = ""
) -> None:
    """Why a symbol is, or is not, being quoted."""
    _carry(lambda: show_why(connect(address, account), symbol.upper(), _console()))


@app.command()
def kill(
    symbol: Annotated[str, typer.Option(help="one symbol; default the whole fleet")] = "",
    reason: Annotated[str, typer.Option(help="for the journal")] = "",
    address: Address = "auto",
    account: Account = "",
) -> None:
    """Cancel every order now and stay stopped (FULL_STOP). The run itself goes on until Ctrl-C; its exit code is 3."""
    _carry(lambda: do_kill(connect(address, account), symbol.upper(), reason, _console()))


# --- what the commands do ------------------------------------------------------------------------------------


def show_status(remote: Remote, console: Console) -> ExitCode:
    """One line of the fleet, one of each gateway, the table of symbols."""
    risk = _ask_risk(remote, "status")
    gateways = remote.ask_all("gateway:", "status")
    quotes = _quotes(remote)
    console.print(Text(f"fleet {remote.account}", style="bold"))
    console.print(_fleet_line(risk, gateways, quotes), soft_wrap=True)
    if reason := risk.get("reason"):
        console.print(f"  because: {reason}", highlight=False, soft_wrap=True)
    for role in sorted(gateways):
        one = gateways[role]
        orders = f"{one.get('orders_open_count', 0)} open orders"
        console.print(f"{role}: {one.get('state', 'starting')}, {orders}", highlight=False, soft_wrap=True)
    rows = _rows(risk, quotes)
    if rows:
        console.print()
        console.print(symbol_table(rows, height=len(rows)))
    return ExitCode.FINE


def show_why(remote: Remote, symbol: str, console: Console) -> ExitCode:
    """Everything that decides whether `symbol` is quoted: the engine's reasons, its lease, risk's states."""
    quotes = _quotes(remote)
    row = quotes.get(symbol)
    limits = dict(_ask_risk(remote, "why", symbol))
    if row is None and not limits:
        raise ConfigError(f"{symbol} is not traded by fleet {remote.account}; it has {_some(sorted(quotes))}")
    say = _sayer(console)
    if row is None:
        say(f"{symbol}: its quote actor does not answer; it is starting, or starting again")
    else:
        say(f"{symbol} on {row['venue']}", style="bold")
        say(f"  bid        {row['bid'] or '–':>14}  {row['bid_reason']}")
        say(f"  ask        {row['ask'] or '–':>14}  {row['ask_reason']}")
        say(f"  position   {row['position_usd']:>+14,.2f}  USD, {row['open_orders']} open orders")
        say(
            f"  lease      {row['lease_left_ms']:>11,} ms  left: position within "
            f"-{row['lease_short_lots']} … +{row['lease_long_lots']} lots, {row['orders_per_min']} orders a minute"
        )
        say(f"  two-sided  {row['two_sided_share']:>14.1%}  of the time since its start")
    for venue, one in limits.items():
        say(f"  risk       {one['state']:>14}  {one['reason'] or 'nothing holds it back'}", style=_style(one["state"]))
        for scope, causes in one.get("causes", {}).items():
            for cause in dict(causes).values():
                say(f"    {scope}: {cause}")
        if one.get("waits_for"):
            say(f"    {venue} waits for {one['waits_for']}")
        if one.get("fence_pending"):
            say(f"    {venue}: size comes back when the gateway has fenced older grants")
    return ExitCode.FINE


def do_kill(remote: Remote, symbol: str, reason: str, console: Console) -> ExitCode:
    """Tell risk, then look at the gateways until nothing rests; FAILED when something still does."""
    if symbol and symbol not in _quotes(remote) and not _ask_risk(remote, "why", symbol):
        raise ConfigError(f"--symbol {symbol}: not traded by fleet {remote.account}; nothing was stopped")
    began_s = time.monotonic()
    answer = _ask_risk(remote, "command", "kill", symbol, reason)
    console.print(str(answer), highlight=False)
    while True:
        left = _orders_left(remote, symbol)
        elapsed_s = time.monotonic() - began_s
        if left == 0:
            console.print(f"no open order left after {elapsed_s:.1f} s; the run goes on stopped", highlight=False)
            return ExitCode.FINE
        if elapsed_s > KILL_TIMEOUT_S:
            known = "a gateway does not answer" if left is None else f"{left} orders still open"
            raise NoAnswer(f"{known} after {elapsed_s:.0f} s; look at the venue, and end the run with Ctrl-C")
        time.sleep(POLL_INTERVAL_S)


def _orders_left(remote: Remote, symbol: str) -> int | None:
    """Orders that still rest, by the gateways' (or for one symbol the engine's) word; None when one is silent."""
    if symbol:
        row = _quotes(remote).get(symbol)
        return None if row is None else int(row["open_orders"])
    answers = remote.ask_all("gateway:", "status")
    if not answers or any("orders_open_count" not in one for one in answers.values()):
        return None
    return sum(int(one["orders_open_count"]) for one in answers.values())


# --- reading and showing -------------------------------------------------------------------------------------


def _ask_risk(remote: Remote, method: str, *args: Any) -> Any:
    try:
        return remote.ask("risk", method, *args)
    except NoAnswer as error:
        raise NoAnswer(f"{error}; without it leases run out and quotes stop by themselves within seconds") from None


def _quotes(remote: Remote) -> dict[str, Status]:
    return {
        symbol: row
        for one in remote.ask_all("quote:", "status").values()
        for symbol, row in one.get("symbols", {}).items()
    }


def _fleet_line(risk: Mapping[str, Any], gateways: Mapping[str, Status], quotes: Mapping[str, Status]) -> Text:
    figures = risk.get("risk", {})
    line = FleetLine(
        elapsed_s=0.0,
        symbols_count=len(quotes),
        quoting_count=sum(bool(row["two_sided"]) for row in quotes.values()),
        net_usd=float(risk.get("pnl", {}).get("net_usd", 0.0)),
        gross_usd=float(figures.get("gross_usd_now", 0.0)),
        gross_limit_usd=float(figures.get("gross_limit_usd", 0.0)),
        state=str(risk.get("state", "starting")),
        frames_per_s=0.0,
        orders_open=sum(int(one.get("orders_open_count", 0)) for one in gateways.values()),
        fills_count=int(risk.get("fills_count", 0)),
        cpu_share=0.0,
    )
    return fleet_text(line)


def _rows(risk: Mapping[str, Any], quotes: Mapping[str, Status]) -> list[SymbolRow]:
    money = {row["symbol"]: row for row in risk.get("symbols", [])}
    return [symbol_row(symbol, row, money.get(symbol, {})) for symbol, row in quotes.items()]


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "") if names else "none yet"


def _style(state: str) -> str:
    return "" if state == "NORMAL" else STATE_STYLES.get(state, "")


def _sayer(console: Console) -> Callable[..., None]:
    def say(text: str, *, style: str = "") -> None:
        console.print(Text(text, style=style), soft_wrap=True)

    return say


def _console() -> Console:
    return Console() if sys.stdout.isatty() else Console(width=PIPED_WIDTH)


def _carry(work: Callable[[], ExitCode]) -> None:
    """Run a command to its exit code; a silent fleet is one line and 1."""
    try:
        code = work()
    except NoAnswer as error:
        print(f"error: {error}", file=sys.stderr)
        code = ExitCode.FAILED
    raise typer.Exit(code)


# --- Ray -----------------------------------------------------------------------------------------------------


class RayRemote:
    """A fleet found by its Ray namespace, over a connection that is already open."""

    def __init__(self, account: str, roles: list[str]) -> None:
        self.account = account
        self._roles = roles

    def ask(self, role: str, method: str, *args: Any) -> Any:
        import ray

        try:
            handle = ray.get_actor(role, namespace=SPACE + self.account)
            return ray.get(getattr(handle, method).remote(*args), timeout=CALL_TIMEOUT_S)
        except (ValueError, ray.exceptions.RayError) as error:
            raise NoAnswer(f"{role} does not answer ({type(error).__name__})") from None

    def ask_all(self, prefix: str, method: str) -> dict[str, Any]:
        import ray

        calls = {}
        for role in self._roles:
            if role.startswith(prefix):
                try:
                    calls[role] = getattr(ray.get_actor(role, namespace=SPACE + self.account), method).remote()
                except (ValueError, ray.exceptions.RayError):
                    continue
        ray.wait(list(calls.values()), num_returns=max(1, len(calls)), timeout=CALL_TIMEOUT_S) if calls else None
        answers = {}
        for role, call in calls.items():
            try:
                answers[role] = ray.get(call, timeout=0)
            except ray.exceptions.RayError:
                continue
        return answers


def connect(address: str, account: str) -> RayRemote:
    """The fleet of `account` on `address`, or the only one; ConfigError when there is none or more than one."""
    if address == "auto":
        cards = [card for card in read_cards() if account in ("", card.account)]
        addresses = list(dict.fromkeys(card.address for card in cards))
        if not addresses and os.environ.get("RAY_ADDRESS"):
            addresses = [os.environ["RAY_ADDRESS"]]
        if not addresses:
            whose = f" for account {account}" if account else ""
            raise ConfigError(f"no fleet is running here{whose}; on another machine: --address HOST:PORT of its Ray")
        if len({card.account for card in cards}) > 1:
            raise _several([card.account for card in cards])
        if cards and cards[0].auth_mode:
            os.environ.setdefault("RAY_AUTH_MODE", cards[0].auth_mode)
    else:
        addresses = [address]
    where = addresses[0]
    if not accepts(where):
        raise ConfigError(f"--address {where}: no Ray answers there; give HOST:PORT of a running one")
    found = {name: roles for name, roles in _fleets(where).items() if account in ("", name)}
    if not found:
        raise ConfigError(f"no fleet is running at {where}" + (f" for account {account}" if account else ""))
    if len(found) > 1:
        raise _several(list(found))
    return RayRemote(*next(iter(found.items())))


def _several(accounts: list[str]) -> ConfigError:
    return ConfigError(f"several fleets run ({', '.join(sorted(accounts))}); choose one with --account")


def _fleets(address: str) -> dict[str, list[str]]:
    """account -> roles of every fleet there; the connection stays open."""
    import ray

    from pipelines.topology import join_ray

    join_ray(address, log_to_driver=False, logging_level=logging.ERROR)
    fleets: dict[str, list[str]] = {}
    for row in ray.util.list_named_actors(all_namespaces=True):
        if row["namespace"].startswith(SPACE):
            fleets.setdefault(row["namespace"].removeprefix(SPACE), []).append(row["name"])
    return fleets


if __name__ == "__main__":
    run(app, "pipelines.ctl")
