"""The command line of Loci.

python launch.py train gn-dgl --network resnet32 --depth 4 --groups 2
torchrun --nproc-per-node 8 launch.py train gn-dgl …
python launch.py plan gn-dgl …
python launch.py evaluate RUN_DIR
python launch.py recipes
"""

import sys
from pathlib import Path

# The clone's own `comm` before any installed package of that name.
sys.path.insert(0, str(Path(__file__).resolve().parent))


def main() -> int:
    """Run one command; the exit code: 0 fine, 1 failed while running, 2 bad input."""
    from runtime.processes import warm_up
    from runtime.shortcuts import starts_processes

    arguments = sys.argv[1:]
    if starts_processes(arguments):
        warm_up()  # imports torch while this process does the same
    from runtime.commands import run

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
