"""Where a run leaves its traces.

config.json    plan.json  plan.txt              how it was set up
classes.json                                    the names of the classes (runtime.classes)
modules/k0g0/  metrics.jsonl timing.json log.txt     what each module measured and said
checkpoints/turn-0000790/k0g0.safetensors …
resumes.jsonl                                   how it went on, each time
history.csv                                     its evaluations, beside the clock
summary.json   summary.txt                      how it ended

Every file is written aside and renamed, but for metrics and logs, which grow line by line.
"""

import fcntl
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from comm.address import Address
from comm.errors import BadInput
from partition.plan import Plan
from workers.aside import replace, stamp, writing
from workers.shelf import Shelf

_locks: list[IO[str]] = []  # held until this process ends


@dataclass(frozen=True)
class RunDir:
    """The paths below a run directory."""

    root: Path

    @property
    def config(self) -> Path:
        return self.root / "config.json"

    @property
    def plan(self) -> Path:
        return self.root / "plan.json"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def resumes(self) -> Path:
        return self.root / "resumes.jsonl"

    @property
    def history(self) -> Path:
        return self.root / "history.csv"

    @property
    def summary_text(self) -> Path:
        return self.root / "summary.txt"

    @property
    def summary(self) -> Path:
        return self.root / "summary.json"

    def module(self, address: Address) -> Path:
        """The folder of one module."""
        return self.root / "modules" / str(address)

    def metrics(self, address: Address) -> Path:
        """What a module writes at every step."""
        return self.module(address) / "metrics.jsonl"

    def timing(self, address: Address) -> Path:
        """What a module writes at its end."""
        return self.module(address) / "timing.json"

    def shelf(self, plan: Plan) -> Shelf:
        """Its checkpoints, if `plan` is its plan."""
        return Shelf(root=self.checkpoints, grid=plan.grid, plan=plan.digest)

    def problems(self, *, resume: bool) -> list[str]:
        """Why this directory can not be used; leaves nothing behind."""
        if resume:
            return self._writable()
        if self.config.exists():
            return [
                f"{self.root} already holds a run: choose another --run-dir, "
                f"or go on with it: --resume {self.root}"
            ]
        return self._writable()

    def _writable(self) -> list[str]:
        made = [path for path in (self.root, *self.root.parents) if not path.exists()]
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            probe = self.root / f".writable-{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            return [
                f"the run directory {self.root} can not be written ({error.strerror}): "
                "choose another --run-dir"
            ]
        finally:
            for path in made:
                with suppress(OSError):  # it was not made, or another run has moved in
                    path.rmdir()
        return []

    def lock(self) -> None:
        """Keep it for this process, until it ends. Raises BadInput if a run is alive in it."""
        path = self.root / "lock"
        with writing(path):
            file = path.open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BadInput([f"a run is alive in {self.root}: wait for its end"]) from error
        _locks.append(file)

    def claim(self, config: bytes) -> None:
        """Make it this run's. Raises BadInput if another run was faster."""
        with writing(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
        self.lock()
        if self.config.exists():
            raise BadInput([f"{self.root} already holds a run: choose another --run-dir"])
        replace(self.config, config)


def default_run_dir(name: str) -> Path:
    """A new folder below runs/, named by the time and `name`."""
    return Path("runs") / f"{stamp()}-{name}-{os.getpid()}"
