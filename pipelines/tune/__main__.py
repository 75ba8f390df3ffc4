"""Choose parameters on recordings, and show what the choice was worth on time that it had not seen.

`python -m pipelines.tune --data FILE --search quote.gamma=0.02:0.5:log`: see docs/tuning.md.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from actors.sim.recording import RecordingFacts
from actors.transport.venue_recording import GAP_MAX_NS
from actors.vocab.config import FleetSettings
from actors.vocab.errors import ConfigError
from actors.vocab.units import NS_PER_S
from pipelines.backtest import played_settings
from pipelines.exits import ExitCode, run
from pipelines.launcher import in_own_session
from pipelines.plan import parse_duration
from pipelines.preflight import check_address, check_bands, claim_tuning_dir
from pipelines.replay import surveyed
from pipelines.symbols import parse_symbols
from pipelines.tune.folder import BEST, RESULT, TABLE, Outcomes, conf_text, evidence_lines, write_table
from pipelines.tune.folds import SCORES, Outcome, Span, Walk, by_window, cut_windows, walk_forward
from pipelines.tune.play import Session
from pipelines.tune.space import Trial, draw_trials, parse_searches, settings_of, values_in

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Tuning(msgspec.Struct, frozen=True):
    """Everything that was asked, checked."""

    folder: Path
    base: FleetSettings
    trials: list[Trial]  # the defaults first
    sessions: list[Session]
    spans: list[Span]
    score: str
    fills_min: int
    address: str | None
    question: dict[str, Any]  # what outcomes depend on, as the folder keeps it


@app.command()
def main(
    data: Annotated[list[Path] | None, typer.Option(help="a recording; may be repeated")] = None,
    search: Annotated[
        list[str] | None, typer.Option(help="quote.gamma=0.02:0.5:log or quote.levels_count=1,2,3; may be repeated")
    ] = None,
    symbols: Annotated[str, typer.Option(help="BTCUSDT,ETHUSDT or a file; default all that were recorded")] = "",
    model: Annotated[str, typer.Option(help="pricing model by name; short for --set quote.model=NAME")] = "",
    trials: Annotated[int, typer.Option(help="points to draw, besides the defaults", min=1, max=100_000)] = 20,
    folds: Annotated[int, typer.Option(help="steps of the walk, each a window out of sample", min=1, max=100)] = 3,
    score: Annotated[str, typer.Option(help=f"what is best: {', '.join(SCORES)}")] = "net_less_drawdown",
    fills_min: Annotated[int, typer.Option(help="fewer in sample, and a trial is not chosen", min=1)] = 1,
    warm_up: Annotated[str, typer.Option(help="recorded time that does not count at each start")] = "30s",
    duration: Annotated[str | None, typer.Option(help="recorded time of each session to use: 15m, 2h")] = None,
    conf: Annotated[list[Path] | None, typer.Option(help="a YAML file of settings; may be repeated")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="quote.order_usd=500; may be repeated")] = None,
    run_dir: Annotated[Path | None, typer.Option(help="where outcomes go; the same folder goes on with them")] = None,
    seed: Annotated[int, typer.Option(help="of the draws and of the simulated venue", min=0)] = 1,
    address: Annotated[str | None, typer.Option(help="of a running Ray: HOST:PORT or auto")] = None,
) -> None:
    """Tune parameters on recordings, walk-forward."""
    if score not in SCORES:
        raise ConfigError(f"--score {score}: choose one of {', '.join(SCORES)}")
    base = played_settings(model=model, conf=conf or [], set_=set_ or [])
    searches = parse_searches(search or [], base)
    points = draw_trials(searches, trials_count=trials, seed=seed)
    for point in points:
        try:
            settings_of(base, point)
        except ConfigError as error:
            raise ConfigError(f"--search: together {_shown(point)} is refused ({error}); narrow one of them") from None
    if run_dir is None:
        raise ConfigError("--run-dir is missing: name a folder, with which the same command can go on later")
    warm_up_s = 0.0 if warm_up.rstrip("smh") == "0" else parse_duration(warm_up, option="--warm-up") or 0.0
    duration_s = parse_duration(duration)
    if address is not None:
        check_address(address, os.environ)
    _require_tune()
    grouped = _sessions(surveyed(data or []))
    wanted = _wanted(symbols, grouped)
    check_bands(base, wanted)
    ends = [_ends(one, duration_s) for one in grouped]
    spans = cut_windows(ends, folds_count=folds, warm_up_s=warm_up_s)
    tuning = Tuning(
        folder=run_dir.absolute(),
        base=base,
        trials=points,
        sessions=[
            Session(
                tuple(str(Path(each.name).absolute()) for each in facts),
                tuple(facts),
                tuple(symbol for symbol in wanted if symbol in _recorded(facts)),
                tuple(span for span in spans if span.session == number),
                seed,
            )
            for number, facts in enumerate(grouped)
        ],
        spans=spans,
        score=score,
        fills_min=fills_min,
        address=address,
        question={
            "data": [_described(each) for facts in grouped for each in facts],
            "symbols": list(wanted),
            "search": search or [],
            "folds": folds,
            "window_s": sum(span.end_ns - span.begin_ns for span in spans if span.window == 0) / NS_PER_S,
            "warm_up_s": warm_up_s,
            "duration_s": duration_s,
            "seed": seed,
            "settings": base.model_dump(mode="json", exclude_defaults=True),
        },
    )
    claim = claim_tuning_dir(tuning.folder)
    try:
        outcomes = Outcomes(tuning.folder, tuning.question)
        sys.exit(in_own_session(lambda: _tune(tuning, outcomes)))
    finally:
        claim.release()


# --- what was asked ----------------------------------------------------------------------------------------------


def _require_tune() -> None:
    from importlib.util import find_spec

    if not find_spec("pandas") or not find_spec("tensorboardX"):  # what Ray Tune needs beyond Ray
        raise ConfigError("Ray Tune is not installed; run pip install -e '.[tune]', or make setup")


def _sessions(facts: Sequence[RecordingFacts]) -> list[list[RecordingFacts]]:
    """Recordings in time order; those that a backtest would play together are one session."""
    found: list[list[RecordingFacts]] = []
    end_ns = 0
    for each in sorted(facts, key=lambda one: (one.first_ns, one.name)):
        if found and each.first_ns - end_ns <= GAP_MAX_NS:
            found[-1].append(each)
        else:
            found.append([each])
        end_ns = max(end_ns, each.last_ns)
    return found


def _recorded(facts: Sequence[RecordingFacts]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(symbol.symbol for each in facts for symbol in each.symbols))


def _wanted(symbols: str, grouped: Sequence[Sequence[RecordingFacts]]) -> tuple[str, ...]:
    recorded = tuple(dict.fromkeys(symbol for facts in grouped for symbol in _recorded(facts)))
    wanted = parse_symbols(symbols) if symbols else recorded
    for symbol in wanted:
        if symbol not in recorded:
            raise ConfigError(f"--symbols: the recordings hold {', '.join(recorded)}, not {symbol}")
    for facts in grouped:
        if not set(wanted) & set(_recorded(facts)):
            raise ConfigError(f"--data {facts[0].name}: holds none of {', '.join(wanted)}; leave it out")
    return wanted


def _ends(facts: Sequence[RecordingFacts], duration_s: float | None) -> tuple[int, int]:
    first_ns, last_ns = min(each.first_ns for each in facts), max(each.last_ns for each in facts)
    return first_ns, min(last_ns, first_ns + int(duration_s * NS_PER_S)) if duration_s else last_ns


def _described(facts: RecordingFacts) -> str:
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(facts.first_ns // NS_PER_S))
    return (
        f"{Path(facts.name).name}: {facts.frames_count} frames, {(facts.last_ns - facts.first_ns) / NS_PER_S:.0f} s "
        f"from {began} UTC"
    )


def _shown(trial: Trial) -> str:
    return " ".join(f"{key}={value}" for key, value in trial.items())


# --- playing and choosing ----------------------------------------------------------------------------------------


def _tune(tuning: Tuning, outcomes: Outcomes) -> int:
    """Play what is missing, then choose. Returns the exit code."""
    jobs: list[dict[str, Any]] = [
        {"trial": number, "session": session, "settings": settings_of(tuning.base, trial).model_dump_json()}
        for number, trial in enumerate(tuning.trials)
        for session in range(len(tuning.sessions))
        if outcomes.of(trial, session) is None
    ]
    whole = len(tuning.trials) * len(tuning.sessions)
    failed = _play(tuning, outcomes, jobs, done_count=whole - len(jobs)) if jobs else []
    missing = [job for job in jobs if outcomes.of(tuning.trials[job["trial"]], job["session"]) is None]
    for line in failed:
        print(line, file=sys.stderr)
    if len(missing) > len(failed):
        print(f"{whole - len(missing)} of {whole} plays finished; the same command goes on from here", file=sys.stderr)
        return ExitCode.INTERRUPTED
    windows = _windows(tuning, outcomes)
    if 0 not in windows:
        print("the defaults could not be played, so there is nothing to compare with", file=sys.stderr)
        return ExitCode.FAILED
    walk = walk_forward(windows, SCORES[tuning.score], fills_min=tuning.fills_min)
    if walk is None:
        (tuning.folder / BEST).unlink(missing_ok=True)
        print(
            f"no trial was filled often enough (--fills-min {tuning.fills_min}): take longer recordings with both "
            "sides of the book, a search with narrower spreads, or a smaller --fills-min",
            file=sys.stderr,
        )
        return ExitCode.FAILED
    _report(tuning, windows, walk)
    return ExitCode.FAILED if failed else ExitCode.FINE


def _play(tuning: Tuning, outcomes: Outcomes, jobs: Sequence[dict[str, Any]], *, done_count: int) -> list[str]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from pipelines.tune.ray_trials import run_trials

    with Progress(
        TextColumn("plays"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=Console(stderr=True)
    ) as progress:
        bar = progress.add_task("", total=done_count + len(jobs), completed=done_count)

        def finished(job: dict[str, Any], found: list[dict[str, Any]]) -> None:
            outcomes.add(tuning.trials[job["trial"]], job["session"], found)
            progress.advance(bar)

        return run_trials(jobs, tuning.sessions, folder=tuning.folder, address=tuning.address, finished=finished)


def _windows(tuning: Tuning, outcomes: Outcomes) -> dict[int, list[Outcome]]:
    """Number of each trial that was played whole -> its outcomes by window."""
    windows = {}
    for number, trial in enumerate(tuning.trials):
        found = [outcomes.of(trial, session) for session in range(len(tuning.sessions))]
        if all(one is not None for one in found):
            windows[number] = by_window(tuning.spans, [outcome for one in found if one for outcome in one])
    return windows


def _report(tuning: Tuning, windows: dict[int, list[Outcome]], walk: Walk) -> None:
    """The table here; tune.json, a Parquet file and the conf file in the folder."""
    from rich.console import Console

    from pipelines.tune.table import trials_table

    score = SCORES[tuning.score]
    score_text = f"{tuning.score}, {(score.__doc__ or '').rstrip('.')}"
    chosen = tuning.trials[walk.best]
    evidence = evidence_lines(
        tuning.question,
        walk,
        trials_count=len(tuning.trials) - 1,
        fills_min=tuning.fills_min,
        score_text=score_text,
        day=time.strftime("%Y-%m-%d", time.gmtime()),
    )
    values = [values_in(settings_of(tuning.base, trial), tuning.trials[-1]) for trial in tuning.trials]
    (tuning.folder / BEST).write_text(conf_text(settings_of(tuning.base, chosen), values[0], evidence))
    write_table(tuning.folder / TABLE, values, windows)
    result = {
        "question": tuning.question,
        "score": tuning.score,
        "fills_min": tuning.fills_min,
        "walk": msgspec.to_builtins(walk),
        "best": values[walk.best],
        "trials": [
            {"trial": number, "values": values[number], "windows": msgspec.to_builtins(outcomes)}
            for number, outcomes in windows.items()
        ],
    }
    (tuning.folder / RESULT).write_text(json.dumps(result, indent=1) + "\n")
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(trials_table(values, windows, walk, score, name=score_text))
    print(
        f"out of sample, all folds: {walk.out_of_sample:+.4f}, the defaults {walk.default_out_of_sample:+.4f}; "
        f"{tuning.folder / BEST}"
    )
    for line in evidence:
        if line.startswith("WARNING"):
            print(line, file=sys.stderr)


if __name__ == "__main__":
    run(app, "pipelines.tune")
