"""Imported once, by the fork server: what its children share, and how it ends with the launcher.

It leaves the terminal's session. What asks a run to end is the launcher's to hear: these signals
are blocked since the fork server was started, and stay so, and its children are born with that mask
and unblock them when they can heed them. Nothing here computes, starts a thread or touches a GPU;
what is imported is shared by all workers.
"""

import gc
import os

from runtime.death import die_with_parent

os.setsid()
die_with_parent()

# Every torch optimiser imports _dynamo when it is made: a second and 160 MB, here once for all.
import torch._dynamo  # noqa: E402, F401  # pyright: ignore[reportUnusedImport]

import runtime.member  # noqa: E402, F401  # pyright: ignore[reportUnusedImport]

gc.collect()
gc.freeze()  # the collector would write to every object it visits, and unshare its page
