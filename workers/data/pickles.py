"""Reads pickles of numbers, text and arrays. Whatever else a pickle names is refused, never run.

For published datasets alone: nothing that Loci writes is a pickle.
"""

import pickle
from pathlib import Path
from typing import Any

# What numpy's own pickles name: arrays, their types and their bytes; nothing here runs a command.
ADMITTED = {
    ("_codecs", "encode"),  # bytes in a pickle of protocol 2 and lower
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),  # arrays in protocol 5
}


class _Plain(pickle.Unpickler):
    """An unpickler that knows the names above and no others."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """The admitted object of this name. Raises ValueError for all others."""
        module = module_name.replace("numpy.core.", "numpy._core.")  # its name before numpy 2
        if (module, global_name) not in ADMITTED:
            raise ValueError(f"it names {module_name}.{global_name}, and only numbers are read")
        return super().find_class(module, global_name)


def load(path: Path) -> object:
    """What the pickle holds; text of Python 2 is taken as latin-1.

    Raises OSError if it cannot be opened and ValueError if it holds more than numbers, text, arrays
    and lists, tuples and dicts of them.
    """
    with path.open("rb") as file:
        try:
            return _Plain(file, encoding="latin1").load()
        except Exception as error:  # a damaged pickle may raise almost anything
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(f"not a pickle of numbers: {reason}") from error
