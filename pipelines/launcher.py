"""Keeps signals meant for the driver away from everything that Ray starts.

A terminal sends Ctrl-C and its own end to a whole process group, and tools like `timeout` do the same with SIGTERM:
Ray's daemons would die together with the driver, before it could cancel its orders. So the driver and all that it
starts live in a session of their own, and the process that the user started only passes signals on to the driver.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PR_SET_PDEATHSIG = 1  # linux/prctl.h
PR_SET_CHILD_SUBREAPER = 36
# A gateway whose driver was killed needs up to ten seconds for its last cancels; then nobody is waited for.
ORPHANS_S = 12.0
ORPHANS_POLL_S = 0.1


def in_own_session(work: Callable[[], int]) -> int:
    """Run `work` in a child with its own session; return its exit code. Call before any thread has started.

    If this process is killed outright, the child is told by SIGTERM (on Linux) and ends in order. If the child is,
    what it had started becomes ours: it may finish, and what is left after `ORPHANS_S` is ended.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    # What comes before both sides have their handlers waits for them.
    signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
    child = os.fork()
    if child == 0:
        _work_and_leave(work)

    def forward(number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)

    for number in FORWARDED:
        signal.signal(number, forward)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)
    _, status = os.waitpid(child, 0)
    # After an orderly end nothing is left to be finished; Ray leaves helpers behind when its start is interrupted.
    _outlive_orphans(ORPHANS_S if os.WIFSIGNALED(status) else 0.0)
    return os.waitstatus_to_exitcode(status) if not os.WIFSIGNALED(status) else 128 + os.WTERMSIG(status)


def _work_and_leave(work: Callable[[], int]) -> NoReturn:
    """The child's whole life, from the fork with its signals held back."""
    os.setsid()
    caught: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        caught.append(number)
        raise KeyboardInterrupt

    for number in FORWARDED:
        signal.signal(number, interrupt)  # until the supervisor installs its own
    _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    code = 1
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)
        code = work()
    except KeyboardInterrupt:
        code = 143 if caught[:1] == [signal.SIGTERM] else 130
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        for number in FORWARDED:
            signal.signal(number, signal.SIG_IGN)
        for file in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
                file.flush()
        os._exit(code)


def _outlive_orphans(wait_s: float) -> None:
    """Wait for the dead child's own processes, which this one has inherited; end those that stay."""
    deadline_s = time.monotonic() + wait_s
    while time.monotonic() < deadline_s:
        try:
            pid, _status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return  # nobody is left
        if not pid:
            time.sleep(ORPHANS_POLL_S)
    import psutil

    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
