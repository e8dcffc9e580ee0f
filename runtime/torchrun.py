"""A run that torchrun started: no supervisor of ours; rank 0 prints, torchrun watches and kills.

Every process checks and plans for itself, and begins when all can (`runtime.unison`); the plan's
digest is compared when they meet. What is counted at the last module reaches rank 0 through
torchrun's store.

Of exit codes torchrun lets little through. Its own is 1 whenever one of ours is not 0, which its
report shows. On Ctrl-C and SIGTERM it passes the signal on, waits for us (`--shutdown-timeout`, 30
s), and ends with 1 and a traceback of its own, however well we have stopped; a second Ctrl-C has it
ask again, and wait again.
"""

import os
import signal
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

from rich.console import Console

from comm.errors import BadInput, LociError, ModuleFailed, PeerLost
from comm.rendezvous import Store, torchrun_store
from runtime.board import Board
from runtime.config import Config
from runtime.exits import EXIT_FAILED, EXIT_STOPPED
from runtime.measured import ASKED
from runtime.member import work
from runtime.opening import Opened, checked, claim, settled
from runtime.refusal import refuse
from runtime.resuming import going_on
from runtime.run_dir import RunDir
from runtime.unison import agree_to_begin, in_turn
from runtime.world import World

ECHO_WAITS = 1.0  # seconds, in which another process says why it is lost, or torchrun ends us
TOLD = "told"  # the key that says that a cause was told
NAMED = "run-dir"  # the key of its name in the store, for when torchrun starts us again


def train_under_torchrun(config: Config, console: Console) -> int:
    """Be one process of the run; the exit code. Raises BadInput before any process begins."""
    world = World.read()
    with in_turn():
        opened = _checked(config, world)
    code, first = agree_to_begin(str(opened.run_dir.root), opened.start)
    if code:
        return code
    printing = console if world.rank == 0 else None
    try:
        return _run(opened.at(Path(first.run_dir)), world, printing)
    except BadInput as error:
        code = refuse(error)
    except BaseException as error:
        code = EXIT_FAILED
        _explain(error, torchrun_store(f"{world.run_id}/{world.generation}", *world.place))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # nothing may wait for a peer any more, no destructor either


def _run(opened: Opened, world: World, console: Console | None) -> int:
    if console and not opened.complete:
        claim(opened)
        _memory(world).set(NAMED, str(opened.run_dir.root))
    if console:
        console.print(opened.line)
    if opened.complete:
        return 0
    ready = opened.ready
    ticket = opened.ticket(
        rank=world.rank,
        local_rank=world.local_rank,
        local_processes=world.local_processes,
        run_id=world.run_id,
        generation=world.generation,
    )
    board = Board(opened, console)
    stopped = work(ticket, ready.plan, ready.config, tell=board.open, after=board.finish)
    return EXIT_STOPPED if stopped else 0


def _explain(error: BaseException, store: Store) -> None:
    """Say what went wrong here; in a line where we know it, with a traceback where we do not.

    That another process is lost is said only if none has said why: it may not have been able to.
    """
    cause = error.__cause__ if isinstance(error, ModuleFailed) else error
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # torchrun need not wait for us
    if isinstance(cause, PeerLost):
        until = monotonic() + ECHO_WAITS
        while monotonic() < until:
            with suppress(RuntimeError):  # torchrun may be gone, and its store with it
                if store.check([TOLD]):
                    return
            sleep(0.05)
    if isinstance(cause, LociError):
        print(error, file=sys.stderr, flush=True)
    else:
        traceback.print_exception(error)
    with suppress(RuntimeError):
        store.set(TOLD, "")


def _memory(world: World) -> Store:
    """What is kept for the processes that torchrun starts in our place, should one of us fail."""
    return torchrun_store(world.run_id, *world.place)


def _checked(config: Config, world: World) -> Opened:
    """What this rank finds of the run.

    When torchrun starts the processes again, they go on from the last complete checkpoint.
    """
    problems: list[str] = []
    run = config.run
    if world.generation > 0 and run.resume is None:
        root, memory = run.run_dir, _memory(world)
        if root is None and memory.check([NAMED]):
            root = Path(memory.get(NAMED).decode())
        if root is None and not world.remembers:
            problems.append(
                "torchrun has started the run again and forgotten where it was: give --run-dir, "
                "or leave TORCH_DISABLE_SHARE_RDZV_TCP_STORE out"
            )
        if root is not None and RunDir(root).config.exists():
            config = going_on(root)
    config = settled(config, local_processes=world.local_processes)
    wanted = sum(config.grid.processes_per_row)
    if wanted != world.processes:
        command = " ".join(sys.argv[1:])
        problems.append(
            f"torchrun started {world.processes} processes, the grid has {wanted}: "
            f"torchrun --nproc-per-node {wanted} launch.py {command}"
        )
    if config.grid.cuts == ASKED:
        problems.append(
            "--cuts time: every process would measure for itself. Measure once with launch.py "
            "plan, and give the cut that it names"
        )
    first = world.rank - world.local_rank
    return checked(
        config,
        writes=world.rank == 0,
        expect=tuple(problems),
        ranks=range(first, first + world.local_processes),
    )
