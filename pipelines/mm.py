"""The main job: quote many symbols over one Ray cluster. `python -m pipelines.mm --symbols top50`."""

from __future__ import annotations

import os
import secrets
import signal
import sys
from pathlib import Path
from typing import Annotated

if __name__ == "__main__":
    # Until the launcher takes over nothing runs that would need an end in order: no traceback out of an import.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import typer

from actors.vocab.errors import ConfigError
from pipelines.exits import run
from pipelines.launcher import in_own_session
from pipelines.plan import RunPlan, live_journal_path, new_run_id, parse_duration, run_dir_of
from pipelines.preflight import (
    check_account_name,
    check_address,
    check_bands,
    check_live,
    check_settings,
    claim_account,
    claim_journal,
    claim_run_dir,
)
from pipelines.settings import load_settings, settings_text
from pipelines.symbols import MARKETS, parse_symbols, parse_venues, refuse_unlisted, universe_symbols

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    symbols: Annotated[str, typer.Option(help="top50, BTCUSDT,ETHUSDT or a file with one symbol a line")] = "",
    mode: Annotated[str, typer.Option(help="sim | paper: real market data, simulated fills | live: not built")] = "sim",
    venues: Annotated[str, typer.Option(help="comma list of venues; binance")] = "binance",
    market: Annotated[str | None, typer.Option(help="perp (default) | spot; of a recording it is known")] = None,
    duration: Annotated[str | None, typer.Option(help="60s, 15m, 2h; counted from when all symbols quote")] = None,
    replay: Annotated[list[Path] | None, typer.Option(help="a recording; may be repeated")] = None,
    speed: Annotated[str, typer.Option(help="1x | max (lock-step), for --replay")] = "1x",
    conf: Annotated[list[Path] | None, typer.Option(help="a YAML file of settings; may be repeated")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="quote.gamma=0.1; may be repeated")] = None,
    show_settings: Annotated[
        bool, typer.Option("--show-settings", help="print every key with its value and meaning, and start nothing")
    ] = False,
    venue_endpoints: Annotated[
        Path | None, typer.Option(help="what pipelines.sim wrote here: trade there; on paper: listen there")
    ] = None,
    address: Annotated[str | None, typer.Option(help="join this Ray cluster (auto) instead of starting one")] = None,
    detach: Annotated[
        bool, typer.Option(help="a lost terminal stops nothing; risk and gateways outlive a driver that is killed")
    ] = False,
    run_dir: Annotated[Path | None, typer.Option(help="where report and logs go; default runs/<id>")] = None,
    account: Annotated[str, typer.Option(help="account name: one run at a time has it; default one of its own")] = "",
    seed: Annotated[int | None, typer.Option(help="of the simulation; shown in the summary", min=0)] = None,
    json_: Annotated[
        bool, typer.Option("--json", help="print summary.json at the end, and nothing else on stdout")
    ] = False,
    no_llm: Annotated[bool, typer.Option("--no-llm", help="run without the model pool")] = False,
) -> None:
    """Quote until Ctrl-C or --duration; then cancel every order and write the report."""
    _check_words(mode=mode, speed=speed, market=market, is_replay=bool(replay))
    parse_duration(duration)
    if show_settings:
        print(settings_text(load_settings(conf or [], set_ or [])), end="")
        return
    plan = _plan(
        symbols=symbols,
        mode=mode,
        venues=venues,
        market=market,
        duration=duration,
        replay=replay or [],
        speed=speed,
        conf=conf or [],
        set_=set_ or [],
        venue_endpoints=venue_endpoints,
        address=address,
        detach=detach,
        run_dir=run_dir,
        account=account,
        seed=seed,
        no_llm=no_llm,
    )
    # Held by open files until this process and its fork have ended, however they end.
    claims = [claim_account(plan.account)] if account else []
    claims.append(claim_run_dir(plan.run_dir))
    from pipelines.supervisor import supervise  # Ray is imported only once the input is known to be good

    sys.exit(in_own_session(lambda: supervise(plan, as_json=json_)))


def _plan(
    *,
    symbols: str,
    mode: str,
    venues: str,
    market: str | None,
    duration: str | None,
    replay: list[Path],
    speed: str,
    conf: list[Path],
    set_: list[str],
    venue_endpoints: Path | None,
    address: str | None,
    detach: bool,
    run_dir: Path | None,
    account: str,
    seed: int | None,
    no_llm: bool,
) -> RunPlan:
    settings = load_settings(conf, set_)
    # A model answers when it likes: in lock-step its opinions would come at chance moments.
    use_llm = settings.llm.enabled and not no_llm and speed != "max"
    venue_ids = parse_venues(venues, market or "perp")
    if mode == "live":
        check_live(venue_ids, settings, use_llm=use_llm, environ=os.environ)
        if not account:
            raise ConfigError("--mode live: --account is missing; name the account whose journal this run continues")
        check_account_name(account)
        claim_journal(live_journal_path(account), account)
        raise ConfigError("--mode live: not built so far; see README, what it does not do")
    if mode == "paper" and replay:
        raise ConfigError("--mode paper: listens to the market of now; leave --replay out")
    if account:
        check_account_name(account)
    check_settings(settings, use_llm=use_llm)
    if address is not None:
        check_address(address, os.environ)
    if replay:
        from pipelines.replay import inspect

        facts = inspect(replay)
        wanted = parse_symbols(symbols) if symbols else facts.symbols
        for symbol in wanted:
            if symbol not in facts.symbols:
                raise ConfigError(f"--symbols: the recordings hold {', '.join(facts.symbols)}, not {symbol}")
        if market and facts.venues != venue_ids:
            raise ConfigError(f"--market {market}: the recordings are of {' and '.join(facts.venues)}; leave it out")
        chosen, venue_ids = wanted, facts.venues
    elif symbols:
        chosen = parse_symbols(symbols, market or "perp")
        if mode == "sim":  # on paper the venue itself says what it lists
            refuse_unlisted(chosen, universe_symbols(market or "perp"), where=f"the simulated {market or 'perp'} venue")
    else:
        raise ConfigError("--symbols is missing: write --symbols top50, or BTCUSDT,ETHUSDT, or a file")
    check_bands(settings, chosen)
    duration_s = parse_duration(duration)
    if venue_endpoints:
        if replay:
            raise ConfigError("--venue-endpoints: a --replay brings its own venue; leave one of them out")
        from pipelines.endpoints import read_endpoints

        read_endpoints(venue_endpoints, venues=venue_ids, symbols=chosen)
    run_id = new_run_id()
    return RunPlan(
        run_id=run_id,
        mode="paper" if mode == "paper" else "sim",
        symbols=chosen,
        venues=venue_ids,
        settings=settings,
        run_dir=run_dir_of(run_dir, run_id),
        account=account or f"{mode}-{run_id}",
        seed=seed if seed is not None else secrets.randbits(31),
        duration_s=duration_s,
        replay=tuple(path.absolute() for path in replay),
        speed="max" if speed == "max" else "1x",
        address=address,
        detach=detach,
        use_llm=use_llm,
        venue_endpoints=venue_endpoints.absolute() if venue_endpoints else None,
    )


def _check_words(*, mode: str, speed: str, market: str | None, is_replay: bool) -> None:
    if mode not in ("sim", "paper", "live"):
        raise ConfigError(f"--mode {mode}: choose sim, paper or live")
    if speed not in ("1x", "max"):
        raise ConfigError(f"--speed {speed}: choose 1x or max")
    if speed == "max" and not is_replay:
        raise ConfigError("--speed max: only a --replay can run faster than time")
    if market is not None and market not in MARKETS:
        raise ConfigError(f"--market {market}: choose perp or spot")


if __name__ == "__main__":
    run(app, "pipelines.mm")
