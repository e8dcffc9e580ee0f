"""The folders that a run needs while it goes on: one that is moved or removed is noticed."""

from collections.abc import Mapping
from pathlib import Path

from workers.growing import identity


def _identity(path: Path) -> tuple[int, int] | None:
    """The same for as long as it is the same folder; None if there is none to be seen."""
    try:
        return identity(path.stat())
    except OSError:
        return None


class Places:
    """Folders, by what they are to the run, as they are found now."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._folders = {what: (path, _identity(path)) for what, path in folders.items()}

    def moved(self) -> str | None:
        """One line naming the first that is no longer where it was."""
        for what, (path, before) in self._folders.items():
            if _identity(path) != before:
                return f"{what} {path} was moved or removed while the run needed it"
        return None
