"""The whole grid in this one process, module after module: breakpoints work, every step is exact.

The same workers, methods and numbers as with one process each; only the transport is memory.
"""

import signal
import sys
from contextlib import ExitStack
from types import FrameType

import torch
from rich.console import Console

from comm.errors import ModuleFailed
from comm.telemetry import Evaluated
from runtime.config import Config
from runtime.devices import device_name, portion_of, settle
from runtime.job import job_of
from runtime.member import write_timings
from runtime.opening import open_run, settled
from runtime.recorder import RunRecorder
from runtime.summary import FINISHED, STOPPED, STOPPING, results_line, summarise
from runtime.train import EXIT_FAILED, EXIT_INTERRUPTED
from workers.drive import drive
from workers.grid import hire


def train_in_lockstep(config: Config, console: Console) -> int:
    """Run everything here; the exit code. Ctrl-C ends it after a step, with a checkpoint."""
    opened = open_run(settled(config))
    console.print(opened.line)
    if opened.complete:
        return 0
    ready, run_dir, run = opened.ready, opened.run_dir, opened.ready.config.run
    # As many threads as each process of the grid would have: sums are then added in one order.
    threads = portion_of(0, ready.plan.grid.processes, run.threads).threads
    device = settle(portion_of(0, 1, threads), device_name(run.device, 0))
    asked: list[int] = []

    def interrupted(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        console.print(STOPPING)

    def tell(result: Evaluated) -> None:
        console.print(results_line(ready.plan, result))

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        with ExitStack() as stack:
            stack.enter_context(torch.autograd.set_detect_anomaly(True))
            job = job_of(ready.config, ready.plan, ready.data, device, opened.start)
            recorders = {
                address: stack.enter_context(
                    RunRecorder(run_dir, ready.plan, address, turn=opened.start, tell=tell)
                )
                for address in ready.plan.grid
            }
            workers = hire(job, recorders, asked_to_stop=lambda: bool(asked))
            drive(workers)
            write_timings(run_dir, 0, workers)
    except ModuleFailed as error:
        print(error, file=sys.stderr)
        return EXIT_FAILED
    finally:
        signal.signal(signal.SIGINT, before)
    ended = STOPPED if asked else FINISHED
    summarise(run_dir, ready.plan, ended=ended, console=console)
    return EXIT_INTERRUPTED if asked else 0
