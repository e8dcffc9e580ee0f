"""The commands, read from types: their help, their checks, and what each does."""

import dataclasses
import json
import platform
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import tyro
from rich.console import Console

from comm.errors import BadInput, LociError
from runtime.catalogue import Kind, catalogue
from runtime.command_line import parsed, parsed_beside
from runtime.config import Config
from runtime.evaluate import evaluate
from runtime.exits import EXIT_FAILED
from runtime.lockstep import train_in_lockstep
from runtime.opening import settled
from runtime.ready import make_ready
from runtime.recipes import listing
from runtime.recorded import recorded
from runtime.refusal import refuse
from runtime.replay import replay
from runtime.resuming import going_on
from runtime.table import plan_table
from runtime.torchrun import train_under_torchrun
from runtime.train import train_here
from runtime.world import under_torchrun


@dataclass(frozen=True, kw_only=True)
class Train(Config):
    """Train a network as a grid of local modules, each a process of its own.

    --recipe NAME stands for a whole command line; what is given beside it replaces its words.
    """


@dataclass(frozen=True, kw_only=True)
class ShowPlan(Config):
    """Show the grid that train would start: blocks, widths, routes, bytes, MACs, speed-ups."""

    json: bool = False
    """Print the plan as JSON."""


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Evaluate a trained run on its test images, from its last checkpoint."""

    run_dir: tyro.conf.Positional[Path]
    """Directory of the run."""

    data_dir: Path | None = None
    """Where its images are now, if they were moved."""

    json: bool = False
    """Print the accuracies as JSON."""


@dataclass(frozen=True, kw_only=True)
class Replay:
    """Make a finished run with --replay again from its log, and compare the weights."""

    run_dir: tyro.conf.Positional[Path]
    """Directory of the run."""

    data_dir: Path | None = None
    """Where its images are now, if they were moved."""


@dataclass(frozen=True, kw_only=True)
class Recipes:
    """List the recipes: command lines with a name."""

    words: tyro.conf.Positional[tuple[str, ...]] = ()
    """Show only those with all of these in their names, and their command lines."""


@dataclass(frozen=True, kw_only=True)
class List:
    """List the methods, networks or datasets, with a line each."""

    kind: tyro.conf.Positional[Kind]
    """What to list."""


PIPED = 240  # columns of a table that no terminal bounds

Command = (
    Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[ShowPlan, tyro.conf.subcommand("plan")]
    | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
    | Annotated[Replay, tyro.conf.subcommand("replay")]
    | Annotated[Recipes, tyro.conf.subcommand("recipes")]
    | Annotated[List, tyro.conf.subcommand("list")]
)


def run(arguments: list[str]) -> int:
    """Parse and run one command line; the exit code."""
    console = Console(soft_wrap=True)
    try:
        if arguments[:1] == ["--version"]:
            print(version())
            return 0
        command = parsed(Command, arguments)
        if isinstance(command, Train) and command.run.resume is not None:
            command = _going_on(command.run.resume, arguments)
        return _do(command, console)
    except BadInput as error:
        return refuse(error)
    except SystemExit as end:  # tyro has printed help, or what is wrong with a value
        return int(end.code or 0)
    except LociError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_FAILED


def version() -> str:
    """Loci's version, which its clone knows, and torch's and Python's."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    python = platform.python_version()
    return f"loci {project['version']} (torch {torch.__version__}, Python {python})"


def _going_on(root: Path, arguments: list[str]) -> Train:
    """The run in `root` as it was set up, but for what is given: its settings are the defaults."""
    config = going_on(root)
    parts = {part.name: getattr(config, part.name) for part in dataclasses.fields(Config)}
    return parsed_beside(Train(**parts), arguments)


def _do(command: Train | ShowPlan | Evaluate | Replay | Recipes | List, console: Console) -> int:
    match command:
        case Train():
            config = _config(command)
            if under_torchrun():
                return train_under_torchrun(config, console)
            if config.run.debug:
                return train_in_lockstep(config, console)
            return train_here(config, console)
        case ShowPlan():
            if command.run.resume is not None:
                plan, costs, notes = recorded(command.run.resume)[1], (), ()
            else:
                ready = make_ready(settled(_config(command)))
                plan, costs, notes = ready.plan, ready.costs, ready.notes
            if command.json:
                print(json.dumps(json.loads(plan.to_json()), indent=2))
            else:
                wide = console if console.is_terminal else Console(soft_wrap=True, width=PIPED)
                wide.print(plan_table(plan, costs))
                wide.print(*notes, sep="\n", end="\n" * bool(notes))
            return 0
        case Evaluate():
            return evaluate(command.run_dir, command.data_dir, console, json=command.json)
        case Replay():
            return replay(command.run_dir, command.data_dir, console)
        case Recipes():
            console.print(listing(command.words), highlight=False)
            return 0
        case List():
            console.print(catalogue(command.kind), highlight=False)
            return 0


def _config(command: Config) -> Config:
    return Config(
        method=command.method,
        grid=command.grid,
        data=command.data,
        optim=command.optim,
        run=command.run,
    )
