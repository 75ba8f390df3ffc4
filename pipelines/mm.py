"""The main job: quote many symbols over one Ray cluster. `python -m pipelines.mm --symbols top50`."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import Annotated

import typer

from actors.vocab.errors import ConfigError
from pipelines.exits import ExitCode, refuse
from pipelines.launcher import in_own_session
from pipelines.plan import RunPlan, make_run_dir, new_run_id, parse_duration
from pipelines.settings import load_settings
from pipelines.symbols import parse_symbols, parse_venues

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    symbols: Annotated[str, typer.Option(help="top50, BTCUSDT,ETHUSDT or a file with one symbol a line")] = "",
    mode: Annotated[str, typer.Option(help="sim | paper | live")] = "sim",
    venues: Annotated[str, typer.Option(help="comma list of venues")] = "binance",
    market: Annotated[str, typer.Option(help="perp | spot")] = "perp",
    duration: Annotated[str | None, typer.Option(help="60s, 15m, 2h; counted from when all symbols quote")] = None,
    replay: Annotated[list[Path] | None, typer.Option(help="a recording; may be repeated")] = None,
    speed: Annotated[str, typer.Option(help="1x | max (lock-step), for --replay")] = "1x",
    conf: Annotated[list[Path] | None, typer.Option(help="a YAML file of settings; may be repeated")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="quote.gamma=0.1; may be repeated")] = None,
    address: Annotated[str | None, typer.Option(help="join this Ray cluster (auto) instead of starting one")] = None,
    detach: Annotated[bool, typer.Option(help="leave the fleet running when this terminal goes")] = False,
    run_dir: Annotated[Path | None, typer.Option(help="where report and logs go; default runs/<id>")] = None,
    account: Annotated[str, typer.Option(help="account name; its journal outlives the run in live mode")] = "",
    seed: Annotated[int | None, typer.Option(help="of the simulation; shown in the summary")] = None,
    json_: Annotated[
        bool, typer.Option("--json", help="print summary.json at the end, and nothing else on stdout")
    ] = False,
    no_llm: Annotated[bool, typer.Option("--no-llm", help="run without the model pool")] = False,
) -> None:
    """Quote until Ctrl-C or `--duration`; then cancel everything and write the report."""
    try:
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
            address=address,
            detach=detach,
            run_dir=run_dir,
            account=account,
            seed=seed,
            no_llm=no_llm,
        )
    except ConfigError as error:
        refuse(error)
    from pipelines.supervisor import supervise  # Ray is imported only once the input is known to be good

    sys.exit(in_own_session(lambda: supervise(plan, as_json=json_)))


def _plan(
    *,
    symbols: str,
    mode: str,
    venues: str,
    market: str,
    duration: str | None,
    replay: list[Path],
    speed: str,
    conf: list[Path],
    set_: list[str],
    address: str | None,
    detach: bool,
    run_dir: Path | None,
    account: str,
    seed: int | None,
    no_llm: bool,
) -> RunPlan:
    if mode not in ("sim", "paper", "live"):
        raise ConfigError(f"--mode {mode}: choose sim, paper or live")
    if mode != "sim":
        raise ConfigError(f"--mode {mode}: only sim is built so far; see README, what it does not do")
    if speed not in ("1x", "max"):
        raise ConfigError(f"--speed {speed}: choose 1x or max")
    if speed == "max" and not replay:
        raise ConfigError("--speed max: only a --replay can run faster than time")
    settings = load_settings(conf, set_)
    venue_ids = parse_venues(venues, market)
    if replay:
        from pipelines.replay import inspect

        facts = inspect(replay)
        wanted = parse_symbols(symbols) if symbols else facts.symbols
        for symbol in wanted:
            if symbol not in facts.symbols:
                raise ConfigError(f"--symbols: the recordings hold {', '.join(facts.symbols)}, not {symbol}")
        chosen, venue_ids = wanted, facts.venues
    elif symbols:
        chosen = parse_symbols(symbols)
        from pipelines.symbols import refuse_unlisted, universe_symbols

        refuse_unlisted(chosen, universe_symbols(), where="the simulated venue")
    else:
        raise ConfigError("--symbols is missing: write --symbols top50, or BTCUSDT,ETHUSDT, or a file")
    duration_s = parse_duration(duration)
    run_id = new_run_id()
    return RunPlan(
        run_id=run_id,
        mode="sim",
        symbols=chosen,
        venues=venue_ids,
        settings=settings,
        run_dir=make_run_dir(run_dir, run_id),
        account=account or f"sim-{run_id}",
        seed=seed if seed is not None else secrets.randbits(31),
        duration_s=duration_s,
        replay=tuple(path.absolute() for path in replay),
        speed="max" if speed == "max" else "1x",
        address=address,
        detach=detach,
        # A model answers when it likes: in lock-step its opinions would come at chance moments.
        use_llm=settings.llm.enabled and not no_llm and speed != "max",
    )


if __name__ == "__main__":
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
