"""Real processes for tests: from the run's own fork server, watched, and gone with the test.

with processes(2) as (first, second):
    first.call(function, 1)        # a function of a module; arguments that can be pickled
    second.kill()
    first.result()                 # what it returned; what it raised is raised here
"""

import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch

from runtime.death import die_with_parent
from runtime.fork_server import warm_up

PATIENCE = 30.0  # seconds; whatever takes longer is stuck
_context = get_context("forkserver")


class Died(Exception):
    """A process ended without an answer."""


def _serve(connection: Connection) -> None:
    """The main function of a child: answer one call after the other."""
    die_with_parent()
    torch.set_num_threads(1)
    while True:
        try:
            function, args = connection.recv()
        except EOFError:
            return
        try:
            connection.send((function(*args), None))
        except Exception as error:
            error.add_note(f"in process {os.getpid()}:\n{traceback.format_exc()}")
            connection.send((None, error))


class Child:
    """One process, which does as it is called."""

    def __init__(self) -> None:
        self.connection, theirs = _context.Pipe()
        self._process = _context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def call(self, function: Callable[..., Any], *args: object) -> None:
        """Begin `function(*args)` there; its outcome is the next `result`."""
        self.connection.send((function, args))

    def answered(self, timeout: float = 0.0) -> bool:
        """Whether a result is there, or the process has ended."""
        return self.connection.poll(timeout)

    def result(self, timeout: float = PATIENCE) -> Any:
        """What the oldest call returned. Raises what it raised, Died or TimeoutError."""
        if not self.answered(timeout):
            raise TimeoutError(f"process {self._process.pid}: no answer after {timeout} s")
        try:
            value, error = self.connection.recv()
        except (EOFError, ConnectionResetError) as error:
            self._process.join(PATIENCE)
            raise Died(f"exit code {self._process.exitcode}") from error
        if error is not None:
            raise error
        return value

    def freeze(self) -> None:
        """Stop the process where it is, as a debugger or a full disk would."""
        assert self._process.pid is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def kill(self) -> None:
        """End the process now, frozen or not, and see it gone."""
        self._process.kill()
        self._process.join(PATIENCE)

    def close(self) -> None:
        """End the process and forget it."""
        self.kill()
        self.connection.close()


def results(children: Sequence[Child]) -> list[Any]:
    """What each call returned; the first that fails ends the wait for the others."""
    found: dict[Child, Any] = {}
    while missing := {child.connection: child for child in children if child not in found}:
        answered = wait(missing, PATIENCE)
        if not answered:
            raise TimeoutError(f"{len(missing)} processes: no answer after {PATIENCE} s")
        for connection in answered:
            child = missing[connection]
            found[child] = child.result()
    return [found[child] for child in children]


@contextmanager
def processes(count: int) -> Iterator[list[Child]]:
    """`count` children for the duration of the block."""
    warm_up()
    children: list[Child] = []
    try:
        for _ in range(count):
            children.append(Child())
        yield children
    finally:
        for child in children:
            child.close()


@dataclass(frozen=True)
class Signs:
    """Files in a folder by which processes tell each other what has happened."""

    folder: Path

    def give(self, name: str) -> None:
        (self.folder / f"sign {name}").touch()

    def given(self, name: str) -> bool:
        return (self.folder / f"sign {name}").exists()

    def wait(self, name: str) -> None:
        """Return once the sign was given."""
        for _ in self.until(name):
            time.sleep(0.002)

    def until(self, name: str) -> Iterator[None]:
        """Yield as long as the sign was not given. Raises TimeoutError when it never is."""
        deadline = time.monotonic() + PATIENCE
        while not self.given(name):
            if time.monotonic() > deadline:
                raise TimeoutError(f"nobody gave the sign {name!r}")
            yield None
