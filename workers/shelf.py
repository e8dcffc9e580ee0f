"""All checkpoints of a run: which one to go on from, and what becomes of those of no use.

    <checkpoints>/turn-0000790/ …                          complete: every module's part is there
                  aside-20260131-164502/turn-0000950/ …    no use; nobody but you removes it

Nothing that could not be read is ever deleted. It is moved aside, so that the run can write its own
checkpoints in that place, and named, so that somebody can look.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from comm.address import Grid
from comm.errors import Damaged
from workers import checkpoint
from workers.aside import make_folder, settle, stamp, writing
from workers.checkpoint import Note, folder, note_of

KEPT = 2  # complete checkpoints that are kept to go on from, beside those that stay


@dataclass(frozen=True, kw_only=True)
class Found:
    """The newest checkpoint that is whole in all modules, if there is one.

    `words` say in sentences what is wrong with those that came later.
    """

    note: Note | None
    words: tuple[str, ...]

    @property
    def turn(self) -> int:
        """The turn to go on with."""
        return self.note.turn if self.note else 0


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """The checkpoints below `root`, of the plan with the digest `plan`."""

    root: Path
    grid: Grid
    plan: str

    def complete(self) -> list[Note]:
        """The complete checkpoints, oldest first; one note (of any module) for each.

        Notes alone are read: whether the weights are whole is another question.
        """
        found = (self._note(here) for here in self.root.glob("turn-*"))
        return sorted((note for note in found if note), key=lambda note: note.turn)

    def _note(self, here: Path) -> Note | None:
        try:
            notes = [note_of(here, address) for address in self.grid]
        except Damaged:  # not complete, or no more
            return None
        whole = all((here / f"{address}.safetensors").exists() for address in self.grid)
        return notes[0] if whole and {note.plan for note in notes} == {self.plan} else None

    def prune(self) -> None:
        """Remove the complete checkpoints that need not stay, but for the newest `KEPT` of them.

        Every module may call this after it has saved, all at once: whatever they remove is older
        than complete checkpoints.
        """
        passing = [here for here in self.root.glob("turn-*") if self._passes(here)]
        if len(passing) <= KEPT:  # as nearly always: most notes need not be read
            return
        found = sorted((note for note in map(self._note, passing) if note), key=lambda n: n.turn)
        for note in found[:-KEPT]:
            shutil.rmtree(folder(self.root, note.turn), ignore_errors=True)

    def _passes(self, here: Path) -> bool:
        """Whether a checkpoint need not stay, as one of its notes says."""
        try:
            return not note_of(here, next(iter(self.grid))).stays
        except Damaged:
            return False

    def newest(self) -> Found:
        """The newest whole checkpoint.

        Weights take time to read: only the last complete one is, and if it is damaged the one
        before, and so on.
        """
        words: list[str] = []
        for note in reversed(self.complete()):
            here = folder(self.root, note.turn)
            wrong = [problem for address in self.grid for problem in _damage(here, str(address))]
            if not wrong:
                return Found(note=note, words=tuple(words))
            words += wrong
        return Found(note=None, words=tuple(words))

    def later(self, turn: int) -> list[Path]:
        """Whatever calls itself a checkpoint and is not of `turn` or before; oldest first."""
        kept = folder(self.root, turn).name
        return sorted(here for here in self.root.glob("turn-*") if _after(here.name, kept))

    def unused(self) -> Path:
        """A name for a folder that `set_aside` may make."""
        now = stamp()
        names = (f"aside-{now}{suffix}" for suffix in ("", *(f"-{n}" for n in range(2, 1000))))
        return next(self.root / name for name in names if not (self.root / name).exists())

    def set_aside(self, folders: Sequence[Path], aside: Path) -> None:
        """Move `folders` into the new folder `aside`. Raises NotWritten."""
        make_folder(aside)
        for here in folders:
            with writing(aside / here.name):
                here.rename(aside / here.name)
        for changed in (aside, self.root):
            with writing(changed):
                settle(changed)


def _after(name: str, kept: str) -> bool:
    """Whether a folder's name stands for a later turn: by number, where it is one."""
    digits = name.removeprefix("turn-")
    if not digits.isascii() or not digits.isdigit():
        return True  # of nothing that this version writes
    return int(digits) > int(kept.removeprefix("turn-"))


def _damage(here: Path, address: str) -> Iterator[str]:
    try:
        checkpoint.tensors_of(here, address)
    except Damaged as error:
        yield str(error)
