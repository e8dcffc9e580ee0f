"""All checkpoints of a run: which one to go on from, and what becomes of those of no use.

    <checkpoints>/turn-0000790/ …                          complete: every module's part is there
                  aside-20260131-164502/turn-0000950/ …    no use; nobody but you removes it

Nothing that could not be read is ever deleted. It is moved aside, so that the run can write its own
checkpoints in that place, and named, so that somebody can look.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from comm.address import Grid
from comm.errors import Damaged
from workers import checkpoint
from workers.aside import make_folder, settle, writing
from workers.checkpoint import Note


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

    def newest(self) -> Found:
        """The newest whole checkpoint.

        Weights take time to read: only the last complete one is, and if it is damaged the one
        before, and so on.
        """
        words: list[str] = []
        for note in reversed(checkpoint.complete_turns(self.root, self.grid, self.plan)):
            here = checkpoint.folder(self.root, note.turn)
            wrong = [problem for address in self.grid for problem in _damage(here, str(address))]
            if not wrong:
                return Found(note=note, words=tuple(words))
            words += wrong
        return Found(note=None, words=tuple(words))

    def later(self, turn: int) -> list[Path]:
        """Whatever calls itself a checkpoint and is not of `turn` or before; oldest first."""
        kept = checkpoint.folder(self.root, turn).name
        return sorted(here for here in self.root.glob("turn-*") if _after(here.name, kept))

    def set_aside(self, turn: int) -> Path | None:
        """Move what is `later` out of the way; where to. None if there is nothing."""
        later = self.later(turn)
        if not later:
            return None
        aside = self._new_folder()
        for here in later:
            with writing(aside / here.name):
                here.rename(aside / here.name)
        for changed in (aside, self.root):
            settle(changed)
        return aside

    def _new_folder(self) -> Path:
        now = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
        names = (f"aside-{now}{suffix}" for suffix in ("", *(f"-{n}" for n in range(2, 1000))))
        aside = next(self.root / name for name in names if not (self.root / name).exists())
        make_folder(aside)
        return aside


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
