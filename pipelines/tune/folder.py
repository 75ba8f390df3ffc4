"""The folder of a tuning: what was asked, outcomes as they come, tables and the conf file at the end."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import yaml

from actors.vocab.config import FleetSettings
from actors.vocab.errors import ConfigError
from pipelines.tune.folds import Outcome, Walk
from pipelines.tune.space import Trial, values_in

QUESTION, OUTCOMES, RESULT, TABLE, BEST = "question.json", "outcomes.jsonl", "tune.json", "trials.parquet", "best.yaml"

Key = tuple[str, int]  # (trial as JSON, number of the session)


def key_of(trial: Trial, session: int) -> Key:
    return json.dumps(trial, sort_keys=True), session


class Outcomes:
    """Outcomes of finished trials, one a line and written at once; a tuning that goes on starts with them."""

    def __init__(self, folder: Path, question: Mapping[str, Any]) -> None:
        """ConfigError where the folder answers another question, for their outcomes cannot be mixed."""
        self._path = folder / OUTCOMES
        asked = json.loads(json.dumps(question))
        path = folder / QUESTION
        if path.exists():
            before = json.loads(path.read_text())
            differs = [name for name in asked if before.get(name) != asked[name]]
            if differs:
                raise ConfigError(
                    f"--run-dir {folder}: holds a tuning with other {', '.join(differs)}; choose a new folder"
                )
        else:
            path.write_text(json.dumps(asked, indent=1) + "\n")
        self._found: dict[Key, list[Outcome]] = {}
        if self._path.exists():
            self._read()

    def _read(self) -> None:
        text = self._path.read_text()
        whole, _, cut = text.rpartition("\n")
        if cut:  # written when the power went; that trial is played again
            self._path.write_text(whole + "\n" * bool(whole))
        for line in whole.splitlines():
            row = json.loads(line)
            key = key_of(row["trial"], row["session"])
            self._found[key] = msgspec.convert(row["outcomes"], type=list[Outcome])

    def add(self, trial: Trial, session: int, outcomes: list[dict[str, Any]]) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps({"trial": trial, "session": session, "outcomes": outcomes}) + "\n")
        self._found[key_of(trial, session)] = msgspec.convert(outcomes, type=list[Outcome])

    def of(self, trial: Trial, session: int) -> list[Outcome] | None:
        return self._found.get(key_of(trial, session))


def write_table(path: Path, values: Sequence[Trial], windows: Mapping[int, Sequence[Outcome]]) -> None:
    """A row for each trial and window, with a column for each key that was searched."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {"trial": number, **values[number], "window": window} | msgspec.structs.asdict(one)
        for number, outcomes in windows.items()
        for window, one in enumerate(outcomes)
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)


def conf_text(chosen: FleetSettings, searched: Iterable[str], evidence: Sequence[str]) -> str:
    """What differs from the defaults and all that was searched, as a file that `--conf` takes; evidence above it."""
    content: dict[str, dict[str, Any]] = chosen.model_dump(mode="json", exclude_defaults=True)
    for key, value in values_in(chosen, searched).items():
        section, _, name = key.partition(".")
        content.setdefault(section, {})[name] = value
    filled = {section: values for section, values in content.items() if values}
    return "".join(f"# {line}".rstrip() + "\n" for line in evidence) + yaml.safe_dump(filled, sort_keys=False)


def evidence_lines(
    question: Mapping[str, Any], walk: Walk, *, trials_count: int, fills_min: int, score_text: str, day: str
) -> list[str]:
    """Where the settings come from, and how far they may be believed."""
    lines = [
        f"Chosen by `python -m pipelines.tune` on {day}, seed {question['seed']}: trial {walk.best} of "
        f"{trials_count} and the defaults.",
        *(f"Data: {name}" for name in question["data"]),
        f"Symbols: {', '.join(question['symbols'])}",
        *(f"Searched: {text}" for text in question["search"]),
        f"Score: {score_text}; --fills-min {fills_min}",
        f"{question['folds']} folds; windows of {question['window_s']:.0f} s, the warm-up of "
        f"{question['warm_up_s']:g} s not counted.",
        "fold  trial   in sample  out of sample  defaults out of sample",
        *(
            f"{fold.window:4}  {fold.chosen:5}  {fold.in_sample:+10.4f}  {fold.out_of_sample:+13.4f}  "
            f"{fold.default_out_of_sample:+22.4f}"
            for fold in walk.folds
        ),
        f"All folds out of sample: {walk.out_of_sample:+.4f}; the defaults {walk.default_out_of_sample:+.4f}.",
        f"All windows, where trial {walk.best} was chosen: {walk.best_score:+.4f} in {walk.best_fills_count} "
        f"fills; the defaults {walk.default_score:+.4f}.",
    ]
    if walk.is_worse:
        lines.append("WARNING: out of sample, choosing did worse than the defaults: do not trade with these settings.")
    if walk.is_thin:
        lines.append(
            f"WARNING: {walk.best_fills_count} fills say little: take longer recordings, or a larger --fills-min."
        )
    if walk.is_flat:
        lines.append("WARNING: every trial did the same: does the model use what was searched? See docs/models.md.")
    if walk.best == 0:
        lines.append("The defaults did best: these are they.")
    return lines
