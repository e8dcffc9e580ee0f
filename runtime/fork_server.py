"""The fork server: one process that imports once what all workers share, and forks them.

    launcher ── fork server ── worker, one per rank
             └ resource tracker, which multiprocessing starts beside it

A fork server starts sixteen workers in about the time one interpreter takes to import torch. It and
the workers die with the launcher, whatever kills it (`runtime.death`).
"""

import os
import signal
import warnings
from collections.abc import Generator
from contextlib import contextmanager, suppress
from multiprocessing import forkserver, get_context, resource_tracker
from pathlib import Path
from typing import Any

import psutil

from runtime.exits import told
from runtime.interrupts import ENDING

context = get_context("forkserver")
# Python starts a resource tracker anew if it has died; ours has nothing to track.
warnings.filterwarnings("ignore", "resource_tracker: process died", UserWarning)

_server: Any = forkserver._forkserver  # pyright: ignore
_tracker: Any = resource_tracker._resource_tracker  # pyright: ignore


def warm_up() -> None:
    """Start the fork server, which begins to import at once, beside whatever the launcher does.

    Python's fork server finds modules by PYTHONPATH only, so the repository is put there first.
    """
    root = str(Path(__file__).resolve().parents[1])
    known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    others = [path for path in known if path not in ("", root)]
    os.environ["PYTHONPATH"] = os.pathsep.join([root, *others])
    os.environ["PYTHONSAFEPATH"] = "1"  # nothing from the current folder, whatever lies there
    context.set_forkserver_preload(["runtime.preload"])
    resource_tracker.ensure_running()  # first: it unblocks signals when it has started
    with _signals_wait():
        forkserver.ensure_running()


@contextmanager
def _signals_wait() -> Generator[None]:
    """What starts in this block hears no signal until it chooses to; what comes now is ours later.

    A new process has the mask of the one that starts it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def server_pid() -> int | None:
    """The fork server's process, once it was started."""
    return _server._forkserver_pid


def server_death(pid: int | None) -> str | None:
    """How the fork server that was process `pid` ended, if it has: with it, its workers die."""
    if pid is None:
        return None
    try:
        # whoever starts it again waits for it: so its end is looked at, and left there
        found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return "it is gone"
    if found is None:
        return None
    by_signal = found.si_code in (os.CLD_KILLED, os.CLD_DUMPED)
    return told(-found.si_status if by_signal else found.si_status)


def seconds_used(pid: int) -> float | None:
    """The processor time of a process, a sign that it lives; None if it has ended."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        used = process.cpu_times()
    except psutil.NoSuchProcess:
        return None
    return used.user + used.system


def end_servers() -> None:
    """End the fork server, and with it its workers, and the resource tracker; frozen or not."""
    for pid in (server_pid(), _tracker._pid):
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
