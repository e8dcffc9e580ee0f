"""Where torchrun's processes post what they have counted, and that they are done; rank 0 reads it.

It is the store of their meeting: no process of ours stands beside them and listens.
"""

from collections.abc import Callable
from threading import Event, Thread

import msgspec
from rich.console import Console

from comm.rendezvous import Store
from comm.telemetry import Evaluated, Report
from runtime.opening import Opened
from runtime.summary import FINISHED, STOPPED, results_line, summarise


class Board:
    """Evaluations on their way from the module that counts to rank 0, which prints them."""

    def __init__(self, opened: Opened, console: Console | None) -> None:
        self._opened, self._console = opened, console
        self._told = 0
        self._ended = Event()
        self._printer: Thread | None = None

    def open(self, store: Store) -> Callable[[Report], None]:
        """Begin to print at rank 0; how this process tells its evaluations."""
        if self._console is not None:
            self._printer = Thread(target=self._print, args=(store, self._console), daemon=True)
            self._printer.start()

        def tell(report: Report) -> None:
            if isinstance(report, Evaluated):
                store.set(f"evaluated/{self._told}", msgspec.json.encode(report).decode())
                self._told += 1

        return tell

    def _print(self, store: Store, console: Console) -> None:
        number = 0
        while True:
            ended = self._ended.wait(0.5)
            while store.check([f"evaluated/{number}"]):
                text = store.get(f"evaluated/{number}")
                console.print(
                    results_line(self._opened.ready.plan, msgspec.json.decode(text, type=Evaluated))
                )
                number += 1
            if ended:
                break

    def finish(self, store: Store, rank: int, stopped: bool) -> None:
        """Say that this rank is done; rank 0 waits for all of them and writes the summary."""
        store.set(f"done/{rank}", "")
        if self._console is None:
            return
        for other in range(self._opened.ready.plan.grid.processes):
            store.get(f"done/{other}")
        self._ended.set()
        if self._printer is not None:
            self._printer.join(timeout=10)
        ended = STOPPED if stopped else FINISHED
        opened = self._opened
        summarise(opened.run_dir, opened.ready.plan, ended=ended, console=self._console)
