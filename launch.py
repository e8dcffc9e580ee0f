"""The command line of Loci.

python launch.py train gn-dgl --network resnet32 --depth 4 --groups 2
torchrun --nproc-per-node 8 launch.py train gn-dgl …
python launch.py plan gn-dgl …
python launch.py evaluate RUN_DIR
python launch.py recipes
python launch.py list methods | networks | datasets
"""

import errno
import os
import sys
from contextlib import ExitStack
from io import TextIOWrapper
from pathlib import Path

# The clone's own `comm` before any installed package of that name.
sys.path.insert(0, str(Path(__file__).resolve().parent))


def main() -> int:
    """Run one command; the exit code: 0 fine, 1 failed while running, 2 bad input, 130 Ctrl-C.

    141 says that nobody reads any more what it prints.
    """
    from runtime.exits import EXIT_FAILED, EXIT_UNREAD
    from runtime.world import under_torchrun

    out = sys.stdout
    if isinstance(out, TextIOWrapper):
        out.reconfigure(errors="replace")  # for a terminal that has no × or λ
    try:
        if under_torchrun():
            from runtime.unison import in_unison

            code = in_unison(command)
        else:
            code = command()
        out.flush()
    except OSError as error:  # all others are told where they come up
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
        if error.errno == errno.EPIPE:
            return EXIT_UNREAD
        print(f"error: what there is to say could not be written: {error}", file=sys.stderr)
        return EXIT_FAILED
    return code


def command() -> int:
    """Run it as this process alone."""
    from comm.errors import BadInput
    from runtime.exits import EXIT_STOPPED
    from runtime.interrupts import interruptible
    from runtime.refusal import refuse

    arguments = sys.argv[1:]
    try:
        with ExitStack() as stack:
            stack.enter_context(interruptible())
            from runtime.session import session
            from runtime.shortcuts import starts_processes

            if starts_processes(arguments):
                from runtime.fork_server import end_servers, warm_up

                stack.enter_context(session())
                stack.callback(end_servers)
                warm_up()  # imports torch while this process does the same
            from runtime.commands import run

            return run(arguments)
    except BadInput as error:
        return refuse(error)
    except KeyboardInterrupt:  # before there was a run that could end at a step
        return EXIT_STOPPED


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # all is closed; the interpreter would take another half second to forget torch
