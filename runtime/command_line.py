"""From the words of a command line to a command, and its help."""

from collections.abc import Sequence
from typing import Any, TypeVar, get_args

import tyro

from comm.errors import BadInput
from partition.nearest import nearest
from runtime.options import Hidden, options
from runtime.recipes import expanded
from runtime.unknown import unknown_words
from workers.methods import METHODS

T = TypeVar("T")
CONFIG = (
    tyro.conf.CascadeSubcommandArgs,
    tyro.conf.OmitArgPrefixes,
    tyro.conf.FlagCreatePairsOff,
    tyro.conf.DisallowNone,
)
HELP = {"-h", "--help", "--help-all"}


def parsed(commands: Any, arguments: Sequence[str]) -> Any:
    """The command, one of the union `commands`, that the words mean.

    Raises BadInput for words that mean nothing; and, once tyro has printed it, SystemExit with 0
    for help and with 2 for a value that an option can not take.
    """
    names = [get_args(command)[1].name for command in get_args(commands)]
    words = expanded(list(arguments))
    if words and not words[0].startswith("-") and words[0] not in names:
        raise BadInput([f"unknown command {words[0]!r}{nearest(words[0], names)}"])
    method = next((word for word in words[1:] if word in METHODS), None)
    hide, more = _help(words, method)
    try:
        command, unknown = tyro.cli(
            commands,
            prog="launch.py",
            args=["--help" if word == "--help-all" else word for word in words],
            return_unknown_args=True,
            registry=options(hide),
            config=CONFIG,
        )
    except SystemExit as end:
        if more and not end.code:
            print(more)
        raise
    if unknown:
        raise BadInput([*unknown_words(unknown, method)])
    return command


def parsed_beside(default: T, arguments: Sequence[str]) -> T:
    """The command that words, which mean one already, mean beside `default`, a command."""
    command, *words = expanded(list(arguments))
    return tyro.cli(
        type(default),
        prog=f"launch.py {command}",
        args=words,
        default=default,
        registry=options("nothing"),
        config=CONFIG,
    )


def _help(words: Sequence[str], method: str | None) -> tuple[Hidden, str]:
    """What the help leaves out, and the line that says where it is."""
    if not HELP & set(words) or words[0] not in ("train", "plan"):
        return "nothing", ""
    if method is None:
        return "everything", f"Options: launch.py {words[0]} METHOD --help"
    if "--help-all" in words:
        return "nothing", ""
    return "advanced", f"All options: launch.py {words[0]} {method} --help-all"
