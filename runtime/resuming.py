"""Goes on with a run: where, with what, and what becomes of the traces that it will write again.

config.json and its plan      stay, or are refused; what was given again is written into it
the newest whole checkpoint   is where it goes on
later ones, damaged metrics   are moved aside and named: what can not be read is never deleted
timing.json, summary.*        of the stretch before are removed: they are written at every end
resumes.jsonl                 gets a line
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgspec

from comm.decoding import content
from comm.errors import BadInput, Damaged
from partition.plan import Plan
from runtime import config as configs
from runtime import epochs
from runtime.changes import Change, changes
from runtime.config import Config
from runtime.recorded import Resume, plan_of, stored
from runtime.run_dir import RunDir
from workers.aside import replace, writing
from workers.data.feed import Feed
from workers.metrics import metrics
from workers.shelf import Found, Shelf


def going_on(root: Path) -> Config:
    """The configuration of the run in `root`, to be continued as it was set up. Raises BadInput."""
    config = stored(root)
    run = dataclasses.replace(config.run, resume=root, run_dir=root, debug=False)
    data = dataclasses.replace(config.data, download=False)
    return dataclasses.replace(config, run=run, data=data)


@dataclass(frozen=True, kw_only=True)
class Resumption:
    """Where a run goes on, with which changes, and what is to be moved out of its way.

    Everything is decided and can be said before anything is touched; `write` does it.
    """

    run_dir: RunDir
    shelf: Shelf
    found: Found
    changes: Sequence[Change]
    later: Sequence[Path]
    aside: Path

    @property
    def turn(self) -> int:
        """The turn to go on with."""
        return self.found.turn

    @property
    def inexact(self) -> list[str]:
        """What changes the last bits."""
        return [str(change) for change in self.changes if not change.exact]

    @cached_property
    def damaged(self) -> dict[Path, Damaged]:
        """Metrics that can not all be read."""
        files = (metrics(self.run_dir.metrics(address)) for address in self.shelf.grid)
        return {file.path: file.damage for file in files if file.damage}

    def words(self) -> list[str]:
        """What is worth knowing before it goes on."""
        words = [*self.found.words]
        if self.later:
            names = ", ".join(path.name for path in self.later)
            words.append(f"the run can not go on from {names}: moved to {self.aside}")
        for path, damage in self.damaged.items():
            words.append(f"{damage}: as it was it is {self._beside(path)}, what can be read stays")
        if self.inexact:
            words.append(
                f"going on with {', '.join(self.inexact)}: from here on the last bits are not "
                f"those of a run that was never interrupted; {self.run_dir.resumes} says so too"
            )
        return words

    def write(self, config: Config) -> None:
        """Prepare the directory, which must be locked. Raises BadInput, or NotWritten."""
        if self.shelf.later(self.turn) != self.later:
            raise BadInput([f"a run in {self.run_dir.root} has gone on meanwhile: start again"])
        words = self.words()
        if self.later:
            self.shelf.set_aside(self.later, self.aside)
        for path in self.damaged:
            found = metrics(path)
            replace(self._beside(path), content(path))
            replace(path, b"".join(found.raw))
        for path in self._of_the_last_end():
            with writing(path):
                path.unlink(missing_ok=True)
        if self.changes:
            once = dataclasses.replace(config.run, resume=None, debug=False)
            kept = dataclasses.replace(config, run=once)
            replace(self.run_dir.config, configs.to_json(kept))
        self._note(words)

    def _beside(self, path: Path) -> Path:
        return path.with_name(f"{self.aside.name}-{path.name}")

    def _of_the_last_end(self) -> list[Path]:
        timings = [self.run_dir.timing(address) for address in self.shelf.grid]
        return [*timings, self.run_dir.summary, self.run_dir.summary_text]

    def _note(self, words: Sequence[str]) -> None:
        path = self.run_dir.resumes
        line = Resume(
            turn=self.turn,
            exact=not self.inexact,
            changes=tuple(map(str, self.changes)),
            words=tuple(words),
        )
        before = content(path) if path.exists() else b""
        replace(path, before + msgspec.json.encode(line) + b"\n")


def resumed(config: Config, plan: Plan, feed: Feed) -> Resumption:
    """How the run that `config` names goes on. Raises BadInput if it can not, as it was set up."""
    root = config.run.resume
    assert root is not None
    run_dir, before = RunDir(root), going_on(root)
    if run_dir.plan.exists() and plan_of(run_dir).digest != plan.digest:
        raise BadInput(
            [
                f"--resume {root}: the plan drawn now is not the one recorded there "
                "(the data or the code changed)"
            ]
        )
    shelf = run_dir.shelf(plan)
    found = shelf.newest()
    problems = [*epochs.problems(before, config, feed, found.note)]
    if problems:
        raise BadInput(problems)
    return Resumption(
        run_dir=run_dir,
        shelf=shelf,
        found=found,
        changes=changes(before, config),
        later=shelf.later(found.turn),
        aside=shelf.unused(),
    )
