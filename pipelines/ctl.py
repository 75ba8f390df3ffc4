"""Talk to a running fleet: `python -m pipelines.ctl status | why SYMBOL | kill`."""

from __future__ import annotations

import logging
import sys
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from actors.vocab.errors import ConfigError
from pipelines.exits import ExitCode, refuse

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
CALL_TIMEOUT_S = 5.0

Address = Annotated[str, typer.Option(help="Ray cluster; auto finds the one of this machine")]
Account = Annotated[str, typer.Option(help="account, when several fleets run")]


class Remote:
    """The fleet of one account, found by its Ray namespace."""

    def __init__(self, address: str, account: str) -> None:
        import ray

        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except ConnectionError:
            raise ConfigError(f"--address {address}: no Ray answers there; is a fleet running?") from None
        names = [
            row for row in ray.util.list_named_actors(all_namespaces=True) if row["namespace"].startswith("manta-")
        ]
        spaces = sorted({row["namespace"] for row in names})
        if account:
            spaces = [space for space in spaces if space == f"manta-{account}"]
        if not spaces:
            raise ConfigError("no fleet is running" + (f" for account {account}" if account else ""))
        if len(spaces) > 1:
            known = ", ".join(space.removeprefix("manta-") for space in spaces)
            raise ConfigError(f"several fleets run ({known}); choose one with --account")
        self.namespace = spaces[0]
        self.roles = sorted(row["name"] for row in names if row["namespace"] == self.namespace)

    def ask(self, role: str, method: str, *args: Any) -> Any:
        """Call one actor; ConfigError when it does not answer."""
        import ray

        try:
            handle = ray.get_actor(role, namespace=self.namespace)
            return ray.get(getattr(handle, method).remote(*args), timeout=CALL_TIMEOUT_S)
        except (ValueError, ray.exceptions.RayError) as error:
            raise ConfigError(f"{role} does not answer ({type(error).__name__})") from None

    def ask_all(self, prefix: str, method: str) -> dict[str, Any]:
        """Ask every actor of a kind; who does not answer is missing from the result."""
        answers = {}
        for role in self.roles:
            if role.startswith(prefix):
                try:
                    answers[role] = self.ask(role, method)
                except ConfigError:
                    continue
        return answers


@app.command()
def status(address: Address = "auto", account: Account = "") -> None:
    """State of risk, gateways and every symbol."""
    with _one_line_errors():
        remote = Remote(address, account)
        console = Console()
        risk = remote.ask("risk", "status")
        console.print(f"{remote.namespace}: risk {risk.get('state', '?')} {risk.get('reason', '')}", highlight=False)
        for role, one in remote.ask_all("gateway:", "status").items():
            console.print(
                f"{role}: {one.get('state', '?')}, {one.get('orders_open', '?')} open orders", highlight=False
            )
        table = Table("symbol", "bid", "ask", "position lots", "state", "why", box=None)
        for one in remote.ask_all("quote:", "status").values():
            for symbol, row in one.get("symbols", {}).items():
                why = "; ".join(sorted({str(row.get("bid_reason", "")), str(row.get("ask_reason", ""))}))
                cells = [
                    symbol,
                    row.get("bid", "–"),
                    row.get("ask", "–"),
                    row.get("position_lots", 0),
                    row.get("state", ""),
                ]
                table.add_row(*(str(cell) for cell in cells), why)
        console.print(table)


@app.command()
def why(symbol: str, address: Address = "auto", account: Account = "") -> None:
    """Why a symbol is, or is not, being quoted."""
    with _one_line_errors():
        remote = Remote(address, account)
        console = Console()
        for role, one in remote.ask_all("quote:", "status").items():
            row = one.get("symbols", {}).get(symbol)
            if row is not None:
                console.print(f"{role}: bid {row.get('bid_reason')}, ask {row.get('ask_reason')}", highlight=False)
                break
        else:
            raise ConfigError(f"{symbol} is not traded by this fleet")
        for key, value in dict(remote.ask("risk", "why", symbol)).items():
            console.print(f"risk: {key} {value}", highlight=False)


@app.command()
def kill(
    symbol: Annotated[str, typer.Option(help="one symbol; default all")] = "",
    reason: str = "operator",
    address: Address = "auto",
    account: Account = "",
) -> None:
    """Cancel everything now and stay stopped (FULL_STOP)."""
    with _one_line_errors():
        remote = Remote(address, account)
        print(remote.ask("risk", "command", "kill", symbol, reason))


class _one_line_errors:  # used like a function
    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ConfigError):
            refuse(error)


if __name__ == "__main__":
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
