"""The evaluations of a run beside the clock: `history.csv`, a line for each, written as they come.

    turn             index of its last batch among all batches of the run, evaluations included
    epoch, step      how much was trained by then
    split            which images: test, or val
    time             of day, with the offset from UTC
    seconds          of training until then, in the process of the module that counts; evaluations
                     are left out, and a run that is resumed goes on counting
    row 0 … member   accuracies in percent; nothing where there is none
    loss             cross-entropy of the read-out head, or of the last row

metrics.jsonl has nothing that depends on time. So that seconds go on from any checkpoint, the
module that counts notes them in its `clock.csv` about once a second.
"""

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path
from time import monotonic

from comm.closing import Closing
from comm.decoding import content
from workers.aside import replace, stamp
from workers.ballot import Result
from workers.growing import GrowingFile

NOTED = 1.0  # seconds of training between two notes of the clock


class Lines:
    """A file of comma-separated lines that begin with a turn; those from `turn` on are dropped.

    The last line of a run that was killed may be half a line, and is dropped too. A file with other
    lines that can not be read stays beside, as aside-…. Raises Damaged, NotWritten.
    """

    def __init__(self, path: Path, names: Sequence[str], *, turn: int) -> None:
        self.kept: list[list[str]] = []
        if path.exists():
            stored = content(path)
            lines = stored.decode(errors="replace").split("\n")[1:-1]
            found = [line.split(",") for line in lines]
            read = [fields for fields in found if _reads(fields, len(names))]
            self.kept = [fields for fields in read if int(fields[0]) < turn]
            if len(read) < len(found):
                replace(path.with_name(f"aside-{stamp()}-{path.name}"), stored)
        told = (names, *self.kept)
        replace(path, "".join(",".join(fields) + "\n" for fields in told).encode())
        self._file = GrowingFile(path)

    def write(self, *fields: object) -> None:
        """One more line, at once."""
        self._file.add(",".join(map(str, fields)).encode())

    def close(self) -> None:
        """Nothing more will come."""
        self._file.close()


def _reads(fields: Sequence[str], wanted: int) -> bool:
    return len(fields) == wanted and fields[0].isdecimal()


def _seconds(field: str) -> float:
    with suppress(ValueError):
        return float(field)
    return 0.0


class History(Closing):
    """Writes `path` and `clock` of a run whose trunk has so many rows, from `turn` on."""

    def __init__(self, path: Path, clock: Path, *, rows: int, turn: int) -> None:
        accuracies = (*(f"row {k}" for k in range(rows)), "head", "ensemble", "member")
        names = ("turn", "epoch", "step", "split", "time", "seconds", *accuracies, "loss")
        with ExitStack() as opened:
            self._lines = Lines(path, names, turn=turn)
            opened.callback(self._lines.close)
            self._clock = Lines(clock, ("turn", "seconds"), turn=turn)
            opened.pop_all()
        at = names.index("seconds")
        noted = [fields[1] for fields in self._clock.kept] + [f[at] for f in self._lines.kept]
        self.seconds = max(map(_seconds, noted), default=0.0)
        self._noted, self._turn = self.seconds, turn
        self._since = monotonic()

    def trained(self, turn: int) -> None:
        """A training step is over."""
        now = monotonic()
        self.seconds += now - self._since
        self._since, self._turn = now, turn
        if self.seconds - self._noted >= NOTED:
            self._note()

    def evaluated(self, turn: int, result: Result) -> None:
        """An evaluation is over; the time since the last training step was its own."""
        self._since = monotonic()
        accuracies = (*result.rows, result.head, result.ensemble, result.member)
        self._lines.write(
            turn,
            result.epoch,
            result.step,
            result.split,
            datetime.now().astimezone().isoformat(timespec="seconds"),
            f"{self.seconds:.3f}",
            *("" if value is None else f"{value:.4f}" for value in accuracies),
            f"{result.loss:.6f}",
        )

    def _note(self) -> None:
        self._clock.write(self._turn, f"{self.seconds:.3f}")
        self._noted = self.seconds

    def close(self) -> None:
        """Note the last seconds; nothing more will come."""
        try:
            if self.seconds > self._noted:
                self._note()
        finally:
            self._clock.close()
            self._lines.close()
