"""A run of our own processes on this host, under our supervisor."""

import sys
import uuid
from pathlib import Path

from rich.console import Console

from comm.errors import RunError
from runtime.afterwards import next_move, telling_logs
from runtime.config import Config
from runtime.console import Progress
from runtime.exits import EXIT_FAILED, EXIT_STOPPED
from runtime.interrupts import Requests
from runtime.opening import Opened, open_run, settled
from runtime.places import Places
from runtime.session import session
from runtime.summary import FAILED, FINISHED, summarise
from runtime.supervisor import Stopped, Supervisor
from runtime.ticket import Ticket


def train_here(config: Config, console: Console) -> int:
    """Start one process per rank and see them to their end; the exit code."""
    opened = open_run(settled(config))
    console.print(opened.line)
    if opened.complete:
        return 0
    with session() as folder, Requests() as requests:
        return _see_to_its_end(opened, folder, requests, console)


def _see_to_its_end(opened: Opened, folder: Path, requests: Requests, console: Console) -> int:
    ready, run_dir = opened.ready, opened.run_dir
    code, ended, cause = 0, FINISHED, None
    places = Places({"the run directory": run_dir.root, "the session folder": folder})
    with Progress(console, ready.plan, opened.turns) as progress:
        tickets = _tickets(opened, folder)
        _tell_of_shared_gpus(ready.config, len(tickets), progress)
        stall = ready.config.run.stall
        try:
            Supervisor(tickets, folder, progress, requests, places, stall=stall).run()
        except Stopped as error:
            code, ended = EXIT_STOPPED, str(error)
        except RunError as error:
            code, ended, cause = EXIT_FAILED, FAILED, str(error)
    summarise(run_dir, ready.plan, ended=ended, cause=cause, console=console)
    if code and run_dir.config.exists():
        console.print(next_move(run_dir, ready.plan), soft_wrap=True, highlight=False)
    if cause is not None:
        for line in telling_logs(run_dir, ready.plan):
            print(line, file=sys.stderr)
    return code


def _tickets(opened: Opened, folder: Path) -> list[Ticket]:
    run_id, processes = uuid.uuid4().hex, opened.ready.plan.grid.processes
    return [
        opened.ticket(
            rank=rank, local_rank=rank, local_processes=processes, run_id=run_id, session=folder
        )
        for rank in range(processes)
    ]


def _tell_of_shared_gpus(config: Config, processes: int, progress: Progress) -> None:
    if config.run.device == "cuda":
        import torch

        gpus = torch.cuda.device_count()
        if gpus < processes:
            progress.say(f"{processes} processes share {gpus} GPUs: rank r takes GPU r % {gpus}")
