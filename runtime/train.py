"""Starts a run: under our supervisor, under torchrun, or all in this process."""

import dataclasses
import os
import sys
import uuid
from pathlib import Path

from rich.console import Console

from comm.errors import BadInput, RunError
from partition.plan import Plan
from runtime import config as configs
from runtime.config import Config
from runtime.console import Progress
from runtime.job import schedule_of, start_of
from runtime.ready import Ready, make_ready
from runtime.run_dir import RunDir, default_run_dir
from runtime.session import session
from runtime.summary import summarise
from runtime.supervisor import Stopped, Supervisor
from runtime.table import plan_table
from runtime.ticket import Ticket
from workers.data.feed import Feed
from workers.data.prepared import Prepared

EXIT_FAILED, EXIT_INTERRUPTED = 1, 130


def settled(config: Config, *, run_dir: Path | None = None) -> Config:
    """The configuration to run: the stored one if it is to be resumed, with its run directory."""
    if config.run.resume is not None:
        found = RunDir(config.run.resume).problems(resume=True)
        if found:
            raise BadInput(found)
        return configs.resumed(
            config, configs.from_json(RunDir(config.run.resume).config.read_bytes())
        )
    if config.run.run_dir is None:
        name = f"{configs.name_of(config.method)}-{config.grid.network}"
        chosen = run_dir or default_run_dir(name)
        return dataclasses.replace(config, run=dataclasses.replace(config.run, run_dir=chosen))
    return config


def claim(config: Config, plan: Plan) -> RunDir:
    """Make the run directory this run's, and write down how it is set up."""
    assert config.run.run_dir is not None
    run_dir = RunDir(config.run.run_dir)
    if config.run.resume is None:
        run_dir.claim(configs.to_json(config))
        run_dir.plan.write_bytes(plan.to_json())
        with (run_dir.root / "plan.txt").open("w") as file:
            Console(file=file, width=160).print(plan_table(plan))
    return run_dir


def run_dir_problems(config: Config) -> list[str]:
    """Why the run directory can not be used."""
    assert config.run.run_dir is not None
    return RunDir(config.run.run_dir).problems(resume=config.run.resume is not None)


def ticket_of(
    ready: Ready,
    *,
    rank: int,
    start: int,
    run_id: str,
    session_folder: Path | None,
    local_rank: int | None = None,
    local_processes: int | None = None,
    generation: int = 0,
) -> Ticket:
    """One process's ticket; on one host its local rank is its rank."""
    return Ticket(
        config=configs.to_json(ready.config).decode(),
        plan=ready.plan.to_json().decode(),
        data=str(ready.data),
        digest=ready.digest,
        run_dir=str(ready.config.run.run_dir),
        run_id=run_id,
        generation=generation,
        rank=rank,
        local_rank=rank if local_rank is None else local_rank,
        local_processes=ready.plan.grid.processes if local_processes is None else local_processes,
        start=start,
        session=str(session_folder) if session_folder else None,
    )


def turns_of(ready: Ready) -> int:
    """How many turns the run has."""
    feed = Feed(Prepared(ready.data), ready.config.data, seed=ready.config.run.seed)
    return len(schedule_of(ready.config, feed))


def train_here(config: Config, console: Console) -> int:
    """Start one process per rank on this host and see them to their end; the exit code."""
    config = settled(config)
    ready = make_ready(config, expect=run_dir_problems(config))
    start = start_of(ready.config, ready.plan)
    run_dir = claim(ready.config, ready.plan)
    if start >= turns_of(ready):
        console.print(f"{run_dir.root} is complete: there is nothing to go on with")
        return 0
    code, ended = 0, "finished"
    with session() as folder, Progress(console, ready.plan, turns_of(ready)) as progress:
        progress.say(f"{ready.plan.method} {ready.plan.network} {ready.plan.grid}: {run_dir.root}")
        run_id = uuid.uuid4().hex
        tickets = [
            ticket_of(ready, rank=rank, start=start, run_id=run_id, session_folder=folder)
            for rank in range(ready.plan.grid.processes)
        ]
        try:
            Supervisor(tickets, folder, progress, stall=config.run.stall).run()
        except Stopped as error:
            code, ended = EXIT_INTERRUPTED, str(error)
        except RunError as error:
            print(f"{error}", file=sys.stderr)
            where = run_dir.root / "modules"
            print(f"the modules' own logs are in {where}/*/log.txt", file=sys.stderr)
            return EXIT_FAILED
    summarise(run_dir, ready.plan, ended=ended, console=console)
    return code


def under_torchrun() -> bool:
    """Whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ and "WORLD_SIZE" in os.environ
