"""What the models' opinions of a run cost and earned: `python -m pipelines.opinions report|replay RUN_DIR`."""

from __future__ import annotations

import datetime
import itertools
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
import yaml
from rich.console import Console
from rich.table import Table

from actors.console.report_models import sentence
from actors.journal.opinions import CallRow, OpinionRow, OpinionStore, opinions_path
from actors.treasury.review import costs, rescored, scored_of
from actors.treasury.scorecard import CONFIDENCE_BINS, Scorecard, Scored
from actors.vocab.config import FleetSettings, LlmSettings
from actors.vocab.errors import ConfigError
from pipelines.exits import run as run_command
from pipelines.run_folder import read_run

MODELS_FILE = Path(__file__).parent.parent / "conf" / "models.yaml"
SYMBOLS_SHOWN = 10
FACTOR_STEP = 1e-6  # factors nearer than this are the same

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)
RunDir = Annotated[Path, typer.Argument(metavar="RUN_DIR", help="folder of a run, as its last line named it")]


@app.command()
def report(run_dir: RunDir) -> None:
    """Cost by day, model and purpose; what opinions earned, with what confidence, and how often they were right."""
    settings, calls, opinions = _read(run_dir)
    console = Console()
    show_costs(console, calls)
    show_scores(console, [scored_of(row) for row in opinions], settings)


@app.command()
def replay(run_dir: RunDir) -> None:
    """The same score, with every journalled answer read again by today's schema and rules."""
    settings, calls, opinions = _read(run_dir)
    by_id = {call.call_id: call for call in calls}
    again = [(row, rescored(row, by_id)) for row in opinions]
    dropped = sum(scored is None for _, scored in again)
    changed = sum(scored is not None and _differs(row, scored) for row, scored in again)
    console = Console()
    console.print(f"{len(opinions)} opinions: {changed} would act differently today, {dropped} would be none")
    show_scores(console, [scored for _, scored in again if scored is not None], settings)


def show_costs(console: Console, calls: Iterable[CallRow]) -> None:
    """Money in the account's currency as well, where `conf/models.yaml` names a rate."""
    conf = yaml.safe_load(MODELS_FILE.read_text())
    currency, rate = conf["currency"], float(conf["per_usd"])
    names = ("day", "model", "purpose", "calls", "items", "tokens in", "out", "ms mean", "USD")
    table = Table(*names, *([currency] if currency != "USD" else []), box=None, pad_edge=False)
    for (day, model, purpose), line in sorted(costs(calls).items()):
        date = datetime.date.fromordinal(datetime.date(1970, 1, 1).toordinal() + day)
        figures = (line.calls_count, line.items_count, line.tokens_in, line.tokens_out)
        money = [f"{line.usd:.6f}"] + ([f"{line.usd * rate:.6f}"] if currency != "USD" else [])
        latency = f"{line.latency_ms_sum / line.calls_count:.0f}"
        table.add_row(str(date), model, purpose, *map(str, figures), latency, *money)
    console.print(table)


def show_scores(console: Console, scored: list[Scored], settings: LlmSettings) -> None:
    """A sentence a model, then calibration, then the dearest symbols."""
    card_of = Scorecard(stake_usd=settings.stake_usd, confidence=settings.mute_confidence)
    by_symbol: dict[str, Scorecard] = defaultdict(
        lambda: Scorecard(stake_usd=settings.stake_usd, confidence=settings.mute_confidence)
    )
    for one in scored:
        card_of.add(one)
        by_symbol[one.opinion.symbol].add(one)
    for model, card in sorted(card_of.cards.items()):
        muted = " It is muted." if settings.opinions == "auto" and card.verdict == "loses" else ""
        console.print(sentence(model, card.row()) + muted, highlight=False)
    bins = Table("model", *_bin_names(), box=None, pad_edge=False, title="right direction by confidence (opinions)")
    for model, card in sorted(card_of.cards.items()):
        bins.add_row(model, *(f"{one.mean:.0%} ({one.count})" if one.count else "–" for one in card.bins))
    console.print(bins)
    symbols = Table("symbol", "model", "opinions", "markout bps", "earned USD", "cost USD", box=None, pad_edge=False)
    rows = [(symbol, model, card) for symbol, cards in by_symbol.items() for model, card in cards.cards.items()]
    for symbol, model, card in sorted(rows, key=lambda row: -row[2].cost_usd)[:SYMBOLS_SHOWN]:
        figures = (f"{card.markout_bps.mean:+.2f}", f"{card.earned_usd:+.6f}", f"{card.cost_usd:.6f}")
        symbols.add_row(symbol, model, str(card.count), *figures)
    console.print(symbols)


def _bin_names() -> list[str]:
    edges = (0.0, *CONFIDENCE_BINS)
    return [f"{low:g}–{high:g}" for low, high in itertools.pairwise(edges)]


def _differs(row: OpinionRow, scored: Scored) -> bool:
    new = scored.opinion
    return (
        abs(new.bid_factor - row.bid_factor) > FACTOR_STEP
        or abs(new.ask_factor - row.ask_factor) > FACTOR_STEP
        or new.action != row.action
    )


def _read(run_dir: Path) -> tuple[LlmSettings, list[CallRow], list[OpinionRow]]:
    """The run's settings and journal; a simulated run's journal lies in its folder, wherever that was moved to."""
    run = read_run(run_dir)
    named = opinions_path(run.journal_url)
    inside = run_dir / named.name
    path = inside if inside.is_file() else named
    if not path.is_file():
        raise ConfigError(f"{path}: no opinions were journalled; was the run made with --no-llm?")
    store = OpinionStore(path)
    try:
        return (
            FleetSettings.model_validate_json(run.settings_json).llm,
            list(store.read_calls()),
            list(store.read_opinions()),
        )
    finally:
        store.close()


if __name__ == "__main__":
    run_command(app, "pipelines.opinions")
