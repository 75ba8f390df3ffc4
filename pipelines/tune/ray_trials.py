"""Trials over the cores of this machine or of a cluster, by Ray Tune. Only here is it imported: it is an extra."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import ray
from ray import tune

from pipelines.topology import start_ray
from pipelines.tune.play import Session, trainable

# A node that dies takes its trials with it; they give the same outcomes elsewhere.
LOSSES_MAX = 1

Job = dict[str, Any]  # trial: its number, session: of that number, settings: as JSON
Finished = Callable[[Job, list[dict[str, Any]]], None]


def run_trials(
    jobs: Sequence[Job],
    sessions: Sequence[Session],
    *,
    folder: Path,
    address: str | None,
    finished: Finished,
) -> list[str]:
    """Play every job; `finished` is told of each at once. Returns a line for each that failed.

    After Ctrl-C those that had not finished are in neither.
    """
    # Progress is ours to show, and what is not finished is handed out again by us: Tune's own files are not read.
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")  # files that settings name are where they were
    tell = _Tell(finished)
    start_ray(address=address, namespace="manta-tune")
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    try:
        packed = [msgspec.msgpack.encode(session) for session in sessions]
        tune.Tuner(
            tune.with_resources(tune.with_parameters(_trial, sessions=packed), {"cpu": 1}),
            param_space={"job": tune.grid_search(list(jobs))},
            tune_config=tune.TuneConfig(
                trial_dirname_creator=lambda trial: f"trial_{trial.trial_id}", reuse_actors=False
            ),
            run_config=tune.RunConfig(
                name="ray_tune",
                storage_path=str(folder),
                verbose=0,
                callbacks=[tell],
                failure_config=tune.FailureConfig(max_failures=LOSSES_MAX),
            ),
        ).fit()
    finally:
        ray.shutdown()
    return tell.failed


class _Tell(tune.Callback):
    """Passes on what happens to trials."""

    def __init__(self, finished: Finished) -> None:
        self._finished = finished
        self.failed: list[str] = []

    def __getstate__(self) -> dict[str, Any]:
        """Tune keeps its callbacks in a file beside its state, which nobody reads again."""
        return {}

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: Any, **info: Any) -> None:
        job = trial.config["job"]
        if "outcomes" in result:
            self._finished(job, result["outcomes"])
        elif "failed" in result:
            self._fail(job, result["failed"])

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._fail(trial.config["job"], "its process ended before its play did")

    def _fail(self, job: Job, why: str) -> None:
        self.failed.append(f"trial {job['trial']}, session {job['session']}: {why}")


def _trial(config: dict[str, Any], *, sessions: Sequence[bytes]) -> dict[str, Any]:
    """A play that fails would fail again: Tune is told that it is over, and hands only lost ones out anew."""
    try:
        return trainable(config["job"], sessions=sessions)
    except Exception as error:
        traceback.print_exc()  # in the worker's log
        return {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}
