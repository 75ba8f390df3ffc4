"""A signal to the whole process group reaches the driver alone, and once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SCRIPT = """
import signal, subprocess, sys
from pipelines.launcher import in_own_session
def work():
    daemon = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])
    caught = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda got, frame: caught.append(got))
    print("ready", flush=True)
    while not caught:
        signal.pause()
    print("daemon lives" if daemon.poll() is None else "daemon died", len(caught), flush=True)
    daemon.kill(); daemon.wait()
    return 7
sys.exit(in_own_session(work))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_group_spares_what_the_driver_started(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.killpg(process.pid, number)
        assert process.stdout.readline() == "daemon lives 1\n"
        assert process.wait(timeout=10) == 7


def test_the_driver_is_told_when_its_launcher_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.kill()
        assert process.stdout.readline() == "daemon lives 1\n"


EARLY = """
import subprocess, sys, time
from pipelines.launcher import in_own_session
def work():
    subprocess.Popen(["setsid", sys.executable, "-c", "import time; time.sleep(30)"])
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])
    print("ready", flush=True)
    time.sleep(30)
    return 0
sys.exit(in_own_session(work))
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 130)])
def test_a_signal_before_the_supervisor_listens_leaves_no_process_behind(number: signal.Signals, code: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", EARLY], cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.killpg(process.pid, number)
        assert process.stdout.read() == ""  # whoever held the pipe, in whichever session, is gone; and no traceback
        assert process.wait(timeout=10) == code


FORKED = """
import os, sys, time
from pipelines.launcher import in_own_session
apart = os.setsid
def late():
    print("ready", flush=True)
    time.sleep(0.3)
    apart()
os.setsid = late
def work():
    time.sleep(30)
    return 0
sys.exit(in_own_session(work))
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 130)])
def test_a_signal_between_the_fork_and_the_drivers_handlers_is_not_lost(number: signal.Signals, code: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FORKED], cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.kill(process.pid, number)  # to the launcher alone, which passes it on
        assert process.wait(timeout=10) == code


ENDING = """
import contextlib, sys, time, types
from pathlib import Path
import pipelines.supervisor as supervisor
from pipelines.launcher import in_own_session
class Done:
    def __init__(self, plan, *, stop, runtime_dir, **rest):
        self.stop, self.folder = stop, runtime_dir
    async def run(self):
        self.stop.install()
        (self.folder / "key").write_text("secret")
        print(self.folder, flush=True)
        return 0
def end():
    print("ending", flush=True)
    time.sleep(0.5)
supervisor.Supervisor, supervisor._end_ray = Done, end
supervisor.start_ray, supervisor.ray_card = lambda **given: "", lambda plan: None
supervisor.posted = lambda card: contextlib.nullcontext()
plan = types.SimpleNamespace(symbols=("A",), detach=False, address=None, namespace="n", run_dir=Path("/nowhere"))
sys.exit(in_own_session(lambda: supervisor.supervise(plan, as_json=True)))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_ray_shuts_down_leaves_no_key_behind(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ENDING], cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        folder = next(Path(line.strip()) for line in lines if "mnt-" in line)
        assert "ending\n" in lines
        os.kill(process.pid, number)
        assert process.wait(timeout=10) == 0
        assert not folder.exists()
