"""Commands in this process: for what needs no processes of its own, and many small runs."""

import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import msgspec
import pytest
import torch

from launch import main
from runtime import run_dir

# Two rows, six steps an epoch, 12 in all; a checkpoint and an evaluation after every epoch.
SMALL = (
    *("train", "gn-dgl", "--network", "mlp", "--widths", "16", "16", "--image-size", "8"),
    *("--batch", "240", "--eval-batch", "500", "--depth", "2", "--epochs", "2"),
    *("--schedule", "constant", "--save-every", "1", "--threads", "1"),
)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str


def command(*words: str | Path) -> Answer:
    """Run one command line here."""
    threads, out, err = torch.get_num_threads(), StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["launch.py", *map(str, words)])
        try:
            code = main()
        finally:
            torch.set_num_threads(threads)
            run_dir._locks.clear()  # as when a process ends
    return Answer(code=code, out=out.getvalue(), err=err.getvalue())


def resume(root: Path, *words: str | Path) -> Answer:
    """Go on with a run here, the whole grid in this process."""
    return command("train", "--resume", root, "--debug", *words)


def edit(path: Path, **values: object) -> None:
    """Change values of a JSON file, wherever in its tree they are."""

    def changed(plain: object) -> object:
        if isinstance(plain, dict):
            return {k: values[k] if k in values else changed(v) for k, v in plain.items()}
        return [changed(one) for one in plain] if isinstance(plain, list) else plain

    path.write_bytes(msgspec.json.encode(changed(msgspec.json.decode(path.read_bytes()))))
