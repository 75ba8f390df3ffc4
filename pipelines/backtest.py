"""Ask recordings what the fleet would have done: `python -m pipelines.backtest --data FILE --model fixed`.

The same brains as `pipelines.mm`, in one process, on the recordings' own clock; orders and fills are those of
`pipelines.mm --replay FILE --speed max` with the same settings and seed. The run folder is the same too, and audited
the same way; nothing in `summary.json` and `orders.jsonl` depends on when or how fast it ran.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, get_args

import typer

from actors.sim.recording import RecordingFacts
from actors.transport.venue_recording import merge_frames, refuse_apart
from actors.vocab.config import FleetSettings
from actors.vocab.config.quote import ModelName
from actors.vocab.errors import ConfigError, VenueFault
from pipelines.chain import Chain
from pipelines.chain.report import Recorder
from pipelines.exits import ExitCode, run
from pipelines.plan import RunPlan, parse_duration, run_dir_of
from pipelines.preflight import check_bands, check_settings, claim_run_dir
from pipelines.replay import surveyed
from pipelines.settings import load_settings
from pipelines.symbols import parse_symbols

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

# Mixes of `sim/faults.py` that need no connection to break and no answer to stay away.
FAULTS = ("none", "late", "refusing")


@app.command()
def main(
    data: Annotated[list[Path] | None, typer.Option(help="a recording; may be repeated")] = None,
    symbols: Annotated[str, typer.Option(help="BTCUSDT,ETHUSDT or a file; default all that were recorded")] = "",
    model: Annotated[str, typer.Option(help="pricing model by name; short for --set quote.model=NAME")] = "",
    duration: Annotated[str | None, typer.Option(help="recorded time to play: 60s, 15m, 2h; default all")] = None,
    conf: Annotated[list[Path] | None, typer.Option(help="a YAML file of settings; may be repeated")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="quote.gamma=0.1; may be repeated")] = None,
    run_dir: Annotated[Path | None, typer.Option(help="where report and ledgers go; default runs/<id>")] = None,
    seed: Annotated[int, typer.Option(help="of the simulated venue", min=0)] = 1,
    json_: Annotated[
        bool, typer.Option("--json", help="print summary.json at the end, and nothing else on stdout")
    ] = False,
) -> None:
    """Play recordings through the fleet's brains and write the report."""
    plan, facts = _plan(
        data=data or [],
        symbols=symbols,
        model=model,
        duration=duration,
        conf=conf or [],
        set_=set_ or [],
        run_dir=run_dir,
        seed=seed,
    )
    claim = claim_run_dir(plan.run_dir)
    try:
        sys.exit(_play(plan, facts, as_json=json_))
    finally:
        claim.release()


def _plan(
    *,
    data: Sequence[Path],
    symbols: str,
    model: str,
    duration: str | None,
    conf: Sequence[Path],
    set_: Sequence[str],
    run_dir: Path | None,
    seed: int,
) -> tuple[RunPlan, list[RecordingFacts]]:
    settings = played_settings(model=model, conf=conf, set_=set_)
    facts = surveyed(data)
    refuse_apart(facts)
    recorded = tuple(dict.fromkeys(symbol.symbol for each in facts for symbol in each.symbols))
    wanted = parse_symbols(symbols) if symbols else recorded
    for symbol in wanted:
        if symbol not in recorded:
            raise ConfigError(f"--symbols: the recordings hold {', '.join(recorded)}, not {symbol}")
    check_bands(settings, wanted)
    duration_s = parse_duration(duration)
    run_id = _run_id(data, wanted, duration_s, settings, seed)
    plan = RunPlan(
        run_id=run_id,
        mode="sim",
        symbols=wanted,
        venues=tuple(dict.fromkeys(f"binance_{each.market}" for each in facts)),
        settings=settings,
        run_dir=run_dir_of(run_dir, run_id),
        account=f"sim-{run_id}",
        seed=seed,
        duration_s=duration_s,
        replay=tuple(path.absolute() for path in data),
        speed="max",
        use_llm=False,
    )
    return plan, facts


def played_settings(*, model: str, conf: Sequence[Path], set_: Sequence[str]) -> FleetSettings:
    """Settings that a chain can play; ConfigError names key and remedy."""
    models = get_args(ModelName)
    if model and model not in models:
        raise ConfigError(f"--model {model}: choose one of {', '.join(models)}")
    settings = load_settings(conf, [*set_, *([f"quote.model={model}"] if model else [])])
    check_settings(settings, use_llm=False)
    if settings.sim.faults not in FAULTS:
        raise ConfigError(
            f"sim.faults={settings.sim.faults}: a backtest has no connections; choose {', '.join(FAULTS)}"
        )
    return settings


def _run_id(
    data: Sequence[Path], symbols: Sequence[str], duration_s: float | None, settings: FleetSettings, seed: int
) -> str:
    """The same question has the same name."""
    asked = json.dumps([[path.name for path in data], symbols, duration_s, settings.model_dump_json(), seed])
    return f"backtest-{hashlib.blake2s(asked.encode()).hexdigest()[:12]}"


def _play(plan: RunPlan, facts: Sequence[RecordingFacts], *, as_json: bool) -> int:
    began_s = time.monotonic()
    chain = Chain(
        facts,
        plan.settings,
        seed=plan.seed,
        symbols=plan.symbols,
        groups=plan.quote_groups(),
        run_id=plan.run_id,
        length_s=plan.duration_s or 0.0,
    )
    recorder = Recorder(plan, chain, last_ns=max(each.last_ns for each in facts))
    for step in chain.play(merge_frames(plan.replay)):
        recorder.look(step)
    took_s = time.monotonic() - began_s
    try:
        audit = asyncio.run(recorder.audited())
    except (ConfigError, VenueFault) as error:
        print(f"not audited: {error}", file=sys.stderr)
        audit = None
    summary, failed = recorder.write(audit)
    if as_json:
        print(json.dumps(summary, indent=1))
    else:
        print(f"{plan.run_dir}: {_told(chain, took_s)}")
        pnl = summary["pnl"]
        print(
            f"net {pnl['net_usd']:+.4f} USD = capture {pnl['spread_capture_usd']:+.4f} + inventory "
            f"{pnl['inventory_usd']:+.4f} - fees {pnl['fees_usd']:.4f} + funding {pnl['funding_usd']:+.4f}; "
            f"{summary['fills_count']} fills of {summary['orders']['placed']} orders"
        )
        for symbol, reason in recorder.never_quoted().items():
            print(f"{symbol} was never quoted on both sides: {reason}")
    for line in failed:
        print(f"must be zero: {line}", file=sys.stderr)
    if failed or (audit is not None and not audit.is_good):
        if audit is not None and not audit.is_good:
            print(
                "the audit finds differences: run python -m pipelines.audit_ledger on the run folder", file=sys.stderr
            )
        return ExitCode.FAILED
    return ExitCode.FULL_STOP if summary["risk"].get("state") == "FULL_STOP" else ExitCode.FINE


def _told(chain: Chain, took_s: float) -> str:
    return (
        f"{chain.frames_count} frames and {chain.decisions_count} decisions in {took_s:.1f} s, "
        f"{chain.frames_count / took_s:.0f} frames/s"
    )


if __name__ == "__main__":
    run(app, "pipelines.backtest")
