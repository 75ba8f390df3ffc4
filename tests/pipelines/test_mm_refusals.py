"""Wrong things typed at `pipelines.mm`: exit code 2, one line that names the thing and the remedy, nothing started."""

from __future__ import annotations

import fcntl
import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import mm, preflight
from tests.pipelines.recorded import write_recording
from tests.pipelines.wrong_input import Refused, refusal_of

ROOT = Path(__file__).parent.parent.parent
BTC = ("--symbols", "BTCUSDT")


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Refused:
    """Types at `pipelines.mm` in an empty folder, with a state folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("BINANCE_API_KEY", "BINANCE_SECRET", "HOLYSHEEP_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return refusal_of(mm.app, "pipelines.mm", monkeypatch, capsys)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--symbols is missing: write --symbols top50"),
        (("--symbols", "BTCUSD"), "does not list BTCUSD; did you mean BTCUSDT?"),
        (("--symbols", "btcusdt"), "'btcusdt' is no symbol; write BTCUSDT"),
        (("--symbols", "top51"), "the shipped universe has 50"),
        (("--symbols", "no/such/file"), "no such file; write top50"),
        (("--symbols", "."), "'.' is no symbol"),
        (("--symbols", ","), "names no symbol; write top50"),
        (("--symbols", "1000PEPEUSDT", "--market", "spot"), "spot venue does not list 1000PEPEUSDT; did you mean"),
        ((*BTC, "--venues", "kraken"), "--venues kraken: not built; known: binance"),
        ((*BTC, "--venues", ""), "--venues: name at least one"),
        ((*BTC, "--market", "moon"), "--market moon: choose perp or spot"),
        ((*BTC, "--mode", "pretend"), "--mode pretend: choose sim, paper or live"),
        ((*BTC, "--mode", "paper", "--replay", "x"), "--mode paper: listens to the market of now"),
        ((*BTC, "--mode", "paper", "--venue-endpoints", "/none"), "--venue-endpoints /none: cannot be read"),
        ((*BTC, "--speed", "max"), "--speed max: only a --replay"),
        ((*BTC, "--speed", "2x"), "--speed 2x: choose 1x or max"),
        ((*BTC, "--duration", "-5s"), "--duration -5s: write seconds"),
        ((*BTC, "--duration", "0"), "--duration 0: write seconds"),
        ((*BTC, "--duration", "nan"), "--duration nan: write seconds"),
        ((*BTC, "--duration", "soon"), "--duration soon: write seconds"),
        ((*BTC, "--duration", "1e99h"), "--duration 1e99h: write seconds"),
        ((*BTC, "--seed", "-1"), "--seed"),
        ((*BTC, "--seed", "x"), "--seed"),
        ((*BTC, "--set", "quote.gama=1"), "unknown key quote.gama; did you mean gamma?"),
        (
            (*BTC, "--set", "quote.gamma=-1"),
            "quote.gamma: Input should be greater than or equal to",
        ),
        ((*BTC, "--set", "quote"), "section.key=value"),
        ((*BTC, "--set", "sim.faults=chaos"), "sim.faults: no mix named 'chaos'; choose from none"),
        ((*BTC, "--conf", "none.yaml"), "--conf none.yaml: no such file"),
        ((*BTC, "--conf", "."), "--conf .: cannot be read (Is a directory)"),
        ((*BTC, "--account", "../x"), "--account '../x': letters, digits"),
        ((*BTC, "--run-dir", "/proc/none/x"), "--run-dir /proc/none/x: cannot be written"),
        ((*BTC, "--run-dir", "/etc/passwd"), "--run-dir /etc/passwd: cannot be written (Not a directory)"),
        ((*BTC, "--set", "llm.key_file=/none"), "llm.key_file /none: cannot be read"),
        ((*BTC, "--set", "llm.base_url=https://127.0.0.1/v1"), "HOLYSHEEP_API_KEY: no relay key"),
        ((*BTC, "--bogus"), "No such option: --bogus"),
        ((*BTC, "extra"), "Got unexpected extra argument (extra)"),
        (("--symbols",), "Option '--symbols' requires an argument"),
        ((*BTC, "--address", "127.0.0.1:1"), "--address 127.0.0.1:1: nothing answers there"),
        ((*BTC, "--address", "here"), "--address here: nothing answers there"),
        ((*BTC, "--venue-endpoints", "/none"), "--venue-endpoints /none: cannot be read"),
        ((*BTC, "--address", ""), "--address is empty"),
        ((*BTC, "--set", "quote.price_bands={BTCUSD: [1, 2]}"), "quote.price_bands: BTCUSD is no symbol of this run"),
        ((*BTC, "--set", "llm.base_url=notaurl"), "llm.base_url=notaurl: write it as https://HOST/v1"),
        ((*BTC, "--set", "llm.base_url=http://["), "llm.base_url=http://[: write it"),
        ((*BTC, "--set", "risk.day_loss_usd_max=200000"), "risk.day_loss_usd_max: 200000 is more than capital_usd"),
        (("--show-settings", "--mode", "foo"), "--mode foo: choose sim"),
        (("--show-settings", "--duration", "-3"), "--duration -3: write seconds"),
        (("--replay", "/none"), "/none: no such recording"),
        (("--replay", "/"), "/ is a folder"),
    ],
)
def test_one_line_says_what_is_wrong(refused: Refused, arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    assert said.replace("(extra)", "") in refused(*arguments).replace("(s)", "").replace("(extra)", "")
    assert [path.name for path in tmp_path.iterdir()] == []  # no run folder, no state


def test_live_names_the_missing_keys_then_the_placeholder(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    live = (*BTC, "--mode", "live", "--account", "mine")
    assert "BINANCE_API_KEY and BINANCE_SECRET are not set" in refused(*live)
    monkeypatch.setenv("BINANCE_API_KEY", "k" * 64)
    assert "BINANCE_SECRET is not set" in refused(*live)
    monkeypatch.setenv("BINANCE_SECRET", "YOUR_SECRET")
    assert "BINANCE_SECRET still holds a placeholder" in refused(*live)
    monkeypatch.setenv("BINANCE_SECRET", "s" * 64)
    assert "no relay key" in refused(*live)
    monkeypatch.setenv("HOLYSHEEP_API_KEY", "YOUR_HOLYSHEEP_API_KEY")
    assert "HOLYSHEEP_API_KEY: still holds the placeholder" in refused(*live)
    assert "not built so far" in refused(*live, "--no-llm")


def test_a_relay_key_that_others_can_read_is_refused(refused: Refused, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("hs_live_" + "x" * 40)
    key.chmod(0o644)
    assert f"run chmod 600 {key}" in refused(*BTC, "--set", f"llm.key_file={key}")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\x1f\x8bnot gzip after all", "cannot be read"),
        (gzip.compress(b'1 {"stream": "x"}\n' * 500)[:12], "truncated or damaged"),
        (b"time,price\n1,2\n", "line 1: expected"),
        (b"PAR1\x00\x01\x02\n", "line 1: expected"),
    ],
    ids=["empty", "broken", "truncated", "csv", "parquet"],
)
def test_a_bad_recording_is_named(refused: Refused, tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "recording.gz"
    path.write_bytes(content)
    text = refused("--replay", str(path))
    assert str(path) in text
    assert said in text


def test_auto_without_any_ray_is_refused(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("psutil.process_iter", lambda attrs: iter(()))
    assert "--address auto: no Ray runs on this machine" in refused(*BTC, "--address", "auto")


def test_a_recording_given_twice_is_named(refused: Refused) -> None:
    assert "--replay a.gz: given twice" in refused("--replay", "a.gz", "--replay", "./a.gz")


def test_a_market_that_was_not_recorded_is_refused(refused: Refused, tmp_path: Path) -> None:
    made = str(write_recording(tmp_path / "made.gz", seconds=2))
    assert "--market spot: the recordings are of binance_perp" in refused("--replay", made, "--market", "spot")


def test_a_damaged_recording_without_a_good_line_offers_none(refused: Refused, tmp_path: Path) -> None:
    path = tmp_path / "tiny.gz"
    path.write_bytes(gzip.compress(b"x")[:12])
    assert refused("--replay", str(path)).endswith("fetch it again")


def test_a_file_of_symbols_that_is_no_text_is_named(refused: Refused, tmp_path: Path) -> None:
    path = tmp_path / "symbols"
    path.write_bytes(b"\xff\xfe\x00\x01")
    assert "cannot be read (it is not text)" in refused("--symbols", str(path))


def test_a_run_folder_in_use_is_refused(refused: Refused, tmp_path: Path) -> None:
    claim = preflight.claim_run_dir(tmp_path / "run")
    try:
        assert "another run lives there; choose another" in refused(*BTC, "--run-dir", str(tmp_path / "run"))
    finally:
        claim.release()


def test_a_run_folder_whose_fleet_outlived_its_driver_is_refused(refused: Refused, tmp_path: Path) -> None:
    preflight.claim_run_dir(tmp_path / "run").release()
    with open(tmp_path / "run" / "journal.sqlite.lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert "another run lives there" in refused(*BTC, "--run-dir", str(tmp_path / "run"))


def test_files_that_no_run_left_are_not_deleted(refused: Refused, tmp_path: Path) -> None:
    mine = tmp_path / "package.json"
    mine.write_text("{}")
    assert "holds package.json and never was a run's folder" in refused(*BTC, "--run-dir", str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["package.json"]


def test_an_earlier_run_is_cleared_from_its_folder_and_nothing_else(tmp_path: Path) -> None:
    run, theirs = tmp_path / "run", ["summary.json", "journal.opinions.sqlite-wal", "books_feed_binance_perp_0.jsonl"]
    theirs += ["logs/quote_BTCUSDT.log.1", "tables/fills.csv", "venue_ledger.binance_perp.msgpack"]
    mine = ["note.txt", "positions.json", "mine.jsonl", "logs/mynotes.txt", "tables/mine.csv", "x.json/y", "logs/old/z"]
    preflight.claim_run_dir(run).release()
    for name in (*theirs, *mine):
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_text("{}")
    (run / "report.html").mkdir()

    preflight.claim_run_dir(run).release()

    assert [name for name in theirs if (run / name).exists()] == []
    assert [name for name in mine if not (run / name).exists()] == []


def test_an_empty_folder_may_become_a_run_s(tmp_path: Path) -> None:
    preflight.claim_run_dir(tmp_path).release()
    assert (tmp_path / preflight.RUN_LOCK).exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_run_folder_without_permission_is_named(refused: Refused, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert "cannot be written (Permission denied)" in refused(*BTC, "--run-dir", str(tmp_path / "run"))


def test_a_second_run_on_the_same_account_is_refused(refused: Refused, tmp_path: Path) -> None:
    claim = preflight.claim_account("mine")
    try:
        text = refused(*BTC, "--account", "mine")
    finally:
        claim.release()
    assert text.startswith(f"account mine is in use by another run (process {os.getpid()}); stop that run")
    assert not (tmp_path / "runs").exists()


def test_the_installed_command_refuses_without_ray(tmp_path: Path) -> None:
    """The same from outside, with a Ray that ends the process when it is imported."""
    (tmp_path / "ray.py").write_text("import os; os._exit(99)\n")
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.mm", "--symbols", "NOPE"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "error: --symbols: the simulated perp venue does not list NOPE; it lists 50 symbols\n"
