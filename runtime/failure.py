"""How a failed process says what happened to it, and how the cause is told from its echoes."""

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from comm.decoding import read
from comm.errors import BadInput, Damaged, ModuleFailed, PeerLost
from runtime.exits import told
from workers.aside import replace


@dataclass(frozen=True, kw_only=True)
class FailureNote:
    """One process's own account. `echo`: it failed because another process was gone."""

    rank: int
    turn: int
    line: str
    echo: bool
    trace: str


def write_note(folder: Path, rank: int, error: BaseException) -> None:
    """Leave an account in the session folder."""
    cause = error.__cause__ if isinstance(error, ModuleFailed) else error
    known = isinstance(error, ModuleFailed | BadInput)
    note = FailureNote(
        rank=rank,
        turn=error.turn if isinstance(error, ModuleFailed) else -1,
        line=str(error) if known else f"rank {rank} failed: {type(error).__name__}: {error}",
        echo=isinstance(cause, PeerLost),
        trace="".join(traceback.format_exception(error)),
    )
    replace(folder / f"failed-{rank}.json", msgspec.json.encode(note))


def read_notes(folder: Path) -> list[FailureNote]:
    """All accounts so far that can be read."""
    found: list[FailureNote] = []
    for path in sorted(folder.glob("failed-*.json")):
        try:
            found.append(read(path, FailureNote))
        except Damaged:
            continue
    return found


def cause(notes: Sequence[FailureNote], exits: Mapping[int, int], words: Mapping[int, str]) -> str:
    """One line naming what ended the run.

    `exits` holds the exit codes of processes that ended badly by themselves, `words` the last state
    of each rank. A process that was killed comes first, then the earliest failure that is not the
    echo of another one's end.
    """
    noted = {note.rank for note in notes}
    for rank, code in sorted(exits.items()):
        if code < 0:
            return f"{words.get(rank, f'rank {rank}')}: {told(code)}"
    real = [note for note in notes if not note.echo]
    if real:
        return min(real, key=lambda note: (note.turn, note.rank)).line
    for rank, code in sorted(exits.items()):
        if rank not in noted:
            return f"{words.get(rank, f'rank {rank}')}: {told(code)}"
    if notes:
        return min(notes, key=lambda note: (note.turn, note.rank)).line
    return "a process ended without a word"
