"""Imported once, by the fork server: what its children share, and how it ends with the launcher.

It leaves the terminal's session and ignores what asks a run to end: that is the launcher's to hear,
and its children say for themselves what they heed. Nothing here computes, starts a thread or
touches a GPU; what is imported is shared by all workers.
"""

import gc
import os
import signal

from runtime.death import die_with_parent
from runtime.interrupts import ENDING

os.setsid()
for number in ENDING:
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)  # blocked since we were started
die_with_parent()

# Every torch optimiser imports _dynamo when it is made: a second and 160 MB, here once for all.
import torch._dynamo  # noqa: E402, F401  # pyright: ignore[reportUnusedImport]

import runtime.member  # noqa: E402, F401  # pyright: ignore[reportUnusedImport]

gc.collect()
gc.freeze()  # the collector would write to every object it visits, and unshare its page
