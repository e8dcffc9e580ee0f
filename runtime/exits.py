"""Exit codes, of commands and of worker processes."""

import signal

EXIT_FAILED = 1  # while running
EXIT_BAD_INPUT = 2  # nothing was started
EXIT_STOPPED = 130  # before its end, as somebody asked: what a shell says of Ctrl-C
EXIT_UNREAD = 141  # nobody reads its output any more: what a shell says of SIGPIPE


def told(code: int) -> str:
    """How a process ended that ended badly; a negative code is a signal's."""
    if code >= 0:
        return f"ended with exit code {code}"
    name = signal.Signals(-code).name
    return f"killed by {name}{' (out of memory?)' if name == 'SIGKILL' else ''}"
