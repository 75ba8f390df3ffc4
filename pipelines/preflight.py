"""What can be found wrong before anything starts, beyond the form of the input: names, keys, and who else runs."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from platformdirs import user_state_path

from actors.journal.lock import AccountLock
from actors.sim.faults import MIXES
from actors.transport.venue_latency import order_latency
from actors.vocab.config import FleetSettings
from actors.vocab.errors import ConfigError
from pipelines.cards import accepts
from pipelines.symbols import universe_symbols

_ACCOUNT = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,40}$")
# What a run leaves in its folder; a new run there starts without. `journal.spending.sqlite` stays: the day's limit of
# money for models counts it.
RUN_FILES = (
    *("run.json", "risk.json", "summary.json", "report.html", "orders.jsonl", "books_feed_*.jsonl"),
    *("venue_ledger.*.msgpack", "journal.sqlite.lock"),
    *(f"journal.{name}{end}" for name in ("sqlite", "opinions.sqlite") for end in ("", "-wal", "-shm", "-journal")),
    *(f"tables/{name}.{end}" for name in ("fills", "samples", "symbols", "series") for end in ("parquet", "csv")),
    *(f"logs/{role}.log{end}" for role in ("registry", "risk", "treasury") for end in ("", ".1")),
    *(f"logs/{role}_*.log{end}" for role in ("sim", "feed", "quote", "gateway", "llm") for end in ("", ".1")),
)
RUN_LOCK = "run.lock"  # held by the driver; its presence, or that of run.json, says that the folder is a run's
TUNE_LOCK = "tune.lock"  # the same of a tuning, which a later one goes on with


def check_account_name(account: str) -> None:
    """The name becomes a file's and a Ray namespace's."""
    if not _ACCOUNT.match(account):
        raise ConfigError(f"--account {account!r}: letters, digits, dots, dashes and underscores only, at most 41")


def check_settings(settings: FleetSettings, *, use_llm: bool) -> None:
    """Names in the settings that only a room of the fleet can know."""
    if settings.sim.faults not in MIXES:
        raise ConfigError(f"sim.faults: no mix named {settings.sim.faults!r}; choose from {', '.join(MIXES)}")
    if settings.sim.order_latency_file:
        order_latency(settings.sim)
    if settings.risk.day_loss_usd_max > settings.risk.capital_usd:
        raise ConfigError(
            f"risk.day_loss_usd_max: {settings.risk.day_loss_usd_max:g} is more than capital_usd, "
            f"{settings.risk.capital_usd:g}; a limit that cannot be reached is none"
        )
    if settings.llm.base_url and not _is_url(settings.llm.base_url):
        raise ConfigError(f"llm.base_url={settings.llm.base_url}: write it as https://HOST/v1")
    if use_llm and (settings.llm.base_url or settings.llm.key_file):
        # A relay of the operator's own: its key is looked at before the first call. The simulated one brings its own.
        from actors.llm.actor import read_key

        llm = settings.llm
        read_key(key_file=llm.key_file, key_env=llm.key_env, base_url=llm.base_url)


def check_bands(settings: FleetSettings, symbols: Sequence[str]) -> None:
    """A band for a name that nobody trades would protect nothing. Those of known symbols may wait for another run."""
    known = {*symbols, *universe_symbols("perp"), *universe_symbols("spot")}
    for symbol in settings.quote.price_bands:
        if symbol not in known:
            raise ConfigError(f"quote.price_bands: {symbol} is no symbol of this run; it has {', '.join(symbols[:5])}")


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def check_live(venues: Sequence[str], settings: FleetSettings, *, use_llm: bool, environ: Mapping[str, str]) -> None:
    """Keys of every venue and of the relay are there, and none is a placeholder."""
    names = dict.fromkeys(
        f"{venue.split('_')[0].upper()}_{ending}" for venue in venues for ending in ("API_KEY", "SECRET")
    )
    missing = [name for name in names if not environ.get(name)]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise ConfigError(f"--mode live: {' and '.join(missing)} {verb} not set; set both in this node's environment")
    for name in names:
        if environ[name].upper().startswith("YOUR_"):
            raise ConfigError(f"--mode live: {name} still holds a placeholder; put your own key there")
    if use_llm:
        from actors.llm.actor import read_key

        llm = settings.llm
        read_key(key_file=llm.key_file, key_env=llm.key_env, base_url=llm.base_url)


def check_address(address: str, environ: Mapping[str, str]) -> None:
    """A Ray can be there; whether it takes us is seen when we join."""
    if not address.strip():
        raise ConfigError("--address is empty: give HOST:PORT of a running Ray, or auto")
    if address != "auto":
        if not accepts(address):
            raise ConfigError(f"--address {address}: nothing answers there; give HOST:PORT of a running Ray, or auto")
        return
    import psutil

    if not environ.get("RAY_ADDRESS") and not any(
        process.info["name"] == "gcs_server" for process in psutil.process_iter(["name"])
    ):
        raise ConfigError("--address auto: no Ray runs on this machine; leave --address out to start one for this run")


def claim_account(account: str) -> AccountLock:
    """Hold the account for as long as this process or a fork of it lives; ConfigError when another run has it."""
    return _hold(user_state_path("manta") / "accounts" / f"{account}.lock", account)


def claim_journal(path: Path, account: str) -> None:
    """ConfigError while a fleet that outlived its driver still writes this journal."""
    _hold(path.with_name(path.name + ".lock"), account).release()


def claim_run_dir(run_dir: Path) -> AccountLock:
    """Create the folder, hold it, and empty it of what an earlier run left. Nobody else's files are touched."""
    try:
        known = (run_dir / RUN_LOCK).is_file() or (run_dir / "run.json").is_file()
        strange = not known and run_dir.exists() and next(run_dir.iterdir(), None)
        if strange:
            raise ConfigError(
                f"--run-dir {run_dir}: holds {strange.name} and never was a run's folder; choose a new or empty one"
            )
        (run_dir / "logs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--run-dir {run_dir}: cannot be written ({error.strerror}); choose another") from None
    if not os.access(run_dir, os.W_OK):
        raise ConfigError(f"--run-dir {run_dir}: not writable; choose another")
    lock = _run_lock(run_dir, RUN_LOCK)
    _run_lock(run_dir, "journal.sqlite.lock").release()  # a fleet that outlived its driver
    for file in (file for pattern in RUN_FILES for file in sorted(run_dir.glob(pattern))):
        if file.is_dir():
            continue
        try:
            file.unlink()
        except OSError as error:
            lock.release()
            raise ConfigError(f"--run-dir {run_dir}: {file.name} stays ({error.strerror}); choose another") from None
    return lock


def claim_tuning_dir(run_dir: Path) -> AccountLock:
    """Create the folder and hold it. What an earlier tuning left there stays; a run's folder is refused."""
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        strange = not (run_dir / TUNE_LOCK).exists() and next(run_dir.iterdir(), None)
    except OSError as error:
        raise ConfigError(f"--run-dir {run_dir}: cannot be written ({error.strerror}); choose another") from None
    if strange:
        raise ConfigError(f"--run-dir {run_dir}: holds {strange.name}, which no tuning left there; choose a new folder")
    return _run_lock(run_dir, TUNE_LOCK)


def _run_lock(run_dir: Path, name: str) -> AccountLock:
    lock = AccountLock(run_dir / name, run_dir.name)
    try:
        lock.acquire()
    except ConfigError:
        raise ConfigError(f"--run-dir {run_dir}: another run lives there; choose another, or stop that run") from None
    except OSError as error:
        raise ConfigError(f"--run-dir {run_dir}: cannot be written ({error.strerror}); choose another") from None
    return lock


def _hold(path: Path, account: str) -> AccountLock:
    lock = AccountLock(path, account)
    try:
        lock.acquire()
    except OSError as error:
        raise ConfigError(
            f"--account {account}: {path} cannot be written ({error.strerror}); set XDG_STATE_HOME to a folder that can"
        ) from None
    return lock
