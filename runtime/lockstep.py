"""The whole grid in this one process, module after module: breakpoints work, every step is exact.

The same workers, methods and numbers as with one process each; only the transport is memory.
"""

import sys
from contextlib import ExitStack

import torch
from rich.console import Console

from comm.errors import ModuleFailed
from comm.telemetry import Evaluated
from runtime.config import Config
from runtime.devices import device_name, portion_of, settle
from runtime.exits import EXIT_FAILED, EXIT_STOPPED
from runtime.interrupts import Requests
from runtime.job import job_of
from runtime.member import write_timings
from runtime.opening import Opened, open_run, settled
from runtime.recorder import RunRecorder
from runtime.summary import FINISHED, STOPPED, STOPPING, results_line, summarise
from workers.drive import drive
from workers.grid import hire


def train_in_lockstep(config: Config, console: Console) -> int:
    """Run everything here; the exit code. Ctrl-C ends it after a step, with a checkpoint."""
    opened = open_run(settled(config), ranks=())  # no frame is allocated for a window
    console.print(opened.line)
    if opened.complete:
        return 0
    with Requests(at_once=_interrupt) as requests:
        try:
            stopped = _train(opened, requests, console)
        except ModuleFailed as error:
            print(error, file=sys.stderr)
            return EXIT_FAILED
        ended = STOPPED if stopped else FINISHED
        summarise(opened.run_dir, opened.ready.plan, ended=ended, console=console)
    return EXIT_STOPPED if stopped else 0


def _train(opened: Opened, requests: Requests, console: Console) -> bool:
    """Take all turns, or stop where it is requested; whether that happened."""
    config, plan, run_dir = opened.ready.config, opened.ready.plan, opened.run_dir
    # As many threads as each process of the grid would have: sums are then added in one order.
    threads = portion_of(0, plan.grid.processes, config.run.threads).threads
    device = settle(portion_of(0, 1, threads), device_name(config.run.device, 0))
    job = job_of(config, plan, opened.ready.data, device, opened.start)

    def asked() -> bool:
        """Consulted at the beginning of every turn, and never again once it is true."""
        if requests.asked:
            console.print(STOPPING)
        return requests.asked

    def tell(result: Evaluated) -> None:
        console.print(results_line(plan, result))

    with ExitStack() as stack:
        stack.enter_context(torch.autograd.set_detect_anomaly(True))
        recorders = {
            address: stack.enter_context(
                RunRecorder(run_dir, plan, address, turn=opened.start, tell=tell)
            )
            for address in plan.grid
        }
        workers = hire(job, recorders, asked_to_stop=asked)
        drive(workers)
        write_timings(run_dir, 0, workers)
    return any(worker.stopped_at is not None for worker in workers)


def _interrupt() -> None:
    """There is no other process that could be ended: what is being computed here is given up."""
    raise KeyboardInterrupt
