"""Exit codes, of commands and of worker processes."""

EXIT_FAILED = 1  # while running
EXIT_BAD_INPUT = 2  # nothing was started
EXIT_STOPPED = 130  # before its end, as somebody asked: what a shell says of Ctrl-C
EXIT_UNREAD = 141  # nobody reads its output any more: what a shell says of SIGPIPE
