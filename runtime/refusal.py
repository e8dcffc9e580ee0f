"""How bad input is answered: every problem in a line of its own, and exit code 2."""

import sys

from comm.errors import BadInput
from runtime.exits import EXIT_BAD_INPUT


def refuse(error: BadInput) -> int:
    """Print the problems; the exit code."""
    for problem in error.problems:
        print(f"error: {problem}", file=sys.stderr)
    return EXIT_BAD_INPUT
