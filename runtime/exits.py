"""The exit codes of a command; 0 is fine."""

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130  # as a shell says of what Ctrl-C has ended
