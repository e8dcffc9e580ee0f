"""What is given beside --resume: what it changes of the run, and whether that may be changed.

    --debug --data-dir --download --save-every --save-minutes --stall    change no number
    --device --threads          change the last bits
    --epochs                    may be changed if `runtime.epochs` says so

Everything else is what the run is: with another seed or network it would be another run.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from comm.errors import BadInput
from runtime.config import Config
from workers.methods import name_of

OF_THE_START = ("resume", "debug", "download")  # of one start of a run, not of the run
HARMLESS = ("data_dir", "save_every", "save_minutes", "stall")
LAST_BITS = ("device", "threads")
ALLOWED = (*HARMLESS, *LAST_BITS, "epochs")


@dataclass(frozen=True, kw_only=True)
class Change:
    """One option, what the run had, and what it has from now on."""

    name: str
    before: Any
    after: Any

    @property
    def option(self) -> str:
        """As on the command line, with its value: "--seed 1"."""
        return self._with(self.after)

    @property
    def exact(self) -> bool:
        """Whether the numbers stay the same to the last bit."""
        return self.name not in LAST_BITS

    def __str__(self) -> str:
        return f"{self.option} (before: {self._with(self.before)})"

    def _with(self, value: Any) -> str:
        dashed = self.name.replace("_", "-")
        if isinstance(value, bool):
            return f"--{dashed}" if value else f"--no-{dashed}"
        if isinstance(value, tuple):
            several = " ".join(str(one) for one in cast(tuple[object, ...], value))
            return f"--{dashed} {several}".rstrip()
        return f"no --{dashed}" if value is None else f"--{dashed} {value}"


def changes(stored: Config, given: Config) -> list[Change]:
    """What `given` changes of a stored configuration, in the order of the options."""
    return [*_changes(stored, given)]


def _changes(stored: Config, given: Config) -> Iterator[Change]:
    before, after = name_of(stored.method), name_of(given.method)
    if before != after:
        yield Change(name="method", before=before, after=after)
        return
    for part in dataclasses.fields(Config):
        old, new = getattr(stored, part.name), getattr(given, part.name)
        for field in dataclasses.fields(old):
            pair = getattr(old, field.name), getattr(new, field.name)
            differs = str(pair[0]) != str(pair[1])
            if differs and not (part.name in ("run", "data") and field.name in OF_THE_START):
                yield Change(name=field.name, before=pair[0], after=pair[1])


def check(found: list[Change]) -> None:
    """Raises BadInput, naming all that can not be changed."""
    wrong = [change for change in found if change.name not in ALLOWED]
    if wrong:
        raise BadInput(
            [
                f"--resume takes its settings from the run it goes on with: leave out "
                f"{', '.join(map(str, wrong))}. Only --debug, --data-dir, --save-every, "
                "--save-minutes, --stall, --device, --threads and --epochs can be given again"
            ]
        )
